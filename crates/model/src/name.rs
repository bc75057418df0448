//! Names of resources: DNS labels (RFC 1123), so that each can be a host name.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One to 63 lowercase letters, digits or hyphens; it starts with a letter or digit and ends with one.
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not a name: use 1 to 63 lowercase letters, digits or hyphens, starting and ending \
     with a letter or digit"
)]
pub struct NameError {
    text: String,
}

impl Name {
    /// Checks and wraps a text.
    ///
    /// # Errors
    /// The text is not a DNS label.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let bytes = text.as_bytes();
        let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
        let good = (1..=63).contains(&bytes.len())
            && bytes.iter().all(inner)
            && bytes[0] != b'-'
            && bytes[bytes.len() - 1] != b'-';
        if good { Ok(Name(text.into())) } else { Err(NameError { text: text.to_owned() }) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Name::new(text)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Name::new(&text).map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Name {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A DNS label (RFC 1123).",
            "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
        })
    }
}

/// Checks the name of a signal to a durable invocation.
///
/// # Errors
/// The rule that it breaks.
pub fn check_signal_name(name: &str) -> Result<(), String> {
    let limit = crate::limits::SIGNAL_NAME_BYTES_MAX;
    match name {
        "" => Err("a signal has a name: the one that the function waits for".to_owned()),
        long if long.len() > limit => {
            let size = long.len();
            Err(format!("the name of the signal has {size} bytes; the limit is {limit} bytes"))
        }
        name if name.chars().any(char::is_control) => {
            Err("the name of a signal has no control characters".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "hello", "a-b", "0x", &"n".repeat(63)] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for wrong in ["", "-a", "a-", "A", "a.b", "a_b", "ä", &"n".repeat(64)] {
            assert!(Name::new(wrong).is_err(), "{wrong}");
        }
    }
}
