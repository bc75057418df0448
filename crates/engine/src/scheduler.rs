//! Which of the deliveries that wait may begin now. Pure and volatile: it is built from the shard's
//! state at a start and told of every change; the time is an argument.
//!
//! ```text
//!            ┌ due later ──► due set ┐
//!  queue() ──┤                       ├──► key (order, attempts per key) ──► ready set of the lane
//!            └ due now ──────────────┘
//!
//!  next(): class (16 : 4 : 1) ► project in turn ► lane in turn ► paused? breaker? batch? slots? rate?
//! ```
//!
//! A lane that something holds up leaves the ring and comes back when that ends: at a time, or when
//! an attempt is released. So `next` costs the same however many lanes and deliveries wait.

mod batch;
mod bucket;
mod keys;
mod lane;
mod pick;
mod ring;
mod why;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use nexus_model::{EventId, InvocationId};

pub(crate) use bucket::Bucket;
pub(crate) use lane::{Blocked, LaneQueue};
pub(crate) use pick::{Pick, Ticket};
pub use why::Reason;

use crate::lanes::{Lane, LaneId};
use crate::settings::Settings;
use crate::shard::{BreakerState, Id};
use ring::Ring;

/// A delivery that the scheduler knows.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Item {
    pub(crate) order: u64,
    pub(crate) key: Option<Arc<str>>,
    /// 0 for now.
    pub(crate) due_ns: i64,
    /// Its age counts from here.
    pub(crate) since_ns: i64,
    /// Since when nothing but other work holds it up.
    pub(crate) ready_ns: i64,
    /// The delivery of the same key that it waited for last.
    pub(crate) behind: Option<EventId>,
    pub(crate) place: Place,
}

/// Where an item is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// In the due set.
    Due,
    /// Behind others of its key.
    Behind,
    /// In the ready set of its lane.
    Ready,
    /// Nowhere: an attempt runs or sleeps, or its verdict is being recorded.
    Out,
}

impl Item {
    /// When it came, or came back to be tried again.
    fn came_ns(&self) -> i64 {
        self.since_ns.max(self.due_ns)
    }
}

/// Slots that lanes share.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    running: u32,
    waiting: VecDeque<LaneId>,
}

/// What is asked of the scheduler when a delivery waits.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) order: u64,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) due_ns: i64,
    pub(crate) since_ns: i64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Scheduler {
    running_max: usize,
    /// Slots of attempts that wait for others, which may run in their place.
    lent: usize,
    lanes: Vec<LaneQueue>,
    /// By the lane that owns the limit.
    slots: HashMap<LaneId, Slots>,
    buckets: HashMap<LaneId, Bucket>,
    items: HashMap<Id, Item>,
    due: BTreeSet<(i64, Id)>,
    wakes: BTreeSet<(i64, LaneId)>,
    ring: Ring,
    /// The lane of each attempt that runs, and the lane that owns its slots.
    tickets: HashMap<u64, (LaneId, LaneId)>,
    next_ticket: u64,
    projects: HashMap<Arc<str>, u32>,
}

impl Scheduler {
    /// Without any work; at most `running_max` attempts run at the same time.
    pub(crate) fn new(running_max: usize) -> Self {
        Scheduler {
            running_max: running_max.max(1),
            lent: 0,
            lanes: Vec::new(),
            slots: HashMap::new(),
            buckets: HashMap::new(),
            items: HashMap::new(),
            due: BTreeSet::new(),
            wakes: BTreeSet::new(),
            ring: Ring::default(),
            tickets: HashMap::new(),
            next_ticket: 0,
            projects: HashMap::new(),
        }
    }

    /// Says how many of the attempts that run only wait for others.
    pub(crate) fn set_lent(&mut self, lent: usize) {
        self.lent = lent;
    }

    /// Whether as many attempts run as may.
    pub(crate) fn is_full(&self) -> bool {
        self.tickets.len() >= self.running_max.saturating_add(self.lent)
    }

    /// Attempts that run.
    #[cfg(test)]
    pub(crate) fn running(&self) -> usize {
        self.tickets.len()
    }

    /// What holds slots, for a test that found too few.
    #[cfg(test)]
    pub(crate) fn diagnosis(&self) -> String {
        let lanes = self.lanes.iter().map(|lane| (lane.running, lane.enlisted, lane.ready.len()));
        let lanes: Vec<_> = lanes.collect();
        format!(
            "tickets {:?}, slots {:?}, lanes {lanes:?}, {:?}",
            self.tickets, self.slots, self.ring
        )
    }

