//! CloudEvents 1.0.2: the attributes, their rules, and the JSON format.
//!
//! Sources: the CloudEvents specification v1.0.2 (context attributes, type system, size limits) and
//! its JSON event format. The HTTP binding lives in `gateway`.

use std::fmt;

use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::Timestamp;

/// A CloudEvent. Attributes that the specification calls optional may be absent; extension
/// attributes are kept in the order in which they came.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Unique within `source`; both together identify the event for deduplication.
    pub id: String,
    /// A non-empty URI reference: who made the event.
    pub source: String,
    /// What kind of occurrence it is, for example `com.shop.order.created`.
    pub ty: String,
    /// What in the source it is about.
    pub subject: Option<String>,
    /// When it happened, as the source says.
    pub time: Option<Timestamp>,
    /// The media type of `data` (RFC 2046).
    pub datacontenttype: Option<String>,
    /// A URI of the schema that `data` follows.
    pub dataschema: Option<String>,
    /// Extension attributes: names of lowercase letters and digits.
    pub extensions: Vec<(String, AttributeValue)>,
    /// The payload as bytes in the media type named by `datacontenttype`.
    pub data: Option<Bytes>,
}

/// The value of an extension attribute. URIs, timestamps and binary values travel as strings in
/// JSON and in headers, so they are strings here too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AttributeValue {
    /// `Boolean`.
    Boolean(bool),
    /// `Integer`: 32 bits, signed.
    Integer(i32),
    /// `String`, and the canonical text of every other type.
    String(String),
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttributeValue::Boolean(value) => value.fmt(f),
            AttributeValue::Integer(value) => value.fmt(f),
            AttributeValue::String(value) => value.fmt(f),
        }
    }
}

/// A rule of the CloudEvents specification that a text breaks.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EventError {
    /// The text is not JSON, or not of the expected shape.
    #[error("not a CloudEvent in JSON: {reason}")]
    Json {
        /// What the parser says, with line and column.
        reason: String,
    },
    /// A required attribute is absent.
    #[error("the required attribute '{attribute}' is missing")]
    Missing {
        /// The attribute.
        attribute: &'static str,
    },
    /// An attribute has a value that its type or rule forbids.
    #[error("the attribute '{attribute}' is wrong: {reason}")]
    Attribute {
        /// The attribute.
        attribute: String,
        /// The rule that is broken.
        reason: String,
    },
    /// Another version of the specification.
    #[error("specversion '{found}' is not supported: use '1.0'")]
    SpecVersion {
        /// What was given.
        found: String,
    },
}

impl Event {
    /// An event with the required attributes only.
    pub fn new(id: impl Into<String>, source: impl Into<String>, ty: impl Into<String>) -> Self {
        Event {
            id: id.into(),
            source: source.into(),
            ty: ty.into(),
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            extensions: Vec::new(),
            data: None,
        }
    }

    /// Whether `data` is JSON by its media type; JSON is the default where none is given.
    pub fn data_is_json(&self) -> bool {
        let Some(media_type) = &self.datacontenttype else { return true };
        let essence = media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
    }

    /// The extension attribute of this name.
    pub fn extension(&self, name: &str) -> Option<&AttributeValue> {
        self.extensions.iter().find(|(at, _)| at == name).map(|(_, value)| value)
    }

    /// Checks every rule of the specification that a value of this type can break.
    ///
    /// # Errors
    /// The first attribute that breaks a rule, with the rule.
    pub fn validate(&self) -> Result<(), EventError> {
        for (attribute, value) in [("id", &self.id), ("source", &self.source), ("type", &self.ty)] {
            if value.is_empty() {
                return Err(EventError::Missing { attribute });
            }
        }
        let texts = [
            ("id", Some(&self.id)),
            ("source", Some(&self.source)),
            ("type", Some(&self.ty)),
            ("subject", self.subject.as_ref()),
            ("datacontenttype", self.datacontenttype.as_ref()),
            ("dataschema", self.dataschema.as_ref()),
        ];
        for (attribute, value) in texts {
            if let Some(value) = value {
                check_text(attribute, value)?;
            }
        }
        check_uri("source", &self.source)?;
        if let Some(schema) = &self.dataschema {
            check_uri("dataschema", schema)?;
        }
        if let Some(media_type) = &self.datacontenttype {
            check_media_type(media_type)?;
        }
        for (name, value) in &self.extensions {
            check_extension_name(name)?;
            if let AttributeValue::String(value) = value {
                check_text_value(name, value)?;
            }
        }
        Ok(())
    }

