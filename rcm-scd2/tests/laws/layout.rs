//! How the small integers of the oracle look in Arrow: equal cells have several spellings.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, Int8Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use rcm_scd2::{IS_CURRENT, IS_DELETED, VALID_FROM, VALID_TO};

use crate::oracle::{Cell, Key, Plan, Row, Version};
use crate::random::Random;

pub(crate) const DAY: i64 = 86_400_000_000;
/// The key columns; a spec with one key has only the second.
const KEYS: [&str; 2] = ["hospital", "id"];
const HOSPITALS: [&str; 2] = ["", "H1"];
const IDS: [i64; 4] = [-1, 0, 7, 1 << 40];
/// The sequence columns of a feed, and that of a snapshot.
pub(crate) const SEQUENCE: [&str; 3] = ["at", "run", "part"];
pub(crate) const SINCE: &str = "since";
pub(crate) const FLAG: &str = "op";
const PARTS: [&str; 3] = ["", "a", "b"];

const NAMES: [&str; 3] = ["", "Annabel Lee, 1848", "Annabel Lee, 1849"];
/// 320 bytes and one: of long cells each 256 are compared by themselves.
macro_rules! long {
    ($byte:literal) => {
        long!("0123456789012345678901234567890123456789012345678901234567890123", $byte)
    };
    ($part:literal, $byte:literal) => {
        concat!($part, $part, $byte, $part, $part, $part)
    };
}
const PHONES: [&str; 3] = [long!("p"), long!("q"), ""];
const COUNTS: [i64; 3] = [0, 1, -1];

/// The columns with a rule. A spec has some of them, from `turn` on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Column {
    Name,
    Weight,
    Count,
    Phone,
    Active,
}

const COLUMNS: [(&str, Column); 5] = [
    ("name", Column::Name),
    ("weight", Column::Weight),
    ("count", Column::Count),
    ("phone", Column::Phone),
    ("active", Column::Active),
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Flag {
    Bool,
    Int,
    Text,
}

/// What the oracle does not need to know of a spec.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) keys: usize,
    pub(crate) feed: bool,
    /// How many sequence columns there are.
    pub(crate) sequences: usize,
    pub(crate) turn: usize,
    pub(crate) flag: Option<Flag>,
    pub(crate) open_valid_to: Option<i64>,
    pub(crate) quarantine: bool,
}

/// How the batches of one load are written.
#[derive(Clone, Debug)]
pub(crate) struct Style {
    /// Numbers in a narrower type: only where history has the wide one.
    pub(crate) narrow: bool,
    /// The type of a feed's valid time.
    pub(crate) instants: DataType,
}

impl Style {
    pub(crate) fn random(random: &mut Random, narrow: bool) -> Style {
        let instants = match random.below(5) {
            0 => DataType::Date32,
            1 => DataType::Timestamp(TimeUnit::Second, None),
            2 => DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into())),
            _ => micros(),
        };
        Style { narrow: narrow && random.one_in(2), instants }
    }
}

