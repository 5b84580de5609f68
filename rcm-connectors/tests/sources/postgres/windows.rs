//! Nothing is lost between two windows, and nothing is read into another one.

use crate::line::slow;
use crate::server::Server;
use crate::wait;
use crate::{open, rows, whole};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::TimeDelta;
use rcm_connectors::postgres::Postgres;
use rcm_core::{CursorKind, Lag, Source, Watermark, Window};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_postgres::Client;

fn since(watermark: Option<Watermark>, lag: TimeDelta) -> Window {
    Window::Since { cursor: "changed".to_owned(), watermark, lag: Lag::Time(lag) }
}

fn ids(batch: &RecordBatch) -> Vec<i64> {
    batch["id"].as_primitive::<Int64Type>().iter().flatten().collect()
}

/// A read of what is new: its keys, and the watermark behind it.
async fn read(
    source: &Postgres,
    kind: CursorKind,
    watermark: Option<Watermark>,
    lag: TimeDelta,
) -> (Vec<i64>, Option<Watermark>) {
    let batch = rows(&*open(source, "events", since(watermark, lag)).await.unwrap()).await.unwrap();
    let greatest = Watermark::greatest(kind, &batch["changed"]);
    (
        ids(&batch),
        if greatest.partial_cmp(&watermark).is_some_and(std::cmp::Ordering::is_gt) { greatest } else { watermark },
    )
}

#[test]
fn ten_thousand_rows_of_one_instant() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let (database, client) = server.database().await;
        let make = "CREATE TABLE events (id int8 PRIMARY KEY, changed timestamptz NOT NULL); \
            INSERT INTO events SELECT n, '2026-06-28 12:00:00.123456Z' FROM generate_series(1, 10000) n";
        client.batch_execute(make).await.unwrap();
        let source = server.source(&database);
        let (first, watermark) = read(&source, CursorKind::TimestampTz, None, TimeDelta::zero()).await;
        assert_eq!(first.len(), 10_000);
        client.batch_execute("INSERT INTO events VALUES (10001, '2026-06-28 12:00:00.123456Z')").await.unwrap();
        let (second, same) = read(&source, CursorKind::TimestampTz, watermark, TimeDelta::zero()).await;
        assert_eq!((second.len(), same), (10_001, watermark));
    });
}

/// Writes rows until it is told to stop: how many.
async fn write(client: Client, writer: i64, per: i64, stop: &std::sync::atomic::AtomicBool) -> i64 {
    let mut n = 0;
    while !stop.load(std::sync::atomic::Ordering::SeqCst) {
        // A transaction that takes its time; its rows carry the instant of its beginning, or of the row.
        let clock = if n % 2 == 0 { "now()" } else { "clock_timestamp()" };
        let from = 10_000_000 * (writer + 1) + n * per;
        let insert = format!("INSERT INTO events SELECT n, {clock} FROM generate_series({from}, {}) n", from + per - 1);
        client.batch_execute(&format!("BEGIN; {insert}; SELECT pg_sleep(0.02); COMMIT")).await.unwrap();
        n += 1;
    }
    n * per
}

