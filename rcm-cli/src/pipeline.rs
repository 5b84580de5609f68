//! One run, from landing to gold, in the order of the data: read the modules in the order in which [`run`] calls them.
//!
//! [`plan`](self) → land → conform and check → merge → gold → gates → publish → audit. Nothing is visible before the
//! intent is written; after it nothing can be lost.

mod audit;
mod conform;
mod gates;
mod gold;
mod land;
mod maintain;
mod merge;
mod plan;
mod presence;
mod publish;
mod select;
mod sources;
mod weave;

use crate::config::Project;
use crate::report::Report;
use chrono::{DateTime, Utc};
pub use maintain::{MaintainReport, maintain, maintained};
pub(crate) use plan::{Plan, text};
use rcm_connectors::lake::{Lake, Location};
use rcm_core::{Class, Clock, Event, LoadLine, Problem, Progress};
pub(crate) use sources::connected;
use std::time::Duration;

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only lines that match one of these (`patients`, `hos-a.*`); empty: all. Default: empty.
    pub select: Vec<String>,
    /// Say what would be read; write nothing. Default: false.
    pub dry_run: bool,
    /// Rebuild the selected tables out of the bronze archive, under today's mapping and rules. Default: false.
    pub full_refresh: bool,
    /// Which rows of incremental tables are read. Default: what is new.
    pub reach: Reach,
    /// The run's instant. Default: the clock's.
    pub as_of: Option<DateTime<Utc>>,
    /// Threads. Default: 0, as many as the machine has.
    pub jobs: usize,
    /// How long to try again while another run holds the lake or takes this run's number. Default: not at all.
    pub wait: Duration,
}

/// Which rows of incremental tables of databases and services a run reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reach {
    /// From the watermark less the lag.
    #[default]
    New,
    /// So many windows that were read before as well: what is in them now and was not read is late, and is read.
    Reconcile(usize),
    /// From a point to another one, which is not in it; no watermark moves.
    Between(String, String),
}

/// How long a run that failed tries to say so in the audit table: a store that is away is tried again for minutes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs the pipeline once. Safe to repeat: what was read is not read again, what was interrupted is finished first.
///
/// It works on the calling thread and on threads of its own; give it a task that may block, on a runtime with timers
/// (`enable_all`) and more than one thread: of a lake in a store the lease goes by beats, which come meanwhile.
pub async fn run(project: &Project, options: &Options, clock: &dyn Clock, progress: &dyn Progress) -> Report {
    run_on(&Lake::open, project, options, clock, progress).await
}

