//! Secrets of a project that a Key Vault keeps, and a file: asked for when they are needed, and never told.

use crate::components::Authority;
use crate::crash::{Fixed, Silent};
use crate::databases::Databases;
use crate::services::{ACCOUNT, Azurite, KEY};
use crate::support::{DAY1, DAY2, Project, Said, said, wait};
use crate::web::http::Server;
use crate::web::vault::{CLIENT, TENANT, Vault};
use rcm::config::{Project as Config, Vars};
use rcm::pipeline::{self, Options};
use rcm_core::Secret;
use std::process::Command;

const SHOWN: &str = "Qzcanary-shown-77";

/// A vault, and who gives out its tokens: Entra over TLS, a managed identity without it, as Azure has them.
pub(crate) struct Kept {
    pub(crate) vault: Vault,
    pub(crate) far: Server,
    near: Server,
    authority: Authority,
}

impl Kept {
    pub(crate) fn new() -> Kept {
        let (vault, authority) = (Vault::new(SHOWN), Authority::new());
        let far = Server::tls(vault.handler(), &authority.leaf, &authority.key);
        let near = Server::plain(vault.handler());
        Kept { vault, far, near, authority }
    }

    /// How a setting names a secret.
    pub(crate) fn reference(&self, name: &str) -> String {
        format!("${{kv:127.0.0.1:{}/{name}}}", self.far.port)
    }

    /// The environment of an application with a secret.
    pub(crate) fn application(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AZURE_TENANT_ID", TENANT.to_owned()),
            ("AZURE_CLIENT_ID", CLIENT.to_owned()),
            ("AZURE_CLIENT_SECRET", SHOWN.to_owned()),
            ("AZURE_AUTHORITY_HOST", self.far.base()),
            ("SSL_CERT_FILE", self.authority.path("ca.pem").display().to_string()),
        ]
    }

    /// That of a machine with an identity of its own.
    pub(crate) fn managed(&self) -> Vec<(&'static str, String)> {
        vec![
            ("IDENTITY_ENDPOINT", format!("{}/msi/token", self.near.base())),
            ("IDENTITY_HEADER", SHOWN.to_owned()),
            ("SSL_CERT_FILE", self.authority.path("ca.pem").display().to_string()),
        ]
    }
}

fn rcm(project: &Project, environment: Vec<(&str, String)>, args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rcm"));
    said(command.arg("-c").arg(project.path("rcm.toml")).args(args).envs(environment))
}

/// A managed identity; a vault that is away; one that has no such secret.
#[test]
fn a_password_of_a_vault() {
    let Some(b) = Databases::new() else { return };
    let kept = Kept::new();
    kept.vault.set("emr-b", crate::server::PASSWORD);
    b.project.edit("rcm.toml", "${env:EMR_B_PASSWORD}", &kept.reference("emr-b"));
    let run = |args: &[&str]| {
        let said = rcm(&b.project, kept.managed(), args);
        assert!(!format!("{}{}", said.stdout, said.stderr).contains("canary"), "{}", said.stderr);
        said
    };
    let said = run(&["run", "--as-of", DAY1]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let said = run(&["check", "--connect"]);
    assert!(said.code == 0 && said.stdout.contains("emr-b: hos-b.patients"), "{}", said.stdout);
    // It cannot be reached: the loads of this source may get better, the others are published, and what is checked without a
    // connection is right.
    kept.far.refuse(None);
    b.project.deliver_day2();
    let said = run(&["run", "--as-of", DAY2]);
    assert_eq!(said.code, 75, "{}", said.stderr);
    let place = format!("sources.emr-b.password: kv:127.0.0.1:{}/emr-b: the vault cannot be reached", kept.far.port);
    assert!(said.stderr.contains(&place), "{}", said.stderr);
    let newest = b.project.newest().unwrap();
    assert_eq!((newest.publish, newest.stale.iter().all(|load| load.starts_with("hos-b."))), (2, true));
    assert_eq!(run(&["check"]).code, 0);
    kept.far.listen();
    // Another one is not there.
    b.project.edit("rcm.toml", "/emr-b}", "/emr-c}");
    let said = run(&["run", "--as-of", "2026-07-01T00:00:00Z", "--json"]);
    assert!(said.code == 1 && said.stdout.contains("there is no such secret"), "{}", said.stdout);
    let said = run(&["check", "--connect"]);
    assert!(said.code == 1 && said.stdout.contains("az keyvault secret list"), "{}", said.stdout);
}

/// The child of the next test: a program that goes on for long, and opened its project once.
#[test]
fn child() {
    let Ok(project) = std::env::var("RCM_TEST_ROTATES") else { return };
    let environment = std::env::vars().map(|(name, value)| (name, Secret::new(value))).collect();
    let vars = Vars { env: environment, ..Vars::default() };
    let project = Config::open(project.as_ref(), &vars).unwrap();
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).unwrap() > 0 {
        let options = Options { as_of: Some(line.trim().parse().unwrap()), ..Options::default() };
        let report = wait(pipeline::run(&project, &options, &Fixed, &Silent));
        eprintln!("exit {} {:?}", report.exit_code(), report.problems);
        line.clear();
    }
}

