//! Corrections of random histories, against what they say they are.

use rcm_scd2::{Absence, InitialValidFrom, Spec, When};

use crate::tables::{Random, Table, bare};

const LATEST: i64 = 30;

/// The cells of the version of key `a` that is valid at an instant, up to its `valid_from`; a marker is none.
fn as_of(table: &Table, instant: i64, cells: usize) -> Option<Vec<String>> {
    let text = table.text();
    let rows = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let covers = |row: &Vec<&str>| {
        let (from, to) = (row[cells].parse::<i64>().unwrap(), row[cells + 1].parse().unwrap_or(i64::MAX));
        row[0] == "a" && from <= instant && instant < to && row.last() != Some(&"t")
    };
    rows.into_iter().find(covers).map(|row| row[..cells].iter().map(|cell| (*cell).to_owned()).collect())
}

#[test]
fn a_snapshot_table_is_what_was_corrected_inside_the_stretch_and_what_it_was_outside() {
    for seed in 0..80 {
        let mut random = Random(seed);
        let absence = if random.below(2) == 0 { Absence::close() } else { Absence::marker() };
        let mut table = Table::new(Spec::snapshot(["id"]).track(["name"]).deletes(absence).build().unwrap());
        for as_of in [3, 7, 12, 18, 25].into_iter().skip(random.below(3) as usize) {
            let rows = ["a A", "a B", "a -", "", "b B\na A"][random.below(5) as usize];
            table.at(as_of, "id name", rows);
        }
        table.state.ledger.clear();
        for _ in 0..3 {
            let before: Vec<_> = (0..LATEST).map(|at| as_of(&table, at, 2)).collect();
            let from = random.below(28) as i64;
            let to = Some(from + 1 + random.below(12) as i64).filter(|_| random.below(4) > 0);
            let name = ["A", "B", "C", "-"][random.below(4) as usize];
            let end = to.map_or("-".to_owned(), |to| to.to_string());
            let row = format!("a {name} {from} {end}");
            let history = table.text();
            table.correct("id name valid_from valid_to", &row);
            for (at, before) in (0..LATEST).zip(before) {
                let inside = from <= at && to.is_none_or(|to| at < to);
                let expected = if inside { Some(vec!["a".to_owned(), name.to_owned()]) } else { before };
                assert_eq!(as_of(&table, at, 2), expected, "seed {seed}, at {at}: {row}\n{history}");
            }
            let again = rcm_scd2::correct(&table.spec, &table.state, &[bare("id name valid_from valid_to", &row)]);
            assert!(again.unwrap().is_nothing(), "seed {seed}: {row}\n{history}");
        }
    }
}

#[test]
fn a_corrected_feed_is_one_that_was_fed_the_event_and_the_former_state() {
    const EVENTS: &str = "id at run name phone gone";
    for seed in 0..80 {
        let mut random = Random(seed);
        let when = When::new("gone", "y");
        let when = if random.below(2) == 0 { when } else { when.marker() };
        let initial = [InitialValidFrom::Natural, InitialValidFrom::Epoch][random.below(2) as usize];
        let spec = Spec::feed(["id"], ["at", "run"]).track(["name"]).latest_in_run(["phone"]).deletes(when);
        let mut corrected = Table::new(spec.initial_valid_from(initial).build().unwrap());
        let mut times: Vec<i64> = Vec::new();
        let event = |random: &mut Random, at: i64, run: u64| {
            let (name, phone) = (["A", "B", "-"][random.below(3) as usize], random.below(3));
            format!("a {at} {run} {name} {phone} {}", ["-", "-", "-", "y"][random.below(4) as usize])
        };
        for _ in 0..1 + random.below(6) {
            let at = 1 + random.below(25) as i64;
            if !times.contains(&at) {
                times.push(at);
                let event = event(&mut random, at, 1);
                corrected.at(0, EVENTS, &event);
            }
        }
        let mut fed = corrected.clone();
        let from = 1 + random.below(25) as i64;
        let to = Some(from + 1 + random.below(12) as i64).filter(|_| random.below(4) > 0);
        let end = to.map_or("-".to_owned(), |to| to.to_string());
        let row = format!("a 5 C 9 {from} {end}");
        let mut events = vec![format!("a {from} 5 C 9 -")];
        if let Some(to) = to.filter(|to| !times.contains(to)) {
            events.push(match as_of(&fed, to, 4) {
                Some(cells) => format!("a {to} 5 {} {} -", cells[1], cells[2]),
                None => format!("a {to} 5 - - y"),
            });
        }
        let history = fed.text();
        corrected.correct("id run name phone valid_from valid_to", &row);
        fed.at(0, EVENTS, &events.join("\n"));
        assert_eq!(corrected.text(), fed.text(), "seed {seed}: {row}\n{history}");
        for _ in 0..4 {
            let at = 1 + random.below(35) as i64;
            let late = event(&mut random, at, 7);
            let results = [corrected.try_at(0, EVENTS, &late), fed.try_at(0, EVENTS, &late)];
            assert_eq!(results[0].is_ok(), results[1].is_ok());
            assert_eq!(corrected.text(), fed.text(), "seed {seed}: {row}, then {late}\n{history}");
        }
    }
}
