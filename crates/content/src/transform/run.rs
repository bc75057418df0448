//! Compiling with what is allowed, running, and the way between our values and those of jq.

use base64::Engine as _;
use jaq_core::data::JustLut;
use jaq_core::load::parse::{Def, Term};
use jaq_core::load::{Arena, File, Loader};
use jaq_core::native::{self, Fun, bome, run as native_run, v};
use jaq_core::{Compiler, Ctx, Error, Vars, unwrap_valr};
use jaq_json::{Num, Val};
use nexus_model::limits;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::TransformError;
use super::estimate::Flow;
use super::functions::{FUNCTIONS, PRODUCT, SUPPORT};
use crate::Content;
use crate::content::Attribute;

type Data = JustLut<Val>;

/// The longest text that is read as a number, in bytes.
const NUMBER_BYTES_MAX: usize = 64;
/// How much of an error of jq is kept, in characters; it may quote the whole event.
const REASON_CHARS_MAX: usize = 300;
/// The name of the definition that holds the user's expression.
const MAIN: &str = "nexus_main";

pub(super) fn compile(
    text: &str,
    term: Term<&str>,
) -> Result<jaq_core::Filter<Data>, TransformError> {
    let main = Def { name: MAIN, args: Vec::new(), body: term };
    let ours = |name: &str| OWN.contains(&name);
    let allowed = |name: &str, arity: usize| {
        SUPPORT.contains(&name)
            || FUNCTIONS.iter().any(|function| function.name == name && function.arity == arity)
    };
    #[expect(
        clippy::map_identity,
        reason = "it shortens the life of the names to the expression's"
    )]
    let defs = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs())
        .filter(|def| allowed(def.name, def.args.len()) && !ours(def.name))
        .map(|def| -> Def<&str> { def })
        .chain([main]);
    let funs = jaq_core::funs()
        .chain(jaq_std::base_funs())
        .chain(jaq_json::funs())
        .filter(|(name, arguments, _)| allowed(name, arguments.len()) && !ours(name))
        .chain(own());
    let arena = Arena::default();
    let failed = |what: String| TransformError::Unknown { what };
    let modules = Loader::new(defs)
        .load(&arena, File { code: MAIN, path: () })
        .map_err(|_| failed(format!("expression in '{text}'")))?;
    Compiler::default().with_funs(funs).compile(modules).map_err(|errors| {
        let first = errors.iter().flat_map(|(_, errors)| errors).next();
        failed(match first {
            Some((name, kind)) => format!("{} '{name}'", kind.as_str()),
            None => "such expression".to_owned(),
        })
    })
}

/// Functions that jq has in a form that is not bounded enough.
const OWN: &[&str] = &[PRODUCT, "tonumber", "fromjson"];

fn own() -> impl Iterator<Item = Fun<Data>> {
    let functions: [native::Filter<jaq_core::RunPtr<Data>>; 3] = [
        (PRODUCT, v(2), |mut cv| {
            let right = cv.0.pop_var();
            let left = cv.0.pop_var();
            bome(product(left, right))
        }),
        ("tonumber", v(0), |cv| bome(number(cv.1))),
        ("fromjson", v(0), |cv| bome(from_json(cv.1))),
    ];
    functions.into_iter().map(native_run::<Data>)
}

fn product(left: Val, right: Val) -> Result<Val, Error<Val>> {
    match (&left, &right) {
        (Val::Num(Num::Int(one)), Val::Num(Num::Int(other))) => Ok(match one.checked_mul(*other) {
            Some(product) => Val::from(product),
            None => Val::from(*one as f64 * *other as f64),
        }),
        (Val::Num(_), Val::Num(_)) => {
            let float = |value: &Val| jaq_std::ValT::as_f64(value).unwrap_or(f64::NAN);
            Ok(Val::from(float(&left) * float(&right)))
        }
        (Val::Obj(_), Val::Obj(_)) => left * right,
        _ => Err(Error::str("'*' multiplies two numbers or merges two objects")),
    }
}

fn number(value: Val) -> Result<Val, Error<Val>> {
    if matches!(value, Val::Num(_)) {
        return Ok(value);
    }
    let text = jaq_std::ValT::as_utf8_bytes(&value)
        .filter(|bytes| bytes.len() <= NUMBER_BYTES_MAX)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .map(str::trim);
    let parsed = text.and_then(|text| match text.parse::<isize>() {
        Ok(integer) => Some(Val::from(integer)),
        Err(_) => text.parse::<f64>().ok().filter(|float| float.is_finite()).map(Val::from),
    });
    parsed.ok_or_else(|| Error::str("cannot read this as a number"))
}

