//! Late snapshots that lack a column.

use rcm_scd2::{Absence, Late, Spec};

use crate::tables::Table;

fn table() -> Table {
    let spec = Spec::snapshot(["id"]).track(["name", "city"]).deletes(Absence::close()).late(Late::Apply);
    Table::new(spec.build().unwrap())
}

const ALL: &str = "id name city";

#[test]
fn versions_outside_the_stretch_stay_apart_where_the_late_snapshot_lacks_a_column() {
    let (mut ordered, mut late) = (table(), table());
    for table in [&mut ordered, &mut late] {
        table.at(1, ALL, "a A Lyon");
        table.at(3, ALL, "a A Paris");
    }
    ordered.at(5, "id name", "a A");
    ordered.at(10, ALL, "a A Paris");
    late.at(10, ALL, "a A Paris");
    late.at(5, "id name", "a A");
    ordered.shows("a A Lyon 1 3\na A Paris 3 -");
    assert_eq!(late.text(), ordered.text(), "L16");
}

#[test]
fn later_versions_stay_apart_too() {
    let (mut ordered, mut late) = (table(), table());
    ordered.at(1, ALL, "a A Lyon");
    late.at(1, ALL, "a A Lyon");
    ordered.at(2, "id name", "a B");
    for table in [&mut ordered, &mut late] {
        table.at(3, ALL, "a A Lyon");
        table.at(5, ALL, "a A Paris");
    }
    late.at(2, "id name", "a B");
    ordered.shows("a A Lyon 1 2\na B - 2 3\na A Lyon 3 5\na A Paris 5 -");
    assert_eq!(late.text(), ordered.text(), "L16");
}
