//! What a merge reports beside the rows.

use arrow::array::RecordBatch;
use rcm_scd2::{
    Absence, BadRows, Complete, Detect, Disposition, Late, Load, ScopeReport, Spec, State, When, apply, merge,
};

use crate::tables::{Table, batch, outcomes};

const COLUMNS: &str = "id name phone changed";

fn sequenced(detect: Detect) -> Table {
    let spec = Spec::snapshot(["id"]).track(["name"]).latest_in_run(["phone"]).sequence("changed", detect);
    Table::new(spec.build().unwrap())
}

#[test]
fn a_changed_value_without_a_later_sequence_is_ignored_and_counted() {
    let mut table = sequenced(Detect::Sequence);
    table.at(10, COLUMNS, "a A 1 5\nb B 1 5\nc C 1 5\nd D 1 5");
    let merged = table.at(20, COLUMNS, "a X 1 5\nb B 2 5\nc C 1 5\nd X 1 4");
    assert_eq!((outcomes(&merged).as_str(), merged.counts.ignored), ("NoOp NoOp NoOp NoOp", 3));
    assert!(merged.is_no_op());
    let mut table = sequenced(Detect::Values);
    table.at(10, COLUMNS, "a A 1 5");
    let merged = table.at(20, COLUMNS, "a X 1 5");
    assert_eq!((merged.counts.changed, merged.counts.ignored), (1, 0));
}

#[test]
fn a_sequence_after_as_of_is_cut_and_counted_where_a_version_opens() {
    for detect in [Detect::Sequence, Detect::Values] {
        let mut table = sequenced(detect);
        let merged = table.at(10, COLUMNS, "a A 1 15\nb B 1 10\nc C 1 9");
        assert_eq!(merged.counts.clamped, 1);
        table.shows("a A 1 15 10 -\nb B 1 10 10 -\nc C 1 9 9 -");
        let merged = table.at(20, COLUMNS, "a A 1 15\nb X 1 25\nc C 1 9");
        assert_eq!((merged.counts.clamped, merged.counts.changed), (1, 1));
        table.shows("a A 1 15 10 -\nb B 1 10 10 20\nb X 1 25 20 -\nc C 1 9 9 -");
        let merged = table.at(30, COLUMNS, "b X 1 25");
        assert_eq!((merged.counts.clamped, merged.counts.no_op), (0, 1), "nothing opens");
    }
}

fn scoped(late: Late) -> Table {
    let spec = Spec::snapshot(["hospital", "id"]).track(["name"]).bad_rows(BadRows::Quarantine).late(late);
    Table::new(spec.deletes(Absence::close().within(["hospital"])).build().unwrap())
}

fn report(value: &str, disposition: Disposition, live: u64, closed_by_absence: u64) -> ScopeReport {
    ScopeReport { value: vec![value.to_owned()], disposition, live, closed_by_absence }
}

const SCOPED: &str = "hospital id name";

#[test]
fn each_scope_value_of_a_load_is_reported() {
    let mut table = scoped(Late::Apply);
    let merged = table.at(10, SCOPED, "b 1 A\na 1 A\na 2 B");
    assert_eq!(merged.scopes, [report("a", Disposition::Applied, 0, 0), report("b", Disposition::Applied, 0, 0)]);
    let merged = table.at(20, SCOPED, "a 1 A");
    assert_eq!(merged.scopes, [report("a", Disposition::Applied, 2, 1)]);
    assert_eq!(merged.counts.closed_by_absence, 1);
    let merged = table.at(20, SCOPED, "b 1 C\na 1 A");
    assert_eq!(merged.scopes, [report("a", Disposition::Repeated, 1, 0), report("b", Disposition::Applied, 1, 0)]);
    assert_eq!(outcomes(&merged), "Changed NoOp");
    let merged = table.at(15, SCOPED, "a 1 Z\nb 1 A");
    assert_eq!(merged.scopes, [report("a", Disposition::Spliced, 1, 0), report("b", Disposition::Spliced, 1, 0)]);
    assert_eq!(outcomes(&merged), "Late NoOp");
    table.shows("a 1 A 10 15\na 1 Z 15 20\na 1 A 20 -\na 2 B 10 15\nb 1 A 10 20\nb 1 C 20 -");
}

