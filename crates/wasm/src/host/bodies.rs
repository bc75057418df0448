//! Bodies of HTTP messages: whose they are, and whether the guest finished them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use nexus_exec::journal::{Function, Outcome};
use nexus_model::limits;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};
use wasmtime_wasi_http::p2::bindings::http::types::{
    ErrorCode, HostIncomingRequest, HostIncomingResponse as HostIncomingResponseTrait,
    HostOutgoingRequest as HostOutgoingRequestTrait,
    HostOutgoingResponse as HostOutgoingResponseTrait,
};
use wasmtime_wasi_http::p2::body::{
    HostIncomingBody, HostOutgoingBody, HyperOutgoingBody, StreamContext,
};
use wasmtime_wasi_http::p2::types::{
    HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse,
};
use wasmtime_wasi_http::{Error as WireError, FieldMap, WasiHttpView as _};

use super::faults;
use super::fields::hash_fields;
use super::http::{BODY_PIECE_BYTES, BODY_PIECES, TYPES};
use super::streams::{FixedInput, Incoming, InputBody, Outgoing, Source, Target};
use crate::ledger::lock;
use crate::state::State;

/// Whose a body is follows from the function that made it.
pub(super) fn shadow(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    super::fields::shadow(&mut types)?;
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
    shadow_written(&mut types)
}

fn shadow_written(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]outgoing-response.body",
        |mut store: StoreContextMut<'_, State>, (id,): (Resource<HostOutgoingResponse>,)| {
            let state = store.data_mut();
            let response = Resource::new_borrow(id.rep());
            let body = match state.bodyless {
                true => unsized_body(state, &response)?,
                false => HostOutgoingResponseTrait::body(&mut state.http(), id)?,
            };
            let finished = state.finished.clone();
            remember(
                &mut state.outgoing,
                &body,
                Written { target: Target::Answer, finished, buffer: None },
            );
            if let (Some(durable), Ok(body)) = (&mut state.durable, &body) {
                let response: &HostOutgoingResponse = state.table.get(&response)?;
                let sized = (!state.bodyless).then_some(&*response.headers);
                durable.exchanges.begin_body(body.rep(), None, sized);
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
            let finished = Arc::<AtomicBool>::default();
            let buffer = Buffer { all: state.buffered.clone(), own: Arc::default() };
            let written = Written {
                target: Target::Request,
                finished: finished.clone(),
                buffer: Some(buffer.clone()),
            };
            remember(&mut state.outgoing, &body, written);
            if let Ok(body) = &body {
                let rep = request.rep();
                let sent: &mut HostOutgoingRequest = state.table.get_mut(&request)?;
                if let Some(whole) = sent.body.take() {
                    let whole = UntilFinished { body: whole, finished, buffer };
                    sent.body = Some(whole.boxed_unsync());
                }
                lock(&state.ledger).watch(|witness| witness.begin_body(rep, body.rep()));
            }
            if let (Some(durable), Ok(body)) = (&mut state.durable, &body) {
                let rep = request.rep();
                let request: &HostOutgoingRequest = state.table.get(&request)?;
                durable.exchanges.begin_body(body.rep(), Some(rep), Some(&request.headers));
            }
            Ok((body,))
        },
    )?;
    Ok(())
}

/// The body of an answer to `HEAD`, which nobody is sent: its headers say how long the body for `GET`
/// would be (RFC 9110, section 9.3.2), and the guest may write that or nothing.
fn unsized_body(
    state: &mut State,
    response: &Resource<HostOutgoingResponse>,
) -> wasmtime::Result<Result<Resource<HostOutgoingBody>, ()>> {
    let response = state.table.get_mut(response)?;
    if response.body.is_some() {
        return Ok(Err(()));
    }
    let (host, body) =
        HostOutgoingBody::new(StreamContext::Response, None, BODY_PIECES, BODY_PIECE_BYTES);
    response.body = Some(body);
    Ok(Ok(state.table.push(host)?))
}

/// Numbers of bodies are used again, so the newest entry of a number is the one that holds.
fn remember<T, S>(known: &mut Vec<(u32, S)>, body: &Result<Resource<T>, ()>, what: S)
where
    T: 'static,
{
    let Ok(body) = body else { return };
    match known.iter_mut().find(|(rep, _)| *rep == body.rep()) {
        Some(entry) => entry.1 = what,
        None => known.push((body.rep(), what)),
    }
}

fn known<S: Clone>(known: &[(u32, S)], rep: u32) -> Option<S> {
    known.iter().find(|(at, _)| *at == rep).map(|(_, what)| what.clone())
}

/// A body that the guest writes.
#[derive(Clone)]
pub(crate) struct Written {
    target: Target,
    /// Only then it is whole: one that is dropped before, or left when the guest ends, is not.
    finished: Arc<AtomicBool>,
    /// Where a request's body waits for the network.
    buffer: Option<Buffer>,
}

