//! Direct calls of a function of any world, through the API and the command line.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt as _;
use nexus_exec::{Body, BodyError, CallInput, Cancel, Ended, Recording, full_body};
use nexus_model::record::{Status, StoredEvent, Trigger};
use nexus_model::resource::{RecordPolicy, World};
use nexus_model::{Code, Event, InvocationId, Name, OpContext, Scope, limits};

use crate::catalog::{Current, Function};
use crate::record::InputHead;
use crate::serve::{Begun, Driven, INVOCATION_ID, Origin, guest_error, keep};
use crate::{Error, InvokeInput, InvokeOutput, Node};

/// The type of the event that a direct call of an event function makes.
const EVENT_TYPE: &str = "dev.nexus.invoke";
/// Its source.
const EVENT_SOURCE: &str = "/nexus/invoke";

impl Node {
    /// Calls a function and waits for its result: an HTTP function with a request, an event function
    /// with an event that is in no log, a command with its standard input.
    ///
    /// # Errors
    /// The function does not exist; the caller may not call it; a limit strikes; it did not succeed:
    /// the error has the invocation's id.
    pub async fn invoke(
        self: &Arc<Self>,
        ctx: &OpContext,
        project: &Name,
        function: &Name,
        input: InvokeInput,
    ) -> Result<InvokeOutput, Error> {
        self.invoke_from(ctx, (project, function), input, Origin::of(Trigger::Invoke)).await
    }

    /// The same for a function that calls.
    pub(crate) async fn invoke_from(
        self: &Arc<Self>,
        ctx: &OpContext,
        (project, function): (&Name, &Name),
        input: InvokeInput,
        origin: Origin,
    ) -> Result<InvokeOutput, Error> {
        nexus_policy::authorize(ctx, Scope::Invoke, Some(project))?;
        if input.data.len() > limits::REQUEST_BODY_BYTES_MAX {
            return Err(Error::new(
                Code::TooLarge,
                format!(
                    "the input has {} bytes, the limit is {}",
                    input.data.len(),
                    limits::REQUEST_BODY_BYTES_MAX
                ),
            ));
        }
        let found = self.catalog.function(project, function);
        let mut found = found.ok_or_else(|| self.no_function(project, function))?;
        if let Some(selector) = &input.version {
            found = self.as_version(&found, selector).await?;
        }
        match found.calls.is_some() && !found.durable && !is_http(&found) {
            true => Box::pin(self.invoke_guarded((ctx, origin), &found, input)).await,
            false => self.invoke_as_is((ctx, origin), &found, input).await,
        }
    }

    /// A function as if a version of any age were live, for one call: it is read and mapped for it.
    async fn as_version(
        &self,
        function: &Arc<Function>,
        selector: &str,
    ) -> Result<Arc<Function>, Error> {
        let resource = self.function_resource(&function.project, &function.name).await?;
        let spec = self.select_version(&function.project, &resource, selector).await?;
        let version = Current::of(&spec);
        if function.current == Some(version) {
            return Ok(Arc::clone(function));
        }
        if spec.config.durable {
            let detail = "a durable call goes on for as long as it takes, with the live version";
            return Err(Error::new(Code::BadRequest, detail).with_hint(format!(
                "let it live: nexus rollback {} --to {selector}",
                function.name
            )));
        }
        self.compiled(version.code()).await?;
        Ok(Arc::new(function.with_version(version)))
    }

    /// Calls a function in the way of its world. A policy for values is not looked at: the callers
    /// of this have done it.
    pub(crate) async fn invoke_as_is(
        self: &Arc<Self>,
        (ctx, origin): (&OpContext, Origin),
        function: &Arc<Function>,
        input: InvokeInput,
    ) -> Result<InvokeOutput, Error> {
        if function.durable {
            return self.invoke_durable((ctx, origin), function, input).await;
        }
        match is_http(function) {
            true => self.invoke_http(ctx, function, input, origin).await,
            false => self.invoke_value(ctx, function, input, origin).await,
        }
    }

    async fn invoke_http(
        self: &Arc<Self>,
        ctx: &OpContext,
        function: &Arc<Function>,
        input: InvokeInput,
        origin: Origin,
    ) -> Result<InvokeOutput, Error> {
        let request = request_of(function, &input)?;
        let mut response = self.call_http(ctx, function, origin, request).await?;
        let id = response.headers_mut().remove(INVOCATION_ID);
        let invocation: InvocationId = id
            .and_then(|id| id.to_str().ok()?.parse().ok())
            .ok_or_else(|| Error::new(Code::Internal, "an invocation has no id"))?;
        http_output(invocation, response).await
    }

    pub(crate) async fn invoke_value(
        self: &Arc<Self>,
        ctx: &OpContext,
        function: &Arc<Function>,
        input: InvokeInput,
        origin: Origin,
    ) -> Result<InvokeOutput, Error> {
        let begun = self.begin(ctx, function, origin).await?;
        let id = begun.id;
        let input = value_input(&begun, input)?;
        let cancel = Cancel::default();
        let mut running = begun.into_call(self, input, None, &cancel);
        // The caller wants the result, whatever the recording keeps of it.
        if running.call.recording == Recording::RowOnly {
            running.call.recording = Recording::Full;
        }
        let durable = running.facts.loaded.record == RecordPolicy::Durable;
        let node = Arc::clone(self);
        let guest = async move {
            let mut finished = running.run().await;
            node.send_returned(&mut finished).await;
            finished
        };
        let driven = Driven::new(guest, self.tasks.clone(), cancel);
        let lost = || Error::new(Code::Internal, "the invocation was lost").with_invocation(id);
        let finished = driven.finished().await.ok_or_else(lost)?;
        let output = output_of(&finished.ended, id).map_err(|error| match finished.ended.status {
            Status::Succeeded => error,
            _ => guest_error(&finished.outcome(), id),
        });
        let rest = keep(finished, &self.tasks);
        if durable {
            rest.kept.await.map_err(|_| lost())??;
        }
        output
    }
}

