//! The 18 faults of services, in all variations.

use super::{ALL, numbers, options, source};
use crate::components::Authority;
use crate::web::fault::{Fault, RetryAfter, Should, TOO_MANY_MORE, When, serve};
use crate::web::http::{Response, Server, packing};
use crate::web::nppes::{Registry, Shape};
use crate::{wait, whole};
use arrow::array::AsArray;
use rcm_connectors::npi::{self, Options};
use rcm_core::{Class, Problem, Secret, Source};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

async fn read(options: Options) -> Result<Vec<String>, Problem> {
    let rows = whole(&source(options), ALL).await?;
    let mut read: Vec<String> = rows["npi"].as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    read.sort();
    Ok(read)
}

/// Whether a read came to what the table of faults asks for.
pub(crate) fn judge(fault: Fault, when: When, got: &Result<Vec<String>, Problem>, expected: &Vec<String>) {
    let is_all = got.as_ref().is_ok_and(|got| got == expected);
    let class = got.as_ref().err().map(|problem| problem.class);
    let is_told = got.as_ref().err().is_none_or(|problem| problem.hint.is_some());
    let holds = is_told
        && match fault.should(when) {
            Should::Succeed => is_all,
            Should::Either => is_all || class.is_some(),
            Should::Say => class.is_some_and(|class| [Class::Temporary, Class::Failed].contains(&class)),
            Should::SayTemporary => class == Some(Class::Temporary),
        };
    // No body, key or token is in an error.
    let told = format!("{got:?}");
    assert!(got.is_ok() || !["canary", "padding", "not-a-real-token"].iter().any(|word| told.contains(word)), "{told}");
    let said = got.as_ref().map(Vec::len).map_err(ToString::to_string);
    println!("{:>2} {fault:?} {when:?}: {said:?}", fault.number());
    assert!(holds, "{fault:?} {when:?} should {:?}: {got:?}", fault.should(when));
}

#[test]
fn every_fault_ends_in_all_rows_or_in_an_error_in_time() {
    wait(async {
        let registry = Registry::made_up(1, 45, Shape::Of2026);
        let expected: Vec<String> = numbers(&registry).into_iter().collect();
        let (mut tasks, turns) = (JoinSet::new(), Arc::new(Semaphore::new(48)));
        for fault in Fault::all().into_iter().filter(|fault| !fault.is_of_tokens()) {
            for when in [When::Nth(0), When::Nth(2), When::Every] {
                let (expected, handler, turns) = (expected.clone(), registry.handler(), turns.clone());
                tasks.spawn(async move {
                    let _turn = turns.acquire().await.unwrap();
                    let server = serve(fault, when, packing(handler));
                    let options = Options { page: 10, ..options(&server) };
                    let got = tokio::time::timeout(Duration::from_secs(30), read(options)).await;
                    let got = got.unwrap_or_else(|_| panic!("{fault:?} {when:?} does not end"));
                    assert!(server.requests().len() < 5 + TOO_MANY_MORE, "{fault:?} {}", server.requests().len());
                    judge(fault, when, &got, &expected);
                });
            }
        }
        let many = tasks.len();
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        println!("{many} reads with a fault");
    });
}

/// Who is told to wait does, by seconds and by a date of the service's own clock.
#[test]
fn it_waits_as_long_as_it_is_told() {
    wait(async {
        let registry = Registry::made_up(1, 5, Shape::Of2026);
        for after in [RetryAfter::Seconds(2), RetryAfter::Date(3)] {
            let server = serve(Fault::Limited(after), When::Nth(0), registry.handler());
            assert_eq!(read(options(&server)).await.unwrap().len(), 5);
            let asked = server.requests();
            // Dates have whole seconds.
            assert!(asked[1].at - asked[0].at > Duration::from_millis(1500), "{after:?}");
        }
    });
}

#[test]
fn only_who_is_trusted_is_asked() {
    wait(async {
        let (authority, registry) = (Authority::new(), Registry::made_up(1, 45, Shape::Of2026));
        let server = Server::tls(registry.handler(), &authority.leaf, &authority.key);
        let trusting = Options { authorities: Some(authority.pem.clone()), ..options(&server) };
        assert_eq!(read(trusting.clone()).await.unwrap(), numbers(&registry).into_iter().collect::<Vec<_>>());
        // A certificate of another name.
        let other = Authority::of(&["elsewhere.example"]);
        let elsewhere = Server::tls(registry.handler(), &other.leaf, &other.key);
        for (authorities, url) in [
            (None, trusting.url.clone()),
            (Some(Authority::new().pem), trusting.url.clone()),
            (Some(other.pem.clone()), format!("{}/api/", elsewhere.base())),
        ] {
            let problem = read(Options { authorities, url, ..trusting.clone() }).await.unwrap_err();
            assert_eq!(problem.class, Class::Failed, "{problem}");
            assert!(problem.what.contains("no trusted connection"), "{problem}");
        }
        let bad = Options { url: "registry".to_owned(), ..Options::default() };
        assert_eq!(npi::Registry::new(bad, chrono::Utc::now()).unwrap_err().class, Class::Config);
    });
}

#[test]
fn no_key_goes_to_another_host() {
    wait(async {
        let registry = Registry::made_up(1, 45, Shape::Of2026);
        let other = Server::plain(registry.handler());
        let to = format!("{}/api/?version=2.1&taxonomy_description=Made-up*&limit=200", other.base());
        let server = Server::plain(Arc::new(move |_: &_| Response::new(302, "text/plain", "").with("Location", &to)));
        let options = Options { key: Some(Secret::new("canary-key-77")), ..options(&server) };
        let problem = source(options).describe(ALL).await.unwrap_err();
        assert_eq!(problem.class, Class::Failed, "{problem}");
        assert!(other.requests().is_empty(), "the other host was asked");
    });
}
