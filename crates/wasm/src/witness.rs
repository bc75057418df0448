//! Watches what a guest asks of the world: effects with their arguments, as they are compared
//! between versions. In a replay the answers come from the journal; in a rehearsal the guest is
//! answered from a script.
//!
//! Requests of a replay are put together from what passes the streams, because nothing lies beneath
//! them; those of a rehearsal are whole when they reach the [`Stage`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use nexus_exec::journal::{Function, Outcome};
use nexus_exec::rehearsal::{Effect, Script};
use nexus_exec::{
    Body, CallContext, CallError, EmitError, FunctionCall, Host, HttpError, HttpTimeouts, Keyed,
    Namespace, Payload, Piece, StartOptions, Started, StateAppend, StateError, StateKey, StateScan,
    StateWrite, Unavailable, Unit, header_map,
};
use nexus_model::{Event, EventId, InvocationId};
use serde_json::{Value, json};

use crate::finish::{mask_text, secrets};
use crate::ledger::{Shared, Tape, lock};

/// What a guest hears that asks for something that the recording does not have.
pub(crate) const NOT_RECORDED: &str =
    "the recording has no answer to this; nothing is performed outside of it";

/// Effects of a replay as they become known.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    effects: Vec<Effect>,
    /// Bodies of requests, by the request and by the stream that writes them: the place of their
    /// bytes.
    requests: HashMap<u32, usize>,
    bodies: HashMap<u32, usize>,
    writers: HashMap<u32, usize>,
    written: Vec<BytesMut>,
    /// Which of the bytes belong to which effect.
    sent: Vec<(usize, usize)>,
    /// Effects by the future of the answer, the response, its body, and the stream that reads it.
    futures: HashMap<u32, usize>,
    responses: HashMap<u32, usize>,
    incoming: HashMap<u32, usize>,
    readers: HashMap<u32, usize>,
}

impl Witness {
    /// Something other than a request.
    pub(crate) fn saw(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn begin_body(&mut self, request: u32, body: u32) {
        let place = self.written.len();
        self.written.push(BytesMut::new());
        self.requests.insert(request, place);
        self.bodies.insert(body, place);
    }

    pub(crate) fn writes(&mut self, body: u32, stream: u32) {
        if let Some(place) = self.bodies.get(&body) {
            self.writers.insert(stream, *place);
        }
    }

    pub(crate) fn wrote(&mut self, stream: u32, bytes: &[u8]) {
        if let Some(place) = self.writers.get(&stream) {
            self.written[*place].extend_from_slice(bytes);
        }
    }

    /// The body of a durable invocation's request, which is whole.
    pub(crate) fn finished(&mut self, body: u32, bytes: &[u8]) {
        if let Some(place) = self.bodies.get(&body) {
            self.written[*place] = BytesMut::from(bytes);
        }
    }

    /// A request left; `future` stands for its answer unless it failed at once.
    pub(crate) fn sent(
        &mut self,
        (request, future): (u32, Option<u32>),
        (operation, target): (u32, String),
        headers: &http::HeaderMap,
        outcome: Outcome,
    ) {
        let at = self.effects.len();
        if let Some(future) = future {
            self.futures.insert(future, at);
        }
        if let Some(place) = self.requests.remove(&request) {
            self.sent.push((at, place));
        }
        let details = json!({ "headers": header_details(headers) });
        let function = Function::HttpHandle;
        let answered = None;
        let effect =
            Effect { operation, function, target, details, outcome, answered, whole: true };
        self.effects.push(effect);
    }

    /// The answer to a request, or its head. `response` is what the guest holds of it.
    pub(crate) fn answered(
        &mut self,
        (future, response): (u32, Option<u32>),
        operation: u32,
        outcome: &Outcome,
    ) {
        let Some(at) = self.futures.get(&future).copied() else { return };
        let effect = &mut self.effects[at];
        if !matches!(outcome, Outcome::Pending | Outcome::Consumed) {
            effect.answered = Some(operation);
        }
        match outcome {
            Outcome::Head { status, headers } => {
                effect.outcome = Outcome::Exchange {
                    status: *status,
                    headers: headers.clone(),
                    body: Bytes::new(),
                    trailers: Vec::new(),
                };
                effect.whole = false;
                if let Some(response) = response {
                    self.responses.insert(response, at);
                }
            }
            Outcome::Exchange { .. } | Outcome::Failed(_) => effect.outcome = outcome.clone(),
            _ => {}
        }
    }

    pub(crate) fn consumes(&mut self, response: u32, body: u32) {
        if let Some(at) = self.responses.get(&response) {
            self.incoming.insert(body, *at);
        }
    }

    pub(crate) fn reads(&mut self, body: u32, stream: u32) {
        if let Some(at) = self.incoming.get(&body) {
            self.readers.insert(stream, *at);
        }
    }

    pub(crate) fn read(&mut self, stream: u32, outcome: &Outcome) {
        let Some(at) = self.readers.get(&stream).copied() else { return };
        let effect = &mut self.effects[at];
        let Outcome::Exchange { body, .. } = &mut effect.outcome else { return };
        match outcome {
            Outcome::Bytes(bytes) if !bytes.is_empty() => {
                let mut whole = BytesMut::from(&body[..]);
                whole.extend_from_slice(bytes);
                *body = whole.freeze();
            }
            Outcome::Closed => effect.whole = true,
            _ => {}
        }
    }

    /// Everything that was seen, in the order of operations, without the values of secrets.
    pub(crate) fn finish(mut self, unit: &Unit) -> Vec<Effect> {
        for (at, place) in self.sent {
            self.effects[at].details["body"] = body_details(&self.written[place]);
        }
        for effect in &mut self.effects {
            if effect.function == Function::HttpHandle && effect.details.get("body").is_none() {
                effect.details["body"] = Value::Null;
            }
            mask(&mut effect.details, unit);
        }
        self.effects.sort_by_key(|effect| effect.operation);
        self.effects
    }
}

/// Header fields as details, without those that only concern one connection.
fn header_details(headers: &http::HeaderMap) -> Value {
    let mut fields: Vec<(&str, String)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into()))
        .filter(|(name, _)| !matches!(*name, "host" | "content-length" | "transfer-encoding"))
        .collect();
    fields.sort();
    json!(fields)
}

