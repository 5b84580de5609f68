//! A table as cells, and as the bytes of a CSV file.

use chrono::{Days, NaiveDate};

/// Days counted back from T.
pub(super) struct Calendar(pub(super) NaiveDate);

impl Calendar {
    /// The day `days` before T.
    pub(super) fn ago(&self, days: u32) -> NaiveDate {
        self.0.checked_sub_days(Days::new(days.into())).unwrap_or(NaiveDate::MIN)
    }

    /// The same as text, `yyyy-mm-dd`.
    pub(super) fn iso(&self, days_ago: u32) -> String {
        self.ago(days_ago).to_string()
    }

    /// A day after T: what no delivery should hold.
    pub(super) fn ahead(&self, days: u32) -> String {
        self.0.checked_add_days(Days::new(days.into())).unwrap_or(NaiveDate::MAX).to_string()
    }
}

/// A table: a header and rows of text. The key is the first column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    /// Names of the columns.
    pub(super) header: Vec<&'static str>,
    /// Cells; a broken line has too few.
    pub(super) rows: Vec<Vec<String>>,
    end: &'static str,
}

impl Table {
    /// A table from its header line; `end` ends every line of its file.
    pub(super) fn new(header: &'static str, end: &'static str, rows: impl Iterator<Item = Vec<String>>) -> Self {
        Table { header: header.split(',').collect(), rows: rows.collect(), end }
    }

    /// An empty table of the same shape.
    pub(super) fn like(&self) -> Self {
        Table { header: self.header.clone(), rows: Vec::new(), end: self.end }
    }

    /// Position of the first row with this key; the end where there is none.
    pub(super) fn at(&self, id: &str) -> usize {
        self.rows.iter().position(|r| r.first().is_some_and(|c| c == id)).unwrap_or(self.rows.len())
    }

    /// The first row with this key; without cells where there is none.
    pub(super) fn row(&self, id: &str) -> Vec<String> {
        self.rows.get(self.at(id)).cloned().unwrap_or_default()
    }

    /// A row's cell of a column.
    pub(super) fn set(&mut self, row: usize, column: &str, value: impl Into<String>) {
        let column = self.header.iter().position(|h| *h == column);
        if let Some(cell) = column.and_then(|c| self.rows.get_mut(row)?.get_mut(c)) {
            *cell = value.into();
        }
    }

    /// Puts a row in before the one that stands there, or at the end.
    pub(super) fn insert(&mut self, at: usize, row: Vec<String>) {
        self.rows.insert(at.min(self.rows.len()), row);
    }

    /// Takes out all rows with this key.
    pub(super) fn remove(&mut self, id: &str) {
        self.rows.retain(|r| r.first().is_none_or(|c| c != id));
    }

    /// The file. Cells are ASCII but for one, which a system of the last century writes in Latin-1.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let header: Vec<String> = self.header.iter().map(|h| (*h).to_owned()).collect();
        let lines = std::iter::once(&header).chain(&self.rows);
        lines
            .flat_map(|cells| {
                let cells: Vec<String> = cells.iter().map(|c| quoted(c)).collect();
                (cells.join(",") + self.end).chars().map(latin1).collect::<Vec<_>>()
            })
            .collect()
    }
}

fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

fn latin1(c: char) -> u8 {
    u8::try_from(u32::from(c)).unwrap_or(b'?')
}
