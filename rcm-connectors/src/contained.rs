//! Work by drivers that may panic.

use rcm_core::Problem;
use tokio::task::JoinSet;

/// Runs what talks to a server in a task of its own: a driver may panic on what no server sends, and that is an answer as well,
/// `broken`. The task ends when it is no longer waited for.
pub(crate) async fn contained<T: Send + 'static>(
    broken: Problem,
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let mut task = JoinSet::new();
    task.spawn(work);
    match task.join_next().await {
        Some(Ok(done)) => done,
        _ => Err(broken),
    }
}
