//! The lake's tables as one publish left them, for SQL.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::{StreamExt, stream};
use rcm_connectors::lake::{DataFile, Lake, Location, Publish, TableFiles};
use rcm_core::model::{self, quarantine_schema, silver_schema};
use rcm_core::{Class, Problem};
use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

/// Partitions of a query: a constant, so that the machine does not show in the result.
const PARTITIONS: usize = 4;

/// A session over a lake's store, with empty schemas.
pub(crate) fn session(lake: &Lake, schemas: &[&str]) -> Result<SessionContext, DataFusionError> {
    let mut config = SessionConfig::new().with_target_partitions(PARTITIONS);
    // Plain Utf8 in and out: other readers of Delta know no views.
    config.options_mut().execution.parquet.schema_force_view_types = false;
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    let context = SessionContext::new_with_config(config);
    let url = lake.url("").map_err(|e| DataFusionError::External(Box::new(e)))?;
    context.register_object_store(&url, lake.object_store());
    let catalog = context.catalog("datafusion");
    let catalog = catalog.ok_or_else(|| DataFusionError::Internal("the default catalog is missing".to_owned()))?;
    for schema in schemas {
        catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()) as Arc<dyn SchemaProvider>)?;
    }
    Ok(context)
}

/// The rows of a table's files, of which there is one at least. `schema`: its columns, where a file may lack some.
pub(crate) async fn files_view(
    context: &SessionContext,
    lake: &Lake,
    table: &str,
    files: &[DataFile],
    schema: Option<&Schema>,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let external = |e: Problem| DataFusionError::External(Box::new(e));
    let parquet = async |files: &[&DataFile], schema: Option<&Schema>| {
        let urls = files.iter().map(|file| lake.url(&format!("{table}/{}", file.path)).map(String::from));
        let options = ParquetReadOptions::default();
        let options = if let Some(schema) = schema { options.schema(schema) } else { options };
        context.read_parquet(urls.collect::<Result<Vec<_>, _>>().map_err(external)?, options).await
    };
    let (marked, whole): (Vec<&DataFile>, Vec<&DataFile>) = files.iter().partition(|file| file.vector.is_some());
    if marked.is_empty() {
        return Ok(parquet(&whole, schema).await?.into_view());
    }
    let schema = match schema {
        Some(schema) => schema.clone(),
        None => parquet(&files.iter().collect::<Vec<_>>(), None).await?.schema().as_arrow().clone(),
    };
    let of_whole = if whole.is_empty() { None } else { Some(parquet(&whole, Some(&schema)).await?) };
    let schema = Arc::new(schema);
    let partition = |files: &[&DataFile]| {
        let files = files.iter().map(|file| (*file).clone()).collect();
        Arc::new(Marked { lake: lake.clone(), table: table.to_owned(), files, schema: schema.clone() }) as _
    };
    let partitions = marked.chunks(marked.len().div_ceil(PARTITIONS)).map(partition).collect();
    let of_marked = context.read_table(Arc::new(StreamingTable::try_new(schema.clone(), partitions)?))?;
    Ok(match of_whole {
        Some(of_whole) => of_whole.union(of_marked)?.into_view(),
        None => of_marked.into_view(),
    })
}

/// Files with deletion vectors: they are read one after the other.
#[derive(Debug)]
struct Marked {
    lake: Lake,
    table: String,
    files: Vec<DataFile>,
    schema: SchemaRef,
}

impl PartitionStream for Marked {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (lake, table, schema) = (self.lake.clone(), self.table.clone(), self.schema.clone());
        let rows = stream::iter(self.files.clone()).then(move |file| {
            let (lake, table, schema) = (lake.clone(), table.clone(), schema.clone());
            let files = TableFiles { files: vec![file], ..TableFiles::default() };
            async move {
                let rows = lake.read_table(&table, &files, &schema).await;
                rows.map_err(|e| DataFusionError::External(Box::new(e)))
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows))
    }
}

/// Which publish to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum At {
    /// The newest whose record is whole.
    #[default]
    Newest,
    /// This number.
    Publish(u64),
    /// The newest up to which no run's instant is later.
    Time(DateTime<Utc>),
}

