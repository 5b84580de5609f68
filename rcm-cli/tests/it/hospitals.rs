//! A hospital is a mapping file and lines in `load_config.csv`: no code, no list elsewhere.

use crate::support::{DAY1, DAY2, Project};

#[test]
fn a_third_hospital_is_a_file_and_some_lines() {
    let project = Project::after_day1();
    let mapping = project.read("mappings/hos-a.toml");
    project.write("mappings/hos-c.toml", mapping.replace("H1-", "H3-"));
    let config = project.read("load_config.csv");
    let lines: String =
        config.lines().filter(|l| l.contains(",hos-a,")).map(|l| l.replace("hos-a", "hos-c") + "\n").collect();
    project.write("load_config.csv", config.trim_end().to_owned() + "\n" + &lines);
    for table in ["departments", "providers", "patients", "encounters", "transactions"] {
        let file = project.read(&format!("landing/emr/hos-a/{table}.csv")).replace("H1-", "H3-");
        project.write(&format!("landing/emr/hos-c/{table}.csv"), file);
    }
    project.write("landing/claims/hos-c_claims_20260629.csv", project.read("landing/claims/hos-a_claims_20260629.csv"));

    let before = project.history("patients").len();
    let said = project.ok(&["run", "--as-of", DAY2]);
    assert!(said.stderr.contains("hos-c.patients"), "{}", said.stderr);
    assert_eq!(project.history("patients").len(), before + 151);
    let sums = "SELECT hospital, COUNT(*), SUM(amount), COUNT(*) FILTER (WHERE provider_key <> 'unknown') \
                FROM gold.fact_transactions GROUP BY hospital ORDER BY hospital";
    let sums = project.sql(sums);
    assert_eq!(sums.len(), 3);
    assert_eq!(sums[2].replace("hos-c", "hos-a"), sums[0], "the same data under another name give the same sums");
}

#[test]
fn an_inactive_line_is_left_out_and_an_absent_hospital_closes_nothing() {
    let project = Project::after_day1();
    project.edit("load_config.csv", "emr,hos-a,dbo.providers,Full,,1,hos-a", "emr,hos-a,dbo.providers,Full,,0,hos-a");
    project.deliver_day2();
    let said = project.ok(&["run", "--as-of", DAY2]);
    assert!(!said.stderr.contains("hos-a.providers"));
    // hos-b delivered its providers; those of hos-a are neither read nor closed.
    let current =
        "SELECT hospital, COUNT(*) FROM silver.providers WHERE is_current GROUP BY hospital ORDER BY hospital";
    assert_eq!(project.sql(current), ["hos-a|12", "hos-b|15"]);
}

#[test]
fn the_same_key_in_two_hospitals_is_two_people() {
    let project = Project::new();
    project.ok(&["run", "--as-of", DAY1]);
    let twins = "SELECT COUNT(*) FROM silver.patients a JOIN silver.patients b ON a.patient_id = b.patient_id \
                 WHERE a.hospital = 'hos-a' AND b.hospital = 'hos-b' AND a.is_current AND b.is_current";
    assert_eq!(project.sql(twins), ["147"]);
    assert_eq!(project.sql("SELECT COUNT(DISTINCT surrogate_key) = COUNT(*) FROM silver.patients"), ["true"]);
}
