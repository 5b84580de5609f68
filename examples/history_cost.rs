//! What a small load costs, by how much history there is: the seconds, files and bytes of a thousand keys.
//!
//! ```sh
//! cargo run --release -p rcm-examples --features delta --example history_cost -- /tmp/lake 1 2 10
//! ```
//!
//! Makes a table of so many million rows in the folder (which is deleted first), a million a load, then changes a thousand
//! keys that lie in ten of its buckets, and a thousand keys anywhere, sixteen times each; at last all keys of it. One line
//! of JSON a size, with the means of the small loads.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::error::ArrowError;
use chrono::DateTime;
use rcm_connectors::lake::{EngineColumns, HistoryTable, Lake, Loaded, WriteMode};
use rcm_scd2::{Load, Spec, State, buckets, merge};

const MILLION: i64 = 1_000_000;
/// Small loads of each kind.
const LOADS: u32 = 16;
/// The buckets that a small load is aimed at, of how many.
const AIMED: u32 = 10;

/// Rows of these keys, with values of this load.
fn rows(keys: impl Iterator<Item = i64>, load: i64) -> Result<RecordBatch, ArrowError> {
    let keys: Vec<i64> = keys.collect();
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(keys.iter().map(|key| format!("PAT-{key:09}"))));
    let names = keys.iter().map(|key| format!("{:x} Kettle Court, Nowhereton {load}", key.wrapping_mul(0x9E37_79B9)));
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(keys.iter().map(|key| key * 31 + load)));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(names));
    RecordBatch::try_from_iter([("id", ids), ("address", names), ("balance", values)])
}

struct Table {
    lake: Lake,
    table: HistoryTable,
    spec: Spec,
    pool: rayon::ThreadPool,
    loads: i64,
}

impl Table {
    fn new(folder: &Path) -> Result<Self, Box<dyn Error>> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        let spec = Spec::snapshot(["id"]).track(["address", "balance"]).build()?;
        let columns = merge(&spec, &State::new(), &Load::new(&[rows(0..1, 0)?], 0))?.opens.schema();
        let table = HistoryTable {
            name: "silver/history".to_owned(),
            keys: vec!["id".to_owned()],
            columns,
            mode: WriteMode::Copy,
        };
        Ok(Table { lake: Lake::local(folder)?, table, spec, pool: rayon::ThreadPoolBuilder::new().build()?, loads: 0 })
    }

    /// Loads rows, and how long it took.
    async fn load(&mut self, rows: RecordBatch) -> Result<(f64, Loaded), Box<dyn Error>> {
        self.loads += 1;
        let rows = [rows];
        let load = Load::new(&rows, self.loads);
        let now = DateTime::from_timestamp(self.loads, 0).unwrap_or_default();
        #[allow(clippy::disallowed_methods, reason = "a stopwatch")]
        let start = Instant::now();
        let loaded = self.lake.load(&self.table, &self.spec, &load, &EngineColumns, now, &self.pool).await?;
        Ok((start.elapsed().as_secs_f64(), loaded))
    }

    /// The best of three times that the table's log is read.
    async fn open(&self) -> Result<f64, Box<dyn Error>> {
        let version = self.lake.head(&self.table.name).await?;
        let mut best = f64::MAX;
        for _ in 0..3 {
            #[allow(clippy::disallowed_methods, reason = "a stopwatch")]
            let start = Instant::now();
            self.lake.table_files(&self.table.name, version).await?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok(best)
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

async fn measure(folder: &Path, millions: i64) -> Result<(), Box<dyn Error>> {
    let mut table = Table::new(folder)?;
    for million in 0..millions {
        table.load(rows(million * MILLION..(million + 1) * MILLION, 0)?).await?;
    }
    let (_, first) = table.load(rows(0..1, 0)?).await?;
    let depth = first.files_before.next_power_of_two().trailing_zeros();
    let open = table.open().await?;
    let in_ten = table.mean(&aimed(millions * MILLION, depth)?).await?;
    let anywhere: Vec<i64> = (0..1000).map(|n| n * millions * (MILLION / 1000) + n % 7).collect();
    let anywhere = table.mean(&anywhere).await?;
    let mut all = 0.0;
    for million in 0..millions {
        let again = table.loads + 1;
        all += table.load(rows(million * MILLION..(million + 1) * MILLION, again)?).await?.0;
    }
    println!(
        r#"{{"rows":{},"buckets":{},"open_seconds":{open:.4},"keys_in_10_buckets":{in_ten},"random_keys":{anywhere},"all_keys_seconds":{all:.2}}}"#,
        millions * MILLION,
        first.files_before
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let folder = words.next().ok_or("usage: history_cost FOLDER MILLIONS...")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    for millions in words {
        runtime.block_on(measure(Path::new(&folder), millions.parse()?))?;
    }
    Ok(())
}
