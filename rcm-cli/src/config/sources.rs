//! `[sources.NAME]`.

use super::file::{DURATIONS, base, is_reference};
use super::secrets::{ELSEWHERE, Keeper, Keepers, keeper};
use super::{Delivery, Files, Source, choose, duration};
use rcm_connectors::{icd, npi, postgres, sqlserver};
use rcm_core::{Problem, Secret};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a source of kind `icd` is where its `path` is given: order files of CMS, and not the API of the WHO.
const ICD_FILES: &str = "icd with path";

/// Settings that are secrets.
const SECRETS: [&str; 4] = ["password", "token", "key", "client_secret"];

/// Takes key, what is wrong with it, and what to do.
type Wrong<'a> = &'a mut dyn FnMut(&str, String, &str);

/// Settings of all kinds; which of them a kind has is told by [`Raw::read`], with the line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    kind: String,
    path: Option<String>,
    files: Option<String>,
    delivery: Option<Delivery>,
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
    ca_file: Option<String>,
    tls: Option<bool>,
    strict: Option<bool>,
    readonly: Option<bool>,
    offsets: Option<bool>,
    filtered: Option<bool>,
    url: Option<String>,
    key: Option<String>,
    token_url: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    per_second: Option<u32>,
    tables: Option<BTreeMap<String, String>>,
    copies: Option<String>,
    connections: Option<usize>,
    settle: Option<String>,
    patience: Option<String>,
    time_zone: Option<String>,
}

impl Raw {
    /// With all references filled in, but those to secrets that are asked for later.
    pub(super) fn filled(&self, fill: &mut dyn FnMut(&str, &str) -> String) -> Raw {
        let mut all = |key: &str, value: &Option<String>| {
            let is_later = |value: &str| SECRETS.contains(&key) && keeper(value).is_some();
            value.as_ref().map(|value| if is_later(value) { String::new() } else { fill(key, value) })
        };
        Raw {
            kind: self.kind.clone(),
            path: all("path", &self.path),
            files: all("files", &self.files),
            host: all("host", &self.host),
            database: all("database", &self.database),
            user: all("user", &self.user),
            password: all("password", &self.password),
            token: all("token", &self.token),
            url: all("url", &self.url),
            copies: all("copies", &self.copies),
            key: all("key", &self.key),
            token_url: all("token_url", &self.token_url),
            client_id: all("client_id", &self.client_id),
            client_secret: all("client_secret", &self.client_secret),
            ca_file: all("ca_file", &self.ca_file),
            settle: all("settle", &self.settle),
            patience: all("patience", &self.patience),
            time_zone: all("time_zone", &self.time_zone),
            tables: self.tables.as_ref().map(|tables| {
                tables.iter().map(|(name, value)| (name.clone(), fill(&format!("tables.{name}"), value))).collect()
            }),
            ..*self
        }
    }

    /// All settings: of which kinds, and whether it is given.
    fn settings(&self) -> [(&'static [&'static str], &'static str, bool); 27] {
        const DATABASES: &[&str] = &["postgres", "sqlserver"];
        const SERVICES: &[&str] = &["npi", "icd"];
        const CONNECTED: &[&str] = &["postgres", "sqlserver", "npi", "icd"];
        [
            (&["csv", ICD_FILES, "hcpcs"], "path", self.path.is_some()),
            (&["csv"], "files", self.files.is_some()),
            (&["csv"], "delivery", self.delivery.is_some()),
            (DATABASES, "host", self.host.is_some()),
            (DATABASES, "port", self.port.is_some()),
            (DATABASES, "database", self.database.is_some()),
            (DATABASES, "user", self.user.is_some()),
            (DATABASES, "password", self.password.is_some()),
            (&["sqlserver"], "token", self.token.is_some()),
            (CONNECTED, "ca_file", self.ca_file.is_some()),
            (CONNECTED, "tls", self.tls.is_some()),
            (&["sqlserver"], "strict", self.strict.is_some()),
            (&["sqlserver"], "readonly", self.readonly.is_some()),
            (&["sqlserver"], "offsets", self.offsets.is_some()),
            (&["sqlserver"], "filtered", self.filtered.is_some()),
            (SERVICES, "url", self.url.is_some()),
            (SERVICES, "copies", self.copies.is_some()),
            (&["npi"], "key", self.key.is_some()),
            (&["npi"], "tables", self.tables.is_some()),
            (&["icd"], "token_url", self.token_url.is_some()),
            (&["icd"], "client_id", self.client_id.is_some()),
            (&["icd"], "client_secret", self.client_secret.is_some()),
            (SERVICES, "per_second", self.per_second.is_some()),
            (DATABASES, "connections", self.connections.is_some()),
            (DATABASES, "settle", self.settle.is_some()),
            (CONNECTED, "patience", self.patience.is_some()),
            (DATABASES, "time_zone", self.time_zone.is_some()),
        ]
    }

