//! NPI and ICD codes out of services on loopback, and ICD-10-CM out of order files: in silver and gold, with history.

use crate::support::{DAY1, Project, Said, said as run};
use crate::web::http::{Handler, Server, limited};
use crate::web::nppes::{Registry, Shape};
use crate::web::who::{Tree, Who};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const NPI: &str = "
[tables.npi_registry]
source = \"providers\"
on_drift = \"evolve\"
[tables.npi_registry.columns]
npi = \"npi\"
enumeration_type = \"enumeration_type\"
status = \"status\"
first_name = \"first_name\"
last_name = \"last_name\"
organization_name = \"organization_name\"
credential = \"credential\"
taxonomy_code = \"taxonomy_code\"
city = \"city\"
state = \"state\"
postal_code = \"postal_code\"
deactivation_date = \"deactivation_date\"
modified_date = \"last_updated\"
";

/// A mapping of codes from columns of one of the sources.
fn codes(source: &str, columns: &[(&str, &str)]) -> String {
    let lines: String = columns.iter().map(|(to, from)| format!("{to} = \"{from}\"\n")).collect();
    format!("\n[tables.icd_codes]\nsource = \"{source}\"\non_drift = \"evolve\"\n[tables.icd_codes.columns]\n{lines}")
}

pub(crate) const ICD_SECRET: &str = "canary-secret-77";

/// The registry of providers, and the WHO's codes.
pub(crate) struct Services {
    pub(crate) registry: Registry,
    who: Who,
    pub(crate) servers: [Server; 2],
}

impl Services {
    pub(crate) fn new() -> Services {
        let (registry, who) =
            (Registry::made_up(3, 60, Shape::Of2026), Who::new(Tree::constructed(), "me", ICD_SECRET));
        let servers = [Server::plain(registry.handler()), Server::plain(who.handler())];
        Services { registry, who, servers }
    }

    /// What answers for each.
    pub(crate) fn handlers(&self) -> [Handler; 2] {
        [self.registry.handler(), self.who.handler()]
    }

    /// Lets a project read both.
    pub(crate) fn join(&self, project: &Project) {
        self.join_at(project, [self.servers[0].base(), self.servers[1].base()]);
    }

    /// The same where others answer for them.
    pub(crate) fn join_at(&self, project: &Project, bases: [String; 2]) {
        let sources = format!(
            "\n[sources.npi]\nkind = \"npi\"\nurl = \"{}/api/\"\nper_second = 1000\npatience = \"2s\"\n\
             tables.providers = \"taxonomy_description=${{env:WANTED}}\"\ncopies = \"copies\"\n\
             \n[sources.icd]\nkind = \"icd\"\nurl = \"{1}\"\ntoken_url = \"{1}/connect/token\"\nclient_id = \"me\"\n\
             client_secret = \"${{env:ICD_SECRET}}\"\ncopies = \"copies\"\nper_second = 1000\npatience = \"2s\"\n",
            bases[0], bases[1],
        );
        project.write("rcm.toml", project.read("rcm.toml") + &sources);
        let config = project.read("load_config.csv");
        let end = if config.lines().next().unwrap().ends_with(",lag") { "," } else { "" };
        let lines = format!("npi,,providers,Incremental,last_updated,1,codes{end}\nicd,,2019,Full,,1,codes{end}\n");
        project.write("load_config.csv", config + &lines);
        let of_who = [
            ("icd_code", "code"),
            ("description", "title"),
            ("is_billable", "is_leaf"),
            ("parent_code", "parent_code"),
            ("category", "block"),
            ("release", "release"),
        ];
        project.write("mappings/shared.toml", project.read("mappings/shared.toml") + NPI + &codes("2019", &of_who));
    }
}

struct Apis {
    project: Project,
    services: Services,
}

impl Apis {
    /// The starter project with both services.
    fn new() -> Apis {
        let (project, services) = (Project::new(), Services::new());
        services.join(&project);
        Apis { project, services }
    }

    fn run(&self, args: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rcm"));
        command.arg("-c").arg(self.project.path("rcm.toml")).args(args);
        run(command.env("ICD_SECRET", ICD_SECRET).env("WANTED", "Made-up*"))
    }

    fn ok(&self, args: &[&str]) -> Said {
        let said = self.run(args);
        assert_eq!(said.code, 0, "{}", said.stderr);
        said
    }
}

