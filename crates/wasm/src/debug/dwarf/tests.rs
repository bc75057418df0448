//! Debug information made by hand, and then damaged.

use gimli::{EndianSlice, LittleEndian};
use nexus_model::view::Variable;
use proptest::prelude::*;

use super::machine::Frame;
use super::{Page, Program, View};

/// One function at 16..48 with its frame where local 0 says:
/// `struct Pair { a: u16, next: *Pair }`, `[Pair; 3]`, and an enumeration with data.
const ABBREVIATIONS: &[u8] = &[
    1, 0x11, 1, 0, 0, // a unit
    2, 0x2e, 1, 0x11, 0x01, 0x12, 0x06, 0x40, 0x18, 0, 0, // a function
    3, 0x05, 0, 0x03, 0x08, 0x49, 0x13, 0x02, 0x18, 0, 0, // a parameter
    4, 0x24, 0, 0x03, 0x08, 0x3e, 0x0b, 0x0b, 0x0b, 0, 0, // a base type
    5, 0x13, 1, 0x03, 0x08, 0x0b, 0x0b, 0, 0, // a structure
    6, 0x0d, 0, 0x03, 0x08, 0x49, 0x13, 0x38, 0x0b, 0, 0, // a member
    7, 0x0f, 0, 0x49, 0x13, 0, 0, // a pointer
    8, 0x01, 1, 0x49, 0x13, 0, 0, // an array
    9, 0x21, 0, 0x37, 0x0b, 0, 0, // its length
    10, 0x33, 1, 0x15, 0x13, 0, 0, // a part with variants
    11, 0x19, 1, 0x16, 0x0b, 0, 0, // a variant
    12, 0x19, 1, 0, 0, // the other variant
    13, 0x16, 0, 0x03, 0x08, 0x49, 0x13, 0, 0, // a name for a type
    0,
];

/// Writes entries, and remembers where each begins.
struct Unit {
    bytes: Vec<u8>,
}

impl Unit {
    fn at(&self) -> u32 {
        self.bytes.len() as u32
    }

    fn entry(&mut self, code: u8, parts: &[&[u8]]) -> u32 {
        let at = self.at();
        self.bytes.push(code);
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        at
    }

    fn end(&mut self) {
        self.bytes.push(0);
    }
}

fn unit() -> Vec<u8> {
    let mut unit = Unit { bytes: vec![0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 4] };
    unit.entry(1, &[]);
    let number = unit.entry(4, &[b"u16\0", &[0x07, 2]]);
    // The pointer's target comes later: its place follows from its length.
    let pointer = unit.entry(7, &[&(unit.at() + 5).to_le_bytes()]);
    let pair = unit.entry(5, &[b"app::Pair\0", &[8]]);
    assert_eq!(pair, pointer + 5);
    unit.entry(6, &[b"a\0", &number.to_le_bytes(), &[0]]);
    unit.entry(6, &[b"next\0", &pointer.to_le_bytes(), &[4]]);
    unit.end();
    let array = unit.entry(8, &[&pair.to_le_bytes()]);
    unit.entry(9, &[&[3]]);
    unit.end();
    let choice = unit.entry(5, &[b"Choice\0", &[8]]);
    let tag = unit.at() + 5;
    unit.entry(10, &[&tag.to_le_bytes()]);
    unit.entry(6, &[b"\0", &number.to_le_bytes(), &[0]]);
    unit.entry(11, &[&[7]]);
    unit.entry(6, &[b"Seven\0", &pair.to_le_bytes(), &[0]]);
    unit.end();
    unit.entry(12, &[]);
    unit.entry(6, &[b"Other\0", &number.to_le_bytes(), &[2]]);
    unit.end();
    unit.end();
    unit.end();
    // A name for itself has no end.
    let endless = unit.at();
    unit.entry(13, &[b"Endless\0", &endless.to_le_bytes()]);
    unit.entry(2, &[&16_u32.to_le_bytes(), &32_u32.to_le_bytes(), &[4, 0xed, 0, 0, 0x9f]]);
    for (name, ty, location) in [
        (&b"count\0"[..], number, &[4, 0xed, 0, 1, 0x9f][..]),
        (b"pair\0", pair, &[2, 0x91, 0]),
        (b"all\0", array, &[2, 0x91, 0]),
        (b"choice\0", choice, &[2, 0x91, 24]),
        (b"other\0", choice, &[2, 0x91, 26]),
        (b"gone\0", pair, &[0]),
        (b"outside\0", pair, &[3, 0x91, 0xff, 0x3f]),
        (b"endless\0", endless, &[2, 0x91, 0]),
    ] {
        unit.entry(3, &[name, &ty.to_le_bytes(), location]);
    }
    unit.end();
    unit.end();
    let length = unit.at() - 4;
    unit.bytes[..4].copy_from_slice(&length.to_le_bytes());
    unit.bytes
}

