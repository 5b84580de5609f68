use rcm_scd2::{Close, Complete, Error, RefusalCode, Spec};

use crate::tables::{Snap, check_snapshot, snap, snapshot_spec};

const BEFORE: &str = "H1 a Ann p 10 - \n H1 b Bob p 10 - \n H2 a Ida p 10 -";

fn only(scopes: &[&str]) -> Complete {
    Complete::Only(scopes.iter().map(|scope| scope.to_string()).collect())
}

#[test]
fn new_keys_open_at_as_of() {
    check_snapshot("", &Snap::new(10, "H1 a Ann p"), "New", "H1 a Ann p 10 -");
}

#[test]
fn a_tracked_change_closes_and_opens_at_as_of() {
    let load = Snap::new(20, "H1 a Eve p \n H1 b Bob p \n H2 a Ida p");
    let after = "H1 a Ann p 10 20 \n H1 a Eve p 20 - \n H1 b Bob p 10 - \n H2 a Ida p 10 -";
    let merged = check_snapshot(BEFORE, &load, "Changed NoOp NoOp", after);
    assert_eq!(merged.closes, [Close { row: 0, valid_to: 20 }]);
    assert!(merged.withdrawals.is_empty());
}

#[test]
fn an_untracked_change_is_written_in_place() {
    let load = Snap::new(20, "H1 a Ann q \n H1 b Bob p \n H2 a Ida p");
    let merged =
        check_snapshot(BEFORE, &load, "Changed NoOp NoOp", "H1 a Ann q 10 - \n H1 b Bob p 10 - \n H2 a Ida p 10 -");
    assert_eq!((merged.closes.len(), merged.withdrawals), (0, vec![0]));
}

#[test]
fn absence_closes() {
    let merged = check_snapshot(
        BEFORE,
        &Snap::new(20, "H1 a Ann p"),
        "NoOp",
        "H1 a Ann p 10 - \n H1 b Bob p 10 20 \n H2 a Ida p 10 20",
    );
    let closed: Vec<_> = merged.counts.closed_by_absence.into_iter().collect();
    assert_eq!(closed, [("H1".to_owned(), 1), ("H2".to_owned(), 1)]);
}

#[test]
fn absence_closes_only_where_the_load_is_complete() {
    let load = Snap { complete: only(&["H1"]), ..Snap::new(20, "H1 a Ann p") };
    check_snapshot(BEFORE, &load, "NoOp", "H1 a Ann p 10 - \n H1 b Bob p 10 20 \n H2 a Ida p 10 -");
    let load = Snap { complete: only(&["H2"]), ..Snap::new(20, "") };
    check_snapshot(BEFORE, &load, "", "H1 a Ann p 10 - \n H1 b Bob p 10 - \n H2 a Ida p 10 20");
    let load = Snap { complete: Complete::Nothing, ..Snap::new(20, "H1 a Eve p") };
    let after = "H1 a Ann p 10 20 \n H1 a Eve p 20 - \n H1 b Bob p 10 - \n H2 a Ida p 10 -";
    check_snapshot(BEFORE, &load, "Changed", after);
}

#[test]
fn an_empty_snapshot_closes_all() {
    check_snapshot(BEFORE, &Snap::new(20, ""), "", "H1 a Ann p 10 20 \n H1 b Bob p 10 20 \n H2 a Ida p 10 20");
}

#[test]
fn withheld_keys_are_neither_absent_nor_changed() {
    let load = Snap { withheld: "H1 b \n H2 a", ..Snap::new(20, "H1 a Ann p \n H2 a Eve p") };
    check_snapshot(BEFORE, &load, "NoOp Withheld", BEFORE);
}

#[test]
fn conflicting_rows_are_refused_and_their_key_is_withheld() {
    let load = Snap::new(20, "H1 a Eve p \n H1 b Bob p \n H1 a Eve q \n H1 a Eve p \n H2 a Ida p");
    let merged = check_snapshot(BEFORE, &load, "Refused NoOp Refused Refused NoOp", BEFORE);
    assert!(merged.refused.iter().all(|refused| refused.code == RefusalCode::Conflict));
}

#[test]
fn identical_rows_collapse_and_null_keys_are_refused() {
    let load = Snap::new(20, "H1 a Ann p \n H1 a Ann p \n H1 b Bob p \n H2 a Ida p \n H2 - Ida p");
    check_snapshot(BEFORE, &load, "NoOp Collapsed NoOp NoOp Refused", BEFORE);
}

