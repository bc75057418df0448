//! Deduplication of events on (source, id) within a project (decision 10).
//!
//! A key is reserved before its event is appended and settled afterwards, so that two requests with
//! the same event cannot both append it. Entries leave by age and by number, oldest first.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexus_model::record::{EventRecord, ScheduleRecord};
use nexus_model::{EventId, Timestamp, limits};
use tokio::sync::Notify;

/// How many independent windows there are: a request waits for another one's few instructions only
/// when both events fall into the same window.
const WINDOWS: usize = 64;

/// A hash of project, source and id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(crate) struct DedupKey(pub(crate) [u8; 16]);

impl DedupKey {
    pub(crate) fn of(project: &str, source: &str, id: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [project, source, id] {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part.as_bytes());
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        DedupKey(key)
    }

    pub(crate) fn of_event(record: &EventRecord) -> Self {
        DedupKey::of(&record.meta.project, &record.event.source, &record.event.id)
    }

    pub(crate) fn of_schedule(record: &ScheduleRecord) -> Self {
        DedupKey::of(&record.meta.project, &record.event.source, &record.event.id)
    }
}

/// What is known of a key.
#[derive(Clone, Debug)]
pub(crate) enum Known {
    /// Nothing: it is now reserved for the caller, who must settle it.
    Fresh,
    /// An event with this key is in the log.
    Durable(EventId),
    /// Somebody is appending one; wait, then ask again.
    Reserved(Arc<Notify>),
}

#[derive(Debug)]
enum Slot {
    /// With whom to tell, once somebody waits.
    Reserved(Option<Arc<Notify>>),
    /// Where it stands in the order, counted from the first entry that there ever was.
    Durable(u64),
}

#[derive(Debug, Default)]
struct Window {
    slots: HashMap<DedupKey, Slot, BuildHasherDefault<KeyHasher>>,
    /// Durable entries, oldest first.
    order: VecDeque<(Timestamp, DedupKey, EventId)>,
    /// Entries that have left.
    left: u64,
}

/// Keys are hashes already. Their first byte chose the window, so others are taken.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some((_, last)) = bytes.split_last_chunk::<8>() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    /// An array writes its length first: it says nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The windows of one shard.
#[derive(Debug)]
pub(crate) struct Dedup {
    windows: Vec<Mutex<Window>>,
    /// Durable entries in all of them.
    len: AtomicUsize,
}

impl Default for Dedup {
    fn default() -> Self {
        Dedup::new()
    }
}

impl Dedup {
    pub(crate) fn new() -> Self {
        let windows = (0..WINDOWS).map(|_| Mutex::default()).collect();
        Dedup { windows, len: AtomicUsize::new(0) }
    }

    /// How many durable entries there are.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Asks for a key, reserving it when nobody has it.
    pub(crate) fn reserve(&self, key: DedupKey) -> Known {
        let mut window = self.window(key);
        match window.slots.get_mut(&key) {
            Some(Slot::Reserved(notify)) => {
                Known::Reserved(notify.get_or_insert_with(Arc::default).clone())
            }
            Some(Slot::Durable(place)) => {
                let place = *place;
                Known::Durable(window.at(place))
            }
            None => {
                window.slots.insert(key, Slot::Reserved(None));
                Known::Fresh
            }
        }
    }

    /// Ends a reservation: the event is in the log, or it is not (`None`).
    pub(crate) fn settle(&self, key: DedupKey, durable: Option<(EventId, Timestamp)>) {
        let mut window = self.window(key);
        let Some(Slot::Reserved(notify)) = window.slots.get_mut(&key) else { return };
        let notify = notify.take();
        match durable {
            Some((id, at)) => self.put(&mut window, key, (id, at)),
            None => drop(window.slots.remove(&key)),
        }
        if let Some(notify) = notify {
            notify.notify_waiters();
        }
    }

