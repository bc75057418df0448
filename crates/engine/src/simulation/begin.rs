//! The workers of the simulation: attempts that begin, get on, sleep and end.

use bytes::Bytes;
use nexus_model::InvocationId;
use nexus_model::record::{
    InvocationRecord, JournalRecord, Meta, Record, StartedRecord, Status, SuspendedRecord, Trigger,
};

use super::{Out, Running, World};
use crate::scheduler::{Pick, Ticket};
use crate::shard::Id;

impl World {
    pub(super) fn begin_one(&mut self) {
        self.scheduler.advance(self.now_ns);
        let pick = self.scheduler.next(self.now_ns);
        self.scheduler.audit_batches(self.now_ns);
        match pick {
            None => {}
            Some(Pick::Deliver { ticket, members, .. }) => self.begin(ticket, members),
            Some(Pick::Resume { ticket, run }) => self.resume(ticket, run),
            Some(Pick::FallBack(id)) => {
                self.checks.turned_away(&self.shard, (id, self.now_ns));
                self.outbox.push(Out::TurnAway(id));
            }
            Some(Pick::Expire(id)) => self.outbox.push(Out::TurnAway(id)),
            Some(Pick::GiveUp(id)) => {
                self.checks.gives_up(&self.shard, id);
                self.outbox.push(Out::GiveUp(id));
            }
        }
    }

    fn started(&mut self, members: &[Id]) -> StartedRecord {
        let first = members[0];
        let pending = self.shard.deliveries.get(&first).unwrap();
        let (named, attempt) = (pending.named && pending.attempt == 1, pending.attempt);
        let key = self.shard.key(first);
        let id = if named { Bytes::copy_from_slice(first.event.as_bytes()) } else { self.bytes() };
        StartedRecord {
            id,
            meta: Meta {
                project: "shop".into(),
                cause_event: Bytes::copy_from_slice(first.event.as_bytes()),
                ..Meta::default()
            },
            function: key.function.to_string(),
            trigger: key.trigger.to_string(),
            attempt,
            started_ns: self.now_ns,
            durable: self.shard.lanes.get(first.lane).settings.durable,
            batch: members[1..]
                .iter()
                .map(|id| Bytes::copy_from_slice(id.event.as_bytes()))
                .collect(),
            ..StartedRecord::default()
        }
    }

    fn begin(&mut self, ticket: Ticket, members: Vec<Id>) {
        let Some(ticket) = self.runs_already(ticket, members[0]) else { return };
        let lane = members[0].lane;
        if let Some(until_ns) = self.held.remove(&lane) {
            // A clock that went back ends it early.
            let second = (until_ns - 1_000_000_000)..until_ns;
            assert!(!second.contains(&self.now_ns), "a lane that was to be left alone begins");
        }
        if self.random.one_in(15) {
            self.checks.reach("not now");
            self.scheduler.release(ticket);
            self.scheduler.hold(lane, "not now", self.now_ns);
            self.held.insert(lane, self.now_ns + 1_000_000_000);
            for id in members {
                if let Some(wanted) = self.wanted(id) {
                    self.scheduler.queue(id, wanted, self.now_ns);
                }
            }
            return;
        }
        // What began early takes no slot of the engine.
        let running = self.running.iter().filter(|at| at.ticket.is_some());
        let running = running.map(|at| &at.members[..]).collect::<Vec<_>>();
        self.checks.begins(&self.shard, (&members, &running), self.now_ns);
        let started = self.started(&members);
        let invocation = InvocationId::try_from(&started.id[..]).unwrap();
        if self.random.one_in(12) {
            // It cannot even begin.
            let record = self.end(&started, Status::Rejected);
            self.append(vec![record]);
            self.scheduler.release(ticket);
            return;
        }
        let durable = started.durable;
        let begin = match self.random.one_in(2) {
            true => {
                self.append(vec![Record::Started(started)]);
                None
            }
            false => Some(Box::new(started)),
        };
        self.running.push(Running {
            ticket: Some(ticket),
            members,
            invocation,
            durable,
            struck: false,
            pieces: 0,
            begin,
            begun_ns: self.now_ns,
        });
    }

    /// Puts the begin of an attempt on disk, unless it is there.
    fn note_begin(&mut self, at: usize) {
        if let Some(started) = self.running[at].begin.take() {
            self.append(vec![Record::Started(*started)]);
        }
    }

    /// What a crash leaves of attempts whose begin is not on disk: nothing. They do not count.
    pub(super) fn forget_running(&mut self) {
        for running in std::mem::take(&mut self.running) {
            if running.begin.is_some() {
                self.checks.reach("never begun");
                self.checks.unbegun(&self.shard, running.members[0].lane, running.begun_ns);
            }
        }
    }

