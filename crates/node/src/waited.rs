//! Durable invocations that somebody waits for: accepted like an event, run by the engine, answered
//! when they have ended. Whoever waits may go away or give up; the invocation goes on.
//!
//! ```text
//! request ─► event on disk ─► engine runs, sleeps, goes on … ─► end on disk ─► answer
//!                 └──────────── waits, at most RESULT_WAIT_MAX ────────────┘
//!                                                     └─ NX5014, with the invocation
//! ```
//!
//! Where nothing is in the way the engine runs it at once, and its event is on disk with what is
//! recorded of it first: [`nexus_engine::Engine::call`].

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use nexus_engine::{DeliveryKey, Ended, INVOKE_TYPE};
use nexus_exec::{Body, full_body};
use nexus_model::record::{Body as StoredBody, DeliveryDecision, Status, StoredEvent};
use nexus_model::resource::World;
use nexus_model::units::exact_duration;
use nexus_model::{Code, Event, EventId, InvocationId, Name, OpContext, limits};

use crate::bodies::Lost;
use crate::catalog::Function;
use crate::deferred::{INVOKE_SOURCE, output_of};
use crate::delivery::request::{REQUEST_MEDIA_TYPE, REQUEST_SOURCE, to_bytes};
use crate::emit::{Cause, Targeted};
use crate::invoke::{collect, content_type, request_of};
use crate::record::bytes_of;
use crate::serve::{INVOCATION_ID, Origin, Outcome, absolute, guest_error, id_value};
use crate::waiters::Waiter;
use crate::words::because;
use crate::{Error, InvokeInput, InvokeOutput, Node, redact};

/// A future with a name: functions that call functions make futures that hold themselves.
type Answered<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A delivery that was accepted and is waited for.
pub(crate) struct Waited {
    pub(crate) waiter: Waiter,
    pub(crate) key: DeliveryKey,
}

impl Waited {
    /// The invocation of its first attempt.
    fn id(&self) -> InvocationId {
        InvocationId::from_bytes(*self.key.event.as_bytes())
    }
}

