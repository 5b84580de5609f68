//! Random specs and loads from small domains, so that events meet.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result};

use rcm_scd2::{Absence, BadRows, Detect, InitialValidFrom, Late, Rule, Spec, When};

use crate::layout::{DAY, FLAG, Flag, Layout, SINCE};
use crate::oracle::snapshot::{Complete, Snapshot, Timeline};
use crate::oracle::{Cell, Key, Mode, Plan, Row};
use crate::random::Random;

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) plan: Plan,
    pub(crate) layout: Layout,
    pub(crate) loads: Loads,
}

#[derive(Clone, Debug)]
pub(crate) enum Loads {
    Feed(Vec<Events>),
    Snapshots(Vec<Snapshot>),
}

/// A load of a feed.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    pub(crate) rows: Vec<Row>,
    /// By [`Plan::rules`]: whether the column is absent from the whole load.
    pub(crate) absent: Vec<bool>,
}

/// Whatever a failure needs to be understood: cells are numbers, 0 is null.
impl Display for Case {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Case { plan, layout, loads } = self;
        writeln!(f, "{plan:?}\n{layout:?}")?;
        let rows = |f: &mut Formatter<'_>, rows: &[Row]| {
            rows.iter().try_for_each(|Row { key, sequence, delete, cells }| {
                let days = |at: usize, value: &Option<i64>| match value {
                    Some(micros) if at == 0 => format!("{}d", micros / DAY),
                    Some(number) => number.to_string(),
                    None => "null".to_owned(),
                };
                let sequence: Vec<String> = sequence.iter().enumerate().map(|(at, value)| days(at, value)).collect();
                writeln!(f, "    {key:?} {sequence:?} {cells:?}{}", if *delete { " delete" } else { "" })
            })
        };
        match loads {
            Loads::Feed(loads) => loads.iter().try_for_each(|load| {
                writeln!(f, "load, absent {:?}", load.absent)?;
                rows(f, &load.rows)
            }),
            Loads::Snapshots(loads) => loads.iter().try_for_each(|load| {
                let Snapshot { as_of, withheld, complete, absent, .. } = load;
                writeln!(f, "as of {}d, {complete:?}, withheld {withheld:?}, absent {absent:?}", as_of / DAY)?;
                rows(f, &load.rows)
            }),
        }
    }
}

impl Case {
    pub(crate) fn draw(random: &mut Random) -> Case {
        let feed = random.one_in(2);
        let flag = random.pick(&[Flag::Bool, Flag::Int, Flag::Text]);
        let initial = random.pick(&[
            InitialValidFrom::Natural,
            InitialValidFrom::Natural,
            InitialValidFrom::Epoch,
            InitialValidFrom::EpochFirstLoad,
        ]);
        let mut layout = Layout {
            keys: 1 + random.below(2),
            feed,
            sequences: 0,
            turn: random.below(5),
            flag: None,
            open_valid_to: random.one_in(3).then_some(3_000_000 * DAY),
            // What is refused must not decide which load is the first.
            quarantine: initial == InitialValidFrom::EpochFirstLoad || !random.one_in(3),
        };
        let columns = 1 + random.below(3);
        let untracked = [Rule::LatestInRun, Rule::AllVersions, if feed { Rule::LatestInRun } else { Rule::Keep }];
        let rule = |random: &mut Random| if random.one_in(2) { Rule::Track } else { random.pick(&untracked) };
        let mut plan = Plan {
            rules: (0..columns).map(|_| rule(random)).collect(),
            mode: Mode::Feed { ignore_nulls: Vec::new() },
            marker: false,
            null_keys_as_value: random.one_in(4),
            initial,
        };
        if feed {
            layout.sequences = 1 + random.below(3);
            layout.flag = (!random.one_in(4)).then_some(flag);
            plan.marker = layout.flag.is_some() && random.one_in(2);
            let some: Vec<bool> = (0..columns).map(|_| random.one_in(2)).collect();
            let ignore_nulls = random.pick(&[vec![false; columns], vec![false; columns], vec![true; columns], some]);
            plan.mode = Mode::Feed { ignore_nulls };
        } else {
            let absence = !random.one_in(3);
            layout.flag = (!absence && random.one_in(2)).then_some(flag);
            plan.marker = (absence || layout.flag.is_some()) && random.one_in(2);
            let detect = random.pick(&[None, None, Some(Detect::Values), Some(Detect::Sequence)]);
            layout.sequences = usize::from(detect.is_some());
            let can_splice = absence && detect.is_none() && initial == InitialValidFrom::Natural;
            let late =
                if can_splice && !random.one_in(4) { Late::Apply } else { random.pick(&[Late::Error, Late::Skip]) };
            let scoped = absence && layout.keys == 2 && random.one_in(2);
            let scope = if scoped { vec![0] } else { vec![] };
            let scopes = if scoped { Layout::all_scopes() } else { vec![vec![]] };
            plan.mode = Mode::Snapshot { detect, absence, scope, scopes, late };
        }
        let mut case = Case { plan, layout, loads: Loads::Feed(Vec::new()) };
        case.loads = if feed { Loads::Feed(case.feed(random)) } else { Loads::Snapshots(case.snapshots(random)) };
        case
    }

