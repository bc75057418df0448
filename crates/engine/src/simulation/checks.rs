//! What must hold, followed beside the state from the records alone.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use nexus_model::record::{DeliveryDecision, InvocationRecord, Record, ScheduleRecord, Status};
use nexus_model::resource::Order;
use nexus_model::{EventId, InvocationId};

use super::triggers::Triggers;
use super::{RUNNING_MAX, World};
use crate::lanes::LaneId;
use crate::shard::{BreakerState, Ended, Id, Shard, State};

/// What some run must have come to.
pub(super) const PLACES: &[&str] = &[
    "crash",
    "never begun",
    "never tried",
    "not now",
    "cancel",
    "suspend",
    "resume",
    "signal taken",
    "batch",
    "retry",
    "fallback",
    "dead",
    "duplicate",
    "reported",
    "redriven",
    "schedule fired",
    "schedule cancelled",
    "cancelled",
    "trigger gone",
    "given up",
    "batch waited",
    "begun early",
    "seen half",
    "runs already",
];

#[derive(Default)]
pub(super) struct Checks {
    pub(super) reached: BTreeMap<&'static str, u64>,
    ended: HashMap<Id, Ended>,
    succeeded: HashMap<(Vec<u8>, String, String), u32>,
    begun: HashMap<LaneId, Vec<i64>>,
    clock_back: bool,
    schedules: HashMap<EventId, (i64, u32)>,
    unscheduled: HashSet<EventId>,
    signals: HashMap<Vec<u8>, (InvocationId, u32)>,
    triggers: Triggers,
    /// Those that have ended.
    invocations: HashSet<InvocationId>,
    /// Events that were in a batch, but for the first.
    batched: HashSet<Bytes>,
}

impl Checks {
    pub(super) fn reach(&mut self, what: &'static str) {
        *self.reached.entry(what).or_default() += 1;
    }

    pub(super) fn clock_went_back(&mut self) {
        self.clock_back = true;
    }

    pub(super) fn scheduled(&mut self, record: &ScheduleRecord) {
        let id = EventId::try_from(&record.id[..]).unwrap();
        self.schedules.insert(id, (record.due_ns, 0));
    }

    pub(super) fn unscheduled(&mut self, id: EventId) {
        self.unscheduled.insert(id);
        self.reach("schedule cancelled");
    }

    pub(super) fn signalled(&mut self, id: &[u8], run: InvocationId) {
        self.signals.insert(id.to_vec(), (run, 0));
    }

    pub(super) fn took(&mut self, id: &[u8], run: InvocationId, shard: &Shard) {
        let (own, times) = self.signals.get_mut(id).unwrap();
        let mut members = shard.runs.get(&run).into_iter().flat_map(|run| run.members.iter());
        let of_member = members.any(|event| event.as_bytes() == own.as_bytes());
        assert!(*own == run || of_member, "a signal went to another invocation");
        *times += 1;
        assert_eq!(*times, 1, "a signal was taken twice");
        self.reach("signal taken");
    }

    pub(super) fn redriven(&mut self, id: Id) {
        let ended = self.ended.remove(&id);
        assert_eq!(ended.and_then(|at| at.decision), Some(DeliveryDecision::Dead));
        self.reach("redriven");
    }

    /// Every record, as it is applied.
    pub(super) fn applied(&mut self, record: &Record, sequence: u64) {
        match record {
            Record::Config(record) if record.kind == "Trigger" => {
                self.triggers.declared(&record.spec, sequence);
            }
            Record::Event(record) if !record.schedule.is_empty() => {
                let id = EventId::try_from(&record.schedule[..]).unwrap();
                assert!(!self.unscheduled.contains(&id), "a cancelled schedule fired");
                let (due_ns, times) = self.schedules.get_mut(&id).unwrap();
                let early = record.received_ns < *due_ns && !self.clock_back;
                assert!(!early, "a schedule fired too early");
                *times += 1;
                self.reach("schedule fired");
            }
            Record::Invocation(record) => self.invocation_ended(record),
            Record::Delivery(record) if record.decision() == DeliveryDecision::Reported => {
                self.reach("reported");
            }
            _ => {}
        }
    }

    fn invocation_ended(&mut self, record: &InvocationRecord) {
        let id = record.invocation_id().unwrap();
        assert!(self.invocations.insert(id), "an invocation ended twice");
        // A call that joins a batch is found by its event.
        self.batched.extend(record.batch.iter().cloned());
        if !record.was_tried() {
            self.reach("never tried");
        }
        if record.status() != Status::Succeeded {
            return;
        }
        let all = std::iter::once(&record.meta.cause_event).chain(&record.batch);
        for event in all.filter(|event| !record.batch_failed.contains(event)) {
            let key = (event.to_vec(), record.function.clone(), record.trigger_name.clone());
            let times = self.succeeded.entry(key).or_default();
            *times += 1;
            assert_eq!(*times, 1, "an event was handled twice");
        }
    }