/// Bytes as details: JSON as it is, text as a string, and anything else in base64.
pub(crate) fn body_details(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    if let Ok(value) = serde_json::from_slice(bytes) {
        return value;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => json!({ "base64": base64::engine::general_purpose::STANDARD.encode(bytes) }),
    }
}

/// Replaces the values of secrets. Both versions are seen without them, so that a secret with a new
/// value is no difference.
fn mask(details: &mut Value, unit: &Unit) {
    match details {
        Value::String(text) => {
            secrets(unit).iter().for_each(|(_, secret)| mask_text(text, secret));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, unit)),
        Value::Object(fields) => fields.values_mut().for_each(|value| mask(value, unit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The operation that sends a request.
#[derive(Clone, Copy)]
pub(crate) struct AtOperation(pub(crate) u32);

/// The world of a rehearsal: it notes what it is asked for, performs nothing, and answers requests
/// from the script. Other answers are put in its callers' place.
pub(crate) struct Stage {
    unit: Arc<Unit>,
    ledger: Option<Shared>,
    noted: Mutex<Vec<(String, Value)>>,
}

impl Stage {
    /// One that only notes.
    pub(crate) fn notes(unit: Arc<Unit>) -> Arc<Self> {
        Arc::new(Stage { unit, ledger: None, noted: Mutex::default() })
    }

    /// One that answers requests from the script in this ledger.
    pub(crate) fn of(unit: Arc<Unit>, ledger: Shared) -> Arc<Self> {
        Arc::new(Stage { unit, ledger: Some(ledger), noted: Mutex::default() })
    }

    fn note(&self, target: impl Into<String>, mut details: Value) {
        mask(&mut details, &self.unit);
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push((target.into(), details));
    }

    /// What was asked for; nothing where the guest's arguments were refused before.
    pub(crate) fn take(&self) -> Option<(String, Value)> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut noted = std::mem::take(&mut *noted);
        match noted.len() {
            0 | 1 => noted.pop(),
            _ => {
                let targets: Vec<&str> = noted.iter().map(|(target, _)| &**target).collect();
                let target = targets.join(", ");
                Some((target, noted.into_iter().map(|(_, details)| details).collect()))
            }
        }
    }
}

fn payload_details(payload: &Payload) -> Value {
    json!({ "content-type": payload.content_type, "data": body_details(&payload.data) })
}

fn key_target(key: &StateKey) -> String {
    match &key.namespace {
        Namespace::Own => key.key.clone(),
        Namespace::Shared(shared) => format!("{shared}: {}", key.key),
    }
}

fn unavailable<T>() -> Result<T, StateError> {
    Err(StateError::Unavailable(NOT_RECORDED.to_owned()))
}

#[async_trait]
impl Host for Stage {
    async fn http(
        &self,
        _: &CallContext,
        request: http::Request<Body>,
        _: HttpTimeouts,
    ) -> Result<http::Response<Body>, HttpError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| HttpError::Broken(error.to_string()))?;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let scheme = parts.uri.scheme_str().unwrap_or("https");
        let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
        let target = format!("{} {scheme}://{authority}{path}", parts.method);
        let mut headers = parts.headers;
        headers.remove("idempotency-key");
        let mut details = json!({
            "headers": header_details(&headers),
            "body": body_details(&body.to_bytes()),
        });
        mask(&mut details, &self.unit);
        let operation = parts.extensions.get::<AtOperation>().map_or(u32::MAX, |at| at.0);
        self.exchange((&target, details), operation).await
    }

    async fn emit(&self, _: &CallContext, events: Vec<Event>) -> Result<Vec<EventId>, EmitError> {
        let mut types: Vec<&str> = events.iter().map(|event| &*event.ty).collect();
        types.dedup();
        let details = |event: &Event| {
            let mut value: Value = serde_json::from_slice(&event.to_json()).unwrap_or_default();
            if let (Some(map), Some(data)) = (value.as_object_mut(), &event.data) {
                map.remove("data_base64");
                map.insert("data".to_owned(), body_details(data));
            }
            value
        };
        self.note(types.join(", "), events.iter().map(details).collect());
        Err(EmitError::Unavailable(NOT_RECORDED.to_owned()))
    }

    async fn persist(&self, _: &CallContext, _: Piece) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn call(&self, _: &CallContext, call: FunctionCall) -> Result<Payload, CallError> {
        self.note(call.function, payload_details(&call.payload));
        Err(CallError::Unavailable(NOT_RECORDED.to_owned()))
    }

    async fn start(
        &self,
        _: &CallContext,
        call: FunctionCall,
        options: StartOptions,
    ) -> Result<InvocationId, CallError> {
        let mut details = payload_details(&call.payload);
        details["delay-ms"] = json!(options.delay.as_millis() as u64);
        details["ordering-key"] = json!(options.ordering_key);
        self.note(call.function, details);
        Err(CallError::Unavailable(NOT_RECORDED.to_owned()))
    }

    async fn outcome(&self, _: &CallContext, id: InvocationId) -> Result<Started, CallError> {
        self.note(id.to_string(), Value::Null);
        Err(CallError::Unavailable(NOT_RECORDED.to_owned()))
    }

    async fn state_get(&self, _: &CallContext, key: StateKey) -> Result<Option<Keyed>, StateError> {
        self.note(key_target(&key), Value::Null);
        unavailable()
    }

    async fn state_write(&self, _: &CallContext, write: StateWrite) -> Result<u64, StateError> {
        let details = json!({
            "value": write.value.as_ref().map(|value| body_details(value)),
            "expected": write.expected,
        });
        self.note(key_target(&write.key), details);
        unavailable()
    }

    async fn state_scan(&self, _: &CallContext, scan: StateScan) -> Result<Vec<Keyed>, StateError> {
        self.note(key_target(&scan.prefix), json!({ "after": scan.after, "max": scan.max }));
        unavailable()
    }

    async fn stream_append(&self, _: &CallContext, append: StateAppend) -> Result<u64, StateError> {
        let events: Vec<Value> = append.events.iter().map(|event| body_details(event)).collect();
        let details = json!({ "events": events, "expected": append.expected });
        self.note(key_target(&append.stream), details);
        unavailable()
    }

    async fn stream_read(
        &self,
        _: &CallContext,
        stream: StateKey,
        (after, max): (u64, u32),
    ) -> Result<Vec<Keyed>, StateError> {
        self.note(key_target(&stream), json!({ "after": after, "max": max }));
        unavailable()
    }
}

