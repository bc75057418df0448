//! `wasi:http`: Wasmtime's implementation of fields, requests and responses, with the functions
//! shadowed whose results depend on the network or its timing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use nexus_exec::journal::{Fault, Function, Outcome};
use nexus_exec::{BodyError, CallContext, Host, HttpError, HttpTimeouts};
use nexus_model::limits;
use tokio::sync::Semaphore;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::Pollable as _;
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::bindings::http::types::{
    ErrorCode, HostFutureIncomingResponse as HostFutureIncomingResponseTrait,
    HostFutureTrailers as HostFutureTrailersTrait,
};
use wasmtime_wasi_http::p2::body::{HostFutureTrailers, HostIncomingBody};
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse,
    HostResponseOutparam,
};
use wasmtime_wasi_http::{
    Error as WireError, FieldMap, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView as _,
};

use super::bodies::{self, no_body};
use super::exchange::Whole;
use super::faults;
use super::fields::{describe_request, fields, hash_fields};
use crate::answer;
use crate::ledger::lock;
use crate::state::State;
use crate::witness::AtOperation;
use nexus_exec::header_map;

pub(super) const TYPES: &str = "wasi:http/types@0.2.12";
const HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";
/// Pieces of a body between guest and network, and the size of one.
pub(super) const BODY_PIECES: usize = 8;
pub(super) const BODY_PIECE_BYTES: usize = 64 << 10;
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(600);

/// Sends a guest's requests through the invocation's host.
pub(crate) struct Hooks {
    pub(crate) host: Option<Arc<dyn Host>>,
    pub(crate) context: Arc<CallContext>,
    pub(crate) requests: usize,
    pub(crate) concurrent: Option<Arc<Semaphore>>,
    /// The operation that sends the next request, in a rehearsal.
    pub(crate) operation: Option<u32>,
    /// How the next request is sent, in a durable invocation.
    pub(crate) whole: Option<Whole>,
}

type Sent = Box<dyn Future<Output = Result<(), WireError>> + Send>;
type Sending =
    Box<dyn Future<Output = wasmtime_wasi_http::Result<(http::Response<WasiBody>, Sent)>> + Send>;

impl WasiHttpHooks for Hooks {
    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        BODY_PIECES
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_PIECE_BYTES
    }

    fn send_request(
        &mut self,
        mut request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Sent,
    ) -> Sending {
        if let Some(operation) = self.operation {
            request.extensions_mut().insert(AtOperation(operation));
        }
        let (Some(host), context) = (self.host.clone(), self.context.clone()) else {
            return Box::new(async { Err(WireError::ConfigurationError) });
        };
        let permits = self
            .concurrent
            .get_or_insert_with(|| Arc::new(Semaphore::new(limits::OUTBOUND_CONCURRENT_MAX)))
            .clone();
        let options = options.unwrap_or_default();
        let timeouts = HttpTimeouts {
            connect: options.connect_timeout.unwrap_or(TIMEOUT_DEFAULT),
            first_byte: options.first_byte_timeout.unwrap_or(TIMEOUT_DEFAULT),
            between_bytes: options.between_bytes_timeout.unwrap_or(TIMEOUT_DEFAULT),
        };
        let mut whole = self.whole.take();
        Box::new(async move {
            let request = match &mut whole {
                Some(whole) => whole.request(request).await?,
                None => request.map(|body| body.map_err(BodyError::from).boxed_unsync()),
            };
            let Ok(permit) = permits.acquire_owned().await else {
                return Err(WireError::ConfigurationError);
            };
            let response =
                host.http(&context, request, timeouts).await.map_err(faults::from_host)?;
            let response = match whole {
                Some(whole) => whole.response(response, broken).await?,
                None => response.map(|body| body.map_err(broken).boxed_unsync()),
            };
            let sent: Sent = Box::new(async move {
                drop(permit);
                Ok(())
            });
            Ok((response, sent))
        })
    }
}

