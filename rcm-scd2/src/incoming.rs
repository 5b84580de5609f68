//! The rows of a load: what is needed of them, and what is wrong with them by themselves.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, TimeUnit};

use crate::cells::{At, Column, signed};
use crate::feed::Event;
use crate::index::Index;
use crate::space::{Section, Space};
use crate::spec::METADATA;
use crate::{Complete, Error, Load, Mode, RefusalCode, Refused, Spec, Value, When};

pub(crate) const PLACE: &str = "load";
pub(crate) const WITHHELD: &str = "withheld";

/// Sequences and delete flags of the rows of a load.
#[derive(Default)]
pub(crate) struct Incoming {
    /// The sequence columns of the spec, over all sections.
    pub(crate) sequence: Vec<Column>,
    /// The first of them, in microseconds; 0 where it is null. Empty where there is none.
    pub(crate) instants: Vec<i64>,
    /// Which rows are deletes; empty where none can be.
    pub(crate) deletes: Vec<bool>,
    null_keys_as_value: bool,
}

impl Incoming {
    /// Reads the load, which is the section of this number.
    pub(crate) fn read(spec: &Spec, space: &Space, load: usize) -> Result<Self, Error> {
        let section = space.section(load);
        check_roles(spec, sequence_of(spec), section)?;
        let sequence = space.columns(sequence_of(spec), &[load])?;
        let instants = sequence.first().map_or(Ok(Vec::new()), |first| instants(spec, first, section))?;
        let deletes = spec.when().map_or(Ok(Vec::new()), |when| deletes(when, space, load))?;
        Ok(Incoming { sequence, instants, deletes, null_keys_as_value: spec.null_keys_as_value })
    }

    /// What is wrong with a row by itself.
    fn bad(&self, keys: &[Column], at: At) -> Option<RefusalCode> {
        if !self.null_keys_as_value && keys.iter().any(|key| key.is_null(at)) {
            return Some(RefusalCode::NullKey);
        }
        self.sequence.iter().any(|column| column.is_null(at)).then_some(RefusalCode::NullSequence)
    }

    /// The rows that are bad by themselves. A batch without nulls is not looked through.
    pub(crate) fn all_bad<'a>(
        &'a self,
        keys: &'a [Column],
        load: &'a Section,
    ) -> impl Iterator<Item = (usize, RefusalCode)> + 'a {
        let columns = if self.null_keys_as_value { &[] } else { keys };
        let columns = columns.iter().chain(&self.sequence);
        let nulls = move |batch: u32| columns.clone().any(|column| column.piece(batch).may_have_nulls());
        load.spans().filter(move |(batch, _)| nulls(*batch)).flat_map(move |(batch, rows)| {
            let bad = move |row: usize| self.bad(keys, At { batch, row: row as u32 });
            (0..rows.len()).filter_map(move |row| bad(row).map(|code| (rows.start + row, code)))
        })
    }

    pub(crate) fn is_delete(&self, row: usize) -> bool {
        self.deletes.get(row).copied().unwrap_or(false)
    }

    /// The row as an event of a feed.
    pub(crate) fn event(&self, at: At, row: usize) -> Event {
        Event {
            at: self.instants[row],
            delete: self.is_delete(row),
            tracked: at,
            rest: at,
            further: at,
            hidden: None,
            load: Some(row as u32),
        }
    }
}

/// The sequence columns that a load has.
fn sequence_of(spec: &Spec) -> &[String] {
    match spec.mode() {
        Mode::Feed { sequence, .. } => sequence,
        Mode::Snapshot { .. } => spec.stored_sequence(),
    }
}

/// What the first sequence column says, in microseconds.
fn instants(spec: &Spec, column: &Column, load: &Section) -> Result<Vec<i64>, Error> {
    if !matches!(column.data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) | DataType::Null) {
        let (found, expected) = (column.data_type.clone(), "a date or a timestamp".to_owned());
        return Err(Error::ColumnType { place: PLACE, column: column.name.clone(), found, expected });
    }
    let data_type = DataType::Timestamp(TimeUnit::Microsecond, None);
    let out_of_range = |row| Error::OutOfRange { place: PLACE, column: column.name.clone(), row, data_type };
    let read = |(row, at)| column.micros(at).map_err(|()| row);
    let instants = load.all().enumerate().map(read).collect::<Result<Vec<_>, _>>().map_err(out_of_range)?;
    if let (Mode::Feed { .. }, Some(open)) = (spec.mode(), spec.open_valid_to())
        && let Some(row) = instants.iter().position(|instant| *instant >= open)
    {
        return Err(Error::BeyondOpenEnd { place: PLACE, row: Some(row) });
    }
    Ok(instants)
}

