//! Where a lake lies: in a local folder, or below a prefix of an object store.

#[cfg(any(feature = "azure", feature = "s3"))]
mod careful;
#[cfg(any(feature = "azure", feature = "s3"))]
mod client;

use object_store::ObjectStore;
use rcm_core::{Class, Problem, Secret};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Where a lake lies.
#[derive(Clone)]
pub enum Location {
    /// A folder of this machine. What is acknowledged survives a power cut; one run at a time by a lock of the OS.
    Folder(PathBuf),
    /// Any store that can put a file only if there is none of its name (`PutMode::Create`). One run at a time by beats.
    Store {
        /// What people call it.
        name: String,
        /// Rooted at the lake.
        store: Arc<dyn ObjectStore>,
    },
}

/// A store's own words may hold its keys.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Folder(folder) => folder.display().fmt(f),
            Location::Store { name, .. } => name.fmt(f),
        }
    }
}

impl From<&Path> for Location {
    fn from(folder: &Path) -> Self {
        Location::Folder(folder.to_owned())
    }
}

impl From<&Location> for Location {
    fn from(location: &Location) -> Self {
        location.clone()
    }
}

/// How a cloud store is reached. A value may be a key, so none is shown.
#[derive(Debug, Clone)]
pub struct Access {
    /// Options as object_store, delta-rs and Polars name them (`account_key`, `sas_token`, `region`, `endpoint`, …); a later
    /// one of the same name counts.
    pub options: Vec<(String, Secret)>,
    /// The environment: where no option is given, its usual variables count (`AZURE_…`, `AWS_…`).
    pub environment: BTreeMap<String, Secret>,
    /// Certificates in PEM of authorities that are trusted beside the system's.
    pub authorities: Option<String>,
    /// How long a request is tried again before it counts as failed: 429, 5xx, time-outs, broken connections. One try takes
    /// at most a fifth of it, the bytes of its file included.
    pub budget: Duration,
}

impl Default for Access {
    fn default() -> Self {
        Access {
            options: Vec::new(),
            environment: BTreeMap::new(),
            authorities: None,
            budget: Duration::from_secs(180),
        }
    }
}

/// The secrets among the options.
const SECRETS: [&str; 14] = [
    "account_key",
    "access_key",
    "master_key",
    "storage_account_key",
    "storage_access_key",
    "storage_master_key",
    "client_secret",
    "sas_key",
    "sas_token",
    "token",
    "secret_access_key",
    "session_token",
    "sse_customer_key_base64",
    "fabric_session_token",
];

fn is_secret(option: &str) -> bool {
    let option = option.to_lowercase();
    let bare = ["azure_storage_", "azure_", "aws_", "bearer_"].iter().find_map(|prefix| option.strip_prefix(prefix));
    SECRETS.contains(&option.as_str()) || bare.is_some_and(|bare| SECRETS.contains(&bare))
}

/// Whether what an option says must neither be told nor stand in a file: a secret by its name, or a URL that holds a password
/// or a signature.
///
/// ```
/// use rcm_connectors::lake::holds_secret;
///
/// assert!(holds_secret("account_key", "x") && holds_secret("azure_storage_sas_token", "x") && holds_secret("AWS_SECRET_ACCESS_KEY", "x"));
/// assert!(holds_secret("proxy_url", "http://user:word@proxy") && holds_secret("endpoint", "https://host/?sig=x"));
/// assert!(!holds_secret("endpoint", "https://host/") && !holds_secret("aws_access_key_id", "x"));
/// ```
pub fn holds_secret(option: &str, value: &str) -> bool {
    let has_more = |url: Url| url.query().is_some() || url.password().is_some() || !url.username().is_empty();
    is_secret(option) || value.contains("://") && Url::parse(value).is_ok_and(has_more)
}

impl Location {
    /// A lake by its URL: a path or `file://`, `abfss://container@account.dfs.core.windows.net/prefix` (feature `azure`),
    /// `s3://bucket/prefix` (feature `s3`). Nothing is reached yet.
    ///
    /// ```
    /// use rcm_connectors::lake::{Access, Location};
    ///
    /// let lake = Location::of("file:///srv/lake", &Access::default())?;
    /// assert!(matches!(lake, Location::Folder(folder) if folder == std::path::Path::new("/srv/lake")));
    /// let problem = Location::of("ftp://host/lake", &Access::default()).unwrap_err();
    /// assert_eq!(problem.what, "`ftp://` is not built in");
    /// # Ok::<(), rcm_core::Problem>(())
    /// ```
    ///
    /// # Errors
    /// Class `config`, with the option that is wrong, or `url`, as its place: an unknown scheme or option, a URL that holds
    /// more than a place, certificates that are none, keys of a wrong form.
    pub fn of(url: &str, access: &Access) -> Result<Location, Problem> {
        let wrong = |what: String, hint: &str| Err(Problem::new(Class::Config, "url", what).hint(hint));
        let form = "write abfss://container@account.dfs.core.windows.net/prefix, s3://bucket/prefix or file:///folder";
        // A word and a colon begin a URL, and no folder.
        let scheme = url
            .split_once(':')
            .map(|(scheme, _)| scheme)
            .filter(|scheme| scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric()));
        let Some(scheme) = scheme else { return Location::folder(Path::new(url), access) };
        let parsed = match Url::parse(url) {
            Ok(parsed) if url.contains("://") => parsed,
            _ => return wrong("is no URL".to_owned(), form),
        };
        let is_azure = ["abfss", "abfs", "az"].contains(&scheme);
        let has_user = parsed.password().is_some() || !is_azure && !parsed.username().is_empty();
        if parsed.query().is_some() || parsed.fragment().is_some() || has_user {
            let hint = "keys and tokens are storage_options: account_key, sas_token, …";
            return wrong("holds more than a place".to_owned(), hint);
        }
        match scheme {
            "file" => match parsed.to_file_path() {
                Ok(folder) => Location::folder(&folder, access),
                Err(()) => wrong("names no folder of this machine".to_owned(), form),
            },
            #[cfg(feature = "azure")]
            "abfss" | "abfs" | "az" => client::azure(&parsed, access),
            #[cfg(feature = "s3")]
            "s3" | "s3a" => client::s3(&parsed, access),
            _ => wrong(format!("`{scheme}://` is not built in"), "give a folder, or an abfss:// or s3:// URL"),
        }
    }

    fn folder(folder: &Path, access: &Access) -> Result<Location, Problem> {
        let wrong = |place: &str, what: &str, hint: &str| Err(Problem::new(Class::Config, place, what).hint(hint));
        match (access.options.first(), &access.authorities) {
            _ if folder.as_os_str().is_empty() => wrong("url", "is empty", "name a folder of its own for the lake"),
            (None, None) => Ok(Location::Folder(folder.to_owned())),
            (Some((option, _)), _) => {
                let hint = "take storage_options away, or give the URL of an object store";
                wrong(option, "a local folder has no options", hint)
            }
            _ => wrong("ca_file", "a local folder needs no certificates", "take ca_file away"),
        }
    }
}
