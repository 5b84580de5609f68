//! Steps 1 and 2 for tables of databases and services: what is to be read is fixed when the run is planned, and read when it lands.
//!
//! Every database is seen at one instant, all its tables together. A window begins below the watermark: rows that were read
//! before come again. Those that are as they were then are left out, by a digest of each row at the edge of the window
//! before; so a window in which nothing is new lands nothing.

mod compared;
mod edge;
mod tried;

use super::presence::Keys;
use super::{Options, Reach};
use crate::config::{Project, Source as Configured};
use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::error::ArrowError;
use chrono::{DateTime, TimeDelta, Utc};
use compared::Compared;
use edge::{Digest16, at_or_behind, digests};
use rcm_connectors::cpt::Hcpcs;
use rcm_connectors::icd::{OrderFiles, Who};
use rcm_connectors::kept::Kept;
use rcm_connectors::lake::{Lake, Presence, ReadFile, TableState};
use rcm_connectors::npi::Registry;
use rcm_connectors::postgres::Postgres;
use rcm_connectors::sqlserver::SqlServer;
use rcm_core::{Class, CursorKind, Lag, LoadLine, LoadType, Problem, Reading, Source, Wanted, Watermark, Window};
use rcm_transforms::mapping::ColumnMapping;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
pub(super) use tried::Tried;
use tried::{TRIES, tried};

/// How far below the watermark a table is read again by default.
const LAG: TimeDelta = TimeDelta::hours(1);
const STEPS: u64 = 10_000;

/// What is to be read of a table.
pub(crate) struct PlannedRead {
    source: Tried,
    /// Gone when it was read: a snapshot is no longer held than it must.
    reading: Mutex<Option<Box<dyn Reading>>>,
    /// The same of all keys of the table, where those that are absent are gone.
    keys: Mutex<Option<Keys>>,
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
    /// Whether a part is read again, all of it, and the watermark stays where it is.
    is_backfill: bool,
    /// What the table's name stands for at its source, where that is not the name itself.
    pub(super) question: Option<String>,
    /// Third sequence of its rows.
    pub(super) place: u64,
}

impl fmt::Debug for PlannedRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedRead").field("cursor", &self.cursor).field("saved", &self.saved).finish_non_exhaustive()
    }
}

/// The name of the state part that holds the edge of a load's last window.
pub(super) fn edge_part(load: &str) -> String {
    format!("edge/{load}")
}

/// The databases of a run, each at one instant.
pub(super) struct Databases<'a> {
    now: DateTime<Utc>,
    reach: &'a Reach,
    /// What is compared or read again must come from the source itself.
    with_copies: bool,
    known: BTreeMap<String, Result<Tried, Problem>>,
}

impl<'a> Databases<'a> {
    pub(super) fn at(now: DateTime<Utc>, options: &'a Options) -> Databases<'a> {
        let with_copies = options.reach == Reach::New && !options.full_refresh;
        Databases { now, reach: &options.reach, with_copies, known: BTreeMap::new() }
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
            let database =
                tried(TRIES, async || connected(project, &line.source, self.now, self.with_copies).await).await;
            self.known.insert(line.source.clone(), database);
        }
        let name = line.name();
        let placed = |problem: &Problem| {
            let place = format!("{name}: {}", problem.place);
            Problem { place, ..problem.clone() }
        };
        match &self.known[&line.source] {
            Ok(database) => {
                let key = project.mapping(&line.hospital, line.table).and_then(|(mapping, _)| {
                    let key = rcm_core::model::table(line.table)?.key().name;
                    // What silver will hold is not known where it is rebuilt; a part of a table says nothing of the rest.
                    let is_asked = line.deletes_by_keys && !is_rebuilt && !matches!(self.reach, Reach::Between(..));
                    mapping.columns.get(key).filter(|_| is_asked)
                });
                let (question, key) = (source.question(&line.source_table), key.map(ColumnMapping::from));
                let asked = Asked { line, question, key, is_rebuilt, reach: self.reach };
                let planned = PlannedRead::open(database, asked, state, edge, as_of).await;
                Some(planned.map_err(|problem| placed(&problem)))
            }
            Err(problem) => Some(Err(of_load(placed(problem)))),
        }
    }
}

