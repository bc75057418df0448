//! The pure core: `apply(record) -> actions`. No clock, no I/O, no locks.
//!
//! ```text
//!              event matches                started              succeeded
//!                   │                  ┌────────────► Running ──────────────► (forgotten)
//!                   ▼                  │             ▲      │ failed, attempts left
//!                 Queued ──────────────┘      resumed│      ▼
//!                   ▲                           Suspended  Queued (due later)
//!                   │ redriven                              │ no attempts left
//!                 (dead) ◄──────── its record ── Settling ◄─┘
//! ```
//!
//! `Settling` lasts from a verdict until its record is in the log, so that a crash in between
//! repeats the verdict instead of losing it. Who may begin when is not decided here: the
//! [`Scheduler`](crate::scheduler::Scheduler) does, from this state.

mod decided;
mod durable;
mod ended;
mod lane_state;
mod seen;
mod state;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use nexus_log::Entry;
use nexus_model::record::{DeliveryDecision, EventRecord, Record, ScheduleRecord, StartedRecord};
use nexus_model::resource::QueueFull;
use nexus_model::{Code, EventId, InvocationId, limits};

pub(crate) use durable::Receiver;
pub(crate) use lane_state::{BreakerState, LaneState};
pub(crate) use seen::Seen;
pub(crate) use state::{
    Dead, Id, Pending, Run, Scheduled, State, Suspension, Verdict, WaitingSignal,
};
pub use state::{DeliveryKey, DeliveryState, Ended};

use crate::error::counted;
use crate::lanes::{Lane, LaneId, Lanes};
use crate::settings::Settings;
use crate::table::Table;
use crate::{cron, outgoing};
use nexus_content::Content;

/// Distinct event types that are kept once instead of once per delivery.
const TYPES_MAX: usize = 10_000;

/// Where something stands after a restart: stage, place in the log, id, lane.
type Place = (u8, u64, [u8; 16], u32);

/// What the driver has to do after a record was applied.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Action {
    /// A delivery waits for its turn, now or from its due time on.
    Queue(Id),
    /// A delivery is under way: it waits no more.
    Begun(Id),
    /// A delivery is finished.
    Forget(Id, Ended),
    /// Append the verdict about a delivery.
    Settle(Id),
    /// Append that an invocation ended with its node, or was cancelled while it slept.
    Close(InvocationId),
    /// A durable invocation goes on.
    Resume(InvocationId),
    /// A durable invocation goes on at this time, unless something wakes it before.
    WakeAt(InvocationId, i64),
    /// Stop a running invocation.
    Strike(InvocationId),
    /// An event happens at this time.
    Timer(EventId, i64),
    /// The settings or the breaker of a lane are others now.
    Lane(LaneId),
}

/// The state of one shard, derived from its records and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    pub(crate) position: u64,
    pub(crate) lanes: Lanes,
    pub(crate) states: Table<LaneId, LaneState>,
    pub(crate) seen: Seen,
    pub(crate) deliveries: Table<Id, Pending>,
    pub(crate) runs: Table<InvocationId, Run>,
    /// Signals to asynchronous invocations that have not begun.
    pub(crate) early: Table<InvocationId, Vec<WaitingSignal>>,
    pub(crate) schedules: Table<EventId, Scheduled>,
    pub(crate) dead: Table<Id, Dead>,
    /// Asynchronous invocations whose first attempt waits for its turn, with their lanes.
    pub(crate) named: HashMap<EventId, LaneId>,
    pub(crate) types: HashSet<Arc<str>>,
}

impl Shard {
    /// The sequence number of the last record that was applied.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// How many deliveries are unfinished.
    pub(crate) fn pending(&self) -> usize {
        self.deliveries.len()
    }

