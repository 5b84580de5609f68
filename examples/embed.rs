//! The whole pipeline inside another program: a project is written, run, and its gold tables are asked.
//!
//! `cargo ex embed --features pipeline -- DIR` prints charges by department. The library reads no clock and no
//! environment: this program hands them in.

use chrono::{DateTime, Utc};
use rcm::config::{Project, Vars};
use rcm::pipeline::{self, Options};
use rcm::query::Tables;
use rcm_core::{Clock, progress::Silent};
use std::error::Error;
use std::path::PathBuf;

/// A program that replays may give any time.
struct Replay(DateTime<Utc>);

impl Clock for Replay {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir: PathBuf = std::env::args().nth(1).ok_or("usage: embed DIR (new, or of an earlier run)")?.into();
    let clock = Replay(rcm::demo::generate::DEFAULT_AS_OF.parse()?);
    if !dir.join("rcm.toml").exists() {
        rcm::demo::init(&dir, clock.now())?;
    }
    let project = Project::open(&dir.join("rcm.toml"), &Vars::default()).map_err(|p| p[0].clone())?;
    let report = pipeline::run(&project, &Options::default(), &clock, &Silent).await;
    assert_eq!(report.exit_code(), 0, "{:?}", report.problems);

    let tables = Tables::newest(&project.lake.now().await?).await?;
    println!(
        "{}",
        tables.show("SELECT department, amount FROM gold.kpi_department_charges ORDER BY amount DESC").await?
    );

    // Run again: nothing is read twice, nothing is written twice.
    let again = pipeline::run(&project, &Options::default(), &clock, &Silent).await;
    assert!(again.is_nothing_new());
    Ok(())
}
