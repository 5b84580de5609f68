//! Landed text to the common model: names, types, null words, money, one key vocabulary.

use crate::dates::{self, Found, ISO};
use crate::mapping::{ColumnMapping, DeletedMapping, TableMapping};
use crate::money::cents;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, RecordBatch, StringArray, make_array,
};
use arrow::compute::cast;
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
    /// Whether a row says that its key is gone; of each row.
    pub deleted: BooleanArray,
    /// `(row, reason)`, by row.
    pub unread: Vec<(usize, Reason)>,
    /// What people should know of how it was read: formats that were found. Never a value.
    pub notes: Vec<String>,
}

/// Maps one landed batch, of text or of a database's own types. Text is trimmed; what is empty then, or one of `null_words`, is a null (in that spelling: `Null`
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
/// let mapping = TableMapping { source: "dbo.dep".into(), columns: columns.into(), ..TableMapping::default() };
/// let conformed = conform(table("departments").unwrap(), &mapping, &["NULL".to_owned()], "hos-a", &landed).unwrap();
/// let cell = |i: usize| conformed.batch.column(i).as_any().downcast_ref::<StringArray>().unwrap().clone();
/// assert_eq!((cell(0).value(0), cell(1).value(0)), ("hos-a", "D1"));
/// assert_eq!(cell(2).null_count(), 1);
/// ```
///
/// Dates of text are read by the format that is declared; without one by ISO 8601, or by the only format that reads a column in
/// which no date is written so. Typed dates stay what they are, and of timestamps the day is taken: of those with a zone, the day in UTC. Whatever else has a
/// type is read as its text would be.
///
/// A row that says by [`TableMapping::deleted`] that its key is gone is told so ([`Conformed::deleted`]); what says neither yes nor no
/// could not be read.
///
/// # Errors
/// A mapped column of a type that has no text.
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
            None => Ok((arrow::array::new_null_array(&column.kind.data_type(), rows), Vec::new(), None)),
            Some(from) => {
                let cells = landed.column_by_name(from.from());
                let cells = cells.ok_or_else(|| {
                    ArrowError::SchemaError(format!("the landed batch has no column `{}`", from.from()))
                })?;
                let has_days = matches!(cells.data_type(), DataType::Date32 | DataType::Timestamp(..));
                if column.kind == Kind::Date && has_days {
                    return Ok((cast(&wall_clock(cells)?, &DataType::Date32)?, Vec::new(), None));
                }
                Ok(read_column(column, from, null_words, &as_text(cells)?))
            }
        })
        .collect::<Result<Vec<_>, ArrowError>>()?;

    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(table.columns.len() + 1);
    if table.by_hospital {
        arrays.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(hospital, rows))));
    }
    let (mut unread, mut notes) = (Vec::new(), Vec::new());
    for (array, reasons, note) in read {
        arrays.push(array);
        unread.extend(reasons);
        notes.extend(note);
    }
    let (deleted, unclear) = deleted(mapping.deleted.as_ref(), null_words, landed)?;
    unread.extend(unclear);
    unread.sort_by_key(|(row, _)| *row);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(table.fields())), arrays)?;
    Ok(Conformed { batch, deleted, unread, notes })
}

/// The name under which a reason tells of the column that says what is deleted: the common model has none such.
pub const DELETED: &str = "deleted";

/// Which rows say that their key is gone, and those that say neither. An archived file may be older than the column: none of it.
fn deleted(
    mapping: Option<&DeletedMapping>,
    null_words: &[String],
    landed: &RecordBatch,
) -> Result<(BooleanArray, Vec<(usize, Reason)>), ArrowError> {
    let rows = landed.num_rows();
    let column = mapping.and_then(|mapping| Some((mapping, landed.column_by_name(mapping.from())?)));
    let Some((mapping, cells)) = column else { return Ok((BooleanArray::from(vec![false; rows]), Vec::new())) };
    let (cells, mut unclear) = (as_text(cells)?, Vec::new());
    let says = |row: usize| {
        let text = if cells.is_valid(row) { cells.value(row).trim() } else { "" };
        if text.is_empty() || null_words.iter().any(|word| word == text) {
            return false;
        }
        mapping.says(text).unwrap_or_else(|| {
            unclear.push((row, Reason::new("G4", DELETED, "says neither that the row is deleted nor that it is not")));
            false
        })
    };
    let deleted: Vec<bool> = (0..rows).map(says).collect();
    Ok((BooleanArray::from(deleted), unclear))
}

