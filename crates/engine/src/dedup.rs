//! Which (source, id) pairs a shard has seen (decision 10).
//!
//! Kept in generations: one that grows and frozen, shared ones. A snapshot for a checkpoint copies
//! pointers and one small map, so it never holds up those who emit; forgetting drops whole
//! generations.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use nexus_model::{Digest, EventId, Timestamp, limits};

/// Pairs in one generation: what a snapshot copies at most.
const GENERATION_ENTRIES: usize = 1 << 16;

/// The identity of an event for deduplication.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DedupKey([u8; 16]);

impl DedupKey {
    /// The key of an event. 128 bits of a cryptographic hash: nobody can make two pairs collide.
    pub fn of(project: &str, source: &str, id: &str) -> Self {
        let mut text = Vec::with_capacity(project.len() + source.len() + id.len() + 16);
        for part in [project, source] {
            text.extend_from_slice(&(part.len() as u64).to_le_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        text.extend_from_slice(id.as_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&Digest::of(&text).as_bytes()[..16]);
        DedupKey(key)
    }

    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        DedupKey(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// One remembered pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) event: EventId,
    pub(crate) at: Timestamp,
}

#[derive(Clone, Default)]
pub(crate) struct Dedup {
    current: HashMap<DedupKey, Seen>,
    frozen: VecDeque<Arc<Generation>>,
}

struct Generation {
    seen: HashMap<DedupKey, Seen>,
    newest: Timestamp,
}

impl Dedup {
    /// The first event with this key, if it is young enough at `now`.
    pub(crate) fn find(&self, key: &DedupKey, now: Timestamp) -> Option<EventId> {
        let mut generations =
            std::iter::once(&self.current).chain(self.frozen.iter().rev().map(|at| &at.seen));
        let seen = generations.find_map(|seen| seen.get(key))?;
        (now.since(seen.at) < limits::DEDUP_AGE).then_some(seen.event)
    }

    /// Remembers a key, and forgets generations that are too old at `seen.at` or too many.
    pub(crate) fn remember(&mut self, key: DedupKey, seen: Seen) {
        self.current.insert(key, seen);
        if self.current.len() < GENERATION_ENTRIES {
            return;
        }
        let generation = std::mem::take(&mut self.current);
        let newest = generation.values().map(|seen| seen.at).max().unwrap_or_default();
        self.frozen.push_back(Arc::new(Generation { seen: generation, newest }));
        let keep = limits::DEDUP_ENTRIES_MAX.div_ceil(GENERATION_ENTRIES);
        while self.frozen.front().is_some_and(|oldest| {
            self.frozen.len() > keep || seen.at.since(oldest.newest) >= limits::DEDUP_AGE
        }) {
            self.frozen.pop_front();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.current.len() + self.frozen.iter().map(|at| at.seen.len()).sum::<usize>()
    }

    /// All pairs, the oldest generation first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&DedupKey, &Seen)> {
        self.frozen.iter().flat_map(|at| at.seen.iter()).chain(self.current.iter())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn pairs_are_remembered_for_a_time_and_a_number() {
        let mut dedup = Dedup::default();
        let start = Timestamp::from_unix_ms(1_795_000_000_000);
        let key = DedupKey::of("shop", "/s", "1");
        dedup.remember(key, Seen { event: EventId::from_bytes([1; 16]), at: start });
        assert_eq!(dedup.find(&key, start), Some(EventId::from_bytes([1; 16])));
        assert_eq!(dedup.find(&key, start.after(limits::DEDUP_AGE)), None);
        assert_eq!(dedup.find(&DedupKey::of("shop", "/s", "2"), start), None);
        for number in 0..limits::DEDUP_ENTRIES_MAX + 2 * GENERATION_ENTRIES {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            let at = start.after(Duration::from_nanos(number as u64));
            dedup.remember(DedupKey(bytes), Seen { event: EventId::from_bytes(bytes), at });
        }
        assert_eq!(dedup.find(&key, start), None, "the oldest generation is forgotten");
        assert!(dedup.len() >= limits::DEDUP_ENTRIES_MAX);
        assert!(dedup.len() <= limits::DEDUP_ENTRIES_MAX + 2 * GENERATION_ENTRIES);
    }

    #[test]
    fn the_parts_of_a_pair_cannot_be_shifted() {
        assert_ne!(DedupKey::of("p", "ab", "c"), DedupKey::of("p", "a", "bc"));
        assert_ne!(DedupKey::of("pa", "b", "c"), DedupKey::of("p", "ab", "c"));
    }
}
