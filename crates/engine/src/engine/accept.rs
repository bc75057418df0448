//! Accepting events: durable, all or none, each (source, id) once.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use nexus_model::record::{EventRecord, Record};
use nexus_model::{EventId, Timestamp};

use super::{Engine, Inner};
use crate::Error;
use crate::dedup::{DedupKey, Known};

/// What became of an event that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// Its id in the log; that of the first one for a duplicate.
    pub id: EventId,
    /// An event of the same source and id was in the log already.
    pub duplicate: bool,
}

/// A record that is appended unless it is a duplicate.
pub(super) struct Candidate {
    pub(super) key: DedupKey,
    pub(super) id: EventId,
    pub(super) at: Timestamp,
    pub(super) record: Record,
}

impl Candidate {
    fn event(record: EventRecord) -> Option<Self> {
        let at = Timestamp::from_unix_ns(record.received_ns);
        let (key, id) = (DedupKey::of_event(&record), record.event_id()?);
        Some(Candidate { key, id, at, record: Record::Event(record) })
    }
}

impl Engine {
    /// Appends events that are not duplicates, all or none: durable when it returns. The ids in the
    /// records must be fresh. Goes on to its end when the caller goes away.
    ///
    /// # Errors
    /// Too many deliveries are unfinished; a queue that an event would go to is full; the log
    /// refuses.
    pub async fn accept(&self, events: Vec<EventRecord>) -> Result<Vec<Accepted>, Error> {
        let pending = self.inner.shared.pending.load(Ordering::Relaxed);
        if pending >= self.inner.pending_max {
            return Err(Error::Full { pending, limit: self.inner.pending_max });
        }
        let candidates = events.into_iter().filter_map(Candidate::event).collect();
        self.accept_all(candidates).await
    }

    pub(super) async fn accept_all(
        &self,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<Accepted>, Error> {
        let Sorted { accepted, fresh, contested } = self.inner.sort(candidates);
        let appending = Appending::new(&self.inner, fresh);
        if contested.is_empty() {
            appending.await?;
            return Ok(accepted.into_iter().flatten().collect());
        }
        // Others append the same events now: that takes more than one step.
        let inner = self.inner.clone();
        let rest = async move { inner.accept_rest(appending, accepted, contested).await };
        self.inner.tasks.spawn(rest).await.unwrap_or(Err(Error::Stopped))
    }
}

/// What is to be done with candidates.
struct Sorted {
    /// Where it is known already.
    accepted: Vec<Option<Accepted>>,
    /// Reserved.
    fresh: Vec<Candidate>,
    /// Reserved by somebody else, with their places.
    contested: Vec<(usize, Candidate)>,
}

/// What is reserved for an event that is about to be appended.
pub(super) type Reserved = (DedupKey, (EventId, Timestamp));

/// Reserved candidates on their way to the disk. Whoever waits for them may go away: they are
/// settled all the same.
pub(super) struct Appending {
    inner: Arc<Inner>,
    reserved: Vec<Reserved>,
    /// `None` when they are settled.
    append: Option<Append>,
}

pub(super) type Append = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

impl Appending {
    fn new(inner: &Arc<Inner>, fresh: Vec<Candidate>) -> Self {
        let reserved: Vec<_> = fresh.iter().map(|at| (at.key, (at.id, at.at))).collect();
        let append: Option<Append> = match inner.count(&fresh) {
            _ if fresh.is_empty() => None,
            Err(full) => Some(Box::pin(std::future::ready(Err(full)))),
            Ok(()) => {
                let records = fresh.into_iter().map(|at| at.record).collect();
                let log = inner.log.clone();
                Some(Box::pin(
                    async move { log.append(records).await.map(drop).map_err(Error::Append) },
                ))
            }
        };
        Appending { inner: Arc::clone(inner), reserved, append }
    }

