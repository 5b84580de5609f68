//! Tables of a PostgreSQL database, as typed Arrow batches by binary COPY.
//!
//! A read is of one snapshot: [`Source::open`] begins a repeatable-read transaction and exports it, every part of the table
//! reads in it. Of a window the upper bound is that transaction's instant, or the start of the oldest one that is still
//! writing, where that is earlier: what such a one commits later is ahead of the watermark, not behind it. What began before
//! and wrote its first row only afterwards is found within the lag. Where the user may not see other sessions
//! (`pg_read_all_stats`), the bound is [`Options::settle`] before the instant instead.
//!
//! | PostgreSQL | Arrow |
//! |---|---|
//! | `bool`, `int2`, `int4`, `int8`, `float4`, `float8` | the same |
//! | `numeric(p, s)` | `Decimal128` to 38 digits, `Decimal256` to 76; beyond, or without a precision, its digits as `Utf8` |
//! | `money` | `Decimal128(21, 4)` |
//! | `date`, `time`, `timestamp`, `timestamptz` | `Date32`, `Time64(µs)`, `Timestamp(µs)`, `Timestamp(µs, "UTC")` |
//! | `bytea` | `Binary` |
//! | `text`, `varchar`, `char`, `name`, `uuid`, `json`, `jsonb`, `xml`, enums | `Utf8` |
//! | a domain | as its base type |
//! | all others (intervals in ISO 8601, arrays, ranges, networks, …) | their text as `Utf8` |
//!
//! What Arrow has no value for (an infinite date, a decimal that is no number, `24:00`) is null, and counted in
//! [`Reading::notes`]; such a cursor is in every window.

mod catalog;
mod copy;
mod decode;
mod session;
mod snapshot;
mod window;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use catalog::Table;
use futures::stream::BoxStream;
use rcm_core::{Class, Described, Problem, Reading, Secret, Source, Wanted, Watermark, Window};
use rustls::ClientConfig;
use session::Session;
use snapshot::Snapshot;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How a database is reached, and how it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Name or address of the server, or the folder of its socket, which begins with `/`.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// Who reads; it needs `SELECT` and no more.
    pub user: String,
    /// None where the server asks for none.
    pub password: Option<Secret>,
    /// Certificates in PEM of authorities that are trusted beside the system's.
    pub authorities: Option<String>,
    /// Without TLS: what passes can be read, and changed, on its way. Default: false. A socket of this machine has none.
    pub plain: bool,
    /// How many connections read rows at once, of all tables together. Default: 2.
    pub connections: usize,
    /// How long before the server's present a window ends where other sessions cannot be seen. Default: 5 s.
    pub settle: Duration,
    /// The zone in which timestamps without one are meant. Default: the database's own.
    pub time_zone: Option<String>,
    /// How long the server may say nothing. Default: one minute.
    pub patience: Duration,
    /// How many bytes of the wire go into a batch. Default: 8 MiB.
    pub batch_bytes: usize,
}

impl Options {
    /// The defaults, for a server on its usual port.
    pub fn new(host: impl Into<String>, database: impl Into<String>, user: impl Into<String>) -> Self {
        Options {
            host: host.into(),
            port: 5432,
            database: database.into(),
            user: user.into(),
            password: None,
            authorities: None,
            plain: false,
            connections: 2,
            settle: Duration::from_secs(5),
            time_zone: None,
            patience: Duration::from_secs(60),
            batch_bytes: 8 << 20,
        }
    }
}

/// A PostgreSQL database. Its methods need a tokio runtime with timers and I/O.
///
/// ```no_run
/// # async fn example() -> Result<(), rcm_core::Problem> {
/// use futures::TryStreamExt;
/// use rcm_connectors::postgres::{Options, Postgres};
/// use rcm_core::{Secret, Source, Wanted, Window};
///
/// let options = Options { password: Some(Secret::new("…")), ..Options::new("emr.example", "hospital", "reader") };
/// let database = Postgres::new(options);
/// let wanted = Wanted { table: "public.patients".into(), columns: Vec::new(), window: Window::Whole };
/// let reading = database.open(&wanted).await?;
/// for part in 0..reading.parts() {
///     let mut batches = reading.read(part);
///     while let Some(batch) = batches.try_next().await? {
///         println!("{} rows", batch.num_rows());
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Postgres {
    options: Arc<Options>,
    /// Made when it is needed first.
    tls: Arc<OnceLock<ClientConfig>>,
    /// Connections that may read rows.
    free: Arc<Semaphore>,
    at: Option<Arc<Snapshot>>,
}

impl Postgres {
    /// Names a database; nothing is connected yet.
    pub fn new(options: Options) -> Self {
        let free = Arc::new(Semaphore::new(options.connections.max(1)));
        Postgres { options: Arc::new(options), tls: Arc::default(), free, at: None }
    }

