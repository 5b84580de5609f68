//! Inferred members.

use rcm_scd2::{Absence, BadRows, Detect, Disposition, InitialValidFrom, Late, Spec, When, ensure_members};

use crate::tables::{Table, batch, outcomes};

fn snapshots() -> Table {
    let spec = Spec::snapshot(["id"]).track(["name"]).latest_in_run(["phone"]).deletes(Absence::close());
    Table::new(spec.build().unwrap())
}

fn feed() -> Table {
    let spec = Spec::feed(["id"], ["at"]).track(["name"]).latest_in_run(["phone"]).deletes(When::new("gone", "y"));
    Table::new(spec.build().unwrap())
}

const ROWS: &str = "id name phone";
const EVENTS: &str = "id at name phone gone";

#[test]
fn the_first_real_row_fills_the_member_in_place() {
    let mut table = snapshots();
    let merged = table.ensure("id", "a\nb\na", 5);
    assert_eq!(outcomes(&merged), "New New Collapsed");
    table.shows("a - - 5 - t\nb - - 5 - t");
    let merged = table.at(8, ROWS, "a A 1");
    assert_eq!((outcomes(&merged).as_str(), merged.withdrawals.len(), merged.closes.len()), ("New", 1, 0));
    table.shows("a A 1 5 - f\nb - - 5 - t");
    table.at(9, ROWS, "a B 1");
    table.shows("a A 1 5 9 f\na B 1 9 - f\nb - - 5 - t");
}

#[test]
fn a_real_row_that_says_nothing_fills_the_member_too() {
    let mut table = snapshots();
    table.ensure("id", "a", 5);
    assert_eq!(outcomes(&table.at(8, ROWS, "a - -")), "New");
    table.shows("a - - 5 - f");
}

#[test]
fn a_row_older_than_the_member_starts_at_its_own_time() {
    let spec = Spec::snapshot(["id"]).track(["name"]).sequence("changed", Detect::Values).build().unwrap();
    let mut table = Table::new(spec);
    table.ensure("id", "a\nb", 5);
    table.at(9, "id name changed", "a A 3\nb B 7");
    table.shows("a A 3 3 - f\nb B 7 5 - f");

    let mut table = feed();
    table.ensure("id", "a\nb", 5);
    table.at(0, EVENTS, "a 3 A 1 -\nb 7 B 1 -");
    table.shows("a A 1 3 - f\nb B 1 5 - f");
}

#[test]
fn a_member_is_neither_absent_nor_live() {
    let mut table = snapshots();
    table.ensure("id", "m", 5);
    let merged = table.at(8, ROWS, "a A 1");
    assert_eq!((merged.scopes[0].live, merged.counts.closed_by_absence), (0, 0));
    let merged = table.at(9, ROWS, "");
    assert_eq!((merged.scopes[0].live, merged.scopes[0].closed_by_absence), (1, 1));
    table.shows("a A 1 8 9 f\nm - - 5 - t");
}

#[test]
fn members_can_be_inferred_of_a_table_that_has_been_loaded() {
    let mut table = snapshots();
    table.at(1, ROWS, "a A 1");
    let ledger = table.ledger();
    let merged = table.ensure("id", "a\nb", 5);
    assert_eq!(outcomes(&merged), "NoOp New");
    assert_eq!(table.ledger(), ledger);
    table.shows("a A 1 1 - f\nb - - 5 - t");
    assert_eq!(table.at(1, ROWS, "a A 1").scopes[0].disposition, Disposition::Repeated);
}

#[test]
fn members_can_be_inferred_of_a_feed_with_a_late_horizon() {
    let mut table = Table::new(Spec::feed(["id"], ["at"]).track(["name"]).late_horizon(10).build().unwrap());
    table.at(0, "id at name", "a 100 A");
    table.ensure("id", "b", 5);
    assert_eq!(table.ledger(), 1);
    assert!(table.try_at(0, "id at name", "a 3 B").is_err());
}

#[test]
fn a_second_call_does_nothing_and_keys_with_an_ended_version_are_known() {
    for mut table in [snapshots(), feed()] {
        assert_eq!(table.ensure("id", "a", 5).counts.new, 1);
        let merged = table.ensure("id", "a\na", 3);
        assert_eq!(outcomes(&merged), "NoOp Collapsed");
        assert!(merged.is_nothing());
    }
    let mut table = snapshots();
    table.at(1, ROWS, "a A 1");
    table.at(2, ROWS, "");
    assert!(table.ensure("id", "a", 0).is_nothing());
}

#[test]
fn null_keys_are_bad_set_aside_or_values() {
    let ids = [batch("id name", "- x\na x\n- x").project(&[0]).unwrap()];
    let table = snapshots();
    let error = ensure_members(&table.spec, &table.state, &ids, 1).unwrap_err();
    assert_eq!(error.to_string(), "load: 2 bad rows of 1 keys: row 0 null key, row 2 null key");

    let spec = Spec::snapshot(["id"]).track(["name"]).bad_rows(BadRows::Quarantine).build().unwrap();
    let merged = ensure_members(&spec, &table.state, &ids, 1).unwrap();
    assert_eq!(outcomes(&merged), "Refused New Refused");
    assert_eq!(merged.refused.len(), 2);

    let mut table = Table::new(Spec::snapshot(["id"]).track(["name"]).null_keys_as_value().build().unwrap());
    let merged = ensure_members(&table.spec, &table.state, &ids, 1).unwrap();
    assert_eq!(outcomes(&merged), "New New Collapsed");
    table.keep(merged);
    table.at(2, "id name", "- N");
    table.shows("- N 1 - f\na - 1 - t");
}

