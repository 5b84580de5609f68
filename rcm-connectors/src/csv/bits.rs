//! Sixty-four bytes as words of bits: bit n tells of byte n.

use wide::u8x16;

/// Which bytes of a block are what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Masks {
    pub(super) quotes: u64,
    pub(super) delimiters: u64,
    pub(super) returns: u64,
    pub(super) feeds: u64,
}

impl Masks {
    /// Of the first `len` bytes, at least one.
    #[inline]
    pub(super) fn of(block: &[u8; 64], len: usize, delimiter: u8, quote: u8) -> Masks {
        let within = u64::MAX >> (64 - len);
        let [quotes, delimiters, returns, feeds] =
            equal(block, [quote, delimiter, b'\r', b'\n']).map(|bits| bits & within);
        Masks { quotes, delimiters, returns, feeds }
    }
}

/// Which bytes are equal to each of some.
#[inline]
fn equal<const N: usize>(block: &[u8; 64], wanted: [u8; N]) -> [u64; N] {
    let mut bits = [0; N];
    for (n, sixteen) in block.as_chunks::<16>().0.iter().enumerate() {
        let bytes = u8x16::new(*sixteen);
        for (bits, byte) in bits.iter_mut().zip(wanted) {
            *bits |= u64::from(bytes.simd_eq(u8x16::splat(byte)).to_bitmask()) << (16 * n);
        }
    }
    bits
}

/// Each bit is the exclusive-or of itself and all before it.
#[inline]
pub(super) fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_found_at_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..64 {
                let mut block = [byte.wrapping_add(1 + (place as u8 & 127)); 64];
                block[place] = byte;
                assert_eq!(equal(&block, [byte]), [1 << place], "{byte} at {place}");
            }
        }
        assert_eq!(prefix_xor(0b1000_0100), !0 << 2 & !(!0 << 7));
    }
}
