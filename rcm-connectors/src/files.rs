//! Files in a landing folder: found by pattern, known by digest.

use rcm_core::{Class, Problem};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Lower-case hex of a digest.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 of some bytes, in hex.
///
/// ```
/// assert!(rcm_connectors::files::sha256(b"").starts_with("e3b0c442"));
/// ```
pub fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
}

/// SHA-256 of a file, read in pieces.
///
/// # Errors
/// A file that cannot be read, or that holds no byte: a delivery without even a header is a broken delivery.
pub fn sha256_of(path: &Path, place: &str) -> Result<String, Problem> {
    let mut file = File::open(path).map_err(|e| unreadable(place, &e))?;
    let (mut hasher, mut buffer, mut any) = (Sha256::new(), vec![0; 1 << 16], false);
    loop {
        let n = file.read(&mut buffer).map_err(|e| unreadable(place, &e))?;
        if n == 0 {
            break;
        }
        any = true;
        hasher.update(&buffer[..n]);
    }
    if !any {
        return Err(Problem::new(Class::Failed, place, "the file has 0 bytes, expected a header line")
            .hint("ask for the delivery again; nothing of this table was loaded"));
    }
    Ok(hex(hasher.finalize()))
}

/// Reads a whole file and holds it to the digest that the run was planned on.
///
/// # Errors
/// A file that cannot be read, or that was replaced since it was planned.
pub fn read_as_planned(path: &Path, sha256: &str, place: &str) -> Result<Vec<u8>, Problem> {
    let bytes = std::fs::read(path).map_err(|e| unreadable(place, &e))?;
    if self::sha256(&bytes) != sha256 {
        return Err(Problem::new(Class::Temporary, place, "the file changed while the run was reading")
            .hint("run again when the delivery is complete"));
    }
    Ok(bytes)
}

pub(crate) fn unreadable(place: &str, error: &std::io::Error) -> Problem {
    Problem::new(Class::Failed, place, format!("cannot be read: {error}"))
}
