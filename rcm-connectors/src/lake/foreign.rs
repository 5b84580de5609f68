//! Commits of others: what they did to a table, and which of them ours may go behind.

use super::{Lake, TableAt};
use rcm_core::Problem;
use serde_json::Value;

/// What others committed to a table: the worst of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Foreign {
    /// Nothing that its rows could depend on: the notes of a vacuum.
    Nothing,
    /// Files were rewritten, with the same rows in them (OPTIMIZE).
    Layout,
    /// Rows, columns or the protocol; or the table is another one.
    Changed,
}

/// A commit, by what matters here.
#[derive(Debug, Default)]
pub(super) struct Seen {
    commit_id: Option<String>,
    removes: Vec<String>,
    layout: bool,
    rows: bool,
    /// Columns, configuration, protocol, or an action that this program does not know.
    definition: bool,
}

impl Seen {
    pub(super) fn of(commit: &[u8]) -> Self {
        let mut seen = Seen::default();
        for line in commit.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(Value::Object(action)) = serde_json::from_slice::<Value>(line) else {
                seen.definition = true;
                continue;
            };
            for (kind, action) in &action {
                let text = |name: &str| action.get(name).and_then(Value::as_str).map(str::to_owned);
                match kind.as_str() {
                    "commitInfo" => seen.commit_id = text("commitId"),
                    "txn" => {}
                    "add" | "remove" => {
                        let changes = action.get("dataChange").and_then(Value::as_bool).unwrap_or(true);
                        seen.rows |= changes;
                        seen.layout |= !changes;
                        seen.removes.extend(text("path").filter(|_| kind == "remove"));
                    }
                    _ => seen.definition = true,
                }
            }
        }
        seen
    }

    pub(super) fn is(&self, commit_id: &str) -> bool {
        self.commit_id.as_deref() == Some(commit_id)
    }

    pub(super) fn is_of(&self, table: &str) -> bool {
        self.commit_id.as_ref().is_some_and(|id| id.ends_with(&format!("/{table}")))
    }

    /// The publish of a run's commit to a table.
    pub(super) fn publish(&self, table: &str) -> Option<u64> {
        self.commit_id.as_ref()?.strip_suffix(table)?.strip_suffix('/')?.parse().ok()
    }

    pub(super) fn did(&self) -> Foreign {
        match () {
            () if self.definition || self.rows => Foreign::Changed,
            () if self.layout => Foreign::Layout,
            () => Foreign::Nothing,
        }
    }

    /// Whether ours, planned without it, cannot follow it.
    pub(super) fn bars(&self, ours: &Seen) -> bool {
        self.definition || self.removes.iter().any(|path| ours.removes.contains(path))
    }
}

impl Lake {
    /// Whether what stands at a version of a table was committed by a run.
    pub(super) async fn is_ours(&self, table: &str, version: u64) -> Result<bool, Problem> {
        let commit = self.find(&commit_path(table, version)).await?;
        Ok(commit.is_some_and(|commit| Seen::of(&commit).is_of(table)))
    }

    /// The head of a table, and what others did to it since it stood at a publish.
    ///
    /// # Errors
    /// Storage that fails.
    pub(super) async fn foreign(&self, table: &str, at: &TableAt) -> Result<(Option<u64>, Foreign), Problem> {
        let head = self.head(table).await?;
        let (from, to) = match (at.version, head) {
            (None, None) => return Ok((None, Foreign::Nothing)),
            (Some(version), Some(head)) if version <= head => (version, head),
            _ => return Ok((head, Foreign::Changed)),
        };
        // Where the table was made anew, what stands at our version is not ours.
        let is_other =
            self.find(&commit_path(table, from)).await?.is_some_and(|commit| !Seen::of(&commit).is_of(table));
        let mut worst = if is_other || at.others { Foreign::Changed } else { Foreign::Nothing };
        for version in from + 1..=to {
            let commit = self.find(&commit_path(table, version)).await?;
            worst = worst.max(commit.map_or(Foreign::Changed, |commit| Seen::of(&commit).did()));
        }
        Ok((head, worst))
    }
}

pub(super) fn commit_path(table: &str, version: u64) -> String {
    format!("{table}/_delta_log/{version:020}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(lines: &[&str]) -> Seen {
        Seen::of(lines.join("\n").as_bytes())
    }

    const INFO: &str = r#"{"commitInfo":{"commitId":"3/silver/patients"}}"#;

    #[test]
    fn a_commit_is_judged_by_its_worst_action() {
        let layout = r#"{"remove":{"path":"a","dataChange":false}}"#;
        for (lines, did) in [
            (vec![INFO, r#"{"txn":{"appId":"x","version":1}}"#], Foreign::Nothing),
            (vec![INFO, layout, r#"{"add":{"path":"b","dataChange":false}}"#], Foreign::Layout),
            (vec![layout, r#"{"add":{"path":"b","dataChange":true}}"#], Foreign::Changed),
            (vec![r#"{"add":{"path":"b"}}"#], Foreign::Changed),
            (vec![r#"{"metaData":{}}"#], Foreign::Changed),
            (vec![r#"{"protocol":{}}"#], Foreign::Changed),
            (vec![r#"{"domainMetadata":{}}"#], Foreign::Changed),
            (vec!["no JSON"], Foreign::Changed),
        ] {
            assert_eq!(seen(&lines).did(), did, "{lines:?}");
        }
        assert!(seen(&[INFO]).is("3/silver/patients") && seen(&[INFO]).is_of("silver/patients"));
        assert!(!seen(&[INFO]).is_of("silver/encounters") && !seen(&[]).is_of("silver/patients"));
    }

    #[test]
    fn ours_follows_what_leaves_its_files_and_the_columns_alone() {
        let ours = seen(&[INFO, r#"{"remove":{"path":"a"}}"#]);
        assert!(!seen(&[r#"{"add":{"path":"b"}}"#]).bars(&ours));
        assert!(!seen(&[r#"{"remove":{"path":"b"}}"#]).bars(&ours));
        assert!(seen(&[r#"{"remove":{"path":"a","dataChange":false}}"#]).bars(&ours));
        assert!(seen(&[r#"{"metaData":{}}"#]).bars(&ours));
    }
}
