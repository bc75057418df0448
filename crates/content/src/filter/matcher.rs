//! The matchers of a pattern's leaves.

use std::cmp::Ordering;
use std::net::IpAddr;

use ipnet::IpNet;
use nexus_model::document::nearest;
use serde_json::{Map, Value};

use super::compile::Compiler;
use super::{FilterError, Scalar};
use crate::cesql::Pattern;

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Matcher {
    Equal(Scalar),
    Text(TextTest),
    AnythingBut(Vec<Matcher>),
    Numeric(Vec<(Comparison, Scalar)>),
    /// The field is there, whatever its value.
    Present,
    Absent,
    Cidr(IpNet),
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum TextTest {
    Prefix(String, Case),
    Suffix(String, Case),
    /// The text in lowercase.
    EqualsIgnoreCase(String),
    Wildcard(Pattern),
}

/// Whether the case of letters counts. Texts beside `Ignore` are kept in lowercase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Case {
    Exact,
    Ignore,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

const MATCHERS: &[&str] = &[
    "prefix",
    "suffix",
    "equals-ignore-case",
    "wildcard",
    "anything-but",
    "numeric",
    "exists",
    "cidr",
];
const COMPARISONS: &[(&str, Comparison)] = &[
    ("=", Comparison::Equal),
    ("<", Comparison::Less),
    ("<=", Comparison::LessOrEqual),
    (">", Comparison::Greater),
    (">=", Comparison::GreaterOrEqual),
];
const NUMERIC_HELP: &str =
    "a range is one or two comparisons with numbers: [\">\", 0, \"<=\", 100] or [\"=\", 5]";

impl Matcher {
    /// `None` stands for a field that is not there. Of an array one element must match.
    pub(super) fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Matcher::Present, value) => value.is_some(),
            (Matcher::Absent, value) => value.is_none(),
            (_, None) => false,
            (_, Some(Value::Array(items))) => items.iter().any(|item| self.matches(Some(item))),
            (_, Some(value)) => self.matches_scalar(value),
        }
    }

    fn matches_scalar(&self, value: &Value) -> bool {
        match self {
            Matcher::Equal(expected) => expected.equals(value),
            Matcher::Text(test) => value.as_str().is_some_and(|text| test.matches(text)),
            Matcher::AnythingBut(excluded) => {
                !value.is_object() && !excluded.iter().any(|matcher| matcher.matches_scalar(value))
            }
            Matcher::Numeric(comparisons) => {
                let Some(found) = value.is_number().then(|| Scalar::of(value)).flatten() else {
                    return false;
                };
                comparisons.iter().all(|(comparison, bound)| comparison.holds(&found, bound))
            }
            Matcher::Cidr(network) => {
                let address = value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
                address.is_some_and(|address| network.contains(&address))
            }
            Matcher::Present | Matcher::Absent => false,
        }
    }
}

impl TextTest {
    fn matches(&self, text: &str) -> bool {
        match self {
            TextTest::Prefix(expected, Case::Exact) => text.starts_with(expected.as_str()),
            TextTest::Prefix(expected, Case::Ignore) => {
                text.to_lowercase().starts_with(expected.as_str())
            }
            TextTest::Suffix(expected, Case::Exact) => text.ends_with(expected.as_str()),
            TextTest::Suffix(expected, Case::Ignore) => {
                text.to_lowercase().ends_with(expected.as_str())
            }
            TextTest::EqualsIgnoreCase(expected) => text.to_lowercase() == *expected,
            TextTest::Wildcard(pattern) => pattern.matches(text),
        }
    }
}

impl Comparison {
    fn holds(self, found: &Scalar, bound: &Scalar) -> bool {
        let Some(order) = found.compare(bound) else { return false };
        match self {
            Comparison::Equal => order == Ordering::Equal,
            Comparison::Less => order == Ordering::Less,
            Comparison::LessOrEqual => order != Ordering::Greater,
            Comparison::Greater => order == Ordering::Greater,
            Comparison::GreaterOrEqual => order != Ordering::Less,
        }
    }
}

/// One alternative: a value, or an object with one matcher.
pub(super) fn matcher(at: &mut Compiler, value: &Value) -> Result<Matcher, FilterError> {
    if let Some(scalar) = Scalar::of(value) {
        return Ok(Matcher::Equal(scalar));
    }
    let Some((name, argument)) = value.as_object().and_then(single) else {
        return at.wrong(format!(
            "an alternative is a value, or an object with one of {}",
            MATCHERS.join(", ")
        ));
    };
    at.below(&format!(".{name}"), |at| match name.as_str() {
        "exists" => match argument {
            Value::Bool(true) => Ok(Matcher::Present),
            Value::Bool(false) => Ok(Matcher::Absent),
            _ => at.wrong("expected true or false"),
        },
        "numeric" => numeric(at, argument),
        "cidr" => cidr(at, argument),
        "anything-but" => anything_but(at, argument),
        _ => text_test(at, name, argument).map(Matcher::Text),
    })
}

fn single(object: &Map<String, Value>) -> Option<(&String, &Value)> {
    let mut entries = object.iter();
    entries.next().filter(|_| entries.next().is_none())
}

