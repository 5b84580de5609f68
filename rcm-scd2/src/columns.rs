//! Types of columns: which are taken, which fit into which, and how values get from one into another.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DECIMAL32_MAX_PRECISION, DECIMAL64_MAX_PRECISION, DECIMAL128_MAX_PRECISION, DataType, Decimal32Type, Decimal64Type,
    Decimal128Type, DecimalType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};

use crate::Error;

/// A column in the type of the merge, if its values have equal ones there. `first`: the position of its first row.
pub(crate) fn convert(
    place: &'static str,
    first: usize,
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
    let out_of_range = |row: Option<usize>| {
        let (row, data_type) = (first + row.unwrap_or_default(), data_type.clone());
        Error::OutOfRange { place, column: name.to_owned(), row, data_type }
    };
    let wide = match data_type {
        _ if from == *data_type => return Ok(array),
        _ if from == DataType::Null => return Ok(cast(&array, data_type)?),
        // Arrow's own cast would look the zone up, which takes a table of zones that this crate does not carry.
        DataType::Timestamp(unit, zone) => {
            with_zone(&cast(&with_zone(&array, None), &DataType::Timestamp(*unit, None))?, zone.clone())
        }
        // Where digits are added, those that are more than the type says could overflow, and Arrow would not tell.
        _ if digits(&from)
            .is_some_and(|(_, scale, _)| digits(data_type).is_some_and(|(_, other, _)| scale != other))
            && let Some(row) = beyond_precision(&array) =>
        {
            return Err(out_of_range(Some(row)));
        }
        _ => cast(&array, data_type)?,
    };
    if wide.null_count() == array.null_count() {
        return Ok(wide);
    }
    // What does not fit has become null.
    Err(out_of_range((0..array.len()).find(|row| wide.is_null(*row) && array.is_valid(*row))))
}

/// The first row of an array of decimals with more digits than its type says.
fn beyond_precision(array: &ArrayRef) -> Option<usize> {
    fn first<T: DecimalType>(array: &ArrayRef) -> Option<usize> {
        let decimals = array.as_primitive::<T>();
        let fits = |value: T::Native| T::is_valid_decimal_precision(value, decimals.precision());
        decimals.iter().position(|value| value.is_some_and(|value| !fits(value)))
    }
    match array.data_type() {
        DataType::Decimal32(..) => first::<Decimal32Type>(array),
        DataType::Decimal64(..) => first::<Decimal64Type>(array),
        DataType::Decimal128(..) => first::<Decimal128Type>(array),
        _ => None,
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

/// The type in which values of all types have equal ones: one of them, or a decimal that is wide enough for all. Each comes
/// with its place, and as it was found before its encoding was taken off.
pub(crate) fn common<'a>(
    column: &str,
    all_types: impl Iterator<Item = (&'static str, &'a DataType, &'a DataType)>,
) -> Result<DataType, Error> {
    // Batches are many, types few.
    let mut types: Vec<(&'static str, &DataType, &DataType)> = Vec::new();
    for (place, found, data_type) in all_types {
        if types.iter().all(|(.., other)| *other != data_type) {
            types.push((place, found, data_type));
        }
    }
    let fits_all = |wide: &&DataType| types.iter().all(|(.., narrow)| lossless(narrow, wide));
    if let Some(wide) = types.iter().map(|(.., data_type)| *data_type).find(fits_all) {
        return Ok(wide.clone());
    }
    let mut all = DataType::Null;
    for (place, found, data_type) in types {
        all = match () {
            () if lossless(data_type, &all) => all,
            () if lossless(&all, data_type) => data_type.clone(),
            () => decimal(&all, data_type).ok_or_else(|| Error::ColumnType {
                place,
                column: column.to_owned(),
                found: found.clone(),
                expected: all.to_string(),
            })?,
        };
    }
    Ok(all)
}

/// A decimal with enough digits before and behind the point for both.
fn decimal(a: &DataType, b: &DataType) -> Option<DataType> {
    let ((p, s, room), (q, t, other)) = (digits(a)?, digits(b)?);
    let scale = s.max(t);
    let precision = (p - s).max(q - t) + scale;
    let (digits, scale) = (u8::try_from(precision).ok()?, i8::try_from(scale).ok()?);
    match digits.max(room).max(other) {
        most if most <= DECIMAL32_MAX_PRECISION => Some(DataType::Decimal32(digits, scale)),
        most if most <= DECIMAL64_MAX_PRECISION => Some(DataType::Decimal64(digits, scale)),
        most if most <= DECIMAL128_MAX_PRECISION => Some(DataType::Decimal128(digits, scale)),
        _ => None,
    }
}

/// Precision and scale of a decimal, and how many digits its width has room for.
fn digits(data_type: &DataType) -> Option<(i16, i16, u8)> {
    let (precision, scale, room) = match *data_type {
        DataType::Decimal32(precision, scale) => (precision, scale, DECIMAL32_MAX_PRECISION),
        DataType::Decimal64(precision, scale) => (precision, scale, DECIMAL64_MAX_PRECISION),
        DataType::Decimal128(precision, scale) => (precision, scale, DECIMAL128_MAX_PRECISION),
        _ => return None,
    };
    Some((precision.into(), scale.into(), room))
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
        // More digits: digests of these are taken of what is stored, so the point stays where it is.
        (Decimal256(p, s), Decimal256(q, t)) => s == t && p <= q,
        (Float16, Float32 | Float64) | (Float32, Float64) => true,
        (Int8 | Int16 | UInt8 | UInt16, Float32 | Float64) | (Int32 | UInt32, Float64) => true,
        (a, b) if let (Some((p, s, room)), Some((q, t, other))) = (digits(a), digits(b)) => {
            t >= s && q - t >= p - s && other >= room
        }
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
