use arrow::array::RecordBatch;

/// What a run brings: rows, and what their absence means.
#[derive(Debug, Clone)]
pub struct Load<'a> {
    /// Keys, tracked and latest-in-run columns, and the sequence columns of a feed; others are ignored.
    pub rows: &'a [RecordBatch],
    /// The instant of a snapshot, microseconds since the epoch. A feed does not use it: its rows carry their times.
    pub as_of: i64,
    /// Key columns of rows that were seen and held back upstream: in a snapshot these keys are neither absent nor
    /// changed. A feed does not use it: there, absence means nothing.
    pub withheld: &'a [RecordBatch],
    /// What a snapshot is complete for. A feed does not use it.
    pub complete: Complete,
}

impl<'a> Load<'a> {
    /// A load that is complete and of which nothing was withheld.
    pub fn new(rows: &'a [RecordBatch], as_of: i64) -> Self {
        Load { rows, as_of, withheld: &[], complete: Complete::Everything }
    }
}

/// Where the absence of a live key from a snapshot closes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Complete {
    /// Everywhere.
    Everything,
    /// Inside these values of the scope column: a load of one hospital closes nothing of another.
    Only(Vec<String>),
    /// Nowhere: the rows are only some of those that exist.
    Nothing,
}
