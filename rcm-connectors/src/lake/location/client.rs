//! Clients of the cloud stores, built by object_store.

use super::careful::Careful;
use super::{Access, Location, holds_secret};
use object_store::client::{Certificate, ClientConfigKey, ClientOptions};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, RetryConfig};
use rcm_core::{Class, Problem};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

const LONGEST_CONNECT: Duration = Duration::from_secs(5);

fn retries(access: &Access) -> RetryConfig {
    // As often as the budget lets.
    RetryConfig { retry_timeout: access.budget, max_retries: usize::MAX, ..RetryConfig::default() }
}

fn transport(access: &Access) -> Result<ClientOptions, Problem> {
    let attempt = access.budget / 5;
    let mut options = ClientOptions::new().with_timeout(attempt).with_connect_timeout(LONGEST_CONNECT.min(attempt));
    let authorities = access.authorities.as_deref().map(str::as_bytes).map(Certificate::from_pem_bundle).transpose();
    let authorities = authorities.ok().filter(|found| found.as_ref().is_none_or(|found| !found.is_empty()));
    let none = || {
        Problem::new(Class::Config, "ca_file", "holds no certificates")
            .hint("name a file with the authority's certificate in PEM")
    };
    for certificate in authorities.ok_or_else(none)?.unwrap_or_default() {
        options = options.with_root_certificate(certificate);
    }
    Ok(options)
}

fn options(access: &Access) -> impl Iterator<Item = (&String, &str)> {
    access.options.iter().map(|(option, value)| (option, value.expose()))
}

/// The variables of a store. Where a managed identity is asked for is told without a prefix.
fn environment<'a>(access: &'a Access, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a str)> {
    let is_its = move |name: &String| name.starts_with(prefix) || prefix == AZURE && name == "IDENTITY_ENDPOINT";
    let all = access.environment.iter().filter(move |(name, _)| is_its(name));
    all.map(|(name, value)| (name, value.expose()))
}

const AZURE: &str = "AZURE_";
#[cfg(feature = "s3")]
const AWS: &str = "AWS_";

/// The options by their keys, or where there are none those of the environment that the store knows. Options that the store
/// does not have, and those that nobody may set, are refused.
fn keys<K: std::str::FromStr>(
    access: &Access,
    prefix: &str,
    common: &str,
    transport: impl Fn(&K) -> Option<ClientConfigKey>,
) -> Result<Vec<(K, String)>, Problem> {
    let mut keys = Vec::new();
    let environment = environment(access, prefix).filter(|_| access.options.is_empty());
    for (option, value) in options(access).chain(environment) {
        let wrong = |what: &str, hint: &str| Err(Problem::new(Class::Config, option, what).hint(hint));
        let key = match option.to_lowercase().parse::<K>() {
            Ok(key) => key,
            Err(_) if access.options.is_empty() => continue,
            Err(_) => return wrong("is no option of this store", common),
        };
        let transport = transport(&key);
        match transport {
            Some(ClientConfigKey::AllowInvalidCertificates) => {
                let hint = "name the private authority's certificate: ca_file";
                return wrong("invalid certificates are never accepted", hint);
            }
            Some(ClientConfigKey::Timeout | ClientConfigKey::ConnectTimeout) => {
                return wrong("is told by retry_budget", "a try may take a fifth of [lake] retry_budget");
            }
            _ if option.to_lowercase().ends_with("conditional_put") => {
                return wrong("cannot be chosen", "take it away: a lake needs puts that fail where the name is taken");
            }
            _ if transport != Some(ClientConfigKey::ProxyUrl) && value.contains("://") && holds_secret("", value) => {
                return wrong("holds more than a place", "keys and tokens are options of their own: sas_token, …");
            }
            _ => keys.push((key, value.to_owned())),
        }
    }
    Ok(keys)
}

fn rooted<S: ObjectStore>(
    url: &Url,
    access: &Access,
    prefix: &str,
    store: object_store::Result<S>,
) -> Result<Location, Problem> {
    let wrong = |hint: &str| Problem::new(Class::Config, "url", "cannot be a lake").hint(hint.to_owned());
    // The store's own words may repeat a key; what it can find wrong here are the keys and the URL's form.
    let store = store.map_err(|_| wrong("look at its form, and at the form of the keys in storage_options"))?;
    let root = Path::from_url_path(url.path()).map_err(|_| wrong("a name in its path is not allowed"))?;
    let given = options(access).chain(environment(access, prefix));
    let secrets = given.filter(|(option, value)| holds_secret(option, value)).map(|(_, value)| value.to_owned());
    let store = Careful::new(PrefixStore::new(store, root), secrets, access.budget);
    Ok(Location::Store { name: url.to_string(), store: Arc::new(store) })
}

#[cfg(feature = "azure")]
pub(super) fn azure(url: &Url, access: &Access) -> Result<Location, Problem> {
    use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
    let builder = MicrosoftAzureBuilder::new().with_client_options(transport(access)?).with_retry(retries(access));
    let common = "expected such as account_key, sas_token, client_id, client_secret, tenant_id, endpoint";
    let transport = |key: &AzureConfigKey| match key {
        AzureConfigKey::Client(key) => Some(*key),
        _ => None,
    };
    let keys = keys(access, AZURE, common, transport)?;
    let builder = keys.into_iter().fold(builder, |to, (key, value)| to.with_config(key, value));
    rooted(url, access, AZURE, builder.with_url(url.as_str()).build())
}

#[cfg(feature = "s3")]
pub(super) fn s3(url: &Url, access: &Access) -> Result<Location, Problem> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
    let builder = AmazonS3Builder::new().with_client_options(transport(access)?).with_retry(retries(access));
    let common = "expected such as access_key_id, secret_access_key, region, endpoint, role_arn";
    let transport = |key: &AmazonS3ConfigKey| match key {
        AmazonS3ConfigKey::Client(key) => Some(*key),
        _ => None,
    };
    let keys = keys(access, AWS, common, transport)?;
    let builder = keys.into_iter().fold(builder, |to, (key, value)| to.with_config(key, value));
    rooted(url, access, AWS, builder.with_url(url.as_str()).build())
}
