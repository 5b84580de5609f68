//! Hospital B in a PostgreSQL database: the same figures as out of its files, and nothing lost or doubled between runs.

use crate::server::{PASSWORD, Server};
use crate::support::{DAY1, DAY2, Project, Said, said as run};
use futures::SinkExt;
use std::process::Command;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio_postgres::Client;

/// A column and its type.
pub(crate) type Typed = (&'static str, &'static str);

/// The tables of hospital B: their key, their watermark and its type.
pub(crate) const TABLES: [(&str, &str, Option<Typed>); 5] = [
    ("departments", "DeptID", None),
    ("providers", "ProviderID", None),
    ("patients", "ID", Some(("Updated_Date", "timestamp"))),
    ("encounters", "EncounterID", Some(("ModifiedDate", "date"))),
    ("transactions", "TransactionID", Some(("ModifiedDate", "timestamptz"))),
];

pub(crate) struct Databases {
    pub(crate) project: Project,
    pub(crate) server: Arc<Server>,
    client: Client,
    runtime: Runtime,
}

impl Databases {
    /// The starter project, whose hospital B has moved from files to a database.
    pub(crate) fn new() -> Option<Databases> {
        Databases::of(Project::new())
    }

    /// A project whose hospital B moves from files to a database.
    pub(crate) fn of(project: Project) -> Option<Databases> {
        let server = Server::shared()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (database, client) = runtime.block_on(server.database());
        project.write("ca.pem", &server.authority.pem);
        let source = format!(
            "\n[sources.emr-b]\nkind = \"postgres\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"{database}\"\n\
             user = \"admin\"\npassword = \"${{env:EMR_B_PASSWORD}}\"\nca_file = \"ca.pem\"\npatience = \"5s\"\ntime_zone = \"UTC\"\n",
            server.port
        );
        project.write("rcm.toml", project.read("rcm.toml") + &source);
        project.write("load_config.csv", project.read("load_config.csv").replace("emr,hos-b", "emr-b,hos-b"));
        let databases = Databases { project, server, client, runtime };
        databases.sql("CREATE SCHEMA dbo");
        databases.mend(&databases.project);
        databases.deliver();
        Some(databases)
    }

    pub(crate) fn sql(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap();
    }

    fn count(&self, sql: &str) -> i64 {
        self.runtime.block_on(self.client.query_one(sql, &[])).unwrap().get(0)
    }

    /// What lies in landing of hospital B goes into its tables: a whole one takes the place of all rows, another one those of
    /// its keys.
    pub(crate) fn deliver(&self) {
        for (table, key, watermark) in TABLES {
            let csv = self.project.read(&format!("landing/emr/hos-b/{table}.csv"));
            self.runtime.block_on(copy_into(&self.client, "new", &csv));
            if let Some((column, data_type)) = watermark {
                // As the database would have it: what is no date is none.
                let alter = format!(
                    "SET datestyle = 'ISO, MDY'; SET timezone = 'UTC'; UPDATE new SET \"{column}\" = NULL \
                     WHERE \"{column}\" !~ '^\\d{{4}}-\\d\\d-\\d\\d$|^\\d\\d/\\d\\d/\\d{{4}}$'; \
                     ALTER TABLE new ALTER \"{column}\" TYPE {data_type} USING \"{column}\"::{data_type}"
                );
                self.sql(&alter);
            }
            if table == "transactions" {
                self.sql("ALTER TABLE new ALTER \"Amount\" TYPE numeric(12,2) USING \"Amount\"::numeric");
            }
            let gone = match watermark {
                None => "true".to_owned(),
                Some(_) => format!("\"{key}\" IN (SELECT \"{key}\" FROM new)"),
            };
            self.sql(&format!(
                "CREATE TABLE IF NOT EXISTS dbo.{table} (LIKE new); DELETE FROM dbo.{table} WHERE {gone}; \
                 INSERT INTO dbo.{table} SELECT * FROM new"
            ));
        }
    }

