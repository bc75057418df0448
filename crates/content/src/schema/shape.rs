//! What a schema may look like: bounded, closed in itself, and quick to check data against.
//!
//! References let one value be checked against many parts, and recursive references multiply with
//! the depth of the data. So the number of parts that can be applied to a single value is bounded
//! here, for the deepest data there can be.

use std::cell::Cell;
use std::collections::BTreeMap;

use nexus_model::limits;
use serde_json::{Map, Value};

use super::SchemaError;

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// The depth of the deepest data that is parsed.
const DATA_DEPTH_MAX: usize = 128;

/// Work on the structure of one schema, so that a hostile one cannot keep the checker busy.
const VISITS_MAX: usize = 1_000_000;

/// Keywords whose value is a schema for the same value.
pub(super) const IN_PLACE: &[&str] = &["not", "if", "then", "else"];
/// Keywords whose value is a list of schemas for the same value.
pub(super) const IN_PLACE_LISTS: &[&str] = &["allOf", "anyOf", "oneOf"];
/// Keywords whose value is a schema for every item.
const EACH_ITEM: &[&str] = &["items", "contains", "unevaluatedItems"];

/// A JSON pointer for messages: the root is `/`.
pub(super) fn place(pointer: &str) -> String {
    if pointer.is_empty() { "/".to_owned() } else { pointer.to_owned() }
}

pub(super) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

pub(super) fn check(document: &Value) -> Result<(), SchemaError> {
    walk(document, String::new(), 0)?;
    let draft = document.get("$schema").and_then(Value::as_str);
    if let Some(draft) = draft.filter(|draft| draft.trim_end_matches('#') != DRAFT) {
        let reason = format!("'{draft}' is not supported: use {DRAFT}");
        return Err(SchemaError::Wrong { at: "/$schema".into(), reason });
    }
    if !document.is_object() && !document.is_boolean() {
        let reason = "a schema is an object, true or false".to_owned();
        return Err(SchemaError::Wrong { at: "/".into(), reason });
    }
    Steps::of(document)?.check()
}

/// Rules for every object of the document, whether it is used as a schema or not.
fn walk(value: &Value, at: String, depth: usize) -> Result<(), SchemaError> {
    if depth > limits::SCHEMA_DEPTH_MAX {
        return Err(SchemaError::TooDeep { at });
    }
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, format!("{at}/{index}"), depth + 1)?;
            }
        }
        Value::Object(fields) => {
            let wrong = |name: &str, reason: &str| {
                let at = format!("{at}/{name}");
                Err(SchemaError::Wrong { at, reason: reason.to_owned() })
            };
            let text = |name: &str| fields.get(name).filter(|value| value.is_string());
            if text("$dynamicRef").is_some() {
                return wrong("$dynamicRef", "it is not supported: use $ref");
            }
            if depth > 0 && text("$id").is_some() {
                return wrong("$id", "only the root may have an $id: refer to #/$defs/… instead");
            }
            for (name, value) in fields {
                walk(value, format!("{at}/{}", escape(name)), depth + 1)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// The schema that a reference inside a document means.
pub(super) fn resolve<'a>(document: &'a Value, reference: &str) -> Option<&'a Value> {
    let fragment = reference.strip_prefix('#')?;
    if fragment.is_empty() || fragment.starts_with('/') {
        return document.pointer(&decode(fragment)?);
    }
    find_anchor(document, fragment)
}

/// Undoes percent encoding.
fn decode(fragment: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

fn find_anchor<'a>(value: &'a Value, anchor: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => {
            if fields.get("$anchor").and_then(Value::as_str) == Some(anchor) {
                return Some(value);
            }
            fields.values().find_map(|value| find_anchor(value, anchor))
        }
        Value::Array(items) => items.iter().find_map(|item| find_anchor(item, anchor)),
        _ => None,
    }
}

/// Which parts of a schema apply to the same value, and which to the values inside it.
#[derive(Default)]
struct Part {
    at: String,
    /// Parts for the same value.
    same: Vec<usize>,
    /// By the name of a property or the index of an item (`#0`).
    named: BTreeMap<String, Vec<usize>>,
    /// For every property, and for every item.
    every: Vec<usize>,
    /// For properties that this part does not name.
    others: Vec<usize>,
}

struct Steps<'a> {
    document: &'a Value,
    parts: Vec<Part>,
    /// Parts by the address of their schema: a reference leads to the same part.
    known: BTreeMap<usize, usize>,
    visits: Cell<usize>,
}

impl<'a> Steps<'a> {
    fn of(document: &'a Value) -> Result<Self, SchemaError> {
        let mut steps =
            Steps { document, parts: Vec::new(), known: BTreeMap::new(), visits: Cell::new(0) };
        let mut open = Vec::new();
        steps.part(document, String::new(), &mut open);
        while let Some((index, schema)) = open.pop() {
            steps.fill(index, schema, &mut open)?;
        }
        Ok(steps)
    }

