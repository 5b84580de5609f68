//! Step 6: clean rows into history, the others into quarantine; data and state files are written, nothing is visible.

use super::conform::{CheckedFile, Group};
use super::plan::Plan;
use super::sources::edge_part;
use super::weave::Silver;
use crate::config::Project;
use crate::report::{Report, Taken};
use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use chrono::NaiveDate;
use rcm_connectors::lake::{Change, History, HistoryOptions, Lake, MergeError, Presence, TableState};
use rcm_connectors::parquet::sorted;
use rcm_core::model::{HOSPITAL, SOURCE_PLACE, SOURCE_READ_AT, Table, instant, quarantine_schema, silver_schema};
use rcm_core::{Class, LoadType, Problem, Reason};
use rcm_scd2::{
    Absence, BadRows, Complete, IS_CURRENT, Load, Outcome, RefusalCode, Spec, Summary, VALID_FROM, VALID_TO, When,
};
use rcm_transforms::conform::days;
use rcm_transforms::quarantine::{Held, quarantine_rows, unread_rows};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// A silver table as the run leaves it.
pub(super) struct TableAfter {
    pub(super) table: &'static Table,
    pub(super) silver: Change,
    pub(super) quarantine: Change,
    /// State parts by name, the unchanged ones included; none in a table that never took anything in.
    pub(super) state: BTreeMap<String, String>,
    pub(super) state_changed: bool,
    /// Bronze files that count from this run on.
    pub(super) bronze: Vec<String>,
}

/// The sequence of a feed. The first is a copy of the watermark, which silver keeps under its own name; the others are
/// columns of silver.
const SEQUENCE: [&str; 3] = ["_valid", SOURCE_READ_AT, SOURCE_PLACE];

/// Whether a row of a feed says that its key is gone.
const GONE: &str = "_gone";

/// The order of a quarantine table.
const BY_FILE_AND_ROW: [&str; 4] = ["source", "file", "row", "as_of"];

pub(super) async fn merge(
    project: &Project,
    plan: &Plan<'_>,
    table: &'static Table,
    groups: Vec<Group<CheckedFile>>,
    lake: &Lake,
    pool: &rayon::ThreadPool,
    report: &mut Report,
) -> Result<TableAfter, Problem> {
    let rebuilt = plan.rebuilt.contains(&table.name);
    let change = async |layer: &str, schema: Schema| {
        let at = plan.at(layer, table.name).cloned().unwrap_or_default();
        lake.change(&format!("{layer}/{}", table.name), at, Arc::new(schema), rebuilt).await
    };
    let mut silver = change("silver", silver_schema(table)).await?;
    let mut quarantine = change("quarantine", quarantine_schema(table)).await?;

    let mut now =
        Now { state: TableState::default(), quarantine: Vec::new(), known: HashSet::new(), edges: BTreeMap::new() };
    let mut parts = BTreeMap::new();
    if rebuilt {
        // What was read at the edge of a window stays read.
        parts.extend(
            silver
                .at
                .state
                .iter()
                .filter(|(name, _)| name.starts_with(&edge_part("")))
                .map(|(n, p)| (n.clone(), p.clone())),
        );
    } else {
        parts = silver.at.state.clone();
        now.state = plan.states.get(table.name).cloned().unwrap_or_default();
        let held = lake.read_table(&quarantine.table, &quarantine.before, &quarantine.schema).await?;
        now.known = known(&held).ok_or_else(|| {
            Problem::new(Class::Failed, &quarantine.table, "has other columns than this version writes")
        })?;
    }
    // Of what a source says no value stands in a footer: the least and the greatest are somebody's.
    let statistics = [VALID_FROM, VALID_TO, IS_CURRENT];
    let keys = table.business_key();
    let mode = project.settings.writes(table.name);
    let options = HistoryOptions { keys: &keys, statistics: &statistics, mode, rebuilt };
    let mut history = lake.history(&silver, &mut parts, &plan.attempt, options).await?;
    for (n, group) in groups.iter().enumerate() {
        now.take_in(project, table, group, &mut history, n + 1 == groups.len(), pool, report).await?;
    }
    let merged = history.finish(pool).await.map_err(|e| failed(table, e))?;
    (silver.removes, silver.adds) = (merged.removes, merged.adds);
    parts.extend(merged.parts);

    let new = groups.iter().filter(|g| !g.is_replay).flat_map(|g| &g.files);
    let bronze = new.map(|f| f.file.bronze.clone()).collect();
    if rebuilt {
        quarantine.removes = quarantine.before.files.clone();
    }
    let held = concat_batches(&quarantine.schema, &now.quarantine).and_then(|held| sorted(&held, &BY_FILE_AND_ROW));
    let held = held.map_err(|e| Problem::storage(&quarantine.table, e))?;
    quarantine.adds = lake.write_table(&quarantine.table, &plan.attempt, &held, &["row", "as_of"]).await?;

    let state_changed = !groups.is_empty();
    if state_changed {
        let path = format!("_rcm/state/{}/{}-state.json", table.name, plan.attempt);
        lake.put_table_state(&path, &now.state).await?;
        parts.insert("state".to_owned(), path);
    }
    for (load, edge) in now.edges {
        let stem = format!("_rcm/state/{}/{}-edge-{load}", table.name, plan.attempt);
        parts.insert(edge_part(&load), lake.put_digested(&stem, "bin", edge).await?);
    }
    Ok(TableAfter { table, silver, quarantine, state: parts, state_changed, bronze })
}

