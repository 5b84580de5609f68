//! Seeded random loads against the oracle.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use rcm_scd2::{Complete, Error, Load, Merged, Outcome, Spec};

use crate::oracle::{self, Row, Snapshot, Version};
use crate::tables::Table;

/// splitmix64.
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

const SCOPES: [&str; 2] = ["H1", "H2"];
const NAMES: [Option<&str>; 3] = [None, Some(""), Some("Ann")];
const PHONES: [Option<&str>; 2] = [None, Some("p")];

/// Weights that are equal have one number, and several spellings.
fn weight(number: usize, random: &mut Random) -> Option<f64> {
    let spellings = match number {
        0 => [None, None],
        1 => [Some(f64::NAN), Some(-f64::NAN)],
        _ => [Some(0.0), Some(-0.0)],
    };
    spellings[random.below(2)]
}

fn batch(rows: &[Row], random: &mut Random) -> RecordBatch {
    let instants = rows.iter().map(|row| Some(row.at)).collect::<TimestampMicrosecondArray>().with_timezone("UTC");
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("hospital", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| SCOPES[row.scope]))), true),
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.id as i64))), true),
        ("at", Arc::new(instants), true),
        ("run", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.run))), true),
        ("name", Arc::new(rows.iter().map(|row| NAMES[row.tracked.0]).collect::<StringArray>()), true),
        ("weight", Arc::new(rows.iter().map(|row| weight(row.tracked.1, random)).collect::<Float64Array>()), true),
        ("phone", Arc::new(rows.iter().map(|row| PHONES[row.latest]).collect::<StringArray>()), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// The same rows, cut, sliced and encoded at random.
fn disguise(batch: &RecordBatch, random: &mut Random) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let mut at = 0;
    while at < batch.num_rows() {
        let len = 1 + random.below(batch.num_rows() - at);
        let part = batch.slice(at, len);
        let encode = |(field, column): (&Arc<arrow::datatypes::Field>, &ArrayRef)| {
            let dictionary = |value| DataType::Dictionary(Box::new(DataType::Int8), Box::new(value));
            let encoded = match (column.data_type(), random.below(4)) {
                (DataType::Utf8, 0) => DataType::LargeUtf8,
                (DataType::Utf8, 1) => DataType::Utf8View,
                (DataType::Utf8, 2) => dictionary(DataType::Utf8),
                (other, _) => other.clone(),
            };
            (field.name().clone(), cast(column, &encoded).unwrap(), true)
        };
        let columns: Vec<_> = part.schema().fields().iter().zip(part.columns()).map(encode).collect();
        batches.push(RecordBatch::try_from_iter_with_nullable(columns).unwrap());
        at += len;
    }
    if batches.is_empty() || random.below(4) == 0 {
        batches.push(batch.slice(0, 0));
    }
    batches
}

fn rearranged(batches: &[RecordBatch], random: &mut Random) -> Vec<RecordBatch> {
    batches.iter().flat_map(|batch| disguise(&shuffled(batch, random), random)).collect()
}

fn shuffled(batch: &RecordBatch, random: &mut Random) -> RecordBatch {
    let mut rows: Vec<u64> = (0..batch.num_rows() as u64).collect();
    random.shuffle(&mut rows);
    take_record_batch(batch, &UInt64Array::from(rows)).unwrap()
}

fn text(column: &ArrayRef) -> StringArray {
    cast(column, &DataType::Utf8).unwrap().as_string().clone()
}

fn versions(history: &[RecordBatch]) -> Vec<Version> {
    let mut versions = in_order(history);
    versions.sort();
    versions
}

/// History back into the oracle's small integers, in the order in which it lies in the table.
fn in_order(history: &[RecordBatch]) -> Vec<Version> {
    let mut versions = Vec::new();
    for batch in history.iter().filter(|batch| batch.num_rows() > 0) {
        let [hospital, name, phone] = ["hospital", "name", "phone"].map(|column| text(&batch[column]));
        let weight = batch["weight"].as_primitive::<Float64Type>();
        let [from, to] = ["valid_from", "valid_to"].map(|c| batch[c].as_primitive::<TimestampMicrosecondType>());
        let current: &BooleanArray = batch["is_current"].as_boolean();
        for row in 0..batch.num_rows() {
            let cell = |column: &StringArray| column.is_valid(row).then(|| column.value(row).to_owned());
            let number = |cells: &[Option<&str>], column: &StringArray| {
                cells.iter().position(|known| known.map(str::to_owned) == cell(column)).unwrap()
            };
            let weight = match weight.is_valid(row).then(|| weight.value(row)) {
                None => 0,
                Some(nan) if nan.is_nan() => 1,
                Some(_) => 2,
            };
            let to = to.is_valid(row).then(|| to.value(row));
            assert_eq!(current.value(row), to.is_none());
            let id = batch["id"].as_primitive::<Int64Type>().value(row) as usize;
            let key = (SCOPES.iter().position(|scope| *scope == hospital.value(row)).unwrap(), id);
            let (tracked, latest) = ((number(&NAMES, &name), weight), number(&PHONES, &phone));
            versions.push(Version { key, tracked, latest, from: from.value(row), to });
        }
    }
    versions
}

