//! Fingerprints: 64 bits that stand for some cells of a row, so that two rows are compared without a look at one of them.
//!
//! Equal cells have equal fingerprints. Those of cells that differ are equal with a probability of at most 2^-61,
//! whatever the cells are: the keys of the hash are drawn anew for each index, and nothing that is returned depends on
//! them. It is NH (Black et al., UMAC: Fast and Secure Message Authentication, 1999) with words of 64 bits: the sum, modulo
//! 2^128, of `(a + k) * (b + l)` over the pairs of words of all cells, each pair with keys `k` and `l` of its own, where
//! the sums in brackets are modulo 2^64. A cell is its bytes, sixteen to a pair, then a pair with those that are left,
//! whose last byte says how many they are. Of the two words of the sum, each times a key of 128 bits, the upper 64 bits
//! are left (Lemire and Kaser, Strongly universal string hashing is fast, 2014: multilinear). Of a cell each whole 256
//! bytes are hashed so first, all with the same keys, and what that gives is one word of the cell in their place, with
//! keys of its own: so there are as many keys as a cell needs. Keys come from a SipHash whose own key is drawn at random.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;

use arrow::buffer::NullBuffer;
use rayon::prelude::*;

use crate::cells::{Column, Piece};
use crate::hash::{self, KEEP};
use crate::index::BLOCK;
use crate::memory::Memory;
use crate::near::{fetch, fetch_all};
use crate::space::Section;

/// Bytes of a fingerprint, and of a pair of words.
const PRINT: usize = 8;
const PAIR: usize = 16;
/// Pairs that have keys of their own, and their bytes: of longer cells each so many are hashed by themselves first.
const PAIRS: usize = 16;
const CHUNK: usize = PAIRS * PAIR;
/// Of hashes.
pub(crate) const SEED: u64 = 0x5cd2;
/// Rows that one task takes.
const RUN: usize = 16 * BLOCK;

/// Groups of columns, each column with its keys, and the keys of sums.
pub(crate) struct Keyed<'a> {
    groups: Vec<Vec<(&'a Column, Keys)>>,
    last: [u128; 2],
}

/// The same in one batch.
pub(crate) struct Pieces<'a> {
    groups: Vec<Vec<(&'a Piece, &'a Keys)>>,
    last: [u128; 2],
    /// Room for a block.
    sums: Box<[u128; BLOCK]>,
}

/// The fingerprints of rows: those of a row's groups next to each other.
pub(crate) struct Prints {
    prints: Memory,
    groups: usize,
}

/// The keys of a column.
struct Keys {
    pairs: [(u64, u64); PAIRS],
    null: u128,
    /// Of the sums of chunks.
    chunk: [u128; 2],
    /// From which those of each chunk come, with the number of the column.
    random: RandomState,
    number: usize,
}

impl<'a> Keyed<'a> {
    pub(crate) fn draw(groups: impl IntoIterator<Item = &'a [Column]>) -> Self {
        let random = RandomState::new();
        let mut words = (0_u64..).map(|number| random.hash_one(number));
        let mut word = || words.next().unwrap_or_default();
        let last = [(); 2].map(|()| wide(word(), word()));
        let mut number = 0;
        let mut keys = || {
            number += 1;
            let chunk = [(); 2].map(|()| wide(word(), word()));
            let pairs = [(); PAIRS].map(|()| (word(), word()));
            Keys { pairs, null: wide(word(), word()), chunk, random: random.clone(), number }
        };
        let mut group = |group: &'a [Column]| group.iter().map(|column| (column, keys())).collect();
        Keyed { groups: groups.into_iter().map(&mut group).collect(), last }
    }

    /// Hashes of the first group of rows of a batch.
    pub(crate) fn hash(&self, batch: u32, first: usize, hashes: &mut [u64]) {
        hashes.fill(SEED);
        self.groups[0].iter().for_each(|(column, _)| hash::column(column, batch, first, hashes));
    }

    pub(crate) fn on(&self, batch: u32) -> Pieces<'_> {
        let groups =
            self.groups.iter().map(|group| group.iter().map(|(column, keys)| (column.piece(batch), keys)).collect());
        Pieces { groups: groups.collect(), last: self.last, sums: Box::new([0; BLOCK]) }
    }
}

