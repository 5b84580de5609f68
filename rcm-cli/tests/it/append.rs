//! Tables that are written with deletion vectors say what those say that are copied.

use crate::support::{DAY1, DAY2, DAY3, Project, wait, walk};
use rcm_connectors::lake::DataFile;
use rcm_core::model::TABLES;

/// The starter project, every silver table of which appends.
fn appending() -> Project {
    let project = Project::new();
    let lines: String = TABLES.iter().map(|table| format!("{} = \"append\"\n", table.name)).collect();
    project.write("rcm.toml", project.read("rcm.toml") + "\n[write]\n" + &lines);
    project
}

/// The live files of the silver tables.
fn files(project: &Project) -> Vec<DataFile> {
    let lake = project.lake();
    let versions = project.versions();
    let silver = versions.iter().filter(|(table, _)| table.starts_with("silver/"));
    silver.flat_map(|(table, version)| wait(lake.table_files(table, *version)).unwrap().files).collect()
}

/// All that a reader sees, but for the names of files.
fn seen(project: &Project) -> Vec<Vec<String>> {
    let mut seen: Vec<Vec<String>> = TABLES.iter().map(|table| project.history(table.name)).collect();
    for table in project.versions().keys().filter(|table| table.starts_with("gold/")) {
        let mut rows = project.sql(&format!("SELECT * FROM {}", table.replace('/', ".")));
        rows.sort();
        seen.push(rows);
    }
    // The numbers of files and versions differ.
    seen.push(project.ok(&["status"]).stdout.lines().skip(1).map(str::to_owned).collect());
    seen
}

#[test]
fn a_lake_that_appends_says_what_one_of_copies_says() {
    let (append, copy) = (appending(), Project::new());
    for (day, deliver) in [(DAY1, false), (DAY2, true), (DAY3, false)] {
        for project in [&append, &copy] {
            if deliver {
                project.deliver_day2();
            }
            project.ok(&["run", "--as-of", day]);
        }
        assert_eq!(seen(&append), seen(&copy), "{day}");
    }
    assert!(files(&append).iter().filter(|file| file.vector.is_some()).count() > 2);
    assert!(files(&copy).iter().all(|file| file.vector.is_none()));

    // What is rebuilt has no vector; what goes back to copies keeps those of buckets that nothing touches.
    append.ok(&["run", "--as-of", DAY3, "--full-refresh", "--select", "patients"]);
    append.edit("rcm.toml", "encounters = \"append\"", "encounters = \"copy\"");
    append.edit("rcm.toml", "keep_publishes = 100", "keep_publishes = 1");
    append.ok(&["run", "--as-of", DAY3]);
    append.ok(&["maintain"]);
    assert!(!walk(&append.path("lake/silver/patients")).iter().any(|path| path.ends_with(".bin")));
    let patients = |seen: Vec<Vec<String>>| seen[TABLES.iter().position(|t| t.name == "patients").unwrap()].clone();
    assert_eq!(patients(seen(&append)), patients(seen(&copy)));
    assert_eq!(append.history("encounters"), copy.history("encounters"));
}
