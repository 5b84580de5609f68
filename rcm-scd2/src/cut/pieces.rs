//! Batches, cut by bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use rayon::prelude::*;

use crate::Error;

/// Batches whose rows lie bucket by bucket.
pub(super) struct Pieces {
    batches: Vec<Piece>,
    buckets: BTreeSet<u32>,
    rows: usize,
    /// Whether the batches differ in their columns: then each part needs something of each, to have the columns that all
    /// have.
    differ: bool,
}

struct Piece {
    batch: RecordBatch,
    /// Where its rows lay in all batches.
    places: Vec<usize>,
    /// The rows of each bucket.
    spans: BTreeMap<u32, Range<usize>>,
}

impl Pieces {
    pub(super) fn of(
        batches: &[RecordBatch],
        buckets: &(dyn Fn(&RecordBatch) -> Result<UInt32Array, Error> + Sync),
    ) -> Result<Self, Error> {
        let mut starts = vec![0];
        starts.extend(batches.iter().scan(0, |rows, batch| {
            *rows += batch.num_rows();
            Some(*rows)
        }));
        let piece = |(batch, start): (&RecordBatch, &usize)| Piece::of(batch, *start, &buckets(batch)?);
        let pieces = batches.par_iter().zip(&starts).map(piece).collect::<Result<Vec<_>, Error>>()?;
        Ok(Pieces {
            buckets: pieces.iter().flat_map(|piece| piece.spans.keys().copied()).collect(),
            rows: starts[batches.len()],
            differ: batches.windows(2).any(|pair| pair[0].schema_ref() != pair[1].schema_ref()),
            batches: pieces,
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn has(&self, bucket: u32) -> bool {
        self.buckets.contains(&bucket)
    }

    /// The rows of some buckets, in the order of the batches.
    pub(super) fn parts(&self, buckets: &[u32]) -> Vec<RecordBatch> {
        let part = |piece: &Piece, bucket: u32| piece.spans.get(&bucket).map(|span| piece.slice(span));
        let mut parts = Vec::new();
        for piece in &self.batches {
            let before = parts.len();
            parts.extend(buckets.iter().filter_map(|bucket| part(piece, *bucket)));
            if self.differ && parts.len() == before {
                parts.push(piece.slice(&(0..0)));
            }
        }
        if parts.is_empty() {
            parts.extend(self.batches.first().map(|piece| piece.slice(&(0..0))));
        }
        parts
    }

    /// Where the rows of [`Pieces::parts`] lay.
    pub(super) fn places<'a>(&'a self, buckets: &'a [u32]) -> impl Iterator<Item = usize> + 'a {
        let spans = |piece: &'a Piece| buckets.iter().filter_map(move |bucket| Some((piece, piece.spans.get(bucket)?)));
        self.batches.iter().flat_map(spans).flat_map(|(piece, span)| &piece.places[span.clone()]).copied()
    }
}

impl Piece {
    fn of(batch: &RecordBatch, start: usize, buckets: &UInt32Array) -> Result<Self, Error> {
        if buckets.len() != batch.num_rows() {
            return Err(Error::BucketCount { found: buckets.len(), expected: batch.num_rows() });
        }
        let buckets = buckets.values();
        let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
        // In a bucket rows keep their order.
        order.sort_by_key(|row| buckets[*row as usize]);
        let mut spans: BTreeMap<u32, Range<usize>> = BTreeMap::new();
        for (at, row) in order.iter().enumerate() {
            spans.entry(buckets[*row as usize]).or_insert(at..at).end = at + 1;
        }
        let places = order.iter().map(|row| start + *row as usize).collect();
        Ok(Piece { batch: take_record_batch(batch, &UInt32Array::from(order))?, places, spans })
    }

    fn slice(&self, span: &Range<usize>) -> RecordBatch {
        self.batch.slice(span.start, span.len())
    }
}
