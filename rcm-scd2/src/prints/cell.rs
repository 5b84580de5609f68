//! What a cell adds to the sum of its row, and what is left of the sum.
//!
//! It is NH (Black et al., UMAC: Fast and Secure Message Authentication, 1999) with words of 64 bits: the sum, modulo 2^128,
//! of `(a + k) * (b + l)` over the pairs of words of all cells, each pair with keys `k` and `l` of its own, where the sums
//! in brackets are modulo 2^64. A cell is its bytes, sixteen to a pair, then a pair with those that are left, whose last
//! byte says how many they are. Of the two words of the sum, each times a key of 128 bits, the upper 64 bits are left
//! (Lemire and Kaser, Strongly universal string hashing is fast, 2014: multilinear). Of a cell each whole 256 bytes are
//! hashed so first, all with the same keys, and what that gives is one word of the cell in their place, with keys of its
//! own: so there are as many keys as a cell needs. Keys come from a SipHash whose own key is drawn at random.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use arrow::buffer::NullBuffer;

use super::Rows;
use crate::hash::KEEP;

/// Bytes of a pair of words.
pub(super) const PAIR: usize = 16;
/// Pairs that have keys of their own, and their bytes: of longer cells each so many are hashed by themselves first.
const PAIRS: usize = 16;
pub(super) const CHUNK: usize = PAIRS * PAIR;

/// The keys of a column.
pub(super) struct Keys {
    pub(super) pairs: [(u64, u64); PAIRS],
    pub(super) null: u128,
    /// Of the sums of chunks.
    pub(super) chunk: [u128; 2],
    /// From which those of each chunk come, with the number of the column.
    random: RandomState,
    number: usize,
}

impl Keys {
    /// Those of a column, from words that nobody else gets.
    pub(super) fn draw(random: &RandomState, number: usize, mut word: impl FnMut() -> u64) -> Self {
        let chunk = [(); 2].map(|()| wide(word(), word()));
        let pairs = [(); PAIRS].map(|()| (word(), word()));
        Keys { pairs, null: wide(word(), word()), chunk, random: random.clone(), number }
    }

    #[inline(always)]
    fn pair(&self, number: usize, pair: u128) -> u128 {
        self.times(self.pairs[number], pair)
    }

    #[inline(always)]
    fn times(&self, (k, l): (u64, u64), pair: u128) -> u128 {
        let [a, b] = [pair as u64, (pair >> 64) as u64];
        u128::from(a.wrapping_add(k)).wrapping_mul(u128::from(b.wrapping_add(l)))
    }

    pub(super) fn of_chunk(&self, chunk: usize) -> (u64, u64) {
        (self.random.hash_one((self.number, chunk, 0)), self.random.hash_one((self.number, chunk, 1)))
    }

    /// What a value adds: without a branch on how long it is, as long as that is less than a pair.
    #[inline(always)]
    pub(super) fn cell(&self, values: &[u8], start: usize, end: usize) -> u128 {
        let len = end - start;
        match values.get(start..).and_then(<[u8]>::first_chunk::<PAIR>) {
            Some(near) if len < PAIR => {
                let near = u128::from_le_bytes(*near);
                let (low, high) = (near as u64 & KEEP[len], (near >> 64) as u64 & KEEP[len.saturating_sub(8)]);
                self.pair(0, wide(low, high | (len as u64) << 56))
            }
            _ => self.pairs_of(&values[start..end]),
        }
    }

    #[inline]
    fn pairs_of(&self, value: &[u8]) -> u128 {
        let (chunks, rest) = value.as_chunks::<CHUNK>();
        let (whole, rest) = rest.as_chunks::<PAIR>();
        let left = match value.last_chunk::<PAIR>() {
            Some(last) => u128::from_le_bytes(*last).checked_shr(8 * (PAIR - rest.len()) as u32).unwrap_or(0),
            None => rest.iter().rev().fold(0, |word, byte| word << 8 | u128::from(*byte)),
        };
        let left = self.pair(whole.len(), left | (rest.len() as u128) << 120);
        let chunk = |(number, chunk): (usize, &[u8; CHUNK])| {
            let word = word_of(self.sum(chunk.as_chunks().0), self.chunk);
            self.times(self.of_chunk(number), word.into())
        };
        chunks.iter().enumerate().map(chunk).fold(left.wrapping_add(self.sum(whole)), u128::wrapping_add)
    }

    #[inline(always)]
    fn sum(&self, pairs: &[[u8; PAIR]]) -> u128 {
        let pair = |(number, pair): (usize, &[u8; PAIR])| self.pair(number, u128::from_le_bytes(*pair));
        pairs.iter().enumerate().map(pair).fold(0, u128::wrapping_add)
    }

    #[inline(never)]
    pub(super) fn fixed<const N: usize>(
        &self,
        values: &[u8],
        nulls: Option<&NullBuffer>,
        rows: impl Rows,
        sums: &mut [u128],
    ) {
        let values = values.as_chunks::<N>().0;
        for (row, sum) in rows.zip(sums) {
            let null = nulls.is_some_and(|nulls| nulls.is_null(row));
            let cell = if null { self.null } else { self.cell(&values[row], 0, N) };
            *sum = sum.wrapping_add(cell);
        }
    }

    #[inline(never)]
    pub(super) fn texts(
        &self,
        offsets: &[i32],
        values: &[u8],
        nulls: Option<&NullBuffer>,
        rows: impl Rows,
        sums: &mut [u128],
    ) {
        for (row, sum) in rows.zip(sums) {
            let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
            let null = nulls.is_some_and(|nulls| nulls.is_null(row));
            let cell = if null { self.null } else { self.cell(values, start, end) };
            *sum = sum.wrapping_add(cell);
        }
    }
}

/// The upper half of the sum of both words, each times its key.
#[inline(always)]
pub(super) fn word_of(sum: u128, [low, high]: [u128; 2]) -> u64 {
    let [a, b] = [sum & u128::from(u64::MAX), sum >> 64];
    (a.wrapping_mul(low).wrapping_add(b.wrapping_mul(high)) >> 64) as u64
}

pub(super) fn wide(low: u64, high: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}