/// A database, or a service, as it is now, by its secrets as they are now; with copies, which answer for services that are away,
/// or as it is itself.
pub(crate) async fn connected(
    project: &Project,
    name: &str,
    clock: DateTime<Utc>,
    with_copies: bool,
) -> Result<Tried, Problem> {
    let kept = |service: Arc<dyn Source>, copies: &Option<PathBuf>, of: String| {
        let folder = copies.as_ref().filter(|_| with_copies);
        Tried::once(folder.map_or(service.clone(), |folder| Arc::new(Kept::new(service, folder, of))))
    };
    Ok(match project.source(name).await? {
        Configured::Postgres(options) => Tried::again(Arc::new(Postgres::new(*options).at_one_instant().await?)),
        Configured::SqlServer(options) => Tried::again(Arc::new(SqlServer::new(*options).at_one_instant().await?)),
        Configured::Npi(options, copies) => {
            let of = format!("{} {:?}", options.url, options.tables);
            kept(Arc::new(Registry::new(*options, clock)?), &copies, of)
        }
        Configured::IcdFiles(folder) => Tried::once(Arc::new(OrderFiles::new(folder))),
        Configured::Hcpcs(file) => Tried::once(Arc::new(Hcpcs::new(file))),
        Configured::IcdApi(options, copies) => {
            let of = options.url.clone();
            let who = match copies.as_ref().filter(|_| with_copies) {
                Some(folder) => Who::resuming(*options, folder, clock)?,
                None => Who::new(*options)?,
            };
            kept(Arc::new(who), &copies, of)
        }
        Configured::Files(files) => return Err(Problem::storage(files.path.display().to_string(), "is no database")),
    })
}

/// What is to be read of a table, as the line and the run say it.
struct Asked<'a> {
    line: &'a LoadLine,
    /// What the table's name stands for, where that is not the name itself.
    question: Option<&'a str>,
    /// The column of its key, where all keys are read.
    key: Option<&'a str>,
    is_rebuilt: bool,
    reach: &'a Reach,
}

