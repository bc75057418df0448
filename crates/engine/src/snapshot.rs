//! A copy of the state for questions that look at much of it: it costs next to nothing to make, and
//! is looked through beside the driver.

use std::collections::BTreeMap;
use std::sync::Arc;

use nexus_model::{EventId, InvocationId, Timestamp};

use crate::lanes::{Declared, Lane, LaneId, Names};
use crate::shard::{
    Dead, DeliveryKey, DeliveryState, Id, LaneState, Pending, Run, Scheduled, Shard, State,
    WaitingSignal,
};
use crate::table::Table;

/// See the module.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) position: u64,
    pub(crate) lanes: Vec<Arc<Lane>>,
    pub(crate) triggers: Table<Names, Declared>,
    pub(crate) states: Table<LaneId, LaneState>,
    pub(crate) seen: Table<(LaneId, [u8; 16]), i64>,
    pub(crate) deliveries: Table<Id, Pending>,
    pub(crate) runs: Table<InvocationId, Run>,
    pub(crate) early: Table<InvocationId, Vec<WaitingSignal>>,
    pub(crate) schedules: Table<EventId, Scheduled>,
    pub(crate) dead: Table<Id, Dead>,
}

/// Which unfinished deliveries. Everything that is stated must hold.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DeliveryFilter {
    /// The project.
    pub project: Option<String>,
    /// The function.
    pub function: Option<String>,
    /// The trigger; empty for the function's own.
    pub trigger: Option<String>,
    /// The event.
    pub event: Option<EventId>,
    /// Where it stands.
    pub stands: Stands,
}

/// Where a delivery stands, as far as a filter asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Stands {
    /// Anywhere.
    #[default]
    Anywhere,
    /// It waits for an attempt.
    Queued,
    /// An attempt runs.
    Running,
    /// Its attempt sleeps or waits for a signal.
    Suspended,
    /// Its attempt is this invocation.
    In(InvocationId),
}

/// A delivery that is not finished.
#[derive(Clone, PartialEq, Debug)]
pub struct PendingDelivery {
    /// What, to whom.
    pub key: DeliveryKey,
    /// The event's type.
    pub ty: Arc<str>,
    /// What orders it, where it has a key.
    pub order_key: Option<Arc<str>>,
    /// When it was accepted or redriven.
    pub since: Timestamp,
    /// Where it stands.
    pub state: DeliveryState,
}

/// How many unfinished deliveries are in each state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeliveryCounts {
    /// They wait for their first turn.
    pub ready: u64,
    /// They failed and wait for their next attempt.
    pub waiting: u64,
    /// They run.
    pub running: u64,
    /// They sleep or wait for a signal.
    pub suspended: u64,
}

/// Which dead letters. Everything that is stated must hold.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DeadFilter {
    /// The project.
    pub project: Option<String>,
    /// The function.
    pub function: Option<String>,
    /// The trigger; empty for the function's own.
    pub trigger: Option<String>,
    /// The event.
    pub event: Option<EventId>,
    /// The stable code of the reason.
    pub code: Option<String>,
    /// The event's type; a trailing `*` matches any ending.
    pub ty: Option<String>,
    /// Given up at this time or later.
    pub since: Option<Timestamp>,
    /// Given up before this time.
    pub until: Option<Timestamp>,
}

/// A delivery that was given up.
#[derive(Clone, PartialEq, Debug)]
pub struct DeadLetter {
    /// What, to whom.
    pub key: DeliveryKey,
    /// The event's type.
    pub ty: Arc<str>,
    /// How many attempts were made.
    pub attempts: u32,
    /// Why it was given up.
    pub reason: String,
    /// The stable code of the reason.
    pub code: String,
    /// When.
    pub at: Timestamp,
}

/// How many dead letters there are of one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadCount {
    /// The project.
    pub project: Arc<str>,
    /// The function.
    pub function: Arc<str>,
    /// The trigger; empty for the function's own.
    pub trigger: Arc<str>,
    /// The stable code of the reason.
    pub code: String,
    /// How many.
    pub count: u64,
}

/// An event that has not happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScheduledEvent {
    /// The schedule's id.
    pub id: EventId,
    /// The project.
    pub project: Arc<str>,
    /// When it happens.
    pub due: Timestamp,
    /// Where its [`ScheduleRecord`](nexus_model::record::ScheduleRecord) stands in the log.
    pub sequence: u64,
}

