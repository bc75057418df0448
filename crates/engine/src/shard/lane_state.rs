//! What the records say about a lane besides its deliveries: how full it is, its breaker, the keys
//! that it has seen, when its cron triggers fired.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use nexus_model::limits;

use crate::scheduler::Bucket;
use crate::settings::BreakerOf;

/// See the module.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct LaneState {
    /// Unfinished deliveries.
    pub(crate) pending: u32,
    pub(crate) breaker: BreakerState,
    /// What is spent of the rate that the lane owns.
    pub(crate) bucket: Bucket,
    /// The last time at which each cron trigger fired, by its hash.
    pub(crate) fired: BTreeMap<u64, i64>,
    pub(crate) seen: Seen,
}

/// Whether a function that only fails is left alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BreakerState {
    /// It is called; so many attempts in a row failed.
    Closed { failures: u32 },
    /// It is left alone until then; the first attempt after that decides.
    Open { until_ns: i64 },
}

impl Default for BreakerState {
    fn default() -> Self {
        BreakerState::Closed { failures: 0 }
    }
}

/// Deduplication keys by hash, with the time at which each was seen first.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) keys: HashMap<[u8; 16], i64>,
    pub(crate) order: VecDeque<(i64, [u8; 16])>,
}

impl LaneState {
    /// Whether a key was seen within `age`; remembers it where it was not.
    pub(crate) fn seen(&mut self, key: &str, now_ns: i64, age: Duration) -> bool {
        let age_ns = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
        let horizon = now_ns.saturating_sub(age_ns);
        while let Some(&(at_ns, oldest)) = self.seen.order.front() {
            if at_ns > horizon && self.seen.order.len() <= limits::DEDUP_ENTRIES_MAX {
                break;
            }
            self.seen.order.pop_front();
            self.seen.keys.remove(&oldest);
        }
        let mut hash = [0; 16];
        hash.copy_from_slice(&blake3::hash(key.as_bytes()).as_bytes()[..16]);
        if self.seen.keys.contains_key(&hash) {
            return true;
        }
        self.seen.keys.insert(hash, now_ns);
        self.seen.order.push_back((now_ns, hash));
        false
    }

    pub(crate) fn cron_fired(&mut self, cron: u64, scheduled_ns: i64) {
        let last = self.fired.entry(cron).or_insert(scheduled_ns);
        *last = (*last).max(scheduled_ns);
    }


    /// An attempt ended. Returns whether the breaker changed.
    pub(crate) fn breaker_ended(&mut self, failed: bool, at_ns: i64, breaker: Option<BreakerOf>) -> bool {
        let before = self.breaker;
        let Some(BreakerOf { failures: max, open }) = breaker else {
            self.breaker = BreakerState::default();
            return before != self.breaker;
        };
        let open_ns = i64::try_from(open.as_nanos()).unwrap_or(i64::MAX);
        let until_ns = at_ns.saturating_add(open_ns);
        self.breaker = match (before, failed) {
            (_, false) => BreakerState::default(),
            (BreakerState::Closed { failures }, true) if failures + 1 < max => {
                BreakerState::Closed { failures: failures + 1 }
            }
            (BreakerState::Closed { .. }, true) => BreakerState::Open { until_ns },
            (BreakerState::Open { until_ns: known }, true) => {
                BreakerState::Open { until_ns: known.max(until_ns) }
            }
        };
        before != self.breaker
    }
}
