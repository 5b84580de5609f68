//! History tables in buckets: whatever is loaded, in whatever order, all rows are those of one merge without buckets.

use crate::wait;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use chrono::DateTime;
use rcm_connectors::lake::{BUCKET_ROWS, EngineColumns, HistoryTable, Lake, Loaded, MergeError, TableFiles, WriteMode};
use rcm_connectors::parquet::{Encoded, decode};
use rcm_core::Class;
use rcm_scd2::{Absence, Complete, Error, FeedBuilder, Late, Load, Spec, State, VALID_FROM, apply, merge};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) const TABLE: &str = "silver/history";

/// Keys `0..n` with one value each.
pub(crate) fn rows(keys: impl Iterator<Item = i64>, value: impl Fn(i64) -> i64) -> RecordBatch {
    let keys: Vec<i64> = keys.collect();
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(keys.iter().map(|key| format!("PAT-{key}"))));
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(keys.iter().map(|key| value(*key))));
    RecordBatch::try_from_iter([("id", ids), ("value", values)]).unwrap()
}

pub(crate) fn events(rows: &RecordBatch, at: i64) -> RecordBatch {
    let times = arrow::array::TimestampMicrosecondArray::from(vec![at; rows.num_rows()]).with_timezone("UTC");
    let mut columns: Vec<(&str, ArrayRef)> = vec![("at", Arc::new(times))];
    columns.extend([("id", rows.column(0).clone()), ("value", rows.column(1).clone())]);
    RecordBatch::try_from_iter(columns).unwrap()
}

/// A table in a lake, and the same without buckets.
pub(crate) struct Twin {
    pub(crate) folder: tempfile::TempDir,
    spec: Spec,
    pub(crate) table: HistoryTable,
    pub(crate) whole: State,
    pool: rayon::ThreadPool,
}

impl Twin {
    pub(crate) fn new(spec: Spec, first: &Load<'_>) -> Self {
        let columns: SchemaRef = merge(&spec, &State::new(), first).unwrap().opens.schema();
        let table =
            HistoryTable { name: TABLE.to_owned(), keys: vec!["id".to_owned()], columns, mode: WriteMode::Copy };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        Twin { folder: tempfile::tempdir().unwrap(), spec, table, whole: State::new(), pool }
    }

    pub(crate) fn lake(&self) -> Lake {
        Lake::local(&self.folder.path().join("lake")).unwrap()
    }

    pub(crate) fn try_load(&self, load: &Load<'_>) -> Result<Loaded, MergeError> {
        let now = DateTime::from_timestamp(1, 0).unwrap();
        wait(self.lake().load(&self.table, &self.spec, load, &EngineColumns, now, &self.pool))
    }

    /// Loads into both, and compares.
    pub(crate) fn load(&mut self, load: &Load<'_>) -> Loaded {
        let loaded = self.try_load(load).unwrap();
        let merged = merge(&self.spec, &self.whole, load).unwrap();
        let summary = loaded.summary.as_ref().unwrap();
        assert_eq!((&summary.counts, &summary.outcomes), (&merged.counts, &merged.outcomes));
        self.whole = apply(&self.whole, &merged).unwrap();
        self.compare();
        loaded
    }

    pub(crate) fn compare(&self) {
        let (lake, files) = (self.lake(), self.table_files());
        let kept = wait(lake.read_table(TABLE, &files, &self.table.columns)).unwrap();
        assert_eq!(lines(&[kept]), lines(&self.whole.history));
    }

    /// The live files of the newest publish.
    pub(crate) fn table_files(&self) -> TableFiles {
        let lake = self.lake();
        let version = wait(lake.newest()).unwrap().unwrap().tables[TABLE].version;
        wait(lake.table_files(TABLE, version)).unwrap()
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let read = |path: String| {
            let bytes = std::fs::read(self.folder.path().join("lake").join(TABLE).join(&path)).unwrap();
            (path, bytes)
        };
        self.table_files().files.into_iter().map(|file| read(file.path)).collect()
    }

    fn buckets(&self) -> Vec<String> {
        self.files().into_iter().map(|(path, _)| path.split_once('/').unwrap().0.to_owned()).collect()
    }

    fn parts(&self) -> Vec<String> {
        let newest = wait(self.lake().newest()).unwrap().unwrap();
        newest.tables[TABLE].state.keys().cloned().collect()
    }
}

/// Id, value, from, to, and whether it is current.
type Line = (String, Option<i64>, i64, Option<i64>, bool);

