//! The late horizon of a feed: its ledger is one row with the newest valid time of all events so far.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema};

use crate::ledger::{self, AS_OF};
use crate::opens::instant;
use crate::spec::METADATA;
use crate::{Error, Mode, Patch, RefusalCode, Spec};

pub(super) struct Horizon<'a> {
    spec: &'a Spec,
    micros: Option<i64>,
    newest: Option<i64>,
    rows: usize,
}

impl<'a> Horizon<'a> {
    pub(super) fn of(spec: &'a Spec, ledger: &[RecordBatch]) -> Result<Self, Error> {
        let micros = match spec.mode() {
            Mode::Feed { late_horizon, .. } => *late_horizon,
            Mode::Snapshot { .. } => None,
        };
        let rows = ledger.iter().map(RecordBatch::num_rows).sum();
        Ok(Horizon { spec, micros, newest: ledger::newest(ledger)?, rows })
    }

    pub(super) fn is_set(&self) -> bool {
        self.micros.is_some() && self.newest.is_some()
    }

    pub(super) fn refuses(&self, instant: i64) -> Option<RefusalCode> {
        (instant < self.watermark()?).then_some(RefusalCode::BeyondHorizon)
    }

    pub(super) fn watermark(&self) -> Option<i64> {
        Some(self.newest?.saturating_sub(self.micros?))
    }

    /// The ledger after a load, and the watermark that will hold then.
    pub(super) fn advance(&self, newest: Option<i64>) -> Result<(Patch, Option<i64>), Error> {
        let after = newest.max(self.newest).filter(|_| self.micros.is_some());
        let patch = self.patch(after, after > self.newest || self.rows > 1)?;
        Ok((patch, after.zip(self.micros).map(|(newest, micros)| newest.saturating_sub(micros))))
    }

    /// The ledger where events from an instant on are as if they had not been; the newest of the others.
    pub(super) fn rewind(&self, to: i64, newest: Option<i64>) -> Result<Patch, Error> {
        self.patch(newest, self.newest.is_some_and(|old| old >= to))
    }

    fn patch(&self, newest: Option<i64>, moved: bool) -> Result<Patch, Error> {
        let metadata = HashMap::from([(METADATA.to_owned(), self.spec.recorded())]);
        let schema = Arc::new(Schema::new(vec![Field::new(AS_OF, instant(), false)]).with_metadata(metadata));
        let adds = TimestampMicrosecondArray::from_iter_values(newest.filter(|_| moved)).with_timezone("UTC");
        let removes = if moved { (0..self.rows).collect() } else { Vec::new() };
        Ok(Patch { removes, adds: RecordBatch::try_new(schema, vec![Arc::new(adds)])? })
    }
}
