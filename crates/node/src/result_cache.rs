//! Results of synchronous calls that are kept for later ones with the same key.
//!
//! Many shards, each behind a lock that nobody waits for: who finds it taken goes on as if the
//! result were not there. A version's results go with it, because its id is part of the key.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, TryLockError};

use bytes::Bytes;
use http::HeaderMap;
use nexus_model::{InvocationId, Timestamp, VersionId, limits};

const SHARDS: usize = 32;
/// What an entry takes beside key, headers and body, in bytes.
const OVERHEAD_BYTES: usize = 256;

/// What a result is found by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ResultKey {
    pub(crate) version: VersionId,
    pub(crate) text: Arc<str>,
}

/// A result.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// The invocation that computed it.
    pub(crate) invocation: InvocationId,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// From then on it is not used any more.
    pub(crate) until: Timestamp,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<ResultKey, (u64, Kept)>,
    /// In the order of arrival; entries that were replaced are skipped by their number.
    order: VecDeque<(u64, ResultKey)>,
    bytes: usize,
    next: u64,
}

/// See the module.
pub(crate) struct ResultCache {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    shard_bytes_max: usize,
}

impl Default for ResultCache {
    fn default() -> Self {
        ResultCache::new(limits::RESULT_CACHE_BYTES_MAX)
    }
}

impl ResultCache {
    fn new(bytes_max: usize) -> Self {
        ResultCache {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            shard_bytes_max: bytes_max / SHARDS,
        }
    }

    /// A result that is still good.
    pub(crate) fn get(&self, key: &ResultKey, now: Timestamp) -> Option<Kept> {
        self.with(key, |shard| {
            let (_, kept) = shard.entries.get(key)?;
            if kept.until > now {
                return Some(kept.clone());
            }
            shard.remove(key);
            None
        })?
    }

    /// Keeps a result, in the place of older ones where there is no room.
    pub(crate) fn put(&self, key: ResultKey, kept: Kept) {
        let size = size_of(&key, &kept);
        let most = self.shard_bytes_max.min(limits::RESULT_CACHE_ITEM_BYTES_MAX + OVERHEAD_BYTES);
        if size > most {
            return;
        }
        self.with(&key.clone(), |shard| {
            shard.remove(&key);
            while shard.bytes + size > self.shard_bytes_max {
                let Some((number, oldest)) = shard.order.pop_front() else { break };
                if shard.entries.get(&oldest).is_some_and(|(at, _)| *at == number) {
                    shard.remove(&oldest);
                }
            }
            shard.bytes += size;
            let number = shard.next;
            shard.next += 1;
            shard.order.push_back((number, key.clone()));
            shard.entries.insert(key, (number, kept));
            // Numbers of replaced entries would otherwise pile up behind a hot key.
            if shard.order.len() > 2 * shard.entries.len() + 16 {
                let entries = &shard.entries;
                shard
                    .order
                    .retain(|(number, key)| entries.get(key).is_some_and(|(at, _)| at == number));
            }
        });
    }

    /// How many bytes are kept; shards that are being changed do not count.
    pub(crate) fn bytes(&self) -> usize {
        self.shards.iter().filter_map(|shard| Some(shard.try_lock().ok()?.bytes)).sum()
    }

    fn with<T>(&self, key: &ResultKey, work: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        let index = self.hasher.hash_one(key) as usize % self.shards.len();
        match self.shards[index].try_lock() {
            Ok(mut shard) => Some(work(&mut shard)),
            Err(TryLockError::Poisoned(poisoned)) => Some(work(&mut poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Shard {
    fn remove(&mut self, key: &ResultKey) {
        if let Some((_, kept)) = self.entries.remove(key) {
            self.bytes -= size_of(key, &kept);
        }
    }
}

fn size_of(key: &ResultKey, kept: &Kept) -> usize {
    let headers = kept.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    key.text.len() + kept.body.len() + headers.sum::<usize>() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ResultKey {
        ResultKey { version: VersionId::from_bytes([1; 16]), text: text.into() }
    }

    fn kept(body: &str, until_s: i64) -> Kept {
        Kept {
            invocation: InvocationId::from_bytes([2; 16]),
            status: 200,
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            until: Timestamp::from_unix_ns(until_s * 1_000_000_000),
        }
    }

    #[test]
    fn results_are_found_until_they_are_too_old() {
        let cache = ResultCache::default();
        let at = |seconds: i64| Timestamp::from_unix_ns(seconds * 1_000_000_000);
        cache.put(key("a"), kept("1", 10));
        cache.put(key("a"), kept("22", 10));
        assert_eq!(cache.get(&key("a"), at(9)).unwrap().body, "22");
        assert!(cache.get(&key("b"), at(9)).is_none());
        assert!(cache.get(&key("a"), at(10)).is_none());
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn the_oldest_go_where_there_is_no_room() {
        let cache = ResultCache::new(SHARDS * 4_096);
        for number in 0..10_000 {
            cache.put(key(&number.to_string()), kept("x", 10));
            cache.put(key("hot"), kept("x", 10));
        }
        assert!(cache.bytes() <= SHARDS * 4_096);
        assert!(cache.get(&key("0"), Timestamp::EPOCH).is_none());
        assert!(cache.get(&key("9999"), Timestamp::EPOCH).is_some());
        cache.put(key("large"), kept(&"x".repeat(5_000), 10));
        assert!(cache.get(&key("large"), Timestamp::EPOCH).is_none());
        let queued: usize = cache.shards.iter().map(|at| at.lock().unwrap().order.len()).sum();
        assert!(queued < 2_000, "{queued}");
    }
}