#[test]
fn a_secret_that_is_changed_counts_without_a_restart() {
    use std::io::{BufRead, BufReader, Write};
    let Some(b) = Databases::new() else { return };
    let kept = Kept::new();
    // A reader of its own: the password of the others stays.
    b.sql("DROP ROLE IF EXISTS rotated; CREATE ROLE rotated LOGIN SUPERUSER PASSWORD 'canary-first'");
    kept.vault.set("emr-b", "canary-first");
    b.project.write("secret", "canary-first\n");
    b.project.edit("rcm.toml", "user = \"admin\"", "user = \"rotated\"");
    let file = format!("${{file:{}}}", b.project.path("secret").display());
    let mut day = 0;
    let mut before = "${env:EMR_B_PASSWORD}".to_owned();
    for reference in [kept.reference("emr-b"), file] {
        b.project.edit("rcm.toml", &before, &reference);
        before = reference;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "vault::child", "--test-threads=1", "--nocapture"])
            .env("RCM_TEST_ROTATES", b.project.path("rcm.toml"))
            .envs(kept.application())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let (mut orders, mut answers) =
            (child.stdin.take().unwrap(), BufReader::new(child.stderr.take().unwrap()).lines());
        let mut run = || {
            day += 1;
            writeln!(orders, "2026-07-{day:02}T00:00:00Z").unwrap();
            answers.next().unwrap().unwrap()
        };
        assert!(run().starts_with("exit 0"));
        b.sql("ALTER ROLE rotated PASSWORD 'canary-second'");
        let refused = run();
        assert!(refused.starts_with("exit 1") && refused.contains("login") && !refused.contains("canary"), "{refused}");
        kept.vault.set("emr-b", "canary-second");
        b.project.write("secret", "canary-second");
        assert!(run().starts_with("exit 0"));
        drop(orders);
        assert!(child.wait().unwrap().success());
        b.sql("ALTER ROLE rotated PASSWORD 'canary-first'");
        kept.vault.set("emr-b", "canary-first");
        b.project.write("secret", "canary-first\r\n");
    }
}

#[test]
fn the_key_of_a_lake_in_a_vault() {
    let Some(azurite) = Azurite::start() else { return };
    let (kept, project) = (Kept::new(), Project::new());
    kept.vault.set("lake", KEY);
    let options = format!(
        "url = \"abfss://lake@{ACCOUNT}.dfs.core.windows.net/kept\"\n[lake.storage_options]\nendpoint = \"{}\"\n\
         allow_http = \"true\"\naccount_key = \"{}\"",
        azurite.endpoint(),
        kept.reference("lake")
    );
    project.edit("rcm.toml", "url = \"lake\"", &options);
    let ok = |args: &[&str]| {
        let said = rcm(&project, kept.application(), args);
        assert!(said.code == 0 && !said.stderr.contains("canary"), "{}", said.stderr);
        said
    };
    ok(&["check"]);
    ok(&["run", "--as-of", DAY1]);
    assert!(ok(&["status"]).stdout.contains("published  1"));
    ok(&["maintain"]);
    assert!(ok(&["check", "--connect"]).stdout.contains("is there"));
    // A key that is none is said to be none, and where.
    kept.vault.set("lake", "canary is no key");
    let said = rcm(&project, kept.application(), &["status"]);
    assert!(said.code == 2 && said.stderr.contains("lake: url: cannot be a lake"), "{}", said.stderr);
    kept.far.refuse(None);
    let said = rcm(&project, kept.application(), &["run", "--as-of", DAY2]);
    assert!(said.code == 75 && said.stderr.contains("lake.storage_options.account_key: kv:"), "{}", said.stderr);
    assert!(!said.stderr.contains("canary"), "{}", said.stderr);
}

#[test]
fn references_are_checked_before_anything_is_asked() {
    let project = Project::new();
    let toml = project.read("rcm.toml");
    let source = |password: &str| {
        format!(
            "\n[sources.x]\nkind = \"postgres\"\nhost = \"h\"\ndatabase = \"d\"\nuser = \"u\"\npassword = \"{password}\"\n"
        )
    };
    let lake = |line: &str| {
        let options = format!("[lake.storage_options]\naccount_key = \"{line}\"\n");
        let url = "url = \"abfss://c@a.dfs.core.windows.net/x\"";
        toml.replace("url = \"lake\"", &format!("{url}\n{options}"))
    };
    let with = |text: &str| toml.clone() + text;
    let identity: &[(&str, &str)] = &[("AZURE_CLIENT_SECRET", "canary")];
    for (text, environment, code, word) in [
        (with(&source("${kv:v/n}")), &[][..], 0, ""),
        (lake("${kv:v/n}"), &[], 0, ""),
        (with(&source("${kv:v}")), &[], 2, "sources.x.password: `${kv:v}` names no vault and secret"),
        (with(&source("${kv:v/n/1}")), &[], 2, "letters, digits and `-` are expected behind the `/`"),
        (with(&source("${kv:v/n}canary")), &[], 2, "is a secret, which never stands in a file"),
        (with(&source("${kv:v/n}")), identity, 2, "nobody can ask a vault: AZURE_TENANT_ID is not set"),
        (with(&source("${file:secret}")), &[], 2, "sources.x.password: `${file:…}` names no whole path"),
        (with(&source("${file:/nowhere/secret}")), &[], 2, "`${file:/nowhere/secret}` cannot be read"),
        (with(&source("x").replace("user = \"u\"", "user = \"${kv:v/n}\"")), &[], 2, "stands for a secret"),
        (lake("${kv:v}"), &[], 2, "lake.storage_options.account_key: `${kv:v}` names no vault"),
        (
            lake("${kv:v/n}").replace("abfss://c@a.dfs.core.windows.net/x", "folder"),
            &[],
            2,
            "lake.storage_options.account_key: a local folder has no options",
        ),
    ] {
        project.write("rcm.toml", &text);
        let environment = environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let said = rcm(&project, environment, &["check"]);
        assert_eq!(said.code, code, "{word}: {}", said.stderr);
        assert!(said.stderr.contains(word) && !said.stderr.contains("canary"), "{word}: {}", said.stderr);
    }
}
