//! The rows of a bucket, and a merge into them.

use super::leaf::{self, Leaf};
use super::lying::{Lies, Lying};
use super::{History, MergeError, Weaving};
use crate::lake::change::fit;
use crate::lake::vector::kept;
use crate::parquet::{self, sorted};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, Scalar, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{and_not, cast, concat_batches, filter_record_batch, sort_to_indices, take, take_record_batch};
use arrow::datatypes::{SchemaRef, UInt32Type};
use arrow::error::ArrowError;
use rayon::prelude::*;
use rcm_core::{Class, Problem};
use rcm_scd2::{Close, Cut, IS_CURRENT, Merged, Patch, Unit, VALID_FROM, VALID_TO};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// A bucket in memory.
pub(super) struct Bucket {
    pub(super) history: RecordBatch,
    pub(super) hidden: Vec<RecordBatch>,
    pub(super) history_changed: bool,
    pub(super) hidden_changed: bool,
}

impl Bucket {
    pub(super) fn read(lies: &Lies, schema: &SchemaRef) -> Result<Bucket, Problem> {
        let mut history = Vec::new();
        for Lying { bytes, path, live, .. } in &lies.files {
            let mut rows = parquet::decode(bytes.clone()).map_err(|e| Problem::storage(path, e))?;
            if let Some(live) = live {
                rows = kept(&rows, live).map_err(|e| Problem::storage(path, e))?;
            }
            for batch in rows {
                history.push(fit(&batch, schema, path)?);
            }
        }
        let history = concat_batches(schema, &history).map_err(|_| {
            Problem::new(
                Class::Failed,
                lies.path("history"),
                "has more in one bucket than memory can hold as one batch",
            )
        })?;
        Ok(Bucket { history, hidden: lies.hidden()?, history_changed: false, hidden_changed: false })
    }

    /// Takes in what lies there of the same bucket.
    pub(super) fn add(&mut self, lying: Bucket, order: &[&str]) -> Result<(), ArrowError> {
        let all = concat_batches(self.history.schema_ref(), [&lying.history, &self.history])?;
        (self.history, self.hidden) = (sorted(&all, order)?, lying.hidden);
        Ok(())
    }

    /// The part of a merge that is in this bucket, whose first row of history and of hidden state have these positions.
    fn apply(
        &mut self,
        merged: &Merged,
        [first, first_hidden]: [usize; 2],
        opens: &RecordBatch,
        hidden: RecordBatch,
        order: &[&str],
        weave: &Weaving<'_>,
    ) -> Result<(), MergeError> {
        let end = first + self.history.num_rows();
        let closes = within(&merged.closes, |close| close.row, first, end);
        let withdrawals = within(&merged.withdrawals, |row| *row, first, end);
        if !closes.is_empty() || !withdrawals.is_empty() || opens.num_rows() > 0 {
            let mut history = self.history.clone();
            for (at, column) in closed(&history, closes, first, weave).map_err(broken)? {
                let mut columns = history.columns().to_vec();
                columns[at] = column;
                history = RecordBatch::try_new(history.schema(), columns).map_err(broken)?;
            }
            let gone: HashSet<usize> = withdrawals.iter().map(|row| row - first).collect();
            let stays: BooleanArray = (0..history.num_rows()).map(|row| Some(!gone.contains(&row))).collect();
            let kept = filter_record_batch(&history, &stays).map_err(broken)?;
            let all = concat_batches(opens.schema_ref(), [&kept, opens]).map_err(broken)?;
            self.history = sorted(&all, order).map_err(broken)?;
            self.history_changed = true;
        }
        let end = first_hidden + self.hidden.iter().map(RecordBatch::num_rows).sum::<usize>();
        let removes = within(&merged.hidden.removes, |row| *row, first_hidden, end);
        if !removes.is_empty() || hidden.num_rows() > 0 {
            let patch = Patch { removes: removes.iter().map(|row| row - first_hidden).collect(), adds: hidden };
            self.hidden = patch.apply(&self.hidden)?;
            self.hidden_changed = true;
        }
        Ok(())
    }
}

/// Without the words of Arrow, which may hold a cell.
pub(super) fn broken(e: ArrowError) -> MergeError {
    MergeError::Engine(e.into())
}

/// The part of a sorted list whose positions lie between two.
pub(super) fn within<T>(sorted: &[T], position: impl Fn(&T) -> usize, first: usize, end: usize) -> &[T] {
    let at = |bound: usize| sorted.partition_point(|entry| position(entry) < bound);
    &sorted[at(first)..at(end)]
}

/// The columns that closes change, by position: the ends, what is current, and what is signed. The first row of the batch
/// has this position.
pub(super) fn closed(
    batch: &RecordBatch,
    closes: &[Close],
    first: usize,
    weave: &Weaving<'_>,
) -> Result<Vec<(usize, ArrayRef)>, ArrowError> {
    if closes.is_empty() {
        return Ok(Vec::new());
    }
    let (mut ends, mut is_closed) = (vec![None; batch.num_rows()], vec![false; batch.num_rows()]);
    for Close { row, valid_to } in closes {
        (ends[row - first], is_closed[row - first]) = (Some(*valid_to), true);
    }
    let is_closed = BooleanArray::from(is_closed);
    let mut columns = Vec::new();
    let at = batch.schema_ref().index_of(VALID_TO)?;
    let ends = TimestampMicrosecondArray::from(ends).with_data_type(batch.column(at).data_type().clone());
    columns.push((at, zip(&is_closed, &ends, batch.column(at))?));
    let at = batch.schema_ref().index_of(IS_CURRENT)?;
    columns.push((at, Arc::new(and_not(batch.column(at).as_boolean(), &is_closed)?) as ArrayRef));
    for (field, value) in weave.closed.schema_ref().fields().iter().zip(weave.closed.columns()) {
        let at = batch.schema_ref().index_of(field.name())?;
        columns.push((at, zip(&is_closed, &Scalar::new(value), batch.column(at))?));
    }
    Ok(columns)
}

