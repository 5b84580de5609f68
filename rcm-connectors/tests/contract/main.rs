//! The contract of sources can be broken: a source that is right in all but one thing is refused by the clause that says so.
//! The right one is the example's.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use own_source::lists;
use rcm_connectors::contract::{Fixture, Row, Widened, check};
use rcm_core::{Class, CursorKind, Described, Lag, Problem, Reading, Source, Wanted, Watermark, Window};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[path = "../../../examples/own_source.rs"]
#[allow(dead_code, reason = "its main is another program's")]
mod own_source;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The last row of a read is lost.
    LosesARow,
    /// Of what was read before.
    RemembersRows,
    /// It takes its rows when they are read, in several parts.
    OpensLate,
    /// It has no times of change, and gives the whole for what is new.
    WholeForNew,
    /// Rows at the watermark are not read again.
    Skips,
    /// A row whose cursor is null is in no window.
    SkipsNulls,
    NoLag,
    /// Nothing new is an error.
    FailsOnNothing,
    /// The end of a window is in it.
    Inclusive,
    /// What a table was when it was described first.
    OldColumns,
    AllColumns,
    /// A watermark of another kind is none.
    Converts,
    /// A table that is not there is an empty one.
    InventsTables,
    /// A line that broke is an end.
    EndsWhereItBreaks,
    Hangs,
    /// One read at a time, and one that was dropped never ended.
    NeverLetsGo,
    TellsSecrets,
    LetsAnybodyIn,
}

struct Faulty {
    source: Arc<dyn Source>,
    fault: Fault,
    secret: Option<String>,
    described: Arc<Mutex<Vec<(String, SchemaRef)>>>,
    open: Arc<AtomicUsize>,
}

impl Faulty {
    fn change(&self, wanted: &mut Wanted) {
        match (&mut wanted.window, self.fault) {
            (Window::Since { watermark: Some(Watermark::Integer(at)), lag: Lag::Steps(0), .. }, Fault::Skips) => {
                *at += 1
            }
            (Window::Since { lag, .. }, Fault::NoLag) => *lag = Lag::Steps(0),
            (Window::Between { to: Watermark::Integer(at), .. }, Fault::Inclusive) => *at += 1,
            (Window::Since { watermark, .. }, Fault::Converts)
                if watermark.is_some_and(|at| at.kind() != CursorKind::Integer) =>
            {
                *watermark = None;
            }
            _ => {}
        }
        if self.fault == Fault::AllColumns {
            wanted.columns.clear();
        }
        let described = self.described.lock().unwrap();
        if let Some((_, schema)) =
            described.iter().find(|(name, _)| self.fault == Fault::OldColumns && *name == wanted.table)
        {
            wanted.columns = schema.fields().iter().map(|field| field.name().clone()).collect();
        }
    }
}

#[async_trait]
impl Source for Faulty {
    async fn describe(&self, table: &str) -> Result<Described, Problem> {
        let described = self.source.describe(table).await;
        match (described, self.fault, &self.secret) {
            (Err(_), Fault::InventsTables, None) => {
                let schema = Arc::new(Schema::empty());
                Ok(Described { schema, key: Vec::new(), cursors: Vec::new() })
            }
            (Err(problem), Fault::TellsSecrets, Some(secret)) => {
                Err(Problem { what: format!("{} does not open: {}", secret, problem.what), ..problem })
            }
            (Err(_), Fault::LetsAnybodyIn, Some(_)) => {
                Ok(Described { schema: Arc::new(Schema::empty()), key: Vec::new(), cursors: Vec::new() })
            }
            (Ok(described), Fault::WholeForNew, _) => Ok(Described { cursors: Vec::new(), ..described }),
            (Ok(described), ..) => {
                self.described.lock().unwrap().push((table.to_owned(), described.schema.clone()));
                Ok(described)
            }
            (refused, ..) => refused,
        }
    }

    async fn open(&self, wanted: &Wanted) -> Result<Box<dyn Reading>, Problem> {
        if self.fault == Fault::NeverLetsGo && self.open.load(Ordering::SeqCst) > 0 {
            return Err(Problem::new(Class::Temporary, &wanted.table, "somebody reads").hint("wait"));
        }
        let mut wanted = wanted.clone();
        self.change(&mut wanted);
        let reading = self.source.open(&wanted).await?;
        let (source, window) = (self.source.clone(), wanted.window.clone());
        Ok(Box::new(FaultyReading { reading, fault: self.fault, open: self.open.clone(), window, source, wanted }))
    }
}

struct FaultyReading {
    reading: Box<dyn Reading>,
    fault: Fault,
    open: Arc<AtomicUsize>,
    window: Window,
    source: Arc<dyn Source>,
    wanted: Wanted,
}

impl Reading for FaultyReading {
    fn schema(&self) -> &SchemaRef {
        self.reading.schema()
    }

    fn bounds(&self) -> (Option<Watermark>, Option<Watermark>) {
        self.reading.bounds()
    }

    fn is_snapshot(&self) -> bool {
        self.reading.is_snapshot()
    }

    fn parts(&self) -> usize {
        self.reading.parts() + usize::from(self.fault == Fault::OpensLate)
    }

