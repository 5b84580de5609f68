//! What is shown by `Debug`, and what a panic tells.
#![allow(clippy::print_stdout)] // how many ways there were

use super::scan::{CANARY, sings};
use crate::crash::{Fixed, Silent};
use crate::support::{DAY1, Project, wait};
use rcm::config::{Project as Config, Vars};
use rcm::pipeline::{self, Options};
use rcm_core::Secret;
use std::process::Command;

/// A project with a secret of each kind, run over rows that are full of canaries, or not at all.
#[test]
fn what_is_shown_for_debugging() {
    let project = Project::new();
    let sources = "\n[sources.a]\nkind = \"postgres\"\nhost = \"h\"\ndatabase = \"d\"\nuser = \"u\"\npassword = \"${env:S}\"\n\
        [sources.b]\nkind = \"sqlserver\"\nhost = \"h\"\ndatabase = \"d\"\nuser = \"u\"\npassword = \"${env:S}\"\n\
        [sources.c]\nkind = \"sqlserver\"\nhost = \"h\"\ndatabase = \"d\"\ntoken = \"${env:S}\"\n\
        [sources.d]\nkind = \"npi\"\nkey = \"${env:S}\"\n\
        [sources.e]\nkind = \"icd\"\nclient_id = \"me\"\nclient_secret = \"${env:S}\"\n\
        [sources.f]\nkind = \"postgres\"\nhost = \"h\"\ndatabase = \"d\"\nuser = \"u\"\npassword = \"${kv:v/n}\"\n";
    project.write("rcm.toml", project.read("rcm.toml") + sources);
    let names = ["S", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"];
    let value =
        |name: &str| Secret::new(if name.ends_with("_ID") { "known".to_owned() } else { format!("{CANARY}-{name}") });
    let env = names.into_iter().map(|name| (name.to_owned(), value(name))).collect();
    let vars = Vars { env, ..Vars::default() };
    let config = Config::open(&project.path("rcm.toml"), &vars).unwrap();
    let patients = project.read("landing/emr/hos-a/patients.csv").replace("Russo", CANARY);
    project.write("landing/emr/hos-a/patients.csv", patients + CANARY);
    let options = Options { as_of: Some(DAY1.parse().unwrap()), ..Options::default() };
    let report = wait(pipeline::run(&config, &options, &Fixed, &Silent));
    assert_eq!(report.exit_code(), 0, "{:?}", report.problems);
    for shown in [format!("{vars:#?}"), format!("{config:#?}"), format!("{options:#?}"), format!("{report:#?}")] {
        assert!(shown.len() > 20 && !sings(shown.as_bytes()), "{shown}");
    }
}

const PANICS: &str = "RCM_TEST_PANICS";

/// The child of the next test.
#[test]
fn child() {
    let Ok(way) = std::env::var(PANICS) else { return };
    rcm::panics::tell_no_more_than_the_place();
    let value = format!("é{CANARY}");
    match way.as_str() {
        "words" => panic!("{value}"),
        "a cut letter" => drop(value[1..].to_owned()),
        "no number" => drop(value.parse::<u64>().map_err(|_| value.clone()).unwrap()),
        "expected" => drop(value.parse::<u64>().map_err(|_| value.clone()).expect(&value)),
        "a thread" => drop(std::thread::spawn(move || panic!("{value}")).join()),
        _ => wait(async { drop(tokio::spawn(async move { panic!("{value}") }).await) }),
    }
}

#[test]
fn a_panic_tells_its_place_and_no_more() {
    for way in ["words", "a cut letter", "no number", "expected", "a thread", "a task"] {
        for trace in ["0", "full"] {
            let out = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "canaries::debug::child", "--test-threads=1", "--nocapture"])
                .env(PANICS, way)
                .env("RUST_BACKTRACE", trace)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(said.contains("panic at rcm-cli/tests/it/canaries/debug.rs:"), "{way}: {said}");
            assert!(!sings(&out.stderr) && !sings(&out.stdout), "{way}: {said}");
            assert_eq!(said.contains("debug::child"), trace == "full", "{way}: {said}");
        }
    }
    println!("canaries: panics: 12 ways, 0 hits");
}
