//! Which snapshots were applied: of each its scope value, its instant, a digest of its content, and whether it was
//! complete. So a repeated load is known as such, however old, and a late one too.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryBuilder, RecordBatch, TimestampMicrosecondArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema};

use crate::cells::{At, Column};
use crate::gather::gather;
use crate::opens::instant;
use crate::snapshot::scopes::Scopes;
use crate::space::Space;
use crate::spec::METADATA;
use crate::{Disposition, Error, Late, Patch, Spec};

pub(crate) const LEDGER: &str = "ledger";
pub(crate) const AS_OF: &str = "_as_of";
const DIGEST: &str = "_digest";
const COMPLETE: &str = "_complete";

/// What the column `_complete` says: not, in this scope value, or in all (then the row has no scope value of its own).
const PARTIAL: u8 = 0;
const WHOLE: u8 = 1;
const EVERYTHING: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    row: usize,
    as_of: i64,
    digest: u128,
    complete: bool,
}

/// What a load says about one scope value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Part {
    /// Whether it says anything.
    pub(crate) touched: bool,
    pub(crate) complete: bool,
    pub(crate) digest: u128,
}

#[derive(Default)]
pub(crate) struct Ledger {
    /// By number of scope.
    scopes: Vec<Vec<Entry>>,
    everything: Vec<Entry>,
}

impl Ledger {
    pub(crate) fn read(space: &Space, section: usize, scopes: &Scopes) -> Result<Self, Error> {
        let rows = space.section(section);
        let mut ledger = Ledger { scopes: vec![Vec::new(); scopes.rows.len()], everything: Vec::new() };
        if rows.rows() == 0 {
            return Ok(ledger);
        }
        let as_of = typed(space, section, AS_OF, instant())?;
        let digest = typed(space, section, DIGEST, DataType::FixedSizeBinary(16))?;
        let complete = typed(space, section, COMPLETE, DataType::UInt8)?;
        let mut scope_of = scopes.reader();
        for (row, at) in rows.all().enumerate() {
            let digest = digest.value(at).and_then(|bytes| bytes.try_into().ok()).map_or(0, u128::from_le_bytes);
            let kind = complete.value(at).and_then(<[u8]>::first).copied().unwrap_or(PARTIAL);
            let as_of = as_of.micros(at).unwrap_or_default();
            let entry = Entry { row, as_of, digest, complete: kind != PARTIAL };
            match kind {
                EVERYTHING => ledger.everything.push(entry),
                _ => ledger.scopes[scope_of(at) as usize].push(entry),
            }
        }
        Ok(ledger)
    }

    /// The entries of a scope value, those of loads that were complete for everything included.
    fn entries(&self, scope: usize) -> impl Iterator<Item = &Entry> + Clone {
        let own = move |as_of: i64| self.scopes[scope].iter().any(|entry| entry.as_of == as_of);
        self.scopes[scope].iter().chain(self.everything.iter().filter(move |entry| !own(entry.as_of)))
    }

    /// The next snapshot of a scope value after an instant.
    pub(crate) fn next(&self, scope: usize, as_of: i64) -> Option<i64> {
        self.entries(scope).map(|entry| entry.as_of).filter(|other| *other > as_of).min()
    }

    /// How a load meets what was applied in a scope value. `Err`: it is late, and refused; the newest instant there.
    pub(crate) fn meet(&self, scope: usize, as_of: i64, part: &Part, late: Late) -> Result<Disposition, i64> {
        meet(self.entries(scope), as_of, part, late)
    }

    /// The same for the scope values that nobody has seen yet.
    pub(crate) fn meet_everything(&self, as_of: i64, late: Late) -> Result<Disposition, i64> {
        meet(self.everything.iter(), as_of, &Part { touched: true, complete: true, digest: 0 }, late)
    }

    /// What a load adds and replaces. `everything`: what it says of unseen scope values, if it says anything.
    pub(crate) fn patch(
        &self,
        spec: &Spec,
        scopes: &Scopes,
        as_of: i64,
        parts: &[(Part, Option<Disposition>)],
        everything: Option<Disposition>,
    ) -> Result<Patch, Error> {
        let takes = |met: Option<Disposition>| matches!(met, Some(Disposition::Applied | Disposition::Spliced));
        let mut removes = Vec::new();
        // Place of the scope value, digest, kind.
        let mut adds: Vec<(At, u128, u8)> = Vec::new();
        let stands = everything.is_some();
        for (scope, (part, _)) in parts.iter().enumerate().filter(|(_, (_, met))| takes(*met)) {
            let old = self.scopes[scope].iter().find(|entry| entry.as_of == as_of);
            removes.extend(old.map(|entry| entry.row));
            // The row for everything stands for those of which there is nothing to say but that.
            if old.is_some() || !stands || part.digest != 0 || !part.complete {
                adds.push((scopes.rows[scope], part.digest, if part.complete { WHOLE } else { PARTIAL }));
            }
        }
        if takes(everything) {
            adds.push((At::NOWHERE, 0, EVERYTHING));
        }
        removes.sort_unstable();
        let adds = entries(spec, scopes, as_of, &adds)?;
        Ok(Patch { removes, adds })
    }
}

