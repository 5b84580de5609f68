//! Step 8: what must hold before anything is seen.

use crate::config::Project;
use crate::report::Report;
use rcm_core::{Class, Problem};

/// Holds every layer to the one before it: no record is lost, no fact is lost or doubled in a join, no sum differs, no
/// key stands twice. With `all_or_nothing` also that no load failed.
pub(super) fn judge(project: &Project, report: &Report) -> Result<(), Problem> {
    let failed: Vec<Class> = report.loads.iter().filter_map(|load| Some(load.error.as_ref()?.class)).collect();
    if let Some(worst) = failed.iter().max().filter(|_| project.settings.all_or_nothing) {
        let what = format!("{} of {} loads failed, and [run] all_or_nothing is set", failed.len(), report.loads.len());
        return Err(Problem::new(*worst, "run", what).hint("nothing was published; mend what failed, then run again"));
    }
    let refuse = |place: String, what: String, hint: &str| Err(Problem::new(Class::Gate, place, what).hint(hint));
    for load in &report.loads {
        let hint = "nothing was published; this is a fault of the program, please report it";
        if load.read != load.landed + load.rejected {
            return refuse(load.load.clone(), "bronze does not hold every record that was read".to_owned(), hint);
        }
        if load.taken.rows_in != load.taken.sum() {
            return refuse(load.load.clone(), "silver does not account for every row of bronze".to_owned(), hint);
        }
    }
    for gold in &report.gold {
        let place = format!("gold/{}", gold.model);
        let hint = "nothing was published; look at the model's SQL and at the keys of its dimensions";
        if gold.repeated > 0 {
            return refuse(place, format!("{} rows share their key with another row", gold.repeated), hint);
        }
        if let Some(silver) = gold.silver_rows.filter(|silver| *silver != gold.rows) {
            return refuse(place, format!("{} rows, silver has {silver}", gold.rows), hint);
        }
        if let Some(total) = gold.totals.iter().find(|t| t.wanted != t.found) {
            return refuse(place, format!("the sum of `{}` is not that of {}", total.column, total.from), hint);
        }
    }
    Ok(())
}
