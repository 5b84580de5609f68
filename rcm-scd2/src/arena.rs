//! Rows as bytes: the cells of one row next to each other, so that to compare two rows takes one miss and not one a cell.
//!
//! A row is its number, then one group of cells after the other, its key first. A group begins with a bit for each null;
//! then come its cells, those of one width as they are, others with their length in front.

mod compare;

pub(crate) use compare::Pair;
use rayon::prelude::*;

use crate::Error;
use crate::cells::{Column, Piece};
use crate::gather;
use crate::memory::Memory;
use crate::space::Section;

/// Rows that one task writes.
const RUN: usize = 1 << 14;
/// Rows begin at multiples of this many bytes, so that 32 bits say where.
const UNIT: usize = 8;
/// Bytes of the number of a row.
const NUMBER: usize = 4;
/// Bytes that are read or written at once where values are short: so many to be read lie behind the last row.
const NEAR: usize = 16;
/// A length in one byte, or this and eight bytes.
const LONG: u8 = u8::MAX;

pub(crate) struct Arena<'a> {
    keys: &'a [Column],
    bytes: Memory,
    /// Where each row begins, in units.
    begins: Vec<u32>,
    /// How long rows are, more or less.
    usual: usize,
}

/// Rows of a batch that are written by one task.
struct Run {
    batch: u32,
    /// The first of them, and how many there are.
    first: usize,
    rows: usize,
    /// The number of the first, and where it begins.
    row: usize,
    start: usize,
    /// Bytes that all of them take at most.
    room: usize,
}

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

    /// How many bytes some rows take at most.
    fn room(&self, first: usize, rows: usize) -> usize {
        let cells = |(piece, width): &(&Piece, Option<usize>)| match width {
            Some(width) => width * piece.count(first..first + rows),
            // One that needs nine bytes for its length has 255 others.
            None => rows + piece.text_bytes(first..first + rows) * 263 / 255,
        };
        self.nulls() * rows + self.0.iter().map(cells).sum::<usize>()
    }
}

impl<'a> Arena<'a> {
    pub(crate) fn of(keys: &'a [Column], groups: &[&'a [Column]], sections: &[&Section]) -> Result<Self, Error> {
        let groups: Vec<&[Column]> = std::iter::once(keys).chain(groups.iter().copied()).collect();
        let mut runs: Vec<Run> = Vec::new();
        let mut row = 0;
        for (batch, rows) in sections.iter().flat_map(|section| section.spans()) {
            for first in (0..rows.len()).step_by(RUN) {
                let rows = RUN.min(rows.len() - first);
                runs.push(Run { batch, first, rows, row, start: 0, room: 0 });
                row += rows;
            }
        }
        runs.par_iter_mut().with_max_len(1).for_each(|run| {
            let room = groups.iter().map(|group| Group::of(group, run.batch).room(run.first, run.rows));
            run.room = (room.sum::<usize>() + run.rows * (NUMBER + UNIT)).next_multiple_of(UNIT);
        });
        let mut start = 0;
        for run in &mut runs {
            (run.start, start) = (start, start + run.room);
        }
        if u32::try_from(start / UNIT).is_err() {
            return Err(Error::TooManyRows { rows: row });
        }
        let (mut bytes, mut begins) = (Memory::zeros(start + NEAR), vec![0; row]);
        let (mut rest, mut rest_of_begins) = (&mut *bytes, &mut *begins);
        let mut tasks = Vec::new();
        for run in &runs {
            let (mine, others) = rest.split_at_mut(run.room);
            let (begins, other_begins) = rest_of_begins.split_at_mut(run.rows);
            (rest, rest_of_begins) = (others, other_begins);
            tasks.push((run, mine, begins));
        }
        let write = |(run, bytes, begins): (&Run, &mut [u8], &mut [u32])| encode(&groups, run, bytes, begins);
        let written: usize = tasks.into_par_iter().with_max_len(1).map(write).sum();
        Ok(Arena { keys, bytes, begins, usual: (written / row.max(1)).min(256) })
    }

    /// Where a row begins, in units.
    #[inline]
    pub(crate) fn begin(&self, row: usize) -> u32 {
        self.begins[row]
    }

    /// The row that begins there.
    #[inline]
    pub(crate) fn row_at(&self, begin: u32) -> u32 {
        number(&self.bytes, begin as usize * UNIT)
    }

    /// Whether two rows, by where they begin, have the same key.
    pub(crate) fn same_key(&self, a: u32, b: u32) -> bool {
        let [a, b] = [a, b].map(|begin| &self.bytes[begin as usize * UNIT + NUMBER..]);
        let end = skip(self.keys, b);
        a.get(..end) == b.get(..end)
    }
}

#[inline]
fn number(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |number| u32::from_le_bytes(*number))
}

/// Writes the rows of a run, one after the other, and where they begin; says how many bytes they take.
fn encode(groups: &[&[Column]], run: &Run, bytes: &mut [u8], begins: &mut [u32]) -> usize {
    let groups: Vec<Group> = groups.iter().map(|group| Group::of(group, run.batch)).collect();
    let mut cursor = 0;
    for (at, begin) in begins.iter_mut().enumerate() {
        *begin = ((run.start + cursor) / UNIT) as u32;
        bytes[cursor..cursor + NUMBER].copy_from_slice(&((run.row + at) as u32).to_le_bytes());
        cursor += NUMBER;
        for group in &groups {
            let nulls = cursor;
            cursor += group.nulls();
            bytes[nulls..cursor].fill(0);
            for (number, (piece, width)) in group.0.iter().enumerate() {
                match (piece.bytes(run.first + at), width) {
                    (None, _) => bytes[nulls + number / 8] |= 1 << (number % 8),
                    (Some((values, start, end)), Some(_)) => cursor = put(bytes, cursor, values, start, end),
                    (Some((values, start, end)), None) => {
                        cursor = put_length(bytes, cursor, end - start);
                        cursor = put(bytes, cursor, values, start, end);
                    }
                }
            }
        }
        cursor = cursor.next_multiple_of(UNIT);
    }
    cursor
}

#[inline(always)]
fn put_length(bytes: &mut [u8], at: usize, len: usize) -> usize {
    match u8::try_from(len) {
        Ok(len) if len != LONG => {
            bytes[at] = len;
            at + 1
        }
        _ => {
            bytes[at] = LONG;
            bytes[at + 1..at + 9].copy_from_slice(&(len as u64).to_le_bytes());
            at + 9
        }
    }
}

/// Copies a value; says where it ends. What is behind it may be overwritten: that has not been written yet.
#[inline(always)]
fn put(bytes: &mut [u8], at: usize, values: &[u8], start: usize, end: usize) -> usize {
    let (mut from, mut to) = (start, at);
    while from < end {
        let near = values.get(from..).and_then(<[u8]>::first_chunk::<NEAR>);
        match (near, bytes.get_mut(to..).and_then(<[u8]>::first_chunk_mut::<NEAR>)) {
            (Some(near), Some(room)) => *room = *near,
            _ => {
                gather::put(&mut bytes[to..at + end - start], &values[from..end]);
                break;
            }
        }
        (from, to) = (from + NEAR, to + NEAR);
    }
    at + end - start
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

/// Where a group at the beginning ends.
fn skip(group: &[Column], bytes: &[u8]) -> usize {
    let mut next = group.len().div_ceil(8);
    for (number, column) in group.iter().enumerate() {
        if bytes[number / 8] >> (number % 8) & 1 == 0 {
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
