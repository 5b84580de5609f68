//! Messages in packets (MS-TDS 2.2.3.1): a header of 8 bytes, and at most as much as was agreed upon.

use super::wire::invalid;
use std::io::Result;
use tokio::io::{AsyncRead, AsyncReadExt};

pub(crate) const SQL_BATCH: u8 = 0x01;
pub(crate) const RPC: u8 = 0x03;
pub(crate) const TABULAR_RESULT: u8 = 0x04;
pub(crate) const ATTENTION: u8 = 0x06;
pub(crate) const TRANSACTION_MANAGER: u8 = 0x0E;
pub(crate) const LOGIN7: u8 = 0x10;
pub(crate) const PRELOGIN: u8 = 0x12;

pub(crate) const HEADER: usize = 8;
pub(crate) const END_OF_MESSAGE: u8 = 0x01;
pub(crate) const IGNORE: u8 = 0x02;

/// The size of packets until a login agrees upon another.
pub(crate) const FIRST_SIZE: usize = 4096;

/// The size that a login gets: MS-TDS allows 512 to 32,767.
pub(crate) fn agreed(wanted: u32) -> usize {
    match wanted as usize {
        0 => FIRST_SIZE,
        wanted => wanted.clamp(512, 32_767),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub kind: u8,
    pub body: Vec<u8>,
}

/// The next message as a whole; none where the client is gone between messages.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Message>> {
    let (mut kind, mut body) = (None, Vec::new());
    loop {
        let mut header = [0; HEADER];
        match from.read_exact(&mut header).await {
            Ok(_) => {}
            Err(_) if kind.is_none() => return Ok(None),
            Err(error) => return Err(error),
        }
        if *kind.get_or_insert(header[0]) != header[0] {
            return Err(invalid("a packet of another message"));
        }
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let length = length.checked_sub(HEADER).ok_or_else(|| invalid("a packet shorter than its header"))?;
        let at = body.len();
        body.resize(at + length, 0);
        from.read_exact(&mut body[at..]).await?;
        if header[1] & END_OF_MESSAGE != 0 {
            if header[1] & IGNORE != 0 {
                (kind, body) = (None, Vec::new());
                continue;
            }
            return Ok(Some(Message { kind: header[0], body }));
        }
    }
}

/// Cuts an answer into packets while it is made.
#[derive(Debug)]
pub(crate) struct Packets {
    size: usize,
    number: u8,
    pending: Vec<u8>,
}

impl Packets {
    pub(crate) fn new(size: usize) -> Packets {
        Packets { size, number: 0, pending: Vec::new() }
    }

    /// The packets that are full. One byte at least stays: the last packet says that it is the last.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.pending.extend(bytes);
        let (room, mut out, mut at) = (self.size - HEADER, Vec::new(), 0);
        while self.pending.len() - at > room {
            self.number = self.number.wrapping_add(1);
            put(&mut out, TABULAR_RESULT, 0, self.number, &self.pending[at..at + room]);
            at += room;
        }
        self.pending.drain(..at);
        out
    }

    /// The last packet of the message.
    pub(crate) fn end(mut self) -> Vec<u8> {
        let mut out = self.push(&[]);
        put(&mut out, TABULAR_RESULT, END_OF_MESSAGE, self.number.wrapping_add(1), &self.pending);
        out
    }
}

/// A short message in a packet of its own.
pub(crate) fn single(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, kind, END_OF_MESSAGE, 1, body);
    out
}

pub(crate) fn put(out: &mut Vec<u8>, kind: u8, status: u8, number: u8, body: &[u8]) {
    out.extend([kind, status]);
    out.extend(u16::try_from(body.len() + HEADER).unwrap().to_be_bytes());
    out.extend([0, 0, number, 0]);
    out.extend(body);
}
