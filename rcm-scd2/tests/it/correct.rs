//! Corrections of a stretch of time.

use rcm_scd2::{Absence, Detect, Disposition, Error, Spec, When, correct};

use crate::tables::{Table, bare, outcomes};

const HISTORY: &str = "id name phone valid_from valid_to";

fn snapshots(history: &str) -> Table {
    let spec = Spec::snapshot(["id"]).track(["name"]).latest_in_run(["phone"]).build().unwrap();
    Table::from_history(spec, HISTORY, history)
}

/// The table after one correction; a second one changes nothing.
#[track_caller]
fn check(before: &str, correction: &str, outcome: &str, after: &str) {
    let mut table = snapshots(before);
    let merged = table.correct(HISTORY, correction);
    assert_eq!(outcomes(&merged), outcome);
    table.shows(after);
    let again = table.correct(HISTORY, correction);
    assert!(again.is_nothing(), "a second time is no time");
    assert_eq!(outcomes(&again), "NoOp");
}

#[test]
fn in_the_middle_at_the_start_and_at_the_open_end() {
    check("a A 1 10 -", "a B 2 20 30", "Late", "a A 1 10 20\na B 2 20 30\na A 1 30 -");
    check("a A 1 10 -", "a B 2 10 30", "Late", "a B 2 10 30\na A 1 30 -");
    check("a A 1 10 -", "a B 2 20 -", "Late", "a A 1 10 20\na B 2 20 -");
    check("a A 1 10 -", "a B 2 10 -", "Late", "a B 2 10 -");
}

#[test]
fn before_the_first_version_and_after_the_last() {
    check("a A 1 10 -", "a B 2 1 5", "Late", "a B 2 1 5\na A 1 10 -");
    check("a A 1 10 -", "a B 2 1 10", "Late", "a B 2 1 10\na A 1 10 -");
    check("a A 1 10 20", "a B 2 30 40", "Late", "a A 1 10 20\na B 2 30 40");
    check("a A 1 10 20", "a B 2 30 -", "Late", "a A 1 10 20\na B 2 30 -");
    check("a A 1 10 -", "b B 2 30 40", "New", "a A 1 10 -\nb B 2 30 40");
}

#[test]
fn over_several_versions_and_gaps() {
    let before = "a A 1 10 20\na B 2 20 30\na C 3 40 -";
    check(before, "a X 9 15 45", "Late", "a A 1 10 15\na X 9 15 45\na C 3 45 -");
    check(before, "a X 9 5 -", "Late", "a X 9 5 -");
    check(before, "a X 9 30 40", "Late", "a A 1 10 20\na B 2 20 30\na X 9 30 40\na C 3 40 -");
}

#[test]
fn equal_neighbours_become_one_version() {
    let before = "a A 1 10 20\na B 2 20 30\na A 3 30 -";
    check(before, "a A 9 20 30", "Late", "a A 3 10 -");
    check(before, "a B 9 15 20", "Late", "a A 1 10 15\na B 2 15 30\na A 3 30 -");
    check(before, "a A 9 12 15", "NoOp", before);
}

#[test]
fn other_keys_stay_and_several_keys_can_be_corrected_at_once() {
    let mut table = snapshots("a A 1 10 -\nb B 1 10 -\nc C 1 10 -");
    let merged = table.correct(HISTORY, "c X 1 20 30\na Y 1 20 -");
    assert_eq!(outcomes(&merged), "Late Late");
    table.shows("a A 1 10 20\na Y 1 20 -\nb B 1 10 -\nc C 1 10 20\nc X 1 20 30\nc C 1 30 -");
}

#[test]
fn a_loaded_table_keeps_its_ledger() {
    let mut table = Table::new(Spec::snapshot(["id"]).track(["name"]).build().unwrap());
    table.at(10, "id name", "a A");
    table.correct("id name valid_from valid_to", "a B 12 14");
    assert_eq!(table.ledger(), 1);
    assert_eq!(table.at(10, "id name", "a A").scopes[0].disposition, Disposition::Repeated);
    table.shows("a A 10 12\na B 12 14\na A 14 -");
}

#[test]
fn a_feed_with_a_late_horizon_keeps_its_ledger() {
    let mut table = Table::new(Spec::feed(["id"], ["at"]).track(["name"]).late_horizon(5).build().unwrap());
    table.at(0, "id at name", "a 100 A");
    table.correct("id name valid_from valid_to", "a B 101 103");
    assert_eq!(table.ledger(), 1);
    table.shows("a A 100 101\na B 101 103\na A 103 -");
}

