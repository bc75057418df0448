//! What the driver appends: verdicts with the events that follow from them, ends of invocations,
//! events whose time has come.

use std::sync::Arc;

use bytes::Bytes;
use nexus_log::Position;
use nexus_model::record::{
    Body, DeliveryDecision, DeliveryRecord, EventRecord, InvocationRecord, Record, ScheduleRecord,
};
use nexus_model::{Code, EventId, InvocationId, Partition, Principal, Timestamp};
use tokio::sync::oneshot;

use super::{CancelRequest, Cancellation, Driver, State};
use crate::Error;
use crate::cron::Cron;
use crate::dedup::{DedupKey, Known};
use crate::lanes::LaneId;
use crate::outgoing::{self, Making, Told};
use crate::shard::{Id, Pending, Verdict};
use crate::{begun, unbegun};

/// What is appended together at most.
const TOGETHER_MAX: usize = 256;

/// One thing to append.
pub(crate) enum Out {
    /// The verdict that the state holds.
    Settle(Id),
    /// A verdict about a delivery that does not begin.
    TurnAway(Id, Box<Verdict>),
    /// The end of an invocation that nobody runs.
    Close(InvocationId),
    /// A cron trigger fires.
    Cron(LaneId, Cron, Timestamp),
    /// A schedule's time has come.
    Schedule(EventId),
    /// Somebody cancels a delivery.
    Cancel(Id, CancelRequest),
    /// Somebody cancels a schedule.
    Unschedule(Box<DeliveryRecord>, oneshot::Sender<bool>),
    /// A schedule moves to the end of the log.
    Carry(EventId, u64),
}

impl Driver {
    /// Appends everything that waits. `true` when something was appended.
    pub(super) async fn append_outbox(&mut self) -> Result<bool, Error> {
        let mut appended = false;
        while !self.outbox.is_empty() {
            let count = self.outbox.len().min(TOGETHER_MAX);
            let mut records = Vec::with_capacity(count * 2);
            let mut reserved = Vec::new();
            let mut result = Ok(());
            for index in 0..count {
                result = self.records_of(index, (&mut records, &mut reserved)).await;
                if result.is_err() {
                    break;
                }
            }
            if result.is_ok() && !records.is_empty() {
                result = self.parts.log.append(records).await.map(drop).map_err(Error::Append);
            }
            // Whatever became of it: what stays reserved would never fire.
            for (key, id, at) in reserved {
                self.shared.dedup.settle(key, result.is_ok().then_some((id, at)));
            }
            result?;
            appended = true;
            for out in self.outbox.drain(..count) {
                match out {
                    Out::Cancel(_, request) => {
                        let _ = request.reply.send(Cancellation::Done);
                    }
                    Out::Unschedule(_, reply) => {
                        let _ = reply.send(true);
                    }
                    _ => {}
                }
            }
        }
        Ok(appended)
    }

    fn making(&self, project: &str) -> Making {
        let id: EventId = self.parts.mint.mint(Partition::of(project, ""));
        Making { id, now: self.parts.clock.now() }
    }

