//! A case: a recorded invocation as a test, in a file that people read, edit and commit.
//!
//! It holds what went in, what the world answered, and what came of it, and nothing of the version
//! that was recorded: any version of the function can be held against it, anywhere.

mod content;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use content::Content;

use crate::record::Status;
use crate::view::{CompareRules, VersionRef};
use crate::{InvocationId, Name, Timestamp};

/// The form of case files that this build writes; it reads those up to it.
pub const CASE_FORMAT: u32 = 1;

/// A recorded invocation as a test.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Case {
    /// The form of the file: 1.
    pub nexus_case: u32,
    /// The function that it tests.
    pub function: Name,
    /// Where it comes from.
    pub recorded: Origin,
    /// What does not matter when a version is held against it.
    #[serde(default)]
    pub rules: CompareRules,
    /// Places whose values were replaced by `[redacted]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
    /// What went in.
    pub input: CaseInput,
    /// What the world answered.
    pub world: CaseWorld,
    /// What came of it.
    pub expect: CaseEnd,
}

/// Where a case comes from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Origin {
    /// The invocation.
    pub invocation: InvocationId,
    /// Its project.
    pub project: Name,
    /// The version that ran.
    pub version: VersionRef,
    /// When it was accepted.
    pub accepted: Timestamp,
}

/// What went in.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CaseInput {
    /// An HTTP request.
    Request(CaseRequest),
    /// An event.
    Event(CaseEvent),
    /// A command's arguments and standard input.
    Command(CaseCommand),
}

/// An HTTP request.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaseRequest {
    /// The method.
    pub method: String,
    /// `http` or `https`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scheme: String,
    /// Host and port.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Header fields in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Field>,
    /// The body.
    #[serde(default, skip_serializing_if = "Content::is_empty")]
    pub body: Content,
    /// Trailer fields in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trailers: Vec<Field>,
}

/// A command's arguments and standard input.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaseCommand {
    /// The arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Standard input.
    #[serde(default, skip_serializing_if = "Content::is_empty")]
    pub stdin: Content,
}

/// A header field.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Field {
    /// The name, in lowercase.
    pub name: String,
    /// The value.
    pub value: Content,
}

/// An event. One that a function returned may lack what it gets when it is sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CaseEvent {
    /// `id`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// `source`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// `type`.
    #[serde(rename = "type")]
    pub ty: String,
    /// `subject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `time`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// `datacontenttype`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// `dataschema`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataschema: Option<String>,
    /// Extension attributes: texts, integers and booleans.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub extensions: serde_json::Map<String, Value>,
    /// The data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Content>,
}

/// What the world answered, and what the guest sees of time and chance.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaseWorld {
    /// The attempt, from 1.
    pub attempt: u32,
    /// W3C `traceparent`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub traceparent: String,
    /// From which all random values of the guest follow: 64 hexadecimal digits.
    pub seed: String,
    /// Whether it is a durable invocation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub durable: bool,
    /// The wall clock when the guest was called, in nanoseconds since the Unix epoch.
    pub started_ns: i64,
    /// When it was to be stopped, in nanoseconds since the Unix epoch.
    pub deadline_ns: i64,
    /// Readings of the wall clock, in nanoseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wall_ns: Vec<i64>,
    /// Readings of the monotonic clock, in nanoseconds since the guest was called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub monotonic_ns: Vec<i64>,
    /// Readings of the deadline, in nanoseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deadlines_ns: Vec<i64>,
    /// What the guest finds in the place of each secret, by the name of the secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// Signals and ends of waits, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<CaseSignal>,
    /// What the function asked of the world, in order, with the answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<CaseEffect>,
}

/// A signal, or the end of the wait for it.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaseSignal {
    /// Its name.
    pub name: String,
    /// What came.
    pub answer: Answer,
}

