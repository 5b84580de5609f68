//! Where records and fields end: sixty-four bytes at a time, and a record at a time where quotes are not as they should be.
//!
//! Quotes, delimiters and line ends of a block become words of bits; a prefix exclusive-or of the first tells which bytes are
//! inside quotes (as in Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019). That is right as long as every
//! quote opens a field, closes one or is one of two. Where one is not, its record is walked byte by byte ([`walk`]).

use super::Cut;
use super::bits::{Masks, prefix_xor};
use super::walk::{At, Fault, line_ends, walk};

/// A record: field n is between `ends[first + n - 1]` and `ends[first + n]` of its [`Layout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) start: u32,
    /// Behind its last byte, before its line end.
    pub(super) end: u32,
    pub(super) first: u32,
    pub(super) fields: u32,
    /// Line ends before it in the text.
    pub(super) line: u32,
    pub(super) fault: Option<Fault>,
}

/// Where the records of a text lie.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Where each field ends: at its delimiter, its line end or the end of the text; and before all of them the place before
    /// the first one, so that every field begins behind the end of another. What no record names means nothing.
    pub(super) ends: Vec<u32>,
    pub(super) records: Vec<Record>,
    /// Whether a quoted field may hold a quote.
    pub(super) has_inner: bool,
    /// Whether nothing may stand in a field, not even quotes.
    pub(super) has_empty: bool,
    /// Whether every field is known to stand in quotes.
    pub(super) all_quoted: bool,
    /// Line ends in what was laid out; `\r\n` is one.
    pub(super) lines: u32,
    /// Bytes that were laid out; what is behind them is the beginning of a record.
    pub(super) consumed: usize,
}

/// Lays out the whole records of a text that begins with one; of the last text also what has no line end. `after_return`:
/// the byte before the text was `\r`, so that `\n` at its beginning ends no line of its own. A layout of before lends its
/// memory.
pub(super) fn scan(text: &[u8], cut: &Cut, is_last: bool, after_return: bool, before: Layout) -> Layout {
    let mut scan = Scan {
        text,
        cut,
        is_last,
        after_return,
        layout: Layout { has_inner: false, has_empty: false, all_quoted: true, ..before },
        filled: 1,
        start: 0,
        first: 1,
        lines: 0,
    };
    scan.layout.records.clear();
    scan.layout.ends.resize(scan.layout.ends.len().max(1), 0);
    scan.layout.ends[0] = u32::MAX;
    match cut.quote {
        // Escapes are rare, and change what a quote means.
        Some(quote) if cut.escape.is_none() => scan.blocks(quote),
        _ => while scan.walk_one() {},
    }
    let Scan { mut layout, lines, start, .. } = scan;
    (layout.lines, layout.consumed) = (lines, start);
    layout
}

struct Scan<'a> {
    text: &'a [u8],
    cut: &'a Cut,
    is_last: bool,
    after_return: bool,
    layout: Layout,
    /// Entries of `ends` that count.
    filled: usize,
    /// Where the record that is being read begins, its first entry, and the line ends before it.
    start: usize,
    first: usize,
    lines: u32,
}

/// What a block begins with.
#[derive(Clone, Copy)]
struct Carry {
    /// All ones inside quotes.
    inside: u64,
    /// The byte before lets a quote open a field: it ended one, or it closed a quote.
    opens: u64,
    /// The byte before closed a quote.
    closed: u64,
    /// The byte before was `\r`.
    returned: u64,
    /// Line ends before the block.
    lines: u32,
}

