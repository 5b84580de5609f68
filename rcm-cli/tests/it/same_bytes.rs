//! The same data, the same instant, the same bytes, whatever the threads; and a second run writes nothing.

use crate::support::{rcm, walk};
use rcm_connectors::files::sha256;
use std::path::Path;

/// (table, digest) of every data file, names left out: they carry the attempt.
fn data_files(lake: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = walk(lake)
        .into_iter()
        .filter(|f| {
            f.ends_with(".parquet") && ["bronze/", "silver/", "quarantine/", "gold/"].iter().any(|l| f.starts_with(l))
        })
        .map(|f| (f.rsplit_once('/').unwrap().0.to_owned(), sha256(&std::fs::read(lake.join(&f)).unwrap())))
        .collect();
    files.sort();
    files
}

#[test]
fn two_demos_at_one_instant_are_equal_to_the_byte() {
    let temp = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    for (name, jobs) in [("one", "1"), ("longer-name-of-a-folder", "7")] {
        let dir = temp.path().join(name);
        let said = rcm(&["demo", "--dir", dir.to_str().unwrap(), "--as-of", "2025-03-01", "-j", jobs]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        found.push(data_files(&dir.join("lake")));
    }
    assert!(found[0].len() > 50, "{} files", found[0].len());
    assert_eq!(found[0], found[1]);

    let dir = temp.path().join("one");
    let logs =
        || walk(&dir.join("lake")).into_iter().filter(|f| f.contains("_delta_log") && !f.starts_with("audit/")).count();
    let before = logs();
    assert_eq!(rcm(&["demo", "--dir", dir.to_str().unwrap()]).code, 0);
    assert_eq!((data_files(&dir.join("lake")), logs()), (found.remove(0), before));
}

/// However the project's folder is called on the command line, its files keep their names.
#[test]
fn a_file_is_known_wherever_the_program_is_started() {
    let temp = tempfile::tempdir().unwrap();
    let rcm = |args: &[&str], at: &Path| {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_rcm")).args(args).current_dir(at).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    rcm(&["init", "./p"], temp.path());
    let inside = temp.path().join("p");
    rcm(&["run", "--as-of", "2026-06-29"], &inside);
    for (config, at) in
        [("./rcm.toml", inside.as_path()), ("p/rcm.toml", temp.path()), ("./p/../p/rcm.toml", temp.path())]
    {
        let said = rcm(&["-c", config, "run", "--as-of", "2026-06-29"], at);
        assert!(said.contains("nothing new"), "{config}: {said}");
    }
    let absolute = inside.join("rcm.toml");
    assert!(
        rcm(&["-c", absolute.to_str().unwrap(), "run", "--as-of", "2026-06-29"], Path::new("/"))
            .contains("nothing new")
    );
    rcm(&["demo"], temp.path());
    rcm(&["demo", "--dir", "./other"], temp.path());
    assert_eq!(data_files(&temp.path().join("rcm-demo/lake")), data_files(&temp.path().join("other/lake")));
}
