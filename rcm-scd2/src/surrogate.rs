use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, TimestampMicrosecondArray};
use rayon::prelude::*;

use crate::encoding::Encoding;
use crate::{Error, Fault};

/// Part of every key: another number whenever the encoding or the hash changes.
const VERSION: u64 = 1;
const PLACE: &str = "surrogate key";

/// Surrogate keys: 32 lower-case hexadecimal digits for each pair of business key and `valid_from`.
///
/// The key is MurmurHash3 x64 128 with seed 1 over, for each key column in order and then `valid_from`, a letter for the
/// kind of value and its bytes, text with its length in front: `("ab", "c")` and `("a", "bc")` differ, as do null and
/// `""`. It depends on nothing else: not on the order of rows, on the width of an integer, on the unit of a timestamp, nor
/// on dictionary or view encodings. So a history that is rebuilt has the keys it had. Other types have other keys, even where
/// a merge takes their numbers for equal: signed and unsigned integers, integers and floats, decimals of two scales. It is
/// not a cryptographic hash: it hides nothing.
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray};
/// use rcm_scd2::surrogate_keys;
///
/// let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "a"]));
/// let keys = surrogate_keys(&[ids], &TimestampMicrosecondArray::from(vec![0, 1]))?;
/// assert_eq!(keys.value(0).len(), 32);
/// assert_ne!(keys.value(0), keys.value(1));
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
///
/// # Errors
/// A key column of a nested or interval type, or of another length than `valid_from`; a null `valid_from`.
pub fn surrogate_keys(keys: &[ArrayRef], valid_from: &TimestampMicrosecondArray) -> Result<StringArray, Error> {
    if let Some(row) = (0..valid_from.len()).find(|row| valid_from.is_null(*row)) {
        return Err(Error::BrokenHistory { row, fault: Fault::NullValidFrom });
    }
    let mut columns = keys.to_vec();
    columns.push(Arc::new(valid_from.clone()));
    let encoding = Encoding::of(PLACE, &columns, valid_from.len())?;
    let rows = (0..valid_from.len()).into_par_iter().with_min_len(1024);
    let digests: Vec<u128> = rows.map_init(Vec::new, |bytes, row| encoding.hash(row, VERSION, bytes)).collect();
    Ok(StringArray::from_iter_values(digests.iter().map(|digest| format!("{digest:032x}"))))
}
