//! Takes a component apart into its code and the state that it begins with.
//!
//! What is built by running an interpreter's initialisation and keeping its memory, as Python
//! components are, begins with a core module that has memories, tables, globals and their contents, and
//! hardly any code: some jumps to the other modules. All else is the interpreter, the same for
//! everything that is built with it. Such a component becomes two: a *shell*, which imports that module
//! instead of defining it, and the *state*, that module alone. A shell costs seconds of the compiler,
//! once; a state costs next to nothing.
//!
//! Linking a shell with a state gives the component again: the shell imports a module of the same
//! type at the same place of the index space, so that no index changes. Only positions in the file
//! do; [`Places`] finds them again.

use std::ops::Range;

use wasm_encoder::{
    ComponentImportSection, ComponentTypeRef, CoreTypeSection, EntityType, ModuleType,
};
use wasmparser::{BinaryReaderError, ExternalKind, Parser, Payload, TypeRef, ValType};
use wasmtime::{FrameInfo, Module};

/// The import that a shell has in place of its state.
pub(crate) const STATE_IMPORT: &str = "state-it-begins-with";
/// Smaller states are not worth two files.
const STATE_BYTES_MIN: usize = 1 << 20;
/// What has more code is no state.
const STATE_CODE_BYTES_MAX: u32 = 64 << 10;

/// A component in two parts.
#[derive(Debug)]
pub(crate) struct Split<'a> {
    /// A component that imports a module by the name of [`STATE_IMPORT`].
    pub(crate) shell: Vec<u8>,
    /// That module.
    pub(crate) state: &'a [u8],
    pub(crate) places: Places,
}

/// Where the parts of a component lie in the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Places {
    /// Where the state begins.
    pub(crate) state: u64,
    /// How many bytes further back all that follows the state lies.
    pub(crate) shift: u64,
}

impl Places {
    /// The position in the component of what a frame runs; `state` is the state of the component.
    pub(crate) fn of(&self, frame: &FrameInfo, state: Option<&Module>) -> u64 {
        let at = frame.module_offset().unwrap_or(0) as u64;
        let in_state =
            state.is_some_and(|state| state.image_range() == frame.module().image_range());
        at + if in_state { self.state } else { self.shift }
    }
}

/// What the outermost level of a component says.
#[derive(Default)]
struct Outline {
    /// The section of the first core module with its header, and the module in it.
    first: Option<(Range<usize>, Range<usize>)>,
    /// Whether something stands there that an additional type or import could collide with.
    unusual: bool,
    /// The least pages that the other modules want of a memory that they import.
    wanted_pages: u64,
}

/// Takes a component apart, where it begins with a state that is worth it.
pub(crate) fn split(component: &[u8]) -> Option<Split<'_>> {
    let outline = outline(component).ok()?;
    let (section, module) = outline.first.filter(|_| !outline.unusual)?;
    if module.len() < STATE_BYTES_MIN {
        return None;
    }
    let state = component.get(module.clone())?;
    let module_type = state_type(state, outline.wanted_pages).ok()??;
    let mut import = Vec::new();
    let mut types = CoreTypeSection::new();
    types.ty().module(&module_type);
    append(&mut import, &types);
    let mut imports = ComponentImportSection::new();
    imports.import(STATE_IMPORT, ComponentTypeRef::Module(0));
    append(&mut import, &imports);
    let shift = section.len().checked_sub(import.len())?;
    let shell = [component.get(..section.start)?, &import, component.get(section.end..)?].concat();
    let places = Places { state: module.start as u64, shift: shift as u64 };
    Some(Split { shell, state, places })
}

fn append(bytes: &mut Vec<u8>, section: &impl wasm_encoder::ComponentSection) {
    bytes.push(section.id());
    section.encode(bytes);
}

fn outline(component: &[u8]) -> Result<Outline, BinaryReaderError> {
    let mut outline = Outline::default();
    let mut depth = 0u32;
    // Where the next section of the outermost level begins.
    let mut next = 0;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        if depth == 0 {
            match &payload {
                Payload::ModuleSection { unchecked_range, .. } if outline.first.is_none() => {
                    outline.first = Some((next..unchecked_range.end, unchecked_range.clone()));
                }
                Payload::CoreTypeSection(_) => outline.unusual = true,
                Payload::ComponentImportSection(imports) => {
                    for import in imports.clone() {
                        outline.unusual |= import?.name.name == STATE_IMPORT;
                    }
                }
                _ => {}
            }
            next = match &payload {
                Payload::Version { range, .. } => range.end,
                Payload::ModuleSection { unchecked_range, .. }
                | Payload::ComponentSection { unchecked_range, .. } => unchecked_range.end,
                other => other.as_section().map_or(next, |(_, range)| range.end),
            };
        }
        match &payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    if let TypeRef::Memory(memory) = import?.ty {
                        outline.wanted_pages = outline.wanted_pages.max(memory.initial);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(outline)
}

/// What a module declares.
#[derive(Default)]
struct Declared<'a> {
    types: Vec<wasmparser::FuncType>,
    /// Their types, by index; the first ones are imported.
    functions: Vec<u32>,
    memories: Vec<wasmparser::MemoryType>,
    tables: Vec<wasmparser::TableType>,
    globals: Vec<wasmparser::GlobalType>,
    imports: Vec<wasmparser::Import<'a>>,
    exports: Vec<wasmparser::Export<'a>>,
}