#[test]
fn providers_and_codes_of_services_stand_in_silver_and_gold() {
    let apis = Apis::new();
    let project = &apis.project;
    apis.ok(&["run", "--as-of", DAY1]);
    assert_eq!(project.sql("SELECT count(*) FROM gold.dim_npi WHERE npi <> 'unknown'"), ["60"]);
    let people = "SELECT count(*) FROM silver.npi_registry WHERE is_current AND enumeration_type = 'NPI-1' AND last_name IS NOT NULL";
    assert_eq!(
        project.sql(people),
        project.sql("SELECT count(*) FROM silver.npi_registry WHERE enumeration_type = 'NPI-1'")
    );
    let codes =
        "SELECT icd_code, is_billable, parent_code FROM gold.dim_icd_code WHERE icd_code LIKE 'A00%' ORDER BY icd_code";
    let expected = ["A00|false|A00-A09", "A00-A09|false|I", "A00.0|true|A00", "A00.1|true|A00", "A00.9|true|A00"];
    assert_eq!(project.sql(codes), expected);
    let release = project.sql("SELECT DISTINCT release, code_system FROM silver.icd_codes");
    assert_eq!(release, ["2019|NULL"]);
    // The gold of hospitals is what it is without them.
    let plain = Project::after_day1();
    let charges = "SELECT * FROM gold.kpi_department_charges";
    assert_eq!(project.sql(charges), plain.sql(charges));

    // Somebody moves, and is deactivated; the registry says when.
    let one = apis.services.registry.providers()[7].number.clone();
    apis.services.registry.change(&one, |provider| {
        provider.updated = 1_782_900_000_000;
        provider.is_active = false;
        provider.addresses[0].city = "ELSEWHERE".to_owned();
    });
    let said = apis.ok(&["run", "--as-of", "2026-07-02T00:00:00Z", "--select", "npi_registry"]);
    assert!(said.stderr.contains("1 rows: 1 changed"), "{}", said.stderr);
    let history = format!(
        "SELECT status, city = 'ELSEWHERE', is_current FROM silver.npi_registry WHERE npi = '{one}' ORDER BY valid_from"
    );
    assert_eq!(project.sql(&history), ["A|false|false", "D|true|true"]);
    // Nothing is new.
    let said = apis.ok(&["run", "--as-of", "2026-07-03T00:00:00Z", "--select", "npi_registry"]);
    assert!(said.stderr.contains("npi_registry  incremental  nothing new"), "{}", said.stderr);
    // Another question is another table, under the same name too.
    apis.project.edit("rcm.toml", "${env:WANTED}", "${env:WANTED}&enumeration_type=NPI-2");
    let said = apis.ok(&["run", "--as-of", "2026-07-04T00:00:00Z", "--select", "npi_registry"]);
    let organizations =
        project.sql("SELECT count(*) FROM silver.npi_registry WHERE is_current AND enumeration_type = 'NPI-2'");
    let told = format!("{0} rows: {0} unchanged", organizations[0]);
    assert!(organizations[0] != "0" && said.stderr.contains(&told), "{told}: {}", said.stderr);
}

#[test]
fn a_service_that_is_away_is_a_load_that_may_get_better() {
    let apis = Apis::new();
    apis.services.who.expire();
    apis.project.edit("rcm.toml", "client_id = \"me\"", "client_id = \"you\"");
    let said = apis.run(&["run", "--as-of", DAY1, "--json"]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stdout.contains("it refuses the client"), "{}", said.stdout);
    assert!(!format!("{}{}", said.stdout, said.stderr).contains("canary"), "{}", said.stdout);
    assert_eq!(apis.project.newest().unwrap().stale, ["icd_codes"]);
}

/// Both services are away: what was read last is known, and the run says so; of a project that never read it nothing is.
#[test]
fn copies_answer_for_services_that_are_away() {
    let apis = Apis::new();
    apis.project.edit("rcm.toml", "patience = \"2s\"", "patience = \"1s\"");
    apis.services.servers.iter().for_each(|server| server.refuse(None));
    let said = apis.run(&["run", "--as-of", DAY1]);
    assert_eq!(said.code, 75, "{}", said.stderr);
    apis.services.servers.iter().for_each(Server::listen);
    apis.ok(&["run", "--as-of", "2026-07-01T00:00:00Z"]);
    let history = || ["icd_codes", "npi_registry"].map(|table| apis.project.history(table));
    let before = history();
    apis.services.servers.iter().for_each(|server| server.refuse(None));
    let said = apis.ok(&["run", "--as-of", "2026-07-02T00:00:00Z"]);
    assert_eq!(said.stderr.matches("the service did not answer").count(), 2, "{}", said.stderr);
    assert_eq!(history(), before);
    assert!(apis.project.newest().unwrap().stale.is_empty());
}

