use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};

use crate::cells::{At, Column};
use crate::edits::Edits;
use crate::feed::{self, Event, Feed};
use crate::history::Row;
use crate::incoming::{self, Incoming};
use crate::index::Index;
use crate::snapshot::{self, Snapshot};
use crate::space::Section;
use crate::spec::{VALID_FROM, VALID_TO};
use crate::splice::Replaced;
use crate::{Error, Load, Merged, Mode, Outcome, Patch, Spec, State};

/// Corrections: what a key was in a stretch of time, whatever was observed.
///
/// Batches have the keys, the columns and the stored sequence columns of the spec, `valid_from` and `valid_to` (timestamps
/// in microseconds; `valid_to` null: without end), and one row a key. In a snapshot table the row replaces whatever
/// history says of that stretch (SQL:2011's `FOR PORTION OF`). In a feed it is an event at `valid_from`, and an event
/// with the former state at `valid_to` unless one is stored there; events between the two stay. A correction cannot end
/// a key.
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
/// use rcm_scd2::{Load, Spec, State, apply, correct, merge};
///
/// # let texts = |value: &'static str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
/// # let instants = |value: i64| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![value]).with_timezone("UTC")) };
/// let spec = Spec::snapshot(["id"]).track(["city"]).build()?;
/// let rows = [RecordBatch::try_from_iter([("id", texts("a")), ("city", texts("Lyon"))]).unwrap()];
/// let state = apply(&State::new(), &merge(&spec, &State::new(), &Load::new(&rows, 10))?)?;
///
/// let columns = [("id", texts("a")), ("city", texts("Paris")), ("valid_from", instants(20)), ("valid_to", instants(30))];
/// let corrections = [RecordBatch::try_from_iter(columns).unwrap()];
/// let merged = correct(&spec, &state, &corrections)?;
/// assert_eq!(merged.closes[0].valid_to, 20);
/// assert_eq!(merged.opens.num_rows(), 2); // Paris until 30, then Lyon again
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
///
/// # Errors
/// [`Error::BadCorrection`]: a null key or `valid_from`, an empty stretch, an instant that is not before the `valid_to` of
/// open versions, two corrections of one key; in a feed a start before the late horizon, and an event stored at
/// `valid_from` whose further sequences are not smaller (with one sequence column: any event stored there). Columns that are missing, repeated, without a
/// role or of a type that does not fit; state that contradicts itself.
pub fn correct(spec: &Spec, state: &State, corrections: &[RecordBatch]) -> Result<Merged, Error> {
    for batch in corrections {
        spec.columns().iter().try_for_each(|(name, _)| crate::columns::index(PLACE, batch, name).map(|_| ()))?;
    }
    let stretches = stretches(spec, corrections)?;
    let batches = corrections.iter().map(without_stretch).collect::<Result<Vec<_>, _>>()?;
    match spec.mode() {
        Mode::Feed { .. } => correct_feed(spec, state, &batches, &stretches),
        Mode::Snapshot { .. } => correct_snapshots(spec, state, &batches, &stretches),
    }
}

fn correct_snapshots(
    spec: &Spec,
    state: &State,
    rows: &[RecordBatch],
    stretches: &[(i64, Option<i64>)],
) -> Result<Merged, Error> {
    incoming::check_record(spec, [&state.hidden, &state.ledger])?;
    let space = snapshot::space(state, &Load::new(rows, 0))?;
    incoming::check_roles(spec, spec.stored_sequence(), space.section(snapshot::LOAD))?;
    let snapshot = Snapshot::of(spec, &space, 0, Incoming::default())?;
    let index = one_a_key(spec, &snapshot.keys, snapshot.load, snapshot.history)?;
    let mut past = past(&index, snapshot.history, |at| snapshot.intervals.row(at));
    past.sort_unstable_by_key(|(rep, row)| (*rep, row.from));
    let (mut edits, mut outcomes) = (Edits::default(), Vec::new());
    for (row, (from, to)) in stretches.iter().enumerate() {
        let of_key: Vec<Row> = of_key(&past, row);
        let replaced = Replaced { from: *from, to: *to, row: Some(snapshot.load.at(row)) };
        let changed = snapshot.replace(&of_key, replaced, &mut edits)?;
        outcomes.push(match changed {
            false => Outcome::NoOp,
            true if of_key.iter().all(|row| row.inferred) => Outcome::New,
            true => Outcome::Late,
        });
    }
    let opens = snapshot.stored(&edits.opens).batch(spec, &edits.opens)?;
    let Edits { closes, withdrawals, .. } = edits;
    Ok(Merged::of(closes, withdrawals, opens, Patch::none(), Patch::none(), outcomes, Vec::new()))
}

