//! Snapshots: the state at an instant, compared with the current rows.
//!
//! The load is indexed, then history streams past it once; what was found is resolved key by key in the order of the load.

mod digest;
pub(crate) mod group;
mod probe;
mod resolve;
pub(crate) mod scopes;

use arrow::array::RecordBatch;

use crate::cells::{At, Column};
use crate::edits::Edits;
use crate::history::{self, Intervals, check_keys};
use crate::incoming::{self, Incoming};
use crate::ledger::{LEDGER, Ledger, Part};
use crate::opens::{Opens, Stored};
use crate::space::{Section, Space};
use crate::spec::{Deletes, IS_INFERRED};
use crate::splice::splice;
use crate::{Complete, Counts, Disposition, Error, Late, Load, Merged, Mode, Patch, Rule, ScopeReport, Spec, State};
use group::Groups;
use probe::Probed;
use scopes::Scopes;

/// Numbers of the sections.
const HISTORY: usize = 0;
pub(crate) const LOAD: usize = 1;
const WITHHELD: usize = 2;
const COMPLETE: usize = 3;
pub(crate) const OLD: usize = 4;

/// All that the parts of a merge read.
pub(crate) struct Snapshot<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) history: &'a Section<'a>,
    pub(crate) load: &'a Section<'a>,
    pub(crate) intervals: Intervals,
    pub(crate) keys: Vec<Column>,
    /// Those of the spec.
    pub(crate) columns: Vec<Column>,
    /// Those of them that the load has, by rule, as far as they are compared; then those that are not, and the sequence.
    pub(crate) tracked: Vec<Column>,
    pub(crate) latest: Vec<Column>,
    pub(crate) all_versions: Vec<Column>,
    rest: Vec<Column>,
    pub(crate) sequence: Option<Column>,
    pub(crate) slots: Slots,
    pub(crate) rows: Incoming,
    pub(crate) as_of: i64,
    first_load: bool,
    absence: bool,
}

/// Where the cells of a version come from. Columns that a load can overwrite in place have slots of their own, and so
/// have type 1 columns that the load lacks: a new version takes their values from the one before.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slots {
    latest: usize,
    all_versions: usize,
    all_versions_absent: usize,
    count: usize,
}

impl Slots {
    /// The places of a version by slot: of what it opened with, of the newest values, of type 1 columns.
    pub(crate) fn places(&self, base: At, latest: At, all_versions: At, absent: At) -> impl Iterator<Item = At> {
        let mut places = [base; 4];
        places[self.all_versions_absent] = absent;
        places[self.all_versions] = all_versions;
        places[self.latest] = latest;
        // The slots that are not there are written first.
        places[0] = base;
        places.into_iter().take(self.count)
    }
}

pub(crate) fn space<'a>(state: &'a State, load: &Load<'a>) -> Result<Space<'a>, Error> {
    let only: &[RecordBatch] = if let Complete::Only(scopes) = load.complete { scopes } else { &[] };
    Space::new(&[
        (history::PLACE, &state.history),
        (incoming::PLACE, load.rows),
        (incoming::WITHHELD, load.withheld),
        ("complete", only),
        (LEDGER, &state.ledger),
    ])
}

