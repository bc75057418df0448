//! The world that users' modules see while they load at build time: a fixed clock, the same random
//! numbers each time, no environment, no network, and a limit of time and memory. So the same
//! sources give the same component, byte by byte.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Result;
use nexus_model::limits::MEMORY_BYTES_MAX;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Instance, Linker, ResourceTable, ResourceType};
use wasmtime::{Config, Engine, Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wizer::{ComponentContext, WasmtimeWizerComponent, Wizer};

use crate::{BuildOptions, Error};

/// Output of modules while they load, in bytes.
const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// How often it is asked whether modules that load have to stop.
const TICK: Duration = Duration::from_millis(20);

pub(crate) struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: StoreLimits,
    stopped: Option<Stopped>,
}

/// Why modules that load were stopped.
#[derive(Clone, Copy)]
enum Stopped {
    OutOfTime,
    Cancelled,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// What the user's modules did while they loaded.
pub(crate) enum Loaded {
    /// They are in the component now.
    Component(Vec<u8>),
    /// They threw, or do not parse: the interpreter's words.
    Refused(String),
    /// They ran longer than [`BuildOptions::load_time_max`].
    OutOfTime,
    /// The build was cancelled while they ran.
    Cancelled,
}

impl Loaded {
    /// The component, or the error that says why there is none.
    pub(crate) fn finish(self, function: &str, options: &BuildOptions) -> Result<Vec<u8>, Error> {
        let function = function.to_owned();
        match self {
            Loaded::Component(component) => Ok(component),
            Loaded::Refused(output) => Err(Error::Failed { function, output }),
            Loaded::OutOfTime => Err(Error::LoadTime { function, limit: options.load_time_max }),
            Loaded::Cancelled => Err(Error::Cancelled),
        }
    }
}

/// An engine that keeps what it compiles in the folder, since interpreters are the same for every
/// function.
pub(crate) fn engine(dir: &Path) -> Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.epoch_interruption(true);
    let mut cache = wasmtime::CacheConfig::new();
    cache.with_directory(std::path::absolute(dir)?.join("engine"));
    config.cache(Some(wasmtime::Cache::new(cache)?));
    Ok(Engine::new(&config)?)
}

/// A place for modules to load in.
pub(crate) struct Place {
    pub(crate) store: Store<State>,
    output: MemoryOutputPipe,
    _ticker: Ticker,
}

impl Place {
    /// What runs in it is stopped when its time is over or the build is cancelled; `mount` gives it
    /// folders.
    pub(crate) fn new(
        engine: &Engine,
        options: &BuildOptions,
        mount: impl FnOnce(&mut WasiCtxBuilder) -> Result<()>,
    ) -> Result<Self> {
        let output = MemoryOutputPipe::new(OUTPUT_BYTES_MAX);
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(output.clone())
            .stderr(output.clone())
            .wall_clock(FixedClock)
            .monotonic_clock(FixedClock)
            .secure_random(wasmtime_wasi::random::Deterministic::new(RANDOM.to_vec()))
            .insecure_random(wasmtime_wasi::random::Deterministic::new(RANDOM.to_vec()))
            .insecure_random_seed(0)
            .allow_blocking_current_thread(true);
        mount(&mut wasi)?;
        // No call could begin with more.
        let limits = StoreLimitsBuilder::new().memory_size(MEMORY_BYTES_MAX).build();
        let state =
            State { wasi: wasi.build(), table: ResourceTable::new(), limits, stopped: None };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limits);
        let _ticker = bound(&mut store, options);
        Ok(Place { store, output, _ticker })
    }

    /// What stopped the modules, or else what they `refused`, after what they had printed.
    pub(crate) fn refusal(&self, refused: Option<String>) -> Option<Loaded> {
        match self.store.data().stopped {
            Some(Stopped::OutOfTime) => return Some(Loaded::OutOfTime),
            Some(Stopped::Cancelled) => return Some(Loaded::Cancelled),
            None => {}
        }
        let said = String::from_utf8_lossy(&self.output.contents()).into_owned();
        refused.map(|why| Loaded::Refused(format!("{said}{why}")))
    }

    /// The component with the memory that it has now.
    pub(crate) async fn snapshot(
        self,
        (wizer, context): (&Wizer, &ComponentContext<'_>),
        instance: Instance,
    ) -> Result<Vec<u8>> {
        let Place { mut store, _ticker, .. } = self;
        drop(_ticker);
        // A tick may still be on its way, and taking the memory out must not be stopped.
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Continue(1)));
        let mut target = WasmtimeWizerComponent { store: &mut store, instance };
        Ok(wizer.snapshot_component(context, &mut target).await?)
    }
}

