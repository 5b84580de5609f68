//! What a table's history is made of: built once, right from then on.

mod build;
mod deletes;
mod record;

pub use build::{FeedBuilder, SnapshotBuilder};
pub use deletes::{Absence, DeleteStyle, Deletes, Value, When};
pub(crate) use record::METADATA;

use crate::Error;

/// Start of a version, in the history table: `Timestamp(us, "UTC")`, never null.
///
/// ```
/// use rcm_scd2::{IS_CURRENT, IS_DELETED, IS_INFERRED, Load, Spec, State, VALID_FROM, VALID_TO, When, merge};
///
/// let spec = Spec::feed(["id"], ["at"]).deletes(When::new("op", "D").marker()).build()?;
/// let opens = merge(&spec, &State::new(), &Load::new(&[], 0))?.opens;
/// let schema = opens.schema();
/// let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
/// assert_eq!(names, ["id", VALID_FROM, VALID_TO, IS_CURRENT, IS_DELETED]);
/// assert_eq!(IS_INFERRED, "is_inferred"); // there once a member was inferred
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
pub const VALID_FROM: &str = "valid_from";
/// End of a version (exclusive), in the history table: `Timestamp(us, "UTC")`, [`Spec::open_valid_to`] while it is open.
pub const VALID_TO: &str = "valid_to";
/// Whether the version is open, in the history table: `Boolean`.
pub const IS_CURRENT: &str = "is_current";
/// Whether the row is a marker of a deleted key, in a history with [`DeleteStyle::Marker`]: `Boolean`.
pub const IS_DELETED: &str = "is_deleted";
/// Whether the row was made by [`ensure_members`](crate::ensure_members) and no real row has filled it yet: `Boolean`.
/// The column is there once a member was inferred.
pub const IS_INFERRED: &str = "is_inferred";

/// What a change of a column means.
///
/// ```
/// use rcm_scd2::{Rule, Spec};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).keep(["source"]).build()?;
/// assert_eq!(spec.columns()[1], ("source".to_owned(), Rule::Keep));
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// A change opens a version.
    Track,
    /// Opens no version: the version shows the newest value of its run of observations.
    LatestInRun,
    /// Opens no version and is not overwritten: the value with which the version opened stays. Snapshots only.
    Keep,
    /// The newest value overwrites all versions of the key (type 1).
    AllVersions,
}

/// How a snapshot with a sequence column finds changes.
///
/// ```
/// use rcm_scd2::{Detect, Mode, Spec};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).sequence("modified", Detect::Values).build()?;
/// assert!(matches!(spec.mode(), Mode::Snapshot { sequence: Some((_, Detect::Values)), .. }));
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detect {
    /// A new version exactly when the sequence is greater than the stored one. Rows whose sequence is not greater are
    /// ignored; those of them whose values differ are counted ([`Counts::ignored`](crate::Counts::ignored)).
    Sequence,
    /// A new version exactly when a tracked column differs; the sequence only says since when.
    Values,
}

/// What becomes of a snapshot that is not later than one that was applied in its scope, and differs from it.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{Absence, Disposition, Late, Load, Spec, State, apply, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).deletes(Absence::close()).late(Late::Apply).build()?;
/// let state = apply(&State::new(), &merge(&spec, &State::new(), &Load::new(&table(&[["a", "Lyon"]]), 9))?)?;
/// let late = merge(&spec, &state, &Load::new(&table(&[["a", "Dijon"]]), 5))?;
/// assert_eq!(late.scopes[0].disposition, Disposition::Spliced);
/// assert_eq!(apply(&state, &late)?.history.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// The load is refused.
    Error,
    /// Its rows change nothing.
    Skip,
    /// It is spliced in where it belongs: history is as if the snapshots had come in order. Needs snapshots that are
    /// complete (deletes by absence) and have no sequence column.
    Apply,
}

/// What becomes of rows that are bad by themselves: null keys, null sequences, rows that contradict each other, events
/// beyond the late horizon.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{BadRows, Load, Spec, State, merge};
///
/// let rows = table(&[["a", "Lyon"], ["a", "Paris"], ["b", "Dijon"]]);
/// let strict = Spec::snapshot(["id"]).track(["city"]);
/// let lenient = strict.clone().bad_rows(BadRows::Quarantine).build()?;
/// assert_eq!(merge(&lenient, &State::new(), &Load::new(&rows, 1))?.counts.refused, 2);
/// let refused = merge(&strict.build()?, &State::new(), &Load::new(&rows, 1)).unwrap_err();
/// assert!(refused.to_string().starts_with("load: 2 bad rows of 1 keys: row 0"));
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRows {
    /// The load is refused; the error has their positions.
    Error,
    /// They are set aside with a code, the others are applied.
    Quarantine,
}

