//! The audit table: one row a run, layer, source and table, success or failure, whose counts add up.

use super::delta::{Commit, schema_json};
use super::unneeded::is_of_attempt;
use super::{Attempt, DataFile, Lake};
use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use deltalake::DeltaTable;
use parquet::errors::ParquetError;
use rcm_core::model::instant;
use rcm_core::{Class, Problem};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// One row. Counts that a layer does not have are none.
///
/// bronze: `rows_in` = `rows_landed` + `rows_rejected`. silver: `rows_in` = `rows_new` + `rows_changed` + `rows_late` +
/// `rows_noop` + `rows_collapsed` + `rows_quarantined`. gold: `rows_out` = `rows_in`, `amount_out` = `amount_in`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct AuditRow {
    /// The run.
    pub run_id: String,
    /// The attempt.
    pub attempt: String,
    /// Publish number; none where nothing was published.
    pub publish: Option<i64>,
    /// The run's instant, microseconds.
    pub as_of: i64,
    /// `run`, `bronze`, `silver` or `gold`.
    pub layer: String,
    /// Source block; empty for gold.
    pub source: String,
    /// Hospital; empty where all share.
    pub hospital: String,
    /// Table.
    pub table_name: String,
    /// `full` or `incremental`.
    pub load_type: String,
    /// `ok`, `nothing_new`, `failed` or `refused`; of a run also `lost` (another one took its publish number) and
    /// `abandoned` (it stopped without a word, and its number is taken).
    pub status: String,
    /// Files read.
    pub files: Option<i64>,
    /// Rows that came in.
    pub rows_in: Option<i64>,
    /// Bronze: rows kept.
    pub rows_landed: Option<i64>,
    /// Bronze: lines that are no rows.
    pub rows_rejected: Option<i64>,
    /// Silver: first row of a key.
    pub rows_new: Option<i64>,
    /// Silver: rows that changed history at its end.
    pub rows_changed: Option<i64>,
    /// Silver: rows spliced into the past.
    pub rows_late: Option<i64>,
    /// Silver: rows that change nothing.
    pub rows_noop: Option<i64>,
    /// Silver: rows that another row of the load repeats or corrects.
    pub rows_collapsed: Option<i64>,
    /// Silver: rows held back, rejected lines included.
    pub rows_quarantined: Option<i64>,
    /// Silver: keys closed because a full load lacks them.
    pub keys_closed: Option<i64>,
    /// Silver: rows older than the watermark less the lag; read all the same.
    pub below_window: Option<i64>,
    /// Silver: 1 where a full load closed nothing because a row's key could not be read.
    pub incomplete: Option<i64>,
    /// Greatest watermark after the load.
    pub watermark: Option<String>,
    /// Gold: rows of the table.
    pub rows_out: Option<i64>,
    /// Gold: sum over the money columns of what the table was made from, in cents (text: JSON has no such numbers).
    pub amount_in: Option<String>,
    /// Gold: the same sum in the table, in cents.
    pub amount_out: Option<String>,
    /// Class of the problem.
    pub error_class: Option<String>,
    /// The problem.
    pub error: Option<String>,
    /// Wall clock, microseconds.
    pub started_at: i64,
    /// Wall clock, microseconds.
    pub finished_at: i64,
}

impl AuditRow {
    /// The row of an attempt that stopped without a word.
    pub(super) fn abandoned(attempt: &Attempt, now: DateTime<Utc>) -> AuditRow {
        AuditRow {
            run_id: attempt.run_id.clone(),
            attempt: attempt.attempt.clone(),
            as_of: attempt.as_of,
            layer: "run".to_owned(),
            status: "abandoned".to_owned(),
            started_at: attempt.started_at,
            finished_at: now.timestamp_micros(),
            ..AuditRow::default()
        }
    }
}

/// The columns of the audit table.
pub fn audit_schema() -> SchemaRef {
    columns(&[]).0
}

