//! A table before and after a run: files that are written now and seen when the run is published.

use super::delta::{Commit, schema_json};
use super::redo::rebuild;
use super::{DataFile, Foreign, Lake, TableAt, TableCommit, TableFiles};
use crate::files::sha256;
use crate::parquet;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use rcm_core::{Class, Problem};
use std::sync::Arc;

/// What a run does to a Delta table.
#[derive(Debug)]
pub struct Change {
    /// `layer/table`.
    pub table: String,
    /// Where the table stood at the last publish; the default for a new table.
    pub at: TableAt,
    /// Its files then.
    pub before: TableFiles,
    /// Files that go.
    pub removes: Vec<DataFile>,
    /// Files that come.
    pub adds: Vec<DataFile>,
    /// Its columns after the run.
    pub schema: SchemaRef,
}

/// Who commits, and when.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// The publish number.
    pub publish: u64,
    /// The run.
    pub run_id: &'a str,
    /// Milliseconds of the wall clock, which Delta wants on every action.
    pub now_millis: i64,
}

impl Change {
    /// Whether a commit is needed: files changed, or the table is not there yet.
    pub fn is_due(&self) -> bool {
        self.before.version.is_none() || !self.adds.is_empty() || !self.removes.is_empty()
    }

    /// The live files after the run.
    pub fn live(&self) -> Vec<DataFile> {
        let kept = self.before.files.iter().filter(|f| !self.removes.contains(f));
        kept.chain(&self.adds).cloned().collect()
    }

    /// The commit, where one is due, and where the table stands after it. A column that came or went is told in it.
    ///
    /// # Errors
    /// A column of a type that the lake does not use; deletion vectors in a table whose protocol others changed.
    pub fn commit(&self, by: By<'_>) -> Result<(Option<TableCommit>, TableAt), Problem> {
        let mut at = self.at.clone();
        if !self.is_due() {
            return Ok((None, at));
        }
        let schema = schema_json(&self.schema, &self.table)?.to_string();
        let digest = sha256(schema.as_bytes());
        let id = at.id.get_or_insert_with(|| uuid::Uuid::new_v4().to_string()).clone();
        let has_new_schema = at.schema.as_ref() != Some(&digest);
        let had_vectors = self.before.with_vectors;
        let gets_vectors = !had_vectors && self.adds.iter().any(|file| file.vector.is_some());
        if gets_vectors && !self.before.is_plain {
            let what = "somebody else changed its protocol: it cannot get deletion vectors";
            return Err(Problem::new(Class::Drift, &self.table, what)
                .hint("write it as \"copy\", or move its folder away and rebuild it"));
        }
        let commit_id = format!("{}/{}", by.publish, self.table);
        let base = self.before.version;
        let commit = Commit {
            commit_id: &commit_id,
            txn: ("rcm", by.publish),
            create: base.is_none(),
            metadata: (has_new_schema || gets_vectors).then_some((id.as_str(), schema.as_str())),
            vectors: [had_vectors || gets_vectors, gets_vectors],
            removes: &self.removes,
            adds: &self.adds,
            now_millis: by.now_millis,
            run_id: by.run_id,
        }
        .bytes();
        at.version = Some(base.map_or(0, |b| b + 1));
        at.schema = Some(digest);
        Ok((Some(TableCommit { table: self.table.clone(), base, commit_id, commit }), at))
    }
}

impl Lake {
    /// The files of a table as the last publish left it. What others did to its layout is taken as it is.
    ///
    /// # Errors
    /// Class `drift` where others changed its rows or columns.
    pub async fn standing(&self, table: &str, at: &TableAt) -> Result<TableFiles, Problem> {
        let (head, foreign) = self.foreign(table, at).await?;
        if foreign == Foreign::Changed {
            let problem = |what: &str| Problem::new(Class::Drift, table, what);
            return Err(match at.version {
                None => problem("is there already, and no publish of this lake names it")
                    .hint("if the lake has lost its folder _rcm, restore it; else move the table's folder away"),
                Some(_) => problem("somebody else changed its rows or columns").hint(rebuild(table)),
            });
        }
        self.table_files(table, head).await
    }

