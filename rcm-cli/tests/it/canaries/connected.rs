//! The same of rows that come from databases and services, and of what these say when they fail.

use super::scan::{CANARY, DIGITS};
use super::{Watched, step};
use crate::apis::{ICD_SECRET, Services};
use crate::databases::{self, Databases};
use crate::sqlserver::{self, HospitalA};
use crate::support::{DAY1, Project};
use crate::tds::fault::Fault;
use crate::web::http::{Handler, Request, Response, Server};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The instant of a way: each is later than the one before.
fn instant(number: usize) -> String {
    format!("2026-{:02}-{:02}T{:02}:00:00Z", 7 + number / 600, 1 + number % 600 / 24, number % 24)
}

fn columns(project: &Project, hospital: &str, table: &str) -> Vec<String> {
    let csv = project.read(&format!("landing/emr/{hospital}/{table}.csv"));
    csv.lines().next().unwrap().split(',').map(str::to_owned).collect()
}

/// Lets each column of a hospital's tables sing, one after the other. A table has a key and perhaps a column of time, which holds no
/// text; `change` sets the column to a value, and the time so that the row is new at an instant.
fn every_column<'a>(
    watched: &mut Watched<'_>,
    hospital: &str,
    environment: &[(&str, String)],
    tables: impl IntoIterator<Item = (&'a str, &'a str, Option<&'a str>)>,
    change: impl Fn(&str, &str, &str, &str),
) {
    let mut number = 0;
    for (table, key, time) in tables {
        for column in
            columns(watched.project, hospital, table).into_iter().filter(|column| Some(column.as_str()) != time)
        {
            number += 1;
            if number % step() != 0 {
                continue;
            }
            let at = instant(number);
            let value = match column.as_str() {
                "Amount" => format!("{DIGITS}.25"),
                _ => format!("'{CANARY}' || \"{key}\""),
            };
            change(table, &column, &value, &at);
            let load = format!("{hospital}.{table}");
            let mut args = vec!["run", "--as-of", &at, "--select", &load];
            args.extend((number % 2 == 0).then_some("--json"));
            let (said, arrived) = watched.run(&format!("{load}: {column}"), &args, environment);
            // A full table whose keys are others is refused; all else is data, good or bad.
            assert!(said.code == 3 || said.code == 0 && arrived, "{load}: {column}: {}", said.stderr);
        }
    }
}

#[test]
fn every_column_of_tables_of_postgres() {
    let Some(b) = Databases::new() else { return };
    let environment = [("EMR_B_PASSWORD", crate::server::PASSWORD.to_owned())];
    b.ok(&["run", "--as-of", DAY1]);
    let tables = databases::TABLES.map(|(table, key, time)| (table, key, time.map(|(column, _)| column)));
    let mut watched = Watched::over(&b.project);
    every_column(&mut watched, "hos-b", &environment, tables, |table, column, value, at| {
        let time = databases::TABLES.iter().find(|(name, ..)| *name == table).unwrap().2;
        let stamp = time.map(|(time, of)| format!(", \"{time}\" = '{at}'::timestamptz::{of}"));
        b.sql(&format!("UPDATE dbo.{table} SET \"{column}\" = {value}{}", stamp.unwrap_or_default()));
    });
    watched.end("tables of PostgreSQL");
}

#[test]
fn every_column_of_tables_of_sql_server() {
    let project = Project::new();
    let Some(a) = HospitalA::of(&project) else { return };
    let environment = [("EMR_A_PASSWORD", a.server.shared.options.password.clone())];
    a.ok(&project, &["run", "--as-of", DAY1]);
    let time_of = |typed: sqlserver::Typed| typed.iter().find(|(column, _)| *column == "ModifiedDate").copied();
    let tables = sqlserver::TABLES.map(|(table, key, typed)| (table, key, time_of(typed).map(|(column, _)| column)));
    let mut watched = Watched::over(&project);
    every_column(&mut watched, "hos-a", &environment, tables, |table, column, value, at| {
        let typed = sqlserver::TABLES.iter().find(|(name, ..)| *name == table).unwrap().2;
        let ticks = format!("tds.ticks('{}'::timestamp)", &at[..10]);
        let stamp = time_of(typed).map(|(time, of)| match of {
            "datetimeoffset(7)" => format!(", \"{time}\" = ROW({ticks}, 0)::tds.offset_time"),
            _ => format!(", \"{time}\" = {ticks}"),
        });
        a.beneath(&format!("UPDATE dbo.{table} SET \"{column}\" = {value}{}", stamp.unwrap_or_default()));
    });
    watched.end("tables of SQL Server");
}

