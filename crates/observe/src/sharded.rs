//! Counters and histograms that many threads update at once without sharing a cache line.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// How many cache lines a counter is split over. A power of two.
const SHARDS: usize = 8;

/// Upper bounds of the buckets of every duration histogram, in seconds: from 50 µs to 30 s.
pub(crate) const BOUNDS_SECONDS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
    5.0, 15.0, 30.0,
];
const BOUNDS_NS: [u64; 16] = {
    let mut bounds = [0; 16];
    let mut index = 0;
    while index < bounds.len() {
        bounds[index] = (BOUNDS_SECONDS[index] * 1e9) as u64;
        index += 1;
    }
    bounds
};

/// The shard of the calling thread: threads take turns.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        mine.get()
    })
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line(AtomicU64);

/// A number that only grows. Adding is wait-free; reading sums the shards.
#[derive(Debug, Default)]
pub struct Counter([Line; SHARDS]);

impl Counter {
    /// Adds one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0[shard()].0.fetch_add(count, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.iter().map(|line| line.0.load(Ordering::Relaxed)).sum()
    }
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Buckets {
    counts: [AtomicU64; BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
}

/// How long something took, in fixed buckets from 50 µs to 30 s. Recording is wait-free.
#[derive(Debug, Default)]
pub struct Histogram([Buckets; SHARDS]);

impl Histogram {
    /// Counts one that took `duration`.
    pub fn record(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let index = BOUNDS_NS.iter().position(|&bound| ns <= bound).unwrap_or(BOUNDS_NS.len());
        let mine = &self.0[shard()];
        mine.counts[index].fetch_add(1, Ordering::Relaxed);
        mine.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.snapshot().buckets.iter().map(|(_, count)| count).sum()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let count = |index: usize| -> u64 {
            self.0.iter().map(|shard| shard.counts[index].load(Ordering::Relaxed)).sum()
        };
        let bounds = BOUNDS_SECONDS.iter().copied().chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> =
            bounds.enumerate().map(|(index, bound)| (bound, count(index))).collect();
        let sum_ns: u64 = self.0.iter().map(|shard| shard.sum_ns.load(Ordering::Relaxed)).sum();
        Snapshot {
            sum_seconds: sum_ns as f64 / 1e9,
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }
}

/// A histogram at one moment; buckets are not cumulative.
pub(crate) struct Snapshot {
    pub(crate) sum_seconds: f64,
    pub(crate) count: u64,
    pub(crate) buckets: Vec<(f64, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_add_up() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| (0..1000).for_each(|_| counter.one()));
            }
        });
        assert_eq!(counter.get(), 12_000);
    }

    #[test]
    fn durations_fall_into_their_buckets() {
        let histogram = Histogram::default();
        for us in [50, 51, 40_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        let snapshot = histogram.snapshot();
        let filled: Vec<_> = snapshot.buckets.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [&(0.000_05, 1), &(0.000_1, 1), &(f64::MAX, 1)]);
        assert_eq!(snapshot.count, 3);
    }
}
