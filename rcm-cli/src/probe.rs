//! `rcm check --connect`: whether sources, secrets and the lake can be reached, and what of their tables would fail or be slow.

use crate::config::{Project, Source};
use crate::pipeline::connected;
use chrono::{DateTime, Utc};
use rcm_connectors::lake::Lake;
use rcm_core::{Class, Described, LoadLine, LoadType, Problem};
use serde::Serialize;
use std::fmt::Write;

/// What `rcm check --connect` tells.
#[derive(Debug, Clone, Serialize)]
pub struct Probe {
    /// 1.
    pub schema: u32,
    /// In the order of `load_config.csv`, the lake last.
    pub findings: Vec<Finding>,
}

/// What was found at one place.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// A line of `load_config.csv`, a source, or the lake.
    pub place: String,
    /// What is there.
    pub found: String,
    /// What will be slow or surprise.
    pub warning: Option<String>,
    /// What will fail.
    pub problem: Option<Problem>,
}

impl Probe {
    /// 0, or that of the gravest problem.
    pub fn exit_code(&self) -> u8 {
        let classes = self.findings.iter().filter_map(|finding| finding.problem.as_ref().map(|problem| problem.class));
        classes.max().map_or(0, Class::exit_code)
    }
}

/// Looks at everything that active lines need; reads no row of a database and writes nothing.
pub async fn probe(project: &Project, now: DateTime<Utc>) -> Probe {
    let mut findings = Vec::new();
    let active = || project.lines.iter().filter(|line| line.is_active);
    for (name, source) in &project.sources {
        let lines: Vec<&LoadLine> = active().filter(|line| line.source == *name).collect();
        if lines.is_empty() {
            continue;
        }
        if let Source::Files(files) = source {
            findings.push(folder(name, &files.path));
            continue;
        }
        let connected = connected(project, name, now, false).await;
        for line in lines {
            let described = match &connected {
                Ok(source) => source.describe(&line.source_table).await,
                Err(problem) => Err(problem.clone()),
            };
            let place = format!("{name}: {}", line.name());
            findings.push(match described {
                Ok(described) => table(place, line, &described, matches!(source, Source::Npi(..))),
                Err(problem) => Finding { place, found: String::new(), warning: None, problem: Some(problem) },
            });
        }
    }
    let place = format!("lake: {}", project.lake);
    let lake = match project.lake.now().await {
        Ok(location) => Lake::existing(&location).await,
        Err(problem) => Err(problem),
    };
    findings.push(match lake {
        Ok(lake) => {
            let found = if lake.is_some() { "is there" } else { "is not there yet: the first run makes it" };
            Finding { place, found: found.to_owned(), warning: None, problem: None }
        }
        Err(problem) => Finding { place, found: String::new(), warning: None, problem: Some(problem) },
    });
    Probe { schema: 1, findings }
}

fn folder(name: &str, path: &std::path::Path) -> Finding {
    let place = format!("{name}: {}", path.display());
    match std::fs::read_dir(path) {
        Ok(entries) => Finding { place, found: format!("{} entries", entries.count()), warning: None, problem: None },
        Err(e) => {
            let problem = Problem::new(Class::Failed, &place, format!("cannot be read: {}", e.kind()))
                .hint("make the folder, or correct the source's path");
            Finding { place, found: String::new(), warning: None, problem: Some(problem) }
        }
    }
}

/// A table that is there; of a service everybody knows that it cannot be asked for what is new.
fn table(place: String, line: &LoadLine, described: &Described, is_service: bool) -> Finding {
    let key = if described.key.is_empty() { "no key".to_owned() } else { format!("key {}", described.key.join(", ")) };
    let mut found = format!("{} columns, {key}", described.schema.fields().len());
    let mut finding = Finding { place, found: String::new(), warning: None, problem: None };
    if line.load_type == LoadType::Incremental {
        let cursor = described.cursors.iter().find(|(name, ..)| *name == line.watermark);
        match cursor {
            None => {
                let what = format!("watermark `{}` is no column that tells what is new", line.watermark);
                let known: Vec<&str> = described.cursors.iter().map(|(name, ..)| name.as_str()).collect();
                let problem = Problem::new(Class::Config, &finding.place, what);
                finding.problem = Some(problem.hint(format!("columns that can: {}", known.join(", "))));
            }
            Some((name, kind, is_found)) => {
                let _ = write!(found, ", watermark {name} ({kind})");
                if !is_found && !is_service {
                    finding.warning = Some(format!("`{name}` has no index: every run reads all of the table"));
                }
            }
        }
    }
    Finding { found, ..finding }
}

/// For people.
pub fn human(probe: &Probe) -> String {
    let mut text = String::new();
    for finding in &probe.findings {
        let mark = match (&finding.problem, &finding.warning) {
            (Some(_), _) => '✗',
            (None, Some(_)) => '!',
            (None, None) => '✓',
        };
        let _ = writeln!(text, "  {mark} {}  {}", finding.place, finding.found);
        if let Some(warning) = &finding.warning {
            let _ = writeln!(text, "      {warning}");
        }
        if let Some(problem) = &finding.problem {
            let _ = writeln!(text, "      {}", problem.what);
            if let Some(hint) = &problem.hint {
                let _ = writeln!(text, "      {hint}");
            }
        }
    }
    text
}
