use arrow::array::{ArrayRef, AsArray, Date32Array, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use rcm_scd2::{Close, Load, RefusalCode, Refused, Spec, merge};
use std::sync::Arc;

use crate::tables::{FEED, Table, batch, check_feed, feed_spec, outcomes, text};

#[test]
fn first_load_folds_all_events() {
    check_feed(
        &[("a 10 1 Bob p1 \n a 5 1 Ann p1 \n b 7 1 Eve p9", "Changed New New")],
        "a Ann p1 5 10 \n a Bob p1 10 - \n b Eve p9 7 -",
    );
}

#[test]
fn a_change_at_the_end_only_closes_and_opens() {
    let mut table = check_feed(&[("a 5 1 Ann p1 \n b 5 1 Eve p9", "New New")], "a Ann p1 5 - \n b Eve p9 5 -");
    let merged = table.load(&Load::new(&[batch(FEED, "a 8 2 Bob p1")], 0)).unwrap();
    assert_eq!(merged.closes, [Close { row: 0, valid_to: 8 }]);
    assert!(merged.withdrawals.is_empty());
    assert_eq!(text(&merged.opens), "a Bob p1 8 -");
    table.shows("a Ann p1 5 8 \n a Bob p1 8 - \n b Eve p9 5 -");
}

#[test]
fn equal_values_extend_the_run() {
    check_feed(&[("a 5 1 Ann p1", "New"), ("a 8 1 Ann p1", "NoOp")], "a Ann p1 5 -");
}

#[test]
fn a_late_event_splits_a_run_that_hidden_state_remembers() {
    let loads = [("a 5 1 Ann p \n a 10 1 Ann p \n a 15 1 Ann p", "New NoOp NoOp"), ("a 12 2 Bob p", "Late")];
    check_feed(&loads, "a Ann p 5 12 \n a Bob p 12 15 \n a Ann p 15 -");
}

#[test]
fn a_late_event_moves_the_start_of_an_equal_version() {
    let loads = [("a 5 1 Ann p \n a 10 1 Bob p", "New Changed"), ("a 8 2 Bob p", "Late")];
    check_feed(&loads, "a Ann p 5 8 \n a Bob p 8 -");
    check_feed(&[("a 5 1 Ann p", "New"), ("a 2 2 Ann p", "Late")], "a Ann p 2 -");
}

#[test]
fn a_late_event_without_effect_is_no_op() {
    let loads = [("a 5 1 Ann p \n a 10 1 Bob p", "New Changed"), ("a 8 2 Ann p", "NoOp")];
    check_feed(&loads, "a Ann p 5 10 \n a Bob p 10 -");
}

#[test]
fn a_late_untracked_value_never_overwrites_a_newer_one() {
    check_feed(&[("a 5 1 Ann p1 \n a 10 1 Ann p3", "New NoOp"), ("a 8 1 Ann p2", "NoOp")], "a Ann p3 5 -");
}

#[test]
fn an_untracked_change_is_written_in_place() {
    check_feed(&[("a 5 1 Ann p1", "New"), ("a 8 1 Ann p2", "Changed")], "a Ann p2 5 -");
    let loads = [("a 5 1 Ann p1 \n a 9 1 Bob p1", "New Changed"), ("a 7 1 Ann p2", "Late")];
    check_feed(&loads, "a Ann p2 5 9 \n a Bob p1 9 -");
}

#[test]
fn untracked_changes_in_one_load_are_the_effect_of_the_last() {
    check_feed(&[("a 5 1 Ann p1", "New"), ("a 6 1 Ann p2 \n a 7 1 Ann p2", "NoOp Changed")], "a Ann p2 5 -");
    check_feed(&[("a 5 1 Ann p1", "New"), ("a 6 1 Ann p2 \n a 7 1 Ann p1", "NoOp NoOp")], "a Ann p1 5 -");
}

#[test]
fn replay_changes_nothing() {
    let rows = "a 5 1 Ann p \n a 8 1 Bob p";
    let mut table = check_feed(&[(rows, "New Changed"), (rows, "NoOp NoOp")], "a Ann p 5 8 \n a Bob p 8 -");
    let merged = table.load(&Load::new(&[batch(FEED, rows)], 0)).unwrap();
    assert!(merged.is_no_op() && !merged.hidden_changed);
}

#[test]
fn identical_rows_collapse() {
    check_feed(&[("a 5 1 Ann p \n a 5 1 Ann p \n a 5 1 Ann p", "New Collapsed Collapsed")], "a Ann p 5 -");
}

#[test]
fn rows_that_contradict_each_other_are_refused() {
    let mut table = check_feed(
        &[("a 5 1 Ann p \n a 5 1 Bob p \n a 5 1 Bob p \n a 9 1 Cid p", "Refused Refused Refused New")],
        "a Cid p 9 -",
    );
    let merged = table.load(&Load::new(&[batch(FEED, "b 1 1 Ann p \n b 1 1 Ann q")], 0)).unwrap();
    let conflict = |row| Refused { row, code: RefusalCode::Conflict };
    assert_eq!(merged.refused, [conflict(0), conflict(1)]);
    table.shows("a Cid p 9 -");
}

#[test]
fn what_is_stored_wins_over_what_contradicts_it() {
    let loads = [("a 5 1 Ann p", "New"), ("a 5 1 Ann p \n a 5 1 Bob p \n a 5 1 Ann p", "NoOp Refused NoOp")];
    check_feed(&loads, "a Ann p 5 -");
}

#[test]
fn a_correction_replaces_what_it_corrects() {
    let loads = [("a 5 1 Ann p \n a 9 1 Bob p", "New Changed"), ("a 5 2 Eve p", "Late")];
    check_feed(&loads, "a Eve p 5 9 \n a Bob p 9 -");
    let loads = [("a 5 1 Ann p \n a 9 1 Bob p", "New Changed"), ("a 9 2 Ann p", "Changed")];
    check_feed(&loads, "a Ann p 5 -");
    check_feed(&[("a 5 1 Ann p", "New"), ("a 5 2 Ann q", "Changed")], "a Ann q 5 -");
}

#[test]
fn an_event_that_is_corrected_already_does_not_count() {
    check_feed(&[("a 5 1 Ann p \n a 5 2 Bob p", "NoOp New")], "a Bob p 5 -");
    check_feed(&[("a 5 2 Bob p", "New"), ("a 5 1 Ann p", "NoOp")], "a Bob p 5 -");
}

#[test]
fn equal_values_with_a_greater_sequence_are_only_remembered() {
    let mut table = check_feed(&[("a 5 1 Ann p", "New")], "a Ann p 5 -");
    let merged = table.load(&Load::new(&[batch(FEED, "a 5 3 Ann p")], 0)).unwrap();
    assert!(merged.is_no_op() && merged.hidden_changed);
    assert_eq!(outcomes(&merged), "NoOp");
    // A third event, numbered in between, does not win.
    let merged = table.load(&Load::new(&[batch(FEED, "a 5 2 Bob p")], 0)).unwrap();
    assert_eq!(outcomes(&merged), "NoOp");
    table.shows("a Ann p 5 -");
}

#[test]
fn null_keys_and_sequences_are_refused() {
    let rows = [batch(FEED, "- 5 1 Ann p \n a - 1 Ann p \n a 5 - Ann p \n a 5 1 Ann p")];
    let merged = Table::new(feed_spec()).load(&Load::new(&rows, 0)).unwrap();
    assert_eq!(outcomes(&merged), "Refused Refused Refused New");
    let codes: Vec<_> = merged.refused.iter().map(|refused| refused.code).collect();
    assert_eq!(codes, [RefusalCode::NullKey, RefusalCode::NullSequence, RefusalCode::NullSequence]);
}

#[test]
fn null_is_a_value_and_not_the_empty_string() {
    check_feed(
        &[("a 1 1 - p \n a 2 1 - p \n a 3 1 '' p \n a 4 1 - p", "New NoOp Changed Changed")],
        "a - p 1 3 \n a '' p 3 4 \n a - p 4 -",
    );
}

#[test]
fn floats_compare_as_numbers_and_nan_equals_nan() {
    let spec = Spec::feed(["id"], ["at"]).track(["weight"]).build().unwrap();
    let mut table = Table::new(spec);
    let rows = [batch("id at weight", "a 1 -0.0 \n a 2 0.0 \n a 3 NaN \n a 4 -NaN \n a 5 -")];
    let merged = table.load(&Load::new(&rows, 0)).unwrap();
    assert_eq!(outcomes(&merged), "New NoOp Changed NoOp Changed");
    table.shows("a 0.0 1 3 \n a NaN 3 5 \n a - 5 -");
}

#[test]
fn a_load_touches_no_other_key() {
    let mut table = check_feed(&[("a 5 1 Ann p \n b 5 1 Eve p", "New New")], "a Ann p 5 - \n b Eve p 5 -");
    let merged = table.load(&Load::new(&[batch(FEED, "b 3 1 Ida p \n b 9 1 Ida p")], 0)).unwrap();
    assert!(merged.closes.iter().all(|close| close.row == 1) && merged.withdrawals.iter().all(|row| *row == 1));
}

#[test]
fn hidden_state_is_canonical() {
    let one = check_feed(
        &[("b 2 1 X p \n a 5 1 Ann p \n a 1 2 Bob p", "New Changed New")],
        "b X p 2 - \n a Bob p 1 5 \n a Ann p 5 -",
    );
    let two = check_feed(
        &[("a 5 1 Ann p", "New"), ("a 1 2 Bob p", "Late"), ("b 2 1 X p", "New")],
        "a Bob p 1 5 \n a Ann p 5 - \n b X p 2 -",
    );
    assert_eq!(one.hidden, two.hidden);
    assert_eq!(text(&one.hidden[0]), "a 1 2 Bob p\na 5 1 Ann p\nb 2 1 X p");
}

#[test]
fn dates_and_other_units_are_valid_times() {
    let spec = Spec::feed(["id"], ["at"]).track(["name"]).build().unwrap();
    let load = |at: ArrayRef| {
        let id = Arc::new(StringArray::from(vec!["a", "a"])) as ArrayRef;
        let name = Arc::new(StringArray::from(vec!["Ann", "Bob"])) as ArrayRef;
        let rows = [RecordBatch::try_from_iter([("id", id), ("at", at), ("name", name)]).unwrap()];
        merge(&spec, &[], &[], &Load::new(&rows, 0)).unwrap()
    };
    let from = |opens: &RecordBatch| opens["valid_from"].as_primitive::<TimestampMicrosecondType>().values().to_vec();
    let days = load(Arc::new(Date32Array::from(vec![-1, 1])));
    assert_eq!(from(&days.opens), [-86_400_000_000, 86_400_000_000]);
    assert_eq!(*days.hidden["at"].data_type(), DataType::Date32);
    // Two instants inside one microsecond are one valid time: no empty interval arises.
    let nanos = load(Arc::new(TimestampNanosecondArray::from(vec![1_001, 1_002])));
    assert_eq!(text(&nanos.opens), "a Bob 1 -");
    assert_eq!(nanos.hidden.num_rows(), 2);
}
