//! Checkpoints that are damaged: what they say is found elsewhere, or the table is not opened; never other rows.
//!
//! `RCM_DAMAGE=200 cargo test -p rcm-connectors --features azure,s3 --test it damage` is the full form.

use crate::loads::{TABLE, batch, spec, table};
use crate::wait;
use chrono::DateTime;
use rcm_connectors::lake::{EngineColumns, Lake, TableFiles};
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

#[test]
fn a_damaged_checkpoint_is_not_believed() {
    let rounds: usize = std::env::var("RCM_DAMAGE").map_or(40, |n| n.parse().unwrap());
    let temp = tempfile::tempdir().unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let load = |n: i64| {
        let (rows, now) = ([batch(&[(n, n, n)])], DateTime::UNIX_EPOCH);
        let lake = Lake::local(temp.path()).unwrap();
        wait(lake.load(&table(), &spec(), &Load::new(&rows, 0), &EngineColumns, now, &pool)).unwrap();
    };
    for n in 0..24 {
        load(n);
        if n == 11 || n == 23 {
            wait(Lake::local(temp.path()).unwrap().maintain(1, DateTime::UNIX_EPOCH, &Silent)).unwrap();
        }
    }
    load(24);
    let whole = opened(temp.path()).unwrap();
    let log = temp.path().join(TABLE).join("_delta_log");
    assert!(!log.join(format!("{:020}.json", 0)).exists(), "the log still has its beginning");
    let names = log.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut checkpoints: Vec<PathBuf> =
        names.filter(|path| path.extension().is_some_and(|it| it == "parquet")).collect();
    checkpoints.sort();
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
    assert_eq!(opened(temp.path()).unwrap(), whole);
}
