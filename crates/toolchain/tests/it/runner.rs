//! Runs a built component, as the server would, and replays what it did.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use nexus_exec::{
    Body, Call, CallContext, CallError, CallFailure, CallInput, Cancel, CapturedBody, EmitError,
    Ended, Error, FunctionCall, Host, HttpError, HttpTimeouts, Keyed, Namespace, Payload, Piece,
    Prepared, Recording, Replayed, Runtime as _, Signal, StartOptions, Started, StateAppend,
    StateError, StateKey, StateScan, StateWrite, Unavailable, Unit, UnitLimits, full_body,
};
use nexus_model::record::{
    Body as StoredBody, Header, HttpInput, Input, InvocationRecord, Meta, Output, input,
};
use nexus_model::resource::World;
use nexus_model::{
    Clock as _, Code, Digest, Event, EventId, IdMint, InvocationId, Name, Partition, SystemClock,
    VersionId, limits,
};

use crate::upstream::Network;

/// Answers every request with its method, path and body; `/delay/20` does so after 20 ms. Calls are
/// answered with their input, and state is kept while the guest runs.
struct Echo {
    mint: IdMint,
    state: Mutex<BTreeMap<String, (u64, Bytes)>>,
    streams: Mutex<BTreeMap<String, Vec<Bytes>>>,
}

impl Echo {
    fn key(key: &StateKey) -> String {
        match &key.namespace {
            Namespace::Own => key.key.clone(),
            Namespace::Shared(name) => format!("{name}: {}", key.key),
        }
    }
}

#[async_trait]
impl Host for Echo {
    async fn http(
        &self,
        _: &CallContext,
        request: http::Request<Body>,
        _: HttpTimeouts,
    ) -> Result<http::Response<Body>, HttpError> {
        let path = request.uri().path().to_owned();
        if path == "/refused" {
            return Err(HttpError::Refused("nobody listens".into()));
        }
        if let Some(delay) = path.strip_prefix("/delay/") {
            tokio::time::sleep(Duration::from_millis(delay.parse().unwrap())).await;
        }
        let method = request.method().clone();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let text = format!("{method} {path} {}", String::from_utf8_lossy(&body));
        Ok(http::Response::new(full_body(text)))
    }

    async fn emit(&self, _: &CallContext, events: Vec<Event>) -> Result<Vec<EventId>, EmitError> {
        Ok(events.iter().map(|_| self.mint.mint(Partition::of("shop", ""))).collect())
    }

    async fn persist(&self, _: &CallContext, _: Piece) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn signal(&self, _: &CallContext, name: &str) -> Result<Option<Signal>, Unavailable> {
        let data = format!("{{\"name\":\"{name}\"}}").into();
        let payload = Payload { content_type: "application/json".into(), data };
        Ok((name != "never").then_some(Signal { id: [1; 16], payload }))
    }

    async fn call(&self, _: &CallContext, call: FunctionCall) -> Result<Payload, CallError> {
        match call.function.as_str() {
            "missing" => Err(CallError::NotFound("there is none".into())),
            "broken" => Err(CallError::Failed(CallFailure {
                code: Code::GuestFailed,
                message: "not now".into(),
            })),
            _ => Ok(call.payload),
        }
    }

    async fn start(
        &self,
        _: &CallContext,
        _: FunctionCall,
        _: StartOptions,
    ) -> Result<InvocationId, CallError> {
        Ok(self.mint.mint(Partition::of("shop", "")))
    }

    async fn outcome(&self, _: &CallContext, _: InvocationId) -> Result<Started, CallError> {
        Ok(Started::Running)
    }

    async fn state_get(&self, _: &CallContext, key: StateKey) -> Result<Option<Keyed>, StateError> {
        let state = self.state.lock().unwrap();
        let found = state.get(&Echo::key(&key));
        Ok(found.map(|(version, value)| Keyed {
            key: key.key,
            version: *version,
            value: value.clone(),
        }))
    }

    async fn state_write(&self, _: &CallContext, write: StateWrite) -> Result<u64, StateError> {
        let mut state = self.state.lock().unwrap();
        let key = Echo::key(&write.key);
        let version = state.get(&key).map_or(0, |found| found.0);
        if write.expected.is_some_and(|expected| expected != version) {
            return Err(StateError::Conflict { version });
        }
        match write.value {
            Some(value) => drop(state.insert(key, (version + 1, value))),
            None => drop(state.remove(&key)),
        }
        Ok(version + 1)
    }

    async fn state_scan(&self, _: &CallContext, scan: StateScan) -> Result<Vec<Keyed>, StateError> {
        let state = self.state.lock().unwrap();
        let prefix = Echo::key(&scan.prefix);
        let found = state.iter().filter(|(key, _)| key.starts_with(&prefix));
        let keyed = |(key, (version, value)): (&String, &(u64, Bytes))| Keyed {
            key: key.clone(),
            version: *version,
            value: value.clone(),
        };
        Ok(found.map(keyed).collect())
    }

