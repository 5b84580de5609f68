//! Rows as bytes: the cells of one row next to each other, so that to compare two rows takes one miss and not one a cell.
//!
//! A row is one group of cells after the other, its key first. A group begins with a bit for each null; then come its
//! cells, those of one width as they are, others with their length in front.

use arrow::buffer::NullBuffer;
use rayon::prelude::*;

use crate::cells::{Column, Piece};
use crate::hash::KEEP;
use crate::memory::{Memory, Words};
use crate::space::Section;

/// Rows that one task writes.
const RUN: usize = 1 << 14;
/// Bytes that are read at once where values are short: as many lie behind the last row.
const NEAR: usize = 16;
/// Rows that are written column by column: what they take stays in a near cache meanwhile.
const BLOCK: usize = 256;
/// A length in one byte, or this and eight bytes.
const LONG: u8 = u8::MAX;

pub(crate) struct Arena<'a> {
    keys: &'a [Column],
    bytes: Memory,
    /// Where each row begins, and where the last one ends.
    begins: Words,
}

/// Rows of a batch: which, the first of them, and how many.
type Run = (u32, usize, usize);

/// A row of a batch, and a row that has its key or may have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) row: u32,
    pub(crate) rep: u32,
    /// Where the next group of the latter begins, and where its last one did.
    pub(crate) cursor: usize,
    nulls: usize,
    /// Whether both were equal in the last group that was compared.
    pub(crate) equal: bool,
}

impl Pair {
    pub(crate) fn new(row: u32, rep: usize, cursor: usize) -> Self {
        Pair { row, rep: rep as u32, cursor, nulls: cursor, equal: true }
    }
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
}

impl<'a> Arena<'a> {
    pub(crate) fn of(keys: &'a [Column], groups: &[&'a [Column]], sections: &[&Section]) -> Self {
        let groups: Vec<&[Column]> = std::iter::once(keys).chain(groups.iter().copied()).collect();
        let mut runs: Vec<Run> = Vec::new();
        for (batch, rows) in sections.iter().flat_map(|section| section.spans()) {
            let firsts = (0..rows.len()).step_by(RUN);
            runs.extend(firsts.map(|first| (batch, first, RUN.min(rows.len() - first))));
        }
        let mut begins = Words::zeros(runs.iter().map(|(.., rows)| rows).sum::<usize>() + 1);
        let mut rest = begins.view_mut();
        let mut tasks = Vec::new();
        for run in &runs {
            let (mine, others) = rest.split_at_mut(run.2);
            rest = others;
            tasks.push((*run, mine));
        }
        // First where each row begins, so that all memory is taken at once and written once.
        let measured: Vec<usize> = tasks.par_iter_mut().map(|(run, begins)| measure(&groups, *run, begins)).collect();
        let end: usize = measured.iter().sum();
        if let [last, ..] = rest {
            *last = (end as u64).to_le_bytes();
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
        let write = |((run, begins), bytes, start): ((Run, &mut [[u8; 8]]), &mut [u8], usize)| {
            encode(&groups, run, begins, bytes, start);
        };
        pieces.into_par_iter().for_each(write);
        Arena { keys, bytes, begins }
    }

    #[inline]
    pub(crate) fn begin(&self, row: usize) -> usize {
        u64::from_le_bytes(self.begins.view()[row]) as usize
    }

    /// All cells of a row: equal exactly when the rows are equal in all groups.
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        &self.bytes[self.begin(row)..self.begin(row + 1)]
    }

    /// Brings rows near before they are compared: all misses at once.
    pub(crate) fn fetch(&self, pairs: &[Pair]) {
        let bytes = &*self.bytes;
        let last = bytes.len().saturating_sub(1);
        let touch = |all: u8, pair: &Pair| all ^ bytes[pair.cursor] ^ bytes[(pair.cursor + 64).min(last)];
        std::hint::black_box(pairs.iter().fold(0, touch));
    }

    /// Whether two rows have the same key.
    pub(crate) fn same_key(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.row(a), self.row(b));
        let end = skip(self.keys, a, 0);
        b.get(..end) == a.get(..end)
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

    fn fixed<const N: usize>(&self, number: usize, pairs: &mut [Pair], values: &[u8], nulls: Option<&NullBuffer>) {
        let bytes = &*self.bytes;
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

    fn texts(&self, number: usize, pairs: &mut [Pair], offsets: &[i32], values: &[u8], nulls: Option<&NullBuffer>) {
        let bytes = &*self.bytes;
        for pair in pairs {
            let row = pair.row as usize;
            let null = nulls.is_some_and(|nulls| nulls.is_null(row));
            if bytes[pair.nulls + number / 8] >> (number % 8) & 1 == 1 {
                pair.equal &= null;
                continue;
            }
            let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
            let (len, at) = length(bytes, pair.cursor);
            pair.equal &= !null && len == end - start && same_text(values, start, bytes, at, len);
            pair.cursor = at + len;
        }
    }
}

/// Where each row of a run begins, from its first on; where the last one ends.
fn measure(groups: &[&[Column]], (batch, first, rows): Run, begins: &mut [[u8; 8]]) -> usize {
    let groups: Vec<Group> = groups.iter().map(|group| Group::of(group, batch)).collect();
    let nulls: usize = groups.iter().map(Group::nulls).sum();
    let mut end = 0;
    for (block, begins) in (0..rows).step_by(BLOCK).zip(begins.chunks_mut(BLOCK)) {
        let mut lengths = [nulls; BLOCK];
        let lengths = &mut lengths[..begins.len()];
        for (piece, width) in groups.iter().flat_map(|group| &group.0) {
            add_lengths(piece, *width, first + block, lengths);
        }
        for (begin, len) in begins.iter_mut().zip(lengths) {
            *begin = (end as u64).to_le_bytes();
            end += *len;
        }
    }
    end
}

/// Writes the rows of a run, and where they begin in all memory.
fn encode(groups: &[&[Column]], (batch, first, _): Run, begins: &mut [[u8; 8]], bytes: &mut [u8], start: usize) {
    let groups: Vec<Group> = groups.iter().map(|group| Group::of(group, batch)).collect();
    for (block, begins) in begins.chunks_mut(BLOCK).enumerate() {
        let mut cursors = [0; BLOCK];
        let cursors = &mut cursors[..begins.len()];
        for (cursor, begin) in cursors.iter_mut().zip(begins) {
            *cursor = u64::from_le_bytes(*begin) as usize;
            *begin = ((start + *cursor) as u64).to_le_bytes();
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

/// Whether two buffers have the same bytes, without a branch on how many, as long as there are few.
#[inline(always)]
fn same_text(a: &[u8], from: usize, b: &[u8], at: usize, len: usize) -> bool {
    let near = |bytes: &[u8], at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk::<NEAR>).copied();
    match (near(a, from), near(b, at)) {
        (Some(a), Some(b)) if len <= NEAR => {
            let different = u128::from_le_bytes(a) ^ u128::from_le_bytes(b);
            let (low, high) = (different as u64, (different >> 64) as u64);
            low & KEEP[len] | high & KEEP[len.saturating_sub(8)] == 0
        }
        _ => a[from..from + len] == b[at..at + len],
    }
}

/// Copies without a call where values are short.
#[inline(always)]
fn put(to: &mut [u8], from: &[u8]) {
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
