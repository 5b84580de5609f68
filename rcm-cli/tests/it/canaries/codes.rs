//! The same of files of codes, whose columns are fixed.

use super::scan::CANARY;
use super::{Watched, step};
use crate::support::{DAY1, Project};

/// A line of ICD-10-CM: order, code, whether it is billable, short and long description.
fn icd(order: usize, code: &str, flag: &str, short: &str, long: &str) -> String {
    format!("{order:05} {code:<7} {flag} {short:<60} {long}\r\n")
}

fn hcpcs(code: &str, sequence: &str, text: &str, rest: &str) -> String {
    format!("{:<292}{rest}\r\n", format!("{code:<5}{sequence}{text}"))
}

#[test]
fn every_field_of_files_of_codes() {
    let project = Project::new();
    let sources = "\n[sources.icd]\nkind = \"icd\"\npath = \"landing/icd\"\n[sources.hcpcs]\nkind = \"hcpcs\"\npath = \"landing/hcpcs.txt\"\n";
    project.write("rcm.toml", project.read("rcm.toml") + sources);
    let lines =
        project.read("load_config.csv").replace("codes,,cpt_codes,Full,,1,codes", "hcpcs,,procedures,Full,,1,codes");
    project.write("load_config.csv", lines + "icd,,2026,Full,,1,codes\n");
    let mappings = "[tables.cpt_codes]\nsource = \"procedures\"\non_drift = \"evolve\"\n[tables.cpt_codes.columns]\n\
        cpt_code = \"code\"\ndescription = \"long_description\"\nstatus = \"action_code\"\n\
        [tables.icd_codes]\nsource = \"2026\"\non_drift = \"evolve\"\n[tables.icd_codes.columns]\n\
        icd_code = \"code\"\ndescription = \"long_description\"\nis_billable = \"is_billable\"\n";
    project.write("mappings/shared.toml", mappings);
    let good = icd(1, "X99", "0", "Made up", "Made up");
    let text = |words: &str| format!("{CANARY}{words}");
    let of_icd = [
        good.clone() + &icd(2, "X990", "1", "Made up", &text("1")),
        good.clone() + &icd(2, "X990", "1", &text("1"), "Made up"),
        good.clone() + &icd(2, &CANARY[..7], "1", "Made up", &text("1")),
        good.clone() + &icd(2, "X990", &text(""), "Made up", &text("1")),
        good.clone() + &icd(2, CANARY, "1", "Made up", &text("1")),
        good.clone() + CANARY,
        good.clone() + &icd(1, "X99", "0", &text("1"), &text("2")),
        text("\r\n"),
    ];
    let supply = hcpcs("A9998", "001003", "Made-up supply", "N");
    let of_hcpcs = [
        supply.clone() + &hcpcs("J9998", "001003", &text("1"), "N"),
        supply.clone() + &hcpcs("J9998", "001003", "Made-up drug", &text("1")),
        supply.clone() + &hcpcs(CANARY, "001003", "Made-up drug", "N"),
        supply.clone() + &hcpcs("J9998", CANARY, "Made-up drug", "N"),
        supply.clone() + &hcpcs("J9998", "001003", &text("1"), "N") + &hcpcs("J9998", "001003", &text("2"), "N"),
        supply.clone() + CANARY,
    ];
    let files = of_icd.into_iter().map(|file| ("landing/icd/icd10cm_order_2026.txt", "icd_codes", file));
    let files = files.chain(of_hcpcs.into_iter().map(|file| ("landing/hcpcs.txt", "cpt_codes", file)));
    let mut watched = Watched::over(&project);
    project.write("landing/icd/icd10cm_order_2026.txt", &good);
    project.write("landing/hcpcs.txt", &supply);
    project.ok(&["run", "--as-of", DAY1]);
    let mut arrived = 0;
    for (number, (path, table, file)) in files.enumerate() {
        if number % step() == 0 {
            project.write(path, file);
            let at = format!("2026-07-{:02}T00:00:00Z", number + 1);
            let mut args = vec!["run", "--as-of", &at, "--select", table];
            args.extend((number % 2 == 0).then_some("--json"));
            arrived += usize::from(watched.run(&format!("{table}: {number}"), &args, &[]).1);
        }
    }
    assert!(arrived > 0);
    watched.end("files of codes");
}
