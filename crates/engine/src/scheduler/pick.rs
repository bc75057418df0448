//! Choosing what begins next.

use std::time::Duration;

use nexus_model::{EventId, InvocationId, Timestamp};

use super::lane::Hold;
use super::{Blocked, Scheduler};
use crate::lanes::LaneId;
use crate::shard::{BreakerState, Id};

/// Waits below this are not worth a word in the record of an attempt.
const WAIT_NOTICED: Duration = Duration::from_millis(10);
/// How long a lane is left alone that the node cannot run now.
const HOLD_NS: i64 = 1_000_000_000;

/// The right to run; it is given back with [`Scheduler::release`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Ticket(pub(crate) u64);

/// What is to be done next.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Pick {
    /// Make an attempt with these deliveries of one lane; several are a batch.
    Deliver { ticket: Ticket, members: Vec<Id>, waited_for: Vec<String> },
    /// Let a sleeping invocation go on.
    Resume { ticket: Ticket, run: InvocationId },
    /// The breaker is open and there is a fallback: the event goes there.
    FallBack(Id),
    /// The event is older than its retry policy allows.
    Expire(Id),
    /// Its trigger was paused, and is gone.
    GiveUp(Id),
}

impl Scheduler {
    /// What begins now, if anything may. Call [`advance`](Self::advance) first.
    pub(crate) fn next(&mut self, now_ns: i64) -> Option<Pick> {
        if self.is_full() {
            return None;
        }
        while let Some(id) = self.ring.pop() {
            let lane = &mut self.lanes[id.0 as usize];
            lane.enlisted = false;
            if lane.ready.is_empty() && lane.resumes.is_empty() {
                // It may have been offered a slot: the next one that waits gets it.
                let owner = self.slots_owner(id);
                self.wake_waiting(owner);
                continue;
            }
            match self.look(id, now_ns) {
                Ok(pick) => {
                    // It stands at the end of the ring again, so that the others get their turn.
                    self.enlist(id);
                    return Some(pick);
                }
                Err(blocked) => self.block(id, blocked),
            }
        }
        None
    }

    /// The node cannot run a lane now: it is left alone for a moment.
    pub(crate) fn hold(&mut self, id: LaneId, reason: &str, now_ns: i64) {
        let until_ns = now_ns.saturating_add(HOLD_NS);
        self.lane_of(id).hold = Some(Hold { until_ns, reason: reason.into() });
    }

    /// An attempt is over: its slots are free.
    pub(crate) fn release(&mut self, ticket: Ticket) {
        let Some((id, owner)) = self.tickets.remove(&ticket.0) else { return };
        let lane = &mut self.lanes[id.0 as usize];
        lane.running = lane.running.saturating_sub(1);
        // It may have waited for exactly this attempt.
        self.enlist(id);
        if let Some(slots) = self.slots.get_mut(&owner) {
            slots.running = slots.running.saturating_sub(1);
        }
        self.wake_waiting(owner);
    }

    pub(super) fn slots_owner(&self, id: LaneId) -> LaneId {
        let lane = &self.lanes[id.0 as usize];
        if lane.settings.gate.own_concurrency { id } else { lane.base }
    }

    fn bucket_owner(&self, id: LaneId) -> LaneId {
        let lane = &self.lanes[id.0 as usize];
        if lane.settings.gate.own_rate { id } else { lane.base }
    }

    fn look(&mut self, id: LaneId, now_ns: i64) -> Result<Pick, Blocked> {
        if !self.lanes[id.0 as usize].resumes.is_empty() {
            self.free_slot(id)?;
            if let Some(run) = self.lanes[id.0 as usize].resumes.pop_front() {
                return Ok(Pick::Resume { ticket: self.issue(id), run });
            }
        }
        if let Some(turned_away) = self.held_up(id, now_ns)? {
            return Ok(turned_away);
        }
        self.free_slot(id)?;
        if let Some(rate) = self.settings(id).gate.rate {
            let owner = self.bucket_owner(id);
            let bucket = self.buckets.entry(owner).or_default();
            let until_ns = bucket.free_ns(rate, now_ns);
            if until_ns > now_ns {
                return Err(Blocked::Rate { until_ns });
            }
            bucket.take(rate, now_ns);
        }
        Ok(self.deliver(id, now_ns))
    }

    /// What holds up a lane for reasons of its own, or sends its first delivery elsewhere.
    fn held_up(&mut self, id: LaneId, now_ns: i64) -> Result<Option<Pick>, Blocked> {
        self.cap_breaker(id, now_ns);
        let lane = &self.lanes[id.0 as usize];
        let settings = lane.settings.clone();
        let (running, breaker, given_up) = (lane.running, lane.breaker, lane.given_up_through);
        if settings.paused {
            return Err(Blocked::Paused);
        }
        let (order, first) = match lane.ready.first() {
            Some((order, event)) => (*order, Some(Id { event: *event, lane: id })),
            None => (0, None),
        };
        if let Some(first) = first.filter(|_| given_up.is_some_and(|through| order <= through)) {
            self.withdraw(first);
            return Ok(Some(Pick::GiveUp(first)));
        }
        if let Some(first) = first.filter(|first| self.expired(*first, now_ns)) {
            self.withdraw(first);
            return Ok(Some(Pick::Expire(first)));
        }
        if let BreakerState::Open { until_ns } = breaker {
            match (now_ns < until_ns, first) {
                (true, Some(first)) if settings.fallback.is_some() => {
                    self.withdraw(first);
                    return Ok(Some(Pick::FallBack(first)));
                }
                (true, _) => return Err(Blocked::Breaker { until_ns }),
                (false, _) if running > 0 => return Err(Blocked::Probe),
                (false, _) => {}
            }
        }
        if let Some(batch) = settings.batch
            && let Some(until_ns) = self.batch_waits(id, batch, now_ns)
        {
            return Err(Blocked::Batch { until_ns });
        }
        // A clock that went back must not make it longer.
        let (from, to) = (now_ns.saturating_add(1), now_ns.saturating_add(HOLD_NS));
        let hold = self.lanes[id.0 as usize].hold.as_ref().map(|hold| hold.until_ns);
        match hold.filter(|until_ns| (from..=to).contains(until_ns)) {
            Some(until_ns) => Err(Blocked::Hold { until_ns }),
            None => Ok(None),
        }
    }

