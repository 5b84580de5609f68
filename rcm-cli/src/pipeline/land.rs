//! Steps 2 and 3: landing to bronze. Every column as it came, every line a row or a reject, nothing moved.

use super::plan::{Plan, PlannedFile, PlannedLoad};
use super::presence::presence;
use super::sources::{PlannedRead, of_load};
use crate::config::{Project, csv_format};
use crate::report::Report;
use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use futures::future::join_all;
use rayon::prelude::*;
use rcm_connectors::csv::{Landing, Reject};
use rcm_connectors::files::{read_as_planned, sha256};
use rcm_connectors::lake::{Lake, Presence, ReadFile};
use rcm_connectors::{csv, parquet};
use rcm_core::model::{Table, table};
use rcm_core::{Class, Event, LoadLine, LoadType, Problem, Progress};
use rcm_transforms::mapping::TableMapping;
use std::io::Cursor;
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
    /// Of a window of a table: digests of the rows that the next window will see again.
    pub(super) edge: Option<Vec<u8>>,
}

/// Columns that bronze adds to a row.
const STAMPS: [&str; 5] = ["_source", "_file", "_row", "_line", "_run"];

/// What a line read: as yet in memory only.
pub(super) type Read<'p, 'a> = (&'p PlannedLoad<'a>, Vec<Encoded>);

/// Reads what is new of all lines, files in parallel. A line that fails, or finds that nothing is new, has nothing.
pub(super) async fn read<'p, 'a>(
    project: &Project,
    plan: &'p Plan<'a>,
    lake: &Lake,
    pool: &rayon::ThreadPool,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<Vec<Read<'p, 'a>>, Problem> {
    let of_files: Vec<&PlannedLoad<'_>> = plan.to_read().filter(|load| load.table.is_none()).collect();
    let mut read: Vec<(&PlannedLoad<'_>, Result<Vec<Encoded>, Problem>)> = pool.install(|| {
        let read = |load| (load, encode(project, plan, load, progress));
        of_files.into_par_iter().map(read).collect()
    });
    let of_tables = plan.to_read().filter_map(|load| Some((load, load.table.as_ref()?)));
    let of_tables =
        of_tables.map(async |(load, table)| (load, encode_table(project, plan, load, table, lake, progress).await));
    read.extend(join_all(of_tables).await);
    // No snapshot is held longer than it must.
    plan.loads.iter().filter_map(|load| load.table.as_ref()).for_each(PlannedRead::release);
    // A refusal of one line must not hide what is wrong with another.
    let (mut gate, mut whole) = (None, Vec::new());
    for (load, read) in read {
        let name = load.line.name();
        match read {
            Err(problem) if problem.class == Class::Gate => gate = gate.or(Some(problem)),
            Err(problem) => report.failed(&name, problem),
            Ok(files) if files.is_empty() => report.nothing_new(&name),
            Ok(files) => {
                for file in &files {
                    report.landed(&name, file.records, file.landed.rows.num_rows(), file.landed.rejects.len());
                }
                whole.push((load, files));
            }
        }
    }
    gate.map_or(Ok(whole), Err)
}

/// Writes to bronze what was read.
pub(super) async fn land(
    read: Vec<Read<'_, '_>>,
    lake: &Lake,
    progress: &dyn Progress,
) -> Result<Vec<Landed>, Problem> {
    let mut landed = Vec::new();
    for (load, files) in read {
        for file in files {
            lake.put(&file.landed.file.bronze, file.bytes).await?;
            if let (Some(path), Some(bytes)) = (&file.landed.file.rejected, file.rejected) {
                lake.put(path, bytes).await?;
            }
            landed.push(file.landed);
        }
        progress.event(&Event::Landed { load: &load.line.name() });
    }
    Ok(landed)
}

/// A file that was read, and the bytes that will keep it.
pub(super) struct Encoded {
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
        let (landing, drifted) = read_csv(project, load.line, file, &place, progress)?;
        records += landing.records;
        files.push(
            encode_file(read_file(plan, load.line, n), file, landing, drifted)
                .map_err(|e| Problem::storage(place, e))?,
        );
    }
    refuse_empty(load.line, records, "has a header and no rows")?;
    progress.event(&Event::Read { load: &name, rows: records });
    Ok(files)
}