/// Where the first version of a key starts.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::arrow::{array::AsArray, datatypes::TimestampMicrosecondType};
/// use rcm_scd2::{InitialValidFrom, Load, Spec, State, VALID_FROM, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).initial_valid_from(InitialValidFrom::Epoch).build()?;
/// let merged = merge(&spec, &State::new(), &Load::new(&table(&[["a", "Lyon"]]), 77))?;
/// assert_eq!(merged.opens[VALID_FROM].as_primitive::<TimestampMicrosecondType>().value(0), 0);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialValidFrom {
    /// At its sequence, or at the `as_of` of a snapshot without one.
    Natural,
    /// At 1970-01-01T00:00:00Z (or at its sequence, where that is earlier).
    Epoch,
    /// There for the keys of the first load, naturally for later ones.
    EpochFirstLoad,
}

/// How the rows of a load are read.
///
/// ```
/// use rcm_scd2::{Mode, Spec};
///
/// let spec = Spec::feed(["id"], ["modified", "delivered"]).late_horizon(86_400_000_000).build()?;
/// let Mode::Feed { sequence, late_horizon, .. } = spec.mode() else { unreachable!() };
/// assert_eq!((sequence.len(), *late_horizon), (2, Some(86_400_000_000)));
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Mode {
    /// Rows are the state at the load's `as_of`.
    Snapshot {
        /// The column that says since when a row is what it is, and whether it finds changes.
        sequence: Option<(String, Detect)>,
        /// What ends a key.
        deletes: Deletes,
        /// What becomes of a late snapshot.
        late: Late,
    },
    /// Rows are events, in any order.
    Feed {
        /// The first is the valid time; the further ones decide between events of one valid time.
        sequence: Vec<String>,
        /// The rows that are deletes.
        deletes: Option<When>,
        /// The columns in which a null means: as before.
        ignore_nulls: IgnoreNulls,
        /// Events older than the newest event of earlier loads by more than these microseconds are bad rows.
        late_horizon: Option<i64>,
    },
}

/// The columns in which a null of a feed means "as before".
///
/// ```
/// use rcm_scd2::{IgnoreNulls, Mode, Spec};
///
/// let spec = Spec::feed(["id"], ["modified"]).track(["city"]).ignore_nulls().build()?;
/// assert!(matches!(spec.mode(), Mode::Feed { ignore_nulls: IgnoreNulls::All, .. }));
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IgnoreNulls {
    /// None: a null is a value.
    No,
    /// All columns but the keys and sequences.
    All,
    /// These.
    Columns(Vec<String>),
}

/// Which columns are keys, what a change of each other means, and how a load is to be read.
///
/// ```
/// use rcm_scd2::{Absence, Rule, Spec};
///
/// let patients = Spec::snapshot(["hospital", "patient_id"])
///     .track(["name", "city"])
///     .latest_in_run(["phone"])
///     .deletes(Absence::close().within(["hospital"]).max_ratio(0.2))
///     .build()?;
/// assert_eq!(patients.keys(), ["hospital", "patient_id"]);
/// assert_eq!(patients.columns()[2], ("phone".to_owned(), Rule::LatestInRun));
///
/// let twice = Spec::feed(["id"], ["at"]).track(["id"]).build();
/// assert_eq!(twice.unwrap_err().to_string(), "spec: column `id` is named twice");
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub(crate) keys: Vec<String>,
    pub(crate) columns: Vec<(String, Rule)>,
    pub(crate) mode: Mode,
    pub(crate) null_keys_as_value: bool,
    pub(crate) bad_rows: BadRows,
    pub(crate) initial: InitialValidFrom,
    pub(crate) open_valid_to: Option<i64>,
}

impl Spec {
    /// A table that is loaded from snapshots. Use [`Spec::feed`] where the source tells its changes with their times.
    pub fn snapshot<S: Into<String>>(keys: impl IntoIterator<Item = S>) -> SnapshotBuilder {
        SnapshotBuilder::new(keys.into_iter().map(Into::into).collect())
    }

    /// A table that is loaded from events. The first sequence column is the valid time (a date, midnight UTC, or a
    /// timestamp; one without a zone is read as UTC; finer than microseconds is cut off). Of a key's events with one
    /// valid time only those greatest in the further columns count, so that a correction replaces what it corrects.
    pub fn feed<S: Into<String>, T: Into<String>>(
        keys: impl IntoIterator<Item = S>,
        sequence: impl IntoIterator<Item = T>,
    ) -> FeedBuilder {
        let keys = keys.into_iter().map(Into::into).collect();
        FeedBuilder::new(keys, sequence.into_iter().map(Into::into).collect())
    }

