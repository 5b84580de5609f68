//! A part's rows, as they come out of `COPY … (FORMAT binary)`: a signature, tuples, and a word at the end. Without that word
//! a stream has not ended, it broke.
//! <https://www.postgresql.org/docs/15/sql-copy.html#id-1.9.3.55.9.4>

use super::Read;
use super::decode::Rows;
use super::session::{Session, problem, silent};
use arrow::array::RecordBatch;
use bytes::{Buf, Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use rcm_core::{Class, Problem};
use std::pin::Pin;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_postgres::CopyOutStream;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Signature, flags and the length of an extension.
const HEADER: usize = SIGNATURE.len() + 8;

pub(super) fn read(read: &Read, sql: String) -> BoxStream<'_, Result<RecordBatch, Problem>> {
    let begin = Copying::Begin(sql);
    stream::try_unfold(begin, move |copying| copying.next(read)).boxed()
}

enum Copying {
    Begin(String),
    At(Box<Running>),
    Done,
}

struct Running {
    /// One of the connections that may read.
    _free: OwnedSemaphorePermit,
    session: Session,
    stream: Pin<Box<CopyOutStream>>,
    frames: Frames,
    rows: Rows,
}

impl Copying {
    async fn next(self, read: &Read) -> Result<Option<(RecordBatch, Copying)>, Problem> {
        let mut running = match self {
            Copying::Begin(sql) => Box::new(Running::begin(read, &sql).await?),
            Copying::At(running) => running,
            Copying::Done => return Ok(None),
        };
        let place = running.session.place.clone();
        let malformed = || {
            Problem::new(Class::Temporary, &place, "the server sent what is no binary copy of the table")
                .hint("run again; if it happens again, look for a proxy between rcm and the server")
        };
        loop {
            // What is there already needs no clock.
            let came = match running.stream.next().now_or_never() {
                Some(came) => came,
                None => {
                    let came = timeout(read.database.options.patience, running.stream.next()).await;
                    came.map_err(|_| silent(&place, read.database.options.patience))?
                }
            };
            match came {
                Some(bytes) => {
                    let bytes = bytes.map_err(|e| problem(&place, &e))?;
                    running.frames.feed(bytes, &mut running.rows).ok_or_else(malformed)?;
                    if running.rows.is_full(read.database.options.batch_bytes) {
                        let batch = running.rows.finish(&place, &read.unheld)?;
                        return Ok(Some((batch, Copying::At(running))));
                    }
                }
                None if !running.frames.is_over => return Err(malformed()),
                None if running.rows.is_empty() => return Ok(None),
                None => return Ok(Some((running.rows.finish(&place, &read.unheld)?, Copying::Done))),
            }
        }
    }
}

impl Running {
    async fn begin(read: &Read, sql: &str) -> Result<Running, Problem> {
        let free = read.database.free.clone().acquire_owned().await;
        let free = free.map_err(|e| Problem::storage(&read.place, e))?;
        let session = Session::open(&read.database, &read.place).await?;
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        session.run(&format!("SET TRANSACTION SNAPSHOT '{}'", read.snapshot.name.replace('\'', "''"))).await?;
        let stream = timeout(read.database.options.patience, session.client.copy_out(sql)).await;
        let stream = stream.map_err(|_| silent(&session.place, read.database.options.patience))?;
        let stream = stream.map_err(|e| problem(&session.place, &e))?;
        let rows = Rows::new(read.schema.clone(), read.table.columns.iter().map(|column| column.kind));
        Ok(Running { _free: free, session, stream: Box::pin(stream), frames: Frames::default(), rows })
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