    async fn records_of(
        &self,
        index: usize,
        (records, reserved): (&mut Vec<Record>, &mut Vec<(DedupKey, EventId, Timestamp)>),
    ) -> Result<(), Error> {
        match &self.outbox[index] {
            Out::Settle(id) => {
                let Some(pending) = self.shard.deliveries.get(id) else { return Ok(()) };
                let State::Settling(verdict) = &pending.state else { return Ok(()) };
                let verdict = verdict.clone();
                self.settle(*id, &verdict, records).await?;
            }
            Out::TurnAway(id, verdict) => {
                let verdict = verdict.clone();
                self.settle(*id, &verdict, records).await?;
            }
            Out::Close(run) => {
                let end = self.end_of(*run);
                records.extend(end.map(|end| Record::Invocation(Box::new(end))));
            }
            Out::Cron(lane, cron, scheduled) => {
                let key = self.shard.key(Id { event: EventId::from_bytes([0; 16]), lane: *lane });
                let making = self.making(&key.project);
                let record = outgoing::cron_event(&making, &key, (cron, *scheduled));
                let dedup = DedupKey::of_event(&record);
                // A firing that is in the log already, from before a restart.
                if let Known::Fresh = self.shared.dedup.reserve(dedup) {
                    reserved.push((dedup, making.id, making.now));
                    records.push(Record::Event(record));
                }
            }
            Out::Schedule(id) => {
                if let Some(schedule) = self.read_schedule(*id).await? {
                    let making = self.making(&schedule.meta.project);
                    let event = outgoing::scheduled_event(&making, schedule);
                    records.push(Record::Event(event));
                }
            }
            Out::Cancel(id, request) => {
                let verdict = Verdict::new(
                    DeliveryDecision::Cancelled,
                    request.reason.clone(),
                    Code::Cancelled.as_str(),
                );
                let record = self.decision(*id, &verdict);
                let principal = request.principal.clone();
                self.decided(*id, DeliveryRecord { principal, ..record }, records).await?;
            }
            Out::Unschedule(record, _) => {
                let id = EventId::try_from(&record.event[..]).ok();
                let schedule = match id {
                    Some(id) => self.read_schedule(id).await?,
                    None => None,
                };
                let unbegun = schedule.and_then(|at| unbegun::of_schedule(&at, record));
                records.push(Record::Delivery((**record).clone()));
                records.extend(unbegun.map(|record| Record::Invocation(Box::new(record))));
            }
            Out::Carry(id, sequence) => {
                let known = self.shard.schedules.get(id);
                let stands = known.is_some_and(|at| at.sequence == *sequence);
                if stands && !self.firing.contains(id) {
                    records.extend(self.read_schedule(*id).await?.map(Record::Schedule));
                }
            }
        }
        Ok(())
    }

    async fn read_schedule(&self, id: EventId) -> Result<Option<ScheduleRecord>, Error> {
        let Some(at) = self.shard.schedules.get(&id) else { return Ok(None) };
        let sequence = at.sequence;
        let after = Position { shard: 0, sequence: sequence - 1 };
        let found = self.parts.log.read_from(after, 1).await;
        let entries = found.map_err(|source| Error::Read { sequence, source })?;
        let Some(Record::Schedule(schedule)) = entries.into_iter().next().map(|it| it.record)
        else {
            return Ok(None);
        };
        // A record will refer to its data again: what is read is not collected.
        if let Some(data) = schedule.event.data.as_ref().filter(|data| !data.blob.is_empty()) {
            drop(self.parts.worker.fetch(data).await);
        }
        Ok(Some(schedule))
    }

    /// The record of a verdict, with the event that follows from it: both stand in one append.
    async fn settle(
        &self,
        id: Id,
        verdict: &Verdict,
        records: &mut Vec<Record>,
    ) -> Result<(), Error> {
        let settings = self.shard.lanes.get(id.lane).settings.clone();
        let destination = match verdict.decision {
            DeliveryDecision::Reported => settings.on_success.as_ref(),
            DeliveryDecision::Dead if !verdict.is_too_deep() => settings.on_failure.as_ref(),
            _ => None,
        };
        let falls_back = verdict.decision == DeliveryDecision::FellBack;
        let mut verdict = verdict.clone();
        if destination.is_some() || falls_back {
            let original = match self.events.get(id.event) {
                Some(known) => Some(known),
                None => self.readable(self.parts.log.event(id.event).await)?.map(Into::into),
            };
            let original = self.with_data(original).await;
            let (key, making) = (self.shard.key(id), self.making(&self.shard.key(id).project));
            match (original, destination, &settings.fallback) {
                (Some(original), Some(destination), _) => {
                    let invocation = self.invocation(verdict.invocation).await?;
                    let invocation = invocation.as_ref();
                    let told =
                        Told { key: &key, verdict: &verdict, original: &original, invocation };
                    let event = outgoing::outcome_event(&making, destination, &told);
                    records.push(Record::Event(event));
                }
                (Some(original), None, Some(fallback)) => {
                    let event = outgoing::fallback_event(&making, (&key, fallback), &original);
                    records.push(Record::Event(event));
                }
                // Without its event, or since its settings changed, nothing can follow.
                _ if falls_back => verdict.decision = DeliveryDecision::Dead,
                _ => {}
            }
        }
        self.decided(id, self.decision(id, &verdict), records).await
    }

