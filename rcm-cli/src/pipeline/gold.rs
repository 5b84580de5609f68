//! Step 7: the gold models, by DataFusion, over silver as this run would leave it.

use super::merge::TableAfter;
use super::plan::Plan;
use crate::query::{files_view, session};
use crate::report::{GoldReport, Report, Total};
use arrow::array::{Array, ArrayRef, AsArray, Date32Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use rcm_connectors::files::sha256;
use rcm_connectors::lake::{Change, DataFile, Lake, TableFiles};
use rcm_core::model::{HOSPITAL, TABLES, Table, instant, silver_schema};
use rcm_core::{Class, Problem};
use rcm_transforms::conform::days;
use rcm_transforms::gold::{Fact, MODELS, Model, UNKNOWN};
use std::sync::Arc;

/// A gold table that was rebuilt.
pub(super) struct Rebuilt {
    pub(super) model: &'static Model,
    pub(super) change: Change,
    pub(super) digest: String,
}

/// Rebuilds the models that read something that changed, and no other.
pub(super) async fn build(
    plan: &Plan<'_>,
    tables: &[TableAfter],
    lake: &Lake,
    report: &mut Report,
) -> Result<Vec<Rebuilt>, Problem> {
    let due = due(plan, tables);
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |what: &str, e: DataFusionError| Problem::new(Class::Failed, format!("gold/{what}"), said(&e));
    let engine = Engine::new(plan, lake).map_err(|e| failed("engine", e))?;
    for table in TABLES {
        let files = match tables.iter().find(|t| t.table.name == table.name) {
            Some(after) => after.silver.live(),
            None => {
                let at = plan.at("silver", table.name).cloned().unwrap_or_default();
                lake.standing(&format!("silver/{}", table.name), &at).await?.files
            }
        };
        engine.silver(table, &files).await.map_err(|e| failed(table.name, e))?;
    }
    let mut rebuilt = Vec::new();
    for model in MODELS {
        let place = format!("gold/{}", model.name);
        let at = plan.at("gold", model.name).cloned().unwrap_or_default();
        if !due.contains(&model.name) {
            let before = lake.table_files(&place, at.version).await?;
            engine.kept(model, &before).await.map_err(|e| failed(model.name, e))?;
            continue;
        }
        let rows = engine.query(model).await.map_err(|e| failed(model.name, e))?;
        report.gold.push(engine.measure(model, rows.num_rows()).await.map_err(|e| failed(model.name, e))?);
        let mut change = lake.change(&place, at, rows.schema(), !plan.rebuilt.is_empty()).await?;
        change.adds = lake.write_table(&place, &plan.attempt, &rows, &[]).await?;
        change.removes = change.before.files.clone();
        rebuilt.push(Rebuilt { model, change, digest: sha256(model.sql.as_bytes()) });
    }
    Ok(rebuilt)
}

/// Whether a model is due although no table changes.
pub(super) fn is_due(plan: &Plan<'_>) -> bool {
    !due(plan, &[]).is_empty()
}

fn due(plan: &Plan<'_>, tables: &[TableAfter]) -> Vec<&'static str> {
    let changed = |silver: &&str| tables.iter().any(|t| t.table.name == *silver && t.silver.is_due());
    let mut due: Vec<&'static str> = Vec::new();
    for model in MODELS {
        let at = plan.at("gold", model.name);
        let is_due = at.is_none_or(|at| {
            let other_instant = model.dated && plan.as_of_is_given && at.as_of != Some(plan.as_of_text());
            other_instant || at.model != Some(sha256(model.sql.as_bytes()))
        });
        if is_due || model.silver.iter().any(changed) || model.gold.iter().any(|g| due.contains(g)) {
            due.push(model.name);
        }
    }
    due
}

struct Engine<'a> {
    context: SessionContext,
    lake: &'a Lake,
}

impl<'a> Engine<'a> {
    fn new(plan: &Plan<'_>, lake: &'a Lake) -> Result<Self, DataFusionError> {
        let context = session(lake, &["stored", "silver", "gold", "run"])?;
        let as_of = TimestampMicrosecondArray::from(vec![plan.as_of.timestamp_micros()]).with_timezone("UTC");
        let today = Date32Array::from(vec![days(plan.as_of.date_naive())]);
        let clock = RecordBatch::try_from_iter([("as_of", Arc::new(as_of) as ArrayRef), ("today", Arc::new(today))])?;
        let engine = Engine { context, lake };
        engine.memory("run.clock", clock)?;
        Ok(engine)
    }

    fn memory(&self, name: &str, batch: RecordBatch) -> Result<(), DataFusionError> {
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
        self.context.register_table(name, Arc::new(table)).map(|_| ())
    }

    /// Registers the files of a table; no files, no rows.
    async fn files(
        &self,
        name: &str,
        folder: &str,
        files: &[DataFile],
        schema: &Schema,
    ) -> Result<(), DataFusionError> {
        if files.is_empty() {
            return self.memory(name, RecordBatch::new_empty(Arc::new(schema.clone())));
        }
        // A file of before a column was added lacks it.
        let schema = Some(schema).filter(|schema| !schema.fields().is_empty());
        let view = files_view(&self.context, self.lake, folder, files, schema).await?;
        self.context.register_table(name, view).map(|_| ())
    }

    /// Shows models a silver table's current rows, and of its columns those that the tags let through.
    async fn silver(&self, table: &Table, files: &[DataFile]) -> Result<(), DataFusionError> {
        let stored = format!("stored.{}", table.name);
        self.files(&stored, &format!("silver/{}", table.name), files, &silver_schema(table)).await?;
        let hospital = table.by_hospital.then_some(HOSPITAL);
        let columns = table.columns.iter().filter(|c| c.in_gold()).map(|c| c.name);
        let columns: Vec<&str> = hospital.into_iter().chain(columns).chain(["surrogate_key"]).collect();
        let sql = format!("SELECT {} FROM {stored} WHERE is_current", columns.join(", "));
        let view = self.context.sql(&sql).await?.into_view();
        self.context.register_table(format!("silver.{}", table.name), view).map(|_| ())
    }

    /// Registers a model that stays as it is.
    async fn kept(&self, model: &Model, files: &TableFiles) -> Result<(), DataFusionError> {
        let name = format!("gold.{}", model.name);
        if files.files.is_empty() {
            let schema = self.context.sql(model.sql).await?.schema().as_arrow().clone();
            return self.memory(&name, RecordBatch::new_empty(Arc::new(schema)));
        }
        self.files(&name, &format!("gold/{}", model.name), &files.files, &Schema::empty()).await
    }

    /// Runs a model and shows its result to those that follow.
    async fn query(&self, model: &Model) -> Result<RecordBatch, DataFusionError> {
        let frame = self.context.sql(model.sql).await?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await?;
        let rows = plain(&concat_batches(&schema, &batches)?)?;
        self.memory(&format!("gold.{}", model.name), rows.clone())?;
        Ok(rows)
    }

    /// Counts what the gates and the reader want to know of a model.
    async fn measure(&self, model: &Model, rows: usize) -> Result<GoldReport, DataFusionError> {
        let mut report = GoldReport { model: model.name.to_owned(), rows: rows as u64, ..GoldReport::default() };
        let name = model.name;
        let distinct = format!("SELECT COUNT(*) FROM (SELECT DISTINCT {} FROM gold.{name})", model.grain.join(", "));
        report.repeated = rows as u64 - self.number(&distinct).await? as u64;
        for (column, from, of) in model.totals {
            let sum = |table: &str, column: &str| format!("SELECT COALESCE(SUM({column}), 0) FROM {table}");
            let wanted = self.cents(&sum(from, of)).await?;
            let found = self.cents(&sum(&format!("gold.{name}"), column)).await?;
            report.totals.push(Total { column, from, wanted, found });
        }
        if let Some(Fact { of, dimensions }) = model.fact {
            report.silver_rows = Some(self.number(&format!("SELECT COUNT(*) FROM silver.{of}")).await? as u64);
            for (key, dimension) in dimensions {
                let met = format!("SELECT COUNT(*) FROM gold.{name} WHERE {key} <> '{UNKNOWN}'");
                report.met.insert((*dimension).to_owned(), self.number(&met).await? as u64);
            }
        }
        Ok(report)
    }

    async fn one(&self, sql: &str) -> Result<ArrayRef, DataFusionError> {
        let batches = self.context.sql(sql).await?.collect().await?;
        let first = batches.iter().find(|b| b.num_rows() > 0).map(|b| b.column(0).clone());
        first.ok_or_else(|| DataFusionError::Internal("a count gave no row".to_owned()))
    }

    async fn number(&self, sql: &str) -> Result<i64, DataFusionError> {
        Ok(self.one(sql).await?.as_primitive::<Int64Type>().value(0))
    }

    async fn cents(&self, sql: &str) -> Result<i128, DataFusionError> {
        let sum = cast(&self.one(sql).await?, &DataType::Decimal128(38, 2))?;
        Ok(sum.as_primitive::<Decimal128Type>().value(0))
    }
}

/// The engine's words, unless they may hold what it computed with.
fn said(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => {
            "the model cannot be computed: a number does not fit, or a cast fails".to_owned()
        }
        other => other.strip_backtrace(),
    }
}

/// Casts a result to the few types that the lake uses, all nullable, without metadata.
fn plain(batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let to = match field.data_type() {
            DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => instant(),
            other => other.clone(),
        };
        columns.push(if column.data_type() == &to { column.clone() } else { cast(column, &to)? });
        fields.push(Field::new(field.name(), to, true));
    }
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new(schema, columns)?)
}
