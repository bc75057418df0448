//! Attempts for the engine: `started` first, then the run, then its record; both durable.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use nexus_engine::{Delivery, Worker};
use nexus_exec::{CallContext, CallInput, Cancel};
use nexus_model::record::{
    EventRecord, Failure, InvocationRecord, Level, Meta, Record, StartedRecord, Status, Trigger,
};
use nexus_model::{Code, InvocationId, Name, OpContext, Partition, Principal};

use crate::catalog::Function;
use crate::record::{InputHead, bytes_of, nanos};
use crate::serve::{Begun, Finished, Origin};
use crate::{Error, Node};

/// How long an attempt waits for a slot of the node: as long as it takes, for practical purposes.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How often a delivery that meets its function's own limit looks again.
const THROTTLED: Duration = Duration::from_millis(20);

/// Runs deliveries on a node. Holds it weakly: the node owns the engine that owns this.
pub(crate) struct Deliverer(Weak<Node>);

impl Deliverer {
    pub(crate) fn new(node: &Arc<Node>) -> Self {
        Deliverer(Arc::downgrade(node))
    }
}

#[async_trait]
impl Worker for Deliverer {
    async fn deliver(&self, delivery: Delivery) -> Result<(), nexus_log::Error> {
        match self.0.upgrade() {
            Some(node) => node.deliver(delivery).await,
            None => Err(nexus_log::Error::Closed),
        }
    }
}

/// One attempt with what is known of it.
struct Attempt {
    delivery: Delivery,
    id: InvocationId,
    event: EventRecord,
}

impl Node {
    async fn deliver(self: Arc<Self>, delivery: Delivery) -> Result<(), nexus_log::Error> {
        let project = &*delivery.key.project;
        let id: InvocationId = self.parts.mint.mint(Partition::of(project, ""));
        let Some(event) = self.parts.log.event(delivery.key.event).await? else {
            let attempt = Attempt { delivery, id, event: EventRecord::default() };
            let gone = Error::new(Code::Gone, "the event was removed by retention");
            return self.reject(attempt, Status::Refused, &gone).await;
        };
        let attempt = Attempt { delivery, id, event };
        let begun = match self.begin_delivery(&attempt).await {
            Ok(begun) => begun,
            Err(error) => {
                let status = match error.code() {
                    // Nothing that a retry could find.
                    Code::NotFound => Status::Refused,
                    _ => Status::Rejected,
                };
                return self.reject(attempt, status, &error).await;
            }
        };
        let started = StartedRecord {
            id: bytes_of(id.as_bytes()),
            meta: attempt.meta(&begun.traceparent),
            function: attempt.delivery.key.function.to_string(),
            version: bytes_of(begun.loaded.version.as_bytes()),
            attempt: attempt.delivery.attempt,
            started_ns: begun.accepted.unix_ns(),
            ..StartedRecord::default()
        };
        self.parts.log.append(vec![Record::Started(started)]).await?;
        let mut event = attempt.event.event.clone();
        if let Some(data) = &mut event.data
            && let Ok(digest) = nexus_model::Digest::try_from(&data.blob[..])
            && let Ok(Some(bytes)) = self.parts.blobs.get(digest).await
        {
            data.inline = bytes;
        }
        let input = InputHead::EventRef(attempt.delivery.key.event);
        let cancel = Cancel::default();
        let mut running =
            begun.into_call(&self, (CallInput::Event(event.to_event()), input), None, &cancel);
        running.facts.attempt = attempt.delivery.attempt;
        running.facts.cause_event = Some(attempt.delivery.key.event);
        running.facts.ordering_key = attempt.event.meta.ordering_key.clone();
        let context =
            CallContext { attempt: attempt.delivery.attempt, ..(*running.call.context).clone() };
        running.call.context = Arc::new(context);
        let mut finished = running.run().await;
        self.send_returned(&mut finished).await;
        let (node, _, record) = finished.into_record().await;
        node.append_end(record).await
    }

