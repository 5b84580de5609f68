//! Steps 4 and 5: landed text to the common model, and every row to its rules, before history sees it.

use super::land::{Landed, archived};
use super::plan::{Plan, instant};
use crate::config::Project;
use arrow::array::{Array, BooleanArray, Date32Array, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;
use chrono::{DateTime, Duration, Utc};
use rayon::prelude::*;
use rcm_connectors::lake::{Lake, Presence, ReadFile};
use rcm_core::model::Table;
use rcm_core::{Class, Event, Lag, LoadType, Problem, Progress, Reason};
use rcm_transforms::conform::{Conformed, conform, days};
use rcm_transforms::quarantine::{self, Held, Limits, Origin};
use std::sync::Arc;

/// Files of one table that one run reads, or read: a load of all hospitals at one instant.
pub(super) struct Group<T> {
    pub(super) as_of: DateTime<Utc>,
    pub(super) run_id: String,
    /// Out of the archive: it was accepted once and is not gated again.
    pub(super) is_replay: bool,
    pub(super) files: Vec<T>,
}

/// A file's rows, split.
pub(super) struct CheckedFile {
    pub(super) file: ReadFile,
    pub(super) landed: RecordBatch,
    pub(super) numbers: Int64Array,
    pub(super) lines: Int64Array,
    /// Model columns of all rows that could be split.
    pub(super) model: RecordBatch,
    /// Which of them say that their key is gone.
    pub(super) deleted: BooleanArray,
    /// Positions in `model`.
    pub(super) clean: Vec<usize>,
    pub(super) bad: Vec<(usize, Vec<Reason>)>,
    pub(super) rejects: Vec<Held>,
    /// What of the table at the edge of its window was read, for the next window.
    pub(super) edge: Option<Vec<u8>>,
    /// Of a file: the greatest watermark that was read and is not in the future, in days.
    pub(super) watermark: Option<i32>,
    pub(super) below_window: u64,
}

impl CheckedFile {
    /// Model columns of some rows.
    pub(super) fn rows(&self, positions: impl Iterator<Item = usize>) -> Result<RecordBatch, ArrowError> {
        take_record_batch(&self.model, &UInt64Array::from_iter_values(positions.map(|p| p as u64)))
    }

    /// A row that is held back, for quarantine.
    pub(super) fn held(&self, position: usize, reasons: Vec<Reason>) -> Held {
        Held {
            origin: Origin {
                source: self.file.source.clone(),
                file: self.file.file.clone(),
                row: self.numbers.value(position),
                line: self.lines.is_valid(position).then(|| self.lines.value(position)),
            },
            reasons,
            raw: quarantine::raw_json(&self.landed, position),
        }
    }

    /// Whether every row's key could be read, at one instant: only then is what is absent known to be absent.
    pub(super) fn is_complete(&self, key: &str) -> bool {
        let keys = self.model.column_by_name(key);
        !self.file.torn
            && !self.file.drifted
            && self.rejects.is_empty()
            && keys.is_some_and(|keys| keys.null_count() == 0)
    }

    /// Records of the file.
    pub(super) fn records(&self) -> u64 {
        (self.model.num_rows() + self.rejects.len()) as u64
    }
}

/// What a table has to take in: out of the archive, where it is rebuilt, then what landed now.
pub(super) async fn groups(
    project: &Project,
    plan: &Plan<'_>,
    table: &Table,
    landed: &[Landed],
    lake: &Lake,
    progress: &dyn Progress,
) -> Result<Vec<Group<Landed>>, Problem> {
    let mut groups: Vec<Group<Landed>> = Vec::new();
    if plan.rebuilt.contains(&table.name) {
        let files = plan.states.get(table.name).map_or(&[][..], |s| &s.files);
        for file in files {
            let as_of = instant(&file.as_of)
                .ok_or_else(|| Problem::new(Class::Failed, &file.bronze, "its recorded instant cannot be read"))?;
            let landed = archived(lake, file).await?;
            note_missing(project, table, &landed, progress)?;
            match groups.last_mut() {
                Some(last) if last.as_of == as_of && last.run_id == file.run_id => last.files.push(landed),
                _ => groups.push(Group { as_of, run_id: file.run_id.clone(), is_replay: true, files: vec![landed] }),
            }
        }
    }
    let is_new = |l: &&Landed| plan.to_read().any(|p| p.line.table == table.name && p.line.name() == l.file.load);
    let files: Vec<Landed> = landed.iter().filter(is_new).cloned().collect();
    if !files.is_empty() {
        groups.push(Group { as_of: plan.as_of, run_id: plan.run_id.clone(), is_replay: false, files });
    }
    Ok(groups)
}

/// A file of the archive may be older than today's mapping: what it lacks is null, and that is said.
fn note_missing(project: &Project, table: &Table, landed: &Landed, progress: &dyn Progress) -> Result<(), Problem> {
    match project.mapping(&landed.file.hospital, table.name) {
        Some((mapping, _)) => {
            let has = |column: &str| landed.rows.column_by_name(column).is_some();
            let is_read =
                |column: &&str| !landed.file.drifted && landed.file.presence != Presence::Gone && !has(column);
            for column in mapping.columns.values().map(|c| c.from()).filter(is_read) {
                let note =
                    format!("{}: column `{column}` is not in the archived file: read as null", landed.file.bronze);
                progress.event(&Event::Note(&note));
            }
            Ok(())
        }
        None => Err(Problem::new(Class::Drift, &landed.file.bronze, "the archive holds a file that no mapping reads")
            .hint(format!("a rebuild needs the mapping of `{}`", landed.file.load))),
    }
}

pub(super) fn check(
    project: &Project,
    plan: &Plan<'_>,
    table: &Table,
    groups: Vec<Group<Landed>>,
    progress: &dyn Progress,
) -> Result<Vec<Group<CheckedFile>>, Problem> {
    let conformed = groups
        .into_iter()
        .map(|group| {
            let files: Result<Vec<_>, Problem> =
                group.files.into_par_iter().map(|landed| conform_file(project, table, landed)).collect();
            Ok(Group { as_of: group.as_of, run_id: group.run_id, is_replay: group.is_replay, files: files? })
        })
        .collect::<Result<Vec<_>, Problem>>()?;
    for (landed, conformed) in conformed.iter().filter(|group| !group.is_replay).flat_map(|group| &group.files) {
        for note in &conformed.notes {
            progress.event(&Event::Note(&format!("{}: {}: {note}", landed.file.load, landed.file.file)));
        }
    }
    progress.event(&Event::Conformed { table: table.name });

    let mut quarantined = 0;
    let checked: Vec<Group<CheckedFile>> = conformed
        .into_iter()
        .map(|group| {
            let check = |file| check_file(project, plan, table, group.as_of, group.is_replay, file);
            let files: Vec<CheckedFile> = group.files.into_iter().map(check).collect();
            quarantined += files.iter().map(|f| f.bad.len() + f.rejects.len()).sum::<usize>() as u64;
            Group { as_of: group.as_of, run_id: group.run_id, is_replay: group.is_replay, files }
        })
        .collect();
    progress.event(&Event::Checked { table: table.name, quarantined });
    Ok(checked)
}

fn conform_file(project: &Project, table: &Table, mut landed: Landed) -> Result<(Landed, Conformed), Problem> {
    let place = || format!("{}: {}", landed.file.load, landed.file.file);
    let (mapping, null) = project
        .mapping(&landed.file.hospital, table.name)
        .ok_or_else(|| Problem::new(Class::Config, place(), "has no mapping"))?;
    let conformed = conform(table, mapping, null, &landed.file.hospital, &landed.rows);
    let mut conformed = conformed.map_err(|e| Problem::storage(place(), e))?;
    if landed.file.presence == Presence::Gone {
        conformed = of_gone(table, &landed.file, conformed).map_err(|e| Problem::storage(place(), e))?;
    }
    if landed.file.drifted {
        // When it came, its columns were not the mapping's; today they may be.
        let names: Vec<&str> = landed.rows.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        match mapping.check_columns(table, &names, &place()) {
            Ok(_) => landed.file.drifted = false,
            Err(drift) => {
                let reason = Reason::row("G1", drift.what);
                conformed.unread.extend((0..landed.rows.num_rows()).map(|row| (row, reason.clone())));
            }
        }
    }
    Ok((landed, conformed))
}

/// Keys that are gone since the run that saw it.
fn of_gone(table: &Table, file: &ReadFile, conformed: Conformed) -> Result<Conformed, ArrowError> {
    let rows = conformed.batch.num_rows();
    let day = instant(&file.as_of).map(|at| days(at.date_naive()));
    let schema = conformed.batch.schema();
    let mut columns = conformed.batch.columns().to_vec();
    if let Some(watermark) = table.watermark() {
        columns[schema.index_of(watermark.name)?] = Arc::new(Date32Array::from(vec![day; rows]));
    }
    let (batch, deleted) = (RecordBatch::try_new(schema, columns)?, BooleanArray::from(vec![true; rows]));
    Ok(Conformed { batch, deleted, ..conformed })
}

fn check_file(
    project: &Project,
    plan: &Plan<'_>,
    table: &Table,
    as_of: DateTime<Utc>,
    is_replay: bool,
    (landed, conformed): (Landed, Conformed),
) -> CheckedFile {
    let line = plan.loads.iter().map(|l| l.line).find(|l| l.name() == landed.file.load);
    let incremental = project.load_type(table.name) == LoadType::Incremental;
    let settings = &project.settings;
    // Today's rules at today's instant: a row that lay in the future when it was read is tried again by a rebuild.
    let as_of = if is_replay { as_of.max(plan.as_of) } else { as_of };
    let limits = Limits { as_of, grace: settings.grace, incremental, off: settings.rules_off.clone() };
    let checked = quarantine::check(table, &conformed, &limits);
    let rejects = landed
        .rejects
        .iter()
        .map(|r| Held {
            origin: Origin {
                source: landed.file.source.clone(),
                file: landed.file.file.clone(),
                row: r.row as i64,
                line: Some(r.line as i64),
            },
            reasons: vec![Reason::row("G1", r.what.clone())],
            raw: String::from_utf8_lossy(&r.raw).into_owned(),
        })
        .collect();

    let (mut watermark, mut below_window) = (None, 0);
    let dates = table.watermark().and_then(|w| conformed.batch.column_by_name(w.name));
    let is_file = landed.file.cursor.is_none();
    if let Some(dates) = dates.and_then(|d| d.as_any().downcast_ref::<Date32Array>()).filter(|_| incremental && is_file)
    {
        let last = quarantine::last_day(as_of, settings.grace);
        watermark = dates.iter().flatten().filter(|d| *d <= last).max();
        let lag = match line.and_then(|l| l.lag) {
            Some(Lag::Time(lag)) => lag,
            _ => Duration::zero(),
        };
        let before = plan.states.get(table.name).and_then(|s| s.watermarks.get(&landed.file.load)?.parse().ok());
        if let Some(before) = before.filter(|_| !is_replay) {
            // Watermarks are days: a part of a day counts as one.
            let lag = (lag.num_seconds() + 86_399) / 86_400;
            let bound = days(before).saturating_sub(i32::try_from(lag).unwrap_or(i32::MAX));
            below_window = dates.iter().flatten().filter(|d| *d < bound).count() as u64;
        }
    }
    CheckedFile {
        file: landed.file,
        landed: landed.rows,
        numbers: landed.numbers,
        lines: landed.lines,
        model: conformed.batch,
        deleted: conformed.deleted,
        clean: checked.clean,
        bad: checked.bad.into_iter().collect(),
        rejects,
        edge: landed.edge,
        watermark,
        below_window,
    }
}
