//! The bounds of a window, and the condition that says them to the server.

use super::catalog::quoted;
use super::snapshot::Snapshot;
use chrono::{Datelike, Days, NaiveDateTime, TimeDelta};
use rcm_core::{Class, CursorKind, Problem, Watermark, Window};

pub(super) type Bounds = (Option<Watermark>, Option<Watermark>);

pub(super) fn bounds(window: &Window, kind: CursorKind, instant: &Snapshot) -> Result<Bounds, Problem> {
    let upper = match kind {
        CursorKind::TimestampTz => Some(Watermark::TimestampTz(instant.upper)),
        CursorKind::Timestamp => Some(Watermark::Timestamp(instant.local)),
        // A day is read until it is over, and again by every read until then.
        CursorKind::Date => instant.local.date().checked_add_days(Days::new(1)).map(Watermark::Date),
        CursorKind::Integer | CursorKind::RowVersion => None,
    };
    let lower = window.lower(kind)?;
    match window {
        Window::Between { to, .. } => Ok((lower, Some(*to))),
        Window::Since { watermark, .. } => {
            if watermark.is_some_and(|at| at.is_far_ahead(instant.now, instant.local)) {
                return Err(Problem::new(Class::Config, "", "the saved watermark lies ahead of the server's clock: nothing would be read")
                    .hint("if the server or its clock was replaced, rebuild the table: `rcm run --full-refresh --select TABLE`"));
            }
            Ok((lower, upper))
        }
        Window::Whole => Ok((None, None)),
    }
}

/// What cannot be compared is in every window.
pub(super) fn filter(cursor: &str, (lower, upper): Bounds) -> String {
    let column = quoted(cursor);
    let bound = |sign: &str, at: Option<Watermark>| at.map(|at| format!("{column} {sign} {}", literal(&at)));
    let within: Vec<String> = [bound(">=", lower), bound("<", upper)].into_iter().flatten().collect();
    if within.is_empty() {
        return String::new();
    }
    let is_time = !matches!(lower.or(upper), Some(Watermark::Integer(_) | Watermark::RowVersion(_)));
    let unbounded = if is_time { format!(" OR {column} IN ('infinity', '-infinity')") } else { String::new() };
    format!(" WHERE ({}) OR {column} IS NULL{unbounded}", within.join(" AND "))
}

/// The condition for rows that lie ahead of the clock by more than clocks differ.
pub(super) fn ahead(cursor: &str, kind: CursorKind, snapshot: &Snapshot) -> Option<String> {
    let minutes = TimeDelta::minutes(5);
    let at = match kind {
        CursorKind::TimestampTz => Watermark::TimestampTz(snapshot.now + minutes),
        CursorKind::Timestamp => Watermark::Timestamp(snapshot.local_now + minutes),
        CursorKind::Date => Watermark::Date(snapshot.local_now.date().checked_add_days(Days::new(1))?),
        CursorKind::Integer | CursorKind::RowVersion => return None,
    };
    let column = quoted(cursor);
    Some(format!("{column} > {} AND {column} < 'infinity'", literal(&at)))
}

/// A point in the server's own precision, rounded down.
fn literal(at: &Watermark) -> String {
    let time = |at: NaiveDateTime, end: &str| match at.year() {
        ..1 => "-infinity".to_owned(),
        200_000.. => "infinity".to_owned(),
        // Without chrono's sign for years of more than four digits.
        year => format!("{year:04}-{}{end}", at.format("%m-%d %H:%M:%S%.6f")),
    };
    match at {
        Watermark::Date(day) => format!("'{}'::date", time(day.and_time(Default::default()), "")),
        Watermark::Timestamp(at) => format!("'{}'::timestamp", time(*at, "")),
        Watermark::TimestampTz(at) => format!("'{}'::timestamptz", time(at.naive_utc(), "+00")),
        Watermark::Integer(at) => at.to_string(),
        Watermark::RowVersion(at) => at.to_string(),
    }
}