    fn read(&self, part: usize) -> BoxStream<'_, Result<RecordBatch, Problem>> {
        static READS: AtomicUsize = AtomicUsize::new(0);
        if part == self.reading.parts() {
            return stream::empty().boxed();
        }
        let batches = self.reading.read(part);
        match self.fault {
            Fault::LosesARow => batches.map(|batch| batch.map(|b| b.slice(0, b.num_rows().saturating_sub(1)))).boxed(),
            Fault::OpensLate => {
                let late = async move { self.source.open(&self.wanted).await };
                stream::once(late)
                    .flat_map(|reading| match reading {
                        Ok(reading) => {
                            let batches = reading.read(0).collect::<Vec<_>>().now_or_never().unwrap();
                            stream::iter(batches)
                        }
                        Err(problem) => stream::iter(vec![Err(problem)]),
                    })
                    .boxed()
            }
            Fault::RemembersRows if READS.fetch_add(1, Ordering::SeqCst) > 0 => {
                batches.flat_map(|batch| stream::iter([batch.clone(), batch])).boxed()
            }
            Fault::SkipsNulls if self.window != Window::Whole => batches
                .map(|batch| {
                    let batch = batch?;
                    let is_not_null = arrow::compute::is_not_null(&batch["changed"]).unwrap();
                    Ok(arrow::compute::filter_record_batch(&batch, &is_not_null).unwrap())
                })
                .boxed(),
            Fault::FailsOnNothing => {
                let nothing = Err(Problem::new(Class::Failed, "list", "nothing is new"));
                let is_late = matches!(self.window, Window::Since { watermark: Some(Watermark::Integer(4)), .. });
                if is_late { stream::iter([nothing]).boxed() } else { batches }
            }
            Fault::EndsWhereItBreaks => batches.take_while(|batch| futures::future::ready(batch.is_ok())).boxed(),
            Fault::Hangs => batches
                .then(|batch| async move {
                    if batch.is_err() {
                        futures::future::pending::<()>().await;
                    }
                    batch
                })
                .boxed(),
            Fault::NeverLetsGo => {
                self.open.fetch_add(1, Ordering::SeqCst);
                let end = stream::once(async {
                    self.open.fetch_sub(1, Ordering::SeqCst);
                    None
                });
                let batches = batches.inspect(|batch| {
                    if batch.is_err() {
                        self.open.fetch_sub(1, Ordering::SeqCst);
                    }
                });
                batches.map(Some).chain(end).filter_map(futures::future::ready).boxed()
            }
            _ => batches,
        }
    }
}

/// The example's tables, with a source that has a fault.
struct Tried<F> {
    right: F,
    fault: Fault,
    described: Arc<Mutex<Vec<(String, SchemaRef)>>>,
    open: Arc<AtomicUsize>,
}

impl<F> Tried<F> {
    fn faulty(&self, source: Arc<dyn Source>, secret: Option<String>) -> Arc<dyn Source> {
        let (described, open) = (self.described.clone(), self.open.clone());
        Arc::new(Faulty { source, fault: self.fault, secret, described, open })
    }
}

#[async_trait]
impl<F: Fixture> Fixture for Tried<F> {
    fn cursors(&self) -> Vec<CursorKind> {
        if self.fault == Fault::WholeForNew { Vec::new() } else { self.right.cursors() }
    }

    async fn create(&self, cursor: Option<CursorKind>) -> String {
        self.right.create(cursor).await
    }

    async fn insert(&self, table: &str, rows: &[Row]) {
        self.right.insert(table, rows).await;
    }

    fn at(&self, cursor: CursorKind, step: i64) -> Watermark {
        self.right.at(cursor, step)
    }

    fn step(&self, cursor: CursorKind) -> Lag {
        self.right.step(cursor)
    }

    async fn widen(&self, table: &str) -> Widened {
        self.right.widen(table).await
    }

    fn source(&self) -> Arc<dyn Source> {
        self.faulty(self.right.source(), None)
    }

    fn breaking(&self, bytes: usize) -> Arc<dyn Source> {
        self.faulty(self.right.breaking(bytes), None)
    }

    fn refused(&self) -> (Arc<dyn Source>, String) {
        let (source, secret) = self.right.refused();
        (self.faulty(source, Some(secret.clone())), secret)
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(500)
    }

    async fn within(&self, time: Duration, future: BoxFuture<'_, ()>) -> bool {
        self.right.within(time, future).await
    }
}

#[tokio::test]
async fn a_source_that_breaks_a_clause_is_refused_by_it() {
    for (fault, clause) in [
        (Fault::LosesARow, "whole"),
        (Fault::RemembersRows, "whole"),
        (Fault::OpensLate, "whole"),
        (Fault::Skips, "boundary"),
        (Fault::SkipsNulls, "boundary"),
        (Fault::NoLag, "lag"),
        (Fault::FailsOnNothing, "empty"),
        (Fault::Inclusive, "between"),
        (Fault::Converts, "state"),
        (Fault::WholeForNew, "state"),
        (Fault::OldColumns, "columns"),
        (Fault::AllColumns, "projection"),
        (Fault::InventsTables, "tables"),
        (Fault::EndsWhereItBreaks, "broken"),
        (Fault::Hangs, "broken"),
        (Fault::NeverLetsGo, "cancelled"),
        (Fault::TellsSecrets, "secrets"),
        (Fault::LetsAnybodyIn, "secrets"),
    ] {
        let tried = Tried { right: lists(), fault, described: Arc::default(), open: Arc::default() };
        let broken = check(&tried).await.expect_err(&format!("{fault:?}"));
        assert_eq!(broken.clause, clause, "{fault:?}: {broken}");
        println!("{fault:?} breaks {broken}");
    }
    let right = Tried { right: lists(), fault: Fault::None, described: Arc::default(), open: Arc::default() };
    assert_eq!(check(&right).await.map(|clauses| clauses.len()), Ok(12));
}