#[test]
fn a_skipped_scope_value_says_so_and_its_rows_change_nothing() {
    let mut table = scoped(Late::Skip);
    table.at(10, SCOPED, "a 1 A");
    let merged = table.at(5, SCOPED, "a 1 Z\nb 1 B");
    assert_eq!(merged.scopes, [report("a", Disposition::Skipped, 1, 0), report("b", Disposition::Applied, 0, 0)]);
    assert_eq!(outcomes(&merged), "NoOp New");
    assert_eq!((merged.counts.ignored, merged.counts.late), (0, 0));
    table.shows("a 1 A 10 -\nb 1 B 5 -");
    assert_eq!(table.ledger(), 2);
}

#[test]
fn what_a_load_is_complete_for_is_reported_rows_or_not() {
    let mut table = scoped(Late::Error);
    table.at(10, SCOPED, "a 1 A\nb 1 B");
    let (rows, only) = ([batch(SCOPED, "")], [batch("hospital", "b\nc")]);
    let merged = table.load(&Load { complete: Complete::Only(&only), ..Load::new(&rows, 20) }).unwrap();
    assert_eq!(merged.scopes, [report("b", Disposition::Applied, 1, 1), report("c", Disposition::Applied, 0, 0)]);
    let merged = table.load(&Load { complete: Complete::Everything, ..Load::new(&rows, 30) }).unwrap();
    let all: Vec<(String, u64)> =
        merged.scopes.iter().map(|scope| (scope.value.join("/"), scope.closed_by_absence)).collect();
    assert_eq!(all, [("a".to_owned(), 1), ("b".to_owned(), 0), ("c".to_owned(), 0)]);
    let rows = [batch(SCOPED, "a 9 A")];
    let merged = table.load(&Load { complete: Complete::Nothing, ..Load::new(&rows, 40) }).unwrap();
    assert_eq!(merged.scopes, [report("a", Disposition::Applied, 0, 0)]);
}

#[test]
fn withheld_keys_touch_their_scope_value_and_rows_of_them_are_withheld() {
    let mut table = scoped(Late::Error);
    table.at(10, SCOPED, "a 1 A\na 2 B\nb 1 B");
    let (rows, withheld) = ([batch(SCOPED, "b 1 X")], [batch("hospital id", "a 1\nb 1")]);
    let merged = table.load(&Load { withheld: &withheld, ..Load::new(&rows, 20) }).unwrap();
    assert_eq!(outcomes(&merged), "Withheld");
    assert_eq!(merged.scopes, [report("a", Disposition::Applied, 2, 1), report("b", Disposition::Applied, 1, 0)]);
    table.shows("a 1 A 10 -\na 2 B 10 20\nb 1 B 10 -");
}

#[test]
fn a_snapshot_without_scope_has_one_report_and_a_feed_none() {
    let mut table = Table::new(Spec::snapshot(["id"]).track(["name"]).deletes(Absence::close()).build().unwrap());
    table.at(1, "id name", "a A\nb B");
    let merged = table.at(2, "id name", "");
    let whole = ScopeReport { value: vec![], disposition: Disposition::Applied, live: 2, closed_by_absence: 2 };
    assert_eq!(merged.scopes, [whole]);
    let mut table = Table::new(Spec::feed(["id"], ["at"]).track(["name"]).build().unwrap());
    assert!(table.at(0, "id at name", "a 1 A").scopes.is_empty());
}

