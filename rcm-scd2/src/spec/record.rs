//! A spec as text, one `word<TAB>value...` a line, names escaped: what must not change lies beside the data.

use super::*;

/// The key in the schema metadata of hidden state.
pub(crate) const METADATA: &str = "rcm_scd2.spec";

pub(super) fn write(spec: &Spec) -> String {
    let mut lines = vec![line("version", ["1".to_owned()]), line("keys", spec.keys.iter().map(|name| escape(name)))];
    match &spec.mode {
        Mode::Snapshot { sequence, deletes, late } => {
            lines.push(line("mode", ["snapshot".to_owned()]));
            if let Some((column, detect)) = sequence {
                lines.push(line("sequence", [escape(column), format!("{detect:?}")]));
            }
            if let Deletes::Absence(absence) = deletes {
                let scope = absence.scope.iter().map(|name| escape(name));
                lines.push(line("absence", std::iter::once(format!("{:?}", absence.style)).chain(scope)));
            }
            lines.push(line("late", [format!("{late:?}")]));
        }
        Mode::Feed { sequence, ignore_nulls, .. } => {
            lines.push(line("mode", ["feed".to_owned()]));
            lines.push(line("sequence", sequence.iter().map(|name| escape(name))));
            match ignore_nulls {
                IgnoreNulls::No => {}
                IgnoreNulls::All => lines.push(line("ignore nulls", ["all".to_owned()])),
                IgnoreNulls::Columns(columns) => {
                    lines.push(line("ignore nulls in", columns.iter().map(|name| escape(name))))
                }
            }
        }
    }
    if let Some(When { column, value, style, .. }) = spec.when() {
        lines.push(line("delete when", [escape(column), format!("{value:?}"), format!("{style:?}")]));
    }
    lines.push(line("null keys", [spec.null_keys_as_value.to_string()]));
    lines.push(line("initial", [format!("{:?}", spec.initial)]));
    lines.push(line("open", [format!("{:?}", spec.open_valid_to)]));
    for (column, rule) in &spec.columns {
        lines.push(line("column", [escape(column), format!("{rule:?}")]));
    }
    lines.join("\n")
}

pub(super) fn check(spec: &Spec, recorded: &str) -> Result<(), Error> {
    let mine = write(spec);
    let split = |text: &str| -> (Vec<String>, Vec<(String, String)>) {
        let mut fixed = Vec::new();
        let mut columns = Vec::new();
        for text in text.lines() {
            match text.strip_prefix("column\t").and_then(|rest| rest.rsplit_once('\t')) {
                Some((name, rule)) => columns.push((name.to_owned(), rule.to_owned())),
                None => fixed.push(text.to_owned()),
            }
        }
        (fixed, columns)
    };
    let ((fixed, columns), (old_fixed, old_columns)) = (split(&mine), split(recorded));
    if let Some(what) = old_fixed.iter().find(|line| !fixed.contains(line)) {
        return Err(differs(what));
    }
    if let Some(what) = fixed.iter().find(|line| !old_fixed.contains(line)) {
        return Err(differs(what));
    }
    for (name, rule) in &columns {
        if old_columns.iter().any(|(old, other)| old == name && other != rule) {
            return Err(Error::SpecDiffers { what: format!("rule of column `{name}`") });
        }
    }
    Ok(())
}

fn differs(line: &str) -> Error {
    Error::SpecDiffers { what: line.split('\t').next().unwrap_or(line).to_owned() }
}

fn line(word: &str, values: impl IntoIterator<Item = String>) -> String {
    let mut line = word.to_owned();
    for value in values {
        line.push('\t');
        line.push_str(&value);
    }
    line
}

fn escape(name: &str) -> String {
    name.escape_default().to_string()
}
