//! Codes of procedures: what a code is by its shape ([`CodeKind`]), and the HCPCS file of CMS ([`Hcpcs`]). CPT is licensed by the
//! AMA: its codes come from the hospital's own files ([`crate::csv`]), and no text of it is here.

use crate::codes::{places, whole};
use arrow::array::{ArrayRef, Date32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::NaiveDate;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use rcm_core::{Class, Described, Problem, Reading, Source, Wanted, Watermark};
use std::path::PathBuf;
use std::sync::Arc;

/// What a code of a procedure is, by its shape alone.
///
/// ```
/// use rcm_connectors::cpt::CodeKind;
///
/// assert_eq!(CodeKind::of("00100"), Some(CodeKind::CptOne), "leading zeros belong to it");
/// assert_eq!(CodeKind::of("0042T"), Some(CodeKind::CptThree));
/// assert_eq!(CodeKind::of("J1885"), Some(CodeKind::Hcpcs));
/// assert_eq!(CodeKind::of("100"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodeKind {
    /// CPT category I: five digits.
    CptOne,
    /// CPT category II, of quality: four digits and F.
    CptTwo,
    /// CPT category III, of new technology: four digits and T.
    CptThree,
    /// A proprietary laboratory analysis: four digits and U.
    Laboratory,
    /// A multianalyte assay: four digits and M.
    Multianalyte,
    /// HCPCS level II: a letter from A to V and four digits.
    Hcpcs,
}

impl CodeKind {
    /// Of a code as it is written: nothing is trimmed or made upper case.
    pub fn of(code: &str) -> Option<CodeKind> {
        let bytes: &[u8; 5] = code.as_bytes().try_into().ok()?;
        let are_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
        match (bytes[0], bytes[4]) {
            (b'A'..=b'V', _) if are_digits(&bytes[1..]) => Some(CodeKind::Hcpcs),
            _ if !are_digits(&bytes[..4]) => None,
            (_, b'0'..=b'9') => Some(CodeKind::CptOne),
            (_, b'F') => Some(CodeKind::CptTwo),
            (_, b'T') => Some(CodeKind::CptThree),
            (_, b'U') => Some(CodeKind::Laboratory),
            (_, b'M') => Some(CodeKind::Multianalyte),
            _ => None,
        }
    }
}

/// The HCPCS file of CMS, lines of fixed columns: the tables `procedures` and `modifiers`.
/// <https://www.cms.gov/medicare/coding-billing/healthcare-common-procedure-system/quarterly-update> (the zip holds the layout)
///
/// A text goes on over several lines. What stands before the first record, such as the terms under which it may be used, is
/// passed over as long as it does not look like one; all else that is no record, a line that is missing or cut too, is an
/// error, told by its line.
#[derive(Debug, Clone)]
pub struct Hcpcs {
    file: PathBuf,
}

const TABLES: [&str; 2] = ["procedures", "modifiers"];

/// A record, its continuations joined to it.
struct Record {
    code: String,
    /// Of its last line.
    sequence: u32,
    is_modifier: bool,
    long: String,
    short: String,
    /// When it was added, when its last action took effect, and when it ended.
    days: [Option<NaiveDate>; 3],
    action: String,
}

/// Columns of a line, which has a byte a character: from, and behind.
fn part(line: &[u8], from: usize, to: usize) -> String {
    let bytes = line.get(from.min(line.len())..to.min(line.len())).unwrap_or_default();
    // What is not ASCII is Latin-1, such as the no-break space.
    let text: String = bytes.iter().map(|byte| if *byte == 0xA0 { ' ' } else { char::from(*byte) }).collect();
    text.trim_end().to_owned()
}

fn day(text: &str) -> Option<Option<NaiveDate>> {
    if text.trim().is_empty() {
        return Some(None);
    }
    let is_day = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_day.then(|| NaiveDate::parse_from_str(text, "%Y%m%d").ok())?.map(Some)
}

/// Whether it says that it is a record, right or wrong.
fn looks_like_one(line: &[u8]) -> bool {
    let is_sequence = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    line.get(5..10).is_some_and(is_sequence) && line.get(10).is_some_and(|id| b"3478".contains(id))
}

/// A line: its record, and whether it goes on with the one before; none of what is no line of the file.
fn record(line: &[u8]) -> Option<(Record, bool)> {
    let (is_modifier, goes_on) = match line.get(10)? {
        b'3' => (false, false),
        b'4' => (false, true),
        b'7' => (true, false),
        b'8' => (true, true),
        _ => return None,
    };
    let code = part(line, 0, 5).trim_start().to_owned();
    let is_code = match is_modifier {
        true => code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()),
        false => CodeKind::of(&code).is_some(),
    };
    if !looks_like_one(line) || !is_code {
        return None;
    }
    let sequence = part(line, 5, 10).parse().ok()?;
    let days = [day(&part(line, 268, 276))?, day(&part(line, 276, 284))?, day(&part(line, 284, 292))?];
    let (long, short) = (part(line, 11, 91), part(line, 91, 119));
    Some((Record { code, sequence, is_modifier, long, short, days, action: part(line, 292, 293) }, goes_on))
}

