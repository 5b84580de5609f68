//! Decimal text to cents, exact: no float on the way.

/// Cents of a decimal text such as `988.3699951171875` or `-1.5e2`, rounded half away from zero. `None` where the text
/// is no number or does not fit `Decimal(18, 2)`.
pub(crate) fn cents(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i32>().ok().filter(|e| e.abs() <= 400)?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let point = digits.iter().position(|b| *b == b'.').unwrap_or(digits.len());
    let whole_and_part: Vec<u8> = digits.iter().enumerate().filter(|(i, _)| *i != point).map(|(_, b)| *b).collect();
    if whole_and_part.is_empty() || !whole_and_part.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Position of the digit after the cents, counted in `whole_and_part`.
    let end = point as i64 + i64::from(exponent) + 2;
    let mut cents: i128 = 0;
    for i in 0..end.max(0) {
        let digit = usize::try_from(i).ok().and_then(|i| whole_and_part.get(i)).map_or(0, |b| i128::from(b - b'0'));
        cents = cents * 10 + digit;
        if cents >= 10i128.pow(18) {
            return None;
        }
    }
    if usize::try_from(end).ok().and_then(|i| whole_and_part.get(i)).is_some_and(|b| *b >= b'5') {
        cents += 1;
    }
    (cents < 10i128.pow(18)).then_some(if negative { -cents } else { cents })
}

#[cfg(test)]
mod tests {
    use super::cents;

    #[test]
    fn rounds_half_away_from_zero_and_never_through_a_float() {
        for (text, want) in [
            ("988.3699951171875", 98_837),
            ("0.005", 1),
            ("-0.005", -1),
            ("0.0049999999999999999999", 0),
            ("12", 1_200),
            (".5", 50),
            ("5.", 500),
            ("+7.1", 710),
            ("1.5e2", 15_000),
            ("1e-05", 0),
            ("5e-3", 1),
            ("9999999999999999.99", 999_999_999_999_999_999),
        ] {
            assert_eq!(cents(text), Some(want), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_number_or_does_not_fit() {
        for text in [
            "",
            "-",
            ".",
            "1,000.00",
            "$5",
            "NaN",
            "inf",
            "1.2.3",
            "12 ",
            "0x1",
            "1e",
            "1e999",
            "99999999999999999",
            "9999999999999999.995",
        ] {
            assert_eq!(cents(text), None, "{text}");
        }
    }
}
