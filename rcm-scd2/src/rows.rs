//! Rows as bytes: equal bytes are equal values (null-safe), and the order of the bytes is the order of the values.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};

use crate::{Error, murmur};

/// Encodes rows of the same columns, comparably.
pub(crate) struct Encoder(Option<RowConverter>);

/// Encoded rows. Without any columns all rows are equal.
pub(crate) struct Encoded(Option<Rows>);

/// The types that the columns of a spec are merged in, and their encoders.
pub(crate) struct Encoders {
    pub(crate) key_types: Vec<DataType>,
    pub(crate) tracked_types: Vec<DataType>,
    pub(crate) latest_types: Vec<DataType>,
    pub(crate) keys: Encoder,
    pub(crate) tracked: Encoder,
    pub(crate) latest: Encoder,
}

impl Encoders {
    pub(crate) fn new(keys: Vec<DataType>, tracked: Vec<DataType>, latest: Vec<DataType>) -> Result<Self, Error> {
        Ok(Encoders {
            keys: Encoder::new(&keys)?,
            tracked: Encoder::new(&tracked)?,
            latest: Encoder::new(&latest)?,
            key_types: keys,
            tracked_types: tracked,
            latest_types: latest,
        })
    }
}

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

/// Numbers for encoded keys. Results never depend on its order.
pub(crate) type Numbers<'a> = HashMap<&'a [u8], usize, BuildHasherDefault<WordHasher>>;

/// Hashes a word at a time: the hash of the standard library takes most of the time of a merge otherwise.
#[derive(Default)]
pub(crate) struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, tail) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        self.write_u64(u64::from_le_bytes(last));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = murmur::finish(self.0 ^ word).wrapping_add(self.0.rotate_left(23));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        murmur::finish(self.0)
    }
}