pub(crate) fn merge(spec: &Spec, state: &State, load: &Load) -> Result<Merged, Error> {
    incoming::check_record(spec, [&state.hidden, &state.ledger])?;
    incoming::check_load(spec, load)?;
    let space = space(state, load)?;
    let snapshot = Snapshot::of(spec, &space, load.as_of, Incoming::read(spec, &space, LOAD)?)?;
    let withheld = space.section(WITHHELD);
    let (mut groups, index) = Groups::of(&snapshot, withheld)?;
    let is_scope = |key: &&Column| spec.scope().contains(&key.name);
    let scope_columns: Vec<Column> = snapshot.keys.iter().filter(is_scope).cloned().collect();
    let sections = [snapshot.history, snapshot.load, withheld, space.section(COMPLETE), space.section(OLD)];
    let scopes = Scopes::of(scope_columns, &sections);
    let ledger = Ledger::read(&space, OLD, &scopes)?;
    let parts = snapshot.parts(&groups, withheld, &scopes, &space, load.complete);
    let late = if let Mode::Snapshot { late, .. } = spec.mode() { *late } else { Late::Error };
    let met = |(scope, part): (usize, Part)| {
        let met = part.touched.then(|| ledger.meet(scope, load.as_of, &part, late)).transpose();
        met.map(|met| (part, met)).map_err(|latest| (scopes.name(scope), latest))
    };
    let refused = |(scope, latest)| Error::LateSnapshot { scope, as_of: load.as_of, latest };
    let parts = parts.into_iter().enumerate().map(met).collect::<Result<Vec<_>, _>>().map_err(refused)?;
    let everything = load.complete == Complete::Everything && !spec.scope().is_empty();
    let everything = everything.then(|| ledger.meet_everything(load.as_of, late)).transpose();
    let everything = everything.map_err(|latest| refused((None, latest)))?;

    let mut probed = snapshot.probe(&index, &scopes, &parts)?;
    // What is large and no longer needed goes first: fresh memory costs more than what was just given back.
    drop(index);
    let mut outcomes = std::mem::take(&mut groups.outcomes);
    let (mut edits, tally) = snapshot.resolve(&groups, &scopes, &parts, &probed, &mut outcomes)?;
    snapshot.end_absent(&probed, &mut edits)?;
    if parts.iter().any(|(_, met)| *met == Some(Disposition::Spliced)) {
        splice(&snapshot, &groups, withheld, &scopes, &ledger, &parts, &mut edits, &mut outcomes, &mut probed.scopes)?;
    }
    let reports = snapshot.reports(&scopes, &parts, &probed, tally.ended)?;
    let opens = snapshot.stored(&edits.opens).batch(spec, &edits.opens)?;
    let patch = ledger.patch(spec, &scopes, load.as_of, &parts, everything)?;
    let Edits { closes, withdrawals, .. } = edits;
    let merged = Merged::of(closes, withdrawals, opens, Patch::none(), patch, outcomes, groups.refused);
    let counts = Counts {
        ignored: tally.ignored,
        clamped: tally.clamped,
        closed_by_absence: probed.scopes.iter().map(|(_, closed)| closed).sum(),
        ..merged.counts
    };
    let absent_columns = incoming::absent_columns(spec, snapshot.load);
    Ok(Merged { counts, scopes: reports, absent_columns, ..merged })
}

impl<'a> Snapshot<'a> {
    /// `rows`: none where the load is no snapshot.
    pub(crate) fn of(spec: &'a Spec, space: &'a Space<'a>, as_of: i64, rows: Incoming) -> Result<Self, Error> {
        let (history, load) = (space.section(HISTORY), space.section(LOAD));
        let key = |name: &String| {
            let everywhere = [HISTORY, LOAD, WITHHELD, COMPLETE, OLD];
            space.column(name, if spec.scope().contains(name) { &everywhere } else { &everywhere[..3] })
        };
        let keys = spec.keys().iter().map(key).collect::<Result<Vec<_>, _>>()?;
        check_keys(spec, history::PLACE, history, &keys)?;
        let columns = space.columns(spec.columns().iter().map(|(name, _)| name), &[])?;
        let sequence = spec.stored_sequence().first().map(|name| space.column(name, &[HISTORY])).transpose()?;

        let present = |rule: Rule| {
            let columns = columns.iter().zip(spec.columns());
            let of_rule = columns.filter(move |(column, (_, other))| *other == rule && load.has(&column.name));
            of_rule.map(|(column, _)| column.clone()).collect::<Vec<_>>()
        };
        let (latest, all_versions) = (present(Rule::LatestInRun), present(Rule::AllVersions));
        let mut slots = Slots { count: 1, ..Slots::default() };
        let mut slot = |needed: bool| {
            slots.count += usize::from(needed);
            if needed { slots.count - 1 } else { 0 }
        };
        let absent = spec.columns_by(Rule::AllVersions).count() > all_versions.len();
        let [a, b, c] = [slot(!latest.is_empty()), slot(!all_versions.is_empty()), slot(absent)];
        let intervals = Intervals::of(spec, history)?;
        let first_load = space.section(OLD).rows() == 0 && history.all().all(|at| intervals.row(at).inferred);
        let slots = Slots { latest: a, all_versions: b, all_versions_absent: c, ..slots };
        Ok(Snapshot {
            spec,
            history,
            load,
            intervals,
            keys,
            tracked: present(Rule::Track),
            latest,
            all_versions,
            rest: present(Rule::Keep).into_iter().chain(sequence.clone()).collect(),
            columns,
            sequence,
            slots,
            rows,
            as_of,
            first_load,
            absence: matches!(spec.mode(), Mode::Snapshot { deletes: Deletes::Absence(_), .. }),
        })
    }

