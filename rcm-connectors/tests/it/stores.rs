//! One contract for every place where a lake may lie: a local disk, Azure Blob by key, by signature and by managed identity
//! (Azurite, over TLS with a private authority), S3 (moto), and a store whose answers get lost.

use crate::components::Authority;
use crate::loads::{fold, load_all, read, versions};
use crate::services::{ACCOUNT, Answers, Azurite, BadLine, KEY, S3, entra_token, sas};
use crate::wait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use rcm_connectors::lake::{Access, Checkpoints, Lake, Location};
use rcm_core::{Class, Secret};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

pub(crate) fn open(location: &Location) -> Lake {
    Lake::open(location).unwrap()
}

/// All that a lake needs of a place.
fn contract(location: &Location) {
    assert!(wait(Lake::existing(location)).unwrap().is_none(), "there is no lake yet");
    names_are_given_once(&open(location));
    assert!(wait(Lake::existing(location)).unwrap().is_some());
    one_at_a_time(location);
    two_writers(location);
    what_nobody_names_goes(&open(location));
}

fn names_are_given_once(lake: &Lake) {
    wait(async {
        let path = "_rcm/state/some table/00000001-0a1b2c3d-part.json";
        assert_eq!(lake.find(path).await.unwrap(), None);
        assert!(lake.put_if_absent(path, "first").await.unwrap());
        assert!(!lake.put_if_absent(path, "second").await.unwrap());
        // As of one whose first answer was lost.
        assert!(lake.put_if_absent(path, "first").await.unwrap());
        assert_eq!(lake.get(path).await.unwrap(), "first");
        // Engines that read the files themselves go by the place that the store tells.
        let place: Path = path.split('/').collect();
        assert_eq!(lake.object_store().head(&place).await.unwrap().location, place);
        lake.put("_rcm/state/some table/00000001-0a1b2c3d-a.json", "").await.unwrap();
        let names = lake.names("_rcm/state/some table").await.unwrap();
        assert_eq!(names, ["00000001-0a1b2c3d-a.json", "00000001-0a1b2c3d-part.json"]);
        assert_eq!(lake.names("_rcm/state/other").await.unwrap(), [""; 0]);
        let missing = lake.get("silver/none").await.unwrap_err();
        assert_eq!((missing.class, missing.place.as_str()), (Class::Failed, "silver/none"));
    });
}

fn one_at_a_time(location: &Location) {
    // Who waits looks seldom, against who beats often: a busy machine changes nothing.
    let open = |every| open(location).beating(Duration::from_millis(every));
    wait(async {
        let held = open(20).lease().await.unwrap();
        let refused = open(500).lease().await.unwrap_err();
        assert_eq!(refused.class, Class::Busy);
        assert!(refused.what.contains(&format!("process {}", std::process::id())), "{refused}");
        held.end().await;
        // One that is let go is free, one that is dropped runs out, and its number is not free again.
        drop(open(20).lease().await.unwrap());
        open(100).lease().await.unwrap().end().await;
        let beats = open(20).names("_rcm/lease").await.unwrap();
        assert_eq!(beats.len(), 1, "the beats of before are gone: {beats:?}");
        assert!(beats[0].as_str() >= "00000000000000000005.json", "{beats:?}");
    });
}

/// Of two who both beat, because one was stopped while the other came, one is left.
#[test]
fn who_wakes_up_behind_another_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::Folder(folder.path().join("lake"));
    let open = |every| open(&location).beating(Duration::from_millis(every));
    wait(async {
        // Of the first one no beat comes for so long that the second one takes over; then they come again.
        let (stopped, quick) = (open(2000).lease().await.unwrap(), open(20).lease().await.unwrap());
        tokio::time::sleep(Duration::from_millis(3000)).await;
        assert_eq!(open(500).lease().await.unwrap_err().class, Class::Busy, "the second one holds it");
        quick.end().await;
        let third = open(20).lease().await.unwrap();
        stopped.end().await;
        assert_eq!(open(500).lease().await.unwrap_err().class, Class::Busy, "the first one ends what is not its own");
        third.end().await;
        assert_eq!(open(10).names("_rcm/lease").await.unwrap().len(), 1);
    });
}

fn two_writers(location: &Location) {
    let writer = |process| move || load_all(|| open(location).beating(Duration::from_millis(20)), process, 3);
    std::thread::scope(|scope| {
        scope.spawn(writer(0));
        scope.spawn(writer(1));
    });
    let (publish, rows) = read(&open(location)).unwrap();
    assert_eq!((publish, versions(&rows)), (6, fold(2, 3)));
}