fn columns(rows: &[AuditRow]) -> (SchemaRef, Vec<ArrayRef>) {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    let mut push = |name: &str, array: ArrayRef| {
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    };
    let text =
        |f: fn(&AuditRow) -> &str| Arc::new(rows.iter().map(|r| Some(f(r))).collect::<StringArray>()) as ArrayRef;
    let words = |f: fn(&AuditRow) -> Option<&str>| Arc::new(rows.iter().map(f).collect::<StringArray>()) as ArrayRef;
    let count = |f: fn(&AuditRow) -> Option<i64>| Arc::new(rows.iter().map(f).collect::<Int64Array>()) as ArrayRef;
    let time = |f: fn(&AuditRow) -> i64| {
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(f)).with_data_type(instant())) as ArrayRef
    };
    let money = |f: fn(&AuditRow) -> Option<&str>| {
        let cents: Decimal128Array = rows.iter().map(|r| f(r).and_then(|cents| cents.parse().ok())).collect();
        Arc::new(cents.with_data_type(DataType::Decimal128(38, 2))) as ArrayRef
    };
    push("run_id", text(|r| &r.run_id));
    push("attempt", text(|r| &r.attempt));
    push("publish", count(|r| r.publish));
    push("as_of", time(|r| r.as_of));
    push("layer", text(|r| &r.layer));
    push("source", text(|r| &r.source));
    push("hospital", text(|r| &r.hospital));
    push("table_name", text(|r| &r.table_name));
    push("load_type", text(|r| &r.load_type));
    push("status", text(|r| &r.status));
    push("files", count(|r| r.files));
    push("rows_in", count(|r| r.rows_in));
    push("rows_landed", count(|r| r.rows_landed));
    push("rows_rejected", count(|r| r.rows_rejected));
    push("rows_new", count(|r| r.rows_new));
    push("rows_changed", count(|r| r.rows_changed));
    push("rows_late", count(|r| r.rows_late));
    push("rows_noop", count(|r| r.rows_noop));
    push("rows_collapsed", count(|r| r.rows_collapsed));
    push("rows_quarantined", count(|r| r.rows_quarantined));
    push("keys_closed", count(|r| r.keys_closed));
    push("below_window", count(|r| r.below_window));
    push("incomplete", count(|r| r.incomplete));
    push("watermark", words(|r| r.watermark.as_deref()));
    push("rows_out", count(|r| r.rows_out));
    push("amount_in", money(|r| r.amount_in.as_deref()));
    push("amount_out", money(|r| r.amount_out.as_deref()));
    push("error_class", words(|r| r.error_class.as_deref()));
    push("error", words(|r| r.error.as_deref()));
    push("started_at", time(|r| r.started_at));
    push("finished_at", time(|r| r.finished_at));
    (Arc::new(Schema::new(fields)), arrays)
}

const TABLE: &str = "audit";

/// A file with the rows of an attempt: its name, and this.
const ENDING: &str = "-0.parquet";

/// How run ids of maintenance begin, and of what is committed for another one that had written it.
pub(super) const HOUSE: &str = "maintain";

impl Lake {
    /// Appends the rows of an attempt, if it has any, once: the table's `txn` of that attempt tells whether they are in.
    ///
    /// # Errors
    /// Storage that fails.
    pub async fn append_audit(&self, attempt: &str, rows: &[AuditRow]) -> Result<(), Problem> {
        if rows.is_empty() {
            return Ok(());
        }
        if self.audit_has(attempt, self.head(TABLE).await?).await? {
            return Ok(());
        }
        let (schema, arrays) = columns(rows);
        let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|e| Problem::storage(TABLE, e))?;
        let bytes = crate::parquet::encode(&schema, &[batch], &[]).map_err(|e| Problem::storage(TABLE, e))?;
        // An earlier try may have written it.
        let path = format!("{attempt}{ENDING}");
        let is_new = self.put_if_absent(&format!("{TABLE}/{path}"), bytes).await?;
        let stands = self.get(&format!("{TABLE}/{path}")).await?;
        let file = file_of(path, &stands).map_err(|e| Problem::storage(TABLE, e))?;
        let last = rows.last();
        let run_id = if is_new { last.map_or("", |r| &r.run_id) } else { HOUSE };
        self.commit_audit(file, run_id, last.map_or(0, |r| r.finished_at / 1000)).await
    }

    /// Commits the rows of those who stopped between writing and committing them. Who wakes up finds that done.
    ///
    /// # Errors
    /// Storage that fails.
    pub(super) async fn commit_written_audit(&self, now: DateTime<Utc>) -> Result<(), Problem> {
        // Who wrote one may have stopped before its name was durable.
        self.settle(TABLE).await?;
        let head = self.head(TABLE).await?;
        let committed = self.table_files(TABLE, head).await?.files;
        let committed: HashSet<&str> = committed.iter().map(|file| file.path.as_str()).collect();
        let known = match head {
            Some(head) => self.replayed(TABLE, head).await?.map(|replay| replay.apps).unwrap_or_default(),
            None => BTreeSet::new(),
        };
        for name in self.names(TABLE).await?.iter().filter(|name| !committed.contains(name.as_str())) {
            let Some(attempt) = name.strip_suffix(ENDING).filter(|_| is_of_attempt(name)) else { continue };
            if known.contains(&app(attempt)) {
                continue;
            }
            // One that is damaged stays where it is, and one that is gone was swept up.
            let stands = self.find(&format!("{TABLE}/{name}")).await?;
            if let Some(file) = stands.and_then(|stands| file_of(name.clone(), &stands).ok()) {
                self.commit_audit(file, HOUSE, now.timestamp_millis()).await?;
            }
        }
        Ok(())
    }

    /// Commits a file with the rows of an attempt, once.
    async fn commit_audit(&self, file: DataFile, run_id: &str, now_millis: i64) -> Result<(), Problem> {
        let attempt = file.path.trim_end_matches(ENDING);
        let app = app(attempt);
        let schema = schema_json(&audit_schema(), TABLE)?.to_string();
        let id = uuid::Uuid::new_v4().to_string();
        // Whoever loses a race lost it to one that got on: look again.
        for _ in 0..100 {
            let head = self.head(TABLE).await?;
            if self.audit_has(attempt, head).await? {
                return Ok(());
            }
            let version = head.map_or(0, |h| h + 1);
            let commit = Commit {
                commit_id: attempt,
                txn: (&app, 1),
                create: head.is_none(),
                metadata: head.is_none().then_some((id.as_str(), schema.as_str())),
                vectors: [false; 2],
                removes: &[],
                adds: std::slice::from_ref(&file),
                now_millis,
                run_id,
            };
            let stands = self.put_if_absent(&format!("{TABLE}/_delta_log/{version:020}.json"), commit.bytes()).await?;
            // Where this process was stopped so long that the log was cut behind this version, nobody would see it.
            if stands && self.head(TABLE).await? == Some(version) {
                return Ok(());
            }
            self.refresh().await;
        }
        Err(Problem::new(Class::Temporary, TABLE, "other writers took every version").hint("run again"))
    }

    /// Whether the rows of an attempt are in at a version: the table's `txn` of that attempt says so.
    ///
    /// # Errors
    /// An audit table that cannot be read.
    pub(super) async fn audit_has(&self, attempt: &str, head: Option<u64>) -> Result<bool, Problem> {
        let Some(head) = head else { return Ok(false) };
        let app = app(attempt);
        if let Some(replay) = self.replayed(TABLE, head).await? {
            return Ok(replay.apps.contains(&app));
        }
        let failed = |e| Problem::storage(TABLE, e);
        let mut delta = DeltaTable::new(self.log_at(TABLE, head).await?);
        delta.load_version(head).await.map_err(failed)?;
        let state = delta.snapshot().map_err(failed)?;
        Ok(state.transaction_version(delta.log_store().as_ref(), &app).await.map_err(failed)?.is_some())
    }
}

