//! Snapshots: the rows of a load are the state at `as_of`, and absence inside the scope closes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use rayon::prelude::*;

use crate::columns::{pick, present, read, read_rows, types};
use crate::history::{self, Interval, intervals, with_offsets};
use crate::opens::{Observed, Open};
use crate::rows::{Encoded, Encoders, Numbers};
use crate::{Close, Complete, Counts, Error, Fault, Load, Merged, Outcome, RefusalCode, Refused, Spec};

const LOAD: &str = "load";
const WITHHELD: &str = "withheld";

pub(crate) fn merge(
    spec: &Spec,
    scope: Option<&str>,
    max_delete_ratio: Option<f64>,
    history: &[RecordBatch],
    load: &Load,
) -> Result<Merged, Error> {
    if scope.is_none() && matches!(load.complete, Complete::Only(_)) {
        return Err(Error::CompleteWithoutScope);
    }
    let state = State::read(spec, scope, history, load)?;
    let withheld = state.encoders.keys.encode(&state.withheld)?;
    let mut rows = state.judge_rows(&withheld);
    let scanned = state.scan(spec, history, load, &rows)?;
    let scopes = Scopes::of(&scanned, scope.is_some());
    scopes.refuse_late(load.as_of)?;

    let mut merged = Changes::default();
    state.compare(spec, load.as_of, &scanned, &mut rows, &scopes, &mut merged)?;
    close_absent(load.as_of, &scanned, &scopes, &mut merged)?;
    let closed_by_absence = scopes.closed_by_absence(max_delete_ratio)?;

    merged.closes.sort_unstable_by_key(|close| close.row);
    merged.withdrawals.sort_unstable();
    let mut counts = Counts::of(&rows.outcomes);
    counts.closed_by_absence = closed_by_absence;
    Ok(Merged {
        closes: merged.closes,
        withdrawals: merged.withdrawals,
        opens: state.columns.batch(spec, &state.keys, &merged.opens)?,
        hidden: RecordBatch::new_empty(Arc::new(Schema::empty())),
        hidden_changed: false,
        counts,
        outcomes: rows.outcomes,
        refused: rows.refused,
    })
}

/// The rows of the load, encoded.
struct State {
    columns: Observed,
    withheld: Vec<ArrayRef>,
    scopes: ScopeOf,
    keys: Encoded,
    tracked: Encoded,
    latest: Encoded,
    encoders: Encoders,
}

/// What each row of the load and each key in it stands for.
struct Rows<'a> {
    outcomes: Vec<Outcome>,
    refused: Vec<Refused>,
    keys: Numbers<'a>,
    /// By number of the key: its position in `accepted`; `None`: seen, but neither absent nor changed.
    present: Vec<Option<usize>>,
    /// The row that speaks for each key that is present.
    accepted: Vec<usize>,
}

/// The position of the scope column among the keys.
struct ScopeOf(Option<usize>);

impl ScopeOf {
    fn values(&self, keys: &[ArrayRef]) -> Result<Option<StringArray>, Error> {
        let Some(column) = self.0.and_then(|at| keys.get(at)) else { return Ok(None) };
        Ok(Some(cast(column, &DataType::Utf8)?.as_string().clone()))
    }
}

fn scope_at(values: &Option<StringArray>, row: usize) -> &str {
    values.as_ref().map_or("", |values| values.value(row))
}

/// What a load means for the rows of one batch of history.
struct Scanned<'h> {
    batch: &'h RecordBatch,
    keys: Encoded,
    scopes: Option<StringArray>,
    /// Rows whose key is present: position in `accepted`, interval, position in the batch.
    present: Vec<(usize, Interval, usize)>,
    /// Live rows whose key is absent where the load is complete.
    absent: Vec<(Interval, usize)>,
    tallies: BTreeMap<String, Tally>,
}

