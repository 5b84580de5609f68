//! `[sources.NAME]`.

use super::file::{DURATIONS, base, is_reference};
use super::{Delivery, Files, Source, choose, duration};
use rcm_connectors::postgres;
use rcm_core::Secret;
use serde::Deserialize;
use std::path::Path;

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
    ca_file: Option<String>,
    tls: Option<bool>,
    connections: Option<usize>,
    settle: Option<String>,
    patience: Option<String>,
    time_zone: Option<String>,
}

impl Raw {
    /// With all references filled in.
    pub(super) fn filled(&self, fill: &mut dyn FnMut(&str, &str) -> String) -> Raw {
        let mut all = |key: &str, value: &Option<String>| value.as_ref().map(|value| fill(key, value));
        Raw {
            kind: self.kind.clone(),
            path: all("path", &self.path),
            files: all("files", &self.files),
            host: all("host", &self.host),
            database: all("database", &self.database),
            user: all("user", &self.user),
            password: all("password", &self.password),
            ca_file: all("ca_file", &self.ca_file),
            settle: all("settle", &self.settle),
            patience: all("patience", &self.patience),
            time_zone: all("time_zone", &self.time_zone),
            ..*self
        }
    }

    /// All settings: of which kind, and whether it is given.
    fn settings(&self) -> [(&'static str, &'static str, bool); 14] {
        [
            ("csv", "path", self.path.is_some()),
            ("csv", "files", self.files.is_some()),
            ("csv", "delivery", self.delivery.is_some()),
            ("postgres", "host", self.host.is_some()),
            ("postgres", "port", self.port.is_some()),
            ("postgres", "database", self.database.is_some()),
            ("postgres", "user", self.user.is_some()),
            ("postgres", "password", self.password.is_some()),
            ("postgres", "ca_file", self.ca_file.is_some()),
            ("postgres", "tls", self.tls.is_some()),
            ("postgres", "connections", self.connections.is_some()),
            ("postgres", "settle", self.settle.is_some()),
            ("postgres", "patience", self.patience.is_some()),
            ("postgres", "time_zone", self.time_zone.is_some()),
        ]
    }

    /// The source, where nothing is wrong with it.
    pub(super) fn read(
        self,
        as_written: &Raw,
        root: &Path,
        wrong: &mut dyn FnMut(&str, String, &str),
    ) -> Option<Source> {
        let kinds = ["csv", "postgres"];
        let Some(kind) = kinds.into_iter().find(|kind| *kind == self.kind) else {
            wrong("kind", format!("source kind `{}` is not built in", self.kind), &choose(&self.kind, &kinds));
            return None;
        };
        let settings = self.settings();
        let own: Vec<&str> = settings.iter().filter(|(of, ..)| *of == kind).map(|(_, key, _)| *key).collect();
        for (_, key, _) in settings.iter().filter(|(of, _, is_given)| *of != kind && *is_given) {
            wrong(key, format!("is no setting of a `{kind}` source"), &choose(key, &own));
        }
        if kind == "csv" { self.files(as_written, root, wrong) } else { self.postgres(as_written, root, wrong) }
    }

    fn files(self, as_written: &Raw, root: &Path, wrong: &mut dyn FnMut(&str, String, &str)) -> Option<Source> {
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

    fn postgres(self, as_written: &Raw, root: &Path, wrong: &mut dyn FnMut(&str, String, &str)) -> Option<Source> {
        let mut needed = |key: &str, value: Option<String>| {
            value.filter(|value| !value.is_empty()).unwrap_or_else(|| {
                wrong(key, "is missing".to_owned(), "a database is told by host, database and user");
                String::new()
            })
        };
        let host = needed("host", self.host);
        let database = needed("database", self.database);
        let user = needed("user", self.user);
        let mut options = postgres::Options::new(host, database, user);
        if as_written.password.as_ref().is_some_and(|password| !is_reference(password)) {
            let hint = "write password = \"${env:NAME}\", and set NAME where rcm runs";
            wrong("password", "is a secret, which never stands in a file".to_owned(), hint);
        }
        options.password = self.password.map(Secret::new);
        options.port = self.port.unwrap_or(options.port);
        options.plain = self.tls == Some(false);
        options.connections = self.connections.unwrap_or(options.connections);
        if options.connections == 0 {
            wrong("connections", "is 0: nobody could read".to_owned(), "write 1 or more; 2 is the default");
        }
        options.time_zone = self.time_zone;
        for (key, text, into) in
            [("settle", self.settle, &mut options.settle), ("patience", self.patience, &mut options.patience)]
        {
            match text.map(|text| duration(&text).and_then(|time| time.to_std().ok())) {
                None => {}
                Some(Some(time)) if !time.is_zero() || key == "settle" => *into = time,
                Some(Some(_)) => wrong(key, "is 0: every read would fail".to_owned(), DURATIONS),
                Some(None) => wrong(key, "is no duration".to_owned(), DURATIONS),
            }
        }
        let authorities = self.ca_file.map(|file| {
            let root = base(root, as_written.ca_file.as_deref().unwrap_or_default());
            std::fs::read_to_string(root.join(file))
        });
        match authorities.transpose() {
            Ok(authorities) => options.authorities = authorities,
            Err(e) => wrong("ca_file", format!("cannot be read: {e}"), "name a file with certificates in PEM"),
        }
        Some(Source::Postgres(Box::new(options)))
    }
}

/// What a source's settings say of the data, and no place: part of the run id.
pub(super) fn said(source: &Source) -> String {
    match source {
        Source::Files(files) => format!("csv {} {:?}", files.files, files.delivery),
        Source::Postgres(options) => format!("postgres {:?}", options.time_zone),
    }
}
