//! Which variables there are at an address.

use gimli::{DW_AT_abstract_origin, DW_AT_specification};

use super::location::{Place, evaluate};
use super::machine::{Frame, Unreadable};
use super::{At, Attribute, Entry, ORIGINS_MAX, Program, Reader, SCOPE_ENTRIES_MAX};

/// Variables of one function that are shown.
const VARIABLES_MAX: usize = 256;
/// Functions inlined into each other that are followed.
const DEPTH_MAX: usize = 256;

/// The variables of a function that is inlined, or not.
pub(super) struct Scope<'a> {
    /// The function's own entry.
    function: At,
    /// Where the expression for the frame in linear memory is.
    base: Option<Attribute<'a>>,
    pub(super) variables: Vec<Declared<'a>>,
}

/// A variable in its scope.
pub(super) struct Declared<'a> {
    pub(super) name: String,
    pub(super) ty: Option<At>,
    /// The entry that it is an instance of.
    origin: Option<At>,
    location: Option<Attribute<'a>>,
    constant: Option<Attribute<'a>>,
}

/// What a name and a type are looked up through.
struct Described {
    name: Option<String>,
    ty: Option<At>,
    origin: Option<At>,
}

impl<'a> Program<'a> {
    /// The scopes of an address: several where functions were inlined, the innermost first.
    pub(super) fn scopes(&self, address: u64) -> Vec<Scope<'a>> {
        let found = self.function_at(address).and_then(|at| self.walk(at, address));
        let mut scopes = found.unwrap_or_default();
        for scope in &mut scopes {
            self.add_lost_parameters(scope);
            hide_shadowed(&mut scope.variables);
        }
        scopes.reverse();
        scopes
    }

    /// Goes down into what contains the address; the outermost scope comes first.
    fn walk(&self, function: At, address: u64) -> Option<Vec<Scope<'a>>> {
        let unit = self.unit(function)?;
        let mut entries = unit.entries_at_offset(function.offset).ok()?;
        let root = entries.next_dfs().ok()??;
        let base = root.attr_value(gimli::DW_AT_frame_base);
        let mut scopes = vec![Scope { function, base, variables: Vec::new() }];
        // The scopes that the walk is in, with the depth of their entries.
        let mut open: Vec<(isize, usize)> = vec![(0, 0)];
        let mut skipped = None;
        for _ in 0..SCOPE_ENTRIES_MAX {
            let Ok(Some(entry)) = entries.next_dfs() else { break };
            let depth = entry.depth();
            if depth <= 0 {
                break;
            }
            if skipped.is_some_and(|above| depth > above) {
                continue;
            }
            skipped = None;
            while open.len() > 1 && open.last().is_some_and(|(at, _)| depth <= *at) {
                open.pop();
            }
            let at = At { unit: function.unit, offset: entry.offset() };
            match entry.tag() {
                gimli::DW_TAG_lexical_block if self.contains(at, entry, address) => {}
                gimli::DW_TAG_inlined_subroutine
                    if scopes.len() < DEPTH_MAX && self.contains(at, entry, address) =>
                {
                    open.push((depth, scopes.len()));
                    scopes.push(Scope { function: at, base, variables: Vec::new() });
                }
                gimli::DW_TAG_formal_parameter | gimli::DW_TAG_variable => {
                    let scope = &mut scopes[open.last().map_or(0, |(_, scope)| *scope)];
                    if scope.variables.len() < VARIABLES_MAX {
                        scope.variables.extend(self.declared(at, entry));
                    }
                    skipped = Some(depth);
                }
                _ => skipped = Some(depth),
            }
        }
        Some(scopes)
    }

    fn contains(&self, at: At, entry: &Entry<'a>, address: u64) -> bool {
        let ranges = self.unit(at).and_then(|unit| self.dwarf.die_ranges(unit, entry).ok());
        let Some(mut ranges) = ranges else { return false };
        while let Ok(Some(range)) = ranges.next() {
            if (range.begin..range.end).contains(&address) {
                return true;
            }
        }
        false
    }

    fn declared(&self, at: At, entry: &Entry<'a>) -> Option<Declared<'a>> {
        let described = self.described(at, entry);
        Some(Declared {
            name: described.name?,
            ty: described.ty,
            origin: described.origin,
            location: entry.attr_value(gimli::DW_AT_location),
            constant: entry.attr_value(gimli::DW_AT_const_value),
        })
    }

    /// An entry's name and type, which may stand in the entry that it is an instance of.
    fn described(&self, at: At, entry: &Entry<'a>) -> Described {
        let name_of = |at, entry: &Entry<'a>| self.text(at, entry.attr_value(gimli::DW_AT_name));
        let type_of =
            |at, entry: &Entry<'a>| self.reference(at, entry.attr_value(gimli::DW_AT_type));
        let origin = self.origin(at, entry);
        let (mut name, mut ty) = (name_of(at, entry), type_of(at, entry));
        let mut next = origin;
        for _ in 0..ORIGINS_MAX {
            let Some(at) = next.filter(|_| name.is_none() || ty.is_none()) else { break };
            let Some(entry) = self.entry(at) else { break };
            name = name.or_else(|| name_of(at, &entry));
            ty = ty.or_else(|| type_of(at, &entry));
            next = self.origin(at, &entry);
        }
        Described { name, ty, origin }
    }

    fn origin(&self, at: At, entry: &Entry<'a>) -> Option<At> {
        let origin = entry.attr_value(DW_AT_abstract_origin);
        self.reference(at, origin.or_else(|| entry.attr_value(DW_AT_specification)))
    }

    /// Compilers leave out parameters of which nothing is left; the function has them still.
    fn add_lost_parameters(&self, scope: &mut Scope<'a>) {
        let entry = self.entry(scope.function);
        let origin = entry.and_then(|entry| self.origin(scope.function, &entry));
        let Some(function) = origin else { return };
        let known: Vec<At> = scope.variables.iter().filter_map(|it| it.origin).collect();
        let lost = self.children(function, VARIABLES_MAX, |child| {
            let at = At { unit: function.unit, offset: child.offset() };
            let is_lost = child.tag() == gimli::DW_TAG_formal_parameter && !known.contains(&at);
            is_lost.then(|| self.declared(at, child)).flatten()
        });
        scope.variables.splice(0..0, lost);
    }

    /// Where a variable is, in a frame that stands at an address.
    pub(super) fn place(
        &self,
        (scope, variable): (&Scope<'a>, &Declared<'a>),
        address: u64,
        frame: &Frame<'_>,
    ) -> Place {
        match (variable.location, variable.constant) {
            (Some(location), _) => {
                let base = match self.locate(scope, (scope.base, address), (frame, None)) {
                    Some(Place::Bytes(bytes)) => {
                        let bytes: Option<Vec<u8>> = bytes.into_iter().collect();
                        bytes.map(|bytes| super::location::number(&bytes) & u64::from(u32::MAX))
                    }
                    Some(Place::Memory(address)) => Some(address),
                    _ => None,
                };
                let found = self.locate(scope, (Some(location), address), (frame, base));
                found.unwrap_or(Place::Gone(Unreadable::OptimisedAway))
            }
            (None, Some(Attribute::Block(bytes))) => {
                Place::Bytes(bytes.slice().iter().copied().map(Some).collect())
            }
            (None, Some(value)) => {
                // Narrow unsigned forms are numbers without a sign.
                let number = match value {
                    Attribute::Sdata(value) => Some(value as u64),
                    value => value.udata_value(),
                };
                match number {
                    Some(number) => {
                        Place::Bytes(number.to_le_bytes().into_iter().map(Some).collect())
                    }
                    None => Place::Gone(Unreadable::Unsupported),
                }
            }
            (None, None) => Place::Gone(Unreadable::OptimisedAway),
        }
    }

    fn locate(
        &self,
        scope: &Scope<'a>,
        (location, address): (Option<Attribute<'a>>, u64),
        (frame, base): (&Frame<'_>, Option<u64>),
    ) -> Option<Place> {
        let unit = self.unit(scope.function)?;
        let at = |expression: gimli::Expression<Reader<'a>>| {
            evaluate((expression, unit.encoding()), frame, base)
        };
        match location? {
            Attribute::Exprloc(expression) => Some(at(expression)),
            Attribute::Block(bytes) => Some(at(gimli::Expression(bytes))),
            list => {
                let mut entries = self.dwarf.attr_locations(unit, list).ok()??;
                while let Ok(Some(entry)) = entries.next() {
                    if (entry.range.begin..entry.range.end).contains(&address) {
                        return Some(at(entry.data));
                    }
                }
                None
            }
        }
    }
}

/// The source can only mean the innermost of those that have the same name.
fn hide_shadowed(variables: &mut Vec<Declared<'_>>) {
    let mut seen = std::collections::HashSet::new();
    let mut kept: Vec<bool> =
        variables.iter().rev().map(|it| seen.insert(it.name.clone())).collect();
    kept.reverse();
    let mut kept = kept.into_iter();
    variables.retain(|_| kept.next().unwrap_or(true));
}
