//! How far a table was read.

use arrow::array::{Array, AsArray};
use arrow::compute::max;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt64Type,
};
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// What the column is by which a source tells what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CursorKind {
    /// Days.
    Date,
    /// Wall-clock time of some place, without saying which.
    Timestamp,
    /// Instants.
    TimestampTz,
    /// Numbers that only grow.
    Integer,
    /// SQL Server's rowversion, as a number.
    RowVersion,
}

impl CursorKind {
    /// What kind of cursor a column of a type is; none if it can be none.
    pub fn of(data_type: &DataType) -> Option<CursorKind> {
        match data_type {
            DataType::Date32 => Some(CursorKind::Date),
            DataType::Timestamp(_, None) => Some(CursorKind::Timestamp),
            DataType::Timestamp(_, Some(_)) => Some(CursorKind::TimestampTz),
            DataType::Int16 | DataType::Int32 | DataType::Int64 => Some(CursorKind::Integer),
            DataType::UInt64 => Some(CursorKind::RowVersion),
            _ => None,
        }
    }
}

impl fmt::Display for CursorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CursorKind::Date => "date",
            CursorKind::Timestamp => "timestamp without time zone",
            CursorKind::TimestampTz => "timestamp with time zone",
            CursorKind::Integer => "integer",
            CursorKind::RowVersion => "rowversion",
        })
    }
}

/// A point on such a column, with all digits that the source tells (chrono holds 100 ns ticks). Points of two kinds are not
/// comparable: a wall-clock time is no instant.
///
/// ```
/// use rcm_core::Watermark;
///
/// let at = Watermark::Timestamp("2026-06-28T12:00:00.1234567".parse().unwrap());
/// let text = serde_json::to_string(&at).unwrap();
/// assert_eq!(text, r#"{"timestamp":"2026-06-28T12:00:00.123456700"}"#);
/// assert_eq!(serde_json::from_str::<Watermark>(&text).unwrap(), at);
/// assert!(at > Watermark::Timestamp("2026-06-28T12:00:00.1234566".parse().unwrap()));
/// assert_eq!(at.partial_cmp(&Watermark::Integer(7)), None);
/// assert_eq!(at.to_string(), "2026-06-28T12:00:00.123456700");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watermark {
    /// A day.
    Date(NaiveDate),
    /// A wall-clock time.
    Timestamp(NaiveDateTime),
    /// An instant.
    TimestampTz(DateTime<Utc>),
    /// A number.
    Integer(i64),
    /// A rowversion.
    RowVersion(u64),
}

/// How far below a watermark a read begins anew: what was committed late is found there. It widens the lower bound only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// Of dates and times; of dates whole days, rounded up.
    Time(TimeDelta),
    /// Of numbers.
    Steps(u64),
}

impl Lag {
    /// Whether it is one of a kind of column.
    ///
    /// ```
    /// use rcm_core::{CursorKind, Lag};
    ///
    /// assert!(Lag::Steps(7).fits(CursorKind::Integer) && !Lag::Steps(7).fits(CursorKind::Date));
    /// ```
    pub fn fits(self, kind: CursorKind) -> bool {
        let is_number = matches!(kind, CursorKind::Integer | CursorKind::RowVersion);
        match self {
            Lag::Time(time) => time.is_zero() || !is_number,
            Lag::Steps(steps) => steps == 0 || is_number,
        }
    }
}

impl Watermark {
    /// What kind of column it is a point of.
    pub fn kind(&self) -> CursorKind {
        match self {
            Watermark::Date(_) => CursorKind::Date,
            Watermark::Timestamp(_) => CursorKind::Timestamp,
            Watermark::TimestampTz(_) => CursorKind::TimestampTz,
            Watermark::Integer(_) => CursorKind::Integer,
            Watermark::RowVersion(_) => CursorKind::RowVersion,
        }
    }

