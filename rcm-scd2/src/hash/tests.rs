use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, Decimal128Array, Int64Array, LargeStringArray, StringArray};

use super::*;

#[test]
fn a_value_has_one_hash_wherever_it_lies() {
    let buffer: Vec<u8> = (1..=60).collect();
    for start in 0..60 {
        for end in start..=60 {
            assert_eq!(within(7, &buffer, start, end), bytes(7, &buffer[start..end]), "{start}..{end}");
        }
    }
}

#[test]
fn a_column_has_the_hashes_of_its_cells() {
    let numbers = || [Some(0), Some(-70), None, Some(1_234_500), Some(i32::MAX)].into_iter();
    let decimals = |precision, scale| {
        let wide =
            numbers().map(|number| number.map(|number| i128::from(number) << if precision > 20 { 60 } else { 0 }));
        Decimal128Array::from_iter(wide).with_data_type(DataType::Decimal128(precision, scale))
    };
    let text: StringArray = numbers().map(|number| number.map(|number| format!("{number:020}"))).collect();
    let arrays: [ArrayRef; 6] = [
        Arc::new(Date32Array::from_iter(numbers())),
        Arc::new(Int64Array::from_iter(numbers().map(|number| number.map(i64::from)))),
        Arc::new(decimals(18, 2)),
        Arc::new(decimals(38, 4)),
        Arc::new(text.iter().collect::<LargeStringArray>()),
        Arc::new(text),
    ];
    for array in arrays {
        let data_type = array.data_type().clone();
        let of = Column::new("", data_type.clone(), Piece::of(&array).into_iter().collect());
        let mut hashes = [3; 4];
        column(&of, 0, 1, &mut hashes);
        let cell = |row: usize| of.pieces[0].value(row).map_or(word(3, NULL), |cell| one(&data_type, 3, cell));
        assert_eq!(hashes, [1, 2, 3, 4].map(cell), "{data_type}");
    }
}

#[test]
fn lengths_count_and_every_byte_counts() {
    let zeros = [0; 40];
    let mut seen: Vec<u64> = (0..40).map(|len| bytes(1, &zeros[..len])).collect();
    for at in 0..40 {
        let mut one = zeros;
        one[at] = 1;
        seen.push(bytes(1, &one));
    }
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), all);
}

/// Ledgers keep digests for good: what they are made of must not change. All that is expected here comes from a program in
/// another language, written by the page of this module.
#[test]
fn hashes_are_those_that_ledgers_were_written_with() {
    let all: Vec<u8> = (1..=40).collect();
    assert_eq!((0..=40).fold(7, |seed, len| bytes(seed, &all[..len])), LENGTHS);
    assert_eq!([word(1, 2), word(1, -70_i64 as u64), word(3, NULL)], WORDS);
    let decimals = [(150, 2), (0, 5), (-7, 0), ((1 << 100) * 10, 1), (1 << 63, 0)];
    assert_eq!(decimals.map(|(digits, scale)| decimal(3, digits, scale)), DECIMALS);
    assert_eq!([1.5, -2.0, f64::NAN, 9.1e15].map(|value| float(3, value)), FLOATS);
    let seconds = DataType::Timestamp(TimeUnit::Second, None);
    assert_eq!(one(&seconds, 3, &(-5_i64).to_le_bytes()), 0x1209_0c51_daa3_5671);
}

const LENGTHS: u64 = 0x72a1_7aa2_1e62_5073;
const WORDS: [u64; 3] = [0xc0ac_d5ed_28fc_e0a2, 0xa604_fe07_41f5_f2a9, 0xdc71_7c4f_feec_e75f];
const DECIMALS: [u64; 5] =
    [0xa825_84fc_e5e3_95d4, 0xa8f2_b851_9ae5_f25b, 0x360f_5cf2_c57b_3df8, 0xebe3_d57e_9561_4663, 0x4b95_d021_1b2d_f047];
const FLOATS: [u64; 4] = [0x71ea_1335_2bc8_0986, 0xc242_20e7_18c4_cd31, 0x21dc_2159_ec82_c370, 0x843e_783d_e2d7_a6ec];
