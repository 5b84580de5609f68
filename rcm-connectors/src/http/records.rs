//! Records of JSON as rows whose columns are fixed. The record itself is the last column: what a service adds is not lost.
#![cfg_attr(not(all(feature = "icd", feature = "npi")), allow(dead_code, reason = "each source uses a part of it"))]

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use chrono::NaiveDate;
use rcm_core::{Class, Problem, Watermark};
use serde_json::Value;
use std::sync::Arc;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Text,
    /// Text that is never null.
    Key,
    Date,
    /// Seconds or milliseconds since 1970.
    Epoch,
    Flag,
}

/// A column, and where a record has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) of: Of,
    pub(crate) at: fn(&Value) -> Option<String>,
}

pub(crate) fn schema(columns: &[Column]) -> SchemaRef {
    let field = |column: &Column| {
        let data_type = match column.of {
            Of::Text | Of::Key => DataType::Utf8,
            Of::Date => DataType::Date32,
            Of::Epoch => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Of::Flag => DataType::Boolean,
        };
        Field::new(column.name, data_type, column.of != Of::Key)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// Some of the columns, in this order; all if none are named.
pub(crate) fn chosen(place: &str, columns: &[Column], names: &[String]) -> Result<Vec<Column>, Problem> {
    if names.is_empty() {
        return Ok(columns.to_vec());
    }
    let one = |name: &String| {
        columns.iter().find(|column| column.name == name).copied().ok_or_else(|| {
            Problem::new(Class::Drift, place, format!("there is no column `{name}`")).hint("correct the mapping")
        })
    };
    names.iter().map(one).collect()
}

pub(crate) fn batch(place: &str, columns: &[Column], records: &[Value]) -> Result<RecordBatch, Problem> {
    let array = |column: &Column| -> ArrayRef {
        let texts = records.iter().map(column.at);
        match column.of {
            Of::Text | Of::Key => Arc::new(texts.collect::<StringArray>()),
            Of::Date => {
                let days = texts.map(|text| text.as_deref().and_then(day).map(Date32Type::from_naive_date));
                Arc::new(days.collect::<Date32Array>())
            }
            Of::Epoch => {
                let micros = texts.map(|text| text.as_deref().and_then(epoch));
                Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
            Of::Flag => Arc::new(texts.map(|text| text.map(|text| text == "true")).collect::<BooleanArray>()),
        }
    };
    RecordBatch::try_new(schema(columns), columns.iter().map(array).collect()).map_err(|_| {
        Problem::new(Class::Temporary, place, "it sends records without their key")
            .hint("run again; if it happens again, the service has changed")
    })
}

/// The rows that lie in a window, by a column of instants; those without one are in every window.
pub(crate) fn within(
    rows: &RecordBatch,
    cursor: &str,
    bounds: (Option<Watermark>, Option<Watermark>),
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let Some(column) = rows.column_by_name(cursor) else { return Ok(rows.clone()) };
    let at = column.as_primitive::<TimestampMicrosecondType>();
    let micros = |bound: Option<Watermark>| match bound {
        Some(Watermark::TimestampTz(at)) => Some(at.timestamp_micros()),
        _ => None,
    };
    let (lower, upper) = (micros(bounds.0), micros(bounds.1));
    let is_in = |row: usize| {
        let within = |at: i64| lower.is_none_or(|lower| at >= lower) && upper.is_none_or(|upper| at < upper);
        at.is_null(row) || within(at.value(row))
    };
    filter_record_batch(rows, &(0..rows.num_rows()).map(|row| Some(is_in(row))).collect())
}

/// A text of a record, or a number as text.
pub(crate) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// `2026-11-30` or `11/30/2026`.
fn day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").or_else(|_| NaiveDate::parse_from_str(text, "%m/%d/%Y")).ok()
}

/// Microseconds since 1970. What has fewer than twelve digits are seconds, until the year 5138.
fn epoch(text: &str) -> Option<i64> {
    let number: i64 = text.trim().parse().ok()?;
    let unit = if number.abs() < 100_000_000_000 { 1_000_000 } else { 1000 };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_of_both_shapes_are_the_same() {
        assert_eq!(epoch("1393416364"), Some(1_393_416_364_000_000));
        assert_eq!(epoch("1393416364000"), Some(1_393_416_364_000_000));
        assert_eq!(epoch("soon"), None);
    }
}
