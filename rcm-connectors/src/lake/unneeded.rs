//! Files that nothing needs any more: what killed attempts left, and what only publishes name that nobody keeps.

use super::checkpoint::{TOLD, told_path};
use super::foreign::commit_path;
use super::vector::{Vector, attempt_of};
use super::{Checkpoints, Lake, Publish, TableAt};
use rcm_core::{Class, Problem};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// A file that can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unneeded {
    /// Its path in the lake.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

/// The files that publishes name.
#[derive(Default)]
struct Named {
    paths: HashSet<String>,
    /// What stands beside the checkpoints that are kept.
    told: HashSet<String>,
    /// Tables of which that cannot be told, because others made them anew: nothing of them goes.
    unclear: Vec<String>,
    /// Table → the version from which on its log is needed.
    logs: BTreeMap<String, u64>,
    /// The version of the audit table whose files are named.
    audit: Option<u64>,
}

impl Lake {
    /// Files that no publish from number `oldest` on names, written by attempts that planned on a number below `below`:
    /// none of these can publish any more, once `below` is taken. Only files with the name of an attempt are told, and what
    /// was left under staging names; bronze files that count for a table are named by it. Of a log, what lies before the
    /// last two checkpoints, as far as the oldest publish does not need it: `checkpoints`, which must be whole, is left with
    /// what stays.
    ///
    /// # Errors
    /// Storage that fails, a damaged record.
    pub async fn unneeded(
        &self,
        oldest: u64,
        below: u64,
        checkpoints: &mut Checkpoints,
    ) -> Result<Vec<Unneeded>, Problem> {
        let named = self.named(oldest, below, checkpoints).await?;
        for (table, bound) in &named.logs {
            checkpoints.entry(table.clone()).or_default().retain(|checkpoint| checkpoint.version >= *bound);
        }
        let told = checkpoints.iter().flat_map(|(table, all)| all.iter().map(|it| told_path(table, it.version)));
        let named = Named { told: told.collect(), ..named };
        let mut unneeded = Vec::new();
        for (path, size) in self.walk().await? {
            if named.lets_go(&path, below) && !self.may_be_committed(&path, named.audit).await? {
                unneeded.push(Unneeded { path, size });
            }
        }
        Ok(unneeded)
    }

    /// Whether a file holds audit rows that whoever wrote it may be about to commit, or has committed behind the version of the
    /// audit table at which its files were named: that needs no number.
    async fn may_be_committed(&self, path: &str, audit: Option<u64>) -> Result<bool, Problem> {
        let name = path.strip_prefix("audit/").filter(|name| !name.starts_with("_delta_log/") && !name.contains('#'));
        match name.and_then(|name| name.get(..17)) {
            Some(attempt) => Ok(!self.audit_has(attempt, audit).await?),
            None => Ok(false),
        }
    }

    async fn named(&self, oldest: u64, below: u64, checkpoints: &Checkpoints) -> Result<Named, Problem> {
        let mut named = Named::default();
        let mut tables: BTreeMap<String, Vec<TableAt>> = BTreeMap::new();
        for number in oldest..below {
            let record: Publish = self.publish(number).await?.ok_or_else(|| {
                Problem::new(Class::Failed, format!("publish {number}"), "its record is missing")
                    .hint("restore the folder _rcm from a backup of the lake; nothing was deleted")
            })?;
            for (table, at) in record.tables {
                tables.entry(table).or_default().push(at);
            }
        }
        for (table, mut ats) in tables {
            for part in ats.iter().flat_map(|at| &at.state) {
                if named.paths.insert(part.1.clone()) && part.0 == "state" {
                    let state = self.table_state(part.1).await?;
                    let bronze = state.files.into_iter().flat_map(|file| [Some(file.bronze), file.rejected]);
                    named.paths.extend(bronze.flatten());
                }
            }
            ats.retain(|at| at.version.is_some());
            ats.sort_by_key(|at| at.version);
            if let Some(bound) =
                ats.first().and_then(|at| at.version).and_then(|oldest| bound(checkpoints, &table, oldest))
            {
                named.logs.insert(table.clone(), bound);
            }
            self.name_files(&table, ats, &mut named).await?;
        }
        let head = self.head("audit").await?;
        named
            .logs
            .extend(head.and_then(|head| bound(checkpoints, "audit", head)).map(|bound| ("audit".to_owned(), bound)));
        named.audit = head;
        let audit = self.table_files("audit", head).await?;
        named.paths.extend(audit.files.into_iter().map(|file| format!("audit/{}", file.path)));
        Ok(named)
    }

