//! Patients' data stands in tables and in the archive, and nowhere else: every field of every file carries a canary, on ways that
//! succeed and on ways that fail, and so do secrets; none may be in what the program says, in logs of tables, footers and
//! indexes of files, names, records of runs, or what it leaves in the temporary folder.
//!
//! CI takes a part of the ways; `RCM_CANARIES=all cargo test -p rcm-cli --test it canaries -- --nocapture` takes all. Each test says
//! how many there were.

mod codes;
mod connected;
mod debug;
mod scan;

use crate::support::{DAY1, Project, Said, said};
use crate::vault::Kept;
use scan::{CANARY, scan, sings};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A project that is looked through after each way.
struct Watched<'a> {
    project: &'a Project,
    seen: BTreeSet<PathBuf>,
    /// Ways, and where a canary was that may not be there.
    ways: usize,
    hits: Vec<String>,
}

impl Watched<'_> {
    fn over(project: &Project) -> Watched<'_> {
        Watched { project, seen: BTreeSet::new(), ways: 0, hits: Vec::new() }
    }

    /// Runs the program as talkative as it gets. Whether a canary came into a table or the archive.
    fn run(&mut self, way: &str, args: &[&str], environment: &[(&str, String)]) -> (Said, bool) {
        let temporary = self.project.path("temporary");
        std::fs::create_dir_all(&temporary).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rcm"));
        command.arg("-c").arg(self.project.path("rcm.toml")).args(args);
        command.envs([("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full")]).env("TMPDIR", &temporary);
        command.envs(environment.iter().map(|(name, value)| (*name, value)));
        let said = said(&mut command);
        assert!(!said.stderr.contains("panic at"), "{way}: {}", said.stderr);
        self.ways += 1;
        for (stream, text) in [("stdout", &said.stdout), ("stderr", &said.stderr)] {
            if sings(text.as_bytes()) {
                let line = text.lines().find(|line| sings(line.as_bytes())).unwrap_or_default();
                self.hits.push(format!("{way}: {stream}: {line}"));
            }
        }
        let mut arrived = false;
        let files = [self.project.path("lake"), self.project.path("copies"), temporary]
            .into_iter()
            .flat_map(|folder| below(&folder));
        for path in files.filter(|path| self.seen.insert(path.clone())).collect::<Vec<_>>() {
            let found = scan(&path);
            arrived |= found.arrived;
            self.hits.extend(found.hits.iter().map(|hit| format!("{way}: {}: {hit}", path.display())));
        }
        (said, arrived)
    }

    /// Says how many ways there were.
    #[allow(clippy::print_stdout, reason = "the figure is what the command is for")]
    fn end(self, what: &str) {
        println!("canaries: {what}: {} ways, {} hits", self.ways, self.hits.len());
        assert!(self.hits.is_empty(), "{:#?}", self.hits);
    }
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

/// Every how manyth way is gone.
fn step() -> usize {
    if std::env::var("RCM_CANARIES").is_ok_and(|all| all == "all") { 1 } else { 16 }
}

/// The files of the starter project, and the lines of the configuration that read them.
const FILES: [(&str, &str); 13] = [
    ("landing/emr/hos-a/departments.csv", "hos-a.departments"),
    ("landing/emr/hos-a/providers.csv", "hos-a.providers"),
    ("landing/emr/hos-a/patients.csv", "hos-a.patients"),
    ("landing/emr/hos-a/encounters.csv", "hos-a.encounters"),
    ("landing/emr/hos-a/transactions.csv", "hos-a.transactions"),
    ("landing/emr/hos-b/departments.csv", "hos-b.departments"),
    ("landing/emr/hos-b/providers.csv", "hos-b.providers"),
    ("landing/emr/hos-b/patients.csv", "hos-b.patients"),
    ("landing/emr/hos-b/encounters.csv", "hos-b.encounters"),
    ("landing/emr/hos-b/transactions.csv", "hos-b.transactions"),
    ("landing/claims/hos-a_claims_20260629.csv", "hos-a.claims"),
    ("landing/claims/hos-b_claims_20260629.csv", "hos-b.claims"),
    ("landing/codes/cpt_codes.csv", "cpt_codes"),
];

fn rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn text(rows: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    rows.iter().for_each(|row| writer.write_record(row).unwrap());
    writer.into_inner().unwrap()
}

/// Where the canary is.
fn at(text: &[u8]) -> usize {
    text.windows(CANARY.len()).position(|window| window == CANARY.as_bytes()).unwrap()
}

