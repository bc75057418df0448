//! Beginning attempts, and what is done when they are over.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nexus_model::record::{DeliveryDecision, StartedRecord};
use nexus_model::{Code, EventId, InvocationId};
use tokio::task::{Id as TaskId, JoinError, JoinSet};

use super::outbox::Out;
use super::{Driver, PAUSE, State, Wanted};
use crate::engine::EarlyEnd;
use crate::read_ahead::ReadAhead;
use crate::scheduler::{Pick, Ticket};
use crate::shard::{Action, Id, Verdict};
use crate::worker::{Delivery, Made, Resume, Wake};

type Joined = Result<(TaskId, Result<Made, nexus_log::Error>), JoinError>;

/// The attempts that run.
#[derive(Default)]
pub(crate) struct Attempts {
    pub(super) tasks: JoinSet<Result<Made, nexus_log::Error>>,
    known: HashMap<TaskId, Attempt>,
    resuming: HashSet<InvocationId>,
    /// Tickets that are given back once this record is applied: the end of their attempt is in
    /// there, and only then the state says what it meant.
    ended: Vec<(u64, Ticket)>,
}

struct Attempt {
    /// None of one that began before the driver knew of it.
    ticket: Option<Ticket>,
    members: Vec<Id>,
    resumed: Option<InvocationId>,
}

impl Attempts {
    /// Whether an invocation is going on already.
    pub(super) fn runs(&self, run: InvocationId) -> bool {
        self.resuming.contains(&run)
    }
}

impl Driver {
    pub(super) fn dispatch(&mut self) {
        let now_ns = self.parts.clock.now().unix_ns();
        self.scheduler.set_lent(self.shared.lent.load(Ordering::Relaxed));
        self.scheduler.advance(now_ns);
        while let Some(pick) = self.scheduler.next(now_ns) {
            match pick {
                Pick::Deliver { ticket, members, waited_for } => {
                    self.deliver(ticket, members, waited_for);
                }
                Pick::Resume { ticket, run } => self.go_on(ticket, run),
                Pick::FallBack(id) => {
                    self.turn_away(id, ("its breaker is open", Code::BreakerOpen))
                }
                Pick::Expire(id) => {
                    self.turn_away(id, ("it is older than its retry policy allows", Code::Gone));
                }
                Pick::GiveUp(id) => self.give_up(id),
            }
        }
        self.shared.busy.store(self.scheduler.is_full(), Ordering::Relaxed);
    }

    fn deliver(&mut self, ticket: Ticket, members: Vec<Id>, waited_for: Vec<String>) {
        let first = members.first().and_then(|id| Some((*id, self.shard.deliveries.get(id)?)));
        let Some((id, pending)) = first else {
            self.scheduler.release(ticket);
            return;
        };
        if let Some(ended) = self.shared.early.take(id.event) {
            self.runs_already(ended, (Some(ticket), members));
            return;
        }
        let settings = &self.shard.lanes.get(id.lane).settings;
        let named = pending.named && pending.attempt == 1;
        let delivery = Delivery {
            key: self.shard.key(id),
            attempt: pending.attempt,
            batch: members.iter().skip(1).map(|id| id.event).collect(),
            batched: settings.batch.is_some(),
            events: members.iter().map(|id| self.events.get(id.event)).collect(),
            invocation: named.then(|| InvocationId::from_bytes(*id.event.as_bytes())),
            durable: settings.durable,
            suspect: members.iter().any(|id| self.was_found(*id)),
            transform: settings.transform.clone(),
            waited_for,
        };
        let places = members.iter().map(|id| self.shard.deliveries.get(id));
        let places: Vec<u64> = places.map(|at| at.map_or(0, |at| at.sequence)).collect();
        let (worker, log) = (Arc::clone(&self.parts.worker), Arc::clone(&self.read_ahead));
        let task = self.attempts.tasks.spawn(async move {
            let delivery = complete(delivery, &log, &places).await?;
            worker.deliver(delivery).await
        });
        let attempt = Attempt { ticket: Some(ticket), members, resumed: None };
        self.attempts.known.insert(task.id(), attempt);
    }

    /// Waits for an attempt that began before its event was in the log.
    fn runs_already(&mut self, ended: EarlyEnd, (ticket, members): (Option<Ticket>, Vec<Id>)) {
        let task = self
            .attempts
            .tasks
            .spawn(async move { ended.await.unwrap_or(Err(nexus_log::Error::Closed)) });
        let attempt = Attempt { ticket, members, resumed: None };
        self.attempts.known.insert(task.id(), attempt);
    }

