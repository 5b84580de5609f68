//! Dates and times out of text. None is rounded, and no zone is guessed.

use super::cells::{decimal, few_digits};
use arrow::datatypes::TimeUnit;
use chrono::format::{Fixed, Item, Numeric, StrftimeItems};
use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime};

/// Four numbers of two digits, all at once (after Lemire, "Quickly parsing eight digits", 2018).
#[inline]
fn pairs(cell: [u8; 8]) -> Option<[u32; 4]> {
    const HIGH: u64 = u64::from_le_bytes([0xF0; 8]);
    const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
    let bytes = u64::from_le_bytes(cell);
    let are_digits = bytes & HIGH == ZEROS && bytes.wrapping_add(u64::from_le_bytes([6; 8])) & HIGH == ZEROS;
    let digits = bytes.wrapping_sub(ZEROS);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8).to_le_bytes();
    are_digits.then_some([pairs[0], pairs[2], pairs[4], pairs[6]].map(u32::from))
}

/// Two digits.
#[inline]
fn two_digits(cell: &[u8], at: usize) -> Option<u32> {
    few_digits(0, cell.get(at..at + 2)?).map(|number| number as u32)
}

/// The years of which the first day of every month is known.
const FIRST_YEAR: u32 = 1900;
const MONTHS: usize = 12 * 200;
/// Those days since 1970, and the one behind the last.
static FIRST_DAYS: [i32; MONTHS + 1] = first_days();

const fn first_days() -> [i32; MONTHS + 1] {
    let mut days = [0; MONTHS + 1];
    let (mut n, mut day) = (0, -25_567);
    while n <= MONTHS {
        days[n] = day;
        day += days_of_month(FIRST_YEAR + n as u32 / 12, n as u32 % 12 + 1) as i32;
        n += 1;
    }
    days
}

const fn days_of_month(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// Days since 1970 of a date as ISO 8601 writes it.
#[inline]
pub(super) fn date(cell: &[u8]) -> Option<i32> {
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = cell.as_array::<10>()? else { return None };
    let [century, year, month, day] = pairs([y0, y1, y2, y3, m0, m1, d0, d1])?;
    let year = century * 100 + year;
    let n = (year.wrapping_sub(FIRST_YEAR) as usize).wrapping_mul(12).wrapping_add(month.wrapping_sub(1) as usize);
    match FIRST_DAYS.get(n..).and_then(|rest| rest.first_chunk()) {
        // Of a month 13 the table has another month.
        Some([first, next]) if month <= 12 => {
            let at = first + day as i32 - 1;
            (day > 0 && at < *next).then_some(at)
        }
        _ => far_date(year, month, day),
    }
}

/// The same of years before and behind those (Hinnant, "chrono-compatible low-level date algorithms").
#[cold]
fn far_date(year: u32, month: u32, day: u32) -> Option<i32> {
    if year == 0 || day == 0 || day > days_of_month(year, month) {
        return None;
    }
    // Years from March on, so that the odd day is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    Some(days as i32 - 719_469)
}

/// What a declared format may read: `26` under `%Y` is nobody's year.
const YEARS: std::ops::RangeInclusive<i32> = 1000..=9999;

/// The same of another format.
pub(super) fn date_by(cell: &[u8], format: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(std::str::from_utf8(cell).ok()?, format).ok()?;
    YEARS.contains(&date.year()).then(|| date.num_days_from_ce() - 719_163)
}

/// Seconds since 1970 and nanoseconds of a time as ISO 8601 writes it, `T` or a blank between date and time: with its offset,
/// if there must be one.
#[inline]
pub(super) fn time(cell: &[u8], is_zoned: bool) -> Option<(i64, u32)> {
    let days = date(cell.get(..10)?)?;
    let two = |at: usize, bound: u32| two_digits(cell, at).filter(|number| *number < bound);
    let is_time = matches!(cell.get(10)?, b'T' | b't' | b' ') && cell.get(13) == Some(&b':');
    let (hour, minute) = (two(11, 24)?, two(14, 60)?);
    let has_seconds = cell.get(16) == Some(&b':');
    let (second, at) = if has_seconds { (two(17, 60)?, 19) } else { (0, 16) };
    let mut rest = &cell[at..];
    let mut nanos = 0;
    if let ([b'.', behind @ ..], true) = (rest, has_seconds) {
        let places = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
        nanos = decimal(&rest[..=places], 9, 9).filter(|_| places > 0)? as u32;
        rest = &behind[places..];
    }
    let offset = match (rest, is_zoned) {
        ([], false) | ([b'Z' | b'z'], true) => 0,
        ([sign @ (b'+' | b'-'), offset @ ..], true) => {
            let (hours, minutes) = match offset {
                [_, _] => (two_digits(offset, 0)?, 0),
                [_, _, b':', _, _] => (two_digits(offset, 0)?, two_digits(offset, 3)?),
                [_, _, _, _] => (two_digits(offset, 0)?, two_digits(offset, 2)?),
                _ => return None,
            };
            let seconds = i64::from(hours * 3600 + minutes * 60);
            (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -seconds } else { seconds })?
        }
        _ => return None,
    };
    let of_day = i64::from(hour * 3600 + minute * 60 + second);
    is_time.then_some((i64::from(days) * 86_400 + of_day - offset, nanos))
}

/// The same of another format.
pub(super) fn time_by(cell: &[u8], format: &str, is_zoned: bool) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(cell).ok()?;
    let naive = || {
        let date = || NaiveDate::parse_from_str(text, format).map(|date| date.and_time(NaiveTime::MIN));
        let time = if Tells::of(format).time { NaiveDateTime::parse_from_str(text, format) } else { date() };
        time.ok().map(|naive| naive.and_utc())
    };
    let zoned = || DateTime::<FixedOffset>::parse_from_str(text, format).ok().map(|zoned| zoned.to_utc());
    let time = if is_zoned { zoned()? } else { naive()? };
    if !YEARS.contains(&time.year()) || time.timestamp_subsec_nanos() > 999_999_999 {
        return None;
    }
    Some((time.timestamp(), time.timestamp_subsec_nanos()))
}

