//! The synchronous path: a request on the ingress, a function's answer.
//!
//! The guest is driven by the task of the request itself until it answers: a quick call needs no
//! other task. What is left after that, the rest of a streamed body and the recording, runs behind
//! the response; it also goes on when the caller goes away, so that every call is recorded.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, Uri, uri};
use http_body_util::BodyExt as _;
use nexus_exec::{Body, Call, CallContext, CallInput, Cancel, Ended, Recording};
use nexus_model::record::{Failure, InvocationRecord, Status, Trigger};
use nexus_model::resource::{RecordPolicy, RouteAuth};
use nexus_model::{Code, InvocationId, OpContext, Principal, Scope, Timestamp};
use tokio::sync::oneshot;

use crate::admission::Slot;
use crate::answer::{Answer, left_of};
use crate::catalog::{Function, Route};
use crate::delivery::Begin;
use crate::host::CallHost;
use crate::loaded::{LoadTimes, Loaded};
use crate::ongoing::{Listed, Ongoing};
use crate::record::{Facts, InputHead, nanos, recording_of, settle_level};
use crate::upload::Upload;
use crate::{Error, Mode, Node, Tasks, guarded, trace};

/// The response header that names the invocation.
pub(crate) const INVOCATION_ID: HeaderName = HeaderName::from_static("nexus-invocation-id");
/// How long a call waits for the recording to keep up before it is refused.
const PRESSURE_PATIENCE: Duration = Duration::from_secs(1);

impl Node {
    /// Answers a request with a function. The response carries `nexus-invocation-id`; its body
    /// streams, and dropping it cancels the guest.
    ///
    /// # Errors
    /// The caller may not call it; a limit strikes; the function gave no answer: the error has the
    /// status of decision 18 and the invocation's id.
    pub async fn serve_http(
        self: &Arc<Self>,
        ctx: OpContext,
        route: &Route,
        request: Request<Body>,
    ) -> Result<Response<Body>, Error> {
        if route.auth() == RouteAuth::Token {
            nexus_policy::authorize(&ctx, Scope::Invoke, Some(route.project()))?;
        }
        let called =
            self.call_http(&ctx, &route.function, Origin::of(Trigger::Http), request).await;
        called.map_err(|error| match self.config.mode {
            Mode::Serve if ctx.principal == Principal::anonymous() => for_strangers(error),
            _ => error,
        })
    }

    /// Runs an HTTP function, whatever its policy says.
    pub(crate) async fn run_http(
        self: &Arc<Self>,
        ctx: &OpContext,
        function: &Arc<Function>,
        origin: Origin,
        request: Request<Body>,
    ) -> Result<Response<Body>, Error> {
        let begun = self.begin(ctx, function, origin).await?;
        let (request, upload) = Upload::watch(absolute(request));
        let input = InputHead::Http {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        };
        let (respond, answer) = oneshot::channel();
        let id = begun.id;
        let head_only = request.method() == http::Method::HEAD;
        let cancel = Cancel::default();
        let durable = begun.loaded.record == RecordPolicy::Durable;
        let call = begun.into_call(self, (CallInput::Http(request), input), Some(respond), &cancel);
        let run = async move {
            let mut finished = call.run().await;
            upload.settle(&mut finished.ended);
            finished
        };
        let driven = Driven::new(run, self.tasks.clone(), cancel.clone());
        let (head, rest) = driven.until_answer(answer).await;
        match head {
            // HTTP gives these to the server, not to what answers behind it.
            Some(response) if response.status().is_informational() => {
                let status = response.status().as_u16();
                let detail = format!("the function answered {status}, which is no final status");
                Err(Error::new(Code::GuestNoAnswer, detail).with_invocation(id))
            }
            Some(response) => {
                let (mut parts, body) = response.into_parts();
                parts.headers.insert(INVOCATION_ID, id_value(id));
                let left = left_of(&parts, head_only);
                let body = Answer { body, cancel: Some(cancel), left, rest: None, held: None };
                Ok(Response::from_parts(parts, body.behind(rest, durable).await?.boxed_unsync()))
            }
            None => Err(rest.failure(id).await),
        }
    }

