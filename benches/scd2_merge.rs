//! How long a merge takes: `cargo bench -p rcm-benches --bench scd2_merge`, about three minutes; a name selects.
//!
//! Seed 7. A patient has a key of two texts and eight tracked columns (text, date, decimal, nulls); else it is said.
//!
//! | benchmark | history | load | what the load does |
//! |---|---|---|---|
//! | `insert_only` | 0 | 1,000,000 | a snapshot; every key is new |
//! | `upsert_1pct` | 1,000,000 | 10,000 | some rows of a snapshot; all changed |
//! | `upsert_10pct` | 1,000,000 | 100,000 | the same |
//! | `noop` | 1,000,000 | 100,000 | some rows of a snapshot; none changed |
//! | `all_changed` | 1,000,000 | 1,000,000 | a snapshot; all changed |
//! | `late_events` | 1,000,000 | 100,000 | a feed, two versions a key; events between them for every fifth |
//! | `snapshot_with_deletes` | 1,000,000 | 980,000 | two hospitals; 80,000 changed, 20,000 absent |
//! | `feed_two_sequences` | 1,000,000 | 100,000 | a feed; half later events, half corrections of a valid time |
//! | `wide_strings` | 200,000 | 20,000 | as `upsert_10pct`, with four more texts of some 200 bytes |
//! | `i64_key` | 1,000,000 | 100,000 | as `upsert_10pct`, the key is one number |
//!
//! Throughput counts the rows of history and of the load. Only the merge is timed, and it must count what is stated.
#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros document nothing; a bench may fail loudly

mod data;

use std::cell::LazyCell;
use std::hint::black_box;
use std::time::Duration;

use arrow::array::RecordBatch;
use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use rcm_scd2::{Absence, Counts, Load, SnapshotBuilder, Spec, State, apply, merge};

use data::{Row, SEED, Shape, batches, rows};

const KEYS: u64 = 1_000_000;
const TEXT_KEY: [&str; 2] = ["patient_id", "hospital"];
const TRACKED: [&str; 8] =
    ["first_name", "last_name", "date_of_birth", "gender", "address", "phone", "department", "balance"];
/// The instants of the first and of the second snapshot.
const AS_OF: [i64; 2] = [1_000, 2_000];

/// A spec, the state that a first load made, and the second load.
type Made = (Spec, State, Vec<RecordBatch>);

struct Case {
    name: &'static str,
    history: usize,
    counts: Counts,
    make: fn() -> Made,
}

fn after(spec: &Spec, first: &[RecordBatch]) -> State {
    let merged = merge(spec, &State::new(), &Load::new(first, AS_OF[0])).unwrap();
    apply(&State::new(), &merged).unwrap()
}

fn snapshot() -> SnapshotBuilder {
    Spec::snapshot(TEXT_KEY).track(TRACKED)
}

/// A snapshot of all keys, then one of every `step`th, in the given state.
fn upsert(shape: Shape, keys: u64, spec: Spec, step: usize, state: u64) -> Made {
    let history = after(&spec, &batches(shape, &rows(keys, 1, 0)));
    (spec, history, batches(shape, &rows(keys, step, state)))
}

fn upsert_texts(step: usize, state: u64) -> Made {
    upsert(Shape::Texts, KEYS, snapshot().build().unwrap(), step, state)
}

fn insert_only() -> Made {
    (snapshot().build().unwrap(), State::new(), batches(Shape::Texts, &rows(KEYS, 1, 0)))
}

fn snapshot_with_deletes() -> Made {
    let spec = snapshot().deletes(Absence::close().within(["hospital"])).build().unwrap();
    let history = after(&spec, &batches(Shape::Texts, &rows(KEYS, 1, 0)));
    let mut second = rows(KEYS, 1, 0);
    second.retain(|row| row.id % 50 != 0);
    second.iter_mut().for_each(|row| row.state = u64::from(row.id % 10 == 0));
    (spec, history, batches(Shape::Texts, &second))
}

