//! The way of an HTTP answer from the guest to the caller.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use nexus_exec::{Body, BodyError, Cancel, empty_body, full_body};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::p2::types::HostOutgoingResponse;

use crate::ledger::Ledger;
use crate::state::State;

/// How long the server has to send what came before a failure.
const FLUSH_TIME: Duration = Duration::from_millis(10);

/// Hands the answer to whoever waits for it. Where nobody takes the body, the driver of the
/// invocation reads it to its end so that the guest can finish writing.
pub(crate) fn deliver(state: &mut State, response: HostOutgoingResponse) {
    let HostOutgoingResponse { status, headers, body } = response;
    let headers: http::HeaderMap = headers.into();
    let bodyless = state.bodyless
        || status.is_informational()
        || status == http::StatusCode::NO_CONTENT
        || status == http::StatusCode::NOT_MODIFIED;
    let Some(caller) = state.respond.take() else {
        set_drain(state, body);
        return;
    };
    let expected = headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let body = match body {
        Some(body) if !bodyless => AnswerBody {
            body,
            expected,
            passed: 0,
            ended: false,
            finished: state.finished.clone(),
            failed: None,
            cancel: state.cancel.clone(),
        }
        .boxed_unsync(),
        other => {
            set_drain(state, other);
            empty_body()
        }
    };
    let mut answer = http::Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    if caller.send(answer).is_err() {
        state.cancel.cancel();
    }
}

/// Hands out the answer of a durable invocation, which is whole.
pub(crate) fn deliver_whole(
    caller: tokio::sync::oneshot::Sender<http::Response<Body>>,
    ledger: &Ledger,
    bodyless: bool,
) {
    let Some((status, headers)) = &ledger.answer.head else { return };
    let Ok(status) = http::StatusCode::from_u16(*status) else { return };
    let body = match bodyless {
        true => empty_body(),
        false => full_body(ledger.output.bytes()),
    };
    let mut answer = http::Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers.clone();
    // Who asked may have gone away long ago.
    let _ = caller.send(answer);
}

fn set_drain(state: &State, body: Option<HyperOutgoingBody>) {
    *state.drain.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = body;
}

/// A body on its way to the client. Dropping it before its end means that the client went away,
/// which cancels the invocation.
struct AnswerBody {
    body: HyperOutgoingBody,
    /// The announced length: a server may stop reading once it has so many bytes.
    expected: Option<u64>,
    passed: u64,
    ended: bool,
    /// Set once the guest has said that the body is whole.
    finished: Arc<AtomicBool>,
    /// Why no more comes, and when the server is told.
    failed: Option<(BodyError, Pin<Box<tokio::time::Sleep>>)>,
    cancel: Cancel,
}

/// The function left its answer before that was whole.
#[derive(Debug, thiserror::Error)]
#[error("the function ended before its answer was complete")]
struct Broken;

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some((_, told)) = &mut self.failed {
            ready!(told.as_mut().poll(context));
            return Poll::Ready(self.failed.take().map(|(error, _)| Err(error)));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            self.passed += data.len() as u64;
        } else {
            self.ended = true;
        }
        let error: BodyError = match frame {
            None if !self.finished.load(Ordering::Acquire) => Box::new(Broken),
            Some(Err(error)) => error.into(),
            other => return Poll::Ready(other.map(|frame| frame.map_err(BodyError::from))),
        };
        // An error makes the server drop what it has not sent yet: it gets a moment for that.
        let mut told = Box::pin(tokio::time::sleep(FLUSH_TIME));
        let _ = told.as_mut().poll(context);
        self.failed = Some((error, told));
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if !self.ended && self.expected != Some(self.passed) {
            self.cancel.cancel();
        }
    }
}
