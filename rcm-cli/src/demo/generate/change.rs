//! Day 2: what has happened to the tables of day 1, case by case.

use super::Story;
use super::base::{self, CLAIMS, ENCOUNTERS, Emr, Hospital, PATIENTS, TRANSACTIONS};
use super::table::{Calendar, Table};
use chrono::Datelike;

/// Who moves house, which transactions are paid otherwise, which claims are decided.
const MOVED: [u32; 5] = [11, 23, 58, 90, 133];
const PAID: [u32; 8] = [7, 48, 101, 162, 219, 280, 333, 390];
const DECIDED: [u32; 5] = [15, 34, 103, 150, 181];

/// The record system on day 2: whole tables again, with all that has changed since.
pub(super) fn emr(emr: &mut Emr, hospital: &Hospital, calendar: &Calendar, story: &Story) {
    let is_a = hospital.name == story.gone_patient.hospital;
    changed(emr, hospital, calendar, is_a);
    new(emr, hospital, calendar);
    if is_a {
        history(emr, hospital, calendar, story);
        broken_a(emr, hospital, calendar, story);
    } else {
        // The same row twice, not side by side.
        let again = emr.patients.row("PAT-000088");
        emr.patients.insert(20, again);
        broken_b(emr, hospital, calendar, story);
    }
}

/// Five patients move, eight transactions are paid otherwise.
fn changed(emr: &mut Emr, h: &Hospital, calendar: &Calendar, is_a: bool) {
    for (n, i) in MOVED.into_iter().zip(0..) {
        let at = emr.patients.at(&format!("PAT-{n:06}"));
        emr.patients.set(at, "Address", base::address(h, 1_000 + n));
        emr.patients.set(at, if is_a { "ModifiedDate" } else { "Updated_Date" }, calendar.iso(i % 2));
    }
    for (n, i) in PAID.into_iter().zip(0..) {
        let at = emr.transactions.at(&format!("TRX-{n:06}"));
        emr.transactions.set(at, "PaidAmount", base::cents(10_001 + 1_111 * i));
        emr.transactions.set(at, "PaidDate", calendar.iso(1));
        emr.transactions.set(at, "ModifiedDate", calendar.iso(i % 2));
    }
}

fn new(emr: &mut Emr, h: &Hospital, calendar: &Calendar) {
    emr.patients.rows.extend((PATIENTS + 1..=PATIENTS + 3).map(|n| base::patient(h, calendar, n)));
    emr.encounters.rows.extend((ENCOUNTERS + 1..=ENCOUNTERS + 5).map(|n| base::encounter(h, calendar, n)));
    emr.transactions.rows.extend((TRANSACTIONS + 1..=TRANSACTIONS + 10).map(|n| base::transaction(h, calendar, n)));
}

/// A late version between two known ones; one who is gone where absence says something, one where it does not.
fn history(emr: &mut Emr, h: &Hospital, calendar: &Calendar, story: &Story) {
    let late = emr.patients.at(&story.late_patient.id) + 2;
    emr.patients.insert(late, emr.patients.row(&story.late_patient.id));
    emr.patients.set(late, "Address", base::address(h, 2_042));
    emr.patients.set(late, "ModifiedDate", calendar.iso(30));
    emr.patients.remove(&story.gone_patient.id);
    emr.providers.remove(&story.gone_provider.id);
}

fn broken_a(emr: &mut Emr, h: &Hospital, calendar: &Calendar, story: &Story) {
    // A good patient's new version lacks what a patient must have.
    let kept = emr.patients.at(&story.kept_patient.id);
    emr.patients.set(kept, "LastName", "");
    emr.patients.set(kept, "ModifiedDate", calendar.iso(0));

    // A line that ends too early.
    let mut ragged = base::transaction(h, calendar, TRANSACTIONS + 11);
    ragged.truncate(9);
    emr.transactions.insert(120, ragged);

    // A service in ten days.
    let at = 250;
    emr.transactions.insert(at, base::transaction(h, calendar, TRANSACTIONS + 12));
    emr.transactions.set(at, "ServiceDate", calendar.ahead(10));

    // A day that no calendar has.
    let at = 60;
    emr.encounters.insert(at, base::encounter(h, calendar, ENCOUNTERS + 6));
    emr.encounters.set(at, "EncounterDate", format!("31/31/{:04}", calendar.ago(0).year()));
}

fn broken_b(emr: &mut Emr, h: &Hospital, calendar: &Calendar, story: &Story) {
    // Born in a century that the rules do not believe.
    let at = 33;
    emr.patients.insert(at, base::patient(h, calendar, PATIENTS + 4));
    emr.patients.set(at, "DOB", "1875-04-01");

    // Text in another encoding than UTF-8.
    let at = 140;
    emr.encounters.insert(at, base::encounter(h, calendar, ENCOUNTERS + 6));
    emr.encounters.set(at, "EncounterType", "T\u{e9}l\u{e9}m\u{e9}decine");

    // An amount as people write it elsewhere.
    let at = 77;
    emr.transactions.insert(at, base::transaction(h, calendar, TRANSACTIONS + 11));
    emr.transactions.set(at, "Amount", "1.234,50");

    // A broken line in a full table: what it does not say could not be told from what is gone.
    let at = emr.providers.at(&story.broken_provider.id);
    if let Some(row) = emr.providers.rows.get_mut(at) {
        row.truncate(3);
    }
}

/// The second drop: decisions, new claims, and what should change nothing or only put right.
pub(super) fn claims(first: &Table, h: &Hospital, calendar: &Calendar, story: &Story) -> Table {
    let mut drop = first.like();
    for (n, i) in DECIDED.into_iter().zip(0..) {
        let at = drop.rows.len();
        drop.insert(at, base::claim(h, calendar, n));
        drop.set(at, "ClaimStatus", if i % 2 == 0 { "Paid" } else { "Denied" });
        drop.set(at, "PaidAmount", base::cents(if i % 2 == 0 { 5_003 + 1_111 * i } else { 0 }));
        drop.set(at, "ModifiedDate", calendar.iso(i % 2));
    }
    for key in story.corrected_claims.iter().filter(|key| key.hospital == h.name) {
        let at = drop.rows.len();
        drop.insert(at, first.row(&key.id));
        drop.set(at, "ClaimAmount", base::cents(477_777));
        drop.set(at, "ClaimStatus", "Approved");
    }
    if story.repeated_claim.hospital == h.name {
        drop.insert(drop.rows.len(), first.row(&story.repeated_claim.id));
    }
    drop.rows.extend((CLAIMS + 1..=CLAIMS + 10).map(|n| base::claim(h, calendar, n)));
    drop
}
