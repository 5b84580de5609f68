//! What every [`Source`] must hold to, ours or another team's, as a test to call: [`check`] with a [`Fixture`] that makes
//! tables in whatever the source reads.
//!
//! | clause | what a source must do |
//! |---|---|
//! | `whole` | give every row once, in the parts together, and the same twice |
//! | `boundary` | give the rows at the watermark again, and none below it; rows whose cursor is null always |
//! | `lag` | widen the lower bound only |
//! | `empty` | say that there is nothing, with the columns all the same |
//! | `between` | cut a table into windows that together are the whole, each row once |
//! | `columns` | show an added column, and a widened one in its new type, in the next read; where columns are the source's own, what is new stands in one of them |
//! | `projection` | give the columns that were asked for, in that order; name one that is not there |
//! | `state` | refuse a watermark of another kind, and one far ahead of its clock; never convert it |
//! | `tables` | name a table that is not there; take a hostile name as a name |
//! | `broken` | end in an error when the line breaks, in time, and never as if that were all |
//! | `cancelled` | end a read that is dropped, and read again afterwards |
//! | `secrets` | refuse a wrong secret without repeating it |
//!
//! A source whose rows say nothing of when they changed has no cursors: of the clauses from `boundary` to `state` it must refuse every
//! window, and never give the whole as if it were new.

mod clauses;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use async_trait::async_trait;
use futures::TryStreamExt;
use rcm_core::{CursorKind, Problem, Source, Wanted, Watermark, Window};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A row of the tables on which a source is tried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Column `id`, a text, the key.
    pub id: String,
    /// Column `note`, a text or null.
    pub note: Option<String>,
    /// Column `changed`, of the cursor's kind, or null.
    pub changed: Option<i64>,
}

/// How a source calls the three columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// The key.
    pub id: &'static str,
    /// The text.
    pub note: &'static str,
    /// What tells when a row changed; of a source without cursors no column needs to have this name.
    pub changed: &'static str,
}

/// What [`Fixture::widen`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Widened {
    /// A column `added` is there, and this one has this type now.
    Column(String, DataType),
    /// The columns are the source's own. Its records have a new field, and an old one is another: this column holds these texts, in
    /// rows in which it did not before.
    Record {
        /// The column.
        column: &'static str,
        /// The texts.
        holds: [&'static str; 2],
    },
}

/// Makes tables in whatever a source reads, and sources that read them. What goes wrong in it may panic.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The kinds of cursor that the source knows.
    fn cursors(&self) -> Vec<CursorKind>;

    /// How the source calls the columns of a row.
    fn names(&self) -> Names {
        Names { id: "id", note: "note", changed: "changed" }
    }

    /// The key that stands for an id, where keys of the source have a shape. Two ids never have the same.
    fn key(&self, id: &str) -> String {
        id.to_owned()
    }

    /// Makes an empty table with the columns of a row, the cursor of a kind, or without one: the name by which the source reads it.
    async fn create(&self, cursor: Option<CursorKind>) -> String;

    /// Adds rows. `changed` counts steps from a beginning that is the fixture's: [`Fixture::at`].
    async fn insert(&self, table: &str, rows: &[Row]);

    /// The point so many steps from the beginning, all of them before the source's present.
    fn at(&self, cursor: CursorKind, step: i64) -> Watermark;

    /// How far one step is.
    fn step(&self, cursor: CursorKind) -> rcm_core::Lag;

    /// Adds a column `added`, and makes `changed` or another column wider; or what comes nearest to it.
    async fn widen(&self, table: &str) -> Widened;

    /// The source.
    fn source(&self) -> Arc<dyn Source>;

    /// The source over a line that breaks behind so many bytes of what it answers.
    fn breaking(&self, bytes: usize) -> Arc<dyn Source>;

    /// The source with a secret that is wrong, and that secret.
    fn refused(&self) -> (Arc<dyn Source>, String);

    /// How long anything may take that fails.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// How many rows are many: more than a batch holds, and for a source that asks for each row by itself no more than it must.
    fn many(&self) -> usize {
        5000
    }

    /// Lets a future end within a time: by the runtime that the source needs.
    async fn within(&self, time: Duration, future: futures::future::BoxFuture<'_, ()>) -> bool;
}

