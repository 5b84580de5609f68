//! What went wrong, said for the person who must act, with the exit code that it means.

use std::fmt;

/// The kind of a problem. The number is the exit code of `rcm` (a fixed contract).
///
/// ```
/// use rcm_core::Class;
/// // Where several lines of a run failed, the least retryable decides.
/// assert_eq!([Class::Temporary, Class::Gate, Class::Failed].into_iter().max(), Some(Class::Gate));
/// assert_eq!(Class::Drift.exit_code(), 4);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Worth another try as it is (75, `EX_TEMPFAIL`).
    Temporary,
    /// Failed and will fail again until somebody acts (1).
    Failed,
    /// The source's columns are not those that the mapping names (4).
    Drift,
    /// The data may not be published (3).
    Gate,
    /// Another run holds the lake (5).
    Busy,
    /// Usage or configuration; nothing was touched (2).
    Config,
}

impl Class {
    /// The exit code of the program.
    pub fn exit_code(self) -> u8 {
        match self {
            Class::Failed => 1,
            Class::Config => 2,
            Class::Gate => 3,
            Class::Drift => 4,
            Class::Busy => 5,
            Class::Temporary => 75,
        }
    }

    /// The word in `--json` and in the audit table.
    pub fn word(self) -> &'static str {
        match self {
            Class::Failed => "failed",
            Class::Config => "config",
            Class::Gate => "gate",
            Class::Drift => "drift",
            Class::Busy => "busy",
            Class::Temporary => "temporary",
        }
    }

    /// How final it is: among several problems of one run the greatest wins.
    fn rank(self) -> u8 {
        match self {
            Class::Temporary => 0,
            Class::Failed => 1,
            Class::Drift => 2,
            Class::Gate => 3,
            Class::Busy => 4,
            Class::Config => 5,
        }
    }
}

impl PartialOrd for Class {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Class {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// A problem: where, what is wrong (with what was expected), and what to do. Never a cell value.
///
/// ```
/// use rcm_core::{Class, Problem};
/// let p = Problem::new(Class::Drift, "hos-a.patients: patients.csv", "column `DOB` is missing")
///     .hint("add it to the file, or take it out of mappings/hos-a.toml");
/// assert_eq!(p.to_string(), "hos-a.patients: patients.csv: column `DOB` is missing");
/// assert_eq!(p.class.exit_code(), 4);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// Decides the exit code.
    pub class: Class,
    /// File and line, or load, or table.
    pub place: String,
    /// What is wrong and what was expected.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(class: Class, place: impl Into<String>, what: impl Into<String>) -> Self {
        Problem { class, place: place.into(), what: what.into(), hint: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A failure of storage: its own words, under the place where it happened.
    pub fn storage(place: impl Into<String>, source: impl fmt::Display) -> Self {
        Problem::new(Class::Failed, place, source.to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}
