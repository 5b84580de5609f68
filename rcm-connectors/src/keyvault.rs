//! Secrets out of an Azure Key Vault, by Microsoft's own client.
//!
//! A secret is asked for each time: a new version counts from then on, without a restart. Who asks is told by an [`Identity`];
//! its token is kept as long as it is good. Neither a secret nor a token is in a message or in `Debug`; the copies that the
//! client makes of them on their way are not wiped.
//!
//! A vault names the resource for which it wants a token. It must be that of the vault's own domain, so that no token goes to
//! a server that is none; only a vault on this machine is not asked.

mod failed;
mod identity;
mod session;

use crate::contained::contained;
use failed::AWAY;
pub use identity::{Application, Identity};
use rcm_core::{Class, Problem, Secret};
use session::Session;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A secret's vault and name, without its value. As text it is `VAULT/NAME`, where the vault is its name, or its host outside
/// of the public cloud.
///
/// ```
/// use rcm_connectors::keyvault::Reference;
///
/// let reference: Reference = "rcm-prod/emr-a-password".parse()?;
/// assert_eq!(reference.to_string(), "rcm-prod.vault.azure.net/emr-a-password");
/// assert!("rcm-prod.vault.usgovcloudapi.net/x".parse::<Reference>().is_ok());
/// assert!("rcm-prod".parse::<Reference>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    host: String,
    name: String,
}

impl FromStr for Reference {
    type Err = String;

    /// # Errors
    /// What is wrong, in words.
    fn from_str(text: &str) -> Result<Reference, String> {
        let (vault, name) = text.split_once('/').ok_or("names no vault and secret: VAULT/NAME is expected")?;
        let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !is_word(name) || name.len() > 127 {
            return Err("names no secret: letters, digits and `-` are expected behind the `/`".to_owned());
        }
        let (host, port) = vault.split_once(':').map_or((vault, None), |(host, port)| (host, Some(port)));
        if !host.split('.').all(is_word) || port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err("names no vault: its name, or its host, is expected before the `/`".to_owned());
        }
        let is_name = port.is_none() && !host.contains('.');
        let host = if is_name { format!("{vault}.vault.azure.net") } else { vault.to_owned() };
        Ok(Reference { host, name: name.to_owned() })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.name)
    }
}

impl Reference {
    fn problem(&self, class: Class, what: &str, hint: &str) -> Problem {
        Problem::new(class, format!("kv:{self}"), what).hint(hint)
    }

    fn is_local(&self) -> bool {
        ["127.0.0.1", "localhost"].contains(&self.host.split(':').next().unwrap_or_default())
    }
}

/// The vaults that an identity may read. Its methods need a tokio runtime with timers and I/O.
///
/// ```no_run
/// # async fn example(environment: std::collections::BTreeMap<String, rcm_core::Secret>) -> Result<(), Box<dyn std::error::Error>> {
/// use rcm_connectors::keyvault::{Identity, Vaults};
///
/// let vaults = Vaults::new(Identity::of(&environment)?);
/// let password = vaults.secret(&"rcm-prod/emr-b-password".parse()?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Vaults {
    identity: Identity,
    authorities: Option<String>,
    patience: Duration,
    session: Arc<Mutex<Option<Session>>>,
}

impl Vaults {
    /// Names who asks; nothing is connected yet.
    pub fn new(identity: Identity) -> Vaults {
        Vaults { identity, authorities: None, patience: Duration::from_secs(60), session: Arc::default() }
    }

    /// Trusts these authorities, certificates in PEM, beside the system's.
    #[must_use]
    pub fn trusting(self, authorities: impl Into<String>) -> Vaults {
        Vaults { authorities: Some(authorities.into()), session: Arc::default(), ..self }
    }

    /// How long a secret may take, with its token and all tries. Default: one minute.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Vaults {
        Vaults { patience, session: Arc::default(), ..self }
    }

    /// A secret as it is now. What may get better is tried again.
    ///
    /// # Errors
    /// Class `temporary`: the vault, or who gives out tokens, is away, has too much to do, or takes longer than the patience.
    /// Class `failed`: one of them refuses this identity, or there is no such secret.
    pub async fn secret(&self, reference: &Reference) -> Result<Secret, Problem> {
        let broken = reference.problem(Class::Temporary, "an answer came that cannot be read", AWAY);
        let (vaults, of) = (self.clone(), reference.clone());
        let asked = contained(broken, async move { vaults.asked(&of).await });
        tokio::time::timeout(self.patience, asked).await.unwrap_or_else(|_| {
            let what = format!("it is not there in {:?}", self.patience);
            Err(reference.problem(Class::Temporary, &what, AWAY))
        })
    }

    async fn asked(&self, reference: &Reference) -> Result<Secret, Problem> {
        let known = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let session = match known {
            Some(session) => session,
            None => self.begin(reference)?,
        };
        let answer = match session.secret(reference).await {
            // A token may end before its time: with another one, once.
            Err(failed) if failed.may_be_the_token() => self.begin(reference)?.secret(reference).await,
            answer => answer,
        };
        let hint = "give it a value: az keyvault secret set";
        let secret = answer.map_err(|failed| failed.of(reference))?;
        secret.ok_or_else(|| reference.problem(Class::Failed, "it is empty", hint))
    }

    fn begin(&self, reference: &Reference) -> Result<Session, Problem> {
        let session = Session::new(&self.identity, self.authorities.as_deref(), self.patience, reference)?;
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        Ok(session)
    }
}
