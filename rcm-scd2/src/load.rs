use arrow::array::RecordBatch;

/// What a run brings: rows, and what their absence means.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{Complete, Load};
///
/// let (rows, held) = (table(&[["a", "Lyon"]]), table(&[["b", ""]]));
/// let load = Load { withheld: &held, complete: Complete::Everything, ..Load::new(&rows, 1_717_200_000_000_000) };
/// assert_eq!((load.rows.len(), load.withheld[0].num_rows()), (1, 1));
/// ```
#[derive(Debug, Clone)]
pub struct Load<'a> {
    /// Keys, columns, sequences and the delete flag of the spec, and no others. A column that is absent from all batches
    /// is not compared in a snapshot and NULL in a feed; one that is absent from some batches is NULL there.
    pub rows: &'a [RecordBatch],
    /// The instant of a snapshot, microseconds since the epoch. A feed does not use it: its rows carry their times.
    pub as_of: i64,
    /// Key columns of rows that were seen and held back upstream: in a snapshot these keys are neither absent nor
    /// changed. A feed does not use it: there, absence means nothing.
    pub withheld: &'a [RecordBatch],
    /// What a snapshot is complete for. A feed does not use it.
    pub complete: Complete<'a>,
}

impl<'a> Load<'a> {
    /// A load of which nothing was withheld, complete for the scope values that it has rows of.
    pub fn new(rows: &'a [RecordBatch], as_of: i64) -> Self {
        Load { rows, as_of, withheld: &[], complete: Complete::Present }
    }
}

/// Where the absence of a live key from a snapshot ends it.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{Absence, Complete, Load, Spec, State, apply, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).deletes(Absence::close()).build()?;
/// let both = table(&[["a", "Lyon"], ["b", "Paris"]]);
/// let state = apply(&State::new(), &merge(&spec, &State::new(), &Load::new(&both, 1))?)?;
/// let one = table(&[["a", "Lyon"]]);
/// assert_eq!(merge(&spec, &state, &Load::new(&one, 2))?.counts.closed_by_absence, 1);
/// let some = Load { complete: Complete::Nothing, ..Load::new(&one, 2) };
/// assert_eq!(merge(&spec, &state, &some)?.counts.closed_by_absence, 0);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Complete<'a> {
    /// Inside the scope values of its rows and withheld keys; everywhere where the spec has no scope.
    Present,
    /// Everywhere.
    Everything,
    /// Inside these values: batches of the scope columns. A load of one hospital closes nothing of another.
    Only(&'a [RecordBatch]),
    /// Nowhere: the rows are only some of those that exist.
    Nothing,
}
