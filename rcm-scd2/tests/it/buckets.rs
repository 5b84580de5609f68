use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use rcm_scd2::{BUCKET_HASH_VERSION, buckets};

fn ids(n: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..n).map(|id| format!("PAT-{id:06}"))))
}

#[test]
fn every_bucket_gets_its_share() {
    for count in [1, 3, 16] {
        let mut tally = vec![0_u32; count as usize];
        buckets(&[ids(9_000)], count).unwrap().values().iter().for_each(|bucket| tally[*bucket as usize] += 1);
        let fair = 9_000 / count;
        assert!(tally.iter().all(|n| (fair * 3 / 4..=fair * 5 / 4).contains(n)), "{tally:?}");
    }
}

#[test]
fn twice_the_count_splits_a_bucket() {
    let (four, eight) = (buckets(&[ids(500)], 4).unwrap(), buckets(&[ids(500)], 8).unwrap());
    assert!(four.values().iter().zip(eight.values()).all(|(four, eight)| eight / 2 == *four));
}

#[test]
fn encodings_and_widths_do_not_matter_and_version_one_stays_as_it_is() {
    assert_eq!(BUCKET_HASH_VERSION, 1);
    let plain = ids(4);
    let cut = buckets(&[Arc::clone(&plain)], 1 << 20).unwrap();
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    for encoded in [DataType::LargeUtf8, DataType::Utf8View, dictionary] {
        assert_eq!(buckets(&[cast(&plain, &encoded).unwrap()], 1 << 20).unwrap(), cut);
    }
    assert_eq!(buckets(&[plain.slice(2, 1)], 1 << 20).unwrap().value(0), cut.value(2));
    let (ints, longs): (ArrayRef, ArrayRef) =
        (Arc::new(Int32Array::from(vec![7])), Arc::new(Int64Array::from(vec![7])));
    assert_eq!(buckets(&[ints], 1 << 20).unwrap(), buckets(&[longs], 1 << 20).unwrap());
    // Stores out there are cut by these: other values here are another version.
    assert_eq!(cut.values(), &[88_025, 935_417, 641_984, 320_884]);
}

#[test]
fn what_cannot_be_cut_is_an_error() {
    let said = |error: rcm_scd2::Error| error.to_string();
    assert_eq!(said(buckets(&[], 4).unwrap_err()), "spec: no key column is named");
    assert_eq!(said(buckets(&[ids(1)], 0).unwrap_err()), "buckets: a count of 0 has no room for any key");
    assert!(buckets(&[ids(1), ids(2)], 4).is_err());
    let nested = arrow::array::new_null_array(&DataType::new_list(DataType::Int8, true), 1);
    assert!(said(buckets(&[nested], 4).unwrap_err()).starts_with("buckets: column `0` has the unsupported type List"));
}

#[test]
fn bytes_of_a_fixed_width_are_bytes_and_there_must_be_some() {
    let fixed = |cells: &[&[u8]]| Arc::new(FixedSizeBinaryArray::try_from_iter(cells.iter()).unwrap()) as ArrayRef;
    let bytes: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"ab", b"cd"]));
    assert_eq!(buckets(&[fixed(&[b"ab", b"cd"])], 99).unwrap(), buckets(&[bytes], 99).unwrap());
    let refused = buckets(&[fixed(&[b"", b""])], 99).unwrap_err().to_string();
    assert!(refused.starts_with("buckets: column `0` has the unsupported type FixedSizeBinary(0)"), "{refused}");
}
