//! Quality rules: one pass, all failed rules of every row, none capped.
//!
//! Rules now (the ids are the catalogue's): `G1` a line that could not be split, `G2` key or watermark missing, `G4` a
//! date or number that does not parse, `G5` a date before 1900 or after the run's instant, `P1` name or birth date of a
//! patient missing, `N1` a name without which a code says nothing. Nothing yet compares two columns or two tables.

use crate::conform::{Conformed, DELETED, as_text, days};
use crate::gold::UNKNOWN;
use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use chrono::{DateTime, Duration, NaiveDate, Utc};
use rayon::prelude::*;
use rcm_core::Reason;
use rcm_core::model::{Kind, Role, Table, quarantine_schema};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// Rows that one task checks.
const CHUNK: usize = 16_384;

/// A batch split in two; positions count in the batch that was checked.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Positions of the rows that pass, ascending.
    pub clean: Vec<usize>,
    /// Every row that fails, with every rule that it fails.
    pub bad: BTreeMap<usize, Vec<Reason>>,
}

/// What a run tells the rules.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The run's instant: a day after it is in the future.
    pub as_of: DateTime<Utc>,
    /// How much later a watermark may be: clocks differ.
    pub grace: Duration,
    /// Whether the watermark is the valid time and must be there.
    pub incremental: bool,
    /// Rules that are switched off, of [`OPTIONAL_RULES`].
    pub off: BTreeSet<String>,
}

/// Rules that a project may switch off: without the others a row cannot be read, or has no place in history.
pub const OPTIONAL_RULES: [&str; 3] = ["G5", "N1", "P1"];

/// Checks every row against every rule; one that says that its key is gone against those of its key and its time.
///
/// ```
/// use arrow::array::{ArrayRef, RecordBatch, StringArray};
/// use chrono::Duration;
/// use rcm_core::model::table;
/// use rcm_transforms::{conform::Conformed, quarantine::{Limits, check}};
/// use std::sync::Arc;
///
/// let text = |v: [Option<&str>; 2]| Arc::new(StringArray::from(v.to_vec())) as ArrayRef;
/// let batch = RecordBatch::try_from_iter([
///     ("hospital", text([Some("hos-a"); 2])), ("department_id", text([Some("D1"), None])), ("name", text([Some("ER"), None])),
/// ]).unwrap();
/// let deleted = vec![false; 2].into();
/// let conformed = Conformed { batch, deleted, unread: vec![], notes: vec![] };
/// let as_of = "2026-06-30T00:00:00Z".parse().unwrap();
/// let limits = Limits { as_of, grace: Duration::days(1), incremental: false, off: Default::default() };
/// let checked = check(table("departments").unwrap(), &conformed, &limits);
/// assert_eq!(checked.clean, [0]);
/// let reasons: Vec<_> = checked.bad[&1].iter().map(|r| r.to_string()).collect();
/// assert_eq!(reasons, ["G2 department_id: is missing", "N1 name: is missing"]);
/// ```
pub fn check(table: &Table, conformed: &Conformed, limits: &Limits) -> Checked {
    let batch = &conformed.batch;
    let chunks: Vec<usize> = (0..batch.num_rows()).step_by(CHUNK).collect();
    let found: Vec<(usize, Reason)> = chunks
        .par_iter()
        .flat_map_iter(|at| failed(table, batch, *at..(*at + CHUNK).min(batch.num_rows()), limits).into_iter())
        .filter(|(_, reason)| !limits.off.contains(reason.rule))
        .collect();

    let mut bad: BTreeMap<usize, Vec<Reason>> = BTreeMap::new();
    for (row, reason) in &conformed.unread {
        bad.entry(*row).or_default().push(reason.clone());
    }
    for (row, reason) in found {
        let reasons = bad.entry(row).or_default();
        // A cell that could not be read is null; to call it missing too would say one thing twice.
        if !reasons.iter().any(|r| r.column == reason.column) {
            reasons.push(reason);
        }
    }
    // Of a row that is gone only its key and its time count.
    let counts = |column: &str| {
        let role = table.column(column).map(|column| column.role);
        // An empty name is the row as a whole.
        column.is_empty() || column == DELETED || matches!(role, Some(Role::Key | Role::Watermark))
    };
    bad.retain(|row, reasons| {
        if conformed.deleted.value(*row) {
            reasons.retain(|reason| counts(reason.column));
        }
        !reasons.is_empty()
    });
    let clean = (0..batch.num_rows()).filter(|row| !bad.contains_key(row)).collect();
    Checked { clean, bad }
}

