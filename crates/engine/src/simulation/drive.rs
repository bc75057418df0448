//! The driver of the simulation: the same steps as the real one, without I/O.

use bytes::Bytes;
use nexus_model::record::{
    DeliveryDecision, DeliveryRecord, EventRecord, InvocationRecord, Meta, Record, Status,
    StoredEvent, Trigger,
};
use nexus_model::{EventId, InvocationId};

use super::{Out, World};
use crate::scheduler::Wanted;
use crate::shard::{Action, Id, State, Verdict};
use crate::unbegun;

impl World {
    pub(super) fn catch_up(&mut self) {
        while (self.shard.position() as usize) < self.log.len() {
            self.apply_next();
        }
    }

    pub(super) fn apply_next(&mut self) {
        let entry = self.entry(self.shard.position() + 1);
        self.met(&entry.record);
        let actions = self.shard.apply(&entry);
        self.checks.applied(&entry.record, self.shard.position());
        self.take(actions);
    }

    pub(super) fn wanted(&self, id: Id) -> Option<Wanted> {
        let pending = self.shard.deliveries.get(&id)?;
        let due_ns = match pending.state {
            State::Queued { due_ns, .. } => due_ns,
            _ => 0,
        };
        let (order, since_ns, key) = (pending.order, pending.since_ns, pending.key.clone());
        Some(Wanted { order, key, due_ns, since_ns })
    }

    pub(super) fn take(&mut self, actions: Vec<Action>) {
        let now_ns = self.now_ns;
        for action in actions {
            match action {
                Action::Queue(id) => {
                    if let Some(wanted) = self.wanted(id) {
                        self.scheduler.queue(id, wanted, now_ns);
                    }
                }
                Action::Begun(id) => {
                    if let Some(wanted) = self.wanted(id) {
                        self.scheduler.begun(id, wanted, now_ns);
                    }
                }
                Action::Settle(id) => {
                    if let Some(wanted) = self.wanted(id) {
                        self.scheduler.begun(id, wanted, now_ns);
                        self.outbox.push(Out::Settle(id));
                    }
                }
                Action::Forget(id, ended) => {
                    self.scheduler.forget(id, now_ns);
                    self.checks.ended(id, ended);
                }
                Action::Close(run) => {
                    // It may be cancelled twice.
                    let known = |out: &Out| matches!(out, Out::Close(other) if *other == run);
                    if !self.outbox.iter().any(known) {
                        self.outbox.push(Out::Close(run));
                    }
                }
                Action::Resume(run) => self.wake(run),
                Action::WakeAt(run, at_ns) => drop(self.wakes.insert((at_ns, run), ())),
                Action::Strike(run) => {
                    for running in self.running.iter_mut().filter(|at| at.invocation == run) {
                        running.struck = true;
                    }
                }
                Action::Timer(id, at_ns) => drop(self.timers.insert((at_ns, id), ())),
                Action::Lane(lane) => {
                    let breaker = self.shard.state(lane).breaker;
                    let found = self.shard.lanes.get(lane).clone();
                    self.scheduler.configure(lane, &found, breaker);
                }
            }
        }
    }

    fn wake(&mut self, id: InvocationId) {
        let Some(run) = self.shard.runs.get(&id) else { return };
        if !self.shard.is_cancelled(id) && !self.running.iter().any(|at| at.invocation == id) {
            self.scheduler.resume(run.lane, id);
        }
    }

    pub(super) fn fire(&mut self) {
        while let Some((&(at_ns, id), ())) = self.timers.first_key_value() {
            if at_ns > self.now_ns {
                break;
            }
            self.timers.pop_first();
            if self.shard.schedules.contains(&id) && self.firing.insert(id) {
                self.outbox.push(Out::Schedule(id));
            }
        }
        while let Some((&(at_ns, run), ())) = self.wakes.first_key_value() {
            if at_ns > self.now_ns {
                break;
            }
            self.wakes.pop_first();
            let at = self.shard.runs.get(&run).and_then(|run| run.suspension.as_ref());
            if at.is_some_and(|at| at.until_ns != 0 && at.until_ns <= self.now_ns) {
                self.wake(run);
            }
        }
    }

    /// Appends what was decided; a crash may come before.
    pub(super) fn flush(&mut self) {
        while !self.outbox.is_empty() {
            let outs = std::mem::take(&mut self.outbox);
            let mut records = Vec::new();
            for out in outs {
                self.records_of(out, &mut records);
            }
            self.append(records);
        }
    }

