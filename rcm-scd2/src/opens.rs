//! The versions that a merge opens, as a batch.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use rayon::slice::ParallelSliceMut;

use crate::columns::pick;
use crate::rows::Encoded;
use crate::spec::{IS_CURRENT, VALID_FROM, VALID_TO};
use crate::{Error, Spec};

/// A version to open: the observations (by position) that its columns come from, and its interval.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    /// The observation that opens it: its keys and tracked columns.
    pub(crate) first: usize,
    /// The last observation of its run: its latest-in-run columns.
    pub(crate) last: usize,
    pub(crate) from: i64,
    pub(crate) to: Option<i64>,
}

/// The observations that versions are made of.
pub(crate) struct Observed {
    pub(crate) keys: Vec<ArrayRef>,
    pub(crate) tracked: Vec<ArrayRef>,
    pub(crate) latest: Vec<ArrayRef>,
}

impl Observed {
    /// The batch of the opens, sorted by key (`order` holds the encoded keys of the observations) and `valid_from`.
    pub(crate) fn batch(&self, spec: &Spec, order: &Encoded, opens: &[Open]) -> Result<RecordBatch, Error> {
        let mut sorted: Vec<_> = opens.iter().map(|open| (order.get(open.first), open.from, open)).collect();
        sorted.par_sort_unstable_by_key(|(key, from, _)| (*key, *from));
        let opens: Vec<&Open> = sorted.into_iter().map(|(_, _, open)| open).collect();
        let first = || opens.iter().map(|open| open.first);
        let from = TimestampMicrosecondArray::from_iter_values(opens.iter().map(|open| open.from));
        let to: TimestampMicrosecondArray = opens.iter().map(|open| open.to).collect();
        let current: BooleanArray = opens.iter().map(|open| Some(open.to.is_none())).collect();

        let mut columns = pick(&self.keys, first())?;
        columns.extend(pick(&self.tracked, first())?);
        columns.extend(pick(&self.latest, opens.iter().map(|open| open.last))?);
        columns.push(Arc::new(from.with_timezone("UTC")));
        columns.push(Arc::new(to.with_timezone("UTC")));
        columns.push(Arc::new(current));
        Ok(RecordBatch::try_new(Arc::new(self.schema(spec)), columns)?)
    }

    fn schema(&self, spec: &Spec) -> Schema {
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let mut fields = self::fields(spec.keys(), &self.keys, false);
        fields.extend(self::fields(spec.tracked(), &self.tracked, true));
        fields.extend(self::fields(spec.latest_in_run(), &self.latest, true));
        fields.push(Field::new(VALID_FROM, instant.clone(), false));
        fields.push(Field::new(VALID_TO, instant, true));
        fields.push(Field::new(IS_CURRENT, DataType::Boolean, false));
        Schema::new(fields)
    }
}

/// Fields for columns.
pub(crate) fn fields(names: &[String], columns: &[ArrayRef], nullable: bool) -> Vec<Field> {
    let field = |(name, column): (&String, &ArrayRef)| Field::new(name, column.data_type().clone(), nullable);
    names.iter().zip(columns).map(field).collect()
}
