//! The world outside of a durable function: it honours idempotency keys, keeps journals, and can
//! make the node crash at any piece.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use nexus_exec::{
    Body, CallContext, CallError, CallFailure, EmitError, FunctionCall, Host, HttpError,
    HttpTimeouts, Keyed, Namespace, Payload, Piece, Progress, Signal, StartOptions, Started,
    StateAppend, StateError, StateKey, StateScan, StateWrite, Unavailable,
};
use nexus_model::{Code, Event, EventId, IdMint, InvocationId, Partition, SystemClock};
use tokio::sync::Notify;

/// When a crash happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Crash {
    /// Before the piece of this number is on disk.
    Before(usize),
    /// After it is.
    After(usize),
}

/// What was seen and kept.
#[derive(Default)]
pub(crate) struct Seen {
    pub pieces: Vec<Bytes>,
    /// Requests with their keys, as often as they came: key, path, body.
    pub requests: Vec<(String, String, String)>,
    /// The `tracestate` that goes with each of them.
    pub tracestates: Vec<Option<Arc<str>>>,
    pub answers: HashMap<String, String>,
    pub emitted: BTreeMap<(String, String), EventId>,
    pub calls: BTreeMap<String, String>,
    pub started: BTreeMap<String, InvocationId>,
    pub keys: BTreeMap<(String, String), (u64, Bytes)>,
    pub streams: BTreeMap<(String, String), Vec<Bytes>>,
    pub operations: HashMap<String, u64>,
    pub writes: u64,
    pub signals: Vec<(String, Payload)>,
    pub taken: Vec<[u8; 16]>,
    pub progress: Vec<Progress>,
    pub refuse_pieces: bool,
}

#[derive(Default)]
pub(crate) struct Outside {
    /// All events, also those that came twice.
    pub emitted: Mutex<Vec<Event>>,
    pub requests: AtomicUsize,
    seen: Mutex<Seen>,
    crash: Mutex<Option<Crash>>,
    pub crashed: Notify,
}

impl Outside {
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    pub(crate) fn crash_at(&self, crash: Option<Crash>) {
        *self.crash.lock().unwrap() = crash;
    }

    /// All that was persisted.
    pub(crate) fn journal(&self) -> Bytes {
        self.seen().pieces.concat().into()
    }

    async fn crash(&self) -> ! {
        self.crashed.notify_one();
        std::future::pending().await
    }
}

/// The id of the signal that came as this one.
pub(crate) fn signal_id(number: usize) -> [u8; 16] {
    (number as u128).to_be_bytes()
}

fn place(context: &CallContext, key: &StateKey) -> (String, String) {
    let namespace = match &key.namespace {
        Namespace::Own => format!("own {}", context.function),
        Namespace::Shared(name) => format!("shared {name}"),
    };
    (namespace, key.key.clone())
}

fn json(text: impl Into<String>) -> Payload {
    Payload { content_type: "application/json".into(), data: Bytes::from(text.into()) }
}

#[async_trait]
impl Host for Outside {
    async fn http(
        &self,
        context: &CallContext,
        request: http::Request<Body>,
        _: HttpTimeouts,
    ) -> Result<http::Response<Body>, HttpError> {
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        let key = request.headers().get("idempotency-key").map(|key| key.to_str().unwrap());
        let Some(key) = key.map(str::to_owned) else {
            return super::world::upstream(count, request).await;
        };
        let path = request.uri().path().to_owned();
        let body =
            request.into_body().collect().await.map_err(|e| HttpError::Broken(e.to_string()));
        let body = String::from_utf8(body?.to_bytes().to_vec()).unwrap();
        self.seen().requests.push((key.clone(), path.clone(), body));
        self.seen().tracestates.push(context.tracestate.clone());
        if path == "/slow" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if path == "/large" {
            return Ok(http::Response::new(nexus_exec::full_body(vec![b'x'; 9 << 20])));
        }
        let mut seen = self.seen();
        let answer = seen.answers.entry(key).or_insert_with(|| format!("answer to {path}")).clone();
        Ok(http::Response::new(nexus_exec::full_body(answer)))
    }

    async fn emit(&self, _: &CallContext, events: Vec<Event>) -> Result<Vec<EventId>, EmitError> {
        let mint = IdMint::new(Arc::new(SystemClock), 1);
        self.emitted.lock().unwrap().extend(events.clone());
        let mut seen = self.seen();
        let id = |event: Event| {
            let new = || mint.mint(Partition::of("p", "k"));
            *seen.emitted.entry((event.source, event.id)).or_insert_with(new)
        };
        Ok(events.into_iter().map(id).collect())
    }

    fn progress(&self, _: &CallContext, progress: Progress) {
        self.seen().progress.push(progress);
    }

