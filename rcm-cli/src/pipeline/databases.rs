//! Steps 1 and 2 for tables of databases and services: what is to be read is fixed when the run is planned, and read when it lands.
//!
//! Every database is seen at one instant, all its tables together. A window begins below the watermark: rows that were read
//! before come again. Those that are as they were then are left out, by a digest of each row at the edge of the window
//! before; so a window in which nothing is new lands nothing.

use super::Reach;
use crate::config::{Project, Source as Configured};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt;
use futures::future::try_join_all;
use rcm_connectors::cpt::Hcpcs;
use rcm_connectors::icd::{OrderFiles, Who};
use rcm_connectors::kept::Kept;
use rcm_connectors::lake::{Lake, ReadFile, TableState};
use rcm_connectors::npi::Registry;
use rcm_connectors::postgres::Postgres;
use rcm_connectors::sqlserver::SqlServer;
use rcm_core::{Class, CursorKind, Lag, LoadLine, LoadType, Problem, Reading, Source, Wanted, Watermark, Window};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often something is tried that may get better.
const TRIES: u32 = 3;

/// Before the second try; before each other four times as long as before the last.
const PAUSE: Duration = Duration::from_millis(500);

/// How far below the watermark a table is read again by default.
const LAG: TimeDelta = TimeDelta::hours(1);
const STEPS: u64 = 10_000;

/// What is to be read of a table.
pub(crate) struct PlannedRead {
    /// Gone when it was read: a snapshot is no longer held than it must.
    reading: Mutex<Option<Box<dyn Reading>>>,
    /// The columns of the table.
    pub(super) columns: Vec<String>,
    /// Whether it shows the table at several instants.
    pub(super) is_torn: bool,
    bounds: (Option<Watermark>, Option<Watermark>),
    /// The column that tells what is new; none of a table that is read as a whole.
    cursor: Option<(String, CursorKind, Lag)>,
    /// How far it was read before.
    saved: Option<Watermark>,
    /// The state part that holds the edge of the window before.
    edge: Option<String>,
    /// Windows that are compared with what is there now.
    compared: Option<Compared>,
    /// Whether the watermark stays where it is.
    is_backfill: bool,
    /// Third sequence of its rows.
    pub(super) place: u64,
}

impl fmt::Debug for PlannedRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedRead").field("cursor", &self.cursor).field("saved", &self.saved).finish_non_exhaustive()
    }
}

/// Windows that were read before.
struct Compared {
    /// Where they begin; none: at the beginning.
    from: Option<Watermark>,
    /// What was read of them.
    files: Vec<ReadFile>,
    /// Where a run would begin to read without.
    usual: Option<Watermark>,
}

/// The name of the state part that holds the edge of a load's last window.
pub(super) fn edge_part(load: &str) -> String {
    format!("edge/{load}")
}

/// The databases of a run, each at one instant.
pub(super) struct Databases<'a> {
    now: DateTime<Utc>,
    reach: &'a Reach,
    known: BTreeMap<String, Result<Box<dyn Source>, Problem>>,
}

