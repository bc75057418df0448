//! Batches: when one goes, and what stands in it.
//!
//! A batch is full when it could take as many as it may hold: those that are ready, and those behind
//! others of their key that are in the same batch. How many of the latter there are is kept per key
//! and lane with every change, so that a lane is not counted through each time something comes.

use std::collections::HashMap;
use std::sync::Arc;

use nexus_model::{EventId, Timestamp};

use super::{Place, Scheduler};
use crate::lanes::LaneId;
use crate::settings::BatchOf;
use crate::shard::Id;

impl Scheduler {
    /// Until when a batch waits for others; `None` when it goes now.
    pub(super) fn batch_waits(&mut self, id: LaneId, batch: BatchOf, now_ns: i64) -> Option<i64> {
        if self.is_full_batch(id, batch.size, now_ns) {
            return None;
        }
        let since_ns = self.batch_since(id, now_ns);
        let until_ns = Timestamp::from_unix_ns(since_ns).after(batch.wait).unix_ns();
        // A clock that went back must not make a batch wait twice.
        (now_ns < until_ns && since_ns <= now_ns).then_some(until_ns)
    }

    fn is_full_batch(&mut self, id: LaneId, size: usize, now_ns: i64) -> bool {
        let lane = &self.lanes[id.0 as usize];
        let mut count = lane.ready.len();
        if count >= size || count + lane.lendable < size {
            return count >= size;
        }
        // Some of those behind may wait for their time: this counts exactly, as far as one batch
        // goes.
        let mut next_due: Option<i64> = None;
        for place in &lane.ready {
            let item = self.items.get(&Id { event: place.1, lane: id });
            let key = item.and_then(|item| item.key.as_ref());
            let Some(queue) = key.and_then(|key| lane.keys.get(key)) else { continue };
            // Once per key.
            if queue.lendable == 0 || queue.front.last() != Some(place) {
                continue;
            }
            for (_, event) in &queue.behind {
                let item = self.items.get(&Id { event: *event, lane: id });
                if let Some(due_ns) = item.map(|item| item.due_ns).filter(|due| *due > now_ns) {
                    next_due = Some(next_due.map_or(due_ns, |known| known.min(due_ns)));
                    break;
                }
                count += 1;
                if count >= size {
                    return true;
                }
            }
        }
        if let Some(due_ns) = next_due {
            self.wakes.insert((due_ns, id));
        }
        false
    }

    /// When the first of those that are ready came. There are fewer than a batch holds.
    fn batch_since(&mut self, id: LaneId, now_ns: i64) -> i64 {
        let lane = &self.lanes[id.0 as usize];
        let came = |(_, event): &(u64, EventId)| {
            self.items.get(&Id { event: *event, lane: id }).map(|item| item.came_ns())
        };
        let known = lane.batch_since_ns;
        let since_ns = known.or_else(|| lane.ready.iter().filter_map(came).min());
        self.lanes[id.0 as usize].batch_since_ns = since_ns;
        since_ns.unwrap_or(now_ns)
    }

    /// Counts anew how many of a key could stand in one batch. Called after every change of what is
    /// in front or behind.
    pub(super) fn recount(&mut self, id: LaneId, key: &Arc<str>) {
        let Some(batch) = self.settings(id).batch else { return };
        let lane = &self.lanes[id.0 as usize];
        if let Some(queue) = lane.keys.get(key) {
            let ready = |(_, event): &(u64, EventId)| {
                let item = self.items.get(&Id { event: *event, lane: id });
                item.is_some_and(|item| item.place == Place::Ready)
            };
            let open = !queue.behind.is_empty() && queue.front.iter().all(ready);
            let lendable = if open { queue.behind.len() } else { 0 };
            let lane = &mut self.lanes[id.0 as usize];
            if let Some(queue) = lane.keys.get_mut(key) {
                let before = std::mem::replace(&mut queue.lendable, lendable);
                lane.lendable = (lane.lendable + lendable).saturating_sub(before);
            }
        }
        let lane = &self.lanes[id.0 as usize];
        if lane.ready.len() + lane.lendable >= batch.size {
            self.enlist(id);
        }
    }

