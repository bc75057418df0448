//! Debug sessions over invocations of the past, and source lines of crash dumps. Sessions live in
//! memory, belong to who opened them, and end when they are left alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nexus_exec::{DebugRefused, Debugged, Debugger, Prepared};
use nexus_model::record::{Failure, InvocationRecord};
use nexus_model::view::{DebugCommand, DebugOpened, DebugState, FrameView, SourceFile};
use nexus_model::{Code, Digest, Event, InvocationId, OpContext, Scope, Sources, limits};

use crate::replay::Recorded;
use crate::views::output_value;
use crate::{Error, Node};
use crate::{sources, stack};

/// How often sessions that were left alone are looked for.
const SWEEP: Duration = Duration::from_secs(30);

/// What a session is opened over.
pub(crate) struct Recording {
    pub(crate) record: InvocationRecord,
    pub(crate) event: Option<Event>,
    pub(crate) prepared: Arc<dyn Prepared>,
}

/// Open sessions by their ids.
#[derive(Default)]
pub(crate) struct Debuggers(Mutex<HashMap<String, Arc<Session>>>);

struct Session {
    invocation: InvocationId,
    owner: String,
    sources: Arc<Sources>,
    /// One command at a time; others wait for it.
    debugger: tokio::sync::Mutex<Debugger>,
    used: Mutex<Instant>,
}

impl Session {
    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_idle(&self) -> bool {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.elapsed() > limits::DEBUG_IDLE_MAX && self.debugger.try_lock().is_ok()
    }
}

impl Debuggers {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sweep(&self) {
        self.lock().retain(|_, session| !session.is_idle());
    }
}

