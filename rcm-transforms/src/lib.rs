//! The pure middle of rcm: `RecordBatch` in, `RecordBatch` out.
//!
//! 1. [`mapping`]: how one hospital's columns become the common model; data, no code.
//! 2. [`conform`]: landed text to typed columns, under one vocabulary, with the hospital in every key.
//! 3. [`quarantine`]: every row with every rule that it fails; the bad ones are split off before they reach history.
//! 4. [`gold`]: the models of the snowflake schema and the KPIs, as SQL text.
//!
//! What it is not: it reads no file, no clock, no environment. Time comes in as `as_of`.

pub mod conform;
mod dates;
pub mod gold;
pub mod mapping;
mod money;
pub mod quarantine;