impl Stage {
    async fn exchange(
        &self,
        (target, details): (&str, Value),
        operation: u32,
    ) -> Result<http::Response<Body>, HttpError> {
        let answer = self.script(|script| script.exchange((target, details), operation)).flatten();
        if answer.as_ref().is_some_and(|(outcome, _)| *outcome != Outcome::Pending) {
            self.turn(operation).await;
        }
        match answer {
            None => Err(HttpError::Denied(NOT_RECORDED.to_owned())),
            Some((Outcome::Exchange { status, headers, body, trailers }, whole)) => {
                Ok(response((status, &headers), body, (&trailers, whole)))
            }
            Some((Outcome::Failed(fault), _)) => Err(crate::host::host_error(&fault)),
            // It was never answered in the recording either.
            Some(_) => std::future::pending().await,
        }
    }

    fn script<R>(&self, work: impl FnOnce(&mut Script) -> R) -> Option<R> {
        match &mut lock(self.ledger.as_ref()?).tape {
            Tape::Rehearse(script) => Some(work(script)),
            _ => None,
        }
    }

    /// Waits for the turn of an answer. A guest that does not wait for the answer whose turn it is
    /// holds up the others for a short while only.
    async fn turn(&self, operation: u32) {
        for round in 0.. {
            let anyway = round > TURN_YIELDS + TURN_WAITS;
            if self.script(|script| script.delivers(operation, anyway)) != Some(false) {
                return;
            }
            match round {
                0..TURN_YIELDS => tokio::task::yield_now().await,
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }
}

/// How often an answer lets others go first before it waits for real, and how often it does that
/// before it does not wait for its turn any more.
const TURN_YIELDS: u32 = 1_000;
const TURN_WAITS: u32 = 50;

fn response(
    (status, headers): (u16, &[(String, Bytes)]),
    body: Bytes,
    (trailers, whole): (&[(String, Bytes)], bool),
) -> http::Response<Body> {
    let rest = match whole {
        true => None,
        // What the recorded version did not read is not known.
        false => Some(Err(HttpError::Broken(NOT_RECORDED.to_owned()).into())),
    };
    let trailers = (!trailers.is_empty()).then(|| http_body::Frame::trailers(header_map(trailers)));
    let frames = [Some(Ok(http_body::Frame::data(body))), rest, trailers.map(Ok)];
    let frames = futures::stream::iter(frames.into_iter().flatten());
    let mut response = http::Response::new(http_body_util::StreamBody::new(frames).boxed_unsync());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    *response.headers_mut() = header_map(headers);
    response
}
