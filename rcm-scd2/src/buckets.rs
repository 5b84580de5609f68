use arrow::array::{ArrayRef, UInt32Array};
use rayon::prelude::*;

use crate::Error;
use crate::encoding::Encoding;

/// The number of the hash that [`buckets`] cuts by: another one whenever a key could get another bucket. Store it beside
/// whatever is stored by bucket.
///
/// ```
/// // A store that was cut by another hash has to be cut again before its buckets are merged.
/// let stored_beside_the_buckets = 1;
/// assert_eq!(stored_beside_the_buckets, rcm_scd2::BUCKET_HASH_VERSION);
/// ```
pub const BUCKET_HASH_VERSION: u32 = 1;

/// The bucket, `0..count`, of each row by its key columns.
///
/// No key's history depends on another key, so merging bucket by bucket gives what merging at once gives: a bucket is a
/// unit of work without shared state, for threads, for files of a store, for many machines. What a load is judged by as
/// a whole is then judged by bucket: the max delete ratio, bad rows, whether a snapshot is late, the late horizon, which load
/// is the first. Say with [`Complete::Only`](crate::Complete::Only) which scope values the whole load is complete for.
///
/// The hash is MurmurHash3 x64 128 over the encoding of [`surrogate_keys`](crate::surrogate_keys) without `valid_from`; a
/// bucket is the share of `2^64` that its upper half falls into. It depends on the values alone: not on the width of an
/// integer, the unit of a timestamp, dictionary or view encodings. Other types are told apart, even where a merge takes
/// their numbers for equal (signed and unsigned integers, integers and floats, decimals of two scales): cast a load's keys to the types of the
/// history first. With twice the count bucket `b` falls apart into `2b` and `2b + 1`, so that a store can grow by splitting.
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::array::{ArrayRef, LargeStringArray, StringArray};
/// use rcm_scd2::buckets;
///
/// let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "a"]));
/// let eight = buckets(&[ids], 8)?;
/// assert_eq!(eight.value(0), eight.value(2));
///
/// let other: ArrayRef = Arc::new(LargeStringArray::from(vec!["a"]));
/// assert_eq!(buckets(&[other], 16)?.value(0) / 2, eight.value(0));
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
///
/// # Errors
/// No buckets at all, no key columns, columns of different lengths or of a nested type.
pub fn buckets(keys: &[ArrayRef], count: u32) -> Result<UInt32Array, Error> {
    let Some(first) = keys.first() else { return Err(Error::NoKeys) };
    if count == 0 {
        return Err(Error::NoBuckets);
    }
    let encoding = Encoding::of("buckets", keys, first.len())?;
    let bucket = |bytes: &mut Vec<u8>, row| {
        let upper = encoding.hash(row, BUCKET_HASH_VERSION.into(), bytes) >> 64;
        ((upper * u128::from(count)) >> 64) as u32
    };
    let of_row = (0..first.len()).into_par_iter().with_min_len(1024).map_init(Vec::new, bucket);
    Ok(UInt32Array::from(of_row.collect::<Vec<_>>()))
}
