//! Killed at any call that changes the disk, or cut off from power there, and started again: the lake ends where it would
//! have ended, and a reader in between sees a run whole or not at all.
//!
//! The child is this test binary, which embeds the library over a disk of the tests ([`disk`]). `cargo test` takes a
//! sample, whose seed is printed; `RCM_CRASH_POINTS=0 cargo test -p rcm-cli --test it crash -- --nocapture` takes every
//! point.

#![allow(clippy::print_stdout)] // the ledger

mod disk;

use crate::support::{DAY1, DAY2, Project, copy, wait, walk};
use chrono::{DateTime, Utc};
use disk::{Call, Counted, Point};
use rcm::config::{Project as Config, Vars};
use rcm::pipeline::{self, Options};
use rcm::report::Report;
use rcm_connectors::lake::Lake;
use rcm_core::{Clock, Progress};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const RUN: &str = "RCM_CRASH_RUN";
const POINTS: &str = "RCM_CRASH_POINTS";
const SEED: &str = "RCM_CRASH_SEED";

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
}

struct Silent;

impl Progress for Silent {
    fn event(&self, _: &rcm_core::Event<'_>) {}
}

/// A run in this process.
fn embed(project: &Path, as_of: &str, jobs: usize, disk: Arc<Counted>) -> Report {
    let config = Config::open(&project.join("rcm.toml"), &Vars::default()).unwrap();
    let options = Options { as_of: Some(as_of.parse().unwrap()), jobs, ..Options::default() };
    let open = move |folder: &Path| Lake::on(disk.clone(), folder);
    wait(pipeline::run_on(&open, &config, &options, &Fixed, &Silent))
}

/// A run in a process of its own, which dies at a point; whether it did.
fn killed(project: &Path, as_of: &str, jobs: usize, point: Point) -> bool {
    use std::os::unix::process::ExitStatusExt;
    let Point { call, half, cut } = point;
    let cut = cut.map_or(String::new(), |seed| seed.to_string());
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--test-threads=1"])
        .env(RUN, format!("{as_of} {jobs} {call} {half} {cut} {}", project.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() || out.status.signal() == Some(9), "{point:?}: {said}");
    !out.status.success()
}

/// Lets a run die right behind its intent.
pub(crate) fn die_behind_the_intent(project: &Project, as_of: &str) {
    let (_, calls) = clean(project, false, &[as_of]);
    let intent = calls.iter().position(|(verb, path)| *verb == "link" && kind(path) == "intent").unwrap();
    assert!(killed(&project.dir, as_of, 1, Point { call: intent, half: false, cut: None }));
}

/// The child of the other tests; by itself it shows that a name is durable when the call that made it returns.
#[test]
fn child() {
    let Ok(run) = std::env::var(RUN) else {
        let project = Project::new();
        let disk = Arc::new(Counted::default());
        assert_eq!(embed(&project.dir, DAY1, 1, disk.clone()).publish, Some(1));
        let calls = disk.calls();
        let links: Vec<usize> = (0..calls.len()).filter(|n| calls[*n].0 == "link").collect();
        assert!(links.len() > 30, "{} links", links.len());
        for n in links {
            let verbs: Vec<&str> = calls[n - 2..n + 3].iter().map(|(verb, _)| *verb).collect();
            assert_eq!(verbs, ["create", "sync", "link", "sync_folder", "remove"], "{:?}", calls[n].1);
            assert_eq!(calls[n].1.parent().unwrap(), calls[n + 1].1);
        }
        return;
    };
    let [as_of, jobs, call, half, cut, project] = run.splitn(6, ' ').collect::<Vec<_>>()[..] else { panic!("{run}") };
    let point = Point { call: call.parse().unwrap(), half: half.parse().unwrap(), cut: cut.parse().ok() };
    let disk = Arc::new(Counted::dying(point));
    let report = embed(project.as_ref(), as_of, jobs.parse().unwrap(), disk);
    assert_eq!(report.exit_code(), 0, "{:?}", report.problems);
}

/// Numbers that depend on a seed only.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    /// One in three.
    fn third(&mut self) -> bool {
        self.below(3) == 0
    }
}

/// What kind of file a path is, for the ledger.
fn kind(path: &Path) -> &'static str {
    let path = path.to_str().unwrap();
    let kinds = [
        ("_delta_log", "commit"),
        ("_rcm/intents", "intent"),
        ("_rcm/publishes", "publish"),
        ("_rcm/state", "state"),
        ("_rcm/attempts", "attempt"),
        ("_rcm", "lease"),
        ("/bronze", "bronze"),
        ("/audit", "audit"),
        ("/silver", "silver"),
        ("/quarantine", "quarantine"),
        ("/gold", "gold"),
    ];
    kinds.iter().find(|(part, _)| path.contains(part)).map_or("lake", |(_, kind)| kind)
}

/// Table and digest of every live file.
type Live = Vec<(String, String)>;

