use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use chrono::DateTime;

use crate::{RefusalCode, Refused};

/// Why a spec or a merge was refused. Nothing has been changed when one is returned.
///
/// Messages name columns, counts and row positions, never the value of a cell: those are patients' data. There are two
/// exceptions: the scope value of a snapshot, which is configuration (the name of a hospital), and instants: when a version
/// began or ended, the newest of a ledger, an `as_of` that was given, and the end of the late horizon.
///
/// ```
/// use rcm_scd2::{Error, Spec};
///
/// let error = Spec::snapshot(["id"]).track(["valid_to"]).build().unwrap_err();
/// assert_eq!(error, Error::ReservedName { column: "valid_to".to_owned() });
/// assert_eq!(error.to_string(), "spec: column `valid_to` is written by the engine and cannot have another role");
/// ```
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
    /// Late snapshots to be applied, in a spec whose snapshots cannot be spliced.
    #[error(
        "spec: late snapshots can be applied only where absence deletes, there is no sequence column, and first versions start naturally"
    )]
    CannotSplice,
    /// Nulls to be ignored in a column that is not stored.
    #[error("spec: nulls are to be ignored in column `{column}`, which has no rule")]
    IgnoredNotStored {
        /// The column.
        column: String,
    },
    /// A late horizon below zero.
    #[error("spec: the late horizon is negative")]
    NegativeHorizon,
    /// State that was written under another spec.
    #[error(
        "spec: differs from the recorded one in `{what}`: rebuild the history, or take hidden state without its record"
    )]
    SpecDiffers {
        /// What differs: keys, mode, sequence, an option, or the rule of a column.
        what: String,
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
        /// `history`, `hidden`, `ledger`, `load`, `withheld`, `complete`, `correction` or `facts`.
        place: &'static str,
        /// The column.
        column: String,
        /// The columns that are there.
        found: String,
    },
    /// A column that is needed is there more than once.
    #[error("{place}: column `{column}` is there more than once")]
    RepeatedColumn {
        /// `history`, `hidden`, `ledger`, `load`, `withheld`, `complete`, `correction` or `facts`.
        place: &'static str,
        /// The column.
        column: String,
    },
    /// A column that has no role: of a load it would be lost, of history [`apply`](crate::apply) would have to invent it.
    #[error("{place}: column `{column}` has no role in the spec")]
    UnknownColumn {
        /// `history` or `load`.
        place: &'static str,
        /// The column.
        column: String,
    },
    /// Facts that name another number of key columns than the spec has.
    #[error("facts: {found} key columns are named, the spec has {expected}")]
    KeyCount {
        /// How many are named.
        found: usize,
        /// How many there are.
        expected: usize,
    },
    /// A function that gives another number of buckets than there are rows.
    #[error("buckets: {found} are given for {expected} rows")]
    BucketCount {
        /// How many are given.
        found: usize,
        /// How many rows there are.
        expected: usize,
    },
    /// An instant at or after the one that open versions end with, which would open or end none.
    #[error("{place}: {}not before the `valid_to` of open versions", row.map_or_else(|| "as_of is ".to_owned(), |row| format!("row {row}: its valid time is ")))]
    BeyondOpenEnd {
        /// `load`.
        place: &'static str,
        /// Position over all batches; none: the instant of the whole.
        row: Option<usize>,
    },
    /// A rewind to before the late horizon, where observations have been forgotten.
    #[error("rewind: to {}, but what came before {} has been forgotten (late horizon)", instant(*to), instant(*watermark))]
    RewindBeyondHorizon {
        /// Microseconds since the epoch.
        to: i64,
        /// Microseconds since the epoch.
        watermark: i64,
    },
    /// More rows than 32-bit positions can name.
    #[error(
        "{rows} rows of history, hidden state and load together are more than one merge can take: cut them by `buckets`"
    )]
    TooManyRows {
        /// How many.
        rows: usize,
    },
    /// Bad rows, under [`BadRows::Error`](crate::BadRows::Error).
    #[error("load: {} bad rows of {keys} keys: {}", rows.len(), positions(rows))]
    BadRows {
        /// The rows and what is wrong with them, in order of position.
        rows: Vec<Refused>,
        /// How many keys they have.
        keys: usize,
    },
    /// A hidden observation that no version covers.
    #[error("hidden: row {row}: no version covers this observation")]
    HiddenUncovered {
        /// Position over all batches.
        row: usize,
    },
    /// A correction that cannot be made.
    #[error("correction: row {row}: {why}")]
    BadCorrection {
        /// Position over all batches.
        row: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// A type that has no order or no equality here: lists, structs, maps, unions, run ends, binary of width 0.
    #[error("{place}: column `{column}` has the unsupported type {found}")]
    UnsupportedType {
        /// `history`, `hidden`, `ledger`, `load`, `withheld`, `complete`, `facts`, `surrogate key` or `buckets`.
        place: &'static str,
        /// The column.
        column: String,
        /// Its type.
        found: DataType,
    },
    /// A type that does not fit, without loss, the type that is stored.
    #[error("{place}: column `{column}` has type {found}, expected {expected}")]
    ColumnType {
        /// `history`, `hidden`, `ledger`, `load`, `withheld`, `complete`, `correction` or `facts`.
        place: &'static str,
        /// The column.
        column: String,
        /// Its type.
        found: DataType,
        /// What it should be.
        expected: String,
    },
    /// A value that the type it is read, compared or stored in cannot hold: mostly an instant.
    #[error("{place}: row {row}: column `{column}` is out of range for {data_type}")]
    OutOfRange {
        /// `history`, `hidden`, `ledger`, `load`, `withheld`, `complete` or `facts`.
        place: &'static str,
        /// The column.
        column: String,
        /// Position over all batches.
        row: usize,
        /// That type.
        data_type: DataType,
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
    /// A ledger with a null in a column of the engine's.
    #[error("ledger: row {row}: `{column}` is null")]
    BrokenLedger {
        /// Position over all batches.
        row: usize,
        /// The column.
        column: String,
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
    /// A load that would end a larger share of the live keys than the spec allows.
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
///
/// ```
/// use rcm_scd2::{Error, Fault};
///
/// let error = Error::BrokenHistory { row: 7, fault: Fault::TwoCurrent { other: 3 } };
/// assert_eq!(error.to_string(), "history: row 7: current, as is row 3 of the same key");
/// ```
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
    /// `is_current` is null or does not say whether `valid_to` is that of an open version.
    #[error("`is_current` does not agree with `valid_to`")]
    CurrentFlag,
    /// `is_deleted` or `is_inferred` is null.
    #[error("`is_deleted` or `is_inferred` is null")]
    NullFlag,
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

/// The first bad rows, by what is wrong with them.
fn positions(rows: &[Refused]) -> String {
    let shown = rows.iter().take(20).map(|refused| {
        let why = match refused.code {
            RefusalCode::Conflict => "contradicts another row",
            RefusalCode::NullKey => "null key",
            RefusalCode::NullSequence => "null sequence",
            RefusalCode::BeyondHorizon => "beyond the late horizon",
        };
        format!("row {} {why}", refused.row)
    });
    let more = if rows.len() > 20 { ", ..." } else { "" };
    shown.collect::<Vec<_>>().join(", ") + more
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
