//! Stable error codes, and the problem document that carries them (RFC 9457).

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $title:literal;)*) => {
        /// A stable error code. Each has a page: `docs/errors/<code>.md`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All codes, for the documentation and its tests.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The printed form, `NX` and four digits. Never changes, never reused.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code,)* }
            }

            /// The HTTP status that goes with it.
            pub const fn http_status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// What happened, in a few words that do not depend on the occasion.
            pub const fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }
        }
    };
}

codes! {
    // 1xxx: what the caller sent.
    /// A request that cannot be parsed or breaks a rule.
    BadRequest = "NX1001", 400, "the request is not valid";
    /// A CloudEvent that breaks a rule of the specification.
    BadEvent = "NX1002", 400, "the CloudEvent is not valid";
    /// A body, batch or resource above its limit.
    TooLarge = "NX1003", 413, "the request is larger than its limit";
    /// A media type that is not accepted here.
    UnsupportedMediaType = "NX1004", 415, "the media type is not accepted here";
    /// A resource whose spec breaks a rule.
    BadResource = "NX1005", 422, "the resource is not valid";
    /// A manifest that cannot be parsed or breaks a rule.
    BadManifest = "NX1006", 422, "the manifest is not valid";
    /// A method that the path does not have.
    MethodNotAllowed = "NX1007", 405, "the method is not allowed here";
    /// A cursor that cannot be followed any more.
    CursorExpired = "NX1008", 410, "the cursor has expired";
    /// A protocol upgrade, which is not supported.
    UpgradeRefused = "NX1009", 501, "protocol upgrades are not supported";
    /// The request came too slowly.
    RequestTimeout = "NX1010", 408, "the request came too slowly";
    /// An event whose data breaks the schema of its type.
    SchemaViolated = "NX1011", 422, "the event breaks its schema";
    /// A new schema that is not compatible with the earlier ones.
    SchemaIncompatible = "NX1012", 409, "the schema is not compatible with its earlier versions";
    /// A request line or header fields above their limit.
    HeadTooLarge = "NX1013", 431, "the head of the request is larger than its limit";

    // 2xxx: who asks.
    /// No token, or one that nobody knows.
    Unauthenticated = "NX2001", 401, "a valid token is needed";
    /// The token lacks a scope or the project.
    Forbidden = "NX2002", 403, "the token does not allow this";
    /// A webhook whose signature is missing, wrong or too old.
    BadSignature = "NX2003", 401, "the signature is not valid";
    /// A request with the cookie of a session that may come from another site.
    CrossSite = "NX2004", 403, "the request may come from another site";
    /// As many sessions or sign-in links as there may be.
    TooManySessions = "NX2005", 429, "too many sessions are open";
    /// A webhook whose signing key is missing or no key.
    KeyUnusable = "NX2006", 503, "the signing key of the webhook cannot be used";

    // 3xxx: what it is about.
    /// Something that does not exist, or that the caller may not know of.
    NotFound = "NX3001", 404, "not found";
    /// A revision that is not the current one, or a name that is taken.
    Conflict = "NX3002", 409, "the resource has changed or exists already";
    /// No route matches the request.
    NoRoute = "NX3003", 404, "no function answers here";
    /// Removed by retention.
    Gone = "NX3004", 410, "it was removed by retention";

    // 4xxx: components and their deployment.
    /// Bytes that are no component of an accepted world.
    BadComponent = "NX4001", 422, "the component cannot be run";
    /// A WASI 0.3 component.
    WasiP3 = "NX4002", 422, "WASI 0.3 components are not supported yet";
    /// The compiler refused it.
    CompileFailed = "NX4003", 422, "the component does not compile";
    /// The build of the source failed.
    BuildFailed = "NX4004", 422, "the build failed";
    /// A tool that the build needs is missing.
    ToolMissing = "NX4005", 422, "a tool is missing";

    // 5xxx: how an invocation went wrong.
    /// The guest trapped.
    GuestTrapped = "NX5001", 502, "the function trapped";
    /// The guest returned a transient error.
    GuestFailed = "NX5002", 502, "the function failed";
    /// The guest returned a permanent error.
    GuestRefused = "NX5003", 422, "the function refused its input";
    /// The deadline struck.
    GuestTimedOut = "NX5004", 504, "the function took longer than its timeout";
    /// The guest needed more memory than its limit.
    GuestOutOfMemory = "NX5005", 502, "the function needed more memory than its limit";
    /// The guest ended without an answer.
    GuestNoAnswer = "NX5006", 502, "the function ended without an answer";
    /// The caller went away or somebody cancelled it.
    Cancelled = "NX5007", 499, "the invocation was cancelled";
    /// A result above its limit.
    OutputTooLarge = "NX5008", 502, "the function's output is larger than its limit";
    /// The node died while it ran.
    Crashed = "NX5009", 502, "the node stopped while the function ran";
    /// The guest asked for an address that it may not reach.
    EgressDenied = "NX5010", 403, "the function may not reach this address";
    /// Functions that call each other more deeply than the limit.
    CallTooDeep = "NX5011", 422, "functions call each other too deeply";
    /// A signal, sleep or wait for something that is not durable, or has ended.
    NotDurable = "NX5012", 409, "the invocation cannot be signalled";
    /// A durable invocation with more journal than its limit.
    JournalTooLarge = "NX5013", 502, "the journal of a durable function is larger than its limit";
    /// A caller that does not wait any longer for an invocation that goes on.
    GoesOn = "NX5014", 504, "the invocation goes on";
    /// Functions and events that lead to one another for longer than the limit.
    ChainTooLong = "NX5015", 422, "functions and events lead to one another without end";

    // 6xxx: limits and load.
    /// All slots taken and the queue full.
    Overloaded = "NX6001", 503, "the server can take no more calls now";
    /// A function's own limit.
    Throttled = "NX6002", 429, "the function's limit is reached";
    /// The recording or the disk cannot keep up.
    RecordingPressure = "NX6003", 503, "the recording cannot keep up";
    /// The server is shutting down.
    ShuttingDown = "NX6004", 503, "the server is shutting down";
    /// The queue of a function or trigger is full.
    QueueFull = "NX6005", 429, "the queue is full";
    /// The function failed too often in a row and is left alone for a while.
    BreakerOpen = "NX6006", 503, "the function is left alone after repeated failures";

    // 7xxx: replay.
    /// The invocation was not recorded well enough.
    NotReplayable = "NX7001", 422, "the invocation cannot be replayed";
    /// The replay differs from the recording.
    Diverged = "NX7002", 409, "the replay differs from the recording";
    /// The journal is damaged.
    BadJournal = "NX7003", 422, "the journal is damaged";
    /// As many debug sessions as a node has room for.
    DebugSessions = "NX7010", 429, "too many debug sessions are open";
    /// A debug session that was closed or was left alone for too long.
    DebugEnded = "NX7011", 410, "the debug session has ended";

    // 9xxx: Nexus itself.
    /// The disk failed or is full.
    Storage = "NX9001", 507, "the storage failed";
    /// The data folder is in use by another server.
    DataLocked = "NX9002", 409, "the data folder is in use";
    /// The data was written by a newer version.
    NewerFormat = "NX9003", 409, "the data was written by a newer version";
    /// Anything else: a defect.
    Internal = "NX9999", 500, "an internal error";
}