#[test]
fn nothing_outside_the_stretch_changes_where_a_sequence_detects_changes() {
    let spec = Spec::snapshot(["id"]).track(["name"]).sequence("changed", Detect::Sequence).build().unwrap();
    let header = "id name changed valid_from valid_to";
    let mut table = Table::from_history(spec, header, "a A 1 1 5\na A 5 5 -");
    table.correct(header, "a B 7 10 20");
    table.shows("a A 1 1 5\na A 5 5 10\na B 7 10 20\na A 5 20 -");
}

#[test]
fn a_revival_at_the_time_of_the_delete_stays_a_version_of_its_own() {
    let spec = Spec::snapshot(["id"]).track(["name"]).sequence("changed", Detect::Values).deletes(Absence::close());
    let mut table = Table::new(spec.build().unwrap());
    table.at(1, "id name changed", "a A 1");
    table.at(8, "id name changed", "");
    table.at(20, "id name changed", "a A 1");
    table.shows("a A 1 1 8\na A 1 8 -");
    let header = "id name changed valid_from valid_to";
    table.state.ledger.clear();
    table.correct(header, "a B 7 30 40");
    table.shows("a A 1 1 8\na A 1 8 30\na B 7 30 40\na A 1 40 -");
}

#[test]
fn a_correction_says_all_columns() {
    let table = snapshots("a A 1 10 -");
    let error = correct(&table.spec, &table.state, &[bare("id phone valid_from valid_to", "a 2 20 30")]).unwrap_err();
    assert!(matches!(error, Error::MissingColumn { ref column, .. } if column == "name"), "{error}");
}

#[test]
fn markers_follow_the_versions() {
    let spec = Spec::snapshot(["id"]).track(["name"]).deletes(Absence::marker()).build().unwrap();
    let header = "id name valid_from valid_to is_deleted";
    let build = || Table::from_history(spec.clone(), header, "a A 10 20 f\na A 20 - t");
    let mut table = build();
    table.correct("id name valid_from valid_to", "a B 12 14");
    table.shows("a A 10 12 f\na B 12 14 f\na A 14 20 f\na A 20 - t");
    let mut table = build();
    table.correct("id name valid_from valid_to", "a B 15 -");
    table.shows("a A 10 15 f\na B 15 - f");
    let mut table = build();
    table.correct("id name valid_from valid_to", "a B 30 40");
    table.shows("a A 10 20 f\na A 20 30 t\na B 30 40 f\na B 40 - t");
}

fn bad(table: &Table, header: &str, rows: &str) -> String {
    let error = correct(&table.spec, &table.state, &[bare(header, rows)]).unwrap_err();
    assert!(matches!(error, Error::BadCorrection { .. }));
    error.to_string()
}

#[test]
fn what_cannot_be_a_correction_says_why() {
    let table = snapshots("a A 1 10 -");
    assert_eq!(bad(&table, HISTORY, "a B 1 20 30\n- B 1 20 30"), "correction: row 1: a key column is null");
    assert_eq!(bad(&table, HISTORY, "a B 1 - 30"), "correction: row 0: valid_from is null");
    let empty = "correction: row 0: valid_to is not later than valid_from";
    assert_eq!(bad(&table, HISTORY, "a B 1 30 30"), empty);
    assert_eq!(bad(&table, HISTORY, "a B 1 30 20"), empty);
    let twice = "correction: row 1: another one has the same key: make one after the other";
    assert_eq!(bad(&table, HISTORY, "a B 1 20 30\na C 1 40 50"), twice);
}

const FEED: &str = "id run name phone valid_from valid_to";

fn feed() -> Table {
    let spec = Spec::feed(["id"], ["at", "run"]).track(["name"]).latest_in_run(["phone"]);
    Table::new(spec.deletes(When::new("gone", "y")).build().unwrap())
}

#[test]
fn a_feed_takes_it_as_an_event_and_the_former_state() {
    let mut table = feed();
    table.at(0, "id at run name phone gone", "a 10 1 A 1 -");
    let merged = table.correct(FEED, "a 2 B 2 20 30");
    assert_eq!(outcomes(&merged), "Changed");
    table.shows("a A 1 1 10 20\na B 2 2 20 30\na A 1 2 30 -");
    table.correct(FEED, "a 3 C 3 25 30");
    table.shows("a A 1 1 10 20\na B 2 2 20 25\na C 3 3 25 30\na A 1 2 30 -");
}

#[test]
fn a_feed_keeps_the_events_inside_the_stretch() {
    let mut table = feed();
    table.at(0, "id at run name phone gone", "a 10 1 A 1 -\na 25 1 C 1 -\na 28 1 - - y");
    table.correct(FEED, "a 2 B 2 20 40");
    table.shows("a A 1 1 10 20\na B 2 2 20 25\na C 1 1 25 28");
}

