//! What a guest that stands still shows: stack, variables, memories.

use std::sync::Arc;

use base64::Engine as _;
use nexus_model::limits;
use nexus_model::view::{DebugFrame, FrameView, MemoryInfo, MemoryView, Variable, VariablesView};
use wasmtime::{AsContextMut as _, FrameHandle, Instance, Module, StoreContextMut, Val};

use super::course::{Place, Whence};
use super::dwarf::{Frame, Page, View};
use super::lines::Line;
use super::symbols::{Symbols, is_own};
use crate::state::State;

/// Variables of one frame, and globals, that are shown.
const VARIABLES_MAX: u32 = 64;

/// Locals, operands and globals of one frame that its variables may be in.
const LOOKED_AT_MAX: u32 = 4_096;

/// A frame as people see it.
struct Standing {
    view: FrameView,
    /// The frame of WebAssembly; none in the host.
    inner: Option<Inner>,
}

struct Inner {
    handle: FrameHandle,
    place: Place,
    function: u32,
    /// How many functions there are between it and the one that everything was inlined into.
    from_outermost: usize,
}

/// The core modules of a store, by their numbers in the component.
#[derive(Default)]
pub(super) struct Modules {
    /// Where the bytes of a module lie, which tells modules apart, and its number.
    known: Vec<(usize, usize, Module)>,
}

impl Modules {
    /// Finds out which module of a new store is which one of the component.
    pub(super) fn of(
        store: StoreContextMut<'_, State>,
        component: &[u8],
        symbols: &Symbols,
    ) -> Modules {
        let find = |module: Module| {
            let bytes = module.debug_bytecode()?;
            let same = |at: &crate::debug::symbols::CoreModule| {
                component.get(at.range.clone()) == Some(bytes)
            };
            let number = symbols.modules.iter().position(same)?;
            Some((bytes.as_ptr() as usize, number, module))
        };
        Modules { known: store.debug_all_modules().into_iter().filter_map(find).collect() }
    }

    pub(super) fn number(&self, module: &Module) -> Option<usize> {
        let bytes = module.debug_bytecode()?.as_ptr() as usize;
        self.known.iter().find(|(at, ..)| *at == bytes).map(|(_, number, _)| *number)
    }

    pub(super) fn module(&self, number: usize) -> Option<&Module> {
        self.known.iter().find(|(_, at, _)| *at == number).map(|(.., module)| module)
    }
}

/// A guest that stands still.
pub(super) struct Guest<'a> {
    pub(super) store: StoreContextMut<'a, State>,
    pub(super) modules: &'a Modules,
    pub(super) symbols: &'a Arc<Symbols>,
}

