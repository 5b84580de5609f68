//! Arbitrary specs and loads against the oracle: the cases of `tests/laws`, drawn by the fuzzer.
#![no_main]
#![allow(dead_code, reason = "the modules are those of the test, which uses more of them")]

mod random;
#[path = "../tests/laws"]
mod shared {
    pub(crate) mod cut;
    pub(crate) mod draw;
    pub(crate) mod engine;
    pub(crate) mod feed;
    pub(crate) mod laws;
    pub(crate) mod layout;
    pub(crate) mod oracle;
    pub(crate) mod snapshot;
    pub(crate) mod tally;
}
use shared::{draw, engine, feed, laws, layout, oracle, snapshot, tally};

use draw::{Case, Loads};
use libfuzzer_sys::fuzz_target;
use random::Random;
use tally::Tally;

impl Random {
    /// From `low` up to and without `high`.
    pub(crate) fn within(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low) as usize) as i64
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let random = &mut Random::of(bytes);
    let case = Case::draw(random);
    let mut tally = Tally::default();
    match &case.loads {
        Loads::Feed(loads) => feed::run(&case, loads, random, &mut tally),
        Loads::Snapshots(loads) => snapshot::run(&case, loads, random, &mut tally),
    }
});
