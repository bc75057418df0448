//! Schemas of event types: JSON Schema 2020-12 without references to the outside.

mod compatibility;
mod containment;
mod infer;
mod shape;

use jsonschema::{Draft, PatternOptions, Validator};
use nexus_model::limits;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use compatibility::{Compatibility, Direction, Incompatibility, incompatibilities};
pub use infer::Inference;

use crate::Content;

/// A regular expression of a schema may take so much memory when it is compiled, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Up to so many values all errors are looked for; in larger data only the first one.
const ALL_ERRORS_VALUES_MAX: usize = 10_000;

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    document: Value,
    validator: Validator,
}

/// Why a document is not a usable schema.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SchemaError {
    /// It is larger than allowed.
    #[error("the schema has {size} bytes, the limit is {limit}", limit = limits::SCHEMA_BYTES_MAX)]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// It is nested more deeply than allowed.
    #[error("{at}: the schema has more than {limit} levels", limit = limits::SCHEMA_DEPTH_MAX)]
    TooDeep {
        /// The place as a JSON pointer.
        at: String,
    },
    /// A part is wrong or not allowed.
    #[error("{at}: {reason}")]
    Wrong {
        /// The place as a JSON pointer.
        at: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// One value could be checked against too many parts.
    #[error("{at}: its references multiply: one value could be checked more than {limit} times", limit = limits::SCHEMA_STEPS_MAX)]
    TooManySteps {
        /// The place as a JSON pointer.
        at: String,
    },
}

/// One way in which data breaks a schema.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Violation {
    /// The place in the data as a JSON pointer; empty for the whole.
    pub path: String,
    /// What is wrong there. It does not quote the data.
    pub message: String,
}

impl Schema {
    /// Checks and compiles a schema.
    ///
    /// Not allowed: `$schema` of another draft, `$ref` to anything outside the document, `$id` below
    /// the root, `$dynamicRef`. Formats are checked. Patterns are regular expressions that run in
    /// linear time: no look-around, no back references.
    ///
    /// # Errors
    /// The first part that is wrong, with its place.
    pub fn compile(document: &Value) -> Result<Self, SchemaError> {
        let size = document.to_string().len();
        if size > limits::SCHEMA_BYTES_MAX {
            return Err(SchemaError::TooLarge { size });
        }
        shape::check(document)?;
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX);
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .with_pattern_options(patterns)
            .offline()
            .build(document)
            .map_err(|error| SchemaError::Wrong {
                at: shape::place(error.instance_path().as_str()),
                reason: error.to_string(),
            })?;
        Ok(Schema { document: document.clone(), validator })
    }

    /// The schema as written.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// What breaks the schema, at most [`limits::SCHEMA_ERRORS_MAX`] ways; of large data only the
    /// first. Empty when the value is valid.
    pub fn violations(&self, value: &Value) -> Vec<Violation> {
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        let most = match count(value, ALL_ERRORS_VALUES_MAX) {
            ALL_ERRORS_VALUES_MAX => 1,
            _ => limits::SCHEMA_ERRORS_MAX,
        };
        let violation = |error: jsonschema::ValidationError<'_>| Violation {
            path: error.instance_path().as_str().to_owned(),
            // A masked message says "value" where the data stood.
            message: error.masked().to_string(),
        };
        match most {
            1 => self.validator.validate(value).err().map(violation).into_iter().collect(),
            most => self.validator.iter_errors(value).take(most).map(violation).collect(),
        }
    }

    /// The same for an event's data. Data that is missing or no JSON breaks every schema.
    pub fn check(&self, content: &Content<'_>) -> Vec<Violation> {
        match content.json() {
            Some(json) => self.violations(json),
            None => {
                let message = match content.data() {
                    Some(_) => "the data is not JSON",
                    None => "the event has no data",
                };
                vec![Violation { path: String::new(), message: message.to_owned() }]
            }
        }
    }
}

/// The number of values inside a value, itself included; no more than `most` are counted.
fn count(value: &Value, most: usize) -> usize {
    let mut counted = 0;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        counted += 1;
        if counted == most {
            break;
        }
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            _ => {}
        }
    }
    counted
}
