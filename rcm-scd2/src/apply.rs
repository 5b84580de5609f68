use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, SchemaRef, TimestampMicrosecondType};

use crate::columns::{convert, index};
use crate::feed::HIDDEN;
use crate::history::PLACE;
use crate::ledger::{AS_OF, LEDGER};
use crate::spec::{IS_CURRENT, IS_DELETED, IS_INFERRED, VALID_TO};
use crate::{Close, Error, Merged, Patch, State};

/// The state after a merge: history without the withdrawals, with the closes applied, plus the opens at the end; hidden
/// state and the ledger as they are patched.
///
/// For history that has the engine's columns and no others. A table with further columns (a surrogate key, say) has to
/// fill them in for the opens itself; its hidden state and ledger take [`Patch::apply`].
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{Load, Spec, State, apply, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).build()?;
/// let state = apply(&State::new(), &merge(&spec, &State::new(), &Load::new(&table(&[["a", "Lyon"]]), 1))?)?;
/// let moved = merge(&spec, &state, &Load::new(&table(&[["a", "Paris"]]), 2))?;
/// let rows: usize = apply(&state, &moved)?.history.iter().map(|batch| batch.num_rows()).sum();
/// assert_eq!(rows, 2);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
///
/// # Errors
/// A column that the engine does not know; positions that are not in this state.
pub fn apply(state: &State, merged: &Merged) -> Result<State, Error> {
    let schema = merged.opens.schema();
    for field in state.history.iter().flat_map(|batch| batch.schema_ref().fields()) {
        if schema.column_with_name(field.name()).is_none() {
            return Err(Error::UnknownColumn { place: PLACE, column: field.name().clone() });
        }
    }
    let rows = state.history.iter().map(RecordBatch::num_rows).sum();
    let last = [merged.closes.last().map(|close| close.row), merged.withdrawals.last().copied()];
    if let Some(row) = last.into_iter().flatten().find(|row| *row >= rows) {
        return Err(Error::NoSuchRow { row, rows });
    }
    let mut history = Vec::new();
    let mut first = 0;
    let (mut closes, mut withdrawals) = (merged.closes.as_slice(), merged.withdrawals.as_slice());
    for batch in &state.history {
        let end = first + batch.num_rows();
        let (closed, others) = closes.split_at(closes.partition_point(|close| close.row < end));
        let (gone, more) = withdrawals.split_at(withdrawals.partition_point(|row| *row < end));
        (closes, withdrawals) = (others, more);
        let batch = in_schema(PLACE, first, batch, &schema)?;
        let batch = close(&batch, closed, first)?;
        history.push(without(&batch, gone, first)?);
        first = end;
    }
    history.retain(|batch| batch.num_rows() > 0);
    if merged.opens.num_rows() > 0 || history.is_empty() {
        history.push(merged.opens.clone());
    }
    Ok(State { history, hidden: merged.hidden.apply(&state.hidden)?, ledger: merged.ledger.apply(&state.ledger)? })
}

impl Patch {
    /// The rows after the patch, all in the schema of [`Patch::adds`]; one batch at least.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
    /// # let table = |cells: &[[&str; 2]]| {
    /// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
    /// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
    /// # };
    /// use rcm_scd2::{Load, Spec, State, merge};
    ///
    /// let spec = Spec::snapshot(["id"]).track(["city"]).build()?;
    /// let merged = merge(&spec, &State::new(), &Load::new(&table(&[["a", "Lyon"]]), 1))?;
    /// let ledger = merged.ledger.apply(&[])?;
    /// assert_eq!(ledger[0].num_rows(), 1);
    /// # Ok::<(), rcm_scd2::Error>(())
    /// ```
    ///
    /// # Errors
    /// Positions that are not there; a column of another type.
    pub fn apply(&self, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, Error> {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        if let Some(row) = self.removes.last().copied().filter(|row| *row >= rows) {
            return Err(Error::NoSuchRow { row, rows });
        }
        let schema = self.adds.schema();
        if schema.fields().is_empty() {
            return Ok(batches.to_vec());
        }
        let place = if schema.column_with_name(AS_OF).is_some() { LEDGER } else { HIDDEN };
        let (mut kept, mut first, mut removes) = (Vec::new(), 0, self.removes.as_slice());
        for batch in batches {
            let end = first + batch.num_rows();
            let (gone, more) = removes.split_at(removes.partition_point(|row| *row < end));
            removes = more;
            kept.push(without(&in_schema(place, first, batch, &schema)?, gone, first)?);
            first = end;
        }
        kept.push(self.adds.clone());
        // Parts that a merge adds are small: one batch, or a table of many loads would be read batch by batch.
        Ok(vec![concat_batches(&schema, &kept)?])
    }
}

/// The batch in the columns and types of a schema; columns that it lacks are null, or false where they cannot be.
fn in_schema(place: &'static str, first: usize, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let column = |field: &Arc<arrow::datatypes::Field>| -> Result<ArrayRef, Error> {
        let name = field.name();
        match batch.schema_ref().column_with_name(name) {
            Some(_) => convert(place, first, batch.column(index(place, batch, name)?), name, field.data_type()),
            None if [IS_DELETED, IS_INFERRED].contains(&name.as_str()) => {
                Ok(Arc::new(BooleanArray::from(vec![false; batch.num_rows()])))
            }
            None => Ok(arrow::array::new_null_array(field.data_type(), batch.num_rows())),
        }
    };
    let columns = schema.fields().iter().map(column).collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

fn close(batch: &RecordBatch, closes: &[Close], first: usize) -> Result<RecordBatch, Error> {
    if closes.is_empty() {
        return Ok(batch.clone());
    }
    let (ends, current) = (index(PLACE, batch, VALID_TO)?, index(PLACE, batch, IS_CURRENT)?);
    let old = batch.column(ends).as_primitive::<TimestampMicrosecondType>();
    let mut to = old.values().to_vec();
    let mut valid: Vec<bool> = (0..to.len()).map(|row| old.is_valid(row)).collect();
    let mut is_current: Vec<bool> = batch.column(current).as_boolean().values().iter().collect();
    for Close { row, valid_to } in closes {
        (to[row - first], valid[row - first], is_current[row - first]) = (*valid_to, true, false);
    }
    let mut columns = batch.columns().to_vec();
    let nulls = Some(NullBuffer::from(valid));
    let to = TimestampMicrosecondArray::new(to.into(), nulls).with_timezone("UTC");
    columns[ends] = match batch.column(ends).data_type() {
        DataType::Timestamp(_, Some(_)) => Arc::new(to),
        _ => Arc::new(to.with_timezone_opt(None::<&str>)),
    };
    columns[current] = Arc::new(BooleanArray::new(BooleanBuffer::from(is_current), None));
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

fn without(batch: &RecordBatch, rows: &[usize], first: usize) -> Result<RecordBatch, Error> {
    if rows.is_empty() {
        return Ok(batch.clone());
    }
    let mut stays = vec![true; batch.num_rows()];
    rows.iter().for_each(|row| stays[row - first] = false);
    Ok(filter_record_batch(batch, &BooleanArray::from(stays))?)
}