#[test]
fn writers_at_work_while_a_table_is_read() {
    let Some(server) = Server::shared() else { return };
    let rows: i64 = std::env::var("RCM_ROWS").map_or(100_000, |n| n.parse().unwrap());
    wait(async {
        let (database, client) = server.database().await;
        let make = format!(
            "CREATE TABLE events (id int8 PRIMARY KEY, changed timestamptz NOT NULL); \
             INSERT INTO events SELECT n, now() - interval '1 day' FROM generate_series(1, {rows}) n; \
             CREATE INDEX ON events (changed)"
        );
        client.batch_execute(&make).await.unwrap();
        let (source, stop) = (server.source(&database), std::sync::atomic::AtomicBool::new(false));
        let writers: Vec<Client> = futures::future::join_all((0..4).map(|_| server.admin(&database))).await;
        let writing = futures::future::join_all(writers.into_iter().zip(0..).map(|(c, n)| write(c, n, 50, &stop)));
        let reading = async {
            let (mut seen, mut doubled, mut watermark) = (BTreeSet::new(), 0, None);
            for window in 0..12 {
                // The last with nobody writing.
                if window == 11 {
                    stop.store(true, std::sync::atomic::Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
                let (ids, now) = read(&source, CursorKind::TimestampTz, watermark, TimeDelta::zero()).await;
                let distinct: BTreeSet<i64> = ids.iter().copied().collect();
                assert_eq!(distinct.len(), ids.len(), "a window gives a row twice");
                doubled += distinct.iter().filter(|id| seen.contains(*id)).count();
                seen.extend(distinct);
                watermark = now;
            }
            (seen, doubled)
        };
        let (written, (seen, doubled)) = tokio::join!(writing, reading);
        let there = rows + written.iter().sum::<i64>();
        assert!(written.iter().all(|n| *n > 0));
        assert_eq!(seen.len() as i64, there, "rows are lost");
        println!("{there} rows, 12 windows, 4 writers: 0 lost; {doubled} read again at the edges");
    });
}

/// The window's end is taken before it is looked who is writing, however long what is asked takes to arrive.
#[test]
fn a_writer_that_begins_while_the_bound_is_asked_for() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let (database, client) = server.database().await;
        let make = "CREATE TABLE events (id int8 PRIMARY KEY, changed timestamptz NOT NULL)";
        client.batch_execute(make).await.unwrap();
        let mut options = server.options(&database);
        (options.port, options.plain) = (slow(server.port, Duration::from_millis(15)), true);
        let (source, stop) = (Postgres::new(options), std::sync::atomic::AtomicBool::new(false));
        // A third of the time nobody is writing.
        let now_and_then = async {
            let (client, mut n) = (server.admin(&database).await, 0);
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                let insert = format!("BEGIN; INSERT INTO events VALUES ({n}, now()); SELECT pg_sleep(0.06); COMMIT");
                client.batch_execute(&insert).await.unwrap();
                tokio::time::sleep(Duration::from_millis(30)).await;
                n += 1;
            }
            n
        };
        // The rows of this one are the greatest that are read.
        let quick = async {
            let (client, mut n) = (server.admin(&database).await, 90_000_000);
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                n += 1;
                client.batch_execute(&format!("INSERT INTO events VALUES ({n}, clock_timestamp())")).await.unwrap();
                tokio::time::sleep(Duration::from_millis(4)).await;
            }
            n - 90_000_000
        };
        let reading = async {
            let (mut seen, mut watermark) = (BTreeSet::new(), None);
            for window in 0..13 {
                if window == 12 {
                    stop.store(true, std::sync::atomic::Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
                let (ids, now) = read(&source, CursorKind::TimestampTz, watermark, TimeDelta::zero()).await;
                seen.extend(ids);
                watermark = now;
            }
            seen.len() as i64
        };
        let (a, b, seen) = tokio::join!(now_and_then, quick, reading);
        assert_eq!(seen, a + b, "rows are lost");
    });
}

