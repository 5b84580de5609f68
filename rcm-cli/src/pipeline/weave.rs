//! What the engine decided, as rows of a silver table.

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use rcm_connectors::lake::Weave;
use rcm_core::model::{Table, instant};
use rcm_scd2::{Merged, VALID_FROM, surrogate_keys};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A silver table, and what a run signs the rows with that it writes or closes.
pub(super) struct Silver<'a> {
    pub(super) table: &'a Table,
    pub(super) as_of: i64,
    pub(super) run_id: &'a str,
}

impl Weave for Silver<'_> {
    fn closed(&self) -> Result<RecordBatch, ArrowError> {
        let run_id: ArrayRef = Arc::new(StringArray::from(vec![self.run_id]));
        RecordBatch::try_from_iter([("modified_at", at([Some(self.as_of)])), ("run_id", run_id)])
    }

    fn opens(&self, columns: &SchemaRef, withdrawn: &RecordBatch, merged: &Merged) -> Result<RecordBatch, ArrowError> {
        opened(self, columns, withdrawn, merged)
    }
}

fn opened(
    by: &Silver<'_>,
    schema: &SchemaRef,
    withdrawn: &RecordBatch,
    merged: &Merged,
) -> Result<RecordBatch, ArrowError> {
    let opens = &merged.opens;
    let n = opens.num_rows();
    if n == 0 {
        return Ok(RecordBatch::new_empty(schema.clone()));
    }
    let keys = by.table.business_key().iter().map(|k| named(opens, k)).collect::<Result<Vec<_>, _>>()?;
    let from = timestamps(opens, VALID_FROM)?;
    let surrogates = surrogate_keys(&keys, &from).map_err(|e| ArrowError::ComputeError(e.to_string()))?;
    // A row that is replaced in place stays the row that was inserted then.
    let before = inserted(withdrawn)?;
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
    RecordBatch::try_new(schema.clone(), columns.collect())
}

fn inserted(withdrawn: &RecordBatch) -> Result<HashMap<String, i64>, ArrowError> {
    let keys = named(withdrawn, "surrogate_key")?;
    let (keys, times) = (keys.as_string::<i32>(), timestamps(withdrawn, "inserted_at")?);
    Ok((0..withdrawn.num_rows()).map(|row| (keys.value(row).to_owned(), times.value(row))).collect())
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
