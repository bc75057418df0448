//! An engine in a folder of its own, and its worker.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use nexus_engine::{
    Delivery, DeliveryKey, Early, Engine, EngineConfig, EngineParts, Error, Made, Resume, Worker,
};
use nexus_log::{Log, LogConfig, RealDisk};
use nexus_model::record::{
    Body, ConfigRecord, EventRecord, Failure, InvocationRecord, Meta, Record, ScheduleRecord,
    StartedRecord, Status, StoredEvent, Trigger,
};
use nexus_model::{Clock, EventId, IdMint, InvocationId, ManualClock, Partition, Timestamp};
use tokio::sync::Notify;

pub(crate) fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(test);
}

/// Does what the subject of the event says: `ok`, `refuse`, `hold` until it is let go, or `break` down
/// in an attempt that began early.
pub(crate) struct Obedient {
    log: Log,
    clock: Arc<ManualClock>,
    mint: Arc<IdMint>,
    attempts: AtomicUsize,
    /// Of each attempt whether its delivery was there when the engine started.
    suspects: Mutex<Vec<bool>>,
    /// The ids of the events that attempts were given.
    given: Mutex<Vec<String>>,
    /// The transforms that they were given.
    transforms: Mutex<Vec<Option<String>>>,
    holding: AtomicUsize,
    /// It can run nothing now.
    closed: AtomicBool,
    turned_away: AtomicUsize,
    /// It refuses everything.
    refuses: AtomicBool,
    go: Notify,
    gone: AtomicBool,
    running: Mutex<HashMap<InvocationId, Arc<Notify>>>,
}

impl Obedient {
    pub(crate) fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }

    pub(crate) fn suspects(&self) -> Vec<bool> {
        self.suspects.lock().unwrap().clone()
    }

    pub(crate) fn given(&self) -> Vec<String> {
        self.given.lock().unwrap().clone()
    }

    pub(crate) fn transforms(&self) -> Vec<Option<String>> {
        self.transforms.lock().unwrap().clone()
    }

    pub(crate) fn holding(&self) -> usize {
        self.holding.load(Ordering::SeqCst)
    }

    pub(crate) fn close(&self, closed: bool) {
        self.closed.store(closed, Ordering::SeqCst);
    }

    pub(crate) fn turned_away(&self) -> usize {
        self.turned_away.load(Ordering::SeqCst)
    }

    pub(crate) fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    pub(crate) fn let_go(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.go.notify_waiters();
    }

    async fn hold(&self, struck: &Notify) -> Status {
        let go = self.go.notified();
        tokio::pin!(go);
        go.as_mut().enable();
        self.holding.fetch_add(1, Ordering::SeqCst);
        let status = if self.gone.load(Ordering::SeqCst) {
            Status::Succeeded
        } else {
            tokio::select! {
                () = go => Status::Succeeded,
                () = struck.notified() => Status::Cancelled,
            }
        };
        self.holding.fetch_sub(1, Ordering::SeqCst);
        status
    }
}

#[async_trait]
impl Worker for Obedient {
    async fn deliver(&self, delivery: Delivery) -> Result<Made, nexus_log::Error> {
        self.make(delivery, None).await
    }

    async fn call(&self, delivery: Delivery, early: Arc<Early>) -> Result<Made, nexus_log::Error> {
        self.make(delivery, Some(early)).await
    }

    async fn resume(&self, _: Resume) -> Result<(), nexus_log::Error> {
        Ok(())
    }

    fn cancel(&self, invocation: InvocationId) {
        if let Some(struck) = self.running.lock().unwrap().get(&invocation) {
            struck.notify_one();
        }
    }

    async fn fetch(&self, _: &Body) -> Option<Bytes> {
        None
    }
}

impl Obedient {
    async fn append(&self, early: Option<&Early>, record: Record) -> Result<(), nexus_log::Error> {
        let record = match early {
            Some(early) => match early.append_first(record).await {
                Ok(appended) => return appended,
                Err(record) => record,
            },
            None => record,
        };
        self.log.append(vec![record]).await.map(drop)
    }

