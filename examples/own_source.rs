//! A source of another team: here a list in memory, behind a key. It passes the contract that all sources pass, so the
//! pipeline can rely on it.
//!
//! `cargo ex own_source --features source`

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use rcm_connectors::contract::{self, Fixture, Row, Widened};
use rcm_core::{Class, CursorKind, Described, Lag, Problem, Reading, Secret, Source, Wanted, Watermark, Window};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Tables by name.
type Tables = Arc<Mutex<BTreeMap<String, RecordBatch>>>;

#[derive(Clone)]
struct Memory {
    tables: Tables,
    /// What opens it, and what this client has.
    keys: [Secret; 2],
    /// How many bytes it gives before its line breaks.
    breaks_behind: usize,
}

impl Memory {
    fn table(&self, name: &str) -> Result<RecordBatch, Problem> {
        if self.keys[0] != self.keys[1] {
            return Err(Problem::new(Class::Failed, name, "the list does not open").hint("correct the key"));
        }
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let none = || Problem::new(Class::Config, name, "there is no such table").hint("ask its owner for the names");
        tables.get(name).cloned().ok_or_else(none)
    }
}

#[async_trait]
impl Source for Memory {
    async fn describe(&self, table: &str) -> Result<Described, Problem> {
        let schema = self.table(table)?.schema();
        Ok(Described { schema, key: vec!["id".into()], cursors: vec![("changed".into(), CursorKind::Integer, false)] })
    }

    async fn open(&self, wanted: &Wanted) -> Result<Box<dyn Reading>, Problem> {
        // The list as it is now: what comes later is in another read.
        let mut rows = self.table(&wanted.table)?;
        let lower = wanted.window.lower(CursorKind::Integer)?;
        let upper = match wanted.window {
            Window::Between { to, .. } => Some(to),
            _ => None,
        };
        let broken = |e: arrow::error::ArrowError| Problem::storage(&wanted.table, e);
        if wanted.window != Window::Whole {
            let within = |changed: Option<i64>| match changed.map(Watermark::Integer) {
                None => true,
                Some(at) => lower.is_none_or(|lower| at >= lower) && upper.is_none_or(|upper| at < upper),
            };
            let is_in =
                rows["changed"].as_primitive::<Int64Type>().iter().map(|changed| Some(within(changed))).collect();
            rows = filter_record_batch(&rows, &is_in).map_err(broken)?;
        }
        if !wanted.columns.is_empty() {
            let place = |name: &String| {
                rows.schema_ref().index_of(name).map_err(|_| {
                    Problem::new(Class::Drift, &wanted.table, format!("there is no column `{name}`"))
                        .hint("correct the mapping")
                })
            };
            let places = wanted.columns.iter().map(place).collect::<Result<Vec<_>, _>>()?;
            rows = rows.project(&places).map_err(broken)?;
        }
        Ok(Box::new(Snapshot {
            schema: rows.schema(),
            rows,
            bounds: (lower, upper),
            breaks_behind: self.breaks_behind,
        }))
    }
}

struct Snapshot {
    schema: SchemaRef,
    rows: RecordBatch,
    bounds: (Option<Watermark>, Option<Watermark>),
    breaks_behind: usize,
}

impl Reading for Snapshot {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn bounds(&self) -> (Option<Watermark>, Option<Watermark>) {
        self.bounds
    }

    fn is_snapshot(&self) -> bool {
        true
    }

    fn parts(&self) -> usize {
        1
    }

    fn read(&self, _part: usize) -> BoxStream<'_, Result<RecordBatch, Problem>> {
        let mut given = 0;
        let batches = (0..self.rows.num_rows()).step_by(100).map(move |at| {
            let batch = self.rows.slice(at, 100.min(self.rows.num_rows() - at));
            given += batch.num_rows() * 100;
            match given > self.breaks_behind {
                true => Err(Problem::new(Class::Temporary, "memory", "the line broke").hint("run again")),
                false => Ok(batch),
            }
        });
        stream::iter(batches).boxed()
    }
}

/// Makes the tables on which the contract tries the source.
pub(crate) struct Lists(Memory);

#[async_trait]
impl Fixture for Lists {
    fn cursors(&self) -> Vec<CursorKind> {
        vec![CursorKind::Integer]
    }

    async fn create(&self, _cursor: Option<CursorKind>) -> String {
        let column = |name, data_type| Field::new(name, data_type, true);
        let columns =
            [column("id", DataType::Utf8), column("note", DataType::Utf8), column("changed", DataType::Int64)];
        let mut tables = self.0.tables.lock().unwrap();
        let name = format!("list {}", tables.len());
        tables.insert(name.clone(), RecordBatch::new_empty(Arc::new(Schema::new(columns.to_vec()))));
        name
    }

    async fn insert(&self, table: &str, rows: &[Row]) {
        let ids: StringArray = rows.iter().map(|row| Some(row.id.clone())).collect();
        let notes: StringArray = rows.iter().map(|row| row.note.clone()).collect();
        let changed: Int64Array = rows.iter().map(|row| row.changed).collect();
        let mut tables = self.0.tables.lock().unwrap();
        let before = &tables[table];
        let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(notes), Arc::new(changed)];
        let new = RecordBatch::try_new(before.schema(), columns).unwrap();
        let all = concat_batches(&before.schema(), [before, &new]).unwrap();
        tables.insert(table.to_owned(), all);
    }

    fn at(&self, _cursor: CursorKind, step: i64) -> Watermark {
        Watermark::Integer(step)
    }

    fn step(&self, _cursor: CursorKind) -> Lag {
        Lag::Steps(1)
    }

    async fn widen(&self, table: &str) -> Widened {
        let mut tables = self.0.tables.lock().unwrap();
        let before = &tables[table];
        let mut columns: Vec<(String, ArrayRef)> =
            before.schema().fields().iter().map(|f| f.name().clone()).zip(before.columns().iter().cloned()).collect();
        columns[1].1 = arrow::compute::cast(&columns[1].1, &DataType::LargeUtf8).unwrap();
        columns.push(("added".to_owned(), Arc::new(Int64Array::from(vec![None; before.num_rows()]))));
        let after = RecordBatch::try_from_iter(columns).unwrap();
        tables.insert(table.to_owned(), after);
        Widened::Column("note".to_owned(), DataType::LargeUtf8)
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(self.0.clone())
    }

    fn breaking(&self, bytes: usize) -> Arc<dyn Source> {
        Arc::new(Memory { breaks_behind: bytes, ..self.0.clone() })
    }

    fn refused(&self) -> (Arc<dyn Source>, String) {
        let wrong = "a key that opens nothing";
        let keys = [self.0.keys[0].clone(), Secret::new(wrong)];
        (Arc::new(Memory { keys, ..self.0.clone() }), wrong.to_owned())
    }

    async fn within(&self, time: Duration, future: futures::future::BoxFuture<'_, ()>) -> bool {
        tokio::time::timeout(time, future).await.is_ok()
    }
}

pub(crate) fn lists() -> Lists {
    let key = || Secret::new("sesame");
    Lists(Memory { tables: Tables::default(), keys: [key(), key()], breaks_behind: usize::MAX })
}

#[tokio::main]
async fn main() -> Result<(), contract::Broken> {
    let clauses = contract::check(&lists()).await?;
    assert_eq!(clauses.len(), 12);
    println!("it holds to {}", clauses.join(", "));
    Ok(())
}
