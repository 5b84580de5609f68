//! SIGINT and SIGTERM: the first lets the run come to a point where it may stop, the second stops it at once. Both are
//! safe: what was not published is not seen, and what was begun is finished by the next run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The exit code of the signal that came; 0 for none.
pub(crate) type Stop = Arc<AtomicU8>;

/// Listens on a thread of the runtime.
pub(crate) fn listen() -> Stop {
    let stop = Stop::default();
    let seen = stop.clone();
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
            return;
        };
        loop {
            let code = tokio::select! { _ = int.recv() => 130, _ = term.recv() => 143 };
            if seen.swap(code, Ordering::SeqCst) != 0 {
                std::process::exit(i32::from(code));
            }
        }
    });
    stop
}
