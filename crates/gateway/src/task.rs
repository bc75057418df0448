//! The one place that spawns: background work of the listeners, which ends by itself when its
//! listener stops. A panic in one connection ends that connection only.

use std::future::Future;

/// Runs `future` on its own. `kind` names it in this crate's code, for those who search for it.
#[expect(clippy::disallowed_methods, reason = "the crate's one way to spawn")]
pub(crate) fn spawn(kind: &'static str, future: impl Future<Output = ()> + Send + 'static) {
    let _ = kind;
    drop(tokio::spawn(future));
}