    /// Which secrets are kept elsewhere; one that stands in the file itself is wrong.
    pub(super) fn keepers(&self, keepers: &Keepers<'_>, wrong: Wrong<'_>) -> Vec<(&'static str, Keeper)> {
        let mut found = Vec::new();
        let values = [&self.password, &self.token, &self.key, &self.client_secret];
        for (key, value) in SECRETS.into_iter().zip(values) {
            let Some(value) = value else { continue };
            if !is_reference(value) {
                let hint = format!("write {key} = \"${{env:NAME}}\", and set NAME where rcm runs");
                wrong(key, "is a secret, which never stands in a file".to_owned(), &hint);
            }
            match keepers.of(value) {
                Ok(keeper) => found.extend(keeper.map(|keeper| (key, keeper))),
                Err(what) => wrong(key, what, ELSEWHERE),
            }
        }
        found
    }

    /// The source, where nothing is wrong with it.
    pub(super) fn read(self, as_written: &Raw, root: &Path, wrong: Wrong<'_>) -> Option<Source> {
        let kinds = ["csv", "postgres", "sqlserver", "npi", "icd", "hcpcs"];
        let Some(kind) = kinds.into_iter().find(|kind| *kind == self.kind) else {
            wrong("kind", format!("source kind `{}` is not built in", self.kind), &choose(&self.kind, &kinds));
            return None;
        };
        let kind = if kind == "icd" && self.path.is_some() { ICD_FILES } else { kind };
        let settings = self.settings();
        let own: Vec<&str> = settings.iter().filter(|(of, ..)| of.contains(&kind)).map(|(_, key, _)| *key).collect();
        for (_, key, _) in settings.iter().filter(|(of, _, is_given)| !of.contains(&kind) && *is_given) {
            wrong(key, format!("is no setting of a `{kind}` source"), &choose(key, &own));
        }
        if kind == "csv" {
            return self.files(as_written, root, wrong);
        }
        if kind == ICD_FILES || kind == "hcpcs" {
            let Some(path) = self.path else {
                wrong("path", "is missing".to_owned(), "name the file of CMS, such as HCPC2026_JAN_ANWEB.txt");
                return None;
            };
            let path = base(root, as_written.path.as_deref().unwrap_or_default()).join(path);
            return Some(if kind == "hcpcs" { Source::Hcpcs(path) } else { Source::IcdFiles(path) });
        }
        let shared = self.shared(as_written, root, wrong);
        let copies =
            self.copies.as_ref().map(|path| base(root, as_written.copies.as_deref().unwrap_or_default()).join(path));
        Some(match kind {
            "postgres" => self.postgres(shared, wrong),
            "sqlserver" => self.sqlserver(shared, wrong),
            "npi" => self.npi(shared, copies, wrong),
            _ => self.icd(shared, copies, wrong),
        })
    }