fn micros() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn texts(cells: impl Iterator<Item = Cell>, values: &[&'static str]) -> ArrayRef {
    Arc::new(cells.map(|cell| cell.checked_sub(1).map(|at| values[at as usize])).collect::<StringArray>())
}

fn numbers(cells: impl Iterator<Item = Cell>, values: &[i64]) -> ArrayRef {
    Arc::new(cells.map(|cell| cell.checked_sub(1).map(|at| values[at as usize])).collect::<Int64Array>())
}

impl Layout {
    pub(crate) fn key_names(&self) -> &[&'static str] {
        &KEYS[2 - self.keys..]
    }

    pub(crate) fn sequence_names(&self) -> &[&'static str] {
        if self.feed { &SEQUENCE[..self.sequences] } else { &[SINCE][..self.sequences] }
    }

    /// All keys without nulls.
    pub(crate) fn all_keys(&self) -> Vec<Key> {
        let ids = 1..=IDS.len() as Cell;
        match self.keys {
            1 => ids.map(|id| vec![id]).collect(),
            _ => ids.flat_map(|id| (1..=HOSPITALS.len() as Cell).map(move |hospital| vec![hospital, id])).collect(),
        }
    }

    /// All values of the scope column `hospital`, null first.
    pub(crate) fn all_scopes() -> Vec<Key> {
        (0..=HOSPITALS.len() as Cell).map(|hospital| vec![hospital]).collect()
    }

    pub(crate) fn column_name(&self, column: usize) -> &'static str {
        COLUMNS[(self.turn + column) % COLUMNS.len()].0
    }

    fn column(&self, column: usize) -> Column {
        COLUMNS[(self.turn + column) % COLUMNS.len()].1
    }

    /// How many values a column has, null not counted.
    pub(crate) fn values_of(&self, column: usize) -> usize {
        if self.column(column) == Column::Active { 2 } else { 3 }
    }

    pub(crate) fn key_arrays(&self, keys: &[&Key]) -> Vec<ArrayRef> {
        let id = numbers(keys.iter().map(|key| key[self.keys - 1]), &IDS);
        match self.keys {
            1 => vec![id],
            _ => vec![texts(keys.iter().map(|key| key[0]), &HOSPITALS), id],
        }
    }

    fn cells(&self, column: usize, cells: &[Cell], random: &mut Random) -> ArrayRef {
        let each = cells.iter().copied();
        match self.column(column) {
            Column::Name => texts(each, &NAMES),
            Column::Phone => texts(each, &PHONES),
            Column::Count => numbers(each, &COUNTS),
            Column::Active => {
                Arc::new(each.map(|cell| cell.checked_sub(1).map(|at| at == 1)).collect::<BooleanArray>())
            }
            Column::Weight => {
                let spellings = [[f64::NAN, -f64::NAN], [0.0, -0.0], [1.5, 1.5]];
                let weight = |cell: Cell| cell.checked_sub(1).map(|at| spellings[at as usize][random.below(2)]);
                Arc::new(each.map(weight).collect::<Float64Array>())
            }
        }
    }

    fn sequence(&self, position: usize, rows: &[&Row], style: &Style) -> ArrayRef {
        let values = rows.iter().map(|row| row.sequence[position]);
        match (self.feed, position) {
            (true, 1) => Arc::new(values.collect::<Int64Array>()),
            (true, 2) => texts(values.map(|value| value.map_or(0, |value| value as Cell + 1)), &PARTS),
            (feed, _) => {
                // Without a zone: to tell what `UTC` is, a cast from one would need the database of zones.
                let instants = values.collect::<TimestampMicrosecondArray>();
                match &style.instants {
                    target if feed && *target != micros() => cast(&instants, target).unwrap(),
                    _ => Arc::new(instants.with_timezone("UTC")),
                }
            }
        }
    }

    fn flags(flag: Flag, rows: &[&Row]) -> ArrayRef {
        // What is not a delete is flagged by another value, or by null.
        let spelled = rows.iter().enumerate().map(|(at, row)| if row.delete { 1 } else { 2 * (at % 2) as Cell });
        match flag {
            Flag::Bool => Arc::new(spelled.map(|cell| (cell > 0).then_some(cell == 1)).collect::<BooleanArray>()),
            Flag::Int => numbers(spelled, &[1, 0]),
            Flag::Text => texts(spelled, &["D", "U"]),
        }
    }

    /// The rows as batches: cut, sliced, encoded and their columns ordered at random.
    pub(crate) fn batches(
        &self,
        plan: &Plan,
        rows: &[Row],
        absent: &[bool],
        style: &Style,
        random: &mut Random,
    ) -> Vec<RecordBatch> {
        let columns = (0..plan.rules.len()).filter(|column| !absent[*column]);
        let columns: Vec<usize> = columns.collect();
        cut(rows.len(), random)
            .into_iter()
            .enumerate()
            .map(|(number, (start, len))| {
                let part = &rows[start..start + len];
                let (before, behind) = (random.below(2), random.below(2));
                let pad = |random: &mut Random| part.get(random.below(part.len().max(1))).into_iter();
                let padding: Vec<&Row> = (0..before).flat_map(|_| pad(random)).collect();
                let offset = padding.len();
                let mut all: Vec<&Row> = padding.into_iter().chain(part).collect();
                all.extend((0..behind).flat_map(|_| pad(random)));

                let keys: Vec<&Key> = all.iter().map(|row| &row.key).collect();
                let mut arrays: Vec<(&str, ArrayRef)> =
                    self.key_names().iter().copied().zip(self.key_arrays(&keys)).collect();
                for (position, name) in self.sequence_names().iter().enumerate() {
                    arrays.push((name, self.sequence(position, &all, style)));
                }
                arrays.extend(self.flag.map(|flag| (FLAG, Layout::flags(flag, &all))));
                for column in &columns {
                    let cells: Vec<Cell> = all.iter().map(|row| row.cells[*column]).collect();
                    // Absent from some batches: NULL there.
                    if number > 0 && cells.iter().all(|cell| *cell == 0) && random.one_in(2) {
                        continue;
                    }
                    arrays.push((self.column_name(*column), self.cells(*column, &cells, random)));
                }
                random.shuffle(&mut arrays);
                let written = |(name, array): (&'static str, ArrayRef)| {
                    // The numbers of a feed's sequence are compared with those of hidden state: they stay wide.
                    let narrow = style.narrow && !self.sequence_names().contains(&name);
                    (name, encoded(&array, narrow, random), true)
                };
                let written: Vec<_> = arrays.into_iter().map(written).collect();
                RecordBatch::try_from_iter_with_nullable(written).unwrap().slice(offset, part.len())
            })
            .collect()
    }

    /// Batches of the first key columns (of all, or of the scope).
    pub(crate) fn key_batches(&self, keys: &[Key], random: &mut Random) -> Vec<RecordBatch> {
        let width = keys.first().map_or(self.keys, Vec::len);
        let whole: Vec<Key> =
            keys.iter().map(|key| (0..self.keys).map(|at| *key.get(at).unwrap_or(&0)).collect()).collect();
        let arrays = self.key_arrays(&whole.iter().collect::<Vec<_>>());
        let named = self.key_names().iter().zip(arrays).take(width);
        let columns = named.map(|(name, array)| (*name, encoded(&array, false, random), true));
        vec![RecordBatch::try_from_iter_with_nullable(columns.collect::<Vec<_>>()).unwrap()]
    }

    /// History as the oracle has it, in the order in which it lies in the table.
    pub(crate) fn versions(&self, plan: &Plan, history: &[RecordBatch]) -> Vec<Version> {
        let mut versions = Vec::new();
        for batch in history.iter().filter(|batch| batch.num_rows() > 0) {
            let keys: Vec<Vec<Cell>> = self.key_names().iter().map(|name| key_cells(name, &batch[*name])).collect();
            let cells: Vec<Vec<Cell>> =
                (0..plan.rules.len()).map(|c| read_cells(self.column(c), &batch[self.column_name(c)])).collect();
            let instants = |name: &str| cast(&batch[name], &micros()).unwrap();
            let at = |array: &ArrayRef, row: usize| {
                array.is_valid(row).then(|| array.as_primitive::<TimestampMicrosecondType>().value(row))
            };
            let (from, to) = (instants(VALID_FROM), instants(VALID_TO));
            let sequence = (!self.feed && self.sequences > 0).then(|| instants(SINCE));
            let flag = |name: &str, row: usize| {
                assert!(batch[name].is_valid(row), "`{name}` is null");
                batch[name].as_boolean().value(row)
            };
            for row in 0..batch.num_rows() {
                let to = at(&to, row).filter(|to| self.open_valid_to != Some(*to));
                assert_eq!(flag(IS_CURRENT, row), to.is_none(), "`{IS_CURRENT}`");
                versions.push(Version {
                    key: keys.iter().map(|cells| cells[row]).collect(),
                    from: at(&from, row).unwrap(),
                    to,
                    deleted: plan.marker && flag(IS_DELETED, row),
                    cells: cells.iter().map(|cells| cells[row]).collect(),
                    sequence: sequence.as_ref().and_then(|sequence| at(sequence, row)),
                });
            }
        }
        versions
    }
}