impl Node {
    /// Answers a request with a durable function.
    pub(crate) fn serve_durable<'a>(
        self: &'a Arc<Self>,
        from: (&'a OpContext, Origin),
        function: &'a Function,
        request: Request<Body>,
    ) -> Answered<'a, Response<Body>> {
        Box::pin(async move { self.answer_durable(from, function, request).await.map(response_of) })
    }

    /// Calls a durable function and waits for its end: it is the engine's from the beginning.
    pub(crate) fn invoke_durable<'a>(
        self: &'a Arc<Self>,
        from: (&'a OpContext, Origin),
        function: &'a Function,
        input: InvokeInput,
    ) -> Answered<'a, InvokeOutput> {
        Box::pin(self.value_durable(from, function, input))
    }

    async fn value_durable(
        self: &Arc<Self>,
        (ctx, origin): (&OpContext, Origin),
        function: &Function,
        input: InvokeInput,
    ) -> Result<InvokeOutput, Error> {
        if function.current.is_some_and(|at| at.world == World::Http) {
            let request = request_of(function, &input)?;
            return self.answer_durable((ctx, origin), function, request).await;
        }
        if input.method.is_some() || input.path.is_some() || !input.arguments.is_empty() {
            return Err(Error::new(
                Code::BadRequest,
                "method, path and arguments are not for durable functions of this kind",
            )
            .with_hint("its input is an event: send what it needs as data"));
        }
        let id: EventId = self.parts.mint.mint(function.partition);
        let named = InvocationId::from_bytes(*id.as_bytes()).to_string();
        let mut event = Event::new(named, INVOKE_SOURCE, INVOKE_TYPE);
        event.time = Some(self.parts.clock.now());
        if !input.data.is_empty() {
            event.datacontenttype = Some(content_type(&input));
            event.data = Some(input.data);
        }
        event.validate().map_err(|error| Error::new(Code::BadRequest, error.to_string()))?;
        let stored = StoredEvent::from(&event);
        let waited = self.accept_waited((ctx, origin), function, (id, stored)).await?;
        self.end_within(ctx, origin, waited).await
    }

    async fn answer_durable(
        self: &Arc<Self>,
        (ctx, origin): (&OpContext, Origin),
        function: &Function,
        request: Request<Body>,
    ) -> Result<InvokeOutput, Error> {
        let (head, body) = absolute(request).into_parts();
        let limit = limits::DURABLE_HTTP_BYTES_MAX;
        let body = collect(body, limit).await.map_err(|error| {
            Error::new(Code::BadRequest, "the request body broke off").with_source(error)
        })?;
        let body = body.ok_or_else(|| {
            let detail = format!("a request to a durable function has at most {limit} bytes");
            Error::new(Code::TooLarge, detail)
        })?;
        let bytes = to_bytes(&Request::from_parts(head, body));
        let id: EventId = self.parts.mint.mint(function.partition);
        let named = InvocationId::from_bytes(*id.as_bytes()).to_string();
        let mut event = Event::new(named, REQUEST_SOURCE, INVOKE_TYPE);
        event.time = Some(self.parts.clock.now());
        event.datacontenttype = Some(REQUEST_MEDIA_TYPE.to_owned());
        event.data = Some(Bytes::new());
        let mut stored = StoredEvent::from(&event);
        stored.data = Some(self.stored_body(bytes).await?);
        let waited = self.accept_waited((ctx, origin), function, (id, stored)).await?;
        self.end_within(ctx, origin, waited).await
    }

    /// Bytes for a record: inside it, or in the blob store where they are many.
    pub(crate) async fn stored_body(&self, bytes: Bytes) -> Result<StoredBody, Error> {
        if bytes.len() <= limits::RECORD_INLINE_BYTES_MAX {
            return Ok(StoredBody::inline(bytes));
        }
        let size = bytes.len() as u64;
        let digest = self.parts.blobs.put(bytes).await?;
        Ok(StoredBody { blob: bytes_of(digest.as_bytes()), size, ..StoredBody::default() })
    }

    async fn accept_waited(
        &self,
        (ctx, origin): (&OpContext, Origin),
        function: &Function,
        (id, event): (EventId, StoredEvent),
    ) -> Result<Waited, Error> {
        if self.is_draining() {
            return Err(Error::new(Code::ShuttingDown, "the server is shutting down"));
        }
        let waiter = self.waiters.wait(id);
        let targeted = Targeted {
            id,
            event,
            target: function.name.to_string(),
            trigger: String::new(),
            cause: Cause { invocation: origin.cause, depth: origin.depth, chain: origin.chain },
        };
        let accepted = match origin.cause {
            // Not inside of the one that calls: it would be one more on its stack.
            Some(_) => self.accept_targeted((ctx, &function.project), targeted).await?,
            None => self.call_targeted((ctx, function), targeted).await?,
        };
        let key = key_of_call(&function.project, &function.name, accepted.id);
        Ok(Waited { waiter, key })
    }

    async fn end_within(
        &self,
        ctx: &OpContext,
        origin: Origin,
        mut waited: Waited,
    ) -> Result<InvokeOutput, Error> {
        let mut patience = limits::RESULT_WAIT_MAX;
        if let Some(deadline) = ctx.deadline {
            patience = patience.min(deadline.since(self.parts.clock.now()));
        }
        // A function that waits for another one gives its slot to those that it waits for.
        let _lent = match origin.cause {
            Some(_) => Some(self.engine()?.lend().await),
            None => None,
        };
        let id = waited.id();
        match tokio::time::timeout(patience, self.end_of_waited(&mut waited)).await {
            // To be asked to try again would make another invocation of it.
            Ok(Err(error)) if error.code() == Code::ShuttingDown => Err(Error::new(
                Code::GoesOn,
                "the server is shutting down, the invocation goes on when it is back",
            )
            .with_hint(format!("nexus result {id} --wait"))
            .with_invocation(id)),
            Ok(ended) => ended.map_err(|error| match error.invocation_id() {
                Some(_) => error,
                None => error.with_invocation(id),
            }),
            Err(_) => Err(self.goes_on(&waited, patience).await),
        }
    }

    async fn goes_on(&self, waited: &Waited, patience: Duration) -> Error {
        let id = waited.id();
        let why = match self.engine() {
            Ok(engine) => engine.why(waited.key.clone()).await.ok().flatten(),
            Err(_) => None,
        };
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let waited = exact_duration(Duration::from_secs(patience.as_secs()));
        Error::new(
            Code::GoesOn,
            format!("the invocation goes on, its caller has waited for {waited}{why}"),
        )
        .with_hint(format!("nexus result {id} --wait"))
        .with_invocation(id)
    }

    /// What a delivery came to.
    pub(crate) async fn end_of_waited(&self, waited: &mut Waited) -> Result<InvokeOutput, Error> {
        let engine = self.engine()?;
        // Of a success the attempt itself tells; of everything else the engine does.
        let ended = tokio::select! {
            biased;
            output = waited.waiter.kept() => return Ok(output),
            ended = engine.wait_ended(waited.key.clone()) => ended?,
        };
        let key = &waited.key;
        let project =
            Name::new(&key.project).map_err(|error| Error::internal("read a name", error))?;
        let last = match ended {
            Some(Ended {
                decision: None | Some(DeliveryDecision::Reported), invocation, ..
            }) => {
                if let Some(output) = waited.waiter.take() {
                    return Ok(output);
                }
                invocation
            }
            Some(Ended { decision, invocation: None, reason, attempts }) => {
                let last = match attempts {
                    0 => None,
                    _ => self.last_attempt(&project, key.event).await?,
                };
                if last.is_none() {
                    let id = waited.id();
                    return Err(without_attempt(decision, &reason)
                        .with_hint(format!("see what became of it: nexus why {id}")));
                }
                last
            }
            Some(Ended { invocation, .. }) => invocation,
            // It ended long ago: its attempts are in the log.
            None => self.last_attempt(&project, key.event).await?,
        };
        self.kept_result(&project, last.unwrap_or(waited.id())).await
    }

    /// The result that the record of an invocation holds, for those who called it.
    async fn kept_result(&self, project: &Name, id: InvocationId) -> Result<InvokeOutput, Error> {
        let missing = || self.missing(format_args!("invocation {id}"), id.time());
        let mut record = self.parts.log.invocation(id).await?.ok_or_else(missing)?;
        if record.status() != Status::Succeeded {
            let outcome = Outcome { status: record.status(), failure: record.failure.clone() };
            return Err(guest_error(&outcome, id));
        }
        self.fetch_bodies(&mut record, Lost::Fails).await?;
        if redact::is_sealed(&record) {
            let key = self.replay_key(project, false).await?;
            redact::unseal(&mut record, &key).map_err(|error| {
                Error::new(Code::Gone, format!("the result of invocation {id}: {error}"))
                    .with_source(error)
            })?;
        }
        output_of(id, record)
    }
}

