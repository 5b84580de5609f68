//! Rows as bytes: the cells of one row next to each other, so that to compare two rows takes one miss and not one a cell.
//!
//! A row is one group of cells after the other, its key first. A group begins with a bit for each null; then come its
//! cells, those of one width as they are, others with their length in front.

use rayon::prelude::*;

use crate::Error;
use crate::cells::{Column, Piece};
use crate::memory::Memory;
use crate::space::Section;

/// Rows in one piece of memory.
const CHUNK: usize = 1 << 16;
/// Rows that are written column by column: what they take stays in a near cache meanwhile.
const BLOCK: usize = 256;
/// A length in one byte, or this and eight bytes.
const LONG: u8 = u8::MAX;

pub(crate) struct Arena<'a> {
    keys: &'a [Column],
    bytes: Memory,
    /// By chunk: where it begins, and where in it each row begins; then where its last row ends.
    chunks: Vec<(usize, Vec<u32>)>,
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
    pub(crate) fn of(keys: &'a [Column], groups: &[&'a [Column]], sections: &[&Section]) -> Result<Self, Error> {
        let groups: Vec<&[Column]> = std::iter::once(keys).chain(groups.iter().copied()).collect();
        let mut parts: Vec<Vec<Run>> = vec![Vec::new()];
        let mut room = CHUNK;
        for (batch, rows) in sections.iter().flat_map(|section| section.spans()) {
            let mut first = 0;
            while first < rows.len() {
                let taken = room.min(rows.len() - first);
                if let Some(part) = parts.last_mut() {
                    part.push((batch, first, taken));
                }
                (first, room) = (first + taken, room - taken);
                if room == 0 {
                    parts.push(Vec::new());
                    room = CHUNK;
                }
            }
        }
        // First where each row begins, so that all memory is taken at once and written once.
        let begins = parts.par_iter().map(|part| begins(&groups, part)).collect::<Result<Vec<_>, Error>>()?;
        let mut end = 0;
        let chunks: Vec<(usize, Vec<u32>)> = begins
            .into_iter()
            .map(|begins| {
                let start = end;
                end += begins.last().map_or(0, |len| *len as usize);
                (start, begins)
            })
            .collect();
        let mut bytes = Memory::zeros(end);
        let mut rest = &mut *bytes;
        let mut tasks = Vec::new();
        for ((_, begins), part) in chunks.iter().zip(&parts) {
            let (mine, others) = rest.split_at_mut(begins.last().map_or(0, |len| *len as usize));
            rest = others;
            tasks.push((mine, begins, part));
        }
        tasks.into_par_iter().for_each(|(bytes, begins, part)| encode(&groups, part, begins, bytes));
        Ok(Arena { keys, bytes, chunks })
    }

    #[inline]
    pub(crate) fn begin(&self, row: usize) -> usize {
        let (start, begins) = &self.chunks[row / CHUNK];
        start + begins[row % CHUNK] as usize
    }

    /// All cells of a row: equal exactly when the rows are equal in all groups.
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        let (start, begins) = &self.chunks[row / CHUNK];
        let (begin, end) = (begins[row % CHUNK] as usize, begins[row % CHUNK + 1] as usize);
        &self.bytes[start + begin..start + end]
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
                (Piece::Fixed(_, bytes, None), Some(4)) => {
                    self.column(number, pairs, Some(4), |row| {
                        bytes[4 * row..].first_chunk::<4>().map(|cell| &cell[..])
                    });
                }
                (Piece::Fixed(_, bytes, None), Some(8)) => {
                    self.column(number, pairs, Some(8), |row| {
                        bytes[8 * row..].first_chunk::<8>().map(|cell| &cell[..])
                    });
                }
                (Piece::Fixed(_, bytes, None), Some(16)) => {
                    self.column(number, pairs, Some(16), |row| {
                        bytes[16 * row..].first_chunk::<16>().map(|cell| &cell[..])
                    });
                }
                (Piece::Text(offsets, bytes, None), None) => self
                    .column(number, pairs, None, |row| Some(&bytes[offsets[row] as usize..offsets[row + 1] as usize])),
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
            pair.equal &= value.is_some_and(|value| same(value, &bytes[start..start + len]));
        }
    }
}

fn begins(groups: &[&[Column]], runs: &[Run]) -> Result<Vec<u32>, Error> {
    let rows: usize = runs.iter().map(|(.., rows)| rows).sum();
    let mut lengths = Vec::with_capacity(rows);
    for (batch, first, rows) in runs {
        let groups: Vec<Group> = groups.iter().map(|group| Group::of(group, *batch)).collect();
        let start = lengths.len();
        lengths.resize(start + rows, groups.iter().map(Group::nulls).sum::<usize>());
        for (piece, width) in groups.iter().flat_map(|group| &group.0) {
            add_lengths(piece, *width, *first, &mut lengths[start..]);
        }
    }
    let mut end = 0_usize;
    let mut begins = Vec::with_capacity(rows + 1);
    begins.push(0);
    for len in lengths {
        end += len;
        begins.push(end as u32);
    }
    // Only with cells of many kilobytes each.
    if u32::try_from(end).is_err() { Err(Error::TooManyRows { rows }) } else { Ok(begins) }
}

fn encode(groups: &[&[Column]], runs: &[Run], begins: &[u32], bytes: &mut [u8]) {
    let mut row = 0;
    for (batch, first, rows) in runs {
        let groups: Vec<Group> = groups.iter().map(|group| Group::of(group, *batch)).collect();
        for block in (0..*rows).step_by(BLOCK) {
            let count = BLOCK.min(rows - block);
            let mut cursors = [0; BLOCK];
            let cursors = &mut cursors[..count];
            cursors.iter_mut().zip(&begins[row..]).for_each(|(cursor, begin)| *cursor = *begin as usize);
            for group in &groups {
                let mut nulls = [0; BLOCK];
                nulls[..count].copy_from_slice(cursors);
                cursors.iter_mut().for_each(|cursor| *cursor += group.nulls());
                for (number, (piece, _)) in group.0.iter().enumerate() {
                    write(piece, first + block, number, &nulls, cursors, bytes);
                }
            }
            row += count;
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

/// Equality without a call where values are short, as they mostly are.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    let len = a.len();
    if len != b.len() {
        return false;
    }
    let word = |bytes: &[u8], at: usize| bytes[at..].first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
    let half = |bytes: &[u8], at: usize| bytes[at..].first_chunk::<4>().map_or(0, |word| u32::from_le_bytes(*word));
    match len {
        // Two words that may overlap are all of it.
        8..=16 => word(a, 0) == word(b, 0) && word(a, len - 8) == word(b, len - 8),
        4..8 => half(a, 0) == half(b, 0) && half(a, len - 4) == half(b, len - 4),
        0..4 => a.iter().zip(b).all(|(a, b)| a == b),
        _ => a == b,
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
