//! What a guest may do to the world: the only implementation of [`nexus_exec::Host`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use async_trait::async_trait;
use http::{Request, Response};
use nexus_exec::{
    Body, CallContext, CallError, EmitError, FunctionCall, Host, HttpError, HttpTimeouts, Keyed,
    Payload, Piece, Progress, Signal, StartOptions, Started, StateAppend, StateError, StateKey,
    StateScan, StateWrite, Unavailable,
};
use nexus_model::{Code, Event, EventId, InvocationId, OpContext, Principal, Scope, limits};
use tokio::sync::Semaphore;

use crate::chain::Place;
use crate::delivery::Begin;
use crate::emit::Cause;
use crate::loaded::Loaded;
use crate::record::Facts;
use crate::{Error, Node, calls, durable, state};

/// The world as one invocation sees it, with what it has used of its limits.
pub(crate) struct CallHost {
    pub(crate) node: Arc<Node>,
    pub(crate) loaded: Arc<Loaded>,
    requests: AtomicUsize,
    concurrent: Semaphore,
    events: AtomicUsize,
    /// Whether it may be repeated from its journal.
    pub(crate) durable: bool,
    /// Pieces of the journal that were kept.
    pub(crate) pieces: AtomicU32,
    place: Place,
    begin: Begin,
}

impl CallHost {
    /// `kept` pieces of its journal are on disk.
    pub(crate) fn new(
        node: &Arc<Node>,
        (facts, begin): (&Facts, Begin),
        (durable, kept): (bool, u32),
    ) -> Self {
        CallHost {
            node: Arc::clone(node),
            loaded: Arc::clone(&facts.loaded),
            requests: AtomicUsize::new(0),
            concurrent: Semaphore::new(limits::OUTBOUND_CONCURRENT_MAX),
            events: AtomicUsize::new(0),
            durable,
            pieces: AtomicU32::new(kept),
            place: Place::of(facts),
            begin,
        }
    }

    /// Nothing happens outside of an attempt whose begin is not on disk.
    async fn begun(&self) -> Result<(), String> {
        self.begin.on_disk().await.map_err(|lost| lost.to_string())
    }
}

#[async_trait]
impl Host for CallHost {
    async fn http(
        &self,
        context: &CallContext,
        mut request: Request<Body>,
        timeouts: HttpTimeouts,
    ) -> Result<Response<Body>, HttpError> {
        if self.requests.fetch_add(1, Ordering::Relaxed) >= limits::OUTBOUND_REQUESTS_MAX {
            return Err(HttpError::Limit(format!(
                "more than {} outbound requests in one invocation",
                limits::OUTBOUND_REQUESTS_MAX
            )));
        }
        let _slot = self.concurrent.try_acquire().map_err(|_| {
            HttpError::Limit(format!(
                "more than {} outbound requests at the same time",
                limits::OUTBOUND_CONCURRENT_MAX
            ))
        })?;
        // Added on the way out, below the journal: the recorded request is what the guest sent.
        if !request.headers().contains_key("traceparent")
            && let Ok(value) = context.traceparent.parse()
        {
            request.headers_mut().insert("traceparent", value);
            if !request.headers().contains_key("tracestate")
                && let Some(Ok(state)) = context.tracestate.as_ref().map(|state| state.parse())
            {
                request.headers_mut().insert("tracestate", state);
            }
        }
        self.begun().await.map_err(HttpError::Broken)?;
        self.node.outbound.send(&self.loaded.egress, request, timeouts).await
    }

    async fn emit(
        &self,
        context: &CallContext,
        events: Vec<Event>,
    ) -> Result<Vec<EventId>, EmitError> {
        let before = self.events.fetch_add(events.len(), Ordering::Relaxed);
        if before + events.len() > limits::EMITTED_EVENTS_MAX {
            return Err(EmitError::Invalid(format!(
                "more than {} events in one invocation",
                limits::EMITTED_EVENTS_MAX
            )));
        }
        self.begun().await.map_err(EmitError::Unavailable)?;
        let name = |index| format!("{}-{}", context.id, before + index);
        let accepted = self.node.emit_from((context, &self.place), events, name).await;
        let accepted = accepted.map_err(|error| match error.code().retryable() {
            true => EmitError::Unavailable(error.detail().to_owned()),
            // The guest has no other place to find the code.
            false if error.code() == Code::ChainTooLong => {
                EmitError::Invalid(format!("{}: {}", error.code(), error.detail()))
            }
            false => EmitError::Invalid(error.detail().to_owned()),
        })?;
        Ok(accepted.events.into_iter().map(|event| event.id).collect())
    }

