use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

/// All that a table is: what everybody sees, and what only the engine reads. Store the three in one commit.
///
/// Batches are cheap to clone. Any number of them, of any size; [`apply`](crate::apply) makes the next state.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{Load, Spec, State, apply, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).build()?;
/// let state = apply(&State::new(), &merge(&spec, &State::new(), &Load::new(&table(&[["a", "Lyon"]]), 1))?)?;
/// assert_eq!((state.history[0].num_rows(), state.hidden.len(), state.ledger[0].num_rows()), (1, 0, 1));
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The versions: keys, columns of the spec, the stored sequences (that of a snapshot, the further ones of a feed),
    /// [`VALID_FROM`](crate::VALID_FROM), [`VALID_TO`](crate::VALID_TO), [`IS_CURRENT`](crate::IS_CURRENT), with markers
    /// [`IS_DELETED`](crate::IS_DELETED), after `ensure_members` [`IS_INFERRED`](crate::IS_INFERRED). Further columns
    /// are ignored by [`merge`](crate::merge).
    pub history: Vec<RecordBatch>,
    /// Observations that the versions cannot carry: events that opened no version, deletes that closed none, numbers
    /// and untracked values that a version no longer shows. Small: never a tracked value.
    pub hidden: Vec<RecordBatch>,
    /// The snapshots that were applied (scope values, `_as_of`, `_digest`, `_complete`); of a feed with a late horizon
    /// the newest valid time.
    pub ledger: Vec<RecordBatch>,
}

impl State {
    /// A table that nothing was loaded into.
    pub fn new() -> Self {
        State::default()
    }

    /// A table of which only the visible versions are known: one that another tool has filled.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
    /// # let table = |cells: &[[&str; 2]]| {
    /// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
    /// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
    /// # };
    /// use rcm_scd2::{Load, Spec, State, apply, merge};
    ///
    /// let spec = Spec::snapshot(["id"]).track(["city"]).build()?;
    /// let rows = table(&[["a", "Lyon"]]);
    /// let history = apply(&State::new(), &merge(&spec, &State::new(), &Load::new(&rows, 1))?)?.history;
    /// let merged = merge(&spec, &State::from_history(history), &Load::new(&rows, 2))?;
    /// assert!(merged.is_no_op() && !merged.is_nothing()); // the ledger learns of the snapshot
    /// # Ok::<(), rcm_scd2::Error>(())
    /// ```
    pub fn from_history(history: Vec<RecordBatch>) -> Self {
        State { history, ..State::default() }
    }
}

/// How hidden state or the ledger changes: rows that go, by position over all batches, and rows that come.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{Load, Spec, State, apply, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).build()?;
/// let merged = merge(&spec, &State::new(), &Load::new(&table(&[["a", "Lyon"]]), 1))?;
/// assert!(merged.hidden.is_empty() && merged.ledger.removes.is_empty());
/// assert_eq!(merged.ledger.adds.num_rows(), 1);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// Positions, in order.
    pub removes: Vec<usize>,
    /// The new rows.
    pub adds: RecordBatch,
}

impl Patch {
    /// Nothing changes.
    pub(crate) fn none() -> Self {
        Patch { removes: Vec::new(), adds: RecordBatch::new_empty(Arc::new(Schema::empty())) }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.removes.is_empty() && self.adds.num_rows() == 0
    }
}
