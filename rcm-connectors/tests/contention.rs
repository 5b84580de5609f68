//! Eight processes load into one table at once: whoever loses a publish number tries again, and history is that of all
//! loads, whatever the order. With the lease, and without it, when nothing but the numbers protects the data; some of the
//! processes are stopped now and then and wake up in a lake that went on.
//!
//! `RCM_CONTENTION=50 cargo test -p rcm-connectors --features delta --test contention -- --nocapture` lets each load fifty
//! times; `cargo test` less often.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::disallowed_methods, reason = "it starts itself, and tells how long it took")]

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::DateTime;
use rcm_connectors::lake::{Disk, EngineColumns, HistoryTable, Lake, MergeError, Os};
use rcm_connectors::parquet::decode;
use rcm_core::Class;
use rcm_scd2::{Load, Spec, State, VALID_FROM, VALID_TO, merge, verify};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const TABLE: &str = "silver/history";
const CHILD: &str = "RCM_CONTENTION_CHILD";
const PROCESSES: i64 = 8;
const KEYS: i64 = 40;

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap().block_on(future)
}

/// The operating system's disk, with a lease that is everybody's: each process locks a file of its own.
#[derive(Debug)]
struct WithoutLease;

impl Disk for WithoutLease {
    fn create(&self, path: &Path, bytes: &[&[u8]]) -> io::Result<()> {
        Os.create(path, bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        Os.sync(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        Os.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Os.remove(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        Os.make_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        Os.sync_folder(path)
    }

    fn open_lock(&self, path: &Path) -> io::Result<File> {
        Os.open_lock(&path.with_file_name(format!("lock-{}", std::process::id())))
    }

    fn sign_lock(&self, _: &mut File, _: &str) -> io::Result<()> {
        Ok(())
    }
}

fn lake(folder: &Path, has_lease: bool) -> Lake {
    if has_lease { Lake::local(folder).unwrap() } else { Lake::on(Arc::new(WithoutLease), folder).unwrap() }
}

fn spec() -> Spec {
    Spec::feed(["id"], ["at"]).track(["value"]).build().unwrap()
}

/// What a process brings in one of its loads: key, instant, value. Keys overlap, instants do not.
fn events(process: i64, load: i64) -> Vec<(i64, i64, i64)> {
    let event = |n: i64| {
        let mixed = (process * 1009 + load * 31 + n * 7).wrapping_mul(0x9E37_79B9) >> 7;
        // Loads of one round lie apart by process, some of them in the past of others.
        ((mixed + n) % KEYS, (load * 3 + process * 17) % 400 * 1000 + process * 10 + n, mixed % 3)
    };
    let mut events: Vec<_> = (0..12).map(event).collect();
    events.sort();
    events.dedup_by_key(|event| event.0);
    events
}

fn batch(events: &[(i64, i64, i64)]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(events.iter().map(|e| format!("PAT-{}", e.0))));
    let at = TimestampMicrosecondArray::from_iter_values(events.iter().map(|e| e.1)).with_timezone("UTC");
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(events.iter().map(|e| e.2)));
    RecordBatch::try_from_iter([("id", ids), ("at", Arc::new(at) as ArrayRef), ("value", values)]).unwrap()
}

fn table() -> HistoryTable {
    let rows = [batch(&events(0, 0))];
    let columns = merge(&spec(), &State::new(), &Load::new(&rows, 0)).unwrap().opens.schema();
    HistoryTable { name: TABLE.to_owned(), keys: vec!["id".to_owned()], columns }
}

/// One of the eight; by itself it does nothing.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let [process, loads, has_lease, folder] = told.splitn(4, ' ').collect::<Vec<_>>()[..] else { panic!("{told}") };
    let (process, loads, has_lease) = (process.parse().unwrap(), loads.parse().unwrap(), has_lease == "true");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let (table, spec) = (table(), spec());
    let (mut conflicts, mut took_over) = (0, 0);
    for load in 0..loads {
        let rows = [batch(&events(process, load))];
        loop {
            let lake = lake(Path::new(folder), has_lease);
            let now = DateTime::from_timestamp(1, 0).unwrap();
            match wait(lake.load(&table, &spec, &Load::new(&rows, 0), &EngineColumns, now, &pool)) {
                Ok(loaded) => {
                    took_over += u32::from(loaded.took_over);
                    break;
                }
                Err(MergeError::Storage(problem)) if problem.class == Class::Busy => {
                    conflicts += 1;
                    std::thread::sleep(Duration::from_millis(7 + (process as u64 * 13 + conflicts as u64 * 5) % 40));
                }
                Err(other) => panic!("process {process}, load {load}: {other}"),
            }
        }
    }
    println!("did {conflicts} {took_over}");
}

