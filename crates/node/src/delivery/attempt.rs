//! One attempt with what is known of it, and the records around it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nexus_engine::{Delivery, Early, INVOKE_TYPE, Made, Resume, batch_failures};
use nexus_exec::CallContext;
use nexus_model::record::{
    EventRecord, Failure, InvocationRecord, Level, Meta, Record, StartedRecord, Status, Trigger,
};
use nexus_model::{
    Code, EventId, InvocationId, OpContext, Partition, Principal, Timestamp, VersionId,
};

use crate::record::{Facts, bytes_of};
use crate::serve::{Finished, Origin, Running};
use crate::{Error, Node};

/// One attempt with what is known of it.
pub(super) struct Attempt {
    pub(super) delivery: Delivery,
    pub(super) id: InvocationId,
    /// All events of the delivery; none where one is gone.
    pub(super) events: Vec<Arc<EventRecord>>,
    /// How often it has gone on from its journal.
    pub(super) resumes: u32,
    /// Its event, where that is not in the log yet.
    pub(super) early: Option<Arc<Early>>,
}

/// How long an attempt waits for a slot of the node: as long as it takes, for practical purposes.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What the record of a begin holds beside what is known of the delivery.
pub(super) struct Moment {
    traceparent: Arc<str>,
    version: VersionId,
    at: Timestamp,
}

impl Moment {
    pub(super) fn of(facts: &Facts) -> Self {
        Moment {
            traceparent: Arc::clone(&facts.traceparent),
            version: facts.loaded.version,
            at: facts.accepted,
        }
    }
}

impl Node {
    /// Looks up the events of a delivery.
    pub(super) async fn attempt(
        &self,
        delivery: Delivery,
    ) -> Result<Result<Attempt, (Attempt, Error)>, nexus_log::Error> {
        let fresh = || self.parts.mint.mint(Partition::of(&delivery.key.project, ""));
        let id = delivery.invocation.unwrap_or_else(fresh);
        let mut events = Vec::with_capacity(delivery.events.len());
        let members: Vec<EventId> = delivery.members().collect();
        for (index, event) in members.into_iter().enumerate() {
            let found = match delivery.events.get(index).and_then(Option::as_ref) {
                Some(known) => Some(Arc::clone(known)),
                None => self.parts.log.event(event).await?.map(Arc::new),
            };
            let Some(found) = found else {
                let attempt = Attempt { delivery, id, events: Vec::new(), resumes: 0, early: None };
                let gone = Error::new(Code::Gone, "the event was removed by retention");
                return Ok(Err((attempt, gone)));
            };
            events.push(found);
        }
        Ok(Ok(Attempt { delivery, id, events, resumes: 0, early: None }))
    }

    /// Records an attempt that never ran.
    pub(super) async fn reject(
        &self,
        attempt: Attempt,
        status: Status,
        error: &Error,
    ) -> Result<Made, nexus_log::Error> {
        let now_ns = self.parts.clock.now().unix_ns();
        let trace = crate::trace::child(attempt.context().traceparent.as_deref(), attempt.id);
        let mut record = InvocationRecord {
            id: bytes_of(attempt.id.as_bytes()),
            meta: attempt.meta(&trace),
            function: attempt.delivery.key.function.to_string(),
            attempt: attempt.delivery.attempt,
            accepted_ns: now_ns,
            ended_ns: now_ns,
            failure: Some(failure_of(error)),
            not_replayable: "it never ran".to_owned(),
            chain: attempt.chain(),
            ..InvocationRecord::default()
        };
        record.set_trigger(Trigger::Event);
        record.set_status(status);
        record.set_level(Level::None);
        let record = attempt.end(record, Vec::new());
        self.append_end(Record::Invocation(Box::new(record))).await.map(|()| Made::Recorded)
    }
}

fn failure_of(error: &Error) -> Failure {
    Failure {
        code: error.code().as_str().to_owned(),
        message: error.detail().to_owned(),
        ..Failure::default()
    }
}

/// The end of an invocation that cannot go on. Trying it again would do again what it has done.
pub(super) fn broken_off(resume: &Resume, now: Timestamp, error: &Error) -> InvocationRecord {
    InvocationRecord {
        status: Status::Refused.into(),
        failure: Some(failure_of(error)),
        not_replayable: "it did not end by itself".to_owned(),
        ..resume.started.invocation(now.unix_ns())
    }
}

impl Attempt {
    /// The first event; an empty one where it is gone.
    pub(super) fn first(&self) -> Arc<EventRecord> {
        self.events.first().cloned().unwrap_or_default()
    }