fn schema() -> SchemaRef {
    let text = |name: &str, is_nullable| Field::new(name, DataType::Utf8, is_nullable);
    let date = |name: &str| Field::new(name, DataType::Date32, true);
    let mut fields = vec![text("code", false), text("long_description", false), text("short_description", true)];
    fields.extend([date("added_on"), date("action_effective_on"), date("terminated_on"), text("action_code", true)]);
    Arc::new(Schema::new(fields))
}

impl Hcpcs {
    /// Names a file, such as `HCPC2026_JAN_ANWEB.txt`.
    pub fn new(file: impl Into<PathBuf>) -> Hcpcs {
        Hcpcs { file: file.into() }
    }

    fn records(&self, is_modifier: bool) -> Result<Vec<Record>, Problem> {
        let place = self.file.display().to_string();
        let told = |place: String, what: &str| {
            Problem::new(Class::Failed, place, what).hint("take the file out of CMS's zip as it is")
        };
        let bytes = std::fs::read(&self.file).map_err(|e| {
            Problem::new(Class::Failed, &place, format!("cannot be read: {}", e.kind()))
                .hint("correct the `path` of the source")
        })?;
        let mut records: Vec<Record> = Vec::new();
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let place = || format!("{place}:{}", number + 1);
            match record(line) {
                None if line.iter().all(u8::is_ascii_whitespace) => {}
                None if records.is_empty() && !looks_like_one(line) => {}
                None => return Err(told(place(), "is no line of an HCPCS file")),
                Some((next, false)) => records.push(next),
                Some((next, true)) => {
                    let before = records.last_mut().filter(|before| {
                        (&before.code, before.is_modifier) == (&next.code, next.is_modifier)
                            && before.sequence < next.sequence
                    });
                    let before = before.ok_or_else(|| told(place(), "goes on with a record that is not before it"))?;
                    before.long = format!("{} {}", before.long, next.long).trim_end().to_owned();
                    before.sequence = next.sequence;
                }
            }
        }
        if records.is_empty() {
            return Err(told(place, "holds no record of HCPCS"));
        }
        let mut from_behind = bytes.rsplit(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let (last, before) = (from_behind.next().unwrap_or_default(), from_behind.next().unwrap_or_default());
        if !last.is_empty() && last.len() < before.len() {
            return Err(told(place, "ends in the middle of a line"));
        }
        records.retain(|record| record.is_modifier == is_modifier);
        Ok(records)
    }
}

fn is_modifier(table: &str) -> Result<bool, Problem> {
    let place = TABLES.iter().position(|known| *known == table);
    place.map(|place| place == 1).ok_or_else(|| {
        Problem::new(Class::Config, table, "there is no such table").hint(format!("write {}", TABLES.join(" or ")))
    })
}

#[async_trait]
impl Source for Hcpcs {
    async fn describe(&self, table: &str) -> Result<Described, Problem> {
        self.records(is_modifier(table)?)?;
        Ok(Described { schema: schema(), key: vec!["code".to_owned()], cursors: Vec::new() })
    }

    async fn open(&self, wanted: &Wanted) -> Result<Box<dyn Reading>, Problem> {
        let records = self.records(is_modifier(&wanted.table)?)?;
        whole(&wanted.table, &wanted.window)?;
        let places = places(&wanted.table, &schema(), &wanted.columns)?;
        let text = |of: &dyn Fn(&Record) -> Option<String>| -> ArrayRef {
            Arc::new(records.iter().map(of).collect::<StringArray>())
        };
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let date = |at: usize| -> ArrayRef {
            Arc::new(
                records.iter().map(|record| record.days[at].map(Date32Type::from_naive_date)).collect::<Date32Array>(),
            )
        };
        let columns = vec![
            text(&|record| Some(record.code.clone())),
            text(&|record| Some(record.long.clone())),
            text(&|record| filled(&record.short)),
            date(0),
            date(1),
            date(2),
            text(&|record| filled(&record.action)),
        ];
        let failed = |e| Problem::storage(&wanted.table, e);
        let rows = RecordBatch::try_new(schema(), columns).and_then(|rows| rows.project(&places)).map_err(failed)?;
        Ok(Box::new(Read { schema: rows.schema(), rows }))
    }
}

/// A file that was read.
struct Read {
    schema: SchemaRef,
    rows: RecordBatch,
}

