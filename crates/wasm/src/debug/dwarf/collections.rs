//! Collections and texts of Rust's standard library, as a reader wants to see them.
//!
//! Their insides are private and change from time to time. Everything is found by the names of
//! members; where something is not as expected, the value is shown as the structure that it is.

use super::location::Place;
use super::types::{Composite, Kind, POINTER_BYTES, Type};
use super::values::{Items, List, Shape, Value, View};
use super::{At, location};

/// Entries of a map or set that are shown.
const ENTRIES_MAX: u64 = 1_000;
/// Places of a hash table that are looked at.
const BUCKETS_MAX: u64 = 1 << 16;
/// Levels of a tree.
const HEIGHT_MAX: u64 = 16;
/// Keys of one node of a tree.
const NODE_KEYS_MAX: u64 = 11;
/// Structures in structures that are searched for a member.
const NESTED_MAX: usize = 8;
/// A text, in bytes, as far as it is read.
const TEXT_BYTES_MAX: u64 = 4_096;

/// What a value looks like, where its type is known here.
pub(super) fn shape(
    view: &View<'_, '_>,
    (ty, composite): (&Type, &Composite),
    value: &Value,
) -> Option<Shape> {
    let known = Known { view, composite, value };
    let name = ty.name.split('<').next().unwrap_or_default();
    match name {
        "String" | "OsString" | "PathBuf" => known.string(),
        "Vec" => known.vec(),
        "VecDeque" => known.deque(),
        "HashMap" | "IndexMap" => known.hash(true),
        "HashSet" => known.hash(false),
        "BTreeMap" => known.tree(true),
        "BTreeSet" => known.tree(false),
        "Rc" | "Arc" => known.counted(),
        "Cell" | "UnsafeCell" | "ManuallyDrop" => Some(view.shape(&known.member("value")?)),
        "RefCell" => known.only(name, "value"),
        "Mutex" | "RwLock" => known.only(name, "data"),
        _ if composite.member("data_ptr").is_some() => known.slice(ty),
        _ => None,
    }
}

struct Known<'k, 'v, 'a> {
    view: &'k View<'v, 'a>,
    composite: &'k Composite,
    value: &'k Value,
}

