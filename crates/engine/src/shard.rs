//! The pure core: `apply(record) -> actions`. No clock, no I/O, no locks.
//!
//! ```text
//!              event matches                started             succeeded
//!                   │                  ┌────────────► Running ──────────────► (forgotten)
//!                   ▼                  │                │ failed, attempts left
//!                 Ready ───────────────┘                ▼
//!                   ▲                                Waiting ── due ──► Ready
//!                   │ redriven                          │ refused, or no attempts left
//!                 (dead) ◄── dead record ── Exhausted ◄─┘
//! ```
//!
//! `Exhausted` lasts from the decision until its record is in the log, so that a crash in between
//! repeats the decision instead of losing it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use nexus_log::Entry;
use nexus_model::record::{
    DeliveryDecision, DeliveryRecord, EventRecord, InvocationRecord, Record, StartedRecord, Status,
    Trigger,
};
use nexus_model::{EventId, Timestamp};

use crate::retry_delay;
use crate::subscriptions::Subscriptions;

/// How much of a failure's message a delivery remembers, in characters.
const REASON_CHARS_MAX: usize = 300;

/// One event on its way to one function.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DeliveryKey {
    /// The event.
    pub event: EventId,
    /// The project.
    pub project: Arc<str>,
    /// The function.
    pub function: Arc<str>,
}

/// Where a delivery stands.
#[derive(Clone, PartialEq, Debug)]
pub enum DeliveryState {
    /// It may be tried now.
    Ready {
        /// The attempt to make.
        attempt: u32,
    },
    /// An attempt has begun.
    Running {
        /// The record of its begin: what a crash report needs.
        started: Box<StartedRecord>,
    },
    /// The last attempt failed; the next one is due later.
    Waiting {
        /// The attempt to make.
        attempt: u32,
        /// When.
        due: Timestamp,
        /// Why the last one failed.
        reason: String,
    },
    /// No further attempts; the record that says so is not in the log yet.
    Exhausted {
        /// How many were made.
        attempts: u32,
        /// Why the last one failed.
        reason: String,
    },
}

/// A delivery that lies in the dead letters.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Dead {
    pub(crate) attempts: u32,
    pub(crate) reason: String,
    pub(crate) at: Timestamp,
}

/// An attempt to make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// What, to whom.
    pub key: DeliveryKey,
    /// 1 for the first.
    pub attempt: u32,
    /// Not before this moment.
    pub due: Timestamp,
}

/// What the driver has to do after a record was applied.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Make an attempt.
    Deliver(Delivery),
    /// Append that there are no further attempts.
    GiveUp {
        /// What, to whom.
        key: DeliveryKey,
        /// How many attempts were made.
        attempts: u32,
        /// Why the last one failed.
        reason: String,
    },
    /// Append that the attempt ended with its node.
    Crashed {
        /// What, to whom.
        key: DeliveryKey,
        /// The record of its begin.
        started: Box<StartedRecord>,
    },
}

/// The state of one shard, derived from its records and nothing else.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Shard {
    pub(crate) position: u64,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) deliveries: HashMap<DeliveryKey, DeliveryState>,
    pub(crate) dead: BTreeMap<DeliveryKey, Dead>,
}

impl Shard {
    /// The sequence number of the last record that was applied.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many deliveries are unfinished.
    pub fn pending(&self) -> usize {
        self.deliveries.len()
    }

    /// Where a delivery stands, if it is unfinished.
    pub fn delivery(&self, key: &DeliveryKey) -> Option<&DeliveryState> {
        self.deliveries.get(key)
    }

    /// Takes in the next record. A record that was applied already changes nothing.
    pub fn apply(&mut self, entry: &Entry) -> Vec<Action> {
        if entry.position.sequence <= self.position {
            return Vec::new();
        }
        self.position = entry.position.sequence;
        match &entry.record {
            Record::Event(record) => self.event(record),
            Record::Started(record) => {
                self.started(record);
                Vec::new()
            }
            Record::Invocation(record) => self.ended(record).into_iter().collect(),
            Record::Delivery(record) => self.decided(record).into_iter().collect(),
            Record::Config(record) => {
                self.subscriptions.configure(record);
                Vec::new()
            }
            Record::Note(_)
            | Record::Schedule(_)
            | Record::Journal(_)
            | Record::Suspended(_)
            | Record::Signal(_)
            | Record::Progress(_) => Vec::new(),
        }
    }

    /// What has to be done after a restart, once every record of the log was applied: nothing that
    /// was under way in memory is left, so all of it begins again.
    pub fn recover(&self) -> Vec<Action> {
        let mut actions: Vec<Action> = self
            .deliveries
            .iter()
            .map(|(key, state)| match state {
                DeliveryState::Ready { attempt } => deliver(key, *attempt, Timestamp::EPOCH),
                DeliveryState::Waiting { attempt, due, .. } => deliver(key, *attempt, *due),
                DeliveryState::Running { started } => {
                    Action::Crashed { key: key.clone(), started: started.clone() }
                }
                DeliveryState::Exhausted { attempts, reason } => {
                    Action::GiveUp { key: key.clone(), attempts: *attempts, reason: reason.clone() }
                }
            })
            .collect();
        actions.sort_by(|a, b| key_of(a).cmp(key_of(b)));
        actions
    }

