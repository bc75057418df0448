//! Answers for a rehearsal. Pure: no clock, no I/O.

use std::collections::{BTreeSet, HashMap, VecDeque};

use serde_json::{Value, json};

use super::{Answered, Asked, Effect, Scene};
use crate::journal::{Function, Outcome};

/// How far a clock moves with a reading that the recording does not have.
const TICK_NS: i64 = 1_000;
const NS_PER_MS: i64 = 1_000_000;

/// Everything that a recording knows, to be asked in any order.
///
/// Time in it is virtual: it is that of the recording while that lasts, and moves on by what the
/// guest waits for. Nobody waits for real.
#[derive(Debug)]
pub struct Script {
    wall: Clock,
    monotonic: Clock,
    deadlines: VecDeque<i64>,
    deadline_ns: i64,
    signals: HashMap<String, VecDeque<Outcome>>,
    waiting_for: String,
    recorded: Vec<(Effect, bool)>,
    asked: Vec<Asked>,
    operations: u32,
    /// Requests whose answer the guest does not have, and those of them that nobody asked for yet.
    in_flight: usize,
    on_the_way: usize,
    timers: BTreeSet<(u64, u64)>,
    /// Answers that are under way, in the order in which the recorded version had them.
    answers: BTreeSet<(u32, u32)>,
    /// The guest can do nothing but wait.
    idle: bool,
}

/// A clock that gives the recorded readings and never goes back.
#[derive(Debug)]
struct Clock {
    recorded: VecDeque<i64>,
    now: i64,
}

impl Clock {
    fn new(recorded: &[i64], now: i64) -> Self {
        Clock { recorded: recorded.iter().copied().collect(), now }
    }

    fn read(&mut self) -> i64 {
        self.now = match self.recorded.pop_front() {
            Some(ns) => ns.max(self.now),
            None => self.now.saturating_add(TICK_NS),
        };
        self.now
    }
}

/// Answers.
impl Script {
    /// What a scene knows.
    pub fn new(scene: &Scene) -> Self {
        Script {
            wall: Clock::new(&scene.wall_ns, scene.started_ns),
            monotonic: Clock::new(&scene.monotonic_ns, 0),
            deadlines: scene.deadlines_ns.iter().copied().collect(),
            deadline_ns: scene.deadline_ns,
            signals: scene.signals_by_name(),
            waiting_for: String::new(),
            recorded: scene.effects.iter().map(|effect| (effect.clone(), false)).collect(),
            asked: Vec::new(),
            operations: 0,
            in_flight: 0,
            on_the_way: 0,
            timers: BTreeSet::new(),
            answers: BTreeSet::new(),
            idle: false,
        }
    }

    /// How many operations there were.
    pub fn operations(&self) -> u32 {
        self.operations
    }

    /// Counts an operation that is answered elsewhere.
    pub fn count(&mut self) {
        self.operations += 1;
    }

    /// The answer to an operation that touches nothing outside; nothing for those that do, and for
    /// those that follow from other answers.
    pub fn local(&mut self, function: Function, arguments: u64, text: &str) -> Option<Outcome> {
        let outcome = match function {
            Function::WallNow => Outcome::Clock(self.wall.read()),
            Function::MonotonicNow => Outcome::Clock(self.monotonic.read()),
            Function::Deadline => {
                self.deadline_ns = self.deadlines.pop_front().unwrap_or(self.deadline_ns);
                Outcome::Clock(self.deadline_ns)
            }
            Function::SubscribeDuration
            | Function::SubscribeInstant
            | Function::RandomBytes
            | Function::RandomNumber
            | Function::InsecureBytes
            | Function::InsecureNumber
            | Function::InsecureSeed
            | Function::GrowRefused
            | Function::TableRefused
            | Function::Progress
            | Function::Woken => Outcome::Done,
            Function::Sleep => self.sleep(arguments),
            Function::WaitSignal => {
                text.clone_into(&mut self.waiting_for);
                self.ask((function, text, Value::Null)).unwrap_or(Outcome::Done)
            }
            // Nobody sends a signal that was not recorded: the wait ends as if none came in time.
            Function::Signal => self
                .signals
                .get_mut(&self.waiting_for)
                .and_then(VecDeque::pop_front)
                .unwrap_or(Outcome::Closed),
            _ => return None,
        };
        self.operations += 1;
        Some(outcome)
    }

    fn sleep(&mut self, ms: u64) -> Outcome {
        let ns = i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(NS_PER_MS);
        let until = self.wall.now.saturating_add(ns);
        let known = self.ask((Function::Sleep, "", json!({ "ms": ms })));
        let until = match known {
            Some(Outcome::Clock(recorded)) => recorded.max(self.wall.now),
            _ => until,
        };
        self.pass(until.saturating_sub(self.wall.now));
        Outcome::Clock(until)
    }

