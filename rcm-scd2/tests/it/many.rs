//! Loads of more rows than one task, one block or one chunk of memory has.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use rcm_scd2::{Absence, Load, Outcome, Spec, State, When, apply, merge, verify};

const MANY: i64 = 70_000;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn longs(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn instants(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values))
}

#[test]
fn a_large_snapshot_finds_each_key_wherever_it_lies() {
    let spec = Spec::snapshot(["id"]).track(["value"]).deletes(Absence::close()).build().unwrap();
    let load = |ids: Vec<i64>, value: fn(i64) -> i64| {
        batch(vec![("id", longs(ids.iter().copied())), ("value", longs(ids.iter().map(|id| value(*id))))])
    };
    let first = merge(&spec, &State::new(), &Load::new(&[load((0..MANY).collect(), |_| 0)], 1)).unwrap();
    assert_eq!(first.counts.new, MANY as u64);
    let state = apply(&State::new(), &first).unwrap();
    let reversed: Vec<i64> = (0..MANY).rev().filter(|id| id % 7 != 0).collect();
    let outcomes: Vec<Outcome> =
        reversed.iter().map(|id| if id % 1000 == 5 { Outcome::Changed } else { Outcome::NoOp }).collect();
    let second = merge(&spec, &state, &Load::new(&[load(reversed, |id| i64::from(id % 1000 == 5))], 2)).unwrap();
    assert!(second.outcomes == outcomes);
    assert_eq!(second.counts.closed_by_absence, MANY as u64 / 7);
    let ended: Vec<usize> = second.closes.iter().map(|close| close.row).collect();
    let expected: Vec<usize> = (0..MANY as usize).filter(|id| id % 7 == 0 || id % 1000 == 5).collect();
    assert!(ended == expected);
    let state = apply(&state, &second).unwrap();
    verify(&spec, &state.history).unwrap();
}

#[test]
fn the_row_that_counts_may_lie_far_from_the_first_of_its_key() {
    let spec = Spec::snapshot(["id"]).track(["value"]).deletes(When::new("gone", "y")).build().unwrap();
    let load = |ids: Vec<i64>, gone: Vec<bool>| {
        let gone: ArrayRef =
            Arc::new(StringArray::from_iter_values(gone.iter().map(|gone| if *gone { "y" } else { "n" })));
        batch(vec![("id", longs(ids.iter().copied())), ("value", longs(ids.iter().map(|_| 1))), ("gone", gone)])
    };
    let ids: Vec<i64> = (0..MANY).collect();
    let first = merge(&spec, &State::new(), &Load::new(&[load(ids.clone(), vec![false; ids.len()])], 1)).unwrap();
    let state = apply(&State::new(), &first).unwrap();
    let twice: Vec<i64> = (0..MANY).chain((0..MANY).rev()).collect();
    let gone: Vec<bool> = (0..2 * MANY).map(|row| row >= MANY && twice[row as usize] % 3 == 0).collect();
    let merged = merge(&spec, &state, &Load::new(&[load(twice.clone(), gone.clone())], 2)).unwrap();
    let outcome = |row: usize| match (row < MANY as usize, twice[row] % 3 == 0) {
        (false, true) => Outcome::Changed,
        (true, false) => Outcome::NoOp,
        _ => Outcome::Collapsed,
    };
    assert!(merged.outcomes.iter().enumerate().all(|(row, said)| *said == outcome(row)));
    assert_eq!(merged.closes.len(), (MANY as usize).div_ceil(3));
}

#[test]
fn a_large_feed_in_any_order_gives_the_same_table() {
    let spec = Spec::feed(["id"], ["at"]).track(["value"]).build().unwrap();
    // Each of 10,000 keys has events on seven days, and every third of them repeats the one before.
    let load = |rows: Vec<i64>| {
        let id = longs(rows.iter().map(|row| row % 10_000));
        let day = || rows.iter().map(|row| row / 10_000);
        batch(vec![
            ("id", id),
            ("at", instants(day())),
            ("value", longs(day().map(|day| day - i64::from(day % 3 == 2)))),
        ])
    };
    let mut ordered = State::new();
    ordered = apply(&ordered, &merge(&spec, &ordered, &Load::new(&[load((0..MANY).collect())], 0)).unwrap()).unwrap();
    let mut shuffled = State::new();
    for part in 0..3 {
        let rows = (0..MANY).map(|row| row * 33_331 % MANY).filter(|row| row % 3 == part).collect();
        let merged = merge(&spec, &shuffled, &Load::new(&[load(rows)], 0)).unwrap();
        shuffled = apply(&shuffled, &merged).unwrap();
    }
    verify(&spec, &shuffled.history).unwrap();
    let rows = |state: &State| {
        let all = arrow::compute::concat_batches(&state.history[0].schema(), &state.history).unwrap();
        let sort = |name: &str| arrow::compute::SortColumn {
            values: all.column_by_name(name).unwrap().clone(),
            options: None,
        };
        let order = arrow::compute::lexsort_to_indices(&[sort("id"), sort("valid_from")], None).unwrap();
        arrow::compute::take_record_batch(&all, &order).unwrap()
    };
    assert_eq!(rows(&ordered).num_rows(), 50_000);
    assert!(rows(&ordered) == rows(&shuffled));
    let hidden = |state: &State| state.hidden.iter().map(RecordBatch::num_rows).sum::<usize>();
    assert_eq!((hidden(&ordered), hidden(&shuffled)), (20_000, 20_000));
}
