//! Where a guest is led: pure decisions over what happens in a run. No store, no threads.
//!
//! A guest only goes forward. To go back it runs again from its beginning, which is exact because
//! its outside world is a recording. A [`Position`] therefore tells how to come there: to an
//! operation at full speed, and from there by legs that can be repeated.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use nexus_model::limits;
use nexus_model::view::{StepBy, StopReason};

use super::lines::Line;

/// An instruction: the number of its module, and its place in the module.
pub(super) type Place = (usize, u32);

/// A part of the way behind an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    /// So many instructions.
    Steps(u64),
    /// Until an instruction has been reached so often.
    Hit { place: Place, times: u64 },
    /// Until the guest traps.
    Trap,
    /// To the end.
    End,
    /// It was stopped by the clock: nobody can repeat that.
    Unknown,
}

/// How to come to where a guest stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// How many operations were answered.
    pub(super) operation: u32,
    /// What follows.
    pub(super) legs: Vec<Leg>,
}

impl Position {
    pub(super) fn at(operation: u32) -> Self {
        Position { operation, legs: Vec::new() }
    }

    pub(super) fn is_entry(&self) -> bool {
        *self == Position::default()
    }

    pub(super) fn is_repeatable(&self) -> bool {
        !self.legs.contains(&Leg::Unknown)
    }
}

/// Legs that are being walked.
#[derive(Clone, Debug, Default)]
struct Walk {
    legs: Vec<Leg>,
    at: usize,
    count: u64,
}

impl Walk {
    fn new(legs: &[Leg]) -> Self {
        Walk { legs: legs.to_vec(), at: 0, count: 0 }
    }

    fn is_done(&self) -> bool {
        self.at >= self.legs.len()
    }

    fn steps(&self) -> bool {
        matches!(self.legs.get(self.at), Some(Leg::Steps(_)))
    }

    /// An instruction was reached; whether the way ends there.
    fn reach(&mut self, reached: Place) -> bool {
        let until = match self.legs.get(self.at) {
            Some(Leg::Steps(steps)) => *steps,
            Some(Leg::Hit { place, times }) if *place == reached => *times,
            _ => return self.is_done(),
        };
        self.count += 1;
        if self.count >= until {
            (self.at, self.count) = (self.at + 1, 0);
        }
        self.is_done()
    }

    fn trapped(&mut self) -> bool {
        if self.legs.get(self.at) == Some(&Leg::Trap) {
            self.at += 1;
        }
        self.is_done()
    }
}

/// What a step compares with: where it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Whence {
    pub(super) line: Option<(usize, Line)>,
    pub(super) depth: usize,
}

/// What a run is for.
#[derive(Clone, Debug)]
enum Goal {
    /// Forward until something is worth a stop.
    Continue,
    /// Until so many operations have been answered.
    Operation(u32),
    /// One step.
    Step { by: StepBy, from: Whence },
    /// To a known position.
    Path { target: Position, walk: Walk },
    /// Looks at every instruction of the stretch before a position, to find a step back.
    Trace(Trace),
    /// Looks at every breakpoint before a position, to find the last one.
    Scan { target: Position, walk: Walk, last: Option<Position> },
}

#[derive(Clone, Debug)]
struct Trace {
    base: u32,
    target: Position,
    by: StepBy,
    from: Whence,
    walk: Walk,
    index: u64,
    line: Option<(usize, Line)>,
    found: u64,
}

/// What is known of an instruction that was reached.
pub(super) struct Reached<'a> {
    pub(super) place: Place,
    pub(super) line: Option<(usize, Line)>,
    /// Costs a walk over the stack.
    pub(super) depth: &'a mut dyn FnMut() -> usize,
}

/// What comes of something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// On.
    Go,
    /// It stands still.
    Stop(StopReason),
    /// The run has found out what it was for: run again from the beginning.
    Again,
    /// What was asked for is too far away; back to where it stood.
    TooFar,
}

/// Leads one run after the other.
#[derive(Debug)]
pub(super) struct Course {
    goal: Goal,
    /// Where it stood when the last command came.
    stood: Position,
    operation: u32,
    legs: Vec<Leg>,
    steps: u64,
    hits: HashMap<Place, u64>,
    /// Instructions with breakpoints of the user.
    pub(super) places: HashSet<Place>,
}

impl Default for Course {
    fn default() -> Self {
        Course {
            goal: Goal::Path { target: Position::default(), walk: Walk::default() },
            stood: Position::default(),
            operation: 0,
            legs: Vec::new(),
            steps: 0,
            hits: HashMap::new(),
            places: HashSet::new(),
        }
    }
}

impl Course {
    pub(super) fn stood(&self) -> &Position {
        &self.stood
    }

    /// A run begins anew.
    pub(super) fn begin(&mut self) {
        (self.operation, self.steps) = (0, 0);
        self.legs.clear();
        self.hits.clear();
        match &mut self.goal {
            Goal::Path { target, walk } | Goal::Scan { target, walk, .. } => {
                *walk = Walk::new(&target.legs);
            }
            Goal::Trace(trace) => {
                trace.walk = Walk::new(&trace.target.legs);
                (trace.index, trace.found, trace.line) = (0, 0, None);
            }
            _ => {}
        }
    }