    /// The same for all keys of a lane whose settings changed.
    pub(super) fn recount_all(&mut self, id: LaneId) {
        let lane = &mut self.lanes[id.0 as usize];
        lane.lendable = 0;
        lane.keys.values_mut().for_each(|queue| queue.lendable = 0);
        let keys: Vec<Arc<str>> = lane.keys.keys().cloned().collect();
        for key in keys {
            self.recount(id, &key);
        }
    }

    /// The first that are ready. Those of one key may follow each other within a batch.
    pub(super) fn take_members(&mut self, lane: LaneId, size: usize, now_ns: i64) -> Vec<Id> {
        let mut members = Vec::new();
        let mut lent = Vec::new();
        let mut taken: HashMap<Arc<str>, usize> = HashMap::new();
        while members.len() < size {
            let Some((_, event)) = self.lanes[lane.0 as usize].ready.pop_first() else { break };
            let id = Id { event, lane };
            members.push(id);
            let Some(item) = self.items.get_mut(&id) else { continue };
            item.place = Place::Out;
            if size > 1
                && let Some(key) = item.key.clone()
            {
                let own = taken.entry(key.clone()).or_default();
                *own += 1;
                let own = *own;
                lent.extend(self.lend(lane, (&key, own), now_ns));
            }
        }
        for id in lent {
            self.take_back(id);
        }
        self.lanes[lane.0 as usize].batch_since_ns = None;
        for key in taken.keys() {
            self.recount(lane, key);
        }
        members
    }

    /// Lets the next of a key stand in line although the ones before it have not ended, where they
    /// are all among the `taken` of the same batch.
    fn lend(&mut self, lane: LaneId, (key, taken): (&Arc<str>, usize), now_ns: i64) -> Option<Id> {
        let queue = self.lanes[lane.0 as usize].keys.get_mut(key)?;
        // What was taken was in front.
        if queue.front.len() > taken {
            return None;
        }
        let &(order, event) = queue.behind.first()?;
        let id = Id { event, lane };
        let item = self.items.get_mut(&id)?;
        if item.due_ns > now_ns {
            return None;
        }
        item.place = Place::Ready;
        queue.behind.pop_first();
        queue.front.insert((order, event));
        self.lanes[lane.0 as usize].ready.insert((order, event));
        Some(id)
    }

    fn take_back(&mut self, id: Id) {
        let Some(item) = self.items.get_mut(&id) else { return };
        if item.place != Place::Ready {
            return;
        }
        item.place = Place::Behind;
        let (order, key) = (item.order, item.key.clone());
        let lane = &mut self.lanes[id.lane.0 as usize];
        lane.ready.remove(&(order, id.event));
        if let Some(queue) = key.and_then(|key| lane.keys.get_mut(&key)) {
            queue.front.remove(&(order, id.event));
            queue.behind.insert((order, id.event));
        }
    }
}

#[cfg(test)]
impl Scheduler {
    /// Checks what is kept about batches against what there is, and that none is left that could go.
    pub(crate) fn audit_batches(&self, now_ns: i64) {
        for (number, lane) in self.lanes.iter().enumerate() {
            let Some(batch) = lane.settings.batch else { continue };
            let item = |event: EventId| &self.items[&Id { event, lane: LaneId(number as u32) }];
            let (mut lendable, mut could) = (0, lane.ready.len());
            for queue in lane.keys.values() {
                let open = queue.front.iter().all(|(_, event)| item(*event).place == Place::Ready);
                let behind = if open { queue.behind.len() } else { 0 };
                assert_eq!(queue.lendable, behind, "what a key could lend was not counted");
                lendable += behind;
                let due = |at: &&(u64, EventId)| item(at.1).due_ns <= now_ns;
                could += queue.behind.iter().take(behind).take_while(due).count();
            }
            assert_eq!(lane.lendable, lendable, "what a lane could lend was not counted");
            let first = lane.ready.iter().map(|(_, event)| item(*event).came_ns()).min();
            assert!(
                lane.batch_since_ns.is_none_or(|at| Some(at) == first),
                "a batch waits wrongly"
            );
            let waits = matches!(lane.blocked, Some(super::Blocked::Batch { .. }));
            let left = waits && !lane.enlisted && could >= batch.size && !lane.ready.is_empty();
            assert!(!left, "a batch of {could} waits although it is full");
        }
    }
}