fn correct_feed(
    spec: &Spec,
    state: &State,
    rows: &[RecordBatch],
    stretches: &[(i64, Option<i64>)],
) -> Result<Merged, Error> {
    let space = feed::space(state, rows)?;
    let load = space.section(feed::LOAD);
    incoming::check_roles(spec, spec.stored_sequence(), load)?;
    let feed = Feed::of(spec, &space, state, true)?;
    let watermark = feed.watermark(&state.ledger)?;
    if let Some(row) = stretches.iter().position(|(from, _)| watermark.is_some_and(|watermark| *from < watermark)) {
        return Err(Error::BadCorrection { row, why: "it begins before the late horizon" });
    }
    let index = one_a_key(spec, &feed.keys, load, feed.history)?;
    let mut past = past(&index, feed.history, |at| feed.intervals.row(at));
    past.sort_unstable_by_key(|(rep, row)| (*rep, row.from));
    let mut hidden = index.find_all(feed.hidden);
    hidden.sort_unstable();

    let mut events: Vec<(u32, Event)> = Vec::new();
    for (row, (from, to)) in stretches.iter().enumerate() {
        let (rep, of_key, at) = (row as u32, of_key(&past, row), load.at(row));
        let first = hidden.partition_point(|(other, _)| *other < rep);
        let marks = hidden[first..].iter().take_while(|(other, _)| *other == rep);
        let marks: Vec<At> = marks.map(|(_, at)| *at).collect();
        let stored = feed.stored_events(&of_key, &marks)?;
        let there = |instant: i64| stored.iter().find(|event| event.at == instant);
        if there(*from).is_some_and(|event| feed.compare_further(event.further, at).is_ge()) {
            let why = "an event is stored at its valid_from, and its further sequences are not smaller";
            return Err(Error::BadCorrection { row, why });
        }
        let event = |instant: i64, delete: bool, values: At| Event {
            at: instant,
            delete,
            tracked: values,
            rest: values,
            further: at,
            hidden: None,
            load: Some(rep),
        };
        events.push((rep, event(*from, false, at)));
        if let Some(to) = to.filter(|to| there(*to).is_none()) {
            let then = of_key.iter().find(|row| row.covers(to) && !row.deleted && !row.inferred);
            events.push((rep, event(to, then.is_none(), then.map_or(at, |row| row.at))));
        }
    }
    let groups: Vec<(u32, &[(u32, Event)])> =
        events.chunk_by(|a, b| a.0 == b.0).map(|group| (group[0].0, group)).collect();
    let mut changes = feed::Changes::default();
    feed.fold_all(&index, &groups, &mut changes)?;
    feed.finish(changes, load.rows(), Patch::none(), Vec::new())
}

/// The keys of the corrections, of which each may be there once.
fn one_a_key<'a>(spec: &Spec, keys: &'a [Column], rows: &Section, history: &Section) -> Result<Index<'a>, Error> {
    let null = |at: At| !spec.null_keys_as_value && keys.iter().any(|key| key.is_null(at));
    if let Some(row) = rows.all().position(null) {
        return Err(Error::BadCorrection { row, why: "a key column is null" });
    }
    let index = Index::build(keys, &[], &[rows], history.rows(), &|_| true);
    match index.duplicates.first() {
        Some((_, row)) => {
            let why = "another one has the same key: make one after the other";
            Err(Error::BadCorrection { row: *row as usize, why })
        }
        None => Ok(index),
    }
}

fn past(index: &Index, history: &Section, row: impl Fn(At) -> Row) -> Vec<(u32, Row)> {
    index.find_all(history).into_iter().map(|(rep, at)| (rep, row(at))).collect()
}

fn of_key(past: &[(u32, Row)], rep: usize) -> Vec<Row> {
    let first = past.partition_point(|(other, _)| (*other as usize) < rep);
    past[first..].iter().take_while(|(other, _)| *other as usize == rep).map(|(_, row)| *row).collect()
}

/// Since when and until when each correction holds.
fn stretches(spec: &Spec, corrections: &[RecordBatch]) -> Result<Vec<(i64, Option<i64>)>, Error> {
    let mut stretches = Vec::new();
    for batch in corrections {
        let instants = |name: &str| {
            let column = batch.column(crate::columns::index(PLACE, batch, name)?);
            match column.data_type() {
                DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(column.as_primitive::<TimestampMicrosecondType>()),
                found => {
                    let (column, found) = (name.to_owned(), found.clone());
                    Err(Error::ColumnType {
                        place: PLACE,
                        column,
                        found,
                        expected: "Timestamp(us, \"UTC\")".to_owned(),
                    })
                }
            }
        };
        let (from, to) = (instants(VALID_FROM)?, instants(VALID_TO)?);
        for row in 0..batch.num_rows() {
            let open = spec.open_valid_to();
            let end = to.is_valid(row).then(|| to.value(row)).filter(|to| Some(*to) != open);
            let why = match () {
                () if from.is_null(row) => "valid_from is null",
                () if open.is_some_and(|open| from.value(row) >= open || end.is_some_and(|end| end > open)) => {
                    "it is not before the valid_to of open versions"
                }
                () if end.is_some_and(|end| end <= from.value(row)) => "valid_to is not later than valid_from",
                () => {
                    stretches.push((from.value(row), end));
                    continue;
                }
            };
            return Err(Error::BadCorrection { row: stretches.len(), why });
        }
    }
    Ok(stretches)
}

const PLACE: &str = "correction";

fn without_stretch(batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let schema = batch.schema();
    let fields = schema.fields().iter().enumerate();
    let kept: Vec<usize> = fields
        .filter(|(_, field)| ![VALID_FROM, VALID_TO].contains(&field.name().as_str()))
        .map(|(at, _)| at)
        .collect();
    Ok(batch.project(&kept)?)
}
