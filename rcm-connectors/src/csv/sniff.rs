//! What stands between the fields of a text that does not say.

use super::scan::{Layout, scan};
use super::{Cut, Format};

/// Bytes that are looked at.
pub(super) const HEAD: usize = 64 << 10;
/// The first of them that is as good as another is taken.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The first that may be the delimiter of a format.
pub(super) fn first(format: &Format) -> u8 {
    let special = [format.quote, format.escape];
    DELIMITERS.into_iter().find(|byte| !special.contains(&Some(*byte))).unwrap_or(b',')
}

/// That by which the most records have as many fields as the first one, at least two; then that by which they have more.
pub(super) fn delimiter(text: &[u8], cut: &Cut, is_whole: bool) -> u8 {
    let head = &text[..text.len().min(HEAD)];
    let (mut best, mut most) = (cut.delimiter, (0, 0));
    for delimiter in DELIMITERS.into_iter().filter(|byte| ![cut.quote, cut.escape].contains(&Some(*byte))) {
        let is_last = is_whole && head.len() == text.len();
        let layout = scan(head, &Cut { delimiter, ..*cut }, is_last, false, Layout::default());
        let Some(fields) = layout.records.first().map(|record| record.fields).filter(|fields| *fields > 1) else {
            continue;
        };
        let alike = layout.records.iter().filter(|record| record.fields == fields && record.fault.is_none()).count();
        if (alike, fields) > most {
            (best, most) = (delimiter, (alike, fields));
        }
    }
    best
}
