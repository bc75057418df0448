//! Key expressions: which deliveries belong together (order, concurrency) or are the same (cache).
//!
//! A key is the value of an attribute (`subject`), a path into JSON data (`data.customer.id`), or a
//! template of these (`{data.customer.id}/{type}`). Different values give different keys: characters
//! of the template's own text are escaped inside values.

use nexus_model::document::nearest;
use nexus_model::{Digest, limits};
use serde_json::Value;

use crate::Content;
use crate::content::{CORE_ATTRIBUTES, is_attribute_name};

/// The start of a key that was replaced by its digest.
const DIGEST: &str = "blake3:";

/// A parsed key expression.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyExpression {
    parts: Vec<Part>,
    /// The characters that are escaped inside values, because the template's text has them.
    escaped: Vec<char>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(String),
    Attribute(String),
    Data(Vec<Step>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Field(String),
    Item(usize),
}

/// Why a text is not a key expression.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// It breaks a rule.
    #[error("at character {position}: {reason}")]
    Wrong {
        /// Where, in characters from 1.
        position: usize,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// More text than allowed.
    #[error("the key expression has {size} bytes, the limit is {limit}", limit = limits::KEY_EXPRESSION_BYTES_MAX)]
    TooLong {
        /// Its size in bytes.
        size: usize,
    },
}

impl KeyExpression {
    /// Parses a text.
    ///
    /// # Errors
    /// The first wrong place, with what is expected there.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.len() > limits::KEY_EXPRESSION_BYTES_MAX {
            return Err(KeyError::TooLong { size: text.len() });
        }
        let parts = Parser { chars: text.chars().collect(), at: 0 }.parts()?;
        let texts = parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text),
            _ => None,
        });
        let mut escaped: Vec<char> = texts.flat_map(|text| text.chars()).collect();
        if !escaped.is_empty() {
            escaped.push('%');
            escaped.sort_unstable();
            escaped.dedup();
        }
        Ok(KeyExpression { parts, escaped })
    }

    /// The key of an event; `None` when the event has nothing of what the expression names. In a
    /// template with several parts, one that is missing is empty. JSON `null` counts as missing.
    ///
    /// Objects and arrays are written as JSON with sorted keys. A key of more than
    /// [`limits::KEY_BYTES_MAX`] bytes is replaced by `blake3:` and its digest.
    pub fn key(&self, content: &Content<'_>) -> Option<String> {
        let mut key = String::new();
        let mut found = false;
        for part in &self.parts {
            let value = match part {
                Part::Text(text) => {
                    key.push_str(text);
                    continue;
                }
                Part::Attribute(name) => {
                    content.attribute(name).map(|value| value.text().into_owned())
                }
                Part::Data(steps) => content.json().and_then(|json| value_at(json, steps)),
            };
            if let Some(value) = value {
                found = true;
                self.escape(&value, &mut key);
            }
        }
        if !found {
            return None;
        }
        // What looks like a digest is replaced too: otherwise it could be made to equal one.
        let replaced = key.len() > limits::KEY_BYTES_MAX || key.starts_with(DIGEST);
        Some(if replaced { Digest::of(key.as_bytes()).to_string() } else { key })
    }

    /// Whether the key can depend on the event's data.
    pub fn needs_data(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Data(_)))
    }

    fn escape(&self, value: &str, key: &mut String) {
        for next in value.chars() {
            if self.escaped.binary_search(&next).is_err() {
                key.push(next);
                continue;
            }
            for byte in next.encode_utf8(&mut [0; 4]).bytes() {
                key.push_str(&format!("%{byte:02X}"));
            }
        }
    }
}

