//! Keys of cached results: key expressions over a request instead of an event.
//!
//! | in the expression | stands for |
//! |---|---|
//! | `method`, `path`, `query`, `host` | that part of the request, as text |
//! | `query.page`, `header.accept` | one parameter, one header |
//! | `data`, `data.customer.id` | the JSON body, or a part of it |
//!
//! The expressions know only attributes and `data`; so the parts of a request become fields of one
//! JSON value, and references are written anew before they are parsed.

use http::{HeaderMap, Method, Uri};
use nexus_content::{Content, KeyError, KeyExpression};
use nexus_model::{AttributeValue, Event};
use serde_json::{Map, Value};

/// References that are looked up in the JSON value.
const PARTS: [&str; 3] = ["data", "query", "header"];

/// A key expression over a request.
pub(crate) struct RequestKey {
    expression: KeyExpression,
    /// Which of [`PARTS`] it needs.
    needs: [bool; 3],
}

/// A request, as far as keys look at it.
pub(crate) struct RequestFacts<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

impl RequestKey {
    /// Parses an expression.
    ///
    /// # Errors
    /// The first wrong place; positions may be further right than in the text.
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        let template = text.contains(['{', '}']);
        let mut needs = [false; 3];
        let mut written = String::with_capacity(text.len() + 16);
        let mut rest = text;
        let mut start = !template;
        while !rest.is_empty() {
            let word: String = rest
                .chars()
                .take_while(|at| at.is_ascii_alphanumeric() || "_-".contains(*at))
                .collect();
            let part = PARTS.iter().position(|part| start && *part == word);
            let behind = &rest[word.len()..];
            // `query` alone is the whole query, an attribute.
            let path = behind.starts_with(['.', '[']) || word == "data";
            if let Some(part) = part.filter(|_| path) {
                needs[part] = true;
                written.push_str("data.");
            }
            written.push_str(&word);
            let Some(next) = behind.chars().next() else { break };
            written.push(next);
            start = template && next == '{' && !behind[1..].starts_with('{');
            rest = &behind[next.len_utf8()..];
        }
        Ok(RequestKey { expression: KeyExpression::parse(&written)?, needs })
    }

    /// Whether the body is looked at.
    pub(crate) fn needs_data(&self) -> bool {
        self.needs[0]
    }

    /// The key; `None` where the request has nothing of what the expression names. The method is
    /// part of every key.
    pub(crate) fn key(&self, facts: &RequestFacts<'_>) -> Option<String> {
        let mut event = Event::new("", "", "");
        let query = facts.uri.query().unwrap_or_default();
        let host = facts.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        let host = facts.uri.host().or(host).unwrap_or_default();
        for (name, value) in [
            ("method", facts.method.as_str()),
            ("path", facts.uri.path()),
            ("query", query),
            ("host", host),
        ] {
            event.extensions.push((name.to_owned(), AttributeValue::String(value.to_owned())));
        }
        let mut data = Map::new();
        if self.needs[0] {
            data.insert("data".to_owned(), serde_json::from_slice(facts.body).ok()?);
        }
        if self.needs[1] {
            data.insert("query".to_owned(), Value::Object(parameters(query)));
        }
        if self.needs[2] {
            let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
            let headers = facts.headers.iter();
            let headers = headers.map(|(name, value)| (name.as_str().to_owned(), text(value)));
            data.insert("header".to_owned(), Value::Object(headers.collect()));
        }
        let bytes = Value::Object(data).to_string();
        event.data = Some(bytes.into());
        let key = self.expression.key(&Content::from(&event))?;
        Some(format!("{} {key}", facts.method))
    }
}

/// The parameters of a query; of repeated ones the first. Values stay as they were sent.
fn parameters(query: &str) -> Map<String, Value> {
    let mut found = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        found.entry(name.to_owned()).or_insert_with(|| value.into());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_keys() {
        let mut headers = HeaderMap::new();
        headers.insert("accept", "text/html".parse().unwrap());
        let uri: Uri = "http://shop.localhost/a/b?page=2&x".parse().unwrap();
        let body = br#"{"customer":{"id":7},"query":"q"}"#;
        let facts = RequestFacts { method: &Method::POST, uri: &uri, headers: &headers, body };
        for (text, key) in [
            ("path", Some("POST /a/b")),
            ("query", Some("POST page=2&x")),
            ("query.page", Some("POST 2")),
            ("header.accept", Some("POST text/html")),
            ("data.customer.id", Some("POST 7")),
            ("data.query", Some("POST q")),
            ("{path}?{query.page}", Some("POST /a/b?2")),
            ("{host}/{data.customer[\"id\"]}", Some("POST shop.localhost/7")),
            ("query.none", None),
        ] {
            let expression = RequestKey::parse(text).unwrap();
            assert_eq!(expression.key(&facts).as_deref(), key, "{text}");
            assert_eq!(expression.needs_data(), text.contains("data."), "{text}");
            if text.contains("{data") {
                assert!(expression.needs_data());
            }
        }
        for wrong in ["", "{path", "path.x", "{path}{query}"] {
            assert!(RequestKey::parse(wrong).is_err(), "{wrong}");
        }
    }
}
