//! HTTP of durable invocations. Bodies are whole both ways: a request is sent when its body is
//! complete, and its answer is one operation of the journal. So nothing of an exchange is left in the
//! middle when the guest is repeated, and one that was not answered yet can be sent again.
//!
//! ```text
//!   handle ──► body finished ──► live? ──► journal kept ──► sent with its key ──► answer read
//!     └ a future, also while the journal is repeated             get: recorded and kept ◄──┘
//! ```

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use nexus_exec::journal::{Function, Outcome, hash_arguments};
use nexus_exec::{Body, BodyError};
use nexus_model::limits;
use tokio::sync::oneshot;
use wasmtime::component::Resource;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi_http::p2::bindings::http::types::{
    ErrorCode, HostFutureIncomingResponse as HostFutureIncomingResponseTrait,
};
use wasmtime_wasi_http::p2::body::{HostIncomingBody, HyperOutgoingBody};
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostIncomingResponse};
use wasmtime_wasi_http::{Error as WireError, FieldMap, WasiBody, WasiHttpView as _};

use super::faults;
use super::fields::{fields, hash_fields};
use super::http::Got;
use super::streams::{OutputTooLarge, Target, WRITE_BYTES_MAX};
use crate::durable::Keeper;
use crate::ledger::{Shared, lock};
use crate::state::State;
use nexus_exec::header_map;

/// The header that names a request for ever.
const IDEMPOTENCY_KEY: http::HeaderName = http::HeaderName::from_static("idempotency-key");

type Fields = Vec<(String, Bytes)>;

/// The bodies and answers of an invocation, by the numbers of their resources. A number that is
/// used again has a new entry.
#[derive(Default)]
pub(crate) struct Exchanges {
    /// Bodies of requests that were not sent yet, by the request.
    requests: HashMap<u32, Finishing>,
    /// Bodies that the guest writes.
    written: HashMap<u32, Written>,
    /// The operations that sent requests, by the future of the answer.
    futures: HashMap<u32, Sent>,
    /// Bodies of answers, by the response and then by its body.
    responses: HashMap<u32, Bytes>,
    bodies: HashMap<u32, Bytes>,
    arrived: Arrived,
}

/// Answers that were read and that the guest has not seen, by operation.
pub(super) type Arrived = Arc<Mutex<HashMap<u32, (Bytes, Fields)>>>;

#[derive(Clone, Copy)]
struct Sent {
    operation: u32,
    /// The guest may know already that the answer is there: it must not be told otherwise.
    again: bool,
}

/// A body that the guest writes.
struct Written {
    buffer: Arc<Mutex<BytesMut>>,
    /// The announced length.
    expected: Option<u64>,
    finish: Option<oneshot::Sender<(Bytes, Option<http::HeaderMap>)>>,
}

/// A request's body until the guest has finished it.
pub(super) struct Finishing {
    whole: oneshot::Receiver<(Bytes, Option<http::HeaderMap>)>,
    /// Breaks off when the guest drops the body without finishing it.
    dropped: Option<HyperOutgoingBody>,
}

impl Finishing {
    async fn whole(mut self) -> Result<(Bytes, Option<http::HeaderMap>), WireError> {
        let mut dropped = self.dropped.take();
        let broken_off = std::future::poll_fn(|context| match &mut dropped {
            Some(body) => Pin::new(body).poll_frame(context).map(drop),
            None => std::task::Poll::Pending,
        });
        tokio::select! {
            biased;
            whole = self.whole => whole.map_err(|_| WireError::ConnectionTerminated),
            () = broken_off => Err(WireError::ConnectionTerminated),
        }
    }
}

/// What sending a whole request takes.
pub(crate) struct Whole {
    pub(super) keeper: Arc<Keeper>,
    pub(super) body: Option<Finishing>,
    pub(super) operation: u32,
    pub(super) key: String,
    pub(super) arrived: Arrived,
}

impl Whole {
    /// Waits for the body, and until the request may be sent; gives it with its key.
    pub(super) async fn request(
        &mut self,
        request: http::Request<WasiBody>,
    ) -> Result<http::Request<Body>, WireError> {
        let (mut parts, _) = request.into_parts();
        let body = match self.body.take() {
            None => nexus_exec::empty_body(),
            Some(body) => match body.whole().await? {
                (bytes, None) => nexus_exec::full_body(bytes),
                (bytes, Some(trailers)) => {
                    let trailers = std::future::ready(Some(Ok(trailers)));
                    let body = http_body_util::Full::new(bytes).with_trailers(trailers);
                    body.map_err(|never| match never {}).boxed_unsync()
                }
            },
        };
        self.keeper.live().await;
        // When this fails the invocation ends at the next operation; nothing may be sent.
        self.keeper.keep().await.map_err(|_| WireError::ConfigurationError)?;
        if !parts.headers.contains_key(IDEMPOTENCY_KEY)
            && let Ok(key) = http::HeaderValue::from_str(&self.key)
        {
            parts.headers.insert(IDEMPOTENCY_KEY, key);
        }
        Ok(http::Request::from_parts(parts, body))
    }

