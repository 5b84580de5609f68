//! The laws of a feed.

use arrow::array::{Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::DataType;
use rcm_scd2::{Error, InitialValidFrom, Outcome, RefusalCode, Refused, Rule, Spec, State, apply, as_of_join, rewind};

use crate::draw::{self, Case};
use crate::engine::merge_apply;
use crate::laws::{Step, same_counts};
use crate::layout::{DAY, Style};
use crate::oracle::feed::{Events, at};
use crate::oracle::{Bad, Key, Mode, Row, Version};
use crate::random::Random;
use crate::tally::Tally;

pub(crate) fn run(case: &Case, loads: &[draw::Events], random: &mut Random, tally: &mut Tally) {
    let plan = &case.plan;
    let spec = case.spec();
    let (mut state, mut events) = (State::new(), Events::default());
    let mut typed = false;
    for load in loads {
        let before = case.rearranged(&state, random);
        let was = case.layout.versions(plan, &before.history);
        let (with, bad) = events.with(plan, &load.rows);
        let style = Style::random(random, typed && !was.is_empty());
        let packed = case.pack_events(&load.rows, &load.absent, &style, random);
        let merged = merge_apply(&spec, &before, &packed);
        if !case.layout.quarantine && bad.iter().any(Option::is_some) {
            let error = merged.unwrap_err();
            case.in_parts(&spec, &before, &packed, Err(&error), random, tally);
            refused(&load.rows, &bad, error);
            tally.saw("refused loads");
            continue;
        }
        let (merged, after) = merged.unwrap();
        check_refused(&load.rows, &bad, &merged.refused);
        let is = case.versions(&after);
        assert_eq!(is, with.history(plan), "the oracle");
        let rows = &load.rows;
        let step = Step { case, spec: &spec, rows, bad: &bad, merged: &merged, after: &after, was: &was, is: &is };
        step.check(tally);
        step.effects();
        step.canonical(tally);
        step.untouched(|key| load.rows.iter().any(|row| row.key == *key), tally);
        let newest = |key: &Key| events.of(key).map(Row::valid).max();
        let not_after = |key: &Key| load.rows.iter().any(|row| row.key == *key && Some(row.valid()) <= newest(key));
        step.closed_stay(not_after, tally);
        if !load.rows.iter().any(|row| not_after(&row.key)) {
            step.fast_path(tally);
        }
        step.outcomes_of_keys(|key| events.of(key).next().is_some(), tally);
        lateness(&step, &events, tally);
        situations(&step, &events, tally);

        let mut shuffled = load.rows.clone();
        random.shuffle(&mut shuffled);
        let other = case.pack_events(&shuffled, &load.absent, &Style::random(random, false), random);
        let (again, replayed) = merge_apply(&spec, &after, &other).unwrap();
        assert!(again.is_nothing(), "L3: a replay does something: {again:?}");
        assert_eq!(replayed.history.iter().map(RecordBatch::num_rows).sum::<usize>(), is.len(), "L3");
        tally.saw_if(!load.rows.is_empty(), "L3 replay");
        if random.one_in(3) {
            step.threads(&before, &packed, tally);
            let (arranged, table) = merge_apply(&spec, &case.rearranged(&before, random), &other).unwrap();
            assert_eq!(case.versions(&table), is, "L15");
            same_counts(&arranged, &merged);
            case.in_parts(&spec, &before, &packed, Ok((&merged, &is)), random, tally);
            case.in_parts(&spec, &after, &other, Ok((&again, &is)), random, tally);
            tally.saw_if(load.rows.len() > 1, "L15 arrangement");
        }
        typed |= load.absent.iter().all(|absent| !absent) && !load.rows.is_empty();
        (state, events) = (after, with);
    }
    naive(case, &spec, &state, &events, random, tally);
    if plan.initial != InitialValidFrom::EpochFirstLoad {
        in_any_order(case, &spec, &events, random, tally);
        in_buckets(case, &spec, loads, &case.versions(&state), random, tally);
    }
    if plan.initial == InitialValidFrom::Natural {
        rewound(case, &spec, &state, &events, random, tally);
    }
}

/// The error names the bad rows.
pub(crate) fn refused(rows: &[Row], bad: &[Option<Bad>], error: Error) {
    match error {
        Error::BadRows { rows: refused, .. } => check_refused(rows, bad, &refused),
        other => panic!("not refused for its bad rows: {other:?}"),
    }
}

pub(crate) fn check_refused(rows: &[Row], bad: &[Option<Bad>], refused: &[Refused]) {
    let positions: Vec<usize> = (0..bad.len()).filter(|row| bad[*row].is_some()).collect();
    assert_eq!(refused.iter().map(|refused| refused.row).collect::<Vec<_>>(), positions, "refused rows");
    for Refused { row, code } in refused {
        let expected = match bad[*row] {
            // A row without key and sequence has two faults: either will do.
            Some(Bad::NullKey) if rows[*row].sequence.contains(&None) => continue,
            Some(Bad::NullKey) => RefusalCode::NullKey,
            Some(Bad::NullSequence) => RefusalCode::NullSequence,
            _ => RefusalCode::Conflict,
        };
        assert_eq!(*code, expected, "row {row}");
    }
}

/// Late is what comes before the newest observation stored of its key.
fn lateness(step: &Step, events: &Events, tally: &mut Tally) {
    for (row, outcome) in step.rows.iter().zip(&step.merged.outcomes) {
        let behind = events.of(&row.key).any(|stored| stored.valid() > row.valid());
        match outcome {
            Outcome::Late => assert!(behind, "{row:?} is not late"),
            Outcome::Changed => assert!(!behind, "{row:?} is late"),
            _ => {}
        }
        tally.saw_if(*outcome == Outcome::Late, "late events");
    }
}

fn situations(step: &Step, before: &Events, tally: &mut Tally) {
    let plan = &step.case.plan;
    tally.count("conflicts", step.bad.iter().filter(|bad| **bad == Some(Bad::Conflict)).count());
    tally.count("null keys and sequences", step.bad.iter().flatten().filter(|bad| **bad != Bad::Conflict).count());
    let good = step.rows.iter().zip(step.bad).filter(|(_, bad)| bad.is_none()).map(|(row, _)| row);
    for row in good {
        let beside = |stored: &&Row| stored.valid() == row.valid() && stored.sequence < row.sequence;
        tally.saw_if(before.of(&row.key).any(|stored| beside(&stored)), "corrections by a further sequence");
        tally.saw_if(row.delete && before.of(&row.key).next().is_none(), "deletes of unknown keys");
        let ignored = |column: usize| matches!(&plan.mode, Mode::Feed { ignore_nulls } if ignore_nulls[column]);
        let carries = (0..row.cells.len()).any(|column| row.cells[column] == 0 && ignored(column));
        tally.saw_if(carries && !row.delete, "ignored nulls");
    }
    ends(step.is, tally);
}

/// Deletes and revivals that a table shows.
pub(crate) fn ends(versions: &[Version], tally: &mut Tally) {
    for (at, version) in versions.iter().enumerate() {
        let next = versions.get(at + 1).filter(|next| next.key == version.key);
        let gap = version.to.is_some() && next.is_none_or(|next| Some(next.from) != version.to);
        tally.saw_if(gap || version.deleted, "deletes");
        tally.saw_if(next.is_some() && (gap || version.deleted), "revivals");
        tally.saw_if(version.deleted, "markers");
        tally.saw_if(version.from == 0, "versions from the epoch");
    }
}

/// L6 and L8: the last event at or before an instant; and the join that answers the same question for facts.
fn naive(case: &Case, spec: &Spec, state: &State, events: &Events, random: &mut Random, tally: &mut Tally) {
    let plan = &case.plan;
    let versions = case.layout.versions(plan, &state.history);
    let mut facts: Vec<(Key, i64)> = Vec::new();
    for (key, counting) in events.counting() {
        let from = counting[0].valid();
        for instant in (-3..8).map(|day| day * DAY).filter(|instant| *instant >= from) {
            let found = versions.iter().find(|version| version.key == *key && version.covers(instant));
            let found = found.filter(|version| !version.deleted);
            let said = at(plan, &counting, instant);
            let tracked = |cells: &[u32]| plan.by(Rule::Track).map(|column| cells[column]).collect::<Vec<_>>();
            assert_eq!(
                found.map(|version| tracked(&version.cells)),
                said.as_ref().map(|cells| tracked(cells)),
                "L6: {key:?} at {instant}"
            );
            tally.saw("L6 as of");
        }
        let current = versions.iter().find(|version| version.key == *key && version.is_live());
        assert_eq!(current.map(|version| version.cells.clone()), at(plan, &counting, i64::MAX), "L8: {key:?}");
        tally.saw("L8 type 1");
        if !key.contains(&0) {
            facts.extend((0..2).map(|_| (key.clone(), random.within(-3, 9) * DAY)));
        }
    }
    join(case, spec, state, &versions, &facts, random, tally);
}

pub(crate) fn join(
    case: &Case,
    spec: &Spec,
    state: &State,
    versions: &[Version],
    facts: &[(Key, i64)],
    random: &mut Random,
    tally: &mut Tally,
) {
    if facts.is_empty() || case.plan.marker {
        return;
    }
    let keys: Vec<Key> = facts.iter().map(|(key, _)| key.clone()).collect();
    let mut columns = case.layout.key_batches(&keys, random)[0].columns().to_vec();
    let instants = TimestampMicrosecondArray::from_iter_values(facts.iter().map(|(_, at)| *at)).with_timezone("UTC");
    columns.push(std::sync::Arc::new(instants));
    let names = ["first", "second", "instant"];
    let named = names[..case.layout.keys].iter().chain(&names[2..]).zip(columns);
    let batch = RecordBatch::try_from_iter_with_nullable(named.map(|(name, column)| (*name, column, true))).unwrap();
    let found = as_of_join(spec, &state.history, &[batch], &names[..case.layout.keys], "instant").unwrap();
    assert_eq!(found.data_type(), &DataType::UInt64);
    let positions: Vec<Option<u64>> = found.iter().collect();
    let covers = |key: &Key, at: i64| versions.iter().position(|version| version.key == *key && version.covers(at));
    let expected: Vec<Option<u64>> = facts.iter().map(|(key, at)| covers(key, *at).map(|row| row as u64)).collect();
    assert_eq!(positions, expected, "as-of join");
    tally.saw("L6 as-of join");
}

/// One row for each event that can be accepted in every split.
fn consistent(events: &Events) -> Vec<Row> {
    let mut rows: Vec<Row> = events.iter().cloned().collect();
    rows.dedup_by(|next, row| next.key == row.key && next.sequence == row.sequence && next.delete == row.delete);
    rows
}

fn feed_all(case: &Case, spec: &Spec, mut state: State, rows: &[Row], random: &mut Random) -> State {
    let mut rows = rows.to_vec();
    let repeated: Vec<Row> = rows.iter().filter(|_| random.one_in(6)).cloned().collect();
    rows.extend(repeated);
    random.shuffle(&mut rows);
    let absent = vec![false; case.plan.rules.len()];
    while !rows.is_empty() {
        let rest = rows.split_off(random.below(rows.len()) + 1);
        let packed = case.pack_events(&rows, &absent, &Style::random(random, false), random);
        state = merge_apply(spec, &case.rearranged(&state, random), &packed).unwrap().1;
        rows = rest;
    }
    state
}

/// L4.
fn in_any_order(case: &Case, spec: &Spec, events: &Events, random: &mut Random, tally: &mut Tally) {
    let rows = consistent(events);
    let expected = Events::default().with(&case.plan, &rows).0.history(&case.plan);
    for _ in 0..2 {
        let state = feed_all(case, spec, State::new(), &rows, random);
        assert_eq!(case.versions(&state), expected, "L4: events {rows:?}");
        tally.saw_if(rows.len() > 2, "L4 order");
    }
}

/// L14, of a feed exactly: as if nothing at or after the instant had been observed.
fn rewound(case: &Case, spec: &Spec, state: &State, events: &Events, random: &mut Random, tally: &mut Tally) {
    let to = random.within(-1, 6) * DAY;
    let merged = rewind(spec, state, to).unwrap();
    let back = apply(state, &merged).unwrap();
    assert_eq!(case.versions(&back), events.before(to).history(&case.plan), "L14: rewound to {to}");
    let mut rows = consistent(events);
    rows.retain(|row| row.valid() >= to);
    let again = feed_all(case, spec, back, &rows, random);
    assert_eq!(case.versions(&again), case.versions(state), "L14: rewound to {to} and applied again");
    tally.saw_if(!rows.is_empty(), "L14 rewind");
}

/// L15 for buckets: all loads, bucket by bucket.
fn in_buckets(
    case: &Case,
    spec: &Spec,
    loads: &[draw::Events],
    expected: &[Version],
    random: &mut Random,
    tally: &mut Tally,
) {
    let count = 1 + random.below(3) as u32;
    let mut states = vec![State::new(); count as usize];
    let mut events = Events::default();
    for load in loads {
        let (with, bad) = events.with(&case.plan, &load.rows);
        if !case.layout.quarantine && bad.iter().any(Option::is_some) {
            continue;
        }
        events = with;
        let buckets = case.bucket(load.rows.iter().map(|row| &row.key), count);
        for (bucket, state) in (0..count).zip(&mut states) {
            let mine = load.rows.iter().zip(&buckets).filter(|(_, other)| **other == bucket);
            let rows: Vec<Row> = mine.map(|(row, _)| row.clone()).collect();
            let packed = case.pack_events(&rows, &load.absent, &Style::random(random, false), random);
            *state = merge_apply(spec, state, &packed).unwrap().1;
        }
    }
    let mut versions: Vec<Version> = states.iter().flat_map(|state| case.versions(state)).collect();
    versions.sort();
    assert_eq!(versions, expected, "L15: {count} buckets");
    tally.saw_if(count > 1 && !expected.is_empty(), "L15 buckets");
}
