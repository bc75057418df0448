//! What happens at a time: schedules, cron triggers, the end of sleeps.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use nexus_model::{EventId, InvocationId, Timestamp};

use super::Driver;
use super::outbox::Out;
use crate::cron::Cron;
use crate::lanes::{Lane, LaneId};
use crate::shard::Shard;

/// So many timers may stand there for nothing before somebody looks.
const STALE_MAX: usize = 1024;

/// Timers by time. What was cancelled meanwhile is found out when its time comes, or when there is
/// more of it than of the others: it may be years away.
#[derive(Default)]
pub(crate) struct Timers {
    schedules: BinaryHeap<Reverse<(i64, EventId)>>,
    wakes: BinaryHeap<Reverse<(i64, InvocationId)>>,
    crons: HashMap<LaneId, Vec<Planned>>,
    firings: BinaryHeap<Reverse<(i64, LaneId)>>,
    /// The one entry of `firings` that counts for a lane.
    next_firing: HashMap<LaneId, i64>,
    /// When timers were looked at last.
    seen: Timestamp,
}

/// A cron trigger with the time up to which nothing of it is missed.
struct Planned {
    cron: Cron,
    last: Timestamp,
}

impl Timers {
    pub(super) fn schedule(&mut self, id: EventId, at_ns: i64) {
        self.schedules.push(Reverse((at_ns, id)));
    }

    pub(super) fn wake(&mut self, run: InvocationId, at_ns: i64) {
        if at_ns != i64::MAX {
            self.wakes.push(Reverse((at_ns, run)));
        }
    }

    /// Plans the cron triggers of a lane anew.
    pub(super) fn configure(
        &mut self,
        id: LaneId,
        lane: &Lane,
        (fired, now): (&BTreeMap<u64, i64>, Timestamp),
    ) {
        let (triggers, since_ns) = match &lane.cron {
            Some(cron) => (&cron.triggers[..], cron.since_ns),
            None if self.crons.contains_key(&id) => (&[][..], 0),
            None => return,
        };
        let mut planned = Vec::new();
        for trigger in triggers {
            // The node refuses what is invalid; what slips through never fires.
            let Ok(cron) = Cron::new(trigger) else { continue };
            let since = Timestamp::from_unix_ns(since_ns);
            let last =
                fired.get(&cron.hash).map_or(since, |at| Timestamp::from_unix_ns(*at).max(since));
            // What has happened in the future did so by a clock that was ahead.
            planned.push(Planned { cron, last: last.min(now) });
        }
        self.crons.insert(id, planned);
        self.plan(id, lane, now);
    }

    /// Whether the clock went back since this was asked last.
    fn went_back(&mut self, now: Timestamp) -> bool {
        now < std::mem::replace(&mut self.seen, now)
    }

    /// From now on cron triggers fire by a clock that went back. What has fired already by the clock as
    /// it was is known by its id, and does not fire again when its time comes.
    fn go_back(&mut self, now: Timestamp) -> Vec<LaneId> {
        for planned in self.crons.values_mut().flatten() {
            planned.last = planned.last.min(now);
        }
        self.crons.keys().copied().collect()
    }

    fn plan(&mut self, id: LaneId, lane: &Lane, now: Timestamp) {
        if lane.settings.paused {
            self.next_firing.remove(&id);
            return;
        }
        let salt = salt(lane);
        let Some(planned) = self.crons.get(&id) else { return };
        let next = planned.iter().filter_map(|at| at.cron.next(at.last, &salt)).min();
        let next_ns = next.map(|next| next.max(now).unix_ns());
        let known = match next_ns {
            Some(at_ns) => self.next_firing.insert(id, at_ns),
            None => self.next_firing.remove(&id),
        };
        if let Some(at_ns) = next_ns.filter(|at_ns| known != Some(*at_ns)) {
            self.firings.push(Reverse((at_ns, id)));
        }
    }

    /// The next time at which something may happen.
    pub(super) fn next_ns(&self) -> Option<i64> {
        let schedule = self.schedules.peek().map(|Reverse((at, _))| *at);
        let wake = self.wakes.peek().map(|Reverse((at, _))| *at);
        let cron = self.firings.peek().map(|Reverse((at, _))| *at);
        [schedule, wake, cron].into_iter().flatten().min()
    }

