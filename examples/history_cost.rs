//! What a small load costs, by how much history there is: the seconds, files and bytes of a thousand keys.
//!
//! ```sh
//! cargo run --release -p rcm-examples --features delta --example history_cost -- /tmp/lake copy 1 10 50
//! ```
//!
//! Makes a table of so many million rows in the folder (which is deleted first), ten million a load, then changes a thousand
//! keys that lie in ten of its buckets, and a thousand keys anywhere, sixteen times each; at last all keys of it. Then the
//! same of a feed, of which a million observations say nothing new: a thousand events anywhere. One line of JSON a size,
//! with the means of the small loads. Every fourth load is followed by maintenance, whose time does not count. For 50
//! million rows have 20 GB of disk free.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::error::ArrowError;
use chrono::DateTime;
use rcm_connectors::lake::{EngineColumns, HistoryTable, Lake, Loaded, WriteMode};
use rcm_core::progress::Silent;
use rcm_scd2::{Load, Spec, State, buckets, merge};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MILLION: i64 = 1_000_000;
/// Rows of a large load.
const AT_ONCE: usize = 10_000_000;
/// Small loads of each kind.
const LOADS: u32 = 16;
/// The buckets that a small load is aimed at, of how many.
const AIMED: u32 = 10;

/// Tables: of snapshots, and of events.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Snapshots,
    Events,
}

/// Rows of these keys, with values of this load.
fn rows(keys: impl Iterator<Item = i64>, load: i64) -> Result<RecordBatch, ArrowError> {
    let keys: Vec<i64> = keys.collect();
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(keys.iter().map(|key| format!("PAT-{key:09}"))));
    let names = keys.iter().map(|key| format!("{:x} Kettle Court, Nowhereton {load}", key.wrapping_mul(0x9E37_79B9)));
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(keys.iter().map(|key| key * 31 + load)));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(names));
    RecordBatch::try_from_iter([("id", ids), ("address", names), ("balance", values)])
}

/// The same as events of an instant.
fn events(rows: &RecordBatch, at: i64) -> Result<RecordBatch, ArrowError> {
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![at; rows.num_rows()]).with_timezone("UTC"));
    let columns = rows.schema_ref().fields().iter().map(|field| field.name().as_str()).zip(rows.columns().to_vec());
    RecordBatch::try_from_iter(columns.chain([("at", at)]))
}

struct Table {
    kind: Kind,
    lake: Lake,
    table: HistoryTable,
    spec: Spec,
    pool: rayon::ThreadPool,
    loads: i64,
}

