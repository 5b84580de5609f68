//! CSV as it comes: every column as text, every line a row or a reject.
//!
//! UTF-8 with or without a byte order mark, comma, double quotes, LF or CRLF. A line with another number of fields than
//! the header, or with bytes that are no UTF-8, becomes a [`Reject`] with its place and its raw bytes. A quote that is
//! never closed, or text behind a closing quote, can swallow other lines or cut a value: that too is a reject, not a row.
//! Empty lines are no rows. No name of a header is repeated in a message before it is known to be one: a file without a
//! header has a patient there.

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rcm_core::{Class, Problem};
use std::sync::Arc;

/// Rows a batch.
pub const BATCH_ROWS: usize = 65_536;

/// A line that could not be split into the header's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Number of the record, the first after the header is 1.
    pub row: u64,
    /// First line of the record in the file, the header is line 1.
    pub line: u64,
    /// Offset of its first byte.
    pub byte: u64,
    /// Why, in words that name no value.
    pub what: String,
    /// Its bytes as they came, without the line end.
    pub raw: Vec<u8>,
}

/// A batch of rows and where each came from.
#[derive(Debug, Clone)]
pub struct Rows {
    /// All columns of the file as `Utf8`, an empty field is an empty string.
    pub batch: RecordBatch,
    /// Record number of each row.
    pub rows: Vec<i64>,
    /// Line of the file on which each row begins.
    pub lines: Vec<i64>,
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

/// Reads a whole CSV file. `place` names it in messages.
///
/// ```
/// let file = b"ID,Name\r\n1,\"Nu, Oma\"\r\n2\r\n3,Bo\xff\r\n";
/// let landing = rcm_connectors::csv::read(file, "departments.csv").unwrap();
/// assert_eq!(landing.rows(), 1);
/// assert_eq!(landing.rejects.len(), 2);
/// assert_eq!((landing.rejects[0].row, landing.rejects[0].line), (2, 3));
/// assert_eq!(landing.rejects[0].what, "1 field, expected 2");
/// assert_eq!(landing.rejects[1].raw, b"3,Bo\xff");
/// ```
///
/// # Errors
/// A file without a header line (class `failed`), or a header that repeats a column or is no UTF-8 (class `drift`).
pub fn read(file: &[u8], place: &str) -> Result<Landing, Problem> {
    let bytes = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mark = (file.len() - bytes.len()) as u64;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let broken = |e: csv::Error| Problem::storage(place, e);
    let mut record = csv::ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(broken)? {
        return Err(Problem::new(Class::Failed, place, "there is no header line"));
    }
    let schema = header(&record, place)?;
    let width = schema.fields().len();

    let mut landing = Landing { records: 0, schema: schema.clone(), batches: Vec::new(), rejects: Vec::new() };
    let mut columns = Columns::new(width);
    let mut row = 0;
    loop {
        let (start, line) = (reader.position().byte(), reader.position().line());
        if !reader.read_byte_record(&mut record).map_err(broken)? {
            break;
        }
        row += 1;
        let (start, line) = record.position().map_or((start, line), |p| (p.byte(), p.line()));
        // The reader's place is that behind the record before: the rest of its line end, and empty lines.
        let whole = &bytes[(start as usize).min(bytes.len())..(reader.position().byte() as usize).min(bytes.len())];
        let lead = whole.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let line = line + whole[..lead].iter().filter(|b| **b == b'\n').count() as u64;
        let (start, raw) = (start + lead as u64, without_line_end(&whole[lead..]));
        let what = if let Some(fault) = quoting_fault(raw) {
            Some(fault.to_owned())
        } else if record.len() != width {
            Some(format!("{} field{}, expected {width}", record.len(), if record.len() == 1 { "" } else { "s" }))
        } else if record.iter().any(|f| std::str::from_utf8(f).is_err()) {
            Some("bytes that are no UTF-8".to_owned())
        } else {
            None
        };
        match what {
            Some(what) => landing.rejects.push(Reject { row, line, byte: start + mark, what, raw: raw.to_vec() }),
            None => columns.push(&record, row, line),
        }
        if columns.rows.len() == BATCH_ROWS {
            landing.batches.push(columns.finish(&schema, place)?);
        }
    }
    if !columns.rows.is_empty() {
        landing.batches.push(columns.finish(&schema, place)?);
    }
    landing.records = row;
    Ok(landing)
}

fn without_line_end(mut raw: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r' | b'\n'] = raw {
        raw = rest;
    }
    raw
}

/// What is wrong with the quotes of a record. A quote inside a field that does not begin with one is text.
fn quoting_fault(raw: &[u8]) -> Option<&'static str> {
    #[derive(PartialEq)]
    enum At {
        Start,
        Plain,
        Quoted,
        Closing,
    }
    let mut at = At::Start;
    for byte in raw {
        at = match (at, byte) {
            (At::Start, b'"') | (At::Closing, b'"') => At::Quoted,
            (At::Start | At::Plain | At::Closing, b',') => At::Start,
            (At::Start | At::Plain, _) => At::Plain,
            (At::Quoted, b'"') => At::Closing,
            (At::Quoted, _) => At::Quoted,
            (At::Closing, _) => return Some("text behind a closing quote"),
        };
    }
    (at == At::Quoted).then_some("a quote is never closed")
}