fn feed_spec() -> Spec {
    let spec = Spec::feed(["hospital", "id"], ["at", "run"]);
    spec.track(["name", "weight"]).latest_in_run(["phone"]).build().unwrap()
}

fn event(random: &mut Random) -> Row {
    Row {
        scope: random.below(2),
        id: random.below(2),
        at: random.below(6) as i64 - 2,
        run: random.below(2) as i64,
        tracked: if random.below(2) == 0 { (0, 0) } else { (random.below(3), random.below(3)) },
        latest: random.below(2),
    }
}

fn events(random: &mut Random) -> Vec<Row> {
    (0..random.below(25)).map(|_| event(random)).collect()
}

/// What must hold of any merge, given history before.
fn check_merge(before: &[Version], merged: &Merged, touched: &[(usize, usize)]) {
    let visible = |outcome: &Outcome| matches!(outcome, Outcome::New | Outcome::Changed | Outcome::Late);
    let closed = merged.counts.closed_by_absence.values().sum::<u64>();
    let effect = merged.outcomes.iter().any(visible) || closed > 0;
    assert_eq!(merged.is_no_op(), !effect, "a change is some row's effect, and an effect is a change");

    let opens = versions(std::slice::from_ref(&merged.opens));
    let rows = merged.closes.iter().map(|close| close.row).chain(merged.withdrawals.iter().copied());
    for row in rows {
        assert!(touched.contains(&before[row].key), "L9");
    }
    for row in &merged.withdrawals {
        let gone = before[*row];
        assert!(!opens.contains(&gone), "a row that stays is not copied");
        let only_closed = |open: &Version| *open == Version { to: open.to, ..gone } && gone.to.is_none();
        assert!(!opens.iter().any(only_closed), "a row that only ends is closed");
    }
}

/// Loads events and returns the merge; history and hidden state come disguised, history shuffled.
fn load_events(table: &mut Table, rows: &[Row], random: &mut Random) -> Merged {
    table.history = rearranged(&table.history, random);
    table.hidden = table.hidden.iter().flat_map(|hidden| disguise(hidden, random)).collect();
    let before = in_order(&table.history);
    let rows_batch = disguise(&batch(rows, random), random);
    let merged = table.load(&Load::new(&rows_batch, 0)).unwrap();
    check_merge(&before, &merged, &rows.iter().map(Row::key).collect::<Vec<_>>());
    merged
}

#[test]
fn feeds_match_the_oracle_load_by_load() {
    for seed in 0..300 {
        let random = &mut Random(seed);
        let mut table = Table::new(feed_spec());
        let mut observations = Vec::new();
        for _ in 0..4 {
            let known: Vec<_> = observations.iter().map(Row::key).collect();
            let mut rows = events(random);
            let repeats = rows.iter().filter(|_| random.below(6) == 0).copied().collect::<Vec<_>>();
            rows.extend(repeats);
            let merged = load_events(&mut table, &rows, random);
            for (row, outcome) in rows.iter().zip(&merged.outcomes) {
                assert!(*outcome != Outcome::Late || known.contains(&row.key()), "seed {seed}");
                assert!(*outcome != Outcome::New || !known.contains(&row.key()), "seed {seed}");
            }
            observations = oracle::observe(&observations, &rows);
            assert_eq!(versions(&table.history), oracle::feed(&observations), "seed {seed}");
            assert_eq!(merged.hidden.num_rows(), observations.len(), "seed {seed}");

            // L3: the same rows again, in another order.
            random.shuffle(&mut rows);
            let again = load_events(&mut table, &rows, random);
            assert!(again.is_no_op() && !again.hidden_changed, "seed {seed}");
            assert_eq!(plain(&again.hidden), plain(&merged.hidden), "seed {seed}");
        }
    }
}

#[test]
fn any_order_and_any_split_of_a_feed_give_the_same_table() {
    for seed in 0..300 {
        let random = &mut Random(seed ^ 0xfeed);
        // Without contradictions, as quarantine may depend on the split.
        let rows = oracle::observe(&[], &events(random));
        let mut tables = (0..3).map(|_| {
            let mut rows = rows.clone();
            rows.extend(rows.clone().iter().filter(|_| random.below(5) == 0));
            random.shuffle(&mut rows);
            let mut table = Table::new(feed_spec());
            while !rows.is_empty() {
                let rest = rows.split_off(random.below(rows.len()) + 1);
                load_events(&mut table, &rows, random);
                rows = rest;
            }
            table
        });
        let first = tables.next().unwrap();
        assert_eq!(versions(&first.history), oracle::feed(&rows), "seed {seed}");
        for other in tables {
            assert_eq!(versions(&other.history), versions(&first.history), "seed {seed}");
            let columns = |table: &Table| table.hidden.iter().flat_map(plain).collect::<Vec<_>>();
            assert_eq!(columns(&other), columns(&first), "hidden state is canonical, seed {seed}");
        }
        for (key, at) in (0..4).flat_map(|key| (-3..5).map(move |at| ((key / 2, key % 2), at))) {
            let valid = |v: &&Version| v.key == key && v.from <= at && v.to.is_none_or(|to| at < to);
            let found = versions(&first.history).iter().find(valid).map(|version| version.tracked);
            assert_eq!(found, oracle::as_of(&rows, key, at), "L6, seed {seed}");
        }
    }
}

