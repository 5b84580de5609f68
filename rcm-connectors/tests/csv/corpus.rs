//! Hostile files: what each is, and what must become of it.
//!
//! The ideas come from public corpora (csv-spectrum, csv-test's evil file, Pollock's pollutions, what arrow-testing
//! fuzzes with), from what users of other readers complained about, and from what hospitals' tools write. Every byte is
//! our own and every value is made up.
//!
//! Numbers count as the reader's do: records from 1 after the header; lines of the file from 1, where LF, CR LF and a
//! lone CR end one, inside quotes too; bytes from 0, a mark's three included. Of a file in UTF-16 or Latin-1 the bytes
//! are those of its text in UTF-8, without a mark, where half a surrogate pair and an odd last byte take one.

mod delimiters;
mod encodings;
mod headers;
mod lines;
mod quotes;
mod tools;
mod unicode;
mod widths;

/// A file and what must become of it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) bytes: &'static [u8],
    pub(crate) encoding: Option<&'static str>,
    pub(crate) delimiter: u8,
    pub(crate) quote: Option<u8>,
    pub(crate) escape: Option<u8>,
    pub(crate) expected: Expected,
}

/// Rows and rejects, or a fault.
pub(crate) enum Expected {
    /// Columns; rows by number, line and values; rejects by number, line, byte and why.
    Read {
        columns: &'static [&'static str],
        rows: &'static [(u64, u64, &'static [&'static str])],
        rejects: &'static [(u64, u64, u64, &'static str)],
    },
    /// The whole file, as a fault of this class.
    Refused(rcm_core::Class),
}

const PLAIN: Case = Case {
    name: "",
    bytes: b"",
    encoding: None,
    delimiter: b',',
    quote: Some(b'"'),
    escape: None,
    expected: Expected::Refused(rcm_core::Class::Failed),
};

const GROUPS: &[&[Case]] = &[
    lines::CASES,
    quotes::CASES,
    widths::CASES,
    unicode::CASES,
    encodings::CASES,
    delimiters::CASES,
    headers::CASES,
    tools::CASES,
];

/// All of them.
pub(crate) fn cases() -> impl Iterator<Item = &'static Case> {
    GROUPS.iter().copied().flatten()
}
