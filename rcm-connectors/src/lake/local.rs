//! The local file system as an object store that keeps what it was given.
//!
//! What a put leaves when it returns survives a power cut: the bytes are synced before they get their name, and the name
//! before the call returns (object_store's own local store syncs nothing). Nothing is put over anything. Listings come in the order of names, as those of
//! the cloud stores do: the lake is rooted at its folder, so that the folder's name need not survive a URL; deltalake then
//! no longer knows that it reads a local disk, and takes listings to be ordered.

use super::disk::Disk;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How often a file is staged anew that was swept up before it got its name.
const STAGINGS: usize = 10;

#[derive(Debug, Clone)]
pub(super) struct LocalStore {
    /// Reads and lists, for other libraries.
    files: Arc<LocalFileSystem>,
    /// Writes, and reads for the lake itself.
    pub(super) disk: Arc<dyn Disk>,
    /// Folders of which this process knows that they survive.
    folders: Arc<Mutex<HashSet<PathBuf>>>,
}

impl LocalStore {
    /// A store in a folder, which is made where it is missing.
    pub(super) fn new(folder: &std::path::Path, disk: Arc<dyn Disk>) -> Result<Self> {
        let made = || make_folders(disk.as_ref(), folder).and_then(|()| folder.canonicalize());
        let folder = made().map_err(|source| Error::Generic { store: "local disk", source: source.into() })?;
        let files = Arc::new(LocalFileSystem::new_with_prefix(&folder)?);
        Ok(LocalStore { files, disk, folders: Arc::new(Mutex::new(HashSet::from([folder]))) })
    }

    /// Makes a folder and those above it durable, and makes them where they are missing: whoever made those that are there
    /// may have stopped before that.
    pub(super) fn settle(&self, folder: &std::path::Path) -> io::Result<()> {
        if self.folders.lock().unwrap_or_else(PoisonError::into_inner).contains(folder) {
            return Ok(());
        }
        let parent = folder.parent().ok_or(io::ErrorKind::NotFound)?;
        self.settle(parent)?;
        if !folder.is_dir() {
            match self.disk.make_folder(folder) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
        self.disk.sync_folder(parent)?;
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned());
        Ok(())
    }

    /// Writes a file under a staging name, then gives it its own.
    fn put_now(&self, target: &std::path::Path, payload: &PutPayload) -> io::Result<()> {
        let folder = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
        self.settle(folder)?;
        let mut tries = 0;
        let (staged, named) = loop {
            let staged = self.stage(target, payload)?;
            let named = self.disk.sync(&staged).and_then(|()| self.disk.link(&staged, target));
            tries += 1;
            match &named {
                // Swept up: this process was stopped for so long that it was taken for dead.
                Err(e) if e.kind() == io::ErrorKind::NotFound && tries < STAGINGS => {}
                _ => break (staged, named),
            }
        };
        // A name that is there already may be another process's, which stopped before it was durable; whoever is told of
        // it builds on it.
        let is_there = named.as_ref().err().is_none_or(|e| e.kind() == io::ErrorKind::AlreadyExists);
        let durable = if is_there { self.disk.sync_folder(folder) } else { Ok(()) };
        // One that stays is hidden, and swept up later.
        let _ = self.disk.remove(&staged);
        named.and(durable)
    }

    /// The bytes, under a name that listings hide.
    fn stage(&self, target: &std::path::Path, payload: &PutPayload) -> io::Result<PathBuf> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let bytes: Vec<&[u8]> = payload.iter().map(|piece| piece.as_ref()).collect();
        loop {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            let mut staged = target.as_os_str().to_owned();
            staged.push(format!("#{}{next:09}", std::process::id()));
            let staged = PathBuf::from(staged);
            match self.disk.create(&staged, &bytes) {
                Ok(()) => return Ok(staged),
                // Left by a process that had our number and is no more.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => {
                    let _ = self.disk.remove(&staged);
                    return Err(e);
                }
            }
        }
    }

    /// The bytes of a file, or some of them; none where there is no file.
    pub(super) async fn read(&self, location: &Path, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let (disk, path) = (self.disk.clone(), self.files.path_to_filesystem(location)?);
        match tokio::task::spawn_blocking(move || disk.read(&path, range)).await? {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed(location, e)),
        }
    }

    /// All files below a folder, those under staging names too, by their paths from there, with their sizes; in order.
    pub(super) fn walk(&self, folder: &std::path::Path) -> io::Result<Vec<(String, u64)>> {
        let (mut files, mut todo) = (Vec::new(), vec![(folder.to_owned(), String::new())]);
        while let Some((folder, at)) = todo.pop() {
            for entry in self.disk.list(&folder)? {
                // What has no name in text is not ours.
                let Ok(name) = entry.file_name().into_string() else { continue };
                match entry.file_type()? {
                    kind if kind.is_dir() => todo.push((entry.path(), format!("{at}{name}/"))),
                    // One that is gone by now was a staging file.
                    kind if kind.is_file() => {
                        files.extend(entry.metadata().ok().map(|file| (format!("{at}{name}"), file.len())));
                    }
                    _ => {}
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// Names of the files in a folder, without those under staging names; none where there is no folder. The system is asked
    /// for names alone: a folder of records grows with every publish.
    pub(super) fn names(&self, folder: &std::path::Path) -> io::Result<Vec<String>> {
        let entries = match self.disk.list(folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.file_name().into_string().ok().filter(|name| !name.contains('#'));
            names.extend(name.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file())));
        }
        names.sort();
        Ok(names)
    }

    fn not_implemented<T>(&self, operation: &str) -> Result<T> {
        Err(Error::NotImplemented { operation: operation.to_owned(), implementer: self.to_string() })
    }
}

impl fmt::Display for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.fmt(f)
    }
}

fn make_folders(disk: &dyn Disk, folder: &std::path::Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let Some(parent) = folder.parent() else { return Ok(()) };
    make_folders(disk, parent)?;
    match disk.make_folder(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    if parent.as_os_str().is_empty() { Ok(()) } else { disk.sync_folder(parent) }
}

fn failed(location: &Path, source: io::Error) -> Error {
    let path = location.to_string();
    match source.kind() {
        io::ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: source.into() },
        io::ErrorKind::NotFound => Error::NotFound { path, source: source.into() },
        _ => Error::Generic { store: "local disk", source: source.into() },
    }
}

fn ordered(listing: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
    let sorted = async move {
        let mut all: Vec<ObjectMeta> = listing.try_collect().await?;
        all.sort_by(|a, b| a.location.cmp(&b.location));
        Ok::<_, Error>(stream::iter(all.into_iter().map(Ok)))
    };
    stream::once(sorted).try_flatten().boxed()
}

#[async_trait::async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if !matches!(opts.mode, PutMode::Create) {
            return self.not_implemented("a put over what is there");
        }
        let (store, target) = (self.clone(), self.files.path_to_filesystem(location)?);
        let put = tokio::task::spawn_blocking(move || store.put_now(&target, &payload)).await?;
        put.map_err(|e| failed(location, e))?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.not_implemented("an upload in parts")
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |location: Path| {
            let store = store.clone();
            async move {
                let target = store.files.path_to_filesystem(&location)?;
                let deleted = tokio::task::spawn_blocking(move || store.disk.remove(&target)).await?;
                deleted.map_err(|e| failed(&location, e))?;
                Ok(location)
            }
        };
        locations.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        ordered(self.files.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        ordered(self.files.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        self.not_implemented("a copy")
    }
}
