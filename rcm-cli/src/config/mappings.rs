//! `mappings/<datasource>.toml`.

use super::file::{line_of, toml_fault};
use super::{choose, fault};
use rcm_connectors::files::sha256;
use rcm_core::Problem;
use rcm_transforms::mapping::{ColumnMapping, Mapping};
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
            let what = format!("`{}` is no date format", from.format());
            problems.push(fault(path, at, what).hint("write it like %Y-%m-%d or %m/%d/%Y"));
        }
    }
    if problems.is_empty() { Ok((mapping, sha256(text.as_bytes()))) } else { Err(problems) }
}

fn is_date_format(column: &ColumnMapping) -> bool {
    let mut items = chrono::format::StrftimeItems::new(column.format());
    !column.format().is_empty() && items.all(|i| i != chrono::format::Item::Error)
}
