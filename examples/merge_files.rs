//! One snapshot merged into a table, both Parquet files: how long it takes and how much memory.
//!
//! ```sh
//! cargo run --release -p rcm-examples --example merge_files -- \
//!     --current current.parquet --batch batch.parquet --keys patient_id,hospital --as-of 2024-06-01T00:00:00Z
//! ```
//!
//! `--current` holds the keys, the other columns of `--batch`, and valid_from, valid_to, is_current. Every column of
//! the batch that is no key is tracked; nothing is deleted. Both files are read first, as plain Arrow; then one merge,
//! the first of the process, is timed. It prints one line of JSON: `seconds` is the merge alone, with all that it
//! returns; `extra_mib` the most memory that was resident while it ran, less what was resident before (null where there
//! is no `/proc`). With `--out DIR` what closes and what opens is then written there, as Parquet.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::{CastOptions, cast_with_options, interleave_record_batch};
use chrono::{DateTime, Utc};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use rcm_scd2::{IS_CURRENT, Load, Merged, Spec, State, VALID_FROM, VALID_TO, merge};

const USAGE: &str =
    "usage: merge_files --current FILE --batch FILE --keys COLUMN,... --as-of INSTANT [--threads N] [--out DIR]
    FILE     Parquet; --current also has valid_from, valid_to, is_current
    INSTANT  like 2024-06-01T00:00:00Z
    N        default: all cores
    DIR      gets closes.parquet and opens.parquet";
const BATCH: usize = 65_536;

#[derive(Debug, PartialEq)]
struct Arguments {
    current: PathBuf,
    batch: PathBuf,
    keys: Vec<String>,
    /// Microseconds since the epoch.
    as_of: i64,
    threads: Option<NonZeroUsize>,
    out: Option<PathBuf>,
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    const FLAGS: [&str; 6] = ["--current", "--batch", "--keys", "--as-of", "--threads", "--out"];
    let mut given = BTreeMap::new();
    while let Some(word) = words.next() {
        let flag = FLAGS.into_iter().find(|flag| *flag == word).ok_or(format!("`{word}` is no argument"))?;
        let value = words.next().ok_or(format!("{flag} has no value"))?;
        if given.insert(flag, value).is_some() {
            return Err(format!("{flag} is given twice"));
        }
    }
    let (threads, out) = (given.remove("--threads"), given.remove("--out"));
    let mut needed = |flag| given.remove(flag).ok_or(format!("{flag} is missing"));
    let (current, batch, keys, as_of) =
        (needed("--current")?, needed("--batch")?, needed("--keys")?, needed("--as-of")?);
    let keys: Vec<String> = keys.split(',').map(str::to_owned).collect();
    if keys.contains(&String::new()) {
        return Err("--keys: a name is empty".to_owned());
    }
    let as_of: DateTime<Utc> =
        as_of.parse().map_err(|_| format!("--as-of: `{as_of}` is no instant like 2024-06-01T00:00:00Z"))?;
    let number = |text: String| text.parse().map_err(|_| format!("--threads: `{text}` is no number above 0"));
    Ok(Arguments {
        current: current.into(),
        batch: batch.into(),
        keys,
        as_of: as_of.timestamp_micros(),
        threads: threads.map(number).transpose()?,
        out: out.map(PathBuf::from),
    })
}

/// A file as plain Arrow. The writer's own Arrow types (dictionaries, views) do not count: text is Utf8.
fn read(path: &Path) -> Result<Vec<RecordBatch>, Box<dyn Error>> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(File::open(path)?, options)?;
    let empty = RecordBatch::new_empty(builder.schema().clone());
    let mut batches = builder.with_batch_size(BATCH).build()?.collect::<Result<Vec<_>, _>>()?;
    if batches.is_empty() {
        batches.push(empty);
    }
    Ok(batches)
}

fn write(path: &Path, batch: &RecordBatch) -> Result<(), Box<dyn Error>> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(File::create(path)?, batch.schema(), Some(properties))?;
    writer.write(batch)?;
    writer.close()?;
    Ok(())
}

