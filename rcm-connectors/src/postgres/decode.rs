//! Fields of tuples into Arrow's builders.

use super::catalog::Kind;
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder, Time64MicrosecondBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, FieldRef, SchemaRef, i256};
use rcm_core::{Class, Problem};
use std::fmt::Write as _;
use std::sync::Arc;

/// Rows of a batch at most.
const ROWS: usize = 65_536;

/// From the year 1970 to the year 2000.
const DAYS: i32 = 10_957;
const MICROSECONDS: i64 = 946_684_800_000_000;
const DAY: i64 = 86_400_000_000;

/// Days from the year 2000 to the year 260,000: Arrow's calendar ends behind it, and PostgreSQL's goes on.
const LAST_DAY: i32 = 94_200_000;

/// The rows of a batch in the making.
pub(super) struct Rows {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
    /// Where the fields of a tuple lie; none: null.
    fields: Vec<Option<(usize, usize)>>,
}

struct Column {
    kind: Kind,
    builder: Builder,
    /// Values that Arrow has none for.
    unheld: u64,
}

enum Builder {
    Bool(BooleanBuilder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Decimal128(Decimal128Builder, i8),
    Decimal256(Decimal256Builder, i8),
    Digits(StringBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Bytes(BinaryBuilder),
    Uuid(StringBuilder),
    Jsonb(StringBuilder),
    Text(StringBuilder),
}

impl Rows {
    pub(super) fn new(schema: SchemaRef, kinds: &[Kind]) -> Rows {
        let types = schema.fields().iter().map(|field| field.data_type());
        let column = |(kind, data_type): (&Kind, _)| {
            let builder = Builder::of(*kind, data_type, 0, 0);
            Column { kind: *kind, builder, unheld: 0 }
        };
        let columns = kinds.iter().zip(types).map(column).collect();
        Rows { columns, schema, rows: 0, bytes: 0, fields: Vec::new() }
    }

    pub(super) fn is_full(&self, bytes: usize) -> bool {
        self.rows >= ROWS || self.bytes >= bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Takes a tuple's fields: what is behind it; none where it is not there as a whole; no result where it cannot be right.
    pub(super) fn push<'a>(&mut self, fields: i16, tuple: &'a [u8]) -> Option<Option<&'a [u8]>> {
        if usize::try_from(fields) != Ok(self.columns.len()) {
            return None;
        }
        self.fields.clear();
        let mut at = 0;
        for _ in 0..fields {
            let Some(length) = tuple.get(at..at + 4) else { return Some(None) };
            let length = i32::from_be_bytes(length.try_into().ok()?);
            at += 4;
            match usize::try_from(length) {
                Ok(length) if at + length > tuple.len() => return Some(None),
                Ok(length) => {
                    self.fields.push(Some((at, at + length)));
                    at += length;
                }
                Err(_) if length == -1 => self.fields.push(None),
                Err(_) => return None,
            }
        }
        for (column, field) in self.columns.iter_mut().zip(&self.fields) {
            match *field {
                None => column.builder.push_null(),
                Some((from, to)) => {
                    if !column.builder.push(&tuple[from..to])? {
                        column.unheld += 1;
                        column.builder.push_null();
                    }
                }
            }
        }
        (self.rows, self.bytes) = (self.rows + 1, self.bytes + at);
        Some(Some(&tuple[at..]))
    }

    /// Of each column, how many values Arrow has no value for.
    pub(super) fn unheld(&self) -> impl Iterator<Item = u64> {
        self.columns.iter().map(|column| column.unheld)
    }

    /// The batch; what comes next begins another one.
    pub(super) fn finish(&mut self, place: &str) -> Result<RecordBatch, Problem> {
        // The next one will be about as large.
        let next = |(column, field): (&mut Column, &FieldRef)| {
            let bytes = column.builder.bytes();
            let array = column.builder.finish();
            column.builder = Builder::of(column.kind, field.data_type(), self.rows, bytes);
            array
        };
        let arrays = self.columns.iter_mut().zip(self.schema.fields()).map(next).collect();
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new(self.schema.clone(), arrays).map_err(|_| {
            Problem::new(Class::Temporary, place, "the server sent nulls in a column that holds none").hint("run again")
        })
    }
}

impl Builder {
    /// With room for so many rows, and so many bytes of what has no fixed length.
    fn of(kind: Kind, data_type: &DataType, rows: usize, bytes: usize) -> Builder {
        let text = || StringBuilder::with_capacity(rows, bytes);
        match (kind, data_type) {
            (Kind::Bool, _) => Builder::Bool(BooleanBuilder::with_capacity(rows)),
            (Kind::Int2, _) => Builder::Int2(Int16Builder::with_capacity(rows)),
            (Kind::Int4, _) => Builder::Int4(Int32Builder::with_capacity(rows)),
            (Kind::Int8, _) => Builder::Int8(Int64Builder::with_capacity(rows)),
            (Kind::Float4, _) => Builder::Float4(Float32Builder::with_capacity(rows)),
            (Kind::Float8, _) => Builder::Float8(Float64Builder::with_capacity(rows)),
            (_, DataType::Decimal128(_, scale)) => {
                Builder::Decimal128(Decimal128Builder::with_capacity(rows).with_data_type(data_type.clone()), *scale)
            }
            (_, DataType::Decimal256(_, scale)) => {
                Builder::Decimal256(Decimal256Builder::with_capacity(rows).with_data_type(data_type.clone()), *scale)
            }
            (Kind::Digits, _) => Builder::Digits(text()),
            (Kind::Date, _) => Builder::Date(Date32Builder::with_capacity(rows)),
            (Kind::Time, _) => Builder::Time(Time64MicrosecondBuilder::with_capacity(rows)),
            (Kind::Timestamp { .. }, _) => {
                Builder::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(data_type.clone()))
            }
            (Kind::Bytes, _) => Builder::Bytes(BinaryBuilder::with_capacity(rows, bytes)),
            (Kind::Uuid, _) => Builder::Uuid(text()),
            (Kind::Jsonb, _) => Builder::Jsonb(text()),
            (Kind::Text | Kind::AsText | Kind::Decimal(..) | Kind::Money, _) => Builder::Text(text()),
        }
    }