/// The rows of one scope value.
#[derive(Default)]
struct Tally {
    /// Whether the load has rows in it or is complete for it.
    touched: bool,
    complete: bool,
    live: u64,
    absent: u64,
    latest: Option<i64>,
}

#[derive(Default)]
struct Changes {
    closes: Vec<Close>,
    withdrawals: Vec<usize>,
    opens: Vec<Open>,
}

impl State {
    fn read(spec: &Spec, scope: Option<&str>, history: &[RecordBatch], load: &Load) -> Result<Self, Error> {
        let sources = [(history::PLACE, history), (LOAD, load.rows)];
        let key_types = types(spec.keys(), &[sources[0], sources[1], (WITHHELD, load.withheld)])?;
        let tracked_types = types(spec.tracked(), &sources)?;
        let latest_types = types(spec.latest_in_run(), &sources)?;
        let encoders = Encoders::new(key_types, tracked_types, latest_types)?;
        let rows = [(LOAD, load.rows)];
        let columns = Observed {
            keys: read(&rows, spec.keys(), &encoders.key_types)?,
            tracked: read(&rows, spec.tracked(), &encoders.tracked_types)?,
            latest: read(&rows, spec.latest_in_run(), &encoders.latest_types)?,
        };
        Ok(State {
            withheld: read(&[(WITHHELD, load.withheld)], spec.keys(), &encoders.key_types)?,
            scopes: ScopeOf(scope.and_then(|scope| spec.keys().iter().position(|key| key == scope))),
            keys: encoders.keys.encode(&columns.keys)?,
            tracked: encoders.tracked.encode(&columns.tracked)?,
            latest: encoders.latest.encode(&columns.latest)?,
            columns,
            encoders,
        })
    }

    fn len(&self) -> usize {
        self.columns.keys.first().map_or(0, |column| column.len())
    }

    /// Sets rows aside that cannot be applied, and finds the one row that speaks for each other key.
    fn judge_rows<'a>(&'a self, withheld: &'a Encoded) -> Rows<'a> {
        let mut outcomes = vec![Outcome::NoOp; self.len()];
        let mut refused = Vec::new();
        let mut keys = Numbers::with_capacity_and_hasher(self.len(), Default::default());
        let withheld_rows = self.withheld.first().map_or(0, |column| column.len());
        for row in 0..withheld_rows {
            let next = keys.len();
            keys.entry(withheld.get(row)).or_insert(next);
        }

        // By number of the key: its first row in the load.
        let mut first_of: Vec<Option<usize>> = vec![None; keys.len()];
        let held = keys.len();
        let mut contradicted = vec![false; held];
        let mut numbers = Vec::with_capacity(self.len());
        let keyed = present(&self.columns.keys);
        for (row, outcome) in outcomes.iter_mut().enumerate() {
            if keyed.as_ref().is_some_and(|keyed| keyed.is_null(row)) {
                *outcome = Outcome::Refused;
                refused.push(Refused { row, code: RefusalCode::NullKey });
                numbers.push(None);
                continue;
            }
            let next = keys.len();
            let key = *keys.entry(self.keys.get(row)).or_insert(next);
            numbers.push(Some(key));
            if key < held {
                *outcome = Outcome::Withheld;
            } else if let Some(first) = first_of.get(key).copied().flatten() {
                *outcome = Outcome::Collapsed;
                contradicted[key] |=
                    self.tracked.get(first) != self.tracked.get(row) || self.latest.get(first) != self.latest.get(row);
            } else {
                first_of.push(Some(row));
                contradicted.push(false);
            }
        }

        let mut present = vec![None; keys.len()];
        let mut accepted = Vec::with_capacity(keys.len() - held);
        for (row, (outcome, key)) in outcomes.iter_mut().zip(&numbers).enumerate() {
            match (&outcome, key) {
                (Outcome::NoOp | Outcome::Collapsed, Some(key)) if contradicted[*key] => {
                    *outcome = Outcome::Refused;
                    refused.push(Refused { row, code: RefusalCode::Conflict });
                }
                (Outcome::NoOp, Some(key)) => {
                    present[*key] = Some(accepted.len());
                    accepted.push(row);
                }
                _ => {}
            }
        }
        refused.sort_unstable_by_key(|refused| refused.row);
        Rows { outcomes, refused, keys, present, accepted }
    }