    /// Whether a read from here would find nothing, for it lies ahead of a clock, and of what that clock shows in its zone, by more
    /// than clocks and zones differ (26 hours at most). Numbers are ahead of no clock.
    ///
    /// ```
    /// use rcm_core::Watermark;
    ///
    /// let noon = "2026-06-28T12:00:00".parse().unwrap();
    /// let at = |text: &str| Watermark::Timestamp(text.parse().unwrap());
    /// let is_ahead = |at: Watermark| at.is_far_ahead(chrono::NaiveDateTime::and_utc(&noon), noon);
    /// assert!(is_ahead(at("2026-06-30T12:00:01")) && !is_ahead(at("2026-06-30T12:00:00")));
    /// ```
    pub fn is_far_ahead(&self, now: DateTime<Utc>, local: NaiveDateTime) -> bool {
        let ahead = match self {
            Watermark::TimestampTz(at) => *at - now,
            Watermark::Timestamp(at) => *at - local,
            Watermark::Date(at) => *at - local.date(),
            Watermark::Integer(_) | Watermark::RowVersion(_) => TimeDelta::zero(),
        };
        ahead > TimeDelta::days(2)
    }

    /// The point a lag below this one, or the lowest there is; none where the lag is of another kind.
    ///
    /// ```
    /// use chrono::TimeDelta;
    /// use rcm_core::{Lag, Watermark};
    ///
    /// let day = |text: &str| Watermark::Date(text.parse().unwrap());
    /// assert_eq!(day("2026-03-01").less(Lag::Time(TimeDelta::hours(25))), Some(day("2026-02-27")));
    /// assert_eq!(Watermark::Integer(5).less(Lag::Steps(7)), Some(Watermark::Integer(-2)));
    /// assert_eq!(Watermark::Integer(5).less(Lag::Time(TimeDelta::hours(1))), None);
    /// assert_eq!(Watermark::Integer(5).less(Lag::Time(TimeDelta::zero())), Some(Watermark::Integer(5)));
    /// ```
    pub fn less(&self, lag: Lag) -> Option<Watermark> {
        Some(match (*self, lag) {
            (point, Lag::Steps(0)) => point,
            (point, Lag::Time(time)) if time.is_zero() => point,
            (Watermark::Date(day), Lag::Time(time)) => {
                let days = time.num_seconds().div_euclid(86_400) + i64::from(time.num_seconds().rem_euclid(86_400) > 0);
                let days = Days::new(days.unsigned_abs());
                Watermark::Date(day.checked_sub_days(days).unwrap_or(NaiveDate::MIN))
            }
            (Watermark::Timestamp(at), Lag::Time(time)) => {
                Watermark::Timestamp(at.checked_sub_signed(time).unwrap_or(NaiveDateTime::MIN))
            }
            (Watermark::TimestampTz(at), Lag::Time(time)) => {
                Watermark::TimestampTz(at.checked_sub_signed(time).unwrap_or(DateTime::<Utc>::MIN_UTC))
            }
            (Watermark::Integer(at), Lag::Steps(steps)) => Watermark::Integer(at.saturating_sub_unsigned(steps)),
            (Watermark::RowVersion(at), Lag::Steps(steps)) => Watermark::RowVersion(at.saturating_sub(steps)),
            _ => return None,
        })
    }