/// Columns without their encoding (that of a feed follows its first load); the bits of floats tell NaN from NaN.
fn plain(batch: &RecordBatch) -> Vec<ArrayRef> {
    let plain = |column: &ArrayRef| match column.data_type() {
        DataType::Float64 => {
            let bits = column.as_primitive::<Float64Type>().iter().map(|cell| cell.map(|cell| cell.to_bits() as i64));
            Arc::new(bits.collect::<Int64Array>()) as ArrayRef
        }
        DataType::Timestamp(..) => cast(column, &DataType::Int64).unwrap(),
        _ => Arc::new(text(column)),
    };
    batch.columns().iter().map(plain).collect()
}

#[test]
fn snapshots_match_the_oracle() {
    let spec =
        || Spec::snapshot(["hospital", "id"]).track(["name", "weight"]).latest_in_run(["phone"]).scope("hospital");
    let (mut late, mut applied) = (0, 0);
    for seed in 0..300 {
        let random = &mut Random(seed ^ 0x5eed);
        let mut table = Table::new(spec().build().unwrap());
        let mut expected: Vec<Version> = Vec::new();
        let mut as_of = 0;
        for _ in 0..6 {
            as_of += random.below(4) as i64 - 1;
            let mut rows: Vec<Row> = (0..random.below(7)).map(|_| Row { at: 0, run: 0, ..event(random) }).collect();
            if random.below(2) == 0 {
                rows.sort();
                rows.dedup_by_key(|row| row.key());
                random.shuffle(&mut rows);
            }
            let withheld = (0..random.below(2)).map(|_| event(random).key()).collect();
            let (complete, named) = match random.below(4) {
                0 => (Complete::Nothing, vec![]),
                1 => (Complete::Only(vec!["H2".to_owned()]), vec![1]),
                _ => (Complete::Everything, vec![0, 1]),
            };
            let load = Snapshot { rows, as_of, withheld, complete: named };

            table.history = rearranged(&table.history, random);
            let before = in_order(&table.history);
            let rows = disguise(&batch(&load.rows, random), random);
            let held = |key: &(usize, usize)| Row { scope: key.0, id: key.1, ..event(&mut Random(0)) };
            let withheld = [batch(&load.withheld.iter().map(held).collect::<Vec<_>>(), random)];
            let merged = table.load(&Load { rows: &rows, as_of, withheld: &withheld, complete });
            match oracle::snapshot(&expected, &load) {
                None => {
                    assert!(matches!(merged, Err(Error::LateSnapshot { .. })), "seed {seed}: {merged:?}");
                    late += 1;
                }
                Some(after) => {
                    let touched: Vec<_> = before.iter().map(|version| version.key).collect();
                    check_merge(&before, &merged.unwrap(), &touched);
                    assert_eq!(versions(&table.history), after, "seed {seed}");
                    expected = after;
                    applied += 1;
                    let again = table.load(&Load::new(&[batch(&[], random)], as_of - 100));
                    assert!(expected.is_empty() || matches!(again, Err(Error::LateSnapshot { .. })));
                }
            }
        }
    }
    assert!(late > 200 && applied > 600, "{late} late, {applied} applied: neither case is rare");
}

#[test]
fn after_a_whole_snapshot_history_says_what_the_snapshot_says() {
    for seed in 0..300 {
        let random = &mut Random(seed ^ 0xa50f);
        let spec = Spec::snapshot(["hospital", "id"]).track(["name", "weight"]).latest_in_run(["phone"]);
        let mut table = Table::new(spec.build().unwrap());
        for as_of in 1..6 {
            let mut rows: Vec<Row> = (0..random.below(7)).map(|_| Row { at: 0, run: 0, ..event(random) }).collect();
            rows.sort();
            rows.dedup_by_key(|row| row.key());
            let batches = disguise(&shuffled(&batch(&rows, random), random), random);
            let merged = table.load(&Load::new(&batches, as_of)).unwrap();
            let now = |version: &Version| version.from <= as_of && version.to.is_none_or(|to| as_of < to);
            let current = versions(&table.history).into_iter().filter(now).map(|v| (v.key, v.tracked, v.latest));
            let snapshot = rows.iter().map(|row| (row.key(), row.tracked, row.latest));
            assert_eq!(current.collect::<Vec<_>>(), snapshot.collect::<Vec<_>>(), "L6 and L8, seed {seed}");

            let again = table.load(&Load::new(&batches, as_of)).unwrap();
            assert!(again.is_no_op(), "L3, seed {seed}");
            assert_eq!(again.counts.no_op, merged.counts.rows());
        }
    }
}
