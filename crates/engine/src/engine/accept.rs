//! Accepting events: durable, all or none, each (source, id) once.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

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
        let inner = self.inner.clone();
        let append = self.inner.tasks.spawn(async move { inner.accept(candidates).await });
        append.await.unwrap_or(Err(Error::Stopped))
    }
}

impl Inner {
    async fn accept(&self, candidates: Vec<Candidate>) -> Result<Vec<Accepted>, Error> {
        let mut accepted: Vec<Option<Accepted>> = vec![None; candidates.len()];
        let mut own: HashMap<DedupKey, EventId> = HashMap::new();
        let mut fresh = Vec::new();
        let mut contested = Vec::new();
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
        self.append(fresh).await?;
        // Nothing is reserved any more here, so that two requests cannot wait for each other.
        for (index, candidate) in contested {
            accepted[index] = Some(self.accept_contested(candidate).await?);
        }
        Ok(accepted.into_iter().flatten().collect())
    }

    async fn accept_contested(&self, candidate: Candidate) -> Result<Accepted, Error> {
        let (key, own) = (candidate.key, candidate.id);
        loop {
            match self.shared.dedup.reserve(key) {
                Known::Durable(id) => return Ok(Accepted { id, duplicate: true }),
                Known::Fresh => {
                    self.append(vec![candidate]).await?;
                    return Ok(Accepted { id: own, duplicate: false });
                }
                Known::Reserved(notify) => {
                    let settled = notify.notified();
                    tokio::pin!(settled);
                    // Listen first, then ask again: the reservation may have ended in between.
                    settled.as_mut().enable();
                    if matches!(self.shared.dedup.reserve(key), Known::Reserved(_)) {
                        settled.await;
                    } else {
                        self.shared.dedup.settle(key, None);
                    }
                }
            }
        }
    }

    async fn append(&self, fresh: Vec<Candidate>) -> Result<(), Error> {
        if fresh.is_empty() {
            return Ok(());
        }
        let settled: Vec<_> = fresh.iter().map(|at| (at.key, (at.id, at.at))).collect();
        let appended = self.append_reserved(fresh).await;
        for (key, durable) in settled {
            self.shared.dedup.settle(key, appended.is_ok().then_some(durable));
            if appended.is_err() {
                self.shared.queues.given_up(durable.0);
            }
        }
        appended
    }

    async fn append_reserved(&self, fresh: Vec<Candidate>) -> Result<(), Error> {
        for candidate in &fresh {
            if let Record::Event(record) = &candidate.record {
                self.shared.queues.reserve(record)?;
            }
        }
        let records = fresh.into_iter().map(|at| at.record).collect();
        self.log.append(records).await.map(drop).map_err(Error::Append)
    }
}
