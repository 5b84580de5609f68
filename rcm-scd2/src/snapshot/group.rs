//! The rows of a load by key: which are bad, which repeat or contradict each other, which keys are held back.

use std::collections::HashMap;

use rayon::prelude::*;

use super::scopes::Scopes;
use super::{COMPLETE, Snapshot};
use crate::cells::{At, Column};
use crate::hash;
use crate::incoming;
use crate::index::{BLOCK, Index};
use crate::ledger::Part;
use crate::space::{Section, Space};
use crate::{BadRows, Complete, Error, Outcome, RefusalCode, Refused};

/// What is to be done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It stands for its key.
    Counts,
    /// It stands for a key that is neither changed nor absent.
    Held,
    /// Another row stands for its key, or it has no whole key.
    Stands,
}

/// Rows of the load, then withheld rows, by key.
pub(crate) struct Groups<'a> {
    pub(crate) index: Index<'a>,
    pub(crate) standing: Vec<Standing>,
    /// The row that counts, where that is not the first of its key.
    chosen: HashMap<u32, u32>,
    pub(crate) refused: Vec<Refused>,
    /// Of the load's rows: what became of those that do not count.
    pub(crate) outcomes: Vec<Outcome>,
}

impl<'a> Groups<'a> {
    pub(crate) fn of(snapshot: &'a Snapshot, withheld: &Section) -> Result<Self, Error> {
        let load = snapshot.load;
        let count = load.rows();
        let mut refused = Vec::new();
        let mut standing = vec![Standing::Counts; count + withheld.rows()];
        for (row, code) in snapshot.rows.all_bad(&snapshot.keys, load) {
            refused.push(Refused { row, code });
            standing[row] = if code == RefusalCode::NullKey { Standing::Stands } else { Standing::Held };
        }
        let nulls = !snapshot.spec.null_keys_as_value;
        for (row, at) in withheld.all().enumerate() {
            let unknown = nulls && snapshot.keys.iter().any(|key| key.is_null(at));
            standing[count + row] = if unknown { Standing::Stands } else { Standing::Held };
        }
        let probes = snapshot.history.rows();
        let groups = [&snapshot.tracked[..], &snapshot.latest, &snapshot.all_versions, &snapshot.rest];
        let wanted = |row: usize| standing[row] != Standing::Stands;
        let index = Index::build(&snapshot.keys, &groups, &[load, withheld], probes, &wanted)?;
        let outcomes = vec![Outcome::NoOp; count];
        let mut groups = Groups { index, standing, chosen: HashMap::new(), refused, outcomes };
        let duplicates = std::mem::take(&mut groups.index.duplicates);
        for same in duplicates.chunk_by(|a, b| a.0 == b.0) {
            let rows: Vec<usize> =
                std::iter::once(same[0].0).chain(same.iter().map(|(_, row)| *row)).map(|row| row as usize).collect();
            groups.settle(snapshot, &rows);
        }
        for refused in &groups.refused {
            groups.outcomes[refused.row] = Outcome::Refused;
        }
        groups.refused.sort_unstable_by_key(|refused| refused.row);
        if snapshot.spec.bad_rows == BadRows::Error && !groups.refused.is_empty() {
            let keys = incoming::keys_of(&snapshot.keys, load, &groups.refused)?;
            return Err(Error::BadRows { rows: groups.refused, keys });
        }
        Ok(groups)
    }

    /// Decides between the rows of one key, of which there are several.
    fn settle(&mut self, snapshot: &Snapshot, rows: &[usize]) {
        let count = snapshot.load.rows();
        let withheld = rows.iter().any(|row| *row >= count);
        let good: Vec<usize> =
            rows.iter().copied().filter(|row| *row < count && self.standing[*row] == Standing::Counts).collect();
        let held = withheld || good.len() < rows.len();
        rows[1..].iter().for_each(|row| self.standing[*row] = Standing::Stands);

        let sequence = |row: usize| snapshot.load.at(row);
        let moved = |row: &usize| {
            snapshot.sequence.as_ref().is_some_and(|column| !column.equal(sequence(*row), sequence(good[0])))
        };
        let same = |row: &usize| self.index.arena.row(*row) == self.index.arena.row(good[0]);
        let delete = good.iter().copied().find(|row| snapshot.rows.is_delete(*row));
        let conflict = !withheld && (good.iter().any(moved) || delete.is_none() && !good.iter().all(same));
        let counts = delete.or(good.first().copied());
        for row in good.iter().copied() {
            match () {
                () if conflict => self.refused.push(Refused { row, code: RefusalCode::Conflict }),
                () if held => self.outcomes[row] = Outcome::Withheld,
                () if Some(row) != counts => self.outcomes[row] = Outcome::Collapsed,
                () => {}
            }
        }
        if held || conflict {
            self.standing[rows[0]] = Standing::Held;
        } else if let Some(counts) = counts.filter(|counts| *counts != rows[0]) {
            self.chosen.insert(rows[0] as u32, counts as u32);
        }
    }

