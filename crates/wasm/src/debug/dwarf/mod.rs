//! Variables of a program, as its debug information (DWARF) describes them.
//!
//! ```text
//!   address ─► scopes: which variables are there ─► location: where each is ─► values: what it says
//!                                                        ▲                       ▲
//!                                        machine: locals, operands, memory    types
//! ```
//!
//! Nothing here touches a guest: a frame is handed in as plain data. Debug information comes with a
//! component, so it may say anything; whatever it says, everything here ends soon and never panics.

mod collections;
mod location;
mod machine;
mod path;
mod scopes;
#[cfg(test)]
mod tests;
mod types;
mod values;

use gimli::{DebuggingInformationEntry, UnitOffset};

use super::symbols::Reader;

pub(super) use machine::Frame;
pub(super) use values::{Page, View};

type Entry<'a> = DebuggingInformationEntry<Reader<'a>>;
type Attribute<'a> = gimli::AttributeValue<Reader<'a>>;

/// Entries that are looked at to find the functions.
const ENTRIES_MAX: usize = 10_000_000;
/// Entries of one function that are looked at.
const SCOPE_ENTRIES_MAX: usize = 1_000_000;
/// Entries below one type that are looked at.
const CHILDREN_MAX: usize = 20_000;
/// From an entry to what it is an instance of, and on.
const ORIGINS_MAX: usize = 8;

/// An entry of the debug information.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct At {
    unit: usize,
    offset: UnitOffset,
}

/// The debug information of one module.
pub(super) struct Program<'a> {
    dwarf: gimli::Dwarf<Reader<'a>>,
    units: Vec<gimli::Unit<Reader<'a>>>,
    /// In the order of their addresses.
    functions: Vec<Function>,
}

struct Function {
    begin: u64,
    end: u64,
    at: At,
}

impl<'a> Program<'a> {
    /// Finds the functions. What is malformed is left out.
    pub(super) fn read(dwarf: gimli::Dwarf<Reader<'a>>) -> Self {
        let mut units = Vec::new();
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            if let Ok(unit) = dwarf.unit(header) {
                units.push(unit);
            }
        }
        let mut program = Program { dwarf, units, functions: Vec::new() };
        let mut left = ENTRIES_MAX;
        for unit in 0..program.units.len() {
            program.find_functions(unit, &mut left);
        }
        program.functions.sort_by_key(|it| it.begin);
        program
    }

    fn find_functions(&mut self, number: usize, left: &mut usize) {
        let unit = &self.units[number];
        let mut entries = unit.entries();
        while let Ok(Some(entry)) = entries.next_dfs() {
            let Some(rest) = left.checked_sub(1) else { return };
            *left = rest;
            if entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            let at = At { unit: number, offset: entry.offset() };
            let Ok(mut ranges) = self.dwarf.die_ranges(unit, entry) else { continue };
            while let Ok(Some(range)) = ranges.next() {
                // The linker leaves those that it threw away at 0 or at the end of all addresses.
                if range.begin != 0 && range.begin < range.end {
                    let gimli::Range { begin, end } = range;
                    self.functions.push(Function { begin, end, at });
                }
            }
        }
    }

    fn function_at(&self, address: u64) -> Option<At> {
        let after = self.functions.partition_point(|it| it.begin <= address);
        let found = self.functions.get(after.checked_sub(1)?)?;
        (address < found.end).then_some(found.at)
    }

    fn unit(&self, at: At) -> Option<&gimli::Unit<Reader<'a>>> {
        self.units.get(at.unit)
    }

    fn entry(&self, at: At) -> Option<Entry<'a>> {
        self.unit(at)?.entry(at.offset).ok()
    }

    /// What an attribute of an entry refers to.
    fn reference(&self, at: At, value: Option<Attribute<'a>>) -> Option<At> {
        match value? {
            Attribute::UnitRef(offset) => Some(At { unit: at.unit, offset }),
            Attribute::DebugInfoRef(offset) => {
                let inside = |unit: &gimli::Unit<Reader<'a>>| {
                    let found = offset.to_unit_offset(&unit.header)?;
                    found.is_in_bounds(&unit.header).then_some(found)
                };
                let mut units = self.units.iter().enumerate();
                units.find_map(|(unit, it)| Some(At { unit, offset: inside(it)? }))
            }
            _ => None,
        }
    }

    fn text(&self, at: At, value: Option<Attribute<'a>>) -> Option<String> {
        let text = self.dwarf.attr_string(self.unit(at)?, value?).ok()?;
        Some(text.to_string_lossy().into_owned())
    }

    /// The children of an entry that are of interest, in order.
    fn children<T>(
        &self,
        at: At,
        max: usize,
        mut take: impl FnMut(&Entry<'a>) -> Option<T>,
    ) -> Vec<T> {
        let mut taken = Vec::new();
        let cursor = self.unit(at).and_then(|unit| unit.entries_at_offset(at.offset).ok());
        let Some(mut cursor) = cursor else { return taken };
        let has_children = matches!(cursor.next_dfs(), Ok(Some(entry)) if entry.has_children());
        if !has_children {
            return taken;
        }
        for _ in 0..CHILDREN_MAX {
            let Ok(Some(entry)) = cursor.next_dfs() else { break };
            match entry.depth() {
                ..=0 => break,
                1 => taken.extend(take(entry)),
                // Deeper ones belong to the children.
                _ => {}
            }
            if taken.len() >= max {
                break;
            }
        }
        taken
    }
}
