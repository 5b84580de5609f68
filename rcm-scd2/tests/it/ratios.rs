//! The share of live keys that a load may end.

use rcm_scd2::{Absence, Complete, Error, Late, Load, Spec, When};

use crate::tables::{Table, batch};

const COLUMNS: &str = "hospital id name";

fn scoped(ratio: f64) -> Spec {
    let spec = Spec::snapshot(["hospital", "id"]).track(["name"]);
    spec.deletes(Absence::close().within(["hospital"]).max_ratio(ratio)).build().unwrap()
}

fn numbered(ids: std::ops::Range<usize>) -> String {
    ids.map(|id| format!("hos-a {id} N\n")).collect()
}

#[track_caller]
fn refuses(table: &mut Table, as_of: i64, header: &str, rows: &str, message: &str) {
    let before = table.state.clone();
    let error = table.try_at(as_of, header, rows).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(table.state, before);
}

#[test]
fn a_share_is_of_the_live_keys_of_one_scope_value() {
    let mut table = Table::new(scoped(0.5));
    table.at(1, COLUMNS, "hos-a secret-1 A\nhos-a secret-2 B\nhos-a secret-3 C\nhos-b secret-1 D\nhos-b secret-2 D");
    let rows = "hos-a secret-1 A\nhos-b secret-1 D\nhos-b secret-2 D";
    let message = "load: scope hos-a: 2 of 3 live keys are absent, more than the allowed share of 0.5";
    refuses(&mut table, 2, COLUMNS, rows, message);
    let merged = table.at(2, COLUMNS, "hos-a secret-1 A\nhos-a secret-2 B\nhos-b secret-1 D");
    assert_eq!(merged.counts.closed_by_absence, 2);
}

#[test]
fn exactly_the_share_is_allowed_whatever_the_share() {
    for absent in 1..100 {
        let mut table = Table::new(scoped(absent as f64 / 100.0));
        table.at(1, COLUMNS, &numbered(0..100));
        let result = table.try_at(2, COLUMNS, &numbered(absent..100));
        assert_eq!(result.map(|merged| merged.counts.closed_by_absence), Ok(absent as u64), "{absent} of 100");
    }
}

#[test]
fn one_more_than_the_share_is_refused() {
    for absent in [1, 29, 50, 57, 98] {
        let mut table = Table::new(scoped(absent as f64 / 100.0));
        table.at(1, COLUMNS, &numbered(0..100));
        let error = table.try_at(2, COLUMNS, &numbered(absent + 1..100)).unwrap_err();
        let (scope, ratio) = (Some("hos-a".to_owned()), absent as f64 / 100.0);
        assert_eq!(error, Error::TooManyDeletes { scope, absent: absent as u64 + 1, live: 100, ratio });
    }
}

#[test]
fn an_empty_snapshot_is_a_share_of_one() {
    let absence = |ratio| Absence::close().max_ratio(ratio);
    let spec = |ratio| Spec::snapshot(["hospital", "id"]).track(["name"]).deletes(absence(ratio)).build().unwrap();
    let mut table = Table::new(spec(0.99));
    table.at(1, COLUMNS, "hos-a 1 A\nhos-a 2 A");
    let message = "load: 2 of 2 live keys are absent, more than the allowed share of 0.99";
    refuses(&mut table, 2, COLUMNS, "", message);
    table.spec = spec(1.0);
    assert_eq!(table.at(2, COLUMNS, "").counts.closed_by_absence, 2);
    table.spec = spec(0.0);
    assert_eq!(table.at(3, COLUMNS, "").counts.closed_by_absence, 0, "an empty table has nothing to lose");
}