    /// What appends events for which something is reserved.
    pub(super) fn of(inner: &Arc<Inner>, reserved: Vec<Reserved>, append: Append) -> Self {
        Appending { inner: Arc::clone(inner), reserved, append: Some(append) }
    }
}

impl Future for Appending {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(append) = &mut self.append else { return Poll::Ready(Ok(())) };
        let appended = ready!(append.as_mut().poll(cx));
        self.append = None;
        self.inner.settle(&self.reserved, appended.is_ok());
        Poll::Ready(appended)
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        // Without a runtime the server is gone already.
        if let Some(append) = self.append.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            let (inner, reserved) = (Arc::clone(&self.inner), std::mem::take(&mut self.reserved));
            self.inner.tasks.spawn(async move {
                let appended = append.await;
                inner.settle(&reserved, appended.is_ok());
            });
        }
    }
}

impl Inner {
    fn sort(&self, candidates: Vec<Candidate>) -> Sorted {
        let mut accepted: Vec<Option<Accepted>> = vec![None; candidates.len()];
        let mut own: HashMap<DedupKey, EventId> = HashMap::new();
        let (mut fresh, mut contested) = (Vec::with_capacity(candidates.len()), Vec::new());
        for (index, candidate) in candidates.into_iter().enumerate() {
            let (key, id) = (candidate.key, candidate.id);
            let first = own.get(&key).copied();
            let known = first.map_or_else(|| self.shared.dedup.reserve(key), Known::Durable);
            accepted[index] = match known {
                Known::Durable(first) => Some(Accepted { id: first, duplicate: true }),
                Known::Reserved(_) => {
                    contested.push((index, candidate));
                    None
                }
                Known::Fresh => {
                    own.insert(key, id);
                    fresh.push(candidate);
                    Some(Accepted { id, duplicate: false })
                }
            };
        }
        Sorted { accepted, fresh, contested }
    }

    async fn accept_rest(
        self: Arc<Self>,
        appending: Appending,
        mut accepted: Vec<Option<Accepted>>,
        contested: Vec<(usize, Candidate)>,
    ) -> Result<Vec<Accepted>, Error> {
        appending.await?;
        // Nothing is reserved any more here, so that two requests cannot wait for each other.
        for (index, candidate) in contested {
            accepted[index] = Some(self.accept_contested(candidate).await?);
        }
        Ok(accepted.into_iter().flatten().collect())
    }

    async fn accept_contested(self: &Arc<Self>, candidate: Candidate) -> Result<Accepted, Error> {
        let (key, own) = (candidate.key, candidate.id);
        loop {
            match self.shared.dedup.reserve(key) {
                Known::Durable(id) => return Ok(Accepted { id, duplicate: true }),
                Known::Fresh => {
                    Appending::new(self, vec![candidate]).await?;
                    return Ok(Accepted { id: own, duplicate: false });
                }
                Known::Reserved(notify) => {
                    let settled = notify.notified();
                    tokio::pin!(settled);
                    // Listen first, then ask again: the reservation may have ended in between.
                    settled.as_mut().enable();
                    match self.shared.dedup.reserve(key) {
                        // A later reservation has others to tell.
                        Known::Reserved(now) if Arc::ptr_eq(&now, &notify) => settled.await,
                        Known::Reserved(_) | Known::Durable(_) => {}
                        Known::Fresh => self.shared.dedup.settle(key, None),
                    }
                }
            }
        }
    }

    /// Counts events for the queues that they go to.
    fn count(&self, fresh: &[Candidate]) -> Result<(), Error> {
        fresh.iter().try_for_each(|candidate| match &candidate.record {
            Record::Event(record) => self.shared.queues.reserve(record),
            _ => Ok(()),
        })
    }

    /// Ends reservations: the events are in the log, or they are not.
    pub(super) fn settle(&self, reserved: &[Reserved], durable: bool) {
        for (key, event) in reserved {
            self.shared.dedup.settle(*key, durable.then_some(*event));
            if !durable {
                self.shared.queues.given_up(event.0);
            }
        }
    }
}
