//! Broken deliveries: each with its exit code and words, and what it feeds stays as it was. Never a cell value.

use crate::support::{DAY1, DAY2, Project};

/// Breaks one file of day 1's state, runs, and holds exit code, words and versions.
fn refused(code: i32, says: &[&str], break_it: impl Fn(&Project)) {
    let project = Project::after_day1();
    let (versions, publish, patients) =
        (project.versions(), project.newest().unwrap().publish, project.history("patients"));
    break_it(&project);
    // At the same instant nothing else is due; a full load that differs needs a later one.
    let said = project.run(&["run", "--as-of", if code == 3 { DAY2 } else { DAY1 }]);
    assert_eq!(said.code, code, "{says:?}: {}", said.stderr);
    for words in says {
        assert!(said.stderr.contains(words), "no {words:?} in\n{}", said.stderr);
    }
    assert_eq!(project.newest().unwrap().publish, publish, "{says:?}");
    assert_eq!(project.versions(), versions, "{says:?}");
    assert_eq!(project.history("patients"), patients);
    let failures = project.audit(&["layer", "status", "error_class"]);
    assert!(failures.iter().any(|r| r.starts_with("run|failed|") || r.starts_with("run|refused|")), "{failures:?}");
}

const PATIENTS: &str = "landing/emr/hos-a/patients.csv";
const PROVIDERS: &str = "landing/emr/hos-a/providers.csv";

#[test]
fn a_missing_file() {
    refused(1, &["hos-a.patients: no file `hos-a/patients.csv`", "deliver one file"], |p| {
        std::fs::remove_file(p.path(PATIENTS)).unwrap();
    });
}

#[test]
fn a_file_of_no_bytes() {
    refused(1, &["hos-a.patients: hos-a/patients.csv: the file has 0 bytes"], |p| p.write(PATIENTS, ""));
}

#[test]
fn two_files_for_one() {
    refused(1, &["2 files match `hos-a/patients*.csv`", "declare the source with delivery = \"drops\""], |p| {
        p.edit("rcm.toml", "{datasource}/{table}.csv", "{datasource}/{table}*.csv");
        p.write("landing/emr/hos-a/patients_2.csv", p.read(PATIENTS));
    });
}

#[test]
fn a_missing_column() {
    refused(
        4,
        &["hos-a.patients: hos-a/patients.csv: column `DOB` is missing (the header has 10 columns, 9 of them known)"],
        |p| {
            p.edit(PATIENTS, ",DOB,", ",Birthday,");
        },
    );
}

#[test]
fn an_unknown_column() {
    refused(4, &["column `Motto` is unknown: neither mapped nor ignored", "add it to `ignore`"], |p| {
        p.edit(PATIENTS, "ModifiedDate", "ModifiedDate,Motto");
    });
}

#[test]
fn a_full_table_without_rows() {
    refused(3, &["hos-a.providers: the full table has a header and no rows"], |p| {
        let header = p.read(PROVIDERS).lines().next().unwrap().to_owned();
        p.write(PROVIDERS, header + "\n");
    });
}

#[test]
fn a_full_table_that_would_close_too_much() {
    refused(3, &["silver/providers", "max_delete_share"], |p| {
        let half: Vec<String> = p.read(PROVIDERS).lines().take(7).map(str::to_owned).collect();
        p.write(PROVIDERS, half.join("\n") + "\n");
    });
}

