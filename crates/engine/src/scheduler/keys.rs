//! Order and attempts per key.
//!
//! A key has slots: one where the order is strict, as many as configured where it is relaxed. In
//! strict order a delivery keeps its slot until it is finished or goes back to be tried again; it
//! is then the first of its key again, so nothing overtakes it. In relaxed order one that waits for
//! its time takes no slot.

use std::collections::BTreeSet;
use std::sync::Arc;

use nexus_model::EventId;
use nexus_model::resource::Order;

use super::{Place, Scheduler};
use crate::lanes::LaneId;
use crate::shard::Id;

/// The deliveries of one key.
#[derive(Debug, Default)]
pub(crate) struct KeyQueue {
    /// Those that have a slot.
    pub(crate) front: BTreeSet<(u64, EventId)>,
    /// Those that wait for one.
    pub(crate) behind: BTreeSet<(u64, EventId)>,
    /// How many of these could stand in one batch with those in front, when their time has come:
    /// all where nothing in front is under way or waits, otherwise none.
    pub(crate) lendable: usize,
}

impl Scheduler {
    /// How many slots each key of a lane has; `None` where keys mean nothing.
    pub(super) fn slots_per_key(&self, lane: LaneId) -> Option<usize> {
        let settings = self.settings(lane);
        match (settings.order, settings.per_key) {
            (Order::Strict, _) => Some(1),
            (Order::Relaxed, 0) => None,
            (Order::Relaxed, slots) => Some(slots as usize),
        }
    }

    fn strict(&self, lane: LaneId) -> bool {
        self.settings(lane).order == Order::Strict
    }

    fn key_queue(&mut self, lane: LaneId, key: &Arc<str>) -> &mut KeyQueue {
        self.lanes[lane.0 as usize].keys.entry(key.clone()).or_default()
    }

    pub(super) fn file_keyed(&mut self, id: Id, key: &Arc<str>, now_ns: i64) {
        if !self.strict(id.lane) {
            // Without order only what is due competes for the slots.
            self.file_due(id, now_ns);
            return;
        }
        self.stand_behind(id, key);
        self.promote(id.lane, key, (id.event, now_ns));
    }

    /// Files an item that is due, or in strict order has its slot already.
    pub(super) fn file_due(&mut self, id: Id, now_ns: i64) {
        let Some(item) = self.items.get(&id) else { return };
        let due = item.due_ns <= now_ns;
        match item.key.clone() {
            Some(key) if due && !self.strict(id.lane) && self.slots_per_key(id.lane).is_some() => {
                self.stand_behind(id, &key);
                self.promote(id.lane, &key, (id.event, now_ns));
            }
            _ => self.file_free(id, now_ns),
        }
    }

    fn stand_behind(&mut self, id: Id, key: &Arc<str>) {
        let Some(item) = self.items.get_mut(&id) else { return };
        item.place = Place::Behind;
        let order = item.order;
        let queue = self.key_queue(id.lane, key);
        // A clock that went back may have let it wait for its time with a slot.
        queue.front.remove(&(order, id.event));
        queue.behind.insert((order, id.event));
        let first = queue.front.first().map(|(_, event)| *event);
        if let Some(item) = self.items.get_mut(&id) {
            item.behind = first.or(item.behind);
        }
    }

    /// Gives free slots of a key to the first that wait for one. `after` is the event whose change
    /// made this necessary.
    pub(super) fn promote(
        &mut self,
        lane: LaneId,
        key: &Arc<str>,
        (after, now_ns): (EventId, i64),
    ) {
        let Some(slots) = self.slots_per_key(lane) else { return };
        loop {
            let Some(queue) = self.lanes[lane.0 as usize].keys.get_mut(key) else { return };
            if queue.front.len() >= slots {
                return;
            }
            let Some((order, event)) = queue.behind.pop_first() else {
                if queue.front.is_empty() {
                    self.drop_key(lane, key);
                }
                return;
            };
            queue.front.insert((order, event));
            let id = Id { event, lane };
            if let Some(item) = self.items.get_mut(&id) {
                item.place = Place::Out;
                if event != after {
                    item.behind = Some(after);
                }
            }
            self.file_free(id, now_ns);
        }
    }

    /// An item that is under way holds a slot of its key.
    pub(super) fn key_hold(&mut self, id: Id, key: &Arc<str>, order: u64) {
        if self.slots_per_key(id.lane).is_none() {
            return;
        }
        let queue = self.key_queue(id.lane, key);
        queue.behind.remove(&(order, id.event));
        queue.front.insert((order, id.event));
    }

    pub(super) fn key_leave(&mut self, id: Id, key: &Arc<str>, order: u64) {
        let Some(queue) = self.lanes[id.lane.0 as usize].keys.get_mut(key) else { return };
        queue.front.remove(&(order, id.event));
        queue.behind.remove(&(order, id.event));
        if queue.front.is_empty() && queue.behind.is_empty() {
            self.drop_key(id.lane, key);
        }
    }

    fn drop_key(&mut self, lane: LaneId, key: &Arc<str>) {
        let lane = &mut self.lanes[lane.0 as usize];
        if let Some(queue) = lane.keys.remove(key) {
            lane.lendable = lane.lendable.saturating_sub(queue.lendable);
        }
    }
}