impl<'a> Declared<'a> {
    /// Reads a state; `None` for a module that has too much else.
    fn read(module: &'a [u8]) -> Result<Option<Self>, BinaryReaderError> {
        let mut declared = Declared::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(section) => {
                    for ty in section.into_iter_err_on_gc_types() {
                        declared.types.push(ty?);
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        let TypeRef::Func(ty) = import.ty else { return Ok(None) };
                        declared.functions.push(ty);
                        declared.imports.push(import);
                    }
                }
                Payload::FunctionSection(section) => {
                    for ty in section {
                        declared.functions.push(ty?);
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        declared.memories.push(memory?);
                    }
                }
                Payload::TableSection(section) => {
                    for table in section {
                        declared.tables.push(table?.ty);
                    }
                }
                Payload::GlobalSection(section) => {
                    for global in section {
                        declared.globals.push(global?.ty);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        declared.exports.push(export?);
                    }
                }
                Payload::CodeSectionStart { size, .. } if size > STATE_CODE_BYTES_MAX => {
                    return Ok(None);
                }
                Payload::StartSection { .. } | Payload::TagSection(_) => return Ok(None),
                _ => {}
            }
        }
        Ok(Some(declared))
    }

    fn entity(&self, export: &wasmparser::Export<'_>, pages: u64) -> Option<EntityType> {
        let index = export.index as usize;
        match export.kind {
            ExternalKind::Func => self.functions.get(index).map(|ty| EntityType::Function(*ty)),
            ExternalKind::Memory => memory_type(self.memories.get(index)?, pages),
            ExternalKind::Table => table_type(self.tables.get(index)?),
            ExternalKind::Global => global_type(self.globals.get(index)?),
            _ => None,
        }
    }

    fn module_type(&self, pages: u64) -> Option<ModuleType> {
        let mut module_type = ModuleType::new();
        for ty in &self.types {
            let [params, results] = [ty.params(), ty.results()]
                .map(|types| types.iter().map(val_type).collect::<Option<Vec<_>>>());
            module_type.ty().function(params?, results?);
        }
        for (import, ty) in self.imports.iter().zip(&self.functions) {
            module_type.import(import.module, import.name, EntityType::Function(*ty));
        }
        for export in &self.exports {
            module_type.export(export.name, self.entity(export, pages)?);
        }
        Some(module_type)
    }
}

/// The type of a module that has state and next to no code; `None` for others.
fn state_type(module: &[u8], pages: u64) -> Result<Option<ModuleType>, BinaryReaderError> {
    Ok(Declared::read(module)?.and_then(|declared| declared.module_type(pages)))
}

/// What a shell asks of a memory: not how much of it this one state fills, or each would have a shell
/// of its own.
fn memory_type(memory: &wasmparser::MemoryType, pages: u64) -> Option<EntityType> {
    let plain = !memory.shared && !memory.memory64 && memory.page_size_log2.is_none();
    (plain && pages <= memory.initial).then_some(EntityType::Memory(wasm_encoder::MemoryType {
        minimum: pages,
        maximum: memory.maximum,
        memory64: false,
        shared: false,
        page_size_log2: None,
    }))
}

fn table_type(table: &wasmparser::TableType) -> Option<EntityType> {
    let plain =
        !table.shared && !table.table64 && table.element_type == wasmparser::RefType::FUNCREF;
    plain.then_some(EntityType::Table(wasm_encoder::TableType {
        element_type: wasm_encoder::RefType::FUNCREF,
        table64: false,
        minimum: table.initial,
        maximum: table.maximum,
        shared: false,
    }))
}

fn global_type(global: &wasmparser::GlobalType) -> Option<EntityType> {
    let val_type = val_type(&global.content_type)?;
    let (mutable, shared) = (global.mutable, global.shared);
    (!shared).then_some(EntityType::Global(wasm_encoder::GlobalType { val_type, mutable, shared }))
}

