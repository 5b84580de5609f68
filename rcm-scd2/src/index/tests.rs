//! Keys whose hashes agree in all that a slot keeps of them: too rare for tests that do not look for them.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};

use super::table::place;
use super::*;
use crate::hash;
use crate::space::Space;

/// Two numbers with the same 32 bits of their hash and, among so few rows, the same place.
fn alike() -> [i64; 2] {
    // Numbers that follow each other have hashes that differ: these look random.
    let keys = (0..1_000_000).map(|number| hash::word(1, number));
    // As many slots have tables of one, two, three and six rows.
    let alike = |hash: u64| (hash as u32, [3, 5, 7, 12].map(|slots| place(hash, slots)));
    let mut hashes: Vec<_> = keys.map(|key| (alike(hash::word(hash::SEED, key)), key as i64)).collect();
    hashes.sort_unstable();
    let pair = hashes.windows(2).find(|pair| pair[0].0 == pair[1].0).expect("some of so many agree");
    [pair[0].1, pair[1].1]
}

fn keys(keys: &[i64]) -> [RecordBatch; 1] {
    [RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(keys.to_vec())) as _)]).unwrap()]
}

/// For each row of history its key's first row in the load.
fn found(history: &[i64], load: &[i64], probes: usize) -> Vec<(u32, u32)> {
    let (history, load) = (keys(history), keys(load));
    let space = Space::new(&[("history", &history), ("load", &load)]).unwrap();
    let columns = [space.column("id", &[0, 1]).unwrap()];
    let index = Index::build(&columns, &[], &[space.section(1)], probes, &|_| true);
    assert_eq!(index.duplicates, [], "no key is there twice");
    index.find_all(space.section(0)).into_iter().map(|(rep, at)| (rep, at.row)).collect()
}

#[test]
fn keys_whose_hashes_agree_are_told_apart() {
    let [a, b] = alike();
    // Without and with a filter.
    for probes in [0, 1000] {
        assert_eq!(found(&[b, -1, a], &[a, b], probes), [(1, 0), (0, 2)]);
        assert_eq!(found(&[b, -1, a], &[b, -2, a], probes), [(0, 0), (2, 2)]);
        assert_eq!(found(&[b, b], &[a, -2], probes), []);
        assert_eq!(found(&[b, a], &[a], probes), [(0, 1)]);
    }
}

#[test]
fn a_key_that_is_there_twice_is_found_by_its_first_row() {
    let [a, b] = alike();
    let load = keys(&[a, b, b, 5, a, b]);
    let space = Space::new(&[("load", &load)]).unwrap();
    let columns = [space.column("id", &[0]).unwrap()];
    let index = Index::build(&columns, &[], &[space.section(0)], 0, &|_| true);
    assert_eq!(index.duplicates, [(0, 4), (1, 2), (1, 5)]);
    assert_eq!(index.rep_of_rows(), [0, 1, 1, 3, 0, 1]);
    let wanted = Index::build(&columns, &[], &[space.section(0)], 0, &|row| row != 1);
    assert_eq!(wanted.duplicates, [(0, 4), (2, 5)]);
}

#[test]
fn cells_of_any_length_are_compared_to_their_last_byte() {
    // Around 16 and 256 bytes they are hashed otherwise, at the end of their buffer they are cut off.
    let lengths = || (0..300).chain([1000, 0, 255, 17]);
    let table = |last: &str| {
        let text = |len: usize| (len % 7 != 6).then(|| "x".repeat(len) + last);
        let columns = [
            ("id", Arc::new(Int64Array::from_iter_values(0..304)) as _),
            ("short", Arc::new(lengths().map(|len| text(len % 20)).collect::<StringArray>()) as _),
            ("long", Arc::new(lengths().map(text).collect::<StringArray>()) as _),
        ];
        [RecordBatch::try_from_iter(columns).unwrap()]
    };
    let (load, other) = (table("a"), table("b"));
    for (history, same) in [(&load, true), (&other, false)] {
        let space = Space::new(&[("history", history), ("load", &load)]).unwrap();
        let [key, short, long] = ["id", "short", "long"].map(|name| space.column(name, &[0, 1]).unwrap());
        let (keys, cells) = ([key], [short, long]);
        let index = Index::build(&keys, &[&cells], &[space.section(1)], 0, &|_| true);
        let found = index.compare_all(space.section(0));
        assert_eq!(found.len(), 304);
        // Nulls are equal in both tables.
        let nulls = |row: u32| cells.iter().all(|column| column.is_null(At { batch: 0, row }));
        assert!(found.iter().all(|found| found.rep == found.at.row && found.same == Some(same || nulls(found.rep))));
    }
}

#[test]
fn parts_are_filled_side_by_side_whatever_keys_there_are() {
    let five = rayon::ThreadPoolBuilder::new().num_threads(5).build().unwrap();
    // Batches without rows and with one, around where hints are.
    let lengths = [0, 1, 1, 1021, 0, 0, 1, 1, 0, 1023, 1, 40_000, 0, 18_952, 0];
    // A key a row; a key that has every second row; but one key.
    for of_row in [|row: i64| row, |row| if row % 2 == 0 { -1 } else { row }, |_| 7] {
        let mut next = 0;
        let batches = lengths.map(|len| {
            let [batch] = keys(&(next..next + len).map(of_row).collect::<Vec<_>>());
            next += len;
            batch
        });
        let space = Space::new(&[("history", &batches), ("load", &batches)]).unwrap();
        let columns = [space.column("id", &[0, 1]).unwrap()];
        let (history, load) = (space.section(0), space.section(1));
        let first: Vec<u32> = {
            let mut seen = std::collections::HashMap::new();
            (0..next as u32).map(|row| *seen.entry(of_row(row.into())).or_insert(row)).collect()
        };
        for probes in [0, 1 << 20] {
            let (reps, found) = five.install(|| {
                let index = Index::build(&columns, &[], &[load], probes, &|_| true);
                (index.rep_of_rows(), index.find_all(history))
            });
            assert_eq!(reps, first);
            let places = (0..next as usize).map(|position| (first[position], history.at(position)));
            assert_eq!(found, places.collect::<Vec<_>>());
        }
        let positions: Vec<usize> = history.all().map(|at| history.position(at)).collect();
        assert_eq!(positions, (0..next as usize).collect::<Vec<_>>());
    }
}
