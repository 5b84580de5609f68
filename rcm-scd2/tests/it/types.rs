//! Arrow types: what every type keeps through a merge, what is widened, and what is refused.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal32Array, Decimal64Array, Decimal128Array, Decimal256Array,
    FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, IntervalDayTimeArray, IntervalMonthDayNanoArray,
    IntervalYearMonthArray, LargeStringArray, NullArray, RecordBatch, StringArray, new_null_array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{
    DataType, Field, Fields, IntervalDayTime, IntervalMonthDayNano, TimeUnit, UnionFields, UnionMode, i256,
};
use rcm_scd2::{Absence, Disposition, Error, Late, Load, Merged, Spec, State, apply, merge, verify};

use crate::tables::rows_of;

pub(crate) const UNITS: [TimeUnit; 4] =
    [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];

/// Two different values and a null of every type that has values.
pub(crate) fn all_types() -> Vec<ArrayRef> {
    let ints: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(2), None]));
    let longs: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some(""), None]));
    let bytes: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(b"a"), Some(b""), None]));
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some(b"ab"), Some(b"ac"), None].into_iter(), 2);
    let mut all: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        Arc::new(fixed.unwrap()),
        Arc::new(Decimal32Array::from(vec![Some(1), Some(-2), None]).with_precision_and_scale(9, 2).unwrap()),
        Arc::new(Decimal64Array::from(vec![Some(1), Some(-2), None]).with_precision_and_scale(18, 2).unwrap()),
        Arc::new(Decimal128Array::from(vec![Some(1), Some(-2), None]).with_precision_and_scale(38, 2).unwrap()),
        Arc::new(
            Decimal256Array::from(vec![Some(i256::MAX), Some(i256::MINUS_ONE), None])
                .with_precision_and_scale(76, 2)
                .unwrap(),
        ),
        Arc::new(IntervalYearMonthArray::from(vec![Some(1), Some(2), None])),
        Arc::new(IntervalDayTimeArray::from(vec![
            Some(IntervalDayTime::new(1, 2)),
            Some(IntervalDayTime::new(2, 1)),
            None,
        ])),
        Arc::new(IntervalMonthDayNanoArray::from(vec![
            Some(IntervalMonthDayNano::new(1, 2, 3)),
            Some(IntervalMonthDayNano::new(3, 2, 1)),
            None,
        ])),
    ];
    use DataType::*;
    for kind in [Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float16, Float32, Float64, Date32] {
        all.push(cast(&ints, &kind).unwrap());
    }
    all.push(cast(&cast(&ints, &Date32).unwrap(), &Date64).unwrap());
    for unit in UNITS {
        all.push(cast(&longs, &Timestamp(unit, None)).unwrap());
        all.push(cast(&longs, &Timestamp(unit, Some("UTC".into()))).unwrap());
        all.push(cast(&longs, &Duration(unit)).unwrap());
    }
    for unit in &UNITS[..2] {
        all.push(cast(&ints, &Time32(*unit)).unwrap());
    }
    for unit in &UNITS[2..] {
        all.push(cast(&longs, &Time64(*unit)).unwrap());
    }
    let dictionary = |values: DataType| Dictionary(Box::new(Int8), Box::new(values));
    for kind in [Utf8, LargeUtf8, Utf8View, dictionary(Utf8), dictionary(LargeUtf8)] {
        all.push(cast(&texts, &kind).unwrap());
    }
    for kind in [Binary, LargeBinary, BinaryView] {
        all.push(cast(&bytes, &kind).unwrap());
    }
    all.push(cast(&longs, &dictionary(Int64)).unwrap());
    all
}

pub(crate) fn plain(kind: &DataType) -> DataType {
    match kind {
        DataType::Dictionary(_, value) => plain(value),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    }
}

pub(crate) fn pick(array: &ArrayRef, rows: &[u32]) -> ArrayRef {
    take(array, &arrow::array::UInt32Array::from(rows.to_vec()), None).unwrap()
}

pub(crate) fn load(id: ArrayRef, value: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("id", id, true), ("value", value, true)]).unwrap()
}

pub(crate) fn ids(ids: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(ids.to_vec()))
}

pub(crate) fn spec() -> Spec {
    let spec = Spec::snapshot(["id"]).track(["value"]).null_keys_as_value().late(Late::Apply);
    spec.deletes(Absence::close()).build().unwrap()
}

#[track_caller]
pub(crate) fn step(state: &mut State, as_of: i64, batch: RecordBatch) -> Merged {
    let kind = batch.column(1).data_type().clone();
    let merged = merge(&spec(), state, &Load::new(&[batch], as_of)).unwrap_or_else(|error| panic!("{kind}: {error}"));
    *state = apply(state, &merged).unwrap_or_else(|error| panic!("{kind}: {error}"));
    verify(&spec(), &state.history).unwrap();
    merged
}