impl Known<'_, '_, '_> {
    fn member(&self, name: &str) -> Option<Value> {
        Some(self.view.member(self.value, self.composite.member(name)?))
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.view.number(&self.member(name)?)
    }

    /// Looks for a member in a value and in the structures in it.
    fn search(
        &self,
        value: &Value,
        depth: usize,
        wanted: &impl Fn(&str, &Type) -> bool,
    ) -> Option<Value> {
        if depth > NESTED_MAX || !self.view.spend() {
            return None;
        }
        let ty = self.view.ty(value.ty?);
        let Kind::Composite(composite) = &ty.kind else { return None };
        let member = |it| self.view.member(value, it);
        let direct = composite.members.iter().find(|it| {
            let ty = it.ty.map(|at| self.view.ty(at));
            ty.is_some_and(|ty| wanted(&it.name, &ty))
        });
        if let Some(direct) = direct {
            return Some(member(direct));
        }
        composite.members.iter().find_map(|it| self.search(&member(it), depth + 1, wanted))
    }

    /// The first pointer in a value: where it leads, and to what.
    fn pointer(&self, value: &Value) -> Option<(u64, Option<At>)> {
        let is_pointer = |_: &str, ty: &Type| matches!(ty.kind, Kind::Pointer(_));
        let found = self.search(value, 0, &is_pointer)?;
        let Kind::Pointer(to) = self.view.ty(found.ty?).kind else { return None };
        let bytes = found.place.read(POINTER_BYTES, self.view.frame).ok()?;
        Some((location::number(&bytes), to))
    }

    fn text(&self, address: u64, length: u64) -> Shape {
        let size = length.min(TEXT_BYTES_MAX) as usize;
        match self.view.frame.memory(address, size) {
            Ok(bytes) => Shape::Text { bytes: bytes.to_vec(), length },
            Err(why) => Shape::Gone(why),
        }
    }

    fn list(&self, (address, length): (u64, u64), of: Option<At>) -> Shape {
        let apart = self.view.size(of);
        let all = usize::try_from(apart.saturating_mul(length)).unwrap_or(usize::MAX);
        // A length that does not fit is one that was never set.
        match self.view.frame.memory(address, all) {
            Ok(_) => {
                Shape::List(List { of, length, items: Items::Every(Place::Memory(address), apart) })
            }
            Err(why) => Shape::Gone(why),
        }
    }

    fn string(&self) -> Option<Shape> {
        let is_vec = |_: &str, ty: &Type| ty.name.starts_with("Vec<u8");
        let bytes = self.search(self.value, 0, &is_vec)?;
        let ty = self.view.ty(bytes.ty?);
        let Kind::Composite(composite) = &ty.kind else { return None };
        let vec = Known { view: self.view, composite, value: &bytes };
        let address = vec.pointer(&vec.member("buf")?)?.0;
        Some(self.text(address, vec.number("len")?))
    }

    fn vec(&self) -> Option<Shape> {
        let address = self.pointer(&self.member("buf")?)?.0;
        Some(self.list((address, self.number("len")?), self.composite.parameter("T")))
    }

    fn slice(&self, ty: &Type) -> Option<Shape> {
        let (length, pointer) = (self.number("length")?, self.member("data_ptr")?);
        let Kind::Pointer(of) = self.view.ty(pointer.ty?).kind else { return None };
        let address = self.view.number(&pointer)?;
        match ty.name.ends_with("str") || ty.name.ends_with("str>") {
            true => Some(self.text(address, length)),
            false => Some(self.list((address, length), of)),
        }
    }

    fn deque(&self) -> Option<Shape> {
        let buffer = self.member("buf")?;
        let capacity = self.search(&buffer, 0, &|name, _| name == "cap")?;
        // The capacity is a number in a structure that says which numbers there are.
        let bytes = capacity.place.read(POINTER_BYTES, self.view.frame).ok()?;
        let (capacity, address) = (location::number(&bytes), self.pointer(&buffer)?.0);
        let (head, length) = (self.number("head")?, self.number("len")?);
        let of = self.composite.parameter("T");
        let apart = self.view.size(of);
        if length > capacity || head >= capacity.max(1) {
            return None;
        }
        let at = |index: u64| address.wrapping_add(((head + index) % capacity).wrapping_mul(apart));
        let items = Items::At((0..length.min(BUCKETS_MAX)).map(at).collect());
        Some(Shape::List(List { of, length: length.min(BUCKETS_MAX), items }))
    }

    /// Of a structure only what a reader cares about.
    fn only(&self, name: &str, member: &str) -> Option<Shape> {
        let inside = self.member(member)?;
        Some(Shape::Fields { name: name.to_owned(), fields: vec![(member.to_owned(), inside)] })
    }

    fn counted(&self) -> Option<Shape> {
        let (address, to) = self.pointer(self.value)?;
        let counts = Value { ty: to, place: Place::Memory(address) };
        let is_value = |name: &str, _: &Type| name == "value" || name == "data";
        let to = self.search(&counts, 0, &is_value)?;
        let Place::Memory(address) = to.place else { return None };
        Some(Shape::Pointer { sign: "", address, to })
    }

    /// A hash table: control bytes, and the entries backwards before them.
    fn hash(&self, is_map: bool) -> Option<Shape> {
        let is_table = |_: &str, ty: &Type| ty.name.starts_with("RawTable<");
        let table = self.search(self.value, 0, &is_table)?;
        let ty = self.view.ty(table.ty?);
        let Kind::Composite(composite) = &ty.kind else { return None };
        let of = composite.parameter("T")?;
        let size = self.view.size(Some(of));
        let member = |wanted: &'static str| self.search(&table, 0, &move |name, _| name == wanted);
        let mask = self.view.number(&member("bucket_mask")?)?;
        let (control, _) = self.pointer(&member("ctrl")?)?;
        let mut addresses = Vec::new();
        for bucket in 0..mask.saturating_add(1).min(BUCKETS_MAX) {
            let state = self.view.frame.memory(control + bucket, 1).ok()?[0];
            if state & 0x80 == 0 {
                addresses.push(control.checked_sub((bucket + 1).checked_mul(size)?)?);
            }
        }
        addresses.truncate(ENTRIES_MAX as usize);
        let entries =
            addresses.into_iter().map(|at| Value { ty: Some(of), place: Place::Memory(at) });
        let pair = |entry: Value| {
            let part = |name: &'static str| self.search(&entry, 0, &move |it, _| it == name);
            Some((part("0")?, part("1")?))
        };
        self.entries(is_map, entries.map(pair).collect::<Option<Vec<_>>>()?)
    }

    fn entries(&self, is_map: bool, entries: Vec<(Value, Value)>) -> Option<Shape> {
        let named = |(key, value): (Value, Value)| (format!("[{}]", self.view.line(&key)), value);
        let numbered = |(at, (key, _)): (usize, (Value, Value))| (format!("[{at}]"), key);
        Some(Shape::Map(match is_map {
            true => entries.into_iter().map(named).collect(),
            false => {
                let of = entries.first().and_then(|(key, _)| key.ty);
                let at = |(key, _): &(Value, Value)| match key.place {
                    Place::Memory(at) => Some(at),
                    _ => None,
                };
                let addresses: Option<Vec<u64>> = entries.iter().map(at).collect();
                if let Some(addresses) = addresses {
                    let (length, items) = (addresses.len() as u64, Items::At(addresses));
                    return Some(Shape::List(List { of, length, items }));
                }
                entries.into_iter().enumerate().map(numbered).collect()
            }
        }))
    }

    /// A tree: leaves with keys and values; inner nodes are leaves with edges behind.
    fn tree(&self, is_map: bool) -> Option<Shape> {
        let map = match is_map {
            true => self.value.clone(),
            false => self.member("map")?,
        };
        let ty = self.view.ty(map.ty?);
        let Kind::Composite(composite) = &ty.kind else { return None };
        let own = Known { view: self.view, composite, value: &map };
        let length = own.number("length")?;
        let (key, value) = (composite.parameter("K")?, composite.parameter("V")?);
        if length == 0 {
            return self.entries(is_map, Vec::new());
        }
        let root = own.member("root")?;
        let Shape::Fields { fields, .. } = self.view.shape(&root) else { return None };
        let (_, root) = fields.into_iter().next()?;
        let height = self.search(&root, 0, &|name, _| name == "height")?;
        let height = self.view.number(&height)?;
        let (address, leaf) = self.pointer(&root)?;
        let tree = Tree { known: &own, leaf: leaf?, key, value };
        let mut entries = Vec::new();
        tree.walk((address, height), &mut entries)?;
        self.entries(is_map, entries)
    }
}

