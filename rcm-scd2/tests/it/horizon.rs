//! The late horizon of a feed.

use rcm_scd2::{BadRows, FeedBuilder, RefusalCode, Spec, When};

use crate::tables::{Random, Table, lines, outcomes};

const EVENTS: &str = "id at name phone gone";

fn feed() -> FeedBuilder {
    Spec::feed(["id"], ["at"]).track(["name"]).latest_in_run(["phone"]).deletes(When::new("gone", "y"))
}

fn quarantining(horizon: i64) -> Table {
    Table::new(feed().bad_rows(BadRows::Quarantine).late_horizon(horizon).build().unwrap())
}

#[test]
fn an_event_beyond_the_horizon_is_set_aside_and_one_on_it_is_not() {
    let mut table = quarantining(10);
    table.at(0, EVENTS, "a 100 A 1 -");
    let merged = table.at(0, EVENTS, "a 89 B 2 -\na 90 C 3 -\nb 5 X 1 -");
    assert_eq!(outcomes(&merged), "Refused Late Refused");
    assert!(merged.refused.iter().all(|refused| refused.code == RefusalCode::BeyondHorizon));
    table.shows("a A 1 100 -\na C 3 90 100");
}

#[test]
fn an_event_beyond_the_horizon_refuses_the_load_by_default() {
    let mut table = Table::new(feed().late_horizon(10).build().unwrap());
    table.at(0, EVENTS, "a 100 A 1 -");
    let before = table.state.clone();
    let error = table.try_at(0, EVENTS, "b 100 B 2 -\na 89 C 3 -\na 88 C 3 -").unwrap_err();
    let message = "load: 2 bad rows of 1 keys: row 1 beyond the late horizon, row 2 beyond the late horizon";
    assert_eq!(error.to_string(), message);
    assert_eq!(table.state, before);
}

#[test]
fn the_horizon_is_that_of_earlier_loads() {
    let mut table = quarantining(10);
    let merged = table.at(0, EVENTS, "a 100 A 1 -\na 1 B 1 -");
    assert_eq!(merged.counts.refused, 0);
    let merged = table.at(0, EVENTS, "a 200 A 1 -\na 91 C 1 -");
    assert_eq!(merged.counts.refused, 0);
}

#[test]
fn the_ledger_is_one_row_with_the_newest_valid_time() {
    let mut table = quarantining(10);
    let ledger = |table: &Table| table.state.ledger.iter().flat_map(lines).collect::<Vec<_>>();
    table.at(0, EVENTS, "a 100 A 1 -\nb 40 A 1 -");
    assert_eq!(ledger(&table), ["100"]);
    let merged = table.at(0, EVENTS, "a 95 A 1 -");
    assert!(merged.ledger.is_empty());
    table.at(0, EVENTS, "b 120 - - y");
    assert_eq!(ledger(&table), ["120"]);
    table.rewind(110);
    assert_eq!(ledger(&table), ["100"]);
}

#[test]
fn a_row_that_was_set_aside_does_not_move_the_horizon() {
    let mut table = quarantining(10);
    table.at(0, EVENTS, "a 100 A 1 -");
    let merged = table.at(0, EVENTS, "a 999 X 1 -\na 999 Y 1 -\n- 999 Z 1 -");
    assert_eq!(outcomes(&merged), "Refused Refused Refused");
    assert_eq!(table.at(0, EVENTS, "a 101 B 1 -").counts.refused, 0);
}

#[test]
fn without_a_horizon_there_is_no_ledger() {
    let mut table = Table::new(feed().build().unwrap());
    table.at(0, EVENTS, "a 100 A 1 -");
    assert_eq!(table.ledger(), 0);
    assert_eq!(table.at(0, EVENTS, "a 1 B 1 -").counts.late, 1);
}

