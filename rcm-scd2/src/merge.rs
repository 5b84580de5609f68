use arrow::array::RecordBatch;

use crate::{Error, Load, Merged, Mode, Spec, feed, snapshot};

/// Merges a load into history: says which rows close, which vanish and which open.
///
/// `history` may have further columns, which are ignored. `hidden` is the [`Merged::hidden`] of the merge before
/// (nothing, at first): the observations of a feed that history alone cannot tell. A snapshot does not use it.
///
/// # Errors
/// Missing, ill-typed or repeated columns; history or hidden state that breaks the laws; a late snapshot; too many
/// deletes. Rows of the load that are bad by themselves are no error: they are [refused](Merged::refused).
pub fn merge(spec: &Spec, history: &[RecordBatch], hidden: &[RecordBatch], load: &Load) -> Result<Merged, Error> {
    match spec.mode() {
        Mode::Feed { sequence } => feed::merge(spec, sequence, history, hidden, load),
        Mode::Snapshot { scope, max_delete_ratio } => {
            snapshot::merge(spec, scope.as_deref(), *max_delete_ratio, history, load)
        }
    }
}
