//! History tables that append: rows go by deletion vectors, and all rows are those of one merge without buckets.

use crate::history::{TABLE, Twin, events, rows, snapshot};
use crate::wait;
use arrow::array::RecordBatch;
use chrono::DateTime;
use rcm_connectors::lake::{BUCKET_ROWS, MergeError, WriteMode};
use rcm_connectors::parquet::encode;
use rcm_core::progress::Silent;
use rcm_scd2::{Absence, Complete, Late, Load, Spec};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

fn appending(spec: Spec, first: &Load<'_>) -> Twin {
    let mut twin = Twin::new(spec, first);
    twin.table.mode = WriteMode::Append;
    twin.load(first);
    twin
}

/// Of each bucket how many files it has.
fn files_of_buckets(twin: &Twin) -> Vec<usize> {
    let mut files = BTreeMap::new();
    for file in twin.table_files().files {
        *files.entry(file.path.split_once('/').unwrap().0.to_owned()).or_default() += 1;
    }
    files.into_values().collect()
}

/// The files of vectors in the table's folder.
fn vectors(twin: &Twin) -> Vec<PathBuf> {
    let root = twin.folder.path().join("lake").join(TABLE);
    let paths = root.read_dir().unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "bin")).collect()
}

fn commit(twin: &Twin, version: u64) -> String {
    let log = twin.folder.path().join("lake").join(TABLE).join("_delta_log");
    std::fs::read_to_string(log.join(format!("{version:020}.json"))).unwrap()
}

