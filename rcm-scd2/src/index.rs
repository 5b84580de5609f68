//! Which rows have the same key: rows by the hash of their key, each key known by the first row that has it.

mod table;

use rayon::prelude::*;
use table::{Table, View, begin_of, bits, has_tag};

use crate::arena::{Arena, Group, Pair};
use crate::cells::{At, Column};
use crate::space::Section;
use crate::{Error, hash};

/// Rows that are hashed and looked up together: enough for the processor to overlap their misses, few enough to stay in
/// its nearest cache.
pub(crate) const BLOCK: usize = 1024;
/// Rows that one task looks up: a few tasks for each thread, even where all rows are in one batch.
pub(crate) const TASK: usize = 256 * BLOCK;
const SEED: u64 = 0x5cd2;

/// The keys of the rows of some sections, by their positions over all of these.
pub(crate) struct Index<'a> {
    keys: &'a [Column],
    /// The first group of cells, if there are any.
    first_group: &'a [Column],
    /// The key of each row, and the groups of cells that are compared with those of history.
    arena: Arena<'a>,
    table: Table,
    rows: usize,
    /// The rows whose key an earlier row has: that row and this one, in order.
    pub(crate) duplicates: Vec<(u32, u32)>,
}

impl<'a> Index<'a> {
    /// Takes up the rows that are `wanted`, by position, with their keys and further groups of cells. `probes` rows will
    /// be looked up.
    pub(crate) fn build(
        keys: &'a [Column],
        groups: &[&'a [Column]],
        sections: &[&Section],
        probes: usize,
        wanted: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Self, Error> {
        let rows = sections.iter().map(|section| section.rows()).sum();
        let arena = Arena::of(keys, groups, sections)?;
        let hashes = hashes(keys, sections, rows);
        // Where most rows are of other keys a look at a few bits spares most looks at the slots.
        let filtered = probes / 4 > rows;
        let (table, mut duplicates) = Table::of(&hashes, filtered, &arena, wanted);
        duplicates.sort_unstable();
        let first_group = groups.first().copied().unwrap_or_default();
        Ok(Index { keys, first_group, arena, table, rows, duplicates })
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// For each row the first one of its key.
    pub(crate) fn rep_of_rows(&self) -> Vec<u32> {
        let mut reps: Vec<u32> = (0..self.rows as u32).collect();
        self.duplicates.iter().for_each(|(rep, row)| reps[*row as usize] = *rep);
        reps
    }

    /// Looks rows of a batch up.
    pub(crate) fn on(&self, batch: u32) -> Prober<'_> {
        let keys = Group::of(self.keys, batch);
        let [hashes, words] = [(); 2].map(|()| Vec::with_capacity(BLOCK));
        Prober {
            index: self,
            keys,
            batch,
            table: self.table.view(),
            hashes,
            candidates: Box::new([0; BLOCK]),
            words,
            pairs: Vec::with_capacity(BLOCK),
        }
    }

    /// The row with the key of a row of a batch, where another has the same 32 bits of its hash.
    #[cold]
    fn among(&self, hash: u64, keys: &Group, row: u32) -> Option<Pair> {
        let table = self.table.view();
        let place = table.place(hash);
        let slot = table.slot(place);
        let mut next = if has_tag(slot, hash) { Some((place, begin_of(slot))) } else { table.walk(place, hash) };
        while let Some((place, begin)) = next {
            let mut pair = [Pair::new(row, begin)];
            self.arena.fetch(&mut pair);
            self.arena.compare(keys, &mut pair);
            if pair[0].equal {
                return Some(pair[0]);
            }
            next = table.walk(place, hash);
        }
        None
    }

    /// Looks up all rows of a section: the first row of the key of each that is known, in order of position.
    pub(crate) fn find_all(&self, section: &Section) -> Vec<(u32, At)> {
        self.compare_all(section).into_iter().map(|found| (found.rep, found.at)).collect()
    }

    /// The same, with what is known of their cells.
    pub(crate) fn compare_all(&self, section: &Section) -> Vec<Found> {
        let found = |(batch, _, rows): (u32, usize, std::ops::Range<usize>)| {
            let (mut found, mut prober) = (Vec::new(), self.on(batch));
            let group = Group::of(self.first_group, batch);
            for first in rows.clone().step_by(BLOCK) {
                prober.block(first, BLOCK.min(rows.end - first));
                if !group.is_empty() {
                    prober.compare(&group);
                }
                found.extend(prober.pairs().iter().map(|pair| {
                    let same = (!group.is_empty()).then_some(pair.equal);
                    Found { rep: pair.rep, at: At { batch, row: pair.row }, same }
                }));
            }
            found
        };
        let found: Vec<_> = section.pieces(TASK).into_par_iter().with_max_len(1).map(found).collect();
        found.concat()
    }
}

/// A row whose key is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// The first row of the key.
    pub(crate) rep: u32,
    pub(crate) at: At,
    /// Whether the cells of the first group are those of that row too; `None`: there is no such group.
    pub(crate) same: Option<bool>,
}

/// An index, and a batch whose rows are looked up in it.
pub(crate) struct Prober<'a> {
    index: &'a Index<'a>,
    keys: Group<'a>,
    batch: u32,
    table: View<'a>,
    /// Room for a block.
    hashes: Vec<u64>,
    candidates: Box<[u32; BLOCK]>,
    words: Vec<u64>,
    pairs: Vec<Pair>,
}

