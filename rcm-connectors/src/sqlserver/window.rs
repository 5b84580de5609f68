//! The bounds of a window, and the condition that says them to the server in the column's own type: only so it uses an index,
//! and compares no digits that the column has not.

use super::catalog::{Kind, Table};
use super::session::Session;
use super::statements::{self, quoted};
use super::{Options, SqlServer};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc};
use rcm_core::{Class, CursorKind, Problem, Watermark, Window};

pub(super) type Bounds = (Option<Watermark>, Option<Watermark>);

/// Until when a window may reach.
#[derive(Debug, Clone)]
pub(super) struct Instant {
    /// The server's clock.
    now: DateTime<Utc>,
    local_now: NaiveDateTime,
    /// The end of windows.
    upper: DateTime<Utc>,
    /// The same as the wall clock shows it.
    local: NaiveDateTime,
    /// Whether somebody is writing since then.
    is_held: bool,
    /// The lowest rowversion that may still be uncommitted; none where the server does not say, or says it of another one.
    active: Option<u64>,
}

/// How long somebody may write before it is told that windows end there.
const LONG: TimeDelta = TimeDelta::minutes(5);

/// By how much a `datetime` may be rounded up, and more.
const ROUNDED: TimeDelta = TimeDelta::milliseconds(10);

/// By how much clocks may differ.
const MINUTES: TimeDelta = TimeDelta::minutes(5);

impl Session {
    /// Looks at the clock, and at who is writing.
    pub(super) async fn instant(&mut self, options: &Options) -> Result<Instant, Problem> {
        // The clock first: who begins to write behind it is later than it, and who began before is seen then.
        let row = match &options.time_zone {
            None => self.row(statements::CLOCK, &[]).await?,
            Some(zone) => self.row(statements::CLOCK_IN_ZONE, &[&zone.as_str()]).await.map_err(|problem| {
                let hint = "write it as sys.time_zone_info has it, such as `Pacific Standard Time` or `UTC`";
                let what = "the server does not know the source's time_zone";
                if problem.class == Class::Failed {
                    Problem::new(Class::Config, &self.place, what).hint(hint)
                } else {
                    problem
                }
            })?,
        };
        let (Some(now), Some(wall), Some(local_now)) = (row.time(0)?, row.time(1)?, row.time(2)?) else {
            return Err(self.unreadable());
        };
        let writing = match self.row(statements::WRITING, &[]).await {
            Ok(row) => row.time(0)?,
            // It may not be seen, or there is no such view.
            Err(problem) if problem.class != Class::Temporary => None,
            Err(problem) => return Err(problem),
        };
        let settle = TimeDelta::from_std(options.settle).unwrap_or(TimeDelta::MAX);
        // The row of a writer may carry an instant before its transaction began, by as much as one that is over. Both clocks are
        // walls: where the writer began later than it is now, an hour was set back meanwhile.
        let since = writing.map(|since| if since > wall { since - TimeDelta::hours(1) } else { since });
        let age = since.map_or(settle, |since| (wall - since).checked_add(&settle).unwrap_or(settle) + ROUNDED);
        let is_held = age > settle + ROUNDED;
        let active = match self.row(statements::ACTIVE, &[]).await {
            Ok(row) => Some(row.rowversion(0)?),
            Err(problem) if problem.class != Class::Temporary => None,
            Err(problem) => return Err(problem),
        };
        // A copy does not know which transactions are open where it is copied from.
        let is_copy = match self.row(statements::UPDATEABILITY, &[]).await {
            Ok(row) => row.text(0)? == "READ_ONLY",
            Err(problem) if problem.class != Class::Temporary => false,
            Err(problem) => return Err(problem),
        };
        let active = active.filter(|_| !is_copy);
        let before = |at: NaiveDateTime| at.checked_sub_signed(age).unwrap_or(NaiveDateTime::MIN);
        let (upper, local) = (before(now).and_utc(), before(local_now));
        Ok(Instant { now: now.and_utc(), local_now, upper, local, is_held, active })
    }

    /// Whether rows lie ahead of the clock: dated wrongly, or meant in another zone. They are read when it gets there. Without
    /// an index that would be looked for at the price of another read.
    pub(super) async fn rows_ahead(
        &mut self,
        table: &Table,
        cursor: &str,
        instant: &Instant,
    ) -> Result<Option<String>, Problem> {
        let (kind, column) = table.cursor(cursor)?;
        let Some(ahead) = instant.ahead(kind).filter(|_| table.has_index(cursor)) else { return Ok(None) };
        let condition = format!("{} > {}", quoted(cursor), literal(&ahead, column));
        let rows = self.rows(&statements::any(&table.quoted, &condition), &[]).await?;
        Ok((!rows.is_empty()).then(|| {
            format!(
                "rows of `{cursor}` lie ahead of the server's clock: they are read when it gets there; if they are meant in \
                 another zone, set `time_zone` of the source"
            )
        }))
    }
}