/// Something that the function asked of the world.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaseEffect {
    /// Its place among the operations.
    pub operation: u32,
    /// The host function, as WIT names it.
    pub function: String,
    /// What it was aimed at.
    pub target: String,
    /// The arguments.
    #[serde(default)]
    pub details: Value,
    /// What came back.
    pub answer: Answer,
    /// The operation in which the guest had the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<u32>,
    /// The guest left the rest of the answer unread: nobody knows it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// What came back from the world.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was done.
    Done,
    /// A number.
    Number(u64),
    /// A moment or duration in nanoseconds.
    ClockNs(i64),
    /// Bytes.
    Bytes(Content),
    /// Nothing came.
    Pending,
    /// The end.
    Closed,
    /// A failure.
    Failed(CaseFault),
    /// An HTTP response.
    Response(CaseResponse),
    /// Texts, such as ids of events.
    Texts(Vec<String>),
    /// A result.
    Payload(CasePayload),
    /// Several results.
    Many(Vec<Answer>),
    /// Stored values.
    Items(Vec<CaseItem>),
}

/// A failure as the guest sees it.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaseFault {
    /// Which error of the function.
    pub code: u8,
    /// Its text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Its number, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
}

/// An HTTP response.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaseResponse {
    /// The status.
    pub status: u16,
    /// Header fields in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Field>,
    /// The body.
    #[serde(default, skip_serializing_if = "Content::is_empty")]
    pub body: Content,
    /// Trailer fields in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trailers: Vec<Field>,
}

/// Bytes with their media type.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CasePayload {
    /// The media type.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    /// The bytes.
    #[serde(default, skip_serializing_if = "Content::is_empty")]
    pub data: Content,
}

/// A stored value.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaseItem {
    /// Its key; empty where the arguments name it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Its version.
    pub version: u64,
    /// The value.
    #[serde(default, skip_serializing_if = "Content::is_empty")]
    pub value: Content,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaseEnd {
    /// How it ended.
    pub status: Status,
    /// Why it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<CaseFailure>,
    /// The HTTP status, 0 where there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub http_status: u16,
    /// Response headers in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Field>,
    /// Response body, result or standard output.
    #[serde(default, skip_serializing_if = "Content::is_empty")]
    pub body: Content,
    /// The length of a body that was too long to be kept; only that is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_size: Option<u64>,
    /// Response trailers in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trailers: Vec<Field>,
    /// The media type of a result.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    /// Events that it returned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<CaseEvent>,
    /// A command's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What it logged; it counts where the rules say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<CaseLog>,
}

/// Why it did not succeed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaseFailure {
    /// The code.
    pub code: String,
    /// What happened.
    pub message: String,
}

/// A log line.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CaseLog {
    /// Its level, where it has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub level: String,
    /// Its text.
    pub text: String,
    /// Its fields as JSON, where it has any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fields: String,
}

fn is_zero(number: &u16) -> bool {
    *number == 0
}

/// Why a file is no case.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// It is not JSON, or lacks something.
    #[error("it is no case file: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// A later build wrote it.
    #[error("it has form {found}; this build reads up to {CASE_FORMAT}")]
    Newer {
        /// Its form.
        found: u32,
    },
}

impl Case {
    /// Reads a case file.
    ///
    /// # Errors
    /// It is not JSON, lacks something, has a field that is not known, or a later build wrote it.
    pub fn read(bytes: &[u8]) -> Result<Self, CaseError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Head {
            nexus_case: u32,
        }
        let head: Head = serde_json::from_slice(bytes)?;
        if head.nexus_case == 0 || head.nexus_case > CASE_FORMAT {
            return Err(CaseError::Newer { found: head.nexus_case });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The file's text, which ends with a line break.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_forms_are_refused_by_name() {
        let table = [
            ("", "it is no case file"),
            ("[]", "it is no case file"),
            ("{}", "missing field `nexus-case`"),
            (r#"{"nexus-case": 2}"#, "it has form 2; this build reads up to 1"),
            (r#"{"nexus-case": 1}"#, "missing field `function`"),
            (r#"{"nexus-case": 1, "fun": 1}"#, "unknown field `fun`"),
        ];
        for (text, expected) in table {
            let error = Case::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
