//! What does not matter when documents are compared.

use std::collections::HashMap;

use nexus_model::{Timestamp, limits};
use serde_json::Value;
use serde_json_path::JsonPath;

/// Rules of a comparison, compiled. By default everything matters.
#[derive(Debug, Default)]
pub struct DiffRules {
    ignore: Vec<(String, JsonPath)>,
    timestamps: bool,
    ids: bool,
}

/// Why rules cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiffRulesError {
    /// A path is no JSONPath of RFC 9535.
    #[error("'{path}' is no JSON path: {reason}")]
    Path {
        /// The path.
        path: String,
        /// What the parser says.
        reason: String,
    },
    /// There are too many, or one is too long.
    #[error(
        "at most {} JSON paths of {} bytes each",
        limits::DIFF_PATHS_MAX,
        limits::DIFF_PATH_BYTES_MAX
    )]
    TooMany,
}

impl DiffRules {
    /// Compiles rules: JSONPaths (RFC 9535) of what is ignored, whether moments in time may differ,
    /// and whether generated ids may.
    ///
    /// # Errors
    /// A path cannot be read, or there are too many.
    pub fn new(ignore: &[String], timestamps: bool, ids: bool) -> Result<Self, DiffRulesError> {
        let too_long = ignore.iter().any(|path| path.len() > limits::DIFF_PATH_BYTES_MAX);
        if ignore.len() > limits::DIFF_PATHS_MAX || too_long {
            return Err(DiffRulesError::TooMany);
        }
        let compile = |path: &String| match JsonPath::parse(path) {
            Ok(compiled) => Ok((path.clone(), compiled)),
            Err(error) => {
                Err(DiffRulesError::Path { path: path.clone(), reason: error.to_string() })
            }
        };
        let ignore = ignore.iter().map(compile).collect::<Result<_, _>>()?;
        Ok(DiffRules { ignore, timestamps, ids })
    }

    /// The places that the paths name in either document.
    pub(super) fn places(&self, before: &Value, after: &Value) -> Places {
        let of = |value: &Value| {
            let mut places = HashMap::new();
            for (rule, path) in &self.ignore {
                for node in path.query_located(value).locations() {
                    places.insert(node.to_json_pointer(), rule.clone());
                }
            }
            places
        };
        if self.ignore.is_empty() {
            return Places::default();
        }
        Places { before: of(before), after: of(after) }
    }

    /// The rule by which two different values mean the same.
    pub(super) fn same_meaning(&self, before: &Value, after: &Value) -> Option<String> {
        if self.timestamps && is_timestamp(before) && is_timestamp(after) {
            return Some("timestamps".to_owned());
        }
        if self.ids && is_id(before) && is_id(after) {
            return Some("ids".to_owned());
        }
        None
    }
}

/// What is ignored in two documents, by JSON Pointer.
#[derive(Debug, Default)]
pub(super) struct Places {
    before: HashMap<String, String>,
    after: HashMap<String, String>,
}

impl Places {
    /// The rule that names this place or one above it. Paths of what is gone are of the first
    /// document.
    pub(super) fn rule(&self, path: &str, gone: bool) -> Option<String> {
        let places = if gone { &self.before } else { &self.after };
        let mut path = path;
        loop {
            if let Some(rule) = places.get(path) {
                return Some(rule.clone());
            }
            path = &path[..path.rfind('/')?];
        }
    }
}

/// A text in the form of RFC 3339.
fn is_timestamp(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() >= 20 && Timestamp::parse(text).is_ok())
}

/// A text that looks as if it was generated to be unique: a UUID, a ULID, at least 16 hexadecimal
/// digits, or one of these behind a short prefix (`order_…`).
fn is_id(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let bare = text.rsplit_once(['_', ':']).map_or(text, |(_, bare)| bare);
    is_uuid(bare) || is_ulid(bare) || (bare.len() >= 16 && is_hex(bare))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12] && parts.into_iter().all(is_hex)
}

fn is_ulid(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric();
    text.len() == 26 && text.bytes().all(letter) && text.bytes().any(|byte| byte.is_ascii_digit())
}
