//! A table's files out of its log, where the log says no more than this program writes.
//!
//! Deltalake reads any log, and any of them in several passes that go from thread to thread: of a small run that was most of
//! the time. Ours is one pass over the commits (Delta protocol, "Action Reconciliation"), behind the last checkpoint that is
//! known to be whole: beside each, which is for others, stands the same as one commit, `_rcm/logs/<table>/<version>.json`.
//! Whatever is of another kind, damaged or missing is left to deltalake, and so are the words for it.

use super::foreign::commit_path;
use super::{DataFile, Lake, TableFiles, Vector};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use rcm_core::Problem;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Commits that are asked for at once.
const AT_ONCE: usize = 16;

/// What stands on a line of a commit; another one is none of ours.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Action {
    CommitInfo(IgnoredAny),
    Txn(IgnoredAny),
    MetaData(IgnoredAny),
    Protocol(Protocol),
    Add(File),
    Remove(File),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Protocol {
    min_reader_version: i32,
    min_writer_version: i32,
    #[serde(default)]
    reader_features: Option<Vec<String>>,
}

impl Protocol {
    /// Whether it asks nothing of a reader but to know deletion vectors.
    fn is_known(&self) -> bool {
        let features = self.reader_features.as_deref().unwrap_or_default();
        matches!(self.min_reader_version, 1 | 3) && features.iter().all(|feature| feature == "deletionVectors")
    }

    fn has_vectors(&self) -> bool {
        self.min_reader_version == 3 && self.reader_features.as_ref().is_some_and(|features| !features.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    path: String,
    size: Option<u64>,
    stats: Option<String>,
    deletion_vector: Option<Value>,
}

impl File {
    /// None: of a name that stands for another one, or with a vector of no known kind.
    fn read(self) -> Option<DataFile> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Stats {
            num_records: Option<u64>,
        }
        let is_plain = self.path.chars().all(|c| c.is_ascii_alphanumeric() || "/_-.=".contains(c));
        let stats: Option<Stats> = self.stats.map(|stats| serde_json::from_str(&stats)).transpose().ok()?;
        let vector = match &self.deletion_vector {
            None => None,
            Some(vector) => Some(Vector::of_action(vector)?),
        };
        is_plain.then_some(DataFile {
            path: self.path,
            size: self.size.unwrap_or(0),
            rows: stats.and_then(|stats| stats.num_records).unwrap_or(0),
            vector,
        })
    }
}

/// What a log says up to some point. Its functions return none where it says more than is read here.
#[derive(Debug, Default)]
struct Replay {
    /// By path and vector: the same file with another vector is another one.
    files: BTreeMap<(String, String), DataFile>,
    protocol: Option<Protocol>,
    is_described: bool,
}

impl Replay {
    fn add(&mut self, file: File) -> Option<()> {
        file.size?;
        let file = file.read()?;
        self.files.insert(key(&file), file);
        Some(())
    }

    fn follow(&mut self, protocol: Protocol) -> Option<()> {
        self.protocol = protocol.is_known().then_some(Some(protocol))?;
        Some(())
    }

    fn commit(&mut self, commit: &[u8]) -> Option<()> {
        let mut lines = commit.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).peekable();
        lines.peek()?;
        for line in lines {
            match serde_json::from_slice(line).ok()? {
                Action::CommitInfo(_) | Action::Txn(_) => {}
                Action::MetaData(_) => self.is_described = true,
                Action::Protocol(protocol) => self.follow(protocol)?,
                Action::Add(file) => self.add(file)?,
                Action::Remove(file) => {
                    self.files.remove(&key(&file.read()?));
                }
            }
        }
        Some(())
    }

    /// The same as one commit.
    fn told(&self) -> Result<Vec<u8>, serde_json::Error> {
        let protocol = self.protocol.iter().map(|protocol| json!({"protocol": protocol}));
        let mut actions: Vec<Value> = protocol.chain(self.is_described.then(|| json!({"metaData": {}}))).collect();
        for file in self.files.values() {
            actions.push(json!({"add": {
                "path": file.path, "size": file.size, "stats": json!({"numRecords": file.rows}).to_string(),
                "deletionVector": file.vector.as_ref().map(Vector::action),
            }}));
        }
        let lines = actions.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        Ok(lines.join("\n").into_bytes())
    }

    fn files_at(self, version: u64) -> Option<TableFiles> {
        let protocol = self.protocol?;
        let with_vectors = protocol.has_vectors();
        let is_plain = protocol.min_reader_version == 1 && protocol.min_writer_version == 2;
        let files: Vec<_> = self.files.into_values().collect();
        let is_sound = with_vectors || files.iter().all(|file| file.vector.is_none());
        (is_sound && self.is_described).then_some(TableFiles { version: Some(version), files, with_vectors, is_plain })
    }
}

fn key(file: &DataFile) -> (String, String) {
    (file.path.clone(), file.vector.as_ref().map_or_else(String::new, Vector::id))
}

impl Lake {
    /// The live files of a table at a version; none where deltalake is to be asked.
    ///
    /// # Errors
    /// Storage that fails.
    pub(super) async fn replay(&self, table: &str, version: u64) -> Result<Option<TableFiles>, Problem> {
        Ok(self.replayed(table, version).await?.and_then(|replay| replay.files_at(version)))
    }

    /// What the log of a table says up to a version, as one commit; none where deltalake is to be asked.
    ///
    /// # Errors
    /// Storage that fails.
    pub(super) async fn told(&self, table: &str, version: u64) -> Result<Option<Vec<u8>>, Problem> {
        let replay = self.replayed(table, version).await?;
        replay.map(|replay| replay.told().map_err(|e| Problem::storage(table, e))).transpose()
    }

    async fn replayed(&self, table: &str, version: u64) -> Result<Option<Replay>, Problem> {
        let mut replay = Replay::default();
        let mut first = 0;
        if let Some((version, told)) = self.told_up_to(table, version).await? {
            first = version + 1;
            if replay.commit(&told).is_none() {
                return Ok(None);
            }
        }
        let paths = (first..=version).map(|version| commit_path(table, version));
        let mut commits = stream::iter(paths).map(|path| self.found(path)).buffered(AT_ONCE);
        while let Some(commit) = commits.try_next().await? {
            if commit.and_then(|commit| replay.commit(&commit)).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(replay))
    }

    async fn found(&self, path: String) -> Result<Option<Bytes>, Problem> {
        self.find(&path).await
    }
}

#[cfg(test)]
mod tests;
