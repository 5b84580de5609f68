//! Arbitrary Arrow data, as history, hidden state, ledger and load: never a panic, and what is accepted keeps the laws.
#![no_main]

mod arrays;
#[path = "../random.rs"]
mod random;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use libfuzzer_sys::fuzz_target;
use random::Random;
use rcm_scd2::{
    Absence, BadRows, Complete, Cut, Detect, Error, InitialValidFrom, Late, Load, Merged, Patch, Spec, State, When,
    apply, as_of_join, buckets, correct, ensure_members, merge, rewind, surrogate_keys, verify,
};
use std::sync::Arc;

const COLUMNS: [&str; 8] = ["k0", "k1", "c0", "c1", "c2", "at", "seq", "op"];
const STATE: [&str; 9] =
    ["valid_from", "valid_to", "is_current", "is_deleted", "is_inferred", "_at", "_kind", "_as_of", "_digest"];

fn spec(random: &mut Random) -> Result<Spec, Error> {
    let keys = &["k0", "k1"][..1 + random.below(2)];
    let when = match random.below(4) {
        0 => When::new("op", true),
        1 => When::new("op", 1).marker(),
        2 => When::new("op", "a"),
        _ => When::new("op", -1).max_ratio(0.5),
    };
    let bad = random.pick(&[BadRows::Error, BadRows::Quarantine, BadRows::Quarantine]);
    let initial = random.pick(&[InitialValidFrom::Natural, InitialValidFrom::Epoch, InitialValidFrom::EpochFirstLoad]);
    macro_rules! common {
        ($builder:expr) => {{
            let builder = $builder.track(["c0"]).latest_in_run(["c1"]).all_versions(["c2"]);
            let builder = builder.bad_rows(bad).initial_valid_from(initial);
            let builder = if random.one_in(3) { builder.null_keys_as_value() } else { builder };
            if random.one_in(4) { builder.open_valid_to(random.pick(&[i64::MAX, 0, 1 << 55])) } else { builder }
        }};
    }
    if random.one_in(2) {
        let sequence = &["at", "seq"][..1 + random.below(2)];
        let builder = common!(Spec::feed(keys.to_vec(), sequence.to_vec()));
        let builder = if random.one_in(2) { builder.deletes(when) } else { builder };
        let builder = if random.one_in(3) { builder.ignore_nulls() } else { builder };
        if random.one_in(4) { builder.late_horizon(random.pick(&[0, 1, i64::MAX])) } else { builder }.build()
    } else {
        let builder = common!(Spec::snapshot(keys.to_vec()));
        let builder = builder.late(random.pick(&[Late::Error, Late::Skip, Late::Apply]));
        let builder = match random.below(4) {
            0 => builder,
            1 => builder.deletes(when),
            2 => builder.deletes(Absence::close()),
            _ => builder.deletes(Absence::marker().within(["k0"]).max_ratio(0.9)),
        };
        match random.below(3) {
            0 => builder.sequence("at", Detect::Values),
            1 => builder.sequence("at", Detect::Sequence),
            _ => builder,
        }
        .build()
    }
}

/// A type for each column that batches mostly have.
struct Usual(Vec<(&'static str, DataType)>);

impl Usual {
    fn of(random: &mut Random) -> Self {
        let of = |name: &'static str, random: &mut Random| match name {
            "valid_from" | "valid_to" | "_at" | "_as_of" => {
                DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()))
            }
            "is_current" | "is_deleted" | "is_inferred" => DataType::Boolean,
            "_kind" => DataType::UInt8,
            "_digest" => DataType::FixedSizeBinary(16),
            "at" => random.pick(&[
                DataType::Date32,
                DataType::Int64,
                DataType::Timestamp(arrow::datatypes::TimeUnit::Second, None),
            ]),
            _ => arrays::data_type(random),
        };
        Usual(COLUMNS.into_iter().chain(STATE).map(|name| (name, of(name, random))).collect())
    }

    fn batches(&self, random: &mut Random, names: &[&str]) -> Vec<RecordBatch> {
        let batches = random.below(3);
        (0..batches).map(|_| self.batch(random, names)).collect()
    }

    fn batch(&self, random: &mut Random, names: &[&str]) -> RecordBatch {
        let len = random.below(7);
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (name, usual) in self.0.iter().filter(|(name, _)| names.contains(name)) {
            for _ in 0..random.pick(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 2]) {
                let data_type = arrays::near(random, usual);
                columns.push(arrays::array(random, &data_type, len));
                fields.push(Field::new(*name, data_type, true));
            }
        }
        batch(fields, columns, len)
    }
}

