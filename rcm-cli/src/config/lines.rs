//! `load_config.csv`: what is loaded, a line each.

use super::{Source, choose, duration, fault, is_safe_name};
use rcm_core::model::Role;
use rcm_core::{Lag, LoadLine, LoadType, Problem};
use rcm_transforms::mapping::Mapping;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const REQUIRED: [&str; 7] = ["database", "datasource", "tablename", "loadtype", "watermark", "is_active", "targetpath"];
const OPTIONAL: [&str; 3] = ["files", "lag", "deletes"];

/// The hospitals that the file names; their mappings are read next. Faults of the file are told by [`read`].
pub(super) fn hospitals(text: &str) -> BTreeSet<String> {
    let mut reader = reader(text);
    let Some(at) = reader.headers().ok().and_then(|h| h.iter().position(|c| c == "datasource")) else {
        return BTreeSet::new();
    };
    let names = reader.records().flatten().filter_map(|r| r.get(at).map(str::to_owned));
    names.filter(|n| n.is_empty() || is_safe_name(n)).collect()
}

fn reader(text: &str) -> csv::Reader<&[u8]> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes())
}

pub(super) fn read(
    path: &Path,
    text: &str,
    sources: &BTreeMap<String, Source>,
    mappings: &BTreeMap<String, Mapping>,
) -> (Vec<LoadLine>, Vec<Problem>) {
    let (mut lines, mut problems) = (Vec::new(), Vec::new());
    let mut reader = reader(text);
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(_) => return (lines, vec![fault(path, 1, "the header is no UTF-8 text")]),
    };
    let valid = [REQUIRED.as_slice(), OPTIONAL.as_slice()].concat();
    for (n, name) in header.iter().enumerate() {
        if !valid.contains(&name) {
            problems.push(fault(path, 1, format!("column `{name}` is unknown")).hint(choose(name, &valid)));
        } else if header.iter().take(n).any(|other| other == name) {
            problems.push(fault(path, 1, format!("column `{name}` stands twice")));
        }
    }
    for name in REQUIRED.iter().filter(|n| !header.iter().any(|h| h == **n)) {
        let hint = format!("the columns are {}", REQUIRED.join(","));
        problems.push(fault(path, 1, format!("column `{name}` is missing")).hint(hint));
    }
    if !problems.is_empty() {
        return (lines, problems);
    }
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(e) => {
                let line = e.position().map_or(0, csv::Position::line);
                problems.push(fault(path, line as usize, "the line is no UTF-8 text"));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != header.len() {
            let what = format!("{} fields, expected {}", record.len(), header.len());
            problems.push(fault(path, line as usize, what));
            continue;
        }
        let cells = header.iter().zip(record.iter()).collect();
        match one(path, line, &cells, sources, mappings) {
            Ok(load) => lines.push(load),
            Err(found) => problems.extend(found),
        }
    }
    problems.extend(together(path, &lines));
    (lines, problems)
}

