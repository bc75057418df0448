//! What values say: one line for each, and what is inside.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use nexus_model::view::Variable;

use super::location::{Place, number};
use super::machine::{Frame, Unreadable};
use super::path;
use super::types::{Composite, Kind, Member, POINTER_BYTES, Type};
use super::{At, Program};

/// Values that are looked at for one answer.
const VALUES_MAX: u32 = 50_000;
/// One line for a value, in bytes; a little more where its last part is longer.
const LINE_BYTES_MAX: usize = 160;
/// Values in values that the line goes into.
const LINE_DEPTH_MAX: usize = 5;
/// Elements of a list that the line has.
const LINE_ITEMS_MAX: u64 = 8;
/// Bytes of a text that are read: by itself, and within another value.
const TEXT_BYTES_MAX: usize = 4_096;
const INNER_TEXT_BYTES_MAX: usize = 64;
/// A base type, in bytes.
const BASE_BYTES_MAX: u64 = 16;

/// A value in a frame.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) ty: Option<At>,
    pub(super) place: Place,
}

/// What a value looks like.
pub(super) enum Shape {
    /// Written as it is.
    Scalar(String),
    /// Bytes of a text; more may have been there.
    Text {
        bytes: Vec<u8>,
        length: u64,
    },
    List(List),
    /// Parts that have names.
    Fields {
        name: String,
        fields: Vec<(String, Value)>,
    },
    /// Keys as text, and values.
    Map(Vec<(String, Value)>),
    Pointer {
        sign: &'static str,
        address: u64,
        to: Value,
    },
    Gone(Unreadable),
}

/// Elements of one type.
pub(super) struct List {
    pub(super) of: Option<At>,
    pub(super) length: u64,
    pub(super) items: Items,
}

/// Where elements are.
pub(super) enum Items {
    /// One after the other, this many bytes apart.
    Every(Place, u64),
    At(Vec<u64>),
}

impl List {
    fn item(&self, index: u64) -> Value {
        let place = match &self.items {
            Items::Every(first, apart) => first.at(index.saturating_mul(*apart)),
            Items::At(addresses) => {
                let at = usize::try_from(index).ok().and_then(|at| addresses.get(at));
                at.map_or(Place::Gone(Unreadable::Malformed), |at| Place::Memory(*at))
            }
        };
        Value { ty: self.of, place }
    }
}

/// Which of many children are wanted.
#[derive(Clone, Copy)]
pub(in crate::debug) struct Page {
    pub(in crate::debug) start: u32,
    pub(in crate::debug) count: u32,
}

/// The values of one frame at one moment.
pub(in crate::debug) struct View<'v, 'a> {
    pub(super) program: &'v Program<'a>,
    pub(super) frame: &'v Frame<'v>,
    address: u64,
    types: RefCell<HashMap<At, Rc<Type>>>,
    left: Cell<u32>,
}

impl<'v, 'a> View<'v, 'a> {
    /// Looks at a frame that stands at an address of the debug information.
    pub(in crate::debug) fn new(
        program: &'v Program<'a>,
        frame: &'v Frame<'v>,
        address: u64,
    ) -> Self {
        View { program, frame, address, types: RefCell::default(), left: Cell::new(VALUES_MAX) }
    }

    /// How many scopes there are.
    pub(in crate::debug) fn depth(&self) -> usize {
        self.program.scopes(self.address).len()
    }