/// Bytes that the guest has written and the network has not taken: of one request, and of all of an
/// invocation.
#[derive(Clone)]
pub(super) struct Buffer {
    all: Arc<AtomicUsize>,
    own: Arc<AtomicUsize>,
}

impl Buffer {
    /// Counts bytes before they are written. Fails where all that waits is too much; they count all
    /// the same, until they are removed.
    pub(super) fn add(&self, bytes: usize) -> Result<(), ErrorCode> {
        self.own.fetch_add(bytes, Ordering::Relaxed);
        let limit = limits::OUTBOUND_BUFFER_BYTES_MAX;
        if self.all.fetch_add(bytes, Ordering::Relaxed) + bytes > limit {
            let text = format!("requests that wait to be sent hold more than {limit} bytes");
            return Err(ErrorCode::InternalError(Some(text)));
        }
        Ok(())
    }

    /// Forgets bytes that were taken or not written after all.
    pub(super) fn remove(&self, bytes: usize) {
        let less = |own: usize| Some(own.saturating_sub(bytes));
        let before = self.own.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        let known = before.unwrap_or_default().min(bytes);
        self.all.fetch_sub(known, Ordering::Relaxed);
    }
}

/// A request's body, which is broken off where the guest does not finish it: whoever gets it must not
/// take a part for the whole.
struct UntilFinished {
    body: HyperOutgoingBody,
    finished: Arc<AtomicBool>,
    buffer: Buffer,
}

impl Drop for UntilFinished {
    fn drop(&mut self) {
        self.buffer.remove(usize::MAX);
    }
}

impl Body for UntilFinished {
    type Data = Bytes;
    type Error = WireError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() && !self.finished.load(Ordering::Acquire) {
            return Poll::Ready(Some(Err(WireError::HttpProtocolError)));
        }
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            self.buffer.remove(data.len());
        }
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl State {
    pub(super) fn body_stream(
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

    pub(super) fn body_write(
        &mut self,
        id: Resource<HostOutgoingBody>,
    ) -> wasmtime::Result<Result<Resource<DynOutputStream>, ()>> {
        let Some(inner) = self.table.get_mut(&id)?.take_output_stream() else {
            return Ok(Err(()));
        };
        let written = known(&self.outgoing, id.rep());
        let target = written.as_ref().map_or(Target::Request, |written| written.target);
        let buffer = written.and_then(|written| written.buffer);
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
            Box::new(Outgoing { inner, number, target, buffer, ledger: self.ledger.clone() });
        Ok(Ok(self.table.push_child(stream, &id)?))
    }

    pub(super) fn body_finish(
        &mut self,
        id: Resource<HostOutgoingBody>,
        trailers: Option<Resource<FieldMap>>,
    ) -> wasmtime::Result<Result<(), ErrorCode>> {
        const FUNCTION: Function = Function::HttpFinish;
        let rep = id.rep();
        let written = known(&self.outgoing, rep);
        let is_answer = written.as_ref().is_some_and(|written| written.target == Target::Answer);
        let body = self.table.delete(id)?;
        let trailers = trailers.map(|trailers| self.table.delete(trailers)).transpose()?;
        let arguments = trailers.as_ref().map_or(0, |trailers| hash_fields(&[], trailers));
        if is_answer && let Some(trailers) = &trailers {
            lock(&self.ledger).answer.trailers = Some((**trailers).clone());
        }
        let finished = if self.durable.is_some() {
            let finished = self.exchange_finish(rep, is_answer, trailers.map(Into::into))?;
            drop(body);
            finished
        } else {
            let replayed = lock(&self.ledger).replayed(FUNCTION, arguments, "")?;
            match replayed {
                Some(Outcome::Done) => Ok(()),
                Some(Outcome::Failed(fault)) => Err(faults::from_fault(&fault)),
                Some(other) => return Err(lock(&self.ledger).unexpected(FUNCTION, &other)),
                None => self.finish((body, trailers), written, arguments),
            }
        };
        if is_answer && finished.is_ok() {
            lock(&self.ledger).answer.finished = true;
        }
        Ok(finished)
    }

    /// Ends a body on its way.
    fn finish(
        &mut self,
        (body, trailers): (HostOutgoingBody, Option<FieldMap>),
        written: Option<Written>,
        arguments: u64,
    ) -> Result<(), ErrorCode> {
        // Said first: whoever reads the body may come to its end at once.
        if let Some(written) = &written {
            written.finished.store(true, Ordering::Release);
        }
        let finished = body.finish(trailers);
        let outcome = match &finished {
            Ok(()) => Outcome::Done,
            Err(code) => Outcome::Failed(faults::to_fault(code)),
        };
        lock(&self.ledger).record(Function::HttpFinish, arguments, "", &outcome);
        finished
    }
}

pub(super) fn no_body() -> HyperOutgoingBody {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
}
