//! Steps 2 and 3: landing to bronze. Every column as it came, every line a row or a reject, nothing moved.

use super::plan::{Plan, PlannedFile, PlannedLoad};
use crate::config::Project;
use crate::report::Report;
use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use rayon::prelude::*;
use rcm_connectors::csv::{Landing, Reject};
use rcm_connectors::files::read_as_planned;
use rcm_connectors::lake::{Lake, ReadFile};
use rcm_connectors::{csv, parquet};
use rcm_core::{Class, Event, LoadLine, LoadType, Problem, Progress};
use std::sync::Arc;

/// A file in bronze: what it is called there, and what it holds.
#[derive(Debug, Clone)]
pub(super) struct Landed {
    pub(super) file: ReadFile,
    /// The columns as landed.
    pub(super) rows: RecordBatch,
    /// Record number of each row.
    pub(super) numbers: Int64Array,
    /// Line of the file on which each row begins.
    pub(super) lines: Int64Array,
    pub(super) rejects: Vec<Reject>,
}

/// Columns that bronze adds to a row.
const STAMPS: [&str; 5] = ["_source", "_file", "_row", "_line", "_run"];

/// Reads the new files of all lines, in parallel, and writes them to bronze. A line that fails lands nothing.
pub(super) async fn land(
    project: &Project,
    plan: &Plan<'_>,
    lake: &Lake,
    pool: &rayon::ThreadPool,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<Vec<Landed>, Problem> {
    let read: Vec<(&PlannedLoad<'_>, Result<Vec<Encoded>, Problem>)> = pool.install(|| {
        let read = |load| (load, encode(project, plan, load, progress));
        plan.to_read().collect::<Vec<_>>().into_par_iter().map(read).collect()
    });
    // A refusal of one line must not hide what is wrong with another.
    let mut gate = None;
    for (load, read) in &read {
        match read {
            Err(problem) if problem.class == Class::Gate => gate = gate.or(Some(problem.clone())),
            Err(problem) => report.failed(&load.line.name(), problem.clone()),
            Ok(_) => {}
        }
    }
    if let Some(problem) = gate {
        return Err(problem);
    }
    let mut landed = Vec::new();
    for (load, read) in read {
        let name = load.line.name();
        match read {
            Err(_) => {}
            Ok(files) => {
                for file in files {
                    report.landed(&name, file.records, file.landed.rows.num_rows(), file.landed.rejects.len());
                    lake.put(&file.landed.file.bronze, file.bytes).await?;
                    if let (Some(path), Some(bytes)) = (&file.landed.file.rejected, file.rejected) {
                        lake.put(path, bytes).await?;
                    }
                    landed.push(file.landed);
                }
                progress.event(&Event::Landed { load: &name });
            }
        }
    }
    Ok(landed)
}

/// A file that was read, and the bytes that will keep it.
struct Encoded {
    landed: Landed,
    /// As the reader counted them.
    records: u64,
    bytes: Vec<u8>,
    rejected: Option<Vec<u8>>,
}