fn broken(error: BodyError) -> WireError {
    match error.downcast_ref::<HttpError>() {
        Some(HttpError::TimedOut(_)) => WireError::ConnectionReadTimeout,
        Some(error) => faults::from_host(error.clone()),
        None => WireError::ConnectionTerminated,
    }
}

/// Replaces the functions that depend on the outside.
pub(super) fn shadow(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    bodies::shadow(linker)?;
    shadow_exchanges(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Answers, pieces and ends come from the network or go to it.
fn shadow_exchanges(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_async(
        "[method]future-incoming-response.get",
        |mut store: StoreContextMut<'_, State>, (id,)| {
            Box::new(async move { Ok((store.data_mut().response_get(id).await?,)) })
        },
    )?;
    types.func_wrap_async(
        "[method]future-trailers.get",
        |mut store: StoreContextMut<'_, State>, (id,)| {
            Box::new(async move { Ok((store.data_mut().trailers_get(id).await?,)) })
        },
    )?;
    types.func_wrap(
        "[method]incoming-body.stream",
        |mut store: StoreContextMut<'_, State>, (id,)| Ok((store.data_mut().body_stream(id)?,)),
    )?;
    types.func_wrap(
        "[method]outgoing-body.write",
        |mut store: StoreContextMut<'_, State>, (id,)| Ok((store.data_mut().body_write(id)?,)),
    )?;
    types.func_wrap(
        "[static]outgoing-body.finish",
        |mut store: StoreContextMut<'_, State>, (id, trailers)| {
            Ok((store.data_mut().body_finish(id, trailers)?,))
        },
    )?;
    types.func_wrap(
        "[static]response-outparam.set",
        |mut store: StoreContextMut<'_, State>, (id, response)| {
            store.data_mut().answer(id, response)
        },
    )?;
    linker.instance(HANDLER)?.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, State>, (request, options)| {
            Ok((store.data_mut().handle(request, options)?,))
        },
    )?;
    Ok(())
}

pub(super) type Got = Option<Result<Result<Resource<HostIncomingResponse>, ErrorCode>, ()>>;
type GotTrailers = Option<Result<Result<Option<Resource<FieldMap>>, ErrorCode>, ()>>;

impl State {
    async fn response_get(
        &mut self,
        id: Resource<HostFutureIncomingResponse>,
    ) -> wasmtime::Result<Got> {
        const FUNCTION: Function = Function::HttpResponse;
        if self.durable.is_some() {
            return self.exchange_get(id).await;
        }
        let future = id.rep();
        let (operation, replayed) = {
            let mut ledger = lock(&self.ledger);
            (ledger.operations(), ledger.replayed(FUNCTION, 0, "")?)
        };
        if let Some(outcome) = replayed {
            let seen = outcome.clone();
            let got = match outcome {
                Outcome::Pending => None,
                Outcome::Consumed => Some(Err(())),
                Outcome::Failed(fault) => Some(Ok(Err(faults::from_fault(&fault)))),
                Outcome::Head { status, headers } => {
                    let headers = FieldMap::new_immutable(&mut self.hooks, header_map(&headers));
                    let body = Some(HostIncomingBody::new(no_body()));
                    let response = HostIncomingResponse { status, headers, body };
                    Some(Ok(Ok(self.table.push(response)?)))
                }
                other => return Err(lock(&self.ledger).unexpected(FUNCTION, &other)),
            };
            let response =
                got.as_ref().and_then(|got| Some(got.as_ref().ok()?.as_ref().ok()?.rep()));
            lock(&self.ledger)
                .watch(|witness| witness.answered((future, response), operation, &seen));
            return Ok(got);
        }
        let mut got = HostFutureIncomingResponseTrait::get(&mut self.http(), id)?;
        let outcome = match &mut got {
            None => Outcome::Pending,
            Some(Err(())) => Outcome::Consumed,
            Some(Ok(Err(code))) => {
                let fault = faults::to_fault(code);
                *code = faults::from_fault(&fault);
                Outcome::Failed(fault)
            }
            Some(Ok(Ok(response))) => {
                let response = self.table.get(response)?;
                Outcome::Head { status: response.status, headers: fields(&response.headers) }
            }
        };
        let mut ledger = lock(&self.ledger);
        if outcome != Outcome::Pending {
            ledger.arrived();
        }
        ledger.record(FUNCTION, 0, "", &outcome);
        drop(ledger);
        Ok(got)
    }

