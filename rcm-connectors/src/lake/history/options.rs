//! How a history table is written, and opened.

use std::fmt;
use std::str::FromStr;

/// How loads are written into a history table.
///
/// ```
/// use rcm_connectors::lake::WriteMode;
/// assert_eq!("append".parse(), Ok(WriteMode::Append));
/// assert_eq!(WriteMode::default(), WriteMode::Copy); // which every reader of Delta can read
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WriteMode {
    /// A bucket that changes gets a file in the place of its own.
    #[default]
    Copy,
    /// A bucket that changes gets one more file, and a deletion vector says which rows of the others are gone: less is
    /// written, and some readers refuse the table from then on. A bucket of many files, or many of whose rows are gone, is
    /// copied.
    Append,
}

impl FromStr for WriteMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "copy" => Ok(WriteMode::Copy),
            "append" => Ok(WriteMode::Append),
            _ => Err("expected copy or append".to_owned()),
        }
    }
}

impl fmt::Display for WriteMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == WriteMode::Copy { "copy" } else { "append" })
    }
}

/// How a history table is opened.
#[derive(Debug, Clone, Copy)]
pub struct HistoryOptions<'a> {
    /// Columns of the business key.
    pub keys: &'a [&'a str],
    /// Columns whose least and greatest values may stand in footers.
    pub statistics: &'a [&'a str],
    /// How loads are written.
    pub mode: WriteMode,
    /// Whether it is built anew: nothing that lies there counts.
    pub rebuilt: bool,
}
