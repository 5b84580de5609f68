//! What errors say: names, counts and positions, and never the value of a cell but that of a scope.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, UInt8Array, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use rcm_scd2::{
    Absence, Complete, Detect, Error, InitialValidFrom, Late, Load, Spec, State, When, apply, as_of_join, correct,
    ensure_members, merge, rewind, verify,
};

use crate::tables::{Table, bare, batch};

const HISTORY: &str = "id name valid_from valid_to";

#[track_caller]
fn says(error: impl Into<Option<Error>>, text: &str) {
    let error = error.into().expect("an error");
    assert_eq!(error.to_string(), text);
    let debug = format!("{error:?} {error:#?}");
    assert!(!error.to_string().contains("secret") && !debug.contains("secret"), "{debug}");
}

fn snapshots() -> Spec {
    Spec::snapshot(["id"]).track(["name"]).build().unwrap()
}

fn feed() -> Spec {
    Spec::feed(["id"], ["at"]).track(["name"]).latest_in_run(["phone"]).deletes(When::new("gone", "y")).build().unwrap()
}

fn scoped() -> Spec {
    let spec = Spec::snapshot(["hospital", "id"]).track(["name"]);
    spec.deletes(Absence::close().within(["hospital"]).max_ratio(0.5)).build().unwrap()
}

fn failed(spec: &Spec, state: &State, as_of: i64, rows: RecordBatch) -> Option<Error> {
    merge(spec, state, &Load::new(&[rows], as_of)).err()
}

fn history(rows: &str) -> State {
    State::from_history(vec![batch(HISTORY, rows)])
}

#[test]
fn specs_that_cannot_be() {
    let keys = || Spec::snapshot(["id"]).track(["name"]);
    let events = || Spec::feed(["id"], ["at"]).track(["name"]);
    says(Spec::snapshot::<&str>([]).build().err(), "spec: no key column is named");
    says(Spec::feed(["id"], [] as [&str; 0]).build().err(), "spec: no sequence column is named");
    says(keys().track(["id"]).build().err(), "spec: column `id` is named twice");
    says(events().deletes(When::new("at", true)).build().err(), "spec: column `at` is named twice");
    let reserved = "spec: column `valid_to` is written by the engine and cannot have another role";
    says(keys().keep(["valid_to"]).build().err(), reserved);
    let reserved = "spec: column `_digest` is written by the engine and cannot have another role";
    says(keys().sequence("_digest", Detect::Values).build().err(), reserved);
    let scope = keys().deletes(Absence::close().within(["name"])).build().err();
    says(scope, "spec: scope `name` is not one of the keys");
    for ratio in [-0.1, 1.1, f64::NAN] {
        let text = format!("spec: max delete ratio {ratio} is not between 0 and 1");
        says(keys().deletes(Absence::close().max_ratio(ratio)).build().err(), &text);
    }
    let splice = "spec: late snapshots can be applied only where absence deletes, there is no sequence column, and \
                  first versions start naturally";
    says(keys().late(Late::Apply).build().err(), splice);
    let whole = || keys().late(Late::Apply).deletes(Absence::close());
    says(whole().sequence("changed", Detect::Values).build().err(), splice);
    says(whole().initial_valid_from(InitialValidFrom::Epoch).build().err(), splice);
    let ignored = "spec: nulls are to be ignored in column `phone`, which has no rule";
    says(events().ignore_nulls_in(["phone"]).build().err(), ignored);
    for negative in [events().late_horizon(-1), events().ignore_nulls_in(["name"]).late_horizon(-1)] {
        says(negative.build().err(), "spec: the late horizon is negative");
    }
}