impl Prints {
    /// Also a hash of each row's first group, for tables: it has the same keys always, and nothing to do with fingerprints.
    pub(crate) fn of(keyed: &Keyed, sections: &[&Section]) -> (Self, Vec<u64>) {
        let groups = keyed.groups.len();
        let rows: usize = sections.iter().map(|section| section.rows()).sum();
        let mut prints = Memory::zeros(rows * groups * PRINT);
        let mut hashes = vec![0; rows];
        let (mut rest, mut rest_of_hashes) = (prints.as_chunks_mut::<PRINT>().0, &mut *hashes);
        let mut tasks = Vec::new();
        for (batch, _, rows) in sections.iter().flat_map(|section| section.pieces(RUN)) {
            let (mine, others) = rest.split_at_mut(rows.len() * groups);
            let (hashes, other_hashes) = rest_of_hashes.split_at_mut(rows.len());
            (rest, rest_of_hashes) = (others, other_hashes);
            tasks.push((batch, rows, mine, hashes));
        }
        tasks.into_par_iter().with_max_len(1).for_each(|(batch, rows, room, hashes)| {
            let (mut pieces, mut prints) = (keyed.on(batch), [0; BLOCK]);
            let blocks = room.chunks_mut(BLOCK * groups).zip(hashes.chunks_mut(BLOCK));
            for (first, (room, hashes)) in rows.clone().step_by(BLOCK).zip(blocks) {
                let rows: Range<usize> = first..rows.end.min(first + BLOCK);
                keyed.hash(batch, first, hashes);
                for group in 0..groups {
                    let prints = &mut prints[..rows.len()];
                    pieces.set(group, rows.clone(), prints);
                    let places = room.iter_mut().skip(group).step_by(groups);
                    places.zip(prints).for_each(|(place, print)| *place = print.to_le_bytes());
                }
            }
        });
        (Prints { prints, groups }, hashes)
    }

    /// Asks for those of a row.
    #[inline]
    pub(crate) fn fetch(&self, row: u32) {
        fetch(&self.prints.as_chunks::<PRINT>().0[row as usize * self.groups]);
    }

    #[inline]
    pub(crate) fn get(&self, row: u32, group: usize) -> u64 {
        u64::from_le_bytes(self.prints.as_chunks().0[row as usize * self.groups + group])
    }
}

impl Pieces<'_> {
    pub(crate) fn has(&self, group: usize) -> bool {
        self.groups.len() > group
    }

    /// Asks for the cells of rows, which are in their order, in all groups but the first. Where texts lie has to be read
    /// before they can be asked for: [`Pieces::fetch_texts`] does that.
    pub(crate) fn fetch(&self, rows: impl Rows) {
        let (Some(first), Some(last)) = (rows.clone().next(), rows.clone().next_back()) else { return };
        for (piece, _) in self.groups.iter().skip(1).flatten() {
            match piece {
                Piece::Fixed(4, values, _) => fetch_cells::<4>(values, first, last, rows.clone()),
                Piece::Fixed(8, values, _) => fetch_cells::<8>(values, first, last, rows.clone()),
                Piece::Fixed(16, values, _) => fetch_cells::<16>(values, first, last, rows.clone()),
                Piece::Text(offsets, ..) => {
                    fetch_all(&offsets[first..last + 2], rows.len(), rows.clone().map(|row| &offsets[row]))
                }
                _ => {}
            }
        }
    }

    pub(crate) fn fetch_texts(&self, rows: impl Rows) {
        let (Some(first), Some(last)) = (rows.clone().next(), rows.clone().next_back()) else { return };
        for (piece, _) in self.groups.iter().skip(1).flatten() {
            if let Piece::Text(offsets, values, _) = piece {
                let ends = |row: usize| [offsets[row] as usize, offsets[row + 1] as usize];
                let needed = rows.clone().flat_map(ends).filter_map(|at| values.get(at));
                fetch_all(&values[ends(first)[0]..ends(last)[1]], rows.len(), needed);
            }
        }
    }

    /// The fingerprints of rows, column by column.
    pub(crate) fn set(&mut self, group: usize, rows: impl Rows, prints: &mut [u64]) {
        let Pieces { groups, last, sums } = self;
        let sums = &mut sums[..prints.len()];
        sums.fill(0);
        for (piece, keys) in &groups[group] {
            match piece {
                Piece::Fixed(4, values, nulls) => keys.fixed::<4>(values, nulls.as_ref(), rows.clone(), sums),
                Piece::Fixed(8, values, nulls) => keys.fixed::<8>(values, nulls.as_ref(), rows.clone(), sums),
                Piece::Fixed(16, values, nulls) => keys.fixed::<16>(values, nulls.as_ref(), rows.clone(), sums),
                Piece::Text(offsets, values, nulls) => keys.texts(offsets, values, nulls.as_ref(), rows.clone(), sums),
                piece => {
                    for (row, sum) in rows.clone().zip(&mut *sums) {
                        let cell = piece.bytes(row).map(|(values, start, end)| keys.cell(values, start, end));
                        *sum = sum.wrapping_add(cell.unwrap_or(keys.null));
                    }
                }
            }
        }
        for (print, sum) in prints.iter_mut().zip(sums) {
            *print = word_of(*sum, *last);
        }
    }
}

