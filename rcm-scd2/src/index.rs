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
const SEED: u64 = 0x5cd2;
const TAG: u64 = !(u32::MAX as u64);

/// The keys of the rows of some sections, by their positions over all of these.
pub(crate) struct Index<'a> {
    keys: &'a [Column],
    /// The key of each row, and the groups of cells that are compared with those of history.
    pub(crate) arena: Arena<'a>,
    /// By the upper bits of the hash: slots of 32 bits of it, and the position of a row more 1.
    tables: Vec<Words>,
    bloom: Option<Bloom>,
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
        let build = |part: usize| table(part, parts, hashes, &arena, wanted);
        let built: Vec<(Words, Vec<(u32, u32)>)> = (0..parts).into_par_iter().map(build).collect();
        // Where most rows are of other keys a look at a few bits spares most looks at the tables.
        let bloom = (probes / 4 > rows).then(|| Bloom::of(hashes));
        let (tables, duplicates): (Vec<_>, Vec<_>) = built.into_iter().unzip();
        let mut duplicates = duplicates.concat();
        duplicates.sort_unstable();
        Ok(Index { keys, arena, tables, bloom, rows, duplicates })
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
        let [hashes, slots] = [(); 2].map(|()| Vec::with_capacity(BLOCK));
        let tables = self.tables.iter().map(Words::view).collect();
        Prober {
            index: self,
            keys,
            batch,
            tables,
            hashes,
            candidates: Vec::new(),
            slots,
            pairs: Vec::with_capacity(BLOCK),
        }
    }

    /// The row with the key of a row of a batch, behind the slot of another row (more 1), or of any.
    #[cold]
    fn further(&self, hash: u64, behind: u32, keys: &Group, row: u32) -> Option<Pair> {
        let table = self.tables[part_of(hash, self.tables.len())].view();
        let mask = table.len() - 1;
        let mut place = hash as usize & mask;
        let mut passed = behind == 0;
        while table[place] != [0; 8] {
            let slot = u64::from_le_bytes(table[place]);
            if passed && slot & TAG == hash & TAG {
                let rep = row_of(slot);
                let mut pair = [Pair::new(row, rep, self.arena.begin(rep))];
                self.arena.compare(keys, &mut pair);
                if pair[0].equal {
                    return Some(pair[0]);
                }
            }
            passed |= slot as u32 == behind;
            place = (place + 1) & mask;
        }
        None
    }

    /// Looks up all rows of a section: the first row of the key of each that is known, in order of position.
    pub(crate) fn find_all(&self, section: &Section) -> Vec<(u32, At)> {
        let found = |(batch, rows): (u32, std::ops::Range<usize>)| {
            let (mut found, mut prober) = (Vec::new(), self.on(batch));
            for first in (0..rows.len()).step_by(BLOCK) {
                let pairs = prober.block(first, BLOCK.min(rows.len() - first));
                found.extend(pairs.iter().map(|pair| (pair.rep, At { batch, row: pair.row })));
            }
            found
        };
        let spans: Vec<_> = section.spans().collect();
        let found: Vec<_> = spans.into_par_iter().map(found).collect();
        let mut found = found.concat();
        found.sort_unstable_by_key(|(_, at)| *at);
        found
    }
}

/// An index, and a batch whose rows are looked up in it.
pub(crate) struct Prober<'a> {
    index: &'a Index<'a>,
    keys: Group<'a>,
    batch: u32,
    tables: Vec<&'a [[u8; 8]]>,
    /// Room for a block.
    hashes: Vec<u64>,
    candidates: Vec<(u32, u64)>,
    slots: Vec<u64>,
    pairs: Vec<Pair>,
}

