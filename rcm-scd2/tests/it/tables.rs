//! Tables as text: one row a line, cells between blanks, `-` for null, `''` for the empty string.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use rcm_scd2::{Complete, Error, Load, Merged, Outcome, Spec, apply, merge, verify};

/// History of the key `id`, tracked `name`, latest-in-run `phone`, in a feed sequenced by `at` and `run`.
pub(crate) const FEED: &str = "id at run name phone";
pub(crate) const SNAPSHOT: &str = "hospital id name phone";
pub(crate) const FEED_HISTORY: &str = "id name phone valid_from valid_to";
pub(crate) const SNAPSHOT_HISTORY: &str = "hospital id name phone valid_from valid_to";

pub(crate) fn feed_spec() -> Spec {
    Spec::feed(["id"], ["at", "run"]).track(["name"]).latest_in_run(["phone"]).build().unwrap()
}

pub(crate) fn snapshot_spec() -> Spec {
    let spec = Spec::snapshot(["hospital", "id"]).track(["name"]).latest_in_run(["phone"]);
    spec.scope("hospital").build().unwrap()
}

/// A batch from text: `run` is a number, `at`, `valid_from` and `valid_to` are instants, `weight` is a float, the rest
/// are strings; `is_current` follows from `valid_to`.
pub(crate) fn batch(header: &str, text: &str) -> RecordBatch {
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let rows: Vec<_> = rows.into_iter().filter(|row| !row.is_empty()).collect();
    let mut columns: Vec<(&str, ArrayRef, bool)> = Vec::new();
    for (at, name) in header.split_whitespace().enumerate() {
        let cells = rows.iter().map(|row| Some(row[at]).filter(|cell| *cell != "-"));
        let column: ArrayRef = match name {
            "run" => Arc::new(cells.map(|cell| cell.map(|cell| cell.parse().unwrap())).collect::<Int64Array>()),
            "weight" => Arc::new(cells.map(|cell| cell.map(|cell| cell.parse().unwrap())).collect::<Float64Array>()),
            "at" | "valid_from" | "valid_to" => {
                let instants = cells.map(|cell| cell.map(|cell| cell.parse().unwrap()));
                Arc::new(instants.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
            _ => Arc::new(cells.map(|cell| cell.map(|cell| cell.trim_matches('\''))).collect::<StringArray>()),
        };
        columns.push((name, column, true));
    }
    if let Some((_, to, _)) = columns.iter().find(|(name, ..)| *name == "valid_to") {
        let current = (0..to.len()).map(|row| Some(to.is_null(row))).collect::<BooleanArray>();
        columns.push(("is_current", Arc::new(current), true));
    }
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// A batch as text, lines sorted, `is_current` left out: the inverse of [`batch`].
pub(crate) fn text(batch: &RecordBatch) -> String {
    let cell = |column: &ArrayRef, row: usize| match column.data_type() {
        _ if column.is_null(row) => "-".to_owned(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(..) => column.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        DataType::Utf8 if column.as_string::<i32>().value(row).is_empty() => "''".to_owned(),
        _ => column.as_string::<i32>().value(row).to_owned(),
    };
    let shown: Vec<_> =
        batch.schema().fields().iter().map(|field| field.name() != "is_current").zip(batch.columns()).collect();
    let line = |row: usize| {
        let cells = shown.iter().filter(|(shown, _)| *shown).map(|(_, column)| cell(column, row));
        cells.collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<_> = (0..batch.num_rows()).map(line).collect();
    lines.sort();
    lines.join("\n")
}

fn sorted(text: &str) -> String {
    let mut lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.retain(|line| !line.is_empty());
    lines.sort();
    lines.join("\n")
}

pub(crate) fn outcomes(merged: &Merged) -> String {
    let name = |outcome: &Outcome| format!("{outcome:?}");
    merged.outcomes.iter().map(name).collect::<Vec<_>>().join(" ")
}

/// A table between loads.
pub(crate) struct Table {
    pub(crate) spec: Spec,
    pub(crate) history: Vec<RecordBatch>,
    pub(crate) hidden: Vec<RecordBatch>,
}

impl Table {
    pub(crate) fn new(spec: Spec) -> Self {
        Table { spec, history: Vec::new(), hidden: Vec::new() }
    }

    /// Merges a load, checks what must hold of every merge, and keeps the result.
    pub(crate) fn load(&mut self, load: &Load) -> Result<Merged, Error> {
        let merged = merge(&self.spec, &self.history, &self.hidden, load)?;
        let rows: usize = load.rows.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(merged.counts.rows(), rows as u64, "L12: the counters add up");
        assert_eq!(merged.refused.len() as u64, merged.counts.refused);
        let after = apply(&self.history, &merged).unwrap();
        verify(&self.spec, std::slice::from_ref(&after)).unwrap();
        self.history = vec![after];
        self.hidden = vec![merged.hidden.clone()];
        Ok(merged)
    }

    #[track_caller]
    pub(crate) fn shows(&self, after: &str) {
        let shown = self.history.iter().map(text).collect::<Vec<_>>().join("\n");
        assert_eq!(shown, sorted(after), "\nthe table is\n{shown}\n");
    }
}

/// Feeds loads, with the outcomes they should have, to an empty table.
#[track_caller]
pub(crate) fn check_feed(loads: &[(&str, &str)], after: &str) -> Table {
    let mut table = Table::new(feed_spec());
    for (rows, expected) in loads {
        let rows = [batch(FEED, rows)];
        let merged = table.load(&Load::new(&rows, 0)).unwrap();
        assert_eq!(outcomes(&merged), *expected);
    }
    table.shows(after);
    table
}

/// A snapshot load with its extras.
pub(crate) struct Snap<'a> {
    pub(crate) as_of: i64,
    pub(crate) rows: &'a str,
    /// `hospital id` of each withheld row.
    pub(crate) withheld: &'a str,
    pub(crate) complete: Complete,
}

impl<'a> Snap<'a> {
    pub(crate) fn new(as_of: i64, rows: &'a str) -> Self {
        Snap { as_of, rows, withheld: "", complete: Complete::Everything }
    }
}

pub(crate) fn snap(spec: Spec, before: &str, load: &Snap) -> (Table, Result<Merged, Error>) {
    let mut table = Table::new(spec);
    table.history = vec![batch(SNAPSHOT_HISTORY, before)];
    let rows = [batch(SNAPSHOT, load.rows)];
    let withheld = [batch("hospital id", load.withheld)];
    let complete = load.complete.clone();
    let merged = table.load(&Load { rows: &rows, as_of: load.as_of, withheld: &withheld, complete });
    (table, merged)
}

/// One snapshot on top of a table.
#[track_caller]
pub(crate) fn check_snapshot(before: &str, load: &Snap, expected: &str, after: &str) -> Merged {
    let (table, merged) = snap(snapshot_spec(), before, load);
    let merged = merged.unwrap();
    assert_eq!(outcomes(&merged), expected);
    table.shows(after);
    merged
}
