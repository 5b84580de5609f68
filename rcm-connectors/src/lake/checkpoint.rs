//! Checkpoints of logs: written by maintenance, named with their digest by publish records, and read only if that matches.
//!
//! Of 200 bits flipped in a checkpoint 93 change the list of files without an error: what deltalake reads goes through
//! [`Shown`], which hides every checkpoint but one whose bytes are known.

use super::Lake;
use super::foreign::commit_path;
use super::redo::without_log;
use crate::files::sha256;
use bytes::Bytes;
use deltalake::checkpoints::create_checkpoint;
use deltalake::logstore::{LogStoreRef, StorageConfig, logstore_with};
use deltalake::{DeltaTable, DeltaTableError};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use rcm_core::{Class, Problem};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A log gets a checkpoint when so many commits came since the last one.
pub(super) const CHECKPOINT_EVERY: u64 = 10;

/// Below it stands what checkpoints say, for this program.
pub(super) const TOLD: &str = "_rcm/logs/";

/// A checkpoint that a publish record names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The version that it is of.
    pub version: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// SHA-256 of what stands beside it, for this program; none where the log says more than that writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
}

/// What the checkpoints of a table say.
pub(super) enum Told {
    /// There is none.
    Nothing,
    /// There are some, and it stands beside none of them.
    Nowhere,
    /// Up to a version.
    UpTo(u64, Bytes),
}

/// Table → its checkpoints, in order of their versions.
pub type Checkpoints = BTreeMap<String, Vec<Checkpoint>>;

impl Lake {
    /// The log of a table, as it is read at a version.
    pub(super) async fn log_at(&self, table: &str, version: u64) -> Result<LogStoreRef, Problem> {
        Ok(self.shown_at(table, version).await?.1)
    }

    /// The log of a table, to write to.
    pub(super) fn log(&self, table: &str) -> Result<LogStoreRef, Problem> {
        Ok(self.shown(table, None)?.1)
    }

    /// Those of a table up to a version, the newest first.
    async fn checkpoints_up_to(&self, table: &str, version: u64) -> impl Iterator<Item = Checkpoint> {
        if self.known_publish() == 0 {
            self.refresh().await;
        }
        self.known_checkpoints(table).into_iter().rev().filter(move |known| known.version <= version)
    }

    /// With the newest checkpoint up to a version that is what its record says.
    async fn shown_at(&self, table: &str, version: u64) -> Result<(Arc<Shown>, LogStoreRef), Problem> {
        for checkpoint in self.checkpoints_up_to(table, version).await {
            if let Some(bytes) = self.whole(table, &checkpoint).await? {
                let path = checkpoint_path(table, checkpoint.version).split('/').collect();
                let shown = self.shown(table, Some(&path))?;
                // Deltalake reads what was looked at, and the disk is not asked again.
                shown.0.checkpoints.put(&path, bytes.into()).await.map_err(|e| Problem::storage(table, e))?;
                return Ok(shown);
            }
        }
        // Where what is left of it holds all that deltalake asks for, it would not miss the rest.
        if self.find(&commit_path(table, 0)).await?.is_none() && self.head(table).await?.is_some() {
            let what = "its log has lost its beginning, and no checkpoint that a publish names is whole";
            return Err(Problem::new(Class::Failed, table, what).hint(without_log(table)));
        }
        self.shown(table, None)
    }

    /// What the newest of them says, where both are what its record says: a checkpoint lies in the log of its table, and goes
    /// where somebody makes that anew.
    pub(super) async fn told_up_to(&self, table: &str, version: u64) -> Result<Told, Problem> {
        let mut told = Told::Nothing;
        for checkpoint in self.checkpoints_up_to(table, version).await {
            told = Told::Nowhere;
            if checkpoint.told.is_none() {
                continue;
            }
            let path = told_path(table, checkpoint.version);
            let (whole, bytes) = futures::try_join!(self.whole(table, &checkpoint), self.find(&path))?;
            let bytes = bytes.filter(|bytes| whole.is_some() && checkpoint.told == Some(sha256(bytes)));
            if let Some(bytes) = bytes {
                return Ok(Told::UpTo(checkpoint.version, bytes));
            }
        }
        Ok(told)
    }

    /// The bytes of a checkpoint, where they are what they are said to be.
    async fn whole(&self, table: &str, checkpoint: &Checkpoint) -> Result<Option<Bytes>, Problem> {
        let bytes = self.find(&checkpoint_path(table, checkpoint.version)).await?;
        Ok(bytes.filter(|bytes| sha256(bytes) == checkpoint.sha256))
    }

    /// Those of some checkpoints that are there, and what they are said to be.
    ///
    /// # Errors
    /// Storage that fails.
    pub(super) async fn whole_checkpoints(&self, checkpoints: &Checkpoints) -> Result<Checkpoints, Problem> {
        let mut whole = Checkpoints::new();
        for (table, all) in checkpoints {
            for checkpoint in all {
                if self.whole(table, checkpoint).await?.is_some() {
                    whole.entry(table.clone()).or_default().push(checkpoint.clone());
                }
            }
        }
        Ok(whole)
    }

