//! Which columns a table and a load may have, and tables that other tools have filled.

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use rcm_scd2::{Absence, Disposition, Error, Load, Patch, Spec, State, When, apply, merge};

use crate::tables::{Table, batch, lines, rows_of};

fn snapshots() -> Spec {
    Spec::snapshot(["id"]).track(["name"]).deletes(Absence::close()).build().unwrap()
}

#[test]
fn a_history_with_further_columns_is_merged_into_and_not_applied_to() {
    let state = State::from_history(vec![batch("surrogate id name valid_from valid_to", "s1 a A 1 -\ns2 b B 1 -")]);
    let rows = [batch("id name", "a X\nb B")];
    let merged = merge(&snapshots(), &state, &Load::new(&rows, 2)).unwrap();
    assert_eq!((merged.closes.len(), merged.closes[0].row, merged.opens.num_rows()), (1, 0, 1));
    assert!(merged.opens.column_by_name("surrogate").is_none());
    let error = apply(&state, &merged).unwrap_err();
    assert_eq!(error.to_string(), "history: column `surrogate` has no role in the spec");
    let ledger = merged.ledger.apply(&state.ledger).unwrap();
    assert_eq!(rows_of(&ledger), 1);
    assert!(merged.hidden.apply(&state.hidden).is_ok());
    let next = State { ledger, ..state };
    let again = merge(&snapshots(), &next, &Load::new(&rows, 2)).unwrap();
    assert_eq!(again.scopes[0].disposition, Disposition::Repeated);
}

#[test]
fn columns_without_a_role_are_unknown_in_a_load_even_without_rows() {
    for rows in ["", "a A x"] {
        let error = merge(&snapshots(), &State::new(), &Load::new(&[batch("id name extra", rows)], 1)).unwrap_err();
        assert_eq!(error, Error::UnknownColumn { place: "load", column: "extra".to_owned() });
    }
    let feed = Spec::feed(["id"], ["at"]).track(["name"]).build().unwrap();
    let error = merge(&feed, &State::new(), &Load::new(&[batch("id at name valid_from", "a 1 A 1")], 0)).unwrap_err();
    assert_eq!(error, Error::UnknownColumn { place: "load", column: "valid_from".to_owned() });
}

#[test]
fn columns_and_batches_may_lie_in_any_order() {
    let mut table = Table::new(snapshots());
    table.state = State::from_history(vec![
        batch("valid_to valid_from name id", "- 1 A a"),
        batch("id valid_from valid_to", "b 1 -"),
        batch("id name valid_from valid_to", ""),
        batch("name id valid_from valid_to", "C c 1 5"),
    ]);
    let rows = [batch("name id", "X a"), batch("id", "b"), batch("id name", "c C")];
    let merged = table.load(&Load::new(&rows, 9)).unwrap();
    assert_eq!((merged.counts.changed, merged.counts.no_op), (2, 1));
    table.shows("a A 1 9\na X 9 -\nb - 1 -\nc C 1 5\nc C 9 -");
}

#[test]
fn a_table_of_another_tool_goes_on_as_a_snapshot_table() {
    let mut table = Table::from_history(snapshots(), "id name valid_from valid_to", "a A 1 5\na B 5 -\nb B 1 3");
    table.at(9, "id name", "a B\nb B\nc C");
    table.shows("a A 1 5\na B 5 -\nb B 1 3\nb B 9 -\nc C 9 -");
    table.at(10, "id name", "a C");
    table.shows("a A 1 5\na B 5 10\na C 10 -\nb B 1 3\nb B 9 10\nc C 9 10");
}

#[test]
fn a_table_of_another_tool_goes_on_as_a_feed() {
    let spec = Spec::feed(["id"], ["at"]).track(["name"]).deletes(When::new("gone", "y")).build().unwrap();
    let mut table = Table::from_history(spec, "id name valid_from valid_to", "a A 5 10\na B 10 20\nb B 1 -");
    table.at(0, "id at name gone", "a 7 X -\na 15 - y\na 30 A -\nb 9 B -");
    table.shows("a A 5 7\na X 7 10\na B 10 15\na A 30 -\nb B 1 -");
    assert_eq!(table.hidden(), 2, "the delete of day 20 ends nothing now, and day 9 opens nothing");
    table.at(0, "id at name gone", "a 17 Z -");
    table.shows("a A 5 7\na X 7 10\na B 10 15\na Z 17 20\na A 30 -\nb B 1 -");
}

#[test]
fn a_new_column_reaches_old_rows_as_null() {
    let mut table = Table::new(snapshots());
    table.at(1, "id name", "a A\nb B");
    table.spec = Spec::snapshot(["id"]).track(["name", "city"]).deletes(Absence::close()).build().unwrap();
    let merged = table.at(2, "id name city", "a A -\nb B Lyon");
    assert_eq!((merged.counts.no_op, merged.counts.changed), (1, 1));
    table.shows("a A - 1 -\nb B - 1 2\nb B Lyon 2 -");
}

#[test]
fn a_patch_removes_by_position_over_all_batches_and_adds_at_the_end() {
    let batches = [batch("id name", "a A\nb B"), batch("id name", ""), batch("name id", "C c\nD d")];
    let patch = Patch { removes: vec![1, 2], adds: batch("id name", "e E") };
    let patched = patch.apply(&batches).unwrap();
    assert_eq!(patched.len(), 1);
    assert_eq!(lines(&patched[0]), ["a A", "d D", "e E"]);
    let patched = Patch { removes: vec![0, 1, 2, 3], adds: batch("id name", "") }.apply(&batches).unwrap();
    assert_eq!((patched.len(), rows_of(&patched)), (1, 0));
    assert!(Patch { removes: vec![4], adds: batch("id name", "") }.apply(&batches).is_err());
    assert_eq!(Patch { removes: vec![], adds: batch("id name", "z Z") }.apply(&[]).unwrap().len(), 1);
}

#[test]
fn an_operation_that_leaves_hidden_state_and_the_ledger_alone_can_be_applied() {
    let mut table = Table::new(snapshots());
    table.at(1, "id name", "a A");
    let merged = rcm_scd2::ensure_members(&table.spec, &table.state, &[batch("id", "b")], 1).unwrap();
    assert!(merged.ledger.is_empty() && merged.hidden.is_empty());
    let after = apply(&table.state, &merged).unwrap();
    assert_eq!(after.ledger, table.state.ledger);
    assert_eq!(merged.ledger.apply(&table.state.ledger).unwrap(), table.state.ledger);
}

#[test]
fn the_times_of_a_history_may_lack_a_zone_but_not_have_another_unit() {
    let good = batch("id name valid_from valid_to", "a A 1 -");
    let retyped = |kind: &DataType| {
        let columns = good.schema_ref().fields().iter().zip(good.columns()).map(|(field, column)| {
            let time = field.name().starts_with("valid");
            (field.name().clone(), if time { cast(column, kind).unwrap() } else { column.clone() }, true)
        });
        State::from_history(vec![RecordBatch::try_from_iter_with_nullable(columns.collect::<Vec<_>>()).unwrap()])
    };
    let mut table = Table::new(snapshots());
    table.state = retyped(&DataType::Timestamp(TimeUnit::Microsecond, None));
    table.at(2, "id name", "a B");
    table.shows("a A 1 2\na B 2 -");
    let state = retyped(&DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())));
    let error = merge(&snapshots(), &state, &Load::new(&[batch("id name", "a B")], 2)).unwrap_err();
    let message = "history: column `valid_from` has type Timestamp(ns, \"UTC\"), expected Timestamp(us, \"UTC\")";
    assert_eq!(error.to_string(), message);
}