impl Reading for Read {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn bounds(&self) -> (Option<Watermark>, Option<Watermark>) {
        (None, None)
    }

    fn is_snapshot(&self) -> bool {
        true
    }

    fn parts(&self) -> usize {
        1
    }

    fn read(&self, _part: usize) -> BoxStream<'_, Result<RecordBatch, Problem>> {
        stream::iter([Ok(self.rows.clone())]).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;
    use futures::executor::block_on;
    use rcm_core::Window;

    fn line(code: &str, sequence: usize, id: char, long: &str, short: &str, days: [&str; 3], action: &str) -> String {
        let begin = format!("{code:>5}{sequence:05}{id}{long:<80}{short:<28}");
        format!("{begin:<268}{:<8}{:<8}{:<8}{action}", days[0], days[1], days[2])
    }

    fn write(text: &str) -> (tempfile::TempDir, Hcpcs) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hcpcs.txt");
        std::fs::write(&file, text).unwrap();
        (folder, Hcpcs::new(file))
    }

    fn read(source: &Hcpcs, table: &str) -> Result<Vec<RecordBatch>, Problem> {
        let wanted = Wanted { table: table.to_owned(), columns: Vec::new(), window: Window::Whole };
        block_on(async { source.open(&wanted).await?.read(0).try_collect().await })
    }

    #[test]
    fn shapes_of_codes() {
        for (code, kind) in [
            ("99999", Some(CodeKind::CptOne)),
            ("3074F", Some(CodeKind::CptTwo)),
            ("0001U", Some(CodeKind::Laboratory)),
            ("0002M", Some(CodeKind::Multianalyte)),
            ("A0021", Some(CodeKind::Hcpcs)),
            ("W0021", None),
            ("A002", None),
            ("a0021", None),
            ("9999é", None),
            ("", None),
        ] {
            assert_eq!(CodeKind::of(code), kind, "{code}");
        }
    }

    #[test]
    fn a_text_goes_on_over_lines() {
        let days = ["20200101", "20260101", ""];
        let text = [
            "\t\t\tTERMS\u{a0}OF USE".to_owned(),
            line("A9999", 100, '3', "Made-up supply, which is", "Made-up supply", days, "N"),
            line("A9999", 200, '4', "described at length", "", ["", "", ""], ""),
            line("ZZ", 100, '7', "Made-up modifier", "Modifier", ["20200101", "", "20251231"], "D"),
        ]
        .join("\r\n");
        let (_folder, source) = write(&text);
        let procedures = read(&source, "procedures").unwrap();
        let shown = |rows: &RecordBatch, at: usize| {
            let column = arrow::compute::cast(rows.column(at), &DataType::Utf8).unwrap();
            arrow::array::AsArray::as_string::<i32>(&column).value(0).to_owned()
        };
        assert_eq!(
            (procedures[0].num_rows(), shown(&procedures[0], 1)),
            (1, "Made-up supply, which is described at length".into())
        );
        assert_eq!((shown(&procedures[0], 4), shown(&procedures[0], 6)), ("2026-01-01".into(), "N".into()));
        let modifiers = read(&source, "modifiers").unwrap();
        assert_eq!((shown(&modifiers[0], 0), shown(&modifiers[0], 5)), ("ZZ".into(), "2025-12-31".into()));
    }

    #[test]
    fn what_is_no_record_is_told_by_its_line() {
        let good = line("A9999", 100, '3', "Made up", "", ["", "", ""], "N");
        for (text, place) in [
            (format!("{good}\ncanary"), ":2"),
            (format!("{good}\n{}", line("A9998", 100, '4', "canary", "", ["", "", ""], "")), ":2"),
            (format!("{good}\n{}", line("A9998", 100, '3', "canary", "", ["20201399", "", ""], "")), ":2"),
            (format!("{good}\n{}", line("A9998", 100, '3', "canary", "", ["2020010", "", ""], "")), ":2"),
            (format!("{good}\n{}", line("A9999", 100, '4', "canary", "", ["", "", ""], "")), ":2"),
            (format!("terms\n{}\n{good}", good.replace("A9999", "canar")), ":2"),
            (format!("{good}\n{}", &good[..280]), "hcpcs.txt"),
            ("canary\n".to_owned(), "hcpcs.txt"),
        ] {
            let (_folder, source) = write(&text);
            let problem = read(&source, "procedures").unwrap_err();
            assert!(problem.place.ends_with(place) && problem.hint.is_some(), "{problem}");
            assert!(!format!("{problem:?}").contains("canary"));
        }
        let (_folder, source) = write(&good);
        assert_eq!(read(&source, "others").unwrap_err().class, Class::Config);
    }
}
