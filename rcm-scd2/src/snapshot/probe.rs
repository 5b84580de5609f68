//! History streams past the load: what is found of the load's keys, and which live keys are absent.

use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

use rayon::prelude::*;

use super::Snapshot;
use super::scopes::Scopes;
use crate::cells::{At, Column};
use crate::edits::Edits;
use crate::hash;
use crate::history::Row;
use crate::index::{BLOCK, FIRST_GROUP, Index, TASK};
use crate::ledger::Part;
use crate::opens::Span;
use crate::spec::DeleteStyle;
use crate::{Close, Disposition, Error, Fault};

/// How the current row of a key differs from its row in the load.
pub(crate) const TRACKED: u8 = 1;
pub(crate) const LATEST: u8 = 2;
pub(crate) const ALL_VERSIONS: u8 = 4;
/// It is a marker, or inferred.
const SPECIAL: u8 = 8;

/// What history has of the load's keys.
pub(crate) struct Probed {
    /// By the first row of a key: the position of its current row more 1, and how that differs.
    current: Vec<AtomicU32>,
    differs: Vec<AtomicU8>,
    /// The rows that are not current: the first row of their key, and they; sorted.
    pub(crate) closed: Vec<(u32, Row)>,
    /// Live keys that are absent where the load is complete: the position of their row, in order.
    pub(crate) absent: Vec<usize>,
    /// By scope: live keys, and those that are absent.
    pub(crate) scopes: Vec<(u64, u64)>,
}

impl Probed {
    /// The position of the current row of a key, and how it differs.
    pub(crate) fn current(&self, rep: usize) -> Option<(usize, u8)> {
        let position = self.current[rep].load(Relaxed).checked_sub(1)?;
        Some((position as usize, self.differs[rep].load(Relaxed)))
    }

    /// Whether a key has a current row that is as the load's, so that nobody has to look at it.
    pub(crate) fn is_unchanged(&self, rep: usize) -> bool {
        self.current[rep].load(Relaxed) != 0 && self.differs[rep].load(Relaxed) == 0
    }
}

#[derive(Default)]
struct Found {
    closed: Vec<(u32, Row)>,
    absent: Vec<usize>,
    scopes: Vec<(u64, u64)>,
    current: usize,
}