impl Code {
    /// The code with this printed form.
    pub fn parse(text: &str) -> Option<Self> {
        Code::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// Whether trying again later, unchanged, may help.
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Code::Overloaded
                | Code::Throttled
                | Code::RecordingPressure
                | Code::ShuttingDown
                | Code::QueueFull
                | Code::BreakerOpen
                | Code::Storage
                | Code::GuestFailed
                | Code::GuestTimedOut
                | Code::Crashed
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Code::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("unknown code '{text}'")))
    }
}

impl schemars::JsonSchema for Code {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Code".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        schemars::json_schema!({ "type": "string", "enum": codes })
    }
}

/// What the API answers when something went wrong: `application/problem+json` (RFC 9457) with the
/// members `code`, `request_id`, `hint` and `invocation_id` beside the standard ones.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// A URI of the code's page.
    #[serde(rename = "type")]
    pub ty: String,
    /// What happened, independent of the occasion.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong this time, and where.
    pub detail: String,
    /// The stable code.
    pub code: Code,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Correlates with the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The invocation that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation_id: Option<crate::InvocationId>,
}

impl Problem {
    /// A problem of this code with what was wrong this time.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Problem {
            ty: format!("/docs/errors/{code}"),
            title: code.title().to_owned(),
            status: code.http_status(),
            detail: detail.into(),
            code,
            hint: None,
            request_id: None,
            invocation_id: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_parse() {
        let mut seen = std::collections::HashSet::new();
        for &code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} twice");
            assert_eq!(Code::parse(code.as_str()), Some(code));
            assert!((400..600).contains(&code.http_status()));
        }
    }
}
