//! Batching without a timer: while every writer is busy requests queue, and a free writer takes what waits.
//!
//! One request alone is written at once; under load the batches grow by themselves, which is where the speed is.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};

use bodega_domain::{Code, Failure};
use futures::FutureExt as _;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::{tasks::Tasks, telemetry::metrics};

/// How large a batcher may grow.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Requests that may wait; one more is refused as `overloaded`.
    pub queue_max: usize,
    /// Requests in one batch.
    pub batch_max: usize,
    /// Batches under way at once. Two keep the database busy while the other one computes.
    pub writers: usize,
}

/// Why a request got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The queue is full, or the process is stopping: surely nothing was done.
    #[error("too much work is waiting")]
    Overloaded,
    /// The writer broke while it had the request: what was done is not known.
    #[error("the writer broke")]
    Broken,
}

impl From<BatchError> for Failure {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Overloaded => Failure::from(Code::Overloaded).retry_after_s(1),
            BatchError::Broken => Failure::from(Code::OutcomeUnknown),
        }
    }
}

type Job<Req, Resp> = (Req, oneshot::Sender<Resp>);

/// Hands single requests to writers in batches. Cheap to clone.
pub struct Batcher<Req, Resp> {
    name: &'static str,
    queue: mpsc::Sender<Job<Req, Resp>>,
}

impl<Req, Resp> Clone for Batcher<Req, Resp> {
    fn clone(&self) -> Self {
        Self { name: self.name, queue: self.queue.clone() }
    }
}

impl<Req, Resp> Batcher<Req, Resp>
where
    Req: Send + 'static,
    Resp: Send + 'static,
{
    /// Starts the writers. `write` answers every request of its batch, in order.
    pub fn start<F, Fut>(name: &'static str, limits: BatchLimits, tasks: &Tasks, write: F) -> Self
    where
        F: Fn(Vec<Req>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<Resp>> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(limits.queue_max.max(1));
        let waiting = Arc::new(Mutex::new(waiting));
        let write = Arc::new(write);
        for _ in 0..limits.writers.max(1) {
            // Requests under way wait for their batch, so writers end after them.
            tasks.background(run_writer(name, limits, tasks.clone(), waiting.clone(), write.clone()));
        }
        Self { name, queue }
    }

    /// Waits for the response to one request.
    ///
    /// # Errors
    /// `Overloaded` when nothing was done, `Broken` when that is not known.
    pub async fn submit(&self, request: Req) -> Result<Resp, BatchError> {
        let (respond, response) = oneshot::channel();
        if self.queue.try_send((request, respond)).is_err() {
            metrics::counter("bodega_batch_refused_total", &[("batch", self.name)]).add(1);
            return Err(BatchError::Overloaded);
        }
        response.await.map_err(|_| BatchError::Broken)
    }
}

async fn run_writer<Req, Resp, F, Fut>(
    name: &'static str,
    limits: BatchLimits,
    tasks: Tasks,
    waiting: Arc<Mutex<mpsc::Receiver<Job<Req, Resp>>>>,
    write: Arc<F>,
) where
    F: Fn(Vec<Req>) -> Fut,
    Fut: Future<Output = Vec<Resp>>,
{
    let batch_max = limits.batch_max.max(1);
    let batches = metrics::counter("bodega_batches_total", &[("batch", name)]);
    let batched = metrics::counter("bodega_batched_requests_total", &[("batch", name)]);
    let drained = tasks.drained();
    loop {
        // Requests that have arrived and are on their way into the queue come along: the batch is larger, nobody waits longer.
        tokio::task::yield_now().await;
        let mut jobs = Vec::new();
        let take = async { waiting.lock().await.recv_many(&mut jobs, batch_max).await };
        tokio::select! {
            biased;
            _ = take => {}
            () = drained.cancelled() => return,
        }
        if jobs.is_empty() {
            return;
        }
        batches.add(1);
        batched.add(u64::try_from(jobs.len()).unwrap_or(u64::MAX));
        let (requests, responders): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        // A panic ends its own batch; dropping the responders tells every asker.
        match AssertUnwindSafe(async { write(requests).await }).catch_unwind().await {
            Ok(responses) if responses.len() == responders.len() => {
                for (respond, response) in responders.into_iter().zip(responses) {
                    // An asker that went away does not undo the write.
                    let _ = respond.send(response);
                }
            }
            Ok(responses) => {
                let (asked, answered) = (responders.len(), responses.len());
                tracing::error!(batch = name, asked, answered, "a writer answered another number of requests");
            }
            Err(_) => tracing::error!(batch = name, "a writer panicked"),
        }
    }
}

/// Writes a batch as a whole; when that fails with an error that one member may have caused (`isolate`), writes its
/// halves, until the culprit stands alone. Other errors are every member's own answer.
pub async fn halving<'b, Req, T, E, F, Fut>(
    batch: &'b [Req],
    isolate: impl Fn(&E) -> bool,
    mut write: F,
) -> Vec<Result<T, E>>
where
    E: Clone,
    F: FnMut(&'b [Req]) -> Fut,
    Fut: Future<Output = Result<Vec<T>, E>>,
{
    let mut results = Vec::with_capacity(batch.len());
    // A stack whose top is the leftmost part keeps the answers in order.
    let mut parts = vec![batch];
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        match write(part).await {
            Ok(values) => results.extend(values.into_iter().map(Ok)),
            Err(error) if part.len() > 1 && isolate(&error) => {
                let (left, right) = part.split_at(part.len() / 2);
                parts.push(right);
                parts.push(left);
            }
            Err(error) => results.extend(part.iter().map(|_| Err(error.clone()))),
        }
    }
    results
}

#[cfg(test)]
mod tests;