    fn progress(&self, context: &CallContext, progress: Progress) {
        durable::progress(self, context, progress);
    }

    async fn persist(&self, context: &CallContext, piece: Piece) -> Result<(), Unavailable> {
        self.begin.on_disk().await?;
        durable::persist(self, context, piece).await
    }

    async fn signal(
        &self,
        context: &CallContext,
        name: &str,
    ) -> Result<Option<Signal>, Unavailable> {
        // Before that its signals wait for its event.
        self.begin.on_disk().await?;
        durable::signal(self, context, name).await
    }

    async fn call(&self, context: &CallContext, call: FunctionCall) -> Result<Payload, CallError> {
        self.begun().await.map_err(CallError::Unavailable)?;
        match self.durable {
            true => calls::call_once(&self.node, (context, &self.place), call).await,
            false => calls::call(&self.node, (context, &self.place), call).await,
        }
    }

    async fn start(
        &self,
        context: &CallContext,
        call: FunctionCall,
        options: StartOptions,
    ) -> Result<InvocationId, CallError> {
        self.begun().await.map_err(CallError::Unavailable)?;
        durable::start(&self.node, (context, &self.place), (call, options)).await
    }

    async fn outcome(&self, context: &CallContext, id: InvocationId) -> Result<Started, CallError> {
        calls::outcome(&self.node, context, id).await
    }

    async fn state_get(
        &self,
        context: &CallContext,
        key: StateKey,
    ) -> Result<Option<Keyed>, StateError> {
        state::get(&self.node, context, key).await
    }

    async fn state_write(
        &self,
        context: &CallContext,
        write: StateWrite,
    ) -> Result<u64, StateError> {
        self.begun().await.map_err(StateError::Unavailable)?;
        state::write(&self.node, context, write).await
    }

    async fn state_scan(
        &self,
        context: &CallContext,
        scan: StateScan,
    ) -> Result<Vec<Keyed>, StateError> {
        state::scan(&self.node, context, scan).await
    }

    async fn stream_append(
        &self,
        context: &CallContext,
        append: StateAppend,
    ) -> Result<u64, StateError> {
        self.begun().await.map_err(StateError::Unavailable)?;
        state::append(&self.node, context, append).await
    }

    async fn stream_read(
        &self,
        context: &CallContext,
        stream: StateKey,
        range: (u64, u32),
    ) -> Result<Vec<Keyed>, StateError> {
        state::read(&self.node, context, stream, range).await
    }
}

impl Node {
    /// Events from inside a function, or returned by it. `name` makes up the ids of those that have
    /// none: what must not happen twice gets the same id when it is tried again.
    ///
    /// # Errors
    /// As for [`emit`](Self::emit); the chain of the invocation would be too long.
    pub(crate) async fn emit_from(
        &self,
        (context, place): (&CallContext, &Place),
        mut events: Vec<Event>,
        name: impl Fn(usize) -> String,
    ) -> Result<nexus_model::view::Accepted, Error> {
        for (index, event) in events.iter_mut().enumerate() {
            if event.id.is_empty() {
                event.id = name(index);
            }
            if event.source.is_empty() {
                event.source = format!("/nexus/{}/{}", context.project, context.function);
            }
        }
        let ctx = function_context(context);
        let chain = self.next_link(context, place).await?;
        let cause = Cause { invocation: Some(context.id), depth: 0, chain };
        self.emit_caused(&ctx, &context.project, events, cause).await
    }
}

/// A function acts in its own project only, and may do there what its host calls offer.
pub(crate) fn function_context(context: &CallContext) -> OpContext {
    let id: InvocationId = context.id;
    OpContext {
        principal: Principal::function(&context.project, &context.function),
        scopes: [Scope::Emit, Scope::Invoke].into(),
        project: Some(context.project.clone()),
        request_id: id.to_string().into(),
        traceparent: Some(Arc::clone(&context.traceparent)),
        tracestate: context.tracestate.clone(),
        deadline: None,
    }
}
