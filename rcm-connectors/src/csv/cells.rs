//! Typed values out of text. Exact or not at all; of floating-point numbers the nearest.

use super::columns::DATE_FORMAT;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, TimeUnit};

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
            DataType::Decimal128(precision, scale)
                if *precision <= DECIMAL128_MAX_PRECISION && i16::from(*scale) <= i16::from(*precision) =>
            {
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
pub(super) fn few_digits(so_far: u64, more: &[u8]) -> Option<u64> {
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

/// The nearest number of 64 bits, as Rust reads it; none that is infinite or no number.
#[inline]
pub(super) fn float(cell: &[u8]) -> Option<f64> {
    few_digits_float(cell)
        .or_else(|| std::str::from_utf8(cell).ok()?.parse().ok().filter(|number: &f64| number.is_finite()))
}

/// Of at most 15 digits: both of what is divided are exact, so that the quotient is the nearest (Clinger, "How to read floating
/// point numbers accurately", 1990).
#[inline]
fn few_digits_float(cell: &[u8]) -> Option<f64> {
    const TENS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (is_negative, number) = signed(cell);
    if number.len() > 16 {
        return None;
    }
    let point = number.iter().position(|byte| *byte == b'.').unwrap_or(number.len());
    let (whole, places) = (&number[..point], number.get(point + 1..).unwrap_or_default());
    if !(1..=15).contains(&(whole.len() + places.len())) {
        return None;
    }
    let number = few_digits(few_digits(0, whole)?, places)? as f64 / TENS[places.len()];
    Some(if is_negative { -number } else { number })
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

#[cfg(test)]
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
    fn floating_point_numbers_are_those_of_rust() {
        let mut dice = 3u64;
        for _ in 0..200_000 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (digits, places) = (dice >> 11, (dice >> 3) as usize % 18);
            let digits = (digits % 10u64.pow((dice % 17) as u32 + 1)).to_string();
            let (whole, rest) = digits.split_at(digits.len().saturating_sub(places));
            for text in
                [format!("{whole}.{rest}"), format!("-{whole}.{rest}"), digits.clone(), format!("{whole}.{rest}e7")]
            {
                assert_eq!(float(text.as_bytes()).map(f64::to_bits), text.parse().ok().map(f64::to_bits), "{text}");
            }
        }
        for text in ["", ".", "-", "-.", "+1.5", "-0", "1_0", "0x1", "1.2.3", " 1"] {
            assert_eq!(float(text.as_bytes()).map(f64::to_bits), text.parse().ok().map(f64::to_bits), "{text}");
        }
        assert!(["1e400", "inf", "-Infinity", "NaN"].iter().all(|text| float(text.as_bytes()).is_none()));
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
}
