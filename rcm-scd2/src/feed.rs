//! Feeds: history as a fold over all observations of a key, in the order of their sequence.
//!
//! Visible rows are read back as the events that they stand for, hidden state adds what they cannot carry, the load
//! brings new ones; the fold of all is compared with what is there.

mod events;
mod fold;
mod hidden;
mod horizon;

use arrow::array::RecordBatch;
use rayon::prelude::*;

pub(crate) use events::Event;
use fold::{Known, Room};
use hidden::{DELETE, FIRST, INNER, MEMBER, OPENER};
pub(crate) use hidden::{HIDDEN, Hidden};
use horizon::Horizon;

use crate::cells::{At, Column};
use crate::edits::Edits;
use crate::history::{self, Intervals, Row, check_keys};
use crate::incoming::{self, Incoming};
use crate::index::{Found, Index};
use crate::opens::{Opens, Stored};
use crate::space::{Section, Space};
use crate::spec::{IS_INFERRED, InitialValidFrom};
use crate::{BadRows, Error, Load, Merged, Outcome, Patch, Refused, Rule, Spec, State};

/// Numbers of the sections.
const HISTORY: usize = 0;
const OLD: usize = 1;
pub(crate) const LOAD: usize = 2;

/// Keys that one task folds: enough to hide the cost of a task, few enough to share the work out evenly.
const KEYS_PER_TASK: usize = 4096;

/// Columns whose cells always come from one place.
pub(crate) struct Slot {
    tracked: bool,
    all_versions: bool,
    columns: Vec<usize>,
}

/// All that the fold of a key reads.
pub(crate) struct Feed<'a> {
    spec: &'a Spec,
    pub(crate) history: &'a Section<'a>,
    pub(crate) hidden: &'a Section<'a>,
    pub(crate) intervals: Intervals,
    pub(crate) keys: Vec<Column>,
    /// Those of the spec, and the slot of each.
    columns: Vec<Column>,
    slot_of: Vec<usize>,
    slots: Vec<Slot>,
    further: Vec<Column>,
    /// The tracked columns, where they are one slot.
    compared: Vec<Column>,
    /// By slot: the column in which a null means "as before".
    ignoring: Vec<Option<usize>>,
    /// The tracked ones among them, in order of their names.
    ignoring_tracked: Vec<usize>,
    /// The names of the columns, without tabs.
    escaped: Vec<String>,
    marks: hidden::Columns,
    markers: bool,
    /// Where first versions start, if they all start at one instant.
    epoch: Option<i64>,
    first_load: bool,
    /// Events from this instant on are as if they had not been.
    pub(crate) until: Option<i64>,
}

/// What folds want done.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) edits: Edits,
    pub(crate) hidden_removes: Vec<usize>,
    pub(crate) hidden_adds: Vec<Hidden>,
    pub(crate) outcomes: Vec<(u32, Outcome)>,
    pub(crate) refused: Vec<Refused>,
    /// Keys that are live no more.
    pub(crate) ended: u64,
}

impl Changes {
    /// Adds all but the edits.
    fn append(&mut self, mut other: Changes) {
        self.hidden_removes.append(&mut other.hidden_removes);
        self.hidden_adds.append(&mut other.hidden_adds);
        self.outcomes.append(&mut other.outcomes);
        self.refused.append(&mut other.refused);
        self.ended += other.ended;
    }
}

/// A feed's sections: history, hidden state, and the rows that come.
pub(crate) fn space<'a>(state: &'a State, rows: &'a [RecordBatch]) -> Result<Space<'a>, Error> {
    Space::new(&[(history::PLACE, &state.history), (HIDDEN, &state.hidden), (incoming::PLACE, rows)])
}

