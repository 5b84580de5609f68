//! A connection with the settings on which everything else relies, and what went wrong on it.

use super::decode::{datetime, datetime2};
use super::{Login, Options, statements};
use chrono::NaiveDateTime;
use futures::future::select_ok;
use futures::{FutureExt, TryStreamExt};
use rcm_core::{Class, Problem, Secret};
use std::time::Duration;
use tiberius::error::{Error, IoErrorKind};
use tiberius::{AuthMethod, Client, ColumnData, Config, EncryptionLevel, ToSql};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

/// How long a server may take to let somebody in, or to answer what is no table.
const KNOCK: Duration = Duration::from_secs(15);

/// How often a server may send us elsewhere.
const HOPS: usize = 3;

const AGAIN: &str = "run again: nothing of this load was kept";

/// A connection; it ends when it is dropped, whatever the server is sending.
pub(super) struct Session {
    pub(super) client: Client<Compat<TcpStream>>,
    /// For messages.
    pub(super) place: String,
    patience: Duration,
}

impl Session {
    pub(super) async fn open(options: &Options, place: &str) -> Result<Session, Problem> {
        let knock = KNOCK.min(options.patience);
        let connected = async {
            let (mut host, mut port) = (options.host.clone(), options.port);
            for _ in 0..HOPS {
                let line = connect(&host, port).await.map_err(|e| not_open(place, options, &e.into()))?;
                line.set_nodelay(true).map_err(|e| not_open(place, options, &e.into()))?;
                match Client::connect(config(options, &host, port), line.compat_write()).await {
                    // Azure SQL's gateway names the node; an instance behind it is the node's own affair.
                    Err(Error::Routing { host: to, port: at }) => {
                        (host, port) = (to.split('\\').next().unwrap_or_default().to_owned(), at);
                    }
                    Err(e) => return Err(not_open(place, options, &e)),
                    Ok(client) => return Ok(client),
                }
            }
            Err(Problem::new(Class::Temporary, place, "the server sends us from one place to another").hint(AGAIN))
        };
        let client = timeout(knock, connected).await.map_err(|_| silent(place, knock))??;
        let mut session = Session { client, place: place.to_owned(), patience: options.patience };
        session.run(statements::SETTINGS).await?;
        Ok(session)
    }

    /// Runs statements that give no rows.
    pub(super) async fn run(&mut self, sql: &str) -> Result<(), Problem> {
        let ran = async { self.client.simple_query(sql).await?.into_results().await };
        let ran = timeout(self.patience, ran).await.map_err(|_| silent(&self.place, self.patience))?;
        ran.map(drop).map_err(|e| problem(&self.place, self.patience, &e))
    }

    /// The rows of a statement, of which there are few.
    pub(super) async fn rows(&mut self, sql: &str, parameters: &[&dyn ToSql]) -> Result<Vec<Answer>, Problem> {
        let place = &self.place;
        let asked = async {
            let rows = match parameters {
                [] => self.client.simple_query(sql).await?,
                parameters => self.client.query(sql, parameters).await?,
            };
            let row = |row: tiberius::Row| Answer { cells: row.into_iter().collect(), place: place.clone() };
            rows.into_row_stream().map_ok(row).try_collect().await
        };
        let asked = timeout(self.patience, asked).await.map_err(|_| silent(place, self.patience))?;
        asked.map_err(|e| problem(place, self.patience, &e))
    }

    /// The only row of a statement.
    pub(super) async fn row(&mut self, sql: &str, parameters: &[&dyn ToSql]) -> Result<Answer, Problem> {
        let mut rows = self.rows(sql, parameters).await?;
        rows.pop().filter(|_| rows.is_empty()).ok_or_else(|| self.unreadable())
    }

    pub(super) fn unreadable(&self) -> Problem {
        unreadable(&self.place)
    }
}

/// What the catalog or the clock answers.
pub(super) struct Answer {
    cells: Vec<ColumnData<'static>>,
    place: String,
}

impl Answer {
    pub(super) fn number(&self, at: usize) -> Result<Option<i64>, Problem> {
        match self.cells.get(at) {
            Some(ColumnData::I64(n)) => Ok(*n),
            Some(ColumnData::I32(n)) => Ok(n.map(i64::from)),
            _ => Err(unreadable(&self.place)),
        }
    }

    /// Empty where it is null.
    pub(super) fn text(&self, at: usize) -> Result<String, Problem> {
        match self.cells.get(at) {
            Some(ColumnData::String(text)) => Ok(text.as_deref().unwrap_or_default().to_owned()),
            _ => Err(unreadable(&self.place)),
        }
    }

    pub(super) fn time(&self, at: usize) -> Result<Option<NaiveDateTime>, Problem> {
        let micros = match self.cells.get(at) {
            Some(ColumnData::DateTime2(None) | ColumnData::DateTime(None)) => return Ok(None),
            Some(ColumnData::DateTime2(Some(at))) => datetime2(at),
            Some(ColumnData::DateTime(Some(at))) => datetime(at),
            _ => None,
        };
        let at = micros.and_then(chrono::DateTime::from_timestamp_micros).ok_or_else(|| unreadable(&self.place))?;
        Ok(Some(at.naive_utc()))
    }

    pub(super) fn rowversion(&self, at: usize) -> Result<u64, Problem> {
        match self.cells.get(at) {
            Some(ColumnData::Binary(Some(bytes))) => super::decode::rowversion(bytes),
            _ => None,
        }
        .ok_or_else(|| unreadable(&self.place))
    }
}

