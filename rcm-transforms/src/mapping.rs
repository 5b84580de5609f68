//! How one hospital's tables become the common model. A mapping is a file; a third hospital needs no code.

use rcm_core::model::{Table, table};
use rcm_core::{Class, Problem};
use serde::Deserialize;
use std::collections::BTreeMap;

/// One mapping file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Words that mean "no value", exactly as they stand, beside the empty field. Default: none.
    #[serde(default)]
    pub null: Vec<String>,
    /// Common model table → how it is read.
    pub tables: BTreeMap<String, TableMapping>,
}

/// How one table of the common model is read from the source's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableMapping {
    /// `tablename` in `load_config.csv`; must be given.
    #[serde(default)]
    pub source: String,
    /// Source columns that are not loaded on purpose. Default: none.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// What becomes of a delivery whose columns are not those of the mapping. Default: freeze.
    #[serde(default)]
    pub on_drift: OnDrift,
    /// How its files are written, where they are CSV. Default: found in each file.
    #[serde(default)]
    pub csv: CsvMapping,
    /// Of an incremental table: the source column that says that a row is deleted. Default: none, rows stay for ever.
    #[serde(default)]
    pub deleted: Option<DeletedMapping>,
    /// Common model column → source column; key and required columns must be among them.
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnMapping>,
}

/// Where it stands that a row is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum DeletedMapping {
    /// A source column that is true, or `1`, `t`, `true`, `y`, `yes` in whatever case; false, or nothing, or the contrary of these,
    /// where a row is not deleted.
    Name(String),
    /// A source column that is one of some words, exactly as they stand.
    Words {
        /// The source column's name.
        from: String,
        /// The words.
        is: Vec<String>,
    },
}

impl DeletedMapping {
    /// The source column's name.
    pub fn from(&self) -> &str {
        match self {
            DeletedMapping::Name(name) | DeletedMapping::Words { from: name, .. } => name,
        }
    }

    /// What a text of the column says; none where it says neither.
    ///
    /// ```
    /// use rcm_transforms::mapping::DeletedMapping;
    ///
    /// let flag = DeletedMapping::Name("is_deleted".to_owned());
    /// assert_eq!(["1", "False", "maybe"].map(|text| flag.says(text)), [Some(true), Some(false), None]);
    /// let words = DeletedMapping::Words { from: "status".to_owned(), is: vec!["D".to_owned()] };
    /// assert_eq!(["D", "d"].map(|text| words.says(text)), [Some(true), Some(false)]);
    /// ```
    pub fn says(&self, text: &str) -> Option<bool> {
        match self {
            DeletedMapping::Name(_) => match text.to_lowercase().as_str() {
                "1" | "t" | "true" | "y" | "yes" => Some(true),
                "0" | "f" | "false" | "n" | "no" => Some(false),
                _ => None,
            },
            DeletedMapping::Words { is, .. } => Some(is.iter().any(|word| word == text)),
        }
    }
}

/// What becomes of a delivery with columns that the mapping does not know, or without some that it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDrift {
    /// The load fails, and nothing of it is kept.
    #[default]
    Freeze,
    /// What is new is kept in bronze only, what is missing and not required is null; both are said.
    Evolve,
    /// All its records are quarantined, until the mapping knows the columns and the table is rebuilt.
    Quarantine,
}

/// How CSV files are written. What is not said is found in each file: the encoding by its mark (without one it is UTF-8), the
/// delimiter by trying `,`, `;`, tab and `|`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvMapping {
    /// `utf-8`, `utf-16le`, `utf-16be` or `latin1`.
    pub encoding: Option<String>,
    /// Between two fields.
    pub delimiter: Option<char>,
    /// Around a field; empty: quotes are text. Default: `"`.
    pub quote: Option<String>,
    /// In quotes before a character that means itself. Default: none, a quote in quotes is two.
    pub escape: Option<char>,
}