impl History<'_> {
    /// Merges a load into the buckets of a unit, with all that is in them in memory.
    pub(super) fn merge_held(
        &self,
        cut: &Cut<'_>,
        unit: &Unit,
        mut held: BTreeMap<Leaf, Bucket>,
        lies: &[Lies],
        weave: &Weaving<'_>,
    ) -> Result<BTreeMap<Leaf, Bucket>, MergeError> {
        for lies in lies {
            held.insert(lies.leaf, Bucket::read(lies, &self.schema)?);
        }
        let history: Vec<RecordBatch> = held.values().map(|bucket| bucket.history.clone()).collect();
        let hidden = held.values().flat_map(|bucket| bucket.hidden.clone()).collect();
        let merged = cut.merge(unit, history, hidden)?;
        self.apply(&mut held, &merged, weave)?;
        Ok(held)
    }

    /// What a merge makes of the buckets whose rows it was given, in their order.
    pub(super) fn apply(
        &self,
        held: &mut BTreeMap<Leaf, Bucket>,
        merged: &Merged,
        weave: &Weaving<'_>,
    ) -> Result<(), MergeError> {
        if merged.is_no_op() && merged.hidden.is_empty() {
            return Ok(());
        }
        let history: Vec<RecordBatch> = held.values().map(|bucket| bucket.history.clone()).collect();
        let withdrawn = rows(&history, &self.schema, &merged.withdrawals).map_err(broken)?;
        let opens = weave.by.opens(&self.schema, &withdrawn, merged).map_err(broken)?;
        let is_one = held.len() == 1;
        let mut at = [0, 0];
        for (leaf, bucket) in held {
            let mine = |rows: &RecordBatch| if is_one { Ok(rows.clone()) } else { self.of_leaf(*leaf, rows) };
            let next = [
                at[0] + bucket.history.num_rows(),
                at[1] + bucket.hidden.iter().map(RecordBatch::num_rows).sum::<usize>(),
            ];
            bucket.apply(merged, at, &mine(&opens)?, mine(&merged.hidden.adds)?, &self.order(), weave)?;
            at = next;
        }
        Ok(())
    }

    /// Rows in buckets of their own, sorted.
    pub(super) fn cut(&self, rows: &[RecordBatch]) -> Result<BTreeMap<Leaf, Bucket>, MergeError> {
        // Each batch is put in the order of the buckets once; a bucket's rows are slices of it.
        let one = |batch: &RecordBatch| {
            let numbers = leaf::number(&self.leaves, &self.keys_of(batch)?)?;
            let order = sort_to_indices(&numbers, None, None).map_err(broken)?;
            let numbers = take(&numbers, &order, None).map_err(broken)?;
            Ok((take_record_batch(batch, &order).map_err(broken)?, numbers.as_primitive::<UInt32Type>().clone()))
        };
        let cut = rows.par_iter().map(one).collect::<Result<Vec<_>, MergeError>>()?;
        let bucket = |(number, leaf): (usize, &Leaf)| {
            let slice = |(batch, numbers): &(RecordBatch, UInt32Array)| {
                let at = |number: usize| numbers.values().partition_point(|other| (*other as usize) < number);
                batch.slice(at(number), at(number + 1) - at(number))
            };
            let mine: Vec<RecordBatch> = cut.iter().map(slice).collect();
            let mine =
                concat_batches(&self.schema, &mine).and_then(|all| sorted(&all, &self.order())).map_err(broken)?;
            Ok((*leaf, Bucket { history: mine, hidden: Vec::new(), history_changed: true, hidden_changed: false }))
        };
        self.leaves.par_iter().enumerate().map(|(number, leaf)| bucket((number, leaf))).collect()
    }

    /// Key columns in the types of the table, which the hash tells apart.
    pub(super) fn as_stored(&self, keys: &[ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
        let one = |(key, name): (&ArrayRef, &&str)| cast(key, self.schema.field_with_name(name)?.data_type());
        keys.iter().zip(self.keys).map(one).collect()
    }

    pub(super) fn keys_of(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>, MergeError> {
        let key = |name: &&str| Ok(rows.column(rows.schema_ref().index_of(name)?).clone());
        self.keys.iter().map(key).collect::<Result<Vec<_>, ArrowError>>().map_err(broken)
    }

    /// The columns by which rows are sorted.
    pub(super) fn order(&self) -> Vec<&str> {
        self.keys.iter().copied().chain([VALID_FROM]).collect()
    }

    /// Those of some rows that are in a bucket.
    pub(super) fn of_leaf(&self, leaf: Leaf, rows: &RecordBatch) -> Result<RecordBatch, MergeError> {
        if rows.num_rows() == 0 {
            return Ok(rows.clone());
        }
        let wanted = leaf.has(&self.keys_of(rows)?)?;
        filter_record_batch(rows, &wanted).map_err(broken)
    }
}

/// Rows by their positions over several batches.
fn rows(batches: &[RecordBatch], schema: &SchemaRef, positions: &[usize]) -> Result<RecordBatch, ArrowError> {
    let mut first = 0;
    let mut taken = Vec::new();
    for batch in batches {
        let mine = within(positions, |row| *row, first, first + batch.num_rows());
        taken.push(take_record_batch(
            batch,
            &UInt64Array::from_iter_values(mine.iter().map(|row| (row - first) as u64)),
        )?);
        first += batch.num_rows();
    }
    concat_batches(schema, &taken)
}
