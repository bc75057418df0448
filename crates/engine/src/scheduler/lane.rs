//! The deliveries of one lane that wait, and what holds them up.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LazyLock};

use nexus_model::{EventId, InvocationId};

use super::keys::KeyQueue;
use crate::lanes::LaneId;
use crate::settings::Settings;
use crate::shard::BreakerState;

/// See the module. Most functions are idle: what goes on is kept apart, from its first change on.
#[derive(Debug)]
pub(crate) struct LaneQueue {
    pub(crate) settings: Arc<Settings>,
    pub(crate) project: u32,
    pub(crate) base: LaneId,
    traffic: Option<Box<Traffic>>,
}

/// What goes on in a lane.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) breaker: BreakerState,
    /// Deliveries that only limits of the lane and the node hold up, in the order of the log.
    pub(crate) ready: BTreeSet<(u64, EventId)>,
    pub(crate) keys: HashMap<Arc<str>, KeyQueue>,
    /// How many of those behind others of their key could stand in the next batch, at most; see
    /// [`KeyQueue::lendable`]. Kept where there are batches.
    pub(crate) lendable: usize,
    pub(crate) resumes: VecDeque<InvocationId>,
    pub(crate) running: u32,
    /// When the first of those that are ready came: a batch waits from here. `None` where nothing is
    /// ready, or somebody has to look again.
    pub(crate) batch_since_ns: Option<i64>,
    /// Deliveries up to this place in the log are not made any more: see
    /// [`Gone`](crate::lanes::Gone).
    pub(crate) given_up_through: Option<u64>,
    pub(crate) enlisted: bool,
    /// What held it up when it was looked at last.
    pub(crate) blocked: Option<Blocked>,
    /// The node cannot run it: it is left alone for a moment.
    pub(crate) hold: Option<Hold>,
}

/// See [`Traffic::hold`].
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) until_ns: i64,
    pub(crate) reason: Arc<str>,
}

/// What holds up a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Blocked {
    Paused,
    Breaker {
        until_ns: i64,
    },
    /// The attempt that decides about the breaker runs.
    Probe,
    Batch {
        until_ns: i64,
    },
    Concurrency {
        running: u32,
        limit: u32,
    },
    Rate {
        until_ns: i64,
    },
    /// All slots of the node are taken.
    Node {
        limit: usize,
    },
    /// See [`Traffic::hold`].
    Hold {
        until_ns: i64,
    },
}

impl LaneQueue {
    pub(super) fn new(id: LaneId) -> Self {
        LaneQueue { settings: Arc::default(), project: 0, base: id, traffic: None }
    }

    /// Takes in what is known of it from elsewhere.
    pub(super) fn set(&mut self, breaker: BreakerState, given_up_through: Option<u64>) {
        if (self.breaker, self.given_up_through) != (breaker, given_up_through) {
            (self.breaker, self.given_up_through) = (breaker, given_up_through);
        }
    }
}

static NONE: LazyLock<Traffic> = LazyLock::new(Traffic::default);

impl Deref for LaneQueue {
    type Target = Traffic;

    fn deref(&self) -> &Traffic {
        self.traffic.as_deref().unwrap_or_else(|| &NONE)
    }
}

impl DerefMut for LaneQueue {
    fn deref_mut(&mut self) -> &mut Traffic {
        self.traffic.get_or_insert_default()
    }
}
