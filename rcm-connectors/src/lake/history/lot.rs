//! What of a bucket as it lies the engine is given: the rows of keys that a load has, if those are few, else all.

use super::bucket::{Lies, broken, engine_columns};
use super::{History, MergeError};
use crate::parquet::Encoded;
use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::{cast, filter_record_batch, take_record_batch};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use rcm_core::Problem;
use rcm_scd2::{Cut, Spec, Unit, buckets};
use std::sync::Arc;

/// One row in so many of a bucket may be in a load that is looked up by keys first.
const FEW: usize = 16;

/// Kinds of hashes that keys are looked up by.
const FINE: u32 = 1 << 31;

/// Rows of a row group of a bucket.
pub(super) struct Lot<'a> {
    history: &'a History<'a>,
    path: &'a str,
    encoded: &'a Encoded,
    /// Which file of the bucket.
    pub(super) file: usize,
    pub(super) group: usize,
    /// How many rows of the file come before the group.
    first: usize,
    /// The numbers of these rows within the group; none: they are all of it.
    numbers: Option<Vec<usize>>,
    /// Their columns that the engine reads, text as views.
    pub(super) known: RecordBatch,
}

impl Lot<'_> {
    /// The number of a row within the group.
    pub(super) fn number(&self, row: usize) -> usize {
        self.numbers.as_ref().map_or(row, |numbers| numbers[row])
    }

    /// The number of a row within the file.
    pub(super) fn number_in_file(&self, row: usize) -> u64 {
        (self.first + self.number(row)) as u64
    }

    /// Some rows in all columns of the table; what was not decoded yet is decoded for them alone.
    pub(super) fn rows(&self, rows: &[usize]) -> Result<RecordBatch, MergeError> {
        let schema = &self.history.schema;
        let is_new = |name: &str| self.known.schema_ref().index_of(name).is_err();
        let known = take_record_batch(&self.known, &indices(rows)).map_err(broken)?;
        let new = match schema.fields().iter().any(|field| is_new(field.name())) {
            true => {
                let numbers: Vec<usize> = rows.iter().map(|row| self.number(*row)).collect();
                let read = self.encoded.view_group(self.group, &is_new, Some(&numbers));
                read.map_err(|e| Problem::storage(self.path, e))?
            }
            false => RecordBatch::new_empty(Arc::new(Schema::empty())),
        };
        let column = |field: &Arc<Field>| {
            let of = if is_new(field.name()) { &new } else { &known };
            cast(of.column(of.schema_ref().index_of(field.name())?), field.data_type())
        };
        let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, ArrowError>>().map_err(broken)?;
        RecordBatch::try_new(schema.clone(), columns).map_err(broken)
    }
}

fn indices(rows: &[usize]) -> UInt64Array {
    UInt64Array::from_iter_values(rows.iter().map(|row| *row as u64))
}

/// What of a bucket the engine is given.
pub(super) struct Lots<'a> {
    /// One a row group, in the order of files and groups.
    pub(super) lots: Vec<Lot<'a>>,
    /// Whether rows were left where they are: positions then count others than those of the bucket as a whole.
    pub(super) is_part: bool,
}

impl Lots<'_> {
    pub(super) fn history(&self) -> Vec<RecordBatch> {
        self.lots.iter().map(|lot| lot.known.clone()).collect()
    }
}

impl History<'_> {
    pub(super) fn lots<'a>(
        &'a self,
        cut: &Cut<'_>,
        unit: &Unit,
        lies: &'a Lies,
        files: &'a [Encoded],
        spec: &Spec,
    ) -> Result<Lots<'a>, MergeError> {
        let rows: u64 = lies.files.iter().map(|lying| lying.file.rows).sum();
        let fine = |keys: &[ArrayRef]| buckets(&self.as_stored(keys)?, FINE);
        let hashes = match (cut.rows_in(unit) * FEW) as u64 <= rows {
            true => cut.hashes(unit, &fine)?,
            false => None,
        };
        let mut lots = Lots { lots: Vec::new(), is_part: hashes.is_some() };
        let names = engine_columns(spec);
        for (file, (lying, encoded)) in lies.files.iter().zip(files).enumerate() {
            let mut first = 0;
            for group in 0..encoded.groups() {
                let rows = encoded.rows(group);
                let live = lying.live_rows(first, rows)?;
                let view = |names: &dyn Fn(&str) -> bool, rows: Option<&[usize]>| {
                    encoded.view_group(group, names, rows).map_err(|e| Problem::storage(&lying.path, e))
                };
                let of_engine = |name: &str| names.contains(name);
                let (numbers, known) = match (live, &hashes) {
                    (None, None) => (None, view(&of_engine, None)?),
                    (Some(live), None) => {
                        let rows = filter_record_batch(&view(&of_engine, None)?, &live).map_err(broken)?;
                        (Some(live.values().set_indices().collect()), rows)
                    }
                    (live, Some(hashes)) => {
                        let keys = self.keys_of(&view(&|name| self.keys.contains(&name), None)?)?;
                        let is_live = |row: &usize| live.as_ref().is_none_or(|live| live.value(*row));
                        let of_row = fine(&keys)?;
                        let is_needed = |row: &usize| hashes.contains(&of_row.value(*row)) && is_live(row);
                        let numbers: Vec<usize> = (0..rows).filter(is_needed).collect();
                        let rows = view(&of_engine, Some(&numbers))?;
                        (Some(numbers), rows)
                    }
                };
                lots.lots.push(Lot { history: self, path: &lying.path, encoded, file, group, first, numbers, known });
                first += rows;
            }
        }
        Ok(lots)
    }
}
