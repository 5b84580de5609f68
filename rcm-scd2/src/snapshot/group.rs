//! The rows of a load by key: which are bad, which repeat or contradict each other, which keys are held back.

use std::collections::HashMap;

use super::Snapshot;
use crate::cells::Column;
use crate::incoming;
use crate::index::Index;
use crate::space::Section;
use crate::{BadRows, Error, Outcome, RefusalCode, Refused};

/// What is to be done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It stands for its key.
    Counts,
    /// It stands for a key that is neither changed nor absent.
    Held,
    /// Another row stands for its key, or it has no whole key.
    Stands,
}

/// Rows of the load, then withheld rows, by key.
pub(crate) struct Groups {
    pub(crate) standing: Vec<Standing>,
    /// The row that counts, where that is not the first of its key.
    chosen: HashMap<u32, u32>,
    pub(crate) refused: Vec<Refused>,
    /// Of the load's rows: what became of those that do not count.
    pub(crate) outcomes: Vec<Outcome>,
}

impl Groups {
    /// Also the index of the rows.
    pub(crate) fn of<'a>(snapshot: &'a Snapshot, withheld: &Section) -> Result<(Self, Index<'a>), Error> {
        let load = snapshot.load;
        let count = load.rows();
        let mut refused = Vec::new();
        let mut standing = vec![Standing::Counts; count + withheld.rows()];
        for (row, code) in snapshot.rows.all_bad(&snapshot.keys, load) {
            refused.push(Refused { row, code });
            standing[row] = if code == RefusalCode::NullKey { Standing::Stands } else { Standing::Held };
        }
        let nulls = !snapshot.spec.null_keys_as_value;
        for (row, at) in withheld.all().enumerate() {
            let unknown = nulls && snapshot.keys.iter().any(|key| key.is_null(at));
            standing[count + row] = if unknown { Standing::Stands } else { Standing::Held };
        }
        let probes = snapshot.history.rows();
        let wanted = |row: usize| standing[row] != Standing::Stands;
        let mut index = Index::build(&snapshot.keys, &snapshot.compared(), &[load, withheld], probes, &wanted);
        let outcomes = vec![Outcome::NoOp; count];
        let mut groups = Groups { standing, chosen: HashMap::new(), refused, outcomes };
        let duplicates = std::mem::take(&mut index.duplicates);
        for same in duplicates.chunk_by(|a, b| a.0 == b.0) {
            let rows: Vec<usize> =
                std::iter::once(same[0].0).chain(same.iter().map(|(_, row)| *row)).map(|row| row as usize).collect();
            groups.settle(snapshot, &rows);
        }
        for refused in &groups.refused {
            groups.outcomes[refused.row] = Outcome::Refused;
        }
        groups.refused.sort_unstable_by_key(|refused| refused.row);
        if snapshot.spec.bad_rows == BadRows::Error && !groups.refused.is_empty() {
            let keys = incoming::keys_of(&snapshot.keys, load, &groups.refused);
            return Err(Error::BadRows { rows: groups.refused, keys });
        }
        Ok((groups, index))
    }

    /// Decides between the rows of one key, of which there are several.
    fn settle(&mut self, snapshot: &Snapshot, rows: &[usize]) {
        let count = snapshot.load.rows();
        let withheld = rows.iter().any(|row| *row >= count);
        let good: Vec<usize> =
            rows.iter().copied().filter(|row| *row < count && self.standing[*row] == Standing::Counts).collect();
        let held = withheld || good.len() < rows.len();
        rows[1..].iter().for_each(|row| self.standing[*row] = Standing::Stands);

        let at = |row: &usize| snapshot.load.at(*row);
        let first = good.first().map(at);
        let differs = |column: &Column, row: &usize| first.is_some_and(|first| !column.equal(at(row), first));
        let moved = |row: &usize| snapshot.sequence.iter().any(|column| differs(column, row));
        let same = |row: &usize| !snapshot.said().any(|column| differs(column, row));
        let delete = good.iter().copied().find(|row| snapshot.rows.is_delete(*row));
        let conflict = !withheld && (good.iter().any(moved) || delete.is_none() && !good.iter().all(same));
        let counts = delete.or(good.first().copied());
        for row in good.iter().copied() {
            match () {
                () if conflict => self.refused.push(Refused { row, code: RefusalCode::Conflict }),
                () if held => self.outcomes[row] = Outcome::Withheld,
                () if Some(row) != counts => self.outcomes[row] = Outcome::Collapsed,
                () => {}
            }
        }
        if held || conflict {
            self.standing[rows[0]] = Standing::Held;
        } else if let Some(counts) = counts.filter(|counts| *counts != rows[0]) {
            self.chosen.insert(rows[0] as u32, counts as u32);
        }
    }

    /// The row that counts for the key that this one stands for.
    pub(crate) fn counting(&self, rep: usize) -> usize {
        if self.chosen.is_empty() { rep } else { self.chosen.get(&(rep as u32)).map_or(rep, |row| *row as usize) }
    }
}
