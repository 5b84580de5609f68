//! The program `rcm`: arguments, the clock, the environment, the terminal and exit codes. All work is in the library.

mod args;
mod show;
mod stop;
mod terminal;

use args::{Args, Verb};
use chrono::{DateTime, Utc};
use clap::Parser;
use rcm::config::{Project, Vars};
use rcm::demo::Wish;
use rcm::pipeline::{self, Options, Reach};
use rcm_connectors::lake::Lake;
use rcm_core::{Clock, Problem, Secret};
use show::Output;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct WallClock;

impl Clock for WallClock {
    #[allow(clippy::disallowed_methods, reason = "the one place where the clock is read")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(e) => return ExitCode::from(show::usage(&e)),
    };
    let output = Output { json: args.json };
    rcm::panics::tell_no_more_than_the_place();
    // A panic is our fault, not a usage error: 1, not 101.
    let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(args, &output))).unwrap_or(1);
    ExitCode::from(code)
}

fn run(args: Args, output: &Output) -> u8 {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return output.problems(&[Problem::storage("runtime", e)]),
    };
    runtime.block_on(verb(args, output))
}

async fn verb(args: Args, output: &Output) -> u8 {
    let vars = Vars { var: args.var.into_iter().collect(), env: environment() };
    let stop = stop::listen();
    let terminal = terminal::Terminal::new(stop);
    let open = || Project::open(&args.config, &vars);
    match args.verb {
        Verb::Demo { dir, as_of, jobs, lake } => {
            let mut say = |text: &str| terminal.say(text);
            let wish = Wish { as_of, lake, jobs: jobs.into(), vars };
            match rcm::demo::run(&dir, &wish, &WallClock, &terminal, &mut say).await {
                Ok(demo) if demo.exit_code() == 0 && !output.json => match rcm::demo::figures(&dir, &wish.vars).await {
                    Ok(figures) => output.text(&figures),
                    Err(problems) => output.problems(&problems),
                },
                Ok(demo) => output.done(&demo, demo.exit_code()),
                Err(problems) => output.problems(&problems),
            }
        }
        Verb::Init { dir } => {
            let as_of = rcm::demo::generate::DEFAULT_AS_OF.parse().unwrap_or_default();
            match rcm::demo::init(&dir, as_of) {
                Ok(()) => {
                    let next = format!("next: rcm -c {}/rcm.toml run\n", dir.display());
                    output.either(&serde_json::json!({"dir": dir, "as_of": as_of}), &next)
                }
                Err(problem) => output.problems(&[problem]),
            }
        }
        Verb::Check { connect: true } => match open() {
            Ok(project) => {
                let probe = rcm::probe::probe(&project, WallClock.now()).await;
                if !output.json {
                    output.text(&rcm::probe::human(&probe));
                }
                output.done(&probe, probe.exit_code())
            }
            Err(problems) => output.problems(&problems),
        },
        Verb::Check { connect: false } => match open() {
            Ok(project) => {
                let active = project.lines.iter().filter(|l| l.is_active).count();
                let hospitals: std::collections::BTreeSet<_> =
                    project.lines.iter().map(|l| &l.hospital).filter(|h| !h.is_empty()).collect();
                let text = format!(
                    "{}: {} lines, {active} active, {} hospitals: nothing wrong\n",
                    project.file.display(),
                    project.lines.len(),
                    hospitals.len()
                );
                output.either(&serde_json::json!({"lines": project.lines.len(), "active": active}), &text)
            }
            Err(problems) => output.problems(&problems),
        },
        Verb::Run { select, dry_run, full_refresh, reconcile, from, to, as_of, jobs, wait } => match open() {
            Ok(project) => {
                let reach = match (reconcile, from.zip(to)) {
                    (Some(windows), _) => Reach::Reconcile(windows.into()),
                    (None, Some((from, to))) => Reach::Between(from, to),
                    (None, None) => Reach::New,
                };
                let options = Options { select, dry_run, full_refresh, reach, as_of, jobs: jobs.into(), wait };
                let report = pipeline::run(&project, &options, &WallClock, &terminal).await;
                if !output.json {
                    terminal.say(&rcm::report::human(&report));
                    return report.exit_code();
                }
                output.done(&report, report.exit_code())
            }
            Err(problems) => output.problems(&problems),
        },
        Verb::Maintain { dry_run } => match open() {
            Ok(project) => match pipeline::maintain(&Lake::open, &project, dry_run, &WallClock, &terminal).await {
                Ok(report) => output.either(&report, &pipeline::maintained(&report)),
                Err(problem) => output.problems(&[problem]),
            },
            Err(problems) => output.problems(&problems),
        },
        Verb::Status { at } => match open() {
            Ok(project) => match rcm::status::status(&project, at.unwrap_or_default()).await {
                Ok(status) => output.either(&status, &rcm::status::human(&status)),
                Err(problem) => output.problems(&[problem]),
            },
            Err(problems) => output.problems(&problems),
        },
        Verb::Completions { shell } => output.completions(shell),
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place where the environment is read")]
/// The environment, for `${env:NAME}`; what is no text cannot be named there.
fn environment() -> std::collections::BTreeMap<String, Secret> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, Secret::new(v.into_string().ok()?)))).collect()
}
