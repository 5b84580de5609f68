//! The events of a key: those that its visible rows and hidden state stand for, and which of a load count beside them.

use std::cmp::Ordering;

use super::{Changes, DELETE, FIRST, Feed, INNER, MEMBER, OPENER};
use crate::cells::At;
use crate::history::Row;
use crate::{Error, Fault, Outcome, RefusalCode, Refused};

/// An observation: where its parts are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    /// Its valid time.
    pub(crate) at: i64,
    pub(crate) delete: bool,
    /// Keys and tracked columns.
    pub(crate) tracked: At,
    /// Untracked columns.
    pub(crate) rest: At,
    /// Further sequences.
    pub(crate) further: At,
    /// The hidden row that stands for it or for what its visible row cannot carry, and of which kind that is.
    pub(crate) hidden: Option<(At, u8)>,
    /// Its row in the load; `None`: it is stored.
    pub(crate) load: Option<u32>,
}

/// What is stored of a key.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// In the order of their valid times, of which each is there once.
    pub(crate) events: Vec<Event>,
    /// The hidden row that says that the key was in the first load.
    pub(crate) first: Option<At>,
    /// Since when there is a row of the key that was inferred, and the hidden row that says so.
    pub(crate) member: Option<(i64, At)>,
}

impl Feed<'_> {
    /// Reads a key's events back from its versions, in order of `valid_from`, and its hidden rows.
    pub(super) fn read_back(&self, rows: &[Row], hidden: &[At], stored: &mut Stored) -> Result<(), Error> {
        stored.events.clear();
        (stored.first, stored.member) = (None, None);
        let mut openers: Vec<(i64, At)> = Vec::new();
        for at in hidden {
            let instant = self.hidden_instant(*at)?;
            let event = |delete, tracked, kind| Event {
                at: instant,
                delete,
                tracked,
                rest: *at,
                further: *at,
                hidden: Some((*at, kind)),
                load: None,
            };
            match self.hidden_kind(*at) {
                FIRST => stored.first = Some(*at),
                MEMBER => stored.member = Some((instant, *at)),
                OPENER => openers.push((instant, *at)),
                DELETE => stored.events.push(event(true, *at, DELETE)),
                INNER => {
                    let version = rows.iter().find(|row| row.covers(instant) && !row.deleted && !row.inferred);
                    let version = version.ok_or_else(|| self.uncovered(*at))?;
                    stored.events.push(event(false, version.at, INNER));
                }
                _ => return Err(self.uncovered(*at)),
            }
        }
        for (number, row) in rows.iter().enumerate().filter(|(_, row)| !row.inferred) {
            let opener = openers.iter().position(|(at, _)| row.covers(*at)).map(|found| openers.swap_remove(found));
            let (at, record) = opener.map_or((row.from, row.at), |(instant, record)| (instant, record));
            let hidden = opener.map(|(_, record)| (record, OPENER));
            let deleted_here =
                |stored: &Stored, at: i64| stored.events.iter().any(|event| event.delete && event.at == at);
            if !row.deleted {
                let event =
                    Event { at, delete: false, tracked: row.at, rest: record, further: record, hidden, load: None };
                stored.events.push(event);
            } else if !deleted_here(stored, row.from) {
                stored.events.push(Event { delete: true, ..Event::visible(row.from, row.at) });
            }
            let ended = row.to.filter(|to| rows.get(number + 1).is_none_or(|next| next.from != *to));
            if let Some(to) = ended.filter(|to| !deleted_here(stored, *to)) {
                stored.events.push(Event { delete: true, further: At::NOWHERE, ..Event::visible(to, row.at) });
            }
        }
        if let Some((_, record)) = openers.first() {
            return Err(self.uncovered(*record));
        }
        stored.events.sort_unstable_by_key(|event| event.at);
        let twice = stored.events.windows(2).find(|pair| pair[0].at == pair[1].at);
        match twice.and_then(|pair| Some((pair[0].hidden?.0, pair[1].hidden?.0))) {
            Some((a, b)) => {
                let (a, b) = (self.hidden.position(a.min(b)), self.hidden.position(a.max(b)));
                Err(Error::BrokenHidden { row: b, fault: Fault::StoredTwice { other: a } })
            }
            None => match twice.and_then(|pair| pair[0].hidden.or(pair[1].hidden)) {
                Some((record, _)) => Err(self.uncovered(record)),
                None => Ok(()),
            },
        }
    }

    fn uncovered(&self, at: At) -> Error {
        Error::HiddenUncovered { row: self.hidden.position(at) }
    }

    /// The events that count: of each valid time the greatest. Says what becomes of those of the load that do not, and
    /// which hidden rows no longer stand for anything.
    pub(super) fn accept(
        &self,
        stored: &mut Vec<Event>,
        incoming: &mut [Event],
        counting: &mut Vec<Event>,
        changes: &mut Changes,
    ) {
        incoming.sort_unstable_by(|a, b| {
            let further = || self.compare_further(b.further, a.further);
            a.at.cmp(&b.at).then_with(further).then_with(|| a.load.cmp(&b.load))
        });
        counting.clear();
        let mut stored = stored.drain(..).peekable();
        for same_time in incoming.chunk_by(|a, b| a.at == b.at) {
            while let Some(event) = stored.next_if(|event| event.at < same_time[0].at) {
                counting.push(event);
            }
            let old = stored.next_if(|event| event.at == same_time[0].at);
            let mut best = old;
            for same in same_time.chunk_by(|a, b| self.compare_further(a.further, b.further).is_eq()) {
                best = self.greatest(best, same, changes);
            }
            if let Some((record, _)) = old.and_then(|old| old.hidden)
                && best.is_some_and(|best| best.load.is_some())
            {
                changes.hidden_removes.push(self.hidden.position(record));
            }
            counting.extend(best);
        }
        counting.extend(stored);
    }

    /// The greatest event of one valid time and the events of the load of one smaller, equal or greater sequence.
    fn greatest(&self, best: Option<Event>, same: &[Event], changes: &mut Changes) -> Option<Event> {
        let order = best.map(|best| self.compare_further(best.further, same[0].further));
        let mut say = |event: &Event, outcome| changes.say(event, outcome);
        let repeats = |say: &mut dyn FnMut(&Event, Outcome), events: &mut dyn Iterator<Item = &Event>| {
            for (number, event) in events.enumerate() {
                say(event, if number == 0 { Outcome::NoOp } else { Outcome::Collapsed });
            }
        };
        let deleted = same.iter().position(|event| event.delete);
        match (best, order) {
            (Some(best), Some(Ordering::Greater)) => {
                let outcome = if best.load.is_some() { Outcome::Collapsed } else { Outcome::NoOp };
                same.iter().for_each(|event| say(event, outcome));
                Some(best)
            }
            (Some(best), Some(Ordering::Equal)) if best.delete => {
                repeats(&mut say, &mut same.iter());
                Some(best)
            }
            _ if let Some(deleted) = deleted => {
                let others = same.iter().enumerate().filter(|(at, _)| *at != deleted);
                others.for_each(|(_, event)| say(event, Outcome::Collapsed));
                Some(same[deleted])
            }
            (Some(best), Some(Ordering::Equal)) => {
                repeats(&mut say, &mut same.iter().filter(|event| self.says_the_same(&best, event)));
                let others = same.iter().filter(|event| !self.says_the_same(&best, event));
                others.for_each(|event| changes.refuse(event));
                Some(best)
            }
            _ if same.iter().all(|event| self.says_the_same(&same[0], event)) => {
                same[1..].iter().for_each(|event| say(event, Outcome::Collapsed));
                Some(same[0])
            }
            _ => {
                same.iter().for_each(|event| changes.refuse(event));
                best
            }
        }
    }

    fn says_the_same(&self, a: &Event, b: &Event) -> bool {
        let columns = self.columns.iter().zip(&self.slot_of);
        columns.into_iter().enumerate().all(|(number, (column, slot))| {
            let cell = |event: &Event| {
                if self.slots[*slot].tracked {
                    Some(event.tracked).filter(|_| !self.is_unauthored(event, number)).and_then(|at| column.value(at))
                } else {
                    column.value(event.rest)
                }
            };
            cell(a) == cell(b)
        })
    }

    pub(crate) fn compare_further(&self, a: At, b: At) -> Ordering {
        let orders = self.further.iter().map(|column| column.compare(a, b));
        orders.fold(Ordering::Equal, Ordering::then)
    }
}

impl Event {
    fn visible(at: i64, row: At) -> Self {
        Event { at, delete: false, tracked: row, rest: row, further: row, hidden: None, load: None }
    }
}

impl Changes {
    /// What became of a row of the load; the first effect that was found stays.
    pub(crate) fn say(&mut self, event: &Event, outcome: Outcome) {
        self.outcomes.extend(event.load.map(|row| (row, outcome)));
    }

    fn refuse(&mut self, event: &Event) {
        self.refused.extend(event.load.map(|row| Refused { row: row as usize, code: RefusalCode::Conflict }));
    }
}