#[test]
fn a_row_that_commits_late_comes_with_the_next_window_or_within_the_lag() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let (database, client) = server.database().await;
        let make = "CREATE TABLE events (id int8 PRIMARY KEY, changed timestamptz NOT NULL); \
            INSERT INTO events VALUES (1, now() - interval '1 minute')";
        client.batch_execute(make).await.unwrap();
        let source = server.source(&database);
        let kind = CursorKind::TimestampTz;
        // It writes while the window is read, and commits behind it: the bound waits for it.
        let slow = server.admin(&database).await;
        slow.batch_execute("BEGIN; INSERT INTO events VALUES (2, now())").await.unwrap();
        client.batch_execute("INSERT INTO events VALUES (3, clock_timestamp())").await.unwrap();
        let (first, watermark) = read(&source, kind, None, TimeDelta::zero()).await;
        assert_eq!(first, [1], "what came behind the oldest writer waits with it");
        slow.batch_execute("COMMIT").await.unwrap();
        let (second, watermark) = read(&source, kind, watermark, TimeDelta::zero()).await;
        assert_eq!(second, [1, 2, 3]);

        // One that had begun but not written yet is found within the lag, and without one is not: the page says so.
        let later = server.admin(&database).await;
        later.batch_execute("BEGIN; SELECT now()").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.batch_execute("INSERT INTO events VALUES (4, clock_timestamp())").await.unwrap();
        let (third, watermark) = read(&source, kind, watermark, TimeDelta::zero()).await;
        assert!(third.contains(&4));
        later.batch_execute("INSERT INTO events VALUES (5, now()); COMMIT").await.unwrap();
        assert!(!read(&source, kind, watermark, TimeDelta::zero()).await.0.contains(&5));
        assert!(read(&source, kind, watermark, TimeDelta::seconds(5)).await.0.contains(&5));
    });
}

#[test]
fn who_may_not_see_other_sessions_ends_windows_a_little_earlier() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let (database, client) = server.database().await;
        let make = "CREATE TABLE events (id int8 PRIMARY KEY, changed timestamptz NOT NULL); \
            INSERT INTO events VALUES (1, now() - interval '1 minute'), (2, now()); \
            CREATE ROLE reader LOGIN PASSWORD 'canary-password-77'; GRANT SELECT ON events TO reader";
        client.batch_execute(make).await.unwrap();
        let mut options = server.options(&database);
        options.user = "reader".to_owned();
        let source = Postgres::new(options);
        let reading = open(&source, "events", since(None, TimeDelta::zero())).await.unwrap();
        assert_eq!(ids(&rows(&*reading).await.unwrap()), [1]);
        let (_, Some(Watermark::TimestampTz(upper))) = reading.bounds() else { panic!() };
        let now: chrono::DateTime<chrono::Utc> = client.query_one("SELECT now()", &[]).await.unwrap().get(0);
        assert!((TimeDelta::seconds(5)..TimeDelta::seconds(20)).contains(&(now - upper)), "{}", now - upper);
    });
}

#[test]
fn zones_of_sessions_and_the_two_nights_of_the_year() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        for zone in ["America/Los_Angeles", "Asia/Kolkata"] {
            let (database, client) = server.database().await;
            client.batch_execute(&format!("ALTER DATABASE {database} SET timezone = '{zone}'")).await.unwrap();
            let client = {
                drop(client);
                server.admin(&database).await
            };
            let source = server.source(&database);
            for (kind, column) in [(CursorKind::TimestampTz, "timestamptz"), (CursorKind::Timestamp, "timestamp")] {
                // A row every ten minutes, through the nights in which clocks go forward and back; as that zone's clocks
                // show them.
                let make = format!(
                    "DROP TABLE IF EXISTS events, arrivals; CREATE TABLE events (id int8 PRIMARY KEY, changed {column}); \
                     CREATE TABLE arrivals AS SELECT row_number() OVER (ORDER BY at) AS id, at FROM ( \
                     SELECT generate_series('2025-03-09 08:00Z'::timestamptz, '2025-03-09 12:00Z', '10 min') AS at UNION ALL \
                     SELECT generate_series('2025-11-02 07:00Z'::timestamptz, '2025-11-02 11:00Z', '10 min')) s"
                );
                client.batch_execute(&make).await.unwrap();
                let all: i64 = client.query_one("SELECT count(*) FROM arrivals", &[]).await.unwrap().get(0);
                let (mut seen, mut watermark) = (BTreeSet::new(), None);
                for upto in 1..=all {
                    let insert = format!("INSERT INTO events SELECT id, at FROM arrivals WHERE id = {upto}");
                    client.batch_execute(&insert).await.unwrap();
                    let (ids, now) = read(&source, kind, watermark, TimeDelta::zero()).await;
                    seen.extend(ids);
                    watermark = now;
                    assert_eq!(seen.len() as i64, upto, "{zone}, {column}: a row is lost");
                }
            }
            // What is written in another zone lies ahead, or behind: it is read later, and that is said.
            client.batch_execute("CREATE INDEX ON events (changed); INSERT INTO events VALUES (9999, localtimestamp + interval '2 h')").await.unwrap();
            let reading = open(&source, "events", since(None, TimeDelta::zero())).await.unwrap();
            let notes = reading.notes();
            assert!(notes.len() == 1 && notes[0].contains(&format!("ahead of the clock in zone {zone}")), "{notes:?}");
            // And what is written now, by that zone's clock, is read now.
            client.batch_execute("INSERT INTO events VALUES (10000, localtimestamp)").await.unwrap();
            let (ids, _) = read(&source, CursorKind::Timestamp, None, TimeDelta::zero()).await;
            assert!(ids.contains(&10_000), "{zone}");
        }
    });
}

