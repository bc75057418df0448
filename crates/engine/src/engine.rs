//! The handle: accepting events, asking about deliveries, stopping.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use nexus_log::Log;
use nexus_model::record::{ConfigRecord, EventRecord, Record};
use nexus_model::{Clock, EventId, IdMint, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dedup::{Dedup, DedupKey, Known};
use crate::driver::{Command, Driver};
use crate::{Delivery, DeliveryState, Error};

/// Questions that may wait for the driver.
const COMMANDS_MAX: usize = 256;

/// How the engine runs.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The file of the checkpoint.
    pub checkpoint: PathBuf,
    /// Deliveries at the same time.
    pub running_max: usize,
    /// Unfinished deliveries beyond which events are not accepted.
    pub pending_max: usize,
    /// A checkpoint is written after this many records.
    pub checkpoint_records: u64,
}

/// What the engine stands on.
pub struct EngineParts {
    /// The log.
    pub log: Log,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// For the records that the engine writes itself.
    pub mint: Arc<IdMint>,
    /// What runs functions.
    pub worker: Arc<dyn Worker>,
}

/// Makes one attempt to deliver an event.
///
/// - It appends a `Started` record, durably, before the function runs, and the `Invocation` record
///   (trigger `Event`, cause the event, the delivery's attempt) when it ended, durably, before it
///   returns. Where the function cannot even begin, it appends an `Invocation` record with the
///   status `Rejected`.
/// - Called from many tasks at once, at most `running_max`.
#[async_trait]
pub trait Worker: Send + Sync + 'static {
    /// Makes the attempt.
    ///
    /// # Errors
    /// A record could not be appended: the engine tries again.
    async fn deliver(&self, delivery: Delivery) -> Result<(), nexus_log::Error>;
}

/// What became of an event that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// Its id in the log; that of the first one for a duplicate.
    pub id: EventId,
    /// An event of the same source and id was in the log already.
    pub duplicate: bool,
}

/// A delivery that was given up.
#[derive(Clone, PartialEq, Debug)]
pub struct DeadLetter {
    /// The event.
    pub event: EventId,
    /// The project.
    pub project: Arc<str>,
    /// The function.
    pub function: Arc<str>,
    /// How many attempts were made.
    pub attempts: u32,
    /// Why the last one failed.
    pub reason: String,
    /// When it was given up.
    pub at: Timestamp,
}

/// A delivery that is not finished.
#[derive(Clone, PartialEq, Debug)]
pub struct PendingDelivery {
    /// The event.
    pub event: EventId,
    /// The project.
    pub project: Arc<str>,
    /// The function.
    pub function: Arc<str>,
    /// Where it stands.
    pub state: DeliveryState,
}

/// The engine of one shard. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    log: Log,
    dedup: Arc<Dedup>,
    pending: Arc<AtomicUsize>,
    pending_max: usize,
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Engine {
    /// Rebuilds the state from the checkpoint and the log, then begins to deliver.
    ///
    /// # Errors
    /// The checkpoint is of a newer version, or the log cannot be read.
    pub async fn start(config: EngineConfig, parts: EngineParts) -> Result<Engine, Error> {
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let (log, pending_max) = (parts.log.clone(), config.pending_max);
        let driver = Driver::recover(config, parts, received).await?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (dedup, pending) = (driver.dedup(), driver.pending());
        tasks.spawn(driver.run(stop.clone()));
        let inner = Inner { log, dedup, pending, pending_max, commands, stop, tasks };
        Ok(Engine { inner: Arc::new(inner) })
    }

    /// Appends events that are not duplicates, all or none: durable when it returns. The ids in the
    /// records must be fresh. Goes on to its end when the caller goes away.
    ///
    /// # Errors
    /// Too many deliveries are unfinished, or the log refuses.
    pub async fn accept(&self, events: Vec<EventRecord>) -> Result<Vec<Accepted>, Error> {
        let pending = self.inner.pending.load(Ordering::Relaxed);
        if pending >= self.inner.pending_max {
            return Err(Error::Full { pending, limit: self.inner.pending_max });
        }
        let inner = self.inner.clone();
        let append = self.inner.tasks.spawn(async move { inner.accept(events).await });
        append.await.unwrap_or(Err(Error::Stopped))
    }

    /// Tells the engine of a function's subscriptions; durable when it returns.
    ///
    /// # Errors
    /// The log refuses.
    pub async fn configure(&self, records: Vec<ConfigRecord>) -> Result<(), Error> {
        let records = records.into_iter().map(Record::Config).collect();
        self.inner.log.append(records).await.map(drop).map_err(Error::Append)
    }

    /// How many deliveries are unfinished.
    pub fn pending(&self) -> usize {
        self.inner.pending.load(Ordering::Relaxed)
    }

    /// Dead letters of a project (`None`: of all), by event id, at most `limit`, after `after`.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn dead_letters(
        &self,
        project: Option<&str>,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, Error> {
        let project = project.map(Arc::from);
        self.ask(|reply| Command::DeadLetters { project, after, limit, reply }).await
    }

    /// The unfinished deliveries of an event.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn deliveries(&self, event: EventId) -> Result<Vec<PendingDelivery>, Error> {
        self.ask(|reply| Command::Deliveries { event, reply }).await
    }

    /// Waits until every record that is durable now has been applied. For tests and for callers
    /// who must see their own change.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn settled(&self) -> Result<(), Error> {
        let sequence = self.inner.log.durable().sequence;
        self.ask(|reply| Command::Applied { sequence, reply }).await
    }

    /// Begins no more deliveries, waits for those that run, and writes a checkpoint. Dropping the
    /// future stops waiting: what then still runs is found unfinished at the next start.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.inner.commands.send(command(reply)).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)
    }
}

