//! The rules of the engine, as tables typed into the tests, and a comparison with a slow, obvious oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod buckets;
mod encodings;
mod errors;
mod feed;
mod oracle;
mod random;
mod snapshot;
mod surrogate;
mod tables;
