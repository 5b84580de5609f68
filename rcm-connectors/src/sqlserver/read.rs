//! A part's rows, as they come.

use super::SqlServer;
use super::catalog::Kind;
use super::decode::Rows;
use super::session::{Session, problem, unreadable};
use super::statements;
use crate::ahead::{Give, ahead};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use futures::stream::BoxStream;
use rcm_core::{Class, Problem};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tiberius::QueryItem;

/// A part of a table to read.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) server: SqlServer,
    pub(super) place: String,
    pub(super) schema: SchemaRef,
    pub(super) kinds: Vec<Kind>,
    pub(super) sql: String,
    /// Whether the database keeps versions of rows, by which a statement shows one instant.
    pub(super) in_snapshot: bool,
    /// A column: how many texts hold what was no UTF-16.
    pub(super) replaced: Arc<[AtomicU64]>,
}

impl Part {
    /// Its rows.
    pub(super) fn read(self) -> BoxStream<'static, Result<RecordBatch, Problem>> {
        ahead(unreadable(&self.place), move |give| async move { self.rows(&give).await })
    }

    async fn rows(&self, give: &Give) -> Result<(), Problem> {
        let (place, options) = (&self.place, &self.server.options);
        let free = self.server.free.acquire().await;
        let _free = free.map_err(|e| Problem::storage(place, e))?;
        let mut session = Session::open(options, place).await?;
        if self.in_snapshot {
            session.run(statements::SNAPSHOT).await?;
        }
        let failed = |e| problem(place, options.patience, &e);
        let mut stream = session.client.simple_query(self.sql.as_str()).await.map_err(failed)?;
        let other = || {
            Problem::new(Class::Drift, place, "the table changed while it was read, or a value is none of its type")
                .hint("run again; if it happens again, look for a proxy between rcm and the server")
        };
        let (mut rows, mut read, mut sets) = (Rows::new(self.schema.clone(), &self.kinds), 0_i64, 0);
        let mut counted = None;
        // Nobody takes what comes any more: the stream was dropped.
        let Ok(mut place_for_one) = give.reserve().await else { return Ok(()) };
        while let Some(item) = stream.next().await {
            match item.map_err(failed)? {
                QueryItem::Metadata(_) => sets += 1,
                QueryItem::Row(row) if sets == 1 => {
                    rows.push(row).ok_or_else(other)?;
                    read += 1;
                }
                QueryItem::Row(row) => counted = row.try_get::<i64, _>(0).map_err(failed)?,
            }
            if rows.is_full(options.batch_bytes) {
                place_for_one.send(Ok(Some(rows.finish(place)?)));
                match give.reserve().await {
                    Ok(next) => place_for_one = next,
                    Err(_) => return Ok(()),
                }
            }
        }
        if (sets, counted) != (2, Some(read)) {
            return Err(unreadable(place));
        }
        if !rows.is_empty() {
            place_for_one.send(Ok(Some(rows.finish(place)?)));
        } else {
            drop(place_for_one);
        }
        // Of a part that was read to its end.
        for (sum, count) in self.replaced.iter().zip(rows.replaced()) {
            sum.fetch_add(count, Ordering::Relaxed);
        }
        let _ = give.send(Ok(None)).await;
        Ok(())
    }
}