#[test]
fn every_field_of_every_file() {
    let mut number = 0;
    for (file, load) in FILES {
        let project = Project::new();
        let mut watched = Watched::over(&project);
        let first = watched.project.read(file);
        watched.project.ok(&["run", "--as-of", DAY1, "--select", load]);
        let rows = rows(&first);
        for (at, field) in rows[0].iter().enumerate() {
            number += 1;
            if number % step() != 0 {
                continue;
            }
            let mut changed = rows.clone();
            for (row, cells) in changed.iter_mut().enumerate().skip(1) {
                cells[at] = format!("{CANARY}{row}");
            }
            watched.project.write(&file.replace("20260629", &format!("202607{:02}", at + 1)), text(&changed));
            let as_of = format!("2026-07-{:02}T00:00:00Z", at + 1);
            let mut args = vec!["run", "--as-of", &as_of, "--select", load];
            args.extend((at % 2 == 0).then_some("--json"));
            let (said, arrived) = watched.run(&format!("{load}: {field}"), &args, &[]);
            // A full table whose keys are others is refused; all else is data, good or bad.
            assert!(said.code == 3 || said.code == 0 && arrived, "{load}: {field}: {}", said.stderr);
        }
        watched.end(load);
    }
}

/// What makes a broken file of good rows, the header the first.
type Damage = fn(&mut Vec<Vec<String>>) -> Vec<u8>;

/// Files that are broken in ways in which real ones are, with canaries where they are broken.
#[test]
fn files_that_are_broken() {
    let broken: [(&str, Damage); 8] = [
        ("a quote that is never closed", |rows| {
            rows[3][0] = format!("{CANARY} is open");
            let text = String::from_utf8(text(rows)).unwrap();
            text.replacen(&format!("{CANARY} is open"), &format!("\"{CANARY} is open"), 1).into_bytes()
        }),
        ("more fields than columns", |rows| {
            rows[3].push(CANARY.to_owned());
            text(rows)
        }),
        ("fewer fields than columns", |rows| {
            rows[3] = vec![CANARY.to_owned()];
            text(rows)
        }),
        ("no text", |rows| {
            rows[3][1] = CANARY.to_owned();
            let mut text = text(rows);
            let end = at(&text) + CANARY.len();
            text.insert(end, 0xFF);
            text
        }),
        ("the header is lost", |rows| {
            rows[0].iter_mut().for_each(|cell| cell.insert_str(0, CANARY));
            text(rows)
        }),
        ("cut", |rows| {
            rows[3][1] = CANARY.to_owned();
            let text = text(rows);
            text[..at(&text) + CANARY.len()].to_vec()
        }),
        ("not packed, but named so", |rows| {
            rows[3][1] = CANARY.to_owned();
            [b"\x1f\x8b".to_vec(), text(rows)].concat()
        }),
        ("another table", |rows| {
            let row = |at: usize| vec![format!("{CANARY}{at}")];
            text(&[vec!["Other".to_owned()]].into_iter().chain((0..rows.len()).map(row)).collect::<Vec<_>>())
        }),
    ];
    let mut number = 0;
    let project = Project::new();
    let mut watched = Watched::over(&project);
    watched.project.ok(&["run", "--as-of", DAY1]);
    for (file, load) in FILES {
        let first = watched.project.read(file);
        for (what, damage) in broken {
            number += 1;
            if number % step() != 0 {
                continue;
            }
            let mut rows = rows(&first);
            watched.project.write(&file.replace("20260629", &format!("202607{number:03}")), damage(&mut rows));
            let as_of = format!("2026-07-{:02}T{:02}:00:00Z", 1 + number / 24, number % 24);
            let mut args = vec!["run", "--as-of", &as_of, "--select", load];
            args.extend((number % 2 == 0).then_some("--json"));
            watched.run(&format!("{load}: {what}"), &args, &[]);
        }
        watched.project.write(file, &first);
    }
    watched.end("broken files");
}

/// What else the program does with a lake that is full of them: it tells, tidies up, builds anew, and stumbles.
#[test]
fn all_that_is_done_with_a_lake() {
    let project = Project::new();
    let mut watched = Watched::over(&project);
    for (file, _) in FILES {
        let mut rows = rows(&watched.project.read(file));
        for (at, row) in rows.iter_mut().enumerate().skip(1) {
            for cell in row.iter_mut().filter(|cell| cell.chars().all(|c| c.is_alphabetic() || c == ' ')) {
                *cell = format!("{CANARY}{at}");
            }
        }
        watched.project.write(file, text(&rows));
    }
    let (said, arrived) = watched.run("run", &["run", "--as-of", DAY1], &[]);
    assert!(said.code == 0 && arrived, "{}", said.stderr);
    let later = "2026-07-01T00:00:00Z";
    for args in [
        &["check"][..],
        &["check", "--json"],
        &["check", "--connect"],
        &["status"],
        &["status", "--json"],
        &["status", "--at", "1"],
        &["run", "--dry-run"],
        &["run", "--dry-run", "--json"],
        &["run", "--as-of", later, "--full-refresh"],
        &["maintain", "--dry-run", "--json"],
        &["maintain"],
        &["run", "--as-of", "2026-06-01T00:00:00Z"],
        &["run", "--select", "no.such"],
    ] {
        watched.run(&args.join(" "), args, &[]);
    }
    // One file of each part is damaged.
    for (number, part) in ["bronze", "silver", "gold", "quarantine", "_rcm", "audit"].into_iter().enumerate() {
        let file = below(&watched.project.path("lake").join(part)).remove(0);
        let bytes = std::fs::read(&file).unwrap();
        let damaged = if number % 2 == 0 { &bytes[..bytes.len() / 2] } else { CANARY.as_bytes() };
        std::fs::write(&file, damaged).unwrap();
        let as_of = format!("2026-07-0{}T00:00:00Z", number + 2);
        watched.run(&format!("damaged {part}"), &["run", "--as-of", &as_of, "--full-refresh"], &[]);
        std::fs::write(&file, bytes).unwrap();
    }
    watched.end("a lake");
}

