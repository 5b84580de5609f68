//! Landed text to the common model: names, types, null words, money, one key vocabulary.

use crate::mapping::{ColumnMapping, TableMapping};
use crate::money::cents;
use arrow::array::{Array, ArrayRef, Date32Array, Decimal128Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use chrono::NaiveDate;
use rayon::prelude::*;
use rcm_core::Reason;
use rcm_core::model::{Column, Kind, Table};
use std::sync::Arc;

/// Rows in the common model, and the cells that could not be read (they are null).
#[derive(Debug, Clone)]
pub struct Conformed {
    /// Hospital (where the table has one) and the model's columns.
    pub batch: RecordBatch,
    /// `(row, reason)`, by row.
    pub unread: Vec<(usize, Reason)>,
}

/// Maps one landed batch. Text is trimmed; what is empty then, or one of `null_words`, is a null (in that spelling: `Null`
/// is somebody's name). A column without a mapping is null, and so is a mapped one that the batch lacks: hold a delivery
/// to [`TableMapping::check_columns`] first; a file of the archive may be older than the mapping.
///
/// ```
/// use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
/// use rcm_core::model::table;
/// use rcm_transforms::{conform::conform, mapping::{ColumnMapping, TableMapping}};
/// use std::sync::Arc;
///
/// let text = |v: &str| Arc::new(StringArray::from(vec![v])) as ArrayRef;
/// let landed = RecordBatch::try_from_iter([("ID", text(" D1 ")), ("N", text("NULL"))]).unwrap();
/// let columns = [("department_id", "ID"), ("name", "N")].map(|(c, s)| (c.to_owned(), ColumnMapping::Name(s.to_owned())));
/// let mapping = TableMapping { source: "dbo.dep".into(), ignore: vec![], columns: columns.into() };
/// let conformed = conform(table("departments").unwrap(), &mapping, &["NULL".to_owned()], "hos-a", &landed).unwrap();
/// let cell = |i: usize| conformed.batch.column(i).as_any().downcast_ref::<StringArray>().unwrap().clone();
/// assert_eq!((cell(0).value(0), cell(1).value(0)), ("hos-a", "D1"));
/// assert_eq!(cell(2).null_count(), 1);
/// ```
///
/// # Errors
/// A mapped column that is no text.
pub fn conform(
    table: &Table,
    mapping: &TableMapping,
    null_words: &[String],
    hospital: &str,
    landed: &RecordBatch,
) -> Result<Conformed, ArrowError> {
    let rows = landed.num_rows();
    let read = table
        .columns
        .par_iter()
        .map(|column| match mapping.columns.get(column.name).filter(|m| landed.column_by_name(m.from()).is_some()) {
            None => Ok((arrow::array::new_null_array(&column.kind.data_type(), rows), Vec::new())),
            Some(from) => {
                let cells = landed.column_by_name(from.from()).and_then(|c| c.as_any().downcast_ref::<StringArray>());
                let cells = cells.ok_or_else(|| {
                    ArrowError::SchemaError(format!("the landed batch has no text column `{}`", from.from()))
                })?;
                Ok(read_column(column, from, null_words, cells))
            }
        })
        .collect::<Result<Vec<_>, ArrowError>>()?;

    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(table.columns.len() + 1);
    if table.by_hospital {
        arrays.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(hospital, rows))));
    }
    let mut unread = Vec::new();
    for (array, reasons) in read {
        arrays.push(array);
        unread.extend(reasons);
    }
    unread.sort_by_key(|(row, _)| *row);
    Ok(Conformed { batch: RecordBatch::try_new(Arc::new(Schema::new(table.fields())), arrays)?, unread })
}

fn read_column(
    column: &Column,
    from: &ColumnMapping,
    null_words: &[String],
    cells: &StringArray,
) -> (ArrayRef, Vec<(usize, Reason)>) {
    let value = |row: usize| -> Option<&str> {
        let text = cells.is_valid(row).then(|| cells.value(row).trim())?;
        let is_null = text.is_empty() || null_words.iter().any(|w| w == text);
        (!is_null).then_some(text)
    };
    let mut unread = Vec::new();
    let array: ArrayRef = match column.kind {
        Kind::Text => {
            let prefix = from.prefix();
            let prefixed = |text: &str| match text.starts_with(prefix) {
                true => text.to_owned(),
                false => format!("{prefix}{text}"),
            };
            Arc::new((0..cells.len()).map(|row| value(row).map(prefixed)).collect::<StringArray>())
        }
        Kind::Date => {
            let format = from.format();
            let mut parse = |row: usize| {
                let text = value(row)?;
                let date = NaiveDate::parse_from_str(text, format).ok();
                if date.is_none() {
                    unread.push((row, Reason::new("G4", column.name, format!("is no date of the form {format}"))));
                }
                date.map(days)
            };
            Arc::new((0..cells.len()).map(&mut parse).collect::<Date32Array>())
        }
        Kind::Money => {
            let mut parse = |row: usize| {
                let text = value(row)?;
                let amount = cents(text);
                if amount.is_none() {
                    unread.push((row, Reason::new("G4", column.name, "is no number that fits Decimal(18, 2)")));
                }
                amount
            };
            let amounts: Decimal128Array = (0..cells.len()).map(&mut parse).collect();
            Arc::new(amounts.with_data_type(DataType::Decimal128(18, 2)))
        }
    };
    (array, unread)
}

/// Days since 1970-01-01: what a `Date32` holds.
pub fn days(date: NaiveDate) -> i32 {
    arrow::datatypes::Date32Type::from_naive_date(date)
}