#[test]
fn infinite_cursors_are_in_every_window_and_in_no_watermark() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let (database, client) = server.database().await;
        let make = "CREATE TABLE events (id int8 PRIMARY KEY, changed date); INSERT INTO events VALUES \
            (1, '2026-01-01'), (2, 'infinity'), (3, '-infinity'), (4, NULL), (5, current_date), (6, current_date + 10)";
        client.batch_execute(make).await.unwrap();
        let source = server.source(&database);
        let (first, watermark) = read(&source, CursorKind::Date, None, TimeDelta::zero()).await;
        assert_eq!(first, [1, 2, 3, 4, 5], "what is dated ahead waits for its day");
        let (mut second, _) = read(&source, CursorKind::Date, watermark, TimeDelta::zero()).await;
        second.sort_unstable();
        assert_eq!(second, [2, 3, 4, 5]);
    });
}

#[test]
fn parts_of_a_table_show_one_instant_and_each_row_once() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let (database, client) = server.database().await;
        let make = "CREATE TABLE events (id int8, filling text); \
            INSERT INTO events SELECT n, repeat('x', 700) FROM generate_series(1, 120000) n";
        client.batch_execute(make).await.unwrap();
        let source = server.source(&database);
        let reading = open(&source, "events", Window::Whole).await.unwrap();
        assert_eq!((reading.parts(), reading.is_snapshot()), (2, true));
        // Rows move to other pages, come and go: the snapshot knows nothing of it.
        client.batch_execute("UPDATE events SET filling = 'y'; DELETE FROM events WHERE id % 3 = 0").await.unwrap();
        let mut read = ids(&rows(&*reading).await.unwrap());
        read.sort_unstable();
        assert_eq!(read, (1..=120_000).collect::<Vec<_>>());
        let now = whole(&source, "events").await.unwrap();
        assert_eq!((now.num_rows(), now["filling"].null_count()), (80_000, 0));
        // A part again, from its beginning.
        let again = rows(&*reading).await.unwrap();
        assert_eq!(again.num_rows(), 120_000);
    });
}

#[test]
fn what_a_table_is_stands_in_its_description() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let (database, client) = server.database().await;
        let make = "CREATE TABLE t (b int, a int8 NOT NULL, at timestamptz, day date, PRIMARY KEY (a, b)); \
            CREATE INDEX ON t (at, day); CREATE INDEX ON t (day) WHERE b > 1";
        client.batch_execute(make).await.unwrap();
        let described = server.source(&database).describe("public.t").await.unwrap();
        assert_eq!(described.key, ["a", "b"]);
        let cursors: Vec<(&str, bool)> =
            described.cursors.iter().map(|(name, _, found)| (name.as_str(), *found)).collect();
        assert_eq!(cursors, [("b", false), ("a", true), ("at", true), ("day", false)]);
        assert!(!described.schema.field_with_name("a").unwrap().is_nullable());
    });
}
