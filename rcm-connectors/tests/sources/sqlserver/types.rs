//! Every type, with extremes and nulls; and numbers to the last digit.

use super::Sql;
use crate::server::Server;
use crate::tds::server::{Mode, Options};
use crate::{open, rows, shown, wait, whole};
use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int16Type, TimeUnit};
use rcm_connectors::sqlserver::SqlServer;
use rcm_core::{Class, Source, Window};

/// A type, its column in Arrow, and some values as SQL and as they are shown.
pub(super) type Golden = (&'static str, DataType, &'static [(&'static str, &'static str)]);

pub(super) fn golden() -> Vec<Golden> {
    let micros = || DataType::Timestamp(TimeUnit::Microsecond, None);
    let zoned = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let decimal = DataType::Decimal128;
    vec![
        ("bit", DataType::Boolean, &[("1", "true"), ("0", "false")]),
        ("tinyint", DataType::Int16, &[("255", "255"), ("0", "0")]),
        ("smallint", DataType::Int16, &[("-32768", "-32768"), ("32767", "32767")]),
        ("int", DataType::Int32, &[("-2147483648", "-2147483648"), ("2147483647", "2147483647")]),
        (
            "bigint",
            DataType::Int64,
            &[("-9223372036854775808", "-9223372036854775808"), ("9223372036854775807", "9223372036854775807")],
        ),
        ("decimal(9,2)", decimal(9, 2), &[("-0.05", "-0.05"), ("9999999.99", "9999999.99"), ("0", "0.00")]),
        (
            "decimal(38,0)",
            decimal(38, 0),
            &[
                ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
                ("-99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"),
            ],
        ),
        (
            "decimal(38,38)",
            decimal(38, 38),
            &[("0.00000000000000000000000000000000000001", "0.00000000000000000000000000000000000001")],
        ),
        ("numeric(19,4)", decimal(19, 4), &[("922337203685477.5807", "922337203685477.5807")]),
        (
            "money",
            decimal(19, 4),
            &[("-922337203685477.5808", "-922337203685477.5808"), ("922337203685477.5807", "922337203685477.5807")],
        ),
        ("smallmoney", decimal(10, 4), &[("-214748.3648", "-214748.3648"), ("214748.3647", "214748.3647")]),
        ("real", DataType::Float32, &[("1.5e0", "1.5"), ("-3.4e38", "-3.4e38")]),
        ("float", DataType::Float64, &[("1e308", "1e308"), ("0.1e0", "0.1"), ("5e-324", "5e-324")]),
        ("char(5)", DataType::Utf8, &[("'ab'", "ab   ")]),
        ("varchar(20)", DataType::Utf8, &[("'€ é'", "€ é"), ("''", "")]),
        ("nchar(3)", DataType::Utf8, &[("N'日'", "日  ")]),
        ("nvarchar(20)", DataType::Utf8, &[("N'日本😀'", "日本😀"), ("N'NULL'", "NULL"), ("N''", "")]),
        ("varchar(max)", DataType::Utf8, &[("'x'", "x")]),
        ("nvarchar(max)", DataType::Utf8, &[("N''", ""), ("N'a\tb\n\"é'", "a\tb\n\"é")]),
        ("text", DataType::Utf8, &[("'old'", "old")]),
        ("ntext", DataType::Utf8, &[("N'öld'", "öld")]),
        ("binary(4)", DataType::Binary, &[("0x01", "01000000")]),
        ("varbinary(8)", DataType::Binary, &[("0x", ""), ("0x00FF", "00ff")]),
        ("varbinary(max)", DataType::Binary, &[("0x00FF", "00ff")]),
        ("image", DataType::Binary, &[("0xCAFE", "cafe")]),
        (
            "date",
            DataType::Date32,
            &[("'0001-01-01'", "0001-01-01"), ("'9999-12-31'", "9999-12-31"), ("'2024-02-29'", "2024-02-29")],
        ),
        (
            "time(7)",
            DataType::Time64(TimeUnit::Nanosecond),
            &[("'23:59:59.9999999'", "23:59:59.999999900"), ("'00:00'", "00:00:00")],
        ),
        ("time(3)", DataType::Time64(TimeUnit::Microsecond), &[("'12:34:56.789'", "12:34:56.789")]),
        ("time(0)", DataType::Time64(TimeUnit::Microsecond), &[("'12:34:56'", "12:34:56")]),
        (
            "datetime",
            micros(),
            &[
                ("'2024-02-29T23:59:59.997'", "2024-02-29T23:59:59.996666"),
                ("'1753-01-01'", "1753-01-01T00:00:00"),
                ("'9999-12-31T23:59:59.997'", "9999-12-31T23:59:59.996666"),
            ],
        ),
        (
            "smalldatetime",
            micros(),
            &[
                ("'2024-02-29T12:34:29'", "2024-02-29T12:34:00"),
                ("'2079-06-06T23:59:00'", "2079-06-06T23:59:00"),
                ("'1900-01-01'", "1900-01-01T00:00:00"),
            ],
        ),
        (
            "datetime2(7)",
            micros(),
            &[
                ("'0001-01-01T00:00:00.0000019'", "0001-01-01T00:00:00.000001"),
                ("'9999-12-31T23:59:59.9999999'", "9999-12-31T23:59:59.999999"),
                ("'1969-12-31T23:59:59.9999999'", "1969-12-31T23:59:59.999999"),
            ],
        ),
        ("datetime2(3)", micros(), &[("'2024-02-29T12:34:56.789'", "2024-02-29T12:34:56.789")]),
        ("datetime2(0)", micros(), &[("'2024-02-29T12:34:56'", "2024-02-29T12:34:56")]),
        (
            "datetimeoffset(7)",
            zoned(),
            &[
                ("'2024-02-29T01:00:00.0000001+01:30'", "2024-02-28T23:30:00Z"),
                ("'2024-02-29T01:00:00-14:00'", "2024-02-29T15:00:00Z"),
                ("'2024-02-29T01:00:00+00:00'", "2024-02-29T01:00:00Z"),
            ],
        ),
        ("datetimeoffset(0)", zoned(), &[("'2024-02-29T01:00:00-08:00'", "2024-02-29T09:00:00Z")]),
        (
            "uniqueidentifier",
            DataType::Utf8,
            &[("'6F9619FF-8B86-D011-B42D-00C04FC964FF'", "6F9619FF-8B86-D011-B42D-00C04FC964FF")],
        ),
        ("xml", DataType::Utf8, &[("N'<a>é</a>'", "<a>é</a>")]),
        ("hierarchyid", DataType::Binary, &[("0x58", "58")]),
        ("geometry", DataType::Binary, &[("0x00000000010C", "00000000010c")]),
        ("geography", DataType::Binary, &[("0xE6100000010C", "e6100000010c")]),
    ]
}

