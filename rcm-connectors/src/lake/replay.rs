//! A table's files out of its log, where the log says no more than this program writes.
//!
//! Deltalake reads any log, and any of them in several passes that go from thread to thread: of a small run that was most of
//! the time. Ours is one pass over the commits (Delta protocol, "Action Reconciliation"), behind the last checkpoint that is
//! known to be whole: beside each, which is for others, stands what is read here, in lines like a commit's,
//! `_rcm/logs/<table>/<version>.json`. What others wrote in another kind, and what is missing, is left to deltalake, and so
//! are the words for it.

use super::checkpoint::Told;
use super::foreign::{Seen, commit_path};
use super::redo::without_log;
use super::{DataFile, Lake, TableFiles, Vector};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use rcm_core::{Class, Problem};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Commits that are asked for at once.
const AT_ONCE: usize = 16;

/// What stands on a line of a commit; another one is none of ours.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Action {
    CommitInfo(IgnoredAny),
    Txn(Txn),
    MetaData(IgnoredAny),
    Protocol(Protocol),
    Add(File),
    Remove(File),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Txn {
    app_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Protocol {
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

    pub(super) fn has_vectors(&self) -> bool {
        self.reader_features.as_ref().is_some_and(|features| features.iter().any(|it| it == "deletionVectors"))
    }

    /// Whether it is the one that this program begins with.
    pub(super) fn is_plain(&self) -> bool {
        self.min_reader_version == 1 && self.min_writer_version == 2
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
        let stats: Option<Stats> = self.stats.map(|stats| serde_json::from_str(&stats)).transpose().ok()?;
        let vector = match &self.deletion_vector {
            None => None,
            Some(vector) => Some(Vector::of_action(vector)?),
        };
        is_plain(&self.path).then_some(DataFile {
            path: self.path,
            size: self.size.unwrap_or(0),
            rows: stats.and_then(|stats| stats.num_records).unwrap_or(0),
            vector,
        })
    }
}

/// Whether a path stands for itself.
fn is_plain(path: &str) -> bool {
    path.chars().all(|c| c.is_ascii_alphanumeric() || "/_-.=".contains(c))
}

/// What a log says up to some point. Its functions return none where it says more than is read here.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// By path and vector: the same file with another vector is another one.
    files: BTreeMap<Key, DataFile>,
    protocol: Option<Protocol>,
    is_described: bool,
    /// Application ids of its transactions.
    pub(super) apps: BTreeSet<String>,
}

type Key = (String, String);

impl Replay {
    /// What deltalake read of a log, where it could go on from there.
    fn of(table: TableFiles, protocol: Protocol) -> Option<Self> {
        let is_ours = protocol.is_known() && table.files.iter().all(|file| is_plain(&file.path));
        let files = table.files.into_iter().map(|file| (key(&file), file)).collect();
        is_ours.then_some(Replay { files, protocol: Some(protocol), is_described: true, ..Replay::default() })
    }

    fn commit(&mut self, commit: &[u8]) -> Option<()> {
        let mut lines = commit.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).peekable();
        lines.peek()?;
        let mut met = BTreeSet::new();
        for line in lines {
            match serde_json::from_slice(line).ok()? {
                Action::CommitInfo(_) => {}
                Action::Txn(Txn { app_id }) => {
                    self.apps.insert(app_id);
                }
                Action::MetaData(_) => self.is_described = true,
                Action::Protocol(protocol) => self.protocol = protocol.is_known().then_some(Some(protocol))?,
                Action::Add(file) => {
                    file.size?;
                    let file = file.read()?;
                    met.insert(key(&file)).then_some(())?;
                    self.files.insert(key(&file), file);
                }
                Action::Remove(file) => {
                    let key = key(&file.read()?);
                    self.files.remove(&key);
                    // Of two actions of one file in a commit none is the last.
                    met.insert(key).then_some(())?;
                }
            }
        }
        Some(())
    }

    /// The same in lines like a commit's; nobody else could read them: they lack what is not asked for here.
    fn told(&self) -> Result<Vec<u8>, serde_json::Error> {
        let protocol = self.protocol.iter().map(|protocol| json!({"protocol": protocol}));
        let mut actions: Vec<Value> = protocol.chain(self.is_described.then(|| json!({"metaData": {}}))).collect();
        actions.extend(self.apps.iter().map(|app| json!({"txn": {"appId": app}})));
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
        let is_plain = protocol.is_plain();
        let files: Vec<_> = self.files.into_values().collect();
        let is_sound = with_vectors || files.iter().all(|file| file.vector.is_none());
        (is_sound && self.is_described).then_some(TableFiles { version: Some(version), files, with_vectors, is_plain })
    }
}

fn key(file: &DataFile) -> Key {
    (file.path.clone(), file.vector.as_ref().map_or_else(String::new, Vector::id))
}

impl Lake {
    /// The live files of a table at a version; none where deltalake is to be asked.
    ///
    /// # Errors
    /// As [`Lake::replayed`].
    pub(super) async fn replay(&self, table: &str, version: u64) -> Result<Option<TableFiles>, Problem> {
        Ok(self.replayed(table, version).await?.and_then(|replay| replay.files_at(version)))
    }

    /// What the log of a table says up to a version, in lines like a commit's; none where it is of another kind.
    ///
    /// # Errors
    /// Storage that fails; a log that cannot be read.
    pub(super) async fn told(&self, table: &str, version: u64) -> Result<Option<Vec<u8>>, Problem> {
        let replay = match self.replayed(table, version).await? {
            Some(replay) => Some(replay),
            // Who appended to it, deltalake does not tell of all at once.
            None if table == "audit" => None,
            None => {
                let (files, protocol) = self.by_deltalake(table, version).await?;
                Replay::of(files, protocol)
            }
        };
        replay.map(|replay| replay.told().map_err(|e| Problem::storage(table, e))).transpose()
    }

    /// What the log of a table says up to a version; none where deltalake is to be asked.
    ///
    /// # Errors
    /// Storage that fails; a commit of a run that is damaged.
    pub(super) async fn replayed(&self, table: &str, version: u64) -> Result<Option<Replay>, Problem> {
        let mut replay = Replay::default();
        let mut first = 0;
        match self.told_up_to(table, version).await? {
            Told::Nothing => {}
            Told::Nowhere => return Ok(None),
            Told::UpTo(version, told) => {
                first = version + 1;
                if replay.commit(&told).is_none() {
                    return Ok(None);
                }
            }
        }
        let paths = (first..=version).map(|version| commit_path(table, version));
        let mut commits = stream::iter(paths).map(|path| self.found(path)).buffered(AT_ONCE);
        while let Some((path, commit)) = commits.try_next().await? {
            let Some(commit) = commit else { return Ok(None) };
            if replay.commit(&commit).is_some() {
                continue;
            }
            // Deltalake passes over lines that it does not know: a file that went would be there again.
            if Seen::of(&commit).is_of(table) {
                return Err(Problem::new(
                    Class::Drift,
                    path,
                    "is damaged: a run wrote it, and no run writes such a line",
                )
                .hint(without_log(table)));
            }
            return Ok(None);
        }
        Ok(Some(replay))
    }

    async fn found(&self, path: String) -> Result<(String, Option<Bytes>), Problem> {
        let found = self.find(&path).await?;
        Ok((path, found))
    }
}

#[cfg(test)]
mod tests;
