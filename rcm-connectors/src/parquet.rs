//! Parquet files whose bytes depend on the rows alone: no clock, no host, no path, constant sizes.

mod groups;

pub use groups::{Encoded, Group, write_groups};

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

/// Rows a file at most: a constant, so that the same rows are cut the same way.
pub const FILE_ROWS: usize = 1 << 20;
/// Rows a row group.
pub const GROUP_ROWS: usize = 1 << 17;

/// Encodes batches as one Parquet file. Least and greatest values stand in the footer only for `statistics` columns:
/// a footer is not where a patient's name should be read from.
///
/// ```
/// use arrow::array::{ArrayRef, Int64Array, RecordBatch};
/// use std::sync::Arc;
/// let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
/// let a = rcm_connectors::parquet::encode(&batch.schema(), &[batch.clone()], &[]).unwrap();
/// let halves = [batch.slice(0, 1), batch.slice(1, 1)];
/// assert_eq!(a, rcm_connectors::parquet::encode(&batch.schema(), &halves, &[]).unwrap());
/// assert_eq!(rcm_connectors::parquet::decode(a.into()).unwrap(), [batch]);
/// ```
///
/// What the schema says of itself is kept with it, also where there are no rows:
///
/// ```
/// use arrow::array::RecordBatch;
/// use arrow::datatypes::{DataType, Field, Schema};
/// use std::sync::Arc;
/// let said = [("spec".to_owned(), "1".to_owned())].into();
/// let schema = Arc::new(Schema::new_with_metadata(vec![Field::new("n", DataType::Int64, true)], said));
/// let bytes = rcm_connectors::parquet::encode(&schema, &[], &[]).unwrap();
/// assert_eq!(rcm_connectors::parquet::decode(bytes.into()).unwrap(), [RecordBatch::new_empty(schema)]);
/// ```
///
/// # Errors
/// What the writer refuses: types that Parquet does not have.
pub fn encode(schema: &SchemaRef, batches: &[RecordBatch], statistics: &[&str]) -> Result<Vec<u8>, ParquetError> {
    let mut out = Vec::new();
    let mut writer = writer(&mut out, schema, statistics, false)?;
    // One write a row group: how the caller cut its batches must not show in the pages.
    let whole = arrow::compute::concat_batches(schema, batches)?;
    let mut start = 0;
    while start < whole.num_rows() {
        let n = GROUP_ROWS.min(whole.num_rows() - start);
        writer.write(&whole.slice(start, n))?;
        start += n;
    }
    writer.close()?;
    Ok(out)
}

fn writer<'a>(
    out: &'a mut Vec<u8>,
    schema: &SchemaRef,
    statistics: &[&str],
    without_offsets: bool,
) -> Result<ArrowWriter<&'a mut Vec<u8>>, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_created_by("rcm".to_owned())
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_offset_index_disabled(without_offsets)
        .set_statistics_enabled(EnabledStatistics::None);
    for column in statistics {
        properties = properties.set_column_statistics_enabled(ColumnPath::from(*column), EnabledStatistics::Chunk);
    }
    ArrowWriter::try_new(out, schema.clone(), Some(properties.build()))
}

/// Decodes a Parquet file: at least one batch, so that its columns are told.
///
/// # Errors
/// A file that is no Parquet, or a damaged one.
pub fn decode(bytes: bytes::Bytes) -> Result<Vec<RecordBatch>, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(1 << 16);
    let schema = builder.schema().clone();
    // The reader's own batches come without the schema's metadata.
    let whole = |batch: Result<RecordBatch, ArrowError>| Ok(batch?.with_schema(schema.clone())?);
    let batches = builder.build()?.map(whole).collect::<Result<Vec<_>, ParquetError>>()?;
    Ok(if batches.is_empty() { vec![RecordBatch::new_empty(schema)] } else { batches })
}

/// Decodes some columns of a Parquet file, in its order; at least one batch.
///
/// # Errors
/// As [`decode`].
pub fn decode_columns(bytes: bytes::Bytes, columns: &[&str]) -> Result<Vec<RecordBatch>, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(1 << 16);
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let reader = builder.with_projection(mask).build()?;
    let schema = reader.schema();
    let batches = reader.collect::<Result<Vec<_>, ArrowError>>()?;
    Ok(if batches.is_empty() { vec![RecordBatch::new_empty(schema)] } else { batches })
}

/// Cuts rows into pieces of [`FILE_ROWS`], one a file; no rows, no file.
pub fn cut(batch: &RecordBatch) -> Vec<RecordBatch> {
    (0..batch.num_rows()).step_by(FILE_ROWS).map(|at| batch.slice(at, FILE_ROWS.min(batch.num_rows() - at))).collect()
}

/// Rows in the order of some columns.
///
/// # Errors
/// A column that is not there.
pub fn sorted(batch: &RecordBatch, order: &[&str]) -> Result<RecordBatch, ArrowError> {
    let column = |name: &&str| {
        Ok(SortColumn { values: batch.column(batch.schema_ref().index_of(name)?).clone(), options: None })
    };
    let columns = order.iter().map(column).collect::<Result<Vec<_>, ArrowError>>()?;
    take_record_batch(batch, &lexsort_to_indices(&columns, None)?)
}