    pub(crate) fn spec(&self) -> Spec {
        let Case { plan, layout, .. } = self;
        let names = |rule: Rule| plan.by(rule).map(|column| layout.column_name(column));
        let policy = if layout.quarantine { BadRows::Quarantine } else { BadRows::Error };
        macro_rules! common {
            ($builder:expr) => {{
                let builder = $builder.track(names(Rule::Track)).latest_in_run(names(Rule::LatestInRun));
                let builder = builder.all_versions(names(Rule::AllVersions)).bad_rows(policy);
                let builder = builder.initial_valid_from(plan.initial);
                let builder = if plan.null_keys_as_value { builder.null_keys_as_value() } else { builder };
                layout.open_valid_to.map_or(builder.clone(), |micros| builder.open_valid_to(micros))
            }};
        }
        let when = layout.flag.map(|flag| match flag {
            Flag::Bool => When::new(FLAG, true),
            Flag::Int => When::new(FLAG, 1),
            Flag::Text => When::new(FLAG, "D"),
        });
        let when = when.map(|when| if plan.marker { when.marker() } else { when });
        let built = match &plan.mode {
            Mode::Feed { ignore_nulls } => {
                let builder = common!(Spec::feed(layout.key_names().to_vec(), layout.sequence_names().to_vec()));
                let ignored = (0..ignore_nulls.len()).filter(|column| ignore_nulls[*column]);
                let builder = match ignore_nulls.iter().all(|ignored| *ignored) {
                    true => builder.ignore_nulls(),
                    false => builder.ignore_nulls_in(ignored.map(|column| layout.column_name(column))),
                };
                when.map_or(builder.clone(), |when| builder.deletes(when)).build()
            }
            Mode::Snapshot { detect, absence, scope, late, .. } => {
                let builder = common!(Spec::snapshot(layout.key_names().to_vec())).keep(names(Rule::Keep)).late(*late);
                let builder = detect.iter().fold(builder, |builder, detect| builder.sequence(SINCE, *detect));
                let ends = if plan.marker { Absence::marker() } else { Absence::close() };
                let ends = ends.within(scope.iter().map(|position| layout.key_names()[*position]));
                let builder = if *absence { builder.deletes(ends) } else { builder };
                when.map_or(builder.clone(), |when| builder.deletes(when)).build()
            }
        };
        built.unwrap()
    }

    /// A few keys: with one of nulls where that is a value.
    fn pool(&self, most: usize, random: &mut Random) -> Vec<Key> {
        let mut keys = self.layout.all_keys();
        random.shuffle(&mut keys);
        keys.truncate(1 + random.below(most));
        if self.plan.null_keys_as_value {
            let null = random.below(self.layout.keys);
            keys[0][null] = 0;
        }
        keys
    }

    fn cell(&self, column: usize, random: &mut Random) -> Cell {
        let values = self.layout.values_of(column) as Cell;
        random.pick(&[0, 0, 1, 1, 1, 2, values])
    }