    /// Tells it of a lane, or of what changed about one.
    pub(crate) fn configure(&mut self, id: LaneId, lane: &Lane, breaker: BreakerState) {
        let numbers = self.projects.len() as u32;
        let project = *self.projects.entry(lane.project.clone()).or_insert(numbers);
        self.lane_of(id);
        let owner = self.slots_owner(id);
        let queue = &mut self.lanes[id.0 as usize];
        let before = std::mem::replace(&mut queue.settings, lane.settings.clone());
        (queue.project, queue.base) = (project, lane.base);
        queue.set(breaker, lane.gone.as_ref().and_then(|gone| gone.given_up_through));
        if before.order != lane.settings.order || before.per_key != lane.settings.per_key {
            self.file_anew(id);
        } else if before.batch != lane.settings.batch {
            self.recount_all(id);
        }
        self.enlist(id);
        // A slot that it was offered may not be for it any more, or there may be more of them.
        self.wake_waiting(owner);
    }

    /// The present spending of the rate limit that a lane owns, as the records say it.
    pub(crate) fn set_bucket(&mut self, id: LaneId, bucket: Bucket) {
        self.buckets.insert(id, bucket);
    }

    /// A delivery waits for its turn: anew, or again after an attempt.
    pub(crate) fn queue(&mut self, id: Id, wanted: Wanted, now_ns: i64) {
        self.lane_of(id.lane);
        let behind = self.take_out(id);
        let item = Item {
            order: wanted.order,
            key: wanted.key,
            due_ns: wanted.due_ns,
            since_ns: wanted.since_ns,
            ready_ns: now_ns,
            behind,
            place: Place::Out,
        };
        let key = item.key.clone();
        self.items.insert(id, item);
        self.file(id, now_ns);
        if let Some(key) = key {
            // In relaxed order one that waits for its time leaves its slot to others.
            self.promote(id.lane, &key, (id.event, now_ns));
            self.recount(id.lane, &key);
        }
    }

    /// The clock went back: whoever waits for a time is looked at again.
    pub(crate) fn look_again(&mut self) {
        for (_, id) in std::mem::take(&mut self.wakes) {
            self.enlist(id);
        }
    }

    /// The deliveries that wait for a time after this one.
    pub(crate) fn waiting_until_after(&self, now_ns: i64) -> Vec<Id> {
        let waits = |item: &Item| item.place != Place::Out && item.due_ns > now_ns;
        self.items.iter().filter(|(_, item)| waits(item)).map(|(id, _)| *id).collect()
    }

    /// A delivery is under way without having been picked: after a restart, or because somebody
    /// decided about it. It keeps its place among those of its key.
    pub(crate) fn begun(&mut self, id: Id, wanted: Wanted, now_ns: i64) {
        if self.items.get(&id).is_some_and(|item| item.place == Place::Out) {
            return;
        }
        self.queue(id, wanted, now_ns);
        self.withdraw(id);
    }

    /// Takes a waiting delivery out of its queue, so that it does not begin; it still holds up those
    /// behind it until it is forgotten.
    pub(crate) fn withdraw(&mut self, id: Id) {
        let Some(item) = self.items.get(&id).cloned() else { return };
        self.unplace(id, &item);
        if let Some(item) = self.items.get_mut(&id) {
            item.place = Place::Out;
        }
        if let Some(key) = &item.key {
            self.key_hold(id, key, item.order);
            self.recount(id.lane, key);
        }
    }

    /// A delivery is finished.
    pub(crate) fn forget(&mut self, id: Id, now_ns: i64) {
        let key = self.items.get(&id).and_then(|item| item.key.clone());
        self.take_out(id);
        if let Some(key) = key {
            self.promote(id.lane, &key, (id.event, now_ns));
            self.recount(id.lane, &key);
        }
        self.enlist(id.lane);
    }

    /// A sleeping invocation goes on as soon as there is a slot.
    pub(crate) fn resume(&mut self, lane: LaneId, run: InvocationId) {
        let queue = self.lane_of(lane);
        if !queue.resumes.contains(&run) {
            queue.resumes.push_back(run);
        }
        self.enlist(lane);
    }

