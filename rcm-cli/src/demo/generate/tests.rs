//! The deliveries hold what the story tells, and nothing that it does not.
#![allow(clippy::unwrap_used)]

use super::*;
use std::collections::BTreeSet;

fn t() -> NaiveDate {
    DEFAULT_AS_OF.get(..10).and_then(|d| d.parse().ok()).unwrap()
}

fn table(day: Day, path: &str) -> Table {
    tables(&Calendar(t()), day).into_iter().find(|(p, _)| p.contains(path)).unwrap().1
}

/// Rows of a key.
fn rows<'a>(table: &'a Table, key: &Key) -> Vec<&'a Vec<String>> {
    table.rows.iter().filter(|r| r[0] == key.id).collect()
}

fn ids(table: &Table) -> BTreeSet<&str> {
    table.rows.iter().map(|r| r[0].as_str()).collect()
}

fn cell<'a>(table: &Table, row: &'a [String], column: &str) -> &'a str {
    &row[table.header.iter().position(|h| *h == column).unwrap()]
}

/// All dates of a delivery, with file and id of their rows.
fn dates(t: NaiveDate, day: Day) -> Vec<(String, String, NaiveDate)> {
    let parse = |c: &str| ["%Y-%m-%d", "%m/%d/%Y"].iter().find_map(|f| NaiveDate::parse_from_str(c, f).ok());
    let all = tables(&Calendar(t), day);
    let cells = all
        .iter()
        .flat_map(|(path, table)| table.rows.iter().flat_map(move |r| r.iter().map(move |c| (path, &r[0], c))));
    let cells = cells.filter(|(_, _, c)| c.len() == 10);
    cells.filter_map(|(path, id, c)| Some((path.clone(), id.clone(), parse(c)?))).collect()
}

#[test]
fn the_same_day_gives_the_same_bytes_and_another_day_the_same_cells_but_for_dates() {
    assert_eq!((day1(t()), day2(t())), (day1(t()), day2(t())));
    let other = NaiveDate::from_ymd_opt(2024, 3, 1).unwrap();
    let (here, there) = (tables(&Calendar(t()), Day::Two), tables(&Calendar(other), Day::Two));
    for ((path, a), (_, b)) in here.iter().zip(&there) {
        for (a, b) in a.rows.iter().flatten().zip(b.rows.iter().flatten()).filter(|(a, b)| a != b) {
            assert!(a.len() == 10 && b.len() == 10 && a.contains(['-', '/']), "{path}: {a} {b}");
        }
    }
}

#[test]
fn no_date_is_later_than_the_run_but_one() {
    for t in [t(), NaiveDate::from_ymd_opt(2024, 2, 29).unwrap(), NaiveDate::from_ymd_opt(2031, 1, 1).unwrap()] {
        assert!(dates(t, Day::One).iter().all(|(_, _, d)| *d < t));
        let late: Vec<_> = dates(t, Day::Two).into_iter().filter(|(_, _, d)| *d > t).collect();
        let ahead = t + chrono::Days::new(10);
        assert_eq!(late, [("landing/emr/hos-a/transactions.csv".to_owned(), "TRX-000412".to_owned(), ahead)]);
        let old: Vec<_> =
            dates(t, Day::Two).into_iter().filter(|(_, _, d)| *d < t - chrono::Days::new(36_500)).collect();
        assert_eq!(old.iter().map(|(_, id, _)| id.as_str()).collect::<Vec<_>>(), ["PAT-000154"]);
    }
}

#[test]
fn day_1_was_modified_in_the_last_two_hundred_days() {
    for (path, table) in tables(&Calendar(t()), Day::One) {
        for row in table.rows.iter().filter(|_| table.header.len() > 6) {
            let format = if path.contains("hos-b/enc") { "%m/%d/%Y" } else { "%Y-%m-%d" };
            let modified = NaiveDate::parse_from_str(row.last().unwrap(), format).unwrap();
            assert!((2..=200).contains(&(t() - modified).num_days()), "{path} {}", row[0]);
        }
    }
}

#[test]
fn ids_collide_between_the_hospitals_and_mean_others() {
    for (name, distinct) in [("departments", 6), ("patients", 150), ("encounters", 250), ("transactions", 400)] {
        let (a, b) = (table(Day::One, &format!("hos-a/{name}")), table(Day::One, &format!("hos-b/{name}")));
        assert_eq!(ids(&a), ids(&b), "{name}");
        assert_eq!(ids(&a).len(), distinct, "{name}");
        assert!(a.rows.iter().filter(|r| b.rows.contains(r)).count() <= 1, "{name}");
    }
    let (a, b) = (table(Day::One, "hos-a_claims"), table(Day::One, "hos-b_claims"));
    assert_eq!((ids(&a), ids(&a).len()), (ids(&b), 200));
}

#[test]
fn no_hand_made_change_repeats_what_was_there() {
    for hospital in ["hos-a", "hos-b"] {
        for (name, changed) in [("patients", 5), ("transactions", 8)] {
            let path = format!("{hospital}/{name}");
            let (before, after) = (table(Day::One, &path), table(Day::Two, &path));
            let column = before.header.iter().position(|h| ["Address", "PaidAmount"].contains(h)).unwrap();
            let differs = |row: &&Vec<String>| {
                let old = before.row(&row[0]);
                row.len() == before.header.len()
                    && !old.is_empty()
                    && !before.rows.contains(row)
                    && old[column] != row[column]
            };
            let late = usize::from(path == "hos-a/patients");
            assert_eq!(after.rows.iter().filter(differs).count(), changed + late, "{path}");
        }
        let (first, second) =
            (table(Day::One, &format!("{hospital}_claims")), table(Day::Two, &format!("{hospital}_claims")));
        let business = |r: &[String]| r[..16].to_vec();
        let same: Vec<_> =
            second.rows.iter().filter(|r| business(r) == first.row(&r[0]).get(..16).unwrap_or_default()).collect();
        assert_eq!(same.len(), usize::from(hospital == "hos-b"));
    }
}

