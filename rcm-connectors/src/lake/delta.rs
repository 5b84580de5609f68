//! Delta tables: opened by deltalake, committed with bytes that are ours.

use super::redo::without_log;
use super::replay::Protocol;
use super::{Lake, Vector};
use arrow::datatypes::{DataType, Field, Schema};
use deltalake::kernel::LogicalFileView;
use deltalake::{DeltaTable, DeltaTableError};
use rcm_core::{Class, Problem};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A data file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Relative to the table's folder.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Rows, also those that are no longer in the table.
    pub rows: u64,
    /// Which of them are not.
    pub vector: Option<Vector>,
}

impl DataFile {
    /// A file all of whose rows are in the table.
    pub fn new(path: String, size: u64, rows: u64) -> Self {
        DataFile { path, size, rows, vector: None }
    }

    /// Rows that are in the table.
    pub fn live(&self) -> u64 {
        self.rows - self.vector.as_ref().map_or(0, Vector::rows).min(self.rows)
    }
}

/// The live files of a table at a version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableFiles {
    /// None: the table does not exist.
    pub version: Option<u64>,
    /// In the order of their names.
    pub files: Vec<DataFile>,
    /// Whether the table's protocol allows deletion vectors: readers that do not know them refuse it.
    pub with_vectors: bool,
    /// Whether its protocol is the one that this program begins with: reader version 1, writer version 2.
    pub is_plain: bool,
}

/// A commit to be written, before it is bytes.
#[derive(Debug)]
pub(super) struct Commit<'a> {
    /// `<publish>/<table>`.
    pub(super) commit_id: &'a str,
    /// Application id and version of the commit's `txn`: (`rcm`, publish number), or the attempt in the audit table.
    pub(super) txn: (&'a str, u64),
    /// Whether the table is to be created.
    pub(super) create: bool,
    /// Id and schema of the table, where they are new.
    pub(super) metadata: Option<(&'a str, &'a str)>,
    /// Whether the table allows deletion vectors, and whether it does so from this commit on.
    pub(super) vectors: [bool; 2],
    /// Files that go.
    pub(super) removes: &'a [DataFile],
    /// Files that come.
    pub(super) adds: &'a [DataFile],
    /// Milliseconds of the wall clock, which Delta wants on every action.
    pub(super) now_millis: i64,
    /// The run.
    pub(super) run_id: &'a str,
}

impl Commit<'_> {
    /// The bytes of the commit file. Where there are no deletion vectors, reader version 1, writer version 2, no feature that
    /// a reader could lack.
    pub(super) fn bytes(&self) -> String {
        let mut actions = vec![json!({"commitInfo": {
            "timestamp": self.now_millis, "operation": if self.create { "CREATE TABLE AS SELECT" } else { "MERGE" },
            "operationParameters": {}, "engineInfo": concat!("rcm/", env!("CARGO_PKG_VERSION")),
            "commitId": self.commit_id, "runId": self.run_id,
        }})];
        let [with_vectors, from_here] = self.vectors;
        if from_here {
            // Those of writer version 2 by name, and one more.
            let features = ["appendOnly", "deletionVectors", "invariants"];
            actions.push(json!({"protocol": {
                "minReaderVersion": 3, "minWriterVersion": 7,
                "readerFeatures": ["deletionVectors"], "writerFeatures": features,
            }}));
        } else if self.create {
            actions.push(json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}));
        }
        if let Some((id, schema)) = self.metadata {
            let configuration = match with_vectors {
                true => json!({"delta.enableDeletionVectors": "true"}),
                false => json!({}),
            };
            actions.push(json!({"metaData": {
                "id": id, "format": {"provider": "parquet", "options": {}}, "schemaString": schema,
                "partitionColumns": [], "configuration": configuration, "createdTime": self.now_millis,
            }}));
        }
        actions.push(json!({"txn": {"appId": self.txn.0, "version": self.txn.1, "lastUpdated": self.now_millis}}));
        for file in self.removes {
            let mut remove = json!({
                "path": file.path, "deletionTimestamp": self.now_millis, "dataChange": true,
                "extendedFileMetadata": true, "partitionValues": {}, "size": file.size,
            });
            if let Some(vector) = &file.vector {
                remove["deletionVector"] = vector.action();
            }
            actions.push(json!({"remove": remove}));
        }
        for file in self.adds {
            // Numbers of rows only: least and greatest values would put names and keys of patients into the log.
            let mut stats = json!({"numRecords": file.rows});
            if file.vector.is_some() {
                stats["tightBounds"] = json!(false);
            }
            let mut add = json!({
                "path": file.path, "partitionValues": {}, "size": file.size, "modificationTime": self.now_millis,
                "dataChange": true, "stats": stats.to_string(),
            });
            if let Some(vector) = &file.vector {
                add["deletionVector"] = vector.action();
            }
            actions.push(json!({"add": add}));
        }
        actions.iter().map(|a| a.to_string() + "\n").collect()
    }
}

