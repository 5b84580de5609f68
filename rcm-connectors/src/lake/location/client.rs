//! Clients of the cloud stores, built by object_store.

use super::discreet::Discreet;
use super::{Access, Location, is_secret};
use object_store::client::{Certificate, ClientConfigKey, ClientOptions};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, RetryConfig};
use rcm_core::{Class, Problem};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

const LONGEST_TRY: Duration = Duration::from_secs(30);
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

fn retries(access: &Access) -> RetryConfig {
    RetryConfig { retry_timeout: access.budget, ..RetryConfig::default() }
}

fn transport(access: &Access) -> Result<ClientOptions, Problem> {
    let attempt = LONGEST_TRY.min(access.budget / 5);
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

/// The options by their keys, or where there are none those of the environment that the store knows. Options that the store
/// does not have, and those that nobody may set, are refused.
fn keys<K: std::str::FromStr>(
    access: &Access,
    prefix: &str,
    common: &str,
    transport: impl Fn(&K) -> Option<ClientConfigKey>,
) -> Result<Vec<(K, String)>, Problem> {
    let mut keys = Vec::new();
    let environment =
        access.environment.iter().filter(|(name, _)| access.options.is_empty() && name.starts_with(prefix));
    for (option, value) in access.options.iter().map(|(option, value)| (option, value)).chain(environment) {
        let wrong = |what: &str, hint: &str| Problem::new(Class::Config, option, what).hint(hint);
        let key = match option.to_lowercase().parse::<K>() {
            Ok(key) => key,
            Err(_) if access.options.is_empty() => continue,
            Err(_) => return Err(wrong("is no option of this store", common)),
        };
        match transport(&key) {
            Some(ClientConfigKey::AllowInvalidCertificates) => {
                let hint = "name the private authority's certificate: ca_file";
                return Err(wrong("invalid certificates are never accepted", hint));
            }
            Some(ClientConfigKey::Timeout | ClientConfigKey::ConnectTimeout) => {
                return Err(wrong("is told by retry_budget", "a try may take a fifth of [lake] retry_budget"));
            }
            _ => keys.push((key, value.clone())),
        }
    }
    Ok(keys)
}

fn rooted<S: ObjectStore>(url: &Url, access: &Access, store: object_store::Result<S>) -> Result<Location, Problem> {
    let wrong = |hint: &str| Problem::new(Class::Config, "url", "cannot be a lake").hint(hint.to_owned());
    // The store's own words may repeat a key; what it can find wrong here are the keys and the URL's form.
    let store = store.map_err(|_| wrong("look at its form, and at the form of the keys in storage_options"))?;
    let prefix = Path::from_url_path(url.path()).map_err(|_| wrong("a name in its path is not allowed"))?;
    let given = access.options.iter().map(|(option, value)| (option, value)).chain(&access.environment);
    let secrets = given.filter(|(option, _)| is_secret(option)).map(|(_, value)| value.clone());
    let store = Discreet::new(PrefixStore::new(store, prefix), secrets);
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
    let keys = keys(access, "AZURE_", common, transport)?;
    let builder = keys.into_iter().fold(builder, |to, (key, value)| to.with_config(key, value));
    rooted(url, access, builder.with_url(url.as_str()).build())
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
    let keys = keys(access, "AWS_", common, transport)?;
    let builder = keys.into_iter().fold(builder, |to, (key, value)| to.with_config(key, value));
    rooted(url, access, builder.with_url(url.as_str()).build())
}
