//! Linking: runtime, bindings and event-loop library become one component without user code.
//!
//! The QuickJS runtime runs promise jobs only when an *asynchronous* export of the component model
//! ends, and WASI 0.2 has only synchronous ones. So the prelude gets a function `drain` that runs
//! them: to the bindings it looks like an import of [`JOBS`], but while linking its core import is
//! turned to [`drain_library`], which calls the runtime's entry for asynchronous exports with an
//! export whose JavaScript function does nothing. The runtime then drains its queue and returns.

use anyhow::{Context, Result};
use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    Module, TypeSection, ValType,
};
use wit_parser::{Resolve, WorldId};

/// The prebuilt runtime, see `runtimes/README.md`.
pub(crate) const RUNTIME: &[u8] = include_bytes!("../../runtimes/quickjs.wasm");

/// The interface that exists only until linking.
const JOBS: &str = "nexus:guest/jobs@0.1.0";
const DRAIN: &str = "drain";
const DRAIN_SYMBOL: &str = "nexus_jobs_drain";

/// Which of the two entries a module's exports ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    Http,
    Event,
}

impl Entry {
    fn world(self) -> &'static str {
        match self {
            Entry::Http => "http",
            Entry::Event => "event",
        }
    }

    pub(crate) fn other(self) -> Entry {
        match self {
            Entry::Http => Entry::Event,
            Entry::Event => Entry::Http,
        }
    }
}

/// The WIT packages that guests are built against, as (file name, text).
pub(crate) const WIT: &[(&str, &str)] = &[
    ("io.wit", include_str!("../../../../wit/wasi/io.wit")),
    ("clocks.wit", include_str!("../../../../wit/wasi/clocks.wit")),
    ("random.wit", include_str!("../../../../wit/wasi/random.wit")),
    ("filesystem.wit", include_str!("../../../../wit/wasi/filesystem.wit")),
    ("sockets.wit", include_str!("../../../../wit/wasi/sockets.wit")),
    ("cli.wit", include_str!("../../../../wit/wasi/cli.wit")),
    ("http.wit", include_str!("../../../../wit/wasi/http.wit")),
    ("function.wit", include_str!("../../../../wit/function/function.wit")),
    ("guest.wit", include_str!("../../wit/guest.wit")),
];

fn resolve(world: &str) -> Result<(Resolve, WorldId)> {
    let mut resolve = Resolve::default();
    let mut package = None;
    for (name, text) in WIT {
        package = Some(resolve.push_str(name, text)?);
    }
    let package = package.context("no WIT package")?;
    let world = resolve.select_world(&[package], Some(world))?;
    Ok((resolve, world))
}

/// A component that exports the entry and `init`, still without user code.
pub(crate) fn link(entry: Entry) -> Result<Vec<u8>> {
    let (with_jobs, world) = resolve(&format!("{}-with-jobs", entry.world()))?;
    let bindings = wit_dylib::create(&with_jobs, world, None);
    let mut bindings = redirect_drain(&bindings).context("failed to redirect the job queue")?;
    let (plain, world) = resolve(entry.world())?;
    wit_component::embed_component_metadata(
        &mut bindings,
        &plain,
        world,
        wit_component::StringEncoding::UTF8,
    )?;
    let mut linker = wit_component::Linker::default();
    linker.encoder().validate(true);
    linker.library("quickjs.wasm", RUNTIME, false)?;
    linker.library("bindings.wasm", &bindings, false)?;
    linker.library("jobs.wasm", &drain_library(), false)?;
    linker.encoder().adapter("wasi_snapshot_preview1", WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?;
    linker.encode().context("failed to link the JavaScript runtime")
}

/// Copies the bindings, their import of `drain` turned into one of a library's function.
fn redirect_drain(bindings: &[u8]) -> Result<Vec<u8>> {
    struct Redirect;
    impl Reencode for Redirect {
        type Error = std::convert::Infallible;

        fn parse_import_section(
            &mut self,
            imports: &mut ImportSection,
            section: wasmparser::ImportSectionReader<'_>,
        ) -> Result<(), wasm_encoder::reencode::Error> {
            for import in section.into_imports() {
                let import = import?;
                let (module, name) = match (import.module, import.name) {
                    (JOBS, DRAIN) => ("env", DRAIN_SYMBOL),
                    other => other,
                };
                imports.import(module, name, RoundtripReencoder.entity_type(import.ty)?);
            }
            Ok(())
        }
    }
    let mut module = Module::new();
    Redirect.parse_core_module(&mut module, wasmparser::Parser::new(0), bindings)?;
    Ok(module.finish())
}

/// A position-independent library with one function: the runtime's own draining of its job queue.
fn drain_library() -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    types.ty().function([ValType::I32], [ValType::I32]);
    types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
    let mut imports = ImportSection::new();
    imports.import("env", "wit_dylib_export_start", EntityType::Function(1));
    imports.import("env", "wit_dylib_export_async_call", EntityType::Function(2));
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut exports = ExportSection::new();
    exports.export(DRAIN_SYMBOL, ExportKind::Func, 2);
    // Export number 0 is the entry: the only function that these worlds export.
    let mut body = Function::new([]);
    body.instructions().i32_const(0).call(0).i32_const(0).call(1).drop().end();
    let mut code = CodeSection::new();
    code.function(&body);
    let mut module = Module::new();
    // `dylink.0` with one empty memory description: no data, no table entries.
    module.section(&wasm_encoder::CustomSection {
        name: "dylink.0".into(),
        data: (&[1u8, 4, 0, 0, 0, 0][..]).into(),
    });
    module.section(&types).section(&imports).section(&functions).section(&exports).section(&code);
    module.finish()
}