impl PlannedRead {
    async fn open(
        source: &Tried,
        Asked { line, question, key, is_rebuilt, reach }: Asked<'_>,
        state: Option<&TableState>,
        edge: Option<&String>,
        as_of: &str,
    ) -> Result<PlannedRead, Problem> {
        let name = line.name();
        // What was read of another table, or by another column, says nothing of this one. A rebuild reads all of it again, and
        // finds what came later than the lag.
        let is_same = |before: &&ReadFile| {
            let is_table = before.source == line.source && before.file == line.source_table;
            let is_question = before.question.as_deref() == question;
            is_table && is_question && before.cursor.as_ref() == Some(&line.watermark) && !is_rebuilt
        };
        let before = state.and_then(|state| state.last(&name)).filter(is_same);
        let place = state.map_or(0, |s| s.files.iter().filter(|f| f.load == name && f.as_of == as_of).count() as u64);
        let saved = before.and_then(|before| before.watermark);
        let edge = edge.filter(|_| saved.is_some());
        let windows: Vec<&ReadFile> = state.map_or(Vec::new(), |state| {
            let files = state.files.iter().filter(|file| file.load == name && file.presence == Presence::Rows);
            files.filter(is_same).collect()
        });
        let mut cursor = None;
        if line.load_type == LoadType::Incremental {
            let described = source.describe(&line.source_table).await.map_err(of_load)?;
            let kind = described.cursor(&line.watermark).ok_or_else(|| {
                let what = format!("watermark `{}` is no column that tells what is new", line.watermark);
                Problem::new(Class::Failed, &line.source_table, what)
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
                let (from, to) = between(&line.source_table, *kind, from, to)?;
                Window::Between { cursor: cursor.clone(), from, to }
            }
            (Some((cursor, kind, lag)), Reach::Reconcile(count)) if saved.is_some() => {
                let usual = Window::Since { cursor: cursor.clone(), watermark: saved, lag: *lag };
                let windows = Compared::of(&windows, *count, usual.lower(*kind).map_err(of_load)?);
                let window = Window::Since { cursor: cursor.clone(), watermark: windows.from, lag: Lag::Steps(0) };
                compared = Some(windows);
                window
            }
            (Some((cursor, _, lag)), _) => Window::Since { cursor: cursor.clone(), watermark: saved, lag: *lag },
        };
        let wanted = Wanted { table: line.source_table.clone(), columns: Vec::new(), window };
        let reading = source.open(&wanted).await.map_err(of_load)?;
        let mut keys = None;
        if let Some(key) = key {
            let all = Wanted { columns: vec![key.to_owned()], window: Window::Whole, ..wanted };
            let mut readings = vec![source.open(&all).await.map_err(of_load)?];
            if !readings[0].is_snapshot() {
                readings.push(source.open(&all).await.map_err(of_load)?);
            }
            keys = Some(Keys { readings, source: source.clone(), all: Wanted { columns: Vec::new(), ..all } });
        }
        Ok(PlannedRead {
            source: source.clone(),
            keys: Mutex::new(keys),
            columns: reading.schema().fields().iter().map(|field| field.name().clone()).collect(),
            is_torn: !reading.is_snapshot(),
            bounds: reading.bounds(),
            reading: Mutex::new(Some(reading)),
            cursor,
            saved,
            edge: edge.cloned(),
            compared,
            is_backfill,
            question: question.map(str::to_owned),
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
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Reads all keys, where those that are absent are gone; once.
    pub(super) fn keys(&self) -> Option<Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).take()
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
        let batches = self.source.all(reading).await?;
        let broken = |e: ArrowError| Problem::storage(line.name(), e);
        let rows = concat_batches(reading.schema(), &batches).map_err(broken)?;
        let mut notes = reading.notes();
        let Some((column, kind, lag)) = &self.cursor else {
            return Ok(New { rows, notes, watermark: None, edge: None });
        };
        let cursor = rows.column_by_name(column).cloned();
        let cursor = cursor.ok_or_else(|| broken(ArrowError::SchemaError("its cursor is gone".to_owned())))?;
        if self.is_backfill {
            // All of its part, as it is now: what was read at the edge before may be older, and the next window reads it anew.
            return Ok(New { rows, notes, watermark: self.saved, edge: Some(Vec::new()) });
        }
        let greatest = Watermark::greatest(*kind, &cursor);
        let watermark = if greatest > self.saved { greatest } else { self.saved };
        let known: HashSet<Digest16> = match &self.edge {
            None => HashSet::new(),
            Some(path) => {
                let bytes = lake.get_digested(path).await?;
                bytes.chunks_exact(16).filter_map(|digest| digest.try_into().ok()).collect()
            }
        };
        let digests = digests(&rows).map_err(broken)?;
        let mut is_new: Vec<bool> = digests.iter().map(|digest| !known.contains(digest)).collect();
        if let Some(compared) = &self.compared {
            let at =
                (0..rows.num_rows()).map(|row| Watermark::greatest(*kind, &cursor.slice(row, 1))).collect::<Vec<_>>();
            notes.push(compared.mark(&rows, &digests, &at, &mut is_new, lake).await?);
        }
        let new = filter_record_batch(&rows, &BooleanArray::from(is_new)).map_err(broken)?;
        let again = Window::Since { cursor: column.clone(), watermark, lag: *lag }.lower(*kind)?;
        let edge = at_or_behind(&cursor, *kind, again, &digests);
        Ok(New { rows: new, notes, watermark, edge: Some(edge) })
    }
}

/// The points of `--from` and `--to`. A wrong one is wrong for the whole run.
fn between(table: &str, kind: CursorKind, from: &str, to: &str) -> Result<(Watermark, Watermark), Problem> {
    let wrong = |what: String| {
        let problem = Problem::new(Class::Config, table, what);
        problem.hint("write 2026-06-28, 2026-06-28T12:00:00, the same with Z, or a number, as the watermark is")
    };
    let point = |key: &str, text: &str| {
        Watermark::parse(kind, text).ok_or_else(|| wrong(format!("{key} is no {kind}, as the watermark is")))
    };
    let (from, to) = (point("--from", from)?, point("--to", to)?);
    match from < to {
        true => Ok((from, to)),
        false => Err(wrong("--from is not before --to: nothing lies between".to_owned())),
    }
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

/// What a database says is no fault of the configuration as such: the other loads go on.
pub(super) fn of_load(problem: Problem) -> Problem {
    let class = if problem.class == Class::Config { Class::Failed } else { problem.class };
    Problem { class, ..problem }
}