    fn event(&mut self, record: &EventRecord) -> Vec<Action> {
        let Some(event) = record.event_id() else { return Vec::new() };
        let functions = self.subscriptions.matching(&record.meta.project, &record.event.ty);
        let project: Arc<str> = record.meta.project.as_str().into();
        functions
            .into_iter()
            .map(|function| {
                let key = DeliveryKey { event, project: project.clone(), function };
                self.deliveries.insert(key.clone(), DeliveryState::Ready { attempt: 1 });
                deliver(&key, 1, Timestamp::EPOCH)
            })
            .collect()
    }

    fn started(&mut self, record: &StartedRecord) {
        let Some(key) = key_from(&record.meta.cause_event, &record.meta.project, &record.function)
        else {
            return;
        };
        if let Some(state) = self.deliveries.get_mut(&key)
            && matches!(state, DeliveryState::Ready { attempt } | DeliveryState::Waiting { attempt, .. } if *attempt == record.attempt)
        {
            *state = DeliveryState::Running { started: Box::new(record.clone()) };
        }
    }

    fn ended(&mut self, record: &InvocationRecord) -> Option<Action> {
        if record.trigger() != Trigger::Event {
            return None;
        }
        let key = key_from(&record.meta.cause_event, &record.meta.project, &record.function)?;
        let attempt = match self.deliveries.get(&key)? {
            DeliveryState::Running { started } => started.attempt,
            DeliveryState::Ready { attempt } | DeliveryState::Waiting { attempt, .. } => *attempt,
            DeliveryState::Exhausted { .. } => return None,
        };
        if record.attempt != attempt {
            return None;
        }
        let attempts_max = self.subscriptions.attempts_max(&key.project, &key.function);
        match record.status() {
            Status::Succeeded => {
                self.deliveries.remove(&key);
                None
            }
            Status::Refused => Some(self.exhaust(key, attempt, reason(record))),
            _ if attempt >= attempts_max => Some(self.exhaust(key, attempt, reason(record))),
            _ => {
                let delay = retry_delay(key.event, &key.function, attempt);
                let due = Timestamp::from_unix_ns(record.ended_ns).after(delay);
                let state =
                    DeliveryState::Waiting { attempt: attempt + 1, due, reason: reason(record) };
                self.deliveries.insert(key.clone(), state);
                Some(deliver(&key, attempt + 1, due))
            }
        }
    }

    fn exhaust(&mut self, key: DeliveryKey, attempts: u32, reason: String) -> Action {
        let state = DeliveryState::Exhausted { attempts, reason: reason.clone() };
        self.deliveries.insert(key.clone(), state);
        Action::GiveUp { key, attempts, reason }
    }

    fn decided(&mut self, record: &DeliveryRecord) -> Option<Action> {
        let key = key_from(&record.event, &record.project, &record.function)?;
        match record.decision() {
            DeliveryDecision::Dead => {
                self.deliveries.remove(&key);
                let dead = Dead {
                    attempts: record.attempts,
                    reason: record.reason.clone(),
                    at: Timestamp::from_unix_ns(record.at_ns),
                };
                self.dead.insert(key, dead);
                None
            }
            DeliveryDecision::Redriven => {
                self.dead.remove(&key)?;
                self.deliveries.insert(key.clone(), DeliveryState::Ready { attempt: 1 });
                Some(deliver(&key, 1, Timestamp::EPOCH))
            }
            DeliveryDecision::Dropped => {
                self.dead.remove(&key);
                None
            }
            DeliveryDecision::Unknown
            | DeliveryDecision::Cancelled
            | DeliveryDecision::FellBack
            | DeliveryDecision::Duplicate => None,
        }
    }
}

fn deliver(key: &DeliveryKey, attempt: u32, due: Timestamp) -> Action {
    Action::Deliver(Delivery { key: key.clone(), attempt, due })
}

fn key_of(action: &Action) -> &DeliveryKey {
    match action {
        Action::Deliver(delivery) => &delivery.key,
        Action::GiveUp { key, .. } | Action::Crashed { key, .. } => key,
    }
}

fn key_from(event: &[u8], project: &str, function: &str) -> Option<DeliveryKey> {
    let event = EventId::try_from(event).ok()?;
    Some(DeliveryKey { event, project: project.into(), function: function.into() })
}

fn reason(record: &InvocationRecord) -> String {
    let text = match &record.failure {
        Some(failure) => format!("{}: {}", failure.code, failure.message),
        None => format!("it ended as {}", record.status().word()),
    };
    text.chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
