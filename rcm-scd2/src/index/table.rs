//! Where a key lies, by its hash.

use rayon::prelude::*;

use super::{BLOCK, KEY};
use crate::memory::Words;
use crate::near::fetch;
use crate::prints::Prints;

/// Keys by their hash: slots, which have 32 bits of the hash and the row more 1; before them, perhaps, a filter, three bits
/// of one word a key: no false "no", few false "maybe" (Putze et al., Cache-, Hash- and Space-Efficient Bloom Filters,
/// 2007). Both are cut into parts by the upper bits of the hash, so that each can be filled by a thread.
pub(super) struct Table {
    words: Words,
    /// Words of the filter.
    filter: usize,
    /// Slots of a part.
    slots: usize,
}

#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) filter: &'a [[u8; 8]],
    slots: &'a [[u8; 8]],
    /// Slots of a part, and how many parts there are.
    part: usize,
    parts: usize,
}

impl Table {
    /// Also the rows that repeat a key: the first row that has it, and they.
    pub(super) fn of(
        hashes: &[u64],
        filtered: bool,
        prints: &Prints,
        wanted: &(dyn Fn(usize) -> bool + Sync),
    ) -> (Self, Vec<(u32, u32)>) {
        let most = |parts: usize| {
            let count = |part: usize| hashes.iter().filter(|hash| place(**hash, parts) == part).count();
            (parts, (0..parts).into_par_iter().map(count).max().unwrap_or_default())
        };
        // A part a thread, and none that is not worth a task; fewer where one key has so many rows that its part, and so
        // each, would have to be far larger than others need.
        let parts = rayon::current_num_threads().min(hashes.len() / 8192).clamp(1, 64);
        let fewer = std::iter::successors(Some(parts), |parts| Some(parts / 2)).take_while(|parts| *parts > 1);
        let even = fewer.map(most).find(|(parts, most)| parts * most <= 2 * hashes.len());
        let (parts, most) = even.unwrap_or((1, hashes.len()));
        // Three fifths full at most, so that a walk ends soon.
        let slots = most * 5 / 3 + 2;
        let filter = if filtered { most / 8 + 1 } else { 0 };
        let mut words = Words::zeros(parts * (filter + slots));
        let (filters, tables) = words.view_mut().split_at_mut(parts * filter);
        let filters: Vec<&mut [[u8; 8]]> = match filter {
            0 => (0..parts).map(|_| [].as_mut_slice()).collect(),
            filter => filters.chunks_mut(filter).collect(),
        };
        let part = |(number, (filter, slots))| Part { number, parts, filter, slots };
        let each: Vec<Part> = filters.into_iter().zip(tables.chunks_mut(slots)).enumerate().map(part).collect();
        let duplicates: Vec<Vec<(u32, u32)>> =
            each.into_par_iter().map(|part| part.fill(hashes, prints, wanted)).collect();
        (Table { words, filter: parts * filter, slots }, duplicates.concat())
    }

    pub(super) fn view(&self) -> View<'_> {
        let (filter, slots) = self.words.view().split_at(self.filter);
        View { filter, slots, part: self.slots, parts: slots.len() / self.slots }
    }
}

/// One of the parts of a table while it is filled.
struct Part<'a> {
    number: usize,
    parts: usize,
    filter: &'a mut [[u8; 8]],
    slots: &'a mut [[u8; 8]],
}

impl Part<'_> {
    /// Takes up its rows: those that repeat a key, each behind the first row that has it.
    fn fill(self, hashes: &[u64], prints: &Prints, wanted: &(dyn Fn(usize) -> bool + Sync)) -> Vec<(u32, u32)> {
        let Part { number, parts, filter, slots: table } = self;
        let (slots, words) = (table.len(), filter.len());
        let mut duplicates = Vec::new();
        let start = |hash: u64| place(hash, parts * slots) - number * slots;
        let (mut room, mut count) = ([(0, 0); 2 * BLOCK], 0);
        for (block, first) in hashes.chunks(BLOCK).zip((0..).step_by(BLOCK)) {
            // Without a branch: of which part a row is, is as good as random.
            for (at, hash) in block.iter().enumerate() {
                room[count % (2 * BLOCK)] = (first + at, *hash);
                count += usize::from(place(*hash, parts) == number);
            }
            if count < BLOCK && first + BLOCK < hashes.len() {
                continue;
            }
            let due = &room[..std::mem::take(&mut count)];
            due.iter().for_each(|(_, hash)| fetch(&table[start(*hash)]));
            for (row, hash) in due.iter().filter(|(row, _)| wanted(*row)) {
                let mut place = start(*hash);
                loop {
                    let slot = u64::from_le_bytes(table[place]);
                    if slot == 0 {
                        table[place] = (hash << 32 | (*row as u64 + 1)).to_le_bytes();
                        break;
                    }
                    if has_tag(slot, *hash) && prints.get(row_of(slot), KEY) == prints.get(*row as u32, KEY) {
                        duplicates.push((row_of(slot), *row as u32));
                        break;
                    }
                    place = if place + 1 == slots { 0 } else { place + 1 };
                }
            }
            if words > 0 {
                for (_, hash) in due {
                    let word = &mut filter[self::place(*hash, parts * words) - number * words];
                    *word = (u64::from_le_bytes(*word) | bits(*hash)).to_le_bytes();
                }
            }
        }
        duplicates
    }
}

impl View<'_> {
    #[inline]
    pub(super) fn place(&self, hash: u64) -> usize {
        place(hash, self.slots.len())
    }

    /// Asks for the slot of a hash.
    #[inline]
    pub(super) fn fetch(&self, hash: u64) {
        fetch(&self.slots[self.place(hash)]);
    }

    #[inline]
    pub(super) fn slot(&self, place: usize) -> u64 {
        u64::from_le_bytes(self.slots[place])
    }

    #[inline]
    pub(super) fn word(&self, hash: u64) -> u64 {
        u64::from_le_bytes(self.filter[place(hash, self.filter.len())])
    }

    /// The next row whose key may have the hash, behind a place: the place of its slot, and the row.
    #[inline]
    pub(super) fn walk(&self, mut place: usize, hash: u64) -> Option<(usize, u32)> {
        let first = self::place(hash, self.parts) * self.part;
        loop {
            place = if place + 1 == first + self.part { first } else { place + 1 };
            match self.slot(place) {
                0 => return None,
                slot if has_tag(slot, hash) => return Some((place, row_of(slot))),
                _ => {}
            }
        }
    }
}

/// Where a hash belongs among so many places: its upper bits say so (Lemire, Fast Random Integer Generation in an Interval,
/// 2019). Among the places of several parts, one after the other, that is in the part where it belongs among the parts.
#[inline]
pub(super) fn place(hash: u64, places: usize) -> usize {
    ((u128::from(hash) * places as u128) >> 64) as usize
}

/// Whether a slot has the lower bits of a hash.
#[inline]
pub(super) fn has_tag(slot: u64, hash: u64) -> bool {
    slot >> 32 == hash & u64::from(u32::MAX)
}

#[inline]
pub(super) fn row_of(slot: u64) -> u32 {
    slot as u32 - 1
}

#[inline]
pub(super) fn bits(hash: u64) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63)
}

#[cfg(test)]
mod tests;
