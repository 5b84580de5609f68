//! A piece of a key's history replaced: by a late snapshot, until the next one, or by a correction.

use crate::cells::{At, Column};
use crate::edits::Edits;
use crate::history::{Row, check_neighbours};
use crate::index::Index;
use crate::ledger::{Ledger, Part};
use crate::opens::Span;
use crate::snapshot::Snapshot;
use crate::snapshot::group::{Groups, Standing};
use crate::snapshot::scopes::Scopes;
use crate::space::Section;
use crate::{Disposition, Error, Outcome};

/// What the key is in `from..to`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replaced {
    pub(crate) from: i64,
    pub(crate) to: Option<i64>,
    /// The row that says it; `None`: the key is not there.
    pub(crate) row: Option<At>,
}

/// A stretch of time in which a key's tracked cells are the same.
#[derive(Debug, Clone, Copy)]
struct Piece {
    from: i64,
    to: Option<i64>,
    /// Where the version's first and its newest values are.
    base: At,
    latest: At,
}

/// Splices the late scope values of a load into history.
#[allow(clippy::too_many_arguments, reason = "what the parts of a snapshot's merge have found so far")]
pub(crate) fn splice(
    snapshot: &Snapshot,
    groups: &Groups,
    withheld: &Section,
    scopes: &Scopes,
    ledger: &Ledger,
    parts: &[(Part, Option<Disposition>)],
    edits: &mut Edits,
    outcomes: &mut [Outcome],
    counts: &mut [(u64, u64)],
) -> Result<(), Error> {
    let (history, load) = (snapshot.history, snapshot.load);
    let mut scope_of = scopes.reader();
    let places: Vec<(At, usize)> =
        history.all().chain(load.all()).chain(withheld.all()).map(|at| (at, scope_of(at) as usize)).collect();
    let standing = |row: usize| row.checked_sub(history.rows()).map(|row| groups.standing[row]);
    let wanted =
        |row: usize| parts[places[row].1].1 == Some(Disposition::Spliced) && standing(row) != Some(Standing::Stands);
    let index = Index::build(&snapshot.keys, &[], &[history, load, withheld], 0, &wanted);
    let reps = index.rep_of_rows();
    let mut rows: Vec<(u32, u32)> =
        (0..places.len()).filter(|row| wanted(*row)).map(|row| (reps[row], row as u32)).collect();
    rows.sort_unstable();
    for key in rows.chunk_by(|a, b| a.0 == b.0) {
        let (scope, mut past, mut said) = (places[key[0].1 as usize].1, Vec::new(), None);
        for (_, row) in key {
            match standing(*row as usize) {
                None => past.push(snapshot.intervals.row(places[*row as usize].0)),
                Some(standing) => said = Some((*row as usize - history.rows(), standing)),
            }
        }
        let row = match said {
            Some((_, Standing::Held)) => continue,
            Some((row, _)) => Some(groups.counting(row)),
            None if parts[scope].0.complete => None,
            None => continue,
        };
        past.sort_unstable_by_key(|row| row.from);
        let (from, to) = (snapshot.as_of, ledger.next(scope, snapshot.as_of));
        // The newest snapshot is replaced by one without the key.
        if row.is_none() && to.is_none() && past.last().is_some_and(Row::is_live) {
            counts[scope].1 += 1;
        }
        let replaced = Replaced { from, to, row: row.map(|row| load.at(row)) };
        let changed = snapshot.replace(&past, replaced, edits)?;
        if let Some(row) = row {
            outcomes[row] = match changed {
                false => Outcome::NoOp,
                true if past.iter().all(|row| row.inferred) => Outcome::New,
                true => Outcome::Late,
            };
        }
    }
    Ok(())
}

impl Snapshot<'_> {
    /// Replaces a stretch of a key's history, in order of `valid_from`; whether anything changed.
    pub(crate) fn replace(&self, past: &[Row], replaced: Replaced, edits: &mut Edits) -> Result<bool, Error> {
        check_neighbours(self.history, past)?;
        let live = past.iter().filter(|row| !row.deleted && !row.inferred);
        let live: Vec<Piece> =
            live.map(|row| Piece { from: row.from, to: row.to, base: row.at, latest: row.at }).collect();
        let Replaced { from, to, row } = replaced;
        let before = live.iter().filter(|piece| piece.from < from);
        let before = before.map(|piece| Piece { to: Some(piece.to.map_or(from, |to| to.min(from))), ..*piece });
        let now = row.map(|row| Piece { from, to, base: row, latest: row });
        let after = |piece: &Piece| {
            let start = to.filter(|to| piece.to.is_none_or(|end| end > *to))?;
            Some(Piece { from: piece.from.max(start), ..*piece })
        };
        let after: Vec<Piece> = live.iter().filter_map(after).collect();
        // A type 1 column shows what the newest snapshot with the key says.
        let newest = if after.is_empty() { row } else { None };

        // Only what the row says grows together with what it touches: other versions stay as they are.
        let mut pieces: Vec<Piece> = Vec::new();
        let mut grows = false;
        let before = before.map(|piece| (piece, false));
        let after = after.into_iter().map(|piece| (piece, false));
        for (piece, said) in before.chain(now.map(|piece| (piece, true))).chain(after) {
            match pieces.last_mut() {
                Some(last)
                    if (said || grows)
                        && last.to == Some(piece.from)
                        && self.same_tracked(last.base, piece.base, said) =>
                {
                    (last.to, last.latest, grows) = (piece.to, piece.latest, said);
                }
                _ => {
                    pieces.push(piece);
                    grows = said;
                }
            }
        }
        if let (Some(first), Some(member)) = (pieces.first_mut(), past.iter().find(|row| row.inferred)) {
            first.from = first.from.min(member.from);
        }
        let old = past.last().map_or(At::NOWHERE, |row| row.at);
        let versions = self.with_markers(&pieces).into_iter().map(|(span, piece)| {
            (span, self.slots.places(piece.base, piece.latest, newest.unwrap_or(old), old).collect())
        });
        let versions: Vec<(Span, Vec<At>)> = versions.collect();
        // Nobody has seen the key yet: an inferred row stays.
        let past = if versions.is_empty() && past.iter().all(|row| row.inferred) { &[] } else { past };
        let before = edits.count();
        let columns = self.stored(&edits.opens).columns;
        let same = |number: usize, old: &Row| {
            let (span, places) = &versions[number];
            let flags = (old.deleted, old.inferred) == (span.deleted, span.inferred);
            flags && columns.iter().all(|(column, slot)| column.equal(old.at, places[*slot]))
        };
        edits.make(self.history, past, versions.iter().map(|(span, places)| (*span, places.as_slice())), same);
        Ok(edits.count() > before)
    }

    /// `said`: by the load, whose absent columns are not compared.
    fn same_tracked(&self, a: At, b: At, said: bool) -> bool {
        let all = self.columns.iter().filter(|column| self.is_tracked(column));
        let columns: Vec<&Column> = if said { self.tracked.iter().collect() } else { all.collect() };
        columns.into_iter().all(|column| column.equal(a, b))
    }

    /// The pieces as versions, with a marker where a key ends.
    fn with_markers(&self, pieces: &[Piece]) -> Vec<(Span, Piece)> {
        let mut versions = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            let Piece { from, to, .. } = *piece;
            versions.push((Span { from, to, deleted: false, inferred: false }, *piece));
            let next = pieces.get(number + 1).map(|next| next.from);
            if let Some(from) = to.filter(|to| self.spec.markers() && next != Some(*to)) {
                versions.push((Span { from, to: next, deleted: true, inferred: false }, *piece));
            }
        }
        versions
    }
}
