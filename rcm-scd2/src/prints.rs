//! Fingerprints: 64 bits that stand for some cells of a row, so that two rows are compared without a look at one of them.
//!
//! Equal cells have equal fingerprints. Those of cells that differ are equal with a probability of at most 2^-61,
//! whatever the cells are: the keys of the hash come, for each index, from a random state of the standard library, and
//! nothing that is returned depends on them. What a cell adds to a sum, and what is left of the sum, is in [`cell`].

mod cell;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;

use cell::{Keys, wide, word_of};
use rayon::prelude::*;

use crate::cells::{Column, Piece};
use crate::hash;
use crate::index::BLOCK;
use crate::memory::Memory;
use crate::near::{fetch, fetch_all};
use crate::space::Section;

/// Bytes of a fingerprint.
const PRINT: usize = 8;
/// Rows that one task takes.
const RUN: usize = 16 * BLOCK;

/// The columns of a key and further groups of columns, each column with its keys, and the keys of sums.
pub(crate) struct Keyed<'a> {
    key: &'a [Column],
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

impl<'a> Keyed<'a> {
    pub(crate) fn draw(key: &'a [Column], groups: impl IntoIterator<Item = &'a [Column]>) -> Self {
        let random = RandomState::new();
        let mut words = (0_u64..).map(|number| random.hash_one(number));
        let mut word = || words.next().unwrap_or_default();
        let last = [(); 2].map(|()| wide(word(), word()));
        let mut numbers = 1..;
        let mut group = |group: &'a [Column]| {
            let columns = group.iter().zip(&mut numbers);
            columns.map(|(column, number)| (column, Keys::draw(&random, number, &mut word))).collect()
        };
        let groups = std::iter::once(key).chain(groups).map(&mut group).collect();
        Keyed { key, groups, last }
    }

    /// Hashes of the keys of rows of a batch, for tables: the same always, and nothing to do with fingerprints.
    pub(crate) fn hash(&self, batch: u32, first: usize, hashes: &mut [u64]) {
        hash::keys(self.key, batch, first, hashes);
    }

    pub(crate) fn on(&self, batch: u32) -> Pieces<'_> {
        let groups =
            self.groups.iter().map(|group| group.iter().map(|(column, keys)| (column.piece(batch), keys)).collect());
        Pieces { groups: groups.collect(), last: self.last, sums: Box::new([0; BLOCK]) }
    }
}

impl Prints {
    /// Also the hash of each row's key.
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

fn fetch_cells<const N: usize>(values: &[u8], first: usize, last: usize, rows: impl Rows) {
    let values = values.as_chunks::<N>().0;
    fetch_all(&values[first..=last], rows.len(), rows.map(|row| &values[row]));
}

#[cfg(test)]
mod tests;
