//! One run at a time. It saves work; what protects the data is that an intent is written only if absent.
//!
//! On a local disk an OS file lock, which dies with its process. Elsewhere beats: `_rcm/lease/<n>.json`, each put only if
//! absent, the next every few seconds. Whoever finds that the same beat stands through some looks of its own takes the next
//! number; no two clocks are compared. A holder that was stopped so long finds another's beats when it wakes, and is no
//! longer one.

use super::Lake;
use super::store::Local;
use rcm_core::{Class, Problem};
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::io::Read;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

const FOLDER: &str = "_rcm/lease";

/// Between two beats.
const BEAT: Duration = Duration::from_secs(3);

/// Looks through which a beat must stand before its holder counts as gone.
const LOOKS: u32 = 4;

/// Held while a run may write; [`Lease::end`] lets it go. One that is dropped on a local disk is let go too; elsewhere it
/// runs out. Beats come on the runtime of whoever took it: where that has a single thread, and work blocks it, they do not,
/// and the lease may be another's meanwhile.
#[derive(Debug)]
pub struct Lease(Held);

#[derive(Debug)]
enum Held {
    /// The lock ends when the file is closed.
    Lock { _file: File },
    /// The beats end when their task is dropped.
    Beats { lake: Lake, holder: String, every: Duration, stop: oneshot::Sender<()>, beating: JoinSet<()> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Beat {
    /// Of whom: a name by chance.
    holder: String,
    /// For people.
    process: u32,
    /// The last one.
    ended: bool,
}

impl Lake {
    /// Takes the lease. Where it goes by beats, that takes some of them if another's stand there.
    ///
    /// # Errors
    /// Class `busy`, with the process that holds it, or a lake that cannot be written.
    pub async fn lease(&self) -> Result<Lease, Problem> {
        match (&self.local, self.beat) {
            (Some(local), None) => self.lock(local),
            (_, every) => self.first_beat(every.unwrap_or(BEAT)).await,
        }
    }

    fn lock(&self, local: &Local) -> Result<Lease, Problem> {
        let path = local.folder.join("_rcm").join("lock");
        let cannot = |e: std::io::Error| Problem::new(Class::Failed, self.place(), format!("cannot be written: {e}"));
        local.store.settle(&local.folder.join("_rcm")).map_err(cannot)?;
        let mut file = local.store.disk.open_lock(&path).map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {
                // The number is for people only; who holds the lock is for the OS to say.
                local.store.disk.sign_lock(&mut file, &std::process::id().to_string()).map_err(cannot)?;
                Ok(Lease(Held::Lock { _file: file }))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                Err(match file.read_to_string(&mut holder) {
                    Ok(n) if n > 0 => self.held_by(&format!("process {holder}")),
                    _ => self.held_by("another process"),
                })
            }
            Err(TryLockError::Error(e)) => Err(cannot(e)),
        }
    }

    fn place(&self) -> String {
        format!("lake {}", self.name())
    }

    fn held_by(&self, holder: &str) -> Problem {
        Problem::new(Class::Busy, self.place(), format!("another run is at work ({holder})"))
            .hint("wait for it, then run again; nothing was touched")
    }

    async fn first_beat(&self, every: Duration) -> Result<Lease, Problem> {
        let holder = uuid::Uuid::new_v4().to_string();
        let ours = Beat { holder, process: std::process::id(), ended: false };
        let mut seen = self.newest_beat().await?;
        let mut looks = 0;
        loop {
            let next = match &seen {
                None => 1,
                Some((number, beat)) if beat.ended || looks >= LOOKS => number + 1,
                Some((_, theirs)) => {
                    tokio::time::sleep(every).await;
                    let now = self.newest_beat().await?;
                    if now == seen {
                        looks += 1;
                    } else if now.as_ref().is_some_and(|(_, beat)| !beat.ended) {
                        return Err(self.held_by(&format!("process {}", theirs.process)));
                    } else {
                        seen = now;
                    }
                    continue;
                }
            };
            if self.put_beat(next, &ours).await? {
                self.forget_beats(next).await;
                return Ok(Lease(self.beat_on(next, ours, every)));
            }
            // Another one was quicker.
            (seen, looks) = (self.newest_beat().await?, 0);
        }
    }

    fn beat_on(&self, first: u64, ours: Beat, every: Duration) -> Held {
        let (lake, holder) = (self.clone(), ours.holder.clone());
        let (stop, mut stopped) = oneshot::channel();
        let mut beating = JoinSet::new();
        beating.spawn(async move {
            let mut last = first;
            loop {
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    // Between two beats: a put that is given up may still come to be.
                    _ = &mut stopped => return,
                }
                match lake.put_beat(last + 1, &ours).await {
                    Ok(true) => {}
                    // Another one holds it now.
                    Ok(false) => return,
                    // The next beat may come through.
                    Err(_) => continue,
                }
                // Another one may have come and gone over this number while this process was stopped.
                match lake.newest_beat().await {
                    Ok(Some((_, newest))) if newest.holder != ours.holder => {
                        let _ = lake.delete(vec![beat_path(last), beat_path(last + 1)]).await;
                        return;
                    }
                    _ => {}
                }
                let _ = lake.delete(vec![beat_path(last)]).await;
                last += 1;
            }
        });
        Held::Beats { lake: self.clone(), holder, every, stop, beating }
    }

