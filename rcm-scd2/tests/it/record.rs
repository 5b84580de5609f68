//! State knows under which spec it was written.

use arrow::array::AsArray;
use rcm_scd2::{
    Absence, Detect, FeedBuilder, InitialValidFrom, Late, Load, SnapshotBuilder, Spec, State, When, correct,
    ensure_members, merge, rewind,
};

use crate::tables::{Table, bare, batch};

const REST: &str = "rebuild the history, or take hidden state without its record";

fn feed() -> FeedBuilder {
    Spec::feed(["id"], ["at"]).track(["name"]).latest_in_run(["phone"]).deletes(When::new("gone", "y"))
}

fn snapshots() -> SnapshotBuilder {
    Spec::snapshot(["id"]).track(["name"]).latest_in_run(["phone"]).deletes(Absence::close())
}

/// A table with hidden state; and one with a ledger.
fn tables() -> [Table; 2] {
    let mut events = Table::new(feed().build().unwrap());
    events.at(0, "id at name phone gone", "a 1 A 1 -\na 2 A 2 -");
    let mut states = Table::new(snapshots().build().unwrap());
    states.at(1, "id name phone", "a A 1");
    [events, states]
}

#[track_caller]
fn refuses(table: &Table, spec: Spec, what: &str) {
    let message = format!("spec: differs from the recorded one in `{what}`: {REST}");
    let load = batch("id", "");
    let error = merge(&spec, &table.state, &rcm_scd2::Load::new(&[load], 9)).map(|merged| merged.counts);
    assert_eq!(error.map_err(|error| error.to_string()), Err(message.clone()), "merge");
    let recorded = table
        .state
        .hidden
        .iter()
        .chain(&table.state.ledger)
        .find_map(|batch| batch.schema_ref().metadata().get("rcm_scd2.spec").cloned());
    assert_eq!(spec.check_recorded(&recorded.unwrap()).unwrap_err().to_string(), message);
}

#[test]
fn another_spec_of_a_feed_is_refused() {
    let [table, _] = tables();
    let keys = Spec::feed(["id", "x"], ["at"]).track(["name"]).latest_in_run(["phone"]);
    refuses(&table, keys.deletes(When::new("gone", "y")).build().unwrap(), "keys");
    let sequence = Spec::feed(["id"], ["at", "run"]).track(["name"]).latest_in_run(["phone"]);
    refuses(&table, sequence.deletes(When::new("gone", "y")).build().unwrap(), "sequence");
    refuses(&table, feed().deletes(When::new("gone", "n")).build().unwrap(), "delete when");
    refuses(&table, feed().deletes(When::new("gone", "y").marker()).build().unwrap(), "delete when");
    let none = Spec::feed(["id"], ["at"]).track(["name"]).latest_in_run(["phone"]).build().unwrap();
    refuses(&table, none, "delete when");
    refuses(&table, feed().ignore_nulls().build().unwrap(), "ignore nulls");
    refuses(&table, feed().ignore_nulls_in(["name"]).build().unwrap(), "ignore nulls in");
    refuses(&table, feed().null_keys_as_value().build().unwrap(), "null keys");
    refuses(&table, feed().open_valid_to(99).build().unwrap(), "open");
    refuses(&table, feed().initial_valid_from(InitialValidFrom::Epoch).build().unwrap(), "initial");
    let rules = Spec::feed(["id"], ["at"]).track(["name", "phone"]).deletes(When::new("gone", "y")).build().unwrap();
    refuses(&table, rules, "rule of column `phone`");
    refuses(&table, snapshots().build().unwrap(), "mode");
}

#[test]
fn another_spec_of_snapshots_is_refused() {
    let [_, table] = tables();
    refuses(&table, snapshots().sequence("changed", Detect::Values).build().unwrap(), "sequence");
    refuses(&table, snapshots().deletes(Absence::marker()).build().unwrap(), "absence");
    refuses(&table, snapshots().deletes(Absence::close().within(["id"])).build().unwrap(), "absence");
    refuses(&table, snapshots().deletes(When::new("gone", "y")).build().unwrap(), "absence");
    refuses(&table, snapshots().late(Late::Skip).build().unwrap(), "late");
    let rules = Spec::snapshot(["id"]).track(["name"]).keep(["phone"]).deletes(Absence::close()).build().unwrap();
    refuses(&table, rules, "rule of column `phone`");
    refuses(&table, feed().build().unwrap(), "mode");
}

