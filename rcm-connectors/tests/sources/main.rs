//! Sources against real servers on loopback.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::disallowed_methods, reason = "tests start servers, and tell how long it took")]

use std::sync::LazyLock;
use tokio::runtime::Runtime;

#[path = "../components/mod.rs"]
mod components;
mod line;
mod postgres;

/// Waits for a future.
fn wait<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
    RUNTIME.block_on(future)
}