fn failed(table: &Table, batch: &RecordBatch, rows: Range<usize>, limits: &Limits) -> Vec<(usize, Reason)> {
    let first = NaiveDate::from_ymd_opt(1900, 1, 1).map_or(i32::MIN, days);
    let mut found = Vec::new();
    for column in table.columns {
        let Some(cells) = batch.column_by_name(column.name) else { continue };
        let is_watermark = column.role == Role::Watermark;
        if let Some(rule) = column.required.filter(|_| limits.incremental || !is_watermark) {
            let missing = rows.clone().filter(|row| cells.is_null(*row));
            found.extend(missing.map(|row| (row, Reason::new(rule, column.name, "is missing"))));
        }
        if column.role == Role::Key
            && !table.by_hospital
            && let Some(keys) = cells.as_any().downcast_ref::<StringArray>()
        {
            // Without a hospital before it, such a key would be the unknown member of its dimension.
            let taken = rows.clone().filter(|row| keys.is_valid(*row) && keys.value(*row) == UNKNOWN);
            found.extend(taken.map(|row| (row, Reason::new("G2", column.name, "is the key of the unknown member"))));
        }
        if column.kind == Kind::Date
            && let Some(dates) = cells.as_any().downcast_ref::<Date32Array>()
        {
            let last = last_day(limits.as_of, if is_watermark { limits.grace } else { Duration::zero() });
            for row in rows.clone().filter(|row| dates.is_valid(*row)) {
                if dates.value(row) < first {
                    found.push((row, Reason::new("G5", column.name, "is before 1900")));
                } else if dates.value(row) > last {
                    found.push((row, Reason::new("G5", column.name, "is after the run's as_of")));
                }
            }
        }
    }
    found
}

/// The last day, since 1970, that has begun by `as_of` and a grace.
pub fn last_day(as_of: DateTime<Utc>, grace: Duration) -> i32 {
    days(as_of.checked_add_signed(grace).unwrap_or(as_of).date_naive())
}

/// Where a row came from, as bronze stamps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Source block.
    pub source: String,
    /// File, relative to its source's root.
    pub file: String,
    /// Record number in the file, from 1.
    pub row: i64,
    /// Line of the file on which it begins, the header is line 1; none of what came from a database.
    pub line: Option<i64>,
}

/// A row that is held back.
#[derive(Debug, Clone)]
pub struct Held {
    /// Where from.
    pub origin: Origin,
    /// All reasons.
    pub reasons: Vec<Reason>,
    /// The line as it came, or the landed columns as JSON.
    pub raw: String,
}

/// The rows of a quarantine table. `model` holds hospital and model columns of `held`, in its order ([`unread_rows`]
/// where a line could not be split).
///
/// # Errors
/// Lengths or types that do not fit.
pub fn quarantine_rows(
    table: &Table,
    model: &RecordBatch,
    held: &[Held],
    as_of: DateTime<Utc>,
    run_id: &str,
) -> Result<RecordBatch, ArrowError> {
    let mut reasons = ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, true));
    for h in held {
        for reason in &h.reasons {
            reasons.values().append_value(reason.to_string());
        }
        reasons.append(true);
    }
    let text = |f: fn(&Held) -> &str| Arc::new(StringArray::from_iter_values(held.iter().map(f))) as ArrayRef;
    let number = |f: fn(&Held) -> Option<i64>| Arc::new(held.iter().map(f).collect::<Int64Array>()) as ArrayRef;
    let n = held.len();
    let mut arrays = model.columns().to_vec();
    arrays.extend([
        Arc::new(BooleanArray::from(vec![true; n])) as ArrayRef,
        Arc::new(reasons.finish()),
        text(|h| &h.origin.source),
        text(|h| &h.origin.file),
        number(|h| Some(h.origin.row)),
        number(|h| h.origin.line),
        text(|h| &h.raw),
        Arc::new(TimestampMicrosecondArray::from(vec![as_of.timestamp_micros(); n]).with_timezone("UTC")),
        Arc::new(StringArray::from(vec![run_id; n])),
    ]);
    RecordBatch::try_new(Arc::new(quarantine_schema(table)), arrays)
}

/// Model columns of lines that could not be split: the hospital is all that is known.
///
/// # Errors
/// None in practice: Arrow's own checks.
pub fn unread_rows(table: &Table, hospital: &str, rows: usize) -> Result<RecordBatch, ArrowError> {
    let fields = table.fields();
    let arrays = fields
        .iter()
        .map(|f| match f.name() == rcm_core::model::HOSPITAL {
            true => Arc::new(StringArray::from(vec![hospital; rows])) as ArrayRef,
            false => arrow::array::new_null_array(f.data_type(), rows),
        })
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

/// One landed row as JSON, for the `raw` column: column names to text, in the order of names.
pub fn raw_json(landed: &RecordBatch, row: usize) -> String {
    let schema = landed.schema();
    let cells: serde_json::Map<String, serde_json::Value> = schema
        .fields()
        .iter()
        .zip(landed.columns())
        .filter_map(|(field, cells)| {
            let cell = as_text(&cells.slice(row, 1)).ok()?;
            let value = cell.is_valid(0).then(|| cell.value(0).into());
            Some((field.name().clone(), value.unwrap_or(serde_json::Value::Null)))
        })
        .collect();
    serde_json::Value::Object(cells).to_string()
}
