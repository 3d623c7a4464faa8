//! The tasks of a process, and how they end: first no new requests, then the ones under way finish, then the rest.

use std::{future::Future, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

/// Tracks what runs, so that a stop waits for it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    requests: TaskTracker,
    background: TaskTracker,
    stopping: CancellationToken,
    drained: CancellationToken,
}

impl Tasks {
    /// Nothing runs yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs work that somebody asked for. It goes on when the asker goes away, and a stop waits for it.
    pub fn request<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.requests.spawn(work.in_current_span())
    }

    /// Runs a loop of the service itself: it ends soon after [`Tasks::stopping`] (or, when requests need it until they
    /// are done, after [`Tasks::drained`]).
    pub fn background<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.background.spawn(work)
    }

    /// Completes when no new work is to be begun.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Completes when every request under way has ended.
    #[must_use]
    pub fn drained(&self) -> CancellationToken {
        self.drained.clone()
    }

    /// Waits so long, or until the stop begins; `true` when the stop began.
    pub async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stopping.cancelled() => true,
            () = tokio::time::sleep(time) => false,
        }
    }

    /// Begins no new work, lets requests finish, ends the loops. `false` when `patience` ran out.
    pub async fn stop(&self, patience: Duration) -> bool {
        self.stopping.cancel();
        self.requests.close();
        self.background.close();
        let ended = tokio::time::timeout(patience, async {
            self.requests.wait().await;
            self.drained.cancel();
            self.background.wait().await;
        })
        .await
        .is_ok();
        self.drained.cancel();
        ended
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    };

    use super::*;

    #[tokio::test]
    async fn a_stop_waits_for_a_request_whose_asker_is_gone() {
        let tasks = Tasks::new();
        let done = Arc::new(AtomicBool::new(false));
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let flag = done.clone();
        drop(tasks.request(async move {
            let _ = released.await;
            flag.store(true, SeqCst);
        }));
        let stopping = tokio::spawn({
            let tasks = tasks.clone();
            async move { tasks.stop(Duration::from_secs(10)).await }
        });
        tasks.stopping().cancelled().await;
        assert!(!done.load(SeqCst));
        release.send(()).unwrap();
        assert!(stopping.await.unwrap());
        assert!(done.load(SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_loses_patience_with_what_never_ends() {
        let tasks = Tasks::new();
        tasks.background(std::future::pending::<()>());
        assert!(!tasks.stop(Duration::from_secs(1)).await);
    }
}
