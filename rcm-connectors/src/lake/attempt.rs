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

impl Attempt {
    /// The publish number that it planned on.
    pub fn number(&self) -> u64 {
        self.attempt.split('-').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }
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
    pub(super) async fn attempts(&self, publish: u64) -> Result<Vec<Attempt>, Problem> {
        self.attempts_that(|number| number == publish).await
    }

    /// The attempts that planned on lower numbers than this.
    ///
    /// # Errors
    /// As [`Lake::attempts`].
    pub(super) async fn attempts_below(&self, publish: u64) -> Result<Vec<Attempt>, Problem> {
        self.attempts_that(|number| number < publish).await
    }

    async fn attempts_that(&self, planned: impl Fn(u64) -> bool) -> Result<Vec<Attempt>, Problem> {
        let mut attempts = Vec::new();
        let number = |name: &String| name.split('-').next()?.parse().ok();
        for name in self.names(FOLDER).await?.iter().filter(|name| number(name).is_some_and(&planned)) {
            let path = format!("{FOLDER}/{name}");
            // One that is gone since the listing was swept up.
            if let Some(bytes) = self.find(&path).await? {
                attempts.push(unseal(&bytes, &path)?);
            }
        }
        Ok(attempts)
    }
}