    /// The answer to a question about the world, if the recording has one.
    pub fn ask(&mut self, (function, target, details): (Function, &str, Value)) -> Option<Outcome> {
        let from = self.find(function, target, &details);
        let known = match from {
            Answered::Exactly(at) | Answered::Otherwise(at) | Answered::Again(at) => {
                self.recorded[at].1 = true;
                Some(&self.recorded[at].0)
            }
            Answered::New => None,
        };
        let outcome = known.map(|effect| effect.outcome.clone());
        let whole = known.is_none_or(|effect| effect.whole);
        let answered = known.and_then(|effect| effect.answered);
        let effect = Effect {
            operation: self.operations,
            function,
            target: target.to_owned(),
            details,
            outcome: outcome.clone().unwrap_or(Outcome::Pending),
            answered,
            whole,
        };
        self.asked.push(Asked { effect, answered: from });
        outcome
    }

    /// The answer to a request. Its second part is whether all of it is known. It is to be given when
    /// [`delivers`](Self::delivers) says so of its operation.
    pub fn exchange(
        &mut self,
        (target, details): (&str, Value),
        operation: u32,
    ) -> Option<(Outcome, bool)> {
        let answer = self.ask((Function::HttpHandle, target, details));
        self.on_the_way = self.on_the_way.saturating_sub(1);
        let asked = self.asked.last_mut()?;
        asked.effect.operation = operation;
        let (rank, whole) = (asked.effect.answered, asked.effect.whole);
        match (&answer, rank) {
            (None | Some(Outcome::Pending), _) => self.arrive(),
            (Some(_), rank) => _ = self.answers.insert((rank.unwrap_or_default(), operation)),
        }
        Some((answer?, whole))
    }

    fn find(&self, function: Function, target: &str, details: &Value) -> Answered {
        let same = |effect: &Effect| effect.function == function && effect.target == target;
        let exactly = |effect: &Effect| same(effect) && effect.details == *details;
        let place = |free: bool, fits: &dyn Fn(&Effect) -> bool| {
            self.recorded.iter().position(|(effect, used)| *used != free && fits(effect))
        };
        if let Some(at) = place(true, &exactly) {
            return Answered::Exactly(at);
        }
        if let Some(at) = place(true, &same) {
            return Answered::Otherwise(at);
        }
        match place(false, &exactly) {
            Some(at) if !self.recorded[at].0.changes_the_world() => Answered::Again(at),
            _ => Answered::New,
        }
    }

    /// What was asked, what is recorded, and the places of what was not asked for.
    pub fn finish(mut self) -> (Vec<Asked>, Vec<Effect>, Vec<usize>) {
        // Requests that are under way at the same time come here in any order.
        self.asked.sort_by_key(|asked| asked.effect.operation);
        let places = self.recorded.iter().enumerate();
        let missed = places.filter(|(_, (_, used))| !used).map(|(at, _)| at).collect();
        let recorded = self.recorded.into_iter().map(|(effect, _)| effect).collect();
        (self.asked, recorded, missed)
    }
}

/// Virtual time.
impl Script {
    /// The guest's monotonic clock, without reading it.
    pub fn monotonic_ns(&self) -> u64 {
        self.monotonic.now.unsigned_abs()
    }

    /// A request is under way: timers wait until the guest has its answer.
    pub fn send(&mut self) {
        self.in_flight += 1;
        self.on_the_way += 1;
    }

    /// The request did not go.
    pub fn take_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.on_the_way = self.on_the_way.saturating_sub(1);
    }

    /// The guest has the answer of a request, or there will be none.
    pub fn arrive(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// The guest waits for whatever comes first.
    pub fn idle(&mut self) {
        self.idle = true;
    }

    /// Whether the answer to this request is the next thing to happen: answers come in the order in
    /// which the recorded version had them, one each time that the guest waits. `anyway` does not
    /// wait for its turn.
    pub fn delivers(&mut self, operation: u32, anyway: bool) -> bool {
        let Some(own) = self.answers.iter().find(|(_, at)| *at == operation).copied() else {
            return true;
        };
        let next = self.idle && self.on_the_way == 0 && self.answers.first() == Some(&own);
        if next || anyway {
            self.answers.remove(&own);
            self.idle = false;
        }
        next || anyway
    }

    /// The guest waits for a moment of its monotonic clock; `id` tells timers apart.
    pub fn wait(&mut self, due_ns: u64, id: u64) {
        self.timers.insert((due_ns, id));
    }

    /// The guest does not wait for it any more.
    pub fn forget(&mut self, due_ns: u64, id: u64) {
        self.timers.remove(&(due_ns, id));
    }

    /// Whether this timer is the next thing to happen; time has then moved on to it. `anyway` does
    /// not wait for answers that are under way.
    pub fn fires(&mut self, due_ns: u64, id: u64, anyway: bool) -> bool {
        let first = self.timers.first().is_none_or(|first| *first >= (due_ns, id));
        if !first || (self.in_flight > 0 && !anyway) {
            return false;
        }
        self.timers.remove(&(due_ns, id));
        let due = i64::try_from(due_ns).unwrap_or(i64::MAX);
        self.pass(due.saturating_sub(self.monotonic.now));
        true
    }

    fn pass(&mut self, ns: i64) {
        if ns > 0 {
            self.monotonic.now = self.monotonic.now.saturating_add(ns);
            self.wall.now = self.wall.now.saturating_add(ns);
        }
    }
}