    fn resume(&mut self, ticket: Ticket, id: InvocationId) {
        let found = self.shard.runs.get(&id).cloned();
        let asleep = found.as_ref().and_then(|run| run.suspension.as_ref());
        let until_ns = asleep.map_or(0, |at| at.until_ns);
        let ready = found.as_ref().is_some_and(|run| match &run.suspension {
            None => true,
            Some(at) => {
                run.waiting_signal().is_some() || (at.until_ns != 0 && at.until_ns <= self.now_ns)
            }
        });
        let Some(run) = found.filter(|_| ready) else {
            self.scheduler.release(ticket);
            if until_ns != 0 {
                self.wakes.insert((until_ns, id), ());
            }
            return;
        };
        self.checks.reach("resume");
        let taken = run.waiting_signal().map(|signal| Bytes::copy_from_slice(&signal.id));
        let started = StartedRecord { resumes: run.started.resumes + 1, ..run.started.clone() };
        self.append(vec![Record::Started(started)]);
        let members = run.members.iter().map(|event| Id { event: *event, lane: run.lane });
        self.running.push(Running {
            ticket: Some(ticket),
            members: members.collect(),
            invocation: id,
            durable: true,
            struck: false,
            pieces: run.pieces.len() as u32,
            begin: None,
            begun_ns: self.now_ns,
        });
        if let Some(taken) = taken
            && !self.random.one_in(4)
        {
            self.checks.took(&taken, id, &self.shard);
            self.journal(self.running.len() - 1, vec![taken]);
        }
    }

    fn journal(&mut self, at: usize, signals: Vec<Bytes>) {
        let record = JournalRecord {
            invocation: Bytes::copy_from_slice(self.running[at].invocation.as_bytes()),
            project: "shop".into(),
            number: self.running[at].pieces,
            signals,
            ..JournalRecord::default()
        };
        self.running[at].pieces += 1;
        self.append(vec![Record::Journal(record)]);
    }

    pub(super) fn end(&mut self, started: &StartedRecord, status: Status) -> Record {
        let mut members = vec![started.meta.cause_event.clone()];
        members.extend(started.batch.iter().cloned());
        let failed = members.into_iter().filter(|_| self.random.one_in(4)).collect();
        Record::Invocation(Box::new(InvocationRecord {
            id: started.id.clone(),
            meta: started.meta.clone(),
            function: started.function.clone(),
            trigger_name: started.trigger.clone(),
            attempt: started.attempt,
            batch: started.batch.clone(),
            batch_failed: match (status, started.function.as_str()) {
                (Status::Succeeded, "batched") => failed,
                _ => Vec::new(),
            },
            status: status.into(),
            trigger: Trigger::Event.into(),
            ended_ns: self.now_ns,
            ..InvocationRecord::default()
        }))
    }

    pub(super) fn end_one(&mut self) {
        self.catch_up();
        if self.running.is_empty() {
            return;
        }
        let at = self.random.below(self.running.len() as u64) as usize;
        if self.random.one_in(3) {
            self.note_begin(at);
        }
        if self.running[at].begin.is_none()
            && self.running[at].durable
            && !self.running[at].struck
            && self.random.one_in(2)
        {
            self.get_on(at);
            return;
        }
        let running = self.running.swap_remove(at);
        let begun = self.shard.runs.get(&running.invocation).map(|run| run.started.clone());
        let Some(started) = running.begin.map(|begin| *begin).or(begun) else {
            self.release(running.ticket);
            return;
        };
        let status = match (running.struck, self.random.below(8)) {
            (true, _) => Status::Cancelled,
            (_, 0..4) => Status::Succeeded,
            (_, 4) => Status::Refused,
            (_, 5) => Status::TimedOut,
            (_, 6) => Status::Trapped,
            _ => Status::Failed,
        };
        let record = self.end(&started, status);
        self.append(vec![record]);
        self.release(running.ticket);
    }

    /// A durable invocation keeps a piece, takes a signal, or lies down to sleep.
    fn get_on(&mut self, at: usize) {
        let id = self.running[at].invocation;
        match self.random.below(4) {
            0 => self.journal(at, Vec::new()),
            1 => {
                let signals = self.shard.runs.get(&id).map(|run| run.signals.clone());
                if let Some(signal) = signals.unwrap_or_default().first() {
                    let taken = Bytes::copy_from_slice(&signal.id);
                    self.checks.took(&taken, id, &self.shard);
                    self.journal(at, vec![taken]);
                }
            }
            kind => {
                let signal = if kind == 2 { "go" } else { "" };
                let forever = kind == 2 && self.random.one_in(3);
                let until = self.now_ns + 1_000_000 * self.random.below(4_000) as i64;
                let record = SuspendedRecord {
                    invocation: Bytes::copy_from_slice(id.as_bytes()),
                    project: "shop".into(),
                    until_ns: if forever { 0 } else { until },
                    signal: signal.into(),
                    ..SuspendedRecord::default()
                };
                let running = self.running.swap_remove(at);
                self.checks.reach("suspend");
                self.append(vec![Record::Suspended(record)]);
                self.release(running.ticket);
            }
        }
    }
}
