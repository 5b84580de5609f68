//! Loads as the engine takes them, and what it makes of them.

use std::sync::OnceLock;

use arrow::array::{ArrayRef, RecordBatch};
use rayon::{ThreadPool, ThreadPoolBuilder};
use rcm_scd2::{Error, Load, Merged, Spec, State, apply, buckets, merge};

use crate::draw::Case;
use crate::layout::{Style, rearranged};
use crate::oracle::snapshot::{Complete, Snapshot};
use crate::oracle::{Key, Row, Version};
use crate::random::Random;

/// The batches of a load.
pub(crate) struct Packed {
    rows: Vec<RecordBatch>,
    withheld: Vec<RecordBatch>,
    only: Option<Vec<RecordBatch>>,
    complete: rcm_scd2::Complete<'static>,
    as_of: i64,
}

impl Packed {
    pub(crate) fn load(&self) -> Load<'_> {
        let complete = self.only.as_ref().map_or(self.complete, |only| rcm_scd2::Complete::Only(only));
        Load { rows: &self.rows, as_of: self.as_of, withheld: &self.withheld, complete }
    }
}

impl Case {
    pub(crate) fn pack_events(&self, rows: &[Row], absent: &[bool], style: &Style, random: &mut Random) -> Packed {
        let rows = self.layout.batches(&self.plan, rows, absent, style, random);
        Packed { rows, withheld: Vec::new(), only: None, complete: rcm_scd2::Complete::Present, as_of: 0 }
    }

    pub(crate) fn pack_snapshot(&self, load: &Snapshot, style: &Style, random: &mut Random) -> Packed {
        let rows = self.layout.batches(&self.plan, &load.rows, &load.absent, style, random);
        let keys = |keys: &[Key], random: &mut Random| self.layout.key_batches(keys, random);
        let withheld = if load.withheld.is_empty() { Vec::new() } else { keys(&load.withheld, random) };
        let (complete, only) = match &load.complete {
            Complete::Present => (rcm_scd2::Complete::Present, None),
            Complete::Everything => (rcm_scd2::Complete::Everything, None),
            Complete::Nothing => (rcm_scd2::Complete::Nothing, None),
            Complete::Only(scopes) => (rcm_scd2::Complete::Nothing, Some(keys(scopes, random))),
        };
        Packed { rows, withheld, only, complete, as_of: load.as_of }
    }

    /// The versions of a table, sorted.
    pub(crate) fn versions(&self, state: &State) -> Vec<Version> {
        let mut versions = self.layout.versions(&self.plan, &state.history);
        versions.sort();
        versions
    }

    /// The same table, lying otherwise. Hidden state and the ledger are the engine's own.
    pub(crate) fn rearranged(&self, state: &State, random: &mut Random) -> State {
        State { history: rearranged(&state.history, random), ..state.clone() }
    }

    /// The bucket of each key.
    pub(crate) fn bucket<'a>(&self, keys: impl Iterator<Item = &'a Key>, count: u32) -> Vec<u32> {
        let arrays: Vec<ArrayRef> = self.layout.key_arrays(&keys.collect::<Vec<_>>());
        let buckets: Vec<u32> = buckets(&arrays, count).unwrap().iter().flatten().collect();
        assert!(buckets.iter().all(|bucket| *bucket < count));
        buckets
    }
}

pub(crate) fn merge_apply(spec: &Spec, state: &State, packed: &Packed) -> Result<(Merged, State), Error> {
    let merged = merge(spec, state, &packed.load())?;
    let after = apply(state, &merged)?;
    Ok((merged, after))
}

/// Pools of one and of three threads.
pub(crate) fn pools() -> &'static [ThreadPool; 2] {
    static POOLS: OnceLock<[ThreadPool; 2]> = OnceLock::new();
    POOLS.get_or_init(|| [1, 3].map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap()))
}
