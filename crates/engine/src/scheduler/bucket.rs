//! A token bucket as one number: the moment until which its tokens are spent.

use crate::settings::RateOf;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bucket {
    /// Each token moves it on by the rate's interval, from now at least.
    pub(crate) spent_until_ns: i64,
}

impl Bucket {
    /// The moment from which one may begin: now or earlier when a token is there.
    pub(crate) fn free_ns(&mut self, rate: RateOf, now_ns: i64) -> i64 {
        // A clock that went back must not make anybody wait for more than a full bucket. This is kept,
        // or else the next look would wait for as long again.
        let most = now_ns.saturating_add(span(rate, rate.burst));
        self.spent_until_ns = self.spent_until_ns.min(most);
        self.spent_until_ns.saturating_sub(span(rate, rate.burst - 1))
    }

    /// Takes a token.
    pub(crate) fn take(&mut self, rate: RateOf, now_ns: i64) {
        let most = now_ns.saturating_add(span(rate, rate.burst));
        let from = self.spent_until_ns.min(most).max(now_ns);
        self.spent_until_ns = from.saturating_add(span(rate, 1));
    }

    /// Takes in the record of an attempt that took a token at this time. A begin may be recorded after
    /// later ones: that must not give back what those took. Where the clock went back, whoever asks
    /// next sees to it.
    pub(crate) fn took(&mut self, rate: RateOf, at_ns: i64) {
        self.spent_until_ns = self.spent_until_ns.max(at_ns).saturating_add(span(rate, 1));
    }
}

fn span(rate: RateOf, tokens: u32) -> i64 {
    i64::try_from(rate.interval_ns.saturating_mul(u64::from(tokens))).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn rate(limit: u32, burst: u32) -> RateOf {
        let per = Duration::from_secs(1);
        RateOf { interval_ns: 1_000_000_000 / u64::from(limit), burst, limit, per }
    }

    #[test]
    fn a_burst_then_one_per_interval() {
        let (rate, mut bucket, mut begun) = (rate(10, 3), Bucket::default(), Vec::new());
        for ms in 0..1_000i64 {
            let now_ns = 1_000_000_000_000 + ms * 1_000_000;
            while bucket.free_ns(rate, now_ns) <= now_ns {
                bucket.take(rate, now_ns);
                begun.push(ms);
            }
        }
        assert_eq!(begun, [0, 0, 0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
    }

    #[test]
    fn a_begin_that_is_recorded_late_gives_nothing_back() {
        let (rate, mut bucket) = (rate(10, 2), Bucket::default());
        let ms = |ms: i64| 1_000_000_000_000 + ms * 1_000_000;
        for at_ms in [5_000, 5_000, 1_000] {
            bucket.took(rate, ms(at_ms));
        }
        assert!(bucket.free_ns(rate, ms(5_000)) >= ms(5_100));
        // A full bucket is the most that anybody waits for, whatever the clock was before.
        assert!(bucket.free_ns(rate, ms(0)) <= ms(100));
    }

    #[test]
    fn a_clock_that_went_back_makes_nobody_wait_for_more_than_a_token() {
        let (rate, mut bucket, mut begun) = (rate(10, 3), Bucket::default(), Vec::new());
        for _ in 0..3 {
            bucket.take(rate, 5 * 3_600_000_000_000);
        }
        for ms in 0..500i64 {
            let now_ns = 1_000_000_000 + ms * 1_000_000;
            while bucket.free_ns(rate, now_ns) <= now_ns {
                bucket.take(rate, now_ns);
                begun.push(ms);
            }
        }
        assert_eq!(begun, [100, 200, 300, 400]);
    }

    proptest! {
        #[test]
        fn no_window_has_more_than_burst_and_rate(
            limit in 1u32..50, burst in 1u32..20, steps in prop::collection::vec(0i64..300, 1..200),
        ) {
            let (rate, mut bucket, mut now_ns) = (rate(limit, burst), Bucket::default(), 5_000_000_000);
            let mut begun: Vec<i64> = Vec::new();
            for step in steps {
                now_ns += step * 1_000_000;
                if bucket.free_ns(rate, now_ns) <= now_ns {
                    bucket.take(rate, now_ns);
                    begun.push(now_ns);
                }
            }
            for (index, from) in begun.iter().enumerate() {
                for (more, to) in begun[index..].iter().enumerate() {
                    let allowed = i64::from(burst) + (to - from) / rate.interval_ns as i64;
                    prop_assert!(more as i64 <= allowed);
                }
            }
        }
    }
}
