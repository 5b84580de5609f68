//! CSV to typed Arrow, on one thread, batch by batch: how fast, beside arrow-csv, and how much memory that takes.
//!
//! ```sh
//! cargo run --release -p rcm-examples --features csv --example csv_to_arrow -- nppes 1024 /tmp/npi.csv   # makes a file
//! cargo run --release -p rcm-examples --features csv --example csv_to_arrow -- 5 /tmp/npi.csv FILE…     # five rounds each
//! ```
//!
//! The schema is the one that arrow-csv infers from the first 10,000 rows, and both read it from the file as a stream. Each
//! read is a process of its own; the best of the rounds counts. Before the first round a sum over
//! every column is compared. One JSON line a file; `ratio` is arrow-csv's seconds by ours.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format as Peer;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use rcm_connectors::csv::{Format, Reader};
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is compared of a column: its nulls, and the sum, modulo 2^64, of its numbers' bits or of its texts' bytes, each by its place
/// in the text.
type Sums = Vec<(usize, u64)>;

fn schema(file: &str) -> Result<SchemaRef, Box<dyn Error>> {
    let (schema, _) = Peer::default().with_header(true).infer_schema(File::open(file)?, Some(10_000))?;
    // Of a column that is empty so far nothing is known.
    let known = |field: &Arc<Field>| match field.data_type() {
        DataType::Null => Field::new(field.name(), DataType::Utf8, true),
        _ => field.as_ref().clone(),
    };
    Ok(Arc::new(Schema::new(schema.fields().iter().map(known).collect::<Vec<_>>())))
}

/// A file's batches.
type Batches = Box<dyn Iterator<Item = Result<RecordBatch, Box<dyn Error>>>>;

fn batches(engine: &str, file: &str, schema: SchemaRef) -> Result<Batches, Box<dyn Error>> {
    let input = File::open(file)?;
    Ok(match engine {
        "rcm" => {
            let reader = Reader::new(input, file, &Format::default())?.typed(&schema)?;
            Box::new(reader.map(|rows| {
                let rows = rows?;
                match rows.rejects.first() {
                    Some(reject) => Err(format!("line {}: {}", reject.line, reject.what).into()),
                    None => Ok(rows.batch),
                }
            }))
        }
        _ => {
            let reader = ReaderBuilder::new(schema).with_header(true);
            let reader = reader.build_buffered(BufReader::with_capacity(1 << 20, input))?;
            Box::new(reader.map(|batch| Ok(batch?)))
        }
    })
}

fn add(sums: &mut Sums, batch: &RecordBatch) -> Result<(), ArrowError> {
    sums.resize(batch.num_columns(), (0, 0));
    for ((nulls, sum), column) in sums.iter_mut().zip(batch.columns()) {
        let (missing, added) = sum_of(column)?;
        (*nulls, *sum) = (*nulls + missing, sum.wrapping_add(added));
    }
    Ok(())
}

fn sum_of(column: &ArrayRef) -> Result<(usize, u64), ArrowError> {
    let sum = |numbers: &mut dyn Iterator<Item = u64>| numbers.fold(0, u64::wrapping_add);
    Ok(match column.data_type() {
        DataType::Utf8 => {
            // Two quotes are an empty text to us and null to arrow-csv.
            let texts: Vec<&[u8]> = column.as_string::<i32>().iter().flatten().map(str::as_bytes).collect();
            let empty = column.len() - texts.iter().filter(|text| !text.is_empty()).count();
            let bytes = texts.iter().flat_map(|text| text.iter().zip(1..));
            (empty, sum(&mut bytes.map(|(byte, place)| u64::from(*byte) * place)))
        }
        DataType::Float64 => {
            let numbers = column.as_primitive::<Float64Type>();
            (column.null_count(), sum(&mut numbers.iter().flatten().map(f64::to_bits)))
        }
        other => {
            let whole = if *other == DataType::Date32 { cast(column, &DataType::Int32)? } else { column.clone() };
            let numbers = cast(&whole, &DataType::Int64)?;
            let numbers = numbers.as_primitive::<Int64Type>();
            (column.null_count(), sum(&mut numbers.iter().flatten().map(i64::cast_unsigned)))
        }
    })
}