impl<'a> Databases<'a> {
    pub(super) fn at(now: DateTime<Utc>, reach: &'a Reach) -> Databases<'a> {
        Databases { now, reach, known: BTreeMap::new() }
    }

    /// Fixes what is to be read by a line; none where it reads files.
    pub(super) async fn plan(
        &mut self,
        project: &Project,
        line: &LoadLine,
        state: Option<&TableState>,
        edge: Option<&String>,
        is_rebuilt: bool,
        as_of: &str,
    ) -> Option<Result<PlannedRead, Problem>> {
        let source = project.sources.get(&line.source).filter(|source| source.has_tables())?;
        if !self.known.contains_key(&line.source) {
            let database = tried(async || connected(source, self.now).await).await;
            self.known.insert(line.source.clone(), database);
        }
        let name = line.name();
        let placed = |problem: &Problem| {
            let place = format!("{name}: {}", problem.place);
            of_load(Problem { place, ..problem.clone() })
        };
        match &self.known[&line.source] {
            Ok(database) => {
                let planned = PlannedRead::open(&**database, line, state, edge, is_rebuilt, self.reach, as_of).await;
                Some(planned.map_err(|problem| placed(&problem)))
            }
            Err(problem) => Some(Err(placed(problem))),
        }
    }
}

/// A database, or a service, as it is now.
pub(crate) async fn connected(source: &Configured, clock: DateTime<Utc>) -> Result<Box<dyn Source>, Problem> {
    Ok(match source {
        Configured::Postgres(options) => Box::new(Postgres::new((**options).clone()).at_one_instant().await?),
        Configured::SqlServer(options) => Box::new(SqlServer::new((**options).clone()).at_one_instant().await?),
        Configured::Npi(options, copies) => kept(Registry::new((**options).clone(), clock)?, copies),
        Configured::IcdFiles(folder) => Box::new(OrderFiles::new(folder)),
        Configured::Hcpcs(file) => Box::new(Hcpcs::new(file)),
        Configured::IcdApi(options, copies) => kept(Who::new((**options).clone())?, copies),
        Configured::Files(files) => return Err(Problem::storage(files.path.display().to_string(), "is no database")),
    })
}

/// A service, with copies where they are wanted.
fn kept(service: impl Source + 'static, copies: &Option<PathBuf>) -> Box<dyn Source> {
    match copies {
        Some(folder) => Box::new(Kept::new(Arc::new(service), folder)),
        None => Box::new(service),
    }
}

impl PlannedRead {
    async fn open(
        database: &dyn Source,
        line: &LoadLine,
        state: Option<&TableState>,
        edge: Option<&String>,
        is_rebuilt: bool,
        reach: &Reach,
        as_of: &str,
    ) -> Result<PlannedRead, Problem> {
        let name = line.name();
        // What was read of another table, or by another column, says nothing of this one. A rebuild reads all of it again, and
        // finds what came later than the lag.
        let is_same = |before: &&ReadFile| {
            let of = (before.source == line.source, before.file == line.source_table);
            of == (true, true) && before.cursor.as_ref() == Some(&line.watermark) && !is_rebuilt
        };
        let before = state.and_then(|state| state.last(&name)).filter(is_same);
        let place = state.map_or(0, |s| s.files.iter().filter(|f| f.load == name && f.as_of == as_of).count() as u64);
        let saved = before.and_then(|before| before.watermark);
        let edge = edge.filter(|_| saved.is_some());
        let windows: Vec<&ReadFile> = state
            .map_or(Vec::new(), |state| state.files.iter().filter(|file| file.load == name).filter(is_same).collect());
        let mut cursor = None;
        if line.load_type == LoadType::Incremental {
            let described = tried(async || database.describe(&line.source_table).await).await?;
            let kind = described.cursor(&line.watermark).ok_or_else(|| {
                let what = format!("watermark `{}` is no column that tells what is new", line.watermark);
                Problem::new(Class::Config, &line.source_table, what)
                    .hint("name a column that is a date, a timestamp or an integer")
            })?;
            let by_default = match kind {
                CursorKind::Integer => Lag::Steps(STEPS),
                // As far as these are told, all is committed.
                CursorKind::RowVersion => Lag::Steps(0),
                _ => Lag::Time(LAG),
            };
            cursor = Some((line.watermark.clone(), kind, line.lag.unwrap_or(by_default)));
        }
        let (mut compared, mut is_backfill) = (None, false);
        let window = match (&cursor, reach) {
            (None, _) => Window::Whole,
            (Some((cursor, kind, _)), Reach::Between(from, to)) => {
                is_backfill = true;
                let point = |text: &String| {
                    Watermark::parse(*kind, text).ok_or_else(|| {
                        let problem =
                            Problem::new(Class::Config, &line.source_table, format!("--from or --to is no {kind}"));
                        problem.hint(
                            "write 2026-06-28, 2026-06-28T12:00:00, the same with Z, or a number, as the watermark is",
                        )
                    })
                };
                Window::Between { cursor: cursor.clone(), from: point(from)?, to: point(to)? }
            }
            (Some((cursor, kind, lag)), Reach::Reconcile(count)) if saved.is_some() => {
                let usual = Window::Since { cursor: cursor.clone(), watermark: saved, lag: *lag }.lower(*kind)?;
                // Where the last of the windows before ended.
                let from = windows.len().checked_sub(count + 1).and_then(|at| windows[at].watermark);
                let files = windows.iter().filter(|file| file.watermark >= from).map(|file| (*file).clone()).collect();
                compared = Some(Compared { from, files, usual });
                Window::Since { cursor: cursor.clone(), watermark: from, lag: Lag::Steps(0) }
            }
            (Some((cursor, _, lag)), _) => Window::Since { cursor: cursor.clone(), watermark: saved, lag: *lag },
        };
        let wanted = Wanted { table: line.source_table.clone(), columns: Vec::new(), window };
        let reading = tried(async || database.open(&wanted).await).await?;
        Ok(PlannedRead {
            columns: reading.schema().fields().iter().map(|field| field.name().clone()).collect(),
            is_torn: !reading.is_snapshot(),
            bounds: reading.bounds(),
            reading: Mutex::new(Some(reading)),
            cursor,
            saved,
            edge: edge.cloned(),
            compared,
            is_backfill,
            place,
        })
    }

