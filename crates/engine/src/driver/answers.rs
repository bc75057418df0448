//! What others ask the driver, and what they ask of it.

use std::fmt;

use nexus_model::record::{DeliveryRecord, InvocationRecord, SignalRecord};
use nexus_model::{EventId, InvocationId, Timestamp};
use tokio::sync::oneshot;

use super::outbox::Out;
use super::{Driver, State};
use crate::begun;
use crate::lanes::DeclaredKey;
use crate::scheduler::Reason;
use crate::shard::{DeliveryKey, DeliveryState, Ended, Id, Receiver};
use crate::snapshot::state_of;

/// What became of a cancellation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancellation {
    /// It is recorded: what waited or slept is gone, what runs is being stopped.
    Done,
    /// It has just ended; what was decided is being recorded.
    TooLate,
    /// There is no such unfinished delivery.
    NotFound,
}

/// Who cancels a delivery, and why.
pub(crate) struct CancelRequest {
    pub(crate) principal: String,
    pub(crate) reason: String,
    pub(crate) reply: oneshot::Sender<Cancellation>,
}

/// How far a delivery is, or how it ended.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum OutcomeOf {
    Pending(DeliveryState),
    Ended(Ended),
    Unknown,
}

/// Why a delivery is where it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Why {
    /// What, to whom.
    pub key: DeliveryKey,
    /// Where it stands.
    pub state: DeliveryState,
    /// What holds it up, where it waits.
    pub reason: Option<Reason>,
    /// Where an earlier event of its key holds it up: where that one stands.
    pub ahead: Option<DeliveryState>,
    /// Whether its function, as it is declared now, runs durably.
    pub durable: bool,
}

impl fmt::Display for Why {
    /// `order behind evt_…, which waits for attempt 2 until …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.state, &self.reason) {
            (DeliveryState::Waiting { attempt, due, reason }, Some(Reason::Due { .. }) | None) => {
                write!(f, "waits for attempt {attempt} until {due}")?;
                if reason.is_empty() { Ok(()) } else { write!(f, " because {reason}") }
            }
            (DeliveryState::Ready { .. } | DeliveryState::Waiting { .. }, Some(reason)) => {
                write!(f, "queued: {reason}")?;
                match &self.ahead {
                    Some(DeliveryState::Waiting { attempt, due, .. }) => {
                        write!(f, ", which waits for attempt {attempt} until {due}")
                    }
                    Some(DeliveryState::Running { attempt, .. }) => {
                        write!(f, ", which runs its attempt {attempt}")
                    }
                    Some(DeliveryState::Suspended { .. }) => f.write_str(", which sleeps"),
                    _ => Ok(()),
                }
            }
            (DeliveryState::Ready { .. }, None) => f.write_str("it is about to begin"),
            (DeliveryState::Running { attempt, cancelled: true, .. }, _) => {
                write!(f, "attempt {attempt} is being stopped")
            }
            (DeliveryState::Running { attempt, .. }, _) => write!(f, "attempt {attempt} runs"),
            (DeliveryState::Suspended { until, signal, .. }, _) => {
                match signal {
                    Some(signal) => write!(f, "waits for the signal '{signal}'")?,
                    None => f.write_str("asleep")?,
                }
                match until {
                    Some(until) => write!(f, " until {until}"),
                    None => Ok(()),
                }
            }
            (DeliveryState::Settling { reason, .. }, _) if reason.is_empty() => {
                f.write_str("its outcome is being recorded")
            }
            (DeliveryState::Settling { reason, .. }, _) => write!(f, "given up: {reason}"),
        }
    }
}

impl Driver {
    pub(crate) fn why(&self, key: &DeliveryKey) -> Option<Why> {
        let id = self.shard.id_of(key)?;
        let state = self.state_of(id)?;
        let reason = self.scheduler.why(id);
        let ahead = match &reason {
            Some(Reason::Order { behind }) => self.state_of(Id { event: *behind, ..id }),
            _ => None,
        };
        let durable = self.shard.lanes.get(id.lane).settings.durable;
        Some(Why { key: key.clone(), state, reason, ahead, durable })
    }

    fn state_of(&self, id: Id) -> Option<DeliveryState> {
        let pending = self.shard.deliveries.get(&id)?;
        Some(state_of(pending, |run| self.shard.runs.get(&run).cloned()))
    }

    pub(crate) fn outcome(&self, key: &DeliveryKey) -> OutcomeOf {
        let Some(id) = self.shard.id_of(key) else { return OutcomeOf::Unknown };
        if let Some(state) = self.state_of(id) {
            return OutcomeOf::Pending(state);
        }
        match self.endings.get(id) {
            Some(ended) => OutcomeOf::Ended(ended.clone()),
            None => OutcomeOf::Unknown,
        }
    }

