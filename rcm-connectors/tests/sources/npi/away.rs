//! A copy answers when the service is away, and says so.

use super::{ALL, numbers, options, source};
use crate::web::http::{Server, limited};
use crate::web::nppes::{Registry, Shape};
use crate::{open, rows, wait};
use arrow::array::AsArray;
use rcm_connectors::kept::Kept;
use rcm_connectors::npi::Options;
use rcm_core::{Class, CursorKind, Lag, Source, Watermark, Window};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn what_was_read_last_is_known_when_the_registry_is_away() {
    wait(async {
        let registry = Registry::made_up(1, 45, Shape::Of2026);
        let server = Server::plain(registry.handler());
        let folder = tempfile::tempdir().unwrap();
        let options = Options { patience: Duration::from_millis(300), ..options(&server) };
        let copies = folder.path().join("copies");
        let source: Arc<dyn Source> = Arc::new(source(options));
        let kept = Kept::new(source.clone(), &copies, "all of them");
        let since = |watermark| Window::Since { cursor: "last_updated".into(), watermark, lag: Lag::Steps(0) };
        let before = Watermark::parse(CursorKind::TimestampTz, "2026-06-28T00:00:00Z");
        server.refuse(None);
        // Nothing is known of it.
        assert_eq!(kept.describe(ALL).await.unwrap_err().class, Class::Temporary);
        assert_eq!(
            open(&kept, ALL, Window::Whole).await.err().map(|problem| problem.class),
            None,
            "it is asked when it is read"
        );
        let reading = open(&kept, ALL, Window::Whole).await.unwrap();
        assert_eq!(rows(&*reading).await.unwrap_err().class, Class::Temporary);

        server.listen();
        let reading = open(&kept, ALL, Window::Whole).await.unwrap();
        assert_eq!((rows(&*reading).await.unwrap().num_rows(), reading.notes()), (45, Vec::new()));
        let reading = open(&kept, ALL, since(None)).await.unwrap();
        assert_eq!((rows(&*reading).await.unwrap().num_rows(), reading.notes()), (45, Vec::new()));
        let was = numbers(&registry);
        registry.remove(was.first().unwrap());
        server.refuse(None);
        // As a whole what it had, of a window nothing.
        for (window, count) in [(Window::Whole, 45), (since(before), 0)] {
            assert!(kept.describe(ALL).await.unwrap().cursor("last_updated").is_some());
            let reading = open(&kept, ALL, window).await.unwrap();
            let read = rows(&*reading).await.unwrap();
            let found: BTreeSet<String> = read["npi"].as_string::<i32>().iter().flatten().map(str::to_owned).collect();
            assert_eq!(found.len(), count);
            assert!(count == 0 || found == was);
            let notes = reading.notes();
            assert!(notes.len() == 1 && notes[0].contains("the service did not answer"), "{notes:?}");
            assert!(!reading.is_snapshot());
        }
        // What is not behind a watermark needs the service, and so does another question.
        let (from, to) = (before.unwrap(), before.unwrap());
        let between = Window::Between { cursor: "last_updated".into(), from, to };
        for window in [since(None), between] {
            let reading = open(&kept, ALL, window).await.unwrap();
            assert_eq!(rows(&*reading).await.unwrap_err().class, Class::Temporary);
        }
        let other = Kept::new(source.clone(), &copies, "others");
        assert_eq!(other.describe(ALL).await.unwrap_err().class, Class::Temporary);

        server.listen();
        let reading = open(&kept, ALL, Window::Whole).await.unwrap();
        assert_eq!((rows(&*reading).await.unwrap().num_rows(), reading.notes()), (44, Vec::new()));
        // Where nothing can be kept the rows come all the same, and the run says so.
        let folder = folder.path().join("a file");
        std::fs::write(&folder, "").unwrap();
        let kept_nowhere = Kept::new(source, folder, "all of them");
        let reading = open(&kept_nowhere, ALL, Window::Whole).await.unwrap();
        assert_eq!(rows(&*reading).await.unwrap().num_rows(), 44);
        assert!(reading.notes()[0].contains("no copy could be kept"), "{:?}", reading.notes());

        // A copy that is damaged is none.
        server.refuse(None);
        for copy in std::fs::read_dir(copies).unwrap() {
            std::fs::write(copy.unwrap().path(), b"PAR1 no more").unwrap();
        }
        let reading = open(&kept, ALL, Window::Whole).await.unwrap();
        assert_eq!(rows(&*reading).await.unwrap_err().class, Class::Temporary);
    });
}

#[test]
fn who_was_away_is_not_waited_for_twice() {
    wait(async {
        let (registry, left) = (Registry::made_up(1, 45, Shape::Of2026), Arc::new(AtomicUsize::new(usize::MAX)));
        let server = Server::plain(limited("/", left.clone(), registry.handler()));
        let folder = tempfile::tempdir().unwrap();
        let options = Options { patience: Duration::from_millis(300), ..options(&server) };
        let kept = Kept::new(Arc::new(source(options)), folder.path(), "all of them");
        let read = async || {
            let reading = open(&kept, ALL, Window::Whole).await.unwrap();
            (rows(&*reading).await.unwrap().num_rows(), reading.notes().len())
        };
        assert_eq!(read().await, (45, 0));
        left.store(0, Ordering::SeqCst);
        kept.describe(ALL).await.unwrap();
        let asked = server.requests().len();
        assert_eq!((read().await, server.requests().len()), ((45, 1), asked), "the copy's, and nobody is asked");
        // What is read behind it asks again.
        left.store(usize::MAX, Ordering::SeqCst);
        assert_eq!(read().await, (45, 0));
        assert!(server.requests().len() > asked);
    });
}
