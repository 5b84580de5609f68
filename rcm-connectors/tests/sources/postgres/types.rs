//! Every type, with extremes and nulls; and numbers to the last digit.

use crate::server::Server;
use crate::{open, rows, shown, wait, whole};
use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use rcm_core::Window;

/// A type, its column in Arrow, and some values as SQL and as they are shown.
type Golden = (&'static str, DataType, &'static [(&'static str, &'static str)]);

fn golden() -> Vec<Golden> {
    let micros = || DataType::Timestamp(TimeUnit::Microsecond, None);
    let zoned = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    vec![
        ("bool", DataType::Boolean, &[("true", "true"), ("false", "false")]),
        ("int2", DataType::Int16, &[("-32768", "-32768"), ("32767", "32767")]),
        ("int4", DataType::Int32, &[("-2147483648", "-2147483648"), ("2147483647", "2147483647")]),
        (
            "int8",
            DataType::Int64,
            &[("-9223372036854775808", "-9223372036854775808"), ("9223372036854775807", "9223372036854775807")],
        ),
        (
            "float4",
            DataType::Float32,
            &[("'NaN'", "NaN"), ("'-infinity'", "-inf"), ("1.17549435e-38", "1.1754944e-38")],
        ),
        ("float8", DataType::Float64, &[("'NaN'", "NaN"), ("'infinity'", "inf"), ("0.1", "0.1"), ("5e-324", "5e-324")]),
        (
            "numeric(18,2)",
            DataType::Decimal128(18, 2),
            &[("9999999999999999.99", "9999999999999999.99"), ("-0.01", "-0.01"), ("0", "0.00"), ("'NaN'", "")],
        ),
        (
            "numeric(38,0)",
            DataType::Decimal128(38, 0),
            &[("99999999999999999999999999999999999999", "99999999999999999999999999999999999999")],
        ),
        (
            "numeric(38,38)",
            DataType::Decimal128(38, 38),
            &[("0.00000000000000000000000000000000000001", "0.00000000000000000000000000000000000001")],
        ),
        (
            "numeric(76,10)",
            DataType::Decimal256(76, 10),
            &[(
                "-123456789012345678901234567890123456789012345678901234567890123456.0123456789",
                "-123456789012345678901234567890123456789012345678901234567890123456.0123456789",
            )],
        ),
        ("numeric(3,-2)", DataType::Decimal128(5, 0), &[("12345", "12300"), ("-99900", "-99900")]),
        ("numeric(3,5)", DataType::Decimal128(5, 5), &[("0.00123", "0.00123")]),
        (
            "numeric",
            DataType::Utf8,
            &[
                ("1e30", "1000000000000000000000000000000"),
                ("-0.00012340", "-0.00012340"),
                ("'NaN'", "NaN"),
                ("'-Infinity'", "-Infinity"),
                ("10000", "10000"),
                ("0.5", "0.5"),
                ("12345678.9", "12345678.9"),
                ("0.000", "0.000"),
            ],
        ),
        (
            "money",
            DataType::Decimal128(21, 4),
            &[("-92233720368547758.08", "-92233720368547758.0800"), ("12.34", "12.3400")],
        ),
        (
            "date",
            DataType::Date32,
            &[
                ("'4713-01-01 BC'", "-4712-01-01"),
                ("'2024-02-29'", "2024-02-29"),
                ("'infinity'", ""),
                ("'0001-01-01'", "0001-01-01"),
                ("'9999-12-31'", "9999-12-31"),
            ],
        ),
        (
            "time",
            DataType::Time64(TimeUnit::Microsecond),
            &[("'23:59:59.999999'", "23:59:59.999999"), ("'00:00'", "00:00:00"), ("'24:00'", "")],
        ),
        (
            "timestamp",
            micros(),
            &[
                ("'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999"),
                ("'-infinity'", ""),
                ("'1969-12-31 23:59:59.9'", "1969-12-31T23:59:59.900"),
            ],
        ),
        (
            "timestamptz",
            zoned(),
            &[
                ("'2024-03-10 02:30:00-08'", "2024-03-10T10:30:00Z"),
                ("'infinity'", ""),
                ("'1883-11-18 12:00 America/Los_Angeles'", "1883-11-18T20:00:00Z"),
            ],
        ),
        ("timetz", DataType::Utf8, &[("'12:00:00.5+05:30'", "12:00:00.5+05:30")]),
        (
            "interval",
            DataType::Utf8,
            &[("'1 year 2 mons 3 days 04:05:06.7'", "P1Y2M3DT4H5M6.7S"), ("'-1 mons'", "P-1M")],
        ),
        ("bytea", DataType::Binary, &[("'\\x00ff'", "00ff"), ("''", "")]),
        ("text", DataType::Utf8, &[("''", ""), ("E'a\\tb\\n\"é😀'", "a\tb\n\"é😀")]),
        ("varchar(5)", DataType::Utf8, &[("'abc'", "abc")]),
        ("char(5)", DataType::Utf8, &[("'abc'", "abc  ")]),
        ("name", DataType::Utf8, &[("'abc'", "abc")]),
        ("\"char\"", DataType::Utf8, &[("'x'", "x")]),
        ("uuid", DataType::Utf8, &[("'00112233-4455-6677-8899-aabbccddeeff'", "00112233-4455-6677-8899-aabbccddeeff")]),
        ("json", DataType::Utf8, &[("'{\"a\" : 1}'", "{\"a\" : 1}")]),
        ("jsonb", DataType::Utf8, &[("'{\"a\" : 1}'", "{\"a\": 1}")]),
        ("xml", DataType::Utf8, &[("'<a/>'", "<a/>")]),
        ("inet", DataType::Utf8, &[("'::1/64'", "::1/64")]),
        ("cidr", DataType::Utf8, &[("'10.0.0.0/8'", "10.0.0.0/8")]),
        ("macaddr", DataType::Utf8, &[("'08:00:2b:01:02:03'", "08:00:2b:01:02:03")]),
        ("macaddr8", DataType::Utf8, &[("'08:00:2b:01:02:03:04:05'", "08:00:2b:01:02:03:04:05")]),
        ("bit(3)", DataType::Utf8, &[("B'101'", "101")]),
        ("varbit", DataType::Utf8, &[("B''", ""), ("B'1'", "1")]),
        ("point", DataType::Utf8, &[("'(1,2)'", "(1,2)")]),
        ("line", DataType::Utf8, &[("'{1,2,3}'", "{1,2,3}")]),
        ("lseg", DataType::Utf8, &[("'[(0,0),(1,1)]'", "[(0,0),(1,1)]")]),
        ("box", DataType::Utf8, &[("'(1,1),(0,0)'", "(1,1),(0,0)")]),
        ("path", DataType::Utf8, &[("'((0,0),(1,1))'", "((0,0),(1,1))")]),
        ("polygon", DataType::Utf8, &[("'((0,0),(1,1))'", "((0,0),(1,1))")]),
        ("circle", DataType::Utf8, &[("'<(0,0),1>'", "<(0,0),1>")]),
        ("tsvector", DataType::Utf8, &[("'a b'", "'a' 'b'")]),
        ("tsquery", DataType::Utf8, &[("'a & b'", "'a' & 'b'")]),
        ("pg_lsn", DataType::Utf8, &[("'16/B374D848'", "16/B374D848")]),
        ("txid_snapshot", DataType::Utf8, &[("'10:20:10,14'", "10:20:10,14")]),
        ("pg_snapshot", DataType::Utf8, &[("'10:20:10,14'", "10:20:10,14")]),
        ("xid", DataType::Utf8, &[("'4294967295'", "4294967295")]),
        ("xid8", DataType::Utf8, &[("'18446744073709551615'", "18446744073709551615")]),
        ("cid", DataType::Utf8, &[("'1'", "1")]),
        ("tid", DataType::Utf8, &[("'(1,2)'", "(1,2)")]),
        ("oid", DataType::Utf8, &[("4294967295", "4294967295")]),
        ("regclass", DataType::Utf8, &[("'pg_class'", "pg_class")]),
        ("regtype", DataType::Utf8, &[("'int4'", "integer")]),
        ("jsonpath", DataType::Utf8, &[("'$.a'", "$.\"a\"")]),
        ("int4range", DataType::Utf8, &[("'[1,3)'", "[1,3)")]),
        ("nummultirange", DataType::Utf8, &[("'{[1,2),[3,4)}'", "{[1,2),[3,4)}")]),
        ("int4[]", DataType::Utf8, &[("'{1,NULL,3}'", "{1,NULL,3}")]),
        ("text[]", DataType::Utf8, &[("'{{a,\"b c\"}}'", "{{a,\"b c\"}}")]),
        ("mood", DataType::Utf8, &[("'so so'", "so so")]),
        ("amount", DataType::Decimal128(12, 2), &[("1.5", "1.50")]),
        ("deep", DataType::Decimal128(12, 2), &[("2", "2.00")]),
        ("pair", DataType::Utf8, &[("ROW(1,'a b')", "(1,\"a b\")")]),
    ]
}