    async fn stream_append(&self, _: &CallContext, append: StateAppend) -> Result<u64, StateError> {
        let mut streams = self.streams.lock().unwrap();
        let stream = streams.entry(Echo::key(&append.stream)).or_default();
        stream.extend(append.events);
        Ok(stream.len() as u64)
    }

    async fn stream_read(
        &self,
        _: &CallContext,
        stream: StateKey,
        (after, _): (u64, u32),
    ) -> Result<Vec<Keyed>, StateError> {
        let streams = self.streams.lock().unwrap();
        let events = streams.get(&Echo::key(&stream)).cloned().unwrap_or_default();
        let keyed = |(at, value)| Keyed { key: String::new(), version: at as u64 + 1, value };
        Ok(events.into_iter().enumerate().map(keyed).skip(after as usize).collect())
    }
}

/// A built component, ready to be called: a runtime with the machine code and a clock of its own.
pub(crate) struct Guest {
    pub(crate) world: World,
    pub(crate) imports: Vec<String>,
    runtime: Arc<tokio::runtime::Runtime>,
    wasm: Arc<nexus_wasm::Runtime>,
    prepared: Arc<dyn Prepared>,
    unit: Arc<Unit>,
    mint: Arc<IdMint>,
    // Machine code lies here as long as the guest lives.
    _code: Option<tempfile::TempDir>,
}

/// A call with everything that is kept of it.
pub(crate) struct Recorded {
    pub(crate) ended: Ended,
    pub(crate) record: InvocationRecord,
    /// The status and the body as the caller got them.
    pub(crate) status: u16,
    pub(crate) text: String,
}

/// A request to a guest, with the time that it has.
pub(crate) struct Request {
    pub(crate) request: http::Request<Body>,
    pub(crate) timeout: Duration,
}

