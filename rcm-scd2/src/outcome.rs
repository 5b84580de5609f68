use arrow::array::RecordBatch;
use rayon::prelude::*;

use crate::Patch;

/// What a merge makes of a table: the new history is the old one without the withdrawals, with the closes applied, plus
/// the opens. [`apply`](crate::apply) does just that.
///
/// The same observations give the same rows, whatever the order of the rows, the size of the batches, the encoding of
/// the columns or the number of threads; only the order of the opens follows that of history and of the load.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{Close, Load, Spec, State, apply, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).build()?;
/// let state = apply(&State::new(), &merge(&spec, &State::new(), &Load::new(&table(&[["a", "Lyon"]]), 1))?)?;
/// let moved = merge(&spec, &state, &Load::new(&table(&[["a", "Paris"]]), 2))?;
/// assert_eq!(moved.closes, [Close { row: 0, valid_to: 2 }]);
/// assert_eq!((moved.withdrawals.len(), moved.opens.num_rows()), (0, 1));
/// assert!(!moved.is_no_op());
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// Rows of history that get an end, or another one where something late came before it; in order of position.
    pub closes: Vec<Close>,
    /// Positions of rows of history that vanish, or whose cells, start or openness change: an open replaces those. In
    /// order.
    pub withdrawals: Vec<usize>,
    /// New rows, in the columns of [`State::history`](crate::State::history). A late event opens versions that are
    /// already closed.
    pub opens: RecordBatch,
    /// What becomes of hidden state.
    pub hidden: Patch,
    /// What becomes of the ledger.
    pub ledger: Patch,
    /// What became of each row of the load, in order.
    pub outcomes: Vec<Outcome>,
    /// The refused rows of the load, in order of position.
    pub refused: Vec<Refused>,
    /// The outcomes, counted.
    pub counts: Counts,
    /// What became of each scope value that the load touched (one without values, where the spec has no scope); none
    /// for a feed.
    pub scopes: Vec<ScopeReport>,
    /// Columns of the spec that the load does not have.
    pub absent_columns: Vec<String>,
}

impl Merged {
    /// The result of something else than a load of rows: in order, with its counts.
    pub(crate) fn of(
        mut closes: Vec<Close>,
        mut withdrawals: Vec<usize>,
        opens: RecordBatch,
        hidden: Patch,
        ledger: Patch,
        outcomes: Vec<Outcome>,
        mut refused: Vec<Refused>,
    ) -> Self {
        closes.par_sort_unstable_by_key(|close| close.row);
        withdrawals.par_sort_unstable();
        refused.sort_unstable_by_key(|refused| refused.row);
        let counts = Counts::of(&outcomes);
        let (scopes, absent_columns) = (Vec::new(), Vec::new());
        Merged { closes, withdrawals, opens, hidden, ledger, outcomes, refused, counts, scopes, absent_columns }
    }

    /// What no rows at all make of a table.
    pub(crate) fn nothing() -> Self {
        let (none, opens) = (Patch::none(), Patch::none().adds);
        Merged::of(Vec::new(), Vec::new(), opens, none.clone(), none, Vec::new(), Vec::new())
    }

    /// Whether no row of history changes.
    pub fn is_no_op(&self) -> bool {
        self.closes.is_empty() && self.withdrawals.is_empty() && self.opens.num_rows() == 0
    }

    /// Whether nothing changes at all: no row of history, no hidden observation, no ledger entry.
    pub fn is_nothing(&self) -> bool {
        self.is_no_op() && self.hidden.is_empty() && self.ledger.is_empty()
    }
}

/// A row of history that gets an end, or another end than it had; nothing else of it changes.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{Absence, Close, Load, Spec, State, apply, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).deletes(Absence::close()).build()?;
/// let both = merge(&spec, &State::new(), &Load::new(&table(&[["a", "Lyon"], ["b", "Paris"]]), 1))?;
/// let state = apply(&State::new(), &both)?;
/// let gone = merge(&spec, &state, &Load::new(&table(&[["a", "Lyon"]]), 2))?;
/// assert_eq!(gone.closes, [Close { row: 1, valid_to: 2 }]);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close {
    /// Position over all batches of history.
    pub row: usize,
    /// Its end, microseconds since the epoch.
    pub valid_to: i64,
}

/// What became of a row of the load, in one byte.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{Load, Outcome, Spec, State, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).build()?;
/// let merged = merge(&spec, &State::new(), &Load::new(&table(&[["a", "Lyon"], ["a", "Lyon"]]), 1))?;
/// assert_eq!(merged.outcomes, [Outcome::New, Outcome::Collapsed]);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// Its key was unknown.
    New = 0,
    /// It opened, ended or changed the newest version of its key, or a column of all versions.
    Changed = 1,
    /// It changed history before the newest observation of its key.
    Late = 2,
    /// It changed nothing that is visible.
    NoOp = 3,
    /// Another row of this load says the same, or counts instead of it.
    Collapsed = 4,
    /// It was set aside: see [`Merged::refused`].
    Refused = 5,
    /// Its key was held back upstream, or another row of it has no sequence, so it was not applied (snapshots only).
    Withheld = 6,
}

