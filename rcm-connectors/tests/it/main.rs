//! The lake from outside: what it keeps, who may write it at once, where it may lie.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::disallowed_methods, reason = "tests start themselves and services, and tell how long it took")]

use std::sync::LazyLock;
use tokio::runtime::Runtime;

mod append;
#[path = "../components/mod.rs"]
mod components;
#[cfg(unix)]
mod contention;
mod damage;
mod history;
mod house;
mod loads;
mod many;
mod model;
mod services;
mod stores;
mod wrong_places;

/// Waits for a future. One runtime for all tests: the connections of a store live on the one that made them.
fn wait<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
    RUNTIME.block_on(future)
}
