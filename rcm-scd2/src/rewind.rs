use crate::cells::At;
use crate::feed::{self, Feed};
use crate::history::{Row, check_all};
use crate::incoming::Incoming;
use crate::index::Index;
use crate::ledger;
use crate::opens::{Opens, Span};
use crate::snapshot::{self, Snapshot};
use crate::{Error, Load, Merged, Mode, Patch, Spec, State};

/// History as if nothing at or after an instant (microseconds since the epoch) had been observed; hidden state and the
/// ledger too. What is applied again afterwards gives what was there.
///
/// Of a feed this is exact. A snapshot table drops the versions that start at the instant or later and reopens those that
/// end there or later: their untracked columns keep their newest values until the snapshots are applied again. With a
/// sequence column a version may start before the snapshot that brought it, and then stays; corrections of a snapshot
/// table are nowhere recorded, and have to be made again.
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
/// use rcm_scd2::{Load, Spec, State, apply, merge, rewind};
///
/// let spec = Spec::feed(["id"], ["at"]).track(["city"]).build()?;
/// let texts = |values: [&'static str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
/// let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1, 2]));
/// let columns = [("id", texts(["a", "a"])), ("city", texts(["Lyon", "Paris"])), ("at", at)];
/// let events = [RecordBatch::try_from_iter(columns).unwrap()];
/// let merged = merge(&spec, &State::new(), &Load::new(&events, 0))?;
/// let state = apply(&State::new(), &merged)?;
///
/// let merged = rewind(&spec, &state, 2)?;
/// assert_eq!((merged.withdrawals.len(), merged.opens.num_rows()), (2, 1)); // Paris goes, Lyon is open again
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
///
/// # Errors
/// State that contradicts itself or was recorded under another spec; [`Error::RewindBeyondHorizon`], where a late horizon
/// has made what is needed forgotten.
pub fn rewind(spec: &Spec, state: &State, to: i64) -> Result<Merged, Error> {
    match spec.mode() {
        Mode::Feed { .. } => rewind_feed(spec, state, to),
        Mode::Snapshot { .. } => rewind_snapshots(spec, state, to),
    }
}

fn rewind_feed(spec: &Spec, state: &State, to: i64) -> Result<Merged, Error> {
    let space = feed::space(state, &[])?;
    let mut feed = Feed::of(spec, &space, state, false)?;
    if let Some(watermark) = feed.watermark(&state.ledger)?.filter(|watermark| to < *watermark) {
        return Err(Error::RewindBeyondHorizon { to, watermark });
    }
    feed.until = Some(to);
    let touched = |at: At| match feed.history.contains(at) {
        true => {
            let row = feed.intervals.row(at);
            row.from >= to || row.to.is_some_and(|end| end >= to)
        }
        false => feed.hidden_instant(at).is_ok_and(|instant| instant >= to),
    };
    let index = Index::build(&feed.keys, &[], &[feed.history, feed.hidden], 0, &|_| true);
    let places = feed.history.all().chain(feed.hidden.all());
    let mut keys: Vec<u32> =
        index.rep_of_rows().into_iter().zip(places).filter(|(_, at)| touched(*at)).map(|(rep, _)| rep).collect();
    keys.sort_unstable();
    keys.dedup();
    let groups: Vec<(u32, &[(u32, feed::Event)])> = keys.iter().map(|rep| (*rep, [].as_slice())).collect();
    let mut changes = feed::Changes::default();
    feed.fold_all(&index, &groups, &mut changes)?;
    let ledger = feed.rewound_ledger(&state.ledger, to)?;
    feed.finish(changes, 0, ledger, Vec::new())
}

fn rewind_snapshots(spec: &Spec, state: &State, to: i64) -> Result<Merged, Error> {
    crate::incoming::check_record(spec, [&state.hidden, &state.ledger])?;
    let space = snapshot::space(state, &Load::new(&[], to))?;
    let snapshot = Snapshot::of(spec, &space, to, Incoming::default())?;
    let touched = |row: &Row| row.from >= to || row.to.is_some_and(|end| end >= to);
    check_all(snapshot.history, &snapshot.keys, &snapshot.intervals, touched)?;
    let (mut withdrawals, mut opens) = (Vec::new(), Opens::default());
    for (position, at) in snapshot.history.all().enumerate() {
        let row = snapshot.intervals.row(at);
        if row.from >= to {
            withdrawals.push(position);
        } else if row.to.is_some_and(|end| end >= to) {
            withdrawals.push(position);
            let span = Span { from: row.from, to: None, deleted: row.deleted, inferred: row.inferred };
            opens.push(span, snapshot.slots.places(at, at, at, at));
        }
    }
    let opens = snapshot.stored(&opens).batch(spec, &opens)?;
    let ledger = Patch { removes: ledger::since(&space, snapshot::OLD, to)?, adds: snapshot.no_entries()? };
    Ok(Merged::of(Vec::new(), withdrawals, opens, Patch::none(), ledger, Vec::new(), Vec::new()))
}
