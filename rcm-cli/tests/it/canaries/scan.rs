//! Where a canary may be, and where it may not: in pages of tables and of the archive, and nowhere else.

use bytes::Bytes;
use parquet::column::page::Page;
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::path::Path;

/// What no value of the demo holds.
pub(super) const CANARY: &str = "Qzcanary";

/// What was found in a file.
#[derive(Default)]
pub(super) struct Found {
    /// A canary in a page that is meant to hold data.
    pub(super) arrived: bool,
    /// Where else there is one.
    pub(super) hits: Vec<&'static str>,
}

/// The same of a number.
pub(super) const DIGITS: &str = "91827364";

/// Whether there is one, in whatever case.
pub(super) fn sings(bytes: &[u8]) -> bool {
    let holds = |canary: &str| bytes.windows(canary.len()).any(|window| window.eq_ignore_ascii_case(canary.as_bytes()));
    holds(CANARY) || holds(DIGITS)
}

/// Looks through a file below a lake, or beside it.
pub(super) fn scan(path: &Path) -> Found {
    let mut found = Found::default();
    if sings(path.to_string_lossy().as_bytes()) {
        found.hits.push("name");
    }
    // The lease goes while it is looked at.
    let Ok(bytes) = std::fs::read(path) else { return found };
    let is_parquet = path.extension().is_some_and(|end| end == "parquet");
    if !is_parquet {
        if sings(&bytes) {
            found.hits.push("content");
        }
        return found;
    }
    let holds_data = !["_delta_log", "audit"].iter().any(|part| path.iter().any(|of| of == *part));
    let reader = SerializedFileReader::new(Bytes::from(bytes.clone())).unwrap();
    let mut rest = bytes;
    for (number, group) in reader.metadata().row_groups().iter().enumerate() {
        for (at, column) in group.columns().iter().enumerate() {
            let (start, length) = column.byte_range();
            rest[start as usize..(start + length) as usize].fill(0);
            let mut pages = reader.get_row_group(number).unwrap().get_column_page_reader(at).unwrap();
            while let Some(page) = pages.get_next_page().unwrap() {
                let statistics = match &page {
                    Page::DataPage { statistics, .. } | Page::DataPageV2 { statistics, .. } => statistics.as_ref(),
                    Page::DictionaryPage { .. } => None,
                };
                if statistics.is_some_and(|statistics| sings(format!("{statistics}").as_bytes())) {
                    found.hits.push("header of a page");
                }
                match sings(page.buffer()) {
                    true if holds_data => found.arrived = true,
                    true => found.hits.push("page"),
                    false => {}
                }
            }
        }
    }
    // Footer with statistics, page indexes, filters.
    if sings(&rest) {
        found.hits.push("outside of pages");
    }
    found
}
