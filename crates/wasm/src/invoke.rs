//! One live invocation: a fresh instance, its input, its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use nexus_exec::journal::{EnvEntry, Header, Recorder, Stop};
use nexus_exec::{
    Call, CallContext, CallInput, Cancel, Ended, Error as ExecError, Host, Recording, Unit,
};
use nexus_model::limits;
use nexus_model::record::{Failure, Status};
use nexus_model::resource::World;
use nexus_model::{Clock, Code, Event};
use nexus_wit::{handler, types};
use wasmtime::component::ResourceTable;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::sockets::WasiSocketsCtx;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::types::HostResponseOutparam;
use wasmtime_wasi_http::{Error as WireError, WasiBody, WasiHttpCtx, WasiHttpView as _};

use crate::drive::{Driver, Interrupted};
use crate::durable::{self, Durable, Keeper, Resumed};
use crate::host::Hooks;
use crate::ledger::{Ledger, Shared, Tape, lock};
use crate::load::{Cold, Entry, Loaded};
use crate::logs::Logs;
use crate::memory::{self, Memories};
use crate::runtime::{Flavour, Ready};
use crate::state::{Limiter, Random, State, StopAt, Work};
use crate::{answer, event, finish, random};

/// What a guest is given, in the form of its world.
pub(crate) enum GuestInput {
    Http(Box<http::Request<WasiBody>>),
    Event(Box<types::Event>),
    Command,
}

/// How a guest's entry point returned.
pub(crate) enum Returned {
    /// An HTTP guest; its answer is in the ledger.
    Http,
    /// An event guest.
    Event(Result<handler::Output, types::Error>),
    /// A command: whether `run` said that all is well.
    Command(bool),
}

/// Why a guest did not return.
pub(crate) enum Stopped {
    Interrupted(Interrupted),
    Failed(wasmtime::Error),
}

/// A run from instantiation to the end.
pub(crate) struct Executed {
    pub(crate) result: Result<Returned, Stopped>,
    pub(crate) started: Instant,
    pub(crate) instantiate: Duration,
    pub(crate) guest: Duration,
    pub(crate) busy: Duration,
    pub(crate) memory_peak: usize,
    pub(crate) grown: usize,
    pub(crate) refused: bool,
    pub(crate) memory_hash: Option<[u8; 32]>,
    /// Instructions, where the engine counts them.
    pub(crate) fuel: u64,
    /// Where in the component it failed, innermost first.
    pub(crate) places: Vec<u64>,
}

/// What a new store needs besides the unit.
pub(crate) struct Setting {
    pub(crate) context: Arc<CallContext>,
    pub(crate) unit: Arc<Unit>,
    pub(crate) host: Option<Arc<dyn Host>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ledger: Shared,
    pub(crate) seed: [u8; 32],
    pub(crate) durable: Option<Box<Durable>>,
    pub(crate) work: Work,
    pub(crate) stop_at: StopAt,
    pub(crate) cancel: Cancel,
    pub(crate) stdin: Bytes,
    pub(crate) arguments: Vec<String>,
}

impl Setting {
    pub(crate) fn state(self) -> State {
        let limits = self.unit.limits;
        State {
            table: ResourceTable::new(),
            http: WasiHttpCtx::new(),
            hooks: Hooks {
                host: self.host.clone(),
                context: self.context.clone(),
                requests: 0,
                concurrent: None,
                operation: None,
                whole: None,
            },
            sockets: WasiSocketsCtx::default(),
            limiter: Limiter {
                memory_max: limits.memory_bytes,
                tables_max: limits.table_elements,
                memory: 0,
                tables: 0,
                grown: 0,
                running: false,
                refused: false,
                starved: None,
                ledger: self.ledger.clone(),
            },
            collect_stdout: self.unit.world == World::Command,
            ledger: self.ledger,
            context: self.context,
            unit: self.unit,
            host: self.host,
            clock: self.clock,
            durable: self.durable,
            work: self.work,
            calls: 0,
            random: Random::new(self.seed),
            files: None,
            stdin: self.stdin,
            arguments: self.arguments,
            respond: None,
            bodyless: false,
            cancel: self.cancel,
            stop_at: self.stop_at,
            drain: Arc::default(),
            streams: 0,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            watch: None,
            buffered: Arc::default(),
            headers_bytes: 0,
            finished: Arc::default(),
        }
    }
}

