//! The laws of `docs/semantics.md`, by seeded random cases and an oracle that was written apart from the engine.
//!
//! `RCM_SCD2_LAW_CASES=100000 cargo test --release -p rcm-scd2 --test laws -- --nocapture` runs that many cases and
//! prints how often each law was put to the test; `RCM_SCD2_LAW_SEED=n` runs one case again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "../corpus/mod.rs"]
mod cases;
mod corpus;
mod cut;
mod draw;
mod engine;
mod feed;
mod laws;
mod layout;
mod oracle;
mod random;
mod snapshot;
mod surrogate;
mod tally;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use draw::{Case, Loads};
use random::Random;
use tally::Tally;

/// What a plain `cargo test` can afford.
const SAMPLE: u64 = 1500;
/// How often, in a thousand cases, each law and each situation must be seen: a law that saw nothing says nothing.
/// About half of what is seen.
const FLOOR: [(&str, u64); 41] = [
    ("L1 intervals", 2000),
    ("L2 one current row", 4000),
    ("L3 replay", 1800),
    ("L4 order", 350),
    ("L6 as of", 4000),
    ("L6 as of a snapshot", 150),
    ("L6 as-of join", 250),
    ("L7 canonical", 1500),
    ("L8 type 1", 600),
    ("L9 other keys", 600),
    ("L10 closed versions", 500),
    ("L11 no-op", 450),
    ("L11 withdrawals", 300),
    ("L12 counters", 1800),
    ("L13 quarantined keys", 90),
    ("L14 rewind", 150),
    ("L15 arrangement", 450),
    ("L15 buckets", 180),
    ("L15 parts", 500),
    ("L15 threads", 1300),
    ("L16 splices", 80),
    ("L16 empty splices", 4),
    ("L17 surrogate keys", 1400),
    ("absent columns", 90),
    ("conflicts", 400),
    ("corrections by a further sequence", 120),
    ("deletes", 900),
    ("deletes of unknown keys", 160),
    ("fast path", 130),
    ("ignored nulls", 370),
    ("late events", 320),
    ("late snapshots refused", 70),
    ("markers", 450),
    ("new keys", 1000),
    ("null keys and sequences", 110),
    ("refused loads", 55),
    ("repeats", 150),
    ("revivals", 400),
    ("sequences after as_of", 110),
    ("skips", 70),
    ("versions from the epoch", 1000),
];

fn run(seed: u64, tally: &mut Tally) {
    let random = &mut Random::new(seed);
    let case = Case::draw(random);
    let checked = catch_unwind(AssertUnwindSafe(|| match &case.loads {
        Loads::Feed(loads) => feed::run(&case, loads, random, tally),
        Loads::Snapshots(loads) => snapshot::run(&case, loads, random, tally),
    }));
    if checked.is_err() {
        panic!("RCM_SCD2_LAW_SEED={seed} fails.\n{:?}\n{case}", case.spec());
    }
}

/// All cases, on two threads.
fn run_all(cases: u64) -> Tally {
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut tally = Tally::default();
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= cases {
                break;
            }
            if let Err(error) = catch_unwind(AssertUnwindSafe(|| run(seed, &mut tally))) {
                failed.store(true, Ordering::Relaxed);
                std::panic::resume_unwind(error);
            }
        }
        tally
    };
    std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(work));
        let mut all = Tally::default();
        for thread in threads {
            all.add(&thread.join().unwrap_or_else(|_| panic!("a case fails: see above")));
        }
        all
    })
}

#[test]
fn the_laws_hold() {
    #[allow(clippy::disallowed_methods, reason = "whoever runs this program says how much of it")]
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("RCM_SCD2_LAW_SEED") {
        run(seed, &mut Tally::default());
        return;
    }
    let cases = number("RCM_SCD2_LAW_CASES").unwrap_or(SAMPLE);
    let tally = run_all(cases);
    println!("{:<36} {:>9}", "law", "cases");
    tally.iter().for_each(|(what, times)| println!("{what:<36} {times:>9}"));
    if cases < SAMPLE {
        return;
    }
    for (what, per_thousand) in FLOOR {
        let least = per_thousand * cases / 1000;
        assert!(tally.get(what) >= least, "{what}: {} times in {cases} cases, not {least}", tally.get(what));
    }
}
