//! A debug session: a thread that runs a recorded invocation again and again, as commands want it.

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use nexus_exec::{Debugged, Debugger, Error};
use nexus_model::Event;
use nexus_model::record::InvocationRecord;
use nexus_model::view::{DebugCommand, DebugEnd, StopReason};
use serde_json::Value;

use super::control::{Abandoned, After, Control, Debuggee, End, Facts, LOOK};
use super::course::Verdict;
use super::symbols::is_own;
use super::tape::Explorer;
use super::{Watch, state};
use crate::finish;
use crate::input::{Input, input_of};
use crate::invoke::{Executed, Stopped, execute};
use crate::ledger::{Ledger, Shared, Tape, lock as lock_ledger};
use crate::load::Loaded;
use crate::logs::Logs;
use crate::replay::{self, Recorded};
use crate::runtime::{Flavour, Inner, Ready};
use crate::state::StopAt;

/// A guest that is debugged has no deadline of its own; commands have one.
const FAR_AWAY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
const STACK_BYTES: usize = 8 << 20;

/// What every run begins with.
struct Session {
    inner: Arc<Inner>,
    loaded: Arc<Loaded>,
    recorded: Recorded,
    event: Option<Event>,
    debuggee: Debuggee,
}

/// Opens a debugger over a record.
pub(crate) async fn debug(
    ready: &Ready,
    record: &InvocationRecord,
    event: Option<Event>,
) -> Result<Debugger, Error> {
    let recorded = Recorded::read(ready, record)?;
    let began = Instant::now();
    let (flavour, compiled) = ready.inner.debugging(recorded.unit.component).await?;
    let compile_ms = match compiled {
        true => u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        false => 0,
    };
    let slot = flavour.registry.slot(recorded.unit.component, recorded.unit.world);
    let loaded = flavour.registry.get(&slot).await?;
    let component = ready.inner.component(recorded.unit.component).await?;
    let symbols = ready.inner.symbols(recorded.unit.component).await?;
    let entries = recorded.journal.read_entries().map_err(Error::Journal)?;
    let sources = {
        let symbols = symbols.clone();
        // Line tables are taken apart here, which takes its time for large components.
        let all = tokio::task::spawn_blocking(move || symbols.sources()).await;
        all.unwrap_or_default()
    };
    let facts = Facts {
        record: record.clone(),
        component,
        symbols,
        entries: Arc::new(entries),
        ending: recorded.journal.ending,
        has_lines: sources.iter().any(|file| is_own(file)),
    };
    let (timeline, has_lines) = (state::timeline(&facts), facts.has_lines);
    let (commands, requests) = mpsc::channel();
    let entry = Debugged { state: state::empty(StopReason::Entry, &facts), output: None };
    let session = Session {
        inner: ready.inner.clone(),
        loaded,
        recorded,
        event,
        debuggee: Debuggee(Arc::new(Mutex::new(Control::new(facts, requests)))),
    };
    // Fails early where the input was not kept.
    session.input()?;
    let thread = std::thread::Builder::new().name("nexus-debug".into()).stack_size(STACK_BYTES);
    thread.spawn(move || session.run()).map_err(|source| Error::NotReplayable {
        reason: format!("no thread for a debugger: {source}"),
    })?;
    let mut debugger = Debugger::new(commands, entry);
    let first = debugger.run(DebugCommand::State {}).await;
    let refused = |error: nexus_exec::DebugRefused| Error::NotReplayable {
        reason: format!("the debugger did not start: {error}"),
    };
    debugger.state = first.map_err(refused)?;
    (debugger.timeline, debugger.sources) = (timeline, sources);
    (debugger.has_lines, debugger.compile_ms) = (has_lines, compile_ms);
    Ok(debugger)
}

impl Session {
    fn input(&self) -> Result<Input, Error> {
        let control = self.debuggee.lock();
        let Recorded { journal, unit, .. } = &self.recorded;
        input_of((&control.facts.record, self.event.clone()), (journal, unit), unit.world)
    }

