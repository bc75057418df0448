//! What the data of events looks like.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Spec of [`Kind::Schema`](super::Kind::Schema): JSON Schemas (2020-12) for the data of one event
/// type, by version. A new version must be compatible with the earlier ones as `compatibility`
/// says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SchemaSpec {
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The event type, exactly.
    #[serde(rename = "type")]
    pub ty: String,
    /// Which changes are allowed.
    #[serde(default)]
    pub compatibility: Compatibility,
    /// The schemas by version, from 1. An event names its version by a `dataschema` that ends in
    /// `/<version>`, or is held against the latest.
    pub versions: BTreeMap<u32, Value>,
}

/// Which changes of a schema are allowed.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Compatibility {
    /// Any.
    None,
    /// Who knows the new schema reads data of the one before.
    #[default]
    Backward,
    /// Who knows the schema before reads data of the new one.
    Forward,
    /// Both.
    Full,
}

/// What happens to events that break their schema.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaMode {
    /// Nothing is checked.
    #[default]
    Off,
    /// They are accepted, counted and reported in the answer.
    Warn,
    /// They are refused.
    Enforce,
}