    /// Takes out of its files what no database has.
    pub(crate) fn mend(&self, project: &Project) {
        mend(project, "hos-b", &TABLES.map(|(table, ..)| table));
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        let config = self.project.path("rcm.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_rcm"));
        run(command.arg("-c").arg(config).args(args).env("EMR_B_PASSWORD", PASSWORD))
    }

    pub(crate) fn ok(&self, args: &[&str]) -> Said {
        let said = self.run(args);
        assert_eq!(said.code, 0, "{}", said.stderr);
        said
    }
}

/// Makes a table of texts out of a file.
pub(crate) async fn copy_into(client: &Client, table: &str, csv: &str) {
    let header = csv.lines().next().unwrap();
    let columns: Vec<String> = header.split(',').map(|name| format!("\"{name}\" text")).collect();
    let create = format!("DROP TABLE IF EXISTS {table}; CREATE TABLE {table} ({})", columns.join(", "));
    client.batch_execute(&create).await.unwrap();
    let copy = client.copy_in(&format!("COPY {table} FROM STDIN (FORMAT csv, HEADER)")).await.unwrap();
    futures::pin_mut!(copy);
    copy.send(bytes::Bytes::from(csv.to_owned())).await.unwrap();
    copy.finish().await.unwrap();
}

/// Takes lines that are no rows, and amounts that are no numbers, out of the files of a hospital: a database has none such.
pub(crate) fn mend(project: &Project, hospital: &str, tables: &[&str]) {
    for table in tables {
        let path = format!("landing/emr/{hospital}/{table}.csv");
        let csv = project.read(&path);
        let fields = |line: &str| {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            reader.records().next().unwrap().unwrap()
        };
        let header = fields(csv.lines().next().unwrap());
        let amount = header.iter().position(|name| name == "Amount");
        let is_row = |line: &&str| {
            let row = fields(line);
            let amount = amount.and_then(|at| row.get(at));
            row.len() == header.len() && amount.is_none_or(|text| text == "Amount" || text.parse::<f64>().is_ok())
        };
        let rows: Vec<&str> = csv.lines().filter(|line| !line.is_empty()).filter(is_row).collect();
        project.write(&path, rows.join("\n"));
    }
}

/// All figures that gold holds, without some tables.
pub(crate) fn gold_without(project: &Project, tables: &[&str]) -> Vec<String> {
    let models = rcm_transforms::gold::MODELS.iter().filter(|model| !tables.contains(&model.name));
    let mut rows: Vec<String> =
        models.flat_map(|model| project.sql(&format!("SELECT '{0}', * FROM gold.{0}", model.name))).collect();
    rows.sort();
    assert!(rows.len() > 100, "{}", rows.len());
    rows
}

#[test]
fn a_window_in_which_nothing_is_new_leaves_nothing() {
    let Some(databases) = Databases::new() else { return };
    databases.ok(&["run", "--as-of", DAY1]);
    let select = ["--select", "hos-b.patients", "--select", "hos-b.encounters", "--select", "hos-b.transactions"];
    let run = || databases.ok(&[&["run"], &select[..]].concat());
    let before = databases.project.newest().unwrap();
    let said = run();
    assert!(said.stderr.contains("nothing new  exit 0"), "{}", said.stderr);
    assert_eq!(databases.project.newest().unwrap(), before);

    // One that is new among thousands that are read again.
    databases.sql("UPDATE dbo.patients SET \"Address\" = 'elsewhere', \"Updated_Date\" = now() AT TIME ZONE 'UTC' - interval '10 s' \
        WHERE \"ID\" = 'PAT-000001'");
    let said = run();
    assert!(said.stderr.contains("1 rows: 1 changed"), "{}", said.stderr);
    assert_eq!(databases.project.newest().unwrap().publish, before.publish + 1);
    let stands = run();
    assert!(stands.stderr.contains("nothing new  exit 0"), "{}", stands.stderr);

    let status = databases.ok(&["status"]);
    let watermark = |load: &str| status.stdout.lines().find(|line| line.contains(load)).map(str::to_owned).unwrap();
    assert!(watermark("watermark  hos-b.patients").contains('T'), "to the second: {}", status.stdout);
    assert!(!watermark("watermark  hos-a.patients").contains('T'), "a day: {}", status.stdout);

    // The application forgot to touch the watermark of a row in the lag, and later puts it back as it was.
    let change = |address: &str| {
        databases.sql(&format!("UPDATE dbo.patients SET \"Address\" = '{address}' WHERE \"ID\" = 'PAT-000001'"));
    };
    for address in ["somewhere", "elsewhere"] {
        change(address);
        let said = run();
        assert!(said.stderr.contains("1 rows: 1 changed"), "{}", said.stderr);
    }
    let addresses = databases.project.sql(
        "SELECT address FROM silver.patients WHERE hospital = 'hos-b' AND patient_id = 'PAT-000001' AND is_current",
    );
    assert_eq!(addresses, ["elsewhere"]);
    // Other tests have their own database.
    let left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rcm' AND datname = current_database()";
    assert_eq!(databases.count(left), 0);
}

