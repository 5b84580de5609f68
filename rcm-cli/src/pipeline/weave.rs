//! What the engine decided, woven into the rows of a silver table.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
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
    let closes: BTreeMap<usize, i64> = merged.closes.iter().map(|c| (c.row, c.valid_to)).collect();
    let withdrawn: HashSet<usize> = merged.withdrawals.iter().copied().collect();

    let valid_to = timestamps(history, VALID_TO)?;
    let modified = timestamps(history, "modified_at")?;
    let runs = history
        .column_by_name("run_id")
        .map(|c| c.as_string::<i32>().clone())
        .unwrap_or_else(|| StringArray::from(Vec::<&str>::new()));
    let current = history
        .column_by_name(IS_CURRENT)
        .map(|c| c.as_boolean().clone())
        .unwrap_or_else(|| BooleanArray::from(Vec::<bool>::new()));
    let rows = 0..history.num_rows();
    let old = |array: &TimestampMicrosecondArray, row: usize| array.is_valid(row).then(|| array.value(row));
    let closed: [(&str, ArrayRef); 4] = [
        (VALID_TO, at(rows.clone().map(|r| closes.get(&r).copied().or_else(|| old(&valid_to, r))))),
        (
            IS_CURRENT,
            Arc::new(
                rows.clone().map(|r| Some(current.value(r) && !closes.contains_key(&r))).collect::<BooleanArray>(),
            ),
        ),
        (
            "modified_at",
            at(rows.clone().map(|r| if closes.contains_key(&r) { Some(by.as_of) } else { old(&modified, r) })),
        ),
        (
            "run_id",
            Arc::new(
                rows.clone()
                    .map(|r| Some(if closes.contains_key(&r) { by.run_id } else { runs.value(r) }))
                    .collect::<StringArray>(),
            ),
        ),
    ];
    let kept = UInt64Array::from_iter_values(rows.filter(|r| !withdrawn.contains(r)).map(|r| r as u64));
    let kept = take_record_batch(&with(history, &closed)?, &kept)?;

    let opened = opened(table, history, merged, by)?;
    let mut order = table.business_key();
    order.push(VALID_FROM);
    sorted(&concat_batches(&Arc::new(silver_schema(table)), &[kept, opened])?, &order)
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
        ("modified_at", at((0..n).map(|_| Some(by.as_of)))),
        ("run_id", Arc::new(StringArray::from(vec![by.run_id; n])) as ArrayRef),
        ("surrogate_key", Arc::new(surrogates.clone()) as ArrayRef),
    ]);
    let columns = schema
        .fields()
        .iter()
        .map(|f| match added.get(f.name().as_str()) {
            Some(column) => Ok(column.clone()),
            None => named(opens, f.name()),
        })
        .collect::<Result<Vec<_>, _>>()?;
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

fn with(batch: &RecordBatch, columns: &[(&str, ArrayRef)]) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let replaced = schema.fields().iter().zip(batch.columns()).map(|(field, old)| {
        columns.iter().find(|(name, _)| name == field.name()).map_or_else(|| old.clone(), |(_, new)| new.clone())
    });
    let replaced = replaced.collect();
    RecordBatch::try_new(schema, replaced)
}

fn at(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<TimestampMicrosecondArray>().with_data_type(instant()))
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