    fn files(self, as_written: &Raw, root: &Path, wrong: Wrong<'_>) -> Option<Source> {
        let Some(path) = self.path else {
            wrong("path", "is missing".to_owned(), "name the folder of the files");
            return None;
        };
        let files = self.files.unwrap_or_else(|| "{table}.csv".to_owned());
        if files.contains("..") || Path::new(&files).is_absolute() {
            wrong("files", "leads out of the source's path".to_owned(), "name files below the source's path");
        }
        let path = base(root, as_written.path.as_deref().unwrap_or_default()).join(path);
        Some(Source::Files(Files { path, files, delivery: self.delivery.unwrap_or(Delivery::File) }))
    }

    /// What all have that are connected to.
    fn shared(&self, as_written: &Raw, root: &Path, wrong: Wrong<'_>) -> Shared {
        if self.connections == Some(0) {
            wrong("connections", "is 0: nobody could read".to_owned(), "write 1 or more; 2 is the default");
        }
        let mut time = |key: &str, text: &Option<String>| {
            match text.as_ref().map(|text| duration(text).and_then(|time| time.to_std().ok()))? {
                Some(time) if !time.is_zero() || key == "settle" => return Some(time),
                Some(_) => wrong(key, "is 0: every read would fail".to_owned(), DURATIONS),
                None => wrong(key, "is no duration".to_owned(), DURATIONS),
            }
            None
        };
        let (settle, patience) = (time("settle", &self.settle), time("patience", &self.patience));
        let authorities = self.ca_file.as_ref().and_then(|file| {
            let root = base(root, as_written.ca_file.as_deref().unwrap_or_default());
            let read = std::fs::read_to_string(root.join(file));
            read.map_err(|e| wrong("ca_file", format!("cannot be read: {e}"), "name a file with certificates in PEM"))
                .ok()
        });
        Shared { settle, patience, authorities }
    }

    fn postgres(self, shared: Shared, wrong: Wrong<'_>) -> Source {
        let [host, database, user] = [("host", &self.host), ("database", &self.database), ("user", &self.user)]
            .map(|(key, value)| needed(key, value, wrong));
        let default = postgres::Options::new(host, database, user);
        Source::Postgres(Box::new(postgres::Options {
            password: self.password.map(Secret::new),
            port: self.port.unwrap_or(default.port),
            plain: self.tls == Some(false),
            connections: self.connections.unwrap_or(default.connections),
            time_zone: self.time_zone,
            settle: shared.settle.unwrap_or(default.settle),
            patience: shared.patience.unwrap_or(default.patience),
            authorities: shared.authorities,
            ..default
        }))
    }

    fn sqlserver(self, shared: Shared, wrong: Wrong<'_>) -> Source {
        let hint = "a login is told by user and password, or by an access token";
        let login = match (self.user.filter(|user| !user.is_empty()), self.password, self.token) {
            (None, None, Some(token)) => sqlserver::Login::Token(Secret::new(token)),
            (Some(user), Some(password), None) => sqlserver::Login::Sql { user, password: Secret::new(password) },
            (user, password, token) => {
                let (key, what) = match (user, password, token) {
                    (_, _, Some(_)) => ("token", "stands beside a user or a password"),
                    (None, ..) => ("user", "is missing"),
                    _ => ("password", "is missing"),
                };
                wrong(key, what.to_owned(), hint);
                sqlserver::Login::Token(Secret::new(""))
            }
        };
        if self.tls == Some(false) && self.strict == Some(true) {
            wrong("strict", "is TLS, which `tls = false` switches off".to_owned(), "take one of the two away");
        }
        let [host, database] =
            [("host", &self.host), ("database", &self.database)].map(|(key, value)| needed(key, value, wrong));
        let default = sqlserver::Options::new(host, database, login);
        Source::SqlServer(Box::new(sqlserver::Options {
            port: self.port.unwrap_or(default.port),
            plain: self.tls == Some(false),
            strict: self.strict.unwrap_or(default.strict),
            readonly: self.readonly.unwrap_or(default.readonly),
            offsets: self.offsets.unwrap_or(default.offsets),
            filtered: self.filtered.unwrap_or(default.filtered),
            connections: self.connections.unwrap_or(default.connections),
            time_zone: self.time_zone,
            settle: shared.settle.unwrap_or(default.settle),
            patience: shared.patience.unwrap_or(default.patience),
            authorities: shared.authorities,
            ..default
        }))
    }
}

