//! The values of the scope columns, numbered.

use std::collections::HashMap;

use arrow::util::display::array_value_to_string;
use rayon::prelude::*;

use crate::Error;
use crate::cells::{At, Column};
use crate::columns::with_zone;
use crate::gather::gather;
use crate::space::Section;

/// Scope values by number. Without scope columns there is one, number 0.
pub(crate) struct Scopes {
    columns: Vec<Column>,
    numbers: HashMap<Vec<u8>, u32>,
    /// A row that has it, by number.
    pub(crate) rows: Vec<At>,
}

impl Scopes {
    pub(crate) fn of(columns: Vec<Column>, sections: &[&Section]) -> Self {
        let mut scopes = Scopes { columns, numbers: HashMap::new(), rows: Vec::new() };
        if scopes.columns.is_empty() {
            scopes.rows.push(At::NOWHERE);
            return scopes;
        }
        let spans: Vec<_> = sections.iter().flat_map(|section| section.spans()).collect();
        let distinct = |(batch, rows): (u32, std::ops::Range<usize>)| {
            let mut seen: HashMap<Vec<u8>, At> = HashMap::new();
            let mut last = At::NOWHERE;
            for at in (0..rows.len() as u32).map(|row| At { batch, row }) {
                if last == At::NOWHERE || !scopes.same(last, at) {
                    seen.entry(scopes.bytes(at)).or_insert(at);
                    last = at;
                }
            }
            seen
        };
        let seen: Vec<_> = spans.into_par_iter().with_max_len(1).map(distinct).collect();
        let mut seen: Vec<(Vec<u8>, At)> = seen.into_iter().flatten().collect();
        // In an order that does not depend on how rows lie.
        seen.sort_unstable();
        seen.dedup_by(|a, b| a.0 == b.0);
        for (bytes, at) in seen {
            scopes.numbers.insert(bytes, scopes.rows.len() as u32);
            scopes.rows.push(at);
        }
        scopes
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn same(&self, a: At, b: At) -> bool {
        self.columns.iter().all(|column| column.equal(a, b))
    }

    fn bytes(&self, at: At) -> Vec<u8> {
        let mut bytes = Vec::new();
        for column in &self.columns {
            let value = column.value(at);
            bytes.push(u8::from(value.is_some()));
            bytes.extend_from_slice(&(value.map_or(0, <[u8]>::len) as u64).to_le_bytes());
            bytes.extend_from_slice(value.unwrap_or_default());
        }
        bytes
    }

    /// Numbers rows; neighbours mostly have the same value.
    pub(crate) fn reader(&self) -> impl FnMut(At) -> u32 + '_ {
        let (mut last, mut number) = (At::NOWHERE, 0);
        move |at| {
            if !self.columns.is_empty() && (last == At::NOWHERE || !self.same(last, at)) {
                // All values were numbered at the start.
                number = self.numbers.get(&self.bytes(at)).copied().unwrap_or(0);
                last = at;
            }
            number
        }
    }

    /// The values of a scope as text.
    pub(crate) fn text(&self, scope: usize) -> Result<Vec<String>, Error> {
        let one = |column: &Column| {
            let cell = gather(column, std::iter::once(self.rows[scope]))?;
            // Instants are shown in UTC: another zone would have to be looked up.
            Ok(array_value_to_string(&with_zone(&cell, None), 0)?)
        };
        self.columns.iter().map(one).collect()
    }

    /// The name of a scope in messages; `None` without scope columns.
    pub(crate) fn name(&self, scope: usize) -> Option<String> {
        if self.columns.is_empty() { None } else { self.text(scope).ok().map(|values| values.join("/")) }
    }
}
