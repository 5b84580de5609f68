//! A case of the conformance corpus, read as its README says. What is unknown here is an error that names it: a case
//! that is read only in part would pass for the wrong reason.

mod kind;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) use kind::Kind;
use kind::instant;
use rcm_scd2::{Detect, InitialValidFrom, Late, Rule};
use serde_json::{Map, Value};

/// A row as it is written: column to value. Null and a column that is not there are two things (in loads).
pub(crate) type Row = Map<String, Value>;

pub(crate) struct Case {
    pub(crate) feed: bool,
    pub(crate) keys: Vec<String>,
    pub(crate) sequence: Vec<String>,
    pub(crate) detect: Detect,
    pub(crate) deletes: Deletes,
    pub(crate) scope: Vec<String>,
    pub(crate) ignore_nulls: Nulls,
    pub(crate) null_keys_as_value: bool,
    pub(crate) quarantine: bool,
    pub(crate) late: Late,
    pub(crate) initial: InitialValidFrom,
    pub(crate) open_valid_to: Option<i64>,
    /// Every column that a load has, or the configuration names.
    pub(crate) columns: BTreeMap<String, Kind>,
    pub(crate) loads: Vec<Load>,
    /// What the table should be after the load of this number (from 1).
    pub(crate) wanted: BTreeMap<usize, Wanted>,
    tracked: Option<Vec<String>>,
    type1: Vec<String>,
    untracked: Rule,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Deletes {
    Ignore,
    Invalidate,
    NewRecord,
    When { column: String, equals: Value },
}

pub(crate) enum Nulls {
    Count,
    Ignore,
    IgnoreIn(Vec<String>),
}

pub(crate) struct Load {
    pub(crate) as_of: i64,
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Wanted {
    pub(crate) rejected: bool,
    pub(crate) rows: Vec<Row>,
}

/// The case files of a folder, by name.
pub(crate) fn files(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
    let mut files: Vec<_> =
        paths.map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path)).collect();
    files.sort();
    files
}

