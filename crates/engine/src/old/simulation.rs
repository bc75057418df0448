//! Seeded runs with virtual time, crashes and duplicate records: every accepted event ends handled
//! or dead, exactly once; nothing is delivered after its end.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use nexus_log::Position;
use nexus_model::record::{ConfigRecord, Meta, StoredEvent};

use super::*;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A log, a shard, and a driver without I/O.
struct World {
    random: Random,
    log: Vec<Record>,
    shard: Shard,
    checkpoint: Shard,
    now: Timestamp,
    queue: Vec<Delivery>,
    /// What was begun and not ended in this life of the process.
    running: Vec<Delivery>,
    decisions: Vec<Record>,
    succeeded: HashMap<DeliveryKey, u32>,
    crashes: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        World {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            log: Vec::new(),
            shard: Shard::default(),
            checkpoint: Shard::default(),
            now: Timestamp::from_unix_ms(1_000_000),
            queue: Vec::new(),
            running: Vec::new(),
            decisions: Vec::new(),
            succeeded: HashMap::new(),
            crashes: 0,
        }
    }

    fn append(&mut self, record: Record) {
        self.log.push(record);
    }

    fn catch_up(&mut self) {
        while (self.shard.position() as usize) < self.log.len() {
            let sequence = self.shard.position() + 1;
            let record = self.log[sequence as usize - 1].clone();
            let entry = Entry { position: Position { shard: 0, sequence }, record };
            let actions = self.shard.apply(&entry);
            self.take(actions);
        }
    }

    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Deliver(delivery) => self.queue.push(delivery),
                Action::GiveUp { key, attempts, reason } => {
                    self.decisions.push(Record::Delivery(DeliveryRecord {
                        project: key.project.to_string(),
                        event: Bytes::copy_from_slice(key.event.as_bytes()),
                        function: key.function.to_string(),
                        decision: DeliveryDecision::Dead.into(),
                        reason,
                        attempts,
                        ..DeliveryRecord::default()
                    }));
                }
                Action::Crashed { started, .. } => self.decisions.push(self.end(
                    &started.meta,
                    &started.function,
                    (started.attempt, Status::Crashed),
                )),
            }
        }
    }

    fn end(&self, meta: &Meta, function: &str, (attempt, status): (u32, Status)) -> Record {
        Record::Invocation(Box::new(InvocationRecord {
            meta: meta.clone(),
            function: function.to_owned(),
            attempt,
            status: status.into(),
            trigger: Trigger::Event.into(),
            ended_ns: self.now.unix_ns(),
            ..InvocationRecord::default()
        }))
    }

    fn begin_one(&mut self) {
        let due: Vec<usize> =
            (0..self.queue.len()).filter(|&at| self.queue[at].due <= self.now).collect();
        if due.is_empty() {
            return;
        }
        let delivery = self.queue.swap_remove(due[self.random.below(due.len() as u64) as usize]);
        let wanted = match self.shard.delivery(&delivery.key) {
            Some(DeliveryState::Ready { attempt } | DeliveryState::Waiting { attempt, .. }) => {
                *attempt
            }
            _ => return,
        };
        if wanted != delivery.attempt {
            return;
        }
        assert!(!self.succeeded.contains_key(&delivery.key), "delivered after its end");
        assert!(!self.shard.dead.contains_key(&delivery.key), "delivered after its death");
        let started = StartedRecord {
            meta: meta(&delivery.key),
            function: delivery.key.function.to_string(),
            attempt: delivery.attempt,
            ..StartedRecord::default()
        };
        self.append(Record::Started(started));
        self.running.push(delivery);
    }

    fn end_one(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let at = self.random.below(self.running.len() as u64) as usize;
        let delivery = self.running.swap_remove(at);
        let status = match self.random.below(6) {
            0..3 => Status::Succeeded,
            3 => Status::Refused,
            4 => Status::TimedOut,
            _ => Status::Failed,
        };
        if status == Status::Succeeded {
            *self.succeeded.entry(delivery.key.clone()).or_default() += 1;
        }
        let record =
            self.end(&meta(&delivery.key), &delivery.key.function, (delivery.attempt, status));
        self.append(record);
    }

    fn crash(&mut self) {
        self.crashes += 1;
        // What ran is gone with the process; so is whatever was in memory.
        self.running.clear();
        self.queue.clear();
        self.decisions.clear();
        self.shard = crate::checkpoint::round_trip(&self.checkpoint);
        while (self.shard.position() as usize) < self.log.len() {
            let sequence = self.shard.position() + 1;
            let record = self.log[sequence as usize - 1].clone();
            self.shard.apply(&Entry { position: Position { shard: 0, sequence }, record });
        }
        let actions = self.shard.recover();
        self.take(actions);
    }

    fn step(&mut self, number: u8) {
        match self.random.below(20) {
            0..4 if number < 60 => {
                let event = StoredEvent { ty: "t".into(), ..StoredEvent::default() };
                let meta = Meta { project: "shop".into(), ..Meta::default() };
                let id = Bytes::copy_from_slice(&[number; 16]);
                self.append(Record::Event(EventRecord { id, meta, received_ns: 0, event }));
            }
            4..10 => self.begin_one(),
            10..15 => self.end_one(),
            15 => self.crash(),
            16 => self.checkpoint = self.shard.clone(),
            17 => {
                for decision in std::mem::take(&mut self.decisions) {
                    self.append(decision);
                }
            }
            _ => self.now = self.now.after(std::time::Duration::from_millis(700)),
        }
        self.catch_up();
    }

    fn drain(&mut self) {
        for _ in 0..10_000 {
            if self.shard.pending() == 0 {
                return;
            }
            for decision in std::mem::take(&mut self.decisions) {
                self.append(decision);
            }
            self.catch_up();
            self.now = self.now.after(std::time::Duration::from_secs(1));
            self.begin_one();
            self.catch_up();
            self.end_one();
            self.catch_up();
        }
        panic!("{} deliveries never end", self.shard.pending());
    }
}