    /// What set it off: the event, and where a function called or sent it, that.
    pub(super) fn origin(&self) -> Origin {
        let first = self.first();
        let called = first.event.ty == INVOKE_TYPE;
        Origin {
            trigger: Trigger::Event,
            cause: InvocationId::try_from(&first.meta.cause_invocation[..]).ok().filter(|_| called),
            depth: if called { first.depth } else { 0 },
            chain: self.chain(),
        }
    }

    /// How many links led to it; of a batch that of the event with the most.
    fn chain(&self) -> u32 {
        self.events.iter().map(|event| event.links()).max().unwrap_or(0)
    }

    /// How long it waits for a slot. What is on no disk does not wait.
    pub(super) fn patience(&self) -> Duration {
        if self.early.is_some() { Duration::ZERO } else { PATIENCE }
    }

    /// Whether a function waits for it.
    pub(super) fn is_nested(&self) -> bool {
        self.origin().depth > 0
    }

    /// Puts what only the delivery knows into a call.
    pub(super) fn fill(&self, running: &mut Running) {
        let first = self.first();
        running.facts.attempt = self.delivery.attempt;
        running.facts.cause_event = Some(self.delivery.key.event);
        running.facts.ordering_key = first.meta.ordering_key.clone();
        running.facts.chain = self.chain();
        let context =
            CallContext { attempt: self.delivery.attempt, ..(*running.call.context).clone() };
        running.call.context = Arc::new(context);
        running.call.durable = self.delivery.durable;
    }

    /// The record of its begin.
    pub(super) fn started(&self, moment: &Moment) -> StartedRecord {
        let mut started = StartedRecord {
            id: bytes_of(self.id.as_bytes()),
            meta: self.meta(&moment.traceparent),
            function: self.delivery.key.function.to_string(),
            version: bytes_of(moment.version.as_bytes()),
            attempt: self.delivery.attempt,
            started_ns: moment.at.unix_ns(),
            trigger: self.delivery.key.trigger.to_string(),
            batch: self.batch(),
            durable: self.delivery.durable,
            ..StartedRecord::default()
        };
        if self.delivery.durable {
            // What its input was made with: it is made again when it goes on.
            started.transform = self.delivery.transform.as_deref().unwrap_or_default().to_owned();
            started.batched = self.delivery.batched;
        }
        started
    }

    pub(super) fn context(&self) -> OpContext {
        OpContext {
            principal: Principal::system(),
            // Events of older builds have none of their own.
            traceparent: Some(crate::trace::of_event(
                &self.first().meta.traceparent,
                self.delivery.key.event,
            )),
            tracestate: crate::trace::state(&self.first().meta.tracestate),
            ..OpContext::system(self.id.to_string())
        }
    }

    pub(super) fn meta(&self, traceparent: &str) -> Meta {
        Meta {
            project: self.delivery.key.project.to_string(),
            principal: Principal::system().to_string(),
            cause_event: bytes_of(self.delivery.key.event.as_bytes()),
            cause_invocation: Bytes::new(),
            traceparent: traceparent.to_owned(),
            ordering_key: self.first().meta.ordering_key.clone(),
            deadline_ns: 0,
            tracestate: self.first().meta.tracestate.clone(),
        }
    }

    /// The further events as records have them.
    pub(super) fn batch(&self) -> Vec<Bytes> {
        self.delivery.batch.iter().map(|event| bytes_of(event.as_bytes())).collect()
    }

    /// The events of a batch that the function reported as failed.
    pub(super) fn failed_items(&self, finished: &Finished) -> Vec<EventId> {
        if !self.delivery.batched || finished.ended.status != Status::Succeeded {
            return Vec::new();
        }
        let own = |(id, record): (EventId, &Arc<EventRecord>)| (id, record.event.id.clone());
        let events: Vec<_> = self.delivery.members().zip(&self.events).map(own).collect();
        batch_failures(&finished.ended.output.bytes, &events)
    }

    /// Adds what only the delivery knows to the record of its end.
    pub(super) fn end(&self, record: InvocationRecord, failed: Vec<EventId>) -> InvocationRecord {
        InvocationRecord {
            trigger_name: self.delivery.key.trigger.to_string(),
            batch: self.batch(),
            batch_failed: failed.iter().map(|event| bytes_of(event.as_bytes())).collect(),
            waited_for: self.delivery.waited_for.clone(),
            resumes: self.resumes,
            ..record
        }
    }
}
