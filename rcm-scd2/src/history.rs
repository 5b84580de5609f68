//! The intervals of history, and the laws they keep.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use rayon::prelude::*;

use crate::cells::{At, Column};
use crate::columns::index;
use crate::index::Index;
use crate::near::fetch;
use crate::space::{Section, Space};
use crate::spec::{IS_CURRENT, IS_DELETED, IS_INFERRED, VALID_FROM, VALID_TO};
use crate::{Error, Fault, Spec};

pub(crate) const PLACE: &str = "history";

/// The metadata columns of history by batch: what is said in them has been checked row by row.
#[derive(Debug)]
pub(crate) struct Intervals {
    batches: Vec<Batch>,
}

#[derive(Debug)]
struct Batch {
    from: TimestampMicrosecondArray,
    to: TimestampMicrosecondArray,
    current: BooleanArray,
    deleted: Option<BooleanArray>,
    inferred: Option<BooleanArray>,
}

/// A row of history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) at: At,
    pub(crate) from: i64,
    /// `None`: it is current.
    pub(crate) to: Option<i64>,
    pub(crate) deleted: bool,
    pub(crate) inferred: bool,
}

impl Row {
    /// Current, of a key that exists.
    pub(crate) fn is_live(&self) -> bool {
        self.to.is_none() && !self.deleted && !self.inferred
    }

    pub(crate) fn covers(&self, instant: i64) -> bool {
        self.from <= instant && self.to.is_none_or(|to| instant < to)
    }
}

impl Intervals {
    /// Reads and checks the rows of history, which is the first section.
    pub(crate) fn of(spec: &Spec, history: &Section) -> Result<Self, Error> {
        let spans: Vec<_> = history.spans().map(|(_, rows)| rows.start).zip(history.batches()).collect();
        let read = |(first, batch): &(usize, &RecordBatch)| {
            let read = Batch {
                from: instants(batch, VALID_FROM)?,
                to: instants(batch, VALID_TO)?,
                current: flags(batch, IS_CURRENT)?,
                deleted: if spec.markers() { Some(flags(batch, IS_DELETED)?) } else { None },
                inferred: optional_flags(batch, IS_INFERRED)?,
            };
            match read.fault(spec.open_valid_to()) {
                Some((row, fault)) => Err(Error::BrokenHistory { row: first + row, fault }),
                None => Ok(read),
            }
        };
        Ok(Intervals { batches: spans.par_iter().with_max_len(1).map(read).collect::<Result<_, _>>()? })
    }

    #[inline]
    pub(crate) fn is_current(&self, at: At) -> bool {
        self.batches[at.batch as usize].current.values().value(at.row as usize)
    }

    /// Whether the row is a marker, or inferred.
    #[inline]
    pub(crate) fn is_special(&self, at: At) -> bool {
        let (batch, row) = (&self.batches[at.batch as usize], at.row as usize);
        [&batch.deleted, &batch.inferred].into_iter().flatten().any(|flags| flags.values().value(row))
    }

    /// Asks for the instants of a row.
    #[inline]
    pub(crate) fn fetch(&self, at: At) {
        let (batch, row) = (&self.batches[at.batch as usize], at.row as usize);
        fetch(&batch.from.values()[row]);
    }

    #[inline]
    pub(crate) fn row(&self, at: At) -> Row {
        let (batch, row) = (&self.batches[at.batch as usize], at.row as usize);
        let flag = |flags: &Option<BooleanArray>| flags.as_ref().is_some_and(|flags| flags.values().value(row));
        Row {
            at,
            from: batch.from.values()[row],
            to: (!batch.current.values().value(row)).then(|| batch.to.values()[row]),
            deleted: flag(&batch.deleted),
            inferred: flag(&batch.inferred),
        }
    }
}

impl Batch {
    /// The first row in which the metadata contradict each other.
    fn fault(&self, open: Option<i64>) -> Option<(usize, Fault)> {
        let null = |flags: &Option<BooleanArray>| flags.as_ref().is_some_and(|flags| flags.null_count() > 0);
        let rows = 0..self.from.len();
        let fault = |row: usize| {
            let to = self.to.is_valid(row).then(|| self.to.value(row));
            if self.from.is_null(row) {
                Some(Fault::NullValidFrom)
            } else if self.current.is_null(row)
                || self.current.value(row) != (to == open)
                || to.is_none() && open.is_some()
            {
                Some(Fault::CurrentFlag)
            } else if to.is_some_and(|to| to <= self.from.value(row)) {
                Some(Fault::EmptyInterval)
            } else if [&self.deleted, &self.inferred].into_iter().flatten().any(|flags| flags.is_null(row)) {
                Some(Fault::NullFlag)
            } else {
                None
            }
        };
        let whole = self.from.null_count() == 0 && self.current.null_count() == 0;
        if whole && !null(&self.deleted) && !null(&self.inferred) && self.agrees(open) {
            return None;
        }
        rows.into_iter().find_map(|row| fault(row).map(|fault| (row, fault)))
    }

    /// Whether ends and flags say the same in all rows: 64 at a time, without a branch per row.
    fn agrees(&self, open: Option<i64>) -> bool {
        let valid =
            self.to.nulls().map_or_else(|| BooleanBuffer::new_set(self.to.len()), |nulls| nulls.inner().clone());
        let (current, valid) = (self.current.values().bit_chunks(), valid.bit_chunks());
        let times = self.from.values().chunks(64).zip(self.to.values().chunks(64));
        times.zip(current.iter_padded().zip(valid.iter_padded())).all(|((from, to), (current, valid))| {
            let all = u64::MAX >> (64 - from.len());
            if open.is_none() && valid == 0 {
                // All are open: nothing has to be read.
                return current == all;
            }
            let (mut empty, mut opened) = (0, 0);
            for (bit, (from, to)) in from.iter().zip(to).enumerate() {
                empty |= u64::from(to <= from) << bit;
                opened |= u64::from(Some(*to) == open) << bit;
            }
            let opened = if open.is_some() { opened } else { !valid & all };
            empty & valid == 0 && opened == current && (open.is_none() || valid == all)
        })
    }
}

