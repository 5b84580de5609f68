//! A bucket as it lies in the lake, and a merge into it that decodes and writes no more than it must.

use super::bucket::{Bucket, broken};
use super::leaf::Leaf;
use super::write::Written;
use super::{BUCKET_ROWS, DataFile, History, MergeError, Weaving, WriteMode};
use crate::parquet::{self, Encoded};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use bytes::Bytes;
use rcm_core::Problem;
use rcm_scd2::{Cut, IS_CURRENT, IS_DELETED, IS_INFERRED, Mode, Spec, Unit, VALID_FROM, VALID_TO};
use std::collections::{BTreeMap, BTreeSet};

/// A bucket that got more row groups, or more files, is sorted anew, as one.
pub(super) const GROUPS: usize = 8;

/// A bucket as it lies in the lake: its files and its hidden observations.
pub(super) struct Lies {
    pub(super) leaf: Leaf,
    pub(super) files: Vec<Lying>,
    pub(super) hidden: Option<(Bytes, String)>,
}

/// A file of a bucket.
pub(super) struct Lying {
    pub(super) file: DataFile,
    pub(super) bytes: Bytes,
    /// In the lake.
    pub(super) path: String,
    /// Which of its rows are in the table; none: all.
    pub(super) live: Option<BooleanArray>,
}

impl Lying {
    /// Which of some rows of the file, one behind the other, are in the table; none: all.
    pub(super) fn live_rows(&self, first: usize, rows: usize) -> Result<Option<BooleanArray>, Problem> {
        match &self.live {
            Some(live) if first + rows > live.len() => {
                Err(Problem::storage(&self.path, "has more rows than its table says"))
            }
            live => Ok(live.as_ref().map(|live| live.slice(first, rows))),
        }
    }

    pub(super) fn encoded(&self) -> Result<Encoded, Problem> {
        Encoded::open(self.bytes.clone()).map_err(|e| Problem::storage(&self.path, e))
    }
}

impl Lies {
    pub(super) fn hidden(&self) -> Result<Vec<RecordBatch>, Problem> {
        let Some((bytes, path)) = &self.hidden else { return Ok(Vec::new()) };
        parquet::decode(bytes.clone()).map_err(|e| Problem::storage(path, e))
    }

    /// How many rows its files have.
    pub(super) fn rows(&self) -> usize {
        self.files.iter().map(|lying| lying.file.rows as usize).sum()
    }

    pub(super) fn path<'a>(&'a self, otherwise: &'a str) -> &'a str {
        self.files.first().map_or(otherwise, |file| &file.path)
    }
}

/// Rows of a row group of a bucket.
pub(super) struct Lot<'a> {
    pub(super) path: &'a str,
    pub(super) encoded: &'a Encoded,
    /// Which file of the bucket.
    pub(super) file: usize,
    pub(super) group: usize,
    /// How many rows of the file come before the group.
    first: usize,
    /// The numbers of these rows within the group; none: they are all of it.
    numbers: Option<Vec<usize>>,
    /// Their columns that the engine reads, text as views.
    pub(super) known: RecordBatch,
}

impl Lot<'_> {
    /// The number of a row within the group.
    pub(super) fn number(&self, row: usize) -> usize {
        self.numbers.as_ref().map_or(row, |numbers| numbers[row])
    }

    /// The number of a row within the file.
    pub(super) fn number_in_file(&self, row: usize) -> u64 {
        (self.first + self.number(row)) as u64
    }
}

impl Lies {
    /// Its rows as the engine is given them, one lot a row group, in the order of files and groups.
    fn lots<'a>(&'a self, files: &'a [Encoded], spec: &Spec) -> Result<Vec<Lot<'a>>, MergeError> {
        let names = engine_columns(spec);
        let mut lots = Vec::new();
        for (file, (Lying { path, .. }, encoded)) in self.files.iter().zip(files).enumerate() {
            let mut first = 0;
            for group in 0..encoded.groups() {
                let rows = encoded.rows(group);
                let live = self.files[file].live_rows(first, rows)?;
                let known = encoded.view_group(group, &|name| names.contains(name), None);
                let known = known.map_err(|e| Problem::storage(path, e))?;
                let (numbers, known) = match live {
                    None => (None, known),
                    Some(live) => {
                        let known = filter_record_batch(&known, &live).map_err(broken)?;
                        (Some(live.values().set_indices().collect()), known)
                    }
                };
                lots.push(Lot { path, encoded, file, group, first, numbers, known });
                first += rows;
            }
        }
        Ok(lots)
    }
}

impl History<'_> {
    /// Merges a load into a bucket as it lies, and writes what changes.
    pub(super) fn merge_lying(
        &self,
        cut: &Cut<'_>,
        unit: &Unit,
        lies: &Lies,
        spec: &Spec,
        weave: &Weaving<'_>,
    ) -> Result<Written, MergeError> {
        let files = lies.files.iter().map(Lying::encoded).collect::<Result<Vec<_>, _>>()?;
        let is_plain = files.len() < 2 && lies.files.iter().all(|file| file.live.is_none());
        // One that another version wrote, or in another mode, or of which the log does not tell how many rows it has.
        let is_other = |(lying, file): (&Lying, &Encoded)| {
            let rows = (0..file.groups()).map(|group| file.rows(group) as u64).sum::<u64>();
            file.schema().fields() != self.schema.fields() || rows != lying.file.rows
        };
        if lies.files.iter().zip(&files).any(is_other) || self.mode == WriteMode::Copy && !is_plain {
            return self.encode_all(self.merge_held(cut, unit, BTreeMap::new(), std::slice::from_ref(lies), weave)?);
        }
        let lots = lies.lots(&files, spec)?;
        let hidden = lies.hidden()?;
        let known = lots.iter().map(|lot| lot.known.clone()).collect();
        let merged = cut.merge(unit, known, hidden.clone())?;
        let hidden_rows = hidden.iter().map(RecordBatch::num_rows).sum::<usize>() + merged.hidden.adds.num_rows();
        let is_made_anew = match self.mode {
            WriteMode::Copy => self.is_spliced_no_more(lies, lots.len(), &merged),
            WriteMode::Append => self.is_appended_no_more(lies, &merged),
        };
        if hidden_rows > BUCKET_ROWS || is_made_anew {
            let mut held = BTreeMap::from([(lies.leaf, Bucket::read(lies, &self.schema)?)]);
            self.apply(&mut held, &merged, weave)?;
            return self.encode_all(held);
        }
        let mut written = Written::default();
        match self.mode {
            _ if merged.is_no_op() => {}
            WriteMode::Copy => self.splice(lies, &lots, &merged, weave, &mut written)?,
            WriteMode::Append => self.append(lies, &lots, &merged, weave, &mut written)?,
        }
        if !merged.hidden.is_empty() {
            written.hidden(self, lies.leaf, &merged.hidden.apply(&hidden)?)?;
        }
        Ok(written)
    }
}

/// The columns that the engine reads.
pub(super) fn engine_columns(spec: &Spec) -> BTreeSet<&str> {
    let sequence: Vec<&String> = match spec.mode() {
        Mode::Snapshot { sequence, .. } => sequence.iter().map(|(name, _)| name).collect(),
        Mode::Feed { sequence, .. } => sequence.iter().collect(),
    };
    let columns = spec.keys().iter().chain(spec.columns().iter().map(|(name, _)| name)).chain(sequence);
    columns.map(String::as_str).chain([VALID_FROM, VALID_TO, IS_CURRENT, IS_DELETED, IS_INFERRED]).collect()
}