/// A folder as it stands before the runs that are killed, and where clean ones end.
struct Stage {
    project: Project,
    as_of: &'static str,
    /// What a reader sees before the run.
    before: Option<Live>,
    /// Where it ends if nothing more is delivered.
    end: Live,
    /// Where it ends if day 2 is delivered after the kill: behind the intent, and before it.
    day2: Option<[Live; 2]>,
    calls: Vec<Call>,
}

/// Day 2 is delivered before the last of some runs, or not: where they end, and the calls of the last.
fn clean(from: &Project, deliver_day2: bool, runs: &[&str]) -> (Live, Vec<Call>) {
    let temp = tempfile::tempdir().unwrap();
    copy(&from.dir, temp.path());
    let project = Project::at(temp);
    let mut calls = Vec::new();
    for (number, as_of) in runs.iter().enumerate() {
        if deliver_day2 && number + 1 == runs.len() {
            project.deliver_day2();
        }
        let disk = Arc::new(Counted::default());
        assert_eq!(embed(&project.dir, as_of, 1, disk.clone()).exit_code(), 0);
        calls = disk.calls();
    }
    (project.live(), calls)
}

fn stages() -> [Stage; 2] {
    let project = Project::new();
    let (end, calls) = clean(&project, false, &[DAY1]);
    let day2 = Some([clean(&project, true, &[DAY1, DAY2]).0, clean(&project, true, &[DAY2]).0]);
    let first = Stage { project, as_of: DAY1, before: None, end, day2, calls };
    let project = Project::after_day1();
    project.deliver_day2();
    let (end, calls) = clean(&project, false, &[DAY2]);
    let before = Some(project.live());
    [first, Stage { project, as_of: DAY2, before, end, day2: None, calls }]
}

/// What a reader sees.
fn seen(project: &Project) -> Option<Live> {
    let lake = Lake::existing(&project.path("lake")).unwrap()?;
    wait(lake.newest()).unwrap().map(|_| project.live())
}

impl Stage {
    /// Every point at some verbs: behind the call, and in the middle of what it writes.
    fn points(&self, at: impl Fn(&str) -> bool) -> Vec<Point> {
        let points = self.calls.iter().enumerate().filter(|(_, (verb, _))| at(verb)).flat_map(|(call, (verb, _))| {
            let half = (*verb == "create").then_some(Point { call, half: true, cut: None });
            half.into_iter().chain([Point { call, half: false, cut: None }])
        });
        points.collect()
    }

    /// Whether the publish record was durable when a run stopped behind this call.
    fn acknowledged(&self, point: Point) -> bool {
        let done = &self.calls[..point.call + usize::from(!point.half)];
        let record = done.iter().position(|(verb, path)| *verb == "link" && kind(path) == "publish");
        record.is_some_and(|record| done[record..].iter().any(|(verb, _)| *verb == "sync_folder"))
    }

    /// Dies at a point, perhaps again at another one, and is then let run.
    fn try_out(&self, point: Point, jobs: usize, delivers: bool, again: Option<Point>) {
        let temp = tempfile::tempdir().unwrap();
        copy(&self.project.dir, temp.path());
        let project = Project::at(temp);
        let what = format!("{} -j{jobs} killed at {point:?}, {again:?}, day 2 comes: {delivers}", self.as_of);
        let died = killed(&project.dir, self.as_of, jobs, point);
        assert!(died || jobs > 1, "{what}: the child outlived it");
        let seen = seen(&project);
        if jobs == 1 && self.acknowledged(point) {
            assert_eq!(seen.as_ref(), Some(&self.end), "{what}: an acknowledged publish");
        }
        assert!(seen == self.before || seen.as_ref() == Some(&self.end), "{what}: a torn run");

        let intents = project.path("lake/_rcm/intents");
        let names = if intents.is_dir() { walk(&intents) } else { Vec::new() };
        let counts = names.iter().any(|name| name == "00000000000000000001.json");
        let (as_of, end) = match self.day2.as_ref().filter(|_| delivers) {
            Some([behind, before]) => {
                project.deliver_day2();
                (DAY2, if counts { behind } else { before })
            }
            None => (self.as_of, &self.end),
        };
        if let Some(point) = again {
            // It may be done before it gets there.
            let _ = killed(&project.dir, as_of, jobs, point);
        }
        ends_well(&project, as_of, jobs, end, &what);
    }
}

/// A run that nothing stops ends where it should, and another one changes nothing.
fn ends_well(project: &Project, as_of: &str, jobs: usize, end: &Live, what: &str) {
    let report = embed(&project.dir, as_of, jobs, Arc::new(Counted::default()));
    assert_eq!(report.exit_code(), 0, "{what}: {:?}", report.problems);
    assert_eq!(&project.live(), end, "{what}");
    let publish = project.newest().unwrap().publish;
    let audit = project.audit(&["layer", "publish", "status"]);
    for number in 1..=publish {
        let published = audit.iter().filter(|row| **row == format!("run|{number}|ok")).count();
        assert_eq!(published, 1, "{what}: publish {number}: {audit:?}");
    }

    // Once more: nothing changes, and every attempt that can publish no more has its row in audit.
    let report = embed(&project.dir, as_of, jobs, Arc::new(Counted::default()));
    assert!(report.is_nothing_new() && report.exit_code() == 0, "{what}: {:?}", report.problems);
    assert_eq!(&project.live(), end, "{what}, and once more");
    let rows = project.audit(&["layer", "attempt"]);
    for name in walk(&project.path("lake/_rcm/attempts")).iter().filter_map(|name| name.strip_suffix(".json")) {
        let ends = rows.iter().filter(|row| **row == format!("run|{name}")).count();
        let is_taken = name[..8].parse::<u64>().unwrap() <= publish;
        assert!(ends == 1 || ends == 0 && !is_taken, "{what}: {name} has {ends} rows");
    }
}

