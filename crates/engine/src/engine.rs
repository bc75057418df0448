//! The handle: accepting events, asking about deliveries, stopping.

mod accept;
mod dead;
mod durable;
mod early;
mod schedules;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nexus_log::Log;
use nexus_model::record::{ConfigRecord, InvocationRecord, Record};
use nexus_model::{Clock, EventId, IdMint, InvocationId};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use accept::Accepted;
pub use dead::Redrive;
pub use durable::WaitingSignalAt;
pub use early::Early;
pub(crate) use early::{EarlyEnd, Underway};

use crate::driver::{CancelRequest, Cancellation, Driver, OutcomeOf, Question, Shared, Why};
use crate::lanes::DeclaredKey;
use crate::shard::{DeliveryKey, DeliveryState, Ended};
use crate::snapshot::{DeliveryCounts, DeliveryFilter, PendingDelivery, Snapshot};
use crate::{Error, Worker};

/// Questions that may wait for the driver.
const QUESTIONS_MAX: usize = 256;
/// Functions and triggers that are appended together, and the size of their specifications: a start
/// that finds nothing in the log tells the engine of all there are.
const CONFIGS_TOGETHER_MAX: usize = 1_000;
const CONFIGS_TOGETHER_BYTES: usize = 1 << 20;

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

/// How far a delivery is.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// It is not finished.
    Pending(DeliveryState),
    /// It ended a moment ago.
    Ended(Ended),
    /// It ended long ago (then the log knows how), or never was.
    Unknown,
}

/// The engine of one shard. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

