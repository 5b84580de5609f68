//! Others commit to the lake's tables: before a run plans, and while its redo is under way.

use crate::crash::die_between_commits;
use crate::support::{DAY1, DAY2, DAY3, Project};

const TABLE: &str = "silver/patients";
const PATIENTS: &str = "landing/emr/hos-a/patients.csv";
const REBUILD: [&str; 6] = ["run", "--full-refresh", "--select", "patients", "--as-of", DAY3];

/// Somebody's commit at the end of the table's log.
fn commit(project: &Project, actions: &[String]) {
    let log = project.path("lake").join(TABLE).join("_delta_log");
    let version = log.read_dir().unwrap().count();
    let info = r#"{"commitInfo":{"operation":"WRITE"}}"#.to_owned();
    let lines = [&[info], actions].concat().join("\n");
    std::fs::write(log.join(format!("{version:020}.json")), lines).unwrap();
}

/// The name of a live data file, and of a copy of it.
fn copied(project: &Project) -> (String, String) {
    let version = project.versions()[TABLE];
    let files = crate::support::wait(project.lake().table_files(TABLE, version)).unwrap().files;
    let (old, new) = (files[0].path.clone(), "somebody.parquet".to_owned());
    let folder = project.path("lake").join(TABLE);
    std::fs::copy(folder.join(&old), folder.join(&new)).unwrap();
    (old, new)
}

fn add(project: &Project, path: &str, changes: bool) -> String {
    let size = project.path("lake").join(TABLE).join(path).metadata().unwrap().len();
    format!(
        r#"{{"add":{{"path":"{path}","partitionValues":{{}},"size":{size},"modificationTime":1,"dataChange":{changes}}}}}"#
    )
}

fn remove(path: &str) -> String {
    format!(r#"{{"remove":{{"path":"{path}","deletionTimestamp":1,"dataChange":false}}}}"#)
}

/// Day 1 run, day 2 delivered; and what history is after a clean run of day 2.
fn two_days() -> (Project, Vec<String>) {
    let clean = Project::after_day1();
    clean.deliver_day2();
    clean.ok(&["run", "--as-of", DAY2]);
    let project = Project::after_day1();
    project.deliver_day2();
    (project, clean.history("patients"))
}

fn refused(project: &Project, args: &[&str]) {
    let said = project.run(args);
    assert_eq!(said.code, 4, "{}", said.stderr);
    assert!(said.stderr.contains("rcm run --full-refresh --select patients"), "{}", said.stderr);
}

#[test]
fn rows_of_others_are_refused_until_the_table_is_built_anew() {
    let (project, history) = two_days();
    let (_, new) = copied(&project);
    commit(&project, &[add(&project, &new, true)]);
    refused(&project, &["run", "--as-of", DAY2]);
    assert_eq!(project.newest().unwrap().publish, 1, "nothing was published");
    project.ok(&REBUILD);
    assert_eq!(project.history("patients"), history);
    // And goes on from there.
    project.ok(&["run", "--as-of", "2026-07-02T00:00:00Z"]);
}

/// Two rows of a file are taken away by a deletion vector.
fn mark(project: &Project, file: &str) {
    let protocol = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["appendOnly","deletionVectors","invariants"]}}"#;
    let vector = r#""deletionVector":{"storageType":"u","pathOrInlineDv":"vBn[lx{q8@P<9BNH/isA","offset":1,"sizeInBytes":36,"cardinality":2},"dataChange":true"#;
    let marked = add(project, file, true).replace(r#""dataChange":true"#, vector);
    commit(project, &[protocol.to_owned(), remove(file), marked]);
}

#[test]
fn rows_that_others_took_away_by_a_vector_are_refused_until_the_table_is_built_anew() {
    for is_redone in [false, true] {
        let (project, history) = two_days();
        if is_redone {
            die_between_commits(&project, DAY2);
        }
        mark(&project, &copied(&project).0);
        refused(&project, &["run", "--as-of", DAY2]);
        assert_eq!(project.newest().unwrap().publish, 1, "nothing was published");
        project.ok(&REBUILD);
        assert_eq!(project.history("patients"), history);
    }
}