/// Secrets of sources and stores that are away, or wrong.
#[test]
fn secrets() {
    let kept = Kept::new();
    kept.vault.set("kept", &format!("{CANARY}-kept"));
    kept.vault.set("refused", CANARY);
    kept.vault.disable("refused");
    let away = "host = \"127.0.0.1\"\nport = 1\ndatabase = \"d\"\npatience = \"1s\"";
    let sources = [
        ("PG", "dbo.departments", format!("kind = \"postgres\"\n{away}\nuser = \"u\"\npassword = \"${{env:PG}}\"")),
        ("TDS", "dbo.departments", format!("kind = \"sqlserver\"\n{away}\nuser = \"u\"\npassword = \"${{env:TDS}}\"")),
        ("ENTRA", "dbo.departments", format!("kind = \"sqlserver\"\n{away}\ntoken = \"${{env:ENTRA}}\"")),
        ("NPI", "city=X", "kind = \"npi\"\nurl = \"http://127.0.0.1:1/api/\"\ntls = false\npatience = \"1s\"\nkey = \"${env:NPI}\"".to_owned()),
        (
            "ICD",
            "2019",
            "kind = \"icd\"\nurl = \"http://127.0.0.1:1\"\ntoken_url = \"http://127.0.0.1:1/t\"\ntls = false\npatience = \"1s\"\n\
             client_id = \"me\"\nclient_secret = \"${env:ICD}\""
                .to_owned(),
        ),
        ("LITERAL", "dbo.departments", format!("kind = \"postgres\"\n{away}\nuser = \"u\"\npassword = \"{CANARY}\"")),
        ("LAKE", "dbo.departments", "kind = \"csv\"\npath = \"landing/emr/hos-a\"".to_owned()),
        (
            "KEPT",
            "dbo.departments",
            format!("kind = \"postgres\"\n{away}\nuser = \"u\"\npassword = \"{}\"", kept.reference("kept")),
        ),
        (
            "REFUSED",
            "dbo.departments",
            format!("kind = \"postgres\"\n{away}\nuser = \"u\"\npassword = \"{}\"", kept.reference("refused")),
        ),
        ("NO_KEY", "dbo.departments", "kind = \"csv\"\npath = \"landing/emr/hos-a\"".to_owned()),
    ];
    let project = Project::new();
    let mut watched = Watched::over(&project);
    let (config, lines) = (watched.project.read("rcm.toml"), watched.project.read("load_config.csv"));
    let mut number = 0;
    for (name, table, source) in sources {
        let lines = lines.replace("emr,hos-a,dbo.departments", &format!("away,hos-a,{table}"));
        watched.project.write("load_config.csv", lines);
        let lake = "url = \"abfss://lake@account.dfs.core.windows.net/x\"\n[lake.storage_options]\naccount_key = \"${env:LAKE}\"";
        let lake = match name {
            "NO_KEY" => lake.replace("${env:LAKE}", &kept.reference("kept")),
            _ => lake.to_owned(),
        };
        let is_away = ["LAKE", "NO_KEY"].contains(&name);
        let config = if is_away { config.replace("url = \"lake\"", &lake) } else { config.clone() };
        watched.project.write("rcm.toml", format!("{config}\n[sources.away]\n{source}\n"));
        for args in [&["run"][..], &["run", "--json"], &["check", "--connect"], &["check", "--connect", "--json"]] {
            number += 1;
            if number % step() == 0 {
                let mut environment = kept.application();
                environment.push((name, format!("{CANARY}-{name}")));
                let (said, _) = watched.run(&format!("{name}: {}", args.join(" ")), args, &environment);
                assert_ne!(said.code, 0, "{name}: {args:?}");
            }
        }
    }
    watched.end("secrets");
}
