//! `rcm.toml`.

use super::secrets::{ELSEWHERE, Keeper, Keepers, Place, keeper};
use super::{Settings, Source, Vars, choose, duration, fault, sources};
use rcm_connectors::files::sha256;
use rcm_connectors::lake::{Access, Location, WriteMode, holds_secret};
use rcm_core::model::TABLES;
use rcm_core::{Problem, Secret};
use rcm_transforms::quarantine::OPTIONAL_RULES;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(super) struct File {
    pub(super) load_config: PathBuf,
    pub(super) mappings: PathBuf,
    pub(super) lake: Place,
    pub(super) settings: Settings,
    pub(super) sources: BTreeMap<String, Source>,
    pub(super) keepers: BTreeMap<String, Vec<(&'static str, Keeper)>>,
    pub(super) digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default = "load_config")]
    load_config: String,
    #[serde(default = "mappings")]
    mappings: String,
    lake: RawLake,
    #[serde(default)]
    run: RawRun,
    #[serde(default)]
    maintain: RawMaintain,
    #[serde(default)]
    rules: BTreeMap<String, RuleAction>,
    /// Table → how its history is written.
    #[serde(default)]
    write: BTreeMap<String, String>,
    sources: BTreeMap<String, sources::Raw>,
}

fn load_config() -> String {
    "load_config.csv".to_owned()
}

