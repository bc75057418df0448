//! A schema from samples: what all of them have in common, sample by sample, in bounded memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use nexus_model::limits;
use serde_json::{Map, Value, json};

/// Formats that are proposed, the most special ones first.
const FORMATS: &[&str] = &["uuid", "date-time", "date", "ipv4", "ipv6", "email"];
/// Texts longer than this are no values of an enumeration and not looked at for formats, in bytes.
const TEXT_BYTES_MAX: usize = 64;
/// An enumeration has at most so many values…
const ENUM_VALUES_MAX: usize = 10;
/// …and each was seen at least so many times on average.
const ENUM_REPEATS_MIN: u64 = 4;
/// Data that lies deeper is not described, so that the schema itself stays below its limit.
const DEPTH_MAX: usize = 24;

/// One checker for each of [`FORMATS`]: the same that later checks data against the schema.
static CHECKERS: LazyLock<Vec<Option<Validator>>> = LazyLock::new(|| {
    let checker = |format: &&str| {
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .build(&json!({ "format": format }))
            .ok()
    };
    FORMATS.iter().map(checker).collect()
});

/// What is known from the samples so far.
#[derive(Clone, Debug, Default)]
pub struct Inference {
    root: Node,
    nodes: usize,
}

/// What was seen at one place.
#[derive(Clone, Debug, Default)]
struct Node {
    null: bool,
    boolean: bool,
    integer: bool,
    number: bool,
    text: Option<Texts>,
    items: Option<Box<Items>>,
    object: Option<Box<Object>>,
}

#[derive(Clone, Debug)]
struct Texts {
    seen: u64,
    /// `None` when there are too many different ones.
    values: Option<BTreeSet<String>>,
    /// Which of [`FORMATS`] all texts have.
    formats: [bool; FORMATS.len()],
}

#[derive(Clone, Debug, Default)]
struct Items {
    /// `None` where the limit of places was reached.
    each: Option<Node>,
    undescribed: bool,
}

#[derive(Clone, Debug, Default)]
struct Object {
    seen: u64,
    /// With how often each was there.
    properties: BTreeMap<String, (u64, Node)>,
    /// Properties that are not described any more.
    others: BTreeSet<String>,
}

impl Inference {
    /// Without samples: everything is allowed.
    pub fn new() -> Self {
        Inference::default()
    }

    /// Takes a sample into account. Every sample so far is valid for [`schema`](Self::schema).
    pub fn add(&mut self, sample: &Value) {
        self.root.add(sample, 0, &mut self.nodes);
    }

    /// The schema that describes all samples.
    pub fn schema(&self) -> Value {
        let mut schema = Map::new();
        schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        if let Value::Object(described) = self.root.schema() {
            schema.extend(described);
        }
        Value::Object(schema)
    }
}

impl Node {
    fn add(&mut self, value: &Value, depth: usize, nodes: &mut usize) {
        match value {
            Value::Null => self.null = true,
            Value::Bool(_) => self.boolean = true,
            Value::Number(number) if number.is_f64() => self.number = true,
            Value::Number(_) => self.integer = true,
            Value::String(text) => self.text.get_or_insert_with(Texts::new).add(text),
            Value::Array(values) => {
                let items = self.items.get_or_insert_default();
                for value in values {
                    if items.each.is_none() && !may_describe(depth, nodes) {
                        items.undescribed = true;
                    }
                    if !items.undescribed {
                        items.each.get_or_insert_default().add(value, depth + 1, nodes);
                    }
                }
            }
            Value::Object(fields) => {
                let object = self.object.get_or_insert_default();
                object.seen += 1;
                for (name, value) in fields {
                    object.add(name, value, depth, nodes);
                }
            }
        }
    }

