//! Named tasks: the only way to spawn in `engine` and `node`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A set of tasks that stop together. Cheap to clone.
///
/// - A **service** runs until [`stopping`](Self::stopping); a panic inside is logged with its name.
/// - A **piece of work** ends by itself; [`drain`](Self::drain) waits for it.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    work: TaskTracker,
    services: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Spawns something that runs until [`stopping`](Self::stopping) and must not panic.
    pub fn service<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = self.inner.services.spawn(future);
        self.inner.services.spawn(async move {
            if let Err(error) = task.await
                && error.is_panic()
            {
                tracing::error!(task = name, "a background task panicked");
            }
        });
    }

    /// Spawns a piece of work that runs to its end even if nobody waits for it.
    pub fn work<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.inner.work.spawn(future)
    }

    /// Runs something that blocks, on threads made for it.
    pub fn blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.inner.work.spawn_blocking(work)
    }

    /// How many pieces of work have not ended.
    pub fn running(&self) -> usize {
        self.inner.work.len()
    }

    /// Returns when the services are to stop. Cancel safe.
    pub async fn stopping(&self) {
        self.inner.stop.cancelled().await;
    }

    /// Whether the services are to stop.
    pub fn is_stopping(&self) -> bool {
        self.inner.stop.is_cancelled()
    }

    /// Waits until every piece of work has ended, at most until `deadline`; says whether it did.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.inner.work.close();
        let drained = tokio::time::timeout(deadline, self.inner.work.wait()).await.is_ok();
        // Work that drains may spawn more work, and so may what comes after.
        self.inner.work.reopen();
        drained
    }

    /// Tells the services to stop and waits for them, at most until `deadline`.
    pub async fn stop(&self, deadline: Duration) -> bool {
        self.inner.stop.cancel();
        self.inner.services.close();
        tokio::time::timeout(deadline, self.inner.services.wait()).await.is_ok()
    }
}