/// Lets what runs in the store run until its time is over or the build is cancelled, as long as the
/// ticker is kept. Nothing else ends an endless loop: it never comes back to the host.
fn bound(store: &mut Store<State>, options: &BuildOptions) -> Ticker {
    let (cancel, end) = (options.cancel.clone(), Instant::now() + options.load_time_max);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |mut store| {
        let stopped = match cancel.is_cancelled() {
            true => Stopped::Cancelled,
            false if Instant::now() >= end => Stopped::OutOfTime,
            false => return Ok(UpdateDeadline::Continue(1)),
        };
        store.data_mut().stopped = Some(stopped);
        Ok(UpdateDeadline::Interrupt)
    });
    Ticker::start(store.engine().clone())
}

/// Moves an engine's epoch on until it is dropped.
struct Ticker {
    /// Its end is what the thread hears of the drop.
    _alive: Sender<()>,
}

impl Ticker {
    fn start(engine: Engine) -> Self {
        let (alive, dropped) = channel::<()>();
        std::thread::spawn(move || {
            while dropped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        });
        Ticker { _alive: alive }
    }
}

/// The resources that `wasi:http/types` defines itself, as opposed to those that it takes from
/// `wasi:io`.
const HTTP_RESOURCES: &[&str] = &[
    "fields",
    "future-incoming-response",
    "future-trailers",
    "incoming-body",
    "incoming-request",
    "incoming-response",
    "outgoing-body",
    "outgoing-request",
    "outgoing-response",
    "request-options",
    "response-outparam",
];

/// WASI as far as modules may use it while they load; the rest is there, and refuses.
pub(crate) fn linker(component: &Component) -> Result<Linker<State>> {
    let engine = component.engine().clone();
    let mut linker = Linker::new(&engine);
    linker.allow_shadowing(true);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    for (interface, item) in component.component_type().imports(&engine) {
        let ComponentItem::ComponentInstance(item) = item.ty else { continue };
        if !interface.starts_with("wasi:http/") && !interface.starts_with("nexus:") {
            continue;
        }
        let mut instance = linker.instance(interface)?;
        for (name, export) in item.exports(&engine) {
            match export.ty {
                ComponentItem::ComponentFunc(_) => {
                    let what = format!("{interface} {name}");
                    instance.func_new(name, move |_, _, _, _| {
                        wasmtime::bail!("{what} cannot be called while the module loads")
                    })?;
                }
                ComponentItem::Resource(_) if HTTP_RESOURCES.contains(&name) => {
                    let ty = ResourceType::host::<()>();
                    instance.resource(name, ty, |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(linker)
}

/// 2026-01-01T00:00:00Z, always.
struct FixedClock;

/// Whatever modules draw while they load; handlers draw from a generator seeded per instance.
const RANDOM: [u8; 8] = *b"snapshot";

const FIXED_SECONDS: u64 = 1_767_225_600;

impl wasmtime_wasi::HostWallClock for FixedClock {
    fn resolution(&self) -> std::time::Duration {
        std::time::Duration::from_nanos(1)
    }

    fn now(&self) -> std::time::Duration {
        std::time::Duration::from_secs(FIXED_SECONDS)
    }
}

impl wasmtime_wasi::HostMonotonicClock for FixedClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{
        BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, Module,
        TypeSection,
    };

    use super::*;

    /// Runs a loop without an end as modules are run.
    async fn run_endless(options: &BuildOptions) -> Option<Loaded> {
        let (mut types, mut functions) = (TypeSection::new(), FunctionSection::new());
        let (mut exports, mut codes) = (ExportSection::new(), CodeSection::new());
        types.ty().function([], []);
        functions.function(0);
        exports.export("run", ExportKind::Func, 0);
        let mut code = Function::new([]);
        code.instructions().loop_(BlockType::Empty).br(0).end().end();
        codes.function(&code);
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&exports).section(&codes);

        let engine = engine(&options.cache_dir).unwrap();
        let mut place = Place::new(&engine, options, |_| Ok(())).unwrap();
        let module = wasmtime::Module::new(&engine, module.finish()).unwrap();
        let store = &mut place.store;
        let instance = wasmtime::Instance::new_async(&mut *store, &module, &[]).await.unwrap();
        let run = instance.get_typed_func::<(), ()>(&mut *store, "run").unwrap();
        run.call_async(store, ()).await.unwrap_err();
        place.refusal(None)
    }

    #[tokio::test]
    async fn endless_code_ends_with_its_time_or_with_the_build() {
        let cache = tempfile::tempdir().unwrap();
        let mut options = BuildOptions::new(cache.path());
        options.load_time_max = Duration::from_millis(30);
        assert!(matches!(run_endless(&options).await, Some(Loaded::OutOfTime)));
        // A newer save does not wait for the end of the time.
        options.load_time_max = Duration::from_secs(3600);
        options.cancel.cancel();
        assert!(matches!(run_endless(&options).await, Some(Loaded::Cancelled)));
    }
}
