//! Attempts: each says that it begins, so that one that never ends is told of.

use super::Lake;
use super::record::{seal, unseal};
use rcm_core::Problem;
use serde::{Deserialize, Serialize};

const FOLDER: &str = "_rcm/attempts";

/// An attempt that has begun to write. Its name begins with the publish number that it planned on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its name.
    pub attempt: String,
    /// The run.
    pub run_id: String,
    /// The run's instant, microseconds.
    pub as_of: i64,
    /// Wall clock, microseconds.
    pub started_at: i64,
}

impl Lake {
    /// Says that an attempt begins, before it writes its first file.
    ///
    /// # Errors
    /// Storage that fails.
    pub async fn begin(&self, attempt: &Attempt) -> Result<(), Problem> {
        let path = format!("{FOLDER}/{}.json", attempt.attempt);
        self.put(&path, seal(attempt, &path)?).await
    }

    /// The attempts that planned on a publish number. Once it is taken, all but one of them can publish no more.
    ///
    /// # Errors
    /// Storage that fails, or a damaged record.
    pub async fn attempts(&self, publish: u64) -> Result<Vec<Attempt>, Problem> {
        let mut attempts = Vec::new();
        for name in self.names(FOLDER).await?.iter().filter(|name| name.starts_with(&format!("{publish:08}-"))) {
            let path = format!("{FOLDER}/{name}");
            attempts.push(unseal(&self.get(&path).await?, &path)?);
        }
        Ok(attempts)
    }
}
