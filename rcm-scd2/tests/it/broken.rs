//! Histories that contradict themselves.

use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use rcm_scd2::{Absence, Disposition, Error, Fault, Load, Spec, State, merge, verify};

use crate::tables::batch;

fn snapshots() -> Spec {
    Spec::snapshot(["id"]).track(["name"]).deletes(Absence::marker()).build().unwrap()
}

fn feed() -> Spec {
    let when = rcm_scd2::When::new("gone", "y").marker();
    Spec::feed(["id"], ["at"]).track(["name"]).deletes(when).build().unwrap()
}

const HEADER: &str = "id name valid_from valid_to is_current is_deleted";

fn broken() -> Vec<(&'static str, usize, Fault)> {
    vec![
        ("a A - - t f", 0, Fault::NullValidFrom),
        ("a A 1 5 f f\na A 9 9 f f", 1, Fault::EmptyInterval),
        ("a A 9 5 f f", 0, Fault::EmptyInterval),
        ("a A 1 5 t f", 0, Fault::CurrentFlag),
        ("a A 1 - f f", 0, Fault::CurrentFlag),
        ("a A 1 - - f", 0, Fault::CurrentFlag),
        ("a A 1 5 - f", 0, Fault::CurrentFlag),
        ("a A 1 - t -", 0, Fault::NullFlag),
        ("- A 1 - t f", 0, Fault::NullKey),
        ("a A 1 5 f f\na B 4 - t f", 1, Fault::Overlap { other: 0 }),
        ("a B 4 - t f\na A 1 5 f f", 0, Fault::Overlap { other: 1 }),
        ("a A 1 9 f f\na B 4 6 f f", 1, Fault::Overlap { other: 0 }),
        ("a A 1 - t f\na B 4 6 f f", 1, Fault::Overlap { other: 0 }),
        ("a A 1 5 f f\na B 1 - t f", 1, Fault::Overlap { other: 0 }),
        ("a A 1 - t f\na B 4 - t f", 1, Fault::TwoCurrent { other: 0 }),
        ("a A 1 - t f\na B 4 - t t", 1, Fault::TwoCurrent { other: 0 }),
    ]
}

fn is_of_two_rows(fault: Fault) -> bool {
    matches!(fault, Fault::Overlap { .. } | Fault::TwoCurrent { .. })
}

#[track_caller]
fn finds<T>(found: Result<T, Error>, row: usize, fault: Fault, history: &str) {
    assert_eq!(found.err(), Some(Error::BrokenHistory { row, fault }), "{history}");
}

#[test]
fn a_touched_key_is_found_broken_by_a_merge_and_by_verify() {
    for (rows, row, fault) in broken() {
        let state = State::from_history(vec![batch(HEADER, rows)]);
        finds(verify(&snapshots(), &state.history), row, fault, rows);
        finds(verify(&feed(), &state.history), row, fault, rows);
        let load = [batch("id name", "a Z")];
        finds(merge(&snapshots(), &state, &Load::new(&load, 20)), row, fault, rows);
        let load = [batch("id at name gone", "a 20 Z n")];
        finds(merge(&feed(), &state, &Load::new(&load, 0)), row, fault, rows);
    }
}

#[test]
fn a_key_with_two_live_rows_does_not_end_by_its_absence() {
    let rows = "b B 1 - t f\na A 1 - t f\nc C 1 - t f\na Z 4 - t f\nd D 1 - t f";
    let state = State::from_history(vec![batch(HEADER, rows)]);
    let load = [batch("id name", "d D")];
    finds(merge(&snapshots(), &state, &Load::new(&load, 20)), 3, Fault::TwoCurrent { other: 1 }, rows);
}

#[test]
fn a_ledger_keeps_its_meaning_in_whatever_zone_a_store_gives_it_back() {
    let rows = [batch("id name", "a A")];
    let load = Load::new(&rows, 1);
    for zone in [None, Some("+00:00")] {
        let ledger = merge(&snapshots(), &State::new(), &load).unwrap().ledger.adds;
        let at = ledger.schema().index_of("_as_of").unwrap();
        let mut columns = ledger.columns().to_vec();
        columns[at] = cast(&columns[at], &DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into))).unwrap();
        let names = ledger.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        let ledger = vec![RecordBatch::try_from_iter(names.into_iter().zip(columns)).unwrap()];
        let state = State { ledger, ..State::new() };
        assert_eq!(merge(&snapshots(), &state, &load).unwrap().scopes[0].disposition, Disposition::Repeated);
        let later = merge(&snapshots(), &state, &Load::new(&rows, 2)).unwrap();
        let both = later.ledger.apply(&state.ledger).unwrap();
        assert_eq!(both.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    }
}

