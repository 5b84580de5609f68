use std::collections::BTreeMap;

use arrow::array::RecordBatch;

/// What a merge makes of history: the new table is the old one without the withdrawals, with the closes applied,
/// plus the opens. [`apply`](crate::apply) does just that.
///
/// The same observations give the same `Merged`, whatever the order of the rows, the size of the batches or the
/// encoding of the columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// Rows of history that get an end, in order of position.
    pub closes: Vec<Close>,
    /// Positions of rows of history that vanish or are replaced by an open, in order.
    pub withdrawals: Vec<usize>,
    /// New rows: keys, tracked, latest-in-run columns, `valid_from`, `valid_to`, `is_current`, in this order; sorted
    /// by key and `valid_from`. A late event opens versions that are already closed.
    pub opens: RecordBatch,
    /// What hidden state becomes: all observations of a feed (keys, sequence, tracked, latest-in-run columns),
    /// sorted by key and sequence. Of a snapshot: an empty batch without columns.
    pub hidden: RecordBatch,
    /// Whether `hidden` has observations that the hidden state before had not.
    pub hidden_changed: bool,
    /// What became of each row of the load, in order.
    pub outcomes: Vec<Outcome>,
    /// The refused rows of the load, in order of position.
    pub refused: Vec<Refused>,
    /// The outcomes, counted.
    pub counts: Counts,
}

impl Merged {
    /// Whether no row of history changes.
    pub fn is_no_op(&self) -> bool {
        self.closes.is_empty() && self.withdrawals.is_empty() && self.opens.num_rows() == 0
    }
}

/// A row of history that gets an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close {
    /// Position over all batches of history.
    pub row: usize,
    /// Its end, microseconds since the epoch.
    pub valid_to: i64,
}

/// What became of a row of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// Its key was unknown.
    New = 0,
    /// It opened the newest version of its key, or changed that version's untracked columns.
    Changed = 1,
    /// It changed history before the newest observation of its key.
    Late = 2,
    /// It changed nothing that is visible.
    NoOp = 3,
    /// It is identical to another row of this load.
    Collapsed = 4,
    /// It was set aside: see [`Merged::refused`].
    Refused = 5,
    /// Its key was held back upstream, so it was not applied (snapshots only).
    Withheld = 6,
}

/// A row of the load that was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Position over all batches of the load.
    pub row: usize,
    /// Why.
    pub code: RefusalCode,
}

/// Why a row of the load was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RefusalCode {
    /// Another row has the same key (and, in a feed, the same sequence) and other values.
    Conflict = 0,
    /// A key column is null.
    NullKey = 1,
    /// A sequence column is null.
    NullSequence = 2,
}

/// Outcomes, counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Rows that were [`Outcome::New`].
    pub new: u64,
    /// Rows that were [`Outcome::Changed`].
    pub changed: u64,
    /// Rows that were [`Outcome::Late`].
    pub late: u64,
    /// Rows that were [`Outcome::NoOp`].
    pub no_op: u64,
    /// Rows that were [`Outcome::Collapsed`].
    pub collapsed: u64,
    /// Rows that were [`Outcome::Refused`].
    pub refused: u64,
    /// Rows that were [`Outcome::Withheld`].
    pub withheld: u64,
    /// Live keys that were closed because they were absent, by scope value (`""` where the spec has no scope). These
    /// are no rows of the load.
    pub closed_by_absence: BTreeMap<String, u64>,
}

impl Counts {
    /// The rows of the load: all counts but `closed_by_absence`.
    pub fn rows(&self) -> u64 {
        self.new + self.changed + self.late + self.no_op + self.collapsed + self.refused + self.withheld
    }

    pub(crate) fn of(outcomes: &[Outcome]) -> Self {
        let mut counts = Counts::default();
        for outcome in outcomes {
            let count = match outcome {
                Outcome::New => &mut counts.new,
                Outcome::Changed => &mut counts.changed,
                Outcome::Late => &mut counts.late,
                Outcome::NoOp => &mut counts.no_op,
                Outcome::Collapsed => &mut counts.collapsed,
                Outcome::Refused => &mut counts.refused,
                Outcome::Withheld => &mut counts.withheld,
            };
            *count += 1;
        }
        counts
    }
}