    /// Everything that a call needs before its input is looked at.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        ctx: &OpContext,
        function: &Arc<Function>,
        origin: Origin,
    ) -> Result<Begun, Error> {
        let started = Instant::now();
        let accepted = self.parts.clock.now();
        if self.is_draining() {
            return Err(Error::new(Code::ShuttingDown, "the server is shutting down"));
        }
        let id: InvocationId = self.parts.mint.mint(function.partition);
        let named = |error: Error| error.with_invocation(id);
        if self.under_pressure.load(Ordering::Relaxed) {
            self.wait_for_recording().await.map_err(named)?;
        }
        let (loaded, load) = self.load(function).await.map_err(named)?;
        let mut timeout = loaded.timeout;
        if let Some(deadline) = ctx.deadline {
            timeout = timeout.min(deadline.since(accepted));
        }
        let waited = Instant::now();
        let slot = match origin.cause {
            None => self.admission.enter(function, timeout).await,
            Some(_) => self.admission.enter_nested(function),
        };
        let slot = slot.map_err(named)?;
        let queue_ns = nanos(waited.elapsed());
        let recording = recording_of(loaded.record, id, self.config.verify_memory);
        Ok(Begun {
            id,
            function: Arc::clone(function),
            loaded,
            load,
            slot,
            origin,
            started,
            accepted,
            timeout,
            queue_ns,
            recording,
            principal: ctx.principal.clone(),
            traceparent: trace::child(ctx.traceparent.as_deref(), id),
            tracestate: ctx.tracestate.clone(),
        })
    }

    async fn wait_for_recording(&self) -> Result<(), Error> {
        let ready = self.parts.log.ready_to_record();
        tokio::time::timeout(PRESSURE_PATIENCE, ready).await.map_err(|_| {
            Error::new(Code::RecordingPressure, "the recording cannot keep up with the calls")
        })
    }
}

/// What set a call off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) trigger: Trigger,
    /// The invocation that called.
    pub(crate) cause: Option<InvocationId>,
    /// How many functions called one another down to this one.
    pub(crate) depth: u32,
    /// How many links led to it.
    pub(crate) chain: u32,
}

impl Origin {
    /// Something that is no function.
    pub(crate) fn of(trigger: Trigger) -> Self {
        Origin { trigger, cause: None, depth: 0, chain: 0 }
    }
}

/// A call that was admitted and has no input yet.
pub(crate) struct Begun {
    pub(crate) id: InvocationId,
    pub(crate) function: Arc<Function>,
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) load: LoadTimes,
    pub(crate) slot: Slot,
    pub(crate) origin: Origin,
    pub(crate) started: Instant,
    pub(crate) accepted: Timestamp,
    pub(crate) timeout: Duration,
    pub(crate) queue_ns: u64,
    pub(crate) recording: Recording,
    pub(crate) principal: nexus_model::Principal,
    pub(crate) traceparent: Arc<str>,
    pub(crate) tracestate: Option<Arc<str>>,
}