/// The values of the current rows, in the order of `ids`.
pub(crate) fn current(state: &State, column: usize) -> ArrayRef {
    let all = arrow::compute::concat_batches(&state.history[0].schema(), &state.history).unwrap();
    let current = all.column_by_name("is_current").unwrap();
    let all = arrow::compute::filter_record_batch(&all, arrow::array::AsArray::as_boolean(current)).unwrap();
    let order = arrow::compute::sort_to_indices(all.column(1 - column), None, None).unwrap();
    take(all.column(column), &order, None).unwrap()
}

#[test]
fn every_type_round_trips_as_a_tracked_column() {
    for values in all_types() {
        let kind = plain(values.data_type());
        let mut state = State::new();
        step(&mut state, 1, load(ids(&["a", "b", "c"]), values.clone()));
        assert_eq!(&current(&state, 1), &cast(&values, &kind).unwrap(), "{kind}");
        let merged = step(&mut state, 2, load(ids(&["a", "b", "c"]), values.clone()));
        assert!(merged.is_no_op(), "{kind}");
        let merged = step(&mut state, 3, load(ids(&["a", "b", "c"]), pick(&values, &[1, 2, 0])));
        assert_eq!((merged.counts.changed, merged.closes.len()), (3, 3), "{kind}");
        assert_eq!(&current(&state, 1), &pick(&cast(&values, &kind).unwrap(), &[1, 2, 0]), "{kind}");
        assert_eq!(
            step(&mut state, 1, load(ids(&["a", "b", "c"]), values)).scopes[0].disposition,
            Disposition::Repeated
        );
    }
}

#[test]
fn every_type_round_trips_as_a_key() {
    for keys in all_types() {
        let kind = plain(keys.data_type());
        let mut state = State::new();
        step(&mut state, 1, load(keys.clone(), ids(&["a", "b", "c"])));
        assert_eq!(&current(&state, 0), &cast(&keys, &kind).unwrap(), "{kind}");
        let merged = step(&mut state, 2, load(pick(&keys, &[2, 0, 1, 0]), ids(&["c", "a", "B", "a"])));
        let counts = (merged.counts.no_op, merged.counts.changed, merged.counts.collapsed);
        assert_eq!(counts, (2, 1, 1), "{kind}");
        let merged = step(&mut state, 3, load(pick(&keys, &[1]), ids(&["B"])));
        assert_eq!(merged.counts.closed_by_absence, 2, "{kind}");
        rcm_scd2::ensure_members(
            &spec(),
            &state,
            &[RecordBatch::try_from_iter([("id", keys.slice(0, 2))]).unwrap()],
            9,
        )
        .unwrap();
    }
}

#[test]
fn every_type_follows_and_precedes_a_column_of_nulls() {
    for values in all_types() {
        let kind = plain(values.data_type());
        let nulls = || -> ArrayRef { Arc::new(NullArray::new(3)) };
        let mut state = State::new();
        step(&mut state, 1, load(ids(&["a", "b", "c"]), nulls()));
        let merged = step(&mut state, 2, load(ids(&["a", "b", "c"]), values.clone()));
        assert_eq!((merged.counts.changed, merged.counts.no_op), (2, 1), "{kind}");
        assert_eq!(&current(&state, 1), &cast(&values, &kind).unwrap(), "{kind}");
        let merged = step(&mut state, 3, load(ids(&["a", "b", "c"]), nulls()));
        assert_eq!(merged.counts.changed, 2, "{kind}");
    }
}

#[test]
fn a_column_of_nulls_can_be_a_key() {
    let mut state = State::new();
    step(&mut state, 1, load(Arc::new(NullArray::new(2)), ids(&["a", "a"])));
    assert_eq!(rows_of(&state.history), 1);
    let merged = step(&mut state, 2, load(ids(&["x"]), ids(&["b"])));
    assert_eq!((merged.counts.new, merged.counts.closed_by_absence), (1, 1));
    let without = Spec::snapshot(["id"]).track(["value"]).build().unwrap();
    let rows = [load(Arc::new(NullArray::new(1)), ids(&["a"]))];
    let error = merge(&without, &State::new(), &Load::new(&rows, 1)).unwrap_err();
    assert_eq!(error.to_string(), "load: 1 bad rows of 1 keys: row 0 null key");
}

#[test]
fn text_is_the_same_in_every_encoding() {
    let texts = ids(&["x", "", "long enough to be out of line in a view"]);
    let dictionary = |values: DataType| DataType::Dictionary(Box::new(DataType::UInt16), Box::new(values));
    let kinds = [
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        dictionary(DataType::Utf8View),
        dictionary(DataType::Utf8),
    ];
    for first in &kinds {
        for second in &kinds {
            let mut state = State::new();
            let keyed = |kind: &DataType| load(cast(&texts, kind).unwrap(), cast(&texts, kind).unwrap());
            step(&mut state, 1, keyed(first));
            assert!(step(&mut state, 2, keyed(second)).is_no_op(), "{first}, then {second}");
        }
    }
}