/// Runs a live call to its very end, or to where it is suspended.
pub(crate) async fn invoke(ready: &Ready, mut call: Call, host: Arc<dyn Host>) -> Ended {
    let verify = call.recording == Recording::Verify;
    let (flavour, loaded, cold) = match load(ready, verify).await {
        Ok(found) => found,
        Err(error) => return rejected(error.code(), error.to_string()),
    };
    let input = std::mem::replace(
        &mut call.input,
        CallInput::Command { arguments: Vec::new(), stdin: Bytes::new() },
    );
    let mut input = match accept(ready.unit.world, input) {
        Ok(input) => input,
        Err(reason) => return rejected(Code::BadRequest, reason),
    };
    if call.durable {
        match durable::whole_input(&mut input.guest).await {
            Ok(bytes) => input.whole = bytes,
            Err(reason) => return rejected(Code::BadRequest, reason),
        }
    }
    let begun = match begin(ready, &call, Instant::now()) {
        Ok(begun) => begun,
        Err(error) => return durable::not_resumed(&error),
    };
    let clock = ready.inner.clock.clone();
    let (unit, context) = (begun.unit.clone(), begun.context.clone());
    let (mut state, ledger) = prepare(begun, (&mut call, &mut input), (host, clock.clone()));
    state.limiter.starved = Some(ready.inner.starved.clone());
    let executed = execute(flavour, &loaded, state, (input.guest, verify)).await;
    let mut ledger = std::mem::replace(&mut *lock(&ledger), Ledger::empty(Logs::new(clock)));
    let mut ended = match durable::not_its_end(&mut ledger, &executed) {
        Some(ended) => finish::measured(ended, &ledger, &executed),
        None => {
            if let (Some(respond), Ok(_)) = (call.respond.take(), &executed.result)
                && !ledger.answer.is_unfinished()
            {
                answer::deliver_whole(respond, &ledger, input.bodyless);
            }
            let facts = finish::Facts {
                unit: &unit,
                context: &context,
                event: input.event.as_ref(),
                stdin: input.stdin,
                timeout: call.timeout,
                lenient: false,
            };
            finish::finish(ledger, executed, facts)
        }
    };
    ended.timings.fetch_ns = nanoseconds(cold.fetch);
    ended.timings.load_ns = nanoseconds(cold.load);
    ended.cold = cold.reason;
    ended.timings.total_ns = nanoseconds(call.started.elapsed());
    ended
}

/// What the store and the ledger of a call begin with.
fn prepare(
    begun: Begun,
    (call, input): (&mut Call, &mut Accepted),
    (host, clock): (Arc<dyn Host>, Arc<dyn Clock>),
) -> (State, Shared) {
    let Begun { tape, unit, context, seed, ran, started } = begun;
    let keep = call.durable || call.recording != Recording::RowOnly;
    let mut ledger = Ledger::new(tape, keep, (Logs::new(clock.clone()), started));
    ledger.whole_input = std::mem::take(&mut input.whole);
    let ledger: Shared = Arc::new(std::sync::Mutex::new(ledger));
    let durable = call.durable.then(|| {
        let (host, context, unit) = (host.clone(), context.clone(), unit.clone());
        let keeper = Some(Arc::new(Keeper::new(host, context, unit, ledger.clone())));
        Box::new(Durable { keeper, wake: call.wake.take(), ..Durable::default() })
    });
    let deadline = started + call.timeout.saturating_sub(ran);
    let mut state = Setting {
        context,
        unit,
        host: Some(host),
        clock,
        ledger: ledger.clone(),
        seed,
        durable,
        work: Work::of(input.event.as_ref()),
        stop_at: StopAt { deadline, struck_budget: None },
        cancel: call.cancel.clone(),
        stdin: input.stdin.clone(),
        arguments: std::mem::take(&mut input.arguments),
    }
    .state();
    if !call.durable {
        state.respond = call.respond.take();
    }
    state.bodyless = input.bodyless;
    (state, ledger)
}

/// What a call begins with: nothing, or what was persisted of it.
struct Begun {
    tape: Tape,
    unit: Arc<Unit>,
    context: Arc<CallContext>,
    seed: [u8; 32],
    /// How long it has run before.
    ran: Duration,
    started: Instant,
}

fn begin(ready: &Ready, call: &Call, started: Instant) -> Result<Begun, ExecError> {
    if let (true, Some(pieces)) = (call.durable, &call.resume) {
        let Resumed { resuming, unit, context } = durable::resume(call, &ready.unit, pieces)?;
        let (seed, ran) = (resuming.header.seed, resuming.ran);
        let tape = Tape::Resume(Box::new(resuming));
        return Ok(Begun { tape, unit, context, seed, ran, started });
    }
    let seed = random::seed();
    let tape = if call.durable || call.recording != Recording::RowOnly {
        let header = header(ready, call, seed);
        Tape::Record(Box::new(Recorder::new(&header, started, limits::JOURNAL_BYTES_MAX)))
    } else {
        Tape::Off(0)
    };
    let (unit, context) = (ready.unit.clone(), call.context.clone());
    Ok(Begun { tape, unit, context, seed, ran: Duration::ZERO, started })
}

