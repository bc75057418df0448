//! What an uploaded artifact is: its world by its exports, and whether its imports can be answered.

use bytes::Bytes;
use nexus_exec::{Compiled, Error, Inspected};
use nexus_model::resource::World;
use wasmparser::{Encoding, Parser, Payload};

/// What components may export to be run.
const ACCEPTED: &str = "wasi:http/incoming-handler@0.2, nexus:function/handler, wasi:cli/run@0.2, \
                        and core WASI 0.1 modules with _start";
const HTTP: &str = "wasi:http/incoming-handler@0.2.";
const EVENT: &str = "nexus:function/handler@0.1.";
const COMMAND: &str = "wasi:cli/run@0.2.";

/// Names at the outer border of a component.
#[derive(Debug, Default)]
struct Border {
    imports: Vec<String>,
    exports: Vec<String>,
}

/// Looks at an artifact. `link` says whether a component's imports can all be answered; it compiles
/// the component to find out.
pub(crate) fn inspect(
    artifact: &Bytes,
    link: impl Fn(&[u8]) -> wasmtime::Result<Compiled>,
) -> Result<Inspected, Error> {
    let malformed = |error: wasmparser::BinaryReaderError| Error::Malformed {
        reason: error.message().to_owned(),
    };
    if !artifact.starts_with(b"\0asm") {
        let reason = "it does not begin like one".to_owned();
        return Err(Error::Malformed { reason });
    }
    let adapted = match encoding(artifact).map_err(malformed)? {
        Encoding::Component => None,
        Encoding::Module => Some(adapt(artifact)?),
    };
    let bytes = adapted.as_ref().unwrap_or(artifact);
    let border = border(bytes).map_err(malformed)?;
    let world = world(&border)?;
    let compiled = link(bytes).map_err(|error| link_error(&border, &error))?;
    let mut imports = border.imports;
    imports.sort();
    let mut notes = Vec::new();
    if adapted.is_some() {
        notes.push("core WASI 0.1 module: runs through the preview 1 command adapter".to_owned());
    }
    if imports.iter().any(|import| import.starts_with("wasi:sockets/")) && uses_sockets(&imports) {
        notes.push("imports wasi:sockets: every use is denied at level exact".to_owned());
    }
    Ok(Inspected { world, imports, adapted, notes, compiled: Some(compiled) })
}

/// Standard libraries import socket types that most programs never use; name lookup is what a
/// program asks for that means to connect.
fn uses_sockets(imports: &[String]) -> bool {
    imports.iter().any(|import| import.starts_with("wasi:sockets/ip-name-lookup"))
}

fn encoding(bytes: &[u8]) -> Result<Encoding, wasmparser::BinaryReaderError> {
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::Version { encoding, .. } = payload? {
            return Ok(encoding);
        }
    }
    Ok(Encoding::Module)
}

fn border(bytes: &[u8]) -> Result<Border, wasmparser::BinaryReaderError> {
    let mut border = Border::default();
    let mut depth = 0u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    border.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    border.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(border)
}

fn world(border: &Border) -> Result<World, Error> {
    let p3 = |name: &&String| name.starts_with("wasi:") && name.contains("@0.3.");
    if let Some(interface) = border.exports.iter().chain(&border.imports).find(p3) {
        return Err(Error::WasiP3 { interface: interface.clone() });
    }
    let exports = |prefix: &str| border.exports.iter().any(|name| name.starts_with(prefix));
    if exports(HTTP) {
        Ok(World::Http)
    } else if exports(EVENT) {
        Ok(World::Event)
    } else if exports(COMMAND) {
        Ok(World::Command)
    } else if border.exports.is_empty() {
        Err(Error::World { found: "the component exports nothing".into(), accepted: ACCEPTED })
    } else {
        let found = format!("the component exports {}", border.exports.join(", "));
        Err(Error::World { found, accepted: ACCEPTED })
    }
}

fn adapt(module: &[u8]) -> Result<Bytes, Error> {
    let mut exports = Vec::new();
    let malformed = |error: wasmparser::BinaryReaderError| Error::Malformed {
        reason: error.message().to_owned(),
    };
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(section) = payload.map_err(malformed)? {
            for export in section {
                exports.push(export.map_err(malformed)?.name.to_owned());
            }
        }
    }
    if !exports.iter().any(|name| name == "_start") {
        let names = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
        return Err(Error::World {
            found: format!("the core module exports {names}"),
            accepted: ACCEPTED,
        });
    }
    let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER;
    let name = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
    let encoded = wit_component::ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.adapter(name, adapter))
        .and_then(|mut encoder| encoder.encode());
    match encoded {
        Ok(component) => Ok(Bytes::from(component)),
        Err(error) => Err(Error::Malformed { reason: format!("{error:#}") }),
    }
}

/// The linker names the import in its message; the border says which one that is.
fn link_error(border: &Border, error: &wasmtime::Error) -> Error {
    let text = format!("{error:#}");
    let missing = border.imports.iter().find(|import| text.contains(&format!("`{import}`")));
    match missing {
        Some(import) => {
            let function = text
                .split("instance export `")
                .nth(1)
                .and_then(|rest| rest.split('`').next())
                .map(|name| format!("{import}#{name}"));
            Error::Import { import: function.unwrap_or_else(|| import.clone()) }
        }
        None => Error::Malformed { reason: text },
    }
}
