//! Files however a hospital writes them, and columns that change: what is told, what is kept, what is held back.

use crate::support::{DAY1, DAY2, DAY3, Project};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// A file with another delimiter.
fn delimited(text: &str, delimiter: u8) -> Vec<u8> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    for record in reader.byte_records() {
        writer.write_byte_record(&record.unwrap()).unwrap();
    }
    writer.into_inner().unwrap()
}

/// Says something of one of hospital A's tables in its mapping.
fn declare(project: &Project, table: &str, setting: &str) {
    let source = format!("source = \"dbo.{table}\"");
    project.edit("mappings/hos-a.toml", &source, &format!("{source}\n{setting}"));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_delivery_is_the_same_however_it_is_written() {
    let (plain, other) = (Project::new(), Project::new());
    let at = |table: &str| format!("landing/emr/hos-a/{table}.csv");
    // A name that Latin-1 has and ASCII does not.
    for project in [&plain, &other] {
        let text = project.read(&at("patients"));
        let first = text.lines().nth(1).unwrap().to_owned();
        let name = first.split(',').nth(1).unwrap();
        project.write(&at("patients"), text.replacen(&first, &first.replacen(name, "Zoë Ægir", 1), 1));
    }
    let latin1: Vec<u8> = other.read(&at("patients")).chars().map(|c| u8::try_from(c as u32).unwrap()).collect();
    other.write(&at("patients"), latin1);
    declare(&other, "patients", "csv = { encoding = \"latin1\" }");
    let providers: Vec<u8> = [vec![0xFEFF], other.read(&at("providers")).encode_utf16().collect()]
        .concat()
        .iter()
        .flat_map(|unit: &u16| unit.to_le_bytes())
        .collect();
    other.write(&at("providers"), providers);
    other.write(&at("departments"), delimited(&other.read(&at("departments")), b'\t'));
    other.write(&at("encounters"), gzip(&delimited(&other.read(&at("encounters")), b'|')));
    other.write(
        &at("transactions"),
        delimited(&other.read(&at("transactions")), b';')
            .iter()
            .map(|byte| if *byte == b'"' { b'\'' } else { *byte })
            .collect::<Vec<u8>>(),
    );
    declare(&other, "transactions", "csv = { delimiter = \";\", quote = \"'\" }");

    plain.ok(&["run", "--as-of", DAY1]);
    let said = other.ok(&["run", "--as-of", DAY1]);
    for words in [
        "hos-a/departments.csv: fields are separated by '\\t', as found",
        "hos-a/encounters.csv: fields are separated by '|'",
    ] {
        assert!(said.stderr.contains(words), "no {words:?} in\n{}", said.stderr);
    }
    assert!(!said.stderr.contains("transactions.csv: fields"), "it was declared");
    for table in ["departments", "providers", "patients", "encounters", "transactions", "claims", "cpt_codes"] {
        assert_eq!(other.history(table), plain.history(table), "{table}");
    }
    assert!(plain.history("patients").iter().any(|row| row.contains("Zoë Ægir")));
    assert_eq!(
        other.sql("SELECT COUNT(*) FROM quarantine.patients"),
        plain.sql("SELECT COUNT(*) FROM quarantine.patients")
    );
}

#[test]
fn a_packed_delivery_that_is_cut_short_changes_nothing() {
    let project = Project::after_day1();
    let before = project.versions();
    let packed = gzip(project.read("landing/emr/hos-a/patients.csv").as_bytes());
    project.write("landing/emr/hos-a/patients.csv", &packed[..packed.len() / 2]);
    let said = project.run(&["run", "--as-of", DAY1]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("hos-a.patients: hos-a/patients.csv: cannot be read"), "{}", said.stderr);
    assert_eq!(project.versions(), before);
}

/// Day 1 run, then patients of hospital A with a column more, one less, and a change, under a policy.
fn drifted(policy: &str) -> (Project, crate::support::Said) {
    let project = Project::after_day1();
    declare(&project, "patients", &format!("on_drift = \"{policy}\""));
    let text = project.read("landing/emr/hos-a/patients.csv");
    let mut lines = text.lines();
    let header = lines.next().unwrap().replace("MiddleName", "Motto");
    let rows: String = lines.map(|line| format!("{line}\n")).collect();
    project.write("landing/emr/hos-a/patients.csv", format!("{header}\n{rows}"));
    let said = project.run(&["run", "--as-of", DAY2]);
    (project, said)
}

#[test]
fn columns_that_drift_freeze_the_load_evolve_it_or_are_quarantined() {
    let (project, said) = drifted("freeze");
    assert_eq!(said.code, 4, "{}", said.stderr);
    assert!(said.stderr.contains("column `MiddleName` is missing"), "{}", said.stderr);
    let day1 = project.history("patients");

    let (project, said) = drifted("evolve");
    assert_eq!(said.code, 0, "{}", said.stderr);
    for words in ["column number 4 is unknown: kept in bronze only", "column `MiddleName` is missing: read as null"] {
        assert!(said.stderr.contains(words), "no {words:?} in\n{}", said.stderr);
    }
    let middle = "SELECT COUNT(middle_name) FROM silver.patients WHERE is_current AND hospital = 'hos-a'";
    assert_eq!(project.sql(middle), ["0"]);
    let others = "SELECT COUNT(middle_name) > 0 FROM silver.patients WHERE is_current AND hospital = 'hos-b'";
    assert_eq!(project.sql(others), ["true"]);

    let (project, said) = drifted("quarantine");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("all records are quarantined: column `MiddleName` is missing"), "{}", said.stderr);
    assert_eq!(project.history("patients"), day1, "no version was closed or opened");
    let records = project.read("landing/emr/hos-a/patients.csv").lines().count() - 1;
    let held = "SELECT COUNT(*) FROM (SELECT unnest(reasons) AS reason, raw FROM quarantine.patients \
                WHERE file = 'hos-a/patients.csv') WHERE reason LIKE '%`MiddleName` is missing%' AND raw LIKE '%Motto%'";
    assert_eq!(project.sql(held), [records.to_string()]);
    // Taken in by a rebuild, when the mapping knows the column.
    project.edit("mappings/hos-a.toml", "middle_name = \"MiddleName\"", "middle_name = \"Motto\"");
    project.ok(&["run", "--as-of", DAY3, "--full-refresh", "--select", "patients"]);
    assert_eq!(project.sql(held), ["0"]);
    // And what was accepted when it came, by the mapping of then, is no drift today.
    let drifted = "SELECT COUNT(*) FROM (SELECT unnest(reasons) AS reason FROM quarantine.patients \
                   WHERE file = 'hos-a/patients.csv') WHERE reason LIKE '%is missing (the header%'";
    assert_eq!(project.sql(drifted), ["0"]);
    let taken = "SELECT COUNT(middle_name) > 0 FROM silver.patients WHERE hospital = 'hos-a' AND is_current";
    assert_eq!(project.sql(taken), ["true"]);
}

