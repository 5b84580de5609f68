//! The contract of every source, with the API's own columns and keys, and no time of change.

use super::{ID, SECRET, options, source};
use crate::line::{End, line};
use crate::wait;
use crate::web::http::Server;
use crate::web::who::{Parent, Size, Tree, Who, entity};
use async_trait::async_trait;
use futures::future::BoxFuture;
use rcm_connectors::contract::{Fixture, Names, Row, Widened, check};
use rcm_connectors::icd::{Client, Options};
use rcm_core::{CursorKind, Lag, Secret, Source, Watermark};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

struct Tables {
    who: Who,
    server: Server,
    tables: AtomicUsize,
    keys: Mutex<HashMap<String, String>>,
}

#[async_trait]
impl Fixture for Tables {
    fn cursors(&self) -> Vec<CursorKind> {
        Vec::new()
    }

    fn names(&self) -> Names {
        Names { id: "code", note: "definition", changed: "changed" }
    }

    fn key(&self, id: &str) -> String {
        let mut keys = self.keys.lock().unwrap();
        let code = format!("X{:02}.{:02}", keys.len() / 100, keys.len() % 100);
        keys.entry(id.to_owned()).or_insert(code).clone()
    }

    /// A release.
    async fn create(&self, _: Option<CursorKind>) -> String {
        let release = format!("{}", 3000 + self.tables.fetch_add(1, Ordering::SeqCst));
        self.who.change(|tree| *tree = Tree::bare(std::mem::replace(tree, Tree::constructed()), &release));
        release
    }

    async fn insert(&self, table: &str, rows: &[Row]) {
        self.who.change(|tree| {
            for row in rows {
                let mut one = entity(table, &row.id, "category", "MADE UP");
                if let Some(note) = &row.note {
                    one["definition"] = json!({ "@language": "en", "@value": note });
                }
                tree.add(table, "", one);
            }
        });
    }

    fn at(&self, _: CursorKind, _: i64) -> Watermark {
        unreachable!()
    }

    fn step(&self, _: CursorKind) -> Lag {
        unreachable!()
    }

    /// Parents become texts, as the API's description has them, and entities have a field that nobody knows.
    async fn widen(&self, table: &str) -> Widened {
        self.who.set_parent(Parent::Text);
        let code = self.key("a");
        self.who.change(|tree| tree.change(table, &code, |entity| entity["madeUpKey"] = Value::from("made-up value")));
        Widened::Record { column: "record", holds: ["\"madeUpKey\":", "\"parent\":\"http"] }
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(source(options(&self.server)))
    }

    fn breaking(&self, bytes: usize) -> Arc<dyn Source> {
        let port = line(self.server.port, bytes, if bytes.is_multiple_of(3) { End::Broken } else { End::Dumb });
        let (url, token_url) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{port}/connect/token"));
        Arc::new(source(Options { url, token_url, patience: Duration::from_millis(700), ..options(&self.server) }))
    }

    fn refused(&self) -> (Arc<dyn Source>, String) {
        let wrong = SECRET.replace("77", "78");
        let client = Some(Client { id: ID.to_owned(), secret: Secret::new(wrong.clone()) });
        (Arc::new(source(Options { client, ..options(&self.server) })), wrong)
    }

    /// Three batches, entity by entity.
    fn many(&self) -> usize {
        1500
    }

    async fn within(&self, time: Duration, future: BoxFuture<'_, ()>) -> bool {
        tokio::time::timeout(time, future).await.is_ok()
    }
}

#[test]
fn it_holds_to_the_contract_of_every_source() {
    wait(async {
        let who = Who::new(Tree::grown(1, "2019", Size::SMALL), ID, SECRET);
        let server = Server::plain(who.handler());
        let tables = Tables { who, server, tables: AtomicUsize::new(0), keys: Mutex::default() };
        assert_eq!(check(&tables).await.unwrap().len(), 8, "without a time there are no windows");
    });
}