    /// The same database as it is now, for all reads: what several tables say fits together. Without it each read is of an
    /// instant of its own.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub async fn at_one_instant(&self) -> Result<Postgres, Problem> {
        let session = Session::open(self, &self.options.database).await?;
        let at = Some(Arc::new(session.snapshot(&self.options).await?));
        Ok(Postgres { at, ..self.clone() })
    }
}

#[async_trait]
impl Source for Postgres {
    async fn describe(&self, table: &str) -> Result<Described, Problem> {
        let session = Session::open(self, table).await?;
        Ok(session.table(table).await?.described())
    }

    async fn open(&self, wanted: &Wanted) -> Result<Box<dyn Reading>, Problem> {
        let place = wanted.table.clone();
        let session = Session::open(self, &place).await?;
        let quoted = session.table(&place).await?.quoted;
        let (snapshot, session) = match &self.at {
            Some(at) => (at.clone(), Some(session)),
            None => (Arc::new(session.snapshot(&self.options).await?), None),
        };
        snapshot.hold(&quoted, &place).await?;
        // Only now nobody changes it any more.
        let asks = session.as_ref().unwrap_or(&snapshot.session);
        let table = asks.table(&place).await?;
        let (cursor, kind) = match &wanted.window {
            Window::Whole => (None, None),
            Window::Since { cursor, .. } | Window::Between { cursor, .. } => {
                (Some(cursor), Some(table.cursor(cursor)?))
            }
        };
        let bounds = match kind {
            None => (None, None),
            Some(kind) => window::bounds(&wanted.window, kind, &snapshot)
                .map_err(|problem| Problem { place: place.clone(), ..problem })?,
        };
        let mut notes = Vec::new();
        if let Some(cursor) = cursor.filter(|_| matches!(wanted.window, Window::Since { .. })) {
            notes.extend(snapshot.waits());
            match asks.rows_ahead(&table, cursor, &snapshot).await {
                // It is only advice.
                Err(problem) if problem.class == Class::Temporary && session.is_some() => {}
                ahead => notes.extend(ahead?),
            }
        }
        let table = table.with_columns(&wanted.columns)?;
        // Pages tell nothing of the rows of a window, and a view has none.
        let parts = if cursor.is_none() { table.parts(self.options.connections) } else { 1 };
        let columns = (0..table.columns.len()).map(|_| AtomicU64::new(0)).collect();
        Ok(Box::new(Read {
            database: self.clone(),
            schema: table.schema(),
            filter: cursor.map(|cursor| window::filter(cursor, bounds)),
            table,
            place,
            snapshot,
            bounds,
            parts,
            unheld: columns,
            notes,
        }))
    }
}

/// A read in an exported snapshot.
struct Read {
    database: Postgres,
    table: Table,
    schema: SchemaRef,
    /// Of a window.
    filter: Option<String>,
    bounds: (Option<Watermark>, Option<Watermark>),
    parts: u64,
    place: String,
    snapshot: Arc<Snapshot>,
    /// A column: how many values Arrow has no value for.
    unheld: Arc<[AtomicU64]>,
    /// What was seen when it was opened.
    notes: Vec<String>,
}

impl Reading for Read {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn bounds(&self) -> (Option<Watermark>, Option<Watermark>) {
        self.bounds
    }

    fn is_snapshot(&self) -> bool {
        !self.table.is_foreign
    }

    fn parts(&self) -> usize {
        self.parts as usize
    }

    fn read(&self, part: usize) -> BoxStream<'_, Result<RecordBatch, Problem>> {
        let filter = match &self.filter {
            Some(filter) => filter.clone(),
            None => self.table.pages_of(part as u64, self.parts),
        };
        let (list, table) = (self.table.list(), &self.table.quoted);
        let part = copy::Part {
            database: self.database.clone(),
            snapshot: self.snapshot.clone(),
            place: self.place.clone(),
            schema: self.schema.clone(),
            kinds: self.table.columns.iter().map(|column| column.kind).collect(),
            sql: format!("COPY (SELECT {list} FROM {table}{filter}) TO STDOUT (FORMAT binary)"),
            unheld: self.unheld.clone(),
        };
        part.read()
    }

    fn notes(&self) -> Vec<String> {
        let counts = self.unheld.iter().map(|count| count.load(Ordering::Relaxed));
        let columns = self.table.columns.iter().zip(counts).filter(|(_, count)| *count > 0);
        let note = |(column, count): (&catalog::Column, u64)| {
            format!("column `{}`: {count} values that are infinite or no number, read as null", column.name)
        };
        self.notes.iter().cloned().chain(columns.map(note)).collect()
    }
}
