//! A merge into a bucket that leaves its files as they are: what changes of them goes by their deletion vectors, and what
//! comes is one file more.

use super::bucket::{broken, closed, within};
use super::lying::{GROUPS, Lies, Lot};
use super::write::Written;
use super::{BUCKET_ROWS, DataFile, History, MergeError, Weaving};
use crate::lake::vector::{self, Vector};
use crate::parquet::{self, GROUP_ROWS, Group, sorted};
use arrow::array::{BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use rcm_core::Problem;
use rcm_scd2::{Close, Merged};
use roaring::RoaringTreemap;
use std::sync::Arc;

/// Of a hundred rows in the files of a bucket so many may be gone: with more it is copied.
const GONE: u64 = 30;

impl History<'_> {
    /// Whether too little of a bucket would stay as it is.
    pub(super) fn is_appended_no_more(&self, lies: &Lies, merged: &Merged) -> bool {
        let (mut rows, mut live) = (0, 0);
        for lying in &lies.files {
            (rows, live) = (rows + lying.file.rows, live + lying.file.live());
        }
        let ends = merged.closes.len() as u64;
        let gone = rows - live + ends + merged.withdrawals.len() as u64;
        let comes = ends + merged.opens.num_rows() as u64;
        let has_too_many = lies.files.len() >= GROUPS || rows.saturating_sub(gone) + comes > BUCKET_ROWS as u64;
        !merged.is_no_op() && (has_too_many || gone * 100 > rows * GONE)
    }

    pub(super) fn append(
        &self,
        lies: &Lies,
        lots: &[Lot<'_>],
        merged: &Merged,
        weave: &Weaving<'_>,
        written: &mut Written,
    ) -> Result<(), MergeError> {
        let mut gone = vec![RoaringTreemap::new(); lies.files.len()];
        let (mut comes, mut withdrawn) = (Vec::new(), Vec::new());
        let mut first = 0;
        for lot in lots {
            let end = first + lot.known.num_rows();
            let closes = within(&merged.closes, |close| close.row, first, end);
            let withdrawals = within(&merged.withdrawals, |row| *row, first, end);
            let ended: Vec<usize> = closes.iter().map(|close| close.row - first).collect();
            let away: Vec<usize> = withdrawals.iter().map(|row| row - first).collect();
            gone[lot.file].extend(ended.iter().chain(&away).map(|row| lot.number_in_file(*row)));
            if !ended.is_empty() {
                let closes = closes.iter().zip(0..).map(|(close, row)| Close { row, valid_to: close.valid_to });
                comes.push(ends(&self.rows_of(lot, &ended)?, &closes.collect::<Vec<_>>(), weave).map_err(broken)?);
            }
            if !away.is_empty() {
                withdrawn.push(self.rows_of(lot, &away)?);
            }
            first = end;
        }
        let withdrawn = concat_batches(&self.schema, &withdrawn).map_err(broken)?;
        comes.push(weave.by.opens(&self.schema, &withdrawn, merged).map_err(broken)?);
        let comes = concat_batches(&self.schema, &comes).and_then(|rows| sorted(&rows, &self.order()));
        let comes = comes.map_err(broken)?;
        if comes.num_rows() > 0 {
            let starts = (0..comes.num_rows()).step_by(GROUP_ROWS);
            let groups = starts.map(|at| Group::Rows(comes.slice(at, GROUP_ROWS.min(comes.num_rows() - at))));
            let bytes = parquet::write_groups(&self.schema, groups.collect(), self.statistics);
            written.file(self, lies.leaf, bytes.map_err(|e| Problem::storage(self.table, e))?, comes.num_rows());
        }
        for (lying, mut gone) in lies.files.iter().zip(gone).filter(|(_, gone)| !gone.is_empty()) {
            let is_gone = |live: &BooleanArray| {
                (0..live.len()).filter(|row| !live.value(*row)).map(|row| row as u64).collect::<Vec<_>>()
            };
            gone.extend(lying.live.iter().flat_map(is_gone));
            written.gone.push((lying.file.clone(), gone));
        }
        Ok(())
    }

    /// Some rows of a lot in all columns of the table; what was not decoded yet is decoded for them alone.
    fn rows_of(&self, lot: &Lot<'_>, rows: &[usize]) -> Result<RecordBatch, MergeError> {
        let is_new = |name: &str| lot.known.schema_ref().index_of(name).is_err();
        let at = UInt64Array::from_iter_values(rows.iter().map(|row| *row as u64));
        let known = take_record_batch(&lot.known, &at).map_err(broken)?;
        let new = match self.schema.fields().iter().any(|field| is_new(field.name())) {
            true => {
                let numbers: Vec<usize> = rows.iter().map(|row| lot.number(*row)).collect();
                let read = lot.encoded.view_group(lot.group, &is_new, Some(&numbers));
                read.map_err(|e| Problem::storage(lot.path, e))?
            }
            false => RecordBatch::new_empty(Arc::new(Schema::empty())),
        };
        let column = |field: &Arc<Field>| {
            let of = if is_new(field.name()) { &new } else { &known };
            cast(of.column(of.schema_ref().index_of(field.name())?), field.data_type())
        };
        let columns = self.schema.fields().iter().map(column).collect::<Result<Vec<_>, ArrowError>>();
        columns.and_then(|columns| RecordBatch::try_new(self.schema.clone(), columns)).map_err(broken)
    }

    /// Puts the vectors of all files of which rows went.
    pub(super) async fn write_vectors(&mut self) -> Result<(), Problem> {
        let mut gone = std::mem::take(&mut self.gone);
        // Nothing is left of some.
        gone.retain(|(file, gone)| gone.len() < file.rows);
        gone.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
        let (files, gone): (Vec<_>, Vec<_>) = gone.into_iter().unzip();
        let vector::Written { vectors, file } = vector::write(&gone, self.attempt, self.table)?;
        self.vector_bytes = vectors.iter().map(Vector::size).sum();
        if let Some((name, bytes)) = file {
            self.lake.put(&format!("{}/{name}", self.table), bytes).await?;
        }
        let marked = files.into_iter().zip(vectors);
        self.adds.extend(marked.map(|(file, vector)| DataFile { vector: Some(vector), ..file }));
        Ok(())
    }
}

/// Rows with the ends that a load gives them.
fn ends(rows: &RecordBatch, closes: &[Close], weave: &Weaving<'_>) -> Result<RecordBatch, ArrowError> {
    let mut columns = rows.columns().to_vec();
    for (at, column) in closed(rows, closes, 0, weave)? {
        columns[at] = column;
    }
    RecordBatch::try_new(rows.schema(), columns)
}
