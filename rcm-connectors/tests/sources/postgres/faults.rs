//! What goes wrong with a database, and what is said of it.

use crate::line::{End, line};
use crate::server::{PASSWORD, Server};
use crate::{components::Authority, wait};
use crate::{open, whole};
use futures::TryStreamExt;
use rcm_connectors::postgres::Postgres;
use rcm_core::{Class, Problem, Source, Window};
use std::time::Duration;

const BIG: &str = "CREATE TABLE big AS SELECT n AS id, repeat('x', 900) AS filling FROM generate_series(1, 60000) n";

/// How a read ends that somebody disturbs behind its first batch.
async fn disturbed(source: &Postgres, disturb: impl AsyncFnOnce()) -> Result<usize, Problem> {
    let reading = open(source, "big", Window::Whole).await?;
    let mut batches = reading.read(0);
    let mut rows = batches.try_next().await?.unwrap().num_rows();
    disturb().await;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows();
    }
    Ok(rows)
}

#[test]
fn a_session_that_is_ended_or_cancelled_is_worth_another_try() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let (database, client) = server.database().await;
        client.batch_execute(BIG).await.unwrap();
        let mut options = server.options(&database);
        (options.connections, options.batch_bytes) = (1, 1 << 16);
        let source = Postgres::new(options);
        for end in ["pg_terminate_backend", "pg_cancel_backend"] {
            let end =
                format!("SELECT {end}(pid) FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE 'COPY%'");
            let problem = disturbed(&source, async || drop(client.query(&end, &[]).await.unwrap())).await.unwrap_err();
            assert_eq!(problem.class, Class::Temporary, "{problem}");
            assert!(problem.what.contains("SQLSTATE 57") || problem.what.contains("closed"), "{problem}");
        }
        assert_eq!(whole(&source, "big").await.unwrap().num_rows(), 60_000);
        // Nobody is left behind.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let left =
            format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND application_name = 'rcm'");
        assert_eq!(client.query_one(&left, &[]).await.unwrap().get::<_, i64>(0), 0);
    });
}

#[test]
fn a_server_that_is_started_anew() {
    let Some(server) = Server::own() else { return };
    let (source, reading) = wait(async {
        let (database, client) = server.database().await;
        client.batch_execute(BIG).await.unwrap();
        let mut options = server.options(&database);
        (options.connections, options.batch_bytes) = (1, 1 << 16);
        let source = Postgres::new(options);
        let reading = open(&source, "big", Window::Whole).await.unwrap();
        (source, reading)
    });
    let mut batches = reading.read(0);
    assert!(wait(batches.try_next()).unwrap().is_some());
    server.stop();
    let problem = wait(async {
        loop {
            match batches.try_next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ends as if that were all"),
                Err(problem) => return problem,
            }
        }
    });
    assert_eq!(problem.class, Class::Temporary, "{problem}");
    assert_eq!(wait(source.describe("big")).unwrap_err().class, Class::Temporary);
    server.restart();
    assert_eq!(wait(whole(&source, "big")).unwrap().num_rows(), 60_000);
}

#[test]
fn a_line_that_breaks_or_goes_dumb_half_way() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let (database, client) = server.database().await;
        client.batch_execute(BIG).await.unwrap();
        // Some 55 MB: at 1, 50 and 99 %.
        for (bytes, end) in [(600_000, End::Broken), (27_000_000, End::Dumb), (54_000_000, End::Broken)] {
            let mut options = server.options(&database);
            (options.port, options.patience) = (line(server.port, bytes, end), Duration::from_secs(2));
            options.connections = 1;
            let problem = whole(&Postgres::new(options), "big").await.unwrap_err();
            assert_eq!(problem.class, Class::Temporary, "{problem}");
            assert_eq!(problem.what.contains("said nothing for 2s"), end == End::Dumb, "{problem}");
        }
    });
}

