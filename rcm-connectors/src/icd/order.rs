//! The ICD-10-CM order files of CMS: lines of fixed columns.
//! <https://www.cms.gov/medicare/coding-billing/icd-10-codes> ("Code Descriptions in Tabular Order"; the zip holds the layout)

use crate::codes::{places, whole};
use arrow::array::{ArrayRef, BooleanArray, Date32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::{Days, NaiveDate};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use rcm_core::{Class, Described, Problem, Reading, Source, Wanted, Watermark};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All releases side by side.
const TABLE: &str = "icd10cm";

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A folder of order files, as they come out of CMS's zips: `icd10cm_order_2026.txt`, `icd10cm-order-April-2026.txt`.
///
/// The table `icd10cm` has a row for each code of each release; a release by itself is a table too: `2026`, `2026-04`. A release is in force from 1 October of the year before the one
/// that names it, or from the first of the month in its name, until the next one that is there begins, and at most until 30
/// September.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures::TryStreamExt;
/// use rcm_connectors::icd::OrderFiles;
/// use rcm_core::{Source, Wanted, Window};
///
/// let folder = tempfile::tempdir()?;
/// let lines = "00001 X00     0 Made-up ailments                                             Made-up ailments\n\
///              00002 X001    1 Made-up ailment, one                                         Made-up ailment, the first\n";
/// std::fs::write(folder.path().join("icd10cm_order_2026.txt"), lines)?;
/// let codes = OrderFiles::new(folder.path());
/// let wanted = Wanted { table: "icd10cm".into(), columns: vec!["code".into(), "parent_code".into()], window: Window::Whole };
/// let rows = futures::executor::block_on(async {
///     codes.open(&wanted).await?.read(0).try_collect::<Vec<_>>().await
/// })?;
/// assert_eq!(rows[0].num_rows(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct OrderFiles {
    folder: PathBuf,
}

/// A file, and when it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Release {
    path: PathBuf,
    name: String,
    from: NaiveDate,
    to: NaiveDate,
}

impl OrderFiles {
    /// Names a folder.
    pub fn new(folder: impl Into<PathBuf>) -> OrderFiles {
        OrderFiles { folder: folder.into() }
    }

    /// The releases that are there, the oldest first.
    fn releases(&self, table: &str) -> Result<Vec<Release>, Problem> {
        let place = self.folder.display().to_string();
        let entries = std::fs::read_dir(&self.folder).map_err(|e| {
            Problem::new(Class::Config, &place, format!("cannot be read: {e}"))
                .hint("name the folder of the order files")
        })?;
        let mut releases = Vec::new();
        for entry in entries {
            let path = entry.map_err(|e| Problem::storage(&place, e))?.path();
            match release(&path) {
                Some(release) => releases.push(release),
                None if is_like_one(&path) => {
                    let what = "is named like an order file, but not by the release that it is";
                    return Err(Problem::new(Class::Config, path.display().to_string(), what)
                        .hint("name it icd10cm_order_YEAR.txt, or icd10cm_order_MONTH_YEAR.txt"));
                }
                None => {}
            }
        }
        releases.sort_by(|a, b| (a.from, &a.path).cmp(&(b.from, &b.path)));
        if let Some(pair) = releases.windows(2).find(|pair| pair[0].from == pair[1].from) {
            let what = format!("is the same release as {}", pair[0].path.display());
            return Err(Problem::new(Class::Config, pair[1].path.display().to_string(), what)
                .hint("take one of the two away; that of April is named icd10cm_order_April_YEAR.txt"));
        }
        for at in 1..releases.len() {
            let before = releases[at].from.checked_sub_days(Days::new(1)).unwrap_or(releases[at].from);
            releases[at - 1].to = releases[at - 1].to.min(before);
        }
        if releases.is_empty() {
            let hint = "put the order files of CMS there, unpacked: icd10cm_order_2026.txt";
            return Err(Problem::new(Class::Config, place, "holds no order file of ICD-10-CM").hint(hint));
        }
        let known: Vec<String> = releases.iter().map(|release| release.name.clone()).collect();
        releases.retain(|release| table == TABLE || release.name == table);
        if releases.is_empty() {
            let hint = format!("write `{TABLE}` for all releases, or one of {}", known.join(", "));
            return Err(Problem::new(Class::Config, table, "there is no such table").hint(hint));
        }
        Ok(releases)
    }
}

