//! Many small loads, and many of the same: what they leave.
//!
//! `RCM_LOADS=300 RCM_REPLAYS=1000 cargo test -p rcm-connectors --features azure,s3 --test it many -- --nocapture` is the
//! full form; `cargo test` takes fewer.

use crate::loads::{TABLE, batch, spec, table};
use crate::wait;
use chrono::DateTime;
use rcm_connectors::lake::{EngineColumns, Lake, Loaded};
use rcm_connectors::parquet::decode;
use rcm_core::progress::Silent;
use rcm_scd2::{Load, verify};
use std::path::Path;
use std::time::{Duration, Instant};

fn number(name: &str, default: i64) -> i64 {
    std::env::var(name).map_or(default, |n| n.parse().unwrap())
}

/// From a handle of its own.
fn load(folder: &Path, events: &[(i64, i64, i64)]) -> Loaded {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let (rows, now) = ([batch(events)], DateTime::UNIX_EPOCH);
    let lake = Lake::local(folder).unwrap();
    wait(lake.load(&table(), &spec(), &Load::new(&rows, 0), &EngineColumns, now, &pool)).unwrap()
}

/// Live files of the table, files of its log, rows, and how long it takes to open it: the least of twenty times.
fn opened(folder: &Path) -> (usize, usize, usize, Duration) {
    let (mut least, mut files, mut rows) = (Duration::MAX, Vec::new(), Vec::new());
    for _ in 0..20 {
        let started = Instant::now();
        let lake = Lake::local(folder).unwrap();
        let newest = wait(lake.newest()).unwrap().unwrap();
        files = wait(lake.table_files(TABLE, newest.tables[TABLE].version)).unwrap().files;
        least = least.min(started.elapsed());
        let read = |path: &str| decode(wait(lake.get(&format!("{TABLE}/{path}"))).unwrap()).unwrap();
        rows = files.iter().flat_map(|file| read(&file.path)).collect();
    }
    verify(&spec(), &rows).unwrap();
    let log = wait(Lake::local(folder).unwrap().names(&format!("{TABLE}/_delta_log"))).unwrap();
    (files.len(), log.len(), rows.iter().map(|batch| batch.num_rows()).sum(), least)
}

#[test]
fn a_lake_of_many_small_loads_is_soon_as_small_as_a_fresh_one() {
    let (loads, replays) = (number("RCM_LOADS", 40), number("RCM_REPLAYS", 10));
    let temp = tempfile::tempdir().unwrap();
    let (many, fresh) = (temp.path().join("many"), temp.path().join("fresh"));
    let events: Vec<_> = (0..loads).map(|n| (n, n, n)).collect();
    for event in &events {
        assert!(load(&many, std::slice::from_ref(event)).publish.is_some());
    }
    load(&fresh, &events);
    let before = opened(&many);
    let house = wait(Lake::local(&many).unwrap().maintain(1, DateTime::UNIX_EPOCH, &Silent)).unwrap();
    assert_eq!((house.checkpoints, house.publish), (2, Some(loads as u64 + 1)));
    let (after, new) = (opened(&many), opened(&fresh));
    println!(
        "{loads} loads of a row: {} files, a log of {}, opened in {:?}; behind maintain {}, {}, {:?}; fresh {}, {}, {:?}",
        before.0, before.1, before.3, after.0, after.1, after.3, new.0, new.1, new.3
    );
    assert_eq!((after.2, new.2), (events.len(), events.len()), "rows");
    assert!(after.0 <= 2 * new.0, "{} files, a fresh lake has {}", after.0, new.0);
    assert!(after.1 <= 15, "the log still has {} files", after.1);

    // Behind checkpoint and clean-up the ledger still knows each of them, also in other company.
    for n in 0..replays {
        let event = events[usize::try_from(n * 7 % loads).unwrap()];
        let again = load(&many, &[event, events[0]][..if event == events[0] { 1 } else { 2 }]);
        assert_eq!(again.publish, None, "load {event:?} came twice");
    }
    assert_eq!(opened(&many).2, events.len());
}
