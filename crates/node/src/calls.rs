//! Functions that call functions of their project.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use nexus_exec::{CallContext, CallError, CallFailure, FunctionCall, Payload, Started};
use nexus_model::record::{EventRecord, InvocationRecord, Status, Trigger};
use nexus_model::{Code, Digest, InvocationId, Name, limits};
use tokio_util::task::AbortOnDropHandle;

use crate::chain::Place;
use crate::host::function_context;
use crate::serve::Origin;
use crate::waited::{Waited, key_of_call};
use crate::{Error, InvokeInput, InvokeOutput, Node, durable};

/// The name of the function that is called, if functions may go so deep.
pub(crate) fn callee(context: &CallContext, function: &str) -> Result<Name, CallError> {
    if context.depth >= limits::CALL_DEPTH_MAX {
        let limit = limits::CALL_DEPTH_MAX;
        let detail = format!("functions have called one another {limit} deep, which is the limit");
        return Err(CallError::TooDeep(detail));
    }
    Name::new(function).map_err(|error| CallError::Invalid(format!("function: {error}")))
}

/// Calls a function and waits for its result. It runs as long as the caller may at most.
pub(crate) async fn call(
    node: &Arc<Node>,
    (context, place): (&CallContext, &Place),
    call: FunctionCall,
) -> Result<Payload, CallError> {
    let name = callee(context, &call.function)?;
    let mut ctx = function_context(context);
    ctx.deadline = Some(context.deadline);
    let origin = Origin {
        trigger: Trigger::Invoke,
        cause: Some(context.id),
        depth: context.depth + 1,
        chain: place.called(),
    };
    let Payload { content_type, data } = call.payload;
    let content_type = (!content_type.is_empty()).then_some(content_type);
    let input = InvokeInput { data, content_type, ..InvokeInput::default() };
    // In a task of its own: functions that call functions would need a deeper stack each time. When
    // the caller is gone, so is the task, and with it the call.
    let (at, project) = (Arc::clone(node), context.project.clone());
    let invoked = node
        .tasks
        .work(async move { at.invoke_from(&ctx, (&project, &name), input, origin).await });
    let lost = |_| CallError::Unavailable("the call was lost".to_owned());
    let output = AbortOnDropHandle::new(invoked).await.map_err(lost)?;
    payload_of(output.map_err(call_error)?)
}

/// The same for a durable caller, which may ask again after a crash: the call is an event with the
/// call's key, and so its function is not run twice.
pub(crate) async fn call_once(
    node: &Arc<Node>,
    (context, place): (&CallContext, &Place),
    call: FunctionCall,
) -> Result<Payload, CallError> {
    let name = callee(context, &call.function)?;
    if node.catalog.function(&context.project, &name).is_none() {
        return Err(CallError::NotFound(format!("function '{name}'")));
    }
    let record = durable::call_event(node, (context, &name), call, String::new())?;
    let record = EventRecord { depth: context.depth + 1, chain: place.called(), ..record };
    let unavailable = |error: String| CallError::Unavailable(error);
    let engine = node.engine().map_err(|error| unavailable(error.to_string()))?;
    let fresh = record.event_id().ok_or_else(|| unavailable("it has no id".to_owned()))?;
    let waiter = node.waiters.wait(fresh);
    let accepted = engine.accept(vec![record]).await;
    let accepted = accepted.map_err(|error| unavailable(error.to_string()))?;
    let accepted = accepted.first().ok_or_else(|| unavailable("it was lost".to_owned()))?;
    let mut waited = Waited { waiter, key: key_of_call(&context.project, &name, accepted.id) };
    // It does nothing but wait: others may run in its place.
    let _lent = engine.lend().await;
    match node.end_of_waited(&mut waited).await {
        Ok(output) => payload_of(output),
        // Nobody knows yet what comes of it. The journal must not say that it failed: the caller is
        // taken down with the server, and asks again when it goes on.
        Err(error) if error.code() == Code::ShuttingDown => {
            node.taken_down.add(context.id);
            std::future::pending().await
        }
        Err(error) => Err(call_error(error)),
    }
}

fn payload_of(output: InvokeOutput) -> Result<Payload, CallError> {
    match output.http_status {
        Some(status @ 400..) => {
            let code = match status {
                408 | 425 | 429 | 500.. => Code::GuestFailed,
                _ => Code::GuestRefused,
            };
            let message = format!("the function answered {status}");
            Err(CallError::Failed(CallFailure { code, message }))
        }
        _ => {
            let stated = output.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let content_type = stated.map_or(output.content_type, str::to_owned);
            Ok(Payload { content_type, data: output.body })
        }
    }
}

fn call_error(error: Error) -> CallError {
    let message = error.detail().to_owned();
    match error.code() {
        Code::NotFound | Code::NoRoute => CallError::NotFound(message),
        Code::BadRequest | Code::TooLarge => CallError::Invalid(message),
        Code::Overloaded | Code::Throttled | Code::RecordingPressure | Code::ShuttingDown => {
            CallError::Unavailable(message)
        }
        code => CallError::Failed(CallFailure { code, message }),
    }
}

/// What became of an invocation of the caller's project.
pub(crate) async fn outcome(
    node: &Node,
    context: &CallContext,
    id: InvocationId,
) -> Result<Started, CallError> {
    let id = match durable::ended(node, context, id).await? {
        Some(None) => return Ok(Started::Running),
        Some(Some(last)) => last,
        None => id,
    };
    let unavailable = |error: Error| CallError::Unavailable(error.detail().to_owned());
    let ended = node.parts.log.invocation(id).await.map_err(|error| unavailable(error.into()))?;
    let found = match ended {
        Some(record) => Some(record),
        // It may have been cancelled before it began.
        None => node.unbegun(id).await.map_err(unavailable)?,
    };
    let missing = || CallError::NotFound(format!("invocation {id}"));
    let record = found.filter(|record| record.meta.project == context.project.as_str());
    let record = record.ok_or_else(missing)?;
    match record.status() {
        Status::Running | Status::Suspended | Status::Queued => Ok(Started::Running),
        Status::Succeeded => Ok(Started::Succeeded(result(node, record).await?)),
        status => {
            let failure = record.failure.unwrap_or_default();
            let code = Code::parse(&failure.code).unwrap_or(Code::GuestFailed);
            let message = match failure.message.is_empty() {
                true => status.word().to_owned(),
                false => failure.message,
            };
            Ok(Started::Failed(CallFailure { code, message }))
        }
    }
}

async fn result(node: &Node, record: InvocationRecord) -> Result<Payload, CallError> {
    let gone = || CallError::NotFound("the result of the invocation was not kept".to_owned());
    let output = record.output.ok_or_else(gone)?;
    let body = output.body.unwrap_or_default();
    if body.dropped {
        return Err(gone());
    }
    let data = match Digest::try_from(&body.blob[..]) {
        Err(_) => body.inline,
        Ok(digest) => {
            let found = node.blob(digest).await;
            found.map_err(|error| CallError::Unavailable(error.detail().to_owned()))?
        }
    };
    Ok(Payload { content_type: output.content_type, data: Bytes::clone(&data) })
}
