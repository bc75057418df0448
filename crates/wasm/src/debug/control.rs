//! Stands between a guest and the commands of a debugger: looks at what happens, and holds the guest
//! on its thread until the next command comes.

mod breakpoints;

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use nexus_exec::journal::{Ending, Entry, Outcome, Stop};
use nexus_exec::{DebugRefused, DebugRequest, Debugged};
use nexus_model::limits;
use nexus_model::record::{InvocationRecord, Output};
use nexus_model::view::{BreakpointView, DebugCommand, DebugEnd, DebugState, StepBy, StopReason};
use tokio::sync::oneshot;
use wasmtime::{
    AsContextMut as _, CallHook, DebugEvent, DebugHandler, Store, StoreContextMut, UpdateDeadline,
};

use super::course::{Course, Place, Position, Reached, Verdict, Whence};
use super::dwarf::Page;
use super::inspect::{Guest, Modules};
use super::symbols::Symbols;
use super::tape::{self, Answered, Edits};
use crate::ledger::{Tape, lock as lock_ledger};
use crate::state::State;

type Answer = oneshot::Sender<Result<Debugged, DebugRefused>>;

/// What is fixed in a session.
pub(super) struct Facts {
    pub(super) record: InvocationRecord,
    pub(super) component: Bytes,
    pub(super) symbols: Arc<Symbols>,
    pub(super) entries: Arc<Vec<Entry>>,
    pub(super) ending: Ending,
    pub(super) has_lines: bool,
}

/// What the thread does when a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The guest came to its end.
    End,
    /// Another run.
    Again,
    /// Nobody asks any more.
    Quit,
}

/// What is left of a run that has ended.
pub(super) struct End {
    pub(super) view: DebugEnd,
    pub(super) output: Box<Output>,
    /// What had happened.
    pub(super) state: Box<DebugState>,
    pub(super) answered: Vec<Answered>,
}

/// A guest and its debugger.
pub(super) struct Control {
    pub(super) facts: Facts,
    pub(super) course: Course,
    pub(super) edits: Arc<Edits>,
    pub(super) after: After,
    pub(super) ended: Option<End>,
    requests: Receiver<DebugRequest>,
    waiting: Option<Answer>,
    patterns: Vec<String>,
    breakpoints: Vec<BreakpointView>,
    modules: Modules,
    /// Instructions with breakpoints as the line tables have them.
    requested: HashSet<Place>,
    /// What is set in the store: what was requested, and what the way leads over.
    set: (HashSet<Place>, HashSet<Place>),
    single: bool,
    seen: u32,
    /// When the command that is being done began.
    since: Instant,
    /// Where the last line was, for steps.
    whence: Whence,
    /// What stopped it, where the reason alone does not say.
    because: String,
}

/// A run was given up for another one.
#[derive(Debug, thiserror::Error)]
#[error("the debugger runs it again")]
pub(super) struct Abandoned;

/// The handle that a store and its handlers hold.
#[derive(Clone)]
pub(crate) struct Debuggee(pub(super) Arc<Mutex<Control>>);

impl Debuggee {
    pub(super) fn lock(&self) -> MutexGuard<'_, Control> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before the guest is made.
    pub(super) fn attach(&self, store: &mut Store<State>) {
        let own = self.clone();
        store.call_hook(move |store, hook| match hook {
            CallHook::ReturningFromHost => own.lock().returned(store),
            _ => Ok(()),
        });
        store.set_debug_handler(self.clone());
        let own = self.clone();
        store.epoch_deadline_callback(move |store| own.lock().ticked(store));
    }

    /// Before the guest is called.
    pub(super) fn instantiated(&self, store: &mut Store<State>) -> wasmtime::Result<()> {
        let mut control = self.lock();
        let Facts { component, symbols, .. } = &control.facts;
        control.modules = Modules::of(store.as_context_mut(), component, symbols);
        (control.set, control.single) = Default::default();
        control.apply(&mut store.as_context_mut())
    }
}

impl DebugHandler for Debuggee {
    type Data = State;

    async fn handle(&self, store: StoreContextMut<'_, State>, event: DebugEvent<'_>) {
        let kept = self.lock().happened(store, &event);
        if kept.is_err() {
            // The driver drops the whole run; nothing may go on until then.
            std::future::pending::<()>().await;
        }
    }
}

