//! Step 10: one row a layer, source and table, success or failure, whose counts add up.

use crate::report::{LoadReport, Report, Status, Total};
use chrono::{DateTime, Utc};
use rcm_connectors::lake::AuditRow;
use rcm_core::Class;

/// The rows of an attempt that publishes under a number, or does not publish.
pub(super) fn rows(report: &Report, publish: Option<u64>, now: DateTime<Utc>) -> Vec<AuditRow> {
    let common = AuditRow {
        run_id: report.run_id.clone(),
        attempt: report.attempt.clone(),
        publish: publish.map(|p| p as i64),
        as_of: report.as_of.map_or(0, |t| t.timestamp_micros()),
        started_at: report.started_at.timestamp_micros(),
        finished_at: now.timestamp_micros(),
        ..AuditRow::default()
    };
    let mut rows = Vec::new();
    for load in &report.loads {
        let row = |layer: &str| AuditRow {
            layer: layer.to_owned(),
            source: load.source.clone(),
            hospital: load.hospital.clone(),
            table_name: load.table.clone(),
            load_type: load.load_type.to_string(),
            status: load.status.word().to_owned(),
            error_class: load.error.as_ref().map(|e| e.class.word().to_owned()),
            error: load.error.as_ref().map(ToString::to_string),
            ..common.clone()
        };
        rows.push(AuditRow {
            files: Some(load.files.len() as i64),
            rows_in: Some(load.read as i64),
            rows_landed: Some(load.landed as i64),
            rows_rejected: Some(load.rejected as i64),
            ..row("bronze")
        });
        rows.push(silver(load, row("silver")));
    }
    for gold in &report.gold {
        let sum = |of: fn(&Total) -> i128| {
            let sum: i128 = gold.totals.iter().map(of).sum();
            (!gold.totals.is_empty()).then(|| sum.to_string())
        };
        rows.push(AuditRow {
            layer: "gold".to_owned(),
            table_name: gold.model.clone(),
            status: if publish.is_some() { Status::Ok } else { Status::Refused }.word().to_owned(),
            rows_in: gold.silver_rows.map(|r| r as i64),
            rows_out: Some(gold.rows as i64),
            amount_in: sum(|t| t.wanted),
            amount_out: sum(|t| t.found),
            ..common.clone()
        });
    }
    let worst = report.problems.iter().max_by_key(|p| p.class);
    let refused = report.loads.iter().find_map(|l| l.error.as_ref().filter(|_| l.status == Status::Refused));
    let error = refused.or(worst);
    let status = match (error, publish) {
        (Some(error), None) if error.class == Class::Busy => "lost",
        (Some(error), None) if error.class == Class::Gate => Status::Refused.word(),
        (Some(_), _) => Status::Failed.word(),
        (None, Some(_)) => Status::Ok.word(),
        (None, None) => Status::NothingNew.word(),
    };
    rows.push(AuditRow {
        layer: "run".to_owned(),
        status: status.to_owned(),
        error_class: error.map(|e| e.class.word().to_owned()),
        error: error.map(ToString::to_string),
        ..common
    });
    rows
}

fn silver(load: &LoadReport, row: AuditRow) -> AuditRow {
    let taken = &load.taken;
    let count = |n: u64| Some(n as i64);
    AuditRow {
        rows_in: count(taken.rows_in),
        rows_new: count(taken.new),
        rows_changed: count(taken.changed),
        rows_late: count(taken.late),
        rows_noop: count(taken.no_op),
        rows_collapsed: count(taken.collapsed),
        rows_quarantined: count(taken.quarantined),
        keys_closed: count(load.keys_closed),
        below_window: count(taken.below_window),
        incomplete: Some(i64::from(taken.incomplete)),
        watermark: taken.watermark.map(|w| w.to_string()),
        ..row
    }
}