fn is_http(function: &Function) -> bool {
    function.current.is_some_and(|at| at.world == World::Http)
}

/// The request that a direct call of an HTTP function is.
pub(crate) fn request_of(function: &Function, input: &InvokeInput) -> Result<Request<Body>, Error> {
    let path = input.path.as_deref().unwrap_or("/");
    let bad = |error: http::Error| Error::new(Code::BadRequest, format!("path '{path}': {error}"));
    let host = format!("{}.localhost", function.project);
    let mut request = Request::builder()
        .method(input.method.clone().unwrap_or(Method::POST))
        .uri(format!("http://{host}{path}"))
        .body(full_body(input.data.clone()))
        .map_err(bad)?;
    let headers = request.headers_mut();
    headers.extend(input.headers.clone());
    if let Ok(host) = HeaderValue::from_str(&host) {
        headers.entry(http::header::HOST).or_insert(host);
    }
    headers.insert(http::header::CONTENT_LENGTH, input.data.len().into());
    if !input.data.is_empty()
        && let Ok(content_type) = HeaderValue::from_str(&content_type(input))
    {
        headers.entry(CONTENT_TYPE).or_insert(content_type);
    }
    Ok(request)
}

/// An answer as the result of a direct call.
pub(crate) async fn http_output(
    invocation: InvocationId,
    response: Response<Body>,
) -> Result<InvokeOutput, Error> {
    let (parts, body) = response.into_parts();
    let body = whole(body).await.map_err(|error| error.with_invocation(invocation))?;
    let text = |at: &HeaderValue| at.to_str().unwrap_or_default().to_owned();
    Ok(InvokeOutput {
        invocation,
        status: Status::Succeeded,
        http_status: Some(parts.status.as_u16()),
        content_type: parts.headers.get(CONTENT_TYPE).map(text).unwrap_or_default(),
        headers: parts.headers,
        body,
        events: Vec::new(),
    })
}

/// Reads a whole answer of at most [`limits::OUTPUT_BYTES_MAX`].
async fn whole(body: Body) -> Result<Bytes, Error> {
    let limit = limits::OUTPUT_BYTES_MAX;
    let read = collect(body, limit).await.map_err(|error| {
        Error::new(Code::GuestTrapped, "the function broke off its answer").with_source(error)
    })?;
    read.ok_or_else(|| {
        let detail = format!("the answer is larger than {limit} bytes");
        Error::new(Code::OutputTooLarge, detail)
    })
}

/// The whole of a body; `None` where it has more than `limit` bytes.
pub(crate) async fn collect(mut body: Body, limit: usize) -> Result<Option<Bytes>, BodyError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Some(bytes.freeze()))
}

fn value_input(begun: &Begun, input: InvokeInput) -> Result<(CallInput, InputHead), Error> {
    if begun.loaded.world == World::Command {
        let arguments = input.arguments.clone();
        let head = InputHead::Command { arguments: arguments.clone() };
        return Ok((CallInput::Command { arguments, stdin: input.data }, head));
    }
    let mut event = Event::new(begun.id.to_string(), EVENT_SOURCE, EVENT_TYPE);
    event.time = Some(begun.accepted);
    if !input.data.is_empty() {
        event.datacontenttype = Some(content_type(&input));
        event.data = Some(input.data);
    }
    let invalid = |error| {
        Error::new(Code::BadRequest, format!("the input makes no event: {error}"))
            .with_invocation(begun.id)
    };
    event.validate().map_err(invalid)?;
    Ok((CallInput::Event(event.clone()), InputHead::Event(event)))
}

/// What the caller says, or what the bytes look like.
pub(crate) fn content_type(input: &InvokeInput) -> String {
    if let Some(stated) = &input.content_type {
        return stated.clone();
    }
    let guess = if serde_json::from_slice::<serde::de::IgnoredAny>(&input.data).is_ok() {
        "application/json"
    } else if std::str::from_utf8(&input.data).is_ok() {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    };
    guess.to_owned()
}

pub(crate) fn output_of(ended: &Ended, id: InvocationId) -> Result<InvokeOutput, Error> {
    if ended.status != Status::Succeeded {
        return Err(Error::new(Code::GuestFailed, "it did not succeed").with_invocation(id));
    }
    if ended.output.dropped {
        return Err(Error::new(
            Code::OutputTooLarge,
            format!(
                "the result has {} bytes, the limit is {}",
                ended.output.size,
                limits::RECORD_BODY_BYTES_MAX
            ),
        )
        .with_invocation(id));
    }
    Ok(InvokeOutput {
        invocation: id,
        status: ended.status,
        http_status: None,
        headers: HeaderMap::new(),
        content_type: ended.content_type.clone(),
        body: Bytes::clone(&ended.output.bytes),
        events: ended.events.iter().map(StoredEvent::to_event).collect(),
    })
}
