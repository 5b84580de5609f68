//! The two records that make a run count: intent and publish.

use super::{AuditRow, Checkpoints, Lake};
use crate::files::sha256;
use chrono::{DateTime, Utc};
use rcm_core::{Class, Problem};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Version of both records. A program that does not know it does not touch the lake.
pub const FORMAT: u32 = 2;

/// Where a table stands at a publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct TableAt {
    /// Its Delta version; none until it is created.
    pub version: Option<u64>,
    /// Id of the Delta table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Digest of its schema in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Its current state parts (silver), by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub state: BTreeMap<String, String>,
    /// The instant that a dated gold table speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    /// Whether rows of others are in it, committed while the run was being published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others: bool,
    /// Digest of the query that made a gold table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A publish: what a reader who wants one run, whole, pins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// [`FORMAT`].
    pub format: u32,
    /// Its number, from 1, without gaps.
    pub publish: u64,
    /// The run, a digest of what it read and was told.
    pub run_id: String,
    /// The attempt that wrote it.
    pub attempt: String,
    /// The run's instant.
    pub as_of: String,
    /// `layer/table` → where it stands.
    pub tables: BTreeMap<String, TableAt>,
    /// Loads whose last delivery failed: what they feed stands as it did before.
    pub stale: Vec<String>,
    /// Checkpoints of the tables' logs, the audit table's included.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checkpoints: Checkpoints,
    /// The oldest publish that can still be read: files of older ones were let go.
    #[serde(default = "first")]
    pub kept_from: u64,
    /// Bronze files that the run added to those that count; all of them stand in the tables' state.
    #[serde(default)]
    pub bronze: Vec<String>,
}

fn first() -> u64 {
    1
}

/// One Delta commit of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCommit {
    /// `layer/table`.
    pub table: String,
    /// The version on which it was planned; none: the table is to be created.
    pub base: Option<u64>,
    /// `<publish>/<table>`, also in the commit's `commitInfo`: how a redo knows its own commit.
    pub commit_id: String,
    /// The bytes of the commit file.
    pub commit: String,
}

/// All that a run will do after its point of no return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Commits in order.
    pub commits: Vec<TableCommit>,
    /// The publish record, as it will be written.
    pub publish: Publish,
    /// The audit rows of the run.
    pub audit: Vec<AuditRow>,
}

const DAMAGED: &str = "the record is damaged";

/// A record with a digest over its body, so that a damaged one is known.
#[derive(Serialize, Deserialize)]
struct Sealed {
    sha256: String,
    body: String,
}

pub(super) fn seal<T: Serialize>(body: &T, place: &str) -> Result<Vec<u8>, Problem> {
    let body = serde_json::to_string(body).map_err(|e| Problem::storage(place, e))?;
    serde_json::to_vec(&Sealed { sha256: sha256(body.as_bytes()), body }).map_err(|e| Problem::storage(place, e))
}

pub(super) fn unseal<T: for<'a> Deserialize<'a>>(bytes: &[u8], place: &str) -> Result<T, Problem> {
    let damaged = |what: &str| {
        Problem::new(Class::Failed, place, format!("{DAMAGED}: {what}"))
            .hint("restore the file from a backup of the lake; nothing was changed")
    };
    let sealed: Sealed = serde_json::from_slice(bytes).map_err(|_| damaged("it is no sealed JSON"))?;
    if sha256(sealed.body.as_bytes()) != sealed.sha256 {
        return Err(damaged("its digest does not match"));
    }
    serde_json::from_str(&sealed.body).map_err(|_| damaged("it was written by another version of rcm"))
}

/// A path that carries a digest of what it holds, so that a damaged part is known: `<stem>-<digest>.<ending>`.
pub(super) fn digested(stem: &str, ending: &str, bytes: &[u8]) -> String {
    format!("{stem}-{}.{ending}", &sha256(bytes)[..16])
}

impl Lake {
    /// Writes a state part under a path that carries a digest of it: `<stem>-<digest>.<ending>`, which is returned. The stem
    /// begins with the attempt.
    ///
    /// # Errors
    /// Storage that fails.
    pub async fn put_digested(&self, stem: &str, ending: &str, bytes: Vec<u8>) -> Result<String, Problem> {
        let path = digested(stem, ending, &bytes);
        self.put(&path, bytes).await.map(|()| path)
    }

    /// Reads a part that [`Lake::put_digested`] wrote.
    ///
    /// # Errors
    /// A part that is missing or damaged.
    pub async fn get_digested(&self, path: &str) -> Result<bytes::Bytes, Problem> {
        let bytes = self.get(path).await?;
        let stem = path.rsplit_once('.').and_then(|(path, ending)| Some((path.rsplit_once('-')?.0, ending)));
        match stem.is_some_and(|(stem, ending)| digested(stem, ending, &bytes) == path) {
            true => Ok(bytes),
            false => Err(Problem::new(Class::Failed, path, "the part is damaged: its digest does not match")
                .hint("restore the file from a backup of the lake; nothing was changed")),
        }
    }
}

fn known_format(format: u32, place: &str) -> Result<(), Problem> {
    let hint = match format.cmp(&FORMAT) {
        Ordering::Equal => return Ok(()),
        Ordering::Less => {
            "this version cannot go on with so old a lake: keep its bronze, and make a new lake from landing"
        }
        Ordering::Greater => "use the version of rcm that wrote this lake, or a newer one",
    };
    Err(Problem::new(Class::Failed, place, format!("format {format}, expected {FORMAT}")).hint(hint))
}

