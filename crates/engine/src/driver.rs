//! The thin driver around the pure core: one task that reads the log, applies its records, keeps
//! the timers and begins attempts.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nexus_log::{Entry, Log, Position};
use nexus_model::record::{
    DeliveryDecision, DeliveryRecord, Failure, InvocationRecord, Record, StartedRecord, Status,
    Trigger,
};
use nexus_model::{Code, EventId, InvocationId, Partition, Principal, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::dedup::{Dedup, DedupKey};
use crate::shard::{Action, Delivery, DeliveryKey, DeliveryState, Shard};
use crate::{DeadLetter, EngineConfig, EngineParts, Error, PendingDelivery, checkpoint};

/// Records that are read at once.
const READ_RECORDS_MAX: usize = 1024;
/// How long the driver pauses after the log refused it, and the longest it sleeps: the wall clock
/// may be set while it does.
const PAUSE: Duration = Duration::from_secs(1);

/// A question for the driver.
pub(crate) enum Command {
    DeadLetters {
        project: Option<Arc<str>>,
        after: Option<EventId>,
        limit: usize,
        reply: oneshot::Sender<Vec<DeadLetter>>,
    },
    Deliveries {
        event: EventId,
        reply: oneshot::Sender<Vec<PendingDelivery>>,
    },
    Applied {
        sequence: u64,
        reply: oneshot::Sender<()>,
    },
}

pub(crate) struct Driver {
    config: EngineConfig,
    parts: EngineParts,
    commands: mpsc::Receiver<Command>,
    shard: Shard,
    dedup: Arc<Dedup>,
    pending: Arc<AtomicUsize>,
    timers: BinaryHeap<Reverse<(Timestamp, DeliveryKey, u32)>>,
    ready: VecDeque<Delivery>,
    running: JoinSet<Result<(), nexus_log::Error>>,
    attempts: HashMap<Id, Delivery>,
    decisions: Vec<Record>,
    waiting: Vec<(u64, oneshot::Sender<()>)>,
    checkpointed: u64,
    checkpoint: JoinSet<()>,
}

impl Driver {
    /// The state as of the end of the log.
    pub(crate) async fn recover(
        config: EngineConfig,
        parts: EngineParts,
        commands: mpsc::Receiver<Command>,
    ) -> Result<Driver, Error> {
        let durable = parts.log.durable().sequence;
        let known = checkpoint::read(&config.checkpoint)?;
        // A checkpoint from beyond the end of the log belongs to another log (a restored backup).
        let known = known.filter(|(shard, _)| shard.position() <= durable);
        let (shard, dedup) = known.unwrap_or_else(|| (Shard::default(), Dedup::new()));
        let checkpointed = shard.position();
        let mut driver = Driver {
            config,
            parts,
            commands,
            shard,
            dedup: Arc::new(dedup),
            pending: Arc::default(),
            timers: BinaryHeap::new(),
            ready: VecDeque::new(),
            running: JoinSet::new(),
            attempts: HashMap::new(),
            decisions: Vec::new(),
            waiting: Vec::new(),
            checkpointed,
            checkpoint: JoinSet::new(),
        };
        while driver.shard.position() < durable {
            for entry in driver.read().await? {
                // What the records asked for was done before the restart, or is asked for again
                // by `recover`.
                drop(driver.apply(&entry));
            }
        }
        let actions = driver.shard.recover();
        driver.take(actions);
        Ok(driver)
    }

    pub(crate) fn dedup(&self) -> Arc<Dedup> {
        self.dedup.clone()
    }

    pub(crate) fn pending(&self) -> Arc<AtomicUsize> {
        self.pending.clone()
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.step().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    warn_paused(&error);
                    tokio::select! { () = stop.cancelled() => {}, () = tokio::time::sleep(PAUSE) => {} }
                    continue;
                }
            }
            let position = Position { shard: 0, sequence: self.shard.position() };
            let log: Log = self.parts.log.clone();
            let nap = self.nap();
            tokio::select! {
                () = stop.cancelled() => {}
                () = log.wait_past(position) => {}
                () = tokio::time::sleep(nap) => {}
                Some(ended) = self.running.join_next_with_id() => self.attempt_ended(ended),
                Some(command) = self.commands.recv() => self.answer(command),
            }
        }
        self.finish().await;
    }

    /// Reads and applies what is new, begins what is due. `true` when there may be more to read.
    async fn step(&mut self) -> Result<bool, Error> {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.attempt_ended(ended);
        }
        let entries = self.read().await?;
        for entry in &entries {
            let actions = self.apply(entry);
            self.take(actions);
        }
        self.append_decisions().await?;
        self.fire_timers();
        self.dispatch();
        self.report_applied();
        if self.shard.position() - self.checkpointed >= self.config.checkpoint_records {
            self.write_checkpoint();
        }
        Ok(entries.len() == READ_RECORDS_MAX)
    }

    async fn read(&mut self) -> Result<Vec<Entry>, Error> {
        loop {
            let sequence = self.shard.position();
            let after = Position { shard: 0, sequence };
            if self.parts.log.durable() <= after {
                return Ok(Vec::new());
            }
            match self.parts.log.read_from(after, READ_RECORDS_MAX).await {
                Ok(entries) => return Ok(entries),
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

    fn apply(&mut self, entry: &Entry) -> Vec<Action> {
        if let Record::Event(record) = &entry.record
            && let Some(id) = record.event_id()
        {
            let key = DedupKey::of(&record.meta.project, &record.event.source, &record.event.id);
            self.dedup.insert(key, id, Timestamp::from_unix_ns(record.received_ns));
        }
        self.shard.apply(entry)
    }

    fn take(&mut self, actions: Vec<Action>) {
        let now = self.parts.clock.now();
        for action in actions {
            match action {
                Action::Deliver(delivery) if delivery.due <= now => self.ready.push_back(delivery),
                Action::Deliver(Delivery { key, attempt, due }) => {
                    self.timers.push(Reverse((due, key, attempt)));
                }
                Action::GiveUp { key, attempts, reason } => {
                    let record = self.dead_record(&key, attempts, reason);
                    self.decisions.push(Record::Delivery(record));
                }
                Action::Crashed { started, .. } => {
                    let record = self.crash_record(&started);
                    self.decisions.push(Record::Invocation(Box::new(record)));
                }
            }
        }
        self.pending.store(self.shard.pending(), Ordering::Relaxed);
    }

    async fn append_decisions(&mut self) -> Result<(), Error> {
        if self.decisions.is_empty() {
            return Ok(());
        }
        let records = self.decisions.clone();
        self.parts.log.append(records).await.map_err(Error::Append)?;
        self.decisions.clear();
        Ok(())
    }

    fn fire_timers(&mut self) {
        let now = self.parts.clock.now();
        while let Some(Reverse((due, _, _))) = self.timers.peek() {
            if *due > now {
                break;
            }
            if let Some(Reverse((due, key, attempt))) = self.timers.pop() {
                self.ready.push_back(Delivery { key, attempt, due });
            }
        }
    }

    fn dispatch(&mut self) {
        while self.running.len() < self.config.running_max {
            let Some(delivery) = self.ready.pop_front() else { break };
            let wanted = match self.shard.delivery(&delivery.key) {
                Some(DeliveryState::Ready { attempt } | DeliveryState::Waiting { attempt, .. }) => {
                    *attempt
                }
                _ => continue,
            };
            if wanted != delivery.attempt {
                continue;
            }
            let (worker, attempt) = (self.parts.worker.clone(), delivery.clone());
            let handle = self.running.spawn(async move { worker.deliver(attempt).await });
            self.attempts.insert(handle.id(), delivery);
        }
    }

    fn attempt_ended(
        &mut self,
        ended: Result<(Id, Result<(), nexus_log::Error>), tokio::task::JoinError>,
    ) {
        let (id, reason) = match ended {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(error))) => (id, Some(error.to_string())),
            Err(error) => (error.id(), Some(error.to_string())),
        };
        let Some(delivery) = self.attempts.remove(&id) else { return };
        let Some(reason) = reason else { return };
        tracing::warn!(
            event = %delivery.key.event, function = %delivery.key.function, reason,
            "an attempt ended without its record; it counts as failed"
        );
        let action = match self.shard.delivery(&delivery.key) {
            Some(DeliveryState::Running { started }) => {
                Action::Crashed { key: delivery.key, started: started.clone() }
            }
            _ => Action::Deliver(Delivery { due: self.parts.clock.now().after(PAUSE), ..delivery }),
        };
        self.take(vec![action]);
    }

    fn nap(&self) -> Duration {
        match self.timers.peek() {
            Some(Reverse((due, _, _))) => due.since(self.parts.clock.now()).min(PAUSE),
            None => PAUSE,
        }
    }

    fn answer(&mut self, command: Command) {
        // A caller that went away needs no answer.
        match command {
            Command::DeadLetters { project, after, limit, reply } => {
                let _ = reply.send(self.dead_letters(project.as_deref(), after, limit));
            }
            Command::Deliveries { event, reply } => {
                let _ = reply.send(self.deliveries(event));
            }
            Command::Applied { sequence, reply } => self.waiting.push((sequence, reply)),
        }
        self.report_applied();
    }

    fn report_applied(&mut self) {
        let position = self.shard.position();
        for (sequence, reply) in std::mem::take(&mut self.waiting) {
            if sequence <= position {
                let _ = reply.send(());
            } else {
                self.waiting.push((sequence, reply));
            }
        }
    }

    fn dead_letters(
        &self,
        project: Option<&str>,
        after: Option<EventId>,
        limit: usize,
    ) -> Vec<DeadLetter> {
        self.shard
            .dead
            .iter()
            .filter(|(key, _)| project.is_none_or(|project| &*key.project == project))
            .filter(|(key, _)| after.is_none_or(|after| key.event > after))
            .take(limit)
            .map(|(key, dead)| DeadLetter {
                event: key.event,
                project: key.project.clone(),
                function: key.function.clone(),
                attempts: dead.attempts,
                reason: dead.reason.clone(),
                at: dead.at,
            })
            .collect()
    }

    fn deliveries(&self, event: EventId) -> Vec<PendingDelivery> {
        let own = self.shard.deliveries.iter().filter(|(key, _)| key.event == event);
        let mut found: Vec<PendingDelivery> = own
            .map(|(key, state)| PendingDelivery {
                event,
                project: key.project.clone(),
                function: key.function.clone(),
                state: state.clone(),
            })
            .collect();
        found.sort_by(|a, b| a.function.cmp(&b.function));
        found
    }

    fn dead_record(&self, key: &DeliveryKey, attempts: u32, reason: String) -> DeliveryRecord {
        let id: InvocationId = self.parts.mint.mint(Partition::of(&key.project, ""));
        DeliveryRecord {
            id: Bytes::copy_from_slice(id.as_bytes()),
            project: key.project.to_string(),
            event: Bytes::copy_from_slice(key.event.as_bytes()),
            function: key.function.to_string(),
            decision: DeliveryDecision::Dead.into(),
            reason,
            attempts,
            principal: Principal::system().to_string(),
            at_ns: self.parts.clock.now().unix_ns(),
            ..DeliveryRecord::default()
        }
    }

    fn crash_record(&self, started: &StartedRecord) -> InvocationRecord {
        let ended_ns = self.parts.clock.now().unix_ns();
        let mut record = InvocationRecord {
            id: started.id.clone(),
            meta: started.meta.clone(),
            function: started.function.clone(),
            version: started.version.clone(),
            attempt: started.attempt,
            trigger: Trigger::Event.into(),
            status: Status::Crashed.into(),
            accepted_ns: started.started_ns,
            ended_ns,
            not_replayable: "the node stopped while it ran, so its journal was not kept".into(),
            failure: Some(Failure {
                code: Code::Crashed.as_str().into(),
                message: Code::Crashed.title().into(),
                backtrace: Vec::new(),
            }),
            ..InvocationRecord::default()
        };
        record.timings.total_ns = u64::try_from(ended_ns - started.started_ns).unwrap_or(0);
        record
    }

    fn write_checkpoint(&mut self) {
        while self.checkpoint.try_join_next().is_some() {}
        if !self.checkpoint.is_empty() {
            return;
        }
        self.checkpointed = self.shard.position();
        let (path, shard, dedup) =
            (self.config.checkpoint.clone(), self.shard.clone(), self.dedup.clone());
        self.checkpoint.spawn_blocking(move || {
            if let Err(error) = checkpoint::write(&path, &shard, &dedup) {
                // The log holds everything; only the next start takes longer.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no checkpoint was written"
                );
            }
        });
    }

    async fn finish(mut self) {
        while let Some(ended) = self.running.join_next_with_id().await {
            self.attempt_ended(ended);
        }
        while let Ok(true) = self.step_without_dispatch().await {}
        while self.checkpoint.join_next().await.is_some() {}
        self.write_checkpoint();
        while self.checkpoint.join_next().await.is_some() {}
    }

    async fn step_without_dispatch(&mut self) -> Result<bool, Error> {
        let entries = self.read().await?;
        for entry in &entries {
            let actions = self.apply(entry);
            self.take(actions);
        }
        self.append_decisions().await?;
        Ok(!entries.is_empty())
    }
}

fn warn_paused(error: &Error) {
    let error: &dyn std::error::Error = error;
    tracing::warn!(error, "the engine pauses: the log cannot be used now");
}
