//! Hospital A in a SQL Server: `every_source` has its figures; here is what goes wrong. The server is the tests' own; it speaks the real protocol.

use crate::databases::{copy_into, mend};
use crate::server::Server as Postgres;
use crate::support::{DAY1, DAY2, Project, Said, said as run};
use crate::tds::fault::Fault;
use crate::tds::prelogin::Encryption;
use crate::tds::server::{Database, Mode, Options, Server, database};
use std::process::Command;
use tokio::runtime::Runtime;

/// A table, its key, and its columns that are no texts, with their types.
pub(crate) type Table = (&'static str, &'static str, Typed);

/// Columns and their types.
pub(crate) type Typed = &'static [(&'static str, &'static str)];

/// The tables of hospital A.
pub(crate) const TABLES: [Table; 5] = [
    ("departments", "DeptID", &[]),
    ("providers", "ProviderID", &[]),
    ("patients", "PatientID", &[("ModifiedDate", "datetime2(7)")]),
    ("encounters", "EncounterID", &[("ModifiedDate", "date")]),
    ("transactions", "TransactionID", &[("ModifiedDate", "datetimeoffset(7)"), ("Amount", "decimal(18,10)")]),
];

pub(crate) struct HospitalA {
    pub(crate) server: Server,
    database: Database,
    runtime: Runtime,
}

impl HospitalA {
    /// Moves hospital A of a project from its files to a database.
    pub(crate) fn of(project: &Project) -> Option<HospitalA> {
        let postgres = Postgres::shared()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (server, database) = runtime.block_on(async {
            let database = database(&postgres).await;
            (Server::start(postgres.clone(), Options::new(Mode::Negotiated(Encryption::Required))).await, database)
        });
        project.write("ca-a.pem", &postgres.authority.pem);
        let source = format!(
            "\n[sources.emr-a]\nkind = \"sqlserver\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"{}\"\nuser = \"sa\"\n\
             password = \"${{env:EMR_A_PASSWORD}}\"\nca_file = \"ca-a.pem\"\npatience = \"5s\"\n",
            server.port, database.name
        );
        project.write("rcm.toml", project.read("rcm.toml") + &source);
        // A row of the second day is dated weeks before the first: only a lag that is as long finds it.
        let moved = |line: &str| {
            let lag = match line {
                _ if line.starts_with("database,") => "lag",
                _ if line.starts_with("emr,hos-a,dbo.patients") => "60d",
                _ => "",
            };
            format!("{},{lag}\n", line.replace("emr,hos-a", "emr-a,hos-a"))
        };
        let lines: Vec<String> = project.read("load_config.csv").lines().map(moved).collect();
        project.write("load_config.csv", lines.concat());
        let hospital = HospitalA { server, database, runtime };
        mend(project, "hos-a", &TABLES.map(|(table, ..)| table));
        hospital.deliver(project);
        Some(hospital)
    }

    pub(crate) fn beneath(&self, sql: &str) {
        self.runtime.block_on(self.database.client.batch_execute(sql)).unwrap();
    }

    /// What lies in landing goes into the tables: a whole one takes the place of all rows, another one those of its keys.
    pub(crate) fn deliver(&self, project: &Project) {
        for (table, key, typed) in TABLES {
            let csv = project.read(&format!("landing/emr/hos-a/{table}.csv"));
            let columns: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
            let of = |column: &str| typed.iter().find(|(name, _)| *name == column).map(|(_, of)| *of);
            let declared: Vec<String> =
                columns.iter().map(|name| format!("[{name}] {} NULL", of(name).unwrap_or("nvarchar(200)"))).collect();
            // It is there on the second day.
            let create = format!("CREATE TABLE dbo.{table} ({})", declared.join(", "));
            let _ = self.runtime.block_on(self.database.execute(&create));
            self.runtime.block_on(copy_into(&self.database.client, "new", &csv));
            // As the database would have it: what is no date is none.
            let date = |name: &str| {
                format!("CASE WHEN \"{name}\" ~ '^\\d{{4}}-\\d\\d-\\d\\d$' THEN tds.ticks(\"{name}\"::timestamp) END")
            };
            let value = |name: &&str| match of(name) {
                None => format!("\"{name}\""),
                Some("decimal(18,10)") => format!("\"{name}\"::numeric"),
                Some("datetimeoffset(7)") => {
                    format!("CASE WHEN ({0}) IS NOT NULL THEN ROW({0}, 0)::tds.offset_time END", date(name))
                }
                Some(_) => date(name),
            };
            let values: Vec<String> = columns.iter().map(value).collect();
            let gone = match typed {
                [] => "true".to_owned(),
                _ => format!("\"{key}\" IN (SELECT \"{key}\" FROM new)"),
            };
            self.beneath(&format!(
                "DELETE FROM dbo.{table} WHERE {gone}; INSERT INTO dbo.{table} SELECT {} FROM new; DROP TABLE new",
                values.join(", ")
            ));
        }
    }

