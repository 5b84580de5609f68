//! Columns whose type differs between loads: widened in either direction, or refused.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Decimal32Array, Decimal128Array, DurationSecondArray, Float32Array, Int32Array,
    Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use rcm_scd2::{Disposition, Load, Spec, State, apply, merge};

use crate::types::{UNITS, current, ids, load, pick, spec, step};

/// Pairs of types of which the second is the wider one.
fn widenings() -> Vec<(DataType, DataType)> {
    use DataType::*;
    let utc = |unit| Timestamp(unit, Some("UTC".into()));
    let mut pairs = vec![
        (Int8, Int16),
        (Int32, Int64),
        (UInt32, UInt64),
        (UInt32, Int64),
        (Float16, Float32),
        (Float32, Float64),
        (Int32, Float64),
        (Int16, Float32),
        (Decimal128(10, 2), Decimal128(12, 4)),
        (Decimal128(10, 2), Decimal128(38, 10)),
        (Decimal32(6, 2), Decimal32(8, 3)),
        (Decimal32(6, 2), Decimal64(10, 2)),
        (Decimal64(18, 4), Decimal128(18, 4)),
        (Decimal32(9, 0), Decimal128(20, 6)),
        (Decimal256(40, 2), Decimal256(76, 2)),
        (Utf8, LargeUtf8),
        (Binary, LargeBinary),
        (Timestamp(TimeUnit::Second, None), Timestamp(TimeUnit::Nanosecond, None)),
    ];
    pairs.extend(UNITS.windows(2).map(|units| (utc(units[0]), utc(units[1]))));
    pairs
}

fn two(kind: &DataType) -> [ArrayRef; 2] {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), Some(1), None]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("7"), Some("1"), None]));
    let values = match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => cast(&texts, kind).unwrap(),
        DataType::Timestamp(unit, _) => {
            let scale = [1, 1_000, 1_000_000, 1_000_000_000][UNITS.iter().position(|other| other == unit).unwrap()];
            let counts: ArrayRef = Arc::new(Int64Array::from(vec![Some(7 * scale), Some(scale), None]));
            cast(&counts, kind).unwrap()
        }
        _ => cast(&ints, kind).unwrap(),
    };
    [values.clone(), pick(&values, &[1, 0, 2])]
}

#[test]
fn a_wider_type_in_a_load_widens_the_table_and_a_narrower_one_fits() {
    let three = || ids(&["a", "b", "c"]);
    for (narrow, wide) in widenings() {
        for (first, second) in [(&narrow, &wide), (&wide, &narrow)] {
            let mut state = State::new();
            step(&mut state, 1, load(three(), two(first)[0].clone()));
            let merged = step(&mut state, 2, load(three(), two(second)[0].clone()));
            assert!(merged.is_no_op(), "{first}, then {second}");
            let merged = step(&mut state, 3, load(three(), two(second)[1].clone()));
            assert_eq!((merged.counts.changed, merged.counts.no_op), (2, 1), "{first}, then {second}");
            assert_eq!(&cast(&current(&state, 1), &wide).unwrap(), &two(&wide)[1], "{first}, then {second}");
            let stored = state.history[0].column(1).data_type();
            // Texts of either width fit into the other.
            let text = [DataType::LargeUtf8, DataType::LargeBinary].contains(&wide);
            assert!(*stored == wide || text, "{first}, then {second}: {stored}");
        }
    }
}

#[test]
fn a_wider_key_is_the_same_key() {
    for (narrow, wide) in widenings() {
        for (first, second) in [(&narrow, &wide), (&wide, &narrow)] {
            let mut state = State::new();
            step(&mut state, 1, load(two(first)[0].clone(), ids(&["a", "b", "c"])));
            let merged = step(&mut state, 2, load(two(second)[1].clone(), ids(&["b", "a", "c"])));
            assert!(merged.is_no_op(), "{first}, then {second}");
            assert_eq!(merged.counts.closed_by_absence, 0);
        }
    }
}

