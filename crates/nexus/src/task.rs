//! Tasks of the binary: each has a name, and a panic in one is heard.

use std::future::Future;

/// Runs a future beside the others until it ends by itself or with the runtime.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
pub(crate) fn spawn(name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
    let task = tokio::spawn(future);
    tokio::spawn(async move {
        if let Err(error) = task.await
            && error.is_panic()
        {
            tracing::error!(task = name, "a task panicked");
        }
    });
}
