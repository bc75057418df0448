//! Synchronous calls of functions that have a breaker, a fallback or a cache of results. Functions
//! without these never come here.
//!
//! ```text
//! request ─► cached? ─ yes ─────────────────────────────────► answer, `nexus-cache: hit`
//!              │ no
//!              ▼
//!           breaker open? ─ yes ─► fallback? ─ yes ─► its answer, `nexus-fallback: NAME`
//!              │ no                   └─ no ─► NX6006
//!              ▼
//!           call ─ failed ─► fallback? …
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use nexus_exec::{Body, BodyError, full_body};
use nexus_model::record::{InvocationRecord, Level, Meta, Output, Status, Trigger};
use nexus_model::resource::World;
use nexus_model::{Code, InvocationId, OpContext, Timestamp, limits};

use crate::cache_key::RequestFacts;
use crate::call_policy::{CallPolicy, Verdict};
use crate::catalog::Function;
use crate::record::bytes_of;
use crate::result_cache::{Kept, ResultCache, ResultKey};
use crate::serve::{INVOCATION_ID, Origin, id_value};
use crate::{Error, InvokeInput, InvokeOutput, Node};

/// Says that a result was kept from an earlier call.
const CACHE: HeaderName = HeaderName::from_static("nexus-cache");
/// Names the function that answered in the place of the one that was called.
pub(crate) const FALLBACK: HeaderName = HeaderName::from_static("nexus-fallback");

impl Node {
    /// A call of an HTTP function, with everything that its policy says.
    pub(crate) async fn call_http(
        self: &Arc<Self>,
        ctx: &OpContext,
        function: &Arc<Function>,
        origin: Origin,
        request: Request<Body>,
    ) -> Result<Response<Body>, Error> {
        match &function.calls {
            // The engine keeps the policy of what it runs.
            _ if function.durable => self.serve_durable((ctx, origin), function, request).await,
            None => self.run_http(ctx, function, origin, request).await,
            Some(policy) => {
                // Rare enough to be kept out of the size of every call.
                let call = Guarded { node: self, ctx, function, policy, origin };
                Box::pin(call.run(request)).await
            }
        }
    }
}

impl Node {
    /// A direct call of a function that takes values, with everything that its policy says.
    pub(crate) async fn invoke_guarded(
        self: &Arc<Self>,
        (ctx, origin): (&OpContext, Origin),
        function: &Arc<Function>,
        input: InvokeInput,
    ) -> Result<InvokeOutput, Error> {
        let Some(policy) = &function.calls else {
            return self.invoke_value(ctx, function, input, origin).await;
        };
        let now = self.parts.clock.now();
        let key = value_key(function, policy, &input);
        if let Some(kept) = key.as_ref().and_then(|key| self.results.get(key, now)) {
            let id: InvocationId = self.parts.mint.mint(function.partition);
            let record = cached_record(function, (ctx, Trigger::Invoke), (id, now), &kept);
            self.keep_record(record).await;
            return Ok(kept_output(id, kept));
        }
        if let Some(breaker) = &policy.breaker
            && let Verdict::Open(until) = breaker.ask(now)
        {
            return match self.invoke_fallback((ctx, origin, function), policy, input).await {
                Some(answered) => answered,
                None => Err(breaker_open(function, (breaker.failures(), until), now)),
            };
        }
        let again = policy.fallback.is_some().then(|| input.clone());
        let answered = self.invoke_value(ctx, function, input, origin).await;
        let failed = answered.as_ref().is_err_and(|error| is_failure(error.code()));
        if let Some(breaker) = policy.breaker.as_ref().filter(|_| failed || answered.is_ok()) {
            breaker.ended(!failed, self.parts.clock.now());
        }
        if failed
            && let Some(input) = again
            && let Some(other) = self.invoke_fallback((ctx, origin, function), policy, input).await
        {
            return other;
        }
        if let (Ok(output), Some(key), Some(cache)) = (&answered, key, &policy.cache)
            && output.events.is_empty()
        {
            let until = self.parts.clock.now().after(cache.age);
            self.results.put(key, kept_value(output, until));
        }
        answered
    }

