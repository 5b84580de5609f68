use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::concat;
use arrow::datatypes::TimestampMicrosecondType;

use crate::columns::{pick, read};
use crate::history::PLACE;
use crate::spec::{IS_CURRENT, VALID_TO};
use crate::{Error, Merged};

/// The new table: history without the withdrawals, with the closes applied, plus the opens at the end.
///
/// For history that has the engine's columns and no others. A table with further columns (a surrogate key, say) has to
/// fill them in for the opens itself.
///
/// # Errors
/// A column that the engine does not know or that is missing; positions that are not in this history.
pub fn apply(history: &[RecordBatch], merged: &Merged) -> Result<RecordBatch, Error> {
    let schema = merged.opens.schema();
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let types: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
    for field in history.iter().flat_map(|batch| batch.schema_ref().fields()) {
        if !names.contains(field.name()) {
            return Err(Error::UnknownColumn { column: field.name().clone() });
        }
    }

    let rows = history.iter().map(RecordBatch::num_rows).sum();
    let mut ends: Vec<Option<i64>> = vec![None; rows];
    let mut stays = vec![true; rows];
    let no_such_row = |row| Error::NoSuchRow { row, rows };
    for close in &merged.closes {
        *ends.get_mut(close.row).ok_or_else(|| no_such_row(close.row))? = Some(close.valid_to);
    }
    for row in &merged.withdrawals {
        *stays.get_mut(*row).ok_or_else(|| no_such_row(*row))? = false;
    }

    let mut columns = read(&[(PLACE, history)], &names, &types)?;
    for (name, column) in names.iter().zip(&mut columns) {
        if name == VALID_TO {
            let old = column.as_primitive::<TimestampMicrosecondType>();
            let new =
                ends.iter().enumerate().map(|(row, end)| end.or_else(|| old.is_valid(row).then(|| old.value(row))));
            *column = Arc::new(new.collect::<TimestampMicrosecondArray>().with_timezone("UTC"));
        } else if name == IS_CURRENT {
            let old = column.as_boolean();
            let new = ends.iter().enumerate().map(|(row, end)| Some(end.is_none() && old.value(row)));
            *column = Arc::new(new.collect::<BooleanArray>());
        }
    }
    let kept = pick(&columns, (0..rows).filter(|row| stays[*row]))?;
    let both = kept.iter().zip(merged.opens.columns());
    let both = both.map(|(old, new)| Ok(concat(&[old, new])?)).collect::<Result<Vec<ArrayRef>, Error>>()?;
    Ok(RecordBatch::try_new(schema, both)?)
}
