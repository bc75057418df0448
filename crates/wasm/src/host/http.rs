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
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, Pollable as _};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::bindings::http::types::{
    ErrorCode, HostFutureIncomingResponse as HostFutureIncomingResponseTrait,
    HostFutureTrailers as HostFutureTrailersTrait, HostIncomingRequest,
    HostIncomingResponse as HostIncomingResponseTrait,
    HostOutgoingRequest as HostOutgoingRequestTrait,
    HostOutgoingResponse as HostOutgoingResponseTrait,
};
use wasmtime_wasi_http::p2::body::{
    HostFutureTrailers, HostIncomingBody, HostOutgoingBody, HyperOutgoingBody,
};
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse,
    HostResponseOutparam,
};
use wasmtime_wasi_http::{
    Error as WireError, FieldMap, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView as _,
};

use super::exchange::Whole;
use super::faults;
use super::fields::{describe_request, fields, hash_fields};
use super::streams::{FixedInput, Incoming, InputBody, Outgoing, Source, Target};
use crate::answer;
use crate::ledger::lock;
use crate::state::State;
use crate::witness::AtOperation;
use nexus_exec::header_map;

const TYPES: &str = "wasi:http/types@0.2.12";
const HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";
/// Pieces of a body between guest and network, and the size of one.
const BODY_PIECES: usize = 8;
const BODY_PIECE_BYTES: usize = 64 << 10;
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
    shadow_bodies(linker)?;
    shadow_exchanges(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Whose a body is follows from the function that made it.
fn shadow_bodies(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[method]incoming-request.consume",
        |mut store: StoreContextMut<'_, State>, (id,)| {
            let state = store.data_mut();
            let body = HostIncomingRequest::consume(&mut state.http(), id)?;
            remember(&mut state.incoming, &body, Source::Input);
            Ok((body,))
        },
    )?;
    types.func_wrap(
        "[method]incoming-response.consume",
        |mut store: StoreContextMut<'_, State>, (id,): (Resource<HostIncomingResponse>,)| {
            let state = store.data_mut();
            let response = id.rep();
            let body = HostIncomingResponseTrait::consume(&mut state.http(), id)?;
            remember(&mut state.incoming, &body, Source::Response);
            if let Ok(body) = &body {
                lock(&state.ledger).watch(|witness| witness.consumes(response, body.rep()));
            }
            if let (Some(durable), Ok(body)) = (&mut state.durable, &body) {
                durable.exchanges.consume(response, body.rep());
            }
            Ok((body,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-response.body",
        |mut store: StoreContextMut<'_, State>, (id,): (Resource<HostOutgoingResponse>,)| {
            let state = store.data_mut();
            let response = Resource::new_borrow(id.rep());
            let body = HostOutgoingResponseTrait::body(&mut state.http(), id)?;
            remember(&mut state.outgoing, &body, Target::Answer);
            if let (Some(durable), Ok(body)) = (&mut state.durable, &body) {
                let response: &HostOutgoingResponse = state.table.get(&response)?;
                durable.exchanges.begin_body(body.rep(), None, &response.headers);
            }
            Ok((body,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.body",
        |mut store: StoreContextMut<'_, State>, (id,): (Resource<HostOutgoingRequest>,)| {
            let state = store.data_mut();
            let request = Resource::new_borrow(id.rep());
            let body = HostOutgoingRequestTrait::body(&mut state.http(), id)?;
            remember(&mut state.outgoing, &body, Target::Request);
            if let Ok(body) = &body {
                let rep = request.rep();
                lock(&state.ledger).watch(|witness| witness.begin_body(rep, body.rep()));
            }
            if let (Some(durable), Ok(body)) = (&mut state.durable, &body) {
                let rep = request.rep();
                let request: &HostOutgoingRequest = state.table.get(&request)?;
                durable.exchanges.begin_body(body.rep(), Some(rep), &request.headers);
            }
            Ok((body,))
        },
    )?;
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

/// Numbers of bodies are used again, so the newest entry of a number is the one that holds.
fn remember<T, S: Copy>(known: &mut Vec<(u32, S)>, body: &Result<Resource<T>, ()>, what: S)
where
    T: 'static,
{
    let Ok(body) = body else { return };
    match known.iter_mut().find(|(rep, _)| *rep == body.rep()) {
        Some(entry) => entry.1 = what,
        None => known.push((body.rep(), what)),
    }
}

fn known<S: Copy>(known: &[(u32, S)], rep: u32) -> Option<S> {
    known.iter().find(|(at, _)| *at == rep).map(|(_, what)| *what)
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

    fn body_stream(
        &mut self,
        id: Resource<HostIncomingBody>,
    ) -> wasmtime::Result<Result<Resource<DynInputStream>, ()>> {
        let Some(inner) = self.table.get_mut(&id)?.take_stream() else { return Ok(Err(())) };
        let source = known(&self.incoming, id.rep()).unwrap_or(Source::Response);
        let inner: Option<DynInputStream> = match &mut self.durable {
            Some(durable) if source == Source::Response => {
                drop(inner);
                let stream: DynInputStream =
                    Box::new(FixedInput::new(durable.exchanges.take_body(id.rep())));
                return Ok(Ok(self.table.push_child(stream, &id)?));
            }
            Some(_) => Some(Box::new(InputBody { ledger: self.ledger.clone() })),
            None if lock(&self.ledger).is_replay() => None,
            None => Some(Box::new(inner)),
        };
        let number = self.next_stream();
        lock(&self.ledger).watch(|witness| witness.reads(id.rep(), number));
        let stream: DynInputStream =
            Box::new(Incoming { inner, number, source, ledger: self.ledger.clone() });
        Ok(Ok(self.table.push_child(stream, &id)?))
    }

    fn body_write(
        &mut self,
        id: Resource<HostOutgoingBody>,
    ) -> wasmtime::Result<Result<Resource<DynOutputStream>, ()>> {
        let Some(inner) = self.table.get_mut(&id)?.take_output_stream() else {
            return Ok(Err(()));
        };
        let target = known(&self.outgoing, id.rep()).unwrap_or(Target::Request);
        if let Some(durable) = &self.durable {
            let stream: DynOutputStream =
                Box::new(durable.exchanges.output(id.rep(), target, &self.ledger));
            return Ok(Ok(self.table.push_child(stream, &id)?));
        }
        let number = self.next_stream();
        let mut ledger = lock(&self.ledger);
        ledger.watch(|witness| witness.writes(id.rep(), number));
        let inner = (!ledger.is_replay()).then_some(inner);
        drop(ledger);
        let stream: DynOutputStream =
            Box::new(Outgoing { inner, number, target, ledger: self.ledger.clone() });
        Ok(Ok(self.table.push_child(stream, &id)?))
    }

    fn body_finish(
        &mut self,
        id: Resource<HostOutgoingBody>,
        trailers: Option<Resource<FieldMap>>,
    ) -> wasmtime::Result<Result<(), ErrorCode>> {
        const FUNCTION: Function = Function::HttpFinish;
        let is_answer = known(&self.outgoing, id.rep()) == Some(Target::Answer);
        let rep = id.rep();
        let body = self.table.delete(id)?;
        let trailers = trailers.map(|trailers| self.table.delete(trailers)).transpose()?;
        let arguments = trailers.as_ref().map_or(0, |trailers| hash_fields(&[], trailers));
        if is_answer && let Some(trailers) = &trailers {
            lock(&self.ledger).answer.trailers = Some((**trailers).clone());
        }
        if self.durable.is_some() {
            let finished = self.exchange_finish(rep, is_answer, trailers.map(Into::into));
            drop(body);
            return finished;
        }
        let replayed = lock(&self.ledger).replayed(FUNCTION, arguments, "")?;
        match replayed {
            Some(Outcome::Done) => return Ok(Ok(())),
            Some(Outcome::Failed(fault)) => return Ok(Err(faults::from_fault(&fault))),
            Some(other) => return Err(lock(&self.ledger).unexpected(FUNCTION, &other)),
            None => {}
        }
        let finished = body.finish(trailers);
        let outcome = match &finished {
            Ok(()) => Outcome::Done,
            Err(code) => Outcome::Failed(faults::to_fault(code)),
        };
        lock(&self.ledger).record(FUNCTION, arguments, "", &outcome);
        Ok(finished)
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

fn no_body() -> HyperOutgoingBody {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
}