impl Scan<'_> {
    fn blocks(&mut self, quote: u8) {
        let (mut at, mut carry) = (0, self.afresh());
        while at < self.text.len() {
            let rest = &self.text[at..];
            let (block, len) = match rest.first_chunk::<64>() {
                Some(block) => (*block, 64),
                None => {
                    let mut block = [0; 64];
                    block[..rest.len()].copy_from_slice(rest);
                    (block, rest.len())
                }
            };
            let masks = Masks::of(&block, len, self.cut.delimiter, quote);
            match self.block(at, len, masks, carry) {
                Some(next) => (at, carry) = (at + len, next),
                None if self.walk_one() => (at, carry) = (self.start, self.afresh()),
                None => return,
            }
        }
        // What has no line end.
        self.walk_one();
    }

    /// The carry at the beginning of a record.
    fn afresh(&self) -> Carry {
        let returned = u64::from(self.is_after_return());
        Carry { inside: 0, opens: 1, closed: 0, returned, lines: self.lines }
    }

    fn is_after_return(&self) -> bool {
        if self.start == 0 { self.after_return } else { self.text[self.start - 1] == b'\r' }
    }

    /// Lays out a block; `None`, and nothing is done, if a quote in it is not as it should be.
    #[inline]
    fn block(&mut self, at: usize, len: usize, masks: Masks, carry: Carry) -> Option<Carry> {
        let Masks { quotes, delimiters, returns, feeds } = masks;
        let inside = prefix_xor(quotes) ^ carry.inside;
        let ends = returns | feeds;
        let separators = (delimiters | ends) & !inside;
        let (opening, closing) = (quotes & inside, quotes & !inside);
        let may_open = (separators | closing) << 1 | carry.opens;
        let behind_closing = closing << 1 | carry.closed;
        let within = u64::MAX >> (64 - len);
        if (opening & !may_open) | (behind_closing & !(separators | quotes) & within) != 0 {
            return None;
        }
        self.layout.has_inner |= opening & behind_closing != 0;
        // Of `\r\n` the line ends at the first.
        let line_ends = returns | feeds & !(returns << 1 | carry.returned);
        let own = separators & (delimiters | line_ends);
        self.layout.has_empty |= own & (separators << 1 | carry.opens & !carry.closed) != 0;
        self.layout.all_quoted &= own & !behind_closing == 0;
        self.push_ends(at, separators);
        let (before, mut lines) = (self.filled, carry.lines);
        let (mut line_ends_left, mut terminators) = (line_ends, ends & separators);
        while terminators != 0 {
            let bit = terminators.trailing_zeros();
            let upto = u64::MAX >> (63 - bit);
            lines += few_ones(line_ends_left & upto);
            self.record(at + bit as usize, before + (separators & upto).count_ones() as usize, lines, None);
            line_ends_left &= !upto;
            terminators &= terminators - 1;
        }
        self.filled = before + separators.count_ones() as usize;
        let last = |mask: u64| mask >> (len - 1) & 1;
        Some(Carry {
            inside: 0u64.wrapping_sub(last(inside)),
            opens: last(separators | closing),
            closed: last(closing),
            returned: last(returns),
            lines: lines + few_ones(line_ends_left),
        })
    }

    /// Where fields of a block end, behind what is filled: eight at a time, the last of which may mean nothing.
    #[inline]
    fn push_ends(&mut self, at: usize, mut separators: u64) {
        let ends = &mut self.layout.ends;
        if ends.len() < self.filled + 64 {
            ends.resize((self.filled + 64).max(ends.len() * 2), 0);
        }
        for eight in ends[self.filled..].as_chunks_mut::<8>().0 {
            if separators == 0 {
                break;
            }
            for end in eight {
                *end = at as u32 + (separators | 1 << 63).trailing_zeros();
                separators &= separators.wrapping_sub(1);
            }
        }
    }

    /// A record that ends here; nothing between two line ends is none.
    #[inline]
    fn record(&mut self, end: usize, filled: usize, lines: u32, fault: Option<Fault>) {
        if end > self.start {
            let (start, first) = (self.start as u32, self.first as u32);
            let fields = (filled - self.first) as u32;
            self.layout.records.push(Record { start, end: end as u32, first, fields, line: self.lines, fault });
        }
        (self.start, self.first, self.lines) = (end + 1, filled, lines);
    }

    /// Walks the record that is being read; whether there was a whole one.
    fn walk_one(&mut self) -> bool {
        let returned = self.is_after_return();
        let (ends, mut filled) = (&mut self.layout.ends, self.first);
        // Over what a block left there: the rest of the memory stays as it is.
        let mut push = |end: usize| {
            match ends.get_mut(filled) {
                Some(place) => *place = end as u32,
                None => ends.push(end as u32),
            }
            filled += 1;
        };
        let walked = walk(&self.text[self.start..], At::Start, self.cut, |end| push(self.start + end));
        let (end, fault) = match walked.end {
            Some(end) => (self.start + end, walked.fault),
            None if self.is_last && self.start < self.text.len() => {
                push(self.text.len());
                (self.text.len(), walked.fault.or(walked.at.is_open().then_some(Fault::NeverClosed)))
            }
            None => {
                self.filled = self.first;
                return false;
            }
        };
        self.filled = filled;
        self.layout.has_inner |= walked.has_inner;
        self.layout.has_empty = true;
        self.layout.all_quoted = false;
        let upto = (end + 1).min(self.text.len());
        let lines = self.lines + line_ends(&self.text[self.start..upto], returned);
        self.record(end, self.filled, lines, fault);
        self.start = upto;
        true
    }
}