    async fn make(
        &self,
        delivery: Delivery,
        early: Option<Arc<Early>>,
    ) -> Result<Made, nexus_log::Error> {
        let early = early.as_deref();
        if self.closed.load(Ordering::SeqCst) {
            self.turned_away.fetch_add(1, Ordering::SeqCst);
            return Ok(Made::NotNow("it is closed".to_owned()));
        }
        let key = &delivery.key;
        let fresh = || self.mint.mint(Partition::of(&key.project, ""));
        let id: InvocationId = delivery.invocation.unwrap_or_else(fresh);
        let event = delivery.events[0].clone().unwrap();
        assert_eq!(event.event_id(), Some(key.event));
        self.given.lock().unwrap().push(event.event.id.clone());
        let transform = delivery.transform.as_deref().map(str::to_owned);
        self.transforms.lock().unwrap().push(transform);
        let struck = Arc::new(Notify::new());
        self.running.lock().unwrap().insert(id, struck.clone());
        let meta = Meta {
            project: key.project.to_string(),
            cause_event: Bytes::copy_from_slice(key.event.as_bytes()),
            ..Meta::default()
        };
        let started = StartedRecord {
            id: Bytes::copy_from_slice(id.as_bytes()),
            meta: meta.clone(),
            function: key.function.to_string(),
            trigger: key.trigger.to_string(),
            attempt: delivery.attempt,
            started_ns: self.clock.now().unix_ns(),
            ..StartedRecord::default()
        };
        let subject = event.event.subject.as_deref();
        // What ends at once has no begin of its own.
        if early.is_none() || matches!(subject, Some("hold" | "break")) {
            self.append(early, Record::Started(started)).await?;
        }
        if early.is_some() && subject == Some("break") {
            return Err(nexus_log::Error::Closed);
        }
        self.suspects.lock().unwrap().push(delivery.suspect);
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let status = match subject {
            Some("hold") => self.hold(&struck).await,
            Some("refuse") => Status::Refused,
            _ if self.refuses.load(Ordering::SeqCst) => Status::Refused,
            _ => Status::Succeeded,
        };
        self.running.lock().unwrap().remove(&id);
        let failure = Failure { code: "NX5003".into(), message: "no".into(), ..Failure::default() };
        let record = InvocationRecord {
            id: Bytes::copy_from_slice(id.as_bytes()),
            meta,
            function: key.function.to_string(),
            trigger_name: key.trigger.to_string(),
            attempt: delivery.attempt,
            trigger: Trigger::Event.into(),
            status: status.into(),
            failure: (status != Status::Succeeded).then_some(failure),
            ended_ns: self.clock.now().unix_ns(),
            ..InvocationRecord::default()
        };
        let record = Record::Invocation(Box::new(record));
        self.append(early, record).await.map(|()| Made::Recorded)
    }
}

pub(crate) struct Kit {
    pub(crate) engine: Engine,
    pub(crate) log: Log,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) worker: Arc<Obedient>,
    mint: Arc<IdMint>,
    folder: tempfile::TempDir,
}

impl Kit {
    pub(crate) async fn start() -> Kit {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_ms(1_790_000_000_000)));
        Kit::open(tempfile::tempdir().unwrap(), clock).await
    }

    async fn open(folder: tempfile::TempDir, clock: Arc<ManualClock>) -> Kit {
        let mint = Arc::new(IdMint::new(clock.clone(), 7));
        let config = LogConfig::new(folder.path().join("log"));
        let (log, _) = Log::open(config, Arc::new(RealDisk), clock.clone()).unwrap();
        let worker = Arc::new(Obedient {
            log: log.clone(),
            clock: clock.clone(),
            mint: mint.clone(),
            attempts: AtomicUsize::new(0),
            suspects: Mutex::default(),
            given: Mutex::default(),
            transforms: Mutex::default(),
            holding: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            turned_away: AtomicUsize::new(0),
            refuses: AtomicBool::new(false),
            go: Notify::new(),
            gone: Default::default(),
            running: Mutex::default(),
        });
        let config = EngineConfig {
            checkpoint: folder.path().join("checkpoint"),
            running_max: 8,
            pending_max: 1_000,
            checkpoint_records: 1_000,
        };
        let parts = EngineParts {
            log: log.clone(),
            clock: clock.clone(),
            mint: mint.clone(),
            worker: worker.clone(),
        };
        let engine = Engine::start(config, parts).await.unwrap();
        Kit { engine, log, clock, worker, mint, folder }
    }

    pub(crate) async fn restart(self) -> Kit {
        self.engine.stop().await;
        self.log.close().await.unwrap();
        let Kit { engine, log, clock, worker, folder, .. } = self;
        drop((engine, log, worker));
        Kit::open(folder, clock).await
    }

    pub(crate) async fn stop(self) {
        self.engine.stop().await;
        self.log.close().await.unwrap();
    }

    pub(crate) fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn key(&self, event: EventId, function: &str) -> DeliveryKey {
        DeliveryKey { event, project: "shop".into(), function: function.into(), trigger: "".into() }
    }

    pub(crate) async fn accept(&self, event: EventRecord) -> Result<EventId, Error> {
        Ok(self.engine.accept(vec![event]).await?[0].id)
    }

    pub(crate) fn id(&self) -> Bytes {
        let id: EventId = self.mint.mint(Partition::of("shop", ""));
        Bytes::copy_from_slice(id.as_bytes())
    }

    pub(crate) fn schedule(&self, id: &str, due: Timestamp) -> ScheduleRecord {
        let record = event(self, id, "ok");
        ScheduleRecord {
            id: self.id(),
            meta: record.meta,
            received_ns: record.received_ns,
            due_ns: due.unix_ns(),
            event: record.event,
            ..ScheduleRecord::default()
        }
    }

    /// Returns when something holds.
    pub(crate) async fn until(&self, holds: impl Fn(&Kit) -> bool) {
        while !holds(self) {
            self.engine.settled().await.unwrap();
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn event(kit: &Kit, id: &str, subject: &str) -> EventRecord {
    EventRecord {
        id: kit.id(),
        meta: Meta { project: "shop".into(), ..Meta::default() },
        received_ns: kit.clock.now().unix_ns(),
        event: StoredEvent {
            id: id.into(),
            source: "/test".into(),
            ty: "t".into(),
            subject: Some(subject.into()),
            ..StoredEvent::default()
        },
        ..EventRecord::default()
    }
}

pub(crate) fn function(kit: &Kit, name: &str, spec: &str) -> ConfigRecord {
    ConfigRecord {
        id: kit.id(),
        project: "shop".into(),
        kind: "Function".into(),
        name: name.into(),
        revision: 1,
        spec: spec.into(),
        at_ns: kit.clock.now().unix_ns(),
    }
}
