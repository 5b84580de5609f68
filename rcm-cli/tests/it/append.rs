//! Tables that are written with deletion vectors say what those say that are copied.

use crate::support::{DAY1, DAY2, DAY3, Project, wait};
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use chrono::DateTime;
use rcm::query::Tables;
use rcm_connectors::lake::{DataFile, EngineColumns, HistoryTable, Lake, WriteMode};
use rcm_core::model::TABLES;
use rcm_scd2::{Load, Spec, State, merge};
use std::sync::Arc;

/// Those of one of them.
fn of(project: &Project, table: &str) -> Vec<DataFile> {
    let table = format!("silver/{table}");
    wait(project.lake().table_files(&table, project.versions()[&table])).unwrap().files
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
    let mut seen = Vec::new();
    for table in project.versions().keys().filter(|table| !table.starts_with("quarantine/")) {
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
    let (append, copy) = (Project::appending(TABLES.iter().map(|table| table.name)), Project::new());
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

    for at in ["1", "2"] {
        let status =
            |project: &Project| project.ok(&["status", "--at", at]).stdout.lines().skip(1).map(str::to_owned).collect();
        let (append, copy): (Vec<String>, Vec<String>) = (status(&append), status(&copy));
        assert_eq!(append, copy, "at {at}");
    }

    // What is rebuilt has no vector.
    for project in [&append, &copy] {
        project.ok(&["run", "--as-of", DAY3, "--full-refresh", "--select", "patients"]);
    }
    assert!(of(&append, "patients").iter().all(|file| file.vector.is_none()));
    assert_eq!(seen(&append), seen(&copy), "rebuilt");
    // What goes back to copies has none where something changes.
    assert!(of(&append, "transactions").iter().any(|file| file.vector.is_some()));
    append.edit("rcm.toml", "\ntransactions = \"append\"", "\ntransactions = \"copy\"");
    for project in [&append, &copy] {
        const FILE: &str = "landing/emr/hos-a/transactions.csv";
        let rows = project.read(FILE);
        let again = rows.lines().nth(1).unwrap().replacen("TRX-000001", "TRX-900001", 1);
        project.write(FILE, rows + &again + "\n");
        project.ok(&["run", "--as-of", "2026-07-02T00:00:00Z"]);
    }
    assert!(of(&append, "transactions").iter().all(|file| file.vector.is_none()));
    assert_eq!(seen(&append), seen(&copy), "copied again");
}

#[test]
fn a_table_of_no_model_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let column = |cells: Vec<i64>| Arc::new(Int64Array::from(cells)) as ArrayRef;
    let rows = |keys: std::ops::Range<i64>, add: i64| {
        let values = column(keys.clone().map(|key| key + add).collect());
        [RecordBatch::try_from_iter([("id", column(keys.collect())), ("value", values)]).unwrap()]
    };
    let spec = Spec::snapshot(["id"]).track(["value"]).build().unwrap();
    let first = rows(0..1000, 0);
    let columns = merge(&spec, &State::new(), &Load::new(&first, 1)).unwrap().opens.schema();
    let (name, keys, mode) = ("silver/history".to_owned(), vec!["id".to_owned()], WriteMode::Append);
    let table = HistoryTable { name, keys, columns, mode };
    let pool = rayon::ThreadPoolBuilder::new().build().unwrap();
    let lake = Lake::local(folder.path()).unwrap();
    for (at, rows) in [(1, first), (2, rows(0..7, 9))] {
        let (load, now) = (Load::new(&rows, at), DateTime::from_timestamp(at, 0).unwrap());
        wait(lake.load(&table, &spec, &load, &EngineColumns, now, &pool)).unwrap();
    }
    let sql = "SELECT count(*) AS n, sum(value) AS s FROM silver.history WHERE is_current";
    let shown = wait(async { Tables::newest(folder.path()).await.unwrap().show(sql).await.unwrap() });
    assert!(shown.contains("| 1000 | 499563 |"), "{shown}");
}
