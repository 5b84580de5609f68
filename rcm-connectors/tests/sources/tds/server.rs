//! The server: its PostgreSQL, its listener, and who may log in.

use super::catalog::Catalog;
use super::engine::{Step, parse, plan, told};
use super::fault::{Fault, Faults, message};
use super::login::Login7;
use super::packet::{self, PRELOGIN, single};
use super::prelogin::{Encryption, Prelogin, agreed};
use super::session::{login7, run};
use super::storage::START;
use super::tls::{Identity, accept, accept_strict, below};
use super::token::Message;
use super::wire::invalid;
use crate::server::Server as Postgres;
use std::io::Result;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_postgres::Client;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// TDS 7.4, with what PRELOGIN says of encryption.
    Negotiated(Encryption),
    /// TDS 8.0
    Strict,
}

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub mode: Mode,
    pub user: String,
    pub password: String,
    /// The bearer token that gets in.
    pub token: Option<String>,
    /// Where it listens; 0: any port.
    pub port: u16,
    pub address: &'static str,
    /// Whether the login has VIEW SERVER STATE.
    pub sees: bool,
}

impl Options {
    pub(crate) fn new(mode: Mode) -> Options {
        Options {
            mode,
            user: "sa".into(),
            password: "canary-Pässword-77".into(),
            token: None,
            port: 0,
            address: "127.0.0.1",
            sees: true,
        }
    }
}

pub(crate) struct Shared {
    pub options: Options,
    pub identity: Identity,
    pub faults: Faults,
    postgres: Arc<Postgres>,
    statements: Mutex<Vec<String>>,
    logins: Mutex<Vec<Login7>>,
}

impl Shared {
    pub(crate) fn log(&self, statement: &str) {
        self.statements.lock().unwrap().push(statement.to_owned());
    }

    /// A session's own connection to PostgreSQL, or what is said to who does not get in.
    pub(crate) async fn admit(&self, login: &Login7) -> std::result::Result<Client, Refused> {
        self.logins.lock().unwrap().push(login.clone());
        let failed = Message { text: format!("Login failed for user '{}'.", login.user), ..message(18456) };
        match self.faults.login() {
            Some(Fault::Login(number)) => return Err(Refused::Told(vec![message(number)])),
            Some(Fault::Routing(port)) => return Err(Refused::Sent(port)),
            _ => {}
        }
        let may = match &login.token {
            Some(token) => self.options.token.as_ref() == Some(token),
            None => login.user == self.options.user && login.password == self.options.password,
        };
        if !may {
            return Err(Refused::Told(vec![failed]));
        }
        let missing = Message {
            text: format!("Cannot open database \"{}\" requested by the login.", login.database),
            ..message(4060)
        };
        self.postgres.try_admin(&login.database).await.ok_or(Refused::Told(vec![missing, failed]))
    }
}

/// Why nobody gets in.
pub(crate) enum Refused {
    Told(Vec<Message>),
    /// To another port.
    Sent(u16),
}