    /// The begin of an attempt is about to be applied: of one that began early it stands right behind
    /// the event, for which nothing is begun any more.
    pub(super) fn begin_applies(&mut self, started: &StartedRecord) {
        let Some(ended) = self.early_end(&started.id) else { return };
        let (project, function) = (&started.meta.project, &started.function);
        let lane = self.shard.lanes.find(project, function, &started.trigger);
        let event = EventId::try_from(&started.id[..]).ok();
        let member = event.zip(lane).map(|(event, lane)| Id { event, lane });
        self.runs_already(ended, (None, member.into_iter().collect()));
    }

    /// What tells of the end of an attempt that began early, where the driver has not asked for it yet.
    pub(super) fn early_end(&self, attempt: &[u8]) -> Option<EarlyEnd> {
        self.shared.early.take(EventId::try_from(attempt).ok()?)
    }

    /// Whether a delivery was there when the engine started.
    fn was_found(&self, id: Id) -> bool {
        self.shard.deliveries.get(&id).is_some_and(|pending| pending.sequence <= self.found)
    }

    fn go_on(&mut self, ticket: Ticket, id: InvocationId) {
        let closed = |run| matches!(self.shard.recover_run(id, run), Action::Close(_));
        if self.shard.runs.get(&id).is_some_and(closed) {
            // It was cancelled while it waited for its turn.
            self.scheduler.release(ticket);
            self.close(id);
            return;
        }
        let Some(resume) = self.resume_of(id) else {
            self.scheduler.release(ticket);
            // The clock may have gone back since it was woken: then it is woken again.
            self.sleep_on(id);
            return;
        };
        let worker = Arc::clone(&self.parts.worker);
        let task = self
            .attempts
            .tasks
            .spawn(async move { worker.resume(resume).await.map(|()| Made::Recorded) });
        self.attempts.resuming.insert(id);
        let attempt = Attempt { ticket: Some(ticket), members: Vec::new(), resumed: Some(id) };
        self.attempts.known.insert(task.id(), attempt);
    }

    fn resume_of(&self, id: InvocationId) -> Option<Resume> {
        let run = self.shard.runs.get(&id)?;
        let now_ns = self.parts.clock.now().unix_ns();
        let wake = match &run.suspension {
            None => Wake::Crash,
            Some(at) => match run.waiting_signal() {
                Some(signal) => Wake::Signal { sequence: signal.sequence },
                None if at.until_ns == 0 || at.until_ns > now_ns => return None,
                None if at.signal.is_empty() => Wake::Timer,
                None => Wake::TimedOut,
            },
        };
        let event = *run.members.first()?;
        Some(Resume {
            key: self.shard.key(Id { event, lane: run.lane }),
            invocation: id,
            started: run.started.clone(),
            pieces: run.pieces.clone(),
            resumes: run.started.resumes + 1,
            ran_ns: run.suspension.as_ref().map_or(0, |at| at.ran_ns),
            batched: run.started.batched,
            transform: Some(run.started.transform.as_str())
                .filter(|text| !text.is_empty())
                .map(Arc::from),
            wake,
        })
    }

    /// A delivery that does not begin at all.
    fn turn_away(&mut self, id: Id, why: (&str, Code)) {
        let decision = match self.shard.lanes.get(id.lane).settings.fallback {
            Some(_) => DeliveryDecision::FellBack,
            None => DeliveryDecision::Dead,
        };
        self.decide(id, decision, why);
    }

    /// A delivery that waited for its trigger to be resumed, and waits for nothing any more. It is no
    /// failure of the function, so its fallback has nothing to do with it.
    fn give_up(&mut self, id: Id) {
        let why = match self.shard.lanes.is_declared(id.lane) {
            true => "its trigger was given to another function while it was paused",
            false => "its trigger was deleted while it was paused",
        };
        self.decide(id, DeliveryDecision::Dead, (why, Code::NotFound));
    }

    fn decide(&mut self, id: Id, decision: DeliveryDecision, (reason, code): (&str, Code)) {
        let Some(pending) = self.shard.deliveries.get(&id) else { return };
        let reason = match &pending.state {
            State::Queued { failed: Some(failed), .. } => {
                format!("{reason}; before that: {failed}")
            }
            _ => reason.to_owned(),
        };
        let verdict = Verdict {
            attempts: pending.attempt - 1,
            ..Verdict::new(decision, reason, code.as_str())
        };
        self.outbox.push(Out::TurnAway(id, Box::new(verdict)));
    }

