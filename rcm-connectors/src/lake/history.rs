//! History tables: cut into buckets, of which a load reads and writes only those that it can change.
//!
//! The files of a bucket lie in a folder of its name (`silver/patients/3-5/<attempt>.parquet`), its hidden observations in
//! a state part of its own. A bucket that grows too big is split in two when it is written. It is one file, unless loads
//! are appended ([`WriteMode`]).

mod append;
mod bucket;
mod leaf;
mod loose;
mod lying;
mod options;
mod splice;
mod weave;
mod write;

use super::change::fit;
use super::record::digested;
use super::{Change, DataFile, Lake};
use crate::parquet;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use bucket::{Bucket, broken};
use futures::future::try_join_all;
use leaf::Leaf;
use lying::{Lies, Lying};
pub use options::{HistoryOptions, WriteMode};
use rayon::prelude::*;
use rcm_core::{Class, Problem};
use rcm_scd2::{Cut, Load, Spec, Summary, Unit};
use roaring::RoaringTreemap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::task::{JoinHandle, JoinSet};
use weave::Weaving;
pub use weave::{EngineColumns, MergeError, Weave};
use write::Written;

/// Rows of a bucket at most: one of more rows, or of more hidden observations, is split.
pub const BUCKET_ROWS: usize = parquet::GROUP_ROWS;
/// Buckets that are in memory at once, for each thread.
const AT_ONCE: usize = 2;

/// A history table while a run merges loads into it. Files are written and seen by nobody, until a commit names them.
pub struct History<'a> {
    lake: &'a Lake,
    attempt: &'a str,
    table: &'a str,
    schema: SchemaRef,
    statistics: &'a [&'a str],
    keys: &'a [&'a str],
    mode: WriteMode,
    /// All there are, in order.
    leaves: Vec<Leaf>,
    files: BTreeMap<Leaf, Vec<DataFile>>,
    hidden: BTreeMap<Leaf, String>,
    /// What is in memory, because another load follows, or because it did not lie in buckets.
    held: BTreeMap<Leaf, Bucket>,
    ledger: Vec<RecordBatch>,
    ledger_path: Option<String>,
    ledger_changed: bool,
    /// The spec by which the history was made, as text.
    spec: Option<String>,
    spec_path: Option<String>,
    removes: Vec<DataFile>,
    adds: Vec<DataFile>,
    /// Files of which rows go, and all those that are gone then.
    gone: Vec<(DataFile, RoaringTreemap)>,
    /// Files that were read.
    read: usize,
    /// Bytes of the vectors that were written.
    vector_bytes: u64,
    puts: JoinSet<Result<(), Problem>>,
}

/// What loads made of a history table.
#[derive(Debug)]
pub struct HistoryAfter {
    /// Files that go.
    pub removes: Vec<DataFile>,
    /// Files that come.
    pub adds: Vec<DataFile>,
    /// The engine's state parts, by the names under which the publish record keeps them.
    pub parts: BTreeMap<String, String>,
    /// Files that were read.
    pub read: usize,
    /// Bytes of the deletion vectors that were written.
    pub vector_bytes: u64,
}

