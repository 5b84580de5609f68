//! Step 1: what is there to read, and under which name the run goes.

use super::sources::{Databases, PlannedRead, edge_part};
use super::{Options, Reach};
use crate::config::{Delivery, Files, Project, Source};
use chrono::{DateTime, Datelike, SecondsFormat, SubsecRound, Utc};
use rayon::prelude::*;
use rcm_connectors::files::{sha256, sha256_of};
use rcm_connectors::lake::{Attempt, Lake, Publish, ReadFile, TableState};
use rcm_core::model::{TABLES, Table};
use rcm_core::{Class, Clock, LoadLine, LoadType, Problem};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A run, before it reads the first row.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) as_of: DateTime<Utc>,
    /// Whether the instant was given: only then dated gold tables follow it where nothing else changed.
    pub(super) as_of_is_given: bool,
    pub(crate) run_id: String,
    pub(crate) attempt: String,
    /// The number under which the run will publish.
    pub(super) publish: u64,
    pub(super) previous: Option<Publish>,
    pub(super) states: BTreeMap<&'static str, TableState>,
    pub(crate) loads: Vec<PlannedLoad<'a>>,
    /// Tables that are rebuilt from the archive.
    pub(crate) rebuilt: Vec<&'static str>,
}

/// A line of `load_config.csv` and its files, or its table.
#[derive(Debug)]
pub(crate) struct PlannedLoad<'a> {
    pub(crate) line: &'a LoadLine,
    /// Not read yet.
    pub(crate) files: Vec<PlannedFile>,
    /// Of a line that reads a database: what is to be read of its table.
    pub(crate) table: Option<PlannedRead>,
    /// Read by an earlier run and unchanged.
    pub(crate) known: usize,
    /// Why the line cannot be read.
    pub(crate) problem: Option<Problem>,
}

/// A file to read.
#[derive(Debug, Clone)]
pub(crate) struct PlannedFile {
    /// Relative to its source's root, with `/`.
    pub(crate) name: String,
    pub(super) path: PathBuf,
    pub(super) sha256: String,
    /// Third sequence of its rows.
    pub(super) place: u64,
}

impl PlannedLoad<'_> {
    /// Whether there is something to read; of a database that is known when it was read.
    pub(crate) fn has_something(&self) -> bool {
        self.problem.is_none() && (!self.files.is_empty() || self.table.is_some())
    }
}

impl<'a> Plan<'a> {
    /// Lines with something to read.
    pub(super) fn to_read(&self) -> impl Iterator<Item = &PlannedLoad<'a>> {
        self.loads.iter().filter(|l| l.has_something())
    }

    /// Silver tables that this run touches: those of loads that read something, those to rebuild, and in a new lake all.
    pub(super) fn tables(&self, has_read: impl Fn(&PlannedLoad<'_>) -> bool) -> Vec<&'static Table> {
        let touched = |t: &&Table| {
            self.at("silver", t.name).is_none()
                || self.rebuilt.contains(&t.name)
                || self.to_read().any(|l| l.line.table == t.name && has_read(l))
        };
        TABLES.iter().filter(touched).collect()
    }

    /// Where a table stood at the last publish.
    pub(super) fn at(&self, layer: &str, table: &str) -> Option<&rcm_connectors::lake::TableAt> {
        self.previous.as_ref()?.tables.get(&format!("{layer}/{table}"))
    }

    /// What the attempt leaves before it writes.
    pub(super) fn begins(&self, now: DateTime<Utc>) -> Attempt {
        let (attempt, run_id) = (self.attempt.clone(), self.run_id.clone());
        Attempt { attempt, run_id, as_of: self.as_of.timestamp_micros(), started_at: now.timestamp_micros() }
    }

    /// Whether another run took the number.
    pub(super) async fn is_lost(&self, lake: &Lake) -> bool {
        lake.is_taken(self.publish, &self.attempt).await
    }

    /// The run's instant as text.
    pub(super) fn as_of_text(&self) -> String {
        text(self.as_of)
    }

    /// A line that is configured wrongly is no failure of a delivery: then nothing is published.
    pub(super) fn refuse_wrong_lines(&self) -> Result<(), Problem> {
        let wrong = self.loads.iter().filter_map(|l| l.problem.as_ref()).find(|p| p.class == Class::Config);
        wrong.map_or(Ok(()), |p| Err(p.clone()))
    }

    /// A full load says what is there *at* an instant; two that differ cannot both be true at one.
    pub(super) fn refuse_late(&self) -> Result<(), Problem> {
        let is_table = |load: &PlannedLoad<'_>| load.table.is_some();
        for load in self.to_read().filter(|l| l.line.load_type == LoadType::Full || is_table(l)) {
            let Some(last) = self.states.get(load.line.table).and_then(|s| s.last(&load.line.name())) else { continue };
            // Of a window another one at the same instant is as good.
            let may_be_equal = is_table(load) && load.line.load_type == LoadType::Incremental;
            if instant(&last.as_of).is_some_and(|last| last > self.as_of || last == self.as_of && !may_be_equal) {
                let what = match load.table {
                    Some(_) => "the table was read as of",
                    None => "the file differs from the one loaded as of",
                };
                let what = format!("{what} {}, and this run's as_of is {}: not later", last.as_of, self.as_of_text());
                return Err(Problem::new(Class::Gate, load.line.name(), what)
                    .hint("run with a later --as-of, or leave the load out"));
            }
        }
        Ok(())
    }
}

/// An instant as records and messages hold it.
pub(crate) fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// An instant out of a record.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    text.parse().ok()
}

