//! The buckets of a table: leaves of a tree that grows by splitting one of them in two.

use arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use std::collections::BTreeSet;
use std::fmt;

/// A table is cut this often at most: a million buckets.
pub(super) const DEEPEST: u32 = 20;

/// A bucket: the keys whose hash begins with these bits. Its name, `<depth>-<bucket>`, is the folder of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    /// How many bits.
    depth: u32,
    /// Which, as a number.
    bits: u32,
}

impl Leaf {
    pub(super) const ROOT: Leaf = Leaf { depth: 0, bits: 0 };

    pub(super) fn parse(name: &str) -> Option<Leaf> {
        let (depth, bits) = name.split_once('-')?;
        let leaf = Leaf { depth: depth.parse().ok()?, bits: bits.parse().ok()? };
        (leaf.depth <= DEEPEST && leaf.bits >> leaf.depth == 0 && leaf.to_string() == name).then_some(leaf)
    }

    /// The first of the deepest buckets in it, and the one behind the last.
    fn span(self) -> (u32, u32) {
        let width = 1 << (DEEPEST - self.depth);
        (self.bits * width, (self.bits + 1) * width)
    }

    /// The two halves; none of a bucket that is not cut any further.
    pub(super) fn halves(self) -> Option<[Leaf; 2]> {
        let half = |bit| Leaf { depth: self.depth + 1, bits: self.bits << 1 | bit };
        (self.depth < DEEPEST).then(|| [half(0), half(1)])
    }

    /// Which keys are in it.
    pub(super) fn has(self, keys: &[ArrayRef]) -> Result<BooleanArray, rcm_scd2::Error> {
        let cut = rcm_scd2::buckets(keys, 1 << self.depth)?;
        Ok(cut.values().iter().map(|bucket| Some(*bucket == self.bits)).collect())
    }

    /// All buckets of a depth.
    pub(super) fn all(depth: u32) -> Vec<Leaf> {
        (0..1 << depth).map(|bits| Leaf { depth, bits }).collect()
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.depth, self.bits)
    }
}

impl Ord for Leaf {
    /// In the order of their keys' hashes.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.span().cmp(&other.span())
    }
}

impl PartialOrd for Leaf {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The buckets of a table of which some are known by their files: an empty one has none. None where two overlap.
pub(super) fn whole(known: &BTreeSet<Leaf>) -> Option<Vec<Leaf>> {
    let mut leaves = Vec::new();
    let mut todo = vec![Leaf::ROOT];
    while let Some(leaf) = todo.pop() {
        let (first, end) = leaf.span();
        let inside: Vec<&Leaf> = known.iter().filter(|other| (first..end).contains(&other.span().0)).collect();
        match inside.as_slice() {
            [] => leaves.push(leaf),
            [only] if **only == leaf => leaves.push(leaf),
            inside if inside.contains(&&leaf) => return None,
            _ => todo.extend(leaf.halves()?.into_iter().rev()),
        }
    }
    Some(leaves)
}

/// The number of the bucket of each key, in the order of `leaves`, which are all there are.
pub(super) fn number(leaves: &[Leaf], keys: &[ArrayRef]) -> Result<UInt32Array, rcm_scd2::Error> {
    let deepest = leaves.iter().map(|leaf| leaf.depth).max().unwrap_or(0);
    let mut numbers = Vec::with_capacity(1 << deepest);
    for (number, leaf) in leaves.iter().enumerate() {
        numbers.extend(std::iter::repeat_n(number as u32, 1 << (deepest - leaf.depth)));
    }
    let cut = rcm_scd2::buckets(keys, 1 << deepest)?;
    Ok(cut.values().iter().map(|bucket| numbers[*bucket as usize]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;
    use std::sync::Arc;

    fn leaves(names: &[&str]) -> Option<Vec<String>> {
        let known = names.iter().map(|name| Leaf::parse(name).unwrap()).collect();
        whole(&known).map(|leaves| leaves.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn buckets_without_files_are_found_between_those_that_have_some() {
        assert_eq!(leaves(&[]).unwrap(), ["0-0"]);
        assert_eq!(leaves(&["0-0"]).unwrap(), ["0-0"]);
        assert_eq!(leaves(&["3-5"]).unwrap(), ["1-0", "3-4", "3-5", "2-3"]);
        assert_eq!(leaves(&["1-0", "2-3"]).unwrap(), ["1-0", "2-2", "2-3"]);
        assert_eq!(leaves(&["1-0", "2-1"]), None);
    }

    #[test]
    fn what_is_no_bucket_has_no_name_of_one() {
        for name in ["", "3", "1-2", "-1-0", "01-0", "21-0", "0-1", "a-b", "1-+1"] {
            assert_eq!(Leaf::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_key_is_in_the_bucket_that_its_hash_begins_with_however_deep_the_others_are() {
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..500).map(|n| format!("PAT-{n}"))));
        let known = whole(&[Leaf::parse("3-5").unwrap()].into()).unwrap();
        let numbers = number(&known, std::slice::from_ref(&ids)).unwrap();
        let deep = rcm_scd2::buckets(&[ids], 1 << DEEPEST).unwrap();
        for (number, deep) in numbers.values().iter().zip(deep.values()) {
            let (first, end) = known[*number as usize].span();
            assert!((first..end).contains(deep));
        }
        assert_eq!(numbers.values().iter().max(), Some(&3));
    }
}
