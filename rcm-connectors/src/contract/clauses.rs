//! The clauses.

use super::{Broken, Got, Row, Tried, Widened, text};
use arrow::array::RecordBatch;
use futures::future::join_all;
use futures::{FutureExt, TryStreamExt};
use rcm_core::{Class, CursorKind, Lag, Problem, Wanted, Watermark, Window};
use std::sync::{Mutex, PoisonError};

type Held = Result<(), Broken>;

fn hold(clause: &'static str, holds: bool, what: impl FnOnce() -> String) -> Held {
    if holds { Ok(()) } else { Err(Broken { clause, what: what() }) }
}

fn failed(clause: &'static str) -> impl Fn(Problem) -> Broken {
    move |problem| Broken { clause, what: format!("it failed: {problem}") }
}

/// That something is refused as a fault of the configuration, with what to do.
fn refused(clause: &'static str, what: &str, problem: Option<Problem>) -> Held {
    let is_told = problem.as_ref().is_some_and(|problem| problem.class == Class::Config && problem.hint.is_some());
    hold(clause, is_told, || format!("{what} is refused by {problem:?}"))
}

/// What a read comes to that must end in time.
async fn in_time(
    fixture: &Tried<'_>,
    clause: &'static str,
    reading: impl Future<Output = Result<Got, Problem>> + Send,
) -> Result<Result<Got, Problem>, Broken> {
    let outcome = Mutex::new(None);
    let reading = async {
        let read = reading.await;
        *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
    };
    fixture.within(fixture.patience(), reading.boxed()).await;
    let outcome = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcome.ok_or_else(|| Broken { clause, what: "a read does not end".to_owned() })
}

fn row(id: impl ToString, changed: Option<i64>) -> Row {
    Row { id: id.to_string(), note: None, changed }
}

fn since(fixture: &Tried<'_>, watermark: Option<Watermark>, lag: Lag) -> Window {
    Window::Since { cursor: fixture.names().changed.to_owned(), watermark, lag }
}

fn ids<const N: usize>(ids: [&str; N]) -> Vec<String> {
    ids.map(str::to_owned).to_vec()
}

const NO_LAG: Lag = Lag::Steps(0);

pub(super) async fn whole(fixture: &Tried<'_>, cursor: Option<CursorKind>) -> Held {
    const CLAUSE: &str = "whole";
    let (source, table) = (fixture.source(), fixture.create(cursor).await);
    let cursor = cursor.map_or("no cursor".to_owned(), |cursor| cursor.to_string());
    let notes = [None, Some(""), Some("NULL"), Some(" a\t'b' \"c\" \\ \n, é ﷽ 😀 ")];
    let mut rows: Vec<Row> = (0..500).map(|n| row(n, Some(n % 7))).collect();
    rows.iter_mut().zip(notes.iter().cycle()).for_each(|(row, note)| row.note = note.map(str::to_owned));
    fixture.insert(&table, &rows).await;
    let mut expected: Vec<(String, Option<String>)> = rows.into_iter().map(|row| (row.id, row.note)).collect();
    expected.sort();
    // What comes after a snapshot was taken is not in it; of a single part it may be taken when the part is read.
    let wanted = Wanted { table: table.clone(), columns: Vec::new(), window: Window::Whole };
    let reading = source.open(&wanted).await.map_err(failed(CLAUSE))?;
    fixture.insert(&table, &[row("later", Some(1))]).await;
    let mut before = 0;
    for part in (0..reading.parts()).rev() {
        let batches: Vec<RecordBatch> = reading.read(part).try_collect().await.map_err(failed(CLAUSE))?;
        before += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    }
    let may_be_later = !reading.is_snapshot() || reading.parts() == 1;
    let is_as_it_was = before == expected.len() || may_be_later && before == expected.len() + 1;
    hold(CLAUSE, is_as_it_was, || format!("a read opened on {} rows gives {before} ({cursor})", expected.len()))?;
    drop(reading);
    expected.push(("later".to_owned(), None));
    expected.sort();
    for time in ["first", "second"] {
        let got = fixture.read(&*source, &table, Window::Whole).await.map_err(failed(CLAUSE))?;
        let pairs = |batch| fixture.ids(batch).into_iter().zip(text(batch, fixture.names().note)).collect::<Vec<_>>();
        let mut pairs: Vec<_> = got.batches.iter().flat_map(pairs).collect();
        pairs.sort();
        hold(CLAUSE, pairs == expected, || format!("the {time} read gives other rows ({cursor})"))?;
    }
    Ok(())
}

