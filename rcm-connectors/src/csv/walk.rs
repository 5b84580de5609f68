//! A record, byte by byte: what quotes mean, whatever they are.

use super::Cut;

/// Where in a record a walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Before the first byte of a field.
    Start,
    /// In a field that does not begin with a quote: quotes are text.
    Plain,
    Quoted,
    /// Behind an escape byte.
    Escaped,
    /// Behind a quote that closes the field, unless it is the first of two.
    Closing,
}

impl At {
    /// Whether a quote is open.
    pub(super) fn is_open(self) -> bool {
        matches!(self, At::Quoted | At::Escaped)
    }
}

/// What is wrong with the quotes of a record: they can swallow other records or cut a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    NeverClosed,
    BehindClosing,
}

impl Fault {
    pub(super) fn what(self) -> &'static str {
        match self {
            Fault::NeverClosed => "a quote is never closed",
            Fault::BehindClosing => "text behind a closing quote",
        }
    }
}

/// How far a walk came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Walked {
    /// Where the record's line end stands; `None`: the text ended first.
    pub(super) end: Option<usize>,
    pub(super) at: At,
    pub(super) fault: Option<Fault>,
    /// Whether a quoted field holds a quote or an escape.
    pub(super) has_inner: bool,
}

/// Walks to the end of a record, or of the text, and says where each field ended.
pub(super) fn walk(text: &[u8], from: At, cut: &Cut, mut ends: impl FnMut(usize)) -> Walked {
    let mut walked = Walked { end: None, at: from, fault: None, has_inner: false };
    for (place, byte) in text.iter().copied().enumerate() {
        let is_quote = cut.quote == Some(byte);
        walked.at = match walked.at {
            At::Quoted if cut.escape == Some(byte) => {
                walked.has_inner = true;
                At::Escaped
            }
            At::Quoted if is_quote => At::Closing,
            At::Quoted | At::Escaped => At::Quoted,
            At::Closing if is_quote => {
                walked.has_inner = true;
                At::Quoted
            }
            At::Start if is_quote => At::Quoted,
            _ if byte == cut.delimiter => {
                ends(place);
                At::Start
            }
            _ if matches!(byte, b'\r' | b'\n') => {
                ends(place);
                walked.end = Some(place);
                return walked;
            }
            At::Closing => {
                walked.fault = walked.fault.or(Some(Fault::BehindClosing));
                At::Plain
            }
            At::Start | At::Plain => At::Plain,
        };
    }
    walked
}

/// Line ends in a text; `\r\n` is one, and so is it if the text begins between the two.
pub(super) fn line_ends(text: &[u8], after_return: bool) -> u32 {
    let before = std::iter::once(after_return).chain(text.iter().map(|byte| *byte == b'\r'));
    text.iter().zip(before).filter(|(byte, returned)| **byte == b'\r' || **byte == b'\n' && !returned).count() as u32
}
