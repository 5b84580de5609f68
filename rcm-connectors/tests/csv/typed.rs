//! Columns in declared types: a value is what stands there, or its record is a reject.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, Int32Type, Schema, TimeUnit};
use rcm_connectors::csv::{DATE_FORMAT, Format, Reader, Rows};
use rcm_core::{Class, Problem};

fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn read(text: &str, fields: Vec<Field>) -> Result<Rows, Problem> {
    let mut reader = Reader::new(text.as_bytes(), "f.csv", &Format::default())?.typed(&Schema::new(fields))?;
    let rows = reader.next().unwrap()?;
    assert!(reader.next().is_none());
    assert_eq!(rows.batch.schema_ref(), reader.schema());
    Ok(rows)
}

/// A column as text, for nulls an `-`.
fn words(batch: &RecordBatch, column: &str) -> Vec<String> {
    // Of a zone without a calendar of zones: its seconds.
    let column = match batch[column].data_type() {
        DataType::Timestamp(_, Some(_)) => cast(&batch[column], &DataType::Int64).unwrap(),
        _ => batch[column].clone(),
    };
    let text = cast(&column, &DataType::Utf8).unwrap();
    let text = text.as_string::<i32>();
    (0..text.len()).map(|row| if text.is_null(row) { "-".to_owned() } else { text.value(row).to_owned() }).collect()
}

#[test]
fn values_of_every_type() {
    let text = "t,b,n,f,d,day,at,zoned,other\n\
        x,true,-7,1.5,12.30,2024-02-29,2024-02-29T23:59:59.123456,2024-02-29T23:59:59+01:00,29.02.24\n\
        \"\",\"NO\",\" 8 \",\"-1e3\",\".5\",\"0001-01-01\",\"1970-01-01 00:00\",1970-01-01T00:00:00Z,\"01.01.70\"\n\
        ,,,,,,,,\n";
    let by = |format: &str| [(DATE_FORMAT.to_owned(), format.to_owned())].into();
    let rows = read(
        text,
        vec![
            field("t", DataType::Utf8),
            field("b", DataType::Boolean),
            field("n", DataType::Int16),
            field("f", DataType::Float64),
            field("d", DataType::Decimal128(10, 2)),
            field("day", DataType::Date32),
            field("at", DataType::Timestamp(TimeUnit::Microsecond, None)),
            field("zoned", DataType::Timestamp(TimeUnit::Second, Some("UTC".into()))),
            field("other", DataType::Date32).with_metadata(by("%d.%m.%y")),
        ],
    )
    .unwrap();
    assert_eq!(rows.rejects, []);
    for (column, expected) in [
        ("t", ["x", "", "-"]),
        ("b", ["true", "false", "-"]),
        ("n", ["-7", "8", "-"]),
        ("f", ["1.5", "-1000.0", "-"]),
        ("d", ["12.30", "0.50", "-"]),
        ("day", ["2024-02-29", "0001-01-01", "-"]),
        ("at", ["2024-02-29T23:59:59.123456", "1970-01-01T00:00:00", "-"]),
        ("zoned", ["1709247599", "0", "-"]),
        ("other", ["2024-02-29", "1970-01-01", "-"]),
    ] {
        assert_eq!(words(&rows.batch, column), expected, "{column}");
    }
}

#[test]
fn what_is_not_of_its_type_is_a_reject_and_its_neighbours_are_rows() {
    let text = "id,paid,day\n1,1.005,2024-01-01\n2,2.5,yesterday\n3,x,\n4,4,2024-01-04\n5\n,6,2024-01-06\n7,7,\n";
    let id = Field::new("id", DataType::Int32, false);
    let rows = read(text, vec![id, field("paid", DataType::Decimal128(5, 2)), field("day", DataType::Date32)]).unwrap();
    let ids: Vec<i32> = rows.batch["id"].as_primitive::<Int32Type>().values().to_vec();
    assert_eq!((ids, &rows.rows, &rows.lines), (vec![4, 7], &vec![4, 7], &vec![5, 8]));
    assert_eq!(rows.batch.schema().field(0), &Field::new("id", DataType::Int32, false));
    assert_eq!(rows.batch["paid"].as_primitive::<Decimal128Type>().values(), &[400, 700]);
    let rejects: Vec<(u64, &str, &[u8])> =
        rows.rejects.iter().map(|r| (r.row, r.what.as_str(), r.raw.as_slice())).collect();
    let paid = "column `paid`: expected a decimal number with at most 3 digits before the point and 2 behind it";
    assert_eq!(
        rejects,
        [
            (1, paid, b"1,1.005,2024-01-01".as_slice()),
            (2, "column `day`: expected a date such as 2026-06-28", b"2,2.5,yesterday"),
            (3, paid, b"3,x,"),
            (5, "1 field, expected 3", b"5"),
            (6, "column `id`: expected a whole number of 32 bits", b",6,2024-01-06"),
        ]
    );
}