#[test]
fn a_snapshot_is_known_again_after_its_column_was_widened() {
    let known = |narrow: &DataType, wide: &DataType| {
        let three = || ids(&["a", "b", "c"]);
        let mut state = State::new();
        step(&mut state, 1, load(three(), two(narrow)[0].clone()));
        step(&mut state, 2, load(three(), two(wide)[1].clone()));
        let merged = step(&mut state, 1, load(three(), two(narrow)[0].clone()));
        merged.scopes[0].disposition == Disposition::Repeated
    };
    let unknown: Vec<_> = widenings().into_iter().filter(|(narrow, wide)| !known(narrow, wide)).collect();
    assert_eq!(unknown, []);
}

#[test]
fn decimals_of_two_shapes_meet_in_a_third_and_compare_as_numbers() {
    let money = |value: i128, precision, scale| -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(precision, scale).unwrap())
    };
    let mut state = State::new();
    step(&mut state, 1, load(ids(&["a"]), money(150, 10, 2)));
    assert!(step(&mut state, 2, load(ids(&["a"]), money(15_000, 8, 4))).is_no_op());
    assert_eq!(step(&mut state, 3, load(ids(&["a"]), money(15_001, 8, 4))).counts.changed, 1);
    assert_eq!(state.history[0].column(1).data_type(), &DataType::Decimal128(12, 4));
    let error = merge(&spec(), &state, &Load::new(&[load(ids(&["a"]), money(1, 38, 0))], 4)).unwrap_err();
    let message = "load: column `value` has type Decimal128(38, 0), expected Decimal128(12, 4)";
    assert_eq!(error.to_string(), message);
}

#[test]
fn decimals_of_two_widths_meet_in_the_narrowest_that_holds_both() {
    use DataType::{Decimal32, Decimal64, Decimal128};
    for (first, second, both) in [
        (Decimal32(9, 2), Decimal32(9, 3), Decimal64(10, 3)),
        (Decimal32(5, 4), Decimal32(5, 0), Decimal32(9, 4)),
        (Decimal64(10, 2), Decimal32(6, 4), Decimal64(12, 4)),
        (Decimal64(18, 0), Decimal32(4, 2), Decimal128(20, 2)),
        (Decimal128(5, 0), Decimal32(4, 2), Decimal128(7, 2)),
    ] {
        let mut state = State::new();
        step(&mut state, 1, load(ids(&["a", "b", "c"]), two(&first)[0].clone()));
        assert!(step(&mut state, 2, load(ids(&["a", "b", "c"]), two(&second)[0].clone())).is_no_op());
        assert_eq!(step(&mut state, 3, load(ids(&["a", "b", "c"]), two(&second)[1].clone())).counts.changed, 2);
        assert_eq!(state.history[0].column(1).data_type(), &both, "{first}, {second}");
    }
    let wide = |scale| two(&DataType::Decimal256(76, scale))[0].clone();
    let mut state = State::new();
    step(&mut state, 1, load(ids(&["a", "b", "c"]), wide(2)));
    let error = merge(&spec(), &state, &Load::new(&[load(ids(&["a", "b", "c"]), wide(1))], 2)).unwrap_err();
    let message = "load: column `value` has type Decimal256(76, 1), expected Decimal256(76, 2)";
    assert_eq!(error.to_string(), message);
}

#[test]
fn batches_of_a_load_may_differ_in_type_in_any_order() {
    use DataType::{Int8, Int16, UInt8};
    for types in [[Int8, UInt8, Int16], [Int16, UInt8, Int8], [UInt8, Int16, Int8], [UInt8, Int8, Int16]] {
        let rows = types.clone().map(|data_type| load(ids(&["a", "b", "c"]), two(&data_type)[0].clone()));
        let merged = merge(&spec(), &State::new(), &Load::new(&rows, 1)).unwrap();
        assert_eq!((merged.counts.new, merged.counts.collapsed), (3, 6), "{types:?}");
        assert_eq!(merged.opens.column(1).data_type(), &Int16);
    }
}

