//! What goes wrong with a database, and what is said of it.

use super::Sql;
use crate::components::{Authority, free_port};
use crate::line::{End, line};
use crate::server::Server;
use crate::tds::fault::{Fault, Malformed};
use crate::tds::prelogin::Encryption;
use crate::tds::server::{Mode, Options as Login};
use crate::{open, wait, whole};
use futures::TryStreamExt;
use futures::future::join_all;
use rcm_connectors::sqlserver::{self, Options, SqlServer};
use rcm_core::{Class, Lag, Problem, Secret, Source, Watermark, Window};
use std::time::Duration;

const ROWS: usize = 20_000;

async fn big(postgres: &std::sync::Arc<Server>) -> Sql {
    let sql = Sql::new(postgres).await;
    sql.run("CREATE TABLE big (id int NOT NULL PRIMARY KEY, filling nvarchar(max) NULL)").await;
    sql.beneath(&format!("INSERT INTO dbo.big SELECT n, repeat('x', 200) FROM generate_series(1, {ROWS}) n")).await;
    sql
}

fn impatient(sql: &Sql) -> SqlServer {
    SqlServer::new(Options { patience: Duration::from_secs(1), batch_bytes: 1 << 16, ..sql.options() })
}

/// A read that must come to an end.
async fn within<T>(time: u64, read: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    tokio::time::timeout(Duration::from_secs(time), read).await.unwrap()
}

#[test]
fn streams_that_no_server_sends_are_errors() {
    let Some(postgres) = &Server::shared() else { return };
    wait(async {
        // Of each statement at a server of its own: many of them are waited for.
        let statements = ["FROM [dbo].[big]", "FROM sys.objects", "FROM sys.columns", "FROM sys.databases"];
        let each = statements.map(|statement| async move {
            let sql = big(postgres).await;
            let source = impatient(&sql);
            for malformed in Malformed::ALL {
                sql.server.shared.faults.push(statement, Fault::Malformed(malformed));
                let problem =
                    within(10, whole(&source, "big")).await.expect_err(&format!("{malformed:?} of {statement}"));
                let is_told = [Class::Temporary, Class::Failed, Class::Drift, Class::Config].contains(&problem.class);
                assert!(is_told && problem.hint.is_some(), "{malformed:?} of {statement}: {problem:?}");
            }
            assert_eq!(whole(&source, "big").await.unwrap().num_rows(), ROWS);
        });
        join_all(each).await;
    });
}

#[test]
fn what_a_server_says_is_worth_another_try_or_not() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = big(&postgres).await;
        let source = impatient(&sql);
        for (number, class) in [
            (1205, Class::Temporary),
            (1222, Class::Temporary),
            (3960, Class::Temporary),
            (40197, Class::Temporary),
            (40501, Class::Temporary),
            (40613, Class::Temporary),
            (49918, Class::Temporary),
            (208, Class::Config),
            (3952, Class::Failed),
            (50000, Class::Failed),
        ] {
            // At once, and behind some rows.
            for fault in [Fault::Error(number), Fault::ErrorBehind(number, 5000)] {
                sql.server.shared.faults.push("FROM [dbo].[big]", fault);
                let problem = within(10, whole(&source, "big")).await.unwrap_err();
                assert_eq!(problem.class, class, "{problem:?}");
            }
        }
        for (number, class) in
            [(18456, Class::Failed), (4060, Class::Config), (40613, Class::Temporary), (49918, Class::Temporary)]
        {
            sql.server.shared.faults.push("", Fault::Login(number));
            assert_eq!(source.describe("big").await.unwrap_err().class, class, "{number}");
        }
        assert_eq!(whole(&source, "big").await.unwrap().num_rows(), ROWS);
    });
}

#[test]
fn a_line_that_breaks_or_goes_dumb_half_way() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = big(&postgres).await;
        // Some 8.4 MB: at 1, 50 and 99 %.
        for (bytes, end) in
            [(84_000, End::Broken), (84_000, End::Dumb), (4_200_000, End::Dumb), (8_200_000, End::Broken)]
        {
            let options = Options { patience: Duration::from_secs(2), ..sql.options() };
            let source = SqlServer::new(Options { port: line(sql.server.port, bytes, end), ..options });
            let problem = within(10, whole(&source, "big")).await.unwrap_err();
            assert_eq!(problem.class, Class::Temporary, "{problem}");
        }
        // What the server itself leaves off.
        for fault in [Fault::Cut(4_000_000), Fault::Stall(4_000_000)] {
            sql.server.shared.faults.push("FROM [dbo].[big]", fault);
            let problem = within(10, whole(&impatient(&sql), "big")).await.unwrap_err();
            assert_eq!(problem.class, Class::Temporary, "{problem}");
        }
    });
}

