//! Types as debug information describes them.

use gimli::{DW_AT_name, DW_AT_type};

use super::{At, Attribute, Entry, Program};

/// Members, variants or enumerators of one type.
const MEMBERS_MAX: usize = 1_024;
/// Names and qualifiers around one type.
const ALIASES_MAX: usize = 16;
/// Pointers of these programs, in bytes.
pub(super) const POINTER_BYTES: usize = 4;

#[derive(Debug)]
pub(super) struct Type {
    /// As the program names it, without paths.
    pub(super) name: String,
    /// In bytes.
    pub(super) size: u64,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Base(gimli::DwAte),
    Pointer(Option<At>),
    /// Structures, unions, tuples, and enumerations with data.
    Composite(Composite),
    /// The elements, and how many there are in each dimension.
    Array(Option<At>, Vec<u64>),
    /// Enumerations without data: values and their names.
    Enumeration(Vec<(u64, String)>),
    Function,
    /// Nothing is known of it.
    Unknown,
}

#[derive(Debug, Default)]
pub(super) struct Composite {
    pub(super) members: Vec<Member>,
    pub(super) variants: Option<Variants>,
    /// Types that a generic one was made with, by the names of the parameters.
    pub(super) parameters: Vec<(String, At)>,
}

impl Composite {
    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|it| it.name == name)
    }

    pub(super) fn parameter(&self, name: &str) -> Option<At> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, at)| *at)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) ty: Option<At>,
    /// In bytes, from the beginning.
    pub(super) offset: u64,
    /// Where it is a part of its bytes: the first bit, and how many.
    pub(super) bits: Option<(u64, u64)>,
}

#[derive(Debug)]
pub(super) struct Variants {
    /// Says which variant it is.
    pub(super) tag: Option<Member>,
    /// Values of the tag, and what is there then. The one without a value is for all others.
    pub(super) cases: Vec<(Option<u64>, Member)>,
}

impl<'a> Program<'a> {
    /// Reads a type, behind its aliases and qualifiers.
    pub(super) fn ty(&self, at: At) -> Type {
        let mut at = at;
        let mut alias = None;
        for _ in 0..ALIASES_MAX {
            let Some(entry) = self.entry(at) else { break };
            let name = self.text(at, entry.attr_value(DW_AT_name));
            match entry.tag() {
                gimli::DW_TAG_typedef
                | gimli::DW_TAG_const_type
                | gimli::DW_TAG_volatile_type
                | gimli::DW_TAG_restrict_type
                | gimli::DW_TAG_atomic_type => {
                    alias = alias.or(name);
                    match self.reference(at, entry.attr_value(DW_AT_type)) {
                        Some(next) => at = next,
                        // `void`, with a qualifier.
                        None => break,
                    }
                }
                _ => return self.read_type((at, &entry), alias.or(name)),
            }
        }
        Type { name: short(&alias.unwrap_or_default()), size: 0, kind: Kind::Unknown }
    }

