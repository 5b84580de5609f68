//! Step 8: what must hold before anything is seen.

use crate::report::Report;
use rcm_core::{Class, Problem};

/// Holds gold to silver: no fact is lost or doubled in a join, no sum differs, no key stands twice.
pub(super) fn judge(report: &Report) -> Result<(), Problem> {
    for gold in &report.gold {
        let refuse = |what: String| {
            Err(Problem::new(Class::Gate, format!("gold/{}", gold.model), what)
                .hint("nothing was published; look at the model's SQL and at the keys of its dimensions"))
        };
        if gold.repeated > 0 {
            return refuse(format!("{} rows share their key with another row", gold.repeated));
        }
        if let Some(silver) = gold.silver_rows.filter(|silver| *silver != gold.rows) {
            return refuse(format!("{} rows, silver has {silver}", gold.rows));
        }
        if let Some((column, _)) = gold.money.iter().find(|(_, (silver, gold))| silver != gold) {
            return refuse(format!("the sum of `{column}` is not silver's"));
        }
    }
    Ok(())
}
