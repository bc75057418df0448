//! Counters and histograms that many threads update at once without sharing a cache line.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// How many cache lines a counter is split over. A power of two.
pub(crate) const SHARDS: usize = 8;

/// Upper bounds of the buckets of every duration histogram, in nanoseconds and as the formats write
/// them, in seconds: from 50 µs, for functions that answer from memory, to 5 minutes.
pub(crate) const BOUNDS: [(u64, &str); 19] = [
    (50_000, "5e-05"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1.0"),
    (2_500_000_000, "2.5"),
    (5_000_000_000, "5.0"),
    (10_000_000_000, "10.0"),
    (30_000_000_000, "30.0"),
    (300_000_000_000, "300.0"),
];
/// The last bucket has no bound.
pub(crate) const BUCKETS: usize = BOUNDS.len() + 1;

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
struct Line<T>(T);

/// Several of one kind; each thread changes its own, and readers add them up.
#[derive(Debug, Default)]
pub(crate) struct Sharded<T>([Line<T>; SHARDS]);

impl<T> Sharded<T> {
    /// The one that the calling thread changes.
    pub(crate) fn mine(&self) -> &T {
        &self.0[shard()].0
    }

    /// The sum of a number that all have.
    pub(crate) fn sum(&self, of: impl Fn(&T) -> &AtomicU64) -> u64 {
        self.0.iter().map(|line| of(&line.0).load(Ordering::Relaxed)).sum()
    }
}

/// A number that only grows. Adding is wait-free; reading sums the shards.
#[derive(Debug, Default)]
pub struct Counter(Sharded<AtomicU64>);

impl Counter {
    /// Adds one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.mine().fetch_add(count, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.sum(|count| count)
    }
}

/// How long things took that one thread counted.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    sum_ns: AtomicU64,
    counts: [AtomicU64; BUCKETS],
}

impl Durations {
    pub(crate) fn record(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let index = BOUNDS.iter().position(|&(bound, _)| ns <= bound).unwrap_or(BOUNDS.len());
        self.counts[index].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

/// How long something took, in fixed buckets from 50 µs to 5 minutes. Recording is wait-free.
#[derive(Debug, Default)]
pub struct Histogram(Sharded<Durations>);

impl Histogram {
    /// Counts one that took `duration`.
    pub fn record(&self, duration: Duration) {
        self.0.mine().record(duration);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.snapshot().count
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.0, |durations| durations)
    }
}

/// A histogram at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) sum_seconds: f64,
    pub(crate) count: u64,
    /// How many fell into each bucket; not cumulative.
    pub(crate) buckets: [u64; BUCKETS],
}

impl Snapshot {
    /// Of the durations that each shard holds.
    pub(crate) fn of<T>(shards: &Sharded<T>, durations: impl Fn(&T) -> &Durations) -> Self {
        let buckets =
            std::array::from_fn(|index| shards.sum(|shard| &durations(shard).counts[index]));
        let sum_ns = shards.sum(|shard| &durations(shard).sum_ns);
        Snapshot { sum_seconds: sum_ns as f64 / 1e9, count: buckets.iter().sum(), buckets }
    }
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
        for us in [50, 51, 300_000_000, 300_000_001] {
            histogram.record(Duration::from_micros(us));
        }
        let snapshot = histogram.snapshot();
        let filled: Vec<_> =
            snapshot.buckets.iter().enumerate().filter(|(_, count)| **count > 0).collect();
        assert_eq!(filled, [(0, &1), (1, &1), (18, &1), (19, &1)]);
        assert_eq!(snapshot.count, 4);
        assert!((snapshot.sum_seconds - 600.000_102).abs() < 1e-9);
    }

    #[test]
    fn bounds_rise_and_are_written_as_what_they_are() {
        for (ns, text) in BOUNDS {
            let seconds: f64 = text.parse().unwrap();
            assert_eq!((seconds * 1e9).round() as u64, ns, "{text}");
        }
        assert!(BOUNDS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