/// A row of the load that was set aside.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{BadRows, Load, RefusalCode, Refused, Spec, State, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).bad_rows(BadRows::Quarantine).build()?;
/// let merged = merge(&spec, &State::new(), &Load::new(&table(&[["a", "Lyon"], ["a", "Paris"]]), 1))?;
/// assert_eq!(merged.refused[1], Refused { row: 1, code: RefusalCode::Conflict });
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Position over all batches of the load.
    pub row: usize,
    /// Why.
    pub code: RefusalCode,
}

/// Why a row of the load was set aside.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// use rcm_scd2::{BadRows, Load, RefusalCode, Spec, State, merge};
///
/// let ids: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
/// let rows = [RecordBatch::try_from_iter([("id", ids)]).unwrap()];
/// let spec = Spec::snapshot(["id"]).bad_rows(BadRows::Quarantine).build()?;
/// let merged = merge(&spec, &State::new(), &Load::new(&rows, 1))?;
/// assert_eq!(merged.refused[0].code, RefusalCode::NullKey);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RefusalCode {
    /// Another row has the same key (and, in a feed, the same sequence) and other values.
    Conflict = 0,
    /// A key column is null.
    NullKey = 1,
    /// A sequence column is null.
    NullSequence = 2,
    /// The event is older than the late horizon.
    BeyondHorizon = 3,
}

/// Outcomes, counted: the first seven are their histogram.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{Load, Spec, State, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).build()?;
/// let merged = merge(&spec, &State::new(), &Load::new(&table(&[["a", "Lyon"], ["b", "Paris"]]), 1))?;
/// assert_eq!((merged.counts.new, merged.counts.rows()), (2, 2));
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
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
    /// Of the no-ops, rows whose values differ and whose sequence is not greater ([`Detect::Sequence`](crate::Detect)).
    pub ignored: u64,
    /// Rows whose sequence lies after `as_of`, so that their version starts at `as_of`.
    pub clamped: u64,
    /// Live keys that ended because they were absent. These are no rows of the load.
    pub closed_by_absence: u64,
}

impl Counts {
    /// The rows of the load: the sum of the seven outcomes.
    pub fn rows(&self) -> u64 {
        self.new + self.changed + self.late + self.no_op + self.collapsed + self.refused + self.withheld
    }

    pub(crate) fn add(&mut self, other: &Counts) {
        let Counts { new, changed, late, no_op, collapsed, refused, withheld, ignored, clamped, closed_by_absence } =
            other;
        for (sum, more) in [
            (&mut self.new, new),
            (&mut self.changed, changed),
            (&mut self.late, late),
            (&mut self.no_op, no_op),
            (&mut self.collapsed, collapsed),
            (&mut self.refused, refused),
            (&mut self.withheld, withheld),
            (&mut self.ignored, ignored),
            (&mut self.clamped, clamped),
            (&mut self.closed_by_absence, closed_by_absence),
        ] {
            *sum += more;
        }
    }

    pub(crate) fn of(outcomes: &[Outcome]) -> Self {
        let tally = |outcomes: &[Outcome]| {
            let mut tally = [0_u64; 7];
            outcomes.iter().for_each(|outcome| tally[*outcome as usize] += 1);
            tally
        };
        let sum = |a: [u64; 7], b: [u64; 7]| std::array::from_fn(|outcome| a[outcome] + b[outcome]);
        let tally = outcomes.par_chunks(1 << 15).map(tally).reduce(|| [0; 7], sum);
        let [new, changed, late, no_op, collapsed, refused, withheld] = tally;
        Counts { new, changed, late, no_op, collapsed, refused, withheld, ..Counts::default() }
    }
}

/// What became of a scope value of a snapshot.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{Absence, Disposition, Load, Spec, State, merge};
///
/// let spec = Spec::snapshot(["id", "city"]).deletes(Absence::close().within(["city"])).build()?;
/// let merged = merge(&spec, &State::new(), &Load::new(&table(&[["a", "Lyon"]]), 1))?;
/// assert_eq!(merged.scopes[0].value, ["Lyon"]);
/// assert_eq!(merged.scopes[0].disposition, Disposition::Applied);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeReport {
    /// The values of the scope columns, as text; empty where the spec has no scope.
    pub value: Vec<String>,
    /// How the load met the ledger.
    pub disposition: Disposition,
    /// Live keys before the load. Counted only where absence deletes, or a share of deletes is limited.
    pub live: u64,
    /// Live keys that ended because they were absent.
    pub closed_by_absence: u64,
}

/// How a snapshot met the ledger in one scope value.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{Disposition, Load, Spec, State, apply, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).build()?;
/// let (rows, mut state) = (table(&[["a", "Lyon"]]), State::new());
/// for expected in [Disposition::Applied, Disposition::Repeated] {
///     let merged = merge(&spec, &state, &Load::new(&rows, 1))?;
///     assert_eq!(merged.scopes[0].disposition, expected);
///     state = apply(&state, &merged)?;
/// }
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// It is the newest.
    Applied,
    /// The same snapshot was applied before: nothing changes.
    Repeated,
    /// It is late and changes nothing ([`Late::Skip`](crate::Late::Skip)).
    Skipped,
    /// It is late and was spliced in ([`Late::Apply`](crate::Late::Apply)).
    Spliced,
}