fn one(
    path: &Path,
    line: u64,
    cells: &BTreeMap<&str, &str>,
    sources: &BTreeMap<String, Source>,
    mappings: &BTreeMap<String, Mapping>,
) -> Result<LoadLine, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut wrong = |what: String, hint: String| {
        problems.push(fault(path, line as usize, what).hint(hint));
    };
    let cell = |name: &str| cells.get(name).copied().unwrap_or_default();
    let (source, hospital, source_table) = (cell("database"), cell("datasource"), cell("tablename"));
    let watermark = cell("watermark");
    if !sources.contains_key(source) {
        let names: Vec<&str> = sources.keys().map(String::as_str).collect();
        wrong(format!("database `{source}` names no [sources.*] block of rcm.toml"), choose(source, &names));
    }
    for (column, name) in [("datasource", hospital), ("targetpath", cell("targetpath"))] {
        let may_be_empty = column == "datasource" && name.is_empty();
        if !may_be_empty && !is_safe_name(name) {
            let hint = "use letters, digits, `-`, `_` and inner dots".to_owned();
            wrong(format!("{column} is no name that may stand in a path"), hint);
        }
    }
    if !source_table.split('.').all(is_safe_name) || source_table.split('.').count() > 2 {
        wrong("tablename is no table name".to_owned(), "write table or schema.table".to_owned());
    }
    let load_type = match cell("loadtype") {
        "Full" => LoadType::Full,
        "Incremental" => LoadType::Incremental,
        other => {
            wrong(format!("loadtype `{other}` is unknown"), choose(other, &["Full", "Incremental"]));
            LoadType::Full
        }
    };
    let of_files = match sources.get(source) {
        Some(Source::Files(files)) => Some(files),
        _ => None,
    };
    let drops = of_files.is_some_and(|s| s.delivery == super::Delivery::Drops);
    if drops && load_type == LoadType::Full {
        let hint = "give the source delivery = \"file\", or load the table incrementally".to_owned();
        wrong(format!("a full load is one file, source `{source}` delivers drops"), hint);
    }
    let is_active = match cell("is_active") {
        "1" => true,
        "0" => false,
        other => {
            wrong(format!("is_active is `{other}`"), "write 1 to load the table, 0 to leave it out".to_owned());
            false
        }
    };
    let is_database = sources.get(source).is_some_and(Source::has_tables);
    let lag = match cell("lag") {
        "" => None,
        text => {
            let steps = text.parse().ok().filter(|_| is_database).map(Lag::Steps);
            let lag = steps.or_else(|| duration(text).map(Lag::Time));
            if lag.is_none() {
                let hint = "write a number and a unit: 90s, 15m, 12h, 2d";
                wrong("lag is no duration".to_owned(), hint.to_owned());
            }
            lag
        }
    };
    let is_incremental_table = is_database && load_type == LoadType::Incremental;
    let has_all_keys = matches!(sources.get(source), Some(Source::Postgres(_) | Source::SqlServer(_)));
    let deletes_by_keys = match cell("deletes") {
        "" => false,
        "keys" if is_incremental_table && has_all_keys => true,
        "keys" => {
            let hint = "leave it empty: of a full table what is absent is gone; rows of files say it by `deleted` in the mapping";
            wrong("deletes is for incremental tables of databases".to_owned(), hint.to_owned());
            false
        }
        other => {
            wrong(format!("deletes `{other}` is unknown"), "write keys, or leave it empty".to_owned());
            false
        }
    };
    let files = Some(cell("files")).filter(|f| !f.is_empty()).map(str::to_owned);
    if files.as_ref().is_some_and(|f| f.contains("..") || f.starts_with('/')) {
        wrong("files leads out of the source's path".to_owned(), "name files below the source's path".to_owned());
    }

    if is_database && files.is_some() {
        wrong(format!("source `{source}` is a database, it has no files"), "leave the column empty".to_owned());
    }
    let pattern = files.as_deref().or(of_files.map(|s| s.files.as_str())).unwrap_or_default();
    let known = ["{database}", "{datasource}", "{table}", "{targetpath}"];
    let plain = known.iter().fold(pattern.to_owned(), |text, placeholder| text.replace(placeholder, ""));
    if !is_database && (pattern.is_empty() || plain.contains(['{', '}'])) {
        wrong(
            format!("files `{pattern}` has an unknown placeholder, or is empty"),
            format!("use {}", known.join(", ")),
        );
    }
    if let Err(e) = glob::Pattern::new(pattern) {
        wrong(
            format!("files `{pattern}` is no pattern: {}", e.msg),
            "`*` stands for any text, `?` for a letter".to_owned(),
        );
    }

    // A mapping that could not be read has told so itself.
    let mut feeds = None;
    if let Some(mapping) = mappings.get(hospital) {
        feeds = mapping.table_of(source_table);
        if feeds.is_none() {
            let names: Vec<&str> = mapping.tables.values().map(|t| t.source.as_str()).collect();
            wrong(format!("tablename `{source_table}` has no mapping for `{hospital}`"), choose(source_table, &names));
        }
    }
    if let Some((table, columns)) = feeds {
        if table.by_hospital == hospital.is_empty() {
            let (what, hint) = match hospital {
                "" => ("has no datasource", "name the hospital: its rows belong to one"),
                _ => ("has a datasource", "leave it empty: all hospitals share the table"),
            };
            wrong(format!("table `{}` {what}", table.name), hint.to_owned());
        }
        if load_type == LoadType::Full && columns.deleted.is_some() {
            let hint =
                "load it incrementally, or take `deleted` out of the mapping: of a full table what is absent is gone";
            wrong("the mapping says what is deleted, and the load is full".to_owned(), hint.to_owned());
        }
        let mapped = table.columns.iter().find(|c| c.role == Role::Watermark).and_then(|c| columns.columns.get(c.name));
        match (load_type, mapped) {
            (LoadType::Full, _) if !watermark.is_empty() => {
                wrong("a full load has no watermark".to_owned(), "leave the column empty".to_owned());
            }
            (LoadType::Incremental, None) => {
                let what = format!("an incremental load of `{}` needs a mapped `modified_date`", table.name);
                wrong(what, "map it, or load the table in full".to_owned());
            }
            (LoadType::Incremental, Some(m)) if m.from() != watermark => {
                let hint = choose(watermark, &[m.from()]);
                wrong(format!("watermark `{watermark}` is not the column mapped to `modified_date`"), hint);
            }
            _ => {}
        }
    }
    match feeds {
        Some((table, _)) if problems.is_empty() => Ok(LoadLine {
            line,
            source: source.to_owned(),
            hospital: hospital.to_owned(),
            source_table: source_table.to_owned(),
            table: table.name,
            load_type,
            watermark: watermark.to_owned(),
            is_active,
            target_path: cell("targetpath").to_owned(),
            files,
            lag,
            deletes_by_keys,
        }),
        _ => Err(problems),
    }
}

/// What no line shows by itself.
fn together(path: &Path, lines: &[LoadLine]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        for before in &lines[..n] {
            let at = |what| fault(path, line.line as usize, what);
            if before.name() == line.name() {
                let what = format!("{} is loaded by line {} too", line.name(), before.line);
                problems.push(at(what).hint("keep one line a table and hospital"));
                break;
            }
            let folder = |l: &LoadLine| (l.target_path.clone(), l.bronze_table().to_owned(), l.hospital.clone());
            if folder(before) == folder(line) {
                let what = format!("{} lands in the same bronze folder as line {}", line.name(), before.line);
                problems.push(at(what).hint("give one of them another targetpath"));
                break;
            }
            if before.table == line.table && before.load_type != line.load_type {
                let what =
                    format!("{} is {}, line {} says {}", line.table, line.load_type, before.line, before.load_type);
                problems.push(at(what).hint("a table has one load type in all hospitals: its history is built by it"));
                break;
            }
        }
    }
    problems
}
