//! Cells by position: a column over all sources, read as bytes that are equal exactly when the values are.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, TimeUnit, i256};
use half_bits::{canonical_16, canonical_32, canonical_64};

/// A row: of which batch (over all sources), and where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct At {
    pub(crate) batch: u32,
    pub(crate) row: u32,
}

impl At {
    /// No row: all its cells are null.
    pub(crate) const NOWHERE: At = At { batch: u32::MAX, row: 0 };
}

/// A column in one batch.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// The batch does not have the column: null.
    Missing,
    /// Values of one width, next to each other.
    Fixed(usize, Buffer, Option<NullBuffer>),
    /// The same, where different bytes can be equal values.
    Float(usize, Buffer, Option<NullBuffer>),
    Bool(BooleanBuffer, Option<NullBuffer>),
    Text(ScalarBuffer<i32>, Buffer, Option<NullBuffer>),
    LargeText(ScalarBuffer<i64>, Buffer, Option<NullBuffer>),
    View(BinaryViewArray),
}

/// A column over the batches of all sources, in one type.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    /// How many bytes a value has; `None`: that differs.
    pub(crate) width: Option<usize>,
    pub(crate) pieces: Vec<Piece>,
}

impl Piece {
    /// A column whose type is the column's, or another encoding of the same bytes; `None`: neither.
    pub(crate) fn of(array: &ArrayRef) -> Option<Piece> {
        let nulls = array.nulls().cloned();
        Some(match array.data_type() {
            DataType::Null => Piece::Missing,
            DataType::Boolean => Piece::Bool(array.as_boolean().values().clone(), nulls),
            DataType::Utf8 => {
                let array = array.as_string::<i32>();
                Piece::Text(array.offsets().inner().clone(), array.values().clone(), nulls)
            }
            DataType::LargeUtf8 => {
                let array = array.as_string::<i64>();
                Piece::LargeText(array.offsets().inner().clone(), array.values().clone(), nulls)
            }
            DataType::Binary => {
                let array = array.as_binary::<i32>();
                Piece::Text(array.offsets().inner().clone(), array.values().clone(), nulls)
            }
            DataType::LargeBinary => {
                let array = array.as_binary::<i64>();
                Piece::LargeText(array.offsets().inner().clone(), array.values().clone(), nulls)
            }
            DataType::Utf8View => Piece::View(array.as_string_view().clone().to_binary_view()),
            DataType::BinaryView => Piece::View(array.as_binary_view().clone()),
            DataType::FixedSizeBinary(width) => fixed(array, usize::try_from(*width).ok()?, nulls)?,
            float if float.is_floating() => match fixed(array, float.primitive_width()?, nulls)? {
                Piece::Fixed(width, bytes, nulls) => Piece::Float(width, bytes, nulls),
                other => other,
            },
            other => fixed(array, other.primitive_width()?, nulls)?,
        })
    }

    pub(crate) fn may_have_nulls(&self) -> bool {
        match self {
            Piece::Missing => true,
            Piece::Fixed(.., nulls) | Piece::Float(.., nulls) | Piece::Bool(_, nulls) => nulls.is_some(),
            Piece::Text(.., nulls) | Piece::LargeText(.., nulls) => nulls.is_some(),
            Piece::View(array) => array.nulls().is_some(),
        }
    }

    /// Where a value begins and ends, and in what bytes; `None`: null.
    #[inline(always)]
    pub(crate) fn bytes(&self, row: usize) -> Option<(&[u8], usize, usize)> {
        let valid = |nulls: &Option<NullBuffer>| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        match self {
            Piece::Fixed(width, bytes, nulls) => valid(nulls).then(|| (&**bytes, row * width, (row + 1) * width)),
            Piece::Text(offsets, bytes, nulls) => {
                valid(nulls).then(|| (&**bytes, offsets[row] as usize, offsets[row + 1] as usize))
            }
            Piece::LargeText(offsets, bytes, nulls) => {
                valid(nulls).then(|| (&**bytes, offsets[row] as usize, offsets[row + 1] as usize))
            }
            piece => piece.value(row).map(|value| (value, 0, value.len())),
        }
    }

    /// The value as bytes, in one spelling; `None`: null.
    #[inline]
    pub(crate) fn value(&self, row: usize) -> Option<&[u8]> {
        let null = |nulls: &Option<NullBuffer>| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        match self {
            Piece::Missing => None,
            Piece::Fixed(width, bytes, nulls) => (!null(nulls)).then(|| &bytes[row * width..(row + 1) * width]),
            Piece::Float(width, bytes, nulls) => {
                (!null(nulls)).then(|| canonical(&bytes[row * width..(row + 1) * width]))
            }
            Piece::Bool(bits, nulls) => {
                (!null(nulls)).then(|| if bits.value(row) { [1].as_slice() } else { [0].as_slice() })
            }
            Piece::Text(offsets, bytes, nulls) => {
                (!null(nulls)).then(|| &bytes[offsets[row] as usize..offsets[row + 1] as usize])
            }
            Piece::LargeText(offsets, bytes, nulls) => {
                (!null(nulls)).then(|| &bytes[offsets[row] as usize..offsets[row + 1] as usize])
            }
            Piece::View(array) => (!array.is_null(row)).then(|| array.value(row)),
        }
    }
}

