//! The history of one key, recomputed from all its observations and compared with what is there.

use super::{Changes, Event, Events, Observations, Past};
use crate::history::{Interval, check_neighbours};
use crate::opens::Open;
use crate::{Close, Error, Fault, Outcome, RefusalCode, Refused};

/// A maximal run of counting events with equal tracked values: positions in the list of those that count.
struct Run {
    first: usize,
    last: usize,
    from: i64,
    to: Option<i64>,
}

/// What is there of a key, in order of `valid_from`.
struct Old<'a> {
    rows: &'a [(usize, Interval, usize)],
    past: &'a Past,
    events: &'a Events<'a>,
}

impl<'a> Old<'a> {
    fn starting_at(&self, from: i64) -> Option<&'a (usize, Interval, usize)> {
        let found = self.rows.binary_search_by_key(&from, |(_, interval, _)| interval.from);
        found.ok().map(|at| &self.rows[at])
    }

    fn tracks(&self, value: usize, event: &Event) -> bool {
        self.events.tracked.get(event.value) == self.past.tracked.get(value)
    }

    fn shows(&self, value: usize, event: &Event) -> bool {
        self.events.latest.get(event.value) == self.past.latest.get(value)
    }
}

impl Observations {
    /// Recomputes the history of one key and says how it differs from what is there.
    pub(super) fn fold(
        &self,
        group: &[Event],
        events: &Events,
        past: &Past,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let accepted = self.accept(group, events, changes)?;
        if accepted.iter().all(|event| event.at < self.stored) {
            return Ok(());
        }
        let Some(key) = group.first().map(|event| event.key) else { return Ok(()) };
        let old = Old { rows: &past.rows[past.begins[key]..past.begins[key + 1]], past, events };
        self.check_past(old.rows, &accepted)?;

        // Of one valid time only the greatest counts: the last one, as the events are in order of their sequence.
        let same_instant = accepted.chunk_by(|a, b| a.instant == b.instant);
        let counting: Vec<&Event> = same_instant.filter_map(|same| same.last().copied()).collect();
        let runs = runs_of(&counting, events);
        write(&counting, &runs, &old, changes);
        self.judge(&accepted, &counting, &runs, &old, changes);
        Ok(())
    }

    /// Says what became of each new event. It has an effect if it begins a version that was not there, takes one away
    /// that was, or shows its untracked values in one that stays: every difference is the effect of some new event.
    fn judge(&self, accepted: &[&Event], counting: &[&Event], runs: &[Run], old: &Old, changes: &mut Changes) {
        let newest_stored = accepted.iter().rfind(|event| event.at < self.stored);
        let newest_stored = newest_stored.map(|event| self.sequences.get(event.at));
        for run in runs {
            let begins = counting[run.first];
            let stays = old.starting_at(run.from).filter(|(_, _, value)| old.tracks(*value, begins));
            for (at, event) in counting.iter().enumerate().take(run.last + 1).skip(run.first) {
                if event.at < self.stored {
                    continue;
                }
                let same_versions = match old.starting_at(event.instant) {
                    Some((_, _, value)) => at == run.first && old.tracks(*value, event),
                    None => at != run.first,
                };
                let shows = at == run.last && stays.is_some_and(|(_, _, value)| !old.shows(*value, event));
                let outcome = match newest_stored {
                    None if at == 0 => Outcome::New,
                    _ if same_versions && !shows => Outcome::NoOp,
                    Some(newest) if self.sequences.get(event.at) < newest => Outcome::Late,
                    _ => Outcome::Changed,
                };
                changes.outcomes.push((event.at - self.stored, outcome));
            }
        }
    }

    /// The observations of a key, one for each sequence; rows of the load that repeat or contradict one are set aside.
    fn accept<'e>(&self, group: &'e [Event], events: &Events, changes: &mut Changes) -> Result<Vec<&'e Event>, Error> {
        let equal = |a: &Event, b: &Event| {
            events.tracked.get(a.value) == events.tracked.get(b.value)
                && events.latest.get(a.value) == events.latest.get(b.value)
        };
        let mut accepted = Vec::with_capacity(group.len());
        for same in group.chunk_by(|a, b| self.sequences.get(a.at) == self.sequences.get(b.at)) {
            let [first, others @ ..] = same else { continue };
            let refuse = |event: &Event| Refused { row: event.at - self.stored, code: RefusalCode::Conflict };
            if first.at < self.stored {
                accepted.push(first);
                for other in others {
                    if other.at < self.stored {
                        let fault = Fault::StoredTwice { other: first.at };
                        return Err(Error::BrokenHidden { row: other.at, fault });
                    }
                    if !equal(first, other) {
                        changes.refused.push(refuse(other));
                    }
                }
            } else if others.iter().all(|other| equal(first, other)) {
                accepted.push(first);
                changes.remembered.push(first.at);
                changes.outcomes.extend(others.iter().map(|other| (other.at - self.stored, Outcome::Collapsed)));
            } else {
                changes.refused.extend(same.iter().map(refuse));
            }
        }
        Ok(accepted)
    }

    /// A version whose opening observation is not stored would silently vanish, so it is an error.
    fn check_past(&self, old: &[(usize, Interval, usize)], accepted: &[&Event]) -> Result<(), Error> {
        old.windows(2).try_for_each(|pair| check_neighbours(&pair[0].1, &pair[1].1))?;
        let mut stored = accepted.iter().filter(|event| event.at < self.stored).map(|event| event.instant);
        for (_, interval, _) in old {
            if !stored.any(|instant| instant == interval.from) {
                return Err(Error::HiddenLacks { row: interval.row });
            }
        }
        Ok(())
    }
}

fn runs_of(counting: &[&Event], events: &Events) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, event) in counting.iter().enumerate() {
        let from = event.instant;
        match runs.last_mut() {
            Some(run) if events.tracked.get(counting[run.first].value) == events.tracked.get(event.value) => {
                run.last = at;
            }
            before => {
                if let Some(run) = before {
                    run.to = Some(from);
                }
                runs.push(Run { first: at, last: at, from, to: None });
            }
        }
    }
    runs
}

/// Makes what is there what it should be: rows that are right already stay as they are.
fn write(counting: &[&Event], runs: &[Run], old: &Old, changes: &mut Changes) {
    for run in runs {
        let (first, last) = (counting[run.first], counting[run.last]);
        let there = old.starting_at(run.from);
        let same_values = there.filter(|(_, _, value)| old.tracks(*value, first) && old.shows(*value, last));
        match (same_values.map(|(_, interval, _)| (interval.row, interval.to)), run.to) {
            (Some((_, was)), to) if was == to => {}
            (Some((row, None)), Some(valid_to)) => changes.closes.push(Close { row, valid_to }),
            _ => {
                changes.withdrawals.extend(there.map(|(_, interval, _)| interval.row));
                changes.opens.push(Open { first: first.at, last: last.at, from: run.from, to: run.to });
            }
        }
    }
    let starts = |from: i64| runs.binary_search_by_key(&from, |run| run.from).is_ok();
    let vanished = old.rows.iter().filter(|(_, interval, _)| !starts(interval.from));
    changes.withdrawals.extend(vanished.map(|(_, interval, _)| interval.row));
}