pub(crate) fn merge(spec: &Spec, state: &State, load: &Load) -> Result<Merged, Error> {
    let space = space(state, load.rows)?;
    let feed = Feed::of(spec, &space, state, true)?;
    let rows = Incoming::read(spec, &space, LOAD)?;
    let horizon = Horizon::of(spec, &state.ledger)?;

    let mut changes = Changes::default();
    let section = space.section(LOAD);
    let mut good = vec![true; section.rows()];
    for (row, code) in rows.all_bad(&feed.keys, section) {
        good[row] = false;
        changes.refused.push(Refused { row, code });
    }
    if horizon.is_set() {
        for (row, instant) in rows.instants.iter().enumerate().filter(|(row, _)| good[*row]).collect::<Vec<_>>() {
            if let Some(code) = horizon.refuses(*instant) {
                good[row] = false;
                changes.refused.push(Refused { row, code });
            }
        }
    }
    let probes = space.section(HISTORY).rows();
    let index = Index::build(&feed.keys, &[&feed.compared], &[section], probes, &|row| good[row]);
    let mut events: Vec<(u32, Event)> = index
        .rep_of_rows()
        .into_iter()
        .zip(section.all().enumerate())
        .filter(|(_, (row, _))| good[*row])
        .map(|(rep, (row, at))| (rep, rows.event(at, row)))
        .collect();
    events.par_sort_by_key(|(rep, _)| *rep);
    let groups: Vec<(u32, &[(u32, Event)])> =
        events.chunk_by(|a, b| a.0 == b.0).map(|group| (group[0].0, group)).collect();
    feed.fold_all(&index, &groups, &mut changes)?;

    if spec.bad_rows == BadRows::Error && !changes.refused.is_empty() {
        changes.refused.sort_unstable_by_key(|refused| refused.row);
        let keys = incoming::keys_of(&feed.keys, section, &changes.refused);
        return Err(Error::BadRows { rows: changes.refused, keys });
    }
    feed.check_ratio(changes.ended)?;
    let refused: std::collections::HashSet<usize> = changes.refused.iter().map(|refused| refused.row).collect();
    let accepted = |event: &Event| event.load.is_none_or(|row| !refused.contains(&(row as usize)));
    let newest = events.iter().filter(|(_, event)| accepted(event)).map(|(_, event)| event.at).max();
    let (ledger, watermark) = horizon.advance(newest)?;
    if let Some(watermark) = watermark {
        changes.hidden_removes.extend(feed.superfluous(watermark, &index)?);
    }
    let absent = incoming::absent_columns(spec, section);
    feed.finish(changes, section.rows(), ledger, absent)
}

impl<'a> Feed<'a> {
    /// `numbered`: whether the rows that come have the further sequences.
    pub(crate) fn of(spec: &'a Spec, space: &'a Space<'a>, state: &State, numbered: bool) -> Result<Self, Error> {
        incoming::check_record(spec, [&state.hidden, &state.ledger])?;
        let (history, hidden) = (space.section(HISTORY), space.section(OLD));
        let keys = space.columns(spec.keys(), &[HISTORY, OLD, LOAD])?;
        check_keys(spec, history::PLACE, history, &keys)?;
        check_keys(spec, HIDDEN, hidden, &keys)?;
        let columns = space.columns(spec.columns().iter().map(|(name, _)| name), &[])?;
        let everywhere = [HISTORY, OLD, LOAD];
        let further = space.columns(spec.stored_sequence(), if numbered { &everywhere } else { &everywhere[..2] })?;

        let rules = spec.columns().iter().map(|(name, rule)| (*rule, spec.ignores_null(name)));
        let rules: Vec<(Rule, bool)> = rules.collect();
        let each = rules.iter().any(|(_, ignores)| *ignores);
        let slot = |rule: Rule| Slot {
            tracked: rule == Rule::Track,
            all_versions: rule == Rule::AllVersions,
            columns: Vec::new(),
        };
        // The keys, then the further sequences; then columns by rule, or one by one where each carries its own nulls.
        let mut slots = vec![slot(Rule::Track), slot(Rule::Keep)];
        let mut slot_of = Vec::new();
        for (number, (rule, _)) in rules.iter().enumerate() {
            let same =
                |slot: &Slot| (slot.tracked, slot.all_versions) == (*rule == Rule::Track, *rule == Rule::AllVersions);
            let there = slots.iter().skip(fold::VALUES).position(same).filter(|_| !each);
            let at = there.map_or(slots.len(), |found| found + fold::VALUES);
            if at == slots.len() {
                slots.push(slot(*rule));
            }
            slots[at].columns.push(number);
            slot_of.push(at);
        }
        let ignoring = |slot: &Slot| slot.columns.iter().copied().find(|number| rules[*number].1);
        let ignoring: Vec<Option<usize>> = slots.iter().map(ignoring).collect();
        let tracked = ignoring.iter().zip(&slots).filter(|(_, slot)| slot.tracked);
        let mut ignoring_tracked: Vec<usize> = tracked.filter_map(|(column, _)| *column).collect();
        ignoring_tracked.sort_by_key(|column| &spec.columns()[*column].0);
        let one_slot = columns.iter().zip(spec.columns()).filter(|(_, (_, rule))| *rule == Rule::Track && !each);
        let compared = one_slot.map(|(column, _)| column.clone()).collect();
        let escaped = spec.columns().iter().map(|(name, _)| name.escape_default().to_string()).collect();

        let (intervals, marks) = (Intervals::of(spec, history)?, hidden::Columns::of(space, OLD)?);
        // Inferred members are no load.
        let members = || hidden.all().all(|at| marks.is_member(at));
        let empty = history.all().all(|at| intervals.row(at).inferred) && members();
        Ok(Feed {
            spec,
            history,
            hidden,
            intervals,
            keys,
            columns,
            slot_of,
            slots,
            further,
            compared,
            ignoring,
            ignoring_tracked,
            escaped,
            marks,
            markers: spec.markers(),
            epoch: (spec.initial == InitialValidFrom::Epoch).then_some(0),
            first_load: spec.initial == InitialValidFrom::EpochFirstLoad && empty,
            until: None,
        })
    }