fn val_type(ty: &ValType) -> Option<wasm_encoder::ValType> {
    Some(match ty {
        ValType::I32 => wasm_encoder::ValType::I32,
        ValType::I64 => wasm_encoder::ValType::I64,
        ValType::F32 => wasm_encoder::ValType::F32,
        ValType::F64 => wasm_encoder::ValType::F64,
        ValType::V128 | ValType::Ref(_) => return None,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use wasmtime::component::{Component, Linker};
    use wasmtime::{Engine, Module, Store, WasmBacktrace};

    use super::*;

    /// A component that begins with a state of `pages` in which `text` lies, and code that reads it.
    pub(crate) fn stateful(text: &str, pages: u32) -> Vec<u8> {
        let filled = "x".repeat(STATE_BYTES_MIN);
        let wat = format!(
            r#"(component
                (core module $state
                    (import "early" "seven" (func $seven (result i32)))
                    (memory (export "memory") {pages})
                    (table (export "table") 1 8 funcref)
                    (global (export "at") (mut i32) (i32.const {at}))
                    (func (export "jump") (result i32) (call $seven))
                    (func (export "trap") (result i32) unreachable)
                    (data (i32.const 4096) "{filled}")
                    (data (i32.const 16) "{text}"))
                (core module $code
                    (import "state" "memory" (memory 2))
                    (import "state" "table" (table 1 funcref))
                    (import "state" "at" (global $at (mut i32)))
                    (func (export "read") (result i32)
                        (i32.load8_u (global.get $at)))
                    (func (export "trap") (result i32) unreachable))
                (core module $early (func (export "seven") (result i32) (i32.const 7)))
                (core instance $e (instantiate $early))
                (core instance $s (instantiate $state (with "early" (instance $e))))
                (core instance $c (instantiate $code (with "state" (instance $s))))
                (func (export "read") (result u32) (canon lift (core func $c "read")))
                (func (export "jump") (result u32) (canon lift (core func $s "jump")))
                (func (export "trap-of-state") (result u32) (canon lift (core func $s "trap")))
                (func (export "trap-of-code") (result u32) (canon lift (core func $c "trap"))))"#,
            at = 16 + text.len() - 1,
        );
        wat::parse_str(wat).unwrap()
    }

    /// What a component's function gives: a number, or where it trapped.
    fn call(
        component: &Component,
        linker: &Linker<()>,
        name: &str,
        place: impl Fn(&FrameInfo) -> u64,
    ) -> Result<u32, u64> {
        let mut store = Store::new(component.engine(), ());
        let instance = linker.instantiate(&mut store, component).unwrap();
        let function = instance.get_typed_func::<(), (u32,)>(&mut store, name).unwrap();
        function
            .call(&mut store, ())
            .map(|(number,)| number)
            .map_err(|error| place(&error.downcast_ref::<WasmBacktrace>().unwrap().frames()[0]))
    }

    #[test]
    fn a_shell_with_its_state_is_the_component() {
        let engine = Engine::default();
        let mut shells = Vec::new();
        for (text, pages) in [("one", 20), ("another", 40)] {
            let bytes = stateful(text, pages);
            let parts = split(&bytes).unwrap();
            assert!(parts.shell.len() < 1_000, "{}", parts.shell.len());
            let whole = Component::new(&engine, &bytes).unwrap();
            let shell = Component::new(&engine, &parts.shell).unwrap();
            let state = Module::new(&engine, parts.state).unwrap();
            let mut linker = Linker::new(&engine);
            linker.root().module(STATE_IMPORT, &state).unwrap();
            let in_parts = |frame: &FrameInfo| parts.places.of(frame, Some(&state));
            let in_whole = |frame: &FrameInfo| Places::default().of(frame, None);
            for name in ["read", "jump", "trap-of-state", "trap-of-code"] {
                let expected = call(&whole, &Linker::new(&engine), name, in_whole);
                assert_eq!(call(&shell, &linker, name, in_parts), expected, "{name}");
                assert_eq!(expected.is_err(), name.starts_with("trap"));
            }
            let last = text.as_bytes()[text.len() - 1];
            assert_eq!(call(&shell, &linker, "read", in_parts), Ok(last.into()));
            shells.push(parts.shell);
        }
        assert_eq!(shells[0], shells[1], "states share a shell, however large they are");
    }

    #[test]
    fn what_is_more_than_a_state_or_small_stays_whole() {
        let module = |rest: &str| {
            let filled = "x".repeat(STATE_BYTES_MIN);
            let wat = format!(
                r#"(component (core module {rest} (memory (export "m") 20) (data (i32.const 0) "{filled}")))"#
            );
            split(&wat::parse_str(wat).unwrap()).is_some()
        };
        assert!(module(""));
        for rest in [
            r#"(import "env" "g" (global i32))"#,
            r#"(func $begin) (start $begin)"#,
            &format!("(func (export \"f\") {})", "(drop (i32.const 0))".repeat(30_000)),
            r#"(global (export "g") externref (ref.null extern))"#,
        ] {
            assert!(!module(rest), "{rest}");
        }
        for wat in [
            "(component)",
            r#"(component (core module (memory (export "m") 1)))"#,
            r#"(component (component (core module (memory (export "m") 1))))"#,
        ] {
            assert!(split(&wat::parse_str(wat).unwrap()).is_none(), "{wat}");
        }
        let bytes = stateful("text", 20);
        for length in [0, 7, 8, 9, 100, bytes.len() / 2, bytes.len() - 1] {
            assert!(split(&bytes[..length]).is_none(), "the first {length} bytes");
        }
    }
}
