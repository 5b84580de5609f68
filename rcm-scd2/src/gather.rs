//! Columns of new rows, copied cell by cell from wherever the values are.

use std::sync::Arc;

use arrow::array::{
    ArrayData, ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, LargeBinaryArray, LargeStringArray,
    NullArray, StringArray, make_array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType;

use crate::Error;
use crate::cells::{At, Column};
use crate::near::fetch;

/// Cells that are copied together: their misses overlap, and they stay in the nearest cache until all are copied.
const BLOCK: usize = 512;

/// The cells of a column at these places.
pub(crate) fn gather(column: &Column, rows: impl ExactSizeIterator<Item = At>) -> Result<ArrayRef, Error> {
    let len = rows.len();
    let mut cells = Cells { column, rows, valid: BooleanBufferBuilder::new(len), block: Vec::with_capacity(BLOCK) };
    Ok(match (&column.data_type, column.width) {
        (DataType::Null, _) => Arc::new(NullArray::new(len)),
        (DataType::Boolean, _) => {
            let mut values = BooleanBufferBuilder::new(len);
            while let Some(block) = cells.next() {
                block.iter().for_each(|cell| values.append(*cell == Some(&[1])));
            }
            Arc::new(BooleanArray::new(values.finish(), cells.nulls()))
        }
        (data_type, Some(width)) => {
            let values = match width {
                4 => cells.fixed::<4>(),
                8 => cells.fixed::<8>(),
                16 => cells.fixed::<16>(),
                width => cells.wide(width),
            };
            let data = ArrayData::builder(data_type.clone()).len(len).add_buffer(Buffer::from_vec(values));
            make_array(data.nulls(cells.nulls()).align_buffers(true).build()?)
        }
        (data_type, None) => {
            let mut ends = Vec::with_capacity(len + 1);
            ends.push(0);
            let values = Buffer::from_vec(cells.texts(&mut ends));
            let nulls = cells.nulls();
            match data_type {
                DataType::Utf8 => Arc::new(StringArray::try_new(narrow(&ends)?, values, nulls)?),
                DataType::Binary => Arc::new(BinaryArray::try_new(narrow(&ends)?, values, nulls)?),
                DataType::LargeUtf8 => Arc::new(LargeStringArray::try_new(wide(ends), values, nulls)?),
                _ => Arc::new(LargeBinaryArray::try_new(wide(ends), values, nulls)?),
            }
        }
    })
}

/// The cells of a column at some places, block by block.
struct Cells<'a, R> {
    column: &'a Column,
    rows: R,
    valid: BooleanBufferBuilder,
    block: Vec<Option<&'a [u8]>>,
}

impl<'a, R: Iterator<Item = At>> Cells<'a, R> {
    fn next(&mut self) -> Option<&[Option<&'a [u8]>]> {
        self.block.clear();
        self.block.extend(self.rows.by_ref().take(BLOCK).map(|at| self.column.value(at)));
        self.block.iter().for_each(|cell| self.valid.append(cell.is_some()));
        (!self.block.is_empty()).then_some(&self.block)
    }

    fn nulls(&mut self) -> Option<NullBuffer> {
        Some(NullBuffer::new(self.valid.finish())).filter(|nulls| nulls.null_count() > 0)
    }

    fn fixed<const N: usize>(&mut self) -> Vec<u8> {
        let mut values: Vec<[u8; N]> = Vec::with_capacity(self.valid.capacity());
        while let Some(block) = self.next() {
            values.extend(block.iter().map(|cell| cell.and_then(|cell| cell.first_chunk()).copied().unwrap_or([0; N])));
        }
        values.into_flattened()
    }

    fn wide(&mut self, width: usize) -> Vec<u8> {
        let mut values = Vec::new();
        while let Some(block) = self.next() {
            for cell in block {
                let end = values.len() + width;
                values.extend_from_slice(cell.unwrap_or_default());
                values.resize(end, 0);
            }
        }
        values
    }

    fn texts(&mut self, ends: &mut Vec<i64>) -> Vec<u8> {
        let mut values = Vec::new();
        while let Some(block) = self.next() {
            block.iter().flatten().filter_map(|cell| cell.first()).for_each(fetch);
            let mut end = values.len();
            values.resize(end + block.iter().flatten().map(|cell| cell.len()).sum::<usize>(), 0);
            for cell in block {
                let cell = cell.unwrap_or_default();
                put(&mut values[end..end + cell.len()], cell);
                end += cell.len();
                ends.push(end as i64);
            }
        }
        // Room that was taken in advance is given back.
        values.shrink_to_fit();
        values
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

fn narrow(ends: &[i64]) -> Result<OffsetBuffer<i32>, Error> {
    let too_long = |_| Error::Arrow { kind: "a text column is too long for its 32-bit offsets" };
    let ends = ends.iter().map(|end| i32::try_from(*end).map_err(too_long)).collect::<Result<Vec<_>, _>>()?;
    Ok(OffsetBuffer::new(ScalarBuffer::from(ends)))
}

fn wide(ends: Vec<i64>) -> OffsetBuffer<i64> {
    OffsetBuffer::new(ScalarBuffer::from(ends))
}