    fn records_of(&mut self, out: Out, records: &mut Vec<Record>) {
        match out {
            Out::Settle(id) => {
                let Some(pending) = self.shard.deliveries.get(&id) else { return };
                let State::Settling(verdict) = &pending.state else { return };
                let verdict = verdict.clone();
                self.settle(id, &verdict, records);
            }
            Out::TurnAway(id) => {
                let settings = self.shard.lanes.get(id.lane).settings.clone();
                let decision = match settings.fallback {
                    Some(_) => DeliveryDecision::FellBack,
                    None => DeliveryDecision::Dead,
                };
                self.settle(id, &Verdict::new(decision, "turned away".into(), "NX"), records);
            }
            Out::GiveUp(id) => {
                let verdict = Verdict::new(DeliveryDecision::Dead, "given up".into(), "NX");
                self.settle(id, &verdict, records);
            }
            Out::Cancel(id) => {
                let verdict = Verdict::new(DeliveryDecision::Cancelled, "no".into(), "NX");
                self.decided(id, &verdict, records);
            }
            Out::Close(run) => records.extend(self.end_of(run)),
            Out::Schedule(id) => {
                let Some(at) = self.shard.schedules.get(&id) else { return };
                let Record::Schedule(record) = self.log[at.sequence as usize - 1].clone() else {
                    panic!("a schedule does not stand where the state says");
                };
                let making = crate::outgoing::Making {
                    id: EventId::from_bytes(self.id()),
                    now: nexus_model::Timestamp::from_unix_ns(self.now_ns),
                };
                records.push(Record::Event(crate::outgoing::scheduled_event(&making, record)));
            }
        }
    }

    /// With the event for the fallback or the destination, in one append.
    fn settle(&mut self, id: Id, verdict: &Verdict, records: &mut Vec<Record>) {
        let settings = self.shard.lanes.get(id.lane).settings.clone();
        let mut verdict = verdict.clone();
        let target = match verdict.decision {
            DeliveryDecision::FellBack if settings.fallback.is_none() => {
                verdict.decision = DeliveryDecision::Dead;
                None
            }
            DeliveryDecision::FellBack => settings.fallback.as_deref().map(str::to_owned),
            DeliveryDecision::Reported => Some("sink".to_owned()),
            _ => None,
        };
        if let Some(target) = target {
            let event = StoredEvent { ty: "made".into(), ..StoredEvent::default() };
            let meta = Meta { project: "shop".into(), ..Meta::default() };
            let id = self.bytes();
            let received_ns = self.now_ns;
            records.push(Record::Event(EventRecord {
                id,
                meta,
                received_ns,
                event,
                target,
                ..EventRecord::default()
            }));
        }
        self.decided(id, &verdict, records);
    }

    /// With the record of the invocation that never began because of it.
    fn decided(&mut self, id: Id, verdict: &Verdict, records: &mut Vec<Record>) {
        let decision = self.decision(id, verdict);
        let call = self.shard.deliveries.get(&id).filter(|at| at.is_untried_call());
        let event = call.filter(|_| verdict.attempts == 0).map(|pending| {
            match &self.log[pending.sequence as usize - 1] {
                Record::Event(event) => unbegun::of_event(event, &decision),
                _ => panic!("an event does not stand where the state says"),
            }
        });
        records.push(Record::Delivery(decision));
        records.extend(event.map(|record| Record::Invocation(Box::new(record))));
    }

    fn decision(&mut self, id: Id, verdict: &Verdict) -> DeliveryRecord {
        let key = self.shard.key(id);
        DeliveryRecord {
            project: "shop".into(),
            event: Bytes::copy_from_slice(id.event.as_bytes()),
            function: key.function.to_string(),
            trigger: key.trigger.to_string(),
            decision: verdict.decision.into(),
            attempts: verdict.attempts,
            reason: verdict.reason.clone(),
            at_ns: self.now_ns,
            ..DeliveryRecord::default()
        }
    }

    fn end_of(&mut self, id: InvocationId) -> Option<Record> {
        let cancelled = self.shard.is_cancelled(id);
        let started = self.shard.runs.get(&id)?.started.clone();
        let status = if cancelled { Status::Cancelled } else { Status::Crashed };
        Some(Record::Invocation(Box::new(InvocationRecord {
            id: started.id,
            meta: started.meta,
            function: started.function,
            trigger_name: started.trigger,
            attempt: started.attempt,
            batch: started.batch,
            status: status.into(),
            trigger: Trigger::Event.into(),
            ended_ns: self.now_ns,
            ..InvocationRecord::default()
        })))
    }
}
