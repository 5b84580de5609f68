//! Hidden state: no more than the versions cannot carry.

use rcm_scd2::{FeedBuilder, Spec, When};

use crate::tables::{Table, batch};

fn tracked() -> FeedBuilder {
    Spec::feed(["id"], ["at"]).track(["name"]).deletes(When::new("gone", "y"))
}

const EVENTS: &str = "id at name gone";

#[test]
fn changes_in_order_leave_nothing() {
    let mut table = Table::new(tracked().build().unwrap());
    for at in 0..50 {
        let event = if at % 10 == 9 { format!("a {at} - y") } else { format!("a {at} N{at} -") };
        table.at(0, EVENTS, &event);
        assert_eq!(table.hidden(), 0, "after {at}");
    }
    let mut at_once = Table::new(tracked().build().unwrap());
    let all: Vec<String> = (0..50).map(|at| format!("a {at} N{at} -")).collect();
    at_once.at(0, EVENTS, &all.join("\n"));
    assert_eq!(at_once.hidden(), 0);
}

#[test]
fn an_event_that_changes_nothing_leaves_one_row_and_its_repetition_none() {
    let mut table = Table::new(tracked().build().unwrap());
    table.at(0, EVENTS, "a 10 A -\na 50 B -");
    for (late, rows) in [("a 20 A -", 1), ("a 20 A -", 1), ("a 30 A -", 2), ("a 60 B -", 3), ("b 5 - y", 4)] {
        assert_eq!(table.at(0, EVENTS, late).counts.no_op, 1);
        assert_eq!(table.hidden(), rows, "after {late}");
    }
}

#[test]
fn a_row_goes_when_a_version_shows_what_it_says() {
    let mut table = Table::new(tracked().build().unwrap());
    table.at(0, EVENTS, "a 10 A -\na 20 A -\na 30 A -");
    assert_eq!(table.hidden(), 2);
    table.at(0, EVENTS, "a 15 B -");
    table.shows("a A 10 15\na B 15 20\na A 20 -");
    assert_eq!(table.hidden(), 1, "day 20 opens a version");
    table.at(0, EVENTS, "a 25 - y");
    table.shows("a A 10 15\na B 15 20\na A 20 25\na A 30 -");
    assert_eq!(table.hidden(), 0, "day 30 does, too");
}

#[test]
fn a_delete_without_a_version_goes_when_it_ends_one() {
    let mut table = Table::new(tracked().build().unwrap());
    table.at(0, EVENTS, "a 10 - y");
    assert_eq!((table.hidden(), table.text().as_str()), (1, ""));
    table.at(0, EVENTS, "a 5 A -");
    table.shows("a A 5 10");
    assert_eq!(table.hidden(), 0);
    table.at(0, EVENTS, "a 7 - y");
    table.shows("a A 5 7");
    assert_eq!(table.hidden(), 1, "day 10 is a delete that ends nothing again");
}

#[test]
fn an_event_that_is_replaced_leaves_hidden_state() {
    let mut table = Table::new(tracked().build().unwrap());
    table.at(0, EVENTS, "a 10 A -\na 20 A -");
    assert_eq!(table.hidden(), 1);
    table.at(0, EVENTS, "a 20 - y");
    table.shows("a A 10 20");
    assert_eq!(table.hidden(), 0, "the delete won, and the version shows it");
}

#[test]
fn no_tracked_column_is_in_it() {
    let spec =
        tracked().track(["city"]).latest_in_run(["phone"]).all_versions(["mail"]).ignore_nulls().build().unwrap();
    let mut table = Table::new(spec);
    let header = "id at name city phone mail gone";
    table.at(0, header, "a 10 secret secret 1 x -\na 20 secret - 2 y -\na 30 - secret - - -\nb 5 - - - - y");
    let schema = table.state.hidden[0].schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["id", "_at", "_kind", "phone", "mail", "_unauthored"]);
    assert!(table.hidden() > 0);
    assert!(!format!("{:?}", table.state.hidden).contains("secret"));
}

#[test]
fn one_version_of_many_untracked_changes_needs_a_row_each() {
    let spec = Spec::feed(["id"], ["at"]).track(["name"]).latest_in_run(["phone"]).build().unwrap();
    let mut table = Table::new(spec);
    table.at(0, "id at name phone", "a 10 A 1");
    assert_eq!(table.hidden(), 0);
    table.at(0, "id at name phone", "a 20 A 2");
    assert_eq!(table.hidden(), 2, "the first phone is shown no more, the second event opens nothing");
    table.at(0, "id at name phone", "a 15 B 9");
    table.shows("a A 1 10 15\na B 9 15 20\na A 2 20 -");
    assert_eq!(table.hidden(), 0);
}

