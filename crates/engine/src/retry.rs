//! When a failed delivery is tried again.

use std::time::Duration;

use nexus_model::record::Status;
use nexus_model::resource::{RetryOn, RetryPolicy};
use nexus_model::{EventId, limits};

/// By how much each wait is longer than the one before, where nothing is said.
const FACTOR_DEFAULT: f64 = 2.0;
/// How much a wait may be longer or shorter, where nothing is said.
const JITTER_DEFAULT: f64 = 0.2;

/// A [`RetryPolicy`] with every default filled in and every limit kept.
#[derive(Clone, PartialEq, Debug)]
pub struct Retry {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    first: Duration,
    factor: f64,
    max: Duration,
    jitter: f64,
    /// No attempt begins when the event is older than this.
    pub max_age: Option<Duration>,
    on: Vec<RetryOn>,
}

impl Default for Retry {
    fn default() -> Self {
        Retry::new(&RetryPolicy::default(), None)
    }
}

impl Retry {
    /// The policy; `attempts` holds where the policy says nothing.
    pub fn new(policy: &RetryPolicy, attempts: Option<u32>) -> Self {
        let attempts = policy.attempts.or(attempts).unwrap_or(limits::ATTEMPTS_DEFAULT);
        let wait = |stated: Option<nexus_model::units::Millis>, default: Duration| {
            stated.map_or(default, |at| at.duration()).min(limits::RETRY_AGE_MAX)
        };
        let first = wait(policy.first, limits::RETRY_DELAY_FIRST);
        let number = |stated: Option<f64>, default: f64| {
            stated.filter(|value| value.is_finite()).unwrap_or(default)
        };
        Retry {
            attempts: attempts.clamp(1, limits::ATTEMPTS_MAX),
            first,
            factor: number(policy.factor, FACTOR_DEFAULT).clamp(1.0, limits::RETRY_FACTOR_MAX),
            max: wait(policy.max, limits::RETRY_DELAY_MAX.max(first)),
            jitter: number(policy.jitter, JITTER_DEFAULT).clamp(0.0, 1.0),
            max_age: policy.max_age.map(|age| age.duration().min(limits::RETRY_AGE_MAX)),
            on: policy.on.clone(),
        }
    }

    /// The wait after attempt `attempt` (1 for the first): `first × factor^(attempt−1)`, at most
    /// `max`, spread by ± `jitter` so that what failed together does not return together.
    ///
    /// The spread is a hash of event, function and attempt: a rebuild of the state from the log
    /// finds the same moment again.
    pub fn delay(&self, event: EventId, function: &str, attempt: u32) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let max = self.max.as_secs_f64();
        let full = (self.first.as_secs_f64() * self.factor.powi(exponent)).min(max);
        let mut hasher = blake3::Hasher::new();
        hasher.update(event.as_bytes()).update(function.as_bytes()).update(&attempt.to_be_bytes());
        let hash = hasher.finalize();
        let spread = u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]);
        let spread = f64::from(spread) / f64::from(u16::MAX) * 2.0 - 1.0;
        let seconds = full * (1.0 + self.jitter * spread);
        // Whole milliseconds: what is shown is what happens.
        Duration::from_millis((seconds * 1_000.0).round() as u64)
    }

    /// Whether an attempt that ended so is tried again while attempts are left.
    pub fn retries(&self, status: Status) -> bool {
        let way = match status {
            Status::Failed => RetryOn::Failed,
            Status::Refused => RetryOn::Refused,
            Status::Trapped => RetryOn::Trapped,
            Status::TimedOut => RetryOn::TimedOut,
            Status::OutOfMemory => RetryOn::OutOfMemory,
            Status::Crashed => RetryOn::Crashed,
            Status::Rejected => RetryOn::Rejected,
            _ => return status != Status::Succeeded && status != Status::Cancelled,
        };
        match self.on.is_empty() {
            true => way != RetryOn::Refused,
            false => self.on.contains(&way),
        }
    }
}

#[cfg(test)]
mod tests {
    use nexus_model::units::Millis;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_are_as_documented() {
        let policy = |first: u64, factor: f64, max: u64| RetryPolicy {
            first: Some(Millis(first)),
            factor: Some(factor),
            max: Some(Millis(max)),
            jitter: Some(0.0),
            ..RetryPolicy::default()
        };
        let waits = |policy: &RetryPolicy| {
            let retry = Retry::new(policy, None);
            (1..7)
                .map(|attempt| retry.delay(EventId::from_bytes([7; 16]), "f", attempt).as_millis())
                .collect::<Vec<_>>()
        };
        assert_eq!(waits(&policy(100, 2.0, 1_000)), [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(waits(&policy(50, 1.0, 9_000)), [50; 6]);
        assert_eq!(waits(&policy(10, 10.0, 60_000)), [10, 100, 1_000, 10_000, 60_000, 60_000]);
        assert_eq!(waits(&policy(5, 99.0, 600)), [5, 50, 500, 600, 600, 600]);
    }

    #[test]
    fn what_is_tried_again_can_be_said() {
        let default = Retry::default();
        assert!(default.retries(Status::Failed) && default.retries(Status::Crashed));
        assert!(!default.retries(Status::Refused) && !default.retries(Status::Cancelled));
        let policy = RetryPolicy { on: vec![RetryOn::Refused], ..RetryPolicy::default() };
        let refused = Retry::new(&policy, None);
        assert!(refused.retries(Status::Refused) && !refused.retries(Status::Failed));
    }

    #[test]
    fn attempts_come_from_the_policy_then_from_the_function() {
        let stated = RetryPolicy { attempts: Some(7), ..RetryPolicy::default() };
        assert_eq!(Retry::new(&stated, Some(2)).attempts, 7);
        assert_eq!(Retry::new(&RetryPolicy::default(), Some(2)).attempts, 2);
        assert_eq!(Retry::new(&RetryPolicy::default(), Some(0)).attempts, 1);
        assert_eq!(Retry::default().attempts, limits::ATTEMPTS_DEFAULT);
    }

    proptest! {
        #[test]
        fn waits_stay_within_their_spread(
            event: [u8; 16], attempt in 1u32..200, first in 1u64..10_000, jitter in 0.0f64..1.0,
        ) {
            let policy = RetryPolicy {
                first: Some(Millis(first)),
                jitter: Some(jitter),
                ..RetryPolicy::default()
            };
            let retry = Retry::new(&policy, None);
            let delay = retry.delay(EventId::from_bytes(event), "f", attempt).as_millis() as f64;
            let full = (first as f64 * 2f64.powi(attempt as i32 - 1)).min(300_000.0);
            prop_assert!(delay >= full * (1.0 - jitter) - 1.0, "{delay} < {full}");
            prop_assert!(delay <= full * (1.0 + jitter) + 1.0, "{delay} > {full}");
            prop_assert_eq!(delay, retry.delay(EventId::from_bytes(event), "f", attempt).as_millis() as f64);
        }
    }
}
