//! The demo in a blob container (Azurite): the same figures and the same bytes as on a local disk, also after a kill, and
//! when somebody was stopped and wakes up.
#![allow(clippy::print_stdout)] // how they ended

use crate::services::{ACCOUNT, Azurite, KEY};
use crate::support::{DAY1, DAY2, Said, live, rcm, said, wait};
use futures::TryStreamExt;
use rcm::config::{Project, Vars};
use rcm_connectors::lake::Lake;
use rcm_core::Secret;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Cloud {
    azurite: Azurite,
    temp: tempfile::TempDir,
}

impl Cloud {
    fn environment(&self) -> BTreeMap<String, String> {
        let pairs = [
            ("AZURE_STORAGE_ENDPOINT", self.azurite.endpoint()),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY.to_owned()),
            ("AZURE_ALLOW_HTTP", "true".to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rcm"));
        command.args(args).envs(self.environment());
        command
    }

    fn demo(&self, dir: &str, lake: &str) -> Command {
        let url = format!("abfss://lake@{ACCOUNT}.dfs.core.windows.net/{lake}");
        self.command(&["demo", "--dir", self.temp.path().join(dir).to_str().unwrap(), "--lake", &url])
    }

    fn rcm(&self, dir: &str, args: &[&str]) -> Said {
        let config = self.temp.path().join(dir).join("rcm.toml");
        said(&mut self.command(&[&["-c", config.to_str().unwrap()], args].concat()))
    }

    fn lake(&self, dir: &str) -> Option<Lake> {
        let env = self.environment().into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        let vars = Vars { env, ..Vars::default() };
        let project = Project::open(&self.temp.path().join(dir).join("rcm.toml"), &vars).ok()?;
        Some(Lake::open(&wait(project.lake.now()).unwrap()).unwrap())
    }

    fn live(&self, dir: &str) -> Vec<(String, String)> {
        live(&self.lake(dir).unwrap())
    }
}

/// Figures and bytes of the demo on a local disk.
fn local(dir: &Path) -> (String, Vec<(String, String)>) {
    let done = rcm(&["demo", "--dir", dir.to_str().unwrap()]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    (done.stdout, live(&Lake::local(&dir.join("lake")).unwrap()))
}

#[test]
fn the_demo_in_a_container_is_that_on_a_disk() {
    let Some(azurite) = Azurite::start() else { return };
    let cloud = Cloud { azurite, temp: tempfile::tempdir().unwrap() };
    let (figures, bytes) = local(&cloud.temp.path().join("local"));

    let done = said(&mut cloud.demo("demo", "whole"));
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(done.stdout.replace("/demo/", "/local/"), figures);
    assert_eq!(cloud.live("demo"), bytes);
    let folder = cloud.temp.path().join("demo");
    assert!(!folder.join("lake").exists() && !folder.join("abfss:").exists(), "nothing lies in the folder");

    let again = cloud.rcm("demo", &["run", "--as-of", "2026-06-30T00:00:00Z"]);
    assert_eq!((again.code, again.stderr.contains("nothing new")), (0, true), "{}", again.stderr);
    let status = cloud.rcm("demo", &["status"]);
    assert!(status.stdout.contains("published  2  as of 2026-06-30T00:00:00Z"), "{}", status.stdout);
    let day1 = cloud.rcm("demo", &["status", "--at", "2026-06-29"]);
    assert!(day1.stdout.contains("published  1  as of 2026-06-29T00:00:00Z"), "{}", day1.stdout);
    let kept = cloud.rcm("demo", &["maintain"]);
    assert_eq!(
        (kept.code, kept.stdout.ends_with("deleted; publishes from 1 on can be read\n")),
        (0, true),
        "{}",
        kept.stderr
    );
    assert_eq!(cloud.live("demo"), bytes);

    // Without the key it says what is wrong, and not where the key would be.
    let config = folder.join("rcm.toml");
    let mut keyless = Command::new(env!("CARGO_BIN_EXE_rcm"));
    keyless.args(["-c", config.to_str().unwrap(), "status"]).env("AZURE_STORAGE_ENDPOINT", cloud.azurite.endpoint());
    let refused =
        said(keyless.env("AZURE_ALLOW_HTTP", "true").env("AZURE_STORAGE_SAS_TOKEN", "sv=2018-11-09&sig=CANARY"));
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("cannot be read") && !refused.stderr.contains("CANARY"), "{}", refused.stderr);
}

#[test]
fn a_run_that_was_killed_in_a_container_is_finished_by_the_next() {
    let Some(azurite) = Azurite::start() else { return };
    let cloud = Cloud { azurite, temp: tempfile::tempdir().unwrap() };
    let (figures, bytes) = local(&cloud.temp.path().join("local"));
    // While it lands files, and behind its intent.
    for dir in ["early", "late"] {
        let mut child = cloud.demo(dir, dir).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        match dir {
            "early" => {
                let said = BufReader::new(child.stderr.take().unwrap()).lines();
                assert!(said.map_while(Result::ok).any(|line| line.starts_with("bronze")));
            }
            _ => {
                while !matches!(cloud.lake(dir), Some(lake) if wait(lake.intent(1)).unwrap().is_some()) {
                    assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
                }
            }
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9), "it ended by itself");
        // Its beats stand for a while; then they count as run out.
        let done = said(&mut cloud.demo(dir, dir));
        assert_eq!(done.code, 0, "{}", done.stderr);
        let takes_over = done.stderr.contains("finishing publish 1, which an earlier run began");
        assert_eq!(takes_over, dir == "late", "{}", done.stderr);
        assert_eq!(done.stdout.replace(&format!("/{dir}/"), "/local/"), figures);
        assert_eq!(cloud.live(dir), bytes);
    }
}