#[test]
fn columns_that_are_missing_repeated_or_without_a_role() {
    let state = history("secret secret 1 -");
    let missing = "load: column `id` is missing (there are: name)";
    says(failed(&snapshots(), &state, 2, batch("name", "secret")), missing);
    let missing = "load: column `at` is missing (there are: id, name)";
    says(failed(&feed(), &State::new(), 2, batch("id name", "secret secret")), missing);
    let missing = "load: column `gone` is missing (there are: id, at, name)";
    says(failed(&feed(), &State::new(), 2, batch("id at name", "secret 1 secret")), missing);
    let repeated = "load: column `id` is there more than once";
    says(failed(&snapshots(), &state, 2, batch("id id name", "secret secret secret")), repeated);
    let repeated = "load: column `name` is there more than once";
    says(failed(&snapshots(), &state, 2, batch("id name name", "secret secret secret")), repeated);
    let unknown = "load: column `phone` has no role in the spec";
    says(failed(&snapshots(), &state, 2, batch("id name phone", "secret secret secret")), unknown);

    let load = || batch("id name", "secret secret");
    let missing = "history: column `id` is missing (there are: name, valid_from, valid_to, is_current)";
    let old = State::from_history(vec![batch("name valid_from valid_to", "secret 1 -")]);
    says(failed(&snapshots(), &old, 2, load()), missing);
    says(verify(&snapshots(), &old.history).err(), missing);
    let old = State::from_history(vec![bare("id name valid_from valid_to", "secret secret 1 -")]);
    let missing = "history: column `is_current` is missing (there are: id, name, valid_from, valid_to)";
    says(failed(&snapshots(), &old, 2, load()), missing);
    let old = State::from_history(vec![batch("id name name valid_from valid_to", "secret secret secret 1 -")]);
    says(failed(&snapshots(), &old, 2, load()), "history: column `name` is there more than once");
    let old = State::from_history(vec![batch("id valid_from valid_from valid_to", "secret 1 1 -")]);
    says(failed(&snapshots(), &old, 2, load()), "history: column `valid_from` is there more than once");
    says(verify(&snapshots(), &old.history).err(), "history: column `valid_from` is there more than once");
    let markers = Spec::snapshot(["id"]).track(["name"]).deletes(Absence::marker()).build().unwrap();
    let missing = "history: column `is_deleted` is missing (there are: id, name, valid_from, valid_to, is_current)";
    says(failed(&markers, &state, 2, load()), missing);

    let withheld = [batch("name", "secret")];
    let held = merge(&snapshots(), &state, &Load { withheld: &withheld, ..Load::new(&[load()], 2) });
    says(held.err(), "withheld: column `id` is missing (there are: name)");
    let only = [batch("id", "secret")];
    let some = Load { complete: Complete::Only(&only), ..Load::new(&[], 2) };
    says(merge(&scoped(), &State::new(), &some).err(), "complete: column `hospital` is missing (there are: id)");
    let text = "load: complete for some scope values only, but the spec has no scope";
    says(merge(&snapshots(), &state, &some).err(), text);

    let hidden = State { hidden: vec![batch("id phone", "secret secret")], ..State::new() };
    let missing = "hidden: column `_at` is missing (there are: id, phone)";
    says(failed(&feed(), &hidden, 2, batch("id at name gone", "secret 1 secret -")), missing);
    let ledger = State { ledger: vec![batch("id", "secret")], ..State::new() };
    says(failed(&snapshots(), &ledger, 2, load()), "ledger: column `_as_of` is missing (there are: id)");
    says(
        correct(&snapshots(), &state, &[load()]).err(),
        "correction: column `valid_from` is missing (there are: id, name)",
    );
    says(
        ensure_members(&snapshots(), &state, &[batch("name", "secret")], 1).err(),
        "load: column `id` is missing (there are: name)",
    );
}

