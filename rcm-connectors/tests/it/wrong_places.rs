//! Places that are none, or cannot be reached: what is said, and what is not.

use crate::loads::{batch, events, spec, table};
use crate::services::{ACCOUNT, Azurite, KEY};
use crate::stores::{azure, open, options};
use crate::wait;
use rcm_connectors::lake::{Access, EngineColumns, HistoryTable, Lake, Location};
use rcm_core::{Class, Problem, Secret};
use rcm_scd2::Load;
use std::collections::BTreeMap;
use std::time::Duration;

#[test]
fn a_name_that_a_url_would_change_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&Location::Folder(folder.path().join("lake")));
    let pool = rayon::ThreadPoolBuilder::new().build().unwrap();
    for name in
        ["silver/a~b", "silver/a b", "silver/a%41", "silver/../b", "silver/", "_rcm/a", "audit", "patients", "bronze/x"]
    {
        let table = HistoryTable { name: name.to_owned(), ..table() };
        let rows = [batch(&events(0, 0))];
        let now = chrono::DateTime::UNIX_EPOCH;
        let refused = wait(lake.load(&table, &spec(), &Load::new(&rows, 0), &EngineColumns, now, &pool)).unwrap_err();
        assert!(refused.to_string().contains("is no name of a table here"), "{name}: {refused}");
    }
    assert_eq!(wait(lake.newest()).unwrap(), None);
}

#[test]
fn what_goes_wrong_is_told_without_keys() {
    let canary = "Q0FOQVJZLWtleS0xMjM0NTY3+/kwMTIzNDU2Nzg5MDEyMzQ1Njc4OTA=";
    let Some(azurite) = Azurite::start() else { return };
    let endpoint = azurite.endpoint();
    let plain = [("endpoint", endpoint.as_str()), ("allow_http", "true")];
    let signature = format!("sv=2018-11-09&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00%3A00%3A00Z&sig={canary}");
    for secret in [("account_key", canary), ("sas_token", &signature), ("token", canary)] {
        let location = azure("none", &options([plain[0], plain[1], secret]));
        let lake = open(&location);
        let told = [
            format!("{:?}", wait(lake.newest()).unwrap_err()),
            format!("{:?}", wait(lake.put("a", "b")).unwrap_err()),
            format!("{:?}", wait(lake.delete(vec!["a".to_owned()])).unwrap_err()),
            format!("{:?}", wait(Lake::existing(&location)).unwrap_err()),
            format!("{location:?} {lake:?}"),
        ];
        let says = secret.0 != "sas_token" || told[2].contains("sig=…");
        assert!(says, "object_store tells it no more: {}", told[2]);
        for told in told {
            assert!(!told.contains(&canary[..20]), "{}: {told}", secret.0);
        }
    }
    let proxy = format!("http://user:{}@127.0.0.1:9", &canary[..20]);
    let mut access = options([("proxy_url", &proxy), ("account_key", KEY)]);
    access.budget = Duration::from_secs(1);
    let location = azure("none", &access);
    let told = format!("{:?} {location:?}", wait(open(&location).newest()).unwrap_err());
    assert!(!told.contains(&canary[..20]), "{told}");

    // Nobody listens there: after its budget it says so.
    drop(azurite);
    let mut access = options([plain[0], plain[1], ("account_key", KEY)]);
    access.budget = Duration::from_secs(1);
    let gone = wait(open(&azure("none", &access)).newest()).unwrap_err();
    assert_eq!((gone.class, gone.place.as_str()), (Class::Failed, "_rcm/publishes"));
}

#[test]
fn a_wrong_place_is_refused_before_it_is_reached() {
    let refused = |url: &str, access: Access| -> Problem { Location::of(url, &access).unwrap_err() };
    let url = format!("abfss://lake@{ACCOUNT}.dfs.core.windows.net/rcm");
    let key = ("account_key", "Q0FOQVJZ%%%");
    for (url, access, place, what) in [
        ("gs://bucket/lake", Access::default(), "url", "`gs://` is not built in"),
        ("", Access::default(), "url", "is empty"),
        ("/srv/lake", options([("region", "x")]), "region", "a local folder has no options"),
        (&url, options([("acount_key", "x")]), "acount_key", "is no option of this store"),
        (
            &url,
            options([("allow_invalid_certificates", "true")]),
            "allow_invalid_certificates",
            "invalid certificates are never accepted",
        ),
        (&url, options([("timeout", "5s")]), "timeout", "is told by retry_budget"),
        (&url, options([key]), "url", "cannot be a lake"),
        (&format!("{url}?sig=CANARY"), Access::default(), "url", "holds more than a place"),
        ("s3://a:CANARY@bucket/lake", Access::default(), "url", "holds more than a place"),
        ("s3://CANARY@bucket/lake", Access::default(), "url", "holds more than a place"),
        ("s3:/bucket/lake", Access::default(), "url", "is no URL"),
        ("file://host/lake", Access::default(), "url", "names no folder of this machine"),
        (&url, options([("endpoint", "https://host/?sig=CANARY")]), "endpoint", "holds more than a place"),
        ("s3://lake/x", options([("aws_conditional_put", "disabled")]), "aws_conditional_put", "cannot be chosen"),
        ("abfss://lake@account.example/rcm", Access::default(), "url", "cannot be a lake"),
        (
            &url,
            Access { authorities: Some("no PEM".to_owned()), ..Access::default() },
            "ca_file",
            "holds no certificates",
        ),
    ] {
        let problem = refused(url, access);
        assert_eq!(
            (problem.class, problem.place.as_str(), problem.what.as_str()),
            (Class::Config, place, what),
            "{url}"
        );
        assert!(problem.hint.is_some() && !format!("{problem:?}").contains("CANARY"), "{problem:?}");
    }
    let environment = BTreeMap::from([("AWS_ALLOW_INVALID_CERTIFICATES".to_owned(), Secret::new("true"))]);
    assert_eq!(refused("s3://lake/x", Access { environment, ..Access::default() }).class, Class::Config);
}
