//! The laws of snapshots.

use std::collections::BTreeSet;

use rcm_scd2::{Detect, Disposition, Error, InitialValidFrom, Late, Merged, Outcome, Rule, Spec, State, apply, rewind};

use crate::draw::Case;
use crate::engine::merge_apply;
use crate::feed::{check_refused, ends, join, refused};
use crate::laws::{Step, same_counts};
use crate::layout::{DAY, Style};
use crate::oracle::snapshot::{Complete, Snapshot, Taken, Timeline};
use crate::oracle::{Bad, Key, Mode, Plan, Version};
use crate::random::Random;
use crate::tally::Tally;

/// A table on its way through its loads.
struct Table<'a> {
    case: &'a Case,
    spec: Spec,
    state: State,
    timeline: Timeline,
    /// After a splice untracked columns of split runs may show a later value, so they are not compared.
    spliced: bool,
    /// Nobody remembers what a replaced snapshot overwrote in type 1 columns, so then they are not compared either.
    replaced: bool,
    /// The loads that changed the timeline.
    applied: Vec<&'a Snapshot>,
    any_late: bool,
}

pub(crate) fn run(case: &Case, loads: &[Snapshot], random: &mut Random, tally: &mut Tally) {
    let mut table = Table {
        case,
        spec: case.spec(),
        state: State::new(),
        timeline: Timeline::default(),
        spliced: false,
        replaced: false,
        applied: Vec::new(),
        any_late: false,
    };
    let mut typed = false;
    for load in loads {
        let narrow = typed && !case.versions(&table.state).is_empty();
        if table.load(load, narrow, random, tally) {
            typed |= load.absent.iter().all(|absent| !absent) && !load.rows.is_empty();
        }
    }
    table.joined(random, tally);
    table.rewound(random, tally);
    table.in_buckets(loads, random, tally);
}

impl Plan {
    fn snapshots(&self) -> (Option<Detect>, bool, bool, Late) {
        match &self.mode {
            Mode::Snapshot { detect, absence, scope, late, .. } => (*detect, *absence, !scope.is_empty(), *late),
            Mode::Feed { .. } => unreachable!("these are the laws of snapshots"),
        }
    }
}

impl<'a> Table<'a> {
    /// The versions that can be compared, sorted.
    fn comparable(&self, versions: &[Version]) -> Vec<Version> {
        let plan = &self.case.plan;
        let mut versions = versions.to_vec();
        if self.spliced {
            for version in &mut versions {
                plan.by(Rule::LatestInRun).chain(plan.by(Rule::Keep)).for_each(|column| version.cells[column] = 0);
                plan.by(Rule::AllVersions).filter(|_| self.replaced).for_each(|column| version.cells[column] = 0);
            }
            versions.sort();
        }
        versions
    }

    /// Whether the load was accepted.
    fn load(&mut self, load: &'a Snapshot, narrow: bool, random: &mut Random, tally: &mut Tally) -> bool {
        let (case, plan) = (self.case, &self.case.plan);
        let taken = self.timeline.take(plan, load);
        let before = case.rearranged(&self.state, random);
        let was = case.layout.versions(plan, &before.history);
        let style = Style::random(random, narrow);
        let packed = case.pack_snapshot(load, &style, random);
        let merged = merge_apply(&self.spec, &before, &packed);
        let bad_load = !case.layout.quarantine && taken.bad.iter().any(Option::is_some);
        let Some(after) = taken.after.as_ref().filter(|_| !bad_load) else {
            let error = merged.unwrap_err();
            case.in_parts(&self.spec, &before, &packed, Err(&error), random, tally);
            match (bad_load, &taken.after) {
                (false, _) => assert!(matches!(error, Error::LateSnapshot { .. }), "not refused as late: {error:?}"),
                (true, Some(_)) => refused(&load.rows, &taken.bad, error),
                (true, None) => {}
            }
            tally.saw_if(!bad_load, "late snapshots refused");
            tally.saw_if(bad_load, "refused loads");
            return false;
        };
        let (merged, state) = merged.unwrap();
        let met = |disposition: Disposition| taken.dispositions.values().any(|other| *other == disposition);
        let [splices, skips, repeats] = [Disposition::Spliced, Disposition::Skipped, Disposition::Repeated].map(met);
        let whole = !skips && !repeats;
        if whole {
            check_refused(&load.rows, &taken.bad, &merged.refused);
        }
        self.spliced |= splices;
        let replaces = |(scope, met): (&Key, &Disposition)| {
            *met == Disposition::Spliced && self.timeline.get(scope, load.as_of).is_some()
        };
        self.replaced |= taken.dispositions.iter().any(replaces);
        self.any_late |= splices || skips;
        let is = case.versions(&state);
        assert_eq!(self.comparable(&is), self.comparable(&after.history(plan)), "the oracle");
        dispositions(&merged, &taken);
        tally.saw_if(splices, "L16 splices");
        tally.saw_if(splices && load.rows.is_empty(), "L16 empty splices");
        tally.saw_if(skips, "skips");
        tally.saw_if(repeats, "repeats");

        let (rows, bad) = (&load.rows, &taken.bad);
        let step = Step { case, spec: &self.spec, rows, bad, merged: &merged, after: &state, was: &was, is: &is };
        step.check(tally);
        self.laws(&step, load, &taken, splices, tally);
        if whole {
            step.outcomes_of_keys(|key| was.iter().any(|version| version.key == *key), tally);
            self.as_the_snapshot_says(&step, load, tally);
        }

        let mut other = load.clone();
        random.shuffle(&mut other.rows);
        let other = case.pack_snapshot(&other, &Style { narrow: false, ..style }, random);
        let again = merge_apply(&self.spec, &state, &other).unwrap().0;
        assert!(again.is_nothing(), "L3: a replay does something: {again:?}");
        tally.saw_if(!load.rows.is_empty(), "L3 replay");
        if random.one_in(3) {
            step.threads(&before, &packed, tally);
            let (arranged, table) = merge_apply(&self.spec, &case.rearranged(&before, random), &other).unwrap();
            assert_eq!(case.versions(&table), is, "L15");
            same_counts(&arranged, &merged);
            case.in_parts(&self.spec, &before, &packed, Ok((&merged, &is)), random, tally);
            case.in_parts(&self.spec, &state, &other, Ok((&again, &is)), random, tally);
            tally.saw_if(load.rows.len() > 1, "L15 arrangement");
        }
        if self.timeline != *after && (splices || met(Disposition::Applied)) {
            self.applied.push(load);
        }
        self.timeline = after.clone();
        self.state = state;
        true
    }