    /// Reads the whole answer, and leaves its body for the guest.
    pub(super) async fn response(
        self,
        response: http::Response<Body>,
        broken: fn(BodyError) -> WireError,
    ) -> Result<http::Response<WasiBody>, WireError> {
        let (parts, mut body) = response.into_parts();
        let (mut bytes, mut trailers) = (BytesMut::new(), Fields::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(broken)?;
            if let Some(data) = frame.data_ref() {
                bytes.extend_from_slice(data);
            } else if let Ok(found) = frame.into_trailers() {
                trailers = fields(&found);
            }
            if bytes.len() > limits::DURABLE_HTTP_BYTES_MAX {
                return Err(WireError::HttpResponseBodySize(Some(bytes.len() as u64)));
            }
        }
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.insert(self.operation, (bytes.freeze(), trailers));
        let empty = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
        Ok(http::Response::from_parts(parts, empty))
    }
}

impl Exchanges {
    /// A body that the guest is about to write, of a request or of the answer. Where the headers
    /// tell its length they are given.
    pub(super) fn begin_body(
        &mut self,
        body: u32,
        request: Option<u32>,
        headers: Option<&http::HeaderMap>,
    ) {
        let expected = headers
            .and_then(|headers| headers.get(http::header::CONTENT_LENGTH))
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let (finish, whole) = oneshot::channel();
        if let Some(request) = request {
            self.requests.insert(request, Finishing { whole, dropped: None });
        }
        let finish = request.map(|_| finish);
        self.written.insert(body, Written { buffer: Arc::default(), expected, finish });
    }

    /// The stream to write a body.
    pub(super) fn output(&self, body: u32, target: Target, ledger: &Shared) -> WholeOutput {
        let buffer = self.written.get(&body).map(|written| written.buffer.clone());
        WholeOutput { buffer: buffer.unwrap_or_default(), target, ledger: ledger.clone() }
    }

    /// What is needed to send a request. `dropped` is the body as Wasmtime knows it.
    pub(super) fn send(
        &mut self,
        (request, dropped): (u32, Option<HyperOutgoingBody>),
        (operation, key): (u32, String),
        keeper: Arc<Keeper>,
    ) -> Whole {
        let body = self.requests.remove(&request);
        let body = body.map(|body| Finishing { dropped, ..body });
        Whole { keeper, body, operation, key, arrived: self.arrived.clone() }
    }

    pub(super) fn sent(&mut self, future: u32, operation: u32, again: bool) {
        self.futures.insert(future, Sent { operation, again });
    }

    /// The guest takes the body of a response.
    pub(super) fn consume(&mut self, response: u32, body: u32) {
        let bytes = self.responses.remove(&response).unwrap_or_default();
        self.bodies.insert(body, bytes);
    }

    pub(super) fn take_body(&mut self, body: u32) -> Bytes {
        self.bodies.remove(&body).unwrap_or_default()
    }
}

impl State {
    /// `future-incoming-response.get` of a durable invocation.
    pub(super) async fn exchange_get(
        &mut self,
        id: Resource<HostFutureIncomingResponse>,
    ) -> wasmtime::Result<Got> {
        const FUNCTION: Function = Function::HttpResponse;
        let (operation, played) = {
            let mut ledger = lock(&self.ledger);
            (ledger.operations(), ledger.replayed(FUNCTION, 0, "")?)
        };
        if let Some(outcome) = played {
            lock(&self.ledger)
                .watch(|witness| witness.answered((id.rep(), None), operation, &outcome));
            if outcome != Outcome::Pending {
                // Answered: what may be under way to the same end is not needed.
                *self.table.get_mut(&id)? = HostFutureIncomingResponse::Consumed;
            }
            return self.got(outcome);
        }
        let sent =
            self.durable.as_ref().and_then(|it| it.exchanges.futures.get(&id.rep()).copied());
        if sent.is_some_and(|sent| sent.again) {
            self.table.get_mut(&id)?.ready().await;
        }
        let got = HostFutureIncomingResponseTrait::get(&mut self.http(), id)?;
        let outcome = match got {
            None => Outcome::Pending,
            Some(Err(())) => Outcome::Consumed,
            Some(Ok(Err(code))) => Outcome::Failed(faults::to_fault(&code)),
            Some(Ok(Ok(response))) => {
                let response = self.table.delete(response)?;
                let (body, trailers) = self.arrived(sent).unwrap_or_default();
                let headers = fields(&response.headers);
                Outcome::Exchange { status: response.status, headers, body, trailers }
            }
        };
        lock(&self.ledger).record(FUNCTION, 0, "", &outcome);
        if outcome != Outcome::Pending {
            lock(&self.ledger).arrived();
            self.keep_journal().await?;
        }
        self.got(outcome)
    }