#[test]
fn added_and_dropped_columns_other_orders_and_limits_are_accepted() {
    let [mut events, mut states] = tables();
    let added = Spec::feed(["id"], ["at"]).latest_in_run(["mail", "phone"]).track(["city", "name"]);
    events.spec = added.deletes(When::new("gone", "y").max_ratio(0.5)).late_horizon(9).build().unwrap();
    events.at(0, "id at name phone mail city gone", "a 3 A 3 m Lyon -");
    events.shows("m 3 Lyon A a 3 - \n- 2 - A a 1 3".split('\n').map(reordered).collect::<Vec<_>>().join("\n").as_str());
    let added = Spec::snapshot(["id"]).track(["city", "name"]).latest_in_run(["phone"]);
    states.spec = added.deletes(Absence::close().max_ratio(0.5)).build().unwrap();
    states.at(2, "id name phone city", "a A 1 Lyon");
    let dropped = Spec::snapshot(["id"]).track(["name"]).deletes(Absence::close()).build().unwrap();
    merge(&dropped, &states.state, &rcm_scd2::Load::new(&[batch("id name", "a B")], 3)).unwrap();
}

/// `mail phone city name id from to` in the order of the table.
fn reordered(line: &str) -> String {
    let cells: Vec<&str> = line.split_whitespace().collect();
    [4, 0, 1, 2, 3, 5, 6].map(|at| cells[at]).join(" ")
}

#[test]
fn state_without_its_record_is_taken() {
    let [mut events, _] = tables();
    events.state.hidden.iter_mut().for_each(|batch| {
        let schema = batch.schema().as_ref().clone().with_metadata(Default::default());
        *batch = arrow::array::RecordBatch::try_new(schema.into(), batch.columns().to_vec()).unwrap();
    });
    events.state.ledger.clear();
    events.spec = feed().initial_valid_from(InitialValidFrom::Epoch).build().unwrap();
    events.at(0, "id at name phone gone", "b 1 B 1 -");
    events.shows("a A 2 1 -\nb B 1 0 -");
}

#[test]
fn rewinds_corrections_and_members_refuse_state_of_another_spec() {
    let [events, states] = tables();
    let (other_feed, other_snapshots) =
        (feed().open_valid_to(99).build().unwrap(), snapshots().late(Late::Skip).build().unwrap());
    for (table, spec, what) in [(&events, other_feed, "open"), (&states, other_snapshots, "late")] {
        let message = format!("spec: differs from the recorded one in `{what}`: {REST}");
        let said = |result: Result<rcm_scd2::Merged, rcm_scd2::Error>| {
            result.map(|merged| merged.counts).map_err(|error| error.to_string())
        };
        assert_eq!(said(rewind(&spec, &table.state, 1)), Err(message.clone()), "rewind");
        let rows = [bare("id name phone valid_from valid_to", "a B 1 5 6")];
        assert_eq!(said(correct(&spec, &table.state, &rows)), Err(message.clone()), "correct");
        let keys = [batch("id", "z")];
        assert_eq!(said(ensure_members(&spec, &table.state, &keys, 1)), Err(message), "ensure_members");
    }
}

#[test]
fn names_cannot_fake_a_record() {
    let odd = Spec::snapshot(["id"]).track(["a\tTrack\ncolumn\tb"]).build().unwrap();
    assert!(odd.check_recorded(&odd.recorded()).is_ok());
    assert_eq!(odd.recorded().lines().filter(|line| line.starts_with("column")).count(), 1);
    let plain = Spec::snapshot(["id"]).keep(["b"]).build().unwrap();
    assert!(plain.check_recorded(&odd.recorded()).is_ok(), "`b` is no column of the record");
}

/// A feed in which a null means "as before", and in which day 20 took `a` from day 10.
fn carrying(columns: [&str; 2]) -> Table {
    let mut table = Table::new(Spec::feed(["id"], ["at"]).track(columns).ignore_nulls().build().unwrap());
    table.at(0, "id at a b", "k 10 1 1\nk 20 - 2");
    table
}