fn encode(
    project: &Project,
    plan: &Plan<'_>,
    load: &PlannedLoad<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Encoded>, Problem> {
    let name = load.line.name();
    let mut files = Vec::new();
    let mut records = 0;
    for (n, file) in load.files.iter().enumerate() {
        let place = format!("{name}: {}", file.name);
        let landing = csv::read(&read_as_planned(&file.path, &file.sha256, &place)?, &place)?;
        check_columns(project, load.line, &landing.schema, &place)?;
        records += landing.records;
        files.push(encode_file(plan, load.line, file, n, landing).map_err(|e| Problem::storage(place, e))?);
    }
    if records == 0 && load.line.load_type == LoadType::Full {
        // An empty full table would close every key. Nobody means that by accident.
        return Err(Problem::new(Class::Gate, name, "the full table has a header and no rows")
            .hint("deliver it again; nothing was published"));
    }
    progress.event(&Event::Read { load: &name, rows: records });
    Ok(files)
}

fn check_columns(project: &Project, line: &LoadLine, schema: &SchemaRef, place: &str) -> Result<(), Problem> {
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    if let Some(stamp) = names.iter().find(|n| STAMPS.contains(n)) {
        let what = format!("column `{stamp}` has a name that bronze needs for itself");
        return Err(Problem::new(Class::Drift, place, what).hint("rename it in the delivery"));
    }
    match project.mapping(&line.hospital, line.table) {
        Some((mapping, _)) => mapping.check_columns(&names, place),
        None => Err(Problem::new(Class::Config, place, format!("table `{}` has no mapping", line.table))),
    }
}

fn encode_file(
    plan: &Plan<'_>,
    line: &LoadLine,
    file: &PlannedFile,
    n: usize,
    landing: Landing,
) -> Result<Encoded, ArrowError> {
    // The hospital is part of the name: several lines may share a folder.
    let owner = if line.hospital.is_empty() { "shared" } else { &line.hospital };
    let folder = format!("{}/{}/run={}", line.target_path, line.bronze_table(), plan.run_id);
    let part = format!("{}-{owner}-{n}.parquet", plan.attempt);
    let rejected = (!landing.rejects.is_empty()).then(|| format!("bronze/_rejected/{folder}/{part}"));
    let read = ReadFile {
        load: line.name(),
        hospital: line.hospital.clone(),
        source: line.source.clone(),
        file: file.name.clone(),
        sha256: file.sha256.clone(),
        as_of: plan.as_of_text(),
        place: file.place,
        run_id: plan.run_id.clone(),
        bronze: format!("bronze/{folder}/{part}"),
        rejected,
    };
    let numbers: Int64Array = landing.batches.iter().flat_map(|b| b.rows.iter().copied()).collect();
    let lines: Int64Array = landing.batches.iter().flat_map(|b| b.lines.iter().copied()).collect();
    let batches: Vec<RecordBatch> = landing.batches.into_iter().map(|b| b.batch).collect();
    let rows = concat_batches(&landing.schema, &batches)?;

    let text =
        |value: &str, n: usize| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, n))) as ArrayRef;
    let stamped = {
        let mut fields: Vec<Field> = rows.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
        let is_number = |name| matches!(name, "_row" | "_line");
        fields.extend(STAMPS.map(|n| Field::new(n, if is_number(n) { DataType::Int64 } else { DataType::Utf8 }, true)));
        let (n, mut arrays) = (rows.num_rows(), rows.columns().to_vec());
        arrays.extend([text(&read.source, n), text(&read.file, n), Arc::new(numbers.clone())]);
        arrays.extend([Arc::new(lines.clone()) as ArrayRef, text(&read.run_id, n)]);
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?
    };
    let bytes = parquet::encode(&stamped.schema(), std::slice::from_ref(&stamped), &[])?;
    let rejected = match &read.rejected {
        None => None,
        Some(_) => {
            let (all, n) = (&landing.rejects, landing.rejects.len());
            let count = |f: fn(&Reject) -> u64| {
                Arc::new(Int64Array::from_iter_values(all.iter().map(|r| f(r) as i64))) as ArrayRef
            };
            let what = StringArray::from_iter_values(all.iter().map(|r| r.what.as_str()));
            let raw = BinaryArray::from_iter_values(all.iter().map(|r| r.raw.as_slice()));
            let batch = RecordBatch::try_from_iter([
                ("what", Arc::new(what) as ArrayRef),
                ("byte", count(|r| r.byte)),
                ("raw", Arc::new(raw)),
                ("_source", text(&read.source, n)),
                ("_file", text(&read.file, n)),
                ("_row", count(|r| r.row)),
                ("_line", count(|r| r.line)),
                ("_run", text(&read.run_id, n)),
            ])?;
            Some(parquet::encode(&batch.schema(), &[batch], &[])?)
        }
    };
    let records = landing.records;
    Ok(Encoded {
        records,
        landed: Landed { file: read, rows, numbers, lines, rejects: landing.rejects },
        bytes,
        rejected,
    })
}

/// Reads a file back out of the bronze archive.
pub(super) async fn archived(lake: &Lake, file: &ReadFile) -> Result<Landed, Problem> {
    let damaged = |path: &str| Problem::new(Class::Failed, path, "the archived file is damaged or of another version");
    let whole = decode(lake, &file.bronze).await?;
    let width = whole.num_columns().checked_sub(STAMPS.len()).ok_or_else(|| damaged(&file.bronze))?;
    let numbers = column::<Int64Array>(&whole, "_row").ok_or_else(|| damaged(&file.bronze))?;
    let lines = column::<Int64Array>(&whole, "_line").ok_or_else(|| damaged(&file.bronze))?;
    let rows = whole.project(&(0..width).collect::<Vec<_>>()).map_err(|e| Problem::storage(&file.bronze, e))?;
    let rejects = match &file.rejected {
        None => Vec::new(),
        Some(path) => rejects(&decode(lake, path).await?).ok_or_else(|| damaged(path))?,
    };
    Ok(Landed { file: file.clone(), rows, numbers, lines, rejects })
}

async fn decode(lake: &Lake, path: &str) -> Result<RecordBatch, Problem> {
    let batches = parquet::decode(lake.get(path).await?).map_err(|e| Problem::storage(path, e))?;
    let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    concat_batches(&schema, &batches).map_err(|e| Problem::storage(path, e))
}

fn column<T: Clone + 'static>(batch: &RecordBatch, name: &str) -> Option<T> {
    batch.column_by_name(name)?.as_any().downcast_ref::<T>().cloned()
}

fn rejects(batch: &RecordBatch) -> Option<Vec<Reject>> {
    let (what, raw) = (column::<StringArray>(batch, "what")?, column::<BinaryArray>(batch, "raw")?);
    let count = |name| column::<Int64Array>(batch, name);
    let (row, line, byte) = (count("_row")?, count("_line")?, count("byte")?);
    let one = |i: usize| Reject {
        row: row.value(i) as u64,
        line: line.value(i) as u64,
        byte: byte.value(i) as u64,
        what: what.value(i).to_owned(),
        raw: raw.value(i).to_vec(),
    };
    Some((0..batch.num_rows()).map(one).collect())
}