pub(crate) fn request(method: &str, path: &str, body: Body) -> Request {
    let request = http::Request::builder().method(method).uri(path);
    let request = request.header("host", "shop.localhost").body(body).unwrap();
    Request { request, timeout: Duration::from_secs(20) }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

impl Guest {
    pub(crate) fn new(component: &[u8]) -> Self {
        let code = tempfile::tempdir().unwrap();
        let mut guest = Guest::in_folder(component, code.path());
        guest._code = Some(code);
        guest
    }

    /// Machine code that lies in the folder already is found there.
    pub(crate) fn in_folder(component: &[u8], code: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut config = nexus_wasm::Config::new(code);
        config.instances = 8;
        config.warm_slots = 8;
        let clock = Arc::new(SystemClock);
        let mint = IdMint::new(clock.clone(), 7);
        let version: VersionId = mint.mint(Partition::of("shop", ""));
        let bytes = Bytes::copy_from_slice(component);
        let digest = Digest::of(component);
        let wasm = Arc::new(nexus_wasm::Runtime::new(config, clock).unwrap());
        let (inspected, unit, prepared) = runtime.block_on(async {
            let inspected = wasm.inspect(bytes.clone()).await.unwrap();
            wasm.compile(digest, bytes).await.unwrap();
            let unit = Arc::new(Unit {
                project: name("shop"),
                function: name("hello"),
                version,
                component: digest,
                world: inspected.world,
                env: Vec::new(),
                limits: UnitLimits {
                    memory_bytes: limits::MEMORY_BYTES_DEFAULT,
                    table_elements: limits::TABLE_ELEMENTS_MAX,
                },
                bundle: None,
            });
            let prepared = wasm.prepare(unit.clone()).await.unwrap();
            (inspected, unit, prepared)
        });
        Guest {
            world: inspected.world,
            imports: inspected.imports,
            runtime: Arc::new(runtime),
            wasm,
            prepared,
            unit,
            mint: Arc::new(mint),
            _code: None,
        }
    }

    /// The same guest with another memory limit.
    pub(crate) fn with_memory(&self, memory_bytes: usize) -> Self {
        let mut unit = Unit::clone(&self.unit);
        unit.limits.memory_bytes = memory_bytes;
        let unit = Arc::new(unit);
        let prepared = self.runtime.block_on(self.wasm.prepare(unit.clone())).unwrap();
        Guest {
            world: self.world,
            imports: self.imports.clone(),
            runtime: self.runtime.clone(),
            wasm: self.wasm.clone(),
            prepared,
            unit,
            mint: self.mint.clone(),
            _code: None,
        }
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String, Ended) {
        self.http("GET", path, "")
    }

    pub(crate) fn http(&self, method: &str, path: &str, body: &str) -> (u16, String, Ended) {
        let uri = format!("http://shop.localhost{path}");
        let call = request(method, &uri, full_body(body.to_owned()));
        let (ended, status, text) = self.exchange(call.request, (call.timeout, self.host()));
        (status, text, ended)
    }

    /// Calls, with the real network behind the guest, and makes the record of it.
    pub(crate) fn record(&self, call: Request) -> Recorded {
        let head = call.request.method().clone();
        let mut input = HttpInput {
            method: head.to_string(),
            scheme: "http".into(),
            path_and_query: call.request.uri().to_string(),
            headers: call.request.headers().iter().map(header).collect(),
            ..HttpInput::default()
        };
        let network: Arc<dyn Host> = Arc::new(Network);
        let (ended, status, text) = self.exchange(call.request, (call.timeout, network));
        input.body = stored(&ended.input_body);
        Recorded { record: self.record_of(input, &ended), ended, status, text }
    }

    pub(crate) fn replay(&self, record: &InvocationRecord) -> Result<Replayed, Error> {
        self.runtime.block_on(self.prepared.replay(record, None))
    }

    fn record_of(&self, input: HttpInput, ended: &Ended) -> InvocationRecord {
        InvocationRecord {
            meta: Meta { project: self.unit.project.to_string(), ..Meta::default() },
            function: self.unit.function.to_string(),
            version: Bytes::copy_from_slice(self.unit.version.as_bytes()),
            status: ended.status as i32,
            input: Some(Input { form: Some(input::Form::Http(input)) }),
            output: Some(Output {
                http_status: u32::from(ended.http_status),
                headers: fields(&ended.headers),
                body: Some(stored(&ended.output)),
                content_type: ended.content_type.clone(),
                trailers: fields(&ended.trailers),
                ..Output::default()
            }),
            journal: Some(StoredBody::inline(ended.journal.clone())),
            logs: ended.logs.clone(),
            logs_dropped: ended.logs_dropped,
            failure: ended.failure.clone(),
            not_replayable: ended.not_replayable.clone(),
            ..InvocationRecord::default()
        }
    }

    fn exchange(
        &self,
        request: http::Request<Body>,
        (timeout, host): (Duration, Arc<dyn Host>),
    ) -> (Ended, u16, String) {
        self.runtime.block_on(async {
            let (respond, response) = tokio::sync::oneshot::channel();
            let mut call = self.call(CallInput::Http(request), Some(respond));
            call.timeout = timeout;
            let invoke = self.prepared.invoke(call, host);
            let read = async {
                let Ok(response) = response.await else { return (0, String::new()) };
                let status = response.status().as_u16();
                let mut body = response.into_body();
                let mut text = Vec::new();
                while let Some(Ok(frame)) = body.frame().await {
                    text.extend(frame.into_data().unwrap_or_default());
                }
                (status, String::from_utf8_lossy(&text).into_owned())
            };
            let (ended, (status, text)) = tokio::join!(invoke, read);
            (ended, status, text)
        })
    }

    pub(crate) fn event(&self, event: Event) -> Ended {
        self.runtime.block_on(async {
            self.prepared.invoke(self.call(CallInput::Event(event), None), self.host()).await
        })
    }

    /// As a durable invocation.
    pub(crate) fn durable_event(&self, event: Event) -> Ended {
        self.runtime.block_on(async {
            let call = Call { durable: true, ..self.call(CallInput::Event(event), None) };
            self.prepared.invoke(call, self.host()).await
        })
    }

    fn host(&self) -> Arc<dyn Host> {
        let mint = IdMint::new(Arc::new(SystemClock), 11);
        Arc::new(Echo { mint, state: Mutex::default(), streams: Mutex::default() })
    }

    fn call(
        &self,
        input: CallInput,
        respond: Option<tokio::sync::oneshot::Sender<http::Response<Body>>>,
    ) -> Call {
        let now = SystemClock.now();
        let context = CallContext {
            id: self.mint.mint(Partition::of("shop", "")),
            project: name("shop"),
            function: name("hello"),
            version: self.unit.version,
            attempt: 1,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
            tracestate: None,
            accepted: now,
            deadline: now,
            depth: 0,
        };
        Call {
            context: Arc::new(context),
            input,
            respond,
            timeout: Duration::from_secs(20),
            started: Instant::now(),
            cancel: Cancel::default(),
            recording: Recording::Full,
            durable: false,
            resume: None,
            wake: None,
        }
    }
}

fn stored(body: &CapturedBody) -> StoredBody {
    StoredBody {
        inline: body.bytes.clone(),
        size: body.size,
        pieces: body.pieces.clone(),
        dropped: body.dropped,
        ..StoredBody::default()
    }
}

fn fields(fields: &[(String, Bytes)]) -> Vec<Header> {
    let field = |(name, value): &(String, Bytes)| Header {
        name: name.clone(),
        value: value.clone(),
        ..Header::default()
    };
    fields.iter().map(field).collect()
}

fn header((name, value): (&http::HeaderName, &http::HeaderValue)) -> Header {
    let value = Bytes::copy_from_slice(value.as_bytes());
    Header { name: name.to_string(), value, ..Header::default() }
}