    /// The answer of the fallback; `None` where there is none to ask.
    async fn invoke_fallback(
        self: &Arc<Self>,
        (ctx, origin, function): (&OpContext, Origin, &Arc<Function>),
        policy: &CallPolicy,
        input: InvokeInput,
    ) -> Option<Result<InvokeOutput, Error>> {
        let name = policy.fallback.as_ref()?;
        let other = self.catalog.function(&function.project, name)?;
        // A fallback with a fallback could lead back here.
        let ends = other.calls.as_ref().is_none_or(|calls| calls.fallback.is_none());
        if !ends || other.name == function.name {
            return None;
        }
        let answered = self.invoke_as_is((ctx, origin), &other, input).await;
        Some(answered.map(|mut output| {
            if let Ok(value) = HeaderValue::from_str(name.as_str()) {
                output.headers.insert(FALLBACK, value);
            }
            output
        }))
    }
}

fn value_key(function: &Function, policy: &CallPolicy, input: &InvokeInput) -> Option<ResultKey> {
    let cache = policy.cache.as_ref()?;
    let facts = RequestFacts {
        method: &http::Method::POST,
        uri: &http::Uri::from_static("/"),
        headers: &input.headers,
        body: &input.data,
    };
    Some(ResultKey { version: function.current?.version, text: cache.key.key(&facts)?.into() })
}

/// A result without an HTTP status.
fn kept_value(output: &InvokeOutput, until: Timestamp) -> Kept {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&output.content_type) {
        headers.insert(http::header::CONTENT_TYPE, value);
    }
    Kept { invocation: output.invocation, status: 0, headers, body: output.body.clone(), until }
}

fn kept_output(id: InvocationId, kept: Kept) -> InvokeOutput {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let content_type = kept.headers.get(http::header::CONTENT_TYPE).map(text);
    InvokeOutput {
        invocation: id,
        status: Status::Succeeded,
        http_status: None,
        headers: HeaderMap::from_iter([(CACHE, HeaderValue::from_static("hit"))]),
        content_type: content_type.unwrap_or_default(),
        body: kept.body,
        events: Vec::new(),
    }
}

/// A call with its policy.
struct Guarded<'a> {
    node: &'a Arc<Node>,
    ctx: &'a OpContext,
    function: &'a Arc<Function>,
    policy: &'a CallPolicy,
    origin: Origin,
}

