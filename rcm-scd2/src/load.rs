use arrow::array::RecordBatch;

/// What a run brings: rows, and what their absence means.
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