/// (key, value, from, to), sorted: a fold of all events that knows nothing of the engine.
fn fold(processes: i64, loads: i64) -> Vec<(String, i64, i64, Option<i64>)> {
    let mut by_key: BTreeMap<i64, BTreeMap<i64, i64>> = BTreeMap::new();
    for (key, at, value) in (0..processes).flat_map(|process| (0..loads).flat_map(move |load| events(process, load))) {
        assert_eq!(by_key.entry(key).or_default().insert(at, value), None, "two events at one instant");
    }
    let mut versions = Vec::new();
    for (key, events) in by_key {
        let mut runs: Vec<(i64, i64)> = events.into_iter().collect();
        runs.dedup_by_key(|(_, value)| *value);
        for (n, (from, value)) in runs.iter().enumerate() {
            versions.push((format!("PAT-{key}"), *value, *from, runs.get(n + 1).map(|(at, _)| *at)));
        }
    }
    versions.sort();
    versions
}

/// The rows of the newest publish, and its number.
fn read(lake: &Lake) -> Option<(u64, Vec<RecordBatch>)> {
    let newest = wait(lake.newest()).unwrap()?;
    let at = &newest.tables[TABLE];
    for part in at.state.values() {
        wait(lake.get(part)).unwrap();
    }
    let files = wait(lake.table_files(TABLE, at.version)).unwrap().files;
    let decoded = |path: &str| decode(wait(lake.get(&format!("{TABLE}/{path}"))).unwrap()).unwrap();
    Some((newest.publish, files.iter().flat_map(|file| decoded(&file.path)).collect()))
}

fn versions(rows: &[RecordBatch]) -> Vec<(String, i64, i64, Option<i64>)> {
    let mut versions = Vec::new();
    for batch in rows {
        let micros = |name: &str| batch[name].as_primitive::<TimestampMicrosecondType>().clone();
        let (from, to) = (micros(VALID_FROM), micros(VALID_TO));
        let (id, value) = (batch["id"].as_string::<i32>(), batch["value"].as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            let end = to.is_valid(row).then(|| to.value(row));
            versions.push((id.value(row).to_owned(), value.value(row), from.value(row), end));
        }
    }
    versions.sort();
    versions
}

fn signal(child: &Child, name: &str) {
    Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).stderr(Stdio::null()).status().unwrap();
}

/// `distinct`: how many of the processes bring loads of their own; the others repeat them.
fn contend(distinct: i64, has_lease: bool, stops: bool) {
    let loads: i64 = std::env::var("RCM_CONTENTION").map_or(4, |n| n.parse().unwrap());
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("lake");
    let started = std::time::Instant::now();
    let start = |process: i64| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD, format!("{} {loads} {has_lease} {}", process % distinct, folder.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut children: Vec<Child> = (0..PROCESSES).map(start).collect();
    // A reader looks all the while, and one process after the other is stopped and let go on.
    let (mut polls, mut last) = (0, 0);
    let (reader, spec) = (lake(&folder, has_lease), spec());
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        let stopped = &children[polls % children.len()];
        if stops {
            signal(stopped, "STOP");
        }
        if let Some((publish, rows)) = read(&reader) {
            assert!(publish >= last, "the newest publish goes back");
            last = publish;
            verify(&spec, &rows).unwrap();
        }
        std::thread::sleep(Duration::from_millis(if stops { 120 } else { 30 }));
        if stops {
            signal(stopped, "CONT");
        }
        polls += 1;
    }
    let (mut conflicts, mut took_over) = (0, 0);
    for child in children {
        let out = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
        let did = said.lines().find_map(|line| line.split_once("did ")).unwrap().1.to_owned();
        let counts: Vec<u64> = did.split_whitespace().map(|n| n.parse().unwrap()).collect();
        conflicts += counts[0];
        took_over += counts[1];
    }
    let (publish, rows) = read(&reader).unwrap();
    assert_eq!(versions(&rows), fold(distinct, loads));
    assert_eq!(publish, (distinct * loads) as u64, "each load is one version, however often it comes");
    println!(
        "{distinct} of {PROCESSES} distinct, lease {has_lease}, stops {stops}: {} loads, {publish} publishes, {conflicts} conflicts, {took_over} take-overs, \
         {polls} looks, {:.0} s",
        PROCESSES * loads,
        started.elapsed().as_secs_f64()
    );
}

#[test]
fn with_the_lease() {
    contend(PROCESSES, true, false);
}

#[test]
fn without_it_nothing_is_lost_either() {
    contend(PROCESSES, false, false);
}

#[test]
fn and_whoever_was_stopped_wakes_up_to_no_harm() {
    contend(PROCESSES, false, true);
}

#[test]
fn eight_that_bring_the_same_bring_it_once() {
    contend(1, false, false);
}
