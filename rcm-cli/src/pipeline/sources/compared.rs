//! Windows that were read before, compared with what is there now: `rcm run --reconcile`.

use super::edge::{Digest16, digests};
use crate::pipeline::land::archived;
use arrow::array::RecordBatch;
use rcm_connectors::lake::{Lake, ReadFile};
use rcm_core::{Problem, Watermark};
use std::collections::HashSet;

/// Windows that were read before.
pub(super) struct Compared {
    /// Where they begin, not behind the point where a run begins without; none: at the beginning.
    pub(super) from: Option<Watermark>,
    /// Where a run would begin to read without.
    usual: Option<Watermark>,
    /// What was read of them.
    files: Vec<ReadFile>,
}

impl Compared {
    /// The last windows out of all that were read.
    pub(super) fn of(read: &[&ReadFile], count: usize, usual: Option<Watermark>) -> Compared {
        // Several reads may end at one point, and points of another kind are of a column that is gone.
        let is_kind = |at: &Watermark| usual.is_none_or(|usual| usual.kind() == at.kind());
        let mut ends: Vec<Watermark> = read.iter().filter_map(|file| file.watermark).filter(is_kind).collect();
        ends.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        ends.dedup();
        let from = ends.len().checked_sub(count + 1).map(|at| ends[at]);
        let from = if from < usual { from } else { usual };
        let is_within = |file: &&&ReadFile| from.is_none() || file.watermark >= from;
        Compared { from, usual, files: read.iter().filter(is_within).map(|file| (*file).clone()).collect() }
    }

    /// Leaves as new what no window had, and says how much of it came late.
    pub(super) async fn mark(
        &self,
        rows: &RecordBatch,
        digests: &[Digest16],
        at: &[Option<Watermark>],
        is_new: &mut [bool],
        lake: &Lake,
    ) -> Result<String, Problem> {
        let (mut known, mut unlike) = (HashSet::new(), 0);
        for file in &self.files {
            match self.known(rows, lake, file).await? {
                Some(digests) => known.extend(digests),
                None => unlike += 1,
            }
        }
        let mut late = 0;
        for (row, is_new) in is_new.iter_mut().enumerate() {
            // What lies before the first of them was not asked for.
            let is_asked = at[row].is_none() || self.from.is_none() || at[row] >= self.from;
            *is_new &= is_asked && !known.contains(&digests[row]);
            late += u64::from(*is_new && at[row].is_some() && at[row] < self.usual);
        }
        Ok(self.said(rows.num_rows(), late, unlike))
    }

    /// The rows of a window, as these rows would be told; none where it has other columns.
    async fn known(&self, rows: &RecordBatch, lake: &Lake, file: &ReadFile) -> Result<Option<Vec<Digest16>>, Problem> {
        let before = archived(lake, file).await?.rows;
        let names = |of: &RecordBatch| of.schema_ref().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
        if names(&before) != names(rows) {
            return Ok(None);
        }
        let Ok(alike) = RecordBatch::try_new(rows.schema(), before.columns().to_vec()) else { return Ok(None) };
        digests(&alike).map(Some).map_err(|e| Problem::storage(&file.bronze, e))
    }

    fn said(&self, rows: usize, late: u64, unlike: usize) -> String {
        let from = self.from.map_or("the beginning".to_owned(), |from| from.to_string());
        let mut said = format!("{} windows since {from} compared: {rows} rows, ", self.files.len());
        said += &match late {
            0 => "none came late".to_owned(),
            late => format!("{late} that came, or changed without their watermark, later than the lag are read now"),
        };
        if unlike > 0 {
            said += &format!("; {unlike} of the windows had other columns, and what lies in them is read again");
        }
        said
    }
}