fn header(record: &csv::ByteRecord, place: &str) -> Result<SchemaRef, Problem> {
    let mut names: Vec<&str> = Vec::with_capacity(record.len());
    for field in record {
        let name = std::str::from_utf8(field).map(str::trim).unwrap_or("");
        if name.is_empty() {
            let n = names.len() + 1;
            return Err(Problem::new(Class::Drift, place, format!("column {n} of the header has no readable name"))
                .hint("expected a header line of column names in UTF-8"));
        }
        if names.contains(&name) {
            let first = names.iter().position(|n| *n == name).unwrap_or(0) + 1;
            let what = format!("columns {first} and {} of the header have the same name", names.len() + 1);
            return Err(Problem::new(Class::Drift, place, what));
        }
        names.push(name);
    }
    Ok(Arc::new(Schema::new(names.into_iter().map(|n| Field::new(n, DataType::Utf8, true)).collect::<Vec<_>>())))
}

/// Builders of one batch.
struct Columns {
    builders: Vec<StringBuilder>,
    rows: Vec<i64>,
    lines: Vec<i64>,
}

impl Columns {
    fn new(width: usize) -> Self {
        Columns { builders: (0..width).map(|_| StringBuilder::new()).collect(), rows: Vec::new(), lines: Vec::new() }
    }

    /// The caller has checked width and encoding.
    fn push(&mut self, record: &csv::ByteRecord, row: u64, line: u64) {
        for (builder, field) in self.builders.iter_mut().zip(record) {
            builder.append_value(std::str::from_utf8(field).unwrap_or_default());
        }
        self.rows.push(row as i64);
        self.lines.push(line as i64);
    }

    fn finish(&mut self, schema: &SchemaRef, place: &str) -> Result<Rows, Problem> {
        let arrays: Vec<ArrayRef> = self.builders.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef).collect();
        let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|e| Problem::storage(place, e))?;
        Ok(Rows { batch, rows: std::mem::take(&mut self.rows), lines: std::mem::take(&mut self.lines) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_a_row_or_a_reject() {
        let text = b"\xef\xbb\xbfa,b\n1,2\n\n3\n\"x\ny\",4\n5,6,7\n\xff,1\n8,9";
        let landing = read(text, "f.csv").unwrap();
        assert_eq!(landing.rows(), 3);
        let places: Vec<_> = landing.rejects.iter().map(|r| (r.row, r.line, r.raw.as_slice())).collect();
        assert_eq!(places, [(2, 4, b"3".as_slice()), (4, 7, b"5,6,7"), (5, 8, b"\xff,1")]);
        assert_eq!(landing.batches[0].rows, [1, 3, 6]);
        assert_eq!(landing.batches[0].lines, [2, 5, 9]);

        let landing = read(b"a,b\r\n1,2\r\n\r\n3\r\n4,5\r\n", "f.csv").unwrap();
        assert_eq!((landing.rejects[0].line, landing.rejects[0].byte), (4, 12));
        assert_eq!(landing.batches[0].lines, [2, 5]);
    }

    #[test]
    fn an_open_quote_does_not_swallow_the_rest_as_a_value() {
        let landing = read(b"a,b\n1,\"x\n2,y\n3,z\n", "f.csv").unwrap();
        assert_eq!((landing.rows(), landing.rejects.len()), (0, 1));
        assert_eq!(landing.rejects[0].what, "a quote is never closed");
        assert_eq!(landing.rejects[0].raw, b"1,\"x\n2,y\n3,z");
        // Cut in the middle of the last value: not a row either.
        assert_eq!(read(b"a,b\n1,2\n3,\"tru", "f.csv").unwrap().rejects.len(), 1);
    }

    #[test]
    fn two_open_quotes_do_not_make_one_row_of_three() {
        let landing = read(b"a,b\n1,\"x\n2,y\n3,\"z\"\n4,w\n", "f.csv").unwrap();
        assert_eq!((landing.rows(), landing.rejects.len(), landing.records), (1, 1, 2));
        assert_eq!(landing.rejects[0].what, "text behind a closing quote");
        // Quotes that are right, and quotes that are text.
        assert_eq!(read(b"a,b\n\"1\",\"say \"\"x\"\", y\"\n5\" pipe,\n", "f.csv").unwrap().rows(), 2);
    }

    #[test]
    fn a_header_alone_is_an_empty_table_and_a_doubled_column_is_drift() {
        assert_eq!(read(b"a,b\n", "f.csv").unwrap().rows(), 0);
        assert_eq!(read(b"a,a\n", "f.csv").unwrap_err().class, Class::Drift);
        assert_eq!(read(b"", "f.csv").unwrap_err().class, Class::Failed);
    }
}
