//! A table of PostgreSQL as a Parquet file, batch by batch: how fast it comes, and how much memory that takes.
//!
//! `PGPASSWORD=… cargo run --release -p rcm-examples --features postgres --example postgres_to_parquet -- HOST PORT DATABASE USER TABLE OUT`
//!
//! One JSON line. HOST may be the folder of a socket; elsewhere TLS with the system's authorities, or those of `PGSSLROOTCERT`.

use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use rcm_connectors::postgres::{Options, Postgres};
use rcm_core::{Secret, Source, Wanted, Window};
use std::error::Error;
use std::fs::File;
use std::time::Instant;

/// As DuckDB cuts its files.
const GROUP: usize = 122_880;

// As the programs have it: with glibc's allocator buffers go back to the kernel with every batch.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
#[allow(clippy::disallowed_methods, reason = "a program: it reads the environment and the clock")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, database, user, table, out] = &arguments[..] else {
        return Err("HOST PORT DATABASE USER TABLE OUT".into());
    };
    let begun = Instant::now();
    let source = Postgres::new(Options {
        port: port.parse()?,
        password: std::env::var("PGPASSWORD").ok().map(Secret::new),
        authorities: std::env::var("PGSSLROOTCERT").ok().map(std::fs::read_to_string).transpose()?,
        connections: 1,
        ..Options::new(host, database, user)
    });
    let wanted = Wanted { table: table.clone(), columns: Vec::new(), window: Window::Whole };
    let reading = source.open(&wanted).await?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let properties = properties.set_max_row_group_row_count(Some(GROUP)).build();
    let mut writer = ArrowWriter::try_new(File::create(out)?, reading.schema().clone(), Some(properties))?;
    for part in 0..reading.parts() {
        let mut batches = reading.read(part);
        while let Some(batch) = batches.try_next().await? {
            writer.write(&batch)?;
        }
    }
    let rows = writer.close()?.file_metadata().num_rows();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    println!(r#"{{"rows":{rows},"seconds":{:.3},"peak_rss_mib":{}}}"#, begun.elapsed().as_secs_f64(), peak / 1024);
    Ok(())
}