pub(super) async fn boundary_lag_and_empty(fixture: &Tried<'_>, cursor: CursorKind) -> Held {
    let (source, table) = (fixture.source(), fixture.create(Some(cursor)).await);
    // Wall-clock times are read from an hour below the watermark.
    let far = |step: i64| step * if cursor == CursorKind::Timestamp { 10_000 } else { 1 };
    let rows = [row("a", Some(far(1))), row("b", Some(far(2))), row("c", Some(far(2))), row("null", None)];
    fixture.insert(&table, &rows).await;
    let first = fixture.read(&*source, &table, since(fixture, None, NO_LAG)).await.map_err(failed("boundary"))?;
    hold("boundary", first.ids == ids(["a", "b", "c", "null"]), || format!("the first read gives {:?}", first.ids))?;
    let at = Some(fixture.at(cursor, far(2)));
    hold("boundary", first.greatest == at, || format!("the greatest {cursor} is {:?}, not {at:?}", first.greatest))?;

    let again = fixture.read(&*source, &table, since(fixture, at, NO_LAG)).await.map_err(failed("boundary"))?;
    hold("boundary", again.ids == ids(["b", "c", "null"]), || {
        format!("the second read gives {:?} ({cursor})", again.ids)
    })?;
    fixture.insert(&table, &[row("d", Some(far(2))), row("e", Some(far(1))), row("f", Some(far(3)))]).await;
    let third = fixture.read(&*source, &table, since(fixture, at, NO_LAG)).await.map_err(failed("boundary"))?;
    let expected = ids(["b", "c", "d", "f", "null"]);
    hold("boundary", third.ids == expected, || format!("rows that came at the watermark: {:?} ({cursor})", third.ids))?;

    let lag = match fixture.step(cursor) {
        Lag::Time(time) => Lag::Time(time * far(1) as i32),
        steps => steps,
    };
    let wide = fixture.read(&*source, &table, since(fixture, at, lag)).await.map_err(failed("lag"))?;
    let expected = ids(["a", "b", "c", "d", "e", "f", "null"]);
    hold("lag", wide.ids == expected, || format!("a lag of a step gives {:?} ({cursor})", wide.ids))?;

    let behind = Some(fixture.at(cursor, far(4)));
    let nothing = fixture.read(&*source, &table, since(fixture, behind, NO_LAG)).await.map_err(failed("empty"))?;
    hold("empty", nothing.ids == ids(["null"]) && nothing.greatest.is_none(), || {
        format!("{:?} ({cursor})", nothing.ids)
    })
}

pub(super) async fn between(fixture: &Tried<'_>, cursor: CursorKind) -> Held {
    const CLAUSE: &str = "between";
    let (source, table) = (fixture.source(), fixture.create(Some(cursor)).await);
    let rows: Vec<Row> = (0..60).map(|n| row(n, Some(n / 3))).collect();
    fixture.insert(&table, &rows).await;
    let mut all = Vec::new();
    for (from, to) in [(0, 1), (1, 7), (7, 7), (7, 20)] {
        let [from, to] = [from, to].map(|step| fixture.at(cursor, step));
        let window = Window::Between { cursor: fixture.names().changed.to_owned(), from, to };
        all.extend(fixture.read(&*source, &table, window).await.map_err(failed(CLAUSE))?.ids);
    }
    all.sort();
    let mut expected: Vec<String> = rows.into_iter().map(|row| row.id).collect();
    expected.sort();
    hold(CLAUSE, all == expected, || format!("four windows have {} rows of {} ({cursor})", all.len(), expected.len()))
}

pub(super) async fn state(fixture: &Tried<'_>, cursor: CursorKind) -> Held {
    const CLAUSE: &str = "state";
    let (source, table) = (fixture.source(), fixture.create(Some(cursor)).await);
    fixture.insert(&table, &[row("a", Some(1))]).await;
    let day = chrono::NaiveDate::default();
    let kinds = [
        Watermark::Date(day),
        Watermark::Timestamp(day.into()),
        Watermark::TimestampTz(chrono::DateTime::UNIX_EPOCH),
        Watermark::Integer(0),
        Watermark::RowVersion(0),
    ];
    let ahead = chrono::NaiveDate::from_ymd_opt(9000, 1, 1).unwrap_or(day);
    let ahead = [
        Watermark::Date(ahead),
        Watermark::Timestamp(ahead.into()),
        Watermark::TimestampTz(ahead.and_time(chrono::NaiveTime::MIN).and_utc()),
    ];
    let others = kinds.into_iter().filter(|other| other.kind() != cursor);
    for wrong in others.chain(ahead.into_iter().filter(|ahead| ahead.kind() == cursor)) {
        let wanted = Wanted { table: table.clone(), columns: Vec::new(), window: since(fixture, Some(wrong), NO_LAG) };
        refused(CLAUSE, &format!("a {cursor} from {wrong:?}"), source.open(&wanted).await.err())?;
    }
    Ok(())
}

