//! A load in parts: what is judged as a whole, and which buckets are asked for. (That the parts come to the whole is L15.)

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StructArray, UInt32Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use rcm_scd2::{
    Absence, Complete, Cut, Disposition, Error, InitialValidFrom, Late, Load, RefusalCode, Refused, SnapshotBuilder,
    Spec, State, Summary, apply, merge,
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

fn column(name: &str, values: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter([("id", batch("id", "1a").column(0).clone()), (name, values)]).unwrap()
}

#[test]
fn what_only_history_fits_together_is_taken() {
    let spec = snapshot().build().unwrap();
    let small = |data_type| cast(&batch("run", "3").column(0), &data_type).unwrap();
    let rows = [column("name", small(DataType::UInt8)), column("name", small(DataType::Int8))];
    let old = merge(&spec, &State::new(), &Load::new(&[column("name", small(DataType::Int16))], 1)).unwrap();
    let state = apply(&State::new(), &old).unwrap();
    let load = Load::new(&rows, 2);
    let whole = merge(&spec, &state, &load).unwrap();
    let cut = Cut::new(&spec, &state.ledger, &load, &by_digit).unwrap();
    let unit = &cut.units(0..10)[0];
    assert_eq!(cut.merge(unit, state.history.clone(), state.hidden.clone()).unwrap().counts, whole.counts);
    assert!(matches!(merge(&spec, &State::new(), &load), Err(Error::ColumnType { .. })));
    assert!(matches!(cut.merge(unit, Vec::new(), Vec::new()), Err(Error::ColumnType { .. })));
}

#[test]
fn a_feed_looks_at_nothing_that_is_withheld() {
    let spec = Spec::feed(["id"], ["at"]).track(["name"]).build().unwrap();
    let (rows, raw) = ([batch("id at name", "1a 5 N")], [batch("run", "7")]);
    let load = Load { withheld: &raw, ..Load::new(&rows, 0) };
    let cut = Cut::new(&spec, &[], &load, &by_digit).unwrap();
    for unit in cut.units(0..10) {
        assert_eq!(cut.merge(&unit, Vec::new(), Vec::new()).unwrap(), merge(&spec, &State::new(), &load).unwrap());
    }
}

#[test]
fn scope_values_are_entered_in_the_type_of_the_ledger() {
    let spec = Spec::snapshot(["id", "run"]).track(["name"]).deletes(Absence::close().within(["run"])).build().unwrap();
    let load_of = |data_type| {
        let [id, name] = ["1a", "N"].map(|cell| batch("id", cell).column(0).clone());
        let run = cast(&batch("run", "7").column(0), &data_type).unwrap();
        [RecordBatch::try_from_iter([("id", id), ("run", run), ("name", name)]).unwrap()]
    };
    let (wide, narrow) = (load_of(DataType::Int64), load_of(DataType::Int32));
    let runs = |rows: &[RecordBatch; 1]| rows[0].column(1).clone();
    let only = [RecordBatch::try_from_iter([("run", runs(&narrow))]).unwrap()];
    let ledger = merge(&spec, &State::new(), &Load::new(&wide, 1)).unwrap().ledger.apply(&[]).unwrap();
    let load = Load { complete: Complete::Only(&only), ..Load::new(&narrow, 2) };
    let cut = Cut::new(&spec, &ledger, &load, &by_digit).unwrap();
    let units = cut.units(0..2);
    units.iter().for_each(|unit| drop(cut.merge(unit, Vec::new(), Vec::new()).unwrap()));
    let entered = cut.finish().unwrap().ledger;
    assert_eq!((units.len(), entered.adds.column(0).data_type()), (2, &DataType::Int64));
    assert_eq!(entered, merge(&spec, &State { ledger, ..State::new() }, &load).unwrap().ledger);
}

#[test]
fn a_value_out_of_range_is_named_by_its_place_in_the_load() {
    let spec = snapshot().build().unwrap();
    let ids = |text: &str| batch("id", text).column(0).clone();
    let instants = |text: &str, unit| cast(&batch("at", text).column(0), &DataType::Timestamp(unit, None)).unwrap();
    let pairs = |ids, names| RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap();
    let rows = [
        pairs(ids("1a\n2a"), instants("1\n2", TimeUnit::Nanosecond)),
        pairs(ids("2b\n1b\n2c"), instants("3\n4\n253402214400000000", TimeUnit::Microsecond)),
    ];
    let load = Load::new(&rows, 1);
    let cut = Cut::new(&spec, &[], &load, &by_digit).unwrap();
    let units = cut.units(0..10);
    assert_eq!(cut.merge(&units[0], Vec::new(), Vec::new()).unwrap().counts.new, 2);
    let error = cut.merge(&units[1], Vec::new(), Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "load: row 4: column `name` is out of range for Timestamp(ns)");
    assert_eq!(error, merge(&spec, &State::new(), &load).unwrap_err());
}

#[test]
fn a_bucket_is_given_for_every_row() {
    let spec = snapshot().build().unwrap();
    let rows = [batch(COLUMNS, "1a N\n2a N")];
    let one = |_: &[ArrayRef]| Ok(UInt32Array::from(vec![0]));
    let error = Cut::new(&spec, &[], &Load::new(&rows, 1), &one).err().unwrap();
    assert_eq!(error.to_string(), "buckets: 1 are given for 2 rows");
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