pub(super) fn intent_path(publish: u64) -> String {
    format!("_rcm/intents/{publish:020}.json")
}

pub(super) fn publish_path(publish: u64) -> String {
    format!("_rcm/publishes/{publish:020}.json")
}

impl Lake {
    /// The newest publish; none in a new lake.
    ///
    /// # Errors
    /// Storage that fails, a damaged record, or one of a newer format.
    pub async fn newest(&self) -> Result<Option<Publish>, Problem> {
        match self.newest_publish().await? {
            Some(number) => self.publish(number).await,
            None => Ok(None),
        }
    }

    /// The newest publish whose record is whole, for a reader, and what is wrong with a newer one; none in a lake that has
    /// no such publish. (A run goes on from the newest one, or not at all.)
    ///
    /// # Errors
    /// Storage that cannot be listed; no record that is whole.
    pub async fn newest_whole(&self) -> Result<Option<(Publish, Option<Problem>)>, Problem> {
        let mut wrong = None;
        for number in (1..=self.newest_publish().await?.unwrap_or(0)).rev() {
            match self.publish(number).await {
                Ok(Some(publish)) => return Ok(Some((publish, wrong))),
                Ok(None) => {}
                Err(problem) if problem.what.starts_with(DAMAGED) => wrong = wrong.or(Some(problem)),
                Err(problem) => return Err(problem),
            }
        }
        wrong.map_or(Ok(None), Err)
    }

    /// The newest publish up to which no instant of a run is later than this one; none where the first is.
    ///
    /// # Errors
    /// As [`Lake::newest`].
    pub async fn publish_as_of(&self, time: DateTime<Utc>) -> Result<Option<Publish>, Problem> {
        let mut found = None;
        for number in 1..=self.newest_publish().await?.unwrap_or(0) {
            let publish = self.publish(number).await?;
            let is_later = |p: &Publish| p.as_of.parse::<DateTime<Utc>>().is_ok_and(|as_of| as_of > time);
            if publish.as_ref().is_some_and(is_later) {
                break;
            }
            found = publish.or(found);
        }
        Ok(found)
    }

    /// A publish by its number; none where there is none.
    ///
    /// # Errors
    /// As [`Lake::newest`].
    pub async fn publish(&self, number: u64) -> Result<Option<Publish>, Problem> {
        let path = publish_path(number);
        let Some(bytes) = self.find(&path).await? else { return Ok(None) };
        let publish: Publish = unseal(&bytes, &path)?;
        known_format(publish.format, &path)?;
        self.knows_checkpoints(&publish);
        Ok(Some(publish))
    }

    /// An intent whose publish record does not stand yet.
    ///
    /// # Errors
    /// As [`Lake::newest`].
    pub(super) async fn open_intent(&self) -> Result<Option<Intent>, Problem> {
        let published = self.newest_publish().await?.unwrap_or(0);
        // A number is put only when the record before it stands.
        self.intent(published + 1).await
    }

    /// The intent of a publish.
    ///
    /// # Errors
    /// As [`Lake::newest`].
    pub async fn intent(&self, number: u64) -> Result<Option<Intent>, Problem> {
        let path = intent_path(number);
        let Some(bytes) = self.find(&path).await? else { return Ok(None) };
        let intent: Intent = unseal(&bytes, &path)?;
        known_format(intent.publish.format, &path)?;
        Ok(Some(intent))
    }

    /// Writes the intent under its publish number: the point of no return. Somebody else's commits are noticed before it.
    ///
    /// # Errors
    /// Class `drift` where a table is not at the version on which the run planned; class `busy` where another run took the number; nothing of this run is visible then.
    pub async fn put_intent(&self, intent: &Intent) -> Result<(), Problem> {
        let number = intent.publish.publish;
        let path = intent_path(number);
        let taken = || {
            Problem::new(Class::Busy, &path, format!("another run took publish {number}"))
                .hint("run again; nothing of this run was published")
        };
        // First: then what stands in the tables is that run's.
        if self.find(&path).await?.is_some() {
            return Err(taken());
        }
        for commit in &intent.commits {
            let head = self.head(&commit.table).await?;
            if head != commit.base {
                let version = |v: Option<u64>| v.map_or_else(|| "not there".to_owned(), |v| format!("at version {v}"));
                let what = format!("the table is {}, the run planned on it {}", version(head), version(commit.base));
                return Err(Problem::new(Class::Drift, &commit.table, what)
                    .hint("somebody else wrote to the table meanwhile; nothing of this run was published: run again"));
            }
        }
        match self.put_if_absent(&path, seal(intent, &path)?).await? {
            true => Ok(()),
            false => Err(taken()),
        }
    }

    /// The number of the newest publish. Records stand without gaps from the first one and are never deleted, so that on a
    /// local disk some looks find it, however many there are. Where it may not be the newest (there is an intent of the next
    /// number: a run is at work, or somebody deleted a record) all names are read.
    async fn newest_publish(&self) -> Result<Option<u64>, Problem> {
        let found = self.last_that_is_there(publish_path).await?;
        match found {
            Some(number) if number > 0 && self.find(&intent_path(number + 1)).await?.is_none() => Ok(found),
            _ => self.newest_number("_rcm/publishes").await,
        }
    }

    /// The greatest number in a folder of numbered files.
    pub(super) async fn newest_number(&self, folder: &str) -> Result<Option<u64>, Problem> {
        Ok(self.names(folder).await?.iter().filter_map(|name| number(name)).max())
    }
}

/// The number that is a file's name.
fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".json").filter(|number| number.len() == 20)?.parse().ok()
}
