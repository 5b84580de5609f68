//! A store in the cloud that fails at one request: a run that meets it says so or gets over it, a reader sees the run whole
//! or not at all, and the next run ends where a clean one ends.
//!
//! The store is object_store's own in memory, each of whose requests has a number here. `cargo test` takes a sample, whose
//! seed is printed; `.ci/sweep.sh OUT SEED faults` takes every request.
#![allow(clippy::print_stdout)] // the ledger

use crate::crash::sweep::{Asked, Dice};
use crate::crash::{Fixed, Silent};
use crate::support::{DAY1, DAY2, Project, audit, live, wait};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use rcm::config::{Project as Config, Vars};
use rcm::pipeline::{self, Options};
use rcm_connectors::lake::{Lake, Location};
use rcm_core::{Class, Problem};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// It fails, and nothing is done.
    Refused,
    /// It is done, and then fails.
    Lost,
    /// A put that fails, and is done when the run is over.
    Late,
    /// A put that is done, and of which the client hears that the name was taken: it had asked twice.
    Twice,
    /// A read that ends in the middle.
    Cut,
    /// It takes so long that another run takes the lease meanwhile, and gets to the end.
    Slow,
}

/// What happens while a request is slow.
struct Meanwhile(Box<dyn FnOnce() + Send>);

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meanwhile")
    }
}

#[derive(Debug, Default)]
struct Faulty {
    store: Arc<InMemory>,
    /// All so far, and what happens at which.
    requests: Mutex<(Requests, Option<(usize, Fault)>)>,
    /// What is still on its way.
    late: Mutex<Option<(Path, PutPayload)>>,
    meanwhile: Mutex<Option<Meanwhile>>,
}

