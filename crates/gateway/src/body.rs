//! Request bodies: bounded in size and in patience.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use nexus_model::Code;
use tokio::time::{Instant, Sleep};

use crate::fault::Fault;
use crate::server::Body;

/// Why a request body broke off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum BodyBroken {
    #[error("the request body is larger than its limit")]
    TooLarge,
    #[error("the request body came too slowly")]
    TooSlow,
}

/// Tells the one who answers why the body broke off, after the one who read it gave up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome(Arc<AtomicU8>);

impl Outcome {
    fn broke(&self, why: BodyBroken) {
        self.0.store(1 + why as u8, Ordering::Relaxed);
    }

    pub(crate) fn broken(&self) -> Option<BodyBroken> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(BodyBroken::TooLarge),
            _ => Some(BodyBroken::TooSlow),
        }
    }
}

/// What bounds a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// The size of the whole.
    pub(crate) bytes_max: usize,
    /// The longest pause between two pieces.
    pub(crate) timeout: Duration,
}

/// A request body that breaks off at its limit or when nothing comes.
struct Guarded {
    inner: Incoming,
    left: usize,
    timeout: Duration,
    /// Made at the first wait: most bodies come with their head.
    timer: Option<Pin<Box<Sleep>>>,
    outcome: Outcome,
}

/// Puts a body under its limits.
pub(crate) fn guard(inner: Incoming, limits: BodyLimits, outcome: &Outcome) -> Body {
    let outcome = outcome.clone();
    Guarded { inner, left: limits.bytes_max, timeout: limits.timeout, timer: None, outcome }
        .boxed_unsync()
}

impl Guarded {
    fn broke(&self, why: BodyBroken) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.outcome.broke(why);
        Poll::Ready(Some(Err(why.into())))
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending => {
                let timeout = self.timeout;
                let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
                match timer.as_mut().poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => self.broke(BodyBroken::TooSlow),
                }
            }
            Poll::Ready(Some(Ok(frame))) => {
                let timeout = self.timeout;
                if let Some(timer) = &mut self.timer {
                    timer.as_mut().reset(Instant::now() + timeout);
                }
                let size = frame.data_ref().map_or(0, Bytes::len);
                match self.left.checked_sub(size) {
                    None => self.broke(BodyBroken::TooLarge),
                    Some(left) => {
                        self.left = left;
                        Poll::Ready(Some(Ok(frame)))
                    }
                }
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Reads a whole body of at most `limit` bytes into memory. `what` names it in errors.
pub(crate) async fn collect<B>(body: B, limit: usize, what: &str) -> Result<Bytes, Fault>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Error>,
{
    let mut body = body;
    if let Some(size) = body.size_hint().exact().filter(|&size| size > limit as u64) {
        return Err(Fault::too_large(what, Some(size), limit));
    }
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| broken(&*error.into(), what, limit))?.into_data()
        else {
            continue;
        };
        if first.len() + more.len() + data.len() > limit {
            return Err(Fault::too_large(what, None, limit));
        }
        // Most bodies come in one piece, which is then not copied.
        if first.is_empty() && more.is_empty() {
            first = data;
        } else {
            if more.is_empty() {
                more.extend_from_slice(&first);
                first = Bytes::new();
            }
            more.extend_from_slice(&data);
        }
    }
    Ok(if more.is_empty() { first } else { more.freeze() })
}

/// The fault for a body that broke off while it was read.
pub(crate) fn broken(error: &(dyn std::error::Error + 'static), what: &str, limit: usize) -> Fault {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(why) = error.downcast_ref::<BodyBroken>() {
            return why.fault(what, limit);
        }
        at = error.source();
    }
    Fault::bad_request(format!("{what} broke off before its end"))
}

impl BodyBroken {
    /// The fault for the caller.
    pub(crate) fn fault(self, what: &str, limit: usize) -> Fault {
        match self {
            BodyBroken::TooLarge => Fault::too_large(what, None, limit),
            BodyBroken::TooSlow => {
                Fault::new(Code::RequestTimeout, format!("{what} came too slowly"))
            }
        }
    }
}