/// Reads a file, and tells how that went: rows, seconds, MiB at most, and sums if asked.
#[allow(clippy::disallowed_methods, reason = "a program: it reads the clock")]
fn child(engine: &str, file: &str, with_sums: bool) -> Result<(), Box<dyn Error>> {
    let schema = schema(file)?;
    let begun = Instant::now();
    let (mut rows, mut sums) = (0, Sums::new());
    for batch in batches(engine, file, schema)? {
        let batch = batch?;
        rows += batch.num_rows();
        if with_sums {
            add(&mut sums, &batch)?;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    println!("{seconds} {} {rows} {sums:?}", peak / 1024);
    Ok(())
}

fn measured(engine: &str, file: &str, with_sums: bool) -> Result<(f64, u64, String), Box<dyn Error>> {
    let mut child = Command::new(std::env::current_exe()?);
    let output = child.args([engine, file, if with_sums { "sums" } else { "" }]).output()?;
    let said = String::from_utf8(output.stdout)?;
    let mut words = said.trim().splitn(3, ' ');
    let mut word =
        || words.next().filter(|word| !word.is_empty()).ok_or_else(|| String::from_utf8_lossy(&output.stderr));
    Ok((word()?.parse()?, word()?.parse()?, word()?.to_owned()))
}

fn compare(rounds: usize, file: &str) -> Result<(), Box<dyn Error>> {
    let same = |engine| measured(engine, file, true).map(|(_, _, sums)| sums);
    let (ours, theirs) = (same("rcm")?, same("arrow-csv")?);
    if ours != theirs {
        return Err(format!("{file}: other values: {ours} and {theirs}").into());
    }
    let (mut best, mut peak) = ([f64::MAX; 2], [0; 2]);
    for _ in 0..rounds {
        for (n, engine) in ["rcm", "arrow-csv"].into_iter().enumerate() {
            let (seconds, mib, _) = measured(engine, file, false)?;
            (best[n], peak[n]) = (best[n].min(seconds), peak[n].max(mib));
        }
    }
    let mib = std::fs::metadata(file)?.len() >> 20;
    println!(
        r#"{{"file":{file:?},"mib":{mib},"seconds":{:.3},"arrow_csv_seconds":{:.3},"ratio":{:.2},"peak_rss_mib":{},"arrow_csv_peak_rss_mib":{}}}"#,
        best[0],
        best[1],
        best[1] / best[0],
        peak[0],
        peak[1]
    );
    Ok(())
}

/// A file as NPPES gives its providers out: 330 columns, every field in quotes, most of them empty.
fn nppes(mib: u64, file: &str) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(file)?);
    let columns: Vec<String> = (0..330).map(|n| format!("\"Provider Field {n}\"")).collect();
    writeln!(out, "{}", columns.join(","))?;
    let (mut written, mut number) = (0u64, 1_000_000_000u64);
    while written < mib << 20 {
        number += 7;
        let mut row =
            format!("\"{number}\",\"{}\",\"\",\"\",\"LASTNAME{}\",\"FIRST\"", 1 + number % 2, number % 50_021);
        for column in 6..330 {
            match (column, (number + column) % 9) {
                (20..28, _) => row.push_str(&format!(",\"{} SAMPLE STREET\"", number % 9000)),
                (36, _) => row.push_str(&format!(",\"{:02}/{:02}/2019\"", 1 + number % 12, 1 + number % 28)),
                (47..52, 0) => row.push_str(",\"207Q00000X\""),
                (_, 4) if column < 80 => row.push_str(",\"N\""),
                _ => row.push_str(",\"\""),
            }
        }
        row.push('\n');
        written += row.len() as u64;
        out.write_all(row.as_bytes())?;
    }
    Ok(out.flush()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &arguments[..] {
        ["nppes", mib, file] => nppes(mib.parse()?, file),
        [engine @ ("rcm" | "arrow-csv"), file, sums] => child(engine, file, *sums == "sums"),
        [rounds, files @ ..] if !files.is_empty() => {
            let rounds = rounds.parse()?;
            files.iter().try_for_each(|file| compare(rounds, file))
        }
        _ => Err("expected: nppes MIB FILE, or ROUNDS FILE…".into()),
    }
}