impl Prober<'_> {
    /// Looks up rows from `first` on, at most [`BLOCK`] of them: those whose key is known, in their order, each with the
    /// first row of its key.
    pub(crate) fn block(&mut self, first: usize, rows: usize) -> &mut [Pair] {
        let Prober { index, keys, batch, tables, hashes, candidates, slots, pairs } = self;
        hashes.clear();
        hashes.resize(rows, SEED);
        index.keys.iter().for_each(|key| hash::column(key, *batch, first, hashes));
        // One step for all, then the next: so the misses of a step overlap.
        let mut count = 0;
        match &index.bloom {
            Some(bloom) => {
                slots.clear();
                slots.extend(hashes.iter().map(|hash| bloom.word(*hash)));
                candidates.resize(BLOCK, (0, 0));
                for (at, (hash, word)) in hashes.iter().zip(&*slots).enumerate() {
                    candidates[count] = (at as u32, *hash);
                    count += usize::from(word & Bloom::bits(*hash) == Bloom::bits(*hash));
                }
                candidates.truncate(count);
            }
            None => {
                candidates.clear();
                candidates.extend(hashes.iter().enumerate().map(|(at, hash)| (at as u32, *hash)));
            }
        }
        slots.clear();
        slots.extend(candidates.iter().map(|(_, hash)| {
            let table = tables[part_of(*hash, tables.len())];
            u64::from_le_bytes(table[*hash as usize & (table.len() - 1)])
        }));
        pairs.clear();
        for ((at, hash), slot) in candidates.iter().zip(&*slots) {
            if *slot & TAG == hash & TAG && *slot != 0 {
                let rep = row_of(*slot);
                pairs.push(Pair::new(first as u32 + at, rep, index.arena.begin(rep)));
            } else if *slot != 0 {
                // Another key has its place: it may be further on.
                let pair = index.further(*hash, 0, keys, first as u32 + at);
                pairs.extend(
                    pair.map(|pair| Pair::new(pair.row, pair.rep as usize, index.arena.begin(pair.rep as usize))),
                );
            }
        }
        index.arena.fetch(pairs);
        index.arena.compare(keys, pairs);
        if pairs.iter().any(|pair| !pair.equal) {
            // Different keys with the same 32 bits of their hashes.
            for pair in pairs.iter_mut().filter(|pair| !pair.equal) {
                let hash = hashes[pair.row as usize - first];
                *pair = index.further(hash, 1 + pair.rep, keys, pair.row).unwrap_or(*pair);
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

fn row_of(slot: u64) -> usize {
    (slot as u32 - 1) as usize
}

fn part_of(hash: u64, parts: usize) -> usize {
    (hash >> 58) as usize & (parts - 1)
}

/// The hashes of the keys of all rows.
fn hashes(keys: &[Column], sections: &[&Section], rows: usize) -> Words {
    let mut hashes = Words::zeros(rows);
    let mut rest = hashes.view_mut();
    let mut tasks = Vec::new();
    for (batch, rows) in sections.iter().flat_map(|section| section.spans()) {
        let (mine, others) = rest.split_at_mut(rows.len());
        rest = others;
        let blocks = mine.chunks_mut(BLOCK * 64).enumerate();
        tasks.extend(blocks.map(|(at, block)| (batch, at * BLOCK * 64, block)));
    }
    tasks.into_par_iter().for_each(|(batch, first, hashes)| {
        for (at, block) in hashes.chunks_mut(BLOCK).enumerate() {
            let mut hashed = [SEED; BLOCK];
            let hashed = &mut hashed[..block.len()];
            keys.iter().for_each(|key| hash::column(key, batch, first + at * BLOCK, hashed));
            block.iter_mut().zip(hashed).for_each(|(to, from)| *to = from.to_le_bytes());
        }
    });
    hashes
}

/// The table of the keys whose hash is of a part, and the rows that repeat one.
fn table(
    part: usize,
    parts: usize,
    hashes: &[[u8; 8]],
    arena: &Arena,
    wanted: &(dyn Fn(usize) -> bool + Sync),
) -> (Words, Vec<(u32, u32)>) {
    let all = || hashes.iter().map(|hash| u64::from_le_bytes(*hash));
    let count = all().filter(|hash| part_of(*hash, parts) == part).count();
    // At most half full, so that a walk ends soon.
    let (mut table, mut duplicates) = (Words::zeros((2 * count + 2).next_power_of_two()), Vec::new());
    let slots = table.view_mut();
    let mask = slots.len() - 1;
    for (row, hash) in all().enumerate() {
        if part_of(hash, parts) != part || !wanted(row) {
            continue;
        }
        let mut place = hash as usize & mask;
        loop {
            let slot = u64::from_le_bytes(slots[place]);
            if slot == 0 {
                slots[place] = (hash & TAG | (row as u64 + 1)).to_le_bytes();
                break;
            }
            if slot & TAG == hash & TAG && arena.same_key(row_of(slot), row) {
                duplicates.push((row_of(slot) as u32, row as u32));
                break;
            }
            place = (place + 1) & mask;
        }
    }
    (table, duplicates)
}

/// Four bits of one word a key: no false "no", few false "maybe" (Putze et al., Cache-, Hash- and Space-Efficient Bloom
/// Filters, 2007).
struct Bloom(Vec<u64>);

impl Bloom {
    fn of(hashes: &[[u8; 8]]) -> Self {
        let mut bloom = Bloom(vec![0; (hashes.len() / 4 + 1).next_power_of_two()]);
        for hash in hashes.iter().map(|hash| u64::from_le_bytes(*hash)) {
            let at = bloom.place(hash);
            bloom.0[at] |= Bloom::bits(hash);
        }
        bloom
    }

    #[inline]
    fn place(&self, hash: u64) -> usize {
        (hash >> 24) as usize & (self.0.len() - 1)
    }

    #[inline]
    fn word(&self, hash: u64) -> u64 {
        self.0[self.place(hash)]
    }

    #[inline]
    fn bits(hash: u64) -> u64 {
        1 << (hash & 63) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63) | 1 << (hash >> 18 & 63)
    }
}
