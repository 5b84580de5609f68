//! What a run tells: one object for people, for `--json` and for the audit table.

mod human;

use crate::pipeline::Plan;
use chrono::{DateTime, NaiveDate, Utc};
pub use human::human;
use rcm_core::{Class, LoadType, Problem};
use serde::Serialize;
use std::collections::BTreeMap;

/// The outcome of a run. `--json` prints it as it is; the field `schema` counts its incompatible changes.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// 1.
    pub schema: u32,
    /// Digest of what the run was told and what it read; empty where it did not come that far.
    pub run_id: String,
    /// The attempt; its files carry this name.
    pub attempt: String,
    /// The run's instant.
    pub as_of: Option<DateTime<Utc>>,
    /// Wall clock.
    pub started_at: DateTime<Utc>,
    /// Wall clock.
    pub finished_at: DateTime<Utc>,
    /// Whether the run only planned.
    pub dry_run: bool,
    /// Tables that the run rebuilds out of the archive.
    pub rebuilt: Vec<&'static str>,
    /// Number of the publish; none where nothing changed or nothing was published.
    pub publish: Option<u64>,
    /// Number of the intent, where it stands and the run did not come to its end: the next run finishes it.
    pub intent: Option<u64>,
    /// Lines of `load_config.csv`.
    pub loads: Vec<LoadReport>,
    /// Gold tables that were rebuilt.
    pub gold: Vec<GoldReport>,
    /// All that went wrong.
    pub problems: Vec<Problem>,
}

/// One line of `load_config.csv` in a run.
#[derive(Debug, Clone, Serialize)]
pub struct LoadReport {
    /// `hospital.table`.
    pub load: String,
    /// Source block.
    pub source: String,
    /// Hospital; empty where all share.
    pub hospital: String,
    /// Silver table.
    pub table: String,
    /// Full or incremental.
    pub load_type: LoadType,
    /// What became of it.
    pub status: Status,
    /// Files to read, or the table of a database.
    pub files: Vec<String>,
    /// Files that an earlier run read.
    pub known_files: usize,
    /// Records of its files, as the reader counted them.
    pub read: u64,
    /// Rows kept in bronze.
    pub landed: u64,
    /// Lines that are no rows.
    pub rejected: u64,
    /// What silver made of them; includes the archive where the table was rebuilt.
    #[serde(flatten)]
    pub taken: Taken,
    /// Keys closed because a full load lacks them.
    pub keys_closed: u64,
    /// Why it failed.
    pub error: Option<Problem>,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its files are in.
    Ok,
    /// It had no new file, or no new row.
    NothingNew,
    /// It could not be read.
    Failed,
    /// The run was refused.
    Refused,
}

impl Status {
    /// The word in audit.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::NothingNew => "nothing_new",
            Status::Failed => "failed",
            Status::Refused => "refused",
        }
    }
}

/// Rows of one file in silver. They add up: `rows_in` is the sum of the six.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// `hospital.table`.
    #[serde(skip)]
    pub load: String,
    /// Records of the file, broken ones included.
    pub rows_in: u64,
    /// First row of a key.
    pub new: u64,
    /// Changed history at its end.
    pub changed: u64,
    /// Spliced into the past.
    pub late: u64,
    /// Changed nothing.
    pub no_op: u64,
    /// Rows that another row of the load repeats or corrects.
    pub collapsed: u64,
    /// Held back.
    pub quarantined: u64,
    /// Rule and column → cells that failed it.
    pub reasons: BTreeMap<String, u64>,
    /// Rows older than the watermark less the lag.
    pub below_window: u64,
    /// A full load with a row whose key could not be read.
    pub incomplete: bool,
    /// Greatest watermark read.
    pub watermark: Option<NaiveDate>,
}

/// A gold table that was rebuilt.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GoldReport {
    /// Its name.
    pub model: String,
    /// Its rows.
    pub rows: u64,
    /// Rows that share their grain with another row: 0, or the run is refused.
    pub repeated: u64,
    /// For a fact: rows of silver that it must have.
    pub silver_rows: Option<u64>,
    /// Sums that must agree with what the table was made from.
    pub totals: Vec<Total>,
    /// For a fact: dimension → facts that met it.
    pub met: BTreeMap<String, u64>,
}

/// A sum here and where it comes from, in cents.
#[derive(Debug, Clone, Serialize)]
pub struct Total {
    /// The money column.
    pub column: &'static str,
    /// `layer.table` that it comes from.
    pub from: &'static str,
    /// The sum there.
    #[serde(serialize_with = "as_text")]
    pub wanted: i128,
    /// The sum here.
    #[serde(serialize_with = "as_text")]
    pub found: i128,
}

