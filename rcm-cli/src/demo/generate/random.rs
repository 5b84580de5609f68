//! Numbers that look random and are the same on every machine (splitmix64).

/// A stream of numbers for one row.
pub(super) struct Random(u64);

impl Random {
    /// The stream of row `n` of a table: no row's numbers depend on how many others there are.
    pub(super) fn of(seed: u64, table: &str, n: u32) -> Self {
        let name =
            table.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let mut random = Random(seed ^ name);
        Random(random.next() ^ u64::from(n).wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of `first..=last`.
    pub(super) fn from(&mut self, first: u32, last: u32) -> u32 {
        let span = u64::from(last.saturating_sub(first)) + 1;
        first + (((self.next() >> 32) * span) >> 32) as u32
    }

    /// Whether a thing happens that happens in `percent` of 100 cases.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.from(1, 100) <= percent
    }

    /// One of some words; empty where there is none.
    pub(super) fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let last = u32::try_from(words.len().saturating_sub(1)).unwrap_or(u32::MAX);
        words.get(self.from(0, last) as usize).copied().unwrap_or_default()
    }
}