impl Lake {
    /// Opens a history table, to merge loads into it. `parts`: its state parts, of which those of the engine are taken out.
    /// What others rewrote in files of their own is cut into buckets again.
    ///
    /// # Errors
    /// Storage that fails; files that cannot be what this program wrote.
    pub async fn history<'a>(
        &'a self,
        change: &'a Change,
        parts: &mut BTreeMap<String, String>,
        attempt: &'a str,
        options: HistoryOptions<'a>,
    ) -> Result<History<'a>, Problem> {
        let HistoryOptions { keys, statistics, mode, rebuilt } = options;
        let (mut files, mut loose): (BTreeMap<Leaf, Vec<DataFile>>, _) = (BTreeMap::new(), Vec::new());
        for file in change.before.files.iter().filter(|_| !rebuilt) {
            match file.path.split_once('/').and_then(|(folder, _)| Leaf::parse(folder)) {
                Some(leaf) => files.entry(leaf).or_default().push(file.clone()),
                None => loose.push(file.clone()),
            }
        }
        let mut hidden = BTreeMap::new();
        let ledger_path = parts.remove("ledger").filter(|_| !rebuilt);
        let spec_path = parts.remove("spec").filter(|_| !rebuilt);
        parts.retain(|name, path| match name.strip_prefix("hidden/").and_then(Leaf::parse) {
            Some(leaf) => {
                hidden.insert(leaf, path.clone());
                false
            }
            None => true,
        });
        if rebuilt {
            hidden.clear();
        }
        let known: BTreeSet<Leaf> = files.keys().chain(hidden.keys()).copied().collect();
        let leaves = leaf::whole(&known)
            .ok_or_else(|| Problem::storage(&change.table, "two of its buckets overlap: it is not as rcm left it"))?;
        let ledger = match &ledger_path {
            Some(path) => parquet::decode(self.get_digested(path).await?).map_err(|e| Problem::storage(path, e))?,
            None => Vec::new(),
        };
        let spec = match &spec_path {
            Some(path) => Some(String::from_utf8_lossy(&self.get_digested(path).await?).into_owned()),
            None => None,
        };
        let mut history = History {
            lake: self,
            attempt,
            table: &change.table,
            schema: change.schema.clone(),
            statistics,
            keys,
            mode,
            leaves,
            files,
            hidden,
            held: BTreeMap::new(),
            ledger,
            ledger_path,
            ledger_changed: false,
            spec,
            spec_path,
            removes: if rebuilt { change.before.files.clone() } else { Vec::new() },
            adds: Vec::new(),
            gone: Vec::new(),
            read: loose.len(),
            vector_bytes: 0,
            puts: JoinSet::new(),
        };
        history.take_in_loose(loose).await?;
        Ok(history)
    }
}

