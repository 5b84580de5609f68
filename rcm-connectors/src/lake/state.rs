//! What a silver table must remember beside its rows.

use super::Lake;
use rcm_core::{Problem, Watermark};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A landing file, or what was read of a table of a database, that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFile {
    /// The line that read it, `hospital.table`.
    pub load: String,
    /// Its hospital; empty where all share the table.
    pub hospital: String,
    /// Source block.
    pub source: String,
    /// Name, relative to the source's root; of a table its name.
    pub file: String,
    /// SHA-256 of its bytes; of a table of a database that of its bytes in bronze.
    pub sha256: String,
    /// Instant of the run that first read it: the second sequence of its rows (silver's `source_read_at`).
    pub as_of: String,
    /// Its place in name order among the files of its line at that instant: the third sequence
    /// (silver's `source_place`).
    pub place: u64,
    /// The run that read it.
    pub run_id: String,
    /// Its rows in bronze.
    pub bronze: String,
    /// Its rejected lines in bronze, where there are any.
    pub rejected: Option<String>,
    /// Of a table of a database: how far it was read then, at the source's own precision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Watermark>,
    /// The column of that watermark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// What the table's name stood for at its source, where that is not the name itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Whether it shows its table at several instants: then what is absent from it says nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub torn: bool,
    /// Its columns were not those of the mapping, and its rows are quarantined until they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drifted: bool,
    /// What its rows say of their keys.
    #[serde(default, skip_serializing_if = "Presence::is_told_by_rows")]
    pub presence: Presence,
}

/// What the rows of a file say of their keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// They are what they are since their watermark, or gone since then.
    #[default]
    Rows,
    /// They are keys that the table no longer had at the run's instant.
    Gone,
    /// They were gone, and are there again at the run's instant, with a watermark that is older.
    Back,
}

impl Presence {
    fn is_told_by_rows(&self) -> bool {
        *self == Presence::Rows
    }
}

/// The state of a silver table: which files are in it, how far each line has come, by which rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct TableState {
    /// Full or incremental: what history was built by. A change of it is refused without `--full-refresh`.
    pub load_type: String,
    /// All files, in the order in which they were read.
    pub files: Vec<ReadFile>,
    /// Load → greatest watermark read, as the source wrote it in days (`YYYY-MM-DD`).
    pub watermarks: BTreeMap<String, String>,
}

impl TableState {
    /// The file that a line read last.
    pub fn last(&self, load: &str) -> Option<&ReadFile> {
        self.files.iter().rev().find(|f| f.load == load)
    }

    /// Whether a drop is on the list.
    pub fn has(&self, load: &str, file: &str, sha256: &str) -> bool {
        self.files.iter().any(|f| f.load == load && f.file == file && f.sha256 == sha256)
    }
}

impl Lake {
    /// Reads a JSON state part.
    ///
    /// # Errors
    /// A part that is missing or damaged.
    pub async fn table_state(&self, path: &str) -> Result<TableState, Problem> {
        super::record::unseal(&self.get(path).await?, path)
    }

    /// Writes a JSON state part.
    ///
    /// # Errors
    /// Storage that fails.
    pub async fn put_table_state(&self, path: &str, state: &TableState) -> Result<(), Problem> {
        self.put(path, super::record::seal(state, path)?).await
    }
}