/// A slot for another attempt; taken back when dropped.
pub struct Lent(Arc<AtomicUsize>);

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Inner {
    log: Log,
    clock: Arc<dyn Clock>,
    mint: Arc<IdMint>,
    shared: Shared,
    pending_max: usize,
    worker: Arc<dyn Worker>,
    questions: mpsc::Sender<Question>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Engine {
    /// Rebuilds the state from the checkpoint and the log, then begins to deliver.
    ///
    /// # Errors
    /// The checkpoint is of a newer version, or the log cannot be read.
    pub async fn start(config: EngineConfig, parts: EngineParts) -> Result<Engine, Error> {
        let (questions, received) = mpsc::channel(QUESTIONS_MAX);
        let (log, pending_max) = (parts.log.clone(), config.pending_max);
        let (clock, mint) = (parts.clock.clone(), parts.mint.clone());
        let worker = parts.worker.clone();
        let driver = Driver::recover(config, parts, received).await?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let shared = driver.shared();
        tasks.spawn(driver.run(stop.clone()));
        let inner = Inner { log, clock, mint, shared, pending_max, worker, questions, stop, tasks };
        Ok(Engine { inner: Arc::new(inner) })
    }

    /// Tells the engine of functions and triggers, any number; durable when it returns. A record whose
    /// revision is not newer than what is known changes nothing.
    ///
    /// # Errors
    /// The log refuses; some may be known then.
    pub async fn configure(&self, records: Vec<ConfigRecord>) -> Result<(), Error> {
        let (mut together, mut bytes) = (Vec::new(), 0);
        let mut records = records.into_iter().peekable();
        while let Some(record) = records.next() {
            bytes += record.spec.len();
            together.push(Record::Config(record));
            let full = together.len() >= CONFIGS_TOGETHER_MAX || bytes >= CONFIGS_TOGETHER_BYTES;
            if full || records.peek().is_none() {
                let append = self.inner.log.append(std::mem::take(&mut together));
                append.await.map_err(Error::Append)?;
                bytes = 0;
            }
        }
        Ok(())
    }

    /// Which of these functions and triggers the engine does not know in this revision or a newer
    /// one: a checkpoint may be lost, and with it what retention has removed from the log.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn unknown(&self, declared: Vec<DeclaredKey>) -> Result<Vec<DeclaredKey>, Error> {
        self.ask(move |driver| driver.unknown(declared)).await
    }

    /// As long as the answer lives, one more attempt than `running_max` may run: for an attempt that
    /// does nothing but wait for another delivery, which could otherwise wait for its slot.
    pub async fn lend(&self) -> Lent {
        let lent = self.inner.shared.lent.clone();
        lent.fetch_add(1, Ordering::Relaxed);
        let lent = Lent(lent);
        // The driver looks again at what may begin. A stopped one begins nothing.
        let _ = self.ask(|_| ()).await;
        lent
    }

    /// How many deliveries are unfinished.
    pub fn pending(&self) -> usize {
        self.inner.shared.pending.load(Ordering::Relaxed)
    }

    /// How many dead letters there are.
    pub fn dead(&self) -> usize {
        self.inner.shared.dead.load(Ordering::Relaxed)
    }

    /// How many deliveries were given up since the engine started.
    pub fn died(&self) -> u64 {
        self.inner.shared.died.load(Ordering::Relaxed)
    }

    /// Unfinished deliveries by event, at most `limit`, after `after`.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn deliveries(
        &self,
        filter: DeliveryFilter,
        after: Option<DeliveryKey>,
        limit: usize,
    ) -> Result<Vec<PendingDelivery>, Error> {
        self.look(move |state| state.deliveries(&filter, (after.as_ref(), limit))).await
    }

    /// How many unfinished deliveries are in each state.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn delivery_counts(&self, filter: DeliveryFilter) -> Result<DeliveryCounts, Error> {
        self.look(move |state| state.delivery_counts(&filter)).await
    }

    /// Why a delivery is where it is; `None` when it is not unfinished.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn why(&self, key: DeliveryKey) -> Result<Option<Why>, Error> {
        self.ask_settled(move |driver| driver.why(&key)).await
    }

    /// What is known of an invocation whose begin is in the log and whose end is not, as a record with
    /// the status `running` or `suspended`.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn begun(&self, id: InvocationId) -> Result<Option<InvocationRecord>, Error> {
        self.ask_settled(move |driver| driver.begun(id)).await
    }

    /// How far a delivery is. An asynchronous call is the delivery of its event to its target.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn outcome(&self, key: DeliveryKey) -> Result<Outcome, Error> {
        let found = self.ask_settled(move |driver| driver.outcome(&key)).await?;
        Ok(match found {
            OutcomeOf::Pending(state) => Outcome::Pending(state),
            OutcomeOf::Ended(ended) => Outcome::Ended(ended),
            OutcomeOf::Unknown => Outcome::Unknown,
        })
    }

    /// Waits for the end of a delivery whose event is durable; `None` when it ended long ago or
    /// never was. Cancel safe; the caller bounds the time.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn wait_ended(&self, key: DeliveryKey) -> Result<Option<Ended>, Error> {
        let (reply, ended) = oneshot::channel();
        self.ask_settled(move |driver| driver.await_end(&key, reply)).await?;
        match ended.await {
            Ok(ended) => Ok(Some(ended)),
            Err(_) if self.inner.stop.is_cancelled() => Err(Error::Stopped),
            Err(_) => Ok(None),
        }
    }

    /// Cancels a delivery: what waits or sleeps is gone when it returns, what runs is being stopped.
    /// `principal` is recorded with the reason.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn cancel(
        &self,
        key: DeliveryKey,
        (principal, reason): (String, String),
    ) -> Result<Cancellation, Error> {
        let (reply, answer) = oneshot::channel();
        let request = CancelRequest { principal, reason, reply };
        self.ask_settled(move |driver| driver.cancel(&key, request)).await?;
        answer.await.map_err(|_| Error::Stopped)
    }

    /// The lowest sequence number of the log that unfinished work, or the next start, still needs.
    /// What lies below may be removed. Asking also has a checkpoint written, so that the next answer
    /// is a higher one.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn floor(&self) -> Result<u64, Error> {
        self.ask(Driver::write_checkpoint).await?;
        let checkpointed = self.inner.shared.checkpointed.load(Ordering::Relaxed);
        let needed = self.look(|state| state.floor()).await?;
        Ok(needed.min(checkpointed + 1))
    }

    /// Waits until every record that is durable now has been applied: whoever asks
    /// sees what it has done itself.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn settled(&self) -> Result<(), Error> {
        self.ask_settled(|_| ()).await
    }

    /// Begins no more deliveries, waits for those that run, and writes a checkpoint. Dropping the
    /// future stops waiting: what then still runs is found unfinished at the next start.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Driver) -> T + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |driver| {
            // A caller that went away needs no answer.
            let _ = reply.send(question(driver));
        });
        self.inner.questions.send(question).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)
    }

    /// Asks when everything that is durable now has been applied.
    async fn ask_settled<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Driver) -> T + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let sequence = self.inner.log.durable().sequence;
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |driver| {
            // A caller that went away needs no answer.
            let _ = reply.send(question(driver));
        });
        let question: Question = Box::new(move |driver| driver.when_applied(sequence, question));
        self.inner.questions.send(question).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)
    }

    /// Looks through the state beside the driver. Whoever asks sees what was durable before.
    async fn look<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Snapshot) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let state = self.ask_settled(|driver| driver.snapshot()).await?;
        let found = tokio::task::spawn_blocking(move || question(&state));
        found.await.map_err(|_| Error::Stopped)
    }
}

impl Inner {
    fn fresh_id(&self, project: &str) -> EventId {
        self.mint.mint(nexus_model::Partition::of(project, ""))
    }
}