    fn laws(&self, step: &Step, load: &Snapshot, taken: &Taken, splices: bool, tally: &mut Tally) {
        let plan = &self.case.plan;
        let (detect, absence, ..) = plan.snapshots();
        // Where sequences decide, history may grow without a change, and a revived key may touch its last version.
        if detect.is_none() {
            step.canonical(tally);
        }
        let held: BTreeSet<&Key> = taken.parts.values().flat_map(|part| &part.held).collect();
        let touches = |key: &Key| {
            let part = taken.parts.get(&plan.scope_of(key));
            let absent = part.is_some_and(|part| part.complete && absence && !part.rows.contains_key(key));
            !held.contains(key) && (absent || load.rows.iter().any(|row| row.key == *key))
        };
        step.untouched(touches, tally);
        step.closed_stay(|_| splices, tally);
        if !splices {
            step.effects();
            step.fast_path(tally);
        }
        for version in step.was.iter().filter(|version| held.contains(&version.key)) {
            assert!(step.is.contains(version), "L13: {version:?} was withheld, or its rows are bad");
            tally.saw_if(version.is_live() && absence, "L13 quarantined keys");
        }
        for (row, outcome) in load.rows.iter().zip(&step.merged.outcomes) {
            assert!(*outcome != Outcome::Withheld || load.withheld.contains(&row.key), "{row:?} is not withheld");
        }
        let after = Some(load.as_of);
        let clamped = load.rows.iter().any(|row| row.sequence.first().is_some_and(|sequence| *sequence > after));
        tally.saw_if(clamped, "sequences after as_of");
        tally.saw_if(load.absent.contains(&true), "absent columns");
        tally.count("conflicts", step.bad.iter().filter(|bad| **bad == Some(Bad::Conflict)).count());
        ends(step.is, tally);
    }

    /// L6 and L8, where a snapshot says all there is to say.
    fn as_the_snapshot_says(&self, step: &Step, load: &Snapshot, tally: &mut Tally) {
        let plan = &self.case.plan;
        let (detect, absence, scoped, _) = plan.snapshots();
        let all = absence && !scoped && detect != Some(Detect::Sequence) && load.complete != Complete::Nothing;
        let plain = load.withheld.is_empty() && !load.absent.contains(&true) && step.bad.iter().all(Option::is_none);
        if !all || !plain || self.spliced {
            return;
        }
        let rows: BTreeSet<_> = load.rows.iter().map(|row| (&row.key, &row.cells)).collect();
        let shown: Vec<&Version> =
            step.is.iter().filter(|version| version.covers(load.as_of) && !version.deleted).collect();
        let same = |columns: &[usize], name: &str| {
            let pick = |cells: &[u32]| columns.iter().map(|column| cells[*column]).collect::<Vec<_>>();
            let said: BTreeSet<_> = rows.iter().map(|(key, cells)| (*key, pick(cells))).collect();
            let shown: Vec<_> = shown.iter().map(|version| (&version.key, pick(&version.cells))).collect();
            assert_eq!(shown, said.into_iter().collect::<Vec<_>>(), "{name}");
        };
        same(&plan.by(Rule::Track).collect::<Vec<_>>(), "L6");
        tally.saw_if(!rows.is_empty(), "L6 as of a snapshot");
        assert!(shown.iter().all(|version| version.is_live()), "L8");
        let latest = (0..plan.rules.len()).filter(|column| plan.rules[*column] != Rule::Keep);
        same(&latest.collect::<Vec<_>>(), "L8");
        tally.saw_if(!rows.is_empty(), "L8 type 1");
    }

