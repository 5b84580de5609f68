//! The faults of services, of a vault and of who gives out its tokens.

use super::{SHOWN, identity, is_clean, of, vaults};
use crate::components::Authority;
use crate::wait;
use crate::web::fault::{Fault, Should, Skew, TOO_MANY_MORE, When, serve_by};
use crate::web::http::Server;
use crate::web::vault::Vault;
use rcm_core::Class;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

#[test]
fn every_fault_ends_in_the_secret_or_in_an_error_in_time() {
    wait(async {
        let (mut tasks, turns) = (JoinSet::new(), Arc::new(Semaphore::new(48)));
        // An answer is one page.
        let faults = Fault::all().into_iter().filter(|fault| !matches!(fault, Fault::SamePage | Fault::PageCycle));
        for fault in faults {
            // The vault asks for a token, it is given, and then the secret is.
            for when in [When::Nth(0), When::Nth(1), When::Nth(2), When::Every] {
                let turns = turns.clone();
                tasks.spawn(async move {
                    let _turn = turns.acquire().await.unwrap();
                    let (vault, authority) = (Vault::new(SHOWN), Authority::new());
                    vault.set("emr-a", "canary-value-1");
                    let start = |handler| Server::tls(handler, &authority.leaf, &authority.key);
                    let of_tokens = fault.is_of_tokens();
                    let may = move |request: &crate::web::http::Request| !of_tokens || request.method == "POST";
                    let server = serve_by(start, fault, when, may, vault.handler());
                    let vaults = vaults(&server, &authority, identity(&server));
                    let reference = of(&server, "emr-a");
                    let got = tokio::time::timeout(Duration::from_secs(30), vaults.secret(&reference)).await;
                    let got = got.unwrap_or_else(|_| panic!("{fault:?} {when:?} does not end"));
                    assert!(server.requests().len() < 5 + TOO_MANY_MORE, "{fault:?} {}", server.requests().len());
                    println!(
                        "{:>2} {fault:?} {when:?}: {:?}",
                        fault.number(),
                        got.as_ref().map(|_| "the secret").map_err(ToString::to_string)
                    );
                    let is_all = got.as_ref().is_ok_and(|secret| secret.expose() == "canary-value-1");
                    let class = got.as_ref().err().map(|problem| problem.class);
                    // Microsoft's client panics on a token that is to live longer than there is time: that is told as an answer.
                    let panics = fault == Fault::Skewed(Skew::Far) && [When::Nth(0), When::Every].contains(&when);
                    let should = if panics { Should::SayTemporary } else { fault.should(when) };
                    let holds = match should {
                        Should::Succeed => is_all,
                        Should::Either => is_all || class.is_some(),
                        Should::Say => class.is_some_and(|class| [Class::Temporary, Class::Failed].contains(&class)),
                        Should::SayTemporary => class == Some(Class::Temporary),
                    };
                    assert!(holds, "{fault:?} {when:?} should {should:?}: {got:?}");
                    assert!(got.as_ref().err().is_none_or(is_clean), "{got:?}");
                });
            }
        }
        let many = tasks.len();
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        println!("{many} secrets with a fault");
    });
}
