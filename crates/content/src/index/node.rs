//! Places of the index, each a small list until it is worth looking deeper.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use serde_json::Value;

use super::conditions::{Condition, Path, Place, Test};
use crate::Content;
use crate::filter::Scalar;

/// A place with more entries than this files them under their next condition.
const SPLIT: usize = 8;
/// How many times one entry may lie in the index; beyond it, it is not filed more deeply.
const COPIES_MAX: usize = 1_024;

/// The entries of a place: those that are evaluated for each event that gets here, and those that
/// are found by a further condition.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// How many entries were filed here or further on.
    entries: usize,
    here: Vec<Filed>,
    further: Option<Box<Tables>>,
}

/// An entry with the conditions that led here.
#[derive(Clone, Copy, Debug)]
struct Filed {
    slot: usize,
    /// A bit per condition.
    used: u32,
    copies: usize,
}

#[derive(Debug, Default)]
struct Tables {
    attributes: HashMap<String, Table>,
    data: Field,
}

/// A field of the data with the fields below it.
#[derive(Debug, Default)]
struct Field {
    table: Table,
    below: HashMap<String, Field>,
}

#[derive(Debug, Default)]
struct Table {
    equal: HashMap<Scalar, Node>,
    /// By the bytes of the prefix, so that all prefixes of a text can be found without trying each
    /// length.
    prefixes: BTreeMap<Box<[u8]>, Node>,
}

impl Node {
    /// Files an entry at the root. `conditions` gives the conditions of any entry.
    pub(super) fn insert<'a>(
        &mut self,
        slot: usize,
        conditions: &impl Fn(usize) -> &'a [Condition],
    ) {
        let filed = Filed { slot, used: 0, copies: 1 };
        if !self.deeper(filed, conditions) {
            self.here.push(filed);
        }
    }

    fn add<'a>(&mut self, filed: Filed, conditions: &impl Fn(usize) -> &'a [Condition]) {
        self.entries += 1;
        if self.further.is_some() && self.deeper(filed, conditions) {
            return;
        }
        self.here.push(filed);
        if self.further.is_none() && self.here.len() > SPLIT {
            let entries = std::mem::take(&mut self.here);
            self.further = Some(Box::default());
            for filed in entries {
                if !self.deeper(filed, conditions) {
                    self.here.push(filed);
                }
            }
        }
    }

    /// Files an entry under its best remaining condition; `false` when there is none.
    fn deeper<'a>(&mut self, filed: Filed, conditions: &impl Fn(usize) -> &'a [Condition]) -> bool {
        let mine = conditions(filed.slot);
        let tables = self.further.get_or_insert_default();
        let best = (0..mine.len())
            .filter(|index| filed.used & (1 << index) == 0)
            .filter(|index| filed.copies * mine[*index].0.len() <= COPIES_MAX)
            .min_by_key(|index| {
                let (data, prefix, places) = mine[*index].rank();
                let crowd: usize = mine[*index].0.iter().map(|place| tables.crowd(place)).sum();
                (data, prefix, crowd, places)
            });
        let Some(index) = best else { return false };
        let filed = Filed {
            slot: filed.slot,
            used: filed.used | 1 << index,
            copies: filed.copies * mine[index].0.len(),
        };
        for place in &mine[index].0 {
            tables.place(place).add(filed, conditions);
        }
        true
    }

    /// The slots that an event can match; some may appear more than once.
    pub(super) fn find(&self, content: &Content<'_>, slots: &mut Vec<usize>) {
        slots.extend(self.here.iter().map(|filed| filed.slot));
        let Some(tables) = &self.further else { return };
        let mut look = |name: &str| {
            let Some(table) = tables.attributes.get(name) else { return };
            if let Some(value) = content.attribute(name) {
                let text = value.text();
                table.find_text(&text, content, slots);
            }
        };
        let names = content.attribute_names();
        if names.len() < tables.attributes.len() {
            names.into_iter().for_each(&mut look);
        } else {
            tables.attributes.keys().for_each(|name| look(name));
        }
        if !tables.data.below.is_empty()
            && let Some(json) = content.json()
        {
            tables.data.find(json, content, slots);
        }
    }
}

impl Tables {
    fn place(&mut self, place: &Place) -> &mut Node {
        let table = match &place.path {
            Path::Attribute(name) => self.attributes.entry(name.clone()).or_default(),
            Path::Data(path) => {
                let mut field = &mut self.data;
                for name in path {
                    field = field.below.entry(name.clone()).or_default();
                }
                &mut field.table
            }
        };
        match &place.test {
            Test::Equal(scalar) => table.equal.entry(scalar.clone()).or_default(),
            Test::Prefix(prefix) => table.prefixes.entry(prefix.as_bytes().into()).or_default(),
        }
    }

    /// How many entries lie at a place already.
    fn crowd(&self, place: &Place) -> usize {
        let table = match &place.path {
            Path::Attribute(name) => self.attributes.get(name),
            Path::Data(path) => path
                .iter()
                .try_fold(&self.data, |field, name| field.below.get(name))
                .map(|field| &field.table),
        };
        let node = table.and_then(|table| match &place.test {
            Test::Equal(scalar) => table.equal.get(scalar),
            Test::Prefix(prefix) => table.prefixes.get(prefix.as_bytes()),
        });
        node.map_or(0, |node| node.entries)
    }
}

impl Field {
    /// Follows the fields that both the event and the index have.
    fn find(&self, value: &Value, content: &Content<'_>, slots: &mut Vec<usize>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.find(item, content, slots)),
            Value::Object(fields) if fields.len() < self.below.len() => {
                for (name, value) in fields {
                    if let Some(field) = self.below.get(name) {
                        field.find(value, content, slots);
                    }
                }
            }
            Value::Object(fields) => {
                for (name, field) in &self.below {
                    if let Some(value) = fields.get(name) {
                        field.find(value, content, slots);
                    }
                }
            }
            Value::String(text) => self.table.find_text(text, content, slots),
            scalar => {
                let node = Scalar::of(scalar).and_then(|scalar| self.table.equal.get(&scalar));
                if let Some(node) = node {
                    node.find(content, slots);
                }
            }
        }
    }
}

impl Table {
    fn find_text(&self, text: &str, content: &Content<'_>, slots: &mut Vec<usize>) {
        if !self.equal.is_empty()
            && let Some(node) = self.equal.get(&Scalar::Text(text.to_owned()))
        {
            node.find(content, slots);
        }
        // The greatest key that is not above the text is a prefix of it, or shares only so much with
        // it as any further prefix can have.
        let mut bound = Bound::Included(text.as_bytes());
        while let Some((key, node)) =
            self.prefixes.range::<[u8], _>((Bound::Unbounded, bound)).next_back()
        {
            let shared =
                key.iter().zip(text.as_bytes()).take_while(|(one, two)| one == two).count();
            bound = match shared == key.len() {
                true => {
                    node.find(content, slots);
                    Bound::Excluded(&text.as_bytes()[..shared])
                }
                false => Bound::Included(&text.as_bytes()[..shared]),
            };
        }
    }
}
