//! What a table of a database says by its keys: those that it no longer has are gone, those that were gone may be there again.

use super::plan::Plan;
use super::sources::{Tried, of_load};
use crate::config::Project;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::error::ArrowError;
use rcm_connectors::lake::{Lake, Presence};
use rcm_core::model::{HOSPITAL, Table, table};
use rcm_core::{Class, LoadLine, Problem, Reading, Wanted};
use rcm_scd2::IS_CURRENT;
use rcm_transforms::conform::conform;
use std::collections::HashSet;
use std::sync::Arc;

/// All keys of a table as they are when the run is planned.
pub(super) struct Keys {
    /// What is absent must be so at one instant; of a table that shows several, it must be absent twice.
    pub(super) readings: Vec<Box<dyn Reading>>,
    /// Where whole rows are.
    pub(super) source: Tried,
    pub(super) all: Wanted,
}

/// Compares the keys of a table, where that was asked for, with those of silver: rows that are gone, of which only the key says
/// something, and rows that are there again and are not `new` by their watermark.
pub(super) async fn presence(
    project: &Project,
    plan: &Plan<'_>,
    line: &LoadLine,
    keys: Option<Keys>,
    new: &RecordBatch,
    lake: &Lake,
) -> Result<Vec<(Presence, RecordBatch)>, Problem> {
    let (Some(of), Some(keys)) = (table(line.table), keys) else { return Ok(Vec::new()) };
    let none = || Problem::new(Class::Config, line.name(), "has no mapping of its key");
    let (mapping, null) = project.mapping(&line.hospital, line.table).ok_or_else(none)?;
    let column = mapping.columns.get(of.key().name).ok_or_else(none)?.from().to_owned();
    let broken = |e: ArrowError| Problem::storage(line.name(), e);
    // As the common model writes them.
    let keys_of = |rows: &RecordBatch| -> Result<StringArray, Problem> {
        let conformed = conform(of, mapping, null, &line.hospital, rows).map_err(broken)?;
        let keys = conformed.batch.column_by_name(of.key().name).and_then(|keys| keys.as_string_opt::<i32>()).cloned();
        keys.ok_or_else(|| broken(ArrowError::SchemaError("its keys are no texts".to_owned())))
    };
    let known = Known::read(plan, of, &line.hospital, lake).await?;
    let (mut absent, mut there) = (known.live.clone(), HashSet::new());
    for reading in &keys.readings {
        there.clear();
        for batch in keys.source.all(&**reading).await.map_err(of_load)? {
            there.extend(keys_of(&batch)?.iter().flatten().map(str::to_owned));
        }
        absent.retain(|key| !there.contains(key));
    }
    let mut found = Vec::new();
    if !absent.is_empty() {
        let share = absent.len() as f64 / known.live.len() as f64;
        if share > project.settings.max_delete_share {
            let what = format!("{} of {} keys are no longer in the table", absent.len(), known.live.len());
            let hint = "look whether all of it can be read; if it is right, raise [run] max_delete_share for this run";
            return Err(Problem::new(Class::Gate, line.name(), what).hint(hint));
        }
        let mut absent: Vec<String> = absent.into_iter().collect();
        absent.sort_unstable();
        // With the prefix of the mapping or without it: read again they are the same.
        let absent: ArrayRef = Arc::new(StringArray::from(absent));
        found.push((Presence::Gone, RecordBatch::try_from_iter([(column, absent)]).map_err(broken)?));
    }
    // A row that says itself that it is deleted is there all the time.
    there.retain(|key| known.closed.contains(key) && mapping.deleted.is_none());
    for key in keys_of(new)?.iter().flatten() {
        there.remove(key);
    }
    if !there.is_empty() {
        let reading = keys.source.open(&keys.all).await.map_err(of_load)?;
        let mut back = Vec::new();
        for batch in keys.source.all(&*reading).await.map_err(of_load)? {
            let is_back: BooleanArray =
                keys_of(&batch)?.iter().map(|key| Some(key.is_some_and(|key| there.contains(key)))).collect();
            back.push(filter_record_batch(&batch, &is_back).map_err(broken)?);
        }
        let back = concat_batches(reading.schema(), &back).map_err(broken)?;
        found.extend((back.num_rows() > 0).then_some((Presence::Back, back)));
    }
    Ok(found)
}

/// Keys of a hospital in silver.
#[derive(Default)]
struct Known {
    live: HashSet<String>,
    closed: HashSet<String>,
}

impl Known {
    async fn read(plan: &Plan<'_>, table: &Table, hospital: &str, lake: &Lake) -> Result<Known, Problem> {
        let Some(at) = plan.at("silver", table.name) else { return Ok(Known::default()) };
        let name = format!("silver/{}", table.name);
        let files = lake.table_files(&name, at.version).await?;
        if files.files.is_empty() {
            return Ok(Known::default());
        }
        let key = table.key().name;
        let columns = [key, IS_CURRENT].into_iter().chain(table.by_hospital.then_some(HOSPITAL));
        let rows = lake.read_columns(&name, &files, &columns.collect::<Vec<_>>()).await?;
        let broken = || Problem::storage(&name, ArrowError::SchemaError("its keys cannot be read".to_owned()));
        let text = |column: &str| rows.column_by_name(column).and_then(|cells| cells.as_string_opt::<i32>());
        let keys = text(key).ok_or_else(broken)?;
        let current = rows.column_by_name(IS_CURRENT).and_then(|cells| cells.as_boolean_opt()).ok_or_else(broken)?;
        let hospitals = text(HOSPITAL);
        let mut known = Known::default();
        for row in (0..rows.num_rows()).filter(|row| keys.is_valid(*row)) {
            if hospitals.is_none_or(|hospitals| hospitals.value(row) == hospital) {
                let set = if current.value(row) { &mut known.live } else { &mut known.closed };
                set.insert(keys.value(row).to_owned());
            }
        }
        known.closed.retain(|key| !known.live.contains(key));
        Ok(known)
    }
}
