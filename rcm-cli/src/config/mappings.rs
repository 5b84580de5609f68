//! `mappings/<datasource>.toml`.

use super::file::{line_of, toml_fault};
use super::{choose, fault};
use rcm_connectors::csv::{Encoding, Format};
use rcm_connectors::files::sha256;
use rcm_core::Problem;
use rcm_transforms::mapping::{ColumnMapping, CsvMapping, Mapping};
use std::path::Path;

pub(super) fn read(path: &Path) -> Result<(Mapping, String), Vec<Problem>> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        let hint = "a hospital needs a mapping file of its name; copy that of another and change it";
        vec![fault(path, 0, format!("cannot be read: {e}")).hint(hint)]
    })?;
    let mapping: Mapping = toml::from_str(&text).map_err(|e| vec![toml_fault(path, &text, &e)])?;
    let mut problems: Vec<Problem> = mapping
        .faults()
        .into_iter()
        .map(|f| {
            let at: Vec<&str> = f.at.iter().map(String::as_str).collect();
            let valid: Vec<&str> = f.valid.iter().map(String::as_str).collect();
            let problem = fault(path, line_of(&text, &at), f.what);
            match at.last() {
                Some(word) if !valid.is_empty() => problem.hint(choose(word, &valid)),
                _ => problem,
            }
        })
        .collect();
    for (table, columns) in mapping.tables.iter().map(|(t, m)| (t, &m.columns)) {
        for (column, from) in columns.iter().filter(|(_, c)| !is_date_format(c)) {
            let at = line_of(&text, &["tables", table, "columns", column]);
            let what = format!("`{}` is no date format", from.format().unwrap_or_default());
            problems.push(fault(path, at, what).hint("write it like %Y-%m-%d or %m/%d/%Y"));
        }
    }
    for (table, mapping) in &mapping.tables {
        if let Err((what, hint)) = csv_format(&mapping.csv) {
            problems.push(fault(path, line_of(&text, &["tables", table, "csv"]), what).hint(hint));
        }
    }
    if problems.is_empty() { Ok((mapping, sha256(text.as_bytes()))) } else { Err(problems) }
}

/// How a table's files are written; else what is wrong, and what to do.
pub(crate) fn csv_format(csv: &CsvMapping) -> Result<Format, (String, String)> {
    let character = "write one ASCII character, such as \";\" or \"\\t\"".to_owned();
    let one = |name: &str, text: &str| match text.as_bytes() {
        [byte] if byte.is_ascii() => Ok(Some(*byte)),
        _ => Err((format!("`{name}` of `csv` is no single ASCII character"), character.clone())),
    };
    let char = |name: &str, char: Option<char>| char.map_or(Ok(None), |char| one(name, &char.to_string()));
    let encoding = match &csv.encoding {
        None => None,
        Some(label) => {
            let labels = Encoding::LABELS.map(|(label, _)| label);
            let known = Encoding::LABELS.iter().find(|(known, _)| known == label).map(|(_, encoding)| *encoding);
            Some(known.ok_or_else(|| (format!("encoding `{label}` is unknown"), choose(label, &labels)))?)
        }
    };
    let quote = match csv.quote.as_deref() {
        None => Some(b'"'),
        Some("") => None,
        Some(quote) => one("quote", quote)?,
    };
    let (delimiter, escape) = (char("delimiter", csv.delimiter)?, char("escape", csv.escape)?);
    let format = Format { encoding, delimiter, quote, escape };
    match format.fault() {
        None => Ok(format),
        Some(fault) => Err((fault.to_owned(), "leave `escape` out where a quote in quotes is two".to_owned())),
    }
}

fn is_date_format(column: &ColumnMapping) -> bool {
    column.format().is_none_or(|format| {
        !format.is_empty() && chrono::format::StrftimeItems::new(format).all(|i| i != chrono::format::Item::Error)
    })
}