impl Table {
    fn new(folder: &Path, mode: WriteMode, kind: Kind) -> Result<Self, Box<dyn Error>> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        let values = ["address", "balance"];
        let (spec, first) = match kind {
            Kind::Snapshots => (Spec::snapshot(["id"]).track(values).build()?, rows(0..1, 0)?),
            Kind::Events => (Spec::feed(["id"], ["at"]).track(values).build()?, events(&rows(0..1, 0)?, 0)?),
        };
        let columns = merge(&spec, &State::new(), &Load::new(&[first], 0))?.opens.schema();
        let table = HistoryTable { name: "silver/history".to_owned(), keys: vec!["id".to_owned()], columns, mode };
        let pool = rayon::ThreadPoolBuilder::new().build()?;
        Ok(Table { kind, lake: Lake::local(folder)?, table, spec, pool, loads: 0 })
    }

    /// Loads rows, and how long it took.
    async fn load(&mut self, rows: RecordBatch) -> Result<(f64, Loaded), Box<dyn Error>> {
        self.loads += 1;
        let rows = match self.kind {
            Kind::Snapshots => [rows],
            Kind::Events => [events(&rows, self.loads)?],
        };
        let load = Load::new(&rows, self.loads);
        let now = DateTime::from_timestamp(self.loads, 0).unwrap_or_default();
        #[allow(clippy::disallowed_methods, reason = "a stopwatch")]
        let start = Instant::now();
        let loaded = self.lake.load(&self.table, &self.spec, &load, &EngineColumns, now, &self.pool).await?;
        let seconds = start.elapsed().as_secs_f64();
        // Every load leaves the files behind whose place its own took.
        if self.loads % 4 == 0 {
            self.lake.maintain(1, now, &Silent).await?;
        }
        Ok((seconds, loaded))
    }

    /// The best of three times that the table's log is read, and how many buckets it tells of.
    async fn open(&self) -> Result<(f64, usize), Box<dyn Error>> {
        let version = self.lake.head(&self.table.name).await?;
        let (mut best, mut buckets) = (f64::MAX, BTreeSet::new());
        for _ in 0..3 {
            #[allow(clippy::disallowed_methods, reason = "a stopwatch")]
            let start = Instant::now();
            let files = self.lake.table_files(&self.table.name, version).await?.files;
            best = best.min(start.elapsed().as_secs_f64());
            buckets = files.into_iter().filter_map(|file| Some(file.path.split_once('/')?.0.to_owned())).collect();
        }
        Ok((best, buckets.len()))
    }

    /// Makes it, at most [`AT_ONCE`] rows a load; the bytes that were written too.
    async fn fill(&mut self, millions: i64, value: i64) -> Result<(f64, u64), Box<dyn Error>> {
        let (mut seconds, mut bytes, keys) = (0.0, 0, millions * MILLION);
        for first in (0..keys).step_by(AT_ONCE) {
            let (took, loaded) = self.load(rows(first..keys.min(first + AT_ONCE as i64), value)?).await?;
            seconds += took;
            bytes += loaded.bytes_written;
        }
        Ok((seconds, bytes))
    }

    /// The mean of sixteen loads of a thousand keys: every eighth sorts its buckets anew.
    async fn mean(&mut self, keys: &[i64]) -> Result<String, Box<dyn Error>> {
        let (mut seconds, mut files, mut bytes) = (0.0, 0, 0);
        for _ in 0..LOADS {
            let (took, loaded) = self.load(rows(keys.iter().copied(), self.loads + 1)?).await?;
            seconds += took / f64::from(LOADS);
            files += loaded.files_written;
            bytes += loaded.bytes_written;
        }
        let (files, bytes) = (files / LOADS as usize, bytes / u64::from(LOADS));
        Ok(format!(r#"{{"seconds":{seconds:.4},"files_written":{files},"bytes_written":{bytes}}}"#))
    }
}

/// A thousand keys that lie in ten buckets of a table of so many.
fn aimed(keys: i64, depth: u32) -> Result<Vec<i64>, Box<dyn Error>> {
    let some: Vec<i64> = (0..keys.min(200_000)).collect();
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(some.iter().map(|key| format!("PAT-{key:09}"))));
    let of_key = buckets(&[ids], 1 << depth)?;
    let mine = some.into_iter().zip(of_key.values()).filter(|(_, bucket)| **bucket < AIMED).map(|(key, _)| key);
    Ok(mine.take(1000).collect())
}

/// A thousand keys that lie anywhere.
fn anywhere(millions: i64) -> Vec<i64> {
    (0..1000).map(|n| n * millions * (MILLION / 1000) + n % 7).collect()
}

async fn measure(folder: &Path, mode: WriteMode, millions: i64) -> Result<(), Box<dyn Error>> {
    let mut table = Table::new(folder, mode, Kind::Snapshots)?;
    table.fill(millions, 0).await?;
    let (open, buckets) = table.open().await?;
    let depth = buckets.next_power_of_two().trailing_zeros();
    let in_ten = table.mean(&aimed(millions * MILLION, depth)?).await?;
    let random = table.mean(&anywhere(millions)).await?;
    let again = table.loads + 1;
    let (all, all_bytes) = table.fill(millions, again).await?;

    let mut feed = Table::new(folder, mode, Kind::Events)?;
    feed.fill(millions, 0).await?;
    // The same values later: no row says so.
    feed.fill(1, 0).await?;
    let beside_hidden = feed.mean(&anywhere(millions)).await?;
    println!(
        r#"{{"mode":"{mode}","rows":{},"buckets":{},"open_seconds":{open:.4},"keys_in_10_buckets":{in_ten},"random_keys":{random},"all_keys":{{"seconds":{all:.2},"bytes_written":{all_bytes}}},"random_events_beside_a_million_hidden":{beside_hidden}}}"#,
        millions * MILLION,
        buckets
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    const USAGE: &str = "usage: history_cost FOLDER copy|append MILLIONS...";
    let mut words = std::env::args().skip(1);
    let (folder, mode) = (words.next().ok_or(USAGE)?, words.next().ok_or(USAGE)?.parse()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    for millions in words {
        runtime.block_on(measure(Path::new(&folder), mode, millions.parse()?))?;
    }
    Ok(())
}