    /// Appends the end of an attempt. The engine waits for nothing else to go on, so this insists
    /// while the log recovers; when the node stops first, the attempt is found unfinished.
    async fn append_end(&self, record: InvocationRecord) -> Result<(), nexus_log::Error> {
        let record = Record::Invocation(Box::new(record));
        loop {
            match self.parts.log.append(vec![record.clone()]).await {
                Ok(_) => return Ok(()),
                Err(error) if error.retryable() && !self.tasks.is_stopping() => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the end of an attempt waits for the log"
                    );
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn begin_delivery(self: &Arc<Self>, attempt: &Attempt) -> Result<Begun, Error> {
        let key = &attempt.delivery.key;
        let name =
            |text: &str| Name::new(text).map_err(|error| Error::internal("read a name", error));
        let (project, name) = (name(&key.project)?, name(&key.function)?);
        loop {
            let function: Arc<Function> =
                self.catalog.function(&project, &name).ok_or_else(|| {
                    Error::not_found(format_args!("function '{name}' in project '{project}'"))
                })?;
            match self.begin_as(&attempt.context(), &function, attempt.id).await {
                // Waiting is what asynchronous work is for.
                Err(error) if error.code() == Code::Throttled && !self.tasks.is_stopping() => {
                    tokio::time::sleep(THROTTLED).await;
                }
                other => return other,
            }
        }
    }

    async fn begin_as(
        self: &Arc<Self>,
        ctx: &OpContext,
        function: &Arc<Function>,
        id: InvocationId,
    ) -> Result<Begun, Error> {
        let started = std::time::Instant::now();
        let accepted = self.parts.clock.now();
        let (loaded, load) = self.load(function).await?;
        let waited = std::time::Instant::now();
        let slot = self.admission.enter(function, PATIENCE).await?;
        Ok(Begun {
            id,
            function: Arc::clone(function),
            load,
            slot,
            origin: Origin::of(Trigger::Event),
            started,
            accepted,
            timeout: loaded.timeout,
            queue_ns: nanos(waited.elapsed()),
            recording: crate::record::recording_of(loaded.record, id, self.config.verify_memory),
            principal: ctx.principal.clone(),
            traceparent: crate::trace::child(ctx.traceparent.as_deref(), id),
            loaded,
        })
    }

    /// Sends the events that the function returned. When that fails, so did the attempt, and it is
    /// tried again. Their ids come from the event that was handled, so that an attempt that is
    /// repeated because only its end got lost sends duplicates, which change nothing.
    pub(crate) async fn send_returned(&self, finished: &mut Finished) {
        if finished.ended.status != Status::Succeeded || finished.ended.events.is_empty() {
            return;
        }
        let events = finished.ended.events.iter().map(|event| event.to_event()).collect();
        let context = finished.context();
        let origin = match finished.facts.cause_event {
            Some(event) => format!("{event}.{}", context.function),
            None => context.id.to_string(),
        };
        let name = |index| format!("{origin}.{index}");
        if let Err(error) = self.emit_from(&context, events, name).await {
            let retry = error.code().retryable();
            finished.ended.status = if retry { Status::Failed } else { Status::Refused };
            finished.ended.failure = Some(Failure {
                code: error.code().as_str().to_owned(),
                message: format!("its events were not accepted: {}", error.detail()),
                backtrace: Vec::new(),
            });
        }
    }

    /// Records an attempt that never ran.
    async fn reject(
        &self,
        attempt: Attempt,
        status: Status,
        error: &Error,
    ) -> Result<(), nexus_log::Error> {
        let now_ns = self.parts.clock.now().unix_ns();
        let trace = crate::trace::child(Some(&attempt.event.meta.traceparent), attempt.id);
        let mut record = InvocationRecord {
            id: bytes_of(attempt.id.as_bytes()),
            meta: attempt.meta(&trace),
            function: attempt.delivery.key.function.to_string(),
            attempt: attempt.delivery.attempt,
            accepted_ns: now_ns,
            ended_ns: now_ns,
            failure: Some(Failure {
                code: error.code().as_str().to_owned(),
                message: error.detail().to_owned(),
                backtrace: Vec::new(),
            }),
            not_replayable: "it never ran".to_owned(),
            ..InvocationRecord::default()
        };
        record.set_trigger(Trigger::Event);
        record.set_status(status);
        record.set_level(Level::None);
        self.append_end(record).await
    }
}

impl Attempt {
    fn context(&self) -> OpContext {
        OpContext {
            principal: Principal::system(),
            traceparent: Some(self.event.meta.traceparent.as_str().into()),
            ..OpContext::system(self.id.to_string())
        }
    }

    fn meta(&self, traceparent: &str) -> Meta {
        Meta {
            project: self.delivery.key.project.to_string(),
            principal: Principal::system().to_string(),
            cause_event: bytes_of(self.delivery.key.event.as_bytes()),
            cause_invocation: Bytes::new(),
            traceparent: traceparent.to_owned(),
            ordering_key: self.event.meta.ordering_key.clone(),
            deadline_ns: 0,
        }
    }
}

impl Finished {
    /// The context that the call had.
    pub(crate) fn context(&self) -> CallContext {
        CallContext {
            id: self.facts.id,
            project: self.facts.function.project.clone(),
            function: self.facts.function.name.clone(),
            version: self.facts.loaded.version,
            attempt: self.facts.attempt,
            traceparent: Arc::clone(&self.facts.traceparent),
            accepted: self.facts.accepted,
            deadline: self.facts.deadline,
            depth: self.facts.depth,
        }
    }
}
