//! Typed values out of text. Exact or not at all: nothing is rounded, no zone is guessed.

use super::columns::DATE_FORMAT;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, TimeUnit};
use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime};

/// As what a column is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text as it comes.
    Raw,
    /// Text that is null where nothing stands.
    Text,
    Boolean,
    Int16,
    Int32,
    Int64,
    Float64,
    Decimal {
        precision: u8,
        scale: u32,
    },
    Date {
        format: Option<String>,
    },
    Timestamp {
        unit: TimeUnit,
        is_zoned: bool,
        format: Option<String>,
    },
}

impl Kind {
    /// As what a field is read; none if CSV is not read so.
    pub(super) fn of(field: &Field) -> Option<Kind> {
        let format = || field.metadata().get(DATE_FORMAT).cloned();
        Some(match field.data_type() {
            DataType::Utf8 => Kind::Text,
            DataType::Boolean => Kind::Boolean,
            DataType::Int16 => Kind::Int16,
            DataType::Int32 => Kind::Int32,
            DataType::Int64 => Kind::Int64,
            DataType::Float64 => Kind::Float64,
            DataType::Decimal128(precision, scale) if *precision <= DECIMAL128_MAX_PRECISION => {
                Kind::Decimal { precision: *precision, scale: u32::try_from(*scale).ok()? }
            }
            DataType::Date32 => Kind::Date { format: format() },
            DataType::Timestamp(unit, zone) if zone.as_deref().is_none_or(|zone| zone == "UTC") => {
                Kind::Timestamp { unit: *unit, is_zoned: zone.is_some(), format: format() }
            }
            _ => return None,
        })
    }

    /// What a value must be, in words.
    pub(super) fn expected(&self) -> String {
        let by = |format: &Option<String>, iso: &str| format.clone().unwrap_or_else(|| iso.to_owned());
        match self {
            Kind::Raw | Kind::Text => "a text".to_owned(),
            Kind::Boolean => "true or false".to_owned(),
            Kind::Int16 => "a whole number of 16 bits".to_owned(),
            Kind::Int32 => "a whole number of 32 bits".to_owned(),
            Kind::Int64 => "a whole number of 64 bits".to_owned(),
            Kind::Float64 => "a number".to_owned(),
            Kind::Decimal { precision, scale } => {
                let whole = u32::from(*precision) - scale;
                format!("a decimal number with at most {whole} digits before the point and {scale} behind it")
            }
            Kind::Date { format } => format!("a date such as {}", by(format, "2026-06-28")),
            Kind::Timestamp { is_zoned: true, format, .. } => {
                format!("a time with its offset such as {}", by(format, "2026-06-28T23:59:59Z"))
            }
            Kind::Timestamp { format, .. } => {
                format!("a time without offset such as {}", by(format, "2026-06-28T23:59:59"))
            }
        }
    }
}

/// Words for true and false, in any case.
pub(super) fn boolean(cell: &[u8]) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| cell.eq_ignore_ascii_case(word.as_bytes()));
    match cell {
        b"1" => Some(true),
        b"0" => Some(false),
        _ if is(["true", "t", "yes", "y"]) => Some(true),
        _ if is(["false", "f", "no", "n"]) => Some(false),
        _ => None,
    }
}

/// Its sign, and the rest.
fn signed(cell: &[u8]) -> (bool, &[u8]) {
    match cell {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, cell),
    }
}

/// Digits after digits: `None` where another byte comes, or more than 38.
fn digits(so_far: u128, more: &[u8]) -> Option<u128> {
    more.iter().try_fold(so_far, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10 && sum < 10u128.pow(37)).then(|| sum * 10 + u128::from(digit))
    })
}

/// The same of at most 18.
#[inline]
fn few_digits(so_far: u64, more: &[u8]) -> Option<u64> {
    more.iter().try_fold(so_far, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then_some(sum * 10 + u64::from(digit))
    })
}

#[inline]
pub(super) fn whole(cell: &[u8]) -> Option<i64> {
    let (is_negative, number) = signed(cell);
    match number.len() {
        0 => None,
        1..=18 => few_digits(0, number).map(|number| if is_negative { -(number as i64) } else { number as i64 }),
        _ => {
            let number = i128::try_from(digits(0, number)?).ok()?;
            i64::try_from(if is_negative { -number } else { number }).ok()
        }
    }
}

pub(super) fn float(cell: &[u8]) -> Option<f64> {
    std::str::from_utf8(cell).ok()?.parse().ok()
}

/// A decimal number in units of its last place. Places that are not there are zeros; more than there is room for must be.
#[inline]
pub(super) fn decimal(cell: &[u8], precision: u8, scale: u32) -> Option<i128> {
    let (is_negative, number) = signed(cell);
    let point = number.iter().position(|byte| *byte == b'.').unwrap_or(number.len());
    let (whole, places) = (&number[..point], number.get(point + 1..).unwrap_or_default());
    if whole.is_empty() && places.is_empty() {
        return None;
    }
    let (places, zeros) = places.split_at(places.len().min(scale as usize));
    if zeros.iter().any(|byte| *byte != b'0') {
        return None;
    }
    let missing = scale - places.len() as u32;
    let units = if whole.len() + scale as usize <= 18 {
        i128::from(few_digits(few_digits(0, whole)?, places)? * 10u64.pow(missing))
    } else {
        let units = digits(digits(0, whole)?, places)?.checked_mul(10u128.checked_pow(missing)?)?;
        i128::try_from(units).ok()?
    };
    (units < 10i128.pow(u32::from(precision))).then_some(if is_negative { -units } else { units })
}

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