/// A table of every type: how many rows of it are not all null.
pub(super) async fn every(sql: &Sql) -> usize {
    let golden = golden();
    let columns: Vec<String> = golden.iter().enumerate().map(|(n, (of, ..))| format!("c{n} {of} NULL")).collect();
    sql.run(&format!("CREATE TABLE every (n int NOT NULL, {})", columns.join(", "))).await;
    let most = golden.iter().map(|(_, _, values)| values.len()).max().unwrap();
    // One row more than there are values: all of it null.
    for row in 0..=most {
        let value = |(_, _, values): &Golden| values.get(row).map_or("NULL", |(sql, _)| *sql);
        let values: Vec<&str> = golden.iter().map(value).collect();
        sql.run(&format!("INSERT INTO every VALUES ({row}, {})", values.join(", "))).await;
    }
    most
}

#[test]
fn a_table_of_every_type_is_read_as_it_stands() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        for mode in [Mode::Strict, Mode::Negotiated(crate::tds::prelogin::Encryption::On)] {
            let sql = Sql::with(&postgres, Options::new(mode)).await;
            let (golden, most) = (golden(), every(&sql).await);
            let source =
                SqlServer::new(rcm_connectors::sqlserver::Options { strict: mode == Mode::Strict, ..sql.options() });
            let reading = open(&source, "every", Window::Whole).await.unwrap();
            let batch = rows(&*reading).await.unwrap();
            assert_eq!((batch.num_rows(), reading.notes()), (most + 1, Vec::new()));
            for (n, (of, data_type, values)) in golden.iter().enumerate() {
                assert_eq!(batch.column(n + 1).data_type(), data_type, "{of}");
                for row in 0..=most {
                    match values.get(row) {
                        Some((sql, expected)) => assert_eq!(shown(&batch, n + 1, row), *expected, "{of} {sql}"),
                        None => assert!(batch.column(n + 1).is_null(row), "{of}"),
                    }
                }
            }
        }
    });
}

