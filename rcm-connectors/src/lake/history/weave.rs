//! Rows of a table out of what the engine says, and why there are none.

use arrow::array::RecordBatch;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use rcm_core::Problem;
use rcm_scd2::Merged;
use std::sync::Arc;

/// How what the engine says becomes rows of a table, which may have columns of its own.
pub trait Weave: Sync {
    /// A row of what stands in rows that a load closes, beside their end. Default: nothing.
    ///
    /// # Errors
    /// Those of Arrow.
    fn closed(&self) -> Result<RecordBatch, ArrowError> {
        Ok(RecordBatch::new_empty(Arc::new(Schema::empty())))
    }

    /// The rows that a merge opens, in the columns of the table; `withdrawn` are those that it withdraws. Default: the
    /// engine's columns, for a table that has no others.
    ///
    /// # Errors
    /// Those of Arrow: a column that is missing, or cannot be cast.
    fn opens(&self, columns: &SchemaRef, _withdrawn: &RecordBatch, merged: &Merged) -> Result<RecordBatch, ArrowError> {
        let column = |field: &Arc<Field>| {
            let column = merged.opens.column(merged.opens.schema_ref().index_of(field.name())?);
            cast_with_options(column, field.data_type(), &CastOptions { safe: false, ..CastOptions::default() })
        };
        RecordBatch::try_new(columns.clone(), columns.fields().iter().map(column).collect::<Result<_, _>>()?)
    }
}

/// A table whose columns are the engine's.
#[derive(Debug, Clone, Copy, Default)]
pub struct EngineColumns;

impl Weave for EngineColumns {}

/// Why a load did not enter history.
#[derive(Debug)]
pub enum MergeError {
    /// The engine refuses it.
    Engine(rcm_scd2::Error),
    /// Files cannot be read or written.
    Storage(Problem),
}

impl std::fmt::Display for MergeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MergeError::Engine(error) => error.fmt(f),
            MergeError::Storage(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for MergeError {}

impl From<rcm_scd2::Error> for MergeError {
    fn from(error: rcm_scd2::Error) -> Self {
        MergeError::Engine(error)
    }
}

impl From<Problem> for MergeError {
    fn from(problem: Problem) -> Self {
        MergeError::Storage(problem)
    }
}

/// What is asked of a [`Weave`] once a load.
pub(super) struct Weaving<'a> {
    pub(super) closed: RecordBatch,
    pub(super) by: &'a dyn Weave,
}
