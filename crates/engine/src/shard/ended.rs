//! The end of an attempt: success, another attempt, or a verdict.

use std::sync::Arc;
use std::time::Duration;

use nexus_model::record::{DeliveryDecision, InvocationRecord, Status, Trigger};
use nexus_model::{Code, InvocationId};

use super::{Action, Ended, Id, Pending, Shard, State, Verdict};
use crate::batch_report;
use crate::settings::Settings;

/// How much of a failure's message a delivery remembers, in characters.
const REASON_CHARS_MAX: usize = 300;

/// How one attempt ended, as far as one of its deliveries is concerned.
struct Attempt<'a> {
    record: &'a InvocationRecord,
    status: Status,
    reason: String,
    code: String,
}

impl Shard {
    pub(super) fn ended(&mut self, record: &InvocationRecord, actions: &mut Vec<Action>) {
        if record.trigger() != Trigger::Event {
            return;
        }
        let run = record.invocation_id().and_then(|id| self.runs.remove(&id));
        let begun = run.is_some();
        let members = match run {
            Some(run) => {
                run.members.iter().map(|event| Id { event: *event, lane: run.lane }).collect()
            }
            None => self.never_begun(record),
        };
        let Some(lane) = members.first().map(|id| id.lane) else { return };
        if !begun {
            // It used its turn all the same.
            self.spend(lane, record.ended_ns);
        }
        for id in members {
            self.member_ended(id, record, actions);
        }
        let failed = match record.status() {
            Status::Succeeded => Some(false),
            // The event was wrong, or somebody did not want it: that says nothing of the function.
            Status::Refused | Status::Cancelled => None,
            _ => Some(true),
        };
        let breaker = self.lanes.get(lane).settings.breaker;
        if let Some(failed) = failed
            && self.state_mut(lane).breaker_ended(failed, record.ended_ns, breaker)
        {
            actions.push(Action::Lane(lane));
        }
    }

    /// The deliveries of an attempt that ended without a record of its begin.
    fn never_begun(&self, record: &InvocationRecord) -> Vec<Id> {
        let names =
            (record.meta.project.as_str(), record.function.as_str(), record.trigger_name.as_str());
        let events = std::iter::once(&record.meta.cause_event).chain(&record.batch);
        let waits = |id: &Id| {
            self.deliveries.get(id).is_some_and(|at| {
                matches!(at.state, State::Queued { .. })
                    && (at.attempt == record.attempt || !record.batch.is_empty())
            })
        };
        events.filter_map(|event| self.id(event, names)).filter(waits).collect()
    }

    fn member_ended(&mut self, id: Id, record: &InvocationRecord, actions: &mut Vec<Action>) {
        let Some(pending) = self.deliveries.get_mut(&id) else { return };
        if std::mem::take(&mut pending.named) {
            // A next attempt is another invocation.
            self.no_longer_waits(id);
        }
        let Some(pending) = self.deliveries.get(&id) else { return };
        let cancelled = matches!(pending.state, State::Running { cancelled: true, .. });
        let mut status = record.status();
        let mut reason = reason(record);
        if status == Status::Succeeded
            && let Some(reported) = batch_report::reported(record, id.event)
        {
            status = Status::Failed;
            reason = reported.to_owned();
        }
        let code = match (&record.failure, status) {
            (Some(failure), _) => failure.code.clone(),
            (None, Status::Succeeded) => String::new(),
            (None, _) => Code::GuestFailed.as_str().to_owned(),
        };
        let attempt = Attempt { record, status, reason, code };
        match status {
            Status::Succeeded => self.succeeded(id, &attempt, actions),
            _ if cancelled || status == Status::Cancelled => {
                let ended = attempt.ended(Some(DeliveryDecision::Cancelled), pending.attempt);
                self.forget(id, ended, actions);
            }
            _ => self.failed(id, attempt, actions),
        }
    }

    fn succeeded(&mut self, id: Id, attempt: &Attempt<'_>, actions: &mut Vec<Action>) {
        let reports = self.lanes.get(id.lane).settings.on_success.is_some();
        let Some(pending) = self.deliveries.get_mut(&id) else { return };
        if !reports {
            let ended = attempt.ended(None, pending.attempt);
            self.forget(id, ended, actions);
            return;
        }
        let verdict = Verdict {
            status: Status::Succeeded,
            invocation: attempt.record.invocation_id(),
            attempts: pending.attempt,
            ..Verdict::new(DeliveryDecision::Reported, String::new(), "")
        };
        pending.state = State::Settling(Box::new(verdict));
        actions.push(Action::Settle(id));
    }

    fn failed(&mut self, id: Id, attempt: Attempt<'_>, actions: &mut Vec<Action>) {
        let lane = self.lanes.get(id.lane);
        let (settings, function): (Arc<Settings>, Arc<str>) =
            (lane.settings.clone(), lane.function.clone());
        let Some(pending) = self.deliveries.get_mut(&id) else { return };
        let retry = &settings.retry;
        let delay = retry.delay(id.event, &function, pending.attempt);
        let due_ns = later(attempt.record.ended_ns, delay);
        let too_old = retry.max_age.is_some_and(|age| due_ns > later(pending.since_ns, age));
        if pending.attempt < retry.attempts && retry.retries(attempt.status) && !too_old {
            pending.attempt += 1;
            pending.state = State::Queued { due_ns, failed: Some(attempt.reason.into()) };
            actions.push(Action::Queue(id));
            return;
        }
        let decision = match settings.fallback {
            Some(_) => DeliveryDecision::FellBack,
            None => DeliveryDecision::Dead,
        };
        let verdict = Verdict {
            status: attempt.status,
            invocation: attempt.record.invocation_id(),
            attempts: pending.attempt,
            ..Verdict::new(decision, attempt.reason, &attempt.code)
        };
        pending.state = State::Settling(Box::new(verdict));
        actions.push(Action::Settle(id));
    }

    /// The first attempt of an asynchronous invocation takes no signals any more.
    fn no_longer_waits(&mut self, id: Id) {
        self.named.remove(&id.event);
        self.early.remove(&InvocationId::from_bytes(*id.event.as_bytes()));
    }

    /// Takes a delivery out of what is unfinished.
    pub(super) fn forget(
        &mut self,
        id: Id,
        ended: Ended,
        actions: &mut Vec<Action>,
    ) -> Option<Pending> {
        let pending = self.deliveries.remove(&id)?;
        let state = self.state_mut(id.lane);
        state.pending = state.pending.saturating_sub(1);
        if pending.named {
            self.no_longer_waits(id);
        }
        actions.push(Action::Forget(id, ended));
        Some(pending)
    }
}

impl Attempt<'_> {
    fn ended(&self, decision: Option<DeliveryDecision>, attempts: u32) -> Ended {
        let reason = match decision {
            None => String::new(),
            Some(_) => self.reason.clone(),
        };
        Ended { decision, invocation: self.record.invocation_id(), attempts, reason }
    }
}

fn later(ns: i64, by: Duration) -> i64 {
    ns.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX))
}

fn reason(record: &InvocationRecord) -> String {
    let text = match &record.failure {
        Some(failure) => format!("{}: {}", failure.code, failure.message),
        None => format!("it ended as {}", record.status().word()),
    };
    text.chars().take(REASON_CHARS_MAX).collect()
}