    async fn trailers_get(
        &mut self,
        id: Resource<HostFutureTrailers>,
    ) -> wasmtime::Result<GotTrailers> {
        const FUNCTION: Function = Function::HttpTrailers;
        let replayed = lock(&self.ledger).replayed(FUNCTION, 0, "")?;
        if let Some(outcome) = replayed {
            *self.table.get_mut(&id)? = HostFutureTrailers::Consumed;
            return Ok(match outcome {
                Outcome::Pending => None,
                Outcome::Consumed => Some(Err(())),
                Outcome::Failed(fault) => Some(Ok(Err(faults::from_fault(&fault)))),
                Outcome::Trailers(None) => Some(Ok(Ok(None))),
                Outcome::Trailers(Some(trailers)) => {
                    let trailers = FieldMap::new_immutable(&mut self.hooks, header_map(&trailers));
                    Some(Ok(Ok(Some(self.table.push(trailers)?))))
                }
                other => return Err(lock(&self.ledger).unexpected(FUNCTION, &other)),
            });
        }
        if self.durable.is_some() {
            // All of a body is there: this waits for nothing.
            self.table.get_mut(&id)?.ready().await;
        }
        let mut got = HostFutureTrailersTrait::get(&mut self.http(), id)?;
        let outcome = match &mut got {
            None => Outcome::Pending,
            Some(Err(())) => Outcome::Consumed,
            Some(Ok(Err(code))) => {
                let fault = faults::to_fault(code);
                *code = faults::from_fault(&fault);
                Outcome::Failed(fault)
            }
            Some(Ok(Ok(None))) => Outcome::Trailers(None),
            Some(Ok(Ok(Some(trailers)))) => {
                Outcome::Trailers(Some(fields(self.table.get(trailers)?)))
            }
        };
        lock(&self.ledger).record(FUNCTION, 0, "", &outcome);
        Ok(got)
    }

    fn handle(
        &mut self,
        request: Resource<HostOutgoingRequest>,
        options: Option<Resource<RequestOptions>>,
    ) -> wasmtime::Result<Result<Resource<HostFutureIncomingResponse>, ErrorCode>> {
        const FUNCTION: Function = Function::HttpHandle;
        let (text, arguments) = describe_request(self.table.get(&request)?);
        let (operation, watched, replayed) = {
            let mut ledger = lock(&self.ledger);
            let watched = ledger.witness.is_some();
            (ledger.operations(), watched, ledger.replayed(FUNCTION, arguments, &text)?)
        };
        let (number, headers) = (request.rep(), &self.table.get(&request)?.headers);
        let headers: Option<http::HeaderMap> = watched.then(|| (**headers).clone());
        match replayed {
            // What was under way when the journal ended is sent again once it is repeated.
            Some(Outcome::Done) if self.is_durable_live() => {
                let sent = self.send(request, options, operation)?;
                return sent.map(Ok).map_err(|code| wasmtime::Error::msg(format!("{code:?}")));
            }
            Some(Outcome::Done) => {
                self.table.delete(request)?;
                let future = self.table.push(HostFutureIncomingResponse::Consumed)?;
                if let Some(headers) = &headers {
                    let (call, rep) = ((operation, text), Some(future.rep()));
                    lock(&self.ledger).watch(|witness| {
                        witness.sent((number, rep), call, headers, Outcome::Pending)
                    });
                }
                return Ok(Ok(future));
            }
            Some(Outcome::Failed(fault)) => {
                self.table.delete(request)?;
                if let Some(headers) = &headers {
                    let failed = Outcome::Failed(fault.clone());
                    let call = (operation, text);
                    lock(&self.ledger)
                        .watch(|witness| witness.sent((number, None), call, headers, failed));
                }
                return Ok(Err(faults::from_fault(&fault)));
            }
            Some(other) => return Err(lock(&self.ledger).unexpected(FUNCTION, &other)),
            None => {}
        }
        let handled = self.send(request, options, operation)?;
        let (outcome, handled) = match handled {
            Ok(future) => (Outcome::Done, Ok(future)),
            Err(code) => {
                let fault: Fault = faults::to_fault(&code);
                let code = faults::from_fault(&fault);
                (Outcome::Failed(fault), Err(code))
            }
        };
        lock(&self.ledger).record(FUNCTION, arguments, &text, &outcome);
        Ok(handled)
    }