/// All rows, sorted.
fn lines(batches: &[RecordBatch]) -> Vec<Line> {
    let mut lines = Vec::new();
    for batch in batches {
        let micros = |name: &str| batch[name].as_primitive::<TimestampMicrosecondType>().clone();
        let (from, to) = (micros(VALID_FROM), micros("valid_to"));
        let (id, value) =
            (batch["id"].as_string::<i32>(), batch["value"].as_primitive::<arrow::datatypes::Int64Type>());
        let current: &BooleanArray = batch["is_current"].as_boolean();
        for row in 0..batch.num_rows() {
            let end = to.is_valid(row).then(|| to.value(row));
            let value = value.is_valid(row).then(|| value.value(row));
            lines.push((id.value(row).to_owned(), value, from.value(row), end, current.value(row)));
        }
    }
    lines.sort();
    lines
}

pub(crate) fn snapshot() -> Spec {
    Spec::snapshot(["id"]).track(["value"]).build().unwrap()
}

#[test]
fn a_small_load_touches_its_buckets_and_no_other() {
    let n = BUCKET_ROWS as i64 * 2;
    let all = [rows(0..n, |key| key % 7)];
    let first = Load::new(&all, 1);
    let mut twin = Twin::new(snapshot(), &first);
    twin.load(&first);
    assert_eq!(twin.buckets(), ["2-0", "2-1", "2-2", "2-3"]);

    let few = [rows(5..6, |_| 100)];
    let before = twin.files();
    let loaded = twin.load(&Load::new(&few, 2));
    assert_eq!((loaded.files_before, loaded.files_written), (4, 1));
    let after = twin.files();
    let others = |files: &[(String, Vec<u8>)]| files.iter().filter(|file| before.contains(file)).count();
    assert_eq!((others(&after), after.len()), (3, 4));
    // The rows that were there are copied as they lay: only their ends are encoded again.
    let (_, bytes) = after.iter().find(|file| !before.contains(file)).unwrap();
    let groups = Encoded::open(bytes.clone().into()).unwrap().groups();
    assert_eq!(groups, 2);

    assert_eq!(twin.load(&Load::new(&few, 2)).publish, None, "what was loaded before is no publish");
    assert_eq!(twin.load(&Load::new(&[rows(5..6, |_| 100)], 3)).files_written, 0, "the ledger alone");
}

#[test]
fn a_bucket_that_grows_too_big_is_split_and_the_others_stay() {
    let n = BUCKET_ROWS as i64 / 4 * 3;
    let all = [rows(0..n, |key| key)];
    let first = Load::new(&all, 1);
    let mut twin = Twin::new(snapshot(), &first);
    twin.load(&first);
    assert_eq!(twin.buckets(), ["0-0"]);
    // Every row gets another version: one and a half times what a bucket holds.
    let changed = [rows(0..n, |key| key + 1)];
    twin.load(&Load::new(&changed, 2));
    assert_eq!(twin.buckets(), ["1-0", "1-1"]);
    // The newest of one half: it is split again, the other is not touched.
    let ids: ArrayRef = changed[0].column(0).clone();
    let halves = rcm_scd2::buckets(&[ids], 2).unwrap();
    let upper: Vec<i64> = (0..n).filter(|key| halves.value(*key as usize) == 1).collect();
    for (as_of, more) in [(3, 2), (4, 3)] {
        let again = [rows(upper.iter().copied(), |key| key + more)];
        twin.load(&Load::new(&again, as_of));
    }
    assert_eq!(twin.buckets(), ["1-0", "2-2", "2-3"]);
}

#[test]
fn row_groups_are_put_together_before_there_are_many() {
    let all = [rows(0..50, |key| key)];
    let first = Load::new(&all, 1);
    let mut twin = Twin::new(snapshot(), &first);
    twin.load(&first);
    let mut most = 0;
    for day in 2..20 {
        let one = [rows(day..day + 3, |key| key + 100 * day)];
        twin.load(&Load::new(&one, day));
        most = most.max(Encoded::open(twin.files()[0].1.clone().into()).unwrap().groups());
    }
    assert_eq!(most, 8);
}

#[test]
fn absence_closes_in_every_bucket_and_a_late_snapshot_is_spliced_over_all() {
    let n = BUCKET_ROWS as i64;
    let spec = Spec::snapshot(["id"]).track(["value"]).deletes(Absence::close()).late(Late::Apply).build().unwrap();
    let all = [rows(0..n, |key| key)];
    let first = Load::new(&all, 10);
    let mut twin = Twin::new(spec, &first);
    twin.load(&first);
    assert_eq!(twin.buckets().len(), 2);
    let most = [rows((0..n).filter(|key| key % 1000 != 0), |key| key)];
    let loaded = twin.load(&Load { complete: Complete::Everything, ..Load::new(&most, 20) });
    assert_eq!((loaded.files_written, loaded.summary.unwrap().counts.closed_by_absence), (2, n as u64 / 1000 + 1));
    let between = [rows((0..n).filter(|key| key % 500 != 0), |key| key + i64::from(key % 300 == 0))];
    twin.load(&Load::new(&between, 15));
}

