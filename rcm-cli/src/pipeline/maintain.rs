//! Housekeeping of a project's lake.

use crate::config::Project;
use rcm_connectors::lake::{Lake, Location, Maintained};
use rcm_core::{Clock, Problem, Progress};
use serde::Serialize;

/// What `rcm maintain` did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct MaintainReport {
    /// 1.
    pub schema: u32,
    /// What was done.
    #[serde(flatten)]
    pub did: Maintained,
}

/// Deletes files that no intent and no kept publish names (`[maintain] keep_publishes`): [`Lake::maintain`].
///
/// # Errors
/// Those of [`Lake::maintain`].
pub async fn maintain(
    open: &dyn Fn(&Location) -> Result<Lake, Problem>,
    project: &Project,
    dry_run: bool,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<MaintainReport, Problem> {
    let (keep, place) = (project.settings.keep_publishes, project.lake.now().await?);
    let did = match Lake::existing(&place).await? {
        None => Maintained { dry_run, ..Maintained::default() },
        Some(lake) if dry_run => lake.would_maintain(keep).await?,
        Some(_) => open(&place)?.maintain(keep, clock.now(), progress).await?,
    };
    Ok(MaintainReport { schema: 1, did })
}

/// The report as text.
pub fn maintained(report: &MaintainReport) -> String {
    let did = &report.did;
    let Some(oldest) = did.oldest else { return "there is no lake yet: nothing to do\n".to_owned() };
    let (files, mib) = (did.files, did.bytes as f64 / f64::from(1 << 20));
    let deleted = match (files, did.dry_run) {
        (0, _) => "nothing to delete".to_owned(),
        (_, true) => format!("{files} files ({mib:.1} MiB) would be deleted"),
        (_, false) => format!("{files} files ({mib:.1} MiB) deleted"),
    };
    let checkpoints = match did.checkpoints {
        0 => String::new(),
        n => format!("{n} checkpoints written; "),
    };
    format!("{checkpoints}{deleted}; publishes from {oldest} on can be read\n")
}
