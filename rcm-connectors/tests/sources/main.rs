//! Sources against real servers on loopback.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::disallowed_methods, reason = "tests start servers, and tell how long it took")]

#[path = "../components/mod.rs"]
mod components;
mod icd;
mod keyvault;
mod line;
mod npi;
mod postgres;
mod server;
mod sqlserver;
mod tds;
mod web;

use arrow::array::RecordBatch;
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use rcm_core::{Problem, Reading, Source, Wanted, Window};
use std::sync::LazyLock;
use tokio::runtime::Runtime;

/// Waits for a future.
fn wait<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
    RUNTIME.block_on(future)
}

/// All rows of a read, in the order of its parts.
async fn rows(reading: &dyn Reading) -> Result<RecordBatch, Problem> {
    let mut batches = Vec::new();
    for part in 0..reading.parts() {
        batches.extend(reading.read(part).try_collect::<Vec<_>>().await?);
    }
    Ok(concat_batches(reading.schema(), &batches).unwrap())
}

async fn open(source: &dyn Source, table: &str, window: Window) -> Result<Box<dyn Reading>, Problem> {
    source.open(&Wanted { table: table.to_owned(), columns: Vec::new(), window }).await
}

async fn whole(source: &dyn Source, table: &str) -> Result<RecordBatch, Problem> {
    rows(&*open(source, table, Window::Whole).await?).await
}

/// A value as text.
fn shown(batch: &RecordBatch, column: usize, row: usize) -> String {
    let mut column = batch.column(column).clone();
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    if column.data_type() == &zoned {
        // As it is in UTC, of which this build of Arrow does not know the name.
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        column = cast(&cast(&column, &DataType::Int64).unwrap(), &utc).unwrap();
    }
    ArrayFormatter::try_new(&column, &FormatOptions::default()).unwrap().value(row).to_string()
}

/// More than 600 names that would do harm if they were not names; `quote` ends one.
fn hostile(quote: &str) -> Vec<String> {
    let pieces = [
        quote, "[", "\"", "'", ";", "--", "/*", "*/", "\\", "$1", "@P1", "%", "\n", "\t", "a", "é", "ﷺ", "\u{202e}",
        "{}", "`", "]]", "()", "0", "GO", "😀",
    ];
    let pairs = pieces.iter().flat_map(|first| pieces.iter().map(move |second| (first, second)));
    // Which the number keeps apart where a collation does not.
    pairs.enumerate().map(|(n, (first, second))| format!("{first}{second}; DROP TABLE victim; --{n}")).collect()
}