#[test]
fn what_no_row_shows_is_kept_by_bucket() {
    let n = BUCKET_ROWS as i64;
    let spec = Spec::feed(["id"], ["at"]).track(["value"]).build().unwrap();
    let day = |values: fn(i64) -> i64, at: i64| events(&rows(0..n, values), at);
    let first = [day(|key| key, 10)];
    let mut twin = Twin::new(spec, &Load::new(&first, 0));
    twin.load(&Load::new(&first, 0));
    assert_eq!(twin.parts(), ["spec"], "nothing is hidden yet");
    // The same values later: no version, but an observation.
    twin.load(&Load::new(&[day(|key| key, 20)], 0));
    assert_eq!(twin.parts(), ["hidden/1-0", "hidden/1-1", "spec"]);
    // In between another value: the version after it starts at the hidden observation.
    let late = [events(&rows(7..8, |_| -1), 15)];
    let loaded = twin.load(&Load::new(&late, 0));
    assert_eq!(loaded.files_written, 1);
    // A hidden part that grows too big splits its bucket, as rows do.
    for at in [30, 40] {
        twin.load(&Load::new(&[day(|key| key, at)], 0));
    }
    assert!(twin.buckets().iter().all(|bucket| bucket.starts_with("2-")), "{:?}", twin.buckets());
}

