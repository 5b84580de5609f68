//! Which rows have the same key: rows by the hash of their key, each key known by the first row that has it.

use rayon::prelude::*;

use crate::arena::{Arena, Group, Pair};
use crate::cells::{At, Column};
use crate::memory::Words;
use crate::space::Section;
use crate::{Error, hash};

/// Rows that are hashed and looked up together: enough for the processor to overlap their misses, few enough to stay in
/// its nearest cache.
pub(crate) const BLOCK: usize = 1024;
/// Rows that one task looks up: a few tasks for each thread, even where all rows are in one batch.
pub(crate) const TASK: usize = 256 * BLOCK;
const SEED: u64 = 0x5cd2;
const TAG: u64 = !(u32::MAX as u64);

/// The keys of the rows of some sections, by their positions over all of these.
pub(crate) struct Index<'a> {
    keys: &'a [Column],
    /// The first group of cells, if there are any.
    first_group: &'a [Column],
    /// The key of each row, and the groups of cells that are compared with those of history.
    pub(crate) arena: Arena<'a>,
    /// By the upper bits of the hash.
    parts: Vec<Part>,
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
        let hashes = hashes.view();
        // A table a thread, and none that is not worth a task.
        let parts = rayon::current_num_threads().min(rows / 8192).next_power_of_two().clamp(1, 64);
        // Where most rows are of other keys a look at a few bits spares most looks at the slots.
        let filtered = probes / 4 > rows;
        let build = |part: usize| Part::of(part, parts, filtered, hashes, &arena, wanted);
        let built: Vec<(Part, Vec<(u32, u32)>)> = (0..parts).into_par_iter().map(build).collect();
        let (parts, duplicates): (Vec<_>, Vec<_>) = built.into_iter().unzip();
        let mut duplicates = duplicates.concat();
        duplicates.sort_unstable();
        let first_group = groups.first().copied().unwrap_or_default();
        Ok(Index { keys, first_group, arena, parts, rows, duplicates })
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
        let parts = self.parts.iter().map(Part::view).collect();
        Prober {
            index: self,
            keys,
            batch,
            parts,
            hashes,
            candidates: Box::new([0; BLOCK]),
            words,
            pairs: Vec::with_capacity(BLOCK),
        }
    }

    /// The row with the key of a row of a batch, behind the slot of another row that has not.
    #[cold]
    fn behind(&self, hash: u64, other: u32, keys: &Group, row: u32) -> Option<Pair> {
        let table = self.parts[part_of(hash, self.parts.len())].view().slots;
        let mut place = hash as usize & (table.len() - 1);
        let other = self.arena.begin(other as usize);
        while begin_of(u64::from_le_bytes(table[place])) != other {
            place = (place + 1) & (table.len() - 1);
        }
        while let Some((next, begin)) = walk(table, place + 1, hash) {
            let mut pair = [Pair::new(row, begin)];
            self.arena.fetch(&mut pair);
            self.arena.compare(keys, &mut pair);
            if pair[0].equal {
                return Some(pair[0]);
            }
            place = next;
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
    parts: Vec<View<'a>>,
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
        let Prober { index, keys, batch, parts, hashes, candidates, words, pairs } = self;
        hashes.clear();
        hashes.resize(rows, SEED);
        index.keys.iter().for_each(|key| hash::column(key, *batch, first, hashes));
        // One step for all, then the next: so the misses of a step overlap.
        let part = |hash: u64| &parts[part_of(hash, parts.len())];
        let mut count = rows;
        if parts.iter().any(|part| !part.filter.is_empty()) {
            words.clear();
            words.extend(hashes.iter().map(|hash| part(*hash).word(*hash)));
            count = 0;
            // Without a branch: which rows pass is as good as random.
            for (at, (hash, word)) in hashes.iter().zip(&*words).enumerate() {
                candidates[count % BLOCK] = at as u32;
                count += usize::from(word & bits(*hash) == bits(*hash));
            }
        } else {
            candidates.iter_mut().zip(0..).for_each(|(candidate, at)| *candidate = at);
        }
        let candidates = candidates[..count].iter().map(|at| (*at, hashes[*at as usize]));
        words.clear();
        words.extend(candidates.clone().map(|(_, hash)| part(hash).slot(hash)));
        pairs.clear();
        for ((at, hash), slot) in candidates.zip(&*words) {
            let found = if *slot & TAG == hash & TAG && *slot != 0 {
                Some(begin_of(*slot))
            } else if *slot != 0 {
                // Another key has its place: it may be further on.
                walk(part(hash).slots, hash as usize + 1, hash).map(|(_, begin)| begin)
            } else {
                None
            };
            pairs.extend(found.map(|begin| Pair::new(first as u32 + at, begin)));
        }
        index.arena.fetch(pairs);
        index.arena.compare(keys, pairs);
        if pairs.iter().any(|pair| !pair.equal) {
            // Different keys with the same 32 bits of their hashes.
            for pair in pairs.iter_mut().filter(|pair| !pair.equal) {
                let hash = hashes[pair.row as usize - first];
                *pair = index.behind(hash, pair.rep, keys, pair.row).unwrap_or(*pair);
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

fn begin_of(slot: u64) -> u32 {
    slot as u32 - 1
}

/// The next row whose key may have the hash: the place of its slot, and where it begins.
#[inline]
fn walk(table: &[[u8; 8]], place: usize, hash: u64) -> Option<(usize, u32)> {
    let mask = table.len() - 1;
    let mut place = place & mask;
    loop {
        match u64::from_le_bytes(table[place]) {
            0 => return None,
            slot if slot & TAG == hash & TAG => return Some((place, begin_of(slot))),
            _ => place = (place + 1) & mask,
        }
    }
}

fn part_of(hash: u64, parts: usize) -> usize {
    (hash >> 58) as usize & (parts - 1)
}

/// The hashes of the keys of all rows.
fn hashes(keys: &[Column], sections: &[&Section], rows: usize) -> Words<8> {
    let mut hashes = Words::zeros(rows);
    let mut rest = hashes.view_mut();
    let mut tasks = Vec::new();
    for (batch, rows) in sections.iter().flat_map(|section| section.spans()) {
        let (mine, others) = rest.split_at_mut(rows.len());
        rest = others;
        let blocks = mine.chunks_mut(BLOCK * 64).enumerate();
        tasks.extend(blocks.map(|(at, block)| (batch, at * BLOCK * 64, block)));
    }
    tasks.into_par_iter().with_max_len(1).for_each(|(batch, first, hashes)| {
        for (at, block) in hashes.chunks_mut(BLOCK).enumerate() {
            let mut hashed = [SEED; BLOCK];
            let hashed = &mut hashed[..block.len()];
            keys.iter().for_each(|key| hash::column(key, batch, first + at * BLOCK, hashed));
            block.iter_mut().zip(hashed).for_each(|(to, from)| *to = from.to_le_bytes());
        }
    });
    hashes
}

/// The keys whose hash is of a part: a table of slots, which have 32 bits of the hash and where the row begins more 1;
/// before it, perhaps, a filter, four bits of one word a key: no false "no", few false "maybe" (Putze et al., Cache-, Hash-
/// and Space-Efficient Bloom Filters, 2007).
struct Part {
    words: Words<8>,
    filter: usize,
}

#[derive(Clone, Copy)]
struct View<'a> {
    slots: &'a [[u8; 8]],
    filter: &'a [[u8; 8]],
}

impl Part {
    /// Also the rows that repeat a key: the first row that has it, and they.
    fn of(
        part: usize,
        parts: usize,
        filtered: bool,
        hashes: &[[u8; 8]],
        arena: &Arena,
        wanted: &(dyn Fn(usize) -> bool + Sync),
    ) -> (Self, Vec<(u32, u32)>) {
        let all = || hashes.iter().map(|hash| u64::from_le_bytes(*hash));
        let count = all().filter(|hash| part_of(*hash, parts) == part).count();
        // At most half full, so that a walk ends soon.
        let slots = (2 * count + 2).next_power_of_two();
        let filter = if filtered { (count / 8 + 1).next_power_of_two() } else { 0 };
        let mut words = Words::zeros(slots + filter);
        let (filter, table) = words.view_mut().split_at_mut(filter);
        let mut duplicates = Vec::new();
        let mine = all().enumerate().filter(|(row, hash)| part_of(*hash, parts) == part && wanted(*row));
        let mut mine = mine.peekable();
        let mut block = Vec::with_capacity(BLOCK);
        while mine.peek().is_some() {
            block.clear();
            block.extend(mine.by_ref().take(BLOCK));
            // All misses at once.
            let touch = |all: u8, (_, hash): &(usize, u64)| all ^ table[*hash as usize & (slots - 1)][0];
            std::hint::black_box(block.iter().fold(0, touch));
            for (row, hash) in &block {
                let mut place = *hash as usize & (slots - 1);
                loop {
                    let slot = u64::from_le_bytes(table[place]);
                    if slot == 0 {
                        table[place] = (hash & TAG | (u64::from(arena.begin(*row)) + 1)).to_le_bytes();
                        break;
                    }
                    if slot & TAG == hash & TAG && arena.same_key(begin_of(slot), *row) {
                        duplicates.push((arena.row_at(begin_of(slot)), *row as u32));
                        break;
                    }
                    place = (place + 1) & (slots - 1);
                }
            }
            if filtered {
                for (_, hash) in &block {
                    let word = &mut filter[place_in(filter.len(), *hash)];
                    *word = (u64::from_le_bytes(*word) | bits(*hash)).to_le_bytes();
                }
            }
        }
        (Part { filter: filter.len(), words }, duplicates)
    }

    fn view(&self) -> View<'_> {
        let (filter, slots) = self.words.view().split_at(self.filter);
        View { slots, filter }
    }
}

impl View<'_> {
    #[inline]
    fn slot(&self, hash: u64) -> u64 {
        u64::from_le_bytes(self.slots[hash as usize & (self.slots.len() - 1)])
    }

    #[inline]
    fn word(&self, hash: u64) -> u64 {
        u64::from_le_bytes(self.filter[place_in(self.filter.len(), hash)])
    }
}

#[inline]
fn place_in(filter: usize, hash: u64) -> usize {
    (hash >> 24) as usize & (filter - 1)
}

#[inline]
fn bits(hash: u64) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63) | 1 << (hash >> 18 & 63)
}

#[cfg(test)]
mod tests;