/// `a`, `b` and the times of each row.
fn cells(table: &Table) -> Vec<String> {
    let all = arrow::compute::concat_batches(&table.state.history[0].schema(), &table.state.history).unwrap();
    let names = ["a", "b", "valid_from", "valid_to"].map(|name| all.schema().index_of(name).unwrap());
    let mut lines = crate::tables::lines(&all.project(&names).unwrap());
    lines.sort();
    lines
}

const CARRIED: [&str; 3] = ["1 1 10 15", "9 1 15 20", "9 2 20 -"];

#[test]
fn which_nulls_were_carried_does_not_depend_on_the_order_of_columns() {
    let mut table = carrying(["a", "b"]);
    table.at(0, "id at a b", "k 15 9 -");
    assert_eq!(cells(&table), CARRIED);
    let mut table = carrying(["a", "b"]);
    table.spec = Spec::feed(["id"], ["at"]).track(["b", "a"]).ignore_nulls().build().unwrap();
    table.at(0, "id at a b", "k 15 9 -");
    assert_eq!(cells(&table), CARRIED);
}

#[test]
fn which_nulls_were_carried_does_not_depend_on_added_columns() {
    for columns in [["c", "a", "b"], ["a", "c", "b"], ["a", "b", "c"]] {
        let mut table = carrying(["a", "b"]);
        table.spec = Spec::feed(["id"], ["at"]).track(columns).ignore_nulls().build().unwrap();
        table.at(0, "id at a b c", "k 15 9 - -");
        assert_eq!(cells(&table), CARRIED, "{columns:?}");
    }
}

#[test]
fn a_snapshot_is_known_again_after_the_columns_of_the_spec_were_reordered() {
    let mut table = Table::new(Spec::snapshot(["id"]).track(["name", "city"]).build().unwrap());
    table.at(1, "id name city", "a A Lyon");
    table.spec = Spec::snapshot(["id"]).track(["city", "name"]).build().unwrap();
    let disposition = table.try_at(1, "id name city", "a A Lyon").map(|merged| merged.scopes[0].disposition);
    assert_eq!(disposition, Ok(rcm_scd2::Disposition::Repeated));
}

#[test]
fn a_snapshot_is_known_again_after_a_column_was_added_to_the_spec() {
    let mut table = Table::new(Spec::snapshot(["id"]).track(["name"]).build().unwrap());
    table.at(1, "id name", "a A");
    table.spec = Spec::snapshot(["id"]).track(["name", "city"]).build().unwrap();
    let disposition = table.try_at(1, "id name", "a A").map(|merged| merged.scopes[0].disposition);
    assert_eq!(disposition, Ok(rcm_scd2::Disposition::Repeated));
}

/// Ledgers are kept for good. What is expected here comes from a program in another language.
#[test]
fn digests_are_those_that_ledgers_were_written_with() {
    let digest = |spec: Spec, load: &Load| {
        let ledger = merge(&spec, &State::new(), load).unwrap().ledger.adds;
        let digest = ledger.column_by_name("_digest").unwrap().as_fixed_size_binary().value(0).to_vec();
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let flagged = Spec::snapshot(["id"]).sequence("changed", Detect::Values).track(["name", "run", "weight"]);
    let flagged = flagged.deletes(When::new("gone", "y")).build().unwrap();
    let rows = [
        batch("gone weight run name changed id", "- 1.5 1 N 10 a\ny - 3 N 12 c"),
        batch("id name run weight changed gone", "b - -70 2 11 n"),
    ];
    assert_eq!(digest(flagged, &Load::new(&rows, 20)), "f2446e85e61a833acee9341c8d4617c5");
    let whole = Spec::snapshot(["id"]).track(["name"]).deletes(Absence::close()).build().unwrap();
    let (rows, withheld) = ([batch("id name", "a N\nb -")], [batch("id", "d")]);
    assert_eq!(
        digest(whole, &Load { withheld: &withheld, ..Load::new(&rows, 20) }),
        "d1f98eb96743d41660218ba3c93f60fa"
    );
}