impl Guarded<'_> {
    async fn run(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let (request, copy) = self.copied(request).await?;
        let key = self.key(&request, copy.as_ref());
        if let Some(key) = &key {
            let now = self.node.parts.clock.now();
            if let Some(kept) = self.node.results.get(key, now) {
                return Ok(self.cached(kept, now).await);
            }
        }
        if let Some(breaker) = &self.policy.breaker
            && let Verdict::Open(until) = breaker.ask(self.node.parts.clock.now())
        {
            return self.fall_back(request).await.unwrap_or_else(|| Err(self.open(until)));
        }
        let again = copy.and_then(|body| again(&request, body));
        let answered = self.node.run_http(self.ctx, self.function, self.origin, request).await;
        let failed = match &answered {
            Ok(response) => response.status().is_server_error(),
            Err(error) => is_failure(error.code()),
        };
        if let Some(breaker) = &self.policy.breaker {
            let counts = failed || answered.is_ok();
            if counts {
                breaker.ended(!failed, self.node.parts.clock.now());
            }
        }
        if failed
            && let Some(request) = again
            && let Some(other) = self.fall_back(request).await
        {
            return other;
        }
        match key {
            Some(key) => answered.map(|response| self.keep(key, response)),
            None => answered,
        }
    }

    /// The request, and its body where something needs it twice and it is small enough.
    async fn copied(
        &self,
        request: Request<Body>,
    ) -> Result<(Request<Body>, Option<Bytes>), Error> {
        let data = self.policy.cache.as_ref().is_some_and(|cache| cache.key.needs_data());
        if !data && self.policy.fallback.is_none() {
            return Ok((request, None));
        }
        let size = request.body().size_hint().exact();
        let limit = limits::RESULT_CACHE_ITEM_BYTES_MAX as u64;
        if size.is_none_or(|size| size > limit) {
            return Ok((request, None));
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| {
            Error::new(Code::BadRequest, "the request body broke off").with_source(error)
        })?;
        let body = body.to_bytes();
        Ok((Request::from_parts(head, full_body(body.clone())), Some(body)))
    }

    fn key(&self, request: &Request<Body>, body: Option<&Bytes>) -> Option<ResultKey> {
        let cache = self.policy.cache.as_ref()?;
        if cache.key.needs_data() && body.is_none() {
            return None;
        }
        let version = self.function.current?.version;
        let facts = RequestFacts {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            body: body.map_or(&[][..], |body| body),
        };
        Some(ResultKey { version, text: cache.key.key(&facts)?.into() })
    }

    /// The answer of the fallback function; `None` where there is none to ask.
    async fn fall_back(&self, request: Request<Body>) -> Option<Result<Response<Body>, Error>> {
        let name = self.policy.fallback.as_ref()?;
        let other = self.node.catalog.function(&self.function.project, name)?;
        // Only what answers requests can stand in for what answers requests.
        let http = other.current.is_some_and(|at| at.world == World::Http);
        if !http || other.name == self.function.name {
            return None;
        }
        let answered = match other.durable {
            true => self.node.serve_durable((self.ctx, self.origin), &other, request).await,
            false => self.node.run_http(self.ctx, &other, self.origin, request).await,
        };
        Some(answered.map(|mut response| {
            if let Ok(value) = HeaderValue::from_str(name.as_str()) {
                response.headers_mut().insert(FALLBACK, value);
            }
            response
        }))
    }

    fn open(&self, until: Timestamp) -> Error {
        let failures = self.policy.breaker.as_ref().map_or(0, |breaker| breaker.failures());
        breaker_open(self.function, (failures, until), self.node.parts.clock.now())
    }

    /// Keeps a good answer as it goes out.
    fn keep(&self, key: ResultKey, mut response: Response<Body>) -> Response<Body> {
        let Some(cache) = &self.policy.cache else { return response };
        let limit = limits::RESULT_CACHE_ITEM_BYTES_MAX as u64;
        let size = response.body().size_hint();
        let invocation = response.headers().get(INVOCATION_ID);
        let invocation = invocation.and_then(|id| id.to_str().ok()?.parse().ok());
        let forbidden = response.headers().get_all(http::header::CACHE_CONTROL).iter();
        let forbidden = forbidden.filter_map(|value| value.to_str().ok()).any(|value| {
            value.split(',').any(|word| matches!(word.trim(), "no-store" | "private"))
        });
        let Some(invocation) = invocation
            .filter(|_| response.status().is_success() && size.lower() <= limit && !forbidden)
        else {
            return response;
        };
        response.headers_mut().insert(CACHE, HeaderValue::from_static("miss"));
        let (head, body) = response.into_parts();
        let kept = Kept {
            invocation,
            status: head.status.as_u16(),
            headers: head.headers.clone(),
            body: Bytes::new(),
            until: self.node.parts.clock.now().after(cache.age),
        };
        let node = Arc::clone(self.node);
        let length = head.headers.get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let (copy, keep) = (Some(BytesMut::new()), Some((node, key, kept)));
        let body = Copying { body, length, copy, keep };
        Response::from_parts(head, body.boxed_unsync())
    }

    async fn cached(&self, kept: Kept, now: Timestamp) -> Response<Body> {
        let id: InvocationId = self.node.parts.mint.mint(self.function.partition);
        let record =
            cached_record(self.function, (self.ctx, self.origin.trigger), (id, now), &kept);
        self.node.keep_record(record).await;
        let mut response = Response::new(full_body(kept.body));
        *response.status_mut() = http::StatusCode::from_u16(kept.status).unwrap_or_default();
        *response.headers_mut() = kept.headers;
        response.headers_mut().insert(CACHE, HeaderValue::from_static("hit"));
        response.headers_mut().insert(INVOCATION_ID, id_value(id));
        response
    }
}

