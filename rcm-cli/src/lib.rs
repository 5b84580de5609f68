//! The rcm pipeline as a library: landing → bronze → silver → gold, composed once, embeddable.
//!
//! What it is: the order of the steps ([`pipeline`]), the configuration ([`config`]), the demo project ([`demo`]) and
//! what a run tells ([`report`]). It is the only crate that sees DataFusion.
//!
//! What it is not: it reads no clock, no environment and no terminal. The program `rcm` supplies those.
//!
//! ```no_run
//! # async fn f(clock: &dyn rcm_core::Clock) -> Result<(), Vec<rcm_core::Problem>> {
//! use rcm::{config::{Project, Vars}, pipeline::{self, Options}};
//!
//! let project = Project::open("rcm.toml".as_ref(), &Vars::default())?;
//! let report = pipeline::run(&project, &Options::default(), clock, &rcm_core::progress::Silent).await;
//! assert_eq!(report.exit_code(), 0);
//! # Ok(()) }
//! ```

pub mod config;
pub mod demo;
pub mod panics;
pub mod pipeline;
pub mod probe;
pub mod query;
pub mod report;
pub mod status;
