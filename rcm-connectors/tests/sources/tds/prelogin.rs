//! PRELOGIN (MS-TDS 2.2.6.5): what is said before the login, above all about encryption.

use super::wire::{Reader, invalid};
use std::io::Result;

/// `B_FENCRYPTION`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Encryption {
    /// Of the login only.
    Off = 0,
    On = 1,
    NotSupported = 2,
    Required = 3,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prelogin {
    pub version: [u8; 6],
    pub encryption: Option<Encryption>,
    pub instance: Option<Vec<u8>>,
    pub fed_auth_required: Option<bool>,
    pub mars: Option<bool>,
    pub nonce: Option<[u8; 32]>,
}

pub(crate) const VERSION: u8 = 0;
pub(crate) const ENCRYPTION: u8 = 1;
pub(crate) const INSTOPT: u8 = 2;
pub(crate) const THREADID: u8 = 3;
pub(crate) const MARS: u8 = 4;
pub(crate) const FEDAUTHREQUIRED: u8 = 6;
pub(crate) const NONCEOPT: u8 = 7;
pub(crate) const TERMINATOR: u8 = 0xFF;

impl Prelogin {
    pub(crate) fn decode(body: &[u8]) -> Result<Prelogin> {
        let (mut options, mut prelogin) = (Reader(body), Prelogin::default());
        loop {
            let token = options.u8()?;
            if token == TERMINATOR {
                return Ok(prelogin);
            }
            let at = usize::from(u16::from_be_bytes(options.array()?));
            let length = usize::from(u16::from_be_bytes(options.array()?));
            let value = body.get(at..at + length).ok_or_else(|| invalid("an option outside of PRELOGIN"))?;
            let first = value.first().copied();
            match token {
                VERSION => prelogin.version = value.try_into().map_err(|_| invalid("VERSION"))?,
                // A client with a certificate sets the highest bit.
                ENCRYPTION => {
                    prelogin.encryption = Some(match first.map(|first| first & 0x7F) {
                        Some(0) => Encryption::Off,
                        Some(1) => Encryption::On,
                        Some(2) => Encryption::NotSupported,
                        Some(3) => Encryption::Required,
                        _ => return Err(invalid("ENCRYPTION")),
                    });
                }
                INSTOPT => prelogin.instance = Some(value.strip_suffix(&[0]).unwrap_or(value).to_vec()),
                MARS => prelogin.mars = first.map(|first| first != 0),
                FEDAUTHREQUIRED => prelogin.fed_auth_required = first.map(|first| first != 0),
                NONCEOPT => prelogin.nonce = Some(value.try_into().map_err(|_| invalid("NONCEOPT"))?),
                // Of what a client tells, nothing else matters here.
                _ => {}
            }
        }
    }

    /// The answer of a server.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut options: Vec<(u8, Vec<u8>)> = vec![(VERSION, self.version.to_vec())];
        options.extend(self.encryption.map(|encryption| (ENCRYPTION, vec![encryption as u8])));
        // One zero: the instance is the right one.
        options.push((INSTOPT, vec![0]));
        options.push((THREADID, Vec::new()));
        options.push((MARS, vec![0]));
        options.extend(self.fed_auth_required.map(|required| (FEDAUTHREQUIRED, vec![u8::from(required)])));
        options.extend(self.nonce.map(|nonce| (NONCEOPT, nonce.to_vec())));
        let (mut out, mut at) = (Vec::new(), options.len() * 5 + 1);
        for (token, value) in &options {
            out.push(*token);
            out.extend(u16::try_from(at).unwrap().to_be_bytes());
            out.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            at += value.len();
        }
        out.push(TERMINATOR);
        options.iter().for_each(|(_, value)| out.extend(value));
        out
    }
}

/// What a server that wants this answers to what a client wants; none: it hangs up (MS-TDS 2.2.6.5, the table).
pub(crate) fn agreed(server: Encryption, client: Encryption) -> Option<Encryption> {
    use Encryption::{NotSupported, Off, On, Required};
    Some(match (server, client) {
        (NotSupported, _) => NotSupported,
        (Off, Off) => Off,
        (Off, On | Required) => On,
        (Off, NotSupported) => NotSupported,
        (On | Required, NotSupported) => return None,
        (On | Required, Off) => Required,
        (On | Required, On | Required) => On,
    })
}