impl Guest<'_> {
    /// Frames of WebAssembly, the innermost first.
    fn handles(&mut self) -> Vec<FrameHandle> {
        let mut handles = Vec::new();
        let exits: Vec<FrameHandle> = self.store.debug_exit_frames().collect();
        for exit in exits {
            let mut next = Some(exit);
            while let Some(handle) = next {
                if handles.len() >= limits::DEBUG_FRAMES_MAX {
                    return handles;
                }
                next = handle.parent(&mut self.store).ok().flatten();
                handles.push(handle);
            }
        }
        handles
    }

    /// How many frames there are.
    pub(super) fn depth(&mut self) -> usize {
        let mut depth = 0;
        let mut next = self.innermost();
        while let Some(handle) = next {
            depth += 1;
            next = handle.parent(&mut self.store).ok().flatten();
        }
        depth
    }

    fn innermost(&mut self) -> Option<FrameHandle> {
        self.store.debug_exit_frames().next()
    }

    fn place_of(&mut self, frame: &FrameHandle) -> Option<(Place, u32)> {
        let (function, pc) = frame.wasm_function_index_and_pc(&mut self.store).ok()??;
        let module = frame.module(self.store.as_context_mut()).ok()??;
        Some(((self.modules.number(module)?, pc.raw()), function.as_u32()))
    }

    /// The instruction at which it stands.
    pub(super) fn place(&mut self) -> Option<Place> {
        let innermost = self.innermost()?;
        self.place_of(&innermost).map(|(place, _)| place)
    }

    /// The line of an instruction, where it is one of the user's.
    pub(super) fn line(&self, (number, pc): Place) -> Option<(usize, Line)> {
        let module = self.symbols.modules.get(number)?;
        let line = module.lines()?.own_line(module.to_debug(pc.into())?)?;
        Some((number, line))
    }

    /// The innermost line of the user on the stack, and how deep its frame is.
    pub(super) fn whence(&mut self) -> Whence {
        let depth = self.depth();
        let mut next = self.innermost();
        let mut above = 0;
        while let Some(handle) = next {
            let place = self.place_of(&handle).map(|(place, _)| place);
            if let Some(line) = place.and_then(|place| self.line(place)) {
                return Whence { line: Some(line), depth: depth - above };
            }
            above += 1;
            next = handle.parent(&mut self.store).ok().flatten();
        }
        Whence { line: None, depth }
    }

    /// The stack: several frames for one of WebAssembly where functions were inlined.
    fn stack(&mut self) -> Vec<Standing> {
        let mut stack = Vec::new();
        let symbols = self.symbols.clone();
        for handle in self.handles() {
            let Some(((number, pc), function)) = self.place_of(&handle) else {
                let view = FrameView { function: "host".to_owned(), ..FrameView::default() };
                stack.push(Standing { view, inner: None });
                continue;
            };
            let views = symbols.modules[number].frames(pc.into());
            let from_outermost = (0..views.len()).rev();
            stack.extend(views.into_iter().zip(from_outermost).map(|(view, from_outermost)| {
                let handle = handle.clone();
                let inner = Some(Inner { handle, place: (number, pc), function, from_outermost });
                Standing { view, inner }
            }));
        }
        stack.truncate(limits::DEBUG_FRAMES_MAX);
        stack
    }

    /// The stack with variables.
    pub(super) fn frames(&mut self) -> Vec<DebugFrame> {
        let symbols = self.symbols.clone();
        let mut frames = Vec::new();
        for Standing { view, inner } in self.stack() {
            let Some(inner) = inner else {
                frames.push(DebugFrame { at: view, ..DebugFrame::default() });
                continue;
            };
            let module = &symbols.modules[inner.place.0];
            let locals =
                self.locals(&inner.handle, |local| module.local_name(inner.function, local));
            // To look at those of the libraries takes longer than anybody wants to know them.
            let variables = match view.file.as_deref().is_some_and(is_own) {
                true => self.variables_of(&inner),
                false => Vec::new(),
            };
            frames.push(DebugFrame { at: view, locals, variables });
        }
        frames
    }

    /// What a client asks for: the variables of a frame, or what is inside of one of them.
    pub(super) fn variables(
        &mut self,
        frame: u32,
        (of, page): (&str, Page),
    ) -> Result<VariablesView, String> {
        let stack = self.stack();
        let count = stack.len();
        let found = stack.into_iter().nth(frame as usize);
        let inner = found.ok_or_else(|| format!("there is no frame {frame}; there are {count}"))?;
        let Some(inner) = inner.inner else { return Ok(VariablesView::default()) };
        if of.is_empty() {
            let all = self.variables_of(&inner).into_iter();
            let some = all.skip(page.start as usize).take(page.count as usize);
            return Ok(VariablesView { of: None, variables: some.collect() });
        }
        let open = |view: &View<'_, '_>| {
            let scopes = view.depth();
            let scope = scopes.checked_sub(1 + inner.from_outermost);
            let scope = scope.ok_or_else(|| "nothing is known of its variables".to_owned())?;
            view.open(scope, (of, page))
        };
        let opened = self.looked_at(&inner, open);
        let opened = opened.unwrap_or_else(|| {
            Err("the debug information has no variables: build with debug = true".to_owned())
        });
        let (of, variables) = opened?;
        Ok(VariablesView { of: Some(of), variables })
    }

    fn variables_of(&mut self, inner: &Inner) -> Vec<Variable> {
        let all = self.looked_at(inner, |view| {
            let mut scopes = view.scopes();
            let scope = scopes.len().checked_sub(1 + inner.from_outermost);
            scope.map(|scope| scopes.swap_remove(scope)).unwrap_or_default()
        });
        all.unwrap_or_default()
    }

    /// Looks at a frame through the debug information of its module, where it has some.
    fn looked_at<T>(&mut self, inner: &Inner, look: impl FnOnce(&View<'_, '_>) -> T) -> Option<T> {
        let symbols = self.symbols.clone();
        let (number, pc) = inner.place;
        let module = symbols.modules.get(number)?;
        let address = module.to_debug(pc.into())?;
        let (handle, store) = (&inner.handle, &mut self.store);
        let count = handle.num_locals(&mut *store).unwrap_or(0).min(LOOKED_AT_MAX);
        let locals = (0..count).map(|at| raw(handle.local(&mut *store, at))).collect();
        let count = handle.num_stacks(&mut *store).unwrap_or(0).min(LOOKED_AT_MAX);
        let operands = (0..count).map(|at| raw(handle.stack(&mut *store, at))).collect();
        let instance = handle.instance(&mut self.store).ok()?;
        let mut globals = Vec::new();
        for at in 0..LOOKED_AT_MAX {
            let Some(global) = instance.debug_global(&mut self.store, at) else { break };
            globals.push(raw(Ok(global.get(&mut self.store))));
        }
        let memory = instance.debug_memory(&mut self.store, 0);
        let memory = memory.as_ref().map_or(&[][..], |memory| memory.data(&self.store));
        let frame = Frame { locals, operands, globals, memory };
        module.with_program(|program| look(&View::new(program, &frame, address)))
    }

    fn locals(&mut self, frame: &FrameHandle, name: impl Fn(u32) -> String) -> Vec<Variable> {
        let count = frame.num_locals(&mut self.store).unwrap_or(0).min(VARIABLES_MAX);
        let mut variables = Vec::new();
        for local in 0..count {
            if let Ok(value) = frame.local(&mut self.store, local) {
                variables.push(variable(name(local), value));
            }
        }
        variables
    }

    /// The globals of the module in which it stands.
    pub(super) fn globals(&mut self) -> Vec<Variable> {
        let mut variables = Vec::new();
        let Some(innermost) = self.innermost() else { return variables };
        let Some(((number, _), _)) = self.place_of(&innermost) else { return variables };
        let Ok(instance) = innermost.instance(&mut self.store) else { return variables };
        for global in 0..VARIABLES_MAX {
            let Some(found) = instance.debug_global(&mut self.store, global) else { break };
            let name = self.symbols.modules[number].global_name(global);
            // The linker's own tables say nothing to people.
            if !name.starts_with("GOT.") {
                let value = found.get(&mut self.store);
                variables.push(variable(name, value));
            }
        }
        variables
    }

    fn instances(&mut self) -> Vec<Instance> {
        self.store.as_context_mut().debug_all_instances()
    }

    /// All memories, each once, although several modules may use it.
    fn all_memories(&mut self) -> Vec<(String, wasmtime::Memory)> {
        let mut found: Vec<(String, wasmtime::Memory)> = Vec::new();
        for instance in self.instances() {
            for index in 0.. {
                let Some(memory) = instance.debug_memory(&mut self.store, index) else { break };
                let base = memory.data_ptr(&self.store);
                if memory.data_size(&self.store) == 0 {
                    continue;
                }
                if found.iter().all(|(_, known)| known.data_ptr(&self.store) != base) {
                    let module = instance.module(&self.store);
                    let name = self.modules.number(module).map_or_else(
                        || module.name().unwrap_or("module").to_owned(),
                        |number| self.symbols.modules[number].name.clone(),
                    );
                    found.push((name, memory));
                }
            }
        }
        found
    }

    pub(super) fn memories(&mut self) -> Vec<MemoryInfo> {
        let memories = self.all_memories();
        let info = |(number, (module, memory)): (usize, (String, wasmtime::Memory))| MemoryInfo {
            memory: number as u32,
            module,
            bytes: memory.data_size(&self.store) as u64,
        };
        memories.into_iter().enumerate().map(info).collect()
    }

    /// A part of a memory.
    pub(super) fn memory(
        &mut self,
        memory: u32,
        (address, length): (u64, u32),
    ) -> Result<MemoryView, String> {
        if length > limits::DEBUG_MEMORY_BYTES_MAX {
            return Err(format!(
                "{length} bytes of memory are asked for; the limit is {}",
                limits::DEBUG_MEMORY_BYTES_MAX
            ));
        }
        let memories = self.all_memories();
        let Some((_, found)) = memories.get(memory as usize) else {
            return Err(format!("there is no memory {memory}; there are {}", memories.len()));
        };
        let data = found.data(&self.store);
        let start = usize::try_from(address).unwrap_or(usize::MAX);
        if start > data.len() {
            return Err(format!("address {address} lies behind the {} bytes of it", data.len()));
        }
        let part = &data[start..data.len().min(start.saturating_add(length as usize))];
        let base64 = base64::engine::general_purpose::STANDARD.encode(part);
        Ok(MemoryView { memory, address, base64 })
    }
}

