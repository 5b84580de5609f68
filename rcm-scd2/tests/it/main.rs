//! What the conformance corpus and the laws do not ask, as tables typed into the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod broken;
mod buckets;
mod columns;
mod correct;
mod corrections;
mod counts;
mod cut;
mod effects;
mod hidden;
mod horizon;
mod join;
mod many;
mod members;
mod messages;
mod ratios;
mod record;
mod rewind;
mod roles;
mod sentinel;
mod splice;
mod surrogate;
mod tables;
mod types;
mod when;
mod widening;
