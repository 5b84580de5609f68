//! The edges of rcm: everything that touches the outside world, one feature a connector.
//!
//! | feature | module | what |
//! |---|---|---|
//! | `csv` (default) | [`csv`] | files of unknown quality: every line becomes a row or a reject, none is dropped |
//! | `parquet` (default) | [`parquet`] | deterministic Parquet files: the same rows give the same bytes |
//! | `delta` | [`lake`] | the lake: lease, intent, publish record, state, history tables, audit |
//!
//! What it is not: it decides nothing about the data. Rules live in `rcm-transforms`, history in `rcm-scd2`.

#[cfg(feature = "csv")]
pub mod csv;
pub mod files;
#[cfg(feature = "delta")]
pub mod lake;
#[cfg(feature = "parquet")]
pub mod parquet;