impl At {
    /// The publish, and why it is not the newest one though that was asked for; none in a lake without one.
    pub(crate) async fn find(self, lake: &Lake) -> Result<Option<(Publish, Option<Problem>)>, Problem> {
        let (found, what) = match self {
            At::Newest => return lake.newest_whole().await,
            At::Publish(number) => (lake.publish(number).await?, format!("there is no publish {number}")),
            At::Time(time) => {
                (lake.publish_as_of(time).await?, format!("nothing was published as of {time:?} or before"))
            }
        };
        let kept_from = lake.newest_whole().await?.map_or(1, |(newest, _)| newest.kept_from);
        let wrong = |what, hint: String| Err(Problem::new(Class::Config, "--at", what).hint(hint));
        match found {
            Some(publish) if publish.publish < kept_from => {
                let what = format!("publish {} is no longer kept", publish.publish);
                wrong(what, format!("publishes from {kept_from} on can be read ([maintain] keep_publishes)"))
            }
            Some(publish) => Ok(Some((publish, None))),
            None => wrong(what, "`rcm status` tells the newest one".to_owned()),
        }
    }
}

impl FromStr for At {
    type Err = String;

    /// A number, an instant (RFC 3339) or a day in UTC.
    fn from_str(text: &str) -> Result<Self, String> {
        let day = || text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN).and_utc());
        let time = || text.parse::<DateTime<Utc>>().ok().or_else(day).map(At::Time);
        let at = text.parse().ok().map(At::Publish).or_else(time);
        at.ok_or_else(|| "expected the number of a publish, 2026-06-30 or 2026-06-30T00:00:00Z".to_owned())
    }
}

/// Tables named `layer.table`, all of one run: never a mixture of two.
pub struct Tables {
    context: SessionContext,
    /// The publish that is shown.
    pub publish: u64,
    /// Why it is not the newest one.
    pub damaged: Option<Problem>,
    /// Tables with rows.
    filled: BTreeSet<String>,
}

impl Tables {
    /// Opens the newest publish of a lake whose record is whole.
    ///
    /// # Errors
    /// A lake without a publish, or storage that fails.
    pub async fn newest(lake: impl Into<Location>) -> Result<Tables, Problem> {
        Tables::at(lake, At::Newest).await
    }

    /// The same of another publish, as long as `rcm maintain` keeps it.
    ///
    /// # Errors
    /// As [`Tables::newest`].
    pub async fn at(lake: impl Into<Location>, at: At) -> Result<Tables, Problem> {
        let location = lake.into();
        let nothing = || {
            Problem::new(Class::Failed, location.to_string(), "nothing was published here yet").hint("`rcm run` first")
        };
        let lake = Lake::existing(&location).await?.ok_or_else(nothing)?;
        let (publish, damaged) = at.find(&lake).await?.ok_or_else(nothing)?;
        let failed = |e| Problem::storage("query", e);
        let context = session(&lake, &["silver", "quarantine", "gold"]).map_err(failed)?;
        let mut tables = Tables { context, publish: publish.publish, damaged, filled: BTreeSet::new() };
        for (name, at) in &publish.tables {
            let files = lake.table_files(name, at.version).await?.files;
            tables.register(&lake, name, &files).await.map_err(|e| Problem::storage(name, e))?;
            if !files.is_empty() {
                tables.filled.insert(name.replace('/', "."));
            }
        }
        Ok(tables)
    }

    async fn register(&self, lake: &Lake, name: &str, files: &[DataFile]) -> Result<(), DataFusionError> {
        let schema = match name.split_once('/') {
            Some(("silver", table)) => model::table(table).map(silver_schema),
            Some(("quarantine", table)) => model::table(table).map(quarantine_schema),
            _ => None,
        };
        let view = match (files, schema) {
            // Nobody loads it, or nothing was wrong.
            ([], Some(schema)) => {
                Arc::new(MemTable::try_new(Arc::new(schema), vec![Vec::new()])?) as Arc<dyn TableProvider>
            }
            ([], None) => return Ok(()),
            (files, schema) => files_view(&self.context, lake, name, files, schema.as_ref()).await?,
        };
        self.context.register_table(name.replace('/', "."), view).map(|_| ())
    }

    /// Whether a table has rows.
    pub fn has(&self, name: &str) -> bool {
        self.filled.contains(name)
    }

    /// The answer to a query.
    ///
    /// # Errors
    /// SQL that cannot be run.
    pub async fn sql(&self, sql: &str) -> Result<Vec<RecordBatch>, Problem> {
        let failed = |e: DataFusionError| Problem::new(Class::Failed, "query", e.strip_backtrace());
        self.context.sql(sql).await.map_err(failed)?.collect().await.map_err(failed)
    }

    /// The answer as a table in text.
    ///
    /// # Errors
    /// As [`Tables::sql`].
    pub async fn show(&self, sql: &str) -> Result<String, Problem> {
        let batches = self.sql(sql).await?;
        let table = arrow::util::pretty::pretty_format_batches(&batches).map_err(|e| Problem::storage("query", e))?;
        Ok(table.to_string())
    }
}
