//! Maintenance that fails at any call, and at all behind it: the table is as it was, and the next one ends as a clean one.
//!
//! `RCM_HOUSE=all cargo test -p rcm-connectors --features azure,s3 --test it house` tries every call, `cargo test` every
//! fourth of them, beginning somewhere else each time.

use crate::loads::{TABLE, batch, spec, table};
use crate::wait;
use chrono::DateTime;
use rcm_connectors::lake::{Disk, EngineColumns, Lake, Os, TableFiles};
use rcm_core::progress::Silent;
use rcm_scd2::Load;
use std::fs::{DirEntry, File};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A disk that is gone from a call on.
#[derive(Debug)]
struct Gone {
    from: usize,
    calls: AtomicUsize,
}

impl Gone {
    fn call(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call < self.from { Ok(()) } else { Err(io::Error::other("the disk is gone")) }
    }
}

impl Disk for Gone {
    fn create(&self, path: &Path, bytes: &[&[u8]]) -> io::Result<()> {
        self.call().and_then(|()| Os.create(path, bytes))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| Os.sync(path))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call().and_then(|()| Os.link(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| Os.remove(path))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| Os.make_folder(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| Os.sync_folder(path))
    }

    fn read(&self, path: &Path, range: Option<Range<u64>>) -> io::Result<Vec<u8>> {
        self.call().and_then(|()| Os.read(path, range))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.call().and_then(|()| Os.list(path))
    }

    fn open_lock(&self, path: &Path) -> io::Result<File> {
        self.call().and_then(|()| Os.open_lock(path))
    }

    fn sign_lock(&self, lock: &mut File, holder: &str) -> io::Result<()> {
        self.call().and_then(|()| Os.sign_lock(lock, holder))
    }
}

fn opened(folder: &Path) -> TableFiles {
    let lake = Lake::local(folder).unwrap();
    let newest = wait(lake.newest()).unwrap().unwrap();
    wait(lake.table_files(TABLE, newest.tables[TABLE].version)).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Files below a folder.
fn count(folder: &Path) -> usize {
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| if entry.file_type().unwrap().is_dir() { count(&entry.path()) } else { 1 }).sum()
}

#[test]
fn maintenance_that_fails_at_any_call_leaves_the_table_as_it_was() {
    let temp = tempfile::tempdir().unwrap();
    let before = temp.path().join("before");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for n in 0..24 {
        let (rows, lake) = ([batch(&[(n, n, n)])], Lake::local(&before).unwrap());
        let (table, spec, load) = (table(), spec(), Load::new(&rows, 0));
        wait(lake.load(&table, &spec, &load, &EngineColumns, DateTime::UNIX_EPOCH, &pool)).unwrap();
    }
    let whole = opened(&before);
    let keep = |folder: &Path, from: usize| {
        let disk = Arc::new(Gone { from, calls: AtomicUsize::new(0) });
        let kept =
            Lake::on(disk.clone(), folder).and_then(|lake| wait(lake.maintain(1, DateTime::UNIX_EPOCH, &Silent)));
        (kept, disk.calls.load(Ordering::SeqCst))
    };
    let clean = temp.path().join("clean");
    copy(&before, &clean);
    let calls = keep(&clean, usize::MAX).1;
    // The attempt of the first one goes with the second.
    let again = keep(&clean, usize::MAX).0.unwrap();
    assert_eq!((again.checkpoints, again.publish, opened(&clean)), (0, None, whole.clone()));
    assert!(calls > 100, "{calls} calls");
    let (first, step) = match std::env::var("RCM_HOUSE") {
        Ok(_) => (0, 1),
        Err(_) => (std::process::id() as usize % 4, 4),
    };
    for from in (first..calls).step_by(step) {
        let lake = temp.path().join(format!("from-{from}"));
        copy(&before, &lake);
        // Where only the lease is let go behind it, it has done all.
        let failed = keep(&lake, from).0;
        assert!(failed.is_err() || from + 5 > calls, "call {from} of {calls}: {failed:?}");
        assert_eq!(opened(&lake), whole, "call {from} of {calls}");
        keep(&lake, usize::MAX).0.unwrap();
        // The first one may have taken a number itself: what it put there is let go with the next.
        keep(&lake, usize::MAX).0.unwrap();
        assert_eq!(wait(Lake::local(&lake).unwrap().would_maintain(1)).unwrap().files, 0, "call {from} of {calls}");
        assert_eq!(opened(&lake), whole, "call {from} of {calls}, maintained");
        let (left, ends) = (count(&lake.join(TABLE)), count(&clean.join(TABLE)));
        assert_eq!(left, ends, "call {from} of {calls}: files of the table");
        std::fs::remove_dir_all(&lake).unwrap();
    }
    println!("maintenance failed at {} of its {calls} calls", (first..calls).step_by(step).len());
}