fn batch(fields: Vec<Field>, columns: Vec<ArrayRef>, len: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(len));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).unwrap()
}

fn encoded(random: &mut Random, batches: &[RecordBatch]) -> Vec<RecordBatch> {
    let mut all = Vec::new();
    for whole in batches {
        let cut = random.below(whole.num_rows() + 1);
        for part in [whole.slice(0, cut), whole.slice(cut, whole.num_rows() - cut)] {
            let columns: Vec<ArrayRef> = part.columns().iter().map(|array| arrays::encoded(random, array)).collect();
            let schema = whole.schema();
            let fields = schema.fields().iter().zip(&columns);
            let fields =
                fields.map(|(field, array)| Field::new(field.name(), array.data_type().clone(), true)).collect();
            all.push(batch(fields, columns, part.num_rows()));
        }
    }
    all
}

/// A table stays one. (A merge looks at the keys that it touches; others may have been broken all along.)
fn sound(spec: &Spec, before: &State, after: &State) {
    if verify(spec, &before.history).is_ok() {
        verify(spec, &after.history).unwrap();
    }
}

/// Text that comes in another encoding is stored in that one.
fn typed(batch: &RecordBatch, like: &RecordBatch) -> RecordBatch {
    let fields = like.schema();
    let columns = batch.columns().iter().zip(fields.fields());
    let columns = columns.map(|(array, field)| cast(array, field.data_type()).unwrap()).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(like.schema(), columns, &options).unwrap()
}

/// What a merge gives is a table again, the same load changes nothing, and it does not matter how the rows are written.
fn accepted(random: &mut Random, spec: &Spec, state: &State, load: &Load, merged: &Merged) -> Option<State> {
    assert_eq!(merged.outcomes.len(), load.rows.iter().map(RecordBatch::num_rows).sum::<usize>());
    assert_eq!(merged.counts.rows(), merged.outcomes.len() as u64);
    let after = apply(state, merged).ok()?;
    sound(spec, state, &after);
    let other = encoded(random, load.rows);
    let other = Load { rows: &other, ..load.clone() };
    let same = merge(spec, state, &other).unwrap();
    let same = Merged {
        opens: typed(&same.opens, &merged.opens),
        hidden: Patch { adds: typed(&same.hidden.adds, &merged.hidden.adds), ..same.hidden },
        ledger: Patch { adds: typed(&same.ledger.adds, &merged.ledger.adds), ..same.ledger },
        ..same
    };
    assert_eq!(same, *merged, "the encoding of a load counts: {spec:?}");
    Some(after)
}

