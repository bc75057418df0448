//! Who waits in this process for the end of a delivery. They get what the function gave, as it gave
//! it: the record of its end may be redacted, and large answers are not in it. Only after a restart
//! the record is all there is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use nexus_model::EventId;

use crate::InvokeOutput;
use crate::node::lock;

/// By the event of the delivery.
#[derive(Clone, Default)]
pub(crate) struct Waiters(Arc<Mutex<HashMap<EventId, Option<InvokeOutput>>>>);

/// One who waits; forgotten when dropped.
pub(crate) struct Waiter {
    waiters: Waiters,
    event: EventId,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        lock(&self.waiters.0).remove(&self.event);
    }
}

impl Waiters {
    /// Waits for the answer to an event that is about to be accepted.
    pub(crate) fn wait(&self, event: EventId) -> Waiter {
        lock(&self.0).insert(event, None);
        Waiter { waiters: self.clone(), event }
    }

    /// Whether anybody waits.
    pub(crate) fn waits(&self, event: EventId) -> bool {
        lock(&self.0).contains_key(&event)
    }

    /// The answer of the latest attempt. It counts once the end of the delivery is in the log.
    pub(crate) fn give(&self, event: EventId, output: InvokeOutput) {
        if let Some(waiting) = lock(&self.0).get_mut(&event) {
            *waiting = Some(output);
        }
    }
}

impl Waiter {
    /// What was given.
    pub(crate) fn take(&self) -> Option<InvokeOutput> {
        lock(&self.waiters.0).get_mut(&self.event).and_then(Option::take)
    }
}
