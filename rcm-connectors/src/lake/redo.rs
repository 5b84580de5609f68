//! After the intent: repeat until it stands. Every step looks first whether it was done already.

use super::foreign::Seen;
use super::record::{publish_path, seal};
use super::{AuditRow, Foreign, Intent, Lake, Publish, TableAt, TableCommit};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use deltalake::kernel::transaction::TransactionError;
use deltalake::logstore::CommitOrBytes;
use rcm_core::{Class, Event, Problem, Progress};

impl Lake {
    /// An earlier run may have stopped behind its point of no return: what it meant to do is done first. One that stopped
    /// before it, and whose number another one took, gets its row in audit. `rebuilt`: the tables that this run builds anew.
    /// Whether there was something to finish.
    ///
    /// # Errors
    /// As [`Lake::complete`].
    pub async fn finish(
        &self,
        rebuilt: &[String],
        now: DateTime<Utc>,
        progress: &dyn Progress,
    ) -> Result<bool, Problem> {
        self.settle("_rcm/intents").await?;
        self.settle("_rcm/publishes").await?;
        let mut finished = false;
        if self.open_intent().await?.is_some()
            && let Some(newest) = self.newest_number("_rcm/intents").await?
            && let Some(intent) = self.intent(newest).await?
        {
            // Where records were lost, logs were cut behind checkpoints that only the newest one names.
            self.knows_checkpoints(&intent.publish);
        }
        // One at most, unless somebody lost records of publishes: then they come back one after the other.
        while let Some(intent) = self.open_intent().await? {
            let note = format!("finishing publish {}, which an earlier run began", intent.publish.publish);
            progress.event(&Event::Note(&note));
            self.complete(&intent, rebuilt, progress).await?;
            finished = true;
        }
        let Some(newest) = self.newest().await? else { return Ok(finished) };
        // It may also have stopped between its publish record and its audit rows.
        if let Some(intent) = self.intent(newest.publish).await? {
            self.append_audit(&intent.publish.attempt, &intent.audit).await?;
        }
        for attempt in self.attempts(newest.publish).await?.iter().filter(|a| a.attempt != newest.attempt) {
            self.append_audit(&attempt.attempt, &[AuditRow::abandoned(attempt, now)]).await?;
        }
        Ok(finished)
    }

    /// Does what an intent says: one commit a table, the publish record, the audit rows. Safe to repeat.
    ///
    /// Where others committed meanwhile, ours goes behind theirs, unless they changed the columns, the protocol, or a file
    /// that ours removes. Then the other tables are committed, and no record is written, until a run rebuilds that table:
    /// in `rebuilt`. It is published with the rows of before and marked ([`TableAt::others`]), so that only a rebuild of it
    /// goes on from there.
    ///
    /// # Errors
    /// Class `drift` where somebody else's commit bars the way; storage that fails.
    pub async fn complete(&self, intent: &Intent, rebuilt: &[String], progress: &dyn Progress) -> Result<(), Problem> {
        let mut record = intent.publish.clone();
        let mut barred = Vec::new();
        for commit in &intent.commits {
            let (version, behind) = match self.commit(commit).await {
                Err(problem) if problem.class == Class::Drift => {
                    barred.push((commit, problem));
                    continue;
                }
                stands => stands?,
            };
            if let Some(at) = record.tables.get_mut(&commit.table) {
                (at.version, at.others) = (Some(version), behind == Foreign::Changed);
            }
            progress.event(&Event::Committed { table: &commit.table });
        }
        if !barred.is_empty() {
            let previous = self.publish(record.publish - 1).await?;
            for (commit, problem) in barred {
                if !rebuilt.contains(&commit.table) {
                    return Err(problem);
                }
                let before = previous.as_ref().and_then(|previous| previous.tables.get(&commit.table));
                let TableAt { version, id, schema, .. } = before.cloned().unwrap_or_default();
                // Its rows are those of before, what was read is kept: a rebuild finds it in bronze. Nothing else goes on.
                if let Some(at) = record.tables.get_mut(&commit.table) {
                    let state = std::mem::take(&mut at.state);
                    *at = TableAt { version, id, schema, state, others: true, ..TableAt::default() };
                }
            }
        }
        self.put_publish(&record, progress).await?;
        self.append_audit(&record.attempt, &intent.audit).await?;
        progress.event(&Event::Audited);
        Ok(())
    }