impl SqlServer {
    /// Bounds are those of the instant that was fixed, or of now.
    pub(super) async fn instant(&self, session: &mut Session) -> Result<Instant, Problem> {
        match &self.at {
            Some(at) => Ok((**at).clone()),
            None => session.instant(&self.options).await,
        }
    }
}

impl Instant {
    /// That somebody has been writing for long.
    pub(super) fn waits(&self) -> Option<String> {
        let minutes = (self.now - self.upper).num_minutes();
        (self.is_held && self.now - self.upper > LONG).then(|| {
            format!("the window ends {minutes} minutes ago: a transaction has been writing since then; what is later waits for it")
        })
    }

    /// What lies ahead of the clock by more than clocks differ.
    fn ahead(&self, kind: CursorKind) -> Option<Watermark> {
        Some(match kind {
            CursorKind::TimestampTz => Watermark::TimestampTz(self.now + MINUTES),
            CursorKind::Timestamp => Watermark::Timestamp(self.local_now + MINUTES),
            CursorKind::Date => Watermark::Date(self.local_now.date().checked_add_days(Days::new(1))?),
            CursorKind::Integer | CursorKind::RowVersion => return None,
        })
    }

    pub(super) fn bounds(&self, window: &Window, kind: CursorKind) -> Result<Bounds, Problem> {
        let upper = match kind {
            CursorKind::TimestampTz => Some(Watermark::TimestampTz(self.upper)),
            CursorKind::Timestamp => Some(Watermark::Timestamp(self.local)),
            // A day is read until it is over, and again by every read until then.
            CursorKind::Date => self.local.date().checked_add_days(Days::new(1)).map(Watermark::Date),
            CursorKind::Integer => None,
            CursorKind::RowVersion => Some(Watermark::RowVersion(self.active.ok_or_else(|| {
                Problem::new(Class::Config, "", "the server does not tell which rowversions are committed")
                    .hint("take another column for the watermark, or read the database that is written to, not a copy")
            })?)),
        };
        let lower = window.lower(kind)?;
        match window {
            Window::Between { to, .. } => Ok((lower, Some(*to))),
            Window::Since { watermark, .. } => {
                let is_ahead = |at: &Watermark| match at {
                    // What was read was committed, in this database.
                    Watermark::RowVersion(at) => self.active.is_some_and(|active| *at >= active),
                    at => at.is_far_ahead(self.now, self.local_now),
                };
                if watermark.as_ref().is_some_and(is_ahead) {
                    let what = "the saved watermark lies ahead of the server: nothing would be read";
                    return Err(Problem::new(Class::Config, "", what).hint(
                        "if the database was restored, or the server or its clock replaced, rebuild the table: \
                         `rcm run --full-refresh --select TABLE`",
                    ));
                }
                Ok((lower, upper))
            }
            Window::Whole => Ok((None, None)),
        }
    }
}

/// What cannot be compared is in every window; of a column without nulls the server knows that there is none. None: all rows are.
pub(super) fn filter(cursor: &str, column: Kind, (lower, upper): Bounds) -> Option<String> {
    let name = quoted(cursor);
    let bound = |sign: &str, at: Option<Watermark>| at.map(|at| format!("{name} {sign} {}", literal(&at, column)));
    let within: Vec<String> = [bound(">=", lower), bound("<", upper)].into_iter().flatten().collect();
    (!within.is_empty()).then(|| format!("{} OR {name} IS NULL", within.join(" AND ")))
}

