use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use chrono::DateTime;

/// Why a spec or a merge was refused. Nothing has been changed when one is returned.
///
/// Messages name columns, counts and row positions, never the value of a cell: those are patients' data. The one
/// exception is the scope value of a snapshot, which is configuration (the name of a hospital).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A spec without keys.
    #[error("spec: no key column is named")]
    NoKeys,
    /// A feed without a sequence.
    #[error("spec: no sequence column is named")]
    NoSequence,
    /// A column that has two roles, or one role twice.
    #[error("spec: column `{column}` is named twice")]
    NamedTwice {
        /// The column.
        column: String,
    },
    /// A column whose name the engine keeps for itself.
    #[error("spec: column `{column}` is written by the engine and cannot have another role")]
    ReservedName {
        /// The column.
        column: String,
    },
    /// A scope that is not one of the keys.
    #[error("spec: scope `{column}` is not one of the keys")]
    ScopeNotKey {
        /// The column.
        column: String,
    },
    /// A delete ratio that is not a share.
    #[error("spec: max delete ratio {ratio} is not between 0 and 1")]
    RatioOutOfRange {
        /// The ratio.
        ratio: f64,
    },
    /// Keys to be cut into no buckets.
    #[error("buckets: a count of 0 has no room for any key")]
    NoBuckets,
    /// [`Complete::Only`](crate::Complete::Only) without a scope column in the spec.
    #[error("load: complete for some scope values only, but the spec has no scope")]
    CompleteWithoutScope,
    /// A column that is needed is not there.
    #[error("{place}: column `{column}` is missing (there are: {found})")]
    MissingColumn {
        /// `history`, `hidden`, `load` or `withheld`.
        place: &'static str,
        /// The column.
        column: String,
        /// The columns that are there.
        found: String,
    },
    /// A column that is needed is there more than once.
    #[error("{place}: column `{column}` is there more than once")]
    RepeatedColumn {
        /// `history`, `hidden`, `load` or `withheld`.
        place: &'static str,
        /// The column.
        column: String,
    },
    /// A column that [`apply`](crate::apply) would have to invent values for.
    #[error("history: column `{column}` is unknown to the engine")]
    UnknownColumn {
        /// The column.
        column: String,
    },
    /// A type that has no order or no equality here: lists, structs, maps, unions.
    #[error("{place}: column `{column}` has the unsupported type {found}")]
    UnsupportedType {
        /// `history`, `hidden`, `load`, `withheld`, `surrogate key` or `buckets`.
        place: &'static str,
        /// The column.
        column: String,
        /// Its type.
        found: DataType,
    },
    /// A type that does not fit, without loss, the type that is stored.
    #[error("{place}: column `{column}` has type {found}, expected {expected}")]
    ColumnType {
        /// `history`, `hidden`, `load` or `withheld`.
        place: &'static str,
        /// The column.
        column: String,
        /// Its type.
        found: DataType,
        /// What it should be.
        expected: String,
    },
    /// An instant that microseconds in 64 bits cannot hold.
    #[error("{place}: row {row}: column `{column}` is out of range for a timestamp in microseconds")]
    OutOfRange {
        /// `hidden` or `load`.
        place: &'static str,
        /// The column.
        column: String,
        /// Position over all batches.
        row: usize,
    },
    /// History that breaks law L1 or L2.
    #[error("history: row {row}: {fault}")]
    BrokenHistory {
        /// Position over all batches.
        row: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// Hidden state with a null key or sequence, or with one observation twice.
    #[error("hidden: row {row}: {fault}")]
    BrokenHidden {
        /// Position over all batches.
        row: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// A version whose opening observation is not in hidden state: to recompute its key would lose it.
    #[error("history: row {row}: hidden state lacks the observation that opened it")]
    HiddenLacks {
        /// Position over all batches.
        row: usize,
    },
    /// A snapshot that is older than what it would change.
    #[error("load{}: snapshot as of {} is not later than history at {}", in_scope(scope), instant(*as_of), instant(*latest))]
    LateSnapshot {
        /// The scope value, where the spec has a scope.
        scope: Option<String>,
        /// Microseconds since the epoch.
        as_of: i64,
        /// The instant in history that stands against it, microseconds since the epoch.
        latest: i64,
    },
    /// A snapshot that would close a larger share of the live keys than the spec allows.
    #[error("load{}: {absent} of {live} live keys are absent, more than the allowed share of {ratio}", in_scope(scope))]
    TooManyDeletes {
        /// The scope value, where the spec has a scope.
        scope: Option<String>,
        /// Live keys that would be closed.
        absent: u64,
        /// Live keys before the load.
        live: u64,
        /// The allowed share.
        ratio: f64,
    },
    /// Positions in a [`Merged`](crate::Merged) that do not belong to the history at hand.
    #[error("history: row {row} is named by the merge, there are {rows} rows")]
    NoSuchRow {
        /// The position.
        row: usize,
        /// Rows of the history.
        rows: usize,
    },
    /// An Arrow kernel failed.
    // Arrow's own text may quote a cell, so only the kind of the failure is kept.
    #[error("arrow: {kind}")]
    Arrow {
        /// The kind of failure.
        kind: &'static str,
    },
}

/// What is wrong with a row of history or of hidden state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A key column is null.
    #[error("a key column is null")]
    NullKey,
    /// A sequence column is null.
    #[error("a sequence column is null")]
    NullSequence,
    /// `valid_from` is null.
    #[error("`valid_from` is null")]
    NullValidFrom,
    /// `valid_to` is not later than `valid_from`.
    #[error("`valid_to` is not later than `valid_from`")]
    EmptyInterval,
    /// `is_current` is null or does not say whether `valid_to` is null.
    #[error("`is_current` does not agree with `valid_to`")]
    CurrentFlag,
    /// The interval overlaps that of another row of the same key.
    #[error("overlaps row {other} of the same key")]
    Overlap {
        /// The other row.
        other: usize,
    },
    /// Two current rows for one key.
    #[error("current, as is row {other} of the same key")]
    TwoCurrent {
        /// The other row.
        other: usize,
    },
    /// One key and sequence, stored twice.
    #[error("same key and sequence as row {other}")]
    StoredTwice {
        /// The other row.
        other: usize,
    },
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        let kind = match error {
            ArrowError::CastError(_) => "a cast failed",
            ArrowError::OffsetOverflowError(_) => "a text column is too long for its 32-bit offsets",
            ArrowError::MemoryError(_) => "out of memory",
            ArrowError::SchemaError(_) => "schemas do not agree",
            ArrowError::NotYetImplemented(_) => "not implemented for this type",
            _ => "a kernel failed",
        };
        Error::Arrow { kind }
    }
}

fn in_scope(scope: &Option<String>) -> String {
    scope.as_ref().map(|value| format!(": scope {value}")).unwrap_or_default()
}

fn instant(micros: i64) -> String {
    match DateTime::from_timestamp_micros(micros) {
        Some(at) => at.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string(),
        None => format!("{micros} us"),
    }
}