    pub(crate) fn begun(&self, id: InvocationId) -> Option<InvocationRecord> {
        let run = self.shard.runs.get(&id)?;
        let lane = &self.shard.lanes.get(run.lane).settings;
        Some(begun::so_far((run, lane), self.parts.clock.now()))
    }

    /// Answers when a delivery has ended; at once where it is not unfinished.
    pub(crate) fn await_end(&mut self, key: &DeliveryKey, reply: oneshot::Sender<Ended>) {
        let Some(id) = self.shard.id_of(key) else { return };
        if self.shard.deliveries.contains(&id) {
            let waiting = self.ending.entry(id).or_default();
            waiting.retain(|other| !other.is_closed());
            waiting.push(reply);
        } else if let Some(ended) = self.endings.get(id) {
            let _ = reply.send(ended.clone());
        }
    }

    pub(crate) fn cancel(&mut self, key: &DeliveryKey, request: CancelRequest) {
        match self.shard.id_of(key) {
            Some(id) => self.cancel_id(id, request),
            None => drop(request.reply.send(Cancellation::NotFound)),
        }
    }

    fn cancel_id(&mut self, id: Id, request: CancelRequest) {
        let Some(pending) = self.shard.deliveries.get(&id) else {
            let _ = request.reply.send(Cancellation::NotFound);
            return;
        };
        match pending.state {
            State::Settling(_) => drop(request.reply.send(Cancellation::TooLate)),
            State::Running { .. } => self.outbox.push(Out::Cancel(id, request)),
            // Of one that began early the next record tells more.
            State::Queued { .. }
                if self.scheduler.why(id).is_some() && !self.shared.early.has(id.event) =>
            {
                // It must not begin before its cancellation is in the log.
                self.scheduler.withdraw(id);
                self.outbox.push(Out::Cancel(id, request));
            }
            // Its attempt is about to begin, or a verdict about it is on its way: what comes next
            // decides.
            State::Queued { .. } => self.cancel_later.entry(id).or_default().push(request),
        }
    }

    /// Looks again at cancellations that came while an attempt began.
    pub(super) fn cancel_again(&mut self, id: Id) {
        for request in self.cancel_later.remove(&id).unwrap_or_default() {
            self.cancel_id(id, request);
        }
    }

    pub(crate) fn cancel_schedule(
        &mut self,
        (project, id): (&str, EventId),
        record: DeliveryRecord,
        reply: oneshot::Sender<bool>,
    ) {
        let known = self.shard.schedules.get(&id);
        let own = known.is_some_and(|at| &*at.project == project);
        if own && self.firing.insert(id) {
            self.outbox.push(Out::Unschedule(Box::new(record), reply));
        } else {
            let _ = reply.send(false);
        }
    }

    pub(crate) fn carry(&mut self, schedules: Vec<(EventId, u64)>) {
        self.outbox.extend(schedules.into_iter().map(|(id, sequence)| Out::Carry(id, sequence)));
    }

    /// Whether an invocation takes a signal now. If so, `reply` gets what it says when the signal
    /// with this id is applied: the invocation may have ended by then.
    pub(crate) fn await_signal(
        &mut self,
        (signal, invocation): ([u8; 16], InvocationId),
        reply: oneshot::Sender<Receiver>,
    ) -> Receiver {
        let receiver = self.shard.receiver(invocation);
        if receiver == Receiver::Open {
            self.signalling.retain(|_, other| !other.is_closed());
            self.signalling.insert(signal, reply);
        }
        receiver
    }

    /// Just before a signal is applied.
    pub(super) fn signal_applies(&mut self, record: &SignalRecord) {
        let Ok(signal) = <[u8; 16]>::try_from(&record.id[..]) else { return };
        let Some(reply) = self.signalling.remove(&signal) else { return };
        let receiver = match InvocationId::try_from(&record.invocation[..]) {
            Ok(invocation) => self.shard.receiver(invocation),
            Err(_) => Receiver::None,
        };
        // Whoever went away needs no answer.
        let _ = reply.send(receiver);
    }

    /// When a schedule of a project is due, unless its event has happened.
    pub(crate) fn scheduled(&self, project: &str, id: EventId) -> Option<Timestamp> {
        let found = self.shard.schedules.get(&id).filter(|at| &*at.project == project)?;
        Some(Timestamp::from_unix_ns(found.due_ns))
    }

    /// The declared resources that the shard does not know in this revision or a newer one.
    pub(crate) fn unknown(&self, declared: Vec<DeclaredKey>) -> Vec<DeclaredKey> {
        declared.into_iter().filter(|key| !self.shard.lanes.knows(key)).collect()
    }

    /// The signals that nobody has taken, oldest first: where they stand, with their names.
    pub(crate) fn signals(&self, invocation: InvocationId) -> Vec<(u64, String)> {
        let waiting = self.shard.runs.get(&invocation).map(|run| &run.signals[..]);
        let waiting = waiting.unwrap_or_default();
        waiting.iter().map(|at| (at.sequence, at.name.to_string())).collect()
    }
}
