//! Numbers and strings as MS-TDS writes them: little-endian, UTF-16LE.

use std::io::{Error, ErrorKind, Result};

/// What is left of a message.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub &'a [u8]);

pub(crate) fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(n).ok_or_else(|| invalid("the message ends too early"))?;
        self.0 = left;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().unwrap())
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// An unsigned number of so many bytes, at most 16.
    pub(crate) fn unsigned(&mut self, bytes: usize) -> Result<u128> {
        Ok(unsigned(self.take(bytes)?))
    }

    /// So many UTF-16 code units.
    pub(crate) fn utf16(&mut self, units: usize) -> Result<String> {
        utf16(self.take(units * 2)?)
    }

    /// `B_VARCHAR`
    pub(crate) fn b_varchar(&mut self) -> Result<String> {
        let units = self.u8()?;
        self.utf16(units.into())
    }
}

pub(crate) fn unsigned(bytes: &[u8]) -> u128 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

pub(crate) fn utf16(bytes: &[u8]) -> Result<String> {
    if !bytes.len().is_multiple_of(2) {
        return Err(invalid("half of a UTF-16 code unit"));
    }
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).map_err(|_| invalid("not UTF-16"))
}

pub(crate) fn put_utf16(out: &mut Vec<u8>, text: &str) {
    out.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
}

pub(crate) fn put_b_varchar(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.encode_utf16().count()).unwrap());
    put_utf16(out, text);
}

pub(crate) fn put_us_varchar(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.encode_utf16().count()).unwrap().to_le_bytes());
    put_utf16(out, text);
}

/// The lowest bytes of a number.
pub(crate) fn put_unsigned(out: &mut Vec<u8>, number: u128, bytes: usize) {
    out.extend(&number.to_le_bytes()[..bytes]);
}
