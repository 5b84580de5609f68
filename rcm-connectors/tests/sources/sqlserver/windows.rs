//! Nothing is lost between two windows, and nothing is read into another one.

use super::Sql;
use crate::line::slow;
use crate::server::Server;
use crate::tds::server::{Mode, Options as Login};
use crate::{open, rows, wait};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::TimeDelta;
use rcm_connectors::sqlserver::{Options, SqlServer};
use rcm_core::{Class, CursorKind, Lag, Source, Watermark, Window};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const NO_LAG: Lag = Lag::Steps(0);

pub(super) fn since(watermark: Option<Watermark>) -> Window {
    Window::Since { cursor: "changed".to_owned(), watermark, lag: NO_LAG }
}

fn ids(batch: &RecordBatch) -> Vec<i64> {
    batch["id"].as_primitive::<Int64Type>().iter().flatten().collect()
}

/// A read of what is new: its keys, sorted, and the watermark behind it.
async fn read(source: &dyn Source, kind: CursorKind, watermark: Option<Watermark>) -> (Vec<i64>, Option<Watermark>) {
    let batch = rows(&*open(source, "events", since(watermark)).await.unwrap()).await.unwrap();
    let greatest = Watermark::greatest(kind, &batch["changed"]);
    let mut ids = ids(&batch);
    ids.sort_unstable();
    (ids, if greatest.partial_cmp(&watermark).is_some_and(std::cmp::Ordering::is_gt) { greatest } else { watermark })
}

/// A table of events with a cursor of some type.
pub(super) async fn events(sql: &Sql, of: &str) {
    sql.run(&format!("CREATE TABLE events (id bigint NOT NULL PRIMARY KEY, changed {of} NULL)")).await;
}

fn at_once(options: Options) -> SqlServer {
    SqlServer::new(Options { settle: Duration::ZERO, ..options })
}

#[test]
fn ten_thousand_rows_of_one_instant() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        for of in ["datetime", "datetime2(7)", "datetimeoffset(7)"] {
            let sql = Sql::new(&postgres).await;
            events(&sql, of).await;
            sql.run("INSERT INTO events VALUES (1, '2026-06-28T12:00:00.123')").await;
            sql.beneath("INSERT INTO dbo.events SELECT n, changed FROM dbo.events, generate_series(2, 10000) n").await;
            let source = sql.source();
            let kind = source.describe("events").await.unwrap().cursor("changed").unwrap();
            let (first, watermark) = read(&source, kind, None).await;
            assert_eq!(first.len(), 10_000);
            sql.beneath("INSERT INTO dbo.events SELECT 10001, changed FROM dbo.events WHERE id = 1").await;
            let (second, same) = read(&source, kind, watermark).await;
            assert_eq!((second.len(), same), (10_001, watermark), "{of}");
        }
    });
}

