//! Tables whose open versions end at an instant instead of null: that instant can come in a load, too.

use rcm_scd2::{Absence, Error, Spec, When, merge, verify};

use crate::tables::{Table, bare, batch};

const OPEN: i64 = 9_999;

/// Whatever is returned makes a sound table; else it is an error.
#[track_caller]
fn sound(mut table: Table, as_of: i64, header: &str, rows: &str) {
    let before = table.state.clone();
    let rows = [batch(header, rows)];
    let Ok(merged) = merge(&table.spec, &table.state, &rcm_scd2::Load::new(&rows, as_of)) else { return };
    table.state = rcm_scd2::apply(&before, &merged).unwrap();
    verify(&table.spec, &table.state.history).unwrap();
}

#[test]
fn an_event_at_or_after_the_open_end_makes_no_empty_version() {
    let spec = || Spec::feed(["id"], ["at"]).track(["name"]).deletes(When::new("gone", "y")).open_valid_to(OPEN);
    let table = Table::new(spec().build().unwrap());
    sound(table.clone(), 0, "id at name gone", "a 9999 A -");
    sound(table.clone(), 0, "id at name gone", "a 12000 A -");
    sound(table.clone(), 0, "id at name gone", "a 5 A -\na 9999 B -");
    sound(table, 0, "id at name gone", "a 5 A -\na 9999 - y");
}

#[test]
fn a_snapshot_at_the_open_end_makes_no_empty_version() {
    let spec = Spec::snapshot(["id"]).track(["name"]).deletes(Absence::close()).open_valid_to(OPEN).build().unwrap();
    let mut table = Table::new(spec);
    table.at(1, "id name", "a A");
    sound(table.clone(), OPEN, "id name", "a B");
    sound(table.clone(), OPEN, "id name", "");
    sound(table, OPEN + 1, "id name", "a B\nb C");
}

#[test]
fn a_correction_until_the_open_end_is_one_without_end() {
    let spec = Spec::snapshot(["id"]).track(["name"]).open_valid_to(OPEN).build().unwrap();
    let header = "id name valid_from valid_to is_current";
    let table = Table::from_history(spec, header, "a A 1 9999 t");
    let corrected =
        |rows: &str| rcm_scd2::correct(&table.spec, &table.state, &[bare("id name valid_from valid_to", rows)]);
    let after = rcm_scd2::apply(&table.state, &corrected("a B 5 9999").unwrap()).unwrap();
    verify(&table.spec, &after.history).unwrap();
    assert_eq!(crate::tables::text(&after.history), "a A 1 5\na B 5 9999");
    let bad = Error::BadCorrection { row: 0, why: "it is not before the valid_to of open versions" };
    for rows in ["a B 9999 -", "a B 10000 -", "a B 5 10000", "a B 9999 10000"] {
        assert_eq!(corrected(rows).err(), Some(bad.clone()), "{rows}");
    }
    corrected("a B 9998 -").unwrap();
}

#[test]
fn the_open_end_is_what_history_shows() {
    let spec = Spec::snapshot(["id"]).track(["name"]).deletes(Absence::close()).open_valid_to(OPEN).build().unwrap();
    let mut table = Table::new(spec);
    table.at(1, "id name", "a A\nb B");
    table.at(2, "id name", "a C");
    table.shows("a A 1 2\na C 2 9999\nb B 1 2");
    table.rewind(2);
    table.shows("a A 1 9999\nb B 1 9999");
}
