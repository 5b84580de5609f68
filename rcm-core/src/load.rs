//! A line of `load_config.csv`: what is loaded from where, and how.

use crate::Lag;
use std::fmt;

/// What a delivery of a table means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadType {
    /// The whole table as it is: what is absent from it is gone.
    Full,
    /// Changed and new rows, ordered by a watermark column: absence says nothing.
    Incremental,
}

impl fmt::Display for LoadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LoadType::Full => "full",
            LoadType::Incremental => "incremental",
        })
    }
}

/// One line of `load_config.csv`, checked. Also the unit of failure of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadLine {
    /// Line in the file, for messages.
    pub line: u64,
    /// Name of the source block in `rcm.toml` (column `database`).
    pub source: String,
    /// The hospital in every key (column `datasource`); empty for a table shared by all.
    pub hospital: String,
    /// The source's name of the table, with its schema (column `tablename`).
    pub source_table: String,
    /// The table of the common model that it feeds, by the mapping.
    pub table: &'static str,
    /// Full or incremental.
    pub load_type: LoadType,
    /// The source's watermark column; empty for a full load.
    pub watermark: String,
    /// Whether it is loaded at all.
    pub is_active: bool,
    /// Folder under `bronze/`.
    pub target_path: String,
    /// File name pattern of this line; overrides that of the source block.
    pub files: Option<String>,
    /// How far below the watermark a database is read again, and a row of a file is not yet counted as `below_window`; none:
    /// as its source has it.
    pub lag: Option<Lag>,
    /// Of an incremental table of a database: whether keys that it no longer has are gone (column `deletes`: `keys`). Each run
    /// reads all of them then.
    pub deletes_by_keys: bool,
}

impl LoadLine {
    /// `hospital.table`, or `table` where all hospitals share it: how messages, selection and audit name the line.
    pub fn name(&self) -> String {
        match self.hospital.as_str() {
            "" => self.table.to_owned(),
            hospital => format!("{hospital}.{}", self.table),
        }
    }

    /// The folder name of the table in bronze: the source's name without its schema.
    pub fn bronze_table(&self) -> &str {
        self.source_table.rsplit('.').next().unwrap_or(&self.source_table)
    }
}