    fn cells(&self, random: &mut Random) -> Vec<Cell> {
        (0..self.plan.rules.len()).map(|column| self.cell(column, random)).collect()
    }

    /// The columns that a load lacks: mostly none.
    fn absent(&self, random: &mut Random) -> Vec<bool> {
        let lacks = random.one_in(6);
        (0..self.plan.rules.len()).map(|_| lacks && random.one_in(2)).collect()
    }

    fn spoil(&self, row: &mut Row, random: &mut Random) {
        if self.plan.null_keys_as_value || !row.sequence.is_empty() && random.one_in(2) {
            if let Some(position) = row.sequence.len().checked_sub(1) {
                row.sequence[random.below(position + 1)] = None;
            }
        } else {
            // Of a row without its scope value nobody can tell which scope value it makes complete.
            let scoped = matches!(&self.plan.mode, Mode::Snapshot { scope, .. } if !scope.is_empty());
            let null = random.below(row.key.len());
            row.key.iter_mut().enumerate().filter(|(at, _)| scoped || *at == null).for_each(|(_, cell)| *cell = 0);
        }
    }

    fn feed(&self, random: &mut Random) -> Vec<Events> {
        let pool = self.pool(3, random);
        let mut known: Vec<Row> = Vec::new();
        let mut loads = Vec::new();
        for _ in 0..2 + random.below(4) {
            let clean = loads.is_empty() && self.plan.initial == InitialValidFrom::EpochFirstLoad;
            let absent = self.absent(random);
            let mut rows: Vec<Row> = Vec::new();
            for _ in 0..usize::from(clean) + random.below(8) {
                let mut row = Row {
                    key: random.pick(&pool),
                    sequence: vec![Some(random.within(-2, 7) * DAY)],
                    delete: self.layout.flag.is_some() && random.one_in(4),
                    cells: self.cells(random),
                };
                row.sequence.extend((1..self.layout.sequences).map(|_| Some(random.within(0, 3))));
                if let (false, true) = (known.is_empty(), random.one_in(4)) {
                    row = random.pick(&known);
                    // The same event again; or another one of the same sequence: a conflict.
                    if random.one_in(if self.layout.quarantine { 3 } else { 12 }) {
                        row.cells = self.cells(random);
                    }
                }
                if random.one_in(if self.layout.quarantine { 20 } else { 60 }) {
                    self.spoil(&mut row, random);
                }
                for column in (0..absent.len()).filter(|column| absent[*column]) {
                    row.cells[column] = 0;
                }
                rows.push(row);
                known.extend(rows.last().filter(|row| !row.sequence.contains(&None)).cloned());
            }
            if clean {
                rows.retain(|row| self.plan.null_keys_as_value || !row.key.contains(&0));
                rows.retain(|row| !row.sequence.contains(&None));
                rows.iter_mut().for_each(|row| row.delete = false);
                rows.sort();
                rows.dedup_by_key(|row| row.key.clone());
                if rows.is_empty() {
                    continue;
                }
            }
            loads.push(Events { rows, absent });
        }
        loads
    }

