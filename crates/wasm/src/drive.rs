//! Drives a guest to its end, or stops it: deadline, cancellation, and bodies that nobody reads.

use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http_body::Body as _;
use nexus_exec::Cancel;

use crate::memory::{self, Memories};
use crate::state::Drain;

/// What came from outside and stopped a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Interrupted {
    /// The deadline struck.
    #[error("the deadline struck")]
    TimedOut,
    /// Somebody cancelled it.
    #[error("it was cancelled")]
    Cancelled,
    /// It asked for memory while the system had none left.
    #[error("the server has no memory left")]
    Starved,
}

/// What may stop a guest, and what is measured of it.
pub(crate) struct Driver {
    pub(crate) deadline: Instant,
    pub(crate) cancel: Cancel,
    pub(crate) drain: Drain,
    pub(crate) memories: Option<Memories>,
    /// Time spent inside of the guest and its host calls; waiting does not count.
    pub(crate) busy: Duration,
}

impl Driver {
    /// Runs `work` to its end unless something stops it.
    pub(crate) async fn run<F: Future>(&mut self, work: F) -> Result<F::Output, Interrupted> {
        let mut work = std::pin::pin!(work);
        let cancel = self.cancel.clone();
        // Both are made only once the guest waits: most calls never do.
        let mut sleeping: Option<Pin<Box<tokio::time::Sleep>>> = None;
        let mut cancelled: Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = None;
        std::future::poll_fn(|context| {
            let began = Instant::now();
            let polled = memory::collecting(self.memories.as_ref(), || work.as_mut().poll(context));
            self.busy += began.elapsed();
            if let Poll::Ready(output) = polled {
                return Poll::Ready(Ok(output));
            }
            self.poll_drain(context);
            let cancelled = cancelled.get_or_insert_with(|| Box::pin(cancel.cancelled()));
            if cancelled.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(Interrupted::Cancelled));
            }
            let sleeping = sleeping
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(self.deadline.into())));
            if sleeping.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(Interrupted::TimedOut));
            }
            Poll::Pending
        })
        .await
    }

    fn poll_drain(&self, context: &mut Context<'_>) {
        let mut drain = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(body) = &mut *drain {
            match Pin::new(body).poll_frame(context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => *drain = None,
                Poll::Pending => return,
            }
        }
    }
}
