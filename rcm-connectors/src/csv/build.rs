//! The columns of a batch, as they grow.

use super::Cut;
use super::cells::{Kind, boolean, decimal, float, whole};
use super::columns::{Column, Columns};
use super::decode::{inner, unquoted};
use super::reader::PAD;
use super::scan::Layout;
use super::times::{date, date_by, in_unit, time, time_by};
use arrow::array::{
    Array, ArrayRef, BooleanArray, BooleanBufferBuilder, Decimal128Array, PrimitiveArray, StringArray, make_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{Date32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use std::sync::Arc;

/// Texts of so many bytes, most of them, are copied without a call.
const SHORT: usize = 16;

/// A text's columns so far.
pub(super) struct Table<'a> {
    text: &'a [u8],
    layout: &'a Layout,
    cut: &'a Cut,
    growing: Vec<Growing<'a>>,
    rows: usize,
    /// Of the rows that are appended: where their fields lie, and texts of a column.
    firsts: Vec<u32>,
    scratch: Vec<u8>,
}

/// Arrays, and what is wrong with which row; empty where nothing is.
pub(super) struct Built {
    pub(super) arrays: Vec<ArrayRef>,
    pub(super) wrong: Vec<Option<String>>,
}

struct Growing<'a> {
    column: &'a Column,
    values: Values,
    /// Rows without a value, and those whose value is wrong.
    nothing: Vec<usize>,
    wrong: Vec<usize>,
}

enum Values {
    Texts {
        bytes: Vec<u8>,
        ends: Vec<i32>,
    },
    Booleans(Vec<bool>),
    Shorts(Vec<i16>),
    /// Days too.
    Ints(Vec<i32>),
    /// Times too.
    Longs(Vec<i64>),
    Floats(Vec<f64>),
    Decimals {
        units: Vec<i128>,
        precision: u8,
        scale: u32,
    },
}

impl<'a> Table<'a> {
    pub(super) fn new(text: &'a [u8], layout: &'a Layout, cut: &'a Cut, columns: &'a Columns, rows: usize) -> Self {
        let growing = columns.read.iter().map(|column| Growing::new(column, rows)).collect();
        Table { text, layout, cut, growing, rows: 0, firsts: Vec::new(), scratch: Vec::new() }
    }

    /// Appends rows whose fields lie so.
    pub(super) fn append(&mut self, firsts: impl Iterator<Item = u32>) {
        self.firsts.clear();
        self.firsts.extend(firsts);
        let rows =
            Cells { text: self.text, layout: self.layout, cut: self.cut, firsts: &self.firsts, before: self.rows };
        for growing in &mut self.growing {
            growing.append(&rows, &mut self.scratch);
        }
        self.rows += self.firsts.len();
    }

    pub(super) fn finish(self) -> Result<Built, ArrowError> {
        let (mut arrays, mut wrong) = (Vec::with_capacity(self.growing.len()), Vec::new());
        for growing in self.growing {
            let column = growing.column;
            for row in &growing.wrong {
                wrong.resize(self.rows, None);
                let what = || format!("column `{}`: expected {}", column.field.name(), column.kind.expected());
                wrong[*row].get_or_insert_with(what);
            }
            arrays.push(growing.finish(self.rows)?);
        }
        Ok(Built { arrays, wrong })
    }
}

impl<'a> Growing<'a> {
    fn new(column: &'a Column, rows: usize) -> Self {
        let values = match &column.kind {
            Kind::Raw | Kind::Text => Values::Texts { bytes: Vec::new(), ends: vec![0; rows + 1] },
            Kind::Boolean => Values::Booleans(Vec::with_capacity(rows)),
            Kind::Int16 => Values::Shorts(Vec::with_capacity(rows)),
            Kind::Int32 | Kind::Date { .. } => Values::Ints(Vec::with_capacity(rows)),
            Kind::Int64 | Kind::Timestamp { .. } => Values::Longs(Vec::with_capacity(rows)),
            Kind::Float64 => Values::Floats(Vec::with_capacity(rows)),
            Kind::Decimal { precision, scale } => {
                Values::Decimals { units: Vec::with_capacity(rows), precision: *precision, scale: *scale }
            }
        };
        Growing { column, values, nothing: Vec::new(), wrong: Vec::new() }
    }

