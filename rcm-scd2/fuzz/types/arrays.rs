//! Arrays of any Arrow type that hold what no sane source would write, and are valid all the same.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, FixedSizeBinaryBuilder, LargeBinaryArray,
    LargeStringArray, NullArray, StringArray, StringViewArray, UInt32Array, make_array, new_null_array,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

use crate::random::Random;

/// Values that meet, and values that nearly do.
fn texts() -> [&'static str; 13] {
    const LONG: &str = include_str!("arrays.rs");
    [
        "",
        "a",
        "b",
        "ab",
        "\0",
        "a\0",
        "abcdefgh",
        "abcdefghijklmnop",
        "abcdefghijklmnopq",
        "é, and more than a view",
        &LONG[..256],
        &LONG[..300],
        &LONG[..301],
    ]
}

pub(crate) fn data_type(random: &mut Random) -> DataType {
    use DataType::*;
    let unit = random.pick(&[TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond]);
    let zone = random.pick(&[None, Some("UTC"), Some("+02:00")]).map(Into::into);
    let scale = random.pick(&[0, 2, -2, 9]);
    let plain = [
        Null,
        Boolean,
        Int8,
        Int16,
        Int32,
        Int64,
        UInt8,
        UInt16,
        UInt32,
        UInt64,
        Float16,
        Float32,
        Float64,
        Timestamp(unit, zone),
        Date32,
        Date64,
        Time32(random.pick(&[TimeUnit::Second, TimeUnit::Millisecond])),
        Time64(random.pick(&[TimeUnit::Microsecond, TimeUnit::Nanosecond])),
        Duration(unit),
        Interval(random.pick(&[IntervalUnit::YearMonth, IntervalUnit::DayTime, IntervalUnit::MonthDayNano])),
        Binary,
        LargeBinary,
        BinaryView,
        FixedSizeBinary(random.pick(&[0, 1, 3, 16])),
        Utf8,
        LargeUtf8,
        Utf8View,
        Decimal32(9, scale),
        Decimal64(18, scale),
        Decimal128(random.pick(&[9, 38]), scale),
        Decimal256(76, scale),
    ];
    let inner = random.pick(&plain);
    match random.below(16) {
        0..3 => Dictionary(Box::new(random.pick(&[Int8, Int32, UInt16, UInt64])), Box::new(inner)),
        3 => List(Arc::new(Field::new_list_field(inner, true))),
        4 => Struct(vec![Field::new("a", inner, true)].into()),
        5 => RunEndEncoded(Arc::new(Field::new("run_ends", Int32, false)), Arc::new(Field::new("values", inner, true))),
        _ => inner,
    }
}

/// The same type, or another.
pub(crate) fn near(random: &mut Random, usual: &DataType) -> DataType {
    if random.one_in(12) { data_type(random) } else { usual.clone() }
}

pub(crate) fn array(random: &mut Random, data_type: &DataType, len: usize) -> ArrayRef {
    // Sometimes a slice of something longer.
    let (before, after) = if random.one_in(3) { (random.below(3), random.below(3)) } else { (0, 0) };
    whole(random, data_type, before + len + after).slice(before, len)
}

fn whole(random: &mut Random, data_type: &DataType, len: usize) -> ArrayRef {
    let sparse = random.one_in(2);
    let nulls: Vec<bool> = (0..len).map(|_| sparse && random.one_in(4)).collect();
    let texts: Vec<Option<&str>> = nulls.iter().map(|null| (!null).then(|| random.pick(&texts()))).collect();
    let bytes = || texts.iter().map(|text| text.map(str::as_bytes));
    match data_type {
        DataType::Null => Arc::new(NullArray::new(len)),
        DataType::Boolean => {
            Arc::new(nulls.iter().map(|null| (!null).then(|| random.one_in(2))).collect::<BooleanArray>())
        }
        DataType::Utf8 => Arc::new(StringArray::from_iter(texts)),
        DataType::LargeUtf8 => Arc::new(LargeStringArray::from_iter(texts)),
        DataType::Utf8View => Arc::new(StringViewArray::from_iter(texts)),
        DataType::Binary => Arc::new(BinaryArray::from_iter(bytes())),
        DataType::LargeBinary => Arc::new(LargeBinaryArray::from_iter(bytes())),
        DataType::BinaryView => Arc::new(BinaryViewArray::from_iter(bytes())),
        DataType::FixedSizeBinary(width) => {
            let mut builder = FixedSizeBinaryBuilder::new(*width);
            for null in nulls {
                let value = vec![random.pick(&[0, 1, 255]); *width as usize];
                if null { builder.append_null() } else { builder.append_value(value).unwrap() }
            }
            Arc::new(builder.finish())
        }
        DataType::Dictionary(keys, values) => {
            let distinct = 1 + random.below(4);
            let values = whole(random, values, distinct);
            let keys_of: UInt32Array =
                nulls.iter().map(|null| (!null).then(|| random.below(distinct) as u32)).collect();
            let data = cast(&keys_of, keys).unwrap().to_data().into_builder().data_type(data_type.clone());
            make_array(data.add_child_data(values.to_data()).build().unwrap())
        }
        fixed => match fixed.primitive_width() {
            Some(width) => {
                let mut values = Vec::with_capacity(len * width);
                for _ in 0..len {
                    let fill = random.pick(&[0, 0, 0, 1, 0x7f, 0x80, 0xff]);
                    values.extend((0..width).map(|at| match at {
                        0 => random.pick(&[0, 1, 2, 0xff]),
                        _ => fill,
                    }));
                }
                let nulls = Some(NullBuffer::from_iter(nulls.iter().map(|null| !null)));
                let data = ArrayData::builder(fixed.clone()).len(len).add_buffer(Buffer::from_vec(values)).nulls(nulls);
                make_array(data.align_buffers(true).build().unwrap())
            }
            None => new_null_array(fixed, len),
        },
    }
}

/// The same values in another encoding, if they have one.
pub(crate) fn encoded(random: &mut Random, array: &ArrayRef) -> ArrayRef {
    let other = match array.data_type() {
        DataType::Utf8 => random.pick(&[DataType::LargeUtf8, DataType::Utf8View]),
        DataType::Binary => random.pick(&[DataType::LargeBinary, DataType::BinaryView]),
        DataType::Int32 | DataType::Int64 | DataType::Date32 => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(array.data_type().clone()))
        }
        _ => {
            // Copied: another offset, other bytes below the nulls.
            let all: UInt32Array = (0..array.len() as u32).collect();
            return take(array, &all, None).unwrap();
        }
    };
    cast(array, &other).unwrap()
}
