//! A project: `rcm.toml`, `load_config.csv` and the mappings, read and checked before anything is touched.

mod file;
mod lines;
mod mappings;
mod secrets;
mod sources;
mod vars;

use chrono::Duration;
pub(crate) use mappings::csv_format;
use rcm_connectors::files::sha256;
use rcm_connectors::lake::WriteMode;
use rcm_connectors::{icd, npi, postgres, sqlserver};
use rcm_core::{Class, LoadLine, LoadType, Problem};
use rcm_transforms::mapping::{Mapping, TableMapping};
use secrets::Keeper;
pub use secrets::Place;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
pub use vars::Vars;

/// A project that can be run: every fault of its files was found when it was read.
#[derive(Debug, Clone)]
pub struct Project {
    /// The configuration file.
    pub file: PathBuf,
    /// Where the lake lies.
    pub lake: Place,
    /// Settings of every run.
    pub settings: Settings,
    /// Source blocks by name.
    pub sources: BTreeMap<String, Source>,
    /// All lines of `load_config.csv`, inactive ones included.
    pub lines: Vec<LoadLine>,
    mappings: BTreeMap<String, Mapping>,
    /// Source → which of its secrets is kept by whom.
    keepers: BTreeMap<String, Vec<(&'static str, Keeper)>>,
    /// Digest of all that says how data are read: part of the run id. Neither the lake's URL nor a source's path is in
    /// it, so that the same data give the same lake wherever they lie.
    pub digest: String,
}

/// `[run]`, `[maintain]`, `[rules]` and `[write]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Rows dated later than `as_of` + grace are quarantined. Default: one day.
    pub grace: Duration,
    /// Share of a hospital's live keys that one full load may close. Default: 0.2.
    pub max_delete_share: f64,
    /// Whether a load that fails keeps the others from being published too. Default: false.
    pub all_or_nothing: bool,
    /// `[maintain]`: how many publishes, the newest included, `rcm maintain` leaves readable. Default: 100.
    pub keep_publishes: u64,
    /// `[rules]`: those that are `"off"`. Default: none.
    pub rules_off: BTreeSet<String>,
    /// `[write]`: the silver tables that are written with deletion vectors. Default: none.
    pub append: BTreeSet<String>,
}

impl Settings {
    /// How a silver table is written.
    pub fn writes(&self, table: &str) -> WriteMode {
        if self.append.contains(table) { WriteMode::Append } else { WriteMode::Copy }
    }
}

/// `[sources.NAME]`, by its `kind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `csv`.
    Files(Files),
    /// `postgres`.
    Postgres(Box<postgres::Options>),
    /// `sqlserver`.
    SqlServer(Box<sqlserver::Options>),
    /// `npi`: the NPPES registry, and where copies are kept for when it is away.
    Npi(Box<npi::Options>, Option<PathBuf>),
    /// `icd` with a path: order files of ICD-10-CM.
    IcdFiles(PathBuf),
    /// `hcpcs`: the file of CMS.
    Hcpcs(PathBuf),
    /// `icd` with an address: the WHO's API, and where copies are kept for when it is away.
    IcdApi(Box<icd::Options>, Option<PathBuf>),
}

impl Source {
    /// Whether it has tables of typed rows, as a database has; else it has files.
    pub fn has_tables(&self) -> bool {
        !matches!(self, Source::Files(_))
    }

    /// What the name of a table stands for there, where that is not the name itself.
    pub(crate) fn question(&self, table: &str) -> Option<&str> {
        match self {
            Source::Npi(options, _) => options.tables.get(table).map(String::as_str),
            _ => None,
        }
    }
}

/// Files below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Root of the source.
    pub path: PathBuf,
    /// Pattern of file names below it; `{database}`, `{datasource}`, `{table}`, `{targetpath}` stand for a line's own.
    pub files: String,
    /// What several files mean.
    pub delivery: Delivery,
}

/// How a source delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// One file a table, replaced by each delivery.
    File,
    /// Every matching file in name order, each read once.
    Drops,
}