    /// Forgets the timers of what was cancelled, or woken before its time, where they are many.
    fn forget_stale(&mut self, shard: &Shard) {
        if self.schedules.len() > 2 * shard.schedules.len() + STALE_MAX {
            keep(&mut self.schedules, |at_ns, id| {
                shard.schedules.get(id).is_some_and(|at| at.due_ns == at_ns)
            });
        }
        if self.wakes.len() > 2 * shard.runs.len() + STALE_MAX {
            keep(&mut self.wakes, |at_ns, run| {
                let suspension = shard.runs.get(run).and_then(|run| run.suspension.as_ref());
                suspension.is_some_and(|at| at.until_ns == at_ns)
            });
        }
        if self.firings.len() > 2 * self.next_firing.len() + STALE_MAX {
            let next = &self.next_firing;
            keep(&mut self.firings, |at_ns, lane| next.get(lane) == Some(&at_ns));
        }
    }

    fn due_schedule(&mut self, now_ns: i64) -> Option<EventId> {
        let Reverse((at, _)) = self.schedules.peek()?;
        if *at > now_ns {
            return None;
        }
        self.schedules.pop().map(|Reverse((_, id))| id)
    }

    fn due_wake(&mut self, now_ns: i64) -> Option<InvocationId> {
        let Reverse((at, _)) = self.wakes.peek()?;
        if *at > now_ns {
            return None;
        }
        self.wakes.pop().map(|Reverse((_, run))| run)
    }

    fn due_cron(&mut self, now_ns: i64) -> Option<LaneId> {
        loop {
            let Reverse((at, _)) = self.firings.peek()?;
            if *at > now_ns {
                return None;
            }
            let Reverse((at, lane)) = self.firings.pop()?;
            if self.next_firing.get(&lane) == Some(&at) {
                self.next_firing.remove(&lane);
                return Some(lane);
            }
        }
    }
}

/// Keeps the timers that count, each once.
fn keep<T: Ord + Copy>(
    timers: &mut BinaryHeap<Reverse<(i64, T)>>,
    counts: impl Fn(i64, &T) -> bool,
) {
    let all = std::mem::take(timers).into_iter();
    let kept: BTreeSet<_> = all.filter(|Reverse((at_ns, what))| counts(*at_ns, what)).collect();
    *timers = kept.into_iter().collect();
}

/// What makes the jitter of one lane differ from that of another.
fn salt(lane: &Lane) -> String {
    format!("{}\n{}\n{}", lane.project, lane.function, lane.trigger)
}

impl Driver {
    pub(super) fn fire_timers(&mut self) {
        let now = self.parts.clock.now();
        let now_ns = now.unix_ns();
        if self.timers.went_back(now) {
            self.go_back(now);
        }
        while let Some(id) = self.timers.due_schedule(now_ns) {
            if self.shard.schedules.contains(&id) && self.firing.insert(id) {
                self.outbox.push(Out::Schedule(id));
            }
        }
        while let Some(run) = self.timers.due_wake(now_ns) {
            let until = self.shard.runs.get(&run).and_then(|run| run.suspension.as_ref());
            if until.is_some_and(|at| at.until_ns != 0 && at.until_ns <= now_ns) {
                self.resume(run);
            }
        }
        while let Some(id) = self.timers.due_cron(now_ns) {
            self.fire_cron(id, now);
        }
        self.timers.forget_stale(&self.shard);
    }

    /// The clock went back: what goes by elapsed time does not wait for it.
    fn go_back(&mut self, now: Timestamp) {
        for id in self.timers.go_back(now) {
            let lane = self.shard.lanes.get(id).clone();
            self.timers.plan(id, &lane, now);
        }
        self.scheduler.look_again();
        for id in self.scheduler.waiting_until_after(now.unix_ns()) {
            if let Some(wanted) = self.wanted(id) {
                self.scheduler.queue(id, wanted, now.unix_ns());
            }
        }
    }

    fn fire_cron(&mut self, id: LaneId, now: Timestamp) {
        let lane = self.shard.lanes.get(id).clone();
        if lane.settings.paused {
            return;
        }
        let salt = salt(&lane);
        for planned in self.timers.crons.get_mut(&id).into_iter().flatten() {
            let (due, seen) = planned.cron.due(planned.last, now, &salt);
            planned.last = seen.unwrap_or(planned.last).max(planned.last);
            for scheduled in due {
                self.outbox.push(Out::Cron(id, planned.cron.clone(), scheduled));
            }
        }
        self.timers.plan(id, &lane, now);
    }

    /// A sleeping invocation may go on.
    pub(super) fn resume(&mut self, run: InvocationId) {
        let Some(lane) = self.shard.runs.get(&run).map(|found| found.lane) else { return };
        if !self.shard.is_cancelled(run) && !self.attempts.runs(run) && !self.must_wait(run) {
            self.scheduler.resume(lane, run);
        }
    }
}
