//! Every kind of source at once: hospital A in a SQL Server, B in PostgreSQL, claims and codes in files, providers and diagnoses
//! at services, and all secrets in a vault. Each speaks its own protocol; all but PostgreSQL are the tests' own.
//!
//! `RCM_TWO_HOSPITALS=FOLDER` runs it with the files of two hospitals in a folder as well: `EMR/rcm-hospital-{a,b}`, `claims`,
//! `cptcodes`.
#![allow(clippy::print_stdout)] // how many rows agree

use crate::apis::{ICD_SECRET, Services};
use crate::databases::{Databases, gold_without, mend};
use crate::sqlserver::{HospitalA, TABLES};
use crate::support::{DAY1, DAY2, Project, Said, said};
use crate::vault::Kept;
use std::path::Path;
use std::process::Command;

/// Tables of services, which files have not.
const OF_SERVICES: [&str; 2] = ["dim_npi", "dim_icd_code"];

fn both(project: &Project) {
    for hospital in ["hos-a", "hos-b"] {
        mend(project, hospital, &TABLES.map(|(table, ..)| table));
    }
}

struct Group {
    a: HospitalA,
    b: Databases,
    kept: Kept,
    services: Services,
}

impl Group {
    /// Moves the hospitals of a project into databases, and its secrets into a vault.
    fn of(project: Project) -> Option<Group> {
        both(&project);
        let b = Databases::of(project)?;
        let (a, services, kept) = (HospitalA::of(&b.project)?, Services::new(), Kept::new());
        services.join(&b.project);
        for (name, variable, value) in [
            ("emr-a", "EMR_A_PASSWORD", &*a.server.shared.options.password),
            ("emr-b", "EMR_B_PASSWORD", crate::server::PASSWORD),
            ("icd-secret", "ICD_SECRET", ICD_SECRET),
        ] {
            b.project.edit("rcm.toml", &format!("${{env:{variable}}}"), &kept.reference(name));
            kept.vault.set(name, value);
        }
        let key = format!("kind = \"npi\"\nkey = \"{}\"\n", kept.reference("npi-key"));
        b.project.edit("rcm.toml", "kind = \"npi\"\n", &key);
        kept.vault.set("npi-key", "canary-key-77");
        Some(Group { a, b, kept, services })
    }

    fn ok(&self, environment: Vec<(&str, String)>, args: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rcm"));
        command.arg("-c").arg(self.b.project.path("rcm.toml")).args(args);
        let said = said(command.envs(environment).env("WANTED", "Made-up*"));
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert!(!format!("{}{}", said.stdout, said.stderr).contains("canary"), "{}", said.stderr);
        said
    }

    fn agrees(&self, files: &Project) {
        let project = &self.b.project;
        let expected = gold_without(files, &OF_SERVICES);
        assert_eq!(gold_without(project, &OF_SERVICES), expected);
        for (table, ..) in TABLES {
            assert_eq!(project.history(table), files.history(table), "{table}");
        }
        assert_eq!(project.sql("SELECT count(*) FROM gold.dim_npi WHERE npi <> 'unknown'"), ["60"]);
        assert_eq!(project.sql("SELECT icd_code FROM gold.dim_icd_code WHERE icd_code LIKE 'A00.%'").len(), 3);
        println!("{} rows of gold are those of the files", expected.len());
    }
}

#[test]
fn all_of_a_group_at_once() {
    let Some(group) = Group::of(Project::new()) else { return };
    let files = Project::new();
    both(&files);
    files.ok(&["run", "--as-of", DAY1]);
    group.ok(group.kept.application(), &["run", "--as-of", DAY1]);
    group.agrees(&files);
    let keys = group.services.servers[0].requests();
    assert!(keys.iter().all(|request| request.header("authorization") == Some("Bearer canary-key-77")));
    for project in [&files, &group.b.project] {
        project.deliver_day2();
        both(project);
    }
    group.a.deliver(&group.b.project);
    group.b.deliver();
    files.ok(&["run", "--as-of", DAY2]);
    // By another identity.
    group.ok(group.kept.managed(), &["run", "--as-of", DAY2]);
    group.agrees(&files);
    let project = &group.b.project;
    // What is connected to, and what of it is slow.
    let said = group.ok(group.kept.managed(), &["check", "--connect"]);
    for word in [
        "✓ emr-a: hos-a.departments",
        "! emr-b: hos-b.patients",
        "watermark ModifiedDate (timestamp with time zone)",
        "has no index",
    ] {
        assert!(said.stdout.contains(word), "{word}: {}", said.stdout);
    }
    // Nothing is new, and nothing is left of it.
    let before = project.newest().unwrap();
    let select = ["--select", "hos-a.patients", "--select", "hos-a.encounters", "--select", "hos-a.transactions"];
    let said = group.ok(group.kept.managed(), &[&["run"], &select[..]].concat());
    assert!(said.stderr.contains("nothing new  exit 0"), "{}", said.stderr);
    assert_eq!(project.newest().unwrap(), before);
    // Out of the archive it is the same.
    let again = ["run", "--as-of", "2026-07-03T00:00:00Z", "--full-refresh", "--select", "transactions"];
    group.ok(group.kept.managed(), &again);
    assert_eq!(project.history("transactions"), files.history("transactions"));
}

#[test]
fn the_files_of_two_hospitals() {
    let Ok(folder) = std::env::var("RCM_TWO_HOSPITALS") else {
        println!("RCM_TWO_HOSPITALS names no folder: only the files of the demo are taken");
        return;
    };
    let project = || {
        let project = Project::new();
        let copy = |from: &str, to: &str| {
            let bytes = std::fs::read(Path::new(&folder).join(from)).unwrap();
            project.write(to, bytes);
        };
        for (hospital, number) in [("a", 1), ("b", 2)] {
            for (table, ..) in TABLES {
                copy(
                    &format!("EMR/rcm-hospital-{hospital}/{table}.csv"),
                    &format!("landing/emr/hos-{hospital}/{table}.csv"),
                );
            }
            let claims = format!("landing/claims/hos-{hospital}_claims_20260629.csv");
            copy(&format!("claims/hospital{number}_claim_data.csv"), &claims);
        }
        copy("cptcodes/cptcodes.csv", "landing/codes/cpt_codes.csv");
        // What is told differently there.
        let b = project
            .read("mappings/hos-b.toml")
            .replace("department_id = \"DeptID\"\nprocedure_code", "department_id = \"DepartmentID\"\nprocedure_code");
        let b = ["EncounterDate", "InsertedDate", "ModifiedDate"].iter().fold(b, |b, column| {
            b.replace(&format!("{{ from = \"{column}\", format = \"%m/%d/%Y\" }}"), &format!("\"{column}\""))
        });
        project.write("mappings/hos-b.toml", b);
        project
    };
    let Some(group) = Group::of(project()) else { return };
    let files = project();
    both(&files);
    files.ok(&["run", "--as-of", DAY1]);
    group.ok(group.kept.application(), &["run", "--as-of", DAY1]);
    group.agrees(&files);
}