#[test]
fn every_row_of_the_story_is_where_it_should_be() {
    let story = story();
    let of = |day, key: &Key, name: &str| table(day, &format!("{}/{name}", key.hospital));
    let (day1, day2) = (of(Day::One, &story.late_patient, "patients"), of(Day::Two, &story.late_patient, "patients"));
    let ago = |table: &Table| -> Vec<i64> {
        let days = |row: &&Vec<String>| (t() - row[9].parse::<NaiveDate>().unwrap()).num_days();
        rows(table, &story.late_patient).iter().map(days).collect()
    };
    assert_eq!((ago(&day1), ago(&day2)), (vec![60, 10], vec![60, 10, 30]));
    let addresses: BTreeSet<_> = rows(&day2, &story.late_patient).iter().map(|r| r[8].clone()).collect();
    assert_eq!(addresses.len(), 3);

    assert_eq!((rows(&day1, &story.gone_patient).len(), rows(&day2, &story.gone_patient).len()), (1, 0));
    assert_ne!(rows(&day1, &story.kept_patient)[0][2], "");
    assert_eq!(rows(&day2, &story.kept_patient)[0][2], "");
    let moved = |day| rows(&of(day, &story.moved_patient, "patients"), &story.moved_patient)[0][8].clone();
    assert_ne!(moved(Day::One), moved(Day::Two));

    let (day1, day2) = (of(Day::One, &story.gone_provider, "prov"), of(Day::Two, &story.gone_provider, "prov"));
    assert_eq!((rows(&day1, &story.gone_provider).len(), rows(&day2, &story.gone_provider).len()), (1, 0));
    assert_eq!((day1.rows.len(), day2.rows.len()), (12, 11));
    assert_eq!(rows(&of(Day::Two, &story.broken_provider, "prov"), &story.broken_provider)[0].len(), 3);

    let (first, second) = (table(Day::One, "hos-a_claims"), table(Day::Two, "hos-a_claims"));
    for key in &story.corrected_claims {
        let (old, new) = (rows(&first, key)[0], rows(&second, key)[0]);
        assert_eq!(cell(&first, old, "ModifiedDate"), cell(&second, new, "ModifiedDate"));
        assert_ne!(cell(&first, old, "ClaimAmount"), cell(&second, new, "ClaimAmount"));
        assert_ne!(cell(&first, old, "ClaimStatus"), cell(&second, new, "ClaimStatus"));
    }
    let (first, second) = (table(Day::One, "hos-b_claims"), table(Day::Two, "hos-b_claims"));
    assert_eq!(rows(&first, &story.repeated_claim), rows(&second, &story.repeated_claim));
}

#[test]
fn lines_are_broken_where_they_should_be_and_nowhere_else() {
    let short = |day| -> Vec<(String, String)> {
        let all = tables(&Calendar(t()), day);
        let broken =
            |t: &Table| t.rows.iter().filter(|r| r.len() != t.header.len()).map(|r| r[0].clone()).collect::<Vec<_>>();
        all.iter().flat_map(|(p, t)| broken(t).into_iter().map(move |id| (p.clone(), id))).collect()
    };
    assert_eq!(short(Day::One), []);
    let want =
        [("landing/emr/hos-a/transactions.csv", "TRX-000411"), ("landing/emr/hos-b/providers.csv", "H2-PROV0007")];
    assert_eq!(short(Day::Two), want.map(|(p, id)| (p.to_owned(), id.to_owned())));

    let not_utf8 =
        |files: Vec<File>| files.into_iter().filter(|f| std::str::from_utf8(&f.bytes).is_err()).map(|f| f.path);
    assert_eq!(not_utf8(day1(t())).count(), 0);
    assert_eq!(not_utf8(day2(t())).collect::<Vec<_>>(), ["landing/emr/hos-b/encounters.csv"]);
}

#[test]
fn numbers_are_nobodys_and_aging_has_every_band() {
    for (hospital, most) in [("hos-a", 12), ("hos-b", 15)] {
        for npi in table(Day::One, &format!("{hospital}/prov")).rows.iter().map(|r| r[5].clone()) {
            assert!(npi.len() == 10 && npi.starts_with('2'));
            let digits = format!("80840{npi}").bytes().rev().map(|b| u32::from(b - b'0')).collect::<Vec<_>>();
            let doubled = digits.iter().enumerate().map(|(i, d)| if i % 2 == 1 { d * 2 / 10 + d * 2 % 10 } else { *d });
            assert_eq!(doubled.sum::<u32>() % 10, 0);
        }
        assert!(table(Day::One, &format!("{hospital}/pat")).rows.iter().all(|r| r[4].starts_with("900-")));

        let transactions = table(Day::One, &format!("{hospital}/trans"));
        let mut bands = [0; 4];
        for row in &transactions.rows {
            let amount = |c| cell(&transactions, row, c).parse::<f64>().unwrap();
            let age = (t() - cell(&transactions, row, "ServiceDate").parse::<NaiveDate>().unwrap()).num_days();
            if amount("Amount") > amount("PaidAmount") {
                bands[usize::try_from((age - 1).max(0) / 30).unwrap().min(3)] += 1;
            }
        }
        assert!(bands.iter().all(|n| *n > 10), "{bands:?}");
        let known = transactions.rows.iter().filter(|r| r[3][4..].parse::<u32>().unwrap() <= most).count();
        assert!((250..=310).contains(&known), "{known} of 400 name a provider who exists");
    }
}