    /// The row that counts for the key that this one stands for.
    pub(crate) fn counting(&self, rep: usize) -> usize {
        if self.chosen.is_empty() { rep } else { self.chosen.get(&(rep as u32)).map_or(rep, |row| *row as usize) }
    }
}

impl Snapshot<'_> {
    /// What the load says about each scope value.
    pub(crate) fn parts(
        &self,
        groups: &Groups,
        withheld: &Section,
        scopes: &Scopes,
        space: &Space,
        complete: Complete,
    ) -> Result<Vec<Part>, Error> {
        let mut parts = vec![Part::default(); scopes.rows.len()];
        let mut whole = vec![complete == Complete::Everything; parts.len()];
        let mut scope_of = scopes.reader();
        if scopes.columns().is_empty() {
            parts[0].touched = true;
            whole[0] |= complete == Complete::Present;
        }
        let digests = self.digests();
        let count = self.load.rows();
        let places = self.load.all().chain(withheld.all()).enumerate();
        for (row, at) in places {
            if groups.standing[row] == Standing::Stands && (row >= count || self.key_is_not_whole(at)) {
                continue;
            }
            let scope = scope_of(at) as usize;
            // A withheld key says only where a load is complete that says so.
            let touches = row < count || complete == Complete::Present;
            parts[scope].touched |= touches;
            whole[scope] |= complete == Complete::Present && touches;
            let digest = match groups.standing[row] {
                Standing::Counts => digests[groups.counting(row)],
                Standing::Held => self.digest_of_held(at),
                Standing::Stands => 0,
            };
            parts[scope].digest = parts[scope].digest.wrapping_add(digest);
        }
        for at in space.section(COMPLETE).all() {
            whole[scope_of(at) as usize] = true;
        }
        for (part, whole) in parts.iter_mut().zip(whole) {
            part.complete = whole;
            part.touched |= whole;
        }
        Ok(parts)
    }

    fn key_is_not_whole(&self, at: At) -> bool {
        !self.spec.null_keys_as_value && self.keys.iter().any(|key| key.is_null(at))
    }

    /// Digests of all rows of the load. A column that the load lacks is another thing than one that is null; what a delete
    /// says of the columns means nothing.
    fn digests(&self) -> Vec<u128> {
        let mut columns: Vec<&Column> = self.columns.iter().filter(|column| self.load.has(&column.name)).collect();
        columns.sort_by_key(|column| &column.name);
        let identity: Vec<&Column> = self.keys.iter().chain(&self.sequence).collect();
        let mut digests = vec![0; self.load.rows()];
        let mut tasks = Vec::new();
        let mut rest = digests.as_mut_slice();
        for (batch, rows) in self.load.spans() {
            let (mine, others) = rest.split_at_mut(rows.len());
            rest = others;
            let blocks = mine.chunks_mut(BLOCK).enumerate();
            tasks.extend(blocks.map(|(at, block)| (batch, at * BLOCK, rows.start + at * BLOCK, block)));
        }
        tasks.into_par_iter().with_min_len(8).for_each(|(batch, first, row, block)| {
            // Each cell is hashed once, and mixed into two lanes that have nothing in common.
            let [mut low, mut high, mut cells] = [[0_u64; BLOCK]; 3];
            let [low, high, cells] = [&mut low, &mut high, &mut cells].map(|lane| &mut lane[..block.len()]);
            for at in 0..block.len() {
                let delete = u64::from(self.rows.is_delete(row + at));
                low[at] = hash::word(hash::DIGEST_VERSION, delete);
                high[at] = hash::word(!hash::DIGEST_VERSION, delete);
            }
            for (number, column) in identity.iter().copied().chain(columns.iter().copied()).enumerate() {
                cells.fill(hash::bytes(0, column.name.as_bytes()));
                hash::column(column, batch, first, cells);
                let valued = number >= identity.len();
                for at in (0..block.len()).filter(|at| !valued || !self.rows.is_delete(row + at)) {
                    low[at] = hash::word(low[at], cells[at]);
                    high[at] = hash::word(high[at], cells[at].rotate_left(32));
                }
            }
            for (at, digest) in block.iter_mut().enumerate() {
                *digest = u128::from(high[at]) << 64 | u128::from(low[at]);
            }
        });
        digests
    }

    fn digest_of_held(&self, at: At) -> u128 {
        let lane = |seed: u64| {
            let mut lane = [hash::word(seed, u64::MAX)];
            self.keys.iter().for_each(|key| hash::column(key, at.batch, at.row as usize, &mut lane));
            u128::from(lane[0])
        };
        lane(!hash::DIGEST_VERSION) << 64 | lane(hash::DIGEST_VERSION)
    }
}