    pub(crate) fn stored(&self, opens: &Opens) -> Stored<'_> {
        let slot = |column: &&Column| {
            let there = |columns: &[Column]| columns.iter().any(|other| other.name == column.name);
            let rule = self.spec.columns().iter().find(|(name, _)| *name == column.name).map(|(_, rule)| *rule);
            match rule {
                Some(Rule::LatestInRun) if there(&self.latest) => self.slots.latest,
                Some(Rule::AllVersions) if there(&self.all_versions) => self.slots.all_versions,
                Some(Rule::AllVersions) => self.slots.all_versions_absent,
                _ => 0,
            }
        };
        let columns = self.keys.iter().chain(&self.columns).chain(&self.sequence);
        let inferred = self.history.has(IS_INFERRED) || opens.spans.iter().any(|span| span.inferred);
        Stored { columns: columns.map(|column| (column, slot(&column))).collect(), slots: self.slots.count, inferred }
    }

    pub(crate) fn is_tracked(&self, column: &Column) -> bool {
        self.spec.columns_by(Rule::Track).any(|name| *name == column.name)
    }

    /// The groups of columns by which a row of the load is compared with that of history.
    fn compared(&self) -> [&[Column]; 3] {
        [&self.tracked, &self.latest, &self.all_versions]
    }

    /// The columns in which a row of the load says something of its key.
    pub(crate) fn said(&self) -> impl Iterator<Item = &Column> {
        [&self.tracked, &self.latest, &self.all_versions, &self.rest].into_iter().flatten()
    }

    /// A batch for the ledger, without rows.
    pub(crate) fn no_entries(&self) -> Result<RecordBatch, Error> {
        let is_scope = |key: &&Column| self.spec.scope().contains(&key.name);
        let scopes = Scopes::of(self.keys.iter().filter(is_scope).cloned().collect(), &[]);
        Ok(Ledger::default().patch(self.spec, &scopes, self.as_of, &[], None)?.adds)
    }

    fn reports(
        &self,
        scopes: &Scopes,
        parts: &[(Part, Option<Disposition>)],
        probed: &Probed,
        ended: u64,
    ) -> Result<Vec<ScopeReport>, Error> {
        let mut reports = Vec::new();
        for (scope, (_, met)) in parts.iter().enumerate() {
            let Some(disposition) = *met else { continue };
            let (live, closed_by_absence) = probed.scopes[scope];
            if let Some(ratio) = self.spec.max_delete_ratio() {
                let absent = if self.absence { closed_by_absence } else { ended };
                incoming::check_ratio(scopes.name(scope), absent, live, ratio)?;
            }
            reports.push(ScopeReport { value: scopes.text(scope)?, disposition, live, closed_by_absence });
        }
        Ok(reports)
    }
}