    fn schema(&self) -> Value {
        let mut schema = Map::new();
        let types = [
            ("null", self.null),
            ("boolean", self.boolean),
            ("integer", self.integer && !self.number),
            ("number", self.number),
            ("string", self.text.is_some()),
            ("array", self.items.is_some()),
            ("object", self.object.is_some()),
        ];
        let types: Vec<&str> =
            types.into_iter().filter(|(_, seen)| *seen).map(|(name, _)| name).collect();
        match types[..] {
            [] => return json!({}),
            [only] => schema.insert("type".into(), only.into()),
            _ => schema.insert("type".into(), types.clone().into()),
        };
        if let Some(texts) = &self.text {
            // An enumeration excludes values of other types, so it describes lone texts only.
            texts.describe(types.len(), &mut schema);
        }
        if let Some(each) = self.items.as_ref().and_then(|items| items.each.as_ref()) {
            schema.insert("items".into(), each.schema());
        }
        if let Some(object) = &self.object {
            object.describe(&mut schema);
        }
        Value::Object(schema)
    }
}

fn may_describe(depth: usize, nodes: &mut usize) -> bool {
    if depth >= DEPTH_MAX || *nodes >= limits::INFERRED_NODES_MAX {
        return false;
    }
    *nodes += 1;
    true
}

impl Object {
    fn add(&mut self, name: &str, value: &Value, depth: usize, nodes: &mut usize) {
        if let Some((seen, node)) = self.properties.get_mut(name) {
            *seen += 1;
            return node.add(value, depth + 1, nodes);
        }
        // A property that appeared undescribed once must not be described by later samples only.
        if self.others.contains(name) || self.others.len() > limits::INFERRED_PROPERTIES_MAX {
            return;
        }
        let full = self.properties.len() >= limits::INFERRED_PROPERTIES_MAX;
        if full || !may_describe(depth, nodes) {
            self.others.insert(name.to_owned());
            return;
        }
        let (seen, node) = self.properties.entry(name.to_owned()).or_default();
        *seen += 1;
        node.add(value, depth + 1, nodes);
    }

    fn describe(&self, schema: &mut Map<String, Value>) {
        let describe = |(name, (_, node)): (&String, &(u64, Node))| (name.clone(), node.schema());
        let properties: Map<String, Value> = self.properties.iter().map(describe).collect();
        if !properties.is_empty() {
            schema.insert("properties".into(), properties.into());
        }
        let always = self.properties.iter().filter(|(_, (seen, _))| *seen == self.seen);
        let required: Vec<Value> = always.map(|(name, _)| name.as_str().into()).collect();
        if !required.is_empty() {
            schema.insert("required".into(), required.into());
        }
    }
}

impl Texts {
    fn new() -> Self {
        Texts { seen: 0, values: Some(BTreeSet::new()), formats: [true; FORMATS.len()] }
    }

    fn add(&mut self, text: &str) {
        self.seen += 1;
        if text.len() > TEXT_BYTES_MAX {
            self.values = None;
            self.formats = [false; FORMATS.len()];
            return;
        }
        if let Some(values) = &mut self.values {
            values.insert(text.to_owned());
            if values.len() > ENUM_VALUES_MAX {
                self.values = None;
            }
        }
        if self.formats.contains(&true) {
            let value = Value::String(text.to_owned());
            for (fits, checker) in self.formats.iter_mut().zip(CHECKERS.iter()) {
                *fits &= checker.as_ref().is_some_and(|checker| checker.is_valid(&value));
            }
        }
    }

    fn describe(&self, types: usize, schema: &mut Map<String, Value>) {
        let format = self.formats.iter().position(|fits| *fits).map(|index| FORMATS[index]);
        let few = self.values.as_ref().filter(|values| {
            self.seen >= ENUM_REPEATS_MIN * u64::try_from(values.len()).unwrap_or(u64::MAX)
        });
        match (format, few) {
            (Some(format), _) => schema.insert("format".into(), format.into()),
            (None, Some(values)) if types == 1 => {
                schema.insert("enum".into(), values.iter().cloned().collect())
            }
            _ => None,
        };
    }
}