    /// Begins to send a request.
    fn send(
        &mut self,
        request: Resource<HostOutgoingRequest>,
        options: Option<Resource<RequestOptions>>,
        operation: u32,
    ) -> wasmtime::Result<Result<Resource<HostFutureIncomingResponse>, ErrorCode>> {
        self.hooks.requests += 1;
        if self.hooks.requests > limits::OUTBOUND_REQUESTS_MAX {
            self.table.delete(request)?;
            return Ok(Err(ErrorCode::ConnectionLimitReached));
        }
        if let Some(durable) = &mut self.durable
            && let Some(keeper) = &durable.keeper
        {
            let body = &mut self.table.get_mut(&request)?.body;
            let dropped = body.replace(no_body());
            if dropped.is_none() {
                *body = None;
            }
            let key = format!("{}-{operation}", self.context.id);
            let begun = (request.rep(), dropped);
            let whole = durable.exchanges.send(begun, (operation, key), keeper.clone());
            self.hooks.whole = Some(whole);
        }
        self.hooks.operation = lock(&self.ledger).sends().then_some(operation);
        let handled = outgoing_handler::Host::handle(&mut self.http(), request, options);
        self.hooks.whole = None;
        Ok(match handled {
            Ok(future) => {
                let again = lock(&self.ledger).is_resuming();
                if let Some(durable) = &mut self.durable {
                    durable.exchanges.sent(future.rep(), operation, again);
                }
                Ok(future)
            }
            Err(error) => {
                lock(&self.ledger).not_sent();
                Err(error.downcast()?)
            }
        })
    }

    fn answer(
        &mut self,
        id: Resource<HostResponseOutparam>,
        response: Result<Resource<HostOutgoingResponse>, ErrorCode>,
    ) -> wasmtime::Result<()> {
        self.table.delete(id)?;
        let response = match response {
            Ok(response) => self.table.delete(response)?,
            Err(code) => {
                let text = format!("{code:?}");
                let mut ledger = lock(&self.ledger);
                ledger.note(Function::HttpRespond, 0, &text)?;
                ledger.answer.refused = Some(text);
                ledger.answer.at = Some(Instant::now());
                return Ok(());
            }
        };
        let status = response.status;
        let text = status.as_u16().to_string();
        let arguments = hash_fields(&[text.as_bytes()], &response.headers);
        {
            let mut ledger = lock(&self.ledger);
            ledger.note(Function::HttpRespond, arguments, &text)?;
            ledger.answer.head = Some((status.as_u16(), (*response.headers).clone()));
            ledger.answer.has_body = response.body.is_some();
            ledger.answer.at = Some(Instant::now());
            // The answer of a durable invocation goes out when it has ended.
            if ledger.is_replay() || self.durable.is_some() {
                return Ok(());
            }
        }
        answer::deliver(self, response);
        Ok(())
    }
}
