//! A merge into a bucket that leaves its files as they are: what changes of them goes by their deletion vectors, and what
//! comes is one file more.

use super::bucket::{GROUPS, Lies, broken, closed, engine_columns, within};
use super::write::Written;
use super::{BUCKET_ROWS, History, MergeError, Weaving};
use crate::lake::vector;
use crate::parquet::{self, Encoded, GROUP_ROWS, Group, sorted};
use arrow::array::{BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::{cast, concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use rcm_core::Problem;
use rcm_scd2::{Close, Cut, Merged, Spec, Unit};
use roaring::RoaringTreemap;
use std::sync::Arc;

/// Of a hundred rows in the files of a bucket so many may be gone: with more it is copied.
const GONE: u64 = 30;

/// A row group of a bucket: where its rows lie.
struct Lot {
    /// Which file of the bucket.
    file: usize,
    group: usize,
    /// How many rows of the file come before it.
    first: usize,
    /// The numbers, within it, of those that are in the table; none: all are.
    live: Option<Vec<usize>>,
}

impl Lot {
    /// The number of a row within the group.
    fn number(&self, row: usize) -> usize {
        self.live.as_ref().map_or(row, |live| live[row])
    }
}

/// The rows of a lot that are in the table.
struct Rows<'a> {
    history: &'a History<'a>,
    lies: &'a Lies,
    files: &'a [Encoded],
    lot: &'a Lot,
    /// Of their columns those that the engine read.
    known: &'a RecordBatch,
}

impl Rows<'_> {
    /// Some of them, in all columns; what was not decoded yet is decoded for them alone.
    fn at(&self, rows: &[usize]) -> Result<RecordBatch, MergeError> {
        let schema = &self.history.schema;
        let is_new = |name: &str| self.known.schema_ref().index_of(name).is_err();
        let indices = UInt64Array::from_iter_values(rows.iter().map(|row| *row as u64));
        let known = take_record_batch(self.known, &indices).map_err(broken)?;
        let new = match schema.fields().iter().any(|field| is_new(field.name())) {
            true => {
                let numbers: Vec<usize> = rows.iter().map(|row| self.lot.number(*row)).collect();
                let path = &self.lies.files[self.lot.file].path;
                let read = self.files[self.lot.file].read_rows(self.lot.group, &numbers, &is_new);
                read.map_err(|e| Problem::storage(path, e))?
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

impl History<'_> {
    pub(super) fn append(
        &self,
        cut: &Cut<'_>,
        unit: &Unit,
        lies: &Lies,
        files: &[Encoded],
        spec: &Spec,
        weave: &Weaving<'_>,
    ) -> Result<Written, MergeError> {
        let names = engine_columns(spec);
        let (mut lots, mut history) = (Vec::new(), Vec::new());
        for (number, (lying, file)) in lies.files.iter().zip(files).enumerate() {
            let failed = |e: ArrowError| MergeError::Storage(Problem::storage(&lying.path, e));
            let mut first = 0;
            for (group, rows) in
                file.view(&|name| names.contains(name)).map_err(|e| failed(e.into()))?.into_iter().enumerate()
            {
                let (start, all) = (first, rows.num_rows());
                first += all;
                let live = match &lying.live {
                    Some(live) if first > live.len() => {
                        return Err(failed(ArrowError::ParquetError("has more rows than its table says".to_owned())));
                    }
                    live => live.as_ref().map(|live| live.slice(start, all)),
                };
                let rows = match &live {
                    Some(live) => filter_record_batch(&rows, live).map_err(broken)?,
                    None => rows,
                };
                let live = live.map(|live| live.values().set_indices().collect());
                lots.push(Lot { file: number, group, first: start, live });
                history.push(rows);
            }
        }
        let hidden = lies.hidden()?;
        let merged = cut.merge(unit, history.clone(), hidden.clone())?;
        let hidden_rows = hidden.iter().map(RecordBatch::num_rows).sum::<usize>() + merged.hidden.adds.num_rows();
        if hidden_rows > BUCKET_ROWS || self.is_to_be_copied(lies, &merged) {
            return self.copied(lies, &merged, weave);
        }
        let mut written = Written::default();
        if !merged.is_no_op() {
            let rows = |(lot, known)| Rows { history: self, lies, files, lot, known };
            let lots: Vec<_> = lots.iter().zip(&history).map(rows).collect();
            self.append_rows(lies, &lots, &merged, weave, &mut written)?;
        }
        if !merged.hidden.is_empty() {
            written.hidden(self, lies.leaf, &merged.hidden.apply(&hidden)?)?;
        }
        Ok(written)
    }

    /// Whether too little of a bucket would stay as it is.
    fn is_to_be_copied(&self, lies: &Lies, merged: &Merged) -> bool {
        let (mut rows, mut live) = (0, 0);
        for lying in &lies.files {
            (rows, live) = (rows + lying.file.rows, live + lying.file.live());
        }
        let ends = merged.closes.len() as u64;
        let gone = rows - live + ends + merged.withdrawals.len() as u64;
        let comes = ends + merged.opens.num_rows() as u64;
        let has_too_many = lies.files.len() >= GROUPS || rows - gone + comes > BUCKET_ROWS as u64;
        !merged.is_no_op() && (has_too_many || gone * 100 > rows * GONE)
    }

    fn append_rows(
        &self,
        lies: &Lies,
        lots: &[Rows<'_>],
        merged: &Merged,
        weave: &Weaving<'_>,
        written: &mut Written,
    ) -> Result<(), MergeError> {
        let mut gone = vec![RoaringTreemap::new(); lies.files.len()];
        let (mut comes, mut withdrawn) = (Vec::new(), Vec::new());
        let mut first = 0;
        for rows in lots {
            let end = first + rows.known.num_rows();
            let closes = within(&merged.closes, |close| close.row, first, end);
            let withdrawals = within(&merged.withdrawals, |row| *row, first, end);
            let ended: Vec<usize> = closes.iter().map(|close| close.row - first).collect();
            let away: Vec<usize> = withdrawals.iter().map(|row| row - first).collect();
            let numbers = ended.iter().chain(&away).map(|row| rows.lot.first + rows.lot.number(*row));
            gone[rows.lot.file].extend(numbers.map(|row| row as u64));
            if !ended.is_empty() {
                let closes = closes.iter().zip(0..).map(|(close, row)| Close { row, valid_to: close.valid_to });
                comes.push(ends(&rows.at(&ended)?, &closes.collect::<Vec<_>>(), weave).map_err(broken)?);
            }
            if !away.is_empty() {
                withdrawn.push(rows.at(&away)?);
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

    /// Puts the vectors of all files of which rows went.
    pub(super) async fn write_vectors(&mut self) -> Result<(), Problem> {
        let mut gone = std::mem::take(&mut self.gone);
        // Nothing is left of some.
        gone.retain(|(file, gone)| gone.len() < file.rows);
        gone.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
        let (files, gone): (Vec<_>, Vec<_>) = gone.into_iter().unzip();
        let vector::Written { vectors, file } = vector::write(&gone, self.attempt, self.table)?;
        if let Some((name, bytes)) = file {
            self.lake.put(&format!("{}/{name}", self.table), bytes).await?;
        }
        let marked = files.into_iter().zip(vectors);
        self.adds.extend(marked.map(|(file, vector)| super::DataFile { vector: Some(vector), ..file }));
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
