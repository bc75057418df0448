//! What a value is read from: one frame of a guest that stands still.

/// Why a value cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::debug) enum Unreadable {
    /// The compiler kept it nowhere at this place.
    OptimisedAway,
    /// Its address is not in the memory.
    OutOfMemory,
    /// Its location is described in a way that is not known here.
    Unsupported,
    /// The debug information contradicts itself.
    Malformed,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Unreadable::OptimisedAway => "optimised away",
            Unreadable::OutOfMemory => "not in the memory",
            Unreadable::Unsupported => "kept in a way that is not known",
            Unreadable::Malformed => "its debug information is damaged",
        })
    }
}

/// A frame: what WebAssembly keeps for it, and the memory of its module. Floating point numbers are
/// here by their bits; `None` is what has no bits, such as a reference.
pub(in crate::debug) struct Frame<'a> {
    pub(in crate::debug) locals: Vec<Option<u64>>,
    pub(in crate::debug) operands: Vec<Option<u64>>,
    pub(in crate::debug) globals: Vec<Option<u64>>,
    pub(in crate::debug) memory: &'a [u8],
}

impl Frame<'_> {
    pub(super) fn local(&self, index: u32) -> Result<u64, Unreadable> {
        one_of(&self.locals, index)
    }

    pub(super) fn operand(&self, index: u32) -> Result<u64, Unreadable> {
        one_of(&self.operands, index)
    }

    pub(super) fn global(&self, index: u32) -> Result<u64, Unreadable> {
        one_of(&self.globals, index)
    }

    pub(super) fn memory(&self, address: u64, size: usize) -> Result<&[u8], Unreadable> {
        let from = usize::try_from(address).map_err(|_| Unreadable::OutOfMemory)?;
        let to = from.checked_add(size).ok_or(Unreadable::OutOfMemory)?;
        self.memory.get(from..to).ok_or(Unreadable::OutOfMemory)
    }

    #[cfg(test)]
    pub(super) fn test<'m>(
        locals: &[u64],
        globals: &[u64],
        operands: &[u64],
        memory: &'m [u8],
    ) -> Frame<'m> {
        let all = |values: &[u64]| values.iter().copied().map(Some).collect();
        Frame { locals: all(locals), operands: all(operands), globals: all(globals), memory }
    }
}

fn one_of(values: &[Option<u64>], index: u32) -> Result<u64, Unreadable> {
    let found = values.get(index as usize).copied().flatten();
    // Debug information of optimised code names operands that are gone again.
    found.ok_or(Unreadable::OptimisedAway)
}