    /// The variables of each scope of the address, the innermost first.
    pub(in crate::debug) fn scopes(&self) -> Vec<Vec<Variable>> {
        let scopes = self.program.scopes(self.address);
        let of = |scope: &super::scopes::Scope<'a>| {
            let variables = scope.variables.iter().map(|it| {
                let place = self.program.place((scope, it), self.address, self.frame);
                self.variable((it.name.clone(), &it.name), &Value { ty: it.ty, place })
            });
            variables.collect()
        };
        scopes.iter().map(of).collect()
    }

    /// A value by its path, such as `order.items[2].name`, and what is inside of it.
    pub(in crate::debug) fn open(
        &self,
        scope: usize,
        (text, page): (&str, Page),
    ) -> Result<(Variable, Vec<Variable>), String> {
        let mut parts = path::parts(text)?.into_iter();
        let first = parts.next().ok_or("a path begins with the name of a variable")?;
        let scopes = self.program.scopes(self.address);
        let known = scopes.get(scope).and_then(|scope| {
            let it = scope.variables.iter().find(|it| it.name == first)?;
            Some((scope, it))
        });
        let (scope, found) = known.ok_or_else(|| format!("there is no variable '{first}' here"))?;
        let place = self.program.place((scope, found), self.address, self.frame);
        let mut value = Value { ty: found.ty, place };
        for part in parts {
            let inside = self.child(&value, part);
            value = inside.ok_or_else(|| format!("there is no '{part}' in '{text}'"))?;
        }
        let text = text.trim();
        let variable = self.variable((text.to_owned(), text), &value);
        let children = self.children(&value, page).into_iter().map(|(name, child)| {
            let path = path::join(text, &name);
            self.variable((name, &path), &child)
        });
        Ok((variable, children.collect()))
    }

    fn variable(&self, (name, path): (String, &str), value: &Value) -> Variable {
        let ty = value.ty.map(|at| self.ty(at).name.clone()).unwrap_or_default();
        let shape = self.shape(value);
        let children = self.count(&shape);
        let address = match (&shape, &value.place) {
            (Shape::Pointer { address, .. }, _) => Some(*address),
            (Shape::List(List { items: Items::Every(Place::Memory(at), _), .. }), _) => Some(*at),
            (_, Place::Memory(at)) => Some(*at),
            _ => None,
        };
        let mut line = Line { text: String::new(), view: self };
        line.shape(&shape, 0);
        Variable {
            name,
            ty,
            value: line.text,
            path: path.to_owned(),
            children: u32::try_from(children).unwrap_or(u32::MAX),
            address,
        }
    }

    pub(super) fn ty(&self, at: At) -> Rc<Type> {
        if let Some(known) = self.types.borrow().get(&at) {
            return known.clone();
        }
        let read = Rc::new(self.program.ty(at));
        self.types.borrow_mut().insert(at, read.clone());
        read
    }

    pub(super) fn size(&self, at: Option<At>) -> u64 {
        at.map_or(0, |at| self.ty(at).size)
    }

    /// A number that a member holds.
    pub(super) fn number(&self, value: &Value) -> Option<u64> {
        let size = self.size(value.ty).clamp(1, 8);
        value.place.read(size as usize, self.frame).ok().map(|bytes| number(&bytes))
    }

    pub(super) fn member(&self, value: &Value, member: &Member) -> Value {
        if !self.spend() {
            return Value { ty: member.ty, place: Place::Gone(Unreadable::Unsupported) };
        }
        let place = value.place.at(member.offset);
        let Some((first, width)) = member.bits else { return Value { ty: member.ty, place } };
        let size = self.size(member.ty).clamp(1, 8);
        let place = match place.read(size as usize, self.frame) {
            Ok(bytes) => {
                let mask = u64::MAX.checked_shr(64 - width.min(64) as u32).unwrap_or(0);
                let part = (number(&bytes) >> first) & mask;
                Place::Bytes(part.to_le_bytes().into_iter().map(Some).collect())
            }
            Err(why) => Place::Gone(why),
        };
        Value { ty: member.ty, place }
    }

    /// Whether another value may be looked at for this answer.
    pub(super) fn spend(&self) -> bool {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    pub(super) fn shape(&self, value: &Value) -> Shape {
        if !self.spend() {
            return Shape::Scalar("…".to_owned());
        }
        if let Place::Gone(why) = value.place {
            return Shape::Gone(why);
        }
        let Some(at) = value.ty else { return Shape::Scalar("()".to_owned()) };
        let ty = self.ty(at);
        match &ty.kind {
            Kind::Base(encoding) => self.base(&ty, *encoding, value),
            Kind::Pointer(to) => self.pointer(&ty, *to, value),
            Kind::Composite(composite) => {
                let known = super::collections::shape(self, (&ty, composite), value);
                known.unwrap_or_else(|| self.composite(&ty, composite, value))
            }
            Kind::Array(of, counts) => {
                let length = counts.first().copied().unwrap_or(0);
                let apart = ty.size.checked_div(length).unwrap_or(0);
                Shape::List(List {
                    // Further dimensions are shown one after the other.
                    length: counts.iter().skip(1).fold(length, |all, it| all.saturating_mul(*it)),
                    items: Items::Every(
                        value.place.clone(),
                        if counts.len() > 1 { self.size(*of) } else { apart },
                    ),
                    of: *of,
                })
            }
            Kind::Enumeration(known) => self.enumeration(&ty, known, value),
            Kind::Function | Kind::Unknown => Shape::Scalar(match &value.place {
                Place::Memory(at) => format!("at {at:#x}"),
                _ => "?".to_owned(),
            }),
        }
    }

    fn base(&self, ty: &Type, encoding: gimli::DwAte, value: &Value) -> Shape {
        if ty.size > BASE_BYTES_MAX {
            return Shape::Gone(Unreadable::Unsupported);
        }
        match value.place.read(ty.size as usize, self.frame) {
            Ok(bytes) => Shape::Scalar(base(&bytes, encoding)),
            Err(why) => Shape::Gone(why),
        }
    }

    fn enumeration(&self, ty: &Type, known: &[(u64, String)], value: &Value) -> Shape {
        match value.place.read(ty.size.clamp(1, 8) as usize, self.frame) {
            Ok(bytes) => {
                let (found, mask) = (number(&bytes), mask(bytes.len()));
                let name = known.iter().find(|(value, _)| value & mask == found);
                Shape::Scalar(name.map_or_else(|| found.to_string(), |(_, name)| name.clone()))
            }
            Err(why) => Shape::Gone(why),
        }
    }

    fn pointer(&self, ty: &Type, to: Option<At>, value: &Value) -> Shape {
        let address = match value.place.read(POINTER_BYTES, self.frame) {
            Ok(bytes) => number(&bytes),
            Err(why) => return Shape::Gone(why),
        };
        let Some(to) = to else { return Shape::Scalar(format!("{address:#x}")) };
        let target = self.ty(to);
        let is_text = matches!(target.kind, Kind::Base(gimli::DW_ATE_signed_char))
            || (target.name == "char" && target.size == 1);
        if address == 0 {
            return Shape::Scalar("null".to_owned());
        }
        if matches!(target.kind, Kind::Function) {
            return Shape::Scalar(format!("function {address}"));
        }
        if is_text && target.name != "i8" {
            return self.text_of_c(address);
        }
        let sign = match ty.name.as_str() {
            name if name.starts_with("&mut ") => "&mut ",
            name if name.starts_with('&') => "&",
            name if name.starts_with("Box<") => "",
            _ => "*",
        };
        Shape::Pointer { sign, address, to: Value { ty: Some(to), place: Place::Memory(address) } }
    }

    fn text_of_c(&self, address: u64) -> Shape {
        let from = usize::try_from(address).unwrap_or(usize::MAX);
        let Some(rest) = self.frame.memory.get(from..) else {
            return Shape::Gone(Unreadable::OutOfMemory);
        };
        let part = &rest[..rest.len().min(TEXT_BYTES_MAX)];
        let length = part.iter().position(|byte| *byte == 0).unwrap_or(part.len());
        Shape::Text { bytes: part[..length].to_vec(), length: length as u64 }
    }

    fn composite(&self, ty: &Type, composite: &Composite, value: &Value) -> Shape {
        let Some(variants) = &composite.variants else {
            let name = if ty.name.starts_with('(') { String::new() } else { ty.name.clone() };
            return Shape::Fields { name, fields: self.fields(composite, value) };
        };
        let chosen = match &variants.tag {
            Some(tag) => {
                let tag = self.member(value, tag);
                let size = self.size(tag.ty).clamp(1, 8) as usize;
                let found = match tag.place.read(size, self.frame) {
                    Ok(bytes) => number(&bytes),
                    Err(why) => return Shape::Gone(why),
                };
                let is = |it: &&(Option<u64>, Member)| {
                    it.0.is_some_and(|value| value & mask(size) == found)
                };
                let other = || variants.cases.iter().find(|(value, _)| value.is_none());
                variants.cases.iter().find(is).or_else(other)
            }
            None => variants.cases.first(),
        };
        let Some((_, member)) = chosen else { return Shape::Gone(Unreadable::Malformed) };
        let inside = self.member(value, member);
        let ty = inside.ty.map(|at| self.ty(at));
        let fields = match ty.as_ref().map(|it| &it.kind) {
            Some(Kind::Composite(composite)) => self.fields(composite, &inside),
            _ => Vec::new(),
        };
        Shape::Fields { name: member.name.clone(), fields }
    }

    fn fields(&self, composite: &Composite, value: &Value) -> Vec<(String, Value)> {
        let says_something = |member: &&Member| {
            let marker = |at| self.ty(at).name.starts_with("PhantomData");
            !member.ty.is_some_and(marker)
        };
        let members = composite.members.iter().filter(says_something);
        members.map(|it| (it.name.clone(), self.member(value, it))).collect()
    }

    /// How many values are inside.
    fn count(&self, shape: &Shape) -> u64 {
        match shape {
            Shape::Scalar(_) | Shape::Text { .. } | Shape::Gone(_) => 0,
            Shape::List(list) => match &list.items {
                Items::Every(first, _) if first.read(1, self.frame).is_err() => 0,
                _ => list.length,
            },
            Shape::Fields { fields, .. } => fields.len() as u64,
            Shape::Map(entries) => entries.len() as u64,
            Shape::Pointer { to, .. } => match self.through(to) {
                Some(inside) => self.count(&inside),
                None => 1,
            },
        }
    }

    /// What a pointer leads to, where that has parts of its own.
    fn through(&self, to: &Value) -> Option<Shape> {
        let mut shape = self.shape(to);
        for _ in 0..LINE_DEPTH_MAX {
            match shape {
                Shape::Pointer { to, .. } => shape = self.shape(&to),
                Shape::List(_) | Shape::Fields { .. } | Shape::Map(_) => return Some(shape),
                _ => return None,
            }
        }
        None
    }

    fn children(&self, value: &Value, page: Page) -> Vec<(String, Value)> {
        let some = |all: Vec<(String, Value)>| {
            all.into_iter().skip(page.start as usize).take(page.count as usize).collect()
        };
        let inside = match self.shape(value) {
            Shape::Pointer { to, .. } => match self.through(&to) {
                Some(inside) => inside,
                None => return some(vec![("*".to_owned(), to)]),
            },
            shape => shape,
        };
        match inside {
            Shape::List(list) => {
                let end = u64::from(page.start).saturating_add(page.count.into()).min(list.length);
                let item = |index| (format!("[{index}]"), list.item(index));
                (u64::from(page.start)..end).map(item).collect()
            }
            Shape::Fields { fields, .. } | Shape::Map(fields) => some(fields),
            _ => Vec::new(),
        }
    }

    fn child(&self, value: &Value, name: &str) -> Option<Value> {
        let shape = match self.shape(value) {
            Shape::Pointer { to, .. } if name == "*" => return Some(to),
            Shape::Pointer { to, .. } => self.through(&to)?,
            shape => shape,
        };
        match shape {
            Shape::List(list) => {
                let index = name.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
                (index < list.length).then(|| list.item(index))
            }
            Shape::Fields { fields, .. } | Shape::Map(fields) => {
                fields.into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// A value on one line.
    pub(super) fn line(&self, value: &Value) -> String {
        let mut line = Line { text: String::new(), view: self };
        line.value(value, 1);
        line.text
    }
}

/// One line about a value, as it is written.
struct Line<'l, 'v, 'a> {
    text: String,
    view: &'l View<'v, 'a>,
}

impl Line<'_, '_, '_> {
    fn is_full(&self, depth: usize) -> bool {
        self.text.len() > LINE_BYTES_MAX || depth > LINE_DEPTH_MAX
    }

    fn value(&mut self, value: &Value, depth: usize) {
        match self.is_full(depth) {
            true => self.text.push('…'),
            false => self.shape(&self.view.shape(value), depth),
        }
    }

    fn shape(&mut self, shape: &Shape, depth: usize) {
        match shape {
            Shape::Scalar(text) => self.text.push_str(text),
            Shape::Gone(why) => self.text.push_str(&format!("<{why}>")),
            Shape::Text { bytes, length } => {
                let max = if depth == 0 { TEXT_BYTES_MAX } else { INNER_TEXT_BYTES_MAX };
                let part = &bytes[..bytes.len().min(max)];
                self.text.push_str(&format!("{:?}", String::from_utf8_lossy(part)));
                if (part.len() as u64) < *length {
                    self.text.push_str(&format!("… ({length} bytes)"));
                }
            }
            Shape::List(list) => self.list(list, depth),
            Shape::Map(entries) => {
                let shown = entries.iter().map(|(key, value)| {
                    (key.trim_matches(['[', ']']).to_owned() + ": ", value.clone())
                });
                self.all(("{", shown, "}"), entries.len() as u64, depth);
            }
            Shape::Pointer { sign, address, to } => match *sign {
                // Where raw pointers lead is for whoever opens them.
                "*" => self.text.push_str(&format!("{address:#x}")),
                sign => {
                    self.text.push_str(sign);
                    self.value(to, depth + 1);
                }
            },
            Shape::Fields { name, fields } => self.fields(name, fields, depth),
        }
    }

    fn fields(&mut self, name: &str, fields: &[(String, Value)], depth: usize) {
        // `Parcel { … }` says enough; what it is made with is in its type.
        let name = name.split('<').next().unwrap_or(name);
        self.text.push_str(name);
        let is_tuple = fields.iter().all(|(name, _)| name.parse::<u32>().is_ok());
        let count = fields.len() as u64;
        match (fields.is_empty(), is_tuple) {
            (true, _) if name.is_empty() => self.text.push_str("()"),
            (true, _) => {}
            (false, true) => {
                let shown = fields.iter().map(|(_, value)| (String::new(), value.clone()));
                self.all(("(", shown, ")"), count, depth);
            }
            (false, false) => {
                let shown = fields.iter().map(|(name, value)| (format!("{name}: "), value.clone()));
                let before = if name.is_empty() { "{ " } else { " { " };
                self.all((before, shown, " }"), count, depth);
            }
        }
    }

    fn list(&mut self, list: &List, depth: usize) {
        if let Items::Every(first, apart) = &list.items {
            let is_byte = list.of.is_some_and(|at| {
                *apart == 1 && matches!(self.view.ty(at).kind, Kind::Base(gimli::DW_ATE_unsigned))
            });
            let length = usize::try_from(list.length).unwrap_or(usize::MAX);
            if length > 0 && *apart > 0 {
                let max = if depth == 0 { TEXT_BYTES_MAX } else { INNER_TEXT_BYTES_MAX };
                let wanted = if is_byte { length.min(max) } else { 1 };
                match first.read(wanted, self.view.frame) {
                    Err(why) => return self.text.push_str(&format!("<{why}>")),
                    Ok(bytes) if is_byte && is_readable(&bytes) => {
                        return self.shape(&Shape::Text { bytes, length: list.length }, depth);
                    }
                    Ok(_) => {}
                }
            }
        }
        let shown = (0..list.length).map(|index| (String::new(), list.item(index)));
        self.all(("[", shown, "]"), list.length, depth);
    }

    fn all(
        &mut self,
        (before, values, after): (&str, impl Iterator<Item = (String, Value)>, &str),
        count: u64,
        depth: usize,
    ) {
        self.text.push_str(before);
        for (index, (name, value)) in (0..count).zip(values) {
            if index > 0 {
                self.text.push_str(", ");
            }
            if index >= LINE_ITEMS_MAX || self.is_full(depth + 1) {
                self.text.push_str(&format!("… {} more", count - index));
                break;
            }
            self.text.push_str(&name);
            self.value(&value, depth + 1);
        }
        self.text.push_str(after);
    }
}

/// Bytes that are rather a text than numbers.
fn is_readable(bytes: &[u8]) -> bool {
    // The end may have been cut within a character.
    let cut = bytes.len().saturating_sub(3);
    let is_text = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.valid_up_to() >= cut && error.error_len().is_none(),
    };
    is_text && bytes.iter().all(|byte| *byte >= b' ' || b"\t\r\n".contains(byte))
}

