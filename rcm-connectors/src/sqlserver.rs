//! Tables of a SQL Server or Azure SQL database, as typed Arrow batches. Not yet run on SQL Server itself: the tests have a server
//! of their own that speaks TDS 7.4 and 8.0 and runs the T-SQL that arrives; clients of others read the same of it.
//!
//! A window ends [`Options::settle`] before the server's present, or before the oldest transaction began that has written, where
//! that may be seen (`VIEW SERVER STATE`); by a `rowversion` at `MIN_ACTIVE_ROWVERSION()`. What commits later is ahead of the
//! watermark, not behind it. Not seen are writers of tables in memory, and of the database behind a copy: the lag covers them. Bounds are sent in the column's own type, rounded down. Where the database allows
//! snapshots, rows are read in one: without waiting for writers, and as of one instant ([`Reading::is_snapshot`]) if a single
//! connection reads them. Several read what a window has the first time, and tables that can be shown as of no instant: by
//! ranges of a key of one number.
//!
//! | SQL Server | Arrow |
//! |---|---|
//! | `bit`, `smallint`, `int`, `bigint`, `real`, `float` | the same |
//! | `tinyint` | `Int16` |
//! | `decimal(p, s)`, `money`, `smallmoney` | `Decimal128(p, s)`, `(19, 4)`, `(10, 4)` |
//! | `date`, `time(0…6)`, `time(7)` | `Date32`, `Time64(µs)`, `Time64(ns)` |
//! | `datetime2`, `datetime`, `smalldatetime` | `Timestamp(µs)`, rounded down |
//! | `datetimeoffset` | `Timestamp(µs, "UTC")`, rounded down; with [`Options::offsets`] its minutes as `…_offset`, `Int16` |
//! | `char`, `varchar`, `text`, `nchar`, `nvarchar`, `ntext`, `xml` | `Utf8` |
//! | `uniqueidentifier` | `Utf8`, in capitals as the server shows it |
//! | `binary`, `varbinary`, `image`, `hierarchyid`, `geometry`, `geography` | `Binary` |
//! | `rowversion` | `UInt64` |
//! | all others (`sql_variant`, `json`, `vector`, types of other teams) | refused by name: read a view that casts them |
//!
//! Refused by name are also columns that are masked for the login or encrypted by its clients, and tables of which row-level
//! security may hide rows ([`Options::filtered`]): what cannot be read as it stands is not read in silence. Of a view that cannot
//! be seen. The driver logs what the server says, and rows, through `tracing`: who collects that filters the target `tiberius`.
//!
//! Text that is no UTF-16 has U+FFFD where it is none, and is counted in [`Reading::notes`].

mod catalog;
mod decode;
mod read;
mod session;
mod statements;
mod window;

use crate::contained::contained;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use catalog::{Lies, Table, ranges};
use futures::stream::BoxStream;
use rcm_core::{Class, Described, Problem, Reading, Secret, Source, Wanted, Watermark, Window};
use read::Part;
use session::{Session, unreadable};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use window::Instant;

/// Who reads; it needs `SELECT`, and better `VIEW SERVER STATE` too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// A login of the server's.
    Sql {
        /// Its name.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// An access token of Entra for `https://database.windows.net/`.
    Token(Secret),
}

/// How a database is reached, and how it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// Who reads.
    pub login: Login,
    /// Certificates in PEM of authorities that are trusted beside the system's.
    pub authorities: Option<String>,
    /// TDS 8.0: TLS from the first byte. Default: false, TLS within TDS 7.4.
    pub strict: bool,
    /// Without TLS: what passes can be read, and changed, on its way. Default: false.
    pub plain: bool,
    /// Says that it only reads: an availability group answers from a copy, if it has one. Default: false.
    pub readonly: bool,
    /// How many connections read rows at once, of all tables together. Default: 2.
    pub connections: usize,
    /// How long before the server's present a window ends at the latest. Default: 5 s.
    pub settle: Duration,
    /// The zone in which times without one are meant, as Windows names it. Default: that of the server's clock.
    pub time_zone: Option<String>,
    /// Reads tables that a policy of row-level security filters: the login must be one that it shows all rows, else those that it
    /// hides count as gone. Default: false, such a table is refused.
    pub filtered: bool,
    /// Whether every `datetimeoffset` has a column of its minutes beside it. Default: false.
    pub offsets: bool,
    /// How long the server may say nothing. Default: one minute.
    pub patience: Duration,
    /// How many bytes go into a batch, about. Default: 8 MiB.
    pub batch_bytes: usize,
}

