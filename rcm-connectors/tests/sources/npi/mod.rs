//! The NPI registry, as a server on loopback answers for it.

mod away;
mod contract;
mod faults;
mod questions;

use crate::web::http::Server;
use crate::web::nppes;
pub(crate) use faults::judge;
use rcm_connectors::npi::{Options, Registry};
use std::collections::BTreeSet;
use std::time::Duration;

/// A question that finds all who are made up.
const ALL: &str = "taxonomy_description=Made-up*";

fn options(server: &Server) -> Options {
    let url = format!("{}/api/", server.base());
    Options { url, per_second: None, patience: Duration::from_secs(2), ..Options::default() }
}

fn source(options: Options) -> Registry {
    Registry::new(options, chrono::Utc::now()).unwrap()
}

fn numbers(registry: &nppes::Registry) -> BTreeSet<String> {
    registry.providers().into_iter().map(|provider| provider.number).collect()
}