/// Hospital, source, raw text and reasons of a row that is held back.
type Known = (String, String, String, Vec<String>);

/// A table while it takes in one load after the other.
struct Now {
    state: TableState,
    quarantine: Vec<RecordBatch>,
    /// What quarantine holds already, by [`Known`]: the same bad line delivered again is counted, not kept again.
    known: HashSet<Known>,
    /// Load → the edge of its window.
    edges: BTreeMap<String, Vec<u8>>,
}

impl Now {
    #[allow(clippy::too_many_arguments, reason = "a step of the run, with what the steps share")]
    async fn take_in(
        &mut self,
        project: &Project,
        table: &'static Table,
        group: &Group<CheckedFile>,
        history: &mut History<'_>,
        is_last: bool,
        pool: &rayon::ThreadPool,
        report: &mut Report,
    ) -> Result<(), Problem> {
        let broken = |e: ArrowError| Problem::storage(format!("silver/{}", table.name), e);
        let feed = project.load_type(table.name) == LoadType::Incremental;
        let spec = spec(table, feed, (!group.is_replay).then_some(project.settings.max_delete_share))
            .map_err(|e| engine(table, &e))?;
        let rows = group.files.iter().map(|f| clean_rows(table, f, feed)).collect::<Result<Vec<_>, _>>();
        let withheld = group.files.iter().map(|f| keys_of_bad(table, f)).collect::<Result<Vec<_>, _>>();
        let (rows, withheld) = (rows.map_err(broken)?, withheld.map_err(broken)?);
        let whole = whole_hospitals(table, &group.files).map_err(broken)?;
        let complete = match table.by_hospital {
            // What is absent from a feed is as it was.
            _ if feed => Complete::Nothing,
            true => Complete::Only(&whole),
            false if group.files.iter().all(|f| f.is_complete(table.key().name)) => Complete::Everything,
            false => Complete::Nothing,
        };
        let as_of = group.as_of.timestamp_micros();
        let load = Load { rows: &rows, as_of, withheld: &withheld, complete };
        let silver = Silver { table, as_of, run_id: &group.run_id };
        let merged = history.take(&spec, &load, &silver, is_last, pool).await.map_err(|e| failed(table, e))?;

        let refused = refused(&group.files, &merged);
        self.hold(table, group, &refused).map_err(broken)?;
        for (n, file) in group.files.iter().enumerate() {
            let first: usize = group.files[..n].iter().map(|f| f.clean.len()).sum();
            let outcomes = &merged.outcomes[first..first + file.clean.len()];
            report.took(&taken(table, feed, file, outcomes, refused.iter().filter(|(f, _, _)| *f == n).count()));
            let is_closed = |row: &usize, outcome: &Outcome| {
                file.deleted.value(*row) && matches!(outcome, Outcome::Changed | Outcome::Late)
            };
            let closed = file.clean.iter().zip(outcomes).filter(|(row, outcome)| is_closed(row, outcome)).count();
            report.closed(table.name, &file.file.hospital, closed as u64);
            self.remember(file);
        }
        for scope in &merged.scopes {
            report.closed(table.name, scope.value.first().map_or("", String::as_str), scope.closed_by_absence);
        }
        self.state.load_type = if feed { LoadType::Incremental } else { LoadType::Full }.to_string();
        Ok(())
    }