fn mask(bytes: usize) -> u64 {
    u64::MAX.checked_shr(64 - 8 * bytes.min(8) as u32).unwrap_or(0)
}

fn base(bytes: &[u8], encoding: gimli::DwAte) -> String {
    let mut all = [0; 16];
    all[..bytes.len()].copy_from_slice(bytes);
    let unsigned = u128::from_le_bytes(all);
    let unused = 128 - 8 * bytes.len() as u32;
    let signed = || {
        let up = unsigned.checked_shl(unused).unwrap_or(0) as i128;
        up.checked_shr(unused).unwrap_or(0)
    };
    match encoding {
        _ if bytes.is_empty() => "()".to_owned(),
        gimli::DW_ATE_boolean => (unsigned != 0).to_string(),
        gimli::DW_ATE_float if bytes.len() == 4 => {
            format!("{:?}", f32::from_bits(unsigned as u32))
        }
        gimli::DW_ATE_float if bytes.len() == 8 => {
            format!("{:?}", f64::from_bits(unsigned as u64))
        }
        gimli::DW_ATE_UTF => match u32::try_from(unsigned).ok().and_then(char::from_u32) {
            Some(found) => format!("{found:?}"),
            None => format!("{unsigned:#x}"),
        },
        gimli::DW_ATE_signed_char => match u8::try_from(unsigned).ok().filter(u8::is_ascii_graphic)
        {
            Some(found) => format!("{} {:?}", signed(), char::from(found)),
            None => signed().to_string(),
        },
        gimli::DW_ATE_signed => signed().to_string(),
        _ => unsigned.to_string(),
    }
}