struct Tree<'t, 'k, 'v, 'a> {
    known: &'t Known<'k, 'v, 'a>,
    leaf: At,
    key: At,
    value: At,
}

impl Tree<'_, '_, '_, '_> {
    fn walk(&self, (address, height): (u64, u64), found: &mut Vec<(Value, Value)>) -> Option<()> {
        let view = self.known.view;
        if height > HEIGHT_MAX {
            return None;
        }
        let node = Value { ty: Some(self.leaf), place: Place::Memory(address) };
        let ty = view.ty(self.leaf);
        let Kind::Composite(leaf) = &ty.kind else { return None };
        let length = view.number(&view.member(&node, leaf.member("len")?))?;
        let edges = match height {
            0 => None,
            _ => Some(address.checked_add(self.edges(leaf)?)?),
        };
        let down = |index: u64, found: &mut Vec<(Value, Value)>| {
            let Some(edges) = edges else { return Some(()) };
            let at = edges.checked_add(index * POINTER_BYTES as u64)?;
            let bytes = view.frame.memory(at, POINTER_BYTES).ok()?;
            self.walk((location::number(bytes), height - 1), found)
        };
        if length > NODE_KEYS_MAX {
            return None;
        }
        let (keys, values) = (leaf.member("keys")?.offset, leaf.member("vals").map(|it| it.offset));
        let element = |from: u64, index: u64, ty: At| {
            let before = view.size(Some(ty)).saturating_mul(index).saturating_add(from);
            let at = address.saturating_add(before);
            Value { ty: Some(ty), place: Place::Memory(at) }
        };
        for index in 0..length {
            down(index, found)?;
            if found.len() as u64 >= ENTRIES_MAX {
                return Some(());
            }
            let value = element(values.unwrap_or(keys), index, self.value);
            found.push((element(keys, index, self.key), value));
        }
        down(length, found)
    }

    /// Where the edges of an inner node begin, which only the parents of leaves tell.
    fn edges(&self, leaf: &Composite) -> Option<u64> {
        let view = self.known.view;
        let parent = leaf.member("parent")?.ty?;
        let parent = view.ty(parent);
        let Kind::Composite(option) = &parent.kind else { return None };
        let cases = &option.variants.as_ref()?.cases;
        let (_, some) = cases.iter().find(|(_, member)| member.name == "Some")?;
        let some = Value { ty: some.ty, place: Place::Memory(0) };
        let is_pointer = |_: &str, ty: &Type| matches!(ty.kind, Kind::Pointer(_));
        let pointer = self.known.search(&some, 0, &is_pointer)?;
        let Kind::Pointer(Some(inner)) = view.ty(pointer.ty?).kind else { return None };
        let inner = view.ty(inner);
        let Kind::Composite(inner) = &inner.kind else { return None };
        Some(inner.member("edges")?.offset)
    }
}