/// How many bits are one, where that is at most a few: the oldest processors have to add.
#[inline]
fn few_ones(mut bits: u64) -> u32 {
    let mut ones = 0;
    while bits != 0 {
        bits &= bits - 1;
        ones += 1;
    }
    ones
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CUT: Cut = Cut { delimiter: b',', quote: Some(b'"'), escape: None };

    /// The same by walking alone: of a cut whose escape byte never comes.
    fn walked(text: &[u8], is_last: bool) -> Layout {
        scan(text, &Cut { escape: Some(0), ..CUT }, is_last, false, Layout::default())
    }

    #[test]
    fn blocks_and_walks_agree_on_any_text() {
        let alphabet = [b"\"", b",", b"\n", b"\r", b"a", b"\"\""] as [&[u8]; 6];
        let mut dice = 7u64;
        let mut throw = |n: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % n
        };
        let (mut records, mut faults, mut quoted) = (0, 0, 0);
        for round in 0..20_000 {
            let len = throw(300) as usize;
            // Some texts have odd quotes only now and then, so that blocks get far.
            let (kinds, odd) = (if round % 2 == 0 { 6 } else { 5 }, round % 3 == 0);
            let mut text = Vec::new();
            while text.len() < len {
                match throw(if odd { 2 } else { 40 }) {
                    0 => text.extend(alphabet[throw(kinds) as usize]),
                    _ => text.extend([b"ab,".as_slice(), b"\"x\",", b"\"\"", b"cde", b"\n", b","][throw(6) as usize]),
                }
            }
            for is_last in [false, true] {
                let fast = scan(&text, &CUT, is_last, false, Layout::default());
                let slow = walked(&text, is_last);
                assert_eq!(fast.records, slow.records, "{:?}", String::from_utf8_lossy(&text));
                assert_eq!((fast.lines, fast.consumed), (slow.lines, slow.consumed));
                let upto = fast.records.last().map_or(0, |record| (record.first + record.fields) as usize);
                assert_eq!(fast.ends[..upto], slow.ends[..upto]);
                assert!(fast.has_inner || !slow.has_inner);
                let cells =
                    fast.records.iter().flat_map(|record| (0..record.fields as usize).map(move |n| (record, n)));
                let mut cells = cells.map(|(record, n)| fast.cell(&text, record, n));
                quoted += usize::from(fast.all_quoted && !fast.records.is_empty());
                assert!(
                    !fast.all_quoted
                        || cells.all(|cell| cell.len() > 1 && cell.starts_with(b"\"") && cell.ends_with(b"\""))
                );
                records += fast.records.len();
                faults += fast.records.iter().filter(|record| record.fault.is_some()).count();
            }
        }
        assert!(records > 100_000 && faults > 10_000, "{records} records, {faults} of them at fault");
        assert!(quoted > 10, "{quoted} texts of fields in quotes");
    }

    #[test]
    fn a_text_may_be_cut_anywhere() {
        let text = b"a,b\r\n\"x\r\n\"\"y\",2\r\r\n\"\",\"\"\n\n5\" pipe,6\n\"open";
        let whole = scan(text, &CUT, true, false, Layout::default());
        for cut in 0..text.len() {
            let first = scan(&text[..cut], &CUT, false, false, Layout::default());
            let rest = &text[first.consumed..];
            let after_return = first.consumed > 0 && text[first.consumed - 1] == b'\r';
            let second = scan(rest, &CUT, true, after_return, Layout::default());
            assert_eq!(first.lines + second.lines, whole.lines, "{cut}");
            let moved = |record: &Record| (record.start + first.consumed as u32, record.line + first.lines);
            let all: Vec<_> = first.records.iter().map(|record| (record.start, record.line)).collect();
            let all: Vec<_> = all.into_iter().chain(second.records.iter().map(moved)).collect();
            assert_eq!(
                all,
                whole.records.iter().map(|record| (record.start, record.line)).collect::<Vec<_>>(),
                "{cut}"
            );
        }
    }
}
