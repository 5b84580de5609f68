//! A folder of files as a source: the contract, and what is a file's own.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::TryStreamExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use rcm_connectors::contract::{self, Fixture, Row, Widened};
use rcm_connectors::csv::{Folder, Format, Reject};
use rcm_core::{Class, CursorKind, Lag, Problem, Source, Wanted, Watermark, Window};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tempfile::TempDir;

/// Deliveries, each written aside and then renamed.
struct Deliveries {
    folder: TempDir,
    /// Types of the columns of all tables that there may be.
    schemas: BTreeMap<String, Schema>,
    made: AtomicUsize,
}

const CURSORS: [(CursorKind, &str); 4] = [
    (CursorKind::Date, "days"),
    (CursorKind::Timestamp, "clocks"),
    (CursorKind::TimestampTz, "instants"),
    (CursorKind::Integer, "numbers"),
];

fn schema(cursor: CursorKind) -> Schema {
    let changed = match cursor {
        CursorKind::Date => DataType::Date32,
        CursorKind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        CursorKind::TimestampTz => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        _ => DataType::Int32,
    };
    let fields = [("id", DataType::Utf8), ("note", DataType::Utf8), ("changed", changed)];
    Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec())
}

fn deliver(at: &Path, bytes: &[u8]) {
    let aside = at.with_extension("part");
    std::fs::write(&aside, bytes).unwrap();
    std::fs::rename(&aside, at).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

impl Deliveries {
    fn new() -> Self {
        let tables = CURSORS
            .iter()
            .flat_map(|(cursor, name)| (0..40).map(move |n| (format!("{name} {n}.csv"), schema(*cursor))));
        Deliveries { folder: tempfile::tempdir().unwrap(), schemas: tables.collect(), made: AtomicUsize::new(0) }
    }

    fn path(&self, table: &str) -> PathBuf {
        self.folder.path().join(table)
    }

    fn folder(&self, at: &Path) -> Folder {
        let declared = self.schemas.iter();
        declared.fold(Folder::new(at), |folder, (table, schema)| folder.table(table, Format::default(), schema.clone()))
    }

    /// The same files, packed, and then changed.
    fn packed(&self, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Arc<dyn Source> {
        let at = self.folder.path().join("packed");
        std::fs::create_dir_all(&at).unwrap();
        for table in self.schemas.keys().filter(|table| self.path(table).exists()) {
            let bytes = change(gzip(&std::fs::read(self.path(table)).unwrap()));
            std::fs::write(at.join(table), bytes).unwrap();
        }
        Arc::new(self.folder(&at))
    }
}

fn beginning() -> chrono::NaiveDateTime {
    "2024-02-28T00:00:00".parse().unwrap()
}

#[async_trait]
impl Fixture for Deliveries {
    fn cursors(&self) -> Vec<CursorKind> {
        CURSORS.map(|(cursor, _)| cursor).to_vec()
    }

    async fn create(&self, cursor: Option<CursorKind>) -> String {
        let of = CURSORS.iter().find(|(kind, _)| Some(*kind) == cursor).map(|(_, name)| *name).unwrap();
        let name = format!("{of} {}.csv", self.made.fetch_add(1, Ordering::Relaxed));
        deliver(&self.path(&name), b"id,note,changed\n");
        name
    }

    async fn insert(&self, table: &str, rows: &[Row]) {
        let cursor = CursorKind::of(self.schemas[table].field(2).data_type()).unwrap();
        let mut text = std::fs::read_to_string(self.path(table)).unwrap();
        for row in rows {
            // Nothing is null, two quotes are an empty text.
            let note = row.note.as_ref().map(|note| format!("\"{}\"", note.replace('"', "\"\"")));
            let changed = row.changed.map(|step| match self.at(cursor, step) {
                Watermark::TimestampTz(at) => at.to_rfc3339(),
                at => at.to_string(),
            });
            let fields = [Some(row.id.clone()), note, changed].map(Option::unwrap_or_default);
            text.push_str(&format!("{}\n", fields.join(",")));
        }
        deliver(&self.path(table), text.as_bytes());
    }

    fn at(&self, cursor: CursorKind, step: i64) -> Watermark {
        let at = beginning();
        match cursor {
            CursorKind::Date => Watermark::Date(at.date() + chrono::TimeDelta::days(step)),
            CursorKind::Timestamp => Watermark::Timestamp(at + chrono::TimeDelta::microseconds(step * 1_000_001)),
            CursorKind::TimestampTz => {
                Watermark::TimestampTz((at + chrono::TimeDelta::milliseconds(step * 1001)).and_utc())
            }
            _ => Watermark::Integer(step),
        }
    }

    fn step(&self, cursor: CursorKind) -> Lag {
        match cursor {
            CursorKind::Date => Lag::Time(chrono::TimeDelta::days(1)),
            CursorKind::Timestamp => Lag::Time(chrono::TimeDelta::microseconds(1_000_001)),
            CursorKind::TimestampTz => Lag::Time(chrono::TimeDelta::milliseconds(1001)),
            _ => Lag::Steps(1),
        }
    }

    async fn widen(&self, table: &str) -> Widened {
        let text = std::fs::read_to_string(self.path(table)).unwrap();
        let mut lines = text.lines();
        let header = lines.next().unwrap();
        let rows: String = lines.map(|line| format!("{line},7\n")).collect();
        deliver(&self.path(table), format!("{header},added\n{rows}").as_bytes());
        Widened::Column("added".to_owned(), DataType::Utf8)
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(self.folder(self.folder.path()))
    }

    fn breaking(&self, bytes: usize) -> Arc<dyn Source> {
        // Behind the ten that say that it is packed.
        self.packed(|packed| packed[..packed.len().min(10 + bytes)].to_vec())
    }

    /// What a file's errors must not repeat is what stands in it.
    fn refused(&self) -> (Arc<dyn Source>, String) {
        let canary = "CANARY-7f3a";
        let damaged = gzip(format!("{canary},{canary}").as_bytes());
        (self.packed(move |_| damaged[..damaged.len() - 4].to_vec()), canary.to_owned())
    }

    async fn within(&self, time: Duration, future: BoxFuture<'_, ()>) -> bool {
        // Files have no runtime: a thread watches.
        std::thread::scope(|scope| {
            let (ended, watch) = mpsc::channel();
            scope.spawn(move || {
                block_on(future);
                let _ = ended.send(());
            });
            watch.recv_timeout(time).is_ok()
        })
    }
}

#[test]
fn contract() {
    let clauses = block_on(contract::check(&Deliveries::new())).unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(clauses.len(), 12);
}

fn whole(source: &dyn Source, table: &str) -> Result<usize, Problem> {
    let wanted = Wanted { table: table.to_owned(), columns: Vec::new(), window: Window::Whole };
    block_on(async {
        let reading = source.open(&wanted).await?;
        let batches: Vec<_> = reading.read(0).try_collect().await?;
        let rows = batches.iter().map(|batch| batch.num_rows()).sum();
        let rejects = reading.notes();
        assert_eq!(rejects.is_empty(), rejects.first().is_none_or(|note| !note.contains("no row")));
        Ok(rows)
    })
}

#[test]
fn what_is_no_row_fails_the_read_or_is_taken() {
    let deliveries = Deliveries::new();
    deliver(&deliveries.path("a.csv"), b"id,n\nCANARY,1\nCANARY\n3,3\n");
    let source = deliveries.folder(deliveries.folder.path());
    let problem = whole(&source, "a.csv").unwrap_err();
    assert_eq!((problem.class, problem.what.as_str()), (Class::Failed, "line 3: 1 field, expected 2"));
    let taken = Arc::new(Mutex::new(Vec::<Reject>::new()));
    let into = taken.clone();
    let source = source.rejects(move |reject| into.lock().unwrap().push(reject.clone()));
    assert_eq!(whole(&source, "a.csv").unwrap(), 2);
    let taken = taken.lock().unwrap();
    assert_eq!((taken.len(), taken[0].raw.as_slice(), taken[0].byte), (1, b"CANARY".as_slice(), 14));
}

#[test]
fn a_read_that_fails_within_is_no_end() {
    let deliveries = Deliveries::new();
    deliver(&deliveries.path("a.csv"), b"id,n\n1\n2,2\n");
    let source = deliveries.folder(deliveries.folder.path()).rejects(|_| panic!("no place for it"));
    assert_eq!(whole(&source, "a.csv").unwrap_err().class, Class::Failed);
    // A pipe is no file, and is not waited for.
    let pipe = deliveries.path("pipe.csv");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(whole(&source, "pipe.csv").unwrap_err().class, Class::Config);
}

#[test]
fn a_file_that_is_written_into_while_it_is_read_is_told() {
    let deliveries = Deliveries::new();
    let at = deliveries.path("a.csv");
    deliver(&at, &b"id,n\n".iter().copied().chain(b"1,1\n".repeat(1_200_000)).collect::<Vec<_>>());
    let source = deliveries.folder(deliveries.folder.path());
    let wanted = Wanted { table: "a.csv".to_owned(), columns: Vec::new(), window: Window::Whole };
    let read = |meanwhile: &dyn Fn()| {
        block_on(async {
            let reading = source.open(&wanted).await?;
            let mut batches = reading.read(0);
            let mut rows = batches.try_next().await?.unwrap().num_rows();
            meanwhile();
            while let Some(batch) = batches.try_next().await? {
                rows += batch.num_rows();
            }
            Ok::<usize, Problem>(rows)
        })
    };
    let appended = read(&|| {
        std::fs::OpenOptions::new().append(true).open(&at).unwrap().write_all(b"2,2\n").unwrap();
    });
    let problem = appended.unwrap_err();
    assert!(problem.class == Class::Temporary && problem.what.contains("changed"), "{problem}");
    // In the middle of a record too.
    for len in [3_500_003, 3_000_001] {
        let cut = read(&|| std::fs::OpenOptions::new().write(true).open(&at).unwrap().set_len(len).unwrap());
        assert_eq!(cut.unwrap_err().class, Class::Temporary);
    }
    // What is put in its place is another file.
    assert_eq!(read(&|| deliver(&at, b"id,n\n1,1\n")).unwrap(), 749_999);
}
