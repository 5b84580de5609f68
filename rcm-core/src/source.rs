//! Where rows come from: a database, files, an API. The smallest trait that serves all of them.
//!
//! A read goes so: [`Source::open`] fixes what will be read, bounds and snapshot, before the first row; the [`Reading`] then
//! gives its parts, in any order or at once, each a stream of Arrow batches. A stream reads ahead by no more than a batch, of
//! a size that the source bounds in bytes: who does not poll it stops the source. Who drops it ends the read. What a source
//! must hold to is written as a test that every one of them passes: `rcm_connectors::contract`.

use crate::{Class, CursorKind, Lag, Problem, Watermark};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::TimeDelta;
use futures_core::stream::BoxStream;

/// Something that has tables.
#[async_trait]
pub trait Source: Send + Sync {
    /// What a table looks like now.
    ///
    /// # Errors
    /// A table that is not there, or whose columns cannot be read (class `config` or `drift`); a source that cannot be
    /// reached (class `temporary` if another try may help). No message holds a secret, or a value of a row.
    async fn describe(&self, table: &str) -> Result<Described, Problem>;

    /// Fixes what will be read.
    ///
    /// # Errors
    /// As [`Source::describe`]; a cursor that is no column of a kind that can be one, or is of another kind than the saved
    /// watermark (class `config`): it is never converted.
    async fn open(&self, wanted: &Wanted) -> Result<Box<dyn Reading>, Problem>;
}

/// A table as its source describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its columns in the types in which they are read.
    pub schema: SchemaRef,
    /// The columns of its primary key, in its order; none where there is no key.
    pub key: Vec<String>,
    /// The columns that can be cursors, and whether rows behind a point are found without reading all of them.
    pub cursors: Vec<(String, CursorKind, bool)>,
}

impl Described {
    /// What kind of cursor a column is.
    pub fn cursor(&self, column: &str) -> Option<CursorKind> {
        self.cursors.iter().find(|(name, _, _)| name == column).map(|(_, kind, _)| *kind)
    }
}

/// What is to be read of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The table, as its source names it: with a schema where it has one.
    pub table: String,
    /// Which columns, in this order; empty: all, in theirs.
    pub columns: Vec<String>,
    /// Which rows.
    pub window: Window,
}

/// Which rows of a table are to be read. Rows whose cursor says nothing (null, infinite) are in every window: it cannot be
/// told whether they are new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// All, as they are at one instant.
    Whole,
    /// What may be new.
    Since {
        /// The column that tells.
        cursor: String,
        /// The greatest value that was read before; none: nothing was.
        watermark: Option<Watermark>,
        /// The read begins so far below it.
        lag: Lag,
    },
    /// From a point to another one, which is not in it.
    Between {
        /// The column that tells.
        cursor: String,
        /// The first point.
        from: Watermark,
        /// The point behind the last.
        to: Watermark,
    },
}

impl Window {
    /// Where a read by a column of some kind begins: at the saved watermark less the lag; of wall-clock times an hour more,
    /// for on one night a year clocks go back. None: at the beginning.
    ///
    /// ```
    /// use chrono::TimeDelta;
    /// use rcm_core::{CursorKind, Lag, Watermark, Window};
    ///
    /// let noon = "2026-06-28T12:00:00".parse().unwrap();
    /// let (cursor, lag) = ("changed".to_owned(), Lag::Time(TimeDelta::minutes(5)));
    /// let window = Window::Since { cursor, watermark: Some(Watermark::Timestamp(noon)), lag };
    /// let lower = window.lower(CursorKind::Timestamp).unwrap();
    /// assert_eq!(lower, Some(Watermark::Timestamp("2026-06-28T10:55:00".parse().unwrap())));
    /// let refused = window.lower(CursorKind::TimestampTz).unwrap_err();
    /// assert!(refused.what.contains("timestamp without time zone"));
    /// ```
    ///
    /// # Errors
    /// A watermark, a bound or a lag of another kind than the column (class `config`): it is never converted.
    pub fn lower(&self, kind: CursorKind) -> Result<Option<Watermark>, Problem> {
        let held = |at: &Watermark| match at.kind() == kind {
            true => Ok(*at),
            false => {
                let what = format!("the saved watermark is a {}, the column is a {kind} now", at.kind());
                let hint = "rebuild the table by the new column: `rcm run --full-refresh --select TABLE`";
                Err(Problem::new(Class::Config, "watermark", what).hint(hint))
            }
        };
        let unfit = || {
            let what = format!("the lag does not fit a column that is a {kind}");
            let hint = "write a duration for dates and times, such as 15m, and a plain number for numbers";
            Problem::new(Class::Config, "lag", what).hint(hint)
        };
        match self {
            Window::Since { lag, .. } if !lag.fits(kind) => Err(unfit()),
            Window::Whole | Window::Since { watermark: None, .. } => Ok(None),
            Window::Between { from, to, .. } => held(to).and(held(from)).map(Some),
            Window::Since { watermark: Some(at), lag, .. } => {
                let less = |at: Watermark, lag| at.less(lag).ok_or_else(unfit);
                let lower = less(held(at)?, *lag)?;
                match kind {
                    CursorKind::Timestamp => less(lower, Lag::Time(TimeDelta::hours(1))).map(Some),
                    _ => Ok(Some(lower)),
                }
            }
        }
    }
}

/// A read whose bounds are fixed.
pub trait Reading: Send + Sync {
    /// The columns of all batches.
    fn schema(&self) -> &SchemaRef;

    /// The points between which the cursor lies, where there is one: the first is in the window, the second is not. What lies
    /// at or behind the second is not lost: it is still ahead of the greatest value read, from which the next read begins.
    fn bounds(&self) -> (Option<Watermark>, Option<Watermark>);

    /// Whether all parts show the table as it is at one instant, that of opening or, of a single part, that of its reading: only
    /// then is what is absent gone.
    fn is_snapshot(&self) -> bool;

    /// In how many parts the rows come: each row in one of them.
    fn parts(&self) -> usize;

    /// Reads a part, from its beginning each time. A stream that ends without an error has given all rows of it.
    ///
    /// # Errors
    /// A source that fails meanwhile (class `temporary` if another try may help); then what was read of the whole table counts
    /// for nothing.
    fn read(&self, part: usize) -> BoxStream<'_, Result<RecordBatch, Problem>>;

    /// What people should know of what was read, such as values that Arrow cannot hold and that are null therefore. Never a
    /// value.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}
