//! L15 for a load that is merged in parts: what the parts come to is what the whole comes to.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::Schema;
use rcm_scd2::{Complete, Cut, Disposition, Error, Merged, Patch, ScopeReport, Spec, State, Summary, apply, buckets};

use crate::draw::Case;
use crate::engine::Packed;
use crate::oracle::Version;
use crate::random::Random;
use crate::tally::Tally;

impl Case {
    /// Merges a load bucket by bucket and compares with what a merge of it all came to.
    pub(crate) fn in_parts(
        &self,
        spec: &Spec,
        before: &State,
        packed: &Packed,
        whole: Result<(&Merged, &[Version]), &Error>,
        random: &mut Random,
        tally: &mut Tally,
    ) {
        let count = 1 + random.below(4) as u32;
        match (self.cut(spec, before, packed, count), whole) {
            (Ok((summary, versions)), Ok((merged, expected))) => {
                assert_eq!(versions, expected, "L15: {count} parts");
                let counts_live = matches!(packed.load().complete, Complete::Present | Complete::Everything);
                same(&summary, merged, counts_live);
                tally.saw_if(count > 1 && !expected.is_empty(), "L15 parts");
            }
            (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected.to_string(), "L15: {count} parts"),
            (parts, whole) => panic!("L15: {count} parts: {parts:?}, the whole: {whole:?}"),
        }
    }

    fn cut(&self, spec: &Spec, before: &State, packed: &Packed, count: u32) -> Result<(Summary, Vec<Version>), Error> {
        let load = packed.load();
        let bucket = |keys: &[ArrayRef]| {
            let types = self.layout.key_arrays(&[]);
            let same: Vec<_> = keys.iter().zip(types).map(|(key, like)| cast(key, like.data_type()).unwrap()).collect();
            buckets(&same, count)
        };
        let cut = Cut::new(spec, &before.ledger, &load, &bucket)?;
        let units = cut.units(0..count);
        let of = |batches: &[RecordBatch], wanted: &[u32]| -> Vec<RecordBatch> {
            let one = |batch: &RecordBatch| {
                let keys: Vec<ArrayRef> = spec.keys().iter().map(|key| batch[key.as_str()].clone()).collect();
                let in_bucket = |buckets: UInt32Array| -> BooleanArray {
                    buckets.iter().map(|bucket| Some(wanted.contains(&bucket.unwrap()))).collect()
                };
                filter_record_batch(batch, &in_bucket(bucket(&keys).unwrap())).unwrap()
            };
            batches.iter().map(one).collect()
        };
        let mut after: Vec<RecordBatch> = Vec::new();
        for unit in &units {
            let state = State {
                history: of(&before.history, unit.buckets()),
                hidden: of(&before.hidden, unit.buckets()),
                ledger: Vec::new(),
            };
            let mut merged = cut.merge(unit, state.history.clone(), state.hidden.clone())?;
            merged.ledger = Patch { removes: Vec::new(), adds: RecordBatch::new_empty(Schema::empty().into()) };
            after.extend(apply(&state, &merged).unwrap().history);
        }
        let touched: Vec<u32> = units.iter().flat_map(|unit| unit.buckets().to_vec()).collect();
        let others: Vec<u32> = (0..count).filter(|bucket| !touched.contains(bucket)).collect();
        after.extend(of(&before.history, &others));
        let state = State::from_history(after.into_iter().filter(|batch| batch.num_rows() > 0).collect());
        Ok((cut.finish()?, self.versions(&state)))
    }
}

fn same(summary: &Summary, merged: &Merged, counts_live: bool) {
    assert_eq!(summary.outcomes, merged.outcomes, "L15 parts");
    assert_eq!(summary.refused, merged.refused, "L15 parts");
    assert_eq!(summary.counts, merged.counts, "L15 parts");
    assert_eq!(summary.absent_columns, merged.absent_columns, "L15 parts");
    assert_eq!(summary.ledger.removes, merged.ledger.removes, "L15 parts");
    assert_eq!(rows(&summary.ledger.adds), rows(&merged.ledger.adds), "L15 parts");
    let (parts, mut whole) = (reports(&summary.scopes, counts_live), reports(&merged.scopes, counts_live));
    whole.retain(|scope, sums| parts.contains_key(scope) || *sums != (0, 0));
    assert_eq!(parts, whole, "L15 parts");
}

/// Rows as text, in some order.
fn rows(batch: &RecordBatch) -> Vec<String> {
    let mut rows: Vec<String> = (0..batch.num_rows()).map(|row| format!("{:?}", batch.slice(row, 1))).collect();
    rows.sort();
    rows
}

/// Null and empty text are one scope value here, and live keys are counted only where the load is complete and new.
fn reports(scopes: &[ScopeReport], counts_live: bool) -> BTreeMap<(Vec<String>, u8), (u64, u64)> {
    let mut sums = BTreeMap::new();
    for scope in scopes {
        let (live, closed) = sums.entry((scope.value.clone(), scope.disposition as u8)).or_insert((0, 0));
        *live += if counts_live && scope.disposition != Disposition::Repeated { scope.live } else { 0 };
        *closed += scope.closed_by_absence;
    }
    sums
}
