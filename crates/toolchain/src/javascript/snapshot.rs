//! Running the user's modules once, at build time, and keeping the memory that results.
//!
//! The world that the modules see while they load is fixed (clock, random numbers, no environment,
//! no network), so that the same sources give the same component, byte by byte.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, ResourceTable, ResourceType};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wizer::{WasmtimeWizerComponent, Wizer};

use super::modules::Modules;

/// Output of modules while they load, in bytes.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
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
}

/// Instantiates `linked`, loads `entry` and what it imports, and snapshots the result. The compiled
/// form of `linked` is kept in `cache_dir`, since it is the same for every function.
pub(crate) fn snapshot(linked: &[u8], modules: Arc<Modules>, cache_dir: &Path) -> Result<Loaded> {
    // Wizer's interface is asynchronous, though nothing here waits for anything.
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(snapshot_async(linked, modules, cache_dir))
}

async fn snapshot_async(linked: &[u8], modules: Arc<Modules>, cache_dir: &Path) -> Result<Loaded> {
    let engine = engine(cache_dir)?;
    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument_component(linked)?;
    let component = Component::new(&engine, &instrumented)?;
    let output = MemoryOutputPipe::new(OUTPUT_BYTES_MAX);
    let wasi = WasiCtxBuilder::new()
        .stdout(output.clone())
        .stderr(output.clone())
        .wall_clock(FixedClock)
        .monotonic_clock(FixedClock)
        .secure_random(wasmtime_wasi::random::Deterministic::new(RANDOM.to_vec()))
        .insecure_random(wasmtime_wasi::random::Deterministic::new(RANDOM.to_vec()))
        .insecure_random_seed(0)
        .build();
    let mut store = Store::new(&engine, State { wasi, table: ResourceTable::new() });
    let mut linker = Linker::new(&engine);
    linker.allow_shadowing(true);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    add_module_loader(&mut linker, &modules)?;
    refuse_capabilities(&mut linker, &component)?;
    let instance = linker.instantiate_async(&mut store, &component).await?;
    let init = instance.get_typed_func::<(&str, &str, Option<&str>, bool), (Result<(), String>,)>(
        &mut store, "init",
    )?;
    let (shim, script) = (modules.shim(), modules.entry());
    let loaded = init.call_async(&mut store, (shim, script, Some(modules.entry_name()), false));
    let said = || String::from_utf8_lossy(&output.contents()).into_owned();
    match loaded.await {
        Ok((Ok(()),)) => {}
        Ok((Err(error),)) => {
            let why = modules.refusal().unwrap_or(&error);
            return Ok(Loaded::Refused(format!("{}{why}", said())));
        }
        Err(trap) => return Ok(Loaded::Refused(format!("{}{trap:?}", said()))),
    }
    let mut target = WasmtimeWizerComponent { store: &mut store, instance };
    let component = wizer.snapshot_component(&context, &mut target).await?;
    let component = super::stub::remove_module_loader(&component)
        .context("failed to remove the module loader")?;
    Ok(Loaded::Component(component))
}

fn engine(cache_dir: &Path) -> Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model(true);
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
