//! Which rows have the same key: rows by the hash of their key, each key known by the first row that has it.

mod table;

use rayon::prelude::*;
use table::{Table, View, bits, has_tag, row_of};

use crate::cells::{At, Column};
use crate::prints::{Keyed, Pieces, Prints};
use crate::space::Section;

/// Rows that are hashed and looked up together: enough for the processor to overlap their misses, few enough for what is
/// known of them to stay in its nearest cache.
pub(crate) const BLOCK: usize = 1024;
/// Rows that one task looks up: a few tasks for each thread, even where all rows are in one batch.
pub(crate) const TASK: usize = 256 * BLOCK;
/// Numbers of groups.
const KEY: usize = 0;
pub(crate) const FIRST_GROUP: usize = 1;

/// The keys of the rows of some sections, by their positions over all of these.
pub(crate) struct Index<'a> {
    /// The key, and the groups of cells that are compared with those of history.
    keyed: Keyed<'a>,
    prints: Prints,
    table: Table,
    rows: usize,
    /// The rows whose key an earlier row has: that row and this one, in order.
    pub(crate) duplicates: Vec<(u32, u32)>,
}

impl<'a> Index<'a> {
    /// Takes up the rows that are `wanted`, by position, with their keys and further groups of cells, as far as these have
    /// columns. `probes` rows will be looked up.
    pub(crate) fn build(
        keys: &'a [Column],
        groups: &[&'a [Column]],
        sections: &[&Section],
        probes: usize,
        wanted: &(dyn Fn(usize) -> bool + Sync),
    ) -> Self {
        let rows = sections.iter().map(|section| section.rows()).sum();
        let groups = groups.iter().copied().filter(|group| !group.is_empty());
        let keyed = Keyed::draw(keys, groups);
        let (prints, hashes) = Prints::of(&keyed, sections);
        // Where most rows are of other keys a look at a few bits spares most looks at the slots.
        let filtered = probes / 4 > rows;
        let (table, mut duplicates) = Table::of(&hashes, filtered, &prints, wanted);
        duplicates.sort_unstable();
        Index { keyed, prints, table, rows, duplicates }
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
        let [hashes, words] = [(); 2].map(|()| Vec::with_capacity(BLOCK));
        Prober {
            index: self,
            pieces: self.keyed.on(batch),
            batch,
            table: self.table.view(),
            hashes,
            candidates: Box::new([0; BLOCK]),
            words,
            pairs: Vec::with_capacity(BLOCK),
            prints: Box::new([0; BLOCK]),
        }
    }

    /// The row with a key, where another has the same 32 bits of its hash.
    #[cold]
    fn among(&self, hash: u64, key: u64) -> Option<u32> {
        let table = self.table.view();
        let place = table.place(hash);
        let slot = table.slot(place);
        let first = has_tag(slot, hash).then(|| (place, row_of(slot))).or_else(|| table.walk(place, hash));
        let mut rows = std::iter::successors(first, |(place, _)| table.walk(*place, hash)).map(|(_, row)| row);
        rows.find(|row| self.prints.get(*row, KEY) == key)
    }

    /// Looks up all rows of a section: the first row of the key of each that is known, in order of position.
    pub(crate) fn find_all(&self, section: &Section) -> Vec<(u32, At)> {
        self.compare_all(section).into_iter().map(|found| (found.rep, found.at)).collect()
    }

    /// The same, with what is known of their cells.
    pub(crate) fn compare_all(&self, section: &Section) -> Vec<Found> {
        let found = |(batch, _, rows): (u32, usize, std::ops::Range<usize>)| {
            let (mut found, mut prober) = (Vec::new(), self.on(batch));
            for first in rows.clone().step_by(BLOCK) {
                prober.block(first, BLOCK.min(rows.end - first));
                let compared = prober.pieces.has(FIRST_GROUP);
                if compared {
                    prober.compare(FIRST_GROUP);
                }
                found.extend(prober.pairs().iter().map(|pair| {
                    let same = compared.then_some(pair.equal);
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

/// A row of a batch, and the first row that has its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) row: u32,
    pub(crate) rep: u32,
    /// Whether both were equal in the last group that was compared.
    pub(crate) equal: bool,
}

/// An index, and a batch whose rows are looked up in it.
pub(crate) struct Prober<'a> {
    index: &'a Index<'a>,
    pieces: Pieces<'a>,
    batch: u32,
    table: View<'a>,
    /// Room for a block.
    hashes: Vec<u64>,
    candidates: Box<[u32; BLOCK]>,
    words: Vec<u64>,
    pairs: Vec<Pair>,
    prints: Box<[u64; BLOCK]>,
}

impl Prober<'_> {
    /// Looks up rows from `first` on, at most [`BLOCK`] of them: those whose key is known, in their order, each with the
    /// first row of its key.
    pub(crate) fn block(&mut self, first: usize, rows: usize) -> &mut [Pair] {
        let Prober { index, pieces, batch, table, hashes, candidates, words, pairs, .. } = self;
        hashes.clear();
        hashes.resize(rows, 0);
        index.keyed.hash(*batch, first, hashes);
        // One step for all, then the next: so the misses of a step overlap, and what a later step reads is on its way.
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
        candidates.clone().for_each(|(_, hash)| table.fetch(hash));
        pieces.fetch(candidates.clone().map(|(at, _)| first + at as usize));
        words.clear();
        words.extend(candidates.clone().map(|(_, hash)| table.slot(table.place(hash))));
        pairs.clear();
        for ((at, hash), slot) in candidates.zip(&*words) {
            let found = match *slot {
                0 => None,
                slot if has_tag(slot, hash) => Some(row_of(slot)),
                // Another key has its place: it may be further on.
                _ => table.walk(table.place(hash), hash).map(|(_, row)| row),
            };
            pairs.extend(found.map(|rep| Pair { row: first as u32 + at, rep, equal: true }));
        }
        pairs.iter().for_each(|pair| index.prints.fetch(pair.rep));
        pieces.fetch_texts(pairs.iter().map(|pair| pair.row as usize));
        self.compare(KEY);
        let Prober { index, hashes, pairs, prints, .. } = self;
        if pairs.iter().any(|pair| !pair.equal) {
            for (pair, key) in pairs.iter_mut().zip(&**prints).filter(|(pair, _)| !pair.equal) {
                if let Some(rep) = index.among(hashes[pair.row as usize - first], *key) {
                    (pair.rep, pair.equal) = (rep, true);
                }
            }
            pairs.retain(|pair| pair.equal);
        }
        pairs
    }

    /// The rows that [`Prober::block`] has found.
    pub(crate) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Compares a group of cells of the rows that [`Prober::block`] has found.
    pub(crate) fn compare(&mut self, group: usize) -> &[Pair] {
        let Prober { index, pieces, pairs, prints, .. } = self;
        let prints = &mut prints[..pairs.len()];
        pieces.set(group, pairs.iter().map(|pair| pair.row as usize), prints);
        for (pair, sum) in pairs.iter_mut().zip(prints) {
            pair.equal = index.prints.get(pair.rep, group) == *sum;
        }
        pairs
    }
}

#[cfg(test)]
mod tests;
