//! What the custom sections of a component say about its code: names of functions, files and lines.
//!
//! Machine code is compiled without any of it. A place is a number of bytes from the beginning of
//! the component, which survives compilation; who looks at a stack turns it into a line then.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use gimli::{EndianSlice, LittleEndian};
use nexus_model::view::FrameView;
use wasmparser::{KnownCustom, Name, Parser, Payload};

use super::dwarf::Program;
use super::lines::Lines;

pub(super) use nexus_model::is_own_source as is_own;

pub(super) type Reader<'a> = EndianSlice<'a, LittleEndian>;

type Sections = HashMap<String, Arc<[u8]>>;
type Context<'a> = Mutex<addr2line::Context<Reader<'a>>>;

self_cell::self_cell!(
    /// What finds functions, with the sections that it reads.
    struct Finder {
        owner: Sections,
        #[not_covariant]
        dependent: Context,
    }
);

self_cell::self_cell!(
    /// What knows variables, with the sections that it reads.
    struct Programs {
        owner: Sections,
        #[not_covariant]
        dependent: Program,
    }
);

/// Everything that is known of a component's code.
pub(crate) struct Symbols {
    pub(super) modules: Vec<CoreModule>,
}

/// A core module inside of a component.
pub(super) struct CoreModule {
    pub(super) name: String,
    /// Where its bytes are in the component.
    pub(super) range: Range<usize>,
    /// Where the content of its code section begins, from its first byte. Debug information counts
    /// from there.
    code_start: u64,
    /// The bodies of its functions in order, from its first byte.
    bodies: Vec<Range<u64>>,
    imported_functions: u32,
    functions: HashMap<u32, String>,
    locals: HashMap<(u32, u32), String>,
    globals: HashMap<u32, String>,
    sections: Sections,
    debug: OnceLock<Option<DebugInfo>>,
    /// Apart from the rest, because stacks of crashes do not need it.
    program: OnceLock<Option<Programs>>,
}

struct DebugInfo {
    finder: Finder,
    lines: Lines,
}

impl Symbols {
    /// Reads names and sections; debug information is only taken apart when a place in its module is
    /// asked for. Malformed custom sections are left out: they mean nothing for the code.
    pub(crate) fn read(component: &[u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut modules = Vec::new();
        let mut open: Vec<Option<CoreModule>> = Vec::new();
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::Version { encoding, range, .. } => {
                    let is_module = encoding == wasmparser::Encoding::Module;
                    open.push(is_module.then(|| CoreModule::new(range.start)));
                }
                Payload::End(end) => {
                    if let Some(Some(mut module)) = open.pop() {
                        module.range.end = end;
                        modules.push(module);
                    }
                }
                payload => {
                    if let Some(Some(module)) = open.last_mut() {
                        module.take(payload)?;
                    }
                }
            }
        }
        for (number, module) in modules.iter_mut().enumerate() {
            if module.name.is_empty() {
                module.name = format!("module {number}");
            }
        }
        Ok(Symbols { modules })
    }

    /// The frames of a place: several where functions were inlined, the innermost first.
    pub(crate) fn frames(&self, offset: u64) -> Vec<FrameView> {
        let inside = |module: &&CoreModule| {
            module.range.contains(&usize::try_from(offset).unwrap_or(usize::MAX))
        };
        match self.modules.iter().find(inside) {
            Some(module) => module.frames(offset - module.range.start as u64),
            None => vec![FrameView { function: "unknown".into(), offset, ..FrameView::default() }],
        }
    }

    /// The user's source files, then the others.
    pub(super) fn sources(&self) -> Vec<String> {
        let mut own = BTreeSet::new();
        let mut foreign = BTreeSet::new();
        for file in self.modules.iter().filter_map(CoreModule::lines).flat_map(Lines::files) {
            match is_own(file) {
                true => own.insert(file.to_owned()),
                false => foreign.insert(file.to_owned()),
            };
        }
        own.into_iter().chain(foreign).collect()
    }
}

impl CoreModule {
    fn new(start: usize) -> Self {
        CoreModule {
            name: String::new(),
            range: start..start,
            code_start: 0,
            bodies: Vec::new(),
            imported_functions: 0,
            functions: HashMap::new(),
            locals: HashMap::new(),
            globals: HashMap::new(),
            sections: HashMap::new(),
            debug: OnceLock::new(),
            program: OnceLock::new(),
        }
    }

