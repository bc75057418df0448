//! Calls whose callers wait begin before they are on disk: the call, what it came to and everything in
//! between may then be one append, and its caller waits for the disk once.
//!
//! Until then nobody knows of the call. What the attempt appends first takes the event along, and nothing
//! is seen of an attempt before that. So a crash in between leaves nothing, and nobody was promised
//! anything.

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use nexus_model::record::{EventRecord, Record};
use nexus_model::{EventId, InvocationId, Timestamp};
use tokio::sync::{oneshot, watch};

use super::accept::{Accepted, Appending, Reserved};
use super::{Engine, Inner};
use crate::dedup::{DedupKey, Known};
use crate::worker::{Delivery, Made};
use crate::{DeliveryKey, Error};

type Ran = Result<Made, nexus_log::Error>;

/// Tells how an attempt ended.
pub(crate) type EarlyEnd = oneshot::Receiver<Ran>;

/// Attempts that began early and whose events the driver may meet before what follows them in the
/// log: they are not begun again.
#[derive(Default)]
pub(crate) struct Underway(Mutex<HashMap<EventId, EarlyEnd>>);

impl Underway {
    fn lock(&self) -> MutexGuard<'_, HashMap<EventId, EarlyEnd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an attempt at an event has begun of which the driver has met no record yet.
    pub(crate) fn has(&self, event: EventId) -> bool {
        self.lock().contains_key(&event)
    }

    /// What tells how the attempt at an event ends that has begun.
    pub(crate) fn take(&self, event: EventId) -> Option<EarlyEnd> {
        self.lock().remove(&event)
    }
}

/// The event of an attempt that began before it was in the log.
pub struct Early {
    inner: Arc<Inner>,
    reserved: Reserved,
    /// Until something is appended.
    unsent: Mutex<Option<Unsent>>,
    /// Whether the event is in the log, once that is known.
    sent: watch::Sender<Option<bool>>,
}

struct Unsent {
    event: Box<EventRecord>,
    ended: EarlyEnd,
}

impl fmt::Debug for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Early").field("event", &self.event()).finish_non_exhaustive()
    }
}

impl Early {
    fn event(&self) -> EventId {
        self.reserved.1.0
    }

    fn unsent(&self) -> Option<Unsent> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Appends the first record of the attempt, and the event before it: durable when it returns. Goes on
    /// when its caller goes away.
    ///
    /// # Errors
    /// Gives the record back where something was appended before: it is to follow the ordinary way.
    pub async fn append_first(
        &self,
        record: Record,
    ) -> Result<Result<(), nexus_log::Error>, Record> {
        let Some(Unsent { event, ended }) = self.unsent() else { return Err(record) };
        let (id, sent) = (self.event(), self.sent.clone());
        let (log, shared) = (self.inner.log.clone(), self.inner.shared.clone());
        shared.early.lock().insert(id, ended);
        let append = Box::pin(async move {
            let appended = log.append(vec![Record::Event(*event), record]).await;
            if appended.is_err() {
                drop(shared.early.take(id));
            }
            sent.send_replace(Some(appended.is_ok()));
            appended.map(drop).map_err(Error::Append)
        });
        Ok(match Appending::of(&self.inner, vec![self.reserved], append).await {
            Err(Error::Append(error)) => Err(error),
            other => other.map_err(|_| nexus_log::Error::Closed),
        })
    }

    /// Returns when what was appended first is in the log.
    ///
    /// # Errors
    /// The log has refused it: the call was not accepted.
    pub async fn sent(&self) -> Result<(), nexus_log::Error> {
        let mut sent = self.sent.subscribe();
        let sent = sent.wait_for(Option::is_some).await.map(|sent| *sent == Some(true));
        if sent.unwrap_or(false) { Ok(()) } else { Err(nexus_log::Error::Closed) }
    }

    fn is_accepted(&self) -> bool {
        *self.sent.borrow() == Some(true)
    }

    /// The event, where nothing was appended. Nothing is reserved for it any more.
    fn take_back(&self) -> Option<EventRecord> {
        let Unsent { event, .. } = self.unsent()?;
        self.inner.settle(&[self.reserved], false);
        Some(*event)
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        drop(self.take_back());
    }
}