#[test]
fn nan_is_nan_and_zero_is_zero_in_every_width() {
    for kind in [DataType::Float16, DataType::Float32, DataType::Float64] {
        let floats = |values: Vec<f64>| cast(&(Arc::new(Float64Array::from(values)) as ArrayRef), &kind).unwrap();
        let mut state = State::new();
        step(&mut state, 1, load(ids(&["a", "b"]), floats(vec![f64::NAN, 0.0])));
        assert!(step(&mut state, 2, load(ids(&["a", "b"]), floats(vec![-f64::NAN, -0.0]))).is_no_op(), "{kind}");
        let mut state = State::new();
        step(&mut state, 1, load(floats(vec![f64::NAN, -0.0]), ids(&["a", "b"])));
        assert!(
            step(&mut state, 2, load(floats(vec![-f64::NAN, 0.0]), ids(&["a", "b"]))).is_no_op(),
            "{kind} as a key"
        );
    }
}

fn unsupported() -> Vec<DataType> {
    let item = || Arc::new(Field::new("item", DataType::Int32, true));
    let pair = Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)]);
    let entries = Arc::new(Field::new("entries", DataType::Struct(pair.clone()), false));
    let union = UnionFields::try_new(vec![0], vec![Field::new("a", DataType::Int32, true)]).unwrap();
    let ends = Arc::new(Field::new("run_ends", DataType::Int32, false));
    let values = Arc::new(Field::new("values", DataType::Utf8, true));
    vec![
        DataType::List(item()),
        DataType::LargeList(item()),
        DataType::ListView(item()),
        DataType::LargeListView(item()),
        DataType::FixedSizeList(item(), 2),
        DataType::Struct(pair),
        DataType::Map(entries, false),
        DataType::Union(union, UnionMode::Sparse),
        DataType::RunEndEncoded(ends, values),
    ]
}

#[test]
fn nested_and_run_end_encoded_types_and_unions_are_refused_by_name() {
    for kind in unsupported() {
        for rows in [0, 1] {
            let nested = || new_null_array(&kind, rows);
            let text = || ids(&["a"]).slice(0, rows);
            let said = |batch: RecordBatch| merge(&spec(), &State::new(), &Load::new(&[batch], 1)).unwrap_err();
            let unsupported =
                |place, column: &str| Error::UnsupportedType { place, column: column.into(), found: kind.clone() };
            assert_eq!(said(load(text(), nested())), unsupported("load", "value"));
            assert_eq!(said(load(nested(), text())), unsupported("load", "id"));
            let message = format!("load: column `value` has the unsupported type {kind}");
            assert_eq!(said(load(text(), nested())).to_string(), message);
        }
    }
}

#[test]
fn further_columns_of_history_may_have_any_type() {
    for kind in unsupported() {
        let mut state = State::new();
        step(&mut state, 1, load(ids(&["a"]), ids(&["A"])));
        let batch = state.history[0].clone();
        let mut fields: Vec<Field> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.push(Field::new("extra", kind.clone(), true));
        let mut columns = batch.columns().to_vec();
        columns.push(new_null_array(&kind, 1));
        let schema = Arc::new(arrow::datatypes::Schema::new(fields));
        state.history = vec![RecordBatch::try_new(schema, columns).unwrap()];
        let merged = merge(&spec(), &state, &Load::new(&[load(ids(&["a"]), ids(&["B"]))], 2)).unwrap();
        assert_eq!(merged.counts.changed, 1);
        verify(&spec(), &state.history).unwrap();
    }
}

#[test]
fn large_text_stays_large_and_slices_are_read_where_they_begin() {
    let texts: ArrayRef = Arc::new(LargeStringArray::from(vec!["x", "a", "b", "y"]));
    let mut state = State::new();
    step(&mut state, 1, load(texts.slice(1, 2), texts.slice(1, 2)));
    assert_eq!(state.history[0].column(1).data_type(), &DataType::LargeUtf8);
    assert!(step(&mut state, 2, load(ids(&["b", "a"]), ids(&["b", "a"]))).is_no_op());
    for values in all_types() {
        let mut state = State::new();
        let middle = values.slice(1, 2);
        step(&mut state, 1, load(ids(&["a", "b"]), middle.clone()));
        let copied = pick(&middle, &[0, 1]);
        assert!(step(&mut state, 2, load(ids(&["a", "b"]), copied)).is_no_op(), "{}", values.data_type());
    }
}
