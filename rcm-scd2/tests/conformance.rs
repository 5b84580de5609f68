//! The conformance corpus: `RCM_SCD2_CASES=folder cargo test -p rcm-scd2 --test conformance -- --nocapture`.
//! Without the variable the cases beside this file are run.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod corpus;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use rcm_scd2::{Absence, BadRows, Load, Rule, Spec, State, When, apply, merge, verify};
use serde_json::Value;

use corpus::{Case, Deletes, Kind, Nulls, Row, files};

#[test]
fn the_corpus_conforms() {
    #[allow(clippy::disallowed_methods, reason = "the corpus is named by whoever runs this program")]
    let named = std::env::var("RCM_SCD2_CASES").ok().map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"));
    let (mut ok, mut failed) = (0, 0);
    for (name, path) in files(&folder) {
        match Case::read(&path).and_then(|case| run(&case)) {
            Ok(()) => {
                println!("ok {name}");
                ok += 1;
            }
            Err(why) => {
                println!("FAIL {name}\n    {}", why.replace('\n', "\n    "));
                failed += 1;
            }
        }
    }
    println!("{ok} ok, {failed} failed");
    assert!(failed == 0 && ok > 0, "{ok} ok, {failed} failed in {}", folder.display());
}

fn run(case: &Case) -> Result<(), String> {
    let spec = spec(case)?;
    let mut state = State::new();
    for (number, load) in (1..).zip(&case.loads) {
        let batches = batches(case, &load.rows)?;
        let merged = merge(&spec, &state, &Load::new(&batches, load.as_of));
        let next = merged.and_then(|merged| apply(&state, &merged));
        let wanted = case.wanted.get(&number);
        let to_be_rejected = wanted.is_some_and(|wanted| wanted.rejected);
        let rejected = next.is_err();
        match next {
            Err(error) if !to_be_rejected => return Err(format!("load {number} is rejected: {error}")),
            Ok(_) if to_be_rejected => return Err(format!("load {number} is not rejected")),
            Ok(next) => state = next,
            Err(_) => {}
        }
        verify(&spec, &state.history).map_err(|error| format!("after load {number}: {error}"))?;
        if let Some(wanted) = wanted {
            compare(case, &state.history, &wanted.rows).map_err(|why| format!("after load {number}:\n{why}"))?;
        }
        if rejected {
            break;
        }
    }
    Ok(())
}

fn spec(case: &Case) -> Result<Spec, String> {
    let by = |rule: Rule| case.rules().into_iter().filter(move |(_, other)| *other == rule).map(|(name, _)| name);
    let policy = if case.quarantine { BadRows::Quarantine } else { BadRows::Error };
    macro_rules! common {
        ($builder:expr) => {{
            let builder = $builder.track(by(Rule::Track)).latest_in_run(by(Rule::LatestInRun));
            let builder = builder.all_versions(by(Rule::AllVersions)).bad_rows(policy).initial_valid_from(case.initial);
            let builder = if case.null_keys_as_value { builder.null_keys_as_value() } else { builder };
            case.open_valid_to.map_or(builder.clone(), |micros| builder.open_valid_to(micros))
        }};
    }
    let when = match &case.deletes {
        Deletes::When { column, equals } => Some(When::new(column, flag(equals)?)),
        _ => None,
    };
    let built = if case.feed {
        if let Some(name) = by(Rule::Keep).next() {
            return Err(format!("config: `untracked: keep` of `{name}` in a change feed"));
        }
        let builder = common!(Spec::feed(&case.keys, &case.sequence));
        let builder = match &case.ignore_nulls {
            Nulls::Count => builder,
            Nulls::Ignore => builder.ignore_nulls(),
            Nulls::IgnoreIn(columns) => builder.ignore_nulls_in(columns),
        };
        when.map_or(builder.clone(), |when| builder.deletes(when)).build()
    } else {
        let builder = common!(Spec::snapshot(&case.keys)).keep(by(Rule::Keep)).late(case.late);
        let builder = case.sequence.iter().fold(builder, |builder, column| builder.sequence(column, case.detect));
        let builder = match &case.deletes {
            Deletes::Invalidate => builder.deletes(Absence::close().within(&case.scope)),
            Deletes::NewRecord => builder.deletes(Absence::marker().within(&case.scope)),
            Deletes::Ignore | Deletes::When { .. } => builder,
        };
        when.map_or(builder.clone(), |when| builder.deletes(when)).build()
    };
    built.map_err(|error| error.to_string())
}

fn flag(value: &Value) -> Result<rcm_scd2::Value, String> {
    match value {
        Value::Bool(flag) => Ok((*flag).into()),
        Value::String(text) => Ok(text.as_str().into()),
        _ => value.as_i64().map(Into::into).ok_or_else(|| format!("config: deletes are flagged by {value}")),
    }
}

