//! What the driver remembers although the log has it: the newest events, the latest ends.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use nexus_model::EventId;
use nexus_model::record::EventRecord;

use crate::shard::{Ended, Id};

/// Events that are kept so that their first delivery need not read the log, in bytes of data.
const EVENTS_BYTES_MAX: usize = 32 << 20;
/// What an event costs beside its data.
const EVENT_BYTES: usize = 512;
/// Ends of deliveries that are remembered.
const ENDINGS_MAX: usize = 10_000;

/// The events that came last.
pub(crate) struct Events {
    bytes_max: usize,
    known: HashMap<EventId, Arc<EventRecord>>,
    order: VecDeque<(EventId, usize)>,
    bytes: usize,
}

impl Default for Events {
    fn default() -> Self {
        Events::new(EVENTS_BYTES_MAX)
    }
}

impl Events {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Events { bytes_max, known: HashMap::new(), order: VecDeque::new(), bytes: 0 }
    }

    /// Keeps an event, instead of the oldest ones where there are too many.
    pub(crate) fn insert(&mut self, record: EventRecord) {
        let Some(id) = record.event_id() else { return };
        let data = record.event.data.as_ref().map_or(0, |data| data.inline.len());
        let size = data + EVENT_BYTES;
        if self.known.insert(id, Arc::new(record)).is_some() {
            return;
        }
        self.order.push_back((id, size));
        self.bytes += size;
        while self.bytes > self.bytes_max && self.order.len() > 1 {
            let Some((oldest, size)) = self.order.pop_front() else { return };
            self.known.remove(&oldest);
            self.bytes -= size;
        }
    }

    pub(crate) fn get(&self, id: EventId) -> Option<Arc<EventRecord>> {
        self.known.get(&id).cloned()
    }
}

/// The latest ends of deliveries, for those who ask a moment too late.
#[derive(Default)]
pub(crate) struct Endings {
    known: HashMap<Id, Ended>,
    order: VecDeque<Id>,
}

impl Endings {
    pub(crate) fn insert(&mut self, id: Id, ended: Ended) {
        if self.known.insert(id, ended).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > ENDINGS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(crate) fn get(&self, id: Id) -> Option<&Ended> {
        self.known.get(&id)
    }
}
