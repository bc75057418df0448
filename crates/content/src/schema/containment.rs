//! Whether all data that one schema (the writer's) allows is allowed by another one (the reader's).
//!
//! The rules are those of Confluent's schema registry for JSON Schema: each keyword is compared with
//! its counterpart. What cannot be compared must be equal.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::shape::{escape, place, resolve};

mod array;
mod combined;
mod object;
mod scalar;

/// Pairs of schemas that are compared at most; beyond it the schemas count as incompatible.
const PAIRS_MAX: usize = 2_000;

/// A place with what is wrong there.
pub(super) type Reason = (String, String);

/// Keywords that say nothing about which data is allowed.
const ANNOTATIONS: &[&str] = &[
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "contentMediaType",
    "contentEncoding",
    "contentSchema",
];

/// Keywords that are not compared in depth: where the reader has one, the writer must have the same.
const EQUAL: &[(&str, &[&str])] = &[
    ("pattern", &[]),
    ("format", &[]),
    ("contains", &["minContains", "maxContains"]),
    ("propertyNames", &[]),
    ("dependentSchemas", &[]),
    ("unevaluatedProperties", &[]),
    ("unevaluatedItems", &[]),
    ("not", &[]),
    ("if", &["then", "else"]),
];

pub(super) struct Containment<'a> {
    reader: &'a Value,
    writer: &'a Value,
    /// Pairs that are being compared or were; a pair inside itself holds if the rest holds.
    seen: BTreeSet<(usize, usize)>,
    pairs: usize,
}

/// Two schemas side by side. A schema `true` is an object without keywords.
#[derive(Clone, Copy)]
struct Pair<'a> {
    reader: &'a Map<String, Value>,
    writer: &'a Map<String, Value>,
}

impl<'a> Containment<'a> {
    /// Every reason why data of the writer may break the reader's schema.
    pub(super) fn between(reader: &'a Value, writer: &'a Value) -> Vec<Reason> {
        let mut containment = Containment { reader, writer, seen: BTreeSet::new(), pairs: 0 };
        let mut reasons = Vec::new();
        containment.compare(Some(reader), Some(writer), "", &mut reasons);
        for (path, _) in &mut reasons {
            *path = place(path);
        }
        reasons
    }

    /// Compares two schemas; `None` is a schema that allows everything.
    fn compare(
        &mut self,
        reader: Option<&'a Value>,
        writer: Option<&'a Value>,
        at: &str,
        reasons: &mut Vec<Reason>,
    ) {
        let reader = reader.and_then(|schema| follow(self.reader, schema));
        let writer = writer.and_then(|schema| follow(self.writer, schema));
        let Some(reader) = reader.filter(|schema| !allows_all(schema)) else { return };
        if writer.is_some_and(|schema| schema == &Value::Bool(false)) {
            return;
        }
        let mut wrong = |reason: &str| reasons.push((at.to_owned(), reason.to_owned()));
        if reader == &Value::Bool(false) {
            return wrong("nothing is allowed here any more");
        }
        let Some(writer) = writer.filter(|schema| !allows_all(schema)) else {
            return wrong("anything was allowed here, now there are rules");
        };
        let address = |schema: &Value| std::ptr::from_ref(schema) as usize;
        if !self.seen.insert((address(reader), address(writer))) {
            return;
        }
        // Equal texts may refer to unequal definitions; then those are compared where they stand.
        if reader == writer && !refers(reader) {
            return;
        }
        let (Some(reader), Some(writer)) = (reader.as_object(), writer.as_object()) else { return };
        self.keywords(Pair { reader, writer }, at, reasons);
    }

    fn keywords(&mut self, pair: Pair<'a>, at: &str, reasons: &mut Vec<Reason>) {
        self.pairs += 1;
        if self.pairs > PAIRS_MAX {
            let reason = "the schemas are too large to be compared";
            return reasons.push((at.to_owned(), reason.to_owned()));
        }
        // Where the writer has alternatives, each one must be allowed; then nothing else matters.
        if self.alternatives_of_writer(pair, at, reasons) {
            return;
        }
        scalar::compare(pair, at, reasons);
        self.object(pair, at, reasons);
        self.array(pair, at, reasons);
        self.combined(pair, at, reasons);
        for (keyword, with) in EQUAL {
            let same = |name: &str| pair.reader.get(name) == pair.writer.get(name);
            if pair.reader.contains_key(*keyword)
                && !(same(keyword) && with.iter().all(|name| same(name)))
            {
                let how = match pair.writer.contains_key(*keyword) {
                    true => "changed",
                    false => "was added",
                };
                reasons.push((format!("{at}/{keyword}"), format!("'{keyword}' {how}")));
            }
        }
    }

    /// Whether the comparison of two schemas finds nothing wrong; nothing is reported.
    fn holds(&mut self, reader: &'a Value, writer: &'a Value) -> bool {
        self.attempt(|at, reasons| at.compare(Some(reader), Some(writer), "", reasons))
    }

    /// Whether a comparison finds nothing wrong. What a failed one assumed does not count for others.
    fn attempt(&mut self, compare: impl FnOnce(&mut Self, &mut Vec<Reason>)) -> bool {
        let seen = self.seen.clone();
        let mut reasons = Vec::new();
        compare(self, &mut reasons);
        if !reasons.is_empty() {
            self.seen = seen;
        }
        reasons.is_empty()
    }
}

/// Follows references that stand alone. A schema has no cycle of them.
fn follow<'a>(document: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let mut schema = schema;
    while let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let rules = schema.as_object()?.keys().filter(|key| !ANNOTATIONS.contains(&key.as_str()));
        if rules.count() > 1 {
            break;
        }
        schema = resolve(document, reference)?;
    }
    Some(schema)
}

fn allows_all(schema: &Value) -> bool {
    match schema {
        Value::Bool(allowed) => *allowed,
        Value::Object(fields) => fields.keys().all(|key| ANNOTATIONS.contains(&key.as_str())),
        _ => false,
    }
}

fn refers(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => fields.contains_key("$ref") || fields.values().any(refers),
        Value::Array(items) => items.iter().any(refers),
        _ => false,
    }
}

fn below(at: &str, keyword: &str, name: &str) -> String {
    format!("{at}/{keyword}/{}", escape(name))
}