fn mappings() -> String {
    "mappings".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLake {
    url: String,
    ca_file: Option<String>,
    retry_budget: Option<String>,
    #[serde(default)]
    storage_options: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRun {
    grace: String,
    max_delete_share: f64,
    all_or_nothing: bool,
}

impl Default for RawRun {
    fn default() -> Self {
        RawRun { grace: "1d".to_owned(), max_delete_share: 0.2, all_or_nothing: false }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawMaintain {
    keep_publishes: u64,
}

impl Default for RawMaintain {
    fn default() -> Self {
        RawMaintain { keep_publishes: 100 }
    }
}

/// What a rule does with a row.
#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum RuleAction {
    Quarantine,
    Off,
}

pub(super) fn read(path: &Path, text: &str, root: &Path, vars: &Vars) -> Result<File, Vec<Problem>> {
    let raw: Raw = toml::from_str(text).map_err(|e| vec![toml_fault(path, text, &e)])?;
    let mut problems = Vec::new();
    let mut fill = |value: &str, at: &[&str]| {
        vars.fill(value).unwrap_or_else(|what| {
            problems.push(fault(path, line_of(text, at), format!("{}: {what}", at.join("."))));
            String::new()
        })
    };
    let load_config = base(root, &raw.load_config).join(fill(&raw.load_config, &["load_config"]));
    let mappings = base(root, &raw.mappings).join(fill(&raw.mappings, &["mappings"]));
    let url = fill(&raw.lake.url, &["lake", "url"]);
    let ca_file = raw.lake.ca_file.as_ref().map(|file| base(root, file).join(fill(file, &["lake", "ca_file"])));
    let budget = raw.lake.retry_budget.as_ref().map(|budget| fill(budget, &["lake", "retry_budget"]));
    // A secret that is kept elsewhere is asked for later.
    let is_later = |option: &str, value: &str| keeper(value).is_some() && holds_secret(option, "");
    let options = raw.lake.storage_options.iter().filter(|(key, value)| !is_later(key, value));
    let options = options
        .map(|(key, value)| (key.clone(), Secret::new(fill(value, &["lake", "storage_options", key]))))
        .collect();
    let grace = fill(&raw.run.grace, &["run", "grace"]);
    let filled: Vec<(&String, sources::Raw)> = raw
        .sources
        .iter()
        .map(|(name, source)| (name, source.filled(&mut |key, value| fill(value, &["sources", name, key]))))
        .collect();

    let mut wrong = |at: &[&str], what: String, hint: &str| {
        problems.push(fault(path, line_of(text, at), format!("{}: {what}", at.join("."))).hint(hint));
    };
    for (option, value) in raw.lake.storage_options.iter().filter(|(option, value)| holds_secret(option, value)) {
        if !is_reference(value) {
            let hint = format!("write {option} = \"${{env:NAME}}\", and set NAME where rcm runs");
            wrong(&["lake", "storage_options", option], "is a secret, which never stands in a file".to_owned(), &hint);
        }
    }
    let keepers = Keepers::new(&vars.env);
    let mut later = Vec::new();
    for (option, value) in raw.lake.storage_options.iter().filter(|(key, value)| is_later(key, value)) {
        match keepers.of(value) {
            Ok(keeper) => later.extend(keeper.map(|keeper| (option.clone(), keeper))),
            Err(what) => wrong(&["lake", "storage_options", option], what, ELSEWHERE),
        }
    }
    let mut access = Access { options, environment: vars.env.clone(), ..Access::default() };
    match budget.as_deref().map(|budget| duration(budget).and_then(|it| it.to_std().ok()).filter(|it| !it.is_zero())) {
        None => {}
        Some(Some(budget)) => access.budget = budget,
        Some(None) => wrong(&["lake", "retry_budget"], "is no duration".to_owned(), DURATIONS),
    }
    match ca_file.map(std::fs::read_to_string).transpose() {
        Ok(authorities) => access.authorities = authorities,
        Err(e) => wrong(&["lake", "ca_file"], format!("cannot be read: {e}"), "name a file with certificates in PEM"),
    }
    let lake = match Location::of(&url, &access) {
        // A folder is relative to the file.
        Ok(Location::Folder(folder)) => {
            if let Some((option, _)) = later.first() {
                let hint = "take storage_options away, or give the URL of an object store";
                wrong(&["lake", "storage_options", option], "a local folder has no options".to_owned(), hint);
            }
            Some(Location::Folder(base(root, &raw.lake.url).join(folder)))
        }
        Ok(lake) => Some(lake),
        Err(problem) => {
            let place = match problem.place.as_str() {
                place @ ("url" | "ca_file") => vec!["lake", place],
                option => vec!["lake", "storage_options", option],
            };
            wrong(&place, problem.what.clone(), problem.hint.as_deref().unwrap_or_default());
            None
        }
    };
    let mut append = BTreeSet::new();
    for (table, mode) in &raw.write {
        let tables: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        if !tables.contains(&table.as_str()) {
            wrong(&["write", table], "is no table".to_owned(), &choose(table, &tables));
        }
        match mode.parse() {
            Ok(WriteMode::Copy) => {}
            Ok(WriteMode::Append) => drop(append.insert(table.clone())),
            Err(_) => {
                let what = format!("`{mode}` is no way to write a table");
                wrong(&["write", table], what, &choose(mode, &["copy", "append"]));
            }
        }
    }
    let settings = Settings {
        append,
        grace: duration(&grace).unwrap_or_else(|| {
            wrong(&["run", "grace"], "is no duration".to_owned(), DURATIONS);
            chrono::Duration::zero()
        }),
        max_delete_share: raw.run.max_delete_share,
        all_or_nothing: raw.run.all_or_nothing,
        keep_publishes: raw.maintain.keep_publishes,
        rules_off: raw.rules.iter().filter(|(_, a)| **a == RuleAction::Off).map(|(r, _)| r.clone()).collect(),
    };
    for rule in raw.rules.keys().filter(|r| !OPTIONAL_RULES.contains(&r.as_str())) {
        wrong(&["rules", rule], "is no rule that can be set".to_owned(), &choose(rule, &OPTIONAL_RULES));
    }
    if !(0.0..=1.0).contains(&settings.max_delete_share) {
        wrong(&["run", "max_delete_share"], "is no share".to_owned(), "write a number from 0 to 1, such as 0.2");
    }
    if settings.keep_publishes == 0 {
        let what = "the newest publish is the lake: it cannot go".to_owned();
        wrong(&["maintain", "keep_publishes"], what, "write 1 or more; 100 is the default");
    }
    let (mut sources, mut of_sources) = (BTreeMap::new(), BTreeMap::new());
    for (name, source) in filled {
        let as_written = &raw.sources[name];
        let mut wrong = |key: &str, what: String, hint: &str| wrong(&["sources", name, key], what, hint);
        of_sources.insert(name.clone(), as_written.keepers(&keepers, &mut wrong));
        sources.extend(source.read(as_written, root, &mut wrong).map(|source| (name.clone(), source)));
    }
    let Some(lake) = lake.filter(|_| problems.is_empty()) else { return Err(problems) };

    // What the values say, not how they are written, and no path.
    let mut digest = format!("{}s {}\n", settings.grace.num_seconds(), settings.max_delete_share);
    digest += &format!("off {:?}\n", settings.rules_off);
    for (name, source) in &sources {
        digest += &format!("{name} {}\n", sources::said(source));
    }
    let lake = Place::new(lake, url, access, later);
    Ok(File { load_config, mappings, lake, settings, sources, keepers: of_sources, digest: sha256(digest.as_bytes()) })
}

pub(super) const DURATIONS: &str = "write a number and a unit: 90s, 15m, 12h, 2d";

/// Whether a value stands elsewhere as a whole.
pub(super) fn is_reference(value: &str) -> bool {
    value.starts_with("${") && value.find('}') == Some(value.len() - 1)
}

/// What a path is relative to: the file's folder, or, where it begins with what was typed on the command line, the folder
/// in which that was typed.
pub(super) fn base<'a>(root: &'a Path, value: &str) -> &'a Path {
    if value.starts_with("${var:") { Path::new("") } else { root }
}

/// A TOML error as a problem: its line, its words, and for an unknown key the nearest that would be right.
pub(super) fn toml_fault(path: &Path, text: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().map_or(0, |span| line_at(text, span.start));
    let words: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    let message = error.message().lines().next().unwrap_or_default();
    // What stands there instead may be a secret.
    let message = match message.split_once(", expected ") {
        Some((is, expected)) if is.starts_with("invalid") => format!("a value of another kind, expected {expected}"),
        _ => message.to_owned(),
    };
    let problem = fault(path, line, message);
    match words.as_slice() {
        [word, valid @ ..] if !valid.is_empty() && error.message().starts_with("unknown") => {
            problem.hint(choose(word, valid))
        }
        _ => problem,
    }
}

/// The line on which a key stands; that of the nearest table around it where it has none of its own.
pub(super) fn line_of(text: &str, keys: &[&str]) -> usize {
    let Ok(root) = toml::de::DeTable::parse(text) else { return 0 };
    let (mut table, mut at) = (root.get_ref(), 0);
    for key in keys {
        let Some((name, value)) = table.iter().find(|(k, _)| k.get_ref() == key) else { break };
        at = name.span().start;
        match value.get_ref() {
            toml::de::DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    line_at(text, at)
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count() + 1
}
