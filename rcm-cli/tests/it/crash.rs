//! Killed at any call that changes the disk, or cut off from power there, and started again: the lake ends where it would
//! have ended, and a reader in between sees a run whole or not at all.
//!
//! The child is this test binary, which embeds the library over a disk of the tests ([`disk`]). `cargo test` takes a
//! sample, whose seed is printed; `.ci/sweep.sh OUT SEED kill` takes every point.

#![allow(clippy::print_stdout)] // the ledger

mod disk;
mod stopped;
pub(crate) mod sweep;

use crate::support::{DAY1, DAY2, DAY3, Project, copy, wait, walk};
use chrono::{DateTime, Utc};
use disk::{Call, Counted, NEED_ROOM, Point, READS};
use rcm::config::{Project as Config, Vars};
use rcm::pipeline::{self, Options};
use rcm_connectors::lake::{Lake, Location};
use rcm_core::{Class, Clock, Problem, Progress};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use sweep::sweep;

const RUN: &str = "RCM_CRASH_RUN";

pub(crate) struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
}

pub(crate) struct Silent;

impl Progress for Silent {
    fn event(&self, _: &rcm_core::Event<'_>) {}
}

/// Instead of a run's instant: `rcm maintain`.
const MAINTAIN: &str = "maintain";

/// A run in this process, or maintenance: its problems.
fn embed(project: &Path, as_of: &str, jobs: usize, disk: Arc<Counted>) -> Vec<Problem> {
    embed_on(project, as_of, jobs, move |folder| Lake::on(disk.clone(), folder))
}

/// The same with a lease by beats.
fn embed_beating(project: &Path, as_of: &str, jobs: usize, disk: Arc<Counted>) -> Vec<Problem> {
    embed_on(project, as_of, jobs, move |folder| Ok(Lake::on(disk.clone(), folder)?.beating(stopped::BEAT)))
}

fn embed_on(project: &Path, as_of: &str, jobs: usize, open: impl Fn(&Path) -> Result<Lake, Problem>) -> Vec<Problem> {
    let config = Config::open(&project.join("rcm.toml"), &Vars::default()).unwrap();
    let open = move |lake: &Location| match lake {
        Location::Folder(folder) => open(folder),
        other => Lake::open(other),
    };
    if as_of == MAINTAIN {
        let done = wait(pipeline::maintain(&open, &config, false, &Fixed, &Silent));
        return done.err().into_iter().collect();
    }
    let options = Options { as_of: Some(as_of.parse().unwrap()), jobs, ..Options::default() };
    let report = wait(pipeline::run_on(&open, &config, &options, &Fixed, &Silent));
    assert_eq!(report.exit_code() == 0, report.problems.is_empty());
    report.problems
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

/// Lets a run die between its first commit and the others.
pub(crate) fn die_between_commits(project: &Project, as_of: &str) {
    let (_, calls) = clean(project, false, &[as_of]);
    let is_commit = |(verb, path): &Call| *verb == "link" && kind(path) == "commit";
    let intent = calls.iter().position(|(verb, path)| *verb == "link" && kind(path) == "intent").unwrap();
    let first = intent + calls[intent..].iter().position(is_commit).unwrap();
    assert!(calls[first + 1..].iter().any(is_commit));
    assert!(killed(&project.dir, as_of, 1, Point { call: first, half: false, cut: None }));
}

/// The child of the other tests; by itself it shows that a name is durable when the call that made it returns.
#[test]
fn child() {
    let Ok(run) = std::env::var(RUN) else {
        let project = Project::new();
        let disk = Arc::new(Counted::default());
        assert_eq!(embed(&project.dir, DAY1, 1, disk.clone()), []);
        let mut calls = disk.calls();
        calls.retain(|(verb, _)| !READS.contains(verb));
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
    let (call, jobs) = (call.parse().unwrap(), jobs.parse().unwrap());
    if half == "stop" {
        let problems = embed_beating(project.as_ref(), as_of, jobs, Arc::new(Counted::stopping(call)));
        assert!(problems.iter().all(|problem| problem.class == Class::Busy), "{problems:?}");
        println!("{}", if problems.is_empty() { "" } else { "BUSY" });
        return;
    }
    if half == "list" {
        // For `.ci/strace.py`.
        let disk = Arc::new(Counted::default());
        assert_eq!(embed(project.as_ref(), as_of, jobs, disk.clone()), []);
        disk.calls().iter().for_each(|(verb, path)| println!("CALL {verb} {}", path.display()));
        return;
    }
    let point = Point { call, half: half.parse().unwrap(), cut: cut.parse().ok() };
    assert_eq!(embed(project.as_ref(), as_of, jobs, Arc::new(Counted::dying(point))), []);
}

/// What kind of file a path is, for the ledger.
fn kind(path: &Path) -> &'static str {
    let path = path.to_str().unwrap();
    let kinds = [
        ("_delta_log", "commit"),
        ("_rcm/intents", "intent"),
        ("_rcm/publishes", "publish"),
        ("_rcm/state", "state"),
        ("_rcm/logs", "log"),
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
        assert_eq!(embed(&project.dir, as_of, 1, disk.clone()), []);
        calls = disk.calls();
    }
    (project.live(), calls)
}

/// Of two tables the history is appended to.
const APPENDED: [&str; 2] = ["patients", "transactions"];

fn stages() -> [Stage; 3] {
    let project = Project::appending(APPENDED);
    let (end, calls) = clean(&project, false, &[DAY1]);
    let day2 = Some([clean(&project, true, &[DAY1, DAY2]).0, clean(&project, true, &[DAY2]).0]);
    let first = Stage { project, as_of: DAY1, before: None, end, day2, calls };
    let project = Project::appending(APPENDED);
    project.ok(&["run", "--as-of", DAY1]);
    project.deliver_day2();
    let (end, calls) = clean(&project, false, &[DAY2]);
    let before = Some(project.live());
    let second = Stage { project, as_of: DAY2, before, end, day2: None, calls };
    [first, second, keeping_house()]
}

/// Two days, of which only the second is kept, and what a third one left that was killed.
fn keeping_house() -> Stage {
    let project = Project::appending(APPENDED);
    project.ok(&["run", "--as-of", DAY1]);
    project.edit("rcm.toml", "keep_publishes = 100", "keep_publishes = 1");
    project.deliver_day2();
    project.ok(&["run", "--as-of", DAY2]);
    project.write("landing/emr/hos-a/patients.csv", project.read("landing/emr/hos-a/patients.csv") + "\n");
    let (_, calls) = clean(&project, false, &[DAY3]);
    let commit = calls.iter().position(|(verb, path)| *verb == "create" && kind(path) == "intent").unwrap();
    assert!(killed(&project.dir, DAY3, 1, Point { call: commit, half: true, cut: None }));
    let (end, calls) = clean(&project, false, &[MAINTAIN]);
    assert!(calls.iter().any(|(verb, path)| *verb == "remove" && kind(path) == "gold"), "an old version goes");
    // What the third day delivered was not read: the next run does.
    let after = clean(&project, false, &[MAINTAIN, DAY3]).0;
    Stage { project, as_of: MAINTAIN, before: Some(end), end: after, day2: None, calls }
}

/// What a reader sees.
fn seen(project: &Project) -> Option<Live> {
    let lake = wait(Lake::existing(&project.path("lake").as_path().into())).unwrap()?;
    wait(lake.newest()).unwrap().map(|_| project.live())
}

impl Stage {
    /// Every point at some verbs: behind the call, and in the middle of what it writes. Of reads one of each kind: they
    /// leave the lake as it was.
    fn points(&self, at: impl Fn(&str) -> bool) -> Vec<Point> {
        let mut read = BTreeSet::new();
        let mut is_one = |(verb, path): &Call| at(verb) && (!READS.contains(verb) || read.insert((*verb, kind(path))));
        let points = self.calls.iter().enumerate().filter(|(_, call)| is_one(call)).flat_map(|(call, (verb, _))| {
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
        let is_run = self.as_of != MAINTAIN;
        if jobs == 1 && is_run && self.acknowledged(point) {
            assert_eq!(seen.as_ref(), Some(&self.end), "{what}: an acknowledged publish");
        }
        assert!(seen == self.before || is_run && seen.as_ref() == Some(&self.end), "{what}: a torn run");

        let intents = project.path("lake/_rcm/intents");
        let names = if intents.is_dir() { walk(&intents) } else { Vec::new() };
        let counts = names.iter().any(|name| name == "00000000000000000001.json");
        let (as_of, end) = match self.day2.as_ref().filter(|_| delivers) {
            Some([behind, before]) => {
                project.deliver_day2();
                (DAY2, if counts { behind } else { before })
            }
            None if is_run => (self.as_of, &self.end),
            None => (DAY3, &self.end),
        };
        if let Some(point) = again {
            // It may be done before it gets there.
            let _ = killed(&project.dir, as_of, jobs, point);
        }
        ends_well(&project, as_of, jobs, end, &what);
    }
}

/// A run that nothing stops ends where it should, another one changes nothing, and maintenance leaves nothing that no
/// publish names.
fn ends_well(project: &Project, as_of: &str, jobs: usize, end: &Live, what: &str) {
    let run = |as_of| assert_eq!(embed(&project.dir, as_of, jobs, Arc::new(Counted::default())), [], "{what}");
    run(as_of);
    assert_eq!(&project.live(), end, "{what}");
    let publish = project.newest().unwrap().publish;
    run(as_of);
    assert_eq!((&project.live(), project.newest().unwrap().publish), (end, publish), "{what}, and once more");
    run(MAINTAIN);
    assert_eq!(&project.live(), end, "{what}, maintained");
    let mut left = project.unnamed();
    if !left.is_empty() {
        // Of an attempt whose number is free: it might still publish, until another one has taken it.
        let free = format!("{:08}-", project.newest().unwrap().publish + 1);
        assert!(left.iter().all(|path| path.contains(&free)), "{what}: files that no publish names: {left:?}");
        let file = "landing/emr/hos-a/departments.csv";
        project.write(file, project.read(file) + "\n");
        run("2026-07-05T00:00:00Z");
        run(MAINTAIN);
        left = project.unnamed();
    }
    assert_eq!(left, [] as [&str; 0], "{what}: files that no publish names");
    let publish = project.newest().unwrap().publish;

    let audit = project.audit(&["layer", "publish", "status"]);
    for number in 1..=publish {
        let published = audit.iter().filter(|row| **row == format!("run|{number}|ok")).count();
        assert_eq!(published, 1, "{what}: publish {number}: {audit:?}");
    }
    let mut attempts = project.audit(&["layer", "attempt"]);
    attempts.retain(|row| row.starts_with("run|"));
    let distinct: BTreeSet<&String> = attempts.iter().collect();
    assert_eq!(distinct.len(), attempts.len(), "{what}: an attempt has two ends: {attempts:?}");
}

#[test]
fn killed_at_any_call_a_run_ends_where_a_clean_one_ends() {
    let (recoveries, with_two_threads) = (Cell::new(0), Cell::new(0));
    // What is merely synced is there for whoever comes after a kill.
    sweep(
        "kill",
        5,
        |verb| !verb.starts_with("sync"),
        |stage, point, dice| {
            // In a third each, day 2 comes meanwhile, and the recovery is killed as well; in half, another run has two threads.
            let calls = stage.calls.len();
            let mut random = || Point { call: dice.below(calls), half: dice.below(2) == 0, cut: None };
            let (again, other) = (random(), random());
            let (delivers, again) = (dice.third(), Some(again).filter(|_| dice.third()));
            recoveries.set(recoveries.get() + usize::from(again.is_some()));
            stage.try_out(point, 1, delivers, again);
            if dice.below(2) == 0 {
                with_two_threads.set(with_two_threads.get() + 1);
                stage.try_out(other, 2, dice.third(), None);
            }
        },
    );
    println!("{} recoveries killed too, {} points with two threads", recoveries.get(), with_two_threads.get());
}

/// It begins no attempt: only the rows themselves tell of it, under a name of their own or a staging name.
#[test]
fn a_run_that_changed_nothing_and_died_at_its_audit_rows_leaves_nothing() {
    let project = Project::new();
    project.ok(&["run", "--as-of", DAY1]);
    let before = project.live();
    let (end, calls) = clean(&project, false, &[DAY1]);
    assert_eq!(end, before);
    let is_rows = |verb: &str| {
        let is_it = |(of, path): &Call| *of == verb && kind(path) == "audit";
        calls.iter().position(is_it).map(|call| (call, verb == "create")).unwrap()
    };
    for (call, half) in [is_rows("create"), is_rows("link")] {
        let temp = tempfile::tempdir().unwrap();
        copy(&project.dir, temp.path());
        let project = Project::at(temp);
        assert!(killed(&project.dir, DAY1, 1, Point { call, half, cut: None }));
        assert_ne!(project.unnamed(), [] as [&str; 0]);
        ends_well(&project, DAY1, 1, &end, &format!("killed at call {call}"));
    }
}

#[test]
fn after_a_power_cut_every_acknowledged_publish_is_whole() {
    sweep(
        "power",
        5,
        |verb| !READS.contains(&verb),
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
        3,
        |verb| NEED_ROOM.contains(&verb),
        |stage, point, _| {
            let temp = tempfile::tempdir().unwrap();
            copy(&stage.project.dir, temp.path());
            let project = Project::at(temp);
            let what = format!("{} on a disk that is full from call {}", stage.as_of, point.call);
            let problems = embed(&project.dir, stage.as_of, 1, Arc::new(Counted::full_from(point.call)));
            assert!(problems[0].to_string().contains("no storage space"), "{what}: {problems:?}");
            let seen = seen(&project);
            assert!(seen == stage.before || seen.as_ref() == Some(&stage.end), "{what}: a torn run");
            let as_of = if stage.as_of == MAINTAIN { DAY3 } else { stage.as_of };
            ends_well(&project, as_of, 1, &stage.end, &what);
        },
    );
}