/// A load that is cut into one bucket is merged as it is.
fn in_one_bucket(spec: &Spec, state: &State, load: &Load, merged: &Result<Merged, Error>) {
    let bucket = |keys: &[ArrayRef]| buckets(keys, 1);
    let cut = match Cut::new(spec, &state.ledger, load, &bucket) {
        Ok(cut) => cut,
        Err(Error::UnsupportedType { place: "buckets", .. }) => return,
        Err(error) if merged.is_ok() => panic!("a load is refused because it is cut: {error}"),
        Err(_) => return,
    };
    let State { history, hidden, .. } = state.clone();
    for unit in cut.units([0]) {
        match (cut.merge(&unit, history.clone(), hidden.clone()), merged) {
            // Types of a load that the bucket has no rows of are not known there.
            (Ok(of_unit), Ok(merged)) => assert_eq!(typed(&of_unit.opens, &merged.opens), merged.opens),
            (Err(_), Ok(_)) => panic!("a merge is refused because it is cut"),
            (_, Err(_)) => {}
        }
    }
    if let (Ok(summary), Ok(merged)) = (cut.finish(), merged) {
        assert_eq!(summary.counts, merged.counts);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let random = &mut Random::of(bytes);
    let Ok(spec) = spec(random) else { return };
    let usual = Usual::of(random);
    let keys: Vec<&str> = spec.keys().iter().map(String::as_str).collect();
    let mut in_load: Vec<&str> = keys.iter().copied().chain(["c0", "c1", "c2"]).collect();
    let recorded = spec.recorded();
    in_load.extend(
        ["at", "seq", "op"].into_iter().filter(|name| recorded.contains(&format!("\t{name}")) || random.one_in(20)),
    );

    let mut state = State::new();
    let mut own = true;
    if random.one_in(3) {
        own = false;
        let stored: Vec<&str> = in_load.iter().copied().chain(STATE[..5].iter().copied()).collect();
        state.history = usual.batches(random, &stored);
        if random.one_in(3) {
            let hidden: Vec<&str> = in_load.iter().copied().chain(["_at", "_kind"]).collect();
            state.hidden = usual.batches(random, &hidden);
            let ledger: Vec<&str> = keys.iter().copied().chain(["_as_of", "_digest"]).collect();
            state.ledger = usual.batches(random, &ledger);
        }
    }
    for _ in 0..1 + random.below(4) {
        let as_of = random.pick(&[0, 1, 2, 3, -1, i64::MAX, i64::MIN, 1 << 60]);
        let done = match random.below(8) {
            0 => rewind(&spec, &state, as_of),
            1 => {
                let names: Vec<&str> = in_load.iter().copied().chain(["valid_from", "valid_to"]).collect();
                correct(&spec, &state, &usual.batches(random, &names))
            }
            2 => ensure_members(&spec, &state, &usual.batches(random, &keys), as_of),
            _ => {
                let (rows, withheld) = (usual.batches(random, &in_load), usual.batches(random, &keys));
                let only =
                    usual.batches(random, spec.scope().iter().map(String::as_str).collect::<Vec<_>>().as_slice());
                let complete =
                    random.pick(&[Complete::Present, Complete::Everything, Complete::Nothing, Complete::Only(&only)]);
                let load = Load { rows: &rows, as_of, withheld: &withheld, complete };
                let merged = merge(&spec, &state, &load);
                in_one_bucket(&spec, &state, &load, &merged);
                if let Ok(merged) = &merged
                    && let Some(after) = accepted(random, &spec, &state, &load, merged)
                    && own
                {
                    // A horizon may have moved past the load's own events.
                    match merge(&spec, &after, &load) {
                        Ok(again) => assert!(again.is_no_op(), "a replay changes history"),
                        Err(error) => assert!(
                            recorded.contains("horizon") || !matches!(error, Error::BrokenHistory { .. }),
                            "a replay finds broken history"
                        ),
                    }
                }
                merged
            }
        };
        if let Ok(next) = done.and_then(|merged| apply(&state, &merged)) {
            sound(&spec, &state, &next);
            state = next;
        }
    }
    let facts = usual.batches(random, &["k0", "k1", "at"]);
    let _any = as_of_join(&spec, &state.history, &facts, &keys, "at");
    for fact in &facts {
        let columns: Vec<ArrayRef> = fact.columns().to_vec();
        let _any = buckets(&columns, 7);
        let from: TimestampMicrosecondArray = (0..fact.num_rows() as i64).map(Some).collect();
        let _any = surrogate_keys(&columns, &from).map(|names| assert_eq!(names.null_count(), 0));
    }
});