fn config(options: &Options, host: &str, port: u16) -> Config {
    let mut config = Config::new();
    config.host(host);
    config.port(port);
    config.database(&options.database);
    config.application_name("rcm");
    config.readonly(options.readonly);
    config.authentication(match &options.login {
        Login::Sql { user, password } => AuthMethod::sql_server(user, password.expose()),
        Login::Token(token) => AuthMethod::aad_token(Secret::expose(token)),
    });
    config.encryption(match (options.plain, options.strict) {
        (true, _) => EncryptionLevel::NotSupported,
        (_, true) => EncryptionLevel::Strict,
        _ => EncryptionLevel::Required,
    });
    if let Some(authorities) = &options.authorities {
        config.trust_cert_ca_bundle(authorities.as_bytes().to_vec());
    }
    config.handshake_timeout(Some(KNOCK.min(options.patience)));
    config.command_timeout(Some(options.patience));
    // What is no UTF-16 is text that somebody stored all the same; it is counted.
    config.lossy_utf16_decoding(true);
    config
}

pub(super) fn unreadable(place: &str) -> Problem {
    Problem::new(Class::Temporary, place, "the server sent what cannot be read")
        .hint("run again; if it happens again, look for a proxy between rcm and the server")
}

pub(super) fn silent(place: &str, patience: Duration) -> Problem {
    Problem::new(Class::Temporary, place, format!("the server said nothing for {patience:?}")).hint(
        "run again; if it happens again, look whether a watermark has no index, the server is overloaded or a firewall \
         drops connections, or raise `patience` of the source",
    )
}

/// The first of a name's addresses that answers: a listener of several networks has one that does not.
async fn connect(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let addresses: Vec<_> =
        tokio::net::lookup_host((host, port)).await?.map(|at| TcpStream::connect(at).boxed()).collect();
    if addresses.is_empty() {
        return Err(std::io::ErrorKind::NotFound.into());
    }
    select_ok(addresses).await.map(|(line, _)| line)
}

/// What went wrong before anybody was let in.
fn not_open(place: &str, options: &Options, error: &Error) -> Problem {
    let of = |what: &str, hint: &str| Problem::new(Class::Failed, place, what).hint(hint);
    let trust = |message: &str| {
        // rustls says what is wrong with a certificate, and no more.
        let what = format!("no trusted connection: {}", message.split(". ").next().unwrap_or_default());
        of(&what, "name the authority of the server's certificate in `ca_file`")
    };
    match (error, &options.login) {
        (Error::Tls(message), _) | (Error::Io { kind: IoErrorKind::InvalidData, message }, _) => trust(message),
        (Error::Io { kind: IoErrorKind::NotFound, .. }, _) => of(
            "no address, or no authority that could be trusted, was found",
            "correct the `host`; name an authority in `ca_file`",
        ),
        (Error::Protocol(_), _) => of(
            "no connection as it is asked for: the server may not encrypt, or speak another version",
            "set `strict = true` for TDS 8.0, take it away for 7.4; `tls = false` only where nobody can read what passes",
        ),
        (Error::Server(error), Login::Token(_)) if error.code() == 18456 => of(
            "the server refuses the token",
            "get a new one: it must be valid until the run is over, and for this server",
        ),
        _ => problem(place, KNOCK.min(options.patience), error),
    }
}

/// What the server or the line says, in our words: its own may repeat a value.
pub(super) fn problem(place: &str, patience: Duration, error: &Error) -> Problem {
    let of = |class, what: &str, hint: &str| Problem::new(class, place, what).hint(hint);
    let code = match error {
        Error::Server(error) => error.code(),
        Error::Io { kind: IoErrorKind::TimedOut, .. } => return silent(place, patience),
        Error::Io { kind: IoErrorKind::InvalidData, .. } => return unreadable(place),
        Error::Io { kind, .. } => return of(Class::Temporary, &format!("the connection failed: {kind}"), AGAIN),
        _ => return unreadable(place),
    };
    match code {
        18456 | 18452 | 18486 | 18487 | 18488 => {
            of(Class::Failed, "the server refuses the login", "correct user and password of the source")
        }
        4060 => of(
            Class::Config,
            "the server has no such database, or not for this login",
            "correct the source's database; if it was right before, run again: it may be moving",
        ),
        208 | 4413 => of(
            Class::Config,
            "there is no such table, or a view reads what is gone",
            "correct tablename in load_config.csv, or the view",
        ),
        207 => of(Class::Drift, "a column is gone", AGAIN),
        229 | 230 | 262 | 297 | 300 | 916 => {
            of(Class::Failed, "the login may not read all of it", "grant SELECT to the login")
        }
        978 => {
            of(Class::Failed, "this copy answers only who says that it reads", "set `readonly = true` in the source")
        }
        40615 | 40914 => {
            of(Class::Failed, "a firewall of the server keeps us out", "allow this machine's address on the server")
        }
        3951 | 3952 | 3964 | 41332 => of(
            Class::Failed,
            "a database does not allow the snapshot",
            "run again; if it happens again, read a copy of the table",
        ),
        // Deadlocks, locks, snapshots that broke, memory; the server or its database going away, and what Azure says when it
        // has too much to do.
        1204
        | 1205
        | 1222
        | 3950..=3967
        | 596
        | 601
        | 615
        | 701
        | 802
        | 921
        | 922
        | 927
        | 976
        | 982
        | 983
        | 8628
        | 8645
        | 8651
        | 9515
        | 10928
        | 10929
        | 10936
        | 40143
        | 40166
        | 40197
        | 40501
        | 40540
        | 40613
        | 41301
        | 41305
        | 41325
        | 42108
        | 42109
        | 49918
        | 49919
        | 49920
        | 6005
        | 6006
        | 4221
        | 17142
        | 17197 => of(Class::Temporary, &format!("the server ended it (error {code})"), AGAIN),
        _ => of(
            Class::Failed,
            &format!("the server refuses it (error {code})"),
            "look the number up in `sys.messages` of the server",
        ),
    }
}