    pub(super) fn attempt_ended(&mut self, ended: Joined) {
        let (task, reason) = match ended {
            Ok((task, Ok(Made::NotNow(reason)))) => return self.not_now(task, &reason),
            Ok((task, Ok(Made::Recorded))) => (task, None),
            Ok((task, Err(error))) => (task, Some(error.to_string())),
            Err(error) => (error.id(), Some(error.to_string())),
        };
        let Some(attempt) = self.attempts.known.remove(&task) else { return };
        if let Some(run) = attempt.resumed {
            self.attempts.resuming.remove(&run);
        }
        if let Some(ticket) = attempt.ticket {
            self.attempts.ended.push((self.parts.log.durable().sequence, ticket));
        }
        let Some(reason) = reason else {
            // It may have been woken while it lay down to sleep.
            match attempt.resumed.filter(|run| self.is_awake(*run)) {
                Some(run) => self.resume(run),
                None => drop(attempt.resumed.map(|run| self.sleep_on(run))),
            }
            return;
        };
        tracing::warn!(reason, "an attempt ended without its record; it counts as failed");
        let again = self.parts.clock.now().after(PAUSE).unix_ns();
        for id in attempt.members {
            self.left_over(id, again);
        }
        if let Some(run) = attempt.resumed {
            self.left_running(run);
        }
    }

    /// Puts the deliveries of an attempt back that the node cannot make now.
    fn not_now(&mut self, task: TaskId, reason: &str) {
        let Some(attempt) = self.attempts.known.remove(&task) else { return };
        let now_ns = self.parts.clock.now().unix_ns();
        if let Some(ticket) = attempt.ticket {
            self.scheduler.release(ticket);
        }
        for id in attempt.members {
            self.scheduler.hold(id.lane, reason, now_ns);
            self.left_over(id, 0);
        }
    }

    /// Whether a sleeping invocation has what it waits for.
    fn is_awake(&self, run: InvocationId) -> bool {
        self.shard.runs.get(&run).is_some_and(|run| run.waiting_signal().is_some())
    }

    fn sleep_on(&mut self, run: InvocationId) {
        let asleep = self.shard.runs.get(&run).and_then(|run| run.suspension.as_ref());
        if let Some(at) = asleep.filter(|at| at.until_ns != 0) {
            self.timers.wake(run, at.until_ns);
        }
    }

    fn left_over(&mut self, id: Id, again_ns: i64) {
        let now_ns = self.parts.clock.now().unix_ns();
        let Some(pending) = self.shard.deliveries.get(&id) else { return };
        match pending.state {
            State::Queued { .. } => {
                let Some(wanted) = self.wanted(id) else { return };
                self.scheduler.queue(id, Wanted { due_ns: again_ns, ..wanted }, now_ns);
                self.cancel_again(id);
            }
            State::Running { run, .. } => self.left_running(run),
            State::Settling(_) => {}
        }
    }

    /// An invocation that nobody runs any more although its end is not in the log.
    fn left_running(&mut self, id: InvocationId) {
        if self.closing.contains(&id) {
            return;
        }
        let Some(run) = self.shard.runs.get(&id) else { return };
        let action = self.shard.recover_run(id, run);
        if matches!(action, Action::Close(_) | Action::Resume(_)) {
            self.take(vec![action]);
        }
    }

    /// Gives back the slots of attempts whose ends are applied.
    pub(super) fn release_ended(&mut self) {
        let position = self.shard.position();
        let scheduler = &mut self.scheduler;
        self.attempts.ended.retain(|(sequence, ticket)| {
            let applied = *sequence <= position;
            if applied {
                scheduler.release(*ticket);
            }
            !applied
        });
    }
}

/// Reads the events that are not at hand, at their places in the log.
async fn complete(
    mut delivery: Delivery,
    log: &ReadAhead,
    places: &[u64],
) -> Result<Delivery, nexus_log::Error> {
    if delivery.events.iter().any(Option::is_none) {
        let members: Vec<_> = delivery.members().collect();
        for ((event, id), sequence) in delivery.events.iter_mut().zip(members).zip(places) {
            if event.is_none() {
                *event = log.event(id, *sequence).await?;
            }
        }
    }
    Ok(delivery)
}