    /// Parses the JSON event format (`application/cloudevents+json`) and checks every rule.
    ///
    /// # Errors
    /// The text is not JSON, or the first rule it breaks.
    pub fn from_json(text: &[u8]) -> Result<Self, EventError> {
        let wire: Wire<'_> = serde_json::from_slice(text).map_err(json_error)?;
        wire.into_event()
    }

    /// Parses the JSON batch format (`application/cloudevents-batch+json`).
    ///
    /// # Errors
    /// The text is not a JSON array, or the index of the first wrong event with its error.
    pub fn from_json_batch(text: &[u8]) -> Result<Vec<Self>, (usize, EventError)> {
        let items: Vec<&RawValue> =
            serde_json::from_slice(text).map_err(|error| (0, json_error(error)))?;
        items
            .into_iter()
            .enumerate()
            .map(|(index, item)| {
                Event::from_json(item.get().as_bytes()).map_err(|error| (index, error))
            })
            .collect()
    }

    /// The JSON event format. JSON data is embedded as it is, text as a string, the rest as base 64.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Wire<'a>(#[serde(borrow)] std::collections::BTreeMap<String, &'a RawValue>);

fn json_error(error: serde_json::Error) -> EventError {
    EventError::Json { reason: error.to_string() }
}

impl Wire<'_> {
    fn into_event(self) -> Result<Event, EventError> {
        let mut event = Event::new("", "", "");
        let mut spec_version = None;
        let mut data = None;
        let mut data_base64 = None;
        for (name, value) in &self.0 {
            let value = value.get();
            if value == "null" {
                continue;
            }
            match name.as_str() {
                "specversion" => spec_version = Some(text(name, value)?),
                "id" => event.id = text(name, value)?,
                "source" => event.source = text(name, value)?,
                "type" => event.ty = text(name, value)?,
                "subject" => event.subject = Some(non_empty(name, text(name, value)?)?),
                "datacontenttype" => {
                    event.datacontenttype = Some(non_empty(name, text(name, value)?)?);
                }
                "dataschema" => event.dataschema = Some(non_empty(name, text(name, value)?)?),
                "time" => event.time = Some(time(&text(name, value)?)?),
                "data" => data = Some(value),
                "data_base64" => data_base64 = Some(text(name, value)?),
                _ => {
                    check_extension_name(name)?;
                    event.extensions.push((name.clone(), attribute_value(name, value)?));
                }
            }
        }
        match spec_version {
            None => return Err(EventError::Missing { attribute: "specversion" }),
            Some(found) if found != "1.0" => return Err(EventError::SpecVersion { found }),
            Some(_) => {}
        }
        event.data = json_data(&event, data, data_base64)?;
        event.validate()?;
        Ok(event)
    }
}

fn json_data(
    event: &Event,
    data: Option<&str>,
    data_base64: Option<String>,
) -> Result<Option<Bytes>, EventError> {
    match (data, data_base64) {
        (Some(_), Some(_)) => Err(EventError::Attribute {
            attribute: "data".into(),
            reason: "an event has 'data' or 'data_base64', not both".into(),
        }),
        (None, None) => Ok(None),
        (None, Some(encoded)) => decode_base64(&encoded).map(Some),
        (Some(raw), None) if event.data_is_json() => {
            Ok(Some(Bytes::copy_from_slice(raw.as_bytes())))
        }
        // JSON format, 3.1.1: a string member of a non-JSON type is the text itself.
        (Some(raw), None) => Ok(Some(match serde_json::from_str::<String>(raw) {
            Ok(text) => Bytes::from(text),
            Err(_) => Bytes::copy_from_slice(raw.as_bytes()),
        })),
    }
}

fn decode_base64(text: &str) -> Result<Bytes, EventError> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).map(Bytes::from).map_err(|error| {
        EventError::Attribute { attribute: "data_base64".into(), reason: error.to_string() }
    })
}

fn text(name: &str, raw: &str) -> Result<String, EventError> {
    serde_json::from_str(raw).map_err(|_| EventError::Attribute {
        attribute: name.to_owned(),
        reason: format!("expected a string, found {}", shorten(raw)),
    })
}

fn attribute_value(name: &str, raw: &str) -> Result<AttributeValue, EventError> {
    if let Ok(value) = serde_json::from_str::<bool>(raw) {
        return Ok(AttributeValue::Boolean(value));
    }
    if let Ok(value) = serde_json::from_str::<i32>(raw) {
        return Ok(AttributeValue::Integer(value));
    }
    serde_json::from_str::<String>(raw).map(AttributeValue::String).map_err(|_| {
        EventError::Attribute {
            attribute: name.to_owned(),
            reason: format!(
                "extension values are strings, booleans or 32-bit integers, not {}",
                shorten(raw)
            ),
        }
    })
}

