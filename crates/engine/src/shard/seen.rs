//! Deduplication keys of deliveries, with the time at which each was seen first.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use nexus_model::limits;

use crate::lanes::LaneId;
use crate::table::Table;

type Key = (LaneId, [u8; 16]);

/// See the module. What is too old leaves when its lane is asked the next time.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) keys: Table<Key, i64>,
    /// Derived from `keys`: the oldest first.
    order: HashMap<LaneId, VecDeque<(i64, [u8; 16])>>,
}

impl Seen {
    /// What a checkpoint kept.
    pub(crate) fn restore(keys: Vec<(Key, i64)>) -> Self {
        let mut seen = Seen::default();
        let mut keys: Vec<(i64, Key)> = keys.into_iter().map(|(key, at)| (at, key)).collect();
        keys.sort_unstable();
        for (at_ns, (lane, hash)) in keys {
            seen.order.entry(lane).or_default().push_back((at_ns, hash));
            seen.keys.insert((lane, hash), at_ns);
        }
        seen
    }

    /// Whether a lane has seen a key within `age`; remembers it where it has not.
    pub(crate) fn seen(&mut self, lane: LaneId, key: &str, (now_ns, age): (i64, Duration)) -> bool {
        let age_ns = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
        let horizon = now_ns.saturating_sub(age_ns);
        let order = self.order.entry(lane).or_default();
        while let Some(&(at_ns, oldest)) = order.front() {
            if at_ns > horizon && order.len() < limits::DEDUP_ENTRIES_MAX {
                break;
            }
            order.pop_front();
            self.keys.remove(&(lane, oldest));
        }
        let mut hash = [0; 16];
        hash.copy_from_slice(&blake3::hash(key.as_bytes()).as_bytes()[..16]);
        // A clock that went back leaves entries behind newer ones: each is looked at for itself.
        if self.keys.get(&(lane, hash)).is_some_and(|at_ns| *at_ns > horizon) {
            return true;
        }
        self.keys.insert((lane, hash), now_ns);
        order.push_back((now_ns, hash));
        false
    }
}
