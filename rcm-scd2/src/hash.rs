//! Fast hashes: multiply two words to 128 bits and fold the halves together.
//!
//! Equal values have equal hashes in whatever width, unit, scale or encoding they come. Hashes of keys live as long as a
//! merge; digests of rows are stored in the ledger, so what they do must not change unless [`DIGEST_VERSION`] does.

use arrow::array::ArrowPrimitiveType;
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Float16Type, TimeUnit, i256};

use crate::cells::{Column, Piece, signed};

/// Part of every digest in the ledger.
pub(crate) const DIGEST_VERSION: u64 = 1;

const A: u64 = 0x9e37_79b9_7f4a_7c15;
const B: u64 = 0xbf58_476d_1ce4_e5b9;
const C: u64 = 0x94d0_49bb_1331_11eb;
const NULL: u64 = 0x2545_f491_4f6c_dd1d;

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// One word.
#[inline]
pub(crate) fn word(seed: u64, value: u64) -> u64 {
    fold(value ^ A, seed ^ B)
}

/// A value of any length: that of up to 16 bytes as two words, filled up with zeros.
#[inline(always)]
pub(crate) fn bytes(seed: u64, value: &[u8]) -> u64 {
    let n = value.len();
    let high = |last: u64| last.checked_shr(8 * (16 - n as u32)).unwrap_or(0);
    let half = |chunk: &[u8; 4]| u64::from(u32::from_le_bytes(*chunk));
    match (value.first_chunk::<8>(), value.last_chunk::<8>()) {
        _ if n > 16 => long(sized(seed, n), value),
        (Some(low), Some(last)) => words(sized(seed, n), u64::from_le_bytes(*low), high(u64::from_le_bytes(*last))),
        _ => match (value.first_chunk::<4>(), value.last_chunk::<4>()) {
            (Some(low), Some(last)) => words(sized(seed, n), half(low) | half(last) << (8 * (n - 4)), 0),
            _ => words(sized(seed, n), value.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
        },
    }
}

/// The same for bytes of a buffer, without a branch on how many there are, as long as there are few.
#[inline(always)]
fn within(seed: u64, buffer: &[u8], start: usize, end: usize) -> u64 {
    let n = end - start;
    match buffer.get(start..).and_then(<[u8]>::first_chunk::<16>) {
        Some(chunk) if n <= 16 => {
            let (low, high) = (u128::from_le_bytes(*chunk) as u64, (u128::from_le_bytes(*chunk) >> 64) as u64);
            words(sized(seed, n), low & KEEP[n], high & KEEP[n.saturating_sub(8)])
        }
        _ => bytes(seed, &buffer[start..end]),
    }
}

/// The mask of the first bytes of a word, by their number.
pub(crate) const KEEP: [u64; 17] = {
    let mut masks = [u64::MAX; 17];
    let mut n = 0;
    while n < 8 {
        masks[n] = (1 << (8 * n)) - 1;
        n += 1;
    }
    masks
};

#[inline(always)]
fn sized(seed: u64, len: usize) -> u64 {
    seed ^ (len as u64).wrapping_mul(C)
}

#[inline(always)]
fn words(seed: u64, low: u64, high: u64) -> u64 {
    fold(low ^ A ^ seed, high ^ B ^ seed.rotate_left(32))
}

fn long(mut seed: u64, mut rest: &[u8]) -> u64 {
    while let Some((head, tail)) = rest.split_first_chunk::<16>().filter(|_| rest.len() > 16) {
        let (low, high) = (u128::from_le_bytes(*head) as u64, (u128::from_le_bytes(*head) >> 64) as u64);
        seed = words(seed, low, high);
        rest = tail;
    }
    match (rest.first_chunk::<8>(), rest.last_chunk::<8>()) {
        (Some(low), Some(high)) => words(seed, u64::from_le_bytes(*low), u64::from_le_bytes(*high)),
        _ => words(seed, rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
    }
}

/// Of hashes of keys.
pub(crate) const SEED: u64 = 0x5cd2;

/// The hashes of the keys of rows, from row `first` of a batch on.
pub(crate) fn keys(keys: &[Column], batch: u32, first: usize, hashes: &mut [u64]) {
    hashes.fill(SEED);
    keys.iter().for_each(|key| column(key, batch, first, hashes));
}

/// Folds the cells of a column, from row `first` of a batch on, into the hashes of their rows.
pub(crate) fn column(column: &Column, batch: u32, first: usize, hashes: &mut [u64]) {
    let piece = column.pieces.get(batch as usize).unwrap_or(&Piece::Missing);
    match piece {
        Piece::Missing => hashes.iter_mut().for_each(|hash| *hash = word(*hash, NULL)),
        Piece::Text(offsets, values, None) => {
            let (ends, values) = (offsets[first..].windows(2), values.as_slice());
            hashes
                .iter_mut()
                .zip(ends)
                .for_each(|(hash, ends)| *hash = within(*hash, values, ends[0] as usize, ends[1] as usize));
        }
        Piece::Text(offsets, values, nulls) => each(first, nulls, hashes, |hash, row| {
            within(hash, values, offsets[row] as usize, offsets[row + 1] as usize)
        }),
        Piece::LargeText(offsets, values, nulls) => each(first, nulls, hashes, |hash, row| {
            bytes(hash, &values[offsets[row] as usize..offsets[row + 1] as usize])
        }),
        Piece::Fixed(8, values, nulls) if column.data_type.is_integer() => {
            let values = values.typed_data::<u64>();
            each(first, nulls, hashes, |hash, row| word(hash, values[row]));
        }
        Piece::Fixed(4, values, nulls) if column.data_type == DataType::Date32 => {
            each(first, nulls, hashes, |hash, row| chunk::<4>(values, row).map_or(hash, |cell| bytes(hash, cell)));
        }
        Piece::Fixed(16, values, nulls) if let DataType::Decimal128(_, scale) = column.data_type => {
            let digits = |row: usize| chunk(values, row).map_or(0, |cell| i128::from_le_bytes(*cell));
            each(first, nulls, hashes, |hash, row| decimal(hash, digits(row), scale));
        }
        _ => {
            for (at, hash) in hashes.iter_mut().enumerate() {
                *hash = piece
                    .value(first + at)
                    .map_or_else(|| word(*hash, NULL), |cell| one(&column.data_type, *hash, cell));
            }
        }
    }
}

#[inline(always)]
fn each(first: usize, nulls: &Option<NullBuffer>, hashes: &mut [u64], hash_of: impl Fn(u64, usize) -> u64) {
    match nulls {
        None => hashes.iter_mut().enumerate().for_each(|(at, hash)| *hash = hash_of(*hash, first + at)),
        Some(nulls) => {
            for (at, hash) in hashes.iter_mut().enumerate() {
                *hash = if nulls.is_null(first + at) { word(*hash, NULL) } else { hash_of(*hash, first + at) };
            }
        }
    }
}

/// A whole number is the same as an integer and as a float.
fn float(seed: u64, value: f64) -> u64 {
    let whole = value as i64;
    match whole as f64 == value && value.abs() < 9e15 {
        true => word(seed, whole as u64),
        false if value.is_nan() => word(seed, f64::NAN.to_bits()),
        false => word(seed, value.to_bits()),
    }
}

fn chunk<const N: usize>(values: &[u8], row: usize) -> Option<&[u8; N]> {
    values[N * row..].first_chunk()
}

fn wide(seed: u64, value: i128) -> u64 {
    word(word(seed, value as u64), (value >> 64) as u64)
}

/// 1.50 is 1.5: digits without trailing zeros, and how many of them are behind the point.
#[inline]
fn decimal(seed: u64, mut digits: i128, scale: i8) -> u64 {
    let mut scale = i64::from(scale);
    if let Ok(mut short) = i64::try_from(digits) {
        // 128-bit division is slow.
        while short % 10 == 0 && short != 0 {
            (short, scale) = (short / 10, scale - 1);
        }
        digits = short.into();
    } else {
        while digits % 10 == 0 {
            (digits, scale) = (digits / 10, scale - 1);
        }
    }
    word(wide(seed, digits), if digits == 0 { 0 } else { scale as u64 })
}

/// A cell that is not null.
fn one(data_type: &DataType, seed: u64, cell: &[u8]) -> u64 {
    match data_type {
        unsigned if unsigned.is_unsigned_integer() => {
            word(seed, cell.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
        }
        integer if integer.is_integer() => word(seed, signed(cell) as u64),
        DataType::Float16 => {
            type Half = <Float16Type as ArrowPrimitiveType>::Native;
            float(seed, cell.try_into().map_or(0.0, |bytes| Half::from_le_bytes(bytes).to_f64()))
        }
        DataType::Float32 => float(seed, cell.try_into().map_or(0.0, f32::from_le_bytes).into()),
        DataType::Float64 => float(seed, cell.try_into().map_or(0.0, f64::from_le_bytes)),
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
            decimal(seed, signed(cell), *scale)
        }
        DataType::Decimal256(..) => bytes(seed, &cell.try_into().map_or(i256::ZERO, i256::from_le_bytes).to_le_bytes()),
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) | DataType::Duration(unit) => {
            let nanos = match unit {
                TimeUnit::Second => 1_000_000_000,
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1_000,
                TimeUnit::Nanosecond => 1,
            };
            wide(seed, signed(cell) * nanos)
        }
        _ => bytes(seed, cell),
    }
}

#[cfg(test)]
mod tests;
