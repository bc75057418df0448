//! Attempts for the engine: `started` first, then the run, then its record; both durable.
//!
//! - `input`: what the function gets: an event, a transformed one, a batch.
//! - `attempt`: the records around an attempt.
//! - [`Strikes`]: running attempts that somebody may cancel.
//! - Going on from a journal ([`Resume`]) belongs to the durable invocations.

mod attempt;
mod input;
mod strikes;

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use nexus_engine::{Delivery, Resume, Worker};
use nexus_exec::{CallContext, Cancel};
use nexus_model::record::{
    Body, Failure, InvocationRecord, Record, StartedRecord, Status, Trigger,
};
use nexus_model::{Code, Digest, InvocationId, Name, OpContext};

use crate::catalog::Function;
use crate::record::{bytes_of, nanos};
use crate::serve::{Begun, Finished, Origin};
use crate::{Error, Node};
use attempt::Attempt;
use strikes::Strikes;

/// How long an attempt waits for a slot of the node: as long as it takes, for practical purposes.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How often a delivery that meets its function's own limit looks again.
const THROTTLED: Duration = Duration::from_millis(20);

/// Runs deliveries on a node. Holds it weakly: the node owns the engine that owns this.
pub(crate) struct Deliverer {
    node: Weak<Node>,
    strikes: Strikes,
}

impl Deliverer {
    pub(crate) fn new(node: &Arc<Node>) -> Self {
        Deliverer { node: Arc::downgrade(node), strikes: Strikes::default() }
    }
}

#[async_trait]
impl Worker for Deliverer {
    async fn deliver(&self, delivery: Delivery) -> Result<(), nexus_log::Error> {
        match self.node.upgrade() {
            Some(node) => node.deliver(delivery, &self.strikes).await,
            None => Err(nexus_log::Error::Closed),
        }
    }

    async fn resume(&self, resume: Resume) -> Result<(), nexus_log::Error> {
        match self.node.upgrade() {
            Some(node) => node.resume(resume).await,
            None => Err(nexus_log::Error::Closed),
        }
    }

    fn cancel(&self, invocation: InvocationId) {
        self.strikes.strike(invocation);
    }

    async fn fetch(&self, body: &Body) -> Option<Bytes> {
        let node = self.node.upgrade()?;
        let digest = Digest::try_from(&body.blob[..]).ok()?;
        node.parts.blobs.get(digest).await.ok()?
    }
}

impl Node {
    async fn deliver(
        self: Arc<Self>,
        delivery: Delivery,
        strikes: &Strikes,
    ) -> Result<(), nexus_log::Error> {
        let attempt = match self.attempt(delivery).await? {
            Ok(attempt) => attempt,
            Err((attempt, gone)) => return self.reject(attempt, Status::Refused, &gone).await,
        };
        let input = match self.input_of(&attempt).await {
            Ok(input) => input,
            // What cannot be made of the event now cannot be made of it later.
            Err(error) => return self.reject(attempt, Status::Refused, &error).await,
        };
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
        let cancel = Cancel::default();
        // From its begin on it can be cancelled.
        let _struck = strikes.watch(attempt.id, &cancel);
        self.append_started(&attempt, &begun).await?;
        let mut running = begun.into_call(&self, input, None, &cancel);
        running.facts.attempt = attempt.delivery.attempt;
        running.facts.cause_event = Some(attempt.delivery.key.event);
        running.facts.ordering_key = attempt.first().meta.ordering_key.clone();
        let context =
            CallContext { attempt: attempt.delivery.attempt, ..(*running.call.context).clone() };
        running.call.context = Arc::new(context);
        let mut finished = running.run().await;
        self.send_returned(&mut finished).await;
        let failed = attempt.failed_items(&finished);
        let (node, _, record) = finished.into_record().await;
        node.append_end(attempt.end(record, failed)).await
    }

    async fn append_started(
        &self,
        attempt: &Attempt,
        begun: &Begun,
    ) -> Result<(), nexus_log::Error> {
        let started = StartedRecord {
            id: bytes_of(attempt.id.as_bytes()),
            meta: attempt.meta(&begun.traceparent),
            function: attempt.delivery.key.function.to_string(),
            version: bytes_of(begun.loaded.version.as_bytes()),
            attempt: attempt.delivery.attempt,
            started_ns: begun.accepted.unix_ns(),
            trigger: attempt.delivery.key.trigger.to_string(),
            batch: attempt.batch(),
            ..StartedRecord::default()
        };
        self.parts.log.append(vec![Record::Started(started)]).await.map(drop)
    }

    /// Ends an invocation that cannot go on from its journal: it counts as a failed attempt.
    async fn resume(&self, resume: Resume) -> Result<(), nexus_log::Error> {
        let error = Error::new(Code::Crashed, "the node stopped while it ran");
        let record = attempt::broken_off(&resume, self.parts.clock.now(), &error);
        self.append_end(record).await
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