/// What is kept of it until then is gone behind it.
#[test]
fn a_walk_that_breaks_goes_on_with_the_next_run() {
    let (project, services, left) = (Project::new(), Services::new(), Arc::new(AtomicUsize::new(5)));
    let server = Server::plain(limited("/icd/", left.clone(), services.who.handler()));
    services.join_at(&project, [services.servers[0].base(), server.base()]);
    project.edit("rcm.toml", "patience = \"2s\"", "patience = \"1s\"");
    let apis = Apis { project, services };
    let select = ["run", "--select", "icd_codes"];
    assert_eq!(apis.run(&select).code, 75);
    let entities = || server.requests().iter().filter(|request| request.path.starts_with("/icd/")).count();
    let before = entities();
    left.store(usize::MAX, Ordering::SeqCst);
    let said = apis.ok(&select);
    assert!(said.stderr.contains("5 entities are those of a walk that did not end"), "{}", said.stderr);
    // The release and its seven codes.
    assert_eq!(entities() - before, 8 - 5);
    assert_eq!(apis.project.sql("SELECT count(*) FROM silver.icd_codes WHERE is_current"), ["7"]);
    let kept = std::fs::read_dir(apis.project.path("copies")).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(kept.filter(|path| path.extension().is_some_and(|end| end == "walk")).count(), 0);
}

#[test]
fn codes_of_order_files_and_their_next_release() {
    let project = Project::new();
    project.write("rcm.toml", project.read("rcm.toml") + "\n[sources.icd]\nkind = \"icd\"\npath = \"landing/icd\"\n");
    let columns = [
        ("icd_code", "code"),
        ("description", "long_description"),
        ("is_billable", "is_billable"),
        ("parent_code", "parent_code"),
        ("category", "category"),
        ("release", "release"),
    ];
    let line =
        |order: usize, code: &str, flag: u8, text: &str| format!("{order:05} {code:<7} {flag} {text:<60} {text}\r\n");
    let load = |release: &str| {
        let lines = project.read("load_config.csv");
        let kept: String =
            lines.lines().filter(|line| !line.starts_with("icd,")).map(|line| format!("{line}\n")).collect();
        project.write("load_config.csv", kept + &format!("icd,,{release},Full,,1,codes\n"));
        let mapping = project.read("mappings/shared.toml");
        let kept = mapping.split("\n[tables.icd_codes]").next().unwrap().to_owned();
        project.write("mappings/shared.toml", kept + &codes(release, &columns));
    };
    project.write(
        "landing/icd/icd10cm_order_2026.txt",
        line(1, "X99", 0, "Made up") + &line(2, "X990", 1, "Made up, one"),
    );
    project.write(
        "landing/icd/icd10cm-order-April-2026.txt",
        line(1, "X99", 0, "Made up")
            + &line(2, "X990", 0, "Made up, one")
            + &line(3, "X9901", 1, "Made up, one and more"),
    );
    load("2026");
    project.ok(&["run", "--as-of", DAY1]);
    load("2026-04");
    project.ok(&["run", "--as-of", "2026-07-02T00:00:00Z", "--select", "icd_codes"]);
    let history =
        "SELECT icd_code, is_billable, release, is_current FROM silver.icd_codes ORDER BY icd_code, valid_from";
    assert_eq!(
        project.sql(history),
        [
            "X99|false|2026|false",
            "X99|false|2026-04|true",
            "X99.0|true|2026|false",
            "X99.0|false|2026-04|true",
            "X99.01|true|2026-04|true",
        ]
    );
    // What the API of the WHO has, files have not.
    project.edit("rcm.toml", "path = \"landing/icd\"\n", "path = \"landing/icd\"\nurl = \"https://id.who.int\"\n");
    let said = project.run(&["check"]);
    assert!(said.code == 2 && said.stderr.contains("is no setting of a `icd with path` source"), "{}", said.stderr);
}

#[test]
fn codes_of_the_hcpcs_file() {
    let project = Project::new();
    project.write(
        "rcm.toml",
        project.read("rcm.toml") + "\n[sources.hcpcs]\nkind = \"hcpcs\"\npath = \"landing/hcpcs.txt\"\n",
    );
    project.write(
        "load_config.csv",
        project.read("load_config.csv").replace("codes,,cpt_codes,Full,,1,codes", "hcpcs,,procedures,Full,,1,codes"),
    );
    let mapping = "[tables.cpt_codes]\nsource = \"procedures\"\non_drift = \"evolve\"\n[tables.cpt_codes.columns]\n\
        cpt_code = \"code\"\ndescription = \"long_description\"\nstatus = \"action_code\"\n";
    project.write("mappings/shared.toml", mapping);
    let line = |code: &str, text: &str| format!("{:<292}N\r\n", format!("{code}001003{text}"));
    project.write(
        "landing/hcpcs.txt",
        "terms of use\r\n".to_owned() + &line("A9998", "Made-up supply") + &line("J9998", "Made-up drug"),
    );
    project.ok(&["run", "--as-of", DAY1]);
    let codes = project.sql("SELECT cpt_code, description, status FROM gold.dim_cpt_code WHERE cpt_code <> 'unknown'");
    assert_eq!(codes, ["A9998|Made-up supply|N", "J9998|Made-up drug|N"]);
}
