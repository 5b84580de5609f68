//! What tables of codes have in common: they say nothing of when they changed.

use arrow::datatypes::Schema;
use rcm_core::{Class, Problem, Window};

/// All of a release, or nothing.
pub(crate) fn whole(table: &str, window: &Window) -> Result<(), Problem> {
    match window {
        Window::Whole => Ok(()),
        _ => Err(Problem::new(Class::Config, table, "codes say nothing of when they changed")
            .hint("load the table with loadtype Full")),
    }
}

/// The places of some of the columns, in this order; all if none are named.
pub(crate) fn places(table: &str, schema: &Schema, names: &[String]) -> Result<Vec<usize>, Problem> {
    if names.is_empty() {
        return Ok((0..schema.fields().len()).collect());
    }
    let place = |name: &String| {
        schema.index_of(name).map_err(|_| {
            Problem::new(Class::Drift, table, format!("there is no column `{name}`")).hint("correct the mapping")
        })
    };
    names.iter().map(place).collect()
}