const OWN: &str = "CREATE TYPE mood AS ENUM ('so so', 'fine'); CREATE DOMAIN amount AS numeric(12,2); \
    CREATE DOMAIN deep AS amount CHECK (VALUE > 0); CREATE TYPE pair AS (a int, b text)";

#[test]
fn a_table_of_every_type_is_read_as_it_stands() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let (database, client) = server.database().await;
        client.batch_execute(OWN).await.unwrap();
        let golden = golden();
        let columns: Vec<String> = golden.iter().enumerate().map(|(n, (name, ..))| format!("c{n} {name}")).collect();
        client.batch_execute(&format!("CREATE TABLE every (n int, {})", columns.join(", "))).await.unwrap();
        let most = golden.iter().map(|(_, _, values)| values.len()).max().unwrap();
        // One row more than there are values: all of it null.
        for row in 0..=most {
            let value = |(name, _, values): &Golden| {
                values.get(row).map_or("NULL".to_owned(), |(sql, _)| format!("CAST({sql} AS {name})"))
            };
            let values: Vec<String> = golden.iter().map(value).collect();
            client.batch_execute(&format!("INSERT INTO every VALUES ({row}, {})", values.join(", "))).await.unwrap();
        }
        let reading = open(&server.source(&database), "every", Window::Whole).await.unwrap();
        let batch = rows(&*reading).await.unwrap();
        assert_eq!(batch.num_rows(), most + 1);
        for (n, (name, data_type, values)) in golden.iter().enumerate() {
            let column = batch.column(n + 1);
            assert_eq!(column.data_type(), data_type, "{name}");
            for row in 0..=most {
                let expected = values.get(row).map(|(_, shown)| *shown);
                let is_null = expected.is_none() || expected == Some("") && !takes_empty(data_type);
                assert_eq!(column.is_null(row), is_null, "{name}, row {row}");
                assert_eq!(shown(&batch, n + 1, row), expected.unwrap_or_default(), "{name}, row {row}");
            }
        }
        let mut notes = reading.notes();
        notes.sort();
        let unheld = ["numeric(18,2)", "date", "time", "timestamp", "timestamptz"];
        let column = |name: &&str| golden.iter().position(|(other, ..)| other == name).unwrap();
        let mut expected: Vec<String> = unheld.iter().map(column).map(|n| format!("column `c{n}`: 1 values")).collect();
        expected.sort();
        assert_eq!(notes.len(), expected.len(), "{notes:?}");
        assert!(notes.iter().zip(&expected).all(|(note, begins)| note.starts_with(begins)), "{notes:?}");
    });
}