/// A file, unpacked, as its mapping says that it is written; and whether its columns are others than the mapping's.
fn read_csv(
    project: &Project,
    line: &LoadLine,
    file: &PlannedFile,
    place: &str,
    progress: &dyn Progress,
) -> Result<(Landing, bool), Problem> {
    let bytes = read_as_planned(&file.path, &file.sha256, place)?;
    let (_, mapping) = mapping(project, line, place)?;
    let wrong = |(what, hint)| Problem::new(Class::Config, place, what).hint(hint);
    let format = csv_format(&mapping.csv).map_err(wrong)?;
    let reader = csv::Reader::new(csv::unpack(Cursor::new(bytes.as_slice()), place)?, place, &format)?;
    let delimiter = reader.delimiter();
    if format.delimiter.is_none() && delimiter != b',' {
        let found = format!("{place}: fields are separated by {:?}, as found in it", char::from(delimiter));
        progress.event(&Event::Note(&found));
    }
    let schema = reader.schema().clone();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let drifted = check_columns(project, line, &names, place, progress)?;
    Ok((reader.land()?, drifted))
}

/// An empty full table would close every key. Nobody means that by accident.
fn refuse_empty(line: &LoadLine, records: u64, what: &str) -> Result<(), Problem> {
    match records == 0 && line.load_type == LoadType::Full {
        true => Err(Problem::new(Class::Gate, line.name(), format!("the full table {what}"))
            .hint("deliver it again; nothing was published")),
        false => Ok(()),
    }
}

/// What of a table is new; nothing of a window that has nothing new.
async fn encode_table(
    project: &Project,
    plan: &Plan<'_>,
    load: &PlannedLoad<'_>,
    table: &PlannedRead,
    lake: &Lake,
    progress: &dyn Progress,
) -> Result<Vec<Encoded>, Problem> {
    let (name, line) = (load.line.name(), load.line);
    let place = format!("{name}: {}", line.source_table);
    let names: Vec<&str> = table.columns.iter().map(String::as_str).collect();
    let drifted = check_columns(project, line, &names, &place, progress)?;
    let new = table.read(line, lake).await.map_err(|problem| of_load(Problem { place: place.clone(), ..problem }))?;
    for note in &new.notes {
        progress.event(&Event::Note(&format!("{place}: {note}")));
    }
    let keys = presence(project, plan, line, table.keys(), &new.rows, lake).await?;
    let count = new.rows.num_rows();
    refuse_empty(line, count as u64, "has no rows")?;
    progress.event(&Event::Read { load: &name, rows: count as u64 });
    let mut read = read_file(plan, line, 0);
    (read.file, read.place) = (line.source_table.clone(), table.place);
    (read.watermark, read.torn, read.drifted) = (new.watermark, table.is_torn, drifted);
    (read.cursor, read.question) = (table.cursor().map(str::to_owned), table.question.clone());
    let mut encoded = Vec::new();
    // Of one day they count behind the rows that were read.
    for (n, (presence, rows)) in keys.into_iter().enumerate() {
        let (folder, what) = match presence {
            Presence::Gone => ("bronze/_gone/", "are gone"),
            _ => ("bronze/", "are there again"),
        };
        progress.event(&Event::Note(&format!("{place}: {} keys {what}", rows.num_rows())));
        let bronze = read_file(plan, line, n + 1).bronze.replacen("bronze/", folder, 1);
        let place_then = read.place + 1 + n as u64;
        // That a key is gone says nothing by other columns: they cannot be others than the mapping's.
        let drifted = drifted && presence != Presence::Gone;
        let of = ReadFile { bronze, place: place_then, presence, torn: false, drifted, ..read.clone() };
        encoded.push(encode_rows(of, rows, None, &place)?);
    }
    if count > 0 {
        encoded.push(encode_rows(read, new.rows, new.edge, &place)?);
    }
    Ok(encoded)
}

/// Rows of a table as bronze keeps them.
fn encode_rows(mut read: ReadFile, rows: RecordBatch, edge: Option<Vec<u8>>, place: &str) -> Result<Encoded, Problem> {
    let count = rows.num_rows();
    let numbers: Int64Array = (1..=count as i64).collect();
    let lines = Int64Array::new_null(count);
    let kept = stamped(&read, &rows, &numbers, &lines).map_err(|e| Problem::storage(place, e))?;
    let bytes = parquet::encode(&kept.schema(), &[kept], &[]).map_err(|e| Problem::storage(place, e))?;
    read.sha256 = sha256(&bytes);
    let landed = Landed { file: read, rows, numbers, lines, rejects: Vec::new(), edge };
    Ok(Encoded { landed, records: count as u64, bytes, rejected: None })
}

