//! Housekeeping deletes what no kept publish names, and nothing else.

use crate::crash::die_between_commits;
use crate::support::{DAY2, DAY3, Project, wait, walk};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use rcm::query::{At, Tables};
use rcm_connectors::lake::Publish;

/// Day 1 and day 2 run, and a run that was killed before its intent: its files are there, nobody names them.
fn with_orphans() -> Project {
    let project = Project::after_day1();
    project.deliver_day2();
    project.ok(&["run", "--as-of", DAY2]);
    project.write("lake/silver/patients/0-0/00000003-0a1b2c3d.parquet", "half a file");
    project.write("lake/silver/patients/0-0/00000002-0a1b2c3d.parquet", "half a file");
    project.write("lake/_rcm/state/claims/00000001-0a1b2c3d-state.json", "{}");
    project.write("lake/bronze/claims/claims/run=1/00000002-0a1b2c3d-0.parquet#77000000001", "staged");
    project
}

/// Whether all files that a publish names can be read.
fn is_whole(project: &Project, number: u64) -> bool {
    let lake = project.lake();
    let publish: Publish = wait(lake.publish(number)).unwrap().unwrap();
    wait(async {
        for (table, at) in publish.tables {
            for file in lake.table_files(&table, at.version).await.unwrap().files {
                if lake.get(&format!("{table}/{}", file.path)).await.is_err() {
                    return false;
                }
            }
        }
        true
    })
}

fn keep_one(project: &Project) {
    project.edit("rcm.toml", "keep_publishes = 100", "keep_publishes = 1");
}

#[test]
fn what_killed_runs_left_goes_and_every_kept_publish_stays_readable() {
    let project = with_orphans();
    let (before, live) = (walk(&project.path("lake")), project.live());
    let dry = project.ok(&["maintain", "--dry-run"]).stdout;
    // Three of the files that were laid down, and the records of two attempts: the third may still be at work.
    assert!(dry.starts_with("5 files (0.0 MiB) would be deleted; publishes from 1 on"), "{dry}");
    assert_eq!(walk(&project.path("lake")), before);

    let did = project.ok(&["maintain", "--json"]).stdout;
    let did: serde_json::Value = serde_json::from_str(&did).unwrap();
    assert_eq!((&did["files"], &did["publish"], &did["oldest"]), (&5.into(), &3.into(), &1.into()));
    assert_eq!(project.unnamed(), ["silver/patients/0-0/00000003-0a1b2c3d.parquet"]);
    assert_eq!(project.live(), live);
    assert!(is_whole(&project, 1) && is_whole(&project, 2));
    assert_eq!(
        project.audit(&["layer", "run_id", "status"]).iter().filter(|row| **row == "run|maintain-3|ok").count(),
        1
    );

    // Its number is taken now; the record of the attempt that took it is all that another one adds to it.
    project.ok(&["maintain"]);
    assert_eq!((project.unnamed(), project.newest().unwrap().publish), (Vec::new(), 4));
    project.ok(&["maintain"]);
    let nothing = project.ok(&["maintain"]).stdout;
    assert!(nothing.starts_with("nothing to delete"), "{nothing}");
    assert_eq!(project.newest().unwrap().publish, 4);
}

#[test]
fn past_versions_go_when_they_are_not_to_be_kept_and_the_next_run_goes_on() {
    let project = with_orphans();
    let history = project.history("patients");
    keep_one(&project);
    let did = project.ok(&["maintain"]).stdout;
    assert!(did.contains("publishes from 2 on can be read"), "{did}");
    assert!(is_whole(&project, 2) && !is_whole(&project, 1));
    assert_eq!(project.history("patients"), history);
    project.write("landing/emr/hos-a/patients.csv", project.read("landing/emr/hos-a/patients.csv") + "\n");
    project.ok(&["run", "--as-of", DAY3]);
    project.ok(&["run", "--full-refresh", "--as-of", "2026-07-02T00:00:00Z"]);
    assert_eq!(project.history("patients"), history, "the bronze archive is whole");

    // To keep more from now on brings nothing back.
    project.edit("rcm.toml", "keep_publishes = 1\n", "keep_publishes = 100\n");
    let did = project.ok(&["maintain"]).stdout;
    assert!(did.contains("publishes from 2 on can be read"), "{did}");
    let said = project.run(&["status", "--at", "1"]);
    assert_eq!(said.code, 2, "{}", said.stdout);
    assert!(
        said.stderr.contains("publish 1 is no longer kept") && said.stderr.contains("from 2 on"),
        "{}",
        said.stderr
    );
    project.ok(&["status", "--at", "2"]);
}

#[test]
fn an_open_intent_is_finished_first() {
    let project = Project::after_day1();
    project.deliver_day2();
    die_between_commits(&project, DAY2);
    project.ok(&["maintain"]);
    let clean = Project::after_day1();
    clean.deliver_day2();
    clean.ok(&["run", "--as-of", DAY2]);
    assert_eq!(project.live(), clean.live());
}