    /// Of what has no fixed length.
    fn bytes(&self) -> usize {
        match self {
            Builder::Bytes(b) => b.values_slice().len(),
            Builder::Digits(b) | Builder::Uuid(b) | Builder::Jsonb(b) | Builder::Text(b) => b.values_slice().len(),
            _ => 0,
        }
    }

    fn push_null(&mut self) {
        match self {
            Builder::Bool(b) => b.append_null(),
            Builder::Int2(b) => b.append_null(),
            Builder::Int4(b) => b.append_null(),
            Builder::Int8(b) => b.append_null(),
            Builder::Float4(b) => b.append_null(),
            Builder::Float8(b) => b.append_null(),
            Builder::Decimal128(b, _) => b.append_null(),
            Builder::Decimal256(b, _) => b.append_null(),
            Builder::Date(b) => b.append_null(),
            Builder::Time(b) => b.append_null(),
            Builder::Timestamp(b) => b.append_null(),
            Builder::Bytes(b) => b.append_null(),
            Builder::Digits(b) | Builder::Uuid(b) | Builder::Jsonb(b) | Builder::Text(b) => b.append_null(),
        }
    }

    /// Whether Arrow has a value for this one; none where it cannot be one of the type.
    fn push(&mut self, field: &[u8]) -> Option<bool> {
        match self {
            Builder::Bool(b) => b.append_value(u8::from_be_bytes(field.try_into().ok()?) != 0),
            Builder::Int2(b) => b.append_value(i16::from_be_bytes(field.try_into().ok()?)),
            Builder::Int4(b) => b.append_value(i32::from_be_bytes(field.try_into().ok()?)),
            Builder::Int8(b) => b.append_value(i64::from_be_bytes(field.try_into().ok()?)),
            Builder::Float4(b) => b.append_value(f32::from_be_bytes(field.try_into().ok()?)),
            Builder::Float8(b) => b.append_value(f64::from_be_bytes(field.try_into().ok()?)),
            Builder::Decimal128(b, scale) => {
                let number = Numeric::of(field)?;
                let Some(value) = number.small(*scale) else { return Some(false) };
                b.append_value(value);
            }
            Builder::Decimal256(b, scale) => {
                let number = Numeric::of(field)?;
                let Some(value) = number.big(*scale) else { return Some(false) };
                b.append_value(value);
            }
            Builder::Digits(b) => {
                Numeric::of(field)?.text(b);
                b.append_value("");
            }
            Builder::Date(b) => match i32::from_be_bytes(field.try_into().ok()?) {
                i32::MIN | i32::MAX => return Some(false),
                days if days.abs() > LAST_DAY => return Some(false),
                days => b.append_value(days + DAYS),
            },
            Builder::Time(b) => match i64::from_be_bytes(field.try_into().ok()?) {
                DAY => return Some(false),
                at => b.append_value(at),
            },
            Builder::Timestamp(b) => match i64::from_be_bytes(field.try_into().ok()?) {
                i64::MIN | i64::MAX => return Some(false),
                at if at.abs() > i64::from(LAST_DAY) * DAY => return Some(false),
                at => b.append_value(at + MICROSECONDS),
            },
            Builder::Bytes(b) => b.append_value(field),
            Builder::Uuid(b) => {
                let bytes: [u8; 16] = field.try_into().ok()?;
                for (place, byte) in bytes.iter().enumerate() {
                    let dash = if [4, 6, 8, 10].contains(&place) { "-" } else { "" };
                    write!(b, "{dash}{byte:02x}").ok()?;
                }
                b.append_value("");
            }
            Builder::Jsonb(b) => match field {
                // The only version there is.
                [1, json @ ..] => b.append_value(std::str::from_utf8(json).ok()?),
                _ => return None,
            },
            Builder::Text(b) => b.append_value(std::str::from_utf8(field).ok()?),
        }
        Some(true)
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Bool(b) => Arc::new(b.finish()),
            Builder::Int2(b) => Arc::new(b.finish()),
            Builder::Int4(b) => Arc::new(b.finish()),
            Builder::Int8(b) => Arc::new(b.finish()),
            Builder::Float4(b) => Arc::new(b.finish()),
            Builder::Float8(b) => Arc::new(b.finish()),
            Builder::Decimal128(b, _) => Arc::new(b.finish()),
            Builder::Decimal256(b, _) => Arc::new(b.finish()),
            Builder::Date(b) => Arc::new(b.finish()),
            Builder::Time(b) => Arc::new(b.finish()),
            Builder::Timestamp(b) => Arc::new(b.finish()),
            Builder::Bytes(b) => Arc::new(b.finish()),
            Builder::Digits(b) | Builder::Uuid(b) | Builder::Jsonb(b) | Builder::Text(b) => Arc::new(b.finish()),
        }
    }
}

