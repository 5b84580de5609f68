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

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use rcm_connectors::lake::{By, FORMAT, Intent, Lake, Publish, TableAt, Weave, new_attempt};
use rcm_core::Silent;
use rcm_scd2::{IS_CURRENT, Load, Merged, Spec, VALID_FROM, VALID_TO};
use serde_json::{Value, json};

const USAGE: &str =
    "usage: merge_delta --current FILE --batch FILE --keys COLUMN,... --as-of INSTANT --table DIR [--rounds N]
    FILE     Parquet; --current also has valid_from, valid_to, is_current
    INSTANT  like 2024-06-01T00:00:00Z
    DIR      is deleted and made anew
    N        default: 1";
const TABLE: &str = "silver/history";

#[derive(Debug, Clone)]
struct Arguments {
    current: PathBuf,
    batch: PathBuf,
    keys: Vec<String>,
    as_of: DateTime<Utc>,
    table: PathBuf,
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
        rounds: given.remove("--rounds").map_or(Ok(1), |n| n.parse()).map_err(|_| "--rounds is no number")?,
    };
    match given.keys().next() {
        Some(flag) => Err(format!("`{flag}` is no argument")),
        None => Ok(arguments),
    }
}

/// A file as plain Arrow: text is Utf8.
fn read(path: &Path) -> Result<Vec<RecordBatch>, Box<dyn Error>> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(File::open(path)?, options)?;
    Ok(reader.with_batch_size(65_536).build()?.collect::<Result<_, _>>()?)
}

/// What a child says of its work.
fn report(seconds: f64, of: Value) -> Value {
    let mut report = json!({ "seconds": (seconds * 1e3).round() / 1e3 });
    if let (Value::Object(report), Value::Object(of)) = (&mut report, of) {
        report.extend(of);
    }
    report
}

/// Where the merge stands, as a run sees it: it opens the lake, plans, merges, and publishes.
struct Run<'a> {
    lake: Lake,
    attempt: String,
    previous: Option<Publish>,
    arguments: &'a Arguments,
    pool: rayon::ThreadPool,
}

impl<'a> Run<'a> {
    async fn open(arguments: &'a Arguments) -> Result<Self, Box<dyn Error>> {
        let lake = Lake::local(&arguments.table)?;
        let previous = lake.newest().await?;
        let attempt = new_attempt(previous.as_ref().map_or(0, |p| p.publish) + 1);
        Ok(Run { lake, attempt, previous, arguments, pool: rayon::ThreadPoolBuilder::new().build()? })
    }

    /// One load, or the import of a table, into the history table: one publish.
    async fn publish(
        &self,
        schema: SchemaRef,
        rows: &[RecordBatch],
        spec: Option<&Spec>,
    ) -> Result<Value, Box<dyn Error>> {
        let _lease = self.lake.lease()?;
        let at = self.previous.as_ref().and_then(|p| p.tables.get(TABLE)).cloned().unwrap_or_default();
        let mut parts = at.state.clone();
        let mut change = self.lake.change(TABLE, at, schema.clone(), false).await?;
        let keys: Vec<&str> = self.arguments.keys.iter().map(String::as_str).collect();
        let statistics = [VALID_FROM, VALID_TO, IS_CURRENT];
        let mut history = self.lake.history(&change, &mut parts, &self.attempt, &keys, &statistics, false).await?;
        let mut counts = json!({});
        match spec {
            None => history.import(rows, &self.pool)?,
            Some(spec) => {
                let nothing = RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
                let opens = |_: &RecordBatch, merged: &Merged| {
                    let opens = &merged.opens;
                    let column = |field: &Arc<arrow::datatypes::Field>| {
                        cast(opens.column(opens.schema().index_of(field.name())?), field.data_type())
                    };
                    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(column).collect::<Result<_, _>>()?)
                };
                let weave = Weave { closed: &nothing, opens: &opens };
                let load = Load::new(rows, self.arguments.as_of.timestamp_micros());
                let summary = history.take(spec, &load, &weave, true, &self.pool).await?;
                let [changed, new, unchanged] = [summary.counts.changed, summary.counts.new, summary.counts.no_op];
                counts = json!({ "changed": changed, "new": new, "unchanged": unchanged });
            }
        }
        let after = history.finish(&self.pool).await?;
        (change.removes, change.adds) = (after.removes, after.adds);
        parts.extend(after.parts);
        let written: u64 = change.adds.iter().map(|file| file.size).sum();
        let files = json!({ "files_before": change.before.files.len(), "files_written": change.adds.len(), "bytes_written": written });

