//! What a subscription selects.

use serde::{Deserialize, Serialize};

use crate::Content;
use crate::filter::{CompiledFilter, Filter, FilterError};

/// Which events: every given part must match; one without any part takes all events.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Selector {
    /// The type, exactly, or with `*` at the end for any ending.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub ty: Option<String>,
    /// The source, in the same form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The subject, in the same form; an event without a subject matches no pattern, not even `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Filters that must all match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
}

/// A selector, ready to be asked many times.
#[derive(Clone, PartialEq, Debug)]
pub struct CompiledSelector {
    /// The name of an attribute with its pattern.
    pub(super) patterns: Vec<(&'static str, TextPattern)>,
    pub(super) filters: Vec<CompiledFilter>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum TextPattern {
    Exact(String),
    Prefix(String),
}

impl Selector {
    /// Makes the form that is evaluated.
    ///
    /// # Errors
    /// The first wrong part with its place, such as `filters[1].sql`.
    pub fn compile(&self) -> Result<CompiledSelector, FilterError> {
        let given = [("type", &self.ty), ("source", &self.source), ("subject", &self.subject)];
        let mut patterns = Vec::new();
        for (name, text) in given {
            let Some(text) = text else { continue };
            patterns.push((name, TextPattern::parse(name, text)?));
        }
        let compile = |(index, filter): (usize, &Filter)| {
            filter.compile().map_err(|error| error.inside(&format!("filters[{index}]")))
        };
        let filters = self.filters.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
        Ok(CompiledSelector { patterns, filters })
    }
}

impl TextPattern {
    fn parse(name: &str, text: &str) -> Result<Self, FilterError> {
        let wrong = |reason: &str| {
            Err(FilterError::Wrong { at: name.to_owned(), reason: reason.to_owned() })
        };
        match text.strip_suffix('*') {
            _ if text.is_empty() => wrong("the pattern must not be empty: leave it out for any"),
            Some(prefix) if prefix.contains('*') => wrong("'*' may stand at the end only"),
            Some(prefix) => Ok(TextPattern::Prefix(prefix.to_owned())),
            None if text.contains('*') => wrong("'*' may stand at the end only"),
            None => Ok(TextPattern::Exact(text.to_owned())),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            TextPattern::Exact(expected) => text == expected,
            TextPattern::Prefix(prefix) => text.starts_with(prefix.as_str()),
        }
    }
}

impl CompiledSelector {
    /// Whether the event is selected: the plain rule, without an index.
    pub fn matches(&self, content: &Content<'_>) -> bool {
        let attribute = |name: &str| content.attribute(name).map(|value| value.text());
        self.patterns
            .iter()
            .all(|(name, pattern)| attribute(name).is_some_and(|text| pattern.matches(&text)))
            && self.filters.iter().all(|filter| filter.matches(content))
    }

    /// Whether the answer can depend on the event's data.
    pub fn needs_data(&self) -> bool {
        self.filters.iter().any(CompiledFilter::needs_data)
    }
}