/// What a call came to that somebody, or the engine, ended before an attempt or between two.
fn without_attempt(decision: Option<DeliveryDecision>, reason: &str) -> Error {
    let because = because(reason);
    match decision {
        Some(DeliveryDecision::Cancelled) => {
            Error::new(Code::Cancelled, format!("it was cancelled{because}"))
        }
        Some(DeliveryDecision::Duplicate) => {
            Error::new(Code::Conflict, format!("it counts as handled{because}"))
        }
        Some(DeliveryDecision::FellBack) => {
            Error::new(Code::GuestFailed, format!("it went to its fallback function{because}"))
        }
        _ => Error::new(Code::GuestFailed, format!("it was given up{because}")),
    }
}

/// What was kept of an HTTP answer, as one again.
fn response_of(output: InvokeOutput) -> Response<Body> {
    let mut response = Response::new(full_body(output.body));
    let status = output.http_status.and_then(|status| StatusCode::from_u16(status).ok());
    *response.status_mut() = status.unwrap_or(StatusCode::OK);
    *response.headers_mut() = output.headers;
    let headers = response.headers_mut();
    if let Ok(media_type) = HeaderValue::from_str(&output.content_type)
        && !output.content_type.is_empty()
    {
        headers.entry(CONTENT_TYPE).or_insert(media_type);
    }
    headers.insert(INVOCATION_ID, id_value(output.invocation));
    response
}

/// The delivery of an event to its target.
pub(crate) fn key_of_call(project: &Name, function: &Name, event: EventId) -> DeliveryKey {
    DeliveryKey {
        event,
        project: project.as_str().into(),
        function: function.as_str().into(),
        trigger: "".into(),
    }
}