/// A point in the column's own type, rounded down to what that holds.
fn literal(at: &Watermark, column: Kind) -> String {
    let at = match at {
        // A number that is longer than an int would be a decimal.
        Watermark::Integer(at) if i32::try_from(*at).is_err() => return format!("CAST({at} AS bigint)"),
        Watermark::Integer(at) => return at.to_string(),
        Watermark::RowVersion(at) => return format!("0x{at:016X}"),
        Watermark::Date(day) => day.and_time(NaiveTime::MIN),
        Watermark::Timestamp(at) => *at,
        Watermark::TimestampTz(at) => at.naive_utc(),
    };
    let (first, last) = match column {
        Kind::SmallDateTime => (day(1900, 1, 1), day(2079, 6, 6).and_time(NaiveTime::MIN)),
        Kind::DateTime => (day(1753, 1, 1), last_day()),
        _ => (day(1, 1, 1), last_day()),
    };
    let at = at.clamp(first.and_time(NaiveTime::MIN), last);
    let date = format!("{:04}-{:02}-{:02}", at.year(), at.month(), at.day());
    let (second, nanos) = (at.format("%H:%M:%S"), at.nanosecond() % 1_000_000_000);
    match column {
        Kind::Date => format!("CAST('{date}' AS date)"),
        Kind::SmallDateTime => format!("CAST('{date}T{}:00' AS smalldatetime)", at.format("%H:%M")),
        // A 300th of a second: of three digits the server makes the one they are meant for.
        Kind::DateTime => {
            let ticks = u64::from(nanos) * 300 / 1_000_000_000;
            format!("CAST('{date}T{second}.{:03}' AS datetime)", (ticks * 1000 + 150) / 300)
        }
        Kind::DateTimeOffset(digits) => {
            format!("CAST('{date}T{second}{}+00:00' AS datetimeoffset({digits}))", fraction(nanos, digits))
        }
        column => {
            let digits = if let Kind::DateTime2(digits) = column { digits } else { 7 };
            format!("CAST('{date}T{second}{}' AS datetime2({digits}))", fraction(nanos, digits))
        }
    }
}

fn fraction(nanos: u32, digits: u8) -> String {
    let digits = u32::from(digits.min(7));
    let value = nanos / 10_u32.pow(9 - digits);
    if digits == 0 { String::new() } else { format!(".{value:0width$}", width = digits as usize) }
}

fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default()
}

/// The last time that its types hold.
fn last_day() -> NaiveDateTime {
    let end = NaiveTime::from_hms_nano_opt(23, 59, 59, 999_999_900).unwrap_or_default();
    day(9999, 12, 31).and_time(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_rounded_down_to_what_a_column_holds() {
        let at = |text: &str| Watermark::Timestamp(text.parse().unwrap());
        let noon = at("2026-06-28T12:34:56.1239999");
        for (column, expected) in [
            (Kind::DateTime2(7), "CAST('2026-06-28T12:34:56.1239999' AS datetime2(7))"),
            (Kind::DateTime2(3), "CAST('2026-06-28T12:34:56.123' AS datetime2(3))"),
            (Kind::DateTime2(0), "CAST('2026-06-28T12:34:56' AS datetime2(0))"),
            (Kind::DateTime, "CAST('2026-06-28T12:34:56.123' AS datetime)"),
            (Kind::SmallDateTime, "CAST('2026-06-28T12:34:00' AS smalldatetime)"),
        ] {
            assert_eq!(literal(&noon, column), expected);
        }
        // .1239999 is 37 of 300ths, which are written .123; the least below .9999999 is .997.
        assert_eq!(
            literal(&at("2026-06-28T12:34:56.9999999"), Kind::DateTime),
            "CAST('2026-06-28T12:34:56.997' AS datetime)"
        );
        assert_eq!(
            literal(&at("2026-06-28T12:34:56.0033333"), Kind::DateTime),
            "CAST('2026-06-28T12:34:56.000' AS datetime)"
        );
        let early = Watermark::Timestamp(NaiveDateTime::MIN);
        assert_eq!(literal(&early, Kind::DateTime), "CAST('1753-01-01T00:00:00.000' AS datetime)");
        assert_eq!(literal(&early, Kind::DateTime2(0)), "CAST('0001-01-01T00:00:00' AS datetime2(0))");
        assert_eq!(literal(&Watermark::RowVersion(2001), Kind::RowVersion), "0x00000000000007D1");
        let instant = Watermark::TimestampTz("2026-06-28T12:00:00.5Z".parse().unwrap());
        let expected = "CAST('2026-06-28T12:00:00.50+00:00' AS datetimeoffset(2))";
        assert_eq!(literal(&instant, Kind::DateTimeOffset(2)), expected);
    }

    #[test]
    fn rows_without_a_cursor_are_in_every_window() {
        let bounds = (Some(Watermark::Integer(5)), None);
        assert_eq!(filter("a", Kind::Int, bounds).unwrap(), "[a] >= 5 OR [a] IS NULL");
        assert_eq!(filter("a", Kind::Int, (None, None)), None);
        let far = (None, Some(Watermark::Integer(-3_000_000_000)));
        assert_eq!(filter("a", Kind::BigInt, far).unwrap(), "[a] < CAST(-3000000000 AS bigint) OR [a] IS NULL");
    }
}