    pub(super) fn ended(&mut self, id: Id, ended: Ended) {
        self.reach(match ended.decision {
            None => "succeeded",
            Some(DeliveryDecision::Dead) => "dead",
            Some(DeliveryDecision::FellBack) => "fallback",
            Some(DeliveryDecision::Duplicate) => "duplicate",
            Some(DeliveryDecision::Cancelled) => "cancelled",
            Some(_) => "other",
        });
        assert!(self.ended.insert(id, ended).is_none(), "a delivery ended twice");
    }

    pub(super) fn turned_away(&mut self, shard: &Shard, (id, now_ns): (Id, i64)) {
        let breaker = shard.state(id.lane).breaker;
        let open = matches!(breaker, BreakerState::Open { until_ns } if now_ns < until_ns);
        assert!(open || self.clock_back, "it was turned away although the breaker is closed");
    }

    pub(super) fn gives_up(&mut self, shard: &Shard, id: Id) {
        let order = shard.deliveries.get(&id).unwrap().order;
        assert!(self.triggers.given_up(shard, (id.lane, order)), "it was given up, and why?");
        self.reach("given up");
    }

    /// An attempt begins.
    pub(super) fn begins(
        &mut self,
        shard: &Shard,
        (members, running): (&[Id], &[&[Id]]),
        now_ns: i64,
    ) {
        let lane = members[0].lane;
        let settings = &shard.lanes.get(lane).settings;
        assert!(running.len() < RUNNING_MAX, "too many attempts on the node");
        assert!(!settings.paused, "a paused trigger delivers");
        if self.triggers.settings_hold(shard, lane) {
            self.reach("trigger gone");
        }
        self.batch(shard, members, now_ns);
        if let BreakerState::Open { until_ns } = shard.state(lane).breaker {
            let over = now_ns >= until_ns || self.clock_back;
            assert!(over, "it begins although the breaker is open");
            let others = running.iter().filter(|at| at[0].lane == lane).count();
            assert_eq!(others, 0, "more than one attempt decides about the breaker");
        }
        for (index, id) in members.iter().enumerate() {
            self.member_begins(shard, (*id, &members[..index]), now_ns);
        }
        self.concurrency(shard, lane, running);
        self.per_key(shard, members, running);
        self.rate(shard, lane, now_ns);
    }

    fn member_begins(&mut self, shard: &Shard, (id, before): (Id, &[Id]), now_ns: i64) {
        assert!(!self.ended.contains_key(&id), "it begins after its end");
        let pending = shard.deliveries.get(&id).expect("only unfinished deliveries begin");
        let State::Queued { due_ns, .. } = pending.state else {
            panic!("it begins in the state {:?}", pending.state);
        };
        // What became due before the clock went back stays due.
        assert!(due_ns <= now_ns || self.clock_back, "it begins before its time");
        let settings = &shard.lanes.get(id.lane).settings;
        let given_up = self.triggers.given_up(shard, (id.lane, pending.order));
        assert!(!given_up, "it begins although its trigger was deleted while it was paused");
        // The settings may have changed since, but never below what the delivery has behind it.
        if pending.attempt > 1 {
            self.reach("retry");
        }
        if settings.order != Order::Strict || pending.key.is_none() {
            return;
        }
        for (other, at) in shard.deliveries.iter() {
            let earlier =
                other.lane == id.lane && at.key == pending.key && at.order < pending.order;
            let settling = matches!(at.state, State::Settling(_));
            // What is only being recorded as ended has ended.
            assert!(
                !earlier || before.contains(other) || settling,
                "{id:?} overtakes {other:?} of its key, which is {:?}",
                at.state
            );
        }
    }

    fn batch(&mut self, shard: &Shard, members: &[Id], now_ns: i64) {
        let batch = shard.lanes.get(members[0].lane).settings.batch;
        let size = batch.map_or(1, |batch| batch.size);
        assert!(members.len() <= size && !members.is_empty(), "the batch is too large");
        if members.len() > 1 {
            self.reach("batch");
        }
        let Some(batch) = batch.filter(|_| members.len() < size) else { return };
        let came = |id: &Id| {
            let at = shard.deliveries.get(id)?;
            let State::Queued { due_ns, .. } = at.state else { return None };
            Some(at.since_ns.max(due_ns))
        };
        let first_ns = members.iter().filter_map(came).min().unwrap();
        let waited = now_ns - first_ns >= batch.wait.as_nanos() as i64;
        assert!(waited || self.clock_back, "a batch did not wait for others");
        self.reach("batch waited");
    }

    fn concurrency(&self, shard: &Shard, lane: LaneId, running: &[&[Id]]) {
        let owner = |id: LaneId| {
            let at = shard.lanes.get(id);
            if at.settings.gate.own_concurrency { id } else { at.base }
        };
        let limit = shard.lanes.get(lane).settings.gate.concurrency as usize;
        // Attempts that began under other settings count where they began.
        let others =
            running.iter().filter(|at| at[0].lane == lane && owner(at[0].lane) == owner(lane));
        assert!(
            limit == 0 || others.count() < limit || self.settings_changed(shard),
            "too many at once"
        );
    }

