//! Loads that processes bring at once, and what must come of them.

use crate::wait;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::DateTime;
use rcm_connectors::lake::{EngineColumns, HistoryTable, Lake, MergeError, WriteMode};
use rcm_connectors::parquet::decode;
use rcm_core::Class;
use rcm_scd2::{Load, Spec, State, VALID_FROM, VALID_TO, merge};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const TABLE: &str = "silver/history";
const KEYS: i64 = 40;

pub(crate) fn spec() -> Spec {
    Spec::feed(["id"], ["at"]).track(["value"]).build().unwrap()
}

/// What a process brings in one of its loads: key, instant, value. Keys overlap, instants do not.
pub(crate) fn events(process: i64, load: i64) -> Vec<(i64, i64, i64)> {
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

pub(crate) fn batch(events: &[(i64, i64, i64)]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(events.iter().map(|e| format!("PAT-{}", e.0))));
    let at = TimestampMicrosecondArray::from_iter_values(events.iter().map(|e| e.1)).with_timezone("UTC");
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(events.iter().map(|e| e.2)));
    RecordBatch::try_from_iter([("id", ids), ("at", Arc::new(at) as ArrayRef), ("value", values)]).unwrap()
}

pub(crate) fn table() -> HistoryTable {
    let rows = [batch(&events(0, 0))];
    let columns = merge(&spec(), &State::new(), &Load::new(&rows, 0)).unwrap().opens.schema();
    HistoryTable { name: TABLE.to_owned(), keys: vec!["id".to_owned()], columns, mode: WriteMode::Copy }
}

/// Brings all loads of a process, each as often as it takes, with a handle of its own: how often another was first, and how
/// often it finished what another had begun.
pub(crate) fn load_all(lake: impl Fn() -> Lake, process: i64, loads: i64) -> (u32, u32) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let (table, spec) = (table(), spec());
    let (mut conflicts, mut took_over) = (0, 0);
    for load in 0..loads {
        let rows = [batch(&events(process, load))];
        loop {
            let (lake, now) = (lake(), DateTime::from_timestamp(1, 0).unwrap());
            match wait(lake.load(&table, &spec, &Load::new(&rows, 0), &EngineColumns, now, &pool)) {
                Ok(loaded) => {
                    took_over += u32::from(loaded.took_over);
                    break;
                }
                Err(MergeError::Storage(problem)) if problem.class == Class::Busy => {
                    conflicts += 1;
                    std::thread::sleep(Duration::from_millis(
                        7 + (process as u64 * 13 + u64::from(conflicts) * 5) % 40,
                    ));
                }
                Err(other) => panic!("process {process}, load {load}: {other}"),
            }
        }
    }
    (conflicts, took_over)
}

/// (key, value, from, to), sorted: a fold of all events that knows nothing of the engine.
pub(crate) fn fold(processes: i64, loads: i64) -> Vec<(String, i64, i64, Option<i64>)> {
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
pub(crate) fn read(lake: &Lake) -> Option<(u64, Vec<RecordBatch>)> {
    let newest = wait(lake.newest()).unwrap()?;
    let at = &newest.tables[TABLE];
    for part in at.state.values() {
        wait(lake.get(part)).unwrap();
    }
    let files = wait(lake.table_files(TABLE, at.version)).unwrap().files;
    let decoded = |path: &str| decode(wait(lake.get(&format!("{TABLE}/{path}"))).unwrap()).unwrap();
    Some((newest.publish, files.iter().flat_map(|file| decoded(&file.path)).collect()))
}

pub(crate) fn versions(rows: &[RecordBatch]) -> Vec<(String, i64, i64, Option<i64>)> {
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