#[test]
fn a_server_that_is_not_there_or_not_trusted() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let refused = async |change: &dyn Fn(&mut rcm_connectors::postgres::Options)| {
            let mut options = server.options("postgres");
            change(&mut options);
            let problem = Postgres::new(options).describe("pg_class").await.unwrap_err();
            assert!(!format!("{problem:?}").contains(PASSWORD), "{problem:?}");
            (problem.class, problem.what)
        };
        let (class, what) = refused(&|o| o.port = crate::components::free_port()).await;
        assert_eq!((class, what.as_str()), (Class::Temporary, "the connection failed: connection refused"));
        // A certificate of somebody else, or of another name.
        let (class, what) = refused(&|o| o.authorities = Some(Authority::new().pem)).await;
        assert_eq!(class, Class::Failed);
        assert!(what.contains("no trusted connection: invalid peer certificate"), "{what}");
        let (class, what) = refused(&|o| o.host = "127.0.0.2".to_owned()).await;
        assert!(class == Class::Temporary && what.contains("refused") || what.contains("not valid for name"), "{what}");
        let (class, _) = refused(&|o| o.authorities = Some("no certificate".to_owned())).await;
        assert_eq!(class, Class::Config);
        let (class, what) = refused(&|o| o.database = "nowhere".to_owned()).await;
        assert_eq!((class, what.as_str()), (Class::Config, "the server has no such database"));
        // Somebody who asks nothing of TLS gets none; the server here does not mind.
        let mut options = server.options("postgres");
        options.plain = true;
        assert!(Postgres::new(options).describe("pg_catalog.pg_class").await.is_ok());
    });
}

#[test]
fn rows_that_are_hidden_are_no_rows_that_are_gone() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let (database, client) = server.database().await;
        let make = "CREATE TABLE secret (id int, owner text); INSERT INTO secret VALUES (1, 'a'), (2, 'b'); \
            CREATE ROLE half LOGIN PASSWORD 'canary-password-77'; CREATE ROLE nobody LOGIN PASSWORD 'canary-password-77'; \
            GRANT SELECT ON secret TO half; ALTER TABLE secret ENABLE ROW LEVEL SECURITY; \
            CREATE POLICY own ON secret USING (owner = 'a')";
        client.batch_execute(make).await.unwrap();
        for user in ["half", "nobody"] {
            let mut options = server.options(&database);
            options.user = user.to_owned();
            let problem = whole(&Postgres::new(options), "secret").await.unwrap_err();
            assert_eq!((problem.class, problem.what.as_str()), (Class::Failed, "the user may not read all of it"));
        }
    });
}

#[test]
fn hostile_names_are_names() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let (database, client) = server.database().await;
        client.batch_execute("CREATE TABLE victim (id int)").await.unwrap();
        let names = crate::hostile("\"");
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        // Of every third a table, and all of them columns.
        for (number, three) in names.chunks(3).enumerate() {
            let (name, table) = (&three[0], quoted(&three[0]));
            let columns: Vec<String> = three.iter().map(|name| format!("{} int4", quoted(name))).collect();
            let values = vec!["7"; three.len()].join(", ");
            let make = format!("CREATE TABLE {table} ({}); INSERT INTO {table} VALUES ({values})", columns.join(", "));
            client.batch_execute(&make).await.unwrap();
            let source = server.source(&database);
            let batch = whole(&source, &format!("public.{name}")).await.unwrap();
            let read: Vec<String> = batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
            assert_eq!((batch.num_rows(), read.as_slice()), (1, three));
            if number % 10 == 0 {
                let (watermark, lag) = (Some(rcm_core::Watermark::Integer(7)), rcm_core::Lag::Steps(0));
                let window = Window::Since { cursor: name.clone(), watermark, lag };
                assert_eq!(crate::rows(&*open(&source, name, window).await.unwrap()).await.unwrap().num_rows(), 1);
            }
            client.batch_execute(&format!("DROP TABLE {table}")).await.unwrap();
        }
        assert!(client.batch_execute("SELECT id FROM victim").await.is_ok());
        println!("{} hostile names, {} of them of tables: inert", names.len(), names.len().div_ceil(3));
    });
}