impl Begun {
    pub(crate) fn into_call(
        self,
        node: &Arc<Node>,
        (input, head): (CallInput, InputHead),
        respond: Option<oneshot::Sender<Response<Body>>>,
        cancel: &Cancel,
    ) -> Running {
        let deadline = self.accepted.after(self.timeout);
        let facts = Facts {
            id: self.id,
            function: self.function,
            loaded: self.loaded,
            trigger: self.origin.trigger,
            attempt: 1,
            principal: self.principal,
            traceparent: Arc::clone(&self.traceparent),
            tracestate: self.tracestate.clone(),
            ordering_key: String::new(),
            cause_event: None,
            cause_invocation: self.origin.cause,
            depth: self.origin.depth,
            chain: self.origin.chain,
            accepted: self.accepted,
            deadline,
            queue_ns: self.queue_ns,
            load: self.load,
            recording: self.recording,
            input: head,
        };
        let context = CallContext {
            id: self.id,
            project: facts.function.project.clone(),
            function: facts.function.name.clone(),
            version: facts.loaded.version,
            attempt: facts.attempt,
            traceparent: self.traceparent,
            tracestate: self.tracestate,
            accepted: self.accepted,
            deadline,
            depth: self.origin.depth,
        };
        let call = Call {
            context: Arc::new(context),
            input,
            respond,
            timeout: self.timeout,
            started: self.started,
            cancel: cancel.clone(),
            recording: self.recording,
            durable: false,
            resume: None,
            wake: None,
        };
        let begin = Begin::default();
        Running { node: Arc::clone(node), facts, call, slot: self.slot, kept: 0, begin }
    }
}

/// A call that is about to run.
pub(crate) struct Running {
    pub(crate) node: Arc<Node>,
    pub(crate) facts: Facts,
    pub(crate) call: Call,
    pub(crate) slot: Slot,
    /// Pieces of a durable invocation's journal that are on disk.
    pub(crate) kept: u32,
    /// What its effects wait for.
    pub(crate) begin: Begin,
}

/// How a call went, before it is recorded.
pub(crate) struct Finished {
    pub(crate) node: Arc<Node>,
    pub(crate) facts: Facts,
    pub(crate) ended: Ended,
    pub(crate) at: Timestamp,
    /// It is found among those that run until its record is.
    listed: Option<Listed>,
}

/// A record that is to be written.
pub(crate) struct Written {
    pub(crate) node: Arc<Node>,
    loaded: Arc<Loaded>,
    pub(crate) record: InvocationRecord,
    listed: Option<Listed>,
}

impl Running {
    /// Runs the guest to its very end.
    pub(crate) async fn run(self) -> Finished {
        let kept = (self.call.durable, self.kept);
        let host = Arc::new(CallHost::new(&self.node, (&self.facts, self.begin), kept));
        let prepared = Arc::clone(&self.facts.loaded.prepared);
        // The engine knows those that it runs.
        let alone = self.facts.cause_event.is_none();
        let listed = alone.then(|| Ongoing::list(&self.node, &self.facts, &self.call.cancel));
        let mut ended = prepared.invoke(self.call, host).await;
        if let (Some(by), Some(failure)) =
            (listed.as_ref().and_then(Listed::stopped), &mut ended.failure)
            && ended.status == Status::Cancelled
        {
            failure.message = format!("the invocation was cancelled {by}");
        }
        // The slot is free as soon as the guest is gone; recording it takes none.
        drop(self.slot);
        let at = self.node.parts.clock.now();
        Finished { node: self.node, facts: self.facts, ended, at, listed }
    }
}

/// What a caller may want to know of an invocation that gave no answer.
pub(crate) struct Outcome {
    pub(crate) status: Status,
    pub(crate) failure: Option<Failure>,
}

