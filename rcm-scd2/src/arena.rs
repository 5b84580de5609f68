//! Rows as bytes: the cells of one row next to each other, so that to compare two rows takes one miss and not one a cell.
//!
//! A row is its number, then one group of cells after the other, its key first. A group begins with a bit for each null;
//! then come its cells, those of one width as they are, others with their length in front.

mod compare;

pub(crate) use compare::Pair;
use rayon::prelude::*;

use crate::Error;
use crate::cells::{Column, Piece};
use crate::memory::{Memory, Words};
use crate::space::Section;

/// Rows that one task writes.
const RUN: usize = 1 << 14;
/// Rows begin at multiples of this many bytes, so that 32 bits say where.
const UNIT: usize = 8;
/// Bytes of the number of a row.
const NUMBER: usize = 4;
/// Bytes that are read at once where values are short: as many lie behind the last row.
const NEAR: usize = 16;
/// Rows that are written column by column: what they take stays in a near cache meanwhile.
const BLOCK: usize = 256;
/// A length in one byte, or this and eight bytes.
const LONG: u8 = u8::MAX;

pub(crate) struct Arena<'a> {
    keys: &'a [Column],
    bytes: Memory,
    /// Where each row begins, and where the last one ends, in units.
    begins: Words<4>,
    /// How long rows are, more or less.
    usual: usize,
}

/// Rows of a batch: which, the first of them, and how many.
type Run = (u32, usize, usize);

/// A group of columns in one batch.
pub(crate) struct Group<'a>(Vec<(&'a Piece, Option<usize>)>);

impl<'a> Group<'a> {
    pub(crate) fn of(columns: &'a [Column], batch: u32) -> Self {
        Group(columns.iter().map(|column| (column.piece(batch), column.width)).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn nulls(&self) -> usize {
        self.0.len().div_ceil(8)
    }
}

impl<'a> Arena<'a> {
    pub(crate) fn of(keys: &'a [Column], groups: &[&'a [Column]], sections: &[&Section]) -> Result<Self, Error> {
        let groups: Vec<&[Column]> = std::iter::once(keys).chain(groups.iter().copied()).collect();
        let mut runs: Vec<Run> = Vec::new();
        for (batch, rows) in sections.iter().flat_map(|section| section.spans()) {
            let firsts = (0..rows.len()).step_by(RUN);
            runs.extend(firsts.map(|first| (batch, first, RUN.min(rows.len() - first))));
        }
        let mut begins = Words::zeros(runs.iter().map(|(.., rows)| rows).sum::<usize>() + 1);
        let (mut rest, mut row, mut tasks) = (begins.view_mut(), 0, Vec::new());
        for run in &runs {
            let (mine, others) = rest.split_at_mut(run.2);
            rest = others;
            tasks.push((*run, mine, row));
            row += run.2;
        }
        // First where each row begins, so that all memory is taken at once and written once.
        let measured: Vec<usize> =
            tasks.par_iter_mut().with_max_len(1).map(|(run, begins, _)| measure(&groups, *run, begins)).collect();
        let end: usize = measured.iter().sum();
        let Ok(last) = u32::try_from(end / UNIT) else { return Err(Error::TooManyRows { rows: row }) };
        if let [end, ..] = rest {
            *end = last.to_le_bytes();
        }
        let mut bytes = Memory::zeros(end + NEAR);
        let (mut rest, mut start) = (&mut *bytes, 0);
        let mut pieces = Vec::new();
        for (task, len) in tasks.into_iter().zip(measured) {
            let (mine, others) = rest.split_at_mut(len);
            rest = others;
            pieces.push((task, mine, start));
            start += len;
        }
        type Task<'t> = ((Run, &'t mut [[u8; 4]], usize), &'t mut [u8], usize);
        let write = |((run, begins, row), bytes, start): Task| encode(&groups, run, row, begins, bytes, start);
        pieces.into_par_iter().with_max_len(1).for_each(write);
        Ok(Arena { keys, bytes, begins, usual: (end / row.max(1)).min(256) })
    }