/// Any cells as text: what a person would read. Times of a zone are told in UTC.
pub(crate) fn as_text(cells: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(cast(&wall_clock(cells)?, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// Times of a zone as the clocks of UTC show them; all else as it is.
fn wall_clock(cells: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match cells.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let times = cells.to_data().into_builder().data_type(DataType::Timestamp(*unit, None)).build()?;
            Ok(make_array(times))
        }
        _ => Ok(cells.clone()),
    }
}

fn read_column(
    column: &Column,
    from: &ColumnMapping,
    null_words: &[String],
    cells: &StringArray,
) -> (ArrayRef, Vec<(usize, Reason)>, Option<String>) {
    let value = |row: usize| -> Option<&str> {
        let text = cells.is_valid(row).then(|| cells.value(row).trim())?;
        let is_null = text.is_empty() || null_words.iter().any(|w| w == text);
        (!is_null).then_some(text)
    };
    let (mut unread, mut note) = (Vec::new(), None);
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
            let format = match from.format() {
                Some(format) => format,
                None => {
                    let (format, found) = found_format(from.from(), (0..cells.len()).filter_map(value));
                    note = found;
                    format
                }
            };
            let mut parse = |row: usize| {
                let text = value(row)?;
                let date = dates::read(text, format);
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
    (array, unread, note)
}

/// A format that nobody declared, and what is to be said of it.
fn found_format<'a>(column: &str, values: impl Iterator<Item = &'a str> + Clone) -> (&'static str, Option<String>) {
    match dates::find(values) {
        Found::Iso => (ISO, None),
        Found::One(format) => (format, Some(format!("column `{column}`: dates are read by {format}, as found in it"))),
        Found::Several(formats) => {
            let which = formats.join(" or ");
            (ISO, Some(format!("column `{column}`: dates may be {which}: declare its `format` in the mapping")))
        }
    }
}

/// Days since 1970-01-01: what a `Date32` holds.
pub fn days(date: NaiveDate) -> i32 {
    arrow::datatypes::Date32Type::from_naive_date(date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, Int64Array, TimestampMicrosecondArray, TimestampNanosecondArray};
    use rcm_core::model::table;

    /// One column of a database under one name of the model.
    fn conformed(of: &str, column: &str, cells: ArrayRef) -> (ArrayRef, usize) {
        let landed = RecordBatch::try_from_iter([("C", cells)]).unwrap();
        let columns = [(column.to_owned(), ColumnMapping::Name("C".to_owned()))].into();
        let mapping = TableMapping { source: "s".to_owned(), columns, ..TableMapping::default() };
        let conformed = conform(table(of).unwrap(), &mapping, &["NULL".to_owned()], "h", &landed).unwrap();
        (conformed.batch[column].clone(), conformed.unread.len())
    }

    #[test]
    fn of_a_time_its_day_is_taken() {
        let expected: ArrayRef = Arc::new(Date32Array::from(vec![Some(-1), Some(0), Some(19_782), None]));
        let day = 86_400_000_000;
        let times = vec![Some(-1), Some(0), Some(19_783 * day - 1), None];
        let naive = TimestampMicrosecondArray::from(times);
        let zoned = naive.clone().with_timezone("UTC");
        let nanos = TimestampNanosecondArray::from(vec![Some(-1), Some(0), Some((19_783 * day - 1) * 1000), None]);
        let days = Date32Array::from(vec![Some(-1), Some(0), Some(19_782), None]);
        for cells in [Arc::new(naive) as ArrayRef, Arc::new(zoned), Arc::new(nanos), Arc::new(days)] {
            let data_type = cells.data_type().clone();
            assert_eq!(conformed("patients", "modified_date", cells), (expected.clone(), 0), "{data_type}");
        }
    }

    #[test]
    fn numbers_are_read_as_their_text_would_be() {
        let amounts =
            Decimal128Array::from(vec![Some(123_450_000), Some(-1), None]).with_data_type(DataType::Decimal128(21, 4));
        let expected: ArrayRef = Arc::new(
            Decimal128Array::from(vec![Some(1_234_500), Some(0), None]).with_data_type(DataType::Decimal128(18, 2)),
        );
        assert_eq!(conformed("transactions", "amount", Arc::new(amounts)), (expected, 0));
        let keys = Int64Array::from(vec![Some(7), None]);
        let expected: ArrayRef = Arc::new(StringArray::from(vec![Some("7"), None]));
        assert_eq!(conformed("patients", "patient_id", Arc::new(keys)), (expected, 0));
        let float = arrow::array::Float64Array::from(vec![f64::NAN, 0.1]);
        let (amounts, unread) = conformed("transactions", "amount", Arc::new(float));
        assert_eq!((amounts.null_count(), unread), (1, 1), "what is no number is told");
        let zoned = TimestampMicrosecondArray::from(vec![1_000_000]).with_timezone("UTC");
        let expected: ArrayRef = Arc::new(StringArray::from(vec!["1970-01-01T00:00:01"]));
        assert_eq!(conformed("patients", "patient_id", Arc::new(zoned)), (expected, 0));
    }
}