fn is(wanted: Option<&String>, found: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

impl Snapshot {
    pub(crate) fn of(shard: &Shard) -> Self {
        Snapshot {
            position: shard.position,
            lanes: shard.lanes.snapshot(),
            triggers: shard.lanes.triggers.clone(),
            states: shard.states.clone(),
            seen: shard.seen.keys.clone(),
            deliveries: shard.deliveries.clone(),
            runs: shard.runs.clone(),
            early: shard.early.clone(),
            schedules: shard.schedules.clone(),
            dead: shard.dead.clone(),
        }
    }

    pub(crate) fn lane(&self, id: LaneId) -> &Lane {
        &self.lanes[id.0 as usize]
    }

    pub(crate) fn key(&self, id: Id) -> DeliveryKey {
        let lane = self.lane(id.lane);
        DeliveryKey {
            event: id.event,
            project: lane.project.clone(),
            function: lane.function.clone(),
            trigger: lane.trigger.clone(),
        }
    }

    /// The lowest sequence number that unfinished work needs; the next one where there is none.
    pub(crate) fn floor(&self) -> u64 {
        let deliveries = self.deliveries.iter().map(|(_, at)| at.sequence);
        let schedules = self.schedules.iter().map(|(_, at)| at.sequence);
        let runs = self.runs.iter().map(|(_, run)| run.floor());
        let early = self.early.iter().flat_map(|(_, at)| at.iter().map(|at| at.sequence));
        let lowest = deliveries.chain(schedules).chain(runs).chain(early).min();
        lowest.unwrap_or(self.position + 1)
    }

    /// Schedules whose records stand before `before`, with their places.
    pub(crate) fn schedules_before(&self, before: u64) -> Vec<(EventId, u64)> {
        let old = self.schedules.iter().filter(|(_, at)| at.sequence < before);
        old.map(|(id, at)| (*id, at.sequence)).collect()
    }

    /// Schedules by due time.
    pub(crate) fn schedules(
        &self,
        project: Option<&str>,
        (after, limit): (Option<(Timestamp, EventId)>, usize),
    ) -> Vec<ScheduledEvent> {
        let wanted = |(id, at): &(&EventId, &Scheduled)| {
            project.is_none_or(|project| &*at.project == project)
                && after.is_none_or(|after| (Timestamp::from_unix_ns(at.due_ns), **id) > after)
        };
        let found = self.schedules.iter().filter(wanted).map(|(id, at)| ScheduledEvent {
            id: *id,
            project: at.project.clone(),
            due: Timestamp::from_unix_ns(at.due_ns),
            sequence: at.sequence,
        });
        first(found.collect(), limit, |at| (at.due, at.id))
    }

    fn is_wanted(&self, filter: &DeliveryFilter, id: &Id) -> bool {
        let lane = self.lane(id.lane);
        filter.event.is_none_or(|event| event == id.event)
            && is(filter.project.as_ref(), &lane.project)
            && is(filter.function.as_ref(), &lane.function)
            && is(filter.trigger.as_ref(), &lane.trigger)
    }

    fn stands(&self, wanted: Stands, pending: &Pending) -> bool {
        let sleeps =
            |run: &InvocationId| self.runs.get(run).is_some_and(|run| run.suspension.is_some());
        match (wanted, &pending.state) {
            (Stands::Anywhere, _) | (Stands::Queued, State::Queued { .. }) => true,
            (Stands::Running, State::Running { run, .. }) => !sleeps(run),
            (Stands::Suspended, State::Running { run, .. }) => sleeps(run),
            (Stands::In(wanted), State::Running { run, .. }) => *run == wanted,
            _ => false,
        }
    }

    /// How many unfinished deliveries are in each state.
    pub(crate) fn delivery_counts(&self, filter: &DeliveryFilter) -> DeliveryCounts {
        let mut counts = DeliveryCounts::default();
        for (_, pending) in self.deliveries.iter().filter(|(id, _)| self.is_wanted(filter, id)) {
            let count = match &pending.state {
                State::Queued { failed: None, .. } => &mut counts.ready,
                State::Queued { failed: Some(_), .. } => &mut counts.waiting,
                State::Running { run, .. }
                    if self.runs.get(run).is_some_and(|run| run.suspension.is_some()) =>
                {
                    &mut counts.suspended
                }
                State::Running { .. } | State::Settling(_) => &mut counts.running,
            };
            *count += 1;
        }
        counts
    }

    /// Unfinished deliveries by key.
    pub(crate) fn deliveries(
        &self,
        filter: &DeliveryFilter,
        (after, limit): (Option<&DeliveryKey>, usize),
    ) -> Vec<PendingDelivery> {
        let wanted = |(id, pending): &(&Id, &Pending)| {
            self.is_wanted(filter, id)
                && self.stands(filter.stands, pending)
                && after.is_none_or(|after| self.key(**id) > *after)
        };
        let ids: Vec<Id> = self.deliveries.iter().filter(wanted).map(|(id, _)| *id).collect();
        let ids = first(ids, limit, |id| self.key(*id));
        let view = |id: Id| Some(self.pending(id, self.deliveries.get(&id)?));
        ids.into_iter().filter_map(view).collect()
    }

    fn pending(&self, id: Id, pending: &Pending) -> PendingDelivery {
        PendingDelivery {
            key: self.key(id),
            ty: pending.ty.clone(),
            order_key: pending.key.clone(),
            since: Timestamp::from_unix_ns(pending.since_ns),
            state: state_of(pending, |run| self.runs.get(&run).cloned()),
        }
    }

    fn dead_ids(&self, filter: &DeadFilter) -> Vec<Id> {
        let wanted = |(id, dead): &(&Id, &Dead)| {
            let lane = self.lane(id.lane);
            let at = Timestamp::from_unix_ns(dead.at_ns);
            let ty = filter.ty.as_deref().is_none_or(|ty| match ty.strip_suffix('*') {
                Some(prefix) => dead.ty.starts_with(prefix),
                None => *dead.ty == *ty,
            });
            ty && filter.event.is_none_or(|event| event == id.event)
                && is(filter.project.as_ref(), &lane.project)
                && is(filter.function.as_ref(), &lane.function)
                && is(filter.trigger.as_ref(), &lane.trigger)
                && is(filter.code.as_ref(), &dead.code)
                && filter.since.is_none_or(|since| at >= since)
                && filter.until.is_none_or(|until| at < until)
        };
        self.dead.iter().filter(wanted).map(|(id, _)| *id).collect()
    }

    /// Dead letters by key.
    pub(crate) fn dead_letters(
        &self,
        filter: &DeadFilter,
        (after, limit): (Option<&DeliveryKey>, usize),
    ) -> Vec<DeadLetter> {
        let mut ids = self.dead_ids(filter);
        ids.retain(|id| after.is_none_or(|after| self.key(*id) > *after));
        let ids = first(ids, limit, |id| self.key(*id));
        let view = |id: Id| {
            let dead = self.dead.get(&id)?;
            Some(DeadLetter {
                key: self.key(id),
                ty: dead.ty.clone(),
                attempts: dead.attempts,
                reason: dead.reason.to_string(),
                code: dead.code.to_string(),
                at: Timestamp::from_unix_ns(dead.at_ns),
            })
        };
        ids.into_iter().filter_map(view).collect()
    }

    /// How many dead letters there are, by function and code.
    pub(crate) fn dead_counts(&self, filter: &DeadFilter) -> Vec<DeadCount> {
        let mut counts: BTreeMap<(LaneId, &str), u64> = BTreeMap::new();
        for id in self.dead_ids(filter) {
            let code = self.dead.get(&id).map_or("", |dead| &*dead.code);
            *counts.entry((id.lane, code)).or_default() += 1;
        }
        let count = |((lane, code), count): ((LaneId, &str), u64)| {
            let Lane { project, function, trigger, .. } = self.lane(lane);
            DeadCount {
                project: project.clone(),
                function: function.clone(),
                trigger: trigger.clone(),
                code: code.to_owned(),
                count,
            }
        };
        let mut found: Vec<DeadCount> = counts.into_iter().map(count).collect();
        found.sort_by(|a, b| {
            (&a.project, &a.function, &a.trigger, &a.code).cmp(&(
                &b.project,
                &b.function,
                &b.trigger,
                &b.code,
            ))
        });
        found
    }
}

/// The first `limit` in the order of their keys.
fn first<T, K: Ord>(mut all: Vec<T>, limit: usize, key: impl Fn(&T) -> K) -> Vec<T> {
    if all.len() > limit && limit > 0 {
        all.select_nth_unstable_by_key(limit - 1, &key);
        all.truncate(limit);
    }
    all.sort_by_key(&key);
    all.truncate(limit);
    all
}

/// Where a delivery stands, for others.
pub(crate) fn state_of(
    pending: &Pending,
    run: impl Fn(InvocationId) -> Option<Run>,
) -> DeliveryState {
    let attempt = pending.attempt;
    match &pending.state {
        State::Queued { due_ns: 0, failed: None } => DeliveryState::Ready { attempt },
        State::Queued { due_ns, failed } => DeliveryState::Waiting {
            attempt,
            due: Timestamp::from_unix_ns(*due_ns),
            reason: failed.as_deref().unwrap_or_default().to_owned(),
        },
        State::Running { run: invocation, cancelled } => {
            let (invocation, cancelled) = (*invocation, *cancelled);
            match run(invocation).and_then(|run| run.suspension) {
                None => DeliveryState::Running { attempt, invocation, cancelled },
                Some(at) => DeliveryState::Suspended {
                    attempt,
                    invocation,
                    until: (at.until_ns != 0).then(|| Timestamp::from_unix_ns(at.until_ns)),
                    signal: (!at.signal.is_empty()).then(|| at.signal.to_string()),
                },
            }
        }
        State::Settling(verdict) => DeliveryState::Settling {
            attempts: verdict.attempts,
            decision: verdict.decision,
            reason: verdict.reason.clone(),
        },
    }
}
