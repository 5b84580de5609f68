//! Tables as text: one row a line, cells between blanks, `-` for null, `''` for the empty string.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType};
use rcm_scd2::{Error, Load, Merged, Outcome, Spec, State, apply, merge, verify};

const INSTANTS: [&str; 4] = ["at", "changed", "valid_from", "valid_to"];

/// A batch from text. `run` is a number, `weight` a float, names in [`INSTANTS`] are instants, `is_` columns are flags
/// (`t`, `f`), the others are strings; without an `is_current` it follows from `valid_to`.
pub(crate) fn batch(header: &str, text: &str) -> RecordBatch {
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let rows: Vec<_> = rows.into_iter().filter(|row| !row.is_empty()).collect();
    let mut columns: Vec<(&str, ArrayRef, bool)> = Vec::new();
    for (at, name) in header.split_whitespace().enumerate() {
        let cells = rows.iter().map(|row| Some(row[at]).filter(|cell| *cell != "-"));
        let column: ArrayRef = match name {
            "run" => Arc::new(cells.map(|cell| cell.map(|cell| cell.parse().unwrap())).collect::<Int64Array>()),
            "weight" => Arc::new(cells.map(|cell| cell.map(|cell| cell.parse().unwrap())).collect::<Float64Array>()),
            _ if INSTANTS.contains(&name) => {
                let instants = cells.map(|cell| cell.map(|cell| cell.parse().unwrap()));
                Arc::new(instants.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
            _ if name.starts_with("is_") => {
                Arc::new(cells.map(|cell| cell.map(|cell| cell == "t")).collect::<BooleanArray>())
            }
            _ => Arc::new(cells.map(|cell| cell.map(|cell| cell.trim_matches('\''))).collect::<StringArray>()),
        };
        columns.push((name, column, true));
    }
    if let (Some((_, to, _)), false) =
        (columns.iter().find(|column| column.0 == "valid_to"), header.contains("is_current"))
    {
        let current = (0..to.len()).map(|row| Some(to.is_null(row))).collect::<BooleanArray>();
        columns.push(("is_current", Arc::new(current), true));
    }
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// A correction or a batch of facts: as [`batch`], without `is_current`.
pub(crate) fn bare(header: &str, text: &str) -> RecordBatch {
    let mut batch = batch(header, text);
    if let Some((at, _)) = batch.schema().column_with_name("is_current") {
        batch.remove_column(at);
    }
    batch
}

/// A batch as lines, `is_current` left out: the inverse of [`batch`].
pub(crate) fn lines(batch: &RecordBatch) -> Vec<String> {
    let cell = |column: &ArrayRef, row: usize| match column.data_type() {
        DataType::Null => "-".to_owned(),
        _ if column.is_null(row) => "-".to_owned(),
        DataType::Boolean => if column.as_boolean().value(row) { "t" } else { "f" }.to_owned(),
        DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            column.as_primitive::<TimestampMicrosecondType>().value(row).to_string()
        }
        _ => match cast(column, &DataType::Utf8).unwrap().as_string::<i32>().value(row) {
            "" => "''".to_owned(),
            text => text.to_owned(),
        },
    };
    let schema = batch.schema();
    let shown: Vec<&ArrayRef> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(field, _)| field.name() != "is_current")
        .map(|(_, column)| column)
        .collect();
    let line = |row: usize| shown.iter().map(|column| cell(column, row)).collect::<Vec<_>>().join(" ");
    (0..batch.num_rows()).map(line).collect()
}

/// All rows, sorted.
pub(crate) fn text(batches: &[RecordBatch]) -> String {
    let mut all: Vec<String> = batches.iter().flat_map(lines).collect();
    all.sort();
    all.join("\n")
}

fn sorted(text: &str) -> String {
    let mut lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.retain(|line| !line.is_empty());
    lines.sort();
    lines.join("\n")
}

pub(crate) fn rows_of(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// A table between loads.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) spec: Spec,
    pub(crate) state: State,
}

impl Table {
    pub(crate) fn new(spec: Spec) -> Self {
        Table { spec, state: State::new() }
    }

    /// A table that another tool has filled.
    pub(crate) fn from_history(spec: Spec, header: &str, rows: &str) -> Self {
        Table { spec, state: State::from_history(vec![batch(header, rows)]) }
    }

    /// Merges a load, checks what must hold of every merge, and keeps the result.
    #[track_caller]
    pub(crate) fn load(&mut self, load: &Load) -> Result<Merged, Error> {
        let merged = merge(&self.spec, &self.state, load)?;
        assert_eq!(merged.counts.rows(), rows_of(load.rows) as u64, "L12: the counters add up");
        assert_eq!(merged.refused.len() as u64, merged.counts.refused);
        Ok(self.keep(merged))
    }

    /// Applies what an operation returned; the table that it makes is sound.
    #[track_caller]
    pub(crate) fn keep(&mut self, merged: Merged) -> Merged {
        self.state = apply(&self.state, &merged).unwrap();
        verify(&self.spec, &self.state.history).unwrap();
        merged
    }

    /// Events, or a snapshot at an instant; they must be accepted.
    #[track_caller]
    pub(crate) fn at(&mut self, as_of: i64, header: &str, rows: &str) -> Merged {
        self.try_at(as_of, header, rows).unwrap()
    }

    #[track_caller]
    pub(crate) fn try_at(&mut self, as_of: i64, header: &str, rows: &str) -> Result<Merged, Error> {
        let rows = [batch(header, rows)];
        self.load(&Load::new(&rows, as_of))
    }

    #[track_caller]
    pub(crate) fn ensure(&mut self, header: &str, keys: &str, at: i64) -> Merged {
        let merged = rcm_scd2::ensure_members(&self.spec, &self.state, &[batch(header, keys)], at).unwrap();
        self.keep(merged)
    }

    #[track_caller]
    pub(crate) fn correct(&mut self, header: &str, rows: &str) -> Merged {
        let merged = rcm_scd2::correct(&self.spec, &self.state, &[bare(header, rows)]).unwrap();
        self.keep(merged)
    }

    #[track_caller]
    pub(crate) fn rewind(&mut self, to: i64) -> Merged {
        let merged = rcm_scd2::rewind(&self.spec, &self.state, to).unwrap();
        self.keep(merged)
    }

    pub(crate) fn text(&self) -> String {
        text(&self.state.history)
    }

    #[track_caller]
    pub(crate) fn shows(&self, expected: &str) {
        let shown = self.text();
        assert_eq!(shown, sorted(expected), "\nthe table is\n{shown}\n");
    }

    pub(crate) fn hidden(&self) -> usize {
        rows_of(&self.state.hidden)
    }

    pub(crate) fn ledger(&self) -> usize {
        rows_of(&self.state.ledger)
    }
}

pub(crate) fn outcomes(merged: &Merged) -> String {
    let name = |outcome: &Outcome| format!("{outcome:?}");
    merged.outcomes.iter().map(name).collect::<Vec<_>>().join(" ")
}

/// splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % n
    }
}