    fn append(&mut self, rows: &Cells<'_>, scratch: &mut Vec<u8>) {
        let Growing { column, values, nothing, wrong } = self;
        let place = column.place;
        let mut lacks = |row: usize, is_wrong: bool| {
            nothing.push(row);
            if is_wrong || !column.field.is_nullable() {
                wrong.push(row);
            }
        };
        match (&column.kind, values) {
            (kind, Values::Texts { bytes, ends }) => {
                rows.texts(place, scratch, bytes, ends);
                if rows.layout.has_empty && *kind == Kind::Text {
                    rows.spans(place).filter(|(_, start, end)| start == end).for_each(|(row, ..)| lacks(row, false));
                }
            }
            (_, Values::Booleans(values)) => rows.values(place, boolean, values, lacks),
            (_, Values::Shorts(values)) => rows.values(place, |cell| whole(cell)?.try_into().ok(), values, lacks),
            (Kind::Date { format: None }, Values::Ints(values)) => rows.values(place, date, values, lacks),
            (Kind::Date { format: Some(format) }, Values::Ints(values)) => {
                rows.values(place, |cell| date_by(cell, format), values, lacks);
            }
            (_, Values::Ints(values)) => rows.values(place, |cell| whole(cell)?.try_into().ok(), values, lacks),
            (Kind::Timestamp { unit, is_zoned, format }, Values::Longs(values)) => {
                let time = |cell: &[u8]| match format {
                    None => in_unit(time(cell, *is_zoned)?, *unit),
                    Some(format) => in_unit(time_by(cell, format, *is_zoned)?, *unit),
                };
                rows.values(place, time, values, lacks);
            }
            (_, Values::Longs(values)) => rows.values(place, whole, values, lacks),
            (_, Values::Floats(values)) => rows.values(place, float, values, lacks),
            (_, Values::Decimals { units, precision, scale }) => {
                let (precision, scale) = (*precision, *scale);
                rows.values(place, |cell| decimal(cell, precision, scale), units, lacks);
            }
        }
    }

    fn finish(self, rows: usize) -> Result<ArrayRef, ArrowError> {
        let nulls = (!self.nothing.is_empty()).then(|| {
            let mut there = BooleanBufferBuilder::new(rows);
            there.append_n(rows, true);
            self.nothing.iter().for_each(|row| there.set_bit(*row, false));
            NullBuffer::new(there.finish())
        });
        Ok(match (self.values, self.column.field.data_type()) {
            (Values::Texts { bytes, ends }, _) => {
                let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
                Arc::new(StringArray::try_new(ends, Buffer::from_vec(bytes), nulls)?)
            }
            (Values::Booleans(values), _) => Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls)),
            (Values::Shorts(values), _) => Arc::new(PrimitiveArray::<Int16Type>::new(values.into(), nulls)),
            (Values::Ints(values), arrow::datatypes::DataType::Date32) => {
                Arc::new(PrimitiveArray::<Date32Type>::new(values.into(), nulls))
            }
            (Values::Ints(values), _) => Arc::new(PrimitiveArray::<Int32Type>::new(values.into(), nulls)),
            (Values::Longs(values), data_type) => {
                // Times are the numbers that they are made of.
                let numbers = PrimitiveArray::<Int64Type>::new(values.into(), nulls).into_data();
                make_array(numbers.into_builder().data_type(data_type.clone()).build()?)
            }
            (Values::Floats(values), _) => Arc::new(PrimitiveArray::<Float64Type>::new(values.into(), nulls)),
            (Values::Decimals { units, .. }, data_type) => {
                Arc::new(Decimal128Array::new(units.into(), nulls).with_data_type(data_type.clone()))
            }
        })
    }
}

/// Some rows of a text.
struct Cells<'a> {
    text: &'a [u8],
    layout: &'a Layout,
    cut: &'a Cut,
    firsts: &'a [u32],
    /// Rows before them.
    before: usize,
}

