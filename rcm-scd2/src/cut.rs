//! A load in parts: cut by bucket, merged part by part, judged as a whole.

mod pieces;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};

use crate::columns::index;
use crate::incoming;
use crate::space::Space;
use crate::{
    BadRows, Complete, Counts, Deletes, Disposition, Error, InitialValidFrom, Load, Merged, Mode, Outcome, Patch,
    Refused, ScopeReport, Spec, State, ledger, merge,
};
use pieces::Pieces;

/// A load, cut by the [buckets](crate::buckets) of its keys, so that a table can be merged one bucket at a time: its rows
/// need never be in memory together, and buckets that the load cannot change are not read.
///
/// What a load is judged by as a whole is judged by [`Cut::finish`]: bad rows, the max delete ratio, the ledger. Where that
/// cannot wait (late snapshots, a late horizon, a share of flagged deletes, versions from the epoch for the first load,
/// scope values that only the rows tell) all buckets are one [`Unit`].
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let table = |cells: &[[&str; 2]]| {
/// #     let column = |at: usize| Arc::new(cells.iter().map(|row| Some(row[at])).collect::<StringArray>()) as ArrayRef;
/// #     [RecordBatch::try_from_iter([("id", column(0)), ("city", column(1))]).unwrap()]
/// # };
/// use rcm_scd2::{Cut, Load, Spec, buckets, merge};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).build()?;
/// let rows = table(&[["a", "Lyon"], ["b", "Paris"], ["c", "Dijon"]]);
/// let load = Load::new(&rows, 1);
///
/// let cut = Cut::new(&spec, &[], &load, &|keys| buckets(keys, 4))?;
/// let mut opened = 0;
/// for unit in cut.units(0..4) {
///     let merged = cut.merge(&unit, Vec::new(), Vec::new())?; // history and hidden state of those buckets
///     opened += merged.opens.num_rows();
/// }
/// let whole = cut.finish()?;
/// assert_eq!((opened, whole.counts.new), (3, 3));
/// assert_eq!(whole.ledger, merge(&spec, &Default::default(), &load)?.ledger);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
pub struct Cut<'a> {
    spec: &'a Spec,
    /// The spec by which units are merged apart: what is judged as a whole does not stop one of them.
    lenient: Spec,
    ledger: &'a [RecordBatch],
    load: &'a Load<'a>,
    rows: Pieces,
    withheld: Pieces,
    /// Whether all buckets are one unit.
    together: bool,
    /// Whether buckets without rows of the load may change as well.
    everywhere: bool,
    /// The load was applied before: what a merge with nothing says.
    repeated: Option<Summary>,
    done: Mutex<BTreeMap<Unit, Done>>,
}

/// Buckets that are merged together.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let ids: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
/// # let rows = [RecordBatch::try_from_iter([("id", ids)]).unwrap()];
/// use rcm_scd2::{Absence, Cut, Load, Spec};
///
/// let spec = Spec::snapshot(["id"]).deletes(Absence::close()).build()?;
/// let load = Load::new(&rows, 1);
/// let cut = Cut::new(&spec, &[], &load, &|keys| rcm_scd2::buckets(keys, 2))?;
/// // What is absent may lie anywhere.
/// assert_eq!(cut.units(0..2).iter().map(|unit| unit.buckets().len()).collect::<Vec<_>>(), [1, 1]);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit(Vec<u32>);

impl Unit {
    /// The buckets, in order.
    pub fn buckets(&self) -> &[u32] {
        &self.0
    }
}

/// What a load that was merged in parts came to: what [`Merged`] says of it as a whole.
///
/// ```
/// # use std::sync::Arc;
/// # use rcm_scd2::arrow::array::{ArrayRef, RecordBatch, StringArray};
/// # let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "a"]));
/// # let rows = [RecordBatch::try_from_iter([("id", ids)]).unwrap()];
/// use rcm_scd2::{Cut, Load, Outcome, Spec};
///
/// let spec = Spec::snapshot(["id"]).build()?;
/// let load = Load::new(&rows, 1);
/// let cut = Cut::new(&spec, &[], &load, &|keys| rcm_scd2::buckets(keys, 2))?;
/// for unit in cut.units(0..2) {
///     cut.merge(&unit, Vec::new(), Vec::new())?;
/// }
/// assert_eq!(cut.finish()?.outcomes, [Outcome::New, Outcome::Collapsed]);
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// As [`Merged::ledger`].
    pub ledger: Patch,
    /// As [`Merged::outcomes`].
    pub outcomes: Vec<Outcome>,
    /// As [`Merged::refused`].
    pub refused: Vec<Refused>,
    /// As [`Merged::counts`].
    pub counts: Counts,
    /// As [`Merged::scopes`], but null and empty text are one scope value, those of which only the ledger knows are not
    /// named, and live keys are counted where the load is complete and was not applied before.
    pub scopes: Vec<ScopeReport>,
    /// As [`Merged::absent_columns`].
    pub absent_columns: Vec<String>,
}