/// What a format tells beside the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tells {
    time: bool,
    offset: bool,
}

impl Tells {
    fn of(format: &str) -> Tells {
        let (mut time, mut offset) = (false, false);
        for item in StrftimeItems::new(format) {
            match item {
                Item::Numeric(Numeric::Timestamp, _) => (time, offset) = (true, true),
                Item::Numeric(
                    Numeric::Hour | Numeric::Hour12 | Numeric::Minute | Numeric::Second | Numeric::Nanosecond,
                    _,
                ) => {
                    time = true;
                }
                Item::Fixed(Fixed::RFC2822 | Fixed::RFC3339) => (time, offset) = (true, true),
                Item::Fixed(
                    Fixed::TimezoneName
                    | Fixed::TimezoneOffset
                    | Fixed::TimezoneOffsetColon
                    | Fixed::TimezoneOffsetDoubleColon
                    | Fixed::TimezoneOffsetTripleColon
                    | Fixed::TimezoneOffsetColonZ
                    | Fixed::TimezoneOffsetZ,
                ) => offset = true,
                Item::Fixed(Fixed::LowerAmPm | Fixed::UpperAmPm) => time = true,
                _ => {}
            }
        }
        Tells { time, offset }
    }
}

/// What is wrong with a format for times, with a zone or without.
pub(super) fn format_fault(format: &str, is_zoned: bool) -> Option<&'static str> {
    if format.is_empty() || StrftimeItems::new(format).any(|item| item == Item::Error) {
        return Some("is no format of dates and times");
    }
    match (Tells::of(format).offset, is_zoned) {
        (true, false) => Some("tells an offset, and the column has no zone"),
        (false, true) => Some("tells no offset, and the column has a zone"),
        _ => None,
    }
}

/// How many of a unit are a second.
#[inline]
pub(super) fn parts_a_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// A time in a unit, if it can be told in it exactly.
#[inline]
pub(super) fn in_unit((seconds, nanos): (i64, u32), unit: TimeUnit) -> Option<i64> {
    let a_second = parts_a_second(unit);
    let a_part = 1_000_000_000 / a_second as u32;
    let parts = (nanos % a_part == 0).then_some(i64::from(nanos / a_part))?;
    seconds.checked_mul(a_second)?.checked_add(parts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_the_calendar_and_no_other() {
        let mut day = NaiveDate::from_ymd_opt(1, 1, 1).unwrap();
        while day.year() <= 9999 {
            let text = day.format("%Y-%m-%d").to_string();
            assert_eq!(date(text.as_bytes()), Some(day.num_days_from_ce() - 719_163), "{text}");
            day = day.succ_opt().unwrap();
        }
        for wrong in
            ["2023-02-29", "1900-02-29", "2024-13-01", "2024-00-10", "2024-04-31", "0000-01-01", "2024-1-1", "24-01-01"]
        {
            assert_eq!(date(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(date_by(b"28/06/2026", "%d/%m/%Y"), date(b"2026-06-28"));
    }

    #[test]
    fn times_with_and_without_offset_are_never_mixed() {
        let micros = |text: &str, is_zoned| in_unit(time(text.as_bytes(), is_zoned)?, TimeUnit::Microsecond);
        assert_eq!(micros("1970-01-01T00:00:01.5", false), Some(1_500_000));
        assert_eq!(micros("1969-12-31 23:59:59.999999", false), Some(-1));
        assert_eq!(micros("1970-01-01 00:00", false), Some(0));
        assert_eq!(micros("1970-01-01T02:00:00+02:00", true), Some(0));
        assert_eq!(micros("1969-12-31T18:30:00-0530", true), Some(0));
        assert_eq!(micros("1970-01-01T00:00:00.0000000Z", true), Some(0));
        for (wrong, is_zoned) in [
            ("1970-01-01T00:00:00Z", false),
            ("1970-01-01T00:00:00", true),
            ("1970-01-01T24:00:00", false),
            ("1970-01-01T00:00:60", false),
            ("1970-01-01T00:00:00.", false),
            ("1970-01-01T00:00:00.0000001", false),
            ("1970-01-01T00:00:00+25:00", true),
            ("1970-01-01", false),
            ("1970-01-01T00", false),
            ("1970-01-01T00.00", false),
            ("1970-01-01T00:00.5", false),
        ] {
            assert_eq!(micros(wrong, is_zoned), None, "{wrong}");
        }
        for (wrong, format) in [
            ("06/28/2026 11:30", "%m/%d/%Y %I:%M"),
            ("2026-06-28 12:30.5", "%Y-%m-%d %H:%M"),
            ("06/28/26", "%m/%d/%Y"),
            ("2026-06-28 23:59:60", "%Y-%m-%d %H:%M:%S"),
        ] {
            assert_eq!(time_by(wrong.as_bytes(), format, false), None, "{wrong} by {format}");
        }
        assert!(format_fault("%Y-%m-%dT%H:%M:%S%z", false).is_some() && format_fault("%Y-%m-%d", true).is_some());
        assert!(format_fault("%d.%m.%Y", false).is_none() && format_fault("%Q", false).is_some());
        let us = time_by(b"06/28/2026 11:30 PM", "%m/%d/%Y %I:%M %p", false);
        assert_eq!(us, time(b"2026-06-28T23:30:00", false));
    }
}
