//! Real file systems that have no room, or take no writes: mounted by the test, which needs root for it. Where that is not
//! allowed it says that it is left out.
#![allow(clippy::print_stdout)] // what was left out, and how big the disk was

use crate::support::{DAY1, DAY2, Project, walk};
use std::path::{Path, PathBuf};
use std::process::Command;

struct Mount(PathBuf);

impl Mount {
    /// None where this process may not mount.
    fn new(at: &Path, arguments: &[&str]) -> Option<Mount> {
        std::fs::create_dir_all(at).unwrap();
        let out = Command::new("mount").args(arguments).arg(at).output();
        match out {
            Ok(out) if out.status.success() => Some(Mount(at.to_owned())),
            other => {
                println!("left out: nothing can be mounted here ({:?})", other.map(|out| out.status));
                None
            }
        }
    }

    fn again(&self, options: &str) {
        assert!(
            Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap().success()
        );
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// KiB that the second day has room in, and so many that are too few: 32 apart.
fn bisect(holds: impl Fn(u64) -> bool) -> (u64, u64) {
    let (mut fits, mut does_not) = (2_048, 0);
    assert!(holds(fits));
    while fits - does_not > 32 {
        let middle = u64::midpoint(fits, does_not);
        match holds(middle) {
            true => fits = middle,
            false => does_not = middle,
        }
    }
    (fits, does_not)
}

#[test]
fn on_a_disk_of_any_size_a_run_ends_or_says_that_there_is_no_room() {
    let clean = Project::after_day1();
    clean.deliver_day2();
    clean.ok(&["run", "--as-of", DAY2]);
    let day2 = clean.live();
    let project = Project::new();
    let Some(disk) = Mount::new(&project.path("lake"), &["-t", "tmpfs", "-o", "size=64m", "lake"]) else { return };
    project.ok(&["run", "--as-of", DAY1]);
    let day1 = project.live();
    let kept = tempfile::tempdir().unwrap();
    let cp = |from: &Path, to: &Path| {
        let from = format!("{}/.", from.display());
        assert!(Command::new("cp").args(["-a", &from]).arg(to).status().unwrap().success());
    };
    cp(&disk.0, kept.path());
    project.deliver_day2();
    let used = |disk: &Path| -> u64 {
        let out = Command::new("df").args(["--output=used", "-k"]).arg(disk).output().unwrap();
        String::from_utf8_lossy(&out.stdout).lines().nth(1).unwrap().trim().parse().unwrap()
    };
    let after_day1 = used(&disk.0);

    let (fits, does_not) = bisect(|more| {
        // As it was after the first day, with so much room.
        for entry in disk.0.read_dir().unwrap() {
            std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
        disk.again("size=64m");
        cp(kept.path(), &disk.0);
        disk.again(&format!("size={}k", after_day1 + more));
        let run = project.run(&["run", "--as-of", DAY2]);
        let seen = project.live();
        assert!(seen == day1 || seen == day2, "{more} KiB: a torn run");
        match run.code {
            0 => assert_eq!(seen, day2),
            1 => assert!(run.stderr.contains("No space left on device"), "{more} KiB: {}", run.stderr),
            other => panic!("{more} KiB: exit {other}: {}", run.stderr),
        }
        // With room again it goes on from there.
        disk.again("size=64m");
        project.ok(&["run", "--as-of", DAY2]);
        assert_eq!(project.live(), day2, "{more} KiB, and again");
        project.ok(&["maintain"]);
        project.ok(&["run", "--as-of", "2026-07-05T00:00:00Z"]);
        project.ok(&["maintain"]);
        assert_eq!(project.unnamed(), [] as [&str; 0], "{more} KiB");
        run.code == 0
    });
    println!("the second day fits into {fits} KiB, and not into {does_not}");
}

#[test]
fn where_nothing_can_be_written_a_run_says_so_and_readers_read() {
    let project = Project::after_day1();
    project.deliver_day2();
    let lake = project.path("lake");
    let Some(disk) = Mount::new(&lake, &["--bind", lake.to_str().unwrap()]) else { return };
    let before = (project.live(), walk(&lake), project.ok(&["status"]).stdout);
    // Root may write where modes forbid it; not here.
    disk.again("bind,ro");
    for verb in [&["run", "--as-of", DAY2][..], &["maintain"]] {
        let said = project.run(verb);
        assert_eq!(said.code, 1, "{}", said.stderr);
        assert!(said.stderr.contains("Read-only file system"), "{}", said.stderr);
    }
    assert_eq!((project.live(), walk(&lake), project.ok(&["status"]).stdout), before);
    assert!(project.ok(&["maintain", "--dry-run"]).code == 0);
    disk.again("bind,rw");
    project.ok(&["run", "--as-of", DAY2]);
    assert_ne!(project.live(), before.0);
}
