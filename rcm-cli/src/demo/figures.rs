//! What the demo shows at its end, read back from the lake.

use super::generate::{Key, story};
use crate::config::{Project, Vars};
use crate::query::Tables;
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use rcm_core::Problem;
use rcm_core::model::TABLES;
use std::fmt::Write;
use std::path::Path;

/// Rows a layer, quarantine reasons, one patient's versions over time, charges by department, and what to try next.
///
/// # Errors
/// A lake that cannot be read.
pub async fn figures(dir: &Path, vars: &Vars) -> Result<String, Vec<Problem>> {
    let project = Project::open(&dir.join("rcm.toml"), vars)?;
    let one = |p: Problem| vec![p];
    let tables = Tables::newest(&project.lake.now().await.map_err(one)?).await.map_err(one)?;
    show(dir, &tables).await.map_err(one)
}

async fn show(dir: &Path, tables: &Tables) -> Result<String, Problem> {
    let mut out = String::new();
    let story = story();
    section(&mut out, "Rows a layer", &tables.show(&layers(tables)).await?);
    section(&mut out, "Why rows are in quarantine", &tables.show(&reasons(tables)).await?);

    let late = &story.late_patient;
    let title = format!(
        "Patient {} of {} over time: day 2 brought the middle version, days after its time",
        late.id, late.hospital
    );
    let sql = format!(
        "SELECT CAST(valid_from AS DATE) AS valid_from, CAST(valid_to AS DATE) AS valid_to, is_current, address, \
         CAST(inserted_at AS DATE) AS inserted_on FROM silver.patients WHERE {} ORDER BY valid_from",
        is("patient_id", late)
    );
    section(&mut out, &title, &tables.show(&sql).await?);

    let sql =
        "SELECT department, transactions, amount, paid_amount FROM gold.kpi_department_charges ORDER BY amount DESC";
    section(&mut out, "Charges by department", &tables.show(sql).await?);
    let sql = "SELECT band, transactions, outstanding FROM gold.kpi_ar_aging ORDER BY band";
    section(&mut out, "Open balances by age", &tables.show(sql).await?);

    let _ = writeln!(out, "What day 2 did not do");
    for (what, column, table, key, why) in [
        (
            "patient",
            "patient_id",
            "patients",
            &story.gone_patient,
            "gone from an incremental file, which says nothing about absence",
        ),
        (
            "patient",
            "patient_id",
            "patients",
            &story.kept_patient,
            "a bad new version is in quarantine, the last good one stays",
        ),
        (
            "provider",
            "provider_id",
            "providers",
            &story.broken_provider,
            "its line is broken, so that file closes nothing",
        ),
        (
            "provider",
            "provider_id",
            "providers",
            &story.gone_provider,
            "gone from a full file, which lists all there are",
        ),
    ] {
        let sql = format!("SELECT COUNT(*) FROM silver.{table} WHERE is_current AND {}", is(column, key));
        let current = tables.sql(&sql).await?.iter().any(|b| b.column(0).as_primitive::<Int64Type>().value(0) == 1);
        let stands = if current { "stays current" } else { "is closed" };
        let _ = writeln!(out, "  {what} {} of {} {stands}: {why}", key.id, key.hospital);
    }
    let _ = writeln!(out, "\nNext: rcm -c {}/rcm.toml status", dir.display());
    Ok(out)
}

fn section(out: &mut String, title: &str, table: &str) {
    let _ = writeln!(out, "{title}\n{table}\n");
}

fn is(column: &str, key: &Key) -> String {
    format!("hospital = '{}' AND {column} = '{}'", key.hospital, key.id)
}

fn layers(tables: &Tables) -> String {
    let count = |name: &str, filter: &str| match tables.has(name) {
        true => format!("(SELECT COUNT(*) FROM {name} {filter})"),
        false => "0".to_owned(),
    };
    let row = |t: &rcm_core::model::Table| {
        let silver = format!("silver.{}", t.name);
        let quarantine = format!("quarantine.{}", t.name);
        format!(
            "SELECT '{}' AS table_name, {} AS current, {} AS versions, {} AS quarantined",
            t.name,
            count(&silver, "WHERE is_current"),
            count(&silver, ""),
            count(&quarantine, "")
        )
    };
    TABLES.iter().map(row).collect::<Vec<_>>().join(" UNION ALL ") + " ORDER BY table_name"
}

fn reasons(tables: &Tables) -> String {
    let row = |t: &rcm_core::model::Table| {
        let name = format!("quarantine.{}", t.name);
        tables
            .has(&name)
            .then(|| format!("SELECT '{}' AS table_name, hospital, unnest(reasons) AS reason FROM {name}", t.name))
    };
    let rows: Vec<String> = TABLES.iter().filter(|t| t.by_hospital).filter_map(row).collect();
    match rows.is_empty() {
        true => "SELECT 'none' AS reason".to_owned(),
        false => format!(
            "SELECT table_name, hospital, reason, COUNT(*) AS row_count FROM ({}) GROUP BY table_name, hospital, reason \
             ORDER BY table_name, hospital, reason",
            rows.join(" UNION ALL ")
        ),
    }
}
