//! Wrong configuration is refused with file, line, what was expected and the nearest right word; nothing is touched.

use crate::support::{Project, walk};

struct Case {
    file: &'static str,
    from: &'static str,
    to: &'static str,
    says: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        file: "rcm.toml",
        from: "[lake]",
        to: "[laek]",
        says: &["rcm.toml:10", "unknown field `laek`", "did you mean `lake`?"],
    },
    Case { file: "rcm.toml", from: "grace = \"1d\"", to: "grace = \"1\"", says: &["rcm.toml:20", "run.grace", "2d"] },
    Case {
        file: "rcm.toml",
        from: "max_delete_share = 0.2",
        to: "max_delete_share = 20",
        says: &["rcm.toml:22", "run.max_delete_share", "from 0 to 1"],
    },
    Case {
        file: "rcm.toml",
        from: "url = \"lake\"",
        to: "url = \"${var:lkae}\"",
        says: &["rcm.toml:12", "`${var:lkae}` has no value", "--var NAME=VALUE"],
    },
    Case {
        file: "rcm.toml",
        from: "kind = \"csv\"",
        to: "kind = \"cvs\"",
        says: &["rcm.toml", "sources.emr.kind", "did you mean `csv`?"],
    },
    Case {
        file: "rcm.toml",
        from: "[rules]",
        to: "[write]\npatients = \"apend\"\nclaim = \"append\"\n[rules]",
        says: &[
            "rcm.toml:31",
            "write.patients: `apend` is no way to write a table",
            "did you mean `append`?",
            "rcm.toml:32",
            "write.claim: is no table",
            "did you mean `claims`?",
        ],
    },
    Case {
        file: "rcm.toml",
        from: "delivery = \"drops\"",
        to: "delivery = \"drop\"",
        says: &["rcm.toml", "did you mean `drops`?"],
    },
    Case {
        file: "mappings/hos-a.toml",
        from: "source = \"dbo.patients\"",
        to: "source = \"dbo.patients\"\ncsv = { encoding = \"latin-1\" }",
        says: &["hos-a.toml:33", "encoding `latin-1` is unknown", "did you mean `latin1`?"],
    },
    Case {
        file: "mappings/hos-a.toml",
        from: "source = \"dbo.patients\"",
        to: "source = \"dbo.patients\"\ncsv = { delimiter = \"§\" }",
        says: &["hos-a.toml:33", "`delimiter` of `csv` is no single ASCII character"],
    },
    Case {
        file: "mappings/hos-a.toml",
        from: "source = \"dbo.patients\"",
        to: "source = \"dbo.patients\"\ncsv = { escape = \"\\\"\" }",
        says: &["hos-a.toml:33", "must be different ASCII characters", "leave `escape` out"],
    },
    Case {
        file: "mappings/hos-a.toml",
        from: "source = \"dbo.patients\"",
        to: "source = \"dbo.patients\"\non_drift = \"ignore\"",
        says: &["hos-a.toml:33", "unknown variant `ignore`", "`freeze`"],
    },
    Case {
        file: "load_config.csv",
        from: "loadtype,",
        to: "load_type,",
        says: &[
            "load_config.csv:1",
            "column `load_type` is unknown",
            "did you mean `loadtype`?",
            "column `loadtype` is missing",
        ],
    },
    Case {
        file: "load_config.csv",
        from: "emr,hos-a,dbo.patients,Incremental",
        to: "emr,hos-a,dbo.patients,Incremetal",
        says: &["load_config.csv:4", "loadtype `Incremetal` is unknown", "did you mean `Incremental`?"],
    },
    Case {
        file: "load_config.csv",
        from: "emr,hos-b,dbo.providers,Full,,1,hos-b",
        to: "erm,hos-b,dbo.providers,Full,,yes,../hos-b",
        says: &["load_config.csv:8", "did you mean `emr`?", "is_active is `yes`", "targetpath is no name"],
    },
    Case {
        file: "load_config.csv",
        from: "dbo.patients,Incremental,ModifiedDate",
        to: "dbo.patients,Incremental,ModifedDate",
        says: &["load_config.csv:4", "watermark `ModifedDate`", "did you mean `ModifiedDate`?"],
    },
    Case {
        file: "load_config.csv",
        from: "emr,hos-a,dbo.patients,Incremental,ModifiedDate,1",
        to: "emr,hos-a,dbo.patients,Full,,1",
        says: &["load_config.csv:9", "patients is incremental, line 4 says full"],
    },
    Case {
        file: "load_config.csv",
        from: "emr,hos-b,dbo.patients,Incremental,Updated_Date",
        to: "emr,hos-a,dbo.patients,Incremental,ModifiedDate",
        says: &["hos-a.patients is loaded by line 4 too"],
    },
    Case {
        file: "load_config.csv",
        from: "emr,hos-b,dbo.providers",
        to: "emr,hos-d,dbo.providers",
        says: &["mappings/hos-d.toml", "a hospital needs a mapping file of its name"],
    },
    Case {
        file: "mappings/hos-a.toml",
        from: "date_of_birth = ",
        to: "date_of_brith = ",
        says: &[
            "hos-a.toml",
            "has no column `date_of_brith`",
            "did you mean `date_of_birth`?",
            "column `date_of_birth` of the common model is required",
        ],
    },
    Case {
        file: "mappings/hos-a.toml",
        from: "[tables.patients]",
        to: "[tables.patiens]",
        says: &["the common model has no table `patiens`", "did you mean `patients`?"],
    },
    Case {
        file: "mappings/hos-b.toml",
        from: "null = [",
        to: "nul = [",
        says: &["hos-b.toml", "unknown field `nul`", "did you mean `null`?"],
    },
    Case { file: "mappings/hos-b.toml", from: "%m/%d/%Y", to: "%m/%d/%!", says: &["hos-b.toml", "is no date format"] },
    Case {
        file: "rcm.toml",
        from: "{datasource}/{table}.csv",
        to: "{hospital}/{table}.csv",
        says: &["load_config.csv:2", "has an unknown placeholder"],
    },
    Case { file: "rcm.toml", from: "url = \"lake\"", to: "url = \"\"", says: &["rcm.toml:12", "lake.url: is empty"] },
    Case {
        file: "rcm.toml",
        from: "files = \"cpt_codes.csv\"",
        to: "files = \"cpt_[codes.csv\"",
        says: &["load_config.csv:14", "files `cpt_[codes.csv` is no pattern"],
    },
    Case {
        file: "load_config.csv",
        from: "emr,hos-a,dbo.encounters,Incremental,ModifiedDate,1,hos-a",
        to: "emr,hos-a,old.transactions,Incremental,ModifiedDate,1,hos-a",
        says: &["load_config.csv:5", "tablename `old.transactions` has no mapping for `hos-a`"],
    },
    Case {
        file: "rcm.toml",
        from: "url = \"lake\"",
        to: "url = \"ftp://host/lake\"",
        says: &["rcm.toml:12", "lake.url: `ftp://` is not built in", "an abfss:// or s3:// URL"],
    },
    Case {
        file: "rcm.toml",
        from: "url = \"lake\"",
        to: "url = \"abfss://c@a.dfs.core.windows.net/p\"\n[lake.storage_options]\naccount_key = \"Q0FOQVJZ\"",
        says: &["rcm.toml:14", "lake.storage_options.account_key: is a secret", "account_key = \"${env:NAME}\""],
    },
    Case {
        file: "rcm.toml",
        from: "url = \"lake\"",
        to: "url = \"s3://b/p\"\n[lake.storage_options]\nallow_invalid_certificates = \"true\"",
        says: &["rcm.toml:14", "invalid certificates are never accepted", "ca_file"],
    },
    Case {
        file: "rcm.toml",
        from: "url = \"lake\"",
        to: "url = \"s3://b/p\"\nca_file = \"none.pem\"\nretry_budget = \"soon\"",
        says: &["rcm.toml:13", "lake.ca_file: cannot be read", "rcm.toml:14", "lake.retry_budget: is no duration"],
    },
    Case {
        file: "rcm.toml",
        from: "G5 = \"quarantine\"",
        to: "G4 = \"off\"",
        says: &["rcm.toml:33", "is no rule that can be set"],
    },
];