#[test]
fn columns_that_a_load_lacks_are_reported_not_compared_and_null_in_new_versions() {
    let spec = Spec::snapshot(["id"]).track(["name", "city"]).latest_in_run(["phone"]).all_versions(["mail"]);
    let mut table = Table::new(spec.build().unwrap());
    let merged = table.at(1, "id name city phone mail", "a A Lyon 1 x\nb B Lyon 1 x");
    assert!(merged.absent_columns.is_empty());
    let merged = table.at(2, "id name", "a A\nb C");
    assert_eq!(merged.absent_columns, ["city", "phone", "mail"]);
    assert_eq!(outcomes(&merged), "NoOp Changed");
    table.shows("a A Lyon 1 x 1 -\nb B Lyon 1 x 1 2\nb C - - x 2 -");
    assert!(table.at(3, "id", "").absent_columns.is_empty(), "a load without rows lacks nothing");

    let mut table = Table::new(Spec::feed(["id"], ["at"]).track(["name", "city"]).build().unwrap());
    table.at(0, "id at name city", "a 1 A Lyon");
    let merged = table.at(0, "id at name", "a 2 A");
    assert_eq!(merged.absent_columns, ["city"]);
    table.shows("a A Lyon 1 2\na A - 2 -");
}

#[test]
fn a_column_that_some_batches_have_is_null_in_the_others() {
    let mut table = Table::new(Spec::snapshot(["id"]).track(["name", "city"]).build().unwrap());
    table.at(1, "id name city", "a A Lyon\nb B Lyon");
    let rows = [batch("id name city", "a A Lyon"), batch("city id", "Lyon b")];
    let merged = table.load(&Load::new(&rows, 2)).unwrap();
    assert!(merged.absent_columns.is_empty());
    assert_eq!(outcomes(&merged), "NoOp Changed");
    table.shows("a A Lyon 1 -\nb B Lyon 1 2\nb - Lyon 2 -");
}

#[test]
fn every_row_has_one_outcome() {
    let mut table = scoped(Late::Error);
    table.at(1, SCOPED, "a 1 A\na 2 B\na 3 C");
    let (rows, withheld) =
        ([batch(SCOPED, "a 1 A\na 2 X\na 4 N\na 4 N\n- 5 N\na 3 C\na 6 P\na 6 Q")], [batch("hospital id", "a 3")]);
    let merged = table.load(&Load { withheld: &withheld, ..Load::new(&rows, 2) }).unwrap();
    assert_eq!(outcomes(&merged), "NoOp Changed New Collapsed Refused Withheld Refused Refused");
    let counts = &merged.counts;
    let all =
        [counts.new, counts.changed, counts.late, counts.no_op, counts.collapsed, counts.refused, counts.withheld];
    assert_eq!(all, [1, 1, 0, 1, 1, 3, 1]);
}

#[test]
fn what_a_delete_says_of_the_columns_is_nobodys_effect() {
    // Of two deletes at one time either may count, and one of them says what the version before does not show.
    let spec =
        Spec::feed(["id"], ["at"]).latest_in_run(["phone"]).deletes(When::new("gone", "y").marker()).ignore_nulls();
    let spec = spec.build().unwrap();
    for deletes in ["a 6 3 y\na 6 1 y", "a 6 1 y\na 6 3 y"] {
        let mut table = Table::new(spec.clone());
        let merged = table.at(0, "id at phone gone", &format!("{deletes}\na 0 1 -\na 3 1 -"));
        assert_eq!(outcomes(&merged), "Changed Collapsed New NoOp", "{deletes}");
    }
}

#[test]
fn no_batch_without_rows_is_kept() {
    let spec = Spec::feed(["id"], ["at"]).track(["city"]).build().unwrap();
    let mut state = State::new();
    let mut rows = |text: &str| {
        let merged = merge(&spec, &state, &Load::new(&[batch("id at city", text)], 0)).unwrap();
        state = apply(&state, &merged).unwrap();
        state.history.iter().map(RecordBatch::num_rows).collect::<Vec<_>>()
    };
    assert_eq!(rows(""), [0], "a table without rows has its columns");
    assert_eq!(rows("a 10 Lyon"), [1]);
    assert_eq!(rows("a 10 Lyon"), [1], "nothing opens");
    assert_eq!(rows("a 5 Lyon"), [1], "the only row of a batch is withdrawn");
}
