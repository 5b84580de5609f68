//! The demo: two invented hospitals, two days, from landing files to gold.

mod figures;
pub mod generate;

use crate::config::{Project, Vars};
use crate::pipeline::{self, Options, text};
use crate::report::{Report, human};
use chrono::{DateTime, Duration, Utc};
pub use figures::figures;
use generate::File;
use rcm_connectors::lake::{Access, Location};
use rcm_core::{Class, Clock, Problem, Progress};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file that marks a folder as a demo's, and says how far it has come.
pub const MARK: &str = "rcm-demo.json";

/// The starter project, without data.
const PROJECT: [(&str, &str); 6] = [
    ("rcm.toml", include_str!("demo/project/rcm.toml")),
    ("load_config.csv", include_str!("demo/project/load_config.csv")),
    ("mappings/hos-a.toml", include_str!("demo/project/mappings/hos-a.toml")),
    ("mappings/hos-b.toml", include_str!("demo/project/mappings/hos-b.toml")),
    ("mappings/shared.toml", include_str!("demo/project/mappings/shared.toml")),
    ("README.md", include_str!("demo/project/README.md")),
];

#[derive(Serialize, Deserialize)]
struct Mark {
    /// T: day 2's `as_of`; day 1 runs one day earlier.
    as_of: DateTime<Utc>,
    /// The lake's URL, where it is not in the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lake: Option<String>,
    /// Days whose files stand in landing.
    delivered: Vec<u32>,
    /// Days whose run ended well. Day 2 is delivered only after day 1's.
    ran: Vec<u32>,
}

/// How to run the demo.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Day 2's instant; day 1 is one day earlier. Default: [`generate::DEFAULT_AS_OF`].
    pub as_of: Option<DateTime<Utc>>,
    /// URL of the lake, reached by what the environment says. Default: the folder `lake` of the project.
    pub lake: Option<String>,
    /// Threads. Default: 0, as many as the machine has.
    pub jobs: usize,
    /// The environment.
    pub vars: Vars,
}

/// What the demo did.
#[derive(Debug, Serialize)]
pub struct Demo {
    /// 1.
    pub schema: u32,
    /// Day 1's run (where it was due) and day 2's.
    pub runs: Vec<Report>,
}

impl Demo {
    /// The exit code: that of the run that failed.
    pub fn exit_code(&self) -> u8 {
        self.runs.iter().map(Report::exit_code).find(|c| *c != 0).unwrap_or(0)
    }
}

/// Writes the starter project with day 1's files, without running it.
///
/// # Errors
/// A folder that is not empty (class `config`), or that cannot be written.
pub fn init(dir: &Path, as_of: DateTime<Utc>) -> Result<(), Problem> {
    if !is_empty(dir)? {
        return Err(Problem::new(Class::Config, dir.display().to_string(), "the folder is not empty")
            .hint("name a new folder; nothing is overwritten here"));
    }
    write_project(dir, None)?;
    deliver(dir, generate::day1(as_of.date_naive()))
}

