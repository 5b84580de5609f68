//! Clients that others wrote read the table of every type from the tests' server, and agree on what stands in it: so it is the
//! protocol that our connector reads, and no dialect of our own.

use super::Sql;
use super::types::{Golden, every, golden};
use crate::components::{left_out, program};
use crate::server::Server;
use crate::tds::prelogin::Encryption;
use crate::tds::server::{Mode, Options};
use crate::wait;
use arrow::datatypes::DataType;
use chrono::NaiveDateTime;
use std::path::Path;
use std::process::{Command, Stdio};

const MODES: [(&str, Mode); 3] = [
    ("plain", Mode::Negotiated(Encryption::NotSupported)),
    ("on", Mode::Negotiated(Encryption::On)),
    ("strict", Mode::Strict),
];

/// Microseconds of a time, with or without its day.
fn micros(text: &str) -> Option<i64> {
    let text = text.trim_end_matches('Z').replace(' ', "T");
    let full = if text.contains('T') { text } else { format!("1970-01-01T{text}") };
    let at = NaiveDateTime::parse_from_str(&full, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    Some(at.and_utc().timestamp_micros())
}

/// Languages have fewer digits than the server, and round differently.
fn is_near(a: &str, b: &str) -> bool {
    micros(a).zip(micros(b)).is_some_and(|(a, b)| (a - b).abs() <= 1000)
}

/// A number without the zeros at its end.
fn number(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Whether a client's text says what is expected.
fn agrees((_, data_type, _): &Golden, expected: &str, said: &str) -> bool {
    match data_type {
        DataType::Float32 => said.parse::<f32>().ok() == expected.parse().ok(),
        DataType::Float64 => said.parse::<f64>().ok() == expected.parse().ok(),
        DataType::Decimal128(..) => number(said) == number(expected),
        DataType::Timestamp(..) | DataType::Time64(_) => is_near(said, expected),
        _ => said == expected,
    }
}

/// Compares all that a client says with what stands there; `leaves` are types that it does not have.
fn compare(
    client: &str,
    how: &str,
    rows: &[Vec<Option<String>>],
    leaves: &[&str],
    agrees: impl Fn(&Golden, &str, &str) -> bool,
) {
    let golden = golden();
    let most = golden.iter().map(|(_, _, values)| values.len()).max().unwrap();
    assert_eq!(rows.len(), most + 1, "{client}, {how}");
    let mut compared = 0;
    for (n, one) in golden.iter().enumerate().filter(|(_, (of, ..))| !leaves.iter().any(|leaf| of.starts_with(leaf))) {
        for (row, said) in rows.iter().enumerate() {
            match (one.2.get(row), &said[n + 1]) {
                (None, None) => {}
                (Some((_, expected)), Some(said)) => {
                    assert!(agrees(one, expected, said), "{client}, {how}, {}: {said}, not {expected}", one.0);
                    compared += 1;
                }
                (expected, said) => panic!("{client}, {how}, {}: {said:?}, not {expected:?}", one.0),
            }
        }
    }
    println!("{client}, {how}: {compared} values of {} types agree", golden.len() - leaves.len());
}

fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn clients_of_others_read_the_same() {
    let Some(postgres) = Server::shared() else { return };
    let Some(python) = program("clients/bin/python") else { return };
    let Some(tedious) = program("tedious/node_modules/tedious/package.json") else { return };
    let Some(tsql) = Some(Path::new("/usr/bin/tsql")).filter(|tsql| tsql.is_file()) else {
        left_out("freetds-bin");
        return;
    };
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sources/sqlserver/clients");
    for (how, mode) in MODES {
        let sql = wait(async {
            let sql = Sql::with(&postgres, Options::new(mode)).await;
            every(&sql).await;
            sql
        });
        let login = &sql.server.shared.options;
        let port = sql.server.port.to_string();
        let (authority, leaf) = (postgres.authority.path("ca.pem"), postgres.authority.path("leaf.pem"));
        let told = |command: &mut Command| {
            let command = command.args([&port, &sql.database.name, &login.user, &login.password]);
            let text = output(command.arg(&authority).arg(&leaf).arg(how));
            serde_json::from_str::<Vec<Vec<Option<String>>>>(&text).unwrap()
        };
        if how != "strict" {
            let rows = told(Command::new(&python).arg(here.join("read.py")).arg("python-tds"));
            compare("python-tds", how, &rows, &["hierarchyid", "geometry", "geography"], agrees);
        }
        let rows = told(Command::new(&python).arg(here.join("read.py")).arg("mssql-python"));
        compare("mssql-python", how, &rows, &[], agrees);

        // Its numbers are floats.
        let as_float = |one: &Golden, expected: &str, said: &str| match one.1 {
            DataType::Decimal128(..) => said.parse::<f64>().ok() == expected.parse().ok(),
            DataType::Date32 => said.starts_with(expected),
            DataType::Time64(_) => is_near(said.split_once('T').unwrap().1, expected),
            _ => agrees(one, expected, said),
        };
        let modules = tedious.parent().unwrap().parent().unwrap();
        let rows = told(Command::new("node").env("NODE_PATH", modules).arg(here.join("read.js")));
        compare("tedious", how, &rows, &[], as_float);

        if how != "strict" {
            let folder = tempfile::tempdir().unwrap();
            let encryption = if how == "plain" { "off" } else { "require" };
            let conf = format!(
                "[s]\nhost=127.0.0.1\nport={port}\ntds version=7.4\nencryption={encryption}\nclient charset=UTF-8\nca file={}\n",
                authority.display()
            );
            std::fs::write(folder.path().join("conf"), conf).unwrap();
            std::fs::write(folder.path().join("sql"), "SELECT * FROM dbo.every ORDER BY n\ngo\nexit\n").unwrap();
            let mut command = Command::new(tsql);
            command.args([
                "-S",
                "s",
                "-U",
                &login.user,
                "-P",
                &login.password,
                "-D",
                &sql.database.name,
                "-t",
                "|",
                "-o",
                "q",
            ]);
            command.env("FREETDSCONF", folder.path().join("conf"));
            let output = command.stdin(std::fs::File::open(folder.path().join("sql")).unwrap()).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                text.contains("99999999999999999999999999999999999999"),
                "{text} {}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(text.contains("6F9619FF-8B86-D011-B42D-00C04FC964FF") && text.contains("日本😀"), "{text}");
            assert!(text.contains("922337203685477.58"), "{text}");
            println!("freetds, {how}: reads it");
        }
    }
}
