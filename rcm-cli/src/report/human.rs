//! The report as lines for a terminal. Names and counts only.

use super::{GoldReport, LoadReport, Report, Status};
use crate::pipeline::text;
use std::fmt::Write;

/// The report, a line a load and a gold fact, then what was published.
pub fn human(report: &Report) -> String {
    let mut out = String::new();
    let as_of = report.as_of.map(text).unwrap_or_default();
    let run = if report.run_id.is_empty() { String::new() } else { format!("run {}  as of {as_of}\n", report.run_id) };
    out += &run;
    let width = report.loads.iter().map(|l| l.load.len()).max().unwrap_or(0);
    for load in &report.loads {
        let text = if report.dry_run { planned(load) } else { line(load) };
        let _ = writeln!(out, "  {} {:width$}  {text}", mark(load), load.load);
        if load.below() > 0 {
            let _ = writeln!(
                out,
                "      {} rows below the window (older than the last watermark): read all the same",
                load.below()
            );
        }
        if load.taken.incomplete {
            let _ = writeln!(out, "      a row's key could not be read: what is absent from this file closes nothing");
        }
        if !load.taken.reasons.is_empty() {
            let reasons: Vec<String> = load.taken.reasons.iter().map(|(r, n)| format!("{r} {n}")).collect();
            let _ = writeln!(out, "      quarantined by {}", reasons.join(", "));
        }
    }
    for gold in report.gold.iter().filter(|g| !g.met.is_empty()) {
        let _ = writeln!(out, "  gold {}", fact(gold));
    }
    for problem in &report.problems {
        let _ = writeln!(out, "error: {problem}");
        if let Some(hint) = &problem.hint {
            let _ = writeln!(out, "       {hint}");
        }
    }
    if report.dry_run {
        for table in &report.rebuilt {
            let _ = writeln!(out, "  {table}: would be rebuilt out of the bronze archive");
        }
        return out + &format!("dry run: nothing was written  exit {}\n", report.exit_code());
    }
    let end = match (report.publish, report.is_nothing_new()) {
        (None, _) if report.intent.is_some() => "begun to publish: the next run finishes it".to_owned(),
        (Some(publish), _) => format!("published {publish}"),
        (None, true) => "nothing new".to_owned(),
        (None, false) => "nothing was published".to_owned(),
    };
    let _ = writeln!(out, "{end}  exit {}", report.exit_code());
    out
}

impl LoadReport {
    fn below(&self) -> u64 {
        self.taken.below_window
    }
}

fn mark(load: &LoadReport) -> char {
    match load.status {
        Status::Failed | Status::Refused => '✗',
        Status::NothingNew => '·',
        Status::Ok if load.taken.quarantined > 0 || load.taken.incomplete => '!',
        Status::Ok => '✓',
    }
}

fn line(load: &LoadReport) -> String {
    let t = &load.taken;
    match load.status {
        Status::Failed => return "failed: see below".to_owned(),
        Status::Refused => return "not loaded: the run was refused".to_owned(),
        Status::NothingNew if t.rows_in == 0 => return format!("{}  nothing new", load.load_type),
        _ => {}
    }
    let counts = [
        (t.new, "new"),
        (t.changed, "changed"),
        (t.late, "late"),
        (t.no_op, "unchanged"),
        (t.collapsed, "repeated or corrected"),
        (t.quarantined, "quarantined"),
        (load.keys_closed, "closed by absence"),
    ];
    let counts: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    format!(
        "{}  {} rows: {}",
        load.load_type,
        t.rows_in,
        if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
    )
}

fn planned(load: &LoadReport) -> String {
    match load.status {
        Status::Failed => "cannot be read: see below".to_owned(),
        _ if load.files.is_empty() => format!("{}  nothing new", load.load_type),
        _ => format!("{}  would read {}", load.load_type, load.files.join(", ")),
    }
}

fn fact(gold: &GoldReport) -> String {
    let rows = gold.rows;
    let met: Vec<String> = gold
        .met
        .iter()
        .map(|(dimension, met)| match rows - met {
            0 => format!("all met {dimension}"),
            unknown => format!("{met} met {dimension} ({unknown} unknown)"),
        })
        .collect();
    format!("{} {rows} rows: {}", gold.model, met.join(", "))
}
