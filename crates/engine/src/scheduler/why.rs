//! Why a delivery waits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nexus_model::units::exact_duration;
use nexus_model::{EventId, Timestamp};

use super::{Blocked, Place, Scheduler};
use crate::lanes::LaneId;
use crate::shard::Id;

/// What holds up a delivery.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Its function or trigger runs as many attempts as it may.
    Concurrency {
        /// Attempts that run.
        running: u32,
        /// The limit.
        limit: u32,
    },
    /// Its rate is used up.
    Rate {
        /// How many may begin…
        limit: u32,
        /// …per this long.
        per: Duration,
        /// When the next one may begin.
        until: Timestamp,
    },
    /// An earlier event of the same key is not finished.
    Order {
        /// That event.
        behind: EventId,
    },
    /// The function failed too often in a row.
    Breaker {
        /// When it is tried again; the epoch while an attempt decides.
        until: Timestamp,
    },
    /// The trigger is paused.
    Paused,
    /// Other events may join its batch.
    Batch {
        /// When it goes in any case.
        until: Timestamp,
    },
    /// The node runs as many deliveries as it may.
    Node {
        /// The limit.
        limit: usize,
    },
    /// The node cannot run its function now. That is no attempt.
    NotNow {
        /// Why.
        reason: Arc<str>,
        /// When it looks again.
        until: Timestamp,
    },
    /// Others go first; it is its turn soon.
    Turn,
    /// Its time has not come.
    Due {
        /// When it comes.
        at: Timestamp,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Concurrency { running, limit } => write!(f, "concurrency {running}/{limit}"),
            Reason::Rate { limit, per, .. } => write!(f, "rate {limit}/{}", exact_duration(*per)),
            Reason::Order { behind } => write!(f, "order behind {behind}"),
            Reason::Breaker { until } if *until == Timestamp::EPOCH => {
                f.write_str("breaker probing")
            }
            Reason::Breaker { until } => write!(f, "breaker open until {until}"),
            Reason::Paused => f.write_str("paused"),
            Reason::Batch { until } => write!(f, "batch until {until}"),
            Reason::Node { limit } => write!(f, "node slots {limit}/{limit}"),
            Reason::NotNow { reason, .. } => f.write_str(reason),
            Reason::Turn => f.write_str("others first"),
            Reason::Due { at } => write!(f, "due at {at}"),
        }
    }
}

impl Scheduler {
    /// What holds up a delivery that waits; `None` when it does not wait.
    pub(crate) fn why(&self, id: Id) -> Option<Reason> {
        let item = self.items.get(&id)?;
        Some(match item.place {
            Place::Out => return None,
            Place::Due => Reason::Due { at: Timestamp::from_unix_ns(item.due_ns) },
            Place::Behind => {
                let lane = &self.lanes[id.lane.0 as usize];
                let queue = item.key.as_ref().and_then(|key| lane.keys.get(key));
                let front = queue.and_then(|queue| queue.front.first()).map(|(_, event)| *event);
                Reason::Order { behind: front.or(item.behind).unwrap_or(id.event) }
            }
            Place::Ready => {
                let lane = &self.lanes[id.lane.0 as usize];
                let full = self.is_full();
                match lane.blocked {
                    Some(blocked) if !lane.enlisted => self.reason_of(id.lane, blocked),
                    _ if full => Reason::Node { limit: self.running_max },
                    _ => Reason::Turn,
                }
            }
        })
    }

    pub(super) fn reason_of(&self, lane: LaneId, blocked: Blocked) -> Reason {
        let at = Timestamp::from_unix_ns;
        match blocked {
            Blocked::Paused => Reason::Paused,
            Blocked::Breaker { until_ns } => Reason::Breaker { until: at(until_ns) },
            Blocked::Probe => Reason::Breaker { until: Timestamp::EPOCH },
            Blocked::Batch { until_ns } => Reason::Batch { until: at(until_ns) },
            Blocked::Concurrency { running, limit } => Reason::Concurrency { running, limit },
            Blocked::Rate { until_ns } => {
                let rate = self.settings(lane).gate.rate;
                let (limit, per) = rate.map_or((0, Duration::ZERO), |rate| (rate.limit, rate.per));
                Reason::Rate { limit, per, until: at(until_ns) }
            }
            Blocked::Node { limit } => Reason::Node { limit },
            Blocked::Hold { until_ns } => {
                let hold = self.lanes[lane.0 as usize].hold.as_ref();
                let reason = hold.map(|hold| Arc::clone(&hold.reason)).unwrap_or_default();
                Reason::NotNow { reason, until: at(until_ns) }
            }
        }
    }
}