/// [`run`] with a lake that is opened in another way, [`Lake::on`] for one.
pub async fn run_on(
    open: &dyn Fn(&Location) -> Result<Lake, Problem>,
    project: &Project,
    options: &Options,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Report {
    let started = clock.now();
    let mut waits = false;
    loop {
        let mut report = Report::new(clock.now());
        report.dry_run = options.dry_run;
        match attempt(open, project, options, clock, progress, &mut report).await {
            Err(problem) if !report.problems.contains(&problem) => report.problems.push(problem),
            _ => {}
        }
        report.finished_at = clock.now();
        let is_busy = report.problems.iter().any(|problem| problem.class == Class::Busy);
        let waited = (report.finished_at - started).to_std().unwrap_or_default();
        if !is_busy || waited >= options.wait {
            return report;
        }
        if !waits {
            progress.event(&Event::Note("waiting for another run to end"));
            waits = true;
        }
        tokio::time::sleep(PAUSE.min(options.wait - waited)).await;
    }
}

async fn attempt(
    open: &dyn Fn(&Location) -> Result<Lake, Problem>,
    project: &Project,
    options: &Options,
    clock: &dyn Clock,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<(), Problem> {
    let lines = select::lines(project, &options.select)?;

    if options.dry_run {
        // Opens what is there and makes nothing.
        let lake = Lake::existing(&project.lake.now().await?).await?;
        let plan = plan::make(project, options, &lines, lake.as_ref(), &threads(options)?, clock).await?;
        report.plan(&plan);
        return Ok(());
    }
    let lake = open(&project.lake.now().await?)?;
    let lease = lake.lease().await?;
    let outcome = begun(project, options, &lines, &lake, clock, progress, report).await;
    if let Err(problem) = &outcome
        && problem.class != Class::Config
        // That another run holds the lake is no failure of an attempt: there is none yet.
        && (problem.class != Class::Busy || !report.attempt.is_empty())
    {
        keep_failure(&lake, problem, report, clock.now()).await;
    }
    lease.end().await;
    outcome
}

/// That an attempt failed is kept.
async fn keep_failure(lake: &Lake, problem: &Problem, report: &mut Report, now: DateTime<Utc>) {
    report.refuse(problem);
    report.problems.push(problem.clone());
    if report.attempt.is_empty() {
        report.attempt = rcm_connectors::lake::new_attempt(0);
    }
    // Behind its intent the attempt's own rows are still to come, with the redo.
    if report.intent.is_none() {
        // Where the lake cannot be written, the first problem is the one to act on, and soon.
        let rows = audit::rows(report, None, now);
        let _ = tokio::time::timeout(PATIENCE, lake.append_audit(&report.attempt, &rows)).await;
    }
}

fn threads(options: &Options) -> Result<rayon::ThreadPool, Problem> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.jobs).build();
    pool.map_err(|e| Problem::storage("threads", e))
}

async fn begun(
    project: &Project,
    options: &Options,
    lines: &[&LoadLine],
    lake: &Lake,
    clock: &dyn Clock,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<(), Problem> {
    let pool = &threads(options)?;
    let rebuilt: Vec<&str> = lines.iter().filter(|_| options.full_refresh).map(|line| line.table).collect();
    publish::finish_what_was_begun(lake, &rebuilt, clock, progress).await?;
    let plan = plan::make(project, options, lines, Some(lake), pool, clock).await?;
    report.plan(&plan);
    progress.event(&Event::Planned { loads: plan.to_read().count(), tables: plan.tables(|_| true).len() });
    match work(project, &plan, lake, pool, clock, progress, report).await {
        // What another run did under this one's number looks like the work of a stranger, or like loss.
        Err(problem) if problem.class != Class::Busy && report.intent.is_none() && plan.is_lost(lake).await => {
            let what = format!("another run took publish {}", plan.publish);
            Err(Problem::new(Class::Busy, "lake", what).hint("run again; nothing of this run was published"))
        }
        done => done,
    }
}

async fn work(
    project: &Project,
    plan: &plan::Plan<'_>,
    lake: &Lake,
    pool: &rayon::ThreadPool,
    clock: &dyn Clock,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<(), Problem> {
    plan.refuse_wrong_lines()?;
    plan.refuse_late()?;
    let read = land::read(project, plan, lake, pool, progress, report).await?;
    let touched = plan.tables(|load| read.iter().any(|(of, _)| of.line == load.line));
    if !touched.is_empty() || gold::is_due(plan) {
        lake.begin(&plan.begins(clock.now())).await?;
    }
    let landed = land::land(read, lake, progress).await?;
    let mut tables = Vec::new();
    for table in touched {
        let groups = conform::groups(project, plan, table, &landed, lake, progress).await?;
        let checked = pool.install(|| conform::check(project, plan, table, groups, progress))?;
        tables.push(merge::merge(project, plan, table, checked, lake, pool, report).await?);
        progress.event(&Event::Merged { table: table.name });
    }
    let gold = gold::build(plan, &tables, lake, report).await?;
    progress.event(&Event::GoldWritten { models: gold.len() });
    gates::judge(project, report)?;
    progress.event(&Event::GatesHeld);
    publish::publish(plan, &tables, &gold, lake, clock, progress, report).await
}
