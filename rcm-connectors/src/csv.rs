//! CSV as it comes: every record a row or a reject, as text or in declared types, in batches of bounded size.
//!
//! A record ends at LF, CRLF or a lone CR outside quotes; nothing between two line ends is no record. A quote opens a field
//! where it is its first byte; inside one, two quotes are one. A record with another number of fields than the header, with
//! bytes that are no UTF-8, or with a value that is not of its declared type becomes a [`Reject`] with its place, why, and its
//! raw bytes. A quote that is never closed, or text behind a closing quote, can swallow other lines or cut a value: that too
//! is a reject, not a row.
//!
//! [`Reader`] lays a text out 64 bytes at a time and decodes it column by column (`scan`, `decode`); with several threads one
//! lays out and all decode, so that what comes out is the same.

mod bits;
mod build;
mod cells;
mod columns;
mod decode;
mod folder;
mod reader;
mod scan;
mod sniff;
mod text;
mod times;
mod unpack;
mod walk;

pub use columns::DATE_FORMAT;
pub use folder::Folder;
pub use reader::Reader;
pub use text::Encoding;
pub use unpack::unpack;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use rcm_core::Problem;
use std::fmt;
use std::io::Read;

/// How a text is written and cut into fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// In what bytes; none: as its mark says, and without one in UTF-8.
    pub encoding: Option<Encoding>,
    /// Between two fields; none: that of `,`, `;`, tab and `|` by which most records have as many fields as the header.
    pub delimiter: Option<u8>,
    /// Around a field; none: quotes are text.
    pub quote: Option<u8>,
    /// In quotes before a byte that means itself; none: a quote in quotes is two.
    pub escape: Option<u8>,
}

impl Default for Format {
    /// Comma and double quotes (RFC 4180), UTF-8 or what a mark says.
    fn default() -> Self {
        Format { encoding: None, delimiter: Some(b','), quote: Some(b'"'), escape: None }
    }
}

impl Format {
    /// What is wrong with it, if anything is.
    ///
    /// ```
    /// use rcm_connectors::csv::Format;
    ///
    /// assert_eq!(Format::default().fault(), None);
    /// assert!(Format { escape: Some(b'"'), ..Format::default() }.fault().is_some());
    /// ```
    pub fn fault(&self) -> Option<&'static str> {
        let special = [self.delimiter, self.quote, self.escape];
        let is_bad = |byte: u8| matches!(byte, b'\r' | b'\n') || !byte.is_ascii();
        if [self.quote, self.escape].contains(&Some(0)) {
            return Some("NUL can be no quote and no escape");
        }
        let is_twice = special.iter().enumerate().any(|(n, byte)| byte.is_some() && special[..n].contains(byte));
        (is_twice || special.into_iter().flatten().any(is_bad))
            .then_some("delimiter, quote and escape must be different ASCII characters that end no line")
    }
}

/// How a text is cut, when that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    delimiter: u8,
    quote: Option<u8>,
    escape: Option<u8>,
}

/// A record that is no row.
#[derive(Clone, PartialEq, Eq)]
pub struct Reject {
    /// Number of the record, the first after the header is 1.
    pub row: u64,
    /// First line of the record in the file, the header is line 1.
    pub line: u64,
    /// Offset of its first byte, in the text as UTF-8 where the file was packed or encoded otherwise.
    pub byte: u64,
    /// Why, in words that name no value.
    pub what: String,
    /// Its bytes, without the line end; of another encoding those of its text in UTF-8.
    pub raw: Vec<u8>,
}

/// With its place, and without what stands there.
impl fmt::Debug for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reject { row, line, byte, what, raw } = self;
        write!(f, "Reject {{ row: {row}, line: {line}, byte: {byte}, what: {what:?}, raw: {} bytes }}", raw.len())
    }
}

/// A batch of rows, where each came from, and what came between them.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The columns, in the types in which they are read.
    pub batch: RecordBatch,
    /// Record number of each row.
    pub rows: Vec<i64>,
    /// Line of the file on which each row begins.
    pub lines: Vec<i64>,
    /// The records that are no rows, in order.
    pub rejects: Vec<Reject>,
}

/// What a file held.
#[derive(Debug, Clone)]
pub struct Landing {
    /// Records after the header, counted apart from the two lists: rows + rejects must be equal to it.
    pub records: u64,
    /// The header's columns.
    pub schema: SchemaRef,
    /// Good records, in order.
    pub batches: Vec<Rows>,
    /// Broken ones, in order.
    pub rejects: Vec<Reject>,
}

