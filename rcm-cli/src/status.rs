//! Where a lake stands: last run, watermarks, quarantine, versions.

use crate::config::Project;
use crate::query::At;
use rcm_connectors::lake::{DataFile, Lake};
use rcm_core::Problem;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What `rcm status` tells.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// 1.
    pub schema: u32,
    /// Number of the newest publish; none in a lake that has none.
    pub publish: Option<u64>,
    /// Why the publish is not the newest one: the record of that is damaged.
    pub damaged: Option<String>,
    /// Its run.
    pub run_id: Option<String>,
    /// Its instant.
    pub as_of: Option<String>,
    /// How the last attempt ended, published or not.
    pub last_run: Option<LastRun>,
    /// Lines that failed in the run of the newest publish.
    pub stale: Vec<String>,
    /// Load → greatest watermark read.
    pub watermarks: BTreeMap<String, String>,
    /// Table → rows held back.
    pub quarantine: BTreeMap<String, u64>,
    /// `layer/table` → Delta version.
    pub versions: BTreeMap<String, u64>,
}

/// The last attempt, out of the audit table.
#[derive(Debug, Clone, Serialize)]
pub struct LastRun {
    /// Its run.
    pub run_id: String,
    /// As in the audit table: `ok`, `nothing_new`, `failed`, `refused`, `lost` or `abandoned`.
    pub status: String,
    /// What was wrong.
    pub error: Option<String>,
}

/// Reads the status of a project's lake, as it stood at a publish; touches nothing.
///
/// # Errors
/// A lake that cannot be read, or does not have that publish.
pub async fn status(project: &Project, at: At) -> Result<StatusReport, Problem> {
    let mut report = StatusReport {
        schema: 1,
        publish: None,
        damaged: None,
        run_id: None,
        as_of: None,
        last_run: None,
        stale: Vec::new(),
        watermarks: BTreeMap::new(),
        quarantine: BTreeMap::new(),
        versions: BTreeMap::new(),
    };
    let Some(lake) = Lake::existing(&project.lake.now().await?).await? else { return Ok(report) };
    report.last_run = lake.last_audit().await?.map(|(run_id, status, error)| LastRun { run_id, status, error });
    let Some((newest, damaged)) = at.find(&lake).await? else { return Ok(report) };
    report.damaged = damaged.map(|problem| problem.to_string());
    for (name, at) in &newest.tables {
        report.versions.extend(at.version.map(|v| (name.clone(), v)));
        if let Some(part) = at.state.get("state") {
            let state = lake.table_state(part).await?;
            // A table of a database tells its own, at its own precision.
            let of_tables = state.files.iter().filter(|file| state.last(&file.load) == Some(file));
            let of_tables = of_tables.filter_map(|file| Some((file.load.clone(), file.watermark?.to_string())));
            let of_tables: Vec<(String, String)> = of_tables.collect();
            report.watermarks.extend(state.watermarks);
            report.watermarks.extend(of_tables);
        }
        if let Some(table) = name.strip_prefix("quarantine/") {
            let rows = lake.table_files(name, at.version).await?.files.iter().map(DataFile::live).sum();
            report.quarantine.insert(table.to_owned(), rows);
        }
    }
    report.publish = Some(newest.publish);
    report.run_id = Some(newest.run_id);
    report.as_of = Some(newest.as_of);
    report.stale = newest.stale;
    Ok(report)
}

/// The status as lines for a terminal.
pub fn human(report: &StatusReport) -> String {
    let mut out = String::new();
    if let Some(last) = &report.last_run {
        let _ = writeln!(out, "last run   {}  {}", last.run_id, last.status);
        if let Some(error) = &last.error {
            let _ = writeln!(out, "           {error}");
        }
    }
    let (Some(publish), Some(as_of)) = (report.publish, &report.as_of) else {
        return out + "nothing was published yet\n";
    };
    let _ = writeln!(out, "published  {publish}  as of {as_of}");
    if let Some(damaged) = &report.damaged {
        let _ = writeln!(out, "damaged    {damaged}");
    }
    for load in &report.stale {
        let _ = writeln!(out, "stale      {load}: its last delivery failed");
    }
    for (load, watermark) in &report.watermarks {
        let _ = writeln!(out, "watermark  {load}  {watermark}");
    }
    for (table, rows) in report.quarantine.iter().filter(|(_, rows)| **rows > 0) {
        let _ = writeln!(out, "quarantine {table}  {rows} rows");
    }
    for (table, version) in &report.versions {
        let _ = writeln!(out, "version    {table}  {version}");
    }
    out
}
