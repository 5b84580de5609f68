//! The laws that hold of every merge, whatever the mode.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, TimestampMicrosecondArray};
use rcm_scd2::{Merged, Outcome, Rule, Spec, State, merge, surrogate_keys, verify};

use crate::draw::Case;
use crate::engine::{Packed, pools};
use crate::oracle::{Bad, Key, Row, Version};
use crate::tally::Tally;

/// One merge.
pub(crate) struct Step<'a> {
    pub(crate) case: &'a Case,
    pub(crate) spec: &'a Spec,
    pub(crate) rows: &'a [Row],
    pub(crate) bad: &'a [Option<Bad>],
    pub(crate) merged: &'a Merged,
    pub(crate) after: &'a State,
    /// The versions before, as they lay in the table, and after, sorted.
    pub(crate) was: &'a [Version],
    pub(crate) is: &'a [Version],
}

impl Step<'_> {
    pub(crate) fn check(&self, tally: &mut Tally) {
        self.intervals(tally);
        self.counters(tally);
        self.no_op(tally);
        self.least_written(tally);
        self.injective(tally);
    }

    /// L1, L2.
    fn intervals(&self, tally: &mut Tally) {
        verify(self.spec, &self.after.history).unwrap();
        for version in self.is {
            assert!(version.to.is_none_or(|to| version.from < to), "L1: {version:?}");
        }
        for pair in self.is.windows(2).filter(|pair| pair[0].key == pair[1].key) {
            let end = pair[0].to.unwrap_or_else(|| panic!("L2: {:?} is current, and not the last", pair[0]));
            assert!(end <= pair[1].from, "L1: {pair:?} overlap");
            tally.saw("L1 intervals");
        }
        tally.count("L2 one current row", self.is.iter().filter(|version| version.to.is_none()).count());
    }

    /// L12.
    fn counters(&self, tally: &mut Tally) {
        let Merged { outcomes, counts, refused, .. } = self.merged;
        assert_eq!(outcomes.len(), self.rows.len(), "L12");
        let tallied = [
            (Outcome::New, counts.new),
            (Outcome::Changed, counts.changed),
            (Outcome::Late, counts.late),
            (Outcome::NoOp, counts.no_op),
            (Outcome::Collapsed, counts.collapsed),
            (Outcome::Refused, counts.refused),
            (Outcome::Withheld, counts.withheld),
        ];
        for (outcome, count) in tallied {
            let times = outcomes.iter().filter(|other| **other == outcome).count();
            assert_eq!(count, times as u64, "L12: {outcome:?}");
        }
        assert_eq!(counts.rows(), self.rows.len() as u64, "L12");
        let set_aside: Vec<usize> = refused.iter().map(|refused| refused.row).collect();
        let positions: Vec<usize> = (0..outcomes.len()).filter(|row| outcomes[*row] == Outcome::Refused).collect();
        assert_eq!(set_aside, positions, "L12");
        tally.saw_if(!self.rows.is_empty(), "L12 counters");
    }

    /// L11.
    fn no_op(&self, tally: &mut Tally) {
        assert_eq!(self.merged.is_no_op(), !self.changes(), "L11");
        tally.saw_if(!self.changes() && !self.rows.is_empty(), "L11 no-op");
    }

    fn changes(&self) -> bool {
        let mut was = self.was.to_vec();
        was.sort();
        was != self.is
    }

    /// Each change is the effect of some row, or ends a key that is absent. (What an absence does to the middle of a
    /// splice has no counter.)
    pub(crate) fn effects(&self) {
        let effect = self.merged.outcomes.iter().any(visible) || self.merged.counts.closed_by_absence > 0;
        assert_eq!(effect, self.changes(), "outcomes {:?}", self.merged.outcomes);
    }

    /// A row that stays is not written again, and one of which only the end changes is closed.
    fn least_written(&self, tally: &mut Tally) {
        let opens = self.case.layout.versions(&self.case.plan, std::slice::from_ref(&self.merged.opens));
        for row in &self.merged.withdrawals {
            let gone = &self.was[*row];
            assert!(!opens.contains(gone), "L11: {gone:?} is written again");
            let only_ends = |open: &&Version| open.to.is_some() && Version { to: gone.to, ..(*open).clone() } == *gone;
            assert_eq!(opens.iter().find(only_ends), None, "L11: {gone:?} only ends");
            tally.saw("L11 withdrawals");
        }
    }

    /// L17, over all rows of the table.
    fn injective(&self, tally: &mut Tally) {
        let names: BTreeSet<(&Key, i64)> = self.is.iter().map(|version| (&version.key, version.from)).collect();
        assert_eq!(names.len(), self.is.len(), "L17: (key, valid_from) is there twice");
        let arrays = self.case.layout.key_arrays(&self.is.iter().map(|version| &version.key).collect::<Vec<_>>());
        let from = TimestampMicrosecondArray::from_iter_values(self.is.iter().map(|version| version.from));
        let surrogates = surrogate_keys(&arrays, &from).unwrap();
        let distinct: BTreeSet<_> = surrogates.iter().collect();
        assert_eq!(distinct.len(), self.is.len(), "L17");
        assert_eq!(surrogates.null_count(), 0);
        tally.saw_if(self.is.len() > 1, "L17 surrogate keys");
    }

    /// L9: keys that the load does not touch have the rows they had.
    pub(crate) fn untouched(&self, touches: impl Fn(&Key) -> bool, tally: &mut Tally) {
        let (was, is) = (by_key(self.was), by_key(self.is));
        for (key, versions) in was.iter().filter(|(key, _)| !touches(key)) {
            assert_eq!(Some(versions), is.get(key), "L9");
            tally.saw("L9 other keys");
        }
        assert!(is.keys().all(|key| was.contains_key(key) || touches(key)), "L9");
    }

    /// L10, of the keys that saw nothing late; not where the newest value overwrites all versions.
    pub(crate) fn closed_stay(&self, saw_late: impl Fn(&Key) -> bool, tally: &mut Tally) {
        if self.case.plan.has(Rule::AllVersions) {
            return;
        }
        for version in self.was.iter().filter(|version| version.to.is_some() && !saw_late(&version.key)) {
            assert!(self.is.contains(version), "L10: {version:?} changed");
            tally.saw("L10 closed versions");
        }
    }

    /// L7: two touching versions differ in a tracked column, or one is a marker.
    pub(crate) fn canonical(&self, tally: &mut Tally) {
        let plan = &self.case.plan;
        for pair in self.is.windows(2).filter(|pair| pair[0].key == pair[1].key && pair[0].to == Some(pair[1].from)) {
            let [a, b] = [&pair[0], &pair[1]];
            let differ = plan.by(Rule::Track).any(|column| a.cells[column] != b.cells[column]);
            assert!(differ || a.deleted != b.deleted, "L7: {pair:?}");
            tally.saw("L7 canonical");
        }
    }

    /// Without untracked columns and late rows nothing is withdrawn.
    pub(crate) fn fast_path(&self, tally: &mut Tally) {
        if !self.case.plan.has(Rule::AllVersions) && !self.case.plan.has(Rule::LatestInRun) {
            assert_eq!(self.merged.withdrawals, [0; 0], "the fast path");
            tally.saw_if(!self.merged.closes.is_empty(), "fast path");
        }
    }

    /// What became of the rows of each key: New once, where it was unknown, and a change is a row's effect.
    pub(crate) fn outcomes_of_keys(&self, known: impl Fn(&Key) -> bool, tally: &mut Tally) {
        let (was, is) = (by_key(self.was), by_key(self.is));
        let keys: BTreeSet<&Key> = self.rows.iter().map(|row| &row.key).collect();
        for key in keys {
            let of_key = self.rows.iter().zip(&self.merged.outcomes).filter(|(row, _)| row.key == *key);
            let outcomes: Vec<&Outcome> = of_key.map(|(_, outcome)| outcome).collect();
            let new = outcomes.iter().filter(|outcome| ***outcome == Outcome::New).count();
            let appeared = !known(key) && is.contains_key(key);
            assert_eq!(new, usize::from(appeared), "{key:?}: {outcomes:?}");
            let changed = was.get(key) != is.get(key);
            assert_eq!(outcomes.iter().any(|outcome| visible(outcome)), changed, "{key:?}: {outcomes:?}");
            tally.saw_if(appeared, "new keys");
        }
    }

    /// L15 for threads: the very same answer in pools of any size.
    pub(crate) fn threads(&self, before: &State, packed: &Packed, tally: &mut Tally) {
        for pool in pools() {
            let merged = pool.install(|| merge(self.spec, before, &packed.load())).unwrap();
            assert!(merged == *self.merged, "L15: another answer with {} threads", pool.current_num_threads());
            tally.saw("L15 threads");
        }
    }
}

pub(crate) fn visible(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::New | Outcome::Changed | Outcome::Late)
}

fn by_key(versions: &[Version]) -> BTreeMap<&Key, BTreeSet<&Version>> {
    let mut keys: BTreeMap<&Key, BTreeSet<&Version>> = BTreeMap::new();
    for version in versions {
        keys.entry(&version.key).or_default().insert(version);
    }
    keys
}

/// The counts do not depend on how the rows lie.
pub(crate) fn same_counts(a: &Merged, b: &Merged) {
    assert_eq!(a.counts, b.counts, "L15");
    assert_eq!(a.closes.len() + a.withdrawals.len(), b.closes.len() + b.withdrawals.len(), "L15");
}