    pub(super) fn go_on(&mut self) {
        self.resume(Goal::Continue);
    }

    pub(super) fn run_to(&mut self, operation: u32) {
        self.resume(Goal::Operation(operation));
    }

    pub(super) fn step(&mut self, by: StepBy, from: Whence) {
        match by {
            StepBy::Operation => self.run_to(self.stood.operation + 1),
            by => self.resume(Goal::Step { by, from }),
        }
    }

    fn resume(&mut self, goal: Goal) {
        self.goal = goal;
        self.legs = self.stood.legs.clone();
        self.steps = 0;
        self.hits.clear();
    }

    /// To a position, in a new run.
    pub(super) fn lead_to(&mut self, target: Position) {
        self.goal = Goal::Path { walk: Walk::new(&target.legs), target };
    }

    /// One step back, in new runs.
    pub(super) fn step_back(&mut self, by: StepBy, from: Whence) {
        let target = self.stood.clone();
        if by == StepBy::Operation {
            let before = target.operation - u32::from(target.legs.is_empty());
            return self.lead_to(Position::at(before));
        }
        let base = target.operation - u32::from(target.legs.is_empty());
        self.goal = Goal::Trace(Trace {
            base,
            walk: Walk::new(&target.legs),
            target,
            by,
            from,
            index: 0,
            line: None,
            found: 0,
        });
    }

    /// To the breakpoint before, in new runs.
    pub(super) fn continue_back(&mut self) {
        let target = self.stood.clone();
        self.goal = Goal::Scan { walk: Walk::new(&target.legs), target, last: None };
    }

    /// Whether every instruction is to be looked at from here on.
    pub(super) fn single_steps(&self) -> bool {
        match &self.goal {
            Goal::Continue | Goal::Operation(_) => false,
            Goal::Step { .. } => true,
            Goal::Path { target, walk } => self.operation == target.operation && walk.steps(),
            Goal::Trace(trace) => self.operation == trace.base,
            Goal::Scan { target, walk, .. } => {
                self.operation == target.operation && !walk.is_done()
            }
        }
    }

    /// Instructions at which the guest has to be stopped only because the way leads over them.
    pub(super) fn waypoints(&self) -> HashSet<Place> {
        let Goal::Path { target, .. } = &self.goal else { return HashSet::new() };
        let hit = |leg: &Leg| match leg {
            Leg::Hit { place, .. } => Some(*place),
            _ => None,
        };
        target.legs.iter().filter_map(hit).collect()
    }

    /// The guest is about to begin.
    pub(super) fn entered(&mut self) -> Verdict {
        match &self.goal {
            Goal::Path { target, .. } if target.is_entry() => self.stop(StopReason::Entry),
            _ => Verdict::Go,
        }
    }

    /// An operation was answered: it is the `answered`th. `is_breakpoint` where one stands on it,
    /// `is_new` where it is an effect that the recording does not have.
    pub(super) fn answered(
        &mut self,
        answered: u32,
        (is_breakpoint, is_new): (bool, bool),
    ) -> Verdict {
        (self.operation, self.steps) = (answered, 0);
        self.legs.clear();
        self.hits.clear();
        match &mut self.goal {
            Goal::Continue | Goal::Operation(_) | Goal::Step { .. } if is_new => {
                self.stop(StopReason::NewEffect)
            }
            Goal::Continue | Goal::Step { .. } if is_breakpoint => {
                self.stop(StopReason::Breakpoint)
            }
            Goal::Operation(until) if answered >= *until => self.stop(StopReason::Operation),
            Goal::Path { target, .. } if answered == target.operation && target.legs.is_empty() => {
                self.stop(StopReason::Operation)
            }
            Goal::Trace(trace) => {
                match trace.target.legs.is_empty() && answered == trace.target.operation {
                    true => self.traced(),
                    false => Verdict::Go,
                }
            }
            Goal::Scan { target, last, .. } => {
                if answered == target.operation && target.legs.is_empty() {
                    return self.scanned();
                }
                if is_breakpoint {
                    *last = Some(Position::at(answered));
                }
                Verdict::Go
            }
            _ => Verdict::Go,
        }
    }