    /// Takes in an event of the log. One that was settled already changes nothing.
    pub(crate) fn insert(&self, key: DedupKey, id: EventId, at: Timestamp) {
        let mut window = self.window(key);
        if !window.slots.contains_key(&key) {
            self.put(&mut window, key, (id, at));
        }
    }

    /// Shows every durable entry, those of one window after those of another, each window's oldest
    /// first: inserted in this order again they leave in the order in which these would.
    pub(crate) fn each(&self, mut visit: impl FnMut(Timestamp, DedupKey, EventId)) {
        let mut entries = Vec::new();
        for window in &self.windows {
            {
                let window = window.lock().unwrap_or_else(PoisonError::into_inner);
                entries.extend(&window.order);
            }
            entries.drain(..).for_each(|(at, key, id)| visit(at, key, id));
        }
    }

    fn put(&self, window: &mut Window, key: DedupKey, (id, at): (EventId, Timestamp)) {
        let left = window.insert(key, id, at);
        self.len.fetch_add(1, Ordering::Relaxed);
        self.len.fetch_sub(left, Ordering::Relaxed);
    }

    fn window(&self, key: DedupKey) -> MutexGuard<'_, Window> {
        let window = &self.windows[usize::from(key.0[0]) % WINDOWS];
        // A window is consistent after every statement, so a panic elsewhere leaves nothing half done.
        window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// The event of an entry.
    fn at(&self, place: u64) -> EventId {
        self.order[(place - self.left) as usize].2
    }

    /// Puts an entry in and lets old ones go: how many.
    fn insert(&mut self, key: DedupKey, id: EventId, at: Timestamp) -> usize {
        self.slots.insert(key, Slot::Durable(self.left + self.order.len() as u64));
        self.order.push_back((at, key, id));
        let horizon = at.before(limits::DEDUP_AGE);
        let mut left = 0;
        while let Some(&(oldest, key, _)) = self.order.front() {
            if oldest >= horizon && self.order.len() <= limits::DEDUP_ENTRIES_MAX / WINDOWS {
                break;
            }
            self.order.pop_front();
            self.slots.remove(&key);
            left += 1;
        }
        self.left += left as u64;
        left
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entries(dedup: &Dedup) -> Vec<(Timestamp, DedupKey, EventId)> {
        let mut entries = Vec::new();
        dedup.each(|at, key, id| entries.push((at, key, id)));
        assert_eq!(entries.len(), dedup.len());
        entries
    }

    fn key(id: u32) -> DedupKey {
        DedupKey::of("shop", "/s", &id.to_string())
    }

    #[test]
    fn a_key_is_appended_once() {
        let dedup = Dedup::new();
        let (id, at) = (EventId::from_bytes([1; 16]), Timestamp::from_unix_ms(5));
        assert!(matches!(dedup.reserve(key(1)), Known::Fresh));
        assert!(matches!(dedup.reserve(key(1)), Known::Reserved(_)));
        dedup.settle(key(1), None);
        assert!(matches!(dedup.reserve(key(1)), Known::Fresh));
        dedup.settle(key(1), Some((id, at)));
        assert!(matches!(dedup.reserve(key(1)), Known::Durable(found) if found == id));
        dedup.insert(key(1), EventId::from_bytes([2; 16]), at);
        assert!(matches!(dedup.reserve(key(1)), Known::Durable(found) if found == id));
        assert_eq!(entries(&dedup), vec![(at, key(1), id)]);
    }

    #[test]
    fn entries_leave_by_age_and_by_number() {
        let dedup = Dedup::new();
        let start = Timestamp::from_unix_ms(1_000_000);
        let id = EventId::from_bytes([1; 16]);
        for number in 0..1_100_000u32 {
            dedup.insert(key(number), id, start);
        }
        assert!(entries(&dedup).len() <= limits::DEDUP_ENTRIES_MAX);
        let later = start.after(limits::DEDUP_AGE + Duration::from_secs(1));
        for number in 3_000_000..3_010_000u32 {
            dedup.insert(key(number), id, later);
        }
        assert_eq!(entries(&dedup).len(), 10_000);
    }
}
