//! Patterns over JSON data in the style of Amazon EventBridge.

use serde_json::{Map, Value};

use super::FilterError;
use super::compile::Compiler;
use super::matcher::{Matcher, matcher};

/// The field that holds alternative patterns instead of naming a field.
const OR: &str = "$or";

/// What must hold for an object. Every field must match, and one of `or` where there are any.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ObjectPattern {
    pub(crate) fields: Vec<(String, FieldPattern)>,
    pub(crate) or: Vec<ObjectPattern>,
}

/// What must hold for a field.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum FieldPattern {
    Object(ObjectPattern),
    /// One of the matchers.
    Leaf(Vec<Matcher>),
}

impl FieldPattern {
    /// Whether a value follows the pattern; `None` stands for a field that is not there. Of an array
    /// one element must follow it.
    pub(crate) fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            FieldPattern::Leaf(matchers) => matchers.iter().any(|matcher| matcher.matches(value)),
            FieldPattern::Object(pattern) => match value {
                Some(Value::Array(items)) => items.iter().any(|item| self.matches(Some(item))),
                value => pattern.matches(value.and_then(Value::as_object)),
            },
        }
    }
}

impl ObjectPattern {
    fn matches(&self, object: Option<&Map<String, Value>>) -> bool {
        let field = |name: &str| object.and_then(|object| object.get(name));
        self.fields.iter().all(|(name, pattern)| pattern.matches(field(name)))
            && (self.or.is_empty() || self.or.iter().any(|pattern| pattern.matches(object)))
    }
}

pub(super) fn pattern(
    at: &mut Compiler,
    fields: &Map<String, Value>,
) -> Result<ObjectPattern, FilterError> {
    if fields.is_empty() {
        return at.wrong("name at least one field");
    }
    let mut pattern = ObjectPattern { fields: Vec::new(), or: Vec::new() };
    for (name, value) in fields {
        let step = format!(".{name}");
        if name == OR {
            pattern.or = at.below(&step, |at| alternatives(at, value))?;
        } else {
            let field = at.below(&step, |at| field(at, value))?;
            pattern.fields.push((name.clone(), field));
        }
    }
    Ok(pattern)
}

fn alternatives(at: &mut Compiler, value: &Value) -> Result<Vec<ObjectPattern>, FilterError> {
    let Some(items) = value.as_array().filter(|items| items.len() > 1) else {
        return at.wrong("'$or' lists at least two patterns: [{…}, {…}]");
    };
    let each = |(index, item): (usize, &Value)| {
        at.below(&format!("[{index}]"), |at| match item.as_object() {
            Some(fields) => pattern(at, fields),
            None => at.wrong("a pattern is an object of fields"),
        })
    };
    items.iter().enumerate().map(each).collect()
}

fn field(at: &mut Compiler, value: &Value) -> Result<FieldPattern, FilterError> {
    match value {
        Value::Object(fields) => pattern(at, fields).map(FieldPattern::Object),
        Value::Array(items) if items.is_empty() => {
            at.wrong("list at least one alternative; to match any value, use [{\"exists\": true}]")
        }
        Value::Array(items) => {
            let each = |(index, item)| at.below(&format!("[{index}]"), |at| matcher(at, item));
            items.iter().enumerate().map(each).collect::<Result<_, _>>().map(FieldPattern::Leaf)
        }
        // A single value is short for a list of one.
        scalar => matcher(at, scalar).map(|matcher| FieldPattern::Leaf(vec![matcher])),
    }
}