/// Rows of a batch.
pub(crate) trait Rows: Iterator<Item = usize> + DoubleEndedIterator + ExactSizeIterator + Clone {}
impl<R: Iterator<Item = usize> + DoubleEndedIterator + ExactSizeIterator + Clone> Rows for R {}

impl Keys {
    #[inline(always)]
    fn pair(&self, number: usize, pair: u128) -> u128 {
        self.times(self.pairs[number], pair)
    }

    #[inline(always)]
    fn times(&self, (k, l): (u64, u64), pair: u128) -> u128 {
        let [a, b] = [pair as u64, (pair >> 64) as u64];
        u128::from(a.wrapping_add(k)).wrapping_mul(u128::from(b.wrapping_add(l)))
    }

    fn of_chunk(&self, chunk: usize) -> (u64, u64) {
        (self.random.hash_one((self.number, chunk, 0)), self.random.hash_one((self.number, chunk, 1)))
    }

    /// What a value adds: without a branch on how long it is, as long as that is less than a pair.
    #[inline(always)]
    fn cell(&self, values: &[u8], start: usize, end: usize) -> u128 {
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
    fn fixed<const N: usize>(&self, values: &[u8], nulls: Option<&NullBuffer>, rows: impl Rows, sums: &mut [u128]) {
        let values = values.as_chunks::<N>().0;
        for (row, sum) in rows.zip(sums) {
            let null = nulls.is_some_and(|nulls| nulls.is_null(row));
            let cell = if null { self.null } else { self.cell(&values[row], 0, N) };
            *sum = sum.wrapping_add(cell);
        }
    }

    #[inline(never)]
    fn texts(&self, offsets: &[i32], values: &[u8], nulls: Option<&NullBuffer>, rows: impl Rows, sums: &mut [u128]) {
        for (row, sum) in rows.zip(sums) {
            let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
            let null = nulls.is_some_and(|nulls| nulls.is_null(row));
            let cell = if null { self.null } else { self.cell(values, start, end) };
            *sum = sum.wrapping_add(cell);
        }
    }
}

fn fetch_cells<const N: usize>(values: &[u8], first: usize, last: usize, rows: impl Rows) {
    let values = values.as_chunks::<N>().0;
    fetch_all(&values[first..=last], rows.len(), rows.map(|row| &values[row]));
}

/// The upper half of the sum of both words, each times its key.
#[inline(always)]
fn word_of(sum: u128, [low, high]: [u128; 2]) -> u64 {
    let [a, b] = [sum & u128::from(u64::MAX), sum >> 64];
    (a.wrapping_mul(low).wrapping_add(b.wrapping_mul(high)) >> 64) as u64
}

fn wide(low: u64, high: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BinaryArray, FixedSizeBinaryArray, LargeBinaryArray, RecordBatch, StringArray, StringViewArray,
    };

    use super::*;
    use crate::space::Space;

    fn column(array: ArrayRef) -> Column {
        Column::new("", array.data_type().clone(), Piece::of(&array).into_iter().collect())
    }

