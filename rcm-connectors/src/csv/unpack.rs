//! Files that come packed: gzip, and zip with one file in it. Told by their first bytes, whatever they are called.

use crate::files::unreadable;
use flate2::CrcReader;
use flate2::read::{DeflateDecoder, MultiGzDecoder};
use rcm_core::{Class, Problem};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Take};
use zip::{CompressionMethod, ZipArchive};

/// A file that grows to more than so many times its size is no delivery (NPPES grows to eleven times its own).
const GROWTH: u64 = 200;
/// Small ones may.
const ALLOWED: u64 = 16 << 20;

/// Reads a file unpacked, if it is packed.
///
/// ```
/// use std::io::{Cursor, Read, Write};
///
/// let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
/// packed.write_all(b"id\n1\n").unwrap();
/// let mut text = String::new();
/// let packed = Cursor::new(packed.finish().unwrap());
/// rcm_connectors::csv::unpack(packed, "claims.csv.gz").unwrap().read_to_string(&mut text).unwrap();
/// assert_eq!(text, "id\n1\n");
/// ```
///
/// # Errors
/// An archive that does not hold exactly one file, names a place outside of itself, or needs a password (class `failed`). What
/// is cut short, damaged, or grows to more than 200 times its size (and 16 MiB) fails while it is read. Nothing is ever written.
pub fn unpack<'a>(mut input: impl Read + Seek + Send + 'a, place: &str) -> Result<Box<dyn Read + Send + 'a>, Problem> {
    let failed = |e: io::Error| unreadable(place, &e);
    let mut first = Vec::new();
    input.by_ref().take(4).read_to_end(&mut first).map_err(failed)?;
    let size = input.seek(SeekFrom::End(0)).map_err(failed)?;
    input.rewind().map_err(failed)?;
    Ok(match first.as_slice() {
        [0x1F, 0x8B, ..] => Box::new(Bounded::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, input)), size)),
        [b'P', b'K', 3, 4] | [b'P', b'K', 5, 6] => entry(input, size, place)?,
        _ => Box::new(input),
    })
}

/// The only file of an archive.
fn entry<'a>(
    input: impl Read + Seek + Send + 'a,
    whole: u64,
    place: &str,
) -> Result<Box<dyn Read + Send + 'a>, Problem> {
    let refused = |what: &str| {
        Err(Problem::new(Class::Failed, place, what.to_owned())
            .hint("expected a zip archive with one file, and no password"))
    };
    // Its words may be names.
    let broken = |_| Problem::new(Class::Failed, place, "the archive is damaged or cut short").hint("ask for it again");
    let mut archive = ZipArchive::new(input).map_err(broken)?;
    if archive.has_duplicate_names() {
        return refused("the archive holds several files");
    }
    let mut only = None;
    for n in 0..archive.len() {
        let file = archive.by_index_raw(n).map_err(broken)?;
        if file.is_symlink() || file.enclosed_name().is_none() || file.name_raw().contains(&b'\\') {
            return refused("the archive names a place outside of itself");
        }
        if !file.is_dir() && only.replace(n).is_some() {
            return refused("the archive holds several files");
        }
    }
    let Some(only) = only else { return refused("the archive holds no file") };
    let file = archive.by_index_raw(only).map_err(broken)?;
    if file.encrypted() {
        return refused("the archive needs a password");
    }
    let (method, packed, size, crc) = (file.compression(), file.compressed_size(), file.size(), file.crc32());
    let start = file.data_start();
    drop(file);
    let mut input = archive.into_inner();
    let Some(start) = start else { return refused("the archive does not say where its file lies") };
    input.seek(SeekFrom::Start(start)).map_err(|e| unreadable(place, &e))?;
    // What an archive says of itself may be a lie.
    let packed = packed.min(whole);
    let packed_bytes = input.take(packed);
    Ok(match method {
        CompressionMethod::Stored => Box::new(Entry { read: CrcReader::new(packed_bytes), size, crc }),
        CompressionMethod::Deflated => {
            let inflated = Bounded::new(DeflateDecoder::new(BufReader::with_capacity(1 << 16, packed_bytes)), packed);
            Box::new(Entry { read: CrcReader::new(inflated), size, crc })
        }
        _ => return refused("the archive is packed by another method than deflate"),
    })
}

/// A file of an archive, held to what the archive says of it.
struct Entry<R> {
    read: CrcReader<R>,
    size: u64,
    crc: u32,
}

impl<R: Read> Read for Entry<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.read.read(out)?;
        let is_at_end = count == 0 && !out.is_empty();
        if is_at_end && (self.read.crc().sum() != self.crc || self.size as u32 != self.read.crc().amount()) {
            return Err(io::Error::new(ErrorKind::InvalidData, "the archive is damaged or cut short"));
        }
        Ok(count)
    }
}

/// What must not grow too much.
struct Bounded<R> {
    read: Take<R>,
    allowed: u64,
}

impl<R: Read> Bounded<R> {
    fn new(read: R, packed: u64) -> Self {
        let allowed = packed.saturating_mul(GROWTH).max(ALLOWED);
        Bounded { read: read.take(allowed.saturating_add(1)), allowed }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.read.read(out)?;
        if self.read.limit() == 0 && self.allowed > 0 {
            let what = format!("unpacked it has more than {} MiB, {GROWTH} times its size", self.allowed >> 20);
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
        Ok(count)
    }
}