impl Cells<'_> {
    /// Row, and where its field lies.
    fn spans(&self, place: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        self.firsts.iter().enumerate().map(move |(n, first)| {
            let (start, end) = self.layout.span(*first, place);
            (self.before + n, start, end)
        })
    }

    /// Appends parsed values; for a row that has none the default, and it is told whether something else stands there.
    #[inline]
    fn values<T: Copy + Default>(
        &self,
        place: usize,
        parse: impl Fn(&[u8]) -> Option<T>,
        values: &mut Vec<T>,
        mut lacks: impl FnMut(usize, bool),
    ) {
        let before = values.len();
        values.resize(before + self.firsts.len(), T::default());
        let (text, layout, quote) = (self.text, self.layout, self.cut.quote);
        for (n, (first, value)) in self.firsts.iter().zip(&mut values[before..]).enumerate() {
            let (start, end) = layout.span(*first, place);
            let cell = &text[start..end];
            let cell = inner(cell, quote).unwrap_or(cell);
            match parse(cell) {
                Some(parsed) => *value = parsed,
                None => {
                    let trimmed = cell.trim_ascii();
                    match if trimmed.len() < cell.len() { parse(trimmed) } else { None } {
                        Some(parsed) => *value = parsed,
                        None => lacks(self.before + n, !trimmed.is_empty()),
                    }
                }
            }
        }
    }

    /// Appends texts and where each ends.
    fn texts(&self, place: usize, scratch: &mut Vec<u8>, bytes: &mut Vec<u8>, ends: &mut [i32]) {
        if self.layout.has_inner {
            for (row, start, end) in self.spans(place) {
                unquoted(&self.text[start..end], self.cut, bytes);
                ends[row + 1] = bytes.len() as i32;
            }
            return;
        }
        // No text of a column is longer than the rows.
        let all = match (self.firsts.first(), self.firsts.last()) {
            (Some(first), Some(last)) => self.layout.span(*last, place).1 - self.layout.span(*first, place).0,
            _ => 0,
        };
        if scratch.len() < all + SHORT {
            scratch.resize(all + SHORT, 0);
        }
        let (ends, before) = (&mut ends[self.before + 1..], bytes.len() as i32);
        let len = match self.layout.all_quoted {
            true => self.quoted(place, scratch, ends, before),
            false => self.plain(place, scratch, ends, before),
        };
        if len > 0 {
            bytes.extend_from_slice(&scratch[..len]);
        }
    }

    /// The texts of fields in which no quote is doubled or escaped, one behind the other, and where each ends: how many bytes.
    #[inline(never)]
    fn plain(&self, place: usize, out: &mut [u8], ends: &mut [i32], before: i32) -> usize {
        // What is no byte of a text is never found.
        let quote = self.cut.quote.unwrap_or(0xFF);
        let (text, fields) = (self.text, self.layout.ends.as_slice());
        let mut len = 0;
        for (first, ended) in self.firsts.iter().zip(ends) {
            let Some(&[behind, end]) = fields.get(*first as usize + place - 1..).and_then(|rest| rest.first_chunk())
            else {
                break;
            };
            let (start, end) = (behind.wrapping_add(1) as usize, end as usize);
            let Some(head) = text.get(start..).and_then(|rest| rest.first_chunk::<PAD>()) else { break };
            // Behind an empty field stands no quote, but what ends it.
            let quotes = usize::from(head[0] == quote);
            let size = end - start - 2 * quotes;
            if size > SHORT {
                out[len..len + size].copy_from_slice(&text[start + quotes..end - quotes]);
            } else if size > 0 {
                // Most texts are short: a fixed number of bytes is copied without a call.
                out[len..len + SHORT].copy_from_slice(&head[quotes..quotes + SHORT]);
            }
            len += size;
            *ended = before + len as i32;
        }
        len
    }

    /// The same where every field stands in quotes: of an empty one nothing has to be looked at. (One function for both ways
    /// made either slower.)
    #[inline(never)]
    fn quoted(&self, place: usize, out: &mut [u8], ends: &mut [i32], before: i32) -> usize {
        let (text, fields) = (self.text, self.layout.ends.get(place..).unwrap_or_default());
        let mut len = 0;
        for (first, ended) in self.firsts.iter().zip(ends) {
            let field = fields.get(*first as usize - 1..).and_then(|rest| rest.first_chunk());
            let Some(&[behind, end]) = field else { break };
            let start = behind.wrapping_add(2) as usize;
            let size = end as usize - 1 - start;
            if size > 0 {
                match (text[start..].first_chunk::<SHORT>(), out[len..].first_chunk_mut()) {
                    (Some(text), Some(out)) if size <= SHORT => *out = *text,
                    _ => out[len..len + size].copy_from_slice(&text[start..start + size]),
                }
                len += size;
            }
            *ended = before + len as i32;
        }
        len
    }
}