    fn part(
        &mut self,
        schema: &'a Value,
        at: String,
        open: &mut Vec<(usize, &'a Map<String, Value>)>,
    ) -> usize {
        let address = std::ptr::from_ref(schema) as usize;
        if let Some(known) = self.known.get(&address) {
            return *known;
        }
        let index = self.parts.len();
        self.known.insert(address, index);
        self.parts.push(Part { at, ..Part::default() });
        if let Some(fields) = schema.as_object() {
            open.push((index, fields));
        }
        index
    }

    fn fill(
        &mut self,
        index: usize,
        fields: &'a Map<String, Value>,
        open: &mut Vec<(usize, &'a Map<String, Value>)>,
    ) -> Result<(), SchemaError> {
        let at = self.parts[index].at.clone();
        let mut part = Part { at: at.clone(), ..Part::default() };
        for (keyword, value) in fields {
            let keyword = keyword.as_str();
            let below = format!("{at}/{}", escape(keyword));
            let members = value.as_object();
            if keyword == "$ref" {
                let target = value.as_str().and_then(|text| resolve(self.document, text));
                let Some(target) = target else {
                    let reason = "a reference must lead to a part of this document, such as \
                                  #/$defs/name"
                        .to_owned();
                    return Err(SchemaError::Wrong { at: below, reason });
                };
                part.same.push(self.part(target, below, open));
            } else if IN_PLACE.contains(&keyword) {
                part.same.push(self.part(value, below, open));
            } else if IN_PLACE_LISTS.contains(&keyword) || keyword == "prefixItems" {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    let child = self.part(item, format!("{below}/{number}"), open);
                    match keyword {
                        "prefixItems" => {
                            part.named.entry(format!("#{number}")).or_default().push(child);
                        }
                        _ => part.same.push(child),
                    }
                }
            } else if EACH_ITEM.contains(&keyword) || keyword == "unevaluatedProperties" {
                part.every.push(self.part(value, below, open));
            } else if keyword == "additionalProperties" {
                part.others.push(self.part(value, below, open));
            } else if let ("properties" | "patternProperties" | "dependentSchemas", Some(members)) =
                (keyword, members)
            {
                for (name, member) in members {
                    let child = self.part(member, format!("{below}/{}", escape(name)), open);
                    match keyword {
                        "properties" => part.named.entry(name.clone()).or_default().push(child),
                        "patternProperties" => part.every.push(child),
                        _ => part.same.push(child),
                    }
                }
            }
        }
        self.parts[index] = part;
        Ok(())
    }

    /// Bounds the parts that can be applied to one value, for data of every depth.
    fn check(&self) -> Result<(), SchemaError> {
        let closures = (0..self.parts.len()).map(|index| self.closure(index));
        let closures: Vec<Vec<(usize, usize)>> = closures.collect::<Result<_, _>>()?;
        let own = |closure: &Vec<(usize, usize)>| closure.iter().map(|(_, times)| times).sum();
        let below = closures.iter().map(|closure| self.below(closure));
        let below: Vec<Vec<Vec<(usize, usize)>>> = below.collect::<Result<_, _>>()?;
        let mut steps: Vec<usize> = closures.iter().map(own).collect();
        for _ in 0..DATA_DEPTH_MAX {
            let next: Vec<usize> = (0..self.parts.len())
                .map(|index| {
                    let sums = below[index].iter().map(|children| {
                        children.iter().fold(0_usize, |sum, (child, times)| {
                            sum.saturating_add(steps[*child].saturating_mul(*times))
                        })
                    });
                    // Deeper values do not add to what is applied to this one; the worst of both is
                    // the bound.
                    sums.max().unwrap_or(0).max(own(&closures[index]))
                })
                .collect();
            if let Some(index) = next.iter().position(|steps| *steps > limits::SCHEMA_STEPS_MAX) {
                return Err(SchemaError::TooManySteps { at: place(&self.parts[index].at) });
            }
            if next == steps {
                break;
            }
            steps = next;
        }
        Ok(())
    }

    /// Every part that applies to the same value as this one, with how often it does.
    fn closure(&self, start: usize) -> Result<Vec<(usize, usize)>, SchemaError> {
        let mut found = BTreeMap::new();
        let mut path = vec![(start, 0)];
        let mut taken = 0;
        *found.entry(start).or_insert(0) += 1;
        while let Some((index, next)) = path.last_mut() {
            let Some(child) = self.parts[*index].same.get(*next).copied() else {
                path.pop();
                continue;
            };
            *next += 1;
            let at = || place(&self.parts[start].at);
            if path.iter().any(|(on_path, _)| *on_path == child) {
                let reason = "it refers to itself for the same value, so no check would ever end";
                return Err(SchemaError::Wrong { at: at(), reason: reason.to_owned() });
            }
            taken += 1;
            self.visit(path.len(), start)?;
            if taken > limits::SCHEMA_STEPS_MAX {
                return Err(SchemaError::TooManySteps { at: at() });
            }
            *found.entry(child).or_insert(0) += 1;
            path.push((child, 0));
        }
        Ok(found.into_iter().collect())
    }

    /// For each name that a value inside may have: the parts that apply to it, with how often. The
    /// first is for a name that nobody names.
    fn below(&self, closure: &[(usize, usize)]) -> Result<Vec<Vec<(usize, usize)>>, SchemaError> {
        let mut names: Vec<&String> =
            closure.iter().flat_map(|(index, _)| self.parts[*index].named.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let every: usize =
            closure.iter().map(|(index, _)| 1 + self.parts[*index].every.len()).sum();
        self.visit(names.len() * every, closure.first().map_or(0, |(index, _)| *index))?;
        let applied = |name: Option<&String>| {
            let mut children = Vec::new();
            for (index, times) in closure {
                let part = &self.parts[*index];
                let named = name.and_then(|name| part.named.get(name));
                let ours = named.unwrap_or(&part.others);
                children.extend(ours.iter().chain(&part.every).map(|child| (*child, *times)));
            }
            children
        };
        Ok(std::iter::once(None).chain(names.into_iter().map(Some)).map(applied).collect())
    }

    fn visit(&self, visits: usize, part: usize) -> Result<(), SchemaError> {
        self.visits.set(self.visits.get() + visits);
        match self.visits.get() > VISITS_MAX {
            true => Err(SchemaError::TooManySteps { at: place(&self.parts[part].at) }),
            false => Ok(()),
        }
    }
}