#[test]
fn a_database_that_fails_is_a_load_that_fails() {
    let Some(databases) = Databases::new() else { return };
    databases.ok(&["run", "--as-of", DAY1]);
    databases.sql("ALTER TABLE dbo.transactions RENAME COLUMN \"Amount\" TO \"Sum\"");
    let said = databases.run(&["run", "--as-of", DAY2]);
    assert_eq!(said.code, 4, "{}", said.stderr);
    assert!(said.stderr.contains("column `Amount` is missing"), "{}", said.stderr);
    assert_eq!(databases.project.newest().unwrap().stale, ["hos-b.transactions"]);
    databases.sql("ALTER TABLE dbo.transactions RENAME COLUMN \"Sum\" TO \"Amount\"");

    // A wrong secret, and none.
    let config = databases.project.path("rcm.toml");
    let with = |secret: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rcm"));
        command.arg("-c").arg(&config).args(["run", "--as-of", "2026-07-01T00:00:00Z", "--json"]);
        command.env_remove("EMR_B_PASSWORD");
        secret.map(|secret| command.env("EMR_B_PASSWORD", secret));
        run(&mut command)
    };
    let refused = with(Some("canary-password-88"));
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stdout.contains("the server refuses the login"), "{}", refused.stdout);
    assert!(!format!("{}{}", refused.stdout, refused.stderr).contains("canary"), "{}", refused.stdout);
    let none = with(None);
    assert_eq!((none.code, none.stderr.contains("EMR_B_PASSWORD")), (2, true), "{}", none.stderr);

    // Out of a file, which may change between two runs.
    let secret = databases.project.path("secret");
    databases.project.edit("rcm.toml", "${env:EMR_B_PASSWORD}", &format!("${{file:{}}}", secret.display()));
    for (text, code) in [(Some("canary-password-88\n".to_owned()), 1), (Some(format!("{PASSWORD}\r\n")), 0), (None, 2)]
    {
        match &text {
            Some(text) => std::fs::write(&secret, text).unwrap(),
            None => std::fs::remove_file(&secret).unwrap(),
        }
        let said = with(None);
        assert_eq!(said.code, code, "{text:?}: {} {}", said.stdout, said.stderr);
        assert!(!format!("{}{}", said.stdout, said.stderr).contains("canary"));
    }
    databases.project.edit("rcm.toml", &format!("${{file:{}}}", secret.display()), "${env:EMR_B_PASSWORD}");

    // A server that is away: the other hospital goes on, and another try may help.
    databases.project.edit("rcm.toml", &format!("port = {}", databases.server.port), "port = 1");
    let away = databases.run(&["run", "--as-of", "2026-07-02T00:00:00Z"]);
    assert_eq!(away.code, 75, "{}", away.stderr);
    assert!(databases.project.newest().unwrap().stale.contains(&"hos-b.patients".to_owned()));
}