#[test]
fn two_tables_in_one_bronze_folder_are_refused() {
    let project = Project::new();
    for (from, to) in [("dbo.encounters", "x.visits"), ("dbo.transactions", "y.visits")] {
        project.edit("mappings/hos-a.toml", from, to);
        project.edit("load_config.csv", &format!("hos-a,{from}"), &format!("hos-a,{to}"));
    }
    let said = project.run(&["check"]);
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("lands in the same bronze folder as line 5"), "{}", said.stderr);
}

#[test]
fn a_rule_can_be_switched_off() {
    let project = Project::new();
    project.edit("rcm.toml", "G5 = \"quarantine\"", "P1 = \"off\"");
    project.ok(&["run", "--as-of", crate::support::DAY1]);
    assert_eq!(project.sql("SELECT COUNT(*) FROM silver.patients WHERE first_name IS NULL"), ["3"]);
}

#[test]
fn each_is_refused_with_its_place_and_a_way_out() {
    for case in CASES {
        let project = Project::new();
        project.edit(case.file, case.from, case.to);
        let before = walk(&project.dir);
        for verb in ["check", "run"] {
            let said = project.run(&[verb]);
            assert_eq!(said.code, 2, "{} → {}: {}", case.from, case.to, said.stderr);
            for words in case.says {
                assert!(said.stderr.contains(words), "{} → {}: no {words:?} in\n{}", case.from, case.to, said.stderr);
            }
            assert!(!said.stderr.contains("Q0FOQVJZ"), "a secret: {}", said.stderr);
        }
        assert_eq!(walk(&project.dir), before, "{}", case.to);
    }
}

#[test]
fn usage_is_refused_too() {
    let project = Project::new();
    for (args, says) in [
        (vec!["run", "--as-of", "yesterday"], "expected 2026-06-30"),
        (vec!["run", "--var", "x"], "expected NAME=VALUE"),
        (vec!["rnu"], "unrecognized subcommand"),
        (vec!["run", "--select", "zzz"], "matches no line"),
    ] {
        let said = project.run(&args);
        assert_eq!(said.code, 2, "{args:?}: {}", said.stderr);
        assert!(said.stderr.contains(says), "{args:?}: {}", said.stderr);
    }
    let said = project.run(&["--json", "run", "--as-of", "+262142-12-31T00:00:00Z"]);
    assert_eq!(said.code, 2);
    let document: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(document["exit_code"], 2);
    let said = crate::support::rcm(&["-c", "/nowhere/rcm.toml", "check", "--json"]);
    assert_eq!(said.code, 2);
    let document: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(document["problems"][0]["class"], "config");
}

#[test]
fn a_change_of_load_type_is_refused_until_the_table_is_rebuilt() {
    let project = Project::after_day1();
    for hospital in ["hos-a,dbo.patients,Incremental,ModifiedDate", "hos-b,dbo.patients,Incremental,Updated_Date"] {
        let table = hospital.split(",Incremental").next().unwrap();
        project.edit("load_config.csv", hospital, &format!("{table},Full,"));
    }
    let said = project.run(&["run"]);
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("rcm run --full-refresh --select patients"), "{}", said.stderr);
}