#[test]
fn withheld_keys_are_not_absent_and_inferred_and_ended_ones_not_live() {
    let mut table = Table::new(scoped(0.4));
    table.at(1, COLUMNS, "hos-a 1 A\nhos-a 2 B\nhos-a 3 C\nhos-a 4 D");
    table.spec = scoped(0.5);
    table.at(2, COLUMNS, "hos-a 1 A\nhos-a 2 B");
    table.spec = scoped(0.4);
    let (rows, withheld) = ([batch(COLUMNS, "")], [batch("hospital id", "hos-a 1")]);
    let load = Load { withheld: &withheld, ..Load::new(&rows, 3) };
    let message = "load: scope hos-a: 1 of 2 live keys are absent, more than the allowed share of 0.4";
    assert_eq!(table.load(&load).unwrap_err().to_string(), message);
}

#[test]
fn rows_that_delete_count_in_a_snapshot() {
    let spec = Spec::snapshot(["id"]).track(["name"]).deletes(When::new("gone", "y").max_ratio(0.5)).build().unwrap();
    let mut table = Table::new(spec);
    table.at(1, "id name gone", "1 A n\n2 B n\n3 C n\n4 D -");
    let message = "load: 3 of 4 live keys are absent, more than the allowed share of 0.5";
    refuses(&mut table, 2, "id name gone", "1 A y\n2 B y\n3 C y", message);
    table.at(2, "id name gone", "1 A y\n2 B y\n9 - y");
    table.shows("1 A 1 2\n2 B 1 2\n3 C 1 -\n4 D 1 -");
}

#[test]
fn rows_that_delete_count_in_a_feed() {
    let spec =
        Spec::feed(["id"], ["at"]).track(["name"]).deletes(When::new("gone", "y").max_ratio(0.5)).build().unwrap();
    let mut table = Table::new(spec);
    table.at(0, "id at name gone", "1 1 A n\n2 1 B n\n3 1 C n\n4 1 D -");
    let message = "load: 3 of 4 live keys are absent, more than the allowed share of 0.5";
    refuses(&mut table, 0, "id at name gone", "1 5 A y\n2 5 B y\n3 5 C y", message);
    let late = "1 5 A y\n2 5 B y\n3 5 C y\n3 6 C n";
    table.at(0, "id at name gone", late);
    table.shows("1 A 1 5\n2 B 1 5\n3 C 1 5\n3 C 6 -\n4 D 1 -");
}

#[test]
fn a_snapshot_that_replaces_the_newest_one_is_held_to_the_share_too() {
    let spec = scoped(0.5);
    let spec = Spec::snapshot(spec.keys().to_vec()).track(["name"]).late(Late::Apply);
    let spec = spec.deletes(Absence::close().within(["hospital"]).max_ratio(0.5)).build().unwrap();
    let mut table = Table::new(spec);
    table.at(1, COLUMNS, "hos-a 1 A\nhos-a 2 B");
    table.at(2, COLUMNS, "hos-a 1 A\nhos-a 2 B\nhos-a 3 C");
    let (rows, hospital) = ([batch(COLUMNS, "")], [batch("hospital", "hos-a")]);
    let load = Load { complete: Complete::Only(&hospital), ..Load::new(&rows, 2) };
    let error = table.load(&load).map(|merged| merged.counts);
    let message = "load: scope hos-a: 3 of 3 live keys are absent, more than the allowed share of 0.5";
    assert_eq!(error.map_err(|error| error.to_string()), Err(message.to_owned()));
}

#[test]
fn what_a_replaced_newest_snapshot_ends_is_counted() {
    let spec = Spec::snapshot(["hospital", "id"]).track(["name"]).late(Late::Apply).deletes(Absence::close());
    let mut table = Table::new(spec.build().unwrap());
    table.at(1, COLUMNS, "hos-a 1 A\nhos-a 2 B");
    table.at(2, COLUMNS, "hos-a 1 A\nhos-a 2 C");
    let merged = table.at(2, COLUMNS, "hos-a 1 A");
    table.shows("hos-a 1 A 1 -\nhos-a 2 B 1 2");
    assert_eq!(merged.counts.closed_by_absence, 1);
    assert_eq!(merged.scopes[0].closed_by_absence, 1);
}