#[test]
fn a_feed_with_a_member_does_not_depend_on_the_order_of_events() {
    let events = ["a 7 A 1 -", "a 9 B 2 -", "a 12 B 3 -", "a 10 - - y", "a 3 A 4 -"];
    let mut orders: Vec<Vec<usize>> = vec![vec![]];
    for at in 0..events.len() {
        orders = orders
            .iter()
            .flat_map(|order| {
                (0..=at).map(|place| {
                    let mut order = order.clone();
                    order.insert(place, at);
                    order
                })
            })
            .collect();
    }
    assert_eq!(orders.len(), 120);
    for subset in [&events[..], &events[..4]] {
        let mut expected = None;
        for order in &orders {
            let mut table = feed();
            table.ensure("id", "a", 5);
            for at in order.iter().filter(|at| **at < subset.len()) {
                table.at(0, EVENTS, subset[*at]);
            }
            let expected = expected.get_or_insert_with(|| table.text());
            assert_eq!(&table.text(), expected, "{order:?}");
        }
        let start = if subset.len() == 5 { 3 } else { 5 };
        assert_eq!(expected, Some(format!("a A 1 {start} 9 f\na B 2 9 10 f\na B 3 12 - f")));
    }
}

#[test]
fn a_deleted_member_stays_and_an_older_row_is_ended_by_the_delete() {
    let mut table = feed();
    table.ensure("id", "a", 1);
    let merged = table.at(0, EVENTS, "a 5 - - y");
    assert_eq!(outcomes(&merged), "NoOp");
    table.shows("a - - 1 - t");
    let merged = table.at(0, EVENTS, "a 3 A 1 -");
    assert_eq!(outcomes(&merged), "Late", "it is older than the newest observation");
    table.shows("a A 1 1 5 f");

    let spec = Spec::snapshot(["id"]).track(["name"]).deletes(When::new("gone", "y").max_ratio(0.0)).build().unwrap();
    let mut table = Table::new(spec);
    table.ensure("id", "a", 1);
    assert_eq!(outcomes(&table.at(5, "id name gone", "a - y")), "NoOp");
    table.at(7, "id name gone", "a A n");
    table.shows("a A 1 - f");
}

#[test]
fn a_member_does_not_keep_the_first_load_from_being_the_first() {
    let spec = Spec::snapshot(["id"]).track(["name"]).initial_valid_from(InitialValidFrom::EpochFirstLoad);
    let mut table = Table::new(spec.build().unwrap());
    table.ensure("id", "m", 5);
    table.at(10, "id name", "a A");
    table.shows("a A 0 - f\nm - 5 - t");
}

#[test]
fn a_member_does_not_keep_the_first_events_from_being_the_first() {
    let spec = Spec::feed(["id"], ["at"]).track(["name"]).initial_valid_from(InitialValidFrom::EpochFirstLoad);
    let mut table = Table::new(spec.build().unwrap());
    table.ensure("id", "m", 5);
    table.at(0, "id at name", "a 10 A");
    table.shows("a A 0 - f\nm - 5 - t");
}

#[test]
fn a_late_snapshot_fills_a_member_as_it_would_have_in_order() {
    let build = || {
        let spec = Spec::snapshot(["id"]).track(["name"]).deletes(Absence::close()).late(Late::Apply);
        let mut table = Table::new(spec.build().unwrap());
        table.ensure("id", "k", 3);
        table
    };
    let (mut ordered, mut late) = (build(), build());
    ordered.at(5, "id name", "k A");
    ordered.at(10, "id name", "b B");
    late.at(10, "id name", "b B");
    late.at(5, "id name", "k A");
    ordered.shows("b B 10 - f\nk A 3 10 f");
    assert_eq!(late.text(), ordered.text());
}

#[test]
fn a_correction_of_a_member_leaves_no_time_without_a_row() {
    let mut table = snapshots();
    table.ensure("id", "a", 5);
    table.correct("id name phone valid_from valid_to", "a A 1 20 -");
    table.shows("a A 1 5 - f");
}

#[test]
fn a_correction_of_a_member_of_a_feed_leaves_no_time_without_a_row() {
    let mut table = feed();
    table.ensure("id", "a", 5);
    table.correct("id name phone valid_from valid_to", "a A 1 20 -");
    table.shows("a A 1 5 - f");
}

#[test]
fn a_marker_follows_the_row_that_filled_the_member() {
    let spec = Spec::snapshot(["id"]).track(["name"]).deletes(Absence::marker()).build().unwrap();
    let mut table = Table::new(spec);
    table.ensure("id", "a", 5);
    table.at(8, "id name", "");
    table.shows("a - 5 - f t");
    table.at(9, "id name", "a A");
    table.at(10, "id name", "");
    table.shows("a A 5 10 f f\na A 10 - t f");
}

#[test]
fn further_columns_of_the_keys_do_not_get_into_the_table() {
    let tables = [snapshots(), feed()];
    for mut table in tables {
        let keys = [batch("id name phone", "a fact fact")];
        let Ok(merged) = ensure_members(&table.spec, &table.state, &keys, 5) else { continue };
        table.keep(merged);
        table.shows("a - - 5 - t");
    }
}

#[test]
fn a_member_has_no_sequence_and_any_row_moves_it() {
    for detect in [Detect::Sequence, Detect::Values] {
        let spec = Spec::snapshot(["id"]).track(["name"]).sequence("changed", detect).deletes(Absence::close());
        let mut table = Table::new(spec.build().unwrap());
        table.ensure("id", "a", 5);
        table.shows("a - - 5 - t");
        let merged = table.at(9, "id name changed", "a - 12");
        assert_eq!((outcomes(&merged).as_str(), merged.counts.clamped), ("New", 1));
        table.shows("a - 12 5 - f");
        table.at(20, "id name changed", "a B 15");
        table.shows("a - 12 5 15 f\na B 15 15 - f");
    }
}
