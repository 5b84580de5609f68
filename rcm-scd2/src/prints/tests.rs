use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, FixedSizeBinaryArray, LargeBinaryArray, RecordBatch, StringArray, StringViewArray,
};

use super::cell::{CHUNK, PAIR};
use super::*;
use crate::space::Space;

fn column(array: ArrayRef) -> Column {
    Column::new("", array.data_type().clone(), Piece::of(&array).into_iter().collect())
}

/// The definition, byte by byte.
fn defined(keyed: &Keyed, value: Option<&[u8]>) -> u64 {
    let keys = &keyed.groups[0][0].1;
    let upper = |sum: u128, keys: [u128; 2]| {
        let [low, high] = [u128::from(sum as u64), sum >> 64];
        (low.wrapping_mul(keys[0]).wrapping_add(high.wrapping_mul(keys[1])) >> 64) as u64
    };
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    let sum = value.map_or(keys.null, |value| {
        let (chunks, rest) = value.split_at(value.len() / CHUNK * CHUNK);
        let mut cell = rest.to_vec();
        cell.resize(rest.len() / PAIR * PAIR + PAIR - 1, 0);
        cell.push((rest.len() % PAIR) as u8);
        let product =
            |(k, l): (u64, u64), a: u64, b: u64| u128::from(a.wrapping_add(k)) * u128::from(b.wrapping_add(l));
        let sum = |pairs: &[u8]| {
            pairs
                .chunks(PAIR)
                .zip(keys.pairs)
                .fold(0, |sum: u128, (pair, keys)| sum.wrapping_add(product(keys, word(&pair[..8]), word(&pair[8..]))))
        };
        chunks.chunks(CHUNK).enumerate().fold(sum(&cell), |all, (number, chunk)| {
            all.wrapping_add(product(keys.of_chunk(number), upper(sum(chunk), keys.chunk), 0))
        })
    });
    upper(sum, keyed.last)
}

fn check(array: ArrayRef, values: &[Option<&[u8]>]) {
    let columns = [column(array)];
    let keyed = Keyed::draw(&columns, []);
    let expected: Vec<u64> = values.iter().map(|value| defined(&keyed, *value)).collect();
    let of = |rows: &[usize]| {
        let mut prints = vec![0; rows.len()];
        keyed.on(0).set(0, rows.iter().copied(), &mut prints);
        prints
    };
    let all: Vec<usize> = (0..values.len()).collect();
    assert_eq!(of(&all), expected, "{}", columns[0].data_type);
    // Few of many, and none.
    let few = [3, values.len() - 1];
    assert_eq!(of(&few), few.map(|row| expected[row]), "{}", columns[0].data_type);
    assert!(of(&[]).is_empty());
}

#[test]
fn a_value_has_one_fingerprint_in_whatever_encoding_and_wherever_it_lies() {
    let texts: Vec<Option<String>> =
        (0..600).map(|len| (len % 7 != 5).then(|| ('a'..='z').cycle().skip(len % 11).take(len).collect())).collect();
    let values: Vec<Option<&[u8]>> = texts.iter().map(|text| text.as_ref().map(|text| text.as_bytes())).collect();
    check(Arc::new(texts.iter().collect::<StringArray>()), &values);
    check(Arc::new(texts.iter().collect::<StringViewArray>()), &values);
    check(Arc::new(values.iter().collect::<BinaryArray>()), &values);
    check(Arc::new(values.iter().collect::<LargeBinaryArray>()), &values);
    for width in [1, 4, 8, 12, 16, 32] {
        let cut: Vec<Option<&[u8]>> = values.iter().map(|value| value.and_then(|value| value.get(..width))).collect();
        let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(cut.iter().copied(), width as i32).unwrap();
        check(Arc::new(array), &cut);
    }
}

#[test]
fn rows_that_differ_have_other_fingerprints() {
    // A byte more, a byte of another value, a null, and the border between two cells.
    let mut rows: Vec<[Option<Vec<u8>>; 2]> = vec![[None, None], [None, Some(vec![])], [Some(vec![]), None]];
    for len in (0..40).chain([255, 256, 257, 300]) {
        rows.push([Some(vec![0; len]), Some(vec![0; 40])]);
        for at in 0..len {
            let mut cell = vec![0; len];
            cell[at] = 0x80;
            rows.push([Some(cell), Some(vec![0; 40])]);
        }
    }
    rows.extend((0..=20).map(|at| [Some(vec![1; at]), Some(vec![1; 20 - at])]));
    let cells = |cell: usize| Arc::new(rows.iter().map(|row| row[cell].as_deref()).collect::<BinaryArray>()) as _;
    let batch = [RecordBatch::try_from_iter([("a", cells(0)), ("b", cells(1))]).unwrap()];
    let space = Space::new(&[("load", &batch)]).unwrap();
    let columns = [space.column("a", &[0]).unwrap(), space.column("b", &[0]).unwrap()];
    let prints = Prints::of(&Keyed::draw(&columns, [&columns[..1]]), &[space.section(0)]).0;
    let mut seen: Vec<u64> = (0..rows.len()).map(|row| prints.get(row as u32, 0)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), rows.len());
    let first = |row: u32| prints.get(row, 1);
    assert!(first(0) == first(1) && first(1) != first(2));
}
