//! A merge into a bucket that writes its file anew: where rows only end or come, the column chunks of what stays are copied
//! byte for byte, and of what only signs rows nothing is decoded.

use super::bucket::{broken, closed, within};
use super::lying::{GROUPS, Lies, Lot};
use super::write::Written;
use super::{BUCKET_ROWS, History, MergeError, Weaving};
use crate::parquet::{self, Group, sorted};
use arrow::array::RecordBatch;
use rcm_core::Problem;
use rcm_scd2::{Close, IS_CURRENT, Merged, VALID_TO};

impl History<'_> {
    /// Whether rows go, or there are too many of them or of their row groups.
    pub(super) fn is_spliced_no_more(&self, lies: &Lies, groups: usize, merged: &Merged) -> bool {
        let rows = lies.rows() + merged.opens.num_rows();
        !merged.is_no_op() && (!merged.withdrawals.is_empty() || groups >= GROUPS || rows > BUCKET_ROWS)
    }

    pub(super) fn splice(
        &self,
        lies: &Lies,
        lots: &[Lot<'_>],
        merged: &Merged,
        weave: &Weaving<'_>,
        written: &mut Written,
    ) -> Result<(), MergeError> {
        let failed = |e| MergeError::Storage(Problem::storage(lies.path(self.table), e));
        let mut groups = Vec::new();
        let mut first = 0;
        for lot in lots {
            let end = first + lot.known.num_rows();
            let closes: Vec<Close> = within(&merged.closes, |close| close.row, first, end)
                .iter()
                .map(|close| Close { row: lot.number(close.row - first), valid_to: close.valid_to })
                .collect();
            let mut columns = Vec::new();
            if !closes.is_empty() {
                let is_signed = |name: &str| weave.closed.schema_ref().index_of(name).is_ok();
                let changes = |name: &str| is_signed(name) || [VALID_TO, IS_CURRENT].contains(&name);
                let batch = lot.encoded.read_group(lot.group, &changes).map_err(failed)?;
                for (at, column) in closed(&batch, &closes, 0, weave).map_err(broken)? {
                    let name = batch.schema_ref().field(at).name();
                    columns.push((self.schema.index_of(name).map_err(broken)?, column));
                }
            }
            groups.push(Group::Copy(lot.encoded, lot.group, columns));
            first = end;
        }
        let nothing = RecordBatch::new_empty(self.schema.clone());
        let opens = weave.by.opens(&self.schema, &nothing, merged).map_err(broken)?;
        let rows = lies.rows() + opens.num_rows();
        if opens.num_rows() > 0 {
            groups.push(Group::Rows(sorted(&opens, &self.order()).map_err(broken)?));
        }
        let bytes = parquet::write_groups(&self.schema, groups, self.statistics).map_err(failed)?;
        written.without_file.push(lies.leaf);
        written.file(self, lies.leaf, bytes, rows);
        Ok(())
    }
}