#[test]
fn files_that_lie_elsewhere_are_cut_into_buckets_again() {
    let all = [rows(0..1000, |key| key)];
    let first = Load::new(&all, 1);
    let mut twin = Twin::new(snapshot(), &first);
    twin.load(&first);
    // Somebody's OPTIMIZE: the same rows in a file of its own, at the root of the table.
    let root = twin.folder.path().join("lake").join(TABLE);
    let (path, _) = &twin.files()[0];
    std::fs::copy(root.join(path), root.join("part-0.parquet")).unwrap();
    let size = root.join("part-0.parquet").metadata().unwrap().len();
    let actions = [
        format!(r#"{{"remove":{{"path":"{path}","deletionTimestamp":1,"dataChange":false}}}}"#),
        format!(
            r#"{{"add":{{"path":"part-0.parquet","partitionValues":{{}},"size":{size},"modificationTime":1,"dataChange":false}}}}"#
        ),
    ];
    std::fs::write(root.join("_delta_log/00000000000000000001.json"), actions.join("\n")).unwrap();
    twin.load(&Load::new(&[rows(3..5, |_| -1)], 2));
    assert_eq!(twin.buckets(), ["0-0"]);
}

#[test]
fn history_of_another_tool_is_imported_once() {
    let all = [rows(0..BUCKET_ROWS as i64 * 2, |key| key)];
    let first = Load::new(&all, 1);
    let mut twin = Twin::new(snapshot(), &first);
    let made = apply(&State::new(), &merge(&twin.spec, &State::new(), &first).unwrap()).unwrap();
    twin.whole = State::from_history(made.history);
    let now = DateTime::from_timestamp(1, 0).unwrap();
    let import = |twin: &Twin| wait(twin.lake().import(&twin.table, &twin.whole.history, now, &twin.pool));
    assert_eq!(import(&twin).unwrap().files_written, 4);
    twin.compare();
    assert!(import(&twin).unwrap_err().to_string().contains("holds rows already"));
    twin.load(&Load::new(&[rows(9..10, |_| 0)], 2));
}

#[test]
fn what_the_engine_refuses_publishes_nothing() {
    let all = [rows(0..10, |key| key)];
    let first = Load::new(&all, 1);
    let spec = Spec::snapshot(["id"]).track(["value"]).deletes(Absence::close().max_ratio(0.5)).build().unwrap();
    let mut twin = Twin::new(spec, &first);
    twin.load(&first);
    let few = [rows(0..2, |key| key)];
    let refused = twin.try_load(&Load::new(&few, 2)).unwrap_err();
    assert!(matches!(refused, MergeError::Engine(Error::TooManyDeletes { absent: 8, live: 10, .. })), "{refused}");
    assert_eq!(wait(twin.lake().newest()).unwrap().unwrap().publish, 1);
    twin.compare();

    let lease = twin.lake();
    let _held = wait(lease.lease()).unwrap();
    match twin.try_load(&Load::new(&all, 3)).unwrap_err() {
        MergeError::Storage(problem) => assert_eq!(problem.class, Class::Busy),
        other => panic!("{other}"),
    }
}

#[test]
fn a_load_of_many_batches_is_one_load() {
    let parts: Vec<RecordBatch> = (0..50).map(|n| rows(n * 10..n * 10 + 10, |key| key)).collect();
    let first = Load::new(&parts, 1);
    let mut twin = Twin::new(snapshot(), &first);
    twin.load(&first);
    let whole = concat_batches(&parts[0].schema(), &parts).unwrap();
    let loaded = twin.load(&Load::new(&[whole], 2));
    assert_eq!(loaded.summary.unwrap().counts.no_op, 500);
    assert_eq!(twin.buckets().into_iter().collect::<BTreeSet<_>>().len(), 1);
}

#[test]
fn replays_of_a_batch_are_one_version_whatever_came_in_between() {
    let spec = Spec::feed(["id"], ["at"]).track(["value"]).build().unwrap();
    let batch = |key: i64, at: i64| [events(&rows(key..key + 5, |key| key + at), at)];
    let first = batch(0, 20);
    let mut twin = Twin::new(spec, &Load::new(&first, 0));
    twin.load(&Load::new(&first, 0));
    for (between, publish) in [(batch(3, 30), 2), (batch(1, 10), 3)] {
        twin.load(&Load::new(&between, 0));
        for _ in 0..10 {
            assert_eq!(twin.load(&Load::new(&first, 0)).publish, None);
        }
        assert_eq!(wait(twin.lake().newest()).unwrap().unwrap().publish, publish);
    }
}

/// Keys of some type, and text.
fn typed(ids: ArrayRef, word: &str) -> [RecordBatch; 1] {
    let words: ArrayRef = Arc::new(StringArray::from(vec![word; ids.len()]));
    [RecordBatch::try_from_iter([("id", ids), ("value", words)]).unwrap()]
}

#[test]
fn a_key_is_found_in_its_bucket_whatever_the_type_that_it_comes_in() {
    let n = BUCKET_ROWS as i64 * 2;
    let all = typed(Arc::new(Int64Array::from_iter_values(0..n)), "old");
    let mut twin = Twin::new(snapshot(), &Load::new(&all, 1));
    assert_eq!(twin.try_load(&Load::new(&all, 1)).unwrap().files_written, 4);
    let some = typed(Arc::new(UInt32Array::from_iter_values(7..107)), "new");
    let counts = twin.try_load(&Load::new(&some, 2)).unwrap().summary.unwrap().counts;
    assert_eq!((counts.changed, counts.new), (100, 0));

    twin.table.keys = vec!["value".to_owned()];
    let refused = twin.try_load(&Load::new(&some, 3)).unwrap_err().to_string();
    assert!(refused.contains("its key is value, the load's is id"), "{refused}");
}

#[test]
fn a_changed_spec_is_noticed_in_every_bucket() {
    let spec = |rule: fn(FeedBuilder) -> FeedBuilder| rule(Spec::feed(["id"], ["at"])).build().unwrap();
    let first = [events(&rows(0..10, |key| key), 10)];
    let mut twin = Twin::new(spec(|feed| feed.track(["value"])), &Load::new(&first, 0));
    twin.load(&Load::new(&first, 0));
    twin.spec = spec(|feed| feed.latest_in_run(["value"]));
    let refused = twin.try_load(&Load::new(&[events(&rows(20..21, |key| key), 20)], 0)).unwrap_err();
    assert!(matches!(refused, MergeError::Engine(Error::SpecDiffers { .. })), "{refused}");
}

#[test]
fn what_is_imported_comes_by_name_and_is_whole() {
    let texts = |cell: &str| Arc::new(StringArray::from(vec![cell; 3])) as ArrayRef;
    let rows = RecordBatch::try_from_iter([("id", texts("a")), ("value", texts("b"))]).unwrap();
    let mut twin = Twin::new(snapshot(), &Load::new(std::slice::from_ref(&rows), 1));
    let made = merge(&twin.spec, &State::new(), &Load::new(&[rows.slice(0, 1)], 1)).unwrap().opens;
    twin.table.columns = made.schema();
    let turned: Vec<usize> = (0..made.num_columns()).rev().collect();
    let now = DateTime::from_timestamp(1, 0).unwrap();
    let import = |rows: RecordBatch| wait(twin.lake().import(&twin.table, &[rows], now, &twin.pool));
    let refused = import(made.project(&turned[1..]).unwrap()).unwrap_err().to_string();
    assert!(refused.contains("other columns than the table"), "{refused}");
    import(made.project(&turned).unwrap()).unwrap();
    let kept = decode(twin.files().remove(0).1.into()).unwrap();
    assert_eq!(kept[0], made);
}