pub(super) fn schema_json(schema: &Schema, table: &str) -> Result<Value, Problem> {
    let fields = schema.fields().iter().map(|f| field_json(f, table)).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({"type": "struct", "fields": fields}))
}

fn field_json(field: &Field, table: &str) -> Result<Value, Problem> {
    Ok(
        json!({"name": field.name(), "type": type_json(field.data_type(), field.name(), table)?, "nullable": true, "metadata": {}}),
    )
}

fn type_json(data_type: &DataType, column: &str, table: &str) -> Result<Value, Problem> {
    Ok(match data_type {
        DataType::Utf8 => json!("string"),
        DataType::Int64 => json!("long"),
        DataType::Int32 => json!("integer"),
        DataType::Boolean => json!("boolean"),
        DataType::Date32 => json!("date"),
        DataType::Timestamp(_, Some(_)) => json!("timestamp"),
        DataType::Decimal128(precision, scale) => json!(format!("decimal({precision},{scale})")),
        DataType::List(item) => {
            json!({"type": "array", "elementType": type_json(item.data_type(), column, table)?, "containsNull": true})
        }
        other => {
            return Err(Problem::new(Class::Failed, table, format!("column `{column}` has type {other}, which the lake does not use"))
                .hint("cast it in the model's SQL to VARCHAR, BIGINT, INT, BOOLEAN, DATE, DECIMAL or TIMESTAMP WITH TIME ZONE"));
        }
    })
}

impl Lake {
    /// The live files of a table at the version that a publish names.
    ///
    /// # Errors
    /// A log that cannot be read at that version.
    pub async fn table_files(&self, table: &str, version: Option<u64>) -> Result<TableFiles, Problem> {
        let Some(version) = version else { return Ok(TableFiles::default()) };
        if let Some(files) = self.replay(table, version).await? {
            return Ok(files);
        }
        // Maintenance may have cut the log since this handle learned where it can be entered.
        if self.refresh().await
            && let Some(files) = self.replay(table, version).await?
        {
            return Ok(files);
        }
        Ok(self.by_deltalake(table, version).await?.0)
    }

    /// The same out of any log that deltalake can read, and what it asks of readers.
    pub(super) async fn by_deltalake(&self, table: &str, version: u64) -> Result<(TableFiles, Protocol), Problem> {
        let failed = |e: DeltaTableError| {
            Problem::new(Class::Failed, table, format!("version {version} cannot be read: {e}"))
                .hint(without_log(table))
        };
        let load = async || {
            let mut delta = DeltaTable::new(self.log_at(table, version).await?);
            delta.load_version(version).await.map_err(failed)?;
            Ok::<_, Problem>(delta)
        };
        let delta = match load().await {
            // Or it cuts it just now.
            Err(_) if self.refresh().await => load().await?,
            delta => delta?,
        };
        let state = delta.snapshot().map_err(failed)?;
        let file = |f: LogicalFileView| DataFile {
            path: f.path().into_owned(),
            size: u64::try_from(f.size()).unwrap_or(0),
            rows: f.num_records().unwrap_or(0) as u64,
            vector: f.deletion_vector_descriptor().map(Vector::new),
        };
        // deltalake panics where a damaged log names a kind of vectors that there is not.
        let files = catch_unwind(AssertUnwindSafe(|| state.log_data().iter().map(file).collect()));
        let mut files: Vec<DataFile> = files.map_err(|_| {
            let what = format!("version {version} cannot be read: a deletion vector of no known kind");
            Problem::new(Class::Failed, table, what).hint(super::redo::rebuild(table))
        })?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let protocol = serde_json::to_value(state.protocol()).and_then(serde_json::from_value::<Protocol>);
        let protocol = protocol.map_err(|e| Problem::storage(table, e))?;
        let (with_vectors, is_plain) = (protocol.has_vectors(), protocol.is_plain());
        Ok((TableFiles { version: Some(version), files, with_vectors, is_plain }, protocol))
    }

    /// The version at the head of a table's log; none where there is no table.
    ///
    /// # Errors
    /// A log that cannot be listed.
    pub async fn head(&self, table: &str) -> Result<Option<u64>, Problem> {
        Ok(self.versions(table).await?.into_iter().max())
    }

    /// The versions that a table's log still has.
    pub(super) async fn versions(&self, table: &str) -> Result<Vec<u64>, Problem> {
        let names = self.names(&format!("{table}/_delta_log")).await?;
        Ok(names.iter().filter_map(|n| n.strip_suffix(".json")?.parse().ok()).collect())
    }
}
