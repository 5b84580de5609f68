//! PostgreSQL, the real server.

mod contract;
mod faults;
mod server;
mod types;
mod windows;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::TryStreamExt;
use rcm_core::{Problem, Reading, Source, Wanted, Window};

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
