//! What may be typed.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use clap::{Parser, Subcommand};
use rcm::query::At;
use std::path::PathBuf;
use std::time::Duration;

/// Turns a hospital group's raw revenue-cycle files into checked history and finance figures.
#[derive(Parser, Debug)]
#[command(name = "rcm", version, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,

    /// The project's configuration.
    #[arg(short, long, value_name = "FILE", default_value = "./rcm.toml", global = true)]
    pub(crate) config: PathBuf,

    /// Fills `${var:NAME}` in the configuration. Repeatable.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment, global = true)]
    pub(crate) var: Vec<(String, String)>,

    /// One JSON document on stdout, everything else on stderr.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    /// Writes a project of two invented hospitals, runs two days of it and shows what came out.
    Demo {
        /// Where; empty, or a demo's.
        #[arg(long, default_value = "./rcm-demo")]
        dir: PathBuf,
        /// Day 2's instant; day 1 is one day earlier. Default: fixed, so that everybody sees the same.
        #[arg(long, value_name = "T", value_parser = instant)]
        as_of: Option<DateTime<Utc>>,
        /// Where the lake lies, if not in that folder: an abfss:// or s3:// URL, reached by the usual variables of the
        /// environment (AZURE_STORAGE_ACCOUNT_KEY, AWS_ACCESS_KEY_ID, …).
        #[arg(long, value_name = "URL")]
        lake: Option<String>,
        /// Threads; 0: as many as the machine has.
        #[arg(short, long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=256))]
        jobs: u16,
    },
    /// Writes the demo's project with day 1's files, without running it.
    Init {
        /// A folder that is empty or not there.
        dir: PathBuf,
    },
    /// Reads the configuration and says what is wrong with it; touches nothing.
    Check {
        /// Asks every source and the lake too: whether they can be reached, what their tables look like, which watermark has no index.
        #[arg(long)]
        connect: bool,
    },
    /// Runs the pipeline: landing, bronze, silver, gold. Safe to repeat.
    Run {
        /// Only these: a table (`patients`), a line (`hos-a.patients`), or a pattern (`hos-a.*`). Repeatable.
        #[arg(short, long, value_name = "EXPR")]
        select: Vec<String>,
        /// Prints the plan; writes nothing.
        #[arg(long)]
        dry_run: bool,
        /// Rebuilds the selected tables out of the bronze archive, under today's mapping and rules.
        #[arg(long)]
        full_refresh: bool,
        /// Compares the last windows of incremental tables of databases with what is there now, and reads what came late.
        #[arg(long, value_name = "WINDOWS", num_args = 0..=1, default_missing_value = "7", value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "full_refresh")]
        reconcile: Option<u16>,
        /// Reads incremental tables of databases from this point of the watermark, and moves no watermark.
        #[arg(long, value_name = "POINT", requires = "to", conflicts_with_all = ["full_refresh", "reconcile"])]
        from: Option<String>,
        /// Up to this point, which is not in it.
        #[arg(long, value_name = "POINT", requires = "from")]
        to: Option<String>,
        /// The run's instant (RFC 3339, or a day in UTC). Default: now.
        #[arg(long, value_name = "T", value_parser = instant)]
        as_of: Option<DateTime<Utc>>,
        /// Threads; 0: as many as the machine has.
        #[arg(short, long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=256))]
        jobs: u16,
        /// How long to wait while another run is at work (`30s`, `10m`). Default: not at all.
        #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
        wait: Duration,
    },
    /// Deletes files that no kept publish names: what killed runs left, and what is past `[maintain] keep_publishes`.
    Maintain {
        /// Says how much would go; touches nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Last run, watermarks, quarantine counts, table versions.
    Status {
        /// As of a publish, by its number or the instant of its run. Default: the newest.
        #[arg(long, value_name = "PUBLISH|T")]
        at: Option<At>,
    },
    /// Prints shell completions.
    #[command(hide = true)]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let day = || text.parse::<NaiveDate>().ok().map(|d| d.and_time(chrono::NaiveTime::MIN).and_utc());
    let at: Option<DateTime<Utc>> = text.parse().ok().or_else(day);
    at.filter(|at| (1900..=9999).contains(&at.year()))
        .ok_or_else(|| "expected 2026-06-30 or 2026-06-30T00:00:00Z, in the years 1900 to 9999".to_owned())
}