    /// Where a row begins, in units.
    #[inline]
    pub(crate) fn begin(&self, row: usize) -> u32 {
        u32::from_le_bytes(self.begins.view()[row])
    }

    /// The row that begins there.
    #[inline]
    pub(crate) fn row_at(&self, begin: u32) -> u32 {
        number(&self.bytes, begin as usize * UNIT)
    }

    /// All cells of a row: equal exactly when the rows are equal in all groups.
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        let [begin, end] = [row, row + 1].map(|row| self.begin(row) as usize * UNIT);
        &self.bytes[begin + NUMBER..end]
    }

    /// Whether the row that begins there, and another, have the same key.
    pub(crate) fn same_key(&self, begin: u32, row: usize) -> bool {
        let (a, b) = (&self.bytes[begin as usize * UNIT + NUMBER..], self.row(row));
        let end = skip(self.keys, b, 0);
        a.get(..end) == b.get(..end)
    }
}

#[inline]
fn number(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |number| u32::from_le_bytes(*number))
}

/// Where each row of a run begins, from its first on, in units; how many bytes they take.
fn measure(groups: &[&[Column]], (batch, first, rows): Run, begins: &mut [[u8; 4]]) -> usize {
    let groups: Vec<Group> = groups.iter().map(|group| Group::of(group, batch)).collect();
    let nulls: usize = groups.iter().map(Group::nulls).sum();
    let mut end = 0;
    for (block, begins) in (0..rows).step_by(BLOCK).zip(begins.chunks_mut(BLOCK)) {
        let mut lengths = [NUMBER + nulls; BLOCK];
        let lengths = &mut lengths[..begins.len()];
        for (piece, width) in groups.iter().flat_map(|group| &group.0) {
            add_lengths(piece, *width, first + block, lengths);
        }
        for (begin, len) in begins.iter_mut().zip(lengths) {
            // Cut off, if all is too long for 32 bits: that is found when the runs are added up.
            *begin = ((end / UNIT) as u32).to_le_bytes();
            end += len.next_multiple_of(UNIT);
        }
    }
    end
}

/// Writes the rows of a run, and where they begin in all memory. `row`: the number of the first.
fn encode(
    groups: &[&[Column]],
    (batch, first, _): Run,
    row: usize,
    begins: &mut [[u8; 4]],
    bytes: &mut [u8],
    start: usize,
) {
    let groups: Vec<Group> = groups.iter().map(|group| Group::of(group, batch)).collect();
    for (block, begins) in begins.chunks_mut(BLOCK).enumerate() {
        let mut cursors = [0; BLOCK];
        let cursors = &mut cursors[..begins.len()];
        for (at, (cursor, begin)) in cursors.iter_mut().zip(begins).enumerate() {
            *cursor = u32::from_le_bytes(*begin) as usize * UNIT;
            *begin = (((start + *cursor) / UNIT) as u32).to_le_bytes();
            bytes[*cursor..*cursor + NUMBER].copy_from_slice(&((row + block * BLOCK + at) as u32).to_le_bytes());
            *cursor += NUMBER;
        }
        for group in &groups {
            let mut nulls = [0; BLOCK];
            nulls[..cursors.len()].copy_from_slice(cursors);
            cursors.iter_mut().for_each(|cursor| *cursor += group.nulls());
            for (number, (piece, _)) in group.0.iter().enumerate() {
                write(piece, first + block * BLOCK, number, &nulls, cursors, bytes);
            }
        }
    }
}