impl Control {
    pub(super) fn new(facts: Facts, requests: Receiver<DebugRequest>) -> Self {
        Control {
            facts,
            course: Course::default(),
            edits: Arc::default(),
            after: After::End,
            ended: None,
            requests,
            waiting: None,
            patterns: Vec::new(),
            breakpoints: Vec::new(),
            modules: Modules::default(),
            requested: HashSet::new(),
            set: Default::default(),
            single: false,
            seen: 0,
            since: Instant::now(),
            whence: Whence::default(),
            because: String::new(),
        }
    }

    /// A new run begins.
    pub(super) fn begin(&mut self) {
        self.course.begin();
        (self.seen, self.after, self.ended) = (0, After::End, None);
    }

    /// An operation of the host has returned.
    fn returned(&mut self, mut store: StoreContextMut<'_, State>) -> wasmtime::Result<()> {
        if self.after != After::End {
            return Err(Abandoned.into());
        }
        let answered = {
            let ledger = lock_ledger(&store.data().ledger);
            let Tape::Explore(explorer) = &ledger.tape else { return Ok(()) };
            let all = explorer.answered();
            if all.len() as u32 == self.seen {
                return Ok(());
            }
            let newly = &all[self.seen as usize..];
            let matched = newly.iter().any(|it| self.matches(it.entry.function.name()));
            (all.len() as u32, (matched, newly.iter().any(|it| it.new)))
        };
        self.seen = answered.0;
        let verdict = self.course.answered(answered.0, answered.1);
        self.obey(&mut store, verdict)
    }

    fn happened(
        &mut self,
        mut store: StoreContextMut<'_, State>,
        event: &DebugEvent<'_>,
    ) -> wasmtime::Result<()> {
        if self.after != After::End {
            return Err(Abandoned.into());
        }
        let verdict = match event {
            DebugEvent::Breakpoint => {
                let mut guest = self.guest(store.as_context_mut());
                let Some(place) = guest.place() else { return Ok(()) };
                let line = guest.line(place);
                let Control { course, modules, facts, .. } = self;
                let store = store.as_context_mut();
                let mut guest = Guest { store, modules, symbols: &facts.symbols };
                // The stack is walked only where a decision needs its depth.
                course.reached(Reached { place, line, depth: &mut || guest.depth() })
            }
            DebugEvent::Trap(trap) => {
                self.because = trap.to_string();
                self.course.trapped()
            }
            DebugEvent::HostcallError(error) => match error.downcast_ref::<Stop>() {
                Some(Stop::Diverged(divergence)) => {
                    self.because = divergence.to_string();
                    self.course.interrupted(StopReason::Diverged)
                }
                _ => Verdict::Go,
            },
            _ => Verdict::Go,
        };
        self.obey(&mut store, verdict)
    }

    /// Some milliseconds have passed.
    fn ticked(
        &mut self,
        mut store: StoreContextMut<'_, State>,
    ) -> wasmtime::Result<UpdateDeadline> {
        if self.after != After::End {
            return Err(Abandoned.into());
        }
        if self.since.elapsed() > limits::DEBUG_COMMAND_TIME_MAX {
            let verdict = self.course.interrupted(StopReason::Pause);
            self.obey(&mut store, verdict)?;
        }
        Ok(UpdateDeadline::Yield(1))
    }

    /// Does what the course says. An error ends the run.
    fn obey(
        &mut self,
        store: &mut StoreContextMut<'_, State>,
        verdict: Verdict,
    ) -> wasmtime::Result<()> {
        match verdict {
            Verdict::Go => {}
            Verdict::Stop(reason) => {
                self.stand(Some(store.as_context_mut()), reason);
            }
            Verdict::Again => self.after = After::Again,
            Verdict::TooFar => {
                let limit = limits::DEBUG_STEPS_MAX;
                self.refuse(format!(
                    "there are more than {limit} instructions since the last operation; go back \
                     to the operation instead"
                ));
                let stood = self.course.stood().clone();
                self.course.lead_to(stood);
                self.after = After::Again;
            }
        }
        if self.after != After::End {
            return Err(Abandoned.into());
        }
        self.apply(store)
    }

    fn guest<'a>(&'a self, store: StoreContextMut<'a, State>) -> Guest<'a> {
        Guest { store, modules: &self.modules, symbols: &self.facts.symbols }
    }

    fn refuse(&mut self, reason: String) {
        if let Some(answer) = self.waiting.take() {
            let _ = answer.send(Err(DebugRefused::Invalid(reason)));
        }
    }