#[test]
fn a_server_that_is_started_anew() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let mut sql = big(&postgres).await;
        let source = impatient(&sql);
        let reading = open(&source, "big", Window::Whole).await.unwrap();
        let mut batches = reading.read(0);
        assert!(batches.try_next().await.unwrap().is_some());
        // It goes away, and with it all sessions.
        let again = Login { port: sql.server.port, ..sql.server.shared.options.clone() };
        let other = crate::tds::server::Server::start(postgres.clone(), Login::new(Mode::Strict)).await;
        drop(std::mem::replace(&mut sql.server, other));
        let ended = async {
            while batches.try_next().await?.is_some() {}
            Ok::<_, Problem>(())
        };
        let problem = within(10, ended).await.unwrap_err();
        assert_eq!(problem.class, Class::Temporary, "{problem}");
        assert_eq!(source.describe("big").await.unwrap_err().class, Class::Temporary);
        sql.server = crate::tds::server::Server::start(postgres.clone(), again).await;
        assert_eq!(whole(&source, "big").await.unwrap().num_rows(), ROWS);
    });
}

#[test]
fn a_reader_that_is_dropped_leaves_nobody_behind() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = big(&postgres).await;
        let source = impatient(&sql);
        for _ in 0..5 {
            let reading = open(&source, "big", Window::Whole).await.unwrap();
            assert!(reading.read(0).try_next().await.unwrap().is_some());
        }
        let left = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'", sql.database.name);
        for round in 0.. {
            // The test's own.
            if sql.database.client.query_one(&left, &[]).await.unwrap().get::<_, i64>(0) == 1 {
                break;
            }
            assert!(round < 100, "sessions are left");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
}

#[test]
fn a_server_that_is_not_there_or_not_trusted() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = big(&postgres).await;
        let password = sql.server.shared.options.password.clone();
        let refused = async |change: &dyn Fn(&mut Options)| {
            let mut options = sql.options();
            change(&mut options);
            let problem = SqlServer::new(options).describe("big").await.unwrap_err();
            assert!(!format!("{problem:?}").contains(&password), "{problem:?}");
            (problem.class, problem.what)
        };
        let (class, what) = refused(&|o| o.port = free_port()).await;
        assert_eq!((class, what.as_str()), (Class::Temporary, "the connection failed: connection refused"));
        let (class, what) = refused(&|o| o.authorities = Some(Authority::new().pem)).await;
        assert_eq!(class, Class::Failed);
        assert!(what.contains("no trusted connection"), "{what}");
        let elsewhere = Sql::with(&postgres, Login { address: "127.0.0.2", ..Login::new(Mode::Strict) }).await;
        for (host, is_named) in [("127.0.0.2", false), ("127.0.0.1", true)] {
            // A certificate of another name: only the address differs.
            let port = if is_named { sql.server.port } else { elsewhere.server.port };
            let options = Options { host: host.to_owned(), port, strict: !is_named, ..sql.options() };
            match SqlServer::new(options).describe("big").await {
                Ok(_) => assert!(is_named),
                Err(problem) => {
                    assert_eq!((problem.class, is_named), (Class::Failed, false), "{problem}");
                    assert!(problem.what.contains("not valid for name"), "{problem}");
                }
            }
        }
        let (class, _) = refused(&|o| o.authorities = Some("no certificate".to_owned())).await;
        assert_eq!(class, Class::Failed);
        let (class, _) = refused(&|o| o.database = "nowhere".to_owned()).await;
        assert_eq!(class, Class::Config);
        // A server that speaks the other dialect, or none that is encrypted.
        let (class, _) = refused(&|o| (o.strict, o.patience) = (true, Duration::from_secs(2))).await;
        assert!([Class::Failed, Class::Temporary].contains(&class));
        let (class, _) = refused(&|o| (o.plain, o.patience) = (true, Duration::from_secs(2))).await;
        assert!([Class::Failed, Class::Temporary].contains(&class));
    });
}