struct Done {
    summary: Summary,
    /// How many keys the refused rows have, where they refuse the load.
    refused_keys: usize,
}

impl<'a> Cut<'a> {
    /// Cuts a load. `bucket` gives the bucket of each row from its key columns, in the order of the spec: mostly
    /// [`buckets`](crate::buckets). Key columns should come in the types of history, or a key may be looked for in
    /// another bucket than its own.
    ///
    /// # Errors
    /// What [`merge`] refuses a load and a ledger for, as far as history has no say in it, and the errors of `bucket`.
    pub fn new(
        spec: &'a Spec,
        ledger: &'a [RecordBatch],
        load: &'a Load<'a>,
        bucket: &(dyn Fn(&[ArrayRef]) -> Result<UInt32Array, Error> + Sync),
    ) -> Result<Self, Error> {
        incoming::check_record(spec, [ledger, &[]])?;
        incoming::check_load(spec, load)?;
        let is_snapshot = matches!(spec.mode(), Mode::Snapshot { .. });
        // A feed has no use for what is withheld.
        let withheld = if is_snapshot { load.withheld } else { &[] };
        incoming::check_columns(spec, &Space::new(&[(incoming::PLACE, load.rows), (incoming::WITHHELD, withheld)])?)?;
        if is_snapshot {
            ledger::check(spec, ledger)?;
        }
        let keys_of = |place, batch: &RecordBatch| {
            let key = |name: &String| Ok(batch.column(index(place, batch, name)?).clone());
            spec.keys().iter().map(key).collect::<Result<Vec<_>, Error>>()
        };
        let cut = |place: &'static str, batches: &[RecordBatch]| {
            Pieces::of(batches, &|batch| bucket(&keys_of(place, batch)?))
        };
        let newest = ledger::newest(ledger)?;
        let is_repeatable = is_snapshot && newest >= Some(load.as_of);
        let together = is_repeatable || is_judged_at_once(spec, load);
        let repeated = if is_repeatable { repeated(spec, ledger, load) } else { None };
        let is_absence = matches!(spec.mode(), Mode::Snapshot { deletes: Deletes::Absence(_), .. });
        Ok(Cut {
            spec,
            lenient: Spec { bad_rows: BadRows::Quarantine, ..spec.without_ratio() },
            ledger,
            load,
            rows: cut(incoming::PLACE, load.rows)?,
            withheld: cut(incoming::WITHHELD, withheld)?,
            together,
            everywhere: together || is_absence && load.complete != Complete::Nothing,
            repeated,
            done: Mutex::default(),
        })
    }

    /// The units to merge, each once, in any order and on any thread, given the buckets that there are. Others are not
    /// changed by this load.
    pub fn units(&self, all: impl IntoIterator<Item = u32>) -> Vec<Unit> {
        if self.repeated.is_some() {
            return Vec::new();
        }
        let mut all: BTreeSet<u32> = all.into_iter().collect();
        if all.is_empty() {
            return vec![Unit(Vec::new())];
        }
        if !self.everywhere {
            let first = all.first().copied();
            all.retain(|bucket| self.rows.has(*bucket) || self.withheld.has(*bucket));
            // A load of nothing is a load: some bucket tells what the ledger says of it.
            all.extend(first.filter(|_| all.is_empty()));
        }
        match self.together {
            true => vec![Unit(all.into_iter().collect())],
            false => all.into_iter().map(|bucket| Unit(vec![bucket])).collect(),
        }
    }

    /// Merges the load's rows of some buckets with their history and hidden state: as [`merge`], with positions of this
    /// history. What it says of the load's rows, scopes and ledger is of this unit alone.
    ///
    /// # Errors
    /// Those of [`merge`].
    pub fn merge(&self, unit: &Unit, history: Vec<RecordBatch>, hidden: Vec<RecordBatch>) -> Result<Merged, Error> {
        let (merged, refused_keys) = match self.together {
            true => (merge(self.spec, &State { history, hidden, ledger: self.ledger.to_vec() }, self.load)?, 0),
            false => {
                let (rows, withheld) = (self.rows.parts(&unit.0), self.withheld.parts(&unit.0));
                let load = Load { rows: &rows, withheld: &withheld, ..*self.load };
                let merged = merge(&self.lenient, &State { history, hidden, ledger: Vec::new() }, &load)
                    .map_err(|error| self.placed(error, unit))?;
                let refuses = self.spec.bad_rows == BadRows::Error && !merged.refused.is_empty();
                let keys = if refuses { refused_keys(self.spec, &rows, &merged.refused)? } else { 0 };
                (merged, keys)
            }
        };
        let summary = Summary::of(&merged);
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(unit.clone(), Done { summary, refused_keys });
        Ok(merged)
    }

    /// An error of a unit, with the row as it lies in the whole load.
    fn placed(&self, error: Error, unit: &Unit) -> Error {
        match error {
            Error::OutOfRange { place, column, row, data_type } => {
                let mut places = match place {
                    incoming::PLACE => self.rows.places(&unit.0),
                    incoming::WITHHELD => self.withheld.places(&unit.0),
                    _ => return Error::OutOfRange { place, column, row, data_type },
                };
                Error::OutOfRange { place, column, row: places.nth(row).unwrap_or(row), data_type }
            }
            other => other,
        }
    }

    /// Judges the load when all its units are merged.
    ///
    /// # Errors
    /// Bad rows, unless they are to be quarantined; a load that ends too large a share of the live keys. Nothing of the
    /// load may be kept then.
    pub fn finish(self) -> Result<Summary, Error> {
        let done = self.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(repeated) = self.repeated {
            return Ok(repeated);
        }
        if self.together {
            let whole = done.into_values().next().map(|done| done.summary);
            return Ok(whole.unwrap_or_else(|| Summary::of(&Merged::nothing())));
        }
        let mut whole = Summary::of(&Merged::nothing());
        whole.outcomes = vec![Outcome::NoOp; self.rows.rows()];
        let (mut refused_keys, mut ledgers) = (0, Vec::new());
        for (unit, Done { summary, refused_keys: keys }) in done {
            let places: Vec<usize> = self.rows.places(&unit.0).collect();
            summary.outcomes.iter().zip(&places).for_each(|(outcome, place)| whole.outcomes[*place] = *outcome);
            let placed = |refused: &Refused| Refused { row: places[refused.row], ..*refused };
            whole.refused.extend(summary.refused.iter().map(placed));
            refused_keys += keys;
            whole.counts.add(&summary.counts);
            for report in summary.scopes {
                match whole.scopes.iter_mut().find(|scope| scope.value == report.value) {
                    Some(scope) => {
                        scope.live += report.live;
                        scope.closed_by_absence += report.closed_by_absence;
                    }
                    None => whole.scopes.push(report),
                }
            }
            ledgers.push(summary.ledger);
        }
        whole.refused.sort_unstable_by_key(|refused| refused.row);
        if self.spec.bad_rows == BadRows::Error && !whole.refused.is_empty() {
            return Err(Error::BadRows { rows: whole.refused, keys: refused_keys });
        }
        whole.scopes.sort_by(|a, b| a.value.cmp(&b.value));
        if let Some(ratio) = self.spec.max_delete_ratio() {
            for scope in &whole.scopes {
                let name = (!scope.value.is_empty()).then(|| scope.value.join("/"));
                incoming::check_ratio(name, scope.closed_by_absence, scope.live, ratio)?;
            }
        }
        whole.ledger = match self.spec.mode() {
            Mode::Snapshot { .. } => ledger::sum(self.spec, self.load.as_of, self.ledger, ledgers)?,
            // Without a late horizon it says nothing.
            Mode::Feed { .. } => ledgers.pop().unwrap_or_else(Patch::none),
        };
        let space = Space::new(&[(incoming::PLACE, self.load.rows)])?;
        whole.absent_columns = incoming::absent_columns(self.spec, space.section(0));
        Ok(whole)
    }
}