    /// The key columns.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The other stored columns and what their change means, in the order of the history table.
    pub fn columns(&self) -> &[(String, Rule)] {
        &self.columns
    }

    /// How a load is read.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// The key columns inside whose values absence is judged.
    pub fn scope(&self) -> &[String] {
        match &self.mode {
            Mode::Snapshot { deletes: Deletes::Absence(absence), .. } => &absence.scope,
            _ => &[],
        }
    }

    /// The `valid_to` of an open version, microseconds since the epoch. `None`: null.
    pub fn open_valid_to(&self) -> Option<i64> {
        self.open_valid_to
    }

    pub(crate) fn columns_by(&self, rule: Rule) -> impl Iterator<Item = &String> {
        self.columns.iter().filter(move |(_, other)| *other == rule).map(|(name, _)| name)
    }

    pub(crate) fn when(&self) -> Option<&When> {
        match &self.mode {
            Mode::Snapshot { deletes: Deletes::When(when), .. } => Some(when),
            Mode::Feed { deletes, .. } => deletes.as_ref(),
            _ => None,
        }
    }

    pub(crate) fn delete_style(&self) -> Option<DeleteStyle> {
        match &self.mode {
            Mode::Snapshot { deletes: Deletes::Absence(absence), .. } => Some(absence.style),
            _ => self.when().map(|when| when.style),
        }
    }

    pub(crate) fn max_delete_ratio(&self) -> Option<f64> {
        match &self.mode {
            Mode::Snapshot { deletes: Deletes::Absence(absence), .. } => absence.ratio,
            _ => self.when().and_then(|when| when.ratio),
        }
    }

    /// The same without a limit to the share of deletes.
    pub(crate) fn without_ratio(&self) -> Spec {
        let mut spec = self.clone();
        match &mut spec.mode {
            Mode::Snapshot { deletes: Deletes::Absence(absence), .. } => absence.ratio = None,
            Mode::Snapshot { deletes: Deletes::When(when), .. } | Mode::Feed { deletes: Some(when), .. } => {
                when.ratio = None;
            }
            _ => {}
        }
        spec
    }

    pub(crate) fn markers(&self) -> bool {
        self.delete_style() == Some(DeleteStyle::Marker)
    }

    /// The sequence columns that the history table keeps: that of a snapshot, the further ones of a feed.
    pub(crate) fn stored_sequence(&self) -> &[String] {
        match &self.mode {
            Mode::Snapshot { sequence, .. } => sequence.as_ref().map_or(&[], |(name, _)| std::slice::from_ref(name)),
            Mode::Feed { sequence, .. } => sequence.get(1..).unwrap_or(&[]),
        }
    }

    /// Whether a null in this column of a feed means "as before".
    pub(crate) fn ignores_null(&self, column: &str) -> bool {
        match &self.mode {
            Mode::Feed { ignore_nulls: IgnoreNulls::All, .. } => true,
            Mode::Feed { ignore_nulls: IgnoreNulls::Columns(columns), .. } => columns.iter().any(|name| name == column),
            _ => false,
        }
    }

    /// Checks that a recorded spec (see [`Spec::recorded`]) has the same keys, mode, sequence and options, and the same
    /// rules for the columns that both have. New and dropped columns are no difference, nor are limits and the policy for
    /// bad rows.
    ///
    /// # Errors
    /// [`Error::SpecDiffers`], with what differs.
    ///
    /// ```
    /// use rcm_scd2::Spec;
    ///
    /// let recorded = Spec::snapshot(["id"]).track(["city"]).build()?.recorded();
    /// let with_a_column = Spec::snapshot(["id"]).track(["city", "name"]).build()?;
    /// assert!(with_a_column.check_recorded(&recorded).is_ok());
    /// let in_place = Spec::snapshot(["id"]).latest_in_run(["city"]).build()?;
    /// assert!(in_place.check_recorded(&recorded).is_err());
    /// # Ok::<(), rcm_scd2::Error>(())
    /// ```
    pub fn check_recorded(&self, recorded: &str) -> Result<(), Error> {
        record::check(self, recorded)
    }

    /// This spec as text: [`merge`](crate::merge) records it in the schemas of hidden state and the ledger, which
    /// a store must keep, and refuses state with another.
    pub fn recorded(&self) -> String {
        record::write(self)
    }
}
