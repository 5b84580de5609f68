//! Secrets that are kept elsewhere: asked for when they are needed, so that a new one counts without a restart.

use super::{Project, Source};
use rcm_connectors::keyvault::{Identity, Reference, Vaults};
use rcm_connectors::lake::{Access, Location};
use rcm_connectors::sqlserver::Login;
use rcm_core::{Class, Problem, Secret};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// What to do with a secret that is not told rightly.
pub(super) const ELSEWHERE: &str = "write ${kv:VAULT/NAME}, ${file:/PATH} or ${env:NAME}";

/// Who keeps a secret.
#[derive(Debug, Clone)]
pub(super) enum Keeper {
    /// A file that an orchestrator wrote.
    File(PathBuf),
    /// An Azure Key Vault.
    Vault(Vaults, Reference),
}

impl Keeper {
    async fn secret(&self) -> Result<Secret, Problem> {
        match self {
            Keeper::File(path) => of_file(path).map_err(|what| {
                Problem::new(Class::Failed, path.display().to_string(), what)
                    .hint("let the file hold the secret, and no more")
            }),
            Keeper::Vault(vaults, reference) => vaults.secret(reference).await,
        }
    }
}

/// Finds who keeps secrets.
pub(super) struct Keepers<'a> {
    environment: &'a BTreeMap<String, Secret>,
    vaults: OnceCell<Vaults>,
}

impl<'a> Keepers<'a> {
    pub(super) fn new(environment: &'a BTreeMap<String, Secret>) -> Keepers<'a> {
        Keepers { environment, vaults: OnceCell::new() }
    }

    /// Who keeps the secret that a value stands for; none where it is another kind of value.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn of(&self, value: &str) -> Result<Option<Keeper>, String> {
        let Some((kind, name)) = keeper(value) else { return Ok(None) };
        if kind == "file" {
            let path = whole_path(name)?;
            of_file(&path)?;
            return Ok(Some(Keeper::File(path)));
        }
        let reference = name.parse().map_err(|what| format!("`{value}` {what}"))?;
        let vaults = match self.vaults.get() {
            Some(vaults) => vaults,
            None => {
                let identity = Identity::of(self.environment).map_err(|problem| {
                    format!(
                        "nobody can ask a vault: {} {}: {}",
                        problem.place,
                        problem.what,
                        problem.hint.unwrap_or_default()
                    )
                })?;
                self.vaults.get_or_init(|| Vaults::new(identity))
            }
        };
        Ok(Some(Keeper::Vault(vaults.clone(), reference)))
    }
}

/// Kind and name of who keeps a secret, where a value is that and no more.
pub(super) fn keeper(value: &str) -> Option<(&str, &str)> {
    let reference = value.strip_prefix("${")?.strip_suffix('}').filter(|inner| !inner.contains('}'))?;
    reference.split_once(':').filter(|(kind, _)| ["file", "kv"].contains(kind))
}

/// A path that means the same wherever the program was started.
pub(super) fn whole_path(name: &str) -> Result<PathBuf, String> {
    let path = Path::new(name);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    Err("`${file:…}` names no whole path, such as /run/secrets/NAME".to_owned())
}

/// What a file holds, such as a secret that an orchestrator put there, without the end of its last line.
pub(super) fn of_file(path: &Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(path);
    let mut text = text.map_err(|e| format!("`${{file:{}}}` cannot be read: {}", path.display(), e.kind()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(Secret::new(text))
}

/// Where the lake lies, and who keeps its keys.
#[derive(Clone)]
pub struct Place {
    location: Location,
    later: Option<Box<Later>>,
}

/// What is put together when it is needed.
#[derive(Clone)]
struct Later {
    url: String,
    access: Access,
    options: Vec<(String, Keeper)>,
}

impl Place {
    /// A place some of whose options are kept elsewhere.
    pub(super) fn new(location: Location, url: String, access: Access, options: Vec<(String, Keeper)>) -> Place {
        let later = (!options.is_empty()).then(|| Box::new(Later { url, access, options }));
        Place { location, later }
    }

    /// The place with its keys as they are now.
    ///
    /// # Errors
    /// Who keeps a key is away, or refuses; the key has a wrong form.
    pub async fn now(&self) -> Result<Location, Problem> {
        let Some(later) = &self.later else { return Ok(self.location.clone()) };
        let mut access = later.access.clone();
        for (option, keeper) in &later.options {
            let secret = keeper.secret().await.map_err(|problem| at(&["lake", "storage_options", option], problem))?;
            access.options.push((option.clone(), secret));
        }
        Location::of(&later.url, &access).map_err(|problem| at(&["lake"], problem))
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Place {
        Place { location, later: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)
    }
}

impl Project {
    /// A source with its secrets as they are now.
    pub(crate) async fn source(&self, name: &str) -> Result<Source, Problem> {
        let source = self.sources.get(name).cloned();
        let mut source = source.ok_or_else(|| Problem::new(Class::Config, name, "is no source of this project"))?;
        for (key, keeper) in self.keepers.get(name).into_iter().flatten() {
            let secret = keeper.secret().await.map_err(|problem| at(&["sources", name, key], problem))?;
            source.set(key, secret);
        }
        Ok(source)
    }
}

fn at(keys: &[&str], problem: Problem) -> Problem {
    Problem { place: format!("{}: {}", keys.join("."), problem.place), ..problem }
}

impl Source {
    /// Puts a secret in its place.
    fn set(&mut self, key: &str, secret: Secret) {
        match (self, key) {
            (Source::Postgres(options), "password") => options.password = Some(secret),
            (Source::SqlServer(options), "token") => options.login = Login::Token(secret),
            (Source::SqlServer(options), _) => {
                if let Login::Sql { password, .. } = &mut options.login {
                    *password = secret;
                }
            }
            (Source::Npi(options, _), "key") => options.key = Some(secret),
            (Source::IcdApi(options, _), "client_secret") => {
                if let Some(client) = &mut options.client {
                    client.secret = secret;
                }
            }
            // What is no setting of a source was refused when it was read.
            _ => {}
        }
    }
}