#[test]
fn types_that_do_not_fit() {
    let numbers = || -> ArrayRef { Arc::new(Int64Array::from(vec![1])) };
    let texts = || -> ArrayRef { Arc::new(StringArray::from(vec!["secret"])) };
    let named = |id: ArrayRef, name: ArrayRef| RecordBatch::try_from_iter([("id", id), ("name", name)]).unwrap();
    let state = history("secret secret 1 -");
    let text = "load: column `id` has type Int64, expected Utf8";
    says(failed(&snapshots(), &state, 2, named(numbers(), texts())), text);
    says(ensure_members(&snapshots(), &state, &[named(numbers(), texts())], 2).err(), text);
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Int64));
    let encoded = cast(&numbers(), &dictionary).unwrap();
    let text = "load: column `name` has type Dictionary(Int8, Int64), expected Utf8";
    says(failed(&snapshots(), &state, 2, named(texts(), encoded)), text);
    let list = new_null_array(&DataType::new_list(DataType::Utf8, true), 1);
    let text = format!("load: column `name` has the unsupported type {}", list.data_type());
    says(failed(&snapshots(), &state, 2, named(texts(), list)), &text);

    let wrong = |name: &'static str, column: ArrayRef| {
        let good = batch(HISTORY, "secret secret 1 -");
        let columns = good.schema_ref().fields().iter().zip(good.columns()).map(|(field, old)| {
            (field.name().clone(), if field.name() == name { column.clone() } else { old.clone() }, true)
        });
        vec![RecordBatch::try_from_iter_with_nullable(columns.collect::<Vec<_>>()).unwrap()]
    };
    let text = "history: column `valid_to` has type Utf8, expected Timestamp(us, \"UTC\")";
    says(verify(&snapshots(), &wrong("valid_to", texts())).err(), text);
    let text = "history: column `is_current` has type Int64, expected Boolean";
    says(verify(&snapshots(), &wrong("is_current", numbers())).err(), text);
    says(rewind(&snapshots(), &State::from_history(wrong("is_current", numbers())), 1).err(), text);

    let event = |at: ArrayRef, gone: ArrayRef| {
        RecordBatch::try_from_iter([("id", texts()), ("at", at), ("name", texts()), ("gone", gone)]).unwrap()
    };
    let at = || batch("at", "5").column(0).clone();
    let text = "load: column `at` has type Utf8, expected a date or a timestamp";
    says(failed(&feed(), &State::new(), 0, event(texts(), texts())), text);
    let text = "load: column `gone` has type Int64, expected text";
    says(failed(&feed(), &State::new(), 0, event(at(), numbers())), text);
    for (when, expected) in [(When::new("gone", true), "Boolean"), (When::new("gone", 1), "an integer")] {
        let spec = Spec::feed(["id"], ["at"]).track(["name"]).deletes(when).build().unwrap();
        let text = format!("load: column `gone` has type Utf8, expected {expected}");
        says(failed(&spec, &State::new(), 0, event(at(), texts())), &text);
    }
    let far =
        cast(&(Arc::new(Int64Array::from(vec![i64::MIN])) as ArrayRef), &DataType::Timestamp(TimeUnit::Second, None));
    let text = "load: row 0: column `at` is out of range for Timestamp(µs)";
    says(failed(&feed(), &State::new(), 0, event(far.unwrap(), texts())), text);
    let rows =
        RecordBatch::try_from_iter([("id", texts()), ("name", texts()), ("valid_from", numbers()), ("valid_to", at())]);
    let text = "correction: column `valid_from` has type Int64, expected Timestamp(us, \"UTC\")";
    says(correct(&snapshots(), &state, &[rows.unwrap()]).err(), text);
}

#[test]
fn bad_rows_of_a_load() {
    let rows =
        batch("id at name phone gone", "secret 1 secret - -\nsecret 1 other - -\n- 2 secret - -\nsecret - x - -");
    let text = "load: 4 bad rows of 2 keys: row 0 contradicts another row, row 1 contradicts another row, row 2 null \
                key, row 3 null sequence";
    says(failed(&feed(), &State::new(), 0, rows), text);
    let many = batch("id name", &"- secret\n".repeat(21));
    let shown: Vec<String> = (0..20).map(|row| format!("row {row} null key")).collect();
    let text = format!("load: 21 bad rows of 1 keys: {}, ...", shown.join(", "));
    says(failed(&snapshots(), &State::new(), 0, many), &text);
    let two = batch("id name", "secret secret\nsecret other");
    let text = "load: 2 bad rows of 1 keys: row 0 contradicts another row, row 1 contradicts another row";
    says(failed(&snapshots(), &State::new(), 0, two), text);
}

fn hidden(ids: &str, at: &str, kinds: Vec<u8>) -> Vec<RecordBatch> {
    let (id, at) = (batch("id", ids).column(0).clone(), batch("at", at).column(0).clone());
    let kinds: ArrayRef = Arc::new(UInt8Array::from(kinds));
    vec![
        RecordBatch::try_from_iter_with_nullable([("id", id, true), ("_at", at, true), ("_kind", kinds, true)])
            .unwrap(),
    ]
}

#[test]
fn hidden_state_that_contradicts_itself() {
    let says_of = |hidden: Vec<RecordBatch>, text: &str| {
        let old = vec![batch("id name phone valid_from valid_to", "secret-a secret x 10 20\nsecret-a secret x 30 -")];
        let state = State { history: old, hidden, ledger: Vec::new() };
        says(failed(&feed(), &state, 0, batch("id at name phone gone", "secret-a 99 secret - -")), text);
        says(rewind(&feed(), &state, 0).err(), text);
        let rows = [bare("id name phone valid_from valid_to", "secret-a secret x 40 50")];
        says(correct(&feed(), &state, &rows).err(), text);
    };
    says_of(hidden("secret-a", "25", vec![0]), "hidden: row 0: no version covers this observation");
    says_of(hidden("secret-a", "25", vec![1]), "hidden: row 0: no version covers this observation");
    says_of(hidden("secret-a", "15", vec![9]), "hidden: row 0: no version covers this observation");
    says_of(hidden("secret-a\nsecret-a", "15\n15", vec![0, 0]), "hidden: row 1: same key and sequence as row 0");
    says_of(hidden("secret-a", "-", vec![0]), "hidden: row 0: a sequence column is null");
    says_of(hidden("-", "15", vec![0]), "hidden: row 0: a key column is null");
    says_of(hidden("secret-a", "10", vec![0]), "hidden: row 0: no version covers this observation");
}

