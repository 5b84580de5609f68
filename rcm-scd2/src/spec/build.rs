use std::collections::HashSet;

use super::*;

/// What both builders have.
#[derive(Debug, Clone)]
struct Common {
    keys: Vec<String>,
    columns: Vec<(String, Rule)>,
    null_keys_as_value: bool,
    bad_rows: BadRows,
    initial: InitialValidFrom,
    open_valid_to: Option<i64>,
}

impl Common {
    fn new(keys: Vec<String>) -> Self {
        Common {
            keys,
            columns: Vec::new(),
            null_keys_as_value: false,
            bad_rows: BadRows::Error,
            initial: InitialValidFrom::Natural,
            open_valid_to: None,
        }
    }

    fn add<S: Into<String>>(&mut self, columns: impl IntoIterator<Item = S>, rule: Rule) {
        self.columns.extend(columns.into_iter().map(|name| (name.into(), rule)));
    }

    fn build(self, mode: Mode) -> Result<Spec, Error> {
        let Common { keys, columns, null_keys_as_value, bad_rows, initial, open_valid_to } = self;
        let spec = Spec { keys, columns, mode, null_keys_as_value, bad_rows, initial, open_valid_to };
        spec.check()?;
        Ok(spec)
    }
}

impl Spec {
    fn check(&self) -> Result<(), Error> {
        if self.keys.is_empty() {
            return Err(Error::NoKeys);
        }
        let sequence = match &self.mode {
            Mode::Feed { sequence, .. } => sequence,
            Mode::Snapshot { .. } => self.stored_sequence(),
        };
        if let (Mode::Feed { .. }, []) = (&self.mode, sequence) {
            return Err(Error::NoSequence);
        }
        let mut seen = HashSet::new();
        let stored = self.keys.iter().chain(self.columns.iter().map(|(name, _)| name)).chain(sequence);
        for column in stored.chain(self.when().map(|when| &when.column)) {
            if column.starts_with('_') && RESERVED_HIDDEN.contains(&column.as_str())
                || [VALID_FROM, VALID_TO, IS_CURRENT, IS_DELETED, IS_INFERRED].contains(&column.as_str())
            {
                return Err(Error::ReservedName { column: column.clone() });
            }
            if !seen.insert(column) {
                return Err(Error::NamedTwice { column: column.clone() });
            }
        }
        if let Some(column) = self.scope().iter().find(|column| !self.keys.contains(column)) {
            return Err(Error::ScopeNotKey { column: column.clone() });
        }
        if let Some(ratio) = self.max_delete_ratio().filter(|ratio| !(0.0..=1.0).contains(ratio)) {
            return Err(Error::RatioOutOfRange { ratio });
        }
        match &self.mode {
            Mode::Feed { late_horizon: Some(micros), .. } if *micros < 0 => return Err(Error::NegativeHorizon),
            Mode::Snapshot { sequence, deletes, late: Late::Apply } => {
                let full = matches!(deletes, Deletes::Absence(_)) && sequence.is_none();
                if !full || self.initial != InitialValidFrom::Natural {
                    return Err(Error::CannotSplice);
                }
            }
            Mode::Feed { ignore_nulls: IgnoreNulls::Columns(columns), .. } => {
                let known = |name: &&String| !self.columns.iter().any(|(column, _)| column == *name);
                if let Some(column) = columns.iter().find(known) {
                    return Err(Error::IgnoredNotStored { column: column.clone() });
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The columns of hidden state and of the ledger that the engine names.
const RESERVED_HIDDEN: [&str; 6] = ["_at", "_kind", "_unauthored", "_as_of", "_digest", "_complete"];

/// Builds the [`Spec`] of a table that is loaded from snapshots.
///
/// ```
/// use rcm_scd2::{Rule, Spec};
///
/// let builder = Spec::snapshot(["id"]).track(["city"]).latest_in_run(["phone"]).keep(["source"]).all_versions(["birth"]);
/// let spec = builder.null_keys_as_value().open_valid_to(253_402_214_400_000_000).build()?;
/// assert_eq!(spec.columns()[3], ("birth".to_owned(), Rule::AllVersions));
/// assert_eq!(spec.open_valid_to(), Some(253_402_214_400_000_000)); // 9999-12-31
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SnapshotBuilder {
    common: Common,
    sequence: Option<(String, Detect)>,
    deletes: Deletes,
    late: Late,
}

/// Builds the [`Spec`] of a table that is loaded from events.
///
/// ```
/// use rcm_scd2::{IgnoreNulls, Mode, Spec, When};
///
/// let builder = Spec::feed(["id"], ["at", "delivered"]).track(["city"]).latest_in_run(["phone"]);
/// let builder = builder.deletes(When::new("operation", "D")).ignore_nulls_in(["phone"]);
/// let spec = builder.late_horizon(30 * 86_400_000_000).build()?; // thirty days
/// let Mode::Feed { sequence, ignore_nulls, .. } = spec.mode() else { unreachable!() };
/// assert_eq!((sequence.len(), ignore_nulls), (2, &IgnoreNulls::Columns(vec!["phone".to_owned()])));
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct FeedBuilder {
    common: Common,
    sequence: Vec<String>,
    deletes: Option<When>,
    ignore_nulls: IgnoreNulls,
    late_horizon: Option<i64>,
}

macro_rules! common {
    ($builder:ident) => {
        impl $builder {
            /// Adds columns whose change opens a version. Default: none.
            pub fn track<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
                self.common.add(columns, Rule::Track);
                self
            }

            /// Adds columns that open no version and show the newest value of the version's run. Default: none.
            pub fn latest_in_run<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
                self.common.add(columns, Rule::LatestInRun);
                self
            }

            /// Adds columns whose newest value overwrites all versions of the key (type 1). Default: none.
            pub fn all_versions<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
                self.common.add(columns, Rule::AllVersions);
                self
            }

            /// Makes NULL a value of a key like any other. Default: rows with a null key are bad.
            pub fn null_keys_as_value(mut self) -> Self {
                self.common.null_keys_as_value = true;
                self
            }

            /// Says what becomes of bad rows. Default: [`BadRows::Error`].
            pub fn bad_rows(mut self, policy: BadRows) -> Self {
                self.common.bad_rows = policy;
                self
            }

            /// Says where the first version of a key starts. Default: [`InitialValidFrom::Natural`].
            pub fn initial_valid_from(mut self, initial: InitialValidFrom) -> Self {
                self.common.initial = initial;
                self
            }

            /// The `valid_to` of an open version, microseconds since the epoch. Default: null.
            pub fn open_valid_to(mut self, micros: i64) -> Self {
                self.common.open_valid_to = Some(micros);
                self
            }
        }
    };
}

common!(SnapshotBuilder);
common!(FeedBuilder);

impl SnapshotBuilder {
    pub(super) fn new(keys: Vec<String>) -> Self {
        SnapshotBuilder { common: Common::new(keys), sequence: None, deletes: Deletes::None, late: Late::Error }
    }

    /// Adds columns that open no version and are not overwritten. Default: none.
    pub fn keep<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.common.add(columns, Rule::Keep);
        self
    }

    /// The column that says since when a row is what it is (a date or a timestamp), stored with each version. Default:
    /// none, so that versions start at the load's `as_of`.
    pub fn sequence(mut self, column: impl Into<String>, detect: Detect) -> Self {
        self.sequence = Some((column.into(), detect));
        self
    }

    /// Says what ends a key. Default: nothing.
    pub fn deletes(mut self, deletes: impl Into<Deletes>) -> Self {
        self.deletes = deletes.into();
        self
    }

    /// Says what becomes of a late snapshot. Default: [`Late::Error`].
    pub fn late(mut self, late: Late) -> Self {
        self.late = late;
        self
    }

    /// Checks the spec.
    ///
    /// # Errors
    /// No keys, a column named twice or reserved, a scope that is no key, a ratio outside 0..=1, late snapshots to be
    /// applied where absence does not delete, a sequence decides, or first versions do not start naturally.
    pub fn build(self) -> Result<Spec, Error> {
        let SnapshotBuilder { common, sequence, deletes, late } = self;
        common.build(Mode::Snapshot { sequence, deletes, late })
    }
}

impl FeedBuilder {
    pub(super) fn new(keys: Vec<String>, sequence: Vec<String>) -> Self {
        let common = Common::new(keys);
        FeedBuilder { common, sequence, deletes: None, ignore_nulls: IgnoreNulls::No, late_horizon: None }
    }

    /// Says which rows end a key. Default: none.
    pub fn deletes(mut self, when: When) -> Self {
        self.deletes = Some(when);
        self
    }

    /// Takes a null as "as before": the key's previous value by sequence; a delete forgets it. Default: no.
    pub fn ignore_nulls(mut self) -> Self {
        self.ignore_nulls = IgnoreNulls::All;
        self
    }

    /// Takes a null as "as before" in these columns only.
    pub fn ignore_nulls_in<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.ignore_nulls = IgnoreNulls::Columns(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Bounds hidden state: events older than the newest event of earlier loads by more than these microseconds are
    /// bad rows. Default: no bound.
    pub fn late_horizon(mut self, micros: i64) -> Self {
        self.late_horizon = Some(micros);
        self
    }

    /// Checks the spec.
    ///
    /// # Errors
    /// No keys, no sequence, a column named twice or reserved, ignored nulls in a column that is not stored, a negative
    /// horizon, a ratio outside 0..=1.
    pub fn build(self) -> Result<Spec, Error> {
        let FeedBuilder { common, sequence, deletes, ignore_nulls, late_horizon } = self;
        common.build(Mode::Feed { sequence, deletes, ignore_nulls, late_horizon })
    }
}
