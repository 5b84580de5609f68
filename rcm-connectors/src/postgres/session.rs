//! A connection with the settings on which everything else relies, and what went wrong on it.

use super::Postgres;
use crate::tls::trusting;
use rcm_core::{Class, Problem};
use std::error::Error as _;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a server may take to let somebody in, or to answer what is no table.
const KNOCK: Duration = Duration::from_secs(15);

/// Text that the server makes of values is the same for everybody. Row-level security that would hide rows is an error, and
/// what the administrator's limits would end half-way is bounded by our own patience instead. A scan whose reader is gone ends.
const SETTINGS: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; \
    SET extra_float_digits = 1; SET bytea_output = 'hex'; SET row_security = off; SET statement_timeout = 0; \
    SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = 0; \
    SELECT set_config('client_connection_check_interval', '10s', false) \
    WHERE current_setting('client_connection_check_interval', true) IS NOT NULL";

/// A connection; it ends when it is dropped, whatever the server is sending.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    /// The task that carries its bytes.
    _carrier: JoinSet<()>,
    /// For messages.
    pub(super) place: String,
    /// How long an answer may take that is no table.
    patience: Duration,
}

impl Session {
    pub(super) async fn open(database: &Postgres, place: &str) -> Result<Session, Problem> {
        let options = &database.options;
        let mut config = Config::new();
        config.user(&options.user).dbname(&options.database).port(options.port).application_name("rcm");
        let is_socket = options.host.starts_with('/');
        if is_socket {
            config.host_path(&options.host);
        } else {
            config.host(&options.host);
        }
        if let Some(password) = &options.password {
            config.password(password.expose());
        }
        config
            .connect_timeout(KNOCK.min(options.patience))
            .keepalives_idle(Duration::from_secs(30))
            .tcp_user_timeout(options.patience);
        let mut carrier = JoinSet::new();
        let connected = async {
            if options.plain || is_socket {
                config.ssl_mode(SslMode::Disable);
                let (client, connection) = config.connect(NoTls).await.map_err(|e| problem(place, &e))?;
                carrier.spawn(async move { drop(connection.await) });
                return Ok(client);
            }
            config.ssl_mode(SslMode::Require);
            let tls = match database.tls.get() {
                Some(tls) => tls.clone(),
                None => {
                    let tls = trusting(options.authorities.as_deref())?;
                    database.tls.get_or_init(|| tls).clone()
                }
            };
            let tls = MakeRustlsConnect::new(tls);
            let (client, connection) = config.connect(tls).await.map_err(|e| problem(place, &e))?;
            carrier.spawn(async move { drop(connection.await) });
            Ok(client)
        };
        let patience = KNOCK.min(options.patience);
        let client = timeout(patience, connected).await.map_err(|_| silent(place, patience))??;
        let session = Session { client, _carrier: carrier, place: place.to_owned(), patience };
        session.run(SETTINGS).await?;
        Ok(session)
    }

    pub(super) async fn run(&self, sql: &str) -> Result<(), Problem> {
        let done = timeout(self.patience, self.client.batch_execute(sql)).await;
        done.map_err(|_| silent(&self.place, self.patience))?.map_err(|e| problem(&self.place, &e))
    }

    pub(super) async fn rows(
        &self,
        sql: &str,
        parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, Problem> {
        let rows = timeout(self.patience, self.client.query(sql, parameters)).await;
        rows.map_err(|_| silent(&self.place, self.patience))?.map_err(|e| problem(&self.place, &e))
    }
}

pub(super) fn silent(place: &str, patience: Duration) -> Problem {
    Problem::new(Class::Temporary, place, format!("the server said nothing for {patience:?}")).hint(
        "run again; if it happens again, look whether a watermark has no index, the server is overloaded or a firewall \
             drops connections, or raise `patience` of the source",
    )
}

/// What the server or the line says, in our words: its own may repeat a value.
pub(super) fn problem(place: &str, error: &tokio_postgres::Error) -> Problem {
    let of = |class, what: &str, hint: &str| {
        let problem = Problem::new(class, place, what);
        if hint.is_empty() { problem } else { problem.hint(hint) }
    };
    let again = "run again: nothing of this load was kept";
    let Some(code) = error.code().map(tokio_postgres::error::SqlState::code) else {
        let io = error.source().and_then(|e| e.downcast_ref::<std::io::Error>());
        return match io {
            // rustls says what is wrong with a certificate, and no more.
            Some(io) if io.kind() == std::io::ErrorKind::InvalidData => of(
                Class::Failed,
                &format!("no trusted connection: {io}"),
                "name the authority of the server's certificate in `ca_file`",
            ),
            Some(io) => of(Class::Temporary, &format!("the connection failed: {}", io.kind()), again),
            None if error.is_closed() => of(Class::Temporary, "the connection was closed", again),
            None => of(Class::Failed, &format!("cannot be reached: {}", plain(error)), ""),
        };
    };
    match (code, &code[..2.min(code.len())]) {
        ("28P01" | "28000", _) => {
            of(Class::Failed, "the server refuses the login", "correct user and password of the source")
        }
        ("3D000", _) => of(Class::Config, "the server has no such database", "correct the source's database"),
        ("42P01" | "3F000", _) => of(Class::Config, "there is no such table", "correct tablename in load_config.csv"),
        ("42703", _) => of(Class::Drift, "a column is gone", again),
        ("42501", _) => of(
            Class::Failed,
            "the user may not read all of it",
            "grant SELECT to the user; under row-level security, BYPASSRLS too, for rows that are hidden would count as gone",
        ),
        (_, "08" | "40" | "53" | "57") | ("55P03" | "25P03" | "58030", _) => {
            of(Class::Temporary, &format!("the server ended it (SQLSTATE {code})"), again)
        }
        _ => of(
            Class::Failed,
            &format!("the server refuses it (SQLSTATE {code})"),
            "look the code up in PostgreSQL's appendix A",
        ),
    }
}

/// The driver's word for what it could not do, without what it was given.
fn plain(error: &tokio_postgres::Error) -> String {
    let text = error.to_string();
    text.split(':').next().unwrap_or_default().to_owned()
}
