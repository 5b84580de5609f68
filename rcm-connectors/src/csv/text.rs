//! Text of any declared encoding as UTF-8. What is no character of it becomes a byte that is none of UTF-8 either, so that its
//! record is a reject and nothing is replaced in silence.

use crate::files::unreadable;
use encoding_rs::{DecoderResult, UTF_16BE, UTF_16LE, WINDOWS_1252};
use rcm_core::{Class, Problem};
use std::io::{self, Read};

/// In what bytes a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// UTF-16, the low byte first.
    Utf16Le,
    /// UTF-16, the high byte first.
    Utf16Be,
    /// Latin-1 as it is met: windows-1252 (WHATWG Encoding Standard), of which ISO 8859-1 is all but 32 control characters.
    Latin1,
}

impl Encoding {
    /// Marks, as which their encodings begin.
    const MARKS: [(&[u8], Encoding); 3] =
        [(b"\xef\xbb\xbf", Encoding::Utf8), (b"\xff\xfe", Encoding::Utf16Le), (b"\xfe\xff", Encoding::Utf16Be)];

    /// What may be declared: `utf-8`, `utf-16le`, `utf-16be`, `latin1`.
    pub const LABELS: [(&'static str, Encoding); 4] = [
        ("utf-8", Encoding::Utf8),
        ("utf-16le", Encoding::Utf16Le),
        ("utf-16be", Encoding::Utf16Be),
        ("latin1", Encoding::Latin1),
    ];

    fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "UTF-8",
            Encoding::Utf16Le => "UTF-16 (little-endian)",
            Encoding::Utf16Be => "UTF-16 (big-endian)",
            Encoding::Latin1 => "Latin-1",
        }
    }
}

/// What is no byte of UTF-8.
const NONE: u8 = 0xFF;
/// Bytes that are decoded at once.
const BLOCK: usize = 64 << 10;

/// Reads an input as UTF-8, without its byte order mark.
pub(super) struct Text<R> {
    input: R,
    /// Read while a mark was looked for.
    head: Vec<u8>,
    /// None: it is UTF-8.
    decoder: Option<encoding_rs::Decoder>,
    /// Decoded, and given so far.
    decoded: Vec<u8>,
    given: usize,
    is_read: bool,
}

impl<R: Read> Text<R> {
    /// And how many bytes its mark has.
    pub(super) fn new(mut input: R, declared: Option<Encoding>, place: &str) -> Result<(Self, u64), Problem> {
        let mut head = Vec::new();
        input.by_ref().take(3).read_to_end(&mut head).map_err(|e| unreadable(place, &e))?;
        let found = Encoding::MARKS.iter().find(|(mark, _)| head.starts_with(mark)).copied();
        if let (Some((_, found)), Some(declared)) = (found, declared)
            && found != declared
        {
            let what =
                format!("it begins with the mark of {}, and is declared to be {}", found.name(), declared.name());
            return Err(Problem::new(Class::Config, place, what).hint("correct the `encoding`, or leave it out"));
        }
        let mark = found.map_or(0, |(mark, _)| mark.len());
        head.drain(..mark);
        let decoder = match found.map(|(_, found)| found).or(declared) {
            None | Some(Encoding::Utf8) => None,
            Some(Encoding::Utf16Le) => Some(UTF_16LE.new_decoder_without_bom_handling()),
            Some(Encoding::Utf16Be) => Some(UTF_16BE.new_decoder_without_bom_handling()),
            Some(Encoding::Latin1) => Some(WINDOWS_1252.new_decoder_without_bom_handling()),
        };
        // Of another encoding the places are those of the text.
        let mark = if decoder.is_none() { mark as u64 } else { 0 };
        Ok((Text { input, head, decoder, decoded: Vec::new(), given: 0, is_read: false }, mark))
    }

    /// Decodes the next block.
    fn decode(&mut self, decoder: &mut encoding_rs::Decoder) -> io::Result<()> {
        let mut block = std::mem::take(&mut self.head);
        let wanted = BLOCK - block.len();
        self.is_read = self.input.by_ref().take(wanted as u64).read_to_end(&mut block)? < wanted;
        (self.given, self.decoded) = (0, std::mem::take(&mut self.decoded));
        // Three bytes of UTF-8 are the most that a unit becomes; one more for each that is none.
        self.decoded.resize(4 * block.len() + 16, 0);
        let (mut at, mut filled) = (0, 0);
        loop {
            let (decoded, read, wrote) =
                decoder.decode_to_utf8_without_replacement(&block[at..], &mut self.decoded[filled..], self.is_read);
            (at, filled) = (at + read, filled + wrote);
            match decoded {
                DecoderResult::Malformed(..) => {
                    self.decoded[filled] = NONE;
                    filled += 1;
                }
                DecoderResult::OutputFull => self.decoded.resize(2 * self.decoded.len(), 0),
                DecoderResult::InputEmpty => break,
            }
        }
        self.decoded.truncate(filled);
        Ok(())
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(mut decoder) = self.decoder.take() else {
            if self.head.is_empty() {
                return self.input.read(out);
            }
            let count = self.head.len().min(out.len());
            out[..count].copy_from_slice(&self.head[..count]);
            self.head.drain(..count);
            return Ok(count);
        };
        let mut decoded = Ok(());
        while decoded.is_ok() && self.given == self.decoded.len() && !self.is_read {
            decoded = self.decode(&mut decoder);
        }
        self.decoder = Some(decoder);
        decoded?;
        let count = (self.decoded.len() - self.given).min(out.len());
        out[..count].copy_from_slice(&self.decoded[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

impl<R> std::fmt::Debug for Text<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Text")
    }
}
