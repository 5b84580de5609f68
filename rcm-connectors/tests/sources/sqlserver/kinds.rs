//! What a table is decides how it is read, and whether.

use super::Sql;
use super::windows::{events, since};
use crate::server::Server;
use crate::{open, rows, wait};
use rcm_connectors::sqlserver::{Options, SqlServer};
use rcm_core::{Class, Source, Window};

/// What is not read as it stands is not read in silence.
#[test]
fn what_would_be_hidden_or_masked_is_refused() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = Sql::new(&postgres).await;
        events(&sql, "datetime2(3)").await;
        sql.run("INSERT INTO events VALUES (1, '2026-01-01')").await;
        let refused = async |source: SqlServer| source.describe("events").await.unwrap_err();
        // A policy of row-level security.
        sql.beneath("INSERT INTO tds.policies SELECT object_id FROM tds.objects WHERE name = 'events'").await;
        let problem = refused(sql.source()).await;
        assert!(problem.class == Class::Failed && problem.what.contains("row-level security"), "{problem}");
        assert!(SqlServer::new(Options { filtered: true, ..sql.options() }).describe("events").await.is_ok());
        sql.beneath("DELETE FROM tds.policies; UPDATE tds.columns SET is_masked = 1 WHERE name = 'changed'").await;
        let problem = refused(sql.source()).await;
        assert!(problem.class == Class::Failed && problem.what.contains("masked"), "{problem}");
        sql.beneath("UPDATE tds.settings SET unmask = 1").await;
        assert!(sql.source().describe("events").await.is_ok());
        sql.beneath("UPDATE tds.columns SET encryption_type = 2 WHERE name = 'changed'").await;
        let problem = refused(sql.source()).await;
        assert!(problem.what.contains("column `changed` is encrypted"), "{problem}");
    });
}

#[test]
fn views_external_tables_and_tables_in_memory() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = Sql::new(&postgres).await;
        events(&sql, "datetime2(3)").await;
        sql.run("INSERT INTO events VALUES (1, '2026-01-01'), (2, NULL)").await;
        for (setting, is_snapshot, in_snapshot) in [
            ("type = 'U'", true, true),
            ("type = 'V'", false, false),
            ("type = 'U', is_external = 1", false, false),
            ("is_external = 0, is_memory_optimized = 1", true, false),
        ] {
            sql.beneath(&format!("UPDATE tds.objects SET {setting} WHERE name = 'events'")).await;
            let source = sql.source();
            let before = sql.server.statements().len();
            let reading = open(&source, "events", Window::Whole).await.unwrap();
            let read = rows(&*reading).await.unwrap();
            assert_eq!((reading.is_snapshot(), read.num_rows()), (is_snapshot, 2), "{setting}");
            let asked = sql.server.statements()[before..].iter().any(|text| text.contains("ISOLATION LEVEL SNAPSHOT"));
            assert_eq!(asked, in_snapshot, "{setting}");
            // What the catalog says of a view may be old.
            let is_nullable = reading.schema().field_with_name("id").unwrap().is_nullable();
            assert_eq!(is_nullable, setting.contains('V') || setting.contains("is_external = 1"), "{setting}");
        }
    });
}

#[test]
fn a_copy_does_not_know_which_rowversions_are_committed() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = Sql::new(&postgres).await;
        sql.run("CREATE TABLE events (id bigint NOT NULL PRIMARY KEY, changed rowversion)").await;
        sql.beneath("UPDATE tds.settings SET updateability = 'READ_ONLY'").await;
        let source = SqlServer::new(Options { readonly: true, ..sql.options() });
        let problem = open(&source, "events", since(None)).await.err().unwrap();
        assert!(problem.class == Class::Config && problem.hint.unwrap().contains("not a copy"), "{}", problem.what);
        assert!(open(&source, "events", Window::Whole).await.is_ok());
    });
}
