//! Snapshots, folded in the order of `as_of`, each scope value by itself.

use std::collections::{BTreeMap, BTreeSet};

use rcm_scd2::{Detect, Disposition, Late, Rule};

use super::{Bad, Cell, Key, Mode, Plan, Row, Version};

/// A load.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) as_of: i64,
    pub(crate) rows: Vec<Row>,
    pub(crate) withheld: Vec<Key>,
    pub(crate) complete: Complete,
    /// By [`Plan::rules`]: whether the column is absent from the whole load.
    pub(crate) absent: Vec<bool>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Complete {
    Present,
    Everything,
    Only(Vec<Key>),
    Nothing,
}

/// What a load says about one scope value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) as_of: i64,
    /// One a key.
    pub(crate) rows: BTreeMap<Key, Row>,
    /// Keys that were seen and not applied.
    pub(crate) held: BTreeSet<Key>,
    pub(crate) complete: bool,
    pub(crate) absent: Vec<bool>,
    /// The rows as they came, bad ones and duplicates included: what a digest may see.
    raw: Vec<Row>,
    first_load: bool,
}

/// The snapshots that were applied, by scope value and `as_of`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Timeline {
    scopes: BTreeMap<Key, BTreeMap<i64, Part>>,
    loads: usize,
}

/// What a load does to a timeline.
pub(crate) struct Taken {
    /// `None`: the load is late and refused.
    pub(crate) after: Option<Timeline>,
    pub(crate) bad: Vec<Option<Bad>>,
    pub(crate) parts: BTreeMap<Key, Part>,
    pub(crate) dispositions: BTreeMap<Key, Disposition>,
}

impl Plan {
    fn scope(&self) -> (&[usize], &[Key], Late) {
        match &self.mode {
            Mode::Snapshot { scope, scopes, late, .. } => (scope, scopes, *late),
            Mode::Feed { .. } => (&[], &[], Late::Error),
        }
    }

    pub(crate) fn scope_of(&self, key: &Key) -> Key {
        self.scope().0.iter().map(|position| key[*position]).collect()
    }

    fn detect(&self) -> Option<Detect> {
        match &self.mode {
            Mode::Snapshot { detect, .. } => *detect,
            Mode::Feed { .. } => None,
        }
    }

    fn absence_deletes(&self) -> bool {
        matches!(self.mode, Mode::Snapshot { absence: true, .. })
    }
}

impl Snapshot {
    /// By row what is wrong with it; and what the load says about each scope value it touches.
    pub(crate) fn parts(&self, plan: &Plan, first_load: bool) -> (Vec<Option<Bad>>, BTreeMap<Key, Part>) {
        let mut bad: Vec<Option<Bad>> = self.rows.iter().map(|row| plan.bad_alone(row)).collect();
        let mut held: BTreeSet<Key> = self.withheld.iter().cloned().collect();
        let mut rows: BTreeMap<Key, Row> = BTreeMap::new();
        let (_, every, _) = plan.scope();
        let mut touched: BTreeSet<Key> = every.iter().filter(|scope| scope.is_empty()).cloned().collect();

        for (position, row) in self.rows.iter().enumerate() {
            if bad[position] == Some(Bad::NullKey) {
                continue;
            }
            touched.insert(plan.scope_of(&row.key));
            if bad[position].is_some() {
                held.insert(row.key.clone());
                continue;
            }
            let same_key = |other: &&Row| other.key == row.key && plan.bad_alone(other).is_none();
            let peers: Vec<&Row> = self.rows.iter().filter(same_key).collect();
            let deleted = peers.iter().any(|other| other.delete);
            let conflict = peers.iter().any(|other| other.sequence != row.sequence)
                || !deleted && peers.iter().any(|other| *other != row);
            if self.withheld.contains(&row.key) {
                continue;
            }
            if conflict {
                bad[position] = Some(Bad::Conflict);
                held.insert(row.key.clone());
            } else {
                // What a delete says of the columns means nothing.
                let cells = if deleted { vec![0; row.cells.len()] } else { row.cells.clone() };
                rows.insert(row.key.clone(), Row { delete: deleted, cells, ..row.clone() });
            }
        }
        rows.retain(|key, _| !held.contains(key));

        let complete: BTreeSet<Key> = match &self.complete {
            Complete::Present => {
                touched.extend(self.withheld.iter().map(|key| plan.scope_of(key)));
                touched.clone()
            }
            Complete::Everything => every.iter().cloned().collect(),
            Complete::Only(scopes) => scopes.iter().cloned().collect(),
            Complete::Nothing => BTreeSet::new(),
        };
        let part = |scope: Key| {
            let null_key = |row: &Row| plan.bad_alone(row) == Some(Bad::NullKey);
            let raw = self.rows.iter().filter(|row| null_key(row) || plan.scope_of(&row.key) == scope);
            let mut raw: Vec<Row> = raw.cloned().collect();
            raw.sort();
            let inside = |key: &Key| plan.scope_of(key) == scope;
            let rows = rows.iter().filter(|(key, _)| inside(key)).map(|(key, row)| (key.clone(), row.clone()));
            let rows: BTreeMap<Key, Row> = rows.collect();
            let part = Part {
                as_of: self.as_of,
                // Without a row there is no column to miss.
                absent: self.absent.iter().map(|absent| *absent && !rows.is_empty()).collect(),
                rows,
                held: held.iter().filter(|key| inside(key)).cloned().collect(),
                complete: complete.contains(&scope),
                raw,
                first_load,
            };
            (scope, part)
        };
        let parts = touched.union(&complete).cloned().map(part).collect();
        (bad, parts)
    }
}