impl Project {
    /// Reads and checks a project.
    ///
    /// # Errors
    /// All that is wrong with it, each with file, line, what was expected and the nearest valid word (class `config`).
    pub fn open(file: &Path, vars: &Vars) -> Result<Project, Vec<Problem>> {
        let one = |p: Problem| vec![p];
        let text = read(file).map_err(one)?;
        let root = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let config = file::read(file, &text, &root, vars)?;
        let csv = read(&config.load_config).map_err(one)?;
        let mut problems = Vec::new();
        let mut mappings = BTreeMap::new();
        let mut digests = vec![config.digest.clone(), sha256(csv.as_bytes())];
        for hospital in lines::hospitals(&csv) {
            let path = config.mappings.join(format!("{}.toml", if hospital.is_empty() { "shared" } else { &hospital }));
            match mappings::read(&path) {
                Ok((mapping, digest)) => {
                    digests.push(format!("{hospital}={digest}"));
                    mappings.insert(hospital, mapping);
                }
                Err(found) => problems.extend(found),
            }
        }
        let (lines, found) = lines::read(&config.load_config, &csv, &config.sources, &mappings);
        problems.extend(found);
        if !problems.is_empty() {
            return Err(problems);
        }
        let digest = sha256(digests.join("\n").as_bytes());
        Ok(Project {
            file: file.to_path_buf(),
            lake: config.lake,
            settings: config.settings,
            sources: config.sources,
            lines,
            mappings,
            keepers: config.keepers,
            digest,
        })
    }

    /// How a table is loaded; all its lines say the same. A table without a line is never loaded.
    pub fn load_type(&self, table: &str) -> LoadType {
        self.lines.iter().find(|l| l.table == table).map_or(LoadType::Full, |l| l.load_type)
    }

    /// How a line's table is mapped, and the words that mean null there.
    pub fn mapping(&self, hospital: &str, table: &str) -> Option<(&TableMapping, &[String])> {
        let mapping = self.mappings.get(hospital)?;
        Some((mapping.tables.get(table)?, &mapping.null))
    }
}

fn read(path: &Path) -> Result<String, Problem> {
    std::fs::read_to_string(path).map_err(|e| {
        Problem::new(Class::Config, path.display().to_string(), format!("cannot be read: {e}"))
            .hint("name the configuration with -c FILE, or write a starter project with `rcm init DIR`")
    })
}

/// A configuration problem at a line (0: the file as a whole).
fn fault(path: &Path, line: usize, what: impl Into<String>) -> Problem {
    let place = match line {
        0 => path.display().to_string(),
        line => format!("{}:{line}", path.display()),
    };
    Problem::new(Class::Config, place, what)
}

/// The nearest of some valid words, for a typing error; none where nothing is near.
pub fn nearest<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    valid
        .into_iter()
        .map(|v| (strsim::normalized_damerau_levenshtein(&word.to_lowercase(), &v.to_lowercase()), v))
        .filter(|(likeness, _)| *likeness > 0.4)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, v)| v)
}

/// A hint that names the nearest valid word, or all of them.
fn choose(word: &str, valid: &[&str]) -> String {
    match nearest(word, valid.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("expected one of: {}", valid.join(", ")),
    }
}

/// Parses a duration with its unit: `90s`, `15m`, `12h`, `2d`.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at))?);
    let number: i64 = number.parse().ok().filter(|n| (0..=1_000_000).contains(n))?;
    match unit {
        "s" => Some(Duration::seconds(number)),
        "m" => Some(Duration::minutes(number)),
        "h" => Some(Duration::hours(number)),
        "d" => Some(Duration::days(number)),
        _ => None,
    }
}

/// Whether a name may stand in a path: letters, digits, `_`, `-` and inner dots. No separators, no `..`, nothing hidden.
fn is_safe_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && !name.starts_with(['.', '-', '_'])
        && !name.ends_with('.')
        && !name.contains("..")
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}
