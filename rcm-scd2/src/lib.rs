#![doc = include_str!("../README.md")]

mod apply;
mod buckets;
mod columns;
mod encoding;
mod error;
mod feed;
mod history;
mod load;
mod merge;
mod murmur;
mod opens;
mod outcome;
mod rows;
mod snapshot;
mod spec;
mod surrogate;

pub use apply::apply;
pub use buckets::{BUCKET_HASH_VERSION, buckets};
pub use error::{Error, Fault};
pub use history::verify;
pub use load::{Complete, Load};
pub use merge::merge;
pub use outcome::{Close, Counts, Merged, Outcome, RefusalCode, Refused};
pub use spec::{FeedBuilder, IS_CURRENT, Mode, SnapshotBuilder, Spec, VALID_FROM, VALID_TO};
pub use surrogate::surrogate_keys;
