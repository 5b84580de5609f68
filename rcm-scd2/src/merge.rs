use crate::{Error, Load, Merged, Mode, Spec, State, feed, snapshot};

/// Merges a load into a table.
///
/// A pure function: it reads no clock and touches no file. History may have columns that the spec does not name; a load
/// may not. The rows of all batches may lie in any order, in any encoding (views, dictionaries, slices).
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::array::{ArrayRef, RecordBatch, StringArray};
/// use rcm_scd2::{Load, Spec, State, apply, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).build()?;
/// let column = |values: Vec<&str>| Arc::new(StringArray::from(values)) as ArrayRef;
/// let rows = [RecordBatch::try_from_iter([("id", column(vec!["a"])), ("city", column(vec!["Lyon"]))]).unwrap()];
///
/// let first = merge(&spec, &State::new(), &Load::new(&rows, 0))?;
/// assert_eq!((first.counts.new, first.opens.num_rows()), (1, 1));
///
/// let state = apply(&State::new(), &first)?;
/// assert!(merge(&spec, &state, &Load::new(&rows, 0))?.is_nothing());
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
///
/// # Errors
/// Columns that are missing, repeated, without a role or of a type that does not fit; bad rows, unless they are to be
/// quarantined; state that contradicts itself or was recorded under another spec; a snapshot that is late, or ends too
/// large a share of the live keys; instants that microseconds cannot hold. Nothing was changed then.
pub fn merge(spec: &Spec, state: &State, load: &Load) -> Result<Merged, Error> {
    match spec.mode() {
        Mode::Feed { .. } => feed::merge(spec, state, load),
        Mode::Snapshot { .. } => snapshot::merge(spec, state, load),
    }
}
