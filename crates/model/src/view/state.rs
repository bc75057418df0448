//! State of functions as it is seen from outside.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Name;

/// A namespace in which functions keep state: a function's own, or a shared one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StateNamespaceView {
    /// The function whose own it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<Name>,
    /// The name, where functions share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// The function was deleted, or was never there: nobody but a function of this name reaches it.
    #[serde(default)]
    pub deleted: bool,
    /// Its keys.
    pub keys: u64,
    /// The bytes of their values.
    pub key_bytes: u64,
    /// Its streams.
    pub streams: u64,
    /// Their events.
    pub events: u64,
    /// The bytes of the events.
    pub event_bytes: u64,
    /// Whether there is more than these numbers say: they count up to `state-counted-max` keys and as
    /// many events.
    #[serde(default)]
    pub more: bool,
}

/// A key with its version.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StateKeyView {
    /// The key.
    pub key: String,
    /// The version: higher than that of every earlier value.
    pub version: u64,
    /// The size of the value in bytes.
    pub bytes: u64,
    /// The value, where it was asked for.
    #[serde(flatten)]
    pub value: StateValue,
}

/// A stream.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StreamView {
    /// Its name.
    pub name: String,
    /// Its version: that of its last event.
    pub version: u64,
    /// How many events it has.
    pub events: u64,
}

/// An event of a stream.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StreamEventView {
    /// Its place, from 1.
    pub version: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its data.
    #[serde(flatten)]
    pub value: StateValue,
}

/// Bytes in the first of these forms that shows them.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StateValue {
    /// An object, an array or a text in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Other UTF-8, numbers among it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Anything else, in base 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

/// A value was written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StateSetView {
    /// The version that the key has now.
    pub version: u64,
}

/// What was removed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StateClearedView {
    /// Keys.
    pub keys: u64,
    /// Events of streams.
    pub events: u64,
    /// The bytes of their values.
    pub bytes: u64,
    /// Whether there is more: repeat the request.
    pub more: bool,
}
