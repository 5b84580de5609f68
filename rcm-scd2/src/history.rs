//! The intervals of history, and the laws they keep.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};

use crate::columns::{first_null, index, one, types};
use crate::rows::Encoder;
use crate::spec::{IS_CURRENT, VALID_FROM, VALID_TO};
use crate::{Error, Fault, Spec};

pub(crate) const PLACE: &str = "history";

/// The half-open interval of a row of history, by its position over all batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) row: usize,
    pub(crate) from: i64,
    pub(crate) to: Option<i64>,
}

/// The intervals of a batch whose first row has the position `offset`.
pub(crate) fn intervals(batch: &RecordBatch, offset: usize) -> Result<Vec<Interval>, Error> {
    let from = instants(batch, VALID_FROM)?;
    let to = instants(batch, VALID_TO)?;
    let (from, to) = (from.as_primitive::<TimestampMicrosecondType>(), to.as_primitive::<TimestampMicrosecondType>());
    let current = batch.column(index(PLACE, batch, IS_CURRENT)?);
    let Some(current) = current.as_boolean_opt() else {
        return Err(wrong_type(IS_CURRENT, current, "Boolean"));
    };
    let interval = |at: usize| {
        let row = offset + at;
        let broken = |fault| Err(Error::BrokenHistory { row, fault });
        let interval = Interval { row, from: from.value(at), to: to.is_valid(at).then(|| to.value(at)) };
        if from.is_null(at) {
            broken(Fault::NullValidFrom)
        } else if interval.to.is_some_and(|to| to <= interval.from) {
            broken(Fault::EmptyInterval)
        } else if current.is_null(at) || current.value(at) != interval.to.is_none() {
            broken(Fault::CurrentFlag)
        } else {
            Ok(interval)
        }
    };
    (0..batch.num_rows()).map(interval).collect()
}

/// The key columns of a batch of history, without nulls.
pub(crate) fn keys(
    batch: &RecordBatch,
    offset: usize,
    names: &[String],
    types: &[DataType],
) -> Result<Vec<ArrayRef>, Error> {
    let columns = names.iter().zip(types).map(|(name, data_type)| one(PLACE, batch, name, data_type));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    match first_null(&columns) {
        Some(at) => Err(Error::BrokenHistory { row: offset + at, fault: Fault::NullKey }),
        None => Ok(columns),
    }
}

/// Batches with the position of their first row.
pub(crate) fn with_offsets(history: &[RecordBatch]) -> Vec<(usize, &RecordBatch)> {
    let mut next = 0;
    let offset = |batch| {
        let offset = next;
        next += RecordBatch::num_rows(batch);
        (offset, batch)
    };
    history.iter().map(offset).collect()
}

/// Checks two neighbours of one key, in order of `valid_from`.
pub(crate) fn check_neighbours(a: &Interval, b: &Interval) -> Result<(), Error> {
    let fault = match a.to {
        Some(to) if to <= b.from => return Ok(()),
        None if b.to.is_none() => Fault::TwoCurrent { other: a.row },
        _ => Fault::Overlap { other: a.row },
    };
    Err(Error::BrokenHistory { row: b.row, fault })
}

/// Checks that the intervals of a key neither overlap nor are empty, that a key has at most one current row, and that
/// `is_current` says whether `valid_to` is null.
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
/// [`Error::BrokenHistory`] for the first row, in order of keys, that breaks one of these; a missing or ill-typed column.
pub fn verify(spec: &Spec, history: &[RecordBatch]) -> Result<(), Error> {
    let types = types(spec.keys(), &[(PLACE, history)])?;
    let encoder = Encoder::new(&types)?;
    let mut batches = Vec::new();
    for (offset, batch) in with_offsets(history) {
        let keys = encoder.encode(&keys(batch, offset, spec.keys(), &types)?)?;
        batches.push((keys, intervals(batch, offset)?));
    }
    let mut rows = Vec::new();
    for (keys, intervals) in &batches {
        rows.extend(intervals.iter().enumerate().map(|(at, interval)| (keys.get(at), interval)));
    }
    rows.sort_unstable_by_key(|(key, interval)| (*key, interval.from, interval.row));
    let mut pairs = rows.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    pairs.try_for_each(|pair| check_neighbours(pair[0].1, pair[1].1))
}

fn instants(batch: &RecordBatch, name: &str) -> Result<ArrayRef, Error> {
    let column = batch.column(index(PLACE, batch, name)?);
    match column.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(ArrayRef::clone(column)),
        _ => Err(wrong_type(name, column, "Timestamp(us, \"UTC\")")),
    }
}

fn wrong_type(name: &str, column: &ArrayRef, expected: &str) -> Error {
    Error::ColumnType {
        place: PLACE,
        column: name.to_owned(),
        found: column.data_type().clone(),
        expected: expected.to_owned(),
    }
}
