//! Rows that are deleted at their source: told by a column, or found by comparing keys.

use crate::databases::Databases;
use crate::sqlserver::HospitalA;
use crate::support::{DAY1, DAY2, Project};
use crate::unharmed::heads;

/// Versions of a key of hospital B: since when, until when, whether it is current.
fn versions(project: &Project, table: &str, key: &str) -> Vec<String> {
    project.sql(&format!(
        "SELECT valid_from, valid_to, is_current FROM silver.{table} WHERE hospital = 'hos-b' AND {}_id = '{key}' ORDER BY valid_from",
        table.trim_end_matches('s')
    ))
}

fn live(project: &Project, table: &str, hospital: &str) -> usize {
    let sql = format!("SELECT count(*) FROM silver.{table} WHERE is_current AND hospital = '{hospital}'");
    project.sql(&sql)[0].parse().unwrap()
}

/// Lets all lines of a table of hospital B compare keys.
fn by_keys(project: &Project, hospital: &str, table: &str) {
    let lines = project.read("load_config.csv");
    let line = |line: &str| {
        let end = if line.starts_with("database") {
            "deletes"
        } else if line.contains(&format!("{hospital},dbo.{table},")) {
            "keys"
        } else {
            ""
        };
        format!("{line},{end}\n")
    };
    project.write("load_config.csv", lines.lines().map(line).collect::<String>());
}

#[test]
fn a_key_that_a_table_no_longer_has_is_closed() {
    let Some(b) = Databases::new() else { return };
    let project = &b.project;
    by_keys(project, "hos-b", "patients");
    b.ok(&["run", "--as-of", DAY1]);
    let before = live(project, "patients", "hos-b");
    let of_a = live(project, "patients", "hos-a");
    let keys = project.sql(
        "SELECT patient_id FROM silver.patients WHERE is_current AND hospital = 'hos-b' ORDER BY patient_id LIMIT 2",
    );
    b.sql(&format!("CREATE TABLE held AS SELECT * FROM dbo.patients WHERE \"ID\" IN ('{0}', '{1}')", keys[0], keys[1]));
    b.sql("DELETE FROM dbo.patients WHERE \"ID\" IN (SELECT \"ID\" FROM held)");
    let select = ["--select", "hos-b.patients"];
    let run = |at: &str| b.ok(&[&["run", "--as-of", at], &select[..]].concat());
    let said = run("2026-07-05T10:00:00Z");
    assert!(said.stderr.contains("2 keys are gone"), "{}", said.stderr);
    assert_eq!((live(project, "patients", "hos-b"), live(project, "patients", "hos-a")), (before - 2, of_a));
    let closed = versions(project, "patients", &keys[0]);
    let last = closed.last().unwrap();
    assert!(last.contains("|2026-07-05T00:00:00") && last.ends_with("|false"), "{closed:?}");
    // It is told once.
    let before_it = heads(project);
    let said = run("2026-07-06T10:00:00Z");
    assert!(!said.stderr.contains("gone") && said.stderr.contains("nothing new"), "{}", said.stderr);
    assert_eq!(heads(project), before_it);
    // What comes back is there again, and what changed meanwhile too; both out of the archive as well.
    b.sql("UPDATE held SET \"Updated_Date\" = '2026-07-07'; INSERT INTO dbo.patients SELECT * FROM held");
    run("2026-07-07T10:00:00Z");
    assert_eq!(live(project, "patients", "hos-b"), before);
    let back = versions(project, "patients", &keys[0]);
    assert_eq!(back.len(), closed.len() + 1, "{back:?}");
    // One that is put back as it was before has a watermark long past; the other one stays gone.
    b.sql("DELETE FROM dbo.patients WHERE \"ID\" IN (SELECT \"ID\" FROM held)");
    run("2026-07-08T10:00:00Z");
    b.sql("INSERT INTO dbo.patients SELECT * FROM held WHERE \"ID\" = (SELECT max(\"ID\") FROM held)");
    let said = run("2026-07-09T11:00:00Z");
    assert!(said.stderr.contains("1 keys are there again"), "{}", said.stderr);
    assert_eq!(live(project, "patients", "hos-b"), before - 1);
    let twice = versions(project, "patients", &keys[1]);
    assert!(
        twice.last().unwrap().starts_with("2026-07-09T00:00:00Z") && twice.last().unwrap().ends_with("|true"),
        "{twice:?}"
    );
    let said = run("2026-07-09T12:00:00Z");
    assert!(!said.stderr.contains("keys are"), "{}", said.stderr);
    let history = project.history("patients");
    b.ok(&[&["run", "--as-of", "2026-07-10T10:00:00Z", "--full-refresh"], &select[..]].concat());
    assert_eq!(project.history("patients"), history);
    // A table that lost most of its keys is more likely one that could not be read.
    let rest = heads(project);
    b.sql("CREATE TABLE all_held AS SELECT * FROM dbo.patients; DELETE FROM dbo.patients");
    let said = b.run(&[&["run", "--as-of", "2026-07-11T10:00:00Z"], &select[..]].concat());
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(
        said.stderr.contains("keys are no longer in the table") && said.stderr.contains("max_delete_share"),
        "{}",
        said.stderr
    );
    assert_eq!(heads(project), rest);
}