    /// The definition, byte by byte.
    fn defined(keyed: &Keyed, value: Option<&[u8]>) -> u64 {
        let keys = &keyed.groups[0][0].1;
        let upper = |sum: u128, keys: [u128; 2]| {
            let [low, high] = [u128::from(sum as u64), sum >> 64];
            (low.wrapping_mul(keys[0]).wrapping_add(high.wrapping_mul(keys[1])) >> 64) as u64
        };
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        let sum = value.map_or(keys.null, |value| {
            let (chunks, rest) = value.split_at(value.len() / CHUNK * CHUNK);
            let mut cell = rest.to_vec();
            cell.resize(rest.len() / PAIR * PAIR + PAIR - 1, 0);
            cell.push((rest.len() % PAIR) as u8);
            let product =
                |(k, l): (u64, u64), a: u64, b: u64| u128::from(a.wrapping_add(k)) * u128::from(b.wrapping_add(l));
            let sum = |pairs: &[u8]| {
                pairs.chunks(PAIR).zip(keys.pairs).fold(0, |sum: u128, (pair, keys)| {
                    sum.wrapping_add(product(keys, word(&pair[..8]), word(&pair[8..])))
                })
            };
            chunks.chunks(CHUNK).enumerate().fold(sum(&cell), |all, (number, chunk)| {
                all.wrapping_add(product(keys.of_chunk(number), upper(sum(chunk), keys.chunk), 0))
            })
        });
        upper(sum, keyed.last)
    }

    fn check(array: ArrayRef, values: &[Option<&[u8]>]) {
        let columns = [column(array)];
        let keyed = Keyed::draw([&columns[..]]);
        let expected: Vec<u64> = values.iter().map(|value| defined(&keyed, *value)).collect();
        let of = |rows: &[usize]| {
            let mut prints = vec![0; rows.len()];
            keyed.on(0).set(0, rows.iter().copied(), &mut prints);
            prints
        };
        let all: Vec<usize> = (0..values.len()).collect();
        assert_eq!(of(&all), expected, "{}", columns[0].data_type);
        // Few of many, and none.
        let few = [3, values.len() - 1];
        assert_eq!(of(&few), few.map(|row| expected[row]), "{}", columns[0].data_type);
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn a_value_has_one_fingerprint_in_whatever_encoding_and_wherever_it_lies() {
        let texts: Vec<Option<String>> = (0..600)
            .map(|len| (len % 7 != 5).then(|| ('a'..='z').cycle().skip(len % 11).take(len).collect()))
            .collect();
        let values: Vec<Option<&[u8]>> = texts.iter().map(|text| text.as_ref().map(|text| text.as_bytes())).collect();
        check(Arc::new(texts.iter().collect::<StringArray>()), &values);
        check(Arc::new(texts.iter().collect::<StringViewArray>()), &values);
        check(Arc::new(values.iter().collect::<BinaryArray>()), &values);
        check(Arc::new(values.iter().collect::<LargeBinaryArray>()), &values);
        for width in [1, 4, 8, 12, 16, 32] {
            let cut: Vec<Option<&[u8]>> =
                values.iter().map(|value| value.and_then(|value| value.get(..width))).collect();
            let array =
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(cut.iter().copied(), width as i32).unwrap();
            check(Arc::new(array), &cut);
        }
    }

    #[test]
    fn rows_that_differ_have_other_fingerprints() {
        // A byte more, a byte of another value, a null, and the border between two cells.
        let mut rows: Vec<[Option<Vec<u8>>; 2]> = vec![[None, None], [None, Some(vec![])], [Some(vec![]), None]];
        for len in (0..40).chain([255, 256, 257, 300]) {
            rows.push([Some(vec![0; len]), Some(vec![0; 40])]);
            for at in 0..len {
                let mut cell = vec![0; len];
                cell[at] = 0x80;
                rows.push([Some(cell), Some(vec![0; 40])]);
            }
        }
        rows.extend((0..=20).map(|at| [Some(vec![1; at]), Some(vec![1; 20 - at])]));
        let cells = |cell: usize| Arc::new(rows.iter().map(|row| row[cell].as_deref()).collect::<BinaryArray>()) as _;
        let batch = [RecordBatch::try_from_iter([("a", cells(0)), ("b", cells(1))]).unwrap()];
        let space = Space::new(&[("load", &batch)]).unwrap();
        let columns = [space.column("a", &[0]).unwrap(), space.column("b", &[0]).unwrap()];
        let prints = Prints::of(&Keyed::draw([&columns[..], &columns[..1]]), &[space.section(0)]).0;
        let mut seen: Vec<u64> = (0..rows.len()).map(|row| prints.get(row as u32, 0)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), rows.len());
        let first = |row: u32| prints.get(row, 1);
        assert!(first(0) == first(1) && first(1) != first(2));
    }
}