/// How one column is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ColumnMapping {
    /// The source column's name.
    Name(String),
    /// Name and more.
    Full(FullMapping),
}

/// A column that needs more than a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullMapping {
    /// The source column's name.
    pub from: String,
    /// Put before every value that does not begin with it: the source's keys under one vocabulary.
    #[serde(default)]
    pub prefix: String,
    /// Format of a date (`chrono::format::strftime`). Default: `%Y-%m-%d`, or what is found in a column without such dates.
    #[serde(default)]
    pub format: Option<String>,
}

impl ColumnMapping {
    /// The source column's name.
    pub fn from(&self) -> &str {
        match self {
            ColumnMapping::Name(name) => name,
            ColumnMapping::Full(full) => &full.from,
        }
    }

    /// The prefix of values; empty for none.
    pub fn prefix(&self) -> &str {
        match self {
            ColumnMapping::Name(_) => "",
            ColumnMapping::Full(full) => &full.prefix,
        }
    }

    /// The format of dates, where it is declared.
    pub fn format(&self) -> Option<&str> {
        match self {
            ColumnMapping::Name(_) => None,
            ColumnMapping::Full(full) => full.format.as_deref(),
        }
    }
}

/// What is wrong with a mapping: the path of keys to it, what, and the nearest valid words to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Keys from the top of the file, such as `["tables", "patients", "columns", "dob"]`.
    pub at: Vec<String>,
    /// What is wrong.
    pub what: String,
    /// Words that would be right there; empty where there is no choice.
    pub valid: Vec<String>,
}

impl Mapping {
    /// The table of the common model that a source's table feeds.
    pub fn table_of(&self, source_table: &str) -> Option<(&'static Table, &TableMapping)> {
        let (name, mapping) = self.tables.iter().find(|(_, t)| t.source == source_table)?;
        Some((table(name)?, mapping))
    }

    /// Everything that cannot be right whatever the data: unknown tables and columns, keys and required columns that are
    /// not mapped, a source column used as two.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (name, mapping) in &self.tables {
            let at =
                |rest: &[&str]| [&["tables", name.as_str()], rest].concat().iter().map(|s| (*s).to_owned()).collect();
            let Some(table) = table(name) else {
                let valid = rcm_core::model::TABLES.iter().map(|t| t.name.to_owned()).collect();
                faults.push(Fault { at: at(&[]), what: format!("the common model has no table `{name}`"), valid });
                continue;
            };
            if mapping.source.is_empty() {
                let what = format!("table `{name}` does not say from which `source` it is read");
                faults.push(Fault { at: at(&[]), what, valid: Vec::new() });
            }
            for (column, m) in &mapping.columns {
                if table.column(column).is_none() {
                    let what = format!("table `{name}` of the common model has no column `{column}`");
                    let valid = table.columns.iter().map(|c| c.name.to_owned()).collect();
                    faults.push(Fault { at: at(&["columns", column]), what, valid });
                }
                if mapping.ignore.iter().any(|i| i == m.from()) {
                    let what = format!("source column `{}` is mapped and ignored", m.from());
                    faults.push(Fault { at: at(&["columns", column]), what, valid: Vec::new() });
                }
            }
            if let Some(deleted) = mapping.deleted.as_ref().filter(|d| mapping.ignore.iter().any(|i| i == d.from())) {
                let what = format!("source column `{}` says what is deleted, and is ignored", deleted.from());
                faults.push(Fault { at: at(&["deleted"]), what, valid: Vec::new() });
            }
            for c in table.columns.iter().filter(|c| c.required.is_some()) {
                // A full load has no watermark; whether this table needs one is for `load_config.csv` to say.
                let needed = c.role != rcm_core::model::Role::Watermark;
                if needed && !mapping.columns.contains_key(c.name) {
                    let what = format!("column `{}` of the common model is required and not mapped", c.name);
                    faults.push(Fault { at: at(&["columns"]), what, valid: Vec::new() });
                }
            }
        }
        faults
    }
}