/// Whether an empty text is a value of the type.
fn takes_empty(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Binary)
}

/// That no type of the server is forgotten: each is in the golden table, or is named here.
#[test]
fn the_golden_table_has_every_built_in_type() {
    let Some(server) = Server::shared() else { return };
    wait(async {
        let client = server.admin("postgres").await;
        let types = "SELECT format_type(oid, NULL) FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace \
            AND typtype IN ('b', 'r', 'm') AND typcategory <> 'A' AND typcategory <> 'Z'";
        let all: Vec<String> = client.query(types, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        let mut have = Vec::new();
        for (name, ..) in golden().iter().filter(|(name, ..)| !["mood", "amount", "deep", "pair"].contains(name)) {
            let canonical = format!("SELECT format_type('{}'::regtype, NULL)", name.split('(').next().unwrap());
            have.push(client.query_one(&canonical, &[]).await.unwrap().get::<_, String>(0));
        }
        // By their text as well, like `regclass`, `int4range`, `nummultirange`, or no type of a column.
        let alike = |name: &String| {
            name.starts_with("reg")
                || name.ends_with("range")
                || ["refcursor", "gtsvector", "aclitem"].contains(&name.as_str())
        };
        let missing: Vec<&String> = all.iter().filter(|name| !have.contains(name) && !alike(name)).collect();
        assert_eq!(missing, Vec::<&String>::new());
    });
}

#[test]
fn decimals_are_equal_to_the_digit() {
    let Some(server) = Server::shared() else { return };
    let count: u32 = std::env::var("RCM_DECIMALS").map_or(50_000, |n| n.parse().unwrap());
    wait(async {
        let (database, client) = server.database().await;
        let make = format!(
            "CREATE TABLE amounts AS SELECT n, round(x * power(10::numeric, (random() * 16)::int), 2)::numeric(18,2) AS a, \
             round(x * power(10::numeric, (random() * 27)::int), 10)::numeric(38,10) AS b, \
             round(x * power(10::numeric, (random() * 55)::int), 20)::numeric(76,20) AS c, \
             round(x * power(10::numeric, (random() * 40 - 20)::int), (random() * 30)::int) AS d \
             FROM (SELECT n, ((random() - 0.5)::numeric + (random() - 0.5)::numeric * 1e-15) * 2 AS x \
             FROM generate_series(1, {count}) n) s"
        );
        client.batch_execute(&make).await.unwrap();
        client
            .batch_execute("CREATE VIEW shown AS SELECT n, a::text, b::text, c::text, d::text FROM amounts")
            .await
            .unwrap();
        let source = server.source(&database);
        let (numbers, texts) = (whole(&source, "amounts").await.unwrap(), whole(&source, "shown").await.unwrap());
        assert_eq!(numbers.num_rows(), count as usize);
        for column in ["n", "a", "b", "c", "d"] {
            let is = cast(&numbers[column], &DataType::Utf8).unwrap();
            let shown = cast(&texts[column], &DataType::Utf8).unwrap();
            for row in 0..numbers.num_rows() {
                assert_eq!(is.as_string::<i32>().value(row), shown.as_string::<i32>().value(row), "column {column}");
            }
        }
        println!("{count} random decimals of each of four types are equal to the digit");
    });
}
