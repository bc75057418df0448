//! Necessary conditions: what holds for every event that a selector can match.
//!
//! They may be weaker than the selector (the selector is evaluated anyway), never stronger.

use super::selector::{CompiledSelector, TextPattern};
use crate::cesql::{Expr, Negated, Operator, Value, Whole, parse_boolean};
use crate::content::CORE_ATTRIBUTES;
use crate::filter::{
    AttributeTest, Case, FieldPattern, Matcher, Node, ObjectPattern, Scalar, TextTest,
};

/// Conditions considered per selector; more of them do not make it easier to find.
const CONDITIONS_MAX: usize = 32;
/// Places that one selector may be filed under at once.
const PLACES_MAX: usize = 256;

/// One of these places holds. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Condition(pub(super) Vec<Place>);

/// A value at a place of the event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) path: Path,
    pub(super) test: Test,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Path {
    /// The canonical text of an attribute.
    Attribute(String),
    /// A field of the data, or one element of the array there.
    Data(Vec<String>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Test {
    Equal(Scalar),
    /// Not empty.
    Prefix(String),
}

impl Condition {
    /// What is better to look up comes first: attributes before data (which has to be parsed),
    /// equality before prefixes, few places before many.
    pub(super) fn rank(&self) -> (bool, bool, usize) {
        let data = self.0.iter().any(|place| matches!(place.path, Path::Data(_)));
        let prefix = self.0.iter().any(|place| matches!(place.test, Test::Prefix(_)));
        (data, prefix, self.0.len())
    }

    fn one(path: Path, test: Test) -> Option<Self> {
        match &test {
            Test::Prefix(prefix) if prefix.is_empty() => None,
            _ => Some(Condition(vec![Place { path, test }])),
        }
    }

    /// One of the alternatives holds, each with its best condition; `None` when one has none.
    fn any(alternatives: impl IntoIterator<Item = Vec<Condition>>) -> Vec<Condition> {
        let mut places = Vec::new();
        for conditions in alternatives {
            match conditions.into_iter().min_by_key(Condition::rank) {
                Some(best) if places.len() + best.0.len() <= PLACES_MAX => places.extend(best.0),
                _ => return Vec::new(),
            }
        }
        if places.is_empty() { Vec::new() } else { vec![Condition(places)] }
    }
}

pub(super) fn of(selector: &CompiledSelector) -> Vec<Condition> {
    let patterns = selector.patterns.iter().filter_map(|(name, pattern)| {
        let path = Path::Attribute((*name).to_owned());
        match pattern {
            TextPattern::Exact(text) => Condition::one(path, equal(text)),
            TextPattern::Prefix(text) => Condition::one(path, Test::Prefix(text.clone())),
        }
    });
    let filters = selector.filters.iter().flat_map(|filter| of_node(&filter.root));
    let mut conditions: Vec<Condition> = patterns.chain(filters).collect();
    conditions.sort_by_key(Condition::rank);
    conditions.dedup();
    conditions.truncate(CONDITIONS_MAX);
    conditions
}

fn equal(text: &str) -> Test {
    Test::Equal(Scalar::Text(text.to_owned()))
}

fn of_node(node: &Node) -> Vec<Condition> {
    match node {
        Node::Attributes(test, pairs) => {
            let each = |(name, text): &(String, String)| {
                let path = Path::Attribute(name.clone());
                match test {
                    AttributeTest::Exact => Condition::one(path, equal(text)),
                    AttributeTest::Prefix => Condition::one(path, Test::Prefix(text.clone())),
                    AttributeTest::Suffix => None,
                }
            };
            pairs.iter().filter_map(each).collect()
        }
        Node::All(nodes) => nodes.iter().flat_map(of_node).collect(),
        Node::Any(nodes) => Condition::any(nodes.iter().map(of_node)),
        Node::Not(_) => Vec::new(),
        Node::Sql(expression) => of_expression(&expression.root),
        Node::Data(pattern) => of_field(pattern, &mut Vec::new()),
    }
}

/// What must hold when the expression is true and has no errors.
fn of_expression(expr: &Expr) -> Vec<Condition> {
    match expr {
        Expr::Chain { first, rest } => match (&**first, &rest[..]) {
            (left, [(Operator::Equal, right)]) => of_equality(left, right).into_iter().collect(),
            _ => of_logic(first, rest),
        },
        Expr::Like { operand, pattern, negated: Negated::No } => match &**operand {
            Expr::Attribute(name) => {
                let (prefix, whole) = pattern.prefix();
                let test = if whole == Whole::Yes { equal(&prefix) } else { Test::Prefix(prefix) };
                Condition::one(Path::Attribute(name.clone()), test).into_iter().collect()
            }
            _ => Vec::new(),
        },
        Expr::In { operand, set, negated: Negated::No } => match &**operand {
            Expr::Attribute(name) if set.len() <= PLACES_MAX => {
                let texts: Option<Vec<&str>> =
                    set.iter().map(|item| text_compared_with(item, name)).collect();
                let place =
                    |text: &str| Place { path: Path::Attribute(name.clone()), test: equal(text) };
                let places = texts.map(|texts| texts.into_iter().map(place).collect());
                places.map(Condition).into_iter().collect()
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// A chain is read from left to right: after `AND` both sides hold, after `OR` one of them does.
fn of_logic(first: &Expr, rest: &[(Operator, Expr)]) -> Vec<Condition> {
    let mut conditions = of_expression(first);
    for (operator, right) in rest {
        conditions = match operator {
            Operator::And => {
                conditions.extend(of_expression(right));
                conditions
            }
            Operator::Or => Condition::any([conditions, of_expression(right)]),
            _ => Vec::new(),
        };
    }
    conditions
}

fn of_equality(left: &Expr, right: &Expr) -> Option<Condition> {
    let (name, text) = match (left, right) {
        // The left side is read as the type of the right one: a string, and then compared as text.
        (Expr::Attribute(name), Expr::Literal(Value::String(text))) => (name, text.as_str()),
        (literal, Expr::Attribute(name)) => (name, text_compared_with(literal, name)?),
        _ => return None,
    };
    Condition::one(Path::Attribute(name.clone()), equal(text))
}

/// The text of a string literal that is read as the type of an attribute. Extensions may be numbers
/// or booleans: for them only texts count that stay the same when they are read so and written again
/// (`'5'`, not `'05'`).
fn text_compared_with<'a>(literal: &'a Expr, attribute: &str) -> Option<&'a str> {
    let Expr::Literal(Value::String(text)) = literal else { return None };
    let canonical = match (text.parse::<i32>(), parse_boolean(text)) {
        (Ok(number), _) => number.to_string() == *text,
        (_, Some(boolean)) => boolean.to_string() == *text,
        _ => true,
    };
    (canonical || CORE_ATTRIBUTES.contains(&attribute)).then_some(text)
}

fn of_field(pattern: &FieldPattern, path: &mut Vec<String>) -> Vec<Condition> {
    match pattern {
        FieldPattern::Object(pattern) => of_object(pattern, path),
        FieldPattern::Leaf(matchers) => {
            let places: Option<Vec<Place>> = matchers
                .iter()
                .map(|matcher| {
                    let test = match matcher {
                        Matcher::Equal(scalar) => Test::Equal(scalar.clone()),
                        Matcher::Text(TextTest::Prefix(prefix, Case::Exact)) => {
                            Test::Prefix(prefix.clone())
                        }
                        _ => return None,
                    };
                    Some(Place { path: Path::Data(path.clone()), test })
                })
                .collect();
            let few = places.filter(|places| places.len() <= PLACES_MAX);
            few.map(Condition).into_iter().collect()
        }
    }
}

fn of_object(pattern: &ObjectPattern, path: &mut Vec<String>) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for (name, field) in &pattern.fields {
        path.push(name.clone());
        conditions.extend(of_field(field, path));
        path.pop();
    }
    let alternatives: Vec<_> = pattern.or.iter().map(|pattern| of_object(pattern, path)).collect();
    conditions.extend(Condition::any(alternatives));
    conditions
}