    /// Adds what is held back: lines that could not be split, rows that failed a rule, rows that the engine refused.
    fn hold(
        &mut self,
        table: &Table,
        group: &Group<CheckedFile>,
        refused: &[(usize, usize, Reason)],
    ) -> Result<(), ArrowError> {
        for (n, file) in group.files.iter().enumerate() {
            let of_file = || refused.iter().filter(move |(f, _, _)| *f == n);
            let models = [
                unread_rows(table, &file.file.hospital, file.rejects.len())?,
                file.rows(file.bad.iter().map(|(row, _)| *row))?,
                file.rows(of_file().map(|(_, row, _)| *row))?,
            ];
            let bad = file.bad.iter().map(|(row, reasons)| file.held(*row, reasons.clone()));
            let refused = of_file().map(|(_, row, reason)| file.held(*row, vec![reason.clone()]));
            let held: Vec<Held> = file.rejects.iter().cloned().chain(bad).chain(refused).collect();

            let known: Vec<Known> = held.iter().map(|h| known_as(&file.file.hospital, h)).collect();
            let new: Vec<usize> = (0..held.len()).filter(|n| !self.known.contains(&known[*n])).collect();
            if !new.is_empty() {
                let model = concat_batches(&Arc::new(Schema::new(table.fields())), &models)?;
                let positions = UInt64Array::from_iter_values(new.iter().map(|n| *n as u64));
                let model = take_record_batch(&model, &positions)?;
                let held: Vec<Held> = new.iter().map(|n| held[*n].clone()).collect();
                self.quarantine.push(quarantine_rows(table, &model, &held, group.as_of, &group.run_id)?);
            }
            // Only now: two equal lines of one file are two, the same line in the next delivery is known.
            self.known.extend(known);
        }
        Ok(())
    }

    fn remember(&mut self, file: &CheckedFile) {
        let load = &file.file.load;
        if let Some(edge) = &file.edge {
            self.edges.insert(load.clone(), edge.clone());
        }
        if let Some(read) = file.watermark.and_then(date) {
            let before = self.state.watermarks.get(load).and_then(|w| w.parse::<NaiveDate>().ok());
            if before.is_none_or(|before| read > before) {
                self.state.watermarks.insert(load.clone(), read.to_string());
            }
        }
        self.state.files.push(file.file.clone());
    }
}

fn known_as(hospital: &str, held: &Held) -> Known {
    let reasons = held.reasons.iter().map(ToString::to_string).collect();
    (hospital.to_owned(), held.origin.source.clone(), held.raw.clone(), reasons)
}

