//! History is a function of what was delivered, not of when or in how many runs.

use crate::support::{DAY1, DAY2, Project};
use rcm_core::model::TABLES;

fn drops(project: &Project) -> [(&'static str, String); 2] {
    let first = project.read("landing/claims/hos-a_claims_20260629.csv");
    let mut lines = first.lines();
    let header = lines.next().unwrap();
    let row = lines.next().unwrap();
    // The same claim and modified date, other content: a correction on the same day.
    let corrected = row
        .replace(",Pending,", ",Denied,")
        .replace(",Paid,", ",Denied,")
        .replace(",Approved,", ",Denied,")
        .replace(",Rejected,", ",Denied,");
    assert_ne!(row, corrected);
    [
        ("landing/claims/hos-a_claims_20260701.csv", format!("{header}\n{row}\n")),
        ("landing/claims/hos-a_claims_20260702.csv", format!("{header}\n{corrected}\n")),
    ]
}

#[test]
fn two_drops_in_one_run_and_in_two_give_the_same_history() {
    let (together, apart) = (Project::after_day1(), Project::after_day1());
    for (path, content) in drops(&together) {
        together.write(path, &content);
        apart.write(path, &content);
        let day = if path.contains("0701") { "2026-07-01" } else { "2026-07-02" };
        apart.ok(&["run", "--as-of", day]);
    }
    together.ok(&["run", "--as-of", "2026-07-02"]);
    assert_eq!(together.history("claims"), apart.history("claims"));
    let denied = "SELECT COUNT(*) FROM silver.claims WHERE is_current AND hospital = 'hos-a' AND claim_id = 'CLM-000001' AND claim_status = 'Denied'";
    assert_eq!(together.sql(denied), ["1"], "the later file corrects the earlier");
}

#[test]
fn silver_says_which_file_brought_a_version() {
    let project = Project::after_day1();
    for (path, content) in drops(&project) {
        project.write(path, &content);
    }
    project.ok(&["run", "--as-of", "2026-07-02"]);
    let of = "SELECT CAST(source_read_at AS DATE), source_place FROM silver.claims \
              WHERE is_current AND hospital = 'hos-a' AND claim_id = 'CLM-000001'";
    assert_eq!(project.sql(of), ["2026-07-02|1"]);
    let with = |table: &str| {
        let count = "COUNT(*), COUNT(source_read_at), COUNT(source_place)";
        let counts = project.sql(&format!("SELECT {count} FROM silver.{table}")).remove(0);
        counts.split('|').map(|n| n.parse().unwrap()).collect::<Vec<u64>>()
    };
    assert!(with("claims").iter().all(|n| *n == with("claims")[0]), "{:?}", with("claims"));
    assert_eq!(with("departments")[1..], [0, 0], "a full table has no order of files");
}

#[test]
fn full_tables_keep_a_ledger_and_incremental_ones_do_not() {
    let project = Project::after_day1();
    let tables = project.newest().unwrap().tables;
    let parts = |table: &str| tables[table].state.keys().cloned().collect::<Vec<_>>();
    assert_eq!(parts("silver/departments"), ["ledger", "spec", "state"]);
    assert!(!parts("silver/claims").contains(&"ledger".to_owned()));
}

#[test]
fn two_runs_at_one_instant_count_on() {
    let (together, apart) = (Project::after_day1(), Project::after_day1());
    for (path, content) in drops(&together) {
        together.write(path, &content);
        apart.write(path, &content);
        apart.ok(&["run", "--as-of", "2026-07-02"]);
    }
    together.ok(&["run", "--as-of", "2026-07-02"]);
    assert_eq!(together.history("claims"), apart.history("claims"));
}

#[test]
fn a_full_refresh_gives_the_history_of_the_runs_that_it_replays() {
    let project = Project::after_day1();
    project.deliver_day2();
    project.ok(&["run", "--as-of", DAY2]);
    // All columns: instants and runs are the recorded ones.
    let rows = |p: &Project, table: &str| {
        let mut rows = p.sql(&format!("SELECT * FROM silver.{table}"));
        rows.sort();
        rows
    };
    let silver = |p: &Project| TABLES.iter().map(|t| rows(p, t.name)).collect::<Vec<_>>();
    let tables = silver(&project);
    let quarantine = |p: &Project| p.sql("SELECT * FROM quarantine.patients ORDER BY file, row");
    let (before, held) = (project.newest().unwrap().publish, quarantine(&project));
    // Landing may be gone by then: the archive is in the lake.
    std::fs::remove_dir_all(project.path("landing")).unwrap();
    std::fs::create_dir_all(project.path("landing")).unwrap();
    let said = project.run(&["run", "--full-refresh", "--as-of", "2026-07-05"]);
    assert_eq!(said.code, 1, "there is nothing to read in landing: {}", said.stderr);
    assert_eq!(project.newest().unwrap().publish, before + 1);
    assert_eq!(silver(&project), tables);
    assert_eq!(quarantine(&project), held);
}

#[test]
fn a_full_refresh_uses_todays_rules_and_keeps_other_tables() {
    let project = Project::after_day1();
    // From now on the word for a missing name is another: yesterday's bad rows are good today.
    project.edit("mappings/hos-b.toml", "null = [\"NULL\"]", "null = [\"none\"]");
    let other = project.versions()["silver/claims"];
    project.ok(&["run", "--full-refresh", "--select", "patients", "--as-of", DAY2]);
    assert_eq!(project.sql("SELECT COUNT(*) FROM silver.patients WHERE is_current"), ["300"]);
    assert_eq!(project.versions()["silver/claims"], other);
    assert_eq!(wait_quarantine(&project), 0);
}

fn wait_quarantine(project: &Project) -> u64 {
    let lake = project.lake();
    let version = project.versions()["quarantine/patients"];
    crate::support::wait(lake.table_files("quarantine/patients", version)).unwrap().files.iter().map(|f| f.rows).sum()
}

#[test]
fn a_file_that_goes_back_is_read_again() {
    let project = Project::after_day1();
    let (path, day1) = ("landing/emr/hos-a/departments.csv", DAY1);
    let original = project.read(path);
    project.write(path, original.replace("Emergency", "Emergency Room"));
    project.ok(&["run", "--as-of", "2026-06-30"]);
    project.write(path, &original);
    project.ok(&["run", "--as-of", "2026-07-01"]);
    let names = "SELECT name, CAST(valid_from AS DATE) AS since, is_current FROM silver.departments WHERE hospital = 'hos-a' \
                 AND name LIKE 'Emergency%' ORDER BY valid_from";
    let from = &day1[..10];
    assert_eq!(
        project.sql(names),
        [
            format!("Emergency|{from}|false"),
            "Emergency Room|2026-06-30|false".into(),
            "Emergency|2026-07-01|true".into()
        ]
    );
}

/// The mapping gained a column that the archive's files do not have: null, said, and no dead end.
#[test]
fn a_full_refresh_reads_an_archive_that_is_older_than_the_mapping() {
    let project = Project::new();
    let departments = "landing/emr/hos-a/departments.csv";
    project.edit("mappings/hos-a.toml", "specialization = \"Specialization\"\n", "");
    project.edit(
        "mappings/hos-a.toml",
        "source = \"dbo.providers\"",
        "source = \"dbo.providers\"\nignore = [\"Specialization\"]",
    );
    let providers = "landing/emr/hos-a/providers.csv";
    project.ok(&["run", "--as-of", DAY1]);
    assert!(project.read(departments).contains("Emergency") && project.read(providers).contains("Specialization"));
    project.edit("mappings/hos-a.toml", "ignore = [\"Specialization\"]\n", "");
    project.edit(
        "mappings/hos-a.toml",
        "first_name = \"FirstName\"",
        "first_name = \"FirstName\"\nspecialization = \"Speciality\"",
    );
    let said = project.run(&["run", "--full-refresh", "--select", "providers", "--as-of", DAY2]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("column `Speciality` is not in the archived file: read as null"), "{}", said.stderr);
    assert_eq!(project.history("providers").len(), 27);
}

#[test]
fn a_row_of_the_future_is_tried_again_by_a_rebuild() {
    let project = Project::after_day1();
    let file = project.read("landing/claims/hos-a_claims_20260629.csv");
    let (header, row) = (file.lines().next().unwrap(), file.lines().nth(1).unwrap());
    let future = row.rsplit_once(',').unwrap().0.replacen("CLM-000001", "CLM-900001", 1) + ",2026-07-20";
    project.write("landing/claims/hos-a_claims_20260701.csv", format!("{header}\n{future}\n"));
    project.ok(&["run", "--as-of", "2026-07-01"]);
    let found = "SELECT COUNT(*) FROM silver.claims WHERE claim_id = 'CLM-900001'";
    assert_eq!(project.sql(found), ["0"]);
    project.ok(&["run", "--full-refresh", "--select", "claims", "--as-of", "2026-08-01"]);
    assert_eq!(project.sql(found), ["1"]);
}

#[test]
fn a_file_of_before_a_column_was_added_is_read_and_merged() {
    let project = Project::after_day1();
    let history = project.history("patients");
    // As a version of before would have written it: the same rows, without the column `gender`.
    let lake = project.lake();
    let version = project.versions()["silver/patients"];
    let file = crate::support::wait(lake.table_files("silver/patients", version)).unwrap().files.remove(0);
    let path = format!("lake/silver/patients/{}", file.path);
    let batches = rcm_connectors::parquet::decode(std::fs::read(project.path(&path)).unwrap().into()).unwrap();
    let kept: Vec<usize> =
        batches[0].schema().fields().iter().enumerate().filter(|(_, f)| f.name() != "gender").map(|(n, _)| n).collect();
    let batches: Vec<_> = batches.iter().map(|batch| batch.project(&kept).unwrap()).collect();
    assert_eq!(
        kept.len() + 1,
        rcm_core::model::silver_schema(rcm_core::model::table("patients").unwrap()).fields().len()
    );
    project.write(&path, rcm_connectors::parquet::encode(&batches[0].schema(), &batches, &[]).unwrap());

    assert_eq!(project.sql("SELECT COUNT(*) FROM silver.patients WHERE gender IS NULL"), [history.len().to_string()]);
    project.deliver_day2();
    // Gold reads the table although nothing of it changes; then rows are merged into it.
    project.ok(&["run", "--as-of", DAY2, "--select", "claims"]);
    project.ok(&["run", "--as-of", "2026-07-01"]);
    assert!(project.history("patients").len() > history.len());
}