    /// Looks every row of history up among the keys of the load.
    fn scan<'h>(
        &self,
        spec: &Spec,
        history: &'h [RecordBatch],
        load: &Load,
        rows: &Rows,
    ) -> Result<Vec<Scanned<'h>>, Error> {
        let load_scopes = self.scopes.values(&pick(&self.columns.keys, rows.accepted.iter().copied())?)?;
        let loaded: HashSet<&str> = (0..rows.accepted.len()).map(|row| scope_at(&load_scopes, row)).collect();
        let complete = |scope: &str| match &load.complete {
            Complete::Everything => true,
            Complete::Only(scopes) => scopes.iter().any(|complete| complete == scope),
            Complete::Nothing => false,
        };
        let scan = |(offset, batch): (usize, &'h RecordBatch)| {
            let columns = history::keys(batch, offset, spec.keys(), &self.encoders.key_types)?;
            let keys = self.encoders.keys.encode(&columns)?;
            let scopes = self.scopes.values(&columns)?;
            let (mut present, mut absent) = (Vec::new(), Vec::new());
            let mut tallies = HashMap::new();
            for (at, interval) in intervals(batch, offset)?.into_iter().enumerate() {
                let scope = scope_at(&scopes, at);
                let tally = tallies.entry(scope).or_insert_with(|| {
                    let complete = complete(scope);
                    Tally { complete, touched: complete || loaded.contains(scope), ..Tally::default() }
                });
                let is_live = interval.to.is_none();
                tally.live += u64::from(is_live);
                tally.latest = tally.latest.max(interval.to.or(Some(interval.from)));
                match rows.keys.get(keys.get(at)).map(|number| rows.present[*number]) {
                    Some(Some(key)) => present.push((key, interval, at)),
                    None if is_live && tally.complete => {
                        tally.absent += 1;
                        absent.push((interval, at));
                    }
                    _ => {}
                }
            }
            let tallies = tallies.into_iter().map(|(scope, tally)| (scope.to_owned(), tally)).collect();
            Ok(Scanned { batch, keys, scopes, present, absent, tallies })
        };
        with_offsets(history).into_par_iter().map(scan).collect()
    }

    /// Compares the current row of each key that is present with the load.
    fn compare(
        &self,
        spec: &Spec,
        as_of: i64,
        history: &[Scanned],
        rows: &mut Rows,
        scopes: &Scopes,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let is_current = |(_, interval, _): &&(usize, Interval, usize)| interval.to.is_none();
        let current = |scanned: &Scanned| scanned.present.iter().filter(is_current).map(|(_, _, at)| *at).collect();
        let current: Vec<_> = history.iter().map(|scanned| (scanned.batch, current(scanned))).collect();
        let place = history::PLACE;
        let tracked = read_rows(place, &current, spec.tracked(), &self.encoders.tracked_types)?;
        let latest = read_rows(place, &current, spec.latest_in_run(), &self.encoders.latest_types)?;
        let (tracked, latest) = (self.encoders.tracked.encode(&tracked)?, self.encoders.latest.encode(&latest)?);

        let mut known = vec![false; rows.accepted.len()];
        let mut current: Vec<Option<usize>> = vec![None; rows.accepted.len()];
        let mut compared = 0;
        for scanned in history {
            for (key, interval, at) in &scanned.present {
                known[*key] = true;
                if interval.to.is_some() {
                    continue;
                }
                if let Some(other) = current[*key].replace(interval.row) {
                    return Err(Error::BrokenHistory { row: interval.row, fault: Fault::TwoCurrent { other } });
                }
                let row = rows.accepted[*key];
                let open = Open { first: row, last: row, from: as_of, to: None };
                if tracked.get(compared) != self.tracked.get(row) {
                    changes.closes.push(Close { row: interval.row, valid_to: as_of });
                    changes.opens.push(open);
                    rows.outcomes[row] = Outcome::Changed;
                } else if latest.get(compared) != self.latest.get(row) {
                    changes.withdrawals.push(interval.row);
                    changes.opens.push(Open { from: interval.from, ..open });
                    rows.outcomes[row] = Outcome::Changed;
                }
                if rows.outcomes[row] == Outcome::Changed && interval.from >= as_of {
                    return Err(scopes.late(scope_at(&scanned.scopes, *at), as_of, interval.from));
                }
                compared += 1;
            }
        }
        for (key, row) in rows.accepted.iter().enumerate().filter(|(key, _)| current[*key].is_none()) {
            changes.opens.push(Open { first: *row, last: *row, from: as_of, to: None });
            rows.outcomes[*row] = if known[key] { Outcome::Changed } else { Outcome::New };
        }
        Ok(())
    }
}

