//! A disk that counts what is done with it, kills its process at a call, and forgets what was not synced.

use super::sweep::Dice;
use rcm_connectors::lake::{Disk, Os};
use std::fs::{DirEntry, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// A call: its verb, and the path that it changes.
pub(super) type Call = (&'static str, PathBuf);

/// Where a process dies: at a call, by number; in its middle or behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) call: usize,
    pub(super) half: bool,
    /// The power goes with it: of what was not synced, this seed says what is lost.
    pub(super) cut: Option<u64>,
}

/// What a power cut may undo.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Loose {
    /// Bytes of a file.
    Bytes(PathBuf),
    /// A file's or a folder's name.
    Name(PathBuf),
    /// That a file is gone, which held these bytes.
    Removal(PathBuf, Vec<u8>),
}

impl Loose {
    fn named(&self) -> Option<&Path> {
        match self {
            Loose::Bytes(_) => None,
            Loose::Name(path) | Loose::Removal(path, _) => Some(path),
        }
    }

    fn lose(&self, dice: &mut Dice) {
        match self {
            Loose::Bytes(path) => {
                let file = OpenOptions::new().write(true).open(path);
                // It may have lost its name.
                let cut = file.and_then(|file| {
                    let length = file.metadata()?.len() as usize;
                    file.set_len(dice.below(length + 1) as u64)
                });
                drop(cut);
            }
            Loose::Name(path) if path.is_dir() => drop(std::fs::remove_dir_all(path)),
            Loose::Name(path) => drop(std::fs::remove_file(path)),
            Loose::Removal(path, bytes) => drop(std::fs::write(path, bytes)),
        }
    }
}

#[derive(Debug, Default)]
struct Done {
    calls: Vec<Call>,
    loose: Vec<Loose>,
}

impl Done {
    /// `held`: what a file held that is removed.
    fn note(&mut self, verb: &'static str, path: &Path, held: Vec<u8>) {
        self.calls.push((verb, path.to_owned()));
        let path = path.to_owned();
        match verb {
            "create" => self.loose.extend([Loose::Bytes(path.clone()), Loose::Name(path)]),
            "link" => {
                // The bytes are those of the staging file.
                let staged = format!("{}#", path.display());
                let of_it =
                    |loose: &Loose| matches!(loose, Loose::Bytes(from) if from.to_string_lossy().starts_with(&staged));
                if self.loose.iter().any(of_it) {
                    self.loose.push(Loose::Bytes(path.clone()));
                }
                self.loose.push(Loose::Name(path));
            }
            "make_folder" => self.loose.push(Loose::Name(path)),
            "sync" => self.loose.retain(|loose| *loose != Loose::Bytes(path.clone())),
            "sync_folder" => {
                self.loose.retain(|loose| loose.named().and_then(Path::parent) != Some(path.as_path()));
            }
            "remove" => {
                let was = self.loose.len();
                self.loose.retain(|loose| ![Loose::Bytes(path.clone()), Loose::Name(path.clone())].contains(loose));
                if self.loose.len() == was {
                    self.loose.push(Loose::Removal(path, held));
                }
            }
            // What the file of the lease holds counts for nothing.
            "open_lock" | "sign_lock" | "read" | "read_range" | "list" => {}
            other => unreachable!("{other}"),
        }
    }
}

/// The operating system's disk, one call at a time.
#[derive(Debug, Default)]
pub(super) struct Counted {
    done: Mutex<Done>,
    dies: Option<Point>,
    /// From this call on nothing new finds room, or becomes durable.
    full_from: Option<usize>,
    /// Behind this call the process is stopped, until somebody lets it go on. The beats of its lease, which come when they
    /// come, are no calls then.
    stops: Option<usize>,
}

/// The verbs that need room on the disk.
pub(super) const NEED_ROOM: [&str; 5] = ["create", "sync", "link", "make_folder", "sync_folder"];

/// The verbs that change nothing.
pub(super) const READS: [&str; 3] = ["read", "read_range", "list"];