fn memory() -> Vec<u8> {
    let mut memory = vec![0; 128];
    // Pairs at 32, 40 and 48; each leads to the next, and the last one to the first.
    for (at, (number, next)) in [(32, (5_u16, 40_u32)), (40, (6, 48)), (48, (7, 32))] {
        memory[at..at + 2].copy_from_slice(&number.to_le_bytes());
        memory[at + 4..at + 8].copy_from_slice(&next.to_le_bytes());
    }
    memory[56] = 7;
    memory[58] = 8;
    memory
}

fn look<T>(
    (abbreviations, info): (&[u8], &[u8]),
    memory: &[u8],
    look: impl FnOnce(&View<'_, '_>) -> T,
) -> T {
    let section = |id: gimli::SectionId| -> Result<super::Reader<'_>, gimli::Error> {
        let bytes = match id {
            gimli::SectionId::DebugAbbrev => abbreviations,
            gimli::SectionId::DebugInfo => info,
            _ => &[],
        };
        Ok(EndianSlice::new(bytes, LittleEndian))
    };
    let program = Program::read(gimli::Dwarf::load(section).unwrap());
    let frame = Frame::test(&[32, 9], &[], &[], memory);
    look(&View::new(&program, &frame, 20))
}

/// Everything that can be asked for, as a client does that opens all it sees.
fn open_all(view: &View<'_, '_>) -> Vec<Variable> {
    let mut found: Vec<Variable> = view.scopes().into_iter().flatten().collect();
    let mut next = 0;
    while next < found.len().min(60) {
        let page = Page { start: 0, count: 5 };
        if let Ok((_, inside)) = view.open(0, (&found[next].path.clone(), page)) {
            found.extend(inside);
        }
        next += 1;
    }
    found
}

#[test]
fn variables_of_a_function_made_by_hand() {
    let info = unit();
    let found = look((ABBREVIATIONS, &info), &memory(), open_all);
    let said = |path: &str| {
        let one = found.iter().find(|it| it.path == path);
        one.map(|it| (it.ty.as_str(), it.value.as_str(), it.children, it.address))
    };
    for (path, ty, value, children, address) in [
        ("count", "u16", "9", 0, None),
        ("pair", "Pair", "Pair { a: 5, next: 0x28 }", 2, Some(32)),
        ("pair.next.next.a", "u16", "7", 0, Some(48)),
        (
            "all",
            "[Pair; 3]",
            "[Pair { a: 5, next: 0x28 }, Pair { a: 6, next: 0x30 }, Pair { a: 7, next: 0x20 }]",
            3,
            Some(32),
        ),
        ("all[2].a", "u16", "7", 0, Some(48)),
        ("choice", "Choice", "Seven { a: 7, next: null }", 2, Some(56)),
        ("other", "Choice", "Other", 0, Some(58)),
        ("gone", "Pair", "<optimised away>", 0, None),
        (
            "outside",
            "Pair",
            "Pair { a: <not in the memory>, next: <not in the memory> }",
            2,
            Some(8223),
        ),
        ("endless", "Endless", "at 0x20", 0, Some(32)),
    ] {
        assert_eq!(said(path), Some((ty, value, children, address)), "{path} of {found:#?}");
    }
}

#[test]
fn an_address_outside_of_all_functions_has_no_variables() {
    let info = unit();
    let section = |id: gimli::SectionId| -> Result<super::Reader<'_>, gimli::Error> {
        let bytes = match id {
            gimli::SectionId::DebugAbbrev => ABBREVIATIONS,
            gimli::SectionId::DebugInfo => &info,
            _ => &[],
        };
        Ok(EndianSlice::new(bytes, LittleEndian))
    };
    let program = Program::read(gimli::Dwarf::load(section).unwrap());
    let frame = Frame::test(&[32, 9], &[], &[], &[]);
    for (address, expected) in [(15, 0), (16, 1), (47, 1), (48, 0), (u64::MAX, 0)] {
        assert_eq!(View::new(&program, &frame, address).depth(), expected, "{address}");
    }
}

proptest! {
    /// Components come from users: whatever their debug information says, looking at it ends.
    #[test]
    fn damaged_information_does_no_harm(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..12),
        in_abbreviations in any::<bool>(),
        bytes in proptest::collection::vec(any::<u8>(), 128),
    ) {
        let (mut abbreviations, mut info) = (ABBREVIATIONS.to_vec(), unit());
        for (at, byte) in changes {
            let damaged = if in_abbreviations { &mut abbreviations } else { &mut info };
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        look((&abbreviations, &info), &bytes, open_all);
    }
}
