//! What asks a vault.

use super::failed::Failed;
use super::{Identity, Reference};
use crate::tls::trusting;
use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::CONTENT_TYPE;
use azure_core::http::{
    AsyncRawResponse, ClientOptions, ExponentialRetryOptions, HttpClient, Request, RetryOptions, Transport,
};
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use futures::TryStreamExt;
use rcm_core::{Class, Problem, Secret};
use reqwest::ClientBuilder;
use reqwest::redirect::Policy;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How often is tried again what may get better, with pauses from 0.2 s on.
const TRIES: u32 = 3;

/// Bytes of an answer at most: a secret has 25 KB.
const MOST: usize = 1 << 20;

/// Carries requests, and has a token once one was given.
#[derive(Clone)]
pub(super) struct Session {
    client: Client,
    credential: Arc<dyn TokenCredential>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session(..)")
    }
}

impl Session {
    /// Connects to nothing yet.
    pub(super) fn new(
        identity: &Identity,
        authorities: Option<&str>,
        patience: Duration,
        reference: &Reference,
    ) -> Result<Session, Problem> {
        let client = Client::new(authorities, patience)?;
        let credential = identity.credential(&client).map_err(|e| Failed::of_identity(&e).of(reference))?;
        Ok(Session { client, credential })
    }

    /// A secret as it is now; none where it has no value.
    pub(super) async fn secret(&self, reference: &Reference) -> Result<Option<Secret>, Failed> {
        let failed = |e: Error| Failed::new(&e);
        let options = SecretClientOptions {
            client_options: self.client.options(&self.client.far),
            verify_challenge_resource: Some(!reference.is_local()),
            ..SecretClientOptions::default()
        };
        let vault = format!("https://{}/", reference.host);
        let vault = SecretClient::new(&vault, self.credential.clone(), Some(options)).map_err(failed)?;
        let answer = vault.get_secret(&reference.name, None).await.map_err(failed)?;
        let value = answer.into_model().map_err(failed)?.value.filter(|value| !value.is_empty());
        Ok(value.map(Secret::new))
    }
}

/// What carries requests.
#[derive(Clone)]
pub(super) struct Client {
    /// Over TLS only.
    pub(super) far: Transport,
    /// What is local is not asked through a proxy, and speaks no TLS.
    pub(super) near: Transport,
    patience: Duration,
}

impl Client {
    fn new(authorities: Option<&str>, patience: Duration) -> Result<Client, Problem> {
        let tls = trusting(authorities)?;
        let built = |change: fn(ClientBuilder) -> ClientBuilder| {
            // No connection outlives its answer: it would belong to the runtime on which it was made.
            let builder =
                reqwest::Client::builder().redirect(Policy::none()).pool_max_idle_per_host(0).timeout(patience);
            match change(builder.tls_backend_preconfigured(tls.clone())).build() {
                Ok(client) => Ok(Transport::new(Arc::new(Bounded(client)))),
                Err(_) => Err(Problem::new(Class::Failed, "kv", "no client can be made for vaults")),
            }
        };
        let far = built(|builder| builder.https_only(true))?;
        let near = built(ClientBuilder::no_proxy)?;
        Ok(Client { far, near, patience })
    }

    pub(super) fn options(&self, transport: &Transport) -> ClientOptions {
        let retry = RetryOptions::exponential(ExponentialRetryOptions {
            max_retries: TRIES,
            max_total_elapsed: self.patience.try_into().unwrap_or(azure_core::time::Duration::MAX),
            ..ExponentialRetryOptions::default()
        });
        ClientOptions { transport: Some(transport.clone()), retry, ..ClientOptions::default() }
    }
}

/// A client that takes JSON only, and ends answers which do not end.
#[derive(Debug)]
struct Bounded(reqwest::Client);

#[async_trait]
impl HttpClient for Bounded {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let (status, headers, mut stream) = self.0.execute_request(request).await?.deconstruct();
        let none = |what| Err(Error::with_message(ErrorKind::DataConversion, what));
        let is_json = headers.get_optional_str(&CONTENT_TYPE).is_some_and(|of| of.starts_with("application/json"));
        if status.is_success() && !is_json {
            return none("no JSON");
        }
        let mut body = Vec::new();
        while let Some(chunk) = stream.try_next().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST {
                return none("too long");
            }
        }
        Ok(AsyncRawResponse::from_bytes(status, headers, body))
    }
}