    fn arrived(&self, sent: Option<Sent>) -> Option<(Bytes, Fields)> {
        let arrived = &self.durable.as_ref()?.exchanges.arrived;
        arrived.lock().unwrap_or_else(PoisonError::into_inner).remove(&sent?.operation)
    }

    fn got(&mut self, outcome: Outcome) -> wasmtime::Result<Got> {
        Ok(match outcome {
            Outcome::Pending => None,
            Outcome::Consumed => Some(Err(())),
            Outcome::Failed(fault) => Some(Ok(Err(faults::from_fault(&fault)))),
            Outcome::Exchange { status, headers, body, trailers } => {
                let headers = FieldMap::new_immutable(&mut self.hooks, header_map(&headers));
                let rest = Some(HostIncomingBody::new(only_trailers(&trailers)));
                let response = HostIncomingResponse { status, headers, body: rest };
                let response = self.table.push(response)?;
                if let Some(durable) = &mut self.durable {
                    durable.exchanges.responses.insert(response.rep(), body);
                }
                Some(Ok(Ok(response)))
            }
            other => return Err(lock(&self.ledger).unexpected(Function::HttpResponse, &other)),
        })
    }

    /// `outgoing-body.finish` of a durable invocation: the body is whole, and compared by its hash.
    pub(super) fn exchange_finish(
        &mut self,
        body: u32,
        is_answer: bool,
        trailers: Option<http::HeaderMap>,
    ) -> wasmtime::Result<Result<(), ErrorCode>> {
        const FUNCTION: Function = Function::HttpFinish;
        let written = self.durable.as_mut().and_then(|it| it.exchanges.written.remove(&body));
        let (bytes, expected, finish) = match written {
            None => (Bytes::new(), None, None),
            Some(written) => {
                let mut buffer = written.buffer.lock().unwrap_or_else(PoisonError::into_inner);
                (std::mem::take(&mut *buffer).freeze(), written.expected, written.finish)
            }
        };
        let size = match is_answer {
            true => lock(&self.ledger).output.size,
            false => bytes.len() as u64,
        };
        lock(&self.ledger).watch(|witness| witness.finished(body, &bytes));
        let hash = hash_arguments(&[&bytes]).to_le_bytes();
        let arguments = match &trailers {
            Some(trailers) => hash_fields(&[&hash], trailers),
            None => u64::from_le_bytes(hash),
        };
        let outcome = match expected {
            Some(expected) if expected != size => {
                Outcome::Failed(faults::to_fault(&ErrorCode::HttpRequestBodySize(Some(size))))
            }
            _ => Outcome::Done,
        };
        let played = lock(&self.ledger).replayed(FUNCTION, arguments, "")?;
        match played {
            Some(played) if played != outcome => {
                return Err(lock(&self.ledger).unexpected(FUNCTION, &played));
            }
            Some(_) => {}
            None => lock(&self.ledger).record(FUNCTION, arguments, "", &outcome),
        }
        if let Outcome::Failed(fault) = outcome {
            return Ok(Err(faults::from_fault(&fault)));
        }
        if let Some(finish) = finish {
            // Nobody waits for it in a replay, or when the guest has dropped the future.
            let _ = finish.send((bytes, trailers));
        }
        Ok(Ok(()))
    }
}

/// What is left of a body whose bytes are elsewhere.
fn only_trailers(trailers: &[(String, Bytes)]) -> WasiBody {
    let empty = http_body_util::Empty::new().map_err(|never| match never {});
    if trailers.is_empty() {
        return empty.boxed_unsync();
    }
    empty.with_trailers(std::future::ready(Some(Ok(header_map(trailers))))).boxed_unsync()
}

/// A body that is written into memory.
pub(super) struct WholeOutput {
    buffer: Arc<Mutex<BytesMut>>,
    target: Target,
    ledger: Shared,
}

#[async_trait]
impl OutputStream for WholeOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.target == Target::Answer {
            let mut ledger = lock(&self.ledger);
            ledger.output.push(&bytes);
            let limit = limits::RECORD_BODY_BYTES_MAX;
            if ledger.output.size > limit as u64 {
                return Err(StreamError::Trap(wasmtime::Error::new(OutputTooLarge { limit })));
            }
            return Ok(());
        }
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let size = buffer.len() + bytes.len();
        if size > limits::DURABLE_HTTP_BYTES_MAX {
            let code = ErrorCode::HttpRequestBodySize(Some(size as u64));
            return Err(StreamError::LastOperationFailed(wasmtime::Error::new(code)));
        }
        buffer.extend_from_slice(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[async_trait]
impl Pollable for WholeOutput {
    async fn ready(&mut self) {}
}
