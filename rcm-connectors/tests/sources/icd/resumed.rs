//! A walk that breaks goes on where it was.

use super::{ID, SECRET, options};
use crate::web::http::{Server, limited};
use crate::web::who::{Size, Tree, Who};
use crate::{open, rows, wait};
use arrow::array::{AsArray, RecordBatch};
use chrono::{DateTime, TimeDelta, Utc};
use rcm_connectors::icd::{self, Options};
use rcm_core::{Class, Problem, Window};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A release, where its walks are kept, and how many entities of it were asked for before.
struct Release {
    who: Who,
    server: Server,
    /// How many entities the service gives before it has too much to do.
    left: Arc<AtomicUsize>,
    folder: tempfile::TempDir,
    before: Cell<usize>,
}

impl Release {
    fn of(tree: Tree) -> Release {
        let (who, left) = (Who::new(tree, ID, SECRET), Arc::new(AtomicUsize::new(usize::MAX)));
        let server = Server::plain(limited("/icd/", left.clone(), who.handler()));
        Release { who, server, left, folder: tempfile::tempdir().unwrap(), before: Cell::new(0) }
    }

    /// The only file of the folder.
    fn file(&self) -> Option<PathBuf> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() < 2, "{files:?}");
        files.pop()
    }

    /// How many entities were asked for since it was asked.
    fn asked(&self) -> usize {
        let all = self.server.requests().iter().filter(|request| request.path.starts_with("/icd/")).count();
        all - self.before.replace(all)
    }

    async fn read(&self, now: DateTime<Utc>) -> Result<(RecordBatch, Vec<String>), Problem> {
        self.read_in(self.folder.path(), now).await
    }

    async fn read_in(&self, folder: &Path, now: DateTime<Utc>) -> Result<(RecordBatch, Vec<String>), Problem> {
        let options = Options { patience: Duration::from_millis(300), ..options(&self.server) };
        let who = icd::Who::resuming(options, folder, now).unwrap();
        let reading = open(&who, "2019", Window::Whole).await?;
        let rows = rows(&*reading).await?;
        Ok((rows, reading.notes()))
    }

    /// Walks until the service is away, which it is no longer then.
    async fn break_off(&self, entities: usize) {
        self.left.store(entities, Ordering::SeqCst);
        let problem = self.read(Utc::now()).await.unwrap_err();
        assert_eq!(problem.class, Class::Temporary, "{problem}");
        self.left.store(usize::MAX, Ordering::SeqCst);
        self.asked();
    }
}

fn codes(rows: &RecordBatch) -> Vec<String> {
    rows["code"].as_string::<i32>().iter().flatten().map(str::to_owned).collect()
}

#[test]
fn it_asks_for_what_it_did_not_find_before() {
    wait(async {
        let release = Release::of(Tree::grown(5, "2019", Size::SMALL));
        let (whole, notes) = release.read(Utc::now()).await.unwrap();
        let all = release.asked();
        assert_eq!((all, notes.len(), release.file()), (whole.num_rows() + 1, 0, None), "a whole walk leaves nothing");

        // Twice, and a little further each time.
        release.break_off(40).await;
        release.break_off(10).await;
        let (again, notes) = release.read(Utc::now()).await.unwrap();
        assert_eq!(again, whole, "its order is that of the tree");
        assert_eq!((release.asked(), release.file()), (all - 50, None));
        assert!(notes.len() == 1 && notes[0].starts_with("50 entities are those of a walk"), "{notes:?}");
        // And the next one asks for all.
        release.who.change(|tree| tree.remove("2019", &codes(&whole)[0]));
        let (less, _) = release.read(Utc::now()).await.unwrap();
        assert!(less.num_rows() < whole.num_rows());
        assert_eq!(release.asked(), less.num_rows() + 1);
    });
}

#[test]
fn what_is_torn_damaged_or_old_is_asked_for_again() {
    wait(async {
        let release = Release::of(Tree::grown(5, "2019", Size::SMALL));
        let (whole, _) = release.read(Utc::now()).await.unwrap();
        let all = release.asked();

        // The last line as a process left it that died, and a byte of the third.
        release.break_off(40).await;
        let file = release.file().unwrap();
        let mut bytes = std::fs::read(&file).unwrap();
        bytes.truncate(bytes.len() - 10);
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let third = ends.map(|(at, _)| at).nth(2).unwrap();
        bytes[third + 60] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        // What comes behind a torn line is whole.
        release.break_off(10).await;
        let (again, _) = release.read(Utc::now()).await.unwrap();
        assert_eq!((again == whole, release.asked()), (true, all - 38 - 10));

        release.break_off(40).await;
        std::fs::write(release.file().unwrap(), b"\xff\n{}\n\0\n\n").unwrap();
        let (again, notes) = release.read(Utc::now()).await.unwrap();
        assert_eq!((again == whole, release.asked(), notes.len()), (true, all, 0));

        release.break_off(40).await;
        let (again, notes) = release.read(Utc::now() + TimeDelta::days(1)).await.unwrap();
        assert_eq!((again == whole, release.asked(), notes.len()), (true, all, 0));
    });
}

#[test]
fn what_was_found_and_is_gone_ends_the_walk_and_not_the_next() {
    wait(async {
        let release = Release::of(Tree::grown(5, "2019", Size::SMALL));
        let (whole, _) = release.read(Utc::now()).await.unwrap();
        release.break_off(40).await;
        // The last chapter, which the release had when it was found.
        let kinds = whole["class_kind"].as_string::<i32>();
        let chapters = codes(&whole).into_iter().zip(kinds).filter(|(_, kind)| *kind == Some("chapter"));
        let gone = chapters.last().unwrap().0;
        release.who.change(|tree| tree.remove("2019", &gone));
        let problem = release.read(Utc::now()).await.unwrap_err();
        assert_eq!((problem.class, &*problem.what), (Class::Temporary, "it names an entity that it does not have"));
        assert_eq!(release.file(), None);
        let (less, _) = release.read(Utc::now()).await.unwrap();
        assert!(less.num_rows() < whole.num_rows() && !codes(&less).contains(&gone));
    });
}

#[test]
fn a_walk_that_cannot_be_kept_is_walked_all_the_same() {
    wait(async {
        let release = Release::of(Tree::constructed());
        let file = release.folder.path().join("a file");
        std::fs::write(&file, "").unwrap();
        let (rows, notes) = release.read_in(&file.join("folder"), Utc::now()).await.unwrap();
        assert_eq!(rows.num_rows(), 7);
        assert!(notes.len() == 1 && notes[0].contains("what was walked could not be kept"), "{notes:?}");
    });
}
