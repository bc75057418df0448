//! The state of one shard: a pure function of the log.
//!
//! ```text
//!   Event ──► due ──Started──► running ──Invocation──┬─ succeeded ──► (gone)
//!              ▲                                     ├─ failed, attempts left ──► due, later
//!              └─────────────────────────────────────┘
//!                                                    └─ refused, or none left ──► dying ──Dead──► dead
//!   after a crash: running without its end ──► an end with the status `crashed`
//! ```
//!
//! [`Shard::apply`] is the only thing that changes it. It has no clock, I/O or lock: time enters as
//! part of a record (decision 1).

use std::collections::{BTreeMap, HashMap};

use nexus_model::record::{
    DeliveryDecision, DeliveryRecord, EventRecord, InvocationRecord, Record, StartedRecord, Status,
    Trigger,
};
use nexus_model::{EventId, InvocationId, Name, Timestamp};
use serde::{Deserialize, Serialize};

use crate::dedup::{Dedup, Seen};
use crate::subscriptions::{Change, Subscriptions};
use crate::{DedupKey, Subscriber, retry_delay};

/// Dead letters that the state lists; older ones are found in the log only.
pub const DEAD_LETTERS_MAX: usize = 1_000_000;

/// The delivery of one event to one function.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct DeliveryKey {
    /// The event.
    pub event: EventId,
    /// The function, in the event's project.
    pub function: Name,
}

/// What is to be done because of a record. Doing it ends in another record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Run the function: append `Started`, run, append the end.
    Attempt(Attempt),
    /// Append an end with the status `crashed`: the node died while it ran.
    Crashed(Crashed),
    /// Append the decision that a delivery is dead.
    Bury(Bury),
}

/// An attempt to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Which delivery.
    pub key: DeliveryKey,
    /// The project.
    pub project: Name,
    /// 1 for the first.
    pub attempt: u32,
    /// Not before this moment.
    pub at: Timestamp,
}

/// An attempt that nobody saw end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Crashed {
    /// Which delivery.
    pub key: DeliveryKey,
    /// The project.
    pub project: Name,
    /// Which attempt.
    pub attempt: u32,
    /// Its invocation.
    pub invocation: InvocationId,
    /// When it began.
    pub started: Timestamp,
}

/// A delivery to be given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bury {
    /// Which delivery.
    pub key: DeliveryKey,
    /// The project.
    pub project: Name,
    /// How many attempts were made.
    pub attempts: u32,
    /// Why, for people.
    pub reason: String,
}

/// A delivery that is not done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) project: Name,
    /// Attempts that have begun.
    pub(crate) attempts: u32,
    pub(crate) state: State,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Due { at: Timestamp },
    Running { invocation: InvocationId, started: Timestamp },
    Dying { reason: String },
}

/// A delivery that was given up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Dead {
    /// The project.
    pub project: Name,
    /// Why, for people.
    pub reason: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// When.
    pub at: Timestamp,
}

/// How much a shard holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ShardStats {
    /// Deliveries that are not done.
    pub deliveries: usize,
    /// Dead letters that are listed.
    pub dead: usize,
    /// (source, id) pairs that are remembered.
    pub remembered: usize,
    /// Functions that are known.
    pub functions: usize,
}

/// The state of a shard.
#[derive(Clone, Default)]
pub struct Shard {
    pub(crate) subscriptions: Subscriptions,
    pub(crate) deliveries: BTreeMap<DeliveryKey, Delivery>,
    pub(crate) dead: BTreeMap<DeliveryKey, Dead>,
    pub(crate) dedup: Dedup,
    /// From running invocations to their deliveries; derived from `deliveries`.
    pub(crate) running: HashMap<InvocationId, DeliveryKey>,
}

impl Shard {
    /// Takes a durable record in and says what is to be done. Records of no interest (synchronous
    /// invocations, notes) change nothing. Whether an event is new was decided before it was
    /// appended ([`duplicate_of`](Self::duplicate_of)): what is in the log is delivered.
    pub fn apply(&mut self, record: &Record) -> Vec<Action> {
        match record {
            Record::Event(event) => self.event(event),
            Record::Started(started) => {
                self.started(started);
                Vec::new()
            }
            Record::Invocation(end) if end.trigger == Trigger::Event as i32 => self.ended(end),
            Record::Config(config) => match self.subscriptions.apply(config) {
                Change::Deleted => self.function_deleted(&config.project, &config.name),
                Change::None | Change::Updated => Vec::new(),
            },
            Record::Delivery(decision) => self.decided(decision),
            Record::Invocation(_) | Record::Note(_) => Vec::new(),
        }
    }

    /// Whatever has to be done after the state was rebuilt: pending attempts, and an end for every
    /// attempt that was running.
    pub fn resume(&self) -> Vec<Action> {
        self.deliveries.iter().map(|(key, delivery)| delivery.action(key)).collect()
    }

    /// The first event with this source and id, if it is remembered.
    pub fn duplicate_of(&self, key: &DedupKey, now: Timestamp) -> Option<EventId> {
        self.dedup.find(key, now)
    }

    /// The functions that are known, deleted ones included.
    pub fn functions(&self) -> impl Iterator<Item = (&(Name, Name), &Subscriber)> {
        self.subscriptions.iter()
    }

    /// The dead letters, the newest event first.
    pub fn dead(&self) -> impl Iterator<Item = (&DeliveryKey, &Dead)> {
        self.dead.iter().rev()
    }

    /// Whether this delivery is neither done nor dead.
    pub fn is_pending(&self, key: &DeliveryKey) -> bool {
        self.deliveries.contains_key(key)
    }