impl Finished {
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome { status: self.ended.status, failure: self.ended.failure.clone() }
    }

    /// The record, complete, with its large parts stored.
    pub(crate) async fn into_record(self) -> Written {
        let mut written = self.record();
        written.node.store_large(&mut written.record).await;
        written
    }

    /// The record, redacted, with its large parts still inside.
    fn record(self) -> Written {
        let loaded = Arc::clone(&self.facts.loaded);
        let function = Arc::clone(&self.facts.function);
        let mut record = self.facts.record(self.ended, self.at);
        let ended = nexus_observe::Ended {
            project: function.project.as_str(),
            function: function.name.as_str(),
            status: record.status(),
            duration: Duration::from_nanos(record.timings.total_ns),
            cold: !record.cold.is_empty(),
        };
        self.node.parts.metrics.invocation_ended(&function.counts.metrics, &ended);
        if let Some(redactor) = &loaded.redactor {
            redactor.apply(&mut record);
        }
        settle_level(&mut record);
        Written { node: self.node, loaded, record, listed: self.listed }
    }

    /// Records it as its function asks for.
    pub(crate) async fn keep(self) -> Result<(), Error> {
        let Written { node, loaded, record, listed: _listed } = self.into_record().await;
        if loaded.record == RecordPolicy::Durable {
            return node.keep_record_durably(record).await;
        }
        node.keep_record(record).await;
        Ok(())
    }

    /// Records it at once where nothing has to be waited for: it costs less than a task. Otherwise
    /// gives what is left to do.
    fn keep_at_once(self) -> Option<impl Future<Output = Result<(), Error>> + Send + 'static> {
        let Written { node, loaded, mut record, listed } = self.record();
        let durable = loaded.record == RecordPolicy::Durable;
        if !durable && crate::record::is_small(&mut record) {
            record = node.try_keep_record(record)?;
        }
        Some(async move {
            let _listed = listed;
            node.store_large(&mut record).await;
            if durable {
                return node.keep_record_durably(record).await;
            }
            node.keep_record(record).await;
            Ok(())
        })
    }
}

pub(crate) type Guest = Pin<Box<dyn Future<Output = Finished> + Send>>;
pub(crate) type Kept = oneshot::Receiver<Result<(), Error>>;

/// A guest that is driven by whoever holds this; when dropped too early it is cancelled and goes on
/// in a task, to its recorded end.
pub(crate) struct Driven {
    guest: Option<Guest>,
    tasks: Tasks,
    cancel: Cancel,
}

impl Drop for Driven {
    fn drop(&mut self) {
        if let Some(guest) = self.guest.take() {
            self.cancel.cancel();
            let _ = go_on(guest, &self.tasks);
        }
    }
}

/// What is left of a call after its answer began.
pub(crate) struct Rest {
    /// How it ended, when that is known already.
    outcome: Option<Outcome>,
    ended: Option<oneshot::Receiver<Outcome>>,
    pub(crate) kept: Kept,
}

fn go_on(guest: Guest, tasks: &Tasks) -> Rest {
    let (tell, ended) = oneshot::channel();
    let (done, kept) = oneshot::channel();
    tasks.work(async move {
        let finished = guest.await;
        let _ = tell.send(finished.outcome());
        let _ = done.send(finished.keep().await);
    });
    Rest { outcome: None, ended: Some(ended), kept }
}

/// Records what ended, at once or in a task.
pub(crate) fn keep(finished: Finished, tasks: &Tasks) -> Rest {
    let (done, kept) = oneshot::channel();
    let outcome = Some(finished.outcome());
    match finished.keep_at_once() {
        None => {
            let _ = done.send(Ok(()));
        }
        Some(left) => {
            tasks.work(async move {
                let _ = done.send(left.await);
            });
        }
    }
    Rest { outcome, ended: None, kept }
}

impl Driven {
    pub(crate) fn new(
        guest: impl Future<Output = Finished> + Send + 'static,
        tasks: Tasks,
        cancel: Cancel,
    ) -> Self {
        Driven { guest: Some(Box::pin(guest)), tasks, cancel }
    }

    /// Drives the guest to its end.
    pub(crate) async fn finished(mut self) -> Option<Finished> {
        let finished = self.guest.as_mut()?.await;
        self.guest = None;
        Some(finished)
    }

