//! The demo in a blob container (Azurite): the same figures and the same bytes as on a local disk, also after a kill.

use crate::services::{ACCOUNT, Azurite, KEY};
use crate::support::{Said, live, rcm, said, wait};
use rcm::config::{Project, Vars};
use rcm_connectors::lake::Lake;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

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
        let vars = Vars { env: self.environment(), ..Vars::default() };
        let project = Project::open(&self.temp.path().join(dir).join("rcm.toml"), &vars).ok()?;
        Some(Lake::open(&project.lake).unwrap())
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
