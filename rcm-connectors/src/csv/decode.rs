//! From a laid-out text to a batch, a column after the other.

use super::cells::{Kind, boolean, date, date_by, decimal, float, in_unit, time, time_by, whole};
use super::columns::{Column, Columns};
use super::reader::{PAD, Piece};
use super::scan::{Layout, Record};
use super::{Cut, Reject, Rows};
use arrow::array::{
    Array, ArrayRef, BooleanArray, BooleanBufferBuilder, Decimal128Array, PrimitiveArray, RecordBatch,
    RecordBatchOptions, StringArray, make_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{ArrowPrimitiveType, Date32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use rcm_core::Problem;
use std::sync::Arc;

/// Texts of so many bytes, most of them, are copied without a call.
const SHORT: usize = 16;

/// Decodes a text: what can be a row is one, everything else a reject.
pub(super) fn decode(piece: &Piece, columns: &Columns, cut: &Cut, place: &str) -> Result<Rows, Problem> {
    let mut rejects = Vec::new();
    if piece.is_part {
        let what = format!("a record longer than {} MiB, of which this is a part", super::reader::LONGEST_RECORD >> 20);
        let text = &piece.text[..piece.text.len() - PAD];
        let raw = text.strip_suffix(b"\n").or(text.strip_suffix(b"\r")).unwrap_or(text).to_vec();
        let (row, line) = (piece.records + 1, piece.lines + 1);
        rejects.push(Reject { row, line, byte: piece.byte, what, raw });
    }
    let records = if piece.is_part { &[] } else { piece.layout.records.as_slice() };
    let reject = |n: usize, what: String| {
        let record = &records[n];
        Reject {
            row: piece.records + n as u64 + 1,
            line: piece.lines + u64::from(record.line) + 1,
            byte: piece.byte + u64::from(record.start),
            what,
            raw: piece.text[record.start as usize..record.end as usize].to_vec(),
        }
    };
    let is_utf8 = piece.text.is_ascii() || std::str::from_utf8(&piece.text).is_ok();
    let mut good: Vec<u32> = Vec::with_capacity(records.len());
    for (n, record) in records.iter().enumerate() {
        match fault(piece, record, columns, is_utf8) {
            None => good.push(n as u32),
            Some(what) => rejects.push(reject(n, what)),
        }
    }
    let firsts: Vec<u32> = good.iter().map(|n| records[*n as usize].first).collect();
    let table = Table { text: &piece.text, layout: &piece.layout, firsts, cut };
    let (mut wrong, mut scratch): (Vec<Option<String>>, _) = (Vec::new(), Vec::new());
    let mut arrays = Vec::with_capacity(columns.read.len());
    for column in &columns.read {
        let array = table.array(column, &mut scratch, &mut |row| {
            wrong.resize(good.len(), None);
            let what = || format!("column `{}`: expected {}", column.field.name(), column.kind.expected());
            wrong[row].get_or_insert_with(what);
        });
        arrays.push(array.map_err(|e| Problem::storage(place, e))?);
    }
    let rows: Vec<i64> = good.iter().map(|n| (piece.records + u64::from(*n) + 1) as i64).collect();
    let line = |n: &u32| (piece.lines + u64::from(records[*n as usize].line) + 1) as i64;
    let lines: Vec<i64> = good.iter().map(line).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(good.len()));
    let batch = |arrays| RecordBatch::try_new_with_options(columns.schema().clone(), arrays, &options);
    if wrong.is_empty() {
        let batch = batch(arrays).map_err(|e| Problem::storage(place, e))?;
        return Ok(Rows { batch, rows, lines, rejects });
    }
    // Values that are wrong are null so far, also where the schema knows none.
    let loose = RecordBatch::try_from_iter_with_nullable(
        columns.read.iter().zip(arrays).map(|(column, array)| (column.field.name(), array, true)),
    );
    let is_right: BooleanArray = wrong.iter().map(|what| Some(what.is_none())).collect();
    let right = loose.and_then(|loose| filter_record_batch(&loose, &is_right));
    let options = RecordBatchOptions::new().with_row_count(Some(is_right.true_count()));
    let batch = right.and_then(|right| {
        RecordBatch::try_new_with_options(columns.schema().clone(), right.columns().to_vec(), &options)
    });
    rejects.extend(wrong.iter().zip(&good).filter_map(|(what, n)| Some(reject(*n as usize, what.clone()?))));
    rejects.sort_by_key(|reject| reject.row);
    let keep = |all: Vec<i64>| all.into_iter().zip(&wrong).filter(|(_, what)| what.is_none()).map(|(n, _)| n).collect();
    Ok(Rows { batch: batch.map_err(|e| Problem::storage(place, e))?, rows: keep(rows), lines: keep(lines), rejects })
}

fn fault(piece: &Piece, record: &Record, columns: &Columns, is_utf8: bool) -> Option<String> {
    let width = columns.width;
    if let Some(fault) = record.fault {
        return Some(fault.what().to_owned());
    }
    if record.fields as usize != width {
        let plural = if record.fields == 1 { "" } else { "s" };
        return Some(format!("{} field{plural}, expected {width}", record.fields));
    }
    let raw = &piece.text[record.start as usize..record.end as usize];
    if !is_utf8 && std::str::from_utf8(raw).is_err() {
        return Some("bytes that are no UTF-8".to_owned());
    }
    columns.refused.clone()
}

/// Appends the value of a cell: without its quotes.
pub(super) fn unquoted(cell: &[u8], cut: &Cut, value: &mut Vec<u8>) {
    let (Some(quote), Some(mut rest)) = (cut.quote, inner(cell, cut.quote)) else {
        return value.extend_from_slice(cell);
    };
    while let Some(at) = rest.iter().position(|byte| *byte == quote || Some(*byte) == cut.escape) {
        value.extend_from_slice(&rest[..at]);
        // The second of two quotes, or what is escaped.
        value.extend(rest.get(at + 1));
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    value.extend_from_slice(rest);
}

/// What stands between quotes.
#[inline]
fn inner(cell: &[u8], quote: Option<u8>) -> Option<&[u8]> {
    match (cell, quote) {
        ([first, inner @ .., last], Some(quote)) if *first == quote && *last == quote => Some(inner),
        _ => None,
    }
}

impl Layout {
    /// Field n of a record.
    #[inline]
    pub(super) fn cell<'t>(&self, text: &'t [u8], record: &Record, n: usize) -> &'t [u8] {
        let (start, end) = self.span(record.first, n);
        &text[start..end]
    }

    #[inline]
    fn span(&self, first: u32, n: usize) -> (usize, usize) {
        let at = first as usize + n;
        let &[before, end] = &self.ends[at - 1..=at] else { return (0, 0) };
        (before.wrapping_add(1) as usize, end as usize)
    }
}