#[test]
fn it_is_refused_before_anything_is_touched() {
    let project = Project::new();
    assert!(project.ok(&["maintain"]).stdout.contains("there is no lake yet"));
    assert!(!project.path("lake").exists());
    project.edit("rcm.toml", "keep_publishes = 100", "keep_publishes = 0");
    let said = project.run(&["maintain"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("maintain.keep_publishes: the newest publish is the lake"), "{}", said.stderr);

    let project = with_orphans();
    let before = walk(&project.path("lake"));
    let lake = project.lake();
    let held = wait(lake.lease()).unwrap();
    assert_eq!(project.run(&["maintain"]).code, 5);
    assert_eq!(walk(&project.path("lake")), before);
    drop(held);
    // A record that cannot be read: what it names is not known.
    project.write("lake/_rcm/publishes/00000000000000000001.json", "{}");
    let said = project.run(&["maintain"]);
    assert!(said.code == 1 && said.stderr.contains("the record is damaged"), "{}", said.stderr);
    assert!(walk(&project.path("lake")).contains(&"silver/patients/0-0/00000002-0a1b2c3d.parquet".to_owned()));
}

/// Runs that each bring another patient.
fn runs(project: &Project, days: std::ops::Range<u32>) {
    let file = "landing/emr/hos-a/patients.csv";
    for day in days {
        let text = project.read(file);
        let (_, rest) = text.lines().nth(1).unwrap().split_once(',').unwrap();
        project.write(file, format!("{}\nPAT-9000{day:02},{rest}\n", text.trim_end()));
        project.ok(&["run", "--as-of", &format!("2026-07-{day:02}T00:00:00Z")]);
    }
}

#[test]
fn a_long_log_gets_checkpoints_and_loses_its_beginning() {
    const LOG: &str = "lake/silver/patients/_delta_log";
    let project = Project::after_day1();
    keep_one(&project);
    let log = |ending: &str| -> Vec<String> {
        walk(&project.path(LOG)).into_iter().filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect()
    };
    let audit = |project: &Project| project.audit(&["layer", "run_id", "table_name", "status"]).len();

    runs(&project, 1..11);
    let (rows, attempts) = (project.history("patients"), audit(&project));
    let said = project.ok(&["maintain"]).stdout;
    assert!(said.contains(" checkpoints written; "), "{said}");
    assert_eq!(log(".checkpoint.parquet"), ["00000000000000000010"]);
    assert_eq!(log(".json").len(), 11, "one checkpoint alone is not built on");
    assert_eq!((project.history("patients"), audit(&project)), (rows, attempts + 1));
    assert_eq!(project.newest().unwrap().checkpoints["silver/patients"][0].version, 10);

    runs(&project, 11..21);
    let (rows, attempts) = (project.history("patients"), audit(&project));
    project.ok(&["maintain"]);
    assert_eq!(log(".checkpoint.parquet"), ["00000000000000000010", "00000000000000000020"]);
    assert_eq!(log(".json").first().map(String::as_str), Some("00000000000000000010"));
    assert_eq!((project.history("patients"), audit(&project)), (rows.clone(), attempts + 1));

    // Records that are lost come back from their intents, though only the last of them names what the logs were cut behind.
    let publish = project.newest().unwrap().publish;
    for number in 5..=publish {
        std::fs::remove_file(project.path(&format!("lake/_rcm/publishes/{number:020}.json"))).unwrap();
    }
    project.ok(&["run", "--as-of", "2026-07-20T00:00:00Z"]);
    assert_eq!((project.newest().unwrap().publish, project.history("patients")), (publish, rows.clone()));

    // One that is not what the record says is as if it were not there.
    let damage = |version: u64| {
        let path = format!("{LOG}/{version:020}.checkpoint.parquet");
        let mut bytes = std::fs::read(project.path(&path)).unwrap();
        bytes[100] ^= 1;
        project.write(&path, bytes);
    };
    damage(20);
    assert_eq!(project.history("patients"), rows);
    // And no log is cut behind it: another one is written first.
    runs(&project, 21..22);
    project.ok(&["maintain"]);
    assert_eq!(log(".json").first().map(String::as_str), Some("00000000000000000010"));
    for checkpoint in &project.newest().unwrap().checkpoints["silver/patients"] {
        assert_ne!(checkpoint.version, 20);
        damage(checkpoint.version);
    }
    let refresh = ["run", "--as-of", "2026-07-30T00:00:00Z", "--select", "patients", "--full-refresh"];
    let said = project.run(&refresh);
    assert!(said.code == 1 && said.stderr.contains("lost its beginning"), "{}: {}", said.code, said.stderr);
    // It says what helps.
    assert!(said.stderr.contains("remove silver/patients/_delta_log, then"), "{}", said.stderr);
    std::fs::remove_dir_all(project.path(LOG)).unwrap();
    project.ok(&refresh);
    assert_eq!(project.history("patients").len(), rows.len() + 1, "and the patient of the last run");
}

#[test]
fn a_lake_is_shown_as_it_stood_at_a_publish_or_an_instant() {
    let project = Project::after_day1();
    let (day1, versions) = (project.history("patients"), project.versions());
    project.deliver_day2();
    project.ok(&["run", "--as-of", DAY2]);
    assert_ne!(project.history("patients"), day1);
    let at = |at: &str| {
        let said = project.ok(&["status", "--json", "--at", at]).stdout;
        serde_json::from_str::<serde_json::Value>(&said).unwrap()
    };
    for (word, publish) in [("1", 1), ("2", 2), ("2026-06-29", 1), ("2026-06-29T23:59:59Z", 1), ("2026-07-15", 2)] {
        assert_eq!(at(word)["publish"], publish, "{word}");
    }
    assert_eq!(at("1")["versions"]["silver/patients"], versions["silver/patients"].unwrap());
    let opened = wait(Tables::at(project.path("lake").as_path(), At::Publish(1))).unwrap();
    let rows = wait(opened.sql("SELECT COUNT(*) AS n FROM silver.patients")).unwrap();
    assert_eq!(rows[0].column(0).as_primitive::<Int64Type>().value(0) as usize, day1.len());
    for (word, code, what) in
        [("7", 2, "there is no publish 7"), ("2020-01-01", 2, "nothing was published"), ("x", 2, "expected the number")]
    {
        let said = project.run(&["status", "--at", word]);
        assert!(said.code == code && said.stderr.contains(what), "{word}: {}: {}", said.code, said.stderr);
    }
}
