//! A copy of what a service said last, that answers when the service is away, and says so.

use crate::files::sha256;
use crate::parquet::{decode, encode};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use rcm_core::{Class, CursorKind, Described, Problem, Reading, Source, Wanted, Watermark, Window};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A source of which the last whole read of each table is kept in a folder. Where another try may help, and no read succeeds, the
/// copy answers: a table that is read as a whole with the rows that it had, what is behind a watermark with none, for nothing is
/// known to be new. [`Reading::notes`] says so, and from when the copy is; what is absent from it is not gone. All other windows
/// need the source itself. A copy that cannot be written is a note, too. Of a table that the copy described, the next read is the
/// copy's: who was away is not waited for twice.
///
/// For services whose tables fit into memory, such as codes.
#[derive(Clone)]
pub struct Kept {
    source: Arc<dyn Source>,
    folder: PathBuf,
    of: String,
    /// Tables that their copies described, and why.
    away: Arc<Mutex<HashMap<String, Problem>>>,
}

impl Kept {
    /// Keeps copies of a source's tables; the folder is made when it is needed. `of` says what the source is, such as its
    /// address and the questions that its tables stand for: a source that says something else has other copies.
    pub fn new(source: Arc<dyn Source>, folder: impl Into<PathBuf>, of: impl Into<String>) -> Kept {
        Kept { source, folder: folder.into(), of: of.into(), away: Arc::default() }
    }

    /// Of what was asked.
    fn file(&self, table: &str, columns: &[String], is_whole: bool) -> PathBuf {
        let asked = format!("{:?}", (&self.of, table, columns));
        let end = if is_whole { "whole" } else { "window" };
        self.folder.join(format!("{}-{end}.parquet", &sha256(asked.as_bytes())[..32]))
    }
}

/// A copy: its rows, and when it was made; none where there is none that can be read.
fn copy(file: &Path) -> Option<(Vec<RecordBatch>, DateTime<Utc>)> {
    let made = std::fs::metadata(file).and_then(|about| about.modified()).ok()?;
    let rows = decode(std::fs::read(file).ok()?.into()).ok()?;
    Some((rows, made.into()))
}

#[async_trait]
impl Source for Kept {
    async fn describe(&self, table: &str) -> Result<Described, Problem> {
        match self.source.describe(table).await {
            Err(problem) if problem.class == Class::Temporary => {
                let of = |is_whole| copy(&self.file(table, &[], is_whole));
                let (rows, _) = of(true).or_else(|| of(false)).ok_or_else(|| problem.clone())?;
                self.away.lock().unwrap_or_else(PoisonError::into_inner).insert(table.to_owned(), problem);
                let schema = rows[0].schema();
                let cursor = |field: &arrow::datatypes::FieldRef| {
                    CursorKind::of(field.data_type()).map(|kind| (field.name().clone(), kind, false))
                };
                let cursors = schema.fields().iter().filter_map(cursor).collect();
                Ok(Described { schema, key: Vec::new(), cursors })
            }
            described => described,
        }
    }

    async fn open(&self, wanted: &Wanted) -> Result<Box<dyn Reading>, Problem> {
        let (is_whole, may_answer) = match wanted.window {
            Window::Whole => (true, true),
            Window::Since { watermark, .. } => (false, watermark.is_some()),
            Window::Between { .. } => return self.source.open(wanted).await,
        };
        let file = self.file(&wanted.table, &wanted.columns, is_whole);
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner).remove(&wanted.table);
        let opened = match away.filter(|_| may_answer) {
            Some(problem) => Err(problem),
            None => self.source.open(wanted).await,
        };
        let (inner, schema, bounds) = match opened {
            Ok(inner) => {
                let (schema, bounds) = (inner.schema().clone(), inner.bounds());
                (Ok(inner), schema, bounds)
            }
            Err(problem) if problem.class == Class::Temporary && may_answer => {
                let Some((rows, _)) = copy(&file) else { return Err(problem) };
                (Err(problem), rows[0].schema(), (None, None))
            }
            Err(problem) => return Err(problem),
        };
        Ok(Box::new(Read { inner, schema, bounds, file, is_whole, may_answer, note: Mutex::new(None) }))
    }
}

/// All rows of a read.
async fn all(reading: &dyn Reading) -> Result<Vec<RecordBatch>, Problem> {
    let mut rows = Vec::new();
    for part in 0..reading.parts() {
        let mut batches = reading.read(part);
        while let Some(batch) = batches.try_next().await? {
            rows.push(batch);
        }
    }
    Ok(rows)
}

struct Read {
    /// The service's, or why there is none.
    inner: Result<Box<dyn Reading>, Problem>,
    schema: SchemaRef,
    bounds: (Option<Watermark>, Option<Watermark>),
    file: PathBuf,
    is_whole: bool,
    /// Whether the copy may stand for the source.
    may_answer: bool,
    /// That the copy answered, or is none.
    note: Mutex<Option<String>>,
}

impl Read {
    async fn rows(&self) -> Result<Vec<RecordBatch>, Problem> {
        let problem = match &self.inner {
            Err(problem) => problem.clone(),
            Ok(inner) => match all(&**inner).await {
                Ok(rows) => {
                    if let Err(problem) = self.keep(&rows) {
                        self.note(format!("no copy could be kept: {problem}"));
                    }
                    return Ok(rows);
                }
                Err(problem) if problem.class == Class::Temporary && self.may_answer => problem,
                Err(problem) => return Err(problem),
            },
        };
        let (rows, made) =
            copy(&self.file).filter(|(rows, _)| rows[0].schema() == self.schema).ok_or_else(|| problem.clone())?;
        let is_empty = rows.iter().all(|batch| batch.num_rows() == 0);
        if self.is_whole && is_empty {
            return Err(problem);
        }
        let made = made.to_rfc3339_opts(SecondsFormat::Secs, true);
        let what = if self.is_whole { "these are rows of the copy of" } else { "nothing new is known since" };
        self.note(format!("the service did not answer ({}): {what} {made}", problem.what));
        Ok(if self.is_whole { rows } else { Vec::new() })
    }

    fn note(&self, note: String) {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = Some(note);
    }

    /// Keeps a whole; of a window only that there was one, and when.
    fn keep(&self, rows: &[RecordBatch]) -> Result<(), Problem> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let failed = |e: &dyn std::fmt::Display| Problem::storage(self.file.display().to_string(), e);
        let bytes = encode(&self.schema, if self.is_whole { rows } else { &[] }, &[]).map_err(|e| failed(&e))?;
        // Several may keep at once.
        let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let aside = self.file.with_extension(format!("{process}-{number}.part"));
        let folder = self.file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|e| failed(&e))?;
        let moved = std::fs::write(&aside, bytes).and_then(|()| std::fs::rename(&aside, &self.file));
        moved.map_err(|e| {
            let _ = std::fs::remove_file(&aside);
            failed(&e)
        })
    }
}

impl Reading for Read {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn bounds(&self) -> (Option<Watermark>, Option<Watermark>) {
        self.bounds
    }

    /// What is not in a copy may be there.
    fn is_snapshot(&self) -> bool {
        false
    }

    fn parts(&self) -> usize {
        1
    }

    fn read(&self, _part: usize) -> BoxStream<'_, Result<RecordBatch, Problem>> {
        stream::once(self.rows()).map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn notes(&self) -> Vec<String> {
        let of_inner = self.inner.as_ref().map(|inner| inner.notes()).unwrap_or_default();
        let own = self.note.lock().unwrap_or_else(PoisonError::into_inner).clone();
        of_inner.into_iter().chain(own).collect()
    }
}
