//! `nexus:function/calls`: one function calls another.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use nexus_exec::journal::{Fault, Function, Outcome, hash_arguments};
use nexus_exec::{
    CallError as HostError, CallFailure, FunctionCall, Payload as HostPayload, StartOptions,
    Started,
};
use nexus_model::{Code, InvocationId, limits};
use nexus_wit::calls::{self, Call, CallError, Failure, InvocationState};
use nexus_wit::types::Payload;

use super::operation::{Live, Operation};
use crate::state::State;

// Numbers are part of the journal's format and never reused.
const NOT_FOUND: u8 = 1;
const INVALID: u8 = 2;
const TOO_DEEP: u8 = 3;
const FAILED: u8 = 4;
const UNAVAILABLE: u8 = 5;

impl calls::Host for State {
    async fn invoke(
        &mut self,
        function: String,
        payload: Payload,
    ) -> wasmtime::Result<Result<Payload, CallError>> {
        self.calls += 1;
        let made = self.calls;
        let arguments = hash_calls(&[(&function, &payload)], &[]);
        let operation = Operation { function: Function::Invoke, arguments, text: function.clone() };
        let outcome = self
            .effect(&operation, |live| async move {
                let key = live.key();
                call(&live, (function, payload), key, made).await
            })
            .await?;
        self.result_of(Function::Invoke, outcome)
    }

    async fn invoke_all(
        &mut self,
        calls: Vec<Call>,
    ) -> wasmtime::Result<Vec<Result<Payload, CallError>>> {
        let before = self.calls;
        self.calls += calls.len();
        let named: Vec<_> = calls.iter().map(|call| (&call.function, &call.payload)).collect();
        let arguments = hash_calls(&named, &[]);
        let names: Vec<&str> = calls.iter().map(|call| call.function.as_str()).collect();
        let text = shortened(&names.join(", "));
        let count = calls.len();
        let operation = Operation { function: Function::InvokeAll, arguments, text };
        let outcome = self
            .effect(&operation, |live| async move {
                let live = &live;
                let each = calls.into_iter().enumerate().map(|(index, one)| {
                    let key = format!("{}.{index}", live.key());
                    call(live, (one.function, one.payload), key, before + index + 1)
                });
                let all = futures::stream::iter(each).buffered(limits::CALLS_CONCURRENT_MAX);
                Outcome::Many(all.collect().await)
            })
            .await?;
        match outcome {
            Outcome::Many(outcomes) if outcomes.len() == count => outcomes
                .into_iter()
                .map(|outcome| self.result_of(Function::InvokeAll, outcome))
                .collect(),
            other => Err(self.unexpected(Function::InvokeAll, &other)),
        }
    }

    async fn start(
        &mut self,
        function: String,
        payload: Payload,
        options: calls::StartOptions,
    ) -> wasmtime::Result<Result<String, CallError>> {
        const FUNCTION: Function = Function::Start;
        self.calls += 1;
        let made = self.calls;
        let ordering_key = options.ordering_key.unwrap_or_default();
        let rest: [&[u8]; 2] = [&options.delay_ms.to_le_bytes(), ordering_key.as_bytes()];
        let arguments = hash_calls(&[(&function, &payload)], &rest);
        let operation = Operation { function: FUNCTION, arguments, text: function.clone() };
        let delay = Duration::from_millis(options.delay_ms);
        let options = StartOptions { delay, ordering_key };
        let outcome = self
            .effect(&operation, |live| async move {
                let key = live.key();
                match checked((function, payload), key, made) {
                    Err(fault) => Outcome::Failed(fault),
                    Ok(call) => match live.host.start(&live.context, call, options).await {
                        Ok(id) => Outcome::Texts(vec![id.to_string()]),
                        Err(error) => Outcome::Failed(to_fault(error)),
                    },
                }
            })
            .await?;
        Ok(match outcome {
            Outcome::Texts(ids) => Ok(ids.into_iter().next().unwrap_or_default()),
            Outcome::Failed(fault) => Err(from_fault(fault)),
            other => return Err(self.unexpected(FUNCTION, &other)),
        })
    }

