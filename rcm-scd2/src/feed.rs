//! Feeds: history as a fold over all observations of a key, in order of their sequence.

mod fold;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use rayon::prelude::*;

use crate::columns::{first_null, instants, pick, present, read, read_rows, types};
use crate::history::{self, Interval, intervals, with_offsets};
use crate::opens::{Observed, Open, fields};
use crate::rows::{Encoded, Encoder, Encoders, Numbers};
use crate::{Close, Counts, Error, Fault, Load, Merged, Outcome, RefusalCode, Refused, Spec};

const HIDDEN: &str = "hidden";
const LOAD: &str = "load";
/// Keys that one task folds: enough to hide the cost of a task, few enough to share the work out evenly.
const KEYS_PER_TASK: usize = 2048;

pub(crate) fn merge(
    spec: &Spec,
    sequence: &[String],
    history: &[RecordBatch],
    hidden: &[RecordBatch],
    load: &Load,
) -> Result<Merged, Error> {
    let observations = Observations::read(spec, sequence, history, hidden, load)?;
    let mut changes = Changes::default();
    let events = observations.events_of_touched_keys(&mut changes)?;
    let past = observations.past_of_touched_keys(spec, history, &events)?;

    let groups: Vec<&[Event]> = events.list.chunk_by(|a, b| a.key == b.key).collect();
    let fold = |groups: &[&[Event]]| {
        let mut part = Changes::default();
        for group in groups {
            observations.fold(group, &events, &past, &mut part)?;
        }
        Ok::<_, Error>(part)
    };
    let parts = groups.par_chunks(KEYS_PER_TASK).map(fold).collect::<Result<Vec<_>, _>>()?;
    for part in parts {
        changes.append(part);
    }
    observations.finish(spec, sequence, changes)
}

/// All observations: those of hidden state first, then the rows of the load.
struct Observations {
    columns: Observed,
    sequence: Vec<ArrayRef>,
    /// The first so many are hidden state.
    stored: usize,
    keys: Encoded,
    sequences: Encoded,
    instants: Vec<i64>,
    encoders: Encoders,
}

/// An observation of a key that the load touches.
struct Event {
    key: usize,
    /// Position among all observations.
    at: usize,
    instant: i64,
    /// Position among the encoded values.
    value: usize,
}

/// The events of the touched keys, in order of key and sequence.
struct Events<'a> {
    list: Vec<Event>,
    keys: Numbers<'a>,
    tracked: Encoded,
    latest: Encoded,
}

/// The history of the touched keys.
struct Past {
    /// In order of key and `valid_from`; the last number is the position among the encoded values.
    rows: Vec<(usize, Interval, usize)>,
    /// Where the rows of each key begin.
    begins: Vec<usize>,
    tracked: Encoded,
    latest: Encoded,
}

#[derive(Default)]
struct Changes {
    closes: Vec<Close>,
    withdrawals: Vec<usize>,
    opens: Vec<Open>,
    /// New observations that hidden state takes up.
    remembered: Vec<usize>,
    outcomes: Vec<(usize, Outcome)>,
    refused: Vec<Refused>,
}

impl Changes {
    fn append(&mut self, mut other: Changes) {
        self.closes.append(&mut other.closes);
        self.withdrawals.append(&mut other.withdrawals);
        self.opens.append(&mut other.opens);
        self.remembered.append(&mut other.remembered);
        self.outcomes.append(&mut other.outcomes);
        self.refused.append(&mut other.refused);
    }
}