fn fixed(array: &ArrayRef, width: usize, nulls: Option<NullBuffer>) -> Option<Piece> {
    let data = array.to_data();
    let bytes = data.buffers().first()?.slice_with_length(data.offset() * width, data.len() * width);
    Some(Piece::Fixed(width, bytes, nulls))
}

/// Every NaN is one NaN, and -0.0 is 0.0.
fn canonical(bytes: &[u8]) -> &[u8] {
    match bytes.len() {
        2 => canonical_16(bytes),
        4 => canonical_32(bytes),
        _ => canonical_64(bytes),
    }
}

mod half_bits {
    macro_rules! canonical {
        ($name:ident, $word:ty, $infinity:expr, $nan:expr) => {
            pub(super) fn $name(bytes: &[u8]) -> &[u8] {
                const NAN: [u8; size_of::<$word>()] = <$word>::to_le_bytes($nan);
                const ZERO: [u8; size_of::<$word>()] = [0; size_of::<$word>()];
                let magnitude = bytes.try_into().map_or(0, <$word>::from_le_bytes) & (<$word>::MAX >> 1);
                match magnitude {
                    0 => &ZERO,
                    nan if nan > $infinity => &NAN,
                    _ => bytes,
                }
            }
        };
    }
    canonical!(canonical_16, u16, 0x7c00, 0x7e00);
    canonical!(canonical_32, u32, 0x7f80_0000, 0x7fc0_0000);
    canonical!(canonical_64, u64, 0x7ff0_0000_0000_0000, 0x7ff8_0000_0000_0000);
}

impl Column {
    pub(crate) fn new(name: &str, data_type: DataType, pieces: Vec<Piece>) -> Self {
        let width = match &data_type {
            DataType::Boolean => Some(1),
            DataType::FixedSizeBinary(width) => usize::try_from(*width).ok(),
            other => other.primitive_width(),
        };
        Column { name: name.to_owned(), data_type, width, pieces }
    }

    /// The column in a batch.
    pub(crate) fn piece(&self, batch: u32) -> &Piece {
        self.pieces.get(batch as usize).unwrap_or(&Piece::Missing)
    }

    #[inline]
    pub(crate) fn value(&self, at: At) -> Option<&[u8]> {
        self.pieces.get(at.batch as usize).and_then(|piece| piece.value(at.row as usize))
    }

    pub(crate) fn is_null(&self, at: At) -> bool {
        self.value(at).is_none()
    }

    pub(crate) fn equal(&self, a: At, b: At) -> bool {
        a == b || self.value(a) == self.value(b)
    }

    /// The order of two values; null is before all others.
    pub(crate) fn compare(&self, a: At, b: At) -> Ordering {
        match (self.value(a), self.value(b)) {
            (Some(a), Some(b)) => order(&self.data_type, a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }

    /// An instant in microseconds; `Err`: out of range. Null is 0.
    pub(crate) fn micros(&self, at: At) -> Result<i64, ()> {
        let Some(value) = self.value(at) else { return Ok(0) };
        let count = signed(value) as i64;
        match &self.data_type {
            DataType::Date32 => count.checked_mul(86_400_000_000),
            DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => count.checked_mul(1_000),
            DataType::Timestamp(TimeUnit::Second, _) => count.checked_mul(1_000_000),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(count.div_euclid(1_000)),
            _ => Some(count),
        }
        .ok_or(())
    }
}

/// Little-endian two's complement of any width up to 16 bytes.
pub(crate) fn signed(value: &[u8]) -> i128 {
    let fill = if value.last().is_some_and(|byte| *byte >= 0x80) { 0xff } else { 0 };
    let mut wide = [fill; 16];
    wide.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
    i128::from_le_bytes(wide)
}

fn order(data_type: &DataType, a: &[u8], b: &[u8]) -> Ordering {
    let float = |bytes: &[u8]| {
        // The order of IEEE 754's totalOrder: flip all bits of a negative number but the sign.
        let bits = signed(bytes) as i64;
        if bits < 0 { bits ^ i64::MAX } else { bits }
    };
    match data_type {
        DataType::Decimal256(..) => {
            let wide = |bytes: &[u8]| bytes.try_into().map_or(i256::ZERO, i256::from_le_bytes);
            wide(a).cmp(&wide(b))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => a.cmp(b),
        DataType::FixedSizeBinary(_) | DataType::Boolean => a.cmp(b),
        unsigned if unsigned.is_unsigned_integer() => a.iter().rev().cmp(b.iter().rev()),
        other if other.is_floating() => float(a).cmp(&float(b)),
        _ => signed(a).cmp(&signed(b)),
    }
}