#[test]
fn columns_and_a_table_made_anew_are_noticed() {
    for breaks in [
        |project: &Project| {
            let first = project.path("lake").join(TABLE).join("_delta_log/00000000000000000000.json");
            let first = std::fs::read_to_string(first).unwrap();
            commit(project, &[first.lines().find(|line| line.contains("metaData")).unwrap().to_owned()]);
        },
        |project: &Project| {
            let log = project.path("lake").join(TABLE).join("_delta_log");
            let first = std::fs::read_to_string(log.join("00000000000000000000.json")).unwrap();
            std::fs::remove_dir_all(&log).unwrap();
            std::fs::create_dir(&log).unwrap();
            let others: Vec<String> =
                first.lines().filter(|line| !line.contains("commitInfo")).map(str::to_owned).collect();
            commit(project, &others);
        },
    ] {
        let (project, history) = two_days();
        breaks(&project);
        refused(&project, &["run", "--as-of", DAY2]);
        project.ok(&REBUILD);
        assert_eq!(project.history("patients"), history);
    }
}

#[test]
fn another_layout_and_the_notes_of_a_vacuum_are_taken_as_they_are() {
    let (project, history) = two_days();
    let (old, new) = copied(&project);
    commit(&project, &[remove(&old), add(&project, &new, false)]);
    commit(&project, &[]);
    project.ok(&["run", "--as-of", DAY2]);
    assert_eq!(project.history("patients"), history);
}

#[test]
fn a_redo_goes_behind_rows_of_others_which_the_next_run_refuses() {
    let (project, history) = two_days();
    die_between_commits(&project, DAY2);
    let (_, new) = copied(&project);
    commit(&project, &[add(&project, &new, true)]);
    project.ok(&["run", "--as-of", DAY2]);
    let at = project.newest().unwrap().tables[TABLE].clone();
    assert_eq!((at.version, at.others), (Some(2), true));

    // Also a run that only reads the table.
    refused(&project, &["run", "--as-of", DAY3, "--select", "claims"]);
    project.write(PATIENTS, project.read(PATIENTS) + "\n");
    refused(&project, &["run", "--as-of", DAY3]);
    project.ok(&["run", "--full-refresh", "--select", "patients", "--as-of", "2026-07-02T00:00:00Z"]);
    assert_eq!(project.history("patients"), history);
    assert!(!project.newest().unwrap().tables[TABLE].others);
}

#[test]
fn a_table_that_nothing_was_read_into_is_built_anew_as_well() {
    let project = Project::new();
    project.ok(&["run", "--as-of", "2026-06-28", "--select", "patients"]);
    let log = project.path("lake/silver/claims/_delta_log");
    let first = std::fs::read_to_string(log.join("00000000000000000000.json")).unwrap();
    let others = first.lines().find(|line| line.contains("metaData")).unwrap();
    std::fs::write(log.join("00000000000000000001.json"), others).unwrap();
    assert_eq!(project.run(&["run", "--as-of", DAY1]).code, 4);
    project.ok(&["run", "--as-of", DAY1, "--full-refresh", "--select", "claims"]);
    project.ok(&["run", "--as-of", DAY2]);
}

#[test]
fn what_bars_a_redo_stops_its_record_and_a_rebuild_takes_its_place() {
    // On day 3 another file lies where that of day 2 lay: what was read of it is in bronze alone.
    let day3 = |project: &Project| {
        let file = project.read(PATIENTS);
        let row = file.lines().nth(1).unwrap();
        let (_, rest) = row.split_once(',').unwrap();
        project.write(PATIENTS, format!("{}\nPAT-900001,{rest}\n", file.lines().next().unwrap()));
    };
    let clean = Project::after_day1();
    clean.deliver_day2();
    clean.ok(&["run", "--as-of", DAY2]);
    day3(&clean);
    clean.ok(&["run", "--as-of", DAY3]);

    let (project, _) = two_days();
    let before = project.versions();
    die_between_commits(&project, DAY2);
    let (old, new) = copied(&project);
    commit(&project, &[remove(&old), add(&project, &new, false)]);
    day3(&project);
    for _ in 0..2 {
        refused(&project, &["run", "--as-of", DAY3]);
        assert_eq!(project.versions(), before, "no record");
    }
    let heads = |table: &str| crate::support::wait(project.lake().head(table)).unwrap();
    assert_eq!(heads("silver/encounters"), before["silver/encounters"].map(|v| v + 1), "the others are committed");
    project.ok(&REBUILD);
    assert_eq!(project.newest().unwrap().publish, 3);
    assert_eq!(project.history("patients"), clean.history("patients"));
    project.ok(&["run", "--as-of", "2026-07-02T00:00:00Z"]);
}

#[test]
fn a_redo_does_not_write_behind_a_gap() {
    let (project, history) = two_days();
    die_between_commits(&project, DAY2);
    std::fs::remove_dir_all(project.path("lake").join(TABLE).join("_delta_log")).unwrap();
    refused(&project, &["run", "--as-of", DAY2]);
    project.ok(&REBUILD);
    assert_eq!(project.history("patients"), history);
}
