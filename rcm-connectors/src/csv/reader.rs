//! From bytes to batches: a piece of text at a time, which is laid out, then decoded column by column.

use super::columns::Columns;
use super::decode::decode;
use super::scan::{Layout, scan};
use super::text::Text;
use super::walk::{At, walk};
use super::{Cut, Format, Landing, Rows, sniff};
use crate::files::unreadable;
use arrow::datatypes::{Schema, SchemaRef};
use rayon::prelude::*;
use rcm_core::{Class, Problem};
use std::fmt;
use std::io::Read;

/// Bytes of a piece, which become a batch: with where its fields lie and its columns no more than a core's second cache holds.
const PIECE: usize = 1 << 18;
pub(super) const PAD: usize = 17;
/// A record that is longer comes as several rejects.
pub(super) const LONGEST_RECORD: usize = 16 << 20;

/// Reads a CSV text as Arrow batches, one behind the other. Every record becomes a row of one of them or a
/// [`Reject`](super::Reject).
///
/// ```
/// use arrow::array::{AsArray, Decimal128Array};
/// use arrow::datatypes::{DataType, Decimal128Type, Field, Schema};
/// use rcm_connectors::csv::{Format, Reader};
///
/// let text = b"id,paid\nCLM-1,12.50\nCLM-2,12.505\nCLM-3,\n".as_slice();
/// let paid = Schema::new(vec![Field::new("paid", DataType::Decimal128(12, 2), true)]);
/// let mut reader = Reader::new(text, "claims.csv", &Format::default()).unwrap().typed(&paid).unwrap();
/// let rows = reader.next().unwrap().unwrap();
/// let amounts = rows.batch["paid"].as_primitive::<Decimal128Type>();
/// assert_eq!(amounts.iter().collect::<Vec<_>>(), [Some(1250), None]);
/// assert_eq!(rows.rejects[0].what, "column `paid`: expected a decimal number with at most 10 digits before the point and 2 behind it");
/// assert!(reader.next().is_none());
/// ```
pub struct Reader<R> {
    input: Text<R>,
    place: String,
    cut: Cut,
    columns: Columns,
    /// What was read and is not laid out yet.
    buffer: Vec<u8>,
    /// The input has no more.
    is_read: bool,
    /// Of the buffer's beginning: its place in the text, the records and line ends before it, and the byte before it.
    byte: u64,
    records: u64,
    lines: u64,
    after_return: bool,
    /// In a record that is too long, where.
    too_long: Option<At>,
    /// What pieces were made of before.
    spare: Vec<(Vec<u8>, Layout)>,
    /// The input failed: nothing comes any more.
    has_failed: bool,
}

/// Without what was read: there are patients in it.
impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("place", &self.place).field("cut", &self.cut).finish_non_exhaustive()
    }
}

/// A text of whole records, laid out.
pub(super) struct Piece {
    /// And [`PAD`] bytes more, so that a short field can be copied by a fixed number of them.
    pub(super) text: Vec<u8>,
    pub(super) layout: Layout,
    pub(super) byte: u64,
    pub(super) records: u64,
    pub(super) lines: u64,
    /// All of it is a part of a record that is too long: the last one, or not.
    pub(super) part: Option<bool>,
}

impl<R: Read> Reader<R> {
    /// Reads the header of a text. `place` names it in messages. All columns are text, as it comes: an empty field is an
    /// empty text.
    ///
    /// # Errors
    /// A format that contradicts itself or the text's mark (class `config`); a text without a header line (class `failed`); a
    /// header that repeats a column or does not name one (class `drift`); an input that fails.
    pub fn new(input: R, place: &str, format: &Format) -> Result<Self, Problem> {
        if let Some(fault) = format.fault() {
            let hint = "write a delimiter and a quote; leave `escape` out where a quote in quotes is two";
            return Err(Problem::new(Class::Config, place, fault).hint(hint));
        }
        let (input, mark) = Text::new(input, format.encoding, place)?;
        let mut reader = Reader {
            input,
            place: place.to_owned(),
            cut: Cut {
                delimiter: format.delimiter.unwrap_or(sniff::first(format)),
                quote: format.quote,
                escape: format.escape,
            },
            columns: Columns::default(),
            buffer: Vec::new(),
            is_read: false,
            byte: mark,
            records: 0,
            lines: 0,
            after_return: false,
            too_long: None,
            spare: Vec::new(),
            has_failed: false,
        };
        if format.delimiter.is_none() {
            reader.fill(sniff::HEAD)?;
            reader.cut.delimiter = sniff::delimiter(&reader.buffer, &reader.cut, reader.is_read);
        }
        reader.header()?;
        Ok(reader)
    }

