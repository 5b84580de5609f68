//! How fast one connection decodes, from packets that were prepared: what a server costs is not in it. The figures of a build for
//! speed: `RCM_ROWS=1000000 cargo test --release -p rcm-connectors --no-default-features --features icd,npi,postgres,sqlserver
//! --test sources speed -- --nocapture`.

use super::Sql;
use crate::line::{record, replay};
use crate::server::Server;
use crate::tds::prelogin::Encryption;
use crate::tds::server::{Mode, Options as Login};
use crate::{open, wait};
use futures::TryStreamExt;
use rcm_connectors::sqlserver::{Options, SqlServer};
use rcm_core::{Source, Window};

/// Seconds of the processor that this process took.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<i64> =
        stat.rsplit(')').next().unwrap().split_whitespace().filter_map(|field| field.parse().ok()).collect();
    // The third field is a letter; of the numbers behind it, one of which may be -1, user and system time are the 11th and
    // 12th, in hundredths.
    (fields[10] + fields[11]) as f64 / 100.0
}

async fn read(source: &dyn Source, table: &str) -> usize {
    let reading = open(source, table, Window::Whole).await.unwrap();
    let (mut batches, mut rows) = (reading.read(0), 0);
    while let Some(batch) = batches.try_next().await.unwrap() {
        rows += batch.num_rows();
    }
    rows
}

#[test]
fn prepared_packets_are_decoded() {
    let Some(postgres) = Server::shared() else { return };
    let count: usize = std::env::var("RCM_ROWS").map_or(5_000, |n| n.parse().unwrap());
    wait(async {
        let sql = Sql::with(&postgres, Login::new(Mode::Negotiated(Encryption::NotSupported))).await;
        for (table, columns, values) in [
            (
                "numbers",
                "a int NOT NULL, b bigint NULL, c decimal(18,2) NULL, d datetime2(7) NULL, e bit NULL, f float NULL",
                "n, n * 1000003::bigint, n / 100.0, 638000000000000000 + n, n % 2, n / 7.0",
            ),
            (
                "texts",
                "a nvarchar(50) NULL, b varchar(50) NULL, c nvarchar(max) NULL, d uniqueidentifier NULL",
                "'Patient number ' || n, 'CODE-' || n, repeat('é', 60), decode(lpad(to_hex(n), 32, '0'), 'hex')",
            ),
        ] {
            sql.run(&format!("CREATE TABLE {table} ({columns})")).await;
            sql.beneath(&format!("INSERT INTO dbo.{table} SELECT {values} FROM generate_series(1, {count}) n")).await;
            let (port, said) = record(sql.server.port);
            let options = |port| Options { port, plain: true, connections: 1, ..sql.options() };
            assert_eq!(read(&SqlServer::new(options(port)), table).await, count);
            let said = said.lock().unwrap().clone();
            let bytes: usize = said.iter().flatten().map(Vec::len).sum();
            let source = SqlServer::new(options(replay(said)));
            let before = processor();
            assert_eq!(read(&source, table).await, count);
            let seconds = processor() - before;
            let megabytes = bytes as f64 / 1e6;
            println!(
                "{table}: {count} rows, {megabytes:.1} MB of TDS, {seconds:.2} s of the processor, {:.0} MB a second",
                megabytes / seconds
            );
        }
    });
}
