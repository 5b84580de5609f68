//! The nouns that every rcm crate shares, and no verbs.
//!
//! What it is: the common data model ([`model`]), a line of `load_config.csv` ([`load`]), why a row is held back
//! ([`reason`]), what went wrong and which exit code it means ([`problem`]), where rows come from and how far a read has
//! come ([`source`], [`watermark`], [`secret`]), and the two things that only a binary may supply: the time ([`clock`]) and
//! somewhere to show progress ([`progress`]).
//!
//! What it is not: a place for functions that do work. A verb lives in the crate that does it.
//!
//! ```
//! use rcm_core::model::{table, Tag};
//!
//! let patients = table("patients").expect("a table of the common model");
//! assert_eq!(patients.key().name, "patient_id");
//! assert!(patients.columns.iter().any(|c| c.name == "ssn" && c.tag == Tag::PhiDirect));
//! ```

pub mod clock;
pub mod load;
pub mod model;
pub mod problem;
pub mod progress;
pub mod reason;
pub mod secret;
pub mod source;
pub mod watermark;

pub use clock::Clock;
pub use load::{LoadLine, LoadType};
pub use problem::{Class, Problem};
pub use progress::{Event, Progress};
pub use reason::Reason;
pub use secret::Secret;
pub use source::{Described, Reading, Source, Wanted, Window};
pub use watermark::{CursorKind, Lag, Watermark};
