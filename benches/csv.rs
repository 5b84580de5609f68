//! How long CSV takes to become typed Arrow, on one thread, beside arrow-csv: `cargo bench -p rcm-benches --bench csv`.
//!
//! | benchmark | bytes | what |
//! |---|---|---|
//! | `claims` | 32 MiB | eighteen columns of texts, dates and amounts |
//! | `quoted` | 32 MiB | 330 texts in quotes, most of them empty, as NPPES gives its providers out |
//!
//! Both read from memory as a stream; throughput counts bytes of the file. arrow-csv takes 1,024 rows a batch, as it does if nothing is
//! said, ours as many as a MiB holds. For files on disk, with memory and equal sums: the example `csv_to_arrow`.
#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros document nothing; a bench may fail loudly

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use arrow::csv::ReaderBuilder;
use arrow::datatypes::{DataType, Field, Schema};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rcm_connectors::csv::{Format, Reader};

const BYTES: usize = 32 << 20;

fn schema(columns: usize, data_type: impl Fn(usize) -> DataType) -> Schema {
    Schema::new((0..columns).map(|n| Field::new(format!("c{n}"), data_type(n), true)).collect::<Vec<_>>())
}

/// A header, and rows until there is enough.
fn text(schema: &Schema, mut row: impl FnMut(&mut String, usize)) -> String {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut text = names.join(",") + "\n";
    for n in 0.. {
        if text.len() >= BYTES {
            break;
        }
        row(&mut text, n);
    }
    text
}

fn claims() -> (Schema, String) {
    let schema = schema(18, |n| match n {
        6 | 7 | 16 | 17 => DataType::Date32,
        9 | 10 | 13..=15 => DataType::Decimal128(12, 2),
        _ => DataType::Utf8,
    });
    let text = text(&schema, |text, n| {
        let (day, amount) = (n % 28 + 1, n * 7919 % 900_000);
        write!(text, "CLAIM{n:07},TRANS{n:07},PAT-{:06},ENC{n:06},PROV{:04},DEPT{:03}", n % 50_000, n % 500, n % 20)
            .unwrap();
        write!(text, ",2026-03-{day:02},2026-04-{day:02},Medicare,{}.{:02},{}.5", amount / 100, amount % 100, n % 999)
            .unwrap();
        writeln!(text, ",Pending,\"Self-pay, late\",12.75,{}.01,13.01,2026-05-{day:02},2026-06-{day:02}", n % 77)
            .unwrap();
    });
    (schema, text)
}

fn quoted() -> (Schema, String) {
    let schema = schema(330, |_| DataType::Utf8);
    let text = text(&schema, |text, n| {
        write!(text, "\"{}\",\"1\",\"LASTNAME{}\"", 1_000_000_000 + n, n % 997).unwrap();
        (3..330).for_each(|column| text.push_str(if column % 40 == 7 { ",\"9 SAMPLE STREET\"" } else { ",\"\"" }));
        text.push('\n');
    });
    (schema, text)
}

fn csv(c: &mut Criterion) {
    for (name, (schema, text)) in [("claims", claims()), ("quoted", quoted())] {
        let schema = Arc::new(schema);
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(10).measurement_time(Duration::from_secs(4));
        let rows = text.lines().count() - 1;
        group.bench_function(BenchmarkId::from_parameter("rcm"), |b| {
            b.iter(|| {
                let reader = Reader::new(text.as_bytes(), name, &Format::default()).unwrap().typed(&schema).unwrap();
                let read: usize = reader.map(|rows| black_box(rows.unwrap()).batch.num_rows()).sum();
                assert_eq!(read, rows);
            });
        });
        group.bench_function(BenchmarkId::from_parameter("arrow-csv"), |b| {
            b.iter(|| {
                let reader = ReaderBuilder::new(schema.clone()).with_header(true);
                let reader = reader.build_buffered(text.as_bytes()).unwrap();
                let read: usize = reader.map(|batch| black_box(batch.unwrap()).num_rows()).sum();
                assert_eq!(read, rows);
            });
        });
        group.finish();
    }
}

criterion_group!(benches, csv);
criterion_main!(benches);
