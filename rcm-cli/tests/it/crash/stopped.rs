//! Stopped behind a write, for as long as it takes others to take the lease and to go on; then it wakes up.
//!
//! The lease goes by beats, as it does in an object store. `cargo test` takes a sample; `RCM_STOPS=5 cargo test -p rcm-cli
//! --test it stopped -- --nocapture` takes five points of each kind of write and each way to go on.

use super::disk::Counted;
use super::sweep::{Asked, Dice};
use super::{MAINTAIN, RUN, Stage, embed_beating, ends_well, kind, stages};
use crate::support::{DAY3, Project, copy};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

pub(super) const BEAT: Duration = Duration::from_millis(10);

/// The kinds of write, and what belongs to them.
const WRITES: [(&str, &str, &[&str]); 7] = [
    ("data", "link", &["bronze", "silver", "quarantine", "gold"]),
    ("state", "link", &["state"]),
    ("intent", "link", &["intent"]),
    ("commit", "link", &["commit"]),
    ("publish", "link", &["publish"]),
    // Not named yet: the others may sweep it up.
    ("staging", "create", &["silver", "state", "intent", "commit", "publish"]),
    ("delete", "remove", &["silver", "quarantine", "gold", "state", "bronze"]),
];

/// Numbers of the calls of a run that are of a kind of write.
fn points(stage: &Stage, verb: &str, kinds: &[&str]) -> Vec<usize> {
    let temp = tempfile::tempdir().unwrap();
    copy(&stage.project.dir, temp.path());
    let disk = Arc::new(Counted::stopping(usize::MAX));
    assert_eq!(embed_beating(temp.path(), stage.as_of, 1, disk.clone()), []);
    let is_it = |(of, path): &(&str, std::path::PathBuf)| {
        // A staging file that goes again is no delete.
        *of == verb && kinds.contains(&kind(path)) && (*of != "remove" || !path.to_str().unwrap().contains('#'))
    };
    disk.calls().iter().enumerate().filter(|(_, call)| is_it(call)).map(|(number, _)| number).collect()
}

fn started(project: &Path, as_of: &str, call: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--test-threads=1", "--nocapture"])
        .env(RUN, format!("{as_of} 1 {call} stop  {}", project.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Whether a process is stopped; none where it has ended.
fn is_stopped(child: &mut Child) -> Option<bool> {
    if child.try_wait().unwrap().is_some() {
        return None;
    }
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    Some(stat.rsplit(") ").next().unwrap().starts_with('T'))
}

/// What the one who was stopped says in the end.
fn try_out(stage: &Stage, call: usize, meanwhile: &[&str]) -> &'static str {
    let temp = tempfile::tempdir().unwrap();
    copy(&stage.project.dir, temp.path());
    let project = Project::at(temp);
    let what = format!("{} stopped behind call {call}, then {meanwhile:?}", stage.as_of);
    let mut child = started(&project.dir, stage.as_of, call);
    while !is_stopped(&mut child).unwrap_or_else(|| panic!("{what}: it ended by itself")) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let is_run = stage.as_of != MAINTAIN;
    let next = if is_run { stage.as_of } else { DAY3 };
    for other in meanwhile {
        let as_of = if *other == MAINTAIN { MAINTAIN } else { next };
        assert_eq!(embed_beating(&project.dir, as_of, 1, Arc::new(Counted::default())), [], "{what}");
    }
    if meanwhile.contains(&"run") {
        assert_eq!(project.live(), stage.end, "{what}: the other one's run");
    }
    let before = project.live();
    Command::new("kill").args(["-CONT", &child.id().to_string()]).status().unwrap();
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{what}: {said}{}", String::from_utf8_lossy(&out.stderr));
    let after = project.live();
    assert!(after == before || is_run && after == stage.end, "{what}: what it left when it woke up");
    ends_well(&project, next, 1, &stage.end, &what);
    if said.contains("BUSY") { "busy" } else { "well" }
}

#[test]
fn whoever_is_stopped_behind_a_write_wakes_up_to_no_harm() {
    let each: Option<usize> = std::env::var("RCM_STOPS").ok().map(|n| n.parse().unwrap());
    let mut dice = Dice(Asked::of("stopped", 0).seed);
    let [_, run, house] = stages();
    let mut ledger: BTreeMap<(&str, String, &str), usize> = BTreeMap::new();
    for (n, (name, verb, kinds)) in WRITES.into_iter().enumerate() {
        let stage = if name == "delete" { &house } else { &run };
        let points = points(stage, verb, kinds);
        let ways: [&[&str]; 3] = [&["run"], &[MAINTAIN], &["run", MAINTAIN]];
        for (way, meanwhile) in ways.into_iter().enumerate() {
            // A sample has one way to go on for each kind of write.
            for _ in 0..each.unwrap_or(usize::from(way == n % 3)) {
                let end = try_out(stage, points[dice.below(points.len())], meanwhile);
                *ledger.entry((name, meanwhile.join(" and "), end)).or_default() += 1;
            }
        }
    }
    for ((name, meanwhile, end), times) in ledger {
        println!("stopped behind {name:8} {meanwhile:16} and ended {end}: {times}");
    }
}