    /// The next moment at which something may begin that may not begin now.
    pub(crate) fn wake_ns(&self) -> Option<i64> {
        let due = self.due.first().map(|(at, _)| *at);
        let wake = self.wakes.first().map(|(at, _)| *at);
        due.into_iter().chain(wake).min()
    }

    /// Moves what has become due.
    pub(crate) fn advance(&mut self, now_ns: i64) {
        while let Some(&(at, id)) = self.due.first() {
            if at > now_ns {
                break;
            }
            self.due.pop_first();
            if let Some(item) = self.items.get_mut(&id) {
                item.place = Place::Out;
                item.ready_ns = now_ns;
                let key = item.key.clone();
                self.file_due(id, now_ns);
                if let Some(key) = key {
                    self.recount(id.lane, &key);
                }
            }
        }
        while let Some(&(at, lane)) = self.wakes.first() {
            if at > now_ns {
                break;
            }
            self.wakes.pop_first();
            self.enlist(lane);
        }
    }

    fn lane_of(&mut self, id: LaneId) -> &mut LaneQueue {
        while self.lanes.len() <= id.0 as usize {
            let next = LaneId(self.lanes.len() as u32);
            self.lanes.push(LaneQueue::new(next));
        }
        &mut self.lanes[id.0 as usize]
    }

    fn settings(&self, id: LaneId) -> &Arc<Settings> {
        &self.lanes[id.0 as usize].settings
    }

    /// Puts a lane that may have something to begin into the ring.
    fn enlist(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(id.0 as usize) else { return };
        if lane.enlisted || (lane.ready.is_empty() && lane.resumes.is_empty()) {
            return;
        }
        lane.enlisted = true;
        let (class, project) = (lane.settings.priority, lane.project);
        self.ring.push(class, project, id);
    }

    /// Takes an item out of wherever it is. Returns what it waited behind.
    fn take_out(&mut self, id: Id) -> Option<EventId> {
        let item = self.items.remove(&id)?;
        self.unplace(id, &item);
        if let Some(key) = &item.key {
            self.key_leave(id, key, item.order);
        }
        item.behind
    }

    fn unplace(&mut self, id: Id, item: &Item) {
        match item.place {
            Place::Due => {
                self.due.remove(&(item.due_ns, id));
            }
            Place::Ready => {
                let lane = &mut self.lanes[id.lane.0 as usize];
                lane.ready.remove(&(item.order, id.event));
                lane.batch_since_ns = None;
            }
            Place::Behind | Place::Out => {}
        }
    }

    /// Files an item that is in no place: behind its key, in the due set, or ready.
    fn file(&mut self, id: Id, now_ns: i64) {
        let Some(item) = self.items.get(&id) else { return };
        match item.key.clone() {
            Some(key) if self.slots_per_key(id.lane).is_some() => self.file_keyed(id, &key, now_ns),
            _ => self.file_due(id, now_ns),
        }
    }

    /// Files an item that its key lets pass.
    fn file_free(&mut self, id: Id, now_ns: i64) {
        let Some(item) = self.items.get_mut(&id) else { return };
        if item.due_ns > now_ns {
            item.place = Place::Due;
            self.due.insert((item.due_ns, id));
            return;
        }
        item.place = Place::Ready;
        item.ready_ns = now_ns;
        let (order, came_ns) = (item.order, item.came_ns());
        let lane = &mut self.lanes[id.lane.0 as usize];
        lane.batch_since_ns = match lane.batch_since_ns {
            Some(since_ns) => Some(since_ns.min(came_ns)),
            None => lane.ready.is_empty().then_some(came_ns),
        };
        lane.ready.insert((order, id.event));
        self.enlist(id.lane);
    }

    fn file_anew(&mut self, lane: LaneId) {
        let mut all: Vec<(u64, Id)> = self
            .items
            .iter()
            .filter(|(id, _)| id.lane == lane)
            .map(|(id, item)| (item.order, *id))
            .collect();
        all.sort_unstable();
        self.lanes[lane.0 as usize].keys.clear();
        for (_, id) in all {
            let Some(item) = self.items.get(&id).cloned() else { continue };
            self.unplace(id, &item);
            if item.place == Place::Out {
                if let Some(key) = &item.key {
                    self.key_hold(id, key, item.order);
                }
                continue;
            }
            if let Some(item) = self.items.get_mut(&id) {
                item.place = Place::Out;
            }
            self.file(id, item.ready_ns);
        }
        self.recount_all(lane);
    }
}

#[cfg(test)]
mod tests;
