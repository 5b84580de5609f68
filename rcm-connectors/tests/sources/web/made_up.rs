//! Numbers from a seed, and words that name nobody.

/// A sequence that a seed makes (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below an end.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// Once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// A word of so many syllables, in capitals.
    pub(crate) fn word(&mut self, syllables: usize) -> String {
        let syllable = ["BA", "DO", "FI", "GU", "KE", "LA", "MO", "NI", "PU", "RE", "SA", "TO", "VI", "ZU"];
        (0..syllables).map(|_| self.one(&syllable)).collect()
    }

    pub(crate) fn digits(&mut self, many: usize) -> String {
        (0..many).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }
}

/// The check digit behind the first nine of an NPI: Luhn over the prefix 80840, which adds 24.
pub(crate) fn check_digit(nine: &str) -> char {
    let sum: u32 = nine.chars().rev().enumerate().map(|(at, digit)| doubled(digit, at % 2 == 0)).sum();
    char::from_digit((10 - (sum + 24) % 10) % 10, 10).unwrap()
}

/// Whether ten digits are an NPI by their check digit.
pub(crate) fn is_npi(number: &str) -> bool {
    let is_whole = number.len() == 10 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_whole && number.starts_with(['1', '2']) && number.ends_with(check_digit(&number[..9]))
}

fn doubled(digit: char, is_doubled: bool) -> u32 {
    let digit = digit.to_digit(10).unwrap();
    let value = if is_doubled { digit * 2 } else { digit };
    value / 10 + value % 10
}
