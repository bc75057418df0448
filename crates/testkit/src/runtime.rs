//! A runtime without machine code: a "component" is a line of text that says what to do.
//!
//! The first word is the world (`http`, `event`, `command`), the second what happens:
//!
//! | behaviour | what it does |
//! |---|---|
//! | `echo` | answers with its input |
//! | `fail`, `refuse`, `trap`, `no-answer` | ends without success |
//! | `flaky N` | fails in its first N attempts, then echoes |
//! | `hang` | runs until it is cancelled or times out |
//! | `stream` | answers with a head, then sends pieces until it is cancelled |
//! | `status N` | answers with this HTTP status |
//! | `env NAME` | answers with a variable |
//! | `fetch URL` | answers with the status of a request, or with the error |
//! | `emit TYPE`, `return TYPE` | sends an event, or returns one |
//! | `log TEXT` | writes a line, then echoes |
//! | `call NAME` | calls a function with its input, and answers what that answers |
//! | `count KEY` | counts its calls in a key of its state, and answers the number |
//! | `steps STEP; STEP; …` | durable: `say TEXT`, `sleep MS`, `signal NAME [MS]`, `call NAME`, `start NAME [MS]`, `emit TYPE`; answers with what each came to, one a line |

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, channel::Channel};
use nexus_exec::journal::{Ending, Header, Journal, Recorder};
use nexus_exec::rehearsal::{Frame, Rehearsed, Scene};
use nexus_exec::{
    Body, Call, CallContext, CallInput, CapturedBody, Compiled, Ended, EnvVar, Error, FunctionCall,
    Host, HttpTimeouts, Inspected, Namespace, Payload, Prepared, Recording, Replayed, Runtime,
    RuntimeStats, StateError, StateKey, StateWrite, Suspension, Unit, Wake, empty_body, full_body,
};
use nexus_model::record::{Failure, InvocationRecord, LogLine, Status, StoredEvent, input};
use nexus_model::resource::World;
use nexus_model::view::{ReplayView, Verdict};
use nexus_model::{Code, Digest, Event, InvocationId, Name, Timestamp};
use tokio::sync::Notify;

use crate::durable::{Run, Stopped};

/// See the module.
#[derive(Default)]
pub struct FakeRuntime {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    compiled: Mutex<HashMap<Digest, String>>,
    prepared: Mutex<HashSet<Digest>>,
    held: Mutex<bool>,
    released: Notify,
    running: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeRuntime {
    /// A runtime that has compiled nothing.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Makes every compilation wait from now on, until [`release_compiles`](Self::release_compiles).
    pub fn hold_compiles(&self) {
        *lock(&self.state.held) = true;
    }

    /// Lets compilations go on.
    pub fn release_compiles(&self) {
        *lock(&self.state.held) = false;
        self.state.released.notify_waiters();
    }

    /// How many different components were prepared.
    pub fn prepared(&self) -> usize {
        lock(&self.state.prepared).len()
    }
}

#[async_trait]
impl Runtime for FakeRuntime {
    async fn inspect(&self, artifact: Bytes) -> Result<Inspected, Error> {
        let text = String::from_utf8_lossy(&artifact);
        let world = match text.split(' ').next() {
            Some("http") => World::Http,
            Some("event") => World::Event,
            Some("command") => World::Command,
            _ => {
                let found = text.into_owned();
                return Err(Error::World { found, accepted: "http, event and command" });
            }
        };
        Ok(Inspected {
            world,
            imports: Vec::new(),
            adapted: None,
            notes: Vec::new(),
            compiled: None,
        })
    }

    async fn compile(&self, component: Digest, bytes: Bytes) -> Result<Compiled, Error> {
        loop {
            let released = self.state.released.notified();
            if !*lock(&self.state.held) {
                break;
            }
            released.await;
        }
        let code = String::from_utf8_lossy(&bytes).into_owned();
        let cached = lock(&self.state.compiled).insert(component, code).is_some();
        Ok(Compiled { cached, took_ms: 1, code_bytes: bytes.len() as u64 })
    }

    fn is_compiled(&self, component: Digest) -> bool {
        lock(&self.state.compiled).contains_key(&component)
    }

    async fn prepare(&self, unit: Arc<Unit>) -> Result<Arc<dyn Prepared>, Error> {
        let component = unit.component;
        let code = lock(&self.state.compiled).get(&component).cloned();
        let code = code.ok_or(Error::NotCompiled { component })?;
        lock(&self.state.prepared).insert(component);
        Ok(Arc::new(FakeUnit { unit, code, state: Arc::clone(&self.state) }))
    }