    /// Runs until nobody asks any more.
    fn run(self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let Ok(runtime) = runtime else { return };
        let Some(Ok(flavour)) = self.inner.made_for_debugging() else { return };
        loop {
            self.debuggee.lock().begin();
            let after = match self.entered() {
                After::End => match runtime.block_on(self.one(flavour)) {
                    Ok(after) => after,
                    Err(error) => {
                        tracing::warn!(%error, "a debug session ended");
                        return;
                    }
                },
                after => after,
            };
            if after == After::Quit {
                return;
            }
        }
    }

    /// Stands at the beginning, if that is where the course leads.
    fn entered(&self) -> After {
        let mut control = self.debuggee.lock();
        if let Verdict::Stop(reason) = control.course.entered() {
            control.stand(None, reason);
        }
        control.after
    }

    /// One run, and what to do after it.
    async fn one(&self, flavour: &Flavour) -> Result<After, Error> {
        let input = self.input()?;
        let tape = Tape::Explore(Box::new(self.explorer()));
        let clock = self.inner.clock.clone();
        let ledger = Recorded::ledger(tape, &input, clock.clone());
        let stop_at = StopAt { deadline: Instant::now() + FAR_AWAY, struck_budget: None };
        let mut state = self.recorded.state(&input, ledger.clone(), (clock, stop_at));
        state.watch = Some(Watch::Debugger(self.debuggee.clone()));
        let facts = finish::Facts {
            unit: &self.recorded.unit,
            context: &self.recorded.context,
            event: input.event.as_ref(),
            stdin: input.stdin,
            timeout: FAR_AWAY,
            lenient: self.recorded.succeeded,
        };
        let executed = {
            let run = execute(flavour, &self.loaded, state, (input.guest, false));
            let mut run = std::pin::pin!(run);
            loop {
                tokio::select! {
                    biased;
                    executed = &mut run => break Some(executed),
                    () = tokio::time::sleep(LOOK) => {
                        let control = self.debuggee.lock();
                        if control.after != After::End || control.is_abandoned() {
                            break None;
                        }
                    }
                }
            }
        };
        Ok(self.after(executed, (&ledger, facts)))
    }

    fn explorer(&self) -> Explorer {
        let control = self.debuggee.lock();
        let Facts { entries, ending, .. } = &control.facts;
        Explorer::new(entries.clone(), *ending, control.edits.clone())
    }

    fn after(
        &self,
        executed: Option<Executed>,
        (ledger, facts): (&Shared, finish::Facts<'_>),
    ) -> After {
        let mut control = self.debuggee.lock();
        let Some(executed) = executed else {
            return if control.after == After::End { After::Quit } else { control.after };
        };
        let abandoned = matches!(&executed.result, Err(Stopped::Failed(error))
            if error.is::<Abandoned>());
        if abandoned || control.after != After::End {
            return control.after;
        }
        match control.course.ended() {
            Verdict::Stop(reason) => {
                let logs = Logs::new(self.inner.clock.clone());
                let whole = std::mem::replace(&mut *lock_ledger(ledger), Ledger::empty(logs));
                control.ended = Some(end(&control.facts, (whole, executed, facts)));
                control.stand(None, reason);
                control.after
            }
            _ => After::Again,
        }
    }
}

fn end(known: &Facts, (ledger, executed, facts): (Ledger, Executed, finish::Facts<'_>)) -> End {
    let mut state = state::empty(StopReason::End, known);
    state::of_ledger(&mut state, &ledger, known);
    let answered = match &ledger.tape {
        Tape::Explore(explorer) => explorer.answered().to_vec(),
        _ => Vec::new(),
    };
    let ended = finish::finish(ledger, executed, facts);
    let difference = replay::compare(&known.record, &ended);
    let difference = difference.map(|it| {
        format!("{}: the recording has {}, this run has {}", it.what, it.expected, it.actual)
    });
    let failure = ended.failure.as_ref();
    let failure = failure.map_or_else(String::new, |it| format!("{} {}", it.code, it.message));
    let view = DebugEnd { status: ended.status, failure, output: Value::Null, difference };
    End { view, output: Box::new(ended.into()), state: Box::new(state), answered }
}