impl Observations {
    fn read(
        spec: &Spec,
        sequence: &[String],
        history: &[RecordBatch],
        hidden: &[RecordBatch],
        load: &Load,
    ) -> Result<Self, Error> {
        let sources = [(HIDDEN, hidden), (LOAD, load.rows)];
        let with_history = [(history::PLACE, history), sources[0], sources[1]];
        let key_types = types(spec.keys(), &with_history)?;
        let tracked_types = types(spec.tracked(), &with_history)?;
        let latest_types = types(spec.latest_in_run(), &with_history)?;
        let encoders = Encoders::new(key_types, tracked_types, latest_types)?;
        let sequence_types = types(sequence, &sources)?;
        if let (Some(column), Some(found)) = (sequence.first(), sequence_types.first())
            && !matches!(found, DataType::Date32 | DataType::Timestamp(..) | DataType::Null)
        {
            let expected = "Date32 or a timestamp".to_owned();
            return Err(Error::ColumnType { place: LOAD, column: column.clone(), found: found.clone(), expected });
        }

        let columns = Observed {
            keys: read(&sources, spec.keys(), &encoders.key_types)?,
            tracked: read(&sources, spec.tracked(), &encoders.tracked_types)?,
            latest: read(&sources, spec.latest_in_run(), &encoders.latest_types)?,
        };
        let sequence_columns = read(&sources, sequence, &sequence_types)?;
        let stored: usize = hidden.iter().map(RecordBatch::num_rows).sum();
        for (columns, fault) in [(&columns.keys, Fault::NullKey), (&sequence_columns, Fault::NullSequence)] {
            if let Some(row) = first_null(columns).filter(|row| *row < stored) {
                return Err(Error::BrokenHidden { row, fault });
            }
        }
        let instants = sequence_columns.first().map_or(Ok(Vec::new()), instants).map_err(|row| {
            let (place, row) = if row < stored { (HIDDEN, row) } else { (LOAD, row - stored) };
            Error::OutOfRange { place, column: sequence.first().cloned().unwrap_or_default(), row }
        })?;

        Ok(Observations {
            keys: encoders.keys.encode(&columns.keys)?,
            sequences: Encoder::new(&sequence_types)?.encode(&sequence_columns)?,
            columns,
            sequence: sequence_columns,
            stored,
            instants,
            encoders,
        })
    }

