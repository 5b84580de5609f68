//! Cells into Arrow's builders. The driver decodes the wire, but checks no calendar: what is no value of its type is refused.

use super::catalog::Kind;
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder, Time64MicrosecondBuilder,
    Time64NanosecondBuilder, TimestampMicrosecondBuilder, UInt64Builder,
};
use arrow::datatypes::{FieldRef, SchemaRef};
use rcm_core::{Class, Problem};
use std::sync::Arc;
use tiberius::ColumnData;
use tiberius::time::{DateTime, DateTime2, Time};

/// Rows of a batch at most.
const ROWS: usize = 65_536;

const DAY: i64 = 86_400_000_000;
/// Days from the year 1, and from the year 1900, to the year 1970.
const SINCE_1: i64 = 719_162;
const SINCE_1900: i64 = 25_567;
/// From the year 1 to the end of 9999.
const DAYS: i64 = 3_652_059;

/// What a text holds where it was no UTF-16.
const REPLACED: char = '\u{FFFD}';

/// The rows of a batch in the making.
pub(super) struct Rows {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

struct Column {
    kind: Kind,
    builder: Builder,
    /// Texts that hold what was no UTF-16.
    replaced: u64,
}

enum Builder {
    Bool(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Date(Date32Builder),
    Micros(Time64MicrosecondBuilder),
    Nanos(Time64NanosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    RowVersion(UInt64Builder),
}

impl Rows {
    pub(super) fn new(schema: SchemaRef, kinds: &[Kind]) -> Rows {
        let column = |(kind, field): (&Kind, &FieldRef)| Column {
            kind: *kind,
            builder: Builder::of(*kind, field, 0, 0),
            replaced: 0,
        };
        let columns = kinds.iter().zip(schema.fields()).map(column).collect();
        Rows { columns, schema, rows: 0, bytes: 0 }
    }

    pub(super) fn is_full(&self, bytes: usize) -> bool {
        self.rows >= ROWS || self.bytes >= bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Takes a row; none where it cannot be one of the table.
    pub(super) fn push(&mut self, row: tiberius::Row) -> Option<()> {
        if row.len() != self.columns.len() {
            return None;
        }
        for (column, cell) in self.columns.iter_mut().zip(row) {
            self.bytes += column.push(&cell)?;
        }
        self.rows += 1;
        Some(())
    }

    /// Of each column, how many texts hold what was no UTF-16.
    pub(super) fn replaced(&self) -> impl Iterator<Item = u64> {
        self.columns.iter().map(|column| column.replaced)
    }

    /// The batch; what comes next begins another one.
    pub(super) fn finish(&mut self, place: &str) -> Result<RecordBatch, Problem> {
        // The next one will be about as large.
        let next = |(column, field): (&mut Column, &FieldRef)| {
            let bytes = column.builder.bytes();
            let array = column.builder.finish();
            column.builder = Builder::of(column.kind, field, self.rows, bytes);
            array
        };
        let arrays = self.columns.iter_mut().zip(self.schema.fields()).map(next).collect();
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new(self.schema.clone(), arrays).map_err(|_| {
            Problem::new(Class::Temporary, place, "the server sent nulls in a column that holds none").hint("run again")
        })
    }
}

impl Column {
    /// How many bytes it took; none where the cell is of another type than the column, or no value of it.
    fn push(&mut self, cell: &ColumnData<'_>) -> Option<usize> {
        match (&mut self.builder, cell) {
            (Builder::Bool(b), ColumnData::Bit(v)) => b.append_option(*v),
            (Builder::Int16(b), ColumnData::U8(v)) => b.append_option(v.map(i16::from)),
            (Builder::Int16(b), ColumnData::I16(v)) => b.append_option(*v),
            // What DATEPART gives.
            (Builder::Int16(b), ColumnData::I32(v)) if self.kind == Kind::Offset => {
                b.append_option(v.map(i16::try_from).transpose().ok()?);
            }
            (Builder::Int32(b), ColumnData::I32(v)) => b.append_option(*v),
            (Builder::Int64(b), ColumnData::I64(v)) => b.append_option(*v),
            (Builder::Float32(b), ColumnData::F32(v)) => b.append_option(*v),
            (Builder::Float64(b), ColumnData::F64(v)) => b.append_option(*v),
            (Builder::Decimal(b, precision, scale), ColumnData::Numeric(v)) => {
                let value = |v: &tiberius::numeric::Numeric| {
                    let fits = v.value().unsigned_abs() < 10_u128.pow(u32::from(*precision));
                    (v.scale() == *scale as u8 && fits).then(|| v.value())
                };
                b.append_option(match v {
                    Some(v) => Some(value(v)?),
                    None => None,
                });
            }
            (Builder::Date(b), ColumnData::Date(v)) => b.append_option(match v {
                Some(v) => Some(days(v.days())? as i32),
                None => None,
            }),
            (Builder::Micros(b), ColumnData::Time(v)) => b.append_option(match v {
                Some(v) => Some(time(v)? / 1000),
                None => None,
            }),
            (Builder::Nanos(b), ColumnData::Time(v)) => b.append_option(match v {
                Some(v) => Some(time(v)?),
                None => None,
            }),
            (Builder::Timestamp(b), cell) => b.append_option(self.kind.timestamp(cell)?),
            (Builder::Text(b), ColumnData::String(v)) => {
                let Some(text) = v else {
                    b.append_null();
                    return Some(0);
                };
                self.replaced += u64::from(text.contains(REPLACED));
                b.append_value(text);
                return Some(text.len());
            }
            (Builder::Text(b), ColumnData::Xml(v)) => match v {
                Some(xml) => {
                    let text: &str = xml.as_ref().as_ref();
                    b.append_value(text);
                    return Some(text.len());
                }
                None => b.append_null(),
            },
            (Builder::Text(b), ColumnData::Guid(v)) => match v {
                // As the server shows it.
                Some(guid) => b.append_value(guid.hyphenated().encode_upper(&mut [0; 36])),
                None => b.append_null(),
            },
            (Builder::Bytes(b), ColumnData::Binary(v)) => {
                b.append_option(v.as_deref());
                return Some(v.as_deref().map_or(0, <[u8]>::len));
            }
            (Builder::RowVersion(b), ColumnData::Binary(v)) => b.append_option(match v {
                Some(v) => Some(rowversion(v)?),
                None => None,
            }),
            _ => return None,
        }
        Some(8)
    }
}

impl Kind {
    /// Microseconds since 1970 of what has a day and a time, the seventh digit cut off.
    fn timestamp(self, cell: &ColumnData<'_>) -> Option<Option<i64>> {
        Some(match (self, cell) {
            (Kind::DateTime2(_), ColumnData::DateTime2(Some(v))) => Some(datetime2(v)?),
            // On the wire it is UTC already; the offset says what the wall clock showed.
            (Kind::DateTimeOffset(_), ColumnData::DateTimeOffset(Some(v))) if v.offset().unsigned_abs() <= 14 * 60 => {
                Some(datetime2(&v.datetime2())?)
            }
            (Kind::DateTime, ColumnData::DateTime(Some(v))) => Some(datetime(v)?),
            (Kind::SmallDateTime, ColumnData::SmallDateTime(Some(v))) => {
                let minutes = i64::from(v.seconds_fragments());
                if minutes >= 24 * 60 {
                    return None;
                }
                Some((i64::from(v.days()) - SINCE_1900) * DAY + minutes * 60_000_000)
            }
            (Kind::DateTime2(_), ColumnData::DateTime2(None))
            | (Kind::DateTimeOffset(_), ColumnData::DateTimeOffset(None))
            | (Kind::DateTime | Kind::SmallDateTime, ColumnData::DateTime(None) | ColumnData::SmallDateTime(None)) => {
                None
            }
            _ => return None,
        })
    }
}

/// Days since 1970.
fn days(since_1: u32) -> Option<i64> {
    let days = i64::from(since_1);
    (days < DAYS).then_some(days - SINCE_1)
}

/// Nanoseconds since midnight.
fn time(at: &Time) -> Option<i64> {
    let unit = 10_u64.checked_pow(9_u32.checked_sub(at.scale().into())?)?;
    let nanos = i64::try_from(at.increments().checked_mul(unit)?).ok()?;
    (nanos < DAY * 1000).then_some(nanos)
}

/// Microseconds since 1970.
pub(super) fn datetime2(at: &DateTime2) -> Option<i64> {
    Some(days(at.date().days())? * DAY + time(&at.time())? / 1000)
}

/// Microseconds since 1970 of a `datetime`, whose times are 300ths of a second.
pub(super) fn datetime(at: &DateTime) -> Option<i64> {
    let (days, ticks) = (i64::from(at.days()), i64::from(at.seconds_fragments()));
    // From 1753 to 9999.
    let is_one = (-53_690..=2_958_463).contains(&days) && ticks < 86_400 * 300;
    is_one.then(|| (days - SINCE_1900) * DAY + ticks * 1_000_000 / 300)
}

pub(super) fn rowversion(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

impl Builder {
    /// With room for so many rows, and so many bytes of what has no fixed length.
    fn of(kind: Kind, field: &FieldRef, rows: usize, bytes: usize) -> Builder {
        match kind {
            Kind::Bit => Builder::Bool(BooleanBuilder::with_capacity(rows)),
            Kind::TinyInt | Kind::SmallInt | Kind::Offset => Builder::Int16(Int16Builder::with_capacity(rows)),
            Kind::Int => Builder::Int32(Int32Builder::with_capacity(rows)),
            Kind::BigInt => Builder::Int64(Int64Builder::with_capacity(rows)),
            Kind::Real => Builder::Float32(Float32Builder::with_capacity(rows)),
            Kind::Float => Builder::Float64(Float64Builder::with_capacity(rows)),
            Kind::Decimal(precision, scale) => {
                let builder = Decimal128Builder::with_capacity(rows).with_data_type(field.data_type().clone());
                Builder::Decimal(builder, precision, scale)
            }
            Kind::Date => Builder::Date(Date32Builder::with_capacity(rows)),
            Kind::Time(7) => Builder::Nanos(Time64NanosecondBuilder::with_capacity(rows)),
            Kind::Time(_) => Builder::Micros(Time64MicrosecondBuilder::with_capacity(rows)),
            Kind::DateTime | Kind::SmallDateTime | Kind::DateTime2(_) | Kind::DateTimeOffset(_) => {
                let builder = TimestampMicrosecondBuilder::with_capacity(rows);
                Builder::Timestamp(builder.with_data_type(field.data_type().clone()))
            }
            Kind::Guid | Kind::Text | Kind::Xml => Builder::Text(StringBuilder::with_capacity(rows, bytes)),
            Kind::Bytes => Builder::Bytes(BinaryBuilder::with_capacity(rows, bytes)),
            Kind::RowVersion => Builder::RowVersion(UInt64Builder::with_capacity(rows)),
        }
    }

    /// Of what has no fixed length.
    fn bytes(&self) -> usize {
        match self {
            Builder::Text(b) => b.values_slice().len(),
            Builder::Bytes(b) => b.values_slice().len(),
            _ => 0,
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Bool(b) => Arc::new(b.finish()),
            Builder::Int16(b) => Arc::new(b.finish()),
            Builder::Int32(b) => Arc::new(b.finish()),
            Builder::Int64(b) => Arc::new(b.finish()),
            Builder::Float32(b) => Arc::new(b.finish()),
            Builder::Float64(b) => Arc::new(b.finish()),
            Builder::Decimal(b, ..) => Arc::new(b.finish()),
            Builder::Date(b) => Arc::new(b.finish()),
            Builder::Micros(b) => Arc::new(b.finish()),
            Builder::Nanos(b) => Arc::new(b.finish()),
            Builder::Timestamp(b) => Arc::new(b.finish()),
            Builder::Text(b) => Arc::new(b.finish()),
            Builder::Bytes(b) => Arc::new(b.finish()),
            Builder::RowVersion(b) => Arc::new(b.finish()),
        }
    }
}