/// Databases repeat values in what they say.
#[test]
fn databases_that_fail_over_a_value() {
    let Some(b) = Databases::new() else { return };
    let Some(a) = HospitalA::of(&b.project) else { return };
    let environment = [
        ("EMR_A_PASSWORD", a.server.shared.options.password.clone()),
        ("EMR_B_PASSWORD", crate::server::PASSWORD.to_owned()),
    ];
    b.sql(&format!(
        "UPDATE dbo.departments SET \"Name\" = '{CANARY}' || \"DeptID\"; ALTER TABLE dbo.departments RENAME TO held;
         CREATE FUNCTION dbo.sing(code text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
         RAISE EXCEPTION '{CANARY} in words' USING ERRCODE = code, DETAIL = '{CANARY} in detail', HINT = '{CANARY} as a hint'; END $$;
         CREATE FUNCTION dbo.warn(name text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '{CANARY} %', name; RETURN name; END $$"
    ));
    let mut views = vec![
        "(\"Name\"::int)::text".to_owned(),
        "(1 / (length(\"Name\") * 0))::text".to_owned(),
        "dbo.warn(\"Name\")".to_owned(),
    ];
    // No rows, privileges, duplicates, deadlocks, cancelled, too many connections, out of memory, damaged, of a function's own.
    for code in ["P0002", "42501", "23505", "40P01", "57014", "53300", "53200", "XX001", "P0001"] {
        views.push(format!("dbo.sing('{code}')"));
    }
    let mut watched = Watched::over(&b.project);
    let mut number = 0;
    for value in views {
        b.sql(&format!(
            "DROP VIEW IF EXISTS dbo.departments; CREATE VIEW dbo.departments AS SELECT \"DeptID\", {value} AS \"Name\" FROM dbo.held"
        ));
        for args in [&["run"][..], &["run", "--json"], &["check", "--connect"]] {
            number += 1;
            if number % step() == 0 {
                let at = instant(number);
                let by = if args[0] == "run" { vec!["--as-of", &at, "--select", "hos-b.departments"] } else { vec![] };
                let way = format!("{value}: {}", args.join(" "));
                let (said, _) = watched.run(&way, &[args, &by].concat(), &environment);
                let fails = args[0] == "run" && !value.contains("warn");
                assert_eq!(said.code != 0, fails, "{way}: {}{}", said.stdout, said.stderr);
            }
        }
    }
    for (of, fault) in [
        ("FROM [dbo].[providers]", Fault::Error(245)),
        ("FROM [dbo].[providers]", Fault::Error(2601)),
        ("FROM [dbo].[providers]", Fault::Error(50_000)),
        ("FROM [dbo].[providers]", Fault::ErrorBehind(245, 5)),
        ("FROM [dbo].[providers]", Fault::ErrorBehind(8152, 1)),
        ("", Fault::Login(18_499)),
    ] {
        for args in [&["run"][..], &["run", "--json"]] {
            number += 1;
            if number % step() == 0 {
                a.server.shared.faults.push(of, fault.clone());
                let at = instant(number);
                let by = ["--as-of", &at, "--select", "hos-a.providers"];
                let (said, _) = watched.run(&format!("{fault:?}"), &[args, &by].concat(), &environment);
                assert_ne!(said.code, 0, "{fault:?}: {}", said.stderr);
            }
        }
    }
    watched.end("databases that fail");
}

/// What a service answers: nothing is changed, a field's values are canaries, or all of it is an error full of them.
#[derive(Clone)]
enum Song {
    Silence,
    Field(String),
    Status(u16),
}

/// A handler whose answers sing.
fn singing(song: Arc<Mutex<Song>>, seen: Arc<Mutex<BTreeSet<String>>>, inner: Handler) -> Handler {
    Arc::new(move |request: &Request| {
        let answer = inner(request);
        let song = song.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Song::Status(code) = song {
            let body = serde_json::json!({ "error": CANARY, "Errors": [{ "description": CANARY, "number": "04" }], "message": CANARY });
            let status = Response { status: code, ..Response::json(&body) };
            return status.with("Location", format!("http://127.0.0.1:1/{CANARY}")).with("WWW-Authenticate", CANARY);
        }
        let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
        let (mut count, field) = (0, if let Song::Field(field) = &song { field.as_str() } else { "" });
        changed(&mut body, field, &mut count, &mut seen.lock().unwrap_or_else(PoisonError::into_inner));
        Response { body: body.to_string().into_bytes(), ..answer }
    })
}

/// Notes the names of all fields that hold texts, and changes the texts of one.
fn changed(value: &mut Value, field: &str, count: &mut usize, seen: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| changed(item, field, count, seen)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Value::String(text) = value {
                    seen.insert(name.clone());
                    if name == field {
                        *count += 1;
                        *text = format!("{CANARY}{count}");
                    }
                }
                changed(value, field, count, seen);
            }
        }
        _ => {}
    }
}

#[test]
fn every_field_of_services() {
    let project = Project::new();
    let services = Services::new();
    let (song, seen) = (Arc::new(Mutex::new(Song::Silence)), Arc::new(Mutex::new(BTreeSet::new())));
    let servers = services.handlers().map(|handler| Server::plain(singing(song.clone(), seen.clone(), handler)));
    services.join_at(&project, [servers[0].base(), servers[1].base()]);
    project.edit("rcm.toml", "patience = \"2s\"", "patience = \"1s\"");
    let environment = [("ICD_SECRET", ICD_SECRET.to_owned()), ("WANTED", "Made-up*".to_owned())];
    let mut watched = Watched::over(&project);
    let select = ["--select", "npi_registry", "--select", "icd_codes"];
    let (said, _) = watched.run("as they are", &[&["run", "--as-of", DAY1], &select[..]].concat(), &environment);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let fields: Vec<String> = seen.lock().unwrap().iter().cloned().collect();
    assert!(fields.len() > 30, "{fields:?}");
    let mut songs: Vec<(String, Song)> = fields.into_iter().map(|field| (field.clone(), Song::Field(field))).collect();
    songs.extend([400, 401, 403, 404, 410, 302, 200, 500].map(|code| (code.to_string(), Song::Status(code))));
    let (mut number, mut arrived) = (0, 0);
    for (what, next) in songs {
        number += 1;
        if number % step() != 0 {
            continue;
        }
        *song.lock().unwrap() = next;
        let at = instant(number);
        let mut args = [&["run", "--as-of", &at], &select[..]].concat();
        args.extend((number % 2 == 0).then_some("--json"));
        arrived += usize::from(watched.run(&what, &args, &environment).1);
        // Copies answer for what is away: the next one is the service itself again.
        let _ = std::fs::remove_dir_all(project.path("copies"));
    }
    assert!(arrived * step() > 3, "{arrived} of {number} arrived");
    watched.end("services");
}
