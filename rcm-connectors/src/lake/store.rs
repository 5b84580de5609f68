//! Where the lake lies, and the few ways in which it is read and written.

use super::disk::{Disk, Os};
use super::local::LocalStore;
use super::{Checkpoint, Checkpoints, Publish};
use bytes::Bytes;
use object_store::path::Path as StorePath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use rcm_core::{Class, Problem};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// A lake, opened. Paths are relative to it, with `/` between folders.
#[derive(Debug, Clone)]
pub struct Lake {
    // Rooted at the lake, so that the folder's own name never has to survive a URL.
    store: Arc<dyn ObjectStore>,
    local: LocalStore,
    folder: PathBuf,
    /// Those of the newest publish that was read.
    checkpoints: Arc<Mutex<(u64, Checkpoints)>>,
}

impl Lake {
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
        let cannot = |e: &dyn std::fmt::Display| {
            Problem::new(Class::Failed, format!("lake {}", folder.display()), format!("cannot be written: {e}"))
                .hint("choose a folder that this user may write ([lake] url)")
        };
        let local = LocalStore::new(folder, disk).map_err(|e| cannot(&e))?;
        let folder = folder.canonicalize().map_err(|e| cannot(&e))?;
        Ok(Lake { store: Arc::new(local.clone()), local, folder, checkpoints: Arc::default() })
    }

    /// Opens a lake that is there, without making anything; none where there is no lake.
    ///
    /// # Errors
    /// A folder that cannot be reached.
    pub fn existing(folder: &Path) -> Result<Option<Self>, Problem> {
        if folder.join("_rcm").is_dir() { Lake::local(folder).map(Some) } else { Ok(None) }
    }

    /// The folder of a local lake.
    pub fn folder(&self) -> &Path {
        &self.folder
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

    pub(super) fn on_disk(&self) -> &LocalStore {
        &self.local
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
    pub async fn settle(&self, folder: &str) -> Result<(), Problem> {
        let (local, path) = (self.local.clone(), folder.split('/').fold(self.folder.clone(), |at, part| at.join(part)));
        let settled = tokio::task::spawn_blocking(move || match path.is_dir() {
            true => local.settle(&path).and_then(|()| local.disk.sync_folder(&path)),
            false => Ok(()),
        });
        settled.await.map_err(|e| Problem::storage(folder, e))?.map_err(|e| Problem::storage(folder, e))
    }

    fn path(&self, path: &str) -> StorePath {
        path.split('/').collect()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A missing file or storage that fails.
    pub async fn get(&self, path: &str) -> Result<Bytes, Problem> {
        let got = self.store.get(&self.path(path)).await.map_err(|e| unreadable(path, &e))?;
        got.bytes().await.map_err(|e| unreadable(path, &e))
    }

    /// Reads a file, or tells that there is none.
    ///
    /// # Errors
    /// Storage that fails.
    pub async fn find(&self, path: &str) -> Result<Option<Bytes>, Problem> {
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

    /// Writes a file if there is none of that name; returns whether it did.
    ///
    /// # Errors
    /// Storage that fails.
    pub async fn put_if_absent(&self, path: &str, bytes: impl Into<Bytes>) -> Result<bool, Problem> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&self.path(path), PutPayload::from_bytes(bytes.into()), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(e) => Err(Problem::new(Class::Failed, path, format!("cannot be written: {e}"))
                .hint("run again when the storage can be written: it goes on where this run stands")),
        }
    }

    /// Names of the files in a folder, without its sub-folders, sorted.
    ///
    /// # Errors
    /// Storage that fails.
    pub async fn names(&self, folder: &str) -> Result<Vec<String>, Problem> {
        let listing =
            self.store.list_with_delimiter(Some(&self.path(folder))).await.map_err(|e| unreadable(folder, &e))?;
        let mut names: Vec<_> =
            listing.objects.iter().filter_map(|o| o.location.filename()).map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }
}

fn unreadable(path: &str, error: &object_store::Error) -> Problem {
    Problem::new(Class::Failed, path, format!("cannot be read: {error}"))
}