    async fn put_publish(&self, record: &Publish, progress: &dyn Progress) -> Result<(), Problem> {
        let publish = record.publish;
        progress.event(&Event::Publishing { publish });
        let path = publish_path(publish);
        let bytes = seal(record, &path)?;
        if !self.put_if_absent(&path, bytes.clone()).await? && self.get(&path).await? != bytes {
            return Err(Problem::new(Class::Busy, path, "another run wrote a different publish record"));
        }
        progress.event(&Event::Published { publish });
        Ok(())
    }

    /// Commits to a table, at the version behind its base or the first free one: at which, and behind what.
    async fn commit(&self, commit: &TableCommit) -> Result<(u64, Foreign), Problem> {
        let failed = |e: &dyn std::fmt::Display| Problem::storage(&commit.table, e);
        let log = self.log(&commit.table)?;
        let ours = Seen::of(commit.commit.as_bytes());
        let barred = |what: String| Err(Problem::new(Class::Drift, &commit.table, what).hint(rebuild(&commit.table)));
        let versions = self.versions(&commit.table).await?;
        // A version is never written behind a gap: a reader could not get over it.
        if versions.iter().max() < commit.base.as_ref() {
            return barred("somebody else took its log away, or made it anew".to_owned());
        }
        let mut version = commit.base.map_or(0, |base| base + 1);
        if let Some(first) = versions.iter().min().filter(|first| **first > version) {
            // Where maintenance has cut the log, it was committed long ago.
            return match self.is_ours(&commit.table, *first).await? {
                true => Ok((version, Foreign::Nothing)),
                false => barred("somebody else cut its log, or made it anew".to_owned()),
            };
        }
        let mut behind = Foreign::Nothing;
        loop {
            let bytes = CommitOrBytes::LogBytes(Bytes::from(commit.commit.clone()));
            match log.write_commit_entry(version, bytes, uuid::Uuid::new_v4()).await {
                Ok(()) => return Ok((version, behind)),
                Err(TransactionError::VersionAlreadyExists(_)) => {}
                Err(e) => return Err(failed(&e)),
            }
            // Perhaps our own write of an earlier try: the commit id tells.
            let found = log.read_commit_entry(version).await.map_err(|e| failed(&e))?;
            let Some(found) = found.map(|found| Seen::of(&found)) else {
                // Another writer's put is under way: behind it would be behind a gap.
                let what = format!("version {version} is being written by another process");
                return Err(
                    Problem::new(Class::Temporary, &commit.table, what).hint("run again: it goes on from there")
                );
            };
            if found.is(&commit.commit_id) {
                return Ok((version, behind));
            }
            // A later run's: none comes before the record of this one stood.
            if found.publish(&commit.table) > ours.publish(&commit.table) {
                return Ok((commit.base.map_or(0, |base| base + 1), Foreign::Nothing));
            }
            if commit.base.is_none() || found.bars(&ours) {
                return barred(format!(
                    "version {version} was written by somebody else, and bars what was planned before it"
                ));
            }
            behind = behind.max(found.did());
            version += 1;
        }
    }
}

/// The way out where the log of a table cannot be read.
pub(super) fn without_log(table: &str) -> String {
    format!("remove {table}/_delta_log, then {}", rebuild(table))
}

/// The way out where others changed a table.
pub(super) fn rebuild(table: &str) -> String {
    match table.split_once('/') {
        Some(("silver" | "quarantine", name)) => {
            format!("`rcm run --full-refresh --select {name}` builds the table anew from the bronze archive")
        }
        _ => "`rcm run --full-refresh` builds it anew".to_owned(),
    }
}