    async fn persist(&self, _: &CallContext, piece: Piece) -> Result<(), Unavailable> {
        let crash = *self.crash.lock().unwrap();
        let number = self.seen().pieces.len();
        if crash == Some(Crash::Before(number)) {
            self.crash().await;
        }
        if self.seen().refuse_pieces {
            return Err(Unavailable("the disk is full".into()));
        }
        self.seen().pieces.push(piece.bytes);
        self.seen().taken.extend(piece.signals);
        if crash == Some(Crash::After(number)) {
            self.crash().await;
        }
        Ok(())
    }

    async fn signal(&self, _: &CallContext, name: &str) -> Result<Option<Signal>, Unavailable> {
        let seen = self.seen();
        let mut left = seen
            .signals
            .iter()
            .enumerate()
            .filter(|(id, (at, _))| at == name && !seen.taken.contains(&signal_id(*id)));
        Ok(left
            .next()
            .map(|(id, (_, payload))| Signal { id: signal_id(id), payload: payload.clone() }))
    }

    async fn call(&self, _: &CallContext, call: FunctionCall) -> Result<Payload, CallError> {
        let FunctionCall { function, key, .. } = call;
        match function.as_str() {
            "missing" => Err(CallError::NotFound("no function 'missing'".into())),
            "refuses" => {
                let message = "it does not like it".to_owned();
                Err(CallError::Failed(CallFailure { code: Code::GuestRefused, message }))
            }
            _ => {
                self.seen().calls.insert(key, function.clone());
                Ok(json(format!("\"{function} done\"")))
            }
        }
    }

    async fn start(
        &self,
        _: &CallContext,
        call: FunctionCall,
        _: StartOptions,
    ) -> Result<InvocationId, CallError> {
        let mint = IdMint::new(Arc::new(SystemClock), 2);
        let new = || mint.mint(Partition::of("p", "k"));
        Ok(*self.seen().started.entry(call.key).or_insert_with(new))
    }

    async fn outcome(&self, _: &CallContext, id: InvocationId) -> Result<Started, CallError> {
        match self.seen().started.values().any(|started| *started == id) {
            true => Ok(Started::Succeeded(json("\"done\""))),
            false => Err(CallError::NotFound(id.to_string())),
        }
    }

    async fn state_get(
        &self,
        context: &CallContext,
        key: StateKey,
    ) -> Result<Option<Keyed>, StateError> {
        let seen = self.seen();
        let found = seen.keys.get(&place(context, &key));
        Ok(found.map(|(version, value)| Keyed {
            key: key.key,
            version: *version,
            value: value.clone(),
        }))
    }

    async fn state_write(
        &self,
        context: &CallContext,
        write: StateWrite,
    ) -> Result<u64, StateError> {
        let mut seen = self.seen();
        if let Some(done) = write.operation.as_ref().and_then(|name| seen.operations.get(name)) {
            return Ok(*done);
        }
        let place = place(context, &write.key);
        let version = seen.keys.get(&place).map_or(0, |(version, _)| *version);
        if write.expected.is_some_and(|expected| expected != version) {
            return Err(StateError::Conflict { version });
        }
        seen.writes += 1;
        let version = match write.value {
            Some(value) => {
                let version = seen.writes;
                seen.keys.insert(place, (version, value));
                version
            }
            None => {
                seen.keys.remove(&place);
                0
            }
        };
        seen.operations.extend(write.operation.map(|name| (name, version)));
        Ok(version)
    }

    async fn state_scan(
        &self,
        context: &CallContext,
        scan: StateScan,
    ) -> Result<Vec<Keyed>, StateError> {
        let (namespace, prefix) = place(context, &scan.prefix);
        let seen = self.seen();
        let found = seen.keys.iter().filter(|((at, key), _)| {
            *at == namespace && key.starts_with(&prefix) && *key > scan.after
        });
        let keyed = |((_, key), (version, value)): (&(String, String), &(u64, Bytes))| Keyed {
            key: key.clone(),
            version: *version,
            value: value.clone(),
        };
        Ok(found.take(scan.max as usize).map(keyed).collect())
    }

    async fn stream_append(
        &self,
        context: &CallContext,
        append: StateAppend,
    ) -> Result<u64, StateError> {
        let mut seen = self.seen();
        if let Some(done) = append.operation.as_ref().and_then(|name| seen.operations.get(name)) {
            return Ok(*done);
        }
        let stream = seen.streams.entry(place(context, &append.stream)).or_default();
        let version = stream.len() as u64;
        if append.expected.is_some_and(|expected| expected != version) {
            return Err(StateError::Conflict { version });
        }
        stream.extend(append.events);
        let version = stream.len() as u64;
        seen.operations.extend(append.operation.map(|name| (name, version)));
        Ok(version)
    }

    async fn stream_read(
        &self,
        context: &CallContext,
        stream: StateKey,
        (after, max): (u64, u32),
    ) -> Result<Vec<Keyed>, StateError> {
        let seen = self.seen();
        let events = seen.streams.get(&place(context, &stream)).cloned().unwrap_or_default();
        let keyed = |(at, value)| Keyed { key: String::new(), version: at as u64 + 1, value };
        let events = events.into_iter().enumerate().map(keyed);
        Ok(events.skip(after as usize).take(max as usize).collect())
    }
}