/// Columns that no mapping knows quarantine all rows, but a key that is gone is gone.
#[test]
fn a_key_is_gone_whatever_the_columns_are() {
    let Some(b) = Databases::new() else { return };
    let project = &b.project;
    by_keys(project, "hos-b", "patients");
    project.edit(
        "mappings/hos-b.toml",
        "source = \"dbo.patients\"",
        "source = \"dbo.patients\"\non_drift = \"quarantine\"",
    );
    b.ok(&["run", "--as-of", DAY1]);
    let before = live(project, "patients", "hos-b");
    b.sql("ALTER TABLE dbo.patients ADD COLUMN more text; DELETE FROM dbo.patients WHERE \"ID\" = (SELECT min(\"ID\") FROM dbo.patients)");
    let select = ["--select", "hos-b.patients"];
    let said = b.ok(&[&["run", "--as-of", "2026-07-05T10:00:00Z"], &select[..]].concat());
    assert!(said.stderr.contains("1 keys are gone"), "{}", said.stderr);
    assert_eq!(live(project, "patients", "hos-b"), before - 1, "{}", said.stderr);
}

/// A SQL Server without versions of rows shows a table at several instants: what is absent must be so twice.
#[test]
fn keys_of_a_sql_server() {
    let project = Project::new();
    let Some(a) = HospitalA::of(&project) else { return };
    by_keys(&project, "hos-a", "transactions");
    a.ok(&project, &["run", "--as-of", DAY1]);
    let before = live(&project, "transactions", "hos-a");
    a.beneath(
        "DELETE FROM dbo.transactions WHERE \"TransactionID\" = (SELECT max(\"TransactionID\") FROM dbo.transactions)",
    );
    let said = a.ok(&project, &["run", "--as-of", DAY2, "--select", "hos-a.transactions"]);
    assert!(said.stderr.contains("1 keys are gone"), "{}", said.stderr);
    assert_eq!(live(&project, "transactions", "hos-a"), before - 1);
}