/// Verb and place.
type Requests = Vec<(&'static str, String)>;

impl Faulty {
    fn on(store: InMemory, fault: Option<(usize, Fault)>) -> Arc<Faulty> {
        Arc::new(Faulty { store: Arc::new(store), requests: Mutex::new((Vec::new(), fault)), ..Faulty::default() })
    }

    /// What happens to a request, where that is not merely to wait.
    async fn requested(&self, verb: &'static str, path: Option<&Path>) -> Option<Fault> {
        let fault = self.noted(verb, path);
        if fault != Some(Fault::Slow) {
            return fault;
        }
        let meanwhile = self.meanwhile.lock().unwrap().take().unwrap().0;
        tokio::task::spawn_blocking(meanwhile).await.unwrap();
        None
    }

    fn noted(&self, verb: &'static str, path: Option<&Path>) -> Option<Fault> {
        let (requests, fault) = &mut *self.requests.lock().unwrap();
        requests.push((verb, path.map(ToString::to_string).unwrap_or_default()));
        fault.filter(|(number, _)| requests.len() == number + 1).map(|(_, fault)| fault)
    }
}

fn broken<T>() -> Result<T> {
    Err(Error::Generic { store: "faulty", source: "the connection broke".into() })
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let fault = self.requested("put", Some(location)).await;
        if fault == Some(Fault::Refused) {
            return broken();
        }
        if fault == Some(Fault::Late) {
            *self.late.lock().unwrap() = Some((location.clone(), payload));
            return broken();
        }
        let put = self.store.put_opts(location, payload, opts).await?;
        match fault {
            Some(Fault::Twice) => {
                Err(Error::AlreadyExists { path: location.to_string(), source: "asked twice".into() })
            }
            Some(_) => broken(),
            None => Ok(put),
        }
    }

    async fn put_multipart_opts(&self, at: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let fault = self.requested("get", Some(location)).await;
        match fault {
            None => self.store.get_opts(location, options).await,
            Some(Fault::Cut) => {
                let got = self.store.get_opts(location, options).await?;
                let (meta, range, attributes) = (got.meta.clone(), got.range.clone(), got.attributes.clone());
                let bytes = got.bytes().await?;
                let half = bytes.slice(0..bytes.len() / 2);
                let payload = GetResultPayload::Stream(stream::iter([Ok(half), broken()]).boxed());
                Ok(GetResult { payload, meta, range, attributes })
            }
            Some(_) => broken(),
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.noted("delete", None) {
            Some(Fault::Refused) => stream::iter([broken()]).boxed(),
            Some(_) => self.store.delete_stream(locations).and_then(|_| async { broken() }).boxed(),
            None => self.store.delete_stream(locations),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.noted("list", prefix) {
            Some(_) => self.store.list(prefix).take(1).chain(stream::iter([broken()])).boxed(),
            None => self.store.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        match self.requested("list", prefix).await {
            Some(_) => broken(),
            None => self.store.list_with_delimiter(prefix).await,
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

/// What a reader sees.
type Live = Option<Vec<(String, String)>>;

fn seen(store: &Arc<Faulty>) -> Live {
    let location = Location::Store { name: "faulty".to_owned(), store: Arc::new(store.store.fork()) };
    let lake = Lake::open(&location).unwrap();
    wait(lake.newest()).unwrap().map(|_| live(&lake))
}

/// A run, or maintenance, over a store. Its requests are always the same: no beat comes while it is at work.
fn embed(project: &FilePath, as_of: Option<&str>, store: &Arc<Faulty>) -> Vec<Problem> {
    embed_beating(project, as_of, store, Duration::from_secs(3600))
}

fn embed_beating(project: &FilePath, as_of: Option<&str>, store: &Arc<Faulty>, every: Duration) -> Vec<Problem> {
    let mut config = Config::open(&project.join("rcm.toml"), &Vars::default()).unwrap();
    config.lake = Location::Store { name: "faulty".to_owned(), store: store.clone() }.into();
    let open = |lake: &Location| Ok(Lake::open(lake)?.beating(every));
    match as_of {
        None => wait(pipeline::maintain(&open, &config, false, &Fixed, &Silent)).err().into_iter().collect(),
        Some(as_of) => {
            let options = Options { as_of: Some(as_of.parse().unwrap()), jobs: 1, ..Options::default() };
            wait(pipeline::run_on(&open, &config, &options, &Fixed, &Silent)).problems
        }
    }
}

/// Between two beats of those who come after one that is gone.
const SOON: Duration = Duration::from_millis(5);

struct Stage {
    project: Project,
    as_of: Option<&'static str>,
    store: InMemory,
    before: Live,
    end: Live,
    requests: Requests,
}

impl Stage {
    fn new(project: Project, as_of: Option<&'static str>, store: InMemory) -> Stage {
        let before = seen(&Faulty::on(store.fork(), None));
        let clean = Faulty::on(store.fork(), None);
        assert_eq!(embed(&project.dir, as_of, &clean), []);
        let requests = clean.requests.lock().unwrap().0.clone();
        Stage { project, as_of, store, before, end: seen(&clean), requests }
    }

    /// Every request with every fault that it can have.
    fn points(&self) -> Vec<(usize, Fault)> {
        let faults = |verb: &str| match verb {
            "put" => vec![Fault::Refused, Fault::Lost, Fault::Late, Fault::Twice, Fault::Slow],
            "get" => vec![Fault::Refused, Fault::Cut, Fault::Slow],
            "delete" => vec![Fault::Refused, Fault::Lost],
            _ => vec![Fault::Refused],
        };
        let points = self.requests.iter().enumerate();
        points.flat_map(|(n, (verb, _))| faults(verb).into_iter().map(move |fault| (n, fault))).collect()
    }

    fn try_out(&self, fault: (usize, Fault)) {
        let what = format!("{:?}, {:?} at {:?}", self.as_of, fault, self.requests[fault.0]);
        let store = Faulty::on(self.store.fork(), Some(fault));
        if fault.1 == Fault::Slow {
            let other = Arc::new(Faulty { store: store.store.clone(), ..Faulty::default() });
            let (dir, as_of) = (self.project.dir.clone(), self.as_of);
            let run = move || assert_eq!(embed_beating(&dir, as_of, &other, SOON), [], "the other one");
            *store.meanwhile.lock().unwrap() = Some(Meanwhile(Box::new(run)));
        }
        let problems = embed(&self.project.dir, self.as_of, &store);
        assert!(store.requests.lock().unwrap().0.len() > fault.0, "{what}: it did not come to it");
        for problem in &problems {
            assert!(!problem.to_string().contains("damaged"), "{what}: a fault is no damage: {problem}");
            assert!(fault.1 != Fault::Slow || problem.class == Class::Busy, "{what}: it was too late: {problem}");
        }
        let seen_then = seen(&store);
        assert!([&self.before, &self.end].contains(&&seen_then), "{what}: a torn run");
        assert!(!problems.is_empty() || seen_then == self.end, "{what}: it said that all is well");
        store.requests.lock().unwrap().1 = None;
        if let Some((location, payload)) = store.late.lock().unwrap().take() {
            // If the name is taken by now, it was tried again.
            let _ = wait(store.store.put_opts(&location, payload, PutMode::Create.into()));
        }
        // The beat of the run before may have to run out first.
        assert_eq!(embed_beating(&self.project.dir, self.as_of, &store, SOON), [], "{what}, again");
        assert_eq!(seen(&store), self.end, "{what}, again");

        // Kept in order twice (the first time is an attempt itself) nothing is left that could go, and every attempt has one end.
        for _ in 0..2 {
            assert_eq!(embed_beating(&self.project.dir, None, &store, SOON), [], "{what}, maintained");
        }
        assert_eq!(seen(&store), self.end, "{what}, maintained");
        let lake = Lake::open(&Location::Store { name: "faulty".to_owned(), store: store.clone() }).unwrap();
        let config = Config::open(&self.project.path("rcm.toml"), &Vars::default()).unwrap();
        let left = wait(lake.would_maintain(config.settings.keep_publishes)).unwrap();
        assert_eq!(left.files, 0, "{what}: {left:?}");
        let publishes = wait(lake.newest()).unwrap().unwrap().publish;
        let rows = audit(&lake, &["layer", "attempt", "publish", "status"]);
        let ends: Vec<Vec<&str>> =
            rows.iter().filter(|row| row.starts_with("run|")).map(|row| row.split('|').collect()).collect();
        let attempts: BTreeSet<&str> = ends.iter().map(|row| row[1]).collect();
        assert_eq!(attempts.len(), ends.len(), "{what}: an attempt has two ends: {ends:?}");
        for number in 1..=publishes {
            let published = ends.iter().filter(|row| row[2] == number.to_string() && row[3] == "ok").count();
            assert_eq!(published, 1, "{what}: publish {number}: {ends:?}");
        }
    }
}

#[test]
fn one_request_that_fails_harms_nothing() {
    let asked = Asked::of("faults", 6);
    let first = Stage::new(Project::new(), Some(DAY1), InMemory::new());
    let after = Faulty::on(InMemory::new(), None);
    let project = Project::new();
    assert_eq!(embed(&project.dir, Some(DAY1), &after), []);
    project.deliver_day2();
    let second = Stage::new(project, Some(DAY2), after.store.fork());
    // Only the second of two days is kept.
    let project = Project::new();
    project.edit("rcm.toml", "keep_publishes = 100", "keep_publishes = 1");
    let after = Faulty::on(InMemory::new(), None);
    assert_eq!(embed(&project.dir, Some(DAY1), &after), []);
    project.deliver_day2();
    assert_eq!(embed(&project.dir, Some(DAY2), &after), []);
    let third = Stage::new(project, None, after.store.fork());
    assert!(third.requests.iter().any(|(verb, _)| *verb == "delete"));

    let mut ledger: BTreeMap<(&str, Fault), usize> = BTreeMap::new();
    let started = std::time::Instant::now();
    for (n, stage) in [first, second, third].iter().enumerate() {
        let (mut points, mut dice) = (stage.points(), Dice(asked.seed + n as u64));
        points.sort_by_cached_key(|_| dice.below(usize::MAX));
        for point in asked.of_stage(points) {
            stage.try_out(point);
            *ledger.entry((stage.requests[point.0].0, point.1)).or_default() += 1;
        }
    }
    let points: usize = ledger.values().sum();
    println!(
        "faults: {points} points, 0 divergences, {:.1} s a point",
        started.elapsed().as_secs_f64() / points as f64
    );
    for ((verb, fault), points) in ledger {
        println!("{verb:6} {:8} {points:5}", format!("{fault:?}"));
    }
}
