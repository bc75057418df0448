//! One attempt with what is known of it, and the records around it.

use std::sync::Arc;

use bytes::Bytes;
use nexus_engine::{Delivery, Resume, batch_failures};
use nexus_model::record::{EventRecord, Failure, InvocationRecord, Level, Meta, Status, Trigger};
use nexus_model::{Code, EventId, InvocationId, OpContext, Partition, Principal, Timestamp};

use crate::record::bytes_of;
use crate::serve::Finished;
use crate::{Error, Node};

/// One attempt with what is known of it.
pub(super) struct Attempt {
    pub(super) delivery: Delivery,
    pub(super) id: InvocationId,
    /// All events of the delivery; none where one is gone.
    pub(super) events: Vec<Arc<EventRecord>>,
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
                let attempt = Attempt { delivery, id, events: Vec::new() };
                let gone = Error::new(Code::Gone, "the event was removed by retention");
                return Ok(Err((attempt, gone)));
            };
            events.push(found);
        }
        Ok(Ok(Attempt { delivery, id, events }))
    }

    /// Records an attempt that never ran.
    pub(super) async fn reject(
        &self,
        attempt: Attempt,
        status: Status,
        error: &Error,
    ) -> Result<(), nexus_log::Error> {
        let now_ns = self.parts.clock.now().unix_ns();
        let trace = crate::trace::child(Some(&attempt.first().meta.traceparent), attempt.id);
        let mut record = InvocationRecord {
            id: bytes_of(attempt.id.as_bytes()),
            meta: attempt.meta(&trace),
            function: attempt.delivery.key.function.to_string(),
            attempt: attempt.delivery.attempt,
            accepted_ns: now_ns,
            ended_ns: now_ns,
            failure: Some(failure_of(error)),
            not_replayable: "it never ran".to_owned(),
            ..InvocationRecord::default()
        };
        record.set_trigger(Trigger::Event);
        record.set_status(status);
        record.set_level(Level::None);
        self.append_end(attempt.end(record, Vec::new())).await
    }
}

fn failure_of(error: &Error) -> Failure {
    Failure {
        code: error.code().as_str().to_owned(),
        message: error.detail().to_owned(),
        backtrace: Vec::new(),
    }
}

/// The end of an invocation that does not go on.
pub(super) fn broken_off(resume: &Resume, now: Timestamp, error: &Error) -> InvocationRecord {
    let started = &resume.started;
    let mut record = InvocationRecord {
        id: started.id.clone(),
        meta: started.meta.clone(),
        function: started.function.clone(),
        version: started.version.clone(),
        attempt: started.attempt,
        accepted_ns: started.started_ns,
        ended_ns: now.unix_ns(),
        failure: Some(failure_of(error)),
        not_replayable: "it did not end by itself".to_owned(),
        trigger_name: started.trigger.clone(),
        resumes: started.resumes,
        batch: started.batch.clone(),
        ..InvocationRecord::default()
    };
    record.set_trigger(Trigger::Event);
    record.set_status(Status::Crashed);
    record.set_level(Level::None);
    record
}

impl Attempt {
    /// The first event; an empty one where it is gone.
    pub(super) fn first(&self) -> Arc<EventRecord> {
        self.events.first().cloned().unwrap_or_default()
    }

    pub(super) fn context(&self) -> OpContext {
        OpContext {
            principal: Principal::system(),
            traceparent: Some(self.first().meta.traceparent.as_str().into()),
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
            ..record
        }
    }
}
