//! Patients and their events, made from numbers: the same on every machine, with no file to carry.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};

/// Of all data. It is part of every benchmark's name.
pub(crate) const SEED: u64 = 7;
const BATCH: usize = 65_536;

/// splitmix64 of a number and the seed: a value that looks random and is always the same.
pub(crate) fn mix(number: u64) -> u64 {
    let z = (number ^ SEED).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// A row to be: which patient, and in which state.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) id: u64,
    /// Address and balance change with it; the other columns stay.
    pub(crate) state: u64,
    /// Microseconds since the epoch: when it changed, and when that was delivered.
    pub(crate) at: [i64; 2],
}

/// What the key of a row is, and what else it has.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// Two texts and eight columns: the workload with which the peers are measured.
    Texts,
    /// One number and the eight columns.
    Number,
    /// The two texts, the eight columns, and four notes of some 200 bytes each.
    Wide,
    /// The two texts, the eight columns and the first, or both, of the times.
    Event(usize),
}

/// Every `step`th of the first `count` patients, in one state and in an order that has nothing to do with any other.
pub(crate) fn rows(count: u64, step: usize, state: u64) -> Vec<Row> {
    let mut rows: Vec<Row> = (0..count).step_by(step).map(|id| Row { id, state, at: [0; 2] }).collect();
    rows.sort_by_cached_key(|row| mix(row.id + (state << 40)));
    rows
}

pub(crate) fn batches(shape: Shape, rows: &[Row]) -> Vec<RecordBatch> {
    rows.chunks(BATCH).map(|rows| batch(shape, rows)).collect()
}

fn batch(shape: Shape, rows: &[Row]) -> RecordBatch {
    let text = |value: &dyn Fn(Row) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| value(*row))))
    };
    let of = |row: Row, salt: u64, count: u64| mix(row.id + (salt << 32)) % count;
    let moved = |row: Row, salt: u64, count: u64| of(row, salt + 16 * row.state, count);
    // Two in a hundred addresses are null.
    let street = |row: Row| {
        let number = moved(row, 1, 10_000);
        (number >= 200).then(|| format!("{number} Main Street, Springfield {}", row.id % 99_999))
    };
    let address = rows.iter().map(|row| street(*row)).collect::<StringArray>();
    let balance = Decimal128Array::from_iter_values(rows.iter().map(|row| moved(*row, 2, 10_000_000).into()));
    let born = Date32Array::from_iter_values(rows.iter().map(|row| of(*row, 3, 28_000) as i32 - 10_000));

    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    let mut add = |name: &str, column: ArrayRef| columns.push((name.to_owned(), column));
    if shape == Shape::Number {
        let key = |row: &Row| (mix(row.id) >> 1) as i64;
        add("patient_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(key))));
    } else {
        add("patient_id", text(&|row| format!("HOSP-{:09}", row.id)));
        add("hospital", text(&|row| if row.id % 2 == 0 { "hos-a" } else { "hos-b" }.to_owned()));
    }
    add("first_name", text(&|row| format!("first {}", of(row, 4, 500))));
    add("last_name", text(&|row| format!("last {}", of(row, 5, 5_000))));
    add("date_of_birth", Arc::new(born));
    add("gender", text(&|row| ["Male", "Female", "Other"][of(row, 6, 3) as usize].to_owned()));
    add("address", Arc::new(address));
    add("phone", text(&|row| format!("555-{:07}", of(row, 7, 10_000_000))));
    add("department", text(&|row| format!("department {}", of(row, 8, 12))));
    add("balance", Arc::new(balance.with_data_type(arrow::datatypes::DataType::Decimal128(18, 2))));
    match shape {
        Shape::Texts | Shape::Number => {}
        Shape::Wide => {
            for (name, salt) in ["history", "allergies", "plan", "remarks"].into_iter().zip(9..) {
                let note = |row: Row| format!("{name} {:020} ", of(row, salt, u64::MAX)).repeat(7);
                add(name, text(&note));
            }
        }
        Shape::Event(times) => {
            for (name, which) in [("modified_at", 0), ("delivered_at", 1)].into_iter().take(times) {
                let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.at[which]));
                add(name, Arc::new(times.with_timezone("UTC")));
            }
        }
    }
    RecordBatch::try_from_iter(columns).unwrap()
}
