//! From filters as written to the form that is evaluated, with the place of whatever is wrong.

use std::collections::BTreeMap;

use nexus_model::limits;

use super::data::{FieldPattern, ObjectPattern, pattern};
use super::{Filter, FilterError};
use crate::cesql::Expression;
use crate::content::is_attribute_name;
use crate::{Content, content};

/// A compiled filter. Its depth is bounded by [`limits::FILTER_DEPTH_MAX`].
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Node {
    /// Each attribute passes the test with the text beside it.
    Attributes(AttributeTest, Vec<(String, String)>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Sql(Expression),
    Data(FieldPattern),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AttributeTest {
    Exact,
    Prefix,
    Suffix,
}

impl Node {
    pub(super) fn matches(&self, content: &Content<'_>) -> bool {
        match self {
            Node::Attributes(test, pairs) => pairs.iter().all(|(name, expected)| {
                let Some(found) = content.attribute(name).map(content::Attribute::text) else {
                    return false;
                };
                match test {
                    AttributeTest::Exact => found == expected.as_str(),
                    AttributeTest::Prefix => found.starts_with(expected.as_str()),
                    AttributeTest::Suffix => found.ends_with(expected.as_str()),
                }
            }),
            Node::All(nodes) => nodes.iter().all(|node| node.matches(content)),
            Node::Any(nodes) => nodes.iter().any(|node| node.matches(content)),
            Node::Not(node) => !node.matches(content),
            Node::Sql(expression) => expression.matches(content),
            Node::Data(pattern) => content.json().is_some_and(|json| pattern.matches(Some(json))),
        }
    }

    pub(super) fn needs_data(&self) -> bool {
        match self {
            Node::Attributes(..) | Node::Sql(_) => false,
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().any(Node::needs_data),
            Node::Not(node) => node.needs_data(),
            Node::Data(_) => true,
        }
    }
}

pub(super) fn compile(filter: &Filter) -> Result<Node, FilterError> {
    Compiler { place: String::new(), nodes: 0, depth: 0 }.filter(filter)
}

/// Where the compiler is, and how much it has seen.
pub(super) struct Compiler {
    place: String,
    nodes: usize,
    depth: usize,
}

impl Compiler {
    /// Compiles a part that lies at `step` (`.name` or `[index]`) below the present place.
    pub(super) fn below<T>(
        &mut self,
        step: &str,
        compile: impl FnOnce(&mut Self) -> Result<T, FilterError>,
    ) -> Result<T, FilterError> {
        let length = self.place.len();
        self.place.push_str(if length == 0 { step.trim_start_matches('.') } else { step });
        self.nodes += 1;
        self.depth += 1;
        if self.nodes > limits::FILTER_NODES_MAX {
            return Err(FilterError::TooLarge { at: self.place.clone() });
        }
        if self.depth > limits::FILTER_DEPTH_MAX {
            return Err(FilterError::TooDeep { at: self.place.clone() });
        }
        let compiled = compile(self)?;
        self.depth -= 1;
        self.place.truncate(length);
        Ok(compiled)
    }

    pub(super) fn wrong<T>(&self, reason: impl Into<String>) -> Result<T, FilterError> {
        Err(FilterError::Wrong { at: self.place.clone(), reason: reason.into() })
    }

    fn filter(&mut self, filter: &Filter) -> Result<Node, FilterError> {
        match filter {
            Filter::Exact(pairs) => self.attributes(AttributeTest::Exact, pairs),
            Filter::Prefix(pairs) => self.attributes(AttributeTest::Prefix, pairs),
            Filter::Suffix(pairs) => self.attributes(AttributeTest::Suffix, pairs),
            Filter::All(filters) => self.filters(".all", filters).map(Node::All),
            Filter::Any(filters) => self.filters(".any", filters).map(Node::Any),
            Filter::Not(filter) => {
                self.below(".not", |at| at.filter(filter)).map(|node| Node::Not(Box::new(node)))
            }
            Filter::Sql(text) => self.below(".sql", |at| at.sql(text)),
            Filter::Data(fields) => {
                let pattern: ObjectPattern = self.below(".data", |at| pattern(at, &fields.0))?;
                Ok(Node::Data(FieldPattern::Object(pattern)))
            }
        }
    }

    fn attributes(
        &mut self,
        test: AttributeTest,
        pairs: &BTreeMap<String, String>,
    ) -> Result<Node, FilterError> {
        let step = match test {
            AttributeTest::Exact => ".exact",
            AttributeTest::Prefix => ".prefix",
            AttributeTest::Suffix => ".suffix",
        };
        self.below(step, |at| {
            if pairs.is_empty() {
                return at.wrong("name at least one attribute");
            }
            for (name, value) in pairs {
                at.below(&format!(".{name}"), |at| at.attribute(name, value))?;
            }
            Ok(Node::Attributes(test, pairs.clone().into_iter().collect()))
        })
    }

    fn attribute(&self, name: &str, value: &str) -> Result<(), FilterError> {
        if name == "data" {
            return self.wrong("data is no attribute: use the dialect 'data'");
        }
        if !is_attribute_name(name) {
            return self.wrong("names of attributes have lowercase letters and digits only");
        }
        match value.is_empty() {
            true => self.wrong("the value must not be empty; to ask whether an attribute is there, use sql: EXISTS"),
            false => Ok(()),
        }
    }

    fn filters(&mut self, step: &str, filters: &[Filter]) -> Result<Vec<Node>, FilterError> {
        self.below(step, |at| match filters.is_empty() {
            true => at.wrong("list at least one filter"),
            false => filters
                .iter()
                .enumerate()
                .map(|(index, filter)| at.below(&format!("[{index}]"), |at| at.filter(filter)))
                .collect(),
        })
    }

    fn sql(&self, text: &str) -> Result<Node, FilterError> {
        let expression = match Expression::parse(text) {
            Ok(expression) => expression,
            Err(error) => return self.wrong(error.to_string()),
        };
        match expression.unknown_function() {
            Some(reason) => self.wrong(reason),
            None => Ok(Node::Sql(expression)),
        }
    }
}
