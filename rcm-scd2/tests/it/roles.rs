//! Every Arrow type as a scope, as an untracked column of a feed, as a sequence and as its further number.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use rcm_scd2::{Absence, Complete, Disposition, Error, Load, Spec, State, apply, merge};

use crate::types::{all_types, ids, pick, plain};

/// Applies snapshots with a scope column of this type.
fn scoped_by(scopes: &ArrayRef) -> Result<(), Error> {
    let spec = Spec::snapshot(["scope", "id"]).track(["value"]).null_keys_as_value();
    let spec = spec.deletes(Absence::close().within(["scope"])).build()?;
    let mut state = State::new();
    let mut merged = |as_of: i64, rows: &[u32], complete: Complete| {
        let (scope, id) = (pick(scopes, rows), ids(&["x", "y", "z"]).slice(0, rows.len()));
        let columns = [("scope", scope, true), ("id", id.clone(), true), ("value", id, true)];
        let rows = [RecordBatch::try_from_iter_with_nullable(columns).unwrap()];
        let merged = merge(&spec, &state, &Load { complete, ..Load::new(&rows, as_of) })?;
        state = apply(&state, &merged)?;
        Ok::<_, Error>(merged)
    };
    let kind = scopes.data_type();
    merged(1, &[], Complete::Everything)?;
    assert_eq!(merged(2, &[0, 1, 2], Complete::Present)?.scopes.len(), 3, "{kind}");
    assert_eq!(merged(2, &[0, 1, 2], Complete::Present)?.scopes[0].disposition, Disposition::Repeated, "{kind}");
    let only = [RecordBatch::try_from_iter_with_nullable([("scope", pick(scopes, &[1]), true)]).unwrap()];
    assert_eq!(merged(3, &[], Complete::Only(&only))?.counts.closed_by_absence, 1, "{kind}");
    assert_eq!(merged(4, &[], Complete::Everything)?.counts.closed_by_absence, 2, "{kind}");
    Ok(())
}

#[test]
fn every_type_can_be_a_scope() {
    let failed = all_types()
        .into_iter()
        .filter_map(|scopes| scoped_by(&scopes).err().map(|error| format!("{}: {error}", scopes.data_type())));
    assert_eq!(failed.collect::<Vec<_>>(), [] as [String; 0]);
}

#[test]
fn every_type_goes_through_hidden_state() {
    let spec = Spec::feed(["id"], ["at"]).track(["name"]).latest_in_run(["value"]).build().unwrap();
    for values in all_types() {
        let kind = plain(values.data_type());
        let event = |at: i64, name: &str, value: u32| {
            let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![at]));
            let columns = [("id", ids(&["a"])), ("at", at), ("name", ids(&[name])), ("value", pick(&values, &[value]))];
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
        };
        let mut state = State::new();
        for (at, name, value) in [(10, "A", 0), (30, "A", 2), (20, "A", 1), (25, "B", 0)] {
            let merged = merge(&spec, &state, &Load::new(&[event(at, name, value)], 0)).unwrap();
            state = apply(&state, &merged).unwrap_or_else(|error| panic!("{kind}: {error}"));
        }
        let all = arrow::compute::concat_batches(&state.history[0].schema(), &state.history).unwrap();
        let order = arrow::compute::sort_to_indices(all.column_by_name("valid_from").unwrap(), None, None).unwrap();
        let shown = take(all.column_by_name("value").unwrap(), &order, None).unwrap();
        assert_eq!(&shown, &pick(&cast(&values, &kind).unwrap(), &[1, 0, 2]), "{kind}");
    }
}

#[test]
fn the_greater_number_counts_in_every_type() {
    let spec = Spec::feed(["id"], ["at", "number"]).track(["name"]).build().unwrap();
    for numbers in all_types() {
        let kind = plain(numbers.data_type());
        let event = |name: &str, number: u32| {
            let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1]));
            let columns =
                [("id", ids(&["a"])), ("at", at), ("number", pick(&numbers, &[number])), ("name", ids(&[name]))];
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
        };
        let shown = |batches: &[RecordBatch]| {
            let mut state = State::new();
            for batch in batches {
                let merged = merge(&spec, &state, &Load::new(std::slice::from_ref(batch), 0)).unwrap();
                state = apply(&state, &merged).unwrap();
            }
            let all = arrow::compute::concat_batches(&state.history[0].schema(), &state.history).unwrap();
            arrow::array::AsArray::as_string::<i32>(all.column_by_name("name").unwrap()).value(0).to_owned()
        };
        let (first, second) = (event("0", 0), event("1", 1));
        let there = shown(&[first.clone(), second.clone()]);
        assert_eq!(there, shown(&[second, first]), "{kind}");
        if !matches!(kind, DataType::Interval(_)) {
            let pair = cast(&numbers.slice(0, 2), &kind).unwrap();
            let order = arrow::compute::sort_to_indices(&pair, None, None).unwrap();
            assert_eq!(there, order.value(1).to_string(), "{kind}");
        }
    }
}

#[test]
fn feeds_take_dates_and_timestamps_as_valid_times_and_nothing_else() {
    let spec = Spec::feed(["id"], ["at"]).track(["value"]).build().unwrap();
    for values in all_types() {
        let columns = [("id", ids(&["a"])), ("at", values.slice(0, 1)), ("value", ids(&["A"]))];
        let merged = merge(&spec, &State::new(), &Load::new(&[RecordBatch::try_from_iter(columns).unwrap()], 0));
        match values.data_type() {
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
                merged.unwrap();
            }
            kind => {
                let message = format!("load: column `at` has type {}, expected a date or a timestamp", plain(kind));
                assert_eq!(merged.unwrap_err().to_string(), message);
            }
        }
    }
}
