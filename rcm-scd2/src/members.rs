use arrow::array::RecordBatch;

use crate::cells::{At, Column};
use crate::feed::{self, Feed, Hidden};
use crate::incoming::Incoming;
use crate::index::Index;
use crate::opens::{Opens, Span};
use crate::snapshot::{self, Snapshot};
use crate::space::Section;
use crate::{BadRows, Error, Load, Merged, Mode, Outcome, Patch, RefusalCode, Refused, Spec, State, incoming};

/// Inferred members: facts that name a key which the dimension does not have yet get a row to point to.
///
/// Each key of `keys` (batches of the key columns) that has no version gets a row from `at` (microseconds since the
/// epoch) on, flagged [`IS_INFERRED`](crate::IS_INFERRED), all other columns null. The first real row of the key fills it
/// in place: its version starts at `at`, or at its own time where that is earlier, so the surrogate key mostly stays.
/// Until then the row is neither absent nor deleted. Kimball calls this a late arriving dimension.
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
/// use rcm_scd2::{Spec, State, apply, ensure_members};
///
/// let spec = Spec::snapshot(["id"]).track(["city"]).build()?;
/// let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "a"]));
/// let keys = [RecordBatch::try_from_iter([("id", ids)]).unwrap()];
/// let merged = ensure_members(&spec, &State::new(), &keys, 0)?;
/// assert_eq!((merged.counts.new, merged.counts.collapsed), (1, 1));
/// assert!(merged.opens["is_inferred"].as_boolean().value(0));
///
/// let state = apply(&State::new(), &merged)?;
/// assert!(ensure_members(&spec, &state, &keys, 0)?.is_nothing());
/// # Ok::<(), rcm_scd2::Error>(())
/// ```
///
/// # Errors
/// Columns that are missing, repeated or of a type that does not fit; null keys, unless they are to be quarantined or a
/// value; state that contradicts itself.
pub fn ensure_members(spec: &Spec, state: &State, keys: &[RecordBatch], at: i64) -> Result<Merged, Error> {
    let span = Span { from: at, to: None, deleted: false, inferred: true };
    incoming::check_instant(spec, at)?;
    let mut opens = Opens::default();
    match spec.mode() {
        Mode::Feed { .. } => {
            let space = feed::space(state, keys)?;
            let feed = Feed::of(spec, &space, state, false)?;
            let members = Members::of(spec, &feed.keys, feed.history, space.section(feed::LOAD))?;
            let mut changes = feed::Changes::default();
            for key in &members.new {
                opens.push(span, feed.only_key(*key));
                changes.hidden_adds.push(Hidden::member(*key, at));
            }
            let opens = feed.stored(&opens).batch(spec, &opens)?;
            Ok(members.merged(opens, feed.hidden_patch(&mut changes)?))
        }
        Mode::Snapshot { .. } => {
            crate::incoming::check_record(spec, [&state.hidden, &state.ledger])?;
            let space = snapshot::space(state, &Load::new(keys, at))?;
            let snapshot = Snapshot::of(spec, &space, at, Incoming::default())?;
            let members = Members::of(spec, &snapshot.keys, snapshot.history, snapshot.load)?;
            for key in &members.new {
                opens.push(span, snapshot.slots.places(*key, At::NOWHERE, At::NOWHERE, At::NOWHERE));
            }
            Ok(members.merged(snapshot.stored(&opens).batch(spec, &opens)?, Patch::none()))
        }
    }
}

/// Which of some keys have no version.
struct Members {
    /// The first row of each.
    new: Vec<At>,
    outcomes: Vec<Outcome>,
    refused: Vec<Refused>,
}

impl Members {
    fn of(spec: &Spec, keys: &[Column], history: &Section, rows: &Section) -> Result<Self, Error> {
        let names = rows.batches().iter().flat_map(|batch| batch.schema_ref().fields()).map(|field| field.name());
        if let Some(name) = names.into_iter().find(|name| !spec.keys().contains(name)) {
            return Err(Error::UnknownColumn { place: incoming::PLACE, column: name.clone() });
        }
        let whole = |at: At| spec.null_keys_as_value || keys.iter().all(|key| !key.is_null(at));
        let refused: Vec<Refused> = rows
            .all()
            .enumerate()
            .filter(|(_, at)| !whole(*at))
            .map(|(row, _)| Refused { row, code: RefusalCode::NullKey })
            .collect();
        if spec.bad_rows == BadRows::Error && !refused.is_empty() {
            let keys = incoming::keys_of(keys, rows, &refused);
            return Err(Error::BadRows { rows: refused, keys });
        }
        let mut outcomes = vec![Outcome::New; rows.rows()];
        refused.iter().for_each(|refused| outcomes[refused.row] = Outcome::Refused);
        let index = Index::build(keys, &[], &[rows], history.rows(), &|row| outcomes[row] == Outcome::New);
        index.duplicates.iter().for_each(|(_, row)| outcomes[*row as usize] = Outcome::Collapsed);
        index.find_all(history).iter().for_each(|(rep, _)| outcomes[*rep as usize] = Outcome::NoOp);
        let new = rows.all().zip(&outcomes).filter(|(_, outcome)| **outcome == Outcome::New).map(|(at, _)| at);
        Ok(Members { new: new.collect(), outcomes, refused })
    }

    fn merged(self, opens: RecordBatch, hidden: Patch) -> Merged {
        Merged::of(Vec::new(), Vec::new(), opens, hidden, Patch::none(), self.outcomes, self.refused)
    }
}
