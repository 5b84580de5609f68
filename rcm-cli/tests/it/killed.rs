//! Killed at a step and started again with the same `as_of`, a run ends where a clean run ends.
//!
//! The child is this test binary: it embeds the library, with one thread, and a sink that sends SIGKILL to its own
//! process in the middle of an event.

use crate::support::{DAY1, DAY2, Project, copy, wait};
use chrono::{DateTime, Utc};
use rcm::config::{Project as Config, Vars};
use rcm::pipeline::{self, Options};
use rcm_core::{Clock, Event, Progress};
use std::process::Command;
use std::sync::Mutex;

const RUN: &str = "RCM_TEST_RUN";
const KILL: &str = "RCM_TEST_KILL_AT";

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
}

/// Notes every event, and dies at one.
#[derive(Default)]
struct Sink {
    seen: Mutex<Vec<String>>,
    kill_at: Option<String>,
}

impl Progress for Sink {
    fn event(&self, event: &Event<'_>) {
        let event = format!("{event:?}");
        if self.kill_at.as_ref() == Some(&event) {
            let status = Command::new("sh").arg("-c").arg(format!("kill -9 {}", std::process::id())).status();
            unreachable!("survived SIGKILL: {status:?}");
        }
        self.seen.lock().unwrap().push(event);
    }
}

fn embed(dir: &std::path::Path, as_of: &str, sink: &Sink) -> rcm::report::Report {
    let config = Config::open(&dir.join("rcm.toml"), &Vars::default()).unwrap();
    let options = Options { as_of: Some(as_of.parse().unwrap()), jobs: 1, ..Options::default() };
    wait(pipeline::run(&config, &options, &Fixed, sink))
}

/// The child of the other tests; by itself it shows that the library runs without the program.
#[test]
fn child() {
    match std::env::var(RUN) {
        Ok(run) => {
            let (as_of, dir) = run.split_once(' ').unwrap();
            let sink = Sink { kill_at: std::env::var(KILL).ok(), ..Sink::default() };
            let report = embed(dir.as_ref(), as_of, &sink);
            assert_eq!(report.exit_code(), 0, "{:?}", report.problems);
        }
        Err(_) => {
            let project = Project::new();
            assert_eq!(embed(&project.dir, DAY1, &Sink::default()).publish, Some(1));
        }
    }
}

/// First and last event of each kind: after each step, for the first and the last table.
fn points(events: &[String]) -> Vec<String> {
    let kind = |e: &String| e.split([' ', '(']).next().unwrap().to_owned();
    let mut points: Vec<String> = Vec::new();
    for (n, event) in events.iter().enumerate() {
        let is_first = !events[..n].iter().any(|e| kind(e) == kind(event));
        let is_last = !events[n + 1..].iter().any(|e| kind(e) == kind(event));
        if is_first || is_last {
            points.push(event.clone());
        }
    }
    points
}

fn killed_everywhere(project: &Project, as_of: &str) {
    let clean = tempfile::tempdir().unwrap();
    copy(&project.dir, clean.path());
    let sink = Sink::default();
    assert_eq!(embed(clean.path(), as_of, &sink).exit_code(), 0);
    let clean = crate::support::Project::at(clean);
    let (want, publish) = (clean.live(), clean.newest().unwrap().publish);
    let points = points(&sink.seen.lock().unwrap());
    let kinds = [
        "Planned",
        "Read",
        "Landed",
        "Conformed",
        "Checked",
        "Merged",
        "GoldWritten",
        "GatesHeld",
        "IntentWritten",
        "Committed",
        "Publishing",
        "Published",
        "Audited",
    ];
    for kind in kinds {
        assert!(points.iter().any(|p| p.starts_with(kind)), "no point at {kind}");
    }
    for point in &points {
        let temp = tempfile::tempdir().unwrap();
        copy(&project.dir, temp.path());
        let killed = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::child", "--test-threads=1"])
            .env(RUN, format!("{as_of} {}", temp.path().display()))
            .env(KILL, point)
            .output()
            .unwrap();
        assert!(!killed.status.success(), "the child outlived {point}");
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(killed.status.signal(), Some(9), "{point}: {}", String::from_utf8_lossy(&killed.stdout));

        let report = embed(temp.path(), as_of, &Sink::default());
        assert_eq!(report.exit_code(), 0, "{point}: {:?}", report.problems);
        let again = crate::support::Project::at(temp);
        assert_eq!(again.live(), want, "after {point}");
        assert_eq!(again.newest().unwrap().publish, publish, "after {point}");
        let runs = again.audit(&["layer", "publish", "status"]);
        let published = runs.iter().filter(|r| **r == format!("run|{publish}|ok")).count();
        assert_eq!(published, 1, "audit after {point}: {runs:?}");
    }
}

#[test]
fn the_first_run_killed_after_every_step() {
    killed_everywhere(&Project::new(), DAY1);
}

#[test]
fn the_second_day_killed_after_every_step() {
    let project = Project::after_day1();
    project.deliver_day2();
    killed_everywhere(&project, DAY2);
}

/// SIGTERM before the intent: nothing is seen, the exit code says so, and the next run does it all.
#[test]
fn a_polite_signal_stops_a_run_before_its_intent() {
    use std::io::{BufRead, BufReader};
    let project = Project::new();
    let path = "landing/emr/hos-a/transactions.csv";
    let file = project.read(path);
    // Enough rows that the run is still at work when the signal comes.
    let many: String = (0..60)
        .flat_map(|n| {
            file.lines().skip(1).map(move |l| l.replacen("TRX-", &format!("T{n:02}-"), 1) + "\n").collect::<Vec<_>>()
        })
        .collect();
    project.write(path, format!("{}\n{many}", file.lines().next().unwrap()));
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rcm"))
            .args(["-c", project.path("rcm.toml").to_str().unwrap(), "run", "--as-of", DAY1, "-j", "1"])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.by_ref().any(|l| l.unwrap().starts_with("plan:")));
        let kill = Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", child.id())).status().unwrap();
        assert!(kill.success());
        lines.for_each(drop);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(project.newest().is_none());
    }
    project.ok(&["run", "--as-of", DAY1]);
}