fn feed(times: usize) -> Spec {
    Spec::feed(TEXT_KEY, ["modified_at", "delivered_at"].into_iter().take(times)).track(TRACKED).build().unwrap()
}

fn late_events() -> Made {
    let at = |mut rows: Vec<Row>, at: i64| {
        rows.iter_mut().for_each(|row| row.at[0] = at);
        batches(Shape::Event(1), &rows)
    };
    let spec = feed(1);
    let first = [at(rows(KEYS / 2, 1, 0), 10), at(rows(KEYS / 2, 1, 1), 30)].concat();
    let history = after(&spec, &first);
    (spec, history, at(rows(KEYS / 2, 5, 2), 20))
}

fn feed_two_sequences() -> Made {
    let at = |mut rows: Vec<Row>, at: fn(u64) -> [i64; 2]| {
        rows.iter_mut().for_each(|row| row.at = at(row.id));
        batches(Shape::Event(2), &rows)
    };
    let spec = feed(2);
    let history = after(&spec, &at(rows(KEYS, 1, 0), |_| [10, 11]));
    // Two in twenty: the first of them moves on, the second is corrected.
    let load = at(rows(KEYS, 10, 1), |id| if id % 20 == 0 { [20, 21] } else { [10, 21] });
    (spec, history, load)
}

fn wide_strings() -> Made {
    let spec = snapshot().track(["history", "allergies", "plan", "remarks"]).build().unwrap();
    upsert(Shape::Wide, KEYS / 5, spec, 10, 1)
}

fn i64_key() -> Made {
    upsert(Shape::Number, KEYS, Spec::snapshot(["patient_id"]).track(TRACKED).build().unwrap(), 10, 1)
}

fn cases() -> [Case; 10] {
    let none = Counts::default;
    let changed = |changed| Counts { changed, ..none() };
    let case = |name, history, counts, make| Case { name, history, counts, make };
    let deleted = Counts { changed: 80_000, no_op: 900_000, closed_by_absence: 20_000, ..none() };
    [
        case("insert_only", 0, Counts { new: 1_000_000, ..none() }, insert_only),
        case("upsert_1pct", 1_000_000, changed(10_000), || upsert_texts(100, 1)),
        case("upsert_10pct", 1_000_000, changed(100_000), || upsert_texts(10, 1)),
        case("noop", 1_000_000, Counts { no_op: 100_000, ..none() }, || upsert_texts(10, 0)),
        case("all_changed", 1_000_000, changed(1_000_000), || upsert_texts(1, 1)),
        case("late_events", 1_000_000, Counts { late: 100_000, ..none() }, late_events),
        case("snapshot_with_deletes", 1_000_000, deleted, snapshot_with_deletes),
        case("feed_two_sequences", 1_000_000, changed(100_000), feed_two_sequences),
        case("wide_strings", 200_000, changed(20_000), wide_strings),
        case("i64_key", 1_000_000, changed(100_000), i64_key),
    ]
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scd2_merge");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).sampling_mode(SamplingMode::Flat);
    for Case { name, history, counts, make } in cases() {
        // Made when it is first run: not at all where another name is selected.
        let made = LazyCell::new(|| {
            let (spec, state, rows) = make();
            assert_eq!(state.history.iter().map(RecordBatch::num_rows).sum::<usize>(), history, "{name}");
            assert_eq!(merge(&spec, &state, &Load::new(&rows, AS_OF[1])).unwrap().counts, counts, "{name}");
            (spec, state, rows)
        });
        let load = counts.rows();
        group.throughput(Throughput::Elements(history as u64 + load));
        group.bench_function(BenchmarkId::new(name, format!("{history}+{load},seed={SEED}")), |bencher| {
            let (spec, state, rows) = &*made;
            // What a merge returns is dropped outside of the time.
            let run = |load: Load| black_box(merge(spec, state, &load).unwrap());
            bencher.iter_batched(|| Load::new(rows, AS_OF[1]), run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(scd2_merge, benches);
criterion_main!(scd2_merge);