/// The server, until it is dropped.
pub(crate) struct Server {
    pub port: u16,
    pub shared: Arc<Shared>,
    accepts: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

impl Server {
    pub(crate) async fn start(postgres: Arc<Postgres>, options: Options) -> Server {
        let listener = TcpListener::bind((options.address, options.port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (statements, logins) = (Mutex::default(), Mutex::default());
        let shared = Shared {
            options,
            identity: Identity::new(&postgres.authority),
            faults: Faults::default(),
            postgres,
            statements,
            logins,
        };
        let shared = Arc::new(shared);
        let sessions = shared.clone();
        let accepts = tokio::spawn(async move {
            // They end with it.
            let mut running = JoinSet::new();
            while let Ok((line, _)) = listener.accept().await {
                let _ = line.set_nodelay(true);
                running.spawn(serve(sessions.clone(), line));
            }
        });
        Server { port, shared, accepts }
    }

    /// The batches that arrived.
    pub(crate) fn statements(&self) -> Vec<String> {
        self.shared.statements.lock().unwrap().clone()
    }

    /// The logins that arrived.
    pub(crate) fn logins(&self) -> Vec<Login7> {
        self.shared.logins.lock().unwrap().clone()
    }
}

async fn serve(shared: Arc<Shared>, mut line: TcpStream) -> Result<()> {
    let encryption = match shared.options.mode {
        Mode::Strict => {
            let mut line = accept_strict(&shared.identity, line).await?;
            let Some((_, nonce)) = prelogin(&mut line, None, &shared).await? else { return Ok(()) };
            return match login7(&mut line).await? {
                Some(login) => run(shared, line, login, nonce).await,
                None => Ok(()),
            };
        }
        Mode::Negotiated(encryption) => encryption,
    };
    let Some((agreed, nonce)) = prelogin(&mut line, Some(encryption), &shared).await? else { return Ok(()) };
    if agreed == Encryption::NotSupported {
        return match login7(&mut line).await? {
            Some(login) => run(shared, line, login, nonce).await,
            None => Ok(()),
        };
    }
    let mut line = accept(&shared.identity, line).await?;
    let Some(login) = login7(&mut line).await? else { return Ok(()) };
    match agreed {
        // The login only.
        Encryption::Off => run(shared, below(line), login, nonce).await,
        _ => run(shared, line, login, nonce).await,
    }
}

/// What was agreed upon, and the nonce for a federated login; none where the client is gone.
async fn prelogin<S: AsyncRead + AsyncWrite + Unpin>(
    line: &mut S,
    wants: Option<Encryption>,
    shared: &Shared,
) -> Result<Option<(Encryption, Option<[u8; 32]>)>> {
    let Some(message) = packet::read(line).await? else { return Ok(None) };
    if message.kind != PRELOGIN {
        return Err(invalid("no PRELOGIN"));
    }
    let client = Prelogin::decode(&message.body)?;
    let agreed = match wants {
        Some(wants) => agreed(wants, client.encryption.unwrap_or(Encryption::NotSupported)),
        None => Some(Encryption::On),
    };
    let Some(agreed) = agreed else { return Err(invalid("the client does not encrypt")) };
    let federated = client.fed_auth_required == Some(true) && shared.options.token.is_some();
    let answer = Prelogin {
        version: [16, 0, 0x03, 0xE8, 0, 0],
        encryption: Some(agreed),
        fed_auth_required: federated.then_some(true),
        ..Prelogin::default()
    };
    line.write_all(&single(packet::TABULAR_RESULT, &answer.encode())).await?;
    line.flush().await?;
    Ok(Some((agreed, client.nonce.filter(|_| federated))))
}

/// A new database of the engine's, and a way to write into it.
pub(crate) async fn database(postgres: &Postgres) -> Database {
    let (name, client) = postgres.database().await;
    client.batch_execute(START).await.unwrap();
    Database { client, name }
}

/// Another connection to a database, for a writer of its own.
pub(crate) async fn writer(postgres: &Postgres, name: &str) -> Database {
    Database { client: postgres.admin(name).await, name: name.to_owned() }
}

/// A database as tests write into it: in T-SQL, without a client of TDS.
#[derive(Debug)]
pub(crate) struct Database {
    pub client: Client,
    pub name: String,
}

impl Database {
    pub(crate) async fn execute(&self, batch: &str) -> std::result::Result<(), Message> {
        for parsed in parse(batch)? {
            let catalog = Catalog::load(&self.client, &self.name).await.map_err(|error| told(&error))?;
            let sql = match plan(&parsed, &catalog, &[])? {
                Step::Rows { sql, .. } | Step::Count { sql, .. } | Step::Run(sql) => sql,
                Step::Begin => "BEGIN".into(),
                Step::Commit => "COMMIT".into(),
                Step::Rollback => "ROLLBACK".into(),
                Step::Isolation(_) | Step::Nothing => continue,
            };
            self.client.batch_execute(&sql).await.map_err(|error| told(&error))?;
        }
        Ok(())
    }
}