fn variable(name: String, value: Val) -> Variable {
    let (ty, value) = match value {
        Val::I32(value) => ("i32", integer(value.into(), value as u32 as u64)),
        Val::I64(value) => ("i64", integer(value, value as u64)),
        Val::F32(bits) => ("f32", f32::from_bits(bits).to_string()),
        Val::F64(bits) => ("f64", f64::from_bits(bits).to_string()),
        Val::V128(value) => ("v128", format!("{:#034x}", value.as_u128())),
        Val::FuncRef(value) => {
            ("funcref", if value.is_some() { "function" } else { "null" }.into())
        }
        _ => ("reference", "reference".to_owned()),
    };
    Variable { name, ty: ty.to_owned(), value, ..Variable::default() }
}

/// The bits of a value; references have none.
fn raw(value: wasmtime::Result<Val>) -> Option<u64> {
    match value.ok()? {
        Val::I32(value) => Some(u64::from(value as u32)),
        Val::I64(value) => Some(value as u64),
        Val::F32(bits) => Some(u64::from(bits)),
        Val::F64(bits) => Some(bits),
        _ => None,
    }
}

fn integer(signed: i64, bits: u64) -> String {
    if (-9..10).contains(&signed) { signed.to_string() } else { format!("{signed} ({bits:#x})") }
}
