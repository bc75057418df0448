//! Running the user's modules once, at build time, and keeping the memory that results.

use std::sync::Arc;

use anyhow::{Context, Result};
use wasmtime::component::{Component, Linker};
use wasmtime_wizer::Wizer;

use super::modules::Modules;
use crate::BuildOptions;
use crate::loading::{self, Loaded, Place, State};

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
    let engine = loading::engine(&options.shared_dir)?;
    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument_component(linked)?;
    let component = Component::new(&engine, &instrumented)?;
    let mut linker = loading::linker(&component)?;
    add_module_loader(&mut linker, &modules)?;
    let mut place = Place::new(&engine, options, |_| Ok(()))?;
    let instance = linker.instantiate_async(&mut place.store, &component).await?;
    let init = instance.get_typed_func::<(&str, &str, Option<&str>, bool), (Result<(), String>,)>(
        &mut place.store,
        "init",
    )?;
    let (shim, script) = (modules.shim(), modules.entry());
    let arguments = (shim, script, Some(modules.entry_name()), false);
    let refused = match init.call_async(&mut place.store, arguments).await {
        Ok((Ok(()),)) => None,
        Ok((Err(error),)) => Some(modules.refusal().unwrap_or(&error).to_owned()),
        Err(trap) => Some(format!("{trap:?}")),
    };
    if let Some(ended) = place.refusal(refused) {
        return Ok(ended);
    }
    let component = place.snapshot((&wizer, &context), instance).await?;
    let component = super::stub::remove_module_loader(&component)
        .context("failed to remove the module loader")?;
    Ok(Loaded::Component(component))
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