/// Of a table that is delivered whole, too: what is held back is not absent.
#[test]
fn a_whole_table_that_is_quarantined_closes_no_key() {
    let project = Project::after_day1();
    declare(&project, "providers", "on_drift = \"quarantine\"");
    let before = project.history("providers");
    let text = project.read("landing/emr/hos-a/providers.csv").replace("NPI", "Npi");
    let half: Vec<&str> = text.lines().take(7).collect();
    project.write("landing/emr/hos-a/providers.csv", half.join("\n") + "\n");
    project.ok(&["run", "--as-of", DAY2]);
    assert_eq!(project.history("providers"), before);
    assert_eq!(project.sql("SELECT COUNT(*) FROM quarantine.providers WHERE file = 'hos-a/providers.csv'"), ["6"]);
}

#[test]
fn what_cannot_be_evolved_without_is_drift_still() {
    let project = Project::after_day1();
    declare(&project, "patients", "on_drift = \"evolve\"");
    project.edit("landing/emr/hos-a/patients.csv", "PatientID,", "Patient,");
    let said = project.run(&["run", "--as-of", DAY2]);
    assert_eq!(said.code, 4, "{}", said.stderr);
    assert!(said.stderr.contains("column `PatientID` is missing"), "{}", said.stderr);
    // And a file without a header is nobody's to keep.
    let project = Project::after_day1();
    declare(&project, "patients", "on_drift = \"quarantine\"");
    let text = project.read("landing/emr/hos-a/patients.csv");
    project.write("landing/emr/hos-a/patients.csv", text.split_once('\n').unwrap().1);
    let said = project.run(&["run", "--as-of", DAY2]);
    assert_eq!(said.code, 4, "{}", said.stderr);
    assert!(said.stderr.contains("the first line is no header"), "{}", said.stderr);
}

/// Replaces the dates of birth in patients of hospital A.
fn with_births(project: &Project, date: impl Fn(&str) -> String) {
    let text = project.read("landing/emr/hos-a/patients.csv");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let at = reader.headers().unwrap().iter().position(|name| name == "DOB").unwrap();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(reader.headers().unwrap()).unwrap();
    for record in reader.records() {
        let record = record.unwrap();
        let fields = record.iter().enumerate().map(|(n, field)| if n == at { date(field) } else { field.to_owned() });
        writer.write_record(fields).unwrap();
    }
    project.write("landing/emr/hos-a/patients.csv", writer.into_inner().unwrap());
}

#[test]
fn dates_are_read_by_what_is_found_and_never_guessed() {
    let (plain, american) = (Project::new(), Project::new());
    with_births(&american, |date| match date.split('-').collect::<Vec<_>>()[..] {
        [year, month, day] => format!("{month}/{day}/{year}"),
        _ => date.to_owned(),
    });
    plain.ok(&["run", "--as-of", DAY1]);
    let said = american.ok(&["run", "--as-of", DAY1]);
    let note = "hos-a.patients: hos-a/patients.csv: column `DOB`: dates are read by %m/%d/%Y, as found in it";
    assert!(said.stderr.contains(note), "{}", said.stderr);
    assert_eq!(american.history("patients"), plain.history("patients"));

    let doubtful = Project::new();
    with_births(&doubtful, |_| "03/04/1980".to_owned());
    let said = doubtful.ok(&["run", "--as-of", DAY1]);
    let note = "column `DOB`: dates may be %m/%d/%Y or %d/%m/%Y: declare its `format` in the mapping";
    assert!(said.stderr.contains(note), "{}", said.stderr);
    assert_eq!(doubtful.sql("SELECT COUNT(*) FROM silver.patients WHERE hospital = 'hos-a'"), ["0"]);
}