    fn take(&mut self, payload: Payload<'_>) -> Result<(), wasmparser::BinaryReaderError> {
        let start = self.range.start;
        match payload {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    if matches!(
                        import?.ty,
                        wasmparser::TypeRef::Func(_) | wasmparser::TypeRef::FuncExact(_)
                    ) {
                        self.imported_functions += 1;
                    }
                }
            }
            Payload::CodeSectionStart { range, .. } => {
                self.code_start = (range.start - start) as u64;
            }
            Payload::CodeSectionEntry(body) => {
                let range = body.range();
                self.bodies.push((range.start - start) as u64..(range.end - start) as u64);
            }
            Payload::CustomSection(section) => match section.as_known() {
                KnownCustom::Name(names) => self.take_names(names),
                _ if section.name().starts_with(".debug_") => {
                    let name = section.name().to_owned();
                    self.sections.insert(name, Arc::from(section.data()));
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn take_names(&mut self, names: wasmparser::NameSectionReader<'_>) {
        for name in names.into_iter().map_while(Result::ok) {
            match name {
                Name::Module { name, .. } => self.name = name.to_owned(),
                Name::Function(map) => {
                    let names = map.into_iter().map_while(Result::ok);
                    self.functions.extend(names.map(|at| (at.index, demangle(at.name))));
                }
                Name::Local(functions) => {
                    for function in functions.into_iter().map_while(Result::ok) {
                        let names = function.names.into_iter().map_while(Result::ok);
                        let of = |at: wasmparser::Naming<'_>| {
                            ((function.index, at.index), at.name.to_owned())
                        };
                        self.locals.extend(names.map(of));
                    }
                }
                Name::Global(map) => {
                    let names = map.into_iter().map_while(Result::ok);
                    self.globals.extend(names.map(|at| (at.index, at.name.to_owned())));
                }
                _ => {}
            }
        }
    }

    /// The index of the function that a place lies in; places count from the module's first byte.
    fn function_at(&self, place: u64) -> Option<u32> {
        let after = self.bodies.partition_point(|body| body.start <= place);
        let defined = after.checked_sub(1)?;
        (place < self.bodies[defined].end).then(|| self.imported_functions + defined as u32)
    }

    pub(super) fn function_name(&self, function: u32) -> String {
        match self.functions.get(&function) {
            Some(name) => name.clone(),
            None => format!("function {function}"),
        }
    }

    pub(super) fn local_name(&self, defined: u32, local: u32) -> String {
        let known = self.locals.get(&(self.imported_functions + defined, local));
        known.cloned().unwrap_or_else(|| format!("local{local}"))
    }

    pub(super) fn global_name(&self, global: u32) -> String {
        self.globals.get(&global).cloned().unwrap_or_else(|| format!("global{global}"))
    }

    /// The line table; nothing where the module has none.
    pub(super) fn lines(&self) -> Option<&Lines> {
        Some(&self.debug()?.lines)
    }

    /// Of a place in the module, the place in debug information.
    pub(super) fn to_debug(&self, place: u64) -> Option<u64> {
        place.checked_sub(self.code_start)
    }

    /// Of a place in debug information, the place in the module.
    pub(super) fn plain_address(&self, address: u64) -> u64 {
        address + self.code_start
    }

    /// The frames of a place, counted from the module's first byte.
    pub(super) fn frames(&self, place: u64) -> Vec<FrameView> {
        let outer = match self.function_at(place) {
            Some(function) => self.function_name(function),
            None => "unknown".to_owned(),
        };
        let offset = self.range.start as u64 + place;
        let frame = |function| FrameView {
            function,
            module: self.name.clone(),
            offset,
            ..FrameView::default()
        };
        let mut frames = self.debug_frames(place, frame).unwrap_or_default();
        match frames.last_mut() {
            // Where there are only line tables, names in debug information lack their path.
            Some(last) if last.function.is_empty() || outer.ends_with(&last.function) => {
                last.function = outer;
            }
            Some(_) => {}
            None => frames.push(frame(outer)),
        }
        frames
    }

    fn debug_frames(
        &self,
        place: u64,
        frame: impl Fn(String) -> FrameView,
    ) -> Option<Vec<FrameView>> {
        let address = self.to_debug(place)?;
        let debug = self.debug()?;
        let mut frames = debug.finder.with_dependent(|_, context| {
            let context = context.lock().unwrap_or_else(PoisonError::into_inner);
            let mut found = context.find_frames(address).skip_all_loads().ok()?;
            let mut frames = Vec::new();
            while let Ok(Some(at)) = found.next() {
                let name = at.function.as_ref().and_then(|name| name.raw_name().ok());
                let name = name.map(|name| demangle(name.as_ref())).unwrap_or_default();
                let location = at.location.as_ref();
                frames.push(FrameView {
                    file: location.and_then(|at| at.file).map(ToOwned::to_owned),
                    line: location.and_then(|at| at.line).filter(|line| *line > 0),
                    column: location.and_then(|at| at.column).filter(|column| *column > 0),
                    ..frame(name)
                });
            }
            Some(frames)
        })?;
        let last = frames.len().saturating_sub(1);
        for inlined in frames.iter_mut().take(last) {
            inlined.inlined = true;
        }
        (!frames.is_empty()).then_some(frames)
    }

    /// Does something with what is known of variables; nothing where nothing is.
    pub(super) fn with_program<T>(&self, done: impl FnOnce(&Program<'_>) -> T) -> Option<T> {
        let load = || {
            self.sections.get(".debug_info")?;
            let programs = Programs::try_new(self.sections.clone(), |sections| {
                dwarf(sections).map(Program::read).ok_or(())
            });
            programs.ok()
        };
        let programs = self.program.get_or_init(load).as_ref()?;
        Some(programs.with_dependent(|_, program| done(program)))
    }

    fn debug(&self) -> Option<&DebugInfo> {
        let load = || {
            self.sections.get(".debug_info")?;
            let lines = Lines::read(&dwarf(&self.sections)?);
            let finder = Finder::try_new(self.sections.clone(), |sections| {
                let context =
                    dwarf(sections).and_then(|it| addr2line::Context::from_dwarf(it).ok());
                context.map(Mutex::new).ok_or(())
            });
            Some(DebugInfo { finder: finder.ok()?, lines })
        };
        self.debug.get_or_init(load).as_ref()
    }
}

fn dwarf(sections: &Sections) -> Option<gimli::Dwarf<Reader<'_>>> {
    let section = |id: gimli::SectionId| -> Result<Reader<'_>, gimli::Error> {
        let bytes = sections.get(id.name()).map_or(&[][..], |bytes| bytes);
        Ok(EndianSlice::new(bytes, LittleEndian))
    };
    gimli::Dwarf::load(section).ok()
}

/// A name as people write it, without hashes.
pub(crate) fn demangle(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