/// A run that goes on when its caller goes away.
struct Running {
    inner: Arc<Inner>,
    run: Option<Pin<Box<dyn Future<Output = Ran> + Send>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Without a runtime the server is gone already.
        if let Some(run) = self.run.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            self.inner.tasks.spawn(run);
        }
    }
}

impl Engine {
    /// Accepts a call whose caller waits for it, like [`accept`](Self::accept), and makes its first
    /// attempt at once where nothing is in the way. `durable` as in [`Delivery::durable`]. Only for
    /// functions that say nothing of when and how their calls are to be made: no limit, key, batch,
    /// breaker, transformation or queue.
    ///
    /// # Errors
    /// Like [`accept`](Self::accept).
    pub async fn call(&self, event: EventRecord, durable: bool) -> Result<Accepted, Error> {
        let (early, ended) = match self.early(Box::new(event)) {
            Ok(early) => early,
            Err(event) => return self.accept_one(*event).await,
        };
        let accepted = Accepted { id: early.event(), duplicate: false };
        let run = self.clone().run_early(Arc::clone(&early), (ended, durable));
        let mut running = Running { inner: Arc::clone(&self.inner), run: Some(Box::pin(run)) };
        let Some(run) = &mut running.run else { return Err(Error::Stopped) };
        let ran = tokio::select! {
            biased;
            ran = run => ran,
            Ok(()) = early.sent() => return Ok(accepted),
        };
        running.run = None;
        match ran {
            Ok(Made::NotNow(_)) => match early.take_back() {
                Some(event) => self.accept_one(event).await,
                None => Ok(accepted),
            },
            Err(error) if !early.is_accepted() => Err(Error::Append(error)),
            Ok(Made::Recorded) | Err(_) => Ok(accepted),
        }
    }

    async fn accept_one(&self, event: EventRecord) -> Result<Accepted, Error> {
        let accepted = self.accept(vec![event]).await?;
        accepted.into_iter().next().ok_or(Error::Stopped)
    }

    /// Reserves what accepting an event takes; gives it back where it has to be accepted first.
    fn early(
        &self,
        event: Box<EventRecord>,
    ) -> Result<(Arc<Early>, oneshot::Sender<Ran>), Box<EventRecord>> {
        let shared = &self.inner.shared;
        let full = shared.pending.load(Ordering::Relaxed) >= self.inner.pending_max;
        if full || shared.busy.load(Ordering::Relaxed) || self.inner.stop.is_cancelled() {
            return Err(event);
        }
        let Some(id) = event.event_id() else { return Err(event) };
        let key = DedupKey::of_event(&event);
        if !matches!(shared.dedup.reserve(key), Known::Fresh) {
            return Err(event);
        }
        let (tell, ended) = oneshot::channel();
        let early = Early {
            inner: Arc::clone(&self.inner),
            reserved: (key, (id, Timestamp::from_unix_ns(event.received_ns))),
            unsent: Mutex::new(Some(Unsent { event, ended })),
            sent: watch::Sender::new(None),
        };
        Ok((Arc::new(early), tell))
    }

    async fn run_early(
        self,
        early: Arc<Early>,
        (ended, durable): (oneshot::Sender<Ran>, bool),
    ) -> Ran {
        let Some(delivery) = early.delivery(durable) else {
            return Ok(Made::NotNow(String::new()));
        };
        let run = AssertUnwindSafe(self.inner.worker.call(delivery, early));
        // Whoever calls must not fall with it: the engine tries again.
        let ran = run.catch_unwind().await.unwrap_or(Err(nexus_log::Error::Closed));
        // Where it has failed without its record, the driver hears it by what is not said.
        drop(ran.as_ref().ok().map(|made| ended.send(Ok(made.clone()))));
        ran
    }
}

impl Early {
    fn delivery(&self, durable: bool) -> Option<Delivery> {
        let unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        let event = &unsent.as_ref()?.event;
        let id = self.event();
        Some(Delivery {
            key: DeliveryKey {
                event: id,
                project: event.meta.project.as_str().into(),
                function: event.target.as_str().into(),
                trigger: event.trigger.as_str().into(),
            },
            attempt: 1,
            batch: Vec::new(),
            batched: false,
            events: vec![Some(Arc::new(EventRecord::clone(event)))],
            invocation: Some(InvocationId::from_bytes(*id.as_bytes())),
            durable,
            suspect: false,
            transform: None,
            waited_for: Vec::new(),
        })
    }
}
