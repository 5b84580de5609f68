//! The slow, obvious way: small integers for cells, the whole history recomputed from all observations for each load.
//!
//! Cells are equal when their numbers are and 0 is null, so NaN, -0.0 and encodings play no part here.
//!
//! Where the specification leaves a choice open, this is what is decided here.
//!
//! 1. *Columns absent from a feed batch* are NULL in it under every rule, type 1 columns included: "left alone" would
//!    need a mark per event, or order would matter. In a snapshot they are left alone.
//! 2. *Epoch* stretches the first version of a key only if no delete of the key precedes it: a delete says that the
//!    key was known and gone. A version that starts before 1970 starts at its own time.
//! 3. *First load* (EpochFirstLoad) is the first that is accepted.
//! 4. *Conflicts in a feed* are judged from the greatest further sequence down. Rows that are set aside do not count,
//!    so what they would have beaten counts. They are compared as they were written, before nulls are ignored. What is
//!    beaten by a stored event or by one of the load is no conflict.
//! 5. *A delete of a key without a version*, and one of a key that is deleted, opens no marker.
//! 6. *A delete flagged in a snapshot* takes effect at `as_of`, whatever its sequence.
//! 7. *A revived key* opens in Sequence detection whether or not its sequence moved.
//! 8. *Detection by sequence, not moved*: all columns of the row are ignored, type 1 columns too.
//! 9. *A snapshot is in the ledger* of each scope value it has rows of, refused and withheld ones with a whole key
//!    included, and of each it is complete for. One that is complete for everything is a snapshot of every scope
//!    value, those included that are not known yet.
//! 10. *Withheld keys* make a scope value complete only where the load says "present".
//! 11. *A snapshot's null sequence* is a bad row whose key is known, so the key counts as withheld.
//! 12. *Rows of a withheld key* are not applied, so they do not contradict each other.
//! 13. *A snapshot's upsert and delete of one key* are no conflict at one sequence (the delete counts); two sequences
//!     are one, deletes included.
//! 14. *What is spliced* is whole: nothing withheld, refused, absent or incomplete. It replaces the snapshot of its
//!     instant. A type 1 column has the value of the newest snapshot by `as_of`, not by arrival. (What a snapshot
//!     overwrote there is not remembered when it is replaced itself.)
//! 15. *A rewound feed* is that of the events before the instant in every column. A rewound snapshot table is only in
//!     the tracked ones: the older untracked values are gone until the snapshots are applied again.
//! 16. *A new version* has NULL in a column absent from the whole snapshot, but the key's value in a type 1 column.

pub(crate) mod feed;
pub(crate) mod snapshot;

use rcm_scd2::{Detect, InitialValidFrom, Late, Rule};

/// Equal numbers, equal cells; 0 is null.
pub(crate) type Cell = u32;
pub(crate) type Key = Vec<Cell>;

/// A row of a load.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) key: Key,
    /// Of a feed: valid time, further sequences. Of a snapshot: none, or one.
    pub(crate) sequence: Vec<Option<i64>>,
    pub(crate) delete: bool,
    /// By [`Plan::rules`].
    pub(crate) cells: Vec<Cell>,
}

/// A row of history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) key: Key,
    pub(crate) from: i64,
    pub(crate) to: Option<i64>,
    pub(crate) deleted: bool,
    pub(crate) cells: Vec<Cell>,
    /// The stored sequence of a snapshot.
    pub(crate) sequence: Option<i64>,
}

/// A spec, as far as the oracle needs it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) rules: Vec<Rule>,
    pub(crate) mode: Mode,
    pub(crate) marker: bool,
    pub(crate) null_keys_as_value: bool,
    pub(crate) initial: InitialValidFrom,
}

#[derive(Clone, Debug)]
pub(crate) enum Mode {
    Feed {
        /// By [`Plan::rules`]: whether a null means "as before".
        ignore_nulls: Vec<bool>,
    },
    Snapshot {
        detect: Option<Detect>,
        absence: bool,
        /// The positions of the scope columns among the keys, and all values there are.
        scope: Vec<usize>,
        scopes: Vec<Key>,
        late: Late,
    },
}

/// What a feed or a timeline of snapshots makes of the rows of a load that are bad by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    NullKey,
    NullSequence,
    Conflict,
}

impl Plan {
    pub(crate) fn by(&self, rule: Rule) -> impl Iterator<Item = usize> {
        (0..self.rules.len()).filter(move |column| self.rules[*column] == rule)
    }

    pub(crate) fn has(&self, rule: Rule) -> bool {
        self.rules.contains(&rule)
    }

    fn bad_alone(&self, row: &Row) -> Option<Bad> {
        match row {
            row if !self.null_keys_as_value && row.key.contains(&0) => Some(Bad::NullKey),
            row if row.sequence.contains(&None) => Some(Bad::NullSequence),
            _ => None,
        }
    }

    fn stretched(&self, natural: i64, first_load: bool) -> i64 {
        match self.initial {
            InitialValidFrom::Epoch => natural.min(0),
            InitialValidFrom::EpochFirstLoad if first_load => natural.min(0),
            _ => natural,
        }
    }

    /// Ends the open version of a key, if it is live.
    fn end(&self, versions: &mut Vec<Version>, at: i64) {
        let Some(open) = versions.last_mut().filter(|last| last.is_live()) else { return };
        open.to = Some(at);
        if self.marker {
            let marker = Version { from: at, to: None, deleted: true, ..open.clone() };
            versions.push(marker);
        }
    }

    /// The tracked cells alone, for where the others may differ.
    pub(crate) fn tracked(&self, version: &Version) -> Version {
        let mut version = version.clone();
        for column in (0..self.rules.len()).filter(|column| self.rules[*column] != Rule::Track) {
            version.cells[column] = 0;
        }
        version
    }
}

impl Version {
    /// Open, and no marker.
    pub(crate) fn is_live(&self) -> bool {
        self.to.is_none() && !self.deleted
    }

    pub(crate) fn covers(&self, at: i64) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }
}