impl Raw {
    fn npi(self, shared: Shared, copies: Option<PathBuf>, wrong: Wrong<'_>) -> Source {
        let default = npi::Options::default();
        let options = npi::Options {
            url: self.url.unwrap_or(default.url),
            key: self.key.map(Secret::new),
            authorities: shared.authorities,
            per_second: pace(self.per_second, wrong).or(default.per_second),
            patience: shared.patience.unwrap_or(default.patience),
            plain: self.tls == Some(false),
            tables: self.tables.unwrap_or_default(),
            ..default
        };
        refused(npi::Registry::new(options.clone(), chrono::DateTime::UNIX_EPOCH).err(), wrong);
        Source::Npi(Box::new(options), copies)
    }

    fn icd(self, shared: Shared, copies: Option<PathBuf>, wrong: Wrong<'_>) -> Source {
        let default = icd::Options::default();
        let client = match (self.client_id, self.client_secret) {
            (Some(id), Some(secret)) => Some(icd::Client { id, secret: Secret::new(secret) }),
            (None, None) => None,
            (id, _) => {
                let key = if id.is_some() { "client_secret" } else { "client_id" };
                wrong(key, "is missing".to_owned(), "a client has both; a local deployment asks for none");
                None
            }
        };
        let options = icd::Options {
            url: self.url.unwrap_or(default.url),
            token_url: self.token_url.unwrap_or(default.token_url),
            client,
            authorities: shared.authorities,
            per_second: pace(self.per_second, wrong).or(default.per_second),
            patience: shared.patience.unwrap_or(default.patience),
            plain: self.tls == Some(false),
        };
        refused(icd::Who::new(options.clone()).err(), wrong);
        Source::IcdApi(Box::new(options), copies)
    }
}

/// What the connector itself says of its settings.
fn refused(problem: Option<Problem>, wrong: Wrong<'_>) {
    if let Some(problem) = problem {
        wrong(&problem.place, problem.what, problem.hint.as_deref().unwrap_or_default());
    }
}

fn pace(per_second: Option<u32>, wrong: Wrong<'_>) -> Option<u32> {
    if per_second == Some(0) {
        wrong("per_second", "is 0: nothing could be asked".to_owned(), "write 1 or more; 5 is the default");
    }
    per_second
}

/// What all have that are connected to.
struct Shared {
    settle: Option<Duration>,
    patience: Option<Duration>,
    authorities: Option<String>,
}

fn needed(key: &str, value: &Option<String>, wrong: Wrong<'_>) -> String {
    value.clone().filter(|value| !value.is_empty()).unwrap_or_else(|| {
        wrong(key, "is missing".to_owned(), "a database is told by host, database and user");
        String::new()
    })
}

/// What a source's settings say of the data, and no place: part of the run id.
pub(super) fn said(source: &Source) -> String {
    match source {
        Source::Files(files) => format!("csv {} {:?}", files.files, files.delivery),
        Source::Postgres(options) => format!("postgres {:?}", options.time_zone),
        Source::Npi(options, _) => format!("npi {:?}", options.tables),
        Source::Hcpcs(_) => "hcpcs".to_owned(),
        Source::IcdFiles(_) => "icd files".to_owned(),
        Source::IcdApi(..) => "icd".to_owned(),
        Source::SqlServer(options) => format!("sqlserver {:?} {}", options.time_zone, options.offsets),
    }
}
