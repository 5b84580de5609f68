//! One history table by itself: each load is a publish.

use super::{By, FORMAT, HistoryOptions, Intent, Lake, MergeError, Publish, TableAt, Weave, WriteMode, new_attempt};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, SecondsFormat, Utc};
use rcm_core::progress::Silent;
use rcm_core::{Class, Problem};
use rcm_scd2::{IS_CURRENT, Load, Spec, Summary, VALID_FROM, VALID_TO};
use std::time::Duration;

/// A history table of a lake that has no bronze and no gold: for who wants history and no more.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use arrow::array::{ArrayRef, RecordBatch, StringArray};
/// use rcm_connectors::lake::{EngineColumns, HistoryTable, Lake, WriteMode};
/// use rcm_scd2::{Load, Spec, State, merge};
/// use std::sync::Arc;
///
/// let column = |cell: &str| Arc::new(StringArray::from(vec![cell])) as ArrayRef;
/// let rows = |city| [RecordBatch::try_from_iter([("id", column("a")), ("city", column(city))]).unwrap()];
/// let spec = Spec::snapshot(["id"]).track(["city"]).build()?;
/// // The columns that the engine would write.
/// let columns = merge(&spec, &State::new(), &Load::new(&rows("Lyon"), 0))?.opens.schema();
///
/// let folder = std::env::temp_dir().join(format!("rcm-single-{}", std::process::id()));
/// let lake = Lake::local(&folder)?;
/// let table = HistoryTable {
///     name: "silver/patients".to_owned(),
///     keys: vec!["id".to_owned()],
///     columns,
///     mode: WriteMode::Copy,
/// };
/// let pool = rayon::ThreadPoolBuilder::new().build()?;
/// let day = |n: i64| chrono::DateTime::from_timestamp(n * 86_400, 0).unwrap();
/// for (n, city, publish) in [(1, "Lyon", Some(1)), (2, "Paris", Some(2)), (2, "Paris", None)] {
///     let rows = rows(city);
///     let load = Load::new(&rows, day(n).timestamp_micros());
///     let loaded = lake.load(&table, &spec, &load, &EngineColumns, day(n), &pool).await?;
///     assert_eq!(loaded.publish, publish); // what was loaded before changes nothing
/// }
/// assert_eq!(lake.table_files("silver/patients", Some(1)).await?.files[0].rows, 2);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct HistoryTable {
    /// `layer/table`.
    pub name: String,
    /// Columns of the business key.
    pub keys: Vec<String>,
    /// All columns.
    pub columns: SchemaRef,
    /// How loads are written.
    pub mode: WriteMode,
}

/// What a load came to.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What became of its rows; none for an import.
    pub summary: Option<Summary>,
    /// The publish in which it is; none where it changed nothing.
    pub publish: Option<u64>,
    /// Whether it finished first what another process had begun.
    pub took_over: bool,
    /// Files of the table before.
    pub files_before: usize,
    /// Files that were read.
    pub files_read: usize,
    /// Data files that were written.
    pub files_written: usize,
    /// Their bytes, and those of deletion vectors.
    pub bytes_written: u64,
}

enum Work<'a> {
    Load(&'a Spec, &'a Load<'a>, &'a dyn Weave),
    Import(&'a [RecordBatch]),
}

/// On what a load was planned.
struct Planned<'a> {
    publish: u64,
    attempt: &'a str,
    previous: Option<Publish>,
}

impl Lake {
    /// Merges a load into a table, and publishes it. Safe to repeat, and to run beside others: what another process took
    /// first is an error of class `busy`, and the load is to be tried again.
    ///
    /// # Errors
    /// What the engine refuses; storage that fails; the lease or the publish number is another's.
    pub async fn load(
        &self,
        table: &HistoryTable,
        spec: &Spec,
        load: &Load<'_>,
        weave: &dyn Weave,
        now: DateTime<Utc>,
        pool: &rayon::ThreadPool,
    ) -> Result<Loaded, MergeError> {
        let as_of = DateTime::from_timestamp_micros(load.as_of).unwrap_or(now);
        self.publish_table(table, Work::Load(spec, load, weave), as_of, now, pool).await
    }

    /// Takes versions that another tool kept into a table that is not there yet, and publishes it.
    ///
    /// # Errors
    /// As [`Lake::load`]; a table that holds rows.
    pub async fn import(
        &self,
        table: &HistoryTable,
        rows: &[RecordBatch],
        now: DateTime<Utc>,
        pool: &rayon::ThreadPool,
    ) -> Result<Loaded, MergeError> {
        self.publish_table(table, Work::Import(rows), now, now, pool).await
    }

