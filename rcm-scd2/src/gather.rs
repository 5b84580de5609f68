//! Columns of new rows, copied cell by cell from wherever the values are.

use std::sync::Arc;

use arrow::array::{
    ArrayData, ArrayRef, BinaryArray, BooleanArray, LargeBinaryArray, LargeStringArray, NullArray, StringArray,
    make_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType;

use crate::Error;
use crate::cells::{At, Column, Piece};

/// The cells of a column at these places.
pub(crate) fn gather(column: &Column, rows: impl ExactSizeIterator<Item = At> + Clone) -> Result<ArrayRef, Error> {
    let len = rows.len();
    let cells = rows.clone().map(|at| column.value(at));
    let may = column.pieces.iter().any(Piece::may_have_nulls) || rows.clone().any(|at| at == At::NOWHERE);
    let nulls = || NullBuffer::from_iter(rows.clone().map(|at| column.value(at).is_some()));
    let nulls = may.then(nulls).filter(|nulls| nulls.null_count() > 0);
    Ok(match (&column.data_type, column.width) {
        (DataType::Null, _) => Arc::new(NullArray::new(len)),
        (DataType::Boolean, _) => {
            let values = BooleanBuffer::from_iter(cells.map(|cell| cell == Some(&[1])));
            Arc::new(BooleanArray::new(values, nulls))
        }
        (data_type, Some(width)) => {
            let mut values = Vec::with_capacity(len * width);
            for cell in cells {
                match cell {
                    Some(cell) => values.extend_from_slice(cell),
                    None => values.resize(values.len() + width, 0),
                }
            }
            let data = ArrayData::builder(data_type.clone()).len(len).add_buffer(Buffer::from_vec(values)).nulls(nulls);
            make_array(data.align_buffers(true).build()?)
        }
        (data_type, None) => {
            let mut ends = Vec::with_capacity(len + 1);
            ends.push(0_usize);
            let mut end = 0;
            ends.extend(cells.clone().map(|cell| {
                end += cell.map_or(0, <[u8]>::len);
                end
            }));
            let mut values = Vec::with_capacity(end);
            cells.flatten().for_each(|cell| values.extend_from_slice(cell));
            let values = Buffer::from_vec(values);
            match data_type {
                DataType::Utf8 => Arc::new(StringArray::try_new(narrow(&ends)?, values, nulls)?),
                DataType::Binary => Arc::new(BinaryArray::try_new(narrow(&ends)?, values, nulls)?),
                DataType::LargeUtf8 => Arc::new(LargeStringArray::try_new(wide(&ends), values, nulls)?),
                _ => Arc::new(LargeBinaryArray::try_new(wide(&ends), values, nulls)?),
            }
        }
    })
}

fn narrow(ends: &[usize]) -> Result<OffsetBuffer<i32>, Error> {
    let too_long = |_| Error::Arrow { kind: "a text column is too long for its 32-bit offsets" };
    let ends = ends.iter().map(|end| i32::try_from(*end).map_err(too_long)).collect::<Result<Vec<_>, _>>()?;
    Ok(OffsetBuffer::new(ScalarBuffer::from(ends)))
}

fn wide(ends: &[usize]) -> OffsetBuffer<i64> {
    OffsetBuffer::new(ScalarBuffer::from_iter(ends.iter().map(|end| *end as i64)))
}
