//! Bytes in a file for people.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Bytes, written as JSON or text where they are that, else in base 64. Reading gives the very same
/// bytes: JSON keeps its spaces and the order of its fields.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Content(pub Bytes);

impl Content {
    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn json(&self) -> Option<&RawValue> {
        let container = self.0.first().is_some_and(|first| b"{[".contains(first));
        let trimmed = self.0.last().is_some_and(|last| b"}]".contains(last));
        // A line break would come out of place in a file that is indented.
        let one_line = !self.0.contains(&b'\n');
        match container && trimmed && one_line {
            true => serde_json::from_slice(&self.0).ok(),
            false => None,
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Content(bytes)
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.json(), std::str::from_utf8(&self.0)) {
            (Some(json), _) => serializer.collect_map([("json", json)]),
            (None, Ok(text)) => serializer.serialize_str(text),
            (None, Err(_)) => serializer.collect_map([("base64", STANDARD.encode(&self.0))]),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Forms)
    }
}

struct Forms;

impl<'de> Visitor<'de> for Forms {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, {\"json\": …} or {\"base64\": \"…\"}")
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content(Bytes::copy_from_slice(text.as_bytes())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let bytes = match map.next_key::<String>()?.as_deref() {
            Some("json") => map.next_value::<Box<RawValue>>()?.get().to_owned().into_bytes(),
            Some("base64") => STANDARD
                .decode(map.next_value::<String>()?)
                .map_err(|error| A::Error::custom(format_args!("base64: {error}")))?,
            Some(other) => return Err(A::Error::unknown_field(other, &["json", "base64"])),
            None => return Err(A::Error::invalid_length(0, &self)),
        };
        match map.next_key::<String>()? {
            None => Ok(Content(bytes.into())),
            Some(_) => Err(A::Error::invalid_length(2, &self)),
        }
    }
}

impl schemars::JsonSchema for Content {
    fn schema_name() -> Cow<'static, str> {
        "Content".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Bytes: a text as it is, JSON as `json`, anything else as `base64`.",
            "oneOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "required": ["json"],
                    "properties": { "json": {} },
                    "additionalProperties": false
                },
                {
                    "type": "object",
                    "required": ["base64"],
                    "properties": { "base64": { "type": "string", "contentEncoding": "base64" } },
                    "additionalProperties": false
                }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Content, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn forms_by_what_the_bytes_are() {
        let table: [(&[u8], &str); 8] = [
            (b"", r#""""#),
            (b"plain", r#""plain""#),
            (b"12", r#""12""#),
            (br#"{"b": 1,  "a":[1e2]}"#, r#"{"json":{"b": 1,  "a":[1e2]}}"#),
            (b"[1, 2]", r#"{"json":[1, 2]}"#),
            (b"{broken}", r#""{broken}""#),
            (b"{\n}", r#""{\n}""#),
            (&[0xff, 0], r#"{"base64":"/wA="}"#),
        ];
        for (bytes, text) in table {
            let content = Content(Bytes::copy_from_slice(bytes));
            assert_eq!(serde_json::to_string(&content).unwrap(), text);
            assert_eq!(read(text).unwrap(), content);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let table = [
            ("{}", "invalid length 0"),
            (r#"{"json": 1, "base64": "/w=="}"#, "invalid length 2"),
            (r#"{"base64": "?"}"#, "base64: "),
            (r#"{"hex": "00"}"#, "unknown field `hex`"),
            ("7", "invalid type"),
        ];
        for (text, expected) in table {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            let content = Content(bytes.into());
            let text = serde_json::to_string_pretty(&content).unwrap();
            prop_assert_eq!(read(&text).unwrap(), content);
        }
    }
}
