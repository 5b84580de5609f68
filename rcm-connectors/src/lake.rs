//! The lake: a run is seen whole or not at all.
//!
//! ```text
//! lake/
//!   bronze/<targetpath>/<table>/run=<id>/<attempt>-N.parquet     rows as landed
//!   bronze/_rejected/<targetpath>/<table>/run=<id>/<attempt>-N.parquet   lines that are no rows
//!   bronze/_gone/<targetpath>/<table>/run=<id>/<attempt>-N.parquet       keys that a table no longer had
//!   silver/<table>/<depth>-<bucket>/<attempt>.parquet           history, cut into buckets: a Delta table
//!   silver/<table>/deletion_vector_<uuid>.bin   which rows of its files are gone, in tables that append
//!   quarantine/<table>/ gold/<model>/ audit/     Delta tables
//!   _rcm/intents/<publish>.json      what a run will commit, byte for byte: the point of no return
//!   _rcm/publishes/<publish>.json    the version and state of every table: the newest opens the lake
//!   _rcm/state/<table>/<attempt>-…   state parts, immutable
//!   _rcm/logs/<table>/<version>.json what the log of a table says up to a checkpoint, for this program alone
//!   _rcm/attempts/<attempt>.json     an attempt that began to write
//!   _rcm/lock, _rcm/lease/<beat>.json   the lease, on a local disk and elsewhere
//! ```
//!
//! Order of a write: data, state and gold files (nothing is visible yet), then the [`Intent`] if its number is free, then
//! one Delta commit a table, then the [`Publish`] record, then audit. After the intent the rest is a redo
//! ([`Lake::complete`]) that any process may repeat.

mod attempt;
mod audit;
mod change;
mod checkpoint;
mod delta;
mod disk;
mod foreign;
mod history;
mod lease;
mod local;
mod location;
mod maintain;
mod record;
mod redo;
mod replay;
mod single;
mod state;
mod store;
mod unneeded;
mod vector;

pub use attempt::Attempt;
pub use audit::{AuditRow, audit_schema};
pub use change::{By, Change};
pub use checkpoint::{Checkpoint, Checkpoints};
pub use delta::{DataFile, TableFiles};
pub use disk::{Disk, Os};
pub use foreign::Foreign;
pub use history::{BUCKET_ROWS, EngineColumns, History, HistoryAfter, HistoryOptions, MergeError, Weave, WriteMode};
pub use lease::Lease;
pub use location::{Access, Location, holds_secret};
pub use maintain::Maintained;
pub use record::{FORMAT, Intent, Publish, TableAt, TableCommit};
pub use single::{HistoryTable, Loaded};
pub use state::{Presence, ReadFile, TableState};
pub use store::Lake;
pub use unneeded::Unneeded;
pub use vector::Vector;

/// A name for an attempt that nothing else carries: the publish number that it plans on, and chance.
pub fn new_attempt(publish: u64) -> String {
    let chance = uuid::Uuid::new_v4().simple().to_string();
    format!("{publish:08}-{}", &chance[..8])
}