    async fn forget_code(&self, used: &HashSet<Digest>) -> std::io::Result<u64> {
        let mut freed = 0;
        lock(&self.state.compiled).retain(|digest, code| {
            let keep = used.contains(digest);
            freed += if keep { 0 } else { code.len() as u64 };
            keep
        });
        Ok(freed)
    }

    fn stop_growth(&self, _: bool) {}

    fn stats(&self) -> RuntimeStats {
        RuntimeStats {
            loaded: lock(&self.state.prepared).len() as u64,
            evicted: 0,
            running: self.state.running.load(Ordering::Relaxed),
        }
    }
}

struct FakeUnit {
    unit: Arc<Unit>,
    code: String,
    state: Arc<State>,
}

struct Running<'a>(&'a AtomicU64);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a behaviour came to.
enum Done {
    Answer(u16, Bytes),
    Events(Vec<Event>),
    Nothing,
    Stopped(Status, &'static str),
    Refused(Status, Code, String),
    Asleep(Suspension),
}

#[async_trait]
impl Prepared for FakeUnit {
    fn env(&self) -> &[EnvVar] {
        &self.unit.env
    }

    async fn invoke(&self, call: Call, host: Arc<dyn Host>) -> Ended {
        self.state.running.fetch_add(1, Ordering::Relaxed);
        let _running = Running(&self.state.running);
        let begun = Instant::now();
        let Call { context, input, respond, timeout, cancel, recording, resume, wake, .. } = call;
        let mut ended = Ended::default();
        let input = read_input(input).await;
        if recording != Recording::RowOnly {
            ended.input_body = captured(&input);
        }
        let mut words = self.code.splitn(3, ' ').skip(1);
        let (verb, rest) = (words.next().unwrap_or("echo"), words.next().unwrap_or(""));
        let work = async {
            match verb {
                "steps" => self.steps(rest, (&context, &host), (resume, wake)).await,
                _ => self.behave(verb, rest, (&context, &input, &host)).await,
            }
        };
        let done = tokio::select! {
            done = work => done,
            () = cancel.cancelled() => Done::Stopped(Status::Cancelled, "it was cancelled"),
            () = tokio::time::sleep(timeout) => Done::Stopped(Status::TimedOut, "it took too long"),
        };
        if verb == "log" {
            let line = |text: &str| LogLine {
                at_ns: context.accepted.unix_ns(),
                text: text.to_owned(),
                ..LogLine::default()
            };
            ended.logs.extend(rest.split("; ").map(line));
        }
        match done {
            Done::Answer(status, bytes) => {
                ended.status = Status::Succeeded;
                ended.output = captured(&bytes);
                if self.unit.world == World::Http {
                    ended.http_status = status;
                    self.answer(status, bytes, respond);
                }
            }
            Done::Events(events) => {
                ended.status = Status::Succeeded;
                ended.events = events.iter().map(StoredEvent::from).collect();
            }
            Done::Nothing => match respond {
                Some(respond) if verb == "stream" => {
                    ended.status = stream_until(respond, &cancel).await;
                }
                _ => ended.status = Status::Succeeded,
            },
            Done::Asleep(suspension) => {
                ended = Ended {
                    status: Status::Suspended,
                    suspension: Some(suspension),
                    ..Ended::default()
                };
            }
            Done::Refused(status, code, message) => {
                ended.status = status;
                let code = code.as_str().to_owned();
                ended.failure = Some(Failure { code, message, ..Failure::default() });
            }
            Done::Stopped(status, reason) => {
                ended.status = status;
                ended.failure = Some(Failure { message: reason.to_owned(), ..Failure::default() });
            }
        }
        ended.timings.guest_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        ended
    }

