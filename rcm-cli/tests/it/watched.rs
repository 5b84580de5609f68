//! A run that is watched, and one that is asked to stop.

use crate::support::{DAY1, Project, wait};
use chrono::{DateTime, Utc};
use rcm::config::{Project as Config, Vars};
use rcm::pipeline::{self, Options};
use rcm_core::{Clock, Event, Progress};
use std::process::Command;
use std::sync::Mutex;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
}

/// Notes the kinds of events, each where it first comes.
#[derive(Default)]
struct Sink(Mutex<Vec<String>>);

impl Progress for Sink {
    fn event(&self, event: &Event<'_>) {
        let kind = format!("{event:?}").split([' ', '(']).next().unwrap().to_owned();
        let mut seen = self.0.lock().unwrap();
        if !seen.contains(&kind) {
            seen.push(kind);
        }
    }
}

#[test]
fn an_embedded_run_tells_of_every_step_in_order() {
    let project = Project::new();
    let config = Config::open(&project.dir.join("rcm.toml"), &Vars::default()).unwrap();
    let options = Options { as_of: Some(DAY1.parse().unwrap()), jobs: 1, ..Options::default() };
    let sink = Sink::default();
    assert_eq!(wait(pipeline::run(&config, &options, &Fixed, &sink)).publish, Some(1));
    let steps = [
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
    assert_eq!(*sink.0.lock().unwrap(), steps);
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
