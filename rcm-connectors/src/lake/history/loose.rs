//! What others rewrote in files of their own.

use super::bucket::{Bucket, broken};
use super::{History, MergeError};
use crate::lake::DataFile;
use crate::lake::change::fit;
use crate::parquet;
use rcm_core::{Class, Problem};
use std::collections::BTreeMap;

impl History<'_> {
    /// Files that did not lie in the folder of their bucket: their rows are held, with the buckets that they belong to.
    pub(super) async fn take_in_loose(&mut self, loose: Vec<DataFile>) -> Result<(), Problem> {
        let failed = |e: MergeError| match e {
            MergeError::Storage(problem) => problem,
            MergeError::Engine(error) => Problem::new(Class::Failed, self.table, error.to_string()),
        };
        let mut rows = Vec::new();
        for file in &loose {
            let path = format!("{}/{}", self.table, file.path);
            let lying = parquet::decode(self.lake.get(&path).await?).map_err(|e| Problem::storage(&path, e))?;
            for batch in self.lake.live(self.table, file, lying).await? {
                rows.push(fit(&batch, &self.schema, &path)?);
            }
        }
        let mut held = BTreeMap::new();
        for (leaf, mut bucket) in self.cut(&rows).map_err(failed)? {
            if bucket.history.num_rows() > 0 {
                let lying = Bucket::read(&self.lies(leaf).await?, &self.schema)?;
                bucket.add(lying, &self.order()).map_err(|e| failed(broken(e)))?;
                held.insert(leaf, bucket);
            }
        }
        self.held = held;
        self.removes.extend(loose);
        Ok(())
    }
}
