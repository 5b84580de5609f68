//! The as-of join, where the law tests do not look.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use rcm_scd2::{Absence, Spec, as_of_join};

use crate::tables::batch;

const HISTORY: &str = "id name valid_from valid_to";

fn spec() -> Spec {
    Spec::snapshot(["id"]).track(["name"]).build().unwrap()
}

fn facts(at: ArrayRef) -> RecordBatch {
    let ids = Arc::new(StringArray::from(vec!["a"; at.len()])) as ArrayRef;
    RecordBatch::try_from_iter_with_nullable([("patient", ids, true), ("when", at, true)]).unwrap()
}

#[test]
fn an_instant_is_a_date_or_a_timestamp_of_any_unit() {
    let history = [batch(HISTORY, "a A 0 86400000000\na B 86400000000 -")];
    let micros = batch("at", "-1\n0\n86399999999\n86400000000\n-").column(0).clone();
    for unit in [TimeUnit::Nanosecond, TimeUnit::Microsecond] {
        let at = cast(&micros, &DataType::Timestamp(unit, Some("UTC".into()))).unwrap();
        let rows = as_of_join(&spec(), &history, &[facts(at)], &["patient"], "when").unwrap();
        assert_eq!(rows.iter().collect::<Vec<_>>(), [None, Some(0), Some(0), Some(1), None]);
    }
    let days: ArrayRef = Arc::new(arrow::array::Date32Array::from(vec![-1, 0, 1]));
    for kind in [DataType::Date32, DataType::Date64, DataType::Timestamp(TimeUnit::Second, None)] {
        let at = cast(&days, &kind).unwrap();
        let rows = as_of_join(&spec(), &history, &[facts(at)], &["patient"], "when").unwrap();
        assert_eq!(rows.iter().collect::<Vec<_>>(), [None, Some(0), Some(1)], "{kind}");
    }
}

#[test]
fn an_instant_of_another_type_is_refused() {
    let history = [batch(HISTORY, "a A 0 -")];
    let columns: [ArrayRef; 4] = [
        Arc::new(StringArray::from(vec!["2024-01-01"])),
        Arc::new(Int64Array::from(vec![5])),
        Arc::new(Float64Array::from(vec![5.0])),
        Arc::new(BooleanArray::from(vec![true])),
    ];
    for at in columns {
        let kind = at.data_type().clone();
        let joined = as_of_join(&spec(), &history, &[facts(at)], &["patient"], "when");
        let message = format!("facts: column `when` has type {kind}, expected a date or a timestamp");
        assert_eq!(joined.map_err(|error| error.to_string()), Err(message));
    }
}

#[test]
fn history_that_breaks_a_law_is_refused() {
    let at = || facts(batch("at", "7").column(0).clone());
    for (broken, fault) in [
        ("a A 0 9\na B 5 -", "history: row 1: overlaps row 0 of the same key"),
        ("a A 0 -\na B 5 -", "history: row 1: current, as is row 0 of the same key"),
        ("a A 9 9", "history: row 0: `valid_to` is not later than `valid_from`"),
    ] {
        let joined = as_of_join(&spec(), &[batch(HISTORY, broken)], &[at()], &["patient"], "when");
        assert_eq!(joined.map_err(|error| error.to_string()), Err(fault.to_owned()));
    }
}

#[test]
fn a_marker_is_no_version_and_an_inferred_member_is_one() {
    let spec = Spec::snapshot(["id"]).track(["name"]).deletes(Absence::marker()).build().unwrap();
    let header = "id name valid_from valid_to is_deleted is_inferred";
    let history = [batch(header, "a A 0 5 f f\na A 5 - t f\nb - 0 - f t")];
    let facts = [batch("patient at", "a 4\na 5\nb 5\n- 5\nz 5")];
    let rows = as_of_join(&spec, &history, &facts, &["patient"], "at").unwrap();
    assert_eq!(rows.iter().collect::<Vec<_>>(), [Some(0), None, Some(2), None, None]);
}

#[test]
fn a_null_key_finds_its_version_where_null_is_a_value() {
    let spec = Spec::snapshot(["id"]).track(["name"]).null_keys_as_value().build().unwrap();
    let rows =
        as_of_join(&spec, &[batch(HISTORY, "- A 0 -")], &[batch("patient at", "- 5")], &["patient"], "at").unwrap();
    assert_eq!(rows.iter().collect::<Vec<_>>(), [Some(0)]);
}

#[test]
fn what_cannot_be_joined_says_why() {
    let said = |keys: &[&str], at: &str, facts: RecordBatch| {
        as_of_join(&spec(), &[batch(HISTORY, "a A 0 -")], &[facts], keys, at).unwrap_err().to_string()
    };
    let good = || facts(batch("at", "7").column(0).clone());
    assert_eq!(said(&[], "when", good()), "facts: 0 key columns are named, the spec has 1");
    let missing = "facts: column `patent` is missing (there are: patient, when)";
    assert_eq!(said(&["patent"], "when", good()), missing);
    let missing = "facts: column `then` is missing (there are: patient, when)";
    assert_eq!(said(&["patient"], "then", good()), missing);
    let far: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX]));
    let far = facts(cast(&far, &DataType::Timestamp(TimeUnit::Second, None)).unwrap());
    let out = "facts: row 0: column `when` is out of range for Timestamp(µs)";
    assert_eq!(said(&["patient"], "when", far), out);
    let number = cast(&(Arc::new(Int64Array::from(vec![5])) as ArrayRef), &DataType::Int64).unwrap();
    let at = batch("at", "7").column(0).clone();
    let wrong = RecordBatch::try_from_iter([("patient", number), ("when", at)]).unwrap();
    assert_eq!(said(&["patient"], "when", wrong), "facts: column `patient` has type Int64, expected Utf8");
    let far: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX]));
    let far = cast(&far, &DataType::Timestamp(TimeUnit::Second, None)).unwrap();
    let near = cast(&batch("at", "7").column(0), &DataType::Timestamp(TimeUnit::Nanosecond, None)).unwrap();
    let out = as_of_join(&spec(), &[batch(HISTORY, "a A 0 -")], &[facts(near), facts(far)], &["patient"], "when");
    assert_eq!(out.unwrap_err().to_string(), "facts: row 1: column `when` is out of range for Timestamp(ns)");
    let nested: ArrayRef = Arc::new(arrow::array::StructArray::from(batch("name", "A")));
    let wrong =
        RecordBatch::try_from_iter([("patient", nested), ("when", batch("at", "7").column(0).clone())]).unwrap();
    let message = said(&["patient"], "when", wrong);
    assert!(message.starts_with("facts: column `patient` has the unsupported type Struct"), "{message}");
}
