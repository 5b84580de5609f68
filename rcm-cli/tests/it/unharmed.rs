//! Behind every fault of a source the lake is as it was, and what is new there comes with the next run.
//!
//! CI takes a part of the faults; `RCM_UNHARMED=all cargo test -p rcm-cli --test it unharmed -- --nocapture` takes all.
#![allow(clippy::print_stdout)] // how each ended

use crate::apis::{ICD_SECRET, Services};
use crate::databases::Databases;
use crate::line::{End, line, record};
use crate::server::PASSWORD;
use crate::sqlserver::HospitalA;
use crate::support::{DAY1, Project, Said, said};
use crate::tds::fault::{Fault as Tds, Malformed};
use crate::web::fault::{Fault as Web, Should, When, serve};
use std::collections::BTreeMap;
use std::process::Command;

/// A run of a table whose source may fail.
struct Table<'a> {
    project: &'a Project,
    environment: (&'static str, String),
    load: &'static str,
    number: usize,
}

/// Of each table its version and its parts of state. Gold follows the instant of a run as well.
pub(crate) fn heads(project: &Project) -> BTreeMap<String, (Option<u64>, BTreeMap<String, String>)> {
    let tables = project.newest().unwrap().tables;
    tables
        .into_iter()
        .filter(|(name, _)| !name.starts_with("gold/"))
        .map(|(name, at)| (name, (at.version, at.state)))
        .collect()
}

impl Table<'_> {
    fn run(&mut self) -> Said {
        self.number += 1;
        let at = format!("2026-07-{:02}T{:02}:00:00Z", 1 + self.number / 24, self.number % 24);
        let mut command = Command::new(env!("CARGO_BIN_EXE_rcm"));
        command.arg("-c").arg(self.project.path("rcm.toml")).args(["run", "--as-of", &at, "--select", self.load]);
        said(command.env(self.environment.0, &self.environment.1).env("WANTED", "Made-up*"))
    }

    /// A change that a run with a fault may miss, and leaves as it was then; the one behind it may not.
    fn survives(&mut self, what: &str, must_fail: bool, calm: impl FnOnce(), is_there: impl Fn() -> bool) {
        let before = heads(self.project);
        let disturbed = self.run();
        let code = disturbed.code;
        println!("{what}: exit {code}");
        assert!([0, 1, 4, 75].contains(&code) && (code != 0 || !must_fail), "{what}: {}", disturbed.stderr);
        if code == 0 {
            assert!(is_there(), "{what}: it says that all was read: {}", disturbed.stderr);
        } else {
            assert_eq!(heads(self.project), before, "{what}: {}", disturbed.stderr);
        }
        calm();
        let after = self.run();
        assert!(after.code == 0 && is_there(), "{what}: {}", after.stderr);
    }
}

/// The faults of this run.
fn some<T>(faults: Vec<T>) -> Vec<T> {
    let step = if std::env::var("RCM_UNHARMED").is_ok_and(|all| all == "all") { 1 } else { 16 };
    faults.into_iter().skip(step - 1).step_by(step).collect()
}

#[test]
fn by_faults_of_sql_server() {
    let project = Project::new();
    let Some(a) = HospitalA::of(&project) else { return };
    let faults = &a.server.shared.faults;
    let mut all: Vec<(Tds, usize)> = Malformed::ALL.map(|malformed| (Tds::Malformed(malformed), 3)).into();
    // Once, and as often as is tried.
    for fault in [Tds::Error(1205), Tds::Error(1222), Tds::Error(40_501), Tds::Error(40_613), Tds::ErrorBehind(3960, 0)]
    {
        all.extend([(fault.clone(), 1), (fault, 3)]);
    }
    all.extend([200, 10_000, 20_000].map(|bytes| (Tds::Cut(bytes), 3)));
    all.extend([200, 10_000].map(|bytes| (Tds::Stall(bytes), 3)));
    project.edit("rcm.toml", "patience = \"5s\"", "patience = \"1s\"");
    a.ok(&project, &["run", "--as-of", DAY1]);
    let password = a.server.shared.options.password.clone();
    let mut table =
        Table { project: &project, environment: ("EMR_A_PASSWORD", password), load: "hos-a.transactions", number: 0 };
    for (n, (fault, times)) in some(all).into_iter().enumerate() {
        let mark = format!("AUTH{n}");
        a.beneath(&format!(
            "UPDATE dbo.transactions SET \"PayorID\" = '{mark}', \"ModifiedDate\" = ROW(tds.ticks('2026-06-30'::timestamp), 0)::tds.offset_time \
             WHERE \"TransactionID\" = (SELECT max(\"TransactionID\") FROM dbo.transactions)"
        ));
        (0..times).for_each(|_| faults.push("FROM [dbo].[transactions]", fault.clone()));
        let is_there =
            || project.sql(&format!("SELECT count(*) FROM silver.transactions WHERE payor_id = '{mark}'")) != ["0"];
        table.survives(
            &format!("{fault:?} {times} times"),
            times > 2 && fault_ends(&fault),
            || faults.clear(),
            is_there,
        );
    }
}

