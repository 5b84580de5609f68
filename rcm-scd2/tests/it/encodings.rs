use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use rcm_scd2::{Load, Spec, merge};

use crate::tables::{FEED, SNAPSHOT, SNAPSHOT_HISTORY, batch, feed_spec, outcomes, snapshot_spec};

fn encoded(batch: &RecordBatch, string: &DataType) -> RecordBatch {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, column)| {
        let is_string = *column.data_type() == DataType::Utf8;
        let column = if is_string { cast(column, string).unwrap() } else { ArrayRef::clone(column) };
        (field.name().clone(), column)
    });
    RecordBatch::try_from_iter(columns.collect::<Vec<_>>()).unwrap()
}

fn strings() -> [DataType; 4] {
    let dictionary = |value| DataType::Dictionary(Box::new(DataType::Int16), Box::new(value));
    [DataType::Utf8View, DataType::LargeUtf8, dictionary(DataType::Utf8), dictionary(DataType::LargeUtf8)]
}

#[test]
fn loads_in_any_encoding_merge_alike() {
    let history = [batch(SNAPSHOT_HISTORY, "H1 a Ann p 10 - \n H1 b - p 10 -")];
    let rows = batch(SNAPSHOT, "H1 a Eve p \n H1 b - p \n H1 c '' -");
    let plain = merge(&snapshot_spec(), &history, &[], &Load::new(std::slice::from_ref(&rows), 20)).unwrap();
    for string in strings() {
        let rows = [encoded(&rows.slice(0, 1), &string), encoded(&rows.slice(1, 2), &DataType::Utf8)];
        assert_eq!(merge(&snapshot_spec(), &history, &[], &Load::new(&rows, 20)).unwrap(), plain, "{string}");
    }
}

#[test]
fn opens_have_the_types_of_history_without_their_encoding() {
    let rows = batch(SNAPSHOT, "H1 a Eve p");
    let history = batch(SNAPSHOT_HISTORY, "H1 a Ann p 10 -");
    for string in strings() {
        let history = [encoded(&history, &string)];
        let merged = merge(&snapshot_spec(), &history, &[], &Load::new(std::slice::from_ref(&rows), 20)).unwrap();
        assert_eq!(outcomes(&merged), "Changed");
        let large = format!("{string}").contains("LargeUtf8");
        let expected = if large { DataType::LargeUtf8 } else { DataType::Utf8 };
        assert_eq!(*merged.opens["name"].data_type(), expected);
    }
    let merged = merge(&snapshot_spec(), &[], &[], &Load::new(&[encoded(&rows, &DataType::Utf8View)], 20)).unwrap();
    let fields: Vec<_> = merged.opens.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(fields, ["hospital", "id", "name", "phone", "valid_from", "valid_to", "is_current"]);
    assert_eq!(*merged.opens["valid_to"].data_type(), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
}

#[test]
fn narrower_numbers_and_columns_in_another_order_merge_alike() {
    let spec = Spec::snapshot(["id"]).track(["n"]).build().unwrap();
    let id = || Arc::new(StringArray::from(vec!["a"])) as ArrayRef;
    let wide =
        RecordBatch::try_from_iter([("id", id()), ("n", Arc::new(Int64Array::from(vec![7])) as ArrayRef)]).unwrap();
    let narrow = RecordBatch::try_from_iter([
        ("n", Arc::new(Int32Array::from(vec![7])) as ArrayRef),
        ("other", id()),
        ("id", id()),
    ])
    .unwrap();
    let first = merge(&spec, &[], &[], &Load::new(&[wide], 1)).unwrap();
    assert!(merge(&spec, &[first.opens], &[], &Load::new(&[narrow], 2)).unwrap().is_no_op());
}

#[test]
fn a_sequence_in_a_coarser_unit_meets_the_stored_one() {
    let first = merge(&feed_spec(), &[], &[], &Load::new(&[batch(FEED, "a 5000 1 Ann p")], 0)).unwrap();
    let rows = batch(FEED, "a 5000 1 Ann p");
    let mut columns = rows.columns().to_vec();
    columns[1] = Arc::new(TimestampMillisecondArray::from(vec![5]));
    let names = FEED.split_whitespace().zip(columns);
    let rows = [RecordBatch::try_from_iter_with_nullable(names.map(|(name, column)| (name, column, true))).unwrap()];
    let again = merge(&feed_spec(), &[first.opens], &[first.hidden], &Load::new(&rows, 0)).unwrap();
    assert!(again.is_no_op() && !again.hidden_changed);
    assert_eq!(again.hidden["at"].len(), 1);
}