/// JSON has no numbers of that size.
fn as_text<S: serde::Serializer>(cents: &i128, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(cents)
}

impl Taken {
    /// What `rows_in` must be.
    pub(crate) fn sum(&self) -> u64 {
        self.new + self.changed + self.late + self.no_op + self.collapsed + self.quarantined
    }
}

impl Report {
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        Report {
            schema: 1,
            run_id: String::new(),
            attempt: String::new(),
            as_of: None,
            started_at: now,
            finished_at: now,
            dry_run: false,
            rebuilt: Vec::new(),
            publish: None,
            intent: None,
            loads: Vec::new(),
            gold: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(crate) fn plan(&mut self, plan: &Plan<'_>) {
        self.run_id = plan.run_id.clone();
        self.attempt = plan.attempt.clone();
        self.as_of = Some(plan.as_of);
        self.rebuilt.clone_from(&plan.rebuilt);
        for load in &plan.loads {
            let line = load.line;
            let status = match (&load.problem, load.has_something()) {
                (Some(_), _) => Status::Failed,
                (None, false) => Status::NothingNew,
                (None, true) => Status::Ok,
            };
            let table = load.table.as_ref().map(|_| line.source_table.clone());
            self.problems.extend(load.problem.clone());
            self.loads.push(LoadReport {
                load: line.name(),
                source: line.source.clone(),
                hospital: line.hospital.clone(),
                table: line.table.to_owned(),
                load_type: line.load_type,
                status,
                files: load.files.iter().map(|f| f.name.clone()).chain(table).collect(),
                known_files: load.known,
                read: 0,
                landed: 0,
                rejected: 0,
                taken: Taken::default(),
                keys_closed: 0,
                error: load.problem.clone(),
            });
        }
    }

    fn load(&mut self, name: &str) -> Option<&mut LoadReport> {
        self.loads.iter_mut().find(|l| l.load == name)
    }

    pub(crate) fn failed(&mut self, load: &str, problem: Problem) {
        self.problems.push(problem.clone());
        if let Some(load) = self.load(load) {
            load.status = Status::Failed;
            load.error = Some(problem);
        }
    }

    /// A window of a table had no row that was not read before.
    pub(crate) fn nothing_new(&mut self, load: &str) {
        if let Some(load) = self.load(load) {
            load.status = Status::NothingNew;
            load.files.clear();
        }
    }

    /// The run as a whole was refused: its lines count as not loaded.
    pub(crate) fn refuse(&mut self, problem: &Problem) {
        for load in self.loads.iter_mut().filter(|l| l.status == Status::Ok) {
            load.status = Status::Refused;
            load.error = Some(problem.clone());
        }
    }

    pub(crate) fn landed(&mut self, load: &str, records: u64, rows: usize, rejects: usize) {
        if let Some(load) = self.load(load) {
            load.read += records;
            load.landed += rows as u64;
            load.rejected += rejects as u64;
        }
    }

    pub(crate) fn took(&mut self, file: &Taken) {
        let Some(load) = self.load(&file.load) else { return };
        let sum = &mut load.taken;
        sum.load.clone_from(&file.load);
        sum.rows_in += file.rows_in;
        sum.new += file.new;
        sum.changed += file.changed;
        sum.late += file.late;
        sum.no_op += file.no_op;
        sum.collapsed += file.collapsed;
        sum.quarantined += file.quarantined;
        sum.below_window += file.below_window;
        sum.incomplete |= file.incomplete;
        sum.watermark = sum.watermark.max(file.watermark);
        for (reason, rows) in &file.reasons {
            *sum.reasons.entry(reason.clone()).or_default() += rows;
        }
    }

    pub(crate) fn closed(&mut self, table: &str, hospital: &str, keys: u64) {
        if let Some(load) = self.loads.iter_mut().find(|l| l.table == table && l.hospital == hospital) {
            load.keys_closed += keys;
        }
    }

    /// The exit code: that of the least retryable problem.
    pub fn exit_code(&self) -> u8 {
        self.problems.iter().map(|p| p.class).max().map_or(0, Class::exit_code)
    }

    /// Whether no line had anything to read and nothing was rebuilt.
    pub fn is_nothing_new(&self) -> bool {
        self.problems.is_empty() && self.publish.is_none() && self.loads.iter().all(|l| l.status == Status::NothingNew)
    }
}