    async fn outcome(
        &mut self,
        invocation: String,
    ) -> wasmtime::Result<Result<InvocationState, CallError>> {
        const FUNCTION: Function = Function::CallOutcome;
        let arguments = hash_arguments(&[invocation.as_bytes()]);
        let text = shortened(&invocation);
        let operation = Operation { function: FUNCTION, arguments, text };
        let outcome = self
            .ask(&operation, |live| async move {
                let Ok(id) = invocation.parse::<InvocationId>() else {
                    let text = format!("'{invocation}' is no id of an invocation");
                    return Outcome::Failed(Fault { code: INVALID, text, number: None });
                };
                match live.host.outcome(&live.context, id).await {
                    Ok(Started::Running) => Outcome::Pending,
                    Ok(Started::Succeeded(payload)) => payload_outcome(payload),
                    Ok(Started::Failed(failure)) => {
                        Outcome::Failed(to_fault(HostError::Failed(failure)))
                    }
                    Err(error) => Outcome::Failed(to_fault(error)),
                }
            })
            .await?;
        Ok(match outcome {
            Outcome::Pending => Ok(InvocationState::Running),
            Outcome::Payload { content_type, data } => {
                Ok(InvocationState::Succeeded(Payload { content_type, data: data.to_vec() }))
            }
            Outcome::Failed(fault) => match from_fault(fault) {
                CallError::Failed(failure) => Ok(InvocationState::Failed(failure)),
                error => Err(error),
            },
            other => return Err(self.unexpected(FUNCTION, &other)),
        })
    }
}

impl State {
    fn result_of(
        &mut self,
        function: Function,
        outcome: Outcome,
    ) -> wasmtime::Result<Result<Payload, CallError>> {
        Ok(match outcome {
            Outcome::Payload { content_type, data } => {
                Ok(Payload { content_type, data: data.to_vec() })
            }
            Outcome::Failed(fault) => Err(from_fault(fault)),
            other => return Err(self.unexpected(function, &other)),
        })
    }
}

async fn call(
    live: &Live,
    (function, payload): (String, Payload),
    key: String,
    made: usize,
) -> Outcome {
    match checked((function, payload), key, made) {
        Err(fault) => Outcome::Failed(fault),
        Ok(call) => match live.host.call(&live.context, call).await {
            Ok(payload) => payload_outcome(payload),
            Err(error) => Outcome::Failed(to_fault(error)),
        },
    }
}

fn checked(
    (function, payload): (String, Payload),
    key: String,
    made: usize,
) -> Result<FunctionCall, Fault> {
    let invalid = |text| Fault { code: INVALID, text, number: None };
    if made > limits::CALLS_MAX {
        let limit = limits::CALLS_MAX;
        return Err(invalid(format!("more than {limit} calls by one invocation")));
    }
    let size = payload.data.len();
    if size > limits::CALL_BYTES_MAX {
        let limit = limits::CALL_BYTES_MAX;
        return Err(invalid(format!("an input of {size} bytes exceeds the limit of {limit}")));
    }
    let payload =
        HostPayload { content_type: payload.content_type, data: Bytes::from(payload.data) };
    Ok(FunctionCall { function, payload, key })
}

fn payload_outcome(payload: HostPayload) -> Outcome {
    Outcome::Payload { content_type: payload.content_type, data: payload.data }
}

fn to_fault(error: HostError) -> Fault {
    let (code, text, number) = match error {
        HostError::NotFound(text) => (NOT_FOUND, text, None),
        HostError::Invalid(text) => (INVALID, text, None),
        HostError::TooDeep(text) => (TOO_DEEP, text, None),
        HostError::Unavailable(text) => (UNAVAILABLE, text, None),
        HostError::Failed(CallFailure { code, message }) => {
            let digits = code.as_str().trim_start_matches(|letter: char| !letter.is_ascii_digit());
            (FAILED, message, digits.parse().ok())
        }
    };
    Fault { code, text, number }
}

fn from_fault(fault: Fault) -> CallError {
    match fault.code {
        NOT_FOUND => CallError::NotFound(fault.text),
        TOO_DEEP => CallError::TooDeep(fault.text),
        UNAVAILABLE => CallError::Unavailable(fault.text),
        FAILED => {
            let code = format!("NX{:04}", fault.number.unwrap_or_default());
            let retryable = Code::parse(&code).is_some_and(Code::retryable);
            CallError::Failed(Failure { code, message: fault.text, retryable })
        }
        _ => CallError::Invalid(fault.text),
    }
}

fn hash_calls(calls: &[(&String, &Payload)], rest: &[&[u8]]) -> u64 {
    let mut parts: Vec<&[u8]> = Vec::with_capacity(calls.len() * 3 + rest.len());
    for (function, payload) in calls {
        parts.extend([function.as_bytes(), payload.content_type.as_bytes(), &payload.data[..]]);
    }
    parts.extend(rest);
    hash_arguments(&parts)
}

/// A text for people; the whole is in the hash.
pub(super) fn shortened(text: &str) -> String {
    const BYTES_MAX: usize = 256;
    match text.len() > BYTES_MAX {
        true => format!("{}…", &text[..text.floor_char_boundary(BYTES_MAX)]),
        false => text.to_owned(),
    }
}
