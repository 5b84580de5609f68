//! The audit table's counts add up, and each attempt ends in one row about the run.

use crate::support::{DAY1, DAY2, Project};

#[test]
fn counts_add_up_in_every_layer() {
    let project = Project::after_day1();
    project.deliver_day2();
    project.ok(&["run", "--as-of", DAY2]);
    project.ok(&["run", "--as-of", DAY2]);

    let number = |text: &str| text.parse::<i64>().unwrap_or(0);
    let bronze = project.audit(&["layer", "rows_in", "rows_landed", "rows_rejected"]);
    let (mut read, mut rejected) = (0, 0);
    for row in bronze.iter().filter(|r| r.starts_with("bronze|")) {
        let cells: Vec<i64> = row.split('|').skip(1).map(number).collect();
        assert_eq!(cells[0], cells[1] + cells[2], "{row}");
        (read, rejected) = (read + cells[0], rejected + cells[2]);
    }
    assert_eq!((read, rejected), (2081 + 1716 - 12, 3), "records of both days, less two unchanged files");

    let columns = [
        "layer",
        "rows_in",
        "rows_new",
        "rows_changed",
        "rows_late",
        "rows_noop",
        "rows_collapsed",
        "rows_quarantined",
    ];
    let mut late = 0;
    for row in project.audit(&columns).iter().filter(|r| r.starts_with("silver|")) {
        let cells: Vec<i64> = row.split('|').skip(1).map(number).collect();
        assert_eq!(cells[0], cells[1..].iter().sum::<i64>(), "{row}");
        late += cells[3];
    }
    assert_eq!(late, 1);

    let gold = project.audit(&["layer", "table_name", "rows_in", "rows_out", "amount_in", "amount_out"]);
    let facts: Vec<_> = gold.iter().filter(|r| r.starts_with("gold|fact_")).collect();
    assert_eq!(facts.len(), 6);
    for row in facts {
        let cells: Vec<&str> = row.split('|').collect();
        assert_eq!((cells[2], cells[4]), (cells[3], cells[5]), "{row}");
    }
    let runs: Vec<_> =
        project.audit(&["layer", "publish", "status"]).into_iter().filter(|r| r.starts_with("run|")).collect();
    assert_eq!(runs, ["run|1|ok", "run|2|ok", "run|NULL|nothing_new"]);
}

#[test]
fn a_failure_is_kept_with_its_class() {
    let project = Project::new();
    std::fs::remove_file(project.path("landing/emr/hos-a/patients.csv")).unwrap();
    assert_eq!(project.run(&["run", "--as-of", DAY1]).code, 1);
    let failed: Vec<_> = project
        .audit(&["layer", "hospital", "table_name", "status", "error_class"])
        .into_iter()
        .filter(|r| r.contains("failed"))
        .collect();
    assert_eq!(
        failed,
        ["bronze|hos-a|patients|failed|failed", "run|||failed|failed", "silver|hos-a|patients|failed|failed"]
    );
}
