use std::collections::HashSet;

use crate::Error;

/// Start of a version, in the history table: `Timestamp(us, "UTC")`, never null.
pub const VALID_FROM: &str = "valid_from";
/// End of a version (exclusive), in the history table: `Timestamp(us, "UTC")`, null while it is open.
pub const VALID_TO: &str = "valid_to";
/// Whether the version is open, in the history table: `Boolean`.
pub const IS_CURRENT: &str = "is_current";

/// How the rows of a load are to be read.
#[derive(Debug, Clone, PartialEq)]
pub enum Mode {
    /// Rows are the state at `as_of`; a live key that is absent inside the scope is closed.
    Snapshot {
        /// The key column inside whose values absence is judged. `None`: the whole table is one scope.
        scope: Option<String>,
        /// The share of a scope's live keys above which a load that would close them is refused.
        max_delete_ratio: Option<f64>,
    },
    /// Rows are events, in any order.
    Feed {
        /// The first is the valid time; the further ones decide between events of one valid time.
        sequence: Vec<String>,
    },
}

/// Which columns are keys, which are compared, and how a load is to be read: built once, right from then on.
///
/// ```
/// use rcm_scd2::Spec;
///
/// let patients = Spec::snapshot(["hospital", "patient_id"])
///     .track(["name", "city"])
///     .latest_in_run(["phone"])
///     .scope("hospital")
///     .max_delete_ratio(0.2)
///     .build()?;
/// assert_eq!(patients.keys(), ["hospital", "patient_id"]);
///
/// let twice = Spec::feed(["id"], ["at"]).track(["id"]).build();
/// assert_eq!(twice.unwrap_err().to_string(), "spec: column `id` is named twice");
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    columns: Columns,
    mode: Mode,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Columns {
    keys: Vec<String>,
    tracked: Vec<String>,
    latest_in_run: Vec<String>,
}

impl Spec {
    /// A table that is loaded from snapshots. Use [`Spec::feed`] where the source tells its changes with their times.
    pub fn snapshot<S: Into<String>>(keys: impl IntoIterator<Item = S>) -> SnapshotBuilder {
        SnapshotBuilder { columns: Columns { keys: owned(keys), ..Columns::default() }, scope: None, ratio: None }
    }

    /// A table that is loaded from events. The first sequence column is the valid time (`Date32`, midnight UTC, or a
    /// timestamp; one without a zone is read as UTC). Of a key's events with one valid time only the one greatest in
    /// the further columns counts, so that a correction replaces what it corrects.
    pub fn feed<S: Into<String>, T: Into<String>>(
        keys: impl IntoIterator<Item = S>,
        sequence: impl IntoIterator<Item = T>,
    ) -> FeedBuilder {
        FeedBuilder { columns: Columns { keys: owned(keys), ..Columns::default() }, sequence: owned(sequence) }
    }

    /// The key columns.
    pub fn keys(&self) -> &[String] {
        &self.columns.keys
    }

    /// The columns whose change opens a version.
    pub fn tracked(&self) -> &[String] {
        &self.columns.tracked
    }

    /// The columns that take the newest value of the version's run.
    pub fn latest_in_run(&self) -> &[String] {
        &self.columns.latest_in_run
    }

    /// How a load is read.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }
}

/// Builds the [`Spec`] of a table that is loaded from snapshots.
#[derive(Debug, Clone)]
#[must_use]
pub struct SnapshotBuilder {
    columns: Columns,
    scope: Option<String>,
    ratio: Option<f64>,
}

impl SnapshotBuilder {
    /// Adds columns whose change opens a version. Default: none.
    pub fn track<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.columns.tracked.extend(owned(columns));
        self
    }

    /// Adds columns that open no version and are overwritten in the current one. Default: none.
    pub fn latest_in_run<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.columns.latest_in_run.extend(owned(columns));
        self
    }

    /// Judges absence inside each value of this key column. Default: the whole table is one scope.
    pub fn scope(mut self, column: impl Into<String>) -> Self {
        self.scope = Some(column.into());
        self
    }

    /// Refuses a load that would close more than this share of a scope's live keys. Default: no limit.
    pub fn max_delete_ratio(mut self, ratio: f64) -> Self {
        self.ratio = Some(ratio);
        self
    }

    /// Checks the spec.
    ///
    /// # Errors
    /// No keys, a column named twice or reserved, a scope that is no key, a ratio outside 0..=1.
    pub fn build(self) -> Result<Spec, Error> {
        self.columns.check(&[])?;
        if let Some(column) = self.scope.as_ref().filter(|scope| !self.columns.keys.contains(scope)) {
            return Err(Error::ScopeNotKey { column: column.clone() });
        }
        if let Some(ratio) = self.ratio.filter(|ratio| !(0.0..=1.0).contains(ratio)) {
            return Err(Error::RatioOutOfRange { ratio });
        }
        let mode = Mode::Snapshot { scope: self.scope, max_delete_ratio: self.ratio };
        Ok(Spec { columns: self.columns, mode })
    }
}

/// Builds the [`Spec`] of a table that is loaded from events.
#[derive(Debug, Clone)]
#[must_use]
pub struct FeedBuilder {
    columns: Columns,
    sequence: Vec<String>,
}

impl FeedBuilder {
    /// Adds columns whose change opens a version. Default: none.
    pub fn track<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.columns.tracked.extend(owned(columns));
        self
    }

    /// Adds columns that open no version and take the value of the latest event of the run. Default: none.
    pub fn latest_in_run<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.columns.latest_in_run.extend(owned(columns));
        self
    }

    /// Checks the spec.
    ///
    /// # Errors
    /// No keys, no sequence, a column named twice or reserved.
    pub fn build(self) -> Result<Spec, Error> {
        self.columns.check(&self.sequence)?;
        if self.sequence.is_empty() {
            return Err(Error::NoSequence);
        }
        Ok(Spec { columns: self.columns, mode: Mode::Feed { sequence: self.sequence } })
    }
}

impl Columns {
    fn check(&self, sequence: &[String]) -> Result<(), Error> {
        if self.keys.is_empty() {
            return Err(Error::NoKeys);
        }
        let mut seen = HashSet::new();
        for column in [&self.keys[..], &self.tracked, &self.latest_in_run, sequence].into_iter().flatten() {
            if [VALID_FROM, VALID_TO, IS_CURRENT].contains(&column.as_str()) {
                return Err(Error::ReservedName { column: column.clone() });
            }
            if !seen.insert(column) {
                return Err(Error::NamedTwice { column: column.clone() });
            }
        }
        Ok(())
    }
}

fn owned<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}
