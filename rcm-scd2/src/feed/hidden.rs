//! Hidden state of a feed: what its visible rows cannot carry.
//!
//! A row has the key, the valid time (`_at`), its kind, the further sequences, the untracked columns, and where nulls are
//! ignored the names of tracked columns that show a value the event did not bring (`_unauthored`). It never has a
//! tracked value: that of an event is shown by the version that covers it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema};

use super::{Changes, Event, Feed};
use crate::cells::{At, Column};
use crate::gather::gather;
use crate::history::Row;
use crate::index::Index;
use crate::opens::instant;
use crate::space::Space;
use crate::spec::{InitialValidFrom, METADATA};
use crate::{Error, Fault, Patch};

pub(crate) const HIDDEN: &str = "hidden";
const AT: &str = "_at";
const KIND: &str = "_kind";
const UNAUTHORED: &str = "_unauthored";

/// An upsert that opened no version.
pub(super) const INNER: u8 = 0;
/// One that did, and of which the version does not show all.
pub(super) const OPENER: u8 = 1;
/// A delete.
pub(super) const DELETE: u8 = 2;
/// The key was in the first load: its first version starts at the epoch.
pub(super) const FIRST: u8 = 3;
/// The key was inferred; since when.
pub(super) const MEMBER: u8 = 4;

/// A row to be added.
#[derive(Debug)]
pub(crate) struct Hidden {
    pub(crate) key: At,
    pub(crate) at: i64,
    pub(crate) kind: u8,
    pub(crate) further: At,
    pub(crate) rest: At,
    /// Names of columns, escaped, with tabs between.
    pub(crate) bits: String,
}

impl Hidden {
    pub(super) fn of(event: &Event) -> Self {
        let Event { at, tracked, rest, further, .. } = *event;
        Hidden { key: tracked, at, kind: INNER, further, rest, bits: String::new() }
    }

    /// An inferred member.
    pub(crate) fn member(key: At, at: i64) -> Self {
        Hidden { key, at, kind: MEMBER, further: At::NOWHERE, rest: At::NOWHERE, bits: String::new() }
    }
}

/// The columns of hidden state that the engine names.
pub(super) struct Columns {
    at: Column,
    kind: Column,
    bits: Column,
}

impl Columns {
    pub(super) fn of(space: &Space, section: usize) -> Result<Self, Error> {
        let typed = |name: &str, needed: &[usize], expected: DataType| {
            let column = space.column(name, needed)?;
            if column.data_type == expected || column.data_type == DataType::Null {
                return Ok(column);
            }
            let (found, expected) = (column.data_type, expected.to_string());
            Err(Error::ColumnType { place: HIDDEN, column: name.to_owned(), found, expected })
        };
        Ok(Columns {
            at: typed(AT, &[section], instant())?,
            kind: typed(KIND, &[section], DataType::UInt8)?,
            bits: typed(UNAUTHORED, &[], DataType::Utf8)?,
        })
    }

    pub(super) fn is_member(&self, at: At) -> bool {
        self.kind.value(at) == Some(&[MEMBER])
    }
}

