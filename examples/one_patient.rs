//! One patient in memory: a feed of observations, one of which arrives late and is spliced in.
//!
//! Run it with `cargo ex one_patient`. You see the timeline before and after the late observation: Lyon, which first
//! reached to the move to Paris, ends where the stay in Dijon begins.

use std::error::Error;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch, StringArray};
use arrow::compute::{concat_batches, sort_to_indices, take_record_batch};
use arrow::util::pretty::pretty_format_batches;
use rcm_scd2::{Load, Outcome, Spec, State, apply, merge, verify};

/// Days since the epoch.
const JAN_1_2024: i32 = 19_723;

/// What hospital A tells: (day of 2024, city, phone).
fn observations(rows: &[(i32, &str, &str)]) -> Result<RecordBatch, Box<dyn Error>> {
    let day = rows.iter().map(|(day, ..)| JAN_1_2024 + day);
    Ok(RecordBatch::try_from_iter([
        ("patient_id", Arc::new(StringArray::from_iter_values(rows.iter().map(|_| "hos-a:1042"))) as ArrayRef),
        ("modified_on", Arc::new(Date32Array::from_iter_values(day))),
        ("city", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)))),
        ("phone", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2)))),
    ])?)
}

/// The table in order of time, printed and returned.
#[allow(clippy::print_stdout)] // an example shows what it does
fn show(title: &str, state: &State) -> Result<String, Box<dyn Error>> {
    let history = concat_batches(&state.history[0].schema(), &state.history)?;
    let order = sort_to_indices(&history["valid_from"], None, None)?;
    let timeline = pretty_format_batches(&[take_record_batch(&history, &order)?])?.to_string();
    println!("{title}\n{timeline}\n");
    Ok(timeline)
}

fn main() -> Result<(), Box<dyn Error>> {
    // A new city opens a version; a new phone number only updates the version at hand.
    let spec = Spec::feed(["patient_id"], ["modified_on"]).track(["city"]).latest_in_run(["phone"]).build()?;

    // A feed carries its own times, so it needs no `as_of`.
    let rows = [observations(&[(0, "Lyon", "01"), (40, "Lyon", "02"), (90, "Paris", "02")])?];
    let first = merge(&spec, &State::new(), &Load::new(&rows, 0))?;
    assert_eq!(first.opens.num_rows(), 2, "three observations, two cities");
    let state = apply(&State::new(), &first)?;
    show("As first told:", &state)?;

    // Hidden state keeps what the versions cannot show: the second observation, which opened none, is why Lyon comes
    // back after Dijon.
    let rows = [observations(&[(20, "Dijon", "01")])?];
    let late = merge(&spec, &state, &Load::new(&rows, 0))?;
    assert_eq!(late.outcomes, [Outcome::Late]);
    let state = apply(&state, &late)?;
    let timeline = show("After the late observation of January 21:", &state)?;
    let expected = "\
+------------+-------+-------+----------------------+----------------------+------------+
| patient_id | city  | phone | valid_from           | valid_to             | is_current |
+------------+-------+-------+----------------------+----------------------+------------+
| hos-a:1042 | Lyon  | 01    | 2024-01-01T00:00:00Z | 2024-01-21T00:00:00Z | false      |
| hos-a:1042 | Dijon | 01    | 2024-01-21T00:00:00Z | 2024-02-10T00:00:00Z | false      |
| hos-a:1042 | Lyon  | 02    | 2024-02-10T00:00:00Z | 2024-03-31T00:00:00Z | false      |
| hos-a:1042 | Paris | 02    | 2024-03-31T00:00:00Z |                      | true       |
+------------+-------+-------+----------------------+----------------------+------------+";
    assert_eq!(timeline, expected);
    verify(&spec, &state.history)?;

    // The same observation again changes nothing.
    let again = merge(&spec, &state, &Load::new(&rows, 0))?;
    assert!(again.is_nothing());
    Ok(())
}
