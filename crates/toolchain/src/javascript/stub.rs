//! Taking the build-time import out of the finished component.

use anyhow::{Context, Result};
use wasm_compose::composer::ComponentComposer;
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::decoding::{DecodedWasm, decode};
use wit_parser::{ManglingAndAbi, Resolve, World, WorldItem, WorldKey};

const MODULE_LOADER: &str = "local:init/module-loader";

/// The runtime imports the module loader for as long as it lives, though nothing loads modules
/// after the snapshot: give it functions that trap, so that hosts need not know of it.
pub(crate) fn remove_module_loader(component: &[u8]) -> Result<Vec<u8>> {
    let DecodedWasm::Component(resolve, world) =
        decode(component).context("failed to read the component's world")?
    else {
        anyhow::bail!("the snapshot is no component");
    };
    let Some((key, item)) = resolve.worlds[world]
        .imports
        .iter()
        .find(|(key, _)| resolve.name_world_key(key) == MODULE_LOADER)
        .map(|(key, item)| (key.clone(), item.clone()))
    else {
        return Ok(component.to_vec());
    };
    let package = resolve.worlds[world].package;
    let stub = stub(resolve, (key, item), package)?;
    let dir = tempfile::tempdir()?;
    let (main, stubs) = (dir.path().join("main.wasm"), dir.path().join("stubs.wasm"));
    std::fs::write(&main, component)?;
    std::fs::write(&stubs, stub)?;
    let config = wasm_compose::config::Config {
        dir: dir.path().to_owned(),
        definitions: vec![stubs],
        ..Default::default()
    };
    ComponentComposer::new(&main, &config).compose()
}

/// A component that exports the interface with functions that trap.
fn stub(
    mut resolve: Resolve,
    export: (WorldKey, WorldItem),
    package: Option<wit_parser::PackageId>,
) -> Result<Vec<u8>> {
    let world = resolve.worlds.alloc(World {
        name: "stubs".into(),
        imports: Default::default(),
        exports: [export].into_iter().collect(),
        package,
        docs: Default::default(),
        stability: Default::default(),
        includes: Vec::new(),
        span: Default::default(),
    });
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.validate(true).encode()
}
