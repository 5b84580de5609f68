use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal256Array, Float64Array, Int64Array, LargeBinaryArray,
    LargeStringArray, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL256_MAX_PRECISION, DataType, TimeUnit};
use rayon::prelude::*;

use crate::columns::{canonical, plain, unsupported};
use crate::{Error, Fault, murmur};

/// Part of every key: another number whenever the encoding or the hash changes.
const VERSION: u64 = 1;
const PLACE: &str = "surrogate key";

/// Surrogate keys: 32 lower-case hexadecimal digits for each pair of business key and `valid_from`.
///
/// The key is MurmurHash3 x64 128 with seed 1 over, for each key column in order and then `valid_from`, a letter for the
/// kind of value and its bytes, text with its length in front: `("ab", "c")` and `("a", "bc")` differ, as do null and
/// `""`. It depends on nothing else: not on the order of rows, on the width of an integer, on the unit of a timestamp, nor
/// on dictionary or view encodings. So a history that is rebuilt has the keys it had. It is not a cryptographic hash: it
/// hides nothing.
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray};
/// use rcm_scd2::surrogate_keys;
///
/// let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "a"]));
/// let keys = surrogate_keys(&[ids], &TimestampMicrosecondArray::from(vec![0, 1]))?;
/// assert_eq!(keys.value(0).len(), 32);
/// assert_ne!(keys.value(0), keys.value(1));
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
///
/// # Errors
/// A key column of a nested type or of another length than `valid_from`; a null `valid_from`.
pub fn surrogate_keys(keys: &[ArrayRef], valid_from: &TimestampMicrosecondArray) -> Result<StringArray, Error> {
    if let Some(row) = (0..valid_from.len()).find(|row| valid_from.is_null(*row)) {
        return Err(Error::BrokenHistory { row, fault: Fault::NullValidFrom });
    }
    let cells = cells(PLACE, keys, valid_from.len())?;
    let digest = |row: usize| {
        let mut bytes = Vec::new();
        for cells in &cells {
            cells.encode(row, &mut bytes);
        }
        time(b't', i128::from(valid_from.value(row)) * nanos(TimeUnit::Microsecond), &mut bytes);
        murmur::hash(&bytes, VERSION)
    };
    let digests: Vec<u128> = (0..valid_from.len()).into_par_iter().with_min_len(1024).map(digest).collect();
    Ok(StringArray::from_iter_values(digests.iter().map(|digest| format!("{digest:032x}"))))
}

/// Key columns of so many rows, ready to be encoded.
pub(crate) fn cells(place: &'static str, keys: &[ArrayRef], rows: usize) -> Result<Vec<Cells>, Error> {
    let one = |(at, key): (usize, &ArrayRef)| match key.len() == rows {
        true => Cells::of(place, key, at),
        false => Err(Error::Arrow { kind: "columns differ in length" }),
    };
    keys.iter().enumerate().map(one).collect()
}

/// A key column by kind of value. Kinds have letters of their own, so that no two values of one row share their bytes.
pub(crate) enum Cells {
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
                Cells::Float(canonical(cast(&column, &DataType::Float64)?).as_primitive().clone())
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

    pub(crate) fn encode(&self, row: usize, bytes: &mut Vec<u8>) {
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