impl Summary {
    fn of(merged: &Merged) -> Self {
        Summary {
            ledger: merged.ledger.clone(),
            outcomes: merged.outcomes.clone(),
            refused: merged.refused.clone(),
            counts: merged.counts.clone(),
            scopes: merged.scopes.clone(),
            absent_columns: merged.absent_columns.clone(),
        }
    }
}

/// Whether something of the load can only be judged with all history at hand.
fn is_judged_at_once(spec: &Spec, load: &Load) -> bool {
    if spec.initial == InitialValidFrom::EpochFirstLoad {
        return true;
    }
    match spec.mode() {
        Mode::Feed { late_horizon, .. } => late_horizon.is_some() || spec.max_delete_ratio().is_some(),
        // The part of a load in a bucket may lack rows of a scope value that the load is complete for.
        Mode::Snapshot { deletes: Deletes::Absence(absence), .. } => {
            !absence.scope.is_empty() && load.complete == Complete::Present
        }
        Mode::Snapshot { .. } => spec.max_delete_ratio().is_some(),
    }
}

/// What becomes of a snapshot that was applied before, in all its scope values.
fn repeated(spec: &Spec, ledger: &[RecordBatch], load: &Load) -> Option<Summary> {
    let state = State { ledger: ledger.to_vec(), ..State::new() };
    // Where it is refused history may tell more: the one unit that there is then has it.
    let merged = merge(spec, &state, load).ok()?;
    let is_repeated = merged.scopes.iter().all(|scope| scope.disposition == Disposition::Repeated);
    (is_repeated && merged.is_nothing()).then(|| Summary::of(&merged))
}

fn refused_keys(spec: &Spec, rows: &[RecordBatch], refused: &[Refused]) -> Result<usize, Error> {
    let space = Space::new(&[(incoming::PLACE, rows)])?;
    Ok(incoming::keys_of(&space.columns(spec.keys(), &[0])?, space.section(0), refused))
}
