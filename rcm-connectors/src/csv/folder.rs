//! A folder of CSV files as a [`Source`]: each file a table.

use super::times::parts_a_second;
use super::{Format, Reader, Reject, unpack};
use crate::files::unreadable;
use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::SinkExt;
use futures::channel::mpsc;
use futures::stream::BoxStream;
use rcm_core::{Class, CursorKind, Described, Problem, Reading, Source, Wanted, Watermark, Window};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where batches go.
type Give = mpsc::Sender<Result<RecordBatch, Problem>>;

/// Takes what is no row.
type Rejects = Arc<dyn Fn(&Reject) + Send + Sync>;

/// A folder whose files are tables, plain or packed. A table is named as its file is. A file that another one replaces
/// (`rename`) is read to its end as it was; one that is written into meanwhile fails the read.
///
/// ```
/// use arrow::datatypes::{DataType, Field, Schema};
/// use futures::TryStreamExt;
/// use rcm_connectors::csv::{Folder, Format};
/// use rcm_core::{Source, Wanted, Window};
///
/// # let folder = tempfile::tempdir().unwrap();
/// std::fs::write(folder.path().join("cpt.csv"), "code;fee\n99213;92.05\n99214;\n").unwrap();
/// let fee = Schema::new(vec![Field::new("fee", DataType::Decimal128(9, 2), true)]);
/// let source = Folder::new(folder.path()).table("cpt.csv", Format { delimiter: None, ..Format::default() }, fee);
/// let wanted = Wanted { table: "cpt.csv".into(), columns: vec!["fee".into()], window: Window::Whole };
/// let batches = futures::executor::block_on(async {
///     let reading = source.open(&wanted).await?;
///     reading.read(0).try_collect::<Vec<_>>().await
/// });
/// assert_eq!(batches.unwrap()[0].num_rows(), 2);
/// ```
#[derive(Clone)]
pub struct Folder {
    root: PathBuf,
    tables: BTreeMap<String, (Format, Schema)>,
    rejects: Option<Rejects>,
}

impl Folder {
    /// Names a folder; nothing is read yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Folder { root: root.into(), tables: BTreeMap::new(), rejects: None }
    }

    /// Says how a file is written, and which of its columns have which types. Of a file of which nothing is said the delimiter
    /// is found, and all columns are text.
    #[must_use]
    pub fn table(mut self, file: impl Into<String>, format: Format, schema: Schema) -> Self {
        self.tables.insert(file.into(), (format, schema));
        self
    }

    /// Says what becomes of records that are no rows, each time that they are read and in whatever window. Where nothing is said the first one fails the read: none is left out in
    /// silence.
    #[must_use]
    pub fn rejects(mut self, take: impl Fn(&Reject) + Send + Sync + 'static) -> Self {
        self.rejects = Some(Arc::new(take));
        self
    }

    fn file(&self, table: &str) -> Result<OpenFile, Problem> {
        let none = |what: &str| Problem::new(Class::Config, table, what.to_owned()).hint("name a file of the folder");
        let mut parts = Path::new(table).components();
        let is_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        if !is_name || table.contains(['\0', '\\']) || table.ends_with('/') {
            return Err(none("that is no name of a file"));
        }
        let broken = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => none("there is no such file"),
            _ => unreadable(table, &e),
        };
        let path = self.root.join(table);
        // Before it is opened: that of a pipe would wait.
        if !std::fs::metadata(&path).map_err(broken)?.is_file() {
            return Err(none("that is no file"));
        }
        let file = File::open(path).map_err(broken)?;
        let metadata = file.metadata().map_err(broken)?;
        let (format, schema) = match self.tables.get(table) {
            Some((format, schema)) => (*format, schema.clone()),
            None => (Format { delimiter: None, ..Format::default() }, Schema::empty()),
        };
        Ok(OpenFile { place: table.to_owned(), file: Arc::new(file), metadata, format, schema })
    }
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder").field("root", &self.root).field("tables", &self.tables).finish_non_exhaustive()
    }
}

#[async_trait]
impl Source for Folder {
    async fn describe(&self, table: &str) -> Result<Described, Problem> {
        let schema = self.file(table)?.reader()?.schema().clone();
        let cursors = schema.fields().iter().filter_map(|field| {
            let kind = CursorKind::of(field.data_type())?;
            Some((field.name().clone(), kind, false))
        });
        Ok(Described { cursors: cursors.collect(), key: Vec::new(), schema })
    }

