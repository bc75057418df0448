//! What the records say about a lane besides its deliveries: how full it is, its breaker, its
//! rate, when its cron triggers fired.

use std::collections::BTreeMap;

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
    /// The time at which each cron trigger fired last, by its hash: not the latest one, where the clock
    /// went back.
    pub(crate) fired: BTreeMap<u64, i64>,
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

impl LaneState {
    pub(crate) fn cron_fired(&mut self, cron: u64, scheduled_ns: i64) {
        self.fired.insert(cron, scheduled_ns);
    }

    /// An attempt ended. Returns whether the breaker changed.
    pub(crate) fn breaker_ended(
        &mut self,
        failed: bool,
        at_ns: i64,
        breaker: Option<BreakerOf>,
    ) -> bool {
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
            // Also when it was open until later: the clock may have gone back since.
            (_, true) => BreakerState::Open { until_ns },
        };
        before != self.breaker
    }
}