/// Whether a delivery is kept though its columns are not those of the mapping.
fn check_columns(
    project: &Project,
    line: &LoadLine,
    names: &[&str],
    place: &str,
    progress: &dyn Progress,
) -> Result<bool, Problem> {
    if let Some(stamp) = names.iter().find(|n| STAMPS.contains(n)) {
        let what = format!("column `{stamp}` has a name that bronze needs for itself");
        return Err(Problem::new(Class::Drift, place, what).hint("rename it in the delivery"));
    }
    let (table, mapping) = mapping(project, line, place)?;
    let say = |what: &str| progress.event(&Event::Note(&format!("{place}: {what}")));
    match mapping.check_columns(table, names, place) {
        Ok(notes) => {
            notes.iter().for_each(|note| say(note));
            Ok(false)
        }
        Err(drift) if mapping.quarantines(names) => {
            say(&format!("all records are quarantined: {}", drift.what));
            Ok(true)
        }
        Err(drift) => Err(drift),
    }
}

fn mapping<'p>(
    project: &'p Project,
    line: &LoadLine,
    place: &str,
) -> Result<(&'static Table, &'p TableMapping), Problem> {
    let mapping = project.mapping(&line.hospital, line.table).map(|(mapping, _)| mapping);
    let none = || Problem::new(Class::Config, place, format!("table `{}` has no mapping", line.table));
    table(line.table).zip(mapping).ok_or_else(none)
}

/// What is known of a read before it is.
fn read_file(plan: &Plan<'_>, line: &LoadLine, n: usize) -> ReadFile {
    // The hospital is part of the name: several lines may share a folder.
    let owner = if line.hospital.is_empty() { "shared" } else { &line.hospital };
    let folder = format!("{}/{}/run={}", line.target_path, line.bronze_table(), plan.run_id);
    ReadFile {
        load: line.name(),
        hospital: line.hospital.clone(),
        source: line.source.clone(),
        file: String::new(),
        sha256: String::new(),
        as_of: plan.as_of_text(),
        place: 0,
        run_id: plan.run_id.clone(),
        bronze: format!("bronze/{folder}/{}-{owner}-{n}.parquet", plan.attempt),
        rejected: None,
        watermark: None,
        cursor: None,
        question: None,
        torn: false,
        drifted: false,
        presence: Presence::Rows,
    }
}

/// Rows as bronze keeps them.
fn stamped(
    read: &ReadFile,
    rows: &RecordBatch,
    numbers: &Int64Array,
    lines: &Int64Array,
) -> Result<RecordBatch, ArrowError> {
    let mut fields: Vec<Field> = rows.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let is_number = |name| matches!(name, "_row" | "_line");
    fields.extend(STAMPS.map(|n| Field::new(n, if is_number(n) { DataType::Int64 } else { DataType::Utf8 }, true)));
    let (n, mut arrays) = (rows.num_rows(), rows.columns().to_vec());
    arrays.extend([text(&read.source, n), text(&read.file, n), Arc::new(numbers.clone())]);
    arrays.extend([Arc::new(lines.clone()) as ArrayRef, text(&read.run_id, n)]);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

fn text(value: &str, n: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, n)))
}

fn encode_file(mut read: ReadFile, file: &PlannedFile, landing: Landing, drifted: bool) -> Result<Encoded, ArrowError> {
    read.drifted = drifted;
    (read.file, read.sha256, read.place) = (file.name.clone(), file.sha256.clone(), file.place);
    read.rejected = (!landing.rejects.is_empty()).then(|| read.bronze.replacen("bronze/", "bronze/_rejected/", 1));
    let numbers: Int64Array = landing.batches.iter().flat_map(|b| b.rows.iter().copied()).collect();
    let lines: Int64Array = landing.batches.iter().flat_map(|b| b.lines.iter().copied()).collect();
    let batches: Vec<RecordBatch> = landing.batches.into_iter().map(|b| b.batch).collect();
    let rows = concat_batches(&landing.schema, &batches)?;
    let stamped = stamped(&read, &rows, &numbers, &lines)?;
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
        landed: Landed { file: read, rows, numbers, lines, rejects: landing.rejects, edge: None },
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
    Ok(Landed { file: file.clone(), rows, numbers, lines, rejects, edge: None })
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
