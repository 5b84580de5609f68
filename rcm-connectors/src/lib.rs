//! The edges of rcm: everything that touches the outside world, one feature a connector.
//!
//! | feature | module | what |
//! |---|---|---|
//! | `csv` (default) | [`csv`] | files of unknown quality: every line becomes a row or a reject, none is dropped |
//! | `parquet` (default) | [`parquet`] | deterministic Parquet files: the same rows give the same bytes |
//! | `parquet` | [`kept`] | a copy of what a service said last, for when it is away |
//! | `postgres` | [`postgres`] | tables of a PostgreSQL database, by binary COPY in one snapshot |
//! | `sqlserver` | [`sqlserver`] | tables of a SQL Server or Azure SQL database, in typed batches |
//! | `cpt` | [`cpt`] | codes of procedures by their shape, and the HCPCS file of CMS |
//! | `icd` | [`icd`] | ICD-10-CM out of the order files of CMS, ICD-10 out of the WHO's API |
//! | `npi` | [`npi`] | providers of the NPPES registry, by question |
//! | `keyvault` | [`keyvault`] | secrets out of an Azure Key Vault |
//! | `delta` | [`lake`] | the lake: lease, intent, publish record, state, history tables, audit |
//!
//! What every source of rows must hold to is a test that anybody can call: [`contract`].
//!
//! What it is not: it decides nothing about the data. Rules live in `rcm-transforms`, history in `rcm-scd2`.

#[cfg(any(feature = "postgres", feature = "sqlserver"))]
mod ahead;
#[cfg(any(feature = "cpt", feature = "icd"))]
mod codes;
#[cfg(any(feature = "keyvault", feature = "sqlserver"))]
mod contained;
pub mod contract;
#[cfg(feature = "cpt")]
pub mod cpt;
#[cfg(feature = "csv")]
pub mod csv;
pub mod files;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "icd")]
pub mod icd;
#[cfg(feature = "parquet")]
pub mod kept;
#[cfg(feature = "keyvault")]
pub mod keyvault;
#[cfg(feature = "delta")]
pub mod lake;
#[cfg(feature = "npi")]
pub mod npi;
#[cfg(feature = "parquet")]
pub mod parquet;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlserver")]
pub mod sqlserver;
#[cfg(feature = "tls")]
pub mod tls;