fn close_absent(as_of: i64, history: &[Scanned], scopes: &Scopes, changes: &mut Changes) -> Result<(), Error> {
    let mut closed = HashMap::new();
    for scanned in history {
        for (interval, at) in &scanned.absent {
            if interval.from >= as_of {
                return Err(scopes.late(scope_at(&scanned.scopes, *at), as_of, interval.from));
            }
            if let Some(other) = closed.insert(scanned.keys.get(*at), interval.row) {
                return Err(Error::BrokenHistory { row: interval.row, fault: Fault::TwoCurrent { other } });
            }
            changes.closes.push(Close { row: interval.row, valid_to: as_of });
        }
    }
    Ok(())
}

/// History by scope value; one value, `""`, where the spec has no scope.
struct Scopes {
    named: bool,
    tallies: BTreeMap<String, Tally>,
}

impl Scopes {
    fn of(history: &[Scanned], named: bool) -> Self {
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        for (scope, part) in history.iter().flat_map(|scanned| &scanned.tallies) {
            let whole = tallies.entry(scope.clone()).or_default();
            whole.touched |= part.touched;
            whole.complete |= part.complete;
            whole.live += part.live;
            whole.absent += part.absent;
            whole.latest = whole.latest.max(part.latest);
        }
        Scopes { named, tallies }
    }

    fn value(&self, scope: &str) -> Option<String> {
        self.named.then(|| scope.to_owned())
    }

    fn late(&self, scope: &str, as_of: i64, latest: i64) -> Error {
        Error::LateSnapshot { scope: self.value(scope), as_of, latest }
    }

    /// A snapshot older than anything in a scope that it touches would have to be spliced in.
    fn refuse_late(&self, as_of: i64) -> Result<(), Error> {
        for (scope, tally) in self.tallies.iter().filter(|(_, tally)| tally.touched) {
            if let Some(latest) = tally.latest.filter(|latest| *latest > as_of) {
                return Err(self.late(scope, as_of, latest));
            }
        }
        Ok(())
    }

    /// How many keys each scope value loses, unless it would be too many.
    fn closed_by_absence(self, max_delete_ratio: Option<f64>) -> Result<BTreeMap<String, u64>, Error> {
        for (scope, Tally { live, absent, .. }) in &self.tallies {
            if let Some(ratio) = max_delete_ratio.filter(|ratio| *absent as f64 > ratio * *live as f64) {
                return Err(Error::TooManyDeletes { scope: self.value(scope), absent: *absent, live: *live, ratio });
            }
        }
        let closed = self.tallies.into_iter().filter(|(_, tally)| tally.absent > 0);
        Ok(closed.map(|(scope, tally)| (scope, tally.absent)).collect())
    }
}