/// What the column holds is finer, or coarser, than what the watermark does: windows that follow each other lose nothing all the
/// same, and windows between two points share nothing.
#[test]
fn points_that_a_column_cannot_hold() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        for (of, unit, digits) in [
            ("datetime", 10, 3),
            ("datetime2(7)", 1, 7),
            ("datetime2(2)", 100_000, 2),
            ("smalldatetime", 600_000_000, 0),
        ] {
            let sql = Sql::new(&postgres).await;
            events(&sql, of).await;
            // Consecutive values of the type; of `datetime` every tick, which is 3 or 4 ms.
            let ticks = |n: i64| if of == "datetime" { n * 100_000 / 3 } else { n * unit };
            for n in 0..60 {
                let at = chrono::DateTime::from_timestamp(1_700_000_040, 0).unwrap()
                    + TimeDelta::nanoseconds(ticks(n) * 100);
                let text = at.format("%Y-%m-%dT%H:%M:%S%.9f").to_string();
                let text = &text[..if digits == 0 { 19 } else { 20 + digits }];
                sql.run(&format!("INSERT INTO events VALUES ({n}, '{text}')")).await;
            }
            let source = sql.source();
            let all = open(&source, "events", Window::Whole).await.unwrap();
            let all = rows(&*all).await.unwrap();
            let mut points: Vec<Watermark> = (0..60)
                .filter_map(|row| Watermark::greatest(CursorKind::Timestamp, &all["changed"].slice(row, 1)))
                .collect();
            points.sort_by(|a, b| a.partial_cmp(b).unwrap());
            let at = |row: usize| Watermark::greatest(CursorKind::Timestamp, &all["changed"].slice(row, 1)).unwrap();
            let ids_of = all["id"].as_primitive::<Int64Type>().values();
            // Every row is in the window that its point lies in, and in no other. A point that was read may lie a little below the
            // row, so a row at a border may be in the window before: then it is not in the next one.
            let ends = [points[0], points[7], points[20], points[21], points[59]];
            let mut seen = Vec::new();
            for pair in ends.windows(2) {
                let window = Window::Between { cursor: "changed".to_owned(), from: pair[0], to: pair[1] };
                seen.extend(ids(&rows(&*open(&source, "events", window).await.unwrap()).await.unwrap()));
            }
            seen.sort_unstable();
            let below: BTreeSet<i64> = (0..60).filter(|row| at(*row) < ends[4]).map(|row| ids_of[row]).collect();
            let last = *below.last().unwrap();
            let is_all = seen.iter().copied().eq(below.iter().copied());
            let is_all_but_the_last = seen.iter().copied().eq(below.iter().copied().filter(|id| *id != last));
            assert!(is_all || is_all_but_the_last, "{of}: {seen:?}, not {below:?}");
            // From each point on nothing is missing, and of instants nothing else comes.
            for n in [0, 1, 2, 30, 58] {
                let window = Window::Between {
                    cursor: "changed".to_owned(),
                    from: points[n],
                    to: Watermark::Timestamp(chrono::NaiveDateTime::MAX),
                };
                let read: BTreeSet<i64> =
                    ids(&rows(&*open(&source, "events", window).await.unwrap()).await.unwrap()).into_iter().collect();
                let wanted: BTreeSet<i64> =
                    (0..60).filter(|row| at(*row) >= points[n]).map(|row| ids_of[row]).collect();
                assert!(read.is_superset(&wanted), "{of} from {n}: {read:?}, not {wanted:?}");
                let more = read.len() - wanted.len();
                let unit = if of == "datetime2(7)" { 10 } else { 1 };
                assert!(more <= unit, "{of} from {n}: {more} rows too many");
            }
        }
    });
}

#[test]
fn writers_at_work_while_a_table_is_read() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = Sql::new(&postgres).await;
        // Of wall-clock times an hour more would be read, in which nothing gets lost.
        events(&sql, "datetimeoffset(7)").await;
        sql.run("CREATE INDEX byChanged ON events (changed)").await;
        let source = at_once(Options { port: slow(sql.server.port, Duration::from_millis(5)), ..sql.options() });
        let stop = AtomicBool::new(false);
        let (stop, sql) = (&stop, &sql);
        let write = |writer: i64, pause: u64| async move {
            let (database, mut n) = (sql.writer().await, 0);
            while !stop.load(Ordering::SeqCst) {
                let insert =
                    format!("BEGIN TRAN; INSERT INTO events VALUES ({}, SYSUTCDATETIME())", writer * 1_000_000 + n);
                database.execute(&insert).await.unwrap();
                tokio::time::sleep(Duration::from_millis(pause)).await;
                database.execute("COMMIT").await.unwrap();
                tokio::time::sleep(Duration::from_millis(pause)).await;
                n += 1;
            }
            n
        };
        let reading = async {
            let (mut seen, mut watermark) = (BTreeSet::new(), None);
            for window in 0..13 {
                // The last with nobody writing.
                if window == 12 {
                    stop.store(true, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(1000)).await;
                }
                let (ids, now) = read(&source, CursorKind::TimestampTz, watermark).await;
                let distinct: BTreeSet<i64> = ids.iter().copied().collect();
                assert_eq!(distinct.len(), ids.len(), "a window gives a row twice");
                seen.extend(distinct);
                watermark = now;
            }
            seen.len() as i64
        };
        let (a, b, c, d, seen) = tokio::join!(write(1, 400), write(2, 3), write(3, 60), write(4, 1), reading);
        assert!(a > 1 && b > 20);
        assert_eq!(seen, a + b + c + d, "rows are lost");
        println!("{seen} rows, 13 windows, 4 writers: 0 lost");
    });
}