    /// The column that tells what is new.
    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursor.as_ref().map(|(cursor, ..)| cursor.as_str())
    }

    /// Lets the snapshot go.
    pub(super) fn release(&self) {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// What the run is told by it, as part of its name.
    pub(super) fn said(&self) -> String {
        format!("{:?} {:?} {:?}", self.cursor, self.saved, self.bounds)
    }

    /// Reads what is new; once.
    pub(super) async fn read(&self, line: &LoadLine, lake: &Lake) -> Result<New, Problem> {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner).take();
        let reading = reading.ok_or_else(|| Problem::storage(&line.source_table, "was read already"))?;
        let reading = &*reading;
        let part = |number| async move { tried(async || reading.read(number).try_collect::<Vec<_>>().await).await };
        let batches: Vec<Vec<RecordBatch>> = try_join_all((0..reading.parts()).map(part)).await?;
        let broken = |e: ArrowError| Problem::storage(line.name(), e);
        let rows = concat_batches(reading.schema(), batches.iter().flatten()).map_err(broken)?;
        let mut notes = reading.notes();
        let Some((column, kind, lag)) = &self.cursor else {
            return Ok(New { rows, notes, watermark: None, edge: None });
        };
        let cursor = |rows: &RecordBatch| {
            let cursor = rows.column_by_name(column).cloned();
            cursor.ok_or_else(|| broken(ArrowError::SchemaError("its cursor is gone".to_owned())))
        };
        let at = |rows: &ArrayRef, row: usize| Watermark::greatest(*kind, &rows.slice(row, 1));
        let greatest = Watermark::greatest(*kind, &cursor(&rows)?);
        let watermark = if greatest > self.saved && !self.is_backfill { greatest } else { self.saved };
        let mut known: HashSet<[u8; 16]> = match &self.edge {
            None => HashSet::new(),
            Some(path) => {
                let bytes = lake.get_digested(path).await?;
                bytes.chunks_exact(16).filter_map(|digest| digest.try_into().ok()).collect()
            }
        };
        let digests = digests(&rows).map_err(broken)?;
        let mut is_new: Vec<bool> = digests.iter().map(|digest| !known.contains(digest)).collect();
        if let Some(compared) = &self.compared {
            let (column, mut is_alike) = (cursor(&rows)?, true);
            for file in &compared.files {
                let before = super::land::archived(lake, file).await?.rows;
                // What was read with other columns cannot be compared.
                match RecordBatch::try_new(rows.schema(), before.columns().to_vec()) {
                    Ok(alike) if same_names(&before, &rows) => known.extend(self::digests(&alike).map_err(broken)?),
                    _ => is_alike = false,
                }
            }
            let mut late = 0;
            for (row, is_new) in is_new.iter_mut().enumerate() {
                let at = at(&column, row);
                // What lies before the first of them was not asked for.
                *is_new &=
                    !known.contains(&digests[row]) && (at.is_none() || compared.from.is_none() || at >= compared.from);
                late += u64::from(*is_new && at.is_some() && at < compared.usual);
            }
            notes.push(compared.said(rows.num_rows(), late, is_alike));
        }
        let is_new = BooleanArray::from(is_new);
        let new = filter_record_batch(&rows, &is_new).map_err(broken)?;
        if self.is_backfill {
            // What the next window will see again was not looked for.
            return Ok(New { rows: new, notes, watermark, edge: None });
        }
        let again = Window::Since { cursor: column.clone(), watermark, lag: *lag }.lower(*kind)?;
        let edge = at_or_behind(&cursor(&rows)?, *kind, again, &digests);
        Ok(New { rows: new, notes, watermark, edge: Some(edge) })
    }
}