    async fn put_beat(&self, number: u64, beat: &Beat) -> Result<bool, Problem> {
        let bytes = serde_json::to_vec(beat).map_err(|e| Problem::storage(FOLDER, e))?;
        match self.put_if_absent(&beat_path(number), bytes).await {
            // It was there, and is gone already: another one beats on.
            Err(problem) if problem.class == Class::Temporary => Ok(false),
            put => put,
        }
    }

    /// Deletes beats before one. One that stays is one more name in a listing.
    async fn forget_beats(&self, below: u64) {
        let names = self.names(FOLDER).await.unwrap_or_default();
        let old = |name: &String| name.as_str() < format!("{below:020}.json").as_str();
        let _ =
            self.delete(names.iter().filter(|name| old(name)).map(|name| format!("{FOLDER}/{name}")).collect()).await;
    }

    async fn newest_beat(&self) -> Result<Option<(u64, Beat)>, Problem> {
        for _ in 0..10 {
            let Some(number) = self.newest_number(FOLDER).await? else { return Ok(None) };
            let path = beat_path(number);
            // Gone since the listing: there is a newer one.
            let Some(bytes) = self.find(&path).await? else { continue };
            let beat = serde_json::from_slice(&bytes).map_err(|_| {
                Problem::new(Class::Failed, &path, "is no beat of a lease")
                    .hint(format!("if no run is at work, delete {FOLDER}: nothing depends on it"))
            })?;
            return Ok(Some((number, beat)));
        }
        Err(Problem::new(Class::Temporary, FOLDER, "changes faster than it can be read").hint("run again"))
    }
}

fn beat_path(number: u64) -> String {
    format!("{FOLDER}/{number:020}.json")
}

impl Lease {
    /// Lets the lease go. Where that cannot be said in the time in which it runs out, or it is another's by now, nothing is
    /// lost: it runs out.
    pub async fn end(self) {
        let Held::Beats { lake, holder, every, stop, beating } = self.0 else { return };
        let ended = async move {
            let _ = stop.send(());
            beating.join_all().await;
            if let Ok(Some((number, beat))) = lake.newest_beat().await
                && beat.holder == holder
                && lake.put_beat(number + 1, &Beat { ended: true, ..beat }).await.unwrap_or(false)
            {
                lake.forget_beats(number + 1).await;
            }
        };
        let _ = tokio::time::timeout(every * LOOKS, ended).await;
    }
}