/// Checks the rows of one key, in order of `valid_from`.
pub(crate) fn check_neighbours(history: &Section, rows: &[Row]) -> Result<(), Error> {
    for pair in rows.windows(2) {
        let other = history.position(pair[0].at);
        let fault = match pair[0].to {
            Some(to) if to <= pair[1].from => continue,
            None if pair[1].to.is_none() => Fault::TwoCurrent { other },
            _ => Fault::Overlap { other },
        };
        return Err(Error::BrokenHistory { row: history.position(pair[1].at), fault });
    }
    Ok(())
}

/// The key columns of history have nulls only where null is a value.
pub(crate) fn check_keys(spec: &Spec, place: &'static str, section: &Section, keys: &[Column]) -> Result<(), Error> {
    if spec.null_keys_as_value {
        return Ok(());
    }
    let null = |(batch, rows): (u32, std::ops::Range<usize>)| {
        let pieces = || keys.iter().filter_map(|key| key.pieces.get(batch as usize));
        if pieces().all(|piece| !piece.may_have_nulls()) {
            return None;
        }
        (0..rows.len()).find(|row| pieces().any(|piece| piece.value(*row).is_none())).map(|row| rows.start + row)
    };
    match section.spans().find_map(null) {
        Some(row) if place == PLACE => Err(Error::BrokenHistory { row, fault: Fault::NullKey }),
        Some(row) => Err(Error::BrokenHidden { row, fault: Fault::NullKey }),
        None => Ok(()),
    }
}

/// Checks that the intervals of a key neither overlap nor are empty, that a key has at most one current row, and that
/// `is_current` says whether `valid_to` is that of an open version.
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray};
/// use rcm_scd2::{Spec, verify};
///
/// let spec = Spec::snapshot(["id"]).build()?;
/// let history = RecordBatch::try_from_iter([
///     ("id", Arc::new(StringArray::from(vec!["a", "a"])) as ArrayRef),
///     ("valid_from", Arc::new(TimestampMicrosecondArray::from(vec![1, 5]).with_timezone("UTC"))),
///     ("valid_to", Arc::new(TimestampMicrosecondArray::from(vec![Some(6), None]).with_timezone("UTC"))),
///     ("is_current", Arc::new(BooleanArray::from(vec![false, true]))),
/// ]).unwrap();
/// let error = verify(&spec, &[history]).unwrap_err();
/// assert_eq!(error.to_string(), "history: row 1: overlaps row 0 of the same key");
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
///
/// # Errors
/// [`Error::BrokenHistory`] for a row that breaks one of these; a missing or ill-typed column.
pub fn verify(spec: &Spec, history: &[RecordBatch]) -> Result<(), Error> {
    let space = Space::new(&[(PLACE, history)])?;
    let section = space.section(0);
    let keys = space.columns(spec.keys(), &[0])?;
    check_keys(spec, PLACE, section, &keys)?;
    check_all(section, &keys, &Intervals::of(spec, section)?, |_| true)
}

/// Checks the rows of all keys of which some row is `touched`.
pub(crate) fn check_all(
    history: &Section,
    keys: &[Column],
    intervals: &Intervals,
    touched: impl Fn(&Row) -> bool + Sync,
) -> Result<(), Error> {
    let is_touched = |row: usize| touched(&intervals.row(history.at(row)));
    let index = Index::build(keys, &[], &[history], history.rows(), &is_touched);
    let mut rows: Vec<(u32, Row)> =
        index.find_all(history).into_par_iter().map(|(rep, at)| (rep, intervals.row(at))).collect();
    rows.par_sort_unstable_by_key(|(rep, row)| (*rep, row.from, row.at));
    let mut of_key: Vec<Row> = Vec::new();
    for same in rows.chunk_by(|a, b| a.0 == b.0) {
        of_key.clear();
        of_key.extend(same.iter().map(|(_, row)| *row));
        check_neighbours(history, &of_key)?;
    }
    Ok(())
}

fn instants(batch: &RecordBatch, name: &str) -> Result<TimestampMicrosecondArray, Error> {
    let column = batch.column(index(PLACE, batch, name)?);
    match column.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(column.as_primitive::<TimestampMicrosecondType>().clone()),
        found => Err(wrong_type(name, found, "Timestamp(us, \"UTC\")")),
    }
}

fn flags(batch: &RecordBatch, name: &str) -> Result<BooleanArray, Error> {
    let column = batch.column(index(PLACE, batch, name)?);
    column.as_boolean_opt().cloned().ok_or_else(|| wrong_type(name, column.data_type(), "Boolean"))
}

fn optional_flags(batch: &RecordBatch, name: &str) -> Result<Option<BooleanArray>, Error> {
    let there = batch.schema_ref().fields().iter().any(|field| field.name() == name);
    if there { flags(batch, name).map(Some) } else { Ok(None) }
}

fn wrong_type(name: &str, found: &DataType, expected: &str) -> Error {
    Error::ColumnType { place: PLACE, column: name.to_owned(), found: found.clone(), expected: expected.to_owned() }
}