pub(super) async fn columns(fixture: &Tried<'_>) -> Held {
    const CLAUSE: &str = "columns";
    let (source, table) = (fixture.source(), fixture.create(first(fixture)).await);
    fixture.insert(&table, &[row("a", Some(1))]).await;
    let before = source.describe(&table).await.map_err(failed(CLAUSE))?.schema;
    hold(CLAUSE, before.index_of("added").is_err(), || "the column is there before it was added".to_owned())?;
    let was = fixture.read(&*source, &table, Window::Whole).await.map_err(failed(CLAUSE))?;
    let widened = fixture.widen(&table).await;
    let after = fixture.read(&*source, &table, Window::Whole).await.map_err(failed(CLAUSE))?;
    let schema = after.batches.first().map(|batch| batch.schema()).unwrap_or(before.clone());
    match widened {
        Widened::Column(widened, data_type) => {
            hold(CLAUSE, schema.index_of("added").is_ok(), || "an added column is not read".to_owned())?;
            let now = schema.field_with_name(&widened).map(|field| field.data_type().clone());
            hold(CLAUSE, now.as_ref().is_ok_and(|now| *now == data_type), || format!("`{widened}` is read as {now:?}"))
        }
        Widened::Record { column, holds } => {
            let now = source.describe(&table).await.map_err(failed(CLAUSE))?.schema;
            hold(CLAUSE, now == before && schema == before, || "columns that are the source's own change".to_owned())?;
            let names = fixture.names();
            let rows = |got: &Got| {
                let of = |batch| fixture.ids(batch).into_iter().zip(text(batch, names.note)).collect::<Vec<_>>();
                got.batches.iter().flat_map(of).collect::<Vec<_>>()
            };
            hold(CLAUSE, rows(&was) == rows(&after), || "other fields change with one that is new".to_owned())?;
            let said =
                |got: &Got| got.batches.iter().flat_map(|batch| text(batch, column)).flatten().collect::<String>();
            let (was, is) = (said(&was), said(&after));
            let is_new = holds.iter().all(|text| is.contains(text) && !was.contains(text));
            hold(CLAUSE, is_new, || format!("`{column}` does not hold what is new in a record"))
        }
    }
}

/// A source whose rows say nothing of when they changed gives the whole, and says so.
pub(super) async fn timeless(fixture: &Tried<'_>) -> Held {
    const CLAUSE: &str = "state";
    let (source, table) = (fixture.source(), fixture.create(None).await);
    let nothing = fixture.read(&*source, &table, Window::Whole).await.map_err(failed("empty"))?;
    hold("empty", nothing.ids.is_empty(), || format!("an empty table has {:?}", nothing.ids))?;
    fixture.insert(&table, &[row("a", None)]).await;
    let described = source.describe(&table).await.map_err(failed(CLAUSE))?;
    hold(CLAUSE, described.cursors.is_empty(), || "it names a cursor that its fixture does not know".to_owned())?;
    let day = chrono::NaiveDate::default();
    let instant = chrono::DateTime::UNIX_EPOCH;
    for field in described.schema.fields() {
        for at in
            [Watermark::Date(day), Watermark::TimestampTz(instant), Watermark::Integer(0), Watermark::RowVersion(0)]
        {
            let cursor = field.name().clone();
            for window in [
                Window::Since { cursor: cursor.clone(), watermark: None, lag: NO_LAG },
                Window::Since { cursor: cursor.clone(), watermark: Some(at), lag: NO_LAG },
                Window::Between { cursor: cursor.clone(), from: at, to: at },
            ] {
                let wanted = Wanted { table: table.clone(), columns: Vec::new(), window };
                refused(CLAUSE, &format!("a window of `{cursor}`"), source.open(&wanted).await.err())?;
            }
        }
    }
    Ok(())
}

