//! L17: the encoding behind the surrogate key keeps apart what differs, whatever the cells look like.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, TimestampMicrosecondArray};
use rcm_scd2::surrogate_keys;

/// Cells that concatenation, separators and null markers would confuse.
const CELLS: [Option<&str>; 14] = [
    None,
    Some(""),
    Some("a"),
    Some("b"),
    Some("ab"),
    Some("ba"),
    Some("|"),
    Some("a|"),
    Some("|b"),
    Some("\0"),
    Some("a\0"),
    Some("null"),
    Some("1"),
    Some("\u{1}a"),
];

#[test]
fn keys_of_any_text_keep_apart() {
    let mut rows: Vec<([Option<&str>; 3], i64)> = Vec::new();
    for first in CELLS {
        for second in CELLS {
            for third in CELLS {
                rows.extend([0, 1, -1, 256].map(|from| ([first, second, third], from)));
            }
        }
    }
    let column = |at: usize| Arc::new(rows.iter().map(|(cells, _)| cells[at]).collect::<StringArray>()) as ArrayRef;
    let from = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|(_, from)| *from));
    let surrogates = surrogate_keys(&[column(0), column(1), column(2)], &from).unwrap();
    assert_eq!(surrogates.null_count(), 0);
    assert_eq!(surrogates.iter().collect::<BTreeSet<_>>().len(), rows.len());
}