#[test]
fn a_row_that_commits_late_comes_with_the_next_window() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = Sql::new(&postgres).await;
        events(&sql, "datetimeoffset(7)").await;
        sql.run("INSERT INTO events VALUES (1, '2024-01-01T00:00:00+00:00')").await;
        let (source, slow) = (at_once(sql.options()), sql.writer().await);
        slow.execute("BEGIN TRAN; INSERT INTO events VALUES (2, SYSUTCDATETIME())").await.unwrap();
        sql.run("INSERT INTO events VALUES (3, SYSUTCDATETIME())").await;
        let (first, watermark) = read(&source, CursorKind::TimestampTz, None).await;
        assert_eq!(first, [1], "what came behind the oldest writer waits with it");
        slow.execute("COMMIT").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let (second, _) = read(&source, CursorKind::TimestampTz, watermark).await;
        assert_eq!(second, [1, 2, 3]);
    });
}

#[test]
fn who_may_not_see_other_sessions_ends_windows_a_little_earlier() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let encryption = crate::tds::prelogin::Encryption::Required;
        let sql = Sql::with(&postgres, Login { sees: false, ..Login::new(Mode::Negotiated(encryption)) }).await;
        events(&sql, "datetimeoffset(7)").await;
        sql.run("INSERT INTO events VALUES (1, '2024-01-01T00:00:00+00:00'), (2, SYSUTCDATETIME())").await;
        let reading = open(&sql.source(), "events", since(None)).await.unwrap();
        assert_eq!(ids(&rows(&*reading).await.unwrap()), [1]);
        let (_, Some(Watermark::TimestampTz(upper))) = reading.bounds() else { panic!() };
        let age = chrono::Utc::now() - upper;
        assert!((TimeDelta::seconds(5)..TimeDelta::seconds(20)).contains(&age), "{age}");
    });
}

#[test]
fn a_rowversion_is_read_as_far_as_all_is_committed() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = Sql::new(&postgres).await;
        sql.run("CREATE TABLE events (id bigint NOT NULL PRIMARY KEY, note nvarchar(9) NULL, changed rowversion)")
            .await;
        for id in 1..=5 {
            sql.run(&format!("INSERT INTO events (id) VALUES ({id})")).await;
        }
        let (source, slow, kind) = (sql.source(), sql.writer().await, CursorKind::RowVersion);
        let (first, watermark) = read(&source, kind, None).await;
        assert_eq!(first, [1, 2, 3, 4, 5]);
        slow.execute("BEGIN TRAN; UPDATE events SET note = 'late' WHERE id = 1").await.unwrap();
        sql.run("UPDATE events SET note = 'soon' WHERE id = 2").await;
        let (second, same) = read(&source, kind, watermark).await;
        assert_eq!((second, same), (vec![5], watermark), "what came behind the open one waits with it");
        slow.execute("COMMIT").await.unwrap();
        let (third, later) = read(&source, kind, watermark).await;
        assert_eq!(third, [1, 2, 5]);
        assert!(later > watermark);
        // A database that was restored has not come so far.
        let Some(Watermark::RowVersion(at)) = later else { panic!() };
        let problem = open(&source, "events", since(Some(Watermark::RowVersion(at + 100)))).await.err().unwrap();
        assert_eq!(problem.class, Class::Config);
        assert!(problem.hint.unwrap().contains("restored"));
    });
}

#[test]
fn zones_of_servers_and_the_two_nights_of_the_year() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        for (zone, windows) in
            [("America/Los_Angeles", "Pacific Standard Time"), ("Asia/Kolkata", "India Standard Time")]
        {
            for of in ["datetime2(7)", "datetimeoffset(7)"] {
                let sql = Sql::new(&postgres).await;
                events(&sql, of).await;
                // A row every half an hour, through the nights in which clocks go forward and back; as that zone's clocks show
                // them, or as they are.
                let value = match of {
                    "datetime2(7)" => format!("tds.ticks(at AT TIME ZONE '{zone}')"),
                    _ => "ROW(tds.ticks(at AT TIME ZONE 'UTC'), 0)::tds.offset_time".to_owned(),
                };
                sql.beneath(&format!(
                    "CREATE TABLE arrivals AS SELECT row_number() OVER (ORDER BY at) AS id, {value} AS changed FROM ( \
                     SELECT generate_series('2025-03-09 06:00Z'::timestamptz, '2025-03-09 14:00Z', '30 min') AS at UNION ALL \
                     SELECT generate_series('2025-11-02 06:00Z'::timestamptz, '2025-11-02 14:00Z', '30 min')) s"
                ))
                .await;
                let source = SqlServer::new(Options { time_zone: Some(windows.to_owned()), ..sql.options() });
                let kind = source.describe("events").await.unwrap().cursor("changed").unwrap();
                let (mut seen, mut watermark) = (BTreeSet::new(), None);
                for upto in 1..=34 {
                    sql.beneath(&format!("INSERT INTO dbo.events SELECT id, changed FROM arrivals WHERE id = {upto}"))
                        .await;
                    let (ids, now) = read(&source, kind, watermark).await;
                    seen.extend(ids);
                    watermark = now;
                    assert_eq!(seen.len() as i64, upto, "{zone}, {of}: a row is lost");
                }
            }
        }
    });
}