async fn load(ready: &Ready, verify: bool) -> Result<(&Flavour, Arc<Loaded>, Cold), ExecError> {
    if !verify {
        let flavour = ready.inner.pooling();
        let loaded = flavour.registry.get(&ready.slot).await?;
        return Ok((flavour, loaded, ready.slot.take_cold().unwrap_or_default()));
    }
    let flavour = ready.inner.verifying(ready.slot.component).await?;
    let slot = flavour.registry.slot(ready.slot.component, ready.slot.world());
    let loaded = flavour.registry.get(&slot).await?;
    Ok((flavour, loaded, slot.take_cold().unwrap_or_default()))
}

/// An input in the form of a world, with what surrounds it.
struct Accepted {
    guest: GuestInput,
    stdin: Bytes,
    arguments: Vec<String>,
    bodyless: bool,
    event: Option<Event>,
    /// The body of the request, where it was read before.
    whole: Bytes,
}

fn accept(world: World, input: CallInput) -> Result<Accepted, String> {
    let accepted = |guest| Accepted {
        guest,
        stdin: Bytes::new(),
        arguments: Vec::new(),
        bodyless: false,
        event: None,
        whole: Bytes::new(),
    };
    Ok(match (world, input) {
        (World::Http, CallInput::Http(request)) => {
            let bodyless = request.method() == http::Method::HEAD;
            let request = request.map(|body| body.map_err(input_broke).boxed_unsync());
            Accepted { bodyless, ..accepted(GuestInput::Http(Box::new(with_host(request)))) }
        }
        (World::Http, CallInput::Event(event)) => {
            let request = event_request(&event)?;
            Accepted { event: Some(event), ..accepted(GuestInput::Http(Box::new(request))) }
        }
        (World::Event, CallInput::Event(event)) => {
            let guest = GuestInput::Event(Box::new(event::to_guest(&event)));
            Accepted { event: Some(event), ..accepted(guest) }
        }
        (World::Command, CallInput::Event(event)) => {
            let stdin = Bytes::from(event.to_json());
            Accepted { stdin, event: Some(event), ..accepted(GuestInput::Command) }
        }
        (World::Command, CallInput::Command { arguments, stdin }) => {
            Accepted { stdin, arguments, ..accepted(GuestInput::Command) }
        }
        (World::Http, CallInput::Command { .. }) => {
            return Err("an HTTP function takes a request or an event".to_owned());
        }
        (World::Event, _) => return Err("an event function takes an event".to_owned()),
        (World::Command, CallInput::Http(_)) => {
            return Err("a command takes standard input or an event".to_owned());
        }
    })
}

fn input_broke(_: nexus_exec::BodyError) -> WireError {
    WireError::ConnectionTerminated
}

/// A request as an HTTP guest gets it must say for which host it is.
pub(crate) fn with_host(mut request: http::Request<WasiBody>) -> http::Request<WasiBody> {
    if request.uri().authority().is_none() && !request.headers().contains_key(http::header::HOST) {
        let host = http::HeaderValue::from_static("localhost");
        request.headers_mut().insert(http::header::HOST, host);
    }
    request
}

/// An event as an HTTP guest gets it.
pub(crate) fn event_request(event: &Event) -> Result<http::Request<WasiBody>, String> {
    let request = event::to_request(event)
        .map_err(|error| format!("the event cannot be sent as an HTTP request: {error}"))?;
    Ok(request
        .map(|data| http_body_util::Full::new(data).map_err(|never| match never {}).boxed_unsync()))
}

fn header(ready: &Ready, call: &Call, seed: [u8; 32]) -> Header {
    Header {
        semantics: crate::engine::semantics(),
        component: *ready.unit.component.as_bytes(),
        invocation: *call.context.id.as_bytes(),
        started_ns: ready.inner.clock.now().unix_ns(),
        deadline_ns: call.context.deadline.unix_ns(),
        attempt: call.context.attempt,
        seed,
        verify: call.recording == Recording::Verify,
        durable: call.durable,
        traceparent: call.context.traceparent.to_string(),
        env: ready
            .unit
            .env
            .iter()
            .map(|var| match &var.secret {
                Some((secret, version)) => EnvEntry::Secret {
                    name: var.name.clone(),
                    secret: secret.to_string(),
                    version: *version,
                },
                None => EnvEntry::Plain { name: var.name.clone(), value: var.value.clone() },
            })
            .collect(),
    }
}

