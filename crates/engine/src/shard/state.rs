//! What the shard remembers of deliveries, invocations, schedules and dead letters.

use std::sync::Arc;

use nexus_model::record::{DeliveryDecision, StartedRecord, Status};
use nexus_model::{Code, EventId, InvocationId, Timestamp, limits};

use crate::lanes::LaneId;

/// One event on its way to one function by one trigger.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DeliveryKey {
    /// The event.
    pub event: EventId,
    /// The project.
    pub project: Arc<str>,
    /// The function.
    pub function: Arc<str>,
    /// A Trigger's name, or empty for the function's own triggers.
    pub trigger: Arc<str>,
}

/// The same, without its names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Id {
    pub(crate) event: EventId,
    pub(crate) lane: LaneId,
}

/// Where a delivery stands.
#[derive(Clone, PartialEq, Debug)]
pub enum DeliveryState {
    /// It may be tried as soon as nothing holds it up.
    Ready {
        /// The attempt to make.
        attempt: u32,
    },
    /// The next attempt is due later.
    Waiting {
        /// The attempt to make.
        attempt: u32,
        /// When.
        due: Timestamp,
        /// Why the last one failed; empty for a redriven delivery.
        reason: String,
    },
    /// An attempt has begun.
    Running {
        /// Its number.
        attempt: u32,
        /// Its invocation.
        invocation: InvocationId,
        /// Somebody wants it to stop.
        cancelled: bool,
    },
    /// A durable invocation sleeps or waits for a signal.
    Suspended {
        /// The attempt.
        attempt: u32,
        /// Its invocation.
        invocation: InvocationId,
        /// When it goes on at the latest.
        until: Option<Timestamp>,
        /// The signal that it waits for.
        signal: Option<String>,
    },
    /// It was decided; the record that says so is not in the log yet.
    Settling {
        /// How many attempts were made.
        attempts: u32,
        /// What was decided.
        decision: DeliveryDecision,
        /// Why.
        reason: String,
    },
}

/// A delivery that is not finished.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Pending {
    /// Where its event stands in the log.
    pub(crate) sequence: u64,
    /// Its place among those of its key.
    pub(crate) order: u64,
    /// When it was accepted or redriven: its age counts from here.
    pub(crate) since_ns: i64,
    pub(crate) key: Option<Arc<str>>,
    /// The event's type.
    pub(crate) ty: Arc<str>,
    /// The attempt to make, or that is being made.
    pub(crate) attempt: u32,
    /// The first attempt has the event's id.
    pub(crate) named: bool,
    pub(crate) state: State,
}

impl Pending {
    /// Whether its first attempt will be the invocation whose id its caller has.
    pub(crate) fn is_untried_call(&self) -> bool {
        self.named && self.attempt == 1 && !matches!(self.state, State::Running { .. })
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum State {
    Queued {
        /// 0 for now.
        due_ns: i64,
        /// Why the last attempt failed.
        failed: Option<Box<str>>,
    },
    Running {
        run: InvocationId,
        cancelled: bool,
    },
    Settling(Box<Verdict>),
}

/// What is to be recorded about a delivery.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Verdict {
    pub(crate) decision: DeliveryDecision,
    pub(crate) reason: String,
    pub(crate) code: String,
    pub(crate) status: Status,
    /// The last attempt, where there was one.
    pub(crate) invocation: Option<InvocationId>,
    pub(crate) attempts: u32,
}

impl Verdict {
    pub(crate) fn new(decision: DeliveryDecision, reason: String, code: &str) -> Self {
        Verdict {
            decision,
            reason,
            code: code.to_owned(),
            status: Status::Unknown,
            invocation: None,
            attempts: 0,
        }
    }

    /// About a delivery that is not made because too many outcomes led to it.
    pub(crate) fn too_deep() -> Self {
        let reason = format!(
            "{} outcomes and fallbacks of functions led to it, one after the other, which is the limit",
            limits::CALL_DEPTH_MAX
        );
        Verdict::new(DeliveryDecision::Dead, reason, Code::CallTooDeep.as_str())
    }

    /// Whether it is that: a destination would only make the chain longer.
    pub(crate) fn is_too_deep(&self) -> bool {
        self.attempts == 0 && self.code == Code::CallTooDeep.as_str()
    }
}

/// An invocation that has begun and not ended.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Run {
    pub(crate) started: StartedRecord,
    pub(crate) sequence: u64,
    pub(crate) lane: LaneId,
    pub(crate) members: Arc<[EventId]>,
    /// Where the pieces of its journal stand in the log.
    pub(crate) pieces: Vec<u64>,
    /// How often it went on since it last got any further.
    pub(crate) stalled: u32,
    pub(crate) suspension: Option<Suspension>,
    pub(crate) signals: Vec<WaitingSignal>,
}

impl Run {
    pub(crate) fn new(
        started: StartedRecord,
        lane: LaneId,
        (members, sequence): (Vec<EventId>, u64),
    ) -> Self {
        Run {
            started,
            sequence,
            lane,
            members: members.into(),
            pieces: Vec::new(),
            stalled: 0,
            suspension: None,
            signals: Vec::new(),
        }
    }

    /// The lowest sequence number that it needs.
    pub(crate) fn floor(&self) -> u64 {
        let signals = self.signals.iter().map(|at| at.sequence);
        self.pieces.iter().copied().chain(signals).chain([self.sequence]).min().unwrap_or(0)
    }
}

/// What a sleeping invocation waits for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Suspension {
    /// 0 for never by itself.
    pub(crate) until_ns: i64,
    /// Empty for none.
    pub(crate) signal: Box<str>,
    pub(crate) ran_ns: u64,
}

/// A signal that nobody has taken.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct WaitingSignal {
    pub(crate) id: [u8; 16],
    pub(crate) sequence: u64,
    pub(crate) name: Box<str>,
}

/// An event that happens later.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Scheduled {
    pub(crate) project: Arc<str>,
    pub(crate) due_ns: i64,
    /// Where its record stands in the log.
    pub(crate) sequence: u64,
}

/// A delivery that lies in the dead letters.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Dead {
    pub(crate) sequence: u64,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) ty: Arc<str>,
    pub(crate) attempts: u32,
    pub(crate) reason: Box<str>,
    pub(crate) code: Box<str>,
    pub(crate) at_ns: i64,
}

/// How a delivery ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// What was decided; `None` when the function handled it.
    pub decision: Option<DeliveryDecision>,
    /// The last attempt, where it is known.
    pub invocation: Option<InvocationId>,
    /// How many attempts were made.
    pub attempts: u32,
    /// Why, for people; empty for a success.
    pub reason: String,
}
