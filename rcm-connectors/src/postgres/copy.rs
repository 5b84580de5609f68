//! A part's rows, as they come out of `COPY … (FORMAT binary)`: a signature, tuples, and a word at the end. Without that word
//! a stream has not ended, it broke.
//! <https://www.postgresql.org/docs/15/sql-copy.html#id-1.9.3.55.9.4>

use super::Postgres;
use super::catalog::Kind;
use super::decode::Rows;
use super::session::{Session, problem, silent};
use super::snapshot::Snapshot;
use crate::ahead::{Give, ahead};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::{Buf, Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use rcm_core::{Class, Problem};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::timeout;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Signature, flags and the length of an extension.
const HEADER: usize = SIGNATURE.len() + 8;

/// A part of a table to read.
pub(super) struct Part {
    pub(super) database: Postgres,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) place: String,
    pub(super) schema: SchemaRef,
    pub(super) kinds: Vec<Kind>,
    pub(super) sql: String,
    /// A column: how many values Arrow has no value for.
    pub(super) unheld: Arc<[AtomicU64]>,
}

impl Part {
    /// Its rows.
    pub(super) fn read(self) -> BoxStream<'static, Result<RecordBatch, Problem>> {
        ahead(Problem::storage(&self.place, "the read stopped without a word"), move |give| async move {
            self.copy(&give).await
        })
    }

    async fn copy(&self, give: &Give) -> Result<(), Problem> {
        let (place, patience) = (&self.place, self.database.options.patience);
        let free = self.database.free.acquire().await;
        let _free = free.map_err(|e| Problem::storage(place, e))?;
        let session = Session::open(&self.database, place).await?;
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        session.run(&format!("SET TRANSACTION SNAPSHOT '{}'", self.snapshot.name.replace('\'', "''"))).await?;
        let stream =
            timeout(patience, session.client.copy_out(&self.sql)).await.map_err(|_| silent(place, patience))?;
        let mut stream = pin!(stream.map_err(|e| problem(place, &e))?);
        let malformed = || {
            Problem::new(Class::Temporary, place, "the server sent what is no binary copy of the table")
                .hint("run again; if it happens again, look for a proxy between rcm and the server")
        };
        let (mut frames, mut rows) = (Frames::default(), Rows::new(self.schema.clone(), &self.kinds));
        // Nobody takes what comes any more: the stream was dropped.
        let Ok(mut place_for_one) = give.reserve().await else { return Ok(()) };
        loop {
            // What is there already needs no clock.
            let came = match stream.next().now_or_never() {
                Some(came) => came,
                None => timeout(patience, stream.next()).await.map_err(|_| silent(place, patience))?,
            };
            let Some(bytes) = came else { break };
            frames.feed(bytes.map_err(|e| problem(place, &e))?, &mut rows).ok_or_else(malformed)?;
            if rows.is_full(self.database.options.batch_bytes) {
                place_for_one.send(Ok(Some(rows.finish(place)?)));
                match give.reserve().await {
                    Ok(next) => place_for_one = next,
                    Err(_) => return Ok(()),
                }
            }
        }
        if !frames.is_over {
            return Err(malformed());
        }
        if !rows.is_empty() {
            place_for_one.send(Ok(Some(rows.finish(place)?)));
        } else {
            drop(place_for_one);
        }
        // Of a part that was read to its end.
        for (sum, count) in self.unheld.iter().zip(rows.unheld()) {
            sum.fetch_add(count, Ordering::Relaxed);
        }
        let _ = give.send(Ok(None)).await;
        Ok(())
    }
}

/// Cuts what comes into tuples. A server sends each in a message of its own, a proxy need not.
#[derive(Default)]
struct Frames {
    rest: BytesMut,
    has_begun: bool,
    is_over: bool,
}

impl Frames {
    /// Takes in what came; none if it cannot be right.
    fn feed(&mut self, bytes: Bytes, rows: &mut Rows) -> Option<()> {
        if self.rest.is_empty() {
            let left = self.take(&bytes, rows)?;
            self.rest.extend_from_slice(left);
            return Some(());
        }
        self.rest.extend_from_slice(&bytes);
        let all = std::mem::take(&mut self.rest);
        let left = self.take(&all, rows)?;
        self.rest = BytesMut::from(left);
        Some(())
    }

    /// Takes whole tuples; what is left is the beginning of one.
    fn take<'a>(&mut self, mut bytes: &'a [u8], rows: &mut Rows) -> Option<&'a [u8]> {
        if !self.has_begun {
            if bytes.len() < HEADER {
                return SIGNATURE.starts_with(&bytes[..bytes.len().min(SIGNATURE.len())]).then_some(bytes);
            }
            let (flags, extension) = ((&bytes[11..15]).get_u32(), (&bytes[15..19]).get_u32() as usize);
            // Without OIDs or other bits that one must know of.
            if !bytes.starts_with(SIGNATURE) || flags >> 16 != 0 {
                return None;
            }
            if extension > 1 << 16 {
                return None;
            }
            let Some(rest) = bytes.get(HEADER + extension..) else { return Some(bytes) };
            (bytes, self.has_begun) = (rest, true);
        }
        while !bytes.is_empty() {
            if self.is_over {
                return None;
            }
            let mut head = bytes;
            match head.try_get_i16() {
                Err(_) => break,
                Ok(-1) => (bytes, self.is_over) = (head, true),
                Ok(fields) => match rows.push(fields, head)? {
                    None => break,
                    Some(rest) => bytes = rest,
                },
            }
        }
        Some(bytes)
    }
}