/// Cells of the ledger that no run can fill: other things than a lease are not locked, and a lease is no file of bytes.
fn is_possible(verb: &str, kind: &str) -> bool {
    match verb {
        "open_lock" | "sign_lock" => kind == "lease",
        "make_folder" | "sync_folder" => true,
        _ => !["lease", "lake"].contains(&kind),
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |n| n.parse().unwrap())
}

/// Points of both stages, a sample or all; what to do at each; and a ledger of what was done.
fn sweep(name: &str, sample: u64, at: impl Fn(&str) -> bool, one: impl Fn(&Stage, Point, &mut Dice)) {
    let seed = number(SEED, Utc::now().timestamp_micros().unsigned_abs());
    let (wanted, mut dice) = (number(POINTS, sample) as usize, Dice(seed));
    println!("{name}: {SEED}={seed} repeats this sample");
    let mut ledger: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let started = std::time::Instant::now();
    for stage in &stages() {
        let mut points = stage.points(&at);
        assert!(points.len() > 100, "{} points", points.len());
        // A sample takes one of each kind of file, then a second one of each.
        points.sort_by_cached_key(|_| dice.below(usize::MAX));
        let mut of_kind: BTreeMap<&str, usize> = BTreeMap::new();
        let mut rank = |point: &Point| {
            let rank = of_kind.entry(kind(&stage.calls[point.call].1)).or_default();
            *rank += 1;
            *rank
        };
        let mut points: Vec<(usize, Point)> = points.into_iter().map(|point| (rank(&point), point)).collect();
        points.sort_by_key(|(rank, _)| *rank);
        points.truncate(if wanted > 0 { wanted } else { points.len() });
        for (_, point) in points {
            let (verb, path) = &stage.calls[point.call];
            *ledger.entry((if point.half { "half of create" } else { verb }, kind(path))).or_default() += 1;
            one(stage, point, &mut dice);
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
    if wanted == 0 {
        let (verbs, kinds): (BTreeSet<&str>, BTreeSet<&str>) = ledger.keys().copied().unzip();
        for cell in verbs.iter().flat_map(|verb| kinds.iter().map(move |kind| (*verb, *kind))) {
            assert!(ledger.contains_key(&cell) || !is_possible(cell.0, cell.1), "nothing was tried at {cell:?}");
        }
    }
}

#[test]
fn killed_at_any_call_a_run_ends_where_a_clean_one_ends() {
    // What is merely synced is there for whoever comes after a kill.
    sweep(
        "kill",
        12,
        |verb| !verb.starts_with("sync"),
        |stage, point, dice| {
            // In a third each, day 2 comes meanwhile, the recovery is killed as well, and another run has two threads.
            let calls = stage.calls.len();
            let mut random = || Point { call: dice.below(calls), half: dice.below(2) == 0, cut: None };
            let (again, other) = (random(), random());
            stage.try_out(point, 1, dice.third(), Some(again).filter(|_| dice.third()));
            if dice.third() {
                stage.try_out(other, 2, dice.third(), None);
            }
        },
    );
}

#[test]
fn after_a_power_cut_every_acknowledged_publish_is_whole() {
    sweep(
        "power",
        12,
        |_| true,
        |stage, point, dice| {
            let cut = Some(dice.below(usize::MAX) as u64);
            stage.try_out(Point { cut, ..point }, 1, dice.third(), None);
        },
    );
}

#[test]
fn on_a_full_disk_a_run_says_so_and_the_next_one_goes_on() {
    sweep(
        "full disk",
        5,
        |verb| !["remove", "open_lock", "sign_lock"].contains(&verb),
        |stage, point, _| {
            let temp = tempfile::tempdir().unwrap();
            copy(&stage.project.dir, temp.path());
            let project = Project::at(temp);
            let what = format!("{} on a disk that is full from call {}", stage.as_of, point.call);
            let report = embed(&project.dir, stage.as_of, 1, Arc::new(Counted::full_from(point.call)));
            assert_eq!(report.exit_code(), 1, "{what}: {:?}", report.problems);
            assert!(report.problems[0].to_string().contains("no storage space"), "{what}: {}", report.problems[0]);
            let seen = seen(&project);
            assert!(seen == stage.before || seen.as_ref() == Some(&stage.end), "{what}: a torn run");
            ends_well(&project, stage.as_of, 1, &stage.end, &what);
        },
    );
}