#[test]
fn a_feed_without_a_former_state_ends_the_stretch_with_a_delete() {
    let mut table = feed();
    table.at(0, "id at run name phone gone", "a 10 1 A 1 -");
    table.correct(FEED, "a 2 B 2 2 5");
    table.shows("a B 2 2 2 5\na A 1 1 10 -");
    table.correct(FEED, "b 2 B 2 2 5");
    table.shows("a B 2 2 2 5\na A 1 1 10 -\nb B 2 2 2 5");
}

#[test]
fn a_feed_replaces_the_event_at_the_start_only_by_greater_numbers() {
    let mut table = feed();
    table.at(0, "id at run name phone gone", "a 10 3 A 1 -");
    let why = "correction: row 0: an event is stored at its valid_from, and its further sequences are not smaller";
    assert_eq!(bad(&table, FEED, "a 3 B 2 10 20"), why);
    assert_eq!(bad(&table, FEED, "a 2 B 2 10 20"), why);
    table.correct(FEED, "a 4 B 2 10 20");
    table.shows("a B 2 4 10 20\na A 1 4 20 -");
    assert_eq!(bad(&table, FEED, "a 4 B 2 10 20"), why);
    let single = Table::new(Spec::feed(["id"], ["at"]).track(["name"]).build().unwrap());
    let mut single = single;
    single.at(0, "id at name", "a 10 A");
    assert_eq!(bad(&single, "id name valid_from valid_to", "a B 10 20"), why);
    single.correct("id name valid_from valid_to", "a B 11 20");
    single.shows("a A 10 11\na B 11 20\na A 20 -");
}

#[test]
fn a_hidden_event_counts_as_stored() {
    let mut table = feed();
    table.at(0, "id at run name phone gone", "a 10 3 A 1 -\na 20 3 A 2 -\nb 5 3 - - y");
    let why = "correction: row 0: an event is stored at its valid_from, and its further sequences are not smaller";
    assert_eq!(bad(&table, FEED, "a 3 B 2 20 30"), why);
    assert_eq!(bad(&table, FEED, "b 3 B 2 5 30"), why);
    table.correct(FEED, "a 4 B 2 15 20");
    table.shows("a A 1 3 10 15\na B 2 4 15 20\na A 2 3 20 -");
}

#[test]
fn a_corrected_feed_goes_on_as_one_that_was_fed_the_two_events() {
    let (mut corrected, mut fed) = (feed(), feed());
    let header = "id at run name phone gone";
    for table in [&mut corrected, &mut fed] {
        table.at(0, header, "a 10 1 A 1 -\na 30 1 A 3 -\na 50 1 - - y");
    }
    corrected.correct(FEED, "a 2 B 2 20 40");
    fed.at(0, header, "a 20 2 B 2 -\na 40 2 A 3 -");
    assert_eq!(corrected.text(), fed.text());
    for late in ["a 15 1 C 1 -", "a 35 1 B 1 -", "a 45 1 D 1 -", "a 20 3 E 1 -"] {
        corrected.at(0, header, late);
        fed.at(0, header, late);
        assert_eq!(corrected.text(), fed.text(), "{late}");
    }
}

#[test]
fn nothing_to_correct_is_nothing_and_a_null_key_can_be_corrected_where_it_is_a_value() {
    let table = snapshots("a A 1 10 -");
    assert!(correct(&table.spec, &table.state, &[]).unwrap().is_nothing());
    assert!(correct(&table.spec, &table.state, &[bare(HISTORY, "")]).unwrap().is_nothing());
    let spec = Spec::snapshot(["id"]).track(["name"]).null_keys_as_value().build().unwrap();
    let header = "id name valid_from valid_to";
    let mut table = Table::from_history(spec, header, "- A 10 -\na A 10 -");
    table.correct(header, "- B 20 30");
    table.shows("- A 10 20\n- B 20 30\n- A 30 -\na A 10 -");
}

#[test]
fn a_correction_of_a_feed_begins_at_the_late_horizon_at_the_earliest() {
    let spec = Spec::feed(["id"], ["at", "run"]).track(["name"]).late_horizon(10).build().unwrap();
    let mut table = Table::new(spec);
    table.at(0, "id at run name", "a 50 1 A\na 100 1 B");
    let header = "id run name valid_from valid_to";
    assert!(bad(&table, header, "a 2 Z 89 95").ends_with("it begins before the late horizon"));
    table.correct(header, "a 2 Z 90 95");
    table.shows("a A 1 50 90\na Z 2 90 95\na A 2 95 100\na B 1 100 -");
}