#[test]
fn late_snapshots_and_too_many_deletes_name_the_scope() {
    let mut table = Table::new(scoped());
    let header = "hospital id name";
    table.at(2, header, "hos-a secret-1 secret\nhos-a secret-2 secret");
    let late = "load: scope hos-a: snapshot as of 1970-01-01T00:00:00.000001Z is not later than history at \
                1970-01-01T00:00:00.000002Z";
    says(table.try_at(1, header, "hos-a secret-1 secret").err(), late);
    let same = "load: scope hos-a: snapshot as of 1970-01-01T00:00:00.000002Z is not later than history at \
                1970-01-01T00:00:00.000002Z";
    says(table.try_at(2, header, "hos-a secret-1 secret").err(), same);
    let (rows, hospital) = ([], [batch("hospital", "hos-a")]);
    let empty = Load { complete: Complete::Only(&hospital), ..Load::new(&rows, 1_700_000_000_000_000) };
    let many = "load: scope hos-a: 2 of 2 live keys are absent, more than the allowed share of 0.5";
    says(table.load(&empty).err(), many);

    let old = history("secret secret 5 -");
    let late =
        "load: snapshot as of 1970-01-01T00:00:00.000005Z is not later than history at 1970-01-01T00:00:00.000005Z";
    says(failed(&snapshots(), &old, 5, batch("id name", "secret other")), late);
    let closed = history("secret secret 5 9");
    let late =
        "load: snapshot as of 1970-01-01T00:00:00.000007Z is not later than history at 1970-01-01T00:00:00.000009Z";
    says(failed(&snapshots(), &closed, 7, batch("id name", "secret other")), late);
    let absence = Spec::snapshot(["id"]).track(["name"]).deletes(Absence::close()).build().unwrap();
    let late = "load: snapshot as of 1970-01-01T00:00:00Z is not later than history at 1970-01-01T00:00:00.000005Z";
    says(failed(&absence, &old, 0, batch("id name", "")), late);
}

#[test]
fn instants_that_no_calendar_has_are_told_as_numbers() {
    let mut table = Table::new(snapshots());
    table.at(i64::MAX, "id name", "secret secret");
    let late = "load: snapshot as of -9223372036854775808 us is not later than history at 9223372036854775807 us";
    says(table.try_at(i64::MIN, "id name", "secret secret").err(), late);
}

#[test]
fn positions_that_are_not_there() {
    let mut table = Table::new(Spec::snapshot(["id"]).track(["name"]).deletes(Absence::close()).build().unwrap());
    table.at(1, "id name", "secret secret");
    let merged = merge(&table.spec, &table.state, &Load::new(&[batch("id name", "")], 2)).unwrap();
    let gone = State { ledger: table.state.ledger.clone(), ..State::new() };
    says(apply(&gone, &merged).err(), "history: row 0 is named by the merge, there are 0 rows");
    let merged = rewind(&table.spec, &table.state, 0).unwrap();
    says(apply(&gone, &merged).err(), "history: row 0 is named by the merge, there are 0 rows");
    let merged = rcm_scd2::Patch { removes: vec![3], adds: batch("id", "") };
    assert!(matches!(merged.apply(&[batch("id", "secret")]), Err(Error::NoSuchRow { row: 3, rows: 1 })));
}

#[test]
fn no_cell_is_in_a_message_of_a_join() {
    let facts = batch("patient at", "secret 5");
    let broken = [batch(HISTORY, "secret secret 9 9")];
    let text = "history: row 0: `valid_to` is not later than `valid_from`";
    says(as_of_join(&snapshots(), &broken, std::slice::from_ref(&facts), &["patient"], "at").err(), text);
    let text = "facts: 2 key columns are named, the spec has 1";
    says(as_of_join(&snapshots(), &[], &[facts], &["patient", "at"], "at").err(), text);
}
