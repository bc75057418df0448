//! Running the user's modules once, at build time, and keeping the memory that results.
//!
//! The world that the modules see while they load is fixed (clock, random numbers, no environment,
//! no network), so that the same sources give the same component, byte by byte.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nexus_model::limits::MEMORY_BYTES_MAX;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, ResourceTable, ResourceType};
use wasmtime::{Config, Engine, Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wizer::{WasmtimeWizerComponent, Wizer};

use super::modules::Modules;
use crate::BuildOptions;

/// Output of modules while they load, in bytes.
const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// How often it is asked whether modules that load have to stop.
const TICK: Duration = Duration::from_millis(20);

struct State {
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
    /// They threw, or do not parse: QuickJS' words.
    Refused(String),
    /// They ran longer than [`BuildOptions::load_time_max`].
    OutOfTime,
    /// The build was cancelled while they ran.
    Cancelled,
}

/// Instantiates `linked`, loads `entry` and what it imports, and snapshots the result. The compiled
/// form of `linked` is kept in the cache, since it is the same for every function.
pub(crate) fn snapshot(
    linked: &[u8],
    modules: Arc<Modules>,
    options: &BuildOptions,
) -> Result<Loaded> {
    // Wizer's interface is asynchronous, though nothing here waits for anything.
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(snapshot_async(linked, modules, options))
}

async fn snapshot_async(
    linked: &[u8],
    modules: Arc<Modules>,
    options: &BuildOptions,
) -> Result<Loaded> {
    let engine = engine(&options.cache_dir)?;
    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument_component(linked)?;
    let component = Component::new(&engine, &instrumented)?;
    let output = MemoryOutputPipe::new(OUTPUT_BYTES_MAX);
    let mut store = store(&engine, &output);
    let mut linker = Linker::new(&engine);
    linker.allow_shadowing(true);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    add_module_loader(&mut linker, &modules)?;
    refuse_capabilities(&mut linker, &component)?;
    let ticker = bound(&mut store, options);
    let instance = linker.instantiate_async(&mut store, &component).await?;
    let init = instance.get_typed_func::<(&str, &str, Option<&str>, bool), (Result<(), String>,)>(
        &mut store, "init",
    )?;
    let (shim, script) = (modules.shim(), modules.entry());
    let loaded = init.call_async(&mut store, (shim, script, Some(modules.entry_name()), false));
    let loaded = loaded.await;
    drop(ticker);
    match store.data().stopped {
        Some(Stopped::OutOfTime) => return Ok(Loaded::OutOfTime),
        Some(Stopped::Cancelled) => return Ok(Loaded::Cancelled),
        None => {}
    }
    let said = || String::from_utf8_lossy(&output.contents()).into_owned();
    match loaded {
        Ok((Ok(()),)) => {}
        Ok((Err(error),)) => {
            let why = modules.refusal().unwrap_or(&error);
            return Ok(Loaded::Refused(format!("{}{why}", said())));
        }
        Err(trap) => return Ok(Loaded::Refused(format!("{}{trap:?}", said()))),
    }
    // A tick may still be on its way, and taking the memory out must not be stopped.
    store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Continue(1)));
    let mut target = WasmtimeWizerComponent { store: &mut store, instance };
    let component = wizer.snapshot_component(&context, &mut target).await?;
    let component = super::stub::remove_module_loader(&component)
        .context("failed to remove the module loader")?;
    Ok(Loaded::Component(component))
}

/// A place for the modules, with the fixed world that they see.
fn store(engine: &Engine, output: &MemoryOutputPipe) -> Store<State> {
    let wasi = WasiCtxBuilder::new()
        .stdout(output.clone())
        .stderr(output.clone())
        .wall_clock(FixedClock)
        .monotonic_clock(FixedClock)
        .secure_random(wasmtime_wasi::random::Deterministic::new(RANDOM.to_vec()))
        .insecure_random(wasmtime_wasi::random::Deterministic::new(RANDOM.to_vec()))
        .insecure_random_seed(0)
        .build();
    // No call could begin with more.
    let limits = StoreLimitsBuilder::new().memory_size(MEMORY_BYTES_MAX).build();
    let state = State { wasi, table: ResourceTable::new(), limits, stopped: None };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limits);
    store
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

fn engine(cache_dir: &Path) -> Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.epoch_interruption(true);
    let mut cache = wasmtime::CacheConfig::new();
    let dir = std::path::absolute(cache_dir)?.join("engine");
    cache.with_directory(dir);
    config.cache(Some(wasmtime::Cache::new(cache)?));
    Ok(Engine::new(&config)?)
}

fn add_module_loader(linker: &mut Linker<State>, modules: &Arc<Modules>) -> Result<()> {
    let mut instance = linker.instance("local:init/module-loader")?;
    let resolver = modules.clone();
    instance.func_wrap("resolve", move |_, (from, name): (String, String)| {
        Ok((resolver.resolve(&from, &name),))
    })?;
    let loader = modules.clone();
    instance.func_wrap("load", move |_, (path,): (String,)| Ok((loader.load(&path),)))?;
    Ok(())
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

/// What a module must not use while it loads is there, and refuses.
fn refuse_capabilities(linker: &mut Linker<State>, component: &Component) -> Result<()> {
    let engine = component.engine().clone();
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
    Ok(())
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
    async fn run_endless(options: &BuildOptions) -> Option<Stopped> {
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
        let mut store = store(&engine, &MemoryOutputPipe::new(OUTPUT_BYTES_MAX));
        let module = wasmtime::Module::new(&engine, module.finish()).unwrap();
        let instance = wasmtime::Instance::new_async(&mut store, &module, &[]).await.unwrap();
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
        let _ticker = bound(&mut store, options);
        run.call_async(&mut store, ()).await.unwrap_err();
        store.data().stopped
    }

    #[tokio::test]
    async fn endless_code_ends_with_its_time_or_with_the_build() {
        let cache = tempfile::tempdir().unwrap();
        let mut options = BuildOptions::new(cache.path());
        options.load_time_max = Duration::from_millis(30);
        assert!(matches!(run_endless(&options).await, Some(Stopped::OutOfTime)));
        // A newer save does not wait for the end of the time.
        options.load_time_max = Duration::from_secs(3600);
        options.cancel.cancel();
        assert!(matches!(run_endless(&options).await, Some(Stopped::Cancelled)));
    }
}
