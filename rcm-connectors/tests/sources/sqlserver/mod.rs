//! The connector for SQL Server, against the tests' own server: it speaks the real protocol and runs the T-SQL that arrives, and is
//! none all the same.

mod clients;
mod contract;
mod faults;
mod kinds;
mod protocol;
mod shapes;
mod speed;
mod types;
mod windows;

use crate::server::Server as Postgres;
use crate::tds::prelogin::Encryption;
use crate::tds::server::{self, Database, Mode, Server};
use rcm_connectors::sqlserver::{Login, Options, SqlServer};
use rcm_core::Secret;
use std::sync::Arc;
use std::time::Duration;

/// A database behind a server of its own.
struct Sql {
    server: Server,
    database: Database,
    postgres: Arc<Postgres>,
}

impl Sql {
    async fn new(postgres: &Arc<Postgres>) -> Sql {
        Sql::with(postgres, server::Options::new(Mode::Negotiated(Encryption::Required))).await
    }

    async fn with(postgres: &Arc<Postgres>, options: server::Options) -> Sql {
        let database = server::database(postgres).await;
        let server = Server::start(postgres.clone(), options).await;
        Sql { server, database, postgres: postgres.clone() }
    }

    /// Runs T-SQL.
    async fn run(&self, batch: &str) {
        self.database.execute(batch).await.unwrap_or_else(|error| panic!("{batch}: {error:?}"));
    }

    /// Runs what is underneath: for what would take too long, or what the server does not know.
    async fn beneath(&self, sql: &str) {
        self.database.client.batch_execute(sql).await.unwrap();
    }

    async fn writer(&self) -> Database {
        server::writer(&self.postgres, &self.database.name).await
    }

    fn options(&self) -> Options {
        let login = &self.server.shared.options;
        let login = Login::Sql { user: login.user.clone(), password: Secret::new(login.password.clone()) };
        Options {
            port: self.server.port,
            authorities: Some(self.postgres.authority.pem.clone()),
            patience: Duration::from_secs(5),
            ..Options::new("127.0.0.1", &self.database.name, login)
        }
    }

    fn source(&self) -> SqlServer {
        SqlServer::new(self.options())
    }
}