fn rejected(code: Code, message: String) -> Ended {
    Ended {
        status: Status::Rejected,
        failure: Some(Failure { code: code.as_str().to_owned(), message, ..Failure::default() }),
        not_replayable: "it never ran".to_owned(),
        ..Ended::default()
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Makes an instance, runs it to its end or until something stops it, and takes it down.
pub(crate) async fn execute(
    flavour: &Flavour,
    loaded: &Loaded,
    state: State,
    (input, verify): (GuestInput, bool),
) -> Executed {
    let memories: Option<Memories> = verify.then(Memories::default);
    let mut driver = Driver {
        deadline: state.stop_at.deadline,
        cancel: state.cancel.clone(),
        drain: state.drain.clone(),
        memories: memories.clone(),
        busy: Duration::ZERO,
    };
    let _running = flavour.engine.ticker.enter();
    let mut store = Store::new(&flavour.engine.wasmtime, state);
    store.limiter(|state| &mut state.limiter);
    store.set_epoch_deadline(1);
    store.set_max_component_handles(limits::HANDLES_MAX);
    flavour.engine.begin_count(&mut store);
    stop_by_epoch(&mut store);
    let watch = store.data().watch.clone();
    if let Some(watch) = &watch {
        watch.attach(&mut store);
    }
    let began = Instant::now();
    let mut instantiated = began;
    let result = driver
        .run(async {
            let instance = loaded.pre.instantiate_async(&mut store).await?;
            instantiated = Instant::now();
            if let Some(watch) = &watch {
                watch.instantiated(&mut store)?;
            }
            store.data_mut().limiter.running = true;
            call_guest(&mut store, &instance, (&loaded.entry, input)).await
        })
        .await;
    let result = match result {
        Ok(Ok(returned)) => Ok(returned),
        Ok(Err(error)) => Err(match error.downcast_ref::<Interrupted>() {
            Some(interrupted) => Stopped::Interrupted(*interrupted),
            None => Stopped::Failed(error),
        }),
        Err(interrupted) => Err(Stopped::Interrupted(interrupted)),
    };
    let ended = Instant::now();
    let fuel = flavour.engine.counted(&store);
    let limiter = &store.data().limiter;
    Executed {
        started: instantiated,
        instantiate: instantiated.duration_since(began),
        guest: ended.duration_since(instantiated),
        busy: driver.busy,
        memory_peak: limiter.memory,
        grown: limiter.grown,
        refused: limiter.refused,
        memory_hash: memories.as_ref().map(memory::hash),
        fuel,
        places: match &result {
            Err(Stopped::Failed(error)) => loaded.places(error),
            _ => Vec::new(),
        },
        result,
    }
}

async fn call_guest(
    store: &mut Store<State>,
    instance: &wasmtime::component::Instance,
    (entry, input): (&Entry, GuestInput),
) -> wasmtime::Result<Returned> {
    match (entry, input) {
        (Entry::Http(indices), GuestInput::Http(request)) => {
            let guest = indices.load(&mut *store, instance)?;
            let scheme = match request.uri().scheme_str() {
                Some("https") => Scheme::Https,
                _ => Scheme::Http,
            };
            let request = store.data_mut().http().new_incoming_request(scheme, *request)?;
            // The answer is taken where the guest sets it; the parameter itself sends nothing.
            let answer = HostResponseOutparam { send: Box::new(|_| {}) };
            let answer = store.data_mut().table.push(answer)?;
            guest.wasi_http_incoming_handler().call_handle(store, request, answer).await?;
            Ok(Returned::Http)
        }
        (Entry::Event(indices), GuestInput::Event(event)) => {
            let guest = indices.load(&mut *store, instance)?;
            let handled = guest.nexus_function_handler().call_handle(store, &event).await?;
            Ok(Returned::Event(handled))
        }
        (Entry::Command(indices), GuestInput::Command) => {
            let guest = indices.load(&mut *store, instance)?;
            let run = guest.wasi_cli_run().call_run(store).await?;
            Ok(Returned::Command(run.is_ok()))
        }
        _ => wasmtime::bail!("the input does not fit the world"),
    }
}

fn stop_by_epoch(store: &mut Store<State>) {
    let mut at_end_since: Option<Instant> = None;
    store.epoch_deadline_callback(move |store| {
        let state = store.data();
        let now = Instant::now();
        if state.cancel.is_cancelled() {
            return Err(wasmtime::Error::new(Interrupted::Cancelled));
        }
        if now >= state.stop_at.deadline {
            return Err(wasmtime::Error::new(Interrupted::TimedOut));
        }
        if let Some(budget) = state.stop_at.struck_budget
            && let Tape::Replay(player) = &lock(&state.ledger).tape
            && player.is_at_end()
            && now.duration_since(*at_end_since.get_or_insert(now)) >= budget
        {
            return Err(wasmtime::Error::new(Stop::Struck { operations: player.operations() }));
        }
        Ok(UpdateDeadline::Yield(1))
    });
}
