use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::DataType;
use rcm_scd2::{Complete, Error, Fault, Load, Spec, apply, merge, verify};

use crate::tables::{FEED, FEED_HISTORY, SNAPSHOT, SNAPSHOT_HISTORY, batch, feed_spec, snapshot_spec};

fn fails(spec: &Spec, history: &[RecordBatch], hidden: &[RecordBatch], rows: &[RecordBatch]) -> String {
    merge(spec, history, hidden, &Load::new(rows, 100)).unwrap_err().to_string()
}

#[test]
fn specs_are_checked_once() {
    let none: [&str; 0] = [];
    assert_eq!(Spec::snapshot(none).build(), Err(Error::NoKeys));
    assert_eq!(Spec::feed(["id"], none).build(), Err(Error::NoSequence));
    let twice = |column: &str| Err(Error::NamedTwice { column: column.to_owned() });
    assert_eq!(Spec::snapshot(["id", "id"]).build(), twice("id"));
    assert_eq!(Spec::snapshot(["id"]).track(["a"]).latest_in_run(["a"]).build(), twice("a"));
    assert_eq!(Spec::feed(["id"], ["at"]).track(["at"]).build(), twice("at"));
    let reserved = Error::ReservedName { column: "valid_to".to_owned() };
    assert_eq!(Spec::snapshot(["id"]).track(["valid_to"]).build(), Err(reserved));
    let scope = Error::ScopeNotKey { column: "hospital".to_owned() };
    assert_eq!(Spec::snapshot(["id"]).track(["hospital"]).scope("hospital").build(), Err(scope));
    for ratio in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(Spec::snapshot(["id"]).max_delete_ratio(ratio).build(), Err(Error::RatioOutOfRange { .. })));
    }
}

#[test]
fn columns_must_be_there_once() {
    let rows = [batch("id at name phone", "a 1 Ann p")];
    let expected = "load: column `run` is missing (there are: id, at, name, phone)";
    assert_eq!(fails(&feed_spec(), &[], &[], &rows), expected);
    let rows = [batch("id at run name phone name", "a 1 1 Ann p Ann")];
    assert_eq!(fails(&feed_spec(), &[], &[], &rows), "load: column `name` is there more than once");
    let rows = [batch(SNAPSHOT, "H1 a Ann p")];
    let history = [batch("hospital id name valid_from valid_to", "H1 a Ann 1 -")];
    assert!(fails(&snapshot_spec(), &history, &[], &rows).starts_with("history: column `phone` is missing"));
    let withheld = [batch("id", "a")];
    let load = Load { withheld: &withheld, ..Load::new(&rows, 5) };
    let error = merge(&snapshot_spec(), &[], &[], &load).unwrap_err();
    assert!(error.to_string().starts_with("withheld: column `hospital` is missing"));
}

#[test]
fn types_must_fit_without_loss() {
    let spec = Spec::snapshot(["id"]).track(["run"]).build().unwrap();
    let history = [batch("id run valid_from valid_to", "a 1 1 -")];
    let rows = [RecordBatch::try_from_iter([
        ("id", batch("id", "a")["id"].clone()),
        ("run", batch("weight", "1.5")["weight"].clone()),
    ])
    .unwrap()];
    assert_eq!(fails(&spec, &history, &[], &rows), "load: column `run` has type Float64, expected Int64");

    let list = new_null_array(&DataType::new_list(DataType::Int8, true), 1);
    let rows = [RecordBatch::try_from_iter([("id", batch("id", "a")["id"].clone()), ("run", list)]).unwrap()];
    assert!(fails(&spec, &[], &[], &rows).starts_with("load: column `run` has the unsupported type List"));

    let spec = Spec::feed(["id"], ["name"]).build().unwrap();
    let expected = "load: column `name` has type Utf8, expected Date32 or a timestamp";
    assert_eq!(fails(&spec, &[], &[], &[batch("id name", "a x")]), expected);
}

