//! What a runtime gives to look into an invocation of the past: a debugger that stands still between
//! commands, and profiles.

use std::sync::mpsc;
use std::time::Duration;

use nexus_model::record::Output;
use nexus_model::view::{DebugCommand, DebugState, TimelineEntry};
use tokio::sync::oneshot;

/// A command on its way to the thread that holds the guest.
pub struct DebugRequest {
    /// What to do.
    pub command: DebugCommand,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<Debugged, DebugRefused>>,
}

/// Where a guest stands.
#[derive(Clone, Debug)]
pub struct Debugged {
    /// For people and programs; the output in it is left to the caller, who knows how it is shown.
    pub state: DebugState,
    /// What the guest gave out, at its end.
    pub output: Option<Box<Output>>,
}

/// A guest that runs again with its journal as the outside world, one command at a time. Dropping it
/// ends the guest.
pub struct Debugger {
    /// What the recording holds.
    pub timeline: Vec<TimelineEntry>,
    /// Source files that the debug information names, the user's own first.
    pub sources: Vec<String>,
    /// Whether lines can be stepped.
    pub has_lines: bool,
    /// How long its code was compiled for debugging; 0 when it was stored.
    pub compile_ms: u64,
    /// Where it stands at first.
    pub state: Debugged,
    commands: mpsc::Sender<DebugRequest>,
}

/// Why a debugger did not do what it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DebugRefused {
    /// The command makes no sense there.
    #[error("{0}")]
    Invalid(String),
    /// The thread is gone.
    #[error("the debug session has ended")]
    Ended,
}

impl Debugger {
    /// A debugger whose commands are received at the other end of `commands`.
    pub fn new(commands: mpsc::Sender<DebugRequest>, state: Debugged) -> Self {
        Debugger {
            timeline: Vec::new(),
            sources: Vec::new(),
            has_lines: false,
            compile_ms: 0,
            state,
            commands,
        }
    }

    /// Does what it is told, and says where the guest stands then. Takes as long as the guest
    /// computes, at most [`DEBUG_COMMAND_TIME_MAX`](nexus_model::limits::DEBUG_COMMAND_TIME_MAX).
    ///
    /// # Errors
    /// The command makes no sense where the guest stands; the session has ended.
    pub async fn run(&self, command: DebugCommand) -> Result<Debugged, DebugRefused> {
        let (answer, answered) = oneshot::channel();
        let request = DebugRequest { command, answer };
        self.commands.send(request).map_err(|_| DebugRefused::Ended)?;
        answered.await.map_err(|_| DebugRefused::Ended)?
    }
}

/// How a profile is taken.
#[derive(Clone, Copy, Debug)]
pub struct ProfileOptions {
    /// Samples that should be taken: a short invocation is replayed until there are as many…
    pub samples: usize,
    /// …or this much time has passed.
    pub time: Duration,
}

/// Where an invocation spent its time and memory, from replays of it.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// How often it was replayed.
    pub replays: u32,
    /// How long the guest ran in all of them.
    pub busy: Duration,
    /// Distinct frames.
    pub frames: Vec<ProfileFrame>,
    /// Stacks by numbers of frames, the outermost first, each with how often it was seen.
    pub stacks: Vec<(Vec<u32>, u64)>,
    /// Linear memory of one replay.
    pub memory: Vec<MemoryPoint>,
}

/// A frame of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProfileFrame {
    /// The function, demangled.
    pub function: String,
    /// The core module.
    pub module: String,
    /// The source file, where known.
    pub file: Option<String>,
    /// The line of the function's code that was running, where known.
    pub line: Option<u32>,
}

/// How much memory a guest had from a moment on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryPoint {
    /// Since the guest was called, in the replay.
    pub at: Duration,
    /// Operations answered before.
    pub operation: u32,
    /// All linear memories together.
    pub bytes: u64,
}
