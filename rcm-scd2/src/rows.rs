//! Rows as bytes: equal bytes are equal values (null-safe), and the order of the bytes is the order of the values.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};

use crate::Error;

/// Encodes rows of the same columns, comparably.
pub(crate) struct Encoder(Option<RowConverter>);

/// Encoded rows. Without any columns all rows are equal.
pub(crate) struct Encoded(Option<Rows>);

impl Encoder {
    pub(crate) fn new(types: &[DataType]) -> Result<Self, Error> {
        if types.is_empty() {
            return Ok(Encoder(None));
        }
        Ok(Encoder(Some(RowConverter::new(types.iter().cloned().map(SortField::new).collect())?)))
    }

    pub(crate) fn encode(&self, columns: &[ArrayRef]) -> Result<Encoded, Error> {
        Ok(Encoded(self.0.as_ref().map(|converter| converter.convert_columns(columns)).transpose()?))
    }
}

impl Encoded {
    pub(crate) fn get(&self, row: usize) -> &[u8] {
        self.0.as_ref().map_or(&[], |rows| rows.row(row).data())
    }
}