    async fn open(&self, wanted: &Wanted) -> Result<Box<dyn Reading>, Problem> {
        let file = self.file(&wanted.table)?;
        let reader = file.reader()?;
        let all = reader.schema().clone();
        let cursor = match &wanted.window {
            Window::Whole => None,
            Window::Since { cursor, .. } | Window::Between { cursor, .. } => {
                let field = all.field_with_name(cursor).ok();
                let kind = field.and_then(|field| CursorKind::of(field.data_type()));
                let what = || format!("`{cursor}` is no column by which it can be told what is new");
                let hint = "declare its type: a date, a time or a whole number";
                let kind = kind.ok_or_else(|| Problem::new(Class::Config, &wanted.table, what()).hint(hint))?;
                Some((cursor.clone(), kind))
            }
        };
        let placed = |problem: Problem| Problem { place: wanted.table.clone(), ..problem };
        let bounds = match &cursor {
            None => (None, None),
            Some((_, kind)) => file.bounds(&wanted.window, *kind).map_err(placed)?,
        };
        let columns: Vec<String> = match wanted.columns.is_empty() {
            true => all.fields().iter().map(|field| field.name().clone()).collect(),
            false => wanted.columns.clone(),
        };
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let schema = reader.project(&names)?.schema().clone();
        let cursor = cursor.map(|(cursor, _)| cursor);
        let rejects = self.rejects.clone();
        Ok(Box::new(FileReading { file, schema, columns, cursor, bounds, rejects, rejected: Arc::default() }))
    }
}

/// A file as it was when it was opened.
#[derive(Debug, Clone)]
struct OpenFile {
    place: String,
    file: Arc<File>,
    metadata: Metadata,
    format: Format,
    schema: Schema,
}

impl OpenFile {
    fn reader(&self) -> Result<Reader<Box<dyn Read + Send>>, Problem> {
        let input = FromFile { file: self.file.clone(), at: 0, len: self.metadata.len() };
        Reader::new(unpack(input, &self.place)?, &self.place, &self.format)?.typed(&self.schema)
    }

    /// Where a window begins and ends. What a file holds was written before the file was.
    fn bounds(&self, window: &Window, kind: CursorKind) -> Result<(Option<Watermark>, Option<Watermark>), Problem> {
        let lower = window.lower(kind)?;
        match window {
            Window::Between { to, .. } => return Ok((lower, Some(*to))),
            Window::Whole | Window::Since { watermark: None, .. } => return Ok((lower, None)),
            Window::Since { watermark: Some(at), .. } => {
                let modified: DateTime<Utc> = self.metadata.modified().map_err(|e| unreadable(&self.place, &e))?.into();
                if at.is_far_ahead(modified, modified.naive_utc()) {
                    let what = "the saved watermark is later than the file: nothing would be read";
                    let hint = "if an older file was put in place, read it whole";
                    return Err(Problem::new(Class::Config, "", what).hint(hint));
                }
            }
        }
        Ok((lower, None))
    }

    /// Whether nobody wrote into it since.
    fn check_untouched(&self) -> Result<(), Problem> {
        let now = self.file.metadata().map_err(|e| unreadable(&self.place, &e))?;
        match now.len() == self.metadata.len() && now.modified().ok() == self.metadata.modified().ok() {
            true => Ok(()),
            false => Err(Problem::new(Class::Temporary, &self.place, "the file changed while it was read")
                .hint("read again when the delivery is complete; best is to write under another name and rename")),
        }
    }
}

/// Reads a file from its beginning, whoever else reads it, and no further than it went when it was opened.
struct FromFile {
    file: Arc<File>,
    at: u64,
    len: u64,
}

impl Read for FromFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = out.len().min(left);
        let count = self.file.read_at(&mut out[..wanted], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for FromFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[derive(Clone)]
struct FileReading {
    file: OpenFile,
    schema: SchemaRef,
    columns: Vec<String>,
    cursor: Option<String>,
    bounds: (Option<Watermark>, Option<Watermark>),
    rejects: Option<Rejects>,
    rejected: Arc<AtomicU64>,
}

impl Reading for FileReading {
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

    /// On a thread of its own, a batch ahead.
    fn read(&self, _part: usize) -> BoxStream<'_, Result<RecordBatch, Problem>> {
        let (mut give, take) = mpsc::channel(0);
        let reading = self.clone();
        std::thread::spawn(move || {
            // A stream that only ended would say that this was all.
            let all = catch_unwind(AssertUnwindSafe(|| reading.each(&mut give)));
            let broken = || Err(Problem::new(Class::Failed, &reading.file.place, "the program failed while it read"));
            if let Err(problem) = all.unwrap_or_else(|_| broken()) {
                let _ = futures::executor::block_on(give.send(Err(problem)));
            }
        });
        Box::pin(take)
    }

    fn notes(&self) -> Vec<String> {
        match self.rejected.load(Ordering::Relaxed) {
            0 => Vec::new(),
            1 => vec!["1 record is no row".to_owned()],
            count => vec![format!("{count} records are no rows")],
        }
    }
}

