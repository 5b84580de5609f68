//! A token of the WHO's service: asked for when it is needed, kept until shortly before its end, and asked for anew once when the
//! service says that it is none.

use super::who::Client;
use crate::http::{Failed, Service};
use rcm_core::{Class, Problem, Secret};
use reqwest::Url;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// What `expires_in` is believed to be at most, and how much before its end a token is not used any more.
const LONGEST: i64 = 3600;
const EARLY: i64 = 60;

/// Tokens of a client.
#[derive(Debug)]
pub(super) struct Tokens {
    service: Service,
    url: Url,
    client: Client,
    kept: Mutex<Option<(Secret, Instant)>>,
}

impl Tokens {
    pub(super) fn new(service: Service, url: Url, client: Client) -> Tokens {
        Tokens { service, url, client, kept: Mutex::new(None) }
    }

    /// A token; not the one that was refused.
    pub(super) async fn get(&self, refused: Option<&Secret>) -> Result<Secret, Problem> {
        let mut kept = self.kept.lock().await;
        let is_good = |(token, until): &&(Secret, Instant)| Some(token) != refused && Instant::now() < *until;
        if let Some((token, _)) = kept.as_ref().filter(is_good) {
            return Ok(token.clone());
        }
        let form = "grant_type=client_credentials&scope=icdapi_access".to_owned();
        let request = self.service.post(self.url.clone(), form);
        // Each part as in a form (RFC 6749 2.3.1).
        let encoded = |text: &str| url_encoded(text);
        let request = request.basic_auth(encoded(&self.client.id), Some(encoded(self.client.secret.expose())));
        let answer = self.service.json(&request).await.map_err(|failed| match failed {
            Failed::Other(problem) => problem,
            // A client that it does not know is 400 (RFC 6749 5.2).
            Failed::Refused(400 | 401) => self
                .service
                .problem(Class::Failed, "it refuses the client")
                .hint("correct client_id and client_secret of the source"),
            Failed::Refused(status) => self.service.problem(Class::Failed, &format!("it answers with status {status}")),
            Failed::Absent => self
                .service
                .problem(Class::Failed, "gives no tokens at this address")
                .hint("correct the `token_url` of the source"),
        })?;
        let Some(token) = answer.get("access_token").and_then(Value::as_str) else {
            return Err(self.service.problem(Class::Temporary, "it sends no token"));
        };
        // Of a lifetime that makes no sense the service will tell the end.
        let seconds =
            answer.get("expires_in").and_then(Value::as_i64).filter(|seconds| *seconds > EARLY).unwrap_or(LONGEST);
        let until = Instant::now() + Duration::from_secs((seconds.min(LONGEST) - EARLY).unsigned_abs());
        let token = Secret::new(token);
        *kept = Some((token.clone(), until));
        Ok(token)
    }
}

/// As a field of a form.
fn url_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}
