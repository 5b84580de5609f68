//! A small model of the protocol, and every state that it can come to: runs, `maintain` and a stranger, each of which may
//! stop between any two of its steps. In every state a reader finds whole what it may read, and whoever comes next, alone,
//! gets to the end, unless a stranger bars the way. A step is one write, or reads of what never changes, in the order of
//! `lake/{record,redo,single,maintain}.rs`. Kept out: state parts, bronze, audit rows, logs that are cut, changed columns,
//! writes that land after their writer went on. [`Flaw`] holds the model to account: each is found.

use std::collections::{BTreeSet, HashSet, VecDeque};

const TABLES: usize = 2;

/// A file with the name of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct File {
    /// The publish number that its attempt planned on.
    planned: usize,
    attempt: usize,
    table: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Commit {
    Ours {
        publish: usize,
        add: File,
        remove: Option<File>,
    },
    /// A stranger's rows.
    Rows,
    /// A stranger's OPTIMIZE: our live file goes, another one comes that has no name of ours.
    Layout(Option<File>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Intent {
    attempt: usize,
    /// For each table that it changes: the number of commits before, the file that goes.
    commits: [Option<(usize, Option<File>)>; TABLES],
}

/// The attempt, and of each table the number of its commits.
type Record = (usize, [usize; TABLES]);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// Changes these tables.
    Run([bool; TABLES]),
    Maintain,
    Stranger {
        layout: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Plan {
    number: usize,
    attempt: usize,
    /// Of the record it was planned on.
    versions: [usize; TABLES],
    intent: Intent,
    /// What `maintain` will delete.
    goes: Vec<File>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum At {
    Published,
    Intents { published: usize },
    Redo { number: usize, table: usize, landed: [usize; TABLES], barred: bool, own: Option<Plan> },
    Record { number: usize, landed: [usize; TABLES], own: Option<Plan> },
    Newest,
    Head { plan: Plan, table: usize },
    Named { plan: Plan },
    Walk { plan: Plan, named: BTreeSet<File> },
    Write { plan: Plan, table: usize },
    Taken { plan: Plan },
    Heads { plan: Plan, table: usize },
    Put { plan: Plan },
    Delete { plan: Plan },
    Done(End),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    Well,
    Busy,
    Drift,
}

/// Something that the protocol does not do, and would break it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// `maintain` deletes files of attempts that planned on the next number, without taking it.
    Eager,
    /// A run plans without finishing what was begun.
    NoRedo,
    /// A redo does not look whether what stands there is its own.
    Blind,
    /// An intent is put over another one.
    Overwrites,
    /// A record names the versions of before.
    Early,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    intents: Vec<Intent>,
    records: Vec<Record>,
    logs: [Vec<Commit>; TABLES],
    files: BTreeSet<File>,
    attempts: usize,
    who: Vec<(Kind, At)>,
}

impl World {
    /// One run has published.
    fn new(who: &[Kind]) -> World {
        let first = |table| File { planned: 1, attempt: 0, table };
        let commit = |table| vec![Commit::Ours { publish: 1, add: first(table), remove: None }];
        World {
            intents: vec![Intent { attempt: 0, commits: [Some((0, None)); TABLES] }],
            records: vec![(0, [1; TABLES])],
            logs: [commit(0), commit(1)],
            files: [first(0), first(1)].into(),
            attempts: 1,
            who: who.iter().map(|kind| (*kind, At::Published)).collect(),
        }
    }

    /// Our live file of a table at a version.
    fn live(&self, table: usize, version: usize) -> Option<File> {
        let mut live = None;
        for commit in &self.logs[table][..version] {
            match commit {
                Commit::Ours { add, remove, .. } => {
                    assert!(remove.is_none() || *remove == live, "it removes {remove:?}, there was {live:?}");
                    live = Some(*add);
                }
                Commit::Layout(_) => live = None,
                Commit::Rows => {}
            }
        }
        live
    }

    /// What must hold wherever everybody stands.
    fn check(&self) -> Result<(), String> {
        let Some(newest) = self.records.last() else { return Err("no publish".to_owned()) };
        if let Some(n) = self.records.iter().zip(&self.intents).position(|(record, intent)| record.0 != intent.attempt)
        {
            return Err(format!("publish {} is of another attempt than its intent", n + 1));
        }
        for (table, log) in self.logs.iter().enumerate() {
            let number =
                |commit: &Commit| if let Commit::Ours { publish, .. } = commit { Some(*publish) } else { None };
            let ours: Vec<usize> = log.iter().filter_map(number).collect();
            if !ours.is_sorted_by(|a, b| a < b) {
                return Err(format!("table {table} has commits {ours:?}"));
            }
            for (n, (record, intent)) in self.records.iter().zip(&self.intents).enumerate() {
                let shows = |commit: &Commit| matches!(commit, Commit::Ours { publish, .. } if *publish == n + 1);
                if intent.commits[table].is_some() && !log[..record.1[table]].iter().any(shows) {
                    return Err(format!("publish {} does not show what it did to table {table}", n + 1));
                }
            }
            if let Some(file) = self.live(table, newest.1[table]).filter(|file| !self.files.contains(file)) {
                return Err(format!("{file:?} of the newest publish is gone"));
            }
        }
        Ok(())
    }

    fn taken(&self, plan: &Plan) -> bool {
        self.intents.len() >= plan.number
    }
    /// What another run did under this one's number looks like the work of a stranger.
    fn strange(&self, plan: &Plan) -> At {
        At::Done(if self.taken(plan) { End::Busy } else { End::Drift })
    }

    fn step(&self, who: usize, flaw: Flaw) -> World {
        let (mut next, (kind, at)) = (self.clone(), self.who[who].clone());
        next.who[who].1 = next.stepped(kind, at, flaw);
        next
    }

    fn stepped(&mut self, kind: Kind, at: At, flaw: Flaw) -> At {
        if let Kind::Stranger { layout } = kind {
            let live = self.live(0, self.logs[0].len());
            self.logs[0].push(if layout { Commit::Layout(live) } else { Commit::Rows });
            return At::Done(End::Well);
        }
        match at {
            At::Published if flaw == Flaw::NoRedo => At::Newest,
            At::Published => At::Intents { published: self.records.len() },
            At::Intents { published } => match self.intents.len() {
                number if number > published => self.redo(number, None),
                _ => At::Newest,
            },
            At::Redo { table: TABLES, barred: true, .. } => At::Done(End::Drift),
            At::Redo { number, table: TABLES, landed, own, .. } => At::Record { number, landed, own },
            At::Redo { number, table, mut landed, barred, own } => {
                let version = self.commit(number, table, flaw);
                landed[table] = version.filter(|_| flaw != Flaw::Early).unwrap_or(landed[table]);
                At::Redo { number, table: table + 1, landed, barred: barred || version.is_none(), own }
            }
            At::Record { number, landed, own } => {
                let record = (self.intents[number - 1].attempt, landed);
                match self.records.get(number - 1) {
                    Some(stands) => assert_eq!(*stands, record, "two redos write one record"),
                    None => {
                        assert_eq!(self.records.len(), number - 1, "a record without the one before");
                        self.records.push(record);
                    }
                }
                match own {
                    None => At::Newest,
                    Some(plan) => At::Delete { plan },
                }
            }
            At::Newest => {
                let (number, attempt) = (self.records.len() + 1, self.attempts);
                self.attempts += 1;
                let versions = self.records[number - 2].1;
                let intent = Intent { attempt, commits: [None; TABLES] };
                let plan = Plan { number, attempt, versions, intent, goes: Vec::new() };
                match kind {
                    Kind::Run(_) => At::Head { plan, table: 0 },
                    _ => At::Named { plan },
                }
            }
            At::Head { plan, table: TABLES } => At::Write { plan, table: 0 },
            At::Head { mut plan, table } => {
                let Kind::Run(changes) = kind else { unreachable!() };
                let head = self.logs[table].len();
                let since = &self.logs[table][plan.versions[table].min(head)..];
                if since.iter().any(|commit| !matches!(commit, Commit::Layout(_))) {
                    return self.strange(&plan);
                }
                plan.intent.commits[table] = changes[table].then(|| (head, self.live(table, head)));
                At::Head { plan, table: table + 1 }
            }
            At::Write { plan, table: TABLES } => At::Taken { plan },
            At::Write { plan, table } => {
                if plan.intent.commits[table].is_some() {
                    self.files.insert(File { planned: plan.number, attempt: plan.attempt, table });
                }
                At::Write { plan, table: table + 1 }
            }
            // The last publish alone is kept.
            At::Named { plan } => {
                let mut named = BTreeSet::new();
                for (table, version) in plan.versions.iter().enumerate() {
                    named.extend(self.live(table, *version));
                    named.extend(self.logs[table][*version..].iter().filter_map(|commit| match commit {
                        Commit::Ours { add, .. } => Some(*add),
                        _ => None,
                    }));
                }
                At::Walk { plan, named }
            }
            // Files of attempts that can publish no more, and that nothing names.
            At::Walk { mut plan, named } => {
                let below = plan.number + usize::from(flaw == Flaw::Eager);
                plan.goes =
                    self.files.iter().copied().filter(|file| file.planned < below && !named.contains(file)).collect();
                if flaw == Flaw::Eager { At::Delete { plan } } else { At::Taken { plan } }
            }
            At::Taken { plan } if self.taken(&plan) && flaw != Flaw::Overwrites => At::Done(End::Busy),
            At::Taken { plan } => At::Heads { plan, table: 0 },
            At::Heads { plan, table: TABLES } => At::Put { plan },
            At::Heads { plan, table } => match plan.intent.commits[table] {
                Some((base, _)) if self.logs[table].len() != base => self.strange(&plan),
                _ => At::Heads { plan, table: table + 1 },
            },
            At::Put { plan } => {
                match self.intents.get_mut(plan.number - 1) {
                    Some(stands) if flaw == Flaw::Overwrites => *stands = plan.intent.clone(),
                    Some(_) => return At::Done(End::Busy),
                    None => self.intents.push(plan.intent.clone()),
                }
                self.redo(plan.number, Some(plan))
            }
            At::Delete { mut plan } => match plan.goes.pop() {
                Some(file) => {
                    self.files.remove(&file);
                    At::Delete { plan }
                }
                None => At::Done(End::Well),
            },
            At::Done(_) => unreachable!(),
        }
    }

    fn redo(&self, number: usize, own: Option<Plan>) -> At {
        At::Redo { number, table: 0, landed: self.before(number), barred: false, own }
    }

    /// Where the tables stand at the publish before a number.
    fn before(&self, number: usize) -> [usize; TABLES] {
        self.records.get(number - 2).map_or([0; TABLES], |record| record.1)
    }

    /// Puts a commit of an intent at the first free version behind its base, unless it stands there or is barred.
    fn commit(&mut self, number: usize, table: usize, flaw: Flaw) -> Option<usize> {
        let intent = &self.intents[number - 1];
        let Some((base, remove)) = intent.commits[table] else { return Some(self.before(number)[table]) };
        let add = File { planned: number, attempt: intent.attempt, table };
        let ours = Commit::Ours { publish: number, add, remove };
        for (version, commit) in self.logs[table].iter().enumerate().skip(base) {
            match commit {
                commit if *commit == ours && flaw != Flaw::Blind => return Some(version + 1),
                Commit::Layout(gone) if *gone == remove => return None,
                _ => {}
            }
        }
        self.logs[table].push(ours);
        Some(self.logs[table].len())
    }

    /// Somebody new, alone, until it is done.
    fn alone(&self, kind: Kind, flaw: Flaw) -> (World, End) {
        let mut world = World { who: vec![(kind, At::Published)], ..self.clone() };
        loop {
            if let At::Done(end) = world.who[0].1 {
                return (world, end);
            }
            world = world.step(0, flaw);
        }
    }
}

/// All states that some of them can come to: how many there are, or what is wrong in one.
fn explore(who: &[Kind], flaw: Flaw) -> Result<usize, String> {
    let start = World::new(who);
    let (mut seen, mut todo) = (HashSet::from([start.clone()]), VecDeque::from([start]));
    let strangers = who.iter().any(|kind| matches!(kind, Kind::Stranger { .. }));
    while let Some(world) = todo.pop_front() {
        let told = |what: String| format!("{what}, in {world:?}");
        world.check().map_err(told)?;
        let (after, end) = world.alone(Kind::Run([true; TABLES]), flaw);
        after.check().map_err(|what| told(format!("after a run alone: {what}")))?;
        if end == End::Busy || end == End::Drift && !strangers {
            return Err(told(format!("a run alone ends {end:?}")));
        }
        if end == End::Well {
            let (kept, end) = after.alone(Kind::Maintain, flaw);
            kept.check().map_err(|what| told(format!("after maintain alone: {what}")))?;
            let live = (0..TABLES).filter_map(|table| kept.live(table, kept.logs[table].len())).collect();
            if end != End::Well || kept.files != live {
                return Err(told(format!("maintain alone ends {end:?} and leaves {:?}", kept.files)));
            }
        }
        for (who, (_, at)) in world.who.iter().enumerate() {
            if !matches!(at, At::Done(_)) {
                let next = world.step(who, flaw);
                if seen.insert(next.clone()) {
                    todo.push_back(next);
                }
            }
        }
    }
    Ok(seen.len())
}

const BOTH: Kind = Kind::Run([true, true]);
const FIRST: Kind = Kind::Run([true, false]);
const SECOND: Kind = Kind::Run([false, true]);
const ROWS: Kind = Kind::Stranger { layout: false };
const LAYOUT: Kind = Kind::Stranger { layout: true };

#[test]
fn every_state_is_whole_and_can_be_left() {
    for who in [
        vec![BOTH, FIRST, SECOND],
        vec![BOTH, FIRST, Kind::Maintain],
        vec![BOTH, Kind::Maintain, Kind::Maintain],
        vec![BOTH, FIRST, ROWS],
        vec![BOTH, SECOND, LAYOUT],
        vec![FIRST, Kind::Maintain, ROWS],
        vec![FIRST, Kind::Maintain, LAYOUT],
    ] {
        let states = explore(&who, Flaw::None).unwrap_or_else(|wrong| panic!("{who:?}: {wrong}"));
        println!("{states:8} states of {who:?}");
    }
}

#[test]
fn each_flaw_is_found() {
    for (flaw, who) in [
        (Flaw::Eager, vec![BOTH, Kind::Maintain]),
        (Flaw::NoRedo, vec![BOTH, FIRST]),
        (Flaw::Blind, vec![BOTH, FIRST]),
        (Flaw::Overwrites, vec![BOTH, FIRST]),
        (Flaw::Early, vec![BOTH]),
    ] {
        let found = std::panic::catch_unwind(|| explore(&who, flaw));
        assert!(!matches!(found, Ok(Ok(_))), "{flaw:?} does no harm in {who:?}");
    }
}