impl Feed<'_> {
    pub(crate) fn hidden_instant(&self, at: At) -> Result<i64, Error> {
        match self.marks.at.value(at) {
            Some(_) => Ok(self.marks.at.micros(at).unwrap_or_default()),
            None => Err(Error::BrokenHidden { row: self.hidden.position(at), fault: Fault::NullSequence }),
        }
    }

    pub(super) fn hidden_kind(&self, at: At) -> u8 {
        self.marks.kind.value(at).and_then(<[u8]>::first).copied().unwrap_or(u8::MAX)
    }

    pub(super) fn bits(&self, record: At) -> Option<&[u8]> {
        self.marks.bits.value(record)
    }

    /// Whether the event did not bring the tracked cell that its version shows.
    pub(super) fn is_unauthored(&self, event: &Event, column: usize) -> bool {
        let Some((record, _)) = event.hidden else { return false };
        let names = self.bits(record).unwrap_or_default();
        !names.is_empty() && names.split(|byte| *byte == b'\t').any(|name| *name == *self.escaped[column].as_bytes())
    }

    /// Hidden rows that a late horizon makes superfluous: of a key that this merge does not touch, those of which nothing
    /// is asked any more, since no event can come before the watermark.
    pub(super) fn superfluous(&self, watermark: i64, touched: &Index) -> Result<Vec<usize>, Error> {
        let touched: HashSet<At> = touched.find_all(self.hidden).into_iter().map(|(_, at)| at).collect();
        let index = Index::build(&self.keys, &[], &[self.hidden], 0, &|_| true);
        let reps = index.rep_of_rows();
        let mut members: HashSet<u32> = HashSet::new();
        let (mut upserts, mut deletes) = (Vec::new(), Vec::new());
        for (row, at) in self.hidden.all().enumerate().filter(|(_, at)| !touched.contains(at)) {
            let instant = self.hidden_instant(at)?;
            match self.hidden_kind(at) {
                MEMBER => drop(members.insert(reps[row])),
                INNER | OPENER if instant < watermark => upserts.push((reps[row], instant, row, at)),
                DELETE => deletes.push((reps[row], instant, row)),
                _ => {}
            }
        }
        let mut superfluous = self.shadowed(&index, upserts);
        // The first delete of a key may say that its first version does not start where an anchor would have it.
        deletes.sort_unstable();
        for of_key in deletes.chunk_by(|a, b| a.0 == b.0) {
            let natural = self.spec.initial == InitialValidFrom::Natural && !members.contains(&of_key[0].0);
            let gone = of_key.iter().filter(|(_, instant, _)| *instant < watermark);
            superfluous.extend(gone.skip(usize::from(!natural)).map(|(.., row)| *row));
        }
        Ok(superfluous)
    }

    /// Of upserts below the watermark (the first row of their key, instant, row, place) those that later ones repeat: all
    /// but the last of a key; where a null shows an earlier value, all that bring nothing but what later ones of the
    /// same version bring too.
    fn shadowed(&self, index: &Index, mut upserts: Vec<(u32, i64, usize, At)>) -> Vec<usize> {
        let untracked = self.slots.iter().zip(&self.ignoring).filter(|(slot, _)| !slot.tracked);
        let carried: Vec<&Column> = untracked.filter_map(|(_, column)| Some(&self.columns[(*column)?])).collect();
        let mut versions: HashMap<u32, Vec<Row>> = HashMap::new();
        if !carried.is_empty() {
            for (rep, at) in index.find_all(self.history) {
                versions.entry(rep).or_default().push(self.intervals.row(at));
            }
        }
        let version = |rep: &u32, instant: i64| {
            let rows = versions.get(rep).into_iter().flatten();
            rows.filter(|row| row.covers(instant)).map(|row| row.from).max()
        };
        upserts.sort_unstable();
        let mut gone = Vec::new();
        for of_key in upserts.chunk_by(|a, b| a.0 == b.0) {
            let (mut last, mut brought) = (None, vec![false; carried.len()]);
            for (number, (rep, instant, row, at)) in of_key.iter().rev().enumerate() {
                let version = version(rep, *instant);
                if number > 0 && version != last {
                    brought.fill(false);
                }
                // Without its own row an opener would bring what its version shows, of whichever event that is.
                let opener = self.hidden_kind(*at) == OPENER;
                let mut shadowed = number > 0;
                for (column, brought) in carried.iter().zip(&mut brought) {
                    shadowed &= *brought || !opener && column.is_null(*at);
                    *brought |= !column.is_null(*at);
                }
                gone.extend(shadowed.then_some(*row));
                last = version;
            }
        }
        gone
    }

    pub(crate) fn hidden_patch(&self, changes: &mut Changes) -> Result<Patch, Error> {
        changes.hidden_removes.sort_unstable();
        let rows = &changes.hidden_adds;
        let valued = |row: &Hidden| matches!(row.kind, INNER | OPENER);
        let mut fields = Vec::new();
        let mut columns: Vec<ArrayRef> = Vec::new();
        let mut add = |name: &str, array: ArrayRef, nullable: bool| {
            fields.push(Field::new(name, array.data_type().clone(), nullable));
            columns.push(array);
        };
        for key in &self.keys {
            add(&key.name, gather(key, rows.iter().map(|row| row.key))?, self.spec.null_keys_as_value);
        }
        let at = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.at));
        add(AT, Arc::new(at.with_timezone("UTC")), false);
        add(KIND, Arc::new(UInt8Array::from_iter_values(rows.iter().map(|row| row.kind))), false);
        for further in &self.further {
            let known = |row: &Hidden| if row.kind <= DELETE { row.further } else { At::NOWHERE };
            add(&further.name, gather(further, rows.iter().map(known))?, true);
        }
        for (column, slot) in self.columns.iter().zip(&self.slot_of) {
            if !self.slots[*slot].tracked {
                let value = |row: &Hidden| if valued(row) { row.rest } else { At::NOWHERE };
                add(&column.name, gather(column, rows.iter().map(value))?, true);
            }
        }
        if !self.ignoring_tracked.is_empty() {
            let names = rows.iter().map(|row| Some(row.bits.as_str()).filter(|names| !names.is_empty()));
            add(UNAUTHORED, Arc::new(names.collect::<StringArray>()), true);
        }
        let metadata = HashMap::from([(METADATA.to_owned(), self.spec.recorded())]);
        let adds = RecordBatch::try_new(Arc::new(Schema::new(fields).with_metadata(metadata)), columns)?;
        Ok(Patch { removes: std::mem::take(&mut changes.hidden_removes), adds })
    }
}