fn meta(key: &DeliveryKey) -> Meta {
    let cause_event = Bytes::copy_from_slice(key.event.as_bytes());
    Meta { project: key.project.to_string(), cause_event, ..Meta::default() }
}

fn run(seed: u64) -> (usize, u32) {
    let mut world = World::new(seed);
    for name in ["a", "b"] {
        let spec = r#"{"on":{"events":[{"type":"t"}]}}"#.to_owned();
        let (project, kind, name) = ("shop".into(), "Function".into(), name.into());
        let record =
            ConfigRecord { project, kind, name, revision: 1, spec, ..ConfigRecord::default() };
        world.append(Record::Config(record));
    }
    world.catch_up();
    for number in 0..120 {
        world.step(number);
    }
    world.drain();
    let events: HashSet<EventId> = world
        .log
        .iter()
        .filter_map(|record| match record {
            Record::Event(record) => record.event_id(),
            _ => None,
        })
        .collect();
    for &event in &events {
        for function in ["a", "b"] {
            let key = DeliveryKey { event, project: "shop".into(), function: function.into() };
            let (handled, dead) = (world.succeeded.get(&key), world.shard.dead.get(&key));
            assert!(
                handled.is_some() != dead.is_some(),
                "seed {seed}: {key:?} {handled:?} {dead:?}"
            );
            assert!(handled.is_none_or(|&times| times == 1), "seed {seed}: handled twice");
        }
    }
    (events.len(), world.crashes)
}

#[test]
fn every_event_ends_handled_or_dead_under_every_seed() {
    let (mut events, mut crashes) = (0, 0);
    for seed in 0..3_000 {
        let (ended, crashed) = run(seed);
        events += ended;
        crashes += crashed;
    }
    assert!(events > 30_000 && crashes > 10_000, "{events} events, {crashes} crashes");
}
