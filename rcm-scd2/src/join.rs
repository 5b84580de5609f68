use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use rayon::prelude::*;

use crate::cells::Column;
use crate::columns::index;
use crate::history::{self, Intervals, Row, check_keys};
use crate::index::Index;
use crate::space::Space;
use crate::{Error, Spec};

const FACTS: &str = "facts";
/// The name of the instant of a fact, beside the names of the keys.
const AT: &str = "_at";

/// For each fact the position (over all batches of history) of the version of its key that is valid at its instant; null
/// where there is none, where the key or the instant is null, and where the key was deleted.
///
/// `keys` are the columns of the facts that hold the keys of the spec, in their order; `at` is the column with the
/// instant: a date, or a timestamp (one without a zone is read as UTC).
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray};
/// use rcm_scd2::{Spec, as_of_join};
///
/// # let instants = |values: Vec<Option<i64>>| -> ArrayRef {
/// #     Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
/// # };
/// # let texts = |values: Vec<&str>| -> ArrayRef { Arc::new(StringArray::from(values)) };
/// let spec = Spec::snapshot(["id"]).build()?;
/// let history = RecordBatch::try_from_iter_with_nullable([
///     ("id", texts(vec!["a", "a"]), false),
///     ("valid_from", instants(vec![Some(1), Some(5)]), false),
///     ("valid_to", instants(vec![Some(5), None]), true),
///     ("is_current", Arc::new(BooleanArray::from(vec![false, true])), false),
/// ]).unwrap();
/// let claims = RecordBatch::try_from_iter([
///     ("patient", texts(vec!["a", "a", "a", "b"])),
///     ("paid_at", instants(vec![Some(0), Some(4), Some(5), Some(5)])),
/// ]).unwrap();
/// let rows = as_of_join(&spec, &[history], &[claims], &["patient"], "paid_at")?;
/// assert_eq!(rows.iter().collect::<Vec<_>>(), [None, Some(0), Some(1), None]);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
///
/// # Errors
/// As many `keys` as the spec has are needed; columns that are missing or of a type that does not fit; an instant out of
/// range; history that breaks a law.
pub fn as_of_join(
    spec: &Spec,
    history: &[RecordBatch],
    facts: &[RecordBatch],
    keys: &[&str],
    at: &str,
) -> Result<UInt64Array, Error> {
    if keys.len() != spec.keys().len() {
        return Err(Error::KeyCount { found: keys.len(), expected: spec.keys().len() });
    }
    let facts = facts.iter().map(|batch| renamed(spec, batch, keys, at)).collect::<Result<Vec<_>, _>>()?;
    let space = Space::new(&[(history::PLACE, history), (FACTS, &facts)])?;
    let (versions, facts) = (space.section(0), space.section(1));
    // Facts know their columns by names of their own.
    let named = |name: &str, to: &str| {
        space.column(name, if name == AT { &[1] } else { &[0, 1] }).map_err(|error| in_facts(error, to))
    };
    let keys: Vec<Column> =
        spec.keys().iter().zip(keys).map(|(name, to)| named(name, to)).collect::<Result<_, Error>>()?;
    check_keys(spec, history::PLACE, versions, &keys)?;
    let intervals = Intervals::of(spec, versions)?;
    let instants = named(AT, at)?;
    if !matches!(instants.data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) | DataType::Null) {
        let expected = "a date or a timestamp".to_owned();
        return Err(Error::ColumnType { place: FACTS, column: at.to_owned(), found: instants.data_type, expected });
    }

    let index = Index::build(&keys, &[], &[facts], versions.rows(), &|_| true);
    let mut rows: Vec<(u32, Row)> =
        index.find_all(versions).into_par_iter().map(|(rep, at)| (rep, intervals.row(at))).collect();
    rows.par_sort_unstable_by_key(|(rep, row)| (*rep, row.from, row.at));
    for same in rows.chunk_by(|a, b| a.0 == b.0) {
        let of_key: Vec<Row> = same.iter().map(|(_, row)| *row).collect();
        crate::history::check_neighbours(versions, &of_key)?;
    }
    let places: Vec<(u32, crate::cells::At)> = index.rep_of_rows().into_iter().zip(facts.all()).collect();
    let name = at;
    let find = |(row, (rep, at)): (usize, &(u32, crate::cells::At))| {
        let whole = spec.null_keys_as_value || keys.iter().all(|key| !key.is_null(*at));
        if !whole || instants.is_null(*at) {
            return Ok(None);
        }
        let data_type = DataType::Timestamp(TimeUnit::Microsecond, None);
        let out_of_range = |()| Error::OutOfRange { place: FACTS, column: name.to_owned(), row, data_type };
        let instant = instants.micros(*at).map_err(out_of_range)?;
        let behind = rows.partition_point(|(other, version)| (*other, version.from) <= (*rep, instant));
        let version = behind.checked_sub(1).map(|last| rows[last]).filter(|(other, _)| other == rep);
        let version = version.filter(|(_, version)| version.covers(instant) && !version.deleted);
        Ok(version.map(|(_, version)| versions.position(version.at) as u64))
    };
    places.par_iter().enumerate().map(find).collect::<Result<Vec<_>, _>>().map(UInt64Array::from)
}

/// An error about a column of the facts, under the name that it has there.
fn in_facts(error: Error, name: &str) -> Error {
    let column = name.to_owned();
    match error {
        Error::OutOfRange { place: FACTS, row, data_type, .. } => {
            Error::OutOfRange { place: FACTS, column, row, data_type }
        }
        Error::ColumnType { place: FACTS, found, expected, .. } => {
            Error::ColumnType { place: FACTS, column, found, expected }
        }
        Error::UnsupportedType { place: FACTS, found, .. } => Error::UnsupportedType { place: FACTS, column, found },
        other => other,
    }
}

/// The facts' columns that count, under the names of the spec.
fn renamed(spec: &Spec, batch: &RecordBatch, keys: &[&str], at: &str) -> Result<RecordBatch, Error> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (name, to) in keys.iter().copied().chain([at]).zip(spec.keys().iter().map(String::as_str).chain([AT])) {
        let column = batch.column(index(FACTS, batch, name)?);
        fields.push(Field::new(to, column.data_type().clone(), true));
        columns.push(Arc::clone(column));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
