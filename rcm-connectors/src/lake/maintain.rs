//! Housekeeping: takes a publish number, so that no attempt that planned before it can publish, then deletes what nothing
//! names. (Records of attempts and what was merely staged go without one.)

use super::audit::HOUSE;
use super::checkpoint::CHECKPOINT_EVERY;
use super::{Attempt, AuditRow, Checkpoints, FORMAT, Intent, Lake, Publish, Unneeded, new_attempt};
use chrono::{DateTime, Utc};
use rcm_core::{Problem, Progress};
use serde::Serialize;

/// What [`Lake::maintain`] did, or would do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Maintained {
    /// Whether nothing was touched.
    pub dry_run: bool,
    /// The number that it took; none where no file with rows or state was to go.
    pub publish: Option<u64>,
    /// The oldest publish that can still be read; none in a lake without one.
    pub oldest: Option<u64>,
    /// Checkpoints written.
    pub checkpoints: usize,
    /// Files deleted.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Lake {
    /// Deletes files that no intent names and none of the newest `keep` publishes, writes checkpoints, cuts logs behind them.
    /// Safe to repeat, and to stop anywhere: what is left is found the next time.
    ///
    /// # Errors
    /// Class `busy` where a run is at work; storage that fails; a damaged record. Nothing that a kept publish names is gone.
    pub async fn maintain(
        &self,
        keep: u64,
        now: DateTime<Utc>,
        progress: &dyn Progress,
    ) -> Result<Maintained, Problem> {
        let lease = self.lease().await?;
        let done = self.keep_house(keep, now, progress).await;
        lease.end().await;
        done
    }

    /// What [`Lake::maintain`] would delete; touches nothing.
    ///
    /// # Errors
    /// Storage that fails; a damaged record.
    pub async fn would_maintain(&self, keep: u64) -> Result<Maintained, Problem> {
        let Some(newest) = self.newest().await? else { return Ok(Maintained::default()) };
        let mut checkpoints = self.whole_checkpoints(&newest.checkpoints).await?;
        let files = self.unneeded(oldest(&newest, keep), newest.publish + 1, &mut checkpoints).await?;
        Ok(Maintained { dry_run: true, ..told(&newest, keep, &files) })
    }

    async fn keep_house(&self, keep: u64, now: DateTime<Utc>, progress: &dyn Progress) -> Result<Maintained, Problem> {
        self.finish(&[], now, progress).await?;
        self.commit_written_audit(now).await?;
        let Some(newest) = self.newest().await? else { return Ok(Maintained::default()) };
        // Attempts of numbers before the newest one have their rows, unless they began after their number was taken. First: a
        // file with the rows of one that is about to commit them is named then, and stays.
        for attempt in self.attempts_below(newest.publish).await? {
            let intent = self.intent(attempt.number()).await?.filter(|it| it.publish.attempt == attempt.attempt);
            let rows = intent.map_or_else(|| vec![AuditRow::abandoned(&attempt, now)], |intent| intent.audit);
            self.append_audit(&attempt.attempt, &rows).await?;
        }
        let mut checkpoints = self.whole_checkpoints(&newest.checkpoints).await?;
        let written = self.write_checkpoints(&newest, &mut checkpoints).await?;
        let files = self.unneeded(oldest(&newest, keep), newest.publish + 1, &mut checkpoints).await?;
        let mut done = Maintained { checkpoints: written, ..told(&newest, keep, &files) };
        // Of what is only about attempts nobody reads more than their numbers, and what was staged is staged again.
        let needs_number = |file: &Unneeded| !file.path.starts_with("_rcm/attempts/") && !file.path.contains('#');
        if written > 0 || files.iter().any(needs_number) {
            let kept = Publish { checkpoints, kept_from: oldest(&newest, keep), ..newest };
            done.publish = Some(self.take_number(&kept, now, progress).await?);
        }
        self.delete(files.into_iter().map(|file| file.path).collect()).await?;
        Ok(done)
    }

    /// Checkpoints of the published versions, where many commits came since the last ones, and of the audit table.
    async fn write_checkpoints(&self, newest: &Publish, all: &mut Checkpoints) -> Result<usize, Problem> {
        let mut tables: Vec<_> = newest.tables.iter().map(|(table, at)| (&**table, at.version)).collect();
        tables.push(("audit", self.head("audit").await?));
        let mut written = 0;
        for (table, version) in tables {
            let Some(version) = version else { continue };
            // Behind a long log two, so that it can be cut at once.
            for version in [version.saturating_sub(CHECKPOINT_EVERY), version] {
                let last = all.get(table).and_then(|checkpoints| checkpoints.last());
                if let Some(checkpoint) = self.checkpoint(table, version, last).await? {
                    all.entry(table.to_owned()).or_default().push(checkpoint);
                    written += 1;
                }
            }
        }
        Ok(written)
    }

    /// A publish that changes no table.
    async fn take_number(&self, newest: &Publish, now: DateTime<Utc>, progress: &dyn Progress) -> Result<u64, Problem> {
        let publish = newest.publish + 1;
        let as_of = newest.as_of.parse::<DateTime<Utc>>().map_or(0, |at| at.timestamp_micros());
        let attempt = Attempt {
            attempt: new_attempt(publish),
            run_id: format!("{HOUSE}-{publish}"),
            as_of,
            started_at: now.timestamp_micros(),
        };
        self.begin(&attempt).await?;
        let record = Publish {
            format: FORMAT,
            publish,
            run_id: attempt.run_id.clone(),
            attempt: attempt.attempt.clone(),
            bronze: Vec::new(),
            ..newest.clone()
        };
        let ended = AuditRow {
            publish: i64::try_from(publish).ok(),
            status: "ok".to_owned(),
            ..AuditRow::abandoned(&attempt, now)
        };
        let intent = Intent { commits: Vec::new(), publish: record, audit: vec![ended] };
        self.put_intent(&intent).await?;
        self.complete(&intent, &[], progress).await?;
        Ok(publish)
    }
}

/// What was let go does not come back when more is to be kept.
fn oldest(newest: &Publish, keep: u64) -> u64 {
    newest.publish.saturating_sub(keep.saturating_sub(1)).max(newest.kept_from)
}

fn told(newest: &Publish, keep: u64, files: &[Unneeded]) -> Maintained {
    Maintained {
        oldest: Some(oldest(newest, keep)),
        files: files.len(),
        bytes: files.iter().map(|file| file.size).sum(),
        ..Maintained::default()
    }
}
