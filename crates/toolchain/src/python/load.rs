//! Loading the user's module into a copy of the base, and keeping the memory that results.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use wasmtime::component::Component;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};
use wasmtime_wizer::Wizer;

use super::base::Base;
use super::parts::{self, LOADING, RESETS};
use crate::BuildOptions;
use crate::loading::{self, Loaded, Place};

/// A module and the folders in which Python looks for it and for what it imports, first the
/// function's own. For the guest they are called `/1`, `/2` and so on.
pub(crate) struct Sources {
    pub(crate) module: &'static str,
    pub(crate) folders: Vec<PathBuf>,
}

pub(crate) fn load(base: &Base, sources: &Sources, options: &BuildOptions) -> Result<Loaded> {
    // Wizer's interface is asynchronous, though nothing here waits for anything.
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(load_async(base, sources, options))
}

async fn load_async(base: &Base, sources: &Sources, options: &BuildOptions) -> Result<Loaded> {
    let engine = loading::engine(&options.shared_dir)?;
    let wizer = Wizer::new();
    let bytes = std::fs::read(base.component()).context("failed to read the interpreter")?;
    let (context, instrumented) = wizer.instrument_component(&bytes)?;
    let component = Component::new(&engine, &instrumented)?;
    let linker = loading::linker(&component)?;
    let mut place = Place::new(&engine, options, |wasi| mount(wasi, base, sources, options))?;
    let store = &mut place.store;
    let instance = linker.instantiate_async(&mut *store, &component).await?;
    let load = instance
        .get_export_index(&mut *store, None, LOADING)
        .and_then(|interface| instance.get_export_index(&mut *store, Some(&interface), "load"))
        .context("the interpreter cannot load modules")?;
    let load =
        instance.get_typed_func::<(&str, &[String]), (Result<(), String>,)>(&mut *store, load)?;
    let folders: Vec<_> = (1..=sources.folders.len()).map(|number| format!("/{number}")).collect();
    let refused = match load.call_async(&mut *store, (sources.module, &folders)).await {
        Ok((loaded,)) => loaded.err(),
        Err(trap) => Some(format!("{trap:?}")),
    };
    if let Some(ended) = place.refusal(refused) {
        return Ok(ended);
    }
    for reset in &RESETS {
        let reset = instance.get_typed_func::<(), ()>(&mut place.store, reset.export)?;
        reset.call_async(&mut place.store, ()).await?;
    }
    let mut component = place.snapshot((&wizer, &context), instance).await?;
    parts::cut_loading(&mut component)?;
    Ok(Loaded::Component(component))
}

fn mount(
    wasi: &mut WasiCtxBuilder,
    base: &Base,
    sources: &Sources,
    options: &BuildOptions,
) -> Result<()> {
    let mut add = |dir: &Path, name: &str, perms| {
        let opened = wasi.preopened_dir(dir, name, perms).map(|_| ());
        opened.map_err(|error| anyhow!("failed to open {}: {error:#}", dir.display()))
    };
    for (dir, name) in base.files() {
        add(&dir, name, FsPerms::ReadOnly)?;
    }
    for (number, dir) in (1..).zip(&sources.folders) {
        add(dir, &number.to_string(), FsPerms::ReadOnly)?;
    }
    // Byte code of what does not change, as Python itself would keep it beside the sources.
    let byte_code = std::path::absolute(&options.cache_dir)?.join("pycache");
    std::fs::create_dir_all(&byte_code)?;
    add(&byte_code, "pycache", FsPerms::ReadWrite)
}