    /// A point of a kind out of a text; none where it is none. A day is its midnight, of instants in UTC.
    ///
    /// ```
    /// use rcm_core::{CursorKind, Watermark};
    ///
    /// let day = Watermark::parse(CursorKind::TimestampTz, "2026-06-28").unwrap();
    /// assert_eq!(day.to_string(), "2026-06-28T00:00:00Z");
    /// assert_eq!(Watermark::parse(CursorKind::Integer, "7"), Some(Watermark::Integer(7)));
    /// assert_eq!(Watermark::parse(CursorKind::Timestamp, "2026-06-28T12:00:00Z"), None, "a wall-clock time is no instant");
    /// ```
    pub fn parse(kind: CursorKind, text: &str) -> Option<Watermark> {
        let midnight = || text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN));
        match kind {
            CursorKind::Date => text.parse().ok().map(Watermark::Date),
            CursorKind::Timestamp => text.parse().ok().or_else(midnight).map(Watermark::Timestamp),
            CursorKind::TimestampTz => {
                let instant = DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
                instant.or_else(|| midnight().map(|at| at.and_utc())).map(Watermark::TimestampTz)
            }
            CursorKind::Integer => text.parse().ok().map(Watermark::Integer),
            CursorKind::RowVersion => text.parse().ok().map(Watermark::RowVersion),
        }
    }

    /// The greatest point of a column as a source delivers it; none where it holds nothing, or is no such column. Nulls
    /// count for nothing.
    ///
    /// ```
    /// use arrow::array::Date32Array;
    /// use rcm_core::{CursorKind, Watermark};
    ///
    /// let days = Date32Array::from(vec![Some(3), None, Some(1)]);
    /// let greatest = Watermark::greatest(CursorKind::Date, &days).unwrap();
    /// assert_eq!(greatest, Watermark::Date("1970-01-04".parse().unwrap()));
    /// assert_eq!(Watermark::greatest(CursorKind::Integer, &days), None);
    /// ```
    pub fn greatest(kind: CursorKind, column: &dyn Array) -> Option<Watermark> {
        fn of<T: ArrowPrimitiveType>(column: &dyn Array) -> Option<T::Native>
        where
            T::Native: arrow::array::ArrowNativeTypeOp,
        {
            max(column.as_primitive_opt::<T>()?)
        }
        let instant = || match column.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => DateTime::from_timestamp(of::<TimestampSecondType>(column)?, 0),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                DateTime::from_timestamp_millis(of::<TimestampMillisecondType>(column)?)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                DateTime::from_timestamp_micros(of::<TimestampMicrosecondType>(column)?)
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                Some(DateTime::from_timestamp_nanos(of::<TimestampNanosecondType>(column)?))
            }
            _ => None,
        };
        let is_zoned = matches!(column.data_type(), DataType::Timestamp(_, Some(_)));
        match kind {
            CursorKind::Date => Date32Type::to_naive_date_opt(of::<Date32Type>(column)?).map(Watermark::Date),
            CursorKind::Timestamp if !is_zoned => Some(Watermark::Timestamp(instant()?.naive_utc())),
            CursorKind::TimestampTz if is_zoned => Some(Watermark::TimestampTz(instant()?)),
            CursorKind::Integer => match column.data_type() {
                DataType::Int16 => of::<Int16Type>(column).map(i64::from),
                DataType::Int32 => of::<Int32Type>(column).map(i64::from),
                DataType::Int64 => of::<Int64Type>(column),
                _ => None,
            }
            .map(Watermark::Integer),
            CursorKind::RowVersion => of::<UInt64Type>(column).map(Watermark::RowVersion),
            _ => None,
        }
    }
}

/// In ISO 8601, or as a number.
impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Watermark::Date(day) => day.fmt(f),
            Watermark::Timestamp(at) => write!(f, "{at:?}"),
            Watermark::TimestampTz(at) => write!(f, "{at:?}"),
            Watermark::Integer(at) => at.fmt(f),
            Watermark::RowVersion(at) => at.fmt(f),
        }
    }
}

/// Within a kind.
impl PartialOrd for Watermark {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Watermark::Date(a), Watermark::Date(b)) => Some(a.cmp(b)),
            (Watermark::Timestamp(a), Watermark::Timestamp(b)) => Some(a.cmp(b)),
            (Watermark::TimestampTz(a), Watermark::TimestampTz(b)) => Some(a.cmp(b)),
            (Watermark::Integer(a), Watermark::Integer(b)) => Some(a.cmp(b)),
            (Watermark::RowVersion(a), Watermark::RowVersion(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}
