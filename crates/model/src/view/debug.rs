//! What a debugger of past invocations says and is told. One session answers one command after the
//! other; each answer tells where the guest stands.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LogView;
use crate::{InvocationId, VersionId};

/// One frame of a guest's stack, as far as the component's debug information tells.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FrameView {
    /// The function, demangled.
    pub function: String,
    /// The core module of the component.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub module: String,
    /// The source file as the compiler named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The same file's path in the [`Sources`](crate::Sources) of the version, where they are kept
    /// and have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// It was inlined into the next frame.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inlined: bool,
    /// The bytes from the beginning of the component to the instruction.
    #[serde(default)]
    pub offset: u64,
}

/// A debug session over one recorded invocation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DebugOpened {
    /// Names the session in further requests.
    pub session: String,
    /// The invocation.
    pub invocation: InvocationId,
    /// The function.
    pub function: String,
    /// The version that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// All recorded operations and log lines, in order.
    pub timeline: Vec<TimelineEntry>,
    /// Source files that the debug information of the component names; the user's own first.
    pub sources: Vec<String>,
    /// Those of them whose text is kept beside the version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<SourceFile>,
    /// Whether the component has line tables, so that lines can be stepped.
    pub has_lines: bool,
    /// How long the code for debugging was compiled; 0 when it was there.
    pub compile_ms: u64,
    /// After this long without a command the session ends, in seconds.
    pub idle_seconds: u64,
    /// Where it stands.
    pub state: DebugState,
}

/// A source file that debug information names and whose text is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SourceFile {
    /// Its path in the [`Sources`](crate::Sources) of the version.
    pub path: String,
    /// Its name in the debug information.
    pub file: String,
}

/// Something that happened in the recorded invocation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TimelineEntry {
    /// The guest called a function of the host.
    Operation(OperationView),
    /// The guest wrote a line.
    Log {
        /// How many operations were before it.
        after: u32,
        /// The line.
        log: LogView,
    },
}

/// An operation with what the world answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OperationView {
    /// Its number, from 0.
    pub operation: u32,
    /// What the guest called: `wasi:clocks/wall-clock.now`.
    pub function: String,
    /// Its arguments for people, as far as the recording has them; the others are a hash.
    pub arguments: String,
    /// Its result for people; long values are shortened.
    pub summary: String,
    /// Its result; the same form is accepted by `edit`.
    pub result: Value,
    /// When it ended, in nanoseconds since the guest was called; 0 where not recorded.
    pub at_ns: u64,
    /// How long the guest waited for it.
    pub duration_ns: u64,
    /// The result is not the recorded one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edited: bool,
    /// The recording has no such operation: it was not performed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new: bool,
}

/// What a session is told to do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DebugCommand {
    /// Say where it stands.
    State {},
    /// Run to the next breakpoint, trap or new effect; with `back` to the one before.
    Continue {
        /// Into the past.
        #[serde(default)]
        back: bool,
    },
    /// Run to where this many operations have been answered, forward or back. 0 is the beginning.
    RunTo {
        /// How many.
        operation: u32,
    },
    /// Run a step.
    Step {
        /// How far.
        by: StepBy,
        /// Into the past.
        #[serde(default)]
        back: bool,
    },
    /// Set all breakpoints; those of before are forgotten.
    Breakpoints {
        /// Operations to stop at: a part of the function's name, or one with `*`.
        #[serde(default)]
        operations: Vec<String>,
        /// Lines to stop at.
        #[serde(default)]
        lines: Vec<LineBreakpoint>,
    },
    /// What if: answer an operation otherwise. The guest runs again, to where that operation is
    /// answered, unless it is still ahead. Nothing reaches the world: what the recording cannot
    /// answer is reported as a new effect, which was not performed.
    Edit {
        /// Which operation.
        operation: u32,
        /// The new result, in the form of the old one; `null` puts the recorded one back.
        #[serde(default)]
        result: Value,
    },
    /// Show a part of a linear memory.
    Memory {
        /// Which memory, as [`DebugState::memories`] numbers them.
        #[serde(default)]
        memory: u32,
        /// From which byte.
        address: u64,
        /// How many bytes.
        length: u32,
    },
    /// Show the variables of a frame, or what is inside of one of them.
    Variables {
        /// Which frame, as [`DebugState::frames`] has them, from 0.
        #[serde(default)]
        frame: u32,
        /// The path of a value, such as `order.items[2]` or `names["Ada"]`; empty for all variables.
        #[serde(default)]
        of: String,
        /// How many of the values inside are passed over.
        #[serde(default)]
        start: u32,
        /// How many are shown; at most 1,000, and 100 where it does not say.
        #[serde(default)]
        count: Option<u32>,
    },
}

