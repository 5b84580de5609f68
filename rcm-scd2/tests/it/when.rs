//! Rows that say that their key is deleted.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use rcm_scd2::{Load, Spec, State, Value, When, apply, merge};

use crate::tables::{Table, outcomes};

/// How many versions are ended by one event whose flag is this.
fn ended(value: Value, flag: ArrayRef) -> usize {
    let spec = Spec::feed(["id"], ["at"]).track(["name"]).deletes(When::new("flag", value)).build().unwrap();
    let event = |at: i64, flag: ArrayRef| {
        let text = || Arc::new(StringArray::from(vec!["a"])) as ArrayRef;
        let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![at]));
        let columns = [("id", text(), true), ("at", at, true), ("name", text(), true), ("flag", flag, true)];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    let no_flag = arrow::array::new_null_array(flag.data_type(), 1);
    let first = merge(&spec, &State::new(), &Load::new(&[event(1, no_flag)], 0)).unwrap();
    let state = apply(&State::new(), &first).unwrap();
    assert_eq!(state.history[0].num_rows(), 1, "null is not equal");
    assert!(state.history[0].column_by_name("flag").is_none(), "the flag is not stored");
    merge(&spec, &state, &Load::new(&[event(2, flag)], 0)).unwrap().closes.len()
}

#[test]
fn text_is_compared_in_every_encoding() {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    for kind in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary] {
        for (text, count) in [("D", 1), ("d", 0), ("D ", 0), ("", 0)] {
            let flag: ArrayRef = Arc::new(StringArray::from(vec![text]));
            assert_eq!(ended("D".into(), cast(&flag, &kind).unwrap()), count, "{text:?} as {kind}");
        }
    }
}

#[test]
fn integers_are_compared_in_every_width_and_flags_as_they_are() {
    use DataType::*;
    for kind in [Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64] {
        for (number, count) in [(3, 1), (4, 0), (0, 0)] {
            let flag: ArrayRef = Arc::new(Int64Array::from(vec![number]));
            assert_eq!(ended(3.into(), cast(&flag, &kind).unwrap()), count, "{number} as {kind}");
        }
    }
    let minus: ArrayRef = Arc::new(Int64Array::from(vec![-1]));
    assert_eq!(ended((-1).into(), cast(&minus, &Int8).unwrap()), 1);
    let largest: ArrayRef = Arc::new(arrow::array::UInt64Array::from(vec![u64::MAX]));
    assert_eq!(ended((-1).into(), largest), 0);
    for (flag, count) in [(true, 0), (false, 1)] {
        assert_eq!(ended(false.into(), Arc::new(BooleanArray::from(vec![flag]))), count);
    }
}

#[test]
fn what_a_delete_says_of_the_columns_means_nothing() {
    let spec = Spec::snapshot(["id"]).track(["name"]).latest_in_run(["phone"]).all_versions(["mail"]);
    let mut table = Table::new(spec.deletes(When::new("gone", "y").marker()).build().unwrap());
    let header = "id name phone mail gone";
    table.at(1, header, "a A 1 x n");
    let merged = table.at(2, header, "a B 2 y y\na C 3 z n\na D 4 - y");
    assert_eq!(outcomes(&merged), "Changed Collapsed Collapsed");
    table.shows("a A 1 x 1 2 f\na A 1 x 2 - t");
    assert!(table.at(2, header, "a - - - y").is_nothing());
    assert!(table.at(3, header, "a - - - y\nz - - - y").is_no_op());
}
