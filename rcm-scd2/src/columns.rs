//! Columns by name, in one type and one spelling each, whatever encoding they arrive in.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, RecordBatch, UInt64Array, new_empty_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};

use crate::Error;

/// Where batches come from: the word that errors begin with.
pub(crate) type Source<'a> = (&'static str, &'a [RecordBatch]);

/// The types that columns are merged in: those of the first source that has them.
pub(crate) fn types(names: &[String], sources: &[Source]) -> Result<Vec<DataType>, Error> {
    let first = |name: &String| {
        let mut found = DataType::Null;
        for (place, batches) in sources {
            if let (DataType::Null, Some(batch)) = (&found, batches.first()) {
                let data_type = batch.schema_ref().field(index(place, batch, name)?).data_type().clone();
                found = plain(&data_type).ok_or_else(|| unsupported(place, name, &data_type))?;
            }
        }
        Ok(found)
    };
    names.iter().map(first).collect()
}

/// The columns of all batches, one behind the other, in the types of the merge.
pub(crate) fn read(sources: &[Source], names: &[String], types: &[DataType]) -> Result<Vec<ArrayRef>, Error> {
    let column = |(name, data_type): (&String, &DataType)| {
        let mut pieces = Vec::new();
        for (place, batches) in sources {
            for batch in *batches {
                pieces.push(one(place, batch, name, data_type)?);
            }
        }
        join(&pieces, data_type)
    };
    names.iter().zip(types).map(column).collect()
}

/// As [`read`], but only the rows at these positions of each batch.
pub(crate) fn read_rows(
    place: &'static str,
    batches: &[(&RecordBatch, Vec<usize>)],
    names: &[String],
    types: &[DataType],
) -> Result<Vec<ArrayRef>, Error> {
    let column = |(name, data_type): (&String, &DataType)| {
        let mut pieces = Vec::with_capacity(batches.len());
        for (batch, rows) in batches {
            let some = take(batch.column(index(place, batch, name)?), &positions(rows.iter().copied()), None)?;
            pieces.push(convert(place, &some, name, data_type)?);
        }
        join(&pieces, data_type)
    };
    names.iter().zip(types).map(column).collect()
}

/// One column of one batch, in the type of the merge.
pub(crate) fn one(
    place: &'static str,
    batch: &RecordBatch,
    name: &str,
    data_type: &DataType,
) -> Result<ArrayRef, Error> {
    convert(place, batch.column(index(place, batch, name)?), name, data_type)
}

/// A column in the type of the merge, floats in their one spelling.
fn convert(place: &'static str, array: &ArrayRef, name: &str, data_type: &DataType) -> Result<ArrayRef, Error> {
    let from = plain(array.data_type()).ok_or_else(|| unsupported(place, name, array.data_type()))?;
    if !lossless(&from, data_type) {
        let expected = data_type.to_string();
        return Err(Error::ColumnType { place, column: name.to_owned(), found: array.data_type().clone(), expected });
    }
    let array = if *array.data_type() == from { Arc::clone(array) } else { cast(array, &from)? };
    let array = match data_type {
        _ if from == *data_type => array,
        DataType::Timestamp(unit, zone) => in_unit(&array, *unit, zone.clone())?,
        _ => cast(&array, data_type)?,
    };
    Ok(canonical(array))
}

/// Position of a column that must be there exactly once.
pub(crate) fn index(place: &'static str, batch: &RecordBatch, name: &str) -> Result<usize, Error> {
    let fields = batch.schema_ref().fields();
    let mut found = fields.iter().enumerate().filter(|(_, field)| field.name() == name);
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Ok(at),
        (Some(_), Some(_)) => Err(Error::RepeatedColumn { place, column: name.to_owned() }),
        (None, _) => {
            let found = fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
            Err(Error::MissingColumn { place, column: name.to_owned(), found })
        }
    }
}

/// Which rows have a value in all columns; `None`: all rows.
pub(crate) fn present(columns: &[ArrayRef]) -> Option<NullBuffer> {
    columns.iter().fold(None, |all, column| NullBuffer::union(all.as_ref(), column.logical_nulls().as_ref()))
}

/// The first row with a null in any of the columns.
pub(crate) fn first_null(columns: &[ArrayRef]) -> Option<usize> {
    present(columns).filter(|nulls| nulls.null_count() > 0).and_then(|nulls| nulls.iter().position(|valid| !valid))
}

/// The rows at these positions.
pub(crate) fn pick(columns: &[ArrayRef], rows: impl IntoIterator<Item = usize>) -> Result<Vec<ArrayRef>, Error> {
    let rows = positions(rows);
    columns.iter().map(|column| Ok(take(column, &rows, None)?)).collect()
}

fn positions(rows: impl IntoIterator<Item = usize>) -> UInt64Array {
    UInt64Array::from_iter_values(rows.into_iter().map(|row| row as u64))
}

