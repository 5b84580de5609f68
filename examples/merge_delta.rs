//! One snapshot merged into a history table of a lake on disk: how long it takes, how much memory, how many bytes.
//!
//! ```sh
//! cargo run --release -p rcm-examples --features delta --example merge_delta -- --current current.parquet \
//!     --batch batch.parquet --keys patient_id,hospital --as-of 2024-06-01T00:00:00Z --table /tmp/lake --rounds 5
//! ```
//!
//! `--current` holds the keys, the other columns of `--batch`, and valid_from, valid_to, is_current. Every column of the
//! batch that is no key is tracked; nothing is deleted. The program starts itself twice a round: one child makes the table
//! of `--current` anew in `--table`, another one merges `--batch` into it. `seconds` are those of the second, from
//! opening the lake to the publish record on disk, with the batch in memory; `peak_rss_mib` is the most memory that it
//! ever had. One line of JSON a round.
//!
//! It allocates by mimalloc, as the program `rcm` does; with glibc's own allocator a merge takes up to half as long again.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use rcm_connectors::lake::{EngineColumns, HistoryTable, Lake, WriteMode};
use rcm_scd2::{Load, Spec, VALID_FROM, VALID_TO};
use serde_json::{Value, json};

const USAGE: &str = "usage: merge_delta --current FILE --batch FILE --keys COLUMN,... --as-of INSTANT --table DIR
       [--mode copy|append] [--rounds N]
    FILE     Parquet; --current also has valid_from, valid_to, is_current
    INSTANT  like 2024-06-01T00:00:00Z
    DIR      is deleted and made anew
    --mode   default: copy; append: with deletion vectors
    N        default: 1";
const TABLE: &str = "silver/history";
/// Tells a child which half of a round it is.
const HALF: &str = "MERGE_DELTA";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Clone)]
struct Arguments {
    current: PathBuf,
    batch: PathBuf,
    keys: Vec<String>,
    as_of: DateTime<Utc>,
    table: PathBuf,
    mode: WriteMode,
    rounds: usize,
}

fn arguments(words: &[String]) -> Result<Arguments, String> {
    let mut given = BTreeMap::new();
    for pair in words.chunks(2) {
        let [flag, value] = pair else { return Err(format!("{} has no value", pair[0])) };
        given.insert(flag.as_str(), value.clone());
    }
    let mut needed = |flag| given.remove(flag).ok_or(format!("{flag} is missing"));
    let arguments = Arguments {
        current: needed("--current")?.into(),
        batch: needed("--batch")?.into(),
        keys: needed("--keys")?.split(',').map(str::to_owned).collect(),
        as_of: needed("--as-of")?.parse().map_err(|_| "--as-of is no instant like 2024-06-01T00:00:00Z")?,
        table: needed("--table")?.into(),
        mode: given.remove("--mode").map_or(Ok(WriteMode::Copy), |mode| mode.parse())?,
        rounds: given.remove("--rounds").map_or(Ok(1), |n| n.parse()).map_err(|_| "--rounds is no number")?,
    };
    match given.keys().next() {
        Some(flag) => Err(format!("`{flag}` is no argument")),
        None => Ok(arguments),
    }
}

/// A file as plain Arrow: text is Utf8.
fn read(path: &Path, rows: Option<usize>) -> Result<Vec<RecordBatch>, Box<dyn Error>> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(File::open(path)?, options)?;
    let reader = reader.with_batch_size(65_536).with_limit(rows.unwrap_or(usize::MAX));
    Ok(reader.build()?.collect::<Result<_, _>>()?)
}

/// The columns of the table: those of `--current`, instants in UTC, as a lake has them.
fn columns(current: &RecordBatch) -> SchemaRef {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = current.schema();
    let fields = schema.fields().iter().map(|field| match field.name().as_str() {
        VALID_FROM | VALID_TO => Arc::new(field.as_ref().clone().with_data_type(utc.clone())),
        _ => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A batch in columns of these types.
fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &Arc<Field>| cast(batch.column(batch.schema().index_of(field.name())?), field.data_type());
    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(column).collect::<Result<_, _>>()?)
}

async fn half(half: &str, arguments: &Arguments) -> Result<Value, Box<dyn Error>> {
    let is_load = half == "load";
    let rows = read(if is_load { &arguments.current } else { &arguments.batch }, None)?;
    let current = read(&arguments.current, Some(1))?;
    let schema = columns(current.first().ok_or("--current has no rows")?);
    let (rows, spec) = match is_load {
        true => (rows.iter().map(|batch| fit(batch, &schema)).collect::<Result<Vec<_>, _>>()?, None),
        false => {
            let columns = rows.first().ok_or("--batch has no rows")?.schema();
            let names = columns.fields().iter().map(|field| field.name().clone());
            let tracked = names.filter(|name| !arguments.keys.contains(name));
            let spec = Spec::snapshot(&arguments.keys).track(tracked).build()?;
            (rows, Some(spec))
        }
    };
    let pool = rayon::ThreadPoolBuilder::new().build()?;
    let table =
        HistoryTable { name: TABLE.to_owned(), keys: arguments.keys.clone(), columns: schema, mode: arguments.mode };
    #[allow(clippy::disallowed_methods, reason = "a stopwatch")]
    let start = Instant::now();
    let lake = Lake::local(&arguments.table)?;
    let loaded = match &spec {
        None => lake.import(&table, &rows, arguments.as_of, &pool).await?,
        Some(spec) => {
            let load = Load::new(&rows, arguments.as_of.timestamp_micros());
            lake.load(&table, spec, &load, &EngineColumns, arguments.as_of, &pool).await?
        }
    };
    let mut said = json!({
        "seconds": (start.elapsed().as_secs_f64() * 1e3).round() / 1e3,
        "peak_rss_mib": peak_mib(),
        "files_read": loaded.files_read,
        "files_written": loaded.files_written,
        "bytes_written": loaded.bytes_written,
    });
    if let Some(summary) = loaded.summary {
        for (name, count) in
            [("changed", summary.counts.changed), ("new", summary.counts.new), ("unchanged", summary.counts.no_op)]
        {
            said[name] = json!(count);
        }
    }
    Ok(said)
}

/// The most memory that this process ever had, in MiB; none where there is no `/proc`.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
}

/// Starts this program again, for one half of a round.
fn child(half: &str, words: &[String]) -> Result<Value, Box<dyn Error>> {
    let out = Command::new(std::env::current_exe()?).args(words).env(HALF, half).output()?;
    if !out.status.success() {
        return Err(format!("{half}: {}", String::from_utf8_lossy(&out.stderr)).into());
    }
    Ok(serde_json::from_slice(&out.stdout)?)
}

fn run() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let arguments = arguments(&words).map_err(|e| format!("{e}\n{USAGE}"))?;
    #[allow(clippy::disallowed_methods, reason = "the parent tells the child so")]
    let child_of = std::env::var(HALF);
    if let Ok(name) = child_of {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        println!("{}", runtime.block_on(half(&name, &arguments))?);
        return Ok(());
    }
    for _ in 0..arguments.rounds {
        if arguments.table.exists() {
            std::fs::remove_dir_all(&arguments.table)?;
        }
        let loaded = child("load", &words)?;
        let mut merged = child("merge", &words)?;
        merged["mode"] = json!(arguments.mode.to_string());
        merged["load_seconds"] = loaded["seconds"].clone();
        println!("{merged}");
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::from(2)
        }
    }
}