impl Snapshot<'_> {
    pub(crate) fn probe(
        &self,
        index: &Index,
        scopes: &Scopes,
        parts: &[(Part, Option<Disposition>)],
    ) -> Result<Probed, Error> {
        let mut probed = Probed {
            current: (0..index.rows()).map(|_| AtomicU32::new(0)).collect(),
            differs: (0..index.rows()).map(|_| AtomicU8::new(0)).collect(),
            closed: Vec::new(),
            absent: Vec::new(),
            scopes: vec![(0, 0); parts.len()],
        };
        let search = |(batch, start, rows): (u32, usize, Range<usize>)| {
            self.search(index, scopes, parts, &probed, batch, start, rows)
        };
        // Each by itself: a thread that is held up must not hold up what it has not begun.
        let found: Vec<Found> = self.history.pieces(TASK).into_par_iter().with_max_len(1).map(search).collect();
        let current: usize = found.iter().map(|part| part.current).sum();
        if current != probed.current.iter().filter(|position| position.load(Relaxed) != 0).count() {
            return Err(self.twice(index));
        }
        for mut part in found {
            probed.closed.append(&mut part.closed);
            probed.absent.append(&mut part.absent);
            for (sum, part) in probed.scopes.iter_mut().zip(part.scopes) {
                *sum = (sum.0 + part.0, sum.1 + part.1);
            }
        }
        probed.closed.par_sort_unstable_by_key(|(rep, row)| (*rep, row.from, row.at));
        Ok(probed)
    }

    #[allow(clippy::too_many_arguments, reason = "one task of many, and what it reads")]
    fn search(
        &self,
        index: &Index,
        scopes: &Scopes,
        parts: &[(Part, Option<Disposition>)],
        probed: &Probed,
        batch: u32,
        start: usize,
        rows: Range<usize>,
    ) -> Found {
        let mut found = Found { scopes: vec![(0, 0); parts.len()], ..Found::default() };
        let mut scope_of = scopes.reader();
        let counts = self.absence || self.spec.max_delete_ratio().is_some();
        let mut prober = index.on(batch);
        let mut differs = [0_u8; BLOCK];
        // The index has those groups that are not empty.
        let flags = [TRACKED, LATEST, ALL_VERSIONS].into_iter().zip(self.compared());
        let flags: Vec<u8> = flags.filter(|(_, group)| !group.is_empty()).map(|(flag, _)| flag).collect();
        for first in rows.clone().step_by(BLOCK) {
            let block = BLOCK.min(rows.end - first);
            for (at, pair) in prober.block(first, block).iter().enumerate() {
                differs[at] = if self.intervals.is_special(At { batch, row: pair.row }) { SPECIAL } else { 0 };
            }
            for (flag, group) in flags.iter().zip(FIRST_GROUP..) {
                for (pair, differs) in prober.compare(group).iter().zip(&mut differs) {
                    *differs |= if pair.equal { 0 } else { *flag };
                }
            }
            let mut seen = [false; BLOCK];
            for (pair, differs) in prober.pairs().iter().zip(differs) {
                let (row, rep, at) = (pair.row as usize, pair.rep as usize, At { batch, row: pair.row });
                seen[row - first] = true;
                if !self.intervals.is_current(at) {
                    found.closed.push((pair.rep, self.intervals.row(at)));
                    continue;
                }
                found.current += 1;
                // Each row has a key of its own, unless history is broken: that is counted afterwards.
                probed.current[rep].store((start + row) as u32 + 1, Relaxed);
                if differs != 0 {
                    probed.differs[rep].store(differs, Relaxed);
                }
            }
            if !counts {
                continue;
            }
            for (number, seen) in seen[..block].iter().enumerate() {
                let at = At { batch, row: (first + number) as u32 };
                if !self.intervals.row(at).is_live() {
                    continue;
                }
                let scope = scope_of(at) as usize;
                found.scopes[scope].0 += 1;
                let (part, met) = &parts[scope];
                if self.absence && !seen && part.complete && *met == Some(Disposition::Applied) {
                    found.scopes[scope].1 += 1;
                    found.absent.push(start + first + number);
                }
            }
        }
        found
    }

    /// Which key has two current rows.
    #[cold]
    fn twice(&self, index: &Index) -> Error {
        let mut rows = index.find_all(self.history);
        rows.retain(|(_, at)| self.intervals.is_current(*at));
        rows.sort_unstable();
        let pair = rows.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| [pair[0].1, pair[1].1]);
        let [other, row] = pair.unwrap_or([At::NOWHERE; 2]).map(|at| self.history.position(at));
        Error::BrokenHistory { row, fault: Fault::TwoCurrent { other } }
    }

    /// Ends the keys that are absent.
    pub(crate) fn end_absent(&self, probed: &Probed, edits: &mut Edits) -> Result<(), Error> {
        self.check_absent(&probed.absent)?;
        for position in &probed.absent {
            let row = self.intervals.row(self.history.at(*position));
            self.check_later(row.from)?;
            edits.closes.push(Close { row: *position, valid_to: self.as_of });
            if self.spec.delete_style() == Some(DeleteStyle::Marker) {
                let span = Span { from: self.as_of, to: None, deleted: true, inferred: false };
                edits.opens.push(span, self.slots.places(row.at, row.at, row.at, row.at));
            }
        }
        Ok(())
    }

    /// Each of the keys that end has one row that is live. No index has them, so rows are sorted by the hash of their key.
    fn check_absent(&self, absent: &[usize]) -> Result<(), Error> {
        let at = |position: usize| self.history.at(position);
        let hashed = |position: &usize| {
            let (place, mut hash) = (at(*position), [0]);
            hash::keys(&self.keys, place.batch, place.row as usize, &mut hash);
            (hash[0], *position)
        };
        let mut rows: Vec<(u64, usize)> = absent.par_iter().map(hashed).collect();
        rows.par_sort_unstable();
        for same in rows.chunk_by(|a, b| a.0 == b.0) {
            let pairs = same
                .iter()
                .enumerate()
                .flat_map(|(count, (_, row))| same[..count].iter().map(move |other| (*row, other.1)));
            let equal = |key: &Column, row, other| key.equal(at(row), at(other));
            let mut twice = pairs.filter(|(row, other)| self.keys.iter().all(|key| equal(key, *row, *other)));
            if let Some((row, other)) = twice.next() {
                return Err(Error::BrokenHistory { row, fault: Fault::TwoCurrent { other } });
            }
        }
        Ok(())
    }

    /// What edits at the load's instant must have begun before.
    pub(crate) fn check_later(&self, than: i64) -> Result<(), Error> {
        if self.as_of > than {
            return Ok(());
        }
        Err(Error::LateSnapshot { scope: None, as_of: self.as_of, latest: than })
    }
}
