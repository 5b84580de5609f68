//! Deletion vectors: which rows of a data file are no longer in the table.
//!
//! The format is that of the Delta protocol ("Deletion Vector Format"); the bytes are those of the kernel's writer. Few of
//! them stand in the commit itself. More lie in one file a commit, `deletion_vector_<uuid>.bin` in the table's folder, whose
//! UUID begins with the attempt that wrote it: `00000041-0a1b-2c3d-…` is of attempt `00000041-0a1b2c3d`.

use super::{DataFile, Lake};
use crate::files::sha256;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;
use buoyant_kernel::actions::deletion_vector_writer::{KernelDeletionVector, StreamingDeletionVectorWriter};
use deltalake::kernel::{DeletionVectorDescriptor, StorageType};
use rcm_core::{Class, Problem};
use roaring::RoaringTreemap;
use serde_json::{Value, json};
use std::ops::Range;
use uuid::Uuid;

/// Bytes of the vectors of a commit that stand in it; where they are more, they get a file.
const INLINE: usize = 1 << 16;

/// Rows of a file with a vector at most: more than any has that this program writes.
const MOST_ROWS: u64 = 1 << 24;

/// The format's mark of a portable bitmap.
const MAGIC: u32 = 1_681_511_377;

/// The length of a UUID in Base85.
const UUID_LENGTH: usize = 20;

/// Where the deletion vector of a data file is, and how many rows it takes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector(DeletionVectorDescriptor);

impl Vector {
    pub(super) fn new(descriptor: DeletionVectorDescriptor) -> Self {
        Vector(descriptor)
    }

    /// Rows that it takes away.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.0.cardinality).unwrap_or(0)
    }

    /// Its bytes.
    pub(super) fn size(&self) -> u64 {
        u64::try_from(self.0.size_in_bytes).unwrap_or(0)
    }

    /// The one that an action of a commit has.
    pub(super) fn of_action(action: &Value) -> Option<Self> {
        serde_json::from_value(action.clone()).ok().map(Vector)
    }

    /// As it stands in an action of a commit.
    pub(super) fn action(&self) -> Value {
        json!(self.0)
    }

    /// What tells it from other vectors of the same file (Delta protocol, "Deletion Vector Descriptor Schema").
    pub(super) fn id(&self) -> String {
        let DeletionVectorDescriptor { storage_type, path_or_inline_dv, offset, .. } = &self.0;
        format!("{storage_type:?} {path_or_inline_dv} {offset:?}")
    }

    /// The file that holds it, relative to the table's folder; none where it stands in the commit, or in no place that the
    /// table knows.
    pub fn path(&self) -> Option<String> {
        if self.0.storage_type != StorageType::UuidRelativePath {
            return None;
        }
        let place = &self.0.path_or_inline_dv;
        let (prefix, uuid) = place.split_at_checked(place.len().checked_sub(UUID_LENGTH)?)?;
        let uuid = Uuid::from_slice(&z85::decode(uuid).ok()?).ok()?;
        Some(match prefix {
            "" => format!("deletion_vector_{uuid}.bin"),
            folder => format!("{folder}/deletion_vector_{uuid}.bin"),
        })
    }

    /// Where in its file it lies: its size, what is its own, and a checksum.
    fn range(&self) -> Option<Range<u64>> {
        let at = u64::try_from(self.0.offset.unwrap_or(1)).ok()?;
        Some(at..at + 8 + u64::try_from(self.0.size_in_bytes).ok()?)
    }

    /// The rows that it takes away, by their numbers in the file. `lies`: what lies in its range, where it has a file.
    fn decode(&self, lies: Option<&[u8]>) -> Option<RoaringTreemap> {
        let size = usize::try_from(self.0.size_in_bytes).ok()?;
        let mut inline = Vec::new();
        let marked = match lies {
            None => {
                inline.extend(z85::decode(&self.0.path_or_inline_dv).ok()?);
                inline.get(..size)?
            }
            Some(lies) => {
                let (said, marked) = lies.split_first_chunk::<4>()?;
                let (marked, sum) = marked.split_last_chunk::<4>()?;
                let is_whole = u32::from_be_bytes(*said) as usize == size
                    && u32::from_be_bytes(*sum) == crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(marked);
                is_whole.then_some(marked)?
            }
        };
        let (magic, bitmap) = marked.split_at_checked(4)?;
        let rows = RoaringTreemap::deserialize_from(bitmap).ok()?;
        (magic == MAGIC.to_le_bytes() && rows.len() == self.rows()).then_some(rows)
    }
}

