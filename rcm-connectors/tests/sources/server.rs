//! A PostgreSQL server of its own, over TLS on loopback, that ends with the last test that uses it.

use crate::components::{Authority, free_port, left_out};
use rcm_connectors::postgres::{Options, Postgres};
use rcm_core::Secret;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

pub(crate) const PASSWORD: &str = "canary-password-77";

pub(crate) struct Server {
    child: Mutex<Child>,
    pub(crate) port: u16,
    folder: tempfile::TempDir,
    pub(crate) authority: Authority,
    databases: AtomicUsize,
}

/// The programs of the newest version that Debian's package put there.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = glob("/usr/lib/postgresql").collect();
    versions.sort();
    versions.into_iter().map(|version| version.join("bin")).rfind(|bin| bin.join("initdb").is_file())
}

fn glob(folder: &str) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// A server does not run as root.
fn command(program: &Path) -> Command {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

impl Server {
    /// The one that runs; none, with the reason printed, where PostgreSQL is not installed. In CI it must be.
    pub(crate) fn shared() -> Option<Arc<Server>> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let Some(programs) = programs() else {
            left_out("PostgreSQL");
            return None;
        };
        let server = Arc::new(Server::start(&programs));
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// One of its own, for a test that stops it.
    pub(crate) fn own() -> Option<Server> {
        let programs = programs();
        if programs.is_none() {
            left_out("PostgreSQL");
        }
        programs.map(|programs| Server::start(&programs))
    }

    fn start(programs: &Path) -> Server {
        let (folder, authority, port) = (tempfile::tempdir().unwrap(), Authority::new(), free_port());
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("password"), PASSWORD).unwrap();
        for name in ["leaf.pem", "leaf.key"] {
            std::fs::copy(authority.path(name), at(name)).unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        if let Some(owner) = owner() {
            for path in [folder.path().to_owned(), at("password"), at("leaf.pem"), at("leaf.key")] {
                chown(path, Some(owner.0), Some(owner.1)).unwrap();
            }
        }
        let mut init = command(&programs.join("initdb"));
        init.arg("-D").arg(at("data")).args(["-U", "admin", "--auth-local=trust", "--auth-host=scram-sha-256"]);
        init.arg("--pwfile").arg(at("password")).args(["--no-sync", "--encoding=UTF8", "--locale=C"]);
        assert!(init.current_dir(folder.path()).output().unwrap().status.success(), "initdb");
        let child = Mutex::new(run(programs, folder.path(), port));
        let server = Server { child, port, folder, authority, databases: AtomicUsize::new(0) };
        server.listens();
        server
    }

    fn listens(&self) {
        let until = std::time::Instant::now() + Duration::from_secs(30);
        while crate::wait(self.try_admin("postgres")).is_none() {
            assert!(self.child.lock().unwrap().try_wait().unwrap().is_none(), "the server ended");
            assert!(std::time::Instant::now() < until, "the server does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it, and all sessions with it.
    pub(crate) fn stop(&self) {
        // Fast shutdown. Under setpriv the process is the server itself.
        let mut child = self.child.lock().unwrap();
        let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        let _ = child.wait();
    }

    /// Starts it anew, with what it held.
    pub(crate) fn restart(&self) {
        *self.child.lock().unwrap() = run(&programs().unwrap(), self.folder.path(), self.port);
        self.listens();
    }

    pub(crate) async fn try_admin(&self, database: &str) -> Option<Client> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path()).port(self.port).user("admin").dbname(database);
        let (client, connection) = config.connect(NoTls).await.ok()?;
        tokio::spawn(connection);
        Some(client)
    }

    pub(crate) async fn admin(&self, database: &str) -> Client {
        self.try_admin(database).await.unwrap()
    }

    /// A database of its own.
    pub(crate) async fn database(&self) -> (String, Client) {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::SeqCst));
        self.admin("postgres").await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let client = self.admin(&name).await;
        (name, client)
    }

    pub(crate) fn options(&self, database: &str) -> Options {
        Options {
            port: self.port,
            password: Some(Secret::new(PASSWORD)),
            authorities: Some(self.authority.pem.clone()),
            patience: Duration::from_secs(5),
            ..Options::new("127.0.0.1", database, "admin")
        }
    }

    pub(crate) fn source(&self, database: &str) -> Postgres {
        Postgres::new(self.options(database))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(programs: &Path, folder: &Path, port: u16) -> Child {
    let mut server = command(&programs.join("postgres"));
    server.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"]).arg(folder);
    for setting in ["fsync=off", "ssl=on", "max_connections=100", "timezone=America/Los_Angeles"] {
        server.args(["-c", setting]);
    }
    server.arg("-c").arg(format!("ssl_cert_file={}", folder.join("leaf.pem").display()));
    server.arg("-c").arg(format!("ssl_key_file={}", folder.join("leaf.key").display()));
    server.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// User and group under which a server runs, where that is not who runs the tests.
fn owner() -> Option<(u32, u32)> {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find(|line| line.starts_with("postgres:")).unwrap();
    let fields: Vec<&str> = user.split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}