/// A clause that a source breaks, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// A clause of the table above.
    pub clause: &'static str,
    /// What was found.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.clause, self.what)
    }
}

impl std::error::Error for Broken {}

/// Tries a source by every clause that it can be tried by: their names, in order.
///
/// # Errors
/// The first clause that it breaks.
pub async fn check(fixture: &dyn Fixture) -> Result<Vec<&'static str>, Broken> {
    let fixture = &Tried { fixture, ids: Mutex::default() };
    let mut held = vec!["whole"];
    if fixture.cursors().is_empty() {
        clauses::whole(fixture, None).await?;
        clauses::timeless(fixture).await?;
    } else {
        held.extend(["boundary", "lag", "empty", "between"]);
    }
    for cursor in fixture.cursors() {
        clauses::whole(fixture, Some(cursor)).await?;
        clauses::boundary_lag_and_empty(fixture, cursor).await?;
        clauses::between(fixture, cursor).await?;
        clauses::state(fixture, cursor).await?;
    }
    clauses::columns(fixture).await?;
    clauses::projection(fixture).await?;
    clauses::tables(fixture).await?;
    clauses::broken(fixture).await?;
    clauses::cancelled(fixture).await?;
    clauses::secrets(fixture).await?;
    held.extend(["state", "columns", "projection", "tables", "broken", "cancelled", "secrets"]);
    Ok(held)
}

/// All rows of a read, and the greatest cursor among them.
struct Got {
    ids: Vec<String>,
    greatest: Option<Watermark>,
    batches: Vec<RecordBatch>,
}

/// A fixture, and the ids behind the keys that it was given.
struct Tried<'a> {
    fixture: &'a dyn Fixture,
    ids: Mutex<HashMap<String, String>>,
}

impl<'a> std::ops::Deref for Tried<'a> {
    type Target = dyn Fixture + 'a;

    fn deref(&self) -> &Self::Target {
        self.fixture
    }
}

impl Tried<'_> {
    async fn insert(&self, table: &str, rows: &[Row]) {
        let mut keyed = rows.to_vec();
        for row in &mut keyed {
            let key = self.fixture.key(&row.id);
            let before = self.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), row.id.clone());
            assert!(before.is_none_or(|id| id == row.id), "two ids have one key");
            row.id = key;
        }
        self.fixture.insert(table, &keyed).await;
    }

    /// The ids of rows; a key that was never given stands for itself.
    fn ids(&self, batch: &RecordBatch) -> Vec<String> {
        let known = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let id = |key: String| known.get(&key).cloned().unwrap_or(key);
        text(batch, self.fixture.names().id).into_iter().flatten().map(id).collect()
    }

    async fn read(&self, source: &dyn Source, table: &str, window: Window) -> Result<Got, Problem> {
        let wanted = Wanted { table: table.to_owned(), columns: Vec::new(), window };
        let cursor = self.fixture.names().changed;
        let kind = source.describe(table).await?.cursor(cursor);
        let reading = source.open(&wanted).await?;
        let mut got = Got { ids: Vec::new(), greatest: None, batches: Vec::new() };
        for part in 0..reading.parts() {
            let mut batches = reading.read(part);
            while let Some(batch) = batches.try_next().await? {
                if batch.schema_ref() != reading.schema() {
                    return Err(Problem::storage(table, "a batch has other columns than its reading"));
                }
                got.ids.extend(self.ids(&batch));
                let changed = kind.zip(batch.column_by_name(cursor));
                let greatest = changed.and_then(|(kind, column)| Watermark::greatest(kind, column));
                if got.greatest.is_none_or(|before| greatest.is_some_and(|now| now > before)) {
                    got.greatest = greatest.or(got.greatest);
                }
                got.batches.push(batch);
            }
        }
        got.ids.sort();
        Ok(got)
    }
}

fn text(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let empty = || -> ArrayRef { arrow::array::new_empty_array(&DataType::Utf8) };
    let column =
        batch.column_by_name(column).and_then(|column| cast(column, &DataType::Utf8).ok()).unwrap_or_else(empty);
    let text = column.as_string::<i32>();
    (0..text.len()).map(|row| text.is_valid(row).then(|| text.value(row).to_owned())).collect()
}