    /// Columns in the types of a schema, those of the text that are not in it as text that may be null. Of typed text an empty
    /// field is null, two quotes are an empty text. A value that is not of its type, or null where there must be one, makes its
    /// record a reject.
    ///
    /// # Errors
    /// A column that the text does not have (class `drift`), or a type that cannot be read (class `config`).
    pub fn typed(mut self, schema: &Schema) -> Result<Self, Problem> {
        self.columns = self.columns.typed(schema, &self.place)?;
        Ok(self)
    }

    /// Some columns only, in this order.
    ///
    /// # Errors
    /// A column that the text does not have (class `drift`).
    pub fn project(mut self, names: &[&str]) -> Result<Self, Problem> {
        self.columns = self.columns.project(names, &self.place)?;
        Ok(self)
    }

    /// The columns of all batches.
    pub fn schema(&self) -> &SchemaRef {
        self.columns.schema()
    }

    /// What stands between two fields: as declared, or found.
    pub fn delimiter(&self) -> u8 {
        self.cut.delimiter
    }

    /// Records so far, rows and rejects, as they were counted when the text was laid out.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The next batches, some at once, decoded by as many threads as rayon has; none at the end. They are those that come one by
    /// one.
    ///
    /// # Errors
    /// An input that fails.
    pub fn next_in_parallel(&mut self) -> Result<Vec<Rows>, Problem>
    where
        R: Send,
    {
        let mut pieces = Vec::new();
        while pieces.len() < 16 * rayon::current_num_threads() {
            match self.piece()? {
                Some(piece) => pieces.push(piece),
                None => break,
            }
        }
        let (columns, place, cut) = (&self.columns, &self.place, &self.cut);
        let decoded: Vec<(Result<Rows, Problem>, Piece)> =
            pieces.into_par_iter().map(|piece| (decode(&piece, columns, cut, place), piece)).collect();
        let mut all = Vec::new();
        for (rows, piece) in decoded {
            self.spare.push((piece.text, piece.layout));
            all.push(rows?);
        }
        Ok(all)
    }

    /// All that there is, decoded by as many threads as rayon has.
    ///
    /// # Errors
    /// An input that fails.
    pub fn land(mut self) -> Result<Landing, Problem>
    where
        R: Send,
    {
        let (mut batches, mut rejects) = (Vec::new(), Vec::new());
        loop {
            let next = self.next_in_parallel()?;
            if next.is_empty() {
                break;
            }
            for mut rows in next {
                rejects.append(&mut rows.rejects);
                batches.push(rows);
            }
        }
        Ok(Landing { records: self.records, schema: self.columns.schema().clone(), batches, rejects })
    }

    fn header(&mut self) -> Result<(), Problem> {
        let mut size = 4096;
        let layout = loop {
            self.fill(size)?;
            let layout = scan(&self.buffer, &self.cut, self.is_read, false, Layout::default());
            if !layout.records.is_empty() {
                break layout;
            }
            if self.is_read {
                return Err(Problem::new(Class::Failed, &self.place, "there is no header line"));
            }
            if size >= LONGEST_RECORD {
                let what = format!("the header line is longer than {} MiB", LONGEST_RECORD >> 20);
                return Err(
                    Problem::new(Class::Drift, &self.place, what).hint("expected a CSV file with a header line")
                );
            }
            size *= 2;
        };
        let header = layout.records[0];
        self.columns = Columns::of_header(&self.buffer, &layout, &self.cut, &self.place)?;
        // What is behind it is laid out again.
        let behind = layout.records.get(1).map_or(layout.consumed, |record| record.start as usize);
        let lines = layout.records.get(1).map_or(layout.lines, |record| record.line);
        debug_assert!(behind > header.end as usize || self.is_read);
        self.step(behind, lines);
        Ok(())
    }

