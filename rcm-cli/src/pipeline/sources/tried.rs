//! What may get better is tried again, at one place only: connectors of services do so by themselves, as long as their patience
//! lasts; those of databases tell the first error.

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use futures::future::try_join_all;
use rcm_core::{Class, Described, Problem, Reading, Source, Wanted};
use std::sync::Arc;
use std::time::Duration;

/// How often.
pub(super) const TRIES: u32 = 3;

/// Before the second try; before each other four times as long as before the last.
const PAUSE: Duration = Duration::from_millis(500);

/// A source, and whether it is asked again.
#[derive(Clone)]
pub(crate) struct Tried {
    source: Arc<dyn Source>,
    tries: u32,
}

impl Tried {
    /// One that tells the first error.
    pub(super) fn again(source: Arc<dyn Source>) -> Tried {
        Tried { source, tries: TRIES }
    }

    /// One that tried again before it tells an error, or of which nothing gets better.
    pub(super) fn once(source: Arc<dyn Source>) -> Tried {
        Tried { source, tries: 1 }
    }

    pub(crate) async fn describe(&self, table: &str) -> Result<Described, Problem> {
        tried(self.tries, async || self.source.describe(table).await).await
    }

    pub(crate) async fn open(&self, wanted: &Wanted) -> Result<Box<dyn Reading>, Problem> {
        tried(self.tries, async || self.source.open(wanted).await).await
    }

    /// All rows of a read of it.
    pub(crate) async fn all(&self, reading: &dyn Reading) -> Result<Vec<RecordBatch>, Problem> {
        let part = |number| async move {
            tried(self.tries, async || reading.read(number).try_collect::<Vec<_>>().await).await
        };
        Ok(try_join_all((0..reading.parts()).map(part)).await?.into_iter().flatten().collect())
    }
}

/// Tries again what may get better.
pub(super) async fn tried<T>(tries: u32, mut once: impl AsyncFnMut() -> Result<T, Problem>) -> Result<T, Problem> {
    let mut pause = PAUSE;
    for _ in 1..tries {
        match once().await {
            Err(problem) if problem.class == Class::Temporary => tokio::time::sleep(pause).await,
            done => return done,
        }
        pause *= 4;
    }
    once().await
}