/// Days since 1970 of a date as ISO 8601 writes it.
#[inline]
pub(super) fn date(cell: &[u8]) -> Option<i32> {
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = cell.as_array::<10>()? else { return None };
    let [century, year, month, day] = pairs([y0, y1, y2, y3, m0, m1, d0, d1])?;
    let year = century * 100 + year;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = *DAYS.get(month as usize)? + u32::from(is_leap && month == 2);
    if year == 0 || day == 0 || day > days {
        return None;
    }
    // Years from March on, so that the odd day is their last (Hinnant, "chrono-compatible low-level date algorithms").
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    Some(days as i32 - 719_469)
}

/// Days of the months; there is no month 0.
const DAYS: [u32; 13] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The same of another format.
pub(super) fn date_by(cell: &[u8], format: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(std::str::from_utf8(cell).ok()?, format).ok()?;
    (1..=9999).contains(&date.year()).then(|| date.num_days_from_ce() - 719_163)
}

/// Seconds since 1970 and nanoseconds of a time as ISO 8601 writes it, `T` or a blank between date and time: with its offset,
/// if there must be one.
#[inline]
pub(super) fn time(cell: &[u8], is_zoned: bool) -> Option<(i64, u32)> {
    let days = date(cell.get(..10)?)?;
    let two = |at: usize, bound: u32| two_digits(cell, at).filter(|number| *number < bound);
    let is_time = matches!(cell.get(10)?, b'T' | b't' | b' ') && cell.get(13) == Some(&b':');
    let (hour, minute) = (two(11, 24)?, two(14, 60)?);
    let (second, at) = if cell.get(16) == Some(&b':') { (two(17, 60)?, 19) } else { (0, 16) };
    let mut rest = &cell[at..];
    let mut nanos = 0;
    if let [b'.', behind @ ..] = rest {
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
        NaiveDateTime::parse_from_str(text, format).or_else(|_| date()).ok().map(|naive| naive.and_utc())
    };
    let zoned = || DateTime::<FixedOffset>::parse_from_str(text, format).ok().map(|zoned| zoned.to_utc());
    let time = if is_zoned { zoned()? } else { naive()? };
    Some((time.timestamp(), time.timestamp_subsec_nanos()))
}

/// A time in a unit, if it can be told in it exactly.
#[inline]
pub(super) fn in_unit((seconds, nanos): (i64, u32), unit: TimeUnit) -> Option<i64> {
    let (a_second, a_part) = match unit {
        TimeUnit::Second => (1, 1_000_000_000),
        TimeUnit::Millisecond => (1_000, 1_000_000),
        TimeUnit::Microsecond => (1_000_000, 1_000),
        TimeUnit::Nanosecond => (1_000_000_000, 1),
    };
    let parts = (nanos % a_part == 0).then_some(i64::from(nanos / a_part))?;
    seconds.checked_mul(a_second)?.checked_add(parts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_to_their_bounds() {
        for number in [0, 1, -1, 999_999_999_999_999_999, -1_000_000_000_000_000_000, i64::MAX, i64::MIN] {
            assert_eq!(whole(number.to_string().as_bytes()), Some(number));
        }
        assert_eq!(whole(b"+007"), Some(7));
        for wrong in ["", "-", "+-1", "1.0", "1e3", " 1", "9223372036854775808", "-9223372036854775809", "0x1", "1_0"] {
            assert_eq!(whole(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(whole(&[b'9'; 60]), None);
    }

    #[test]
    fn decimals_to_the_digit() {
        for (text, precision, scale, units) in [
            ("12.5", 5, 2, 1250),
            ("-0.01", 5, 2, -1),
            (".5", 5, 2, 50),
            ("5.", 5, 2, 500),
            ("12.500", 5, 2, 1250),
            ("0007", 5, 0, 7),
            ("99999999999999999999999999999999999999", 38, 0, 10i128.pow(38) - 1),
            ("-123456789012345678.9012345678", 28, 10, -1_234_567_890_123_456_789_012_345_678),
        ] {
            assert_eq!(decimal(text.as_bytes(), precision, scale), Some(units), "{text}");
        }
        let wrong = ["", "-", ".", "1.005", "1000", "1,5", "1e2", "NaN", "1.2.3", "١"];
        assert!(wrong.iter().all(|wrong| decimal(wrong.as_bytes(), 5, 2).is_none()));
        assert_eq!(decimal(&[b'9'; 39], 38, 0), None);
    }

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
        ] {
            assert_eq!(micros(wrong, is_zoned), None, "{wrong}");
        }
        let us = time_by(b"06/28/2026 11:30 PM", "%m/%d/%Y %I:%M %p", false);
        assert_eq!(us, time(b"2026-06-28T23:30:00", false));
    }
}