impl Part {
    fn same_content(&self, other: &Part) -> bool {
        Part { first_load: other.first_load, ..self.clone() } == *other
    }

    /// Whether only a digest of more than the rows that count could tell the two apart.
    pub(crate) fn hardly_differs(&self, other: &Part) -> bool {
        self.as_of == other.as_of && self.rows == other.rows && !self.same_content(other)
    }
}

impl Timeline {
    pub(crate) fn take(&self, plan: &Plan, load: &Snapshot) -> Taken {
        let (bad, parts) = load.parts(plan, self.loads == 0);
        let mut after = Timeline { loads: self.loads + 1, ..self.clone() };
        let mut dispositions = BTreeMap::new();
        let mut refused = false;
        for (scope, part) in &parts {
            let ledger = after.scopes.entry(scope.clone()).or_default();
            let newest = ledger.keys().next_back().copied();
            let disposition = match (ledger.get(&part.as_of), plan.scope().2) {
                (Some(same), _) if same.same_content(part) => Disposition::Repeated,
                _ if newest.is_none_or(|newest| newest < part.as_of) => Disposition::Applied,
                (_, Late::Apply) => Disposition::Spliced,
                (_, Late::Skip) => Disposition::Skipped,
                (_, Late::Error) => {
                    refused = true;
                    continue;
                }
            };
            if matches!(disposition, Disposition::Applied | Disposition::Spliced) {
                ledger.insert(part.as_of, part.clone());
            }
            dispositions.insert(scope.clone(), disposition);
        }
        Taken { after: (!refused).then_some(after), bad, parts, dispositions }
    }

    /// The snapshot of a scope value at an instant.
    pub(crate) fn get(&self, scope: &Key, as_of: i64) -> Option<&Part> {
        self.scopes.get(scope)?.get(&as_of)
    }

    /// The snapshots before an instant.
    pub(crate) fn before(&self, at: i64) -> Timeline {
        let mut timeline = self.clone();
        timeline.scopes.values_mut().for_each(|ledger| ledger.retain(|as_of, _| *as_of < at));
        timeline
    }

    pub(crate) fn history(&self, plan: &Plan) -> Vec<Version> {
        let mut history = Vec::new();
        for ledger in self.scopes.values() {
            let mut keys: BTreeMap<Key, Vec<Version>> = BTreeMap::new();
            for part in ledger.values() {
                for key in part.rows.keys() {
                    keys.entry(key.clone()).or_default();
                }
                for (key, versions) in &mut keys {
                    match part.rows.get(key) {
                        Some(row) if row.delete => plan.end(versions, part.as_of),
                        Some(row) => observe(plan, versions, row, part),
                        None if part.complete && plan.absence_deletes() && !part.held.contains(key) => {
                            plan.end(versions, part.as_of);
                        }
                        None => {}
                    }
                }
            }
            history.extend(keys.into_values().flatten());
        }
        history.sort();
        history
    }
}

fn observe(plan: &Plan, versions: &mut Vec<Version>, row: &Row, part: &Part) {
    let as_of = part.as_of;
    let there = |column: &usize| !part.absent[*column];
    let sequence = row.sequence.first().copied().flatten();
    let natural = sequence.map_or(as_of, |sequence| sequence.min(as_of));
    let opens_at = match versions.last_mut() {
        None => Some(plan.stretched(natural, part.first_load)),
        Some(run) if run.is_live() => {
            let moved = sequence > run.sequence;
            let differs = plan.by(Rule::Track).filter(there).any(|column| run.cells[column] != row.cells[column]);
            let opens = match plan.detect() {
                Some(Detect::Sequence) if !moved => return,
                Some(Detect::Sequence) => true,
                Some(Detect::Values) | None => differs,
            };
            if !opens {
                plan.by(Rule::LatestInRun).filter(there).for_each(|column| run.cells[column] = row.cells[column]);
            }
            opens.then_some(if moved && natural > run.from { natural } else { as_of })
        }
        Some(marker) if marker.to.is_none() => Some(if natural > marker.from { natural } else { as_of }),
        Some(ended) => ended.to.map(|to| natural.max(to)),
    };
    if let Some(from) = opens_at {
        let before = versions.last_mut();
        let kept = |column: usize| before.as_ref().map_or(0, |before| before.cells[column]);
        let cell = |column: usize| match plan.rules[column] {
            _ if there(&column) => row.cells[column],
            Rule::AllVersions => kept(column),
            _ => 0,
        };
        let cells: Vec<Cell> = (0..plan.rules.len()).map(cell).collect();
        if let Some(open) = before.filter(|before| before.to.is_none()) {
            open.to = Some(from);
        }
        versions.push(Version { key: row.key.clone(), from, to: None, deleted: false, cells, sequence });
    }
    for column in plan.by(Rule::AllVersions).filter(there) {
        versions.iter_mut().for_each(|version| version.cells[column] = row.cells[column]);
    }
}