/// Snapshots of some keys: every other column is tracked, nothing is deleted.
fn spec(keys: &[String], current: &RecordBatch, batch: &RecordBatch) -> Result<Spec, Box<dyn Error>> {
    let names = |batch: &RecordBatch| batch.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    let (mut stored, loaded) = (names(current), names(batch));
    // Else what opens could not be written in the columns of the current file.
    stored.retain(|name| ![VALID_FROM, VALID_TO, IS_CURRENT].contains(&name.as_str()));
    for (name, place, columns) in stored.iter().map(|name| (name, "--batch", &loaded)).chain(
        loaded
            .iter()
            .map(|name| (name, "--current", &stored))
            .chain(keys.iter().map(|name| (name, "--batch", &loaded))),
    ) {
        if !columns.contains(name) {
            return Err(format!("{place}: column `{name}` is missing (there are: {})", columns.join(", ")).into());
        }
    }
    Ok(Spec::snapshot(keys).track(loaded.into_iter().filter(|name| !keys.contains(name))).build()?)
}

/// The versions that end: keys, valid_from and the end that they get.
fn closes(keys: &[String], current: &[RecordBatch], merged: &Merged) -> Result<RecordBatch, Box<dyn Error>> {
    let columns: Vec<&str> = keys.iter().map(String::as_str).chain([VALID_FROM]).collect();
    let narrow = |batch: &RecordBatch| {
        let at = columns.iter().map(|name| batch.schema().index_of(name)).collect::<Result<Vec<_>, _>>()?;
        batch.project(&at)
    };
    let narrow = current.iter().map(narrow).collect::<Result<Vec<_>, _>>()?;
    // Positions count over all batches; they come in order.
    let (mut at, mut first) = (0, 0);
    let place = |row: usize| {
        while row >= first + current[at].num_rows() {
            first += current[at].num_rows();
            at += 1;
        }
        (at, row - first)
    };
    let places: Vec<(usize, usize)> = merged.closes.iter().map(|close| close.row).map(place).collect();
    let rows = interleave_record_batch(&narrow.iter().collect::<Vec<_>>(), &places)?;
    let ends = TimestampMicrosecondArray::from_iter_values(merged.closes.iter().map(|close| close.valid_to));
    let ends: ArrayRef = Arc::new(ends.with_timezone("UTC"));
    let named = columns.into_iter().zip(rows.columns().iter().cloned()).chain([(VALID_TO, ends)]);
    Ok(RecordBatch::try_from_iter(named)?)
}

/// The versions that open, in the columns and types of the current file.
fn opens(current: &RecordBatch, merged: &Merged) -> Result<RecordBatch, Box<dyn Error>> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let column = |field: &Arc<arrow::datatypes::Field>| {
        let column = merged.opens.column(merged.opens.schema().index_of(field.name())?);
        cast_with_options(column, field.data_type(), &strict)
    };
    let columns = current.schema().fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(current.schema(), columns)?)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    // The loading leaves free memory with the allocator; if it were not given back, the merge would use it unseen.
    // glibc has no safe way to ask for that. The function takes a number and touches no memory of ours.
    #[allow(unsafe_code)]
    unsafe extern "C" {
        safe fn malloc_trim(keep: usize) -> std::ffi::c_int;
    }
    malloc_trim(0);
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