    /// Learns which checkpoints the newest publish names; whether that is another one than was known.
    pub(super) async fn refresh(&self) -> bool {
        let before = self.known_publish();
        self.newest_whole().await.is_ok() && self.known_publish() != before
    }

    fn shown(&self, table: &str, checkpoint: Option<&Path>) -> Result<(Arc<Shown>, LogStoreRef), Problem> {
        let checkpoint = checkpoint.cloned();
        let shown = Arc::new(Shown { lake: self.object_store(), checkpoint, checkpoints: InMemory::new() });
        // The scheme only chooses deltalake's plain log store; every byte goes through our store, which is rooted here.
        let url = url::Url::parse(&format!("memory:///{table}/")).map_err(|e| Problem::storage(table, e))?;
        let store: Arc<dyn ObjectStore> = shown.clone();
        let log = logstore_with(store, &url, StorageConfig::default()).map_err(|e| Problem::storage(table, e))?;
        Ok((shown, log))
    }

    /// Writes a checkpoint where one is due: many commits came since the last one, and the version is ours (the audit table
    /// has no other). Nothing is written over: where another one stands already, it is taken if it is the same, else left
    /// alone.
    ///
    /// # Errors
    /// Storage that fails; a log that cannot be read.
    pub(super) async fn checkpoint(
        &self,
        table: &str,
        version: u64,
        last: Option<&Checkpoint>,
    ) -> Result<Option<Checkpoint>, Problem> {
        let is_due = version >= last.map_or(0, |last| last.version) + CHECKPOINT_EVERY;
        if !is_due || table != "audit" && !self.is_ours(table, version).await? {
            return Ok(None);
        }
        let failed = |e: DeltaTableError| Problem::storage(table, e);
        let (shown, log) = self.shown_at(table, version).await?;
        let mut delta = DeltaTable::new(log);
        delta.load_version(version).await.map_err(failed)?;
        create_checkpoint(&delta, None).await.map_err(failed)?;
        let path = checkpoint_path(table, version);
        let written =
            shown.checkpoints.get(&path.split('/').collect()).await.map_err(|e| Problem::storage(&path, e))?;
        let bytes = written.bytes().await.map_err(|e| Problem::storage(&path, e))?;
        if !self.put_if_absent(&path, bytes.clone()).await? {
            return Ok(None);
        }
        let mut digest = None;
        if let Some(told) = self.told(table, version).await? {
            digest = Some(sha256(&told));
            let is_it = self.put_if_absent(&told_path(table, version), told).await?;
            digest = digest.filter(|_| is_it);
        }
        Ok(Some(Checkpoint { version, sha256: sha256(&bytes), told: digest }))
    }
}

/// Where the checkpoint of a version lies.
pub(super) fn checkpoint_path(table: &str, version: u64) -> String {
    format!("{table}/_delta_log/{version:020}.checkpoint.parquet")
}

/// Where what it says stands beside it.
pub(super) fn told_path(table: &str, version: u64) -> String {
    format!("{TOLD}{table}/{version:020}.json")
}

fn is_checkpoint(path: &Path) -> bool {
    let name = path.filename().unwrap_or_default();
    path.as_ref().contains("/_delta_log/") && (name.contains(".checkpoint") || name == "_last_checkpoint")
        || path.as_ref().contains("/_delta_log/_sidecars/")
}

/// The lake, with one checkpoint at most. It and those that are written are in memory.
#[derive(Debug)]
struct Shown {
    lake: Arc<dyn ObjectStore>,
    checkpoint: Option<Path>,
    checkpoints: InMemory,
}

impl Shown {
    fn hides(&self, path: &Path) -> bool {
        is_checkpoint(path) && self.checkpoint.as_ref() != Some(path)
    }

    fn filtered(&self, listing: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        let shown = self.checkpoint.clone();
        let stays = move |meta: &Result<ObjectMeta>| {
            let hidden = meta.as_ref().is_ok_and(|m| is_checkpoint(&m.location) && shown.as_ref() != Some(&m.location));
            std::future::ready(!hidden)
        };
        listing.filter(stays).boxed()
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lake.fmt(f)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Shown {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if !is_checkpoint(location) {
            return self.lake.put_opts(location, payload, opts).await;
        }
        self.checkpoints.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, at: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.lake.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match is_checkpoint(location) {
            true => self.checkpoints.get_opts(location, options).await,
            false => self.lake.get_opts(location, options).await,
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.lake.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.filtered(self.lake.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.filtered(self.lake.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut listing = self.lake.list_with_delimiter(prefix).await?;
        listing.objects.retain(|object| !self.hides(&object.location));
        Ok(listing)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.lake.copy_opts(from, to, options).await
    }
}
