//! That a table is as small and as even as it should be, which no result would show.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};

use super::*;
use crate::hash;
use crate::index::Index;
use crate::space::Space;

/// What is to be seen of the table of rows with such keys, with so many threads.
fn on<T: Send>(threads: usize, keys: Vec<i64>, probes: usize, see: impl Fn(&Index) -> T + Send + Sync) -> T {
    let rows = [RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(keys)) as _)]).unwrap()];
    let space = Space::new(&[("load", &rows)]).unwrap();
    let columns = [space.column("id", &[0]).unwrap()];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| see(&Index::build(&columns, &[], &[space.section(0)], probes, &|_| true)))
}

/// How many slots of each part are taken, and how many each has.
fn filled(index: &Index) -> (Vec<usize>, usize) {
    let view = index.table.view();
    let taken = |part: &[[u8; 8]]| part.iter().filter(|slot| **slot != [0; 8]).count();
    (view.slots.chunks(view.part).map(taken).collect(), view.part)
}

#[test]
fn there_is_a_part_a_thread_where_it_is_worth_a_task() {
    for (rows, threads, parts) in [(100, 4, 1), (16_383, 4, 1), (16_384, 4, 2), (40_000, 4, 4), (40_000, 1, 1)] {
        let (filled, slots) = on(threads, (0..rows).collect(), 0, filled);
        assert_eq!((filled.len(), filled.iter().sum::<usize>()), (parts, rows as usize));
        for filled in filled {
            assert!(filled <= slots * 3 / 5 && slots < rows as usize * 2 / parts + 3, "{rows}: {filled} of {slots}");
        }
    }
}

#[test]
fn one_key_of_most_rows_costs_no_part_more_than_twice_the_room() {
    let (filled, slots) = on(4, (0..40_000_i64).map(|row| (row - 36_000).max(0)).collect(), 0, filled);
    assert_eq!((filled.len(), filled.iter().sum::<usize>()), (2, 4_000));
    assert!(2 * slots <= 2 * 40_000 * 5 / 3 + 4, "{slots}");
}

#[test]
fn a_filter_knows_all_that_are_there_and_few_others() {
    for (threads, rows) in [(1, 1_000), (4, 40_000_i64)] {
        on(threads, (0..rows).collect(), 1 << 20, |index| {
            let view = index.table.view();
            assert!((rows as usize..2 * rows as usize).contains(&(8 * view.filter.len())));
            let passes = |key: &i64| {
                let hash = hash::word(hash::SEED, *key as u64);
                view.word(hash) & bits(hash) == bits(hash)
            };
            assert!((0..rows).all(|key| passes(&key)));
            let others = (rows..2 * rows).filter(passes).count() as i64;
            // Of three bits, each is set by one of eight keys with 1 - (63/64)^24, by chance: 3 in 100 pass.
            assert!(others * 1000 < rows * 42, "{others} of {rows}");
        });
    }
    on(1, (0..1_000).collect(), 3_999, |index| assert_eq!(index.table.view().filter.len(), 0));
    let set = |hash| bits(hash).count_ones();
    assert_eq!(HashSet::from([0, 1 << 6, 5, 1 | 2 << 6 | 3 << 12].map(set)), HashSet::from([1, 2, 3]));
}

#[test]
fn every_row_is_found_where_its_hash_says() {
    for threads in [1, 4] {
        on(threads, (0..40_000).collect(), 0, |index| {
            let view = index.table.view();
            for row in 0..40_000_u32 {
                let hash = hash::word(hash::SEED, row.into());
                let place = view.place(hash);
                let first = (place, view.slot(place));
                let own = has_tag(first.1, hash) && row_of(first.1) == row;
                let mut next = place;
                let further = std::iter::from_fn(|| {
                    let (at, found) = view.walk(next, hash)?;
                    next = at;
                    Some(found)
                });
                assert!(own || { further }.any(|found| found == row), "{row}");
            }
        });
    }
}