/// Whether a fault that comes each time can end in an error only. What no server sends may still be understood, and an answer may
/// be over before so many bytes.
fn fault_ends(fault: &Tds) -> bool {
    !matches!(fault, Tds::Malformed(_) | Tds::Cut(10_000..) | Tds::Stall(10_000..))
}

#[test]
fn by_lines_to_postgres() {
    let Some(b) = Databases::new() else { return };
    let port = b.server.port;
    let at = |port: u16| format!("host = \"127.0.0.1\"\nport = {port}\n");
    b.project.edit("rcm.toml", "patience = \"5s\"", "patience = \"1s\"");
    b.ok(&["run", "--as-of", DAY1]);
    let mut table = Table {
        project: &b.project,
        environment: ("EMR_B_PASSWORD", PASSWORD.to_owned()),
        load: "hos-b.transactions",
        number: 0,
    };
    let change = |mark: &str| {
        b.sql(&format!(
            "UPDATE dbo.transactions SET \"PayorID\" = '{mark}', \"ModifiedDate\" = '2026-06-30T12:00:00Z' \
             WHERE \"TransactionID\" = (SELECT max(\"TransactionID\") FROM dbo.transactions)"
        ));
    };
    // How much comes where nothing goes wrong.
    change("FIRST");
    let (whole, kept) = record(port);
    b.project.edit("rcm.toml", &at(port), &at(whole));
    assert_eq!(table.run().code, 0);
    let bytes: usize = kept.lock().unwrap().iter().flatten().map(Vec::len).sum();
    b.project.edit("rcm.toml", &at(whole), &at(port));
    let percents = [0, 1, 10, 50, 90, 99].into_iter();
    let all: Vec<(usize, End)> = percents.flat_map(|percent| [(percent, End::Broken), (percent, End::Dumb)]).collect();
    for (n, (percent, end)) in some(all).into_iter().enumerate() {
        let share = bytes * percent / 100;
        let mark = format!("PAYOR{n}");
        change(&mark);
        let broken = line(port, share, end);
        b.project.edit("rcm.toml", &at(port), &at(broken));
        let is_there =
            || b.project.sql(&format!("SELECT count(*) FROM silver.transactions WHERE payor_id = '{mark}'")) != ["0"];
        let calm = || b.project.edit("rcm.toml", &at(broken), &at(port));
        // How much is said differs from run to run.
        table.survives(&format!("{percent} % of {bytes} bytes, then {end:?}"), percent <= 10, calm, is_there);
    }
}

#[test]
fn by_faults_of_a_service() {
    let (project, services) = (Project::new(), Services::new());
    services.join(&project);
    project.edit("rcm.toml", "patience = \"2s\"\ntables", "patience = \"1s\"\ntables");
    project.edit("rcm.toml", "copies = \"copies\"\n", "");
    let mut table = Table {
        project: &project,
        environment: ("ICD_SECRET", ICD_SECRET.to_owned()),
        load: "npi_registry",
        number: 0,
    };
    assert_eq!(table.run().code, 0);
    let number = services.registry.providers()[7].number.clone();
    let good = services.servers[0].base();
    // The registry answers with one page, asks for no token.
    let is_of_pages = |fault: &Web| matches!(fault, Web::SamePage | Web::PageCycle);
    let faults = Web::all().into_iter().filter(|fault| !fault.is_of_tokens() && !is_of_pages(fault)).collect();
    for (n, fault) in some(faults).into_iter().enumerate() {
        let city = format!("ELSEWHERE{n}");
        services.registry.change(&number, |provider| {
            // A day each.
            provider.updated = 1_782_900_000_000 + n as i64 * 3_600_000;
            provider.addresses[0].city.clone_from(&city);
        });
        let server = serve(fault, When::Every, services.registry.handler());
        project.edit("rcm.toml", &good, &server.base());
        let is_there =
            || project.sql(&format!("SELECT count(*) FROM silver.npi_registry WHERE city = '{city}'")) != ["0"];
        let must_fail = fault.should(When::Every) != Should::Either;
        table.survives(&format!("{fault:?}"), must_fail, || project.edit("rcm.toml", &server.base(), &good), is_there);
    }
}
