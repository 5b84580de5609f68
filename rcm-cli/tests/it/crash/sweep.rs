//! Which points are tried, and the ledger of them.

use super::disk::Point;
use super::{Stage, kind, stages};
use chrono::Utc;
use std::collections::{BTreeMap, BTreeSet};

const POINTS: &str = "RCM_CRASH_POINTS";
const SEED: &str = "RCM_CRASH_SEED";
/// Every so manieth point: `1/4` to `4/4` are all.
const PART: &str = "RCM_CRASH_PART";

/// Numbers that depend on a seed only.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    /// One in three.
    pub(super) fn third(&mut self) -> bool {
        self.below(3) == 0
    }
}

/// Cells of the ledger that no run can fill: other things than a lease are not locked, a lease is no file of bytes, and
/// what landed or was computed is not read again (gold is, by queries, through an object store).
fn is_possible(verb: &str, kind: &str) -> bool {
    match verb {
        "open_lock" | "sign_lock" => kind == "lease",
        "make_folder" | "sync_folder" | "list" => true,
        "read" | "read_range" => !["lease", "lake", "bronze", "gold"].contains(&kind),
        _ => !["lease", "lake"].contains(&kind),
    }
}

/// How often each verb was tried at each kind of file.
type Ledger = BTreeMap<(String, String), usize>;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |n| n.parse().unwrap())
}

/// Which points are asked for.
pub(crate) struct Asked {
    pub(crate) seed: u64,
    /// So many of each stage; 0: all.
    points: usize,
    part: usize,
    pub(crate) parts: usize,
}

impl Asked {
    pub(crate) fn of(name: &str, sample: u64) -> Asked {
        let seed = number(SEED, Utc::now().timestamp_micros().unsigned_abs());
        let part = std::env::var(PART).unwrap_or_else(|_| "1/1".to_owned());
        let (part, parts) = part.split_once('/').unwrap();
        let [part, parts] = [part, parts].map(|n| n.parse::<usize>().unwrap());
        println!("{name}: {SEED}={seed} repeats this sample");
        Asked { seed, points: number(POINTS, sample) as usize, part, parts }
    }

    /// Those of a stage's points, in their order.
    pub(crate) fn of_stage<T>(&self, mut points: Vec<T>) -> impl Iterator<Item = T> {
        points.truncate(if self.points > 0 { self.points } else { points.len() });
        points.into_iter().skip(self.part - 1).step_by(self.parts)
    }
}

/// Points of the stages, a sample or all; what to do at each; and a ledger of what was done.
pub(super) fn sweep(name: &str, sample: u64, at: impl Fn(&str) -> bool, one: impl Fn(&Stage, Point, &mut Dice)) {
    let asked = Asked::of(name, sample);
    let seed = asked.seed;
    let mut ledger = Ledger::default();
    let started = std::time::Instant::now();
    for (number, stage) in stages().iter().enumerate() {
        // The order of a stage's points is that of all parts.
        let mut order = Dice(seed.wrapping_add(number as u64));
        let mut points = stage.points(&at);
        assert!(points.len() > 30, "{} points", points.len());
        // A sample takes one of each kind of file, then a second one of each.
        points.sort_by_cached_key(|_| order.below(usize::MAX));
        let mut of_kind: BTreeMap<&str, usize> = BTreeMap::new();
        let mut rank = |point: &Point| {
            let rank = of_kind.entry(kind(&stage.calls[point.call].1)).or_default();
            *rank += 1;
            *rank
        };
        let mut points: Vec<(usize, Point)> = points.into_iter().map(|point| (rank(&point), point)).collect();
        points.sort_by_key(|(rank, _)| *rank);
        for (_, point) in asked.of_stage(points) {
            let (verb, path) = &stage.calls[point.call];
            *ledger
                .entry((if point.half { "half of create" } else { *verb }.to_owned(), kind(path).to_owned()))
                .or_default() += 1;
            let chance = seed.wrapping_add(point.call as u64) << 1 | u64::from(point.half);
            one(stage, point, &mut Dice(chance));
        }
    }
    let points: usize = ledger.values().sum();
    println!(
        "{name}: {points} points, 0 divergences, {:.1} s a point",
        started.elapsed().as_secs_f64() / points as f64
    );
    for ((verb, kind), points) in &ledger {
        println!("{verb:14} {kind:10} {points:5}");
    }
    if asked.points == 0 {
        let (verbs, kinds): (BTreeSet<&String>, BTreeSet<&String>) =
            ledger.keys().map(|(verb, kind)| (verb, kind)).unzip();
        let cells = verbs.iter().flat_map(|verb| kinds.iter().map(move |kind| ((*verb).clone(), (*kind).clone())));
        for cell in cells.filter(|cell| is_possible(&cell.0, &cell.1) && !ledger.contains_key(cell)) {
            // A part of the points may miss what another part has.
            assert!(asked.parts > 1, "nothing was tried at {cell:?}");
            println!("{:14} {:10}     0", cell.0, cell.1);
        }
    }
}
