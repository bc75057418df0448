//! What a guest may do to the world: the only implementation of [`nexus_exec::Host`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use http::{Request, Response};
use nexus_exec::{Body, CallContext, EmitError, Host, HttpError, HttpTimeouts};
use nexus_model::{Event, EventId, InvocationId, OpContext, Principal, Scope, limits};
use tokio::sync::Semaphore;

use crate::loaded::Loaded;
use crate::record::Facts;
use crate::{Error, Node};

/// The world as one invocation sees it, with what it has used of its limits.
pub(crate) struct CallHost {
    node: Arc<Node>,
    loaded: Arc<Loaded>,
    requests: AtomicUsize,
    concurrent: Semaphore,
    events: AtomicUsize,
}

impl CallHost {
    pub(crate) fn new(node: &Arc<Node>, facts: &Facts) -> Self {
        CallHost {
            node: Arc::clone(node),
            loaded: Arc::clone(&facts.loaded),
            requests: AtomicUsize::new(0),
            concurrent: Semaphore::new(limits::OUTBOUND_CONCURRENT_MAX),
            events: AtomicUsize::new(0),
        }
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
        }
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
        let name = |index| format!("{}-{}", context.id, before + index);
        let accepted = self.node.emit_from(context, events, name).await;
        let accepted = accepted.map_err(|error| match error.code().retryable() {
            true => EmitError::Unavailable(error.detail().to_owned()),
            false => EmitError::Invalid(error.detail().to_owned()),
        })?;
        Ok(accepted.events.into_iter().map(|event| event.id).collect())
    }
}

impl Node {
    /// Events from inside a function, or returned by it. `name` makes up the ids of those that have
    /// none: what must not happen twice gets the same id when it is tried again.
    pub(crate) async fn emit_from(
        &self,
        context: &CallContext,
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
        self.emit_caused(&ctx, &context.project, events, Some(context.id)).await
    }
}

/// A function acts in its own project only, and may do there what its host calls offer.
fn function_context(context: &CallContext) -> OpContext {
    let id: InvocationId = context.id;
    OpContext {
        principal: Principal::function(&context.project, &context.function),
        scopes: [Scope::Emit].into(),
        project: Some(context.project.clone()),
        request_id: id.to_string().into(),
        traceparent: Some(Arc::clone(&context.traceparent)),
        deadline: None,
    }
}
