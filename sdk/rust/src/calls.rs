//! Calling other functions of the project.

use std::time::Duration;

use crate::bindings::nexus::function::calls as host;
use crate::bindings::nexus::function::types::Payload;
use crate::{Error, FromData, ToData};

/// Why a call gave no result. By `?` it becomes an [`Error`] that is as permanent as the cause.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallError {
    /// No such function or invocation.
    NotFound(String),
    /// A name, input or option breaks a rule or a limit.
    Invalid(String),
    /// Functions have called one another too deeply.
    TooDeep(String),
    /// The function ran and did not succeed.
    Failed {
        /// A stable code, `NX5003`.
        code: String,
        /// For people.
        message: String,
        /// Whether trying again may help.
        retryable: bool,
    },
    /// It cannot be called now; a retry may help.
    Unavailable(String),
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotFound(text) | CallError::Invalid(text) | CallError::TooDeep(text) => {
                Error::Permanent(text)
            }
            CallError::Failed { code, message, retryable: true } => {
                Error::Transient(format!("{code} {message}"))
            }
            CallError::Failed { code, message, .. } => {
                Error::Permanent(format!("{code} {message}"))
            }
            CallError::Unavailable(text) => Error::Transient(text),
        }
    }
}

/// Calls a function and waits for its result. In a durable function it runs once, whatever happens
/// to the caller.
pub fn call<R: FromData>(function: &str, input: &impl ToData) -> Result<R, Error> {
    let payload = payload(input)?;
    let result = host::invoke(function, &payload).map_err(CallError::from)?;
    R::from_data(result.data)
}

/// Calls several functions, some at the same time. Gives their results in the order of the calls;
/// one that fails does not stop the others.
pub fn call_all<R: FromData>(
    calls: impl IntoIterator<Item = (impl Into<String>, impl ToData)>,
) -> Result<Vec<Result<R, Error>>, Error> {
    let call = |(function, input): (_, _)| {
        let function: String = Into::into(function);
        Ok(host::Call { function, payload: payload(&input)? })
    };
    let calls: Vec<_> = calls.into_iter().map(call).collect::<Result<_, Error>>()?;
    let results = host::invoke_all(&calls).into_iter();
    let result = |result: Result<Payload, host::CallError>| match result {
        Ok(payload) => R::from_data(payload.data),
        Err(error) => Err(CallError::from(error).into()),
    };
    Ok(results.map(result).collect())
}

/// An invocation that is started and not waited for: [`start`].
#[derive(Clone, Debug)]
#[must_use = "nothing is started before `.now()`"]
pub struct Start {
    function: String,
    payload: Result<Payload, Error>,
    options: host::StartOptions,
}

/// Prepares to start an invocation of a function: `start("resize", &image).after(hour).now()?`.
pub fn start(function: impl Into<String>, input: &impl ToData) -> Start {
    Start {
        function: function.into(),
        payload: payload(input),
        options: host::StartOptions { delay_ms: 0, ordering_key: None },
    }
}

impl Start {
    /// It begins so much later.
    pub fn after(mut self, delay: Duration) -> Self {
        self.options.delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// It waits for others of the same key that were started before.
    pub fn ordered_by(mut self, key: impl Into<String>) -> Self {
        self.options.ordering_key = Some(key.into());
        self
    }

    /// Starts it: durable when this returns. Gives its id (`inv_…`).
    pub fn now(self) -> Result<String, Error> {
        let started = host::start(&self.function, &self.payload?, &self.options);
        Ok(started.map_err(CallError::from)?)
    }
}

/// What became of an invocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State<R> {
    /// It waits, runs or sleeps.
    Running,
    /// Its result.
    Succeeded(R),
    /// It ended without success, and is not tried again.
    Failed(CallError),
}

/// What became of an invocation that was started.
pub fn outcome<R: FromData>(invocation: &str) -> Result<State<R>, Error> {
    Ok(match host::outcome(invocation).map_err(CallError::from)? {
        host::InvocationState::Running => State::Running,
        host::InvocationState::Succeeded(payload) => State::Succeeded(R::from_data(payload.data)?),
        host::InvocationState::Failed(failure) => State::Failed(failed(failure)),
    })
}

fn payload(input: &impl ToData) -> Result<Payload, Error> {
    let (data, content_type) = input.to_data()?;
    Ok(Payload { content_type: content_type.to_owned(), data })
}

fn failed(failure: host::Failure) -> CallError {
    let host::Failure { code, message, retryable } = failure;
    CallError::Failed { code, message, retryable }
}

impl From<host::CallError> for CallError {
    fn from(error: host::CallError) -> Self {
        match error {
            host::CallError::NotFound(text) => CallError::NotFound(text),
            host::CallError::Invalid(text) => CallError::Invalid(text),
            host::CallError::TooDeep(text) => CallError::TooDeep(text),
            host::CallError::Failed(failure) => failed(failure),
            host::CallError::Unavailable(text) => CallError::Unavailable(text),
        }
    }
}
