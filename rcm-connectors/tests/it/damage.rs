//! Checkpoints that are damaged, and records that are lost: what they say is found elsewhere, or the table is not opened;
//! never other rows.
//!
//! `RCM_DAMAGE=200 cargo test -p rcm-connectors --features azure,s3 --test it damage` is the full form.

use crate::loads::{TABLE, batch, spec, table};
use crate::wait;
use chrono::DateTime;
use rcm_connectors::lake::{EngineColumns, HistoryTable, Lake, TableFiles, WriteMode};
use rcm_core::progress::Silent;
use rcm_core::{Class, Problem};
use rcm_scd2::Load;
use std::path::{Path, PathBuf};

/// SplitMix64 (Steele, Lea and Flood, 2014).
fn below(seed: &mut u64, bound: usize) -> usize {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((mixed ^ (mixed >> 31)) % bound as u64) as usize
}

/// From a handle of its own.
fn opened(folder: &Path) -> Result<TableFiles, Problem> {
    let lake = Lake::local(folder).unwrap();
    let newest = wait(lake.newest()).unwrap().unwrap();
    wait(lake.table_files(TABLE, newest.tables[TABLE].version))
}

/// 25 loads of a row, kept in order twice: two checkpoints, and a log that was cut.
fn maintained(mode: WriteMode) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    for n in 0..25 {
        load(temp.path(), mode, n);
        if n == 11 || n == 23 {
            wait(Lake::local(temp.path()).unwrap().maintain(1, DateTime::UNIX_EPOCH, &Silent)).unwrap();
        }
    }
    let log = temp.path().join(TABLE).join("_delta_log");
    assert!(!log.join(format!("{:020}.json", 0)).exists(), "the log still has its beginning");
    temp
}

/// The sixteenth changes a row, too.
fn load(folder: &Path, mode: WriteMode, n: i64) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let events = [(n, n, n), (3, 1000, 7)];
    let (rows, now) = ([batch(&events[..if n == 15 { 2 } else { 1 }])], DateTime::UNIX_EPOCH);
    let (lake, table) = (Lake::local(folder).unwrap(), HistoryTable { mode, ..table() });
    wait(lake.load(&table, &spec(), &Load::new(&rows, 0), &EngineColumns, now, &pool)).unwrap();
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let names = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = names.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    files.sort();
    files
}