impl Inner {
    async fn accept(&self, events: Vec<EventRecord>) -> Result<Vec<Accepted>, Error> {
        let mut accepted: Vec<Option<Accepted>> = vec![None; events.len()];
        let mut own: HashMap<DedupKey, EventId> = HashMap::new();
        let mut fresh = Vec::new();
        let mut contested = Vec::new();
        for (index, event) in events.into_iter().enumerate() {
            let Some(id) = event.event_id() else { continue };
            let key = DedupKey::of(&event.meta.project, &event.event.source, &event.event.id);
            let first = own.get(&key).copied();
            accepted[index] = match first.map_or_else(|| self.dedup.reserve(key), Known::Durable) {
                Known::Durable(first) => Some(Accepted { id: first, duplicate: true }),
                Known::Reserved(_) => {
                    contested.push((index, key, event));
                    None
                }
                Known::Fresh => {
                    own.insert(key, id);
                    fresh.push((key, event));
                    Some(Accepted { id, duplicate: false })
                }
            };
        }
        self.append(fresh).await?;
        // Nothing is reserved any more here, so that two requests cannot wait for each other.
        for (index, key, event) in contested {
            accepted[index] = self.accept_contested(key, event).await?;
        }
        Ok(accepted.into_iter().flatten().collect())
    }

    async fn accept_contested(
        &self,
        key: DedupKey,
        event: EventRecord,
    ) -> Result<Option<Accepted>, Error> {
        loop {
            match self.dedup.reserve(key) {
                Known::Durable(id) => return Ok(Some(Accepted { id, duplicate: true })),
                Known::Fresh => {
                    let id = event.event_id();
                    self.append(vec![(key, event)]).await?;
                    return Ok(id.map(|id| Accepted { id, duplicate: false }));
                }
                Known::Reserved(notify) => {
                    let settled = notify.notified();
                    tokio::pin!(settled);
                    // Listen first, then ask again: the reservation may have ended in between.
                    settled.as_mut().enable();
                    if matches!(self.dedup.reserve(key), Known::Reserved(_)) {
                        settled.await;
                    } else {
                        self.dedup.settle(key, None);
                    }
                }
            }
        }
    }

    async fn append(&self, fresh: Vec<(DedupKey, EventRecord)>) -> Result<(), Error> {
        if fresh.is_empty() {
            return Ok(());
        }
        let settled: Vec<_> = fresh
            .iter()
            .filter_map(|(key, event)| {
                Some((*key, (event.event_id()?, Timestamp::from_unix_ns(event.received_ns))))
            })
            .collect();
        let records = fresh.into_iter().map(|(_, event)| Record::Event(event)).collect();
        let appended = self.log.append(records).await;
        for (key, durable) in settled {
            self.dedup.settle(key, appended.is_ok().then_some(durable));
        }
        appended.map(drop).map_err(Error::Append)
    }
}
