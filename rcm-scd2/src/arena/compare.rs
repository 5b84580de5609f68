//! Rows of batches against rows of the arena: group by group, column by column, many at a time.

use std::ops::BitXor;

use arrow::buffer::NullBuffer;

use super::{Arena, Group, NEAR, NUMBER, UNIT, length, number};
use crate::cells::Piece;
use crate::hash::KEEP;

/// Where a row is needed for every so many bytes, all of them come faster from front to back than the few one by one.
const DENSE: usize = 128;

/// A row of a batch, and a row that has its key or may have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) row: u32,
    /// Known after [`Arena::fetch`].
    pub(crate) rep: u32,
    /// Where the next group of the latter begins, and where its last one did.
    cursor: usize,
    nulls: usize,
    /// Where the text of the row is, in the column that is compared.
    text: (usize, usize),
    /// Whether both were equal in the last group that was compared.
    pub(crate) equal: bool,
}

impl Pair {
    /// `begin`: of the row of the arena, in units.
    pub(crate) fn new(row: u32, begin: u32) -> Self {
        let cursor = begin as usize * UNIT;
        Pair { row, rep: 0, cursor, nulls: cursor, text: (0, 0), equal: true }
    }
}

impl Arena<'_> {
    /// Brings rows near before they are compared: all misses at once.
    pub(crate) fn fetch(&self, pairs: &mut [Pair]) {
        let bytes = &*self.bytes;
        let last = bytes.len().saturating_sub(1);
        let touch = |all: u8, pair: &Pair| {
            let lines = (0..self.usual).step_by(64).chain([self.usual]);
            lines.fold(all, |all, at| all ^ bytes[(pair.cursor + at).min(last)])
        };
        std::hint::black_box(pairs.iter().fold(0, touch));
        for pair in pairs {
            pair.rep = number(bytes, pair.cursor);
            pair.cursor += NUMBER;
        }
    }

    /// Compares a group of rows, where their cursors are, with the cells of rows of a batch; cursors move to its end.
    /// Column by column: so a column is read from front to back, and the misses of many rows overlap.
    pub(crate) fn compare(&self, group: &Group, pairs: &mut [Pair]) {
        for pair in &mut *pairs {
            pair.nulls = pair.cursor;
            pair.cursor += group.nulls();
            pair.equal = true;
        }
        for (number, (piece, width)) in group.0.iter().enumerate() {
            match (piece, width) {
                (Piece::Fixed(4, values, nulls), _) => self.fixed::<4>(number, pairs, values, nulls.as_ref()),
                (Piece::Fixed(8, values, nulls), _) => self.fixed::<8>(number, pairs, values, nulls.as_ref()),
                (Piece::Fixed(16, values, nulls), _) => self.fixed::<16>(number, pairs, values, nulls.as_ref()),
                (Piece::Text(offsets, values, nulls), _) => self.texts(number, pairs, offsets, values, nulls.as_ref()),
                (piece, Some(width)) => self.column(number, pairs, Some(*width), |row| piece.value(row)),
                (piece, None) => self.column(number, pairs, None, |row| piece.value(row)),
            }
        }
    }

    #[inline(always)]
    fn column<'v>(
        &self,
        number: usize,
        pairs: &mut [Pair],
        width: Option<usize>,
        value: impl Fn(usize) -> Option<&'v [u8]>,
    ) {
        let bytes = &*self.bytes;
        for pair in pairs {
            let value = value(pair.row as usize);
            if bytes[pair.nulls + number / 8] >> (number % 8) & 1 == 1 {
                pair.equal &= value.is_none();
                continue;
            }
            let (len, start) = match width {
                Some(width) => (width, pair.cursor),
                None => length(bytes, pair.cursor),
            };
            pair.cursor = start + len;
            pair.equal &= value.is_some_and(|value| *value == bytes[start..start + len]);
        }
    }

    #[inline(never)]
    fn fixed<const N: usize>(&self, number: usize, pairs: &mut [Pair], values: &[u8], nulls: Option<&NullBuffer>) {
        let bytes = &*self.bytes;
        if let [first, .., last] = &*pairs {
            stream(values.get(N * first.row as usize..N * last.row as usize).unwrap_or_default(), pairs.len());
        }
        for pair in pairs {
            let null = nulls.is_some_and(|nulls| nulls.is_null(pair.row as usize));
            if bytes[pair.nulls + number / 8] >> (number % 8) & 1 == 1 {
                pair.equal &= null;
                continue;
            }
            let value = values[N * pair.row as usize..].first_chunk::<N>();
            pair.equal &= !null && value == bytes[pair.cursor..].first_chunk();
            pair.cursor += N;
        }
    }

    #[inline(never)]
    fn texts(&self, number: usize, pairs: &mut [Pair], offsets: &[i32], values: &[u8], nulls: Option<&NullBuffer>) {
        let (Some(first), Some(last)) = (pairs.first(), pairs.last()) else { return };
        let rows = first.row as usize..last.row as usize + 2;
        stream(offsets.get(rows).unwrap_or_default(), pairs.len());
        // One step for all, then the next: so the misses of a step overlap.
        for pair in &mut *pairs {
            pair.text = (offsets[pair.row as usize] as usize, offsets[pair.row as usize + 1] as usize);
        }
        let range = pairs[0].text.0..pairs[pairs.len() - 1].text.1;
        if !stream(values.get(range).unwrap_or_default(), pairs.len()) {
            let near = |all, at: usize| all ^ values.get(at).copied().unwrap_or_default();
            std::hint::black_box(pairs.iter().fold(0, |all, pair| near(near(all, pair.text.0), pair.text.1)));
        }
        let bytes = &*self.bytes;
        for pair in pairs {
            let null = nulls.is_some_and(|nulls| nulls.is_null(pair.row as usize));
            if bytes[pair.nulls + number / 8] >> (number % 8) & 1 == 1 {
                pair.equal &= null;
                continue;
            }
            let (start, end) = pair.text;
            let (len, at) = length(bytes, pair.cursor);
            pair.equal &= !null && len == end - start && same_text(values, start, bytes, at, len);
            pair.cursor = at + len;
        }
    }
}

/// Brings cells near, if enough of them are needed; says whether.
fn stream<T: Copy + Default + BitXor<Output = T>>(cells: &[T], needed: usize) -> bool {
    let dense = size_of_val(cells) <= DENSE * needed;
    if dense {
        let lines = cells.iter().step_by(64 / size_of::<T>());
        std::hint::black_box(lines.fold(T::default(), |all, cell| all ^ *cell));
    }
    dense
}

/// Whether two buffers have the same bytes, without a branch on how many, as long as there are few.
#[inline(always)]
fn same_text(a: &[u8], from: usize, b: &[u8], at: usize, len: usize) -> bool {
    let near = |bytes: &[u8], at: usize| {
        let near = bytes.get(at..).and_then(<[u8]>::first_chunk::<NEAR>)?;
        let (low, high) = (near.first_chunk::<8>()?, near.last_chunk::<8>()?);
        Some((u64::from_le_bytes(*low), u64::from_le_bytes(*high)))
    };
    match (near(a, from), near(b, at)) {
        (Some(a), Some(b)) if len <= NEAR => (a.0 ^ b.0) & KEEP[len] | (a.1 ^ b.1) & KEEP[len.saturating_sub(8)] == 0,
        _ => a[from..from + len] == b[at..at + len],
    }
}