/// Runs the demo in a folder, or goes on where an earlier one stopped. `say` receives what a person should read between
/// the steps.
///
/// # Errors
/// A folder that is neither empty nor a demo's, another `as_of` or lake than the folder was made with, a folder that cannot be
/// written. What goes wrong in a run stands in its report.
pub async fn run(
    dir: &Path,
    wish: &Wish,
    clock: &dyn Clock,
    progress: &dyn Progress,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<Demo, Vec<Problem>> {
    let one = |p: Problem| vec![p];
    if let Some(lake) = &wish.lake {
        // Before it stands in a file.
        let access = Access { environment: wish.vars.env.clone(), ..Access::default() };
        Location::of(lake, &access).map_err(one)?;
    }
    let mut mark = open(dir, wish).map_err(one)?;
    let today = mark.as_of.date_naive();
    let mut demo = Demo { schema: 1, runs: Vec::new() };
    if !mark.delivered.contains(&1) {
        write_project(dir, mark.lake.as_deref()).map_err(one)?;
        deliver(dir, generate::day1(today)).map_err(one)?;
        mark.delivered.push(1);
        save(dir, &mark).map_err(one)?;
        say(&format!("day 1: two hospitals delivered to {}/landing", dir.display()));
    }
    if !mark.ran.contains(&1) {
        if !once(dir, mark.as_of - Duration::days(1), wish, clock, progress, say, &mut demo).await? {
            return Ok(demo);
        }
        mark.ran.push(1);
        save(dir, &mark).map_err(one)?;
    }
    if !mark.delivered.contains(&2) {
        deliver(dir, generate::day2(today)).map_err(one)?;
        mark.delivered.push(2);
        save(dir, &mark).map_err(one)?;
        say("day 2: EMR files replaced, one more claims drop a hospital");
    }
    if once(dir, mark.as_of, wish, clock, progress, say, &mut demo).await? && !mark.ran.contains(&2) {
        mark.ran.push(2);
        save(dir, &mark).map_err(one)?;
    }
    Ok(demo)
}

async fn once(
    dir: &Path,
    as_of: DateTime<Utc>,
    wish: &Wish,
    clock: &dyn Clock,
    progress: &dyn Progress,
    say: &mut (dyn FnMut(&str) + Send),
    demo: &mut Demo,
) -> Result<bool, Vec<Problem>> {
    let project = Project::open(&dir.join("rcm.toml"), &wish.vars)?;
    let options = Options { as_of: Some(as_of), jobs: wish.jobs, ..Options::default() };
    let report = pipeline::run(&project, &options, clock, progress).await;
    say(&human(&report));
    let went_well = report.exit_code() == 0;
    demo.runs.push(report);
    Ok(went_well)
}

fn open(dir: &Path, wish: &Wish) -> Result<Mark, Problem> {
    let place = || dir.display().to_string();
    let path = dir.join(MARK);
    if path.is_file() {
        let bytes = std::fs::read(&path).map_err(|e| cannot(&path, &e))?;
        let mark: Mark = serde_json::from_slice(&bytes)
            .map_err(|_| Problem::new(Class::Config, path.display().to_string(), "is no demo's mark"))?;
        if wish.lake.as_ref().is_some_and(|asked| mark.lake.as_ref() != Some(asked)) {
            return Err(Problem::new(Class::Config, place(), "the demo here has another lake")
                .hint("leave --lake out, or name another --dir"));
        }
        return match wish.as_of {
            Some(asked) if asked != mark.as_of => {
                let what = format!("the demo here is as of {}, asked is {}", text(mark.as_of), text(asked));
                Err(Problem::new(Class::Config, place(), what).hint("leave --as-of out, or name another --dir"))
            }
            _ => Ok(mark),
        };
    }
    if !is_empty(dir)? {
        return Err(Problem::new(Class::Config, place(), "the folder is neither empty nor a demo's")
            .hint("name another folder with --dir; nothing was touched"));
    }
    let default = generate::DEFAULT_AS_OF.parse().unwrap_or_default();
    let (as_of, lake) = (wish.as_of.unwrap_or(default), wish.lake.clone());
    let mark = Mark { as_of, lake, delivered: Vec::new(), ran: Vec::new() };
    save(dir, &mark)?;
    Ok(mark)
}

fn save(dir: &Path, mark: &Mark) -> Result<(), Problem> {
    let path = dir.join(MARK);
    let bytes = serde_json::to_vec_pretty(mark).map_err(|e| Problem::storage(path.display().to_string(), e))?;
    // Whole or not at all: a demo that was stopped here goes on from the mark before.
    let next = dir.join(format!("{MARK}.next"));
    std::fs::create_dir_all(dir).map_err(|e| cannot(dir, &e))?;
    std::fs::write(&next, bytes).and_then(|()| std::fs::rename(&next, &path)).map_err(|e| cannot(&path, &e))
}

fn is_empty(dir: &Path) -> Result<bool, Problem> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(cannot(dir, &e)),
    }
}

fn write_project(dir: &Path, lake: Option<&str>) -> Result<(), Problem> {
    let url = |lake: &str| format!("url = {}", toml::Value::from(lake));
    let file = |(path, text): (&str, &str)| {
        let text = lake.map_or_else(|| text.to_owned(), |lake| text.replacen(&url("lake"), &url(lake), 1));
        File { path: path.to_owned(), bytes: text.into_bytes() }
    };
    deliver(dir, PROJECT.map(file).into())
}

fn deliver(dir: &Path, files: Vec<File>) -> Result<(), Problem> {
    for file in files {
        let path = dir.join(&file.path);
        let parent = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, &file.bytes))
            .map_err(|e| cannot(&path, &e))?;
    }
    Ok(())
}

fn cannot(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(Class::Failed, path.display().to_string(), format!("cannot be written: {error}"))
}