    /// A clock that went back must not keep a breaker open for longer than it was opened for.
    fn cap_breaker(&mut self, id: LaneId, now_ns: i64) {
        let lane = &mut self.lanes[id.0 as usize];
        if let (BreakerState::Open { until_ns }, Some(breaker)) =
            (lane.breaker, lane.settings.breaker)
        {
            let most = Timestamp::from_unix_ns(now_ns).after(breaker.open).unix_ns();
            lane.breaker = BreakerState::Open { until_ns: until_ns.min(most) };
        }
    }

    fn deliver(&mut self, id: LaneId, now_ns: i64) -> Pick {
        let size = self.settings(id).batch.map_or(1, |batch| batch.size);
        let members = self.take_members(id, size, now_ns);
        let waited_for = self.waited_for(id, &members, now_ns);
        self.lanes[id.0 as usize].blocked = None;
        Pick::Deliver { ticket: self.issue(id), members, waited_for }
    }

    fn free_slot(&mut self, id: LaneId) -> Result<(), Blocked> {
        let limit = self.settings(id).gate.concurrency;
        let owner = self.slots_owner(id);
        let running = self.slots.entry(owner).or_default().running;
        match limit > 0 && running >= limit {
            true => Err(Blocked::Concurrency { running, limit }),
            false => Ok(()),
        }
    }

    fn issue(&mut self, id: LaneId) -> Ticket {
        self.next_ticket += 1;
        let owner = self.slots_owner(id);
        self.tickets.insert(self.next_ticket, (id, owner));
        self.lanes[id.0 as usize].running += 1;
        self.slots.entry(owner).or_default().running += 1;
        Ticket(self.next_ticket)
    }

    fn block(&mut self, id: LaneId, blocked: Blocked) {
        self.lanes[id.0 as usize].blocked = Some(blocked);
        match blocked {
            Blocked::Breaker { until_ns }
            | Blocked::Batch { until_ns }
            | Blocked::Rate { until_ns }
            | Blocked::Hold { until_ns } => {
                self.wakes.insert((until_ns, id));
                // The free slot that it was offered goes to the next one.
                let owner = self.slots_owner(id);
                self.wake_waiting(owner);
            }
            Blocked::Concurrency { .. } => {
                let owner = self.slots_owner(id);
                let waiting = &mut self.slots.entry(owner).or_default().waiting;
                if !waiting.contains(&id) {
                    waiting.push_back(id);
                }
            }
            Blocked::Paused | Blocked::Probe | Blocked::Node { .. } => {
                let owner = self.slots_owner(id);
                self.wake_waiting(owner);
            }
        }
    }

    /// Offers a free slot to the lane that has waited longest for it and still wants it.
    pub(super) fn wake_waiting(&mut self, owner: LaneId) {
        while let Some(next) = self.slots.get_mut(&owner).and_then(|at| at.waiting.pop_front()) {
            let lane = &self.lanes[next.0 as usize];
            let wants = !lane.ready.is_empty() || !lane.resumes.is_empty();
            // Its limit may be another one by now.
            if wants && self.slots_owner(next) == owner {
                self.enlist(next);
                return;
            }
        }
    }

    fn expired(&self, id: Id, now_ns: i64) -> bool {
        let age = self.settings(id.lane).retry.max_age;
        let since = self.items.get(&id).map(|item| Timestamp::from_unix_ns(item.since_ns));
        age.zip(since).is_some_and(|(age, since)| since.after(age).unix_ns() < now_ns)
    }

    /// Why the first of these waited, the longest wait first.
    fn waited_for(&self, lane: LaneId, members: &[Id], now_ns: i64) -> Vec<String> {
        let Some(item) = members.first().and_then(|id| self.items.get(id)) else {
            return Vec::new();
        };
        let mut reasons: Vec<(i64, String)> = Vec::new();
        let noticed = WAIT_NOTICED.as_nanos() as i64;
        let since_ns = item.due_ns.max(item.since_ns);
        let behind_ns = item.ready_ns.saturating_sub(since_ns);
        if let Some(event) = item.behind.filter(|_| behind_ns >= noticed) {
            reasons.push((behind_ns, behind(event)));
        }
        let ready_ns = now_ns.saturating_sub(item.ready_ns);
        if ready_ns >= noticed {
            let queue = &self.lanes[lane.0 as usize];
            let blocked = queue.blocked.unwrap_or(Blocked::Node { limit: self.running_max });
            reasons.push((ready_ns, self.reason_of(lane, blocked).to_string()));
        }
        reasons.sort_by_key(|(wait, _)| std::cmp::Reverse(*wait));
        reasons.into_iter().map(|(_, reason)| reason).collect()
    }
}

fn behind(event: EventId) -> String {
    format!("order behind {event}")
}