/// The record of a call that a kept result answered.
pub(crate) fn cached_record(
    function: &Function,
    (ctx, trigger): (&OpContext, Trigger),
    (id, now): (InvocationId, Timestamp),
    kept: &Kept,
) -> InvocationRecord {
    let version = function.current.map(|at| bytes_of(at.version.as_bytes())).unwrap_or_default();
    let mut record = InvocationRecord {
        id: bytes_of(id.as_bytes()),
        meta: Meta {
            project: function.project.to_string(),
            principal: ctx.principal.to_string(),
            traceparent: crate::trace::child(ctx.traceparent.as_deref(), id).to_string(),
            tracestate: ctx.tracestate.as_deref().unwrap_or_default().to_owned(),
            ..Meta::default()
        },
        function: function.name.to_string(),
        version,
        attempt: 1,
        accepted_ns: now.unix_ns(),
        ended_ns: now.unix_ns(),
        output: Some(Output { http_status: kept.status.into(), ..Output::default() }),
        not_replayable: format!("the result of {} was kept", kept.invocation),
        cached_from: bytes_of(kept.invocation.as_bytes()),
        ..InvocationRecord::default()
    };
    record.set_trigger(trigger);
    record.set_status(Status::Succeeded);
    record.set_level(Level::None);
    record
}

/// The error for a function that is left alone.
pub(crate) fn breaker_open(
    function: &Function,
    (failures, until): (u32, Timestamp),
    now: Timestamp,
) -> Error {
    Error::new(
        Code::BreakerOpen,
        format!("function '{}' failed {failures} times in a row", function.name),
    )
    .with_hint("one call tries it again afterwards; see why: nexus invocations --status failed")
    .with_retry_after(until.since(now))
}

/// Whether an error says that the function failed, and not that it was not even called.
pub(crate) fn is_failure(code: Code) -> bool {
    matches!(
        code,
        Code::GuestFailed
            | Code::GuestTrapped
            | Code::GuestTimedOut
            | Code::GuestOutOfMemory
            | Code::GuestNoAnswer
            | Code::OutputTooLarge
            | Code::Crashed
    )
}

/// The same request once more.
fn again(request: &Request<Body>, body: Bytes) -> Option<Request<Body>> {
    let mut copy = Request::new(full_body(body));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = HeaderMap::clone(request.headers());
    Some(copy)
}

/// A body that is copied while it is read, and kept when it ended well.
struct Copying {
    body: Body,
    /// Its length, where it is stated.
    length: Option<usize>,
    /// `None` once it is known that it will not be kept.
    copy: Option<BytesMut>,
    keep: Option<(Arc<Node>, ResultKey, Kept)>,
}

impl Copying {
    fn finish(&mut self) {
        if let (Some(copy), Some((node, key, kept))) = (self.copy.take(), self.keep.take()) {
            let results: &ResultCache = &node.results;
            results.put(key, Kept { body: copy.freeze(), ..kept });
        }
    }
}

impl http_body::Body for Copying {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Ready(None) => self.finish(),
            Poll::Ready(Some(Ok(piece))) => {
                let limit = limits::RESULT_CACHE_ITEM_BYTES_MAX;
                match (piece.data_ref(), &mut self.copy) {
                    (Some(data), Some(copy)) if copy.len() + data.len() <= limit => {
                        copy.extend_from_slice(data);
                    }
                    // Too large, or trailers, which are not kept.
                    _ => self.copy = None,
                }
                // Who knows the length reads no further than that.
                let copied = self.copy.as_ref().map(BytesMut::len);
                if self.body.is_end_stream() || (copied.is_some() && copied == self.length) {
                    self.finish();
                }
            }
            Poll::Ready(Some(Err(_))) => self.copy = None,
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