impl Case {
    pub(crate) fn read(path: &Path) -> Result<Case, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let json: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let config = json["config"].as_object().ok_or("no config")?;
        let feed = match json["mode"].as_str() {
            Some("change_feed") => true,
            Some("snapshot") => false,
            _ => return Err(format!("unknown mode {}", json["mode"])),
        };
        let loads: Vec<Load> = list(&json["loads"]).iter().map(load).collect::<Result<_, _>>()?;
        let answer = match json["conforms"].as_bool() {
            Some(true) => &json["expected"],
            Some(false) => &json["ours"],
            None => return Err("`conforms` is missing".to_owned()),
        };
        let mut case = Case {
            feed,
            keys: Vec::new(),
            sequence: Vec::new(),
            detect: Detect::Values,
            deletes: Deletes::Ignore,
            scope: Vec::new(),
            ignore_nulls: Nulls::Count,
            null_keys_as_value: false,
            quarantine: false,
            late: Late::Error,
            initial: InitialValidFrom::Natural,
            open_valid_to: None,
            columns: BTreeMap::new(),
            loads,
            wanted: list(answer).iter().map(wanted).collect::<Result<_, _>>()?,
            tracked: None,
            type1: Vec::new(),
            untracked: Rule::LatestInRun,
        };
        case.configure(config)?;
        case.name_columns(&json["column_types"])?;
        Ok(case)
    }

    fn configure(&mut self, config: &Map<String, Value>) -> Result<(), String> {
        for required in ["keys", "tracked", "sequence_by", "deletes", "valid_to_current", "type1"] {
            config.get(required).ok_or_else(|| format!("config: `{required}` is missing"))?;
        }
        let mut detection = None;
        for (option, value) in config {
            let unknown = || format!("config: unknown value {value} of `{option}`");
            let word = value.as_str();
            match (option.as_str(), word) {
                ("keys", _) => self.keys = names(value).ok_or_else(unknown)?,
                ("tracked", _) if value.is_null() => self.tracked = None,
                ("tracked", _) => self.tracked = Some(names(value).ok_or_else(unknown)?),
                ("type1", _) => self.type1 = names(value).ok_or_else(unknown)?,
                ("absence_scope" | "sequence_by", _) if value.is_null() => {}
                ("absence_scope", _) => self.scope = names(value).ok_or_else(unknown)?,
                ("sequence_by", Some(column)) => self.sequence = vec![column.to_owned()],
                ("sequence_by", None) => self.sequence = names(value).ok_or_else(unknown)?,
                ("deletes", _) => self.deletes = deletes(value).ok_or_else(unknown)?,
                ("valid_to_current", _) if value.is_null() => self.open_valid_to = None,
                ("valid_to_current", Some(text)) => self.open_valid_to = Some(instant(text).ok_or_else(unknown)?),
                ("ignore_null_updates", _) => self.ignore_nulls = nulls(value).ok_or_else(unknown)?,
                ("change_detection", Some("values")) => detection = Some(Detect::Values),
                ("change_detection", Some("sequence")) => detection = Some(Detect::Sequence),
                ("untracked", Some("overwrite")) => self.untracked = Rule::LatestInRun,
                ("untracked", Some("keep")) => self.untracked = Rule::Keep,
                ("initial_valid_from", Some("natural")) => self.initial = InitialValidFrom::Natural,
                ("initial_valid_from", Some("epoch")) => self.initial = InitialValidFrom::Epoch,
                ("initial_valid_from", Some("epoch_first_load")) => self.initial = InitialValidFrom::EpochFirstLoad,
                ("null_keys", Some("as_value")) => self.null_keys_as_value = true,
                ("null_keys" | "null_sequence" | "duplicates", Some("error")) => {}
                // One policy for all bad rows: no case asks for one of each.
                ("null_keys" | "null_sequence" | "duplicates", Some("quarantine")) => self.quarantine = true,
                ("late_snapshot", Some("error")) => self.late = Late::Error,
                ("late_snapshot", Some("skip")) => self.late = Late::Skip,
                ("late_snapshot", Some("splice")) => self.late = Late::Apply,
                (
                    "valid_to_current" | "change_detection" | "untracked" | "initial_valid_from" | "null_keys"
                    | "null_sequence" | "duplicates" | "late_snapshot",
                    _,
                ) => return Err(unknown()),
                _ => return Err(format!("config: unknown key `{option}`")),
            }
        }
        let by_default = if self.sequence.is_empty() { Detect::Values } else { Detect::Sequence };
        self.detect = detection.unwrap_or(by_default);
        match () {
            () if self.feed && self.sequence.is_empty() => {
                Err("config: a change feed without `sequence_by`".to_owned())
            }
            () if !self.feed && self.sequence.len() > 1 => Err("config: a snapshot with several sequences".to_owned()),
            () if !self.feed && !matches!(self.ignore_nulls, Nulls::Count) => {
                Err("config: `ignore_null_updates` in a snapshot".to_owned())
            }
            () if self.sequence.is_empty() && self.detect == Detect::Sequence => {
                Err("config: `change_detection` by a sequence that is not there".to_owned())
            }
            () if self.feed && matches!(self.deletes, Deletes::Invalidate | Deletes::NewRecord) => {
                Err("config: `deletes` by absence in a change feed".to_owned())
            }
            () => Ok(()),
        }
    }

    fn name_columns(&mut self, types: &Value) -> Result<(), String> {
        let rows = || self.loads.iter().flat_map(|load| &load.rows);
        let named = self.keys.iter().chain(self.tracked.iter().flatten()).chain(&self.type1).chain(&self.sequence);
        let mut columns: Vec<String> = rows().flat_map(|row| row.keys().cloned()).chain(named.cloned()).collect();
        if let Deletes::When { column, .. } = &self.deletes {
            columns.push(column.clone());
        }
        for column in columns {
            let kind = match types.get(&column).and_then(Value::as_str) {
                Some(sql) => Kind::of_sql(sql)?,
                None if rows().any(|row| row.get(&column).is_some_and(|value| !value.is_null())) => {
                    Kind::of_values(rows().filter_map(|row| row.get(&column)))?
                }
                None if self.sequence.contains(&column) => Kind::Time,
                None => Kind::Text,
            };
            self.columns.insert(column, kind);
        }
        Ok(())
    }

    /// The columns that are neither keys nor sequences nor the delete flag, each with what its change means.
    pub(crate) fn rules(&self) -> Vec<(&str, Rule)> {
        let stored = self.columns.keys().filter(|name| !self.keys.contains(name) && !self.is_control(name));
        let rule = |name: &String| match &self.tracked {
            _ if self.type1.contains(name) => Rule::AllVersions,
            Some(tracked) if !tracked.contains(name) => self.untracked,
            _ => Rule::Track,
        };
        stored.map(|name| (name.as_str(), rule(name))).collect()
    }

    /// Sequences and the delete flag. A snapshot's sequence is stored, but has no rule.
    pub(crate) fn is_control(&self, column: &str) -> bool {
        let flags = matches!(&self.deletes, Deletes::When { column: flag, .. } if flag == column);
        flags || self.sequence.iter().any(|name| name == column)
    }

    /// Whether `expected` shows the column.
    pub(crate) fn is_shown(&self, column: &str) -> bool {
        !self.is_control(column) || !self.feed && self.sequence.iter().any(|name| name == column)
    }

    /// The rows of an answer, comparable: nulls left out, cells as canonical text, sorted.
    pub(crate) fn comparable(&self, rows: &[Row]) -> Result<Vec<BTreeMap<String, String>>, String> {
        let mut comparable = Vec::new();
        for row in rows {
            let mut cells = BTreeMap::new();
            for (column, value) in row.iter().filter(|(column, _)| self.is_shown(column)) {
                let kind = match column.as_str() {
                    "valid_from" | "valid_to" => Kind::Time,
                    "is_current" | "is_deleted" => Kind::Bool,
                    _ => *self.columns.get(column).ok_or_else(|| format!("answer: unknown column `{column}`"))?,
                };
                if let Some(cell) = kind.canonical(value)? {
                    cells.insert(column.clone(), cell);
                }
            }
            comparable.push(cells);
        }
        comparable.sort();
        Ok(comparable)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn names(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

fn rows(value: &Value) -> Result<Vec<Row>, String> {
    let row = |value: &Value| value.as_object().cloned().ok_or_else(|| format!("not a row: {value}"));
    list(value).iter().map(row).collect()
}

fn load(value: &Value) -> Result<Load, String> {
    let as_of = value["as_of"].as_str().and_then(instant).ok_or("a load without `as_of`")?;
    Ok(Load { as_of, rows: rows(&value["rows"])? })
}

fn wanted(value: &Value) -> Result<(usize, Wanted), String> {
    let after = value["after_load"].as_u64().ok_or("an answer without `after_load`")? as usize;
    Ok((after, Wanted { rejected: value.get("error").is_some(), rows: rows(&value["rows"])? }))
}

fn deletes(value: &Value) -> Option<Deletes> {
    match value.as_str() {
        Some("ignore") => Some(Deletes::Ignore),
        Some("invalidate") => Some(Deletes::Invalidate),
        Some("new_record") => Some(Deletes::NewRecord),
        Some(_) => None,
        None => {
            let when = value.get("delete_when").filter(|_| value.as_object().is_some_and(|keys| keys.len() == 1))?;
            Some(Deletes::When { column: when["column"].as_str()?.to_owned(), equals: when.get("equals")?.clone() })
        }
    }
}

fn nulls(value: &Value) -> Option<Nulls> {
    match value.as_bool() {
        Some(true) => Some(Nulls::Ignore),
        Some(false) => Some(Nulls::Count),
        None => names(value).map(Nulls::IgnoreIn),
    }
}