    /// A table as the last publish left it, for a run to change; `rebuilt`: whatever others did to it, for one that builds
    /// it anew.
    ///
    /// # Errors
    /// As [`Lake::standing`]; a name that is no `layer/table`, of other letters than stand for themselves in a URL, or below
    /// `audit` or `bronze`.
    pub async fn change(
        &self,
        table: &str,
        mut at: TableAt,
        schema: SchemaRef,
        rebuilt: bool,
    ) -> Result<Change, Problem> {
        let is_plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with(['.', '_'])
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        };
        let is_others = table.starts_with("audit/") || table.starts_with("bronze/");
        if !table.contains('/') || is_others || !table.split('/').all(is_plain) {
            let what = "is no name of a table here";
            return Err(
                Problem::new(Class::Config, table, what).hint("take layer/table, of letters, digits, `_`, `-` and `.`")
            );
        }
        let before = match self.standing(table, &at).await {
            Err(problem) if rebuilt && problem.class == Class::Drift && at.version.is_some() => {
                // Its columns are told anew.
                (at.schema, at.others) = (None, false);
                let head = self.head(table).await?;
                self.table_files(table, head).await.map_err(|problem| {
                    problem.hint(format!(
                        "remove {table}/_delta_log, then run the same again: it is built anew from bronze"
                    ))
                })?
            }
            before => before?,
        };
        let (removes, adds) = (Vec::new(), Vec::new());
        Ok(Change { table: table.to_owned(), at, before, removes, adds, schema })
    }

    /// The rows of a table, in columns of a schema, by name: one that a file lacks is null there.
    ///
    /// # Errors
    /// A file that cannot be read, or a column of another type than the schema's.
    pub async fn read_table(&self, table: &str, files: &TableFiles, schema: &Schema) -> Result<RecordBatch, Problem> {
        let schema = Arc::new(schema.clone());
        let mut batches = Vec::new();
        for file in &files.files {
            let path = format!("{table}/{}", file.path);
            let rows = parquet::decode(self.get(&path).await?).map_err(|e| Problem::storage(&path, e))?;
            for batch in self.live(table, file, rows).await? {
                batches.push(fit(&batch, &schema, &path)?);
            }
        }
        concat_batches(&schema, &batches).map_err(|e| Problem::storage(table, e))
    }

    /// Some columns of the rows of a table, which are all in its files; no columns of a table without files.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn read_columns(&self, table: &str, files: &TableFiles, names: &[&str]) -> Result<RecordBatch, Problem> {
        let mut batches = Vec::new();
        for file in &files.files {
            let path = format!("{table}/{}", file.path);
            let rows = parquet::decode_columns(self.get(&path).await?, names);
            batches.extend(self.live(table, file, rows.map_err(|e| Problem::storage(&path, e))?).await?);
        }
        let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
        concat_batches(&schema, &batches).map_err(|e| Problem::storage(table, e))
    }

    /// Writes rows as files of a table, cut at a constant number of rows.
    ///
    /// # Errors
    /// Storage that fails.
    pub async fn write_table(
        &self,
        table: &str,
        attempt: &str,
        rows: &RecordBatch,
        statistics: &[&str],
    ) -> Result<Vec<DataFile>, Problem> {
        let mut files = Vec::new();
        for (n, piece) in parquet::cut(rows).into_iter().enumerate() {
            let path = format!("{attempt}-{n}.parquet");
            let (count, schema) = (piece.num_rows() as u64, piece.schema());
            let bytes = parquet::encode(&schema, &[piece], statistics).map_err(|e| Problem::storage(&path, e))?;
            let size = bytes.len() as u64;
            self.put(&format!("{table}/{path}"), bytes).await?;
            files.push(DataFile::new(path, size, count));
        }
        Ok(files)
    }
}

pub(super) fn fit(batch: &RecordBatch, schema: &SchemaRef, path: &str) -> Result<RecordBatch, Problem> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        None => Ok(arrow::array::new_null_array(field.data_type(), batch.num_rows())),
        Some(column) if column.data_type().equals_datatype(field.data_type()) => Ok(column.clone()),
        Some(column) => {
            let what = format!("column `{}` is {}, expected {}", field.name(), column.data_type(), field.data_type());
            Err(Problem::new(Class::Failed, path, what)
                .hint("`rcm run --full-refresh` rebuilds the table from the bronze archive"))
        }
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema.clone(), columns).map_err(|e| Problem::storage(path, e))
}