#[test]
fn with_further_sequences_deletes_keep_their_mark_and_greater_numbers_theirs() {
    let spec = Spec::feed(["id"], ["at", "run"]).track(["name"]).deletes(When::new("gone", "y")).build().unwrap();
    let mut table = Table::new(spec);
    let header = "id at run name gone";
    table.at(0, header, "a 10 1 A -\na 20 1 - y");
    assert_eq!(table.hidden(), 1);
    let merged = table.at(0, header, "a 10 5 A -");
    assert!(merged.is_no_op());
    assert_eq!(table.hidden(), 2);
    assert_eq!(table.at(0, header, "a 10 4 B -\na 20 0 C -").counts.no_op, 2);
    table.shows("a A 1 10 20");
    table.at(0, header, "a 10 6 B -");
    assert_eq!(table.hidden(), 1);
    table.shows("a B 6 10 20");
}

#[test]
fn one_load_or_many_leave_the_same_hidden_state() {
    let events = ["a 10 A -", "a 20 A -", "a 15 B -", "a 12 A -", "a 30 - y", "a 40 - y", "b 9 - y", "a 35 A -"];
    let hidden = |table: &Table| crate::tables::text(&table.state.hidden);
    let mut at_once = Table::new(tracked().build().unwrap());
    at_once.at(0, EVENTS, &events.join("\n"));
    for turn in 0..events.len() {
        let mut one_by_one = Table::new(tracked().build().unwrap());
        for at in 0..events.len() {
            one_by_one.at(0, EVENTS, events[(at * 3 + turn) % events.len()]);
        }
        assert_eq!(one_by_one.text(), at_once.text(), "from {turn}");
        assert_eq!(hidden(&one_by_one), hidden(&at_once), "from {turn}");
    }
}

#[test]
fn a_patch_is_what_apply_makes_of_hidden_state() {
    let mut table = Table::new(tracked().build().unwrap());
    table.at(0, EVENTS, "a 10 A -\na 20 A -\nb 1 - y");
    let rows = [batch(EVENTS, "a 15 B -\na 30 A -")];
    let merged = rcm_scd2::merge(&table.spec, &table.state, &rcm_scd2::Load::new(&rows, 0)).unwrap();
    assert_eq!((merged.hidden.removes.len(), merged.hidden.adds.num_rows()), (1, 1));
    let patched = merged.hidden.apply(&table.state.hidden).unwrap();
    table.keep(merged);
    assert_eq!(patched, table.state.hidden);
    assert_eq!(table.hidden(), 2);
}

#[test]
fn the_end_of_a_version_that_another_tool_wrote_has_no_numbers() {
    let spec = Spec::feed(["id"], ["at", "run"]).track(["name"]).build().unwrap();
    let mut table = Table::from_history(spec, "id name run valid_from valid_to", "a A 5 1 10");
    // Whatever comes at 10 is greater than a delete of which nothing is known.
    let merged = table.at(0, "id at run name", "a 10 1 B");
    assert_eq!(merged.counts.changed, 1);
    table.shows("a A 5 1 10\na B 1 10 -");
}

#[test]
fn what_leaves_a_hidden_row_is_no_op_but_not_nothing() {
    let mut table = Table::new(tracked().build().unwrap());
    table.at(0, EVENTS, "a 10 A -");
    let merged = table.at(0, EVENTS, "a 20 A -");
    assert!(merged.is_no_op() && !merged.is_nothing());
    let mut snapshots = Table::new(Spec::snapshot(["id"]).track(["name"]).build().unwrap());
    let merged = snapshots.at(10, "id name", "a A");
    assert!(!merged.is_no_op() && !merged.is_nothing());
    let merged = snapshots.at(20, "id name", "a A");
    assert!(merged.is_no_op() && !merged.is_nothing(), "the ledger has an entry more");
}

#[test]
fn hidden_state_is_as_small_whatever_the_tracked_values_are() {
    // A hundred keys of which fifty events say the same; a later one of each opens a version.
    let sizes = |name: &str| {
        let mut table = Table::new(tracked().build().unwrap());
        let each = |at: usize, name: &str| (0..100).map(|key| format!("k{key} {at} {name} -\n")).collect::<String>();
        let events: String = (0..50).map(|at| each(at, name)).collect();
        table.at(0, EVENTS, &(events + &each(50, "other")));
        let bytes = |batches: &[arrow::array::RecordBatch]| -> usize {
            let arrays = batches.iter().flat_map(|batch| batch.columns());
            arrays.map(|array| array.to_data().get_slice_memory_size().unwrap()).sum()
        };
        (table.hidden(), bytes(&table.state.hidden), bytes(&table.state.history))
    };
    let [(rows, short, _), (_, long, history)] = [sizes("A"), sizes(&"A".repeat(1000))];
    // A key, the offset of its text, an instant and a byte.
    assert_eq!((rows, short, long), (4900, 77_914, short));
    assert!(history > 100_000);
}