    /// Whether the event says nothing about the column of a slot.
    fn is_ignored(&self, event: &Event, slot: usize) -> bool {
        self.ignoring[slot].is_some_and(|column| self.is_null(event, column))
    }

    fn is_null(&self, event: &Event, column: usize) -> bool {
        match self.slots[self.slot_of[column]].tracked {
            true => self.is_unauthored(event, column) || self.columns[column].is_null(event.tracked),
            false => self.columns[column].is_null(event.rest),
        }
    }

    fn slot_equal(&self, slot: usize, a: At, b: At) -> bool {
        a == b || self.slots[slot].columns.iter().all(|column| self.columns[*column].equal(a, b))
    }

    /// Folds some keys, each by its first row in the index and in that order, with what comes to it.
    pub(crate) fn fold_all(
        &self,
        index: &Index,
        groups: &[(u32, &[(u32, Event)])],
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let found = index.compare_all(self.history).into_par_iter();
        let mut rows: Vec<(Row, Found)> = found.map(|found| (self.intervals.row(found.at), found)).collect();
        rows.par_sort_unstable_by_key(|(row, found)| (found.rep, row.from, row.at));
        let mut hidden = index.find_all(self.hidden);
        hidden.par_sort_unstable();

        let task = |groups: &[(u32, &[(u32, Event)])]| {
            let mut part = Changes::default();
            let (mut of_key, mut marks, mut room) = (Vec::new(), Vec::new(), Room::default());
            let first = groups[0].0;
            let mut next_row = rows.partition_point(|(_, found)| found.rep < first);
            let mut next_hidden = hidden.partition_point(|(rep, _)| *rep < first);
            for (rep, group) in groups {
                of_key.clear();
                next_row += rows[next_row..].iter().take_while(|(_, found)| found.rep < *rep).count();
                let mine = next_row;
                next_row += rows[mine..].iter().take_while(|(_, found)| found.rep == *rep).count();
                of_key.extend(rows[mine..next_row].iter().map(|(row, _)| *row));
                let known = Known {
                    rep: group.iter().find(|(_, event)| event.load == Some(*rep)).map(|(_, event)| event.tracked),
                    rows: &rows[mine..next_row],
                };
                marks.clear();
                while let Some((other, at)) = hidden.get(next_hidden).filter(|(other, _)| other <= rep) {
                    marks.extend((other == rep).then_some(*at));
                    next_hidden += 1;
                }
                room.incoming.clear();
                room.incoming.extend(group.iter().map(|(_, event)| *event));
                self.fold(&of_key, &known, &marks, &mut room, &mut part)?;
            }
            Ok::<_, Error>(part)
        };
        let mut parts = groups.par_chunks(KEYS_PER_TASK).with_max_len(1).map(task).collect::<Result<Vec<_>, _>>()?;
        let edits = std::iter::once(&mut *changes).chain(&mut parts).map(|part| std::mem::take(&mut part.edits));
        changes.edits = Edits::concat(edits.collect());
        parts.into_iter().for_each(|part| changes.append(part));
        Ok(())
    }