    async fn replay(
        &self,
        record: &InvocationRecord,
        _event: Option<Event>,
    ) -> Result<Replayed, Error> {
        let output = record.output.clone().unwrap_or_default();
        let bytes = output.body.map(|body| body.inline).unwrap_or_default();
        let ended = Ended {
            status: record.status(),
            http_status: u16::try_from(output.http_status).unwrap_or_default(),
            headers: output.headers.into_iter().map(|at| (at.name, at.value)).collect(),
            output: captured(&bytes),
            ..Ended::default()
        };
        let invocation = record.invocation_id().unwrap_or(InvocationId::from_bytes([0; 16]));
        // What returns something succeeds.
        let same = !self.code.contains("return ") || ended.status == Status::Succeeded;
        let view = ReplayView {
            invocation,
            verdict: if same { Verdict::Identical } else { Verdict::Diverged },
            operations: 0,
            summary: format!("identical, with {}", self.code),
            divergence: None,
            duration_ns: 1,
            original_ns: record.timings.guest_ns,
            output: serde_json::Value::Null,
            memory_compared: false,
        };
        Ok(Replayed { view, ended })
    }

    async fn witness(
        &self,
        record: &InvocationRecord,
        event: Option<Event>,
    ) -> Result<(Replayed, Scene), Error> {
        let replayed = self.replay(record, event.clone()).await?;
        let mut input = record.input.clone().unwrap_or_default();
        if let (Some(input::Form::EventRef(_)), Some(event)) = (&input.form, event) {
            input.form = Some(input::Form::Event(StoredEvent::from(&event)));
        }
        let project = Name::new(&record.meta.project).unwrap_or(self.unit.project.clone());
        let accepted = Timestamp::from_unix_ns(record.accepted_ns);
        let frame = Frame { input, secrets: Vec::new(), project, accepted };
        let header =
            Header { invocation: *replayed.view.invocation.as_bytes(), ..Header::default() };
        let recorder = Recorder::new(&header, Instant::now(), 1 << 20);
        let journal = Journal::decode(&recorder.finish(Ending::Returned, None, &[], &[]));
        Ok((replayed, Scene::new(&journal.map_err(Error::Journal)?, Vec::new(), frame)))
    }

    /// Does what it would do with this input and without a world.
    async fn rehearse(&self, scene: &Scene, _counted: bool) -> Result<Rehearsed, Error> {
        let input = match &scene.input.form {
            Some(input::Form::Http(http)) => http.body.inline.clone(),
            Some(input::Form::Event(event)) => {
                event.data.as_ref().map(|data| data.inline.clone()).unwrap_or_default()
            }
            Some(input::Form::Command(command)) => command.stdin.inline.clone(),
            _ => Bytes::new(),
        };
        let mut ended = Ended { status: Status::Succeeded, ..Ended::default() };
        ended.http_status = if self.unit.world == World::Http { 200 } else { 0 };
        ended.output = match self.code.split_once("answers ") {
            Some((_, other)) => captured(&Bytes::copy_from_slice(other.as_bytes())),
            None => captured(&input),
        };
        Ok(Rehearsed { ended, asked: Vec::new(), recorded: Vec::new(), missed: Vec::new() })
    }
}

impl FakeUnit {
    async fn behave(
        &self,
        verb: &str,
        rest: &str,
        (context, input, host): (&CallContext, &Bytes, &Arc<dyn Host>),
    ) -> Done {
        match verb {
            "answers" => Done::Answer(200, Bytes::copy_from_slice(rest.as_bytes())),
            "fail" => Done::Stopped(Status::Failed, "it failed"),
            "refuse" => Done::Stopped(Status::Refused, "it refused"),
            "trap" => Done::Stopped(Status::Trapped, "it trapped"),
            "flaky" if context.attempt <= rest.parse().unwrap_or(0) => {
                Done::Stopped(Status::Failed, "it failed for now")
            }
            "hang" => std::future::pending().await,
            "no-answer" | "stream" => Done::Nothing,
            "status" => Done::Answer(rest.parse().unwrap_or(200), input.clone()),
            "env" => {
                let found = self.unit.env.iter().find(|at| at.name == rest);
                Done::Answer(200, found.map(|at| Bytes::from(at.value.clone())).unwrap_or_default())
            }
            "fetch" => Done::Answer(200, fetch(rest, context, host).await.into()),
            "emit" => match host.emit(context, vec![Event::new("", "", rest)]).await {
                Ok(ids) => Done::Answer(
                    200,
                    ids.iter().map(|id| format!("{id}")).collect::<String>().into(),
                ),
                Err(error) => Done::Answer(500, error.to_string().into()),
            },
            "call" => call(rest, (context, input), host).await,
            "count" => count(rest, context, host).await,
            "return" => Done::Events(vec![Event::new("", "", rest)]),
            _ => Done::Answer(200, input.clone()),
        }
    }