/// Feeds the same loads, all of them inside the horizon, to a table with and to one without it.
fn compare(seed: u64, build: &dyn Fn() -> FeedBuilder, members: bool) -> (usize, usize) {
    const HORIZON: i64 = 12;
    let numbered = build().build().unwrap().recorded().contains("\trun");
    let header = if numbered { "id at name phone gone run" } else { EVENTS };
    let mut random = Random(seed);
    let mut bounded = Table::new(build().late_horizon(HORIZON).build().unwrap());
    let mut free = Table::new(build().build().unwrap());
    if members {
        for table in [&mut bounded, &mut free] {
            table.ensure("id", "a\nb\nc", 3);
        }
    }
    let mut newest = 10;
    for load in 0..16 {
        let mut rows = std::collections::BTreeMap::new();
        for _ in 0..1 + random.below(3) {
            let at = newest - HORIZON + random.below(HORIZON as u64 + 6) as i64;
            let cell = |random: &mut Random| ["A", "B", "A", "-"][random.below(4) as usize];
            let (id, name, phone) = (["a", "b", "c"][random.below(3) as usize], cell(&mut random), cell(&mut random));
            let gone = if random.below(4) == 0 { "y" } else { "n" };
            let run = if numbered { random.below(4).to_string() } else { String::new() };
            rows.insert((id, at), format!("{id} {at} {name} {phone} {gone} {run}"));
        }
        newest = rows.keys().map(|(_, at)| *at).max().unwrap().max(newest);
        let rows = rows.into_values().collect::<Vec<_>>().join("\n");
        let (a, b) = (bounded.try_at(0, header, &rows), free.try_at(0, header, &rows));
        assert_eq!(a.as_ref().err(), b.as_ref().err(), "seed {seed}, load {load}");
        assert_eq!(bounded.text(), free.text(), "seed {seed}, load {load}:\n{rows}");
    }
    (bounded.hidden(), free.hidden())
}

#[test]
fn pruning_changes_nothing_that_is_visible() {
    let (mut bounded, mut free) = (0, 0);
    let plain = || feed().bad_rows(BadRows::Quarantine);
    for seed in 0..40 {
        let (a, b) = compare(seed, &plain, false);
        (bounded, free) = (bounded + a, free + b);
    }
    assert!(bounded < free, "{bounded} of {free} rows stay: nothing was pruned");
}

#[test]
fn pruning_changes_nothing_where_nulls_are_ignored() {
    for seed in 0..40 {
        compare(seed, &|| feed().bad_rows(BadRows::Quarantine).ignore_nulls(), false);
        compare(seed, &|| feed().bad_rows(BadRows::Quarantine).ignore_nulls_in(["name"]), false);
    }
}

#[test]
fn pruning_changes_nothing_where_versions_start_at_the_epoch_or_type_1_columns_are() {
    use rcm_scd2::InitialValidFrom::{Epoch, EpochFirstLoad};
    for seed in 0..12 {
        compare(seed, &|| feed().bad_rows(BadRows::Quarantine).initial_valid_from(Epoch), false);
        compare(seed, &|| feed().bad_rows(BadRows::Quarantine).initial_valid_from(EpochFirstLoad), false);
        let type_1 = || Spec::feed(["id"], ["at"]).track(["name"]).all_versions(["phone"]);
        let type_1 = || type_1().deletes(When::new("gone", "y").marker()).bad_rows(BadRows::Quarantine);
        compare(seed, &type_1, false);
    }
}

#[test]
fn pruning_changes_nothing_where_events_have_numbers() {
    for seed in 0..40 {
        let numbered = || Spec::feed(["id"], ["at", "run"]).track(["name"]).latest_in_run(["phone"]);
        compare(seed, &|| numbered().deletes(When::new("gone", "y")).bad_rows(BadRows::Quarantine), false);
    }
}

#[test]
fn pruning_changes_nothing_where_members_were_inferred() {
    for seed in 0..40 {
        compare(seed, &|| feed().bad_rows(BadRows::Quarantine), true);
    }
}