fn die() -> ! {
    let status = Command::new("sh").arg("-c").arg(format!("kill -9 {}", std::process::id())).status();
    unreachable!("survived SIGKILL: {status:?}");
}

/// Returns when the process was stopped and goes on.
fn stop() {
    let stop = format!("kill -STOP {}", std::process::id());
    let _ = Command::new("sh").arg("-c").arg(stop).status();
    // The signal waits until the thread takes it that the system chose: until then this one would go on.
    let is_pending = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap().trim();
        u64::from_str_radix(pending, 16).unwrap() & 1 << (19 - 1) != 0
    };
    while is_pending() {
        std::thread::yield_now();
    }
}

impl Counted {
    pub(super) fn dying(point: Point) -> Self {
        Counted { dies: Some(point), ..Counted::default() }
    }

    pub(super) fn stopping(call: usize) -> Self {
        Counted { stops: Some(call), ..Counted::default() }
    }

    pub(super) fn full_from(call: usize) -> Self {
        Counted { full_from: Some(call), ..Counted::default() }
    }

    /// The calls so far.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.done.lock().unwrap().calls.clone()
    }

    /// `half`: what a process leaves that is killed in the middle of the call.
    fn call<T>(
        &self,
        verb: &'static str,
        path: &Path,
        half: impl FnOnce(),
        whole: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        if self.stops.is_some() && path.to_string_lossy().contains("_rcm/lease") {
            return whole();
        }
        // Held while dying: no other call slips through.
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let needs_room = NEED_ROOM.contains(&verb);
        if needs_room && self.full_from.is_some_and(|from| done.calls.len() >= from) {
            // A name that was to become durable is there.
            if verb.starts_with("sync") {
                drop(whole())
            } else {
                half()
            }
            done.calls.push((verb, path.to_owned()));
            return Err(io::ErrorKind::StorageFull.into());
        }
        let held = if verb == "remove" { std::fs::read(path).unwrap_or_default() } else { Vec::new() };
        let point = self.dies.filter(|point| point.call == done.calls.len());
        let Some(point) = point else {
            let result = whole();
            if self.stops == Some(done.calls.len()) {
                stop();
            }
            // A call that failed left nothing, but counts.
            match result.is_ok() {
                true => done.note(verb, path, held),
                false => done.calls.push((verb, path.to_owned())),
            }
            return result;
        };
        match point.half {
            true => half(),
            false => drop(whole()),
        }
        done.note(verb, path, held);
        if let Some(seed) = point.cut {
            let mut dice = Dice(seed);
            done.loose
                .iter()
                .rev()
                .filter(|_| dice.below(2) == 0)
                .collect::<Vec<_>>()
                .iter()
                .for_each(|l| l.lose(&mut dice));
        }
        die()
    }
}

impl Disk for Counted {
    fn create(&self, path: &Path, bytes: &[&[u8]]) -> io::Result<()> {
        let half = || {
            let all = bytes.concat();
            drop(Os.create(path, &[&all[..all.len() / 2]]));
        };
        self.call("create", path, half, || Os.create(path, bytes))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.call("sync", path, || (), || Os.sync(path))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call("link", to, || (), || Os.link(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call("remove", path, || (), || Os.remove(path))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.call("make_folder", path, || (), || Os.make_folder(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.call("sync_folder", path, || (), || Os.sync_folder(path))
    }

    fn read(&self, path: &Path, range: Option<Range<u64>>) -> io::Result<Vec<u8>> {
        let verb = if range.is_some() { "read_range" } else { "read" };
        self.call(verb, path, || (), || Os.read(path, range))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.call("list", path, || (), || Os.list(path))
    }

    fn open_lock(&self, path: &Path) -> io::Result<File> {
        self.call("open_lock", path, || (), || Os.open_lock(path))
    }

    fn sign_lock(&self, lock: &mut File, holder: &str) -> io::Result<()> {
        self.call("sign_lock", Path::new("_rcm/lock"), || (), || Os.sign_lock(lock, holder))
    }
}
