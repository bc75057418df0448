//! What happens in a run: declarations, events, crashes, time.

use bytes::Bytes;
use nexus_log::{Entry, Position};
use nexus_model::EventId;
use nexus_model::record::{
    ConfigRecord, DeliveryDecision, DeliveryRecord, EventRecord, Meta, Record, ScheduleRecord,
    SignalRecord, StoredEvent,
};
use serde_json::{Value, json};

use super::{Out, RUNNING_MAX, Random, World};
use crate::checkpoint;
use crate::dedup::Dedup;
use crate::scheduler::Scheduler;
use crate::shard::{Id, Shard, State};
use crate::snapshot::Snapshot;

const SECOND: i64 = 1_000_000_000;

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // The first numbers of neighbouring seeds are alike.
        for _ in 0..8 {
            random.below(7);
        }
        World {
            random,
            log: Vec::new(),
            shard: Shard::default(),
            checkpoint: None,
            scheduler: Scheduler::new(RUNNING_MAX),
            now_ns: 1_000_000 * SECOND,
            outbox: Vec::new(),
            running: Vec::new(),
            wakes: Default::default(),
            timers: Default::default(),
            firing: Default::default(),
            early: Default::default(),
            held: Default::default(),
            specs: Default::default(),
            revision: 0,
            ids: 0,
            crashes: 0,
            checks: Default::default(),
        }
    }

    pub(super) fn id(&mut self) -> [u8; 16] {
        self.ids += 1;
        let mut id = [0; 16];
        id[8..].copy_from_slice(&self.ids.to_be_bytes());
        id
    }

    pub(super) fn bytes(&mut self) -> Bytes {
        Bytes::copy_from_slice(&self.id())
    }

    pub(super) fn append(&mut self, records: Vec<Record>) {
        self.log.extend(records);
        self.catch_up();
    }

    pub(super) fn declare(&mut self) {
        for name in ["plain", "ordered", "batched", "durable", "sink", "calm", "lasting"] {
            let spec = self.function(name);
            self.configure(("Function", name), spec);
        }
        let spec = self.trigger();
        self.configure(("Trigger", "extra"), spec);
    }

    fn delivery(&mut self) -> Value {
        let mut delivery = json!({ "retry": {
            "attempts": 1 + self.random.below(4),
            "first": 300 + self.random.below(900),
            "factor": 1 + self.random.below(3),
        }});
        let mut maybe = |name: &str, value: Value| {
            if self.random.one_in(3) {
                delivery[name] = value;
            }
        };
        maybe("concurrency", json!(1));
        maybe("concurrency", json!(2));
        maybe("rate", json!({ "limit": 3, "per": 1_000, "burst": 2 }));
        maybe("priority", json!("high"));
        maybe("breaker", json!({ "failures": 2, "open": 3_000 }));
        maybe("fallback", json!("sink"));
        maybe("on-success", json!({ "function": "sink" }));
        maybe("on-failure", json!({ "event": "failed" }));
        maybe("queue", json!({ "max": 6, "full": "dead" }));
        maybe("deduplicate", json!({ "key": "dataschema", "age": 5_000 }));
        maybe("transform", json!(".data"));
        delivery
    }

    fn function(&mut self, name: &str) -> Value {
        let mut delivery = self.delivery();
        let mut spec = json!({ "on": { "events": [{ "type": "t" }] } });
        match name {
            "ordered" => delivery["key"] = json!("subject"),
            "plain" => {
                delivery["key"] = json!("subject");
                delivery["order"] = json!("relaxed");
                delivery["concurrency-per-key"] = json!(1 + self.random.below(2));
            }
            "batched" => {
                delivery["key"] = json!("subject");
                delivery["batch"] = json!({ "size": 2 + self.random.below(4), "wait": 800 });
            }
            "durable" => {
                spec["durable"] = json!(true);
                if self.random.one_in(3) {
                    delivery["batch"] = json!({ "size": 2 + self.random.below(2), "wait": 800 });
                }
            }
            _ => {
                // The first of them says nothing of limits.
                if name != "calm" || self.specs.len() < 7 || self.random.one_in(2) {
                    delivery = json!({});
                }
                spec["durable"] = json!(name == "lasting");
                spec["on"] = json!({});
            }
        }
        spec["delivery"] = delivery;
        spec
    }

    fn trigger(&mut self) -> Value {
        let mut delivery = self.delivery();
        if self.random.one_in(3) {
            delivery["key"] = json!("subject");
            delivery["batch"] = json!({ "size": 3, "wait": 800 });
        }
        json!({
            "function": if self.random.one_in(3) { "ordered" } else { "plain" },
            "event": { "type": "t" },
            "paused": self.random.one_in(3),
            "delivery": delivery,
        })
    }

    pub(super) fn configure(&mut self, (kind, name): (&str, &str), spec: Value) {
        self.revision += 1;
        let record = ConfigRecord {
            id: self.bytes(),
            project: "shop".into(),
            kind: kind.into(),
            name: name.into(),
            revision: self.revision,
            // What is deleted has no spec.
            spec: if spec.is_null() { String::new() } else { spec.to_string() },
            at_ns: self.now_ns,
        };
        self.specs.insert(name.to_owned(), spec);
        self.append(vec![Record::Config(record)]);
    }

    pub(super) fn event(&mut self) -> EventRecord {
        let pick = |random: &mut Random, names: &[&str]| {
            names[random.below(names.len() as u64) as usize].to_owned()
        };
        let named = self.random.one_in(5);
        let event = StoredEvent {
            ty: if named { crate::INVOKE_TYPE.into() } else { "t".into() },
            subject: Some(pick(&mut self.random, &["x", "y", "z"])),
            dataschema: Some(pick(&mut self.random, &["1", "2", "3", "4", "5", "6"])),
            ..StoredEvent::default()
        };
        EventRecord {
            id: self.bytes(),
            meta: Meta { project: "shop".into(), ..Meta::default() },
            received_ns: self.now_ns,
            event,
            target: if named {
                pick(&mut self.random, &["durable", "plain"])
            } else {
                String::new()
            },
            ..EventRecord::default()
        }
    }

    pub(super) fn step(&mut self, number: u32) {
        match self.random.below(47) {
            0..8 if number < 90 => {
                let event = self.event();
                self.append(vec![Record::Event(event)]);
            }
            0..20 => self.begin_one(),
            20..30 => self.end_one(),
            30 => self.crash(),
            31 => self.keep_checkpoint(),
            32..35 => self.flush(),
            35 if number < 110 => self.change(),
            36 if number < 110 => self.schedule(),
            37 => self.cancel_one(),
            38 => self.signal_one(),
            39 if number < 110 => self.redrive_one(),
            40..43 if number < 110 => self.call_early(),
            43 if self.random.one_in(12) => {
                self.now_ns -= 4 * SECOND;
                self.checks.clock_went_back();
            }
            _ => self.now_ns += (self.random.below(1_200) as i64) * 1_000_000,
        }
        self.fire();
    }

    fn change(&mut self) {
        match self.random.below(6) {
            0 => {
                let spec = self.trigger();
                self.configure(("Trigger", "extra"), spec);
            }
            1 => self.configure(("Trigger", "extra"), Value::Null),
            2 if self.specs["extra"].is_object() => {
                let mut spec = self.specs["extra"].clone();
                spec["paused"] = json!(self.random.one_in(2));
                self.configure(("Trigger", "extra"), spec);
            }
            _ => {
                let names = ["plain", "ordered", "batched", "calm"];
                let name = names[self.random.below(4) as usize];
                let spec = self.function(name);
                self.configure(("Function", name), spec);
            }
        }
    }

    fn schedule(&mut self) {
        let event = self.event();
        let record = ScheduleRecord {
            id: self.bytes(),
            meta: event.meta,
            received_ns: self.now_ns,
            due_ns: self.now_ns + (self.random.below(9) as i64) * SECOND,
            event: event.event,
            target: event.target,
            cron: String::new(),
            chain: 0,
        };
        self.checks.scheduled(&record);
        self.append(vec![Record::Schedule(record.clone())]);
        match self.random.below(4) {
            // It moves to the end of the log.
            0 => self.append(vec![Record::Schedule(record)]),
            1 => {
                let id = EventId::try_from(&record.id[..]).unwrap();
                if !self.firing.contains(&id) && self.shard.schedules.contains(&id) {
                    self.checks.unscheduled(id);
                    let mut decision = DeliveryRecord {
                        project: "shop".into(),
                        event: record.id,
                        ..DeliveryRecord::default()
                    };
                    decision.set_decision(DeliveryDecision::Cancelled);
                    self.append(vec![Record::Delivery(decision)]);
                }
            }
            _ => {}
        }
    }

    fn some_delivery(&mut self) -> Option<Id> {
        let mut ids: Vec<Id> = self.shard.deliveries.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        let count = ids.len() as u64;
        (count > 0).then(|| ids[self.random.below(count) as usize])
    }

    fn cancel_one(&mut self) {
        if let Some(id) = self.some_delivery() {
            self.cancel(id);
        }
    }

    pub(super) fn cancel(&mut self, id: Id) {
        let Some(pending) = self.shard.deliveries.get(&id) else { return };
        match pending.state {
            State::Running { .. } => self.outbox.push(Out::Cancel(id)),
            State::Queued { .. }
                if self.scheduler.why(id).is_some() && !self.early.contains(&id.event) =>
            {
                self.scheduler.withdraw(id);
                self.outbox.push(Out::Cancel(id));
            }
            _ => return,
        }
        self.checks.reach("cancel");
    }

    fn signal_one(&mut self) {
        let mut runs: Vec<_> = self.shard.runs.iter().map(|(id, _)| *id).collect();
        runs.extend(
            self.shard.named.keys().map(|id| nexus_model::InvocationId::from_bytes(*id.as_bytes())),
        );
        runs.sort_unstable();
        runs.retain(|run| self.shard.receiver(*run) == crate::shard::Receiver::Open);
        if runs.is_empty() {
            return;
        }
        let run = runs[self.random.below(runs.len() as u64) as usize];
        let id = self.bytes();
        self.checks.signalled(&id, run);
        let record = SignalRecord {
            id,
            project: "shop".into(),
            invocation: Bytes::copy_from_slice(run.as_bytes()),
            name: "go".into(),
            ..SignalRecord::default()
        };
        self.append(vec![Record::Signal(record)]);
    }

    fn redrive_one(&mut self) {
        let mut dead: Vec<Id> = self.shard.dead.iter().map(|(id, _)| *id).collect();
        dead.sort_unstable();
        let Some(&id) = dead.first() else { return };
        let key = self.shard.key(id);
        self.checks.redriven(id);
        let mut record = DeliveryRecord {
            project: "shop".into(),
            event: Bytes::copy_from_slice(id.event.as_bytes()),
            function: key.function.to_string(),
            trigger: key.trigger.to_string(),
            at_ns: self.now_ns,
            due_ns: if self.random.one_in(2) { self.now_ns + SECOND } else { 0 },
            ..DeliveryRecord::default()
        };
        record.set_decision(DeliveryDecision::Redriven);
        self.append(vec![Record::Delivery(record)]);
    }

    fn keep_checkpoint(&mut self) {
        self.checkpoint = Some(checkpoint::encode(&Snapshot::of(&self.shard), &Dedup::new()));
    }

    pub(super) fn entry(&self, sequence: u64) -> Entry {
        let record = self.log[sequence as usize - 1].clone();
        Entry { position: Position { shard: 0, sequence }, record }
    }

    fn replay(&self, mut shard: Shard) -> Shard {
        while (shard.position() as usize) < self.log.len() {
            shard.apply(&self.entry(shard.position() + 1));
        }
        shard
    }

    /// What ran is gone with the process; so is whatever was in memory.
    fn crash(&mut self) {
        self.catch_up();
        self.crashes += 1;
        let state = |shard: &Shard| checkpoint::encode(&Snapshot::of(shard), &Dedup::new());
        let live = state(&self.shard);
        let from_start = self.replay(Shard::default());
        let differs = checkpoint::difference(&state(&from_start), &live);
        assert_eq!(differs, None, "a rebuild from the log is another state");
        let known = self.checkpoint.as_deref().map(checkpoint::decode_state);
        self.shard = self.replay(known.unwrap_or_default());
        let differs = checkpoint::difference(&state(&self.shard), &live);
        assert_eq!(differs, None, "a rebuild from a checkpoint is another state");
        self.forget_running();
        self.outbox.clear();
        self.wakes.clear();
        self.timers.clear();
        self.firing.clear();
        self.held.clear();
        self.scheduler = Scheduler::new(RUNNING_MAX);
        for (lane, at) in self.shard.states.iter() {
            self.scheduler.set_bucket(*lane, at.bucket);
        }
        let actions = self.shard.recover();
        self.take(actions);
    }

    /// Lets everything end.
    pub(super) fn drain(&mut self) {
        let mut spec = self.specs["extra"].clone();
        if spec.is_object() {
            spec["paused"] = json!(false);
            self.configure(("Trigger", "extra"), spec);
        }
        for _ in 0..4_000 {
            if self.shard.pending() == 0
                && self.shard.schedules.len() == 0
                && self.outbox.is_empty()
            {
                return;
            }
            self.flush();
            self.fire();
            self.begin_one();
            self.end_one();
            if self.shard.runs.iter().any(|(_, run)| run.suspension.is_some()) {
                self.signal_one();
            }
            self.now_ns += SECOND / 3;
        }
        let left: Vec<_> = self
            .shard
            .deliveries
            .iter()
            .map(|(id, at)| {
                format!(
                    "{} {:?} {:?}",
                    self.shard.key(*id).function,
                    at.state,
                    self.scheduler.why(*id)
                )
            })
            .collect();
        let known = self.scheduler.diagnosis();
        panic!("{} deliveries never end: {left:#?} {known}", self.shard.pending());
    }
}
