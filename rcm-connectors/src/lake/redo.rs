//! After the intent: repeat until it stands. Every step looks first whether it was done already.

use super::record::{publish_path, seal};
use super::{Intent, Lake, TableCommit};
use bytes::Bytes;
use deltalake::kernel::transaction::TransactionError;
use deltalake::logstore::CommitOrBytes;
use rcm_core::{Class, Event, Problem, Progress};

impl Lake {
    /// Does what an intent says: one commit a table, the publish record, the audit rows. Safe to repeat.
    ///
    /// # Errors
    /// Class `drift` where somebody else changed one of the tables meanwhile; storage that fails.
    pub async fn complete(&self, intent: &Intent, progress: &dyn Progress) -> Result<(), Problem> {
        for commit in &intent.commits {
            self.commit(commit).await?;
            progress.event(&Event::Committed { table: &commit.table });
        }
        let publish = intent.publish.publish;
        progress.event(&Event::Publishing { publish });
        let path = publish_path(publish);
        let bytes = seal(&intent.publish, &path)?;
        if !self.put_if_absent(&path, bytes.clone()).await? && self.get(&path).await? != bytes {
            return Err(Problem::new(Class::Busy, path, "another run wrote a different publish record"));
        }
        progress.event(&Event::Published { publish });
        self.append_audit(&intent.publish.attempt, &intent.audit).await?;
        progress.event(&Event::Audited);
        Ok(())
    }

    async fn commit(&self, commit: &TableCommit) -> Result<(), Problem> {
        let version = commit.base.map_or(0, |base| base + 1);
        let log = self.log(&commit.table)?;
        let bytes = CommitOrBytes::LogBytes(Bytes::from(commit.commit.clone()));
        match log.write_commit_entry(version, bytes, uuid::Uuid::new_v4()).await {
            Ok(()) => Ok(()),
            // Perhaps our own write of an earlier try: the commit id tells.
            Err(TransactionError::VersionAlreadyExists(_)) => {
                let found = log.read_commit_entry(version).await.map_err(|e| Problem::storage(&commit.table, e))?;
                if found.is_some_and(|found| has_commit_id(&found, &commit.commit_id)) {
                    return Ok(());
                }
                let what = format!("version {version} was written by somebody else");
                Err(Problem::new(Class::Drift, &commit.table, what)
                    .hint("undo that commit, or restore the table, then run again: the run will go on where it stands"))
            }
            Err(e) => Err(Problem::storage(&commit.table, e)),
        }
    }
}

fn has_commit_id(commit: &[u8], id: &str) -> bool {
    let lines = commit.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    lines.filter_map(|l| l.get("commitInfo")?.get("commitId")?.as_str().map(|i| i == id)).any(|same| same)
}