#[test]
fn a_key_that_comes_back_opens_a_version() {
    check_snapshot("H1 a Ann p 10 20", &Snap::new(30, "H1 a Ann p"), "Changed", "H1 a Ann p 10 20 \n H1 a Ann p 30 -");
}

#[test]
fn the_same_snapshot_again_changes_nothing() {
    let load = Snap::new(10, "H1 a Ann p \n H1 b Bob p \n H2 a Ida p");
    assert!(check_snapshot(BEFORE, &load, "NoOp NoOp NoOp", BEFORE).is_no_op());
}

#[test]
fn late_snapshots_are_errors() {
    let late = |load: &Snap| snap(snapshot_spec(), BEFORE, load).1.unwrap_err();
    let at_10 = |scope: &str, as_of| Error::LateSnapshot { scope: Some(scope.to_owned()), as_of, latest: 10 };
    assert_eq!(late(&Snap::new(9, "H1 a Ann p \n H1 b Bob p \n H2 a Ida p")), at_10("H1", 9));
    assert_eq!(late(&Snap { complete: only(&["H2"]), ..Snap::new(9, "") }), at_10("H2", 9));
    // At the very instant of what it would change or close.
    assert_eq!(late(&Snap { complete: Complete::Nothing, ..Snap::new(10, "H1 a Eve p") }), at_10("H1", 10));
    assert_eq!(late(&Snap { complete: Complete::Nothing, ..Snap::new(10, "H1 a Ann q") }), at_10("H1", 10));
    assert_eq!(late(&Snap { complete: only(&["H2"]), ..Snap::new(10, "") }), at_10("H2", 10));
    let message = late(&Snap::new(9, "")).to_string();
    let expected = "load: scope H1: snapshot as of 1970-01-01T00:00:00.000009Z is not later than history at 1970-01-01T00:00:00.000010Z";
    assert_eq!(message, expected);
}

#[test]
fn lateness_is_judged_inside_the_touched_scope() {
    let before = "H1 a Ann p 50 - \n H2 a Ida p 10 -";
    let load = Snap { complete: only(&["H2"]), ..Snap::new(20, "H2 a Eve p") };
    check_snapshot(before, &load, "Changed", "H1 a Ann p 50 - \n H2 a Ida p 10 20 \n H2 a Eve p 20 -");
}

#[test]
fn too_many_deletes_are_refused_by_scope_value() {
    let spec = |ratio| {
        let spec = Spec::snapshot(["hospital", "id"]).track(["name"]).latest_in_run(["phone"]).scope("hospital");
        spec.max_delete_ratio(ratio).build().unwrap()
    };
    // Half of H1, none of H2.
    let load = Snap::new(20, "H1 a Ann p \n H2 a Ida p");
    assert!(snap(spec(0.5), BEFORE, &load).1.is_ok());
    let refused = snap(spec(0.4), BEFORE, &load).1.unwrap_err();
    assert_eq!(refused.to_string(), "load: scope H1: 1 of 2 live keys are absent, more than the allowed share of 0.4");
    // A third of the table, all of H2; nothing is live in the empty table.
    assert!(snap(spec(0.9), BEFORE, &Snap::new(20, "H1 a Ann p \n H1 b Bob p")).1.is_err());
    assert!(snap(spec(0.0), "", &load).1.is_ok());
}

#[test]
fn without_scope_the_whole_table_is_one() {
    let spec = || Spec::snapshot(["hospital", "id"]).track(["name"]).latest_in_run(["phone"]);
    let (table, merged) = snap(spec().build().unwrap(), BEFORE, &Snap::new(20, "H1 a Ann p"));
    assert_eq!(merged.unwrap().counts.closed_by_absence.into_iter().collect::<Vec<_>>(), [(String::new(), 2)]);
    table.shows("H1 a Ann p 10 - \n H1 b Bob p 10 20 \n H2 a Ida p 10 20");
    let spec = spec().max_delete_ratio(0.5).build().unwrap();
    let refused = snap(spec, BEFORE, &Snap::new(20, "H1 a Ann p")).1.unwrap_err();
    assert_eq!(refused, Error::TooManyDeletes { scope: None, absent: 2, live: 3, ratio: 0.5 });
}
