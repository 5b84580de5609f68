//! What a load says about each scope value: whether it says anything, whether it is complete, and a digest of its rows
//! that does not depend on their order.

use std::ops::Range;

use rayon::prelude::*;

use super::group::{Groups, Standing};
use super::scopes::Scopes;
use super::{COMPLETE, Snapshot};
use crate::Complete;
use crate::cells::{At, Column};
use crate::hash::{self, DIGEST_VERSION};
use crate::index::BLOCK;
use crate::ledger::Part;
use crate::space::{Section, Space};

/// The columns of which a digest is made.
struct Digested<'a> {
    snapshot: &'a Snapshot<'a>,
    identity: Vec<&'a Column>,
    /// Sorted by name. What a delete says of them means nothing.
    values: Vec<&'a Column>,
}

/// Rows of a batch: which, their numbers in it, and the position of the first in the load.
type Block = (u32, Range<usize>, usize);

impl Snapshot<'_> {
    pub(crate) fn parts(
        &self,
        groups: &Groups,
        withheld: &Section,
        scopes: &Scopes,
        space: &Space,
        complete: Complete,
    ) -> Vec<Part> {
        let count = self.load.rows();
        let digested = Digested::of(self);
        let sum = |blocks: &[Block]| {
            let mut parts = vec![Part::default(); scopes.rows.len()];
            let (mut scope_of, mut digests) = (scopes.reader(), [0; BLOCK]);
            for (batch, rows, start) in blocks {
                digested.block(*batch, rows.start, *start, &mut digests[..rows.len()]);
                for (number, digest) in digests[..rows.len()].iter().enumerate() {
                    let (row, at) = (start + number, At { batch: *batch, row: (rows.start + number) as u32 });
                    let digest = match groups.standing[row] {
                        Standing::Counts => match groups.counting(row) {
                            counting if counting == row => *digest,
                            counting => digested.one(counting),
                        },
                        Standing::Held => self.digest_of_held(at),
                        Standing::Stands if self.key_is_not_whole(at) => continue,
                        Standing::Stands => 0,
                    };
                    let part = &mut parts[scope_of(at) as usize];
                    part.touched = true;
                    part.complete |= complete == Complete::Present;
                    part.digest = part.digest.wrapping_add(digest);
                }
            }
            parts
        };
        let blocks: Vec<Block> = self
            .load
            .spans()
            .flat_map(|(batch, rows)| {
                let firsts = (0..rows.len()).step_by(BLOCK);
                firsts.map(move |first| (batch, first..rows.len().min(first + BLOCK), rows.start + first))
            })
            .collect();
        // A few sums for each thread, and fewer where there are many scope values.
        let sums = (8 * rayon::current_num_threads()).min(1 + count / scopes.rows.len().max(1));
        let each = blocks.len().div_ceil(sums).max(1);
        let sums: Vec<Vec<Part>> = blocks.par_chunks(each).with_max_len(1).map(sum).collect();

        let mut parts = vec![Part::default(); scopes.rows.len()];
        for (part, sum) in sums.iter().flat_map(|sums| sums.iter().enumerate()).map(|(scope, sum)| (scope, *sum)) {
            let part = &mut parts[part];
            part.touched |= sum.touched;
            part.complete |= sum.complete;
            part.digest = part.digest.wrapping_add(sum.digest);
        }
        let mut scope_of = scopes.reader();
        let held = withheld.all().enumerate().filter(|(row, _)| groups.standing[count + row] == Standing::Held);
        let held: Vec<(u32, At)> = held.map(|(_, at)| (scope_of(at), at)).collect();
        for (scope, _) in held.iter().filter(|_| complete == Complete::Present) {
            let part = &mut parts[*scope as usize];
            (part.complete, part.touched) = (true, true);
        }
        let everywhere = complete == Complete::Everything;
        let anything = scopes.columns().is_empty();
        for part in &mut parts {
            part.complete |= everywhere || anything && complete == Complete::Present;
            part.touched |= anything || part.complete;
        }
        for at in space.section(COMPLETE).all() {
            let part = &mut parts[scope_of(at) as usize];
            (part.complete, part.touched) = (true, true);
        }
        // A key that was only withheld says something where its absence would.
        for (scope, at) in held {
            let part = &mut parts[scope as usize];
            if part.complete {
                part.digest = part.digest.wrapping_add(self.digest_of_held(at));
            }
        }
        parts
    }

    fn key_is_not_whole(&self, at: At) -> bool {
        !self.spec.null_keys_as_value && self.keys.iter().any(|key| key.is_null(at))
    }

    fn digest_of_held(&self, at: At) -> u128 {
        let lane = |seed: u64| {
            let mut lane = [hash::word(seed, u64::MAX)];
            self.keys.iter().for_each(|key| hash::column(key, at.batch, at.row as usize, &mut lane));
            u128::from(lane[0])
        };
        lane(!DIGEST_VERSION) << 64 | lane(DIGEST_VERSION)
    }
}

impl<'a> Digested<'a> {
    /// A column that the load lacks is another thing than one that is null.
    fn of(snapshot: &'a Snapshot<'a>) -> Self {
        let identity = snapshot.keys.iter().chain(&snapshot.sequence).collect();
        let mut values: Vec<&Column> =
            snapshot.columns.iter().filter(|column| snapshot.load.has(&column.name)).collect();
        values.sort_by_key(|column| &column.name);
        Digested { snapshot, identity, values }
    }

    /// Digests of some rows of a batch, from `first` on; `start` is the position of that row in the load.
    fn block(&self, batch: u32, first: usize, start: usize, digests: &mut [u128]) {
        // Each cell is hashed once, with the name of its column, and added up in two ways that have little in common.
        let [mut low, mut high, mut cells] = [[0_u64; BLOCK]; 3];
        let [low, high, cells] = [&mut low, &mut high, &mut cells].map(|lane| &mut lane[..digests.len()]);
        let rows = &self.snapshot.rows;
        for (number, column) in self.identity.iter().chain(&self.values).enumerate() {
            cells.fill(hash::bytes(0, column.name.as_bytes()));
            hash::column(column, batch, first, cells);
            let valued = number >= self.identity.len() && !rows.deletes.is_empty();
            let add = |((low, high), cell): ((&mut u64, &mut u64), &u64)| {
                *low = low.wrapping_add(*cell);
                *high = high.rotate_left(7) ^ cell;
            };
            let lanes = low.iter_mut().zip(&mut *high).zip(&*cells);
            match valued {
                true => lanes.enumerate().filter(|(at, _)| !rows.is_delete(start + at)).for_each(|(_, lane)| add(lane)),
                false => lanes.for_each(add),
            }
        }
        for (at, digest) in digests.iter_mut().enumerate() {
            let delete = u64::from(rows.is_delete(start + at));
            let [low, high] =
                [hash::word(DIGEST_VERSION ^ delete, low[at]), hash::word(!DIGEST_VERSION ^ delete, high[at])];
            *digest = u128::from(high) << 64 | u128::from(low);
        }
    }

    fn one(&self, row: usize) -> u128 {
        let (at, mut digest) = (self.snapshot.load.at(row), [0]);
        self.block(at.batch, at.row as usize, row, &mut digest);
        digest[0]
    }
}
