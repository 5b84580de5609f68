//! Rows of one hospital, mapped to the common model and checked: every bad row with every reason.
//!
//! `cargo ex quarantine` prints the reasons by row. Nothing here touches a file, a clock or a network.

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use chrono::{DateTime, Duration, Utc};
use rcm_core::model::table;
use rcm_transforms::conform::conform;
use rcm_transforms::mapping::{ColumnMapping, TableMapping};
use rcm_transforms::quarantine::{Limits, check};
use std::error::Error;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    // As landed: all text, the source's own names, the word NULL for nothing.
    let text = |cells: [&str; 4]| Arc::new(StringArray::from(cells.to_vec())) as ArrayRef;
    let landed = RecordBatch::try_from_iter([
        ("ID", text(["P1", "P2", "", "P4"])),
        ("F_Name", text(["Ada", "NULL", "Cleo", "Dot"])),
        ("L_Name", text(["Quill", "Brook", "Fenn", "Marsh"])),
        ("DOB", text(["1961-02-03", "1875-01-01", "1990-13-40", "1984-05-06"])),
        ("Updated_Date", text(["2026-06-01"; 4])),
    ])?;
    // A mapping is a file in a project; here it is typed in.
    let columns = [
        ("patient_id", "ID"),
        ("first_name", "F_Name"),
        ("last_name", "L_Name"),
        ("date_of_birth", "DOB"),
        ("modified_date", "Updated_Date"),
    ];
    let columns = columns.map(|(model, source)| (model.to_owned(), ColumnMapping::Name(source.to_owned())));
    let mapping =
        TableMapping { source: "dbo.patients".to_owned(), columns: columns.into(), ..TableMapping::default() };

    let patients = table("patients").ok_or("a table of the common model")?;
    let as_of: DateTime<Utc> = "2026-06-30T00:00:00Z".parse()?;
    let conformed = conform(patients, &mapping, &["NULL".to_owned()], "hos-a", &landed)?;
    let limits = Limits { as_of, grace: Duration::days(1), incremental: true, off: Default::default() };
    let checked = check(patients, &conformed, &limits);

    for (row, reasons) in &checked.bad {
        println!("row {}:", row + 1);
        for reason in reasons {
            println!("  {reason}");
        }
    }
    assert_eq!(checked.clean, [0, 3]);
    let second: Vec<String> = checked.bad[&1].iter().map(ToString::to_string).collect();
    assert_eq!(second, ["P1 first_name: is missing", "G5 date_of_birth: is before 1900"]);
    assert_eq!(checked.bad[&2].len(), 2);
    Ok(())
}