/// The application id of an attempt's `txn`.
fn app(attempt: &str) -> String {
    format!("audit/{attempt}")
}

/// A file of audit rows that stands.
fn file_of(path: String, stands: &Bytes) -> Result<DataFile, ParquetError> {
    let batches = crate::parquet::decode(stands.clone())?;
    let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    Ok(DataFile::new(path, stands.len() as u64, rows))
}

impl Lake {
    /// Run, status and error of the newest attempt of a run in the audit table, as far as its log goes back; none where there
    /// is none.
    ///
    /// # Errors
    /// An audit table that cannot be read.
    pub async fn last_audit(&self) -> Result<Option<(String, String, Option<String>)>, Problem> {
        let Some(head) = self.head(TABLE).await? else { return Ok(None) };
        let mut last: Option<Said> = None;
        for version in (0..=head).rev() {
            let Some(commit) = self.find(&format!("{TABLE}/_delta_log/{version:020}.json")).await? else { break };
            let Some((said, is_late)) = self.audit_of(&commit).await? else { continue };
            if last.as_ref().is_none_or(|last| last.finished_at < said.finished_at) {
                last = Some(said);
            }
            // What maintenance committed may be of long ago: then there is a later one.
            if !is_late {
                break;
            }
        }
        Ok(last.map(|said| (said.run_id, said.status, said.error)))
    }

    /// The last row of an attempt, which is about the run as a whole, and whether maintenance committed it; none of an attempt
    /// that was no run, or of which another one told.
    async fn audit_of(&self, commit: &[u8]) -> Result<Option<(Said, bool)>, Problem> {
        let lines = commit.split(|b| *b == b'\n');
        let actions: Vec<serde_json::Value> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let told = |action: &str, what: &str| actions.iter().find_map(|a| a.get(action)?.get(what)?.as_str());
        let Some(path) = told("add", "path").map(|path| format!("{TABLE}/{path}")) else { return Ok(None) };
        let is_late = told("commitInfo", "runId") == Some(HOUSE);
        let batches = crate::parquet::decode(self.get(&path).await?).map_err(|e| Problem::storage(&path, e))?;
        let Some((batch, row)) = batches.last().and_then(|batch| Some((batch, batch.num_rows().checked_sub(1)?)))
        else {
            return Ok(None);
        };
        let cell = |name: &str| {
            let column = batch.column_by_name(name)?.as_string_opt::<i32>()?;
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        let time = batch
            .column_by_name("finished_at")
            .and_then(|column| Some(column.as_primitive_opt::<TimestampMicrosecondType>()?.value(row)));
        let said = || {
            let (run_id, status, error) = (cell("run_id")?, cell("status")?, cell("error"));
            Some(Said { run_id, status, error, finished_at: time? })
        };
        let is_run = |said: &Said| !said.run_id.starts_with(HOUSE) && said.status != "abandoned";
        Ok(said().filter(is_run).map(|said| (said, is_late)))
    }
}

/// What an attempt said in the end.
struct Said {
    run_id: String,
    status: String,
    error: Option<String>,
    finished_at: i64,
}
