//! The contract of every source.

use crate::line::{End, line};
use crate::server::{PASSWORD, Server};
use crate::wait;
use arrow::datatypes::DataType;
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta};
use futures::future::BoxFuture;
use rcm_connectors::contract::{Fixture, Row, Widened, check};
use rcm_connectors::postgres::{Options, Postgres};
use rcm_core::{CursorKind, Lag, Secret, Source, Watermark};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_postgres::Client;

struct Tables {
    server: Arc<Server>,
    database: String,
    client: Client,
    tables: AtomicUsize,
}

impl Tables {
    fn type_of(cursor: CursorKind) -> &'static str {
        match cursor {
            CursorKind::Date => "date",
            CursorKind::Timestamp => "timestamp",
            CursorKind::TimestampTz => "timestamptz",
            CursorKind::Integer => "int4",
            CursorKind::RowVersion => unreachable!(),
        }
    }
}

#[async_trait]
impl Fixture for Tables {
    fn cursors(&self) -> Vec<CursorKind> {
        vec![CursorKind::Integer, CursorKind::Date, CursorKind::Timestamp, CursorKind::TimestampTz]
    }

    async fn create(&self, cursor: Option<CursorKind>) -> String {
        let name = format!("public.Täble {}", self.tables.fetch_add(1, Ordering::SeqCst));
        let quoted = name.replace("public.", "public.\"");
        let columns = format!("id text PRIMARY KEY, note text, changed {}", Tables::type_of(cursor.unwrap()));
        self.client.batch_execute(&format!("CREATE TABLE {quoted}\" ({columns})")).await.unwrap();
        name
    }

    async fn insert(&self, table: &str, rows: &[Row]) {
        let quoted = table.replace("public.", "public.\"");
        let describe = self.client.prepare(&format!("SELECT changed FROM {quoted}\"")).await.unwrap();
        let cursor = match describe.columns()[0].type_().name() {
            "int4" => CursorKind::Integer,
            "date" => CursorKind::Date,
            "timestamp" => CursorKind::Timestamp,
            _ => CursorKind::TimestampTz,
        };
        let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let values: Vec<String> = rows
            .iter()
            .map(|row| {
                let changed = row.changed.map_or("NULL".to_owned(), |step| match self.at(cursor, step) {
                    Watermark::Date(at) => format!("'{at}'"),
                    Watermark::Timestamp(at) => format!("'{at}'"),
                    Watermark::TimestampTz(at) => format!("'{}'", at.to_rfc3339()),
                    Watermark::Integer(at) => at.to_string(),
                    Watermark::RowVersion(_) => unreachable!(),
                });
                let note = row.note.as_deref().map_or("NULL".to_owned(), literal);
                format!("({}, {note}, {changed})", literal(&row.id))
            })
            .collect();
        self.client.batch_execute(&format!("INSERT INTO {quoted}\" VALUES {}", values.join(","))).await.unwrap();
    }

    fn at(&self, cursor: CursorKind, step: i64) -> Watermark {
        let begin = DateTime::from_timestamp(1_700_000_000, 123_456_000).unwrap();
        match cursor {
            CursorKind::Date => Watermark::Date(NaiveDate::from_ymd_opt(2024, 2, 25).unwrap() + TimeDelta::days(step)),
            CursorKind::Timestamp => Watermark::Timestamp((begin + TimeDelta::seconds(step)).naive_utc()),
            CursorKind::TimestampTz => Watermark::TimestampTz(begin + TimeDelta::microseconds(step)),
            CursorKind::Integer => Watermark::Integer(step),
            CursorKind::RowVersion => unreachable!(),
        }
    }

    fn step(&self, cursor: CursorKind) -> Lag {
        match cursor {
            CursorKind::Date => Lag::Time(TimeDelta::days(1)),
            CursorKind::Timestamp => Lag::Time(TimeDelta::seconds(1)),
            CursorKind::TimestampTz => Lag::Time(TimeDelta::microseconds(1)),
            _ => Lag::Steps(1),
        }
    }

    async fn widen(&self, table: &str) -> Widened {
        let quoted = table.replace("public.", "public.\"");
        let widen = format!("ALTER TABLE {quoted}\" ADD added int, ALTER changed TYPE int8");
        self.client.batch_execute(&widen).await.unwrap();
        Widened::Column("changed".to_owned(), DataType::Int64)
    }

    fn source(&self) -> Arc<dyn Source> {
        // So small that a read that is dropped is dropped half-way.
        let options = Options { batch_bytes: 1 << 16, ..self.server.options(&self.database) };
        Arc::new(Postgres::new(options))
    }

    fn breaking(&self, bytes: usize) -> Arc<dyn Source> {
        let mut options = self.server.options(&self.database);
        options.port = line(self.server.port, bytes, if bytes.is_multiple_of(3) { End::Broken } else { End::Dumb });
        options.patience = Duration::from_secs(2);
        Arc::new(Postgres::new(options))
    }

    fn refused(&self) -> (Arc<dyn Source>, String) {
        let wrong = PASSWORD.replace("77", "78");
        let mut options = self.server.options(&self.database);
        options.password = Some(Secret::new(wrong.clone()));
        (Arc::new(Postgres::new(options)), wrong)
    }

    async fn within(&self, time: Duration, future: BoxFuture<'_, ()>) -> bool {
        tokio::time::timeout(time, future).await.is_ok()
    }
}

#[test]
fn it_holds_to_the_contract_of_every_source() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let (database, client) = server.database().await;
        let tables = Tables { server: server.clone(), database, client, tables: AtomicUsize::new(0) };
        assert_eq!(check(&tables).await.unwrap().len(), 12);
    });
}
