//! Keyed state and event streams of functions.

use bytes::Bytes;

/// Whose state it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// The calling function's own.
    Own,
    /// One that functions of the project share.
    Shared(String),
}

/// A key, or a stream's name. Keys and streams do not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateKey {
    /// Whose.
    pub namespace: Namespace,
    /// 1 to `limits::STATE_KEY_BYTES_MAX` bytes.
    pub key: String,
}

/// A value with its key and version, or an event of a stream with its version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyed {
    /// The key; empty for events.
    pub key: String,
    /// Of a key: a number that no earlier value of it had, and higher. Of an event: its place in
    /// the stream, from 1.
    pub version: u64,
    /// The value.
    pub value: Bytes,
}

/// Writing or deleting a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateWrite {
    /// The key.
    pub key: StateKey,
    /// The value; `None` deletes.
    pub value: Option<Bytes>,
    /// The version that it must have; 0 when it must not exist; `None` when it does not matter.
    pub expected: Option<u64>,
    /// Names this operation for ever, where it may be repeated.
    pub operation: Option<String>,
}

/// Reading keys in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateScan {
    /// Whose, and the beginning of the keys (which may be empty).
    pub prefix: StateKey,
    /// Only keys after this one; empty for the first page.
    pub after: String,
    /// At most so many; fewer come when they are large.
    pub max: u32,
}

/// Appending to a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateAppend {
    /// The stream.
    pub stream: StateKey,
    /// The version that it must have (0: it has no events); `None` when it does not matter.
    pub expected: Option<u64>,
    /// The events, in order.
    pub events: Vec<Bytes>,
    /// Names this operation for ever, where it may be repeated.
    pub operation: Option<String>,
}

/// Why state was not read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// It has another version than expected.
    #[error("the version is {version}, another one was expected")]
    Conflict {
        /// The version that it has; 0 where nothing is.
        version: u64,
    },
    /// A name breaks a rule, or something is larger than its limit.
    #[error("{0}")]
    Invalid(String),
    /// The store cannot do it now; trying again later may help.
    #[error("{0}")]
    Unavailable(String),
}
