//! Housekeeping: takes a publish number, so that no attempt that planned before it can publish, then deletes what nothing
//! names.

use super::{audit, publish};
use crate::config::Project;
use chrono::{DateTime, Utc};
use rcm_connectors::lake::{Attempt, Checkpoints, FORMAT, Intent, Lake, Location, Publish, Unneeded, new_attempt};
use rcm_core::{Clock, Problem, Progress};
use serde::Serialize;

/// What `rcm maintain` did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct MaintainReport {
    /// 1.
    pub schema: u32,
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

/// Deletes files that no intent and no kept publish names (`[maintain] keep_publishes`). Safe to repeat, and to stop
/// anywhere: what is left is found the next time.
///
/// # Errors
/// Class `busy` where a run is at work; storage that fails; a damaged record. Nothing that a kept publish names is gone.
pub async fn maintain(
    open: &dyn Fn(&Location) -> Result<Lake, Problem>,
    project: &Project,
    dry_run: bool,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<MaintainReport, Problem> {
    let mut report =
        MaintainReport { schema: 1, dry_run, publish: None, oldest: None, checkpoints: 0, files: 0, bytes: 0 };
    let Some(lake) = Lake::existing(&project.lake).await? else { return Ok(report) };
    let keep = project.settings.keep_publishes;
    if dry_run {
        let Some(newest) = lake.newest().await? else { return Ok(report) };
        let mut checkpoints = lake.whole_checkpoints(&newest.checkpoints).await?;
        tell(&mut report, &newest, keep, &unneeded(&lake, &newest, keep, &mut checkpoints).await?);
        return Ok(report);
    }
    drop(lake);
    let lake = open(&project.lake)?;
    let lease = lake.lease().await?;
    let done = clean(&lake, keep, clock, progress, &mut report).await;
    lease.end().await;
    done.map(|()| report)
}

async fn clean(
    lake: &Lake,
    keep: u64,
    clock: &dyn Clock,
    progress: &dyn Progress,
    report: &mut MaintainReport,
) -> Result<(), Problem> {
    publish::finish_what_was_begun(lake, &[], clock, progress).await?;
    let Some(newest) = lake.newest().await? else { return Ok(()) };
    // Attempts of numbers before the newest one have their rows, unless they began after their number was taken. First: a
    // file with the rows of one that is about to commit them is named then, and stays.
    for attempt in lake.attempts_below(newest.publish).await? {
        let intent = lake.intent(attempt.number()).await?.filter(|it| it.publish.attempt == attempt.attempt);
        let rows = intent.map_or_else(|| vec![audit::abandoned(&attempt, clock.now())], |intent| intent.audit);
        lake.append_audit(&attempt.attempt, &rows).await?;
    }
    let mut checkpoints = lake.whole_checkpoints(&newest.checkpoints).await?;
    report.checkpoints = write_checkpoints(lake, &newest, &mut checkpoints).await?;
    let files = unneeded(lake, &newest, keep, &mut checkpoints).await?;
    tell(report, &newest, keep, &files);
    // Of what is only about attempts nobody reads more than their numbers.
    if report.checkpoints > 0 || files.iter().any(|file| !file.path.starts_with("_rcm/attempts/")) {
        let kept = Publish { checkpoints, ..newest };
        report.publish = Some(take_number(lake, &kept, clock.now(), progress).await?);
    }
    lake.delete(files.into_iter().map(|file| file.path).collect()).await
}

async fn unneeded(
    lake: &Lake,
    newest: &Publish,
    keep: u64,
    checkpoints: &mut Checkpoints,
) -> Result<Vec<Unneeded>, Problem> {
    lake.unneeded(oldest(newest, keep), newest.publish + 1, checkpoints).await
}

/// Checkpoints of the published versions, where many commits came since the last ones, and of the audit table.
async fn write_checkpoints(lake: &Lake, newest: &Publish, all: &mut Checkpoints) -> Result<usize, Problem> {
    let mut tables: Vec<(&str, Option<u64>)> = newest.tables.iter().map(|(table, at)| (&**table, at.version)).collect();
    tables.push(("audit", lake.head("audit").await?));
    let mut written = 0;
    for (table, version) in tables {
        let Some(version) = version else { continue };
        let last = all.get(table).and_then(|checkpoints| checkpoints.last());
        if let Some(checkpoint) = lake.checkpoint(table, version, last).await? {
            all.entry(table.to_owned()).or_default().push(checkpoint);
            written += 1;
        }
    }
    Ok(written)
}

fn oldest(newest: &Publish, keep: u64) -> u64 {
    newest.publish.saturating_sub(keep - 1).max(1)
}

fn tell(report: &mut MaintainReport, newest: &Publish, keep: u64, files: &[Unneeded]) {
    report.oldest = Some(oldest(newest, keep));
    report.files = files.len();
    report.bytes = files.iter().map(|file| file.size).sum();
}

/// A publish that changes no table.
async fn take_number(
    lake: &Lake,
    newest: &Publish,
    now: DateTime<Utc>,
    progress: &dyn Progress,
) -> Result<u64, Problem> {
    let publish = newest.publish + 1;
    let attempt = Attempt {
        attempt: new_attempt(publish),
        run_id: format!("maintain-{publish}"),
        as_of: super::plan::instant(&newest.as_of).map_or(0, |at| at.timestamp_micros()),
        started_at: now.timestamp_micros(),
    };
    lake.begin(&attempt).await?;
    let record = Publish {
        format: FORMAT,
        publish,
        run_id: attempt.run_id.clone(),
        attempt: attempt.attempt.clone(),
        bronze: Vec::new(),
        ..newest.clone()
    };
    let intent =
        Intent { commits: Vec::new(), publish: record, audit: vec![audit::maintained(&attempt, publish, now)] };
    lake.put_intent(&intent).await?;
    lake.complete(&intent, &[], progress).await?;
    Ok(publish)
}

/// The report as text.
pub fn maintained(report: &MaintainReport) -> String {
    let Some(oldest) = report.oldest else { return "there is no lake yet: nothing to do\n".to_owned() };
    let (files, mib) = (report.files, report.bytes as f64 / f64::from(1 << 20));
    let did = match (files, report.dry_run) {
        (0, _) => "nothing to delete".to_owned(),
        (_, true) => format!("{files} files ({mib:.1} MiB) would be deleted"),
        (_, false) => format!("{files} files ({mib:.1} MiB) deleted"),
    };
    let checkpoints = match report.checkpoints {
        0 => String::new(),
        n => format!("{n} checkpoints written; "),
    };
    format!("{checkpoints}{did}; publishes from {oldest} on can be read\n")
}