pub(super) async fn make<'a>(
    project: &Project,
    options: &Options,
    lines: &[&'a LoadLine],
    lake: Option<&Lake>,
    pool: &rayon::ThreadPool,
    clock: &dyn Clock,
) -> Result<Plan<'a>, Problem> {
    let as_of = options.as_of.unwrap_or_else(|| clock.now()).trunc_subsecs(6);
    if !(1900..=9999).contains(&as_of.year()) {
        return Err(Problem::new(Class::Config, "--as-of", "lies outside the years 1900 to 9999"));
    }
    let previous = match lake {
        Some(lake) => lake.newest().await?,
        None => None,
    };
    let mut states = BTreeMap::new();
    for table in TABLES {
        let part = previous.as_ref().and_then(|p| p.tables.get(&format!("silver/{}", table.name))?.state.get("state"));
        if let (Some(lake), Some(part)) = (lake, part) {
            states.insert(table.name, lake.table_state(part).await?);
        }
    }
    let stands = |table: &str| previous.as_ref().is_some_and(|p| p.tables.contains_key(&format!("silver/{table}")));
    let rebuilt: Vec<&'static str> = TABLES
        .iter()
        .map(|t| t.name)
        .filter(|t| options.full_refresh && stands(t) && lines.iter().any(|l| l.table == *t))
        .collect();
    for line in lines {
        refuse_other_load_type(line, states.get(line.table), rebuilt.contains(&line.table))?;
    }

    let has_windows = |line: &&LoadLine| {
        line.load_type == LoadType::Incremental && project.sources.get(&line.source).is_some_and(Source::has_tables)
    };
    if options.reach != Reach::New && options.full_refresh {
        let what = "stands beside --full-refresh, which reads all";
        return Err(Problem::new(Class::Config, "--reconcile, --from", what).hint("leave one of the two out"));
    }
    if options.reach != Reach::New && !lines.iter().any(has_windows) {
        let what = "no line that is selected is an incremental table of a database: there are no windows";
        return Err(
            Problem::new(Class::Config, "--reconcile, --from", what).hint("select such a line, or leave it out")
        );
    }
    let as_of_text = text(as_of);
    let load = |line: &&'a LoadLine| {
        let nothing = PlannedLoad { line, files: Vec::new(), table: None, known: 0, problem: None };
        match project.sources.get(&line.source) {
            Some(Source::Files(source)) => match files(source, line, states.get(line.table), &as_of_text) {
                Ok((files, known)) => PlannedLoad { files, known, ..nothing },
                Err(problem) => PlannedLoad { problem: Some(problem), ..nothing },
            },
            Some(_) => nothing,
            None => {
                let what = format!("source `{}` is not configured", line.source);
                PlannedLoad { problem: Some(Problem::new(Class::Config, line.name(), what)), ..nothing }
            }
        }
    };
    let mut loads: Vec<PlannedLoad<'a>> = pool.install(|| lines.par_iter().map(load).collect());
    let mut databases = Databases::at(clock.now(), options);
    for load in &mut loads {
        let (line, state) = (load.line, states.get(load.line.table));
        let stands = previous.as_ref().and_then(|p| p.tables.get(&format!("silver/{}", line.table)));
        let edge = stands.and_then(|at| at.state.get(&edge_part(&line.name())));
        let is_rebuilt = rebuilt.contains(&line.table);
        let is_read_then =
            |last: &ReadFile| last.as_of == as_of_text && last.source == line.source && last.file == line.source_table;
        // The run is tried again.
        if line.load_type == LoadType::Full && state.and_then(|s| s.last(&line.name())).is_some_and(is_read_then) {
            load.known = 1;
            continue;
        }
        match databases.plan(project, line, state, edge, is_rebuilt, &as_of_text).await {
            None => {}
            Some(Ok(table)) => load.table = Some(table),
            Some(Err(problem)) => load.problem = Some(problem),
        }
    }

    // The name is known before the first byte is written, and says what the run was told and what it read.
    let mut name = format!("{as_of_text}\n{}\n", project.digest);
    for load in &loads {
        for file in &load.files {
            name += &format!("{} {} {}\n", load.line.name(), file.name, file.sha256);
        }
        if let Some(table) = &load.table {
            name += &format!("{} {} {}\n", load.line.name(), load.line.source_table, table.said());
        }
    }
    for table in &rebuilt {
        name += &format!("rebuild {table}\n");
    }
    let publish = previous.as_ref().map_or(0, |p| p.publish) + 1;
    Ok(Plan {
        as_of,
        as_of_is_given: options.as_of.is_some(),
        run_id: sha256(name.as_bytes())[..16].to_owned(),
        attempt: rcm_connectors::lake::new_attempt(publish),
        publish,
        previous,
        states,
        loads,
        rebuilt,
    })
}

