//! Rows that came later than the lag, and parts of a table that are read again.

use crate::databases::Databases;
use crate::support::DAY1;

#[test]
fn rows_that_came_late_are_found_by_comparing_windows() {
    let Some(databases) = Databases::new() else { return };
    databases.ok(&["run", "--as-of", DAY1]);
    let select = ["--select", "hos-b.patients"];
    let run = |args: &[&str]| databases.ok(&[&["run"], args, &select[..]].concat());
    let arrives = |id: &str, at: &str| {
        databases.sql(&format!(
            "INSERT INTO dbo.patients SELECT (jsonb_populate_record(p, '{{\"ID\": \"{id}\", \"Updated_Date\": \"{at}\"}}')).* \
             FROM dbo.patients p WHERE \"ID\" = 'PAT-000002'"
        ));
    };
    let count = |id: &str| {
        databases
            .project
            .sql(&format!("SELECT count(*) FROM silver.patients WHERE patient_id = '{id}' AND hospital = 'hos-b'"))
    };
    // A second window, and rows that lie in it, and before it, by more than the lag.
    databases.sql("UPDATE dbo.patients SET \"Updated_Date\" = now() AT TIME ZONE 'UTC' - interval '10 s' WHERE \"ID\" = 'PAT-000001'");
    run(&[]);
    arrives("PAT-700001", "2026-09-01");
    arrives("PAT-700002", "2020-01-01");
    let watermark = databases.project.newest().unwrap();
    run(&[]);
    assert_eq!([count("PAT-700001"), count("PAT-700002")], [["0"], ["0"]], "beyond the lag they are lost without it");
    // The last window only, and then all.
    let said = run(&["--reconcile", "1"]);
    assert!(said.stderr.contains("1 came later than the lag and are read now"), "{}", said.stderr);
    assert_eq!([count("PAT-700001"), count("PAT-700002")], [["1"], ["0"]]);
    let said = run(&["--reconcile"]);
    assert!(said.stderr.contains("since the beginning") && said.stderr.contains("1 came later"), "{}", said.stderr);
    assert_eq!(count("PAT-700002"), ["1"]);
    let said = run(&["--reconcile"]);
    assert!(said.stderr.contains("none came late") && said.stderr.contains("nothing new  exit 0"), "{}", said.stderr);
    // Rows that were read came once.
    assert_eq!(count("PAT-000001"), ["1"]);
    assert!(databases.project.newest().unwrap().publish > watermark.publish);
}

#[test]
fn a_part_of_a_table_is_read_again_and_moves_no_watermark() {
    let Some(databases) = Databases::new() else { return };
    databases.ok(&["run", "--as-of", DAY1]);
    let select = ["--select", "hos-b.patients", "--select", "hos-b.transactions"];
    databases.sql(
        "INSERT INTO dbo.patients SELECT (jsonb_populate_record(p, '{\"ID\": \"PAT-700001\", \"Updated_Date\": \"2020-01-01\"}')).* \
         FROM dbo.patients p WHERE \"ID\" = 'PAT-000002'",
    );
    let marks = || {
        let status = databases.ok(&["status"]).stdout;
        status.lines().filter(|line| line.starts_with("watermark  hos-b.")).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = marks();
    let run = |from: &str, to: &str| databases.run(&[&["run", "--from", from, "--to", to], &select[..]].concat());
    let said = run("2020-01-01", "2020-01-02");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("1 rows: 1 new"), "{}", said.stderr);
    assert_eq!(marks(), before);
    // Nothing but what was there comes, and changes nothing.
    let history = databases.project.history("transactions");
    assert_eq!(run("2026-01-01", "2027-01-01").code, 0);
    assert_eq!((databases.project.history("transactions"), marks()), (history, before));
    assert!(databases.ok(&["run", "--select", "hos-b.patients"]).stderr.contains("nothing new"));
    // What is no point, and what has no windows.
    assert_eq!(run("yesterday", "2026-01-01").code, 1);
    assert_eq!(databases.run(&["run", "--from", "1", "--to", "2", "--select", "hos-a.patients"]).code, 2);
    assert_eq!(databases.run(&["run", "--from", "1", "--select", "hos-b.patients"]).code, 2);
}