/// What a quarantine table holds.
fn known(held: &RecordBatch) -> Option<HashSet<Known>> {
    let text = |name: &str| held.column_by_name(name)?.as_string_opt::<i32>();
    let (source, raw, reasons) = (text("source")?, text("raw")?, held.column_by_name("reasons")?.as_list_opt::<i32>()?);
    let hospital = text(HOSPITAL);
    let one = |row: usize| {
        let reasons = reasons.value(row);
        let reasons = reasons.as_string_opt::<i32>()?.iter().flatten().map(str::to_owned).collect();
        let hospital = hospital.map_or("", |h| h.value(row)).to_owned();
        Some((hospital, source.value(row).to_owned(), raw.value(row).to_owned(), reasons))
    };
    (0..held.num_rows()).map(one).collect()
}

fn date(day: i32) -> Option<NaiveDate> {
    let epoch = NaiveDate::default();
    debug_assert_eq!(days(epoch), 0);
    epoch.checked_add_signed(chrono::Duration::days(i64::from(day)))
}

/// Loads map to specs so: an incremental table is a feed whose rows may be deletes, a full one a snapshot whose absence closes.
fn spec(table: &Table, feed: bool, max_delete_share: Option<f64>) -> Result<Spec, rcm_scd2::Error> {
    if feed {
        let spec = Spec::feed(table.business_key(), SEQUENCE).bad_rows(BadRows::Quarantine);
        let spec = spec.deletes(When::new(GONE, true));
        return spec.track(table.tracked()).latest_in_run(table.untracked()).build();
    }
    let mut absence = Absence::close().within(table.by_hospital.then_some(HOSPITAL));
    if let Some(share) = max_delete_share {
        absence = absence.max_ratio(share);
    }
    let spec = Spec::snapshot(table.business_key()).bad_rows(BadRows::Quarantine).deletes(absence);
    spec.track(table.tracked()).latest_in_run(table.untracked()).build()
}