/// What can be said of the columns of a load, the first section, and of what was withheld, without history, whose types may
/// decide what fits.
pub(crate) fn check_columns(spec: &Spec, space: &Space) -> Result<(), Error> {
    let (load, sequence) = (space.section(0), sequence_of(spec));
    check_roles(spec, sequence, load)?;
    space.check(spec.keys(), &[0, 1])?;
    space.check(sequence, &[0])?;
    space.check(spec.columns().iter().map(|(name, _)| name), &[])?;
    // History has no flag, nor that column of a feed.
    if let (Mode::Feed { .. }, Some(first)) = (spec.mode(), sequence.first()) {
        instants(spec, &space.column(first, &[0])?, load)?;
    }
    spec.when().map_or(Ok(()), |when| deletes(when, space, 0).map(drop))
}

fn deletes(When { column, value, .. }: &When, space: &Space, load: usize) -> Result<Vec<bool>, Error> {
    let flag = space.column(column, &[load])?;
    let (fits, expected) = match value {
        Value::Bool(_) => (flag.data_type == DataType::Boolean, "Boolean"),
        Value::Int(_) => (flag.data_type.is_integer(), "an integer"),
        Value::Text(_) => (matches!(flag.data_type, DataType::Utf8 | DataType::LargeUtf8), "text"),
    };
    if !fits && flag.data_type != DataType::Null {
        let (found, expected) = (flag.data_type, expected.to_owned());
        return Err(Error::ColumnType { place: PLACE, column: column.clone(), found, expected });
    }
    let unsigned = flag.data_type.is_unsigned_integer();
    let matches = |cell: &[u8]| match value {
        Value::Bool(value) => cell == [u8::from(*value)],
        Value::Text(value) => cell == value.as_bytes(),
        Value::Int(value) if unsigned => {
            cell.iter().rev().fold(0_i128, |number, byte| number << 8 | i128::from(*byte)) == i128::from(*value)
        }
        Value::Int(value) => signed(cell) == i128::from(*value),
    };
    Ok(space.section(load).all().map(|at| flag.value(at).is_some_and(matches)).collect())
}

/// A column without a role would be lost.
pub(crate) fn check_roles(spec: &Spec, sequence: &[String], load: &Section) -> Result<(), Error> {
    let columns = spec.columns().iter().map(|(name, _)| name);
    let roles: HashSet<&String> =
        spec.keys().iter().chain(columns).chain(sequence).chain(spec.when().map(|when| &when.column)).collect();
    let names = load.batches().iter().flat_map(|batch| batch.schema_ref().fields()).map(|field| field.name());
    match names.into_iter().find(|name| !roles.contains(name)) {
        Some(name) => Err(Error::UnknownColumn { place: PLACE, column: name.clone() }),
        None => Ok(()),
    }
}

/// Columns of the spec that no batch of the load has.
pub(crate) fn absent_columns(spec: &Spec, load: &Section) -> Vec<String> {
    let columns = spec.columns().iter().map(|(name, _)| name);
    columns.filter(|name| load.rows() > 0 && !load.has(name)).cloned().collect()
}

/// How many keys the refused rows have.
pub(crate) fn keys_of(keys: &[Column], load: &Section, refused: &[Refused]) -> usize {
    let rows: HashSet<usize> = refused.iter().map(|refused| refused.row).collect();
    let index = Index::build(keys, &[], &[load], 0, &|row| rows.contains(&row));
    rows.len() - index.duplicates.len()
}

/// What a load can be refused for by what it says of itself.
pub(crate) fn check_load(spec: &Spec, load: &Load) -> Result<(), Error> {
    match spec.mode() {
        Mode::Feed { .. } => Ok(()),
        Mode::Snapshot { .. } if spec.scope().is_empty() && matches!(load.complete, Complete::Only(_)) => {
            Err(Error::CompleteWithoutScope)
        }
        Mode::Snapshot { .. } => check_instant(spec, load.as_of),
    }
}

/// An instant at or after the one that open versions end with can begin or end none.
pub(crate) fn check_instant(spec: &Spec, instant: i64) -> Result<(), Error> {
    match spec.open_valid_to() {
        Some(open) if instant >= open => Err(Error::BeyondOpenEnd { place: PLACE, row: None }),
        _ => Ok(()),
    }
}

/// State that was written under another spec is refused.
pub(crate) fn check_record(spec: &Spec, parts: [&[RecordBatch]; 2]) -> Result<(), Error> {
    let schemas = parts.into_iter().flatten().map(|batch| batch.schema_ref());
    schemas.filter_map(|schema| schema.metadata().get(METADATA)).try_for_each(|recorded| spec.check_recorded(recorded))
}

/// Refuses a load that would end too large a share of the live keys.
pub(crate) fn check_ratio(scope: Option<String>, absent: u64, live: u64, ratio: f64) -> Result<(), Error> {
    // An empty table has nothing to lose.
    if absent > 0 && absent as f64 / live as f64 > ratio {
        Err(Error::TooManyDeletes { scope, absent, live, ratio })
    } else {
        Ok(())
    }
}