#[test]
fn logins_of_each_kind() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        for (mode, plain, strict) in [
            (Mode::Negotiated(Encryption::NotSupported), true, false),
            (Mode::Negotiated(Encryption::On), false, false),
            (Mode::Negotiated(Encryption::Required), false, false),
            (Mode::Strict, false, true),
        ] {
            let sql = Sql::with(&postgres, Login { token: Some("canary-token-77".into()), ..Login::new(mode) }).await;
            sql.run("CREATE TABLE t (a int NOT NULL); INSERT INTO t VALUES (7)").await;
            for login in [sql.options().login, sqlserver::Login::Token(Secret::new("canary-token-77"))] {
                let source = SqlServer::new(Options { plain, strict, login, ..sql.options() });
                assert_eq!(whole(&source, "t").await.unwrap().num_rows(), 1, "{mode:?}");
            }
            let login = sqlserver::Login::Token(Secret::new("canary-token-78"));
            let problem =
                SqlServer::new(Options { plain, strict, login, ..sql.options() }).describe("t").await.unwrap_err();
            assert_eq!((problem.class, format!("{problem:?}").contains("canary")), (Class::Failed, false));
        }
        // A server without TLS is not spoken to by who was not told to.
        let sql = Sql::with(&postgres, Login::new(Mode::Negotiated(Encryption::NotSupported))).await;
        assert!(sql.source().describe("t").await.is_err());
    });
}

#[test]
fn a_gateway_names_the_node() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let (gateway, node) = (Sql::new(&postgres).await, Sql::new(&postgres).await);
        node.run("CREATE TABLE t (a int NOT NULL); INSERT INTO t VALUES (7)").await;
        let options = Options { database: node.database.name.clone(), ..gateway.options() };
        gateway.server.shared.faults.push("", Fault::Routing(node.server.port));
        SqlServer::new(options.clone()).describe("t").await.unwrap();
        assert_eq!((gateway.server.statements().len(), node.server.logins().len()), (0, 1));
        // Not for ever.
        for _ in 0..9 {
            gateway.server.shared.faults.push("", Fault::Routing(gateway.server.port));
        }
        let problem = SqlServer::new(options).describe("t").await.unwrap_err();
        assert!(problem.class == Class::Temporary && problem.what.contains("from one place to another"), "{problem}");
    });
}

#[test]
fn hostile_names_are_names() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = Sql::new(&postgres).await;
        sql.run("CREATE TABLE victim (id int NOT NULL)").await;
        let names = crate::hostile("]");
        let quoted = |name: &str| format!("[{}]", name.replace(']', "]]"));
        // Of every third a table, and all of them columns.
        for (number, three) in names.chunks(3).enumerate() {
            let (name, table) = (&three[0], quoted(&three[0]));
            let columns: Vec<String> = three.iter().map(|name| format!("{} int NULL", quoted(name))).collect();
            let values = vec!["7"; three.len()].join(", ");
            sql.run(&format!("CREATE TABLE {table} ({}); INSERT INTO {table} VALUES ({values})", columns.join(", ")))
                .await;
            let source = sql.source();
            let batch = whole(&source, &format!("dbo.{name}")).await.unwrap();
            let read: Vec<String> = batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
            assert_eq!((batch.num_rows(), read.as_slice()), (1, three));
            if number % 10 == 0 {
                let (watermark, lag) = (Some(Watermark::Integer(7)), Lag::Steps(0));
                let window = Window::Since { cursor: name.clone(), watermark, lag };
                assert_eq!(crate::rows(&*open(&source, name, window).await.unwrap()).await.unwrap().num_rows(), 1);
            }
            // The collation takes some of the names for the same.
            let below = format!("\"{}\"", name.replace('"', "\"\""));
            sql.beneath(&format!(
                "DROP TABLE dbo.{below}; DELETE FROM tds.columns WHERE table_name <> 'victim'; \
                 DELETE FROM tds.objects WHERE name <> 'victim'"
            ))
            .await;
        }
        sql.run("INSERT INTO victim VALUES (1)").await;
        println!("{} hostile names, {} of them of tables: inert", names.len(), names.len().div_ceil(3));
    });
}