        let number = self.previous.as_ref().map_or(0, |p| p.publish) + 1;
        let by = By { publish: number, run_id: "merge_delta", now_millis: self.arguments.as_of.timestamp_millis() };
        let (commit, stands) = change.commit(by)?;
        let publish = Publish {
            format: FORMAT,
            publish: number,
            run_id: by.run_id.to_owned(),
            attempt: self.attempt.clone(),
            as_of: self.arguments.as_of.to_rfc3339(),
            tables: BTreeMap::from([(TABLE.to_owned(), TableAt { state: parts, ..stands })]),
            stale: Vec::new(),
            bronze: Vec::new(),
        };
        let intent = Intent { commits: commit.into_iter().collect(), publish, audit: Vec::new() };
        self.lake.put_intent(&intent).await?;
        self.lake.complete(&intent, &[], &Silent).await?;
        let (Value::Object(mut files), Value::Object(counts)) = (files, counts) else { return Ok(Value::Null) };
        files.extend(counts);
        Ok(Value::Object(files))
    }
}

async fn load(arguments: &Arguments) -> Result<Value, Box<dyn Error>> {
    let rows = read(&arguments.current)?;
    let first = rows.first().ok_or("--current has no rows")?;
    // Instants are stored in UTC, as a lake has them.
    let utc = |field: &Arc<arrow::datatypes::Field>| match field.name().as_str() {
        VALID_FROM | VALID_TO => {
            let empty = TimestampMicrosecondArray::from(Vec::<i64>::new()).with_timezone("UTC");
            Arc::new(field.as_ref().clone().with_data_type(arrow::array::Array::data_type(&empty).clone()))
        }
        _ => Arc::clone(field),
    };
    let schema = Arc::new(arrow::datatypes::Schema::new(first.schema().fields().iter().map(utc).collect::<Vec<_>>()));
    let fit = |batch: &RecordBatch| {
        let columns =
            batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
        RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
    };
    let rows = rows.iter().map(fit).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let run = Run::open(arguments).await?;
    let of = run.publish(schema, &rows, None).await?;
    Ok(report(start.elapsed().as_secs_f64(), of))
}

async fn merge(arguments: &Arguments) -> Result<Value, Box<dyn Error>> {
    let rows = read(&arguments.batch)?;
    let columns = rows.first().ok_or("--batch has no rows")?.schema();
    let tracked =
        columns.fields().iter().map(|field| field.name().clone()).filter(|name| !arguments.keys.contains(name));
    let spec = Spec::snapshot(&arguments.keys).track(tracked).build()?;
    let start = Instant::now();
    let run = Run::open(arguments).await?;
    // The columns of the table are those that its first file has.
    let schema = run.lake.columns(TABLE, run.previous.as_ref().and_then(|p| p.tables.get(TABLE))).await?;
    let of = run.publish(schema, &rows, Some(&spec)).await?;
    Ok(report(start.elapsed().as_secs_f64(), of))
}

/// Starts this program again, for one half of a round.
fn child(half: &str, words: &[String]) -> Result<Value, Box<dyn Error>> {
    let out = Command::new(std::env::current_exe()?).args(words).env("MERGE_DELTA", half).output()?;
    if !out.status.success() {
        return Err(format!("{half}: {}", String::from_utf8_lossy(&out.stderr)).into());
    }
    Ok(serde_json::from_slice(&out.stdout)?)
}

fn run() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let arguments = arguments(&words).map_err(|e| format!("{e}\n{USAGE}"))?;
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