fn join(pieces: &[ArrayRef], data_type: &DataType) -> Result<ArrayRef, Error> {
    match pieces {
        [] => Ok(new_empty_array(data_type)),
        [piece] => Ok(Arc::clone(piece)),
        _ => Ok(concat(&pieces.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
    }
}

/// The instants of a valid-time column, microseconds since the epoch; 0 where null.
pub(crate) fn instants(column: &ArrayRef) -> Result<Vec<i64>, usize> {
    let (raw, per_micro): (_, fn(i64) -> Option<i64>) = match column.data_type() {
        DataType::Date32 => (None, |days| days.checked_mul(86_400_000_000)),
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => {
                (Some(column.as_primitive::<TimestampSecondType>().values()), |s| s.checked_mul(1_000_000))
            }
            TimeUnit::Millisecond => {
                (Some(column.as_primitive::<TimestampMillisecondType>().values()), |ms| ms.checked_mul(1_000))
            }
            TimeUnit::Microsecond => (Some(column.as_primitive::<TimestampMicrosecondType>().values()), Some),
            TimeUnit::Nanosecond => {
                (Some(column.as_primitive::<TimestampNanosecondType>().values()), |ns| Some(ns.div_euclid(1_000)))
            }
        },
        _ => return Ok(vec![0; column.len()]),
    };
    let at = |row: usize| match raw {
        _ if column.is_null(row) => Ok(0),
        Some(values) => per_micro(values[row]).ok_or(row),
        None => per_micro(column.as_primitive::<arrow::datatypes::Date32Type>().value(row).into()).ok_or(row),
    };
    (0..column.len()).map(at).collect()
}

pub(crate) fn unsupported(place: &'static str, column: &str, found: &DataType) -> Error {
    Error::UnsupportedType { place, column: column.to_owned(), found: found.clone() }
}

/// The type without its encoding; `None` where values have no order or equality here.
pub(crate) fn plain(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Dictionary(_, value) => plain(value),
        DataType::Utf8View => Some(DataType::Utf8),
        DataType::BinaryView => Some(DataType::Binary),
        DataType::RunEndEncoded(..) => None,
        nested if nested.is_nested() => None,
        other => Some(other.clone()),
    }
}

/// Whether every value of a type has its own, equal value in another.
fn lossless(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    let width = |bits: &DataType| bits.primitive_width();
    match (from, to) {
        _ if from == to => true,
        (Null, _) | (Utf8 | LargeUtf8, Utf8 | LargeUtf8) | (Binary | LargeBinary, Binary | LargeBinary) => true,
        (Timestamp(a, zone), Timestamp(b, other)) => a <= b && same_zone(zone.as_deref(), other.as_deref()),
        (Decimal128(p, s), Decimal128(q, t)) => {
            t >= s && i16::from(*q) - i16::from(*t) >= i16::from(*p) - i16::from(*s)
        }
        (Float16, Float32 | Float64) | (Float32, Float64) => true,
        (Int8 | Int16 | UInt8 | UInt16, Float32 | Float64) | (Int32 | UInt32, Float64) => true,
        (a, b) if a.is_signed_integer() && b.is_signed_integer() => width(a) < width(b),
        (a, b) if a.is_unsigned_integer() && b.is_integer() => width(a) < width(b),
        _ => false,
    }
}

/// Instants with a zone are the same in any other; without one they are taken to be UTC.
fn same_zone(a: Option<&str>, b: Option<&str>) -> bool {
    let utc = |zone: &str| ["UTC", "utc", "Z", "+00:00", "Etc/UTC"].contains(&zone);
    match (a, b) {
        (Some(_), Some(_)) | (None, None) => true,
        (Some(zone), None) | (None, Some(zone)) => utc(zone),
    }
}

/// Arrow's own cast would look the zone up, which takes a table of zones that this crate does not carry.
fn in_unit(array: &ArrayRef, unit: TimeUnit, zone: Option<Arc<str>>) -> Result<ArrayRef, Error> {
    let bare = cast(&with_zone(array, None), &DataType::Timestamp(unit, None))?;
    Ok(with_zone(&bare, zone))
}

fn with_zone(array: &ArrayRef, zone: Option<Arc<str>>) -> ArrayRef {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            Arc::new(array.as_primitive::<TimestampSecondType>().clone().with_timezone_opt(zone))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Arc::new(array.as_primitive::<TimestampMillisecondType>().clone().with_timezone_opt(zone))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(zone))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Arc::new(array.as_primitive::<TimestampNanosecondType>().clone().with_timezone_opt(zone))
        }
        _ => Arc::clone(array),
    }
}

/// -0.0 becomes 0.0 and every NaN the same NaN: which of them is stored must not depend on which came first.
pub(crate) fn canonical(array: ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Float16 => {
            type F = <Float16Type as ArrowPrimitiveType>::Native;
            Arc::new(array.as_primitive::<Float16Type>().unary::<_, Float16Type>(|value| match value {
                value if value.is_nan() => F::NAN,
                value if value == F::NEG_ZERO => F::ZERO,
                value => value,
            }))
        }
        DataType::Float32 => Arc::new(
            array
                .as_primitive::<Float32Type>()
                .unary::<_, Float32Type>(|value| if value.is_nan() { f32::NAN } else { value + 0.0 }),
        ),
        DataType::Float64 => Arc::new(
            array
                .as_primitive::<Float64Type>()
                .unary::<_, Float64Type>(|value| if value.is_nan() { f64::NAN } else { value + 0.0 }),
        ),
        _ => array,
    }
}