fn what_nobody_names_goes(lake: &Lake) {
    wait(async {
        lake.put("silver/history/0-0/00000002-0a1b2c3d.parquet", "left over").await.unwrap();
        let unneeded = lake.unneeded(6, 7, &mut Checkpoints::new()).await.unwrap();
        let left = unneeded.iter().find(|file| file.path == "silver/history/0-0/00000002-0a1b2c3d.parquet").unwrap();
        assert_eq!(left.size, 9);
        assert!(unneeded.len() > 1, "the files of older publishes too");
        for file in &unneeded {
            lake.delete(vec![file.path.clone()]).await.unwrap();
            lake.delete(vec![file.path.clone()]).await.unwrap();
        }
        assert_eq!(lake.unneeded(6, 7, &mut Checkpoints::new()).await.unwrap(), []);
    });
    let (_, rows) = read(lake).unwrap();
    assert_eq!(versions(&rows), fold(2, 3));
}

pub(crate) fn options<const N: usize>(options: [(&str, &str); N]) -> Access {
    let options = options.map(|(name, value)| (name.to_owned(), Secret::new(value))).into();
    Access { options, budget: Duration::from_secs(20), ..Access::default() }
}

pub(crate) fn azure(prefix: &str, access: &Access) -> Location {
    Location::of(&format!("abfss://lake@{ACCOUNT}.dfs.core.windows.net/{prefix}"), access).unwrap()
}

#[test]
fn a_local_disk() {
    let folder = tempfile::tempdir().unwrap();
    contract(&Location::Folder(folder.path().join("lake é")));
}

/// Puts that were carried out, and of which every other one is told to be there already.
#[derive(Debug, Default)]
struct AnswersLost {
    store: InMemory,
    puts: AtomicU32,
    /// While a beat is on its way, another process takes its number, the one behind it too, and ends.
    overtakes: AtomicBool,
}

impl fmt::Display for AnswersLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("answers lost")
    }
}

#[async_trait::async_trait]
impl ObjectStore for AnswersLost {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let lost = || Error::AlreadyExists { path: location.to_string(), source: "asked twice".into() };
        if location.as_ref().contains("lease") && self.overtakes.swap(false, Ordering::SeqCst) {
            let ended = r#"{"holder":"another","process":1,"ended":true}"#;
            self.store.put(&Path::from(location.as_ref().replace("1.json", "2.json")), ended.into()).await?;
            return Err(lost());
        }
        let put = self.store.put_opts(location, payload, opts).await?;
        match self.puts.fetch_add(1, Ordering::SeqCst) % 2 {
            0 => Err(lost()),
            _ => Ok(put),
        }
    }

    async fn put_multipart_opts(&self, at: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

#[test]
fn a_store_whose_answers_get_lost() {
    contract(&Location::Store { name: "answers lost".to_owned(), store: Arc::new(AnswersLost::default()) });
}

#[test]
fn a_number_that_was_taken_and_is_gone_again_is_another_s() {
    let store = AnswersLost { overtakes: true.into(), ..AnswersLost::default() };
    let lake = open(&Location::Store { name: "overtaken".to_owned(), store: Arc::new(store) });
    wait(async {
        let held = lake.lease().await.unwrap();
        assert_eq!(lake.names("_rcm/lease").await.unwrap(), ["00000000000000000003.json"]);
        held.end().await;
    });
}

#[test]
fn azure_by_account_key() {
    let Some(azurite) = Azurite::start() else { return };
    let access = options([("endpoint", &azurite.endpoint()), ("allow_http", "true"), ("account_key", KEY)]);
    contract(&azure("by key/é", &access));
}

#[test]
fn azure_over_a_line_that_breaks() {
    let Some(azurite) = Azurite::start() else { return };
    let line = BadLine::to(azurite.port());
    let endpoint = format!("http://127.0.0.1:{}/{ACCOUNT}", line.port);
    let access = options([("endpoint", &endpoint), ("allow_http", "true"), ("account_key", KEY)]);
    contract(&azure("by-a-bad-line", &access));
    let broken = line.broken.load(Ordering::SeqCst);
    assert!(broken > 10, "{broken} connections broke");
}

#[test]
fn azure_by_signature() {
    let Some(azurite) = Azurite::start() else { return };
    let access =
        options([("azure_storage_endpoint", &azurite.endpoint()), ("allow_http", "true"), ("sas_token", &sas())]);
    contract(&azure("by-signature", &access));
    // The same out of the environment.
    let environment = [
        ("AZURE_STORAGE_ENDPOINT", azurite.endpoint()),
        ("AZURE_ALLOW_HTTP", "true".to_owned()),
        ("AZURE_STORAGE_SAS_TOKEN", sas()),
        ("AZURE_CORE_OUTPUT", "of another program".to_owned()),
        ("HOME", "/".to_owned()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), Secret::new(value))).into();
    names_are_given_once(&open(&azure("by-environment", &Access { environment, ..Access::default() })));
}