    fn read_type(&self, (at, entry): (At, &Entry<'a>), name: Option<String>) -> Type {
        let size = entry.attr_value(gimli::DW_AT_byte_size).and_then(|it| it.udata_value());
        let of = || self.reference(at, entry.attr_value(DW_AT_type));
        let mut size = size.unwrap_or(0);
        let kind = match entry.tag() {
            gimli::DW_TAG_base_type => match entry.attr_value(gimli::DW_AT_encoding) {
                Some(Attribute::Encoding(encoding)) => Kind::Base(encoding),
                _ => Kind::Unknown,
            },
            gimli::DW_TAG_pointer_type
            | gimli::DW_TAG_reference_type
            | gimli::DW_TAG_rvalue_reference_type => {
                size = POINTER_BYTES as u64;
                Kind::Pointer(of())
            }
            gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type | gimli::DW_TAG_union_type => {
                Kind::Composite(self.composite(at))
            }
            gimli::DW_TAG_array_type => {
                let counts = self.children(at, MEMBERS_MAX, counted);
                let element = of();
                // Its elements may be arrays in turn, for as long as somebody likes.
                let each = element.map_or(0, |at| self.size_of_element(at));
                size = counts.iter().fold(each, |all, count| all.saturating_mul(*count));
                Kind::Array(element, counts)
            }
            gimli::DW_TAG_enumeration_type => {
                Kind::Enumeration(self.children(at, MEMBERS_MAX, |child| {
                    let value = child.attr_value(gimli::DW_AT_const_value)?;
                    let name = self.text(at, child.attr_value(DW_AT_name))?;
                    Some((bits_of(value)?, name))
                }))
            }
            gimli::DW_TAG_subroutine_type => Kind::Function,
            _ => Kind::Unknown,
        };
        let name = name.map(|name| short(&name)).unwrap_or_default();
        Type { name: self.or_by_kind(name, &kind), size, kind }
    }

    /// A name for types that have none of their own.
    fn or_by_kind(&self, name: String, kind: &Kind) -> String {
        match kind {
            _ if !name.is_empty() => name,
            Kind::Pointer(None) => "*()".to_owned(),
            Kind::Pointer(Some(to)) => format!("*{}", self.name(*to, 0)),
            Kind::Array(Some(of), counts) => array_name(self.name(*of, 0), counts),
            Kind::Function => "function".to_owned(),
            _ => name,
        }
    }

    fn name(&self, at: At, depth: usize) -> String {
        let entry = self.entry(at).filter(|_| depth < ALIASES_MAX);
        let Some(entry) = entry else { return "?".to_owned() };
        if let Some(name) = self.text(at, entry.attr_value(DW_AT_name)) {
            return short(&name);
        }
        let inner = self.reference(at, entry.attr_value(DW_AT_type));
        let inner = inner.map_or_else(|| "()".to_owned(), |at| self.name(at, depth + 1));
        match entry.tag() {
            gimli::DW_TAG_array_type => array_name(inner, &self.children(at, MEMBERS_MAX, counted)),
            gimli::DW_TAG_pointer_type => format!("*{inner}"),
            _ => inner,
        }
    }

    fn size_of_element(&self, at: At) -> u64 {
        let mut next = Some(at);
        let mut times = 1_u64;
        for _ in 0..ALIASES_MAX {
            let Some((at, entry)) = next.and_then(|at| Some((at, self.entry(at)?))) else { break };
            if let Some(size) =
                entry.attr_value(gimli::DW_AT_byte_size).and_then(|it| it.udata_value())
            {
                return size.saturating_mul(times);
            }
            match entry.tag() {
                gimli::DW_TAG_pointer_type => return times.saturating_mul(POINTER_BYTES as u64),
                gimli::DW_TAG_array_type => {
                    let counts = self.children(at, MEMBERS_MAX, counted);
                    times = counts.iter().fold(times, |all, count| all.saturating_mul(*count));
                }
                _ => {}
            }
            next = self.reference(at, entry.attr_value(DW_AT_type));
        }
        0
    }

    fn composite(&self, at: At) -> Composite {
        let mut composite = Composite::default();
        self.children(at, MEMBERS_MAX, |child| {
            let own = At { unit: at.unit, offset: child.offset() };
            match child.tag() {
                gimli::DW_TAG_member | gimli::DW_TAG_inheritance => {
                    composite.members.extend(self.member(own, child));
                }
                gimli::DW_TAG_template_type_parameter => {
                    let name = self.text(own, child.attr_value(DW_AT_name));
                    let ty = self.reference(own, child.attr_value(DW_AT_type));
                    composite.parameters.extend(name.zip(ty));
                }
                gimli::DW_TAG_variant_part => composite.variants = Some(self.variants(own, child)),
                _ => return None,
            }
            Some(())
        });
        composite
    }

    fn member(&self, at: At, entry: &Entry<'a>) -> Option<Member> {
        let number = |name| entry.attr_value(name).and_then(|it: Attribute<'a>| it.udata_value());
        let external = entry.attr(gimli::DW_AT_external).is_some();
        // Static members of C++ are elsewhere.
        if external || entry.attr(gimli::DW_AT_declaration).is_some() {
            return None;
        }
        let name = self.text(at, entry.attr_value(DW_AT_name)).unwrap_or_default();
        let mut offset = number(gimli::DW_AT_data_member_location).unwrap_or(0);
        let width = number(gimli::DW_AT_bit_size);
        let first = number(gimli::DW_AT_data_bit_offset);
        let bits = width.map(|width| {
            let first = first.unwrap_or(0);
            offset = offset.saturating_add(first / 8);
            (first % 8, width.min(64))
        });
        let ty = self.reference(at, entry.attr_value(DW_AT_type));
        let name = match name.strip_prefix("__") {
            // Members of tuples are called `__0`, and are written `.0`.
            Some(number) if number.parse::<u32>().is_ok() => number.to_owned(),
            _ => name,
        };
        Some(Member { name, ty, offset, bits })
    }

    fn variants(&self, at: At, entry: &Entry<'a>) -> Variants {
        let tag = self.reference(at, entry.attr_value(gimli::DW_AT_discr));
        let tag = tag.and_then(|at| self.member(at, &self.entry(at)?));
        let cases = self.children(at, MEMBERS_MAX, |child| {
            if child.tag() != gimli::DW_TAG_variant {
                return None;
            }
            let own = At { unit: at.unit, offset: child.offset() };
            let value = child.attr_value(gimli::DW_AT_discr_value).and_then(bits_of);
            let members = self.children(own, 1, |member| {
                let at = At { unit: at.unit, offset: member.offset() };
                let is_member = member.tag() == gimli::DW_TAG_member;
                is_member.then(|| self.member(at, member)).flatten()
            });
            Some((value, members.into_iter().next()?))
        });
        Variants { tag, cases }
    }
}

fn array_name(element: String, counts: &[u64]) -> String {
    counts.iter().rev().fold(element, |inside, count| format!("[{inside}; {count}]"))
}

fn counted(child: &Entry<'_>) -> Option<u64> {
    if child.tag() != gimli::DW_TAG_subrange_type {
        return None;
    }
    let number = |name| child.attr_value(name).and_then(|it: Attribute<'_>| it.udata_value());
    let count = number(gimli::DW_AT_count);
    // An array without a bound is one of C whose length only the program knows.
    Some(count.or_else(|| number(gimli::DW_AT_upper_bound)?.checked_add(1)).unwrap_or(0))
}

/// The bits of a number, whatever its form says about the sign.
fn bits_of(value: Attribute<'_>) -> Option<u64> {
    match value {
        Attribute::Sdata(value) => Some(value as u64),
        value => value.udata_value(),
    }
}

/// A type's name without the paths in it, and without allocators.
pub(super) fn short(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut word = 0;
    let mut rest = name;
    while let Some(next) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("::") {
            out.truncate(word);
            rest = after;
            continue;
        }
        out.push(next);
        rest = &rest[next.len_utf8()..];
        if !(next.is_alphanumeric() || "_#{}$".contains(next)) {
            word = out.len();
        }
    }
    out.replace(", Global>", ">")
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_short() {
        for (name, expected) in [
            ("u32", "u32"),
            ("alloc::vec::Vec<hello::Item, alloc::alloc::Global>", "Vec<Item>"),
            ("core::option::Option<alloc::string::String>", "Option<String>"),
            ("(i32, &[alloc::string::String])", "(i32, &[String])"),
            ("hello::handle::{closure_env#0}<a::B>", "{closure_env#0}<B>"),
            ("&dyn core::fmt::Debug", "&dyn Debug"),
            ("::x", "x"),
            ("", ""),
        ] {
            assert_eq!(super::short(name), expected);
        }
    }
}