#[test]
fn a_damaged_checkpoint_is_not_believed() {
    let rounds: usize = std::env::var("RCM_DAMAGE").map_or(40, |n| n.parse().unwrap());
    let temp = maintained(WriteMode::Copy);
    let whole = opened(temp.path()).unwrap();
    let checkpoints = files(&temp.path().join(TABLE).join("_delta_log"), ".parquet");
    let kept: Vec<Vec<u8>> = checkpoints.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert_eq!(kept.len(), 2);

    let mut seed = 7;
    let mut damage = |bytes: &[u8], cuts: bool| {
        let mut bytes = bytes.to_vec();
        let at = below(&mut seed, bytes.len());
        match cuts {
            true => bytes.truncate(at),
            false => bytes[at] ^= 1 << below(&mut seed, 8),
        }
        bytes
    };
    for round in 0..rounds {
        for cuts in [false, true] {
            let which = round % 2;
            std::fs::write(&checkpoints[which], damage(&kept[which], cuts)).unwrap();
            // The other one, and the commits behind it, say the same.
            assert_eq!(opened(temp.path()).unwrap(), whole, "checkpoint {which}, cut off: {cuts}, round {round}");
            std::fs::write(&checkpoints[1 - which], damage(&kept[1 - which], cuts)).unwrap();
            let refused = opened(temp.path()).unwrap_err();
            assert!(refused.class == Class::Failed && refused.place == TABLE, "{refused:?}");
            for (path, bytes) in checkpoints.iter().zip(&kept) {
                std::fs::write(path, bytes).unwrap();
            }
        }
    }
    // What stands beside them is not needed: the older one, or the checkpoints themselves, say the same.
    let told = files(&temp.path().join("_rcm/logs").join(TABLE), ".json");
    assert_eq!(told.len(), 2);
    for path in told.iter().rev() {
        let bytes = std::fs::read(path).unwrap();
        for round in 0..rounds {
            std::fs::write(path, damage(&bytes, round % 2 == 0)).unwrap();
            assert_eq!(opened(temp.path()).unwrap(), whole, "beside {path:?}, round {round}");
        }
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(opened(temp.path()).unwrap(), whole);
    // And it is written anew beside the next checkpoint.
    (25..40).for_each(|n| load(temp.path(), WriteMode::Copy, n));
    wait(Lake::local(temp.path()).unwrap().maintain(1, DateTime::UNIX_EPOCH, &Silent)).unwrap();
    assert_ne!(files(&temp.path().join("_rcm/logs").join(TABLE), ".json"), [] as [PathBuf; 0]);
}

#[test]
fn records_of_publishes_that_are_lost_come_back_from_their_intents() {
    let temp = maintained(WriteMode::Copy);
    let (whole, records) = (opened(temp.path()).unwrap(), files(&temp.path().join("_rcm/publishes"), ".json"));
    let newest = || wait(Lake::local(temp.path()).unwrap().newest()).unwrap().unwrap().publish;
    assert_eq!((records.len(), newest()), (27, 27));
    // One in the middle, at which the search looks: the newest is the newest.
    let middle = std::fs::read(&records[15]).unwrap();
    std::fs::remove_file(&records[15]).unwrap();
    assert_eq!((newest(), opened(temp.path()).unwrap()), (27, whole.clone()));
    std::fs::write(&records[15], middle).unwrap();
    // The last ones, of which some stand on versions that were cut off.
    let kept: Vec<Vec<u8>> = records.iter().map(|path| std::fs::read(path).unwrap()).collect();
    records[9..].iter().for_each(|path| std::fs::remove_file(path).unwrap());
    load(temp.path(), WriteMode::Copy, 3);
    assert_eq!((newest(), opened(temp.path()).unwrap()), (27, whole.clone()));
    for (path, kept) in records.iter().zip(&kept) {
        assert!(std::fs::read(path).unwrap() == *kept, "{path:?}");
    }
    load(temp.path(), WriteMode::Copy, 25);
    assert_eq!(newest(), 28);
}

/// A commit of ours with a bit in the name of an action: deltalake passes over what it does not know.
#[test]
fn a_commit_of_a_run_with_a_line_that_no_run_writes_is_damaged() {
    let temp = maintained(WriteMode::Copy);
    let last = files(&temp.path().join(TABLE).join("_delta_log"), ".json").pop().unwrap();
    let commit = std::fs::read_to_string(&last).unwrap();
    std::fs::write(&last, commit.replace("{\"remove\"", "{\"semove\"")).unwrap();
    assert_ne!(std::fs::read_to_string(&last).unwrap(), commit);
    let refused = opened(temp.path()).unwrap_err();
    assert!(refused.what.contains("damaged") && refused.place.ends_with(".json"), "{refused:?}");
    assert!(refused.class == Class::Drift && refused.hint.unwrap().contains("_delta_log"));
}

/// The first vector of a table comes with its protocol and its columns: behind it nothing seems to be missing.
#[test]
fn a_log_without_its_beginning_is_not_read_from_where_it_seems_to_begin() {
    let temp = maintained(WriteMode::Append);
    let whole = opened(temp.path()).unwrap();
    assert!(whole.with_vectors, "{whole:?}");
    let checkpoints = files(&temp.path().join(TABLE).join("_delta_log"), ".parquet");
    assert_eq!(checkpoints.len(), 2);
    std::fs::write(&checkpoints[1], b"damaged").unwrap();
    assert_eq!(opened(temp.path()).unwrap(), whole);
    std::fs::write(&checkpoints[0], b"damaged").unwrap();
    let refused = opened(temp.path()).unwrap_err();
    assert!(refused.class == Class::Failed && refused.what.contains("lost its beginning"), "{refused:?}");
}