impl Node {
    /// Opens a debug session over an invocation of the past. The guest stands before its beginning;
    /// nothing that it does from there reaches the world. Needs the scopes `replay` and
    /// `read-payload`.
    ///
    /// # Errors
    /// It does not exist; the caller may not look at it; it cannot be replayed at all, and why; as
    /// many sessions are open as there may be.
    pub async fn debug_open(
        &self,
        ctx: &OpContext,
        id: InvocationId,
    ) -> Result<DebugOpened, Error> {
        let Recording { record, event, prepared } = self.recording(ctx, id).await?;
        self.debuggers.sweep();
        self.room_for_a_session()?;
        let debugger = prepared.debug(&record, event).await;
        let mut debugger = debugger.map_err(|error| Error::from(error).with_invocation(id))?;
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| {
            Error::internal("name a session", std::io::Error::other(error.to_string()))
        })?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let session = format!("dbg_{hex}");
        let text = self.sources_of(&record).await;
        let opened = DebugOpened {
            session: session.clone(),
            invocation: id,
            function: record.function.clone(),
            version: record.version_id(),
            files: files(&debugger.sources, &text),
            timeline: std::mem::take(&mut debugger.timeline),
            sources: std::mem::take(&mut debugger.sources),
            has_lines: debugger.has_lines,
            compile_ms: debugger.compile_ms,
            idle_seconds: limits::DEBUG_IDLE_MAX.as_secs(),
            state: shown(debugger.state.clone(), &text),
        };
        let open = Session {
            invocation: id,
            owner: ctx.principal.to_string(),
            sources: text,
            debugger: tokio::sync::Mutex::new(debugger),
            used: Mutex::new(Instant::now()),
        };
        // Others may have opened theirs while this one was made.
        self.room_for_a_session()?;
        self.debuggers.lock().insert(session, Arc::new(open));
        Ok(opened)
    }

    fn room_for_a_session(&self) -> Result<(), Error> {
        let open = self.debuggers.lock().len();
        if open < limits::DEBUG_SESSIONS_MAX {
            return Ok(());
        }
        let limit = limits::DEBUG_SESSIONS_MAX;
        let detail = format!("{open} debug sessions are open; the limit is {limit}");
        Err(Error::new(Code::DebugSessions, detail).with_hint(format!(
            "close one; those without a command for {} minutes close by themselves",
            limits::DEBUG_IDLE_MAX.as_secs() / 60
        )))
    }

    /// Does one command in a session.
    ///
    /// # Errors
    /// There is no such session of this caller any more; the command makes no sense there.
    pub async fn debug_run(
        &self,
        ctx: &OpContext,
        (id, session): (InvocationId, &str),
        command: DebugCommand,
    ) -> Result<DebugState, Error> {
        let open = self.debug_session(ctx, (id, session))?;
        open.touch();
        let debugger = open.debugger.lock().await;
        let done = debugger.run(command).await;
        drop(debugger);
        open.touch();
        match done {
            Ok(debugged) => Ok(shown(debugged, &open.sources)),
            Err(DebugRefused::Invalid(reason)) => {
                Err(Error::new(Code::BadRequest, reason).with_invocation(id))
            }
            Err(DebugRefused::Ended) => {
                self.debuggers.lock().remove(session);
                Err(ended(id))
            }
        }
    }

    /// Closes a session.
    ///
    /// # Errors
    /// There is no such session of this caller any more.
    pub fn debug_close(
        &self,
        ctx: &OpContext,
        (id, session): (InvocationId, &str),
    ) -> Result<(), Error> {
        self.debug_session(ctx, (id, session))?;
        self.debuggers.lock().remove(session);
        Ok(())
    }

    fn debug_session(
        &self,
        ctx: &OpContext,
        (id, session): (InvocationId, &str),
    ) -> Result<Arc<Session>, Error> {
        let found = self.debuggers.lock().get(session).cloned();
        let own =
            |open: &Arc<Session>| open.invocation == id && open.owner == ctx.principal.to_string();
        found.filter(own).ok_or_else(|| ended(id))
    }

    /// Ends sessions that were left alone.
    pub(crate) async fn debug_sweep_loop(&self) {
        loop {
            tokio::select! {
                () = self.tasks.stopping() => break,
                () = tokio::time::sleep(SWEEP) => self.debuggers.sweep(),
            }
        }
        self.debuggers.lock().clear();
    }

    /// A record with all that a replay of it needs.
    pub(crate) async fn recording(
        &self,
        ctx: &OpContext,
        id: InvocationId,
    ) -> Result<Recording, Error> {
        let Recorded { record, event, project } = self.recorded(ctx, id).await?;
        nexus_policy::authorize(ctx, Scope::ReadPayload, Some(&project))?;
        let prepared = self.prepare_recorded(&project, &record).await;
        let (_, prepared) = prepared.map_err(|at| at.with_invocation(id))?;
        Ok(Recording { record, event, prepared })
    }

    /// The stack of a failure with source lines. Where debug information is not to be had, or takes
    /// too long, the stack stays as it was recorded.
    pub(crate) async fn failure_frames(
        &self,
        record: &InvocationRecord,
        failure: &Failure,
    ) -> Vec<FrameView> {
        if failure.offsets.is_empty() {
            let mut frames = stack::frames(&stack::message(&failure.message));
            sources::place(&*self.sources_of(record).await, &mut frames);
            return frames;
        }
        let executed = Digest::try_from(&record.executed[..]);
        let Ok(component) = executed.or_else(|_| Digest::try_from(&record.component[..])) else {
            return Vec::new();
        };
        match self.parts.runtime.frames(component, &failure.offsets).await {
            Ok(frames) => {
                let mut frames: Vec<FrameView> = frames.into_iter().flatten().collect();
                sources::place(&*self.sources_of(record).await, &mut frames);
                frames
            }
            Err(error) => {
                tracing::debug!(%error, "no source lines for a stack");
                Vec::new()
            }
        }
    }
}

fn ended(id: InvocationId) -> Error {
    Error::new(Code::DebugEnded, "there is no such debug session of yours any more")
        .with_invocation(id)
        .with_hint("open a new one: it comes to the same place, because runs are exact")
}

/// The files of the debug information whose text is kept, in its order.
fn files(named: &[String], text: &Sources) -> Vec<SourceFile> {
    let file = |file: &String| {
        let path = text.find(file)?.to_owned();
        Some(SourceFile { path, file: file.clone() })
    };
    named.iter().filter_map(file).collect()
}

fn shown(debugged: Debugged, text: &Sources) -> DebugState {
    let Debugged { mut state, output } = debugged;
    sources::place(text, state.frames.iter_mut().map(|frame| &mut frame.at));
    if let (Some(ended), Some(output)) = (&mut state.ended, output) {
        ended.output = output_value(&output);
    }
    state
}
