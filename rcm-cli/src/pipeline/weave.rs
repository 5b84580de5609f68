//! What the engine decided, woven into the rows of a silver table.

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, RecordBatch, Scalar, StringArray, TimestampMicrosecondArray, UInt64Array,
    new_null_array,
};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{SortColumn, and_not, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use rcm_core::model::{Table, instant, silver_schema};
use rcm_scd2::{IS_CURRENT, Merged, VALID_FROM, VALID_TO, surrogate_keys};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// The columns in which a run signs the rows that it wrote or closed.
pub(super) struct Signature<'a> {
    pub(super) as_of: i64,
    pub(super) run_id: &'a str,
}

/// Silver as the run leaves it: without the withdrawals, with the closes, plus the opens, by key and `valid_from`.
pub(super) fn weave(
    table: &Table,
    history: &RecordBatch,
    merged: &Merged,
    by: &Signature<'_>,
) -> Result<RecordBatch, ArrowError> {
    let withdrawn: HashSet<usize> = merged.withdrawals.iter().copied().collect();
    let kept = (0..history.num_rows()).filter(|row| !withdrawn.contains(row)).map(|row| row as u64);
    let kept = take_record_batch(&closed(history, merged, by)?, &UInt64Array::from_iter_values(kept))?;

    let opened = opened(table, history, merged, by)?;
    let mut order = table.business_key();
    order.push(VALID_FROM);
    sorted(&concat_batches(&Arc::new(silver_schema(table)), &[kept, opened])?, &order)
}

/// History with the engine's closes.
fn closed(history: &RecordBatch, merged: &Merged, by: &Signature<'_>) -> Result<RecordBatch, ArrowError> {
    let ends: HashMap<usize, i64> = merged.closes.iter().map(|c| (c.row, c.valid_to)).collect();
    let ends = (0..history.num_rows()).map(|row| ends.get(&row).copied());
    let closes: BooleanArray = ends.clone().map(|end| Some(end.is_some())).collect();
    let column = |name| named(history, name);
    let replaced = [
        (VALID_TO, zip(&closes, &at(ends), &column(VALID_TO)?)?),
        (IS_CURRENT, Arc::new(and_not(column(IS_CURRENT)?.as_boolean(), &closes)?) as ArrayRef),
        ("modified_at", zip(&closes, &Scalar::new(at([Some(by.as_of)])), &column("modified_at")?)?),
        ("run_id", zip(&closes, &StringArray::new_scalar(by.run_id), &column("run_id")?)?),
    ];
    let schema = history.schema();
    let columns = schema.fields().iter().zip(history.columns()).map(|(field, old)| {
        replaced.iter().find(|(name, _)| name == field.name()).map_or_else(|| old.clone(), |(_, new)| new.clone())
    });
    let columns = columns.collect();
    RecordBatch::try_new(schema, columns)
}

/// The engine's opens as silver rows.
fn opened(
    table: &Table,
    history: &RecordBatch,
    merged: &Merged,
    by: &Signature<'_>,
) -> Result<RecordBatch, ArrowError> {
    let opens = &merged.opens;
    let n = opens.num_rows();
    let schema = Arc::new(silver_schema(table));
    if n == 0 {
        return Ok(RecordBatch::new_empty(schema));
    }
    let keys = table.business_key().iter().map(|k| named(opens, k)).collect::<Result<Vec<_>, _>>()?;
    let from = timestamps(opens, VALID_FROM)?;
    let surrogates = surrogate_keys(&keys, &from).map_err(|e| ArrowError::ComputeError(e.to_string()))?;
    // A row that is replaced in place stays the row that was inserted then.
    let before = inserted(history, &merged.withdrawals)?;
    let inserted = surrogates.iter().map(|s| s.and_then(|s| before.get(s).copied()).or(Some(by.as_of)));
    let added: BTreeMap<&str, ArrayRef> = BTreeMap::from([
        ("is_quarantined", Arc::new(BooleanArray::from(vec![false; n])) as ArrayRef),
        ("inserted_at", at(inserted)),
        ("modified_at", at(vec![Some(by.as_of); n])),
        ("run_id", Arc::new(StringArray::from(vec![by.run_id; n])) as ArrayRef),
        ("surrogate_key", Arc::new(surrogates.clone()) as ArrayRef),
    ]);
    let columns = schema.fields().iter().map(|field| match added.get(field.name().as_str()) {
        Some(column) => column.clone(),
        // What only a feed has is null in a full table.
        None => opens.column_by_name(field.name()).cloned().unwrap_or_else(|| new_null_array(field.data_type(), n)),
    });
    let columns = columns.collect();
    RecordBatch::try_new(schema, columns)
}

fn inserted(history: &RecordBatch, withdrawals: &[usize]) -> Result<HashMap<String, i64>, ArrowError> {
    let keys = named(history, "surrogate_key")?;
    let (keys, times) = (keys.as_string::<i32>(), timestamps(history, "inserted_at")?);
    Ok(withdrawals.iter().map(|row| (keys.value(*row).to_owned(), times.value(*row))).collect())
}

/// Rows in the order of some columns.
pub(super) fn sorted(batch: &RecordBatch, order: &[&str]) -> Result<RecordBatch, ArrowError> {
    let columns = order
        .iter()
        .map(|name| Ok(SortColumn { values: named(batch, name)?, options: None }))
        .collect::<Result<Vec<_>, ArrowError>>()?;
    take_record_batch(batch, &lexsort_to_indices(&columns, None)?)
}

fn at(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<TimestampMicrosecondArray>().with_data_type(instant()))
}

fn named(batch: &RecordBatch, name: &str) -> Result<ArrayRef, ArrowError> {
    batch.column_by_name(name).cloned().ok_or_else(|| ArrowError::SchemaError(format!("column `{name}` is missing")))
}

fn timestamps(batch: &RecordBatch, name: &str) -> Result<TimestampMicrosecondArray, ArrowError> {
    named(batch, name)?
        .as_primitive_opt::<TimestampMicrosecondType>()
        .cloned()
        .ok_or_else(|| ArrowError::SchemaError(format!("column `{name}` is no timestamp")))
}
