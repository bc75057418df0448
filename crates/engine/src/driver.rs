//! The thin driver around the pure core: one task that reads the log, applies its records, keeps
//! the timers, asks the scheduler what begins, and appends what was decided.

mod answers;
mod attempts;
mod outbox;
mod suspects;
mod timers;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use nexus_log::{Entry, Position};
use nexus_model::record::{DeliveryDecision, Record};
use nexus_model::{EventId, InvocationId, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use answers::{CancelRequest, OutcomeOf};
pub use answers::{Cancellation, Why};

use crate::cache::{Endings, Events};
use crate::dedup::{Dedup, DedupKey};
use crate::engine::Underway;
use crate::queues::Queues;
use crate::read_ahead::ReadAhead;
use crate::scheduler::{Scheduler, Wanted};
use crate::shard::{Action, Ended, Id, Receiver, Shard, State};
use crate::snapshot::Snapshot;
use crate::{EngineConfig, EngineParts, Error, checkpoint};
use attempts::Attempts;
use outbox::Out;
use suspects::Suspects;
use timers::Timers;

/// Records that are read at once.
const READ_RECORDS_MAX: usize = 1024;
/// How long the driver pauses after the log refused it, and the longest it sleeps: the wall clock
/// may be set while it does.
const PAUSE: Duration = Duration::from_secs(1);
/// Entries of the state that checkpoints write for each record of the log at most, on average.
const STATE_PER_RECORD_MAX: u64 = 4;
/// Questions that are answered before the log is looked at again.
const QUESTIONS_MAX: usize = 64;

/// A question for the driver: it runs between two records.
pub(crate) type Question = Box<dyn FnOnce(&mut Driver) + Send + Sync>;

/// What the driver shares with the handle.
#[derive(Clone, Default)]
pub(crate) struct Shared {
    pub(crate) pending: Arc<AtomicUsize>,
    pub(crate) schedules: Arc<AtomicUsize>,
    /// Dead letters.
    pub(crate) dead: Arc<AtomicUsize>,
    /// Deliveries that were given up since the start.
    pub(crate) died: Arc<AtomicU64>,
    pub(crate) dedup: Arc<Dedup>,
    pub(crate) queues: Arc<Queues>,
    /// The last record that a checkpoint on disk holds.
    pub(crate) checkpointed: Arc<AtomicU64>,
    /// Attempts that wait for other deliveries: others may run in their place.
    pub(crate) lent: Arc<AtomicUsize>,
    /// Calls that began before they were in the log.
    pub(crate) early: Arc<Underway>,
    /// Whether as many attempts run as may.
    pub(crate) busy: Arc<AtomicBool>,
}

pub(crate) struct Driver {
    config: EngineConfig,
    parts: EngineParts,
    questions: mpsc::Receiver<Question>,
    shard: Shard,
    scheduler: Scheduler,
    shared: Shared,
    timers: Timers,
    attempts: Attempts,
    suspects: Suspects,
    outbox: Vec<Out>,
    /// Schedules whose events are being appended.
    firing: HashSet<EventId>,
    /// Invocations whose ends are being appended.
    closing: HashSet<InvocationId>,
    events: Events,
    read_ahead: Arc<ReadAhead>,
    endings: Endings,
    ending: HashMap<Id, Vec<oneshot::Sender<Ended>>>,
    /// Cancellations of deliveries whose attempt is just beginning.
    cancel_later: HashMap<Id, Vec<CancelRequest>>,
    /// Questions that are answered once this record is applied.
    waiting: Vec<(u64, Question)>,
    /// Signals that are being appended, by their ids: whoever sends one is told what became of it.
    signalling: HashMap<[u8; 16], oneshot::Sender<Receiver>>,
    checkpointed: u64,
    checkpoint: JoinSet<()>,
    /// The last record that was there at the start.
    found: u64,
}

impl Driver {
    /// The state as of the end of the log.
    pub(crate) async fn recover(
        config: EngineConfig,
        parts: EngineParts,
        questions: mpsc::Receiver<Question>,
    ) -> Result<Driver, Error> {
        let durable = parts.log.durable().sequence;
        let known = checkpoint::read(&config.checkpoint)?;
        if let Some((shard, _)) = &known
            && shard.position() > durable
        {
            let (path, position) = (config.checkpoint, shard.position());
            return Err(Error::LogShorter { path, position, durable });
        }
        let (shard, dedup) = known.unwrap_or_else(|| (Shard::default(), Dedup::new()));
        let checkpointed = shard.position();
        let shared = Shared { dedup: Arc::new(dedup), ..Shared::default() };
        shared.checkpointed.store(checkpointed, Ordering::Relaxed);
        let read_ahead = Arc::new(ReadAhead::new(parts.log.clone()));
        let mut driver = Driver {
            scheduler: Scheduler::new(config.running_max),
            config,
            parts,
            questions,
            shard,
            shared,
            timers: Timers::default(),
            attempts: Attempts::default(),
            suspects: Suspects::default(),
            outbox: Vec::new(),
            firing: HashSet::new(),
            closing: HashSet::new(),
            events: Events::default(),
            read_ahead,
            endings: Endings::default(),
            ending: HashMap::new(),
            cancel_later: HashMap::new(),
            waiting: Vec::new(),
            signalling: HashMap::new(),
            checkpointed,
            checkpoint: JoinSet::new(),
            found: durable,
        };
        while driver.shard.position() < durable {
            let (entries, through) = driver.read().await?;
            for entry in entries {
                // What the records asked for was done before the restart, or is asked for again
                // by `recover`.
                drop(driver.apply(entry));
            }
            driver.shard.skip_to(through);
        }
        for (lane, state) in driver.shard.states.iter() {
            driver.scheduler.set_bucket(*lane, state.bucket);
        }
        let actions = driver.shard.recover();
        driver.take(actions);
        Ok(driver)
    }

    pub(crate) fn shared(&self) -> Shared {
        self.shared.clone()
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.step().await {
                Ok(true) => {
                    // However much there is to do: somebody waits for an answer.
                    self.answer_waiting();
                    continue;
                }
                Ok(false) => {}
                Err(error) => {
                    warn_paused(&error);
                    tokio::select! { () = stop.cancelled() => {}, () = tokio::time::sleep(PAUSE) => {} }
                    self.answer_waiting();
                    continue;
                }
            }
            let position = Position { shard: 0, sequence: self.shard.position() };
            let log = self.parts.log.clone();
            let nap = self.nap();
            tokio::select! {
                () = stop.cancelled() => {}
                () = log.wait_past(position) => {}
                () = tokio::time::sleep(nap) => {}
                Some(ended) = self.attempts.tasks.join_next_with_id() => self.attempt_ended(ended),
                Some(question) = self.questions.recv() => {
                    question(&mut self);
                    self.answer_waiting();
                }
            }
        }
        self.finish().await;
    }

    fn answer_waiting(&mut self) {
        for _ in 0..QUESTIONS_MAX {
            let Ok(question) = self.questions.try_recv() else { return };
            question(self);
        }
    }

    /// Reads and applies what is new, begins what is due. `true` when there may be more to do at
    /// once.
    async fn step(&mut self) -> Result<bool, Error> {
        while let Some(ended) = self.attempts.tasks.try_join_next_with_id() {
            self.attempt_ended(ended);
        }
        let before = self.shard.position();
        let (entries, through) = self.read().await?;
        for entry in entries {
            let actions = self.apply(entry);
            self.take(actions);
        }
        self.shard.skip_to(through);
        self.release_ended();
        self.next_suspect();
        self.fire_timers();
        self.dispatch();
        let appended = self.append_outbox().await?;
        self.report_applied();
        if self.shard.position() - self.checkpointed >= self.checkpoint_interval() {
            self.write_checkpoint();
        }
        Ok(appended || through - before >= READ_RECORDS_MAX as u64)
    }

    /// What is new and concerns the engine, and the sequence up to which was looked.
    async fn read(&mut self) -> Result<(Vec<Entry>, u64), Error> {
        loop {
            let sequence = self.shard.position();
            let after = Position { shard: 0, sequence };
            if self.parts.log.durable() <= after {
                return Ok((Vec::new(), sequence));
            }
            match self.parts.log.work_from(after, READ_RECORDS_MAX).await {
                Ok((entries, through)) => return Ok((entries, through.sequence)),
                Err(nexus_log::Error::Retained { first }) if first > sequence + 1 => {
                    tracing::warn!(
                        from = sequence + 1,
                        to = first - 1,
                        "records that the engine had not read were removed by retention"
                    );
                    self.shard.position = first - 1;
                }
                Err(source) => return Err(Error::Read { sequence, source }),
            }
        }
    }

    fn apply(&mut self, entry: Entry) -> Vec<Action> {
        match &entry.record {
            Record::Event(record) => {
                if let Some(id) = record.event_id() {
                    let at = Timestamp::from_unix_ns(record.received_ns);
                    self.shared.dedup.insert(DedupKey::of_event(record), id, at);
                }
                if let Ok(schedule) = EventId::try_from(&record.schedule[..]) {
                    self.firing.remove(&schedule);
                }
            }
            Record::Schedule(record) => {
                if let Ok(id) = EventId::try_from(&record.id[..])
                    && !self.shard.schedules.contains(&id)
                {
                    let at = Timestamp::from_unix_ns(record.received_ns);
                    self.shared.dedup.insert(DedupKey::of_schedule(record), id, at);
                }
            }
            Record::Signal(record) => self.signal_applies(record),
            Record::Started(record) => self.begin_applies(record),
            Record::Invocation(record) => {
                drop(self.early_end(&record.id));
                if let Some(id) = record.invocation_id() {
                    self.closing.remove(&id);
                }
            }
            Record::Delivery(record) if record.function.is_empty() => {
                if let Ok(schedule) = EventId::try_from(&record.event[..]) {
                    self.firing.remove(&schedule);
                }
            }
            _ => {}
        }
        let actions = self.shard.apply(&entry);
        if let Record::Event(record) = entry.record {
            if let Some(id) = record.event_id() {
                self.shared.queues.applied(id, |lane| self.shard.state(lane).pending);
            }
            if actions.iter().any(|action| matches!(action, Action::Queue(_))) {
                self.events.insert(record);
            }
        }
        actions
    }

    fn take(&mut self, actions: Vec<Action>) {
        let now_ns = self.parts.clock.now().unix_ns();
        for action in actions {
            match action {
                Action::Queue(id) => {
                    let Some(wanted) = self.wanted(id) else { continue };
                    self.scheduler.queue(id, wanted, now_ns);
                    self.count(id);
                    self.cancel_again(id);
                }
                Action::Begun(id) => {
                    let Some(wanted) = self.wanted(id) else { continue };
                    self.scheduler.begun(id, wanted, now_ns);
                    self.cancel_again(id);
                }
                Action::Forget(id, ended) => {
                    if ended.decision == Some(DeliveryDecision::Dead) {
                        self.shared.died.fetch_add(1, Ordering::Relaxed);
                    }
                    self.scheduler.forget(id, now_ns);
                    self.count(id);
                    self.report_ended(id, ended);
                    self.cancel_again(id);
                }
                Action::Settle(id) => {
                    if let Some(wanted) = self.wanted(id) {
                        self.scheduler.begun(id, wanted, now_ns);
                        self.count(id);
                        self.outbox.push(Out::Settle(id));
                    }
                }
                Action::Close(run) => self.close(run),
                Action::Resume(run) => self.resume(run),
                Action::WakeAt(run, at_ns) => self.timers.wake(run, at_ns),
                Action::Strike(run) => {
                    self.parts.worker.cancel(run);
                    self.cancel_suspect(run);
                }
                Action::Timer(schedule, at_ns) => self.timers.schedule(schedule, at_ns),
                Action::Lane(lane) => self.configure(lane),
            }
        }
        self.shared.pending.store(self.shard.pending(), Ordering::Relaxed);
        self.shared.schedules.store(self.shard.schedules.len(), Ordering::Relaxed);
        self.shared.dead.store(self.shard.dead.len(), Ordering::Relaxed);
    }

    /// Appends the end of an invocation that nobody runs, once: it may have been cancelled twice, or
    /// while it was about to go on.
    fn close(&mut self, run: InvocationId) {
        if self.closing.insert(run) {
            self.outbox.push(Out::Close(run));
        }
    }

    fn wanted(&self, id: Id) -> Option<Wanted> {
        let pending = self.shard.deliveries.get(&id)?;
        let due_ns = match pending.state {
            // The clock may have gone back since: nothing waits longer than its policy says.
            State::Queued { due_ns, failed: Some(_) } => due_ns.min(self.retry_ns(id, pending)),
            State::Queued { due_ns, failed: None } => due_ns,
            _ => 0,
        };
        let (order, since_ns, key) = (pending.order, pending.since_ns, pending.key.clone());
        Some(Wanted { order, key, due_ns, since_ns })
    }

    /// When a delivery that failed just now would be tried again.
    fn retry_ns(&self, id: Id, pending: &crate::shard::Pending) -> i64 {
        let lane = self.shard.lanes.get(id.lane);
        let failed = pending.attempt.saturating_sub(1);
        let delay = lane.settings.retry.delay(id.event, &lane.function, failed);
        self.parts.clock.now().after(delay).unix_ns()
    }

    fn configure(&mut self, id: crate::lanes::LaneId) {
        let state = self.shard.state(id);
        let lane = self.shard.lanes.get(id).clone();
        self.scheduler.configure(id, &lane, state.breaker);
        let events = match lane.settings.queue {
            Some(_) => self.shard.lanes.selects(id),
            None => Vec::new(),
        };
        self.shared.queues.configure(id, &lane, (&events, state.pending));
        let now = self.parts.clock.now();
        self.timers.configure(id, &lane, (&state.fired, now));
    }

    /// Tells those who accept events how full the queue of a lane is.
    fn count(&self, id: Id) {
        if self.shared.queues.limits(id.lane) {
            self.shared.queues.set(id.lane, self.shard.state(id.lane).pending);
        }
    }

    fn report_ended(&mut self, id: Id, ended: Ended) {
        for waiting in self.ending.remove(&id).unwrap_or_default() {
            // Whoever went away needs no answer.
            let _ = waiting.send(ended.clone());
        }
        self.endings.insert(id, ended);
    }

    fn nap(&self) -> Duration {
        let now = self.parts.clock.now();
        let next = self.scheduler.wake_ns().into_iter().chain(self.timers.next_ns()).min();
        next.map_or(PAUSE, |at| Timestamp::from_unix_ns(at).since(now).min(PAUSE))
    }

    fn report_applied(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        for (sequence, question) in std::mem::take(&mut self.waiting) {
            self.when_applied(sequence, question);
        }
    }

    /// Answers a question when a record is applied: at once where it is.
    pub(crate) fn when_applied(&mut self, sequence: u64, question: Question) {
        match sequence <= self.shard.position() {
            true => question(self),
            false => self.waiting.push((sequence, question)),
        }
    }

    /// A copy of the state that costs next to nothing.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.shard)
    }

    /// Records between two checkpoints. A checkpoint holds all of the state: the more of it there is,
    /// the rarer they are, so that writing them costs a bounded share of writing the log.
    fn checkpoint_interval(&self) -> u64 {
        let state = self.shared.dedup.len()
            + self.shard.pending()
            + self.shard.schedules.len()
            + self.shard.dead.len();
        self.config.checkpoint_records.max(state as u64 / STATE_PER_RECORD_MAX)
    }

    /// Writes a checkpoint beside the work, unless one is being written.
    pub(crate) fn write_checkpoint(&mut self) {
        while self.checkpoint.try_join_next().is_some() {}
        if !self.checkpoint.is_empty() || self.checkpointed == self.shard.position() {
            return;
        }
        self.checkpointed = self.shard.position();
        let (path, snapshot) = (self.config.checkpoint.clone(), self.snapshot());
        let shared = self.shared.clone();
        self.checkpoint.spawn_blocking(move || {
            match checkpoint::write(&path, &snapshot, &shared.dedup) {
                Ok(()) => shared.checkpointed.store(snapshot.position, Ordering::Relaxed),
                // The log holds everything; only the next start takes longer.
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no checkpoint was written"
                ),
            }
        });
    }

    async fn finish(mut self) {
        // Attempts that still run may ask, and wait for what they append.
        while !self.attempts.tasks.is_empty() {
            let stepped = self.step_without_dispatch().await;
            if matches!(stepped, Ok(true)) {
                self.answer_waiting();
                continue;
            }
            // What has not ended now does not end before the next start: nobody waits for it.
            self.ending.clear();
            let position = Position { shard: 0, sequence: self.shard.position() };
            let log = self.parts.log.clone();
            tokio::select! {
                () = log.wait_past(position), if stepped.is_ok() => {}
                () = tokio::time::sleep(PAUSE), if stepped.is_err() => {}
                Some(ended) = self.attempts.tasks.join_next_with_id() => self.attempt_ended(ended),
                Some(question) = self.questions.recv() => question(&mut self),
            }
        }
        while let Ok(true) = self.step_without_dispatch().await {}
        while self.checkpoint.join_next().await.is_some() {}
        self.write_checkpoint();
        while self.checkpoint.join_next().await.is_some() {}
    }

    async fn step_without_dispatch(&mut self) -> Result<bool, Error> {
        let before = self.shard.position();
        let (entries, through) = self.read().await?;
        for entry in entries {
            let actions = self.apply(entry);
            self.take(actions);
        }
        self.shard.skip_to(through);
        let appended = self.append_outbox().await?;
        self.report_applied();
        Ok(appended || through > before)
    }
}

fn warn_paused(error: &Error) {
    let error: &dyn std::error::Error = error;
    tracing::warn!(error, "the engine pauses: the log cannot be used now");
}
