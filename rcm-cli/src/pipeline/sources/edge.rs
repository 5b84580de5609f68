//! Rows at the edge of a window, by digests: the next window sees them again.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use rcm_core::{CursorKind, Watermark};
use sha2::{Digest, Sha256};

/// The first half of a SHA-256.
pub(super) type Digest16 = [u8; 16];

/// A digest of each row, by its values and their types.
pub(super) fn digests(rows: &RecordBatch) -> Result<Vec<Digest16>, ArrowError> {
    let fields: Vec<SortField> = rows.columns().iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let schema = format!("{:?}", rows.schema_ref().fields());
    let encoded = RowConverter::new(fields)?.convert_columns(rows.columns())?;
    let one = |row: arrow::row::Row<'_>| {
        let digest = Sha256::new().chain_update(&schema).chain_update(row.as_ref()).finalize();
        std::array::from_fn(|at| digest[at])
    };
    Ok(encoded.iter().map(one).collect())
}

/// The digests of rows at or behind a point, and of those whose cursor says nothing; sorted.
pub(super) fn at_or_behind(
    cursor: &ArrayRef,
    kind: CursorKind,
    lower: Option<Watermark>,
    digests: &[Digest16],
) -> Vec<u8> {
    let is_seen_again = |row: usize| {
        let at = Watermark::greatest(kind, &cursor.slice(row, 1));
        at.is_none() || lower.is_none() || at >= lower
    };
    let mut edge: Vec<&Digest16> =
        (0..cursor.len()).filter(|row| is_seen_again(*row)).map(|row| &digests[row]).collect();
    edge.sort_unstable();
    edge.into_iter().flatten().copied().collect()
}
