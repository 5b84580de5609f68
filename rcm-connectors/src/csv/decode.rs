//! From a laid-out text to a batch: some rows at a time, a column after the other.

use super::build::{Built, Table};
use super::columns::Columns;
use super::reader::{PAD, Piece};
use super::scan::{Layout, Record};
use super::{Cut, Reject, Rows};
use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use rcm_core::Problem;

/// Bytes of the rows that are decoded at a time: what fits a core's nearest cache together with where its fields lie.
const TILE: usize = 32 << 10;

/// Decodes a text: what can be a row is one, everything else a reject.
pub(super) fn decode(piece: &Piece, columns: &Columns, cut: &Cut, place: &str) -> Result<Rows, Problem> {
    let mut rejects = Vec::new();
    if let Some(is_last) = piece.part {
        let what = format!("a record longer than {} MiB, of which this is a part", super::reader::LONGEST_RECORD >> 20);
        let text = &piece.text[..piece.text.len() - PAD];
        let raw = if is_last { &text[..text.len() - 1] } else { text };
        let (row, line) = (piece.records + 1, piece.lines + 1);
        if !raw.is_empty() {
            rejects.push(Reject { row, line, byte: piece.byte, what, raw: raw.to_vec() });
        }
    }
    let records = if piece.part.is_some() { &[] } else { piece.layout.records.as_slice() };
    let reject = |n: usize, what: String| {
        let record = &records[n];
        Reject {
            row: piece.records + n as u64 + 1,
            line: piece.lines + u64::from(record.line) + 1,
            byte: piece.byte + u64::from(record.start),
            what,
            raw: piece.text[record.start as usize..record.end as usize].to_vec(),
        }
    };
    let is_utf8 = piece.text.is_ascii() || std::str::from_utf8(&piece.text).is_ok();
    let mut good: Vec<u32> = Vec::with_capacity(records.len());
    for (n, record) in records.iter().enumerate() {
        match fault(piece, record, columns.width, is_utf8) {
            None => good.push(n as u32),
            Some(what) => rejects.push(reject(n, what)),
        }
    }
    let mut table = Table::new(&piece.text, &piece.layout, cut, columns, good.len());
    let mut rest = good.as_slice();
    while let Some(start) = rest.first().map(|n| records[*n as usize].start) {
        let len = rest.partition_point(|n| (records[*n as usize].end - start) as usize <= TILE).max(1);
        let (tile, behind) = rest.split_at(len);
        table.append(tile.iter().map(|n| records[*n as usize].first));
        rest = behind;
    }
    let Built { arrays, wrong } = table.finish().map_err(|e| Problem::storage(place, e))?;
    let rows: Vec<i64> = good.iter().map(|n| (piece.records + u64::from(*n) + 1) as i64).collect();
    let line = |n: &u32| (piece.lines + u64::from(records[*n as usize].line) + 1) as i64;
    let lines: Vec<i64> = good.iter().map(line).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(good.len()));
    let batch = |arrays| RecordBatch::try_new_with_options(columns.schema().clone(), arrays, &options);
    if wrong.is_empty() {
        let batch = batch(arrays).map_err(|e| Problem::storage(place, e))?;
        return Ok(Rows { batch, rows, lines, rejects });
    }
    // Values that are wrong are null so far, also where the schema knows none.
    let loose = RecordBatch::try_from_iter_with_nullable(
        columns.read.iter().zip(arrays).map(|(column, array)| (column.field.name(), array, true)),
    );
    let is_right: BooleanArray = wrong.iter().map(|what| Some(what.is_none())).collect();
    let right = loose.and_then(|loose| filter_record_batch(&loose, &is_right));
    let options = RecordBatchOptions::new().with_row_count(Some(is_right.true_count()));
    let batch = right.and_then(|right| {
        RecordBatch::try_new_with_options(columns.schema().clone(), right.columns().to_vec(), &options)
    });
    rejects.extend(wrong.iter().zip(&good).filter_map(|(what, n)| Some(reject(*n as usize, what.clone()?))));
    rejects.sort_by_key(|reject| reject.row);
    let keep = |all: Vec<i64>| all.into_iter().zip(&wrong).filter(|(_, what)| what.is_none()).map(|(n, _)| n).collect();
    Ok(Rows { batch: batch.map_err(|e| Problem::storage(place, e))?, rows: keep(rows), lines: keep(lines), rejects })
}

fn fault(piece: &Piece, record: &Record, width: usize, is_utf8: bool) -> Option<String> {
    if let Some(fault) = record.fault {
        return Some(fault.what().to_owned());
    }
    if record.fields as usize != width {
        let plural = if record.fields == 1 { "" } else { "s" };
        return Some(format!("{} field{plural}, expected {width}", record.fields));
    }
    let raw = &piece.text[record.start as usize..record.end as usize];
    (!is_utf8 && std::str::from_utf8(raw).is_err()).then(|| "bytes that are no UTF-8".to_owned())
}

/// Appends the value of a cell: without its quotes.
pub(super) fn unquoted(cell: &[u8], cut: &Cut, value: &mut Vec<u8>) {
    let (Some(quote), Some(mut rest)) = (cut.quote, inner(cell, cut.quote)) else {
        return value.extend_from_slice(cell);
    };
    while let Some(at) = rest.iter().position(|byte| *byte == quote || Some(*byte) == cut.escape) {
        value.extend_from_slice(&rest[..at]);
        // The second of two quotes, or what is escaped.
        value.extend(rest.get(at + 1));
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    value.extend_from_slice(rest);
}

/// What stands between quotes.
#[inline]
pub(super) fn inner(cell: &[u8], quote: Option<u8>) -> Option<&[u8]> {
    match (cell, quote) {
        ([first, inner @ .., last], Some(quote)) if *first == quote && *last == quote => Some(inner),
        _ => None,
    }
}

impl Layout {
    /// Field n of a record.
    #[inline]
    pub(super) fn cell<'t>(&self, text: &'t [u8], record: &Record, n: usize) -> &'t [u8] {
        let (start, end) = self.span(record.first, n);
        &text[start..end]
    }

    #[inline]
    pub(super) fn span(&self, first: u32, n: usize) -> (usize, usize) {
        let at = first as usize + n;
        let &[before, end] = &self.ends[at - 1..=at] else { return (0, 0) };
        (before.wrapping_add(1) as usize, end as usize)
    }
}