impl Landing {
    /// Number of good rows.
    pub fn rows(&self) -> u64 {
        self.batches.iter().map(|b| b.batch.num_rows() as u64).sum()
    }
}

/// Reads a whole CSV text, all columns as text. `place` names it in messages.
///
/// ```
/// use rcm_connectors::csv::{self, Format};
///
/// let file = b"ID,Name\r\n1,\"Nu, Oma\"\r\n2\r\n3,Bo\xff\r\n";
/// let landing = csv::read(file.as_slice(), "departments.csv", &Format::default()).unwrap();
/// assert_eq!(landing.rows(), 1);
/// assert_eq!(landing.rejects.len(), 2);
/// assert_eq!((landing.rejects[0].row, landing.rejects[0].line), (2, 3));
/// assert_eq!(landing.rejects[0].what, "1 field, expected 2");
/// assert_eq!(landing.rejects[1].raw, b"3,Bo\xff");
/// ```
///
/// # Errors
/// As [`Reader::new`].
pub fn read(text: impl Read + Send, place: &str, format: &Format) -> Result<Landing, Problem> {
    Reader::new(text, place, format)?.land()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rcm_core::Class;

    #[test]
    fn every_record_is_a_row_or_a_reject() {
        let text = b"\xef\xbb\xbfa,b\n1,2\n\n3\n\"x\ny\",4\n5,6,7\n\xff,1\n8,9";
        let landing = read(text.as_slice(), "f.csv", &Format::default()).unwrap();
        assert_eq!(landing.rows(), 3);
        let places: Vec<_> = landing.rejects.iter().map(|r| (r.row, r.line, r.raw.as_slice())).collect();
        assert_eq!(places, [(2, 4, b"3".as_slice()), (4, 7, b"5,6,7"), (5, 8, b"\xff,1")]);
        assert_eq!(landing.batches[0].rows, [1, 3, 6]);
        assert_eq!(landing.batches[0].lines, [2, 5, 9]);

        let landing = read(b"a,b\r\n1,2\r\n\r\n3\r\n4,5\r\n".as_slice(), "f.csv", &Format::default()).unwrap();
        assert_eq!((landing.rejects[0].line, landing.rejects[0].byte), (4, 12));
        assert_eq!(landing.batches[0].lines, [2, 5]);
    }

    #[test]
    fn an_open_quote_does_not_swallow_the_rest_as_a_value() {
        let landing = read(b"a,b\n1,\"x\n2,y\n3,z\n".as_slice(), "f.csv", &Format::default()).unwrap();
        assert_eq!((landing.rows(), landing.rejects.len()), (0, 1));
        assert_eq!(landing.rejects[0].what, "a quote is never closed");
        assert_eq!(landing.rejects[0].raw, b"1,\"x\n2,y\n3,z\n");
        // Cut in the middle of the last value: not a row either.
        assert_eq!(read(b"a,b\n1,2\n3,\"tru".as_slice(), "f.csv", &Format::default()).unwrap().rejects.len(), 1);
    }

    #[test]
    fn two_open_quotes_do_not_make_one_row_of_three() {
        let landing = read(b"a,b\n1,\"x\n2,y\n3,\"z\"\n4,w\n".as_slice(), "f.csv", &Format::default()).unwrap();
        assert_eq!((landing.rows(), landing.rejects.len(), landing.records), (1, 1, 2));
        assert_eq!(landing.rejects[0].what, "text behind a closing quote");
        // Quotes that are right, and quotes that are text.
        assert_eq!(
            read(b"a,b\n\"1\",\"say \"\"x\"\", y\"\n5\" pipe,\n".as_slice(), "f.csv", &Format::default())
                .unwrap()
                .rows(),
            2
        );
    }

    #[test]
    fn a_header_alone_is_an_empty_table_and_a_doubled_column_is_drift() {
        assert_eq!(read(b"a,b\n".as_slice(), "f.csv", &Format::default()).unwrap().rows(), 0);
        assert_eq!(read(b"a,a\n".as_slice(), "f.csv", &Format::default()).unwrap_err().class, Class::Drift);
        assert_eq!(read(b"".as_slice(), "f.csv", &Format::default()).unwrap_err().class, Class::Failed);
    }
}
