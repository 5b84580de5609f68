//! Which of several events of one key in one load changed its history, and which only seem to.

use rcm_scd2::{Spec, When};

use crate::tables::{Table, outcomes};

const COLUMNS: &str = "id at name phone is_gone";

fn feed() -> Table {
    let spec = Spec::feed(["id"], ["at"]).track(["name"]).latest_in_run(["phone"]);
    Table::new(spec.deletes(When::new("is_gone", true)).build().unwrap())
}

#[test]
fn an_event_that_repeats_the_one_before_it_has_no_effect() {
    let mut table = feed();
    table.at(0, COLUMNS, "a 1 A 1 f");
    let merged = table.at(0, COLUMNS, "a 2 B 1 f\na 3 B 1 f\na 4 C 1 f\na 5 C 1 f");
    assert_eq!(outcomes(&merged), "Changed NoOp Changed NoOp");
}

#[test]
fn of_two_deletes_the_first_ends_the_version() {
    let mut table = feed();
    table.at(0, COLUMNS, "a 1 A 1 f\nb 1 A 1 f");
    let merged = table.at(0, COLUMNS, "a 2 - - t\na 3 - - t\nb 2 - - t\nb 3 B 1 f");
    assert_eq!(outcomes(&merged), "Changed NoOp Changed Changed");
}

#[test]
fn a_delete_where_the_version_ended_already_has_no_effect_beside_one_that_has() {
    let mut table = feed();
    table.at(0, COLUMNS, "a 1 A 1 f\na 4 B 1 f");
    // At 4 the first version ends anyway; with the delete at 4 nothing begins there.
    let merged = table.at(0, COLUMNS, "a 2 A 1 f\na 6 - - t");
    assert_eq!(outcomes(&merged), "NoOp Changed");
    let merged = table.at(0, COLUMNS, "a 3 - - t\na 5 B 1 f");
    assert_eq!(outcomes(&merged), "Late NoOp");
}

#[test]
fn untracked_values_change_a_version_by_the_event_that_is_shown() {
    let mut table = feed();
    table.at(0, COLUMNS, "a 1 A 1 f");
    let merged = table.at(0, COLUMNS, "a 2 A 2 f\na 3 A 3 f\na 4 B 3 f");
    assert_eq!(outcomes(&merged), "NoOp Changed Changed");
    table.shows("a A 3 1 4\na B 3 4 -");
    // A new version's opener says what it shows; a later one that says the same has no effect.
    let merged = table.at(0, COLUMNS, "a 5 C 5 f\na 6 C 5 f\na 7 C 6 f");
    assert_eq!(outcomes(&merged), "Changed NoOp Changed");
}

#[test]
fn what_a_delete_says_of_the_columns_is_no_effect_of_it() {
    let spec = Spec::feed(["id"], ["at"]).track(["name"]).latest_in_run(["phone"]);
    let deletes = When::new("is_gone", true).marker();
    let mut table = Table::new(spec.deletes(deletes).build().unwrap());
    table.at(0, COLUMNS, "a 1 A 1 f");
    let merged = table.at(0, COLUMNS, "a 2 X 9 t\na 3 X 9 t");
    assert_eq!(outcomes(&merged), "Changed NoOp");
}

#[test]
fn a_correction_that_lets_a_version_vanish_has_an_effect_beside_others() {
    let spec = Spec::feed(["id"], ["at", "run"]).track(["name"]).build().unwrap();
    let mut table = Table::new(spec);
    table.at(0, "id at run name", "a 1 1 A\na 5 1 B");
    // What stood at 5 was wrong: it is as it was before. At 9 something new begins.
    let merged = table.at(0, "id at run name", "a 5 2 A\na 7 2 A\na 9 2 C");
    assert_eq!(outcomes(&merged), "Changed NoOp Changed");
}

#[test]
fn a_marker_carries_the_numbers_of_its_delete() {
    let spec = Spec::feed(["id"], ["at", "run"]).track(["name"]);
    let deletes = When::new("is_gone", true).marker();
    let mut table = Table::new(spec.deletes(deletes).build().unwrap());
    table.at(0, "id at run name is_gone", "a 1 1 A f\na 5 7 - t");
    table.shows("a A 1 1 5 f\na A 7 5 - t");
}