/// The vectors of a commit.
pub(super) struct Written {
    pub(super) vectors: Vec<Vector>,
    /// The file that holds them, by its name; none where they stand in the commit.
    pub(super) file: Option<(String, Vec<u8>)>,
}

/// A vector for each of `gone`, in their order.
pub(super) fn write(gone: &[RoaringTreemap], attempt: &str, table: &str) -> Result<Written, Problem> {
    let failed = |_| Problem::new(Class::Failed, table, "too many rows of one commit go for one deletion vector file");
    let mut bytes = Vec::new();
    let mut writer = StreamingDeletionVectorWriter::new(&mut bytes);
    let mut written = Vec::new();
    for gone in gone {
        let mut vector = KernelDeletionVector::new();
        vector.add_deleted_row_indexes(gone);
        written.push(writer.write_deletion_vector(vector).map_err(failed)?);
    }
    let uuid = uuid_of(attempt, table);
    let is_inline = bytes.len() <= INLINE;
    let vectors = written.into_iter().map(|written| {
        let (offset, size) = (written.offset, written.size_in_bytes);
        let inline = || {
            let first = offset as usize + 4;
            let mut marked = bytes[first..first + size as usize].to_vec();
            // Base85 takes four bytes at a time.
            marked.resize(marked.len().next_multiple_of(4), 0);
            z85::encode(marked)
        };
        Vector(DeletionVectorDescriptor {
            storage_type: if is_inline { StorageType::Inline } else { StorageType::UuidRelativePath },
            path_or_inline_dv: if is_inline { inline() } else { z85::encode(uuid.as_bytes()) },
            offset: Some(offset).filter(|_| !is_inline),
            size_in_bytes: size,
            cardinality: written.cardinality,
        })
    });
    let vectors = vectors.collect();
    let file = (!is_inline).then(|| (format!("deletion_vector_{uuid}.bin"), bytes));
    Ok(Written { vectors, file })
}

/// The UUID of an attempt's vectors in a table: its first half is the attempt's name.
fn uuid_of(attempt: &str, table: &str) -> Uuid {
    let digits = attempt.replace('-', "") + &sha256(table.as_bytes());
    Uuid::try_parse(&digits[..32]).unwrap_or_else(|_| Uuid::new_v4())
}

/// The name of the attempt that wrote a file of vectors.
pub(super) fn attempt_of(name: &str) -> Option<String> {
    let uuid = name.strip_prefix("deletion_vector_")?.strip_suffix(".bin")?;
    let digits = Uuid::try_parse(uuid).ok()?.simple().to_string();
    Some(format!("{}-{}", &digits[..8], &digits[8..16]))
}

impl Lake {
    /// Which rows of a data file are in the table; none: all.
    ///
    /// # Errors
    /// Storage that fails; a damaged vector, or one in a place that no table of a lake has.
    pub async fn live_rows(&self, table: &str, file: &DataFile) -> Result<Option<BooleanArray>, Problem> {
        let Some(vector) = &file.vector else { return Ok(None) };
        let path = vector.path();
        let lies = match (&path, vector.range()) {
            (Some(path), Some(range)) => Some(self.get_range(&format!("{table}/{path}"), range).await?),
            _ => None,
        };
        let is_of_file =
            |gone: &RoaringTreemap| gone.max().is_none_or(|last| last < file.rows) && file.rows <= MOST_ROWS;
        let gone = vector.decode(lies.as_deref()).filter(is_of_file);
        let gone = gone.ok_or_else(|| {
            let place = path.map_or_else(|| table.to_owned(), |path| format!("{table}/{path}"));
            let what = "a deletion vector is damaged, or of a kind that this program does not write";
            Problem::new(Class::Failed, place, what).hint(super::redo::rebuild(table))
        })?;
        let mut live = vec![true; usize::try_from(file.rows).unwrap_or(0)];
        gone.iter().for_each(|row| live[row as usize] = false);
        Ok(Some(live.into()))
    }

