//! What a base has beside the interpreter, and what is cut off a finished component again.
//!
//! ```text
//!   … sections of the interpreter and the handler … │ shim, instance and export of `loading` │ resets
//!                                                    └─ cut here once the user's module is loaded
//! ```

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, ComponentAliasSection, ComponentExportKind,
    ComponentExportSection, ComponentSectionId, ComponentTypeSection, ComponentValType, Encode,
    ExportKind,
};
use wasmparser::{ExternalKind, Instance, Parser, Payload, Validator, WasmFeatures};

/// The interface by which a base loads the user's module.
pub(crate) const LOADING: &str = "nexus:guest/loading@0.1.0";

/// A function inside of a base, and the name under which the builder can call it.
pub(crate) struct Reset {
    core: &'static str,
    pub(crate) export: &'static str,
}

/// What the C library and the adapter for WASI 0.1 know of open files: to be forgotten before the
/// snapshot, since nothing of it is there when the component runs. The adapter comes last: without
/// it the library could not be called.
pub(crate) const RESETS: [Reset; 2] = [
    Reset { core: "__wasilibc_reset_preopens", export: "forget-folders" },
    Reset { core: "reset_adapter_state", export: "forget-files" },
];

/// The core instances of a component by a function that they export.
struct Cores {
    exporters: HashMap<&'static str, u32>,
}

impl Cores {
    fn read(component: &[u8]) -> Result<Self> {
        let (mut depth, mut modules, mut instances) = (0_u32, 0_u32, 0_u32);
        let mut module = None;
        let mut exporting = HashMap::new();
        let mut exporters = HashMap::new();
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::ModuleSection { .. } => {
                    if depth == 0 {
                        module = Some(modules);
                        modules += 1;
                    }
                    depth += 1;
                }
                Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => {
                    depth = depth.saturating_sub(1);
                    module = module.filter(|_| depth > 0);
                }
                Payload::ExportSection(exports) => {
                    let Some(module) = module else { continue };
                    for export in exports {
                        let export = export?;
                        let wanted = RESETS.iter().find(|it| it.core == export.name);
                        if let (ExternalKind::Func, Some(reset)) = (export.kind, wanted) {
                            exporting.insert(module, reset.core);
                        }
                    }
                }
                Payload::InstanceSection(section) if depth == 0 => {
                    for instance in section {
                        if let Instance::Instantiate { module_index, .. } = instance?
                            && let Some(core) = exporting.get(&module_index)
                        {
                            exporters.insert(*core, instances);
                        }
                        instances += 1;
                    }
                }
                _ => {}
            }
        }
        Ok(Cores { exporters })
    }
}

/// Adds exports for [`RESETS`] at the end of a component.
pub(crate) fn add_resets(component: &[u8]) -> Result<Vec<u8>> {
    let cores = Cores::read(component)?;
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let types = validator.validate_all(component)?;
    let types = types.as_ref();
    let ty = types.component_type_count();
    let mut types_added = ComponentTypeSection::new();
    types_added.function().params::<_, ComponentValType>([]).result(None);
    let mut aliases = ComponentAliasSection::new();
    let mut lifts = CanonicalFunctionSection::new();
    let mut exports = ComponentExportSection::new();
    for (at, reset) in (0_u32..).zip(&RESETS) {
        let instance = *cores.exporters.get(reset.core).with_context(|| {
            format!("the interpreter has no {}: it is of another version", reset.core)
        })?;
        let alias =
            Alias::CoreInstanceExport { instance, kind: ExportKind::Func, name: reset.core };
        aliases.alias(alias);
        lifts.lift(types.function_count() + at, ty, []);
        // Exporting a function makes a new one, after those that were lifted.
        let lifted = types.component_function_count() + at;
        exports.export(reset.export, ComponentExportKind::Func, lifted, None);
    }
    let mut with = component.to_vec();
    append(&mut with, ComponentSectionId::Alias, &aliases);
    append(&mut with, ComponentSectionId::Type, &types_added);
    append(&mut with, ComponentSectionId::CanonicalFunction, &lifts);
    append(&mut with, ComponentSectionId::Export, &exports);
    Ok(with)
}

fn append(component: &mut Vec<u8>, id: ComponentSectionId, section: &dyn Encode) {
    component.push(id as u8);
    section.encode(component);
}

/// Cuts [`LOADING`] and what comes after it off a component.
pub(crate) fn cut_loading(component: &mut Vec<u8>) -> Result<()> {
    let (mut depth, mut shim, mut cut) = (0_u32, None, None);
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } => depth += 1,
            Payload::ComponentSection { unchecked_range, .. } => {
                if depth == 0 {
                    shim = Some(unchecked_range);
                }
                depth += 1;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    let name = export?.name.name;
                    ensure!(
                        cut.is_none() || RESETS.iter().any(|it| it.export == name),
                        "{name} is exported after {LOADING}"
                    );
                    if name == LOADING {
                        cut = shim.take();
                    }
                }
            }
            _ => {}
        }
    }
    let shim = cut.with_context(|| format!("{LOADING} is not exported"))?;
    // The section's number and size come before it.
    let size = u32::try_from(shim.end - shim.start).context("the section is too large")?;
    let mut header = vec![ComponentSectionId::Component as u8];
    size.encode(&mut header);
    let before = &component[..usize::try_from(shim.start)?];
    let kept = before.strip_suffix(header.as_slice()).map(<[u8]>::len);
    component.truncate(kept.context("the section does not begin as expected")?);
    Ok(())
}
