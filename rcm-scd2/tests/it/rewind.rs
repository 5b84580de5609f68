//! Histories as if nothing had been observed since an instant.

use rcm_scd2::{Absence, Disposition, InitialValidFrom, Spec, When};

use crate::tables::{Table, text};

#[test]
fn snapshots_with_markers_can_be_applied_again() {
    let spec = Spec::snapshot(["id"]).track(["name"]).deletes(Absence::marker()).build().unwrap();
    let loads = [(1, "a A\nb B"), (3, "b C"), (5, "a A\nb C"), (7, "a D"), (9, "b C")];
    for to in 0..=10 {
        let (mut rewound, mut never) = (Table::new(spec.clone()), Table::new(spec.clone()));
        for (as_of, rows) in loads {
            rewound.at(as_of, "id name", rows);
            if as_of < to {
                never.at(as_of, "id name", rows);
            }
        }
        let all = rewound.text();
        rewound.rewind(to);
        assert_eq!(rewound.text(), never.text(), "rewound to {to}");
        assert_eq!(rewound.ledger(), never.ledger());
        for (as_of, rows) in loads.into_iter().filter(|(as_of, _)| *as_of >= to) {
            let merged = rewound.at(as_of, "id name", rows);
            assert_eq!(merged.scopes[0].disposition, Disposition::Applied);
        }
        assert_eq!(rewound.text(), all, "rewound to {to} and applied again");
        assert!(rewound.rewind(i64::MAX).is_nothing());
    }
}

#[test]
fn ledger_rows_of_all_scopes_go() {
    let spec = Spec::snapshot(["hospital", "id"]).track(["name"]).deletes(Absence::close().within(["hospital"]));
    let mut table = Table::new(spec.build().unwrap());
    table.at(1, "hospital id name", "a 1 A\nb 1 B");
    table.at(5, "hospital id name", "a 1 C");
    table.at(6, "hospital id name", "b 1 D");
    table.rewind(5);
    table.shows("a 1 A 1 -\nb 1 B 1 -");
    assert_eq!(table.ledger(), 2);
    let merged = table.at(5, "hospital id name", "a 1 C");
    assert_eq!(merged.scopes[0].disposition, Disposition::Applied);
}

#[test]
fn a_feed_is_rewound_exactly_hidden_rows_included() {
    let events = ["a 5 A 1 -", "a 10 A 2 -", "b 3 - - y", "a 12 B 3 -", "a 15 B 4 -", "a 18 - - y", "b 1 X 1 -"];
    let valid = |event: &str| event.split(' ').nth(1).unwrap().parse::<i64>().unwrap();
    for initial in [InitialValidFrom::Natural, InitialValidFrom::Epoch, InitialValidFrom::EpochFirstLoad] {
        for marker in [false, true] {
            let when = When::new("gone", "y");
            let spec = Spec::feed(["id"], ["at"]).track(["name"]).latest_in_run(["phone"]).initial_valid_from(initial);
            let spec = spec.deletes(if marker { when.marker() } else { when }).build().unwrap();
            for to in 0..20 {
                let (mut rewound, mut never) = (Table::new(spec.clone()), Table::new(spec.clone()));
                let header = "id at name phone gone";
                rewound.at(0, header, &events.join("\n"));
                let before: Vec<&str> = events.into_iter().filter(|event| valid(event) < to).collect();
                never.at(0, header, &before.join("\n"));
                let all = (rewound.text(), text(&rewound.state.hidden));
                rewound.rewind(to);
                assert_eq!(rewound.text(), never.text(), "{initial:?}, to {to}");
                assert_eq!(text(&rewound.state.hidden), text(&never.state.hidden), "{initial:?}, to {to}");
                if initial != InitialValidFrom::EpochFirstLoad {
                    rewound.at(0, header, &events.join("\n"));
                    assert_eq!((rewound.text(), text(&rewound.state.hidden)), all, "{initial:?}, to {to}");
                }
            }
        }
    }
}

#[test]
fn a_member_inferred_later_goes_and_an_earlier_one_comes_back() {
    let mut table = Table::new(Spec::feed(["id"], ["at"]).track(["name"]).build().unwrap());
    table.ensure("id", "a", 5);
    table.ensure("id", "b", 9);
    table.at(0, "id at name", "a 8 A\nb 20 B");
    table.rewind(7);
    table.shows("a - 5 - t");
    assert_eq!(table.hidden(), 1);
}

#[test]
fn a_rewind_to_before_everything_leaves_an_empty_table() {
    let mut table = Table::new(Spec::snapshot(["id"]).track(["name"]).deletes(Absence::close()).build().unwrap());
    table.at(1, "id name", "a A");
    table.at(2, "id name", "");
    table.rewind(i64::MIN);
    table.shows("");
    assert_eq!(table.ledger(), 0);
    table.at(1, "id name", "a A");
    table.shows("a A 1 -");
}
