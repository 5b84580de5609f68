//! The format of dates that nobody declared: found in a column, or not.

use chrono::{Datelike, NaiveDate};

/// How ISO 8601 writes a date.
pub(crate) const ISO: &str = "%Y-%m-%d";
/// Other ways that are met. Two digits of a year are none of them: a century would be guessed.
const FORMATS: [&str; 8] =
    ["%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y", "%d-%b-%Y", "%Y%m%d"];

/// What a column's dates look like.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Some are ISO 8601, or nothing is known that reads them.
    Iso,
    One(&'static str),
    /// Each reads as many of them, and means other days: nobody but their writer can tell.
    Several(Vec<&'static str>),
}

/// A date by a format; none of years that cannot be meant.
pub(crate) fn read(text: &str, format: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, format).ok().filter(|date| date.year() >= 1000)
}

/// The format by which most values are dates, if it is nine in ten of them; ISO 8601 where any is one by that.
pub(crate) fn find<'a>(values: impl Iterator<Item = &'a str> + Clone) -> Found {
    if values.clone().any(|text| read(text, ISO).is_some()) {
        return Found::Iso;
    }
    let all = values.clone().count();
    let of = |format: &&str| values.clone().filter(|text| read(text, format).is_some()).count();
    let counts = FORMATS.map(|format| (of(&format), format));
    let most = counts.iter().map(|(count, _)| *count).max().unwrap_or(0);
    let mut best = counts.iter().filter(|(count, _)| *count == most).map(|(_, format)| *format);
    match (most > 0 && most * 10 >= all * 9, best.next(), best.next()) {
        (false, ..) | (_, None, _) => Found::Iso,
        (true, Some(one), None) => Found::One(one),
        (true, Some(one), Some(other)) => Found::Several([one, other].into_iter().chain(best).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: &[&str]) -> Found {
        find(values.iter().copied())
    }

    #[test]
    fn a_format_is_found_where_it_is_the_only_one() {
        assert_eq!(found(&["06/28/2026", "01/02/2026"]), Found::One("%m/%d/%Y"));
        assert_eq!(found(&["28/06/2026", "01/02/2026"]), Found::One("%d/%m/%Y"));
        assert_eq!(found(&["28.06.2026"]), Found::One("%d.%m.%Y"));
        assert_eq!(found(&["28-Jun-2026"]), Found::One("%d-%b-%Y"));
        assert_eq!(found(&["20260628"]), Found::One("%Y%m%d"));
        // A typing error changes nothing.
        let mut many = vec!["06/28/2026"; 20];
        many.push("06/31/2026");
        assert_eq!(found(&many), Found::One("%m/%d/%Y"));
    }

    #[test]
    fn nothing_is_guessed() {
        assert_eq!(found(&["01/02/2026", "03/04/2026"]), Found::Several(vec!["%m/%d/%Y", "%d/%m/%Y"]));
        // One format a column: what differs is wrong, not another format.
        assert_eq!(found(&["2026-06-28", "06/28/2026", "06/29/2026"]), Found::Iso);
        assert_eq!(found(&["06/28/26", "soon", "28 June 2026"]), Found::Iso);
        assert_eq!(found(&["06/28/2026", "soon", "later"]), Found::Iso);
        assert_eq!(found(&[]), Found::Iso);
    }
}