#[test]
fn broken_history_is_refused() {
    let check = |text: &str, row: usize, fault: Fault| {
        let history = [batch(SNAPSHOT_HISTORY, text)];
        assert_eq!(verify(&snapshot_spec(), &history), Err(Error::BrokenHistory { row, fault }));
    };
    check("H1 a A p 5 5", 0, Fault::EmptyInterval);
    check("H1 b A p 1 2 \n H1 a A p 5 4", 1, Fault::EmptyInterval);
    check("H1 a A p - -", 0, Fault::NullValidFrom);
    check("H1 - A p 1 -", 0, Fault::NullKey);
    check("H1 a A p 3 9 \n H1 a A p 1 4", 0, Fault::Overlap { other: 1 });
    check("H1 a A p 1 - \n H1 a A p 4 9", 1, Fault::Overlap { other: 0 });
    check("H1 a A p 1 - \n H1 a A p 4 -", 1, Fault::TwoCurrent { other: 0 });
    let good = [batch(SNAPSHOT_HISTORY, "H1 a A p 4 - \n H1 a A p 1 4 \n H2 a A p 1 -")];
    assert_eq!(verify(&snapshot_spec(), &good), Ok(()));

    let flag = batch(SNAPSHOT_HISTORY, "H1 a A p 1 -");
    let mut columns = flag.columns().to_vec();
    columns.pop();
    columns.push(std::sync::Arc::new(arrow::array::BooleanArray::from(vec![false])));
    let flag = [RecordBatch::try_new(flag.schema(), columns).unwrap()];
    assert_eq!(verify(&snapshot_spec(), &flag), Err(Error::BrokenHistory { row: 0, fault: Fault::CurrentFlag }));

    // A merge notices it on the keys it touches, present or absent.
    let two = [batch(SNAPSHOT_HISTORY, "H1 a A p 1 - \n H1 a A p 4 -")];
    let expected = "history: row 1: current, as is row 0 of the same key";
    assert_eq!(fails(&snapshot_spec(), &two, &[], &[batch(SNAPSHOT, "H1 a B p")]), expected);
    assert_eq!(fails(&snapshot_spec(), &two, &[], &[batch(SNAPSHOT, "")]), expected);
}

#[test]
fn hidden_state_must_be_whole() {
    let history = [batch(FEED_HISTORY, "b B p 3 - \n a A p 1 5 \n a B p 5 -")];
    let rows = [batch(FEED, "a 9 1 C p")];
    let lacks = |row: usize| format!("history: row {row}: hidden state lacks the observation that opened it");
    assert_eq!(fails(&feed_spec(), &history, &[], &rows), lacks(1));
    assert_eq!(fails(&feed_spec(), &history, &[batch(FEED, "a 1 1 A p")], &rows), lacks(2));
    let twice = [batch(FEED, "a 1 1 A p"), batch(FEED, "a 1 1 A p")];
    assert_eq!(fails(&feed_spec(), &[], &twice, &rows), "hidden: row 1: same key and sequence as row 0");
    let null = [batch(FEED, "a - 1 A p")];
    assert_eq!(fails(&feed_spec(), &[], &null, &rows), "hidden: row 0: a sequence column is null");
}

#[test]
fn loads_are_checked() {
    let spec = Spec::snapshot(["id"]).build().unwrap();
    let load = Load { complete: Complete::Only(vec!["H1".to_owned()]), ..Load::new(&[], 1) };
    assert_eq!(merge(&spec, &[], &[], &load), Err(Error::CompleteWithoutScope));
}

#[test]
fn apply_needs_the_history_of_the_merge() {
    let rows = [batch(SNAPSHOT, "H1 a B p")];
    let history = [batch(SNAPSHOT_HISTORY, "H1 b A p 1 - \n H1 a A p 1 -")];
    let merged = merge(&snapshot_spec(), &history, &[], &Load::new(&rows, 100)).unwrap();
    assert_eq!(apply(&[history[0].slice(0, 1)], &merged), Err(Error::NoSuchRow { row: 1, rows: 1 }));
    let wide = [batch("hospital id name phone valid_from valid_to extra", "")];
    assert_eq!(apply(&wide, &merged), Err(Error::UnknownColumn { column: "extra".to_owned() }));
}

#[test]
fn nothing_at_all_is_no_op() {
    for spec in [feed_spec(), snapshot_spec()] {
        let merged = merge(&spec, &[], &[], &Load::new(&[], 1)).unwrap();
        assert!(merged.is_no_op() && !merged.hidden_changed && merged.outcomes.is_empty());
        assert_eq!(apply(&[], &merged).unwrap().num_rows(), 0);
    }
}