#[test]
fn a_ledger_that_no_merge_wrote_is_refused() {
    let of = |ledger| State { ledger: vec![ledger], ..State::new() };
    let events = Spec::feed(["id"], ["at"]).track(["name"]).late_horizon(1).build().unwrap();
    let load = [batch("id at name", "b 20 Z")];
    let feed = |ledger| merge(&events, &of(ledger), &Load::new(&load, 0)).unwrap_err().to_string();
    let as_of =
        |name: &str, cell: &str| RecordBatch::try_from_iter([("_as_of", batch(name, cell).column(0).clone())]).unwrap();
    assert_eq!(feed(as_of("at", "-")), "ledger: row 0: `_as_of` is null");
    let count = as_of("run", "7");
    let message = "ledger: column `_as_of` has type Int64, expected Timestamp(µs, \"UTC\")";
    assert_eq!(feed(count.clone()), message);
    assert_eq!(rcm_scd2::rewind(&snapshots(), &of(count), 0).unwrap_err().to_string(), message);

    let load = [batch("id name", "a A")];
    let merged = merge(&snapshots(), &State::new(), &Load::new(&load, 1)).unwrap();
    for name in ["_as_of", "_digest", "_complete"] {
        let ledger = merged.ledger.adds.clone();
        let at = ledger.schema().index_of(name).unwrap();
        let mut columns = ledger.columns().to_vec();
        columns[at] = new_null_array(columns[at].data_type(), 1);
        let fields: Vec<Field> =
            ledger.schema().fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let ledger = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let error = merge(&snapshots(), &of(ledger), &Load::new(&load, 2)).unwrap_err();
        assert_eq!(error.to_string(), format!("ledger: row 0: `{name}` is null"));
    }
}

#[test]
fn an_untouched_key_is_found_broken_by_verify() {
    for (rows, row, fault) in broken().into_iter().filter(|(.., fault)| is_of_two_rows(*fault)) {
        let state = State::from_history(vec![batch(HEADER, rows)]);
        finds(verify(&snapshots(), &state.history), row, fault, rows);
        let load = [batch("id at name gone", "b 20 Z n")];
        let merged = merge(&feed(), &state, &Load::new(&load, 0)).unwrap();
        assert_eq!(merged.counts.new, 1, "L9: it leaves others alone");
    }
}

#[test]
fn corrections_rewinds_and_members_find_a_broken_key() {
    for (rows, row, fault) in broken() {
        let state = State::from_history(vec![batch(HEADER, rows)]);
        let correction = [crate::tables::bare("id name valid_from valid_to", "a Z 20 30")];
        for spec in [snapshots(), feed()] {
            finds(rcm_scd2::correct(&spec, &state, &correction), row, fault, rows);
            finds(rcm_scd2::rewind(&spec, &state, 0), row, fault, rows);
            if !is_of_two_rows(fault) {
                finds(rcm_scd2::ensure_members(&spec, &state, &[batch("id", "a")], 1), row, fault, rows);
            }
        }
    }
}

#[test]
fn rows_are_counted_over_all_batches() {
    let history = [batch(HEADER, "b B 1 - t f"), batch(HEADER, ""), batch(HEADER, "a A 1 5 f f\na A 4 - t f")];
    finds(verify(&snapshots(), &history), 2, Fault::Overlap { other: 1 }, "three batches");
    let history = [batch(HEADER, "b B 1 - t f"), batch(HEADER, "a A 5 5 f f")];
    finds(verify(&snapshots(), &history), 1, Fault::EmptyInterval, "two batches");
    let history = [batch(HEADER, "b B 1 - t f\nc C 1 - t f"), batch(HEADER, "a A 1 - t f\n- A 1 - t f")];
    finds(verify(&snapshots(), &history), 3, Fault::NullKey, "the last row of two batches");
}

#[test]
fn a_broken_row_far_down_a_batch_is_found() {
    let open = |n: usize| format!("k{n} A 1 - t f\n");
    let closed = |n: usize| format!("k{n} A 1 5 f f\n");
    let mixed = |n: usize| if n.is_multiple_of(3) { open(n) } else { closed(n) };
    let tables: [&dyn Fn(usize) -> String; 3] = [&open, &closed, &mixed];
    for (rows, row, fault) in broken().into_iter().filter(|(.., fault)| !is_of_two_rows(*fault)) {
        for (table, sound) in tables.iter().flat_map(|table| [63, 64, 70, 128].map(|sound| (table, sound))) {
            let before: String = (0..sound).map(table).collect();
            verify(&snapshots(), &[batch(HEADER, &before)]).unwrap();
            finds(verify(&snapshots(), &[batch(HEADER, &(before + rows))]), sound + row, fault, rows);
        }
    }
}

#[test]
fn null_is_inferred_is_broken() {
    let spec = Spec::snapshot(["id"]).track(["name"]).build().unwrap();
    let history = [batch("id name valid_from valid_to is_inferred", "a A 1 - -")];
    finds(verify(&spec, &history), 0, Fault::NullFlag, "is_inferred");
}

#[test]
fn the_open_end_of_a_table_is_checked() {
    let spec = Spec::snapshot(["id"]).track(["name"]).open_valid_to(99).build().unwrap();
    let header = "id name valid_from valid_to is_current";
    verify(&spec, &[batch(header, "a A 1 5 f\na A 5 99 t")]).unwrap();
    finds(verify(&spec, &[batch(header, "a A 1 - t")]), 0, Fault::CurrentFlag, "null is not its open end");
    finds(verify(&spec, &[batch(header, "a A 1 - f")]), 0, Fault::CurrentFlag, "a version that is over has an end");
    finds(verify(&spec, &[batch(header, "a A 1 99 f")]), 0, Fault::CurrentFlag, "not current");
    finds(verify(&spec, &[batch(header, "a A 99 99 t")]), 0, Fault::EmptyInterval, "empty");
}