    /// The live files of a table's oldest version, and all that came since.
    async fn name_files(&self, table: &str, ats: Vec<TableAt>, named: &mut Named) -> Result<(), Problem> {
        let (Some(first), head) = (ats.first(), self.head(table).await?) else { return Ok(()) };
        let is_one = ats.iter().all(|at| at.id == first.id && at.version <= head);
        let (true, Some(version), Some(head)) = (is_one, first.version, head) else {
            named.unclear.push(format!("{table}/"));
            return Ok(());
        };
        if !self.is_ours(table, version).await? {
            named.unclear.push(format!("{table}/"));
            return Ok(());
        }
        let live = self.table_files(table, Some(version)).await?;
        let vectors = live.files.iter().filter_map(|file| file.vector.as_ref()?.path());
        let files = live.files.iter().map(|file| file.path.clone());
        named.paths.extend(files.chain(vectors).map(|path| format!("{table}/{path}")));
        for version in version + 1..=head {
            let commit = self.get(&commit_path(table, version)).await?;
            let actions = commit.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
            for add in actions.filter_map(|mut action: Value| action.get_mut("add").map(Value::take)) {
                let vector = add.get("deletionVector").and_then(|vector| Vector::of_action(vector)?.path());
                let file = add.get("path").and_then(Value::as_str).map(str::to_owned);
                named.paths.extend(file.into_iter().chain(vector).map(|path| format!("{table}/{path}")));
            }
        }
        Ok(())
    }
}

/// The version before which a log is not needed: that of the last but one checkpoint, or of the one by which the oldest
/// kept version is read.
fn bound(checkpoints: &Checkpoints, table: &str, oldest: u64) -> Option<u64> {
    let versions = checkpoints.get(table)?.iter().map(|checkpoint| checkpoint.version);
    let last_but_one = versions.clone().rev().nth(1)?;
    Some(last_but_one.min(versions.filter(|version| *version <= oldest).max()?))
}

/// The version of a file of a log.
fn version_of(name: &str) -> Option<u64> {
    let (version, ending) = name.split_once('.')?;
    (version.len() == 20 && ["json", "checkpoint.parquet"].contains(&ending)).then(|| version.parse().ok())?
}

impl Named {
    fn lets_go(&self, path: &str, below: u64) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let (name, staged) = name.split_once('#').map_or((name, None), |(name, digits)| (name, Some(digits)));
        let of_vectors = attempt_of(name);
        let name = of_vectors.as_deref().unwrap_or(name);
        if let Some(digits) = staged {
            // Whatever its number: who lost what it had staged stages it again.
            let is_ours = is_of_attempt(name) || path.contains("/_delta_log/") || path.starts_with("_rcm/");
            return is_ours && digits.bytes().all(|byte| byte.is_ascii_digit());
        }
        let is_old =
            name.split(['-', '.']).next().and_then(|number| number.parse().ok()).is_some_and(|n: u64| n < below);
        if self.unclear.iter().any(|table| path.starts_with(table)) {
            return false;
        }
        if path.starts_with(TOLD) {
            return !self.told.contains(path);
        }
        if let Some((table, _)) = path.split_once("/_delta_log/") {
            return self.logs.get(table).zip(version_of(name)).is_some_and(|(bound, version)| version < *bound);
        }
        is_old && is_of_attempt(name) && !self.paths.contains(path)
    }
}