    fn check_ratio(&self, ended: u64) -> Result<(), Error> {
        let Some(ratio) = self.spec.max_delete_ratio() else { return Ok(()) };
        let live = self.history.all().filter(|at| self.intervals.row(*at).is_live()).count() as u64;
        incoming::check_ratio(None, ended, live, ratio)
    }

    pub(crate) fn finish(
        &self,
        mut changes: Changes,
        rows: usize,
        ledger: Patch,
        absent_columns: Vec<String>,
    ) -> Result<Merged, Error> {
        let mut outcomes = vec![Outcome::NoOp; rows];
        for (row, outcome) in &changes.outcomes {
            // A correction is two events: its effect is that of either.
            if *outcome != Outcome::NoOp {
                outcomes[*row as usize] = *outcome;
            }
        }
        changes.refused.iter().for_each(|refused| outcomes[refused.row] = Outcome::Refused);
        changes.edits.opens.sort(self.slots.len());
        let opens = self.stored(&changes.edits.opens).batch(self.spec, &changes.edits.opens)?;
        let hidden = self.hidden_patch(&mut changes)?;
        let Changes { edits: Edits { closes, withdrawals, .. }, refused, .. } = changes;
        let merged = Merged::of(closes, withdrawals, opens, hidden, ledger, outcomes, refused);
        Ok(Merged { absent_columns, ..merged })
    }

    pub(crate) fn stored(&self, opens: &Opens) -> Stored<'_> {
        let further = self.further.iter().map(|column| (column, fold::FURTHER));
        let columns = self.columns.iter().zip(self.slot_of.iter().copied());
        let keys = self.keys.iter().map(|column| (column, fold::KEY));
        let inferred = self.history.has(IS_INFERRED) || opens.spans.iter().any(|span| span.inferred);
        Stored { columns: keys.chain(columns).chain(further).collect(), slots: self.slots.len(), inferred }
    }

    /// The places of a version that has a key and no other cells.
    pub(crate) fn only_key(&self, key: At) -> impl Iterator<Item = At> {
        std::iter::once(key).chain(std::iter::repeat_n(At::NOWHERE, self.slots.len() - 1))
    }

    pub(crate) fn stored_events(&self, rows: &[Row], hidden: &[At]) -> Result<Vec<Event>, Error> {
        let mut stored = events::Stored::default();
        self.read_back(rows, hidden, &mut stored)?;
        Ok(stored.events)
    }

    /// The instant before which observations may have been forgotten.
    pub(crate) fn watermark(&self, ledger: &[RecordBatch]) -> Result<Option<i64>, Error> {
        Ok(Horizon::of(self.spec, ledger)?.watermark())
    }

    /// The newest valid time that is left of a feed with a late horizon.
    pub(crate) fn rewound_ledger(&self, ledger: &[RecordBatch], to: i64) -> Result<Patch, Error> {
        let rows = self.history.all().map(|at| self.intervals.row(at)).filter(|row| !row.inferred);
        let ends = rows.flat_map(|row| [Some(row.from), row.to]).flatten();
        let events = self.hidden.all().filter(|at| !self.marks.is_member(*at));
        let marks = events.filter_map(|at| self.hidden_instant(at).ok());
        Horizon::of(self.spec, ledger)?.rewind(to, ends.chain(marks).filter(|at| *at < to).max())
    }
}
