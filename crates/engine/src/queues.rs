//! How full queues are, for those who accept events: an event for a full queue is refused before it
//! is in the log.
//!
//! Only lanes with a limit that refuses are in here. Their numbers come from the driver; what was
//! accepted and not applied yet is counted apart, so that many at once cannot pass the limit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexus_content::{Content, Index};
use nexus_model::EventId;
use nexus_model::record::EventRecord;
use nexus_model::resource::{EventTrigger, QueueFull};

use crate::Error;
use crate::lanes::{Lane, LaneId, compiled};

/// See the module.
#[derive(Default)]
pub(crate) struct Queues {
    /// Whether there is any limit at all: without one nothing here costs anything.
    any: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    lanes: HashMap<LaneId, Limited>,
    projects: HashMap<Arc<str>, Project>,
    /// Accepted events that the driver has not applied, with the lanes that they count for.
    underway: HashMap<EventId, Vec<LaneId>>,
}

#[derive(Default)]
struct Project {
    index: Index<(LaneId, u32)>,
    targets: HashMap<(Arc<str>, Arc<str>), LaneId>,
}

struct Limited {
    function: Arc<str>,
    trigger: Arc<str>,
    max: u32,
    pending: u32,
    underway: u32,
}

impl Queues {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The numbers are consistent after every statement.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the limit of a lane, or that it has none.
    pub(crate) fn configure(
        &self,
        id: LaneId,
        lane: &Lane,
        (events, pending): (&[EventTrigger], u32),
    ) {
        let max = match lane.settings.queue {
            Some((max, QueueFull::Reject)) => Some(max),
            _ => None,
        };
        if max.is_none() && !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut inner = self.lock();
        let project = inner.projects.entry(lane.project.clone()).or_default();
        let names = (lane.function.clone(), lane.trigger.clone());
        let mut selectors = 0;

        for number in 0..u32::MAX {
            if !project.index.remove(&(id, number)) {
                break;
            }
        }
        match max {
            None => drop(project.targets.remove(&names)),
            Some(_) => drop(project.targets.insert(names, id)),
        }
        for event in events.iter().filter(|_| max.is_some()) {
            if let Some(selector) = compiled(event) {
                project.index.insert((id, selectors), selector);
                selectors += 1;
            }
        }
        let underway = inner.lanes.remove(&id).map_or(0, |known| known.underway);
        if let Some(max) = max {
            let (function, trigger) = (lane.function.clone(), lane.trigger.clone());
            let limited = Limited { function, trigger, max, pending, underway };
            inner.lanes.insert(id, limited);
            self.any.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the queue of a lane has a limit that refuses.
    pub(crate) fn limits(&self, id: LaneId) -> bool {
        self.any.load(Ordering::Relaxed) && self.lock().lanes.contains_key(&id)
    }

    pub(crate) fn set(&self, id: LaneId, pending: u32) {
        if let Some(limited) = self.lock().lanes.get_mut(&id) {
            limited.pending = pending;
        }
    }

    /// Counts an event that is about to be appended.
    pub(crate) fn reserve(&self, record: &EventRecord) -> Result<(), Error> {
        if !self.any.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Some(event) = record.event_id() else { return Ok(()) };
        let mut inner = self.lock();
        let Some(project) = inner.projects.get(record.meta.project.as_str()) else { return Ok(()) };
        let mut lanes: Vec<LaneId> = match record.target.as_str() {
            "" => {
                let found = project.index.matching(&Content::from(&record.event));
                found.into_iter().map(|(lane, _)| lane).collect()
            }
            target => {
                let names = (Arc::from(target), Arc::from(record.trigger.as_str()));
                project.targets.get(&names).copied().into_iter().collect()
            }
        };
        lanes.dedup();
        for lane in &lanes {
            let Some(at) = inner.lanes.get(lane) else { continue };
            if at.pending.saturating_add(at.underway) >= at.max {
                return Err(Error::QueueFull {
                    function: at.function.to_string(),
                    trigger: at.trigger.to_string(),
                    limit: at.max,
                });
            }
        }
        if lanes.is_empty() {
            return Ok(());
        }
        for lane in &lanes {
            if let Some(limited) = inner.lanes.get_mut(lane) {
                limited.underway += 1;
            }
        }
        inner.underway.insert(event, lanes);
        Ok(())
    }

    /// The event was applied: it counts among the `pending` ones of its lanes now. Both numbers
    /// change at once, so that whoever looks in between finds no room that is not there.
    pub(crate) fn applied(&self, event: EventId, pending: impl Fn(LaneId) -> u32) {
        self.no_longer_underway(event, |lane, limited| limited.pending = pending(lane));
    }

    /// The event will not be appended.
    pub(crate) fn given_up(&self, event: EventId) {
        self.no_longer_underway(event, |_, _| {});
    }

    fn no_longer_underway(&self, event: EventId, change: impl Fn(LaneId, &mut Limited)) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut inner = self.lock();
        for lane in inner.underway.remove(&event).unwrap_or_default() {
            if let Some(limited) = inner.lanes.get_mut(&lane) {
                limited.underway = limited.underway.saturating_sub(1);
                change(lane, limited);
            }
        }
    }
}
