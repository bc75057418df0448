//! Who waits in this process for the end of a delivery. They get what the function gave, as it gave
//! it: the record of its end may be redacted, and large answers are not in it. Only after a restart
//! the record is all there is.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use nexus_model::{EventId, InvocationId};
use tokio::sync::{Notify, oneshot};

use crate::InvokeOutput;
use crate::node::lock;

/// By the event of the delivery.
#[derive(Clone, Default)]
pub(crate) struct Waiters(Arc<Mutex<HashMap<EventId, Waiting>>>);

struct Waiting {
    /// What the latest attempt gave.
    given: Option<InvokeOutput>,
    /// Told when that is on disk as what the delivery came to.
    tell: Option<oneshot::Sender<()>>,
}

/// One who waits; forgotten when dropped.
pub(crate) struct Waiter {
    waiters: Waiters,
    event: EventId,
    told: oneshot::Receiver<()>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        lock(&self.waiters.0).remove(&self.event);
    }
}

impl Waiters {
    /// Waits for the answer to an event that is about to be accepted.
    pub(crate) fn wait(&self, event: EventId) -> Waiter {
        let (tell, told) = oneshot::channel();
        lock(&self.0).insert(event, Waiting { given: None, tell: Some(tell) });
        Waiter { waiters: self.clone(), event, told }
    }

    /// Whether anybody waits.
    pub(crate) fn waits(&self, event: EventId) -> bool {
        lock(&self.0).contains_key(&event)
    }

    /// The answer of the latest attempt. It counts once the end of the delivery is in the log.
    pub(crate) fn give(&self, event: EventId, output: InvokeOutput) {
        if let Some(waiting) = lock(&self.0).get_mut(&event) {
            waiting.given = Some(output);
        }
    }

    /// What was given last is on disk, and the delivery has ended with it.
    pub(crate) fn kept(&self, event: EventId) {
        let tell = lock(&self.0).get_mut(&event).and_then(|waiting| waiting.tell.take());
        // Whoever went away needs no answer.
        let _ = tell.map(|tell| tell.send(()));
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
        lock(&self.waiters.0).get_mut(&self.event).and_then(|waiting| waiting.given.take())
    }

    /// Returns what the delivery came to, as soon as that is on disk; does not return where nothing
    /// was given. Cancel safe.
    pub(crate) async fn kept(&mut self) -> InvokeOutput {
        if (&mut self.told).await.is_ok()
            && let Some(output) = self.take()
        {
            return output;
        }
        std::future::pending().await
    }
}