/// Starts and lengths; sometimes an empty part more, sometimes no part for no rows.
fn cut(rows: usize, random: &mut Random) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < rows {
        let len = 1 + random.below(rows - start);
        parts.push((start, len));
        start += len;
    }
    if random.one_in(4) {
        parts.push((start, 0));
    }
    parts
}

fn encoded(array: &ArrayRef, narrow: bool, random: &mut Random) -> ArrayRef {
    let dictionary = |value| DataType::Dictionary(Box::new(DataType::Int8), Box::new(value));
    let target = match (array.data_type(), random.below(6)) {
        (DataType::Utf8, 0) => DataType::LargeUtf8,
        (DataType::Utf8, 1) => DataType::Utf8View,
        (DataType::Utf8, 2) => dictionary(DataType::LargeUtf8),
        (DataType::Utf8, 3) => return null_in_dictionary(array.as_string()),
        (DataType::Int64, _) if narrow && fits(array) => DataType::Int32,
        (DataType::Float64, _) if narrow => DataType::Float32,
        _ => return Arc::clone(array),
    };
    cast(array, &target).unwrap()
}

fn fits(array: &ArrayRef) -> bool {
    array.as_primitive::<Int64Type>().iter().flatten().all(|number| i32::try_from(number).is_ok())
}