fn value_at(json: &Value, steps: &[Step]) -> Option<String> {
    let value = steps.iter().try_fold(json, |value, step| match step {
        Step::Field(name) => value.as_object()?.get(name),
        Step::Item(index) => value.as_array()?.get(*index),
    })?;
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => {
            let mut sorted = value.clone();
            sorted.sort_all_objects();
            Some(sorted.to_string())
        }
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn wrong<T>(&self, at: usize, reason: impl Into<String>) -> Result<T, KeyError> {
        Err(KeyError::Wrong { position: at + 1, reason: reason.into() })
    }

    fn parts(mut self) -> Result<Vec<Part>, KeyError> {
        if self.chars.is_empty() {
            return self.wrong(0, "expected an attribute, a path such as data.id, or a template");
        }
        if !self.chars.contains(&'{') && !self.chars.contains(&'}') {
            let part = self.reference()?;
            return match self.peek() {
                None => Ok(vec![part]),
                Some(next) => self.wrong(
                    self.at,
                    format!(
                        "unexpected '{next}'; several parts are a template: {{type}}/{{subject}}"
                    ),
                ),
            };
        }
        self.template()
    }

    fn template(&mut self) -> Result<Vec<Part>, KeyError> {
        let mut parts: Vec<Part> = Vec::new();
        let mut text = String::new();
        while let Some(next) = self.peek() {
            let start = self.at;
            self.at += 1;
            match next {
                '{' | '}' if self.peek() == Some(next) => {
                    self.at += 1;
                    text.push(next);
                }
                '{' => {
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    } else if !parts.is_empty() {
                        return self.wrong(
                            start,
                            "put text between two parts, such as '/': otherwise different values \
                             could give the same key",
                        );
                    }
                    parts.push(self.reference()?);
                    match self.peek() {
                        Some('}') => self.at += 1,
                        _ => return self.wrong(self.at, "expected '}' after the part"),
                    }
                }
                '}' => return self.wrong(start, "a '}' without '{'; write '}}' for the character"),
                other => text.push(other),
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        match parts.iter().all(|part| matches!(part, Part::Text(_))) {
            true => self.wrong(0, "the template names no part of the event, such as {subject}"),
            false => Ok(parts),
        }
    }

    /// An attribute, or `data` with steps.
    fn reference(&mut self) -> Result<Part, KeyError> {
        let start = self.at;
        let name = self.name();
        if name != "data" {
            return match (is_attribute_name(&name), self.peek()) {
                (true, Some('.' | '[')) => {
                    self.wrong(self.at, format!("'{name}' has no parts; only 'data' has"))
                }
                (true, _) => Ok(Part::Attribute(name)),
                (false, _) if name.is_empty() => {
                    self.wrong(start, "expected an attribute or 'data'")
                }
                (false, _) => {
                    let meant = nearest(&name.to_ascii_lowercase(), CORE_ATTRIBUTES)
                        .map(|meant| format!("; did you mean '{meant}'?"))
                        .unwrap_or_default();
                    let rule = "names of attributes have lowercase letters and digits only";
                    self.wrong(start, format!("'{name}': {rule}{meant}"))
                }
            };
        }
        let mut steps = Vec::new();
        loop {
            match self.peek() {
                Some('.') => {
                    self.at += 1;
                    let field = self.name();
                    if field.is_empty() {
                        return self.wrong(self.at, "expected the name of a field after '.'");
                    }
                    steps.push(Step::Field(field));
                }
                Some('[') => {
                    self.at += 1;
                    steps.push(self.bracket()?);
                }
                _ => return Ok(Part::Data(steps)),
            }
        }
    }

    fn name(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(|next| next.is_alphanumeric() || matches!(next, '_' | '-')) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    /// `0]` or `"a name"]`.
    fn bracket(&mut self) -> Result<Step, KeyError> {
        let start = self.at;
        let step = if self.peek() == Some('"') {
            self.at += 1;
            let inside = self.at;
            while self.peek().is_some_and(|next| next != '"') {
                self.at += 1;
            }
            let name = self.chars[inside..self.at].iter().collect();
            self.at += 1;
            Some(Step::Field(name))
        } else {
            self.name().parse().ok().map(Step::Item)
        };
        match (step, self.peek()) {
            (Some(step), Some(']')) => {
                self.at += 1;
                Ok(step)
            }
            _ => self.wrong(start, "expected an index or a name in quotes, and ']'"),
        }
    }
}

#[cfg(test)]
mod tests {
    use nexus_model::{AttributeValue, Event};
    use proptest::prelude::*;

    use super::*;

    fn event() -> Event {
        let mut event = Event::new("1", "/shop", "order.created");
        event.extensions = vec![("shard".into(), AttributeValue::Integer(7))];
        let data =
            r#"{"customer":{"id":42,"a b":"x","tags":["t0","t/1"]},"none":null,"o":{"b":1,"a":2}}"#;
        event.data = Some(bytes::Bytes::from_static(data.as_bytes()));
        event
    }

    fn key(text: &str) -> Option<String> {
        let event = event();
        KeyExpression::parse(text).unwrap().key(&Content::from(&event))
    }

    #[test]
    fn keys_of_an_event() {
        for (text, expected) in [
            ("source", Some("/shop")),
            ("shard", Some("7")),
            ("subject", None),
            ("data.customer.id", Some("42")),
            ("data.customer.tags[1]", Some("t/1")),
            ("data.customer[\"a b\"]", Some("x")),
            ("data.customer.tags[9]", None),
            ("data.customer.id.deeper", None),
            ("data.none", None),
            ("data.o", Some(r#"{"a":2,"b":1}"#)),
            ("{data.customer.id}/{type}", Some("42/order.created")),
            ("{source}/{type}", Some("%2Fshop/order.created")),
            ("{subject}/{type}", Some("/order.created")),
            ("{subject}/{data.none}", None),
            ("{{{shard}}}", Some("{7}")),
            ("tenant-{shard}", Some("tenant-7")),
        ] {
            assert_eq!(key(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn long_keys_become_digests_and_nothing_else_looks_like_one() {
        let mut event = event();
        let expression = KeyExpression::parse("subject").unwrap();
        event.subject = Some("x".repeat(limits::KEY_BYTES_MAX));
        assert_eq!(expression.key(&Content::from(&event)), event.subject);
        event.subject = Some("x".repeat(limits::KEY_BYTES_MAX + 1));
        let digest = expression.key(&Content::from(&event)).unwrap();
        assert_eq!(
            digest,
            Digest::of("x".repeat(limits::KEY_BYTES_MAX + 1).as_bytes()).to_string()
        );
        event.subject = Some(digest.clone());
        assert_ne!(expression.key(&Content::from(&event)), Some(digest));
    }

    #[test]
    fn errors_say_where() {
        for (text, expected) in [
            ("", "at character 1: expected an attribute, a path such as data.id, or a template"),
            (
                "Subject",
                "at character 1: 'Subject': names of attributes have lowercase letters and digits only; did you mean 'subject'?",
            ),
            ("type.x", "at character 5: 'type' has no parts; only 'data' has"),
            ("data.", "at character 6: expected the name of a field after '.'"),
            ("data[x]", "at character 6: expected an index or a name in quotes, and ']'"),
            ("data[\"x", "at character 6: expected an index or a name in quotes, and ']'"),
            (
                "type/subject",
                "at character 5: unexpected '/'; several parts are a template: {type}/{subject}",
            ),
            ("{type", "at character 6: expected '}' after the part"),
            ("type}", "at character 5: a '}' without '{'; write '}}' for the character"),
            ("{{x}}", "at character 1: the template names no part of the event, such as {subject}"),
            (
                "{type}{subject}",
                "at character 7: put text between two parts, such as '/': otherwise different values could give the same key",
            ),
        ] {
            assert_eq!(KeyExpression::parse(text).unwrap_err().to_string(), expected, "{text}");
        }
        let long = "x".repeat(limits::KEY_EXPRESSION_BYTES_MAX + 1);
        assert!(KeyExpression::parse(&long).unwrap_err().to_string().contains("1024"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z.\\[\\]{}\"0-9/ä]{0,20}") {
            if let Ok(expression) = KeyExpression::parse(&text) {
                let event = event();
                let key = expression.key(&Content::from(&event));
                prop_assert!(key.is_none_or(|key| key.len() <= limits::KEY_BYTES_MAX));
            }
        }

        #[test]
        fn different_values_give_different_keys(
            a in "[ab/%|]{1,3}", b in "[ab/%|]{1,3}", c in "[ab/%|]{1,3}", d in "[ab/%|]{1,3}",
        ) {
            let expression = KeyExpression::parse("{subject}/{type}|").unwrap();
            let key = |subject: &str, ty: &str| {
                let mut event = Event::new("1", "/s", ty);
                event.subject = Some(subject.to_owned());
                expression.key(&Content::from(&event))
            };
            prop_assert_eq!(key(&a, &b) == key(&c, &d), (a, b) == (c, d));
        }
    }
}
