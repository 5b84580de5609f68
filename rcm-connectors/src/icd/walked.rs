//! What a walk has found, in a file, until the walk is whole: one that breaks is not begun anew.
//!
//! A line is an entity behind a digest of it. Each is written as soon as it is found; what was torn when a process died, or is
//! damaged, is asked for again.

use super::who::path_of;
use crate::files::sha256;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rcm_core::Problem;
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// How long after its last word a walk may go on: a release hardly ever changes, and what is no longer so is seen by the next walk.
const AGE: TimeDelta = TimeDelta::days(1);

/// Hex digits of a digest.
const DIGITS: usize = 32;

#[derive(Debug)]
pub(super) struct Walked {
    file: PathBuf,
    /// Entities by their paths, as JSON; one that was taken is no longer here.
    known: HashMap<String, String>,
    log: Option<File>,
    /// Whether something could not be kept: then nothing more is.
    failed: bool,
    notes: Vec<String>,
}

impl Walked {
    /// What is known of a walk of something, such as a release at an address.
    pub(super) fn of(folder: &Path, of: &str, now: DateTime<Utc>) -> Walked {
        let file = folder.join(format!("{}.walk", &sha256(of.as_bytes())[..DIGITS]));
        let mut walked = Walked { file, known: HashMap::new(), log: None, failed: false, notes: Vec::new() };
        let changed = std::fs::metadata(&walked.file).and_then(|about| about.modified());
        let Some(changed) = changed.map(DateTime::<Utc>::from).ok().filter(|changed| now - *changed < AGE) else {
            // Of another day, or none.
            let _ = std::fs::remove_file(&walked.file);
            return walked;
        };
        let bytes = std::fs::read(&walked.file).unwrap_or_default();
        walked.known = bytes.split(|byte| *byte == b'\n').filter_map(entity).collect();
        if !walked.known.is_empty() {
            let changed = changed.to_rfc3339_opts(SecondsFormat::Secs, true);
            let many = walked.known.len();
            walked.notes.push(format!("{many} entities are those of a walk that did not end, until {changed}"));
        }
        walked
    }

    /// The entity at a path, if it was found before; once.
    pub(super) fn take(&mut self, path: &str) -> Option<Value> {
        serde_json::from_str(&self.known.remove(path)?).ok()
    }

    /// Keeps an entity. Where that fails the walk goes on without, and people are told.
    pub(super) fn keep(&mut self, entity: &Value) {
        if self.failed {
            return;
        }
        let text = entity.to_string();
        let line = format!("{} {text}\n", &sha256(text.as_bytes())[..DIGITS]);
        if let Err(e) = self.append(line.as_bytes()) {
            self.failed = true;
            let problem = Problem::storage(self.file.display().to_string(), e);
            self.notes.push(format!("what was walked could not be kept, so a walk that breaks begins anew: {problem}"));
        }
    }

    fn append(&mut self, line: &[u8]) -> std::io::Result<()> {
        let log = match &mut self.log {
            Some(log) => log,
            none => {
                std::fs::create_dir_all(self.file.parent().unwrap_or(Path::new(".")))?;
                let mut log = OpenOptions::new().append(true).create(true).open(&self.file)?;
                // What is torn there ends here.
                log.write_all(b"\n")?;
                none.insert(log)
            }
        };
        log.write_all(line)
    }

    /// The walk is whole: the next one asks for all.
    pub(super) fn end(&mut self) {
        self.log = None;
        let _ = std::fs::remove_file(&self.file);
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

/// What a line holds, if it is whole.
fn entity(line: &[u8]) -> Option<(String, String)> {
    let (digest, text) = line.split_at_checked(DIGITS)?;
    let text = std::str::from_utf8(text.strip_prefix(b" ")?).ok()?;
    let is_whole = sha256(text.as_bytes()).as_bytes()[..DIGITS] == *digest;
    let entity = is_whole.then(|| serde_json::from_str::<Value>(text).ok())??;
    Some((path_of(entity.get("@id")?.as_str()?)?, text.to_owned()))
}