fn clean_rows(table: &Table, file: &CheckedFile, feed: bool) -> Result<RecordBatch, ArrowError> {
    let rows = file.rows(file.clean.iter().copied())?;
    if !feed {
        return Ok(rows);
    }
    let n = rows.num_rows();
    let valid = table.watermark().and_then(|w| rows.column_by_name(w.name)).cloned();
    let mut valid =
        valid.ok_or_else(|| ArrowError::SchemaError("an incremental table needs a watermark".to_owned()))?;
    let as_of = super::plan::instant(&file.file.as_of).unwrap_or_default();
    if file.file.presence == Presence::Back {
        valid = Arc::new(Date32Array::from(vec![days(as_of.date_naive()); n]));
    }
    let read = as_of.timestamp_micros();
    let read = TimestampMicrosecondArray::from(vec![read; n]).with_data_type(instant());
    let place = Int64Array::from(vec![file.file.place as i64; n]);
    let mut fields: Vec<Field> = rows.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut columns = rows.columns().to_vec();
    for (name, column) in SEQUENCE.iter().zip([valid, Arc::new(read) as ArrayRef, Arc::new(place)]) {
        fields.push(Field::new(*name, column.data_type().clone(), true));
        columns.push(column);
    }
    let gone = file.clean.iter().map(|row| Some(file.deleted.value(*row)));
    fields.push(Field::new(GONE, DataType::Boolean, true));
    columns.push(Arc::new(gone.collect::<BooleanArray>()));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Keys of rows that were seen and held back: neither absent nor changed.
fn keys_of_bad(table: &Table, file: &CheckedFile) -> Result<RecordBatch, ArrowError> {
    let keys = table.business_key();
    let readable = file.model.column_by_name(table.key().name).map(|c| c.logical_nulls());
    let has_key = |row: &usize| !matches!(&readable, Some(Some(nulls)) if nulls.is_null(*row));
    let rows = file.rows(file.bad.iter().map(|(row, _)| *row).filter(has_key))?;
    let schema = rows.schema();
    let positions = keys.iter().map(|k| schema.index_of(k)).collect::<Result<Vec<_>, _>>()?;
    rows.project(&positions)
}

/// The hospitals whose files say what is absent.
fn whole_hospitals(table: &Table, files: &[CheckedFile]) -> Result<[RecordBatch; 1], ArrowError> {
    let whole = files.iter().filter(|f| f.is_complete(table.key().name)).map(|f| &f.file.hospital);
    let hospitals = Arc::new(StringArray::from_iter_values(whole)) as ArrayRef;
    Ok([RecordBatch::try_from_iter([(HOSPITAL, hospitals)])?])
}

/// `(file, row in its model, reason)` of what the engine refused.
fn refused(files: &[CheckedFile], merged: &Summary) -> Vec<(usize, usize, Reason)> {
    let origin: Vec<(usize, usize)> =
        files.iter().enumerate().flat_map(|(n, f)| f.clean.iter().map(move |row| (n, *row))).collect();
    let reason = |code| match code {
        RefusalCode::Conflict => "another row has the same key and sequence, and other values",
        RefusalCode::NullKey => "the key is missing",
        RefusalCode::NullSequence => "the watermark is missing",
        RefusalCode::BeyondHorizon => "the row is too late to enter history",
    };
    let refused = merged.refused.iter().map(|r| (r.row, reason(r.code)));
    // A good row beside a bad one of its key: which of the two is right is for the hospital to say.
    let withheld = merged.outcomes.iter().enumerate().filter(|(_, o)| **o == Outcome::Withheld);
    let withheld = withheld.map(|(row, _)| (row, "another row of the same key is held back"));
    refused.chain(withheld).map(|(row, why)| (origin[row].0, origin[row].1, Reason::row("G3", why))).collect()
}

fn taken(table: &Table, feed: bool, file: &CheckedFile, outcomes: &[Outcome], refused: usize) -> Taken {
    let count = |outcome| outcomes.iter().filter(|o| **o == outcome).count() as u64;
    Taken {
        load: file.file.load.clone(),
        rows_in: file.records(),
        new: count(Outcome::New),
        changed: count(Outcome::Changed),
        late: count(Outcome::Late),
        no_op: count(Outcome::NoOp),
        collapsed: count(Outcome::Collapsed),
        quarantined: (file.rejects.len() + file.bad.len() + refused) as u64,
        reasons: {
            let rules = file.rejects.iter().flat_map(|h| &h.reasons).chain(file.bad.iter().flat_map(|(_, r)| r));
            let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
            for reason in rules {
                *reasons.entry(format!("{} {}", reason.rule, reason.column).trim_end().to_owned()).or_default() += 1;
            }
            if refused > 0 {
                *reasons.entry("G3".to_owned()).or_default() += refused as u64;
            }
            reasons
        },
        below_window: file.below_window,
        incomplete: !feed && !file.is_complete(table.key().name),
        watermark: file.watermark.and_then(date),
    }
}

fn failed(table: &Table, error: MergeError) -> Problem {
    match error {
        MergeError::Engine(error) => engine(table, &error),
        MergeError::Storage(problem) => problem,
    }
}

fn engine(table: &Table, error: &rcm_scd2::Error) -> Problem {
    let place = format!("silver/{}", table.name);
    match error {
        rcm_scd2::Error::TooManyDeletes { .. } => Problem::new(Class::Gate, place, error.to_string())
            .hint("deliver the table again; if it is right, raise [run] max_delete_share for this run"),
        rcm_scd2::Error::LateSnapshot { .. } => Problem::new(Class::Gate, place, error.to_string())
            .hint("run with an --as-of later than what the table holds"),
        rcm_scd2::Error::SpecDiffers { .. }
        | rcm_scd2::Error::MissingColumn { .. }
        | rcm_scd2::Error::BrokenHistory { .. }
        | rcm_scd2::Error::BrokenHidden { .. }
        | rcm_scd2::Error::HiddenUncovered { .. } => Problem::new(Class::Failed, place, error.to_string()).hint(
            format!("`rcm run --full-refresh --select {}` rebuilds the table from the bronze archive", table.name),
        ),
        _ => Problem::new(Class::Failed, place, error.to_string()),
    }
}
