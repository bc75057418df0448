//! Breakpoints: on operations by their name, on lines by the instructions where they begin.

use std::collections::HashSet;

use nexus_model::limits;
use nexus_model::view::{BreakpointView, LineBreakpoint};
use wasmtime::{AsContext as _, AsContextMut as _, ModulePC, StoreContextMut};

use super::Control;
use crate::debug::course::Place;
use crate::state::State;

impl Control {
    /// Whether a breakpoint stands on an operation.
    pub(super) fn matches(&self, function: &str) -> bool {
        self.patterns.iter().any(|pattern| matches_pattern(pattern, function))
    }

    /// Sets breakpoints and single stepping as the course needs them.
    pub(super) fn apply(&mut self, store: &mut StoreContextMut<'_, State>) -> wasmtime::Result<()> {
        let wanted = (self.requested.clone(), self.course.waypoints());
        if wanted != self.set {
            self.put_breakpoints(store, &wanted)?;
            self.set = wanted;
        }
        let single = self.course.single_steps();
        if single != self.single
            && let Some(mut edit) = store.as_context_mut().edit_breakpoints()
        {
            edit.single_step(single)?;
            self.single = single;
        }
        Ok(())
    }

    fn put_breakpoints(
        &mut self,
        store: &mut StoreContextMut<'_, State>,
        (requested, waypoints): &(HashSet<Place>, HashSet<Place>),
    ) -> wasmtime::Result<()> {
        let modules = &self.modules;
        let at = |place: &Place| Some((modules.module(place.0)?, ModulePC::new(place.1)));
        if let Some(mut edit) = store.as_context_mut().edit_breakpoints() {
            for (module, pc) in self.set.0.iter().chain(&self.set.1).filter_map(at) {
                edit.remove_breakpoint(module, pc)?;
            }
            for (module, pc) in requested.iter().filter_map(at) {
                edit.add_breakpoint(module, pc)?;
            }
        }
        // Where no instruction begins, the next one has got the breakpoint.
        let set = store.as_context().breakpoints().into_iter().flatten();
        let place = |at: wasmtime::Breakpoint| Some((modules.number(&at.module)?, at.pc.raw()));
        self.course.places = set.filter_map(place).collect();
        if let Some(mut edit) = store.as_context_mut().edit_breakpoints() {
            for (module, pc) in waypoints.iter().filter_map(at) {
                edit.add_breakpoint(module, pc)?;
            }
        }
        Ok(())
    }

    /// Replaces all breakpoints; those on lines move to the next line with code.
    pub(super) fn set_breakpoints(
        &mut self,
        operations: Vec<String>,
        lines: &[LineBreakpoint],
    ) -> Result<(), String> {
        let count = operations.len() + lines.len();
        if count > limits::DEBUG_BREAKPOINTS_MAX {
            let limit = limits::DEBUG_BREAKPOINTS_MAX;
            return Err(format!("{count} breakpoints exceed the limit of {limit}"));
        }
        self.patterns = operations;
        self.requested.clear();
        self.breakpoints = Vec::new();
        for wanted in lines {
            let symbols = self.facts.symbols.clone();
            let modules = symbols.modules.iter().enumerate();
            let found = modules.filter_map(|(number, module)| {
                let (file, line, addresses) =
                    module.lines()?.breakpoint(&wanted.file, wanted.line)?;
                let place = |address: u64| (number, module.plain_address(address) as u32);
                Some((file, line, addresses.into_iter().map(place).collect::<Vec<_>>()))
            });
            let view = match found.min_by_key(|(_, line, _)| *line) {
                Some((file, line, places)) => {
                    self.requested.extend(places);
                    let (file, message) = (file.to_owned(), String::new());
                    BreakpointView { file, line, verified: true, message }
                }
                None => BreakpointView {
                    file: wanted.file.clone(),
                    line: wanted.line,
                    verified: false,
                    message: no_code(self.facts.has_lines),
                },
            };
            self.breakpoints.push(view);
        }
        Ok(())
    }
}

fn no_code(has_lines: bool) -> String {
    match has_lines {
        true => "no code stands there".to_owned(),
        false => "the component has no line tables".to_owned(),
    }
}

/// A part of the name, or a pattern with `*`.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return name.contains(pattern) };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return name.ends_with(part);
        }
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches_pattern;

    #[test]
    fn patterns_match_names_of_operations() {
        let name = "wasi:http/outgoing-handler.handle";
        for (pattern, expected) in [
            ("http", true),
            ("wasi:http*", true),
            ("*.handle", true),
            ("wasi:*handler*", true),
            ("wasi:*.get", false),
            ("http*", false),
            ("clock", false),
            ("*", true),
        ] {
            assert_eq!(matches_pattern(pattern, name), expected, "{pattern}");
        }
    }
}