#[test]
fn a_small_load_writes_its_rows_and_which_others_go() {
    let all = [rows(0..BUCKET_ROWS as i64 * 2, |key| key % 7)];
    let mut twin = appending(snapshot(), &Load::new(&all, 1));
    let before = twin.table_files();
    assert!(!before.with_vectors, "nothing is gone yet: every reader can read it");

    let loaded = twin.load(&Load::new(&[rows(5..6, |_| 100)], 2));
    assert_eq!((loaded.files_before, loaded.files_read, loaded.files_written), (4, 1, 1));
    assert!(loaded.bytes_written < 10_000, "{}", loaded.bytes_written);
    let after = twin.table_files();
    assert!(after.with_vectors);
    assert_eq!(after.files.len(), 5);
    let changed: Vec<_> = after.files.iter().filter(|file| !before.files.contains(file)).collect();
    let marked = changed.iter().find(|file| file.vector.is_some()).unwrap();
    assert_eq!((changed.len(), marked.rows - marked.live()), (2, 1));
    assert!(vectors(&twin).is_empty(), "few rows stand in the commit");
    let actions = commit(&twin, 1);
    assert!(actions.contains(r#""readerFeatures":["deletionVectors"]"#), "{actions}");
    assert!(actions.contains(r#""delta.enableDeletionVectors":"true""#));
    assert!(actions.contains(r#""storageType":"i""#) && actions.contains(r#"\"tightBounds\":false"#));

    // Its own row goes in turn, and another one of the same file.
    twin.load(&Load::new(&[rows(5..6, |_| 101)], 3));
    let actions = commit(&twin, 2);
    assert!(!actions.contains("readerFeatures"), "told once: {actions}");
    // Of the file that the second load wrote one of two rows is left.
    assert!(twin.table_files().files.iter().any(|file| (file.rows, file.live()) == (2, 1)));
    assert_eq!(twin.load(&Load::new(&[rows(5..6, |_| 101)], 3)).publish, None);
}

#[test]
fn a_bucket_of_many_files_or_of_many_gone_rows_is_copied() {
    let all = [rows(0..1000, |key| key)];
    let mut twin = appending(snapshot(), &Load::new(&all, 1));
    let mut most = 0;
    for day in 2..22 {
        twin.load(&Load::new(&[rows(day * 10..day * 10 + 3, |key| key + 100 * day)], day));
        most = most.max(files_of_buckets(&twin)[0]);
    }
    assert_eq!(most, 8);
    // More than three in ten would be gone.
    twin.load(&Load::new(&[rows(0..600, |key| -key - 1)], 30));
    let files = twin.table_files().files;
    assert!(files.len() == 1 && files[0].vector.is_none(), "{files:?}");
    // Every row of the newest file goes: so does the file.
    twin.load(&Load::new(&[rows(0..2, |_| -7)], 31));
    assert_eq!(files_of_buckets(&twin), [2]);
}

#[test]
fn what_is_late_absent_and_split_is_as_in_copies() {
    let n = BUCKET_ROWS as i64;
    let spec = Spec::snapshot(["id"]).track(["value"]).deletes(Absence::close()).late(Late::Apply).build().unwrap();
    let all = [rows(0..n, |key| key)];
    let mut twin = appending(spec, &Load::new(&all, 10));
    let most = [rows((0..n).filter(|key| key % 1000 != 0), |key| key)];
    let loaded = twin.load(&Load { complete: Complete::Everything, ..Load::new(&most, 20) });
    assert_eq!(loaded.files_written, 2);
    let between = [rows((0..n).filter(|key| key % 500 != 0), |key| key + i64::from(key % 300 == 0))];
    twin.load(&Load::new(&between, 15));
    // Each key changes: the buckets grow too big, and are split.
    twin.load(&Load::new(&[rows(0..n, |key| key + 7)], 30));
    twin.load(&Load::new(&[rows(0..n / 8, |key| key + 8)], 40));
    assert!(files_of_buckets(&twin).len() > 2);
}

#[test]
fn late_events_withdraw_rows_of_any_file() {
    let spec = Spec::feed(["id"], ["at"]).track(["value"]).build().unwrap();
    let batch = |keys: std::ops::Range<i64>, at: i64, value: i64| [events(&rows(keys, |key| key + value), at)];
    let first = batch(0..1000, 100, 0);
    let mut twin = appending(spec, &Load::new(&first, 0));
    for (n, (keys, at)) in
        [(0..50, 200), (20..70, 150), (0..10, 50), (5..60, 175), (30..31, 120)].into_iter().enumerate()
    {
        twin.load(&Load::new(&batch(keys, at, 1000 * n as i64), 0));
        // The same value once more, later: an observation that no row shows, and a late one behind it.
        twin.load(&Load::new(&batch(40..45, 300 + n as i64, 9), 0));
    }
    assert!(files_of_buckets(&twin)[0] > 4);
    assert_eq!(twin.load(&Load::new(&first, 0)).publish, None);
}

/// Where `RCM_READERS` names a folder, a copy of the lake and the rows that it has to hold: for readers that are not ours.
fn leave(twin: &Twin, name: &str) {
    let Ok(folder) = std::env::var("RCM_READERS") else { return };
    let folder = PathBuf::from(folder).join(name);
    let copied = Command::new("cp").arg("-r").args([twin.folder.path(), folder.as_path()]).status().unwrap();
    assert!(copied.success());
    let whole = &twin.whole.history;
    std::fs::write(folder.join("expected.parquet"), encode(&whole[0].schema(), whole, &[]).unwrap()).unwrap();
}

/// A table of which more rows are gone than can stand in a commit.
fn with_a_file_of_vectors() -> (Twin, i64) {
    let n = BUCKET_ROWS as i64 * 3;
    let all = [rows(0..n, |key| key)];
    let mut twin = appending(snapshot(), &Load::new(&all, 1));
    let some: Vec<i64> = (0..n).filter(|key| key * key % 101 < 15).collect();
    twin.load(&Load::new(&[rows(some.into_iter(), |key| key + 1)], 2));
    assert_eq!(vectors(&twin).len(), 1);
    (twin, n)
}

#[test]
fn many_vectors_share_a_file_that_goes_when_no_kept_publish_names_it() {
    let (mut twin, n) = with_a_file_of_vectors();
    assert_eq!(commit(&twin, 1).matches(r#""storageType":"u""#).count(), 4);
    let first = vectors(&twin);
    // One bucket's vector is replaced by one in the commit; the others stand where they stood.
    twin.load(&Load::new(&[rows(3..4, |_| -1)], 3));
    assert_eq!(vectors(&twin), first);
    let now = DateTime::from_timestamp(9, 0).unwrap();
    wait(twin.lake().maintain(1, now, &Silent)).unwrap();
    assert_eq!(vectors(&twin), first, "others are still named");
    twin.compare();
    // Enough in every bucket for another file.
    let others: Vec<i64> = (0..n).filter(|key| key * key % 103 < 6).collect();
    twin.load(&Load::new(&[rows(others.into_iter(), |key| key + 2)], 4));
    assert_eq!(vectors(&twin).len(), 2);
    wait(twin.lake().maintain(1, now, &Silent)).unwrap();
    assert_eq!(vectors(&twin).len(), 1);
    assert_ne!(vectors(&twin), first);
    twin.compare();

    leave(&twin, "log");
    for day in 5..15 {
        twin.load(&Load::new(&[rows(3..4, |key| key * day)], day));
    }
    assert_eq!(vectors(&twin).len(), 1);
    assert_eq!(wait(twin.lake().maintain(1, now, &Silent)).unwrap().checkpoints, 1);
    leave(&twin, "checkpoint");

    // In the other mode a bucket that is touched becomes one file again.
    twin.table.mode = WriteMode::Copy;
    twin.load(&Load::new(&[rows(0..1, |_| -5)], 20));
    assert_eq!(files_of_buckets(&twin).iter().filter(|files| **files == 1).count(), 1);
}

#[test]
fn a_damaged_vector_is_noticed_and_nothing_is_written() {
    let (twin, _) = with_a_file_of_vectors();
    let path = vectors(&twin).remove(0);
    let whole = std::fs::read(&path).unwrap();
    for damaged in [
        {
            let mut bytes = whole.clone();
            bytes[1000] ^= 1;
            bytes
        },
        whole[..whole.len() / 2].to_vec(),
    ] {
        std::fs::write(&path, damaged).unwrap();
        let (lake, files) = (twin.lake(), twin.table_files());
        let refused = wait(lake.read_table(TABLE, &files, &twin.table.columns)).unwrap_err();
        assert!(refused.place.contains("deletion_vector_") || refused.what.contains("deletion_vector_"), "{refused:?}");
        let every = [rows(0..5000, |_| 0)];
        assert!(matches!(twin.try_load(&Load::new(&every, 3)).unwrap_err(), MergeError::Storage(_)));
        assert_eq!(wait(lake.newest()).unwrap().unwrap().publish, 2);
    }
    std::fs::write(&path, whole).unwrap();
    twin.compare();
}

#[test]
fn a_checkpoint_keeps_vectors() {
    let all = [rows(0..1000, |key| key)];
    let mut twin = appending(snapshot(), &Load::new(&all, 1));
    let load = |twin: &mut Twin, day: i64| {
        let some: Vec<RecordBatch> = vec![rows(day..day + 2, |key| key + 100 * day)];
        twin.load(&Load::new(&some, day));
    };
    for day in 2..28 {
        load(&mut twin, day);
        if day % 13 == 0 {
            wait(twin.lake().maintain(1, DateTime::from_timestamp(9, 0).unwrap(), &Silent)).unwrap();
        }
    }
    let log = twin.folder.path().join("lake").join(TABLE).join("_delta_log");
    assert!(!log.join(format!("{:020}.json", 0)).exists(), "the log still has its beginning");
    assert!(twin.table_files().files.iter().any(|file| file.vector.is_some()));
    load(&mut twin, 40);
}

#[test]
fn rows_of_any_row_group_go() {
    let all = [rows(0..1000, |key| key)];
    let spec = Spec::feed(["id"], ["at"]).track(["value"]).build().unwrap();
    let of = |keys: std::ops::Range<i64>, at: i64| [events(&rows(keys, |key| key * at), at)];
    let first = [events(&all[0], 100)];
    let mut twin = appending(spec, &Load::new(&first, 0));
    // Copies put row groups behind each other.
    twin.table.mode = WriteMode::Copy;
    for n in 0..4 {
        twin.load(&Load::new(&of(n * 200..n * 200 + 150, 200 + n), 0));
    }
    assert_eq!(twin.table_files().files.len(), 1);
    // Rows of all of them end, and late ones make others vanish.
    twin.table.mode = WriteMode::Append;
    twin.load(&Load::new(&of(100..120, 300), 0));
    twin.load(&Load::new(&of(640..660, 250), 0));
    twin.load(&Load::new(&of(210..230, 150), 0));
    assert_eq!(files_of_buckets(&twin), [4]);
    assert!(twin.table_files().files[0].vector.is_some());
}

#[test]
fn what_others_rewrote_of_files_with_vectors_is_cut_into_buckets_again() {
    let all = [rows(0..1000, |key| key)];
    let mut twin = appending(snapshot(), &Load::new(&all, 1));
    twin.load(&Load::new(&[rows(5..50, |_| -1)], 2));
    let (lake, files) = (twin.lake(), twin.table_files());
    assert!(files.files[0].vector.is_some());
    // Somebody's OPTIMIZE: the rows that are left, in a file at the root of the table.
    let left = wait(lake.read_table(TABLE, &files, &twin.table.columns)).unwrap();
    let root = twin.folder.path().join("lake").join(TABLE);
    std::fs::write(root.join("part-0.parquet"), encode(&left.schema(), &[left], &[]).unwrap()).unwrap();
    let size = root.join("part-0.parquet").metadata().unwrap().len();
    let removes = commit(&twin, 1)
        .lines()
        .filter_map(|line| line.strip_prefix(r#"{"add":"#))
        .map(|add| format!(r#"{{"remove":{}"#, add.replace(r#""dataChange":true"#, r#""dataChange":false"#)))
        .collect::<Vec<_>>();
    assert_eq!(removes.len(), 2);
    let add = format!(
        r#"{{"add":{{"path":"part-0.parquet","partitionValues":{{}},"size":{size},"modificationTime":1,"dataChange":false}}}}"#
    );
    std::fs::write(root.join("_delta_log/00000000000000000002.json"), [removes, vec![add]].concat().join("\n"))
        .unwrap();
    twin.load(&Load::new(&[rows(3..7, |_| -2)], 3));
    assert_eq!(files_of_buckets(&twin), [1]);
    twin.load(&Load::new(&[rows(3..7, |_| -3)], 4));
    assert_eq!(files_of_buckets(&twin), [2]);
}

#[test]
fn a_damaged_vector_in_a_commit_is_noticed_unless_it_names_as_many_rows() {
    let all = [rows(0..1000, |key| key)];
    let mut twin = appending(snapshot(), &Load::new(&all, 1));
    twin.load(&Load::new(&[rows(5..50, |_| -1)], 2));
    let path = twin.folder.path().join("lake").join(TABLE).join("_delta_log/00000000000000000001.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    for (from, to) in [
        (r#""cardinality":45"#, r#""cardinality":44"#),
        (r#""pathOrInlineDv":"^"#, r#""pathOrInlineDv":"0"#),
        (r#""storageType":"i""#, r#""storageType":"u""#),
        (r#""storageType":"i""#, r#""storageType":"j""#),
        (r#"\"numRecords\":1000"#, r#"\"numRecords\":40"#),
    ] {
        assert!(whole.contains(from), "{from}");
        std::fs::write(&path, whole.replace(from, to)).unwrap();
        let (lake, version) = (twin.lake(), Some(1));
        let read = async {
            let files = lake.table_files(TABLE, version).await?;
            lake.read_table(TABLE, &files, &twin.table.columns).await
        };
        let refused = wait(read).unwrap_err();
        assert!(refused.place.starts_with(TABLE), "{to}: {refused:?}");
        assert!(
            matches!(twin.try_load(&Load::new(&[rows(0..9, |_| 0)], 3)).unwrap_err(), MergeError::Storage(_)),
            "{to}"
        );
    }
    std::fs::write(&path, whole).unwrap();
    twin.compare();
}