/// An order file by its beginning, and no addendum.
fn is_like_one(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_lowercase().replace('_', "-");
    name.starts_with("icd10cm-order") && name.ends_with(".txt") && !name.contains("addenda")
}

/// Of a file's name, with a month or its first three letters, and perhaps a day; none of what is no order file.
fn release(path: &Path) -> Option<Release> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    let stem = name.strip_suffix(".txt")?.replace('_', "-");
    let parts: Vec<&str> = stem.strip_prefix("icd10cm-order-")?.split('-').collect();
    let month_of =
        |text: &str| MONTHS.iter().position(|month| *month == text || month[..3] == *text).map(|at| at as u32 + 1);
    let (month, day, year) = match parts.as_slice() {
        [year] => (None, 1, *year),
        [month, year] => (Some(month_of(month)?), 1, *year),
        [month, day, year] => (Some(month_of(month)?), day.parse().ok()?, *year),
        _ => return None,
    };
    let year: i32 = year.parse().ok().filter(|year| (2000..2200).contains(year))?;
    let from = match month {
        None => NaiveDate::from_ymd_opt(year - 1, 10, 1)?,
        Some(month) => NaiveDate::from_ymd_opt(if month >= 10 { year - 1 } else { year }, month, day)?,
    };
    let name = month.map_or(year.to_string(), |month| format!("{year}-{month:02}"));
    Some(Release { path: path.to_owned(), name, from, to: NaiveDate::from_ymd_opt(year, 9, 30)? })
}

/// A line.
struct Line<'a> {
    order: &'a str,
    code: &'a str,
    is_billable: bool,
    short: &'a str,
    long: &'a str,
}

impl<'a> Line<'a> {
    /// Positions 1 to 5, 7 to 13, 15, 17 to 76, and from 78 on.
    fn parse(line: &'a str) -> Option<Line<'a>> {
        let part = |from: usize, to: usize| line.get(from..to.min(line.len())).map(str::trim_end);
        let (order, code, flag) = (part(0, 5)?, part(6, 13)?, part(14, 15)?);
        let is_order = order.len() == 5 && order.bytes().all(|byte| byte.is_ascii_digit());
        let is_code = (3..=7).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            && code.starts_with(|c: char| c.is_ascii_uppercase());
        if !is_order || !is_code || !["0", "1"].contains(&flag) {
            return None;
        }
        Some(Line {
            order,
            code,
            is_billable: flag == "1",
            short: part(16, 76)?,
            long: part(77, line.len()).unwrap_or_default(),
        })
    }
}

fn dotted(code: &str) -> String {
    if code.len() > 3 { format!("{}.{}", &code[..3], &code[3..]) } else { code.to_owned() }
}

fn schema() -> SchemaRef {
    let field = |name: &str, data_type: DataType, is_nullable| Field::new(name, data_type, is_nullable);
    Arc::new(Schema::new(vec![
        field("code", DataType::Utf8, false),
        field("code_undotted", DataType::Utf8, false),
        field("release", DataType::Utf8, false),
        field("effective_from", DataType::Date32, false),
        field("effective_to", DataType::Date32, false),
        field("is_billable", DataType::Boolean, false),
        field("category", DataType::Utf8, false),
        field("parent_code", DataType::Utf8, true),
        field("order_number", DataType::Utf8, false),
        field("short_description", DataType::Utf8, false),
        field("long_description", DataType::Utf8, false),
    ]))
}

/// The rows of a release.
fn rows(release: &Release) -> Result<RecordBatch, Problem> {
    let place = release.path.display().to_string();
    let bytes = std::fs::read(&release.path).map_err(|e| Problem::storage(&place, e))?;
    let told = |place: String, what: &str| {
        Problem::new(Class::Failed, place, what).hint("take the file `icd10cm_order_…` out of CMS's zip as it is")
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| told(place.clone(), "is no text in ASCII or UTF-8"))?;
    let text = text.trim_start_matches('\u{feff}');
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut known = HashSet::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{place}:{}", number + 1);
        let what = "is no line of an order file: expected an order number, a code, 0 or 1, and two descriptions";
        let line = Line::parse(line).ok_or_else(|| told(place.clone(), what))?;
        if lines.last().is_some_and(|before| before.order >= line.order) || !known.insert(line.code) {
            return Err(told(place, "is out of order, or its code was there before: the file is not whole"));
        }
        lines.push(line);
    }
    if lines.is_empty() {
        return Err(told(place, "holds no code"));
    }
    // The longest code that begins it: a placeholder stands in codes that have no header of their own.
    let parent =
        |code: &str| (3..code.len()).rev().map(|end| &code[..end]).find(|above| known.contains(above)).map(dotted);
    let texts = |of: &dyn Fn(&Line<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(lines.iter().map(of).collect::<StringArray>())
    };
    let days = |day| -> ArrayRef { Arc::new(Date32Array::from(vec![Date32Type::from_naive_date(day); lines.len()])) };
    let columns: Vec<ArrayRef> = vec![
        texts(&|line| Some(dotted(line.code))),
        texts(&|line| Some(line.code.to_owned())),
        texts(&|_| Some(release.name.clone())),
        days(release.from),
        days(release.to),
        Arc::new(lines.iter().map(|line| Some(line.is_billable)).collect::<BooleanArray>()),
        texts(&|line| Some(line.code[..3].to_owned())),
        texts(&|line| parent(line.code)),
        texts(&|line| Some(line.order.to_owned())),
        texts(&|line| Some(line.short.to_owned())),
        texts(&|line| Some(line.long.to_owned())),
    ];
    RecordBatch::try_new(schema(), columns).map_err(|e| Problem::storage(place, e))
}

