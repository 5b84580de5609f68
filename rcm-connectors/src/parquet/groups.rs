//! Files that grow by row groups: what does not change of one is copied, not encoded again.

use super::{GROUP_ROWS, writer};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::arrow::arrow_writer::compute_leaves;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use std::sync::Arc;

/// A Parquet file in memory, still encoded.
#[derive(Debug, Clone)]
pub struct Encoded {
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
    /// The same, with text as views.
    viewed: ArrowReaderMetadata,
}

/// A row group of a file that is written.
#[derive(Debug)]
pub enum Group<'a> {
    /// New rows, at most [`GROUP_ROWS`](super::GROUP_ROWS).
    Rows(RecordBatch),
    /// A row group of another file with the same columns; those that are named by position have other cells.
    Copy(&'a Encoded, usize, Vec<(usize, ArrayRef)>),
}

impl Encoded {
    /// Reads the footer.
    ///
    /// # Errors
    /// A file that is no Parquet.
    pub fn open(bytes: Bytes) -> Result<Self, ParquetError> {
        let metadata = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new())?;
        let view = |field: &FieldRef| match field.data_type() {
            DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
            _ => field.clone(),
        };
        let schema = metadata.schema();
        let views =
            Schema::new_with_metadata(schema.fields().iter().map(view).collect::<Fields>(), schema.metadata().clone());
        let options = ArrowReaderOptions::new().with_schema(Arc::new(views));
        let viewed = ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)?;
        Ok(Encoded { bytes, metadata, viewed })
    }

    /// Its columns.
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// How many row groups it has.
    pub fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// How many rows a row group has.
    pub fn rows(&self, group: usize) -> usize {
        usize::try_from(self.metadata.metadata().row_group(group).num_rows()).unwrap_or(0)
    }

    /// The columns that `wanted` names, of one row group, in the file's order.
    ///
    /// ```
    /// use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    /// use rcm_connectors::parquet::{Encoded, Group, write_groups};
    /// use std::sync::Arc;
    ///
    /// let column = |cells: &[i64]| Arc::new(Int64Array::from(cells.to_vec())) as ArrayRef;
    /// let batch = |id: i64| RecordBatch::try_from_iter([("id", column(&[id])), ("end", column(&[0]))]).unwrap();
    /// let schema = batch(1).schema();
    /// let one = Encoded::open(write_groups(&schema, vec![Group::Rows(batch(1))], &[])?.into())?;
    /// // Another end for the first row; its id is not decoded.
    /// let groups = vec![Group::Copy(&one, 0, vec![(1, column(&[9]))]), Group::Rows(batch(2))];
    /// let two = Encoded::open(write_groups(&schema, groups, &[])?.into())?;
    /// let end = |group| two.read_group(group, &|name| name == "end").unwrap();
    /// assert_eq!((end(0).column(0), end(1).column(0)), (&column(&[9]), &column(&[0])));
    /// assert_eq!(two.read_group(0, &|_| true)?.column(0), &column(&[1]));
    /// # Ok::<(), parquet::errors::ParquetError>(())
    /// ```
    ///
    /// # Errors
    /// A damaged file.
    pub fn read_group(&self, group: usize, wanted: &dyn Fn(&str) -> bool) -> Result<RecordBatch, ParquetError> {
        self.one_batch(&self.metadata, group, wanted, None)
    }

    /// The same with text as views, whose bytes are mostly not copied; `rows`: some rows of the group, by their numbers in
    /// it, in order. Of the others nothing is decoded that need not be.
    ///
    /// ```
    /// # use arrow::array::{ArrayRef, RecordBatch, StringArray, StringViewArray};
    /// # use rcm_connectors::parquet::{Encoded, Group, write_groups};
    /// # use std::sync::Arc;
    /// let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d"]));
    /// let rows = RecordBatch::try_from_iter([("id", ids)]).unwrap();
    /// let file = Encoded::open(write_groups(&rows.schema(), vec![Group::Rows(rows)], &[])?.into())?;
    /// let some: ArrayRef = Arc::new(StringViewArray::from(vec!["b", "d"]));
    /// assert_eq!(file.view_group(0, &|_| true, Some(&[1, 3]))?.column(0), &some);
    /// # Ok::<(), parquet::errors::ParquetError>(())
    /// ```
    ///
    /// # Errors
    /// A damaged file.
    pub fn view_group(
        &self,
        group: usize,
        wanted: &dyn Fn(&str) -> bool,
        rows: Option<&[usize]>,
    ) -> Result<RecordBatch, ParquetError> {
        let ranges = rows.map(|rows| rows.iter().map(|row| *row..row + 1));
        let selection = ranges.map(|ranges| RowSelection::from_consecutive_ranges(ranges, self.rows(group)));
        self.one_batch(&self.viewed, group, wanted, selection)
    }

    fn one_batch(
        &self,
        metadata: &ArrowReaderMetadata,
        group: usize,
        wanted: &dyn Fn(&str) -> bool,
        selection: Option<RowSelection>,
    ) -> Result<RecordBatch, ParquetError> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), metadata.clone());
        let fields = self.schema().fields().iter().enumerate();
        let roots = fields.filter(|(_, field)| wanted(field.name())).map(|(at, _)| at);
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let reader =
            builder.with_row_groups(vec![group]).with_projection(mask).with_batch_size(self.rows(group).max(1));
        let reader = match selection {
            Some(selection) => reader.with_row_selection(selection),
            None => reader,
        };
        let reader = reader.build()?;
        let schema = arrow::array::RecordBatchReader::schema(&reader);
        let batches = reader.collect::<Result<Vec<_>, _>>()?;
        Ok(concat_batches(&schema, &batches)?)
    }
}