    /// Goes on behind so many bytes.
    fn step(&mut self, bytes: usize, lines: u32) {
        if bytes > 0 {
            self.after_return = self.buffer[bytes - 1] == b'\r';
        }
        self.buffer.drain(..bytes);
        self.byte += bytes as u64;
        self.lines += u64::from(lines);
    }

    /// Reads until so many bytes are there, or all are.
    fn fill(&mut self, size: usize) -> Result<(), Problem> {
        let wanted = size.saturating_sub(self.buffer.len());
        if self.is_read || wanted == 0 {
            return Ok(());
        }
        self.buffer.reserve(wanted);
        let read = self.input.by_ref().take(wanted as u64).read_to_end(&mut self.buffer);
        let read = read.map_err(|e| {
            self.has_failed = true;
            unreadable(&self.place, &e)
        })?;
        self.is_read = read < wanted;
        Ok(())
    }

    /// The next text of whole records.
    fn piece(&mut self) -> Result<Option<Piece>, Problem> {
        let (spare, mut layout) = self.spare.pop().unwrap_or_default();
        let mut size = if self.too_long.is_some() { LONGEST_RECORD } else { PIECE };
        loop {
            if self.has_failed {
                return Ok(None);
            }
            self.fill(size)?;
            if self.buffer.is_empty() && self.is_read {
                return Ok(None);
            }
            if let Some(at) = self.too_long {
                return Ok(Some(self.part(at, spare, layout)));
            }
            layout = scan(&self.buffer, &self.cut, self.is_read, self.after_return, layout);
            if layout.consumed > 0 {
                break;
            }
            // Unless it ends right there.
            if size > LONGEST_RECORD {
                return Ok(Some(self.part(At::Start, spare, layout)));
            }
            size = if size == LONGEST_RECORD { size + 1 } else { size * 2 };
        }
        let (records, consumed) = (layout.records.len() as u64, layout.consumed);
        Ok(Some(self.take(consumed, records, layout.lines, spare, layout, None)))
    }

    /// A part of a record that is too long: to its end or that of the buffer.
    fn part(&mut self, from: At, spare: Vec<u8>, layout: Layout) -> Piece {
        let walked = walk(&self.buffer, from, &self.cut, |_| {});
        let (len, open) = walked.end.map_or((self.buffer.len(), Some(walked.at)), |end| (end + 1, None));
        self.too_long = open;
        // Of a record that was cut right before its line end nothing is left.
        let records = u64::from(walked.end != Some(0));
        let lines = super::walk::line_ends(&self.buffer[..len], self.after_return);
        self.take(len, records, lines, spare, layout, Some(walked.end.is_some()))
    }

    fn take(
        &mut self,
        len: usize,
        records: u64,
        lines: u32,
        mut spare: Vec<u8>,
        layout: Layout,
        part: Option<bool>,
    ) -> Piece {
        spare.clear();
        spare.extend_from_slice(&self.buffer[len..]);
        let mut text = std::mem::replace(&mut self.buffer, spare);
        text.truncate(len);
        self.after_return = text.last() == Some(&b'\r');
        text.resize(len + PAD, 0);
        let piece = Piece { text, layout, byte: self.byte, records: self.records, lines: self.lines, part };
        self.byte += len as u64;
        self.records += records;
        self.lines += u64::from(lines);
        piece
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Rows, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = match self.piece() {
            Ok(piece) => piece?,
            Err(problem) => return Some(Err(problem)),
        };
        let rows = decode(&piece, &self.columns, &self.cut, &self.place);
        self.spare.push((piece.text, piece.layout));
        Some(rows)
    }
}
