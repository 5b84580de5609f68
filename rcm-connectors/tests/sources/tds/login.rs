//! LOGIN7 (MS-TDS 2.2.6.4): who logs in, and what the answer says of the session.

use super::wire::{Reader, invalid, utf16};
use std::io::Result;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Login7 {
    pub tds_version: u32,
    pub packet_size: u32,
    pub host: String,
    pub user: String,
    pub password: String,
    pub application: String,
    pub server: String,
    pub database: String,
    pub read_only: bool,
    /// The bearer token of a federated login, with the security token library.
    pub token: Option<String>,
    /// Whether the token came with the nonce of PRELOGIN.
    pub nonce: Option<[u8; 32]>,
    /// The features that the client asks for.
    pub features: Vec<u8>,
}

pub(crate) const FEATURE_FEDAUTH: u8 = 0x02;
pub(crate) const FEATURE_END: u8 = 0xFF;
pub(crate) const EXTENSION: u8 = 0x10;
pub(crate) const READ_ONLY_INTENT: u8 = 0x20;
/// Behind the numbers come pairs of offset and length.
pub(crate) const PAIRS: usize = 36;

impl Login7 {
    pub(crate) fn decode(body: &[u8]) -> Result<Login7> {
        let mut fixed = Reader(body);
        if fixed.u32()? as usize != body.len() {
            return Err(invalid("LOGIN7 is not as long as it says"));
        }
        let (tds_version, packet_size) = (fixed.u32()?, fixed.u32()?);
        fixed.take(12)?;
        let [_, _, type_flags, option_flags3] = fixed.array()?;
        let pair = |n: usize| -> Result<(usize, usize)> {
            let mut pair = Reader(body.get(PAIRS + n * 4..).unwrap_or_default());
            Ok((pair.u16()?.into(), pair.u16()?.into()))
        };
        let bytes = |n: usize| -> Result<&[u8]> {
            let (at, units) = pair(n)?;
            if units == 0 {
                return Ok(&[]);
            }
            body.get(at..at + units * 2).ok_or_else(|| invalid("a text outside of LOGIN7"))
        };
        let text = |n| utf16(bytes(n)?);
        let mut login = Login7 {
            tds_version,
            packet_size,
            host: text(0)?,
            user: text(1)?,
            password: unmangled(bytes(2)?)?,
            application: text(3)?,
            server: text(4)?,
            database: text(8)?,
            read_only: type_flags & READ_ONLY_INTENT != 0,
            ..Login7::default()
        };
        if option_flags3 & EXTENSION != 0 {
            let (at, length) = pair(5)?;
            let mut pointer = Reader(body.get(at..at + length).ok_or_else(|| invalid("ibExtension"))?);
            let features = body.get(pointer.u32()? as usize..).ok_or_else(|| invalid("FeatureExt"))?;
            login.features(Reader(features))?;
        }
        Ok(login)
    }

    fn features(&mut self, mut from: Reader<'_>) -> Result<()> {
        loop {
            let feature = from.u8()?;
            if feature == FEATURE_END {
                return Ok(());
            }
            let length = from.u32()?;
            let mut data = Reader(from.take(length as usize)?);
            self.features.push(feature);
            if feature == FEATURE_FEDAUTH {
                let library = data.u8()? >> 1;
                if library == 1 {
                    let length = data.u32()?;
                    self.token = Some(utf16(data.take(length as usize)?)?);
                    if !data.is_empty() {
                        self.nonce = Some(data.array()?);
                    }
                }
            }
        }
    }
}

/// Each byte of a password has its halves swapped, and is then taken exclusive-or with A5.
pub(crate) fn unmangled(bytes: &[u8]) -> Result<String> {
    let plain: Vec<u8> = bytes.iter().map(|byte| (byte ^ 0xA5).rotate_left(4)).collect();
    utf16(&plain)
}
