//! How long a merge takes: `cargo bench -p rcm-benches --bench scd2_merge`.
//!
//! Fixed seed and sizes. `insert_only` loads a million keys into nothing; `upsert_10pct` changes and `noop` repeats a tenth
//! of them. Throughput counts the rows of history and of the load.
#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros write an undocumented function; a bench may fail loudly

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rcm_scd2::{Complete, Load, Spec, apply, merge};

const KEYS: usize = 1_000_000;
const BATCH: usize = 65_536;
const SEED: u64 = 7;

/// splitmix64 of a number and the seed: a value that looks random and is always the same.
fn mix(number: u64) -> u64 {
    let z = (number ^ SEED).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Patients in a scattered order; `round` changes the values of each.
fn patients(keys: impl Iterator<Item = usize>, round: u64) -> Vec<RecordBatch> {
    let keys: Vec<u64> = keys.map(|key| key as u64).collect();
    let rows = |keys: &[u64]| {
        let text = |name: fn(u64) -> String| Arc::new(StringArray::from_iter_values(keys.iter().map(|key| name(*key))));
        let number = |salt: u64, n: u64| {
            Arc::new(Int64Array::from_iter_values(keys.iter().map(|key| (mix(key + salt + round * 31) % n) as i64)))
        };
        let at = TimestampMicrosecondArray::from_iter_values(keys.iter().map(|_| round as i64 * 1_000));
        RecordBatch::try_from_iter([
            ("hospital", text(|key| if key % 2 == 0 { "hos-a" } else { "hos-b" }.to_owned()) as ArrayRef),
            ("patient_id", text(|key| format!("P{:09}", mix(key) % 1_000_000_000)) as ArrayRef),
            ("modified_at", Arc::new(at.with_timezone("UTC"))),
            ("name", text(|key| format!("name {}", mix(key) % 50_000)) as ArrayRef),
            ("postcode", number(1, 90_000)),
            ("insurance", number(2, 400)),
            ("phone", number(3, 1_000_000_000)),
        ])
        .unwrap()
    };
    keys.chunks(BATCH).map(rows).collect()
}

fn benches(criterion: &mut Criterion) {
    let keys = ["hospital", "patient_id"];
    let tracked = ["name", "postcode", "insurance"];
    let feed = Spec::feed(keys, ["modified_at"]).track(tracked).latest_in_run(["phone"]).build().unwrap();
    let snapshot = Spec::snapshot(keys).track(tracked).latest_in_run(["phone"]).scope("hospital").build().unwrap();

    for (mode, spec) in [("feed", feed), ("snapshot", snapshot)] {
        let all = patients(0..KEYS, 1);
        let first = merge(&spec, &[], &[], &Load::new(&all, 1_000)).unwrap();
        let history = [apply(&[], &first).unwrap()];
        let hidden = [first.hidden];
        let tenth = |round| patients((0..KEYS).step_by(10), round);
        let (stored, changed) = (tenth(1), tenth(2));

        let mut group = criterion.benchmark_group(mode);
        group.sample_size(10).warm_up_time(Duration::from_millis(500));
        let mut bench = |name: &str, history: &[RecordBatch], hidden: &[RecordBatch], rows: &[RecordBatch]| {
            let count = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).sum::<usize>();
            group.throughput(Throughput::Elements((count(history) + count(rows)) as u64));
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                let load = || Load { complete: Complete::Nothing, ..Load::new(rows, 2_000) };
                let run = |load: Load| black_box(merge(&spec, history, hidden, &load).unwrap());
                bencher.iter_batched(load, run, BatchSize::PerIteration);
            });
        };
        bench("insert_only", &[], &[], &all);
        bench("upsert_10pct", &history, &hidden, &changed);
        bench("noop", &history, &hidden, &stored);
        group.finish();
    }
}

criterion_group!(scd2_merge, benches);
criterion_main!(scd2_merge);