fn text_test(at: &Compiler, name: &str, argument: &Value) -> Result<TextTest, FilterError> {
    let ignoring =
        argument.as_object().and_then(single).filter(|(key, _)| *key == "equals-ignore-case");
    let text = match (ignoring, argument) {
        (Some((_, Value::String(text))), _) if matches!(name, "prefix" | "suffix") => text,
        (_, Value::String(text)) => text,
        _ if MATCHERS.contains(&name) => return at.wrong("expected a string"),
        _ => "",
    };
    let (case, text) = match ignoring {
        Some(_) => (Case::Ignore, text.to_lowercase()),
        None => (Case::Exact, text.to_owned()),
    };
    match name {
        "prefix" | "suffix" | "wildcard" if text.is_empty() => {
            at.wrong("the text must not be empty; to match any value, use {\"exists\": true}")
        }
        "prefix" => Ok(TextTest::Prefix(text, case)),
        "suffix" => Ok(TextTest::Suffix(text, case)),
        "equals-ignore-case" => Ok(TextTest::EqualsIgnoreCase(text.to_lowercase())),
        "wildcard" => match Pattern::wildcard(&text) {
            Ok(pattern) => Ok(TextTest::Wildcard(pattern)),
            Err(reason) => at.wrong(reason),
        },
        _ => at.wrong(match nearest(name, MATCHERS) {
            Some(meant) => format!("unknown matcher '{name}'; did you mean '{meant}'?"),
            None => format!("unknown matcher '{name}'; known are {}", MATCHERS.join(", ")),
        }),
    }
}

/// `anything-but` takes a value, a list of values, or one of the matchers of texts with a text or a
/// list of texts.
fn anything_but(at: &mut Compiler, argument: &Value) -> Result<Matcher, FilterError> {
    const HELP: &str = "expected a value, a list of values, or one of prefix, suffix, equals-ignore-case, wildcard";
    let excluded = match argument {
        Value::Array(items) => values(at, items)?,
        Value::Object(object) => match single(object) {
            Some((name, argument)) => {
                at.below(&format!(".{name}"), |at| texts(at, name, argument))?
            }
            None => return at.wrong(HELP),
        },
        value => values(at, std::slice::from_ref(value))?,
    };
    match excluded.is_empty() {
        true => at.wrong(HELP),
        false => Ok(Matcher::AnythingBut(excluded)),
    }
}

fn values(at: &mut Compiler, items: &[Value]) -> Result<Vec<Matcher>, FilterError> {
    let each = |(index, item)| {
        at.below(&format!("[{index}]"), |at| match Scalar::of(item) {
            Some(scalar) => Ok(Matcher::Equal(scalar)),
            None => at.wrong("expected a string, a number, true, false or null"),
        })
    };
    items.iter().enumerate().map(each).collect()
}

fn texts(at: &mut Compiler, name: &str, argument: &Value) -> Result<Vec<Matcher>, FilterError> {
    let Value::Array(items) = argument else {
        return Ok(vec![Matcher::Text(text_test(at, name, argument)?)]);
    };
    let each = |(index, item)| {
        at.below(&format!("[{index}]"), |at| text_test(at, name, item).map(Matcher::Text))
    };
    items.iter().enumerate().map(each).collect()
}

fn numeric(at: &Compiler, argument: &Value) -> Result<Matcher, FilterError> {
    let items = argument.as_array().map(Vec::as_slice).unwrap_or_default();
    if !matches!(items.len(), 2 | 4) {
        return at.wrong(NUMERIC_HELP);
    }
    let mut comparisons = Vec::new();
    for pair in items.chunks(2) {
        let known = |text: &str| COMPARISONS.iter().find(|(name, _)| *name == text);
        let comparison = pair[0].as_str().and_then(known);
        let bound = pair[1].is_number().then(|| Scalar::of(&pair[1])).flatten();
        let (Some((_, comparison)), Some(bound)) = (comparison, bound) else {
            return at.wrong(NUMERIC_HELP);
        };
        comparisons.push((*comparison, bound));
    }
    if let [(first, low), (second, high)] = &comparisons[..] {
        let lower =
            |at: &Comparison| matches!(at, Comparison::Greater | Comparison::GreaterOrEqual);
        let upper = |at: &Comparison| matches!(at, Comparison::Less | Comparison::LessOrEqual);
        if !lower(first) || !upper(second) {
            return at.wrong("of two comparisons the first is '>' or '>=', the second '<' or '<='");
        }
        if low.compare(high) == Some(Ordering::Greater) {
            return at
                .wrong("no number lies in this range: the lower bound is above the upper one");
        }
    }
    Ok(Matcher::Numeric(comparisons))
}

fn cidr(at: &Compiler, argument: &Value) -> Result<Matcher, FilterError> {
    let text = argument.as_str().unwrap_or_default();
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    match network {
        Ok(network) => Ok(Matcher::Cidr(network)),
        Err(_) => at.wrong("expected a block of addresses such as 10.0.0.0/8 or 2001:db8::/32"),
    }
}