    /// Takes in the next record. A record that was applied already changes nothing.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Vec<Action> {
        let sequence = entry.position.sequence;
        let mut actions = Vec::new();
        if sequence <= self.position {
            return actions;
        }
        self.position = sequence;
        match &entry.record {
            Record::Event(record) => self.event(record, &mut actions),
            Record::Started(record) => self.started(record, &mut actions),
            Record::Invocation(record) => self.ended(record, &mut actions),
            Record::Delivery(record) => self.decided(record, &mut actions),
            Record::Config(record) => {
                let changed = self.lanes.configure(record, self.position);
                actions.extend(changed.into_iter().map(Action::Lane));
            }
            Record::Schedule(record) => self.scheduled(record, &mut actions),
            Record::Journal(record) => self.journaled(record),
            Record::Suspended(record) => self.suspended(record, &mut actions),
            Record::Signal(record) => self.signalled(record, &mut actions),
            Record::Note(_) | Record::Progress(_) => {}
        }
        actions
    }

    /// Records up to here do not concern the shard and were not given to [`apply`](Self::apply).
    pub(crate) fn skip_to(&mut self, sequence: u64) {
        self.position = self.position.max(sequence);
    }

    /// What has to be done after a restart, once every record of the log was applied: nothing that
    /// was under way in memory is left, so all of it begins again.
    pub(crate) fn recover(&self) -> Vec<Action> {
        // In the order of the log, so that a restart behaves like the run before it; what is under
        // way first, because it holds up the others of its key.
        let mut actions: Vec<(Place, Action)> = Vec::new();
        for (id, pending) in self.deliveries.iter() {
            let (stage, action) = match &pending.state {
                State::Running { .. } => (0, Action::Begun(*id)),
                State::Settling(_) => (1, Action::Settle(*id)),
                State::Queued { .. } => (2, Action::Queue(*id)),
            };
            let place = (stage, pending.order, *id.event.as_bytes(), id.lane.0);
            actions.push((place, action));
        }
        for (id, run) in self.runs.iter() {
            actions.push(((3, run.sequence, *id.as_bytes(), 0), self.recover_run(*id, run)));
        }
        for (id, at) in self.schedules.iter() {
            let place = (4, at.sequence, *id.as_bytes(), 0);
            actions.push((place, Action::Timer(*id, at.due_ns)));
        }
        actions.sort_by_key(|(place, _)| *place);
        let lanes = self.lanes.iter().map(|(id, _)| Action::Lane(id));
        lanes.chain(actions.into_iter().map(|(_, action)| action)).collect()
    }

    /// Which delivery a record means, where its lane is known.
    pub(crate) fn id(
        &self,
        event: &[u8],
        (project, function, trigger): (&str, &str, &str),
    ) -> Option<Id> {
        let event = EventId::try_from(event).ok()?;
        Some(Id { event, lane: self.lanes.find(project, function, trigger)? })
    }

    /// The names behind an id.
    pub(crate) fn key(&self, id: Id) -> DeliveryKey {
        let Lane { project, function, trigger, .. } = &**self.lanes.get(id.lane);
        DeliveryKey {
            event: id.event,
            project: project.clone(),
            function: function.clone(),
            trigger: trigger.clone(),
        }
    }

    /// The id behind names.
    pub(crate) fn id_of(&self, key: &DeliveryKey) -> Option<Id> {
        let lane = self.lanes.find(&key.project, &key.function, &key.trigger)?;
        Some(Id { event: key.event, lane })
    }

    pub(crate) fn state(&self, lane: LaneId) -> LaneState {
        self.states.get(&lane).cloned().unwrap_or_default()
    }

    fn state_mut(&mut self, lane: LaneId) -> &mut LaneState {
        self.states.entry(lane)
    }

    fn event(&mut self, record: &EventRecord, actions: &mut Vec<Action>) {
        let Some(event) = record.event_id() else { return };
        if let Ok(schedule) = EventId::try_from(&record.schedule[..])
            && self.schedules.remove(&schedule).is_none()
        {
            // It has happened already, or was cancelled: this one is a repeat.
            return;
        }
        let project = record.meta.project.as_str();
        let content = Content::from(&record.event);
        if record.target.is_empty() {
            for lane in self.lanes.matching(project, &content) {
                self.enqueue(Id { event, lane }, (record, &content), actions);
            }
            return;
        }
        let lane = self.lanes.lane(project, &record.target, &record.trigger);
        if let Some((cron, scheduled_ns)) = cron::fired(&record.event) {
            self.state_mut(lane).cron_fired(cron, scheduled_ns);
        }
        self.enqueue(Id { event, lane }, (record, &content), actions);
    }

    fn enqueue(
        &mut self,
        id: Id,
        (record, content): (&EventRecord, &Content<'_>),
        actions: &mut Vec<Action>,
    ) {
        if self.deliveries.contains(&id) {
            return;
        }
        let settings = self.lanes.get(id.lane).settings.clone();
        let key = match &settings.key {
            Some(expression) => expression.key(content),
            None => Some(record.meta.ordering_key.clone()).filter(|key| !key.is_empty()),
        };
        let verdict = self.verdict_at_once(id, (record, content), &settings);
        self.state_mut(id.lane).pending += 1;
        let pending = Pending {
            sequence: self.position,
            order: self.position,
            since_ns: record.received_ns,
            key: key.map(Arc::from),
            ty: self.intern(&record.event.ty),
            attempt: 1,
            named: record.event.ty == outgoing::INVOKE_TYPE,
            state: match verdict {
                Some(verdict) => State::Settling(Box::new(verdict)),
                None => State::Queued { due_ns: 0, failed: None },
            },
        };
        actions.push(match &pending.state {
            State::Settling(_) => Action::Settle(id),
            _ => Action::Queue(id),
        });
        self.put(id, pending);
    }

    /// What is decided about a delivery before it waits for anything.
    fn verdict_at_once(
        &mut self,
        id: Id,
        (record, content): (&EventRecord, &Content<'_>),
        settings: &Settings,
    ) -> Option<Verdict> {
        if outgoing::chain_of(record) > limits::CALL_DEPTH_MAX {
            return Some(Verdict::too_deep());
        }
        let duplicate = settings.deduplicate.as_ref().is_some_and(|(expression, age)| {
            let key = expression.key(content);
            let now = (record.received_ns, *age);
            key.is_some_and(|key| self.seen.seen(id.lane, &key, now))
        });
        // What takes the place of a dead letter has its key.
        if duplicate && record.replaces.is_empty() {
            let reason = "an event with the same deduplication key was there before".to_owned();
            return Some(Verdict::new(DeliveryDecision::Duplicate, reason, ""));
        }
        let pending = self.state_mut(id.lane).pending;
        match settings.queue {
            Some((max, QueueFull::Dead)) if pending >= max => {
                let words = ("delivery was unfinished", "deliveries were unfinished");
                let unfinished = counted(u64::from(max), words);
                let reason = format!("{unfinished}, which is the limit of its queue");
                Some(Verdict::new(DeliveryDecision::Dead, reason, Code::QueueFull.as_str()))
            }
            _ => None,
        }
    }

    /// Takes in a delivery from a checkpoint.
    pub(crate) fn restore(&mut self, id: Id, pending: Pending) {
        self.state_mut(id.lane).pending += 1;
        self.put(id, pending);
    }

    fn put(&mut self, id: Id, pending: Pending) {
        let waits = pending.attempt == 1 && matches!(pending.state, State::Queued { .. });
        if pending.named && waits {
            self.named.insert(id.event, id.lane);
        }
        self.deliveries.insert(id, pending);
    }

    /// Few types make most events.
    pub(crate) fn intern(&mut self, ty: &str) -> Arc<str> {
        if let Some(known) = self.types.get(ty) {
            return known.clone();
        }
        let ty: Arc<str> = ty.into();
        if self.types.len() < TYPES_MAX {
            self.types.insert(ty.clone());
        }
        ty
    }

    fn started(&mut self, record: &StartedRecord, actions: &mut Vec<Action>) {
        let Some(id) = InvocationId::try_from(&record.id[..]).ok() else { return };
        if record.resumes > 0 {
            self.resumed(id, record);
            return;
        }
        let names =
            (record.meta.project.as_str(), record.function.as_str(), record.trigger.as_str());
        let Some(lane) = self.lanes.find(names.0, names.1, names.2) else { return };
        let events = std::iter::once(&record.meta.cause_event).chain(&record.batch);
        let mut members = Vec::with_capacity(1 + record.batch.len());
        for event in events {
            let Ok(event) = EventId::try_from(&event[..]) else { continue };
            let member = Id { event, lane };
            let Some(pending) = self.deliveries.get_mut(&member) else { continue };
            let queued = matches!(pending.state, State::Queued { .. });
            // In a batch each event counts its own attempts.
            if queued && (pending.attempt == record.attempt || !record.batch.is_empty()) {
                pending.state = State::Running { run: id, cancelled: false };
                members.push(event);
                actions.push(Action::Begun(member));
            }
        }
        if members.is_empty() {
            return;
        }
        self.spend(lane, record.started_ns);
        let signals = self.early_signals(&members);
        let sequence = self.position;
        let run = Run { signals, ..Run::new(record.clone(), lane, (members, sequence)) };
        self.runs.insert(id, run);
    }

    /// The signals to calls that begin now, which do not wait for their turn any more. A call that
    /// joins a batch has no invocation of its own: what it was sent is for that of the batch.
    fn early_signals(&mut self, members: &[EventId]) -> Vec<WaitingSignal> {
        let mut signals = Vec::new();
        for event in members {
            self.named.remove(event);
            let early = self.early.remove(&InvocationId::from_bytes(*event.as_bytes()));
            signals.extend(early.unwrap_or_default());
        }
        signals.sort_by_key(|signal: &WaitingSignal| signal.sequence);
        signals
    }

    /// Counts the begin of an attempt against the rate that holds for a lane.
    fn spend(&mut self, id: LaneId, now_ns: i64) {
        let lane = self.lanes.get(id);
        let Some(rate) = lane.settings.gate.rate else { return };
        let owner = if lane.settings.gate.own_rate { id } else { lane.base };
        self.state_mut(owner).bucket.took(rate, now_ns);
    }

    fn scheduled(&mut self, record: &ScheduleRecord, actions: &mut Vec<Action>) {
        let Ok(id) = EventId::try_from(&record.id[..]) else { return };
        let project = record.meta.project.as_str();
        let sequence = self.position;
        if let Some(known) = self.schedules.get_mut(&id) {
            // It was carried forward.
            known.sequence = sequence;
            return;
        }
        let project = self.intern(project);
        self.schedules.insert(id, Scheduled { project, due_ns: record.due_ns, sequence });
        actions.push(Action::Timer(id, record.due_ns));
    }
}

#[cfg(test)]
mod tests;