/// Entries as a batch: of each the place of its scope value, digest and kind.
fn entries(spec: &Spec, scopes: &Scopes, as_of: i64, entries: &[(At, u128, u8)]) -> Result<RecordBatch, Error> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for column in scopes.columns() {
        fields.push(Field::new(&column.name, column.data_type.clone(), true));
        columns.push(gather(column, entries.iter().map(|(at, ..)| *at))?);
    }
    let mut digests = FixedSizeBinaryBuilder::with_capacity(entries.len(), 16);
    entries.iter().try_for_each(|(_, digest, _)| digests.append_value(digest.to_le_bytes()))?;
    let as_ofs = TimestampMicrosecondArray::from(vec![as_of; entries.len()]).with_timezone("UTC");
    fields.push(Field::new(AS_OF, instant(), false));
    fields.push(Field::new(DIGEST, DataType::FixedSizeBinary(16), false));
    fields.push(Field::new(COMPLETE, DataType::UInt8, false));
    columns.push(Arc::new(as_ofs));
    columns.push(Arc::new(digests.finish()));
    columns.push(Arc::new(UInt8Array::from_iter_values(entries.iter().map(|(.., kind)| *kind))));
    let metadata = HashMap::from([(METADATA.to_owned(), spec.recorded())]);
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields).with_metadata(metadata)), columns)?)
}

/// What the parts of one load enter, as the whole load would.
pub(crate) fn sum(spec: &Spec, as_of: i64, old: &[RecordBatch], parts: Vec<Patch>) -> Result<Patch, Error> {
    let adds: Vec<RecordBatch> = parts.into_iter().map(|part| part.adds).collect();
    // Scope values have the types that the ledger has.
    let space = Space::new(&[(LEDGER, &adds), (LEDGER, old)])?;
    let section = space.section(0);
    let scopes = Scopes::of(space.columns(spec.scope(), &[0])?, &[section]);
    let ledger = Ledger::read(&space, 0, &scopes)?;
    let mut sums = Vec::new();
    for (scope, of_scope) in ledger.scopes.iter().enumerate() {
        let Some(Entry { complete, .. }) = of_scope.first() else { continue };
        let digest = of_scope.iter().fold(0, |sum: u128, entry| sum.wrapping_add(entry.digest));
        sums.push((scopes.rows[scope], digest, if *complete { WHOLE } else { PARTIAL }));
    }
    sums.extend((!ledger.everything.is_empty()).then_some((At::NOWHERE, 0, EVERYTHING)));
    Ok(Patch { removes: Vec::new(), adds: entries(spec, &scopes, as_of, &sums)? })
}

/// Checks what a ledger of snapshots says, before anything is asked of it.
pub(crate) fn check(spec: &Spec, ledger: &[RecordBatch]) -> Result<(), Error> {
    let space = Space::new(&[(LEDGER, ledger)])?;
    let scopes = Scopes::of(space.columns(spec.scope(), &[0])?, &[space.section(0)]);
    Ledger::read(&space, 0, &scopes).map(drop)
}

/// The newest instant of a ledger.
pub(crate) fn newest(ledger: &[RecordBatch]) -> Result<Option<i64>, Error> {
    let space = Space::new(&[(LEDGER, ledger)])?;
    let section = space.section(0);
    if section.rows() == 0 {
        return Ok(None);
    }
    let as_of = typed(&space, 0, AS_OF, instant())?;
    Ok(section.all().filter_map(|at| as_of.micros(at).ok()).max())
}

/// A column of a ledger that has rows: of one type, and without nulls.
fn typed(space: &Space, section: usize, name: &str, expected: DataType) -> Result<Column, Error> {
    let column = space.column(name, &[section])?;
    let fits = match (&column.data_type, &expected) {
        // What a store keeps of a zone is its own affair.
        (DataType::Timestamp(unit, _), DataType::Timestamp(other, _)) => unit == other,
        (found, expected) => found == expected,
    };
    if !fits {
        let (found, expected) = (column.data_type, expected.to_string());
        return Err(Error::ColumnType { place: LEDGER, column: name.to_owned(), found, expected });
    }
    match space.section(section).all().position(|at| column.is_null(at)) {
        Some(row) => Err(Error::BrokenLedger { row, column: name.to_owned() }),
        None => Ok(column),
    }
}

fn meet<'a>(
    entries: impl Iterator<Item = &'a Entry> + Clone,
    as_of: i64,
    part: &Part,
    late: Late,
) -> Result<Disposition, i64> {
    let same = |entry: &Entry| (entry.as_of, entry.digest, entry.complete) == (as_of, part.digest, part.complete);
    if entries.clone().any(same) {
        return Ok(Disposition::Repeated);
    }
    match (entries.map(|entry| entry.as_of).max(), late) {
        (None, _) => Ok(Disposition::Applied),
        (Some(newest), _) if newest < as_of => Ok(Disposition::Applied),
        (_, Late::Apply) => Ok(Disposition::Spliced),
        (_, Late::Skip) => Ok(Disposition::Skipped),
        (Some(newest), Late::Error) => Err(newest),
    }
}

/// Positions of the entries at or after an instant.
pub(crate) fn since(space: &Space, section: usize, to: i64) -> Result<Vec<usize>, Error> {
    let ledger = space.section(section);
    if ledger.rows() == 0 {
        return Ok(Vec::new());
    }
    let as_of = typed(space, section, AS_OF, instant())?;
    let late = |(row, at): (usize, At)| (as_of.micros(at).unwrap_or_default() >= to).then_some(row);
    Ok(ledger.all().enumerate().filter_map(late).collect())
}
