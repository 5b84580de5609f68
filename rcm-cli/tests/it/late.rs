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
    assert!(
        said.stderr.contains("1 that came, or changed without their watermark, later than the lag are read now"),
        "{}",
        said.stderr
    );
    assert_eq!([count("PAT-700001"), count("PAT-700002")], [["1"], ["0"]]);
    let said = run(&["--reconcile"]);
    assert!(said.stderr.contains("since the beginning") && said.stderr.contains("1 that came"), "{}", said.stderr);
    assert_eq!(count("PAT-700002"), ["1"]);
    let said = run(&["--reconcile"]);
    assert!(said.stderr.contains("none came late") && said.stderr.contains("nothing new  exit 0"), "{}", said.stderr);
    // Rows that were read came once.
    assert_eq!(count("PAT-000001"), ["1"]);
    assert!(databases.project.newest().unwrap().publish > watermark.publish);
}

/// A window may be shorter than the lag: what is compared is never less than what a run reads, so the next one knows all of it.
#[test]
fn windows_shorter_than_the_lag_are_compared_with_all_that_it_covers() {
    let Some(databases) = Databases::new() else { return };
    databases.ok(&["run", "--as-of", DAY1]);
    let run = |args: &[&str]| databases.ok(&[&["run", "--select", "hos-b.patients"], args].concat());
    let touch = |id: &str, seconds: u8| {
        databases.sql(&format!(
            "UPDATE dbo.patients SET \"Updated_Date\" = now() AT TIME ZONE 'UTC' - interval '{seconds} s' WHERE \"ID\" = '{id}'"
        ));
    };
    touch("PAT-000001", 50);
    run(&[]);
    touch("PAT-000002", 40);
    run(&[]);
    touch("PAT-000003", 30);
    run(&[]);
    touch("PAT-000004", 35);
    let said = run(&["--reconcile", "1"]);
    assert!(said.stderr.contains("none came late") && said.stderr.contains("1 rows: 1 changed"), "{}", said.stderr);
    assert!(run(&[]).stderr.contains("nothing new  exit 0"));
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
    // Nothing but what was there comes, and changes nothing; the next window reads its edge anew, once.
    let history = databases.project.history("transactions");
    assert_eq!(run("2026-01-01", "2027-01-01").code, 0);
    assert_eq!((databases.project.history("transactions"), marks()), (history, before));
    databases.ok(&[&["run"], &select[..]].concat());
    let said = databases.ok(&[&["run"], &select[..]].concat());
    assert!(said.stderr.contains("nothing new  exit 0"), "{}", said.stderr);
    // What is no point, or nothing, and what has no windows.
    for (from, to, told) in [
        ("yesterday", "2026-01-01", "--from is no timestamp"),
        ("2026-01-01", "2026", "--to is no timestamp"),
        ("2026-01-02", "2026-01-01", "--from is not before --to"),
        ("2026-01-01", "2026-01-01", "--from is not before --to"),
    ] {
        let said = run(from, to);
        assert!(said.code == 2 && said.stderr.contains(told) && !said.stderr.contains("yesterday"), "{}", said.stderr);
    }
    assert_eq!(databases.run(&["run", "--from", "1", "--to", "2", "--select", "hos-a.patients"]).code, 2);
    assert_eq!(databases.run(&["run", "--from", "1", "--select", "hos-b.patients"]).code, 2);
}

/// A row that was changed without its watermark, seen by a part that is read again, and changed back: what was there before the
/// part was read is no answer to what is there now.
#[test]
fn what_went_back_is_seen_behind_a_part_that_was_read_again() {
    let Some(databases) = Databases::new() else { return };
    databases.sql("UPDATE dbo.patients SET \"Updated_Date\" = (SELECT max(\"Updated_Date\") FROM dbo.patients) WHERE \"ID\" = 'PAT-000001'");
    databases.ok(&["run", "--as-of", DAY1]);
    let select = ["--select", "hos-b.patients"];
    let name = || {
        let of = "SELECT first_name FROM silver.patients WHERE is_current AND patient_id = 'PAT-000001' AND hospital = 'hos-b'";
        databases.project.sql(of)
    };
    let was = name();
    let rename =
        |to: &str| databases.sql(&format!("UPDATE dbo.patients SET \"F_Name\" = {to} WHERE \"ID\" = 'PAT-000001'"));
    databases.sql("CREATE TABLE dbo.kept AS SELECT \"F_Name\" AS n FROM dbo.patients WHERE \"ID\" = 'PAT-000001'");
    rename("'Elsewhere'");
    databases.ok(&[&["run", "--from", "2020-01-01", "--to", "2027-01-01"], &select[..]].concat());
    assert_eq!(name(), ["Elsewhere"]);
    rename("(SELECT n FROM dbo.kept)");
    databases.ok(&[&["run"], &select[..]].concat());
    assert_eq!(name(), was);
}

#[test]
fn a_part_that_is_read_first_is_no_watermark() {
    let Some(databases) = Databases::new() else { return };
    let select = ["--select", "hos-b.patients"];
    databases.ok(&[&["run", "--as-of", DAY1, "--from", "2000-01-01", "--to", "2020-01-01"], &select[..]].concat());
    let status = databases.ok(&["status"]).stdout;
    assert!(!status.contains("watermark  hos-b.patients"), "{status}");
    databases.ok(&[&["run"], &select[..]].concat());
    let count = databases.project.sql("SELECT count(*) FROM silver.patients WHERE is_current AND hospital = 'hos-b'");
    let all = databases.project.sql("SELECT count(DISTINCT patient_id) FROM silver.patients WHERE hospital = 'hos-b'");
    assert_eq!(count, all);
    assert!(databases.ok(&["status"]).stdout.contains("watermark  hos-b.patients"));
    // Nothing is compared with a refresh, and no window is none.
    for wrong in [["--reconcile", "0"], ["--reconcile", "--full-refresh"]] {
        assert_eq!(databases.run(&[&["run"], &wrong[..], &select[..]].concat()).code, 2);
    }
}
