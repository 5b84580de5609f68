//! The calls by which a lake on a local disk is read and written: few enough to be numbered, cut off and lost by a test.

use std::fmt::Debug;
use std::fs::{DirEntry, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

/// Every way in which a local lake changes what the disk holds, and in which it reads its own records, logs and data (queries
/// of gold models read data through an object store). [`Lake::on`](super::Lake::on) takes another one than the
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
/// assert_eq!(Os.read(&file, None)?, b"one row");
/// assert_eq!(Os.read(&file, Some(4..99))?, b"row");
/// assert_eq!(Os.list(&folder)?[0].file_name(), "a");
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

    /// Reads a file, or some bytes of it: fewer where it ends before them.
    ///
    /// # Errors
    /// `NotFound`, and those of the operating system.
    fn read(&self, path: &Path, range: Option<Range<u64>>) -> io::Result<Vec<u8>>;

    /// What lies in a folder, in no order.
    ///
    /// # Errors
    /// `NotFound`, and those of the operating system.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

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

    fn read(&self, path: &Path, range: Option<Range<u64>>) -> io::Result<Vec<u8>> {
        let Some(Range { start, end }) = range else { return std::fs::read(path) };
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(end.saturating_sub(start)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        path.read_dir()?.collect()
    }

    fn open_lock(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
    }

    fn sign_lock(&self, lock: &mut File, holder: &str) -> io::Result<()> {
        lock.set_len(0)?;
        lock.rewind()?;
        lock.write_all(holder.as_bytes())
    }
}