/// One batch of the columns that some row has; none without rows.
fn batches(case: &Case, rows: &[Row]) -> Result<Vec<RecordBatch>, String> {
    let there = |name: &str| rows.iter().any(|row| row.contains_key(name));
    let columns = case.columns.iter().filter(|(name, _)| there(name));
    let columns: Vec<_> = columns
        .map(|(name, kind)| {
            let values = rows.iter().map(|row| row.get(name).unwrap_or(&Value::Null));
            Ok((name, array(*kind, values)?, true))
        })
        .collect::<Result<_, String>>()?;
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    RecordBatch::try_from_iter_with_nullable(columns).map(|batch| vec![batch]).map_err(|error| error.to_string())
}

fn array<'a>(kind: Kind, values: impl Iterator<Item = &'a Value>) -> Result<ArrayRef, String> {
    let cells: Vec<Option<String>> = values.map(|value| kind.canonical(value)).collect::<Result<_, _>>()?;
    let texts = || Arc::new(StringArray::from(cells.clone())) as ArrayRef;
    let parsed = |cell: &Option<String>| cell.as_ref().map(|text| text.parse::<i64>().unwrap());
    let whole = || Arc::new(cells.iter().map(parsed).collect::<Int64Array>()) as ArrayRef;
    let to = |array: ArrayRef, target: DataType| cast(&array, &target).map_err(|error| error.to_string());
    match kind {
        Kind::Text => Ok(texts()),
        Kind::Bool => {
            Ok(Arc::new(cells.iter().map(|cell| cell.as_ref().map(|c| c == "true")).collect::<BooleanArray>()))
        }
        Kind::Int(1) => to(whole(), DataType::Int8),
        Kind::Int(2) => to(whole(), DataType::Int16),
        Kind::Int(4) => to(whole(), DataType::Int32),
        Kind::Int(_) => Ok(whole()),
        Kind::Float => {
            let cells = cells.iter().map(|cell| cell.as_ref().map(|text| text.parse::<f64>().unwrap()));
            Ok(Arc::new(cells.collect::<Float64Array>()))
        }
        Kind::Decimal(precision, scale) => to(texts(), DataType::Decimal128(precision, scale)),
        Kind::Date => to(texts(), DataType::Date32),
        Kind::Time => {
            Ok(Arc::new(cells.iter().map(parsed).collect::<TimestampMicrosecondArray>().with_timezone("UTC")))
        }
    }
}

fn compare(case: &Case, history: &[RecordBatch], wanted: &[Row]) -> Result<(), String> {
    let mut shown = Vec::new();
    for batch in history {
        for row in 0..batch.num_rows() {
            let schema = batch.schema();
            let cells = schema.fields().iter().zip(batch.columns()).filter(|(field, _)| case.is_shown(field.name()));
            let cells = cells.filter_map(|(field, column)| Some((field.name().clone(), cell(column, row)?)));
            shown.push(cells.collect::<BTreeMap<_, _>>());
        }
    }
    shown.sort();
    let wanted = case.comparable(wanted)?;
    let lines = |mine: &[BTreeMap<String, String>], theirs: &[BTreeMap<String, String>], sign: &str| {
        let surplus = mine.iter().filter(|row| {
            let times = |rows: &[BTreeMap<String, String>]| rows.iter().filter(|other| other == row).count();
            times(mine) > times(theirs)
        });
        surplus.map(|row| format!("{sign} {row:?}\n")).collect::<String>()
    };
    let difference = lines(&wanted, &shown, "-") + &lines(&shown, &wanted, "+");
    if shown == wanted { Ok(()) } else { Err(difference.trim_end().to_owned()) }
}

/// The canonical text of a cell of history.
fn cell(column: &ArrayRef, row: usize) -> Option<String> {
    let cell = column.slice(row, 1);
    if column.data_type() == &DataType::Null || column.is_null(row) {
        return None;
    }
    let to = |target: &DataType| cast(&cell, target).unwrap();
    Some(match column.data_type() {
        DataType::Boolean => cell.as_boolean().value(0).to_string(),
        kind if kind.is_integer() => to(&DataType::Int64).as_primitive::<Int64Type>().value(0).to_string(),
        kind if kind.is_numeric() => Kind::number(to(&DataType::Float64).as_primitive::<Float64Type>().value(0)),
        DataType::Timestamp(..) => {
            let micros = to(&DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into())));
            micros.as_primitive::<TimestampMicrosecondType>().value(0).to_string()
        }
        _ => to(&DataType::Utf8).as_string::<i32>().value(0).to_owned(),
    })
}