    /// Appends a decision, and the record of the invocation that never began because of it. That
    /// stands behind the decision: what follows from one stands right before it.
    async fn decided(
        &self,
        id: Id,
        decision: DeliveryRecord,
        records: &mut Vec<Record>,
    ) -> Result<(), Error> {
        let never_tried = |at: &&Pending| at.is_untried_call() && decision.attempts == 0;
        let call = self.shard.deliveries.get(&id).filter(never_tried);
        let event = match call.map(|pending| pending.sequence) {
            Some(sequence) => self.readable(self.read_ahead.event(id.event, sequence).await)?,
            None => None,
        };
        let record = event.map(|event| unbegun::of_event(&event, &decision));
        records.push(Record::Delivery(decision));
        records.extend(record.map(|record| Record::Invocation(Box::new(record))));
        Ok(())
    }

    /// What was read of the log. What is damaged is as good as gone: one verdict must not hold up all
    /// others for ever.
    fn readable<T>(&self, found: Result<Option<T>, nexus_log::Error>) -> Result<Option<T>, Error> {
        match found {
            Err(error @ (nexus_log::Error::Corrupt { .. } | nexus_log::Error::Record { .. })) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a record that a decision is about cannot be read"
                );
                Ok(None)
            }
            found => {
                found.map_err(|source| Error::Read { sequence: self.shard.position(), source })
            }
        }
    }

    /// An event with its data, also where that lies in the blob store.
    async fn with_data(&self, event: Option<Arc<EventRecord>>) -> Option<Arc<EventRecord>> {
        let mut event = event?;
        if event.event.data.as_ref().is_some_and(|data| !data.blob.is_empty()) {
            self.fetch(Arc::make_mut(&mut event).event.data.as_mut()).await;
        }
        Some(event)
    }

    async fn invocation(
        &self,
        id: Option<InvocationId>,
    ) -> Result<Option<InvocationRecord>, Error> {
        let Some(id) = id else { return Ok(None) };
        let found = self.readable(self.parts.log.invocation(id).await)?;
        let Some(mut record) = found else { return Ok(None) };
        self.fetch(record.output.as_mut().and_then(|output| output.body.as_mut())).await;
        Ok(Some(record))
    }

    /// Puts the bytes of a body in it, where they lie in the blob store.
    async fn fetch(&self, body: Option<&mut Body>) {
        if let Some(body) = body.filter(|body| !body.blob.is_empty()) {
            body.inline = self.parts.worker.fetch(body).await.unwrap_or_default();
        }
    }

    fn end_of(&self, run: InvocationId) -> Option<InvocationRecord> {
        let found = self.shard.runs.get(&run)?;
        let lane = &self.shard.lanes.get(found.lane).settings;
        let now = self.parts.clock.now();
        Some(begun::end_of((found, lane), self.shard.is_cancelled(run), now))
    }

    fn decision(&self, id: Id, verdict: &Verdict) -> DeliveryRecord {
        let key = self.shard.key(id);
        let own: InvocationId = self.parts.mint.mint(Partition::of(&key.project, ""));
        DeliveryRecord {
            id: Bytes::copy_from_slice(own.as_bytes()),
            project: key.project.to_string(),
            event: Bytes::copy_from_slice(key.event.as_bytes()),
            function: key.function.to_string(),
            trigger: key.trigger.to_string(),
            decision: verdict.decision.into(),
            reason: verdict.reason.clone(),
            code: verdict.code.clone(),
            attempts: verdict.attempts,
            principal: Principal::system().to_string(),
            at_ns: self.parts.clock.now().unix_ns(),
            ..DeliveryRecord::default()
        }
    }
}
