//! A load in parts: what is judged as a whole, and which buckets are asked for. (That the parts come to the whole is L15.)

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StructArray, UInt32Array};
use rcm_scd2::{
    Absence, Complete, Cut, Disposition, Error, InitialValidFrom, Late, Load, RefusalCode, Refused, SnapshotBuilder,
    Spec, State, Summary, apply,
};

use crate::tables::batch;

const COLUMNS: &str = "id name";

/// The bucket of a key is its first digit.
fn by_digit(keys: &[ArrayRef]) -> Result<UInt32Array, Error> {
    let ids = arrow::array::AsArray::as_string::<i32>(&keys[0]);
    Ok(ids.iter().map(|id| id.map_or(0, |id| u32::from(id.as_bytes()[0] - b'0'))).collect())
}

/// Merges bucket by bucket into ten states.
fn take(spec: &Spec, states: &mut [State], ledger: &mut Vec<RecordBatch>, load: &Load) -> Result<Summary, Error> {
    let cut = Cut::new(spec, ledger, load, &by_digit)?;
    let mut after = states.to_vec();
    for unit in cut.units(0..10) {
        let bucket = unit.buckets()[0] as usize;
        assert_eq!(unit.buckets().len(), 1);
        let State { history, hidden, .. } = states[bucket].clone();
        let merged = cut.merge(&unit, history, hidden)?;
        after[bucket] = apply(&State { ledger: Vec::new(), ..states[bucket].clone() }, &merged)?;
    }
    let summary = cut.finish()?;
    *ledger = summary.ledger.apply(ledger)?;
    states.clone_from_slice(&after);
    Ok(summary)
}

fn snapshot() -> SnapshotBuilder {
    Spec::snapshot(["id"]).track(["name"])
}

fn units(spec: &Spec, ledger: &[RecordBatch], load: &Load) -> Vec<Vec<u32>> {
    let cut = Cut::new(spec, ledger, load, &by_digit).unwrap();
    cut.units(0..10).iter().map(|unit| unit.buckets().to_vec()).collect()
}

#[test]
fn only_touched_buckets_are_units_unless_absence_means_something() {
    let rows = [batch(COLUMNS, "7a N\n3a N\n3b N")];
    let load = Load::new(&rows, 5);
    assert_eq!(units(&snapshot().build().unwrap(), &[], &load), [[3], [7]]);
    let held = [batch("id", "9a")];
    assert_eq!(units(&snapshot().build().unwrap(), &[], &Load { withheld: &held, ..load.clone() }), [[3], [7], [9]]);
    let absence = snapshot().deletes(Absence::close()).build().unwrap();
    assert_eq!(units(&absence, &[], &load).len(), 10);
    assert_eq!(units(&snapshot().build().unwrap(), &[], &Load::new(&[], 5)), [[0]]);
    let epoch = snapshot().initial_valid_from(InitialValidFrom::EpochFirstLoad).build().unwrap();
    assert_eq!(units(&epoch, &[], &load), [(0..10).collect::<Vec<_>>()]);
}

#[test]
fn what_was_applied_before_has_no_units_and_what_is_late_has_one() {
    let spec = snapshot().deletes(Absence::close()).late(Late::Apply).build().unwrap();
    let (mut states, mut ledger) = (vec![State::new(); 10], Vec::new());
    let rows = [batch(COLUMNS, "1a N\n2a N")];
    take(&spec, &mut states, &mut ledger, &Load::new(&rows, 5)).unwrap();
    let cut_of = |load: &Load| units(&spec, &ledger, load);
    assert!(cut_of(&Load::new(&rows, 5)).is_empty());
    assert_eq!(cut_of(&Load::new(&rows, 4)), [(0..10).collect::<Vec<_>>()]);
    assert_eq!(cut_of(&Load::new(&rows, 6)).len(), 10);
    let again = take(&spec, &mut states, &mut ledger, &Load::new(&rows, 5)).unwrap();
    assert_eq!((again.scopes[0].disposition, again.counts.no_op), (Disposition::Repeated, 2));
}