#[test]
fn what_is_not_read_is_refused_by_its_name() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = Sql::new(&postgres).await;
        sql.run("CREATE TABLE mixed (a int NOT NULL, b sql_variant NULL)").await;
        let problem = sql.source().describe("mixed").await.unwrap_err();
        assert_eq!(problem.class, Class::Config);
        assert_eq!(problem.what, "column `b` is of a type that is not read: sql_variant");
        assert!(problem.hint.unwrap().contains("a view that casts it"));
    });
}

#[test]
fn the_offset_of_a_time_is_kept_when_asked_for() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = Sql::new(&postgres).await;
        sql.run("CREATE TABLE t (a datetimeoffset(3) NULL, b int NULL)").await;
        sql.run("INSERT INTO t VALUES ('2024-02-29T01:00:00+05:30', 1), ('2024-02-29T01:00:00-08:00', 2), (NULL, 3)")
            .await;
        let options = rcm_connectors::sqlserver::Options { offsets: true, ..sql.options() };
        let batch = whole(&SqlServer::new(options), "t").await.unwrap();
        let names: Vec<&str> = batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["a", "a_offset", "b"]);
        let offsets: Vec<Option<i16>> = batch["a_offset"].as_primitive::<Int16Type>().iter().collect();
        assert_eq!(offsets, [Some(330), Some(-480), None]);
    });
}

#[test]
fn texts_in_a_code_page_that_the_driver_may_not_know_are_asked_for_as_unicode() {
    let Some(postgres) = Server::shared() else { return };
    wait(async {
        let sql = Sql::new(&postgres).await;
        sql.run("CREATE TABLE t (a varchar(20) NULL, b varchar(20) NULL)").await;
        sql.beneath("UPDATE tds.columns SET code_page = 437 WHERE name = 'b'").await;
        sql.run("INSERT INTO t VALUES ('é', 'é')").await;
        let batch = whole(&sql.source(), "t").await.unwrap();
        assert_eq!((shown(&batch, 0, 0), shown(&batch, 1, 0)), ("é".to_owned(), "é".to_owned()));
        let statements = sql.server.statements();
        let read = statements.iter().find(|text| text.contains("FROM [dbo].[t]")).unwrap();
        assert!(read.starts_with("SELECT [a], CAST([b] AS nvarchar(max)) AS [b] FROM [dbo].[t];"), "{read}");
    });
}

#[test]
fn random_decimals_to_the_last_digit() {
    let Some(postgres) = Server::shared() else { return };
    let count: i64 = std::env::var("RCM_DECIMALS").map_or(50_000, |n| n.parse().unwrap());
    wait(async {
        let sql = Sql::new(&postgres).await;
        let columns = "n int NOT NULL, a decimal(18,2) NULL, b decimal(38,10) NULL, c money NULL, d decimal(9,9) NULL";
        sql.run(&format!("CREATE TABLE amounts ({columns}, sa varchar(60) NULL, sb varchar(60) NULL, sc varchar(60) NULL, sd varchar(60) NULL)")).await;
        let fill = format!(
            "INSERT INTO dbo.amounts SELECT n, a, b, c, d, a::text, b::text, c::text, d::text FROM (SELECT n, \
             round(x * power(10::numeric, (random() * 16)::int), 2)::numeric(18,2) AS a, \
             round(x * power(10::numeric, (random() * 27)::int), 10)::numeric(38,10) AS b, \
             round(x * power(10::numeric, (random() * 14)::int), 4)::numeric(19,4) AS c, round(x / 2, 9)::numeric(9,9) AS d \
             FROM (SELECT n, ((random() - 0.5)::numeric + (random() - 0.5)::numeric * 1e-15) * 1.9 AS x \
             FROM generate_series(1, {count}) n) s) t"
        );
        sql.beneath(&fill).await;
        let batch = whole(&sql.source(), "amounts").await.unwrap();
        assert_eq!(batch.num_rows(), count as usize);
        for column in ["a", "b", "c", "d"] {
            let is = cast(&batch[column], &DataType::Utf8).unwrap();
            let (is, said) = (is.as_string::<i32>(), batch[format!("s{column}").as_str()].as_string::<i32>());
            for row in 0..batch.num_rows() {
                assert_eq!(is.value(row), said.value(row), "column {column}");
            }
        }
        println!("{count} random decimals of each of four types are equal to the digit");
    });
}