/// The good records of a text.
struct Table<'a> {
    text: &'a [u8],
    layout: &'a Layout,
    firsts: Vec<u32>,
    cut: &'a Cut,
}

impl Table<'_> {
    /// A column; which rows are wrong is told, and they are null.
    fn array(
        &self,
        column: &Column,
        scratch: &mut Vec<u8>,
        wrong: &mut dyn FnMut(usize),
    ) -> Result<ArrayRef, ArrowError> {
        let kind = &column.kind;
        Ok(match kind {
            Kind::Raw => Arc::new(self.texts(column, false, scratch, wrong)?),
            Kind::Text => Arc::new(self.texts(column, true, scratch, wrong)?),
            Kind::Boolean => {
                let (values, nulls) = self.values(column, boolean, wrong);
                Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls))
            }
            Kind::Int16 => self.numbers::<Int16Type>(column, |cell| whole(cell)?.try_into().ok(), wrong),
            Kind::Int32 => self.numbers::<Int32Type>(column, |cell| whole(cell)?.try_into().ok(), wrong),
            Kind::Int64 => self.numbers::<Int64Type>(column, whole, wrong),
            Kind::Float64 => self.numbers::<Float64Type>(column, float, wrong),
            Kind::Decimal { precision, scale } => {
                let (values, nulls) = self.values(column, |cell| decimal(cell, *precision, *scale), wrong);
                let array = Decimal128Array::new(values.into(), nulls);
                Arc::new(array.with_precision_and_scale(*precision, *scale as i8)?)
            }
            Kind::Date { format: None } => self.numbers::<Date32Type>(column, date, wrong),
            Kind::Date { format: Some(format) } => {
                self.numbers::<Date32Type>(column, |cell| date_by(cell, format), wrong)
            }
            Kind::Timestamp { unit, is_zoned, format } => {
                let time = |cell: &[u8]| match format {
                    None => in_unit(time(cell, *is_zoned)?, *unit),
                    Some(format) => in_unit(time_by(cell, format, *is_zoned)?, *unit),
                };
                let (values, nulls) = self.values(column, time, wrong);
                // As the numbers that it is made of.
                let numbers = PrimitiveArray::<Int64Type>::new(values.into(), nulls).into_data();
                make_array(numbers.into_builder().data_type(column.field.data_type().clone()).build()?)
            }
        })
    }

    fn numbers<T: ArrowPrimitiveType>(
        &self,
        column: &Column,
        parse: impl Fn(&[u8]) -> Option<T::Native>,
        wrong: &mut dyn FnMut(usize),
    ) -> ArrayRef {
        let (values, nulls) = self.values(column, parse, wrong);
        Arc::new(PrimitiveArray::<T>::new(values.into(), nulls))
    }

    /// Values, and which of them are there.
    fn values<T: Default>(
        &self,
        column: &Column,
        parse: impl Fn(&[u8]) -> Option<T>,
        wrong: &mut dyn FnMut(usize),
    ) -> (Vec<T>, Option<NullBuffer>) {
        let mut values = Vec::with_capacity(self.firsts.len());
        let mut nothing = Vec::new();
        for (row, first) in self.firsts.iter().enumerate() {
            let (start, end) = self.layout.span(*first, column.place);
            let cell = &self.text[start..end];
            let cell = inner(cell, self.cut.quote).unwrap_or(cell);
            let value = parse(cell).or_else(|| parse(cell.trim_ascii()));
            if value.is_none() {
                nothing.push(row);
                if !cell.trim_ascii().is_empty() {
                    wrong(row);
                }
            }
            values.push(value.unwrap_or_default());
        }
        (values, self.nulls(column, &nothing, wrong))
    }

    /// Texts. Where there are nulls, nothing is null and two quotes are an empty text.
    fn texts(
        &self,
        column: &Column,
        has_nulls: bool,
        values: &mut Vec<u8>,
        wrong: &mut dyn FnMut(usize),
    ) -> Result<StringArray, ArrowError> {
        // No value is longer than its field.
        values.resize(self.text.len() + PAD, 0);
        let mut offsets = vec![0; self.firsts.len() + 1];
        let has_nothing = if self.layout.has_inner {
            self.unquoted(column.place, values, &mut offsets[1..])
        } else {
            self.plain(column.place, values, &mut offsets[1..])
        };
        let len = offsets[self.firsts.len()] as usize;
        let mut nothing = Vec::new();
        if has_nulls && has_nothing {
            let spans = self.firsts.iter().map(|first| self.layout.span(*first, column.place));
            nothing.extend(spans.enumerate().filter(|(_, (start, end))| start == end).map(|(row, _)| row));
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        StringArray::try_new(offsets, Buffer::from(&values[..len]), self.nulls(column, &nothing, wrong))
    }

    /// The values of fields in which no quote is doubled or escaped, and where each ends; whether nothing stands anywhere.
    fn plain(&self, place: usize, values: &mut [u8], ends: &mut [i32]) -> bool {
        // What is no byte of a text is never found.
        let quote = self.cut.quote.unwrap_or(0xFF);
        let (text, mut len, mut has_nothing) = (self.text, 0, false);
        for (first, offset) in self.firsts.iter().zip(ends) {
            let (start, end) = self.layout.span(*first, place);
            // Behind an empty field stands no quote, but what ends it.
            let Some(head) = text[start..].first_chunk::<PAD>() else { break };
            let quotes = usize::from(head[0] == quote);
            let size = end - start - 2 * quotes;
            // Most texts are short: a fixed number of bytes is copied without a call.
            values[len..len + SHORT].copy_from_slice(&head[quotes..quotes + SHORT]);
            if size > SHORT {
                values[len..len + size].copy_from_slice(&text[start + quotes..end - quotes]);
            }
            len += size;
            has_nothing |= start == end;
            *offset = len as i32;
        }
        has_nothing
    }

    /// The same where some are.
    fn unquoted(&self, place: usize, values: &mut [u8], ends: &mut [i32]) -> bool {
        let (mut len, mut has_nothing, mut value) = (0, false, Vec::new());
        for (first, offset) in self.firsts.iter().zip(ends) {
            let (start, end) = self.layout.span(*first, place);
            value.clear();
            unquoted(&self.text[start..end], self.cut, &mut value);
            values[len..len + value.len()].copy_from_slice(&value);
            len += value.len();
            has_nothing |= start == end;
            *offset = len as i32;
        }
        has_nothing
    }

    fn nulls(&self, column: &Column, nothing: &[usize], wrong: &mut dyn FnMut(usize)) -> Option<NullBuffer> {
        if nothing.is_empty() {
            return None;
        }
        if !column.field.is_nullable() {
            nothing.iter().for_each(|row| wrong(*row));
        }
        let mut there = BooleanBufferBuilder::new(self.firsts.len());
        there.append_n(self.firsts.len(), true);
        nothing.iter().for_each(|row| there.set_bit(*row, false));
        Some(NullBuffer::new(there.finish()))
    }
}
