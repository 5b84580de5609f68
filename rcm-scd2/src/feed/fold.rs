//! The history of one key, recomputed from all its observations and compared with what is there.

use super::events::{Event, Stored};
use super::{Changes, DELETE, FIRST, Feed, Hidden, INNER, OPENER};
use crate::cells::At;
use crate::edits::Edits;
use crate::history::{Row, check_neighbours};
use crate::index::Found;
use crate::opens::Span;
use crate::{Error, Outcome};

/// A version as it should be.
struct Version {
    span: Span,
    /// The event that opens it: an upsert, or of a marker the delete. `None`: the key was inferred.
    opener: Option<usize>,
    /// The delete that ends it.
    ended_by: Option<usize>,
    /// The row of history that starts when it does.
    old: Option<Row>,
    /// Whether that row has its flags and tracked cells, and whether it has all its cells.
    stays: bool,
    same: bool,
}

/// All versions of a key, and for each event the version that shows it.
#[derive(Default)]
struct Folded {
    versions: Vec<Version>,
    /// For each version the place of the cells of each slot.
    places: Vec<At>,
    shown_in: Vec<Option<usize>>,
    /// Which events have an effect.
    effect: Vec<bool>,
    /// By slot, the places of the cells that the next version starts with, and of those that the newest event left.
    carried: Vec<At>,
    newest: Vec<At>,
}

/// What a fold works with. One key after the other uses the same memory.
#[derive(Default)]
pub(super) struct Room {
    /// The events that come.
    pub(super) incoming: Vec<Event>,
    stored: Stored,
    counting: Vec<Event>,
    folded: Folded,
}

/// What is known of the tracked cells of a key before they are looked at.
pub(super) struct Known<'a> {
    /// The row that those of history were compared with.
    pub(super) rep: Option<At>,
    pub(super) rows: &'a [(Row, Found)],
}

impl Known<'_> {
    fn same(&self, a: At, b: At) -> Option<bool> {
        let row = if Some(a) == self.rep { b } else { Some(a).filter(|_| Some(b) == self.rep)? };
        self.rows.iter().find(|(_, found)| found.at == row)?.1.same
    }
}

/// The slots of keys and of further sequences; those of the columns follow.
pub(super) const KEY: usize = 0;
pub(super) const FURTHER: usize = 1;
pub(super) const VALUES: usize = 2;

