//! Which lines of `load_config.csv` a run is about.

use crate::config::{Project, nearest};
use rcm_core::{Class, LoadLine, Problem};

/// The active lines that match one of the patterns; all of them where there is none.
pub(super) fn lines<'a>(project: &'a Project, patterns: &[String]) -> Result<Vec<&'a LoadLine>, Problem> {
    let mut chosen = vec![patterns.is_empty(); project.lines.len()];
    for text in patterns {
        let place = || format!("--select {text}");
        let pattern = glob::Pattern::new(text)
            .map_err(|e| Problem::new(Class::Config, place(), format!("is no pattern: {}", e.msg)))?;
        let mut any = false;
        for (line, chosen) in project.lines.iter().zip(&mut chosen) {
            let matches = pattern.matches(&line.name()) || pattern.matches(line.table);
            any |= matches;
            *chosen |= matches;
        }
        if !any {
            let names: Vec<String> = project.lines.iter().flat_map(|l| [l.name(), l.table.to_owned()]).collect();
            let near = nearest(text, names.iter().map(String::as_str));
            let hint = near.map_or_else(
                || "name a table, or hospital.table; `*` stands for any".to_owned(),
                |n| format!("did you mean `{n}`?"),
            );
            return Err(Problem::new(Class::Config, place(), "matches no line of load_config.csv").hint(hint));
        }
    }
    Ok(project
        .lines
        .iter()
        .zip(chosen)
        .filter(|(line, chosen)| *chosen && line.is_active)
        .map(|(line, _)| line)
        .collect())
}
