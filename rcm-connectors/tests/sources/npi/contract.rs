//! The contract of every source, with the registry's own columns and keys.

use super::source;
use crate::line::{End, line};
use crate::wait;
use crate::web::http::{Server, guarded};
use crate::web::made_up::check_digit;
use crate::web::nppes::{Address, Kind, Provider, Registry, Shape, Taxonomy};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta};
use futures::future::BoxFuture;
use rcm_connectors::contract::{Fixture, Names, Row, Widened, check};
use rcm_connectors::npi::Options;
use rcm_core::{CursorKind, Lag, Secret, Source, Watermark};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const KEY: &str = "canary-key-77";

struct Tables {
    registry: Registry,
    server: Server,
    tables: AtomicUsize,
    keys: Mutex<HashMap<String, String>>,
}

impl Tables {
    fn options(&self) -> Options {
        // So small that a read that is dropped is dropped half-way, and questions must be cut.
        Options { key: Some(Secret::new(KEY)), page: 100, ..super::options(&self.server) }
    }
}

/// What stands in the field by which a table's providers are found.
fn mark(table: &str) -> &str {
    table.strip_prefix("taxonomy_description=").unwrap().split('&').next().unwrap()
}

#[async_trait]
impl Fixture for Tables {
    fn cursors(&self) -> Vec<CursorKind> {
        vec![CursorKind::TimestampTz]
    }

    fn names(&self) -> Names {
        Names { id: "npi", note: "credential", changed: "last_updated" }
    }

    fn key(&self, id: &str) -> String {
        let mut keys = self.keys.lock().unwrap();
        let nine = format!("1{:08}", keys.len() + 1);
        keys.entry(id.to_owned()).or_insert_with(|| format!("{nine}{}", check_digit(&nine))).clone()
    }

    async fn create(&self, _: Option<CursorKind>) -> String {
        let number = self.tables.fetch_add(1, Ordering::SeqCst);
        format!("taxonomy_description=Table {number} of nobody&country_code=US")
    }

    async fn insert(&self, table: &str, rows: &[Row]) {
        for row in rows {
            let mut provider = Provider::made_up(7, 0);
            let place = row.id[1..9].parse::<usize>().unwrap();
            provider.number.clone_from(&row.id);
            if place.is_multiple_of(2) {
                provider.kind = Kind::Organization { name: "NOBODY'S".to_owned(), other: None };
            }
            let desc = mark(table).to_owned();
            provider.taxonomies = vec![Taxonomy { code: "999Z00000X".to_owned(), desc, state: None, license: None }];
            let postal_code = format!("{:05}", place * 37 % 100_000);
            let (street, city) = ("1 NO ST".to_owned(), "NOWHERE".to_owned());
            let (state, country) = ("MD".to_owned(), "US".to_owned());
            provider.addresses = vec![Address { purpose: "LOCATION", street, city, state, postal_code, country }];
            match row.changed.map(|step| self.at(CursorKind::TimestampTz, step)) {
                Some(Watermark::TimestampTz(at)) => provider.updated = at.timestamp_millis(),
                _ => drop(provider.extra.insert("last_updated_epoch".to_owned(), Value::Null)),
            }
            let mut basic = json!({ "status": "A" });
            if let Some(note) = &row.note {
                basic["credential"] = note.as_str().into();
            }
            provider.extra.insert("basic".to_owned(), basic);
            self.registry.add(provider);
        }
    }

    fn at(&self, _: CursorKind, step: i64) -> Watermark {
        Watermark::TimestampTz(DateTime::from_timestamp(1_700_000_000 + step, 0).unwrap())
    }

    fn step(&self, _: CursorKind) -> Lag {
        Lag::Time(TimeDelta::seconds(1))
    }

    /// The registry shows its records as it did in 2019, with a field that nobody knows.
    async fn widen(&self, table: &str) -> Widened {
        self.registry.show(Shape::Of2019);
        for provider in self.registry.providers() {
            if provider.taxonomies[0].desc == mark(table) {
                self.registry.change(&provider.number, |provider| {
                    provider.extra.insert("made_up_key".to_owned(), "made-up value".into());
                });
            }
        }
        Widened::Record { column: "record", holds: ["\"made_up_key\":", "\"number\":1"] }
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(source(self.options()))
    }

    fn breaking(&self, bytes: usize) -> Arc<dyn Source> {
        let port = line(self.server.port, bytes, if bytes.is_multiple_of(3) { End::Broken } else { End::Dumb });
        let url = format!("http://127.0.0.1:{port}/api/");
        Arc::new(source(Options { url, patience: Duration::from_millis(700), ..self.options() }))
    }

    fn refused(&self) -> (Arc<dyn Source>, String) {
        let wrong = KEY.replace("77", "78");
        (Arc::new(source(Options { key: Some(Secret::new(wrong.clone())), ..self.options() })), wrong)
    }

    async fn within(&self, time: Duration, future: BoxFuture<'_, ()>) -> bool {
        tokio::time::timeout(time, future).await.is_ok()
    }
}

#[test]
fn it_holds_to_the_contract_of_every_source() {
    wait(async {
        let registry = Registry::empty(Shape::Of2026);
        let server = Server::plain(guarded(KEY, registry.handler()));
        let tables = Tables { registry, server, tables: AtomicUsize::new(0), keys: Mutex::default() };
        assert_eq!(check(&tables).await.unwrap().len(), 12);
    });
}
