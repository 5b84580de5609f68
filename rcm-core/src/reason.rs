//! Why a row is held back.

use std::fmt;

/// A failed rule: its id in the catalogue, the column, and what was found, never the value.
///
/// Its text form is what the `reasons` column of a quarantine table holds.
///
/// ```
/// use rcm_core::Reason;
/// let r = Reason::new("P1", "first_name", "is missing");
/// assert_eq!(r.to_string(), "P1 first_name: is missing");
/// assert_eq!(Reason::row("G1", "3 fields, expected 4").to_string(), "G1: 3 fields, expected 4");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason {
    /// The rule, such as `G4`.
    pub rule: &'static str,
    /// The column of the common model; empty where the whole row is meant.
    pub column: &'static str,
    /// What is wrong with it.
    pub what: String,
}

impl Reason {
    /// A rule that a column failed.
    pub fn new(rule: &'static str, column: &'static str, what: impl Into<String>) -> Self {
        Reason { rule, column, what: what.into() }
    }

    /// A rule that the row as a whole failed.
    pub fn row(rule: &'static str, what: impl Into<String>) -> Self {
        Reason { rule, column: "", what: what.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            "" => write!(f, "{}: {}", self.rule, self.what),
            column => write!(f, "{} {column}: {}", self.rule, self.what),
        }
    }
}
