use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use rcm_scd2::surrogate_keys;

fn strings(cells: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(cells.to_vec()))
}

fn keys(columns: &[ArrayRef]) -> Vec<String> {
    let from = TimestampMicrosecondArray::from(vec![7; columns[0].len()]);
    surrogate_keys(columns, &from).unwrap().iter().map(|key| key.unwrap().to_owned()).collect()
}

#[test]
fn cells_do_not_run_into_each_other() {
    let a = strings(&[Some("ab"), Some("a"), Some(""), None, None, Some("n"), Some("ab\0")]);
    let b = strings(&[Some("c"), Some("bc"), None, Some(""), None, Some("n"), Some("c")]);
    let keys = keys(&[a, b]);
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
}

#[test]
fn a_float_has_one_key_however_it_is_spelt() {
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, -f64::NAN, 0.0, -0.0, 1.5, -1.5]));
    for data_type in [DataType::Float64, DataType::Float32, DataType::Float16] {
        let of_type = keys(&[cast(&floats, &data_type).unwrap()]);
        assert_eq!(of_type, keys(&[Arc::clone(&floats)]), "{data_type}");
        assert!(of_type[0] == of_type[1] && of_type[2] == of_type[3]);
        assert_eq!(of_type.iter().collect::<HashSet<_>>().len(), 4);
    }
}

#[test]
fn kinds_are_told_apart_and_widths_are_not() {
    let ints: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let longs: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    let money: ArrayRef = Arc::new(Decimal128Array::from(vec![100]).with_precision_and_scale(18, 2).unwrap());
    let dates = cast(&ints, &DataType::Date32).unwrap();
    assert_eq!(keys(&[Arc::clone(&ints)]), keys(&[longs]));
    let all = [ints, floats, money, dates, strings(&[Some("1")])].map(|column| keys(&[column]).remove(0));
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
}

#[test]
fn encodings_do_not_matter() {
    let plain = strings(&[Some("a"), Some("b"), None, Some("a")]);
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    for encoded in [DataType::LargeUtf8, DataType::Utf8View, dictionary] {
        assert_eq!(keys(&[cast(&plain, &encoded).unwrap()]), keys(&[Arc::clone(&plain)]));
    }
    let slice = plain.slice(1, 2);
    assert_eq!(keys(&[slice]), keys(&[plain])[1..3]);
}

#[test]
fn version_one_stays_as_it_is() {
    // Tables out there hold these: another value here is another VERSION.
    assert_eq!(keys(&[strings(&[Some("1042")])]), ["2f5c5b14ddaddf625bc6c2cc79deeb43"]);
}

#[test]
fn null_valid_from_and_nested_keys_are_errors() {
    let id = strings(&[Some("a")]);
    assert!(surrogate_keys(&[id], &TimestampMicrosecondArray::from(vec![None])).is_err());
    let nested = arrow::array::new_null_array(&DataType::new_list(DataType::Int8, true), 1);
    let error = surrogate_keys(&[nested], &TimestampMicrosecondArray::from(vec![1])).unwrap_err();
    assert!(error.to_string().starts_with("surrogate key: column `0` has the unsupported type List"), "{error}");
}