    /// Holds the guest, and does commands until one lets it go.
    pub(super) fn stand(
        &mut self,
        mut store: Option<StoreContextMut<'_, State>>,
        reason: StopReason,
    ) {
        let reason = match (&mut store, reason) {
            (Some(store), StopReason::Step) => {
                let place = self.guest(store.as_context_mut()).place();
                let is_breakpoint = place.is_some_and(|it| self.course.places.contains(&it));
                if is_breakpoint { StopReason::Breakpoint } else { StopReason::Step }
            }
            _ => reason,
        };
        let state = self.state(&mut store, reason);
        if let Some(answer) = self.waiting.take() {
            let _ = answer.send(Ok(self.debugged(state)));
        }
        self.whence = self.whence_of(&mut store);
        loop {
            let Ok(request) = self.requests.recv() else {
                self.after = After::Quit;
                return;
            };
            self.since = Instant::now();
            let DebugRequest { command, answer } = request;
            match self.command(&mut store, (command, reason)) {
                Ok(Done::Answered(state)) => {
                    let _ = answer.send(Ok(self.debugged(*state)));
                }
                Ok(Done::Runs(after)) => {
                    self.because = String::new();
                    self.waiting = Some(answer);
                    self.after = after;
                    return;
                }
                Err(reason) => {
                    let _ = answer.send(Err(DebugRefused::Invalid(reason)));
                }
            }
        }
    }

    fn debugged(&self, state: DebugState) -> Debugged {
        Debugged { state, output: self.ended.as_ref().map(|ended| ended.output.clone()) }
    }

    fn whence_of(&self, store: &mut Option<StoreContextMut<'_, State>>) -> Whence {
        let Some(store) = store else { return Whence::default() };
        // A stop in foreign code compares with the user's line that led there.
        self.guest(store.as_context_mut()).whence()
    }

    fn command(
        &mut self,
        store: &mut Option<StoreContextMut<'_, State>>,
        (command, reason): (DebugCommand, StopReason),
    ) -> Result<Done, String> {
        let on = if reason == StopReason::End { None } else { Some(After::End) };
        let forward = |done: Option<After>| done.map(Done::Runs).ok_or_else(at_the_end);
        match command {
            DebugCommand::State {} => {}
            DebugCommand::Continue { back: false } => {
                self.course.go_on();
                return forward(on);
            }
            DebugCommand::Continue { back: true } => {
                return self.back(|control| control.course.continue_back());
            }
            DebugCommand::Step { by, back } => return self.step((by, back), (on, store.is_some())),
            DebugCommand::RunTo { operation } => {
                let stood = self.course.stood();
                if *stood == Position::at(operation) {
                    // It is there.
                } else if operation > stood.operation {
                    self.course.run_to(operation);
                    return forward(on);
                } else {
                    self.course.lead_to(Position::at(operation));
                    return Ok(Done::Runs(After::Again));
                }
            }
            DebugCommand::Breakpoints { operations, lines } => {
                self.set_breakpoints(operations, &lines)?;
                if let Some(store) = store {
                    self.apply(store).map_err(|error| format!("{error:#}"))?;
                }
            }
            DebugCommand::Edit { operation, result } => {
                return self.edit(store, (operation, &result));
            }
            DebugCommand::Memory { memory, address, length } => {
                let Some(at) = store else { return Err(does_not_run()) };
                let found = self.guest(at.as_context_mut()).memory(memory, (address, length))?;
                let mut state = self.state(store, reason);
                state.memory = Some(found);
                return Ok(Done::Answered(Box::new(state)));
            }
            DebugCommand::Variables { frame, of, start, count } => {
                let Some(at) = store else { return Err(does_not_run()) };
                let count =
                    count.unwrap_or(limits::DEBUG_VARIABLES).min(limits::DEBUG_VARIABLES_MAX);
                let page = Page { start, count };
                let found = self.guest(at.as_context_mut()).variables(frame, (&of, page))?;
                let mut state = self.state(store, reason);
                state.variables = Some(found);
                return Ok(Done::Answered(Box::new(state)));
            }
        }
        Ok(Done::Answered(Box::new(self.state(store, reason))))
    }

    fn step(
        &mut self,
        (by, back): (StepBy, bool),
        (on, runs): (Option<After>, bool),
    ) -> Result<Done, String> {
        let by = match by {
            // Where no function runs, there is none to step over.
            StepBy::Over if !runs => StepBy::Line,
            by => by,
        };
        let by_line = matches!(by, StepBy::Line | StepBy::Over | StepBy::Out);
        if by_line && !self.facts.has_lines {
            return Err(
                "the component has no line tables for the user's code: step by operation, \
                        or build it with debug = \"line-tables-only\""
                    .to_owned(),
            );
        }
        if by == StepBy::Out && !runs {
            return Err(does_not_run());
        }
        let whence = self.whence;
        if back {
            return self.back(|control| control.course.step_back(by, whence));
        }
        self.course.step(by, whence);
        on.map(Done::Runs).ok_or_else(at_the_end)
    }