    /// Of the rows of a data file those that are in the table.
    ///
    /// # Errors
    /// As [`Lake::live_rows`]; a file that has another number of rows than its table says.
    pub(super) async fn live(
        &self,
        table: &str,
        file: &DataFile,
        rows: Vec<RecordBatch>,
    ) -> Result<Vec<RecordBatch>, Problem> {
        match self.live_rows(table, file).await? {
            None => Ok(rows),
            Some(live) => kept(&rows, &live).map_err(|e| Problem::storage(format!("{table}/{}", file.path), e)),
        }
    }
}

/// Of the rows of some batches those that a mask over all of them names.
pub(super) fn kept(batches: &[RecordBatch], live: &BooleanArray) -> Result<Vec<RecordBatch>, ArrowError> {
    if batches.iter().map(RecordBatch::num_rows).sum::<usize>() != live.len() {
        return Err(ArrowError::InvalidArgumentError(
            "the file has another number of rows than its table says".to_owned(),
        ));
    }
    let mut first = 0;
    let mut kept = |batch: &RecordBatch| {
        first += batch.num_rows();
        filter_record_batch(batch, &live.slice(first - batch.num_rows(), batch.num_rows()))
    };
    batches.iter().map(&mut kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTEMPT: &str = "00000041-0a1b2c3d";

    fn decoded(vector: &Vector, file: &[u8]) -> Option<RoaringTreemap> {
        let Range { start, end } = vector.range()?;
        vector.decode(Some(file.get(start as usize..end as usize)?))
    }

    #[test]
    fn few_rows_stand_in_the_commit_and_many_in_a_file_of_the_attempt() {
        let few = [RoaringTreemap::from_iter([0, 7, 131_071]), RoaringTreemap::from_iter([3])];
        let Written { vectors, file } = write(&few, ATTEMPT, "silver/patients").unwrap();
        assert!(file.is_none());
        for (vector, gone) in vectors.iter().zip(&few) {
            assert_eq!((vector.path(), vector.decode(None).as_ref(), vector.rows()), (None, Some(gone), gone.len()));
            assert!(vector.action().get("offset").is_none() && vector.action()["storageType"] == "i");
        }

        // Too irregular to be packed.
        let every = |n: u64| (0..131_072).filter(|row| row * row % n < n / 3).collect::<RoaringTreemap>();
        let many = [101, 103, 107, 109, 113].map(every);
        let Written { vectors, file } = write(&many, ATTEMPT, "silver/patients").unwrap();
        let (name, bytes) = file.unwrap();
        assert_eq!(attempt_of(&name).as_deref(), Some(ATTEMPT));
        for (vector, gone) in vectors.iter().zip(&many) {
            assert_eq!((vector.path().as_ref(), decoded(vector, &bytes).as_ref()), (Some(&name), Some(gone)));
        }
        // Another table's file has another name.
        assert_ne!(write(&many, ATTEMPT, "silver/encounters").unwrap().file.unwrap().0, name);
    }

    #[test]
    fn a_vector_with_another_byte_is_none() {
        let every = (0..131_072).filter(|row| row % 7 < 2).collect::<RoaringTreemap>();
        let many = vec![every; 5];
        let Written { vectors, file } = write(&many, ATTEMPT, "silver/patients").unwrap();
        let (_, bytes) = file.unwrap();
        // The first byte is the version of the file.
        for at in (1..bytes.len()).step_by(997) {
            let mut other = bytes.clone();
            other[at] ^= 0x10;
            let whole = vectors.iter().filter(|vector| decoded(vector, &other).is_some()).count();
            assert_eq!(whole, many.len() - 1, "byte {at}");
            assert_eq!(decoded(&vectors[4], &bytes[..at]), None);
        }
        assert_eq!(vectors[0].decode(None), None);
        let short = Vector(DeletionVectorDescriptor { path_or_inline_dv: "short".to_owned(), ..vectors[0].0.clone() });
        assert_eq!((short.path(), short.decode(None)), (None, None));
    }

    #[test]
    fn what_is_no_file_of_vectors_is_of_no_attempt() {
        for name in ["deletion_vector_.bin", "deletion_vector_x.bin", "part-0.parquet", "deletion_vector_61d16c75.bin"]
        {
            assert_eq!(attempt_of(name), None, "{name}");
        }
    }
}
