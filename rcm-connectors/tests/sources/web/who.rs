//! The ICD API of the WHO, ICD-10 only, with its token service; or a local deployment, which asks for no token.
//!
//! What is not documented and was not seen, and is a guess here: the bodies of 400, 401, 404 and 406, that `API-Version` and
//! `Accept-Language` that are missing are 400, and the order in which token, headers and path are looked at.

mod tree;

pub(crate) use tree::{Size, Tree, URI, entity};

use super::http::{Handler, Request, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How entities name their parent: as they do, or as the API's description says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parent {
    Array,
    Text,
}

struct State {
    tree: Tree,
    parent: Parent,
    /// A client's name and secret; none: a local deployment.
    client: Option<(String, String)>,
    /// How long tokens live.
    lifetime: Duration,
    /// When each token ends.
    tokens: BTreeMap<String, Instant>,
    given: usize,
}

/// A service whose entities and tokens a test can change while it is used.
#[derive(Clone)]
pub(crate) struct Who(Arc<Mutex<State>>);

impl Who {
    /// As the WHO has it: with tokens that live an hour.
    pub(crate) fn new(tree: Tree, name: &str, secret: &str) -> Who {
        Who::start(tree, Some((name.to_owned(), secret.to_owned())))
    }

    pub(crate) fn local(tree: Tree) -> Who {
        Who::start(tree, None)
    }

    fn start(tree: Tree, client: Option<(String, String)>) -> Who {
        let (parent, lifetime, tokens) = (Parent::Array, Duration::from_secs(3600), BTreeMap::new());
        Who(Arc::new(Mutex::new(State { tree, parent, client, lifetime, tokens, given: 0 })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_parent(&self, parent: Parent) {
        self.state().parent = parent;
    }

    /// Of tokens from now on.
    pub(crate) fn set_lifetime(&self, lifetime: Duration) {
        self.state().lifetime = lifetime;
    }

    /// Ends all tokens.
    pub(crate) fn expire(&self) {
        self.state().tokens.clear();
    }

    /// How many tokens it gave.
    pub(crate) fn given(&self) -> usize {
        self.state().given
    }

    /// Changes the tree.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Tree)) {
        change(&mut self.state().tree);
    }

    pub(crate) fn codes(&self, release: &str) -> Vec<String> {
        self.state().tree.codes(release)
    }

    /// What answers for it: tokens at `/connect/token`, entities below `/icd/release/10`.
    pub(crate) fn handler(&self) -> Handler {
        let who = self.clone();
        Arc::new(move |request: &Request| {
            let mut state = who.state();
            match (request.path.as_str(), request.method.as_str()) {
                ("/connect/token", "POST") => state
                    .token(request)
                    .unwrap_or_else(|error| Response { status: 400, ..Response::json(&json!({ "error": error })) }),
                ("/connect/token", _) => Response::new(405, "text/plain", ""),
                (path, "GET") => state.entity(request, path),
                _ => Response::new(405, "text/plain", ""),
            }
        })
    }
}

impl State {
    /// A token for a client's name and secret, by Basic or in the form (RFC 6749 2.3.1).
    fn token(&mut self, request: &Request) -> Result<Response, &'static str> {
        let is_form =
            request.header("content-type").is_some_and(|it| it.starts_with("application/x-www-form-urlencoded"));
        let form = request.form();
        let field = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        if !is_form {
            return Err("invalid_request");
        }
        match field("grant_type").as_deref() {
            Some("client_credentials") => {}
            Some(_) => return Err("unsupported_grant_type"),
            None => return Err("invalid_request"),
        }
        let given = match request.header("authorization") {
            Some(basic) => basic.strip_prefix("Basic ").and_then(decoded),
            None => field("client_id").zip(field("client_secret")),
        };
        // A local deployment has no such service.
        let client = self.client.as_ref().ok_or("invalid_request")?;
        if given.as_ref() != Some(client) {
            return Err("invalid_client");
        }
        if field("scope").is_some_and(|scope| scope != "icdapi_access") {
            return Err("invalid_scope");
        }
        self.given += 1;
        let token = format!("not-a-real-token-{}", self.given);
        self.tokens.insert(token.clone(), Instant::now() + self.lifetime);
        let lifetime = self.lifetime.as_secs();
        Ok(Response::json(&json!({
            "access_token": token, "expires_in": lifetime, "token_type": "Bearer", "scope": "icdapi_access",
        })))
    }

    fn may(&self, request: &Request) -> bool {
        let token = request.header("authorization").and_then(|given| given.strip_prefix("Bearer "));
        let ends = token.and_then(|token| self.tokens.get(token));
        self.client.is_none() || ends.is_some_and(|ends| Instant::now() < *ends)
    }

    fn entity(&self, request: &Request, path: &str) -> Response {
        let refused = |status, why: &str| Response::new(status, "text/plain", why);
        if !self.may(request) {
            return refused(401, "").with("WWW-Authenticate", "Bearer error=\"invalid_token\"");
        }
        if request.header("api-version") != Some("v2") {
            return refused(400, "API-Version: v2 is required");
        }
        if request.header("accept-language").is_none() {
            return refused(400, "Accept-Language is required");
        }
        if !request.header("accept").is_some_and(|takes| takes.contains("application/json")) {
            return refused(406, "Accept: application/json is required");
        }
        let is_english = request.header("accept-language").is_some_and(|language| language.starts_with("en"));
        let below = path.strip_prefix("/icd/release/10").filter(|below| below.is_empty() || below.starts_with('/'));
        let mut parts = below.unwrap_or("").split('/').skip(1);
        let found = match (parts.next(), parts.next(), parts.next()) {
            _ if !is_english || below.is_none() => None,
            (None, ..) => self.releases(""),
            (Some(one), None, _) => {
                self.tree.0.get(one).map(|release| release[""].clone()).or_else(|| self.releases(one))
            }
            (Some(release), Some(code), None) => {
                self.tree.0.get(release).and_then(|release| release.get(code)).cloned()
            }
            _ => None,
        };
        let Some(mut entity) = found.filter(|_| !path.ends_with('/')) else { return refused(404, "not found") };
        let first = entity.pointer("/parent/0").cloned();
        if let (Parent::Text, Some(first)) = (self.parent, first) {
            entity["parent"] = first;
        }
        Response::json(&entity)
    }

    /// The releases that have a code, the newest first; "" is in all.
    fn releases(&self, code: &str) -> Option<Value> {
        let releases = self.tree.0.iter().rev().filter(|(_, entities)| entities.contains_key(code));
        let below = if code.is_empty() { String::new() } else { format!("/{code}") };
        let uris: Vec<String> = releases.map(|(release, _)| format!("{URI}/{release}{below}")).collect();
        let latest = uris.first()?.clone();
        let (_, newest) = self.tree.0.iter().rev().find(|(_, entities)| entities.contains_key(code))?;
        Some(json!({
            "@context": "http://id.who.int/icd/contexts/contextForMultiVersion.json", "@id": format!("{URI}{below}"),
            "title": newest[code]["title"], "latestRelease": latest, "release": uris,
        }))
    }
}

/// Name and secret of a Basic header: each encoded as in a form.
fn decoded(basic: &str) -> Option<(String, String)> {
    let text = String::from_utf8(BASE64_STANDARD.decode(basic).ok()?).ok()?;
    let (name, secret) = text.split_once(':')?;
    let plain = |part: &str| {
        url::form_urlencoded::parse(format!("x={part}").as_bytes()).next().map(|(_, text)| text.into_owned())
    };
    Some((plain(name)?, plain(secret)?))
}