    async fn publish_table(
        &self,
        table: &HistoryTable,
        work: Work<'_>,
        as_of: DateTime<Utc>,
        now: DateTime<Utc>,
        pool: &rayon::ThreadPool,
    ) -> Result<Loaded, MergeError> {
        let lease = self.lease().await?;
        let loaded = self.publish_held(table, work, as_of, now, pool).await;
        lease.end().await;
        loaded
    }

    async fn publish_held(
        &self,
        table: &HistoryTable,
        work: Work<'_>,
        as_of: DateTime<Utc>,
        now: DateTime<Utc>,
        pool: &rayon::ThreadPool,
    ) -> Result<Loaded, MergeError> {
        let took_over = self.finish(&[], now, &Silent).await?;
        let previous = self.newest().await?;
        let publish = previous.as_ref().map_or(0, |p| p.publish) + 1;
        let attempt = new_attempt(publish);
        let planned = Planned { publish, attempt: &attempt, previous };
        match self.publish_planned(table, work, planned, as_of, now, pool).await {
            Ok(loaded) => Ok(Loaded { took_over, ..loaded }),
            // What another process did under this one's number looks like the work of a stranger, or like loss.
            Err(MergeError::Storage(problem))
                if problem.class != Class::Busy && self.is_taken(publish, &attempt).await =>
            {
                let what = format!("another process took publish {publish}");
                Err(Problem::new(Class::Busy, &table.name, what)
                    .hint("load again; nothing of this load was published")
                    .into())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the number on which an attempt planned is another one's.
    pub async fn is_taken(&self, publish: u64, attempt: &str) -> bool {
        self.is_of(publish, attempt).await == Some(false)
    }

    /// Whether a number is an attempt's; none where it is nobody's, or that cannot be read. Of a store that is away this is
    /// asked after a failure: not for long.
    pub async fn is_of(&self, publish: u64, attempt: &str) -> Option<bool> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let intent = match self.is_on_disk() {
            true => self.intent(publish).await,
            false => tokio::time::timeout(PATIENCE, self.intent(publish)).await.ok()?,
        };
        intent.ok()?.map(|intent| intent.publish.attempt == attempt)
    }

    async fn publish_planned(
        &self,
        table: &HistoryTable,
        work: Work<'_>,
        planned: Planned<'_>,
        as_of: DateTime<Utc>,
        now: DateTime<Utc>,
        pool: &rayon::ThreadPool,
    ) -> Result<Loaded, MergeError> {
        let Planned { publish, attempt, previous } = planned;
        let kept_from = previous.as_ref().map_or(1, |p| p.kept_from);
        let (mut tables, checkpoints) = previous.map(|p| (p.tables, p.checkpoints)).unwrap_or_default();
        let at = tables.get(&table.name).cloned().unwrap_or_default();
        let mut parts = at.state.clone();
        let mut change = self.change(&table.name, at, table.columns.clone(), false).await?;
        let keys: Vec<&str> = table.keys.iter().map(String::as_str).collect();
        // Of rows nothing but their times: the lake does not know what else may be told.
        let statistics = [VALID_FROM, VALID_TO, IS_CURRENT];
        let options = HistoryOptions { keys: &keys, statistics: &statistics, mode: table.mode, rebuilt: false };
        let mut history = self.history(&change, &mut parts, attempt, options).await?;
        let summary = match work {
            Work::Load(spec, load, weave) => Some(history.take(spec, load, weave, true, pool).await?),
            Work::Import(rows) => {
                history.import(rows, pool)?;
                None
            }
        };
        let after = history.finish(pool).await?;
        (change.removes, change.adds) = (after.removes, after.adds);
        parts.extend(after.parts);
        // One of which rows went is the same file.
        let written = change.adds.iter().filter(|file| file.vector.is_none());
        let mut loaded = Loaded {
            summary,
            publish: None,
            took_over: false,
            files_before: change.before.files.len(),
            files_read: after.read,
            files_written: written.clone().count(),
            bytes_written: written.map(|file| file.size).sum::<u64>() + after.vector_bytes,
        };
        if !change.is_due() && parts == change.at.state {
            return Ok(loaded);
        }
        let run_id = format!("load-{publish}");
        let (commit, stands) = change.commit(By { publish, run_id: &run_id, now_millis: now.timestamp_millis() })?;
        tables.insert(table.name.clone(), TableAt { state: parts, ..stands });
        let intent = Intent {
            commits: commit.into_iter().collect(),
            publish: Publish {
                format: FORMAT,
                publish,
                run_id,
                attempt: attempt.to_owned(),
                as_of: as_of.to_rfc3339_opts(SecondsFormat::AutoSi, true),
                tables,
                stale: Vec::new(),
                checkpoints,
                kept_from,
                bronze: Vec::new(),
            },
            audit: Vec::new(),
        };
        self.put_intent(&intent).await?;
        self.complete(&intent, &[], &Silent).await?;
        loaded.publish = Some(publish);
        Ok(loaded)
    }
}