fn time(value: &str) -> Result<Timestamp, EventError> {
    Timestamp::parse(value)
        .map_err(|reason| EventError::Attribute { attribute: "time".into(), reason })
}

fn non_empty(name: &str, value: String) -> Result<String, EventError> {
    if value.is_empty() {
        return Err(EventError::Attribute {
            attribute: name.to_owned(),
            reason: "must not be empty when present".into(),
        });
    }
    Ok(value)
}

fn shorten(raw: &str) -> String {
    let mut short: String = raw.chars().take(40).collect();
    if short.len() < raw.len() {
        short.push('…');
    }
    short
}

fn check_text(attribute: &str, value: &str) -> Result<(), EventError> {
    if value.is_empty() {
        return non_empty(attribute, String::new()).map(drop);
    }
    check_text_value(attribute, value)
}

/// Type system, String: no control characters (C0, C1) and no Unicode noncharacters.
fn check_text_value(attribute: &str, value: &str) -> Result<(), EventError> {
    let forbidden = |letter: &char| {
        letter.is_control()
            || matches!(u32::from(*letter), 0xfdd0..=0xfdef)
            || u32::from(*letter) & 0xfffe == 0xfffe
    };
    match value.chars().find(forbidden) {
        None => Ok(()),
        Some(letter) => Err(EventError::Attribute {
            attribute: attribute.to_owned(),
            reason: format!("the character U+{:04X} is not allowed", u32::from(letter)),
        }),
    }
}

fn check_uri(attribute: &str, value: &str) -> Result<(), EventError> {
    let wrong = |letter: char| letter.is_whitespace() || "<>\"{}|\\^`".contains(letter);
    match value.chars().find(|&letter| wrong(letter)) {
        None => Ok(()),
        Some(letter) => Err(EventError::Attribute {
            attribute: attribute.to_owned(),
            reason: format!("a URI reference (RFC 3986) cannot contain '{letter}'"),
        }),
    }
}

fn check_media_type(value: &str) -> Result<(), EventError> {
    let essence = value.split(';').next().unwrap_or("").trim();
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    match essence.split_once('/') {
        Some((kind, sub)) if token(kind) && token(sub) => Ok(()),
        _ => Err(EventError::Attribute {
            attribute: "datacontenttype".into(),
            reason: format!("'{}' is not a media type (RFC 2046)", shorten(value)),
        }),
    }
}

fn check_extension_name(name: &str) -> Result<(), EventError> {
    let good = !name.is_empty()
        && name.len() <= crate::limits::EXTENSION_NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if good && name != "data" {
        return Ok(());
    }
    Err(EventError::Attribute {
        attribute: name.to_owned(),
        reason: format!(
            "extension names have 1 to {} lowercase letters or digits",
            crate::limits::EXTENSION_NAME_BYTES_MAX
        ),
    })
}

impl schemars::JsonSchema for Event {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CloudEvent".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "description": "A CloudEvent 1.0 in its JSON format; extension attributes are members.",
            "required": ["specversion", "id", "source", "type"],
            "properties": {
                "specversion": { "const": "1.0" },
                "id": { "type": "string", "minLength": 1 },
                "source": { "type": "string", "format": "uri-reference", "minLength": 1 },
                "type": { "type": "string", "minLength": 1 },
                "subject": { "type": "string", "minLength": 1 },
                "time": { "type": "string", "format": "date-time" },
                "datacontenttype": { "type": "string", "minLength": 1 },
                "dataschema": { "type": "string", "format": "uri", "minLength": 1 },
                "data": {},
                "data_base64": { "type": ["string", "null"], "contentEncoding": "base64" }
            },
            "additionalProperties": { "type": ["string", "boolean", "integer"] }
        })
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("specversion", "1.0")?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("source", &self.source)?;
        map.serialize_entry("type", &self.ty)?;
        if let Some(subject) = &self.subject {
            map.serialize_entry("subject", subject)?;
        }
        if let Some(time) = &self.time {
            map.serialize_entry("time", time)?;
        }
        if let Some(media_type) = &self.datacontenttype {
            map.serialize_entry("datacontenttype", media_type)?;
        }
        if let Some(schema) = &self.dataschema {
            map.serialize_entry("dataschema", schema)?;
        }
        for (name, value) in &self.extensions {
            match value {
                AttributeValue::Boolean(value) => map.serialize_entry(name, value)?,
                AttributeValue::Integer(value) => map.serialize_entry(name, value)?,
                AttributeValue::String(value) => map.serialize_entry(name, value)?,
            }
        }
        if let Some(data) = &self.data {
            serialize_data(self, data, &mut map)?;
        }
        map.end()
    }
}

