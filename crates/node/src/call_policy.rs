//! What holds for synchronous calls of a function: its breaker, its fallback, its cached results.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use nexus_model::Name;
use nexus_model::Timestamp;
use nexus_model::resource::{Breaker, FunctionSpec};

use crate::cache_key::RequestKey;

/// The breaker is closed: nothing says otherwise.
const CLOSED: i64 = 0;

/// See the module.
pub(crate) struct CallPolicy {
    pub(crate) breaker: Option<BreakerState>,
    pub(crate) fallback: Option<Name>,
    pub(crate) cache: Option<CachePolicy>,
}

/// Which results are kept, and for how long.
pub(crate) struct CachePolicy {
    pub(crate) key: RequestKey,
    pub(crate) age: Duration,
}

impl CallPolicy {
    /// The policy of a function, with the state of the breaker from before; `None` where nothing
    /// special holds.
    pub(crate) fn of(spec: &FunctionSpec, before: Option<&CallPolicy>) -> Option<Self> {
        let breaker = spec.delivery.breaker.map(|breaker| {
            let known = before.and_then(|at| at.breaker.as_ref());
            BreakerState::new(breaker, known)
        });
        let fallback = spec.delivery.fallback.clone();
        let cache = spec.cache.as_ref().and_then(|cache| {
            let key = RequestKey::parse(&cache.key).ok()?;
            Some(CachePolicy { key, age: cache.age.duration() })
        });
        let policy = CallPolicy { breaker, fallback, cache };
        let something =
            policy.breaker.is_some() || policy.fallback.is_some() || policy.cache.is_some();
        something.then_some(policy)
    }
}

/// Counts failures in a row and says when a function is to be left alone. No lock: the request path
/// reads two words.
pub(crate) struct BreakerState {
    failures_max: u32,
    open_ns: i64,
    failures: AtomicU32,
    /// Until when it is left alone, or [`CLOSED`]. Past that time one call decides.
    until_ns: AtomicI64,
}

/// May a call begin?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Yes.
    Closed,
    /// This one, as a trial: its end decides for the others.
    Trial,
    /// No, until this time.
    Open(Timestamp),
}

impl BreakerState {
    fn new(breaker: Breaker, before: Option<&BreakerState>) -> Self {
        let read = |at: &BreakerState| {
            (at.failures.load(Ordering::Relaxed), at.until_ns.load(Ordering::Relaxed))
        };
        let (failures, until_ns) = before.map_or((0, CLOSED), read);
        BreakerState {
            failures_max: breaker.failures.max(1),
            open_ns: i64::try_from(breaker.open.duration().as_nanos()).unwrap_or(i64::MAX),
            failures: AtomicU32::new(failures),
            until_ns: AtomicI64::new(until_ns),
        }
    }

    /// Whether a call may begin.
    pub(crate) fn ask(&self, now: Timestamp) -> Verdict {
        let until_ns = self.until_ns.load(Ordering::Relaxed);
        if until_ns == CLOSED {
            return Verdict::Closed;
        }
        let now_ns = now.unix_ns();
        if now_ns < until_ns {
            return Verdict::Open(Timestamp::from_unix_ns(until_ns));
        }
        // Who moves the time forward makes the trial; the others go on waiting for its end.
        let next_ns = now_ns.saturating_add(self.open_ns);
        match self.until_ns.compare_exchange(
            until_ns,
            next_ns,
            Ordering::Relaxed,
            Ordering::Relaxed,
        ) {
            Ok(_) => Verdict::Trial,
            Err(moved_ns) if moved_ns == CLOSED => Verdict::Closed,
            Err(moved_ns) => Verdict::Open(Timestamp::from_unix_ns(moved_ns)),
        }
    }

    /// Takes in how a call ended.
    pub(crate) fn ended(&self, succeeded: bool, now: Timestamp) {
        if succeeded {
            // Most calls find both as they should be: no write to a shared line.
            if self.failures.load(Ordering::Relaxed) != 0 {
                self.failures.store(0, Ordering::Relaxed);
            }
            if self.until_ns.load(Ordering::Relaxed) != CLOSED {
                self.until_ns.store(CLOSED, Ordering::Relaxed);
            }
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures >= self.failures_max {
            self.until_ns.store(now.unix_ns().saturating_add(self.open_ns), Ordering::Relaxed);
        }
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use nexus_model::units::Millis;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ns(ms * 1_000_000)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_trial_decides() {
        let breaker = Breaker { failures: 2, open: Millis(1_000) };
        let state = BreakerState::new(breaker, None);
        state.ended(false, at(1));
        state.ended(true, at(2));
        state.ended(false, at(3));
        assert_eq!(state.ask(at(4)), Verdict::Closed);
        state.ended(false, at(5));
        assert_eq!(state.ask(at(6)), Verdict::Open(at(1_005)));
        let kept = BreakerState::new(breaker, Some(&state));
        assert_eq!(kept.ask(at(6)), Verdict::Open(at(1_005)));
        assert_eq!(state.ask(at(1_005)), Verdict::Trial);
        assert_eq!(state.ask(at(1_006)), Verdict::Open(at(2_005)));
        state.ended(false, at(1_100));
        assert_eq!(state.ask(at(1_101)), Verdict::Open(at(2_100)));
        assert_eq!(state.ask(at(2_100)), Verdict::Trial);
        state.ended(true, at(2_101));
        assert_eq!((state.ask(at(2_102)), state.failures()), (Verdict::Closed, 0));
    }
}
