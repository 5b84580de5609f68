//! Eight processes load into one table at once: whoever loses a publish number tries again, and history is that of all
//! loads, whatever the order. With the lease, and without it, when nothing but the numbers protects the data; some of the
//! processes are stopped now and then and wake up in a lake that went on.
//!
//! `RCM_CONTENTION=50 cargo test -p rcm-connectors --features azure,s3 --test it contention -- --nocapture` lets each load fifty
//! times; `cargo test` less often.
use crate::loads::{fold, load_all, read, spec, versions};
use rcm_connectors::lake::{Disk, Lake, Os};
use rcm_scd2::verify;
use std::fs::{DirEntry, File};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const CHILD: &str = "RCM_CONTENTION_CHILD";
const PROCESSES: i64 = 8;

/// The operating system's disk.
#[derive(Debug)]
struct Unsteady {
    /// With a lease that is everybody's: each process locks a file of its own.
    no_lease: bool,
    /// Behind every fourth intent of a process it is stopped.
    stops: bool,
}

impl Disk for Unsteady {
    fn create(&self, path: &Path, bytes: &[&[u8]]) -> io::Result<()> {
        Os.create(path, bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        Os.sync(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        static INTENTS: AtomicU32 = AtomicU32::new(0);
        Os.link(from, to)?;
        if self.stops
            && to.to_string_lossy().contains("_rcm/intents")
            && INTENTS.fetch_add(1, Ordering::SeqCst) % 4 == std::process::id() % 4
        {
            signal(std::process::id(), "STOP");
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Os.remove(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        Os.make_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        Os.sync_folder(path)
    }

    fn read(&self, path: &Path, range: Option<Range<u64>>) -> io::Result<Vec<u8>> {
        Os.read(path, range)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        Os.list(path)
    }

    fn open_lock(&self, path: &Path) -> io::Result<File> {
        let own = path.with_file_name(format!("lock-{}", std::process::id()));
        Os.open_lock(if self.no_lease { &own } else { path })
    }

    fn sign_lock(&self, _: &mut File, _: &str) -> io::Result<()> {
        Ok(())
    }
}

/// By which lease a lake is opened: `lock` of the OS, `beats` every few milliseconds, or `none`.
fn lake(folder: &Path, lease: &str, stops: bool) -> Lake {
    let lake = Lake::on(Arc::new(Unsteady { no_lease: lease == "none", stops }), folder).unwrap();
    if lease == "beats" { lake.beating(Duration::from_millis(10)) } else { lake }
}

/// One of the eight; by itself it does nothing.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let [process, loads, lease, stops, folder] = told.splitn(5, ' ').collect::<Vec<_>>()[..] else { panic!("{told}") };
    let (process, loads, stops) = (process.parse().unwrap(), loads.parse().unwrap(), stops == "true");
    let (conflicts, took_over) = load_all(|| lake(Path::new(folder), lease, stops), process, loads);
    println!("did {conflicts} {took_over}");
}

fn signal(process: u32, name: &str) {
    Command::new("kill").args([&format!("-{name}"), &process.to_string()]).stderr(Stdio::null()).status().unwrap();
}

/// `distinct`: how many of the processes bring loads of their own; the others repeat them.
fn contend(distinct: i64, lease: &str, stops: bool) {
    let loads: i64 = std::env::var("RCM_CONTENTION").map_or(4, |n| n.parse().unwrap());
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("lake");
    let started = std::time::Instant::now();
    let start = |process: i64| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "contention::child", "--nocapture", "--test-threads=1"])
            .env(CHILD, format!("{} {loads} {lease} {stops} {}", process % distinct, folder.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut children: Vec<Child> = (0..PROCESSES).map(start).collect();
    // A reader looks all the while, and one process after the other is stopped; all are let go on again.
    let (mut polls, mut last) = (0, 0);
    let (reader, spec) = (lake(&folder, lease, false), spec());
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        if stops {
            signal(children[polls % children.len()].id(), "STOP");
        }
        if let Some((publish, rows)) = read(&reader) {
            assert!(publish >= last, "the newest publish goes back");
            last = publish;
            verify(&spec, &rows).unwrap();
        }
        std::thread::sleep(Duration::from_millis(if stops { 120 } else { 30 }));
        if stops {
            children.iter().for_each(|child| signal(child.id(), "CONT"));
        }
        polls += 1;
    }
    let (mut conflicts, mut took_over) = (0, 0);
    for child in children {
        let out = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
        let did = said.lines().find_map(|line| line.split_once("did ")).unwrap().1.to_owned();
        let counts: Vec<u64> = did.split_whitespace().map(|n| n.parse().unwrap()).collect();
        conflicts += counts[0];
        took_over += counts[1];
    }
    let (publish, rows) = read(&reader).unwrap();
    assert_eq!(versions(&rows), fold(distinct, loads));
    assert_eq!(publish, (distinct * loads) as u64, "each load is one version, however often it comes");
    println!(
        "{distinct} of {PROCESSES} distinct, lease {lease}, stops {stops}: {} loads, {publish} publishes, {conflicts} conflicts, {took_over} take-overs, \
         {polls} looks, {:.0} s",
        PROCESSES * loads,
        started.elapsed().as_secs_f64()
    );
}

#[test]
fn with_the_lease() {
    contend(PROCESSES, "lock", false);
}

#[test]
fn without_it_nothing_is_lost_either() {
    contend(PROCESSES, "none", false);
}

#[test]
fn and_whoever_was_stopped_wakes_up_to_no_harm() {
    contend(PROCESSES, "none", true);
}

#[test]
fn beats_of_one_who_was_stopped_run_out() {
    contend(PROCESSES, "beats", true);
}

#[test]
fn eight_that_bring_the_same_bring_it_once() {
    contend(1, "none", false);
}