/// Whether a file's name begins with that of an attempt: a number, and chance.
pub(super) fn is_of_attempt(name: &str) -> bool {
    let Some((number, rest)) = name.split_once('-') else { return false };
    let chance = rest.as_bytes().get(..8);
    let ends = rest.as_bytes().get(8).is_none_or(|byte| b"-.".contains(byte));
    number.len() >= 8
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && ends
        && chance.is_some_and(|chance| chance.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::Checkpoint;

    #[test]
    fn a_log_is_needed_from_the_last_but_one_checkpoint_on_and_from_before_the_oldest_publish() {
        let at = |versions: &[u64]| {
            let one = |version: &u64| Checkpoint { version: *version, sha256: String::new(), told: None };
            Checkpoints::from([("t".to_owned(), versions.iter().map(one).collect())])
        };
        assert_eq!(bound(&at(&[]), "t", 40), None);
        assert_eq!(bound(&at(&[10]), "t", 40), None);
        assert_eq!(bound(&at(&[10, 20]), "t", 40), Some(10));
        assert_eq!(bound(&at(&[10, 20, 30]), "t", 40), Some(20));
        assert_eq!(bound(&at(&[10, 20, 30]), "t", 20), Some(20));
        assert_eq!(bound(&at(&[10, 20, 30]), "t", 19), Some(10));
        assert_eq!(bound(&at(&[10, 20, 30]), "t", 9), None);
        assert_eq!(bound(&at(&[10, 20, 30]), "u", 40), None);
    }

    #[test]
    fn what_goes_is_of_attempts_that_planned_before_and_named_by_nobody() {
        let named = Named {
            paths: HashSet::from([
                "silver/a/0-0/00000002-0a1b2c3d.parquet".to_owned(),
                "silver/a/deletion_vector_00000002-0a1b-2c3d-0000-000000000000.bin".to_owned(),
            ]),
            unclear: vec!["silver/b/".to_owned()],
            told: HashSet::from(["_rcm/logs/gold/c/00000000000000000020.json".to_owned()]),
            logs: BTreeMap::from([("gold/c".to_owned(), 20)]),
            audit: None,
        };
        for (path, goes) in [
            ("silver/a/0-0/00000002-0a1b2c3d.parquet", false),
            ("silver/a/0-0/00000002-0a1b2c3e.parquet", true),
            ("silver/a/0-0/00000003-0a1b2c3e.parquet", false),
            ("silver/b/0-0/00000002-0a1b2c3e.parquet", false),
            ("bronze/x/t/run=1/00000001-0a1b2c3e-4.parquet", true),
            ("_rcm/state/a/00000001-0a1b2c3e-state.json", true),
            ("_rcm/attempts/00000001-0a1b2c3e.json", true),
            ("_rcm/intents/00000000000000000001.json", false),
            ("_rcm/publishes/00000000000000000001.json", false),
            ("_rcm/intents/00000000000000000001.json#12", true),
            ("_rcm/intents/00000000000000000003.json#12", true),
            ("silver/a/_delta_log/00000000000000000007.json", false),
            ("silver/a/_delta_log/00000000000000000007.json#12", true),
            ("silver/a/0-0/00000003-0a1b2c3e.parquet#12", true),
            ("gold/c/_delta_log/00000000000000000019.json", true),
            ("gold/c/_delta_log/00000000000000000020.json", false),
            ("gold/c/_delta_log/00000000000000000010.checkpoint.parquet", true),
            ("gold/c/_delta_log/00000000000000000020.checkpoint.parquet", false),
            ("gold/c/_delta_log/00000000000000000010.checkpoint.0000000001.0000000002.parquet", false),
            ("gold/c/_delta_log/_last_checkpoint", false),
            ("_rcm/logs/gold/c/00000000000000000010.json", true),
            ("_rcm/logs/gold/c/00000000000000000020.json", false),
            ("_rcm/logs/gold/c/00000000000000000020.json#12", true),
            ("_rcm/logs/silver/a/00000000000000000010.json", true),
            ("silver/a/part-0.parquet", false),
            ("silver/a/part-0.parquet#12", false),
            ("silver/a/00000001-0a1b2c3e.parquet#x", false),
            ("_rcm/lock", false),
            ("silver/a/0-0/00000001-0a1b2c3ef.parquet", false),
            ("silver/a/deletion_vector_00000002-0a1b-2c3d-0000-000000000000.bin", false),
            ("silver/a/deletion_vector_00000002-0a1b-2c3e-0000-000000000000.bin", true),
            ("silver/a/deletion_vector_00000002-0a1b-2c3d-0000-000000000000.bin#12", true),
            ("silver/a/deletion_vector_00000003-0a1b-2c3e-0000-000000000000.bin", false),
        ] {
            assert_eq!(named.lets_go(path, 3), goes, "{path}");
        }
    }
}
