//! Key columns as bytes whose hashes are stored under a version: rows have the same bytes exactly when their values are
//! of the same kinds and equal.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal256Array, Float64Array, Int64Array, LargeBinaryArray,
    LargeStringArray, StringArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL256_MAX_PRECISION, DataType, Float64Type, TimeUnit};

use crate::columns::{plain, unsupported};
use crate::{Error, murmur};

/// Columns of the same length, ready to be encoded row by row.
pub(crate) struct Encoding(Vec<Cells>);

impl Encoding {
    pub(crate) fn of(place: &'static str, columns: &[ArrayRef], rows: usize) -> Result<Self, Error> {
        let one = |(at, column): (usize, &ArrayRef)| match column.len() == rows {
            true => Cells::of(place, column, at),
            false => Err(Error::Arrow { kind: "columns differ in length" }),
        };
        Ok(Encoding(columns.iter().enumerate().map(one).collect::<Result<_, _>>()?))
    }

    /// The hash of a row; `bytes` is room for its encoding.
    pub(crate) fn hash(&self, row: usize, version: u64, bytes: &mut Vec<u8>) -> u128 {
        bytes.clear();
        self.0.iter().for_each(|cells| cells.encode(row, bytes));
        murmur::hash(bytes, version)
    }
}

/// A key column by kind of value. Kinds have letters of their own, so that no two values of one row share their bytes.
enum Cells {
    Null,
    Bool(BooleanArray),
    Signed(Int64Array),
    Unsigned(UInt64Array),
    Float(Float64Array),
    /// Unscaled digits and their scale.
    Decimal(Decimal256Array),
    /// A count of some unit, and the nanoseconds in it.
    Time(u8, Int64Array, i128),
    Text(StringArray),
    LargeText(LargeStringArray),
    Bytes(LargeBinaryArray),
}

impl Cells {
    fn of(place: &'static str, column: &ArrayRef, at: usize) -> Result<Self, Error> {
        let unsupported = || unsupported(place, &at.to_string(), column.data_type());
        let data_type = plain(column.data_type()).ok_or_else(unsupported)?;
        let column = if *column.data_type() == data_type { Arc::clone(column) } else { cast(column, &data_type)? };
        let count = || Ok::<_, Error>(cast(&column, &DataType::Int64)?.as_primitive().clone());
        Ok(match &data_type {
            DataType::Null => Cells::Null,
            DataType::Boolean => Cells::Bool(column.as_boolean().clone()),
            signed if signed.is_signed_integer() => Cells::Signed(count()?),
            unsigned if unsigned.is_unsigned_integer() => {
                Cells::Unsigned(cast(&column, &DataType::UInt64)?.as_primitive().clone())
            }
            float if float.is_floating() => {
                let values = cast(&column, &DataType::Float64)?;
                // How NaN and zero were spelt must not show.
                let canonical = |value: f64| if value.is_nan() { f64::NAN } else { value + 0.0 };
                Cells::Float(values.as_primitive::<Float64Type>().unary(canonical))
            }
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
            | DataType::Decimal256(_, scale) => {
                let wide = DataType::Decimal256(DECIMAL256_MAX_PRECISION, *scale);
                Cells::Decimal(cast(&column, &wide)?.as_primitive().clone())
            }
            DataType::Date32 => Cells::Time(b'd', count()?, 86_400 * NANOS),
            DataType::Date64 => Cells::Time(b'd', count()?, NANOS / 1_000),
            DataType::Timestamp(unit, _) => Cells::Time(b't', count()?, nanos(*unit)),
            DataType::Time32(unit) | DataType::Time64(unit) => Cells::Time(b'o', count()?, nanos(*unit)),
            DataType::Duration(unit) => Cells::Time(b'p', count()?, nanos(*unit)),
            DataType::Utf8 => Cells::Text(column.as_string().clone()),
            DataType::LargeUtf8 => Cells::LargeText(column.as_string().clone()),
            DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) => {
                Cells::Bytes(cast(&column, &DataType::LargeBinary)?.as_binary().clone())
            }
            _ => return Err(unsupported()),
        })
    }

    fn array(&self) -> Option<&dyn Array> {
        Some(match self {
            Cells::Null => return None,
            Cells::Bool(array) => array,
            Cells::Signed(array) | Cells::Time(_, array, _) => array,
            Cells::Unsigned(array) => array,
            Cells::Float(array) => array,
            Cells::Decimal(array) => array,
            Cells::Text(array) => array,
            Cells::LargeText(array) => array,
            Cells::Bytes(array) => array,
        })
    }

    fn encode(&self, row: usize, bytes: &mut Vec<u8>) {
        if self.array().is_none_or(|array| array.is_null(row)) {
            bytes.push(b'n');
            return;
        }
        match self {
            Cells::Null => {}
            Cells::Bool(array) => bytes.extend([b'b', array.value(row).into()]),
            Cells::Signed(array) => fixed(b'i', &array.value(row).to_le_bytes(), bytes),
            Cells::Unsigned(array) => fixed(b'u', &array.value(row).to_le_bytes(), bytes),
            Cells::Float(array) => fixed(b'f', &array.value(row).to_bits().to_le_bytes(), bytes),
            Cells::Decimal(array) => {
                fixed(b'm', &array.scale().to_le_bytes(), bytes);
                bytes.extend(array.value(row).to_le_bytes());
            }
            Cells::Time(kind, array, unit) => time(*kind, i128::from(array.value(row)) * unit, bytes),
            Cells::Text(array) => sized(b's', array.value(row).as_bytes(), bytes),
            Cells::LargeText(array) => sized(b's', array.value(row).as_bytes(), bytes),
            Cells::Bytes(array) => sized(b'x', array.value(row), bytes),
        }
    }
}

const NANOS: i128 = 1_000_000_000;

fn nanos(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => NANOS,
        TimeUnit::Millisecond => NANOS / 1_000,
        TimeUnit::Microsecond => NANOS / 1_000_000,
        TimeUnit::Nanosecond => 1,
    }
}

fn time(kind: u8, nanos: i128, bytes: &mut Vec<u8>) {
    fixed(kind, &nanos.to_le_bytes(), bytes);
}

fn fixed(kind: u8, value: &[u8], bytes: &mut Vec<u8>) {
    bytes.push(kind);
    bytes.extend(value);
}

fn sized(kind: u8, value: &[u8], bytes: &mut Vec<u8>) {
    fixed(kind, &(value.len() as u64).to_le_bytes(), bytes);
    bytes.extend(value);
}