/// Encodes a file row group by row group, as [`encode`](super::encode) does, and without page indexes.
///
/// # Errors
/// What the writer refuses: a copied group with other columns, nested columns, types that Parquet does not have.
pub fn write_groups(schema: &SchemaRef, groups: Vec<Group<'_>>, statistics: &[&str]) -> Result<Vec<u8>, ParquetError> {
    let mut out = Vec::new();
    let (mut file, factory) = writer(&mut out, schema, statistics, true)?.into_serialized_writer()?;
    for (number, group) in groups.into_iter().enumerate() {
        let mut writers: Vec<_> = factory.create_column_writers(number)?.into_iter().map(Some).collect();
        if writers.len() != schema.fields().len() {
            return Err(ParquetError::General("columns of row groups must not be nested".to_owned()));
        }
        let mut new = |at: usize, cells: &ArrayRef| {
            let mut writer =
                writers[at].take().ok_or_else(|| ParquetError::General("a column is replaced twice".to_owned()))?;
            compute_leaves(schema.field(at), cells)?.iter().try_for_each(|leaf| writer.write(leaf))?;
            writer.close()
        };
        let mut row_group = file.next_row_group()?;
        match group {
            Group::Rows(rows) => {
                debug_assert!(rows.num_rows() <= GROUP_ROWS);
                for (at, cells) in rows.columns().iter().enumerate() {
                    new(at, cells)?.append_to_row_group(&mut row_group)?;
                }
            }
            Group::Copy(from, group, replaced) => {
                let columns = from.metadata.metadata().row_group(group).columns();
                for (at, column) in columns.iter().enumerate() {
                    match replaced.iter().find(|(other, _)| *other == at) {
                        Some((_, cells)) => new(at, cells)?.append_to_row_group(&mut row_group)?,
                        None => row_group.append_column(
                            &from.bytes,
                            ColumnCloseResult {
                                bytes_written: column.compressed_size() as u64,
                                rows_written: column.num_values() as u64,
                                metadata: column.clone(),
                                bloom_filter: None,
                                column_index: None,
                                offset_index: None,
                            },
                        )?,
                    }
                }
            }
        }
        row_group.close()?;
    }
    file.close()?;
    Ok(out)
}