#[test]
fn a_watermark_is_of_one_column_of_one_table() {
    let Some(databases) = Databases::new() else { return };
    databases.ok(&["run", "--as-of", DAY1]);
    // The same again, as after a kill: whole tables are not read twice for one instant.
    let again = databases.ok(&["run", "--as-of", DAY1]);
    assert!(again.stderr.contains("nothing new  exit 0"), "{}", again.stderr);
    let early = databases.run(&["run", "--as-of", "2026-06-01T00:00:00Z"]);
    assert_eq!(early.code, 3, "{}", early.stderr);

    // Rows that came far below the watermark are found by a rebuild.
    let old = |id: &str| {
        databases.sql(&format!(
            "INSERT INTO dbo.patients SELECT (jsonb_populate_record(p, '{{\"ID\": \"{id}\", \"Updated_Date\": \"2020-01-01\"}}')).* \
             FROM dbo.patients p WHERE \"ID\" = 'PAT-000001'"
        ));
    };
    let count = |id: &str| {
        let sql = format!("SELECT count(*) FROM silver.patients WHERE patient_id = '{id}' AND hospital = 'hos-b'");
        databases.project.sql(&sql)
    };
    old("PAT-700001");
    databases.ok(&["run", "--as-of", DAY2, "--select", "patients"]);
    assert_eq!(count("PAT-700001"), ["0"]);
    let rebuilt = ["run", "--full-refresh", "--select", "patients", "--as-of"];
    databases.ok(&[&rebuilt[..], &["2026-07-02T00:00:00Z"]].concat());
    assert_eq!(count("PAT-700001"), ["1"]);

    // Another table, and another column, begin anew.
    old("PAT-700002");
    databases.sql("ALTER TABLE dbo.patients RENAME TO people");
    for file in ["load_config.csv", "mappings/hos-b.toml"] {
        let text = databases.project.read(file);
        let of_b = |line: &str| file.ends_with("toml") || line.contains("hos-b");
        let line = |line: &str| if of_b(line) { line.replace("dbo.patients", "dbo.people") } else { line.to_owned() };
        let lines: Vec<String> = text.lines().map(line).collect();
        databases.project.write(file, lines.join("\n") + "\n");
    }
    databases.ok(&["run", "--as-of", "2026-07-03T00:00:00Z", "--select", "patients"]);
    assert_eq!(count("PAT-700002"), ["1"]);
    let late = databases.run(&["run", "--as-of", "2026-07-01T00:00:00Z", "--select", "hos-b.patients"]);
    assert_eq!(late.code, 3, "{}", late.stderr);

    // A table that is gone is a load that fails.
    databases.sql("DROP TABLE dbo.people");
    let gone = databases.run(&["run", "--as-of", "2026-07-04T00:00:00Z"]);
    assert_eq!(gone.code, 1, "{}", gone.stderr);
    assert!(gone.stderr.contains("dbo.people: there is no such table"), "{}", gone.stderr);
    assert_eq!(databases.project.newest().unwrap().stale, ["hos-b.patients"]);
}

#[test]
fn settings_of_a_database_are_checked_before_anything_is_touched() {
    let project = Project::new();
    let with = |settings: &str| {
        let toml = project.read("rcm.toml");
        project.write("rcm.toml", toml.clone() + "\n[sources.emr-b]\n" + settings);
        let said = project.run(&["check"]);
        project.write("rcm.toml", toml);
        assert_eq!(said.code, 2, "{settings}: {}", said.stderr);
        said.stderr
    };
    let database = "kind = \"postgres\"\nhost = \"h\"\ndatabase = \"d\"\nuser = \"u\"\n";
    for (settings, word) in [
        ("kind = \"postgres\"\n".to_owned(), "host: is missing"),
        (format!("{database}password = \"hunter2\"\n"), "password: is a secret, which never stands in a file"),
        (format!("{database}files = \"x.csv\"\n"), "files: is no setting of a `postgres` source"),
        (format!("{database}patience = \"5\"\n"), "patience: is no duration"),
        (format!("{database}connections = 0\n"), "connections: is 0"),
        (format!("{database}patience = \"0s\"\n"), "patience: is 0"),
        (format!("{database}password = 987654\n"), "a value of another kind, expected a string"),
        (format!("{database}ca_file = \"none.pem\"\n"), "ca_file: cannot be read"),
        ("kind = \"csv\"\npath = \"x\"\nhost = \"h\"\n".to_owned(), "host: is no setting of a `csv` source"),
        ("kind = \"csv\"\n".to_owned(), "path: is missing"),
        ("kind = \"postgre\"\n".to_owned(), "did you mean `postgres`?"),
    ] {
        let said = with(&settings);
        assert!(said.contains(word) && !said.contains("hunter2") && !said.contains("987654"), "{settings}: {said}");
    }
}
