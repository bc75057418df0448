//! The functions of the language, by name and number of arguments.

use super::evaluate::{Evaluator, Type};
use super::{ErrorKind, Expr, Value};

/// One signature: fixed parameters, then any number of strings where `variadic`.
struct Signature {
    name: &'static str,
    parameters: &'static [Parameter],
    variadic: Variadic,
    result: Type,
}

#[derive(Clone, Copy)]
enum Parameter {
    Any,
    Of(Type),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variadic {
    No,
    Yes,
}

const STRING: Parameter = Parameter::Of(Type::String);
const INTEGER: Parameter = Parameter::Of(Type::Integer);

const fn fixed(name: &'static str, parameters: &'static [Parameter], result: Type) -> Signature {
    Signature { name, parameters, variadic: Variadic::No, result }
}

const fn variadic(name: &'static str, parameters: &'static [Parameter]) -> Signature {
    Signature { name, parameters, variadic: Variadic::Yes, result: Type::String }
}

const SIGNATURES: &[Signature] = &[
    fixed("INT", &[Parameter::Any], Type::Integer),
    fixed("BOOL", &[Parameter::Any], Type::Boolean),
    fixed("STRING", &[Parameter::Any], Type::String),
    fixed("ABS", &[INTEGER], Type::Integer),
    fixed("LENGTH", &[STRING], Type::Integer),
    variadic("CONCAT", &[]),
    variadic("CONCAT_WS", &[STRING]),
    fixed("LOWER", &[STRING], Type::String),
    fixed("UPPER", &[STRING], Type::String),
    fixed("TRIM", &[STRING], Type::String),
    fixed("LEFT", &[STRING, INTEGER], Type::String),
    fixed("RIGHT", &[STRING, INTEGER], Type::String),
    fixed("SUBSTRING", &[STRING, INTEGER], Type::String),
    fixed("SUBSTRING", &[STRING, INTEGER, INTEGER], Type::String),
];

fn signature(name: &str, arguments: usize) -> Option<&'static Signature> {
    SIGNATURES.iter().find(|at| {
        let fixed = at.parameters.len();
        let fits = match at.variadic {
            Variadic::No => arguments == fixed,
            Variadic::Yes => arguments >= fixed,
        };
        at.name == name && fits
    })
}

/// The first call, from left to right, that no signature fits.
pub(super) fn unknown(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(_) | Expr::Attribute(_) | Expr::Exists(_) => None,
        Expr::Not(operand) | Expr::Negate(operand) | Expr::Like { operand, .. } => unknown(operand),
        Expr::In { operand, set, .. } => unknown(operand).or_else(|| set.iter().find_map(unknown)),
        Expr::Chain { first, rest } => {
            unknown(first).or_else(|| rest.iter().find_map(|(_, right)| unknown(right)))
        }
        Expr::Call { name, arguments } => match signature(name, arguments.len()) {
            Some(_) => arguments.iter().find_map(unknown),
            None => Some(missing(name, arguments.len())),
        },
    }
}

fn missing(name: &str, arguments: usize) -> String {
    let mut names: Vec<&str> = SIGNATURES.iter().map(|at| at.name).collect();
    names.dedup();
    match names.contains(&name) {
        true => format!("the function {name} does not take {arguments} arguments"),
        false => format!("there is no function {name}; there are {}", names.join(", ")),
    }
}

pub(super) fn call(evaluator: &mut Evaluator<'_>, name: &str, arguments: &[Expr]) -> Value {
    let Some(signature) = signature(name, arguments.len()) else {
        evaluator.fail(ErrorKind::MissingFunction, missing(name, arguments.len()));
        return Value::Boolean(false);
    };
    let mut values = Vec::with_capacity(arguments.len());
    for (index, argument) in arguments.iter().enumerate() {
        let Ok(value) = evaluator.value(argument) else { return signature.result.zero() };
        values.push(match signature.parameters.get(index).unwrap_or(&STRING) {
            Parameter::Any => value,
            Parameter::Of(ty) => evaluator.cast(value, *ty),
        });
    }
    match name {
        "INT" | "BOOL" | "STRING" => match values.pop() {
            Some(value) => evaluator.cast(value, signature.result),
            None => signature.result.zero(),
        },
        "ABS" => Value::Integer(absolute(evaluator, &values)),
        "LENGTH" => {
            let length = text(&values, 0).chars().count();
            Value::Integer(i32::try_from(length).unwrap_or(i32::MAX))
        }
        _ => Value::String(string_function(evaluator, name, &values)),
    }
}

fn text(values: &[Value], index: usize) -> &str {
    match values.get(index) {
        Some(Value::String(text)) => text,
        _ => "",
    }
}

fn number(values: &[Value], index: usize) -> Option<i32> {
    match values.get(index)? {
        Value::Integer(value) => Some(*value),
        _ => None,
    }
}

fn absolute(evaluator: &mut Evaluator<'_>, values: &[Value]) -> i32 {
    let value = number(values, 0).unwrap_or_default();
    value.checked_abs().unwrap_or_else(|| {
        evaluator.fail(ErrorKind::Math, format!("ABS({value}) does not fit 32 bits"));
        i32::MAX
    })
}

fn string_function(evaluator: &mut Evaluator<'_>, name: &str, values: &[Value]) -> String {
    let first = text(values, 0);
    let parts = |from: usize| -> Vec<&str> {
        (from..values.len()).map(|index| text(values, index)).collect()
    };
    match name {
        "CONCAT" => parts(0).concat(),
        "CONCAT_WS" => parts(1).join(first),
        "LOWER" => first.to_lowercase(),
        "UPPER" => first.to_uppercase(),
        "TRIM" => first.trim().to_owned(),
        "LEFT" | "RIGHT" => side(evaluator, name, values),
        _ => substring(evaluator, values),
    }
}

fn side(evaluator: &mut Evaluator<'_>, name: &str, values: &[Value]) -> String {
    let whole = text(values, 0);
    let asked = number(values, 1).unwrap_or_default();
    let Ok(count) = usize::try_from(asked) else {
        let detail = format!("{name} cannot take {asked} characters");
        evaluator.fail(ErrorKind::FunctionEvaluation, detail);
        return whole.to_owned();
    };
    match name {
        "LEFT" => whole.chars().take(count).collect(),
        _ => whole.chars().skip(whole.chars().count().saturating_sub(count)).collect(),
    }
}

fn substring(evaluator: &mut Evaluator<'_>, values: &[Value]) -> String {
    let whole = text(values, 0);
    let length = i64::try_from(whole.chars().count()).unwrap_or(i64::MAX);
    let position = i64::from(number(values, 1).unwrap_or_default());
    let count = number(values, 2).map_or(Ok(usize::MAX), usize::try_from);
    let (Ok(count), true) = (count, position.abs() <= length) else {
        let detail = format!("SUBSTRING has nothing at {position} in {length} characters");
        evaluator.fail(ErrorKind::FunctionEvaluation, detail);
        return String::new();
    };
    let start = match position {
        0 => return String::new(),
        1.. => position - 1,
        _ => length + position,
    };
    whole.chars().skip(usize::try_from(start).unwrap_or_default()).take(count).collect()
}