impl Options {
    /// The defaults, for a server on its usual port.
    pub fn new(host: impl Into<String>, database: impl Into<String>, login: Login) -> Self {
        Options {
            host: host.into(),
            port: 1433,
            database: database.into(),
            login,
            authorities: None,
            strict: false,
            plain: false,
            readonly: false,
            connections: 2,
            settle: Duration::from_secs(5),
            time_zone: None,
            filtered: false,
            offsets: false,
            patience: Duration::from_secs(60),
            batch_bytes: 8 << 20,
        }
    }
}

/// A SQL Server database. Its methods need a tokio runtime with timers and I/O.
///
/// ```no_run
/// # async fn example() -> Result<(), rcm_core::Problem> {
/// use futures::TryStreamExt;
/// use rcm_connectors::sqlserver::{Login, Options, SqlServer};
/// use rcm_core::{Secret, Source, Wanted, Window};
///
/// let login = Login::Sql { user: "reader".into(), password: Secret::new("…") };
/// let database = SqlServer::new(Options::new("emr.example", "hospital", login));
/// let wanted = Wanted { table: "dbo.patients".into(), columns: Vec::new(), window: Window::Whole };
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
pub struct SqlServer {
    options: Arc<Options>,
    /// Connections that may read rows.
    free: Arc<Semaphore>,
    at: Option<Arc<Instant>>,
}

impl SqlServer {
    /// Names a database; nothing is connected yet.
    pub fn new(options: Options) -> Self {
        let free = Arc::new(Semaphore::new(options.connections.max(1)));
        SqlServer { options: Arc::new(options), free, at: None }
    }