impl FileReading {
    /// Gives all batches, until nobody takes them any more. Of a file that somebody wrote into that is said first.
    fn each(&self, give: &mut Give) -> Result<(), Problem> {
        let read = self.read_all(give);
        self.file.check_untouched().and(read)
    }

    fn read_all(&self, give: &mut Give) -> Result<(), Problem> {
        // The cursor is needed to tell which rows are in the window, also where it is not wanted.
        let mut names: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let is_extra = self.cursor.as_deref().filter(|cursor| !names.contains(cursor));
        names.extend(is_extra);
        let wanted: Vec<usize> = (0..self.columns.len()).collect();
        let broken = |e| Problem::storage(&self.file.place, e);
        let mut rejected = 0;
        for rows in self.file.reader()?.project(&names)? {
            let rows = rows?;
            if give.is_closed() {
                return Ok(());
            }
            for reject in &rows.rejects {
                let Some(take) = &self.rejects else {
                    let what = format!("line {}: {}", reject.line, reject.what);
                    let hint = "correct the file, or give the source a place for what is no row";
                    return Err(Problem::new(Class::Failed, &self.file.place, what).hint(hint));
                };
                take(reject);
            }
            rejected += rows.rejects.len() as u64;
            let batch = match &self.cursor {
                None => rows.batch,
                Some(cursor) => within(&rows.batch, cursor, self.bounds).map_err(broken)?,
            };
            if batch.num_rows() > 0 {
                let batch = batch.project(&wanted).map_err(broken)?;
                let _ = futures::executor::block_on(give.send(Ok(batch)));
            }
        }
        self.rejected.store(rejected, Ordering::Relaxed);
        Ok(())
    }
}

/// The rows whose cursor lies in a window, or says nothing.
fn within(
    batch: &RecordBatch,
    cursor: &str,
    (lower, upper): (Option<Watermark>, Option<Watermark>),
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let column = &batch[cursor];
    // Days, units of time or numbers.
    let days = match column.data_type() {
        DataType::Date32 => cast(column, &DataType::Int32)?,
        _ => column.clone(),
    };
    let numbers = cast(&days, &DataType::Int64)?;
    let unit = match column.data_type() {
        DataType::Timestamp(unit, _) => *unit,
        _ => TimeUnit::Second,
    };
    let (from, to) = (lower.map(|at| number(&at, unit, false)), upper.map(|at| number(&at, unit, true)));
    let is_in = |at: i64| from.is_none_or(|from| i128::from(at) >= from) && to.is_none_or(|to| i128::from(at) < to);
    let numbers = numbers.as_primitive::<Int64Type>();
    let is_in: BooleanArray = numbers.iter().map(|at| Some(at.is_none_or(is_in))).collect();
    filter_record_batch(batch, &is_in)
}

/// A point as a column tells it, in its unit: rounded down, or up for a bound that is not in the window.
fn number(at: &Watermark, unit: TimeUnit, up: bool) -> i128 {
    let of_time = |at: DateTime<Utc>| {
        let nanos = i128::from(at.timestamp()) * 1_000_000_000 + i128::from(at.timestamp_subsec_nanos());
        let a_part = 1_000_000_000 / i128::from(parts_a_second(unit));
        nanos.div_euclid(a_part) + i128::from(up && nanos.rem_euclid(a_part) > 0)
    };
    match at {
        Watermark::Date(day) => i128::from(day.signed_duration_since(chrono::NaiveDate::default()).num_days()),
        Watermark::Timestamp(at) => of_time(at.and_utc()),
        Watermark::TimestampTz(at) => of_time(*at),
        Watermark::Integer(at) => i128::from(*at),
        Watermark::RowVersion(at) => i128::from(*at),
    }
}
