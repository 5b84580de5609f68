//! The oracle against the conformance corpus: it is not the engine's only judge, so it is judged itself.

use std::collections::BTreeMap;
use std::path::Path;

use rcm_scd2::{Rule, VALID_FROM, VALID_TO};
use serde_json::{Map, Value};

use crate::cases::{Case, Deletes, Nulls, files};
use crate::oracle::feed::Events;
use crate::oracle::snapshot::{Complete, Snapshot, Timeline};
use crate::oracle::{Cell, Key, Mode, Plan, Row, Version};

/// Numbers for canonical texts.
#[derive(Default)]
struct Numbers(Vec<String>);

impl Numbers {
    fn number(&mut self, text: Option<String>) -> Cell {
        let Some(text) = text else { return 0 };
        let found = self.0.iter().position(|known| *known == text).unwrap_or_else(|| {
            self.0.push(text);
            self.0.len() - 1
        });
        found as Cell + 1
    }

    fn text(&self, cell: Cell) -> Option<String> {
        cell.checked_sub(1).map(|at| self.0[at as usize].clone())
    }
}

#[test]
fn the_oracle_conforms_to_the_corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut run = 0;
    for (name, path) in files(&folder) {
        let case = Case::read(&path).unwrap();
        check(&name, &case);
        run += 1;
    }
    assert!(run > 100, "{run} cases");
}

fn check(name: &str, case: &Case) {
    let mut numbers = Numbers::default();
    let rules: Vec<(&str, Rule)> = case.rules();
    let loads: Vec<Vec<Row>> = case.loads.iter().map(|load| rows(case, &rules, &load.rows, &mut numbers)).collect();
    let plan = plan(case, &rules, &loads);
    let (mut events, mut timeline) = (Events::default(), Timeline::default());
    for (number, (load, given)) in (1..).zip(loads.into_iter().zip(&case.loads)) {
        let (bad, rejected);
        if case.feed {
            let (after, found) = events.with(&plan, &load);
            (bad, rejected) = (found, false);
            if case.quarantine || bad.iter().all(Option::is_none) {
                events = after;
            }
        } else {
            let there = |name: &str| given.rows.iter().any(|row| row.contains_key(name));
            let absent = rules.iter().map(|(name, _)| !there(name)).collect();
            let (withheld, complete) = (Vec::new(), Complete::Present);
            let taken = timeline.take(&plan, &Snapshot { as_of: given.as_of, rows: load, withheld, complete, absent });
            (bad, rejected) = (taken.bad, taken.after.is_none());
            if case.quarantine || bad.iter().all(Option::is_none) {
                timeline = taken.after.unwrap_or(timeline);
            }
        }
        let rejected = rejected || !case.quarantine && bad.iter().any(Option::is_some);
        if let Some(wanted) = case.wanted.get(&number) {
            assert_eq!(rejected, wanted.rejected, "{name}: load {number}");
            let history = if case.feed { events.history(&plan) } else { timeline.history(&plan) };
            let mut shown: Vec<_> =
                history.iter().map(|version| show(case, &plan, &rules, version, &numbers)).collect();
            shown.sort();
            assert_eq!(shown, case.comparable(&wanted.rows).unwrap(), "{name}: load {number}");
        }
        if rejected {
            break;
        }
    }
}

fn plan(case: &Case, rules: &[(&str, Rule)], loads: &[Vec<Row>]) -> Plan {
    let scope: Vec<usize> = case.scope.iter().map(|s| case.keys.iter().position(|key| key == s).unwrap()).collect();
    let mut scopes: Vec<Key> =
        loads.iter().flatten().map(|row| scope.iter().map(|position| row.key[*position]).collect()).collect();
    scopes.push(Vec::new());
    scopes.retain(|value| value.len() == scope.len());
    let ignores = |name: &str| match &case.ignore_nulls {
        Nulls::Count => false,
        Nulls::Ignore => true,
        Nulls::IgnoreIn(columns) => columns.iter().any(|column| column == name),
    };
    let mode = if case.feed {
        Mode::Feed { ignore_nulls: rules.iter().map(|(name, _)| ignores(name)).collect() }
    } else {
        let detect = (!case.sequence.is_empty()).then_some(case.detect);
        let absence = matches!(case.deletes, Deletes::Invalidate | Deletes::NewRecord);
        Mode::Snapshot { detect, absence, scope, scopes, late: case.late }
    };
    Plan {
        rules: rules.iter().map(|(_, rule)| *rule).collect(),
        mode,
        marker: case.deletes == Deletes::NewRecord,
        null_keys_as_value: case.null_keys_as_value,
        initial: case.initial,
    }
}

fn rows(case: &Case, rules: &[(&str, Rule)], rows: &[Map<String, Value>], numbers: &mut Numbers) -> Vec<Row> {
    let text = |row: &Map<String, Value>, name: &str| {
        case.columns[name].canonical(row.get(name).unwrap_or(&Value::Null)).unwrap()
    };
    let mut row = |row: &Map<String, Value>| Row {
        key: case.keys.iter().map(|name| numbers.number(text(row, name))).collect(),
        sequence: case.sequence.iter().map(|name| text(row, name).map(|micros| micros.parse().unwrap())).collect(),
        delete: matches!(&case.deletes, Deletes::When { column, equals } if row.get(column) == Some(equals)),
        cells: rules.iter().map(|(name, _)| numbers.number(text(row, name))).collect(),
    };
    rows.iter().map(&mut row).collect()
}

fn show(
    case: &Case,
    plan: &Plan,
    rules: &[(&str, Rule)],
    version: &Version,
    numbers: &Numbers,
) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    let mut put = |name: &str, text: Option<String>| text.and_then(|text| shown.insert(name.to_owned(), text));
    for (name, cell) in case.keys.iter().zip(&version.key) {
        put(name, numbers.text(*cell));
    }
    for ((name, _), cell) in rules.iter().zip(&version.cells) {
        put(name, numbers.text(*cell));
    }
    for name in case.sequence.iter().filter(|name| case.is_shown(name)) {
        put(name, version.sequence.map(|micros| micros.to_string()));
    }
    put(VALID_FROM, Some(version.from.to_string()));
    put(VALID_TO, version.to.or(case.open_valid_to).map(|micros| micros.to_string()));
    put("is_current", Some(version.to.is_none().to_string()));
    put("is_deleted", plan.marker.then(|| version.deleted.to_string()));
    shown
}
