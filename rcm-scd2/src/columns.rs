//! Types of columns: which are taken, which fit into which, and how values get from one into another.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};

use crate::Error;

/// A column in the type of the merge, if its values have equal ones there.
pub(crate) fn convert(
    place: &'static str,
    array: &ArrayRef,
    name: &str,
    data_type: &DataType,
) -> Result<ArrayRef, Error> {
    let from = plain(array.data_type()).ok_or_else(|| unsupported(place, name, array.data_type()))?;
    if !lossless(&from, data_type) {
        let expected = data_type.to_string();
        return Err(Error::ColumnType { place, column: name.to_owned(), found: array.data_type().clone(), expected });
    }
    let array = if *array.data_type() == from { Arc::clone(array) } else { cast(array, &from)? };
    match data_type {
        _ if from == *data_type => Ok(array),
        DataType::Timestamp(unit, zone) => in_unit(&array, *unit, zone.clone()),
        _ => Ok(cast(&array, data_type)?),
    }
}

/// Whether the bytes of values are the same in both types, so that nothing has to be converted.
pub(crate) fn same_bytes(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8) => true,
        (Binary | LargeBinary | BinaryView, Binary | LargeBinary) => true,
        (Timestamp(a, _), Timestamp(b, _)) => a == b && lossless(from, to),
        _ => from == to,
    }
}

/// The narrowest type in which the values of both have equal ones.
pub(crate) fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    if lossless(b, a) {
        return Some(a.clone());
    }
    if lossless(a, b) {
        return Some(b.clone());
    }
    let (DataType::Decimal128(p, s), DataType::Decimal128(q, t)) = (a, b) else { return None };
    // Enough digits before and behind the point for both.
    let scale = (*s).max(*t);
    let whole = (i16::from(*p) - i16::from(*s)).max(i16::from(*q) - i16::from(*t));
    let precision = u8::try_from(whole + i16::from(scale)).ok()?;
    (precision <= DECIMAL128_MAX_PRECISION).then_some(DataType::Decimal128(precision, scale))
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
        // Arrow's own kernels lose the rows of such an array.
        DataType::FixedSizeBinary(..=0) => None,
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
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let bare = cast_with_options(&with_zone(array, None), &DataType::Timestamp(unit, None), &options)?;
    Ok(with_zone(&bare, zone))
}

pub(crate) fn with_zone(array: &ArrayRef, zone: Option<Arc<str>>) -> ArrayRef {
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