pub(super) async fn projection(fixture: &Tried<'_>) -> Held {
    const CLAUSE: &str = "projection";
    let (source, table) = (fixture.source(), fixture.create(first(fixture)).await);
    fixture.insert(&table, &[row("a", Some(1))]).await;
    let names = fixture.names();
    let other = if fixture.cursors().is_empty() { names.note } else { names.changed };
    let wanted = |columns: &[&str]| {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        Wanted { table: table.clone(), columns, window: Window::Whole }
    };
    let reading = source.open(&wanted(&[other, names.id])).await.map_err(failed(CLAUSE))?;
    let read: Vec<&String> = reading.schema().fields().iter().map(|field| field.name()).collect();
    hold(CLAUSE, read == [other, names.id], || format!("it gives {read:?}"))?;
    let batches: Vec<_> = reading.read(0).try_collect().await.map_err(failed(CLAUSE))?;
    hold(CLAUSE, batches.iter().all(|batch| batch.num_columns() == 2), || "its batches have more".to_owned())?;
    match source.open(&wanted(&[names.id, "not there"])).await {
        Ok(_) => hold(CLAUSE, false, || "a column that is not there is read".to_owned()),
        Err(problem) => hold(CLAUSE, problem.what.contains("`not there`"), || format!("it is refused as {problem:?}")),
    }
}

pub(super) async fn tables(fixture: &Tried<'_>) -> Held {
    const CLAUSE: &str = "tables";
    let source = fixture.source();
    let hostile = ["no_such_table", "", ".", "a\0b", "x'; DROP TABLE y; --", "\"", "../../etc/passwd", "a.b.c", "💥"];
    for name in hostile {
        refused(CLAUSE, &format!("table {name:?}"), source.describe(name).await.err())?;
    }
    Ok(())
}

pub(super) async fn broken(fixture: &Tried<'_>) -> Held {
    const CLAUSE: &str = "broken";
    let table = &fixture.create(first(fixture)).await;
    let rows: Vec<Row> = (0..fixture.many() / 2)
        .map(|n| Row { note: Some("x".repeat(100)), ..row(format!("{n:05}"), Some(1)) })
        .collect();
    fixture.insert(table, &rows).await;
    // From the first word to the last rows, and one that does not break; all at once, for each of them may wait.
    let breaks = [0, 1, 40, 400, 4_000, 100_000, 200_000, 230_000, 100_000_000].map(|bytes| async move {
        let source = fixture.breaking(bytes);
        let outcome = in_time(fixture, CLAUSE, fixture.read(&*source, table, Window::Whole)).await;
        (bytes, outcome)
    });
    let (mut failures, mut wholes) = (0, 0);
    for (bytes, outcome) in join_all(breaks).await {
        match outcome? {
            Ok(Got { ids, .. }) => {
                wholes += 1;
                hold(CLAUSE, ids.len() == rows.len(), || format!("behind {bytes} bytes {} rows are all", ids.len()))?;
            }
            Err(problem) => {
                failures += 1;
                let is_told = [Class::Temporary, Class::Failed].contains(&problem.class);
                hold(CLAUSE, is_told, || format!("behind {bytes} bytes it says {problem:?}"))?;
            }
        }
    }
    hold(CLAUSE, failures > 3 && wholes > 0, || format!("{failures} reads broke, {wholes} did not: the line is none"))
}

pub(super) async fn cancelled(fixture: &Tried<'_>) -> Held {
    const CLAUSE: &str = "cancelled";
    let (source, table) = (fixture.source(), fixture.create(first(fixture)).await);
    let rows: Vec<Row> = (0..fixture.many()).map(|n| Row { note: Some("x".repeat(1000)), ..row(n, Some(1)) }).collect();
    fixture.insert(&table, &rows).await;
    let wanted = Wanted { table: table.clone(), columns: Vec::new(), window: Window::Whole };
    let reading = async {
        for _ in 0..3 {
            let reading = source.open(&wanted).await?;
            let mut batches = reading.read(0);
            let _ = batches.try_next().await?;
        }
        fixture.read(&*source, &table, Window::Whole).await
    };
    let read = in_time(fixture, CLAUSE, reading).await?.map_err(failed(CLAUSE))?.ids.len();
    hold(CLAUSE, read == rows.len(), || format!("the read behind it has {read} rows"))
}

pub(super) async fn secrets(fixture: &Tried<'_>) -> Held {
    const CLAUSE: &str = "secrets";
    let table = fixture.create(first(fixture)).await;
    let (source, secret) = fixture.refused();
    match source.describe(&table).await {
        Ok(_) => hold(CLAUSE, false, || "a wrong secret opens it".to_owned()),
        Err(problem) => {
            let said = format!("{problem:?} {problem}");
            hold(CLAUSE, !said.contains(&secret), || "its error holds the secret".to_owned())?;
            hold(CLAUSE, problem.class == Class::Failed, || format!("a wrong secret is {:?}", problem.class))
        }
    }
}

/// A kind of cursor, where there is one.
fn first(fixture: &Tried<'_>) -> Option<CursorKind> {
    fixture.cursors().first().copied()
}
