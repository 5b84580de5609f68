//! An Azure Key Vault, and who gives out its tokens: Entra, for an application with a secret or an assertion, and the endpoint of a
//! managed identity as App Service has it.

use super::http::{Handler, Request, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const TENANT: &str = "7b795fb9-09d3-42f4-a494-38864f99ba3c";
pub(crate) const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
/// For which tokens are given.
const RESOURCE: &str = "https://vault.azure.net";

struct State {
    /// What an application shows of itself: its secret, its assertion, or a managed identity's header.
    shown: String,
    /// Name → versions.
    secrets: BTreeMap<String, Vec<String>>,
    disabled: Vec<String>,
    tokens: Vec<String>,
    lifetime: Duration,
}

/// A vault whose secrets a test can change while it is used.
#[derive(Clone)]
pub(crate) struct Vault(Arc<Mutex<State>>);

impl Vault {
    pub(crate) fn new(shown: &str) -> Vault {
        let (secrets, disabled, tokens) = (BTreeMap::new(), Vec::new(), Vec::new());
        let lifetime = Duration::from_secs(3600);
        Vault(Arc::new(Mutex::new(State { shown: shown.to_owned(), secrets, disabled, tokens, lifetime })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a secret: a new version of it.
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.state().secrets.entry(name.to_lowercase()).or_default().push(value.to_owned());
    }

    pub(crate) fn disable(&self, name: &str) {
        self.state().disabled.push(name.to_lowercase());
    }

    /// Ends all tokens.
    pub(crate) fn expire(&self) {
        self.state().tokens.clear();
    }

    /// How many tokens are good.
    pub(crate) fn tokens(&self) -> usize {
        self.state().tokens.len()
    }

    /// What answers for all: secrets at `/secrets`, Entra at `/TENANT/oauth2/v2.0/token`, the managed identity at `/msi/token`.
    pub(crate) fn handler(&self) -> Handler {
        let vault = self.clone();
        let entra = format!("/{TENANT}/oauth2/v2.0/token");
        Arc::new(move |request: &Request| {
            let mut state = vault.state();
            match (request.method.as_str(), request.path.as_str()) {
                ("POST", path) if path == entra => state.of_application(request),
                ("POST", path) if path.ends_with("/oauth2/v2.0/token") => refused("AADSTS90002", 90002, 400),
                ("GET", "/msi/token") => state.of_managed(request),
                ("GET", path) if path.starts_with("/secrets/") => state.secret(request, &path["/secrets/".len()..]),
                _ => error(404, "NotFound"),
            }
        })
    }
}

impl State {
    fn token(&mut self) -> String {
        let token = format!("canary-token-{}", self.tokens.len());
        self.tokens.push(token.clone());
        token
    }

    /// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
    fn of_application(&mut self, request: &Request) -> Response {
        let form: BTreeMap<String, String> = request.form().into_iter().collect();
        let field = |name: &str| form.get(name).map(String::as_str);
        let is_jwt = field("client_assertion_type") == Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let shown = if is_jwt { field("client_assertion") } else { field("client_secret") };
        let scope = format!("{RESOURCE}/.default");
        match (field("grant_type"), field("scope")) {
            (Some("client_credentials"), Some(asked)) if asked == scope => {}
            _ => return refused("AADSTS900144", 900_144, 400),
        }
        if field("client_id") != Some(CLIENT) || shown != Some(&self.shown) {
            return refused("AADSTS7000215", 7_000_215, 401);
        }
        let (expires_in, token) = (self.lifetime.as_secs(), self.token());
        Response::json(&json!({ "token_type": "Bearer", "expires_in": expires_in, "access_token": token }))
    }

    /// <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>
    fn of_managed(&mut self, request: &Request) -> Response {
        let is_known = request.header("x-identity-header") == Some(&self.shown)
            && request.param("api-version") == Some("2019-08-01")
            && request.param("resource") == Some(RESOURCE)
            && request.param("client_id").is_none_or(|id| id == CLIENT);
        if !is_known {
            return Response { status: 400, ..Response::json(&json!({ "statusCode": 400, "message": "no" })) };
        }
        let until = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + self.lifetime;
        let token = self.token();
        Response::json(&json!({
            "access_token": token, "expires_on": until.as_secs().to_string(), "resource": RESOURCE, "token_type": "Bearer",
        }))
    }

    /// <https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret>
    fn secret(&self, request: &Request, path: &str) -> Response {
        let given = request.header("authorization").and_then(|given| given.strip_prefix("Bearer "));
        if !given.is_some_and(|given| self.tokens.iter().any(|token| token == given)) {
            let host = request.header("host").unwrap_or_default();
            let challenge = format!("Bearer authorization=\"https://{host}/{TENANT}\", resource=\"{RESOURCE}\"");
            return error(401, "Unauthorized").with("WWW-Authenticate", challenge);
        }
        if request.param("api-version").is_none() {
            return error(400, "BadParameter");
        }
        let name = path.trim_end_matches('/').to_lowercase();
        if self.disabled.contains(&name) {
            return error(403, "Forbidden");
        }
        let Some(versions) = self.secrets.get(&name) else { return error(404, "SecretNotFound") };
        let (value, number) = (versions.last().unwrap(), versions.len());
        let host = request.header("host").unwrap_or_default();
        Response::json(&json!({
            "value": value, "id": format!("https://{host}/secrets/{name}/{number:032x}"),
            "attributes": { "enabled": true, "created": 1_700_000_000, "updated": 1_700_000_000, "recoveryLevel": "Recoverable" },
        }))
    }
}

/// Services repeat what they were asked, and sometimes what they were shown.
fn error(status: u16, code: &str) -> Response {
    let body: Value = json!({ "error": { "code": code, "message": "Qzcanary-message: (request: Qzcanary-request)" } });
    Response { status, ..Response::json(&body) }
}

fn refused(code: &str, number: u32, status: u16) -> Response {
    let body = json!({
        "error": "invalid_client", "error_description": format!("{code}: Qzcanary-description"), "error_codes": [number],
    });
    Response { status, ..Response::json(&body) }
}