impl History<'_> {
    /// Merges a load. `is_last`: no other follows, so that each bucket is written as soon as it is merged, and no more of
    /// them are in memory than threads work on.
    ///
    /// # Errors
    /// What the engine refuses; storage that fails. The table is not to be committed then.
    pub async fn take(
        &mut self,
        spec: &Spec,
        load: &Load<'_>,
        weave: &dyn Weave,
        is_last: bool,
        pool: &rayon::ThreadPool,
    ) -> Result<Summary, MergeError> {
        if spec.keys() != self.keys {
            let what = format!("its key is {}, the load's is {}", self.keys.join(", "), spec.keys().join(", "));
            return Err(Problem::new(Class::Config, self.table, what).hint("load it by its own key").into());
        }
        match &self.spec {
            Some(recorded) => spec.check_recorded(recorded)?,
            None => (self.spec, self.spec_path) = (Some(spec.recorded()), None),
        }
        let taken = self.take_in(spec, load, weave, is_last, pool).await;
        if taken.is_err() {
            // Nothing is written any more when this returns.
            let _ = self.settled().await;
        }
        taken
    }

    async fn take_in(
        &mut self,
        spec: &Spec,
        load: &Load<'_>,
        weave: &dyn Weave,
        is_last: bool,
        pool: &rayon::ThreadPool,
    ) -> Result<Summary, MergeError> {
        if self.is_new() {
            self.leaves = Leaf::all(depth_for(load.rows.iter().map(RecordBatch::num_rows).sum()));
        }
        let leaves = self.leaves.clone();
        let this = &*self;
        let number = |keys: &[ArrayRef]| leaf::number(&leaves, &this.as_stored(keys)?);
        let ledger = self.ledger.clone();
        let closed = weave.closed().map_err(broken)?;
        let weave = &Weaving { closed, by: weave };
        let cut = pool.install(|| Cut::new(spec, &ledger, load, &number))?;
        let units = cut.units(0..leaves.len() as u32);
        let mut waves = units.chunks(AT_ONCE * pool.current_num_threads()).peekable();
        let mut coming = waves.peek().map(|wave| self.fetch(wave));
        while let (Some(wave), Some(work)) = (waves.next(), coming.take()) {
            let mut lying = Vec::new();
            for (held, lies) in work {
                lying.push((held, lies.await.map_err(|e| Problem::storage(self.table, e))??));
            }
            // What comes next is read, and what was written last is put, while this is merged.
            coming = waves.peek().map(|wave| self.fetch(wave));
            tokio::task::yield_now().await;
            let this = &*self;
            let merge = |(unit, (held, lies)): (&Unit, (BTreeMap<Leaf, Bucket>, Vec<Lies>))| {
                if let ([lies], true, true) = (lies.as_slice(), held.is_empty(), is_last) {
                    return Ok((BTreeMap::new(), this.merge_lying(&cut, unit, lies, spec, weave)?));
                }
                let held = this.merge_held(&cut, unit, held, &lies, weave)?;
                match is_last {
                    true => Ok((BTreeMap::new(), this.encode_all(held)?)),
                    false => Ok((held, Written::default())),
                }
            };
            let merged = pool.install(|| {
                wave.par_iter().zip(lying).with_max_len(1).map(merge).collect::<Result<Vec<_>, MergeError>>()
            })?;
            self.settled().await?;
            for (held, written) in merged {
                self.held.extend(held);
                self.store(written, pool.current_num_threads()).await?;
            }
        }
        self.settled().await?;
        let summary = cut.finish()?;
        if !summary.ledger.is_empty() {
            self.ledger = summary.ledger.apply(&self.ledger)?;
            self.ledger_changed = true;
        }
        Ok(summary)
    }

    /// Takes versions that another tool kept into a new table, in its columns; see [`rcm_scd2::verify`] for whether they are
    /// a history.
    ///
    /// # Errors
    /// A table that is not new; rows in other columns.
    pub fn import(&mut self, rows: &[RecordBatch], pool: &rayon::ThreadPool) -> Result<(), MergeError> {
        if !self.is_new() {
            return Err(Problem::storage(self.table, "holds rows already: history is imported into a new table").into());
        }
        let named = |batch: &RecordBatch| {
            let names = |schema: &Schema| schema.fields().iter().map(|f| f.name().clone()).collect::<BTreeSet<_>>();
            match names(batch.schema_ref()) == names(&self.schema) && batch.num_columns() == self.schema.fields().len()
            {
                true => fit(batch, &self.schema, self.table),
                false => Err(Problem::new(Class::Config, self.table, "the rows have other columns than the table")),
            }
        };
        let rows = rows.iter().map(named).collect::<Result<Vec<_>, _>>()?;
        self.leaves = Leaf::all(depth_for(rows.iter().map(RecordBatch::num_rows).sum()));
        self.held = pool.install(|| self.cut(&rows))?;
        Ok(())
    }

    fn is_new(&self) -> bool {
        self.files.is_empty() && self.hidden.is_empty() && self.held.is_empty()
    }

    /// Writes what is not written yet, and gives the files that go and come and the engine's state parts.
    ///
    /// # Errors
    /// Storage that fails.
    pub async fn finish(mut self, pool: &rayon::ThreadPool) -> Result<HistoryAfter, MergeError> {
        let held = std::mem::take(&mut self.held);
        let written = pool.install(|| self.encode_all(held))?;
        self.store(written, pool.current_num_threads()).await?;
        self.settled().await?;
        self.write_vectors().await?;
        if self.ledger_changed {
            let schema = self.ledger.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
            let bytes = parquet::encode(&schema, &self.ledger, &[]).map_err(|e| Problem::storage(self.table, e))?;
            let path = self.part_path("", "ledger", "parquet", &bytes);
            self.lake.put(&path, bytes).await?;
            self.ledger_path = Some(path);
        }
        if let (None, Some(spec)) = (&self.spec_path, &self.spec) {
            let path = self.part_path("", "spec", "txt", spec.as_bytes());
            self.lake.put(&path, spec.clone().into_bytes()).await?;
            self.spec_path = Some(path);
        }
        let hidden = self.hidden.into_iter().map(|(leaf, path)| (format!("hidden/{leaf}"), path));
        let named = |name: &str, path: Option<String>| path.map(|path| (name.to_owned(), path));
        let parts = hidden.chain(named("ledger", self.ledger_path)).chain(named("spec", self.spec_path)).collect();
        self.adds.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(HistoryAfter {
            removes: self.removes,
            adds: self.adds,
            parts,
            read: self.read,
            vector_bytes: self.vector_bytes,
        })
    }

    /// Begins to read what some units need, and takes out what is held of them.
    #[allow(clippy::type_complexity, reason = "of each unit what is held, and what will have been read")]
    fn fetch(&mut self, units: &[Unit]) -> Vec<(BTreeMap<Leaf, Bucket>, JoinHandle<Result<Vec<Lies>, Problem>>)> {
        let fetch = |unit: &Unit| {
            let of_unit: Vec<Leaf> = unit.buckets().iter().map(|number| self.leaves[*number as usize]).collect();
            let held: BTreeMap<Leaf, Bucket> =
                of_unit.iter().filter_map(|leaf| Some((*leaf, self.held.remove(leaf)?))).collect();
            let lying = of_unit.into_iter().filter(|leaf| !held.contains_key(leaf));
            let lying: Vec<Leaf> = lying.collect();
            self.read += lying.iter().filter_map(|leaf| self.files.get(leaf)).map(Vec::len).sum::<usize>();
            let reads: Vec<_> = lying.into_iter().map(|leaf| self.lies(leaf)).collect();
            (held, tokio::spawn(async move { try_join_all(reads).await }))
        };
        units.iter().map(fetch).collect()
    }

    /// Reads what lies in the lake of a bucket, not decoded.
    fn lies(&self, leaf: Leaf) -> impl Future<Output = Result<Lies, Problem>> + Send + 'static + use<> {
        let (lake, table) = (self.lake.clone(), self.table.to_owned());
        let files = self.files.get(&leaf).cloned().unwrap_or_default();
        let hidden = self.hidden.get(&leaf).cloned();
        async move {
            let mut lies = Lies { leaf, files: Vec::new(), hidden: None };
            for file in files {
                let path = format!("{table}/{}", file.path);
                let (bytes, live) = (lake.get(&path).await?, lake.live_rows(&table, &file).await?);
                lies.files.push(Lying { file, bytes, path, live });
            }
            if let Some(path) = hidden {
                lies.hidden = Some((lake.get_digested(&path).await?, path));
            }
            Ok(lies)
        }
    }

    /// Waits until all is written that was to be.
    async fn settled(&mut self) -> Result<(), Problem> {
        while let Some(put) = self.puts.join_next().await {
            put.map_err(|e| Problem::storage(self.table, e))??;
        }
        Ok(())
    }

    /// Begins to put the files of buckets that changed, in the place of those that were there; with one thread one after
    /// the other.
    async fn store(&mut self, written: Written, threads: usize) -> Result<(), Problem> {
        for (path, bytes) in written.puts {
            let lake = self.lake.clone();
            self.puts.spawn(async move { lake.put(&path, bytes).await });
            if threads == 1 {
                self.settled().await?;
            }
        }
        for leaf in written.without_file {
            self.removes.extend(self.files.remove(&leaf).into_iter().flatten());
        }
        self.removes.extend(written.gone.iter().map(|(file, _)| file.clone()));
        self.gone.extend(written.gone);
        for leaf in written.without_hidden {
            self.hidden.remove(&leaf);
        }
        self.hidden.extend(written.hidden);
        self.adds.extend(written.files);
        Ok(())
    }

    fn part_path(&self, folder: &str, name: &str, ending: &str, bytes: &[u8]) -> String {
        let table = self.table.rsplit('/').next().unwrap_or(self.table);
        digested(&format!("_rcm/state/{table}/{folder}{}-{name}", self.attempt), ending, bytes)
    }
}

/// How often a new table is cut for so many rows: so that the buckets will hardly be split at once.
fn depth_for(rows: usize) -> u32 {
    (0..leaf::DEEPEST).find(|depth| rows >> depth <= BUCKET_ROWS / 4 * 3).unwrap_or(leaf::DEEPEST)
}