/// Adds how many bytes the cells of a column take, from row `first` of the batch on.
#[inline(never)]
fn add_lengths(piece: &Piece, width: Option<usize>, first: usize, lengths: &mut [usize]) {
    let prefixed = |len: usize| if len < usize::from(LONG) { len + 1 } else { len + 9 };
    match (piece, width) {
        (Piece::Missing, _) => {}
        (piece, Some(width)) if !piece.may_have_nulls() => lengths.iter_mut().for_each(|len| *len += width),
        (Piece::Text(offsets, _, None), _) => {
            let ends = offsets[first..].windows(2);
            lengths.iter_mut().zip(ends).for_each(|(len, ends)| *len += prefixed((ends[1] - ends[0]) as usize));
        }
        (piece, width) => {
            for (row, len) in lengths.iter_mut().enumerate() {
                let cell = piece.value(first + row).map(<[u8]>::len);
                *len += cell.map_or(0, |len| width.unwrap_or_else(|| prefixed(len)));
            }
        }
    }
}

/// Writes the cells of a column of some rows where their cursors are.
#[inline(never)]
fn write(piece: &Piece, first: usize, number: usize, nulls: &[usize], cursors: &mut [usize], bytes: &mut [u8]) {
    match piece {
        Piece::Text(offsets, values, None) => cells(number, nulls, cursors, bytes, false, |row| {
            Some(&values[offsets[first + row] as usize..offsets[first + row + 1] as usize])
        }),
        piece => {
            cells(number, nulls, cursors, bytes, piece.width().is_some(), |row| piece.value(first + row));
        }
    }
}

#[inline(always)]
fn cells<'v>(
    number: usize,
    nulls: &[usize],
    cursors: &mut [usize],
    bytes: &mut [u8],
    fixed: bool,
    value: impl Fn(usize) -> Option<&'v [u8]>,
) {
    for (row, cursor) in cursors.iter_mut().enumerate() {
        let Some(cell) = value(row) else {
            bytes[nulls[row] + number / 8] |= 1 << (number % 8);
            continue;
        };
        if !fixed {
            match u8::try_from(cell.len()) {
                Ok(len) if len != LONG => bytes[*cursor] = len,
                _ => {
                    bytes[*cursor] = LONG;
                    bytes[*cursor + 1..*cursor + 9].copy_from_slice(&(cell.len() as u64).to_le_bytes());
                    *cursor += 8;
                }
            }
            *cursor += 1;
        }
        put(&mut bytes[*cursor..*cursor + cell.len()], cell);
        *cursor += cell.len();
    }
}

/// The length that stands at a position, and where the value begins.
#[inline]
fn length(bytes: &[u8], at: usize) -> (usize, usize) {
    match bytes[at] {
        LONG => {
            let long = bytes[at + 1..].first_chunk::<8>().map_or(0, |len| u64::from_le_bytes(*len));
            (long as usize, at + 9)
        }
        len => (usize::from(len), at + 1),
    }
}

/// Copies without a call where values are short.
#[inline(always)]
pub(crate) fn put(to: &mut [u8], from: &[u8]) {
    let len = from.len();
    match len {
        8..=16 => {
            let (head, tail) = (from.first_chunk::<8>(), from.last_chunk::<8>());
            if let (Some(head), Some(tail)) = (head, tail) {
                to[..8].copy_from_slice(head);
                to[len - 8..len].copy_from_slice(tail);
            }
        }
        4..8 => {
            let (head, tail) = (from.first_chunk::<4>(), from.last_chunk::<4>());
            if let (Some(head), Some(tail)) = (head, tail) {
                to[..4].copy_from_slice(head);
                to[len - 4..len].copy_from_slice(tail);
            }
        }
        0..4 => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
        _ => to[..len].copy_from_slice(from),
    }
}

/// Where a group ends.
fn skip(group: &[Column], bytes: &[u8], begin: usize) -> usize {
    let mut next = begin + group.len().div_ceil(8);
    for (number, column) in group.iter().enumerate() {
        if bytes[begin + number / 8] >> (number % 8) & 1 == 0 {
            next = match column.width {
                Some(width) => next + width,
                None => {
                    let (len, start) = length(bytes, next);
                    start + len
                }
            };
        }
    }
    next
}
