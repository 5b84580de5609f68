//! Rows that are decoded ahead of who reads them.

use arrow::array::RecordBatch;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use rcm_core::Problem;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What a task gives: a batch, or none at the end.
type Given = Result<Option<RecordBatch>, Problem>;

/// Where a task puts what it has.
pub(crate) type Give = mpsc::Sender<Given>;

/// What a task of its own decodes, a batch ahead, so that the server need not wait while one is used; the task ends when the
/// stream is dropped. Where it stops without a word, by a panic of a driver for one, what comes out is `broken`, and no end.
pub(crate) fn ahead<W>(
    broken: Problem,
    work: impl FnOnce(Give) -> W + Send + 'static,
) -> BoxStream<'static, Result<RecordBatch, Problem>>
where
    W: Future<Output = Result<(), Problem>> + Send + 'static,
{
    let begin = async move {
        let (give, take) = mpsc::channel::<Given>(1);
        let mut task = JoinSet::new();
        task.spawn(async move {
            if let Err(problem) = work(give.clone()).await {
                let _ = give.send(Err(problem)).await;
            }
        });
        stream::try_unfold((take, task), move |(mut take, task)| {
            let broken = broken.clone();
            async move {
                let given = take.recv().await.unwrap_or(Err(broken))?;
                Ok(given.map(|batch| (batch, (take, task))))
            }
        })
    };
    begin.flatten_stream().boxed()
}