impl Compared {
    fn said(&self, rows: usize, late: u64, is_alike: bool) -> String {
        let windows = format!("{} windows", self.files.len());
        let from = self.from.map_or("the beginning".to_owned(), |from| from.to_string());
        if !is_alike {
            return format!("{windows} since {from} were read with other columns: what lies in them is read again");
        }
        match late {
            0 => format!("compared with {windows} since {from}: {rows} rows, none came late"),
            late => format!(
                "compared with {windows} since {from}: {rows} rows, {late} came later than the lag and are read now: raise the lag"
            ),
        }
    }
}

fn same_names(a: &RecordBatch, b: &RecordBatch) -> bool {
    a.schema_ref().fields().iter().map(|field| field.name()).eq(b
        .schema_ref()
        .fields()
        .iter()
        .map(|field| field.name()))
}

/// What a window has that the one before it had not.
pub(super) struct New {
    pub(super) rows: RecordBatch,
    /// What people should know of it.
    pub(super) notes: Vec<String>,
    pub(super) watermark: Option<Watermark>,
    /// Digests of the rows that the next window will see again.
    pub(super) edge: Option<Vec<u8>>,
}

/// A digest of each row, by its values and their types.
fn digests(rows: &RecordBatch) -> Result<Vec<[u8; 16]>, ArrowError> {
    let fields: Vec<SortField> = rows.columns().iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let schema = format!("{:?}", rows.schema_ref().fields());
    let encoded = RowConverter::new(fields)?.convert_columns(rows.columns())?;
    let one = |row: arrow::row::Row<'_>| {
        let digest = Sha256::new().chain_update(&schema).chain_update(row.as_ref()).finalize();
        std::array::from_fn(|at| digest[at])
    };
    Ok(encoded.iter().map(one).collect())
}

/// The digests of rows at or behind a point, and of those whose cursor says nothing; sorted.
fn at_or_behind(cursor: &ArrayRef, kind: CursorKind, lower: Option<Watermark>, digests: &[[u8; 16]]) -> Vec<u8> {
    let is_seen_again = |row: usize| {
        let at = Watermark::greatest(kind, &cursor.slice(row, 1));
        at.is_none() || lower.is_none() || at >= lower
    };
    let mut edge: Vec<&[u8; 16]> =
        (0..cursor.len()).filter(|row| is_seen_again(*row)).map(|row| &digests[row]).collect();
    edge.sort_unstable();
    edge.into_iter().flatten().copied().collect()
}

/// What a database says is no fault of the configuration as such: the other loads go on.
pub(super) fn of_load(problem: Problem) -> Problem {
    let class = if problem.class == Class::Config { Class::Failed } else { problem.class };
    Problem { class, ..problem }
}

/// Tries again what may get better.
async fn tried<T>(mut once: impl AsyncFnMut() -> Result<T, Problem>) -> Result<T, Problem> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match once().await {
            Err(problem) if problem.class == Class::Temporary => tokio::time::sleep(pause).await,
            done => return done,
        }
        pause *= 4;
    }
    once().await
}
