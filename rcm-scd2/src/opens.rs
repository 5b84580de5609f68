//! The versions that a merge opens, and the batch that they become.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use rayon::prelude::*;

use crate::cells::{At, Column};
use crate::gather::gather;
use crate::spec::{IS_CURRENT, IS_DELETED, IS_INFERRED, VALID_FROM, VALID_TO};
use crate::{Error, Spec};

/// The metadata of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) to: Option<i64>,
    pub(crate) deleted: bool,
    pub(crate) inferred: bool,
}

/// Versions to open: for each its metadata, and for each slot the place of its cells. A slot is a group of columns whose
/// cells always come from one place; the first is that of the keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opens {
    pub(crate) spans: Vec<Span>,
    pub(crate) places: Vec<At>,
}

impl Opens {
    pub(crate) fn push(&mut self, span: Span, places: impl IntoIterator<Item = At>) {
        self.spans.push(span);
        self.places.extend(places);
    }

    /// Puts them in the order in which their keys lie, so that their cells are read from front to back.
    pub(crate) fn sort(&mut self, slots: usize) {
        let keys = self.places.iter().step_by(slots).copied();
        let mut order: Vec<(At, u32)> = keys.zip(0..).collect();
        order.par_sort_unstable();
        let rows = || order.iter().map(|(_, row)| *row as usize);
        self.places = rows().flat_map(|row| &self.places[row * slots..(row + 1) * slots]).copied().collect();
        self.spans = rows().map(|row| self.spans[row]).collect();
    }

    pub(crate) fn concat(parts: Vec<Opens>) -> Opens {
        let (spans, places): (Vec<_>, Vec<_>) = parts.into_iter().map(|part| (part.spans, part.places)).unzip();
        Opens { spans: spans.concat(), places: places.concat() }
    }
}

pub(crate) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The stored columns of a table: those that every row of history has, in its order, but for the metadata.
pub(crate) struct Stored<'a> {
    /// Each with the slot that its cells come from.
    pub(crate) columns: Vec<(&'a Column, usize)>,
    pub(crate) slots: usize,
    /// Whether the table has [`IS_INFERRED`].
    pub(crate) inferred: bool,
}

impl Stored<'_> {
    pub(crate) fn batch(&self, spec: &Spec, opens: &Opens) -> Result<RecordBatch, Error> {
        let rows = opens.spans.len();
        let slots = self.slots;
        let one = |(column, slot): &(&Column, usize)| {
            let (places, slot) = (&opens.places, *slot);
            gather(column, (0..rows).map(move |row| places[row * slots + slot]))
        };
        let cells = || self.columns.par_iter().with_max_len(1).map(one).collect::<Result<Vec<ArrayRef>, _>>();
        let (cells, metadata) = rayon::join(cells, || self.metadata(spec, &opens.spans));
        let keys = spec.keys().len();
        let nullable = |at: usize| at >= keys || spec.null_keys_as_value;
        let field = |(at, (column, _)): (usize, &(&Column, usize))| {
            Field::new(&column.name, column.data_type.clone(), nullable(at))
        };
        let columns = self.columns.iter().enumerate().map(field).zip(cells?).chain(metadata);
        let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.unzip();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }

    fn metadata(&self, spec: &Spec, spans: &[Span]) -> Vec<(Field, ArrayRef)> {
        let from = TimestampMicrosecondArray::from_iter_values(spans.iter().map(|span| span.from));
        let to: TimestampMicrosecondArray = spans.iter().map(|span| span.to.or(spec.open_valid_to())).collect();
        let flag = |name: &str, of: fn(&Span) -> bool| {
            let flags: BooleanArray = spans.iter().map(of).collect::<Vec<_>>().into();
            (Field::new(name, DataType::Boolean, false), Arc::new(flags) as ArrayRef)
        };
        let mut columns: Vec<(Field, ArrayRef)> = vec![
            (Field::new(VALID_FROM, instant(), false), Arc::new(from.with_timezone("UTC"))),
            (Field::new(VALID_TO, instant(), true), Arc::new(to.with_timezone("UTC"))),
            flag(IS_CURRENT, |span| span.to.is_none()),
        ];
        if spec.markers() {
            columns.push(flag(IS_DELETED, |span| span.deleted));
        }
        if self.inferred {
            columns.push(flag(IS_INFERRED, |span| span.inferred));
        }
        columns
    }
}