    fn joined(&self, random: &mut Random, tally: &mut Tally) {
        let versions = self.case.layout.versions(&self.case.plan, &self.state.history);
        let keys: BTreeSet<&Key> = versions.iter().map(|version| &version.key).collect();
        let whole = keys.into_iter().filter(|key| !key.contains(&0));
        let facts: Vec<(Key, i64)> = whole.map(|key| (key.clone(), random.within(-3, 9) * DAY)).collect();
        join(self.case, &self.spec, &self.state, &versions, &facts, random, tally);
    }

    /// L14. Rewound untracked columns have no older value to go back to, so only the tracked ones are compared until
    /// the snapshots are applied again. With a sequence a version may start before the snapshot that said so, and with
    /// late loads the second time is not like the first, unless they are spliced in.
    fn rewound(&self, random: &mut Random, tally: &mut Tally) {
        let (case, plan) = (self.case, &self.case.plan);
        let (detect, _, _, late) = plan.snapshots();
        let natural = plan.initial == InitialValidFrom::Natural;
        if detect.is_some() || !natural || self.any_late && late != Late::Apply {
            return;
        }
        let to = random.within(0, 7) * DAY;
        let merged = rewind(&self.spec, &self.state, to).unwrap();
        let mut state = apply(&self.state, &merged).unwrap();
        let tracked = |versions: Vec<Version>| {
            let mut versions: Vec<Version> = versions.iter().map(|version| plan.tracked(version)).collect();
            versions.sort();
            versions
        };
        let before = self.timeline.before(to).history(plan);
        assert_eq!(tracked(case.versions(&state)), tracked(before), "L14: rewound to {to}");
        let again: Vec<&&Snapshot> = self.applied.iter().filter(|load| load.as_of >= to).collect();
        for load in &again {
            let packed = case.pack_snapshot(load, &Style::random(random, false), random);
            state = merge_apply(&self.spec, &state, &packed).unwrap().1;
        }
        let (is, was) = (case.versions(&state), case.versions(&self.state));
        assert_eq!(self.comparable(&is), self.comparable(&was), "L14: rewound to {to} and applied again");
        tally.saw_if(!again.is_empty(), "L14 rewind");
    }

    /// L15 for buckets: a bucket's part of a load is complete for the scope values of the whole load.
    fn in_buckets(&self, loads: &[Snapshot], random: &mut Random, tally: &mut Tally) {
        let (case, plan) = (self.case, &self.case.plan);
        let scoped = plan.snapshots().2;
        let partial = |load: &Snapshot| matches!(load.complete, Complete::Nothing | Complete::Only(_));
        if plan.initial == InitialValidFrom::EpochFirstLoad || loads.iter().any(partial) {
            return;
        }
        let count = 1 + random.below(3) as u32;
        let mut states = vec![State::new(); count as usize];
        let mut timeline = Timeline::default();
        for load in loads {
            let taken = timeline.take(plan, load);
            let bad_load = !case.layout.quarantine && taken.bad.iter().any(Option::is_some);
            let Some(after) = taken.after.filter(|_| !bad_load) else { continue };
            timeline = after;
            let rows = case.bucket(load.rows.iter().map(|row| &row.key), count);
            let withheld = case.bucket(load.withheld.iter(), count);
            for (bucket, state) in (0..count).zip(&mut states) {
                let mut part = load.clone();
                let mut buckets = rows.iter();
                part.rows.retain(|_| buckets.next() == Some(&bucket));
                let mut buckets = withheld.iter();
                part.withheld.retain(|_| buckets.next() == Some(&bucket));
                if scoped && load.complete == Complete::Present {
                    part.complete = Complete::Only(taken.parts.keys().cloned().collect());
                }
                let packed = case.pack_snapshot(&part, &Style::random(random, false), random);
                *state = merge_apply(&self.spec, state, &packed).unwrap().1;
            }
        }
        let mut versions: Vec<Version> = states.iter().flat_map(|state| case.versions(state)).collect();
        versions.sort();
        let expected = case.versions(&self.state);
        assert_eq!(self.comparable(&versions), self.comparable(&expected), "L15: {count} buckets");
        tally.saw_if(count > 1 && !expected.is_empty(), "L15 buckets");
    }
}

/// The report has a line for each scope value, with what became of it. Values that nobody has seen yet need none.
fn dispositions(merged: &Merged, taken: &Taken) {
    let reported: Vec<Disposition> = merged.scopes.iter().map(|scope| scope.disposition).collect();
    for (scope, disposition) in &taken.dispositions {
        let touched = !taken.parts[scope].rows.is_empty() || scope.is_empty();
        assert!(!touched || reported.contains(disposition), "{disposition:?} is not reported: {reported:?}");
    }
    let closed: u64 = merged.scopes.iter().map(|scope| scope.closed_by_absence).sum();
    assert_eq!(closed, merged.counts.closed_by_absence, "closed by absence");
}
