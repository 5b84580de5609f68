//! `rcm demo`, `rcm init`, `rcm status`, `rcm run --dry-run`: what a newcomer meets first.

use crate::support::{Project, rcm, walk};

/// Figures worked out apart from the program, from the generated files and the mappings alone.
#[test]
fn the_demo_shows_what_its_files_hold_and_says_so_again() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("demo");
    let dir = dir.to_str().unwrap();
    let first = rcm(&["demo", "--dir", dir]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    for row in [
        "| claims       | 420     | 430      | 0           |",
        "| patients     | 303     | 315      | 5           |",
        "| providers    | 26      | 27       | 1           |",
        "| transactions | 820     | 836      | 3           |",
        "| 2026-05-01 | 2026-05-31 | false      | 283 Kettle Court, Nowhereton, ZZ 00062 | 2026-06-29  |",
        "| 2026-05-31 | 2026-06-20 | false      | 86 Teapot Row, Nowhereton, ZZ 00014    | 2026-06-30  |",
        "| 2026-06-20 |            | true       | 299 Marble Steps, Quagford, ZZ 00079   | 2026-06-29  |",
        "| 0-30  | 116          | 130810.17   |",
        "| 90+   | 188          | 215021.37   |",
        "patient PAT-000077 of hos-a stays current",
        "patient PAT-000101 of hos-a stays current",
        "provider H2-PROV0007 of hos-b stays current",
        "provider H1-PROV0009 of hos-a is closed",
    ] {
        assert!(first.stdout.contains(row), "no {row:?} in\n{}", first.stdout);
    }
    assert!(first.stderr.contains("820 rows: 710 met dim_cpt_code (110 unknown), all met dim_department"));
    assert!(first.stderr.contains("hos-a.patients      incremental  154 rows: 3 new, 5 changed, 1 late"));
    assert!(first.stderr.contains("what is absent from this file closes nothing"));

    let files = walk(dir.as_ref());
    let again = rcm(&["demo", "--dir", dir]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(again.stdout, first.stdout);
    assert!(again.stderr.contains("nothing new"));
    let new: Vec<String> = walk(dir.as_ref()).into_iter().filter(|f| !files.contains(f)).collect();
    assert!(new.iter().all(|f| f.starts_with("lake/audit/")), "a second run wrote {new:?}");

    let other = rcm(&["demo", "--dir", dir, "--as-of", "2027-01-01"]);
    assert_eq!(other.code, 2, "{}", other.stderr);
}

#[test]
fn a_lake_that_cannot_be_stands_in_no_file() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("demo");
    for lake in ["abfss://lake@account.dfs.core.windows.net/p?sig=CANARY", "s3://KEY:CANARY@bucket/p", ""] {
        let said = rcm(&["demo", "--dir", dir.to_str().unwrap(), "--lake", lake]);
        assert_eq!(said.code, 2, "{}", said.stderr);
        assert!(!dir.exists() && !said.stderr.contains("CANARY"), "{}", said.stderr);
    }
}

#[test]
fn a_demo_that_was_stopped_goes_on() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    rcm::demo::init(&dir.join("started"), "2026-06-30T00:00:00Z".parse().unwrap()).unwrap();
    // Stopped after day 1 was delivered and before it ran.
    let started = dir.join("started");
    std::fs::write(started.join(rcm::demo::MARK), r#"{"as_of":"2026-06-30T00:00:00Z","delivered":[1],"ran":[]}"#)
        .unwrap();
    let resumed = rcm(&["demo", "--dir", started.to_str().unwrap()]);
    let whole = rcm(&["demo", "--dir", dir.join("whole").to_str().unwrap()]);
    assert_eq!((resumed.code, whole.code), (0, 0), "{}", resumed.stderr);
    assert_eq!(resumed.stdout.replace("started", "whole"), whole.stdout);
}

#[test]
fn folders_of_others_are_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("mine.txt"), "x").unwrap();
    let dir = temp.path().to_str().unwrap();
    for args in [["init", dir].as_slice(), &["demo", "--dir", dir]] {
        let said = rcm(args);
        assert_eq!(said.code, 2, "{}", said.stderr);
        assert!(said.stderr.contains(dir));
        assert_eq!(walk(temp.path()), ["mine.txt"]);
    }
}

#[test]
fn check_and_dry_run_and_status_touch_nothing() {
    let project = Project::new();
    let before = walk(&project.dir);
    assert!(project.ok(&["check"]).stdout.contains("13 lines, 13 active, 2 hospitals: nothing wrong"));
    assert!(project.ok(&["run", "--dry-run"]).stderr.contains("would read hos-a/patients.csv"));
    assert!(project.ok(&["status"]).stdout.contains("nothing was published yet"));
    assert_eq!(walk(&project.dir), before);
}

#[test]
fn json_is_one_document_on_stdout() {
    let project = Project::after_day1();
    for args in [["check", "--json"], ["status", "--json"], ["run", "--json"], ["--json", "run"]] {
        let said = project.ok(&args);
        let document: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(document["exit_code"], 0, "{args:?}");
    }
    let status: serde_json::Value = serde_json::from_str(&project.ok(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status["watermarks"]["hos-a.patients"], "2026-06-23");
    assert_eq!(status["quarantine"]["patients"], 3);
    assert_eq!(status["versions"]["silver/patients"], 0);
    assert_eq!(status["last_run"]["status"], "nothing_new");
}

#[test]
fn select_takes_what_it_names() {
    let project = Project::new();
    let said = project.ok(&["run", "--as-of", crate::support::DAY1, "--select", "hos-a.p*", "-s", "departments"]);
    assert!(said.stderr.contains("hos-a.patients") && said.stderr.contains("hos-b.departments"));
    assert!(!said.stderr.contains("hos-b.patients"));
    assert_eq!(
        project.sql("SELECT hospital, COUNT(*) FROM silver.patients WHERE is_current GROUP BY hospital"),
        ["hos-a|150"]
    );
    let said = project.run(&["run", "--select", "pateints"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("did you mean `patients`?"), "{}", said.stderr);
}