#[test]
fn clocks_of_other_zones() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        // The server's wall shows the time of Los Angeles.
        let sql = Sql::new(&postgres).await;
        events(&sql, "datetime2(7)").await;
        sql.run("CREATE INDEX byChanged ON events (changed)").await;
        sql.run("INSERT INTO events VALUES (1, DATEADD(minute, -1, SYSDATETIME())), (2, DATEADD(minute, -1, SYSUTCDATETIME()))").await;
        let by_the_wall = open(&sql.source(), "events", since(None)).await.unwrap();
        assert_eq!(ids(&rows(&*by_the_wall).await.unwrap()), [1]);
        let notes = by_the_wall.notes();
        assert!(notes.len() == 1 && notes[0].contains("ahead of the server's clock"), "{notes:?}");
        let options = Options { time_zone: Some("UTC".to_owned()), ..sql.options() };
        let in_utc = open(&SqlServer::new(options), "events", since(None)).await.unwrap();
        assert_eq!((ids(&rows(&*in_utc).await.unwrap()), in_utc.notes()), (vec![1, 2], Vec::new()));
        let options = Options { time_zone: Some("Nowhere".to_owned()), ..sql.options() };
        let problem = open(&SqlServer::new(options), "events", since(None)).await.err().unwrap();
        assert_eq!((problem.class, problem.what.contains("time_zone")), (Class::Config, true), "{problem}");
    });
}

#[test]
fn ranges_of_a_key_give_every_row_once() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = Sql::new(&postgres).await;
        events(&sql, "datetime2(3)").await;
        let fill = "INSERT INTO dbo.events SELECT n * 7, CASE WHEN n % 10 > 0 THEN 638000000000000000 + n END \
            FROM generate_series(-30000, 30000) n";
        sql.beneath(fill).await;
        let expected: Vec<i64> = (-30_000..=30_000).map(|n| n * 7).collect();
        let source = SqlServer::new(Options { connections: 4, ..sql.options() });
        // One instant needs one connection; a window has none, nor has a table of which no versions are kept.
        for (window, setting, parts, is_snapshot) in [
            (Window::Whole, "1, versions = 1", 1, true),
            (Window::Whole, "1, versions = 0", 1, true),
            (Window::Whole, "0, versions = 1", 1, true),
            (Window::Whole, "0, versions = 0", 4, false),
            (since(None), "1, versions = 1", 4, false),
        ] {
            sql.beneath(&format!("UPDATE tds.settings SET snapshots = {setting}")).await;
            let reading = open(&source, "events", window).await.unwrap();
            assert_eq!((reading.parts(), reading.is_snapshot()), (parts, is_snapshot), "{setting}");
            let mut read = ids(&rows(&*reading).await.unwrap());
            read.sort_unstable();
            assert_eq!(read, expected);
        }
    });
}

#[test]
fn what_a_table_is_stands_in_its_description() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = Sql::new(&postgres).await;
        let columns =
            "b int NOT NULL, A bigint NOT NULL, at datetimeoffset(7) NULL, day date NULL, v rowversion, note text NULL";
        sql.run(&format!("CREATE TABLE Sales.Line ({columns}, PRIMARY KEY (A, b))")).await;
        sql.run("CREATE INDEX byTime ON Sales.Line (at, day)").await;
        // In another spelling than the catalog's, as its collation allows.
        let described = sql.source().describe("sales.LINE").await.unwrap();
        assert_eq!(described.key, ["A", "b"]);
        let cursors: Vec<(&str, bool)> =
            described.cursors.iter().map(|(name, _, found)| (name.as_str(), *found)).collect();
        assert_eq!(cursors, [("b", false), ("A", true), ("at", true), ("day", false), ("v", false)]);
        assert!(!described.schema.field_with_name("A").unwrap().is_nullable());
    });
}