#[test]
fn an_old_delete_of_an_inferred_member_is_not_forgotten() {
    let history = |table: Table| {
        let mut table = table;
        table.ensure("id", "a", 1);
        table.at(0, EVENTS, "a 5 - - y");
        table.at(0, EVENTS, "b 100 B 1 -");
        table.at(0, EVENTS, "b 101 C 1 -");
        table.at(0, EVENTS, "a 110 A 1 -");
        table.text()
    };
    let free = Table::new(feed().build().unwrap());
    assert_eq!(history(quarantining(10)), history(free));
}

#[test]
fn hidden_state_does_not_grow_with_the_number_of_events() {
    let hidden_after = |build: &dyn Fn() -> FeedBuilder, events: i64| {
        let mut table = Table::new(build().late_horizon(10).build().unwrap());
        for at in 1..=events {
            let id = ["a", "b"][at as usize % 2];
            table.at(0, EVENTS, &format!("{id} {at} A {at} -"));
        }
        table.hidden()
    };
    assert_eq!(hidden_after(&feed, 40), hidden_after(&feed, 80));
    assert!(hidden_after(&feed, 80) <= 12 + 2, "what is inside the horizon, and one row a key");
    let ignoring = || feed().ignore_nulls();
    assert_eq!(hidden_after(&ignoring, 40), hidden_after(&ignoring, 80), "where nulls are ignored");
}

#[test]
fn the_watermark_after_a_rewind_is_that_of_the_events_that_are_left() {
    let mut table = quarantining(10);
    table.at(0, EVENTS, "a 30 A 1 -");
    table.ensure("id", "m", 50);
    table.at(0, EVENTS, "a 100 B 1 -");
    table.rewind(95);
    assert_eq!(table.at(0, EVENTS, "a 25 C 1 -").counts.refused, 0, "30 is the newest event");
}

#[test]
fn deletes_do_not_pile_up_where_versions_start_at_the_epoch() {
    let hidden_after = |events: i64| {
        let spec = feed().initial_valid_from(rcm_scd2::InitialValidFrom::Epoch).late_horizon(10).build().unwrap();
        let mut table = Table::new(spec);
        for at in 1..=events {
            table.at(0, EVENTS, &format!("a {at} - - y"));
            table.at(0, EVENTS, &format!("b {at} N{at} 1 -"));
        }
        table.hidden()
    };
    assert_eq!(hidden_after(40), hidden_after(80));
}

/// A table whose hidden rows of days 5 and 10 were pruned, and one that has them.
fn pruned_and_whole() -> [Table; 2] {
    let events = |mut table: Table| {
        table.at(0, EVENTS, "a 5 A 1 -\na 10 A 2 -\na 15 A 3 -");
        table.at(0, EVENTS, "b 100 B 1 -");
        table.at(0, EVENTS, "b 101 C 1 -");
        table
    };
    let tables = [events(quarantining(10)), events(Table::new(feed().build().unwrap()))];
    assert!(tables[0].hidden() < tables[1].hidden());
    tables
}

#[test]
fn a_rewind_to_before_the_horizon_is_exact_or_refused() {
    let [mut pruned, mut whole] = pruned_and_whole();
    whole.rewind(12);
    whole.shows("a A 2 5 -");
    let Ok(merged) = rcm_scd2::rewind(&pruned.spec, &pruned.state, 12) else { return };
    pruned.keep(merged);
    assert_eq!(pruned.text(), whole.text());
}

#[test]
fn a_correction_before_the_horizon_is_exact_or_refused() {
    let header = "id name phone valid_from valid_to";
    let [mut pruned, mut whole] = pruned_and_whole();
    whole.correct(header, "a X 9 7 -");
    whole.shows("a A 1 5 7\na X 9 7 10\na A 3 10 -\nb B 1 100 101\nb C 1 101 -");
    let rows = [crate::tables::bare(header, "a X 9 7 -")];
    let Ok(merged) = rcm_scd2::correct(&pruned.spec, &pruned.state, &rows) else { return };
    pruned.keep(merged);
    assert_eq!(pruned.text(), whole.text());
}
