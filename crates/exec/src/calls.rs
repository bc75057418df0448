//! One function calls another.

use std::time::Duration;

use nexus_model::Code;

use crate::Payload;

/// A call of a function of the same project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionCall {
    /// The function's name.
    pub function: String,
    /// Its input: the body of a request, the data of an event, standard input.
    pub payload: Payload,
    /// Names this call for ever (invocation and operation): the same key is the same call.
    pub key: String,
}

/// How an invocation is started that nobody waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// It begins this much later.
    pub delay: Duration,
    /// Orders it behind others of the same key, if not empty.
    pub ordering_key: String,
}

/// What became of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// It has not ended: it waits, runs or sleeps.
    Running,
    /// Its result.
    Succeeded(Payload),
    /// It ended without success, and is not tried again.
    Failed(CallFailure),
}

/// How far an invocation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// 0 to 100, where it can be said.
    pub percent: Option<u8>,
    /// For people; at most `limits::PROGRESS_BYTES_MAX`.
    pub message: String,
}

/// How a called function failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} {message}")]
pub struct CallFailure {
    /// The stable code. Whether trying again may help follows from it.
    pub code: Code,
    /// For people.
    pub message: String,
}

/// Why a call gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No such function or invocation.
    #[error("{0}")]
    NotFound(String),
    /// A name, payload or option breaks a rule or a limit.
    #[error("{0}")]
    Invalid(String),
    /// Functions have called one another too deeply (`limits::CALL_DEPTH_MAX`).
    #[error("{0}")]
    TooDeep(String),
    /// The function ran and did not succeed.
    #[error(transparent)]
    Failed(CallFailure),
    /// It cannot be called now; trying again later may help.
    #[error("{0}")]
    Unavailable(String),
}