/// A dictionary of which one value is null, and used.
fn null_in_dictionary(array: &StringArray) -> ArrayRef {
    let mut values: Vec<Option<&str>> = vec![None];
    values.extend(array.iter().flatten().map(Some));
    let mut used = 0;
    let key = |cell: Option<&str>| {
        cell.map_or(0, |_| {
            used += 1;
            used
        })
    };
    let keys: Int8Array = array.iter().map(key).map(Some).collect();
    Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(values))))
}

fn key_cells(name: &str, array: &ArrayRef) -> Vec<Cell> {
    if name == KEYS[0] { text_cells(array, &HOSPITALS) } else { number_cells(array, &IDS) }
}

fn text_cells(array: &ArrayRef, values: &[&str]) -> Vec<Cell> {
    let array = cast(array, &DataType::Utf8).unwrap();
    let cell = |text: Option<&str>| text.map_or(0, |text| 1 + values.iter().position(|v| *v == text).unwrap() as Cell);
    array.as_string::<i32>().iter().map(cell).collect()
}

fn number_cells(array: &ArrayRef, values: &[i64]) -> Vec<Cell> {
    let array = cast(array, &DataType::Int64).unwrap();
    let cell = |number: Option<i64>| number.map_or(0, |n| 1 + values.iter().position(|v| *v == n).unwrap() as Cell);
    array.as_primitive::<Int64Type>().iter().map(cell).collect()
}

fn read_cells(column: Column, array: &ArrayRef) -> Vec<Cell> {
    match column {
        // A column that no load has had yet.
        _ if array.data_type() == &DataType::Null => vec![0; array.len()],
        Column::Name => text_cells(array, &NAMES),
        Column::Phone => text_cells(array, &PHONES),
        Column::Count => number_cells(array, &COUNTS),
        Column::Active => array.as_boolean().iter().map(|flag| flag.map_or(0, |flag| Cell::from(flag) + 1)).collect(),
        Column::Weight => {
            let array = cast(array, &DataType::Float64).unwrap();
            let cell = |weight: Option<f64>| match weight {
                None => 0,
                Some(weight) if weight.is_nan() => 1,
                Some(0.0) => 2,
                Some(weight) => {
                    assert_eq!(weight, 1.5);
                    3
                }
            };
            array.as_primitive::<Float64Type>().iter().map(cell).collect()
        }
    }
}

/// The rows in another order, cut and encoded anew.
pub(crate) fn rearranged(batches: &[RecordBatch], random: &mut Random) -> Vec<RecordBatch> {
    let mut arranged = Vec::new();
    for batch in batches {
        if batch.num_rows() == 0 {
            // It still says which types are stored.
            arranged.push(batch.clone());
            continue;
        }
        let mut rows: Vec<u64> = (0..batch.num_rows() as u64).collect();
        random.shuffle(&mut rows);
        let batch = take_record_batch(batch, &UInt64Array::from(rows)).unwrap();
        for (start, len) in cut(batch.num_rows(), random) {
            let part = batch.slice(start, len);
            let schema = part.schema();
            let columns = schema.fields().iter().zip(part.columns());
            let columns = columns.map(|(field, array)| (field.name(), encoded(array, false, random), true));
            arranged.push(RecordBatch::try_from_iter_with_nullable(columns.collect::<Vec<_>>()).unwrap());
        }
    }
    random.shuffle(&mut arranged);
    arranged
}
