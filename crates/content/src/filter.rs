//! Filters: the dialects of the CloudEvents Subscriptions API, and patterns over JSON data.

mod compile;
mod data;
mod matcher;
mod scalar;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use compile::{AttributeTest, Node};
pub(crate) use data::{FieldPattern, ObjectPattern};
pub(crate) use matcher::{Case, Matcher, TextTest};
pub(crate) use scalar::Scalar;

use crate::Content;

/// One condition on an event, as users write it. In JSON and TOML it is an object with one member
/// that names the dialect: `{"prefix": {"type": "com.shop."}}`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Filter {
    /// Each attribute has exactly this value.
    Exact(BTreeMap<String, String>),
    /// The value of each attribute begins so.
    Prefix(BTreeMap<String, String>),
    /// The value of each attribute ends so.
    Suffix(BTreeMap<String, String>),
    /// Every one of these filters matches. At least one.
    All(Vec<Filter>),
    /// One of these filters matches. At least one.
    Any(Vec<Filter>),
    /// This filter does not match.
    Not(Box<Filter>),
    /// A CloudEvents SQL expression that must be true, without errors.
    Sql(String),
    /// A pattern that the JSON data follows: the fields to look at, and for each one the alternatives.
    Data(DataPattern),
}

/// A pattern over JSON data. Its fields name the fields to look at; a nested object looks deeper, an
/// array lists alternatives: values, or matchers such as `{"prefix": "EU-"}`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct DataPattern(pub serde_json::Map<String, serde_json::Value>);

/// Why a filter cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FilterError {
    /// A part is wrong.
    #[error("{at}: {reason}")]
    Wrong {
        /// Which part: `any[1].data.customer.country[0]`.
        at: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// It has more parts than a filter may have.
    #[error("{at}: the filter has more than {limit} parts", limit = nexus_model::limits::FILTER_NODES_MAX)]
    TooLarge {
        /// The first part that is too many.
        at: String,
    },
    /// It is nested more deeply than a filter may be.
    #[error("{at}: the filter has more than {limit} levels", limit = nexus_model::limits::FILTER_DEPTH_MAX)]
    TooDeep {
        /// The first part that lies too deep.
        at: String,
    },
}

impl FilterError {
    /// The same error of a filter that is itself a part of something.
    pub(crate) fn inside(mut self, place: &str) -> Self {
        let (FilterError::Wrong { at, .. }
        | FilterError::TooLarge { at }
        | FilterError::TooDeep { at }) = &mut self;
        *at = format!("{place}.{at}");
        self
    }
}

impl Filter {
    /// Checks everything that can be checked without an event.
    ///
    /// # Errors
    /// The first wrong part, with its place and what is expected there.
    pub fn validate(&self) -> Result<(), FilterError> {
        self.compile().map(drop)
    }

    /// Makes the form that is evaluated.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn compile(&self) -> Result<CompiledFilter, FilterError> {
        compile::compile(self).map(|root| CompiledFilter { root })
    }
}

/// A filter, ready to be asked many times.
#[derive(Clone, PartialEq, Debug)]
pub struct CompiledFilter {
    pub(crate) root: Node,
}

impl CompiledFilter {
    /// Whether the event passes. Data is parsed only if a pattern over data has to be looked at.
    pub fn matches(&self, content: &Content<'_>) -> bool {
        self.root.matches(content)
    }

    /// Whether the answer can depend on the event's data.
    pub fn needs_data(&self) -> bool {
        self.root.needs_data()
    }
}