#[test]
fn columns_are_found_by_name() {
    let reader = || Reader::new("b,c,a\n1,2,\"3\"\"\"\n".as_bytes(), "f.csv", &Format::default()).unwrap();
    let rows = reader().typed(&Schema::new(vec![field("c", DataType::Int64)])).unwrap();
    // What no schema names is text.
    let types: Vec<_> = rows.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::Int64, DataType::Utf8]);
    let rows = rows.project(&["a", "c"]).unwrap().next().unwrap().unwrap();
    assert_eq!((words(&rows.batch, "a"), words(&rows.batch, "c")), (vec!["3\"".to_owned()], vec!["2".to_owned()]));

    let missing = reader().typed(&Schema::new(vec![field("d", DataType::Int64)])).unwrap_err();
    assert_eq!((missing.class, missing.what.as_str()), (Class::Drift, "there is no column `d`"));
    assert_eq!(missing.hint.as_deref(), Some("the first line has 3 columns, none of that name"));
    let list = DataType::new_list(DataType::Int64, true);
    assert_eq!(reader().typed(&Schema::new(vec![field("c", list)])).unwrap_err().class, Class::Config);
    assert_eq!(reader().project(&["d"]).unwrap_err().class, Class::Drift);
}

/// As many rows as there are records that are right, whatever pieces they come in and however many threads decode them.
#[test]
fn many_rows_by_one_thread_and_by_several() {
    let mut text = "id,paid,note\n".to_owned();
    for n in 0..200_000u32 {
        let paid = if n % 1000 == 7 { "n/a".to_owned() } else { format!("{}.{:02}", n / 100, n % 100) };
        text.push_str(&format!("{n},{paid},\"{}\"\n", "no\nte".repeat((n % 5) as usize)));
    }
    let schema = Schema::new(vec![field("id", DataType::Int32), field("paid", DataType::Decimal128(12, 2))]);
    let reader = || Reader::new(text.as_bytes(), "f.csv", &Format::default()).unwrap().typed(&schema).unwrap();
    let one: Vec<Rows> = reader().collect::<Result<_, _>>().unwrap();
    let (mut several, mut many) = (Vec::new(), reader());
    loop {
        let next = many.next_in_parallel().unwrap();
        if next.is_empty() {
            break;
        }
        several.extend(next);
    }
    assert!(one.len() > 4, "{} batches", one.len());
    assert_eq!(one.len(), several.len());
    for (one, other) in one.iter().zip(&several) {
        assert_eq!((&one.batch, &one.rows, &one.lines), (&other.batch, &other.rows, &other.lines));
        assert_eq!(one.rejects, other.rejects);
    }
    let ids = one.iter().flat_map(|rows| rows.batch["id"].as_primitive::<Int32Type>().values().to_vec());
    assert!(ids.eq((0..200_000).filter(|n| n % 1000 != 7)));
    assert_eq!(one.iter().map(|rows| rows.rejects.len()).sum::<usize>(), 200);
    let lines: Vec<i64> = one.iter().flat_map(|rows| rows.lines.clone()).collect();
    assert_eq!(lines[..4], [2, 3, 5, 8]);
}

/// Quotes are none of a text, whether all fields stand in them, some, or none. Of each length, so that every way to copy is taken.
#[test]
fn texts_are_the_same_in_quotes_and_without() {
    let letters = "abcdefghijklmnopqrstuvwxyz0123456789".repeat(2);
    let text = |n: usize| letters[n % 36..n % 36 + n % 37].to_owned();
    let cells: Vec<[String; 3]> = (0..40_000).map(|n| [text(n), text(n / 37), text(n + n / 7)]).collect();
    let of_quoted = |is_quoted: fn(usize) -> bool, end: &str| {
        let field = |n: usize, cell: &String| match is_quoted(n) || cell.is_empty() {
            true => format!("\"{cell}\""),
            false => cell.clone(),
        };
        let line = |(n, [a, b, c]): (usize, &[String; 3])| {
            format!("{},{},{}{end}", field(n, a), field(n + 1, b), field(n + 2, c))
        };
        format!("a,b,c{end}") + &cells.iter().enumerate().map(line).collect::<String>()
    };
    for end in ["\n", "\r\n", "\n\n"] {
        for is_quoted in [|_| true, |_| false, |n| n % 5 > 1] as [fn(usize) -> bool; 3] {
            let text = of_quoted(is_quoted, end);
            let reader = Reader::new(text.as_bytes(), "f.csv", &Format::default()).unwrap();
            let batches: Vec<Rows> = reader.collect::<Result<_, _>>().unwrap();
            assert!(batches.len() > 1 && batches.iter().all(|rows| rows.rejects.is_empty()));
            for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
                let read: Vec<String> = batches.iter().flat_map(|rows| words(&rows.batch, name)).collect();
                assert!(read.iter().eq(cells.iter().map(|cells| &cells[n])), "{name}");
            }
        }
    }
}