impl Prober<'_> {
    /// Looks up rows from `first` on, at most [`BLOCK`] of them: those whose key is known, in their order, each with the
    /// first row of its key.
    pub(crate) fn block(&mut self, first: usize, rows: usize) -> &mut [Pair] {
        let Prober { index, keys, batch, table, hashes, candidates, words, pairs } = self;
        hashes.clear();
        hashes.resize(rows, SEED);
        index.keys.iter().for_each(|key| hash::column(key, *batch, first, hashes));
        // One step for all, then the next: so the misses of a step overlap.
        let mut count = rows;
        if table.filter.is_empty() {
            candidates.iter_mut().zip(0..).for_each(|(candidate, at)| *candidate = at);
        } else {
            words.clear();
            words.extend(hashes.iter().map(|hash| table.word(*hash)));
            count = 0;
            // Without a branch: which rows pass is as good as random.
            for (at, (hash, word)) in hashes.iter().zip(&*words).enumerate() {
                candidates[count % BLOCK] = at as u32;
                count += usize::from(!word & bits(*hash) == 0);
            }
        }
        let candidates = candidates[..count].iter().map(|at| (*at, hashes[*at as usize]));
        words.clear();
        words.extend(candidates.clone().map(|(_, hash)| table.slot(table.place(hash))));
        pairs.clear();
        for ((at, hash), slot) in candidates.zip(&*words) {
            let found = match *slot {
                0 => None,
                slot if has_tag(slot, hash) => Some(begin_of(slot)),
                // Another key has its place: it may be further on.
                _ => table.walk(table.place(hash), hash).map(|(_, begin)| begin),
            };
            pairs.extend(found.map(|begin| Pair::new(first as u32 + at, begin)));
        }
        index.arena.fetch(pairs);
        index.arena.compare(keys, pairs);
        if pairs.iter().any(|pair| !pair.equal) {
            for pair in pairs.iter_mut().filter(|pair| !pair.equal) {
                let hash = hashes[pair.row as usize - first];
                *pair = index.among(hash, keys, pair.row).unwrap_or(*pair);
            }
            pairs.retain(|pair| pair.equal);
        }
        pairs
    }

    /// The rows that [`Prober::block`] has found.
    pub(crate) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Compares the next group of cells of the rows that [`Prober::block`] has found.
    pub(crate) fn compare(&mut self, group: &Group) -> &[Pair] {
        self.index.arena.compare(group, &mut self.pairs);
        &self.pairs
    }
}

/// The hashes of the keys of all rows.
fn hashes(keys: &[Column], sections: &[&Section], rows: usize) -> Vec<u64> {
    let mut hashes = vec![0; rows];
    let (mut rest, mut tasks) = (&mut *hashes, Vec::new());
    for (batch, rows) in sections.iter().flat_map(|section| section.spans()) {
        let (mine, others) = rest.split_at_mut(rows.len());
        rest = others;
        let blocks = mine.chunks_mut(BLOCK * 64).enumerate();
        tasks.extend(blocks.map(|(at, block)| (batch, at * BLOCK * 64, block)));
    }
    tasks.into_par_iter().with_max_len(1).for_each(|(batch, first, hashes)| {
        for (at, block) in hashes.chunks_mut(BLOCK).enumerate() {
            block.fill(SEED);
            keys.iter().for_each(|key| hash::column(key, batch, first + at * BLOCK, block));
        }
    });
    hashes
}

#[cfg(test)]
mod tests;