    /// Drives the guest until it answers or ends.
    async fn until_answer(
        mut self,
        mut answer: oneshot::Receiver<Response<Body>>,
    ) -> (Option<Response<Body>>, Rest) {
        let step = std::future::poll_fn(|cx| {
            let finished = match self.guest.as_mut().map(|guest| guest.as_mut().poll(cx)) {
                Some(Poll::Ready(finished)) => {
                    self.guest = None;
                    Some(finished)
                }
                _ => None,
            };
            match Pin::new(&mut answer).poll(cx) {
                Poll::Ready(head) => Poll::Ready((head.ok(), finished)),
                Poll::Pending if finished.is_some() => Poll::Ready((None, finished)),
                Poll::Pending => Poll::Pending,
            }
        });
        let (head, finished) = step.await;
        let rest = match (finished, self.guest.take()) {
            (Some(finished), _) => keep(finished, &self.tasks),
            (None, Some(guest)) => go_on(guest, &self.tasks),
            // Not reachable: a guest that is gone has finished.
            (None, None) => Rest { outcome: None, ended: None, kept: oneshot::channel().1 },
        };
        (head, rest)
    }
}

impl Rest {
    /// Why there was no answer.
    async fn failure(self, id: InvocationId) -> Error {
        let outcome = match (self.outcome, self.ended) {
            (Some(outcome), _) => Some(outcome),
            (None, Some(ended)) => ended.await.ok(),
            (None, None) => None,
        };
        match outcome {
            Some(outcome) => guest_error(&outcome, id),
            None => Error::new(Code::Internal, "the invocation was lost").with_invocation(id),
        }
    }
}

/// The error for an invocation without an answer (decision 18).
pub(crate) fn guest_error(outcome: &Outcome, id: InvocationId) -> Error {
    let by_status = match outcome.status {
        Status::Failed => Code::GuestFailed,
        Status::Refused => Code::GuestRefused,
        Status::Trapped => Code::GuestTrapped,
        Status::TimedOut => Code::GuestTimedOut,
        Status::OutOfMemory => Code::GuestOutOfMemory,
        Status::Cancelled => Code::Cancelled,
        Status::Crashed => Code::Crashed,
        Status::Rejected => Code::Overloaded,
        Status::Succeeded
        | Status::Unknown
        | Status::Running
        | Status::Suspended
        | Status::Queued => Code::GuestNoAnswer,
    };
    let stated = outcome.failure.as_ref().and_then(|failure| Code::parse(&failure.code));
    let message = match &outcome.failure {
        Some(failure) if !failure.message.is_empty() => crate::stack::message(&failure.message),
        _ => by_status.title().to_owned(),
    };
    let error = Error::new(stated.unwrap_or(by_status), message)
        .with_hint(format!("see what happened: nexus invocations show {id}"))
        .with_invocation(id);
    match outcome.status {
        Status::Refused => error.for_good(),
        _ => error,
    }
}

/// The error of a call as somebody unknown gets it: what a function says of its own failure may tell
/// of its inside. The invocation's record has it.
fn for_strangers(error: Error) -> Error {
    let code = error.code();
    match error.invocation_id() {
        Some(id) if guarded::is_failure(code) || code == Code::GuestRefused => {
            Error::new(code, code.title()).with_invocation(id)
        }
        _ => error,
    }
}

pub(crate) fn id_value(id: InvocationId) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(id.to_string()))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Gives the request's target scheme and authority, so that the guest and the recording see the
/// same whichever form the client used.
pub(crate) fn absolute(mut request: Request<Body>) -> Request<Body> {
    if request.uri().authority().is_some() {
        return request;
    }
    let host = request.headers().get(http::header::HOST);
    let authority = host.and_then(|host| uri::Authority::try_from(host.as_bytes()).ok());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(uri::Scheme::HTTP);
    parts.authority = Some(authority.unwrap_or_else(|| uri::Authority::from_static("localhost")));
    if parts.path_and_query.is_none() {
        parts.path_and_query = Some(uri::PathAndQuery::from_static("/"));
    }
    *request.uri_mut() =
        Uri::from_parts(parts).unwrap_or_else(|_| Uri::from_static("http://localhost/"));
    request
}
