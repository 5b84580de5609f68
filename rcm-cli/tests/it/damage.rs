//! Bits that flip and files that are cut off: a typed error, or the rows that were there; never others.

#![allow(clippy::print_stdout)] // how many there were

use crate::crash::sweep::Dice;
use crate::support::{DAY2, DAY3, Project, copy, walk};
use rcm_core::model::TABLES;

/// Every silver table as a reader sees it, or why not.
fn silver(project: &Project) -> Vec<Vec<String>> {
    TABLES.iter().map(|table| project.history(table.name)).collect()
}

/// Two days; and what a reader sees after each, and after a third that delivers a row again.
fn three_days() -> (Project, [Vec<Vec<String>>; 3]) {
    let project = Project::after_day1();
    let day1 = silver(&project);
    project.deliver_day2();
    project.ok(&["run", "--as-of", DAY2]);
    let day2 = silver(&project);
    let again = |file: &str| project.write(file, project.read(file) + "\n");
    again("landing/emr/hos-a/patients.csv");
    again("landing/emr/hos-a/transactions.csv");
    let temp = tempfile::tempdir().unwrap();
    copy(&project.dir, temp.path());
    let clean = Project::at(temp);
    clean.ok(&["run", "--as-of", DAY3]);
    (project, [day1, day2, silver(&clean)])
}

#[test]
fn a_damaged_record_or_part_is_noticed_and_what_is_whole_stays_readable() {
    let rounds: u64 = std::env::var("RCM_DAMAGE").map_or(1, |n| n.parse().unwrap());
    let (project, [day1, day2, day3]) = three_days();
    let kinds =
        ["_rcm/publishes/00000000000000000002", "_rcm/publishes/00000000000000000001", "_rcm/intents/", "_rcm/state/"];
    let (mut refused, mut went_on) = (0, 0);
    for (round, kind) in (0..rounds).flat_map(|round| kinds.iter().map(move |kind| (round, *kind))) {
        for cuts in [false, true] {
            let mut dice = Dice(round * 31 + kind.len() as u64 + u64::from(cuts));
            let temp = tempfile::tempdir().unwrap();
            copy(&project.dir, temp.path());
            let project = Project::at(temp);
            let files: Vec<String> = walk(&project.path("lake")).into_iter().filter(|f| f.starts_with(kind)).collect();
            let file = format!("lake/{}", files[dice.below(files.len())]);
            let mut bytes = std::fs::read(project.path(&file)).unwrap();
            match cuts {
                true => bytes.truncate(dice.below(bytes.len())),
                false => {
                    let at = dice.below(bytes.len());
                    bytes[at] ^= 1 << dice.below(8);
                }
            }
            project.write(&file, bytes);
            let what = format!("{file}, cut off: {cuts}, round {round}");

            let newest_is_whole = !kind.ends_with("02");
            let status = project.run(&["status"]);
            assert_eq!(silver(&project), if newest_is_whole { &day2[..] } else { &day1[..] }, "{what}");
            if !newest_is_whole {
                assert!(status.code == 0 && status.stdout.contains("damaged    "), "{what}: {}", status.stdout);
            }
            let run = project.run(&["run", "--as-of", DAY3]);
            match run.code {
                0 => {
                    assert_eq!(silver(&project), day3, "{what}");
                    went_on += 1;
                }
                1 => {
                    assert!(run.stderr.contains("damaged"), "{what}: {}", run.stderr);
                    assert!(!run.stderr.contains("panicked"), "{what}: {}", run.stderr);
                    assert_eq!(silver(&project), if newest_is_whole { &day2[..] } else { &day1[..] }, "{what}");
                    refused += 1;
                }
                other => panic!("{what}: exit {other}: {}", run.stderr),
            }
        }
    }
    println!("{refused} refused, {went_on} went on with the rows of a clean run");
    assert!(refused > 0 && went_on > 0);
}