    async fn steps(
        &self,
        steps: &str,
        (context, host): (&Arc<CallContext>, &Arc<dyn Host>),
        from: (Option<Bytes>, Option<Wake>),
    ) -> Done {
        let run = Run::new((Arc::clone(context), &self.unit), Arc::clone(host), from);
        let done = match run {
            Ok(mut run) => run.steps(steps).await,
            Err(stopped) => Err(stopped),
        };
        match done {
            Ok(results) => Done::Answer(200, results.join("\n").into()),
            Err(Stopped::Asleep(suspension)) => Done::Asleep(suspension),
            Err(Stopped::Failed(status, code, message)) => Done::Refused(status, code, message),
        }
    }

    fn answer(
        &self,
        status: u16,
        bytes: Bytes,
        respond: Option<tokio::sync::oneshot::Sender<http::Response<Body>>>,
    ) {
        let response = http::Response::builder()
            .status(status)
            .header("content-length", bytes.len())
            .body(unknowing(bytes));
        if let (Some(respond), Ok(response)) = (respond, response) {
            // Who asked may have gone away.
            let _ = respond.send(response);
        }
    }
}

/// A body that, like a guest's, does not know that it has ended before it is asked for more.
fn unknowing(bytes: Bytes) -> Body {
    full_body(bytes).with_trailers(std::future::ready(None)).boxed_unsync()
}

/// Sends pieces until the caller goes away.
async fn stream_until(
    respond: tokio::sync::oneshot::Sender<http::Response<Body>>,
    cancel: &nexus_exec::Cancel,
) -> Status {
    let (mut sender, body) = Channel::<Bytes, std::convert::Infallible>::new(4);
    let body = body.map_err(|never| match never {}).boxed_unsync();
    let _ = respond.send(http::Response::new(body));
    loop {
        let sent = tokio::select! {
            sent = sender.send_data(Bytes::from_static(b"piece")) => sent.is_ok(),
            () = cancel.cancelled() => false,
        };
        if !sent {
            return Status::Cancelled;
        }
    }
}

async fn fetch(url: &str, context: &CallContext, host: &Arc<dyn Host>) -> String {
    let second = Duration::from_secs(5);
    let timeouts = HttpTimeouts { connect: second, first_byte: second, between_bytes: second };
    let Ok(request) = http::Request::get(url).body(empty_body()) else {
        return "not a URL".to_owned();
    };
    match host.http(context, request, timeouts).await {
        Ok(response) => response.status().as_u16().to_string(),
        Err(error) => format!("{error:?}"),
    }
}

/// What a called function answers, or why not.
async fn call(name: &str, (context, input): (&CallContext, &Bytes), host: &Arc<dyn Host>) -> Done {
    let payload = Payload { content_type: String::new(), data: input.clone() };
    let call = FunctionCall { function: name.to_owned(), payload, key: context.id.to_string() };
    match host.call(context, call).await {
        Ok(payload) => Done::Answer(200, payload.data),
        Err(error) => Done::Answer(200, format!("{error:?}").into()),
    }
}

async fn count(key: &str, context: &CallContext, host: &Arc<dyn Host>) -> Done {
    let key = StateKey { namespace: Namespace::Own, key: key.to_owned() };
    loop {
        let found = host.state_get(context, key.clone()).await;
        let Ok(found) = found else { return Done::Answer(500, format!("{found:?}").into()) };
        let found = found.unwrap_or_default();
        let before: u64 = String::from_utf8_lossy(&found.value).parse().unwrap_or(0);
        let value = Bytes::from((before + 1).to_string());
        let (key, expected) = (key.clone(), Some(found.version));
        let write = StateWrite { key, value: Some(value.clone()), expected, operation: None };
        match host.state_write(context, write).await {
            Ok(_) => return Done::Answer(200, value),
            Err(StateError::Conflict { .. }) => {}
            Err(error) => return Done::Answer(500, error.to_string().into()),
        }
    }
}

async fn read_input(input: CallInput) -> Bytes {
    match input {
        CallInput::Http(request) => {
            request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default()
        }
        CallInput::Event(event) => event.data.unwrap_or_default(),
        CallInput::Command { stdin, .. } => stdin,
    }
}

fn captured(bytes: &Bytes) -> CapturedBody {
    CapturedBody {
        bytes: bytes.clone(),
        pieces: Vec::new(),
        size: bytes.len() as u64,
        dropped: false,
    }
}
