//! Types, fixed values and bounds.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{Pair, Reason};

const ALL_TYPES: &[&str] = &["null", "boolean", "integer", "number", "string", "array", "object"];

/// Bounds from below: the reader's may only be lower. `(keyword, what it bounds)`.
const LOWER: &[&str] =
    &["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"];
/// Bounds from above: the reader's may only be higher.
const UPPER: &[&str] = &["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];

pub(super) fn compare(pair: Pair<'_>, at: &str, reasons: &mut Vec<Reason>) {
    types(pair, at, reasons);
    values(pair, at, reasons);
    for (keywords, narrower) in [(LOWER, Ordering::Greater), (UPPER, Ordering::Less)] {
        for keyword in keywords {
            bound(pair, keyword, narrower, at, reasons);
        }
    }
    multiple(pair, at, reasons);
    let is_unique =
        |schema: &Map<String, Value>| schema.get("uniqueItems") == Some(&Value::Bool(true));
    if is_unique(pair.reader) && !is_unique(pair.writer) {
        reasons.push((format!("{at}/uniqueItems"), "'uniqueItems' was added".into()));
    }
}

/// The types that a schema allows, by keyword or by its fixed values.
fn types_of(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => match fixed(schema) {
            Some(values) => values.iter().map(|value| type_of(value)).collect(),
            None => ALL_TYPES.to_vec(),
        },
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(number) if number.as_f64().is_some_and(|float| float.fract() == 0.0) => {
            "integer"
        }
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn types(pair: Pair<'_>, at: &str, reasons: &mut Vec<Reason>) {
    if !pair.reader.contains_key("type") {
        return;
    }
    let allowed = types_of(pair.reader);
    let mut lost: Vec<&str> = types_of(pair.writer)
        .into_iter()
        .filter(|name| {
            !(allowed.contains(name) || (*name == "integer" && allowed.contains(&"number")))
        })
        .collect();
    lost.dedup();
    if !lost.is_empty() {
        let reason = match pair.writer.contains_key("type") {
            true => format!("the type {} is no longer allowed", lost.join(", ")),
            false => format!("'type' was added: only {} is allowed now", allowed.join(", ")),
        };
        reasons.push((format!("{at}/type"), reason));
    }
}

/// The values of `enum` or `const`.
fn fixed(schema: &Map<String, Value>) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(value), _) => Some(vec![value]),
        (_, Some(Value::Array(values))) => Some(values.iter().collect()),
        _ => None,
    }
}

fn values(pair: Pair<'_>, at: &str, reasons: &mut Vec<Reason>) {
    let Some(allowed) = fixed(pair.reader) else { return };
    let keyword = if pair.reader.contains_key("const") { "const" } else { "enum" };
    let reason = match fixed(pair.writer) {
        None => format!("'{keyword}' was added: other values were allowed"),
        Some(written) => {
            let lost: Vec<String> = written
                .iter()
                .filter(|value| !allowed.contains(value))
                .map(|value| value.to_string())
                .collect();
            if lost.is_empty() {
                return;
            }
            format!("{} is no longer allowed", lost.join(", "))
        }
    };
    reasons.push((format!("{at}/{keyword}"), reason));
}

fn bound(pair: Pair<'_>, keyword: &str, narrower: Ordering, at: &str, reasons: &mut Vec<Reason>) {
    let number = |schema: &Map<String, Value>| schema.get(keyword).and_then(Value::as_f64);
    let Some(new) = number(pair.reader) else { return };
    if !concerns(pair.writer, kind_of(keyword)) {
        return;
    }
    // Bounds of lengths begin at zero, whether they are written or not.
    let implied = (narrower == Ordering::Greater && new <= 0.0)
        && matches!(keyword, "minLength" | "minItems" | "minProperties");
    if implied {
        return;
    }
    let how = match number(pair.writer) {
        Some(old) if new.partial_cmp(&old) == Some(narrower) => {
            format!("'{keyword}' went from {old} to {new}")
        }
        Some(_) => return,
        // A fixed set of values inside the bound is judged by its values.
        None => match fixed(pair.writer) {
            Some(values) if values.iter().all(|value| within(value, keyword, new)) => return,
            _ => format!("'{keyword}' was added"),
        },
    };
    reasons.push((format!("{at}/{keyword}"), how));
}

/// The type whose values a bound concerns.
fn kind_of(keyword: &str) -> &'static str {
    match keyword {
        "minLength" | "maxLength" => "string",
        "minItems" | "maxItems" | "minContains" => "array",
        "minProperties" | "maxProperties" => "object",
        _ => "number",
    }
}

/// Whether a schema allows values of a type at all.
pub(super) fn concerns(schema: &Map<String, Value>, kind: &str) -> bool {
    let types = types_of(schema);
    types.contains(&kind) || (kind == "number" && types.contains(&"integer"))
}

fn within(value: &Value, keyword: &str, bound: f64) -> bool {
    let size = match (keyword, value) {
        ("minLength" | "maxLength", Value::String(text)) => text.chars().count() as f64,
        ("minItems" | "maxItems", Value::Array(items)) => items.len() as f64,
        ("minProperties" | "maxProperties", Value::Object(fields)) => fields.len() as f64,
        ("minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum", Value::Number(_)) => {
            value.as_f64().unwrap_or(f64::NAN)
        }
        // The keyword does not concern values of this type.
        _ => return true,
    };
    match keyword {
        "exclusiveMinimum" => size > bound,
        "exclusiveMaximum" => size < bound,
        _ if keyword.starts_with("min") => size >= bound,
        _ => size <= bound,
    }
}

fn multiple(pair: Pair<'_>, at: &str, reasons: &mut Vec<Reason>) {
    let number = |schema: &Map<String, Value>| schema.get("multipleOf").and_then(Value::as_f64);
    let Some(new) = number(pair.reader) else { return };
    let reason = match number(pair.writer) {
        Some(old) if (old / new).fract() == 0.0 => return,
        Some(old) => format!("'multipleOf' went from {old} to {new}"),
        None => "'multipleOf' was added".to_owned(),
    };
    reasons.push((format!("{at}/multipleOf"), reason));
}