/// How far a step goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepBy {
    /// To the next operation.
    Operation,
    /// To the next line of the user's code, also in a function that is called.
    Line,
    /// To the next line, not into functions that are called.
    Over,
    /// To where the function was called.
    Out,
    /// One instruction of WebAssembly.
    Instruction,
}

/// A line to stop at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LineBreakpoint {
    /// The file, or the end of its path.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// What became of a breakpoint on a line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BreakpointView {
    /// The file as the debug information names it, or as it was asked for.
    pub file: String,
    /// The line at which it stops: the next one with code.
    pub line: u32,
    /// Whether it will ever stop there.
    pub verified: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Why a session stands where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// Before the guest began.
    Entry,
    /// An operation was answered; the guest has not seen the answer yet.
    Operation,
    /// A breakpoint.
    Breakpoint,
    /// A step is done.
    Step,
    /// It computed for longer than a command may take.
    Pause,
    /// The guest trapped; its stack is still there.
    Trap,
    /// The guest wants something from outside that the recording does not have.
    NewEffect,
    /// It does something else than the recording although nothing was edited.
    Diverged,
    /// The guest has ended.
    End,
}

/// Where a session stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DebugState {
    /// Why.
    pub reason: StopReason,
    /// For people: one sentence.
    pub description: String,
    /// How many operations have been answered.
    pub operation: u32,
    /// How many the recording has.
    pub operations: u32,
    /// The operation that was answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<OperationView>,
    /// The guest's stack, innermost frame first; empty where the guest does not run.
    pub frames: Vec<DebugFrame>,
    /// Global variables of the innermost frame's module.
    pub globals: Vec<Variable>,
    /// Linear memories.
    pub memories: Vec<MemoryInfo>,
    /// What it has written up to here.
    pub logs: Vec<LogView>,
    /// Operations with results that were edited, and effects that are new.
    pub what_if: Vec<OperationView>,
    /// Lines with breakpoints.
    pub breakpoints: Vec<BreakpointView>,
    /// How it ended, at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<DebugEnd>,
    /// The part of a memory that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryView>,
    /// The variables that were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<VariablesView>,
}

/// How the guest ended in a session.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DebugEnd {
    /// How.
    pub status: crate::record::Status,
    /// What failed, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub failure: String,
    /// What it answered, in the form of an invocation's output.
    pub output: Value,
    /// How it differs from the recording, or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
}

/// A frame of a guest that stands still.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DebugFrame {
    /// Where.
    #[serde(flatten)]
    pub at: FrameView,
    /// Local variables of WebAssembly; those of inlined frames are those of the frame around them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locals: Vec<Variable>,
    /// Variables of the source, as far as the debug information describes them. Those of frames in
    /// other people's code are shown when they are asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
}

/// Variables of a frame, or what is inside of a value.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct VariablesView {
    /// The value that was asked for; nothing where all variables of the frame were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Variable>,
    /// What is inside, or the variables.
    pub variables: Vec<Variable>,
}

/// A variable.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Variable {
    /// Its name: from the debug information, or its number.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: String,
    /// Its value on one line, shortened where it is long; in angle brackets why there is none.
    pub value: String,
    /// What `variables` opens it with; empty where it cannot be opened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// How many values are inside.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub children: u32,
    /// Where it is in linear memory, or where it points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde wants")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A linear memory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MemoryInfo {
    /// Its number in this session.
    pub memory: u32,
    /// The module that it belongs to.
    pub module: String,
    /// Its size.
    pub bytes: u64,
}

/// A part of a memory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MemoryView {
    /// Which memory.
    pub memory: u32,
    /// From which byte.
    pub address: u64,
    /// The bytes in base 64; fewer than asked for at the end of the memory.
    pub base64: String,
}