fn serialize_data<M: SerializeMap>(
    event: &Event,
    data: &Bytes,
    map: &mut M,
) -> Result<(), M::Error> {
    use base64::Engine as _;
    let text = std::str::from_utf8(data).ok();
    if event.data_is_json() {
        if let Some(raw) = text.and_then(|text| serde_json::from_str::<&RawValue>(text).ok()) {
            return map.serialize_entry("data", raw);
        }
    } else if let Some(text) = text {
        return map.serialize_entry("data", text);
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(data);
    map.serialize_entry("data_base64", &encoded)
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not a raw value: those cannot be read inside untagged or flattened shapes, as views are.
        let value = serde_json::Value::deserialize(deserializer)?;
        Event::from_json(value.to_string().as_bytes()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_specifications_example_round_trips() {
        let text = br#"{"specversion":"1.0","type":"com.example.someevent","source":"/mycontext",
            "subject":null,"id":"C234-1234-1234","time":"2018-04-05T17:31:00Z",
            "comexampleextension1":"value","comexampleothervalue":5,
            "datacontenttype":"application/json","data":{"appinfoA":"abc","appinfoB":123}}"#;
        let event = Event::from_json(text).unwrap();
        assert_eq!(event.extension("comexampleothervalue"), Some(&AttributeValue::Integer(5)));
        assert_eq!(event.data.as_deref(), Some(&br#"{"appinfoA":"abc","appinfoB":123}"#[..]));
        assert_eq!(Event::from_json(&event.to_json()), Ok(event));
    }

    #[test]
    fn each_rule_has_its_error() {
        let base = r#""specversion":"1.0","id":"1","source":"/s","type":"t""#;
        let cases = [
            (r#"{"id":"1","source":"/s","type":"t"}"#.to_owned(), "specversion"),
            (r#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#.to_owned(), "0.3"),
            (r#"{"specversion":"1.0","source":"/s","type":"t"}"#.to_owned(), "'id'"),
            (r#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#.to_owned(), "'id'"),
            (r#"{"specversion":"1.0","id":"1","type":"t"}"#.to_owned(), "'source'"),
            (r#"{"specversion":"1.0","id":"1","source":"/s"}"#.to_owned(), "'type'"),
            (r#"{"specversion":"1.0","id":"1","source":"a b","type":"t"}"#.to_owned(), "URI"),
            (r#"{"specversion":"1.0","id":7,"source":"/s","type":"t"}"#.to_owned(), "a string"),
            (format!("{{{base},\"time\":\"noon\"}}"), "RFC 3339"),
            (format!("{{{base},\"Upper\":\"x\"}}"), "lowercase"),
            (format!("{{{base},\"ext\":1.5}}"), "32-bit"),
            (format!("{{{base},\"ext\":{{}}}}"), "32-bit"),
            (format!("{{{base},\"subject\":\"\"}}"), "empty"),
            (format!("{{{base},\"subject\":\"a\\u0007\"}}"), "U+0007"),
            (format!("{{{base},\"datacontenttype\":\"json\"}}"), "media type"),
            (format!("{{{base},\"data\":1,\"data_base64\":\"AA==\"}}"), "not both"),
            (format!("{{{base},\"data_base64\":\"?\"}}"), "data_base64"),
            ("[1]".to_owned(), "JSON"),
            ("{".to_owned(), "JSON"),
        ];
        for (text, expected) in cases {
            let error = Event::from_json(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn data_keeps_its_bytes_in_every_media_type() {
        for (media_type, data) in [
            (None, &b"{\"a\" : 1}"[..]),
            (Some("application/json"), b"not json"),
            (Some("text/plain"), b"plain"),
            (Some("application/octet-stream"), &[0xff, 0, 1]),
        ] {
            let mut event = Event::new("1", "/s", "t");
            event.datacontenttype = media_type.map(str::to_owned);
            event.data = Some(Bytes::copy_from_slice(data));
            assert_eq!(Event::from_json(&event.to_json()), Ok(event));
        }
    }

    #[test]
    fn events_can_be_read_inside_other_shapes() {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Items {
            Page { items: Vec<Event> },
        }
        let mut event = Event::new("1", "/s", "t");
        event.data = Some(Bytes::from_static(br#"{"b":1,"a":2}"#));
        let text = format!(r#"{{"items":[{}]}}"#, String::from_utf8(event.to_json()).unwrap());
        let Items::Page { items } = serde_json::from_str(&text).unwrap();
        assert_eq!(items, [event]);
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parser_panic(text: Vec<u8>) {
            let _ = Event::from_json(&text);
            let _ = Event::from_json_batch(&text);
        }
    }
}