    /// An instruction was reached, one with a breakpoint or, while single stepping, any.
    pub(super) fn reached(&mut self, mut reached: Reached<'_>) -> Verdict {
        let single = self.single_steps();
        let place = reached.place;
        self.steps += u64::from(single);
        let is_breakpoint = self.places.contains(&place);
        if !single {
            *self.hits.entry(place).or_default() += 1;
        }
        match &mut self.goal {
            Goal::Operation(_) => Verdict::Go,
            Goal::Continue | Goal::Step { .. } if is_breakpoint => {
                self.stop(StopReason::Breakpoint)
            }
            Goal::Continue => Verdict::Go,
            Goal::Step { by, from } => {
                let (by, from) = (*by, *from);
                match steps_there(by, from, &mut reached) {
                    true => self.stop(StopReason::Step),
                    false => Verdict::Go,
                }
            }
            Goal::Path { target, walk } => {
                if self.operation == target.operation && walk.reach(place) {
                    return self.stop(StopReason::Step);
                }
                Verdict::Go
            }
            Goal::Trace(trace) if self.operation == trace.base => {
                if trace.see(&mut reached) {
                    self.traced()
                } else {
                    self.within_steps()
                }
            }
            Goal::Trace(_) => Verdict::Go,
            Goal::Scan { target, walk, last } => {
                let (steps, operation) = (self.steps, self.operation);
                if operation == target.operation && walk.reach(place) {
                    return self.scanned();
                }
                if is_breakpoint {
                    let leg = match single {
                        true => Leg::Steps(steps),
                        false => Leg::Hit { place, times: self.hits[&place] },
                    };
                    *last = Some(Position { operation, legs: vec![leg] });
                }
                self.within_steps()
            }
        }
    }

    fn within_steps(&self) -> Verdict {
        if self.steps > limits::DEBUG_STEPS_MAX { Verdict::TooFar } else { Verdict::Go }
    }

    /// The guest trapped.
    pub(super) fn trapped(&mut self) -> Verdict {
        match &mut self.goal {
            Goal::Continue | Goal::Operation(_) | Goal::Step { .. } => self.stop(StopReason::Trap),
            Goal::Path { target, walk } => {
                if self.operation == target.operation && walk.trapped() {
                    return self.stop(StopReason::Trap);
                }
                Verdict::Go
            }
            Goal::Trace(trace) => {
                if trace.walk.trapped() {
                    self.traced()
                } else {
                    Verdict::Go
                }
            }
            Goal::Scan { walk, .. } => {
                if walk.trapped() {
                    self.scanned()
                } else {
                    Verdict::Go
                }
            }
        }
    }

    /// The run is over.
    pub(super) fn ended(&mut self) -> Verdict {
        match &self.goal {
            Goal::Trace(_) => self.traced(),
            Goal::Scan { .. } => self.scanned(),
            _ => {
                self.stood = Position { operation: self.operation, legs: vec![Leg::End] };
                Verdict::Stop(StopReason::End)
            }
        }
    }

    /// It stands still at a place to which nobody can come again.
    pub(super) fn interrupted(&mut self, reason: StopReason) -> Verdict {
        self.stood = Position { operation: self.operation, legs: vec![Leg::Unknown] };
        Verdict::Stop(reason)
    }

    fn stop(&mut self, reason: StopReason) -> Verdict {
        self.stood = match &self.goal {
            Goal::Path { target, .. } => target.clone(),
            _ => self.here(reason),
        };
        Verdict::Stop(reason)
    }

    fn here(&self, reason: StopReason) -> Position {
        let mut legs = self.legs.clone();
        match reason {
            StopReason::Trap => legs = vec![Leg::Trap],
            StopReason::Operation | StopReason::NewEffect => legs.clear(),
            _ if self.single_steps() && self.steps > 0 => match legs.last_mut() {
                Some(Leg::Steps(steps)) => *steps += self.steps,
                _ => legs.push(Leg::Steps(self.steps)),
            },
            _ => {
                // Every hit of a breakpoint stops, so the one that was just counted is the last.
                let hit = self.hits.iter().next();
                legs.extend(hit.map(|(place, times)| Leg::Hit { place: *place, times: *times }));
            }
        }
        Position { operation: self.operation, legs }
    }

    fn traced(&mut self) -> Verdict {
        if let Goal::Trace(trace) = &self.goal {
            let legs = match trace.found {
                0 => Vec::new(),
                steps => vec![Leg::Steps(steps)],
            };
            let target = Position { operation: trace.base, legs };
            self.lead_to(target);
        }
        Verdict::Again
    }

    fn scanned(&mut self) -> Verdict {
        if let Goal::Scan { last, .. } = &mut self.goal {
            let target = last.take().unwrap_or_default();
            self.lead_to(target);
        }
        Verdict::Again
    }
}

/// Whether a step ends at an instruction.
fn steps_there(by: StepBy, from: Whence, reached: &mut Reached<'_>) -> bool {
    if by == StepBy::Instruction {
        return true;
    }
    if reached.line.is_none() || (reached.line == from.line && by != StepBy::Out) {
        return false;
    }
    match by {
        StepBy::Over => (reached.depth)() <= from.depth,
        StepBy::Out => (reached.depth)() < from.depth,
        _ => true,
    }
}

impl Trace {
    /// Looks at an instruction; whether the stretch ends there.
    fn see(&mut self, reached: &mut Reached<'_>) -> bool {
        self.index += 1;
        if self.walk.reach(reached.place) && !self.target.legs.is_empty() {
            return true;
        }
        let begins = reached.line.is_some() && reached.line != self.line;
        self.line = reached.line;
        let found = match self.by {
            StepBy::Instruction => true,
            StepBy::Over => begins && (reached.depth)() <= self.from.depth,
            StepBy::Out => begins && (reached.depth)() < self.from.depth,
            _ => begins,
        };
        if found {
            self.found = self.index;
        }
        false
    }
}
