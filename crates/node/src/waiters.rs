//! Who waits in this process for the end of a delivery. They get what the function gave, as it gave
//! it: the record of its end may be redacted, and large answers are not in it. Only after a restart
//! the record is all there is.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use nexus_model::{EventId, InvocationId};
use tokio::sync::Notify;

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

/// Durable invocations that are taken down with the server, because what they wait for will not come
/// before the next start. Nothing of them is lost: they go on from their journals then.
#[derive(Clone, Default)]
pub(crate) struct TakenDown(Arc<Inner>);

#[derive(Default)]
struct Inner {
    all: Mutex<HashSet<InvocationId>>,
    more: Notify,
}

impl TakenDown {
    /// Takes one down: whoever runs it drops it.
    pub(crate) fn add(&self, id: InvocationId) {
        lock(&self.0.all).insert(id);
        self.0.more.notify_waiters();
    }

    /// Waits until it is taken down. Cancel safe.
    pub(crate) async fn wait(&self, id: InvocationId) {
        loop {
            let more = self.0.more.notified();
            if lock(&self.0.all).contains(&id) {
                return;
            }
            more.await;
        }
    }
}

impl Waiter {
    /// What was given.
    pub(crate) fn take(&self) -> Option<InvokeOutput> {
        lock(&self.waiters.0).get_mut(&self.event).and_then(Option::take)
    }
}