#[async_trait]
impl Source for OrderFiles {
    async fn describe(&self, table: &str) -> Result<Described, Problem> {
        self.releases(table)?;
        let key = vec!["code".to_owned(), "release".to_owned()];
        Ok(Described { schema: schema(), key, cursors: Vec::new() })
    }

    async fn open(&self, wanted: &Wanted) -> Result<Box<dyn Reading>, Problem> {
        let releases = self.releases(&wanted.table)?;
        whole(&wanted.table, &wanted.window)?;
        let all = schema();
        let columns = places(&wanted.table, &all, &wanted.columns)?;
        let schema = Arc::new(all.project(&columns).map_err(|e| Problem::storage(&wanted.table, e))?);
        Ok(Box::new(Read { releases, columns, schema }))
    }
}

/// A release is a part.
struct Read {
    releases: Vec<Release>,
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl Reading for Read {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn bounds(&self) -> (Option<Watermark>, Option<Watermark>) {
        (None, None)
    }

    /// Files of a release do not change.
    fn is_snapshot(&self) -> bool {
        true
    }

    fn parts(&self) -> usize {
        self.releases.len()
    }

    fn read(&self, part: usize) -> BoxStream<'_, Result<RecordBatch, Problem>> {
        let one = async move {
            let release = &self.releases[part];
            rows(release)?.project(&self.columns).map_err(|e| Problem::storage(release.path.display().to_string(), e))
        };
        stream::once(one).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_named_by_its_file() {
        let of = |name: &str| release(Path::new(name)).map(|r| (r.name, r.from.to_string(), r.to.to_string()));
        let owned = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(of("icd10cm_order_2026.txt"), owned("2026", "2025-10-01", "2026-09-30"));
        assert_eq!(of("icd10cm-order-April-2026.txt"), owned("2026-04", "2026-04-01", "2026-09-30"));
        assert_eq!(of("ICD10CM_ORDER_2021.TXT"), owned("2021", "2020-10-01", "2021-09-30"));
        assert_eq!(of("icd10cm-order-Jan-2021.txt"), owned("2021-01", "2021-01-01", "2021-09-30"));
        assert_eq!(of("icd10cm-order-April-1-2026.txt"), owned("2026-04", "2026-04-01", "2026-09-30"));
        assert!(
            is_like_one(Path::new("icd10cm_order_2026_final.txt"))
                && !is_like_one(Path::new("icd10cm_order_addenda_2026.txt"))
        );
        for other in
            ["icd10cm_order_addenda_2026.txt", "icd10cm_codes_2026.txt", "icd10cm_order_2026.zip", "icd10cm_order_.txt"]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn an_order_number_is_no_code() {
        let line =
            Line::parse("00003 A0109   1 Short                                                        Long").unwrap();
        assert_eq!(
            (line.order, line.code, line.is_billable, line.short, line.long),
            ("00003", "A0109", true, "Short", "Long")
        );
        for bad in [
            "",
            "A0109 Short",
            "00003 a0109   1 Short",
            "00003 A0109   2 Short",
            "0003 A0109    1 Short",
            "é0003 A0109   1 x",
        ] {
            assert!(Line::parse(bad).is_none(), "{bad}");
        }
    }
}
