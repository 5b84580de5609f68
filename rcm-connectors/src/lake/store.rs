//! Where the lake lies, and the few ways in which it is read and written.

use super::disk::{Disk, Os};
use super::local::LocalStore;
use super::{Checkpoint, Checkpoints, Location, Publish};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as StorePath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use rcm_core::{Class, Problem};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};
use url::Url;

/// A lake, opened. Paths are relative to it, with `/` between folders.
#[derive(Clone)]
pub struct Lake {
    // Rooted at the lake, so that the folder's own name never has to survive a URL.
    store: Arc<dyn ObjectStore>,
    /// What people call it.
    name: String,
    /// Where it lies on this machine; none in an object store.
    pub(super) local: Option<Local>,
    /// Between two beats of the lease, where it goes by them and not as the place has it.
    pub(super) beat: Option<Duration>,
    /// Those of the newest publish that was read.
    checkpoints: Arc<Mutex<(u64, Checkpoints)>>,
}

/// A lake on a local disk.
#[derive(Debug, Clone)]
pub(super) struct Local {
    pub(super) store: LocalStore,
    pub(super) folder: PathBuf,
}

/// A store's own words may hold its keys.
impl fmt::Debug for Lake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lake").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Lake {
    /// Opens a lake. A folder is made where it is missing; a store is not reached yet.
    ///
    /// # Errors
    /// A folder that cannot be made or reached.
    pub fn open(location: &Location) -> Result<Self, Problem> {
        match location {
            Location::Folder(folder) => Lake::local(folder),
            Location::Store { name, store } => Ok(Lake {
                store: store.clone(),
                name: name.clone(),
                local: None,
                beat: None,
                checkpoints: Arc::default(),
            }),
        }
    }

    /// Opens a lake in a local folder, which is made where it is missing.
    ///
    /// # Errors
    /// A folder that cannot be made or reached.
    pub fn local(folder: &Path) -> Result<Self, Problem> {
        Lake::on(Arc::new(Os), folder)
    }

    /// Opens a lake in a local folder that is written through other calls than the operating system's.
    ///
    /// # Errors
    /// As [`Lake::local`].
    pub fn on(disk: Arc<dyn Disk>, folder: &Path) -> Result<Self, Problem> {
        let cannot = |e: &dyn fmt::Display| {
            Problem::new(Class::Failed, format!("lake {}", folder.display()), format!("cannot be written: {e}"))
                .hint("choose a folder that this user may write ([lake] url)")
        };
        let store = LocalStore::new(folder, disk).map_err(|e| cannot(&e))?;
        let folder = folder.canonicalize().map_err(|e| cannot(&e))?;
        Ok(Lake {
            store: Arc::new(store.clone()),
            name: folder.display().to_string(),
            local: Some(Local { store, folder }),
            beat: None,
            checkpoints: Arc::default(),
        })
    }

    /// With a lease by beats that come so often, wherever the lake lies (tests do not wait for seconds).
    pub fn beating(self, every: Duration) -> Self {
        Lake { beat: Some(every), ..self }
    }

    /// Opens a lake that is there, without making anything; none where there is no lake.
    ///
    /// # Errors
    /// A folder or a store that cannot be reached.
    pub async fn existing(location: &Location) -> Result<Option<Self>, Problem> {
        if let Location::Folder(folder) = location
            && !folder.join("_rcm").is_dir()
        {
            return Ok(None);
        }
        let lake = Lake::open(location)?;
        let first = lake.store.list(Some(&lake.path("_rcm"))).try_next().await;
        let is_there = lake.local.is_some() || first.map_err(|e| unreadable(&lake.name, &e))?.is_some();
        Ok(is_there.then_some(lake))
    }

    /// What people call it: its folder, or its URL.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it lies on this machine, where what was not done when a call failed is never done.
    pub fn is_on_disk(&self) -> bool {
        self.local.is_some()
    }

    pub(super) fn knows_checkpoints(&self, publish: &Publish) {
        let mut known = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if publish.publish > known.0 {
            *known = (publish.publish, publish.checkpoints.clone());
        }
    }

    pub(super) fn known_publish(&self) -> u64 {
        self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn known_checkpoints(&self, table: &str) -> Vec<Checkpoint> {
        let known = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        known.1.get(table).cloned().unwrap_or_default()
    }

    /// The store that holds the lake, rooted at it, for engines that read files themselves.
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.store.clone()
    }

    /// A path in the lake as a URL for such an engine: it finds [`Lake::object_store`] under `lake://lake`.
    ///
    /// # Errors
    /// A path that is none.
    pub fn url(&self, path: &str) -> Result<Url, Problem> {
        Url::parse(&format!("lake://lake/{path}")).map_err(|e| Problem::storage(path, e))
    }

    /// Makes the names in a folder durable, before something is built on what was found there: whoever wrote it may have
    /// stopped before that. The cloud stores have no such state.
    ///
    /// # Errors
    /// A disk that fails.
    pub(super) async fn settle(&self, folder: &str) -> Result<(), Problem> {
        let Some(Local { store, folder: root }) = self.local.clone() else { return Ok(()) };
        let path = folder.split('/').fold(root, |at, part| at.join(part));
        let settled = tokio::task::spawn_blocking(move || match path.is_dir() {
            true => store.settle(&path).and_then(|()| store.disk.sync_folder(&path)),
            false => Ok(()),
        });
        settled.await.map_err(|e| Problem::storage(folder, e))?.map_err(|e| Problem::storage(folder, e))
    }

    /// All files below the lake, those under staging names too, with their sizes; in order.
    pub(super) async fn walk(&self) -> Result<Vec<(String, u64)>, Problem> {
        let failed = |e: &dyn fmt::Display| Problem::storage(&self.name, e);
        if let Some(Local { store, folder }) = self.local.clone() {
            let walk = tokio::task::spawn_blocking(move || store.walk(&folder)).await;
            return walk.map_err(|e| failed(&e))?.map_err(|e| failed(&e));
        }
        let listing = self.store.list(None).map_ok(|object| (object.location.to_string(), object.size));
        let mut files: Vec<_> = listing.try_collect().await.map_err(|e| failed(&e))?;
        files.sort();
        Ok(files)
    }

    /// Deletes files. That one may come back after a power cut does no harm: then it is unneeded again.
    ///
    /// # Errors
    /// Storage that fails; a file that is gone already is none.
    pub async fn delete(&self, paths: Vec<String>) -> Result<(), Problem> {
        let Some(Local { store, folder }) = self.local.clone() else {
            let places: Vec<_> = paths.iter().map(|path| Ok(self.path(path))).collect();
            let mut deleted = self.store.delete_stream(futures::stream::iter(places).boxed());
            while let Some(deleted) = deleted.next().await {
                match deleted {
                    Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(e) => return Err(Problem::storage(&self.name, e)),
                }
            }
            return Ok(());
        };
        // Not by the store: a staging name is none of its own.
        let delete = move || {
            paths.iter().try_for_each(|path| match store.disk.remove(&folder.join(path)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Problem::storage(path, e)),
                _ => Ok(()),
            })
        };
        tokio::task::spawn_blocking(delete).await.map_err(|e| Problem::storage(&self.name, e))?
    }

    fn path(&self, path: &str) -> StorePath {
        path.split('/').collect()
    }

    /// On a local disk, of files that are numbered without gaps from 1 the last one's number; 0: there is none. None: it
    /// cannot be told.
    pub(super) async fn last_that_is_there(&self, path: fn(u64) -> String) -> Result<Option<u64>, Problem> {
        let Some(Local { folder, .. }) = self.local.clone() else { return Ok(None) };
        let look = move || last(|number| folder.join(path(number)).try_exists());
        let last = tokio::task::spawn_blocking(look).await.map_err(|e| Problem::storage(&self.name, e))?;
        Ok(last.ok())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A missing file or storage that fails.
    pub async fn get(&self, path: &str) -> Result<Bytes, Problem> {
        self.find(path).await?.ok_or_else(|| missing(path))
    }

    /// Reads some bytes of a file: fewer where it ends before them.
    ///
    /// # Errors
    /// As [`Lake::get`].
    pub(super) async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, Problem> {
        if let Some(Local { store, .. }) = &self.local {
            let read = store.read(&self.path(path), Some(range)).await.map_err(|e| unreadable(path, &e))?;
            return read.ok_or_else(|| missing(path));
        }
        self.store.get_range(&self.path(path), range).await.map_err(|e| unreadable(path, &e))
    }

    /// Reads a file, or tells that there is none.
    ///
    /// # Errors
    /// Storage that fails.
    pub async fn find(&self, path: &str) -> Result<Option<Bytes>, Problem> {
        if let Some(Local { store, .. }) = &self.local {
            return store.read(&self.path(path), None).await.map_err(|e| unreadable(path, &e));
        }
        match self.store.get(&self.path(path)).await {
            Ok(got) => Ok(Some(got.bytes().await.map_err(|e| unreadable(path, &e))?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(unreadable(path, &e)),
        }
    }

    /// Writes a file whose name carries the attempt and is never used twice.
    ///
    /// # Errors
    /// A file of that name, or storage that fails.
    pub async fn put(&self, path: &str, bytes: impl Into<Bytes>) -> Result<(), Problem> {
        match self.put_if_absent(path, bytes).await? {
            true => Ok(()),
            false => Err(Problem::new(Class::Failed, path, "is there already, and nothing is ever overwritten")),
        }
    }

    /// Writes a file if there is none of that name; returns whether it stands there with these bytes now. (A store may say
    /// that it is there already of our own write: its first answer was lost, and the client asked again.)
    ///
    /// # Errors
    /// Storage that fails.
    pub async fn put_if_absent(&self, path: &str, bytes: impl Into<Bytes>) -> Result<bool, Problem> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let bytes = bytes.into();
        match self.store.put_opts(&self.path(path), PutPayload::from_bytes(bytes.clone()), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                match self.find(path).await? {
                    Some(stands) => Ok(stands == bytes),
                    None => Err(Problem::new(Class::Temporary, path, "is being written by another process")
                        .hint("run again: it goes on where this run stands")),
                }
            }
            Err(e) => Err(Problem::new(Class::Failed, path, format!("cannot be written: {e}"))
                .hint("run again when the storage can be written: it goes on where this run stands")),
        }
    }

    /// Names of the files in a folder, without its sub-folders, sorted.
    ///
    /// # Errors
    /// Storage that fails.
    pub async fn names(&self, folder: &str) -> Result<Vec<String>, Problem> {
        if let Some(Local { store, folder: root }) = self.local.clone() {
            let path = folder.split('/').fold(root, |at, part| at.join(part));
            let names = tokio::task::spawn_blocking(move || store.names(&path)).await;
            let failed = |e: &dyn fmt::Display| Problem::new(Class::Failed, folder, format!("cannot be read: {e}"));
            return names.map_err(|e| failed(&e))?.map_err(|e| failed(&e));
        }
        let listing =
            self.store.list_with_delimiter(Some(&self.path(folder))).await.map_err(|e| unreadable(folder, &e))?;
        let mut names: Vec<_> =
            listing.objects.iter().filter_map(|o| o.location.filename()).map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }
}

/// The last of those that are there, which are all up to it: twice as far until none is there, then by halves.
fn last(is_there: impl Fn(u64) -> io::Result<bool>) -> io::Result<u64> {
    let mut missing = 1;
    while is_there(missing)? {
        missing *= 2;
    }
    let mut there = missing / 2;
    while missing - there > 1 {
        let middle = there + (missing - there) / 2;
        *if is_there(middle)? { &mut there } else { &mut missing } = middle;
    }
    Ok(there)
}

fn missing(path: &str) -> Problem {
    Problem::new(Class::Failed, path, "cannot be read: there is no such file")
}

fn unreadable(path: &str, error: &object_store::Error) -> Problem {
    Problem::new(Class::Failed, path, format!("cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_found_in_few_looks() {
        for newest in (0..300).chain([99_999, 1 << 20, (1 << 20) + 1]) {
            let looks = std::cell::Cell::new(0);
            let is_there = |number| {
                looks.set(looks.get() + 1);
                Ok(number <= newest)
            };
            assert_eq!(last(is_there).unwrap(), newest);
            assert!(looks.get() <= 42, "{} looks for {newest}", looks.get());
        }
    }
}
