//! Decisions about deliveries: given up, taken up again, cancelled.

use nexus_model::EventId;
use nexus_model::record::{DeliveryDecision, DeliveryRecord};

use super::{Action, Dead, Ended, Id, Pending, Shard, State};

impl Shard {
    pub(super) fn decided(&mut self, record: &DeliveryRecord, actions: &mut Vec<Action>) {
        if record.function.is_empty() {
            if record.decision() == DeliveryDecision::Cancelled
                && let Ok(schedule) = EventId::try_from(&record.event[..])
            {
                self.schedules.remove(&schedule);
            }
            return;
        }
        let names = (record.project.as_str(), record.function.as_str(), record.trigger.as_str());
        let Some(id) = self.id(&record.event, names) else { return };
        match record.decision() {
            DeliveryDecision::Dead => self.died(id, record, actions),
            DeliveryDecision::Redriven => self.redriven(id, record, actions),
            DeliveryDecision::Dropped => {
                self.dead.remove(&id);
            }
            DeliveryDecision::Cancelled => self.cancelled(id, record, actions),
            DeliveryDecision::FellBack | DeliveryDecision::Duplicate => {
                self.forget(id, ended(record, Some(record.decision())), actions);
            }
            DeliveryDecision::Reported => {
                let invocation = match self.deliveries.get(&id).map(|at| &at.state) {
                    Some(State::Settling(verdict)) => verdict.invocation,
                    _ => None,
                };
                self.forget(id, Ended { invocation, ..ended(record, None) }, actions);
            }
            DeliveryDecision::Unknown => {}
        }
    }

    fn died(&mut self, id: Id, record: &DeliveryRecord, actions: &mut Vec<Action>) {
        let decision = Some(DeliveryDecision::Dead);
        let Some(pending) = self.forget(id, ended(record, decision), actions) else { return };
        let dead = Dead {
            sequence: pending.sequence,
            key: pending.key,
            ty: pending.ty,
            attempts: record.attempts,
            reason: record.reason.as_str().into(),
            code: record.code.as_str().into(),
            at_ns: record.at_ns,
        };
        self.dead.insert(id, dead);
    }

    fn redriven(&mut self, id: Id, record: &DeliveryRecord, actions: &mut Vec<Action>) {
        let Some(dead) = self.dead.remove(&id) else { return };
        if !record.replaced_by.is_empty() {
            // The edited event is delivered on its own; it stands beside this record.
            return;
        }
        self.state_mut(id.lane).pending += 1;
        let pending = Pending {
            sequence: dead.sequence,
            order: self.position,
            since_ns: record.at_ns.max(record.due_ns),
            key: dead.key,
            ty: dead.ty,
            attempt: 1,
            // The id of its first invocation is taken.
            named: false,
            state: State::Queued { due_ns: record.due_ns, failed: None },
        };
        self.deliveries.insert(id, pending);
        actions.push(Action::Queue(id));
    }

    fn cancelled(&mut self, id: Id, record: &DeliveryRecord, actions: &mut Vec<Action>) {
        let Some(pending) = self.deliveries.get_mut(&id) else { return };
        let State::Running { run, cancelled } = &mut pending.state else {
            self.forget(id, ended(record, Some(DeliveryDecision::Cancelled)), actions);
            return;
        };
        *cancelled = true;
        let run = *run;
        if !self.is_cancelled(run) {
            // The others of a batch go on; this one is not tried again.
            return;
        }
        let asleep = self.runs.get(&run).is_some_and(|run| run.suspension.is_some());
        actions.push(if asleep { Action::Close(run) } else { Action::Strike(run) });
    }
}

fn ended(record: &DeliveryRecord, decision: Option<DeliveryDecision>) -> Ended {
    Ended { decision, invocation: None, attempts: record.attempts, reason: record.reason.clone() }
}