fn refuse_other_load_type(line: &LoadLine, state: Option<&TableState>, is_rebuilt: bool) -> Result<(), Problem> {
    match state {
        Some(s) if !is_rebuilt && !s.load_type.is_empty() && s.load_type != line.load_type.to_string() => {
            let what = format!("is {} now, its history was built by {} loads", line.load_type, s.load_type);
            Err(Problem::new(Class::Config, format!("load_config.csv:{}: {}", line.line, line.name()), what)
                .hint(format!("change it back, or rebuild with `rcm run --full-refresh --select {}`", line.table)))
        }
        _ => Ok(()),
    }
}

/// The files of a line that are still to be read, and how many are known.
fn files(
    source: &Files,
    line: &LoadLine,
    state: Option<&TableState>,
    as_of: &str,
) -> Result<(Vec<PlannedFile>, usize), Problem> {
    let name = line.name();
    let pattern = line
        .files
        .as_deref()
        .unwrap_or(&source.files)
        .replace("{database}", &line.source)
        .replace("{datasource}", &line.hospital)
        .replace("{table}", line.bronze_table())
        .replace("{targetpath}", &line.target_path);
    let found = matching(&source.path, &pattern, &name)?;
    if source.delivery == Delivery::File && found.len() != 1 {
        let what = match found.len() {
            0 => format!("no file `{pattern}` in {}, expected one", source.path.display()),
            n => format!("{n} files match `{pattern}` in {}, expected one", source.path.display()),
        };
        return Err(Problem::new(Class::Failed, name, what)
            .hint("deliver one file, or declare the source with delivery = \"drops\""));
    }

    let (mut files, mut known) = (Vec::new(), 0);
    let mut place = state.map_or(0, |s| s.files.iter().filter(|f| f.load == name && f.as_of == as_of).count() as u64);
    for (file, path) in found {
        let sha256 = sha256_of(&path, &format!("{name}: {file}"))?;
        let is_known = state.is_some_and(|s| match source.delivery {
            Delivery::Drops => s.has(&name, &file, &sha256),
            // A file that went back to an older content is a new delivery: only the last one counts.
            Delivery::File => s.last(&name).is_some_and(|last| last.sha256 == sha256),
        });
        if is_known {
            known += 1;
        } else {
            files.push(PlannedFile { name: file, path, sha256, place });
            place += 1;
        }
    }
    Ok((files, known))
}

/// Files below a root that match a pattern, by name.
fn matching(root: &Path, pattern: &str, load: &str) -> Result<Vec<(String, PathBuf)>, Problem> {
    if !root.is_dir() {
        return Err(Problem::new(Class::Failed, load, format!("folder {} does not exist", root.display()))
            .hint("correct the source's path in rcm.toml, or wait for the delivery"));
    }
    // Absolute and plain, so that a file's name below it does not depend on how the folder was called.
    let root = &root.canonicalize().map_err(|e| Problem::storage(load, e))?;
    let whole = format!("{}/{pattern}", glob::Pattern::escape(&root.to_string_lossy()));
    let paths = glob::glob(&whole)
        .map_err(|e| Problem::new(Class::Config, load, format!("files `{pattern}` is no pattern: {}", e.msg)))?;
    let mut found = Vec::new();
    for path in paths {
        let path = path.map_err(|e| Problem::storage(load, e.error()))?;
        if path.is_file() {
            let relative = path.strip_prefix(root).map_err(|e| Problem::storage(load, e))?;
            let parts: Vec<_> = relative.components().map(|c| c.as_os_str().to_string_lossy()).collect();
            found.push((parts.join("/"), path));
        }
    }
    found.sort();
    Ok(found)
}