#[test]
fn the_share_of_deletes_is_judged_over_all_buckets() {
    let spec = snapshot().deletes(Absence::close().max_ratio(0.5)).build().unwrap();
    let (mut states, mut ledger) = (vec![State::new(); 10], Vec::new());
    let four = [batch(COLUMNS, "1a N\n2a N\n3a N\n4a N")];
    take(&spec, &mut states, &mut ledger, &Load::new(&four, 1)).unwrap();
    // All of two buckets go, half of all.
    let two = [batch(COLUMNS, "1a N\n2a N")];
    let half = take(&spec, &mut states, &mut ledger, &Load::new(&two, 2)).unwrap();
    assert_eq!((half.counts.closed_by_absence, half.scopes[0].live), (2, 4));
    let none = take(&spec, &mut states, &mut ledger, &Load::new(&[batch(COLUMNS, "")], 3)).unwrap_err();
    assert_eq!(none, Error::TooManyDeletes { scope: None, absent: 2, live: 2, ratio: 0.5 });
}

#[test]
fn bad_rows_are_named_by_their_place_in_the_load() {
    let rows = [batch(COLUMNS, "9a N\n2a N\n- N"), batch(COLUMNS, "1a N\n2a M\n2a M")];
    let refused = |row, code| Refused { row, code };
    let bad = vec![
        refused(1, RefusalCode::Conflict),
        refused(2, RefusalCode::NullKey),
        refused(4, RefusalCode::Conflict),
        refused(5, RefusalCode::Conflict),
    ];
    let strict = snapshot().build().unwrap();
    let error = take(&strict, &mut vec![State::new(); 10], &mut Vec::new(), &Load::new(&rows, 1)).unwrap_err();
    assert_eq!(error, Error::BadRows { rows: bad.clone(), keys: 2 });
    let lenient = snapshot().bad_rows(rcm_scd2::BadRows::Quarantine).build().unwrap();
    let summary = take(&lenient, &mut vec![State::new(); 10], &mut Vec::new(), &Load::new(&rows, 1)).unwrap();
    assert_eq!((summary.refused, summary.counts.new), (bad, 2));
}

#[test]
fn what_no_merge_would_take_is_refused_before_anything_is_merged() {
    let spec = snapshot().build().unwrap();
    let refused = |rows: &[RecordBatch]| {
        let unasked = |_: &[ArrayRef]| panic!("no row is looked at");
        Cut::new(&spec, &[], &Load::new(rows, 1), &unasked).err().unwrap().to_string()
    };
    assert_eq!(refused(&[batch("id colour", "1a N")]), "load: column `colour` has no role in the spec");
    assert_eq!(refused(&[batch("name", "N")]), "load: column `id` is missing (there are: name)");
    for (column, other) in [("id", "name"), ("name", "id")] {
        let texts = batch("text", "a\nb").column(0).clone();
        let nested: ArrayRef = Arc::new(StructArray::from(batch("text", "a\nb")));
        let rows = RecordBatch::try_from_iter([(column, nested), (other, texts)]).unwrap();
        let message = refused(&[rows]);
        assert!(message.starts_with(&format!("load: column `{column}` has the unsupported type Struct")), "{message}");
    }
    let rows = [batch(COLUMNS, "1a N")];
    let only = Load { complete: Complete::Only(&[]), ..Load::new(&rows, 1) };
    assert_eq!(Cut::new(&spec, &[], &only, &by_digit).err(), Some(Error::CompleteWithoutScope));
    let until = snapshot().open_valid_to(9).build().unwrap();
    let late = Cut::new(&until, &[], &Load::new(&rows, 9), &by_digit).err();
    assert_eq!(late, Some(Error::BeyondOpenEnd { place: "load", row: None }));
}