#[test]
fn a_full_table_that_differs_at_the_same_instant() {
    let project = Project::after_day1();
    project.edit("landing/emr/hos-a/departments.csv", "Emergency", "Emergency Room");
    let said = project.run(&["run", "--as-of", DAY1]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(said.stderr.contains("loaded as of 2026-06-29T00:00:00Z, and this run's as_of is 2026-06-29T00:00:00Z"));
    assert_eq!(project.newest().unwrap().publish, 1);
}

#[test]
fn a_lake_that_cannot_be_written() {
    let project = Project::new();
    project.write("lake", "a file where the folder should be");
    let said = project.run(&["run", "--as-of", DAY1]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("cannot be written"), "{}", said.stderr);
}

#[test]
fn a_second_run_at_the_same_moment() {
    let project = Project::after_day1();
    let lake = project.lake();
    let lease = crate::support::wait(lake.lease()).unwrap();
    let said = project.run(&["run", "--as-of", DAY2]);
    assert_eq!(said.code, 5, "{}", said.stderr);
    assert!(
        said.stderr.contains(&format!("another run is at work (process {})", std::process::id())),
        "{}",
        said.stderr
    );
    let said = project.run(&["run", "--as-of", DAY2, "--wait", "300ms"]);
    assert_eq!(said.code, 5, "{}", said.stderr);
    assert!(said.stderr.contains("waiting for another run to end"), "{}", said.stderr);
    assert_eq!(project.run(&["run", "--wait", "5"]).code, 2, "a time has a unit");

    let waits = std::thread::scope(|scope| {
        let waits = scope.spawn(|| project.run(&["run", "--as-of", DAY2, "--wait", "1h"]));
        std::thread::sleep(std::time::Duration::from_millis(500));
        drop(lease);
        waits.join().unwrap()
    });
    assert_eq!(waits.code, 0, "{}", waits.stderr);
}

#[test]
fn a_drop_with_a_header_only_is_read_and_changes_nothing() {
    let project = Project::after_day1();
    let engine_parts = || {
        let mut parts = project.newest().unwrap().tables["silver/claims"].state.clone();
        parts.remove("state");
        parts
    };
    let (versions, parts) = (project.versions(), engine_parts());
    let header = project.read("landing/claims/hos-a_claims_20260629.csv").lines().next().unwrap().to_owned();
    project.write("landing/claims/hos-a_claims_20260630.csv", header + "\n");
    let said = project.ok(&["run", "--as-of", DAY1]);
    assert!(said.stderr.contains("hos-a.claims        incremental  0 rows"), "{}", said.stderr);
    assert_eq!((project.versions(), engine_parts()), (versions, parts));
    assert_eq!(project.newest().unwrap().publish, 2, "the list of read files is state");
    assert!(project.ok(&["run", "--as-of", DAY1]).stderr.contains("nothing new"), "it is on the list of read files");
}

#[test]
fn broken_lines_land_in_quarantine_with_file_line_and_text() {
    let project = Project::after_day1();
    let header = project.read("landing/claims/hos-a_claims_20260629.csv").lines().next().unwrap().to_owned();
    let good = "CLM-900001,TRX-000001,PAT-000001,ENC-000001,PROV0001,DEPT001,2026-06-01,2026-06-02,Civic Aid,10.00,5.00,Paid,Private,0,0,0,2026-06-01,2026-06-29";
    let bad_date = good.replace("CLM-900001", "CLM-900002").replace("2026-06-02", "02.06.2026");
    let bad_number = good.replace("CLM-900001", "CLM-900003").replace("10.00", "ten");
    let no_key = good.replace("CLM-900001", "");
    let mut file = format!("{header}\n{good}\nCLM-900004,short\n{bad_date}\n{bad_number}\n{no_key}\n").into_bytes();
    file.extend(
        good.replace("CLM-900001", "CLM-900005")
            .replace("Civic", "Ci\u{1}ic")
            .bytes()
            .map(|b| if b == 1 { 0xff } else { b }),
    );
    project.write("landing/claims/hos-a_claims_20260630.csv", file);
    let said = project.ok(&["run", "--as-of", DAY2]);
    for value in ["02.06.2026", "ten,", "CLM-90", "Civic"] {
        assert!(!said.stderr.contains(value), "a cell value in\n{}", said.stderr);
    }
    let held = project.sql("SELECT row, line, unnest(reasons) FROM quarantine.claims ORDER BY row");
    assert_eq!(
        held,
        [
            "2|3|G1: 2 fields, expected 18",
            "3|4|G4 claim_date: is no date of the form %Y-%m-%d",
            "4|5|G4 claim_amount: is no number that fits Decimal(18, 2)",
            "5|6|G2 claim_id: is missing",
            "6|7|G1: bytes that are no UTF-8",
        ]
    );
    let raw = project.sql("SELECT file, raw FROM quarantine.claims WHERE row = 2");
    assert_eq!(raw, ["hos-a_claims_20260630.csv|CLM-900004,short"]);
    assert!(project.sql("SELECT raw FROM quarantine.claims WHERE row = 3")[0].contains("02.06.2026"));
}

#[test]
fn two_values_under_one_sequence_are_both_held() {
    let project = Project::after_day1();
    let file = project.read("landing/claims/hos-a_claims_20260629.csv");
    let (header, row) = (file.lines().next().unwrap(), file.lines().nth(1).unwrap());
    let renamed = row.replacen("CLM-000001", "CLM-900001", 1);
    let other = renamed.replacen("PAT-", "PAX-", 1);
    assert_ne!(renamed, other);
    project.write("landing/claims/hos-a_claims_20260630.csv", format!("{header}\n{renamed}\n{other}\n"));
    project.ok(&["run", "--as-of", DAY2]);
    let held = "SELECT claim_id, unnest(reasons) FROM quarantine.claims";
    let reason = "CLM-900001|G3: another row has the same key and sequence, and other values";
    assert_eq!(project.sql(held), [reason, reason]);
    assert_eq!(project.sql("SELECT COUNT(*) FROM silver.claims WHERE claim_id = 'CLM-900001'"), ["0"]);
}

#[test]
fn the_other_hospital_is_published_beside_a_broken_file() {
    let project = Project::after_day1();
    let of = |hospital: &str| {
        format!(
            "SELECT patient_id, address, valid_from FROM silver.patients WHERE hospital = '{hospital}' ORDER BY patient_id, valid_from"
        )
    };
    let (a, b) = (project.sql(&of("hos-a")), project.sql(&of("hos-b")));
    project.deliver_day2();
    project.edit(PATIENTS, ",DOB,", ",Birthday,");
    let said = project.run(&["run", "--as-of", DAY2]);
    assert_eq!(said.code, 4, "{}", said.stderr);
    assert_eq!(project.newest().unwrap().publish, 2);
    assert_eq!(project.newest().unwrap().stale, ["hos-a.patients"]);
    assert_eq!(project.sql(&of("hos-a")), a);
    assert_ne!(project.sql(&of("hos-b")), b);
    assert!(project.ok(&["status"]).stdout.contains("stale      hos-a.patients"));
    assert_eq!(
        project.path("lake").join("bronze/hos-a/patients").read_dir().unwrap().count(),
        1,
        "the failed line landed nothing"
    );

    // Mended, it catches up: nothing was skipped.
    project.deliver_day2();
    project.ok(&["run", "--as-of", "2026-07-01"]);
    let clean = Project::after_day1();
    clean.deliver_day2();
    clean.ok(&["run", "--as-of", DAY2]);
    assert_eq!(project.history("patients"), clean.history("patients"));
}

/// A file without a header has a patient where the header should be.
#[test]
fn a_missing_header_is_told_without_its_cells() {
    let project = Project::after_day1();
    let file = project.read(PATIENTS);
    let rows = file.split_once('\n').unwrap().1;
    let cells: Vec<&str> = rows.lines().next().unwrap().split(',').collect();
    for broken in [rows.to_owned(), rows.replacen("PAT-", "\"PAT-", 1), format!("DOB,{rows}")] {
        project.write(PATIENTS, broken);
        let said = project.run(&["run", "--as-of", DAY1, "--json"]);
        assert_eq!(said.code, 4, "{}", said.stderr);
        let audit = project.audit(&["error"]).join("\n");
        for cell in cells.iter().filter(|c| c.len() > 4) {
            assert!(
                !format!("{}{}{audit}", said.stdout, said.stderr).contains(cell.trim()),
                "a cell in\n{}",
                said.stderr
            );
        }
    }
}

#[test]
fn a_missing_folder() {
    refused(1, &["hos-a.claims: folder", "does not exist"], |p| {
        std::fs::remove_dir_all(p.path("landing/claims")).unwrap()
    });
}

#[test]
fn a_file_cut_in_its_last_value_is_not_complete() {
    let project = Project::after_day1();
    let path = "landing/emr/hos-a/departments.csv";
    let rows: Vec<String> = project.read(path).lines().map(str::to_owned).collect();
    project.write(path, format!("{}\nDEPT006,\"Pedi", rows[..6].join("\n")));
    let said = project.ok(&["run", "--as-of", DAY2]);
    assert!(said.stderr.contains("what is absent from this file closes nothing"), "{}", said.stderr);
    assert_eq!(project.sql("SELECT COUNT(*) FROM silver.departments WHERE is_current AND hospital = 'hos-a'"), ["6"]);
}

#[test]
fn amounts_at_the_edge_of_their_type_stop_nobody() {
    let project = Project::after_day1();
    let path = "landing/emr/hos-a/transactions.csv";
    let file = project.read(path);
    let (header, row) = (file.lines().next().unwrap(), file.lines().nth(1).unwrap());
    let mut cells: Vec<String> = row.split(',').map(str::to_owned).collect();
    let rows: Vec<String> = (0..12)
        .map(|n| {
            cells[0] = format!("TRX-9000{n:02}");
            cells[9] = "9999999999999999.99".to_owned();
            cells.join(",")
        })
        .collect();
    project.write(path, format!("{header}\n{}\n", rows.join("\n")));
    project.ok(&["run", "--as-of", DAY2]);
    let big = project.sql("SELECT MAX(amount) > 100000000000000000 FROM gold.kpi_department_charges");
    assert_eq!(big, ["true"]);
}

#[test]
fn a_code_that_is_the_unknown_members_is_held_back() {
    let project = Project::after_day1();
    let path = "landing/codes/cpt_codes.csv";
    let file = project.read(path);
    project.write(path, file.trim_end().to_owned() + "\nMisc,unknown,Not a code,No Change\n");
    project.ok(&["run", "--as-of", DAY2]);
    assert_eq!(
        project.sql("SELECT unnest(reasons) FROM quarantine.cpt_codes"),
        ["G2 cpt_code: is the key of the unknown member"]
    );
}

#[test]
fn a_person_named_null_is_a_person() {
    let project = Project::after_day1();
    let file = project.read("landing/emr/hos-b/patients.csv");
    let row = file.lines().nth(1).unwrap();
    let mut cells: Vec<&str> = row.splitn(4, ',').collect();
    (cells[0], cells[2]) = ("PAT-900001", "Null");
    project.write("landing/emr/hos-b/patients.csv", format!("{}\n{}\n", file.lines().next().unwrap(), cells.join(",")));
    project.ok(&["run", "--as-of", DAY2]);
    assert_eq!(project.sql("SELECT last_name FROM silver.patients WHERE patient_id = 'PAT-900001'"), ["Null"]);
}

#[test]
fn a_damaged_record_is_told_and_kept() {
    let project = Project::after_day1();
    let path = "lake/_rcm/publishes/00000000000000000001.json";
    let text = project.read(path);
    project.write(path, text.replacen("hos-a", "hos-x", 1).replacen("silver", "sliver", 1));
    let said = project.run(&["run", "--as-of", DAY2]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("its digest does not match"), "{}", said.stderr);
    assert!(project.audit(&["layer", "status"]).contains(&"run|failed".to_owned()));
}

#[test]
fn a_stale_load_stays_stale_until_it_is_read() {
    let project = Project::after_day1();
    project.deliver_day2();
    let good = project.read(PATIENTS);
    project.edit(PATIENTS, ",DOB,", ",Birthday,");
    assert_eq!(project.run(&["run", "--as-of", DAY2, "--select", "hos-a.patients", "-s", "hos-a.encounters"]).code, 4);
    project.ok(&["run", "--as-of", DAY2, "--select", "hos-b.*"]);
    assert_eq!(project.newest().unwrap().stale, ["hos-a.patients"]);
    project.write(PATIENTS, good);
    project.ok(&["run", "--as-of", DAY2]);
    assert!(project.newest().unwrap().stale.is_empty());
}

#[test]
fn a_gate_hides_no_other_failure() {
    refused(3, &["header and no rows", "hos-b.providers: hos-b/providers.csv: column `NPI` is missing"], |p| {
        let header = p.read(PROVIDERS).lines().next().unwrap().to_owned();
        p.write(PROVIDERS, header + "\n");
        p.edit("landing/emr/hos-b/providers.csv", "NPI", "N");
    });
}

/// A lake whose records are gone is not a new lake: its tables are not written over.
#[test]
fn a_lake_without_its_records_is_refused() {
    let project = Project::after_day1();
    std::fs::remove_dir_all(project.path("lake/_rcm")).unwrap();
    let said = project.run(&["run", "--as-of", DAY2]);
    assert_eq!(said.code, 4, "{}", said.stderr);
    assert!(said.stderr.contains("if the lake has lost its folder _rcm, restore it"), "{}", said.stderr);
}