#[test]
fn azure_by_managed_identity_over_tls() {
    let authority = Authority::new();
    let Some(azurite) = Azurite::start_tls(&authority) else { return };
    let tokens = Answers::start(Some(&authority), |head| match head {
        asked if asked.contains("resource=https%3A%2F%2Fstorage.azure.com") && asked.contains("metadata: true") => {
            entra_token()
        }
        _ => String::new(),
    });
    let identity = format!("https://127.0.0.1:{}/metadata/identity/oauth2/token", tokens.port);
    let mut access = options([("endpoint", &azurite.endpoint()), ("identity_endpoint", &identity)]);
    access.authorities = Some(authority.pem.clone());
    contract(&azure("by-identity", &access));
    assert!(tokens.asked.load(Ordering::SeqCst) > 0);

    // A client by its secret, and a workload by a token in a file, at the authority of a tenant.
    let entra = Answers::start(Some(&authority), |said| {
        let secret = said.contains("client_secret=a+secret");
        let workload = said.contains("client_assertion=of+a+workload") && said.contains("urn%3Aietf");
        let asked = said.contains("POST /tenant/oauth2/v2.0/token ") && said.contains("client_id=client");
        if asked && (secret || workload) { entra_token() } else { String::new() }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "of a workload").unwrap();
    let host = format!("https://127.0.0.1:{}", entra.port);
    for (n, own) in
        [("client_secret", "a secret"), ("federated_token_file", file.to_str().unwrap())].into_iter().enumerate()
    {
        let by_client = [("authority_host", host.as_str()), ("client_id", "client"), ("tenant_id", "tenant"), own];
        let mut access = options([("endpoint", azurite.endpoint().as_str()), own]);
        access.options.extend(by_client.map(|(name, value)| (name.to_owned(), Secret::new(value))));
        access.authorities = Some(authority.pem.clone());
        names_are_given_once(&open(&azure(&format!("by-client-{n}"), &access)));
        assert!(entra.asked.load(Ordering::SeqCst) > n);
    }

    // Who does not know the authority trusts nobody.
    access.authorities = Some(Authority::new().pem);
    access.budget = Duration::from_secs(2);
    let stranger = wait(open(&azure("by-identity", &access)).newest()).unwrap_err();
    assert_eq!(stranger.class, Class::Failed);
}

fn s3(prefix: &str, server: &S3, authority: &Authority, more: &[(&str, &str)]) -> Location {
    let mut access = options([("endpoint", &server.endpoint()), ("region", "us-east-1")]);
    access.authorities = Some(authority.pem.clone());
    access.options.extend(more.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))));
    Location::of(&format!("s3://lake/{prefix}"), &access).unwrap()
}

#[test]
fn s3_by_every_kind_of_credentials() {
    let authority = Authority::new();
    let Some(server) = S3::start(&authority) else { return };
    contract(&s3("by key/é", &server, &authority, &[("access_key_id", "a"), ("secret_access_key", "b")]));

    let session = r#"{"Code": "Success", "AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": "2099-01-01T00:00:00Z"}"#;
    // A container's credentials.
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "container").unwrap();
    let container = Answers::start(None, move |head| match head.contains("authorization: container") {
        true => session.to_owned(),
        false => String::new(),
    });
    let uri = format!("http://127.0.0.1:{}/", container.port);
    let (uri, token) = (uri.as_str(), token.to_str().unwrap());
    let more = [("container_credentials_full_uri", uri), ("container_authorization_token_file", token)];
    names_are_given_once(&open(&s3("by-container", &server, &authority, &more)));
    assert!(container.asked.load(Ordering::SeqCst) > 0);

    // An instance's, by the second version of its metadata service.
    let instance = Answers::start(None, move |head| match head.lines().next().unwrap_or_default() {
        line if line.starts_with("PUT /latest/api/token ") => "instance".to_owned(),
        _ if !head.contains("x-aws-ec2-metadata-token: instance") => String::new(),
        line if line.contains("/iam/security-credentials/role ") => session.to_owned(),
        _ => "role".to_owned(),
    });
    let endpoint = format!("http://127.0.0.1:{}", instance.port);
    names_are_given_once(&open(&s3("by-instance", &server, &authority, &[("metadata_endpoint", &endpoint)])));
    assert!(instance.asked.load(Ordering::SeqCst) >= 3);

    // A web identity, by a token service. (moto's answers in another version of the protocol.)
    let sts = Answers::start(Some(&authority), |head| {
        match head.contains("Action=AssumeRoleWithWebIdentity") {
        true => "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>a</AccessKeyId>\
            <SecretAccessKey>b</SecretAccessKey><SessionToken>c</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
            </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
            .to_owned(),
        false => String::new(),
    }
    });
    let endpoint = format!("https://127.0.0.1:{}", sts.port);
    let role = "arn:aws:iam::123456789012:role/lake";
    let web = [("web_identity_token_file", token), ("role_arn", role), ("endpoint_url_sts", &endpoint)];
    names_are_given_once(&open(&s3("by-web-identity", &server, &authority, &web)));
    assert!(sts.asked.load(Ordering::SeqCst) > 0);
}
