//! What each key of the load opens, ends and edits.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::Snapshot;
use super::group::{Groups, Standing};
use super::probe::{ALL_VERSIONS, LATEST, Probed, TRACKED};
use super::scopes::Scopes;
use crate::cells::At;
use crate::edits::Edits;
use crate::history::{Row, check_neighbours};
use crate::ledger::Part;
use crate::opens::Span;
use crate::{Close, Detect, Disposition, Error, InitialValidFrom, Mode, Outcome};

/// Rows that one task resolves.
const ROWS: usize = 1 << 15;
/// Rows that are looked up together before any is resolved.
const BLOCK: usize = 1024;

/// What became of the rows of the load, but for their outcomes.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) ignored: u64,
    pub(crate) clamped: u64,
    /// Live keys that a row ended.
    pub(crate) ended: u64,
    elsewhere: Vec<(usize, Outcome)>,
}

/// What is there of a key.
struct Past<'a> {
    /// In order of `valid_from`.
    closed: &'a [(u32, Row)],
    current: Option<(Row, u8)>,
}

impl Snapshot<'_> {
    pub(crate) fn resolve(
        &self,
        groups: &Groups,
        scopes: &Scopes,
        parts: &[(Part, Option<Disposition>)],
        probed: &Probed,
        outcomes: &mut [Outcome],
    ) -> Result<(Edits, Tally), Error> {
        let task = |(number, outcomes): (usize, &mut [Outcome])| {
            let rows = ROWS * number..ROWS * number + outcomes.len();
            let (mut edits, mut tally) = (Edits::default(), Tally::default());
            let mut scope_of = scopes.reader();
            let mut closed = &probed.closed[probed.closed.partition_point(|(rep, _)| (*rep as usize) < rows.start)..];
            // Where nothing but values counts, an equal row needs no second look.
            let same_is_no_op = self.sequence.is_none() && self.rows.deletes.is_empty();
            let mut due = Vec::with_capacity(BLOCK);
            for block in rows.clone().step_by(BLOCK).map(|first| first..rows.end.min(first + BLOCK)) {
                // One step for all, then the next: rows of history lie at random, and their misses overlap.
                for rep in block {
                    let mine;
                    (mine, closed) =
                        closed.split_at(closed.iter().take_while(|(other, _)| *other as usize == rep).count());
                    if same_is_no_op && mine.is_empty() && probed.is_unchanged(rep)
                        || groups.standing[rep] != Standing::Counts
                        || parts[scope_of(self.load.at(rep)) as usize].1 != Some(Disposition::Applied)
                    {
                        continue;
                    }
                    let current = probed.current(rep).map(|(row, differs)| (self.history.at(row), differs));
                    due.push((rep, mine, current));
                }
                due.iter().filter_map(|(.., current)| *current).for_each(|(at, _)| self.intervals.fetch(at));
                for (rep, closed, current) in due.drain(..) {
                    let current = current.map(|(at, differs)| (self.intervals.row(at), differs));
                    let past = Past { closed, current };
                    let counting = groups.counting(rep);
                    let outcome = self.key(counting, &past, &mut edits, &mut tally)?;
                    // The row that counts may be one of another task's: outcomes are put in place afterwards.
                    match counting == rep {
                        true => outcomes[rep - rows.start] = outcome,
                        false => tally.elsewhere.push((counting, outcome)),
                    }
                }
            }
            Ok::<_, Error>((edits, tally))
        };
        let tasks = outcomes.par_chunks_mut(ROWS).enumerate();
        let done = tasks.with_max_len(1).map(task).collect::<Result<Vec<_>, _>>()?;
        let (edits, tallies): (Vec<Edits>, Vec<Tally>) = done.into_iter().unzip();
        let mut tally = Tally::default();
        for other in tallies {
            other.elsewhere.into_iter().for_each(|(row, outcome)| outcomes[row] = outcome);
            tally.ignored += other.ignored;
            tally.clamped += other.clamped;
            tally.ended += other.ended;
        }
        Ok((Edits::concat(edits), tally))
    }

    /// One key of the load.
    fn key(&self, row: usize, past: &Past, edits: &mut Edits, tally: &mut Tally) -> Result<Outcome, Error> {
        self.check_past(past)?;
        let at = self.load.at(row);
        let delete = self.rows.is_delete(row);
        let sequence = self.rows.instants.get(row).copied();
        let natural = sequence.map_or(self.as_of, |sequence| sequence.min(self.as_of));
        let last = past.current.map(|(row, _)| row).or(past.closed.last().map(|(_, row)| *row));
        let known = last.is_some_and(|last| !last.inferred);
        let from = match past.current {
            _ if delete => return self.delete(past, edits, tally),
            Some((member, _)) if member.inferred => Some(self.first(natural).min(member.from)),
            Some((live, differs)) if !live.deleted => {
                let moved =
                    self.sequence.as_ref().is_some_and(|column| column.compare(at, live.at) == Ordering::Greater);
                let opens = match self.detect() {
                    Some(Detect::Sequence) if !moved => {
                        tally.ignored += u64::from(differs != 0);
                        return Ok(Outcome::NoOp);
                    }
                    Some(Detect::Sequence) => true,
                    Some(Detect::Values) | None => differs & TRACKED != 0,
                };
                opens.then_some(if moved && natural > live.from { natural } else { self.as_of })
            }
            Some((marker, _)) => Some(if natural > marker.from { natural } else { self.as_of }),
            None => match past.closed.last().and_then(|(_, last)| last.to) {
                Some(ended) if sequence.is_some() => Some(natural.max(ended)),
                Some(ended) => {
                    if self.as_of < ended {
                        self.check_later(ended)?;
                    }
                    Some(self.as_of)
                }
                None => Some(self.first(natural)),
            },
        };
        let mut changed = self.overwrite_closed(past, at, edits);
        if let Some((row, differs)) = past.current {
            changed |= self.current(row, differs, from, at, edits)?;
        }
        let Some(from) = from else {
            return Ok(if changed { Outcome::Changed } else { Outcome::NoOp });
        };
        tally.clamped += u64::from(sequence.is_some_and(|sequence| sequence > self.as_of));
        let span = Span { from, to: None, deleted: false, inferred: false };
        edits.opens.push(span, self.slots.places(at, at, at, last.map_or(At::NOWHERE, |last| last.at)));
        Ok(if known { Outcome::Changed } else { Outcome::New })
    }

    /// What becomes of the current row of a key whose next version starts at `from`, if one does.
    fn current(&self, row: Row, differs: u8, from: Option<i64>, at: At, edits: &mut Edits) -> Result<bool, Error> {
        let position = self.history.position(row.at);
        if row.inferred {
            edits.withdrawals.push(position);
            return Ok(true);
        }
        if let Some(from) = from.filter(|from| *from <= row.from) {
            return Err(Error::LateSnapshot { scope: None, as_of: from, latest: row.from });
        }
        let overwritten = if row.deleted || from.is_some() { ALL_VERSIONS } else { LATEST | ALL_VERSIONS };
        if differs & overwritten != 0 {
            edits.withdrawals.push(position);
            let latest = if from.is_some() { row.at } else { at };
            let span = Span { from: row.from, to: from, deleted: row.deleted, inferred: false };
            edits.opens.push(span, self.slots.places(row.at, latest, at, row.at));
            return Ok(true);
        }
        edits.closes.extend(from.map(|valid_to| Close { row: position, valid_to }));
        Ok(false)
    }

    /// Type 1 columns of versions that are not current.
    fn overwrite_closed(&self, past: &Past, at: At, edits: &mut Edits) -> bool {
        let before = edits.withdrawals.len();
        if !self.all_versions.is_empty() {
            for (_, row) in past.closed {
                if self.all_versions.iter().any(|column| !column.equal(row.at, at)) {
                    edits.withdrawals.push(self.history.position(row.at));
                    let span = Span { from: row.from, to: row.to, deleted: row.deleted, inferred: false };
                    edits.opens.push(span, self.slots.places(row.at, row.at, at, row.at));
                }
            }
        }
        edits.withdrawals.len() > before
    }

    /// A row that says that its key is deleted.
    fn delete(&self, past: &Past, edits: &mut Edits, tally: &mut Tally) -> Result<Outcome, Error> {
        let Some((live, _)) = past.current.filter(|(row, _)| row.is_live()) else { return Ok(Outcome::NoOp) };
        self.check_later(live.from)?;
        tally.ended += 1;
        edits.closes.push(Close { row: self.history.position(live.at), valid_to: self.as_of });
        if self.spec.markers() {
            let span = Span { from: self.as_of, to: None, deleted: true, inferred: false };
            edits.opens.push(span, self.slots.places(live.at, live.at, live.at, live.at));
        }
        Ok(Outcome::Changed)
    }

    fn check_past(&self, past: &Past) -> Result<(), Error> {
        if past.closed.is_empty() {
            return Ok(());
        }
        let current = past.current.map(|(row, _)| row);
        let mut rows: Vec<Row> = past.closed.iter().map(|(_, row)| *row).chain(current).collect();
        rows.sort_unstable_by_key(|row| row.from);
        check_neighbours(self.history, &rows)
    }

    fn first(&self, natural: i64) -> i64 {
        match self.spec.initial {
            InitialValidFrom::Epoch => natural.min(0),
            InitialValidFrom::EpochFirstLoad if self.first_load => natural.min(0),
            _ => natural,
        }
    }

    fn detect(&self) -> Option<Detect> {
        match self.spec.mode() {
            Mode::Snapshot { sequence, .. } => sequence.as_ref().map(|(_, detect)| *detect),
            Mode::Feed { .. } => None,
        }
    }
}
