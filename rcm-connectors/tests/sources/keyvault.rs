//! Secrets out of a vault of the tests' own, over TLS, asked for by Microsoft's client.

mod faults;

use crate::components::{Authority, free_port};
use crate::wait;
use crate::web::http::Server;
use crate::web::vault::{CLIENT, TENANT, Vault};
use rcm_connectors::keyvault::{Application, Identity, Reference, Vaults};
use rcm_core::{Class, Problem, Secret};
use std::time::Duration;

const SHOWN: &str = "canary-shown-77";

fn application(server: &Server) -> Application {
    Application { tenant: TENANT.to_owned(), client: CLIENT.to_owned(), authority: Some(server.base()) }
}

fn identity(server: &Server) -> Identity {
    Identity::ClientSecret(application(server), Secret::new(SHOWN))
}

fn vaults(server: &Server, authority: &Authority, identity: Identity) -> Vaults {
    assert!(server.base().starts_with("https://"));
    Vaults::new(identity).trusting(authority.pem.clone()).patience(Duration::from_secs(6))
}

fn of(server: &Server, name: &str) -> Reference {
    format!("127.0.0.1:{}/{name}", server.port).parse().unwrap()
}

/// A vault with a secret, and who asks it.
fn one() -> (Vault, Server, Authority, Vaults) {
    let (vault, authority) = (Vault::new(SHOWN), Authority::new());
    vault.set("emr-a", "canary-value-1");
    let server = Server::tls(vault.handler(), &authority.leaf, &authority.key);
    let vaults = vaults(&server, &authority, identity(&server));
    (vault, server, authority, vaults)
}

/// No value, token, key, nor what a service says.
fn is_clean(problem: &Problem) -> bool {
    !format!("{problem:?} {problem}").contains("canary") && problem.hint.is_some() && problem.place.starts_with("kv:")
}

#[test]
fn a_secret_is_what_the_vault_holds_now() {
    wait(async {
        let (vault, server, _authority, vaults) = one();
        let secret = async || vaults.secret(&of(&server, "EMR-a")).await.map(|secret| secret.expose().to_owned());
        assert_eq!(secret().await.unwrap(), "canary-value-1");
        // A new version counts without a restart, and the token is good for it.
        vault.set("emr-a", "canary-value-2\n");
        assert_eq!(secret().await.unwrap(), "canary-value-2\n");
        assert_eq!(vault.tokens(), 1);
        // A token that was ended is no secret lost.
        vault.expire();
        assert_eq!(secret().await.unwrap(), "canary-value-2\n");
        assert_eq!(vault.tokens(), 1);
        let debug = format!("{vaults:?}");
        assert!(debug.contains(CLIENT) && !debug.contains("canary"), "{debug}");
        // No query, and no header but that of the token, holds what is secret.
        for request in server.requests() {
            let told = format!("{} {:?} {:?}", request.path, request.query, request.headers);
            assert!(!told.replace("canary-token", "").contains("canary"), "{told}");
        }
    });
}

#[test]
fn a_workload_shows_the_token_in_its_file() {
    wait(async {
        let (vault, authority, folder) = (Vault::new(SHOWN), Authority::new(), tempfile::tempdir().unwrap());
        vault.set("emr-a", "canary-value-1");
        let (server, file) =
            (Server::tls(vault.handler(), &authority.leaf, &authority.key), folder.path().join("token"));
        let vaults = vaults(&server, &authority, Identity::Workload(application(&server), file.clone()));
        let problem = vaults.secret(&of(&server, "emr-a")).await.unwrap_err();
        assert_eq!((problem.class, problem.what.as_str()), (Class::Failed, "the identity is not told rightly"));
        std::fs::write(&file, SHOWN).unwrap();
        assert_eq!(vaults.secret(&of(&server, "emr-a")).await.unwrap().expose(), "canary-value-1");
    });
}

#[test]
fn what_is_refused_is_told_with_what_to_do() {
    wait(async {
        let (vault, server, authority, good) = one();
        vault.set("empty", "");
        vault.set("gone", "canary");
        vault.disable("gone");
        let by = |identity| vaults(&server, &authority, identity);
        let with = |change: fn(&mut Application)| {
            let mut application = application(&server);
            change(&mut application);
            by(Identity::ClientSecret(application, Secret::new(SHOWN)))
        };
        let untrusted = Vaults::new(identity(&server)).patience(Duration::from_secs(20));
        let nobody: Reference = format!("127.0.0.1:{}/emr-a", free_port()).parse().unwrap();
        for (vaults, reference, class, what) in [
            (good.clone(), of(&server, "none"), Class::Failed, "there is no such secret"),
            (good.clone(), of(&server, "empty"), Class::Failed, "it is empty"),
            (good.clone(), of(&server, "gone"), Class::Failed, "the vault refuses this identity"),
            (
                by(Identity::ClientSecret(application(&server), Secret::new("canary-other"))),
                of(&server, "emr-a"),
                Class::Failed,
                "no token is given to this identity",
            ),
            (
                with(|it| it.tenant = "another.example".to_owned()),
                of(&server, "emr-a"),
                Class::Failed,
                "no token is given to this identity",
            ),
            (
                with(|it| it.tenant = "no tenant".to_owned()),
                of(&server, "emr-a"),
                Class::Failed,
                "the identity is not told rightly",
            ),
            // Who gives out tokens is not asked in plain text.
            (
                with(|it| it.authority = it.authority.take().map(|at| at.replace("https", "http"))),
                of(&server, "emr-a"),
                Class::Failed,
                "the identity is not told rightly",
            ),
            (untrusted, of(&server, "emr-a"), Class::Failed, "no trusted connection to the vault"),
            (good.clone(), nobody, Class::Temporary, "the vault cannot be reached"),
        ] {
            let problem = vaults.secret(&reference).await.unwrap_err();
            assert_eq!(problem.class, class, "{problem}");
            assert!(problem.what.starts_with(what) && is_clean(&problem), "{what}: {problem:?}");
        }
        // One that has what it needs is not disturbed by one that has not.
        assert!(good.secret(&of(&server, "emr-a")).await.is_ok());
    });
}

/// A server that is no vault, but would like a token.
#[test]
fn no_token_goes_to_who_asks_for_another_service() {
    wait(async {
        let (vault, server, _authority, vaults) = one();
        // Not this machine, by its name, and no Key Vault either.
        let reference: Reference = format!("127.1:{}/emr-a", server.port).parse().unwrap();
        let problem = vaults.secret(&reference).await.unwrap_err();
        assert_eq!((problem.class, problem.what.as_str()), (Class::Failed, "it is no vault"), "{problem:?}");
        assert!(is_clean(&problem) && vault.tokens() == 0);
    });
}

#[test]
fn references_are_read_strictly() {
    for (text, read) in [
        ("rcm/emr-a", "rcm.vault.azure.net/emr-a"),
        ("rcm.vault.azure.cn/emr-a", "rcm.vault.azure.cn/emr-a"),
        ("127.0.0.1:8443/x", "127.0.0.1:8443/x"),
    ] {
        assert_eq!(text.parse::<Reference>().unwrap().to_string(), read);
    }
    let long = format!("v/{}", "x".repeat(128));
    for text in [
        "",
        "/",
        "v",
        "v/",
        "/n",
        "v/n/1",
        "v/n?x=1",
        "v/n#x",
        "v/../n",
        "https://v/n",
        "v@w/n",
        "v:x/n",
        "v:99999/n",
        "v /n",
        "v/n ",
        "v./n",
        "v/é",
        "v/a_b",
        &long,
    ] {
        assert!(text.parse::<Reference>().is_err(), "{text}");
    }
}
