//! What is told of a panic: where it was, and nothing of what it says, for that may be a value.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;

/// Lets every panic of this process tell its place only; where `RUST_BACKTRACE` asks for it, the way there as well. By default
/// the message is told too, and that of a text which is cut in the midst of a letter, for one, is the text.
///
/// ```
/// rcm::panics::tell_no_more_than_the_place();
/// let patient = "Jörg";
/// assert!(std::panic::catch_unwind(|| patient[..2].len()).is_err()); // says: panic at …
/// ```
pub fn tell_no_more_than_the_place() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        // Where nobody listens any more, nobody is told.
        let mut out = std::io::stderr().lock();
        let _ = writeln!(out, "panic at {place}: please report it; what was not published counts as not done");
        let way = Backtrace::capture();
        if way.status() == BacktraceStatus::Captured {
            let _ = writeln!(out, "{way}");
        }
    }));
}