    /// Whether settings changed within the run: then old attempts may exceed new limits.
    fn settings_changed(&self, shard: &Shard) -> bool {
        let functions = shard.lanes.iter().filter_map(|(_, lane)| lane.declared.as_ref());
        functions.into_iter().any(|at| at.revision > 6)
            || shard.lanes.triggers.iter().any(|(_, at)| at.revision > 6)
    }

    fn per_key(&self, shard: &Shard, members: &[Id], running: &[&[Id]]) {
        let settings = &shard.lanes.get(members[0].lane).settings;
        let limit = match settings.order {
            Order::Strict => 1,
            Order::Relaxed if settings.per_key == 0 => return,
            Order::Relaxed => settings.per_key as usize,
        };
        for id in members {
            let key = shard.deliveries.get(id).and_then(|at| at.key.clone());
            if key.is_none() || self.settings_changed(shard) {
                continue;
            }
            let same = |other: &&Id| {
                other.lane == id.lane && shard.deliveries.get(other).is_some_and(|at| at.key == key)
            };
            let others = running.iter().flat_map(|at| at.iter()).filter(same).count();
            assert!(others < limit, "{others} attempts of a key run already");
        }
    }

    /// A crash came before the begin of an attempt was on disk: it used nothing of the rate.
    pub(super) fn unbegun(&mut self, shard: &Shard, lane: LaneId, begun_ns: i64) {
        let at = shard.lanes.get(lane);
        let owner = if at.settings.gate.own_rate { lane } else { at.base };
        let begun = self.begun.entry(owner).or_default();
        if let Some(index) = begun.iter().rposition(|at| *at == begun_ns) {
            begun.remove(index);
        }
    }

    fn rate(&mut self, shard: &Shard, lane: LaneId, now_ns: i64) {
        let at = shard.lanes.get(lane);
        let Some(rate) = at.settings.gate.rate else { return };
        let owner = if at.settings.gate.own_rate { lane } else { at.base };
        let begun = self.begun.entry(owner).or_default();
        begun.push(now_ns);
        if self.clock_back || self.settings_changed(shard) {
            return;
        }
        let begun = &self.begun[&owner];
        for (index, from) in begun.iter().enumerate() {
            let most = i64::from(rate.burst) + (now_ns - from) / rate.interval_ns as i64 + 1;
            assert!((begun.len() - index) as i64 <= most, "the rate was exceeded");
        }
    }
}

impl World {
    /// After everything has ended.
    pub(super) fn verify(&mut self) {
        let (mut expected, mut trigger) = (0, false);
        for record in &self.log {
            if let Record::Config(record) = record
                && record.kind == "Trigger"
            {
                trigger = !record.spec.is_empty();
            }
            if let Record::Event(record) = record {
                let event = record.event_id().unwrap();
                let ended = self.checks.ended.keys().filter(|id| id.event == event).count();
                // Each event of this type goes to four functions, and to a trigger while it is there.
                let wanted = match (record.target.is_empty(), record.event.ty.as_str()) {
                    (true, "t") => 4 + usize::from(trigger),
                    (true, _) => 0,
                    (false, _) => 1,
                };
                assert_eq!(ended, wanted, "{event} was not decided for everybody");
                if record.event.ty == crate::INVOKE_TYPE && !record.target.is_empty() {
                    let id = InvocationId::from_bytes(*event.as_bytes());
                    let known = self.checks.invocations.contains(&id)
                        || self.checks.batched.contains(&record.id);
                    assert!(known, "the invocation of a call is in no list");
                }
                expected += wanted;
            }
        }
        assert_eq!(self.checks.ended.len(), expected);
        for (id, (_, times)) in &self.checks.schedules {
            let cancelled = self.checks.unscheduled.contains(id);
            assert_eq!(*times, u32::from(!cancelled), "{id} happened {times} times");
        }
        assert_eq!(self.shard.runs.len(), 0, "an invocation never ended");
        assert_eq!(self.scheduler.running(), 0, "slots were lost");
        let pending: u32 = self.shard.states.iter().map(|(_, at)| at.pending).sum();
        assert_eq!(pending, 0, "a queue counts what is not there");
        for (id, ended) in &self.checks.ended {
            let key = self.shard.key(*id);
            let key =
                (id.event.as_bytes().to_vec(), key.function.to_string(), key.trigger.to_string());
            let handled = self.checks.succeeded.contains_key(&key);
            match ended.decision {
                None => assert!(handled, "it ended as handled and was not"),
                Some(DeliveryDecision::Cancelled) => {}
                Some(decision) => assert!(!handled, "it was handled and ended as {decision:?}"),
            }
        }
    }
}