    /// How much it holds.
    pub fn stats(&self) -> ShardStats {
        ShardStats {
            deliveries: self.deliveries.len(),
            dead: self.dead.len(),
            remembered: self.dedup.len(),
            functions: self.subscriptions.iter().count(),
        }
    }

    fn event(&mut self, record: &EventRecord) -> Vec<Action> {
        let (Some(event), Ok(project)) = (record.event_id(), Name::new(&record.meta.project)) else {
            return Vec::new();
        };
        let at = Timestamp::from_unix_ns(record.received_ns);
        let key = DedupKey::of(project.as_str(), &record.event.source, &record.event.id);
        self.dedup.remember(key, Seen { event, at });
        let functions = self.subscriptions.matching(&project, &record.event.ty);
        functions
            .into_iter()
            .map(|function| self.due(DeliveryKey { event, function }, &project, at))
            .collect()
    }

    fn due(&mut self, key: DeliveryKey, project: &Name, at: Timestamp) -> Action {
        let delivery = Delivery { project: project.clone(), attempts: 0, state: State::Due { at } };
        let action = delivery.action(&key);
        self.deliveries.insert(key, delivery);
        action
    }

    fn started(&mut self, record: &StartedRecord) {
        let (Some(key), Ok(invocation)) =
            (delivery_key(&record.meta.cause_event, &record.function), InvocationId::try_from(&record.id[..]))
        else {
            return;
        };
        let Some(delivery) = self.deliveries.get_mut(&key) else { return };
        if !matches!(delivery.state, State::Due { .. }) {
            return;
        }
        delivery.attempts = record.attempt;
        delivery.state =
            State::Running { invocation, started: Timestamp::from_unix_ns(record.started_ns) };
        self.running.insert(invocation, key);
    }

    fn ended(&mut self, record: &InvocationRecord) -> Vec<Action> {
        // An end that no running attempt waits for was counted before: at most once.
        let Some(key) = record.invocation_id().and_then(|id| self.running.remove(&id)) else {
            return Vec::new();
        };
        let Some(delivery) = self.deliveries.get_mut(&key) else { return Vec::new() };
        let status = record.status();
        if status == Status::Succeeded {
            self.deliveries.remove(&key);
            return Vec::new();
        }
        let function = self.subscriptions.get(&delivery.project, &key.function);
        let gone = function.is_none_or(|function| function.deleted);
        let attempts_max =
            function.map_or(nexus_model::limits::ATTEMPTS_DEFAULT, |function| function.attempts);
        let last = record.failure.as_ref().map_or("", |failure| failure.message.as_str());
        delivery.state = if status == Status::Refused {
            State::Dying { reason: format!("the function refused it: {last}") }
        } else if gone {
            State::Dying { reason: "the function was deleted".to_owned() }
        } else if delivery.attempts >= attempts_max {
            let attempts = delivery.attempts;
            State::Dying { reason: format!("attempt {attempts} of {attempts_max} failed: {last}") }
        } else {
            let pause = retry_delay(key.event, &key.function, delivery.attempts);
            State::Due { at: Timestamp::from_unix_ns(record.ended_ns).after(pause) }
        };
        vec![delivery.action(&key)]
    }

    fn decided(&mut self, record: &DeliveryRecord) -> Vec<Action> {
        let (Some(key), Ok(project)) =
            (delivery_key(&record.event, &record.function), Name::new(&record.project))
        else {
            return Vec::new();
        };
        let at = Timestamp::from_unix_ns(record.at_ns);
        match record.decision() {
            DeliveryDecision::Dead => {
                let Some(delivery) = self.deliveries.remove(&key) else { return Vec::new() };
                if let State::Running { invocation, .. } = delivery.state {
                    self.running.remove(&invocation);
                }
                let reason = record.reason.clone();
                self.dead.insert(key, Dead { project, reason, attempts: record.attempts, at });
                while self.dead.len() > DEAD_LETTERS_MAX {
                    self.dead.pop_first();
                }
                Vec::new()
            }
            DeliveryDecision::Redriven if self.dead.remove(&key).is_some() => {
                vec![self.due(key, &project, at)]
            }
            DeliveryDecision::Dropped => {
                self.dead.remove(&key);
                Vec::new()
            }
            DeliveryDecision::Redriven | DeliveryDecision::Unknown => Vec::new(),
        }
    }

    /// What waits for a deleted function is dead; what runs is judged at its end.
    fn function_deleted(&mut self, project: &str, function: &str) -> Vec<Action> {
        let waiting = self.deliveries.iter_mut().filter(|(key, delivery)| {
            key.function.as_str() == function
                && delivery.project.as_str() == project
                && matches!(delivery.state, State::Due { .. })
        });
        waiting
            .map(|(key, delivery)| {
                delivery.state = State::Dying { reason: "the function was deleted".to_owned() };
                delivery.action(key)
            })
            .collect()
    }
}

impl Delivery {
    /// What has to be done in this state.
    fn action(&self, key: &DeliveryKey) -> Action {
        let (key, project) = (key.clone(), self.project.clone());
        match &self.state {
            State::Due { at } => {
                Action::Attempt(Attempt { key, project, attempt: self.attempts + 1, at: *at })
            }
            State::Running { invocation, started } => Action::Crashed(Crashed {
                key,
                project,
                attempt: self.attempts,
                invocation: *invocation,
                started: *started,
            }),
            State::Dying { reason } => Action::Bury(Bury {
                key,
                project,
                attempts: self.attempts,
                reason: reason.clone(),
            }),
        }
    }
}

fn delivery_key(event: &[u8], function: &str) -> Option<DeliveryKey> {
    let event = EventId::try_from(event).ok()?;
    Some(DeliveryKey { event, function: Name::new(function).ok()? })
}
