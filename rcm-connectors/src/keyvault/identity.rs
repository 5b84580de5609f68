//! Who asks for a secret.

use super::session::Client;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::TokenCredential;
use azure_core::http::ClientOptions;
use azure_identity::{
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use rcm_core::{Class, Problem, Secret};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// What Azure gave the machine (VM, App Service, Functions, Container Apps): the system's own, or the one of this client id.
    /// Where to ask for its token stands in the process's environment (`IDENTITY_ENDPOINT`, `IDENTITY_HEADER`), or is fixed.
    Managed(Option<String>),
    /// An application with a secret of its own.
    ClientSecret(Application, Secret),
    /// An application that a Kubernetes service account stands for, by a token in a file.
    Workload(Application, PathBuf),
}

/// An application that Entra knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Id or domain of its tenant.
    pub tenant: String,
    /// Its client id.
    pub client: String,
    /// Where Entra is, such as `https://login.microsoftonline.us`. None: the public cloud's.
    pub authority: Option<String>,
}

impl Identity {
    /// As Azure's tools read it out of an environment: `AZURE_FEDERATED_TOKEN_FILE` is a workload, `AZURE_CLIENT_SECRET` a client,
    /// both with `AZURE_TENANT_ID` and `AZURE_CLIENT_ID` and, outside of the public cloud, `AZURE_AUTHORITY_HOST`; else it is a
    /// managed identity, that of `AZURE_CLIENT_ID` where it is set.
    ///
    /// ```
    /// use rcm_connectors::keyvault::Identity;
    /// use rcm_core::Secret;
    /// use std::collections::BTreeMap;
    ///
    /// let set = |names: &[&str]| names.iter().map(|name| (name.to_string(), Secret::new("x"))).collect::<BTreeMap<_, _>>();
    /// assert_eq!(Identity::of(&set(&[]))?, Identity::Managed(None));
    /// assert!(matches!(
    ///     Identity::of(&set(&["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"]))?,
    ///     Identity::ClientSecret(application, _) if application.tenant == "x"
    /// ));
    /// assert_eq!(Identity::of(&set(&["AZURE_CLIENT_SECRET"])).unwrap_err().place, "AZURE_TENANT_ID");
    /// # Ok::<(), rcm_core::Problem>(())
    /// ```
    ///
    /// # Errors
    /// Class `config`, with the variable that is missing as its place.
    pub fn of(environment: &BTreeMap<String, Secret>) -> Result<Identity, Problem> {
        let secret = |name: &str| environment.get(name).filter(|value| !value.expose().is_empty());
        let given = |name: &str| secret(name).map(|value| value.expose().to_owned());
        let how = match (given("AZURE_FEDERATED_TOKEN_FILE"), secret("AZURE_CLIENT_SECRET")) {
            (None, None) => return Ok(Identity::Managed(given("AZURE_CLIENT_ID"))),
            (Some(file), _) => Ok(PathBuf::from(file)),
            (None, Some(secret)) => Err(secret.clone()),
        };
        let needed = |name: &str| {
            given(name).ok_or_else(|| {
                let with = if how.is_ok() { "AZURE_FEDERATED_TOKEN_FILE" } else { "AZURE_CLIENT_SECRET" };
                Problem::new(Class::Config, name, format!("is not set, and {with} is"))
                    .hint("an application is told by AZURE_TENANT_ID and AZURE_CLIENT_ID beside it")
            })
        };
        let (tenant, client) = (needed("AZURE_TENANT_ID")?, needed("AZURE_CLIENT_ID")?);
        let application = Application { tenant, client, authority: given("AZURE_AUTHORITY_HOST") };
        Ok(match how {
            Ok(file) => Identity::Workload(application, file),
            Err(secret) => Identity::ClientSecret(application, secret),
        })
    }

    /// What gives out tokens for it.
    pub(super) fn credential(&self, client: &Client) -> azure_core::Result<Arc<dyn TokenCredential>> {
        Ok(match self {
            Identity::Managed(id) => {
                let user_assigned_id = id.clone().map(UserAssignedId::ClientId);
                let client_options = client.options(&client.near);
                let options = ManagedIdentityCredentialOptions { user_assigned_id, client_options };
                ManagedIdentityCredential::new(Some(options))?
            }
            Identity::ClientSecret(of, secret) => {
                let options = ClientSecretCredentialOptions { client_options: of.options(client) };
                ClientSecretCredential::new(
                    &of.tenant,
                    of.client.clone(),
                    secret.expose().to_owned().into(),
                    Some(options),
                )?
            }
            Identity::Workload(of, file) => {
                let client_options = of.options(client);
                WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                    credential_options: ClientAssertionCredentialOptions { client_options },
                    client_id: Some(of.client.clone()),
                    tenant_id: Some(of.tenant.clone()),
                    token_file_path: Some(file.clone()),
                }))?
            }
        })
    }
}

impl Application {
    fn options(&self, client: &Client) -> ClientOptions {
        let cloud = match &self.authority {
            None => CloudConfiguration::AzurePublic,
            Some(authority) => {
                let mut custom = CustomConfiguration::default();
                custom.authority_host.clone_from(authority);
                custom.into()
            }
        };
        ClientOptions { cloud: Some(Arc::new(cloud)), ..client.options(&client.far) }
    }
}
