//! One run at a time: an OS file lock, which dies with its process.

use super::Lake;
use rcm_core::{Class, Problem};
use std::fs::{File, TryLockError};
use std::io::Read;

/// Held while a run may write. It saves work; what protects the data is that an intent is written only if absent.
#[derive(Debug)]
pub struct Lease {
    // The lock ends when the file is closed.
    _file: File,
}

impl Lake {
    /// Takes the lease.
    ///
    /// # Errors
    /// Class `busy`, with the process that holds it, or a lake that cannot be written.
    pub fn lease(&self) -> Result<Lease, Problem> {
        let path = self.folder().join("_rcm").join("lock");
        let place = || format!("lake {}", self.folder().display());
        let cannot = |e: std::io::Error| Problem::new(Class::Failed, place(), format!("cannot be written: {e}"));
        let local = self.on_disk();
        local.settle(&self.folder().join("_rcm")).map_err(cannot)?;
        let mut file = local.disk.open_lock(&path).map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {
                // The number is for people only; who holds the lock is for the OS to say.
                local.disk.sign_lock(&mut file, &std::process::id().to_string()).map_err(cannot)?;
                Ok(Lease { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let holder = match file.read_to_string(&mut holder) {
                    Ok(n) if n > 0 => format!("process {holder}"),
                    _ => "another process".to_owned(),
                };
                Err(Problem::new(Class::Busy, place(), format!("another run is at work ({holder})"))
                    .hint("wait for it, then run again; nothing was touched"))
            }
            Err(TryLockError::Error(e)) => Err(cannot(e)),
        }
    }
}