    /// Sets rows without key or sequence aside and gathers all observations of the keys of the others.
    fn events_of_touched_keys(&self, changes: &mut Changes) -> Result<Events<'_>, Error> {
        let (keyed, sequenced) = (present(&self.columns.keys), present(&self.sequence));
        let mut keys = Numbers::with_capacity_and_hasher(self.instants.len() - self.stored, Default::default());
        let mut list = Vec::new();
        for at in self.stored..self.instants.len() {
            if keyed.as_ref().is_some_and(|keyed| keyed.is_null(at)) {
                changes.refused.push(Refused { row: at - self.stored, code: RefusalCode::NullKey });
            } else if sequenced.as_ref().is_some_and(|sequenced| sequenced.is_null(at)) {
                changes.refused.push(Refused { row: at - self.stored, code: RefusalCode::NullSequence });
            } else {
                let next = keys.len();
                let key = *keys.entry(self.keys.get(at)).or_insert(next);
                list.push(Event { key, at, instant: self.instants[at], value: list.len() });
            }
        }
        for at in 0..self.stored {
            if let Some(key) = keys.get(self.keys.get(at)) {
                list.push(Event { key: *key, at, instant: self.instants[at], value: list.len() });
            }
        }
        let tracked = self.encoders.tracked.encode(&pick(&self.columns.tracked, list.iter().map(|event| event.at))?)?;
        let latest = self.encoders.latest.encode(&pick(&self.columns.latest, list.iter().map(|event| event.at))?)?;
        // Instants are in the order of the sequences that begin with them, and at hand.
        list.par_sort_unstable_by(|a, b| {
            let rest = |event: &Event| (self.sequences.get(event.at), event.at);
            (a.key, a.instant).cmp(&(b.key, b.instant)).then_with(|| rest(a).cmp(&rest(b)))
        });
        Ok(Events { list, keys, tracked, latest })
    }

    fn past_of_touched_keys(&self, spec: &Spec, history: &[RecordBatch], events: &Events) -> Result<Past, Error> {
        let touched = |(offset, batch): &(usize, &RecordBatch)| {
            let keys = history::keys(batch, *offset, spec.keys(), &self.encoders.key_types)?;
            let keys = self.encoders.keys.encode(&keys)?;
            let intervals = intervals(batch, *offset)?;
            let key_of = |(at, interval): (usize, &Interval)| Some((*events.keys.get(keys.get(at))?, *interval, at));
            Ok::<_, Error>(intervals.iter().enumerate().filter_map(key_of).collect::<Vec<_>>())
        };
        let batches = with_offsets(history);
        let touched = batches.par_iter().map(touched).collect::<Result<Vec<_>, _>>()?;

        let mut some = Vec::new();
        let mut rows = Vec::new();
        for ((_, batch), touched) in batches.iter().zip(touched) {
            some.push((*batch, touched.iter().map(|(_, _, at)| *at).collect()));
            for (key, interval, _) in touched {
                rows.push((key, interval, rows.len()));
            }
        }
        let encoders = &self.encoders;
        let tracked = read_rows(history::PLACE, &some, spec.tracked(), &encoders.tracked_types)?;
        let latest = read_rows(history::PLACE, &some, spec.latest_in_run(), &encoders.latest_types)?;
        let (tracked, latest) = (encoders.tracked.encode(&tracked)?, encoders.latest.encode(&latest)?);
        rows.par_sort_unstable_by_key(|(key, interval, _)| (*key, interval.from, interval.row));

        let mut begins = vec![0; events.keys.len() + 1];
        for (key, _, _) in &rows {
            begins[key + 1] += 1;
        }
        for key in 0..events.keys.len() {
            begins[key + 1] += begins[key];
        }
        Ok(Past { rows, begins, tracked, latest })
    }

    fn finish(&self, spec: &Spec, sequence: &[String], mut changes: Changes) -> Result<Merged, Error> {
        let mut outcomes = vec![Outcome::NoOp; self.instants.len() - self.stored];
        for (row, outcome) in changes.outcomes {
            outcomes[row] = outcome;
        }
        for refused in &changes.refused {
            outcomes[refused.row] = Outcome::Refused;
        }
        changes.closes.sort_unstable_by_key(|close| close.row);
        changes.withdrawals.sort_unstable();
        changes.refused.sort_unstable_by_key(|refused| refused.row);
        Ok(Merged {
            closes: changes.closes,
            withdrawals: changes.withdrawals,
            opens: self.columns.batch(spec, &self.keys, &changes.opens)?,
            hidden_changed: !changes.remembered.is_empty(),
            hidden: self.hidden(spec, sequence, changes.remembered)?,
            counts: Counts::of(&outcomes),
            outcomes,
            refused: changes.refused,
        })
    }

    fn hidden(&self, spec: &Spec, sequence: &[String], remembered: Vec<usize>) -> Result<RecordBatch, Error> {
        // Hidden state is sorted already unless somebody rewrote it, and a stable sort merges two runs in one pass.
        let order = |at: usize| (self.keys.get(at), self.sequences.get(at), at);
        let mut added: Vec<_> = remembered.into_iter().map(order).collect();
        added.par_sort_unstable();
        let mut rows: Vec<_> = (0..self.stored).map(order).chain(added).collect();
        rows.sort();
        let rows = rows.into_iter().map(|(_, _, at)| at);

        let columns = &self.columns;
        let mut schema = fields(spec.keys(), &columns.keys, false);
        schema.extend(fields(sequence, &self.sequence, false));
        schema.extend(fields(spec.tracked(), &columns.tracked, true));
        schema.extend(fields(spec.latest_in_run(), &columns.latest, true));
        let all = [&columns.keys[..], &self.sequence, &columns.tracked, &columns.latest].concat();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(schema)), pick(&all, rows)?)?)
    }
}