/// Kinds of write, and what can be seen of each: a path that holds these words.
const WRITES: [(&str, [&str; 2]); 6] = [
    ("data", ["silver/", ".parquet"]),
    ("state", ["_rcm/state/", ""]),
    ("intent", ["_rcm/intents/00000000000000000001", ""]),
    ("commit", ["silver/", "/_delta_log/"]),
    ("publish", ["_rcm/publishes/00000000000000000001", ""]),
    // Of `maintain`, which deletes behind its publish record.
    ("delete", ["_rcm/publishes/00000000000000000003", ""]),
];

/// Six kinds of write are the full form, `RCM_STOPS=1`; else one of them.
#[test]
fn who_is_stopped_behind_a_write_to_a_container_wakes_up_to_no_harm() {
    let Some(azurite) = Azurite::start() else { return };
    let cloud = Cloud { azurite, temp: tempfile::tempdir().unwrap() };
    let local = crate::support::Project::after_day1();
    let day1 = local.live();
    local.deliver_day2();
    local.ok(&["run", "--as-of", DAY2]);
    let day2 = local.live();
    let sample = std::process::id() as usize % WRITES.len();
    for (n, (kind, words)) in WRITES.into_iter().enumerate() {
        if n != sample && std::env::var("RCM_STOPS").is_err() {
            continue;
        }
        let project = crate::support::Project::new();
        let url = format!("abfss://lake@{ACCOUNT}.dfs.core.windows.net/{kind}");
        project.edit("rcm.toml", "url = \"lake\"", &format!("url = \"{url}\""));
        project.edit("rcm.toml", "keep_publishes = 100", "keep_publishes = 1");
        std::os::unix::fs::symlink(&project.dir, cloud.temp.path().join(kind)).unwrap();
        let (mut verb, mut end) = (vec!["run", "--as-of", DAY1], &day1);
        if kind == "delete" {
            cloud.rcm(kind, &verb);
            project.deliver_day2();
            cloud.rcm(kind, &["run", "--as-of", DAY2]);
            (verb, end) = (vec!["maintain"], &day2);
        }
        let config = project.path("rcm.toml");
        let mut child = cloud
            .command(&[&["-c", config.to_str().unwrap()], &verb[..]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lake = cloud.lake(kind).unwrap();
        let is_there = || {
            let store = lake.object_store();
            let listing: Vec<_> = wait(store.list(None).try_collect()).unwrap();
            listing.iter().any(|object| words.iter().all(|word| object.location.as_ref().contains(word)))
        };
        while !is_there() {
            assert!(child.try_wait().unwrap().is_none(), "{kind}: it ended before it was seen");
        }
        let signal = |name: &str, child: &Child| {
            assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
        };
        signal("-STOP", &child);
        // They wait until its beats have stood still for long enough.
        for verb in [&verb[..], &["maintain"]] {
            let other = cloud.rcm(kind, verb);
            assert_eq!(other.code, 0, "{kind}: {}", other.stderr);
        }
        assert_eq!(&cloud.live(kind), end, "{kind}: the other one's run");
        signal("-CONT", &child);
        let out = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!([Some(0), Some(5)].contains(&out.status.code()), "{kind}: {said}");
        println!("stopped behind {kind} and ended with {:?}", out.status.code());
        assert_eq!(&cloud.live(kind), end, "{kind}: what it left when it woke up");
        let again = cloud.rcm(kind, &["run", "--as-of", if kind == "delete" { DAY2 } else { DAY1 }]);
        assert_eq!((again.code, again.stderr.contains("nothing new")), (0, true), "{kind}: {}", again.stderr);
    }
}
