//! Choices that the fuzzer makes: bytes of its input, and when they are used up a sequence that follows from them.

#[derive(Clone)]
pub(crate) struct Random {
    bytes: Vec<u8>,
    next: usize,
    state: u64,
}

impl Random {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let state = bytes.iter().fold(bytes.len() as u64, |state, byte| {
            (state ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
        });
        Random { bytes: bytes.to_vec(), next: 0, state }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next += 1;
        self.bytes.get(self.next - 1).copied().unwrap_or_else(|| {
            self.state = self.state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (self.state >> 56) as u8
        })
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        match n {
            0..=256 => usize::from(self.byte()) % n,
            _ => (usize::from(self.byte()) << 8 | usize::from(self.byte())) % n,
        }
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }
}
