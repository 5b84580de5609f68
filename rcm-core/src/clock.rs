//! The time, as an argument.

use chrono::{DateTime, Utc};

/// Tells the time. Libraries never read a clock of their own, so that a run can be replayed.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use rcm_core::Clock;
///
/// struct Fixed(DateTime<Utc>);
/// impl Clock for Fixed {
///     fn now(&self) -> DateTime<Utc> {
///         self.0
///     }
/// }
/// let noon = "2026-01-02T12:00:00Z".parse::<DateTime<Utc>>().unwrap();
/// assert_eq!(Fixed(noon).now(), noon);
/// ```
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> DateTime<Utc>;
}