/// A `numeric` on the wire: digits to the base 10,000, the first of which counts 10,000 to a power.
struct Numeric<'a> {
    digits: &'a [u8],
    /// The power of the first digit.
    weight: i32,
    sign: u16,
    /// Decimal digits behind the point, as they are shown.
    shown: usize,
}

const NEGATIVE: u16 = 0x4000;
/// NaN and the infinities have signs of their own.
const NOT_FINITE: u16 = 0x8000;

impl<'a> Numeric<'a> {
    fn of(field: &'a [u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes(field.get(at..at + 2)?.try_into().ok()?));
        let (count, weight, sign, shown) = (word(0)?, word(2)? as i16, word(4)?, word(6)?);
        let digits = field.get(8..)?;
        let is_right = digits.len() == usize::from(count) * 2 && shown < 1 << 14;
        is_right.then_some(Numeric { digits, weight: i32::from(weight), sign, shown: usize::from(shown) })
    }

    /// The digit that counts 10,000 to a power.
    fn digit(&self, power: i32) -> u16 {
        let at = usize::try_from(self.weight - power).ok().and_then(|at| self.digits.get(at * 2..at * 2 + 2));
        at.map_or(0, |digit| u16::from_be_bytes([digit[0], digit[1]]))
    }

    /// The value in units of a scale. What lies behind the scale is cut off: of a column with a scale there is nothing.
    fn small(&self, scale: i8) -> Option<i128> {
        let mut value: i128 = 0;
        self.walk(scale, |unit, digit| {
            value = value.checked_mul(i128::from(unit))?.checked_add(i128::from(digit))?;
            Some(())
        })?;
        Some(if self.sign == NEGATIVE { -value } else { value })
    }

    fn big(&self, scale: i8) -> Option<i256> {
        let mut value = i256::ZERO;
        self.walk(scale, |unit, digit| {
            value = value.checked_mul(i256::from_i128(unit.into()))?.checked_add(i256::from_i128(digit.into()))?;
            Some(())
        })?;
        Some(if self.sign == NEGATIVE { value.wrapping_neg() } else { value })
    }

    /// Gives the digits down to a scale, each with the unit by which what came before it counts more.
    fn walk(&self, scale: i8, mut take: impl FnMut(u16, u16) -> Option<()>) -> Option<()> {
        if self.sign & NOT_FINITE != 0 {
            return None;
        }
        let scale = i32::from(scale);
        // The last power that lies in the scale as a whole, and how many decimal digits of the next do.
        let (last, rest) = (-(scale / 4), scale % 4);
        for power in (last..=self.weight.max(last)).rev() {
            take(10_000, self.digit(power))?;
        }
        if rest > 0 {
            let unit = 10_u16.pow(rest as u32);
            take(unit, self.digit(last - 1) / (10_000 / unit))?;
        }
        Some(())
    }

    /// As PostgreSQL shows it.
    fn text(&self, into: &mut StringBuilder) {
        // Writing to a builder does not fail.
        let _ = match self.sign {
            0xC000 => into.write_str("NaN"),
            0xD000 => into.write_str("Infinity"),
            0xF000 => into.write_str("-Infinity"),
            sign => self.digits(sign == NEGATIVE, into),
        };
    }

    fn digits(&self, is_negative: bool, into: &mut StringBuilder) -> std::fmt::Result {
        if is_negative {
            into.write_char('-')?;
        }
        write!(into, "{}", self.digit(self.weight.max(0)))?;
        for power in (0..self.weight.max(0)).rev() {
            write!(into, "{:04}", self.digit(power))?;
        }
        let mut left = self.shown;
        for power in 1.. {
            if left == 0 {
                return Ok(());
            }
            if power == 1 {
                into.write_char('.')?;
            }
            let (digit, width) = (self.digit(-power), left.min(4));
            write!(into, "{:0width$}", digit / 10_u16.pow(4 - width as u32))?;
            left -= width;
        }
        Ok(())
    }
}
