//! The demo's deliveries: two invented hospitals on two days, made from a seed.
//!
//! Every cell is a function of the hospital, the table and the number of the row; `t` only says where on the calendar
//! all of it lies. No person, number or code in it is anybody's: SSNs and provider numbers lie where none is issued,
//! codes where none is assigned. What happens on the second day, and why, reads in order in `change`.

mod base;
mod change;
mod random;
mod table;
#[cfg(test)]
mod tests;
mod words;

use base::{HOSPITALS, Hospital};
use chrono::NaiveDate;
use table::{Calendar, Table};

/// A file of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Path relative to the project folder, with forward slashes.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// T of the demo by default. The first run is as of one day before, the second as of T.
pub const DEFAULT_AS_OF: &str = "2026-06-30T00:00:00Z";

/// A row of the common model: whose, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The hospital's short name.
    pub hospital: &'static str,
    /// The id as silver has it, so a provider's with its prefix.
    pub id: String,
}

/// The rows that show on the terminal what the second day is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// Two versions on day 1 (t − 60d, t − 10d). Day 2 brings one that lies between them (t − 30d).
    pub late_patient: Key,
    /// Has another address on day 2.
    pub moved_patient: Key,
    /// Absent on day 2 from an incremental table: stays current, absence says nothing there.
    pub gone_patient: Key,
    /// Good on day 1, without a last name on day 2: quarantined, and the good version stays current.
    pub kept_patient: Key,
    /// Absent on day 2 from a full table: closed.
    pub gone_provider: Key,
    /// Its line is broken on day 2, so the file is not complete and closes nothing: stays current.
    pub broken_provider: Key,
    /// Corrected on day 2 under the modified date of day 1: the correction replaces what it corrects.
    pub corrected_claims: [Key; 2],
    /// In both drops, the same to the byte: changes nothing.
    pub repeated_claim: Key,
}

/// Which rows to look at.
pub fn story() -> Story {
    let a = |id: &str| Key { hospital: "hos-a", id: id.to_owned() };
    let b = |id: &str| Key { hospital: "hos-b", id: id.to_owned() };
    Story {
        late_patient: a("PAT-000042"),
        moved_patient: b("PAT-000058"),
        gone_patient: a("PAT-000077"),
        kept_patient: a("PAT-000101"),
        gone_provider: a("H1-PROV0009"),
        broken_provider: b("H2-PROV0007"),
        corrected_claims: [a("CLM-000031"), a("CLM-000144")],
        repeated_claim: b("CLM-000090"),
    }
}

/// Everything in `landing/` as delivered on day 1, for a run as of `t` − 1 day. No date in it is later than that.
pub fn day1(t: NaiveDate) -> Vec<File> {
    files(tables(&Calendar(t), Day::One))
}

/// The files that day 2 replaces or adds, for a run as of `t`. One date in it is later than `t`, on purpose.
pub fn day2(t: NaiveDate) -> Vec<File> {
    files(tables(&Calendar(t), Day::Two))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    One,
    Two,
}

/// The tables of a day's delivery, each with its path.
fn tables(calendar: &Calendar, day: Day) -> Vec<(String, Table)> {
    let story = story();
    let mut all = Vec::new();
    for hospital in &HOSPITALS {
        let mut emr = base::emr(hospital, calendar, &story);
        let claims = base::claims(hospital, calendar);
        let (claims, ago) = match day {
            Day::One => (claims, 1),
            Day::Two => {
                change::emr(&mut emr, hospital, calendar, &story);
                (change::claims(&claims, hospital, calendar, &story), 0)
            }
        };
        all.extend(emr.named().map(|(name, table)| (format!("landing/emr/{}/{name}.csv", hospital.name), table)));
        all.push((drop_path(hospital, calendar.ago(ago)), claims));
    }
    if day == Day::One {
        all.push(("landing/codes/cpt_codes.csv".to_owned(), base::codes()));
    }
    all
}

fn drop_path(hospital: &Hospital, date: NaiveDate) -> String {
    format!("landing/claims/{}_claims_{}.csv", hospital.name, date.format("%Y%m%d"))
}

fn files(tables: Vec<(String, Table)>) -> Vec<File> {
    tables.into_iter().map(|(path, table)| File { path, bytes: table.bytes() }).collect()
}
