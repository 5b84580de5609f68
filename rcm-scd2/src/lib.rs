#![doc = include_str!("../README.md")]

mod apply;
mod buckets;
mod cells;
mod columns;
mod correct;
mod cut;
mod edits;
mod encoding;
mod error;
mod feed;
mod gather;
mod hash;
mod history;
mod incoming;
mod index;
mod join;
mod ledger;
mod load;
mod members;
mod memory;
mod merge;
mod murmur;
mod near;
mod opens;
mod outcome;
mod prints;
mod rewind;
mod snapshot;
mod space;
mod spec;
mod splice;
mod state;
mod surrogate;

/// The Arrow that batches must come from.
pub use arrow;

pub use apply::apply;
pub use buckets::{BUCKET_HASH_VERSION, buckets};
pub use correct::correct;
pub use cut::{Cut, Summary, Unit};
pub use error::{Error, Fault};
pub use history::verify;
pub use join::as_of_join;
pub use load::{Complete, Load};
pub use members::ensure_members;
pub use merge::merge;
pub use outcome::{Close, Counts, Disposition, Merged, Outcome, RefusalCode, Refused, ScopeReport};
pub use rewind::rewind;
pub use spec::{
    Absence, BadRows, DeleteStyle, Deletes, Detect, FeedBuilder, IS_CURRENT, IS_DELETED, IS_INFERRED, IgnoreNulls,
    InitialValidFrom, Late, Mode, Rule, SnapshotBuilder, Spec, VALID_FROM, VALID_TO, Value, When,
};
pub use state::{Patch, State};
pub use surrogate::surrogate_keys;