impl Feed<'_> {
    /// Recomputes the history of one key and says how it differs from what is there.
    pub(super) fn fold(
        &self,
        rows: &[Row],
        known: &Known,
        hidden: &[At],
        room: &mut Room,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        check_neighbours(self.history, rows)?;
        let Room { incoming, stored, counting, folded } = room;
        self.read_back(rows, hidden, stored)?;
        let newest = stored.events.last().map(|event| event.at);
        self.before(stored, changes);
        let first_load = self.first_load && incoming.iter().any(|event| !event.delete);
        self.accept(&mut stored.events, incoming, counting, changes);

        let first = stored.first.is_some() || first_load && counting.iter().any(|event| !event.delete);
        if first
            && stored.first.is_none()
            && let Some(event) = counting.first()
        {
            changes.hidden_adds.push(Hidden { kind: FIRST, ..Hidden::of(event) });
        }
        let anchors = [self.epoch, first.then_some(0), stored.member.map(|(since, _)| since)];
        self.versions(counting, known, folded);
        if let (Some(version), Some(false)) = (folded.versions.first_mut(), counting.first().map(|event| event.delete))
        {
            version.span.from = anchors.into_iter().flatten().fold(version.span.from, i64::min);
        }
        if let (true, Some((from, record))) = (folded.versions.is_empty(), stored.member) {
            folded.push(Span { from, to: None, deleted: false, inferred: true }, None, self.only_key(record));
        }
        let before = changes.edits.count();
        self.write(folded, rows, known, &mut changes.edits);
        self.remember(counting, folded, changes);
        self.judge(counting, folded, rows, newest, changes.edits.count() > before, changes);

        let lives = folded.versions.last().is_some_and(|last| last.span.to.is_none() && !last.span.deleted);
        if rows.last().is_some_and(Row::is_live) && !lives {
            changes.ended += 1;
        }
        Ok(())
    }

    /// Takes the stored events away that are to be as if they had not been.
    fn before(&self, stored: &mut Stored, changes: &mut Changes) {
        let Some(until) = self.until else { return };
        let mut forget = |record: At| changes.hidden_removes.push(self.hidden.position(record));
        stored.events.retain(|event| {
            let stays = event.at < until;
            event.hidden.filter(|_| !stays).into_iter().for_each(|(record, _)| forget(record));
            stays
        });
        if let Some((_, record)) = stored.member.filter(|(since, _)| *since >= until) {
            forget(record);
            stored.member = None;
        }
        if stored.events.is_empty() {
            stored.first.take().into_iter().for_each(forget);
        }
    }

    /// Runs of upserts with equal tracked cells, ended by the next other one or by a delete.
    fn versions(&self, counting: &[Event], known: &Known, folded: &mut Folded) {
        let width = self.slots.len();
        folded.clear(counting.len());
        let [mut carried, mut newest] = [&mut folded.carried, &mut folded.newest].map(std::mem::take);
        carried.resize(width, At::NOWHERE);
        let mut live = false;
        for (number, event) in counting.iter().enumerate() {
            let last = folded.versions.len().wrapping_sub(1);
            if event.delete {
                carried.fill(At::NOWHERE);
                if live {
                    folded.versions[last].span.to = Some(event.at);
                    folded.versions[last].ended_by = Some(number);
                    if self.markers {
                        let span = Span { from: event.at, to: None, deleted: true, inferred: false };
                        let places = folded.places[last * width..].to_vec();
                        folded.push(span, Some(number), places);
                        folded.places[(last + 1) * width + FURTHER] = event.further;
                        folded.shown_in[number] = Some(last + 1);
                    } else {
                        folded.shown_in[number] = Some(last);
                    }
                }
                live = false;
                continue;
            }
            (carried[KEY], carried[FURTHER]) = (event.tracked, event.further);
            for (slot, carried) in carried.iter_mut().enumerate().skip(VALUES) {
                if !self.is_ignored(event, slot) {
                    *carried = if self.slots[slot].tracked { event.tracked } else { event.rest };
                }
            }
            folded.shown_in[number] = Some(last);
            let values = VALUES..width;
            let same = |slot: usize| self.same(known, slot, folded.places[last * width + slot], carried[slot]);
            if live && values.clone().filter(|slot| self.slots[*slot].tracked).all(same) {
                for slot in values.filter(|slot| !self.slots[*slot].tracked) {
                    folded.places[last * width + slot] = carried[slot];
                }
            } else {
                if let Some(open) = folded.versions.last_mut().filter(|last| last.span.to.is_none()) {
                    open.span.to = Some(event.at);
                }
                let span = Span { from: event.at, to: None, deleted: false, inferred: false };
                folded.push(span, Some(number), carried.iter().copied());
                folded.shown_in[number] = Some(folded.versions.len() - 1);
                live = true;
            }
            newest.clone_from(&carried);
        }
        if !newest.is_empty() {
            for slot in (VALUES..width).filter(|slot| self.slots[*slot].all_versions) {
                folded.places.iter_mut().skip(slot).step_by(width).for_each(|place| *place = newest[slot]);
            }
        }
        (folded.carried, folded.newest) = (carried, newest);
    }

    fn same(&self, known: &Known, slot: usize, a: At, b: At) -> bool {
        let known = known.same(a, b).filter(|_| self.slots[slot].tracked);
        known.unwrap_or_else(|| self.slot_equal(slot, a, b))
    }

    /// Makes what is there what it should be, and notes for each version the row that was there already.
    fn write(&self, folded: &mut Folded, rows: &[Row], known: &Known, edits: &mut Edits) {
        let width = self.slots.len();
        let Folded { versions, places, .. } = folded;
        let mut past = rows.iter().peekable();
        for (version, places) in versions.iter_mut().zip(places.chunks(width)) {
            while past.next_if(|row| row.from < version.span.from).is_some() {}
            let Some(old) = past.next_if(|row| row.from == version.span.from) else { continue };
            let equal = |tracked: bool| {
                let slots = (VALUES..width).filter(|slot| self.slots[*slot].tracked == tracked);
                slots.into_iter().all(|slot| self.same(known, slot, old.at, places[slot]))
            };
            let Span { to, deleted, inferred, .. } = version.span;
            version.old = Some(*old);
            version.stays = old.deleted == deleted && old.inferred == inferred && equal(true);
            version.same = version.stays && equal(false) && (old.to == to || to.is_some());
        }
        let spans = versions.iter().map(|version| version.span).zip(places.chunks(width));
        edits.make(self.history, rows, spans, |number, _| versions[number].same);
    }

    /// What the rows as they are now cannot carry goes to hidden state, and what they can leaves it.
    fn remember(&self, counting: &[Event], folded: &Folded, changes: &mut Changes) {
        for (number, event) in counting.iter().enumerate() {
            let needed = match folded.shown_in[number] {
                None => Some((DELETE, String::new())).filter(|_| event.delete),
                Some(version) => self.lacking(number, event, folded, version),
            };
            match (event.hidden, needed) {
                (Some((record, kind)), Some((needed, bits)))
                    if kind == needed && self.bits(record).unwrap_or_default() == bits.as_bytes() => {}
                (hidden, needed) => {
                    changes.hidden_removes.extend(hidden.map(|(record, _)| self.hidden.position(record)));
                    changes.hidden_adds.extend(needed.map(|(kind, bits)| Hidden { kind, bits, ..Hidden::of(event) }));
                }
            }
        }
    }

    /// The hidden row that an event needs beside the version that shows it.
    fn lacking(&self, number: usize, event: &Event, folded: &Folded, at: usize) -> Option<(u8, String)> {
        let width = self.slots.len();
        let version = &folded.versions[at];
        let shown = |slot: usize| match version.old.filter(|_| version.same) {
            Some(old) => old.at,
            None => folded.places[at * width + slot],
        };
        let numbers_shown = self.compare_further(shown(FURTHER), event.further).is_eq();
        if event.delete {
            let carried = if version.span.deleted { numbers_shown } else { self.further.is_empty() };
            return (!carried).then(|| (DELETE, String::new()));
        }
        let unauthored = self.ignoring_tracked.iter().filter(|column| {
            let place = folded.places[at * width + self.slot_of[**column]];
            !self.columns[**column].is_null(place) && self.is_null(event, **column)
        });
        let bits = unauthored.map(|column| self.escaped[*column].as_str()).collect::<Vec<_>>().join("\t");
        if version.opener != Some(number) {
            return Some((INNER, bits));
        }
        let untracked = (VALUES..width).filter(|slot| !self.slots[*slot].tracked);
        let all_shown = untracked.into_iter().all(|slot| self.slot_equal(slot, shown(slot), event.rest));
        let carried = version.span.from == event.at && numbers_shown && all_shown && bits.is_empty();
        (!carried).then_some((OPENER, bits))
    }

    /// Says what became of each event of the load: those have an effect that open or end a version where none opened or
    /// ended, or whose untracked cells are shown now.
    fn judge(
        &self,
        counting: &[Event],
        folded: &mut Folded,
        rows: &[Row],
        newest: Option<i64>,
        changed: bool,
        changes: &mut Changes,
    ) {
        let mut effect = std::mem::take(&mut folded.effect);
        if changed {
            self.effects(counting, folded, rows, &mut effect);
        }
        if changed && !(0..counting.len()).any(|number| effect[number] && counting[number].load.is_some()) {
            // What changed was said by an event that this one replaces.
            let last = counting.iter().rposition(|event| event.load.is_some());
            last.into_iter().for_each(|number| effect[number] = true);
        }
        let opens = folded.versions.iter().find(|version| !version.span.deleted && !version.span.inferred);
        let new = opens.filter(|_| newest.is_none()).and_then(|version| version.opener);
        for (number, event) in counting.iter().enumerate() {
            let outcome = match newest {
                _ if new == Some(number) => Outcome::New,
                _ if !effect[number] => Outcome::NoOp,
                Some(newest) if event.at < newest => Outcome::Late,
                _ => Outcome::Changed,
            };
            changes.say(event, outcome);
        }
        folded.effect = effect;
    }

    fn effects(&self, counting: &[Event], folded: &Folded, rows: &[Row], effect: &mut [bool]) {
        let width = self.slots.len();
        for (number, version) in folded.versions.iter().enumerate() {
            if let (false, Some(opener)) = (version.stays, version.opener) {
                effect[opener] = true;
            }
            if let Some(end) = version.ended_by
                && !rows.iter().any(|row| !row.deleted && row.to == Some(counting[end].at))
            {
                effect[end] = true;
            }
            let before = version.old.filter(|_| version.stays).map(|old| old.at);
            // A marker shows what the version before it shows: what its delete says of the columns means nothing.
            let opener = version.opener.filter(|_| !version.span.deleted);
            let before = before.or(opener.map(|opener| counting[opener].rest));
            for slot in (VALUES..width).filter(|slot| !self.slots[*slot].tracked) {
                let place = folded.places[number * width + slot];
                if before.is_some_and(|before| !self.slot_equal(slot, before, place)) {
                    let shows = |event: &Event| event.load.is_some() && event.rest == place;
                    counting.iter().position(shows).into_iter().for_each(|event| effect[event] = true);
                }
            }
        }
        let starts = |from: i64| folded.versions.iter().any(|version| version.span.from == from);
        for gone in rows.iter().filter(|row| !starts(row.from)) {
            let here = counting.iter().position(|event| event.at == gone.from);
            here.into_iter().for_each(|event| effect[event] = true);
        }
    }
}

impl Folded {
    /// Forgets the last key; the next one has so many events.
    fn clear(&mut self, events: usize) {
        self.versions.clear();
        self.places.clear();
        self.carried.clear();
        self.newest.clear();
        self.shown_in.clear();
        self.shown_in.resize(events, None);
        self.effect.clear();
        self.effect.resize(events, false);
    }

    fn push(&mut self, span: Span, opener: Option<usize>, places: impl IntoIterator<Item = At>) {
        self.versions.push(Version { span, opener, ended_by: None, old: None, stays: false, same: false });
        self.places.extend(places);
    }
}
