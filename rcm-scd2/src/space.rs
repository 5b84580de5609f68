//! All rows of a merge in one numbering: a section each for history, hidden state, the load and so on.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::DataType;

use crate::Error;
use crate::cells::{At, Column, Piece};
use crate::columns::{common, convert, index, plain, same_bytes, unsupported};

/// Where rows come from.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    /// The word for it in messages.
    pub(crate) place: &'static str,
    batches: &'a [RecordBatch],
    /// Number of its first batch.
    first: usize,
    /// Position of the first row of each batch, and the number of rows.
    starts: Vec<usize>,
    /// The batch of every [`STRIDE`]th row.
    hints: Vec<u32>,
}

type Found<'a> = (&'static str, usize, &'a ArrayRef, DataType);

/// One hint for so many rows: few enough hints that they stay in a near cache.
const STRIDE: usize = 1024;

/// Sections, in the order in which they were given.
#[derive(Debug)]
pub(crate) struct Space<'a>(Vec<Section<'a>>);

impl<'a> Space<'a> {
    pub(crate) fn new(sections: &[(&'static str, &'a [RecordBatch])]) -> Result<Self, Error> {
        let (mut first, mut rows) = (0, 0);
        let section = |(place, batches): &(&'static str, &'a [RecordBatch])| {
            let (mut starts, mut hints) = (vec![0], Vec::new());
            for (number, batch) in batches.iter().enumerate() {
                let end = starts[number] + batch.num_rows();
                starts.push(end);
                hints.resize(end.div_ceil(STRIDE), number as u32);
            }
            let section = Section { place, batches, first, starts, hints };
            first += batches.len();
            rows += section.rows();
            section
        };
        let space = Space(sections.iter().map(section).collect());
        // Positions and numbers of batches are 32 bits wide, and one value means "none".
        if rows.max(first) >= u32::MAX as usize { Err(Error::TooManyRows { rows }) } else { Ok(space) }
    }

    pub(crate) fn section(&self, section: usize) -> &Section<'a> {
        &self.0[section]
    }

    /// The arrays of a column by batch, with place, position of their first row and type without encoding; each of those
    /// `needed` must have it.
    fn arrays(&self, name: &str, needed: &[usize]) -> Result<Vec<Option<Found<'a>>>, Error> {
        let mut arrays = Vec::new();
        for (number, section) in self.0.iter().enumerate() {
            for (batch, first) in section.batches.iter().zip(&section.starts) {
                let needed = needed.contains(&number);
                if !needed && batch.schema_ref().fields().iter().all(|field| field.name() != name) {
                    arrays.push(None);
                    continue;
                }
                let array = batch.column(index(section.place, batch, name)?);
                let found =
                    plain(array.data_type()).ok_or_else(|| unsupported(section.place, name, array.data_type()))?;
                arrays.push(Some((section.place, *first, array, found)));
            }
        }
        Ok(arrays)
    }

    /// Whether columns are where they are needed, and of types that are taken.
    pub(crate) fn check<'n>(&self, names: impl IntoIterator<Item = &'n String>, needed: &[usize]) -> Result<(), Error> {
        names.into_iter().try_for_each(|name| self.arrays(name, needed).map(drop))
    }

    /// A column over all sections, in the narrowest type that holds the values of all; it must be in those `needed`.
    pub(crate) fn column(&self, name: &str, needed: &[usize]) -> Result<Column, Error> {
        let arrays = self.arrays(name, needed)?;
        let types = arrays.iter().flatten().map(|(place, _, array, found)| (*place, array.data_type(), found));
        let data_type = common(name, types)?;
        let piece = |array: Option<Found>| {
            let Some((place, first, array, _)) = array else { return Ok(Piece::Missing) };
            let unsupported = || unsupported(place, name, array.data_type());
            match same_bytes(array.data_type(), &data_type) {
                true => Piece::of(array).ok_or_else(unsupported),
                false => Piece::of(&convert(place, first, array, name, &data_type)?).ok_or_else(unsupported),
            }
        };
        let pieces = arrays.into_iter().map(piece).collect::<Result<_, _>>()?;
        Ok(Column::new(name, data_type, pieces))
    }

    pub(crate) fn columns<'n>(
        &self,
        names: impl IntoIterator<Item = &'n String>,
        needed: &[usize],
    ) -> Result<Vec<Column>, Error> {
        names.into_iter().map(|name| self.column(name, needed)).collect()
    }
}

impl<'a> Section<'a> {
    pub(crate) fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    pub(crate) fn batches(&self) -> &'a [RecordBatch] {
        self.batches
    }

    /// The place of a row by its position in the section.
    pub(crate) fn at(&self, position: usize) -> At {
        let hint = |stride: usize| self.hints.get(stride).map(|batch| *batch as usize);
        let first = hint(position / STRIDE).unwrap_or_default();
        let last = hint(position / STRIDE + 1).unwrap_or(self.batches.len() - 1);
        // Batches without rows start where the next one does.
        let batch = first + self.starts[first + 1..=last].partition_point(|start| *start <= position);
        At { batch: (self.first + batch) as u32, row: (position - self.starts[batch]) as u32 }
    }

    /// Whether the row is in this section.
    pub(crate) fn contains(&self, at: At) -> bool {
        (self.first..self.first + self.batches.len()).contains(&(at.batch as usize))
    }

    /// The position of one of its rows in the section.
    pub(crate) fn position(&self, at: At) -> usize {
        self.starts[at.batch as usize - self.first] + at.row as usize
    }

    /// For each batch its number over all sections, and the positions of its rows in this one.
    pub(crate) fn spans(&self) -> impl Iterator<Item = (u32, Range<usize>)> + '_ {
        self.starts.windows(2).enumerate().map(|(at, ends)| ((self.first + at) as u32, ends[0]..ends[1]))
    }

    /// Spans, cut into pieces of at most so many rows: the number of the batch, the position of its first row in this
    /// section, and rows of the batch; in order.
    pub(crate) fn pieces(&self, rows: usize) -> Vec<(u32, usize, Range<usize>)> {
        let cut = |(batch, span): (u32, Range<usize>)| {
            let firsts = (0..span.len()).step_by(rows);
            firsts.map(move |first| (batch, span.start, first..span.len().min(first + rows)))
        };
        self.spans().flat_map(cut).collect()
    }

    /// The places of all rows, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = At> + '_ {
        self.spans().flat_map(|(batch, rows)| (0..rows.len() as u32).map(move |row| At { batch, row }))
    }

    /// Whether some batch has the column.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.batches.iter().any(|batch| batch.schema_ref().fields().iter().any(|field| field.name() == name))
    }
}
