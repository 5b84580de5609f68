//! What is to be done to history.

use crate::Close;
use crate::cells::At;
use crate::history::Row;
use crate::opens::{Opens, Span};
use crate::space::Section;

#[derive(Default)]
pub(crate) struct Edits {
    pub(crate) closes: Vec<Close>,
    pub(crate) withdrawals: Vec<usize>,
    pub(crate) opens: Opens,
}

impl Edits {
    /// All of them, in order.
    pub(crate) fn concat(parts: Vec<Edits>) -> Edits {
        let (mut opens, mut others) = (Vec::new(), Vec::new());
        for Edits { closes, withdrawals, opens: part } in parts {
            opens.push(part);
            others.push((closes, withdrawals));
        }
        // Fresh memory costs more than the copy: two threads get it.
        let (opens, (closes, withdrawals)) = rayon::join(
            || Opens::concat(opens),
            || {
                let (closes, withdrawals): (Vec<_>, Vec<_>) = others.into_iter().unzip();
                (closes.concat(), withdrawals.concat())
            },
        );
        Edits { closes, withdrawals, opens }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.closes.len() + self.withdrawals.len() + self.opens.spans.len()
    }

    /// Makes the rows of a key, in order of `valid_from`, these versions (with the places of their cells). `same`: whether
    /// a version, by number, has the cells and flags of the row that begins when it does.
    pub(crate) fn make<'v>(
        &mut self,
        history: &Section,
        past: &[Row],
        versions: impl Iterator<Item = (Span, &'v [At])>,
        mut same: impl FnMut(usize, &Row) -> bool,
    ) {
        let mut past = past.iter().peekable();
        for (number, (span, places)) in versions.enumerate() {
            while let Some(gone) = past.next_if(|row| row.from < span.from) {
                self.withdrawals.push(history.position(gone.at));
            }
            if let Some(old) = past.next_if(|row| row.from == span.from) {
                let row = history.position(old.at);
                match (same(number, old), old.to, span.to) {
                    (true, was, to) if was == to => continue,
                    (true, _, Some(valid_to)) => {
                        self.closes.push(Close { row, valid_to });
                        continue;
                    }
                    _ => self.withdrawals.push(row),
                }
            }
            self.opens.push(span, places.iter().copied());
        }
        self.withdrawals.extend(past.map(|gone| history.position(gone.at)));
    }
}
