//! Buckets on their way into the lake.

use super::bucket::Bucket;
use super::leaf::Leaf;
use super::{BUCKET_ROWS, DataFile, History, MergeError};
use crate::parquet::{self, GROUP_ROWS, Group};
use arrow::array::RecordBatch;
use bytes::Bytes;
use rayon::prelude::*;
use rcm_core::Problem;
use roaring::RoaringTreemap;
use std::collections::BTreeMap;

/// Files to be put, and what they take the place of.
#[derive(Default)]
pub(super) struct Written {
    pub(super) puts: Vec<(String, Bytes)>,
    pub(super) files: Vec<DataFile>,
    pub(super) hidden: Vec<(Leaf, String)>,
    /// Files of which rows go, and all those that are gone then.
    pub(super) gone: Vec<(DataFile, RoaringTreemap)>,
    /// Buckets whose files go.
    pub(super) without_file: Vec<Leaf>,
    /// Buckets whose hidden observations go.
    pub(super) without_hidden: Vec<Leaf>,
}

impl Written {
    pub(super) fn append(&mut self, mut other: Written) {
        self.puts.append(&mut other.puts);
        self.files.append(&mut other.files);
        self.hidden.append(&mut other.hidden);
        self.gone.append(&mut other.gone);
        self.without_file.append(&mut other.without_file);
        self.without_hidden.append(&mut other.without_hidden);
    }

    /// A bucket's new file, beside those that it has.
    pub(super) fn file(&mut self, history: &History<'_>, leaf: Leaf, bytes: Vec<u8>, rows: usize) {
        let path = format!("{leaf}/{}.parquet", history.attempt);
        let (size, rows) = (bytes.len() as u64, rows as u64);
        self.puts.push((format!("{}/{path}", history.table), bytes.into()));
        self.files.push(DataFile::new(path, size, rows));
    }

    /// A bucket's hidden observations.
    pub(super) fn hidden(&mut self, history: &History<'_>, leaf: Leaf, rows: &[RecordBatch]) -> Result<(), Problem> {
        self.without_hidden.push(leaf);
        let Some(first) = rows.iter().find(|batch| batch.num_rows() > 0) else { return Ok(()) };
        let bytes = parquet::encode(first.schema_ref(), rows, &[]).map_err(|e| Problem::storage(history.table, e))?;
        let path = history.part_path(&format!("{leaf}/"), "hidden", "parquet", &bytes);
        self.puts.push((path.clone(), bytes.into()));
        self.hidden.push((leaf, path));
        Ok(())
    }
}

impl History<'_> {
    /// What of some buckets changed, as files.
    pub(super) fn encode_all(&self, held: BTreeMap<Leaf, Bucket>) -> Result<Written, MergeError> {
        let encode = |(leaf, bucket)| self.encode(leaf, bucket);
        let each = held.into_par_iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        let mut all = Written::default();
        each.into_iter().for_each(|written| all.append(written));
        Ok(all)
    }

    /// What of a bucket changed, as files: it is split where it has grown too big.
    fn encode(&self, leaf: Leaf, bucket: Bucket) -> Result<Written, MergeError> {
        let mut written = Written::default();
        let mut pieces = Vec::new();
        self.split(leaf, bucket.history, bucket.hidden, &mut pieces)?;
        let is_split = pieces.len() > 1;
        if is_split {
            written.without_file.push(leaf);
            written.without_hidden.push(leaf);
        }
        for (leaf, rows, hidden) in pieces {
            if bucket.history_changed || is_split {
                written.without_file.push(leaf);
                if rows.num_rows() > 0 {
                    let starts = (0..rows.num_rows()).step_by(GROUP_ROWS);
                    let cut = starts.map(|at| Group::Rows(rows.slice(at, GROUP_ROWS.min(rows.num_rows() - at))));
                    let bytes = parquet::write_groups(&self.schema, cut.collect(), self.statistics);
                    let bytes = bytes.map_err(|e| Problem::storage(self.table, e))?;
                    written.file(self, leaf, bytes, rows.num_rows());
                }
            }
            if bucket.hidden_changed || is_split {
                written.hidden(self, leaf, &hidden)?;
            }
        }
        Ok(written)
    }

    fn split(
        &self,
        leaf: Leaf,
        history: RecordBatch,
        hidden: Vec<RecordBatch>,
        pieces: &mut Vec<(Leaf, RecordBatch, Vec<RecordBatch>)>,
    ) -> Result<(), MergeError> {
        let hidden_rows = hidden.iter().map(RecordBatch::num_rows).sum::<usize>();
        match leaf.halves().filter(|_| history.num_rows().max(hidden_rows) > BUCKET_ROWS) {
            None => pieces.push((leaf, history, hidden)),
            Some(halves) => {
                for half in halves {
                    let hidden = hidden.iter().map(|rows| self.of_leaf(half, rows)).collect::<Result<Vec<_>, _>>()?;
                    self.split(half, self.of_leaf(half, &history)?, hidden, pieces)?;
                }
            }
        }
        Ok(())
    }
}