    fn run(&self, project: &Project, args: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rcm"));
        command.arg("-c").arg(project.path("rcm.toml")).args(args);
        run(command
            .env("EMR_A_PASSWORD", &self.server.shared.options.password)
            .env("EMR_B_PASSWORD", crate::server::PASSWORD))
    }

    pub(crate) fn ok(&self, project: &Project, args: &[&str]) -> Said {
        let said = self.run(project, args);
        assert_eq!(said.code, 0, "{}", said.stderr);
        said
    }
}

#[test]
fn a_sql_server_that_fails_is_a_load_that_fails() {
    let project = Project::new();
    let Some(a) = HospitalA::of(&project) else { return };
    let fault = |of: &str, fault: Fault| a.server.shared.faults.push(of, fault);
    // What gets better is tried again: a deadlock, a server with too much to do, a line that broke.
    fault("FROM [dbo].[patients]", Fault::Error(1205));
    fault("FROM [dbo].[patients]", Fault::ErrorBehind(40501, 20));
    a.ok(&project, &["run", "--as-of", DAY1]);
    let before = project.newest().unwrap();
    project.deliver_day2();
    mend(&project, "hos-a", &TABLES.map(|(table, ..)| table));
    a.deliver(&project);
    for _ in 0..3 {
        fault("FROM [dbo].[transactions]", Fault::Cut(2000));
    }
    let said = a.run(&project, &["run", "--as-of", DAY2]);
    assert_eq!(said.code, 75, "{}", said.stderr);
    assert_eq!(project.newest().unwrap().stale, ["hos-a.transactions"]);
    assert!(project.newest().unwrap().publish > before.publish, "the others are published");
    // Then it comes: nothing of it was taken for read.
    a.ok(&project, &["run", "--as-of", "2026-07-01T00:00:00Z"]);
    assert!(project.newest().unwrap().stale.is_empty());
    // What would fail is told before it does.
    let check = || a.run(&project, &["check", "--connect"]);
    assert_eq!(check().code, 0, "{}", check().stdout);
    for (change, back, word) in [
        (
            "UPDATE tds.columns SET type_name = 'nvarchar' WHERE table_name = 'patients' AND name = 'ModifiedDate'",
            "UPDATE tds.columns SET type_name = 'datetime2' WHERE table_name = 'patients' AND name = 'ModifiedDate'",
            "watermark `ModifiedDate` is no column that tells what is new",
        ),
        (
            "UPDATE tds.objects SET name = 'gone' WHERE name = 'providers'",
            "UPDATE tds.objects SET name = 'providers' WHERE name = 'gone'",
            "there is no such table",
        ),
    ] {
        a.beneath(change);
        let said = check();
        assert_eq!((said.code, said.stdout.contains(word)), (2, true), "{}{}", said.stdout, said.stderr);
        a.beneath(back);
    }
    // Who says what of the password.
    let said = run(Command::new(env!("CARGO_BIN_EXE_rcm"))
        .arg("-c")
        .arg(project.path("rcm.toml"))
        .args(["run", "--json", "--as-of", "2026-07-02T00:00:00Z"])
        .env("EMR_A_PASSWORD", "canary-password-99"));
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(
        said.stdout.contains("the server refuses the login")
            && !format!("{}{}", said.stdout, said.stderr).contains("canary")
    );
}

#[test]
fn settings_of_a_sql_server_are_checked_before_anything_is_touched() {
    let project = Project::new();
    let database = "kind = \"sqlserver\"\nhost = \"h\"\ndatabase = \"d\"\n";
    for (settings, word) in [
        (format!("{database}password = \"${{env:HOME}}\"\n"), "user: is missing"),
        (format!("{database}user = \"u\"\n"), "password: is missing"),
        (format!("{database}token = \"hunter2\"\n"), "token: is a secret, which never stands in a file"),
        (format!("{database}user = \"u\"\ntoken = \"${{env:HOME}}\"\n"), "token: stands beside a user or a password"),
        (format!("{database}token = \"${{env:HOME}}\"\ntls = false\nstrict = true\n"), "strict: is TLS"),
        (
            format!("{database}token = \"${{env:HOME}}\"\nfiles = \"x\"\n"),
            "files: is no setting of a `sqlserver` source",
        ),
        (
            "kind = \"postgres\"\nhost = \"h\"\ndatabase = \"d\"\nuser = \"u\"\noffsets = true\n".to_owned(),
            "offsets: is no setting of a `postgres` source",
        ),
    ] {
        let toml = project.read("rcm.toml");
        project.write("rcm.toml", toml.clone() + "\n[sources.emr-a]\n" + &settings);
        let said = project.run(&["check"]);
        project.write("rcm.toml", toml);
        assert_eq!(said.code, 2, "{settings}: {}", said.stderr);
        assert!(said.stderr.contains(word) && !said.stderr.contains("hunter2"), "{settings}: {}", said.stderr);
    }
}
