//! A world for guests: a runtime, a host with an upstream in it, and records as a node makes them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use nexus_exec::{
    Artifacts, Body, Call, CallContext, CallInput, Cancel, Ended, EnvVar, HttpError, Prepared,
    Recording, Runtime as _, Unit, UnitLimits,
};
use nexus_model::record::{
    Body as StoredBody, CommandInput, Header, HttpInput, Input, InvocationRecord, Meta, Output,
    StoredEvent, input,
};
use nexus_model::resource::World as GuestWorld;
use nexus_model::{Clock as _, Digest, Event, IdMint, Name, Partition, SystemClock, Timestamp};
use nexus_wasm::{Config, Runtime};

use super::outside::Outside;

/// What other servers answer: as asked for by the path, and in their own time.
pub(crate) async fn upstream(
    count: usize,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, HttpError> {
    let path = request.uri().path().to_owned();
    if request.uri().host() == Some("denied") {
        return Err(HttpError::Denied("no".into()));
    }
    if path == "/reflect" {
        let whole = request.into_body().collect().await;
        let whole = whole.map_err(|error| HttpError::Broken(error.to_string()))?;
        return Ok(http::Response::new(nexus_exec::full_body(whole.to_bytes())));
    }
    let number: u64 = path.rsplit('/').next().unwrap_or("0").parse().unwrap_or(0);
    if path.starts_with("/delay/") {
        // Another order in every recording.
        tokio::time::sleep(Duration::from_millis((number * 7 + count as u64 * 3) % 11)).await;
    }
    if number == 5 {
        return Err(HttpError::Refused("nobody there".into()));
    }
    let pieces = (0..number).map(move |piece| async move {
        tokio::time::sleep(Duration::from_millis(piece % 3)).await;
        Ok(http_body::Frame::data(Bytes::from(format!("[{piece}]"))))
    });
    use futures::StreamExt as _;
    let body = StreamBody::new(futures::stream::iter(pieces).buffered(1)).boxed_unsync();
    let response = http::Response::builder().header("x-count", count.to_string());
    Ok(response.body(body).unwrap())
}

/// A guest, ready.
pub(crate) struct World {
    pub runtime: Arc<Runtime>,
    pub unit: Arc<Unit>,
    pub prepared: Arc<dyn Prepared>,
    pub upstream: Arc<Outside>,
    mint: IdMint,
}

/// The components that a verifying engine may ask for.
#[derive(Default)]
struct Components(Mutex<HashMap<Digest, Bytes>>);

#[async_trait]
impl Artifacts for Components {
    async fn component(&self, digest: Digest) -> std::io::Result<Bytes> {
        Ok(self.0.lock().unwrap()[&digest].clone())
    }
}

pub(crate) fn runtime() -> Arc<Runtime> {
    Arc::new(start(Arc::default()))
}

fn start(components: Arc<Components>) -> Runtime {
    let mut config = Config::new(super::guests::code_dir());
    config.instances = 50;
    Runtime::new(config, Arc::new(SystemClock)).unwrap().with_artifacts(components)
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

impl World {
    pub(crate) async fn of(guest: &str) -> Self {
        Self::with(super::guests::component(guest), |_| {}).await
    }

    pub(crate) async fn with(component: Bytes, change: impl FnOnce(&mut Unit)) -> Self {
        let components = Arc::new(Components::default());
        let runtime = Arc::new(start(components.clone()));
        let inspected = runtime.inspect(component.clone()).await.unwrap();
        let executed = inspected.adapted.unwrap_or(component);
        let digest = Digest::of(&executed);
        components.0.lock().unwrap().insert(digest, executed.clone());
        runtime.compile(digest, executed).await.unwrap();
        let mint = IdMint::new(Arc::new(SystemClock), 7);
        let mut unit = Unit {
            project: name("shop"),
            function: name("guest"),
            version: mint.mint(Partition::of("shop", "")),
            component: digest,
            world: inspected.world,
            env: vec![
                EnvVar { name: "PLAIN".into(), value: "plain".into(), secret: None },
                EnvVar {
                    name: "TOKEN".into(),
                    value: "s3cret-value".into(),
                    secret: Some((name("token"), 3)),
                },
                EnvVar { name: "UPSTREAM".into(), value: "upstream".into(), secret: None },
            ],
            limits: UnitLimits { memory_bytes: 64 << 20, table_elements: 100_000 },
            bundle: None,
        };
        change(&mut unit);
        let unit = Arc::new(unit);
        let prepared = runtime.prepare(unit.clone()).await.unwrap();
        World { runtime, unit, prepared, upstream: Arc::default(), mint }
    }

    pub(crate) fn call(&self, input: CallInput) -> Call {
        let now = SystemClock.now();
        Call {
            context: Arc::new(CallContext {
                id: self.mint.mint(Partition::of("shop", "")),
                project: self.unit.project.clone(),
                function: self.unit.function.clone(),
                version: self.unit.version,
                attempt: 2,
                traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
                tracestate: Some("a=1".into()),
                accepted: now,
                deadline: now.after(Duration::from_secs(30)),
                depth: 0,
            }),
            input,
            respond: None,
            timeout: Duration::from_secs(30),
            started: Instant::now(),
            cancel: Cancel::default(),
            recording: Recording::Full,
            durable: false,
            resume: None,
            wake: None,
        }
    }

    /// Runs a call and makes its record.
    pub(crate) async fn record(&self, call: Call) -> (Ended, InvocationRecord) {
        self.record_with(call, self.upstream.clone()).await
    }

    /// Instances that run.
    pub(crate) fn running(&self) -> u64 {
        self.runtime.stats().running
    }

    /// The same in a world of its own.
    pub(crate) async fn record_with(
        &self,
        call: Call,
        outside: Arc<Outside>,
    ) -> (Ended, InvocationRecord) {
        let facts = Facts::of(&call);
        let ended = self.prepared.invoke(call, outside).await;
        let mut record = facts.record(&ended, self.unit.world);
        record.input_masks =
            nexus_exec::mask_input(record.input.as_mut().unwrap(), self.prepared.env());
        (ended, record)
    }

    pub(crate) async fn http(&self, path: &str) -> (Ended, InvocationRecord) {
        self.record(self.call(request("GET", path, nexus_exec::empty_body()))).await
    }

    pub(crate) async fn event(&self, ty: &str, data: &str) -> (Ended, InvocationRecord) {
        self.record(self.call(CallInput::Event(event(ty, data)))).await
    }

    pub(crate) async fn command(
        &self,
        arguments: &[&str],
        stdin: &str,
    ) -> (Ended, InvocationRecord) {
        let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        let stdin = Bytes::from(stdin.to_owned());
        self.record(self.call(CallInput::Command { arguments, stdin })).await
    }
}

pub(crate) fn event(ty: &str, data: &str) -> Event {
    let mut event = Event::new("1", "/test", ty);
    event.data = Some(Bytes::from(data.to_owned()));
    event.datacontenttype = Some("text/plain".into());
    event.time = Some(Timestamp::from_unix_ns(5));
    event
}

pub(crate) fn request(method: &str, path: &str, body: Body) -> CallInput {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "shop.localhost:8080")
        .body(body)
        .unwrap();
    CallInput::Http(request)
}

/// What a node knows of a call before it runs.
struct Facts {
    context: Arc<CallContext>,
    form: Option<input::Form>,
}

impl Facts {
    fn of(call: &Call) -> Self {
        let form = match &call.input {
            CallInput::Http(request) => input::Form::Http(HttpInput {
                method: request.method().to_string(),
                scheme: "http".into(),
                authority: request.uri().authority().map(ToString::to_string).unwrap_or_default(),
                path_and_query: request.uri().path_and_query().unwrap().to_string(),
                headers: request.headers().iter().map(header).collect(),
                ..HttpInput::default()
            }),
            CallInput::Event(event) => input::Form::Event(StoredEvent::from(event)),
            CallInput::Command { arguments, .. } => input::Form::Command(CommandInput {
                arguments: arguments.clone(),
                ..CommandInput::default()
            }),
        };
        Facts { context: call.context.clone(), form: Some(form) }
    }

    fn record(mut self, ended: &Ended, _: GuestWorld) -> InvocationRecord {
        let body = |body: &nexus_exec::CapturedBody| StoredBody {
            inline: body.bytes.clone(),
            size: body.size,
            pieces: body.pieces.clone(),
            dropped: body.dropped,
            ..StoredBody::default()
        };
        match &mut self.form {
            Some(input::Form::Http(http)) => http.body = body(&ended.input_body),
            Some(input::Form::Command(command)) => command.stdin = body(&ended.input_body),
            _ => {}
        }
        let fields = |fields: &[(String, Bytes)]| {
            let field = |(name, value): &(String, Bytes)| Header {
                name: name.clone(),
                value: value.clone(),
                ..Header::default()
            };
            fields.iter().map(field).collect()
        };
        InvocationRecord {
            id: Bytes::copy_from_slice(self.context.id.as_bytes()),
            meta: Meta { project: self.context.project.to_string(), ..Meta::default() },
            function: self.context.function.to_string(),
            version: Bytes::copy_from_slice(self.context.version.as_bytes()),
            status: ended.status as i32,
            accepted_ns: self.context.accepted.unix_ns(),
            timings: ended.timings,
            meter: ended.meter,
            input: Some(Input { form: self.form }),
            output: Some(Output {
                http_status: u32::from(ended.http_status),
                headers: fields(&ended.headers),
                body: Some(body(&ended.output)),
                content_type: ended.content_type.clone(),
                events: ended.events.clone(),
                exit_code: ended.exit_code,
                trailers: fields(&ended.trailers),
            }),
            journal: Some(StoredBody::inline(ended.journal.clone())),
            logs: ended.logs.clone(),
            logs_dropped: ended.logs_dropped,
            failure: ended.failure.clone(),
            not_replayable: ended.not_replayable.clone(),
            memory_hash: ended
                .memory_hash
                .map(|hash| Bytes::copy_from_slice(&hash))
                .unwrap_or_default(),
            ..InvocationRecord::default()
        }
    }
}

fn header((name, value): (&http::HeaderName, &http::HeaderValue)) -> Header {
    Header {
        name: name.to_string(),
        value: Bytes::copy_from_slice(value.as_bytes()),
        ..Header::default()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