    fn back(&mut self, lead: impl FnOnce(&mut Self)) -> Result<Done, String> {
        let stood = self.course.stood();
        if stood.is_entry() {
            return Err("this is the beginning".to_owned());
        }
        if stood.is_repeatable() {
            lead(self);
        } else {
            // Nothing finer than the operation before can be repeated.
            let operation = stood.operation;
            self.course.lead_to(Position::at(operation));
        }
        Ok(Done::Runs(After::Again))
    }

    /// Answers an operation otherwise: runs again to where it is answered, or to here where that is
    /// still ahead.
    fn edit(
        &mut self,
        store: &mut Option<StoreContextMut<'_, State>>,
        (operation, result): (u32, &serde_json::Value),
    ) -> Result<Done, String> {
        let known = self.entry(store, operation).ok_or_else(|| {
            let count = self.facts.entries.len();
            format!("there is no operation {operation} to edit; the recording has {count}")
        })?;
        let mut edits = (*self.edits).clone();
        if result.is_null() {
            edits.remove(&operation);
        } else {
            let outcome = Outcome::from_value(result, &known.outcome)?;
            tape::fits(&known, &outcome)?;
            edits.insert(operation, outcome);
        }
        if edits.len() > limits::DEBUG_EDITS_MAX {
            return Err(format!("more than {} answers are edited", limits::DEBUG_EDITS_MAX));
        }
        self.edits = Arc::new(edits);
        let stood = self.course.stood().clone();
        self.course.lead_to(match operation < stood.operation {
            true => Position::at(operation + 1),
            false if stood.is_repeatable() => stood,
            false => Position::at(stood.operation),
        });
        Ok(Done::Runs(After::Again))
    }

    /// An operation as it was in this run, or as it was recorded.
    fn entry(
        &self,
        store: &mut Option<StoreContextMut<'_, State>>,
        operation: u32,
    ) -> Option<Entry> {
        let recorded = self.facts.entries.get(operation as usize).cloned();
        if recorded.is_some() && self.edits.contains_key(&operation) {
            return recorded;
        }
        let Some(store) = store else {
            let ended = self.ended.as_ref();
            let answered = ended.and_then(|ended| ended.answered.get(operation as usize));
            return answered.map(|it| it.entry.clone()).or(recorded);
        };
        let ledger = lock_ledger(&store.data().ledger);
        let Tape::Explore(explorer) = &ledger.tape else { return recorded };
        explorer.answered().get(operation as usize).map(|it| it.entry.clone()).or(recorded)
    }

    fn state(
        &mut self,
        store: &mut Option<StoreContextMut<'_, State>>,
        reason: StopReason,
    ) -> DebugState {
        let mut state = match &self.ended {
            Some(ended) => (*ended.state).clone(),
            None => super::state::empty(reason, &self.facts),
        };
        state.breakpoints = self.breakpoints.clone();
        state.ended = self.ended.as_ref().map(|ended| ended.view.clone());
        if let Some(store) = store {
            super::state::of_guest(&mut state, &mut self.guest(store.as_context_mut()));
            super::state::of_ledger(&mut state, &lock_ledger(&store.data().ledger), &self.facts);
        }
        super::state::describe(&mut state, &self.because);
        state
    }

    /// Whether somebody still asks; while the guest computes, commands are refused.
    pub(super) fn is_abandoned(&self) -> bool {
        match self.requests.try_recv() {
            Err(TryRecvError::Disconnected) => true,
            Err(TryRecvError::Empty) => false,
            Ok(request) => {
                let busy = DebugRefused::Invalid("the guest is running".to_owned());
                let _ = request.answer.send(Err(busy));
                false
            }
        }
    }
}

/// What a command led to.
enum Done {
    Answered(Box<DebugState>),
    Runs(After),
}

fn at_the_end() -> String {
    "the function has ended; step back, or run to an operation".to_owned()
}

fn does_not_run() -> String {
    "the function does not run here; step or run to an operation first".to_owned()
}

/// How long a run may wait without being looked at.
pub(super) const LOOK: Duration = Duration::from_millis(50);