    fn snapshots(&self, random: &mut Random) -> Vec<Snapshot> {
        let pool = self.pool(5, random);
        let splices = matches!(self.plan.mode, Mode::Snapshot { late: Late::Apply, .. });
        let mut last: BTreeMap<Key, Row> = BTreeMap::new();
        let mut timeline = Timeline::default();
        let mut loads: Vec<Snapshot> = Vec::new();
        let mut now = 0;
        for _ in 0..if splices { 8 } else { 3 + random.below(4) } {
            let first = loads.is_empty();
            let clean = first && self.plan.initial == InitialValidFrom::EpochFirstLoad;
            let mut load = match () {
                () if first => self.snapshot(&pool, &mut last, DAY, !clean && !splices, random),
                () if random.one_in(6) => random.pick(&loads),
                () => {
                    let late = random.one_in(if splices { 2 } else { 4 });
                    now += if late { 0 } else { random.within(1, 3) };
                    let as_of = if late { now - random.within(0, 5) } else { now };
                    self.snapshot(&pool, &mut last, as_of * DAY, !splices, random)
                }
            };
            if clean {
                load = Snapshot { withheld: Vec::new(), complete: Complete::Present, ..load };
                load.rows.retain(|row| self.plan.null_keys_as_value || !row.key.contains(&0));
                load.rows.retain(|row| !row.sequence.contains(&None));
                load.rows.sort();
                load.rows.dedup_by_key(|row| row.key.clone());
                load.rows.iter_mut().for_each(|row| row.delete = false);
                if load.rows.is_empty() {
                    continue;
                }
            }
            if first {
                now = load.as_of / DAY;
            }
            let taken = timeline.take(&self.plan, &load);
            let stored = |(scope, part): (&Key, &_)| {
                timeline.get(scope, load.as_of).is_some_and(|stored| stored.hardly_differs(part))
            };
            // Whether these two are the same snapshot is the engine's affair.
            if taken.parts.iter().any(stored) {
                continue;
            }
            timeline = taken.after.unwrap_or(timeline);
            loads.push(load);
        }
        loads
    }

    /// Rows near those that the keys had last. `partly`: with conflicts, withheld keys, absent columns and so on.
    fn snapshot(
        &self,
        pool: &[Key],
        last: &mut BTreeMap<Key, Row>,
        as_of: i64,
        partly: bool,
        random: &mut Random,
    ) -> Snapshot {
        let absent = if partly { self.absent(random) } else { vec![false; self.plan.rules.len()] };
        let often = if self.layout.quarantine { 12 } else { 50 };
        let mut rows: Vec<Row> = Vec::new();
        for key in pool {
            let (key, cells) = (key.clone(), self.cells(random));
            let first = || Row { key: key.clone(), sequence: Vec::new(), delete: false, cells };
            let row = last.entry(key.clone()).or_insert_with(first);
            if random.one_in(3) {
                let column = random.below(self.plan.rules.len());
                row.cells[column] = self.cell(column, random);
            }
            if row.sequence.len() < self.layout.sequences || self.layout.sequences > 0 && random.one_in(2) {
                row.sequence = vec![Some(as_of + random.within(-4, 2) * DAY)];
            }
            row.delete = self.layout.flag.is_some() && random.one_in(4);
            let mut row = row.clone();
            for column in (0..absent.len()).filter(|column| absent[*column]) {
                row.cells[column] = 0;
            }
            if random.one_in(4) {
                continue;
            }
            if random.one_in(10) {
                rows.push(row.clone());
            }
            if partly && random.one_in(often) {
                let mut other = row.clone();
                let column = random.below(absent.len());
                other.cells[column] = if absent[column] { 0 } else { self.cell(column, random) };
                match other.sequence.iter_mut().flatten().next().filter(|_| !row.delete && random.one_in(2)) {
                    Some(sequence) => *sequence += DAY,
                    None => other.delete = self.layout.flag.is_some() && random.one_in(2),
                }
                rows.push(other);
            }
            if partly && random.one_in(2 * often) {
                self.spoil(&mut row, random);
                rows.retain(|other| other.key != row.key);
            }
            rows.push(row);
        }
        random.shuffle(&mut rows);
        let withheld = if partly && random.one_in(4) { vec![random.pick(pool)] } else { Vec::new() };
        let complete = match &self.plan.mode {
            Mode::Snapshot { scope, scopes, .. } if !scope.is_empty() && random.one_in(4) => {
                let null = if self.plan.null_keys_as_value { 0 } else { 1 };
                let from = null + random.below(scopes.len() - null);
                Complete::Only(scopes[from..].to_vec())
            }
            _ if partly && !rows.is_empty() && random.one_in(6) => Complete::Nothing,
            _ => random.pick(&[Complete::Present, Complete::Present, Complete::Everything]),
        };
        if let (false, Complete::Only(scopes)) = (partly, &complete) {
            // What is spliced is whole.
            rows.retain(|row| scopes.contains(&self.plan.scope_of(&row.key)));
        }
        Snapshot { as_of, rows, withheld, complete, absent }
    }
}