fn from_json(value: Val) -> Result<Val, Error<Val>> {
    let bytes = jaq_std::ValT::as_utf8_bytes(&value);
    let parsed = bytes.and_then(|bytes| serde_json::from_slice::<Val>(bytes).ok());
    parsed.ok_or_else(|| Error::str("cannot read this as JSON"))
}

/// The event in the JSON format of CloudEvents.
pub(super) fn event(content: &Content<'_>) -> Value {
    let mut event = Map::new();
    for name in content.attribute_names() {
        let value = match content.attribute(name) {
            Some(Attribute::Text(text)) => Value::String(text.into_owned()),
            Some(Attribute::Integer(value)) => value.into(),
            Some(Attribute::Boolean(value)) => value.into(),
            None => continue,
        };
        event.insert(name.to_owned(), value);
    }
    if let Some(json) = content.json() {
        event.insert("data".into(), json.clone());
    } else if let Some(bytes) = content.data() {
        match std::str::from_utf8(bytes) {
            Ok(text) => event.insert("data".into(), text.into()),
            Err(_) => {
                let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
                event.insert("data_base64".into(), encoded.into())
            }
        };
    }
    Value::Object(event)
}

/// The flow of one event. Parsed JSON is at most 128 levels deep.
pub(super) fn size(value: &Value) -> Flow {
    let mut flow = Flow { count: 1.0, items: 0.0, bytes: 0.0 };
    add_size(value, &mut flow);
    flow
}

fn add_size(value: &Value, flow: &mut Flow) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => flow.bytes += 24.0,
        // Control characters take six bytes in JSON.
        Value::String(text) => {
            let long = text.bytes().filter(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'));
            flow.bytes += 2.0 + text.len() as f64 + 5.0 * long.count() as f64;
        }
        Value::Array(items) => {
            flow.items += items.len() as f64;
            flow.bytes += 2.0 + items.len() as f64;
            items.iter().for_each(|item| add_size(item, flow));
        }
        Value::Object(fields) => {
            flow.items += fields.len() as f64;
            for (name, value) in fields {
                flow.bytes += 4.0 + name.len() as f64;
                add_size(value, flow);
            }
        }
    }
}

pub(super) fn run(filter: &jaq_core::Filter<Data>, event: Value) -> Result<Value, TransformError> {
    let failed = |reason: String| TransformError::Failed {
        reason: reason.chars().take(REASON_CHARS_MAX).collect(),
    };
    let input = Val::deserialize(event).map_err(|error| failed(error.to_string()))?;
    let context = Ctx::<Data>::new(&filter.lut, Vars::new([]));
    match filter.id.run((context, input)).map(unwrap_valr).next() {
        None => Err(TransformError::NoOutput),
        Some(Err(error)) => Err(failed(match error.into_val() {
            Val::TStr(text) => String::from_utf8_lossy(&text).into_owned(),
            other => other.to_string(),
        })),
        Some(Ok(output)) => {
            let mut left = limits::EVENT_BYTES_MAX;
            to_json(&output, &mut left)
        }
    }
}

/// The depth is bounded: by the event's and by the nesting and length of the expression.
fn to_json(value: &Val, left: &mut usize) -> Result<Value, TransformError> {
    let failed = |reason: &str| Err(TransformError::Failed { reason: reason.to_owned() });
    let mut spend = |bytes: usize| match left.checked_sub(bytes) {
        Some(less) => {
            *left = less;
            Ok(())
        }
        None => Err(TransformError::OutputTooLarge),
    };
    Ok(match value {
        Val::Null => spend(4).map(|()| Value::Null)?,
        Val::Bool(value) => spend(5).map(|()| Value::Bool(*value))?,
        Val::Num(number) => {
            let text = number.to_string();
            spend(text.len())?;
            let Ok(number) = text.parse() else {
                return failed("the output has a number that JSON cannot hold");
            };
            Value::Number(number)
        }
        Val::TStr(bytes) | Val::BStr(bytes) => {
            spend(bytes.len() + 2)?;
            Value::String(String::from_utf8_lossy(bytes).into_owned())
        }
        Val::Arr(items) => {
            spend(2)?;
            let items: Result<Vec<Value>, _> =
                items.iter().map(|item| to_json(item, left)).collect();
            Value::Array(items?)
        }
        Val::Obj(fields) => {
            spend(2)?;
            let mut object = Map::new();
            for (name, value) in fields.iter() {
                let Val::TStr(name) = name else {
                    return failed("the output has an object whose key is no text");
                };
                *left = match left.checked_sub(name.len() + 4) {
                    Some(less) => less,
                    None => return Err(TransformError::OutputTooLarge),
                };
                let name = String::from_utf8_lossy(name).into_owned();
                object.insert(name, to_json(value, left)?);
            }
            Value::Object(object)
        }
    })
}
