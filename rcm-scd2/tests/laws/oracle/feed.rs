//! `H(key)`: the fold of events in the order of their sequence.

use std::collections::{BTreeMap, BTreeSet};

use rcm_scd2::Rule;

use super::{Bad, Cell, Key, Mode, Plan, Row, Version};

/// All events that were accepted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Events {
    rows: BTreeSet<Row>,
    /// The keys that had an upsert in the first load.
    first_keys: BTreeSet<Key>,
    loads: usize,
}

impl Row {
    pub(crate) fn valid(&self) -> i64 {
        self.sequence[0].unwrap_or_default()
    }
}

impl Events {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    pub(crate) fn of<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |row| row.key == *key)
    }

    /// These events, and those of the load that can be accepted; by row of the load what is wrong with the others.
    pub(crate) fn with(&self, plan: &Plan, load: &[Row]) -> (Events, Vec<Option<Bad>>) {
        let mut bad: Vec<Option<Bad>> = load.iter().map(|row| plan.bad_alone(row)).collect();
        let mut after = self.clone();
        after.loads += 1;
        let mut good: Vec<usize> = (0..load.len()).filter(|row| bad[*row].is_none()).collect();
        good.sort_by(|a, b| load[*b].sequence.cmp(&load[*a].sequence));
        for position in good {
            let row = &load[position];
            let peers: Vec<&Row> = load.iter().filter(|other| other.same_identity(row)).collect();
            let stored: Vec<&Row> = self.rows.iter().filter(|other| other.same_identity(row)).collect();
            let beaten = after.rows.iter().any(|other| other.beats(row));
            let deleted = row.delete || peers.iter().chain(&stored).any(|other| other.delete);
            let differs = match stored.is_empty() {
                true => peers.iter().any(|other| *other != row),
                false => !stored.contains(&row),
            };
            let contradicts = differs && !beaten && !deleted;
            if contradicts {
                bad[position] = Some(Bad::Conflict);
            } else {
                let delete = row.delete.then(|| vec![0; row.cells.len()]);
                after.rows.insert(Row { cells: delete.unwrap_or_else(|| row.cells.clone()), ..row.clone() });
            }
        }
        if self.loads == 0 {
            after.first_keys = after.rows.iter().filter(|row| !row.delete).map(|row| row.key.clone()).collect();
        }
        (after, bad)
    }

    /// The events before an instant.
    pub(crate) fn before(&self, at: i64) -> Events {
        Events { rows: self.rows.iter().filter(|row| row.valid() < at).cloned().collect(), ..self.clone() }
    }

    /// The events that count, by key and valid time: greatest in the further sequences, a delete before an upsert.
    pub(crate) fn counting(&self) -> BTreeMap<&Key, Vec<&Row>> {
        let mut counting: BTreeMap<&Key, Vec<&Row>> = BTreeMap::new();
        for row in &self.rows {
            let beaten = self.rows.iter().any(|other| other.beats(row))
                || !row.delete && self.rows.iter().any(|other| other.same_identity(row) && other.delete);
            if !beaten {
                counting.entry(&row.key).or_default().push(row);
            }
        }
        for events in counting.values_mut() {
            events.sort_by_key(|event| event.valid());
        }
        counting
    }

    pub(crate) fn history(&self, plan: &Plan) -> Vec<Version> {
        let mut history = Vec::new();
        for (key, events) in self.counting() {
            history.extend(fold(plan, &events, self.first_keys.contains(key)));
        }
        history.sort();
        history
    }
}

impl Row {
    fn same_identity(&self, other: &Row) -> bool {
        self.key == other.key && self.sequence == other.sequence
    }

    /// A greater further sequence at the same valid time.
    fn beats(&self, other: &Row) -> bool {
        self.key == other.key && self.sequence[0] == other.sequence[0] && self.sequence > other.sequence
    }
}

fn ignores(plan: &Plan, column: usize) -> bool {
    matches!(&plan.mode, Mode::Feed { ignore_nulls } if ignore_nulls[column])
}

fn fold(plan: &Plan, events: &[&Row], first_load: bool) -> Vec<Version> {
    let columns = plan.rules.len();
    let mut versions: Vec<Version> = Vec::new();
    let mut carried: Vec<Cell> = vec![0; columns];
    let mut newest: Option<Vec<Cell>> = None;
    for event in events {
        let at = event.valid();
        if event.delete {
            carried = vec![0; columns];
            plan.end(&mut versions, at);
            continue;
        }
        for (column, carried) in carried.iter_mut().enumerate() {
            if event.cells[column] != 0 || !ignores(plan, column) {
                *carried = event.cells[column];
            }
        }
        newest = Some(carried.clone());
        match versions.last_mut() {
            Some(run) if run.is_live() && plan.by(Rule::Track).all(|column| run.cells[column] == carried[column]) => {
                run.cells = carried.clone();
            }
            last => {
                if let Some(open) = last.filter(|last| last.to.is_none()) {
                    open.to = Some(at);
                }
                let (key, cells) = (event.key.clone(), carried.clone());
                versions.push(Version { key, from: at, to: None, deleted: false, cells, sequence: None });
            }
        }
    }
    for (version, newest) in versions.iter_mut().flat_map(|version| newest.as_ref().map(|newest| (version, newest))) {
        plan.by(Rule::AllVersions).for_each(|column| version.cells[column] = newest[column]);
    }
    if let (Some(first), false) = (versions.first_mut(), events[0].delete) {
        first.from = plan.stretched(first.from, first_load);
    }
    versions
}

/// The naive answer of law L6: the cells of the last event at or before an instant, nulls looked up one by one;
/// `None` where that is a delete, or nothing.
pub(crate) fn at(plan: &Plan, events: &[&Row], at: i64) -> Option<Vec<Cell>> {
    let until: Vec<&&Row> = events.iter().filter(|event| event.valid() <= at).collect();
    let since_delete = until.iter().rev().take_while(|event| !event.delete);
    let last = until.last().filter(|last| !last.delete)?;
    let written = |column: usize| since_delete.clone().map(|event| event.cells[column]).find(|cell| *cell != 0);
    let cell = |column: usize| if ignores(plan, column) { written(column).unwrap_or(0) } else { last.cells[column] };
    Some((0..plan.rules.len()).map(cell).collect())
}
