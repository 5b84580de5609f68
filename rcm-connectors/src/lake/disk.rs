//! The calls by which a lake on a local disk is written: few enough to be numbered, cut off and lost by a test.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Every way in which a local lake changes what the disk holds. [`Lake::on`](super::Lake::on) takes another one than the
/// operating system's, to watch it or to let it fail.
///
/// ```
/// use rcm_connectors::lake::{Disk, Os};
///
/// let folder = std::env::temp_dir().join(format!("rcm-disk-{}", std::process::id()));
/// Os.make_folder(&folder)?;
/// let (staged, file) = (folder.join("a#1"), folder.join("a"));
/// Os.create(&staged, &[b"one ", b"row"])?;
/// Os.sync(&staged)?;
/// Os.link(&staged, &file)?;
/// Os.sync_folder(&folder)?;
/// Os.remove(&staged)?;
/// assert_eq!(std::fs::read(&file)?, b"one row");
/// assert!(Os.link(&file, &file).is_err()); // never over a file that is there
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Disk: Debug + Send + Sync {
    /// Makes a file that must not be there, with these bytes. They may be lost in a power cut until [`Disk::sync`].
    ///
    /// # Errors
    /// Those of the operating system; a file with a part of the bytes may be left.
    fn create(&self, path: &Path, bytes: &[&[u8]]) -> io::Result<()>;

    /// Makes the bytes of a file durable.
    ///
    /// # Errors
    /// Those of the operating system.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Gives a file a second name, which must not be there.
    ///
    /// # Errors
    /// `AlreadyExists`, and those of the operating system.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a name away.
    ///
    /// # Errors
    /// Those of the operating system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder whose parent is there.
    ///
    /// # Errors
    /// `AlreadyExists`, and those of the operating system.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// Those of the operating system.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Opens the file of the lease, made where it is missing. Nothing depends on what it holds.
    ///
    /// # Errors
    /// Those of the operating system.
    fn open_lock(&self, path: &Path) -> io::Result<File>;

    /// Replaces what the file of the lease holds: the name of its holder, for people.
    ///
    /// # Errors
    /// Those of the operating system.
    fn sign_lock(&self, lock: &mut File, holder: &str) -> io::Result<()>;
}

/// The operating system's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Os;

impl Disk for Os {
    fn create(&self, path: &Path, bytes: &[&[u8]]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        bytes.iter().try_for_each(|piece| file.write_all(piece))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        // For writing: some systems refuse to sync what was opened for reading.
        OpenOptions::new().write(true).open(path)?.sync_all()
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        // Only Unix has folders that are opened as files.
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }

    fn open_lock(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
    }

    fn sign_lock(&self, lock: &mut File, holder: &str) -> io::Result<()> {
        use std::io::Seek;
        lock.set_len(0)?;
        lock.rewind()?;
        lock.write_all(holder.as_bytes())
    }
}