impl TableMapping {
    /// Holds a delivery's columns to the mapping, before anything of it is kept. Where the table may evolve: what is to be said
    /// of them.
    ///
    /// # Errors
    /// Class `drift`: a first line that is no header; a mapped column that is not there, or a column that is neither mapped nor
    /// ignored; where the table may evolve, a required column that is not there.
    pub fn check_columns(&self, table: &Table, names: &[&str], place: &str) -> Result<Vec<String>, Problem> {
        let drift = |what: String, hint: String| Err(Problem::new(Class::Drift, place, what).hint(hint));
        let known = names.iter().filter(|n| self.knows(n)).count();
        if known == 0 {
            // What stands there may be a patient.
            let wanted: Vec<_> = self.columns.values().map(|c| format!("`{}`", c.from())).collect();
            return drift(
                format!("the first line is no header: none of its {} fields is a known column", names.len()),
                format!("deliver it with a header line; expected are {}", wanted.join(", ")),
            );
        }
        let evolves = self.on_drift == OnDrift::Evolve;
        let may_lack = |column: &str| evolves && table.column(column).is_some_and(|c| c.required.is_none());
        // Without it nobody would be deleted any more.
        if let Some(deleted) = self.deleted.as_ref().filter(|deleted| !names.contains(&deleted.from())) {
            return drift(
                format!("column `{}`, which says what is deleted, is missing", deleted.from()),
                format!("deliver it, or change `deleted` of `{}` in the mapping", self.source),
            );
        }
        let absent = self.columns.iter().filter(|(_, from)| !names.contains(&from.from()));
        let (null, missing): (Vec<_>, Vec<_>) = absent.partition(|(column, _)| may_lack(column));
        let quoted = |columns: Vec<(&String, &ColumnMapping)>| {
            columns.iter().map(|(_, from)| format!("`{}`", from.from())).collect::<Vec<_>>().join(", ")
        };
        if !missing.is_empty() {
            let header = format!("the header has {} columns, {known} of them known", names.len());
            return drift(
                format!("column {} is missing ({header})", quoted(missing)),
                format!("deliver it, or change [tables.*.columns] of `{}` in the mapping", self.source),
            );
        }
        let unknown = names.iter().enumerate().filter(|(_, n)| !self.knows(n));
        // Where one is missing, what stands in its place may be a row's.
        let may_tell = |n: &str| null.is_empty() && is_identifier(n);
        let unknown: Vec<String> =
            unknown.map(|(at, n)| if may_tell(n) { format!("`{n}`") } else { format!("number {}", at + 1) }).collect();
        if !unknown.is_empty() && !evolves {
            return drift(
                format!("column {} is unknown: neither mapped nor ignored", unknown.join(", ")),
                format!("map it, or add it to `ignore` of `{}` in the mapping", self.source),
            );
        }
        let mut notes = Vec::new();
        if !unknown.is_empty() {
            notes.push(format!("column {} is unknown: kept in bronze only", unknown.join(", ")));
        }
        if !null.is_empty() {
            notes.push(format!("column {} is missing: read as null", quoted(null)));
        }
        Ok(notes)
    }

    /// Whether a delivery with such columns is quarantined if they are not those of the mapping: not where nothing says that its
    /// first line is a header.
    pub fn quarantines(&self, names: &[&str]) -> bool {
        self.on_drift == OnDrift::Quarantine && names.iter().any(|name| self.knows(name))
    }

    /// Whether a source column is mapped or ignored.
    pub fn knows(&self, column: &str) -> bool {
        let is_deleted = self.deleted.as_ref().is_some_and(|deleted| deleted.from() == column);
        is_deleted || self.columns.values().any(|c| c.from() == column) || self.ignore.iter().any(|i| i == column)
    }
}

/// Whether a name may be repeated in a message: the other columns are all there, so it stands in a header.
fn is_identifier(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ' '))
}