/// A figure of this process in KiB.
fn status(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// What is resident now, in KiB, which is then the most that was: `VmHWM` starts anew.
fn resident() -> Option<u64> {
    trim();
    fs::write("/proc/self/clear_refs", "5").ok()?;
    status("VmRSS")
}

#[allow(clippy::disallowed_methods)] // a program that measures reads the clock
fn run(arguments: &Arguments) -> Result<String, Box<dyn Error>> {
    let Arguments { current, batch, keys, as_of, threads, out } = arguments;
    let read = |flag: &str, path: &Path| read(path).map_err(|error| format!("{flag} {}: {error}", path.display()));
    let (history, rows) = (read("--current", current)?, read("--batch", batch)?);
    let count = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    let total = count(&history) + count(&rows);
    let spec = spec(keys, &history[0], &rows[0])?;
    let state = State::from_history(history);
    let load = Load::new(&rows, *as_of);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.map_or(0, NonZeroUsize::get)).build()?;

    let before = resident();
    let (merged, seconds) = pool.install(|| {
        let started = Instant::now();
        let merged = merge(&spec, &state, &load);
        (merged, started.elapsed().as_secs_f64())
    });
    let extra = before.zip(status("VmHWM")).map(|(before, most)| most.saturating_sub(before) as f64 / 1024.0);
    let merged = merged?;

    if let Some(out) = out {
        if !merged.withdrawals.is_empty() {
            return Err("rows of the current file are replaced: closes and opens do not say which".into());
        }
        fs::create_dir_all(out).map_err(|error| format!("--out {}: {error}", out.display()))?;
        write(&out.join("closes.parquet"), &closes(keys, &state.history, &merged)?)?;
        write(&out.join("opens.parquet"), &opens(&state.history[0], &merged)?)?;
    }
    let extra = extra.map_or("null".to_owned(), |mib| format!("{mib:.1}"));
    let (rate, threads) = (total as f64 / seconds, pool.current_num_threads());
    let (changed, new, unchanged) = (merged.counts.changed, merged.counts.new, merged.counts.no_op);
    Ok(format!(
        "{{\"seconds\":{seconds:.4},\"rows_per_s\":{rate:.0},\"changed\":{changed},\"new\":{new},\
         \"unchanged\":{unchanged},\"extra_mib\":{extra},\"threads\":{threads}}}"
    ))
}

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let arguments = match arguments(words) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("merge_files: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(line) => println!("{line}"),
        Err(problem) => {
            eprintln!("merge_files: {problem}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, BooleanArray, StringArray};
    use arrow::datatypes::TimestampMicrosecondType;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        arguments(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_are_checked() {
        let rest = "--current c --batch b --as-of 1970-01-01T00:00:01Z";
        let good = parse(&format!("{rest} --keys k,l --threads 2")).unwrap();
        assert_eq!((good.keys.join("+"), good.as_of, good.threads.unwrap().get()), ("k+l".to_owned(), 1_000_000, 2));
        for (more, problem) in [
            ("", "--keys is missing"),
            ("--keys", "--keys has no value"),
            ("--keys k --keys l", "--keys is given twice"),
            ("--keys k,", "--keys: a name is empty"),
            ("--keys k --threads 0", "--threads: `0` is no number above 0"),
            ("--keys k --fast yes", "`--fast` is no argument"),
        ] {
            assert_eq!(parse(&format!("{rest} {more}")), Err(problem.to_owned()));
        }
        assert!(parse("--current c --batch b --keys k --as-of today").unwrap_err().starts_with("--as-of: `today`"));
    }

    #[test]
    fn closes_and_opens_are_what_changed() {
        let text = |values: &[&str]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let times = |values: [Option<i64>; 2]| {
            Arc::new(TimestampMicrosecondArray::from(values.to_vec()).with_timezone("UTC")) as ArrayRef
        };
        let current = RecordBatch::try_from_iter([
            (VALID_TO, times([None, None])),
            ("name", text(&["Ada", "Bo"])),
            (VALID_FROM, times([Some(1), Some(2)])),
            (IS_CURRENT, Arc::new(BooleanArray::from(vec![true, true]))),
            ("id", text(&["a", "b"])),
        ])
        .unwrap();
        let batch =
            [RecordBatch::try_from_iter([("id", text(&["b", "c", "a"])), ("name", text(&["B", "Cy", "Ada"]))])
                .unwrap()];
        let keys = ["id".to_owned()];
        // In two batches, so that positions count over both.
        let history = vec![current.slice(0, 1), current.slice(1, 1)];
        let spec = spec(&keys, &current, &batch[0]).unwrap();
        let merged = merge(&spec, &State::from_history(history.clone()), &Load::new(&batch, 9)).unwrap();

        let closes = closes(&keys, &history, &merged).unwrap();
        let us = |column: &ArrayRef| column.as_primitive::<TimestampMicrosecondType>().values().to_vec();
        assert_eq!((&closes["id"], us(&closes[VALID_FROM]), us(&closes[VALID_TO])), (&text(&["b"]), vec![2], vec![9]));
        let opens = opens(&current, &merged).unwrap();
        assert_eq!(opens.schema(), current.schema());
        let mut names: Vec<_> = opens["name"].as_string::<i32>().iter().flatten().collect();
        names.sort_unstable();
        assert_eq!(names, ["B", "Cy"]);
        assert_eq!(us(&opens[VALID_FROM]), [9, 9]);
    }

    #[test]
    fn files_must_have_the_same_columns() {
        let column = |names: &[&'static str]| {
            let column = || Arc::new(BooleanArray::from(vec![true])) as ArrayRef;
            RecordBatch::try_from_iter(names.iter().map(|name| (*name, column()))).unwrap()
        };
        let problem = |current: &[&'static str], batch: &[&'static str], key: &str| {
            spec(&[key.to_owned()], &column(current), &column(batch)).unwrap_err().to_string()
        };
        let both = ["id", "name"];
        assert_eq!(problem(&["id"], &both, "id"), "--current: column `name` is missing (there are: id)");
        assert_eq!(problem(&both, &["id"], "id"), "--batch: column `name` is missing (there are: id)");
        assert_eq!(problem(&both, &both, "key"), "--batch: column `key` is missing (there are: id, name)");
    }
}