#[test]
fn a_decimal_of_more_digits_than_its_type_says_is_an_error_where_digits_are_added() {
    // Arrow looks at no value, and adding two digits to this one would overflow 32 bits.
    let long = Decimal32Array::from(vec![None, Some(2_000_000_000)]).with_precision_and_scale(7, 0).unwrap();
    let (long, fine): (ArrayRef, _) = (Arc::new(long), Decimal32Array::from(vec![1, 2]));
    let fine: ArrayRef = Arc::new(fine.with_precision_and_scale(9, 2).unwrap());
    let rows = [load(ids(&["a", "b"]), fine), load(ids(&["c", "d"]), long.clone())];
    let error = merge(&spec(), &State::new(), &Load::new(&rows, 1)).unwrap_err();
    assert_eq!(error.to_string(), "load: row 3: column `value` is out of range for Decimal32(9, 2)");
    // Where it is kept as it is, it is.
    let merged = merge(&spec(), &State::new(), &Load::new(&[load(ids(&["c", "d"]), long)], 1)).unwrap();
    assert_eq!(merged.counts.new, 2);
}

/// The second load does not fit the first; nothing is read from it but its type.
#[track_caller]
fn refuses(first: ArrayRef, second: ArrayRef, message: &str) {
    let mut state = State::new();
    step(&mut state, 1, load(ids(&["a"]), first));
    let error = merge(&spec(), &state, &Load::new(&[load(ids(&["a"]), second)], 2)).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn what_loses_is_refused_by_name() {
    let days: ArrayRef = Arc::new(Date32Array::from(vec![1]));
    let instants: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1]));
    let ints: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let longs: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let floats: ArrayRef = Arc::new(Float32Array::from(vec![1.0]));
    let seconds: ArrayRef = Arc::new(DurationSecondArray::from(vec![1]));
    refuses(days.clone(), instants.clone(), "load: column `value` has type Timestamp(µs), expected Date32");
    refuses(instants.clone(), days, "load: column `value` has type Date32, expected Timestamp(µs)");
    refuses(longs.clone(), ids(&["1"]), "load: column `value` has type Utf8, expected Int64");
    refuses(ids(&["1"]), longs.clone(), "load: column `value` has type Int64, expected Utf8");
    refuses(floats, ints.clone(), "load: column `value` has type Int32, expected Float32");
    refuses(
        ints.clone(),
        cast(&ints, &DataType::UInt32).unwrap(),
        "load: column `value` has type UInt32, expected Int32",
    );
    refuses(longs, seconds, "load: column `value` has type Duration(s), expected Int64");
    let paris = cast(&instants, &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap();
    let paris = arrow::array::AsArray::as_primitive::<arrow::datatypes::TimestampMicrosecondType>(&paris).clone();
    let paris: ArrayRef = Arc::new(paris.with_timezone("Europe/Paris"));
    refuses(instants, paris, "load: column `value` has type Timestamp(µs, \"Europe/Paris\"), expected Timestamp(µs)");
}

#[test]
fn an_instant_that_the_wider_unit_cannot_hold_is_an_error_and_no_null() {
    let year_9999 = 253_402_214_400_000_000;
    let micros: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(year_9999), None]));
    let seconds: ArrayRef = Arc::new(arrow::array::TimestampSecondArray::from(vec![Some(year_9999 / 1_000_000), None]));
    let nanos: ArrayRef = Arc::new(arrow::array::TimestampNanosecondArray::from(vec![0, 1]));
    for far in [micros, seconds] {
        for (first, second) in [(far.clone(), nanos.clone()), (nanos.clone(), far.clone())] {
            let mut state = State::new();
            step(&mut state, 1, load(ids(&["a", "c"]), pick(&first, &[1, 0])));
            let second = load(ids(&["b", "d"]), pick(&second, &[1, 0]));
            let spec = Spec::snapshot(["id"]).track(["value"]).build().unwrap();
            let state = State::from_history(state.history);
            let merged = merge(&spec, &state, &Load::new(&[second], 2));
            let applied = merged.and_then(|merged| apply(&state, &merged));
            let place = if first.data_type() == far.data_type() { "history" } else { "load" };
            let message = format!("{place}: row 1: column `value` is out of range for Timestamp(ns)");
            assert_eq!(applied.unwrap_err().to_string(), message);
        }
    }
}
