//! Request bodies: bounded in size and in patience.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::EXPECT;
use http::{Request, Version};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use nexus_model::Code;
use tokio::time::{Instant, Sleep};

use crate::fault::Fault;
use crate::server::Body;
use crate::task;

/// Why a request body broke off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum BodyBroken {
    #[error("the request body is larger than its limit")]
    TooLarge,
    #[error("the request body came too slowly")]
    TooSlow,
    #[error("the request body broke off before its end")]
    BrokeOff,
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
            2 => Some(BodyBroken::TooSlow),
            _ => Some(BodyBroken::BrokeOff),
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

/// How much of a body that nobody wants is read all the same, and for how long: a client that is
/// still sending when its connection is closed would lose the answer that says why.
const LINGER_BYTES_MAX: usize = 64 << 20;
const LINGER_TIME: Duration = Duration::from_secs(5);

/// A request body that breaks off at its limit or when nothing comes.
struct Guarded {
    /// Absent only while it is dropped.
    inner: Option<Incoming>,
    /// What is left unread is read and thrown away.
    lingers: bool,
    left: usize,
    timeout: Duration,
    /// Made at the first wait: most bodies come with their head.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the timer runs: only while somebody waits for the next piece.
    waiting: bool,
    outcome: Outcome,
}

/// Puts the body of a request under its limits.
pub(crate) fn guard(
    request: Request<Incoming>,
    limits: BodyLimits,
    outcome: &Outcome,
) -> Request<Body> {
    let (head, inner) = request.into_parts();
    if inner.is_end_stream() {
        let empty = Empty::new().map_err(|never| match never {}).boxed_unsync();
        return Request::from_parts(head, empty);
    }
    // A client that waits for "100 Continue" is not sending; a stream of HTTP/2 is closed alone.
    let lingers = head.version <= Version::HTTP_11 && !head.headers.contains_key(EXPECT);
    let guarded = Guarded {
        inner: Some(inner),
        lingers,
        left: limits.bytes_max,
        timeout: limits.timeout,
        timer: None,
        waiting: false,
        outcome: outcome.clone(),
    };
    Request::from_parts(head, guarded.boxed_unsync())
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let rest = self.inner.take().filter(|rest| self.lingers && !rest.is_end_stream());
        // Without a runtime the server is gone already.
        if let (Some(rest), Ok(_)) = (rest, tokio::runtime::Handle::try_current()) {
            task::spawn("linger", linger(rest));
        }
    }
}

async fn linger(mut rest: Incoming) {
    let discard = async {
        let mut left = LINGER_BYTES_MAX;
        while let Some(Ok(frame)) = rest.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(fewer) => left = fewer,
                None => break,
            }
        }
    };
    let _ = tokio::time::timeout(LINGER_TIME, discard).await;
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
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        match Pin::new(inner).poll_frame(cx) {
            Poll::Pending => {
                let (timeout, waiting) = (self.timeout, std::mem::replace(&mut self.waiting, true));
                let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
                if !waiting {
                    timer.as_mut().reset(Instant::now() + timeout);
                }
                match timer.as_mut().poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => self.broke(BodyBroken::TooSlow),
                }
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = false;
                let size = frame.data_ref().map_or(0, Bytes::len);
                match self.left.checked_sub(size) {
                    None => self.broke(BodyBroken::TooLarge),
                    Some(left) => {
                        self.left = left;
                        Poll::Ready(Some(Ok(frame)))
                    }
                }
            }
            Poll::Ready(Some(Err(_))) => self.broke(BodyBroken::BrokeOff),
            Poll::Ready(None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(Incoming::size_hint).unwrap_or_default()
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
            BodyBroken::BrokeOff => Fault::bad_request(format!("{what} broke off before its end")),
        }
    }
}
