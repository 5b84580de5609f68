//! A refused day costs nothing but the day.

use crate::support::{DAY1, DAY2, DAY3, Project};

#[test]
fn a_day_that_was_refused_and_mended_is_as_if_it_had_come_whole_a_day_later() {
    const PROVIDERS: &str = "landing/emr/hos-a/providers.csv";
    let (refused, later) = (Project::after_day1(), Project::after_day1());
    for project in [&refused, &later] {
        project.deliver_day2();
    }
    let whole = refused.read(PROVIDERS);
    let half: Vec<&str> = whole.lines().take(7).collect();
    refused.write(PROVIDERS, half.join("\n") + "\n");
    let before = (refused.live(), refused.versions(), refused.ok(&["status"]).stdout);

    let said = refused.run(&["run", "--as-of", DAY2]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    let stands = refused.newest().unwrap();
    assert_eq!((stands.publish, stands.as_of.as_str()), (1, DAY1));
    assert_eq!((refused.live(), refused.versions()), (before.0, before.1), "nothing of the day is visible");
    let status = refused.ok(&["status"]).stdout;
    let marks = |status: &str| status.lines().filter(|line| line.starts_with("watermark")).map(str::to_owned).collect();
    let marks: [Vec<String>; 2] = [marks(&before.2), marks(&status)];
    assert_eq!(marks[0], marks[1], "no watermark moved");

    refused.write(PROVIDERS, &whole);
    refused.ok(&["run", "--as-of", DAY3]);
    later.ok(&["run", "--as-of", DAY3]);
    for table in rcm_core::model::TABLES {
        assert_eq!(refused.history(table.name), later.history(table.name), "{}", table.name);
    }
    assert_eq!(refused.live(), later.live(), "to the byte");
    assert_eq!(
        refused.ok(&["status"]).stdout.lines().skip(1).collect::<Vec<_>>(),
        later.ok(&["status"]).stdout.lines().skip(1).collect::<Vec<_>>()
    );
}

#[test]
fn all_or_nothing_publishes_nothing_where_one_load_fails() {
    let project = Project::after_day1();
    project.edit("rcm.toml", "all_or_nothing = false", "all_or_nothing = true");
    project.deliver_day2();
    let before = project.live();
    project.edit("landing/emr/hos-a/patients.csv", ",DOB,", ",Birthday,");
    let said = project.run(&["run", "--as-of", DAY2]);
    assert_eq!(said.code, 4, "{}", said.stderr);
    assert!(said.stderr.contains("run: 1 of 13 loads failed, and [run] all_or_nothing is set"), "{}", said.stderr);
    assert_eq!((project.newest().unwrap().publish, project.live()), (1, before));

    project.deliver_day2();
    project.ok(&["run", "--as-of", DAY2]);
    let clean = Project::after_day1();
    clean.edit("rcm.toml", "all_or_nothing = false", "all_or_nothing = true");
    clean.deliver_day2();
    clean.ok(&["run", "--as-of", DAY2]);
    assert_eq!(project.live(), clean.live());
}