    /// The same database with one bound for all windows: what several tables say fits together. Without it each window ends at
    /// an instant of its own. Tables that are read as a whole are as of when they are read.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub async fn at_one_instant(&self) -> Result<SqlServer, Problem> {
        let options = self.options.clone();
        let instant = contained(unreadable(&self.options.database), async move {
            Session::open(&options, &options.database).await?.instant(&options).await
        });
        Ok(SqlServer { at: Some(Arc::new(instant.await?)), ..self.clone() })
    }

    async fn plan(self, wanted: Wanted) -> Result<Box<dyn Reading>, Problem> {
        let place = wanted.table;
        let mut session = Session::open(&self.options, &place).await?;
        let table = session.table(&place, &self.options).await?;
        let (mut filter, mut bounds, mut notes) = (None, (None, None), Vec::new());
        if let Window::Since { cursor, .. } | Window::Between { cursor, .. } = &wanted.window {
            let (kind, column) = table.cursor(cursor)?;
            let instant = self.instant(&mut session).await?;
            let placed = |problem| Problem { place: place.clone(), ..problem };
            bounds = instant.bounds(&wanted.window, kind).map_err(placed)?;
            filter = window::filter(cursor, column, bounds);
            if matches!(wanted.window, Window::Since { .. }) {
                notes.extend(instant.waits());
                match session.rows_ahead(&table, cursor, &instant).await {
                    // It is only advice.
                    Err(problem) if problem.class == Class::Temporary => {
                        session = Session::open(&self.options, &place).await?
                    }
                    ahead => notes.extend(ahead?),
                }
            }
        }
        let (snapshots, statements) = match session.row(statements::VERSIONING, &[]).await {
            Ok(row) => (row.number(0)? == Some(1), row.number(1)? == Some(1)),
            Err(problem) if problem.class != Class::Temporary => (false, false),
            Err(problem) => return Err(problem),
        };
        let in_snapshot = snapshots && table.is_of == Lies::Here;
        let is_versioned = match table.is_of {
            Lies::Here => snapshots || statements,
            Lies::InMemory => true,
            Lies::Anywhere => false,
        };
        // Absence means something only in a table that is read as a whole: better then in one piece, of one instant.
        let is_cut = match &wanted.window {
            Window::Whole => !is_versioned,
            _ => bounds.0.is_none(),
        };
        let mut cuts = vec![String::new()];
        if let Some(key) = table.cut_by().filter(|_| is_cut && self.options.connections > 1) {
            if in_snapshot {
                session.run(statements::SNAPSHOT).await?;
            }
            match session.row(&statements::ends(&table.quoted, &key), &[]).await {
                // It can be read in one piece.
                Err(problem) if problem.class == Class::Temporary => {}
                ends => {
                    let ends = ends?;
                    if let (Some(low), Some(high)) = (ends.number(0)?, ends.number(1)?) {
                        cuts = ranges(&key, (low, high), self.options.connections);
                    }
                }
            }
        }
        let table = table.with_columns(&wanted.columns)?;
        let list = table.list();
        let conditions =
            |cut: String| filter.iter().cloned().chain((!cut.is_empty()).then_some(cut)).collect::<Vec<_>>();
        let part = Part {
            server: self,
            place,
            schema: table.schema(),
            kinds: table.columns.iter().map(|column| column.kind).collect(),
            sql: String::new(),
            in_snapshot,
            replaced: table.columns.iter().map(|_| AtomicU64::new(0)).collect(),
        };
        let parts: Vec<String> =
            cuts.into_iter().map(|cut| statements::rows(&table.quoted, &list, &conditions(cut))).collect();
        Ok(Box::new(Read { part, is_snapshot: is_versioned && parts.len() == 1, parts, table, bounds, notes }))
    }
}

#[async_trait]
impl Source for SqlServer {
    async fn describe(&self, table: &str) -> Result<Described, Problem> {
        let (options, name) = (self.options.clone(), table.to_owned());
        contained(unreadable(table), async move {
            let mut session = Session::open(&options, &name).await?;
            Ok(session.table(&name, &options).await?.described())
        })
        .await
    }

    async fn open(&self, wanted: &Wanted) -> Result<Box<dyn Reading>, Problem> {
        contained(unreadable(&wanted.table), self.clone().plan(wanted.clone())).await
    }
}

/// A read whose bounds are fixed.
struct Read {
    /// What all parts have in common.
    part: Part,
    /// The statements, one a part.
    parts: Vec<String>,
    is_snapshot: bool,
    table: Table,
    bounds: (Option<Watermark>, Option<Watermark>),
    /// What was seen when it was opened.
    notes: Vec<String>,
}

impl Reading for Read {
    fn schema(&self) -> &SchemaRef {
        &self.part.schema
    }

    fn bounds(&self) -> (Option<Watermark>, Option<Watermark>) {
        self.bounds
    }

    fn is_snapshot(&self) -> bool {
        self.is_snapshot
    }

    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn read(&self, part: usize) -> BoxStream<'_, Result<RecordBatch, Problem>> {
        Part { sql: self.parts[part].clone(), ..self.part.clone() }.read()
    }

    fn notes(&self) -> Vec<String> {
        let counts = self.part.replaced.iter().map(|count| count.load(Ordering::Relaxed));
        let columns = self.table.columns.iter().zip(counts).filter(|(_, count)| *count > 0);
        let note = |(column, count): (&catalog::Column, u64)| {
            format!(
                "column `{}`: {count} texts hold what is no UTF-16, or U+FFFD, and are read with U+FFFD",
                column.name
            )
        };
        self.notes.iter().cloned().chain(columns.map(note)).collect()
    }
}