/// Files and tables whose rows say it themselves.
#[test]
fn a_row_that_says_that_it_is_deleted_ends_its_key() {
    let Some(b) = Databases::new() else { return };
    let project = &b.project;
    b.sql("ALTER TABLE dbo.patients ADD COLUMN is_deleted boolean DEFAULT false");
    project.edit(
        "mappings/hos-b.toml",
        "source = \"dbo.patients\"",
        "source = \"dbo.patients\"\ndeleted = \"is_deleted\"",
    );
    b.ok(&["run", "--as-of", DAY1]);
    let before = live(project, "patients", "hos-b");
    let keys = project.sql(
        "SELECT patient_id FROM silver.patients WHERE is_current AND hospital = 'hos-b' ORDER BY patient_id LIMIT 2",
    );
    // The row is emptied, as some do: of one that is gone only key and time count.
    b.sql(&format!(
        "UPDATE dbo.patients SET is_deleted = true, \"F_Name\" = NULL, \"L_Name\" = NULL, \"Updated_Date\" = '2026-06-30' WHERE \"ID\" = '{}'",
        keys[0]
    ));
    let select = ["--select", "hos-b.patients"];
    let run = |at: &str| b.ok(&[&["run", "--as-of", at], &select[..]].concat());
    let said = run("2026-07-05T10:00:00Z");
    assert_eq!(live(project, "patients", "hos-b"), before - 1, "{}", said.stderr);
    let last = versions(project, "patients", &keys[0]).pop().unwrap();
    assert!(last.contains("|2026-06-30T00:00:00") && last.ends_with("|false"), "{last}");
    let audit = project.audit(&["layer", "table_name", "hospital", "keys_closed"]);
    assert!(audit.iter().any(|row| row.starts_with("silver|patients|hos-b|1")), "{audit:?}");
    let history = project.history("patients");
    b.ok(&[&["run", "--as-of", "2026-07-06T10:00:00Z", "--full-refresh"], &select[..]].concat());
    assert_eq!(project.history("patients"), history);
    // It is there again.
    b.sql(&format!(
        "UPDATE dbo.patients SET is_deleted = false, \"F_Name\" = 'A', \"L_Name\" = 'B', \"Updated_Date\" = '2026-07-07' WHERE \"ID\" = '{}'",
        keys[0]
    ));
    run("2026-07-07T10:00:00Z");
    assert_eq!(live(project, "patients", "hos-b"), before);
    // Without the column nobody would be deleted any more.
    b.sql("ALTER TABLE dbo.patients DROP COLUMN is_deleted");
    let said = b.run(&[&["run", "--as-of", "2026-07-08T10:00:00Z"], &select[..]].concat());
    assert!(said.code != 0 && said.stderr.contains("which says what is deleted, is missing"), "{}", said.stderr);
}

#[test]
fn a_file_with_words_for_it() {
    let project = Project::new();
    let words = "source = \"claims\"\ndeleted = { from = \"Deleted\", is = [\"gone\"] }";
    project.edit("mappings/hos-a.toml", "source = \"claims\"", words);
    let file = "landing/claims/hos-a_claims_20260629.csv";
    let claims = project.read(file);
    let with = |flag: &str| {
        let mut lines = claims.lines();
        let header = format!("{},Deleted\n", lines.next().unwrap());
        header + &lines.map(|line| format!("{line},{flag}\n")).collect::<String>()
    };
    project.write(file, with(""));
    project.ok(&["run", "--as-of", DAY1]);
    let before = live(&project, "claims", "hos-a");
    assert!(before > 10);
    // All of them, and nobody asks: a file that says it means it.
    project.write(&file.replace("29", "30"), with("gone"));
    project.ok(&["run", "--as-of", DAY2]);
    assert_eq!(live(&project, "claims", "hos-a"), 0);
}

#[test]
fn what_cannot_be_is_refused() {
    let project = Project::new();
    for (change, word) in [
        (("load_config.csv", "targetpath\n", "targetpath,deletes\n"), ""),
        (
            ("mappings/hos-a.toml", "source = \"dbo.providers\"", "source = \"dbo.providers\"\ndeleted = \"gone\""),
            "the load is full",
        ),
    ] {
        let (file, from, to) = change;
        let before = project.read(file);
        project.edit(file, from, to);
        if word.is_empty() {
            for (value, word) in
                [("keys", "deletes is for incremental tables of databases"), ("yes", "deletes `yes` is unknown")]
            {
                let lines: String = before.lines().skip(1).map(|line| format!("{line},{value}\n")).collect();
                project.write(file, format!("{},deletes\n{lines}", before.lines().next().unwrap()));
                let said = project.run(&["check"]);
                assert!(said.code == 2 && said.stderr.contains(word), "{word}: {}", said.stderr);
            }
        } else {
            let said = project.run(&["check"]);
            assert!(said.code == 2 && said.stderr.contains(word), "{word}: {}", said.stderr);
        }
        project.write(file, before);
    }
}
