//! The contract of every source.

use super::Sql;
use crate::line::{End, line};
use crate::server::Server;
use crate::wait;
use arrow::datatypes::DataType;
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta};
use futures::future::BoxFuture;
use rcm_connectors::contract::{Fixture, Row, Widened, check};
use rcm_connectors::sqlserver::{Login, Options, SqlServer};
use rcm_core::{CursorKind, Lag, Secret, Source, Watermark};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

struct Tables {
    sql: Sql,
    tables: AtomicUsize,
    cursors: Mutex<HashMap<String, CursorKind>>,
}

impl Tables {
    fn quoted(table: &str) -> String {
        format!("[dbo].[{}]", table.trim_start_matches("dbo."))
    }
}

#[async_trait]
impl Fixture for Tables {
    fn cursors(&self) -> Vec<CursorKind> {
        vec![CursorKind::Integer, CursorKind::Date, CursorKind::Timestamp, CursorKind::TimestampTz]
    }

    async fn create(&self, cursor: Option<CursorKind>) -> String {
        let cursor = cursor.unwrap();
        let name = format!("dbo.Täble {}", self.tables.fetch_add(1, Ordering::SeqCst));
        let changed = match cursor {
            CursorKind::Date => "date",
            CursorKind::Timestamp => "datetime2(7)",
            CursorKind::TimestampTz => "datetimeoffset(7)",
            CursorKind::Integer => "int",
            CursorKind::RowVersion => unreachable!(),
        };
        let table = Tables::quoted(&name);
        let columns = format!("id nvarchar(50) NOT NULL PRIMARY KEY, note nvarchar(max) NULL, changed {changed} NULL");
        self.sql.run(&format!("CREATE TABLE {table} ({columns})")).await;
        self.cursors.lock().unwrap().insert(name.clone(), cursor);
        name
    }

    async fn insert(&self, table: &str, rows: &[Row]) {
        let cursor = self.cursors.lock().unwrap()[table];
        let literal = |text: &str| format!("N'{}'", text.replace('\'', "''"));
        let row = |row: &Row| {
            let changed = row.changed.map_or("NULL".to_owned(), |step| match self.at(cursor, step) {
                Watermark::Date(at) => format!("'{at}'"),
                Watermark::Timestamp(at) => format!("'{at:?}'"),
                Watermark::TimestampTz(at) => format!("'{}'", at.format("%Y-%m-%dT%H:%M:%S%.6f+00:00")),
                Watermark::Integer(at) => at.to_string(),
                Watermark::RowVersion(_) => unreachable!(),
            });
            let note = row.note.as_deref().map_or("NULL".to_owned(), literal);
            format!("({}, {note}, {changed})", literal(&row.id))
        };
        for rows in rows.chunks(500) {
            let values: Vec<String> = rows.iter().map(row).collect();
            self.sql.run(&format!("INSERT INTO {} VALUES {}", Tables::quoted(table), values.join(","))).await;
        }
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

    /// As ALTER TABLE does it, of which the server knows nothing.
    async fn widen(&self, table: &str) -> Widened {
        let name = table.trim_start_matches("dbo.");
        let widen = format!(
            "ALTER TABLE dbo.\"{name}\" ADD added integer, ALTER changed TYPE bigint; \
             INSERT INTO tds.columns VALUES ('dbo', '{name}', 'added', 4, 'int', 'int', 4, 10, 0, true, false); \
             UPDATE tds.columns SET type = 'bigint', type_name = 'bigint', max_length = 8, precision = 19 \
             WHERE table_name = '{name}' AND name = 'changed'"
        );
        self.sql.beneath(&widen).await;
        Widened::Column("changed".to_owned(), DataType::Int64)
    }

    fn source(&self) -> Arc<dyn Source> {
        // So small that a read that is dropped is dropped half-way.
        Arc::new(SqlServer::new(Options { batch_bytes: 1 << 16, ..self.sql.options() }))
    }

    fn breaking(&self, bytes: usize) -> Arc<dyn Source> {
        let mut options = self.sql.options();
        options.port = line(options.port, bytes, if bytes.is_multiple_of(3) { End::Broken } else { End::Dumb });
        options.patience = Duration::from_secs(2);
        Arc::new(SqlServer::new(options))
    }

    fn refused(&self) -> (Arc<dyn Source>, String) {
        let wrong = self.sql.server.shared.options.password.replace("77", "78");
        let login = Login::Sql { user: "sa".to_owned(), password: Secret::new(wrong.clone()) };
        (Arc::new(SqlServer::new(Options { login, ..self.sql.options() })), wrong)
    }

    async fn within(&self, time: Duration, future: BoxFuture<'_, ()>) -> bool {
        tokio::time::timeout(time, future).await.is_ok()
    }
}

#[test]
fn it_holds_to_the_contract_of_every_source() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = Sql::new(&postgres).await;
        let tables = Tables { sql, tables: AtomicUsize::new(0), cursors: Mutex::default() };
        assert_eq!(check(&tables).await.unwrap().len(), 12);
    });
}
